"""Locked folders and atomic writes, so that no interruption leaves a half-written file.

The chapter *Load video* relies on them first, when it fetches clips.
"""

import contextlib
import pathlib
from collections.abc import Iterator

from filelock import FileLock


@contextlib.contextmanager
def locked(folder: pathlib.Path) -> Iterator[None]:
    """Lock a folder against other processes and threads, and create it if it is missing.

    A caller waits until the lock is free. The operating system frees the lock of a process that
    dies. The empty file `.lock` stays in the folder.

    Args:
        folder: The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        yield


@contextlib.contextmanager
def atomic_write(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yield a temporary path beside a file, and move what is written there to the file at the end.

    If the block raises, the temporary file is removed and the old file stays. If the process is
    killed, the hidden temporary file stays until the next write into the folder overwrites it.
    Every write into a folder uses the same temporary name, so the folder, or one above it, has to
    be `locked`.

    Args:
        path: The file. Its folder is created if it is missing.

    Yields:
        The path of the temporary file, which has the suffix of `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temp_path = path.with_name(f".temp{path.suffix}")
    try:
        yield temp_path
        temp_path.replace(path)
    except BaseException:
        temp_path.unlink(missing_ok=True)
        raise
