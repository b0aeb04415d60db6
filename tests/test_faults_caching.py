"""What is broken in a cache on disk, and what comes of it: rows of the table in `faults.py`."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from helpers import cache
from helpers.video import clips_and_labels, frames_from_video_file

ROOT = pathlib.Path(__file__).resolve().parent.parent
SIZES = {"n_frames": 10, "output_size": (64, 64), "frame_step": 5}

# Fills a cache with the clips of a split; says when it begins.
FILL = """
import signal, sys
from helpers.cache import FrameCache
from helpers.video import clips_and_labels

signal.signal(signal.SIGINT, signal.default_int_handler)
split, place = sys.argv[1:]
keeper = FrameCache(place, 10, (64, 64), 5)
print("ready", flush=True)
sys.stdin.readline()
for file in clips_and_labels(split)[0]:
    keeper.read(file, 0)
"""


@pytest.fixture(scope="module")
def split(puppet_folders):
    return puppet_folders["train"]


def start(split, place):
    """Start a program that fills a cache; return it when it is ready."""
    command = [sys.executable, "-c", FILL, str(split), str(place)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    program = subprocess.Popen(command, env=environment, **pipes)
    assert program.stdout.readline() == "ready\n"
    return program


def go(program):
    program.stdin.write("\n")
    program.stdin.flush()


def expect_right(split, place):
    """Assert that the cache gives what the files give, and holds nothing half-written."""
    keeper = cache.FrameCache(place, **SIZES)
    files = clips_and_labels(split)[0]
    for file in files:
        np.testing.assert_array_equal(keeper.read(file, 1), frames_from_video_file(file, **SIZES, seed=1))
    found = {path.name for path in pathlib.Path(place).rglob("*") if path.is_file()} - {".lock"}
    assert len(found) == len(files) and all(name.endswith(".frames") and not name.startswith(".") for name in found)


def test_damaged_files_are_made_again(split, tmp_path, fault):
    expect_right(split, tmp_path)
    files = sorted(tmp_path.rglob("*.frames"))
    rng, cases = np.random.default_rng(0), 0
    for attempt in range(10):
        for file in files:
            content = bytearray(file.read_bytes())
            place = int(rng.integers(len(content) if attempt % 2 else 500))
            content[place] ^= 1 << int(rng.integers(8))
            file.write_bytes(content)
            cases += 1
        expect_right(split, tmp_path)
    fault("caching", "a bit flipped in a file", "noticed, and made again", cases)


def test_files_cut_short_are_made_again(split, tmp_path, fault):
    expect_right(split, tmp_path)
    files = sorted(tmp_path.rglob("*.frames"))
    for share in (0, 0.001, 0.5, 0.999):
        for file in files:
            content = file.read_bytes()
            file.write_bytes(content[: int(share * len(content))])
        expect_right(split, tmp_path)
    fault("caching", "a file cut short, or empty", "noticed, and made again", 4 * len(files))


def test_files_of_another_clip_are_made_again(split, tmp_path, fault):
    expect_right(split, tmp_path)
    files = sorted(tmp_path.rglob("*.frames"))
    contents = [file.read_bytes() for file in files]
    for file, content in zip(files, contents[1:] + contents[:1]):
        file.write_bytes(content)
    expect_right(split, tmp_path)
    fault("caching", "a file in another clip's place", "noticed, and made again", len(files))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_is_told_with_the_way_out(split, tmp_path, monkeypatch, fault):
    draft = cache.FrameCache(tmp_path, **SIZES).folder / ".draft.frames"
    draft.parent.mkdir()
    draft.symlink_to("/dev/full")
    file = clips_and_labels(split)[0][0]
    with pytest.raises(OSError, match=rf"No space is left for the cache in {tmp_path}.*raise start_step"):
        cache.FrameCache(tmp_path, **SIZES).read(file, 0)
    assert not list(tmp_path.rglob("*.frames"))
    expect_right(split, tmp_path)
    fault("caching", "disk fills up", "error: names the folder, and says what to do; nothing written")


@pytest.mark.parametrize("how, count", [(signal.SIGKILL, 20), (signal.SIGINT, 5)])
def test_a_program_is_stopped_at_a_random_moment(split, tmp_path, fault, how, count):
    whole = start(split, tmp_path / "whole")
    begin = time.monotonic()
    go(whole)
    whole.communicate(timeout=60)
    length = time.monotonic() - begin
    for i, share in enumerate(np.random.default_rng(0).uniform(0, 1, size=count)):
        program = start(split, tmp_path / str(i))
        go(program)
        time.sleep(share * length)
        program.send_signal(how)
        program.communicate(timeout=60)
        expect_right(split, tmp_path / str(i))
    name = "killed (SIGKILL)" if how == signal.SIGKILL else "Ctrl-C"
    fault("caching", f"{name} at a random moment", "the same call again completes", count)


def test_two_programs_fill_one_folder_at_once(split, tmp_path, fault):
    for i in range(3):
        programs = [start(split, tmp_path / str(i)) for _ in range(2)]
        for program in programs:
            go(program)
        for program in programs:
            _, told = program.communicate(timeout=60)
            assert program.returncode == 0, told
        expect_right(split, tmp_path / str(i))
    fault("caching", "two processes fill one folder at once", "both get the right frames; nothing is damaged", 3)
