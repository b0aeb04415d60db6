"""The blocks that the networks are made of, in plain Keras 3. Taught in the chapter *Build the model*.

Videos are `(batch, time, height, width, channels)` throughout. Every layer is registered with Keras, so a saved model
loads wherever this module has been imported.
"""

import keras
from einops import rearrange
from keras import ops

# Keras's default of 0.99 needs hundreds of steps to forget the initial statistics; a short run has
# a few dozen.
BATCH_NORM_MOMENTUM = 0.9


def batch_norm(name=None):
    """Return a batch normalisation that settles within a short run."""
    return BatchNorm(momentum=BATCH_NORM_MOMENTUM, name=name)


@keras.saving.register_keras_serializable(package="helpers")
class BatchNorm(keras.layers.BatchNormalization):
    """Batch normalisation of videos: under TensorFlow one operation, where Keras's own reads and writes the video a dozen times.

    The numbers are the same. Args are those of `keras.layers.BatchNormalization`; what the one operation can't do, Keras's own does.
    """

    def call(self, video, training=None, mask=None):
        if not (training and self.trainable and mask is None and self._is_fused(video)):
            return super().call(video, training=training, mask=mask)
        import tensorflow as tf  # what is fused has no name in keras.ops

        frames = rearrange(video, "b t h w c -> (b t) h w c")
        frames, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            frames, self.gamma, self.beta, epsilon=self.epsilon
        )
        # Divided by n - 1, where Keras divides by n.
        count = ops.cast(ops.prod(ops.shape(frames)[:-1]), variance.dtype)
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance * (count - 1) / count)
        return rearrange(frames, "(b t) h w c -> b t h w c", t=video.shape[1])

    def _is_fused(self, video):
        """Return whether TensorFlow has one operation for this video and the layer's arguments."""
        plain = (
            self.scale
            and self.center
            and not self.synchronized
            and not getattr(self, "renorm", False)
        )
        shape = len(video.shape) == 5 and video.shape[1] is not None and self.axis in (-1, 4)
        return (
            keras.backend.backend() == "tensorflow"
            and plain
            and shape
            and self.variable_dtype == "float32"
        )

    def _move(self, average, value):
        average.assign(average * self.momentum + value * (1 - self.momentum))


@keras.saving.register_keras_serializable(package="helpers")
class LayerNorm(keras.layers.LayerNormalization):
    """Layer normalisation over the channels, in fewer steps than Keras's own: for few channels that is quicker.

    The numbers are the same. The means are no matrix products, which a GPU may round to 10 bits (TF32).

    Args are those of `keras.layers.LayerNormalization`; over other axes, or in part, Keras's own does it.
    """

    def call(self, x):
        if self.gamma is None or self.beta is None or self.axis not in ([-1], [len(x.shape) - 1]):
            return super().call(x)
        x = ops.cast(x, keras.backend.result_type(x.dtype, "float32"))
        centred = x - ops.mean(x, axis=-1, keepdims=True)
        variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
        return ops.cast(
            centred * ops.rsqrt(variance + self.epsilon) * self.gamma + self.beta,
            self.compute_dtype,
        )


@keras.saving.register_keras_serializable(package="helpers")
class VideoConv(keras.layers.Conv3D):
    """A 3D convolution that computes a flat kernel as what it is: same weights, same numbers, less time.

    A `(1, height, width)` kernel looks at one frame at a time: a 2D convolution over all frames of the batch. A `(time, 1, 1)`
    kernel looks at one pixel at a time: a 1D convolution along time, here a 2D one over a picture that is one pixel a column
    and one frame a row. Only a kernel that reaches over both is computed as a 3D convolution.

    Args are those of `keras.layers.Conv3D`; with dilation, groups or the channels first, every kernel is computed as Keras does.
    """

    def call(self, video):
        if self.groups > 1 or max(self.dilation_rate) > 1 or self.data_format == "channels_first":
            return super().call(video)
        kernel_time, *kernel_area = self.kernel_size
        stride_time, *stride_area = self.strides
        if kernel_time == 1:
            video = video[:, ::stride_time]
            x = rearrange(video, "b t h w c -> (b t) h w c")
            x = self._convolve(x, self.kernel[0], stride_area)
            return rearrange(x, "(b t) h w c -> b t h w c", t=video.shape[1])
        if kernel_area == stride_area == [1, 1]:
            x = rearrange(video, "b t h w c -> b t (h w) c")
            x = self._convolve(x, self.kernel[:, 0], (stride_time, 1))
            return rearrange(x, "b t (h w) c -> b t h w c", h=video.shape[2])
        return super().call(video)

    def _convolve(self, images, kernel, strides):
        images = ops.conv(
            images, kernel, strides=strides, padding=self.padding, data_format="channels_last"
        )
        images = images + self.bias if self.use_bias else images
        return images if self.activation is None else self.activation(images)


class _Chain(keras.layers.Layer):
    """A layer that is a chain of others, `seq`."""

    def _chain(self, *layers):
        self.seq = keras.Sequential(layers)
        self.seq.trainable = self.trainable
        # All in its own precision: a saved layer may be made anew under another global policy.
        for layer in self.seq._flatten_layers():
            layer.dtype_policy = self.dtype_policy

    def build(self, input_shape):
        self.seq.build(input_shape)

    def call(self, x, training=None):
        return self.seq(x, training=training)

    def compute_output_shape(self, input_shape):
        return self.seq.compute_output_shape(input_shape)


@keras.saving.register_keras_serializable(package="helpers")
class Conv2Plus1D(_Chain):
    """A 3D convolution taken apart: first over space, then over time.

    As the tutorial writes it, `Conv2Plus1D(filters, kernel_size, padding)`, the two convolutions
    follow each other directly. The paper's has M filters in the middle, and a batch normalisation
    and a ReLU between the two (Tran et al. 2018, section 3.5); there the biases go, because the
    normalisation takes them out again.

    Args:
        filters: Channels of the output.
        kernel_size: `(time, height, width)`.
        padding: `"same"` or `"valid"`.
        mid_channels: Channels between the two convolutions; `filters` where none are given.
        strides: `(time, height, width)`.
        normalized: Whether a batch normalisation and a ReLU stand between the two convolutions.
    """

    def __init__(
        self,
        filters,
        kernel_size,
        padding,
        *,
        mid_channels=None,
        strides=(1, 1, 1),
        normalized=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.padding = filters, tuple(kernel_size), padding
        self.mid_channels, self.strides, self.normalized = (
            filters if mid_channels is None else mid_channels,
            tuple(strides),
            normalized,
        )
        time, height, width = self.kernel_size
        common = {"padding": padding, "use_bias": not normalized}
        between = [batch_norm(), keras.layers.ReLU()] if normalized else []
        self._chain(
            VideoConv(
                self.mid_channels, (1, height, width), strides=(1, *self.strides[1:]), **common
            ),
            *between,
            VideoConv(filters, (time, 1, 1), strides=(self.strides[0], 1, 1), **common),
        )

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "padding": self.padding,
            "mid_channels": self.mid_channels,
            "strides": self.strides,
            "normalized": self.normalized,
        }


@keras.saving.register_keras_serializable(package="helpers")
class ResidualMain(_Chain):
    """The main branch of the tutorial's residual block: convolution, layer normalisation, ReLU, and once more without ReLU.

    Args:
        filters: Channels of the output.
        kernel_size: `(time, height, width)` of both convolutions.
        conv: `"2plus1d"`, `"3d"` or `"2d"`: what the convolutions are.
    """

    def __init__(self, filters, kernel_size, conv="2plus1d", **kwargs):
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.conv = filters, tuple(kernel_size), conv
        self._chain(
            tutorial_conv(filters, self.kernel_size, conv),
            LayerNorm(),
            keras.layers.ReLU(),
            tutorial_conv(filters, self.kernel_size, conv),
            LayerNorm(),
        )

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "conv": self.conv,
        }


@keras.saving.register_keras_serializable(package="helpers")
class Project(_Chain):
    """Give the shortcut the main branch's channels: a dense layer, then normalisation.

    Args:
        units: Channels of the output.
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self._chain(keras.layers.Dense(units), LayerNorm())

    def get_config(self):
        return super().get_config() | {"units": self.units}


@keras.saving.register_keras_serializable(package="helpers")
class ResizeVideo(keras.layers.Layer):
    """Resize every frame of a video, by bilinear interpolation.

    At half the size that is the mean of each 2 by 2 pixels, which is quicker found as such, above
    all its gradient.

    Args:
        height: Height of the output in pixels.
        width: Width of the output in pixels.
    """

    def __init__(self, height, width, **kwargs):
        super().__init__(**kwargs)
        self.height, self.width = height, width
        self.resizing = keras.layers.Resizing(
            height, width, data_format="channels_last", dtype=self.dtype_policy
        )

    def build(self, input_shape):
        self.resizing.build((None, *input_shape[2:]))

    def call(self, video):
        video = ops.cast(video, self.compute_dtype)  # the mean of whole numbers need not be one
        if tuple(video.shape[2:4]) == (2 * self.height, 2 * self.width):
            return ops.average_pool(
                video, (1, 2, 2), strides=(1, 2, 2), data_format="channels_last"
            )
        images = rearrange(video, "b t h w c -> (b t) h w c")
        return rearrange(self.resizing(images), "(b t) h w c -> b t h w c", t=video.shape[1])

    def compute_output_shape(self, input_shape):
        batch, time, _, _, channels = input_shape
        return (batch, time, self.height, self.width, channels)

    def get_config(self):
        return super().get_config() | {"height": self.height, "width": self.width}


@keras.saving.register_keras_serializable(package="helpers")
class SubtractMean(keras.layers.Layer):
    """Subtract from each frame the mean of the clip's frames: what stands still goes, and what moves stays."""

    def call(self, video):
        return video - ops.mean(video, axis=1, keepdims=True)

    def compute_output_shape(self, input_shape):
        return input_shape


def tutorial_conv(filters, kernel_size, conv):
    """Return one of the tutorial's convolutions, with biases and the input's size.

    Args:
        filters: Channels of the output.
        kernel_size: `(time, height, width)`.
        conv: `"2plus1d"`, `"3d"` or `"2d"` (each frame by itself).

    Raises:
        ValueError: `conv` is none of the three.
    """
    if conv == "2plus1d":
        return Conv2Plus1D(filters, kernel_size, padding="same")
    if conv == "3d":
        return VideoConv(filters, kernel_size, padding="same")
    if conv == "2d":
        return VideoConv(filters, (1, *kernel_size[1:]), padding="same")
    raise ValueError(f'conv is "2plus1d", "3d" or "2d", not {conv!r}.')


def add_residual_block(input, filters, kernel_size, conv="2plus1d"):
    """Add the tutorial's residual block: the main branch's output plus the input, projected where the channels differ.

    Args:
        input: Symbolic tensor `(batch, time, height, width, channels)`.
        filters: Channels of the output.
        kernel_size: `(time, height, width)` of the main branch's convolutions.
        conv: What they are, as in `ResidualMain`.

    Returns:
        Symbolic tensor `(batch, time, height, width, filters)`.
    """
    main = ResidualMain(filters, kernel_size, conv)(input)
    shortcut = input if input.shape[-1] == filters else Project(filters)(input)
    return keras.layers.add([shortcut, main])
