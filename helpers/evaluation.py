"""How good a network is, and where it errs. Taught in the chapter *Evaluate*."""

import warnings

import keras
import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from helpers.probabilities import get_probabilities
from helpers.ucf101 import get_class, get_group
from helpers.video import clips_from_video_file

# From how many clips a video is judged.
CLIPS_PER_VIDEO = (1, 2, 3, 5, 10)
ORDERS = ("forwards", "backwards", "shuffled", "one frame")


def get_actual_predicted_labels(model, dataset):
    """Return the true and the predicted class of every clip, in one pass over the data set.

    One pass, because a data set that shuffles comes in another order the next time: labels of one
    pass and predictions of another belong to different clips.

    Args:
        model: A network of logits.
        dataset: Batches `(frames, labels)`; any iterable of them.

    Returns:
        `(actual, predicted)`: int arrays `(n_clips,)`, in the order of the pass.
    """
    actual, probabilities = predict_probabilities(model, dataset)
    return actual, probabilities.argmax(axis=-1)


def predict_probabilities(model, dataset):
    """Return the true class and the probabilities of every clip, in one pass over the data set.

    Args:
        model: A network of logits.
        dataset: Batches `(frames, labels)`; any iterable of them.

    Returns:
        `(actual, probabilities)`: int `(n_clips,)` and float `(n_clips, n_classes)`, in the order
        of the pass.
    """
    actual, probabilities = [], []
    for frames, labels in dataset:
        actual.append(keras.ops.convert_to_numpy(labels))
        probabilities.append(get_probabilities(model, frames))
    return np.concatenate(actual).astype(int), np.concatenate(probabilities)


def predict_clips(model, files, n_clips, sampling):
    """Return the probabilities of several clips of each video, taken at even distances; their mean is the video's.

    As the paper does with ten (Tran et al. 2018, section 4.1).

    Args:
        model: A network of logits.
        files: Video files.
        n_clips: Clips a video.
        sampling: `n_frames`, `output_size` and `frame_step`, as in `helpers.settings.Settings.sampling`.

    Returns:
        float `(n_videos, n_clips, n_classes)`.

    Raises:
        VideoReadError: A file can't be read.
    """
    return np.stack(
        [
            get_probabilities(model, clips_from_video_file(file, n_clips, **sampling))
            for file in files
        ]
    )


def reorder_frames(frames, order, seed=0):
    """Show a network's clips in another order of frames, to see whether the order matters to it.

    Args:
        frames: `(batch, n_frames, height, width, 3)`.
        order: One of `ORDERS`: as they are, from the last to the first, at random, or the middle
            one again and again.
        seed: What `numpy.random.default_rng` takes; each clip is shuffled in a way of its own.

    Returns:
        Frames of the same shape.

    Raises:
        ValueError: There is no such order.
    """
    if order not in ORDERS:
        raise ValueError(f"order is one of {', '.join(ORDERS)}, not {order!r}.")
    frames = np.asarray(frames)
    n_frames = frames.shape[1]
    if order == "shuffled":
        rng = np.random.default_rng(seed)
        return np.stack([clip[rng.permutation(n_frames)] for clip in frames])
    if order == "one frame":
        return np.repeat(frames[:, n_frames // 2, None], n_frames, axis=1)
    return frames[:, ::-1] if order == "backwards" else frames


def reorder_dataset(dataset, order, seed=0):
    """Give the batches of a data set with their frames in another order, as in `reorder`."""
    rng = np.random.default_rng(seed)
    return ((reorder_frames(frames, order, rng), labels) for frames, labels in dataset)


def group_names(files, sharing=()):
    """Return the group that each clip was cut from, by class and number, such as `"PullUps 7"`.

    Args:
        files: Clips.
        sharing: Sets of classes that share their groups, such as `helpers.puppets.PAIRS`; these are
            named together, as in `"SitDown+StandUp 7"`.
    """
    together = {name: "+".join(names) for names in sharing for name in names}
    return [f"{together.get(get_class(file), get_class(file))} {get_group(file)}" for file in files]


def bootstrap_accuracy(right, groups, *, level=0.95, samples=10_000, seed=0):
    """Return between which bounds an accuracy would lie, had other groups been drawn to test on.

    Groups are drawn with replacement, as many as there are, again and again (the bootstrap: Efron
    1979); a group comes with all its clips, for these succeed and fail together. Where all clips
    are right, or none is, every draw is like that, and the bounds say nothing.

    Args:
        right: Whether each clip was named rightly, `(n_clips,)`.
        groups: The group of each clip, `(n_clips,)`, from `group_names`.
        level: The share of the draws that lie within the bounds.
        samples: Draws.
        seed: Seed of the draws.

    Returns:
        `(low, high)`: two accuracies.
    """
    _, numbers = np.unique(groups, return_inverse=True)
    hits, sizes = np.bincount(numbers, weights=right), np.bincount(numbers)
    drawn = np.random.default_rng(seed).integers(len(sizes), size=(samples, len(sizes)))
    accuracies = hits[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    return tuple(np.quantile(accuracies, [(1 - level) / 2, (1 + level) / 2]).tolist())


def reliability_bins(right, confidence, n_bins=10):
    """Sort predictions by their confidence into bins, and return how sure they were and how many were right (Guo et al. 2017).

    Args:
        right: Whether each clip was named rightly, `(n_clips,)`.
        confidence: The probability of the class named, `(n_clips,)`.
        n_bins: Bins of equal width from 0 to 1; those that stay empty are left out.

    Returns:
        `(confidence, accuracy, n_clips)`: three arrays, a value for each bin.
    """
    right, confidence = np.asarray(right, float), np.asarray(confidence)
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    counts = np.bincount(bins, minlength=n_bins)
    filled = counts > 0
    means = [
        np.bincount(bins, weights=values, minlength=n_bins)[filled] / counts[filled]
        for values in (confidence, right)
    ]
    return *means, counts[filled]


def calculate_classification_metrics(actual, predicted, labels):
    """Return precision and recall of every class.

    Precision is the share of a class's predictions that are right; it is undefined, and given as
    nan with a warning, for a class that is never predicted. Recall is the share of a class's clips
    that are found; it is nan where there are none.

    Args:
        actual: True classes as numbers `(n_clips,)`.
        predicted: Predicted classes as numbers `(n_clips,)`.
        labels: Names of the classes, by number.

    Returns:
        `(precision, recall)`: floats by name.
    """
    numbers = range(len(labels))
    precision, recall, _, _ = precision_recall_fscore_support(
        actual, predicted, labels=numbers, zero_division=np.nan
    )
    never = [
        label for i, label in enumerate(labels) if i not in set(np.asarray(predicted).tolist())
    ]
    if never:
        warnings.warn(
            f"Precision is undefined (nan) for what is never predicted: {', '.join(never)}.",
            stacklevel=2,
        )
    return dict(zip(labels, precision.tolist())), dict(zip(labels, recall.tolist()))


def evaluate(model, test, thorough=False):
    """Return what becomes of the test set."""
    actual, probabilities = predict_probabilities(model, test)
    predicted = probabilities.argmax(axis=-1)
    return {
        "test": {
            name: float(value)
            for name, value in model.evaluate(test, verbose=0, return_dict=True).items()
        },
        **(_evaluate_thoroughly(model, test, actual, probabilities) if thorough else {}),
        "class_names": test.class_names,
        "clips": [file.name for file in test.files],
        "probabilities": probabilities.round(4).tolist(),
        "actual": actual.tolist(),
        "predicted": predicted.tolist(),
        "confusion_matrix": confusion_matrix(
            actual, predicted, labels=range(len(test.class_names))
        ).tolist(),
    }


def _evaluate_thoroughly(model, test, actual, probabilities):
    """Return the accuracy with frames in other orders, and with several clips a video."""

    def accuracy(probabilities):
        return float(np.mean(probabilities.argmax(axis=-1) == actual))

    # Forwards, and from one clip, which is the middle, it has been judged already.
    orders = {
        order: accuracy(predict_probabilities(model, reorder_dataset(test, order))[1])
        for order in ORDERS[1:]
    }
    clips = {
        str(n): accuracy(predict_clips(model, test.files, n, test.sampling).mean(axis=1))
        for n in CLIPS_PER_VIDEO[1:]
    }
    judged = accuracy(probabilities)
    return {
        "orders": {ORDERS[0]: judged} | orders,
        "several_clips": {str(CLIPS_PER_VIDEO[0]): judged} | clips,
    }
