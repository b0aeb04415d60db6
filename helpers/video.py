"""Frames from a video file. Taught in the chapter *Load video*; *Feed the GPU* measures the cost.

A file is decoded from its first frame on, because seeking in compressed video is not exact. The
length of a clip is the number of frames that decode, because headers can be wrong.
"""

import contextlib
import os
import pathlib
import shlex
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from helpers import damage
from helpers.clips import as_url, list_clips

# The package doesn't require OpenCV, so pip doesn't check its version. OpenCV 4.12 returns wrong
# colours after a clip changes its pixel format.
if tuple(map(int, cv2.__version__.split(".")[:2])) < (4, 13):
    raise ImportError(
        f"OpenCV {cv2.__version__} is too old for helpers.video; update it with pip install "
        "--upgrade and the name that pip list shows: opencv-python or opencv-python-headless."
    )

# A file of which a smaller share of the frames decodes may be damaged. A few frames may be missing
# at the end of an intact file.
_MIN_DECODED_SHARE = 0.9
# A frame is of one colour if the standard deviation of each channel is less, on a scale of 255.
_FLAT_STD = 1
# A header that declares pixels this many times as wide as high, or as high as wide, is wrong.
_MAX_ASPECT = 8
# A smaller deviation from a square pixel is an encoder's rounding error, and invisible. Six of 500
# clips from UCF101 have one.
_SQUARE_TOLERANCE = 0.01
# Common names of codecs, where they differ from the four-letter code.
_CODEC_NAMES = {"AV01": "AV1"}
# The end of most error messages.
REMEDY = "download, convert or record it again, or leave it out"

# What `numpy.random.default_rng` takes.
Seed = int | Sequence[int] | None
# The first frame of a part of a video, and the first one after it.
Bounds = tuple[int, int] | None


class VideoReadError(OSError):
    """A video file can't be opened or decoded. The message names the file and the remedy."""


def frames_from_video_file(
    path: str | os.PathLike[str],
    n_frames: int,
    output_size: tuple[int, int] = (224, 224),
    frame_step: int = 15,
    *,
    start: int | str = "random",
    seed: Seed = None,
    start_step: int = 1,
    bounds: Bounds = None,
) -> np.ndarray:
    """Read evenly spaced frames from a video file.

    If the clip is too short for `n_frames` at `frame_step`, the frames are spread evenly from its
    first frame to its last. If it has fewer than `n_frames` frames, some are repeated. The order
    and the extent of the action are kept, and no frame is made up.

    Args:
        path: The video file.
        n_frames: Number of frames to return.
        output_size: `(height, width)` in pixels. Frames keep their proportions; the rest is black.
        frame_step: Distance between two returned frames, in frames of the video.
        start: The first frame: `"random"`, `"center"` (the returned frames lie in the middle of the
            clip), or its index.
        seed: Seed for `numpy.random.default_rng`; the same seed gives the same random start.
        start_step: Distance between two possible random starts, in frames.
        bounds: `(first, stop)`: the clip is this part of the video, from its frame `first` to the
            one before `stop`, as from `helpers.playback.find_frames`. None takes all.

    Returns:
        uint8 RGB frames `(n_frames, height, width, 3)`.

    Raises:
        VideoReadError: The file can't be opened or decoded.
        ValueError: `start` is not in the clip, the clip is not in the video, or `n_frames`,
            `frame_step` or `start_step` is less than 1.
    """

    def choose(length: int) -> np.ndarray:
        first, length = clip_in_video(path, length, bounds)
        return first + frame_indices(length, n_frames, frame_step, start, seed, start_step)

    # A centred or random start depends on where the clip ends; a given start does not.
    to_end = isinstance(start, str) and bounds is None
    frames, _ = read_frames(path, choose, output_size, to_end=to_end)
    return pad(frames, output_size)


def clips_from_video_file(
    path: str | os.PathLike[str],
    n_clips: int,
    n_frames: int,
    output_size: tuple[int, int] = (224, 224),
    frame_step: int = 15,
    bounds: Bounds = None,
) -> np.ndarray:
    """Read several clips from a video file, evenly spaced from its beginning to its end.

    Together they cover the complete video rather than its middle alone. They overlap if the video
    is too short for all of them, and are identical if it has room for only one. Taught in the
    chapter *Evaluate*.

    Args:
        path: The video file.
        n_clips: Number of clips to return; a single clip is taken from the middle.
        n_frames: Number of frames per clip.
        output_size: `(height, width)` in pixels.
        frame_step: Distance between two frames of a clip, in frames of the video.
        bounds: The part of the video from which the clips are taken, as for
            `frames_from_video_file`.

    Returns:
        uint8 RGB frames `(n_clips, n_frames, height, width, 3)`.

    Raises:
        VideoReadError: The file can't be opened or decoded.
        ValueError: `n_clips`, `n_frames` or `frame_step` is less than 1.
    """
    if n_clips < 1:
        raise ValueError(f"n_clips must be at least 1, not {n_clips}.")
    indices: list[np.ndarray] = []

    def choose(length: int) -> np.ndarray:
        first, length = clip_in_video(path, length, bounds)
        last = max(length - (1 + (n_frames - 1) * frame_step), 0)
        starts = [last // 2] if n_clips == 1 else np.linspace(0, last, n_clips).round().astype(int)
        indices[:] = [
            first + frame_indices(length, n_frames, frame_step, start) for start in starts
        ]
        return np.unique(indices)

    frames, _ = read_frames(path, choose, output_size, to_end=bounds is None)
    return pad(frames[np.searchsorted(np.unique(indices), indices)], output_size)


def clip_in_video(path: str | os.PathLike[str], length: int, bounds: Bounds) -> tuple[int, int]:
    """Return the first frame of a clip in its video, and the clip's length in frames.

    Args:
        path: The video file, for the error's message.
        length: Length of the video in frames.
        bounds: The part of the video that is the clip, as for `frames_from_video_file`.

    Raises:
        ValueError: The clip ends after the video.
    """
    if bounds is None:
        return 0, length
    first, stop = bounds
    if stop > length:
        raise ValueError(
            f"{path} has {length} frames, but its clip ends at frame {stop}; if the file has "
            "changed, make the table of clips again."
        )
    return first, stop - first


def frame_indices(
    length: int,
    n_frames: int,
    frame_step: int,
    start: int | str = "random",
    seed: Seed = None,
    start_step: int = 1,
) -> np.ndarray:
    """Choose the frames of a clip to read, as `frames_from_video_file` describes.

    Args:
        length: Number of frames in the clip.
        n_frames: Number of frames to choose.
        frame_step: Distance between two chosen frames.
        start: The first frame: `"random"`, `"center"` or its index.
        seed: Seed for `numpy.random.default_rng`.
        start_step: Distance between two possible random starts.

    Returns:
        `n_frames` integers from 0 to `length - 1`, in ascending order.

    Raises:
        ValueError: `start` is not `"random"`, `"center"` or a frame of the clip, or `n_frames`,
            `frame_step` or `start_step` is less than 1.
    """
    if min(n_frames, frame_step, start_step) < 1:
        sizes = f"{n_frames}, {frame_step} and {start_step}"
        raise ValueError(f"n_frames, frame_step and start_step must be at least 1, not {sizes}.")
    # The last start from which all frames fit into the clip; negative if it is too short.
    last_start = length - (1 + (n_frames - 1) * frame_step)
    if start == "random":
        n_starts = max(last_start, 0) // start_step + 1
        first = start_step * int(np.random.default_rng(seed).integers(0, n_starts))
    elif start == "center":
        first = max(last_start, 0) // 2
    elif isinstance(start, str) or not 0 <= start < length:
        raise ValueError(
            f'start must be "random", "center" or a frame from 0 to {length - 1}, not {start!r}.'
        )
    else:
        first = int(start)
    if first <= last_start:
        return first + frame_step * np.arange(n_frames)
    return np.linspace(first, length - 1, n_frames).round().astype(int)


def read_frames(
    path: str | os.PathLike[str],
    choose: Callable[[int], Sequence[int] | np.ndarray],
    output_size: tuple[int, int],
    *,
    to_end: bool = True,
) -> tuple[np.ndarray, int]:
    """Decode chosen frames of a clip and resize them to fit a size, without padding.

    Args:
        path: The video file.
        choose: A function of the clip's length in frames that returns the indices of the frames to
            read, in ascending order.
        output_size: `(height, width)` in pixels to fit into.
        to_end: Whether the length must be the number of frames that decode. If False, the length in
            the header is used, unless a chosen frame is missing or is the last one.

    Returns:
        `(frames, length)`: uint8 RGB frames `(n, inner_height, inner_width, 3)`, and the clip's
        length in frames.

    Raises:
        VideoReadError: The file can't be opened or decoded.
    """
    path = pathlib.Path(path)
    length: int | None = None
    while True:
        with _opened(path, cv2.CAP_PROP_N_THREADS, 1) as capture:
            assumed = length or _declared_length(path, capture)
            indices = _try_to_choose(choose, assumed, is_certain=length is not None)
            # Whether a frame is the last one depends on where the file ends.
            decode_all = to_end or not len(indices) or indices[-1] == assumed - 1
            frames, n_decoded = _decode(path, capture, indices, output_size, decode_all)
        if len(frames) == len(indices) > 0 and (n_decoded == assumed or not decode_all):
            return _stack(path, frames), assumed
        # The length in the header is wrong; the number of decoded frames is right.
        check_decoded(path, n_decoded)
        length = n_decoded


def resize_to_fit(
    frame: np.ndarray, output_size: tuple[int, int], aspect: float = 1.0
) -> np.ndarray:
    """Resize an image to the largest size that fits, keeping its proportions.

    Args:
        frame: uint8 image `(height, width, 3)`.
        output_size: `(height, width)` in pixels.
        aspect: Width of the image's pixels divided by their height. The result has square pixels.

    Returns:
        uint8 image `(inner_height, inner_width, 3)`.
    """
    height, width = output_size
    scale = min(height / frame.shape[0], width / (frame.shape[1] * aspect))
    inner_height = min(height, max(1, round(frame.shape[0] * scale)))
    inner_width = min(width, max(1, round(frame.shape[1] * aspect * scale)))
    # Linear interpolation is ten times as fast. But it uses two pixels in each direction, so below
    # half the size it would ignore some.
    interpolation = cv2.INTER_AREA if scale * min(aspect, 1) < 0.5 else cv2.INTER_LINEAR
    return cv2.resize(frame, (inner_width, inner_height), interpolation=interpolation)


def pad(frames: np.ndarray, output_size: tuple[int, int]) -> np.ndarray:
    """Pad frames to a size with black bars.

    Args:
        frames: uint8 frames `(..., inner_height, inner_width, 3)`, no larger than `output_size`.
        output_size: `(height, width)` in pixels.

    Returns:
        uint8 frames `(..., height, width, 3)`, with the given ones in the middle.
    """
    result = np.zeros((*frames.shape[:-3], *output_size, 3), np.uint8)
    crop_padding(result, *frames.shape[-3:-1])[...] = frames
    return result


def crop_padding(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the part of padded frames inside their black bars, as a view.

    Args:
        frames: Frames `(..., padded_height, padded_width, channels)`.
        height: Height of the part in the middle, in pixels.
        width: Width of that part, in pixels.

    Returns:
        A view `(..., height, width, channels)`.
    """
    top, left = (frames.shape[-3] - height) // 2, (frames.shape[-2] - width) // 2
    return frames[..., top : top + height, left : left + width, :]


def letterbox(frame: np.ndarray, output_size: tuple[int, int]) -> np.ndarray:
    """Resize an image to fit, keeping its proportions, and pad it with black bars.

    Args:
        frame: uint8 image `(height, width, 3)`.
        output_size: `(height, width)` in pixels.

    Returns:
        uint8 image `(*output_size, 3)`.
    """
    return pad(resize_to_fit(frame, output_size), output_size)


class FrameGenerator:
    """The clips of a split, one after another, like the TensorFlow tutorial's `FrameGenerator`.

    Iterating yields `(frames, label)`: uint8 RGB frames `(n_frames, height, width, 3)` and the
    integer label of the class. In training, each pass shuffles the clips and draws random starts
    again. Otherwise the clips come in the order of `list_clips` and are read from the middle.

    Args:
        path: Folder with one folder of videos per class, as for `helpers.clips.list_clips`.
        n_frames: Number of frames per clip.
        training: Whether to shuffle and start at random frames.
        output_size: `(height, width)` in pixels.
        frame_step: Distance between two frames of a clip, in frames of the video.
        seed: Seed of the order and the starts.
        class_names: Class names by label, such as those of the training set. The default is the
            names of the folders in alphabetical order.

    Raises:
        ValueError: There are no clips, or `class_names` lacks the class of some clips.
        VideoReadError: During iteration, a clip can't be read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        n_frames: int,
        training: bool = False,
        *,
        output_size: tuple[int, int] = (224, 224),
        frame_step: int = 15,
        seed: Seed = 0,
        class_names: Sequence[str] | None = None,
    ) -> None:
        self.files, self.labels, self.class_names = list_clips(path, class_names)
        self.class_ids_for_name = {name: label for label, name in enumerate(self.class_names)}
        self.n_frames, self.output_size, self.frame_step = n_frames, output_size, frame_step
        self.training = training
        self.rng = np.random.default_rng(seed)

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[tuple[np.ndarray, int]]:
        order = self.rng.permutation(len(self)) if self.training else range(len(self))
        for i in order:
            choice: dict[str, Any] = {"start": "center"}
            if self.training:
                choice = {"start": "random", "seed": self.rng.integers(2**32)}
            sizes = self.n_frames, self.output_size, self.frame_step
            yield frames_from_video_file(self.files[i], *sizes, **choice), self.labels[i]

    # `tf.data.Dataset.from_generator` calls its argument, as in the tutorial.
    __call__ = __iter__


def open_video(path: str | os.PathLike[str], *parameters: int) -> cv2.VideoCapture:
    """Open a video file.

    Args:
        path: The video file.
        parameters: OpenCV's properties and their values, alternately.

    Returns:
        An open `cv2.VideoCapture`, which rotates frames upright.

    Raises:
        VideoReadError: The file does not exist, or can't be opened as a video.
    """
    path = pathlib.Path(path)
    _check_file(path)
    capture = _capture(path, *parameters)
    if not capture.isOpened():
        raise _undecodable_error(path, "can't be opened as a video")
    return capture


def pixel_aspect(capture: cv2.VideoCapture) -> float:
    """Return the width of an upright frame's pixels divided by their height.

    It differs from 1 in DV, on DVDs and in the videos of some cameras. Values that can't be right
    count as 1, and so do rounding errors.
    """
    horizontal, vertical = capture.get(cv2.CAP_PROP_SAR_NUM), capture.get(cv2.CAP_PROP_SAR_DEN)
    aspect = horizontal / vertical if horizontal > 0 and vertical > 0 else 1.0
    if not 1 / _MAX_ASPECT <= aspect <= _MAX_ASPECT or abs(aspect - 1) < _SQUARE_TOLERANCE:
        return 1.0
    return 1 / aspect if capture.get(cv2.CAP_PROP_ORIENTATION_META) % 180 == 90 else aspect


def check_decoded(path: str | os.PathLike[str], n_decoded: int) -> int:
    """Check that almost all coded frames of a file were decoded.

    Some coded frames are hidden, for example those before the start of a trimmed video. Therefore a
    file counts as damaged only if FFmpeg reports an error as well.

    Args:
        path: The video file.
        n_decoded: Number of frames that were decoded.

    Returns:
        The number of coded frames in the file.

    Raises:
        VideoReadError: The file is damaged.
    """
    path = pathlib.Path(path)
    n_coded = _count_coded_frames(path)
    if n_decoded < _MIN_DECODED_SHARE * n_coded and damage.decoding_errors(path):
        raise VideoReadError(
            f"{path} is damaged: only {n_decoded} of its {n_coded} frames can be decoded; {REMEDY}."
        )
    return n_coded


def _check_file(path: pathlib.Path) -> None:
    if path.is_file():
        return
    if path.is_dir():
        problem = f"{path} is a folder; give the path of a video in it"
    elif path.exists():
        problem = f"{path} is not a regular file; give the path of a video"
    elif url := as_url(path):
        problem = f"{url} is a web address; download the video and give the path of the file"
    else:
        problem = f"{path} does not exist; check the path, or download the file again"
    raise VideoReadError(f"{problem}.")


def _capture(path: pathlib.Path, *parameters: int) -> cv2.VideoCapture:
    # As bytes, because a name need not be valid Unicode; absolute, because FFmpeg would read the
    # text before a colon as a protocol.
    name: Any = os.fsencode(path.absolute())  # OpenCV's type hints lack bytes
    return cv2.VideoCapture(name, cv2.CAP_FFMPEG, parameters)


@contextlib.contextmanager
def _opened(path: pathlib.Path, *parameters: int) -> Iterator[cv2.VideoCapture]:
    capture = open_video(path, *parameters)
    try:
        yield capture
    except cv2.error as error:
        raise VideoReadError(f"{path} can't be decoded ({error.err}); {REMEDY}.") from error
    finally:
        capture.release()


def _count_coded_frames(path: pathlib.Path) -> int:
    # With this format, OpenCV returns coded frames and does not decode them.
    capture, count = _capture(path, cv2.CAP_PROP_FORMAT, -1), 0
    while capture.grab():
        count += 1
    capture.release()
    return count


def _undecodable_error(path: pathlib.Path, problem: str) -> VideoReadError:
    """Return the error for a file without decodable frames: damaged, or of an unknown codec."""
    capture = _capture(path, cv2.CAP_PROP_FORMAT, -1)
    codec = int(capture.get(cv2.CAP_PROP_FOURCC)) if capture.grab() else 0
    capture.release()
    has_decoder = _capture(path).isOpened()
    if not codec or has_decoder and not damage.is_unsupported(path):
        return VideoReadError(f"{path} {problem}; {REMEDY}.")
    code = codec.to_bytes(4, "little").decode("ascii", "replace").strip("\0 ").upper()
    name = _CODEC_NAMES.get(code, code)
    return VideoReadError(
        f"{path} is encoded in {name}, which this OpenCV can't decode; {_how_to_convert(path)}"
    )


def _how_to_convert(path: pathlib.Path, filters: str = "") -> str:
    """Return an instruction for making a copy that OpenCV can read."""
    source = shlex.quote(str(path))
    target = shlex.quote(str(path.with_name(f"{path.stem}-h264.mp4")))
    command = f"ffmpeg -i {source} {filters}-c:v libx264 -pix_fmt yuv420p {target}"
    return f"convert it, for example with: {command}"


def _declared_length(path: pathlib.Path, capture: cv2.VideoCapture) -> int:
    """Return the number of frames in the header, or 0 if the header leaves it open."""
    declared = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
    # A coded frame takes at least a byte.
    return min(declared, path.stat().st_size)


def _try_to_choose(
    choose: Callable[[int], Sequence[int] | np.ndarray], length: int, is_certain: bool
) -> Sequence[int] | np.ndarray:
    """Return the indices of the frames to read, or none if a length from the header allows none."""
    try:
        return choose(length) if length else []
    except ValueError:
        if is_certain:
            raise
        return []


def _decode(
    path: pathlib.Path,
    capture: cv2.VideoCapture,
    indices: Sequence[int] | np.ndarray,
    output_size: tuple[int, int],
    to_end: bool,
) -> tuple[list[np.ndarray], int]:
    """Decode a file up to the last of the indices or to its end, and check it for damage.

    The end is the first frame that can't be decoded.

    Returns:
        `(frames, n_decoded)`: the RGB frames at the indices, fewer if the file ends before them,
        and the number of frames that were decoded.
    """
    frames: list[np.ndarray] = []
    types: set[str] = set()
    n_decoded, first_type, n_up_to_flat = 0, "", 0
    aspect = pixel_aspect(capture)
    while (to_end or n_decoded <= indices[-1]) and capture.grab():
        frame_type = chr(int(capture.get(cv2.CAP_PROP_FRAME_TYPE)))
        first_type = first_type or frame_type
        types.add(frame_type)
        # A decoder fills damaged key frames with one colour, unless all frames are key frames.
        if frame_type == "I" and (n_decoded == 0 or types != {"I"}) and _is_flat(capture):
            n_up_to_flat = n_decoded + 1
        while len(frames) < len(indices) and indices[len(frames)] == n_decoded:
            frames.append(_retrieve(path, capture, n_decoded, output_size, aspect))
        n_decoded += 1
    if not n_decoded:
        raise _undecodable_error(path, "has no frame that can be decoded")
    _check_converted(path, indices, frames)
    _check_references(path, first_type, n_up_to_flat)
    return frames, n_decoded


def _retrieve(
    path: pathlib.Path,
    capture: cv2.VideoCapture,
    index: int,
    output_size: tuple[int, int],
    aspect: float,
) -> np.ndarray:
    """Return the frame that was grabbed last, resized to fit and converted to RGB."""
    is_decoded, frame = capture.retrieve()
    if not is_decoded:
        raise VideoReadError(f"{path} can't be decoded at frame {index}; {REMEDY}.")
    return cv2.cvtColor(resize_to_fit(frame, output_size, aspect), cv2.COLOR_BGR2RGB)


def _is_flat(capture: cv2.VideoCapture) -> bool:
    """Return whether the frame that was grabbed last is of one colour, from every eighth pixel."""
    is_decoded, frame = capture.retrieve()
    return is_decoded and frame[::8, ::8].std(axis=(0, 1)).max() < _FLAT_STD


def _check_converted(
    path: pathlib.Path, indices: Sequence[int] | np.ndarray, frames: list[np.ndarray]
) -> None:
    """Check that OpenCV converted the frames to RGB; if it did not, they are often all equal."""
    if len(set(indices)) < 2 or not all(np.array_equal(frame, frames[0]) for frame in frames):
        return
    if damage.is_unconverted(path):
        raise VideoReadError(
            f"{path} is interlaced, and this OpenCV can't convert its frames; "
            f"{_how_to_convert(path, '-vf yadif ')}"
        )


def _check_references(path: pathlib.Path, first_type: str, n_up_to_flat: int) -> None:
    """Check that FFmpeg reports no error for frames that others are decoded from.

    Args:
        path: The video file.
        first_type: Type of the first decoded frame, one of FFmpeg's letters.
        n_up_to_flat: Number of frames up to the last key frame of one colour, or 0.
    """
    # Frames of type P and B are changes to other frames. If those are lost, grey frames result. In
    # a trimmed video they are hidden, not lost, and FFmpeg reports no error.
    if first_type in "PB" and damage.decoding_errors(path, 1):
        raise VideoReadError(
            f"{path} lacks its first frames, so those that follow are wrong; {REMEDY}."
        )
    # A frame of one colour may be a damaged key frame, but also a dark room or a title.
    if n_up_to_flat and damage.decoding_errors(path, n_up_to_flat):
        raise VideoReadError(
            f"{path} is damaged: a key frame is lost, so those that follow are wrong; {REMEDY}."
        )


def _stack(path: pathlib.Path, frames: list[np.ndarray]) -> np.ndarray:
    if len({frame.shape for frame in frames}) > 1:
        raise VideoReadError(
            f"{path} changes its aspect ratio partway; split it there, or leave it out."
        )
    return np.stack(frames)
