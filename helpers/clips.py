"""Lists of clips: in a folder with one folder a class, or in a table. Taught in the chapter *Load video*."""

import codecs
import csv
import io
import pathlib
import re
import warnings

from helpers.ucf101 import base_name


def as_url(path):
    """Return the web address that was given for a path, or None; a `pathlib.Path` has dropped one of its slashes."""
    match = re.match(r"([A-Za-z][\w+.-]+):/+(.+)", str(path))
    return match and f"{match[1]}://{match[2]}"


# What the names of videos end in; which of them OpenCV reads shows when it opens them.
VIDEO_SUFFIXES = tuple(
    ".264 .265 .3g2 .3gp .3gpp .amv .apng .asf .avi .divx .dv .f4v .flc .fli .flv .gif .gifv .h264 .h265 .hevc .insv .ismv .ivf .lrv .m1v .m2p"
    " .m2t .m2ts .m2v .m4s .m4v .mj2 .mjpeg .mjpg .mkv .mod .mov .mp4 .mpe .mpeg .mpg .mts .mxf .nsv .nut .ogg .ogm .ogv .qt .rm .rmvb .tod"
    " .tp .trp .ts .vob .webm .wmv .wtv .xvid .y4m".split()
)


# Of more files that are passed over not all are named.
_LISTED = 10


_USUAL = (".avi", ".mp4", ".mov")


_TABLES = (".csv", ".tsv", ".txt")


_SEPARATORS = (",", ";", "\t")


def list_clips(path, class_names=None):
    """List the clips below a split's folder.

    Everything below a class's folder counts, in folders of its own or not. What is hidden is left
    out; what isn't named like a video is named in a warning.

    Args:
        path: Folder with one folder of videos a class, in any container that OpenCV reads.
        class_names: The classes by number, such as those of the training set; the folders' names in
            order where not given.

    Returns:
        `(files, labels, class_names)`: paths in order, the class of each as a number, the names by
        number.

    Raises:
        ValueError: There are no clips, or `class_names` lacks a class that has some.
    """
    path = pathlib.Path(path)
    found = sorted(visible_files(path))
    files = [file for file in found if is_video(file) and file.parent != path]
    if not files and not path.exists() and (url := as_url(path)):
        raise ValueError(f"{url} is a web address; download the clips, and name their folder.")
    if not files:
        raise ValueError(
            f"{path} holds no clips (CLASS/*.avi, *.mp4 and the like); put some there, or fetch UCF101's with helpers.archive."
        )
    classes = [file.relative_to(path).parts[0] for file in files]
    empty = [
        folder
        for folder in sorted(path.glob("[!.]*"))
        if folder.is_dir() and folder.name not in classes
    ]
    _warn_of_others(path, sorted(set(found) - set(files)), empty)
    names = sorted(set(classes)) if class_names is None else list(class_names)
    if unknown := sorted(set(classes) - set(names)):
        raise ValueError(
            f"{path} has clips of {', '.join(unknown)}, but the classes are {', '.join(names)}; remove these clips, or name their classes."
        )
    return files, [names.index(name) for name in classes], names


def visible_files(folder, above=()):
    """Yield the files below a folder, but for hidden ones and those in hidden folders; links are followed, unless they lead back.

    Args:
        folder: A `pathlib.Path`.
        above: The folders that led there, without links.
    """
    here = folder.resolve()
    if here in above or not folder.is_dir():
        return
    for path in folder.glob("[!.]*"):
        if path.is_dir():
            yield from visible_files(path, (*above, here))
        elif path.is_file():
            yield path


def is_video(fname):
    """Return whether a file is named like a video, and not hidden, such as what macOS puts beside each in a ZIP."""
    name = base_name(fname)
    return not name.startswith(".") and name.lower().endswith(VIDEO_SUFFIXES)


def _warn_of_others(path, files, folders):
    """Warn of what is no clip: files that are not named like videos or lie in no class's folder, and classes without any."""
    named = f"files that are not named like videos ({', '.join(_USUAL)} and so on) or lie in no class's folder"
    for what, others in ((named, files), ("folders without a video", folders)):
        if others:
            listed = ", ".join(
                str(other.relative_to(path)) for other in others[:_LISTED]
            ) + ", ..." * (len(others) > _LISTED)
            warnings.warn(f"{path}: passed over {len(others)} {what}: {listed}.", stacklevel=3)


def is_table(split_by):
    """Return whether what splits clips is a table's path, for `read_split`, and not the name of a way to split them."""
    return str(split_by).lower().endswith(_TABLES)


def read_split(path):
    """Return the split of each clip that a table names.

    The table is a .csv file, or what Excel makes of one: with commas, semicolons, tabs, or what its
    first line says (`sep=|`), in UTF-8 or UTF-16, with a byte order mark or without, its titles and
    splits in capitals or not, with lines left blank.

    Args:
        path: A file with the columns `file` and `split`; others are passed over, and so are folders
            before a clip's name.

    Raises:
        ValueError: The file can't be read, lacks one of the columns, names no clip, or one for two
            splits.
    """
    table = {}
    for row in _rows(path):
        name, split = base_name(row["file"]), row["split"]
        if table.setdefault(name, split).lower() != split.lower():
            raise ValueError(
                f"{path} names {name} for {table[name]} and for {split}; leave one of the two."
            )
    if not table:
        raise ValueError(
            f"{path} names no clip: no line has both a file and a split; fill its columns."
        )
    return table


def _rows(path):
    """Return the rows of a table that have a file and a split, as dictionaries by title."""
    text, separators = _separators(_read_text(path))
    try:
        for separator in separators:
            titles = [title.lower() for title in next(_lines(text, separator, strict=False), [])]
            if {"file", "split"} <= set(titles):
                rows = [dict(zip(titles, cells)) for cells in list(_lines(text, separator))[1:]]
                return [row for row in rows if row.get("file") and row.get("split")]
    except csv.Error as error:
        raise ValueError(
            f"{path} can't be read as a table ({error}); save it anew as CSV, with the columns file and split."
        ) from error
    lines = text.strip().splitlines()
    found = f"its first line is {lines[0][:80]!r}" if lines else "it is empty"
    raise ValueError(
        f"{path} is no table with the columns file and split: {found}; name two of its columns so."
    )


def _separators(text):
    """Return a table's text without Excel's own line about what stands between two columns, and what may stand there."""
    line = re.match(r'\s*"?sep=([^\w\s"]|\t)"?[,;\t ]*(?:[\r\n]|$)', text, re.IGNORECASE)
    return (text[line.end() :], [line[1], *_SEPARATORS]) if line else (text, _SEPARATORS)


def _lines(text, separator, strict=True):
    """Iterate over the cells of each line of a table, but for blank lines."""
    for row in csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=strict
    ):
        cells = [cell.strip() for cell in row]
        if any(cells):
            yield cells


def _read_text(path):
    """Return a table's text, in the encoding that its first bytes tell."""
    if as_url(path):
        raise ValueError(
            f"{path} is a URL, and a table is read from a file; download it and give its path."
        )
    try:
        content = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise ValueError(
            f"{path} can't be read ({error.strerror}); give the path of a .csv file with the columns file and split."
        ) from error
    try:
        return content.decode(_encoding(content))
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is no text in UTF-8; save it as CSV UTF-8, with the columns file and split."
        ) from error


def _encoding(content):
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    # A table begins with ASCII, of which UTF-16 makes every other byte 0.
    return (
        "utf-16-le"
        if content[1:2] == b"\0"
        else "utf-16-be"
        if content[:1] == b"\0"
        else "utf-8-sig"
    )
