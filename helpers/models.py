"""The networks: from uint8 videos to logits. Taught in the chapter *Build the model*."""

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any

import keras
from keras import KerasTensor

from helpers.counting import mid_channels
from helpers.layers import (
    BatchNorm,
    Conv2Plus1D,
    ResizeVideo,
    SubtractMean,
    VideoConv,
    add_residual_block,
    batch_norm,
    tutorial_conv,
)


def build_tutorial_model(
    num_classes: int = 10,
    n_frames: int = 10,
    height: int = 224,
    width: int = 224,
    conv: str = "2plus1d",
    *,
    subtract_mean: bool = False,
) -> keras.Model:
    """Build the network of TensorFlow's tutorial on video classification.

    The tutorial is *Video classification with a 3D convolutional neural network*.

    Args:
        num_classes: Number of logits.
        n_frames: Frames per clip.
        height: Height of a frame in pixels; halved four times.
        width: Width of a frame in pixels; halved four times.
        conv: Kind of the convolutions: `"2plus1d"` (the tutorial's), `"3d"`, `"mc3"` (3D in the
            stem and the first stage, 2D in the others), or `"2d"` (each frame on its own).
        subtract_mean: Whether to subtract the clip's mean frame from each frame first.

    Returns:
        A network from uint8 `(batch, n_frames, height, width, 3)` to float32 logits
        `(batch, num_classes)`.

    Raises:
        ValueError: `conv` is none of the four.
    """
    inputs, x = _input_frames((n_frames, height, width, 3), subtract_mean)
    x = tutorial_conv(16, (3, 7, 7), _stage_conv(conv, 0))(x)
    x = BatchNorm()(x)
    x = keras.layers.ReLU()(x)
    for stage, filters in enumerate((16, 32, 64, 128), start=1):
        x = ResizeVideo(height // 2**stage, width // 2**stage)(x)
        x = add_residual_block(x, filters, (3, 3, 3), _stage_conv(conv, stage))
    x = keras.layers.GlobalAveragePooling3D()(x)
    outputs = keras.layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(inputs, outputs, name="tutorial")


def build_small_resnet(
    num_classes: int = 10,
    n_frames: int = 10,
    height: int = 224,
    width: int = 224,
    conv: str = "2plus1d",
    *,
    subtract_mean: bool = False,
) -> keras.Model:
    """Build the book's own network: the tutorial's widths with one of the paper's blocks each.

    The paper's M is rounded down to a multiple of 16. Processors compute 16 channels at once, so 17
    would take as long as 32.

    Arguments, return value and errors are those of `build_tutorial_model`.
    """
    shape = (n_frames, height, width, 3)
    widths = {"filters": 16, "blocks": 1, "multiple": 16}
    return _build_resnet("small_resnet", shape, num_classes, conv, subtract_mean, **widths)


def build_resnet18(
    conv: str = "2plus1d",
    num_classes: int = 400,
    n_frames: int = 16,
    height: int = 112,
    width: int = 112,
    *,
    subtract_mean: bool = False,
    symmetric: bool = False,
    epsilon: float = 1e-3,
    mean: Sequence[float] = (0.0, 0.0, 0.0),
    deviation: Sequence[float] = (1.0, 1.0, 1.0),
) -> keras.Model:
    """Build one of the paper's 18-layer networks (Tran et al. 2018, table 1).

    They differ only in their convolutions: R(2+1)D, R3D, MC3 and R2D.

    Args:
        conv: `"2plus1d"` for R(2+1)D, `"3d"` for R3D, `"mc3"` for MC3 (3D in the stem and the
            first stage, 2D in the others), or `"2d"` for R2D.
        num_classes: Number of logits.
        n_frames: Frames per clip.
        height: Height of a frame in pixels.
        width: Width of a frame in pixels.
        subtract_mean: Whether to subtract the clip's mean frame from each frame first.
        symmetric: Whether convolutions pad symmetrically, as PyTorch's do; see
            `helpers.layers.VideoConv`.
        epsilon: What batch normalisation adds to the variance: 1e-3 in Keras, 1e-5 in PyTorch.
        mean: What is subtracted from red, green and blue, from 0 to 1.
        deviation: What they are then divided by.

    Returns:
        A network from uint8 `(batch, n_frames, height, width, 3)` to float32 logits
        `(batch, num_classes)`.

    Raises:
        ValueError: `conv` is none of the four.
    """
    return _build_resnet(
        f"resnet18_{conv}",
        (n_frames, height, width, 3),
        num_classes,
        conv,
        subtract_mean,
        filters=64,
        blocks=2,
        multiple=1,
        symmetric=symmetric,
        epsilon=epsilon,
        mean=mean,
        deviation=deviation,
    )


def _input_frames(shape, subtract_mean, mean=(0.0,), deviation=(1.0,)):
    """Return the symbolic input, and the tensor that the first convolution receives."""
    inputs = keras.Input(shape, dtype="uint8", name="frames")
    scale = [1 / (255 * each) for each in deviation]
    offset = [-centre / each for centre, each in zip(mean, deviation)]
    if len({*scale}) == len({*offset}) == 1:
        scale, offset = scale[0], offset[0]
    x = keras.layers.Rescaling(scale, offset, name="rescaling")(inputs)
    return inputs, SubtractMean(name="moving")(x) if subtract_mean else x


def _build_resnet(
    name,
    shape,
    num_classes,
    conv,
    subtract_mean,
    *,
    filters,
    blocks,
    multiple,
    symmetric=False,
    epsilon=1e-3,
    mean=(0.0,),
    deviation=(1.0,),
):
    """Build a video ResNet: a strided stem, four stages, global average pooling, and the logits.

    Args:
        name: Name of the network.
        shape: `(n_frames, height, width, 3)` of a clip.
        num_classes: Number of logits.
        conv: As in `build_resnet18`.
        subtract_mean: As in `build_resnet18`.
        filters: Channels of the stem and the first stage; each further stage doubles them.
        blocks: Blocks per stage.
        multiple: The mid channels are rounded down to a multiple of this number.
        symmetric: As in `build_resnet18`, like the rest.
        epsilon: Likewise.
        mean: Likewise.
        deviation: Likewise.
    """
    options: dict[str, Any] = {"symmetric": symmetric, "epsilon": epsilon}

    def round_down(channels):
        return max(1, channels // multiple) * multiple

    inputs, x = _input_frames(shape, subtract_mean, mean, deviation)
    x = paper_conv(
        filters,
        (3, 7, 7),
        conv=_stage_conv(conv, 0),
        # The paper's stem has 45 mid channels for its 64 filters; a smaller stem keeps the ratio.
        mid_channels=round_down(filters * 45 // 64),
        strides=(1, 2, 2),
        name="stem",
        **options,
    )(x)
    x = keras.layers.ReLU(name="stem_relu")(batch_norm("stem_norm", epsilon)(x))
    for stage, block in itertools.product(range(1, 5), range(1, blocks + 1)):
        width = filters * 2 ** (stage - 1)
        x = add_paper_block(
            x,
            width,
            conv=_stage_conv(conv, stage),
            # As in the paper, both convolutions of a block have the M of the first.
            mid_channels=round_down(mid_channels(x.shape[-1], width, (3, 3, 3))),
            stride=2 if stage > 1 and block == 1 else 1,
            name=f"stage{stage}_block{block}",
            **options,
        )
    x = keras.layers.GlobalAveragePooling3D(name="average")(x)
    outputs = keras.layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(inputs, outputs, name=name)


def _stage_conv(conv, stage):
    """Return the kind of convolution in a stage; the stem is stage 0."""
    if conv not in ("2plus1d", "3d", "mc3", "2d"):
        raise ValueError(f'conv must be "2plus1d", "3d", "mc3" or "2d", not {conv!r}.')
    if conv == "mc3":
        return "3d" if stage <= 1 else "2d"
    return conv


def paper_conv(
    filters: int,
    kernel_size: Sequence[int],
    *,
    conv: str,
    mid_channels: int,
    strides: Sequence[int],
    name: str,
    symmetric: bool = False,
    epsilon: float = 1e-3,
) -> keras.layers.Layer:
    """Return one of the paper's convolutions: without biases, because a normalisation follows it.

    Args:
        filters: Channels of the output.
        kernel_size: `(time, height, width)`; `"2d"` uses height and width only.
        conv: `"2plus1d"`, `"3d"` or `"2d"`.
        mid_channels: Channels between the two convolutions of `"2plus1d"`, the paper's M.
        strides: `(time, height, width)`; `"2d"` uses height and width only.
        name: The layer's name.
        symmetric: Whether padding is symmetric, as in `helpers.layers.VideoConv`.
        epsilon: What the normalisation inside of `"2plus1d"` adds to the variance.
    """
    if conv == "2d":
        kernel_size, strides = (1, *kernel_size[1:]), (1, *strides[1:])
    options: dict[str, Any] = {"strides": strides, "padding": "same", "symmetric": symmetric}
    if conv == "2plus1d":
        options |= {"mid_channels": mid_channels, "normalized": True, "epsilon": epsilon}
        return Conv2Plus1D(filters, kernel_size, name=name, **options)
    return VideoConv(filters, kernel_size, use_bias=False, name=name, **options)


def add_paper_block(
    input: KerasTensor,
    filters: int,
    *,
    conv: str,
    mid_channels: int,
    stride: int,
    name: str,
    symmetric: bool = False,
    epsilon: float = 1e-3,
) -> KerasTensor:
    """Add the residual block of He et al. (2016) with video convolutions: ReLU after the addition.

    Args:
        input: Symbolic tensor `(batch, time, height, width, channels)`.
        filters: Channels of the output.
        conv: `"2plus1d"`, `"3d"` or `"2d"`.
        mid_channels: Channels between the two convolutions of `"2plus1d"`, the paper's M.
        stride: Stride over time, height and width; `"2d"` uses it over height and width only.
        name: Prefix of the layers' names.
        symmetric: Whether padding is symmetric, as in `helpers.layers.VideoConv`.
        epsilon: What normalisations add to the variance.

    Returns:
        Symbolic tensor `(batch, time / stride, height / stride, width / stride, filters)`, rounded
        up; `"2d"` keeps the time.
    """
    strides = (1 if conv == "2d" else stride, stride, stride)
    convolve = partial(
        paper_conv, conv=conv, mid_channels=mid_channels, symmetric=symmetric, epsilon=epsilon
    )
    shortcut = x = input
    x = convolve(filters, (3, 3, 3), strides=strides, name=f"{name}_conv1")(x)
    x = batch_norm(f"{name}_norm1", epsilon)(x)
    x = keras.layers.ReLU(name=f"{name}_relu1")(x)
    x = convolve(filters, (3, 3, 3), strides=(1, 1, 1), name=f"{name}_conv2")(x)
    x = batch_norm(f"{name}_norm2", epsilon)(x)
    if shortcut.shape != x.shape:
        project = VideoConv(filters, 1, strides=strides, use_bias=False, name=f"{name}_shortcut")
        shortcut = batch_norm(f"{name}_shortcut_norm", epsilon)(project(shortcut))
    x = keras.layers.add([shortcut, x], name=f"{name}_add")
    return keras.layers.ReLU(name=f"{name}_relu2")(x)
