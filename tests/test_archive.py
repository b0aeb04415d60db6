"""From a ZIP, near or far, to folders of clips: what travels, what survives, what is refused."""

import contextlib
import dataclasses
import os
import shlex
import subprocess
import sys
import time
import unicodedata
import zipfile

import numpy as np
import pytest
import requests
from byte_range_server import __file__ as server_program
from byte_range_server import serve

from helpers import archive
from helpers.archive import download_ucf101_subset, list_files
from helpers.settings import Settings
from helpers.ucf101 import base_name, get_class, get_group

SPLITS = {"train": 4, "val": 2, "test": 2}
CLIP_SIZE = 100_000
DIRECTORY = 1 << 16  # what remotezip asks for first, the table of contents being last


def write_members(path, names, size=CLIP_SIZE):
    """Write a ZIP whose members can't be compressed, so that what travels can be reckoned; return its path."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in names:
            file.writestr(name, b"" if name.endswith("/") else rng.bytes(size))
    return path


def names_of(class_name, groups=4, clips=2):
    return [
        f"UCF101/v_{class_name}_g{g:02d}_c{c:02d}.avi"
        for g in range(1, groups + 1)
        for c in range(1, clips + 1)
    ]


@pytest.fixture(scope="module")
def small_zip(tmp_path_factory):
    names = names_of("Cat") + ["UCF101/", "UCF101/README.txt"] + names_of("Ape") + names_of("Bee")
    return write_members(tmp_path_factory.mktemp("small") / "small.zip", names)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(archive, "PAUSE", 0)


def contents(folder):
    """Return what every file below a folder holds, by its path in there; the lock holds nothing."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def expect_whole(folder, zip_path, num_classes=2, splits=SPLITS):
    """Assert that a folder holds exactly the clips of a split, each as it is in the ZIP."""
    found = contents(folder)
    with zipfile.ZipFile(zip_path) as file:
        members = {base_name(name): file.read(name) for name in file.namelist()}
    classes = sorted({get_class(path) for path in found})
    assert len(classes) == num_classes
    assert len(found) == num_classes * sum(splits.values())
    for path, content in found.items():
        split, class_name, name = path.split("/")
        assert split in splits and class_name == get_class(name) and content == members[name]


# The server that the other tests rely on.


@pytest.mark.parametrize(
    "header, status, begin, end",
    [
        (None, 200, 0, None),
        ("bytes=0-9", 206, 0, 10),
        ("bytes=10-", 206, 10, None),
        ("bytes=-7", 206, -7, None),
        ("bytes=-99999999", 206, 0, None),
        ("bytes=5-99999999", 206, 5, None),
        ("bytes=99999999-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
        ("lines=1-2", 200, 0, None),
    ],
)
def test_server_answers_ranges_and_counts_them(small_zip, header, status, begin, end):
    expected = small_zip.read_bytes()[begin:end]
    headers = {"Range": header} if header else {}
    with serve(small_zip) as server, requests.Session() as session:
        head = session.head(server.url, headers=headers)
        assert (head.status_code, int(head.headers["Content-Length"]), server.bytes_sent) == (
            status,
            len(expected),
            0,
        )
        got = session.get(server.url, headers=headers)
        assert (got.status_code, got.content) == (status, expected)
        assert (server.bytes_sent, server.requests) == (len(expected), 2)
        if status == 206:
            first = begin % small_zip.stat().st_size
            assert (
                got.headers["Content-Range"]
                == f"bytes {first}-{first + len(expected) - 1}/{small_zip.stat().st_size}"
            )


def test_server_runs_from_a_shell(small_zip):
    command = [sys.executable, server_program, str(small_zip)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert list_files(process.stdout.readline().strip()) == list_files(small_zip)
        finally:
            process.send_signal(subprocess.signal.SIGINT)
        told, _ = process.communicate(timeout=10)
    assert f"of {small_zip.stat().st_size:,} bytes sent in 1 requests" in told


# What is there, and what travels.


def test_list_has_the_clips_in_the_zips_order_and_nothing_else(small_zip):
    expected = names_of("Cat") + names_of("Ape") + names_of("Bee")
    assert list_files(small_zip) == list_files(str(small_zip)) == expected
    with serve(small_zip) as server:
        assert list_files(server.url) == expected
        assert server.bytes_sent <= DIRECTORY


@pytest.mark.parametrize("split_by", ["group", "clip"])
def test_url_and_path_give_the_same_files(small_zip, tmp_path, split_by):
    folders = download_ucf101_subset(small_zip, 2, SPLITS, tmp_path / "path", split_by=split_by)
    with serve(small_zip) as server:
        download_ucf101_subset(server.url, 2, SPLITS, str(tmp_path / "url"), split_by=split_by)
    assert folders == {name: tmp_path / "path" / name for name in SPLITS}
    expect_whole(tmp_path / "path", small_zip)
    assert contents(tmp_path / "path") == contents(tmp_path / "url")
    assert {get_class(path) for path in contents(tmp_path / "url")} == {"Ape", "Bee"}


def test_folders_share_no_group_unless_asked_to(small_zip, tmp_path):
    def groups(split_by):
        folders = download_ucf101_subset(
            small_zip, 1, SPLITS, tmp_path / split_by, split_by=split_by
        )
        return {
            name: {get_group(path) for path in folder.glob("*/*.avi")}
            for name, folder in folders.items()
        }

    by_group, by_clip = groups("group"), groups("clip")
    assert sum(map(len, by_group.values())) == len(set().union(*by_group.values())) == 4
    assert by_clip["train"] & (by_clip["val"] | by_clip["test"])


def test_table_chooses_the_clips_and_with_them_the_classes(small_zip, tmp_path):
    rows = [
        f"{base_name(name)},{'train' if '_g01_' in name else 'test'}"
        for name in names_of("Bee") + names_of("Cat")
    ]
    (tmp_path / "table.csv").write_text("\n".join(["file,split", *rows]))
    splits = {"train": 2, "test": 3}
    folders = download_ucf101_subset(
        small_zip, 2, splits, tmp_path / "clips", split_by=str(tmp_path / "table.csv")
    )
    found = {
        name: sorted(path.name for path in folder.glob("*/*.avi"))
        for name, folder in folders.items()
    }
    assert found["train"] == [
        f"v_{name}_g01_c0{clip}.avi" for name in ("Bee", "Cat") for clip in (1, 2)
    ]
    assert found["test"] == [
        f"v_{name}_g0{group}_c0{clip}.avi"
        for name in ("Bee", "Cat")
        for group, clip in ((2, 1), (2, 2), (3, 1))
    ]
    with pytest.raises(
        ValueError,
        match="^Of what .*table.csv names, .*small.zip has clips of 2 classes, but 3 are asked for",
    ):
        download_ucf101_subset(
            small_zip, 3, splits, tmp_path / "more", split_by=str(tmp_path / "table.csv")
        )


def test_only_the_members_asked_for_travel(puppet_zip, tmp_path):
    splits = {"train": 2, "val": 2, "test": 2}
    with serve(puppet_zip) as server:
        download_ucf101_subset(server.url, 1, splits, tmp_path)
    expect_whole(tmp_path, puppet_zip, 1, splits)
    wanted = sum(map(len, contents(tmp_path).values()))
    # A ZIP with a comment is asked twice for its table of contents.
    assert (
        wanted < server.bytes_sent < wanted + 2 * DIRECTORY + 1000 < puppet_zip.stat().st_size / 10
    )


def test_a_second_call_fetches_nothing(small_zip, tmp_path):
    download_ucf101_subset(small_zip, 2, SPLITS, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.avi")}
    with serve(small_zip) as server:
        download_ucf101_subset(server.url, 2, SPLITS, tmp_path)
    assert (server.requests, server.bytes_sent) == (1, DIRECTORY)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.avi")}


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[:-1] + b"?"),
        lambda path: path.write_bytes(path.read_bytes() + b"?"),
    ],
    ids=["missing", "empty", "short", "altered", "long"],
)
def test_a_damaged_file_alone_is_fetched_again(small_zip, tmp_path, damage):
    download_ucf101_subset(small_zip, 2, SPLITS, tmp_path)
    others = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.avi")}
    victim = min(others)
    others.pop(victim)
    damage(victim)
    with serve(small_zip) as server:
        download_ucf101_subset(server.url, 2, SPLITS, tmp_path)
    expect_whole(tmp_path, small_zip)
    assert server.requests == 2
    assert CLIP_SIZE < server.bytes_sent - DIRECTORY < 1.1 * CLIP_SIZE
    assert all(path.stat().st_mtime_ns == then for path, then in others.items())


# What goes wrong on the way; most of it is in test_faults_downloading.py.


def test_a_server_that_is_not_there_is_told(tmp_path, small_zip):
    with serve(small_zip) as server:
        url = server.url
    with pytest.raises(OSError, match=f"^{url} can't be read .*check the address"):
        list_files(url)


# What is refused.


def test_clips_of_another_split_are_refused_before_anything_travels(small_zip, tmp_path):
    download_ucf101_subset(small_zip, 1, SPLITS, tmp_path)
    before = contents(tmp_path)
    with pytest.raises(
        ValueError,
        match=rf"^{tmp_path} holds \d+ clips that are not in this split, .*delete the folder",
    ):
        download_ucf101_subset(small_zip, 1, {"train": 2, "val": 2, "test": 2}, tmp_path)
    assert contents(tmp_path) == before


def test_more_clips_of_the_same_kind_are_added(small_zip, tmp_path):
    download_ucf101_subset(small_zip, 1, SPLITS, tmp_path)
    download_ucf101_subset(small_zip, 3, SPLITS, tmp_path)
    expect_whole(tmp_path, small_zip, 3)


def test_a_path_without_a_zip_is_told(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=f"^{tmp_path / 'missing.zip'} is not there; set UCF101_ZIP"
    ):
        list_files(tmp_path / "missing.zip")


def test_a_folder_is_told_with_what_makes_a_zip_of_it(small_zip, tmp_path):
    folder = tmp_path / "my clips"
    with zipfile.ZipFile(small_zip) as file:
        file.extractall(folder)
    with pytest.raises(
        OSError,
        match=f"^{folder} is a folder, not a ZIP; make one of it by python .* and set UCF101_ZIP to '{folder}.zip'.$",
    ) as caught:
        list_files(folder)
    command = shlex.split(str(caught.value).partition(" by ")[2].rpartition(" and set")[0])
    subprocess.run([sys.executable, *command[1:]], check=True)
    assert sorted(map(base_name, list_files(f"{folder}.zip"))) == sorted(
        map(base_name, list_files(small_zip))
    )


@pytest.mark.parametrize("source", ["ftp://a.org/b.zip", "s3://bucket/b.zip", "file:///b.zip"])
def test_a_url_that_cannot_be_read_from_is_told(source):
    with pytest.raises(
        OSError,
        match=f"^{source} is a URL that can't be read from, .*download the ZIP and set UCF101_ZIP to its path",
    ):
        list_files(source)


# Names of one's own.

OTHER_NAMES = [f"{name}/clip {i}.mp4" for name in ("fight", "normal") for i in range(9)]


def test_a_zip_of_other_names_is_told_with_one_of_them(tmp_path):
    own = write_members(tmp_path / "own.zip", ["README.txt", *OTHER_NAMES], 10)
    message = f"^{own} has 19 files, but none is named like a clip of UCF101, v_<Class>_g<group>_c<clip>.avi .one is 'fight/clip 0.mp4'.; rename"
    with pytest.raises(ValueError, match=message):
        download_ucf101_subset(own, 1, SPLITS, tmp_path / "clips")
    with pytest.raises(ValueError, match=r"empty.zip is an empty ZIP; set UCF101_ZIP"):
        download_ucf101_subset(
            write_members(tmp_path / "empty.zip", ["folder/"]), 1, SPLITS, tmp_path / "clips"
        )


def test_videos_of_other_names_are_passed_over_with_a_warning(tmp_path):
    own = write_members(
        tmp_path / "own.zip",
        [*names_of("Ape"), "README.txt", "__MACOSX/._v_Ape_g01_c01.avi", *OTHER_NAMES],
        10,
    )
    with pytest.warns(
        UserWarning, match=f"^18 videos in {own} are passed over, .*such as 'fight/clip 0.mp4'"
    ):
        download_ucf101_subset(own, 1, SPLITS, tmp_path / "clips")
    expect_whole(tmp_path / "clips", own, 1)


def test_names_of_several_words_and_suffixes_in_capitals_are_fetched(tmp_path):
    own = write_members(
        tmp_path / "own.zip", [name.replace(".avi", ".AVI") for name in names_of("Push_Ups")], 10
    )
    download_ucf101_subset(own, 1, SPLITS, tmp_path / "clips")
    expect_whole(tmp_path / "clips", own, 1)
    with pytest.raises(ValueError, match=r"holds \d+ clips that are not in this split"):
        download_ucf101_subset(own, 1, {"train": 2, "val": 2}, tmp_path / "clips")


def test_names_with_marks_are_fetched_however_their_accents_are_written(tmp_path):
    names = [*names_of("Größer"), *names_of("चलना")]
    own = write_members(
        tmp_path / "own.zip", [unicodedata.normalize("NFD", name) for name in names], 10
    )
    folders = download_ucf101_subset(own, 2, {"train": 1}, tmp_path / "clips")
    assert sorted(path.name for path in folders["train"].iterdir()) == ["Größer", "चलना"]
    assert {path.name for path in folders["train"].glob("*/*")} <= set(map(base_name, names))


def test_a_clip_of_a_name_that_another_has_is_passed_over_with_a_warning(tmp_path):
    own = write_members(tmp_path / "own.zip", ["a/v_Ape_g01_c01.avi", "b/v_Ape_g01_c01.avi"], 10)
    with pytest.warns(
        UserWarning,
        match=f"^1 clips in {own} are passed over, .* same name, such as 'b/v_Ape_g01_c01.avi'",
    ):
        assert list_files(own) == ["a/v_Ape_g01_c01.avi"]


def test_a_zip_of_one_class_is_told_that_two_are_needed(tmp_path):
    own = write_members(tmp_path / "own.zip", names_of("Ape"), 10)
    with pytest.raises(
        ValueError,
        match=f"^{own} has clips of 1 class, but 3 are asked for; a network needs at least two",
    ) as caught:
        download_ucf101_subset(own, 3, SPLITS, tmp_path / "clips")
    assert "fewer" not in str(caught.value)


def test_a_table_of_clips_that_the_zip_lacks_is_told(small_zip, tmp_path):
    (tmp_path / "none.csv").write_text("file,split\nv_Dog_g01_c01.avi,train\n")
    with pytest.raises(
        ValueError,
        match=r"^None of the 1 clips that .*none.csv names, such as 'v_Dog.* is in .*small.zip, .*'v_Ape_g01_c01.avi'",
    ):
        download_ucf101_subset(
            small_zip, 1, {"train": 1}, tmp_path / "clips", split_by=tmp_path / "none.csv"
        )
    (tmp_path / "some.txt").write_text(
        "file\tsplit\nv_Dog_g01_c01.avi\ttrain\nv_Ape_g01_c01.avi\ttrain\n", "utf-16"
    )
    with pytest.warns(
        UserWarning, match=r"lacks 1 of the 2 clips that .*some.txt names, such as 'v_Dog"
    ):
        download_ucf101_subset(
            small_zip, 1, {"train": 1}, tmp_path / "clips", split_by=tmp_path / "some.txt"
        )


def test_a_mistake_in_the_program_is_not_told_as_one_of_the_connection(
    small_zip, tmp_path, monkeypatch
):
    monkeypatch.setattr(archive, "_read", lambda *args: None + 1)
    with pytest.raises(TypeError):
        download_ucf101_subset(small_zip, 1, SPLITS, tmp_path)


@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize(
    "content", [b"", b"<html>Please log in to download.</html>"], ids=["empty", "text"]
)
def test_a_file_that_is_no_zip_is_told(tmp_path, content, far):
    path = tmp_path / "no.zip"
    path.write_bytes(content)
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(serve(path)).url if far else path
        with pytest.raises(
            OSError, match=f"^{source} can't be read .*check the address, or the path"
        ):
            download_ucf101_subset(source, 1, SPLITS, tmp_path / "clips")
    assert not (tmp_path / "clips").exists()


@pytest.mark.parametrize(
    "num_classes, splits, message",
    [
        (4, SPLITS, "has clips of 3 classes, but 4 are asked for"),
        (1, {"train": 9}, "^Ape has 8 clips"),
        (1, {"train": 3, "test": 5}, "^Ape has 8 clips in 4 groups"),
        (0, SPLITS, "at least 1, not 0 and"),
        (1, {"train": 4, "test": -1}, "at least 1, not 1 and"),
    ],
)
def test_too_few_classes_clips_or_groups_are_told_before_anything_travels(
    small_zip, tmp_path, num_classes, splits, message
):
    with serve(small_zip) as server:
        with pytest.raises(ValueError, match=message):
            download_ucf101_subset(server.url, num_classes, splits, tmp_path / "clips")
        assert server.requests == 1
    assert not (tmp_path / "clips").exists()


def test_pauses_grow(small_zip, monkeypatch):
    pauses = []
    monkeypatch.setattr(archive, "PAUSE", 1.0)
    monkeypatch.setattr(time, "sleep", pauses.append)
    with serve(small_zip, faults=["cut"] * 3) as server:
        list_files(server.url)
    assert pauses == [1, 2, 4]


def test_fetch_clips_keeps_the_clips_of_a_run_in_a_folder_of_its_own(
    small_zip, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    run = Settings(
        "ucf101",
        "short",
        frame_step=15,
        size=64,
        epochs=1,
        zip=str(small_zip),
        num_classes=2,
        splits=SPLITS,
    )
    assert archive.fetch_clips(run) == {
        name: tmp_path / "data" / "ucf101-short-2x4-2-2" / name for name in SPLITS
    }
    expect_whole(tmp_path / "data" / "ucf101-short-2x4-2-2", small_zip)
    fewer = dataclasses.replace(run, splits={"train": 3, "val": 1, "test": 1}, split_by="clip")
    assert (
        archive.fetch_clips(fewer)["val"] == tmp_path / "data" / "ucf101-short-2x3-1-1-clip" / "val"
    )


def test_fetch_clips_draws_puppets_without_a_network(puppet_zip, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        archive.puppets, "write_zip", lambda path, **sizes: drawn.append(path) or puppet_zip
    )
    run = Settings(
        "puppets",
        "short",
        frame_step=5,
        size=64,
        epochs=1,
        zip=os.devnull,
        num_classes=1,
        splits=SPLITS,
    )
    folders = archive.fetch_clips(run)
    assert drawn == [tmp_path / "data" / "puppets.zip"]
    assert [len(list(folder.glob("*/*.avi"))) for folder in folders.values()] == [4, 2, 2]
