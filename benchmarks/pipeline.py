"""How many clips a second come out of the pipeline, beside the tutorial's way. `make bench` calls this.

Both read the same clips in the same run: 10 frames at a step of 15, 224 x 224 pixels, batches of 8. BOOK_DATASET and
UCF101_ZIP choose the clips.
"""

import pathlib
import time

import cv2
import numpy as np
import tensorflow as tf

from helpers import archive, pipeline, settings, training, video

N_FRAMES, STEP, SIZE, BATCH = 10, 15, (224, 224), 8


def tutorials_way(folder):
    """Yield clips as the tutorial does: every frame up to the last one wanted is read, each one wanted resized by TensorFlow."""
    files, labels, _ = video.clips_and_labels(folder)
    for file, label in zip(files, labels):
        capture, frames = cv2.VideoCapture(str(file)), []
        for i in range(1 + (N_FRAMES - 1) * STEP):
            whole, frame = capture.read()
            if i % STEP:
                continue
            if whole:
                frame = tf.image.convert_image_dtype(frame, tf.float32)
                frames.append(tf.image.resize_with_pad(frame, *SIZE))
            else:
                frames.append(np.zeros((*SIZE, 3), np.float32))
        capture.release()
        yield np.array(frames)[..., ::-1], label


def make_ways(folder):
    """Return the data sets to compare, by name; the first is what the others are measured against."""
    signature = (tf.TensorSpec((None, None, None, 3), tf.float32), tf.TensorSpec((), tf.int32))
    sizes = {"output_size": SIZE, "frame_step": STEP}
    return {
        "the tutorial's generator": tf.data.Dataset.from_generator(lambda: tutorials_way(folder), output_signature=signature).batch(BATCH),
        "FrameGenerator, one core": video.FrameGenerator(folder, N_FRAMES, **sizes),
        "make_dataset": pipeline.make_dataset(folder, N_FRAMES, BATCH, **sizes),
    }


def main():
    run = settings.current()
    folder = archive.fetch_clips(run)["train"]
    n_clips = len(list(pathlib.Path(folder).glob("*/*.avi")))
    print(f"{n_clips} clips of {run.dataset}, {training.hardware()}")
    print(f"{'':26} {'clips/s':>8} {'ratio':>6}")
    baseline = None
    for name, clips in make_ways(folder).items():
        begin = time.perf_counter()
        for _ in clips:
            pass
        speed = n_clips / (time.perf_counter() - begin)
        baseline = baseline or speed
        print(f"{name:26} {speed:8.1f} {speed / baseline:6.1f}")


if __name__ == "__main__":
    main()
