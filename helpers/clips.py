"""Lists of clips, from folders and from tables. Taught in the chapter *Load video*.

`list_clips` lists a folder that contains a folder of videos for each class, and labels the clips.
`read_split` reads a table that assigns clips to splits. `read_folder` and `read_table` make a table
of any videos, with class and group, which `helpers.splits` splits.
"""

import codecs
import csv
import io
import math
import os
import pathlib
import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from helpers.ucf101 import base_name, get_class, get_group, is_clip

if TYPE_CHECKING:
    import pandas as pd

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
# Other names of the splits in tables.
_SYNONYMS = {
    "training": "train",
    "validation": "val",
    "valid": "val",
    "dev": "val",
    "testing": "test",
}
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
    files, classes = _find_clips(path)
    labels, names = label_clips(classes, class_names, path)
    return files, labels, names


def label_clips(
    classes: Iterable[str], class_names: Sequence[str] | None, source: Any
) -> tuple[list[int], list[str]]:
    """Return the labels of clips, and the class names by label.

    Args:
        classes: The class of each clip.
        class_names: Class names by label; None takes those of the clips, in alphabetical order.
        source: Where the clips are from, for the error's message.

    Raises:
        ValueError: `class_names` lacks the class of some clips.
    """
    classes = list(classes)
    names = sorted(set(classes)) if class_names is None else list(class_names)
    if unknown := sorted(set(classes) - set(names)):
        raise ValueError(
            f"{source} has clips of {', '.join(unknown)}, but the classes are {', '.join(names)}; "
            "remove these clips, or add their classes to class_names."
        )
    return [names.index(name) for name in classes], names


def _find_clips(path: pathlib.Path) -> tuple[list[pathlib.Path], list[str]]:
    """Return the clips below a folder and their classes, and warn of what is skipped."""
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
    return files, classes


def visible_files(
    folder: pathlib.Path, above: tuple[pathlib.Path, ...] = ()
) -> Iterator[pathlib.Path]:
    """Iterate over the files below a folder, except hidden files and those in hidden folders.

    Links are followed, unless they lead back to a folder above. Links that lead nowhere are among
    the files.

    Args:
        folder: The folder; if it does not exist, there are no files.
        above: The folders that led to it, with links resolved.

    Raises:
        ValueError: A folder can't be read.
    """
    here = folder.resolve()
    if here in above or not folder.is_dir():
        return
    try:
        paths = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise ValueError(
            f"{folder} can't be read ({error.strerror}); change its permissions, or remove it."
        ) from error
    for path in paths:
        # Path.is_dir would raise an error if the folder may be listed but not entered.
        if os.path.isdir(path):  # noqa: PTH112
            yield from visible_files(path, (*above, here))
        else:
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
    if not path.exists():
        return f"{path} does not exist; check the path of the folder of clips."
    if not path.is_dir():
        return f"{path} is a file; give the path of a folder with a folder of videos per class."
    return (
        f"{path} holds no clips; add videos ({_USUAL_SUFFIXES} ...) in a folder for each class, "
        "or fetch UCF101's with helpers.archive."
    )


def _warn_of_skipped(path: pathlib.Path, skipped: Sequence[pathlib.Path], kind: str) -> None:
    """Name the files or folders that `list_clips` or `read_folder` skips in a warning."""
    if skipped:
        named = [str(each.relative_to(path)) for each in skipped[:_MAX_NAMED]]
        if len(skipped) > _MAX_NAMED:
            named.append("...")
        warnings.warn(f"{path}: skipped {kind} ({len(skipped)}): {', '.join(named)}.", stacklevel=4)


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
    for row in _read_rows(path, {"file", "split"}).values():
        if not (row.get("file") and row.get("split")):
            continue
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


def _read_rows(path: str | os.PathLike[str], required: set[str]) -> dict[int, dict[str, str]]:
    """Return a table's rows, cells by lower-case title, by the numbers that a spreadsheet shows."""
    columns = " and ".join(sorted(required))
    text, separators = _find_separators(_read_text(path, columns))
    try:
        for separator in separators:
            _, titles = next(_cells(text, separator, strict=False), (0, []))
            titles = [title.lower() for title in titles]
            if required <= set(titles):
                _, *rows = _cells(text, separator)
                _check_cells(path, titles, rows)
                return {number: dict(zip(titles, cells)) for number, cells in rows}
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


def _check_cells(
    path: str | os.PathLike[str], titles: list[str], rows: list[tuple[int, list[str]]]
) -> None:
    """Check that no title stands twice, and that no row has a cell without a title."""
    if repeated := [title for title in titles if title and titles.count(title) > 1]:
        raise ValueError(f"{path} has two columns {repeated[0]}; rename or remove one of them.")
    for number, cells in rows:
        if any(cells[len(titles) :]):
            raise ValueError(
                f"{path}, row {number} has {len(cells)} cells, but there are {len(titles)} titles; "
                "put cells that contain commas in quotes, such as file names or 12,5."
            )


def _find_separators(text: str) -> tuple[str, Sequence[str]]:
    """Return a table's text without Excel's own line `sep=`, and its possible separators."""
    line = re.match(r'\s*"?sep=([^\w\s"]|\t)"?[,;\t ]*(?:[\r\n]|$)', text, re.IGNORECASE)
    return (text[line.end() :], [line[1], *_SEPARATORS]) if line else (text, _SEPARATORS)


def _cells(text: str, separator: str, strict: bool = True) -> Iterator[tuple[int, list[str]]]:
    """Iterate over the numbers and the stripped cells of a table's rows, except blank ones."""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=strict
    )
    for number, row in enumerate(reader, start=1):
        cells = [cell.strip() for cell in row]
        if any(cells):
            yield number, cells


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


# Tables of any videos.


def read_clips(source: str | os.PathLike[str], group: str | None = None) -> "pd.DataFrame":
    """Make a table of clips from a folder with `read_folder`, or from a file with `read_table`.

    Args:
        source: The folder, or the path of a .csv, .tsv or .txt file.
        group: Regular expression that finds a clip's group in its path.

    Returns:
        A row per clip.

    Raises:
        ValueError: There are no clips, or the table or `group` is wrong.
    """
    if is_table(source) and not pathlib.Path(source).is_dir():
        return read_table(source, group)
    return read_folder(source, group)


def read_splits(folders: Mapping[str, str | os.PathLike[str]]) -> "pd.DataFrame":
    """Make one table of the clips in the folders of several splits, such as `helpers.archive` has.

    Args:
        folders: Folders by split.

    Returns:
        The tables of `read_folder`, one below the other, with the column `split`.

    Raises:
        ValueError: A folder holds no clips.
    """
    import pandas as pd

    tables = [read_folder(folder).assign(split=split) for split, folder in folders.items()]
    return pd.concat(tables, ignore_index=True)


def read_folder(path: str | os.PathLike[str], group: str | None = None) -> "pd.DataFrame":
    """Make a table of the clips below a folder.

    The folder has one folder of videos per class, and in it, if the groups are known, one folder
    per group: the clips of one recording, one person or one place. Without such a folder, a name
    like those of UCF101 gives the group. Files are found as by `list_clips`.

    Args:
        path: The folder.
        group: Regular expression that finds a clip's group in its path below the folder, which is
            written with slashes: what its parentheses match, or else the complete match.

    Returns:
        A row per clip, in alphabetical order, with the columns `file` (a `pathlib.Path`),
        `class_name`, and `group` (a string; missing where it is unknown).

    Raises:
        ValueError: There are no clips, or `group` is no regular expression or does not match the
            path of some clip.
    """
    path = pathlib.Path(path)
    files, classes = _find_clips(path)
    names = [file.relative_to(path) for file in files]
    if group is not None:
        groups = _find_groups(path, names, group)
    else:
        groups = [
            name.parts[1] if len(name.parts) > 2 else _group_of_ucf101(name) for name in names
        ]
    return _make_table({"file": files, "class_name": classes, "group": groups})


def _group_of_ucf101(path):
    """Return class and group if a clip is named like one of UCF101, or else None."""
    return f"{get_class(path)} {get_group(path)}" if is_clip(path) else None


def _find_groups(path, names, pattern):
    """Return the part of each name that a regular expression finds."""
    try:
        expression = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(
            f"{pattern!r} is not a regular expression ({error}); for names such as anna_01.mp4, "
            r"whose group is anna, use ([^/_]+)_\d+\.mp4."
        ) from error
    groups = [_find_group(expression, name.as_posix()) for name in names]
    if missing := [name for name, found in zip(names, groups) if not found]:
        raise ValueError(
            f"{pattern!r} finds no group in {len(missing)} of the {len(names)} clips in {path}, "
            f"such as {missing[0].as_posix()}; change the pattern, or rename these clips."
        )
    return groups


def _find_group(expression, name):
    """Return what the first parentheses that match find, or else the match; "" without any."""
    match = expression.search(name)
    if match is None:
        return ""
    return next(filter(None, match.groups()), "") if expression.groups else match[0]


def read_table(csv_path: str | os.PathLike[str], group: str | None = None) -> "pd.DataFrame":
    """Read a table of clips from a file, as `read_folder` makes it from a folder.

    Its columns are `file` (paths are relative to the table's folder) and `class`, and if they are
    known `group` and `split`. With the columns `begin` and `end`, in seconds, a clip is a part of
    its video; an empty cell stands for the video's begin or end. Where the group is not known, the
    parts of a video form one. The formats are those of `read_split`; the order of the columns
    does not matter, and others are ignored.

    Args:
        csv_path: The table, a .csv, .tsv or .txt file.
        group: Regular expression that finds the groups that the table leaves open in the paths of
            the files, which are relative to the table's folder and written with slashes.

    Returns:
        A row per clip, in the table's order, with the columns `file` (a `pathlib.Path`),
        `class_name`, `group` (a string; missing where it is unknown), and if the table has them
        `split`, `begin` and `end` (in seconds, missing where they are empty).

    Raises:
        ValueError: The table can't be read or has no rows, a row lacks its file or class or names a
            file that does not exist, a time is not a number or is before `begin`, a clip is listed
            twice, or `group` is no regular expression or does not match a file.
    """
    csv_path = pathlib.Path(csv_path)
    rows = _read_rows(csv_path, {"file", "class"})
    if not rows:
        raise ValueError(f"{csv_path} lists no clips; add a row for each, or read a folder.")
    for number, row in rows.items():
        if missing := [title for title in ("file", "class") if not row.get(title)]:
            raise ValueError(f"{csv_path}, row {number}: {missing[0]} is empty; fill it in.")
    titles = set().union(*rows.values())
    columns: dict[str, list] = {
        "file": _find_files(csv_path, rows),
        "class_name": [row["class"] for row in rows.values()],
        "group": [row.get("group") or None for row in rows.values()],
    }
    if group is not None:
        below = [pathlib.Path(os.path.relpath(file, csv_path.parent)) for file in columns["file"]]
        found = iter(
            _find_groups(
                csv_path, [name for name, known in zip(below, columns["group"]) if not known], group
            )
        )
        columns["group"] = [known or next(found) for known in columns["group"]]
    columns["group"] = [
        known or _group_of_ucf101(file) for known, file in zip(columns["group"], columns["file"])
    ]
    if "split" in titles:
        given = [row.get("split", "").lower() for row in rows.values()]
        columns["split"] = [_SYNONYMS.get(split, split) or None for split in given]
    if {"begin", "end"} & titles:
        times = [_read_times(csv_path, number, row) for number, row in rows.items()]
        columns["begin"], columns["end"] = map(list, zip(*times))
        # Parts of one video must not be in two splits.
        videos = [file.resolve() for file in columns["file"]]
        groups_of = {file: group for file, group in zip(videos, columns["group"]) if group}
        columns["group"] = [
            group or groups_of.get(file) or os.path.relpath(file, csv_path.parent.resolve())
            for group, file in zip(columns["group"], videos)
        ]
    _refuse_repeated(csv_path, list(rows), columns)
    return _make_table(columns)


def _make_table(columns: Mapping[str, Sequence[Any]]) -> "pd.DataFrame":
    import pandas as pd  # takes half a second, and most of the helpers do without

    # The same name may be written with composed or decomposed accents.
    names = {
        name: [cell and unicodedata.normalize("NFC", cell) for cell in columns[name]]
        for name in ("class_name", "group")
    }
    columns = {**columns, **names}
    times = {name: float for name in ("begin", "end") if name in columns}
    return pd.DataFrame(
        {name: pd.Series(cells, dtype=object) for name, cells in columns.items()}
    ).astype(times)


def _find_files(csv_path, rows):
    """Return the file of each row."""
    files = {number: _find_file(csv_path.parent, row["file"]) for number, row in rows.items()}
    if missing := [number for number, file in files.items() if file is None]:
        name = rows[missing[0]]["file"]
        reason = "is a web address" if as_url(name) else f"is not a file in {csv_path.parent}"
        raise ValueError(
            f"{csv_path}, row {missing[0]}: {name} {reason} ({len(missing)} of {len(rows)} rows "
            "name no file); write paths that are relative to the table's folder, or absolute."
        )
    return list(files.values())


def _find_file(folder, name):
    """Return the path of a file, or None; a table may be written on another operating system."""
    for variant in (name, name.replace("\\", "/")):
        # macOS may decompose accents in names.
        for form in (variant, *(unicodedata.normalize(form, variant) for form in ("NFC", "NFD"))):
            # False also if the name is too long, or a folder can't be read.
            if os.path.isfile(folder / form):  # noqa: PTH113
                return folder / form
    return None


def _read_times(csv_path, number, row):
    """Return begin and end of a row's clip in seconds, nan where they are empty."""
    times = []
    for title in ("begin", "end"):
        # Where tables have semicolons, numbers often have commas.
        cell = row.get(title, "").replace(",", ".")
        try:
            times.append(float(cell) if cell else math.nan)
        except ValueError:
            times.append(-1.0)
        if times[-1] < 0 or math.isinf(times[-1]):
            raise ValueError(
                f"{csv_path}, row {number}: {title} is {row[title]!r}, which is no number of "
                "seconds; write seconds from the video's begin, such as 12.5."
            )
    begin, end = times
    if end <= (0.0 if math.isnan(begin) else begin):
        raise ValueError(
            f"{csv_path}, row {number}: the clip ends at {row['end']} s, not after it begins; "
            "correct begin or end."
        )
    return begin, end


def _refuse_repeated(csv_path, numbers, columns):
    """Refuse a table that lists a clip twice, or overlapping parts of a video in two splits."""
    unknown = [math.nan] * len(numbers)
    begins = [0.0 if math.isnan(time) else time for time in columns.get("begin", unknown)]
    ends = [math.inf if math.isnan(time) else time for time in columns.get("end", unknown)]
    splits = columns.get("split", [None] * len(numbers))
    rows_of: dict[pathlib.Path, list[int]] = {}
    for row, file in enumerate(columns["file"]):
        rows_of.setdefault(file.resolve(), []).append(row)
    for file, rows in rows_of.items():
        last: dict[Any, int] = {}  # by split, the row that ends last so far
        known: dict[tuple[float, float], int] = {}
        for row in sorted(rows, key=lambda row: (begins[row], row)):
            other = known.setdefault((begins[row], ends[row]), row)
            problem = "the same clip"
            if other == row:
                problem = "a part of the same video"
                overlapping = (
                    earlier
                    for split, earlier in last.items()
                    if split != splits[row] and ends[earlier] > begins[row]
                )
                other = next(overlapping, row)
            if other != row:
                first, second = sorted((other, row))
                where = f", in {splits[first]} and in {splits[second]}"
                raise ValueError(
                    f"{csv_path}, rows {numbers[first]} and {numbers[second]} list {problem} "
                    f"({file.name}{where if splits[first] != splits[second] else ''}); "
                    "remove one of them."
                )
            if ends[row] > ends[last.setdefault(splits[row], row)]:
                last[splits[row]] = row


# Words.


def count_noun(number: int, noun: str) -> str:
    """Return a number with a noun, such as `"1 clip"` or `"2 clips"`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


# Addresses.


def as_url(path: str | os.PathLike[str]) -> str | None:
    """Return the web address that a path was made from, or None if it is a path on this machine.

    A `pathlib.Path` made from an address has dropped one of its two slashes; it is restored.
    """
    match = re.match(r"([A-Za-z][\w+.-]+):/+(.+)", str(path))
    return f"{match[1]}://{match[2]}" if match else None
