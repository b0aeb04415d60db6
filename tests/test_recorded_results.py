"""The recorded results in `book/results` support what the pages and chapters say about them.

These tests check files, not code.
"""

import dataclasses
import json

import numpy as np
import pytest

from helpers import records, training
from helpers.evaluation import bootstrap_accuracy, group_names
from helpers.recipes import RECIPES


@pytest.mark.parametrize(
    "name, split_by",
    [
        ("puppets-short", "group"),
        ("ucf101-112", "ucf101_10classes.csv"),
        ("ucf101-64", "ucf101_10classes.csv"),
        ("ucf101-64-splits", None),
    ],
)
def test_recorded_runs_are_complete(name, split_by):
    runs = records.load_results(name)
    keys = [json.dumps([run["recipe"], run["settings"]["split_by"]]) for run in runs]
    assert len(set(keys)) == len(runs), "no run is recorded twice"
    without_seed = [json.dumps([run["recipe"] | {"seed": None}, run["settings"]]) for run in runs]
    for run, key in zip(runs, without_seed):
        assert without_seed.count(key) >= 3, "each has three seeds or more"
        settings = run["settings"]
        assert settings["splits"] == {"train": 30, "val": 10, "test": 10}
        splits = (split_by,) if split_by else ("clip", "ucf101_10classes.csv")
        assert settings["split_by"] in splits
        lengths = {len(values) for values in run["history"].values()}
        assert lengths == {settings["epochs"]} == {len(run["epoch_seconds"])}
        assert run["seconds"] > 0 and run["hardware"] and run["fingerprint"]
        assert not any(run["left_out"].values())
        if name == "ucf101-64" and "test" not in run:
            continue  # a run of the ablation, see below
        correct = np.equal(run["actual"], run["predicted"])
        assert run["test"]["accuracy"] == pytest.approx(correct.mean()) and len(correct) == 100
        matrix = run["confusion_matrix"]
        assert np.trace(matrix) == correct.sum() and np.sum(matrix) == 100


def mean_accuracy(runs, split="test"):
    return np.mean(records.accuracies(runs, split))


def mean_accuracies_by_order(runs):
    orders = runs[0]["orders"]
    return {order: np.mean([run["orders"][order] for run in runs]) for order in orders}


def seeds(runs):
    return {run["recipe"]["seed"] for run in runs}


def test_books_recipe_is_better_by_ten_points_and_no_slower():
    runs = records.select_runs(records.load_results("ucf101-112"), epochs=50, size=112)
    ours, theirs = (records.runs_of_recipe(runs, RECIPES[name]) for name in ("book", "tutorial"))
    assert len(ours) == len(theirs) == 3
    assert mean_accuracy(ours) >= mean_accuracy(theirs) + 0.1
    assert np.mean([run["seconds"] for run in ours]) <= np.mean([run["seconds"] for run in theirs])


def test_one_clip_per_video_is_the_clip_that_was_tested():
    for run in records.load_results("ucf101-64"):
        if "test" in run:
            assert run["several_clips"]["1"] == pytest.approx(run["test"]["accuracy"])


def test_ablation_removes_each_ingredient_and_does_not_touch_the_test_clips():
    runs = records.load_results("ucf101-64")
    for conv in ("2d", "mc3", "3d", "2plus1d"):
        complete = records.runs_of_recipe(runs, dataclasses.replace(RECIPES["book"], conv=conv))
        assert seeds([run for run in complete if "test" in run]) == {0, 1, 2}
    scores = {}
    for name, off in training.INGREDIENTS.items():
        without = records.runs_of_recipe(runs, dataclasses.replace(RECIPES["book"], **{name: off}))
        assert seeds(without) == {0, 1, 2} and not any("test" in run for run in without)
        scores[name] = mean_accuracy(without, "val")
    important = [scores.pop("augment"), scores.pop("subtract_mean")]
    assert max(important) + 0.1 < min(scores.values()), "the chapter says so"


def test_only_networks_with_time_recognise_the_puppets():
    runs = records.load_results("puppets-short")
    ours = records.select_runs(runs, network="small_resnet")
    factorised = records.select_runs(ours, conv="2plus1d")
    assert min(records.accuracies(factorised, "test")) >= 0.9
    flat = records.select_runs(runs, conv="2d")
    assert max(records.accuracies(flat, "test")) <= 0.5, (
        "without an order of frames, an action and its reverse are the same"
    )
    for run in ours:
        orders = run["orders"]
        if run["recipe"]["conv"] == "2d":
            assert orders["backwards"] == orders["shuffled"] == orders["forwards"]
            assert orders["forwards"] > orders["one frame"]
        else:
            assert orders["forwards"] >= 0.9 and orders["shuffled"] < 0.6, "the chapter says so"
            assert orders["backwards"] <= 0.05, "the chapter says so"


def test_real_clips_have_no_direction_and_only_networks_with_time_notice_a_shuffled_order():
    results, scores = records.load_results("ucf101-64"), {}
    for conv in ("2d", "2plus1d", "3d", "mc3"):
        runs = records.runs_of_recipe(results, dataclasses.replace(RECIPES["book"], conv=conv))
        scores[conv] = mean_accuracies_by_order(runs)
        assert abs(scores[conv]["backwards"] - scores[conv]["forwards"]) < 0.05
        assert all(run["orders"]["one frame"] == 0.1 for run in runs), (
            "a repeated frame minus the mean is black"
        )
    losses = {conv: orders["forwards"] - orders["shuffled"] for conv, orders in scores.items()}
    assert losses["2d"] == 0 and losses["2plus1d"] > 0.1 and losses["3d"] > 0.1
    assert 0.05 < losses["mc3"] < 0.1
    gains = {conv: scores[conv]["forwards"] - scores["2d"]["forwards"] for conv in scores}
    assert abs(gains["2plus1d"]) < 0.02 and abs(gains["3d"]) < 0.02
    assert 0.02 < gains["mc3"] < 0.1


def test_recorded_runs_support_the_chapter_on_evaluation():
    real = records.runs_of_recipe(records.load_results("ucf101-64"), RECIPES["book"])
    puppets = records.load_results("puppets-short")
    puppets = records.select_runs(puppets, network="small_resnet", conv="2plus1d")
    ratios = []
    for run in real:
        correct = np.equal(run["actual"], run["predicted"])
        by_clip = bootstrap_accuracy(correct, range(len(correct)))
        by_group = bootstrap_accuracy(correct, group_names(run["clips"]))
        ratios.append(np.diff(by_group) / np.diff(by_clip))
    assert np.mean(ratios) == pytest.approx(4 / 3, abs=0.05), "wider by about a third"
    gains = sorted(run["several_clips"]["10"] - run["several_clips"]["1"] for run in puppets)
    assert gains[-1] >= 0.02 > gains[-2], "one network of the three gains a few points"
    scores = {n: [run["several_clips"][n] for run in real] for n in ("1", "10")}
    assert np.mean(scores["10"]) - np.mean(scores["1"]) < np.ptp(scores["1"]), (
        "the gain is smaller than the differences between seeds"
    )


def test_recorded_splits_show_the_leak():
    results = records.load_results("ucf101-64") + records.load_results("ucf101-64-splits")
    tested = [run for run in results if "test" in run]
    recipes = {
        "tutorial": RECIPES["tutorial"],
        "with background": dataclasses.replace(RECIPES["book"], subtract_mean=False),
        "book": RECIPES["book"],
    }
    drops = {}
    for name, recipe in recipes.items():
        scores = []
        for split_by in ("clip", "ucf101_10classes.csv"):
            runs = records.runs_of_recipe(tested, recipe)
            runs = records.select_runs(runs, split_by=split_by)
            assert seeds(runs) == {0, 1, 2} and len(runs) == 3
            scores.append(mean_accuracy(runs))
        drops[name] = scores[0] - scores[1]
    assert drops["tutorial"] > drops["with background"] > drops["book"] > 0.1, "the chapter says so"


def test_the_page_results_describes_the_peers():
    tables = records.load_results("peers")["tables"]

    def relative(table, unit, method):
        rows = {row["method"]: row[unit] for row in tables[table]}
        return rows[method] / tables[table][0][unit]

    ours = [relative(conv, "seconds", "torch") for conv in ("2plus1d", "3d")]
    assert ours[0] < 1.05 and ours[0] < ours[1] < 1.25
    for name in ("spatial", "temporal", "3D, strided"):
        assert relative(f"{name}, gradient of the kernel", "ms", "jax") > 5
    assert relative("3D, strided, gradient of the input", "ms", "jax") > 20
    assert all(relative("reading", "clips/s", reader) < 1.1 for reader in ("PyAV", "decord"))


def test_the_learning_curve_has_three_seeds_on_the_same_test_clips():
    runs = records.load_results("learning-curve")
    by_number = {}
    for run in runs:
        settings = run["settings"]
        assert settings["split_by"] == "official1" and settings["size"] == 64
        assert settings["splits"] == {"train": settings["splits"]["train"], "val": 3, "test": 10}
        assert len({(*run["clips"],) for run in runs}) == 1, "all are tested on the same clips"
        correct = np.equal(run["actual"], run["predicted"])
        assert run["test"]["accuracy"] == pytest.approx(correct.mean()) and len(correct) == 100
        assert {group.split()[1] for group in run["groups"]} <= set("1234567")
        by_number.setdefault(settings["splits"]["train"], []).append(run)
    assert sorted(by_number) == [3, 5, 10, 20, 30]
    for number, made in by_number.items():
        assert seeds(made) == {0, 1, 2}
        steps = {run["settings"]["epochs"] * -(-10 * number // 8) for run in made}
        assert len(steps) == 1 and 740 <= steps.pop() <= 790
    # What the chapter says: more clips help, up to the last step.
    means = [mean_accuracy(by_number[number]) for number in sorted(by_number)]
    assert means[0] < means[2] < means[4]
