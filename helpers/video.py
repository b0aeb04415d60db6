"""From a video file to frames. Taught in the chapter *Load video*; where the time goes, in *Feed the GPU*.

Files are decoded from their first frame on, because seeking in compressed video is not exact, and what decodes decides
how long a clip is, because headers can be wrong.
"""

import contextlib
import os
import pathlib
import shlex

import cv2
import numpy as np

from helpers import damage
from helpers.clips import as_url, list_clips

# pip doesn't see to OpenCV's version, because the package doesn't ask for it. 4.12 gets colours
# wrong where a clip changes its pixel format.
if tuple(map(int, cv2.__version__.split(".")[:2])) < (4, 13):
    wheels = "opencv-python or opencv-python-headless, whichever pip list names"
    raise ImportError(
        f"OpenCV {cv2.__version__} is too old for helpers.video; update it by pip install --upgrade ({wheels})."
    )

# A file of whose frames fewer than this share decode is looked into; a few may be missing at an odd
# end.
_MOST = 0.9
# A picture is of one colour if it strays less than this from it, of 255.
_FLAT = 1
# A pixel that is said to be so many times as wide as high, or as high as wide, is a mistake in the
# header.
_WIDEST = 8
# One that strays less from a square is an encoder's rounding, not seen by anyone; six in 500 clips
# of UCF101 have such.
_SQUARE = 0.01
REMEDY = "fetch, convert or record it anew, or leave it out"
# What codecs are called by those who don't go by their four letters.
_CODECS = {"AV01": "AV1"}


class VideoReadError(OSError):
    """A video file that can't be opened or decoded. The message names the file and what to do."""


def frames_from_video_file(
    path,
    n_frames,
    output_size=(224, 224),
    frame_step=15,
    *,
    start="random",
    seed=None,
    start_step=1,
):
    """Read frames at even distances from a video file.

    A clip too short for `n_frames` at `frame_step` is sampled at a smaller, even distance from its
    first frame to its last; with fewer than `n_frames` frames altogether some are shown twice.
    Order and extent of the action stay, and no frame is invented.

    Args:
        path: The video file.
        n_frames: Frames to return.
        output_size: `(height, width)` in pixels. Frames keep their proportions; black bars fill
            what is left.
        frame_step: Frames from one returned frame to the next.
        start: The first frame: `"random"`, `"center"` (as much of the clip before as after), or its
            number.
        seed: What `numpy.random.default_rng` takes; the same seed gives the same random start.
        start_step: Frames from one possible random start to the next.

    Returns:
        uint8 RGB frames `(n_frames, height, width, 3)`.

    Raises:
        VideoReadError: The file can't be opened or decoded.
        ValueError: `start`, `n_frames`, `frame_step` or `start_step` make no sense for this clip.
    """

    def choose(length):
        return frame_indices(length, n_frames, frame_step, start, seed, start_step)

    # Where a clip ends matters to its centre and to the starts to choose from, but not to a start
    # that is given.
    pictures, _ = read_frames(path, choose, output_size, to_end=isinstance(start, str))
    return pad(pictures, output_size)


def clips_from_video_file(path, n_clips, n_frames, output_size=(224, 224), frame_step=15):
    """Read several clips from a video file, at even distances from its beginning to its end.

    So that all of it is seen, and not its middle only; the clips overlap where there is no room for
    all of them. Of a video that is too short for two different clips, all are the same. Taught in
    the chapter *Evaluate*.

    Args:
        path: The video file.
        n_clips: Clips to return; a single one is the middle.
        n_frames: Frames a clip.
        output_size: `(height, width)` in pixels.
        frame_step: Frames from one frame of a clip to the next.

    Returns:
        uint8 RGB frames `(n_clips, n_frames, height, width, 3)`.

    Raises:
        VideoReadError: The file can't be opened or decoded.
        ValueError: `n_clips`, `n_frames` or `frame_step` is less than 1.
    """
    if n_clips < 1:
        raise ValueError(f"n_clips is at least 1, not {n_clips}.")
    chosen = []

    def choose(length):
        last = max(length - (1 + (n_frames - 1) * frame_step), 0)
        starts = [last // 2] if n_clips == 1 else np.linspace(0, last, n_clips).round().astype(int)
        chosen[:] = [frame_indices(length, n_frames, frame_step, start) for start in starts]
        return np.unique(chosen)

    pictures, _ = read_frames(path, choose, output_size)
    return pad(pictures[np.searchsorted(np.unique(chosen), chosen)], output_size)


def frame_indices(length, n_frames, frame_step, start="random", seed=None, start_step=1):
    """Choose which frames of a clip to read; see `frames_from_video_file`.

    Args:
        length: Frames that the clip has.

    Returns:
        `n_frames` numbers from 0 to `length - 1`, ascending.

    Raises:
        ValueError: `start` is not a frame of the clip, `"random"` or `"center"`, or a number that
            is at least 1 isn't.
    """
    if min(n_frames, frame_step, start_step) < 1:
        sizes = f"{n_frames}, {frame_step} and {start_step}"
        raise ValueError(f"n_frames, frame_step and start_step are at least 1, not {sizes}.")
    spare = length - (1 + (n_frames - 1) * frame_step)
    if start == "random":
        first = start_step * int(
            np.random.default_rng(seed).integers(0, max(spare, 0) // start_step + 1)
        )
    elif start == "center":
        first = max(spare, 0) // 2
    elif isinstance(start, str) or not 0 <= start < length:
        raise ValueError(
            f'start is "random", "center" or a frame from 0 to {length - 1}, not {start!r}.'
        )
    else:
        first = int(start)
    if first <= spare:
        return first + frame_step * np.arange(n_frames)
    return np.linspace(first, length - 1, n_frames).round().astype(int)


def read_frames(path, choose, output_size, *, to_end=True):
    """Decode some frames of a clip and make them as large as fits, without bars.

    Args:
        path: The video file.
        choose: A function that gets the clip's length in frames and returns the numbers of the
            frames to read, ascending.
        output_size: `(height, width)` in pixels to fit into.
        to_end: Whether the length has to be what decodes; if not, the header's is taken, as long as
            all frames chosen are there and none of them is the last.

    Returns:
        `(pictures, length)`: uint8 RGB `(n, inner_height, inner_width, 3)` and the clip's length.

    Raises:
        VideoReadError: The file can't be opened or decoded.
    """
    path, length = pathlib.Path(path), None
    while True:
        with _opened(path, cv2.CAP_PROP_N_THREADS, 1) as capture:
            planned = length or _declared_length(path, capture)
            indices = _plan(choose, planned, certain=length is not None)
            # Where a choice goes up to the last frame, it matters which one that is.
            whole = to_end or not len(indices) or indices[-1] == planned - 1
            pictures, decoded = _decode(path, capture, indices, output_size, whole)
        if len(pictures) == len(indices) > 0 and (decoded == planned or not whole):
            return _stack(path, pictures), planned
        # The header is wrong about the length; what decodes is not.
        check_decoded(path, decoded)
        length = decoded


def resize_to_fit(frame, output_size, aspect=1.0):
    """Resize an image to the largest size that fits, keeping its proportions.

    Args:
        frame: uint8 `(height, width, 3)`.
        output_size: `(height, width)` in pixels.
        aspect: How wide a pixel of the image is shown, in pixel heights; those of the result are
            square.

    Returns:
        uint8 `(inner_height, inner_width, 3)`.
    """
    height, width = output_size
    scale = min(height / frame.shape[0], width / (frame.shape[1] * aspect))
    inner_height = min(height, max(1, round(frame.shape[0] * scale)))
    inner_width = min(width, max(1, round(frame.shape[1] * aspect * scale)))
    # Linear interpolation looks at two pixels a side: below half the size it would pass over some,
    # and is ten times as fast.
    interpolation = cv2.INTER_AREA if scale * min(aspect, 1) < 0.5 else cv2.INTER_LINEAR
    return cv2.resize(frame, (inner_width, inner_height), interpolation=interpolation)


def pad(pictures, output_size):
    """Fill up pictures that fit into a size with black bars.

    Args:
        pictures: uint8 `(..., inner_height, inner_width, 3)`.
        output_size: `(height, width)` in pixels.

    Returns:
        uint8 `(..., *output_size, 3)`, the pictures in the middle.
    """
    result = np.zeros((*pictures.shape[:-3], *output_size, 3), np.uint8)
    crop_padding(result, *pictures.shape[-3:-1])[...] = pictures
    return result


def crop_padding(frames, height, width):
    """Return that part of frames `(..., height, width, 3)`, a view, where pictures of a smaller size lie between bars."""
    top, left = (frames.shape[-3] - height) // 2, (frames.shape[-2] - width) // 2
    return frames[..., top : top + height, left : left + width, :]


def letterbox(frame, output_size):
    """Resize an image to fit, keeping its proportions, and fill what is left with black bars.

    Args:
        frame: uint8 `(height, width, 3)`.
        output_size: `(height, width)` in pixels.

    Returns:
        uint8 `(*output_size, 3)`.
    """
    return pad(resize_to_fit(frame, output_size), output_size)


class FrameGenerator:
    """The clips of a split, one after the other, as the tutorial's class of this name gives them.

    Iterating yields `(frames, label)`: uint8 RGB `(n_frames, height, width, 3)` and the class as a
    number. In training the order is shuffled and every clip starts at a random frame, anew in each
    pass; otherwise the order is the files' and clips start so that the middle is read.

    Args:
        path: Folder with one folder of videos a class, as in `list_clips`.
        n_frames: Frames a clip.
        training: Whether to shuffle.
        output_size: `(height, width)` in pixels.
        frame_step: Frames from one returned frame to the next.
        seed: Seed of order and starts.
        class_names: The classes by number, such as those of the training set; the folders' names in
            order where not given.

    Raises:
        ValueError: There are no clips.
        VideoReadError: On iterating, a clip can't be read.
    """

    def __init__(
        self,
        path,
        n_frames,
        training=False,
        *,
        output_size=(224, 224),
        frame_step=15,
        seed=0,
        class_names=None,
    ):
        self.files, self.labels, self.class_names = list_clips(path, class_names)
        self.class_ids_for_name = {name: i for i, name in enumerate(self.class_names)}
        self.n_frames, self.output_size, self.frame_step = n_frames, output_size, frame_step
        self.training = training
        self.rng = np.random.default_rng(seed)

    def __len__(self):
        return len(self.files)

    def __iter__(self):
        order = self.rng.permutation(len(self)) if self.training else range(len(self))
        for i in order:
            start, seed = (
                ("random", self.rng.integers(2**32)) if self.training else ("center", None)
            )
            size, step = self.output_size, self.frame_step
            yield (
                frames_from_video_file(
                    self.files[i], self.n_frames, size, step, start=start, seed=seed
                ),
                self.labels[i],
            )

    # `tf.data.Dataset.from_generator` calls what it is given, as in the tutorial.
    __call__ = __iter__


def open_video(path, *parameters):
    """Open a video file.

    Args:
        path: The video file.
        parameters: Pairs of OpenCV's properties and their values, one after the other.

    Returns:
        An open `cv2.VideoCapture`, which turns frames upright by itself.

    Raises:
        VideoReadError: There is no such file, or it can't be opened as a video.
    """
    path = pathlib.Path(path)
    _check_file(path)
    capture = _capture(path, *parameters)
    if not capture.isOpened():
        raise _not_decoded(path, "can't be opened as a video")
    return capture


def pixel_aspect(capture):
    """Return how wide a pixel of an upright frame is shown, in pixel heights: other than 1 in DV, on DVDs and from some cameras."""
    across, down = capture.get(cv2.CAP_PROP_SAR_NUM), capture.get(cv2.CAP_PROP_SAR_DEN)
    aspect = across / down if across > 0 and down > 0 else 1.0
    if not 1 / _WIDEST <= aspect <= _WIDEST or abs(aspect - 1) < _SQUARE:
        return 1.0
    return 1 / aspect if capture.get(cv2.CAP_PROP_ORIENTATION_META) % 180 == 90 else aspect


def check_decoded(path, decoded):
    """Make sure that a file is not much longer than what was decoded of it.

    Some frames are coded and not shown, for example those before the beginning of a trimmed video.
    So FFmpeg has to report an error, too.

    Args:
        path: The video file.
        decoded: Frames that were decoded.

    Returns:
        The number of coded frames in the file.

    Raises:
        VideoReadError: The file is damaged.
    """
    found = _count_packets(path)
    if decoded < _MOST * found and damage.decoding_errors(path):
        raise VideoReadError(
            f"{path} is damaged: of its {found} frames {decoded} can be decoded; {REMEDY}."
        )
    return found


def _check_file(path):
    if not path.exists():
        if url := as_url(path):
            raise VideoReadError(f"{url} is a web address; download the video, and name its file.")
        raise VideoReadError(f"{path} is not there; check its name, or fetch it anew.")
    if not path.is_file():
        raise VideoReadError(
            f"{path} is {'a folder; name the videos in it' if path.is_dir() else 'no file; name a video'}."
        )


def _capture(path, *parameters):
    # As bytes, for a name need not be Unicode; from the root, for FFmpeg takes what stands before a
    # colon for a protocol.
    return cv2.VideoCapture(os.fsencode(path.absolute()), cv2.CAP_FFMPEG, parameters)


@contextlib.contextmanager
def _opened(path, *parameters):
    capture = open_video(path, *parameters)
    try:
        yield capture
    except cv2.error as error:
        raise VideoReadError(f"{path} can't be decoded ({error.err}); {REMEDY}.") from error
    finally:
        capture.release()


def _count_packets(path):
    """Return the number of coded frames in a file."""
    capture, count = _capture(path, cv2.CAP_PROP_FORMAT, -1), 0
    while capture.grab():
        count += 1
    capture.release()
    return count


def _not_decoded(path, what):
    """Return the error of a file without any frame that can be decoded: it is damaged, or coded in a way that OpenCV doesn't know."""
    capture = _capture(path, cv2.CAP_PROP_FORMAT, -1)
    codec = int(capture.get(cv2.CAP_PROP_FOURCC)) if capture.grab() else 0
    capture.release()
    known = _capture(path).isOpened()
    if not codec or known and not damage.is_unsupported(path):
        return VideoReadError(f"{path} {what}; {REMEDY}.")
    letters = codec.to_bytes(4, "little").decode("ascii", "replace").strip("\0 ").upper()
    return VideoReadError(
        f"{path} is coded in {_CODECS.get(letters, letters)}, which this OpenCV can't decode; {_conversion(path)}"
    )


def _conversion(path, filters=""):
    """Return how to make a copy of a video that OpenCV reads."""
    source, copy = (
        shlex.quote(str(name)) for name in (path, path.with_name(f"{path.stem}-h264.mp4"))
    )
    return f"convert it, for example by: ffmpeg -i {source} {filters}-c:v libx264 -pix_fmt yuv420p {copy}"


def _declared_length(path, capture):
    """Return the number of frames in the header, 0 where it was never filled in; a frame takes a byte at least."""
    return min(max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0), path.stat().st_size)


def _plan(choose, length, certain):
    """Return the numbers of the frames to read; none where a length from the header doesn't allow a choice."""
    try:
        return choose(length) if length else []
    except ValueError:
        if certain:
            raise
        return []


def _decode(path, capture, indices, output_size, to_end):
    """Decode the file up to the last of the indices, or to its end: where the first frame is that can't be decoded.

    Returns:
        `(pictures, decoded)`: RGB pictures of those frames, fewer where the file ends before; how many frames decoded.
    """
    pictures, decoded, types, flat = [], 0, set(), 0
    aspect = pixel_aspect(capture)
    while (to_end or decoded <= indices[-1]) and capture.grab():
        frame_type = chr(int(capture.get(cv2.CAP_PROP_FRAME_TYPE)))
        types.add(frame_type)
        # Where every frame stands for itself, none is filled up.
        if frame_type == "I" and (decoded == 0 or types != {"I"}) and _is_flat(capture):
            flat = decoded + 1
        while len(pictures) < len(indices) and indices[len(pictures)] == decoded:
            whole, frame = capture.retrieve()
            if not whole:
                raise VideoReadError(f"{path} can't be decoded at frame {decoded}; {REMEDY}.")
            pictures.append(
                cv2.cvtColor(resize_to_fit(frame, output_size, aspect), cv2.COLOR_BGR2RGB)
            )
        if decoded == 0:
            first = frame_type
        decoded += 1
    if not decoded:
        raise _not_decoded(path, "has no frame that can be decoded")
    # Where each picture is the one before, conversion may have failed.
    if (
        len(set(indices)) > 1
        and all(np.array_equal(picture, pictures[0]) for picture in pictures)
        and damage.is_unconverted(path)
    ):
        raise VideoReadError(
            f"{path} is interlaced, and this OpenCV can't convert its frames; {_conversion(path, '-vf yadif ')}"
        )
    # Frames that tell changes only, to a frame that is lost, decode to grey ones. One that a
    # trimmed video hides is not lost.
    if first in "PB" and damage.decoding_errors(path, 1):
        raise VideoReadError(
            f"{path} has lost its first frames, and those after them are wrong; {REMEDY}."
        )
    # Where a key frame is damaged, the decoder fills up with one colour; but it may just as well
    # show a dark room, or a title.
    if flat and damage.decoding_errors(path, flat):
        raise VideoReadError(f"{path} is damaged: a frame that others build on is lost; {REMEDY}.")
    return pictures, decoded


def _is_flat(capture):
    """Return whether a frame is of one colour, going by some of its pixels."""
    whole, frame = capture.retrieve()
    return whole and frame[::8, ::8].std(axis=(0, 1)).max() < _FLAT


def _stack(path, pictures):
    if len({picture.shape for picture in pictures}) > 1:
        raise VideoReadError(f"{path} changes its proportions on the way; cut it where it does.")
    return np.stack(pictures)
