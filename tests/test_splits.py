"""Splits of tables of any videos."""

import itertools
import pathlib

import numpy as np
import pandas as pd
import pytest

from helpers.clips import read_folder
from helpers.splits import split_by_group


def table_of(classes, groups):
    files = [pathlib.Path(f"{i}.mp4") for i in range(len(classes))]
    return pd.DataFrame({"file": files, "class_name": classes, "group": groups}, dtype=object)


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_in_two_splits_and_each_split_has_all_classes(seed):
    # Ten people, of whom each did some of three actions, and one action is rare.
    rows = [
        (name, f"person {i}") for i in range(10) for name in ["a"] * 3 + ["b"] * 2 + ["c"] * (i < 5)
    ]
    table = split_by_group(table_of(*zip(*rows)), seed)
    by_group = table.groupby("group")["split"].nunique()
    assert (by_group == 1).all()
    counts = table.groupby(["split", "class_name"]).size().unstack()
    assert counts.shape == (3, 3) and counts.notna().all(axis=None)
    assert table["split"].value_counts(normalize=True)["train"] == pytest.approx(0.6, abs=0.1)
    pd.testing.assert_frame_equal(table, split_by_group(table.drop(columns="split"), seed))


def test_clips_without_a_group_are_split_one_by_one():
    table = split_by_group(table_of(["a", "b"] * 10, [None] * 20))
    assert table["split"].value_counts().to_dict() == {"train": 12, "val": 4, "test": 4}


def test_three_people_suffice():
    rows = [(name, person) for person in ("anna", "ben", "chris") for name in "ab"]
    table = split_by_group(table_of(*zip(*rows)))
    assert table["split"].value_counts().to_dict() == {"train": 2, "val": 2, "test": 2}


@pytest.mark.parametrize(
    "rows, message",
    [
        ([("a", None)] * 9, "^The clips have only one class, a; add another"),
        (
            [("a", None)] * 9 + [("b", None)] * 2,
            "^b has 2 clips in 2 groups, but train, val and test need 3 groups or more of each",
        ),
        (
            [("a", person) for person in "xyz"] + [("b", "x")] * 7,
            "^b has 7 clips in 1 group, but train, val and test need 3 groups",
        ),
    ],
)
def test_too_few_classes_or_groups_are_refused(rows, message):
    table = table_of(*zip(*rows))
    with pytest.raises(ValueError, match=message):
        split_by_group(table)


def test_ten_thousand_clips_are_listed_and_split(tmp_path):
    for class_name in "ab":
        for person in range(50):
            folder = tmp_path / class_name / f"person {person}"
            folder.mkdir(parents=True)
            for clip in range(100):
                (folder / f"{clip}.mp4").touch()
    table = split_by_group(read_folder(tmp_path))
    assert len(table) == 10_000
    assert table["split"].value_counts().to_dict() == {"train": 6000, "val": 2000, "test": 2000}


@pytest.mark.parametrize("sizes", [(60, 20, 20), (100, 1, 1), (100, 10, 5, 5, 5)])
@pytest.mark.parametrize("seed", range(3))
def test_the_largest_groups_are_for_training(sizes, seed):
    rows = [(name, f"p{i}") for i, size in enumerate(sizes) for name in "ab" * size]
    counts = split_by_group(table_of(*zip(*rows)), seed)["split"].value_counts()
    assert counts["train"] > max(counts["val"], counts["test"])


def test_whatever_can_be_split_is_split():
    """Compared with all assignments, for groups that have only some of the classes."""
    splits, refused = ("train", "val", "test"), 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        n_groups = int(rng.integers(3, 7))
        has = rng.random((n_groups, 2)) < 0.7
        rows = [("ab"[c], f"p{g}") for g, c in zip(*np.nonzero(has)) for _ in range(2)]
        possible = any(
            all(has[np.equal(each, split)].any(axis=0).all() for split in range(3))
            for each in itertools.product(range(3), repeat=n_groups)
        )
        try:
            table = split_by_group(table_of(*zip(*rows)), seed)
        except ValueError:
            assert not possible, rows
            refused += 1
            continue
        assert (table.groupby("group")["split"].nunique() == 1).all()
        assert (table.groupby("split")["class_name"].nunique() == 2).all()
        assert set(table["split"]) == set(splits)
    assert 0 < refused < 60
