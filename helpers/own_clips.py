"""Prepare your own clips for training. Taught in the chapter *Train on your own clips*."""

import dataclasses
import math
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator

import pandas as pd
import psutil

from helpers.cache import cached_indices
from helpers.clips import count_noun, is_table, read_clips
from helpers.inspection import inspect_clips, join_duplicates, list_names, summarize, write_page
from helpers.playback import FPS
from helpers.records import short_hash
from helpers.settings import Settings, project_root
from helpers.splits import split_by_group

SPLITS = ("train", "val", "test")
# Names of runs are cut to so many characters, because a file system allows no longer ones.
_MAX_NAME = 60
# Clips this many times as long as the sampled part are mentioned.
_LONG = 3
# At most so many notes of a kind are given.
_MAX_NOTES = 10
# Sampled frames are at most as far apart as in the tutorial, and together they cover this share of
# half of the clips or more, so that random starts differ.
_MAX_STEP = 15
_COVERED = 0.8
# A network needs at least this many training steps, however few the clips are.
_MIN_STEPS = 200
# The cache takes at most this share of the free memory, or of the free disk space.
_SHARE = 0.5


def prepare_clips(
    source: str | os.PathLike[str],
    settings: Settings,
    *,
    group: str | None = None,
    frame_step: int | None = None,
    leave_out: bool = False,
    log: Callable[[str], object] = print,
) -> tuple[pd.DataFrame, Settings]:
    """Read a folder or a table of your own clips, inspect them, and split them by group.

    The clips are described line by line, and on a page with a film strip of each class, in
    `runs/`. Clips with the same content are put into the same split. If the table assigns clips to
    splits, that holds; without a validation set, it is split off the training set.

    Args:
        source: The folder or the table, as for `helpers.clips.read_clips`.
        settings: Settings for the data set `"own"`, from `helpers.settings.current`.
        group: Regular expression that finds a clip's group in its path.
        frame_step: Distance between sampled frames, in frames at 25 per second; None takes one that
            suits the lengths of the clips.
        leave_out: Whether to leave out clips that can't be read.
        log: Function that is called with a line of text about what was found and decided.

    Returns:
        `(clips, settings)`: a row per clip that can be read, with `name`, `split`, `frame_step`
        and the columns of `helpers.inspection.inspect_clips` (its attribute `attrs["left_out"]`
        names the other clips); and the settings for these clips, with more epochs if there are few.

    Raises:
        ValueError: The clips can't be read or split; the message names the file and the remedy.
    """
    source = pathlib.Path(source)
    clips = read_clips(source, group)
    clips = inspect_clips(clips.assign(name=list(_names(source, clips))))
    for line in summarize(clips):
        log(line)
    name = (source.resolve().stem if is_table(source) else source.resolve().name)[:_MAX_NAME]
    clips = _check(clips, source, leave_out, project_root() / "runs" / name / "clips.html", log)
    clips = _split(clips, source, settings.seed)
    _describe_splits(clips, log)
    step = frame_step or choose_frame_step(clips, settings.n_frames)
    _describe_sampling(clips, settings.n_frames, step, log)
    clips = set_frame_steps(clips, step)
    batches = math.ceil((clips["split"] == "train").sum() / settings.batch_size)
    return clips, dataclasses.replace(
        settings,
        frame_step=step,
        epochs=max(settings.epochs, math.ceil(_MIN_STEPS / batches)),
        num_classes=clips["class_name"].nunique(),
        splits=clips["split"].value_counts().to_dict(),
        clips=name,
        clips_hash=hash_clips(clips),
    )


def _names(source: pathlib.Path, clips: pd.DataFrame) -> Iterator[str]:
    """Iterate over the names of clips: paths below the source, and the seconds of a part."""
    folder = source.parent if is_table(source) and not source.is_dir() else source
    for _, clip in clips.iterrows():
        name = pathlib.PurePath(os.path.relpath(clip["file"], folder)).as_posix()
        times = [clip.get(column) for column in ("begin", "end")]
        if any(pd.notna(time) for time in times):
            begin, end = ("" if pd.isna(time) else f"{time:g}" for time in times)
            name += f" ({begin or '0'} s to {end + ' s' if end else 'its end'})"
        # Python marks bytes that are not UTF-8 with surrogates.
        if any("\ud800" <= char <= "\udfff" for char in name):
            raise ValueError(f"{name!r} in {folder} is not a name in UTF-8; rename the file.")
        yield name


def _check(clips, source, leave_out, page, log):
    """Return the clips that can be read, with copies in one group; describe what is odd.

    The page is written also if the clips are refused, because it helps to find out why.
    """
    notes: list[str] = []
    try:
        readable = _drop_unreadable(clips, source, leave_out, log)
        readable, copies = join_duplicates(readable)
        notes = [
            *_at_most(copies),
            *_at_most(_describe_irregularities(readable)),
            *_describe_groups(readable),
        ]
    finally:
        _write_page(clips, page, notes)
        log(f"{os.path.relpath(page)} shows a film strip of each class")
    for note in notes:
        log(note)
    return readable


def _at_most(notes):
    """Return notes, the first ones of many."""
    if len(notes) <= _MAX_NOTES:
        return notes
    return [*notes[:_MAX_NOTES], f"({len(notes) - _MAX_NOTES} more such notes)"]


def _write_page(clips, page, notes):
    try:
        write_page(clips, page, notes)
    except OSError as error:
        raise ValueError(
            f"{page} can't be written ({error.strerror or error}); make the folder writable, or "
            "run the command in another one."
        ) from error


def _drop_unreadable(clips, source, leave_out, log):
    """Return the clips that can be read; others are an error unless they are to be left out."""
    problems = clips[clips["problem"].notna()]
    if problems.empty:
        return clips
    if len(problems) == len(clips):
        raise ValueError(
            f"None of the {len(clips)} clips in {source} can be read; "
            f"the first: {problems['problem'].iloc[0]}"
        )
    if not leave_out:
        raise ValueError(
            f"{len(problems)} of the {len(clips)} clips in {source} can't be read; repair or "
            "remove them, or leave them out with --leave-out (in Python: leave_out=True). "
            f"The first: {problems['problem'].iloc[0]}"
        )
    readable = clips[clips["problem"].isna()].reset_index(drop=True)
    readable.attrs["left_out"] = list(problems["name"])
    for name, problem in zip(problems["name"], problems["problem"]):
        log(f"left out: {name}, because {problem}")
    for class_name in sorted(set(problems["class_name"]) - set(readable["class_name"])):
        log(f"left out: the class {class_name}, because none of its clips can be read")
    return readable


def _describe_irregularities(clips):
    """Return sentences about odd clips that can be read, and about names that look alike."""
    odd = clips[clips["notes"] != ""]
    notes = [f"{name}: {note}" for name, note in zip(odd["name"], odd["notes"])]
    for column, title in (("class_name", "classes"), ("group", "groups")):
        alike: dict[str, list[str]] = {}
        for name in sorted(clips[column].dropna().unique()):
            alike.setdefault(name.strip().casefold(), []).append(name)
        notes += [
            f"The {title} {' and '.join(map(repr, names))} differ only in case or in spaces."
            for names in alike.values()
            if len(names) > 1
        ]
    return notes


def _describe_groups(clips):
    """Return sentences about the groups, and about clips whose group is unknown."""
    unknown = clips["group"].isna()
    if not unknown.any():
        names = sorted(clips["group"].unique())
        return [f"{len(names)} groups: {list_names(names)}"]
    which = "No clip has a group"
    if not unknown.all():
        which = f"{count_noun(unknown.sum(), 'clip')} without a group"
    return [
        f"{which}, so clips of one person or place may be in two splits; the test accuracy may "
        "then be too high, and its interval too narrow. Say which clips belong together with "
        "folders (CLASS/GROUP/clip.mp4), --group PATTERN, or a table with a column group."
    ]


def _split(clips, source, seed):
    """Return the clips with their splits: those of the table, or else assigned by group.

    If the table has no validation set, it is split off the training set.
    """
    if "split" not in clips or clips["split"].isna().all():
        return split_by_group(clips, seed)
    if clips["split"].isna().any():
        name = clips["name"][clips["split"].isna()].iloc[0]
        raise ValueError(
            f"{source} gives no split for {name}; fill in the column split, or leave all of it "
            "empty to split by group."
        )
    if unknown := sorted(set(clips["split"]) - set(SPLITS)):
        raise ValueError(
            f"{source} has the split {unknown[0]}, which is none of {', '.join(SPLITS)}; rename it."
        )
    if "val" not in set(clips["split"]):
        training = clips["split"] == "train"
        if not training.any():
            raise ValueError(f"{source} has no clip in train; assign some to it.")
        clips.loc[training, "split"] = split_by_group(clips[training], seed, SPLITS[:2])["split"]
    _check_splits(clips, source)
    return clips


def _check_splits(clips, source):
    """Check that each split has all classes, and that no group is in two splits."""
    for split in SPLITS:
        present = set(clips["class_name"][clips["split"] == split])
        if missing := sorted(set(clips["class_name"]) - present):
            raise ValueError(
                f"{source} has no clip of {', '.join(missing)} in {split}; assign some to it, or "
                "leave the class out."
            )
    splits_of = clips.groupby("group")["split"].unique()
    for group, splits in splits_of.items():
        if len(splits) > 1:
            raise ValueError(
                f"{source} has clips of the group {group} in {' and in '.join(splits)}, so the "
                "splits are not independent; move them into one split, or correct the group."
            )


def _describe_splits(clips, log):
    for split in SPLITS:
        counts = clips["class_name"][clips["split"] == split].value_counts(sort=False).sort_index()
        listed = ", ".join(f"{count} {class_name}" for class_name, count in counts.items())
        log(f"{split:5}  {count_noun(counts.sum(), 'clip')}: {listed}")


def _describe_sampling(clips, n_frames, frame_step, log):
    log(f"{n_frames} frames of each clip, {frame_step / FPS:.2g} s apart")
    span = (n_frames - 1) * frame_step / FPS
    if n_long := (clips["seconds"] > _LONG * span).sum():
        log(
            f"{n_long} of the clips last more than {_LONG} times the {span:.1f} s that these frames"
            " cover: training sees a random part of them, and the test their middle. If the action "
            "is somewhere else, cut them with the columns begin and end of a table."
        )


def choose_frame_step(clips: pd.DataFrame, n_frames: int) -> int:
    """Return a distance between sampled frames that suits the lengths of the clips.

    The sampled frames cover four fifths of a clip of median length, but are at most 0.6 s apart,
    as in the TensorFlow tutorial.

    Args:
        clips: A table from `inspect_clips`.
        n_frames: Number of frames to sample from a clip.

    Returns:
        The distance in frames at 25 frames per second.
    """
    step = _COVERED * clips["seconds"].astype(float).median() / max(n_frames - 1, 1)
    return min(_MAX_STEP, max(1, int(step * FPS)))


def set_frame_steps(clips: pd.DataFrame, frame_step: int) -> pd.DataFrame:
    """Return a copy of a table with the distance between sampled frames in each clip's own frames.

    Cameras differ in their frame rates, so that the same step would be a different time.

    Args:
        clips: A table from `inspect_clips`.
        frame_step: The distance in frames at 25 frames per second.

    Returns:
        The table with the column `frame_step`, 1 or more.
    """
    steps = (clips["rate"].astype(float) * frame_step / FPS).round().clip(lower=1)
    return clips.assign(frame_step=steps.astype(int))


def hash_clips(clips: pd.DataFrame) -> str:
    """Return a hash of all that a run reads from a table of clips, as 8 hexadecimal digits.

    Args:
        clips: A table from `prepare_clips`. The folder that its files are in does not matter.
    """
    columns = ["name", "class_name", "group", "split", "frame_step", "bounds", "content"]
    return short_hash(clips[columns].to_csv(index=False))


def choose_cache(n_bytes: int, folder: pathlib.Path) -> str:
    """Choose where to keep decoded frames: in memory, or else on disk, or else nowhere.

    The first place is taken in which they fit into half of the free space.

    Args:
        n_bytes: Their size, from `cache_size`.
        folder: The folder of a cache on disk; what it already holds counts as free space.

    Returns:
        `"memory"`, `"disk"` or `"none"`.
    """
    if n_bytes <= _SHARE * psutil.virtual_memory().available:
        return "memory"
    held = sum(file.stat().st_size for file in folder.glob("*/*.frames"))
    free = shutil.disk_usage(project_root()).free + held
    return "disk" if n_bytes <= _SHARE * free else "none"


def cache_size(clips: pd.DataFrame, settings: Settings) -> int:
    """Return the size in bytes that a run's decoded frames have at most.

    Args:
        clips: A table from `prepare_clips`.
        settings: The settings of the run.
    """
    n_frames = 0
    columns = (clips[name] for name in ("bounds", "frame_step", "split"))
    for (first, stop), frame_step, split in zip(*columns):
        sampling = settings.n_frames, frame_step, "random" if split == "train" else "center"
        n_frames += len(cached_indices(stop - first, *sampling, settings.start_step))
    return n_frames * settings.size**2 * 3
