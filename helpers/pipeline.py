"""From video files to batches, by tf.data. Taught in the chapter *Load video*.

The only module that imports TensorFlow.
"""

import tensorflow as tf

from helpers.video import clips_and_labels, frames_from_video_file


def make_dataset(path, n_frames=10, batch_size=8, *, training=False, output_size=(224, 224), frame_step=15, seed=0):
    """Make a data set of the clips of a split.

    Clips are decoded in parallel and come in a fixed order. In training the order is shuffled and every clip starts at
    a random frame, both anew in each epoch and the same for the same seed (and TensorFlow's global seed, where one is set);
    otherwise clips are read from the middle.

    Args:
        path: Folder with one folder of .avi files a class.
        n_frames: Frames a clip.
        batch_size: Clips a batch; the last one may be smaller.
        training: Whether to shuffle.
        output_size: `(height, width)` in pixels.
        frame_step: Frames from one frame of a clip to the next.
        seed: Seed of order and starts.

    Returns:
        A `tf.data.Dataset` of known length that gives `(frames, labels)`: uint8 RGB `(batch, n_frames, height, width, 3)`
        and int32 `(batch,)`. Its attribute `class_names` names the labels. A clip that can't be read ends the iteration
        with TensorFlow's error, whose message names the clip.

    Raises:
        ValueError: There are no clips.
    """
    files, labels, class_names = clips_and_labels(path)

    def read(file, clip_seed):
        start = "random" if training else "center"
        return frames_from_video_file(file.decode(), n_frames, output_size, frame_step, start=start, seed=int(clip_seed))

    def read_in_graph(file_and_label, clip_seed):
        file, label = file_and_label
        frames = tf.numpy_function(read, [file, clip_seed], tf.uint8)
        return tf.ensure_shape(frames, (n_frames, *output_size, 3)), label

    clips = tf.data.Dataset.from_tensor_slices(([str(file) for file in files], tf.constant(labels, tf.int32)))
    if training:
        clips = clips.shuffle(len(files), seed=seed)
    # Each clip of each epoch gets a seed of its own here, in order, so that parallel decoding changes nothing.
    seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)
    dataset = tf.data.Dataset.zip(clips, seeds).map(read_in_graph, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.batch(batch_size).prefetch(tf.data.AUTOTUNE)
    dataset.class_names = class_names
    return dataset
