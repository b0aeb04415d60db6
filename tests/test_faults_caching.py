"""Faults of a cache on disk, and their results: rows of the table in `faults.py`."""

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
from helpers.clips import list_clips
from helpers.video import frames_from_video_file

SIZES = {"n_frames": 10, "output_size": (48, 64), "frame_step": 5}
# With this choice, each read uses all stored frames of a clip.
CENTRE = SIZES | {"start": "center"}

# A separate process, with a simulated disk so slow that the process can be stopped within a file.
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
    frame_cache = cache.FrameCache(folder, **sizes)
    print(hashlib.sha256(b"".join(frame_cache.read(file, 1) for file in files)).hexdigest())

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
    """Return the content of each file of a cache."""
    return {path: path.read_bytes() for path in sorted(folder.rglob("v_*.frames"))}


def expect_right(files, *caches, **choice):
    for file in files:
        expected = frames_from_video_file(file, **choice)
        for frame_cache in caches:
            np.testing.assert_array_equal(frame_cache.read(file, choice.get("seed")), expected)


def expect_completed(folder, files):
    """Assert that filling a cache again completes it, with the right frames and no leftovers."""
    expect_right(files, FrameCache(folder, **SIZES), FrameCache(folder, **SIZES), **SIZES, seed=1)
    assert len(contents(folder)) == len(files) and not temp_files(folder)


# Damaged, deleted and foreign files.


def flip_anywhere(content, rng):
    content[int(rng.integers(len(content)))] ^= 255
    return content


def flip_in_header(content, rng):
    content[int(rng.integers(content.index(b"]}\n") + 3))] ^= 255
    return content


def truncate_to(fraction):
    return lambda content, rng: content[: int(fraction * len(content))]


def empty(content, rng):
    return b""


def zero(content, rng):
    return bytes(len(content))


def overwrite(content, rng):
    return rng.bytes(len(content))


def break_all(folder, change, rng):
    for path, content in contents(folder).items():
        path.write_bytes(change(bytearray(content), rng))


@pytest.mark.parametrize(
    "tried, changes",
    [
        ("byte changed", [flip_anywhere] * 4 + [flip_in_header] * 4),
        ("truncated", [truncate_to(fraction) for fraction in (0.001, 0.5, 0.999)]),
        ("emptied, zeroed or overwritten", [empty, zero, overwrite]),
    ],
    ids=["changed", "truncated", "emptied"],
)
def test_a_damaged_file_is_replaced(files, tmp_path, fault, tried, changes):
    used = FrameCache(tmp_path, **CENTRE)
    expect_right(files, used, **CENTRE)
    intact, rng = contents(tmp_path), np.random.default_rng(0)
    for change in changes:
        break_all(tmp_path, change, rng)
        assert not set(contents(tmp_path).values()) & set(intact.values())
        # The first cache has opened the files already; the second opens them now.
        expect_right(files, used, FrameCache(tmp_path, **CENTRE), **CENTRE)
        assert contents(tmp_path) == intact
    fault("caching", f"file {tried}", "detected and replaced", len(changes) * len(files))


def test_a_file_that_is_deleted_while_in_use_is_replaced(files, tmp_path, fault):
    used = FrameCache(tmp_path, **CENTRE)
    expect_right(files, used, **CENTRE)
    intact = contents(tmp_path)
    for path in intact:
        path.unlink()
    expect_right(files, used, **CENTRE)
    assert contents(tmp_path) == intact
    fault("caching", "file deleted while it is in use", "replaced", len(files))


def replace_contents(paths, contents):
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
    used = FrameCache(tmp_path / "cache", **CENTRE)
    expect_right(files, used, **CENTRE)
    intact = contents(tmp_path / "cache")
    replace_contents(intact, contents(tmp_path / "other").values())
    expect_right(files, FrameCache(tmp_path / "cache", **CENTRE), used, **CENTRE)
    assert contents(tmp_path / "cache") == intact
    fault("caching", f"file of {tried} under its name", "detected and replaced", len(files))


def test_a_file_of_another_clip_is_not_used(files, tmp_path, fault):
    used = FrameCache(tmp_path, **CENTRE)
    expect_right(files, used, **CENTRE)
    intact = contents(tmp_path)
    replace_contents(intact, [*list(intact.values())[1:], *list(intact.values())[:1]])
    expect_right(files, FrameCache(tmp_path, **CENTRE), used, **CENTRE)
    assert contents(tmp_path) == intact
    fault("caching", "file of another clip under its name", "detected and replaced", len(files))


def test_a_disk_that_fills_up_is_reported(files, tmp_path, monkeypatch, fault):
    for after in (0, 1, 5):
        folder = tmp_path / str(after)
        frame_cache = FrameCache(folder, **SIZES)
        with monkeypatch.context() as patch:
            patch.setattr(cache, "atomic_write", full_disk(after))
            with pytest.raises(OSError) as caught:
                expect_right(files, frame_cache, **SIZES, seed=1)
        assert frame_cache.folder.parent == folder
        problem = f"No space is left for the cache in {frame_cache.folder}"
        remedy = "free some space, choose another folder, or raise start_step."
        assert str(caught.value).endswith(f"{problem}; {remedy}")
        assert len(contents(folder)) == after and not temp_files(folder)
        expect_completed(folder, files)
    happened = "error: names the folder and the remedies; only complete files remain"
    fault("caching", "disk fills up", happened, 3)


# Processes that are stopped, or run at the same time.


@pytest.mark.parametrize(
    "tried, how, share, numbers",
    [
        ("Ctrl-C at a random moment", signal.SIGINT, 0.8, (3, 5)),
        ("killed (SIGKILL) at a random moment", signal.SIGKILL, 1, (6, 20)),
    ],
    ids=["SIGINT", "SIGKILL"],
)
def test_filling_that_is_stopped_can_be_completed(
    files, tmp_path, fault, tried, how, share, numbers, daily_or_long
):
    number = daily_or_long(*numbers)
    length = length_of(FILL, fill_call(tmp_path / "alone", files), tmp_path)
    complete = set(contents(tmp_path / "alone").values())
    half_written = stopped = 0
    for case, delay in enumerate(moments(number, share * length)):
        folder = tmp_path / str(case)
        code, _, errors = stop_at(delay, how, FILL, fill_call(folder, files), tmp_path, folder)
        assert code in (0, -how), errors
        stopped += code != 0
        half_written += len(temp_files(folder))
        assert set(contents(folder).values()) <= complete
        expect_completed(folder, files)
    assert stopped > number / 2 and (half_written > 0) == (how == signal.SIGKILL)
    happened = "only complete files remain; the same call writes the rest"
    fault("caching", tried, happened, number)


def test_two_processes_may_fill_one_folder(files, tmp_path, fault):
    frames = [frames_from_video_file(file, seed=1, **SIZES) for file in files]
    expected = hashlib.sha256(b"".join(frames)).hexdigest()
    cases = 3
    for case in range(cases):
        outcomes = outcomes_of_two(FILL, fill_call(tmp_path / str(case), files), tmp_path)
        assert [outcome[:2] for outcome in outcomes] == [(0, f"{expected}\n")] * 2
        expect_completed(tmp_path / str(case), files)
    happened = "both read the right frames; all files complete"
    fault("caching", "two processes fill one folder at once", happened, cases)
