"""What the tests share, such as videos whose frames show their numbers: see `write_video`."""

import contextlib
import json
import os
import pathlib
import struct

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import cv2
import numpy as np
import pytest
from faults import Table
from xdist.scheduler import LoadScopeScheduling

from helpers import archive, puppets, settings

ROOT = pathlib.Path(__file__).resolve().parent.parent
BITS = 8
SIDE = 8 * BITS


@pytest.fixture(scope="session")
def puppet_zip(tmp_path_factory):
    """Ten classes of puppets, 4 groups of 2 clips each."""
    return puppets.write_zip(tmp_path_factory.mktemp("puppets") / "puppets.zip", groups=4, clips=2)


@pytest.fixture(scope="session")
def puppet_folders(puppet_zip, tmp_path_factory):
    """Three classes of puppets, split by group into 4, 2 and 2 clips each. Don't write there."""
    folder = tmp_path_factory.mktemp("split")
    return archive.download_ucf101_subset(puppet_zip, 3, {"train": 4, "val": 2, "test": 2}, folder)


@pytest.fixture(scope="session")
def six_clips(tmp_path_factory):
    """Two classes of three clips, 30 frames each. Don't write there."""
    folder = tmp_path_factory.mktemp("split")
    for clip in range(6):
        class_name = "Zip" if clip < 3 else "Add"
        write_video(folder / class_name / f"v_{class_name}_g{clip:02d}_c01.avi", 30, clip)
    return folder


@contextlib.contextmanager
def mixed_precision():
    """Let networks that are built meanwhile compute in 16 bits."""
    # Most tests do without Keras, which takes seconds to import.
    import keras

    previous_policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(previous_policy)


@pytest.fixture
def mixed():
    """Let networks that are built in a test compute in 16 bits."""
    with mixed_precision():
        yield


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch):
    for variable in ("BOOK_DATASET", "BOOK_RUN", "UCF101_ZIP", *settings.PUBLISHED):
        monkeypatch.delenv(variable, raising=False)


def draw_numbers(frame, clip=0):
    """Return a 64x64 image of two numbers.

    Below a white bar, eight black and white columns show the bits of the frame's number; below
    them, eight columns show those of the clip's number.
    """
    image = np.full((SIDE, SIDE, 3), 255, np.uint8)
    for row, number in ((16, frame), (40, clip)):
        bits = [255 * (number >> bit & 1) for bit in range(BITS)]
        image[row : row + 24] = np.repeat(bits, SIDE // BITS)[None, :, None]
    return image


def _read_number(frame, row):
    columns = frame[row + 12, SIDE // BITS // 2 :: SIDE // BITS, 0] > 127
    return sum(1 << bit for bit, white in enumerate(columns) if white)


def frame_numbers(frames):
    """Return the number of each frame, which `draw_numbers` drew."""
    return [_read_number(frame, 16) for frame in frames]


def clip_number(frames):
    """Return the number of the clip, which `draw_numbers` drew."""
    return _read_number(frames[0], 40)


def write_images(path, images):
    """Write RGB images of one size as a Motion JPEG video; return its path."""
    return write_coded(path, images, "MJPG", cv2.CAP_OPENCV_MJPEG)


def write_coded(path, images, code="XVID", backend=cv2.CAP_FFMPEG):
    """Write RGB images of one even size with OpenCV; return the path.

    By default, most frames are coded as changes to the one before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(path), backend, cv2.VideoWriter_fourcc(*code), 25, (width, height))
    assert writer.isOpened()
    for image in images:
        writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def write_avi(path, coded, size, code=b"MJPG"):
    """Write coded frames as an AVI file.

    Args:
        path: The file. Its folder is created if it is missing.
        coded: The bytes of each frame. An empty one stands for a frame that was dropped.
        size: `(height, width)` in pixels.
        code: The four-letter code of the codec.

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
    main = struct.pack("<14I", 40_000, 0, 0, 16, len(coded), 0, 1, 0, width, height, 0, 0, 0, 0)
    header = chunk(b"avih", main)
    rate = struct.pack("<3I", 1, 25, 0)
    length = struct.pack("<3Ii4H", len(coded), 0, 0, 0, 0, 0, width, height)
    stream = b"".join([b"vids", code, bytes(12), rate, length])
    picture = struct.pack("<IiiHH4s5I", 40, width, height, 1, 24, code, 0, 0, 0, 0, 0)
    streams = chunk(b"LIST", b"strl", chunk(b"strh", stream), chunk(b"strf", picture))
    movie = chunk(b"LIST", b"movi", *frames)
    path.parent.mkdir(parents=True, exist_ok=True)
    headers = chunk(b"LIST", b"hdrl", header, streams)
    path.write_bytes(chunk(b"RIFF", b"AVI ", headers, movie, chunk(b"idx1", *index)))
    return path


def coded_frames(path):
    """Return the bytes of each frame of an AVI file with one stream."""
    content = path.read_bytes()
    position, frames = content.index(b"movi") + 4, []
    while content[position : position + 4] == b"00dc":
        (size,) = struct.unpack_from("<I", content, position + 4)
        frames.append(content[position + 8 : position + 8 + size])
        position += 8 + size + size % 2
    return frames


def decode_all(path):
    """Decode a video from its first frame to its last with OpenCV alone; return RGB frames."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        success, frame = capture.read()
        if not success:
            return np.array(frames)
        frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))


def write_video(path, n_frames, clip=0):
    """Write a video whose frames show their numbers, up to 255; return its path."""
    return write_images(path, [draw_numbers(frame, clip) for frame in range(n_frames)])


def pytest_addoption(parser):
    parser.addoption(
        "--record-faults", action="store_true", help="record the fault table for the book"
    )
    parser.addoption(
        "--long", action="store_true", help="run the long form of each test, as make test-long does"
    )


def pytest_configure(config):
    config.addinivalue_line("markers", "long: runs only in make test-long")
    recording = config.getoption("--record-faults")
    config.long = recording or config.getoption("--long")
    config.faults = Table(recording, shortened=not config.long)


# Two browsers at once can bring two cores to a stop: their threads have real-time priority.
WITH_BROWSER = ("test_accessibility", "test_camera", "test_explorer", "test_pages", "test_pdf")


class Scheduler(LoadScopeScheduling):
    """Hand out single tests to the processes of `pytest -n`, except for those that share a lot.

    The cells of a notebook share a kernel, the chapters on real clips their trained networks, and
    the tests of pages one browser after the other.
    """

    def _split_scope(self, nodeid):
        file, _, name = nodeid.partition("::")
        if pathlib.PurePath(file).stem in WITH_BROWSER:
            return "browser"
        shared = name.startswith("test_chapter_runs_on_real_clips[")
        return file if shared or file.endswith(".ipynb") else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return Scheduler(config, log)


def pytest_collection_modifyitems(config, items):
    """Begin with what takes longest, so that no process of `pytest -n` is left alone with it."""
    if not config.long:
        later = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=later)
        items[:] = [item for item in items if item not in later]
    first = ("test_real_clips", *WITH_BROWSER)
    items.sort(key=lambda item: item.path.stem not in first and item.path.suffix != ".ipynb")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """Send the fault table of a process of `pytest -n` to the one that reports."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["faults"] = session.config.faults.rows


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    node.config.faults.rows += getattr(node, "workeroutput", {}).get("faults", [])


@pytest.fixture
def fault(request):
    """Return a function that adds a row to the fault table: see `faults.Table.add`."""
    return request.config.faults.add


@pytest.fixture
def daily_or_long(request):
    """Return a function that chooses the first of two values, or the second with `--long`."""
    return lambda daily, long: long if request.config.long else daily


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    """Show the fault table, and how many outputs nbval compared."""
    if config.faults.rows:
        terminalreporter.section("what was broken, how often, and what happened")
        for line in config.faults.lines():
            terminalreporter.line(line)
        if config.faults.recording and exitstatus == 0:
            config.faults.save()
    _report_compared_outputs(terminalreporter)


def _report_compared_outputs(terminalreporter):
    """Show how many cells ran; a chapter without compared outputs passes whatever they are."""
    reports = [report for same in terminalreporter.stats.values() for report in same]
    nodeids = {report.nodeid for report in reports if hasattr(report, "nodeid")}
    cells = {nodeid for nodeid in nodeids if ".ipynb::" in nodeid}
    if not cells:
        return
    terminalreporter.section("outputs that nbval compared")
    terminalreporter.line(f"{'chapter':20} {'cells run':>9} {'outputs compared':>16}")
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        ran = sum(f"{notebook.name}::" in nodeid for nodeid in cells)
        all_tags = [
            cell["metadata"].get("tags", []) for cell in json.loads(notebook.read_text())["cells"]
        ]
        compared = sum("nbval-check-output" in tags for tags in all_tags)
        terminalreporter.line(f"{notebook.stem:20} {ran:9} {compared:16}")
