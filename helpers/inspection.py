"""Look at your own clips before you train on them. Taught in *Train on your own clips*.

Most failures of a training on one's own videos show in the clips: unreadable files, a class of few
clips, the same clip twice, clips that last from a second to an hour.
"""

import base64
import hashlib
import html
import pathlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pandas as pd

from helpers.atomic import atomic_write, locked
from helpers.batches import available_cores
from helpers.clips import count_noun
from helpers.playback import Playback, find_part, round_times
from helpers.video import VideoReadError, frames_from_video_file

# A film strip on the page has so many frames of so many pixels (height, width), this far apart.
_STRIP_FRAMES, _STRIP_SIZE, _GAP = 6, (90, 120), 2
_PAGE = pathlib.Path(__file__).parent / "assets" / "clips.html"
# One of so many frames is hashed.
_HASHED_STEP = 8
# The page lists the sizes of a class's clips if there are at most so many.
_MAX_SIZES = 10
# The page names at most this many clips in a list.
_MAX_LISTED = 50


def inspect_clips(clips: pd.DataFrame) -> pd.DataFrame:
    """Decode each video of a table once, and describe its clips.

    Args:
        clips: A table from `helpers.clips.read_clips`.

    Returns:
        A copy with the columns `seconds`, `rate` (frames per second), `height`, `width`, `bounds`
        (the clip's first frame and the first one after it), `content` (a hash of the video's
        decoded frames, which is the same for a copy in another container), `notes` (sentences about
        irregularities), and `problem`: None, or the sentence that says why the clip can't be read.
        The other columns are empty then.
    """
    parts = clips.reindex(columns=["begin", "end"]).to_numpy(float)
    rows_of = clips.groupby("file", sort=False).indices
    described: list[dict[str, Any]] = [{}] * len(clips)
    with ThreadPoolExecutor(available_cores()) as executor:
        jobs = [(file, parts[rows]) for file, rows in rows_of.items()]
        for rows, found in zip(rows_of.values(), executor.map(_inspect, *zip(*jobs))):
            for row, description in zip(rows, found):
                described[row] = description
    columns = "seconds rate height width bounds content notes problem".split()
    return clips.assign(
        **{
            name: pd.Series([each.get(name) for each in described], clips.index, dtype=object)
            for name in columns
        }
    )


def _inspect(file: pathlib.Path, parts: np.ndarray) -> list[dict[str, Any]]:
    """Return the descriptions of the parts of a video, after one pass over it."""
    try:
        playback = Playback(file)
        times, content = [], hashlib.sha256()
        for time in playback:
            times.append(time)
            # Converting only some of the frames is faster, and these identify a video.
            if len(times) % _HASHED_STEP == 1 or len(times) == 2:
                content.update(playback.frame().data)
    except VideoReadError as error:
        return [{"problem": str(error)} for _ in parts]
    assert playback.size is not None
    height, width = playback.size
    digest = f"{content.hexdigest()[:16]}-{len(times)}"
    descriptions: list[dict[str, Any]] = []
    rounded = round_times(times)
    for begin, end in parts:
        try:
            first, stop = find_part(file, rounded, playback.length, begin, end)
        except ValueError as error:
            descriptions.append({"problem": str(error)})
            continue
        end = times[stop] if stop < len(times) else playback.length
        descriptions.append(
            {
                "seconds": end - times[first],
                "rate": 1 / playback.step,
                "height": height,
                "width": width,
                "bounds": (first, stop),
                "content": digest,
                "notes": " ".join(playback.notes),
            }
        )
    return descriptions


def join_duplicates(clips: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Put clips with frames in common into one group, so that they end up in one split.

    Args:
        clips: A table from `inspect_clips` of clips that can be read, with the column `name`.

    Returns:
        `(clips, notes)`: a copy of the table in which the groups of copies, and of overlapping
        parts of a video, are joined, and a sentence for each set of such clips.

    Raises:
        ValueError: The same clip is in two classes, or, if the table has the column `split`, clips
            with frames in common are in two splits.
    """
    groups, notes = clips["group"].copy(), []
    for same in _with_common_frames(clips):
        for _, copies in same.groupby("bounds"):
            _check_equal(copies, "class_name", "classes")
        if "split" in same:
            _check_equal(same, "split", "splits")
        known = list(dict.fromkeys(groups[same.index].dropna()))
        joined = known[0] if known else f"copies of {same['name'].iloc[0]}"
        groups[same.index] = joined
        groups[groups.isin(known)] = joined
        what = "the same content" if same["bounds"].nunique() == 1 else "frames in common"
        notes.append(f"{list_names(same['name'])} have {what}; they count as one group.")
    return clips.assign(group=groups), notes


def _with_common_frames(clips):
    """Iterate over the sets of two or more clips that are linked by common frames."""
    for _, same in clips.groupby("content", sort=False):
        linked: list[int] = []
        end = -1
        for row, (first, stop) in sorted(same["bounds"].items(), key=lambda item: item[1]):
            if first >= end:
                if len(linked) > 1:
                    yield clips.loc[sorted(linked)]
                linked = []
            linked.append(row)
            end = max(end, stop)
        if len(linked) > 1:
            yield clips.loc[sorted(linked)]


def _check_equal(clips, column, title):
    """Check that clips with frames in common have the same class or split."""
    if clips[column].nunique() > 1:
        first, second = clips.drop_duplicates(column).index[:2]
        raise ValueError(
            f"{clips['name'][first]} and {clips['name'][second]} have frames in common, but are in "
            f"two {title}, {clips[column][first]} and {clips[column][second]}; remove one of them."
        )


def summarize(clips: pd.DataFrame) -> list[str]:
    """Return a line for each class: its clips, groups, lengths, sizes and rates.

    Args:
        clips: A table from `inspect_clips`.
    """
    width = max(map(len, clips["class_name"]))
    return [
        f"{class_name:{width}}  {', '.join(_describe(same, max_sizes=1))}"
        for class_name, same in clips.groupby("class_name")
    ]


def _describe(clips, max_sizes):
    """Return phrases about the clips of a class; more sizes than `max_sizes` are counted only."""
    known = clips["group"].nunique()
    phrases = [
        count_noun(len(clips), "clip") + (f" in {count_noun(known, 'group')}" if known else "")
    ]
    readable = clips[clips["problem"].isna()]
    if len(readable) < len(clips):
        phrases.append(f"{len(clips) - len(readable)} unreadable")
    if len(readable):
        sizes = sorted({(w, h) for w, h in zip(readable["width"], readable["height"])})
        phrases += [
            f"{readable['seconds'].sum():.0f} s ({_range(readable['seconds'], 'each', 1)})",
            f"{', '.join(f'{w} x {h}' for w, h in sizes)} pixels"
            if len(sizes) <= max_sizes
            else f"{len(sizes)} sizes",
            _range(readable["rate"], "frames/s", 0),
        ]
    return phrases


def _range(values, unit, digits):
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return f"{low} {unit}" if low == high else f"{low} to {high} {unit}"


def list_names(names: Iterable[str]) -> str:
    """Return names as a list in words, the first three of many."""
    names = list(names)
    shown = names[:3] + ([f"{len(names) - 3} more"] if len(names) > 3 else [])
    return f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else shown[0]


def write_page(clips: pd.DataFrame, path: pathlib.Path, notes: Sequence[str] = ()) -> None:
    """Write a web page that shows what was read: a film strip and the numbers of each class.

    The page stands alone: its pictures are inside.

    Args:
        clips: A table from `inspect_clips`.
        path: The .html file.
        notes: Sentences to show above the classes.

    Raises:
        OSError: The file can't be written.
    """
    sections = [_section(name, same) for name, same in clips.groupby("class_name")]
    problems = [
        f"<li><b>{html.escape(name)}</b>: {html.escape(problem)}</li>"
        for name, problem in zip(clips["name"], clips["problem"])
        if problem
    ]
    if len(problems) > _MAX_LISTED:
        problems[_MAX_LISTED:] = [f"<li>and {len(problems) - _MAX_LISTED} more</li>"]
    body = [
        f"<h1>{count_noun(len(clips), 'clip')} by class</h1>",
        *(f"<p>{html.escape(note)}</p>" for note in notes),
        *(["<h2>Clips that can't be read</h2><ul>", *problems, "</ul>"] if problems else []),
        *sections,
    ]
    with locked(path.parent), atomic_write(path) as temp_path:
        page = _PAGE.read_text(encoding="utf-8").replace("BODY", "\n".join(body))
        temp_path.write_text(page, encoding="utf-8")


def _section(class_name, clips):
    """Return the part of the page about a class, with a strip of its first readable clip."""
    phrases = html.escape("; ".join(_describe(clips, max_sizes=_MAX_SIZES)))
    parts = [f"<h2>{html.escape(class_name)}</h2>", f"<p>{phrases}</p>"]
    readable = clips[clips["problem"].isna()]
    if len(readable):
        name = html.escape(readable["name"].iloc[0])
        parts.append(
            f'<figure><img src="data:image/jpeg;base64,{_strip(readable.iloc[0])}" '
            f'alt="{_STRIP_FRAMES} frames of {name}, from its first to its last">'
            f"<figcaption>{name}</figcaption></figure>"
        )
    return "\n".join(parts)


def _strip(clip):
    """Return frames of a clip side by side, as a JPEG in base64."""
    first, stop = clip["bounds"]
    # With so large a step, the frames are spread over the complete clip.
    frames = frames_from_video_file(
        clip["file"], _STRIP_FRAMES, _STRIP_SIZE, stop - first + 1, start=0, bounds=(first, stop)
    )
    # A white line between frames.
    strip = np.pad(frames, ((0, 0), (0, 0), (0, _GAP), (0, 0)), constant_values=255)
    image = cv2.cvtColor(np.concatenate(list(strip), axis=1), cv2.COLOR_RGB2BGR)
    return base64.b64encode(cv2.imencode(".jpg", image)[1]).decode()
