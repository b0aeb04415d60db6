"""Explain in one sentence that memory ran out, and what needs less. Used in the chapter *Train*."""

import contextlib
import errno
import pathlib
import sys
from collections.abc import Iterator

import cv2

from helpers.checkpoints import TrainingError, last_saved
from helpers.recipes import Recipe
from helpers.settings import Settings

# How TensorFlow, PyTorch, JAX, NumPy and OpenCV report that memory ran out, by class or by message.
# CUDA's libraries may then fail to initialise.
_CLASSES = {"MemoryError", "_ArrayMemoryError", "ResourceExhaustedError", "OutOfMemoryError"}
_MESSAGES = (
    "resource_exhausted",
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "insufficient memory",
    "failed to allocate",
    "tried to allocate",
    "unable to allocate",
    "alloc_failed",
    "failed to create cublas handle",
    "cublas_status_not_initialized",
    "dst tensor is not initialized",
    "no algorithm worked",
)


@contextlib.contextmanager
def explain_out_of_memory(
    settings: Settings, recipe: Recipe, folder: pathlib.Path, doing: str
) -> Iterator[None]:
    """Turn errors that mean that memory ran out into a TrainingError; let others pass.

    Args:
        settings: The settings of the run.
        recipe: The recipe of the run.
        folder: Folder of the run.
        doing: `"training"` or `"evaluation"`.

    Raises:
        TrainingError: Memory ran out; the message names the size of the batches, the last saved
            model, and options that need less memory.
    """
    try:
        yield
    except _possible_errors() as error:
        if not _is_out_of_memory(error):
            raise
        shape = f"{settings.n_frames} x {settings.size} x {settings.size} x 3"
        repeat = "end other programs and run the same again, which only repeats the evaluation, or "
        raise TrainingError(
            f"Memory ran out during {doing} with batches of {settings.batch_size} clips of {shape} "
            f"({last_saved(folder)}); {repeat if doing == 'evaluation' else ''}start a run that "
            f"needs less, with {_smaller_options(settings, recipe)} (in Python: batch_size, size "
            "and n_frames of the settings, and mixed of the recipe)."
        ) from error


def _smaller_options(settings, recipe):
    """Return the options of the command line with which a run needs less memory, as a list."""
    options = ["a smaller --size", "fewer --frames"]
    if settings.batch_size > 1:
        options.insert(0, f"--batch-size {settings.batch_size // 2}")
    if not recipe.mixed:
        options.append("--mixed")
    return f"{', '.join(options[:-1])} or {options[-1]}"


def _possible_errors() -> tuple[type[Exception], ...]:
    """Return the classes of errors that may mean that memory ran out."""
    return MemoryError, OSError, cv2.error, *backend_errors()


def _is_out_of_memory(error):
    """Return whether an error means that memory ran out; those of the system have a number."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    message = str(error).lower()
    return type(error).__name__ in _CLASSES or any(words in message for words in _MESSAGES)


def backend_errors() -> tuple[type[Exception], ...]:
    """Return the classes of errors that Keras's backend raises.

    Errors of PyTorch and JAX are RuntimeErrors; TensorFlow has its own.
    """
    tensorflow = sys.modules.get("tensorflow")
    return (RuntimeError, tensorflow.errors.OpError) if tensorflow else (RuntimeError,)
