"""Batches of clips for any backend of Keras. Taught in the chapter *Feed the GPU*."""

import os
import pathlib
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from helpers.cache import FrameCache
from helpers.clips import label_clips, read_folder
from helpers.playback import find_frames
from helpers.video import Seed, VideoReadError, frames_from_video_file

if TYPE_CHECKING:
    import pandas as pd

# Before 3.5, Keras does not report the end of an epoch, so the first would silently be repeated.
if not hasattr(keras.utils.PyDataset, "on_epoch_begin"):
    raise ImportError(
        f"Keras {keras.__version__} is too old for helpers.batches; "
        "update it with pip install --upgrade keras."
    )

STOP, LEAVE_OUT = "stop", "leave out"


class ClipBatches(keras.utils.PyDataset):
    """The batches of a split as NumPy arrays, each a function of the seed, the epoch and its index.

    Reading changes no random state. The batches are therefore the same in any order, and with any
    number of threads or processes. Pass an object to `keras.Model.fit` directly (with
    `shuffle=False`, because it shuffles already). A `for` loop yields one epoch, and the next loop
    the next epoch. Threads prepare batches in advance.

    Args:
        path: A table of clips, as from `helpers.clips.read_table`, or a folder with one folder of
            videos per class, as for `helpers.clips.read_folder`. In a table, the columns `begin`
            and `end` (in seconds) cut a clip out of its video, `frame_step` replaces the argument
            of that name for a clip, and `name` replaces the file's name.
        n_frames: Number of frames per clip.
        batch_size: Number of clips per batch; the last batch may be smaller.
        training: Whether to shuffle, and to start each clip at a random frame. Otherwise clips are
            read from the middle, in the order of the table.
        output_size: `(height, width)` in pixels.
        frame_step: Distance between two frames of a clip, in frames of the video.
        seed: Seed of the order, the starts and the augmentation, 0 or more.
        cache: Where to keep decoded frames for later epochs: None (nowhere), `"memory"`, or a
            folder on disk.
        start_step: Distance between two possible random starts, in frames. A divisor of
            `frame_step` reduces the size of the cache.
        augment: A `helpers.augmentation.Augmentation`, or another function of the frames, the class
            name, a seed and the array for the changed frames. Used in training only.
        unreadable: What to do with clips that can't be read: `"stop"` at the first one, or
            `"leave out"`. To leave them out, all clips are read once in advance.
        workers: Number of threads that prepare batches. The default is one per core.
        class_names: Class names by label, such as those of the training set. The default is the
            names of the folders in alphabetical order.

    Attributes:
        class_names: Class names by label.
        files: The clips' files.
        names: The clips' names.
        groups: The clips' groups; None where a group is unknown.
        read_options: By clip, what is particular to reading it: keyword arguments for
            `frames_from_video_file`.
        labels: Their labels, int32 `(n_clips,)`.
        shape: Shape of a clip, `(n_frames, height, width, 3)`.
        sampling: `n_frames`, `output_size` and `frame_step`, as keyword arguments.
        threads: Number of threads that prepare batches.
        left_out: `(file, reason)` of each clip that was left out.
        epoch: The epoch that the next `for` loop, or the next epoch of `keras.Model.fit`, uses.
            (Under JAX and PyTorch, `fit` starts one epoch in advance to find the shape of a batch.)
        error: The last `VideoReadError`, or None; `fit` wraps it in an error of the backend.

    Raises:
        ValueError: There are no clips, none can be read, `class_names` lacks the class of some
            clips, or a clip's times are not in its video.
        VideoReadError: A clip can't be read: while batches are read, or at once if the table has
            times.
    """

    def __init__(
        self,
        path: "str | os.PathLike[str] | pd.DataFrame",
        n_frames: int = 10,
        batch_size: int = 8,
        *,
        training: bool = False,
        output_size: tuple[int, int] = (224, 224),
        frame_step: int = 15,
        seed: int = 0,
        cache: str | os.PathLike[str] | None = None,
        start_step: int = 1,
        augment: Callable[..., Any] | None = None,
        unreadable: str = STOP,
        workers: int | None = None,
        class_names: Sequence[str] | None = None,
    ) -> None:
        # One worker for Keras, because its own queue returns the batches of an interrupted epoch in
        # the next one.
        super().__init__(workers=1)
        if unreadable not in (STOP, LEAVE_OUT):
            raise ValueError(f'unreadable must be "{STOP}" or "{LEAVE_OUT}", not {unreadable!r}.')
        self._set_clips(path, class_names)
        self.batch_size, self.training, self.seed = batch_size, training, seed
        self.augment = augment if training else None
        self.shape = (n_frames, *output_size, 3)
        self.sampling: dict[str, Any] = {
            "n_frames": n_frames,
            "output_size": output_size,
            "frame_step": frame_step,
        }
        self._options = self.sampling | {
            "start": "random" if training else "center",
            "start_step": start_step if training else 1,
        }
        self._cache = None if cache is None else FrameCache(cache, **self._options)
        self.epoch, self._has_begun = 0, False
        self.threads = workers or available_cores()
        self._executor = ThreadPoolExecutor(self.threads)
        self._pending: dict[tuple[int, int], Future] = {}
        self._buffers = threading.local()
        self.error: VideoReadError | None = None
        self.left_out: list[tuple[pathlib.Path, str]] = []
        if unreadable == LEAVE_OUT:
            self._leave_out()

    def _set_clips(self, path, class_names):
        """Set the attributes that the table of clips determines."""
        is_folder = isinstance(path, (str, os.PathLike))
        table: Any = read_folder(path) if is_folder else path
        if table.empty:
            raise ValueError("The table lists no clips; choose other rows.")
        labels, self.class_names = label_clips(
            table["class_name"], class_names, path if is_folder else "The table"
        )
        self.labels = np.array(labels, np.int32)
        self.files = [pathlib.Path(file) for file in table["file"]]
        self.names = list(table["name"]) if "name" in table else [file.name for file in self.files]
        known = table["group"].notna()
        self.groups = [
            str(group) if is_known else None for group, is_known in zip(table["group"], known)
        ]
        self.read_options = _find_read_options(table)

    def __len__(self) -> int:
        return -(-len(self.files) // self.batch_size)

    def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        return self._take(self.epoch, i)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        for i in range(len(self)):
            yield self._take(epoch, i)

    def on_epoch_begin(self) -> None:
        self._has_begun = True

    def on_epoch_end(self) -> None:
        # Before the first epoch, Keras ends one that has not begun.
        self.epoch += self._has_begun
        self._has_begun = False

    def batch(self, epoch: int, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Return one batch of an epoch.

        Args:
            epoch: The epoch, from 0.
            i: Index of the batch; negative indices count from the end, as in a list.

        Returns:
            `(frames, labels)`: uint8 RGB frames `(batch, n_frames, height, width, 3)` and int32
            labels `(batch,)`.

        Raises:
            IndexError: An epoch has no such batch.
            VideoReadError: A clip can't be read.
        """
        begin = self._check_index(i) * self.batch_size
        clips = self.order(epoch)[begin : begin + self.batch_size]
        frames = np.empty((len(clips), *self.shape), np.uint8)
        for out, clip in zip(frames, clips.tolist()):
            self._put_clip(epoch, clip, out)
        return frames, self.labels[clips]

    def order(self, epoch: int) -> np.ndarray:
        """Return the indices of the clips in the order of an epoch."""
        clips = np.arange(len(self.files))
        if not self.training:
            return clips
        return np.random.default_rng((self.seed, epoch)).permutation(clips)

    def _check_index(self, i: int) -> int:
        """Return the index of a batch as 0 or more."""
        if not -len(self) <= i < len(self):
            raise IndexError(
                f"There is no batch {i}: an epoch has {len(self)}, from 0 to {len(self) - 1}."
            )
        return int(i) % len(self)

    def _take(self, epoch: int, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Return batch `i` of an epoch, and let the threads prepare those that follow."""
        i = self._check_index(i)
        end = min(len(self), i + 1 + 2 * self.threads)
        failed = self._pending.get((epoch, i))
        if failed and failed.done() and failed.exception():
            del self._pending[epoch, i]  # the cause may have been removed since
        self._pending = {
            key: self._pending.get(key) or self._executor.submit(self.batch, *key)
            for key in ((epoch, j) for j in range(i, end))
        }
        try:
            return self._pending[epoch, i].result()
        except VideoReadError as error:
            self.error = error
            raise

    def _put_clip(self, epoch: int, clip: int, out: np.ndarray) -> None:
        """Read a clip into an array, in training with its random start and augmentation."""
        seed = (self.seed, epoch, clip)
        # NumPy pads a seed with zeros, so (seed, epoch, 0, 0) would be the seed of the order.
        start_seed = (*seed, 0 if clip else 2)
        if self.augment is None:
            self._read(clip, start_seed, out)
            return
        # Each thread reuses a buffer, because allocating memory takes longer than filling it.
        if not hasattr(self._buffers, "frames"):
            self._buffers.frames = np.empty(self.shape, np.uint8)
        frames = self._buffers.frames
        self._read(clip, start_seed, frames)
        self.augment(frames, self.class_names[self.labels[clip]], (*seed, 1), out)

    def _read(self, clip: int, seed: Seed, out: np.ndarray) -> None:
        file, reading = self.files[clip], self.read_options[clip]
        if self._cache is None:
            out[...] = frames_from_video_file(file, seed=seed, **(self._options | reading))
        else:
            self._cache.read(file, seed, out, **reading)

    def _leave_out(self) -> None:
        """Read all clips once, into the cache if there is one, and drop the unreadable ones."""

        def reason(clip: int) -> str | None:
            try:
                self._read(clip, 0, np.empty(self.shape, np.uint8))
            except VideoReadError as error:
                return str(error)
            return None

        with ThreadPoolExecutor(available_cores()) as executor:
            reasons = list(executor.map(reason, range(len(self.files))))
        self.left_out = [(file, why) for file, why in zip(self.files, reasons) if why]
        is_readable = np.array([not why for why in reasons])
        if not is_readable.any():
            raise ValueError(
                f"None of the {len(self.files)} clips can be read; the first: {reasons[0]}"
            )
        for name in ("files", "names", "groups", "read_options"):
            values = zip(getattr(self, name), is_readable)
            setattr(self, name, [value for value, keep in values if keep])
        self.labels = self.labels[is_readable]
        if self.left_out:
            listed = "\n".join(why for _, why in self.left_out)
            warnings.warn(
                f"{len(self.left_out)} of {len(reasons)} clips are left out:\n{listed}",
                stacklevel=3,
            )


def _find_read_options(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """Return by clip the arguments of `frames_from_video_file` that its table determines."""
    reading: list[dict[str, Any]] = [{} for _ in range(len(table))]
    if "frame_step" in table:
        for options, frame_step in zip(reading, table["frame_step"]):
            options["frame_step"] = int(frame_step)
    if "bounds" in table:  # from helpers.inspection
        for options, bounds in zip(reading, table["bounds"]):
            options["bounds"] = bounds
        return reading
    all_times = table.reindex(columns=["begin", "end"]).to_numpy(float)
    for file, rows in table.groupby("file", sort=False).indices.items():
        times = all_times[rows]
        if np.isnan(times).all():
            continue
        for row, bounds in zip(rows, find_frames(file, times)):
            reading[row]["bounds"] = bounds
    return reading


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
