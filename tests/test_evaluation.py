import math
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import draw_numbers, frame_numbers, write_images

from helpers import puppets
from helpers.evaluation import (
    bootstrap_accuracy,
    calculate_classification_metrics,
    get_actual_predicted_labels,
    get_probabilities,
    group_names,
    predict_clips,
    predict_probabilities,
    reliability_bins,
    reorder_dataset,
    reorder_frames,
)


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
    precision, recall = calculate_classification_metrics(
        [0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 2, 2], ["a", "b", "c"]
    )
    assert precision == pytest.approx({"a": 1.0, "b": 0.5, "c": 0.5})
    assert recall == pytest.approx({"a": 2 / 3, "b": 0.5, "c": 1.0})


def test_class_never_predicted_has_no_precision_and_is_named():
    with pytest.warns(UserWarning, match="swim"):
        precision, recall = calculate_classification_metrics(
            [0, 1, 2], [0, 1, 1], ["jump", "run", "swim"]
        )
    assert math.isnan(precision["swim"]) and recall["swim"] == 0


def test_class_without_clips_has_no_recall():
    precision, recall = calculate_classification_metrics([0, 0], [0, 1], ["jump", "run"])
    assert math.isnan(recall["run"]) and precision["run"] == 0


def test_warning_points_to_who_asked():
    with pytest.warns(UserWarning, match="swim") as warned:
        calculate_classification_metrics([0, 1, 2], [0, 1, 1], ["jump", "run", "swim"])
    assert warned[0].filename == __file__


def test_nothing_is_warned_of_where_all_is_defined():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calculate_classification_metrics([0, 1], [1, 0], ["jump", "run"])


class Pixel:
    """Gives as logits the first pixels of the first frame: a network whose answers one can write into the clips."""

    def predict_on_batch(self, frames):
        return np.array(frames, "float32")[:, 0, 0, :3, 0]


def clips_with(logits):
    """Return clips `(n, 4, 1, 3, 3)` whose first frames hold these logits."""
    frames = np.zeros((len(logits), 4, 1, 3, 3), np.uint8)
    frames[:, 0, 0, :, 0] = logits
    return frames


def test_probabilities_are_the_softmax_of_the_logits_in_the_order_of_the_pass():
    logits = np.array([[0, 0, 0], [2, 0, 1], [0, 100, 0]])
    batches = [(clips_with(logits[:2]), np.array([0, 2])), (clips_with(logits[2:]), np.array([1]))]
    actual, probabilities = predict_probabilities(Pixel(), batches)
    np.testing.assert_array_equal(actual, [0, 2, 1])
    expected = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(
        probabilities, expected / expected.sum(axis=1, keepdims=True), atol=1e-6
    )


@pytest.mark.parametrize(
    "order, expected",
    [("forwards", [0, 1, 2, 3, 4]), ("backwards", [4, 3, 2, 1, 0]), ("one frame", [2] * 5)],
)
def test_frames_in_another_order(order, expected):
    frames = np.broadcast_to(np.arange(5)[None, :, None, None, None], (3, 5, 2, 2, 3))
    np.testing.assert_array_equal(reorder_frames(frames, order)[:, :, 0, 0, 0], [expected] * 3)


def test_shuffled_frames_are_all_there_in_an_order_of_each_clips_own():
    frames = np.broadcast_to(np.arange(10)[None, :, None, None, None], (20, 10, 1, 1, 3))
    orders = reorder_frames(frames, "shuffled")[:, :, 0, 0, 0]
    np.testing.assert_array_equal(np.sort(orders), [range(10)] * 20)
    assert len({tuple(order) for order in orders}) == 20
    np.testing.assert_array_equal(orders, reorder_frames(frames, "shuffled", seed=0)[:, :, 0, 0, 0])
    assert (orders != reorder_frames(frames, "shuffled", seed=1)[:, :, 0, 0, 0]).any()


def test_each_batch_is_shuffled_in_a_way_of_its_own_and_the_same_in_each_pass():
    frames = np.broadcast_to(np.arange(10)[None, :, None, None, None], (2, 10, 1, 1, 3))
    batches = [(frames, np.array([0, 1]))] * 2
    passes = [
        [given[:, :, 0, 0, 0].tolist() for given, _ in reorder_dataset(batches, "shuffled", **seed)]
        for seed in ({}, {"seed": 0})
    ]
    assert passes[0] == passes[1] and passes[0][0] != passes[0][1]


def test_an_order_that_there_is_not_is_refused():
    with pytest.raises(
        ValueError, match="order is one of forwards, backwards, shuffled, one frame, not 'sideways'"
    ):
        reorder_frames(np.zeros((1, 2, 3, 3, 3)), "sideways")


def test_several_clips_of_a_video_are_asked_about(tmp_path):
    file = write_images(tmp_path / "a.avi", [draw_numbers(number) for number in range(60)])
    asked = []

    class Model:
        def predict_on_batch(self, frames):
            asked.append([frame_numbers(clip) for clip in frames])
            return np.log(np.array([[1.0, 3.0], [1.0, 1.0], [3.0, 1.0], [3.0, 1.0]]))

    reading = {"n_frames": 3, "output_size": (64, 64), "frame_step": 10}
    probabilities = predict_clips(Model(), [file], 4, reading)
    assert asked == [[[0, 10, 20], [13, 23, 33], [26, 36, 46], [39, 49, 59]]]
    np.testing.assert_allclose(
        probabilities, [[[0.25, 0.75], [0.5, 0.5], [0.75, 0.25], [0.75, 0.25]]], atol=1e-6
    )


def test_names_tell_the_groups():
    assert group_names(["a/v_PullUps_g07_c02.avi", "v_PushUps_g07_c01.avi"]) == [
        "PullUps 7",
        "PushUps 7",
    ]


def test_classes_that_share_their_groups_are_named_together():
    files = ["v_SitDown_g07_c01.avi", "v_StandUp_g07_c02.avi", "v_PickUp_g07_c01.avi"]
    one, other, third = group_names(files, puppets.PAIRS)
    assert one == other == "SitDown+StandUp 7" and third == "PickUp+PutDown 7"
    assert len(set(group_names(files))) == 3


@pytest.mark.parametrize("level, errors", [(0.95, 1.96), (0.5, 0.674)])
def test_bootstrap_is_that_of_independent_clips_where_each_is_a_group_of_its_own(level, errors):
    right = np.arange(400) < 300
    low, high = bootstrap_accuracy(right, np.arange(400), level=level)
    error = math.sqrt(0.75 * 0.25 / 400)
    assert (low, high) == pytest.approx((0.75 - errors * error, 0.75 + errors * error), abs=0.005)


def test_bootstrap_is_the_same_each_time():
    right, groups = np.arange(97) % 3 > 0, np.arange(97) // 2
    bounds = bootstrap_accuracy(right, groups)
    assert (
        bounds
        == bootstrap_accuracy(right, groups, level=0.95, samples=10_000, seed=0)
        != bootstrap_accuracy(right, groups, seed=1)
    )


def test_copies_of_clips_narrow_the_bootstrap_of_clips_and_not_that_of_groups():
    right, groups = np.repeat(np.arange(50) < 30, 9), np.repeat(np.arange(50), 9)
    widths = [np.ptp(bootstrap_accuracy(right, units)) for units in (np.arange(450), groups)]
    assert widths[1] == pytest.approx(
        np.ptp(bootstrap_accuracy(np.arange(50) < 30, np.arange(50))), abs=0.02
    )
    assert widths[1] / widths[0] == pytest.approx(3, abs=0.25)


def test_bootstrap_of_groups_of_unlike_sizes_counts_clips():
    low, high = bootstrap_accuracy([True] * 9 + [False], ["a"] * 9 + ["b"], level=0.98)
    assert (low, high) == (0, 1)  # both draws may be a, or both b
    assert bootstrap_accuracy([True] * 5, list("aabbc")) == (1, 1)


def test_reliability_sorts_by_confidence():
    confidence, accuracy, n_clips = reliability_bins(
        [1, 0, 1, 1, 0], [0.15, 0.18, 0.55, 1.0, 0.95], n_bins=10
    )
    np.testing.assert_allclose(confidence, [0.165, 0.55, 0.975])
    np.testing.assert_allclose(accuracy, [0.5, 1, 0.5])
    np.testing.assert_array_equal(n_clips, [2, 1, 2])


def test_reliability_has_ten_bins_of_which_the_empty_ones_are_left_out():
    sure = np.arange(0.05, 0.9, 0.1)
    confidence, accuracy, n_clips = reliability_bins([1] * len(sure), sure)
    np.testing.assert_allclose(confidence, sure)
    assert accuracy.tolist() == n_clips.tolist() == [1] * 9
    assert reliability_bins([1, 1], [0.85, 0.95])[2].tolist() == [1, 1], "the last two are two"


def test_class_without_clips_that_is_never_predicted_has_neither():
    with pytest.warns(UserWarning, match=r"never predicted: b\.$"):
        precision, recall = calculate_classification_metrics([0, 2], [0, 2], ["a", "b", "c"])
    assert math.isnan(precision.pop("b")) and math.isnan(recall.pop("b"))
    assert precision == recall == {"a": 1, "c": 1}


def test_softmax_in_sixteen_bits_is_no_logits_though_it_is_rounded():
    inputs = keras.Input((2, 4, 4, 3), dtype="uint8")
    # A seventh is 0.1426 in bfloat16.
    x = keras.layers.Dense(7, kernel_initializer="zeros")(
        keras.layers.GlobalAveragePooling3D()(keras.layers.Rescaling(1 / 255)(inputs))
    )
    model = keras.Model(inputs, keras.layers.Softmax(dtype="bfloat16")(x))
    clips = np.random.default_rng(0).integers(0, 256, (8, 2, 4, 4, 3), np.uint8)
    probabilities = get_probabilities(model, clips)
    assert np.abs(probabilities.sum(axis=1) - 1).min() > 1e-3, "so it doesn't show in the sum"
    np.testing.assert_array_equal(probabilities, model.predict_on_batch(clips).astype(np.float32))


def test_outputs_that_add_up_to_one_are_probabilities_whatever_they_come_from():
    inputs = keras.Input((2, 4, 4, 3), dtype="uint8")
    x = keras.layers.Dense(3)(
        keras.layers.GlobalAveragePooling3D()(keras.layers.Rescaling(1 / 255)(inputs))
    )
    clips = np.random.default_rng(0).integers(0, 256, (4, 2, 4, 4, 3), np.uint8)
    model = keras.Model(
        inputs, keras.layers.Lambda(lambda logits: keras.ops.softmax(logits) * 1.0)(x)
    )
    np.testing.assert_allclose(
        get_probabilities(model, clips), model.predict_on_batch(clips), atol=1e-6
    )
