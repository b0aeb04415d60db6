"""Faults injected into video files, and the results of reading them: rows of `faults.Table`."""

import io
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
from helpers.pipeline import make_dataset
from helpers.video import (
    VideoReadError,
    frame_indices,
    frames_from_video_file,
    letterbox,
    list_clips,
)

FRAMES_OR_ERROR = "frames, or an error that names the file; no frame of one colour"
ITS_FRAMES = "its frames"
ERROR = "error: names the file"

# A program of its own reads the clips: a crash of the decoder would be that program's, and it can
# be given a time limit.
READ = """
import json, sys
from helpers.video import VideoReadError, frames_from_video_file

size, paths = json.load(sys.stdin)
for path in paths:
    try:
        frames = frames_from_video_file(path, 10, size, 5, start="center")
    except VideoReadError as error:
        told = {"error": str(error)}
    else:
        spreads = frames.std(axis=(1, 2)).max(axis=-1)
        told = {"shape": frames.shape, "dtype": str(frames.dtype)}
        told |= {"spread": float(spreads.min()), "brightest": int(frames.max(axis=(1, 2, 3)).min())}
    print(json.dumps(told), flush=True)
"""
LIMIT = 300
SAMPLING = {
    name: getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{name}")
    for name in ("444", "422", "420", "411")
}


def read_apart(paths, size=(180, 240)):
    """Read clips in a separate process; return its report. A crash or hang names the clip."""
    job = json.dumps([size, [str(path) for path in paths]])
    program = subprocess.Popen(
        [sys.executable, "-c", READ],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        said, errors = program.communicate(job, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        program.kill()
        said, errors = program.communicate()
    told = [json.loads(line) for line in said.splitlines()]
    assert len(told) == len(paths), (
        f"{paths[len(told)]}: the program ended with {program.returncode}\n{errors[-2000:]}"
    )
    return told


def expect_frames_or_error(paths, size=(180, 240)):
    """Assert that each clip gives good frames or an error that names it; count the former."""
    read = 0
    for path, told in zip(paths, read_apart(paths, size), strict=True):
        if "error" in told:
            told = told["error"]
            assert told.startswith(f"{path} ") and "again" in told and "\n" not in told, told
        else:
            assert (told["shape"], told["dtype"]) == ([10, *size, 3], "uint8"), (path, told)
            assert told["spread"] > 4 and told["brightest"] > 60, (path, told)
            read += 1
    return read


def expect_errors(paths):
    assert expect_frames_or_error(paths) == 0


# Damage.


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of three puppets' clips, as Motion JPEG and with key frames, as in UCF101."""
    folder = tmp_path_factory.mktemp("whole")
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
    for place in rng.integers(begin, end, size=count):
        content[place] ^= 1 << int(rng.integers(8))
    return content


def overwrite(content, begin, rng, make):
    end = min(len(content), begin + int(rng.integers(100, len(content) // 3)))
    content[begin:end] = make(end - begin)
    return content


def somewhere(content, frames, rng):
    return int(rng.integers(frames, len(content) - 100))


# What each does to a file's bytes, of which the frames' begin somewhere, with the help of random
# numbers.
DAMAGE = {
    "a few bits flipped": lambda content, frames, rng: flip(content, frames, len(content), 5, rng),
    "many bits flipped": lambda content, frames, rng: flip(content, frames, len(content), 400, rng),
    "bits flipped in the header": lambda content, frames, rng: flip(content, 0, frames, 5, rng),
    "cut at a random place": lambda content, frames, rng: content[
        : int(rng.integers(len(content)))
    ],
    "first frames zeroed": lambda content, frames, rng: overwrite(content, frames, rng, bytes),
    "a stretch zeroed": lambda content, frames, rng: overwrite(
        content, somewhere(content, frames, rng), rng, bytes
    ),
    "a stretch overwritten": lambda content, frames, rng: overwrite(
        content, somewhere(content, frames, rng), rng, rng.bytes
    ),
}


def write_damaged(clips, folder, count, change):
    """Write so many damaged copies of clips, which are given as bytes; return their paths."""
    paths = [folder / f"v_Damaged_g01_c{i:03}.avi" for i in range(count)]
    rng = np.random.default_rng(0)
    for i, path in enumerate(paths):
        content = bytearray(clips[i % len(clips)])
        path.write_bytes(change(content, content.index(b"movi") + 4, rng))
    return paths


# How many of 72 damaged clips give frames, concealed by the decoder as well as it can. Never more:
# a rule that is loosened shows here.
READ_AT_MOST = dict(zip(DAMAGE, (69, 0, 69, 65, 24, 65, 58), strict=True))


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_clip_gives_frames_or_an_error(kind, whole, tmp_path, fault):
    count = 72
    read = expect_frames_or_error(write_damaged(whole, tmp_path, count, DAMAGE[kind]))
    print(f"{kind}: {read} of {count} give frames")
    assert read <= READ_AT_MOST[kind]
    fault("decoding", kind, FRAMES_OR_ERROR, count)


def test_a_file_without_frames_is_an_error(whole, tmp_path, fault):
    paths = write_damaged(
        [*whole, b"movi"], tmp_path, len(whole), lambda content, frames, rng: content[:frames]
    )
    empty = tmp_path / "v_Empty_g01_c01.avi"
    empty.write_bytes(b"")
    expect_errors([*paths, empty])
    fault("decoding", "header only, or empty", ERROR, len(whole) + 1)


# Something else.


def write_all(contents, folder):
    """Write contents, given by name, as files that are named like clips; return their paths."""
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
    """Return an AVI whose only stream is said to be sound."""
    path = write_avi(
        tmp_path / "sound.avi",
        [np.random.default_rng(k).bytes(1764) for k in range(50)],
        (0, 0),
        b"\0\0\0\0",
    )
    picture = path.read_bytes().index(b"strf") + 8
    form = b"\x01\0\x01\0\x44\xac\0\0\x88\x58\x01\0\x02\0\x10\0"
    content = path.read_bytes()
    content = content[:picture] + form.ljust(40, b"\0") + content[picture + 40 :]
    return content.replace(b"vids", b"auds").replace(b"00dc", b"01wb")


def test_another_format_is_an_error(tmp_path, fault):
    noise = np.random.default_rng(0).bytes(50_000)
    text, page = (
        b"This is no video.\n" * 100,
        b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    )
    other = {"Text": text, "Page": page, "Zip": zipped(), "Zeros": bytes(50_000), "Noise": noise}
    expect_errors(write_all(other, tmp_path))
    fault("decoding", "text, a web page, a ZIP, zeros or noise, named .avi", ERROR, len(other))


def test_sound_alone_is_an_error(tmp_path, fault):
    sounds = {"Wav": wav(), "Avi": avi_of_sound(tmp_path)}
    expect_errors(write_all(sounds, tmp_path))
    fault("decoding", "sound only (WAV, AVI)", ERROR, len(sounds))


def test_another_kind_of_video_is_read_for_what_it_is(tmp_path, fault):
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
    """Return an image as JPEG with a chroma subsampling ("444", "422", "420", "411") or "grey"."""
    if sampling == "grey":
        image, how = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), ()
    else:
        image, how = (
            cv2.cvtColor(image, cv2.COLOR_RGB2BGR),
            (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SAMPLING[sampling]),
        )
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95, *how])[1].tobytes()


def test_a_picture_is_a_clip_of_one_frame(tmp_path, fault):
    image = puppets.draw_clip("PickUp", 1, 1)[0]
    pictures = {"Png": as_png(image), "Jpeg": as_jpeg(image)}
    for path in write_all(pictures, tmp_path):
        frames = frames_from_video_file(path, 10, image.shape[:2])
        assert (frames == frames[0]).all() and np.abs(frames[0].astype(int) - image).mean() < 3
    fault(
        "decoding",
        "a picture (PNG, JPEG), named .avi",
        "the picture, again and again",
        len(pictures),
    )


# Unusual clips.


def noise(n_frames, height, width):
    """Return images that are easily told apart; 4 x 4 blocks where they are large."""
    small = np.random.default_rng(height + width).integers(
        0, 256, (n_frames, min(4, height), min(4, width), 3), dtype=np.uint8
    )
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
        # PNG loses nothing, so that each pixel can be compared.
        for code, encode in ((b"MPNG", as_png), (b"MJPG", as_jpeg)):
            paths.append(
                write_avi(
                    tmp_path / f"v_A_g01_c{len(paths):02}.avi", map(encode, images), size, code
                )
            )
            shown = (
                np.linspace(0, n_frames - 1, 10).round().astype(int)
                if n_frames < 10
                else 10 + np.arange(10)
            )
            frames = frames_from_video_file(paths[-1], 10, (64, 64), 1, start="center")
            difference = np.abs(
                frames.astype(int) - [letterbox(images[i], (64, 64)) for i in shown]
            )
            assert difference.max() == 0 if encode is as_png else difference.mean() < 4, paths[-1]
    assert all(told.get("shape") == [10, 64, 64, 3] for told in read_apart(paths, (64, 64)))
    fault("decoding", tried, ITS_FRAMES, len(paths))


def vary_frame_rate(path):
    """Halve the duration of the second half of an MP4's frames by an entry in its box "stts"."""
    content = path.read_bytes()
    place = content.rindex(b"stts") + 4
    count, duration = struct.unpack_from(">2I", content, place + 8)
    table = struct.pack(">6I", 0, 2, count // 2, duration, count - count // 2, duration // 2)
    content = bytearray(content[:place] + table + content[place + 16 :])
    for box in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts"):
        size = content.rindex(box) - 4
        struct.pack_into(">I", content, size, struct.unpack_from(">I", content, size)[0] + 8)
    path.write_bytes(content)


def write_varying(tmp_path):
    """Write videos of 60 numbered frames with varying durations; return their paths."""
    images = [draw_numbers(frame) for frame in range(60)]
    by_itself, changes = (
        write_video(tmp_path / "itself.avi", 60),
        write_coded(tmp_path / "changes.avi", images),
    )
    paths, rng = [], np.random.default_rng(0)
    for code, source in ((b"MJPG", by_itself), (b"XVID", changes)):
        for share in (0.1, 0.3, 1):
            # An empty frame makes the one before it stay.
            varying = [
                part
                for frame in coded_frames(source)
                for part in (frame, *[b""] * int(rng.poisson(share)))
            ]
            paths.append(
                write_avi(tmp_path / f"v_A_g01_c{len(paths):02}.avi", varying, (SIDE, SIDE), code)
            )
            assert (
                cv2.VideoCapture(str(paths[-1])).get(cv2.CAP_PROP_FRAME_COUNT) == len(varying) > 60
            )
    paths.append(write_coded(tmp_path / "video.mp4", images, "mp4v"))
    vary_frame_rate(paths[-1])
    assert cv2.VideoCapture(str(paths[-1])).get(cv2.CAP_PROP_FPS) > 30
    return paths


def test_frames_are_counted_not_timed(tmp_path, fault):
    paths = write_varying(tmp_path)
    for path in paths:
        for start in (0, 44, "center", "random"):
            chosen = frame_numbers(
                frames_from_video_file(path, 6, (SIDE, SIDE), 3, start=start, seed=1)
            )
            assert chosen == list(frame_indices(60, 6, 3, start, seed=1))
    fault("decoding", "variable frame rate", "its frames, by their numbers", len(paths))


@pytest.mark.parametrize("change", [1, 9])
def test_frames_are_right_where_the_pixel_format_changes(tmp_path, fault, change):
    images = list(puppets.draw_clip("PickUp", 1, 1)[:20])
    colours = [("422", "420"), ("420", "422"), ("444", "420"), ("420", "444"), ("411", "444")]
    changes, paths = [*colours, ("grey", "420"), ("420", "grey")], []
    for before, after in changes:
        coded = [as_jpeg(image, before if i < change else after) for i, image in enumerate(images)]
        paths.append(
            write_avi(tmp_path / f"v_{before}to{after}_g01_c01.avi", coded, images[0].shape[:2])
        )
    assert expect_frames_or_error(paths) == len(paths)
    for path, (before, after) in zip(paths, changes, strict=True):
        frames = frames_from_video_file(path, 20, images[0].shape[:2], 1)
        for i, (frame, image) in enumerate(zip(frames, images, strict=True)):
            if (before if i < change else after) == "grey":
                image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
            assert np.abs(frame.astype(int) - image).mean() < 4, (path, i)
    when = "after the first frame" if change == 1 else "on the way"
    fault(
        "decoding",
        f"pixel format changes {when}, such as 4:2:2 to 4:2:0",
        "right frames",
        len(paths),
    )


def test_a_header_that_counts_wrong_is_not_believed(tmp_path, fault):
    declared = (0, 1, 39, 41, 60, 10_000, 2**31 - 1)
    for number in declared:
        path = patch_header(write_video(tmp_path / f"v_A_g01_c{number}.avi", 40), number)
        for start in (1, "center"):
            assert frame_numbers(
                frames_from_video_file(path, 10, (SIDE, SIDE), 4, start=start)
            ) == list(range(1, 40, 4))
    fault(
        "decoding",
        "header that counts too many frames, too few or none",
        "its frames; what decodes counts",
        len(declared),
    )


# Clips that can't be read, among others.

UNREADABLE = ("A/v_A_g00_c01.avi", "C/v_C_g05_c01.avi")
MAKES = (ClipBatches, make_dataset)
SIZES = {"n_frames": 3, "batch_size": 2, "output_size": (SIDE, SIDE), "frame_step": 5}


@pytest.fixture
def split(tmp_path):
    """Six clips of three classes, two of which can't be read."""
    for clip in range(6):
        class_name = "ABC"[clip % 3]
        write_video(
            tmp_path / "split" / class_name / f"v_{class_name}_g{clip:02d}_c01.avi", 30, clip
        )
    for name in UNREADABLE:
        file = tmp_path / "split" / name
        file.write_bytes(file.read_bytes()[:500])
    return tmp_path / "split"


def places(tmp_path):
    return [None, "memory", tmp_path / "cache"]


def test_reading_stops_at_the_first_clip_that_cannot_be_read(split, tmp_path, fault):
    cases = [
        (make, cache, training)
        for make in MAKES
        for cache in places(tmp_path)
        for training in (False, True)
    ]
    for make, cache, training in cases:
        # TensorFlow puts its own words before and after.
        with pytest.raises(
            (VideoReadError, tf.errors.OpError), match=f"{split}/({'|'.join(UNREADABLE)}) .*again"
        ):
            list(make(split, training=training, cache=cache, **SIZES))
    fault(
        "decoding",
        'unreadable clips, unreadable="stop"',
        "error at the first: names the file",
        len(cases),
    )


def test_clips_that_cannot_be_read_are_left_out_and_listed(split, tmp_path, fault):
    cases = [
        (make, cache, training)
        for make in MAKES
        for cache in places(tmp_path)
        for training in (False, True)
    ]
    for make, cache, training in cases:
        with pytest.warns(UserWarning, match="^2 of 6 clips are left out:\n") as warned:
            batches = make(split, training=training, cache=cache, unreadable="leave out", **SIZES)
        assert [file for file, _ in batches.left_out] == [split / name for name in UNREADABLE]
        (message,) = [str(each.message) for each in warned if "left out" in str(each.message)]
        assert message.splitlines()[1:] == [reason for _, reason in batches.left_out]
        labels = np.concatenate([np.asarray(labels) for _, labels in batches]).tolist()
        assert sorted(labels) == [0, 1, 1, 2] and batches.class_names == ["A", "B", "C"]
    fault(
        "decoding",
        'unreadable clips, unreadable="leave out"',
        "left out, and listed with the reasons",
        len(cases),
    )


def test_a_clip_is_left_out_for_what_some_starts_would_meet(whole, tmp_path):
    files = [tmp_path / "A" / f"v_A_g{group:02d}_c01.avi" for group in range(2)]
    first, *others = coded_frames(write_coded(files[0], list(puppets.draw_clip("PickUp", 1, 1))))
    head = first[: first.index(b"\0\0\1\xb6") + 16]
    write_avi(files[0], [head + bytes(len(first) - len(head)), *others], (180, 240), b"XVID")
    files[1].write_bytes(whole[0])
    for cache in places(tmp_path):
        for seed in range(3):
            with pytest.warns(UserWarning, match="1 of 2 clips"):
                batches = ClipBatches(
                    tmp_path, training=True, seed=seed, cache=cache, unreadable="leave out", **SIZES
                )
            assert batches.files == list_clips(tmp_path)[0][1:]
