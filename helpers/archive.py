"""From a ZIP, on the web or on disk, to files. Taught in the chapter *Load video*.

A ZIP ends with its table of contents, which says where each member lies. A server that answers byte
ranges so hands out the table and the members asked for, and nothing else.
"""

import contextlib
import lzma
import pathlib
import shlex
import shutil
import struct
import time
import warnings
import zipfile
import zlib

import remotezip
import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.exceptions import ProxyError, SSLError
from tqdm import tqdm
from urllib3.util import Retry

from helpers import puppets
from helpers.atomic import atomic_write, locked
from helpers.clips import as_url, is_table, is_video, read_split, visible_files
from helpers.settings import project_root
from helpers.ucf101 import (
    FORM,
    base_name,
    files_by_class,
    get_class,
    is_clip,
    split_by_clip,
    split_by_group,
    split_by_table,
)

ATTEMPTS = 4
PAUSE = 1.0
TIMEOUT = 30
# What a connection, and what zipfile and its decompressors make of a damaged ZIP: places before its
# beginning or beyond all numbers (ValueError, OverflowError), what they can't unpack
# (RuntimeError), or its end (EOFError). requests' are OSErrors.
FAILURES = (
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


def list_files(source):
    """List the clips in a ZIP without fetching them.

    Args:
        source: URL or path of the ZIP.

    Returns:
        The members' names in the ZIP's order. Folders and files that are not named like clips are
        left out, videos among them with a warning, and so are clips of a name that another one has.

    Raises:
        OSError: The ZIP can't be reached or read.
    """
    with _open_zip(source) as archive:
        return [info.filename for info in _clips(source, archive).values()]


def download_ucf101_subset(source, num_classes, splits, download_dir, *, split_by="group", seed=0):
    """Fetch some clips of some classes and sort them into splits.

    Clips that are there already, whole and unharmed, are not fetched again; a folder holds one
    split, and another one needs another folder. A file stands under its name only once all of it is
    there and its checksum is right. Of two processes that fetch into one folder, the second waits
    for the first.

    Args:
        source: URL or path of the ZIP.
        num_classes: How many classes, the first ones by name; with a .csv file, the first of those
            that it names.
        splits: How many clips of each class a split gets, such as `{"train": 30, "val": 10, "test":
            10}`.
        download_dir: Folder for `SPLIT/CLASS/*.avi`.
        split_by: `"group"` (no two splits share a group of a class), `"clip"` (as the tutorial
            does), or the path of a table (.csv, .tsv or .txt) that names the clips of each split
            (see `helpers.ucf101.read_split`).
        seed: Seed of the split.

    Returns:
        The folders by split.

    Raises:
        ValueError: `split_by` is none of these, fewer than one class or clip are asked for, the ZIP
            has too few classes, clips or groups, or none named like a clip, or `download_dir` holds
            clips of another split.
        OSError: The ZIP can't be reached or read, a clip in it is damaged, or the folder lacks
            space for the clips or can't be written to.
    """
    split, named = _split_method(split_by)
    download_dir = pathlib.Path(download_dir)
    with _open_zip(source) as archive:
        clips = _clips(source, archive)
        if not clips:
            raise ValueError(_explain_no_clips(source, archive))
        if named is not None:
            clips = _choose(clips, named, source, split_by)
        plan = _plan(
            source if named is None else f"Of what {split_by} names, {source}",
            clips,
            num_classes,
            splits,
            split,
            seed,
        )
        targets = {
            download_dir / name / get_class(file) / file: clips[file]
            for name, files in plan.items()
            for file in files
        }
        with _explain_write_errors(download_dir), locked(download_dir):
            _remove_temp_files(download_dir, splits)
            _refuse_strays(download_dir, splits, targets)
            missing = {
                target: info for target, info in targets.items() if not _is_whole(target, info)
            }
            _check_space(source, download_dir, missing.values())
            size = sum(info.compress_size for info in missing.values())
            with tqdm(
                total=size, unit="B", unit_scale=True, desc="fetching", disable=not missing
            ) as progress:
                for target, info in missing.items():
                    _fetch(source, archive, info, target)
                    progress.update(info.compress_size)
    return {name: download_dir / name for name in splits}


def zip_source(settings):
    """Return the ZIP that a run of the book works on: UCF101's URL or path, or the puppets, drawn if they are missing.

    Args:
        settings: What `helpers.settings.current()` returns.
    """
    return (
        puppets.write_zip(project_root() / "data" / "puppets.zip", clips=2)
        if settings.dataset == "puppets"
        else settings.zip
    )


def fetch_clips(settings):
    """Get the clips that a run of the book works on: draw or fetch what is missing.

    Args:
        settings: What `helpers.settings.current()` returns.

    Returns:
        The folders by split, as from `download_ucf101_subset`.
    """
    folder = project_root() / "data" / settings.clips_name
    choice = {"split_by": settings.split_by, "seed": settings.seed}
    return download_ucf101_subset(
        zip_source(settings), settings.num_classes, settings.splits, folder, **choice
    )


def _split_method(split_by):
    """Return the function that splits, its arguments those of `split_by_group`, and the clips that it knows, or None for all."""
    if is_table(split_by):
        table = read_split(split_by)
        return lambda files, splits, seed: split_by_table(files, splits, table), set(table)
    ways = {"group": split_by_group, "clip": split_by_clip}
    if split_by not in ways:
        raise ValueError(
            f'split_by (in a shell --split) is "group", "clip" or the path of a .csv file, not {split_by!r}.'
        )
    return ways[split_by], None


@contextlib.contextmanager
def _open_zip(source):
    """Open a ZIP, trying again after failures that may pass."""
    if not _is_url(source):
        _check_file(source)
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(_try_again(source, lambda: _connect(source, stack)))


def _check_file(source):
    """Raise an OSError in a sentence where a ZIP's path names none."""
    path = pathlib.Path(source)
    if as_url(source):
        way_out = "download the ZIP and set UCF101_ZIP to its path"
        raise OSError(
            f"{source} is a URL that can't be read from, for only http:// and https:// can; {way_out}."
        )
    if path.is_dir():
        beside = path.resolve().with_name(f"{path.resolve().name}.zip")
        to_zip = shlex.join(["python", "-m", "zipfile", "-c", str(beside), str(source)])
        raise IsADirectoryError(
            f"{source} is a folder, not a ZIP; make one of it by {to_zip} and set UCF101_ZIP to {shlex.quote(str(beside))}."
        )
    if not path.is_file():
        raise FileNotFoundError(
            f"{source} is not there; set UCF101_ZIP to the URL or the path of UCF101's ZIP."
        )


def _connect(source, stack):
    if not _is_url(source):
        return zipfile.ZipFile(source)
    session = stack.enter_context(requests.Session())
    # A server may ask to be left alone for hours: better be told. `other`, encryption and proxies,
    # is left to `_try_again`.
    retry = Retry(
        ATTEMPTS,
        other=0,
        backoff_factor=PAUSE,
        status_forcelist=(429, 500, 502, 503, 504),
        raise_on_status=False,
        respect_retry_after_header=False,
    )
    session.mount("http://", HTTPAdapter(max_retries=retry))
    session.mount("https://", HTTPAdapter(max_retries=retry))
    return remotezip.RemoteZip(str(source), session=session, fetcher=_WholeRanges, timeout=TIMEOUT)


class _WholeRanges(remotezip.RemoteFetcher):
    """Takes in a range before any of it is used: a stream that breaks off at once can't be asked for again."""

    def fetch(self, data_range, stream=False):
        first, last = data_range
        if last is not None and not 0 <= first <= last:
            # A server would answer with the whole ZIP.
            raise zipfile.BadZipFile("the table of contents names a place that is none")
        return super().fetch(data_range, stream=False)


def _try_again(source, action):
    """Return the action's result; after a failure on the web, pause twice as long each time and try again."""
    for attempt in range(ATTEMPTS):
        try:
            return action()
        except remotezip.RangeNotSupported as error:
            message = f"{source} is a page, or can't be read in parts: its server ignores byte ranges. Download the ZIP and give its path."
            raise OSError(message) from error
        except FAILURES as error:
            if attempt == ATTEMPTS - 1 or not _is_url(source) or _is_final(error):
                raise OSError(f"{source} can't be read {_cause_and_way_out(error)}") from error
            time.sleep(PAUSE * 2**attempt)


def _is_final(error):
    """Return whether trying again is no use: a certificate doesn't mend, and urllib3's Retry has tried again already.

    Retry is for asking, but for encryption and proxies, and not for the answer on its way.
    """
    asking = error.__context__
    retried = isinstance(asking, requests.RequestException) and not isinstance(
        asking, (SSLError, ProxyError)
    )
    return retried or _is_certificate(error)


def _is_certificate(error):
    return "CERTIFICATE_VERIFY_FAILED" in str(error)


def _cause_and_way_out(error):
    if _is_certificate(error):
        return (
            f"because its server's certificate can't be trusted ({error}); see that this machine's clock is right, or "
            "download the ZIP in another way and give its path."
        )
    cause = str(error) or "it ends too early"
    if cause == "File is not a zip file":
        cause = "it is no ZIP, such as a web page, or only part of one"
    return f"({cause}); check the address, or the path, and the connection, or get the ZIP anew; then run this again."


def _is_url(source):
    return str(source).lower().startswith(("http://", "https://"))


def _clips(source, archive):
    """Return the ZIP's clips by name, without folders: `{name: ZipInfo}`. Of two with one name the first counts, with a warning."""
    clips, doubles = {}, []
    for info in archive.infolist():
        if is_clip(info.filename) and clips.setdefault(base_name(info.filename), info) is not info:
            doubles.append(info.filename)
    if doubles:
        warnings.warn(
            f"{len(doubles)} clips in {source} are passed over, for one before has the same name, such as {doubles[0]!r}.",
            stacklevel=4,
        )
    others = [name for name in archive.namelist() if is_video(name) and not is_clip(name)]
    if clips and others:
        warnings.warn(
            f"{len(others)} videos in {source} are passed over, for they are not named like {FORM}, such as {others[0]!r}.",
            stacklevel=4,
        )
    return clips


def _explain_no_clips(source, archive):
    """Return what is wrong with a ZIP in which nothing is named like a clip."""
    files = [name for name in archive.namelist() if not name.endswith("/")]
    if not files:
        return f"{source} is an empty ZIP; set UCF101_ZIP to another one."
    example = next(filter(is_video, files), files[0])
    return (
        f"{source} has {len(files)} files, but none is named like a clip of UCF101, {FORM} (one is {example!r}); rename them so, "
        "clips of one recording with one group, and zip them anew, or set UCF101_ZIP to another ZIP."
    )


def _choose(clips, named, source, table):
    """Return the clips that a table names."""
    missing = sorted(named - set(clips))
    if len(missing) == len(named):
        raise ValueError(
            f"None of the {len(named)} clips that {table} names, such as {missing[0]!r}, is in {source}, which has such as "
            f"{min(clips)!r}; name clips of this ZIP, or set UCF101_ZIP to another one."
        )
    if missing:
        warnings.warn(
            f"{source} lacks {len(missing)} of the {len(named)} clips that {table} names, such as {missing[0]!r}.",
            stacklevel=3,
        )
    return {name: info for name, info in clips.items() if name in named}


def _plan(source, clips, num_classes, splits, split, seed):
    """Return the names by split, of a source that has these clips."""
    if min([num_classes, *splits.values()]) < 1:
        raise ValueError(
            f"num_classes and what each split gets are at least 1, not {num_classes} and {splits}."
        )
    by_class = files_by_class(clips)
    if len(by_class) < num_classes:
        found = f"{source} has clips of {len(by_class)} class{'es' * (len(by_class) > 1)}, but {num_classes} are asked for"
        if len(by_class) == 1:
            raise ValueError(
                f"{found}; a network needs at least two to tell apart: add clips of another class, or take another ZIP."
            )
        raise ValueError(
            f"{found}; ask for fewer (num_classes, in a shell --classes N), or take another ZIP."
        )
    chosen = [file for class_name in list(by_class)[:num_classes] for file in by_class[class_name]]
    return split(chosen, splits, seed)


def _refuse_strays(download_dir, splits, targets):
    """Refuse a folder that holds other clips: they would be trained on or, worse, tested on unseen."""
    strays = {
        path for name in splits for path in visible_files(download_dir / name) if is_video(path)
    } - set(targets)
    if strays:
        raise ValueError(
            f"{download_dir} holds {len(strays)} clips that are not in this split, such as {min(strays).name}; "
            "delete the folder or choose another."
        )


def _remove_temp_files(download_dir, splits):
    """Remove what a process that was killed has left of a file."""
    for name in splits:
        for temp_path in (download_dir / name).glob("*/.temp*"):
            temp_path.unlink()


def _check_space(source, download_dir, missing):
    needed, free = sum(info.file_size for info in missing), shutil.disk_usage(download_dir).free
    if needed > free:
        raise OSError(
            f"The clips of {source} need {needed / 1e9:,.2f} GB, and {download_dir} has {free / 1e9:,.2f} GB free; free space "
            "there or choose another download_dir."
        )


@contextlib.contextmanager
def _explain_write_errors(download_dir):
    """Tell what the operating system says of a folder (its errors have a number), and the way out."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(
            f"{download_dir} can't be written to ({error.strerror}); free space there, see that you may write there, or "
            "choose another download_dir."
        ) from error


def _is_whole(path, info):
    """Return whether the file has the size and the checksum that the ZIP gives."""
    if not path.is_file() or path.stat().st_size != info.file_size:
        return False
    return zlib.crc32(path.read_bytes()) == info.CRC


def _fetch(source, archive, info, target):
    """Write a member to its place once all of it is here and its checksum is right."""
    content = _try_again(
        f"{source}, member {base_name(info.filename)},", lambda: _read(archive, info)
    )
    with atomic_write(target) as temp_path:
        temp_path.write_bytes(content)


def _read(archive, info):
    """Return what is in a member. It may unpack to far more than the ZIP says: zipfile stops there, if asked bit by bit."""
    with archive.open(info) as member:
        # Reading to the end checks the checksum.
        content = b"".join(iter(lambda: member.read(1 << 12), b""))
    if len(content) != info.file_size:
        raise zipfile.BadZipFile(f"it has {len(content)} bytes, and the ZIP says {info.file_size}")
    return content
