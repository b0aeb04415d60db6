"""From what a network returns to probabilities. Taught in the chapter *Evaluate*."""

import keras
import numpy as np


def get_probabilities(model, frames):
    """Return the softmax of a network's logits for a batch of clips, or what it gives where it ends in a softmax: float32 `(batch, n_classes)`."""
    outputs = keras.ops.cast(model.predict_on_batch(keras.ops.convert_to_numpy(frames)), "float32")
    outputs = keras.ops.convert_to_numpy(outputs)
    # What a network can't be looked into for shows in its outputs: logits don't add up to 1.
    if (
        last_activation(model).startswith("softmax")
        or (outputs >= 0).all()
        and np.allclose(outputs.sum(axis=-1), 1, atol=1e-3)
    ):
        return outputs
    return keras.ops.convert_to_numpy(keras.ops.softmax(outputs))


def last_activation(model):
    """Return what a network's outputs have gone through at the end: `"softmax"`, `"sigmoid"`, ..., or `"linear"` where that is nothing.

    Layers that leave it at that, such as `Flatten` or an average, are looked through, and so are networks within a network. What can't
    be looked into, such as a subclass of `keras.Model`, is taken for linear.
    """
    outputs = getattr(model, "outputs", None)
    return _activation(outputs[0]) if outputs else "linear"


# What leaves values as they are, or takes the mean of several.
_PASSING = (
    "Activation",
    "Average",
    "AveragePooling",
    "Cast",
    "Dropout",
    "Flatten",
    "GlobalAveragePooling",
    "Identity",
    "Mean",
    "Reshape",
    "Squeeze",
)


def _activation(output):
    """Return what a symbolic tensor has gone through at the end."""
    layer, node, position = output._keras_history
    inputs = layer._inbound_nodes[node].input_tensors
    if isinstance(layer, keras.layers.Wrapper):
        layer = layer.layer
    if isinstance(layer, keras.Model):
        return _activation(layer.outputs[position]) if getattr(layer, "outputs", None) else "linear"
    kind, function = type(layer).__name__, getattr(layer, "activation", None)
    name = getattr(function, "__name__", type(function).__name__).lower() if function else "linear"
    if any(word in kind.lower() for word in ("softmax", "sigmoid", "unitnormalization")):
        return kind.lower()
    if name == "linear" and kind.rstrip("123D") in _PASSING:
        return " or ".join(sorted({_activation(each) for each in inputs}))
    return name
