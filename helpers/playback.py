"""A video as it plays, and a video written. Taught in the chapter *Try your own video*.

`helpers.video` reads a few frames of a clip by their numbers. Here a video of any length goes by once, and each frame comes with
the second at which it is shown, for cameras differ in frames a second, and phones change theirs on the way.
"""

import contextlib
import itertools
import os
import pathlib

import cv2

from helpers import video
from helpers.files import locked, whole
from helpers.video import VideoReadError

# Frames a second of the puppets and of most clips of UCF101 (the others have 30): what a frame step in training stands for.
FPS = 25
# From one frame to the next a time stamp may move on by so many seconds; by fewer, more or backwards, it is wrong.
_SHORTEST, _LONGEST = 0.001, 10
# A video that ends before this share of its length is looked into.
_WHOLE = 0.9
# What a written video is coded in, by the end of its name.
_CODES = {".mp4": "mp4v", ".avi": "MJPG"}
_WAY_OUT = "convert it with another program, or record it anew"


class Playback:
    """A video's frames from the first to the last, decoded once. Iterating yields the second at which each one is shown.

    Args:
        path: A video of any kind that OpenCV reads.

    Attributes:
        usual: Seconds from one frame to the next, by the header; 1/25 where it says nothing that makes sense.
        count: Frames so far.
        last: The second at which the latest one is shown.
        size: `(height, width)` in pixels of the picture looked at last, upright.
        notes: Sentences on what is odd about the video, complete at its end.

    Raises:
        VideoReadError: It can't be opened or decoded, its first frames are lost, or, at its end, it is damaged.
    """

    def __init__(self, path):
        self.path, self.notes = pathlib.Path(path), []
        _expect_video(self.path)
        # OpenCV turns frames upright by itself, where a phone has noted how it was held.
        self.capture = cv2.VideoCapture(os.fsencode(self.path.absolute()), cv2.CAP_FFMPEG)
        rate = self.capture.get(cv2.CAP_PROP_FPS)
        self.usual = 1 / rate if _SHORTEST <= 1 / max(rate, 1e-9) <= _LONGEST else 1 / FPS
        self.count, self.last, self.size = 0, 0.0, None

    @property
    def length(self):
        """How many seconds the frames so far last."""
        return self.last + (self.last / (self.count - 1) if self.count > 1 else self.usual)

    def __iter__(self):
        before, guessed = None, 0
        while self.capture.grab():
            stamp = self.capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if self.count:
                told = _SHORTEST <= stamp - before <= _LONGEST
                self.last += stamp - before if told else self.usual
                guessed += not told
            before, self.count = stamp, self.count + 1
            yield self.last
        self._end(guessed)

    def picture(self):
        """Return the present frame, uint8 RGB `(height, width, 3)`."""
        there, frame = self.capture.retrieve()
        if not there:
            raise VideoReadError(f"{self.path} can't be decoded at frame {self.count - 1}; {_WAY_OUT}.")
        self.size = frame.shape[:2]
        return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)

    def read(self, n_frames, output_size):
        """Return the whole video as one clip, uint8 RGB `(n_frames, *output_size, 3)`, its frames spread evenly from first to last."""
        with _own_videos():
            return video.frames_from_video_file(self.path, n_frames, output_size, self.count + 1, start=0)

    def _end(self, guessed):
        # In seconds, because where a file tells no number of frames, OpenCV makes one up from duration and rate.
        declared = self.capture.get(cv2.CAP_PROP_FRAME_COUNT) * self.usual
        self.capture.release()
        if self.length < _WHOLE * declared:
            with _own_videos():
                # Decodes once more, to tell a wrong header from damage.
                video.read_pictures(self.path, lambda length: [0], (1, 1))
            if round(declared, 1) != round(self.length, 1):
                self.notes.append(f"Its header speaks of {declared:.1f} s; it ends after {self.length:.1f} s.")
        if guessed > self.count / 10:
            self.notes.append(f"Its time stamps make no sense; so it is taken to show {1 / self.usual:.0f} frames a second.")
        if self.count == 1:
            self.notes.append("It has one frame only, in which nothing can move.")


@contextlib.contextmanager
def _own_videos():
    """`helpers.video` advises to fetch a damaged clip again; there is no other copy of one's own video."""
    try:
        yield
    except VideoReadError as error:
        raise VideoReadError(f"{str(error).rpartition(';')[0]}; {_WAY_OUT}.") from error


def _expect_video(path):
    """Raises VideoReadError if it isn't one, or its first frames are lost."""
    if not path.exists():
        raise VideoReadError(f"{path} is not there; check its name.")
    if path.is_dir():
        raise VideoReadError(f"{path} is a folder; name the videos in it.")
    if not path.is_file():
        raise VideoReadError(f"{path} is no file; name a video.")
    with _own_videos():
        video.read_pictures(path, lambda length: [0], (1, 1), to_end=False)


def expect_place(path, source=None):
    """Make sure that a video can be called so, before there is work to lose.

    Args:
        path: What the video is to be called.
        source: The video that it is made from.

    Raises:
        ValueError: The name doesn't end in `.mp4` or `.avi`, or is that of the source or of a folder.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() not in _CODES or path.is_dir():
        raise ValueError(f"{path} can't be written; name a file that ends in {' or '.join(_CODES)}.")
    if source and path.exists() and path.samefile(source):
        raise ValueError(f"{path} is the video itself; give its copy another name.")


def at_even_rate(timed, fps):
    """Repeat frames, or leave some out, so that at an even rate each is shown at its time.

    Args:
        timed: Pairs of the second at which a frame is shown and the frame, in their order, from second 0 on.
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
        ValueError: The name ends otherwise, or is a folder's; there are no frames, or they differ in size.
        OSError: The file can't be written.
    """
    path, frames = pathlib.Path(path), iter(frames)
    expect_place(path)
    first = next(frames, None)
    if first is None:
        raise ValueError(f"{path} can't be written; there are no frames to write.")
    try:
        with locked(path.parent), whole(path) as draft:
            _write(path, draft, itertools.chain([first], frames), fps, first.shape[:2])
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(f"{path} can't be written ({error.strerror}); write elsewhere.") from error


def _write(path, draft, frames, fps, size):
    """Write a video to its draft."""
    place, (height, width) = os.fsencode(draft.absolute()), size
    code = cv2.VideoWriter_fourcc(*_CODES[path.suffix.lower()])
    writer, written = cv2.VideoWriter(place, cv2.CAP_FFMPEG, code, round(fps, 2), (width, height)), 0
    if not writer.isOpened():
        raise OSError(f"{path} can't be written: frames of {width} x {height} pixels, {fps:.4g} a second, can't be coded, or there is no room; write elsewhere.")
    for frame in frames:
        if frame.shape[:2] != size:  # OpenCV would leave it out without a word
            raise ValueError(f"{path} can't be written: frame {written} has {frame.shape[1]} x {frame.shape[0]} pixels, not {width} x {height}; make them alike.")
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        written += 1
    writer.release()
    # OpenCV says nothing when a disk is full.
    if cv2.VideoCapture(place, cv2.CAP_FFMPEG).get(cv2.CAP_PROP_FRAME_COUNT) != written:
        raise OSError(f"{path} can't be written whole; make room there, or write elsewhere.")
