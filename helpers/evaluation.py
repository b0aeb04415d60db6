"""Measure how good a network is, and where it errs. Taught in the chapter *Evaluate*."""

import collections
import itertools
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import scipy.stats
from sklearn.metrics import (
    balanced_accuracy_score,
    confusion_matrix,
    precision_recall_fscore_support,
)

from helpers.probabilities import get_probabilities
from helpers.ucf101 import get_class, get_group
from helpers.video import clips_from_video_file

if TYPE_CHECKING:
    from helpers.batches import ClipBatches

# Numbers of clips per video over which `evaluate` averages probabilities.
CLIPS_PER_VIDEO = (1, 2, 3, 5, 10)
# Orders of frames, see `reorder_frames`.
ORDERS = ("forwards", "backwards", "shuffled", "one frame")


def get_actual_predicted_labels(
    model: keras.Model, dataset: Iterable
) -> tuple[np.ndarray, np.ndarray]:
    """Return the actual and the predicted class of every clip, in one pass over the data set.

    A data set that shuffles has another order in each pass, so the labels of one pass and the
    predictions of another would belong to different clips.

    Args:
        model: A network of one output per class.
        dataset: An iterable of batches `(frames, labels)`.

    Returns:
        `(actual, predicted)`: int arrays `(n_clips,)`, in the order of the pass.
    """
    actual, probabilities = predict_probabilities(model, dataset)
    return actual, probabilities.argmax(axis=-1)


def predict_probabilities(model: keras.Model, dataset: Iterable) -> tuple[np.ndarray, np.ndarray]:
    """Return the actual class and the probabilities of every clip, in one pass over the data set.

    Args:
        model: A network of one output per class.
        dataset: An iterable of batches `(frames, labels)`.

    Returns:
        `(actual, probabilities)`: int `(n_clips,)` and float32 `(n_clips, n_classes)`, in the order
        of the pass.
    """
    actual, probabilities = [], []
    for frames, labels in dataset:
        actual.append(keras.ops.convert_to_numpy(labels))
        probabilities.append(get_probabilities(model, frames))
    return np.concatenate(actual).astype(int), np.concatenate(probabilities)


def predict_clips(
    model: keras.Model,
    files: Iterable[str | os.PathLike[str]],
    n_clips: int,
    sampling: Mapping[str, Any],
    read_options: Iterable[Mapping[str, Any]] = itertools.repeat({}),
) -> np.ndarray:
    """Return the probabilities of several evenly spaced clips of each video.

    Their mean is the prediction for the video, as in the paper, which takes ten clips (Tran et al.
    2018, section 4.1).

    Args:
        model: A network of one output per class.
        files: Video files.
        n_clips: Clips per video.
        sampling: `n_frames`, `output_size` and `frame_step`, as in
            `helpers.settings.Settings.sampling`.
        read_options: By file, what replaces or adds to `sampling`, as in
            `helpers.batches.ClipBatches.read_options`.

    Returns:
        float32 `(n_videos, n_clips, n_classes)`.

    Raises:
        VideoReadError: A file can't be read.
    """
    videos = (
        clips_from_video_file(file, n_clips, **{**sampling, **options})
        for file, options in zip(files, read_options)
    )
    return np.stack([get_probabilities(model, clips) for clips in videos])


def reorder_frames(
    frames: np.ndarray, order: str, seed: int | np.random.Generator = 0
) -> np.ndarray:
    """Change the order of a batch's frames, to test whether it matters to a network.

    Args:
        frames: `(batch, n_frames, height, width, 3)`.
        order: One of `ORDERS`: `"forwards"` as they are, `"backwards"` from the last to the first,
            `"shuffled"` at random, or `"one frame"`, the middle one repeated.
        seed: Seed or generator of the shuffling; each clip gets an order of its own.

    Returns:
        An array of the same shape.

    Raises:
        ValueError: `order` is none of `ORDERS`.
    """
    if order not in ORDERS:
        raise ValueError(f"order must be one of {', '.join(ORDERS)}, not {order!r}.")
    frames = np.asarray(frames)
    n_frames = frames.shape[1]
    if order == "shuffled":
        rng = np.random.default_rng(seed)
        return np.stack([clip[rng.permutation(n_frames)] for clip in frames])
    if order == "one frame":
        return np.repeat(frames[:, n_frames // 2, None], n_frames, axis=1)
    return frames[:, ::-1] if order == "backwards" else frames


def reorder_dataset(
    dataset: Iterable, order: str, seed: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Return an iterator over a data set's batches with their frames reordered.

    Args:
        dataset: An iterable of batches `(frames, labels)`.
        order: One of `ORDERS`, as in `reorder_frames`.
        seed: Seed of the shuffling.
    """
    rng = np.random.default_rng(seed)
    return ((reorder_frames(frames, order, rng), labels) for frames, labels in dataset)


def group_names(
    files: Iterable[str | os.PathLike[str]], sharing: Iterable[Sequence[str]] = ()
) -> list[str]:
    """Return the group of each clip as class and number, such as `"PullUps 7"`.

    Args:
        files: Clips.
        sharing: Sets of classes that share their groups, such as `helpers.puppets.PAIRS`; they get
            a common name, such as `"SitDown+StandUp 7"`.
    """
    together = {name: "+".join(names) for names in sharing for name in names}
    return [f"{together.get(get_class(file), get_class(file))} {get_group(file)}" for file in files]


def bootstrap_accuracy(
    correct: Sequence[bool] | np.ndarray,
    groups: Sequence[Any] | np.ndarray,
    *,
    level: float = 0.95,
    samples: int = 10_000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return a bootstrap confidence interval for the accuracy, resampling whole groups.

    Groups are drawn with replacement, as many as there are (Efron 1979). A group is drawn with all
    its clips, because their outcomes are correlated. If all clips are classified correctly, or
    none, the interval is a single point and shows no uncertainty.

    Args:
        correct: Whether each clip was classified correctly, `(n_clips,)`.
        groups: The group of each clip, `(n_clips,)`, from `group_names`.
        level: Confidence level: the share of the samples inside the interval.
        samples: Number of bootstrap samples.
        seed: Seed of the resampling.

    Returns:
        `(low, high)`: the bounds of the interval.
    """
    _, numbers = np.unique(groups, return_inverse=True)
    hits, sizes = np.bincount(numbers, weights=correct), np.bincount(numbers)
    drawn = np.random.default_rng(seed).integers(len(sizes), size=(samples, len(sizes)))
    accuracies = hits[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(accuracies, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return low, high


def exact_interval(
    correct: Sequence[bool] | np.ndarray, groups: Sequence[Any] | np.ndarray, *, level: float = 0.95
) -> tuple[float, float]:
    """Return a confidence interval for the accuracy that holds for few clips, too.

    This is Clopper and Pearson's interval (1934) with an effective number of clips (Korn and
    Graubard 1998), for the worst case that all clips of a group have the same outcome: as many
    groups of equal size would vary as much (Kish 1965). It is wider than that of
    `bootstrap_accuracy`, but can be used where that one has too few groups.

    Args:
        correct: Whether each clip was classified correctly, `(n_clips,)`.
        groups: The group of each clip, `(n_clips,)`; a clip whose group is None counts alone.
        level: Confidence level.

    Returns:
        `(low, high)`: the bounds of the interval.
    """
    sizes = np.array(_group_sizes(groups))
    n_clips = sizes.sum() ** 2 / (sizes**2).sum()
    hits = float(np.mean(correct)) * n_clips
    tail = (1 - level) / 2
    low = scipy.stats.beta.ppf(tail, hits, n_clips - hits + 1) if any(correct) else 0.0
    high = scipy.stats.beta.isf(tail, hits + 1, n_clips - hits) if not all(correct) else 1.0
    return float(low), float(high)


def _group_sizes(groups):
    """Return the number of clips in each group; a clip whose group is None is a group."""
    counts = collections.Counter(groups)
    return [1] * counts.pop(None, 0) + list(counts.values())


def score_by_class(actual: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Return what to read beside an accuracy if the classes have unequal numbers of clips.

    Args:
        actual: Actual classes as numbers, `(n_clips,)`.
        predicted: Predicted classes as numbers, `(n_clips,)`.

    Returns:
        `balanced_accuracy`, the mean of the classes' recalls, and `majority`, the accuracy of
        always predicting the most frequent class.
    """
    return {
        "balanced_accuracy": float(balanced_accuracy_score(actual, predicted)),
        "majority": float(np.bincount(actual).max() / len(actual)),
    }


def describe_score(record: Mapping[str, Any]) -> str:
    """Return the accuracy on the test clips as text, with all that is needed to judge it.

    Args:
        record: The record of an evaluated run.

    Returns:
        Accuracy with its interval from `exact_interval`, balanced accuracy, and the accuracy of
        always predicting the most frequent class of the test clips.
    """
    test, groups = record["test"], record["groups"]
    low, high = exact_interval(np.equal(record["actual"], record["predicted"]), groups)
    known = set(groups) - {None}
    where = f"in {len(_group_sizes(groups))} groups" if known else "of unknown groups"
    return (
        f"test accuracy {test['accuracy']:.3f} (95 % interval {low:.2f} to {high:.2f}, from "
        f"{len(groups)} clips {where}), balanced accuracy {test['balanced_accuracy']:.3f}, always "
        f"the most frequent class {test['majority']:.3f}"
    )


def describe_validation(record: Mapping[str, Any]) -> str:
    """Return the accuracy on the validation clips after the last epoch as text.

    Args:
        record: The record of a run.

    Returns:
        Accuracy, balanced accuracy, and the accuracy of always predicting the most frequent class;
        the last two are missing for runs that `helpers.training.save_run` saved.
    """
    text = f"validation accuracy {record['history']['val_accuracy'][-1]:.3f}"
    if scores := record.get("validation"):
        text += (
            f", balanced accuracy {scores['balanced_accuracy']:.3f}, always the most frequent "
            f"class {scores['majority']:.3f}"
        )
    return text


def reliability_bins(
    correct: Sequence[bool] | np.ndarray, confidence: Sequence[float] | np.ndarray, n_bins: int = 10
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean confidence and accuracy of predictions in bins of confidence (Guo et al. 2017).

    Args:
        correct: Whether each clip was classified correctly, `(n_clips,)`.
        confidence: The probability of the predicted class, `(n_clips,)`.
        n_bins: Number of bins of equal width from 0 to 1; empty bins are omitted.

    Returns:
        `(confidence, accuracy, n_clips)`: three arrays with one value per bin.
    """
    correct, confidence = np.asarray(correct, float), np.asarray(confidence)
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    counts = np.bincount(bins, minlength=n_bins)
    filled = counts > 0

    def mean(values):
        return np.bincount(bins, weights=values, minlength=n_bins)[filled] / counts[filled]

    return mean(confidence), mean(correct), counts[filled]


def calculate_classification_metrics(
    actual: Sequence[int] | np.ndarray, predicted: Sequence[int] | np.ndarray, labels: Sequence[str]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return precision and recall of every class.

    Precision is the share of a class's predictions that are correct. For a class that is never
    predicted it is undefined: nan, with a warning. Recall is the share of a class's clips that are
    found; it is nan for a class without clips.

    Args:
        actual: Actual classes as numbers, `(n_clips,)`.
        predicted: Predicted classes as numbers, `(n_clips,)`.
        labels: Names of the classes, by number.

    Returns:
        `(precision, recall)`: two dictionaries from class name to score.
    """
    numbers = range(len(labels))
    precision, recall, _, _ = precision_recall_fscore_support(
        actual, predicted, labels=numbers, zero_division=np.nan
    )
    found = set(np.asarray(predicted).tolist())
    if never := [label for number, label in enumerate(labels) if number not in found]:
        message = f"Precision is undefined (nan) for classes never predicted: {', '.join(never)}."
        warnings.warn(message, stacklevel=2)
    return dict(zip(labels, precision.tolist())), dict(zip(labels, recall.tolist()))


def evaluate(model: keras.Model, test: "ClipBatches", thorough: bool = False) -> dict[str, Any]:
    """Evaluate a compiled network on the test clips.

    Args:
        model: A compiled network.
        test: Batches of the test clips.
        thorough: Whether to evaluate it also with frames in other orders, and with several clips
            per video.

    Returns:
        A part of a record in JSON types, with `test` for loss, accuracy, balanced accuracy (the
        mean recall of the classes) and `majority`, the share of the most frequent class;
        `class_names`, `confusion_matrix` (actual by predicted), and one value per clip in `clips`
        (names), `groups`, `probabilities`, `actual` and `predicted`. With `thorough` also
        `orders`, the accuracy by order of frames, and `several_clips`, the accuracy by number of
        clips per video.
    """
    actual, probabilities = predict_probabilities(model, test)
    predicted = probabilities.argmax(axis=-1)
    scores = model.evaluate(test, verbose=0, return_dict=True)
    numbers = range(len(test.class_names))
    return {
        "test": {name: float(value) for name, value in scores.items()}
        | score_by_class(actual, predicted),
        **(_evaluate_thoroughly(model, test, actual, probabilities) if thorough else {}),
        "class_names": test.class_names,
        "clips": test.names,
        "groups": test.groups,
        "probabilities": probabilities.round(4).tolist(),
        "actual": actual.tolist(),
        "predicted": predicted.tolist(),
        "confusion_matrix": confusion_matrix(actual, predicted, labels=numbers).tolist(),
    }


def _evaluate_thoroughly(model, test, actual, probabilities):
    """Return the accuracies with frames in other orders, and with several clips per video."""

    def accuracy(probabilities):
        return float(np.mean(probabilities.argmax(axis=-1) == actual))

    # The data set itself has the frames forwards, and one clip per video, its middle.
    orders = {ORDERS[0]: accuracy(probabilities)}
    for order in ORDERS[1:]:
        reordered = reorder_dataset(test, order)
        orders[order] = accuracy(predict_probabilities(model, reordered)[1])
    several_clips = {str(CLIPS_PER_VIDEO[0]): accuracy(probabilities)}
    for n_clips in CLIPS_PER_VIDEO[1:]:
        clips = predict_clips(model, test.files, n_clips, test.sampling, test.read_options)
        several_clips[str(n_clips)] = accuracy(clips.mean(axis=1))
    return {"orders": orders, "several_clips": several_clips}
