import math
import warnings

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from conftest import draw_numbers, frame_numbers, write_images

from helpers import puppets
from helpers.evaluation import (
    bootstrap_accuracy,
    calculate_classification_metrics,
    describe_score,
    describe_validation,
    evaluate,
    exact_interval,
    get_actual_predicted_labels,
    group_names,
    predict_clips,
    predict_probabilities,
    reliability_bins,
    reorder_dataset,
    reorder_frames,
)
from helpers.video import frames_from_video_file


class PerfectModel:
    """Return the correct class: each frame is filled with its number."""

    def predict_on_batch(self, frames):
        classes = np.array(frames)[:, 0, 0, 0, 0].astype(int)
        return np.eye(4)[classes]


def test_labels_match_predictions_though_the_data_set_shuffles():
    labels = np.arange(40) % 4
    frames = np.broadcast_to(labels[:, None, None, None, None], (40, 2, 3, 3, 3)).astype(np.uint8)
    dataset = tf.data.Dataset.from_tensor_slices((frames, labels)).shuffle(40, seed=1).batch(7)
    orders = [np.concatenate([batch.numpy() for _, batch in dataset]) for _ in range(2)]
    assert not np.array_equal(*orders), "the data set must have another order in each pass"
    actual, predicted = get_actual_predicted_labels(PerfectModel(), dataset)
    np.testing.assert_array_equal(actual, predicted)
    assert sorted(actual) == sorted(labels)


def test_data_set_is_read_in_one_pass():
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


def test_precision_of_a_class_never_predicted_is_nan_and_the_warning_names_it():
    with pytest.warns(UserWarning, match="swim"):
        precision, recall = calculate_classification_metrics(
            [0, 1, 2], [0, 1, 1], ["jump", "run", "swim"]
        )
    assert math.isnan(precision["swim"]) and recall["swim"] == 0


def test_recall_of_a_class_without_clips_is_nan():
    precision, recall = calculate_classification_metrics([0, 0], [0, 1], ["jump", "run"])
    assert math.isnan(recall["run"]) and precision["run"] == 0


def test_warning_points_to_the_caller():
    with pytest.warns(UserWarning, match="swim") as warned:
        calculate_classification_metrics([0, 1, 2], [0, 1, 1], ["jump", "run", "swim"])
    assert warned[0].filename == __file__


def test_no_warning_if_all_metrics_are_defined():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calculate_classification_metrics([0, 1], [1, 0], ["jump", "run"])


class Pixel:
    """Return the first pixels of the first frame as logits, so that a test can choose them."""

    def predict_on_batch(self, frames):
        return np.array(frames, "float32")[:, 0, 0, :3, 0]


def clips_with(logits):
    """Return clips `(n, 4, 1, 3, 3)` whose first frames hold these logits."""
    frames = np.zeros((len(logits), 4, 1, 3, 3), np.uint8)
    frames[:, 0, 0, :, 0] = logits
    return frames


def test_probabilities_are_in_the_order_of_the_pass():
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
def test_frames_are_reordered(order, expected):
    frames = np.broadcast_to(np.arange(5)[None, :, None, None, None], (3, 5, 2, 2, 3))
    np.testing.assert_array_equal(reorder_frames(frames, order)[:, :, 0, 0, 0], [expected] * 3)


def test_shuffling_keeps_all_frames_and_has_another_order_for_each_clip():
    frames = np.broadcast_to(np.arange(10)[None, :, None, None, None], (20, 10, 1, 1, 3))
    orders = reorder_frames(frames, "shuffled")[:, :, 0, 0, 0]
    np.testing.assert_array_equal(np.sort(orders), [range(10)] * 20)
    assert len({tuple(order) for order in orders}) == 20
    np.testing.assert_array_equal(orders, reorder_frames(frames, "shuffled", seed=0)[:, :, 0, 0, 0])
    assert (orders != reorder_frames(frames, "shuffled", seed=1)[:, :, 0, 0, 0]).any()


def test_each_batch_is_shuffled_differently_but_equally_in_each_pass():
    frames = np.broadcast_to(np.arange(10)[None, :, None, None, None], (2, 10, 1, 1, 3))
    batches = [(frames, np.array([0, 1]))] * 2
    passes = []
    for seed in ({}, {"seed": 0}):
        shuffled = reorder_dataset(batches, "shuffled", **seed)
        passes.append([frames[:, :, 0, 0, 0].tolist() for frames, _ in shuffled])
    assert passes[0] == passes[1] and passes[0][0] != passes[0][1]


def test_unknown_order_is_refused():
    with pytest.raises(
        ValueError, match="forwards, backwards, shuffled, one frame, not 'sideways'"
    ):
        reorder_frames(np.zeros((1, 2, 3, 3, 3)), "sideways")


def test_several_clips_of_a_video_are_evenly_spaced(tmp_path):
    file = write_images(tmp_path / "a.avi", [draw_numbers(number) for number in range(60)])
    predicted = []

    class Model:
        def predict_on_batch(self, frames):
            predicted.append([frame_numbers(clip) for clip in frames])
            return np.log(np.array([[1.0, 3.0], [1.0, 1.0], [3.0, 1.0], [3.0, 1.0]]))

    sampling = {"n_frames": 3, "output_size": (64, 64), "frame_step": 10}
    probabilities = predict_clips(Model(), [file], 4, sampling)
    assert predicted == [[[0, 10, 20], [13, 23, 33], [26, 36, 46], [39, 49, 59]]]
    np.testing.assert_allclose(
        probabilities, [[[0.25, 0.75], [0.5, 0.5], [0.75, 0.25], [0.75, 0.25]]], atol=1e-6
    )


def test_group_names_are_read_from_file_names():
    files = ["a/v_PullUps_g07_c02.avi", "v_PushUps_g07_c01.avi"]
    assert group_names(files) == ["PullUps 7", "PushUps 7"]


def test_classes_that_share_groups_have_a_common_name():
    files = ["v_SitDown_g07_c01.avi", "v_StandUp_g07_c02.avi", "v_PickUp_g07_c01.avi"]
    one, other, third = group_names(files, puppets.PAIRS)
    assert one == other == "SitDown+StandUp 7" and third == "PickUp+PutDown 7"
    assert len(set(group_names(files))) == 3


@pytest.mark.parametrize("level, errors", [(0.95, 1.96), (0.5, 0.674)])
def test_bootstrap_of_single_clips_is_that_of_independent_samples(level, errors):
    correct = np.arange(400) < 300
    low, high = bootstrap_accuracy(correct, np.arange(400), level=level)
    error = math.sqrt(0.75 * 0.25 / 400)
    assert (low, high) == pytest.approx((0.75 - errors * error, 0.75 + errors * error), abs=0.005)


def test_bootstrap_is_reproducible():
    correct, groups = np.arange(97) % 3 > 0, np.arange(97) // 2
    bounds = bootstrap_accuracy(correct, groups)
    assert bounds == bootstrap_accuracy(correct, groups, level=0.95, samples=10_000, seed=0)
    assert bounds != bootstrap_accuracy(correct, groups, seed=1)


def test_copies_of_clips_narrow_the_interval_of_clips_but_not_of_groups():
    correct, groups = np.repeat(np.arange(50) < 30, 9), np.repeat(np.arange(50), 9)
    widths = [np.ptp(bootstrap_accuracy(correct, units)) for units in (np.arange(450), groups)]
    without_copies = np.ptp(bootstrap_accuracy(np.arange(50) < 30, np.arange(50)))
    assert widths[1] == pytest.approx(without_copies, abs=0.02)
    assert widths[1] / widths[0] == pytest.approx(3, abs=0.25)


def test_bootstrap_weights_groups_by_their_clips():
    low, high = bootstrap_accuracy([True] * 9 + [False], ["a"] * 9 + ["b"], level=0.98)
    assert (low, high) == (0, 1), "both draws may be a, or both b"
    assert bootstrap_accuracy([True] * 5, list("aabbc")) == (1, 1)


def test_reliability_bins_predictions_by_confidence():
    correct, confidence = [1, 0, 1, 1, 0], [0.15, 0.18, 0.55, 1.0, 0.95]
    confidence, accuracy, n_clips = reliability_bins(correct, confidence, n_bins=10)
    np.testing.assert_allclose(confidence, [0.165, 0.55, 0.975])
    np.testing.assert_allclose(accuracy, [0.5, 1, 0.5])
    np.testing.assert_array_equal(n_clips, [2, 1, 2])


def test_reliability_has_ten_bins_and_omits_empty_ones():
    centres = np.arange(0.05, 0.9, 0.1)
    confidence, accuracy, n_clips = reliability_bins([1] * len(centres), centres)
    np.testing.assert_allclose(confidence, centres)
    assert accuracy.tolist() == n_clips.tolist() == [1] * 9
    assert reliability_bins([1, 1], [0.85, 0.95])[2].tolist() == [1, 1], "the last two bins differ"


def test_metrics_of_a_class_without_clips_or_predictions_are_nan():
    with pytest.warns(UserWarning, match=r"never predicted: b\.$"):
        precision, recall = calculate_classification_metrics([0, 2], [0, 2], ["a", "b", "c"])
    assert math.isnan(precision.pop("b")) and math.isnan(recall.pop("b"))
    assert precision == recall == {"a": 1, "c": 1}


@pytest.mark.parametrize(
    "correct, groups, expected",
    [
        # Clopper and Pearson's interval, from tables.
        ([1] * 8, [None] * 8, (0.631, 1)),
        ([0] * 8, range(8), (0, 0.369)),
        ([1] * 5 + [0] * 5, range(10), (0.187, 0.813)),
        # Four copies of each clip say no more than one.
        ([1] * 20 + [0] * 20, [i // 4 for i in range(40)], (0.187, 0.813)),
        # Of groups of 6, 1 and 1 clips, the first decides: 64 / 38 groups.
        ([1] * 8, [*"aaaaaabc"], (0.025 ** (38 / 64), 1)),
    ],
)
def test_exact_interval_counts_groups(correct, groups, expected):
    assert exact_interval(correct, groups) == pytest.approx(expected, abs=1e-3)


def test_exact_interval_of_single_clips_is_that_of_scipy():
    for hits in range(14):
        interval = scipy.stats.binomtest(hits, 13).proportion_ci(0.9, method="exact")
        correct = [i < hits for i in range(13)]
        assert exact_interval(correct, [None] * 13, level=0.9) == pytest.approx(tuple(interval))


def test_a_score_stands_beside_what_is_needed_to_judge_it():
    record = {
        "test": {"accuracy": 0.75, "balanced_accuracy": 0.5, "majority": 0.75},
        "actual": [0, 0, 0, 1],
        "predicted": [0, 0, 0, 0],
        "groups": ["x", "x", None, None],
    }
    low, high = exact_interval([1, 1, 1, 0], record["groups"])
    assert describe_score(record) == (
        f"test accuracy 0.750 (95 % interval {low:.2f} to {high:.2f}, from 4 clips in 3 groups), "
        "balanced accuracy 0.500, always the most frequent class 0.750"
    )


class CountingBatches(list):
    """Two batches of two clips whose frames show their numbers, as `ClipBatches` has them."""

    def __init__(self, files):
        self.files, self.names, self.groups = files, ["a", "b", "c", "d"], ["x", "x", None, "y"]
        self.class_names = ["first", "last"]
        self.sampling = {"n_frames": 4, "output_size": (64, 64), "frame_step": 1}
        self.read_options = [{}, {}, {}, {"bounds": (4, 8)}]
        clips = [
            frames_from_video_file(file, start="center", **(self.sampling | options))
            for file, options in zip(files, self.read_options)
        ]
        frames, labels = np.stack(clips), np.array([0, 0, 0, 1])
        super().__init__([(frames[:2], labels[:2]), (frames[2:], labels[2:])])


class FirstFrameModel:
    """Predict the second class for clips whose first frame has a number of 4 or more."""

    def predict_on_batch(self, clips):
        first = [frame_numbers(clip)[0] for clip in np.asarray(clips)]
        return np.array([[0.0, 5.0] if number >= 4 else [5.0, 0.0] for number in first])

    def evaluate(self, *args, **options):
        return {"loss": 0.5, "accuracy": 1.0}


def test_a_thorough_evaluation_reorders_frames_and_takes_several_clips(tmp_path):
    file = write_images(tmp_path / "a.avi", [draw_numbers(number) for number in range(8)])
    record = evaluate(FirstFrameModel(), CountingBatches([file] * 4), thorough=True)
    # The clips are the frames 2 to 5, and of the last one 4 to 7.
    assert record["actual"] == [0, 0, 0, 1] == record["predicted"]
    assert record["test"] == {
        "loss": 0.5,
        "accuracy": 1.0,
        "balanced_accuracy": 1.0,
        "majority": 0.75,
    }
    assert record["confusion_matrix"] == [[3, 0], [0, 1]]
    assert record["clips"] == ["a", "b", "c", "d"] and record["groups"] == ["x", "x", None, "y"]
    # Backwards, all begin with 5 or 7; the middle frame is 4 or 6.
    assert list(record["orders"]) == ["forwards", "backwards", "shuffled", "one frame"]
    assert record["orders"]["forwards"] == 1
    assert record["orders"]["backwards"] == record["orders"]["one frame"] == 0.25
    # Of two clips, one begins with 0 and one with 4, so their mean is undecided: the first class.
    assert list(record["several_clips"]) == ["1", "2", "3", "5", "10"]
    assert set(record["several_clips"].values()) == {1.0}
    assert "orders" not in evaluate(FirstFrameModel(), CountingBatches([file] * 4))


def test_a_validation_accuracy_stands_beside_others_if_they_are_known():
    record = {"history": {"val_accuracy": [0.25, 0.75]}}
    assert describe_validation(record) == "validation accuracy 0.750"
    record["validation"] = {"balanced_accuracy": 0.5, "majority": 0.75}
    assert describe_validation(record) == (
        "validation accuracy 0.750, balanced accuracy 0.500, always the most frequent class 0.750"
    )
