"""A look at clips before training."""

import pathlib

import av
import numpy as np
import pandas as pd
import pytest
from conftest import draw_numbers, write_coded, write_images, write_video

from helpers import inspection
from helpers.clips import read_folder, read_table
from helpers.inspection import inspect_clips, join_duplicates, summarize, write_page
from helpers.playback import Playback


def inspected(folder):
    clips = read_folder(folder)
    return inspect_clips(clips.assign(name=[file.name for file in clips["file"]]))


@pytest.fixture
def folder(tmp_path):
    """Two classes of two clips, 30 and 50 frames each."""
    for clip, class_name in enumerate(["run", "run", "jump", "jump"]):
        write_video(tmp_path / class_name / f"{clip}.avi", (30, 50)[clip % 2], clip)
    return tmp_path


def test_clips_are_described(folder):
    clips = inspected(folder)
    assert clips["seconds"].tolist() == pytest.approx([1.2, 2.0, 1.2, 2.0])
    assert clips["rate"].tolist() == pytest.approx([25] * 4)
    assert set(zip(clips["height"], clips["width"])) == {(64, 64)}
    assert clips["bounds"].tolist() == [(0, 30), (0, 50)] * 2
    assert clips["content"].nunique() == 4 and clips["problem"].isna().all()
    assert summarize(clips) == [
        f"{name}  2 clips, 3 s (1.2 to 2.0 each), 64 x 64 pixels, 25 frames/s"
        for name in ("jump", "run ")
    ]


def test_parts_are_described_after_one_pass_over_their_video(tmp_path, monkeypatch):
    file = write_video(tmp_path / "long.avi", 100)
    table = tmp_path / "clips.csv"
    table.write_text("file,class,begin,end\n" + "long.avi,a,,1\nlong.avi,b,1,2.2\nlong.avi,a,3,\n")
    passes = []
    monkeypatch.setattr(inspection, "Playback", lambda path: passes.append(path) or Playback(path))
    clips = inspect_clips(read_table(table))
    assert passes == [file]
    assert clips["bounds"].tolist() == [(0, 25), (25, 55), (75, 100)]
    assert clips["seconds"].tolist() == pytest.approx([1, 1.2, 1])
    assert clips["content"].nunique() == 1


def test_what_cannot_be_read_is_described_with_the_reason(folder):
    (folder / "run" / "0.avi").write_bytes(b"no video")
    table = folder / "clips.csv"
    table.write_text("file,class,begin\nrun/0.avi,a,\nrun/1.avi,a,9\njump/2.avi,b,\n")
    problems = inspect_clips(read_table(table))["problem"].tolist()
    assert problems[0].startswith(f"{folder}/run/0.avi can't be opened as a video; download")
    assert problems[1].startswith(
        f"{folder}/run/1.avi lasts 2.0 s, but a clip of it is from 9 s to its end;"
    )
    assert problems[2] is None
    table.unlink()
    clips = inspected(folder)
    assert summarize(clips)[1].startswith("run   2 clips, 1 unreadable, 2 s (2.0 each)")


def test_copies_have_the_same_content_in_another_container_too(tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (20, 32, 32, 3), np.uint8)
    first = write_coded(tmp_path / "a" / "1.avi", images, "mp4v")
    with av.open(first) as source, av.open(tmp_path / "a" / "2.mp4", "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    write_coded(tmp_path / "b" / "3.mp4", images[:-1], "mp4v")
    content = inspected(tmp_path)["content"].tolist()
    assert content[0] == content[1] != content[2]


def table_of(groups, contents, classes=None, bounds=None, **columns):
    names = [f"{i}.mp4" for i in range(len(groups))]
    return pd.DataFrame(
        {
            "file": [pathlib.Path(name) for name in names],
            "name": names,
            "class_name": classes or ["a"] * len(groups),
            "bounds": bounds or [(0, 9)] * len(groups),
            "group": pd.Series(groups, dtype=object),
            "content": contents,
            **columns,
        }
    )


def test_groups_of_copies_are_joined():
    clips, notes = join_duplicates(
        table_of([None, "x", "x", "y", "z", None, None], list("1122344"))
    )
    assert clips["group"].tolist() == [
        "x",
        "x",
        "x",
        "x",
        "z",
        "copies of 5.mp4",
        "copies of 5.mp4",
    ]
    assert notes == [
        f"{i}.mp4 and {i + 1}.mp4 have the same content; they count as one group."
        for i in (0, 2, 5)
    ]


def test_copies_in_two_classes_or_splits_are_refused():
    with pytest.raises(ValueError, match=r"^0.mp4 and 1.mp4 have frames .* two classes, a and b;"):
        join_duplicates(table_of(["x", "y"], ["1", "1"], ["a", "b"]))
    with pytest.raises(ValueError, match=r"^0.mp4 and 2.mp4 .* in two splits, train and test"):
        join_duplicates(table_of(["x"] * 3, ["1"] * 3, split=["train", "train", "test"]))


def test_overlapping_parts_are_one_group_and_others_are_not():
    bounds = [(0, 5), (20, 30), (3, 9), (8, 12), (12, 15)]
    clips, notes = join_duplicates(table_of(list("abcde"), ["1"] * 5, list("aabba"), bounds))
    assert clips["group"].tolist() == ["a", "b", "a", "a", "e"]
    assert notes == ["0.mp4, 2.mp4 and 3.mp4 have frames in common; they count as one group."]
    with pytest.raises(ValueError, match="^0.mp4 and 2.mp4 .* in two splits, train and val"):
        join_duplicates(
            table_of(
                list("abcde"),
                ["1"] * 5,
                bounds=bounds,
                split=["train", "train", "val", "train", "test"],
            )
        )


def test_videos_with_the_same_beginning_are_not_copies(tmp_path):
    for clip in range(2):
        images = [draw_numbers(frame, clip * (frame > 40)) for frame in range(60)]
        write_images(tmp_path / "ab"[clip] / "1.avi", images)
    assert inspected(tmp_path)["content"].nunique() == 2


def test_irregularities_are_described(tmp_path):
    write_video(tmp_path / "a" / "1.avi", 1)
    write_video(tmp_path / "a" / "2.avi", 30)
    notes = inspected(tmp_path)["notes"].tolist()
    assert notes == ["The video has only one frame, in which nothing can move.", ""]


def test_the_page_shows_each_class_and_escapes_names(folder):
    (folder / "run").rename(folder / "run & <jump>")
    (folder / "jump" / "2.avi").write_bytes(b"no video")
    write_page(inspected(folder), folder / "runs" / "clips.html", ["One & <all>."])
    page = (folder / "runs" / "clips.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 2
    assert "<h2>run &amp; &lt;jump&gt;</h2>" in page and "<p>One &amp; &lt;all&gt;.</p>" in page
    assert "<b>2.avi</b>: " in page and "can&#x27;t be opened as a video" in page
    assert sorted(path.name for path in (folder / "runs").iterdir()) == [".lock", "clips.html"]
