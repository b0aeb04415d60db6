"""Clips from a ZIP, on the web or on disk, to folders. Taught in the chapter *Load video*.

In place of a ZIP, a folder may hold the clips, as after unpacking. A ZIP ends with its table of
contents, which states the position of each member. A server that supports byte ranges therefore has
to send only the table and the requested members.
"""

import contextlib
import dataclasses
import lzma
import os
import pathlib
import shutil
import struct
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import IO, Any, TypeVar

import remotezip
import requests
import urllib3
from requests.exceptions import ProxyError, SSLError
from tqdm import tqdm

from helpers import puppets
from helpers.atomic import atomic_write, locked
from helpers.clips import as_url, is_table, is_video, read_split, visible_files
from helpers.settings import Settings, project_root
from helpers.ucf101 import (
    NAME_FORM,
    OFFICIAL_SPLITS,
    base_name,
    files_by_class,
    get_class,
    is_clip,
    split_by_clip,
    split_by_group,
    split_by_table,
    split_officially,
)

_Path = str | os.PathLike[str]
_Split = Callable[[Collection[str], Mapping[str, Any], int], dict[str, list[str]]]
_Result = TypeVar("_Result")

# Seconds until a server that sends nothing counts as unreachable.
TIMEOUT = 30
# The unit of the pauses between attempts, in seconds.
PAUSE = 1.0
# The pauses after a request that failed. The second attempt follows at once, because the server may
# only have closed an idle connection.
_PAUSES_AFTER_REQUEST = (0, 2, 4, 8)
# The pauses after a response that broke off or was damaged, and after errors of TLS or a proxy.
_PAUSES_AFTER_RESPONSE = (1, 2, 4)
# What a bad connection or a damaged ZIP raises. From zipfile and its decompressors come ValueError
# and OverflowError for invalid positions, RuntimeError for members that they can't unpack, and
# EOFError. The errors of requests are OSErrors.
_FAILURES = (
    OSError,
    urllib3.exceptions.HTTPError,
    remotezip.RemoteZipError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    ValueError,
    OverflowError,
    RuntimeError,
)


def list_files(source: _Path) -> list[str]:
    """List the clips in a ZIP without fetching them.

    Args:
        source: URL or path of the ZIP, or the path of a folder with the clips.

    Returns:
        The members' names in the ZIP's order. Folders and files that are not named like clips are
        skipped, and so are clips that have the name of an earlier one. A warning reports skipped
        videos and clips.

    Raises:
        OSError: The ZIP can't be reached or read.
    """
    with _open_zip(source) as archive:
        return [info.filename for info in _find_clips(source, archive).values()]


def download_ucf101_subset(
    source: _Path,
    num_classes: int,
    splits: Mapping[str, int | None],
    download_dir: _Path,
    *,
    split_by: _Path = "group",
    seed: int = 0,
) -> dict[str, pathlib.Path]:
    """Fetch some clips of some classes and sort them into splits.

    Clips that are already there and intact are not fetched again. A folder holds one split; use
    another folder for another split. A file appears under its name only when it is complete and
    its checksum is right. If two processes fetch into one folder, the second waits for the first.

    Args:
        source: URL or path of the ZIP, or the path of a folder with the clips.
        num_classes: How many classes, the first ones in alphabetical order. If `split_by` is a
            table, only the classes of its clips count.
        splits: Clips per class of each split, such as `{"train": 30, "val": 10, "test": 10}`; for
            an official split also None, which takes all.
        download_dir: Folder for `SPLIT/CLASS/*.avi`.
        split_by: `"group"` (no two splits share a group of a class), `"clip"` (at random, as in the
            tutorial), `"official1"` to `"official3"` (see `helpers.ucf101.split_officially`), or
            the path of a table (.csv, .tsv or .txt) that lists the clips of each split, as in
            `helpers.clips.read_split`.
        seed: Seed of the split.

    Returns:
        The folders by split.

    Raises:
        ValueError: `split_by` is none of these, `num_classes` or a split is smaller than 1, the ZIP
            contains no clips or too few classes, clips or groups, or `download_dir` contains clips
            of another split.
        OSError: The ZIP can't be reached or read, a clip in it is damaged, or the folder can't be
            written to or has too little space.
    """
    split, listed = _split_method(split_by, splits)
    download_dir = pathlib.Path(download_dir)
    with _open_zip(source) as archive:
        clips = _find_clips(source, archive)
        if not clips:
            raise ValueError(_explain_no_clips(source, archive))
        origin = str(source)
        if listed is not None:
            clips = _keep_listed(clips, listed, source, split_by)
            origin = f"{source}, limited to the clips in {split_by},"
        chosen = _choose_classes(clips, num_classes, splits, origin)
        targets = {
            download_dir / name / get_class(file) / file: clips[file]
            for name, files in split(chosen, splits, seed).items()
            for file in files
        }
        with _explain_write_errors(download_dir), locked(download_dir):
            _remove_temp_files(download_dir, splits)
            _refuse_other_clips(download_dir, splits, targets)
            _fetch_missing(source, archive, targets, download_dir)
    return {name: download_dir / name for name in splits}


def zip_source(settings: Settings) -> str | pathlib.Path:
    """Return the URL or path of a run's ZIP, and draw the puppets first if theirs is missing.

    Args:
        settings: The settings of the run, for example from `helpers.settings.current`.
    """
    if settings.dataset == "puppets":
        return puppets.write_zip(project_root() / "data" / "puppets.zip", clips=2)
    return settings.zip


def fetch_clips(settings: Settings) -> dict[str, pathlib.Path]:
    """Fetch the clips of a run, and draw the puppets first if they are missing.

    Args:
        settings: The settings of the run, for example from `helpers.settings.current`.

    Returns:
        The folders by split, as from `download_ucf101_subset`.
    """
    return download_ucf101_subset(
        zip_source(settings),
        settings.num_classes,
        settings.splits,
        project_root() / "data" / settings.clips_name,
        split_by=settings.split_by,
        seed=settings.seed,
    )


def _split_method(
    split_by: _Path, splits: Mapping[str, int | None]
) -> tuple[_Split, set[str] | None]:
    """Return the function that splits, and the clips of its table, or None if it has no table."""
    if None in splits.values() and split_by not in OFFICIAL_SPLITS:
        raise ValueError(
            f"Only an official split can take all clips, not {split_by}; give the clips of each "
            "split (with splits, or in a shell with --per-class TRAIN VAL TEST)."
        )
    if is_table(split_by):
        table = read_split(split_by)
        return lambda files, splits, seed: split_by_table(files, splits, table), set(table)
    if split_by == "group":
        return split_by_group, None
    if split_by == "clip":
        return split_by_clip, None
    if split_by in OFFICIAL_SPLITS:
        official = str(split_by)
        return lambda files, splits, seed: split_officially(files, splits, official, seed), None
    raise ValueError(
        f"split_by (in a shell --split) must be group, clip, {', '.join(OFFICIAL_SPLITS)} or the "
        f"path of a .csv file, not {split_by!r}."
    )


# The ZIP.


@dataclasses.dataclass
class _File:
    """A file in a folder, with those attributes of a `zipfile.ZipInfo` that this module uses."""

    filename: str
    path: pathlib.Path

    @property
    def file_size(self) -> int:
        return self.path.stat().st_size

    compress_size = file_size

    @property
    def CRC(self) -> int:  # noqa: N802
        return zlib.crc32(self.path.read_bytes())


class _Folder:
    """A folder of clips, with those methods of a `zipfile.ZipFile` that this module uses."""

    def __init__(self, path: _Path) -> None:
        folder = pathlib.Path(path)
        files = sorted(file for file in visible_files(folder) if file.is_file())
        self.files = [_File(file.relative_to(folder).as_posix(), file) for file in files]

    def infolist(self) -> list[_File]:
        return self.files

    def open(self, file: _File) -> IO[bytes]:
        return file.path.open("rb")


_Archive = zipfile.ZipFile | _Folder
_Member = zipfile.ZipInfo | _File
_Members = dict[str, _Member]  # by the clip's name, without folders


@contextlib.contextmanager
def _open_zip(source: _Path) -> Iterator[_Archive]:
    """Open a ZIP on the web or on disk, or a folder."""
    if _is_url(source):
        with requests.Session() as session:
            options = {"session": session, "fetcher": _CompleteRanges, "timeout": TIMEOUT}
            with _retry(source, lambda: remotezip.RemoteZip(str(source), **options)) as archive:
                yield archive
    elif pathlib.Path(source).is_dir():
        yield _Folder(source)
    else:
        _check_file(source)
        with _retry(source, lambda: zipfile.ZipFile(source)) as archive:
            yield archive


def _check_file(source: _Path) -> None:
    """Raise an OSError that explains what to do if a path is not that of a file."""
    path = pathlib.Path(source)
    if as_url(source):
        raise OSError(
            f"{source} can't be read, because its address does not begin with http:// or "
            "https://; download the ZIP and set UCF101_ZIP to its path."
        )
    if not path.is_file():
        raise FileNotFoundError(
            f"{source} is not there; set UCF101_ZIP to the URL or the path of UCF101's ZIP."
        )


class _CompleteRanges(remotezip.RemoteFetcher):
    """Reads each byte range completely before use, so that a broken one can be fetched again."""

    def fetch(self, data_range, stream=False):
        first, last = data_range
        if last is not None and not 0 <= first <= last:
            # A server would ignore this range and send the complete ZIP.
            raise zipfile.BadZipFile("its table of contents states an impossible position")
        return super().fetch(data_range, stream=False)


def _retry(source: _Path, action: Callable[[], _Result], member: str = "") -> _Result:
    """Return an action's result, and repeat it after failures that may pass.

    Raises:
        OSError: The failure is final or occurred too often. The message explains what to do.
    """
    failures = 0
    while True:
        try:
            return action()
        except _FAILURES as error:
            pauses = _pauses(error) if _is_url(source) else ()
            if failures >= len(pauses):
                raise OSError(_explain_read_error(source, error, member)) from error
            time.sleep(PAUSE * pauses[failures])
            failures += 1


def _pauses(error: Exception) -> tuple[int, ...]:
    """Return the pauses before further attempts to read from the web, or none if all would fail."""
    if isinstance(error, remotezip.RangeNotSupported) or _is_certificate_error(error):
        return ()
    # remotezip replaces the errors of requests by its own.
    cause = error.__context__ if isinstance(error, remotezip.RemoteIOError) else error
    if isinstance(cause, requests.HTTPError):
        status = cause.response.status_code
        return _PAUSES_AFTER_REQUEST if status == 429 or status >= 500 else ()
    if isinstance(cause, (SSLError, ProxyError)):
        return _PAUSES_AFTER_RESPONSE
    if isinstance(cause, (requests.ConnectionError, requests.Timeout)):
        return _PAUSES_AFTER_REQUEST
    # Other errors of requests, such as an invalid address, do not pass.
    return () if isinstance(cause, requests.RequestException) else _PAUSES_AFTER_RESPONSE


def _explain_read_error(source: _Path, error: Exception, member: str) -> str:
    """Return what happened to which ZIP, or to which member of it, and what to do."""
    if isinstance(error, remotezip.RangeNotSupported):
        return (
            f"{source} can't be read in parts, because it is a web page or its server ignores byte "
            "ranges; download the ZIP and give its path."
        )
    if _is_certificate_error(error):
        return (
            f"{source} can't be read because its server's certificate can't be trusted ({error}); "
            "check this machine's clock, or download the ZIP by other means and give its path."
        )
    cause = str(error) or "it ends too early"
    if cause == "File is not a zip file":
        cause = "it is not a complete ZIP, but perhaps a web page"
    name = f"{source}, member {member}," if member else source
    remedy = "check the address and the connection" if _is_url(source) else "check the path"
    return f"{name} can't be read ({cause}); {remedy}, or use another ZIP, then run this again."


def _is_certificate_error(error: Exception) -> bool:
    return "CERTIFICATE_VERIFY_FAILED" in str(error)


def _is_url(source: _Path) -> bool:
    return str(source).lower().startswith(("http://", "https://"))


# The choice of clips.


def _find_clips(source: _Path, archive: _Archive) -> _Members:
    """Return the ZIP's clips by name, the first of each name, and warn of skipped videos."""
    clips: _Members = {}
    duplicates, others = [], []
    for info in archive.infolist():
        if is_clip(info.filename):
            if clips.setdefault(base_name(info.filename), info) is not info:
                duplicates.append(info.filename)
        elif is_video(info.filename):
            others.append(info.filename)
    if duplicates:
        warnings.warn(
            f"{source}: skipped clips that have the name of an earlier one ({len(duplicates)}), "
            f"such as {duplicates[0]!r}.",
            stacklevel=4,
        )
    if clips and others:
        warnings.warn(
            f"{source}: skipped videos that are not named like {NAME_FORM} ({len(others)}), "
            f"such as {others[0]!r}.",
            stacklevel=4,
        )
    return clips


def _explain_no_clips(source: _Path, archive: _Archive) -> str:
    """Return why a ZIP or folder contains no clips, and what to do."""
    names = (info.filename for info in archive.infolist())
    files = [name for name in names if not name.endswith("/")]
    if not files:
        kind = "folder" if isinstance(archive, _Folder) else "ZIP"
        return f"{source} is an empty {kind}; set UCF101_ZIP to another one."
    example = next(filter(is_video, files), files[0])
    return (
        f"{source} has {len(files)} files, but none is named like a clip of UCF101, {NAME_FORM} "
        f"(one is {example!r}); rename the clips in this form, with one group number for each "
        "recording, and make a new ZIP, or set UCF101_ZIP to another ZIP."
    )


def _keep_listed(clips: _Members, listed: set[str], source: _Path, table: _Path) -> _Members:
    """Return the clips that a table lists, and warn of those that the ZIP lacks."""
    missing = sorted(listed - set(clips))
    if len(missing) == len(listed):
        raise ValueError(
            f"None of the {len(listed)} clips in {table}, such as {missing[0]!r}, is in {source}, "
            f"which contains {min(clips)!r} and others; list clips of this ZIP, or set UCF101_ZIP "
            "to another one."
        )
    if missing:
        warnings.warn(
            f"{source} lacks {len(missing)} of the {len(listed)} clips in {table}, such as "
            f"{missing[0]!r}.",
            stacklevel=3,
        )
    return {name: info for name, info in clips.items() if name in listed}


def _choose_classes(
    clips: Iterable[str], num_classes: int, splits: Mapping[str, int | None], origin: str
) -> list[str]:
    """Return the clips of the first classes.

    Args:
        clips: Names of clips.
        num_classes: How many classes.
        splits: Clips per class of each split, which are checked here.
        origin: Where the clips are from, for messages.
    """
    if min([num_classes, *(count for count in splits.values() if count is not None)]) < 1:
        raise ValueError(
            f"num_classes and the clips of each split must be at least 1, "
            f"not {num_classes} and {splits}."
        )
    by_class = files_by_class(clips)
    if len(by_class) < num_classes:
        remedy = "ask for fewer (with num_classes, or in a shell with --classes N)"
        if len(by_class) == 1:
            remedy = "a network needs at least two classes to distinguish, so add another one"
        raise ValueError(
            f"{origin} has clips of {len(by_class)} class{'es' * (len(by_class) > 1)}, but "
            f"{num_classes} are requested; {remedy}, or use another ZIP."
        )
    return [file for name in list(by_class)[:num_classes] for file in by_class[name]]


# The folder.


def _refuse_other_clips(
    download_dir: pathlib.Path, splits: Iterable[str], targets: Iterable[pathlib.Path]
) -> None:
    """Refuse a folder that contains clips of another split, which would be used unnoticed."""
    found = (path for name in splits for path in visible_files(download_dir / name))
    others = set(filter(is_video, found)) - set(targets)
    if others:
        raise ValueError(
            f"{download_dir} holds {len(others)} clips that are not in this split, such as "
            f"{min(others).name}; delete the folder or choose another."
        )


def _remove_temp_files(download_dir: pathlib.Path, splits: Iterable[str]) -> None:
    """Remove the temporary files of a process that was killed."""
    for name in splits:
        for temp_path in (download_dir / name).glob("*/.temp*"):
            temp_path.unlink()


def _fetch_missing(
    source: _Path,
    archive: _Archive,
    targets: Mapping[pathlib.Path, _Member],
    download_dir: pathlib.Path,
) -> None:
    """Fetch the clips that are missing or damaged, and show the progress."""
    missing = {path: info for path, info in targets.items() if not _is_intact(path, info)}
    _check_space(source, download_dir, missing.values())
    size = sum(info.compress_size for info in missing.values())
    with tqdm(
        total=size, unit="B", unit_scale=True, desc="fetching", disable=not missing
    ) as progress:
        for path, info in missing.items():
            _fetch(source, archive, info, path)
            progress.update(info.compress_size)


def _is_intact(path: pathlib.Path, info: _Member) -> bool:
    """Return whether a file has the size and the checksum that the ZIP states."""
    if not path.is_file() or path.stat().st_size != info.file_size:
        return False
    return zlib.crc32(path.read_bytes()) == info.CRC


def _check_space(source: _Path, download_dir: pathlib.Path, missing: Iterable[_Member]) -> None:
    needed, free = sum(info.file_size for info in missing), shutil.disk_usage(download_dir).free
    if needed > free:
        raise OSError(
            f"The clips of {source} need {needed / 1e9:,.2f} GB, but {download_dir} has only "
            f"{free / 1e9:,.2f} GB free; free space there or choose another download_dir."
        )


@contextlib.contextmanager
def _explain_write_errors(download_dir: pathlib.Path) -> Iterator[None]:
    """Add the folder and what to do to the operating system's errors, which have a number."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(
            f"{download_dir} can't be written to ({error.strerror}); free space there, check its "
            "permissions, or choose another download_dir."
        ) from error


def _fetch(source: _Path, archive: _Archive, info: _Member, path: pathlib.Path) -> None:
    """Fetch a member, check it, and write it to a file."""
    content = _retry(source, lambda: _read(archive, info), base_name(info.filename))
    with atomic_write(path) as temp_path:
        temp_path.write_bytes(content)


def _read(archive: Any, info: _Member) -> bytes:
    """Return a member's content after checking its size and checksum."""
    with archive.open(info) as member:
        # In small steps, because a damaged or malicious member may unpack to far more than its
        # stated size; zipfile then stops. At the end it checks the checksum.
        content = b"".join(iter(lambda: member.read(1 << 12), b""))
    if len(content) != info.file_size:
        raise zipfile.BadZipFile(
            f"it has {len(content)} bytes, but the table of contents states {info.file_size}"
        )
    return content
