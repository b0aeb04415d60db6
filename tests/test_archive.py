"""From a ZIP, on disk or on the web, to folders of clips: what is sent, kept and refused."""

import contextlib
import dataclasses
import os
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
DIRECTORY = 1 << 16  # the bytes that remotezip requests first, with the table of contents


def write_members(path, names, size=CLIP_SIZE):
    """Write a ZIP whose members can't be compressed, so their size is known; return its path."""
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
    """Return the content of every file below a folder by its path, except of the lock."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def expect_complete(folder, zip_path, num_classes=2, splits=SPLITS):
    """Assert that a folder holds exactly the clips of a split, each as in the ZIP."""
    found = contents(folder)
    with zipfile.ZipFile(zip_path) as file:
        members = {base_name(name): file.read(name) for name in file.namelist()}
    classes = sorted({get_class(path) for path in found})
    assert len(classes) == num_classes
    assert len(found) == num_classes * sum(splits.values())
    for path, content in found.items():
        split, class_name, name = path.split("/")
        assert split in splits and class_name == get_class(name) and content == members[name]


# The server, on which the other tests rely.


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
        assert (head.status_code, server.bytes_sent) == (status, 0)
        assert int(head.headers["Content-Length"]) == len(expected)
        got = session.get(server.url, headers=headers)
        assert (got.status_code, got.content) == (status, expected)
        assert (server.bytes_sent, server.requests) == (len(expected), 2)
        if status == 206:
            size = small_zip.stat().st_size
            first = begin % size
            last = first + len(expected) - 1
            assert got.headers["Content-Range"] == f"bytes {first}-{last}/{size}"


def test_server_runs_from_a_shell(small_zip):
    command = [sys.executable, server_program, str(small_zip)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert list_files(process.stdout.readline().strip()) == list_files(small_zip)
        finally:
            process.send_signal(subprocess.signal.SIGINT)
        output, _ = process.communicate(timeout=10)
    assert f"of {small_zip.stat().st_size:,} bytes sent in 1 requests" in output


# What is fetched.


def test_list_contains_only_the_clips_in_the_zips_order(small_zip):
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
    expect_complete(tmp_path / "path", small_zip)
    assert contents(tmp_path / "path") == contents(tmp_path / "url")
    assert {get_class(path) for path in contents(tmp_path / "url")} == {"Ape", "Bee"}


def test_folders_share_groups_only_if_split_by_clip(small_zip, tmp_path):
    def groups(split_by):
        target = tmp_path / split_by
        folders = download_ucf101_subset(small_zip, 1, SPLITS, target, split_by=split_by)
        files = {name: folder.glob("*/*.avi") for name, folder in folders.items()}
        return {name: set(map(get_group, paths)) for name, paths in files.items()}

    by_group, by_clip = groups("group"), groups("clip")
    assert sum(map(len, by_group.values())) == len(set().union(*by_group.values())) == 4
    assert by_clip["train"] & (by_clip["val"] | by_clip["test"])


def test_table_chooses_the_clips_and_thereby_the_classes(small_zip, tmp_path):
    rows = [
        f"{base_name(name)},{'train' if '_g01_' in name else 'test'}"
        for name in names_of("Bee") + names_of("Cat")
    ]
    table, splits = tmp_path / "table.csv", {"train": 2, "test": 3}
    table.write_text("\n".join(["file,split", *rows]))
    folders = download_ucf101_subset(small_zip, 2, splits, tmp_path / "clips", split_by=str(table))
    files = {name: folder.glob("*/*.avi") for name, folder in folders.items()}
    found = {name: sorted(path.name for path in paths) for name, paths in files.items()}
    assert found["train"] == [
        f"v_{name}_g01_c0{clip}.avi" for name in ("Bee", "Cat") for clip in (1, 2)
    ]
    assert found["test"] == [
        f"v_{name}_g0{group}_c0{clip}.avi"
        for name in ("Bee", "Cat")
        for group, clip in ((2, 1), (2, 2), (3, 1))
    ]
    message = f"^{small_zip}, limited to the clips in {table}, has clips of 2 classes, but 3 are"
    with pytest.raises(ValueError, match=message):
        download_ucf101_subset(small_zip, 3, splits, tmp_path / "more", split_by=str(table))


def test_only_the_requested_members_are_sent(puppet_zip, tmp_path):
    splits = {"train": 2, "val": 2, "test": 2}
    with serve(puppet_zip) as server:
        download_ucf101_subset(server.url, 1, splits, tmp_path)
    expect_complete(tmp_path, puppet_zip, 1, splits)
    size = sum(map(len, contents(tmp_path).values()))
    # remotezip requests the table of contents twice if the ZIP has a comment.
    most = size + 2 * DIRECTORY + 1000
    assert size < server.bytes_sent < most < puppet_zip.stat().st_size / 10


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
def test_only_a_damaged_file_is_fetched_again(small_zip, tmp_path, damage):
    download_ucf101_subset(small_zip, 2, SPLITS, tmp_path)
    others = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.avi")}
    victim = min(others)
    others.pop(victim)
    damage(victim)
    with serve(small_zip) as server:
        download_ucf101_subset(server.url, 2, SPLITS, tmp_path)
    expect_complete(tmp_path, small_zip)
    assert server.requests == 2
    assert CLIP_SIZE < server.bytes_sent - DIRECTORY < 1.1 * CLIP_SIZE
    assert all(path.stat().st_mtime_ns == then for path, then in others.items())


# Failures of the connection; most of their tests are in test_faults_downloading.py.


def test_error_for_an_unreachable_server_names_the_address(tmp_path, small_zip):
    with serve(small_zip) as server:
        url = server.url
    with pytest.raises(OSError, match=f"^{url} can't be read .*; check the address and the conn"):
        list_files(url)


# What is refused.


def test_clips_of_another_split_are_refused_before_clips_are_sent(small_zip, tmp_path):
    download_ucf101_subset(small_zip, 1, SPLITS, tmp_path)
    before = contents(tmp_path)
    message = rf"^{tmp_path} holds \d+ clips that are not in this split, .*delete the folder"
    with pytest.raises(ValueError, match=message):
        download_ucf101_subset(small_zip, 1, {"train": 2, "val": 2, "test": 2}, tmp_path)
    assert contents(tmp_path) == before


def test_clips_of_more_classes_are_added(small_zip, tmp_path):
    download_ucf101_subset(small_zip, 1, SPLITS, tmp_path)
    download_ucf101_subset(small_zip, 3, SPLITS, tmp_path)
    expect_complete(tmp_path, small_zip, 3)


def test_error_for_a_missing_file_names_the_variable(tmp_path):
    path = tmp_path / "missing.zip"
    with pytest.raises(FileNotFoundError, match=f"^{path} is not there; set UCF101_ZIP"):
        list_files(path)


def test_a_folder_serves_in_place_of_the_zip(small_zip, tmp_path):
    with zipfile.ZipFile(small_zip) as file:
        file.extractall(tmp_path / "unpacked")
    names = [list_files(source) for source in (small_zip, tmp_path / "unpacked")]
    assert sorted(map(base_name, names[0])) == sorted(map(base_name, names[1]))
    for source, target in ((small_zip, "of the zip"), (tmp_path / "unpacked", "of the folder")):
        download_ucf101_subset(source, 2, SPLITS, tmp_path / target)
    assert contents(tmp_path / "of the folder") == contents(tmp_path / "of the zip") != {}


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match=f"^{tmp_path} is an empty folder; set UCF101_ZIP"):
        download_ucf101_subset(tmp_path, 1, SPLITS, tmp_path / "clips")


@pytest.mark.parametrize("source", ["ftp://a.org/b.zip", "s3://bucket/b.zip", "file:///b.zip"])
def test_urls_that_are_not_http_are_refused(source):
    message = (
        f"^{source} can't be read, because .*; download the ZIP and set UCF101_ZIP to its path"
    )
    with pytest.raises(OSError, match=message):
        list_files(source)


# Clips with other names.

OTHER_NAMES = [f"{name}/clip {i}.mp4" for name in ("fight", "normal") for i in range(9)]


def test_error_for_other_names_contains_one_of_them(tmp_path):
    own = write_members(tmp_path / "own.zip", ["README.txt", *OTHER_NAMES], 10)
    message = (
        f"^{own} has 19 files, but none is named like a clip of UCF101, "
        r"v_<Class>_g<group>_c<clip>.avi \(one is 'fight/clip 0.mp4'\); rename the clips"
    )
    with pytest.raises(ValueError, match=message):
        download_ucf101_subset(own, 1, SPLITS, tmp_path / "clips")
    empty = write_members(tmp_path / "empty.zip", ["folder/"])
    with pytest.raises(ValueError, match=f"^{empty} is an empty ZIP; set UCF101_ZIP"):
        download_ucf101_subset(empty, 1, SPLITS, tmp_path / "clips")


def test_videos_with_other_names_are_skipped_with_a_warning(tmp_path):
    others = ["README.txt", "__MACOSX/._v_Ape_g01_c01.avi", *OTHER_NAMES]
    own = write_members(tmp_path / "own.zip", [*names_of("Ape"), *others], 10)
    message = rf"^{own}: skipped videos that .* \(18\), such as 'fight/clip 0.mp4'"
    with pytest.warns(UserWarning, match=message):
        download_ucf101_subset(own, 1, SPLITS, tmp_path / "clips")
    expect_complete(tmp_path / "clips", own, 1)


def test_names_of_several_words_and_suffixes_in_capitals_are_fetched(tmp_path):
    names = [name.replace(".avi", ".AVI") for name in names_of("Push_Ups")]
    own = write_members(tmp_path / "own.zip", names, 10)
    download_ucf101_subset(own, 1, SPLITS, tmp_path / "clips")
    expect_complete(tmp_path / "clips", own, 1)
    with pytest.raises(ValueError, match=r"holds \d+ clips that are not in this split"):
        download_ucf101_subset(own, 1, {"train": 2, "val": 2}, tmp_path / "clips")


def test_names_with_accents_are_fetched_whether_composed_or_not(tmp_path):
    names = [*names_of("Größer"), *names_of("चलना")]
    decomposed = [unicodedata.normalize("NFD", name) for name in names]
    own = write_members(tmp_path / "own.zip", decomposed, 10)
    folders = download_ucf101_subset(own, 2, {"train": 1}, tmp_path / "clips")
    assert sorted(path.name for path in folders["train"].iterdir()) == ["Größer", "चलना"]
    assert {path.name for path in folders["train"].glob("*/*")} <= set(map(base_name, names))


def test_a_clip_with_the_name_of_another_is_skipped_with_a_warning(tmp_path):
    own = write_members(tmp_path / "own.zip", ["a/v_Ape_g01_c01.avi", "b/v_Ape_g01_c01.avi"], 10)
    message = rf"^{own}: skipped clips that .* \(1\), such as 'b/v_Ape_g01_c01.avi'"
    with pytest.warns(UserWarning, match=message):
        assert list_files(own) == ["a/v_Ape_g01_c01.avi"]


def test_error_for_a_zip_of_one_class_says_that_two_are_needed(tmp_path):
    own = write_members(tmp_path / "own.zip", names_of("Ape"), 10)
    message = f"^{own} has clips of 1 class, but 3 are requested; a network needs at least two"
    with pytest.raises(ValueError, match=message) as caught:
        download_ucf101_subset(own, 3, SPLITS, tmp_path / "clips")
    assert "fewer" not in str(caught.value)


def test_listed_clips_that_the_zip_lacks_are_reported(small_zip, tmp_path):
    none, some = tmp_path / "none.csv", tmp_path / "some.txt"
    none.write_text("file,split\nv_Dog_g01_c01.avi,train\n")
    lines = ["file\tsplit", "v_Dog_g01_c01.avi\ttrain", "v_Ape_g01_c01.avi\ttrain"]
    some.write_text("\n".join(lines), "utf-16")

    def fetch(table):
        download_ucf101_subset(small_zip, 1, {"train": 1}, tmp_path / "clips", split_by=table)

    message = f"^None of the 1 clips in {none}, .*'v_Dog.* is in {small_zip}, .*'v_Ape_g01_c01.avi'"
    with pytest.raises(ValueError, match=message):
        fetch(none)
    message = f"^{small_zip} lacks 1 of the 2 clips in {some}, such as 'v_Dog"
    with pytest.warns(UserWarning, match=message):
        fetch(some)


def test_an_error_of_the_program_is_not_reported_as_one_of_the_zip(
    small_zip, tmp_path, monkeypatch
):
    monkeypatch.setattr(archive, "_read", lambda *args: None + 1)
    with pytest.raises(TypeError):
        download_ucf101_subset(small_zip, 1, SPLITS, tmp_path)


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize(
    "content", [b"", b"<html>Please log in to download.</html>"], ids=["empty", "text"]
)
def test_error_for_a_file_that_is_no_zip_says_what_to_check(tmp_path, content, remote):
    path = tmp_path / "no.zip"
    path.write_bytes(content)
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(serve(path)).url if remote else path
        check = "check the address and the connection" if remote else "check the path"
        with pytest.raises(OSError, match=f"^{source} can't be read .*; {check}"):
            download_ucf101_subset(source, 1, SPLITS, tmp_path / "clips")
    assert not (tmp_path / "clips").exists()


@pytest.mark.parametrize(
    "num_classes, splits, message",
    [
        (4, SPLITS, "has clips of 3 classes, but 4 are requested; ask for fewer"),
        (1, {"train": 9}, "^Ape has 8 clips"),
        (1, {"train": 3, "test": 5}, "^Ape has 8 clips in 4 groups"),
        (0, SPLITS, "at least 1, not 0 and"),
        (1, {"train": 4, "test": -1}, "at least 1, not 1 and"),
    ],
)
def test_too_few_classes_clips_or_groups_are_reported_before_clips_are_sent(
    small_zip, tmp_path, num_classes, splits, message
):
    with serve(small_zip) as server:
        with pytest.raises(ValueError, match=message):
            download_ucf101_subset(server.url, num_classes, splits, tmp_path / "clips")
        assert server.requests == 1
    assert not (tmp_path / "clips").exists()


@pytest.fixture
def pauses(monkeypatch):
    """The pauses between attempts, which are recorded and not waited for."""
    pauses = []
    monkeypatch.setattr(archive, "PAUSE", 1.0)
    monkeypatch.setattr(time, "sleep", pauses.append)
    return pauses


@pytest.mark.parametrize(
    "faults, expected",
    [
        (["cut"] * 3, [1, 2, 4]),
        (["hang up"] * 3, [1, 2, 4]),
        ([500] * 4, [0, 2, 4, 8]),
        ([429, 502, 503, 504], [0, 2, 4, 8]),
        ([500, "cut", 500], [0, 2, 4]),
    ],
)
def test_pauses_grow(small_zip, pauses, faults, expected):
    with serve(small_zip, faults=faults) as server:
        list_files(server.url)
        assert server.requests == len(faults) + 1
    assert pauses == expected


def test_pauses_grow_until_an_unreachable_server_or_proxy_is_given_up(
    small_zip, pauses, monkeypatch
):
    with serve(small_zip) as server:
        url = server.url
    with pytest.raises(OSError, match=f"^{url} can't be read"):
        list_files(url)
    assert pauses == [0, 2, 4, 8]
    pauses.clear()
    monkeypatch.setenv("http_proxy", url)
    with pytest.raises(OSError, match=r"^http://a.invalid/b.zip can't be read .*proxy"):
        list_files("http://a.invalid/b.zip")
    assert pauses == [1, 2, 4]


def test_an_invalid_address_is_reported_at_once(pauses):
    with pytest.raises(OSError, match=r"^http:///b.zip can't be read .*; check the address"):
        list_files("http:///b.zip")
    assert not pauses


def test_fetch_clips_uses_a_separate_folder_for_each_choice(small_zip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sizes = {"size": 64, "epochs": 1, "num_classes": 2, "splits": SPLITS}
    run = Settings("ucf101", "short", 15, zip=str(small_zip), **sizes)
    folder = tmp_path / "data" / "ucf101-short-2x4-2-2"
    assert archive.fetch_clips(run) == {name: folder / name for name in SPLITS}
    expect_complete(folder, small_zip)
    fewer = dataclasses.replace(run, splits={"train": 3, "val": 1, "test": 1}, split_by="clip")
    other_folder = tmp_path / "data" / "ucf101-short-2x3-1-1-clip"
    assert archive.fetch_clips(fewer)["val"] == other_folder / "val"


def test_fetch_clips_draws_puppets_without_a_network(puppet_zip, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        archive.puppets, "write_zip", lambda path, **sizes: drawn.append(path) or puppet_zip
    )
    sizes = {"size": 64, "epochs": 1, "num_classes": 1, "splits": SPLITS}
    folders = archive.fetch_clips(Settings("puppets", "short", 5, zip=os.devnull, **sizes))
    assert drawn == [tmp_path / "data" / "puppets.zip"]
    assert [len(list(folder.glob("*/*.avi"))) for folder in folders.values()] == [4, 2, 2]
