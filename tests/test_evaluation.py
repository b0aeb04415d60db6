import math
import warnings

import numpy as np
import pytest
import tensorflow as tf

from helpers.evaluation import calculate_classification_metrics, get_actual_predicted_labels


class PerfectModel:
    """Reads the class off the frames, which are filled with it."""

    def predict_on_batch(self, frames):
        classes = np.array(frames)[:, 0, 0, 0, 0].astype(int)
        return np.eye(4)[classes]


def test_perfect_model_gives_a_diagonal_on_a_shuffling_data_set():
    labels = np.arange(40) % 4
    frames = np.broadcast_to(labels[:, None, None, None, None], (40, 2, 3, 3, 3)).astype(np.uint8)
    dataset = tf.data.Dataset.from_tensor_slices((frames, labels)).shuffle(40, seed=1).batch(7)
    orders = [np.concatenate([batch.numpy() for _, batch in dataset]) for _ in range(2)]
    assert not np.array_equal(*orders), "the data set has to come in another order each time"
    actual, predicted = get_actual_predicted_labels(PerfectModel(), dataset)
    np.testing.assert_array_equal(actual, predicted)
    assert sorted(actual) == sorted(labels)


def test_the_data_set_is_passed_over_once():
    passes = []

    class Counted:
        def __iter__(self):
            passes.append(1)
            yield np.zeros((2, 1, 1, 1, 1)), np.array([0, 1])

    get_actual_predicted_labels(PerfectModel(), Counted())
    assert len(passes) == 1


def test_precision_and_recall():
    precision, recall = calculate_classification_metrics([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 2, 2], ["a", "b", "c"])
    assert precision == pytest.approx({"a": 1.0, "b": 0.5, "c": 0.5})
    assert recall == pytest.approx({"a": 2 / 3, "b": 0.5, "c": 1.0})


def test_class_never_predicted_has_no_precision_and_is_named():
    with pytest.warns(UserWarning, match="swim"):
        precision, recall = calculate_classification_metrics([0, 1, 2], [0, 1, 1], ["jump", "run", "swim"])
    assert math.isnan(precision["swim"]) and recall["swim"] == 0


def test_class_without_clips_has_no_recall():
    precision, recall = calculate_classification_metrics([0, 0], [0, 1], ["jump", "run"])
    assert math.isnan(recall["run"]) and precision["run"] == 0


def test_nothing_is_warned_of_where_all_is_defined():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calculate_classification_metrics([0, 1], [1, 0], ["jump", "run"])
