"""UCF101's names, and how its clips are split. Taught in the chapter *Load video*.

A clip is called `v_<Class>_g<group>_c<clip>.avi`; the class may be of several words, as in
`v_Push_Ups_g01_c01.avi`, and the suffix in capitals. All clips of a group are cut from one upload:
the same person in the same room (Soomro et al. 2012). A split that ignores the groups tests on
rooms that it trained on.
"""

import math
import random
import re
import unicodedata
from collections import defaultdict

# The last _g and _c count, so that a class of several words is told without doubt.
NAME = re.compile(
    r"v_(?P<class_name>[^\W_]+(?:[ _-]+[^\W_]+)*)_g(?P<group>\d+)_c(?P<clip>\d+)\.(?i:avi)"
)
FORM = "v_<Class>_g<group>_c<clip>.avi"
# How to ask for fewer, in Python and in a shell.
FEWER_CLIPS = "ask for fewer clips (splits, in a shell --per-class TRAIN VAL TEST)"


def base_name(fname):
    """Return a clip's name without the folders before it, whichever way their slashes lean, its accents composed (NFC)."""
    return unicodedata.normalize("NFC", re.split(r"[/\\]", str(fname))[-1])


def is_clip(fname):
    """Return whether a path ends in a name that UCF101 would give a clip."""
    return _parse(fname) is not None


def get_class(fname):
    """Return the class that a clip's name tells, such as `"PullUps"`.

    Args:
        fname: The clip's name, with or without folders before it.

    Raises:
        ValueError: The name is not one of UCF101's form.
    """
    return _check_parts(fname)["class_name"]


def get_group(fname):
    """Return the group that a clip's name tells, such as 7. Groups are numbered anew in each class.

    Args:
        fname: The clip's name, with or without folders before it.

    Raises:
        ValueError: The name is not one of UCF101's form.
    """
    return int(_check_parts(fname)["group"])


def split_by_group(files, splits, seed=0):
    """Split clips so that no two splits share a group of a class.

    The groups of a class are dealt out in a random order, the same one for every class, each to the
    split that is furthest from its share. Where that would leave a split short, other ways of
    dealing are tried until one fits.

    Args:
        files: Names of clips.
        splits: How many clips of each class a split gets, such as `{"train": 30, "val": 10, "test":
            10}`.
        seed: Seed of the random order.

    Returns:
        The names by split, class after class; within a class the groups take turns.

    Raises:
        ValueError: A class has too few clips or groups.
    """
    order = sorted({get_group(fname) for fname in files})
    random.Random(seed).shuffle(order)
    result = {name: [] for name in splits}
    for class_name, class_files in files_by_class(files).items():
        _check_enough(class_name, class_files, splits)
        by_group = defaultdict(list)
        for fname in sorted(class_files):
            by_group[get_group(fname)].append(fname)
        groups = [group for group in order if group in by_group]
        split_of = _deal({group: len(by_group[group]) for group in groups}, splits)
        if split_of is None:
            raise ValueError(
                f"{class_name} has {len(class_files)} clips in {len(groups)} groups, which can't be dealt out so that "
                f"{_wanted(splits)} share no group; {FEWER_CLIPS}."
            )
        for name, count in splits.items():
            own = [by_group[group] for group in groups if split_of[group] == name]
            result[name] += _take_turns(own)[:count]
    return result


def split_by_clip(files, splits, seed=0):
    """Split clips at random, as the TensorFlow tutorial does, whatever group they are from.

    Args, returns and errors are those of `split_by_group`.
    """
    rng = random.Random(seed)
    result = {name: [] for name in splits}
    for class_name, class_files in files_by_class(files).items():
        _check_enough(class_name, class_files, splits)
        remaining = sorted(class_files)
        rng.shuffle(remaining)
        for name, count in splits.items():
            result[name] += remaining[:count]
            remaining = remaining[count:]
    return result


def split_by_table(files, splits, table):
    """Split clips as a table says, such as `read_split` returns.

    Args:
        files: Names of clips.
        splits: How many clips of each class a split gets, in the order of their names.
        table: The split by name of clip, in capitals or not; clips that it does not name get none.

    Returns:
        The names by split, class after class.

    Raises:
        ValueError: The table gives a split too few clips of a class.
    """
    result = {name: [] for name in splits}
    table = {base_name(name): split for name, split in table.items()}
    for class_name, class_files in files_by_class(files).items():
        for name, count in splits.items():
            chosen = sorted(
                file
                for file in class_files
                if table.get(base_name(file), "").lower() == name.lower()
            )
            if len(chosen) < count:
                raise ValueError(
                    f"The table names {len(chosen)} clips of {class_name} for {name}, not {count} (its splits: "
                    f"{', '.join(sorted(filter(None, set(table.values()))))}); {FEWER_CLIPS}, or add some to it."
                )
            result[name] += chosen[:count]
    return result


def files_by_class(files):
    """Return the names of clips by class, classes in alphabetical order."""
    by_class = defaultdict(list)
    for fname in files:
        by_class[get_class(fname)].append(fname)
    return dict(sorted(by_class.items()))


def _parse(fname):
    """Return the parts of a clip's name; None for other names, and for those that are too long for a file's."""
    name = base_name(fname)
    # For re, marks such as the vowels of Hindi are no part of a word.
    match = NAME.fullmatch(
        "".join("a" if unicodedata.category(sign).startswith("M") else sign for sign in name)
    )
    if match is None or len(name.encode()) > 255:
        return None
    return {part: name[slice(*match.span(part))] for part in match.groupdict()}


def _check_parts(fname):
    parts = _parse(fname)
    if parts is None:
        raise ValueError(
            f"{fname} is not named like a clip of UCF101, such as v_PullUps_g01_c01.avi; rename or remove it."
        )
    return parts


def _wanted(splits):
    return ", ".join(f"{count} for {name}" for name, count in splits.items())


def _check_enough(class_name, class_files, splits):
    if len(class_files) < sum(splits.values()):
        raise ValueError(
            f"{class_name} has {len(class_files)} clips, but {_wanted(splits)} are asked for; {FEWER_CLIPS}."
        )


def _deal(sizes, splits):
    """Deal groups to splits: depth first, remembering what failed, so that it finds a way if there is one.

    Args:
        sizes: Clips by group, in the order of dealing.
        splits: Clips needed by split.

    Returns:
        The split by group, or None where no way exists.
    """
    counts, names = list(sizes.values()), list(splits)
    share = {name: sum(counts) * count / sum(splits.values()) for name, count in splits.items()}
    left, unit = _left(counts)
    dealt, chosen, failed = dict.fromkeys(names, 0), [], set()

    def state():
        return len(chosen), tuple(max(0, splits[name] - dealt[name]) for name in names)

    def hopeless():
        position, missing = state()
        needed = sum(-(-clips // unit[position]) * unit[position] for clips in missing)
        return needed > left[position] or (position, missing) in failed

    def choices():
        return iter(() if hopeless() else sorted(names, key=lambda name: dealt[name] - share[name]))

    stack = [choices()]  # not recursion, which Python ends at a thousand groups
    while stack and (len(chosen) < len(counts) or hopeless()):
        name = next(stack[-1], None)
        if name is None:
            failed.add(state())
            stack.pop()
            if chosen:
                name = chosen.pop()
                dealt[name] -= counts[len(chosen)]
        else:
            dealt[name] += counts[len(chosen)]
            chosen.append(name)
            stack.append(choices())
    return dict(zip(sizes, chosen)) if stack else None


def _left(counts):
    """Return how many clips are left from each position on, and what divides the sizes of the groups that are left."""
    left, unit = [0], [0]
    for count in reversed(counts):
        left.append(left[-1] + count)
        unit.append(math.gcd(unit[-1], count))
    return left[::-1], [size or 1 for size in reversed(unit)]


def _take_turns(groups):
    """Return the first clip of every group, then the second of every group, and so on."""
    longest = max(map(len, groups), default=0)
    return [group[i] for i in range(longest) for group in groups if i < len(group)]
