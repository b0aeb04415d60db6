"""Turn a network's outputs into probabilities. Taught in the chapter *Evaluate*."""

import keras
import numpy as np

# Layers that keep values as they are, or average several of them; without the 1D, 2D or 3D.
_TRANSPARENT_LAYERS = (
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


def get_probabilities(model: keras.Model, frames: np.ndarray) -> np.ndarray:
    """Return the class probabilities of a batch of clips.

    They are the softmax of the network's outputs, or the outputs themselves if the network ends in
    a softmax or its outputs are not negative and sum to 1.

    Args:
        model: A network of one output per class.
        frames: A batch of clips that the network accepts, as an array of any backend.

    Returns:
        float32 `(batch, n_classes)`.
    """
    outputs = keras.ops.cast(model.predict_on_batch(keras.ops.convert_to_numpy(frames)), "float32")
    outputs = keras.ops.convert_to_numpy(outputs)
    # The values decide for networks that can't be inspected.
    if last_activation(model).startswith("softmax") or _are_probabilities(outputs):
        return outputs
    return keras.ops.convert_to_numpy(keras.ops.softmax(outputs))


def _are_probabilities(outputs):
    """Return whether no output is negative and each clip's outputs sum to 1, unlike logits."""
    return (outputs >= 0).all() and np.allclose(outputs.sum(axis=-1), 1, atol=1e-3)


def last_activation(model: keras.Model) -> str:
    """Return the last activation that a network's outputs pass through.

    Layers that don't change it, such as `Flatten` or an average, are skipped, and networks inside a
    network are inspected. A model that can't be inspected, such as a subclass of `keras.Model`,
    counts as linear.

    Args:
        model: A network; only its first output counts.

    Returns:
        The activation's name in lower case, such as `"softmax"` or `"sigmoid"`, or `"linear"`. The
        names of several activations that are averaged are joined, as in `"linear or softmax"`.
    """
    outputs = getattr(model, "outputs", None)
    return _tensor_activation(outputs[0]) if outputs else "linear"


def _tensor_activation(tensor):
    """Return the last activation that a symbolic tensor has passed through."""
    layer, node, position = tensor._keras_history
    inputs = layer._inbound_nodes[node].input_tensors
    if isinstance(layer, keras.layers.Wrapper):
        layer = layer.layer
    if isinstance(layer, keras.Model):
        outputs = getattr(layer, "outputs", None)
        return _tensor_activation(outputs[position]) if outputs else "linear"
    kind = type(layer).__name__
    if any(word in kind.lower() for word in ("softmax", "sigmoid", "unitnormalization")):
        return kind.lower()
    function = getattr(layer, "activation", None)
    name = getattr(function, "__name__", type(function).__name__).lower() if function else "linear"
    if name == "linear" and kind.rstrip("123D") in _TRANSPARENT_LAYERS:
        return " or ".join(sorted({_tensor_activation(each) for each in inputs}))
    return name
