"""Damage that FFmpeg itself reports in a video. Taught in the chapter *Load video*.

OpenCV returns frames, but not FFmpeg's error messages, which FFmpeg prints. Therefore a separate
process decodes the file, and its output is read. This takes about a second, so `helpers.video` does
it only for files that look suspicious, and refuses them only if FFmpeg reports an error.
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
remaining, convert = map(int, sys.argv[2:])
while remaining and capture.grab():
    remaining -= 1
    if convert:
        capture.retrieve()
"""
# OpenCV prints this before each message of FFmpeg's.
_PREFIX = "[OPENCV:FFMPEG:"
# FFmpeg's log level for errors.
_ERROR_LEVEL = "16"
# Errors that FFmpeg reports for intact files: they concern the hidden frames of a trimmed video, or
# chapters.
_HARMLESS = re.compile(
    "^mmco: |co located POCs unavailable|number of reference frames|QT chapter track"
)
_UNSUPPORTED = re.compile(
    r"(not|n't) (yet )?(support|implement)|unsupported|pixel format", re.IGNORECASE
)


def decoding_errors(
    path: str | os.PathLike[str], n_frames: int = -1, *, convert: bool = False
) -> tuple[str, ...]:
    """Decode a video in a separate process and return FFmpeg's error messages.

    Args:
        path: The video file.
        n_frames: Number of frames to decode from the start; a negative number means all.
        convert: Whether to convert the frames to RGB as well.

    Returns:
        The messages, without harmless ones; empty if the file decodes without an error.
    """
    path = pathlib.Path(path).absolute()
    stat = path.stat()
    return _decoding_errors(path, n_frames, int(convert), stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=1024)
def _decoding_errors(
    path: pathlib.Path, n_frames: int, convert: int, modified: int, size: int
) -> tuple[str, ...]:
    """Do the work of `decoding_errors`, once for each time of modification and size of a file."""
    environment = os.environ | {"OPENCV_FFMPEG_LOGLEVEL": _ERROR_LEVEL, "OPENCV_LOG_LEVEL": "OFF"}
    done = subprocess.run(
        [sys.executable, "-c", _DECODE, os.fsencode(path), str(n_frames), str(convert)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    lines = done.stdout.decode(errors="replace").splitlines()
    reported = (line.partition("] ")[2] for line in lines if line.startswith(_PREFIX))
    messages = tuple(message for message in reported if not _HARMLESS.search(message))
    if done.returncode and not messages:  # a decoder that crashes reports nothing
        return (f"the decoder ended with status {done.returncode}",)
    return messages


def is_unsupported(path: str | os.PathLike[str]) -> bool:
    """Return whether FFmpeg can't decode files of this kind, rather than only this damaged file."""
    messages = decoding_errors(path, 1)
    return bool(messages) and _UNSUPPORTED.search(messages[0]) is not None


def is_unconverted(path: str | os.PathLike[str]) -> bool:
    """Return whether OpenCV can't convert the frames to RGB because they are interlaced.

    OpenCV does not report the failure; the frames it returns are uninitialised memory.
    """
    return any("interlaced" in message for message in decoding_errors(path, 1, convert=True))
