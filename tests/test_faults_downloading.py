"""What can go wrong between a ZIP and a folder of clips: rows of the table in `faults.py`."""

import contextlib
import os
import pathlib
import random
import resource
import shutil
import signal
import ssl
import subprocess
import sys
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
from byte_range_server import serve
from test_archive import CLIP_SIZE, SPLITS, contents, expect_complete, names_of, write_members

from helpers import archive, puppets
from helpers.archive import download_ucf101_subset, list_files
from helpers.atomic import atomic_write
from helpers.ucf101 import base_name

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLIPS = sum(SPLITS.values())
VICTIM = "UCF101/v_Ape_g02_c01.avi"
NAMES_VICTIM = f", member {base_name(VICTIM)}, can't be read ("
PAIR = {"train": 1, "test": 1}

# A separate program with a disk so slow that it can be stopped in the middle of a file.
FETCH = """
import pathlib, signal, sys, time
from helpers.archive import download_ucf101_subset

def write_slowly(path, content):
    with open(path, "wb", buffering=0) as file:
        for begin in range(0, len(content), 10_000):
            time.sleep(0.005)
            file.write(content[begin : begin + 10_000])

pathlib.Path.write_bytes = write_slowly
"""
DRAW = """
import signal, sys, time, zipfile
from helpers import puppets

drawn, draw_clip, writestr = [], puppets.draw_clip, zipfile.ZipFile.writestr
puppets.draw_clip = lambda *args: drawn.append(args) or draw_clip(*args)
zipfile.ZipFile.writestr = lambda *args: time.sleep(0.02) or writestr(*args)
"""
# A shell starts background jobs so that they ignore Ctrl-C.
START = """
signal.signal(signal.SIGINT, signal.default_int_handler)
print("ready", flush=True)
sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A ZIP of three classes of 8 clips, most of them far from the table of contents."""
    return write_members(
        tmp_path_factory.mktemp("good") / "good.zip",
        names_of("Ape") + names_of("Bee") + names_of("Cat"),
    )


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(archive, "PAUSE", 0)


def path_and_url(zip_path):
    """Yield the path of a ZIP, then its URL."""
    yield zip_path
    with serve(zip_path) as server:
        yield server.url


def count_complete(folder, good, ignore=()):
    """Assert that all files below a folder are clips as in a ZIP; return their number."""
    with zipfile.ZipFile(good) as file:
        members = {base_name(name): file.read(name) for name in file.namelist()}
    found = {
        path: content for path, content in contents(folder).items() if folder / path not in ignore
    }
    assert [path for path in found if found[path] != members.get(base_name(path))] == []
    return len(found)


def expect_error(source, folder, good, words, num_classes=2, begin="{source}"):
    """Assert that fetching fails with one sentence, and that a call with a good ZIP then succeeds.

    Returns:
        The number of clips that were there after the error, all of them complete.
    """
    with pytest.raises(OSError) as caught:
        download_ucf101_subset(source, num_classes, SPLITS, folder)
    message = str(caught.value)
    assert message.startswith(begin.format(source=source, folder=folder)), message
    assert words in message and message.endswith(".") and "\n" not in message, message
    n_complete = count_complete(folder, good)
    download_ucf101_subset(good, num_classes, SPLITS, folder)
    expect_complete(folder, good, num_classes)
    return n_complete


# The connection.


def expect_success(good, folder, faults):
    """Assert that a fetch succeeds in spite of the faults of its first requests."""
    with serve(good, faults=faults) as server:
        download_ucf101_subset(server.url, 2, SPLITS, folder)
        assert not server.faults
    expect_complete(folder, good)


@pytest.mark.parametrize(
    "tried, cases",
    [
        (
            "connection cut in the middle",
            [
                ["cut"],
                [None, "cut"],
                [None, "cut", "cut"],
                ["hang up"],
                [None, "hang up"],
                [None, None, "hang up", "cut"],
            ],
        ),
        (
            "server error (500, 502, 504), then recovery",
            [[500], [None, 502], [None, 500, "cut", 504], [None, None, 500, 500]],
        ),
        ("server is busy (429, 503) and asks to wait an hour", [[429], [503], [None, 429, 503]]),
        (
            "server stalls, then recovers",
            [["stall"], [None, "stall"], ["silence"], [None, None, "silence", "stall"]],
        ),
    ],
)
def test_temporary_failures_are_overcome(good, tmp_path, monkeypatch, fault, tried, cases):
    monkeypatch.setattr(archive, "TIMEOUT", 0.4)
    for case, faults in enumerate(cases):
        expect_success(good, tmp_path / str(case), faults)
    fault("downloading", tried, "tried again; all files complete", len(cases))


@pytest.mark.parametrize(
    "tried, attempts, words",
    [
        (
            "connection cut on every attempt",
            {"cut": 4, "hang up": 4},
            "check the address and the connection",
        ),
        ("permanent server error (500)", {500: 5}, "500"),
        ("server stalls on every attempt", {"stall": 4, "silence": 5}, "timed out"),
    ],
)
def test_permanent_failures_are_reported_after_some_attempts(
    good, tmp_path, monkeypatch, fault, tried, attempts, words
):
    monkeypatch.setattr(archive, "TIMEOUT", 0.2)
    cases = [(kind, n_good) for kind in attempts for n_good in (0, 3)]
    for case, (kind, n_good) in enumerate(cases):
        with serve(good, faults=[None] * n_good + [kind] * 100) as server:
            n_complete = expect_error(server.url, tmp_path / str(case), good, words)
            assert n_complete == max(0, n_good - 1)
            assert server.requests == n_good + attempts[kind]
    fault(
        "downloading",
        tried,
        "tried again, then an error that names the address; only complete files remain",
        len(cases),
    )


@pytest.mark.parametrize(
    "tried, statuses",
    [("ZIP not found (404, 410)", [404, 410]), ("access denied (401, 403)", [401, 403])],
)
def test_a_final_response_is_reported_at_once(good, tmp_path, fault, tried, statuses):
    cases = [(status, n_good) for status in statuses for n_good in (0, 2)]
    for case, (status, n_good) in enumerate(cases):
        words = f"({status} Client Error"
        with serve(good, faults=[None] * n_good + [status] * 100) as server:
            n_complete = expect_error(server.url, tmp_path / str(case), good, words)
            assert n_complete == max(0, n_good - 1) and server.requests == n_good + 1
    happened = "error at once: names the address and the server's response"
    fault("downloading", tried, happened, len(cases))


def test_error_for_a_server_without_ranges_says_to_download_the_zip(good, tmp_path, fault):
    with serve(good, ranges=False) as server:
        words = "its server ignores byte ranges; download the ZIP and give its path."
        expect_error(server.url, tmp_path, good, words)
        assert server.requests == 1
    fault(
        "downloading",
        "server without byte ranges",
        "error at once: says to download the ZIP; nothing written",
    )


def tls_server(folder, name, address):
    """Return the TLS context of a server, and its self-signed certificate for one IP address."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    names = f"-subj /CN={address} -addext subjectAltName=IP:{address}"
    options = f"-x509 -newkey rsa:2048 -nodes -days 2 {names}".split()
    command = ["openssl", "req", *options, "-keyout", key, "-out", certificate]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, str(certificate)


def test_an_invalid_certificate_is_reported_at_once(good, tmp_path, monkeypatch, fault):
    own, own_certificate = tls_server(tmp_path, "own", "127.0.0.1")
    other, other_certificate = tls_server(tmp_path, "other", "127.0.0.9")
    words = "because its server's certificate can't be trusted"
    slept = []
    monkeypatch.setattr(archive, "PAUSE", 1)
    monkeypatch.setattr(time, "sleep", slept.append)
    with serve(good, tls=own) as server:
        expect_error(server.url, tmp_path / "unknown", good, words)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", other_certificate)
        expect_error(server.url, tmp_path / "wrong", good, words)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", own_certificate)
        download_ucf101_subset(server.url, 2, SPLITS, tmp_path / "trusted")
        expect_complete(tmp_path / "trusted", good)
    with serve(good, tls=other) as server:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", other_certificate)
        expect_error(server.url, tmp_path / "other", good, words)
    assert not slept
    happened = "error at once: names the certificate; nothing written"
    fault("downloading", "certificate of an unknown authority, or of another server", happened, 3)


# The ZIP.


def expect_damage_error(damaged, good, folder, words=" can't be read ("):
    """Assert that a damaged ZIP is reported, on disk and on the web; return the number of cases."""
    for i, source in enumerate(path_and_url(damaged)):
        expect_error(source, folder / str(i), good, words)
    return 2


def test_a_truncated_zip_is_reported(good, tmp_path, fault):
    content, cases = good.read_bytes(), 0
    size = len(content)
    beginnings = [content[:end] for end in (size // 100, size // 2, -1000, -1)]
    for kept in (*beginnings, content[size // 2 :]):
        cut = tmp_path / f"cut{cases}.zip"
        cut.write_bytes(kept)
        cases += expect_damage_error(cut, good, tmp_path / str(cases))
    fault(
        "downloading",
        "ZIP truncated at its end or its beginning",
        "error: names the ZIP; only complete files remain",
        cases,
    )


def test_a_damaged_clip_is_reported_and_not_written(good, tmp_path, fault):
    with zipfile.ZipFile(good) as file:
        info = file.getinfo(VICTIM)
    cases = 0
    for share, damage in ((0.1, b"\0"), (0.5, b"\xff" * 1000), (0.999, b"?")):
        content = bytearray(good.read_bytes())
        begin = info.header_offset + 30 + len(VICTIM) + int(share * info.compress_size)
        changed = slice(begin, begin + len(damage))
        content[changed] = bytes(byte ^ 0x55 for byte in content[changed])
        damaged = tmp_path / f"damaged{cases}.zip"
        damaged.write_bytes(content)
        cases += expect_damage_error(damaged, good, tmp_path / str(cases), NAMES_VICTIM)
    fault(
        "downloading",
        "clip damaged in the ZIP",
        "error: names the ZIP and the clip; the clip isn't written",
        cases,
    )


def write_with_lies(path, lies, content=None):
    """Write the clips of `good` with a table of contents that is wrong about `VICTIM`.

    Args:
        path: The ZIP's path.
        lies: Functions that change attributes of the victim's ZipInfo, by name.
        content: The victim's content, if not random.

    Returns:
        The path.
    """
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in names_of("Ape") + names_of("Bee") + names_of("Cat"):
            honest = rng.bytes(CLIP_SIZE)
            file.writestr(name, content if content and name == VICTIM else honest)
        info = file.getinfo(VICTIM)
        for attribute, change in lies.items():
            setattr(info, attribute, change(getattr(info, attribute)))
    return path


def test_a_wrong_table_of_contents_is_reported(good, tmp_path, fault):
    lies = [
        {"header_offset": lambda offset: 0},
        {"header_offset": lambda offset: offset + 1},
        {"header_offset": lambda offset: 1 << 31},
        {"header_offset": lambda offset: 1 << 62},
        {"compress_size": lambda size: size // 2},
        {"compress_size": lambda size: 0},
        {"compress_size": lambda size: size - 1},
        {"file_size": lambda size: size - 1},
        {"file_size": lambda size: size + 1},
        {"file_size": lambda size: 0},
        {"CRC": lambda crc: crc ^ 1},
        {"compress_type": lambda method: zipfile.ZIP_STORED},
        {"compress_type": lambda method: zipfile.ZIP_BZIP2},
        {"compress_type": lambda method: zipfile.ZIP_LZMA},
        {"compress_type": lambda method: 99},
        {"flag_bits": lambda bits: bits | 1},
        {"filename": lambda name: name.replace("UCF101", "UCF102")},
    ]
    cases = 0
    for lie in lies:
        wrong = write_with_lies(tmp_path / f"wrong{cases}.zip", lie)
        cases += expect_damage_error(wrong, good, tmp_path / str(cases), NAMES_VICTIM)
    happened = "error: names the ZIP and the clip; the clip isn't written"
    fault(
        "downloading",
        "wrong positions, sizes or checksums in the table of contents",
        happened,
        cases,
    )


def garbage(good, seed):
    """Return a ZIP's bytes with random changes in its table of contents, except in the names."""
    rng = random.Random(seed)
    content = bytearray(good.read_bytes())
    with zipfile.ZipFile(good) as file:
        begin, positions = file.start_dir, []
        for info in file.infolist():
            positions += range(begin, begin + 46)
            begin += 46 + len(info.filename)
    positions += range(begin, len(content))
    for position in rng.sample(positions, rng.choice([1, 1, 2, 5, 50])):
        content[position] = rng.choice([0, 255, rng.randrange(256)])
    return content


def test_garbage_in_the_table_of_contents_does_no_harm(tmp_path, fault, daily_or_long):
    number = daily_or_long(50, 200)
    good = write_members(tmp_path / "good.zip", names_of("Ape"), 1000)
    (damaged := tmp_path / "damaged.zip").touch()
    n_errors = 0
    for i, source in enumerate(path_and_url(damaged)):
        for seed in range(number):
            damaged.write_bytes(garbage(good, seed))
            folder = tmp_path / f"{i}-{seed}"
            try:
                download_ucf101_subset(source, 1, SPLITS, folder)
            except (OSError, ValueError) as error:
                n_errors += 1
                assert str(error).endswith(".") and "\n" not in str(error), error
                assert str(source) in str(error) or isinstance(error, ValueError), error
            count_complete(folder, good)
            download_ucf101_subset(good, 1, SPLITS, folder)
            expect_complete(folder, good, 1)
    assert number < n_errors < 2 * number
    happened = "error in one sentence, or the right files; only complete files remain"
    fault("downloading", "random bytes in the table of contents", happened, 2 * number)


@pytest.mark.parametrize(
    "tried, names, happened",
    [
        (
            "names with ../",
            ["../{}", "../../../{}", "a/../../../../{}"],
            "written inside the target folder",
        ),
        ("absolute names", ["/{}", "//{}", "/tmp/{}"], "written inside the target folder"),
        (
            "names with backslashes",
            ["..\\{}", "..\\..\\..\\{}", "\\{}"],
            "written inside the target folder",
        ),
        (
            "names with a drive letter",
            ["C:\\{}", "C:\\..\\{}", "c:/{}"],
            "written inside the target folder",
        ),
        (
            "classes named with ../, ..\\ or C:",
            [
                "v_.._g{group}_c01.avi",
                "v_../../.._g{group}_c01.avi",
                "v_A\\..\\.._g{group}_c01.avi",
                "C:{}",
            ],
            "skipped: not names of clips",
        ),
    ],
)
def test_no_name_leads_out_of_the_folder(tmp_path, fault, tried, names, happened):
    for case, name in enumerate(names):
        inner = tmp_path / str(case) / "a" / "b" / "c"
        inner.mkdir(parents=True)
        plain = [f"v_Up_g{group}_c01.avi" for group in (1, 2)]
        hostile = [name.format(fname, group=group) for group, fname in enumerate(plain, 1)]
        hostile_zip = write_members(
            inner / "hostile.zip", hostile + ["v_Down_g01_c01.avi", "v_Down_g02_c01.avi"], 100
        )
        for i, source in enumerate(path_and_url(hostile_zip)):
            folder = inner / str(i)
            accepted = len(list_files(source)) == 4
            assert accepted == ("written" in happened)
            download_ucf101_subset(source, 2 if accepted else 1, PAIR, folder)
            found = {base_name(path) for path in contents(folder) if "Up" in path}
            assert found == (set(plain) if accepted else set())
            assert len(contents(folder)) == (4 if accepted else 2)
        assert {path.name for path in inner.iterdir()} == {"hostile.zip", "0", "1"}
        written = (tmp_path / str(case)).rglob("*.avi")
        assert all(inner in path.parents for path in written)
    fault("downloading", tried, happened, 2 * len(names))


def test_names_too_long_for_a_file_are_no_clips(tmp_path, fault):
    tail = "_g01_c01.avi"
    longest = "v_" + "A" * (255 - 2 - len(tail)) + tail
    too_long = [longest.replace("v_", "v_A")]
    too_long += ["v_" + "ß" * 125 + tail, "v_" + "A" * 60_000 + tail, f"v_A_g{'0' * 5000}1_c01.avi"]
    names = [*too_long, longest, longest.replace("g01", "g02")]
    path = write_members(tmp_path / "long.zip", names, 100)
    for i, source in enumerate(path_and_url(path)):
        assert list_files(source) == names[-2:]
        download_ucf101_subset(source, 1, PAIR, tmp_path / str(i))
        assert {base_name(path) for path in contents(tmp_path / str(i))} == set(names[-2:])
    fault(
        "downloading",
        "names of more than 255 bytes",
        "skipped, because file systems do not allow them",
        2 * len(too_long),
    )


def test_names_that_are_not_ascii_work(tmp_path, fault):
    classes = ["Größe", "Прыжок", "跳", "قفز"]
    names = [f"クリップ/v_{name}_g{group:02d}_c01.avi" for name in classes for group in (1, 2)]
    good = write_members(tmp_path / "names.zip", names, 100)
    for i, source in enumerate(path_and_url(good)):
        assert list_files(source) == names
        download_ucf101_subset(source, len(classes), PAIR, tmp_path / str(i))
        expect_complete(tmp_path / str(i), good, len(classes), PAIR)
    # The names are marked as UTF-8, but not encoded in it.
    content = good.read_bytes()
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(content.replace("Größe".encode(), "Größe".encode("latin-1") + b"\xff\xff"))
    for source in path_and_url(damaged):
        with pytest.raises(OSError, match="can't be read .*utf-8.*this again\\.$") as caught:
            download_ucf101_subset(source, 1, PAIR, tmp_path / "damaged")
        assert str(caught.value).startswith(str(source)) and not (tmp_path / "damaged").exists()
    happened = "written like all others; if wrongly encoded, an error names the ZIP"
    fault("downloading", "names that are not ASCII", happened, 2 * (len(classes) + 1))


def test_of_two_members_with_one_name_the_first_is_used(tmp_path, fault):
    names = ["a/v_A_g01_c01.avi", "b/v_A_g01_c01.avi", "v_A_g02_c01.avi", "c/v_A_g02_c01.avi"]
    good = write_members(tmp_path / "twice.zip", names, 100)
    for i, source in enumerate(path_and_url(good)):
        assert list_files(source) == [names[0], names[2]]
        download_ucf101_subset(source, 1, PAIR, tmp_path / str(i))
        with zipfile.ZipFile(good) as file:
            expected = {file.read(names[0]), file.read(names[2])}
        assert set(contents(tmp_path / str(i)).values()) == expected
    fault("downloading", "two members with the same clip's name", "the first is used", 4)


def test_unpacking_stops_if_a_clip_is_larger_than_stated(good, tmp_path, fault):
    cases, unpacked = 0, 64 << 20
    for stated in (0, 1000):
        lie = {"file_size": lambda size, stated=stated: stated}
        bomb = write_with_lies(tmp_path / f"bomb{stated}.zip", lie, bytes(unpacked))
        content = bytearray(bomb.read_bytes())
        with zipfile.ZipFile(bomb) as file:
            begin = file.getinfo(VICTIM).header_offset
        assert int.from_bytes(content[begin + 22 : begin + 26], "little") == unpacked
        content[begin + 22 : begin + 26] = stated.to_bytes(4, "little")
        bomb.write_bytes(content)
        tracemalloc.start()
        cases += expect_damage_error(bomb, good, tmp_path / str(stated), NAMES_VICTIM)
        assert tracemalloc.get_traced_memory()[1] < unpacked / 4
        tracemalloc.stop()
    happened = "unpacking stops; error: names the clip, which isn't written"
    fault("downloading", "clip that unpacks to far more than its stated size", happened, cases)


# The disk.


def test_clips_that_need_more_space_than_is_free_are_refused(good, tmp_path, monkeypatch, fault):
    huge = write_with_lies(tmp_path / "huge.zip", {"file_size": lambda size: 10**15})
    with serve(huge) as server:
        for i, source in enumerate((huge, server.url)):
            folder, begin = tmp_path / str(i), "The clips of {source} "
            words = f"need 1,000,000.00 GB, but {folder} has only "
            assert expect_error(source, folder, good, words, begin=begin) == 0
        assert server.requests == 1
    with serve(good) as server:
        usage = archive.shutil.disk_usage(tmp_path)._replace(free=CLIPS * 2 * CLIP_SIZE - 1)
        message = r"^The clips of .* need 0\.00 GB, but .* has only 0\.00 GB free; free space"
        for i, source in enumerate((good, server.url)):
            folder = tmp_path / f"small{i}"
            with monkeypatch.context() as patch:
                patch.setattr(archive.shutil, "disk_usage", lambda path: usage)
                with pytest.raises(OSError, match=message):
                    download_ucf101_subset(source, 2, SPLITS, folder)
            assert not contents(folder)
            download_ucf101_subset(source, 2, SPLITS, folder)
            expect_complete(folder, good)
    happened = "error before anything is fetched: states how much; nothing written"
    fault("downloading", "clips that need more space than is free", happened, 4)


@contextlib.contextmanager
def files_up_to(size):
    """Let the operating system refuse larger files, which is similar to a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def full_disk(after):
    """Return a substitute for `atomic_write` for which the disk is full after some files.

    The next temporary file is then a link to `/dev/full`, Linux's device that is always full.
    """
    written = []

    @contextlib.contextmanager
    def write_until_full(path):
        with atomic_write(path) as temp_path:
            if len(written) == after:
                temp_path.symlink_to("/dev/full")
            written.append(path)
            yield temp_path

    return write_until_full


def test_a_disk_that_fills_up_is_reported(good, tmp_path, monkeypatch, fault):
    cases = 0
    for after in (0, 5):
        for source in path_and_url(good):
            folder = tmp_path / str(cases)
            with monkeypatch.context() as patch:
                patch.setattr(archive, "atomic_write", full_disk(after))
                with pytest.raises(OSError) as caught:
                    download_ucf101_subset(source, 2, SPLITS, folder)
            message = str(caught.value)
            assert message.startswith(f"{folder} can't be written to (No space left on device); ")
            assert message.endswith("choose another download_dir.")
            assert count_complete(folder, good) == after
            download_ucf101_subset(source, 2, SPLITS, folder)
            expect_complete(folder, good)
            cases += 1
    for source in path_and_url(good):
        with (
            files_up_to(CLIP_SIZE - 1),
            pytest.raises(OSError, match=r"can't be written to \(File too large\); free space"),
        ):
            download_ucf101_subset(source, 2, SPLITS, tmp_path / str(cases))
        assert count_complete(tmp_path / str(cases), good) == 0
        download_ucf101_subset(source, 2, SPLITS, tmp_path / str(cases))
        expect_complete(tmp_path / str(cases), good)
        cases += 1
    remedy = "says to free space or choose another"
    happened = f"error: names the folder, {remedy}; only complete files remain"
    fault("downloading", "disk fills up while clips are fetched", happened, cases)


def test_a_file_instead_of_a_folder_is_reported(good, tmp_path, fault):
    names = ["clips", "clips/train", "clips/train/Ape"]
    for case, name in enumerate(names):
        obstacle = tmp_path / str(case) / name
        obstacle.parent.mkdir(parents=True)
        obstacle.write_text("a file")
        folder = tmp_path / str(case) / "clips"
        message = f"^{folder} can't be written to .*choose another download_dir\\.$"
        with pytest.raises(OSError, match=message):
            download_ucf101_subset(good, 1, SPLITS, folder)
        assert obstacle.read_text() == "a file"
        obstacle.unlink()
        download_ucf101_subset(good, 1, SPLITS, folder)
        expect_complete(folder, good, 1)
    fault(
        "downloading",
        "file with the name of a folder that is needed",
        "error: names the folder; the file is left alone",
        len(names),
    )


# Processes that are stopped, or run at the same time.


@contextlib.contextmanager
def started(program, call, tmp_path):
    """Start a program that makes a call after `go`."""
    # Temporary files of a killed program remain in the test's folder.
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    command = [sys.executable, "-c", program + START + call]
    with subprocess.Popen(command, env=environment, text=True, **pipes) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def go(process):
    process.stdin.write("\n")
    process.stdin.flush()


def outcome(process):
    """Return the exit status, the output and the error output of a program."""
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


def moments(number, length, seed=0):
    """Return random moments in seconds, one in each of equal parts of a length of time."""
    rng = random.Random(seed)
    return [(i + rng.random()) / number * length for i in range(number)]


def fetch_call(server, folder):
    return f"download_ucf101_subset({server.url!r}, 1, {SPLITS!r}, {str(folder)!r})"


def stop_at(delay, how, program, call, tmp_path, folder):
    """Start a program, stop it after a delay in seconds, and return its outcome.

    If it has finished by then, because the machine was slower when the delay was chosen, its folder
    is emptied, and it is started again and stopped earlier.
    """
    with started(program, call, tmp_path) as process:
        go(process)
        time.sleep(delay)
        process.send_signal(how)
        result = outcome(process)
    if result[0] != 0 or delay < 0.1:
        return result
    shutil.rmtree(folder)
    return stop_at(delay / 2, how, program, call, tmp_path, folder)


def length_of(program, call, tmp_path):
    """Return how many seconds an undisturbed call takes."""
    with started(program, call, tmp_path) as process:
        begin = time.monotonic()
        go(process)
        assert outcome(process)[0] == 0
    return time.monotonic() - begin


def outcomes_of_two(program, call, tmp_path):
    """Run a program twice at the same time; return both outcomes."""
    with started(program, call, tmp_path) as one, started(program, call, tmp_path) as other:
        go(one), go(other)
        return [outcome(process) for process in (one, other)]


def wait_until(condition):
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < 30
        time.sleep(0.01)


def temp_files(folder):
    return [path for path in folder.rglob("*") if path.name.startswith(".temp")]


@pytest.mark.parametrize(
    "tried, how, share, numbers",
    [
        ("Ctrl-C at a random moment", signal.SIGINT, 0.8, (3, 5)),
        ("killed (SIGKILL) at a random moment", signal.SIGKILL, 1, (6, 20)),
    ],
    ids=["SIGINT", "SIGKILL"],
)
def test_a_fetch_that_is_stopped_can_be_completed(
    good, tmp_path, fault, tried, how, share, numbers, daily_or_long
):
    number = daily_or_long(*numbers)
    half_written = stopped = 0
    with serve(good, pause=0.02) as server:
        length = length_of(FETCH, fetch_call(server, tmp_path / "alone"), tmp_path)
        for case, delay in enumerate(moments(number, share * length)):
            folder = tmp_path / str(case)
            code, _, errors = stop_at(
                delay, how, FETCH, fetch_call(server, folder), tmp_path, folder
            )
            assert code in (0, -how), errors
            stopped += code != 0
            half_written += len(temp_files(folder))
            count_complete(folder, good, ignore=temp_files(folder))
            download_ucf101_subset(server.url, 1, SPLITS, folder)
            expect_complete(folder, good, 1)
    assert stopped > number / 2 and (half_written > 0) == (how == signal.SIGKILL)
    happened = "only complete clips remain; the same call fetches the rest"
    fault("downloading", tried, happened, number)


def test_two_fetches_into_one_folder_take_turns(good, tmp_path, fault):
    cases = 3
    for case in range(cases):
        folder = tmp_path / str(case)
        with serve(good, pause=0.02) as server:
            outcomes = outcomes_of_two(FETCH, fetch_call(server, folder), tmp_path)
            assert [code for code, _, _ in outcomes] == [0, 0]
            # Each requests the table of contents; every clip is fetched once.
            assert server.requests == 2 + CLIPS
        expect_complete(folder, good, 1)
    fault(
        "downloading",
        "two processes fetch into one folder at once",
        "the second waits, then finds all files complete",
        cases,
    )


def test_a_waiting_fetch_continues_when_the_first_is_killed(good, tmp_path, fault):
    cases = 3
    for case in range(cases):
        folder = tmp_path / str(case)
        with (
            serve(good, pause=0.1) as first,
            serve(good) as second,
            started(FETCH, fetch_call(first, folder), tmp_path) as one,
            started(FETCH, fetch_call(second, folder), tmp_path) as other,
        ):
            go(one)
            wait_until(lambda i=case, folder=folder: len(list(folder.glob("*/*/v_*.avi"))) > i)
            go(other)
            wait_until(lambda server=second: server.requests == 1)
            time.sleep(0.1)
            assert one.poll() is None and second.requests == 1
            one.kill()
            assert outcome(other)[0] == 0
        expect_complete(folder, good, 1)
    fault(
        "downloading",
        "two processes at once, and the first is killed",
        "the second fetches the rest",
        cases,
    )


# The drawn ZIP.

SIZES = {"groups": 2, "clips": 1}


def draw_call(path):
    return f"puppets.write_zip({str(path)!r}, **{SIZES}); print(len(drawn))"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return puppets.write_zip(tmp_path_factory.mktemp("drawn") / "puppets.zip", **SIZES).read_bytes()


def test_drawing_that_is_killed_can_be_completed(drawn, tmp_path, fault):
    length = length_of(DRAW, draw_call(tmp_path / "alone" / "puppets.zip"), tmp_path)
    # None stands for a moment at which the ZIP is being written.
    cases = [*moments(4, length), None, None]
    for case, delay in enumerate(cases):
        path = tmp_path / str(case) / "puppets.zip"
        with started(DRAW, draw_call(path), tmp_path) as process:
            go(process)
            if delay is None:
                wait_until(lambda folder=path.parent: temp_files(folder))
            else:
                time.sleep(delay)
            process.kill()
        found = {file.name for file in path.parent.glob("*")}
        assert found <= {"puppets.zip", ".lock", ".temp.zip"}
        assert delay is not None or ".temp.zip" in found
        assert not path.exists() or path.read_bytes() == drawn
        assert puppets.write_zip(path, **SIZES).read_bytes() == drawn
        assert {file.name for file in path.parent.iterdir()} == {"puppets.zip", ".lock"}
    happened = "no ZIP, or a complete one; the same call draws it"
    fault("downloading", "drawing of the puppets killed (SIGKILL)", happened, len(cases))


def test_two_processes_that_draw_one_zip_take_turns(drawn, tmp_path, fault):
    path = tmp_path / "both" / "puppets.zip"
    outcomes = outcomes_of_two(DRAW, draw_call(path), tmp_path)
    n_drawn = len(puppets.PAIRS) * SIZES["groups"]
    assert sorted((code, int(output)) for code, output, _ in outcomes) == [(0, 0), (0, n_drawn)]
    assert path.read_bytes() == drawn
    assert {file.name for file in path.parent.iterdir()} == {"puppets.zip", ".lock"}
    fault(
        "downloading",
        "two processes draw the puppets at once",
        "the second waits, then finds a complete ZIP",
    )


def test_a_full_disk_is_reported_while_puppets_are_drawn(drawn, tmp_path, fault):
    path, other = tmp_path / "puppets.zip", {"groups": 1, "clips": 1}
    before = puppets.write_zip(path, **other).read_bytes()
    incomplete = "can't be written completely"
    limits = {0: incomplete, 1000: incomplete, 300_000: incomplete, 1_000_000: "too large"}
    for limit, words in limits.items():
        with files_up_to(limit), pytest.raises(OSError, match=words):
            puppets.write_zip(path, **SIZES)
        assert path.read_bytes() == before and not temp_files(tmp_path)
    assert puppets.write_zip(path, **SIZES).read_bytes() == drawn
    fault(
        "downloading",
        "disk fills up while the puppets are drawn",
        "error; the old ZIP stays",
        len(limits),
    )
