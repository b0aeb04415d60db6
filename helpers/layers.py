"""Layers and blocks of the networks, in plain Keras 3. Taught in the chapter *Build the model*.

Videos have the shape `(batch, time, height, width, channels)` throughout. Every layer is registered
with Keras, so a saved model can be loaded wherever this module has been imported.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from einops import rearrange
from keras import KerasTensor, ops

# With Keras's default of 0.99, hundreds of steps pass before the initial statistics are forgotten.
# A short run has a few dozen steps.
BATCH_NORM_MOMENTUM = 0.9


def batch_norm(name: str | None = None, epsilon: float = 1e-3) -> "BatchNorm":
    """Return a batch normalisation whose moving averages converge within a short run."""
    return BatchNorm(momentum=BATCH_NORM_MOMENTUM, epsilon=epsilon, name=name)


@keras.saving.register_keras_serializable(package="helpers")
class BatchNorm(keras.layers.BatchNormalization):
    """Batch normalisation of videos, in training one fused operation of TensorFlow or PyTorch.

    Keras's own layer reads and writes the video a dozen times. The results are the same. Takes the
    arguments of `keras.layers.BatchNormalization`; for those that the fused operation doesn't
    support, and under JAX, Keras's own code runs.
    """

    def call(
        self, video: KerasTensor, training: bool | None = None, mask: KerasTensor | None = None
    ) -> KerasTensor:
        if not (training and self.trainable and mask is None and self._is_fused(video)):
            return super().call(video, training=training, mask=mask)
        frames = fold_time(video)
        fused = _FUSED_BATCH_NORMS[keras.backend.backend()]
        frames, mean, variance = fused(frames, self.gamma, self.beta, self.epsilon)
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance)
        return unfold_time(frames, video)

    def _is_fused(self, video):
        """Return whether the fused operation supports this video and the layer's arguments."""
        if keras.backend.backend() not in _FUSED_BATCH_NORMS or self.variable_dtype != "float32":
            return False
        if self.synchronized or getattr(self, "renorm", False):
            return False
        is_video = len(video.shape) == 5 and self.axis in (-1, 4)
        return self.scale and self.center and is_video

    def _move(self, average, value):
        average.assign(average * self.momentum + value * (1 - self.momentum))


def _fused_batch_norm_of_tensorflow(frames, gamma, beta, epsilon):
    """Return the normalised frames, the means and the variances by channel."""
    import tensorflow as tf  # keras.ops has no fused batch normalisation

    frames, mean, variance = tf.compat.v1.nn.fused_batch_norm(frames, gamma, beta, epsilon=epsilon)
    # TensorFlow's variance is divided by n - 1, Keras's by n.
    count = ops.cast(ops.prod(ops.shape(frames)[:-1]), variance.dtype)
    return frames, mean, variance * (count - 1) / count


def _fused_batch_norm_of_torch(frames, gamma, beta, epsilon):
    """Return the normalised frames, the means and the variances by channel."""
    import torch

    frames, mean, inverse_deviation = torch.native_batch_norm(
        frames.movedim(-1, 1), gamma.value, beta.value, None, None, True, 0.0, epsilon
    )
    # PyTorch returns the reciprocal of the standard deviation, with epsilon.
    return frames.movedim(1, -1), mean.detach(), inverse_deviation.detach() ** -2 - epsilon


_FUSED_BATCH_NORMS = {
    "tensorflow": _fused_batch_norm_of_tensorflow,
    "torch": _fused_batch_norm_of_torch,
}


@keras.saving.register_keras_serializable(package="helpers")
class LayerNorm(keras.layers.LayerNormalization):
    """Layer normalisation over the channels, in fewer steps than Keras's own layer.

    That is faster for few channels. The results are the same. The means are not computed as matrix
    products, which a GPU may round to 10 bits (TF32).

    Takes the arguments of `keras.layers.LayerNormalization`; for other axes, or without scale or
    centre, Keras's own code runs.
    """

    def call(self, x: KerasTensor) -> KerasTensor:
        if self.gamma is None or self.beta is None or self.axis not in ([-1], [len(x.shape) - 1]):
            return super().call(x)
        x = ops.cast(x, keras.backend.result_type(x.dtype, "float32"))
        centred = x - ops.mean(x, axis=-1, keepdims=True)
        variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
        x = centred * ops.rsqrt(variance + self.epsilon) * self.gamma + self.beta
        return ops.cast(x, self.compute_dtype)


@keras.saving.register_keras_serializable(package="helpers")
class VideoConv(keras.layers.Conv3D):
    """A 3D convolution that computes flat kernels in 2D: same weights, same results, less time.

    A `(1, height, width)` kernel looks at one frame at a time, which is a 2D convolution of all
    frames of the batch. A `(time, 1, 1)` kernel looks at one pixel at a time, which is a 1D
    convolution along time, here computed as a 2D convolution of an image with one frame per row and
    one pixel per column. Only other kernels are computed as 3D convolutions.

    Takes the arguments of `keras.layers.Conv3D`. With dilation, groups or channels first, Keras's
    own code runs for every kernel.

    Args:
        filters: Channels of the output.
        kernel_size: `(time, height, width)`.
        symmetric: Whether `"same"` padding adds the same number of zeros on both sides, as
            PyTorch's networks do. TensorFlow and Keras put the larger half at the end, which is
            another number of zeros only with strides.
        **kwargs: Further arguments of `keras.layers.Conv3D`.

    Raises:
        ValueError: `symmetric` with another padding than `"same"`, with an even kernel, or where
            Keras's own code would run.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        *,
        symmetric: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, kernel_size, **kwargs)
        self.symmetric = symmetric
        is_odd = all(size % 2 for size in self.kernel_size)
        if symmetric and not (self.padding == "same" and is_odd and self._is_plain()):
            raise ValueError(
                'Symmetric padding needs padding="same", odd kernels, channels last, and neither '
                "groups nor dilation."
            )

    def call(self, video: KerasTensor) -> KerasTensor:
        if not self._is_plain():
            return super().call(video)
        kernel_time, *kernel_area = self.kernel_size
        stride_time, *stride_area = self.strides
        if kernel_time == 1:
            video = video[:, ::stride_time]
            x = self._convolve(fold_time(video), self.kernel[0], stride_area)
            return unfold_time(x, video)
        if kernel_area == [1, 1]:
            video = video[:, :, :: stride_area[0], :: stride_area[1]]
            x = rearrange(video, "b t h w c -> b t (h w) c")
            x = self._convolve(x, self.kernel[:, 0], (stride_time, 1))
            return rearrange(x, "b t (h w) c -> b t h w c", h=video.shape[2])
        return self._convolve(video, self.kernel, self.strides)

    def _is_plain(self):
        """Return whether this layer's own code supports the arguments."""
        channels_last = self.data_format == "channels_last"
        return channels_last and self.groups == 1 and max(self.dilation_rate) == 1

    def _convolve(self, x, kernel, strides):
        padding = self.padding
        if self.symmetric:
            sides = [(size // 2, size // 2) for size in kernel.shape[:-2]]
            x, padding = ops.pad(x, [(0, 0), *sides, (0, 0)]), "valid"
        x = _channels_first_in_torch(ops.conv, x, kernel, strides, padding)
        x = x + self.bias if self.use_bias else x
        return x if self.activation is None else self.activation(x)

    def get_config(self) -> dict[str, Any]:
        # Only where it is set, so that saved networks stay as they are.
        return super().get_config() | ({"symmetric": True} if self.symmetric else {})


def _channels_first_in_torch(convolve, x, kernel, strides, padding):
    """Convolve with channels last; for PyTorch as a view with channels first."""
    if keras.backend.backend() != "torch":
        return convolve(x, kernel, strides, padding, data_format="channels_last")
    # With channels first, Keras makes no copies; the order in memory remains.
    x = ops.moveaxis(x, -1, 1)
    x = convolve(x, kernel, strides, padding, data_format="channels_first")
    return ops.moveaxis(x, 1, -1)


def fold_time(video: KerasTensor) -> KerasTensor:
    """Return the frames of all videos of a batch as one batch of images."""
    return rearrange(video, "b t h w c -> (b t) h w c")


def unfold_time(images: KerasTensor, video: KerasTensor) -> KerasTensor:
    """Undo `fold_time`, with the number of frames of another video, which need not be known."""
    return ops.reshape(images, (-1, ops.shape(video)[1], *images.shape[1:]))


@keras.saving.register_keras_serializable(package="helpers")
class DepthwiseVideoConv(keras.layers.Layer):
    """A convolution of each channel on its own, over space or over time.

    Over space, padding is TensorFlow's `"same"`. Over time it is causal: a frame depends on itself
    and on earlier frames, with zeros before the first. Mobile networks for videos consist of such
    convolutions with 1 × 1 × 1 convolutions between them (Kondratyuk et al. 2021).

    Args:
        kernel_size: `(1, height, width)` or `(time, 1, 1)`.
        strides: Stride over height and width of a spatial convolution.
        use_bias: Whether to add a bias to each channel.
        activation: Activation function or its name; None for none.

    Raises:
        ValueError: The kernel extends over both time and space, or it is temporal and has strides.
    """

    def __init__(
        self,
        kernel_size: Sequence[int],
        strides: int = 1,
        *,
        use_bias: bool = True,
        activation: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_size, self.strides, self.use_bias = tuple(kernel_size), strides, use_bias
        self.activation = keras.activations.get(activation)
        time, *area = self.kernel_size
        if time > 1 and (area != [1, 1] or strides > 1):
            raise ValueError(
                f"A depthwise convolution has a kernel (1, height, width), or (time, 1, 1) without "
                f"strides, not {self.kernel_size} with strides of {strides}."
            )

    @property
    def is_temporal(self) -> bool:
        """Whether the kernel extends over time."""
        return self.kernel_size[0] > 1

    def build(self, input_shape: tuple) -> None:
        time, height, width = self.kernel_size
        shape = (time, 1) if self.is_temporal else (height, width)
        channels = input_shape[-1]
        self.kernel = self.add_weight(
            name="kernel", shape=(*shape, channels, 1), initializer="glorot_uniform"
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(channels,), initializer="zeros")

    def call(self, video: KerasTensor) -> KerasTensor:
        if self.is_temporal:
            earlier = self.kernel_size[0] - 1
            x = ops.pad(video, [(0, 0), (earlier, 0), (0, 0), (0, 0), (0, 0)])
            x = rearrange(x, "b t h w c -> b t (h w) c")
            x = self._convolve(x, 1, "valid")
            return rearrange(x, "b t (h w) c -> b t h w c", h=video.shape[2])
        return unfold_time(self._convolve(fold_time(video), self.strides, "same"), video)

    def _convolve(self, x, strides, padding):
        x = _channels_first_in_torch(ops.depthwise_conv, x, self.kernel, strides, padding)
        x = x if self.bias is None else x + self.bias
        return x if self.activation is None else self.activation(x)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        batch, time, *area, channels = input_shape
        return (batch, time, *(-(-size // self.strides) for size in area), channels)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "use_bias": self.use_bias,
            "activation": keras.activations.serialize(self.activation),
        }


@keras.saving.register_keras_serializable(package="helpers")
class Gain(keras.layers.Layer):
    """Multiply a video by one learnt number, so that training can weaken or strengthen a branch."""

    def build(self, input_shape: tuple) -> None:
        self.gain = self.add_weight(name="gain", shape=(), initializer="ones")

    def call(self, video: KerasTensor) -> KerasTensor:
        return video * self.gain

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape


@keras.saving.register_keras_serializable(package="helpers")
class FramePooling(keras.layers.Layer):
    """Average pooling of 3 × 3 pixels with stride 2, frame by frame.

    Padding is TensorFlow's `"same"`, and the mean leaves the padding out. Keras's own layer gets
    that wrong under PyTorch for even heights and widths (Keras 3.13).
    """

    def call(self, video: KerasTensor) -> KerasTensor:
        sides = [_same_padding(size) for size in video.shape[2:4]]
        frames = ops.pad(fold_time(video), [(0, 0), *sides, (0, 0)])
        means = ops.average_pool(frames, 3, strides=2, data_format="channels_last")
        shares = [_covered_shares(size) for size in video.shape[2:4]]
        covered = ops.convert_to_tensor(np.outer(*shares)[..., np.newaxis], means.dtype)
        return unfold_time(means / covered, video)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        batch, time, *area, channels = input_shape
        return (batch, time, *(-(-size // 2) for size in area), channels)


@keras.saving.register_keras_serializable(package="helpers")
class MeanAndDeviation(keras.layers.Layer):
    """Return the mean and the standard deviation of each channel over time, height and width."""

    def call(self, video: KerasTensor) -> KerasTensor:
        axes = (1, 2, 3)
        mean = ops.mean(video, axis=axes, keepdims=True)
        variance = ops.mean(ops.square(video - mean), axis=axes)
        # The square root has no gradient at 0, where a clip stands still.
        deviation = ops.sqrt(variance + keras.config.epsilon())
        return ops.concatenate([ops.squeeze(mean, axes), deviation], axis=-1)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (input_shape[0], 2 * input_shape[-1])


def _same_padding(size):
    """Return TensorFlow's "same" padding before and after, for windows of 3 with stride 2."""
    padding = 1 + size % 2
    return padding // 2, padding - padding // 2


def _covered_shares(size):
    """Return by window of 3 with stride 2 the share of it that is not padding."""
    pixels = np.pad(np.ones(size), _same_padding(size))
    return np.lib.stride_tricks.sliding_window_view(pixels, 3)[::2].mean(axis=1)


class _Chain(keras.layers.Layer):
    """A layer that calls others one after the other, its `seq`.

    Args:
        frozen: Indices of those that are not trained.
        **kwargs: Further arguments of `keras.layers.Layer`.
    """

    def __init__(self, frozen: Sequence[int] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._frozen = frozen

    def _chain(self, *layers):
        self.seq = keras.Sequential(layers)
        self.seq.trainable = self.trainable
        for i in self._frozen:
            layers[i].trainable = False
        # All parts have this layer's precision: it may be loaded under another global policy.
        for layer in self.seq._flatten_layers():
            layer.dtype_policy = self.dtype_policy

    def get_config(self) -> dict[str, Any]:
        parts = enumerate(self.seq.layers) if self.trainable else ()
        frozen = [i for i, part in parts if not part.trainable]
        return super().get_config() | ({"frozen": frozen} if frozen else {})

    def build(self, input_shape: tuple) -> None:
        self.seq.build(input_shape)

    def call(self, x: KerasTensor, training: bool | None = None) -> KerasTensor:
        return self.seq(x, training=training)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return self.seq.compute_output_shape(input_shape)


@keras.saving.register_keras_serializable(package="helpers")
class Conv2Plus1D(_Chain):
    """A 3D convolution split in two: a spatial convolution, then a temporal one.

    In the tutorial's form, `Conv2Plus1D(filters, kernel_size, padding)`, the second directly
    follows the first. The paper's form has M channels between the two, and a batch normalisation
    and a ReLU (Tran et al. 2018, section 3.5). Its convolutions have no biases, because the
    normalisation would remove them again.

    Args:
        filters: Channels of the output.
        kernel_size: `(time, height, width)`.
        padding: `"same"` or `"valid"`.
        mid_channels: Channels between the two convolutions, the paper's M; default: `filters`.
        strides: `(time, height, width)`.
        normalized: Whether to put a batch normalisation and a ReLU between the two convolutions.
        epsilon: What the normalisation adds to the variance.
        symmetric: Whether padding is symmetric, as in `VideoConv`.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Sequence[int],
        padding: str,
        *,
        mid_channels: int | None = None,
        strides: Sequence[int] = (1, 1, 1),
        normalized: bool = False,
        epsilon: float = 1e-3,
        symmetric: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.padding = filters, tuple(kernel_size), padding
        self.epsilon, self.symmetric = epsilon, symmetric
        self.mid_channels = filters if mid_channels is None else mid_channels
        self.strides, self.normalized = tuple(strides), normalized
        (time, *area), (stride_time, *stride_area) = self.kernel_size, self.strides
        common: dict[str, Any] = {"padding": padding, "use_bias": not normalized}
        if symmetric:
            common["symmetric"] = True
        between = [batch_norm(epsilon=epsilon), keras.layers.ReLU()] if normalized else []
        self._chain(
            VideoConv(self.mid_channels, (1, *area), strides=(1, *stride_area), **common),
            *between,
            VideoConv(filters, (time, 1, 1), strides=(stride_time, 1, 1), **common),
        )

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "padding": self.padding,
            "mid_channels": self.mid_channels,
            "strides": self.strides,
            "normalized": self.normalized,
            "epsilon": self.epsilon,
            "symmetric": self.symmetric,
        }


@keras.saving.register_keras_serializable(package="helpers")
class ResidualMain(_Chain):
    """The main branch of the tutorial's residual block.

    Two convolutions, each with a layer normalisation after it; a ReLU follows the first pair only.

    Args:
        filters: Channels of the output.
        kernel_size: `(time, height, width)` of both convolutions.
        conv: Kind of both convolutions: `"2plus1d"`, `"3d"` or `"2d"`.

    Raises:
        ValueError: `conv` is none of the three.
    """

    def __init__(
        self, filters: int, kernel_size: Sequence[int], conv: str = "2plus1d", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.conv = filters, tuple(kernel_size), conv
        self._chain(
            tutorial_conv(filters, self.kernel_size, conv),
            LayerNorm(),
            keras.layers.ReLU(),
            tutorial_conv(filters, self.kernel_size, conv),
            LayerNorm(),
        )

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "conv": self.conv,
        }


@keras.saving.register_keras_serializable(package="helpers")
class Project(_Chain):
    """Give a shortcut the channels of its main branch: a dense layer, then normalisation.

    Args:
        units: Channels of the output.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self._chain(keras.layers.Dense(units), LayerNorm())

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"units": self.units}


@keras.saving.register_keras_serializable(package="helpers")
class ResizeVideo(keras.layers.Layer):
    """Resize every frame of a video by bilinear interpolation.

    For half the height and width, that is the mean of every 2 × 2 pixels. Computed as an average
    pooling, it and especially its gradient are faster.

    Args:
        height: Height of the output in pixels.
        width: Width of the output in pixels.
    """

    def __init__(self, height: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.height, self.width = height, width
        options = {"data_format": "channels_last", "dtype": self.dtype_policy}
        self.resizing = keras.layers.Resizing(height, width, **options)

    def build(self, input_shape: tuple) -> None:
        self.resizing.build((None, *input_shape[2:]))

    def call(self, video: KerasTensor) -> KerasTensor:
        video = ops.cast(video, self.compute_dtype)  # the mean of integers may be a fraction
        if tuple(video.shape[2:4]) == (2 * self.height, 2 * self.width):
            size = (1, 2, 2)
            return ops.average_pool(video, size, strides=size, data_format="channels_last")
        return unfold_time(self.resizing(fold_time(video)), video)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        batch, time, _, _, channels = input_shape
        return (batch, time, self.height, self.width, channels)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"height": self.height, "width": self.width}


@keras.saving.register_keras_serializable(package="helpers")
class SubtractMean(keras.layers.Layer):
    """Subtract the mean over a clip's frames from each frame: only what moves remains."""

    def call(self, video: KerasTensor) -> KerasTensor:
        return video - ops.mean(video, axis=1, keepdims=True)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape


def tutorial_conv(filters: int, kernel_size: Sequence[int], conv: str) -> keras.layers.Layer:
    """Return one of the tutorial's convolutions: with biases and `"same"` padding.

    Args:
        filters: Channels of the output.
        kernel_size: `(time, height, width)`; `"2d"` uses height and width only.
        conv: `"2plus1d"`, `"3d"`, or `"2d"` (each frame on its own).

    Raises:
        ValueError: `conv` is none of the three.
    """
    if conv == "2plus1d":
        return Conv2Plus1D(filters, kernel_size, padding="same")
    if conv == "3d":
        return VideoConv(filters, kernel_size, padding="same")
    if conv == "2d":
        return VideoConv(filters, (1, *kernel_size[1:]), padding="same")
    raise ValueError(f'conv must be "2plus1d", "3d" or "2d", not {conv!r}.')


def add_residual_block(
    input: KerasTensor, filters: int, kernel_size: Sequence[int], conv: str = "2plus1d"
) -> KerasTensor:
    """Add the tutorial's residual block: the main branch plus the shortcut.

    The shortcut is the input, projected if its number of channels differs from `filters`.

    Args:
        input: Symbolic tensor `(batch, time, height, width, channels)`.
        filters: Channels of the output.
        kernel_size: `(time, height, width)` of the main branch's convolutions.
        conv: Their kind, as in `ResidualMain`.

    Returns:
        Symbolic tensor `(batch, time, height, width, filters)`.
    """
    main = ResidualMain(filters, kernel_size, conv)(input)
    shortcut = input if input.shape[-1] == filters else Project(filters)(input)
    return keras.layers.add([shortcut, main])
