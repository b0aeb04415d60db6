"""Splits of tables of clips, from `helpers.clips`. Taught in the chapter *Load video*."""

import warnings
from collections.abc import Sequence

import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

# The groups are dealt into at most this many parts, with at most this many seeds.
_MOST_PARTS = 5
_ATTEMPTS = 100


def split_by_group(
    clips: pd.DataFrame, seed: int = 0, splits: Sequence[str] = ("train", "val", "test")
) -> pd.DataFrame:
    """Split a table of clips so that no two splits share a group, and each has all classes.

    The groups are dealt into five parts, or fewer if a class has fewer groups, that resemble each
    other in their numbers of clips per class (scikit-learn's `StratifiedGroupKFold`). The first
    split gets what the others, one part each, leave. A clip whose group is unknown is a group of
    its own.

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
    # With more parts than groups of a class, some part would lack it.
    n_parts = min(_MOST_PARTS, _count_groups(clips["class_name"], groups, splits))
    for attempt in range(_ATTEMPTS):
        dealer = StratifiedGroupKFold(n_parts, shuffle=True, random_state=seed + attempt)
        column = clips["class_name"].map(lambda _: splits[0])
        with warnings.catch_warnings():
            # It warns of classes with fewer clips than parts.
            warnings.simplefilter("ignore", UserWarning)
            parts = list(dealer.split(clips, clips["class_name"], groups))
        for name, (_, rows) in zip(splits[1:], parts):
            column.iloc[rows] = name
        if clips["class_name"].groupby(column).nunique().min() == clips["class_name"].nunique():
            return clips.assign(split=column)
    raise ValueError(
        f"The {groups.nunique()} groups can't be split into {_enumerate(splits)} with all classes "
        "in each; record more groups with several classes, or write the splits into a table."
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
        clips_of = classes.value_counts()[counts.idxmin()]
        raise ValueError(
            f"{counts.idxmin()} has {clips_of} clips in {counts.min()} groups, but "
            f"{_enumerate(splits)} need {len(splits)} groups or more of each class; record more of "
            "it, or leave the class out."
        )
    return counts.min()


def _enumerate(names):
    return f"{', '.join(names[:-1])} and {names[-1]}"
