"""The networks, from videos of uint8 frames to logits. Taught in the chapter *Build the model*."""

import keras

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
    num_classes=10, n_frames=10, height=224, width=224, conv="2plus1d", *, subtract_mean=False
):
    """Build the network of TensorFlow's tutorial *Video classification with a 3D convolutional neural network*.

    Args:
        num_classes: Number of logits.
        n_frames: Frames a clip.
        height: Height of a frame in pixels; halved four times.
        width: Width of a frame in pixels; halved four times.
        conv: `"2plus1d"` (the tutorial's), `"3d"`, `"mc3"` (3D in the stem and the first stage, 2D after them), or `"2d"`, which
            sees each frame by itself.
        subtract_mean: Whether the clip's mean picture is subtracted from each frame first.

    Returns:
        A `keras.Model` from uint8 `(batch, n_frames, height, width, 3)` to logits `(batch, num_classes)`.
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
    num_classes=10, n_frames=10, height=224, width=224, conv="2plus1d", *, subtract_mean=False
):
    """Build the book's own network: the tutorial's widths, one block each, made of the paper's block.

    The paper's M is rounded down to a multiple of 16: processors work on 16 channels at once, and an odd one costs as much.

    Args and returns are those of `build_tutorial_model`.
    """
    sizes = (n_frames, height, width, 3)
    return _build_resnet(
        "small_resnet", conv, num_classes, sizes, 16, 1, multiple=16, subtract_mean=subtract_mean
    )


def build_resnet18(
    conv="2plus1d", num_classes=400, n_frames=16, height=112, width=112, *, subtract_mean=False
):
    """Build one of the paper's 18-layer networks (Tran et al. 2018, table 1), which differ in their convolutions only.

    Args:
        conv: `"2plus1d"` for R(2+1)D, `"3d"` for R3D, `"mc3"` for MC3 (3D in the stem and the first stage, 2D after
            them), `"2d"` for 2D convolutions throughout.
        num_classes: Number of logits.
        n_frames: Frames a clip.
        height: Height of a frame in pixels.
        width: Width of a frame in pixels.
        subtract_mean: Whether the clip's mean picture is subtracted from each frame first.

    Returns:
        A `keras.Model` from uint8 `(batch, n_frames, height, width, 3)` to logits `(batch, num_classes)`.
    """
    sizes = (n_frames, height, width, 3)
    return _build_resnet(
        f"resnet18_{conv}", conv, num_classes, sizes, 64, 2, multiple=1, subtract_mean=subtract_mean
    )


def _input_frames(shape, subtract_mean):
    """Return the input of uint8 frames, and what the first layer gets."""
    inputs = keras.Input(shape, dtype="uint8", name="frames")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    return inputs, SubtractMean(name="moving")(x) if subtract_mean else x


def _build_resnet(
    name, conv, num_classes, input_shape, filters, blocks, *, multiple, subtract_mean
):
    """Build a video ResNet: a strided stem, four stages that double the channels, the average, the logits.

    The channels between space and time are a multiple of `multiple`.
    """
    inputs, x = _input_frames(input_shape, subtract_mean)

    def round_down(channels):
        return max(1, channels // multiple) * multiple

    # The paper's stem of 64 channels has 45 between its convolutions; a smaller one keeps that ratio.
    stem = {"conv": _stage_conv(conv, 0), "mid_channels": round_down(filters * 45 // 64)}
    x = paper_conv(filters, (3, 7, 7), strides=(1, 2, 2), name="stem", **stem)(x)
    x = keras.layers.ReLU(name="stem_relu")(batch_norm(name="stem_norm")(x))
    for stage in range(1, 5):
        for block in range(1, blocks + 1):
            width = filters * 2 ** (stage - 1)
            x = add_paper_block(
                x,
                width,
                conv=_stage_conv(conv, stage),
                # Both convolutions of a block take the M of its first.
                mid_channels=round_down(mid_channels(x.shape[-1], width, (3, 3, 3))),
                stride=2 if stage > 1 and block == 1 else 1,
                name=f"stage{stage}_block{block}",
            )
    x = keras.layers.GlobalAveragePooling3D(name="average")(x)
    outputs = keras.layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(inputs, outputs, name=name)


def _stage_conv(conv, stage):
    """Return the convolution of a stage; the stem is stage 0."""
    if conv not in ("2plus1d", "3d", "mc3", "2d"):
        raise ValueError(f'conv is "2plus1d", "3d", "mc3" or "2d", not {conv!r}.')
    if conv == "mc3":
        return "3d" if stage <= 1 else "2d"
    return conv


def paper_conv(filters, kernel_size, *, conv, mid_channels, strides, name):
    """Return one of the paper's convolutions, without biases: a batch normalisation follows it.

    Args:
        filters: Channels of the output.
        kernel_size: `(time, height, width)`; `"2d"` takes height and width only.
        conv: `"2plus1d"`, `"3d"` or `"2d"`.
        mid_channels: Channels between the spatial and the temporal convolution of `"2plus1d"`.
        strides: `(time, height, width)`; `"2d"` takes height and width only.
        name: The layer's name.
    """
    if conv == "2d":
        kernel_size, strides = (1, *kernel_size[1:]), (1, *strides[1:])
    common = {"padding": "same", "strides": strides, "name": name}
    if conv == "2plus1d":
        middle = {"mid_channels": mid_channels, "normalized": True}
        return Conv2Plus1D(filters, kernel_size, **common, **middle)
    return VideoConv(filters, kernel_size, use_bias=False, **common)


def add_paper_block(input, filters, *, conv, mid_channels, stride, name):
    """Add the residual block of He et al. (2016) with video convolutions: ReLU after the addition.

    Args:
        input: Symbolic tensor `(batch, time, height, width, channels)`.
        filters: Channels of the output.
        conv: `"2plus1d"`, `"3d"` or `"2d"`.
        mid_channels: Channels between the spatial and the temporal convolution of `"2plus1d"`.
        stride: Stride of time, height and width; `"2d"` takes it for height and width only.
        name: Prefix of the layers' names.

    Returns:
        Symbolic tensor `(batch, time / stride, height / stride, width / stride, filters)`.
    """
    strides = (1 if conv == "2d" else stride, stride, stride)
    options = {"conv": conv, "mid_channels": mid_channels}
    x = paper_conv(filters, (3, 3, 3), strides=strides, name=f"{name}_conv1", **options)(input)
    x = keras.layers.ReLU(name=f"{name}_relu1")(batch_norm(f"{name}_norm1")(x))
    x = paper_conv(filters, (3, 3, 3), strides=(1, 1, 1), name=f"{name}_conv2", **options)(x)
    x = batch_norm(f"{name}_norm2")(x)
    shortcut = input
    if shortcut.shape != x.shape:
        projection = VideoConv(filters, 1, strides=strides, use_bias=False, name=f"{name}_shortcut")
        shortcut = batch_norm(f"{name}_shortcut_norm")(projection(shortcut))
    return keras.layers.ReLU(name=f"{name}_relu2")(
        keras.layers.add([shortcut, x], name=f"{name}_add")
    )
