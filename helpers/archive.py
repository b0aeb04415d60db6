"""From a ZIP, on the web or on disk, to files. Taught in the chapter *Load video*.

A ZIP ends with its table of contents, which says where each member lies. A server that answers byte ranges so hands out
the table and the members asked for, and nothing else.
"""

import contextlib
import os
import pathlib
import shutil
import time
import zipfile
import zlib

import remotezip
import requests
from requests.adapters import HTTPAdapter
from tqdm import tqdm
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from helpers import puppets
from helpers.settings import home
from helpers.ucf101 import files_by_class, get_class, is_clip, last_part, split_by_clip, split_by_group

ATTEMPTS = 4
PAUSE = 1.0
TIMEOUT = 30
_PASSING = (HTTPError, remotezip.RemoteZipError, zipfile.BadZipFile, zlib.error, EOFError)


def list_files(source):
    """List the clips in a ZIP without fetching them.

    Args:
        source: URL or path of the ZIP.

    Returns:
        The members' names in the ZIP's order. Folders and files that are not named like clips are left out.

    Raises:
        OSError: The ZIP can't be reached or read.
    """
    with _open_zip(source) as archive:
        return [info.filename for info in _clips(archive).values()]


def download_ucf101_subset(source, num_classes, splits, download_dir, *, split_by="group", seed=0):
    """Fetch some clips of some classes and sort them into splits.

    Clips that are there already, whole and unharmed, are not fetched again; a folder holds one split, and another one
    needs another folder. A file stands under its name only once all of it
    is there and its checksum is right.

    Args:
        source: URL or path of the ZIP.
        num_classes: How many classes, the first ones by name.
        splits: How many clips of each class a split gets, such as `{"train": 30, "val": 10, "test": 10}`.
        download_dir: Folder for `SPLIT/CLASS/*.avi`.
        split_by: `"group"` (no two splits share a group of a class) or `"clip"` (as the tutorial does).
        seed: Seed of the split.

    Returns:
        The folders by split.

    Raises:
        ValueError: `split_by` is neither, the ZIP has too few classes, clips or groups, or `download_dir` holds clips of
            another split.
        OSError: The ZIP can't be reached or read, or a file can't be written.
    """
    ways = {"group": split_by_group, "clip": split_by_clip}
    if split_by not in ways:
        raise ValueError(f'split_by is "group" or "clip", not {split_by!r}.')
    download_dir = pathlib.Path(download_dir)
    with _open_zip(source) as archive:
        clips = _clips(archive)
        plan = _plan(source, clips, num_classes, splits, ways[split_by], seed)
        targets = {download_dir / name / get_class(file) / file: file for name, files in plan.items() for file in files}
        _refuse_strays(download_dir, splits, targets)
        missing = {target: clips[file] for target, file in targets.items() if not _is_whole(target, clips[file])}
        size = sum(info.compress_size for info in missing.values())
        with tqdm(total=size, unit="B", unit_scale=True, desc="fetching", disable=not missing) as progress:
            for target, info in missing.items():
                _fetch(source, archive, info, target)
                progress.update(info.compress_size)
    return {name: download_dir / name for name in splits}


def get_source(settings):
    """Return the ZIP that a run of the book works on: UCF101's URL or path, or the puppets, drawn if they are missing.

    Args:
        settings: What `helpers.settings.current()` returns.
    """
    return puppets.write_zip(home() / "data" / "puppets.zip", clips=2) if settings.dataset == "puppets" else settings.zip


def fetch_clips(settings):
    """Get the clips that a run of the book works on: draw or fetch what is missing.

    Args:
        settings: What `helpers.settings.current()` returns.

    Returns:
        The folders by split, as from `download_ucf101_subset`.
    """
    folder = home() / "data" / settings.name
    return download_ucf101_subset(get_source(settings), settings.num_classes, settings.splits, folder, seed=settings.seed)


@contextlib.contextmanager
def _open_zip(source):
    """Open a ZIP, trying again after failures that may pass."""
    if not _is_url(source) and not pathlib.Path(source).is_file():
        raise FileNotFoundError(f"{source} is not there; set UCF101_ZIP to the URL or the path of UCF101's ZIP.")
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(_try_again(source, lambda: _connect(source, stack)))


def _connect(source, stack):
    if not _is_url(source):
        return zipfile.ZipFile(source)
    session = stack.enter_context(requests.Session())
    retry = Retry(ATTEMPTS, backoff_factor=PAUSE, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False)
    session.mount("http://", HTTPAdapter(max_retries=retry))
    session.mount("https://", HTTPAdapter(max_retries=retry))
    return remotezip.RemoteZip(str(source), session=session, fetcher=_WholeRanges, timeout=TIMEOUT)


class _WholeRanges(remotezip.RemoteFetcher):
    """Takes in a range before any of it is used: a stream that breaks off at once can't be asked for again."""

    def fetch(self, data_range, stream=False):
        return super().fetch(data_range, stream=False)


def _try_again(source, action):
    """Return the action's result; after a failure that may pass, pause twice as long each time and try again."""
    for attempt in range(ATTEMPTS):
        try:
            return action()
        except remotezip.RangeNotSupported as error:
            message = f"{source} can't be read in parts: its server ignores byte ranges. Download the ZIP and give its path."
            raise OSError(message) from error
        except _PASSING as error:
            if attempt == ATTEMPTS - 1 or not _is_url(source) or _is_final(error):
                message = f"{source} can't be read ({error}); check the address, or the path, and the connection, then run this again."
                raise OSError(message) from error
            time.sleep(PAUSE * 2**attempt)


def _is_final(error):
    """Return whether asking failed, which urllib3's Retry has tried again already, and not the answer on its way."""
    return isinstance(error.__context__, requests.RequestException)


def _is_url(source):
    return str(source).startswith(("http://", "https://"))


def _clips(archive):
    """Return the ZIP's clips by name, without folders: `{name: ZipInfo}`. Of two with one name the first counts."""
    clips = {}
    for info in archive.infolist():
        if is_clip(info.filename):
            clips.setdefault(last_part(info.filename), info)
    return clips


def _plan(source, clips, num_classes, splits, split, seed):
    """Return the names by split."""
    by_class = files_by_class(clips)
    if len(by_class) < num_classes:
        raise ValueError(f"{source} has clips of {len(by_class)} classes, but {num_classes} are asked for; ask for fewer.")
    chosen = [file for class_name in list(by_class)[:num_classes] for file in by_class[class_name]]
    return split(chosen, splits, seed)


def _refuse_strays(download_dir, splits, targets):
    """Refuse a folder that holds other clips: they would be trained on or, worse, tested on unseen."""
    strays = {path for name in splits for path in (download_dir / name).glob("*/*.avi")} - set(targets)
    if strays:
        raise ValueError(
            f"{download_dir} holds {len(strays)} clips that are not in this split, such as {min(strays).name}; "
            "delete the folder or choose another."
        )


def _is_whole(path, info):
    """Return whether the file has the size and the checksum that the ZIP gives."""
    if not path.is_file() or path.stat().st_size != info.file_size:
        return False
    return zlib.crc32(path.read_bytes()) == info.CRC


def _fetch(source, archive, info, target):
    """Write a member to its place by way of a hidden file beside it, so that no half-written clip is ever seen."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")

    def write():
        # Reading to the end checks the checksum.
        with archive.open(info) as member, open(draft, "wb") as file:
            shutil.copyfileobj(member, file, 1 << 16)

    try:
        _try_again(f"{source}, member {info.filename},", write)
        os.replace(draft, target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
