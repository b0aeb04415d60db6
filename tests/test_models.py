import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers import counting, export, layers, models, probabilities
from helpers.models import build_resnet18, build_small_resnet, build_tutorial_model

SIZE = dict(n_frames=4, height=32, width=32)
FRAMES = np.random.default_rng(0).integers(0, 256, (2, 4, 32, 32, 3), dtype=np.uint8)
BUILDERS = {"tutorial": build_tutorial_model, "small_resnet": build_small_resnet}


def trainable(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def test_tutorial_model_has_the_tutorials_parameters():
    model = build_tutorial_model(num_classes=10)
    assert model.count_params() == 443_322
    assert trainable(model) == 443_290


@pytest.mark.parametrize("conv", ["2plus1d", "3d", "mc3", "2d"])
@pytest.mark.parametrize("size", [32, 48])
def test_tutorial_model_is_the_function_that_kerass_own_layers_make(size, conv, monkeypatch):
    sizes = {"num_classes": 5, "n_frames": 4, "height": size, "width": size}
    # Rounding tips a ReLU over where its input is next to zero, and with it the gradient; this one
    # bends smoothly.
    monkeypatch.setattr(keras.layers, "ReLU", lambda: keras.layers.Activation("softplus"))
    keras.utils.set_random_seed(0)
    ours = build_tutorial_model(conv=conv, **sizes)
    monkeypatch.setattr(layers, "VideoConv", keras.layers.Conv3D)
    monkeypatch.setattr(layers, "LayerNorm", keras.layers.LayerNormalization)
    monkeypatch.setattr(models, "VideoConv", keras.layers.Conv3D)
    monkeypatch.setattr(models, "BatchNorm", keras.layers.BatchNormalization)
    monkeypatch.setattr(
        models,
        "ResizeVideo",
        lambda height, width: keras.layers.TimeDistributed(keras.layers.Resizing(height, width)),
    )
    kerass = build_tutorial_model(conv=conv, **sizes)
    own = {
        type(layer).__name__
        for layer in kerass._flatten_layers()
        if type(layer).__module__.startswith("helpers")
    }
    assert own <= {"Conv2Plus1D", "ResidualMain", "Project"}, "which hold Keras's layers"
    kerass.set_weights(ours.get_weights())
    frames = np.random.default_rng(1).integers(0, 256, (2, 4, size, size, 3), dtype=np.uint8)
    for one, other in zip(
        logits_and_gradient(ours, frames), logits_and_gradient(kerass, frames), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-4 * np.abs(other).max())


def logits_and_gradient(model, frames):
    """Return the logits, and the gradient of the loss by all weights in a row."""
    with tf.GradientTape() as tape:
        logits = model(frames, training=True)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(np.arange(len(frames)), logits)
    return np.array(logits), np.concatenate(
        [np.ravel(value) for value in tape.gradient(loss, model.trainable_weights)]
    )


# Published with torchvision's video models, for 400 classes.
@pytest.mark.parametrize(
    "conv, count",
    [("2d", 11_381_712), ("mc3", 11_695_440), ("2plus1d", 31_505_325), ("3d", 33_371_472)],
)
def test_resnet18_has_the_published_parameters(conv, count):
    assert trainable(build_resnet18(conv)) == count


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
@pytest.mark.parametrize("conv", ["2plus1d", "3d", "mc3", "2d"])
def test_model_takes_uint8_frames_and_gives_logits(build, conv):
    model = build(num_classes=7, conv=conv, **SIZE)
    assert model.input_shape == (None, 4, 32, 32, 3) and model.inputs[0].dtype == "uint8"
    assert model.predict(FRAMES, verbose=0).shape == (2, 7)
    assert model.layers[-1].activation is keras.activations.linear


@pytest.mark.parametrize(
    "build, clip, classes",
    [
        (build_tutorial_model, (10, 224, 224, 3), 10),
        (build_small_resnet, (10, 224, 224, 3), 10),
        (build_resnet18, (16, 112, 112, 3), 400),
    ],
)
def test_sizes_are_the_tutorials_or_the_papers_unless_told(build, clip, classes):
    model = build()
    assert model.input_shape == (None, *clip) and model.output_shape == (None, classes)


def sizes_of_stages(model):
    return [layer.output.shape[1:] for layer in model.layers if isinstance(layer, keras.layers.Add)]


def test_each_stage_is_half_as_high_and_wide():
    stages = [(112, 16), (56, 32), (28, 64), (14, 128)]
    assert sizes_of_stages(build_tutorial_model()) == [
        (10, side, side, channels) for side, channels in stages
    ]
    frames = (10, 5, 3, 2)
    expected = [(n, side, side, channels) for n, (side, channels) in zip(frames, stages)]
    assert sizes_of_stages(build_small_resnet()) == expected
    assert sizes_of_stages(build_small_resnet(conv="2d")) == [
        (10, *size[1:]) for size in expected
    ], "each frame stays by itself"
    stages = [(16, 56, 56, 64), (8, 28, 28, 128), (4, 14, 14, 256), (2, 7, 7, 512)]
    assert sizes_of_stages(build_resnet18()) == [size for size in stages for _ in range(2)]


@pytest.mark.parametrize("build", [*BUILDERS.values(), build_resnet18])
@pytest.mark.parametrize("subtract_mean", [False, True])
def test_white_is_one_to_a_network(build, subtract_mean):
    model = build(subtract_mean=subtract_mean, **SIZE)
    seen = keras.Model(model.inputs, model.layers[1].output)
    np.testing.assert_allclose(seen.predict(np.full_like(FRAMES, 255), verbose=0), 1, rtol=1e-6)
    assert isinstance(model.layers[2], layers.SubtractMean) == subtract_mean


@pytest.mark.parametrize("build", [build_small_resnet, build_resnet18])
@pytest.mark.parametrize("conv", ["2plus1d", "2d"])
def test_layers_are_called_the_same_in_each_build(build, conv):
    names = [
        [layer.name for layer in build(conv=conv, subtract_mean=True, **SIZE).layers]
        for _ in range(2)
    ]
    assert names[0][2:] == names[1][2:], "all but the rescaling, which has no weights"
    assert names[0][0] == "frames" and names[0][-1] == "logits"


def test_networks_are_called_what_they_are():
    assert (
        build_tutorial_model(**SIZE).name == "tutorial"
        and build_small_resnet(**SIZE).name == "small_resnet"
    )
    assert build_resnet18("mc3", **SIZE).name == "resnet18_mc3"
    assert [build(**SIZE).layers[-1].name for build in BUILDERS.values()] == ["logits"] * 2


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_model_saves_and_loads_with_the_same_logits(build, tmp_path):
    model = build(num_classes=5, **SIZE)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        loaded.predict(FRAMES, verbose=0), model.predict(FRAMES, verbose=0)
    )


@pytest.fixture
def mixed():
    """What is built computes in 16 bits meanwhile."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


def precisions(model):
    return {
        layer.compute_dtype
        for layer in model._flatten_layers()
        if not isinstance(layer, keras.layers.InputLayer)
    }


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_a_mixed_network_loads_and_is_cloned_in_the_same_precision(build, mixed, tmp_path):
    model = build(num_classes=5, **SIZE)
    model.save(tmp_path / "model.keras")
    keras.config.set_dtype_policy("float32")
    loaded, cloned = (
        keras.models.load_model(tmp_path / "model.keras"),
        keras.models.clone_model(model),
    )
    cloned.set_weights(model.get_weights())
    for copy in (loaded, cloned):
        np.testing.assert_array_equal(
            copy.predict(FRAMES, verbose=0), model.predict(FRAMES, verbose=0)
        )


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_a_mixed_network_in_float32_is_the_one_that_was_built_so(build, mixed):
    model = build(num_classes=5, **SIZE)
    keras.config.set_dtype_policy("float32")
    plain = build(num_classes=5, **SIZE)
    plain.set_weights(model.get_weights())
    copy = export.as_float32(model)
    assert precisions(copy) == {"float32"} and "bfloat16" in precisions(model)
    np.testing.assert_array_equal(copy.predict(FRAMES, verbose=0), plain.predict(FRAMES, verbose=0))
    assert np.abs(copy.predict(FRAMES, verbose=0) - model.predict(FRAMES, verbose=0)).max() > 0
    assert export.as_float32(plain) is plain


def test_layers_in_layers_and_operations_come_into_float32_too(mixed):
    inner = keras.Sequential(
        [keras.layers.TimeDistributed(keras.layers.Dense(3)), keras.layers.Flatten()]
    )
    frames = keras.Input(FRAMES.shape[1:], dtype="uint8")
    x = keras.ops.cast(inner(keras.layers.Rescaling(1 / 255)(frames)), "float16")
    model = keras.Model(
        frames, keras.layers.Bidirectional(keras.layers.GRU(2))(keras.layers.Reshape((4, -1))(x))
    )
    copy = export.as_float32(model)
    assert precisions(copy) == {"float32"}
    assert {
        tensor.dtype
        for operation in copy.operations
        for tensor in keras.tree.flatten(operation.output)
    } == {"uint8", "float32"}
    np.testing.assert_allclose(
        copy.predict(FRAMES, verbose=0),
        model.predict(FRAMES, verbose=0).astype("float32"),
        atol=0.05,
    )


@pytest.mark.parametrize("kind", ["SavedModel", "LiteRT"])
def test_a_mixed_network_in_float32_can_be_exported(kind, mixed, tmp_path):
    copy = export.as_float32(build_small_resnet(num_classes=5, **SIZE))
    path = str(tmp_path / "network.tflite")
    copy.export(
        path, format={"SavedModel": "tf_saved_model", "LiteRT": "litert"}[kind], verbose=False
    )
    if kind == "SavedModel":
        saved = tf.saved_model.load(path)
        logits = saved.serve(FRAMES).numpy()
    else:
        lite = tf.lite.Interpreter(path).get_signature_runner()
        logits = np.concatenate([lite(frames=clip[None])["output_0"] for clip in FRAMES])
    np.testing.assert_allclose(logits, copy.predict_on_batch(FRAMES), atol=1e-3)


def test_small_resnet_has_the_tutorials_widths_and_one_block_each():
    model = build_small_resnet()
    adds = [layer for layer in model.layers if isinstance(layer, keras.layers.Add)]
    assert [layer.output.shape[-1] for layer in adds] == [16, 32, 64, 128]


def test_small_resnet_rounds_the_papers_m_down_to_whole_vectors():
    wanted = [
        counting.mid_channels(16, 16, (3, 3, 3)) // 16 * 16,
        counting.mid_channels(64, 128, (3, 3, 3)) // 16 * 16,
    ]
    model = build_small_resnet()
    assert (
        [model.get_layer(f"stage{stage}_block1_conv1").mid_channels for stage in (1, 4)]
        == wanted
        == [32, 224]
    )
    assert model.get_layer("stem").mid_channels == 16


@pytest.mark.parametrize("build", [*BUILDERS.values(), build_resnet18])
def test_network_that_subtracts_the_mean_is_blind_to_what_stands_still(build):
    model = build(subtract_mean=True, **SIZE)
    half = FRAMES // 2
    backdrop = np.random.default_rng(1).integers(0, 128, (2, 1, 32, 32, 3), dtype=np.uint8)
    one, other = (model.predict(video, verbose=0) for video in (half, half + backdrop))
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_small_resnet_bends_after_each_addition_and_strides_in_its_stem():
    model = build_small_resnet()
    after = {id(layer.input): layer for layer in model.layers if not isinstance(layer.input, list)}
    for layer in model.layers:
        if isinstance(layer, keras.layers.Add):
            assert isinstance(after[id(layer.output)], keras.layers.ReLU)
    assert model.get_layer("stem").strides == (1, 2, 2)


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_2d_model_is_blind_to_the_order_of_frames_and_2plus1d_is_not(build):
    backwards = FRAMES[:, ::-1]
    blind, seeing = build(conv="2d", **SIZE), build(conv="2plus1d", **SIZE)
    np.testing.assert_allclose(
        blind.predict(FRAMES, verbose=0), blind.predict(backwards, verbose=0), atol=1e-4
    )
    assert (
        np.abs(seeing.predict(FRAMES, verbose=0) - seeing.predict(backwards, verbose=0)).max()
        > 1e-3
    )


@pytest.mark.parametrize(
    "build", [build_tutorial_model, build_small_resnet, lambda conv: build_resnet18(conv)]
)
def test_unknown_convolution_is_named(build):
    with pytest.raises(ValueError, match="4d"):
        build(conv="4d")


@pytest.mark.parametrize(
    "end, expected",
    [
        ([keras.layers.Activation("sigmoid")], "sigmoid"),
        ([keras.layers.Activation("tanh"), keras.layers.Dropout(0.5)], "tanh"),
        (
            [
                keras.layers.Activation("softmax"),
                keras.layers.Activation("linear"),
                keras.layers.Reshape((4,)),
            ],
            "softmax",
        ),
        ([keras.layers.UnitNormalization()], "unitnormalization"),
        ([keras.layers.Dense(4)], "linear"),
    ],
)
def test_the_last_activation_is_found_behind_what_passes_it_on(end, expected):
    x = inputs = keras.Input((4,))
    for layer in end:
        x = layer(x)
    assert probabilities.last_activation(keras.Model(inputs, x)) == expected


def test_of_a_mean_every_part_counts():
    inputs = keras.Input((4,))
    parts = [keras.layers.Dense(3, activation="softmax")(inputs), keras.layers.Dense(3)(inputs)]
    assert (
        probabilities.last_activation(keras.Model(inputs, keras.layers.Average()(parts)))
        == "linear or softmax"
    )
    assert (
        probabilities.last_activation(
            keras.Model(inputs, keras.layers.Average()([parts[0], parts[0]]))
        )
        == "softmax"
    )
