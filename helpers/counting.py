"""How many parameters a convolution has. Taught in the chapter *Count parameters*."""

from math import prod


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
        mid_channels: Channels between the two convolutions; `out_channels` where none are given, as in the
            TensorFlow tutorial. The paper takes `mid_channels(in_channels, out_channels, kernel_size)`.
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
