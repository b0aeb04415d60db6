"""Time training steps of the book's four networks and of the tutorial's, built in two ways.

    python benchmarks/training.py                          the table, at 112 and 224 pixels
    python benchmarks/training.py --record book/results/steps.json
    python benchmarks/training.py --beside tutorial.py     also time a network from another file,
        which defines build(classes, frames, height, width)

Each network runs in a process of its own, so its peak memory is its own. The networks take turns,
so a slow minute of
the machine affects all of them. A step is a forward pass, a backward pass and Adam's update on a
batch of 8 clips of 10 frames. The floor is
what the multiply-adds alone take at the speed of a large matrix product, measured in the same run.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

# Otherwise the first process takes all memory of a GPU.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

BATCH, FRAMES, CLASSES = 8, 10, 10
MEMBERS = ("2d", "mc3", "3d", "2plus1d")
WAYS = {
    "the tutorial's network, the tutorial's way": ("tutorial way", "2plus1d"),
    "the tutorial's network": ("tutorial", "2plus1d"),
    "the tutorial's network, 3d": ("tutorial", "3d"),
} | {f"small_resnet, {conv}": ("small_resnet", conv) for conv in MEMBERS}


def build(network, conv, size):
    """Return a network, built by one of the methods."""
    import keras

    from helpers import layers, models

    sizes = {"num_classes": CLASSES, "n_frames": FRAMES, "height": size, "width": size}
    if network.endswith(".py"):
        spec = importlib.util.spec_from_file_location("beside", network)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.build(CLASSES, FRAMES, size, size)
    if network == "tutorial way":

        class Resize(layers.ResizeVideo):
            def call(self, video):
                time = video.shape[1]
                images = keras.ops.reshape(video, (-1, *video.shape[2:]))
                return keras.ops.reshape(
                    self.resizing(images), (-1, time, self.height, self.width, video.shape[-1])
                )

        # The same network made of Keras's own layers, as in the tutorial.
        layers.VideoConv, layers.LayerNorm = keras.layers.Conv3D, keras.layers.LayerNormalization
        models.BatchNorm, models.ResizeVideo = keras.layers.BatchNormalization, Resize
        network = "tutorial"
    return getattr(models, f"build_{'tutorial_model' if network == 'tutorial' else network}")(
        conv=conv, **sizes
    )


def measure(network, conv, size, steps):
    """Return the seconds of each step, and the peak memory that was added after the start."""
    import keras
    import numpy as np

    model = build(network, conv, size)
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (BATCH, *model.input_shape[1:]), dtype=np.uint8)
    if keras.backend.standardize_dtype(model.inputs[0].dtype) != "uint8":
        frames = (frames / 255).astype(np.float32)
    labels = np.arange(BATCH) % CLASSES
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-4), loss, metrics=["accuracy"])
    before = peak()
    seconds = []
    for _ in range(steps + 2):  # the first two allocate memory and compile
        begin = time.perf_counter()
        model.train_on_batch(frames, labels)
        seconds.append(time.perf_counter() - begin)
    return {"seconds": seconds[2:], "memory": peak() - before}


def peak():
    """Return the peak memory of this process so far in GB; only Linux reports it."""
    # Not getrusage, because it starts from the parent process's peak.
    status = pathlib.Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next(
        (int(line.split()[1]) / 1e6 for line in lines if line.startswith("VmHWM")), float("nan")
    )


def arithmetic(network, conv, size):
    """Return the multiply-adds of a step: forward, and two gradients (one in the first layer)."""
    from helpers.counting import layer_table

    counts = [
        row.multiply_adds for row in layer_table(build(network, conv, size)) if row.multiply_adds
    ]
    return BATCH * (3 * sum(counts) - counts[0])


def speed():
    """Return the float32 multiply-adds per second of this machine in a large matrix product."""
    import keras
    import numpy as np

    size = 2048
    matrix = keras.ops.convert_to_tensor(
        np.random.default_rng(0).random((size, size), dtype=np.float32)
    )
    times = []
    for _ in range(6):
        begin = time.perf_counter()
        np.asarray(keras.ops.matmul(matrix, matrix))
        times.append(time.perf_counter() - begin)
    return size**3 / min(times)


def measure_all(ways, sizes, rounds, steps):
    """Return a row for each method and size."""
    rows, limit = [], speed()
    for size in sizes:
        found = {name: [] for name in ways}
        for _ in range(rounds):
            for name, (network, conv) in ways.items():
                command = [sys.executable, __file__, "--one", network, conv, str(size), str(steps)]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    said = done.stderr.strip().splitlines() or ["nothing said"]
                    sys.exit(
                        f"{name}, {size} pixels: ended with {done.returncode} "
                        f"(-9: out of memory?): {said[-1]}"
                    )
                found[name].append(json.loads(done.stdout.splitlines()[-1]))
        for name, (network, conv) in ways.items():
            times = [second for one in found[name] for second in one["seconds"]]
            seconds = statistics.median(times)
            floor = (
                None
                if network.endswith(".py")
                else arithmetic(network.removesuffix(" way"), conv, size) / limit
            )
            memory = max(one["memory"] for one in found[name])
            row = {"way": name, "size": size, "seconds": seconds, "range": [min(times), max(times)]}
            rows.append(row | {"clips": BATCH / seconds, "memory": memory, "floor": floor})
            ratio = seconds / first(rows, size)
            print(
                f"{size:4} px  {name:45} {seconds:6.3f} s per step "
                f"({min(times):.3f} to {max(times):.3f})  {ratio:5.2f}  "
                f"{BATCH / seconds:6.1f} clips/s  {memory:5.2f} GB  "
                + (f"floor {floor:5.3f} s" if floor else ""),
                flush=True,
            )
    return rows


def first(rows, size):
    """Return the seconds of the first method at a size, with which the others are compared."""
    return next(row["seconds"] for row in rows if row["size"] == size)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[112, 224], help="height and width of the frames"
    )
    parser.add_argument("--rounds", type=int, default=3, help="turns of each method")
    parser.add_argument("--steps", type=int, default=5, help="steps per turn")
    parser.add_argument(
        "--beside",
        metavar="FILE",
        help="a Python file with a function build(classes, frames, height, width)",
    )
    parser.add_argument(
        "--record", type=pathlib.Path, metavar="FILE", help="write the table to this JSON file"
    )
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        network, conv, size, steps = options.one
        print(json.dumps(measure(network, conv, int(size), int(steps))))
        return
    from helpers import records

    ways = WAYS | ({options.beside: (options.beside, "")} if options.beside else {})
    onednn = ", TF_ENABLE_ONEDNN_OPTS=0" if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0" else ""
    about = f"Batches of {BATCH} clips of {FRAMES} frames, float32; {records.hardware()}{onednn}."
    print(f"{about} Load at the start: {os.getloadavg()[0]:.1f}.")
    rows = measure_all(ways, options.sizes, options.rounds, options.steps)
    if options.record:
        records.write_json(options.record, {"about": about, "rows": rows})


if __name__ == "__main__":
    main()
