"""From a video file to frames. Taught in the chapter *Load video*.

Files are decoded from their first frame on, because seeking in compressed video is not exact, and what decodes decides
how long a clip is, because headers can be wrong.
"""

import pathlib
import sys

import cv2
import numpy as np


class VideoReadError(OSError):
    """A video file that can't be opened or decoded. The message names the file and what to do."""


def frames_from_video_file(path, n_frames, output_size=(224, 224), frame_step=15, *, start="random", seed=None):
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

    Returns:
        uint8 RGB frames `(n_frames, height, width, 3)`.

    Raises:
        VideoReadError: The file can't be opened or decoded.
        ValueError: `start`, `n_frames` or `frame_step` make no sense for this clip.
    """
    if n_frames < 1 or frame_step < 1:
        raise ValueError(f"n_frames and frame_step are at least 1, not {n_frames} and {frame_step}.")
    path = pathlib.Path(path)
    indices = frame_indices(_declared_length(path), n_frames, frame_step, start, seed)
    frames, decoded = _decode(path, indices)
    if len(frames) < n_frames:
        # The header promised more frames than there are.
        frames, _ = _decode(path, frame_indices(decoded, n_frames, frame_step, start, seed))
    return np.stack([letterbox(frame, output_size) for frame in frames])


def frame_indices(length, n_frames, frame_step, start="random", seed=None):
    """Choose which frames of a clip to read; see `frames_from_video_file`.

    Args:
        length: Frames that the clip has.

    Returns:
        `n_frames` numbers from 0 to `length - 1`, ascending.

    Raises:
        ValueError: `start` is not a frame of the clip, `"random"` or `"center"`.
    """
    spare = length - (1 + (n_frames - 1) * frame_step)
    if start == "random":
        first = int(np.random.default_rng(seed).integers(0, max(spare, 0) + 1))
    elif start == "center":
        first = max(spare, 0) // 2
    elif isinstance(start, str) or not 0 <= start < length:
        raise ValueError(f'start is "random", "center" or a frame from 0 to {length - 1}, not {start!r}.')
    else:
        first = int(start)
    if first <= spare:
        return first + frame_step * np.arange(n_frames)
    return np.linspace(first, length - 1, n_frames).round().astype(int)


def letterbox(frame, output_size):
    """Resize an image to fit, keeping its proportions, and fill what is left with black bars.

    Args:
        frame: uint8 `(height, width, 3)`.
        output_size: `(height, width)` in pixels.

    Returns:
        uint8 `(*output_size, 3)`.
    """
    height, width = output_size
    scale = min(height / frame.shape[0], width / frame.shape[1])
    inner_height = min(height, max(1, round(frame.shape[0] * scale)))
    inner_width = min(width, max(1, round(frame.shape[1] * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    result = np.zeros((height, width, 3), dtype=np.uint8)
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    result[top : top + inner_height, left : left + inner_width] = cv2.resize(
        frame, (inner_width, inner_height), interpolation=interpolation
    )
    return result


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
    files = sorted(path.glob("*/*.avi"))
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


def _open(path):
    if not path.is_file():
        raise VideoReadError(f"{path} is not there; fetch it again with helpers.archive.")
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise VideoReadError(f"{path} can't be opened as a video; delete it and fetch it again with helpers.archive.")
    return capture


def _declared_length(path):
    """Return the number of frames that the header declares, or where it declares none, the number that decode."""
    capture = _open(path)
    length = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    capture.release()
    if length < 1:
        # A recording that was broken off has a header that was never filled in.
        _, length = _decode(path, [sys.maxsize])
    return length


def _decode(path, indices):
    """Decode the file up to the last of the indices.

    Returns:
        `(frames, decoded)`: RGB frames at those indices, fewer where the file ends before; how many frames decoded.
    """
    capture, frames, decoded = _open(path), [], 0
    try:
        for index in indices:
            while decoded <= index and capture.grab():
                decoded += 1
            if decoded <= index:
                break
            whole, frame = capture.retrieve()
            if not whole:
                raise VideoReadError(f"{path} can't be decoded at frame {index}; delete it and fetch it again.")
            frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    finally:
        capture.release()
    if not decoded:
        raise VideoReadError(f"{path} has no frame that can be decoded; delete it and fetch it again.")
    return frames, decoded
