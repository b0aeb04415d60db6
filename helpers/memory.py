"""Running out of memory, told in one sentence. Used in the chapter *Train*."""

import contextlib
import errno
import sys

import cv2

from helpers.checkpoints import TrainingError, last_saved

# What TensorFlow, PyTorch, JAX, NumPy and OpenCV raise and say where memory runs out; CUDA's
# libraries then can't even begin.
OUT_OF_MEMORY = {"MemoryError", "_ArrayMemoryError", "ResourceExhaustedError", "OutOfMemoryError"}


SAID_OF_MEMORY = (
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
def explain_out_of_memory(settings, recipe, folder, doing):
    """Tell in a sentence that memory ran out, of which batches, what takes less, and which model is still there."""
    try:
        yield
    except (MemoryError, OSError, cv2.error, *backend_errors()) as error:
        if not _is_of_memory(error):
            raise
        size, less = settings.size, ["a smaller --size or fewer --frames"]
        if settings.batch_size > 1:
            less.insert(0, f"--batch-size {settings.batch_size // 2}")
        if not recipe.mixed:
            less.append("--mixed")
        again = (
            "end what else takes memory and run the same again, which only judges, or "
            if doing == "judging"
            else ""
        )
        raise TrainingError(
            f"Memory does not suffice for {doing} with batches of {settings.batch_size} clips of {settings.n_frames} x {size} x {size} x 3 "
            f"({last_saved(folder)}); {again}begin another run that takes less, with {' or '.join(less)} (in Python the settings' batch_size, "
            "size and n_frames, and the recipe's mixed)."
        ) from error


def _is_of_memory(error):
    """Return whether an error means that memory ran out; the operating system's have a number that says so."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return type(error).__name__ in OUT_OF_MEMORY or any(
        words in str(error).lower() for words in SAID_OF_MEMORY
    )


def backend_errors():
    """Return what Keras's backend raises. PyTorch's and JAX's errors are RuntimeErrors, TensorFlow's are its own."""
    tensorflow = sys.modules.get("tensorflow")
    return (RuntimeError, tensorflow.errors.OpError) if tensorflow else (RuntimeError,)
