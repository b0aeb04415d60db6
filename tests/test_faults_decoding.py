"""Faults of video files, and the results of reading them: rows of the table in `faults.py`."""

import io
import itertools
import json
import os
import struct
import subprocess
import sys
import wave
import zipfile

import cv2
import numpy as np
import pytest
import tensorflow as tf
from conftest import (
    ROOT,
    SIDE,
    coded_frames,
    decode_all,
    draw_numbers,
    frame_numbers,
    write_avi,
    write_coded,
    write_images,
    write_video,
)
from test_video import patch_header

from helpers import puppets
from helpers.batches import ClipBatches
from helpers.clips import list_clips
from helpers.pipeline import make_dataset
from helpers.video import VideoReadError, frame_indices, frames_from_video_file, letterbox

FRAMES_OR_ERROR = "frames, or an error that names the file; no frame of one colour"
ITS_FRAMES = "its frames"
ERROR = "error: names the file"

# A separate process reads the clips, because the decoder may crash, and for a time limit.
READ = """
import json, sys
from helpers.video import VideoReadError, frames_from_video_file

size, paths = json.load(sys.stdin)
for path in paths:
    try:
        frames = frames_from_video_file(path, 10, size, 5, start="center")
    except VideoReadError as error:
        report = {"error": str(error)}
    else:
        spreads = frames.std(axis=(1, 2)).max(axis=-1)
        brightest = frames.max(axis=(1, 2, 3))
        report = {"shape": frames.shape, "dtype": str(frames.dtype)}
        report |= {"spread": float(spreads.min()), "brightest": int(brightest.min())}
    print(json.dumps(report), flush=True)
"""
LIMIT = 300
SAMPLING = {
    name: getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{name}")
    for name in ("444", "422", "420", "411")
}


def read_in_process(paths, size=(180, 240)):
    """Read clips in a separate process; return its report on each.

    If the process crashes or hangs, the assertion names the clip.
    """
    job = json.dumps([size, [str(path) for path in paths]])
    process = subprocess.Popen(
        [sys.executable, "-c", READ],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        output, errors = process.communicate(job, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        output, errors = process.communicate()
    reports = [json.loads(line) for line in output.splitlines()]
    assert len(reports) == len(paths), (
        f"{paths[len(reports)]}: the process ended with {process.returncode}\n{errors[-2000:]}"
    )
    return reports


def expect_frames_or_error(paths, size=(180, 240)):
    """Assert that each clip gives frames or an error that names it.

    No frame may be dark or of one colour. Returns the number of clips that give frames.
    """
    n_read = 0
    for path, report in zip(paths, read_in_process(paths, size), strict=True):
        if "error" in report:
            error = report["error"]
            assert error.startswith(f"{path} ") and "again" in error and "\n" not in error, error
        else:
            assert (report["shape"], report["dtype"]) == ([10, *size, 3], "uint8"), (path, report)
            assert report["spread"] > 4 and report["brightest"] > 60, (path, report)
            n_read += 1
    return n_read


def expect_errors(paths):
    assert expect_frames_or_error(paths) == 0


# Damage.


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    """The bytes of three puppets' clips, as Motion JPEG and with key frames, as in UCF101."""
    folder = tmp_path_factory.mktemp("intact")
    paths = []
    for group, class_name in enumerate(("PickUp", "SitDown", "WalkLeft"), start=1):
        frames = list(puppets.draw_clip(class_name, group, 1))
        paths += [
            write_images(folder / f"{group}.avi", frames),
            write_coded(folder / f"{group}_changes.avi", frames),
        ]
    assert expect_frames_or_error(paths) == len(paths)
    return [path.read_bytes() for path in paths]


def flip(content, begin, end, count, rng):
    for position in rng.integers(begin, end, size=count):
        content[position] ^= 1 << int(rng.integers(8))
    return content


def truncate(content, rng):
    return content[: int(rng.integers(len(content)))]


def overwrite(content, begin, rng, make):
    end = min(len(content), begin + int(rng.integers(100, len(content) // 3)))
    content[begin:end] = make(end - begin)
    return content


def overwrite_anywhere(content, begin, rng, make):
    position = int(rng.integers(begin, len(content) - 100))
    return overwrite(content, position, rng, make)


# Functions of a file's bytes, the position where its frames begin, and a random generator.
DAMAGE = {
    "a few bits flipped": lambda content, begin, rng: flip(content, begin, len(content), 5, rng),
    "many bits flipped": lambda content, begin, rng: flip(content, begin, len(content), 400, rng),
    "bits flipped in the header": lambda content, begin, rng: flip(content, 0, begin, 5, rng),
    "truncated at a random position": lambda content, begin, rng: truncate(content, rng),
    "first frames zeroed": lambda content, begin, rng: overwrite(content, begin, rng, bytes),
    "a section zeroed": lambda content, begin, rng: overwrite_anywhere(content, begin, rng, bytes),
    "a section overwritten with random bytes": lambda content, begin, rng: overwrite_anywhere(
        content, begin, rng, rng.bytes
    ),
}


def write_damaged(clips, folder, count, change):
    """Write `count` damaged copies of clips, which are given as bytes; return their paths."""
    paths = [folder / f"v_Damaged_g01_c{i:03}.avi" for i in range(count)]
    rng = np.random.default_rng(0)
    for i, path in enumerate(paths):
        content = bytearray(clips[i % len(clips)])
        path.write_bytes(change(content, content.index(b"movi") + 4, rng))
    return paths


# At most this many of 72 damaged clips give frames, in which the decoder conceals the damage. A
# check for damage that becomes less strict exceeds it.
READ_AT_MOST = dict(zip(DAMAGE, (69, 0, 69, 65, 24, 65, 58), strict=True))


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_clip_gives_frames_or_an_error(kind, intact, tmp_path, fault, daily_or_long):
    # The decoder takes longest for many flipped bits, and the limit is none at any count.
    count = 72 if READ_AT_MOST[kind] else daily_or_long(24, 72)
    n_read = expect_frames_or_error(write_damaged(intact, tmp_path, count, DAMAGE[kind]))
    print(f"{kind}: {n_read} of {count} give frames")
    assert n_read <= READ_AT_MOST[kind]
    fault("decoding", kind, FRAMES_OR_ERROR, count)


def test_a_file_without_frames_is_an_error(intact, tmp_path, fault):
    paths = write_damaged(
        [*intact, b"movi"], tmp_path, len(intact), lambda content, begin, rng: content[:begin]
    )
    empty = tmp_path / "v_Empty_g01_c01.avi"
    empty.write_bytes(b"")
    expect_errors([*paths, empty])
    fault("decoding", "header only, or empty", ERROR, len(intact) + 1)


# Files of other formats.


def write_all(contents, folder):
    """Write the values of a dictionary to files named like clips; return their paths."""
    paths = [folder / f"v_{name}_g01_c01.avi" for name in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        path.write_bytes(content)
    return paths


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "This is no video.\n" * 100)
    return file.getvalue()


def wav():
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 44_100, 0, "NONE", ""))
        sound.writeframes(np.random.default_rng(0).bytes(88_200))
    return file.getvalue()


def avi_of_sound(tmp_path):
    """Return the bytes of an AVI file whose only stream is declared to be sound."""
    samples = [np.random.default_rng(k).bytes(1764) for k in range(50)]
    path = write_avi(tmp_path / "sound.avi", samples, (0, 0), b"\0\0\0\0")
    content = path.read_bytes()
    position = content.index(b"strf") + 8
    wave_format = b"\x01\0\x01\0\x44\xac\0\0\x88\x58\x01\0\x02\0\x10\0"
    content = content[:position] + wave_format.ljust(40, b"\0") + content[position + 40 :]
    return content.replace(b"vids", b"auds").replace(b"00dc", b"01wb")


def test_another_format_is_an_error(tmp_path, fault):
    other = {
        "Text": b"This is no video.\n" * 100,
        "Page": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "Zip": zipped(),
        "Zeros": bytes(50_000),
        "Noise": np.random.default_rng(0).bytes(50_000),
    }
    expect_errors(write_all(other, tmp_path))
    fault("decoding", "text, a web page, a ZIP, zeros or noise, named .avi", ERROR, len(other))


def test_sound_alone_is_an_error(tmp_path, fault):
    sounds = {"Wav": wav(), "Avi": avi_of_sound(tmp_path)}
    expect_errors(write_all(sounds, tmp_path))
    fault("decoding", "sound only (WAV, AVI)", ERROR, len(sounds))


def test_a_video_is_read_in_the_format_of_its_content(tmp_path, fault):
    frames = list(puppets.draw_clip("PickUp", 1, 1))
    kinds = {"mp4": "mp4v", "mov": "mp4v", "mkv": "XVID", "webm": "VP80"}
    videos = {
        kind: write_coded(tmp_path / f"video.{kind}", frames, code).read_bytes()
        for kind, code in kinds.items()
    }
    paths = write_all(videos, tmp_path)
    for path, kind in zip(paths, kinds, strict=True):
        np.testing.assert_array_equal(decode_all(path), decode_all(tmp_path / f"video.{kind}"))
        assert len(decode_all(path)) == len(frames)
    assert expect_frames_or_error(paths) == len(paths)
    fault("decoding", "MP4, MOV, MKV or WebM, named .avi", ITS_FRAMES, len(paths))


def as_png(image):
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def as_jpeg(image, sampling="444"):
    """Return an image as JPEG, in grey or with a chroma subsampling (a key of `SAMPLING`)."""
    options = [cv2.IMWRITE_JPEG_QUALITY, 95]
    if sampling == "grey":
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    else:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SAMPLING[sampling]]
    return cv2.imencode(".jpg", image, options)[1].tobytes()


def test_an_image_is_a_clip_of_one_frame(tmp_path, fault):
    image = puppets.draw_clip("PickUp", 1, 1)[0]
    images = {"Png": as_png(image), "Jpeg": as_jpeg(image)}
    for path in write_all(images, tmp_path):
        frames = frames_from_video_file(path, 10, image.shape[:2])
        assert (frames == frames[0]).all() and np.abs(frames[0].astype(int) - image).mean() < 3
    fault("decoding", "an image (PNG, JPEG), named .avi", "the image, repeated", len(images))


# Unusual clips.


def noise(n_frames, height, width):
    """Return images of at most 4 x 4 blocks in random colours, which are easy to distinguish."""
    shape = (n_frames, min(4, height), min(4, width), 3)
    small = np.random.default_rng(height + width).integers(0, 256, shape, dtype=np.uint8)
    return [cv2.resize(image, (width, height), interpolation=cv2.INTER_NEAREST) for image in small]


@pytest.mark.parametrize(
    "tried, sizes, n_frames",
    [
        ("one frame", [(120, 160), (64, 64)], 1),
        (
            "odd sizes",
            [(17, 31), (33, 57), (2, 2), (1, 1), (1, 64), (64, 1), (18, 1001), (241, 321)],
            30,
        ),
        ("portrait", [(320, 180), (641, 360)], 30),
        ("4K", [(2160, 3840)], 3),
    ],
)
def test_unusual_clips_are_read(tmp_path, fault, tried, sizes, n_frames):
    paths = []
    for size in sizes:
        images = noise(n_frames, *size)
        indices = 10 + np.arange(10)
        if n_frames < 10:
            indices = np.linspace(0, n_frames - 1, 10).round().astype(int)
        expected = [letterbox(images[i], (64, 64)) for i in indices]
        # PNG is lossless, so each pixel can be compared.
        for code, encode in ((b"MPNG", as_png), (b"MJPG", as_jpeg)):
            path = tmp_path / f"v_A_g01_c{len(paths):02}.avi"
            paths.append(write_avi(path, map(encode, images), size, code))
            frames = frames_from_video_file(path, 10, (64, 64), 1, start="center")
            difference = np.abs(frames.astype(int) - expected)
            assert difference.max() == 0 if encode is as_png else difference.mean() < 4, path
    reports = read_in_process(paths, (64, 64))
    assert all(report.get("shape") == [10, 64, 64, 3] for report in reports)
    fault("decoding", tried, ITS_FRAMES, len(paths))


def vary_frame_rate(path):
    """Halve the durations in the second half of an MP4, by a second entry in its box "stts"."""
    content = path.read_bytes()
    position = content.rindex(b"stts") + 4
    count, duration = struct.unpack_from(">2I", content, position + 8)
    table = struct.pack(">6I", 0, 2, count // 2, duration, count - count // 2, duration // 2)
    content = bytearray(content[:position] + table + content[position + 16 :])
    for box in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts"):
        size = content.rindex(box) - 4
        struct.pack_into(">I", content, size, struct.unpack_from(">I", content, size)[0] + 8)
    path.write_bytes(content)


def write_varying(tmp_path):
    """Write videos of 60 numbered frames with varying durations; return their paths."""
    images = [draw_numbers(frame) for frame in range(60)]
    key_frames = write_video(tmp_path / "key_frames.avi", 60)
    changes = write_coded(tmp_path / "changes.avi", images)
    paths, rng = [], np.random.default_rng(0)
    for code, source in ((b"MJPG", key_frames), (b"XVID", changes)):
        for mean in (0.1, 0.3, 1):
            coded = []
            for frame in coded_frames(source):
                # Each empty frame prolongs the one before it.
                coded += [frame, *[b""] * int(rng.poisson(mean))]
            path = tmp_path / f"v_A_g01_c{len(paths):02}.avi"
            paths.append(write_avi(path, coded, (SIDE, SIDE), code))
            declared = cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT)
            assert declared == len(coded) > 60
    paths.append(write_coded(tmp_path / "video.mp4", images, "mp4v"))
    vary_frame_rate(paths[-1])
    assert cv2.VideoCapture(str(paths[-1])).get(cv2.CAP_PROP_FPS) > 30
    return paths


def test_frames_are_counted_not_timed(tmp_path, fault):
    paths = write_varying(tmp_path)
    for path in paths:
        for start in (0, 44, "center", "random"):
            frames = frames_from_video_file(path, 6, (SIDE, SIDE), 3, start=start, seed=1)
            assert frame_numbers(frames) == list(frame_indices(60, 6, 3, start, seed=1))
    fault("decoding", "variable frame rate", "its frames, counted rather than timed", len(paths))


@pytest.mark.parametrize("change", [1, 9])
def test_frames_are_right_after_a_change_of_pixel_format(tmp_path, fault, change):
    images = list(puppets.draw_clip("PickUp", 1, 1)[:20])
    colours = [("422", "420"), ("420", "422"), ("444", "420"), ("420", "444"), ("411", "444")]
    changes, paths = [*colours, ("grey", "420"), ("420", "grey")], []
    for before, after in changes:
        coded = [as_jpeg(image, before if i < change else after) for i, image in enumerate(images)]
        path = tmp_path / f"v_{before}to{after}_g01_c01.avi"
        paths.append(write_avi(path, coded, images[0].shape[:2]))
    assert expect_frames_or_error(paths) == len(paths)
    for path, (before, after) in zip(paths, changes, strict=True):
        frames = frames_from_video_file(path, 20, images[0].shape[:2], 1)
        for i, (frame, image) in enumerate(zip(frames, images, strict=True)):
            if (before if i < change else after) == "grey":
                image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
            assert np.abs(frame.astype(int) - image).mean() < 4, (path, i)
    when = "after the first frame" if change == 1 else "partway"
    tried = f"pixel format changes {when}, such as 4:2:2 to 4:2:0"
    fault("decoding", tried, "right frames", len(paths))


def test_a_wrong_number_of_frames_in_the_header_is_ignored(tmp_path, fault):
    declared = (0, 1, 39, 41, 60, 10_000, 2**31 - 1)
    for number in declared:
        path = patch_header(write_video(tmp_path / f"v_A_g01_c{number}.avi", 40), number)
        for start in (1, "center"):
            frames = frames_from_video_file(path, 10, (SIDE, SIDE), 4, start=start)
            assert frame_numbers(frames) == list(range(1, 40, 4))
    tried = "header that declares too many, too few or no frames"
    fault("decoding", tried, "its frames; the header is ignored", len(declared))


# Splits with unreadable clips.

UNREADABLE = ("A/v_A_g00_c01.avi", "C/v_C_g05_c01.avi")
MAKES = (ClipBatches, make_dataset)
SIZES = {"n_frames": 3, "batch_size": 2, "output_size": (SIDE, SIDE), "frame_step": 5}


@pytest.fixture
def split(tmp_path):
    """Six clips of three classes, two of which can't be read."""
    for clip in range(6):
        class_name = "ABC"[clip % 3]
        name = f"v_{class_name}_g{clip:02d}_c01.avi"
        write_video(tmp_path / "split" / class_name / name, 30, clip)
    for name in UNREADABLE:
        file = tmp_path / "split" / name
        file.write_bytes(file.read_bytes()[:500])
    return tmp_path / "split"


def cache_locations(tmp_path):
    return [None, "memory", tmp_path / "cache"]


def all_cases(tmp_path):
    return list(itertools.product(MAKES, cache_locations(tmp_path), (False, True)))


def test_reading_stops_at_the_first_unreadable_clip(split, tmp_path, fault):
    cases = all_cases(tmp_path)
    for make, cache, training in cases:
        # TensorFlow adds text before and after the message.
        message = f"{split}/({'|'.join(UNREADABLE)}) .*again"
        with pytest.raises((VideoReadError, tf.errors.OpError), match=message):
            list(make(split, training=training, cache=cache, **SIZES))
    tried = 'unreadable clips, unreadable="stop"'
    fault("decoding", tried, "error at the first one: names the file", len(cases))


def test_unreadable_clips_are_left_out_and_listed(split, tmp_path, fault):
    cases = all_cases(tmp_path)
    for make, cache, training in cases:
        with pytest.warns(UserWarning, match="^2 of 6 clips are left out:\n") as warned:
            batches = make(split, training=training, cache=cache, unreadable="leave out", **SIZES)
        assert [file for file, _ in batches.left_out] == [split / name for name in UNREADABLE]
        (message,) = [str(each.message) for each in warned if "left out" in str(each.message)]
        assert message.splitlines()[1:] == [reason for _, reason in batches.left_out]
        labels = np.concatenate([np.asarray(labels) for _, labels in batches]).tolist()
        assert sorted(labels) == [0, 1, 1, 2] and batches.class_names == ["A", "B", "C"]
    tried = 'unreadable clips, unreadable="leave out"'
    fault("decoding", tried, "left out, and listed with the reasons", len(cases))


def test_a_clip_is_left_out_if_only_some_starts_are_unreadable(intact, tmp_path):
    split = tmp_path / "split"
    files = [split / "A" / f"v_A_g{group:02d}_c01.avi" for group in range(2)]
    first, *others = coded_frames(write_coded(files[0], list(puppets.draw_clip("PickUp", 1, 1))))
    head = first[: first.index(b"\0\0\1\xb6") + 16]
    write_avi(files[0], [head + bytes(len(first) - len(head)), *others], (180, 240), b"XVID")
    files[1].write_bytes(intact[0])
    choice = SIZES | {"training": True, "unreadable": "leave out"}
    for cache in cache_locations(tmp_path):
        for seed in range(3):
            with pytest.warns(UserWarning, match="1 of 2 clips"):
                batches = ClipBatches(split, seed=seed, cache=cache, **choice)
            assert batches.files == list_clips(split)[0][1:]
