"""Files that are there whole or not at all, whatever stops the program."""

import contextlib
import os
import re

from filelock import FileLock


def as_url(path):
    """Return the web address that was given for a path, or None; a `pathlib.Path` has dropped one of its slashes."""
    match = re.match(r"([A-Za-z][\w+.-]+):/+(.+)", str(path))
    return match and f"{match[1]}://{match[2]}"


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
def whole(path):
    """Write a file by way of a draft beside it, which takes the file's place at the end of the block.

    If the block fails, the draft is removed. If the process is killed, the draft stays, hidden, until the next one that
    is written in this folder takes its place; so the folder, or one above it, has to be `locked`.

    Args:
        path: The file, a `pathlib.Path`; its folder is made if it is missing.

    Yields:
        The draft's path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".draft{path.suffix}")
    try:
        yield draft
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
