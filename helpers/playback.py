"""Read a video once from start to end, and write a video. Taught in *Try your own video*.

`helpers.video` reads a few frames of a clip by their numbers. This module reads a video of any
length once, and yields each frame with its time, because frame rates differ between cameras and may
vary within a video.
"""

import collections
import itertools
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np

from helpers import video
from helpers.atomic import atomic_write, locked
from helpers.clips import as_url
from helpers.video import VideoReadError

# Frames per second of the puppets and of most clips of UCF101 (the others have 30): the frame rate
# that a frame step in training refers to.
FPS = 25
# Time stamps that advance by less than this many seconds, or go backwards, are wrong.
_SHORTEST = 0.001
# A motion-triggered camera may pause for minutes; a longer pause is a wrong time stamp.
_LONGEST = 600
_A_DAY = 86_400
# A video that ends before this fraction of its declared length is checked for damage.
_COMPLETE = 0.9
# The end of a part may be rounded up by this many seconds beyond the video's end.
_END_TOLERANCE = 1
# Codecs of written videos by file extension.
_CODECS = {".mp4": "mp4v", ".avi": "MJPG"}


class Playback:
    """The frames of a video, decoded once. Iterating yields the time of each frame in seconds.

    Args:
        path: A video in any container format that OpenCV reads.

    Attributes:
        nominal_step: Seconds per frame according to the header; 1/25 if the header is implausible.
        n_frames: Frames read so far.
        time: When the latest frame is shown, in seconds.
        size: `(height, width)` in pixels of the latest retrieved frame, upright, with square
            pixels.
        notes: Sentences about irregularities of the video; complete once iteration has ended.

    Raises:
        VideoReadError: The video can't be opened or decoded, its first frames are lost, or, at its
            end, it turns out to be damaged.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = pathlib.Path(path)
        self.notes: list[str] = []
        # Raises an error if the first frames are lost or can't be converted.
        video.read_frames(path, lambda length: range(min(length, 2)), (4, 4), to_end=False)
        self.capture = video.open_video(path)
        self.aspect = video.pixel_aspect(self.capture)
        rate = self.capture.get(cv2.CAP_PROP_FPS)
        self.nominal_step = 1 / rate if _SHORTEST <= 1 / max(rate, 1e-9) <= 10 else 1 / FPS
        # Each frame of a time lapse is shown for long, and the header contains its rate.
        self._longest = max(_LONGEST, min(2 / max(rate, 1e-9), _A_DAY))
        self.n_frames, self.time = 0, 0.0
        self.size: tuple[int, int] | None = None
        self._steps: collections.Counter[float] = collections.Counter()
        self._jumps: list[tuple[float, float]] = []
        self._stuck: list[tuple[int, float]] = []

    @property
    def length(self) -> float:
        """The duration of the frames read so far, in seconds."""
        return self.time + self.step

    def __iter__(self) -> Iterator[float]:
        before = None
        while self.capture.grab():
            stamp = self.capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if self.n_frames:
                self.time += self._plausible_step(stamp - before)
            before, self.n_frames = stamp, self.n_frames + 1
            yield self.time
        self._end()

    def frame(self) -> np.ndarray:
        """Return the current frame as a player shows it, uint8 RGB `(height, width, 3)`."""
        decoded, frame = self.capture.retrieve()
        if not decoded:
            raise VideoReadError(
                f"{self.path} can't be decoded at frame {self.n_frames - 1}; {video.REMEDY}."
            )
        if self.aspect != 1:
            width = max(1, round(frame.shape[1] * self.aspect))
            frame = cv2.resize(frame, (width, frame.shape[0]), interpolation=cv2.INTER_AREA)
        self.size = frame.shape[:2]
        return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)

    def previous_frame(self) -> np.ndarray:
        """Return the frame before the current one; this decodes the video again up to there."""
        assert self.size is not None, "the current frame must have been retrieved"
        previous = self.n_frames - 2
        frames, _ = video.read_frames(self.path, lambda length: [previous], self.size, to_end=False)
        return frames[0]

    def read_all(self, n_frames: int, output_size: tuple[int, int]) -> np.ndarray:
        """Return the complete video as one clip, its frames evenly spaced from first to last.

        Args:
            n_frames: Frames in the clip.
            output_size: `(height, width)` in pixels.

        Returns:
            uint8 RGB `(n_frames, *output_size, 3)`.
        """
        step = self.n_frames + 1
        return video.frames_from_video_file(self.path, n_frames, output_size, step, start=0)

    @property
    def step(self) -> float:
        """Seconds for which most of the frames so far are shown, or the nominal step."""
        ((step, _),) = self._steps.most_common(1) or [(self.nominal_step, 0)]
        return self.nominal_step if abs(step - self.nominal_step) < _SHORTEST else step

    def _plausible_step(self, step):
        """Return the seconds between two frames: by the time stamps, if these are plausible."""
        if _SHORTEST <= step <= self._longest:
            self._steps[round(step, 4)] += 1
            return step
        if step > self._longest:
            self._jumps.append((self.time, step))
        else:
            self._stuck.append((self.n_frames, self.time))
        return self.step

    def _end(self):
        declared = self.capture.get(cv2.CAP_PROP_FRAME_COUNT)
        # If a file declares no number of frames, OpenCV computes one from duration and rate, which
        # may be nonsense.
        rate = self.capture.get(cv2.CAP_PROP_FPS)
        seconds = declared * min(self.nominal_step, 1 / max(rate, 1e-9))
        self.capture.release()
        # A trimmed video hides the frames before its beginning; then the header is right.
        is_short = (
            self.length < _COMPLETE * seconds
            and video.check_decoded(self.path, self.n_frames) < _COMPLETE * declared
        )
        if is_short and not self._jumps and round(seconds, 1) != round(self.length, 1):
            self.notes.append(
                f"The header declares {seconds:.1f} s, but the frames last {self.length:.1f} s."
            )
        self.notes += self._repairs()
        if self.n_frames == 1:
            self.notes.append("The video has only one frame, in which nothing can move.")

    def _repairs(self):
        """Return sentences about the time stamps that were ignored."""
        # In some healthy files the last frame has no time stamp.
        stuck = [
            second
            for number, second in self._stuck
            if number < self.n_frames - 1 or len(self._stuck) > 1
        ]
        few = self.n_frames / 10
        if len(stuck) > few or len(self._jumps) > max(3, few):
            rate = f"{1 / self.step:.0f} frames per second"
            return [f"The time stamps are implausible, so {rate} are assumed."]
        notes = [
            f"After {second:.1f} s the time stamps jump ahead by {step:.0f} s. This is ignored, "
            f"because a pause of more than {self._longest:.0f} s is probably an error in the file."
            for second, step in self._jumps
        ]
        if stuck:
            notes.append(
                f"{len(stuck)} of the {self.n_frames} time stamps are wrong, the first after "
                f"{stuck[0]:.1f} s, because time doesn't advance there. Such a frame is shown "
                f"{self.step:.3f} s after the previous one."
            )
        return notes


def find_frames(
    path: str | os.PathLike[str], parts: Iterable[Sequence[float] | np.ndarray]
) -> list[tuple[int, int]]:
    """Find the frames of parts of a video that are given in seconds.

    The frames' own times count, because phones record at varying rates.

    Args:
        path: The video file, which is decoded once.
        parts: Begin and end of each part in seconds; nan stands for the video's begin or end.

    Returns:
        `(first, stop)` for each part: its first frame, and the first one after it.

    Raises:
        VideoReadError: The video can't be opened or decoded.
        ValueError: A part is not in the video, or between two of its frames.
    """
    playback = Playback(path)
    times = round_times(list(playback))
    return [find_part(path, times, playback.length, begin, end) for begin, end in parts]


def round_times(times: Sequence[float]) -> np.ndarray:
    """Return times in seconds, rounded because 0.2 s and 5/25 s may differ in the last digit."""
    return np.round(times, 4)


def find_part(
    path: str | os.PathLike[str], times: np.ndarray, length: float, begin: float, end: float
) -> tuple[int, int]:
    """Return what `find_frames` returns for one part of a video that has been decoded.

    Args:
        path: The video file, for the errors' messages.
        times: The time of each frame in seconds, from `round_times`.
        length: Duration of the video in seconds.
        begin: The part's begin in seconds; nan stands for the video's begin.
        end: The part's end in seconds; nan stands for the video's end.
    """
    begin = 0.0 if np.isnan(begin) else begin
    if begin >= length or end > length + _END_TOLERANCE:
        raise ValueError(
            f"{path} lasts {length:.1f} s, but a clip of it is from {begin:g} s to "
            f"{'its end' if np.isnan(end) else f'{end:g} s'}; correct the times, or leave the "
            "end empty for the video's end."
        )
    first, stop = np.searchsorted(times, round_times([begin, end])).tolist()
    if first >= stop:
        raise ValueError(f"{path} has no frame from {begin:g} to {end:g} s; choose a longer clip.")
    return first, stop


def check_target(
    path: str | os.PathLike[str], source: str | os.PathLike[str] | None = None
) -> None:
    """Check that a video can be written to a path, before the work of computing it.

    Args:
        path: The video to write.
        source: The video that it is made from.

    Raises:
        ValueError: The path doesn't end in `.mp4` or `.avi`, or is the source or a folder.
    """
    path = pathlib.Path(path)
    if url := as_url(path):
        raise ValueError(f"{url} is a web address; name a file on this machine.")
    if path.suffix.lower() not in _CODECS or path.is_dir():
        raise ValueError(
            f"{path} can't be written; name a file that ends in {' or '.join(_CODECS)}."
        )
    if source and path.exists() and path.samefile(source):
        raise ValueError(f"{path} is the source video; choose another name for the copy.")


def constant_frame_rate(
    timed: Iterable[tuple[float, np.ndarray]], fps: float
) -> Iterator[np.ndarray]:
    """Repeat or drop frames so that, at a constant frame rate, each is shown at its time.

    Args:
        timed: Pairs of a frame's time in seconds and the frame, in order, from second 0 on.
        fps: Frames per second.

    Yields:
        Frames.
    """
    before: np.ndarray = np.empty(0)
    written = 0
    for second, frame in timed:
        for _ in range(int(second * fps + 0.5) - written):
            yield before
            written += 1
        before = frame
    yield before


def write_video(
    path: str | os.PathLike[str], frames: Iterable[np.ndarray], fps: float = FPS
) -> None:
    """Write a video file, completely or not at all.

    Args:
        path: A path that ends in `.mp4` or `.avi`.
        frames: At least one uint8 RGB frame `(height, width, 3)`; all have the same size.
        fps: Frames per second.

    Raises:
        ValueError: The path ends otherwise, or is a folder; there are no frames, or their sizes
            differ.
        OSError: The file can't be written.
    """
    path, frames = pathlib.Path(path), iter(frames)
    check_target(path)
    first = next(frames, None)
    if first is None:
        raise ValueError(f"{path} can't be written, because there are no frames.")
    try:
        with locked(path.parent), atomic_write(path) as temp_path:
            _write(path, temp_path, itertools.chain([first], frames), fps, first.shape[:2])
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(
            f"{path} can't be written ({error.strerror}); choose another folder."
        ) from error


def _write(path, temp_path, frames, fps, size):
    """Write frames to the temporary file of a video."""
    target, (height, width) = os.fsencode(temp_path.absolute()), size
    code = cv2.VideoWriter_fourcc(*_CODECS[path.suffix.lower()])
    options = code, round(fps, 2), (width, height)
    writer, written = cv2.VideoWriter(target, cv2.CAP_FFMPEG, *options), 0
    if not writer.isOpened():
        raise OSError(
            f"{path} can't be written: either frames of {width} x {height} pixels at {fps:.4g} per "
            "second can't be encoded, or the disk is full; choose another folder."
        )
    for frame in frames:
        if frame.shape[:2] != size:  # OpenCV would drop the frame silently.
            raise ValueError(
                f"{path} can't be written: frame {written} has {frame.shape[1]} x "
                f"{frame.shape[0]} pixels, not {width} x {height}; resize the frames to one size."
            )
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        written += 1
    writer.release()
    # OpenCV reports no error if the disk is full.
    copy = cv2.VideoCapture(target, cv2.CAP_FFMPEG)
    if copy.get(cv2.CAP_PROP_FRAME_COUNT) != written:
        raise OSError(
            f"{path} can't be written completely; free disk space, or choose another folder."
        )
