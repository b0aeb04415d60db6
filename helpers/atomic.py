"""Files that are there whole or not at all, whatever stops the program."""

import contextlib
import os

from filelock import FileLock


@contextlib.contextmanager
def locked(folder):
    """Let one process at a time, and in it one thread, work on a folder; make the folder if it is missing.

    The operating system frees the lock of a process that dies. The empty file `.lock` stays.

    Args:
        folder: A `pathlib.Path`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        yield


@contextlib.contextmanager
def atomic_write(path):
    """Write a file by way of a temp_path beside it, which takes the file's place at the end of the block.

    If the block fails, the temp_path is removed. If the process is killed, the temp_path stays, hidden, until the next one that
    is written in this folder takes its place; so the folder, or one above it, has to be `locked`.

    Args:
        path: The file, a `pathlib.Path`; its folder is made if it is missing.

    Yields:
        The temp_path's path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temp_path = path.with_name(f".temp{path.suffix}")
    try:
        yield temp_path
        os.replace(temp_path, path)
    except BaseException:
        temp_path.unlink(missing_ok=True)
        raise
