"""What is broken in a video file, and what comes of reading it: rows of the table in `faults.py`.

The clips are read in a program of its own with a time limit, so that a crash or a hang of the decoder would be seen.
"""

import json
import os
import pathlib
import subprocess
import sys
import warnings

import cv2
import numpy as np
import pytest
from conftest import write_video

from helpers import puppets
from helpers.batches import ClipBatches
from helpers.video import VideoReadError, frames_from_video_file

ROOT = pathlib.Path(__file__).resolve().parent.parent
SIZES = {"n_frames": 10, "output_size": (64, 64), "frame_step": 5}
KINDS = ("MJPG", "XVID", "mp4v")

# Reads each clip that it is told of; a line for each says what came of it.
READ = """
import json, sys, time
from helpers.video import VideoReadError, frames_from_video_file

for line in sys.stdin:
    path, begin = line.strip(), time.monotonic()
    told = {"path": path}
    try:
        frames = frames_from_video_file(path, 10, (64, 64), 5, start="center")
    except VideoReadError as error:
        told["error"] = str(error)
    else:
        told |= {"shape": frames.shape, "dtype": str(frames.dtype)}
        told["spread"] = float(frames[:, 8:-8, 8:-8].std(axis=(1, 2)).max(axis=-1).min())
    print(json.dumps(told), flush=True)
"""


def write(path, frames, code="MJPG", fps=25):
    """Write RGB frames as a video by OpenCV's FFmpeg; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*code), fps, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    return path


def read_apart(paths):
    """Read clips in a program of its own; return what it tells of each, in order."""
    command, lines = [sys.executable, "-c", READ], "\n".join(map(str, paths))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=240, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["path"] for one in told] == list(map(str, paths))
    return told


def expect_frames_or_error(paths, flat=0.5):
    """Assert that each clip gives frames of the right shape, none of one colour, or an error that names it; count frames."""
    told = read_apart(paths)
    for one in told:
        if "error" in one:
            assert one["error"].startswith(one["path"]) and one["error"].count("\n") == 0
        else:
            assert (one["shape"], one["dtype"]) == ([10, 64, 64, 3], "uint8")
            assert one["spread"] > flat, one
    return sum("shape" in one for one in told)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Clips in three codings: each frame by itself, and with changes only between key frames."""
    folder = tmp_path_factory.mktemp("whole")
    clips = [puppets.draw_clip(name, group, 1) for group, name in enumerate(("PickUp", "SitDown", "WalkLeft"), start=1)]
    paths = [write(folder / f"{code}{i}.avi", clip, code) for code in KINDS for i, clip in enumerate(clips)]
    assert expect_frames_or_error(paths) == len(paths)
    return [path.read_bytes() for path in paths]


def damage(whole, tmp_path, count, change, seed=0):
    """Write so many damaged copies; `change` gets a bytearray, where its frames begin, and a random generator."""
    rng, paths = np.random.default_rng(seed), []
    for i in range(count):
        content = bytearray(whole[i % len(whole)])
        content = change(content, content.index(b"movi") + 4, rng)
        paths.append(tmp_path / f"v_Damaged_g01_c{i:03}.avi")
        paths[-1].write_bytes(content)
    return paths


def flip(count):
    def change(content, begin, rng):
        for place in rng.integers(begin, len(content), size=count):
            content[place] ^= 1 << int(rng.integers(8))
        return content

    return change


def flip_header(content, begin, rng):
    for place in rng.integers(0, begin, size=5):
        content[place] ^= 1 << int(rng.integers(8))
    return content


def cut(content, begin, rng):
    return content[: rng.integers(begin, len(content))]


def zero_first(content, begin, rng):
    size = int(rng.integers(100, (len(content) - begin) // 3))
    content[begin : begin + size] = bytes(size)
    return content


def zero_middle(content, begin, rng):
    size = int(rng.integers(100, (len(content) - begin) // 3))
    place = int(rng.integers(begin, len(content) - size))
    content[place : place + size] = bytes(size)
    return content


@pytest.mark.parametrize(
    "tried, count, change",
    [
        ("a few bits flipped", 110, flip(5)),
        ("many bits flipped", 110, flip(500)),
        ("bits flipped in the header", 70, flip_header),
        ("cut at a random place", 70, cut),
        ("first frames zeroed", 70, zero_first),
        ("a stretch in the middle zeroed", 70, zero_middle),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_damage_gives_frames_or_an_error_that_names_the_file(whole, tmp_path, fault, tried, count, change):
    expect_frames_or_error(damage(whole, tmp_path, count, change))
    fault("decoding", tried, "frames, or an error that names the file; never a frame of one colour", count)


def test_a_file_without_frames_is_an_error(whole, tmp_path, fault):
    headers = damage(whole, tmp_path / "h", 9, lambda content, begin, rng: content[:begin]) if (tmp_path / "h").mkdir() is None else ()
    empty = tmp_path / "v_Empty_g01_c01.avi"
    empty.write_bytes(b"")
    assert expect_frames_or_error([*headers, empty]) == 0
    fault("decoding", "header only, or empty", "error: names the file", len(headers) + 1)


def test_another_format_under_avi_is_an_error_or_read_for_what_it_is(tmp_path, fault):
    rng = np.random.default_rng(0)
    contents = [b"This is no video.\n" * 100, rng.bytes(50_000), b"PK\x03\x04" + rng.bytes(2000), b"\x1f\x8b" + rng.bytes(2000)]
    paths = [tmp_path / f"v_Other_g01_c{i:02}.avi" for i in range(len(contents))]
    for path, content in zip(paths, contents):
        path.write_bytes(content)
    assert expect_frames_or_error(paths) == 0
    frames = puppets.draw_clip("PickUp", 1, 1)
    videos = []
    for suffix in ("mp4", "mkv", "mov"):
        path = write(tmp_path / f"video.{suffix}", frames, "mp4v")
        videos.append(path.rename(tmp_path / f"v_Really_{suffix}_g01_c01.avi"))
    assert expect_frames_or_error(videos) == 3
    fault("decoding", "text, random bytes, an archive, named .avi", "error: names the file", len(paths))
    fault("decoding", "an MP4, MKV or MOV, named .avi", "its frames", len(videos))


def test_sound_alone_is_an_error(tmp_path, fault):
    samples = np.random.default_rng(0).integers(-1000, 1000, 44_100, dtype=np.int16).tobytes()
    form = b"fmt \x10\0\0\0\x01\0\x01\0\x44\xac\0\0\x88\x58\x01\0\x02\0\x10\0"
    body = b"WAVE" + form + b"data" + len(samples).to_bytes(4, "little") + samples
    path = tmp_path / "v_Sound_g01_c01.avi"
    path.write_bytes(b"RIFF" + len(body).to_bytes(4, "little") + body)
    assert expect_frames_or_error([path]) == 0
    fault("decoding", "sound only", "error: names the file")


@pytest.mark.parametrize(
    "tried, shapes, count",
    [
        ("one frame", [(120, 160)], 1),
        ("odd sizes", [(17, 31), (33, 57), (64, 3), (3, 64), (18, 1000)], 30),
        ("portrait", [(320, 180), (640, 360)], 30),
        ("4K", [(2160, 3840)], 3),
    ],
)
def test_unusual_clips_are_read(tmp_path, fault, tried, shapes, count):
    rng = np.random.default_rng(0)
    paths = []
    for code in ("MJPG", "mp4v"):
        for height, width in shapes:
            small = rng.integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
            frames = [cv2.resize(image, (width, height), interpolation=cv2.INTER_NEAREST) for image in small]
            paths.append(write(tmp_path / f"v_A_g01_c{len(paths):02}.avi", frames, code))
    # Bars beside a narrow picture are black all over, so only whether all are read is asked.
    told = read_apart(paths)
    assert all(one.get("shape") == [10, 64, 64, 3] for one in told), told
    fault("decoding", tried, "its frames", len(paths))


def vary_frame_rate(path):
    """Make the second half of an MP4's frames last half as long: its box "stts" gets a second entry."""
    content = path.read_bytes()
    place = content.rindex(b"stts") + 4
    count, duration = (int.from_bytes(content[place + at : place + at + 4], "big") for at in (8, 12))
    entries = [(count // 2, duration), (count - count // 2, duration // 2)]
    table = b"".join(number.to_bytes(4, "big") for number in (0, len(entries), *sum(entries, ())))
    content = bytearray(content[:place] + table + content[place + 16 :])
    for box in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts"):
        size = content.rindex(box) - 4
        content[size : size + 4] = (int.from_bytes(content[size : size + 4], "big") + 8).to_bytes(4, "big")
    path.write_bytes(content)


def test_frames_that_last_longer_than_others_count_as_one_each(tmp_path, fault):
    clips = [puppets.draw_clip(name, 1, 1) for name in ("PickUp", "SitDown", "WalkLeft")]
    for i, clip in enumerate(clips):
        path = write(tmp_path / f"v_A_g01_c{i:02}.mp4", clip, "mp4v")
        before = frames_from_video_file(path, **SIZES, start="center")
        rate = cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS)
        vary_frame_rate(path)
        assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS) > 1.2 * rate
        np.testing.assert_array_equal(frames_from_video_file(path, **SIZES, start="center"), before)
    fault("decoding", "variable frame rate", "its frames, by their numbers", len(clips))


@pytest.fixture
def split(tmp_path):
    for group in range(6):
        write_video(tmp_path / "split" / "ABC"[group % 3] / f"v_{'ABC'[group % 3]}_g{group:02d}_c01.avi", 60, group)
    for name in ("split/A/v_A_g00_c01.avi", "split/C/v_C_g05_c01.avi"):
        file = tmp_path / name
        file.write_bytes(file.read_bytes()[:500])
    return tmp_path / "split"


def test_training_stops_at_the_first_unreadable_clip(split, fault):
    with pytest.raises(VideoReadError, match=f"^{split}/. "[:-3]):
        for _ in ClipBatches(split, **SIZES):
            pass
    fault("decoding", 'unreadable clips, policy "stop"', "error at the first: names the file", 2)


def test_training_leaves_out_unreadable_clips_and_lists_them(split, fault):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        clips = ClipBatches(split, unreadable="leave out", **SIZES)
    assert sum(len(labels) for _, labels in clips) == 4 and len(clips.left_out) == 2
    assert all(str(file) in str(said[0].message) for file, _ in clips.left_out)
    fault("decoding", 'unreadable clips, policy "leave out"', "left out, and listed with the reason", 2)
