"""What the tests share. Videos here tell which frame of which clip one is looking at: see `write_video`."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import cv2
import numpy as np
import pytest

from helpers import archive, puppets

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
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.CAP_OPENCV_MJPEG, cv2.VideoWriter_fourcc(*"MJPG"), 25, (width, height))
    for image in images:
        writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def write_video(path, n_frames, clip=0):
    """Write a video whose frames tell their numbers, up to 255; return its path."""
    return write_images(path, [draw_numbers(frame, clip) for frame in range(n_frames)])
