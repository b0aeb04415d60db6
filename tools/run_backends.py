"""Run the networks and a short training on each of Keras's backends.

`make test-backends` calls this.

JAX and PyTorch share a virtual environment without TensorFlow. Models that TensorFlow saved must
give the same logits and the same attribution map there, the layers must compute what Keras's own
do, and the same short training on puppets must learn. Files of weights that PyTorch saves must be
read as they are, and with torchvision's weights, our networks must compute what torchvision's do.
Set MOVINET_A0_WEIGHTS to the path of its file to include MoViNet-A0's published weights.
"""

import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from environments import make_backends_environment
from set_address import ROOT

CLOSE = 1e-4
# What has to be close.
COMPARED = ("difference", "attribution", "layers", "torchvision")
# The layer and the classes of the attribution maps.
MAPPED, LAYER, CLASSES = "small_resnet-2plus1d", "stage2_block1_relu2", [0, 1]
# torchvision's networks by the kind of our convolutions.
TORCHVISION = {"2plus1d": "r2plus1d_18", "3d": "r3d_18", "mc3": "mc3_18"}


def networks():
    """Yield each network's name, the network, and frames for it."""
    import keras
    import numpy as np

    from helpers import efficientnet, models, movinet

    rng = np.random.default_rng(0)

    def draw(size):
        return rng.integers(0, 256, (2, 6, size, size, 3), dtype=np.uint8)

    frames = draw(32)
    sizes = {"num_classes": 5, "n_frames": 6, "height": 32, "width": 32, "subtract_mean": True}
    for network, conv in itertools.product(
        ("tutorial_model", "small_resnet", "resnet18"), ("2d", "mc3", "3d", "2plus1d")
    ):
        keras.utils.set_random_seed(0)
        model = getattr(models, f"build_{network}")(conv=conv, **sizes)
        # Running averages of these frames, so that no channel vanishes or overflows.
        for _ in range(20):
            model(frames, training=True)
        yield f"{network}-{conv}", model, frames
    # Strides leave odd and even sizes: 45, 23, 12, 6, 3.
    frames, sizes = draw(45), {"num_classes": 5, "height": 45, "width": 45}
    yield "movinet_a0", movinet.build_movinet_a0(**sizes), frames
    model = efficientnet.build_efficientnet_lite0(**sizes, deviation=True)
    yield "efficientnet_lite0", efficientnet.load_weights(model, include_top=False), frames
    file = pathlib.Path(os.environ.get("MOVINET_A0_WEIGHTS") or "")
    if file.is_file():
        model = movinet.load_weights(movinet.build_movinet_a0(), file)
        yield "movinet_a0-published", model, draw(172)


def save(folder):
    """Save each network, its logits for two clips, and one attribution map."""
    import numpy as np

    from helpers import saliency

    for name, model, frames in networks():
        model.save(folder / f"{name}.keras")
        saved = {"frames": frames, "logits": model.predict(frames, verbose=0)}
        if name == MAPPED:
            maps = saliency.attribution_maps(model, frames, CLASSES, LAYER, pooled=False)
            saved["attribution"] = maps
        np.savez(folder / f"{name}.npz", **saved)


def save_torchvision(folder):
    """Save torchvision's networks with random weights, and what they compute for a clip."""
    import numpy as np
    import torch

    from helpers.settings import PUBLISHED

    folder.mkdir()
    numbers = torch.rand(4, 6)
    tensors = {
        "part": numbers[1:, 1::2].T,
        "parameter": torch.nn.Parameter(numbers),
        "repeated": numbers,
        "empty": torch.empty(3, 0),
        "count": torch.tensor(7),
        **{str(dtype): (9 * numbers).to(dtype) for dtype in (torch.half, torch.uint8, torch.bool)},
    }
    expect_read(folder / "tensors.pth", tensors)
    frames = np.random.default_rng(0).integers(0, 256, (1, 16, 112, 112, 3), dtype=np.uint8)
    models = import_torchvision().models
    for conv, name in TORCHVISION.items():
        published = models.get_model_weights(name).KINETICS400_V1
        assert PUBLISHED[f"RESNET18_{conv.upper()}_WEIGHTS"] == published.url
        inputs = published.transforms()
        clip = (frames / 255 - inputs.mean) / inputs.std
        clip = torch.tensor(clip, dtype=torch.float).movedim(-1, 1)
        torch.manual_seed(0)
        network = models.get_model(name).eval()
        for part in network.modules():
            if isinstance(part, torch.nn.BatchNorm3d):
                for tensor in (part.running_var.data, part.weight.data):
                    tensor.uniform_(0.5, 1.5)
                for tensor in (part.running_mean.data, part.bias.data):
                    tensor.normal_(0, 0.3)
        expect_read(folder / f"{conv}.pth", network.state_dict())
        logits, network.fc = network.fc, torch.nn.Identity()
        with torch.no_grad():
            average = network(clip)
            saved = {"average": average.numpy(), "logits": logits(average).numpy()}
        np.savez(folder / f"{conv}.npz", frames=frames, **saved)


def import_torchvision():
    """Return torchvision, whose compiled part doesn't load beside a PyTorch without CUDA."""
    try:
        import torchvision
    except RuntimeError:
        import torch

        for name in ("nms", "qnms"):
            torch.library.define(
                f"torchvision::{name}", "(Tensor boxes, Tensor scores, float threshold) -> Tensor"
            )
        import torchvision
    return torchvision


def expect_read(path, tensors):
    """Let PyTorch save tensors in both formats, and assert that they are read as they are."""
    import numpy as np
    import torch

    from helpers.state_dict import read_state_dict

    for is_new in (False, True):
        torch.save(tensors, path, _use_new_zipfile_serialization=is_new)
        found = read_state_dict(path)
        assert list(found) == list(tensors)
        for name, tensor in tensors.items():
            np.testing.assert_array_equal(found[name], tensor.detach().numpy(), name, strict=True)


def difference(found, expected):
    """Return the largest difference, relative to the largest value."""
    import numpy as np

    found, expected = np.asarray(found), np.asarray(expected)
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def compute(layer, video, weights):
    """Return a layer's output in training and its state; under PyTorch also its gradients."""
    import keras

    torch = keras.backend.backend() == "torch"
    video = keras.ops.convert_to_tensor(video)
    if torch:
        video.requires_grad_()
    output = layer(video, training=True)
    found = [output, *layer.non_trainable_variables]
    if torch:
        from torch.autograd import grad

        inputs = [video, *(variable.value for variable in layer.trainable_variables)]
        found += grad((output * keras.ops.convert_to_tensor(weights)).sum(), inputs)
    return [keras.ops.convert_to_numpy(each) for each in found]


def compare_layers():
    """Return the largest difference of the book's layers from Keras's own."""
    import keras
    import numpy as np

    from helpers import layers

    rng = np.random.default_rng(0)
    video = rng.normal(2, 3, (2, 5, 8, 8, 6)).astype("float32")
    pairs = [(layers.BatchNorm(), keras.layers.BatchNormalization())]
    for kernel, strides in itertools.product(
        ((1, 3, 3), (3, 1, 1), (3, 3, 3)), (1, (1, 2, 2), (2, 1, 1), 2)
    ):
        options = {"filters": 4, "kernel_size": kernel, "strides": strides}
        for padding in ("same", "valid"):
            types = layers.VideoConv, keras.layers.Conv3D
            pairs.append([each(**options, padding=padding) for each in types])
    differences = []
    for ours, kerass in pairs:
        shape = kerass.compute_output_shape(video.shape)
        for layer in (ours, kerass):
            layer.build(video.shape)
        kerass.set_weights(ours.get_weights())
        weights = rng.normal(size=shape).astype("float32")
        both = [compute(layer, video, weights) for layer in (ours, kerass)]
        differences += [difference(*each) for each in zip(*both, strict=True)]
    return max(differences)


def compare_torchvision(folder):
    """Return the largest difference of our networks with torchvision's weights from torchvision's.

    It covers the logits and the features that precede them.
    """
    import keras
    import numpy as np

    from helpers import models, pretrained
    from helpers.state_dict import read_state_dict

    differences = []
    for conv in TORCHVISION:
        saved = np.load(folder / f"{conv}.npz")
        model = models.build_resnet18(conv, **pretrained.TORCHVISION)
        pretrained.load_torchvision(model, read_state_dict(folder / f"{conv}.pth"))
        outputs = {"average": model.get_layer("average").output, "logits": model.output}
        found = keras.Model(model.input, outputs).predict(saved["frames"], verbose=0)
        differences += [difference(found[name], saved[name]) for name in outputs]
    return float(np.max(differences))


def check(folder):
    """Load what was saved, train a little, and print the results as JSON."""
    import keras
    import numpy as np

    from helpers import recipes, saliency, settings, training

    differences = []
    for file in sorted(folder.glob("*.keras")):
        model, saved = keras.models.load_model(file), np.load(file.with_suffix(".npz"))
        frames = saved["frames"]
        differences.append(difference(model.predict(frames, verbose=0), saved["logits"]))
        if file.stem == MAPPED:
            maps = saliency.attribution_maps(model, frames, CLASSES, LAYER, pooled=False)
            attribution = difference(maps, saved["attribution"])
    os.chdir(tempfile.mkdtemp(dir=folder))
    splits = {"train": 20, "val": 5, "test": 5}
    run = settings.Settings(
        "ucf101",
        "short",
        frame_step=5,
        size=32,
        epochs=6,
        zip=str(folder / "puppets.zip"),
        num_classes=4,
        splits=splits,
        n_frames=6,
    )
    _, record = training.train(
        run, recipes.Recipe(learning_rate=3e-3), log=lambda line: print(line, file=sys.stderr)
    )
    loaded = training.load_run(run, recipes.Recipe(learning_rate=3e-3))
    print(
        json.dumps(
            {
                "backend": record["versions"]["backend"],
                "tensorflow": "tensorflow" in sys.modules,
                "networks": len(differences),
                "difference": float(np.max(differences)),
                "attribution": attribution,
                "layers": compare_layers(),
                "torchvision": compare_torchvision(folder / "torchvision"),
                "loss": record["history"]["loss"],
                "accuracy": record["history"]["accuracy"][-1],
                "seconds": record["seconds"],
                "loaded": loaded is not None,
            }
        )
    )


def run(python, backend, *arguments):
    """Run this file under a backend; return what it prints."""
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [python, __file__, *map(str, arguments)], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{backend} fails:\n{done.stderr[-4000:]}")
    return done.stdout


def main():
    if sys.argv[1:]:
        commands = {"save": save, "torchvision": save_torchvision, "check": check}
        commands[sys.argv[1]](pathlib.Path(sys.argv[2]))
        return
    without = make_backends_environment()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        sys.path.insert(0, str(ROOT))
        from helpers.puppets import write_zip

        write_zip(pathlib.Path(folder, "puppets.zip"), groups=20, clips=2)
        run(sys.executable, "tensorflow", "save", folder)
        run(without, "torch", "torchvision", pathlib.Path(folder, "torchvision"))
        for backend, python in (
            ("tensorflow", sys.executable),
            ("jax", without),
            ("torch", without),
        ):
            found = json.loads(run(python, backend, "check", folder).splitlines()[-1])
            alone = found["tensorflow"] == (backend == "tensorflow")
            fine = (
                all(found[name] <= CLOSE for name in COMPARED)
                and found["loss"][-1] < 0.7 * found["loss"][0]
                and found["accuracy"] >= 0.5
            )
            failed += not (fine and alone and found["loaded"])
            print(
                f"{found['backend']:20} logits of {found['networks']} saved networks within "
                f"{found['difference']:.1e}, attribution within {found['attribution']:.1e}, "
                f"layers within {found['layers']:.1e}, "
                f"torchvision's within {found['torchvision']:.1e}   "
                f"loss {found['loss'][0]:.2f} to {found['loss'][-1]:.2f}, "
                f"accuracy {found['accuracy']:.2f} in {found['seconds']:.0f} s   "
                f"{'passed' if fine and alone and found['loaded'] else 'FAILED'}",
                flush=True,
            )
    print(f"{3 - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
