import keras
import numpy as np
import pytest

from helpers.probabilities import get_probabilities, last_activation

CLIPS = np.random.default_rng(0).integers(0, 256, (8, 2, 4, 4, 3), np.uint8)


def network(*end):
    """Return a network of three logits, followed by more layers."""
    inputs = keras.Input(CLIPS.shape[1:], dtype="uint8")
    x = keras.layers.GlobalAveragePooling3D()(keras.layers.Rescaling(1 / 255)(inputs))
    x = keras.layers.Dense(3)(x)
    for layer in end:
        x = layer(x)
    return keras.Model(inputs, x)


def test_softmax_is_applied_to_logits():
    model = network()
    logits = model.predict_on_batch(CLIPS)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    probabilities = get_probabilities(model, CLIPS)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)


def test_outputs_of_a_softmax_in_16_bits_are_kept_though_their_sum_is_not_1():
    inputs = keras.Input(CLIPS.shape[1:], dtype="uint8")
    x = keras.layers.GlobalAveragePooling3D()(keras.layers.Rescaling(1 / 255)(inputs))
    # A seventh is 0.1426 in bfloat16.
    x = keras.layers.Dense(7, kernel_initializer="zeros")(x)
    model = keras.Model(inputs, keras.layers.Softmax(dtype="bfloat16")(x))
    probabilities = get_probabilities(model, CLIPS)
    assert np.abs(probabilities.sum(axis=1) - 1).min() > 1e-3
    np.testing.assert_array_equal(probabilities, model.predict_on_batch(CLIPS).astype(np.float32))


def test_outputs_that_sum_to_1_are_kept_if_the_network_cannot_be_inspected():
    softmax = keras.layers.Lambda(lambda logits: keras.ops.softmax(logits) * 1.0)
    model = network(softmax)
    probabilities = get_probabilities(model, CLIPS)
    np.testing.assert_allclose(probabilities, model.predict_on_batch(CLIPS), atol=1e-6)


@pytest.mark.parametrize(
    "end, expected",
    [
        ([keras.layers.Activation("sigmoid")], "sigmoid"),
        ([keras.layers.Activation("tanh"), keras.layers.Dropout(0.5)], "tanh"),
        ([keras.layers.Activation("softmax"), keras.layers.Reshape((3,))], "softmax"),
        ([keras.layers.Softmax(), keras.layers.Activation("linear")], "softmax"),
        ([keras.layers.UnitNormalization()], "unitnormalization"),
        ([keras.layers.Dense(4)], "linear"),
    ],
)
def test_last_activation_is_found_before_layers_that_do_not_change_it(end, expected):
    assert last_activation(network(*end)) == expected


def test_last_activation_of_an_average_names_all_its_parts():
    inputs = keras.Input((4,))
    softmax = keras.layers.Dense(3, activation="softmax")(inputs)
    logits = keras.layers.Dense(3)(inputs)

    def average(*parts):
        return keras.Model(inputs, keras.layers.Average()(parts))

    assert last_activation(average(softmax, logits)) == "linear or softmax"
    assert last_activation(average(softmax, softmax)) == "softmax"
