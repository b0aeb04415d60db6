"""Features of frozen networks, and linear classifiers on them.

Taught in the chapter *Start from a trained network*.
"""

import hashlib
import pathlib
import time
import tokenize
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import scipy.special
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight
from threadpoolctl import threadpool_limits

from helpers import layers, video
from helpers.atomic import atomic_write, locked
from helpers.batches import ClipBatches
from helpers.hashing import hash_code

# The strengths of regularisation among which the validation clips choose: a smaller C means
# smaller weights.
REGULARISATIONS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)


def feature_extractor(model: keras.Model, layer: str | None = None) -> keras.Model:
    """Return a network that ends before the logits, or with a layer.

    Args:
        model: A network with a dense layer `logits`.
        layer: Name of the layer whose outputs are the features; None takes the inputs of `logits`.

    Returns:
        A network with the same input and the same weights.
    """
    output = model.get_layer("logits").input if layer is None else model.get_layer(layer).output
    return keras.Model(model.input, output, name=f"{model.name}_features")


def compute_features(
    extractor: keras.Model,
    batches: ClipBatches,
    folder: pathlib.Path | None = None,
    transform: Callable[[np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """Compute the features of all clips of a split, or read those that were computed before.

    Args:
        extractor: A network from `feature_extractor`.
        batches: The clips; they must not be shuffled (`training=False`).
        folder: Folder that keeps a file for each clip; None keeps nothing.
        transform: Function of a batch of frames that returns the frames to use instead; its results
            aren't kept.

    Returns:
        float32 `(n_clips, ...)`, in the order of `batches.files`.

    Raises:
        VideoReadError: A clip can't be read.
        ValueError: The batches are shuffled, or a file can't be written.
    """
    if batches.training:
        raise ValueError("Features belong to clips in order; pass batches with training=False.")
    if folder is None or transform is not None:
        clips = (batches[i][0] for i in range(len(batches)))
        changed = map(transform, clips) if transform else clips
        return np.concatenate(
            [np.asarray(extractor.predict_on_batch(frames), np.float32) for frames in changed]
        )
    folder = folder / _fingerprint(extractor, batches)
    try:
        with locked(folder):
            return np.stack(list(_read_or_compute(extractor, batches, folder)))
    except OSError as error:
        raise ValueError(
            f"{folder} can't be read or written ({error.strerror or error}); make it accessible, "
            "with room for more, and run the same again: what was computed before is kept."
        ) from error


def _read_or_compute(extractor, batches, folder):
    """Yield the features of each clip; a batch is computed if a file of it is missing."""
    files = [
        folder / f"{_clip_name(file, options)}.npy"
        for file, options in zip(batches.files, batches.read_options)
    ]
    for i in range(len(batches)):
        paths = files[i * batches.batch_size : (i + 1) * batches.batch_size]
        features = [_load(path, extractor.output_shape[1:]) for path in paths]
        if any(each is None for each in features):
            frames, _ = batches[i]
            features = list(np.asarray(extractor.predict_on_batch(frames), np.float32))
            for path, each in zip(paths, features):
                with atomic_write(path) as temp_path:
                    np.save(temp_path, each)
        yield from features


def _load(path, shape):
    """Return the features in a file, or None if it is missing or damaged."""
    try:
        features = np.load(path)
    except (OSError, ValueError, EOFError, tokenize.TokenError, zipfile.BadZipFile):
        return None
    fits = features.ndim == len(shape) and all(
        size in (None, found) for size, found in zip(shape, features.shape)
    )
    is_intact = fits and features.dtype == np.float32 and np.isfinite(features).all()
    return features if is_intact else None


def _fingerprint(extractor, batches):
    """Return a hash of what all features depend on: weights, sampling, backend and code."""
    code = hash_code(pathlib.Path(layers.__file__), pathlib.Path(video.__file__))
    facts = [batches.sampling, keras.backend.backend(), code, extractor.to_json()]
    digest = hashlib.sha256(repr(facts).encode())
    for array in extractor.get_weights():
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _clip_name(file, options):
    """Return a name for the features of a clip: a hash of its file and of how it is read."""
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256")
    digest.update(repr(sorted(options.items())).encode())
    return digest.hexdigest()[:32]


def fit_linear(
    features: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray], balance: bool = False
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Fit a linear classifier, with the regularisation that suits the validation clips best.

    Args:
        features: `(n_clips, n_features)` by split, of which `train` and `val` are used.
        labels: `(n_clips,)` by split.
        balance: Whether all classes count the same, however many clips they have.

    Returns:
        `(kernel, bias, facts)`: `(n_features, n_classes)` and `(n_classes,)`, which turn features
        into logits; and the chosen `C`, the `val_loss` by C, and the `seconds`.
    """
    begin, losses, classifiers = time.monotonic(), {}, {}
    n_classes = int(max(map(np.max, labels.values()))) + 1
    for strength in REGULARISATIONS:
        options = {"class_weight": "balanced" if balance else None}
        # Stopped early, a fit with little regularisation would be regularised nevertheless.
        regression = LogisticRegression(C=strength, tol=1e-8, max_iter=10_000, **options)
        classifier = make_pipeline(StandardScaler(), regression)
        # For so few numbers, threads wait for each other longer than they compute.
        with threadpool_limits(1):
            classifier.fit(features["train"], labels["train"])
        probabilities = classifier.predict_proba(features["val"])
        weights = compute_sample_weight("balanced", labels["val"]) if balance else None
        losses[strength] = float(
            log_loss(labels["val"], probabilities, labels=range(n_classes), sample_weight=weights)
        )
        classifiers[strength] = classifier
    best = min(REGULARISATIONS, key=lambda strength: losses[strength])
    scaler, regression = classifiers[best]
    kernel, bias = regression.coef_.T, regression.intercept_
    if n_classes == 2:  # scikit-learn has one logit for two classes
        kernel, bias = np.hstack([-kernel, kernel]) / 2, np.hstack([-bias, bias]) / 2
    kernel = kernel / scaler.scale_[:, np.newaxis]
    bias = bias - scaler.mean_ @ kernel
    facts = {
        "C": best,
        "val_loss": {f"{strength:g}": round(loss, 4) for strength, loss in losses.items()},
        "seconds": round(time.monotonic() - begin, 2),
    }
    return kernel.astype(np.float32), bias.astype(np.float32), facts


def fit_head(
    model: keras.Model,
    data: Mapping[str, ClipBatches],
    folder: pathlib.Path | None,
    balance: bool = False,
) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Fit the logits of a network whose other layers stay as they are.

    Args:
        model: A network with a dense layer `logits`, which is changed.
        data: Batches by split, not shuffled, of which `train` and `val` are used.
        folder: As in `compute_features`.
        balance: As in `fit_linear`.

    Returns:
        `(facts, metrics)`: what `fit_linear` returns about the fit, and the number of `features`
        and `feature_seconds`, which are few if the features were kept; and like the history of a
        training of one epoch the loss, the accuracy, `val_loss`, `val_accuracy` and all `seconds`.
    """
    extractor, begin = feature_extractor(model), time.monotonic()
    features = {
        split: compute_features(extractor, data[split], folder) for split in ("train", "val")
    }
    labels = {split: data[split].labels for split in features}
    feature_seconds = round(time.monotonic() - begin, 1)
    kernel, bias, facts = fit_linear(features, labels, balance)
    model.get_layer("logits").set_weights([kernel, bias])
    metrics = {"seconds": [time.monotonic() - begin]}
    for split, prefix in (("train", ""), ("val", "val_")):
        probabilities = scipy.special.softmax(features[split] @ kernel + bias, axis=1)
        classes = range(len(bias))
        metrics[f"{prefix}loss"] = [log_loss(labels[split], probabilities, labels=classes)]
        is_right = probabilities.argmax(axis=1) == labels[split]
        metrics[f"{prefix}accuracy"] = [is_right.mean()]
    return facts | {"features": len(kernel), "feature_seconds": feature_seconds}, metrics
