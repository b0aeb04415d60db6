"""What FFmpeg itself says is wrong with a video. Taught in the chapter *Load video*.

OpenCV hands on frames, not FFmpeg's error messages. They are printed, so a process of its own
decodes the file and its output is read. That takes a second or so; `helpers.video` asks only where
a file looks suspicious, and refuses it only if an error was reported.
"""

import functools
import os
import pathlib
import re
import subprocess
import sys

_DECODE = """
import os, sys
import cv2

capture = cv2.VideoCapture(os.fsencode(sys.argv[1]), cv2.CAP_FFMPEG, (cv2.CAP_PROP_N_THREADS, 1))
left, convert = map(int, sys.argv[2:])
while left and capture.grab():
    left -= 1
    if convert:
        capture.retrieve()
"""
# OpenCV prints FFmpeg's messages behind this, down to the level asked for: 16 stands for errors.
_PREFIX, _ERRORS = "[OPENCV:FFMPEG:", "16"
# What FFmpeg reports as an error of files that play as they should: of frames that a trimmed video
# hides, and of chapters.
_HARMLESS = re.compile(
    "^mmco: |co located POCs unavailable|number of reference frames|QT chapter track"
)
_UNSUPPORTED = re.compile(
    r"(not|n't) (yet )?(support|implement)|unsupported|pixel format", re.IGNORECASE
)


def decoding_errors(path, n_frames=-1, *, convert=False):
    """Decode a video in a process of its own and return FFmpeg's error messages.

    Args:
        path: The video file.
        n_frames: Frames to decode; all of them where it is negative.
        convert: Whether to convert the frames to RGB, too.

    Returns:
        A tuple of messages, empty where the file decodes without an error; harmless ones are left
        out.
    """
    path = pathlib.Path(path).absolute()
    stat = path.stat()
    return _decoding_errors(path, n_frames, int(convert), stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=1024)
def _decoding_errors(path, n_frames, convert, modified, size):
    """Remember what was reported as long as the file has the same time and size."""
    environment = os.environ | {"OPENCV_FFMPEG_LOGLEVEL": _ERRORS, "OPENCV_LOG_LEVEL": "OFF"}
    command = [sys.executable, "-c", _DECODE, os.fsencode(path), str(n_frames), str(convert)]
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
    )
    lines = done.stdout.decode(errors="replace").splitlines()
    reported = (line.partition("] ")[2] for line in lines if line.startswith(_PREFIX))
    messages = tuple(message for message in reported if not _HARMLESS.search(message))
    # A decoder that crashes reports nothing.
    return messages or (f"the decoder ended with status {done.returncode}",) * bool(done.returncode)


def is_unsupported(path):
    """Return whether FFmpeg says that it can't decode files of this kind, and not that this one is damaged."""
    messages = decoding_errors(path, 1)
    return bool(messages) and _UNSUPPORTED.search(messages[0]) is not None


def is_unconverted(path):
    """Return whether OpenCV fails to convert the frames of an interlaced video to RGB: it then returns what memory holds."""
    return any("interlaced" in message for message in decoding_errors(path, 1, convert=True))
