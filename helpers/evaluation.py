"""How good a network is, and where it errs. Taught in the chapter *Evaluate*."""

import warnings

import keras
import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import precision_recall_fscore_support


def get_actual_predicted_labels(model, dataset):
    """Return the true and the predicted class of every clip, in one pass over the data set.

    One pass, because a data set that shuffles comes in another order the next time: labels of one pass and
    predictions of another belong to different clips.

    Args:
        model: A network of logits.
        dataset: Batches `(frames, labels)`; any iterable of them.

    Returns:
        `(actual, predicted)`: int arrays `(n_clips,)`, in the order of the pass.
    """
    actual, predicted = [], []
    for frames, labels in dataset:
        logits = keras.ops.convert_to_numpy(model.predict_on_batch(keras.ops.convert_to_numpy(frames)))
        actual.append(keras.ops.convert_to_numpy(labels))
        predicted.append(logits.argmax(axis=-1))
    return np.concatenate(actual).astype(int), np.concatenate(predicted).astype(int)


def calculate_classification_metrics(actual, predicted, labels):
    """Return precision and recall of every class.

    Precision is the share of a class's predictions that are right; it is undefined, and given as nan with a warning, for
    a class that is never predicted. Recall is the share of a class's clips that are found; it is nan where there are none.

    Args:
        actual: True classes as numbers `(n_clips,)`.
        predicted: Predicted classes as numbers `(n_clips,)`.
        labels: Names of the classes, by number.

    Returns:
        `(precision, recall)`: floats by name.
    """
    numbers = range(len(labels))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)  # said below, with names
        precision, recall, _, _ = precision_recall_fscore_support(actual, predicted, labels=numbers, zero_division=np.nan)
    never = [label for i, label in enumerate(labels) if i not in set(np.asarray(predicted).tolist())]
    if never:
        warnings.warn(f"Precision is undefined (nan) for what is never predicted: {', '.join(never)}.", stacklevel=2)
    return dict(zip(labels, precision.tolist())), dict(zip(labels, recall.tolist()))
