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
    plain_convolution,
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
    inputs, x = _frames((n_frames, height, width, 3), subtract_mean)
    x = plain_convolution(_kind(conv, stage=0), 16, (3, 7, 7))(x)
    x = BatchNorm()(x)
    x = keras.layers.ReLU()(x)
    for stage, filters in enumerate((16, 32, 64, 128), start=1):
        x = ResizeVideo(height // 2**stage, width // 2**stage)(x)
        x = add_residual_block(x, filters, (3, 3, 3), _kind(conv, stage))
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


def _frames(shape, subtract_mean):
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
    inputs, x = _frames(input_shape, subtract_mean)

    def round_down(channels):
        return max(1, channels // multiple) * multiple

    # The paper gives a stem of 64 channels 45 in the middle; a smaller one keeps that ratio.
    middle = round_down(filters * 45 // 64)
    x = paper_convolution(
        _kind(conv, stage=0), filters, middle, kernel=(3, 7, 7), strides=(1, 2, 2), name="stem"
    )(x)
    x = keras.layers.ReLU(name="stem_relu")(batch_norm(name="stem_norm")(x))
    for stage in range(1, 5):
        for block in range(1, blocks + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            width = filters * 2 ** (stage - 1)
            # Both convolutions of a block take the M of its first.
            middle = round_down(mid_channels(x.shape[-1], width, (3, 3, 3)))
            x = add_paper_block(
                x, _kind(conv, stage), width, middle, stride, f"stage{stage}_block{block}"
            )
    x = keras.layers.GlobalAveragePooling3D(name="average")(x)
    outputs = keras.layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(inputs, outputs, name=name)


def _kind(conv, stage):
    """Return what a stage's convolutions are; the stem is stage 0."""
    if conv not in ("2plus1d", "3d", "mc3", "2d"):
        raise ValueError(f'conv is "2plus1d", "3d", "mc3" or "2d", not {conv!r}.')
    if conv == "mc3":
        return "3d" if stage <= 1 else "2d"
    return conv


def paper_convolution(kind, filters, middle, kernel, strides, name):
    """Return one of the paper's convolutions, to be followed by a batch normalisation and so without biases.

    Args:
        kind: `"2plus1d"`, `"3d"` or `"2d"`.
        filters: Channels of the output.
        middle: Channels between space and time, for `"2plus1d"`.
        kernel: `(time, height, width)`; of `"2d"` height and width only.
        strides: Likewise.
        name: The layer's name.
    """
    if kind == "2d":
        kernel, strides = (1, *kernel[1:]), (1, *strides[1:])
    choice = {"padding": "same", "strides": strides, "name": name}
    if kind == "2plus1d":
        return Conv2Plus1D(filters, kernel, mid_filters=middle, normalized=True, **choice)
    return VideoConv(filters, kernel, use_bias=False, **choice)


def add_paper_block(x, kind, filters, middle, stride, name):
    """Add the residual block of He et al. (2016) with video convolutions: ReLU after the addition.

    Args:
        x: A volume `(batch, time, height, width, channels)`.
        kind: What its convolutions are: `"2plus1d"`, `"3d"` or `"2d"`.
        filters: Channels of the output.
        middle: Channels between space and time, for `"2plus1d"`.
        stride: What time, height and width are divided by; with `"2d"` height and width only.
        name: What the names of its layers begin with.

    Returns:
        The volume after the block.
    """
    shortcut = x
    strides = (1 if kind == "2d" else stride, stride, stride)
    x = paper_convolution(kind, filters, middle, (3, 3, 3), strides, f"{name}_conv1")(x)
    x = keras.layers.ReLU(name=f"{name}_relu1")(batch_norm(f"{name}_norm1")(x))
    x = paper_convolution(kind, filters, middle, (3, 3, 3), (1, 1, 1), f"{name}_conv2")(x)
    x = batch_norm(f"{name}_norm2")(x)
    if shortcut.shape != x.shape:
        shortcut = VideoConv(filters, 1, strides=strides, use_bias=False, name=f"{name}_shortcut")(
            shortcut
        )
        shortcut = batch_norm(f"{name}_shortcut_norm")(shortcut)
    return keras.layers.ReLU(name=f"{name}_relu2")(
        keras.layers.add([shortcut, x], name=f"{name}_add")
    )


def as_float32(model):
    """Return a network that computes in float32 throughout, with the same weights, such as an export needs.

    Few programs but TensorFlow know the 16 bits in which a network trained with `--mixed` computes. One that computes in float32
    already is returned as it is; a copy isn't compiled.

    Args:
        model: A functional or sequential network, or another one that can be made anew from its configuration.
    """
    config = model.get_config()
    in_float32 = _in_float32(config)
    if in_float32 == config:
        return model
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(
        "float32"
    )  # networks in a network have no precision of their own in the configuration
    try:
        copy = type(model).from_config(in_float32)
    finally:
        keras.config.set_dtype_policy(before)
    copy.set_weights(model.get_weights())
    return copy


def _in_float32(config):
    """Return a configuration with every 16-bit precision in it, of layers in layers too, replaced by float32."""
    if isinstance(config, dict):
        return {
            key: "float32" if key == "dtype" and _is_16_bit(value) else _in_float32(value)
            for key, value in config.items()
        }
    return type(config)(map(_in_float32, config)) if type(config) in (list, tuple) else config


def _is_16_bit(dtype):
    """Return whether a dtype, or a dtype policy as it is saved, is of 16 bits."""
    name = dtype.get("config", {}).get("name") if isinstance(dtype, dict) else dtype
    return isinstance(name, str) and name.endswith(("float16", "bfloat16"))


def last_activation(model):
    """Return what a network's outputs have gone through at the end: `"softmax"`, `"sigmoid"`, ..., or `"linear"` where that is nothing.

    Layers that leave it at that, such as `Flatten` or an average, are looked through, and so are networks within a network. What can't
    be looked into, such as a subclass of `keras.Model`, is taken for linear.
    """
    outputs = getattr(model, "outputs", None)
    return _activation(outputs[0]) if outputs else "linear"


# What leaves values as they are, or takes the mean of several.
_PASSING = (
    "Activation",
    "Average",
    "AveragePooling",
    "Cast",
    "Dropout",
    "Flatten",
    "GlobalAveragePooling",
    "Identity",
    "Mean",
    "Reshape",
    "Squeeze",
)


def _activation(output):
    """Return what a symbolic tensor has gone through at the end."""
    layer, node, position = output._keras_history
    inputs = layer._inbound_nodes[node].input_tensors
    if isinstance(layer, keras.layers.Wrapper):
        layer = layer.layer
    if isinstance(layer, keras.Model):
        return _activation(layer.outputs[position]) if getattr(layer, "outputs", None) else "linear"
    kind, function = type(layer).__name__, getattr(layer, "activation", None)
    name = getattr(function, "__name__", type(function).__name__).lower() if function else "linear"
    if any(word in kind.lower() for word in ("softmax", "sigmoid", "unitnormalization")):
        return kind.lower()
    if name == "linear" and kind.rstrip("123D") in _PASSING:
        return " or ".join(sorted({_activation(each) for each in inputs}))
    return name
