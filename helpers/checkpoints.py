"""Save a run after each epoch, and resume it. Taught in the chapter *Train*."""

import contextlib
import dataclasses
import errno
import json
import math
import pathlib
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import keras

from helpers.atomic import atomic_write
from helpers.recipes import Recipe
from helpers.records import run_folder, short_hash, write_json
from helpers.settings import Settings

if TYPE_CHECKING:
    from helpers.batches import ClipBatches

# The files of a run: the model after the last epoch, the model with the best validation accuracy,
# the metrics by epoch, and the record of the finished run.
LAST, BEST, HISTORY, RECORD = "last.keras", "best.keras", "history.json", "record.json"

# Exceptions that damaged files of a run lead to.
_READ_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    NotImplementedError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
)


class TrainingError(Exception):
    """Training can't start or continue; the message gives the reason and the remedy."""


def load_run(
    settings: Settings, recipe: Recipe = Recipe()
) -> tuple[keras.Model, dict[str, Any]] | None:
    """Return `(model, record)` of a finished run of these settings, recipe and helpers, or None.

    Raises:
        TrainingError: A file of the run is damaged or missing.
    """
    folder = run_folder(settings, recipe)
    if not (folder / RECORD).exists():
        return None
    with _explain_read_errors(folder / RECORD):
        record = json.loads((folder / RECORD).read_text())
        if missing := {"history", "seconds", "hardware", "left_out"} - set(record):
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    with _explain_read_errors(folder / LAST):
        return keras.models.load_model(folder / LAST), record


def resume_run(
    model: keras.Model, folder: pathlib.Path, clips: dict[str, Any]
) -> list[dict[str, Any]]:
    """Restore a model's weights and optimiser as they were after the last complete epoch.

    Args:
        model: A compiled network, the same as that of the run.
        folder: Folder of the run.
        clips: The clips of the training, from `describe_clips`.

    Returns:
        The history up to that epoch, one row per epoch; empty if there is no run to resume.

    Raises:
        TrainingError: A file of the run is damaged or missing, or the run had other clips.
    """
    if not can_resume(folder):
        return []
    with _explain_read_errors(folder / LAST):
        saved = keras.models.load_model(folder / LAST)
        if not saved.compiled:
            raise ValueError("it is not compiled")
        n_epochs = int(saved.optimizer.iterations) // clips["batches"]
    with _explain_read_errors(folder / HISTORY):
        rows = json.loads((folder / HISTORY).read_text())
        check_same_clips(rows[0]["clips"], clips, folder)
        _check_numbers(rows)
        if len(rows) < n_epochs:
            raise ValueError(f"it has {len(rows)} epochs, but {LAST} has {n_epochs}")
    with _explain_read_errors(folder / LAST):
        _copy_state(saved, model)
    return rows[:n_epochs]


def can_resume(folder: pathlib.Path) -> bool:
    """Return whether a folder holds an interrupted run to resume."""
    return (folder / LAST).exists() and (folder / HISTORY).exists()


def why_not_resumable(settings: Settings, recipe: Recipe) -> str | None:
    """Return the reason why there is no run to resume, or None if there is one."""
    folder = run_folder(settings, recipe)
    if (folder / RECORD).exists() or can_resume(folder):
        return None
    if (folder / LAST).exists():
        return f"{folder / LAST} has no {HISTORY} beside it"
    pattern = re.compile(rf"{re.escape(recipe.name)}-(\d+)epochs-\w+")
    others = []
    for path in sorted(folder.parent.glob(f"*/{LAST}")):
        if match := pattern.fullmatch(path.parent.name):
            others.append(path.parent.name)
            epochs = int(match[1])
            if path.parent == run_folder(dataclasses.replace(settings, epochs=epochs), recipe):
                return (
                    f"a run with --epochs {epochs} can't be extended, because {_why_fixed(recipe)}"
                )
    if others:
        return f"{', '.join(others)} differs in settings, recipe, backend or the helpers' code"
    return f"{folder.parent} has no run of {recipe.name}"


def _why_fixed(recipe):
    """Return a clause that explains why a run's number of epochs can't change."""
    if recipe.cosine:
        return "its learning rate depends on the number of epochs"
    return "the number of epochs is part of its settings"


def describe_clips(data: Mapping[str, "ClipBatches"]) -> dict[str, Any]:
    """Return what has to stay the same when a run is resumed.

    Args:
        data: Batches by split.

    Returns:
        `batches`: the batches of an epoch; `names`: a hash of the names of the training and
        validation clips.
    """
    splits = [data[split] for split in ("train", "val")]
    names = [
        [f"{clips.class_names[label]}/{name}" for label, name in zip(clips.labels, clips.names)]
        for clips in splits
    ]
    return {"batches": len(data["train"]), "names": short_hash(json.dumps(names))}


def check_same_clips(old: dict[str, Any] | None, new: dict[str, Any], folder: pathlib.Path) -> None:
    """Raise a TrainingError if a run was trained on other clips than those here now.

    Args:
        old: The clips of the run, from `describe_clips`; None if they are unknown, as in the record
            of `helpers.training.save_run`.
        new: The clips here now, from `describe_clips`.
        folder: Folder of the run.
    """
    if old is not None and old != new:
        raise TrainingError(
            f"{folder} holds a run on other clips ({old['batches']} batches per epoch, now "
            f"{new['batches']}): some were repaired or left out, or they come from another ZIP; "
            "fetch the same clips again, or start again with --restart (in Python: resume=False)."
        )


def save_epoch(model: keras.Model, rows: list[dict[str, Any]], folder: pathlib.Path) -> None:
    """Save all that is needed to resume a run after its latest epoch.

    Args:
        model: The compiled network as it is after that epoch.
        rows: The history so far, one row per epoch.
        folder: Folder of the run.

    Raises:
        TrainingError: A file can't be written.
    """
    *earlier, row = rows
    if not earlier:
        replace_run(model, folder)
    if all(row["val_accuracy"] > other["val_accuracy"] for other in earlier):
        save_model(model, folder / BEST)
    # The model comes last, because it determines how many rows count.
    _save_json(folder / HISTORY, rows)
    save_model(model, folder / LAST)


def replace_run(model: keras.Model, folder: pathlib.Path) -> None:
    """Save the first model of a new run, and then remove the other files of an earlier run.

    Raises:
        TrainingError: The file can't be written; the earlier run is still complete.
    """
    with _explain_write_errors(folder / LAST), atomic_write(folder / LAST) as temp_path:
        model.save(temp_path)
        # The record goes first, because it marks a run as finished; without a history, no run can
        # be resumed.
        for name in (RECORD, HISTORY, BEST):
            (folder / name).unlink(missing_ok=True)


def save_model(model: keras.Model, path: pathlib.Path) -> None:
    """Save a model atomically.

    Raises:
        TrainingError: The file can't be written.
    """
    with _explain_write_errors(path), atomic_write(path) as temp_path:
        model.save(temp_path)


def save_record(record: dict[str, Any], folder: pathlib.Path) -> dict[str, Any]:
    """Save the record of a finished run, and return it.

    If a folder has a record, the model beside it is complete: save the model first.

    Raises:
        TrainingError: The file can't be written.
    """
    _save_json(folder / RECORD, record)
    return record


def last_saved(folder: pathlib.Path) -> str:
    """Return a clause that names the model from which a run can resume."""
    last = folder / LAST
    if last.exists():
        return f"{last} still holds the model of the last complete epoch"
    return "no epoch has been saved yet"


def _save_json(path, content):
    with _explain_write_errors(path):
        write_json(path, content)


def _check_numbers(rows):
    """Check that each row of a history has all numbers of the first row, and those that it needs.

    Raises:
        TypeError: A value is not a number.
        LookupError: A number is missing.
        ValueError: A number is not finite.
    """
    names = {"val_accuracy", "seconds", *rows[0]} - {"clips"}
    if not all(math.isfinite(row[name]) for row in rows for name in names):
        raise ValueError("it holds a number that is not finite")


def _copy_state(saved, model):
    """Copy weights and optimiser state from a saved model.

    Raises:
        ValueError: It is another network, or has another optimiser.
    """
    if _shapes(saved.weights) != _shapes(model.weights):
        raise ValueError("it is another network")
    model.set_weights(saved.get_weights())
    # Only the values are copied: a loaded optimiser has lost its exclusions from weight decay.
    model.optimizer.build(model.trainable_variables)
    if _shapes(saved.optimizer.variables) != _shapes(model.optimizer.variables):
        raise ValueError("it has another optimiser")
    for variable, value in zip(model.optimizer.variables, saved.optimizer.variables):
        variable.assign(value)


def _shapes(variables):
    return [variable.shape for variable in variables]


@contextlib.contextmanager
def _explain_read_errors(path: pathlib.Path) -> Iterator[None]:
    """Turn errors that a damaged file of a run leads to into a TrainingError."""
    try:
        yield
    except _READ_ERRORS as error:
        lines = str(error).splitlines()
        reason = lines[0] if lines else type(error).__name__
        if isinstance(error, KeyError):
            reason = f"it lacks {error}"
        raise TrainingError(
            f"{path.parent} holds a run that can't be resumed ({path.name}: {reason}); start again "
            "with --restart (in Python: resume=False)."
        ) from error


@contextlib.contextmanager
def _explain_write_errors(path: pathlib.Path) -> Iterator[None]:
    """Turn errors in writing a file of a run into a TrainingError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            reason = "the disk is full"
        raise TrainingError(
            f"{path} can't be written ({reason}; {last_saved(path.parent)}); make sure that the "
            "folder is writable and has free space, then run the same again without --restart to "
            "resume."
        ) from error
