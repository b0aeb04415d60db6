"""What the tests share. Videos here tell which frame of which clip one is looking at: see `write_video`."""

import json
import os
import pathlib
import struct

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import cv2
import numpy as np
import pytest
from faults import Table

from helpers import archive, puppets

ROOT = pathlib.Path(__file__).resolve().parent.parent
BITS = 8
SIDE = 8 * BITS


@pytest.fixture(scope="session")
def puppet_zip(tmp_path_factory):
    """Ten classes of puppets, 4 groups of 2 clips each."""
    return puppets.write_zip(tmp_path_factory.mktemp("puppets") / "puppets.zip", groups=4, clips=2)


@pytest.fixture(scope="session")
def puppet_folders(puppet_zip, tmp_path_factory):
    """Three classes of puppets, split by group into 4, 2 and 2 clips; for reading only."""
    folder = tmp_path_factory.mktemp("split")
    return archive.download_ucf101_subset(puppet_zip, 3, {"train": 4, "val": 2, "test": 2}, folder)


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch):
    for variable in ("BOOK_DATASET", "BOOK_RUN", "UCF101_ZIP"):
        monkeypatch.delenv(variable, raising=False)


def draw_numbers(frame, clip=0):
    """Return a 64x64 image: a white bar, below it the number of the frame in eight black and white columns, then the clip's."""
    image = np.full((SIDE, SIDE, 3), 255, np.uint8)
    for row, number in ((16, frame), (40, clip)):
        bits = [255 * (number >> bit & 1) for bit in range(BITS)]
        image[row : row + 24] = np.repeat(bits, SIDE // BITS)[None, :, None]
    return image


def _read_number(frame, row):
    columns = frame[row + 12, SIDE // BITS // 2 :: SIDE // BITS, 0] > 127
    return sum(1 << bit for bit, white in enumerate(columns) if white)


def frame_numbers(frames):
    """Return what `draw_numbers` wrote: the number of each frame."""
    return [_read_number(frame, 16) for frame in frames]


def clip_number(frames):
    """Return what `draw_numbers` wrote: the number of the clip."""
    return _read_number(frames[0], 40)


def write_images(path, images):
    """Write RGB images of one size as a Motion JPEG video; return its path."""
    return write_coded(path, images, "MJPG", cv2.CAP_OPENCV_MJPEG)


def write_coded(path, images, code="XVID", backend=cv2.CAP_FFMPEG):
    """Write RGB images of one even size, by OpenCV's FFmpeg most of them as changes to the one before; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(path), backend, cv2.VideoWriter_fourcc(*code), 25, (width, height))
    assert writer.isOpened()
    for image in images:
        writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def write_avi(path, coded, size, code=b"MJPG"):
    """Write frames that are coded already as an AVI file; empty ones are frames that were dropped.

    Args:
        path: Where it goes; its folder is made if it is missing.
        coded: The frames' bytes.
        size: `(height, width)` in pixels.
        code: What they are coded in, four letters.

    Returns:
        The path.
    """

    def chunk(name, *parts):
        content = b"".join(parts)
        return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)

    coded, (height, width) = list(coded), size
    frames = [chunk(b"00dc", frame) for frame in coded]
    begins = np.cumsum([4] + [len(frame) for frame in frames])
    index = (
        b"00dc" + struct.pack("<3I", 16, begin, len(frame))
        for begin, frame in zip(begins.tolist(), coded)
    )
    header = chunk(
        b"avih",
        struct.pack("<14I", 40_000, 0, 0, 16, len(coded), 0, 1, 0, width, height, 0, 0, 0, 0),
    )
    rate = struct.pack("<3I", 1, 25, 0)
    stream = (
        b"vids"
        + code
        + bytes(12)
        + rate
        + struct.pack("<3Ii4H", len(coded), 0, 0, 0, 0, 0, width, height)
    )
    picture = struct.pack("<IiiHH4s5I", 40, width, height, 1, 24, code, 0, 0, 0, 0, 0)
    streams = chunk(b"LIST", b"strl", chunk(b"strh", stream), chunk(b"strf", picture))
    movie = chunk(b"LIST", b"movi", *frames)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        chunk(
            b"RIFF",
            b"AVI ",
            chunk(b"LIST", b"hdrl", header, streams),
            movie,
            chunk(b"idx1", *index),
        )
    )
    return path


def coded_frames(path):
    """Return the bytes of each frame of an AVI file with one stream."""
    content = path.read_bytes()
    place, frames = content.index(b"movi") + 4, []
    while content[place : place + 4] == b"00dc":
        (size,) = struct.unpack_from("<I", content, place + 4)
        frames.append(content[place + 8 : place + 8 + size])
        place += 8 + size + size % 2
    return frames


def decode_all(path):
    """Decode a video from its first frame to its last with OpenCV alone; return RGB frames."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        there, frame = capture.read()
        if not there:
            return np.array(frames)
        frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))


def write_video(path, n_frames, clip=0):
    """Write a video whose frames tell their numbers, up to 255; return its path."""
    return write_images(path, [draw_numbers(frame, clip) for frame in range(n_frames)])


def pytest_addoption(parser):
    parser.addoption(
        "--record-faults", action="store_true", help="record the fault table for the book"
    )


def pytest_configure(config):
    config.faults = Table(config.getoption("--record-faults"))


@pytest.fixture
def fault(request):
    """Call it with what a fault came to: see `faults.Table.add`."""
    return request.config.faults.add


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    """Show the fault table, and what nbval compared."""
    if config.faults.rows:
        terminalreporter.section("what was broken, how often, and what happened")
        for line in config.faults.lines():
            terminalreporter.line(line)
        if config.faults.recording and exitstatus == 0:
            config.faults.save()
    _tell_what_nbval_compared(terminalreporter)


def _tell_what_nbval_compared(terminalreporter):
    """A chapter none of whose outputs are compared passes whatever they are."""
    outcomes = [
        report
        for reports in terminalreporter.stats.values()
        for report in reports
        if hasattr(report, "nodeid")
    ]
    cells = {report.nodeid for report in outcomes if ".ipynb::" in report.nodeid}
    if not cells:
        return
    terminalreporter.section("what nbval compared")
    terminalreporter.line(f"{'chapter':20} {'cells run':>9} {'outputs compared':>16}")
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        ran = sum(f"{notebook.name}::" in nodeid for nodeid in cells)
        tags = [
            cell["metadata"].get("tags", []) for cell in json.loads(notebook.read_text())["cells"]
        ]
        terminalreporter.line(
            f"{notebook.stem:20} {ran:9} {sum('nbval-check-output' in own for own in tags):16}"
        )
