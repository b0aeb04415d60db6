"""Lists of clips, from folders and from tables. Taught in the chapter *Load video*.

`list_clips` lists a folder that contains a folder of videos for each class, and labels the clips.
`read_split` reads a table that assigns clips to splits.
"""

import codecs
import csv
import io
import os
import pathlib
import re
import warnings
from collections.abc import Iterator, Sequence

from helpers.ucf101 import base_name

# The suffixes of video files. Whether OpenCV can decode one shows only when it is opened.
VIDEO_SUFFIXES = tuple(
    (
        ".264 .265 .3g2 .3gp .3gpp .amv .apng .asf .avi .divx .dv .f4v .flc .fli .flv .gif .gifv "
        ".h264 .h265 .hevc .insv .ismv .ivf .lrv .m1v .m2p .m2t .m2ts .m2v .m4s .m4v .mj2 .mjpeg "
        ".mjpg .mkv .mod .mov .mp4 .mpe .mpeg .mpg .mts .mxf .nsv .nut .ogg .ogm .ogv .qt .rm "
        ".rmvb .tod .tp .trp .ts .vob .webm .wmv .wtv .xvid .y4m"
    ).split()
)
# The ones that messages mention.
_USUAL_SUFFIXES = ".avi, .mp4, .mov"
_TABLE_SUFFIXES = (".csv", ".tsv", ".txt")
_SEPARATORS = (",", ";", "\t")
# A warning names at most this many of the files that were skipped.
_MAX_NAMED = 10


# Folders of clips.


def list_clips(
    path: str | os.PathLike[str], class_names: Sequence[str] | None = None
) -> tuple[list[pathlib.Path], list[int], list[str]]:
    """List the clips below a split's folder, with their classes.

    All videos below a class's folder are its clips, at any depth. Hidden files are ignored. Files
    that are not named like videos, and class folders without videos, are named in a warning.

    Args:
        path: Folder with one folder of videos per class, in any container that OpenCV reads.
        class_names: Class names by label, such as those of the training set. The default is the
            names of the folders in alphabetical order.

    Returns:
        `(files, labels, class_names)`: the paths in alphabetical order, the label of each, and the
        class names by label.

    Raises:
        ValueError: There are no clips, or `class_names` lacks the class of some clips.
    """
    path = pathlib.Path(path)
    found = sorted(visible_files(path))
    files = [file for file in found if is_video(file) and file.parent != path]
    if not files:
        raise ValueError(_explain_no_clips(path))
    classes = [file.relative_to(path).parts[0] for file in files]
    folders = sorted(folder for folder in path.glob("[!.]*") if folder.is_dir())
    _warn_of_skipped(
        path,
        sorted(set(found) - set(files)),
        f"files that are not named like videos ({_USUAL_SUFFIXES} ...) or not in a class's folder",
    )
    _warn_of_skipped(
        path, [folder for folder in folders if folder.name not in classes], "folders without videos"
    )
    names = sorted(set(classes)) if class_names is None else list(class_names)
    if unknown := sorted(set(classes) - set(names)):
        raise ValueError(
            f"{path} has clips of {', '.join(unknown)}, but the classes are {', '.join(names)}; "
            "remove these clips, or add their classes to class_names."
        )
    return files, [names.index(name) for name in classes], names


def visible_files(
    folder: pathlib.Path, above: tuple[pathlib.Path, ...] = ()
) -> Iterator[pathlib.Path]:
    """Iterate over the files below a folder, except hidden files and those in hidden folders.

    Links are followed, unless they lead back to a folder above.

    Args:
        folder: The folder; if it does not exist, there are no files.
        above: The folders that led to it, with links resolved.
    """
    here = folder.resolve()
    if here in above or not folder.is_dir():
        return
    for path in folder.glob("[!.]*"):
        if path.is_dir():
            yield from visible_files(path, (*above, here))
        elif path.is_file():
            yield path


def is_video(fname: str | os.PathLike[str]) -> bool:
    """Return whether a file is named like a video and is not hidden.

    macOS adds a hidden file with a video's suffix to a ZIP for every video.
    """
    name = base_name(fname)
    return not name.startswith(".") and name.lower().endswith(VIDEO_SUFFIXES)


def _explain_no_clips(path: pathlib.Path) -> str:
    if not path.exists() and (url := as_url(path)):
        return f"{url} is a web address; download the clips and give the path of their folder."
    return (
        f"{path} holds no clips; add videos ({_USUAL_SUFFIXES} ...) in a folder for each class, "
        "or fetch UCF101's with helpers.archive."
    )


def _warn_of_skipped(path: pathlib.Path, skipped: Sequence[pathlib.Path], kind: str) -> None:
    """Name the files or folders that `list_clips` skips in a warning to its caller."""
    if skipped:
        named = [str(each.relative_to(path)) for each in skipped[:_MAX_NAMED]]
        if len(skipped) > _MAX_NAMED:
            named.append("...")
        warnings.warn(f"{path}: skipped {kind} ({len(skipped)}): {', '.join(named)}.", stacklevel=3)


# Tables of clips.


def is_table(split_by: str | os.PathLike[str]) -> bool:
    """Return whether `split_by` is the path of a table for `read_split`, not a kind of split."""
    return str(split_by).lower().endswith(_TABLE_SUFFIXES)


def read_split(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read the split of each clip from a table.

    The table is a .csv file, also in the variants that Excel writes. Columns are separated by
    commas, semicolons, tabs, or the character in a first line such as `sep=|`. The encoding is
    UTF-8 or UTF-16, with or without a byte order mark. Case does not matter in titles and splits,
    and blank lines are ignored.

    Args:
        path: A file with the columns `file` and `split`. Other columns are ignored, and so are
            folders in front of a clip's name.

    Returns:
        The split by name of clip.

    Raises:
        ValueError: The file can't be read, lacks one of the columns, lists no clip, or lists a clip
            in two splits.
    """
    table: dict[str, str] = {}
    for row in _read_rows(path, {"file", "split"}):
        name, split = base_name(row["file"]), row["split"]
        if table.setdefault(name, split).lower() != split.lower():
            raise ValueError(
                f"{path} lists {name} in {table[name]} and in {split}; remove one of the two rows."
            )
    if not table:
        raise ValueError(
            f"{path} lists no clip, because no row has both a file and a split; "
            "fill in these columns."
        )
    return table


def _read_rows(path: str | os.PathLike[str], required: set[str]) -> list[dict[str, str]]:
    """Return a table's rows by lower-case title, without those that lack a required cell."""
    columns = " and ".join(sorted(required))
    text, separators = _find_separators(_read_text(path, columns))
    try:
        for separator in separators:
            titles = [title.lower() for title in next(_cells(text, separator, strict=False), [])]
            if required <= set(titles):
                rows = [dict(zip(titles, cells)) for cells in list(_cells(text, separator))[1:]]
                return [row for row in rows if all(row.get(title) for title in required)]
    except csv.Error as error:
        raise ValueError(
            f"{path} can't be read as a table ({error}); "
            f"save it again as CSV, with the columns {columns}."
        ) from error
    lines = text.strip().splitlines()
    found = f"its first line is {lines[0][:80]!r}" if lines else "it is empty"
    raise ValueError(
        f"{path} is not a table with the columns {columns} ({found}); add or rename these columns."
    )


def _find_separators(text: str) -> tuple[str, Sequence[str]]:
    """Return a table's text without Excel's own line `sep=`, and its possible separators."""
    line = re.match(r'\s*"?sep=([^\w\s"]|\t)"?[,;\t ]*(?:[\r\n]|$)', text, re.IGNORECASE)
    return (text[line.end() :], [line[1], *_SEPARATORS]) if line else (text, _SEPARATORS)


def _cells(text: str, separator: str, strict: bool = True) -> Iterator[list[str]]:
    """Iterate over the stripped cells of each line of a table, except blank lines."""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=strict
    )
    for row in reader:
        cells = [cell.strip() for cell in row]
        if any(cells):
            yield cells


def _read_text(path: str | os.PathLike[str], columns: str) -> str:
    """Return a table's text, in the encoding that its first bytes indicate."""
    if as_url(path):
        raise ValueError(
            f"{path} is a URL, but a table is read from a file; download it and give its path."
        )
    try:
        content = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise ValueError(
            f"{path} can't be read ({error.strerror}); "
            f"give the path of a .csv file with the columns {columns}."
        ) from error
    try:
        return content.decode(_encoding(content))
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not text in UTF-8; save it as CSV UTF-8, with the columns {columns}."
        ) from error


def _encoding(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    # A table begins with ASCII characters, and UTF-16 writes each of them with a zero byte.
    if content[1:2] == b"\0":
        return "utf-16-le"
    if content[:1] == b"\0":
        return "utf-16-be"
    return "utf-8-sig"


# Addresses.


def as_url(path: str | os.PathLike[str]) -> str | None:
    """Return the web address that a path was made from, or None if it is a path on this machine.

    A `pathlib.Path` made from an address has dropped one of its two slashes; it is restored.
    """
    match = re.match(r"([A-Za-z][\w+.-]+):/+(.+)", str(path))
    return f"{match[1]}://{match[2]}" if match else None
