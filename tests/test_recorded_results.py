"""What is recorded in `book/results`, by what the pages and chapters say of it. These tests judge files, not code."""

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
    made = records.load_results(name)
    assert len(
        {json.dumps([record["recipe"], record["settings"]["split_by"]]) for record in made}
    ) == len(made), "no run twice"
    alike = [json.dumps([record["recipe"] | {"seed": None}, record["settings"]]) for record in made]
    for record, own in zip(made, alike):
        assert record["settings"]["splits"] == {"train": 30, "val": 10, "test": 10}
        assert (
            record["settings"]["split_by"] == split_by
            if split_by
            else record["settings"]["split_by"] in ("clip", "ucf101_10classes.csv")
        )
        assert alike.count(own) >= 3, "three seeds or more of each"
        assert (
            {len(values) for values in record["history"].values()}
            == {record["settings"]["epochs"]}
            == {len(record["epoch_seconds"])}
        )
        assert (
            record["seconds"] > 0
            and record["hardware"]
            and record["fingerprint"]
            and not any(record["left_out"].values())
        )
        if name == "ucf101-64" and "test" not in record:
            continue  # the ablation's, see below
        right = np.equal(record["actual"], record["predicted"])
        assert record["test"]["accuracy"] == pytest.approx(right.mean()) and len(right) == 100
        assert (
            np.trace(record["confusion_matrix"]) == right.sum()
            and np.sum(record["confusion_matrix"]) == 100
        )


def test_better_recipe_is_better_by_ten_points_and_takes_no_longer():
    made = records.load_results("ucf101-112")
    made = records.select_runs(made, epochs=50, size=112)
    ours, theirs = (records.runs_of_recipe(made, RECIPES[name]) for name in ("book", "tutorial"))
    assert len(ours) == len(theirs) == 3
    assert (
        np.mean(records.accuracies(ours, "test"))
        >= np.mean(records.accuracies(theirs, "test")) + 0.1
    )
    assert np.mean([run["seconds"] for run in ours]) <= np.mean([run["seconds"] for run in theirs])


def test_recorded_ablation_leaves_out_each_ingredient_and_the_test_clips():
    made = records.load_results("ucf101-64")
    assert all(
        run["several_clips"]["1"] == pytest.approx(run["test"]["accuracy"])
        for run in made
        if "test" in run
    )
    for conv in ("2d", "mc3", "3d", "2plus1d"):
        members = records.runs_of_recipe(made, dataclasses.replace(RECIPES["book"], conv=conv))
        assert {run["recipe"]["seed"] for run in members if "test" in run} == {0, 1, 2}
    scores = {}
    for name, off in training.INGREDIENTS.items():
        without = records.runs_of_recipe(made, dataclasses.replace(RECIPES["book"], **{name: off}))
        assert {run["recipe"]["seed"] for run in without} == {0, 1, 2} and not any(
            "test" in run for run in without
        )
        scores[name] = np.mean(records.accuracies(without, "val"))
    two = {"augment", "subtract_mean"}
    assert max(scores[name] for name in two) + 0.1 < min(
        scores[name] for name in set(scores) - two
    ), "as the chapter says"


def test_puppets_tell_who_sees_time():
    made = records.load_results("puppets-short")
    assert (
        min(
            records.accuracies(
                records.select_runs(made, network="small_resnet", conv="2plus1d"), "test"
            )
        )
        >= 0.9
    )
    assert max(records.accuracies(records.select_runs(made, conv="2d"), "test")) <= 0.5, (
        "no bag of frames tells an action from its reverse"
    )
    for run in records.select_runs(made, network="small_resnet"):
        orders = run["orders"]
        if run["recipe"]["conv"] == "2d":
            assert (
                orders["backwards"]
                == orders["shuffled"]
                == orders["forwards"]
                > orders["one frame"]
            )
        else:
            assert (
                orders["forwards"] >= 0.9
                and orders["backwards"] <= 0.05
                and orders["shuffled"] < 0.6
            ), "as the chapter says"


def test_on_real_clips_the_direction_tells_nothing_and_only_networks_with_time_mind_the_order():
    made = records.load_results("ucf101-64")
    orders = {}
    for conv in ("2d", "2plus1d", "3d", "mc3"):
        runs = records.runs_of_recipe(made, dataclasses.replace(RECIPES["book"], conv=conv))
        orders[conv] = {
            order: np.mean([run["orders"][order] for run in runs]) for order in runs[0]["orders"]
        }
        assert abs(orders[conv]["backwards"] - orders[conv]["forwards"]) < 0.05
        assert all(run["orders"]["one frame"] == 0.1 for run in runs), (
            "their mean subtracted, nothing is left"
        )
    assert orders["2d"]["shuffled"] == orders["2d"]["forwards"]
    assert all(
        orders[conv]["shuffled"] < orders[conv]["forwards"] - 0.1 for conv in ("2plus1d", "3d")
    )
    assert 0.05 < orders["mc3"]["forwards"] - orders["mc3"]["shuffled"] < 0.1
    assert all(
        abs(orders[conv]["forwards"] - orders["2d"]["forwards"]) < 0.02
        for conv in ("2plus1d", "3d")
    )
    assert 0.02 < orders["mc3"]["forwards"] - orders["2d"]["forwards"] < 0.1


def test_recorded_runs_are_as_evaluate_says():
    real = records.runs_of_recipe(records.load_results("ucf101-64"), RECIPES["book"])
    drawn = records.select_runs(
        records.load_results("puppets-short"), network="small_resnet", conv="2plus1d"
    )
    wider = []
    for run in real:
        right = np.equal(run["actual"], run["predicted"])
        clips, groups = (
            bootstrap_accuracy(right, unit)
            for unit in (range(len(right)), group_names(run["clips"]))
        )
        wider.append(np.diff(groups) / np.diff(clips))
    assert np.mean(wider) == pytest.approx(4 / 3, abs=0.05), "wider by about a third"
    gains = [run["several_clips"]["10"] - run["several_clips"]["1"] for run in drawn]
    assert sorted(gains)[-1] >= 0.02 > sorted(gains)[-2], (
        "one network of the three gains a few points"
    )
    scores = {n: [run["several_clips"][n] for run in real] for n in ("1", "10")}
    assert np.mean(scores["10"]) - np.mean(scores["1"]) < np.ptp(scores["1"]), (
        "no more than the seeds differ by"
    )


def test_recorded_splits_show_the_leak():
    made = [
        run
        for name in ("ucf101-64", "ucf101-64-splits")
        for run in records.load_results(name)
        if "test" in run
    ]
    scores = {}
    for name, recipe in {
        "tutorial": RECIPES["tutorial"],
        "rooms": dataclasses.replace(RECIPES["book"], subtract_mean=False),
        "book": RECIPES["book"],
    }.items():
        runs = records.runs_of_recipe(made, recipe)
        for way in ("clip", "ucf101_10classes.csv"):
            own = records.select_runs(runs, split_by=way)
            assert {run["recipe"]["seed"] for run in own} == {0, 1, 2} and len(own) == 3
            scores[name, way] = np.mean(records.accuracies(own, "test"))
    drops = {
        name: scores[name, "clip"] - scores[name, "ucf101_10classes.csv"]
        for name in ("tutorial", "rooms", "book")
    }
    assert drops["tutorial"] > drops["rooms"] > drops["book"] > 0.1, "as the chapter says"
