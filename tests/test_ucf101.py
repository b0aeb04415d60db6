"""Names of clips, and splits with and without a leak."""

import itertools
import random
import unicodedata
from collections import Counter

import pytest

from helpers.ucf101 import (
    files_by_class,
    get_class,
    get_group,
    is_clip,
    split_by_clip,
    split_by_group,
    split_by_table,
    split_officially,
)

SPLITS = {"train": 30, "val": 10, "test": 10}


def clips_of(class_name, sizes):
    """Return names of clips, with a number of clips for group 1, one for group 2, and so on."""
    return [
        f"v_{class_name}_g{group:02d}_c{clip:02d}.avi"
        for group, size in enumerate(sizes, 1)
        for clip in range(1, size + 1)
    ]


def groups_of(files):
    return {(get_class(fname), get_group(fname)) for fname in files}


def counts_of(result):
    """Return clips by split and class."""
    return {name: dict(Counter(map(get_class, files))) for name, files in result.items()}


@pytest.mark.parametrize(
    "folder", ["", "UCF-101/", "/data/UCF-101/v_Other_g01_c01/", r"C:\clips" + "\\", "a\\b/", "../"]
)
def test_names_have_a_class_and_a_group_after_any_folders(folder):
    fname = f"{folder}v_HandstandPushups_g07_c12.avi"
    assert (get_class(fname), get_group(fname), is_clip(fname)) == ("HandstandPushups", 7, True)


def test_group_is_a_number_of_any_length():
    groups = [get_group(f"v_A_g{text}_c01.avi") for text in ("1", "08", "25", "100")]
    assert groups == [1, 8, 25, 100]


@pytest.mark.parametrize(
    "class_name",
    ["Push_Ups", "Jump-Rope", "Pull Ups 2", "A_g01_c02", "Größer_werden", "चलना", "เดิน_เร็ว"],
)
def test_class_may_consist_of_several_words(class_name):
    fname = f"v_{class_name}_g07_c12.avi"
    assert (get_class(fname), get_group(fname), is_clip(fname)) == (class_name, 7, True)


def test_accents_may_be_composed_or_not():
    name = "v_Größer_g01_c01.avi"
    apart = unicodedata.normalize("NFD", name)
    assert (get_class(apart), is_clip(apart)) == ("Größer", True)
    assert split_by_table([apart], {"train": 1}, {name: "train"}) == {"train": [apart]}


def test_suffix_may_be_in_capitals():
    assert all(is_clip(f"v_PullUps_g01_c01.{suffix}") for suffix in ("AVI", "Avi", "avi"))


@pytest.mark.parametrize(
    "fname",
    [
        "",
        "README.txt",
        "PullUps_g01_c01.avi",
        "v_PullUps_g01_c01.mp4",
        "v_PullUps_g01_c01.avi.part",
        "v_PullUps_g01_c01.avi\n",
        "v_PullUps_c01_g01.avi",
        "v_PullUps_gxx_c01.avi",
        "v__g01_c01.avi",
        "v_Push__g01_c01.avi",
        "v_ _g01_c01.avi",
        "v_.._g01_c01.avi",
        "v_PullUps_g01_c01.avi/",
        "._v_PullUps_g01_c01.avi",
    ],
)
def test_an_error_names_a_file_that_is_no_clip(fname):
    assert not is_clip(fname)
    for function in (get_class, get_group):
        with pytest.raises(ValueError) as caught:
            function(fname)
        assert str(caught.value).startswith(f"{fname} is not named like a clip")


def test_names_are_as_long_as_a_file_system_allows():
    longest = f"v_{'A' * 241}_g01_c01.avi"
    assert len(longest) == 255 and is_clip(longest) and not is_clip(longest.replace("A", "AA", 1))
    # File systems count bytes, and é has two.
    assert is_clip(longest.replace("AA", "é", 1)) and not is_clip(longest.replace("A", "é", 1))


def test_files_by_class_are_in_alphabetical_order():
    files = clips_of("Zebra", [1]) + clips_of("Ape", [2])
    assert list(files_by_class(files).items()) == [
        ("Ape", clips_of("Ape", [2])),
        ("Zebra", clips_of("Zebra", [1])),
    ]


@pytest.mark.parametrize("seed", range(5))
def test_split_by_group_is_exact_and_shares_no_group(seed):
    files = clips_of("A", [7, 4, 6] * 8) + clips_of("B", [4] * 25) + clips_of("C", range(1, 26))
    result = split_by_group(files, SPLITS, seed)
    assert counts_of(result) == {
        name: dict.fromkeys("ABC", count) for name, count in SPLITS.items()
    }
    for one, other in itertools.combinations(result.values(), 2):
        assert not groups_of(one) & groups_of(other)
        assert not set(one) & set(other)
    assert all(
        len(set(chosen)) == len(chosen) and set(chosen) <= set(files) for chosen in result.values()
    )


def test_a_split_of_size_zero_gets_no_clips():
    result = split_by_group(clips_of("A", [2] * 3), {"train": 4, "test": 0})
    assert result["test"] == [] and len(result["train"]) == 4


def test_a_split_uses_as_many_groups_as_possible():
    train = split_by_group(clips_of("A", [7] * 25), SPLITS)["train"]
    assert len(groups_of(train)) == 15  # its share of 25 groups, with two clips from each


def test_classes_with_the_same_groups_are_split_alike():
    result = split_by_group(clips_of("SitDown", [3] * 25) + clips_of("StandUp", [3] * 25), SPLITS)
    for files in result.values():
        by_class = files_by_class(files)
        assert set(map(get_group, by_class["SitDown"])) == set(map(get_group, by_class["StandUp"]))


@pytest.mark.parametrize("split", [split_by_group, split_by_clip])
def test_split_depends_on_the_seed_and_not_on_the_order_of_names(split):
    files = clips_of("A", [5] * 20)
    shuffled = random.Random(1).sample(files, len(files))
    assert split(files, SPLITS, seed=3) == split(shuffled, SPLITS, seed=3)
    assert split(files, SPLITS, seed=3) != split(files, SPLITS, seed=4)
    assert split(files, SPLITS) == split(files, SPLITS, seed=0)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(
    "sizes, splits",
    [
        # If each group goes to the split furthest below its share, these always end at 7 and 5.
        ([3, 3, 2, 2, 2], {"train": 6, "test": 6}),
        ([4, 4, 4, 3, 3, 3, 3], {"train": 12, "test": 12}),
        ([9, 1, 1, 1, 1, 1, 1, 1, 1], {"train": 8, "test": 9}),
        # 23 groups, and every clip is needed.
        ([3] * 4 + [2] * 19, SPLITS),
        ([1] * 9 + [2] * 5 + [3] * 6 + [4] * 2 + [5], SPLITS),
    ],
)
def test_split_by_group_finds_rare_solutions_that_need_every_clip(sizes, splits, seed):
    files = clips_of("A", sizes)
    assert len(files) == sum(splits.values())
    result = split_by_group(files, splits, seed)
    assert sorted(sum(result.values(), [])) == files
    assert sum(len(groups_of(chosen)) for chosen in result.values()) == len(sizes)
    assert {name: len(chosen) for name, chosen in result.items()} == splits


def test_split_by_group_fails_only_if_there_is_no_solution():
    rng = random.Random(0)
    outcomes = Counter()
    for _ in range(400):
        sizes = [rng.randint(1, 4) for _ in range(rng.randint(1, 6))]
        splits = {name: rng.randint(1, 5) for name in ("train", "val", "test")[: rng.randint(1, 3)]}
        possible = any(
            all(
                sum(size for size, to in zip(sizes, dealt) if to == name) >= count
                for name, count in splits.items()
            )
            for dealt in itertools.product(splits, repeat=len(sizes))
        )
        try:
            result = split_by_group(clips_of("A", sizes), splits, seed=rng.randint(0, 9))
        except ValueError:
            result = None
        assert (result is not None) == possible, (sizes, splits)
        if result:
            assert {name: len(chosen) for name, chosen in result.items()} == splits
            assert sum(len(groups_of(chosen)) for chosen in result.values()) == len(
                groups_of(sum(result.values(), []))
            )
        outcomes[possible] += 1
    assert min(outcomes[True], outcomes[False]) > 50


@pytest.mark.parametrize("seed", range(3))
def test_split_by_clip_is_exact_and_disjoint_and_shares_groups(seed):
    files = clips_of("A", [4] * 25) + clips_of("B", [3] * 20)
    result = split_by_clip(files, SPLITS, seed)
    assert counts_of(result) == {name: {"A": count, "B": count} for name, count in SPLITS.items()}
    chosen = sum(result.values(), [])
    assert len(set(chosen)) == len(chosen) and set(chosen) <= set(files)
    assert len(groups_of(result["train"]) & groups_of(result["test"])) > 5


@pytest.mark.parametrize("split", [split_by_group, split_by_clip])
def test_error_for_too_few_clips_names_the_class_and_its_number(split):
    files = clips_of("Enough", [5] * 10) + clips_of("Rare", [7] * 7)
    with pytest.raises(
        ValueError,
        match="^Rare has 49 clips, but the splits need 30 for train, 10 for val, 10 for test; ask",
    ):
        split(files, SPLITS)


def test_lack_of_a_solution_is_found_soon():
    # The groups are even and the splits are not; trying all 3^25 assignments would take days.
    with pytest.raises(
        ValueError, match="^A has 50 clips in 25 groups, which can't be split into 31"
    ):
        split_by_group(clips_of("A", [2] * 25), {"train": 31, "val": 10, "test": 9})


def test_error_for_too_few_groups_names_the_class_and_their_number():
    with pytest.raises(
        ValueError, match="^Crowded has 100 clips in 2 groups, .*ask for fewer clips"
    ):
        split_by_group(clips_of("Crowded", [50, 50]), SPLITS)


def test_more_than_a_thousand_groups_can_be_split():
    splits = {"train": 800, "val": 200, "test": 200}
    result = split_by_group(clips_of("A", [1] * 1200), splits)
    assert counts_of(result) == {name: {"A": count} for name, count in splits.items()}
    with pytest.raises(ValueError, match="^A has 2400 clips in 1200 groups"):
        split_by_group(clips_of("A", [2] * 1200), {"train": 1201, "val": 600, "test": 599})


def test_splits_stay_as_they_were():
    """Recorded runs depend on them."""
    result = split_by_group(
        clips_of("A", [3, 1, 4, 1, 5, 2, 6]), {"train": 9, "val": 5, "test": 5}, seed=2
    )
    assert {
        name: sorted({get_group(file) for file in files}) for name, files in result.items()
    } == {"train": [1, 3, 4, 6], "val": [2, 7], "test": [5]}


def test_case_of_a_tables_splits_does_not_matter_and_an_error_lists_them():
    table = {"v_Up_g01_c01.avi": "Train", "v_Up_g02_c01.avi": "Validation"}
    assert split_by_table(table, {"train": 1}, table) == {"train": ["v_Up_g01_c01.avi"]}
    with pytest.raises(
        ValueError,
        match=r"lists 0 clips of Up for val, not 1 \(its splits are Train, Validation\); ask for",
    ):
        split_by_table(table, {"val": 1}, table)


@pytest.mark.parametrize(
    "official, tested", [("official1", (1, 7)), ("official2", (8, 14)), ("official3", (15, 21))]
)
def test_an_official_split_tests_on_all_clips_of_its_groups(official, tested):
    files = [file for name in ("Jump", "Run") for file in clips_of(name, [4, 5, 6, 7, 4] * 5)]
    result = split_officially(files, dict.fromkeys(SPLITS), official)
    assert sorted(itertools.chain(*result.values())) == sorted(files)
    first, last = tested
    expected = {file for file in files if first <= get_group(file) <= last}
    assert set(result["test"]) == expected
    numbers = {name: {group for _, group in groups_of(result[name])} for name in result}
    assert len(numbers["val"]) == 3 and len(numbers["train"]) == 15
    assert not groups_of(result["train"]) & groups_of(result["val"])


def test_an_official_split_may_be_limited_to_some_clips_of_each_group():
    files = clips_of("Jump", [4] * 25)
    result = split_officially(files, {"train": 15, "val": 3, "test": 7}, "official2", seed=1)
    assert {name: len(groups_of(files)) for name, files in result.items()} == {
        "train": 15,
        "val": 3,
        "test": 7,
    }
    whole = split_officially(files, dict.fromkeys(SPLITS), "official2", seed=1)
    assert all(result[name] == whole[name][: len(result[name])] for name in whole)
    message = "^Jump has 28 clips in the groups of official1 for test, not 29; ask for fewer clips"
    with pytest.raises(ValueError, match=message):
        split_officially(files, {"train": 1, "val": 1, "test": 29}, "official1")
    message = "^Jump has 0 clips in the groups of official3 for test, not any; "
    with pytest.raises(ValueError, match=message):
        split_officially(clips_of("Jump", [4] * 14), dict.fromkeys(SPLITS), "official3")
