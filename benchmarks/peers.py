"""Time training steps beside torchvision's networks, and reading beside PyAV and decord.

    python benchmarks/peers.py                        the tables
    python benchmarks/peers.py --record FILE          also write them to a JSON file

Each measurement is a process of its own, and they take turns, so a slow minute of the machine
affects all of them. A step is a forward pass, a backward pass and Adam's update of a ResNet-18 for
400 classes, on a batch of 2 clips of 16 frames of 112 pixels. Reading takes 10 frames from the
middle of each clip, at full size, with one thread. Three convolutions of such a network, and their
two gradients, show where JAX needs its time.
"""

import argparse
import itertools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

PEERS = ("av==18.1.0", "decord==0.6.0")
BATCH, FRAMES, SIZE, CLASSES = 2, 16, 112, 400
# The first of each table is what the others are compared with.
TRAINERS = ("torchvision", "tensorflow", "torch", "jax")
READERS = ("OpenCV, this book", "PyAV", "decord")
N_READ = 10
# By name: the sizes of the frames and of the kernel, channels last, and the strides.
CONVOLUTIONS = {
    "spatial": ((BATCH * FRAMES, 56, 56, 64), (3, 3, 64, 144), (1, 1)),
    "temporal": ((BATCH, FRAMES, 56 * 56, 144), (3, 1, 144, 64), (1, 1)),
    "3D, strided": ((BATCH, FRAMES, 56, 56, 64), (3, 3, 3, 64, 128), (2, 2, 2)),
}
PASSES = ("forward", "gradient of the input", "gradient of the kernel")


def clips():
    """Return a batch of random clips and its labels."""
    import numpy as np

    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (BATCH, FRAMES, SIZE, SIZE, 3), dtype=np.uint8)
    return frames, np.arange(BATCH)


def torchvision_step(conv):
    """Return a function that takes a training step with torchvision's network."""
    import torch

    # The wheel's compiled part doesn't load beside a PyTorch without CUDA, and isn't needed here.
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    library.define("qnms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    from torchvision.models import video

    model = {"2plus1d": video.r2plus1d_18, "3d": video.r3d_18}[conv](num_classes=CLASSES).train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    frames, labels = map(torch.from_numpy, clips())
    frames = (frames.permute(0, 4, 1, 2, 3).float() / 255).contiguous()

    def step():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(frames), labels)
        loss.backward()
        optimizer.step()
        return float(loss)

    return step


def keras_step(conv):
    """Return a function that takes a training step with the book's network."""
    import keras

    from helpers import models

    sizes = {"num_classes": CLASSES, "n_frames": FRAMES, "height": SIZE, "width": SIZE}
    model = models.build_resnet18(conv=conv, **sizes)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-4), loss)
    batch = clips()
    return lambda: float(model.train_on_batch(*batch))


def train(trainer, conv, steps):
    """Print the seconds of each training step, after two that allocate memory and compile."""
    step = (torchvision_step if trainer == "torchvision" else keras_step)(conv)
    seconds = []
    for _ in range(int(steps) + 2):
        begin = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - begin)
    print(json.dumps(seconds[2:]))


def jax_convolution(x, kernel, strides):
    """Return functions that compute a convolution and its two gradients."""
    import jax

    space = "DHW"[-len(strides) :]
    layout = (f"N{space}C", f"{space}IO", f"N{space}C")

    def convolve(x, kernel):
        return jax.lax.conv_general_dilated(x, kernel, strides, "SAME", dimension_numbers=layout)

    forward = jax.jit(convolve)
    y = forward(x, kernel)
    of_input = jax.jit(lambda x, y: jax.vjp(lambda x: convolve(x, kernel), x)[1](y))
    of_kernel = jax.jit(lambda kernel, y: jax.vjp(lambda k: convolve(x, k), kernel)[1](y))
    calls = (forward, (x, kernel)), (of_input, (x, y)), (of_kernel, (kernel, y))
    return [lambda f=f, inputs=inputs: jax.block_until_ready(f(*inputs)) for f, inputs in calls]


def torch_convolution(x, kernel, strides):
    """Return functions that compute a convolution and its two gradients."""
    import torch

    n = len(strides)
    x = torch.from_numpy(x).movedim(-1, 1)
    padding, ones = [size // 2 for size in kernel.shape[:n]], [1] * n
    kernel = torch.from_numpy(kernel).permute(n + 1, n, *range(n)).contiguous()

    def forward():
        return torch.ops.aten.convolution(
            x, kernel, None, strides, padding, ones, False, [0] * n, 1
        )

    y = forward()

    def gradient(mask):
        return torch.ops.aten.convolution_backward(
            y, x, kernel, None, strides, padding, ones, False, [0] * n, 1, mask
        )

    masks = [True, False, False], [False, True, False]
    return [forward, *(lambda mask=mask: gradient(mask) for mask in masks)]


def convolve(library, name):
    """Print the seconds of a convolution and of its two gradients."""
    import numpy as np

    rng = np.random.default_rng(0)
    *sizes, strides = CONVOLUTIONS[name]
    inputs = (rng.standard_normal(size, np.float32) for size in sizes)
    functions = {"jax": jax_convolution, "torch": torch_convolution}[library](*inputs, strides)
    found = []
    for function in functions:
        function()
        begin = time.perf_counter()
        for _ in range(3):
            function()
        found.append((time.perf_counter() - begin) / 3)
    print(json.dumps(found))


def read_with_opencv(file, step):
    from helpers.video import frames_from_video_file

    options = {"output_size": (240, 320), "frame_step": step, "start": "center"}
    return frames_from_video_file(file, N_READ, **options)


def chosen(length, step):
    from helpers.video import frame_indices

    return frame_indices(length, N_READ, step, "center").tolist()


def read_with_pyav(file, step):
    import av
    import numpy as np

    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        stream.thread_type, stream.codec_context.thread_count = "NONE", 1
        indices = chosen(stream.frames, step)
        decoded = itertools.islice(container.decode(stream), indices[-1] + 1)
        found = {
            number: frame.to_ndarray(format="rgb24")
            for number, frame in enumerate(decoded)
            if number in indices
        }
    # A header may count more frames than the file has.
    return np.stack([found[number] for number in indices if number in found])


def read_with_decord(file, step):
    import decord

    reader = decord.VideoReader(str(file), num_threads=1)
    return reader.get_batch(chosen(len(reader), step)).asnumpy()


def read(reader, folder, step):
    """Print the clips that are read per second, and the mean of all pixels."""
    import cv2
    import numpy as np

    cv2.setNumThreads(1)
    function = dict(zip(READERS, (read_with_opencv, read_with_pyav, read_with_decord)))[reader]
    files = sorted(pathlib.Path(folder).glob("*/*.avi"))
    function(files[0], int(step))
    begin = time.perf_counter()
    means = [np.mean(function(file, int(step))) for file in files]
    print(json.dumps([len(files) / (time.perf_counter() - begin), float(np.mean(means))]))


def run(python, *arguments, backend="torch"):
    """Run this file with an interpreter; return what it prints."""
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    command = [python, __file__, "--one", *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, arguments))} fails:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def show(title, unit, found):
    """Print a table, compared with its first row; return its rows."""
    rows = []
    for name, values in found.items():
        median = statistics.median(values)
        rows.append({"method": name, unit: median, "range": [min(values), max(values)]})
        ratio = median / rows[0][unit]
        print(
            f"{title:35} {name:17} {median:8.2f} {unit} "
            f"({min(values):.2f} to {max(values):.2f})  {ratio:5.2f}",
            flush=True,
        )
    return rows


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=2, help="turns of each method")
    parser.add_argument("--steps", type=int, default=3, help="steps per turn")
    parser.add_argument("--record", type=pathlib.Path, metavar="FILE", help="a JSON file")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        what, *arguments = options.one
        {"train": train, "convolve": convolve, "read": read}[what](*arguments)
        return
    from environments import make_backends_environment

    from helpers import archive, records, settings

    peers = make_backends_environment("peers", PEERS)
    run_settings = settings.current()
    folder = archive.fetch_clips(run_settings)["train"]
    about = (
        f"Steps: batches of {BATCH} clips of {FRAMES} frames, {SIZE} × {SIZE} pixels, float32. "
        f"Reading: clips of {run_settings.dataset}, {N_READ} frames, one thread. "
        f"{records.hardware()}."
    )
    print(f"{about} Load at the start: {os.getloadavg()[0]:.1f}.")
    tables = {}
    for conv in ("2plus1d", "3d"):
        found = {name: [] for name in TRAINERS}
        for _, name in itertools.product(range(options.rounds), TRAINERS):
            python = sys.executable if name == "tensorflow" else peers
            backend = "torch" if name == "torchvision" else name
            found[name] += run(python, "train", name, conv, options.steps, backend=backend)
        tables[conv] = show(conv, "seconds", found)
    for name in CONVOLUTIONS:
        seconds = {library: run(peers, "convolve", library, name) for library in ("torch", "jax")}
        for number, step in enumerate(PASSES):
            found = {library: [1000 * each[number]] for library, each in seconds.items()}
            tables[f"{name}, {step}"] = show(f"{name}, {step}", "ms", found)
    found = {name: [] for name in READERS}
    for _, name in itertools.product(range(options.rounds), READERS):
        found[name].append(run(peers, "read", name, folder, run_settings.frame_step)[0])
    tables["reading"] = show("reading", "clips/s", found)
    if options.record:
        records.write_json(options.record, {"about": about, "tables": tables})


if __name__ == "__main__":
    main()
