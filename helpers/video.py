"""From a video file to frames. Taught in the chapter *Load video*; where the time goes, in *Feed the GPU*.

Files are decoded from their first frame on, because seeking in compressed video is not exact, and what decodes decides
how long a clip is, because headers can be wrong.
"""

import contextlib
import os
import pathlib

import cv2
import numpy as np

# pip doesn't see to OpenCV's version, because the package doesn't ask for it. 4.12 gets colours wrong where a clip changes its pixel format.
if tuple(map(int, cv2.__version__.split(".")[:2])) < (4, 13):
    wheels = "opencv-python or opencv-python-headless, whichever pip list names"
    raise ImportError(f"OpenCV {cv2.__version__} is too old for helpers.video; update it by pip install --upgrade ({wheels}).")

# A clip of whose frames fewer than this share decode is damaged, not just odd at its end.
_WHOLE = 0.9
# A picture is of one colour if it strays less than this from it, of 255.
_FLAT = 1
# A key frame of one colour takes no more bytes than these, for each pixel and besides.
_BYTES_A_PIXEL, _BYTES_BESIDES = 0.03, 500


class VideoReadError(OSError):
    """A video file that can't be opened or decoded. The message names the file and what to do."""


def frames_from_video_file(
    path, n_frames, output_size=(224, 224), frame_step=15, *, start="random", seed=None, start_step=1
):
    """Read frames at even distances from a video file.

    A clip too short for `n_frames` at `frame_step` is sampled at a smaller, even distance from its first frame to its
    last; with fewer than `n_frames` frames altogether some are shown twice. Order and extent of the action stay, and no
    frame is invented.

    Args:
        path: The video file.
        n_frames: Frames to return.
        output_size: `(height, width)` in pixels. Frames keep their proportions; black bars fill what is left.
        frame_step: Frames from one returned frame to the next.
        start: The first frame: `"random"`, `"center"` (as much of the clip before as after), or its number.
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

    # Where a clip ends matters to its centre and to the starts to choose from, but not to a start that is given.
    pictures, _ = read_pictures(path, choose, output_size, to_end=isinstance(start, str))
    return add_bars(pictures, output_size)


def clips_from_video_file(path, n_clips, n_frames, output_size=(224, 224), frame_step=15):
    """Read several clips from a video file, at even distances from its beginning to its end.

    So that all of it is seen, and not its middle only; the clips overlap where there is no room for all of them. Of a video
    that is too short for two different clips, all are the same. Taught in the chapter *Evaluate*.

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

    pictures, _ = read_pictures(path, choose, output_size)
    return add_bars(pictures[np.searchsorted(np.unique(chosen), chosen)], output_size)


def frame_indices(length, n_frames, frame_step, start="random", seed=None, start_step=1):
    """Choose which frames of a clip to read; see `frames_from_video_file`.

    Args:
        length: Frames that the clip has.

    Returns:
        `n_frames` numbers from 0 to `length - 1`, ascending.

    Raises:
        ValueError: `start` is not a frame of the clip, `"random"` or `"center"`, or a number that is at least 1 isn't.
    """
    if min(n_frames, frame_step, start_step) < 1:
        sizes = f"{n_frames}, {frame_step} and {start_step}"
        raise ValueError(f"n_frames, frame_step and start_step are at least 1, not {sizes}.")
    spare = length - (1 + (n_frames - 1) * frame_step)
    if start == "random":
        first = start_step * int(np.random.default_rng(seed).integers(0, max(spare, 0) // start_step + 1))
    elif start == "center":
        first = max(spare, 0) // 2
    elif isinstance(start, str) or not 0 <= start < length:
        raise ValueError(f'start is "random", "center" or a frame from 0 to {length - 1}, not {start!r}.')
    else:
        first = int(start)
    if first <= spare:
        return first + frame_step * np.arange(n_frames)
    return np.linspace(first, length - 1, n_frames).round().astype(int)


def read_pictures(path, choose, output_size, *, to_end=True):
    """Decode some frames of a clip and make them as large as fits, without bars.

    Args:
        path: The video file.
        choose: A function that gets the clip's length in frames and returns the numbers of the frames to read, ascending.
        output_size: `(height, width)` in pixels to fit into.
        to_end: Whether the length has to be what decodes; if not, the header's is taken, as long as all frames chosen are
            there and none of them is the last.

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
        length = _expect_whole(path, decoded)


def fit(frame, output_size):
    """Resize an image to the largest size that fits, keeping its proportions.

    Args:
        frame: uint8 `(height, width, 3)`.
        output_size: `(height, width)` in pixels.

    Returns:
        uint8 `(inner_height, inner_width, 3)`.
    """
    height, width = output_size
    scale = min(height / frame.shape[0], width / frame.shape[1])
    inner_height = min(height, max(1, round(frame.shape[0] * scale)))
    inner_width = min(width, max(1, round(frame.shape[1] * scale)))
    # Linear interpolation looks at two pixels a side: below half the size it would pass over some, and is ten times as fast.
    interpolation = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
    return cv2.resize(frame, (inner_width, inner_height), interpolation=interpolation)


def add_bars(pictures, output_size):
    """Fill up pictures that fit into a size with black bars.

    Args:
        pictures: uint8 `(..., inner_height, inner_width, 3)`.
        output_size: `(height, width)` in pixels.

    Returns:
        uint8 `(..., *output_size, 3)`, the pictures in the middle.
    """
    result = np.zeros((*pictures.shape[:-3], *output_size, 3), np.uint8)
    between_bars(result, *pictures.shape[-3:-1])[...] = pictures
    return result


def between_bars(frames, height, width):
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
    return add_bars(fit(frame, output_size), output_size)


def clips_and_labels(path):
    """List the clips below a split's folder.

    Args:
        path: Folder with one folder of .avi files a class.

    Returns:
        `(files, labels, class_names)`: paths in order, the class of each as a number, the names by number.

    Raises:
        ValueError: There are no clips.
    """
    path = pathlib.Path(path)
    files = sorted(path.glob("*/[!.]*.avi"))  # what begins with a dot is a draft
    if not files:
        raise ValueError(f"{path} holds no clips (CLASS/*.avi); fetch them with helpers.archive first.")
    class_names = sorted({file.parent.name for file in files})
    return files, [class_names.index(file.parent.name) for file in files], class_names


class FrameGenerator:
    """The clips of a split, one after the other, as the tutorial's class of this name gives them.

    Iterating yields `(frames, label)`: uint8 RGB `(n_frames, height, width, 3)` and the class as a number. In training
    the order is shuffled and every clip starts at a random frame, anew in each pass; otherwise the order is the
    files' and clips start so that the middle is read.

    Args:
        path: Folder with one folder of .avi files a class.
        n_frames: Frames a clip.
        training: Whether to shuffle.
        output_size: `(height, width)` in pixels.
        frame_step: Frames from one returned frame to the next.
        seed: Seed of order and starts.

    Raises:
        ValueError: There are no clips.
        VideoReadError: On iterating, a clip can't be read.
    """

    def __init__(self, path, n_frames, training=False, *, output_size=(224, 224), frame_step=15, seed=0):
        self.files, self.labels, self.class_names = clips_and_labels(path)
        self.class_ids_for_name = {name: i for i, name in enumerate(self.class_names)}
        self.n_frames, self.output_size, self.frame_step = n_frames, output_size, frame_step
        self.training = training
        self.rng = np.random.default_rng(seed)

    def __len__(self):
        return len(self.files)

    def __iter__(self):
        order = self.rng.permutation(len(self)) if self.training else range(len(self))
        for i in order:
            start, seed = ("random", self.rng.integers(2**32)) if self.training else ("center", None)
            size, step = self.output_size, self.frame_step
            yield frames_from_video_file(self.files[i], self.n_frames, size, step, start=start, seed=seed), self.labels[i]

    # `tf.data.Dataset.from_generator` calls what it is given, as in the tutorial.
    __call__ = __iter__


@contextlib.contextmanager
def _opened(path, *parameters):
    if not path.is_file():
        raise VideoReadError(f"{path} is not there; fetch it again with helpers.archive.")
    # As bytes, for a name need not be Unicode; from the root, for FFmpeg takes what stands before a colon for a protocol.
    capture = cv2.VideoCapture(os.fsencode(path.absolute()), cv2.CAP_FFMPEG, parameters)
    try:
        if not capture.isOpened():
            raise VideoReadError(f"{path} can't be opened as a video; delete it and fetch it again with helpers.archive.")
        yield capture
    except cv2.error as error:
        raise VideoReadError(f"{path} can't be decoded ({error.err}); delete it and fetch it again.") from error
    finally:
        capture.release()


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
    pictures, decoded, types, flat = [], 0, set(), False
    while (to_end or decoded <= indices[-1]) and capture.grab():
        frame_type = _frame_type(capture)
        types.add(frame_type)
        if decoded == 0 and frame_type in "PB":
            # Frames that tell changes only, to a frame that is lost, would decode to grey ones.
            raise VideoReadError(f"{path} has lost its first frames, and those after them are wrong; delete it and fetch it again.")
        if frame_type == "I" and (decoded == 0 or types != {"I"}):
            flat |= _is_flat(capture)
        while len(pictures) < len(indices) and indices[len(pictures)] == decoded:
            whole, frame = capture.retrieve()
            if not whole:
                raise VideoReadError(f"{path} can't be decoded at frame {decoded}; delete it and fetch it again.")
            pictures.append(cv2.cvtColor(fit(frame, output_size), cv2.COLOR_BGR2RGB))
        decoded += 1
    if not decoded:
        raise VideoReadError(f"{path} has no frame that can be decoded; delete it and fetch it again.")
    if flat:
        _expect_no_filler(path)
    return pictures, decoded


def _frame_type(capture):
    return chr(int(capture.get(cv2.CAP_PROP_FRAME_TYPE)))


def _expect_whole(path, decoded):
    """Return the number of decoded frames, unless many more are in the file: then what decodes is not to be trusted."""
    with _opened(path, cv2.CAP_PROP_FORMAT, -1) as capture:
        found = 0
        while capture.grab():
            found += 1
    if decoded < _WHOLE * found:
        raise VideoReadError(f"{path} is damaged: of its {found} frames {decoded} can be decoded; delete it and fetch it again.")
    return decoded


def _expect_no_filler(path):
    """Where a key frame is damaged, the decoder fills up with one colour. A key frame that is of one colour takes few bytes."""
    types, sizes = [], []
    with _opened(path, cv2.CAP_PROP_N_THREADS, 1) as frames, _opened(path, cv2.CAP_PROP_FORMAT, -1) as packets:
        pixels = frames.get(cv2.CAP_PROP_FRAME_WIDTH) * frames.get(cv2.CAP_PROP_FRAME_HEIGHT)
        # From the first B on, the file has the frames in another order than they are shown in.
        while "B" not in types and frames.grab() and packets.grab():
            types.append(_frame_type(frames))
            if types[-1] == "I" and _is_flat(frames):
                sizes.append(packets.retrieve()[1].size)
        breaks_off = sizes and len(types) == 1 < _declared_length(path, frames)
    # Where every frame stands for itself, none is filled up, and one colour may take many bytes: in a coding without loss.
    filled = set(types) != {"I"} and max(sizes, default=0) > pixels * _BYTES_A_PIXEL + _BYTES_BESIDES
    if filled or breaks_off:
        raise VideoReadError(f"{path} is damaged: a frame that others build on is lost; delete it and fetch it again.")


def _is_flat(capture):
    """Return whether a frame is of one colour, going by some of its pixels."""
    whole, frame = capture.retrieve()
    return whole and frame[::8, ::8].std(axis=(0, 1)).max() < _FLAT


def _stack(path, pictures):
    if len({picture.shape for picture in pictures}) > 1:
        raise VideoReadError(f"{path} changes its proportions on the way; cut it where it does.")
    return np.stack(pictures)
