"""Attribute a prediction to parts of a clip, and test the maps. Taught in *See what it sees*."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import ops
from scipy.stats import spearmanr

# The value of occluded pixels: the grey in the middle of the scale.
_GREY = 127


def grad_cam(
    model: keras.Model,
    clips: np.ndarray,
    classes: Iterable[int] | None = None,
    layer: str | None = None,
    **options: Any,
) -> np.ndarray:
    """Return how much each pixel speaks for a class: the positive part of `attribution_maps`.

    Args:
        model: As in `attribution_maps`, like all that follow.
        clips: uint8 frames `(n_clips, n_frames, height, width, 3)`.
        classes: The class index of each clip.
        layer: Name of a layer.
        options: `pooled` and `batch_size`.

    Returns:
        float32 `(n_clips, n_frames, height, width)`, 0 or more, in logits per position of the
        layer.

    Raises:
        ValueError: The network has no such layer, or a shortcut bypasses it.
    """
    attribution = attribution_maps(model, clips, classes, layer, **options)
    return upsample_maps(np.maximum(attribution, 0), clips.shape[1:4]).astype("float32")


def attribution_maps(
    model: keras.Model,
    clips: np.ndarray,
    classes: Iterable[int] | None = None,
    layer: str | None = None,
    *,
    pooled: bool = True,
    batch_size: int = 16,
) -> np.ndarray:
    """Attribute a class's logit to the positions and moments of a layer's output.

    This is Grad-CAM before its ReLU (Selvaraju et al. 2017, section 3), extended to volumes: a
    channel's weight is the mean over all positions of the logit's gradient with respect to it, and
    a position's attribution is the weighted sum of its channels. With `pooled=False` each position
    keeps its own gradient (Draelos and Carin 2020). At the last volume before an average and a
    dense layer, both equal the class activation map of Zhou et al. (2016), and add up to the logit
    minus its bias.

    Args:
        model: A functional network that returns logits.
        clips: uint8 frames `(n_clips, n_frames, height, width, 3)`.
        classes: The class index of each clip; the predicted class by default.
        layer: Name of a layer that outputs a volume and that no shortcut bypasses; the last one by
            default.
        pooled: Whether a channel has one weight, or one for each position.
        batch_size: Clips that are processed together.

    Returns:
        float32 `(n_clips, time, rows, columns)` in the layer's size, in units of the logit;
        negative where a position speaks against the class.

    Raises:
        ValueError: The network has no such layer, or a shortcut bypasses it.
    """
    body, head = _split_at(model, layer)
    n_classes = model.output_shape[-1]
    targets = None if classes is None else np.asarray(classes)
    maps = []
    for begin in range(0, len(clips), batch_size):
        batch = slice(begin, begin + batch_size)
        own = None if targets is None else targets[batch]
        maps.append(_attribute(body, head, clips[batch], own, n_classes, pooled))
    return np.concatenate(maps)


def _attribute(body, head, clips, classes, n_classes, pooled):
    """Return the attribution maps of one batch."""
    activations = body(clips, training=False)  # in 16 bits if the network computes in 16 bits
    if classes is None:
        classes = ops.argmax(head(activations, training=False), axis=-1)
    target = ops.one_hot(classes, n_classes)

    def logit(x):
        return ops.sum(ops.cast(head(x, training=False), "float32") * target)

    weights = ops.cast(_gradient(logit, activations), "float32")
    if pooled:
        weights = ops.mean(weights, axis=(1, 2, 3), keepdims=True)
    products = weights * ops.cast(activations, "float32")
    return ops.convert_to_numpy(ops.sum(products, axis=-1))


def upsample_maps(maps: np.ndarray, size: tuple[int, int, int]) -> np.ndarray:
    """Upsample maps of a layer's size to the frames by linear interpolation.

    Each position of the layer lies in the middle of its share of the frames.

    Args:
        maps: float `(n_clips, time, rows, columns)`.
        size: `(n_frames, height, width)`.

    Returns:
        float `(n_clips, n_frames, height, width)`.
    """
    weights = (_interpolation(few, many) for few, many in zip(maps.shape[1:], size))
    return np.einsum("ntrc,ft,yr,xc->nfyx", maps, *weights, optimize=True)


def randomize_weights(model: keras.Model, parts: Iterable[str], seed: int = 0) -> keras.Model:
    """Return a copy of a network in which some layers have initial weights, as before training.

    This sets the seeds of Keras, NumPy and Python, from which these weights are drawn.

    Args:
        model: A functional network.
        parts: Prefixes of the names of those layers, such as `["stage4", "logits"]`.
        seed: Seed of the weights.

    Raises:
        ValueError: No layer's name has such a prefix.
    """
    keras.utils.set_random_seed(seed)
    copy, parts = keras.models.clone_model(model), tuple(parts)
    for part in parts:
        if not any(layer.name.startswith(part) for layer in model.layers):
            raise ValueError(
                f"{model.name} has no layer whose name begins with {part!r}; model.summary() lists "
                "the layers."
            )
    for layer, own in zip(model.layers, copy.layers, strict=True):
        if not layer.name.startswith(parts):
            own.set_weights(layer.get_weights())
    return copy


def compare_maps(maps: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return Spearman's rank correlation of two maps for each clip.

    It is 1 if both maps rank all positions in the same order.

    Args:
        maps: float `(n_clips, ...)`.
        others: float, same shape.

    Returns:
        float `(n_clips,)`, from -1 to 1; nan if a map is constant.
    """
    flat = (np.reshape(each, (len(each), -1)) for each in (maps, others))
    return np.array(
        [
            spearmanr(*pair).statistic if np.ptp(pair, axis=1).all() else np.nan
            for pair in zip(*flat)
        ]
    )


def moving_pixels(clips: np.ndarray, threshold: int = 30) -> np.ndarray:
    """Return which pixels differ from their median over the clip.

    Args:
        clips: uint8 frames `(n_clips, n_frames, height, width, 3)`.
        threshold: The difference, out of 255, that one of the colours must exceed.

    Returns:
        bool `(n_clips, n_frames, height, width)`.
    """
    median = np.median(clips, axis=1, keepdims=True)
    return np.abs(clips - median).max(axis=-1) > threshold


def occlude(clips: np.ndarray, maps: np.ndarray, fraction: float) -> np.ndarray:
    """Paint the pixels grey that a map ranks highest.

    Args:
        clips: uint8 frames `(n_clips, n_frames, height, width, 3)`.
        maps: float `(n_clips, n_frames, height, width)`.
        fraction: Fraction of each clip's pixels, from 0 to 1.

    Returns:
        uint8 frames in the shape of `clips`.
    """
    flat = maps.reshape(len(maps), -1)
    count = round(fraction * flat.shape[1])
    # By rank, not by a threshold: if a map has ties, no more than the fraction is occluded.
    highest = np.argsort(-flat, axis=1, kind="stable")[:, :count]
    occluded = np.zeros(flat.shape, bool)
    np.put_along_axis(occluded, highest, True, axis=1)
    return np.where(occluded.reshape(maps.shape)[..., None], np.uint8(_GREY), clips)


def _split_at(model, layer):
    """Return the networks before and after the volume that a layer outputs."""
    volumes = {each.name: each.output for each in model.layers[1:] if len(each.output.shape) == 5}
    try:
        volume = volumes[layer or list(volumes)[-1]]
        before, after = keras.Model(model.input, volume), keras.Model(volume, model.output)
        if model.layers[0] in after.layers:  # A shortcut, which Keras 3.13 doesn't notice.
            raise ValueError(layer)
        return before, after
    except (KeyError, IndexError, ValueError):
        raise ValueError(
            f"{model.name} can't be split at {layer!r}: name a layer that outputs a volume and "
            "that no shortcut bypasses; model.summary() lists them."
        ) from None


def _gradient(function, x):
    """Return the gradient of a scalar function of one tensor; `keras.ops` has no gradient."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return jax.grad(function)(x)
    if backend == "torch":
        import torch

        x = x.detach().requires_grad_()
        return torch.autograd.grad(function(x), x)[0]
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return tape.gradient(y, x)


def _interpolation(few, many):
    """Return the matrix `(many, few)` that interpolates between the middles of equal parts."""
    middles = (np.arange(few) + 0.5) * many / few - 0.5
    return np.stack([np.interp(np.arange(many), middles, row) for row in np.eye(few)], axis=1)
