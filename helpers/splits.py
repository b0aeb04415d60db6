"""Splits of tables of clips, from `helpers.clips`. Taught in the chapter *Load video*."""

import itertools
import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from helpers.clips import count_noun

# The groups are dealt into at most this many parts, with this many seeds, and then at random.
_MOST_PARTS = 5
_ATTEMPTS = 20
_DRAWS = 2000


def split_by_group(
    clips: pd.DataFrame, seed: int = 0, splits: Sequence[str] = ("train", "val", "test")
) -> pd.DataFrame:
    """Split a table of clips so that no two splits share a group, and each has all classes.

    The groups are dealt into five parts, or fewer if a class has fewer groups, that resemble each
    other in their numbers of clips per class (scikit-learn's `StratifiedGroupKFold`). The first
    split gets what the others, one part each, leave, and that is as much as possible. If this puts
    no class everywhere, groups are assigned at random until all classes are in all splits. A clip
    whose group is unknown is a group of its own.

    Args:
        clips: A table from `helpers.clips.read_folder` or `read_table`.
        seed: Seed of the dealing. Other seeds are tried if a split lacks a class.
        splits: Names of the splits.

    Returns:
        A copy of the table with the column `split`.

    Raises:
        ValueError: There are fewer than two classes, a class is in fewer groups than there are
            splits, or no assignment of the groups puts each class into each split.
    """
    alone = clips.index.map("clip {}".format)
    groups = clips["group"].where(clips["group"].notna(), alone)
    classes = clips["class_name"]
    fewest = _count_groups(classes, groups, splits)
    # With more parts than groups of a class, some part would lack it.
    for n_parts in range(min(_MOST_PARTS, fewest), len(splits) - 1, -1):
        for attempt in range(_ATTEMPTS):
            parts = _deal(classes, groups, n_parts, seed + attempt)
            if (split := _assign_parts(classes, parts, n_parts, splits)) is not None:
                return clips.assign(split=split)
    # Classes that share some of their groups only may need other combinations of groups.
    numbers, names = pd.factorize(groups)
    for attempt in range(_DRAWS):
        shares = [len(splits) - 1, *[1] * (len(splits) - 1)]
        rng = np.random.default_rng((seed, attempt))
        drawn = rng.choice(len(splits), len(names), p=np.divide(shares, sum(shares)))
        split = pd.Series(np.array(splits)[drawn[numbers]], clips.index, dtype=object)
        if _has_all_classes(classes, split, splits):
            return clips.assign(split=split)
    raise ValueError(
        f"The {len(names)} groups can't be split into {_enumerate(splits)} with all classes "
        "in each; record more groups with several classes, or write the splits into a table."
    )


def _deal(classes, groups, n_parts, seed):
    """Return the part of each clip, from 0, so that groups are whole and parts resemble others."""
    dealer = StratifiedGroupKFold(n_parts, shuffle=True, random_state=seed)
    parts = np.zeros(len(classes), int)
    with warnings.catch_warnings():
        # It warns of classes with fewer clips than parts.
        warnings.simplefilter("ignore", UserWarning)
        for part, (_, rows) in enumerate(dealer.split(classes, classes, groups)):
            parts[rows] = part
    return parts


def _assign_parts(classes, parts, n_parts, splits):
    """Return the splits with one part in all but the first, and as many clips as possible in it.

    Returns:
        The split of each clip, or None if each assignment lacks a class in a split.
    """
    best, most = None, 0
    for chosen in itertools.permutations(range(n_parts), len(splits) - 1):
        names = dict.fromkeys(range(n_parts), splits[0]) | dict(zip(chosen, splits[1:]))
        split = pd.Series([names[part] for part in parts], classes.index, dtype=object)
        n_first = (split == splits[0]).sum()
        if n_first > most and _has_all_classes(classes, split, splits):
            best, most = split, n_first
    return best


def _has_all_classes(classes, split, splits):
    """Return whether each split has all classes."""
    return (
        split.nunique() == len(splits)
        and classes.groupby(split).nunique().min() == classes.nunique()
    )


def _count_groups(classes, groups, splits):
    """Return the number of groups of the class with the fewest.

    Raises:
        ValueError: There is only one class, or a class has fewer groups than there are splits.
    """
    if classes.nunique() < 2:
        raise ValueError(
            f"The clips have only one class, {classes.iloc[0]}; add another, because a network "
            "can only learn to tell classes apart."
        )
    counts = groups.groupby(classes).nunique()
    if counts.min() < len(splits):
        clips_of = count_noun(classes.value_counts()[counts.idxmin()], "clip")
        raise ValueError(
            f"{counts.idxmin()} has {clips_of} in {count_noun(counts.min(), 'group')}, but "
            f"{_enumerate(splits)} need {len(splits)} groups or more of each class; record more of "
            "it, or leave the class out."
        )
    return counts.min()


def _enumerate(names):
    return f"{', '.join(names[:-1])} and {names[-1]}"
