import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers import counting, layers, models
from helpers.models import build_resnet18, build_small_resnet, build_tutorial_model

SIZE = {"n_frames": 4, "height": 32, "width": 32}
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
def test_tutorial_model_computes_what_keras_own_layers_compute(size, conv, monkeypatch):
    sizes = {"num_classes": 5, "n_frames": 4, "height": size, "width": size}
    # Near zero, rounding may switch a ReLU on or off, and change the gradient; softplus is smooth.
    monkeypatch.setattr(keras.layers, "ReLU", lambda: keras.layers.Activation("softplus"))
    keras.utils.set_random_seed(0)
    ours = build_tutorial_model(conv=conv, **sizes)
    monkeypatch.setattr(layers, "VideoConv", keras.layers.Conv3D)
    monkeypatch.setattr(layers, "LayerNorm", keras.layers.LayerNormalization)
    monkeypatch.setattr(models, "VideoConv", keras.layers.Conv3D)
    monkeypatch.setattr(models, "BatchNorm", keras.layers.BatchNormalization)

    def resize(height, width):
        return keras.layers.TimeDistributed(keras.layers.Resizing(height, width))

    monkeypatch.setattr(models, "ResizeVideo", resize)
    kerass = build_tutorial_model(conv=conv, **sizes)
    kinds = {type(layer) for layer in kerass._flatten_layers()}
    own = {kind.__name__ for kind in kinds if kind.__module__.startswith("helpers")}
    assert own <= {"Conv2Plus1D", "ResidualMain", "Project"}, "these contain Keras's layers"
    kerass.set_weights(ours.get_weights())
    frames = np.random.default_rng(1).integers(0, 256, (2, 4, size, size, 3), dtype=np.uint8)
    results = (logits_and_gradient(model, frames) for model in (ours, kerass))
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4 * np.abs(other).max())


def logits_and_gradient(model, frames):
    """Return the logits, and the gradient of the loss with respect to all weights, flattened."""
    with tf.GradientTape() as tape:
        logits = model(frames, training=True)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(np.arange(len(frames)), logits)
    gradients = tape.gradient(loss, model.trainable_weights)
    return np.array(logits), np.concatenate([np.ravel(value) for value in gradients])


# Published with torchvision's video models for 400 classes.
@pytest.mark.parametrize(
    "conv, count",
    [("2d", 11_381_712), ("mc3", 11_695_440), ("2plus1d", 31_505_325), ("3d", 33_371_472)],
)
def test_resnet18_has_the_published_parameters(conv, count):
    assert trainable(build_resnet18(conv)) == count


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
@pytest.mark.parametrize("conv", ["2plus1d", "3d", "mc3", "2d"])
def test_model_takes_uint8_frames_and_returns_logits(build, conv):
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
def test_default_sizes_are_those_of_the_tutorial_or_the_paper(build, clip, classes):
    model = build()
    assert model.input_shape == (None, *clip) and model.output_shape == (None, classes)


def stage_sizes(model):
    return [layer.output.shape[1:] for layer in model.layers if isinstance(layer, keras.layers.Add)]


def test_each_stage_halves_height_and_width():
    stages = [(112, 112, 16), (56, 56, 32), (28, 28, 64), (14, 14, 128)]
    all_frames = [(10, *stage) for stage in stages]
    assert stage_sizes(build_tutorial_model()) == all_frames
    frames = (10, 5, 3, 2)
    assert stage_sizes(build_small_resnet()) == [(n, *stage) for n, stage in zip(frames, stages)]
    assert stage_sizes(build_small_resnet(conv="2d")) == all_frames, "2D has no temporal stride"
    stages = [(16, 56, 56, 64), (8, 28, 28, 128), (4, 14, 14, 256), (2, 7, 7, 512)]
    assert stage_sizes(build_resnet18()) == [size for size in stages for _ in range(2)]


@pytest.mark.parametrize("build", [*BUILDERS.values(), build_resnet18])
@pytest.mark.parametrize("subtract_mean", [False, True])
def test_network_rescales_white_to_one(build, subtract_mean):
    model = build(subtract_mean=subtract_mean, **SIZE)
    seen = keras.Model(model.inputs, model.layers[1].output)
    np.testing.assert_allclose(seen.predict(np.full_like(FRAMES, 255), verbose=0), 1, rtol=1e-6)
    assert isinstance(model.layers[2], layers.SubtractMean) == subtract_mean


@pytest.mark.parametrize("build", [build_small_resnet, build_resnet18])
@pytest.mark.parametrize("conv", ["2plus1d", "2d"])
def test_layers_have_the_same_names_in_each_build(build, conv):
    names = [
        [layer.name for layer in build(conv=conv, subtract_mean=True, **SIZE).layers]
        for _ in range(2)
    ]
    assert names[0][2:] == names[1][2:], "only the rescaling, which has no weights, may differ"
    assert names[0][0] == "frames" and names[0][-1] == "logits"


def test_names_of_networks():
    assert build_tutorial_model(**SIZE).name == "tutorial"
    assert build_small_resnet(**SIZE).name == "small_resnet"
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


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_a_mixed_network_keeps_its_precision_when_it_is_loaded_or_cloned(build, mixed, tmp_path):
    model = build(num_classes=5, **SIZE)
    model.save(tmp_path / "model.keras")
    keras.config.set_dtype_policy("float32")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    cloned = keras.models.clone_model(model)
    cloned.set_weights(model.get_weights())
    for copy in (loaded, cloned):
        np.testing.assert_array_equal(
            copy.predict(FRAMES, verbose=0), model.predict(FRAMES, verbose=0)
        )


def test_small_resnet_has_the_tutorials_widths_and_one_block_each():
    model = build_small_resnet()
    adds = [layer for layer in model.layers if isinstance(layer, keras.layers.Add)]
    assert [layer.output.shape[-1] for layer in adds] == [16, 32, 64, 128]


def test_small_resnet_rounds_the_papers_m_down_to_a_multiple_of_16():
    channels = ((16, 16), (64, 128))
    expected = [counting.mid_channels(*pair, (3, 3, 3)) // 16 * 16 for pair in channels]
    model = build_small_resnet()
    blocks = [model.get_layer(f"stage{stage}_block1_conv1") for stage in (1, 4)]
    assert [block.mid_channels for block in blocks] == expected == [32, 224]
    assert model.get_layer("stem").mid_channels == 16


@pytest.mark.parametrize("build", [*BUILDERS.values(), build_resnet18])
def test_network_that_subtracts_the_mean_ignores_a_static_background(build):
    model = build(subtract_mean=True, **SIZE)
    half = FRAMES // 2
    background = np.random.default_rng(1).integers(0, 128, (2, 1, 32, 32, 3), dtype=np.uint8)
    one, other = (model.predict(video, verbose=0) for video in (half, half + background))
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_small_resnet_has_a_relu_after_each_addition_and_strides_in_its_stem():
    model = build_small_resnet()
    after = {id(layer.input): layer for layer in model.layers if not isinstance(layer.input, list)}
    for layer in model.layers:
        if isinstance(layer, keras.layers.Add):
            assert isinstance(after[id(layer.output)], keras.layers.ReLU)
    assert model.get_layer("stem").strides == (1, 2, 2)


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_2plus1d_model_depends_on_the_order_of_frames_and_2d_model_does_not(build):
    changes = {}
    for conv in ("2d", "2plus1d"):
        model = build(conv=conv, **SIZE)
        logits = [model.predict(frames, verbose=0) for frames in (FRAMES, FRAMES[:, ::-1])]
        changes[conv] = np.abs(logits[1] - logits[0]).max()
    assert changes["2d"] < 1e-4 and changes["2plus1d"] > 1e-3


@pytest.mark.parametrize(
    "build", [build_tutorial_model, build_small_resnet, lambda conv: build_resnet18(conv)]
)
def test_error_names_an_unknown_convolution(build):
    with pytest.raises(ValueError, match="4d"):
        build(conv="4d")
