"""Where in a clip a network finds its evidence, and whether to believe it. Taught in the chapter *See what it sees*."""

import keras
import numpy as np
from keras import ops
from scipy.stats import spearmanr

# What covers a pixel: the grey in the middle of the scale.
_GREY = 127


def grad_cam(model, clips, classes=None, layer=None, **choice):
    """Return how much each pixel speaks for a class, as far as a layer can tell: what of `attribution_maps` is positive.

    Args are those of `attribution_maps`.

    Returns:
        float32 `(n_clips, n_frames, height, width)`, 0 or more, in logits per place of the layer.

    Raises:
        ValueError: The network has no such layer, or a shortcut leads past it.
    """
    evidence = attribution_maps(model, clips, classes, layer, **choice)
    return upsample_maps(np.maximum(evidence, 0), clips.shape[1:4]).astype("float32")


def attribution_maps(model, clips, classes=None, layer=None, *, pooled=True, batch_size=16):
    """Share a class's logit out among the places and moments of a layer.

    This is Grad-CAM before its ReLU (Selvaraju et al. 2017, section 3), carried over to volumes: a
    channel's weight is the mean over all places of the logit's gradient with respect to it, and a
    place's evidence is the weighted sum of its channels. With `pooled=False` each place keeps its
    own gradient (Draelos and Carin 2020). At the last volume before an average and a dense layer
    both are the class activation map of Zhou et al. (2016), and add up to the logit less its bias.

    Args:
        model: A functional network of logits.
        clips: uint8 frames `(n_clips, n_frames, height, width, 3)`.
        classes: The class of each clip to find evidence for, as a number; the predicted one where
            not given.
        layer: Name of a layer that gives a volume and that no shortcut leads past; the last one
            where not given.
        pooled: Whether a channel has one weight, or one for each place.
        batch_size: Clips to work on at once.

    Returns:
        float32 `(n_clips, time, rows, columns)` as the layer has them, in units of the logit;
        negative where a place speaks against the class.

    Raises:
        ValueError: The network has no such layer, or a shortcut leads past it.
    """
    body, head = _cut(model, layer)
    evidence = []
    for begin in range(0, len(clips), batch_size):
        batch = slice(begin, begin + batch_size)
        activations = body(
            clips[batch], training=False
        )  # in 16 bits, where the network computes so
        chosen = (
            ops.argmax(head(activations, training=False), axis=-1)
            if classes is None
            else np.asarray(classes)[batch]
        )
        wanted = ops.one_hot(chosen, model.output_shape[-1])
        weights = _gradient(
            lambda x: ops.sum(ops.cast(head(x, training=False), "float32") * wanted), activations
        )
        weights, activations = ops.cast(weights, "float32"), ops.cast(activations, "float32")
        if pooled:
            weights = ops.mean(weights, axis=(1, 2, 3), keepdims=True)
        evidence.append(ops.convert_to_numpy(ops.sum(weights * activations, axis=-1)))
    return np.concatenate(evidence)


def upsample_maps(maps, size):
    """Draw maps of a layer's size over the frames, linearly in between, each place at the middle of its share of them.

    Args:
        maps: float `(n_clips, time, rows, columns)`.
        size: `(n_frames, height, width)`.

    Returns:
        float `(n_clips, n_frames, height, width)`.
    """
    weights = (_interpolation(few, many) for few, many in zip(maps.shape[1:], size))
    return np.einsum("ntrc,ft,yr,xc->nfyx", maps, *weights, optimize=True)


def randomize_weights(model, parts, seed=0):
    """Return a copy of a network some of whose layers have first weights again, as before any training.

    It sets Keras's, NumPy's and Python's seeds, from which these weights are drawn.

    Args:
        model: A functional network.
        parts: What the names of those layers begin with, such as `["stage4", "logits"]`.
        seed: Seed of the weights.

    Raises:
        ValueError: No layer is called so.
    """
    keras.utils.set_random_seed(seed)
    copy = keras.models.clone_model(model)
    for part in parts:
        if not any(layer.name.startswith(part) for layer in model.layers):
            raise ValueError(
                f"{model.name} has no layer whose name begins with {part!r}; model.summary() lists them."
            )
    for layer, own in zip(model.layers, copy.layers, strict=True):
        if not layer.name.startswith(tuple(parts)):
            own.set_weights(layer.get_weights())
    return copy


def compare_maps(maps, others):
    """Return Spearman's rank correlation of two maps, for each clip: 1 where they put all places into the same order.

    Args:
        maps: float `(n_clips, ...)`.
        others: float, of the same shape.

    Returns:
        float `(n_clips,)`, from -1 to 1; nan where a map is the same everywhere.
    """
    flat = (np.reshape(each, (len(each), -1)) for each in (maps, others))
    return np.array(
        [
            spearmanr(*pair).statistic if np.ptp(pair, axis=1).all() else np.nan
            for pair in zip(*flat)
        ]
    )


def moving_pixels(clips, threshold=30):
    """Return which pixels differ from their median over the clip, in some colour by more than a threshold of 255.

    Args:
        clips: uint8 frames `(n_clips, n_frames, height, width, 3)`.

    Returns:
        bool `(n_clips, n_frames, height, width)`.
    """
    still = np.median(clips, axis=1, keepdims=True)
    return np.abs(clips - still).max(axis=-1) > threshold


def occlude(clips, maps, share):
    """Paint grey what a map ranks highest.

    Args:
        clips: uint8 frames `(n_clips, n_frames, height, width, 3)`.
        maps: float `(n_clips, n_frames, height, width)`.
        share: Of each clip's pixels, from 0 to 1.

    Returns:
        uint8 frames like `clips`.
    """
    flat = maps.reshape(len(maps), -1)
    count = round(share * flat.shape[1])
    # By rank, not by a threshold: where a map has ties, no more than the share is covered.
    highest = np.argsort(-flat, axis=1, kind="stable")[:, :count]
    covered = np.zeros(flat.shape, bool)
    np.put_along_axis(covered, highest, True, axis=1)
    return np.where(covered.reshape(maps.shape)[..., None], np.uint8(_GREY), clips)


def _cut(model, layer):
    """Return the part of a network up to the volume that a layer gives, and the part from there to the logits."""
    volumes = {each.name: each.output for each in model.layers[1:] if len(each.output.shape) == 5}
    try:
        volume = volumes[layer or list(volumes)[-1]]
        before, after = keras.Model(model.input, volume), keras.Model(volume, model.output)
        if (
            model.layers[0] in after.layers
        ):  # a shortcut leads past the volume, and Keras 3.13 doesn't notice
            raise ValueError(layer)
        return before, after
    except (KeyError, IndexError, ValueError):
        wanted = "name a layer that gives a volume and that no shortcut leads past; model.summary() lists them"
        raise ValueError(f"{model.name} can't be cut at {layer!r}: {wanted}.") from None


def _gradient(function, x):
    """Return the gradient of a function of one tensor, a number, in Keras's backend; `keras.ops` has none."""
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
    """Return the matrix `(many, few)` that interpolates linearly between the middles of `few` equal parts."""
    middles = (np.arange(few) + 0.5) * many / few - 0.5
    return np.stack([np.interp(np.arange(many), middles, row) for row in np.eye(few)], axis=1)
