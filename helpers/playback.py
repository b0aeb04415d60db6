"""A video as it plays, and a video written. Taught in the chapter *Try your own video*.

`helpers.video` reads a few frames of a clip by their numbers. Here a video of any length goes by
once, and each frame comes with the second at which it is shown, for cameras differ in frames a
second, and phones change theirs on the way.
"""

import collections
import itertools
import os
import pathlib

import cv2

from helpers import video
from helpers.atomic import atomic_write, locked
from helpers.clips import as_url
from helpers.video import VideoReadError

# Frames a second of the puppets and of most clips of UCF101 (the others have 30): what a frame step
# in training stands for.
FPS = 25
# From one frame to the next a time stamp moves on by so many seconds at least; by fewer, or
# backwards, it is wrong.
_SHORTEST = 0.001
# A camera that records motion only may pause for minutes; what is said to be a longer pause is a
# wrong time stamp.
_LONGEST = 600
_A_DAY = 86_400
# A video that ends before this share of its length is looked into.
_MOST = 0.9
# What a written video is coded in, by the end of its name.
_CODES = {".mp4": "mp4v", ".avi": "MJPG"}


class Playback:
    """A video's frames from the first to the last, decoded once. Iterating yields the second at which each one is shown.

    Args:
        path: A video of any kind that OpenCV reads.

    Attributes:
        usual: Seconds from one frame to the next, by the header; 1/25 where it says nothing that makes sense.
        count: Frames so far.
        last: The second at which the latest one is shown.
        size: `(height, width)` in pixels of the picture looked at last, upright, its pixels square.
        notes: Sentences on what is odd about the video, complete at its end.

    Raises:
        VideoReadError: It can't be opened or decoded, its first frames are lost, or, at its end, it is damaged.
    """

    def __init__(self, path):
        self.path, self.notes = pathlib.Path(path), []
        # Whether its first frames are lost, or can't be shown.
        video.read_frames(path, lambda length: range(min(length, 2)), (4, 4), to_end=False)
        self.capture = video.open_video(path)
        self.aspect = video.pixel_aspect(self.capture)
        rate = self.capture.get(cv2.CAP_PROP_FPS)
        self.usual = 1 / rate if _SHORTEST <= 1 / max(rate, 1e-9) <= 10 else 1 / FPS
        # Of a time lapse each frame is shown for long, and the header knows.
        self._longest = max(_LONGEST, min(2 / max(rate, 1e-9), _A_DAY))
        self.count, self.last, self.size = 0, 0.0, None
        self._steps, self._jumps, self._stuck = collections.Counter(), [], []

    @property
    def length(self):
        """How many seconds the frames so far last, the latest one as long as most of them."""
        return self.last + self.step

    def __iter__(self):
        before = None
        while self.capture.grab():
            stamp = self.capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if self.count:
                self.last += self._believe(stamp - before)
            before, self.count = stamp, self.count + 1
            yield self.last
        self._end()

    def picture(self):
        """Return the present frame as it is shown, uint8 RGB `(height, width, 3)`."""
        there, frame = self.capture.retrieve()
        if not there:
            raise VideoReadError(
                f"{self.path} can't be decoded at frame {self.count - 1}; {video.REMEDY}."
            )
        if self.aspect != 1:
            frame = cv2.resize(
                frame,
                (max(1, round(frame.shape[1] * self.aspect)), frame.shape[0]),
                interpolation=cv2.INTER_AREA,
            )
        self.size = frame.shape[:2]
        return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)

    def previous_frame(self):
        """Return the frame before the present one as it is shown; the video is decoded once more up to there."""
        pictures, _ = video.read_frames(
            self.path, lambda length: [self.count - 2], self.size, to_end=False
        )
        return pictures[0]

    def read(self, n_frames, output_size):
        """Return the whole video as one clip, uint8 RGB `(n_frames, *output_size, 3)`, its frames spread evenly from first to last."""
        return video.frames_from_video_file(
            self.path, n_frames, output_size, self.count + 1, start=0
        )

    @property
    def step(self):
        """How many seconds most of the frames so far are shown for, or should be by the header."""
        ((step, _),) = self._steps.most_common(1) or [(self.usual, 0)]
        return self.usual if abs(step - self.usual) < _SHORTEST else step

    def _believe(self, step):
        """Return the seconds from one frame to the next: what the time stamps say, or the usual where they can't be right."""
        if _SHORTEST <= step <= self._longest:
            self._steps[round(step, 4)] += 1
            return step
        if step > self._longest:
            self._jumps.append((self.last, step))
        else:
            self._stuck.append((self.count, self.last))
        return self.step

    def _end(self):
        declared = self.capture.get(cv2.CAP_PROP_FRAME_COUNT)
        # Where a file tells no number of frames, OpenCV makes one up from duration and rate, which
        # may be nonsense.
        seconds = declared * min(self.usual, 1 / max(self.capture.get(cv2.CAP_PROP_FPS), 1e-9))
        self.capture.release()
        # Frames may be hidden, such as those before the beginning of a trimmed video; then the
        # header is right.
        short = (
            self.length < _MOST * seconds
            and video.check_decoded(self.path, self.count) < _MOST * declared
        )
        if short and not self._jumps and round(seconds, 1) != round(self.length, 1):
            self.notes.append(
                f"Its header speaks of {seconds:.1f} s; its frames last {self.length:.1f} s."
            )
        self.notes += self._repairs()
        if self.count == 1:
            self.notes.append("It has one frame only, in which nothing can move.")

    def _repairs(self):
        """Return sentences on the time stamps that were not believed."""
        # Of some healthy files the last frame has no stamp.
        stuck = [
            second
            for number, second in self._stuck
            if number < self.count - 1 or len(self._stuck) > 1
        ]
        if len(stuck) > self.count / 10 or len(self._jumps) > max(3, self.count / 10):
            return [
                f"Its time stamps make no sense; so it is taken to show {1 / self.step:.0f} frames a second."
            ]
        notes = [
            f"After {second:.1f} s its time stamps jump ahead by {step:.0f} s; this is left out, because a pause of more than {self._longest:.0f} s "
            "is taken for a mistake in the file."
            for second, step in self._jumps
        ]
        if stuck:
            times = f"Of its {self.count} time stamps {len(stuck)} can't be right, the first after {stuck[0]:.1f} s, for time doesn't move on there"
            notes.append(
                f"{times}; a frame of such a stamp is taken to follow after {self.step:.3f} s."
            )
        return notes


def check_target(path, source=None):
    """Make sure that a video can be called so, before there is work to lose.

    Args:
        path: What the video is to be called.
        source: The video that it is made from.

    Raises:
        ValueError: The name doesn't end in `.mp4` or `.avi`, or is that of the source or of a
            folder.
    """
    path = pathlib.Path(path)
    if url := as_url(path):
        raise ValueError(f"{url} is a web address; name a file on this machine.")
    if path.suffix.lower() not in _CODES or path.is_dir():
        raise ValueError(
            f"{path} can't be written; name a file that ends in {' or '.join(_CODES)}."
        )
    if source and path.exists() and path.samefile(source):
        raise ValueError(f"{path} is the video itself; give its copy another name.")


def constant_frame_rate(timed, fps):
    """Repeat frames, or leave some out, so that at an even rate each is shown at its time.

    Args:
        timed: Pairs of the second at which a frame is shown and the frame, in their order, from
            second 0 on.
        fps: Frames a second.

    Yields:
        Frames.
    """
    before, written = None, 0
    for second, frame in timed:
        for _ in range(int(second * fps + 0.5) - written):
            yield before
            written += 1
        before = frame
    yield before


def write_video(path, frames, fps=FPS):
    """Write a video that is there whole or not at all.

    Args:
        path: A name that ends in `.mp4` or `.avi`.
        frames: uint8 RGB frames `(height, width, 3)` of one size, any iterable of at least one.
        fps: Frames a second.

    Raises:
        ValueError: The name ends otherwise, or is a folder's; there are no frames, or they differ
            in size.
        OSError: The file can't be written.
    """
    path, frames = pathlib.Path(path), iter(frames)
    check_target(path)
    first = next(frames, None)
    if first is None:
        raise ValueError(f"{path} can't be written; there are no frames to write.")
    try:
        with locked(path.parent), atomic_write(path) as temp_path:
            _write(path, temp_path, itertools.chain([first], frames), fps, first.shape[:2])
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(f"{path} can't be written ({error.strerror}); write elsewhere.") from error


def _write(path, temp_path, frames, fps, size):
    """Write a video to its temp_path."""
    place, (height, width) = os.fsencode(temp_path.absolute()), size
    code = cv2.VideoWriter_fourcc(*_CODES[path.suffix.lower()])
    writer, written = (
        cv2.VideoWriter(place, cv2.CAP_FFMPEG, code, round(fps, 2), (width, height)),
        0,
    )
    if not writer.isOpened():
        raise OSError(
            f"{path} can't be written: frames of {width} x {height} pixels, {fps:.4g} a second, can't be coded, or there is no room; write elsewhere."
        )
    for frame in frames:
        if frame.shape[:2] != size:  # OpenCV would leave it out without a word
            raise ValueError(
                f"{path} can't be written: frame {written} has {frame.shape[1]} x {frame.shape[0]} pixels, not {width} x {height}; make them alike."
            )
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        written += 1
    writer.release()
    # OpenCV says nothing when a disk is full.
    if cv2.VideoCapture(place, cv2.CAP_FFMPEG).get(cv2.CAP_PROP_FRAME_COUNT) != written:
        raise OSError(f"{path} can't be written whole; make room there, or write elsewhere.")
