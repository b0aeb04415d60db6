import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers import export
from helpers.models import build_small_resnet, build_tutorial_model

SIZE = {"n_frames": 4, "height": 32, "width": 32}
FRAMES = np.random.default_rng(0).integers(0, 256, (2, 4, 32, 32, 3), dtype=np.uint8)


def precisions(model):
    layers = model._flatten_layers()
    inputs = keras.layers.InputLayer
    return {layer.compute_dtype for layer in layers if not isinstance(layer, inputs)}


@pytest.mark.parametrize("build", [build_tutorial_model, build_small_resnet])
def test_float32_copy_of_a_mixed_network_equals_one_built_in_float32(build, mixed):
    model = build(num_classes=5, **SIZE)
    keras.config.set_dtype_policy("float32")
    plain = build(num_classes=5, **SIZE)
    plain.set_weights(model.get_weights())
    copy = export.as_float32(model)
    assert precisions(copy) == {"float32"} and "bfloat16" in precisions(model)
    logits, expected, in_16_bits = (
        network.predict(FRAMES, verbose=0) for network in (copy, plain, model)
    )
    np.testing.assert_array_equal(logits, expected)
    assert np.abs(logits - in_16_bits).max() > 0
    assert export.as_float32(plain) is plain


def test_nested_layers_and_operations_are_converted_to_float32(mixed):
    dense = keras.layers.TimeDistributed(keras.layers.Dense(3))
    inner = keras.Sequential([dense, keras.layers.Flatten()])
    frames = keras.Input(FRAMES.shape[1:], dtype="uint8")
    x = keras.ops.cast(inner(keras.layers.Rescaling(1 / 255)(frames)), "float16")
    x = keras.layers.Bidirectional(keras.layers.GRU(2))(keras.layers.Reshape((4, -1))(x))
    model = keras.Model(frames, x)
    copy = export.as_float32(model)
    assert precisions(copy) == {"float32"}
    outputs = [operation.output for operation in copy.operations]
    assert {tensor.dtype for tensor in keras.tree.flatten(outputs)} == {"uint8", "float32"}
    np.testing.assert_allclose(
        copy.predict(FRAMES, verbose=0),
        model.predict(FRAMES, verbose=0).astype("float32"),
        atol=0.05,
    )


@pytest.mark.parametrize("kind", ["tf_saved_model", "litert"])
def test_float32_copy_of_a_mixed_network_can_be_exported(kind, mixed, tmp_path):
    copy = export.as_float32(build_small_resnet(num_classes=5, **SIZE))
    path = str(tmp_path / "network.tflite")
    copy.export(path, format=kind, verbose=False)
    if kind == "tf_saved_model":
        saved = tf.saved_model.load(path)  # has to live as long as its function
        logits = saved.serve(FRAMES).numpy()
    else:
        lite = tf.lite.Interpreter(path).get_signature_runner()
        logits = np.concatenate([lite(frames=clip[None])["output_0"] for clip in FRAMES])
    np.testing.assert_allclose(logits, copy.predict_on_batch(FRAMES), atol=1e-3)
