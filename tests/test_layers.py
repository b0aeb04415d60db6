import inspect
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import mixed_precision

from helpers.layers import (
    BatchNorm,
    Conv2Plus1D,
    DepthwiseVideoConv,
    FramePooling,
    Gain,
    LayerNorm,
    MeanAndDeviation,
    Project,
    ResidualMain,
    ResizeVideo,
    SubtractMean,
    VideoConv,
    add_residual_block,
    batch_norm,
)

VIDEO = np.random.default_rng(0).random((2, 6, 8, 10, 4), dtype=np.float32)

LAYERS = {
    "tutorial's (2+1)D": lambda: Conv2Plus1D(5, (3, 3, 3), "same"),
    "paper's (2+1)D": lambda: Conv2Plus1D(
        5, (3, 3, 3), "same", mid_channels=7, strides=(2, 2, 2), normalized=True
    ),
    "valid padding": lambda: Conv2Plus1D(5, (3, 3, 3), "valid"),
    "PyTorch's (2+1)D": lambda: Conv2Plus1D(
        5, (3, 3, 3), "same", strides=(2, 2, 2), normalized=True, epsilon=1e-5, symmetric=True
    ),
    "partly frozen": lambda: Conv2Plus1D(5, (3, 3, 3), "same", normalized=True, frozen=[1]),
    "main": lambda: ResidualMain(5, (3, 3, 3)),
    "main, 3d": lambda: ResidualMain(5, (3, 3, 3), conv="3d"),
    "main, 2d": lambda: ResidualMain(5, (3, 3, 3), conv="2d"),
    "project": lambda: Project(5),
    "resize": lambda: ResizeVideo(4, 5),
    "resize by other than half": lambda: ResizeVideo(3, 4),
    "spatial": lambda: VideoConv(5, (1, 3, 3), strides=(2, 2, 1), padding="same"),
    "temporal": lambda: VideoConv(5, (3, 1, 1), strides=(2, 1, 1)),
    "spatial and temporal": lambda: VideoConv(5, (3, 3, 3), strides=(1, 2, 2), padding="same"),
    "symmetric": lambda: VideoConv(5, (3, 3, 3), strides=(1, 2, 2), padding="same", symmetric=True),
    "depthwise spatial": lambda: DepthwiseVideoConv((1, 3, 5), 2, activation="relu6"),
    "depthwise temporal": lambda: DepthwiseVideoConv((3, 1, 1), use_bias=False),
    "gain": lambda: Gain(),
    "frame pooling": lambda: FramePooling(),
    "mean and deviation": lambda: MeanAndDeviation(),
    "batch norm": lambda: BatchNorm(),
    "layer norm": lambda: LayerNorm(),
    "subtract mean": lambda: SubtractMean(),
}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_layer_saves_and_loads_with_the_same_output(make, tmp_path):
    inputs = keras.Input(VIDEO.shape[1:])
    model = keras.Model(inputs, make()(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(VIDEO, verbose=0), model.predict(VIDEO, verbose=0))
    assert loaded.layers[-1].get_config() == model.layers[-1].get_config()


@pytest.mark.parametrize(
    "kind",
    [
        BatchNorm,
        Conv2Plus1D,
        DepthwiseVideoConv,
        FramePooling,
        Gain,
        LayerNorm,
        MeanAndDeviation,
        Project,
        ResidualMain,
        ResizeVideo,
        SubtractMean,
        VideoConv,
    ],
)
def test_layers_keep_their_names_in_saved_networks(kind):
    assert keras.saving.get_registered_name(kind) == f"helpers>{kind.__name__}"


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_layer_computes_the_shape_of_its_output(make):
    layer = make()
    assert tuple(layer(VIDEO).shape) == tuple(layer.compute_output_shape(VIDEO.shape))


def gradients(layer, video, seed=1):
    """Return a layer's output in training, and the gradients of a random weighting of it."""
    video = tf.constant(video)
    is_batch_norm = isinstance(layer, keras.layers.BatchNormalization)
    with tf.GradientTape() as tape:
        tape.watch(video)
        output = layer(video, training=True) if is_batch_norm else layer(video)
        weights = np.random.default_rng(seed).normal(size=output.shape).astype(np.float32)
        loss = tf.reduce_sum(output * weights)
    values = tape.gradient(loss, [video, *layer.trainable_weights])
    return [np.array(value) for value in (output, *values)]


def expect_same_function(ours, kerass, video):
    """Assert that with equal weights, two layers have equal outputs, gradients and averages."""
    for layer in (ours, kerass):
        layer.build(video.shape)
    rng = np.random.default_rng(2)
    kerass.set_weights([rng.normal(size=value.shape) ** 2 for value in kerass.get_weights()])
    ours.set_weights(kerass.get_weights())
    for one, other in zip(gradients(ours, video), gradients(kerass, video), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4 * np.abs(other).max())
    for one, other in zip(ours.get_weights(), kerass.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    outputs = np.array(kerass(video))
    np.testing.assert_allclose(np.array(ours(video)), outputs, atol=1e-4 * np.abs(outputs).max())


CONVOLUTIONS = list(
    itertools.product(
        [(1, 1, 1), (1, 3, 3), (1, 7, 5), (3, 1, 1), (2, 1, 1), (3, 3, 3), (3, 1, 3)],
        [(1, 1, 1), (1, 2, 2), (2, 1, 1), (2, 2, 2), (2, 1, 3)],
        ["same", "valid"],
        [True, False],
    )
)


@pytest.mark.parametrize("kernel_size, strides, padding, use_bias", CONVOLUTIONS)
def test_video_convolution_is_keras_3d_convolution(kernel_size, strides, padding, use_bias):
    options = {"strides": strides, "padding": padding, "use_bias": use_bias}
    ours = VideoConv(5, kernel_size, **options)
    kerass = keras.layers.Conv3D(5, kernel_size, **options)
    expect_same_function(ours, kerass, VIDEO)
    assert ours(VIDEO).shape == kerass(VIDEO).shape == ours.compute_output_shape(VIDEO.shape)


ARGUMENTS = [
    (VideoConv, "Conv3D", {"filters": 6, "activation": "tanh", "kernel_size": (1, 3, 3)}),
    (
        VideoConv,
        "Conv3D",
        {"filters": 6, "activation": "tanh", "kernel_size": (3, 1, 1), "use_bias": False},
    ),
    (VideoConv, "Conv3D", {"filters": 6, "activation": "tanh", "kernel_size": (3, 3, 3)}),
    (
        VideoConv,
        "Conv3D",
        {"filters": 6, "dilation_rate": (1, 2, 2), "kernel_size": (1, 3, 3), "padding": "same"},
    ),
    (
        VideoConv,
        "Conv3D",
        {"filters": 6, "dilation_rate": (2, 1, 1), "kernel_size": (3, 1, 1), "padding": "same"},
    ),
    (BatchNorm, "BatchNormalization", {"axis": 1}),
    (BatchNorm, "BatchNormalization", {"axis": 4}),
    (BatchNorm, "BatchNormalization", {"scale": False}),
    (BatchNorm, "BatchNormalization", {"center": False}),
    (BatchNorm, "BatchNormalization", {"renorm": True, "momentum": 0.5}),
    (BatchNorm, "BatchNormalization", {"dtype": "float64"}),
    (LayerNorm, "LayerNormalization", {"axis": (-3, -2, -1)}),
    (LayerNorm, "LayerNormalization", {"axis": [4]}),
    (LayerNorm, "LayerNormalization", {"axis": 1}),
    (LayerNorm, "LayerNormalization", {"scale": False}),
    (LayerNorm, "LayerNormalization", {"center": False}),
    (LayerNorm, "LayerNormalization", {"rms_scaling": True}),
]
# Keras has renorm from 3.14 on.
if "renorm" not in inspect.signature(keras.layers.BatchNormalization).parameters:
    ARGUMENTS = [(*layers, given) for *layers, given in ARGUMENTS if "renorm" not in given]


@pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`")
@pytest.mark.parametrize(
    "ours, kerass, arguments",
    ARGUMENTS,
    ids=[f"{kerass}, {given}" for _, kerass, given in ARGUMENTS],
)
def test_arguments_have_the_effect_that_they_have_in_keras(ours, kerass, arguments):
    video = VIDEO.astype(arguments.get("dtype", "float32"))
    expect_same_function(ours(**arguments), getattr(keras.layers, kerass)(**arguments), video)


@pytest.mark.parametrize("kernel_size", [(1, 3, 3), (3, 1, 1)])
def test_groups_and_channels_first_are_left_to_keras(kernel_size, monkeypatch):
    # TensorFlow can't compute either on a CPU.
    monkeypatch.setattr(keras.layers.Conv3D, "call", lambda self, video: "Keras's own")
    for options in ({"groups": 2}, {"data_format": "channels_first"}):
        layer = VideoConv(6, kernel_size, **options)
        layer.build(VIDEO.shape)
        assert layer.call(VIDEO) == "Keras's own"


def test_channels_are_last_under_any_global_format():
    layers = (
        ResizeVideo(4, 5),
        ResizeVideo(3, 4),
        VideoConv(5, (1, 3, 3), data_format="channels_last"),
    )
    expected = [np.array(layer(VIDEO)) for layer in layers]
    before = keras.backend.image_data_format()
    keras.backend.set_image_data_format("channels_first")
    try:
        for layer, output in zip((ResizeVideo(4, 5), ResizeVideo(3, 4), layers[-1]), expected):
            np.testing.assert_array_equal(np.array(layer(VIDEO)), output)
    finally:
        keras.backend.set_image_data_format(before)


def test_batch_norm_ignores_masked_frames():
    mask = np.arange(6) < [[4], [6]]
    mask = np.broadcast_to(mask[..., None, None], VIDEO.shape[:-1])
    ours, kerass = BatchNorm(), keras.layers.BatchNormalization()
    outputs = [np.array(layer(VIDEO, training=True, mask=mask)) for layer in (ours, kerass)]
    np.testing.assert_allclose(*outputs, atol=1e-5)
    np.testing.assert_allclose(ours.moving_mean, kerass.moving_mean, rtol=1e-5)


def test_layer_norm_is_exact_if_matrix_products_are_rounded(monkeypatch):
    """By default, GPUs round the factors of matrix products to 10 bits after the point (TF32)."""

    def rounded(x):
        mantissa, exponent = np.frexp(np.array(x))
        return np.ldexp(np.round(mantissa * 2**11) / 2**11, exponent)

    matmul = keras.ops.matmul
    monkeypatch.setattr(keras.ops, "matmul", lambda a, b: matmul(rounded(a), rounded(b)))
    video = VIDEO + 30
    expected = (video - video.mean(axis=-1, keepdims=True)) / np.sqrt(
        video.var(axis=-1, keepdims=True) + 1e-3
    )
    np.testing.assert_allclose(np.array(LayerNorm()(video)), expected, atol=1e-4)


@pytest.mark.parametrize("size", [(4, 5), (3, 4)])
def test_integers_are_resized_like_floats(size):
    video = (VIDEO * 255).astype(np.uint8)
    np.testing.assert_allclose(
        np.array(ResizeVideo(*size)(video)),
        np.array(ResizeVideo(*size)(video.astype(np.float32))),
        atol=1e-4,
    )


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_layer_keeps_its_precision_when_it_is_created_from_its_configuration(make):
    with mixed_precision():
        mixed = make()
    copy = type(mixed).from_config(mixed.get_config())
    for layer in (mixed, copy):
        layer.build(VIDEO.shape)
    copy.set_weights(mixed.get_weights())
    parts = [
        part for part in copy._flatten_layers() if not isinstance(part, keras.layers.InputLayer)
    ]
    assert {part.compute_dtype for part in parts} == {"bfloat16"}
    np.testing.assert_array_equal(
        np.array(copy(VIDEO), np.float32), np.array(mixed(VIDEO), np.float32)
    )


@pytest.mark.parametrize("shift", [0, 3])
def test_normalisations_compute_what_keras_computes(shift):
    video = VIDEO + shift
    expect_same_function(
        BatchNorm(momentum=0.9), keras.layers.BatchNormalization(momentum=0.9), video
    )
    expect_same_function(LayerNorm(), keras.layers.LayerNormalization(), video)


def test_normalisations_use_their_epsilon():
    expect_same_function(
        BatchNorm(epsilon=0.5), keras.layers.BatchNormalization(epsilon=0.5), VIDEO
    )
    expect_same_function(
        LayerNorm(epsilon=0.5), keras.layers.LayerNormalization(epsilon=0.5), VIDEO
    )


def test_batch_norm_is_keras_own_under_other_backends(monkeypatch):
    ours, kerass = BatchNorm(), keras.layers.BatchNormalization()
    monkeypatch.setattr(keras.backend, "backend", lambda: "another")
    expect_same_function(ours, kerass, VIDEO)


def test_moving_averages_move_by_a_tenth_in_a_step():
    layer = batch_norm()
    layer(np.full((2, 3, 4, 4, 1), 50, np.float32), training=True)
    assert float(layer.moving_mean[0]) == pytest.approx(5)
    assert float(layer.moving_variance[0]) == pytest.approx(0.9)


def operations(layer, **kwargs):
    """Return the types of the TensorFlow operations that compute a layer."""
    layer.build(VIDEO.shape)
    function = tf.function(lambda video: layer(video, **kwargs))
    graph = function.get_concrete_function(tf.constant(VIDEO)).graph
    return {operation.type for operation in graph.get_operations()}


@pytest.mark.parametrize(
    "make, fast, slow",
    [
        (lambda: VideoConv(5, (1, 3, 3), strides=(1, 2, 2), padding="same"), "Conv2D", "Conv3D"),
        (lambda: VideoConv(5, (1, 1, 1), strides=(2, 2, 2), padding="same"), "Conv2D", "Conv3D"),
        (lambda: VideoConv(5, (3, 1, 1), strides=(2, 1, 1)), "Conv2D", "Conv3D"),
        (lambda: ResizeVideo(4, 5), "AvgPool3D", "ResizeBilinear"),
    ],
)
def test_layers_use_the_faster_operation(make, fast, slow):
    assert {fast, slow} & operations(make()) == {fast}


def test_batch_norm_is_one_operation_in_training():
    assert "FusedBatchNormV3" in operations(BatchNorm(), training=True)
    assert "FusedBatchNormV3" not in operations(keras.layers.BatchNormalization(), training=True), (
        "our layer would be superfluous"
    )


def test_frozen_batch_norm_uses_its_moving_averages():
    layer = BatchNorm()
    layer.build(VIDEO.shape)
    layer.trainable = False
    before = layer.get_weights()
    np.testing.assert_allclose(
        np.array(layer(VIDEO, training=True)), VIDEO / np.sqrt(1.001), rtol=1e-5
    )
    for one, other in zip(before, layer.get_weights()):
        np.testing.assert_array_equal(one, other)


def test_2plus1d_is_space_then_time():
    layer = Conv2Plus1D(5, (3, 3, 3), "same")
    output = np.array(layer(VIDEO))
    spatial, temporal = layer.seq.layers
    np.testing.assert_allclose(output, np.array(temporal(spatial(VIDEO))), atol=1e-6)
    assert spatial.kernel_size == (1, 3, 3) and temporal.kernel_size == (3, 1, 1)


def test_paper_convolution_is_nonlinear_between_space_and_time():
    names = [
        type(layer).__name__
        for layer in Conv2Plus1D(5, (3, 3, 3), "same", normalized=True).seq.layers
    ]
    assert names == ["VideoConv", "BatchNorm", "ReLU", "VideoConv"]


def test_normalized_convolution_has_no_biases():
    layer = Conv2Plus1D(5, (3, 3, 3), "same", normalized=True)
    layer.build(VIDEO.shape)
    assert not any(
        part.use_bias for part in layer.seq.layers if isinstance(part, keras.layers.Conv3D)
    )


def test_kernel_of_three_reaches_one_frame_in_each_direction():
    layer = Conv2Plus1D(5, (3, 3, 3), "same")
    altered = VIDEO.copy()
    altered[:, 2] += 1
    change = np.abs(np.array(layer(altered)) - np.array(layer(VIDEO))).max(axis=(0, 2, 3, 4))
    assert np.flatnonzero(change > 1e-6).tolist() == [1, 2, 3]


def test_2d_main_branch_processes_each_frame_on_its_own():
    layer = ResidualMain(5, (3, 3, 3), conv="2d")
    altered = VIDEO.copy()
    altered[:, 2] += 1
    change = np.abs(np.array(layer(altered)) - np.array(layer(VIDEO))).max(axis=(0, 2, 3, 4))
    assert np.flatnonzero(change > 1e-6).tolist() == [2]


@pytest.mark.parametrize("size", [(4, 5), (3, 5), (8, 10), (16, 5)])
def test_resize_video_is_resizing_each_frame(size):
    resized = np.array(ResizeVideo(*size)(VIDEO))
    for time in range(VIDEO.shape[1]):
        np.testing.assert_allclose(
            resized[:, time], np.array(keras.layers.Resizing(*size)(VIDEO[:, time])), atol=1e-6
        )


@pytest.mark.parametrize("filters, projected", [(4, False), (6, True)])
def test_residual_block_projects_only_if_channels_differ(filters, projected):
    inputs = keras.Input(VIDEO.shape[1:])
    model = keras.Model(inputs, add_residual_block(inputs, filters, (3, 3, 3)))
    assert model.output_shape == (None, 6, 8, 10, filters)
    assert any(isinstance(layer, Project) for layer in model.layers) == projected


def test_residual_block_adds_its_input():
    inputs = keras.Input(VIDEO.shape[1:])
    model = keras.Model(inputs, add_residual_block(inputs, 4, (3, 3, 3)))
    main = next(layer for layer in model.layers if isinstance(layer, ResidualMain))
    np.testing.assert_allclose(
        model.predict(VIDEO, verbose=0), VIDEO + np.array(main(VIDEO)), atol=1e-5
    )


def test_static_background_is_subtracted():
    still = np.repeat(VIDEO[:, :1], 6, axis=1)
    np.testing.assert_allclose(np.array(SubtractMean()(still)), 0, atol=1e-6)
    np.testing.assert_allclose(
        np.array(SubtractMean()(VIDEO)), VIDEO - VIDEO.mean(axis=1, keepdims=True), atol=1e-6
    )


def test_error_names_an_unknown_convolution():
    with pytest.raises(ValueError, match="4d"):
        ResidualMain(5, (3, 3, 3), conv="4d")


def test_batch_norm_of_clips_of_any_length_is_that_of_keras():
    clips = np.random.default_rng(0).normal(size=(2, 3, 4, 5, 6)).astype("float32")
    results = []
    for layer in (BatchNorm(), keras.layers.BatchNormalization(momentum=0.9)):
        inputs = keras.Input((None, 4, 5, 6))
        layer.momentum = 0.9
        model = keras.Model(inputs, layer(inputs))
        results.append((np.asarray(model(clips, training=True)), layer.moving_variance.numpy()))
    for one, other in zip(*results):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_layer_takes_clips_of_any_length(make):
    layer = make()
    signature = tf.TensorSpec((None, None, *VIDEO.shape[2:]))
    in_graph = tf.function(layer, input_signature=[signature])
    for length in (3, 6):
        expected = np.array(layer(VIDEO[:, :length]))
        np.testing.assert_allclose(np.array(in_graph(VIDEO[:, :length])), expected, atol=1e-5)


@pytest.mark.parametrize("kernel_size", [(1, 7, 7), (3, 1, 1), (3, 3, 3)])
@pytest.mark.parametrize("strides", [(1, 1, 1), (1, 2, 2), (2, 1, 1), (2, 2, 2)])
def test_symmetric_padding_is_as_many_zeros_on_both_sides(kernel_size, strides):
    options = {"filters": 5, "kernel_size": kernel_size, "strides": strides}
    zeros = keras.layers.ZeroPadding3D([size // 2 for size in kernel_size])
    explicit = keras.Sequential([zeros, keras.layers.Conv3D(**options)])
    expect_same_function(VideoConv(**options, padding="same", symmetric=True), explicit, VIDEO)


@pytest.mark.parametrize(
    "options",
    [
        {"padding": "valid"},
        {"kernel_size": (1, 2, 2)},
        {"groups": 2},
        {"dilation_rate": 2},
        {"data_format": "channels_first"},
    ],
    ids=lambda options: ", ".join(options),
)
def test_symmetric_padding_is_refused_where_it_would_be_ignored(options):
    with pytest.raises(ValueError, match="Symmetric padding needs"):
        VideoConv(**{"filters": 4, "kernel_size": 3, "padding": "same"} | options, symmetric=True)


SIZES = [(8, 10), (7, 9), (7, 8), (1, 2)]


def random_video(size):
    """Return two clips of three frames of a size, with four channels."""
    return np.random.default_rng(0).random((2, 3, *size, 4), dtype=np.float32)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kernel_size", [(3, 3), (5, 5), (3, 5)])
@pytest.mark.parametrize("strides", [1, 2])
def test_spatial_depthwise_convolution_is_that_of_keras_frame_by_frame(size, kernel_size, strides):
    options = {"strides": strides, "activation": "softplus"}
    ours = DepthwiseVideoConv((1, *kernel_size), **options)
    kerass = keras.layers.DepthwiseConv2D(kernel_size, padding="same", **options)
    expect_same_function(ours, keras.layers.TimeDistributed(kerass), random_video(size))


@pytest.mark.parametrize("time", [2, 3, 5])
def test_temporal_depthwise_convolution_is_a_sum_over_this_frame_and_earlier_ones(time):
    layer = DepthwiseVideoConv((time, 1, 1))
    layer.build(VIDEO.shape)
    rng = np.random.default_rng(1)
    kernel, bias = (rng.normal(size=weight.shape) for weight in layer.weights)
    layer.set_weights([kernel, bias])
    expected = np.tile(bias, (*VIDEO.shape[:-1], 1))
    for frame, back in itertools.product(range(VIDEO.shape[1]), range(time)):
        if back <= frame:
            expected[:, frame] += VIDEO[:, frame - back] * kernel[time - 1 - back, 0, :, 0]
    np.testing.assert_allclose(np.array(layer(VIDEO)), expected, atol=1e-5)


def test_a_later_frame_does_not_change_the_output_of_a_causal_convolution():
    layer = DepthwiseVideoConv((3, 1, 1))
    altered = VIDEO.copy()
    altered[:, 2] += 1
    change = np.abs(np.array(layer(altered)) - np.array(layer(VIDEO))).max(axis=(0, 2, 3, 4))
    assert np.flatnonzero(change > 1e-6).tolist() == [2, 3, 4]


@pytest.mark.parametrize(
    "kernel_size, strides", [((3, 3, 3), 1), ((3, 1, 3), 1), ((3, 3), 1), ((3, 1, 1), 2)]
)
def test_depthwise_convolution_refuses_kernels_over_space_and_time(kernel_size, strides):
    with pytest.raises(ValueError, match=f"{strides}\\.$") as caught:
        DepthwiseVideoConv(kernel_size, strides)
    assert str(kernel_size) in str(caught.value)


def test_gain_starts_at_one_and_multiplies():
    layer = Gain()
    np.testing.assert_array_equal(np.array(layer(VIDEO)), VIDEO)
    layer.set_weights([np.array(-2.5)])
    np.testing.assert_allclose(np.array(layer(VIDEO)), -2.5 * VIDEO, rtol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_frame_pooling_is_a_mean_without_the_padding(size):
    video = random_video(size)
    height, width = (-(-n // 2) for n in size)
    # Of an odd size, the first window begins one pixel before the frame.
    first = [(n % 2, 2) for n in size]
    padded = np.pad(video, [(0, 0), (0, 0), *first, (0, 0)], constant_values=np.nan)
    expected = np.empty((2, 3, height, width, 4))
    for y, x in np.ndindex(height, width):
        window = padded[:, :, 2 * y : 2 * y + 3, 2 * x : 2 * x + 3]
        expected[:, :, y, x] = np.nanmean(window, axis=(2, 3))
    np.testing.assert_allclose(np.array(FramePooling()(video)), expected, rtol=1e-5)


def test_mean_and_deviation_are_those_of_each_channel():
    video = VIDEO * [1, 10, 0.1, 0]
    means = video.mean(axis=(1, 2, 3)), video.var(axis=(1, 2, 3))
    expected = np.hstack([means[0], np.sqrt(means[1] + keras.config.epsilon())])
    np.testing.assert_allclose(np.array(MeanAndDeviation()(video)), expected, rtol=1e-5)


def test_deviation_has_a_gradient_where_a_clip_stands_still():
    _, gradient = gradients(MeanAndDeviation(), np.ones_like(VIDEO))
    assert np.all(np.isfinite(gradient)) and np.any(gradient)


def freeze_normalisation(layer):
    layer.seq.layers[1].trainable = False


def freeze_all(layer):
    layer.trainable = False


@pytest.mark.parametrize(
    "freeze, trained",
    [
        (lambda layer: None, [True, True, True, True]),
        (freeze_normalisation, [True, False, True, True]),
        (freeze_all, [False] * 4),
    ],
)
def test_parts_of_a_2plus1d_convolution_stay_frozen(freeze, trained, tmp_path):
    inputs = keras.Input(VIDEO.shape[1:])
    layer = Conv2Plus1D(5, (3, 3, 3), "same", normalized=True)
    model = keras.Model(inputs, layer(inputs))
    freeze(layer)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for each in (model, loaded, keras.models.clone_model(loaded)):
        assert [part.trainable for part in each.layers[-1].seq.layers] == trained
        assert len(each.trainable_weights) == len(model.trainable_weights)
