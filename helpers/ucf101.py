"""The names of UCF101's clips, and splits of them. Taught in the chapter *Load video*.

A clip is named `v_<Class>_g<group>_c<clip>.avi`. The class may consist of several words, as in
`v_Push_Ups_g01_c01.avi`, and the suffix may be in capitals. All clips of a group are cut from one
longer video: the same person in the same room (Soomro et al. 2012, https://arxiv.org/abs/1212.0402).
A split that ignores the groups tests on rooms that were seen in training.
"""

import math
import os
import random
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

NAME_FORM = "v_<Class>_g<group>_c<clip>.avi"
# The last _g and _c mark the group and the clip, because a class name may contain both.
_NAME = re.compile(
    r"v_(?P<class_name>[^\W_]+(?:[ _-]+[^\W_]+)*)_g(?P<group>\d+)_c(?P<clip>\d+)\.(?i:avi)"
)
# The groups on which each of the three official splits tests.
_OFFICIAL_TEST_GROUPS = {
    "official1": range(1, 8),
    "official2": range(8, 15),
    "official3": range(15, 22),
}
OFFICIAL_SPLITS = tuple(_OFFICIAL_TEST_GROUPS)
# In an official split, one in so many of the other groups goes into the validation set.
_GROUPS_PER_VALIDATION_GROUP = 6
# Most file systems allow no longer name.
_MAX_NAME_BYTES = 255
# The end of an error message: how to ask for fewer clips in Python and in a shell.
_FEWER_CLIPS = "ask for fewer clips (with splits, or in a shell with --per-class TRAIN VAL TEST)"


def base_name(fname: str | os.PathLike[str]) -> str:
    """Return a clip's name without its folders, with its accents composed (Unicode's form NFC).

    Folders may be separated by slashes or backslashes on every operating system, because the path
    may come from a ZIP or a table written on another one.
    """
    return unicodedata.normalize("NFC", re.split(r"[/\\]", str(fname))[-1])


def is_clip(fname: str | os.PathLike[str]) -> bool:
    """Return whether a path ends in the name of a clip of UCF101, in form."""
    return _parse(fname) is not None


def get_class(fname: str | os.PathLike[str]) -> str:
    """Return the class in a clip's name, such as `"PullUps"`.

    Args:
        fname: The clip's name, with or without folders.

    Raises:
        ValueError: The name does not have UCF101's form.
    """
    return _parse_strictly(fname)["class_name"]


def get_group(fname: str | os.PathLike[str]) -> int:
    """Return the group in a clip's name, such as 7. Each class numbers its groups from 1.

    Args:
        fname: The clip's name, with or without folders.

    Raises:
        ValueError: The name does not have UCF101's form.
    """
    return int(_parse_strictly(fname)["group"])


def split_by_group(
    files: Collection[str], splits: Mapping[str, int], seed: int = 0
) -> dict[str, list[str]]:
    """Split clips so that no two splits share a group of a class.

    The groups of a class are assigned in a random order, which is the same for every class. Each
    group goes to the split that is furthest below its share of the clips. If a split ends up with
    too few clips, other assignments are tried until one works.

    Args:
        files: Names of clips.
        splits: Clips per class of each split, such as `{"train": 30, "val": 10, "test": 10}`.
        seed: Seed of the random order.

    Returns:
        The names by split, class after class. Within a class, the first clip of every group
        precedes the second ones.

    Raises:
        ValueError: A class has too few clips, or its groups can't fill the splits.
    """
    order = sorted({get_group(fname) for fname in files})
    random.Random(seed).shuffle(order)
    result: dict[str, list[str]] = {name: [] for name in splits}
    for class_name, class_files in files_by_class(files).items():
        _check_enough(class_name, class_files, splits)
        by_group = _files_by_group(class_files)
        sizes = {group: len(by_group[group]) for group in order if group in by_group}
        split_of = _assign_groups(sizes, splits)
        if split_of is None:
            raise ValueError(
                f"{class_name} has {len(class_files)} clips in {len(sizes)} groups, which can't be "
                f"split into {_format_counts(splits)} without a shared group; {_FEWER_CLIPS}."
            )
        for name, count in splits.items():
            groups = [by_group[group] for group in sizes if split_of[group] == name]
            result[name] += _interleave(groups)[:count]
    return result


def split_by_clip(
    files: Iterable[str], splits: Mapping[str, int], seed: int = 0
) -> dict[str, list[str]]:
    """Split clips at random and ignore their groups, as the TensorFlow tutorial does.

    Arguments, return value and errors are those of `split_by_group`.
    """
    rng = random.Random(seed)
    result: dict[str, list[str]] = {name: [] for name in splits}
    for class_name, class_files in files_by_class(files).items():
        _check_enough(class_name, class_files, splits)
        remaining = sorted(class_files)
        rng.shuffle(remaining)
        for name, count in splits.items():
            result[name] += remaining[:count]
            remaining = remaining[count:]
    return result


def split_by_table(
    files: Iterable[str], splits: Mapping[str, int], table: Mapping[str, str]
) -> dict[str, list[str]]:
    """Split clips as a table specifies, for example one from `helpers.clips.read_split`.

    Args:
        files: Names of clips.
        splits: Clips per class of each split: the first ones by name that the table lists.
        table: The split by name of clip; case does not matter in the splits' names. Clips that the
            table does not list are in no split.

    Returns:
        The names by split, class after class.

    Raises:
        ValueError: The table lists too few clips of a class for a split.
    """
    result: dict[str, list[str]] = {name: [] for name in splits}
    table = {base_name(name): split for name, split in table.items()}
    for class_name, class_files in files_by_class(files).items():
        for name, count in splits.items():
            listed = sorted(
                file
                for file in class_files
                if table.get(base_name(file), "").lower() == name.lower()
            )
            if len(listed) < count:
                known = ", ".join(sorted(filter(None, set(table.values()))))
                raise ValueError(
                    f"The table lists {len(listed)} clips of {class_name} for {name}, not {count} "
                    f"(its splits are {known}); {_FEWER_CLIPS}, or add clips to the table."
                )
            result[name] += listed[:count]
    return result


def split_officially(
    files: Iterable[str], splits: Mapping[str, int | None], official: str, seed: int = 0
) -> dict[str, list[str]]:
    """Split clips as one of UCF101's three official splits does, on which results are published.

    Split 1 tests on the groups 1 to 7, split 2 on 8 to 14, and split 3 on 15 to 21. The official
    splits have no validation set. Here, a sixth of the other groups make one, so that the test
    clips need not be used for choices; the rest are the training set.

    Args:
        files: Names of clips.
        splits: Clips per class of the splits `train`, `val` and `test`; None takes all.
        official: One of `OFFICIAL_SPLITS`.
        seed: Seed of the choice of the validation groups.

    Returns:
        The names by split, class after class. Within a class, the first clip of every group
        precedes the second ones.

    Raises:
        ValueError: A class has too few clips for a split.
    """
    files, tested = list(files), _OFFICIAL_TEST_GROUPS[official]
    others = sorted({get_group(fname) for fname in files} - set(tested))
    random.Random(seed).shuffle(others)
    validating = others[: -(-len(others) // _GROUPS_PER_VALIDATION_GROUP)]
    training = set(others) - set(validating)
    groups_of = {"train": training, "val": validating, "test": tested}
    result: dict[str, list[str]] = {name: [] for name in splits}
    for class_name, class_files in files_by_class(files).items():
        by_group = _files_by_group(class_files)
        for name, count in splits.items():
            groups = [by_group[group] for group in by_group if group in groups_of[name]]
            found = _interleave(groups)
            if len(found) < (count or 1):
                raise ValueError(
                    f"{class_name} has {len(found)} clips in the groups of {official} for {name}, "
                    f"not {count or 'any'}; {_FEWER_CLIPS}, or use another split."
                )
            result[name] += found[:count]
    return result


def _files_by_group(files: Iterable[str]) -> dict[int, list[str]]:
    """Return the names of a class's clips by group, groups and names in order."""
    by_group = defaultdict(list)
    for fname in sorted(files):
        by_group[get_group(fname)].append(fname)
    return dict(sorted(by_group.items()))


def files_by_class(files: Iterable[str]) -> dict[str, list[str]]:
    """Return the names of clips by class, with the classes in alphabetical order."""
    by_class = defaultdict(list)
    for fname in files:
        by_class[get_class(fname)].append(fname)
    return dict(sorted(by_class.items()))


def _parse(fname: str | os.PathLike[str]) -> dict[str, str] | None:
    """Return the parts of a clip's name, or None if it has another form or is too long."""
    name = base_name(fname)
    # The regular expression would refuse combining marks, such as the vowel signs of Hindi.
    letters = ("a" if unicodedata.category(char).startswith("M") else char for char in name)
    match = _NAME.fullmatch("".join(letters))
    if match is None or len(name.encode()) > _MAX_NAME_BYTES:
        return None
    return {part: name[slice(*match.span(part))] for part in match.groupdict()}


def _parse_strictly(fname: str | os.PathLike[str]) -> dict[str, str]:
    parts = _parse(fname)
    if parts is None:
        raise ValueError(
            f"{fname} is not named like a clip of UCF101, such as v_PullUps_g01_c01.avi; "
            "rename or remove it."
        )
    return parts


def _format_counts(splits: Mapping[str, int]) -> str:
    return ", ".join(f"{count} for {name}" for name, count in splits.items())


def _check_enough(class_name: str, files: Sequence[str], splits: Mapping[str, int]) -> None:
    if len(files) < sum(splits.values()):
        raise ValueError(
            f"{class_name} has {len(files)} clips, but the splits need {_format_counts(splits)}; "
            f"{_FEWER_CLIPS}."
        )


def _assign_groups(sizes: Mapping[int, int], splits: Mapping[str, int]) -> dict[int, str] | None:
    """Assign groups to splits by depth-first search, and find an assignment if there is one.

    Args:
        sizes: Clips per group, in the order of assignment.
        splits: Clips needed per split.

    Returns:
        The split by group, or None if no assignment fills all splits.
    """
    search = _Search(list(sizes.values()), splits)
    # A stack, because recursion would reach Python's limit at a thousand groups.
    stack = [search.candidates()]
    while stack and not search.is_complete():
        name = next(stack[-1], None)
        if name is not None:
            search.assign(name)
            stack.append(search.candidates())
        else:
            stack.pop()
            search.back_up()
    return dict(zip(sizes, search.chosen)) if stack else None


class _Search:
    """The state of the search: the splits of the first groups, and the dead ends met so far."""

    def __init__(self, counts: Sequence[int], splits: Mapping[str, int]):
        self.counts, self.splits = counts, splits
        self.remaining, self.divisor = _remaining_clips(counts)
        needed = sum(splits.values())
        self.share = {name: sum(counts) * count / needed for name, count in splits.items()}
        self.assigned = dict.fromkeys(splits, 0)  # clips by split
        self.chosen: list[str] = []  # splits by position of the group
        self.dead_ends: set[tuple[int, tuple[int, ...]]] = set()

    def candidates(self) -> Iterator[str]:
        """Iterate over the splits for the next group, the one furthest below its share first."""
        if self.is_dead_end():
            return iter(())
        return iter(sorted(self.splits, key=lambda name: self.assigned[name] - self.share[name]))

    def assign(self, name: str) -> None:
        self.assigned[name] += self.counts[len(self.chosen)]
        self.chosen.append(name)

    def back_up(self) -> None:
        """Remember the state as a dead end, and undo the last assignment."""
        self.dead_ends.add(self._state())
        if self.chosen:
            name = self.chosen.pop()
            self.assigned[name] -= self.counts[len(self.chosen)]

    def is_complete(self) -> bool:
        return len(self.chosen) == len(self.counts) and not self.is_dead_end()

    def is_dead_end(self) -> bool:
        """Return whether the remaining groups can't fill the splits."""
        position, missing = self._state()
        # If all remaining groups have an even size, a split that lacks 5 clips will receive 6.
        unit = self.divisor[position]
        needed = sum(math.ceil(count / unit) * unit for count in missing)
        return needed > self.remaining[position] or (position, missing) in self.dead_ends

    def _state(self) -> tuple[int, tuple[int, ...]]:
        """Return the next group's position, and the clips that each split lacks."""
        missing = (max(0, self.splits[name] - self.assigned[name]) for name in self.splits)
        return len(self.chosen), tuple(missing)


def _remaining_clips(counts: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return, by position, the clips from that group on and the divisor of these groups' sizes."""
    totals, divisors = [0], [0]
    for count in reversed(counts):
        totals.append(totals[-1] + count)
        divisors.append(math.gcd(divisors[-1], count))
    return totals[::-1], [divisor or 1 for divisor in reversed(divisors)]


def _interleave(groups: Sequence[Sequence[str]]) -> list[str]:
    """Return the first clip of every group, then the second of every group, and so on."""
    longest = max(map(len, groups), default=0)
    return [group[i] for i in range(longest) for group in groups if i < len(group)]
