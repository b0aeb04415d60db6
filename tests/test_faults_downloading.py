"""What is broken on a clip's way from a ZIP to its folder, and what comes of it: rows of the table in `faults.py`."""

import contextlib
import os
import pathlib
import random
import resource
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
from test_archive import CLIP_SIZE, SPLITS, contents, expect_whole, names_of, write_members

from helpers import archive, puppets
from helpers.archive import download_ucf101_subset, list_files
from helpers.atomic import atomic_write
from helpers.ucf101 import base_name

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLIPS = sum(SPLITS.values())
VICTIM = "UCF101/v_Ape_g02_c01.avi"
PAIR = {"train": 1, "test": 1}

# A program of its own, on a disk so slow that it can be stopped in the middle of a file.
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
# A shell's background jobs are started with Ctrl-C ignored.
START = """
signal.signal(signal.SIGINT, signal.default_int_handler)
print("ready", flush=True)
sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A ZIP of two classes of 8 clips, some of them far from the table of contents."""
    return write_members(
        tmp_path_factory.mktemp("good") / "good.zip",
        names_of("Ape") + names_of("Bee") + names_of("Cat"),
    )


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(archive, "PAUSE", 0)


def near_and_far(zip_path):
    """Yield the path of a ZIP, then its URL."""
    yield zip_path
    with serve(zip_path) as server:
        yield server.url


def expect_nothing_half_written(folder, good, but=()):
    """Assert that all files below a folder, but some, are clips as they are in a ZIP; return their number."""
    with zipfile.ZipFile(good) as file:
        members = {base_name(name): file.read(name) for name in file.namelist()}
    found = {
        path: content for path, content in contents(folder).items() if folder / path not in but
    }
    assert all(content == members.get(base_name(path)) for path, content in found.items()), list(
        found
    )
    return len(found)


def expect_told(source, folder, good, words, num_classes=2, begin="{source}"):
    """Assert that fetching fails with one sentence, that nothing half-written stays and that a good call completes."""
    with pytest.raises(OSError) as caught:
        download_ucf101_subset(source, num_classes, SPLITS, folder)
    told = str(caught.value)
    assert (
        told.startswith(begin.format(source=source, folder=folder))
        and told.endswith(".")
        and "\n" not in told
    ), told
    assert words in told, told
    n_whole = expect_nothing_half_written(folder, good)
    download_ucf101_subset(good, num_classes, SPLITS, folder)
    expect_whole(folder, good, num_classes)
    return n_whole


# The way to the ZIP.


def expect_overcome(good, folder, faults):
    """Assert that a fetch overcomes what goes wrong with its first requests."""
    with serve(good, faults=faults) as server:
        download_ucf101_subset(server.url, 2, SPLITS, folder)
        assert not server.faults
    expect_whole(folder, good)


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
        (
            "server is busy (429, 503) and says: come back in an hour",
            [[429], [503], [None, 429, 503]],
        ),
        (
            "server stalls, then recovers",
            [["stall"], [None, "stall"], ["silence"], [None, None, "silence", "stall"]],
        ),
    ],
)
def test_failures_that_pass_are_overcome(good, tmp_path, monkeypatch, fault, tried, cases):
    monkeypatch.setattr(archive, "TIMEOUT", 0.4)
    for case, faults in enumerate(cases):
        expect_overcome(good, tmp_path / str(case), faults)
    fault("downloading", tried, "tried again; all files whole", len(cases))


@pytest.mark.parametrize(
    "tried, faults, words",
    [
        (
            "connection cut again and again",
            ["cut", "hang up"],
            "check the address, or the path, and the connection",
        ),
        ("server error (500) that stays", [500], "500"),
        ("server stalls for good", ["stall", "silence"], "timed out"),
    ],
)
def test_failures_that_stay_are_told_after_some_tries(
    good, tmp_path, monkeypatch, fault, tried, faults, words
):
    monkeypatch.setattr(archive, "TIMEOUT", 0.2)
    cases = [(kind, fine) for kind in faults for fine in (0, 3)]
    for case, (kind, fine) in enumerate(cases):
        with serve(good, faults=[None] * fine + [kind] * 100) as server:
            n_whole = expect_told(server.url, tmp_path / str(case), good, words)
            assert n_whole == max(0, fine - 1) and 4 <= server.requests - fine <= 25
    fault(
        "downloading",
        tried,
        "tried again, then an error that names the address; only whole files there",
        len(cases),
    )


@pytest.mark.parametrize(
    "tried, statuses",
    [("not there (404, 410)", [404, 410]), ("not allowed (401, 403)", [401, 403])],
)
def test_a_final_answer_is_told_at_once(good, tmp_path, fault, tried, statuses):
    cases = [(status, fine) for status in statuses for fine in (0, 2)]
    for case, (status, fine) in enumerate(cases):
        with serve(good, faults=[None] * fine + [status] * 100) as server:
            n_whole = expect_told(server.url, tmp_path / str(case), good, f"({status} Client Error")
            assert n_whole == max(0, fine - 1) and server.requests == fine + 1
    fault(
        "downloading", tried, "error at once: names the address and the server's answer", len(cases)
    )


def test_a_server_without_ranges_is_told_with_the_way_out(good, tmp_path, fault):
    with serve(good, ranges=False) as server:
        expect_told(
            server.url,
            tmp_path,
            good,
            "its server ignores byte ranges. Download the ZIP and give its path.",
        )
        assert server.requests == 1
    fault(
        "downloading",
        "server without byte ranges",
        "error at once: says to download the ZIP; nothing written",
    )


def tls_server(folder, name, address):
    """Return what a server needs for https, and its certificate for one IP address, which it has signed itself."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    options = f"-x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={address} -addext subjectAltName=IP:{address}"
    subprocess.run(
        ["openssl", "req", *options.split(), "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, str(certificate)


def test_a_certificate_that_fails_is_told_at_once(good, tmp_path, monkeypatch, fault):
    own, own_certificate = tls_server(tmp_path, "own", "127.0.0.1")
    other, other_certificate = tls_server(tmp_path, "other", "127.0.0.9")
    words = "because its server's certificate can't be trusted"
    slept = []
    monkeypatch.setattr(archive, "PAUSE", 1)
    monkeypatch.setattr(time, "sleep", slept.append)
    with serve(good, tls=own) as server:
        expect_told(server.url, tmp_path / "unknown", good, words)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", other_certificate)
        expect_told(server.url, tmp_path / "wrong", good, words)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", own_certificate)
        download_ucf101_subset(server.url, 2, SPLITS, tmp_path / "trusted")
        expect_whole(tmp_path / "trusted", good)
    with serve(good, tls=other) as server:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", other_certificate)
        expect_told(server.url, tmp_path / "other", good, words)
    assert not slept
    happened = "error at once: names the certificate; nothing written"
    fault("downloading", "certificate of unknown origin, or of another server", happened, 3)


# The ZIP.


def expect_damage_told(damaged, good, folder, words=" can't be read (", num_classes=2):
    """Assert that a damaged ZIP is told, near and far; return the number of cases."""
    for way, source in enumerate(near_and_far(damaged)):
        expect_told(source, folder / str(way), good, words, num_classes)
    return 2


def test_a_zip_that_is_cut_short_is_told(good, tmp_path, fault):
    content, cases = good.read_bytes(), 0
    size = len(content)
    for kept in (
        content[: size // 100],
        content[: size // 2],
        content[:-1000],
        content[:-1],
        content[size // 2 :],
    ):
        cut = tmp_path / f"cut{cases}.zip"
        cut.write_bytes(kept)
        cases += expect_damage_told(cut, good, tmp_path / str(cases))
    fault(
        "downloading",
        "ZIP cut short at its end or its beginning",
        "error: names the ZIP; only whole files there",
        cases,
    )


def test_a_damaged_clip_is_told_and_never_seen(good, tmp_path, fault):
    with zipfile.ZipFile(good) as file:
        info = file.getinfo(VICTIM)
    cases = 0
    for share, damage in ((0.1, b"\0"), (0.5, b"\xff" * 1000), (0.999, b"?")):
        content = bytearray(good.read_bytes())
        begin = info.header_offset + 30 + len(VICTIM) + int(share * info.compress_size)
        content[begin : begin + len(damage)] = bytes(
            byte ^ 0x55 for byte in content[begin : begin + len(damage)]
        )
        damaged = tmp_path / f"damaged{cases}.zip"
        damaged.write_bytes(content)
        cases += expect_damage_told(
            damaged, good, tmp_path / str(cases), f", member {base_name(VICTIM)}, can't be read ("
        )
    fault(
        "downloading",
        "clip damaged in the ZIP",
        "error: names the ZIP and the clip; the clip isn't written",
        cases,
    )


def write_with_lies(path, lies, content=None):
    """Write the clips of `good` with a table of contents that lies about the victim: `{attribute of its ZipInfo: change}`."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in names_of("Ape") + names_of("Bee") + names_of("Cat"):
            honest = rng.bytes(CLIP_SIZE)
            file.writestr(name, content if content and name == VICTIM else honest)
        info = file.getinfo(VICTIM)
        for attribute, change in lies.items():
            setattr(info, attribute, change(getattr(info, attribute)))
    return path


def test_a_wrong_table_of_contents_is_told(good, tmp_path, fault):
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
        cases += expect_damage_told(
            wrong, good, tmp_path / str(cases), f", member {base_name(VICTIM)}, can't be read ("
        )
    happened = "error: names the ZIP and the clip; the clip isn't written"
    fault("downloading", "wrong places, sizes, checksums in the table of contents", happened, cases)


def garbage(good, seed):
    """Return a ZIP's bytes with some of its table of contents changed, the names excepted."""
    rng = random.Random(seed)
    content = bytearray(good.read_bytes())
    with zipfile.ZipFile(good) as file:
        begin, places = file.start_dir, []
        for info in file.infolist():
            places += range(begin, begin + 46)
            begin += 46 + len(info.filename)
    places += range(begin, len(content))
    for place in rng.sample(places, rng.choice([1, 1, 2, 5, 50])):
        content[place] = rng.choice([0, 255, rng.randrange(256)])
    return content


def test_garbage_in_the_table_of_contents_does_no_harm(tmp_path, fault):
    good = write_members(tmp_path / "good.zip", names_of("Ape"), 1000)
    (damaged := tmp_path / "damaged.zip").touch()
    told = 0
    for way, source in enumerate(near_and_far(damaged)):
        for seed in range(200):
            damaged.write_bytes(garbage(good, seed))
            folder = tmp_path / f"{way}-{seed}"
            try:
                download_ucf101_subset(source, 1, SPLITS, folder)
            except (OSError, ValueError) as error:
                told += 1
                assert str(error).endswith(".") and "\n" not in str(error), error
                assert str(source) in str(error) or isinstance(error, ValueError), error
            expect_nothing_half_written(folder, good)
            download_ucf101_subset(good, 1, SPLITS, folder)
            expect_whole(folder, good, 1)
    assert 200 < told < 400
    happened = "error in a sentence, or no harm done; only whole files there"
    fault("downloading", "random bytes in the table of contents", happened, 400)


@pytest.mark.parametrize(
    "tried, names, happened",
    [
        (
            "names with ../",
            ["../{}", "../../../{}", "a/../../../../{}"],
            "written in its own folder all the same",
        ),
        ("absolute names", ["/{}", "//{}", "/tmp/{}"], "written in its own folder all the same"),
        (
            "names with backslashes",
            ["..\\{}", "..\\..\\..\\{}", "\\{}"],
            "written in its own folder all the same",
        ),
        (
            "names with a drive letter",
            ["C:\\{}", "C:\\..\\{}", "c:/{}"],
            "written in its own folder all the same",
        ),
        (
            "classes named with ../, ..\\ or C:",
            [
                "v_.._g{group}_c01.avi",
                "v_../../.._g{group}_c01.avi",
                "v_A\\..\\.._g{group}_c01.avi",
                "C:{}",
            ],
            "passed over: not names of clips",
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
        for way, source in enumerate(near_and_far(hostile_zip)):
            folder = inner / str(way)
            taken = len(list_files(source)) == 4
            assert taken == ("written" in happened)
            download_ucf101_subset(source, 2 if taken else 1, PAIR, folder)
            assert {base_name(path) for path in contents(folder) if "Up" in path} == (
                set(plain) if taken else set()
            )
            assert len(contents(folder)) == (4 if taken else 2)
        assert {path.name for path in inner.iterdir()} == {"hostile.zip", "0", "1"}
        assert not [
            path for path in (tmp_path / str(case)).rglob("*.avi") if inner not in path.parents
        ]
    fault("downloading", tried, happened, 2 * len(names))


def test_names_too_long_for_a_file_are_no_clips(tmp_path, fault):
    tail = "_g01_c01.avi"
    longest = "v_" + "A" * (255 - 2 - len(tail)) + tail
    too_long = [longest.replace("v_", "v_A")]
    too_long += ["v_" + "ß" * 125 + tail, "v_" + "A" * 60_000 + tail, f"v_A_g{'0' * 5000}1_c01.avi"]
    names = [*too_long, longest, longest.replace("g01", "g02")]
    for way, source in enumerate(near_and_far(write_members(tmp_path / "long.zip", names, 100))):
        assert list_files(source) == names[-2:]
        download_ucf101_subset(source, 1, PAIR, tmp_path / str(way))
        assert {base_name(path) for path in contents(tmp_path / str(way))} == set(names[-2:])
    fault(
        "downloading",
        "names of more than 255 bytes",
        "passed over, as no disk takes them",
        2 * len(too_long),
    )


def test_names_that_are_not_ascii_work(tmp_path, fault):
    classes = ["Größe", "Прыжок", "跳", "قفز"]
    names = [f"クリップ/v_{name}_g{group:02d}_c01.avi" for name in classes for group in (1, 2)]
    good = write_members(tmp_path / "names.zip", names, 100)
    for way, source in enumerate(near_and_far(good)):
        assert list_files(source) == names
        download_ucf101_subset(source, len(classes), PAIR, tmp_path / str(way))
        expect_whole(tmp_path / str(way), good, len(classes), PAIR)
    # Marked as UTF-8, which they are not.
    content = good.read_bytes()
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(content.replace("Größe".encode(), "Größe".encode("latin-1") + b"\xff\xff"))
    for source in near_and_far(damaged):
        with pytest.raises(OSError, match="can't be read .*utf-8.*this again\\.$") as caught:
            download_ucf101_subset(source, 1, PAIR, tmp_path / "damaged")
        assert str(caught.value).startswith(str(source)) and not (tmp_path / "damaged").exists()
    happened = "written like all others; if wrongly coded, an error names the ZIP"
    fault("downloading", "names that are not ASCII", happened, 2 * (len(classes) + 1))


def test_of_two_members_with_one_name_the_first_counts(tmp_path, fault):
    names = ["a/v_A_g01_c01.avi", "b/v_A_g01_c01.avi", "v_A_g02_c01.avi", "c/v_A_g02_c01.avi"]
    good = write_members(tmp_path / "twice.zip", names, 100)
    for way, source in enumerate(near_and_far(good)):
        assert list_files(source) == [names[0], names[2]]
        download_ucf101_subset(source, 1, PAIR, tmp_path / str(way))
        with zipfile.ZipFile(good) as file:
            assert set(contents(tmp_path / str(way)).values()) == {
                file.read(names[0]),
                file.read(names[2]),
            }
    fault("downloading", "two members with one clip's name", "the first counts", 4)


def test_a_clip_that_unpacks_to_more_than_it_says_stops_there(good, tmp_path, fault):
    cases, unpacked = 0, 64 << 20
    for said in (0, 1000):
        bomb = write_with_lies(
            tmp_path / f"bomb{said}.zip",
            {"file_size": lambda size, said=said: said},
            bytes(unpacked),
        )
        content = bytearray(bomb.read_bytes())
        with zipfile.ZipFile(bomb) as file:
            begin = file.getinfo(VICTIM).header_offset
        assert int.from_bytes(content[begin + 22 : begin + 26], "little") == unpacked
        content[begin + 22 : begin + 26] = said.to_bytes(4, "little")
        bomb.write_bytes(content)
        tracemalloc.start()
        cases += expect_damage_told(
            bomb, good, tmp_path / str(said), f", member {base_name(VICTIM)}, can't be read ("
        )
        assert tracemalloc.get_traced_memory()[1] < unpacked / 4
        tracemalloc.stop()
    happened = "unpacking stops; error: names the clip, which isn't written"
    fault("downloading", "clip that unpacks to far more than it says", happened, cases)


# The disk.


def test_clips_that_need_more_space_than_there_is_are_refused(good, tmp_path, monkeypatch, fault):
    huge = write_with_lies(tmp_path / "huge.zip", {"file_size": lambda size: 10**15})
    with serve(huge) as server:
        for way, source in enumerate((huge, server.url)):
            words = f"need 1,000,000.00 GB, and {tmp_path / str(way)} has "
            assert (
                expect_told(
                    source, tmp_path / str(way), good, words, begin="The clips of {source} "
                )
                == 0
            )
        assert server.requests == 1
    with serve(good) as server:
        for way, source in enumerate((good, server.url)):
            with monkeypatch.context() as patch:
                usage = archive.shutil.disk_usage(tmp_path)._replace(free=CLIPS * 2 * CLIP_SIZE - 1)
                patch.setattr(archive.shutil, "disk_usage", lambda path: usage)
                with pytest.raises(
                    OSError,
                    match=r"^The clips of .* need 0\.00 GB, and .* 0\.00 GB free; free space",
                ):
                    download_ucf101_subset(source, 2, SPLITS, tmp_path / f"small{way}")
            assert not contents(tmp_path / f"small{way}")
            download_ucf101_subset(source, 2, SPLITS, tmp_path / f"small{way}")
            expect_whole(tmp_path / f"small{way}", good)
    happened = "error before anything is fetched: says how much; nothing written"
    fault("downloading", "clips that need more space than is free", happened, 4)


@contextlib.contextmanager
def files_up_to(size):
    """Let the operating system refuse larger files: as near to a full disk as one comes without one."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def full_disk(after):
    """Return a stand-in for `atomic_write` whose temporary files are, after some, Linux's device that is always full."""
    written = []

    @contextlib.contextmanager
    def whole_until_full(path):
        with atomic_write(path) as draft:
            if len(written) == after:
                draft.symlink_to("/dev/full")
            written.append(path)
            yield draft

    return whole_until_full


def test_a_disk_that_fills_up_is_told(good, tmp_path, monkeypatch, fault):
    cases = 0
    for after in (0, 5):
        for source in near_and_far(good):
            folder = tmp_path / str(cases)
            with monkeypatch.context() as patch:
                patch.setattr(archive, "atomic_write", full_disk(after))
                with pytest.raises(OSError) as caught:
                    download_ucf101_subset(source, 2, SPLITS, folder)
            assert str(caught.value).startswith(
                f"{folder} can't be written to (No space left on device); free space there"
            )
            assert str(caught.value).endswith("choose another download_dir.")
            assert expect_nothing_half_written(folder, good) == after
            download_ucf101_subset(source, 2, SPLITS, folder)
            expect_whole(folder, good)
            cases += 1
    for source in near_and_far(good):
        with (
            files_up_to(CLIP_SIZE - 1),
            pytest.raises(OSError, match=r"can't be written to \(File too large\); free space"),
        ):
            download_ucf101_subset(source, 2, SPLITS, tmp_path / str(cases))
        assert expect_nothing_half_written(tmp_path / str(cases), good) == 0
        download_ucf101_subset(source, 2, SPLITS, tmp_path / str(cases))
        expect_whole(tmp_path / str(cases), good)
        cases += 1
    happened = (
        "error: names the folder, says to free space or choose another; only whole files there"
    )
    fault("downloading", "disk fills up on the way", happened, cases)


def test_what_stands_in_the_way_is_told(good, tmp_path, fault):
    ways = ["clips", "clips/train", "clips/train/Ape"]
    for case, name in enumerate(ways):
        in_the_way = tmp_path / str(case) / name
        in_the_way.parent.mkdir(parents=True)
        in_the_way.write_text("a file")
        folder = tmp_path / str(case) / "clips"
        with pytest.raises(
            OSError, match=f"^{folder} can't be written to .*choose another download_dir\\.$"
        ):
            download_ucf101_subset(good, 1, SPLITS, folder)
        assert in_the_way.read_text() == "a file"
        in_the_way.unlink()
        download_ucf101_subset(good, 1, SPLITS, folder)
        expect_whole(folder, good, 1)
    fault(
        "downloading",
        "file where a folder has to be",
        "error: names the folder; the file is left alone",
        len(ways),
    )


# Processes that are stopped, and that meet.


@contextlib.contextmanager
def started(program, call, tmp_path):
    """Start a program that is ready to make a call; it makes it when it is told to `go`."""
    # What is left in the folder for temporary files is left in the test's.
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    pipes = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }
    with subprocess.Popen(
        [sys.executable, "-c", program + START + call], env=environment, **pipes
    ) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def go(process):
    process.stdin.write("\n")
    process.stdin.flush()


def outcome(process):
    """Return how a program ended and what it said."""
    said, errors = process.communicate(timeout=60)
    return process.returncode, said, errors


def moments(number, length, seed=0):
    """Return random moments, spread over a length of time."""
    rng = random.Random(seed)
    return [(i + rng.random()) / number * length for i in range(number)]


def fetch_call(server, folder):
    return f"download_ucf101_subset({server.url!r}, 1, {SPLITS!r}, {str(folder)!r})"


def stop_at(delay, how, program, call, tmp_path):
    """Start a program, stop it after a delay; return how it ended and what it said."""
    with started(program, call, tmp_path) as process:
        go(process)
        time.sleep(delay)
        process.send_signal(how)
        return outcome(process)


def length_of(program, call, tmp_path):
    """Return how long a call takes that is left alone."""
    with started(program, call, tmp_path) as process:
        begin = time.monotonic()
        go(process)
        assert outcome(process)[0] == 0
    return time.monotonic() - begin


def outcomes_of_two(program, call, tmp_path):
    """Make two programs do the same at once; return how each ended and what it said."""
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
    "tried, how, share, number, happened",
    [
        (
            "Ctrl-C at a random moment",
            signal.SIGINT,
            0.8,
            5,
            "only whole clips there; the same call again completes",
        ),
        (
            "killed (SIGKILL) at a random moment",
            signal.SIGKILL,
            1,
            20,
            "only whole clips there; the same call again completes",
        ),
    ],
    ids=["SIGINT", "SIGKILL"],
)
def test_a_fetch_that_is_stopped_can_be_completed(
    good, tmp_path, fault, tried, how, share, number, happened
):
    half_written = stopped = 0
    with serve(good, pause=0.02) as server:
        length = length_of(FETCH, fetch_call(server, tmp_path / "alone"), tmp_path)
        for case, delay in enumerate(moments(number, share * length)):
            folder = tmp_path / str(case)
            code, _, errors = stop_at(delay, how, FETCH, fetch_call(server, folder), tmp_path)
            assert code in (0, -how), errors
            stopped += code != 0
            half_written += len(temp_files(folder))
            expect_nothing_half_written(folder, good, but=temp_files(folder))
            download_ucf101_subset(server.url, 1, SPLITS, folder)
            expect_whole(folder, good, 1)
    assert stopped > number / 2 and (half_written > 0) == (how == signal.SIGKILL)
    fault("downloading", tried, happened, number)


def test_two_fetches_into_one_folder_take_turns(good, tmp_path, fault):
    cases = 3
    for case in range(cases):
        folder = tmp_path / str(case)
        with serve(good, pause=0.02) as server:
            outcomes = outcomes_of_two(FETCH, fetch_call(server, folder), tmp_path)
            assert [code for code, _, _ in outcomes] == [0, 0]
            # Each asks for the table of contents; every clip is fetched once.
            assert server.requests == 2 + CLIPS
        expect_whole(folder, good, 1)
    fault(
        "downloading",
        "two processes fetch into one folder at once",
        "the second waits, then finds all files whole",
        cases,
    )


def test_a_fetch_goes_on_where_a_killed_one_kept_it_waiting(good, tmp_path, fault):
    cases = 3
    for case in range(cases):
        folder = tmp_path / str(case)
        with serve(good, pause=0.1) as first, serve(good) as second:
            with (
                started(FETCH, fetch_call(first, folder), tmp_path) as one,
                started(FETCH, fetch_call(second, folder), tmp_path) as other,
            ):
                go(one)
                wait_until(lambda: len(list(folder.glob("*/*/v_*.avi"))) > case)
                go(other)
                wait_until(lambda: second.requests == 1)
                time.sleep(0.1)
                assert one.poll() is None and second.requests == 1
                one.kill()
                assert outcome(other)[0] == 0
        expect_whole(folder, good, 1)
    fault(
        "downloading",
        "two processes at once, and the first is killed",
        "the second completes",
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
    in_the_middle_of_the_zip = [None, None]
    cases = moments(4, length) + in_the_middle_of_the_zip
    for case, delay in enumerate(cases):
        path = tmp_path / str(case) / "puppets.zip"
        with started(DRAW, draw_call(path), tmp_path) as process:
            go(process)
            wait_until(lambda: temp_files(path.parent)) if delay is None else time.sleep(delay)
            process.kill()
        there = {file.name for file in path.parent.glob("*")}
        assert there <= {"puppets.zip", ".lock", ".temp.zip"} and (
            delay is not None or ".temp.zip" in there
        )
        assert not path.exists() or path.read_bytes() == drawn
        assert puppets.write_zip(path, **SIZES).read_bytes() == drawn
        assert {file.name for file in path.parent.iterdir()} == {"puppets.zip", ".lock"}
    happened = "no ZIP, or a whole one; the same call again completes"
    fault("downloading", "drawing of the puppets killed (SIGKILL)", happened, len(cases))


def test_two_that_draw_one_zip_take_turns(drawn, tmp_path, fault):
    path = tmp_path / "both" / "puppets.zip"
    outcomes = outcomes_of_two(DRAW, draw_call(path), tmp_path)
    assert sorted((code, int(said)) for code, said, _ in outcomes) == [
        (0, 0),
        (0, len(puppets.PAIRS) * SIZES["groups"]),
    ]
    assert path.read_bytes() == drawn and {file.name for file in path.parent.iterdir()} == {
        "puppets.zip",
        ".lock",
    }
    fault(
        "downloading",
        "two processes draw the puppets at once",
        "the second waits, then finds a whole ZIP",
    )


def test_drawing_on_a_full_disk_is_told(drawn, tmp_path, fault):
    path, other = tmp_path / "puppets.zip", {"groups": 1, "clips": 1}
    before = puppets.write_zip(path, **other).read_bytes()
    limits = {0: "drawn whole", 1000: "drawn whole", 300_000: "drawn whole", 1_000_000: "too large"}
    for limit, words in limits.items():
        with files_up_to(limit), pytest.raises(OSError, match=words):
            puppets.write_zip(path, **SIZES)
        assert path.read_bytes() == before and not temp_files(tmp_path)
    assert puppets.write_zip(path, **SIZES).read_bytes() == drawn
    fault(
        "downloading",
        "disk fills up while the puppets are drawn",
        "error; the ZIP that was there stays",
        len(limits),
    )
