"""What is saved of a run, and how it goes on from there. Taught in the chapter *Train*."""

import contextlib
import errno
import json
import math
import zipfile
import zlib

import keras

from helpers.atomic import atomic_write
from helpers.recipes import Recipe
from helpers.records import run_folder, write_json

LAST, BEST, HISTORY, RECORD = "last.keras", "best.keras", "history.json", "record.json"


# What reading a damaged file of a run raises.
UNREADABLE = (
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
    """Training can't begin or go on; the message says why, and what to do."""


def load_run(settings, recipe=Recipe()):
    """Return `(model, record)` of a finished run of the same settings, recipe and helpers, or None.

    Raises:
        TrainingError: Its files are damaged, or one is missing.
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


def save_model(model, path):
    """Save a model to a file that is there whole or not at all.

    Raises:
        TrainingError: The file can't be written.
    """
    with _explain_write_errors(path), atomic_write(path) as temp_path:
        model.save(temp_path)


@contextlib.contextmanager
def _explain_read_errors(path):
    """Tell of a file of a run that is not what it should be, whatever it is instead."""
    try:
        yield
    except UNREADABLE as error:
        reason = (
            f"it lacks {error}"
            if isinstance(error, KeyError)
            else next(iter(str(error).splitlines()), type(error).__name__)
        )
        raise TrainingError(
            f"{path.parent} holds a run that can't be gone on from ({path.name}: {reason}); begin anew with --restart "
            "(in Python resume=False)."
        ) from error


@contextlib.contextmanager
def _explain_write_errors(path):
    """Tell of a file of a run that can't be written, and from which model the run can go on."""
    try:
        yield
    except OSError as error:
        reason = (
            "the disk is full"
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            else error.strerror or str(error)
        )
        raise TrainingError(
            f"{path} can't be written ({reason}; {last_saved(path.parent)}); make room there, and run the same again, without --restart: it goes on."
        ) from error


def last_saved(folder):
    """Return a clause that names the model from which a run can resume."""
    last = folder / LAST
    return (
        f"{last} still holds the model of the last whole epoch"
        if last.exists()
        else "no epoch had been saved before"
    )


def resume_run(model, folder, clips):
    """Give a model the state that it had after the last whole epoch; return the rows of the history up to there, or none."""
    if not can_resume(folder):
        return []
    with _explain_read_errors(folder / LAST):
        saved = keras.models.load_model(folder / LAST)
        if not saved.compiled:
            raise ValueError("it is not compiled")
        done = int(saved.optimizer.iterations) // clips["batches"]
    with _explain_read_errors(folder / HISTORY):
        rows = json.loads((folder / HISTORY).read_text())
        check_same_clips(rows[0]["clips"], clips, folder)
        _check_numbers(rows)
        if len(rows) < done:
            raise ValueError(f"it is of {len(rows)} epochs, and {LAST} of {done}")
    with _explain_read_errors(folder / LAST):
        _take_over(model, saved)
    return rows[:done]


def _check_numbers(rows):
    """Raise a TypeError, LookupError or ValueError where a row of a history lacks a number that the first one has, or has to have."""
    for row in rows:
        if not all(
            math.isfinite(row[name]) for name in {"val_accuracy", "seconds", *rows[0]} - {"clips"}
        ):
            raise ValueError("it holds what is no number")


def _take_over(model, saved):
    """Give a model the weights and the optimiser's state of a saved one.

    Raises:
        ValueError: It is another network, or has another optimiser.
    """
    if [weight.shape for weight in saved.weights] != [weight.shape for weight in model.weights]:
        raise ValueError("it is another network")
    model.set_weights(saved.get_weights())
    # A saved optimiser forgets what it is to exclude from weight decay: only its numbers are taken.
    model.optimizer.build(model.trainable_variables)
    if [variable.shape for variable in saved.optimizer.variables] != [
        variable.shape for variable in model.optimizer.variables
    ]:
        raise ValueError("it has another optimiser")
    for own, value in zip(model.optimizer.variables, saved.optimizer.variables):
        own.assign(value)


def can_resume(folder):
    """Return whether a folder holds an interrupted run to resume."""
    return (folder / LAST).exists() and (folder / HISTORY).exists()


def check_same_clips(old, new, folder):
    """Raise a TrainingError where a run was trained on other clips than are there now; `save_run` isn't told which (None)."""
    if old is not None and old != new:
        raise TrainingError(
            f"{folder} holds a run on other clips ({old['batches']} batches an epoch, now {new['batches']}): some were mended, left out, or "
            "come from another ZIP; get the same ones again, or begin anew with --restart (in Python resume=False)."
        )


def replace_run(model, folder):
    """Save the first model of a new run, and only once it is all there remove what an earlier run has left."""
    with _explain_write_errors(folder / LAST), atomic_write(folder / LAST) as temp_path:
        model.save(temp_path)
        # The record goes first, for it vouches for the model; without a history no run goes on.
        for name in (RECORD, HISTORY, BEST):
            (folder / name).unlink(missing_ok=True)


def save_record(record, folder):
    """Save the record of a finished run, and return it.

    Where there is a record, the model beside it is complete.
    """
    save_json(folder / RECORD, record)
    return record


def save_json(path, content):
    """Save a JSON file of a run.

    Raises:
        TrainingError: The file can't be written.
    """
    with _explain_write_errors(path):
        write_json(path, content)
