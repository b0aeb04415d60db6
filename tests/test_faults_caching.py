"""What is broken in a cache on disk, and what comes of it: rows of the table in `faults.py`."""

import hashlib
import signal

import numpy as np
import pytest
from test_faults_downloading import (
    full_disk,
    length_of,
    moments,
    outcomes_of_two,
    stop_at,
    temp_files,
)

from helpers import cache
from helpers.cache import FrameCache
from helpers.video import frames_from_video_file, list_clips

SIZES = {"n_frames": 10, "output_size": (48, 64), "frame_step": 5}
# Each read takes all that is kept of a clip.
CENTRE = SIZES | {"start": "center"}

# A program of its own, on a disk so slow that it can be stopped in the middle of a file.
FILL = """
import hashlib, io, signal, sys, time
from helpers import cache

class SlowFile(io.FileIO):
    def write(self, content):
        content = memoryview(content).cast("B")
        for begin in range(0, len(content), 50_000):
            time.sleep(0.001)
            super().write(content[begin : begin + 50_000])

def fill(folder, files, sizes):
    reads = cache.FrameCache(folder, **sizes)
    print(hashlib.sha256(b"".join(reads.read(file, 1) for file in files)).hexdigest())

def open_slowly(path, mode, **options):
    return SlowFile(path, "w") if mode == "wb" else open(path, mode, **options)

cache.open = open_slowly
"""


@pytest.fixture(scope="module")
def files(puppet_folders):
    """Twelve clips."""
    return list_clips(puppet_folders["train"])[0]


def fill_call(folder, files):
    return f"fill({str(folder)!r}, {[str(file) for file in files]!r}, {SIZES!r})"


def contents(folder):
    """Return what is in the files that frames are kept in."""
    return {path: path.read_bytes() for path in sorted(folder.rglob("v_*.frames"))}


def expect_right(files, *caches, **choice):
    for file in files:
        expected = frames_from_video_file(file, **choice)
        for reads in caches:
            np.testing.assert_array_equal(reads.read(file, choice.get("seed")), expected)


def expect_completed(folder, files):
    """Assert that filling a cache again completes it, with the right frames and no leftovers."""
    expect_right(files, FrameCache(folder, **SIZES), FrameCache(folder, **SIZES), **SIZES, seed=1)
    assert len(contents(folder)) == len(files) and not temp_files(folder)


# What is kept.


def flipped(content, rng):
    content[int(rng.integers(len(content)))] ^= 255
    return content


def flipped_in_the_lines(content, rng):
    content[int(rng.integers(content.index(b"]}\n") + 3))] ^= 255
    return content


def break_all(folder, change, rng):
    for path, content in contents(folder).items():
        path.write_bytes(change(bytearray(content), rng))


@pytest.mark.parametrize(
    "tried, changes",
    [
        ("byte changed", [flipped] * 4 + [flipped_in_the_lines] * 4),
        (
            "cut short",
            [
                lambda content, rng, to=to: content[: int(to * len(content))]
                for to in (0.001, 0.5, 0.999)
            ],
        ),
        (
            "emptied, zeroed or overwritten",
            [
                lambda content, rng: b"",
                lambda content, rng: bytes(len(content)),
                lambda content, rng: rng.bytes(len(content)),
            ],
        ),
    ],
    ids=["changed", "cut", "emptied"],
)
def test_a_damaged_file_is_made_again(files, tmp_path, fault, tried, changes):
    used = FrameCache(tmp_path, **CENTRE)
    expect_right(files, used, **CENTRE)
    whole, rng = contents(tmp_path), np.random.default_rng(0)
    for change in changes:
        break_all(tmp_path, change, rng)
        assert not set(contents(tmp_path).values()) & set(whole.values())
        # One that has opened the files already, and one that opens them now.
        expect_right(files, used, FrameCache(tmp_path, **CENTRE), **CENTRE)
        assert contents(tmp_path) == whole
    fault("caching", f"file {tried}", "noticed, and made again", len(changes) * len(files))


def test_a_file_that_is_deleted_while_in_use_is_made_again(files, tmp_path, fault):
    used = FrameCache(tmp_path, **CENTRE)
    expect_right(files, used, **CENTRE)
    whole = contents(tmp_path)
    for path in whole:
        path.unlink()
    expect_right(files, used, **CENTRE)
    assert contents(tmp_path) == whole
    fault("caching", "file deleted while it is in use", "made again", len(files))


def put_in_place(paths, contents):
    for path, content in zip(paths, contents, strict=True):
        assert path.read_bytes() != content
        path.write_bytes(content)


@pytest.mark.parametrize(
    "tried, other, version",
    [
        ("another size", {"output_size": (24, 32)}, cache.cv2.__version__),
        ("another choice of frames", {"frame_step": 3}, cache.cv2.__version__),
        ("another version of OpenCV", {}, "4.0.0"),
    ],
    ids=["size", "choice", "version"],
)
def test_a_file_of_another_size_or_version_is_not_used(
    files, tmp_path, monkeypatch, fault, tried, other, version
):
    with monkeypatch.context() as patch:
        patch.setattr(cache.cv2, "__version__", version)
        expect_right(files, FrameCache(tmp_path / "other", **CENTRE | other), **CENTRE | other)
    reads = FrameCache(tmp_path / "cache", **CENTRE)
    expect_right(files, reads, **CENTRE)
    whole = contents(tmp_path / "cache")
    put_in_place(whole, contents(tmp_path / "other").values())
    expect_right(files, FrameCache(tmp_path / "cache", **CENTRE), reads, **CENTRE)
    assert contents(tmp_path / "cache") == whole
    fault("caching", f"file of {tried} in its place", "noticed, and made again", len(files))


def test_a_file_of_another_clip_is_not_used(files, tmp_path, fault):
    used = FrameCache(tmp_path, **CENTRE)
    expect_right(files, used, **CENTRE)
    whole = contents(tmp_path)
    put_in_place(whole, [*list(whole.values())[1:], *list(whole.values())[:1]])
    expect_right(files, FrameCache(tmp_path, **CENTRE), used, **CENTRE)
    assert contents(tmp_path) == whole
    fault("caching", "file of another clip in its place", "noticed, and made again", len(files))


def test_a_disk_that_fills_up_is_told(files, tmp_path, monkeypatch, fault):
    for after in (0, 1, 5):
        folder = tmp_path / str(after)
        reads = FrameCache(folder, **SIZES)
        with monkeypatch.context() as patch:
            patch.setattr(cache, "atomic_write", full_disk(after))
            with pytest.raises(OSError) as caught:
                expect_right(files, reads, **SIZES, seed=1)
        way_out = "free some space, choose another folder, or raise start_step."
        assert str(caught.value).endswith(
            f"No space is left for the cache in {reads.folder}; {way_out}"
        )
        assert (
            reads.folder.parent == folder
            and len(contents(folder)) == after
            and not temp_files(folder)
        )
        expect_completed(folder, files)
    fault(
        "caching",
        "disk fills up",
        "error: names the folder and the ways out; only whole files there",
        3,
    )


# Processes that are stopped, and that meet.


@pytest.mark.parametrize(
    "tried, how, share, number",
    [
        ("Ctrl-C at a random moment", signal.SIGINT, 0.8, 5),
        ("killed (SIGKILL) at a random moment", signal.SIGKILL, 1, 20),
    ],
    ids=["SIGINT", "SIGKILL"],
)
def test_filling_that_is_stopped_can_be_completed(
    files, tmp_path, fault, tried, how, share, number
):
    length = length_of(FILL, fill_call(tmp_path / "alone", files), tmp_path)
    whole = set(contents(tmp_path / "alone").values())
    half_written = stopped = 0
    for case, delay in enumerate(moments(number, share * length)):
        folder = tmp_path / str(case)
        code, _, errors = stop_at(delay, how, FILL, fill_call(folder, files), tmp_path)
        assert code in (0, -how), errors
        stopped += code != 0
        half_written += len(temp_files(folder))
        assert set(contents(folder).values()) <= whole
        expect_completed(folder, files)
    assert stopped > number / 2 and (half_written > 0) == (how == signal.SIGKILL)
    fault("caching", tried, "only whole files there; the same call again completes", number)


def test_two_processes_that_fill_one_folder_do_not_disturb_each_other(files, tmp_path, fault):
    expected = hashlib.sha256(
        b"".join(frames_from_video_file(file, seed=1, **SIZES) for file in files)
    ).hexdigest()
    cases = 3
    for case in range(cases):
        outcomes = outcomes_of_two(FILL, fill_call(tmp_path / str(case), files), tmp_path)
        assert [outcome[:2] for outcome in outcomes] == [(0, f"{expected}\n")] * 2
        expect_completed(tmp_path / str(case), files)
    fault(
        "caching",
        "two processes fill one folder at once",
        "both get the right frames; all files whole",
        cases,
    )
