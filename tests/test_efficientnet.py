import keras
import numpy as np
import pytest
import tensorflow as tf
from test_state_dict import PACKAGED

from helpers import efficientnet
from helpers.efficientnet import build_efficientnet_lite0
from helpers.models import build_small_resnet
from helpers.state_dict import read_state_dict

# The weights fit any size, and a small one is faster.
SIZE = {"height": 64, "width": 64}
FRAMES = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model():
    """The published network, for clips of any length. Don't change its weights."""
    return efficientnet.load_weights(build_efficientnet_lite0(**SIZE))


@pytest.fixture(scope="module")
def features(model):
    """Return a function from clips to the mean and the deviation of their features."""
    network = build_efficientnet_lite0(deviation=True, **SIZE)
    efficientnet.load_weights(network, include_top=False)
    extractor = keras.Model(network.input, network.get_layer("average").output)
    return lambda frames: np.array(extractor(frames))


def published_logits(images):
    """Compute the logits of EfficientNet-Lite0 for images, from PyTorch's weights alone."""
    state = read_state_dict(PACKAGED)

    def normalise(x, name):
        parts = ("running_mean", "running_var", "bias", "weight")
        return tf.nn.batch_normalization(x, *(state[f"{name}.{part}"] for part in parts), 1e-3)

    def convolve(x, name, strides=1, operation=tf.nn.conv2d):
        kernel = state[f"{name}.weight"].transpose(2, 3, 1, 0)
        if operation is tf.nn.depthwise_conv2d:
            kernel = kernel.swapaxes(2, 3)
        return operation(x, kernel, [1, strides, strides, 1], "SAME")

    x = (images.astype(np.float32) - 127) / 128
    x = tf.nn.relu6(normalise(convolve(x, "_conv_stem", 2), "_bn0"))
    for block, strides in enumerate([1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]):
        name, before = f"_blocks.{block}", x
        if block:
            x = tf.nn.relu6(normalise(convolve(x, f"{name}._expand_conv"), f"{name}._bn0"))
        x = convolve(x, f"{name}._depthwise_conv", strides, tf.nn.depthwise_conv2d)
        x = tf.nn.relu6(normalise(x, f"{name}._bn1"))
        x = normalise(convolve(x, f"{name}._project_conv"), f"{name}._bn2")
        x = x + before if x.shape == before.shape else x
    x = tf.nn.relu6(normalise(convolve(x, "_conv_head"), "_bn1"))
    return np.mean(x, axis=(1, 2)) @ state["_fc.weight"].T + state["_fc.bias"]


@pytest.mark.parametrize("size", [(224, 224), (65, 96)])
def test_logits_of_an_image_are_those_of_the_published_network(size):
    network = efficientnet.load_weights(build_efficientnet_lite0(1000, 1, *size))
    images = np.random.default_rng(1).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    logits = np.array(network(images[:, np.newaxis]))
    np.testing.assert_allclose(logits, published_logits(images), atol=1e-4)


def test_network_has_the_published_parameters(model):
    trained = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert trained == 4_652_008
    assert model.count_params() == 4_694_024


def test_network_takes_uint8_frames_and_returns_logits():
    network = build_efficientnet_lite0()
    assert network.input_shape == (None, None, 224, 224, 3) and network.input.dtype == "uint8"
    assert network.output_shape == (None, 1000) and network.output.dtype == "float32"
    assert network.get_layer("frame_average").output.shape == (None, None, 1, 1, 1280)
    assert network.get_layer("average").output.shape == (None, 1280)
    network = build_efficientnet_lite0(5, 4, 64, 96, deviation=True)
    assert network.input_shape == (None, 4, 64, 96, 3) and network.output_shape == (None, 5)
    assert network.get_layer("average").output.shape == (None, 2560)


def test_logits_of_a_clip_are_the_mean_of_those_of_its_frames(model):
    logits = [np.array(model(FRAMES[:, [i]])) for i in range(FRAMES.shape[1])]
    np.testing.assert_allclose(np.array(model(FRAMES)), np.mean(logits, axis=0), atol=1e-5)


def test_a_clip_that_stands_still_has_the_features_of_one_frame(features):
    one, several = features(FRAMES[:, :1]), features(np.repeat(FRAMES[:, :1], 4, axis=1))
    np.testing.assert_allclose(several, one, atol=1e-4)
    np.testing.assert_allclose(one[:, 1280:], np.sqrt(keras.config.epsilon()), rtol=1e-2)


def test_the_order_of_frames_does_not_matter_but_the_frames_do(features):
    expected = features(FRAMES)
    np.testing.assert_allclose(features(FRAMES[:, ::-1]), expected, atol=1e-4)
    others = np.abs(features(FRAMES[:, :2]) - expected)
    assert np.all(others[:, :1280].max(axis=1) > 0.01)
    assert np.all(others[:, 1280:].max(axis=1) > 0.01)


def test_network_saves_and_loads_with_the_same_logits(tmp_path):
    network = build_efficientnet_lite0(5, deviation=True, **SIZE)
    network.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.array(loaded(FRAMES)), np.array(network(FRAMES)))


def test_without_the_top_the_logits_stay_as_they_are(model):
    network = build_efficientnet_lite0(5, **SIZE)
    before = network.get_layer("logits").get_weights()
    assert efficientnet.load_weights(network, include_top=False) is network
    for one, other in zip(before, network.get_layer("logits").get_weights()):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(*(each.get_layer("stem").kernel for each in (network, model)))


def test_another_number_of_classes_is_refused():
    words = f"5 classes, but the weights of {PACKAGED} have 1000; pass include_top=False"
    with pytest.raises(ValueError, match=words):
        efficientnet.load_weights(build_efficientnet_lite0(5, **SIZE))


def test_another_network_is_refused():
    with pytest.raises(ValueError, match="small_resnet is not .*; build it with build_eff"):
        efficientnet.load_weights(build_small_resnet(1000, 4, 32, 32))


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(PACKAGED.read_bytes()[:-100])
    with pytest.raises(ValueError, match=f"{path} is cut short, damaged"):
        efficientnet.load_weights(build_efficientnet_lite0(**SIZE), path)
