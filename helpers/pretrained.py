"""Published weights of networks for images and videos. Taught in *Start from a trained network*."""

import dataclasses
import hashlib
import http.client
import pathlib
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras

from helpers import efficientnet, movinet
from helpers.atomic import atomic_write, locked
from helpers.clips import as_url
from helpers.layers import SubtractMean
from helpers.settings import PUBLISHED, Settings, project_root, published_source
from helpers.state_dict import assign_weights, read_state_dict

# Seconds until a server that sends nothing counts as unreachable.
TIMEOUT = 30
# The inputs that the published weights expect: the size of frames, and where it matters their
# number and their distance at 25 per second. Fine-tuning needs few epochs.
PRETRAINED: dict[str, dict[str, Any]] = {
    "movinet_a0": {"size": 172, "n_frames": 16, "frame_step": 5, "epochs": 6},
    "efficientnet_lite0": {"size": 224, "n_frames": 16, "frame_step": 10, "epochs": 6},
    "resnet18": {"size": 112, "n_frames": 16, "frame_step": 2, "epochs": 6},
}

# What torchvision's networks for videos differ in: padding at strides, the epsilon of batch
# normalisation, and the scale of the input (the statistics of Kinetics-400).
TORCHVISION: dict[str, Any] = {
    "symmetric": True,
    "epsilon": 1e-5,
    "mean": (0.43216, 0.394666, 0.37645),
    "deviation": (0.22803, 0.22145, 0.216989),
}


def load_torchvision(
    model: keras.Model,
    state_dict: Mapping[str, Any],
    *,
    include_top: bool = True,
    source: str = "The state dict",
) -> keras.Model:
    """Load the weights of torchvision's R(2+1)D-18, R3D-18 or MC3-18 (Tran et al. 2018).

    torchvision publishes them as `r2plus1d_18`, `r3d_18` and `mc3_18`, trained on Kinetics-400 with
    16 frames of 112 × 112 pixels.

    Args:
        model: The network, from `build_resnet18(conv, **TORCHVISION)`, where `conv` is `"2plus1d"`,
            `"3d"` or `"mc3"`.
        state_dict: The weights: `state_dict()` of torchvision's network, or what
            `helpers.state_dict.read_state_dict` reads from its file.
        include_top: Whether to load the logits, too. If not, that layer stays as it is, and the
            network may have another number of classes.
        source: What the weights are called in errors.

    Returns:
        The same network.

    Raises:
        ValueError: The weights are those of another network, or the network was built with other
            options than `TORCHVISION`.
    """
    _check_options(model)
    layers = _torchvision_layers(model)
    assign_weights(layers, state_dict, source, include_top=include_top)
    return model


def _check_options(model):
    """Raise a ValueError unless a network was built with the options of torchvision's."""
    kind = model.name.removeprefix("resnet18_")
    if kind == model.name or kind == "2d":
        raise ValueError(
            f"{model.name} is none of torchvision's networks; build it with build_resnet18 and "
            'conv="2plus1d", "3d" or "mc3".'
        )
    stem, norm, rescaling = map(model.get_layer, ("stem", "stem_norm", "rescaling"))
    offset = [-m / d for m, d in zip(TORCHVISION["mean"], TORCHVISION["deviation"])]
    is_plain = not any(isinstance(layer, SubtractMean) for layer in model.layers)
    if not (
        stem.symmetric
        and norm.epsilon == TORCHVISION["epsilon"]
        and rescaling.offset == offset
        and is_plain
    ):
        raise ValueError(
            "The network pads, normalises or scales its input differently from torchvision's; "
            f'build it with build_resnet18("{kind}", **TORCHVISION).'
        )


def _torchvision_layers(model):
    """Return our layers with weights by torchvision's names."""
    layers: dict[str, keras.layers.Layer] = {}
    _add_conv(layers, model.get_layer("stem"), ("stem.0", "stem.1", "stem.3"), "stem.0")
    stem_norm = "stem.4" if "stem.3" in layers else "stem.1"
    layers[stem_norm] = model.get_layer("stem_norm")
    for stage in range(1, 5):
        for block in (1, 2):
            ours, theirs = f"stage{stage}_block{block}", f"layer{stage}.{block - 1}"
            for i in (1, 2):
                conv, parts = f"{theirs}.conv{i}", [f"{theirs}.conv{i}.0.{part}" for part in "013"]
                _add_conv(layers, model.get_layer(f"{ours}_conv{i}"), parts, f"{conv}.0")
                layers[f"{conv}.1"] = model.get_layer(f"{ours}_norm{i}")
            if stage > 1 and block == 1:
                layers[f"{theirs}.downsample.0"] = model.get_layer(f"{ours}_shortcut")
                layers[f"{theirs}.downsample.1"] = model.get_layer(f"{ours}_shortcut_norm")
    return layers | {"fc": model.get_layer("logits")}


def _add_conv(layers, layer, parts, name):
    """Add a convolution, or the parts with weights of a (2+1)D convolution."""
    if not hasattr(layer, "seq"):
        layers[name] = layer
        return
    layers |= zip(parts, (part for part in layer.seq.layers if part.weights))


def suit_settings(settings: Settings, network: str, *, fine_tune: bool = False) -> Settings:
    """Return settings with the inputs that a network's published weights expect.

    Args:
        settings: The settings of a run, from `helpers.settings.current`.
        network: A key of `PRETRAINED`.
        fine_tune: Whether the network will be fine-tuned. If not, there is one epoch.
    """
    changes = PRETRAINED[network] if fine_tune else PRETRAINED[network] | {"epochs": 1}
    return dataclasses.replace(settings, **changes)


def load_published(model: keras.Model, *, include_top: bool = False) -> keras.Model:
    """Load the published weights of a network, which are downloaded if necessary.

    EfficientNet-Lite0's come with a package; `fetch_published` gets the others.

    Args:
        model: A network from `build_movinet_a0`, `build_efficientnet_lite0`, or
            `build_resnet18(conv, **TORCHVISION)`.
        include_top: Whether to load the logits, too. If not, that layer stays as it is, and the
            network may have another number of classes.

    Returns:
        The same network.

    Raises:
        ValueError: The weights can't be had, they are damaged, or the network has none.
    """
    if model.name == "movinet_a0":
        file = fetch_published("MOVINET_A0_WEIGHTS")
        return movinet.load_weights(model, file, include_top=include_top)
    if model.name == "efficientnet_lite0":
        return efficientnet.load_weights(model, include_top=include_top)
    name = f"{model.name.upper()}_WEIGHTS"
    if name not in PUBLISHED:
        raise ValueError(
            f"{model.name} has no published weights; choose movinet_a0, efficientnet_lite0, or "
            "resnet18 with (2+1)D, 3D or mixed convolutions (2plus1d, 3d, mc3)."
        )
    file = fetch_published(name)
    weights, source = read_state_dict(file), f"{file} ({name})"
    return load_torchvision(model, weights, include_top=include_top, source=source)


def fetch_published(name: str) -> pathlib.Path:
    """Return the path of a published file; from the web, it is downloaded once, into `data/`.

    Args:
        name: A key of `helpers.settings.PUBLISHED`. The environment variable of that name may hold
            another URL, or a path, which is returned as it is.

    Raises:
        ValueError: The file can't be downloaded, or is not the published one.
    """
    source, file = published_source(name), _PUBLISHED[name]
    if not as_url(source):
        return pathlib.Path(source)
    path = project_root() / "data" / "published" / file.name
    try:
        with locked(path.parent):
            if not path.exists() or not file.is_published(path.read_bytes()):
                content = _download(source, name)
                if not file.is_published(content):
                    raise ValueError(
                        f"{source} sent {len(content):,} bytes that are not the published file "
                        f"(their SHA-256 is another one); download it in a browser, and set {name} "
                        "to its path."
                    )
                with atomic_write(path) as temp_path:
                    temp_path.write_bytes(content)
    except OSError as error:
        raise ValueError(
            f"{path} can't be read or written ({error.strerror or error}); make its folder "
            f"writable, or set {name} to the path of the file."
        ) from error
    return path


def _download(url, name):
    """Return the content of a URL."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            return response.read()
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = str(getattr(error, "reason", None) or error) or type(error).__name__
        reason = " ".join(reason.split())
        if isinstance(error, urllib.error.HTTPError):
            reason = f"the server answered {error.code}"
        raise ValueError(
            f"{url} can't be downloaded ({reason}); try again, or download {PUBLISHED[name]} in a "
            f"browser and set {name} to its path."
        ) from error


def kinetics600_labels() -> list[str]:
    """Return the names of Kinetics-600's classes, in the order of MoViNet's logits.

    Raises:
        ValueError: The list can't be had, or is another one.
    """
    path = fetch_published("KINETICS600_LABELS")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"{path} can't be read ({error.strerror or error}); set KINETICS600_LABELS to the path "
            "of the list of Kinetics-600's classes."
        ) from error
    if not _PUBLISHED["KINETICS600_LABELS"].is_published(content):
        raise ValueError(
            f"{path} is not the list of Kinetics-600's 600 classes in MoViNet's order; download it "
            f"from {PUBLISHED['KINETICS600_LABELS']}."
        )
    return _lines(content).decode().split("\n")


def _lines(content):
    """Return a text without spaces around its lines and without an empty last line."""
    return b"\n".join(line.strip() for line in content.splitlines())


class _File(NamedTuple):
    """A published file.

    Attributes:
        name: Its name on this machine.
        checksum: Its SHA-256, or the beginning of it.
        is_text: Whether spaces around its lines don't matter.
    """

    name: str
    checksum: str
    is_text: bool = False

    def is_published(self, content: bytes) -> bool:
        """Return whether this is the content of the published file."""
        content = _lines(content) if self.is_text else content
        return hashlib.sha256(content).hexdigest().startswith(self.checksum)


# torchvision's files have the beginning of their checksum in their names.
_PUBLISHED = {
    "MOVINET_A0_WEIGHTS": _File("movinet_a0_stream_int8.tflite", movinet.SHA256),
    "KINETICS600_LABELS": _File(
        "kinetics_600_labels.txt",
        "5d9a560f98fcfed08f6129dd498f97e043edf729efb3c02dd96b482d2970f9c0",
        is_text=True,
    ),
    "RESNET18_2PLUS1D_WEIGHTS": _File("r2plus1d_18.pth", "91a641e6"),
    "RESNET18_3D_WEIGHTS": _File("r3d_18.pth", "b3b3357e"),
    "RESNET18_MC3_WEIGHTS": _File("mc3_18.pth", "a90a0ba3"),
}
