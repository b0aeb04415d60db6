"""Parameters and multiply-adds of convolutions. Taught in the chapter *Count parameters*."""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import keras

from helpers.layers import DepthwiseVideoConv, Gain


class Row(NamedTuple):
    """A row of `layer_table`: a layer's name, class, output shape without the batch, and costs."""

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int


def conv3d_parameters(
    in_channels: int, out_channels: int, kernel_size: Sequence[int], bias: bool = True
) -> int:
    """Count the parameters of a 3D convolution.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output, one filter each.
        kernel_size: `(time, height, width)` of a filter; `(1, height, width)` for a 2D convolution.
        bias: Whether each filter adds a bias.

    Returns:
        `time * height * width * in_channels * out_channels`, plus `out_channels` with biases.
    """
    return prod(kernel_size) * in_channels * out_channels + bias * out_channels


def conv2plus1d_parameters(
    in_channels: int,
    out_channels: int,
    kernel_size: Sequence[int],
    mid_channels: int | None = None,
    bias: bool = True,
) -> int:
    """Count the parameters of a (2+1)D convolution: one over space, then one over time.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: `(time, height, width)` of the 3D convolution that it replaces.
        mid_channels: Channels between the two convolutions; default: `out_channels`, as in the
            TensorFlow tutorial. The paper uses `mid_channels(in_channels, out_channels,
            kernel_size)`.
        bias: Whether each filter of both convolutions adds a bias.

    Returns:
        The sum over both convolutions.
    """
    if mid_channels is None:
        mid_channels = out_channels
    time, height, width = kernel_size
    spatial = conv3d_parameters(in_channels, mid_channels, (1, height, width), bias)
    temporal = conv3d_parameters(mid_channels, out_channels, (time, 1, 1), bias)
    return spatial + temporal


def mid_channels(in_channels: int, out_channels: int, kernel_size: Sequence[int]) -> int:
    """Return the paper's M: the mid channels with which (2+1)D has as many parameters as 3D.

    M is rounded down, so without biases the (2+1)D convolution never has more parameters than the
    3D one (Tran et al. 2018, section 3.5).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: `(time, height, width)` of the 3D convolution.

    Returns:
        M, at least 1.
    """
    time, height, width = kernel_size
    volume = time * height * width * in_channels * out_channels
    return max(1, volume // (height * width * in_channels + time * out_channels))


def conv3d_multiply_adds(
    in_channels: int, out_channels: int, kernel_size: Sequence[int], output_size: Sequence[int]
) -> int:
    """Count the multiply-adds of a 3D convolution for one clip, without biases.

    A multiply-add is a multiplication and the addition of its result to a sum.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: `(time, height, width)` of a filter.
        output_size: `(time, height, width)` of the output.

    Returns:
        The number of weights times the number of output positions, as each weight is used once at
        each position.
    """
    return conv3d_parameters(in_channels, out_channels, kernel_size, bias=False) * prod(output_size)


def conv2plus1d_multiply_adds(
    in_channels: int,
    out_channels: int,
    kernel_size: Sequence[int],
    output_size: Sequence[int],
    mid_channels: int | None = None,
    strides: Sequence[int] = (1, 1, 1),
) -> int:
    """Count the multiply-adds of a (2+1)D convolution for one clip, without biases.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: `(time, height, width)` of the 3D convolution that it replaces.
        output_size: `(time, height, width)` of the output.
        mid_channels: Channels between the two convolutions; default: `out_channels`.
        strides: `(time, height, width)`. The spatial convolution has strides over space only, so
            it processes every frame of the input.

    Returns:
        The sum over both convolutions, if the temporal stride divides the number of frames.
    """
    if mid_channels is None:
        mid_channels = out_channels
    time, height, width = kernel_size
    n_frames, *area = output_size
    spatial = conv3d_multiply_adds(
        in_channels, mid_channels, (1, height, width), (n_frames * strides[0], *area)
    )
    return spatial + conv3d_multiply_adds(mid_channels, out_channels, (time, 1, 1), output_size)


def layer_table(model: keras.Model) -> list[Row]:
    """Count the parameters and multiply-adds of each layer from its configuration alone.

    A layer that consists of others has a row for each of them. Only convolutions and dense layers
    have multiply-adds; normalisations and additions need few in comparison.

    Args:
        model: A network of `helpers.models`; its weights are not needed.

    Returns:
        `Row(name, kind, output, parameters, multiply_adds)` for each layer: its name, its class,
        the shape of its output without the batch, its parameters, trainable or not, and its
        multiply-adds for one clip.
    """
    without_weights = keras.layers.InputLayer, keras.layers.Add
    counted = [layer for layer in model.layers if not isinstance(layer, without_weights)]
    return [row for layer in counted for row in _rows(layer, layer.name, layer.input.shape)]


def _rows(layer: keras.layers.Layer, name: str, shape: tuple) -> list[Row]:
    """Return the row of a layer with this input shape, or the rows of the layers inside it."""
    if hasattr(layer, "seq"):
        rows = []
        for part in layer.seq.layers:
            rows += _rows(part, f"{name}/{part.name}", shape)
            shape = part.compute_output_shape(shape)
        return rows
    output = tuple(layer.compute_output_shape(shape)[1:])
    parameters, multiply_adds = _count(layer, shape[-1], output)
    return [Row(name, type(layer).__name__, output, parameters, multiply_adds)]


def _count(layer: keras.layers.Layer, channels: int, output: tuple) -> tuple[int, int]:
    """Return the parameters and multiply-adds of a layer with these input channels and output."""
    if isinstance(layer, keras.layers.Conv3D):
        sizes = channels, layer.filters, layer.kernel_size
        parameters = conv3d_parameters(*sizes, bias=layer.use_bias)
        return parameters, conv3d_multiply_adds(*sizes, output[:-1])
    if isinstance(layer, DepthwiseVideoConv):
        weights = prod(layer.kernel_size) * channels
        return weights + layer.use_bias * channels, prod(layer.kernel_size) * prod(output)
    if isinstance(layer, Gain):
        return 1, 0
    if isinstance(layer, keras.layers.Dense):
        return (channels + 1) * layer.units, channels * prod(output)
    if isinstance(layer, keras.layers.BatchNormalization):
        return 4 * channels, 0
    if isinstance(layer, keras.layers.LayerNormalization):
        return 2 * channels, 0
    return 0, 0
