"""Run the networks and a short training on each of Keras's backends.

`make test-backends` calls this.

JAX and PyTorch share a virtual environment without TensorFlow. Models that TensorFlow saved must
give the same logits and the same attribution map there, the layers must compute what Keras's own
do, and the same short training on puppets must learn.
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
# The layer and the classes of the attribution maps.
MAPPED, LAYER, CLASSES = "small_resnet-2plus1d", "stage2_block1_relu2", [0, 1]


def save(folder):
    """Save each variant of each small network, its logits for a clip, and one attribution map."""
    import keras
    import numpy as np

    from helpers import models, saliency

    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (2, 6, 32, 32, 3), dtype=np.uint8)
    sizes = {"num_classes": 5, "n_frames": 6, "height": 32, "width": 32, "subtract_mean": True}
    logits = {}
    for network, conv in itertools.product(
        ("tutorial_model", "small_resnet", "resnet18"), ("2d", "mc3", "3d", "2plus1d")
    ):
        keras.utils.set_random_seed(0)
        model = getattr(models, f"build_{network}")(conv=conv, **sizes)
        # Running averages of these frames, so that no channel vanishes or overflows.
        for _ in range(20):
            model(frames, training=True)
        model.save(folder / f"{network}-{conv}.keras")
        logits[f"{network}-{conv}"] = model.predict(frames, verbose=0)
        if f"{network}-{conv}" == MAPPED:
            attribution = saliency.attribution_maps(model, frames, CLASSES, LAYER, pooled=False)
    np.savez(folder / "saved.npz", frames=frames, attribution=attribution, **logits)


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


def check(folder):
    """Load what was saved, train a little, and print the results as JSON."""
    import keras
    import numpy as np

    from helpers import recipes, saliency, settings, training

    saved = np.load(folder / "saved.npz")
    differences = []
    for name in sorted(set(saved) - {"frames", "attribution"}):
        model = keras.models.load_model(folder / f"{name}.keras")
        differences.append(difference(model.predict(saved["frames"], verbose=0), saved[name]))
        if name == MAPPED:
            attribution = saliency.attribution_maps(
                model, saved["frames"], CLASSES, LAYER, pooled=False
            )
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
                "difference": float(np.max(differences)),
                "attribution": difference(attribution, saved["attribution"]),
                "layers": compare_layers(),
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
        {"save": save, "check": check}[sys.argv[1]](pathlib.Path(sys.argv[2]))
        return
    without = make_backends_environment()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        sys.path.insert(0, str(ROOT))
        from helpers.puppets import write_zip

        write_zip(pathlib.Path(folder, "puppets.zip"), groups=20, clips=2)
        run(sys.executable, "tensorflow", "save", folder)
        for backend, python in (
            ("tensorflow", sys.executable),
            ("jax", without),
            ("torch", without),
        ):
            found = json.loads(run(python, backend, "check", folder).splitlines()[-1])
            alone = found["tensorflow"] == (backend == "tensorflow")
            fine = (
                max(found["difference"], found["attribution"], found["layers"]) <= CLOSE
                and found["loss"][-1] < 0.7 * found["loss"][0]
                and found["accuracy"] >= 0.5
            )
            failed += not (fine and alone and found["loaded"])
            print(
                f"{found['backend']:20} logits of 12 saved networks within "
                f"{found['difference']:.1e}, attribution within {found['attribution']:.1e}, "
                f"layers within {found['layers']:.1e}   "
                f"loss {found['loss'][0]:.2f} to {found['loss'][-1]:.2f}, "
                f"accuracy {found['accuracy']:.2f} in {found['seconds']:.0f} s   "
                f"{'passed' if fine and alone and found['loaded'] else 'FAILED'}",
                flush=True,
            )
    print(f"{3 - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
