"""How many parameters and multiply-adds convolutions have. Taught in the chapter *Count parameters*."""

import collections
from math import prod

import keras

Row = collections.namedtuple("Row", "name kind output parameters multiply_adds")


def conv3d_parameters(in_channels, out_channels, kernel_size, bias=True):
    """Count the parameters of a 3D convolution.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output, one filter each.
        kernel_size: `(time, height, width)` of a filter. A 2D convolution is `(1, height, width)`.
        bias: Whether each filter adds a bias.

    Returns:
        `time * height * width * in_channels * out_channels`, and `out_channels` more with biases.
    """
    return prod(kernel_size) * in_channels * out_channels + bias * out_channels


def conv2plus1d_parameters(in_channels, out_channels, kernel_size, mid_channels=None, bias=True):
    """Count the parameters of a (2+1)D convolution: one over space, then one over time.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: `(time, height, width)` of the 3D convolution that it stands in for.
        mid_channels: Channels between the two convolutions; `out_channels` where none are given, as
            in the TensorFlow tutorial. The paper takes `mid_channels(in_channels, out_channels,
            kernel_size)`.
        bias: Whether each filter of both convolutions adds a bias.

    Returns:
        The sum of both convolutions' parameters.
    """
    if mid_channels is None:
        mid_channels = out_channels
    time, height, width = kernel_size
    spatial = conv3d_parameters(in_channels, mid_channels, (1, height, width), bias)
    temporal = conv3d_parameters(mid_channels, out_channels, (time, 1, 1), bias)
    return spatial + temporal


def mid_channels(in_channels, out_channels, kernel_size):
    """Return the paper's M: the width between the two convolutions at which (2+1)D costs what 3D costs.

    Rounded down, so that without biases the (2+1)D convolution never has more parameters than the 3D one
    (Tran et al. 2018, section 3.5).

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


def conv3d_multiply_adds(in_channels, out_channels, kernel_size, output_size):
    """Count the multiplications of a 3D convolution, each with the addition that takes it in; biases are not counted.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: `(time, height, width)` of a filter.
        output_size: `(time, height, width)` of the output.

    Returns:
        The multiply-adds for one clip. Each weight is used once for each place of the output.
    """
    return conv3d_parameters(in_channels, out_channels, kernel_size, bias=False) * prod(output_size)


def conv2plus1d_multiply_adds(
    in_channels, out_channels, kernel_size, output_size, mid_channels=None, strides=(1, 1, 1)
):
    """Count the multiply-adds of a (2+1)D convolution.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: `(time, height, width)` of the 3D convolution that it stands in for.
        output_size: `(time, height, width)` of the output.
        mid_channels: Channels between the two convolutions; `out_channels` where none are given.
        strides: `(time, height, width)`. The first convolution strides over space only, and so
            works on every frame.

    Returns:
        The multiply-adds of both convolutions for one clip whose frames the strides divide.
    """
    if mid_channels is None:
        mid_channels = out_channels
    time, height, width = kernel_size
    frames, *area = output_size
    spatial = conv3d_multiply_adds(
        in_channels, mid_channels, (1, height, width), (frames * strides[0], *area)
    )
    return spatial + conv3d_multiply_adds(mid_channels, out_channels, (time, 1, 1), output_size)


def layer_table(model):
    """Count what every layer of a network has and does, from its sizes alone.

    A layer that is made of others has a row for each of them. Multiply-adds are counted of
    convolutions and dense layers; beside them, those of normalisations and additions are few.

    Args:
        model: A network of `helpers.models`; it need not hold any weights.

    Returns:
        A list of `Row(name, kind, output, parameters, multiply_adds)`: the layer's name, its
        class's, the shape of the output without the batch, its parameters (those that are not
        trained, too), and its multiply-adds for one clip.
    """
    chain = [
        layer
        for layer in model.layers
        if not isinstance(layer, (keras.layers.InputLayer, keras.layers.Add))
    ]
    return [row for layer in chain for row in _rows(layer, layer.name, layer.input.shape)]


def _rows(layer, name, shape):
    """Return the rows of a layer that takes a shape, or of the layers inside it."""
    if hasattr(layer, "seq"):
        rows = []
        for part in layer.seq.layers:
            rows += _rows(part, f"{name}/{part.name}", shape)
            shape = part.compute_output_shape(shape)
        return rows
    output = tuple(layer.compute_output_shape(shape)[1:])
    parameters, multiply_adds = _count(layer, shape[-1], output)
    return [Row(name, type(layer).__name__, output, parameters, multiply_adds)]


def _count(layer, channels, output):
    if isinstance(layer, keras.layers.Conv3D):
        sizes = channels, layer.filters, layer.kernel_size
        return conv3d_parameters(*sizes, bias=layer.use_bias), conv3d_multiply_adds(
            *sizes, output[:-1]
        )
    if isinstance(layer, keras.layers.Dense):
        return (channels + 1) * layer.units, channels * prod(output)
    if isinstance(layer, keras.layers.BatchNormalization):
        return 4 * channels, 0
    if isinstance(layer, keras.layers.LayerNormalization):
        return 2 * channels, 0
    return 0, 0
