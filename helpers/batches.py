"""Batches of clips for every one of Keras's backends. Taught in the chapter *Feed the GPU*."""

import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np

from helpers.cache import FrameCache
from helpers.clips import list_clips
from helpers.video import VideoReadError, frames_from_video_file

# Before 3.5 Keras doesn't tell when an epoch ends, and each one would be the first again, without a
# word.
if not hasattr(keras.utils.PyDataset, "on_epoch_begin"):
    raise ImportError(
        f"Keras {keras.__version__} is too old for helpers.batches; update it by pip install --upgrade keras."
    )

STOP, LEAVE_OUT = "stop", "leave out"


class ClipBatches(keras.utils.PyDataset):
    """The batches of a split as NumPy arrays, each one a function of seed, epoch and its number.

    Nothing is drawn from a state that reading changes, so the batches are the same in whatever
    order, in however many threads or processes they are made. `keras.Model.fit` takes it as it is
    (with `shuffle=False`, for the order is shuffled already); a `for` loop gets one epoch after the
    other, made ahead by threads.

    Args:
        path: Folder with one folder of videos a class, as in `helpers.video.list_clips`.
        n_frames: Frames a clip.
        batch_size: Clips a batch; the last one may be smaller.
        training: Whether to shuffle, and to start each clip at a random frame; otherwise clips are
            read from the middle.
        output_size: `(height, width)` in pixels.
        frame_step: Frames from one frame of a clip to the next.
        seed: Seed of order, starts and augmentation, 0 or more.
        cache: Where decoded frames are kept for the next epoch: None (nowhere), `"memory"`, or a
            folder on disk.
        start_step: Frames from one possible random start to the next. With a cache, a divisor of
            `frame_step` keeps less.
        augment: A `helpers.augmentation.Augmentation`, or another function of frames, class name,
            seed and the array that the changed frames go into; in training only.
        unreadable: What to do about clips that can't be read: `"stop"` at the first one, or `"leave
            out"`. To leave them out all clips are read once beforehand.
        workers: Threads that make batches ahead; default: one a core.
        class_names: The classes by label, such as those of the training set; the folders' names in
            order where not given.

    Attributes:
        class_names: Names of the classes, by label.
        files: The clips.
        labels: Their classes, int32 `(n_clips,)`.
        reading: How a clip is read, as keyword arguments.
        threads: How many threads make batches ahead.
        left_out: `(file, reason)` of each clip that was left out.
        epoch: The epoch that the next `for` loop or the next epoch of `keras.Model.fit` gives.
            (Under JAX and PyTorch `fit` goes through the beginning of one before the first, to see
            what the batches are like.)

    Raises:
        ValueError: There are no clips, none that can be read, or some of a class that `class_names`
            lacks.
        VideoReadError: On reading, a clip can't be read.
    """

    def __init__(
        self,
        path,
        n_frames=10,
        batch_size=8,
        *,
        training=False,
        output_size=(224, 224),
        frame_step=15,
        seed=0,
        cache=None,
        start_step=1,
        augment=None,
        unreadable=STOP,
        workers=None,
        class_names=None,
    ):
        # One worker for Keras: its own queue hands out an interrupted epoch's batches in the next
        # one.
        super().__init__(workers=1)
        if unreadable not in (STOP, LEAVE_OUT):
            raise ValueError(f'unreadable is "{STOP}" or "{LEAVE_OUT}", not {unreadable!r}.')
        self.files, labels, self.class_names = list_clips(path, class_names)
        self.labels = np.array(labels, np.int32)
        self.batch_size, self.training, self.seed = batch_size, training, seed
        self.epoch, self._begun = 0, False
        self.threads = workers or available_cores()
        self._makers, self._coming = ThreadPoolExecutor(self.threads), {}
        self.augment = augment if training else None
        self.shape = (n_frames, *output_size, 3)
        self.sampling = {"n_frames": n_frames, "output_size": output_size, "frame_step": frame_step}
        sizes = self.sampling | {
            "start": "random" if training else "center",
            "start_step": start_step if training else 1,
        }
        self._sizes, self._cache = sizes, None if cache is None else FrameCache(cache, **sizes)
        self._own = threading.local()
        self.left_out, self.error = [], None
        if unreadable == LEAVE_OUT:
            self._leave_out()

    def __len__(self):
        return -(-len(self.files) // self.batch_size)

    def __getitem__(self, i):
        return self._take(self.epoch, i)

    def __iter__(self):
        epoch, self.epoch = self.epoch, self.epoch + 1
        for i in range(len(self)):
            yield self._take(epoch, i)

    def on_epoch_begin(self):
        self._begun = True

    def on_epoch_end(self):
        # Keras also ends an epoch that it has not begun, before the first one.
        self.epoch += self._begun
        self._begun = False

    def batch(self, epoch, i):
        """Return batch `i` of an epoch: uint8 RGB `(batch, n_frames, height, width, 3)` and int32 labels `(batch,)`.

        Raises:
            IndexError: An epoch has no such batch; -1 is its last one, as in a list.
            VideoReadError: A clip can't be read.
        """
        begin = self._number(i) * self.batch_size
        chosen = self.order(epoch)[begin : begin + self.batch_size]
        frames = np.empty((len(chosen), *self.shape), np.uint8)
        for out, clip in zip(frames, chosen.tolist()):
            self._put_clip(epoch, clip, out)
        return frames, self.labels[chosen]

    def _number(self, i):
        """Return the number of batch `i`, which counts from the end if it is negative."""
        if not -len(self) <= i < len(self):
            raise IndexError(
                f"There is no batch {i}: an epoch has {len(self)}, from 0 to {len(self) - 1}."
            )
        return int(i) % len(self)

    def _take(self, epoch, i):
        """Return batch `i` of an epoch, and have threads make the next ones."""
        i = self._number(i)
        last = min(len(self), i + 1 + 2 * self.threads)
        wanted = [(epoch, j) for j in range(i, last)]
        begun = self._coming.get(wanted[0])
        if begun and begun.done() and begun.exception():
            del self._coming[wanted[0]]  # what was in its way may have been mended since
        self._coming = {
            key: self._coming.get(key) or self._makers.submit(self.batch, *key) for key in wanted
        }
        try:
            return self._coming[wanted[0]].result()
        except VideoReadError as error:
            self.error = error
            raise

    def order(self, epoch):
        """Return the numbers of the clips in the order of an epoch."""
        clips = np.arange(len(self.files))
        return (
            np.random.default_rng((self.seed, epoch)).permutation(clips) if self.training else clips
        )

    def _put_clip(self, epoch, clip, out):
        file, seed = self.files[clip], (self.seed, epoch, clip)
        # The order is drawn from (seed, epoch), and NumPy fills a seed up with zeros: (seed, epoch,
        # 0, 0) would be the same.
        start = (*seed, 0 if clip else 2)
        if self.augment is None:
            self._read(file, start, out)
            return
        # Each thread has one place for clips on their way: to ask for new memory each time takes
        # longer than to fill it.
        if not hasattr(self._own, "frames"):
            self._own.frames = np.empty(self.shape, np.uint8)
        self._read(file, start, self._own.frames)
        self.augment(self._own.frames, self.class_names[self.labels[clip]], (*seed, 1), out)

    def _read(self, file, seed, out):
        if self._cache is None:
            out[...] = frames_from_video_file(file, seed=seed, **self._sizes)
        else:
            self._cache.read(file, seed, out)

    def _leave_out(self):
        """Read all clips once, into the cache if there is one, and go on without those that can't be read."""

        def reason(file):
            try:
                self._read(file, 0, np.empty(self.shape, np.uint8))
            except VideoReadError as error:
                return str(error)

        with ThreadPoolExecutor(available_cores()) as pool:
            reasons = list(pool.map(reason, self.files))
        self.left_out = [(file, why) for file, why in zip(self.files, reasons) if why]
        readable = np.array([not why for why in reasons])
        if not readable.any():
            raise ValueError(
                f"None of the {len(self.files)} clips can be read; the first: {reasons[0]}"
            )
        self.files, self.labels = (
            [file for file, fine in zip(self.files, readable) if fine],
            self.labels[readable],
        )
        if self.left_out:
            listed = "\n".join(why for _, why in self.left_out)
            warnings.warn(
                f"{len(self.left_out)} of {len(reasons)} clips are left out:\n{listed}",
                stacklevel=3,
            )


def available_cores():
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
