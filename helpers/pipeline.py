"""Batches of clips for tf.data. Taught in the chapter *Load video*.

The only module that imports TensorFlow when it is imported.
"""

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from helpers.batches import ClipBatches, available_cores

if TYPE_CHECKING:
    import pandas as pd


def make_dataset(
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
    unreadable: str = "stop",
    class_names: Sequence[str] | None = None,
) -> tf.data.Dataset:
    """Make a dataset from the clips of a split.

    Clips are decoded in parallel, in a fixed order. In training, each epoch shuffles the clips and
    draws a random start for each of them again, reproducibly for a seed. Otherwise clips are read
    from the middle, in the order of the table.

    Args:
        path: A table of clips, or a folder with one folder of videos per class, as for
            `helpers.batches.ClipBatches`.
        n_frames: Number of frames per clip.
        batch_size: Number of clips per batch; the last batch may be smaller.
        training: Whether to shuffle and start at random frames.
        output_size: `(height, width)` in pixels.
        frame_step: Distance between two frames of a clip, in frames of the video.
        seed: Seed of the order, the starts and the augmentation, 0 or more.
        cache: Where to keep decoded frames for later epochs: None (nowhere), `"memory"`, or a
            folder on disk.
        start_step: Distance between two possible random starts, in frames. A divisor of
            `frame_step` reduces the size of the cache.
        augment: A `helpers.augmentation.Augmentation`; used in training only.
        unreadable: What to do with clips that can't be read: `"stop"` at the first one, or
            `"leave out"`.
        class_names: Class names by label, such as those of the training set. The default is the
            names of the folders in alphabetical order.

    Returns:
        A `tf.data.Dataset` of known length that yields `(frames, labels)`: uint8 RGB frames
        `(batch, n_frames, height, width, 3)` and int32 labels `(batch,)`. Its attribute
        `class_names` contains the class names by label, and `left_out` the clips that were left
        out, with reasons. A clip that can't be read otherwise ends the iteration with an error of
        TensorFlow's, whose message names the clip.

    Raises:
        ValueError: There are no clips, none can be read, or `class_names` lacks the class of some
            clips.
    """
    batches = ClipBatches(
        path,
        n_frames,
        batch_size,
        training=training,
        output_size=output_size,
        frame_step=frame_step,
        seed=seed,
        cache=cache,
        start_step=start_step,
        augment=augment,
        unreadable=unreadable,
        class_names=class_names,
    )
    epochs = itertools.count()

    def indices() -> Iterator[tuple[int, int]]:
        # tf.data calls this at the beginning of each pass.
        epoch = next(epochs)
        return ((epoch, i) for i in range(len(batches)))

    def make_batch(epoch, i):
        frames, labels = tf.numpy_function(batches.batch, [epoch, i], [tf.uint8, tf.int32])
        return tf.ensure_shape(frames, (None, *batches.shape)), tf.ensure_shape(labels, (None,))

    index = tf.TensorSpec((), tf.int64)
    dataset = tf.data.Dataset.from_generator(indices, output_signature=(index, index))
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(batches)))
    dataset = dataset.map(make_batch, num_parallel_calls=available_cores()).prefetch(2)
    # There is nothing to tune, but tf.data would wait for its autotuner at the end of each pass, up
    # to a second. Its optimisations stay on: without them, TensorFlow 2.21 ends in a segmentation
    # fault when it validates on several devices with MirroredStrategy.
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = dataset.with_options(options)
    dataset.class_names, dataset.left_out = batches.class_names, batches.left_out
    return dataset
