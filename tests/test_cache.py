"""A cache changes only the speed."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, SIDE, clip_number, frame_numbers, write_video
from test_video import patch_header

from helpers import cache, video
from helpers.cache import FrameCache, cached_indices
from helpers.video import VideoReadError, frame_indices, frames_from_video_file

SIZES = {"n_frames": 3, "output_size": (SIDE, SIDE), "frame_step": 5}
SPAN = 11
SEEDS = (0, 1, (2, 3), 4)
WIDE = {"output_size": (48, 80)}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Clips of one, too few, just enough and many frames, each with right and wrong headers."""
    folder = tmp_path_factory.mktemp("clips")
    files = []
    for length in (1, 5, SPAN, 40):
        for clip, declared in enumerate((length, length + 20, length * 2 // 3, 0)):
            name = f"v_A_g{length:02d}_c{clip:02d}.avi"
            files.append(patch_header(write_video(folder / name, length, clip), declared))
    return files


@pytest.fixture
def clip(tmp_path):
    return write_video(tmp_path / "clips" / "v_A_g01_c01.avi", 40, clip=1)


@pytest.fixture(params=["memory", "disk"])
def location(request, tmp_path):
    return "memory" if request.param == "memory" else tmp_path / "cache"


@pytest.fixture
def decoded(monkeypatch):
    """The clips that were decoded, in order."""
    paths, read_frames = [], video.read_frames

    def read(path, *args, **kwargs):
        paths.append(path)
        return read_frames(path, *args, **kwargs)

    monkeypatch.setattr(video, "read_frames", read)
    return paths


def forbid_decoding(monkeypatch):
    def read(path, *args, **kwargs):
        raise AssertionError(f"{path} is decoded")

    monkeypatch.setattr(video, "read_frames", read)


def entry_of(folder):
    """Return the only file in a cache."""
    (file,) = pathlib.Path(folder).glob("*/*.frames")
    return file


def expect_same(frames, expected):
    assert frames.dtype == np.uint8 and frames.shape == expected.shape
    np.testing.assert_array_equal(frames, expected)


# The same frames.


@pytest.mark.parametrize("start_step", [1, 5, 7])
@pytest.mark.parametrize("start", ["random", "center"])
def test_reading_returns_the_frames_that_decoding_returns(
    clips, location, start, start_step, monkeypatch
):
    choice = SIZES | {"start": start, "start_step": start_step}
    expected = {
        (clip, seed): frames_from_video_file(clip, seed=seed, **choice)
        for clip in clips
        for seed in SEEDS
    }
    frame_cache = FrameCache(location, **choice)
    for (clip, seed), frames in expected.items():
        expect_same(frame_cache.read(clip, seed), frames)
    forbid_decoding(monkeypatch)
    for (clip, seed), frames in expected.items():
        expect_same(frame_cache.read(clip, seed), frames)


READ_CACHED = """
import sys
import numpy as np
from helpers import video
from helpers.cache import FrameCache

del video.read_frames
location, target, *clips = sys.argv[1:]
frame_cache = FrameCache(location, {n_frames}, {output_size}, {frame_step})
np.save(target, [frame_cache.read(clip, 7) for clip in clips])
"""


def test_another_process_uses_the_files_on_disk(clips, tmp_path):
    expected = [frames_from_video_file(clip, seed=7, **SIZES) for clip in clips]
    first = FrameCache(tmp_path / "cache", **SIZES)
    for clip in clips:
        first.read(clip, 0)
    arguments = [tmp_path / "cache", tmp_path / "frames.npy", *clips]
    command = [sys.executable, "-c", READ_CACHED.format(**SIZES), *arguments]
    subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True, timeout=120)
    expect_same(np.load(tmp_path / "frames.npy"), np.array(expected))


@pytest.mark.parametrize("as_text", [False, True])
def test_another_object_uses_the_files_on_disk(clips, tmp_path, as_text, monkeypatch):
    expected = [frames_from_video_file(clip, seed=7, **SIZES) for clip in clips]
    first = FrameCache(tmp_path, **SIZES)
    for clip in clips:
        first.read(clip, 0)
    forbid_decoding(monkeypatch)
    second = FrameCache(str(tmp_path) if as_text else tmp_path, **SIZES)
    for clip, frames in zip(clips, expected, strict=True):
        expect_same(second.read(str(clip) if as_text else clip, 7), frames)


def test_a_clip_is_decoded_once_for_all_starts(clip, location, decoded):
    frame_cache = FrameCache(location, **SIZES)
    firsts = {frame_numbers(frame_cache.read(clip, seed))[0] for seed in range(300)}
    assert firsts == set(range(30)) and decoded == [clip]


def test_padding_is_restored_though_it_is_not_stored(clip, location):
    expected = frames_from_video_file(clip, seed=1, **SIZES | WIDE)
    frame_cache = FrameCache(location, **SIZES | WIDE)
    expect_same(frame_cache.read(clip, 1), expected)
    expect_same(frame_cache.read(clip, 1), expected)
    if location != "memory":
        stored = len(cached_indices(40, 3, 5)) * 48 * 48 * 3
        assert stored < entry_of(location).stat().st_size < stored + 5000


def test_changing_returned_frames_leaves_the_cache_unchanged(clip, location):
    frame_cache = FrameCache(location, **SIZES)
    expected = frame_cache.read(clip, 1).copy()
    for _ in range(2):
        frames = frame_cache.read(clip, 1)
        expect_same(frames, expected)
        frames[:] = 0


@pytest.mark.parametrize("start_step", [1, 5, 7])
@pytest.mark.parametrize("n_frames, frame_step", [(1, 1), (1, 5), (3, 1), (3, 5), (4, 2)])
@pytest.mark.parametrize("length", [1, 2, 3, 5, 10, 11, 12, 17, 40])
def test_the_frames_of_all_possible_starts_are_stored_and_no_others(
    length, n_frames, frame_step, start_step
):
    sizes = length, n_frames, frame_step
    stored = cached_indices(*sizes, "random", start_step).tolist()
    starts = range(0, max(length - 1 - (n_frames - 1) * frame_step, 0) + 1, start_step)
    needed = [frame_indices(*sizes, start) for start in starts]
    drawn = [frame_indices(*sizes, "random", seed, start_step) for seed in range(400)]
    assert stored == np.unique(needed).tolist() == np.unique(drawn).tolist()
    centre = cached_indices(*sizes, "center", start_step).tolist()
    assert centre == np.unique(frame_indices(*sizes, "center")).tolist()


# Frames are used only for the clip and the settings that they were made from.


@pytest.mark.parametrize("reuse", [False, True])
def test_another_clip_under_the_same_name_is_decoded(clip, location, reuse):
    first = FrameCache(location, **SIZES)
    assert clip_number(first.read(clip, 1)) == 1
    write_video(clip, 30, clip=2)
    frame_cache = first if reuse else FrameCache(location, **SIZES)
    expect_same(frame_cache.read(clip, 1), frames_from_video_file(clip, seed=1, **SIZES))
    assert clip_number(frame_cache.read(clip, 1)) == 2


def test_another_clip_of_the_same_name_size_and_time_is_decoded(clip, tmp_path):
    other = write_video(tmp_path / "other.avi", 40, clip=2)
    size = max(clip.stat().st_size, other.stat().st_size)
    for file in (clip, other):
        file.write_bytes(file.read_bytes().ljust(size, b"\0"))
    before = clip.stat()
    assert clip_number(FrameCache(tmp_path / "cache", **SIZES).read(clip, 1)) == 1
    clip.write_bytes(other.read_bytes())
    os.utime(clip, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (clip.stat().st_mtime_ns, clip.stat().st_size) == (before.st_mtime_ns, before.st_size)
    assert clip_number(FrameCache(tmp_path / "cache", **SIZES).read(clip, 1)) == 2


def test_a_cache_in_use_notices_another_size_at_the_same_time(clip, location):
    frame_cache = FrameCache(location, **SIZES)
    frame_cache.read(clip, 1)
    before = clip.stat()
    write_video(clip, 30, clip=2)
    os.utime(clip, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert clip.stat().st_size != before.st_size
    assert clip_number(frame_cache.read(clip, 1)) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"n_frames": 4},
        {"output_size": (32, 64)},
        {"frame_step": 4},
        {"start": "center"},
        {"start_step": 5},
    ],
    ids=str,
)
def test_other_settings_decode_again_and_both_are_kept(clip, tmp_path, other, decoded):
    for choice, times in ((SIZES, 1), (SIZES | other, 2), (SIZES, 2), (SIZES | other, 2)):
        frames = FrameCache(tmp_path / "cache", **choice).read(clip, 3)
        assert len(decoded) == times
        decoded_now = len(decoded)
        expect_same(frames, frames_from_video_file(clip, seed=3, **choice))
        del decoded[decoded_now:]


def test_another_opencv_decodes_again(clip, tmp_path, decoded, monkeypatch):
    FrameCache(tmp_path / "cache", **SIZES).read(clip)
    monkeypatch.setattr(cache.cv2, "__version__", "4.0.0")
    FrameCache(tmp_path / "cache", **SIZES).read(clip)
    assert len(decoded) == 2


@pytest.mark.parametrize("module", [video, cache], ids=["video", "cache"])
def test_other_code_decodes_again(clip, tmp_path, module, decoded, monkeypatch):
    FrameCache(tmp_path / "cache", **SIZES).read(clip)
    changed = tmp_path / "changed.py"
    changed.write_text(pathlib.Path(module.__file__).read_text() + "CHANGED = True\n")
    monkeypatch.setattr(module, "__file__", str(changed))
    FrameCache(tmp_path / "cache", **SIZES).read(clip)
    assert len(decoded) == 2


def test_an_entry_moved_to_another_folder_is_not_used(clip, tmp_path, decoded):
    first = FrameCache(tmp_path / "cache", **SIZES)
    second = FrameCache(tmp_path / "cache", **SIZES | {"frame_step": 4})
    first.read(clip)
    entry = entry_of(tmp_path / "cache")
    second.folder.mkdir()
    (second.folder / entry.name).write_bytes(entry.read_bytes())
    frames = second.read(clip, 3)
    assert len(decoded) == 2
    expect_same(frames, frames_from_video_file(clip, seed=3, **SIZES | {"frame_step": 4}))


# Damaged files are replaced.


def flip(content, position):
    content = bytearray(content)
    content[position] ^= 1
    return bytes(content)


def frames_begin(content):
    return content.index(b"]}\n") + 3


def in_json(content):
    return content.index(b"made_from") + 3


HEADER = {
    "checksum": lambda content: flip(content, 3),
    "JSON": lambda content: flip(content, in_json(content)),
    "JSON's last byte": lambda content: flip(content, frames_begin(content) - 2),
    "end of the first line": lambda content: flip(content, content.index(b"\n")),
    "end of the second line": lambda content: flip(content, frames_begin(content) - 1),
}
FRAMES = {
    "frames' first byte": lambda content: flip(content, frames_begin(content)),
    "frames": lambda content: flip(content, -SIDE * SIDE * 4),
    "frames' last byte": lambda content: flip(content, -1),
    "cut in the checksum": lambda content: content[:5],
    "cut in the JSON": lambda content: content[: in_json(content)],
    "cut after the JSON": lambda content: content[: frames_begin(content)],
    "cut in the frames": lambda content: content[: -SIDE * SIDE * 4],
    "cut by a byte": lambda content: content[:-1],
    "emptied": lambda content: b"",
    "garbage": lambda content: np.random.default_rng(0).bytes(len(content)),
    "zeros": lambda content: bytes(len(content)),
    "deleted": None,
}


def break_entry(entry, damage):
    if damage is None:
        entry.unlink()
    else:
        broken = damage(entry.read_bytes())
        assert broken != entry.read_bytes()
        entry.write_bytes(broken)


@pytest.mark.parametrize("damage", (HEADER | FRAMES).values(), ids=(HEADER | FRAMES).keys())
@pytest.mark.parametrize("reuse", [False, True])
def test_a_damaged_file_is_replaced(clip, tmp_path, damage, reuse, decoded):
    choice = SIZES | {"start": "center"}  # each read then uses all stored frames
    first = FrameCache(tmp_path / "cache", **choice)
    expected = first.read(clip).copy()
    entry = entry_of(tmp_path / "cache")
    intact = entry.read_bytes()
    break_entry(entry, damage)
    frame_cache = first if reuse else FrameCache(tmp_path / "cache", **choice)
    expect_same(frame_cache.read(clip), expected)
    if reuse and damage in HEADER.values():
        # The header is in memory already; another process reads it from the file.
        assert len(decoded) == 1
        expect_same(FrameCache(tmp_path / "cache", **choice).read(clip), expected)
    assert len(decoded) == 2 and entry.read_bytes() == intact
    expect_same(first.read(clip), expected)
    assert len(decoded) == 2


def test_a_file_with_an_added_byte_is_replaced(clip, tmp_path, decoded):
    expected = FrameCache(tmp_path / "cache", **SIZES).read(clip, 2)
    entry = entry_of(tmp_path / "cache")
    intact = entry.read_bytes()
    entry.write_bytes(intact + b"\0")
    expect_same(FrameCache(tmp_path / "cache", **SIZES).read(clip, 2), expected)
    assert len(decoded) == 2 and entry.read_bytes() == intact


def test_no_flipped_byte_leads_to_wrong_frames(clip, tmp_path):
    choice = SIZES | {"start": "center"}
    expected = FrameCache(tmp_path / "cache", **choice).read(clip).copy()
    entry = entry_of(tmp_path / "cache")
    intact = entry.read_bytes()
    begin, end = frames_begin(intact), len(intact)
    for position in [*range(12), *range(12, begin, 17), *range(begin, end, 3001)]:
        for bit in (1, 32):
            broken = bytearray(intact)
            broken[position] ^= bit
            entry.write_bytes(broken)
            expect_same(FrameCache(tmp_path / "cache", **choice).read(clip), expected)


def test_a_temporary_file_of_a_killed_process_is_not_used_and_is_removed(clip, tmp_path):
    expected = frames_from_video_file(clip, seed=1, **SIZES)
    FrameCache(tmp_path / "other", **SIZES).read(clip)
    entry = entry_of(tmp_path / "other")
    for content in (entry.read_bytes(), entry.read_bytes()[:5000], b""):
        frame_cache = FrameCache(tmp_path / "cache", **SIZES)
        temp_path = frame_cache.folder / f".temp{entry.suffix}"
        temp_path.parent.mkdir(parents=True)
        temp_path.write_bytes(content)
        expect_same(frame_cache.read(clip, 1), expected)
        assert not temp_path.exists()
        (tmp_path / "cache").rename(tmp_path / f"done{len(content)}")


def test_a_deleted_file_of_a_changed_clip_is_written_from_the_new_clip(clip, tmp_path):
    other = write_video(tmp_path / "other.avi", 30, clip=2)
    size = max(clip.stat().st_size, other.stat().st_size)
    for file in (clip, other):
        file.write_bytes(file.read_bytes().ljust(size, b"\0"))
    before, frame_cache = clip.stat(), FrameCache(tmp_path / "cache", **SIZES)
    frame_cache.read(clip, 1)
    clip.write_bytes(other.read_bytes())
    os.utime(clip, ns=(before.st_atime_ns, before.st_mtime_ns))
    entry_of(tmp_path / "cache").unlink()
    for seed in range(20):
        expect_same(frame_cache.read(clip, seed), frames_from_video_file(clip, seed=seed, **SIZES))


def test_a_deleted_folder_is_created_again(clip, tmp_path):
    frame_cache = FrameCache(tmp_path / "cache", **SIZES)
    expected = frame_cache.read(clip, 1).copy()
    (tmp_path / "cache").rename(tmp_path / "away")
    expect_same(frame_cache.read(clip, 1), expected)
    assert entry_of(tmp_path / "cache").read_bytes() == entry_of(tmp_path / "away").read_bytes()


# Clips and folders that can't be read or written.


def test_the_error_for_a_deleted_clip_names_it(clip, location):
    frame_cache = FrameCache(location, **SIZES)
    frame_cache.read(clip)
    clip.unlink()
    for each in (frame_cache, FrameCache(location, **SIZES)):
        with pytest.raises(VideoReadError, match=f"^{clip} .*again"):
            each.read(clip)


def test_an_undecodable_clip_is_named_each_time_and_not_stored(clip, location, tmp_path):
    clip.write_bytes(clip.read_bytes()[:300])
    frame_cache = FrameCache(location, **SIZES)
    for _ in range(2):
        with pytest.raises(VideoReadError, match=f"^{clip} .*again"):
            frame_cache.read(clip)
    assert not list(tmp_path.glob("cache/*/*.frames"))


def test_a_repaired_clip_is_read(clip, location):
    content = clip.read_bytes()
    clip.write_bytes(content[:300])
    frame_cache = FrameCache(location, **SIZES)
    with pytest.raises(VideoReadError):
        frame_cache.read(clip)
    clip.write_bytes(content)
    expect_same(frame_cache.read(clip, 1), frames_from_video_file(clip, seed=1, **SIZES))


def test_the_error_for_a_folder_that_cannot_be_written_does_not_name_the_clip(clip, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match=str(tmp_path / "file")) as raised:
        FrameCache(tmp_path / "file", **SIZES).read(clip)
    assert not isinstance(raised.value, VideoReadError) and str(clip) not in str(raised.value)


@pytest.mark.parametrize("declared", [40, 60, 20])
def test_parts_of_a_file_are_clips_of_their_own(tmp_path, location, declared):
    path = patch_header(write_video(tmp_path / "a.avi", 40), declared)
    for options in (
        {"bounds": (0, 20)},
        {"bounds": (20, 40)},
        {"bounds": (20, 24), "frame_step": 1},
        {"bounds": (20, 40), "frame_step": 2},
        {},
    ):
        for seed in SEEDS:
            sizes = SIZES | {name: value for name, value in options.items() if name != "bounds"}
            expected = frames_from_video_file(
                path, seed=seed, bounds=options.get("bounds"), **sizes
            )
            first, stop = options.get("bounds", (0, 40))
            numbers = frame_numbers(expected)
            assert first <= min(numbers) and max(numbers) < stop
            np.testing.assert_array_equal(
                FrameCache(location, **SIZES).read(path, seed, **options), expected
            )


def test_a_file_of_many_parts_is_hashed_once(tmp_path, monkeypatch):
    path, digests = write_video(tmp_path / "a.avi", 40), []
    digest = cache.hashlib.file_digest
    monkeypatch.setattr(
        cache.hashlib, "file_digest", lambda *args: digests.append(args) or digest(*args)
    )
    frames = FrameCache(tmp_path / "cache", **SIZES)
    for first in range(0, 40, 10):
        frames.read(path, 0, bounds=(first, first + 10))
    assert len(digests) == 1


def test_a_clip_that_ends_after_its_file_is_refused(clip, location):
    message = f"^{clip} has 40 frames, but its clip ends at frame 41; if the file has changed"
    for read in (
        FrameCache(location, **SIZES).read,
        lambda path, bounds: frames_from_video_file(path, bounds=bounds, **SIZES),
    ):
        with pytest.raises(ValueError, match=message):
            read(clip, bounds=(30, 41))
