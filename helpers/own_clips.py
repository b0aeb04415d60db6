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
from helpers.clips import is_table, read_clips
from helpers.inspection import (
    choose_frame_step,
    inspect_clips,
    join_duplicates,
    list_names,
    set_frame_steps,
    summarize,
    write_page,
)
from helpers.playback import FPS
from helpers.records import short_hash
from helpers.settings import Settings, project_root
from helpers.splits import split_by_group

SPLITS = ("train", "val", "test")
# Names of runs are cut to so many characters, because a file system allows no longer ones.
_MAX_NAME = 60
CACHES = ("memory", "disk", "none")
# At most so many irregular clips are listed.
_MAX_NOTES = 10
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
        and the columns of `helpers.inspection.inspect_clips`; and the settings for these clips,
        with more epochs if there are few clips.

    Raises:
        ValueError: The clips can't be read or split; the message names the file and the remedy.
    """
    source = pathlib.Path(source)
    clips = read_clips(source, group)
    clips = inspect_clips(clips.assign(name=list(_names(source, clips))))
    name = (source.resolve().stem if is_table(source) else source.resolve().name)[:_MAX_NAME]
    page = project_root() / "runs" / name / "clips.html"
    _write_page(clips, page, [])
    for line in (*summarize(clips), f"{os.path.relpath(page)} shows a film strip of each class"):
        log(line)
    everything = clips
    clips = _drop_unreadable(clips, source, leave_out, log)
    clips, notes = join_duplicates(clips)
    notes += [*_describe_irregularities(clips), *_describe_groups(clips)]
    _write_page(everything, page, notes)
    for note in notes:
        log(note)
    clips = _split(clips, source, settings.seed)
    for split in SPLITS:
        counts = clips["class_name"][clips["split"] == split].value_counts(sort=False).sort_index()
        listed = ", ".join(f"{count} {class_name}" for class_name, count in counts.items())
        log(f"{split:5}  {counts.sum()} clips: {listed}")
    step = frame_step or choose_frame_step(clips, settings.n_frames)
    clips = set_frame_steps(clips, step)
    log(f"{settings.n_frames} frames of each clip, {step / FPS:.2g} s apart")
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
        if not name.isprintable() and _is_undecodable(name):
            raise ValueError(f"{name!r} in {folder} is not a name in UTF-8; rename the file.")
        yield name


def _is_undecodable(name):
    """Return whether a file's name is not valid UTF-8, which Python marks with surrogates."""
    return any("\ud800" <= char <= "\udfff" for char in name)


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
    for name, problem in zip(problems["name"], problems["problem"]):
        log(f"left out: {name}, because {problem}")
    for class_name in sorted(set(problems["class_name"]) - set(readable["class_name"])):
        log(f"left out: the class {class_name}, because none of its clips can be read")
    return readable


def _describe_irregularities(clips):
    """Return sentences about odd clips that can be read, and about names that look alike."""
    odd = clips[clips["notes"] != ""]
    notes = [f"{name}: {note}" for name, note in zip(odd["name"], odd["notes"])]
    if len(notes) > _MAX_NOTES:
        notes[_MAX_NOTES:] = [f"{len(notes) - _MAX_NOTES} more clips are odd in such ways."]
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
    count = "No clip has a group" if unknown.all() else f"{unknown.sum()} clips have no group"
    return [
        f"{count}, so clips of one person or place may be in two splits, and the test accuracy may "
        "be too high for new ones; say which clips belong together with folders "
        "(CLASS/GROUP/clip.mp4), --group PATTERN, or a table with a column group."
    ]


def _split(clips, source, seed):
    """Return the clips with their splits: those of the table, or else assigned by group."""
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
        dealt = split_by_group(clips[training], seed, ("train", "val"))
        clips.loc[training, "split"] = dealt["split"]
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


def hash_clips(clips: pd.DataFrame) -> str:
    """Return a hash of all that a run reads from a table of clips, as 8 hexadecimal digits.

    Args:
        clips: A table from `prepare_clips`. The folder that its files are in does not matter.
    """
    columns = ["name", "class_name", "group", "split", "frame_step", "bounds", "content"]
    return short_hash(clips[columns].to_csv(index=False))


def choose_cache(clips: pd.DataFrame, settings: Settings) -> str:
    """Choose where to keep decoded frames: in memory, or else on disk, or else nowhere.

    The first place is taken in which they fit into half of the free space.

    Args:
        clips: A table from `prepare_clips`.
        settings: The settings of the run.

    Returns:
        One of `CACHES`.
    """
    size = cache_size(clips, settings)
    if size <= _SHARE * psutil.virtual_memory().available:
        return "memory"
    return "disk" if size <= _SHARE * shutil.disk_usage(project_root()).free else "none"


def cache_size(clips: pd.DataFrame, settings: Settings) -> int:
    """Return the size of the decoded frames that a run's cache holds, in bytes.

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
