"""Measure clips per second and memory of the input pipeline, and of the tutorial's.

`make bench` calls this.

All methods read the same clips in the same run, each in a process of its own: 10 frames of
224 x 224 pixels in batches of 8.
BOOK_DATASET and UCF101_ZIP select the clips. `--long` reads a list as long as all of UCF101.
"""

import argparse
import itertools
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

# Otherwise the first process takes all memory of a GPU.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

BATCH = 8
EPOCHS = 5
LONG = {"classes": 101, "clips": 13_320}


def tutorial(folder, sampling, **_):
    """Read as the tutorial does: a generator decodes every frame, and TensorFlow resizes floats."""
    import cv2
    import numpy as np
    import tensorflow as tf

    from helpers.clips import list_clips

    n_frames, size, step = sampling["n_frames"], sampling["output_size"], sampling["frame_step"]
    rng = np.random.default_rng(0)

    def prepare(frame):
        return tf.image.resize_with_pad(tf.image.convert_image_dtype(frame, tf.float32), *size)

    def clips():
        for file, label in zip(*list_clips(folder)[:2]):
            capture, frames = cv2.VideoCapture(str(file)), []
            spare = capture.get(cv2.CAP_PROP_FRAME_COUNT) - 1 - (n_frames - 1) * step
            capture.set(cv2.CAP_PROP_POS_FRAMES, rng.integers(max(spare, 0) + 1))
            for i in range(1 + (n_frames - 1) * step):
                ok, frame = capture.read()
                if i % step == 0:
                    frames.append(prepare(frame) if ok else np.zeros_like(frames[0]))
            capture.release()
            yield np.array(frames)[..., ::-1], label

    signature = (tf.TensorSpec((None, None, None, 3), tf.float32), tf.TensorSpec((), tf.int16))
    return tf.data.Dataset.from_generator(clips, output_signature=signature).batch(BATCH)


def decoder(folder, sampling, **_):
    """Run OpenCV's decoder alone on all cores, over all frames, and discard them."""
    import cv2

    from helpers import batches
    from helpers.clips import list_clips

    def decode(file):
        capture = cv2.VideoCapture(str(file), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        while capture.grab():
            pass
        capture.release()

    class Decoded:
        def __iter__(self):
            with ThreadPoolExecutor(batches.available_cores()) as pool:
                yield from pool.map(decode, list_clips(folder)[0])

    return Decoded()


def tf_data(folder, sampling, **options):
    """`make_dataset`."""
    from helpers import pipeline

    return pipeline.make_dataset(
        folder, batch_size=BATCH, **sampling, **_with_augmentation(options)
    )


def numpy_batches(folder, sampling, **options):
    """`ClipBatches`, without TensorFlow."""
    from helpers import batches

    return batches.ClipBatches(folder, batch_size=BATCH, **sampling, **_with_augmentation(options))


def _with_augmentation(options):
    from helpers.augmentation import Augmentation

    return options | ({"augment": Augmentation()} if options.get("training") else {})


# What is measured: name, function, split, options; "DISK" stands for a new, empty
# folder.
TRAINING = {"training": True}
WAYS = [
    ("the tutorial's way", tutorial, "train", {}),
    ("OpenCV's decoder alone, all cores", decoder, "train", {}),
    ("training, nothing kept", tf_data, "train", TRAINING),
    (
        "training, memory, start_step=5",
        tf_data,
        "train",
        TRAINING | {"cache": "memory", "start_step": 5},
    ),
    (
        "training, disk, start_step=5",
        tf_data,
        "train",
        TRAINING | {"cache": "DISK", "start_step": 5},
    ),
    (
        "training, disk, start_step=15",
        tf_data,
        "train",
        TRAINING | {"cache": "DISK", "start_step": 15},
    ),
    ("training, disk, every start", tf_data, "train", TRAINING | {"cache": "DISK"}),
    (
        "training, memory, start_step=5, NumPy",
        numpy_batches,
        "train",
        TRAINING | {"cache": "memory", "start_step": 5},
    ),
    ("validation, nothing kept", tf_data, "val", {}),
    ("validation, memory", tf_data, "val", {"cache": "memory"}),
    ("validation, disk", tf_data, "val", {"cache": "DISK"}),
]


def resident():
    """Return the bytes of memory that this process holds."""
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def measure(way, folder, sampling, epochs):
    """Iterate over the clips; return clips/s and added memory by epoch, and the cache's bytes."""
    _, make, _, options = way
    n_clips = len(list(folder.glob("*/*.avi")))
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".bench-") as disk:
        clips = make(
            folder,
            sampling,
            **{name: disk if value == "DISK" else value for name, value in options.items()},
        )
        start, speeds, memory = resident(), [], []
        for _ in range(epochs):
            begin = time.perf_counter()
            for _ in clips:
                pass
            speeds.append(n_clips / (time.perf_counter() - begin))
            memory.append(resident() - start)
        kept = sum(file.stat().st_size for file in pathlib.Path(disk).rglob("*.frames"))
    return {"speeds": speeds, "memory": memory, "disk": kept, "clips": n_clips}


def measure_apart(number, folder, sampling, epochs):
    """Call `measure` in a separate process, so that methods do not share memory."""
    command = [
        sys.executable,
        __file__,
        "--one",
        str(number),
        str(folder),
        json.dumps(sampling),
        str(epochs),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def measure_all(run, folders):
    """Print the table, row by row, and return its rows."""
    print(
        f"{'':38} {'first epoch':>15} {'later epochs':>15} {'memory, epochs 2, 5':>20} {'disk':>8}"
    )
    rows = []
    for number, (name, make, split, _) in enumerate(WAYS):
        found = measure_apart(
            number, folders[split], run.sampling, 2 if make in (tutorial, decoder) else EPOCHS
        )
        first, later = found["speeds"][0], statistics.harmonic_mean(found["speeds"][1:])
        row = {
            "name": name,
            "first": first,
            "later": later,
            "memory": found["memory"],
            "disk": found["disk"],
        }
        # The tutorial's method is the first row; its epochs are equally fast.
        baseline = rows[0]["later"] if rows else later
        rows.append(row | {"first_ratio": first / baseline, "later_ratio": later / baseline})
        memory = " ".join(f"{found['memory'][epoch] / 1e9:6.2f} GB" for epoch in (1, -1))
        disk = f"{found['disk'] / 1e9:5.2f} GB" if found["disk"] else ""
        print(
            f"{name:38} {first:8.1f} {first / baseline:6.1f} {later:8.1f} {later / baseline:6.1f} "
            f"{memory:>20} {disk:>8}",
            flush=True,
        )
    return rows


def measure_long(run, folders, size):
    """Read repeated clips, as many as UCF101 has; print and return memory, disk space and time."""
    files = sorted(file for folder in folders.values() for file in folder.glob("*/*.avi"))
    number = next(
        number for number, way in enumerate(WAYS) if way[0] == "training, disk, start_step=5"
    )
    with tempfile.TemporaryDirectory(dir=folders["train"].parent, prefix=".long-") as place:
        for i, file in zip(range(LONG["clips"]), itertools.cycle(files)):
            name = f"Class{i % LONG['classes']:03}"
            target = pathlib.Path(place) / "train" / name / f"v_{name}_{i:05}.avi"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.hardlink_to(file)
        found = measure_apart(
            number, target.parent.parent, run.sampling | {"output_size": (size, size)}, 3
        )
    seconds = [found["clips"] / speed for speed in found["speeds"]]
    print(
        f"{found['clips']:,} clips, {LONG['classes']} classes, {size} pixels, {WAYS[number][0]}: "
        f"{found['disk'] / 1e9:.1f} GB on disk"
    )
    for epoch, (took, memory) in enumerate(zip(seconds, found["memory"]), start=1):
        print(
            f"epoch {epoch}: {took:6.0f} s, {found['clips'] / took:7.1f} clips/s, "
            f"{memory / 1e9:.2f} GB added"
        )
    return LONG | {
        "size": size,
        "seconds": seconds,
        "memory": found["memory"],
        "disk": found["disk"],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--long",
        type=int,
        metavar="PIXELS",
        help="read a list as long as all of UCF101, at this size",
    )
    parser.add_argument(
        "--record", type=pathlib.Path, metavar="JSON", help="put what was measured into this file"
    )
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        number, folder, sampling, epochs = options.one
        print(
            json.dumps(
                measure(WAYS[int(number)], pathlib.Path(folder), json.loads(sampling), int(epochs))
            )
        )
        return
    from helpers import archive, records, settings

    run = settings.current()
    folders = archive.fetch_clips(run)
    counts = ", ".join(
        f"{len(list(folder.glob('*/*.avi')))} for {name}" for name, folder in folders.items()
    )
    about = (
        f"Clips of {run.dataset}, {counts}; {run.n_frames} frames at a step of {run.frame_step}, "
        f"{run.size} × {run.size} pixels, batches of "
        f"{BATCH}; {records.hardware()}."
    )
    print(f"{about} Load at the start: {os.getloadavg()[0]:.1f}.")
    measured = (
        {"long": measure_long(run, folders, options.long)}
        if options.long
        else {"about": about, "rows": measure_all(run, folders)}
    )
    if options.record:
        known = json.loads(options.record.read_text()) if options.record.exists() else {}
        records.write_json(options.record, known | measured)


if __name__ == "__main__":
    main()
