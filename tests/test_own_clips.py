"""From a folder or a table of anyone's clips to splits, settings and a cache."""

import os
import types

import numpy as np
import pandas as pd
import pytest
from conftest import write_video

from helpers import own_clips
from helpers import settings as book_settings
from helpers.batches import ClipBatches
from helpers.clips import read_folder
from helpers.own_clips import (
    cache_size,
    choose_cache,
    choose_frame_step,
    hash_clips,
    prepare_clips,
    set_frame_steps,
)
from helpers.video import frames_from_video_file

RUN = book_settings.current("own")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two classes of four clips, by four people."""
    monkeypatch.chdir(tmp_path)
    for clip in range(8):
        class_name, person = ("run", "jump")[clip % 2], "anna ben chris dora".split()[clip // 2]
        write_video(tmp_path / "videos" / class_name / person / f"{clip}.avi", 30 + clip, clip)
    return tmp_path / "videos"


def prepare(source, **options):
    lines = []
    clips, settings = prepare_clips(source, RUN, log=lines.append, **options)
    return clips, settings, lines


def table(folder, *lines):
    (folder / "clips.csv").write_text("\n".join(lines))
    return folder / "clips.csv"


def test_a_folder_becomes_splits_without_a_shared_group(folder):
    clips, settings, lines = prepare(folder)
    assert clips.groupby("group")["split"].nunique().tolist() == [1] * 4
    assert clips["split"].value_counts().to_dict() == {"train": 4, "val": 2, "test": 2}
    assert clips["name"].tolist()[0] == "jump/anna/1.avi"
    assert settings.clips == "videos" and settings.name == "videos-short"
    assert (settings.num_classes, settings.splits) == (2, {"train": 4, "val": 2, "test": 2})
    assert settings.frame_step == 2 and clips["frame_step"].tolist() == [2] * 8
    assert (folder.parent / "runs" / "videos" / "clips.html").exists()
    assert lines[-4:] == [
        "train  4 clips: 2 jump, 2 run",
        "val    2 clips: 1 jump, 1 run",
        "test   2 clips: 1 jump, 1 run",
        "10 frames of each clip, 0.08 s apart",
    ]
    assert not any("has no group" in line or "have no group" in line for line in lines)


def test_clips_without_groups_are_split_one_by_one_and_the_score_is_doubted(folder):
    for file in folder.glob("*/*/*"):
        file.rename(file.parent.parent / file.name)
    clips, _, lines = prepare(folder)
    assert clips["group"].isna().all()
    [line] = [line for line in lines if "group" in line]
    assert line.startswith("No clip has a group, so clips of one person or place may be in two")
    assert "--group PATTERN" in line


def test_a_pattern_gives_the_groups(folder):
    clips, _, _ = prepare(folder, group=r"(\d)\.avi")
    assert sorted(clips["group"]) == list("01234567")


def test_unreadable_clips_are_refused_or_left_out(folder):
    (folder / "run" / "anna" / "0.avi").write_bytes(b"no video")
    with pytest.raises(ValueError, match=r"^1 of the 8 clips in .*videos can't be read; .*0\.avi"):
        prepare(folder)
    clips, _, lines = prepare(folder, leave_out=True)
    assert len(clips) == 7
    assert any(line.startswith("left out: run/anna/0.avi, because ") for line in lines)
    for file in folder.glob("*/*/*"):
        file.write_bytes(b"no video")
    with pytest.raises(ValueError, match="^None of the 8 clips in .*videos can be read; the first"):
        prepare(folder, leave_out=True)


def test_copies_end_up_in_one_split(folder):
    copy = folder / "run" / "dora" / "copy.avi"
    copy.write_bytes((folder / "run" / "anna" / "0.avi").read_bytes())
    clips, _, lines = prepare(folder)
    assert clips.groupby("content")["split"].nunique().max() == 1
    assert set(clips["group"]) == {"anna", "ben", "chris"}
    note = "run/anna/0.avi and run/dora/copy.avi have the same content; they count as one group."
    assert note in lines
    assert note in (folder.parent / "runs" / "videos" / "clips.html").read_text()


def test_a_tables_splits_hold_and_validation_is_taken_from_training(folder):
    rows = [
        f"{class_name}/{person}/{clip}.avi,{class_name},{person},{split}"
        for clip, (person, split) in enumerate(
            zip(
                "anna anna ben ben chris chris dora dora".split(),
                ["Training"] * 6 + ["testing"] * 2,
            )
        )
        for class_name in [("run", "jump")[clip % 2]]
    ]
    clips, settings, _ = prepare(table(folder, "file,class,group,split", *rows))
    assert set(clips["group"][clips["split"] == "test"]) == {"dora"}
    assert clips["split"].value_counts().to_dict() == {"train": 4, "val": 2, "test": 2}
    assert clips.groupby("group")["split"].nunique().max() == 1
    assert settings.clips == "clips"


SPLIT = "file,class,group,split"
FOUR = ["run/anna/0.avi,run,{},{}", "jump/anna/1.avi,jump,{},{}"]


@pytest.mark.parametrize(
    "lines, message",
    [
        (
            ["run/anna/0.avi,run,x,train", "jump/anna/1.avi,jump,x,"],
            "gives no split for jump/anna/1.avi; fill in the column split",
        ),
        (["run/anna/0.avi,run,x,fold1"], "has the split fold1, which is none of train, val, test"),
        (
            ["run/anna/0.avi,run,x,train", "jump/anna/1.avi,jump,x,val"],
            "has no clip of jump in train; assign some to it, or leave the class out",
        ),
        (
            [
                f"{name},{x},{split}"
                for name, x, split in (
                    ("run/anna/0.avi,run", "x", "train"),
                    ("jump/anna/1.avi,jump", "x", "train"),
                    ("run/ben/2.avi,run", "y", "val"),
                    ("jump/ben/3.avi,jump", "y", "val"),
                    ("run/chris/4.avi,run", "x", "test"),
                    ("jump/chris/5.avi,jump", "z", "test"),
                )
            ],
            "has clips of the group x in train and in test, so the splits are not independent",
        ),
    ],
)
def test_splits_that_cannot_be_used_are_refused(folder, lines, message):
    with pytest.raises(ValueError, match=f"clips.csv {message}"):
        prepare(table(folder, SPLIT, *lines))


@pytest.mark.parametrize("keep, counts", [(2, "2 clips in 2 groups"), (1, "1 clip in 1 group")])
def test_too_few_clips_are_refused(folder, keep, counts):
    for file in sorted(folder.glob("run/*/*"))[keep:]:
        file.unlink()
    with pytest.raises(ValueError, match=f"^run has {counts}, but train, val and test need 3"):
        prepare(folder)


def test_a_class_that_is_left_out_is_named(folder):
    for person in "anna ben chris".split():
        write_video(folder / "wave" / person / "x.avi", 3).write_bytes(b"no video")
    clips, _, lines = prepare(folder, leave_out=True)
    assert set(clips["class_name"]) == {"run", "jump"}
    assert "left out: the class wave, because none of its clips can be read" in lines


def test_odd_clips_and_names_that_look_alike_are_mentioned(folder):
    write_video(folder / "run" / "anna" / "short.avi", 1, 99)
    (folder / "run" / "ben").rename(folder / "run" / "Anna ")
    _, _, lines = prepare(folder)
    assert "run/anna/short.avi: The video has only one frame, in which nothing can move." in lines
    assert "The groups 'Anna ' and 'anna' differ only in case or in spaces." in lines


def test_names_that_are_no_utf8_are_refused(folder):
    file = folder / "run" / "anna" / "0.avi"
    file.rename(os.fsdecode(os.fsencode(file.parent) + b"/\xff.avi"))
    with pytest.raises(
        ValueError, match=r"^'run/anna/\\udcff.avi' in .*videos is not a name in UTF-8"
    ):
        prepare(folder)


def test_long_names_are_cached_on_disk(folder, tmp_path):
    file = write_video(folder / "run" / "anna" / ("ж" * 120 + ".avi"), 30)
    clips = read_folder(folder)
    clips = clips[clips["file"] == file]
    frames, _ = ClipBatches(clips, 3, cache=tmp_path / "cache", output_size=(64, 64))[0]
    assert frames.shape == (1, 3, 64, 64, 3) and len(list(tmp_path.glob("cache/*/*.frames"))) == 1
    long = folder.rename(folder.parent / ("v" * 250))
    _, settings, _ = prepare(long)
    assert len(settings.name) < 80


def test_a_page_that_cannot_be_written_is_explained(folder):
    (folder.parent / "runs").write_text("")
    with pytest.raises(ValueError, match=r"^.*runs/videos/clips.html can't be written \("):
        prepare(folder)


def test_parts_of_videos_are_read_from_their_first_to_their_last_frame(folder):
    file = write_video(folder / "long.avi", 250, 9)
    rows = [f"long.avi,{'ab'[i % 2]},p{i // 2},{i},{i + 1}" for i in range(10)]
    clips, _, _ = prepare(table(folder, "file,class,group,begin,end", *rows))
    assert clips["name"].tolist()[:2] == ["long.avi (0 s to 1 s)", "long.avi (1 s to 2 s)"]
    options = {"n_frames": 3, "output_size": (64, 64)}
    batches = ClipBatches(clips, batch_size=10, frame_step=99, **options)
    frames, labels = batches[0]
    assert labels.tolist() == [0, 1] * 5 and batches.names == clips["name"].tolist()
    for i in range(10):
        step = clips["frame_step"][i]
        start = 25 * i + (25 - 1 - 2 * step) // 2
        expected = frames_from_video_file(file, frame_step=step, start=start, **options)
        np.testing.assert_array_equal(frames[i], expected)


def test_the_hash_depends_on_what_is_read_and_not_on_the_folder(folder, monkeypatch):
    clips, _, _ = prepare(folder)
    folder.rename(folder.parent / "elsewhere")
    moved, _, _ = prepare(folder.parent / "elsewhere")
    assert hash_clips(clips) == hash_clips(moved)
    write_video(moved["file"][0], 30, 77)
    changed, _, _ = prepare(folder.parent / "elsewhere")
    assert hash_clips(changed) != hash_clips(moved)
    assert hash_clips(moved.assign(frame_step=1)) != hash_clips(moved)


def test_the_cache_is_where_the_frames_fit(folder, monkeypatch, tmp_path):
    clips, settings, _ = prepare(folder)
    size = cache_size(clips, settings)
    assert size % (64 * 64 * 3) == 0
    # Random starts may need all frames, centred ones need ten.
    train = clips[clips["split"] == "train"]
    assert size == 64 * 64 * 3 * (4 * 10 + sum(stop for _, stop in train["bounds"]))

    def with_free(memory, disk):
        free = types.SimpleNamespace(available=memory)
        monkeypatch.setattr(own_clips.psutil, "virtual_memory", lambda: free)
        monkeypatch.setattr(
            own_clips.shutil, "disk_usage", lambda path: types.SimpleNamespace(free=disk)
        )
        return choose_cache(size, tmp_path)

    assert with_free(2 * size, 0) == "memory"
    assert with_free(2 * size - 2, 2 * size) == "disk"
    assert with_free(0, 2 * size - 2) == "none"
    # What the cache on disk holds already is no reason against it.
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "a.frames").write_bytes(bytes(2))
    assert with_free(0, 2 * size - 2) == "disk"


def test_the_frame_step_suits_the_lengths_and_the_rates():
    clips = pd.DataFrame({"seconds": [1.0, 2.0, 60.0], "rate": [25.0, 30.0, 4.0]})
    assert choose_frame_step(clips, 10) == 4  # 9 steps of 0.16 s in 2 s
    assert choose_frame_step(clips.assign(seconds=60.0), 10) == 15
    assert choose_frame_step(clips.assign(seconds=0.1), 10) == 1
    assert choose_frame_step(clips, 1) == 15
    assert set_frame_steps(clips, 15)["frame_step"].tolist() == [15, 18, 2]
    assert set_frame_steps(clips, 1)["frame_step"].tolist() == [1, 1, 1]
