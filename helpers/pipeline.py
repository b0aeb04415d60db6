"""From video files to batches, by tf.data. Taught in the chapter *Load video*.

The only module that imports TensorFlow.
"""

import itertools

import tensorflow as tf

from helpers.batches import ClipBatches, available_cores


def make_dataset(
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
    unreadable="stop",
    class_names=None,
):
    """Make a data set of the clips of a split.

    Clips are decoded in parallel and come in a fixed order. In training the order is shuffled and
    every clip starts at a random frame, both anew in each epoch and the same for the same seed;
    otherwise clips are read from the middle.

    Args:
        path: Folder with one folder of videos a class, as in `helpers.video.list_clips`.
        n_frames: Frames a clip.
        batch_size: Clips a batch; the last one may be smaller.
        training: Whether to shuffle.
        output_size: `(height, width)` in pixels.
        frame_step: Frames from one frame of a clip to the next.
        seed: Seed of order, starts and augmentation, 0 or more.
        cache: Where decoded frames are kept for the next epoch: None (nowhere), `"memory"`, or a
            folder on disk.
        start_step: Frames from one possible random start to the next; with a cache, a divisor of
            `frame_step` keeps less.
        augment: A `helpers.augmentation.Augmentation`; in training only.
        unreadable: What to do about clips that can't be read: `"stop"` at the first one, or `"leave
            out"`.
        class_names: The classes by label, such as those of the training set; the folders' names in
            order where not given.

    Returns:
        A `tf.data.Dataset` of known length that gives `(frames, labels)`: uint8 RGB `(batch,
        n_frames, height, width, 3)` and int32 `(batch,)`. Its attribute `class_names` names the
        labels, `left_out` lists the clips left out. A clip that can't be read otherwise ends the
        iteration with TensorFlow's error, whose message names the clip.

    Raises:
        ValueError: There are no clips, none that can be read, or some of a class that `class_names`
            lacks.
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

    def numbers():
        # tf.data calls this at the beginning of each pass.
        epoch = next(epochs)
        return ((epoch, i) for i in range(len(batches)))

    def make_batch(epoch, i):
        frames, labels = tf.numpy_function(batches.batch, [epoch, i], [tf.uint8, tf.int32])
        return tf.ensure_shape(frames, (None, *batches.shape)), tf.ensure_shape(labels, (None,))

    number = tf.TensorSpec((), tf.int64)
    dataset = tf.data.Dataset.from_generator(numbers, output_signature=(number, number))
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(batches)))
    dataset = dataset.map(make_batch, num_parallel_calls=available_cores()).prefetch(2)
    # Nothing is left to tune, and at the end of each pass tf.data would wait for its tuner, up to a
    # second. Its optimisations stay: without them validation on several devices (MirroredStrategy)
    # ends in a segmentation fault, in TensorFlow 2.21.
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = dataset.with_options(options)
    dataset.class_names, dataset.left_out = batches.class_names, batches.left_out
    return dataset
