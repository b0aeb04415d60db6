"""Frames from a video file. The videos show the numbers of their frames for the tests to check."""

import importlib
import pathlib
import sys
import types
import zipfile

import cv2
import numpy as np
import pytest
import tensorflow as tf
from conftest import (
    SIDE,
    clip_number,
    coded_frames,
    decode_all,
    draw_numbers,
    frame_numbers,
    write_avi,
    write_coded,
    write_images,
    write_video,
)

from helpers import video as video_module
from helpers.cache import FrameCache
from helpers.video import (
    FrameGenerator,
    VideoReadError,
    clips_from_video_file,
    frame_indices,
    frames_from_video_file,
    letterbox,
    pixel_aspect,
    resize_to_fit,
)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """60 frames that show their numbers."""
    return write_video(tmp_path_factory.mktemp("video") / "v_A_g01_c01.avi", 60)


def test_an_old_opencv_is_refused(monkeypatch):
    monkeypatch.setattr(cv2, "__version__", "4.12.0")
    with pytest.raises(ImportError, match="OpenCV 4.12.0 is too old .*; update it"):
        importlib.reload(sys.modules["helpers.video"])


def numbers(path, n_frames, frame_step=15, **kwargs):
    """Read frames and return their numbers."""
    frames = frames_from_video_file(path, n_frames, (SIDE, SIDE), frame_step, **kwargs)
    assert frames.dtype == np.uint8 and frames.shape == (n_frames, SIDE, SIDE, 3)
    # Every frame in the file has a white bar on top, so black ones are made up.
    assert frames[:, 4:12].min() > 200
    return frame_numbers(frames)


def patch_header(path, frames):
    """Change the number of frames that an AVI file's header declares; return the path."""
    content = bytearray(path.read_bytes())
    for chunk, offset in ((b"avih", 16), (b"strh", 32)):
        position = content.index(chunk) + 8 + offset
        content[position : position + 4] = frames.to_bytes(4, "little")
    path.write_bytes(content)
    return path


# Choosing frames.


@pytest.mark.parametrize(
    "n_frames, frame_step, start, expected",
    [
        (1, 1, 0, [0]),
        (1, 15, 59, [59]),
        (4, 15, 0, [0, 15, 30, 45]),
        (4, 15, 14, [14, 29, 44, 59]),
        (5, 1, 55, [55, 56, 57, 58, 59]),
        (3, 7, 20, [20, 27, 34]),
        (4, 15, "center", [7, 22, 37, 52]),
        (10, 5, "center", [7, 12, 17, 22, 27, 32, 37, 42, 47, 52]),
        (2, 1, "center", [29, 30]),
        (60, 1, "center", list(range(60))),
    ],
)
def test_frames_are_evenly_spaced_from_the_start(video, n_frames, frame_step, start, expected):
    assert numbers(video, n_frames, frame_step, start=start) == expected


def test_random_starts_cover_the_clip_and_stay_inside():
    starts = set()
    for seed in range(200):
        indices = frame_indices(60, 4, 18, "random", seed)
        assert list(np.diff(indices)) == [18] * 3
        starts.add(indices[0])
    assert starts == set(range(6))  # the last one ends at frame 59


@pytest.mark.parametrize("seed", range(8))
def test_random_starts_are_those_of_frame_indices(video, seed):
    assert numbers(video, 4, 19, seed=seed) == list(frame_indices(60, 4, 19, "random", seed))


def test_a_seed_fixes_the_start_and_no_seed_does_not(video):
    one, same, other = (numbers(video, 2, 1, seed=seed) for seed in (4, 4, 5))
    assert one == same != other
    assert len({tuple(frame_indices(10_000, 2, 1)) for _ in range(5)}) > 1


def test_global_seeds_are_neither_used_nor_changed(video):
    np.random.seed(0)
    before = np.random.get_state()[1].tolist()
    frames_from_video_file(video, 2)
    assert np.random.get_state()[1].tolist() == before


@pytest.mark.parametrize("start", ["random", "center", 0])
@pytest.mark.parametrize("length", [10, 11, 60, 135])
def test_a_short_clip_is_sampled_evenly_from_its_first_frame_to_its_last(tmp_path, length, start):
    chosen = numbers(write_video(tmp_path / "short.avi", length), 10, 15, start=start)
    assert (chosen[0], chosen[-1]) == (0, length - 1)
    assert len(set(chosen)) == 10
    assert np.ptp(np.diff(chosen)) <= 1


@pytest.mark.parametrize("length", [1, 2, 7])
def test_too_few_frames_are_repeated_in_order(tmp_path, length):
    chosen = numbers(write_video(tmp_path / "short.avi", length), 10)
    assert chosen == sorted(chosen) and set(chosen) == set(range(length))


@pytest.mark.parametrize(
    "n_clips, length, expected",
    [
        (1, 60, [19]),
        (2, 60, [0, 39]),
        (4, 60, [0, 13, 26, 39]),
        (3, 22, [0, 0, 1]),  # clips overlap, or are identical
    ],
)
def test_several_clips_are_evenly_spaced_and_the_last_ends_with_the_video(
    tmp_path, n_clips, length, expected
):
    clips = clips_from_video_file(write_video(tmp_path / "a.avi", length), n_clips, 3, (64, 64), 10)
    assert clips.shape == (n_clips, 3, 64, 64, 3) and clips.dtype == np.uint8
    assert [frame_numbers(clip) for clip in clips] == [
        [start, start + 10, start + 20] for start in expected
    ]


def test_a_single_clip_is_the_middle(video):
    (clip,) = clips_from_video_file(video, 1, 5, (40, 64), 7)
    expected = frames_from_video_file(video, 5, (40, 64), 7, start="center")
    np.testing.assert_array_equal(clip, expected)


def test_several_clips_of_a_short_video_are_identical_and_cover_it(tmp_path):
    clips = clips_from_video_file(write_video(tmp_path / "short.avi", 12), 3, 10, (64, 64), 15)
    chosen = [frame_numbers(clip) for clip in clips]
    assert chosen[0] == chosen[1] == chosen[2] and (chosen[0][0], chosen[0][-1]) == (0, 11)


def test_no_clips_are_refused(video):
    with pytest.raises(ValueError, match="n_clips must be at least 1, not 0"):
        clips_from_video_file(video, 0, 5)


def test_frames_from_a_late_start_are_spread_evenly_to_the_end(video):
    assert numbers(video, 4, 15, start=50) == [50, 53, 56, 59]


@pytest.mark.parametrize("start", [-1, 60, "centre", "0"])
def test_a_start_outside_the_clip_is_refused(video, start):
    with pytest.raises(ValueError, match="from 0 to 59, not"):
        frames_from_video_file(video, 4, start=start)


@pytest.mark.parametrize("n_frames, frame_step", [(0, 1), (1, 0), (-1, 15)])
def test_no_frames_and_no_step_are_refused(video, n_frames, frame_step):
    with pytest.raises(ValueError, match=f"at least 1, not {n_frames}, {frame_step} and 1"):
        frames_from_video_file(video, n_frames, frame_step=frame_step)


def test_defaults_are_as_documented(video, tmp_path):
    choice = {"start": "random", "seed": 3, "start_step": 1}
    expected = frames_from_video_file(video, 2, (224, 224), 15, **choice)
    np.testing.assert_array_equal(frames_from_video_file(video, 2, seed=3), expected)
    clips = clips_from_video_file(video, 2, 3)
    np.testing.assert_array_equal(clips, clips_from_video_file(video, 2, 3, (224, 224), 15))
    indices = frame_indices(10_000, 2, 1, seed=5)
    np.testing.assert_array_equal(indices, frame_indices(10_000, 2, 1, "random", 5, 1))
    starts = [frame_indices(10_000, 2, 1, seed=seed)[0] for seed in range(20)]
    assert {start % 2 for start in starts} == {0, 1}, "a start may be any frame"


@pytest.mark.parametrize("start_step", [1, 4, 100])
def test_random_starts_are_multiples_of_start_step(start_step):
    starts = {int(frame_indices(60, 4, 10, "random", seed, start_step)[0]) for seed in range(300)}
    assert starts == set(range(0, 30, start_step))  # at 29, the last frame fits exactly


@pytest.mark.parametrize(
    "length, n_frames, first",
    [(30, 4, 0), (31, 4, 0), (32, 4, 0), (33, 4, 1), (36, 4, 2), (37, 4, 3)],
)
def test_centred_frames_leave_equal_margins(length, n_frames, first):
    indices = frame_indices(length, n_frames, 10, "center")
    assert indices[0] == first and indices[-1] == min(first + 30, length - 1)


def expect_frames_of_a_full_decode(files, size, frame_step, folder):
    """Assert that frames from any start, read directly and through a cache, are those of OpenCV."""
    sizes = {"n_frames": 10, "output_size": size, "frame_step": frame_step}
    cache = FrameCache(folder, **sizes, start_step=5)
    rng = np.random.default_rng(0)
    for file in files:
        truth = decode_all(file)
        assert truth.shape[1:3] == size
        last_start = max(0, len(truth) - 1 - 9 * frame_step)
        any_start = int(rng.integers(len(truth)))
        for start in {0, last_start, len(truth) - 1, any_start, "center", "random"}:
            indices = frame_indices(len(truth), 10, frame_step, start, seed=1)
            frames = frames_from_video_file(file, **sizes, start=start, seed=1)
            np.testing.assert_array_equal(frames, truth[indices], err_msg=f"{file}, {start}")
        for seed in range(3):
            indices = frame_indices(len(truth), 10, frame_step, seed=seed, start_step=5)
            frames = cache.read(file, seed)
            np.testing.assert_array_equal(frames, truth[indices], err_msg=f"{file}, {seed}")


def test_frames_of_all_puppets_are_those_of_a_full_decode(puppet_zip, tmp_path):
    with zipfile.ZipFile(puppet_zip) as source:
        files = [tmp_path / name for name in source.namelist()]
        source.extractall(tmp_path)
    assert len(files) == 80
    expect_frames_of_a_full_decode(files, (180, 240), 5, tmp_path / "frames")


def test_frames_coded_as_changes_are_those_of_a_full_decode(tmp_path):
    images = [
        [np.roll(draw_numbers(frame, clip), frame, axis=1) for frame in range(60 + clip)]
        for clip in range(4)
    ]
    files = [
        write_coded(tmp_path / f"v_A_g{clip:02d}_c01.avi", images[clip])
        for clip in range(len(images))
    ]
    expect_frames_of_a_full_decode(files, (SIDE, SIDE), 6, tmp_path / "frames")


# Wrong headers and damaged files.


@pytest.mark.parametrize("declared", [50, 100, 10_000, 2**31 - 1])
def test_a_header_that_declares_too_many_frames_is_ignored(tmp_path, declared):
    path = patch_header(write_video(tmp_path / "long.avi", 40), declared)
    assert numbers(path, 10, 4, start="center") == list(range(1, 40, 4))
    assert numbers(path, 10, 15, start="random", seed=1) == list(np.linspace(0, 39, 10).round())
    with pytest.raises(ValueError, match="from 0 to 39, not 40"):
        numbers(path, 2, 1, start=40)


@pytest.mark.parametrize("declared", [1, 10, 30, 39])
def test_a_header_that_declares_too_few_frames_is_ignored(tmp_path, declared):
    path = patch_header(write_video(tmp_path / "few.avi", 40), declared)
    assert numbers(path, 10, 4, start="center") == list(range(1, 40, 4))
    assert numbers(path, 10, 4, start=0) == list(range(0, 40, 4))
    assert numbers(path, 3, 10, start=15) == [15, 25, 35]
    assert numbers(path, 2, 1, start=38) == [38, 39]
    assert numbers(path, 10, 15, start="random", seed=1) == list(np.linspace(0, 39, 10).round())
    with pytest.raises(ValueError, match="from 0 to 39, not 40"):
        numbers(path, 2, 1, start=40)


def test_a_header_that_declares_no_frames_is_ignored(tmp_path):
    path = patch_header(write_video(tmp_path / "none.avi", 40), 0)
    assert numbers(path, 10, 4, start="center") == list(range(1, 40, 4))


def test_a_truncated_file_is_read_as_far_as_it_goes(tmp_path):
    path = write_video(tmp_path / "half.avi", 60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    chosen = numbers(path, 5, 15, start="center")
    assert chosen[0] == 0 and 20 <= chosen[-1] < 31 and np.ptp(np.diff(chosen)) <= 1


def write_without(path, coded, lost):
    """Write coded frames with one of them zeroed; return the path."""
    frames = [*coded[:lost], bytes(len(coded[lost])), *coded[lost + 1 :]]
    return write_avi(path, frames, (SIDE, SIDE))


@pytest.mark.parametrize("start", ["random", "center", 0])
def test_a_clip_ends_before_an_undecodable_frame_near_its_end(video, tmp_path, start):
    path = write_without(tmp_path / "lost.avi", coded_frames(video), 57)
    expected = list(frame_indices(57, 10, 6, start, seed=1))
    assert numbers(path, 10, 6, start=start, seed=1) == expected


def test_from_a_given_start_later_frames_are_not_decoded(video, tmp_path):
    path = write_without(tmp_path / "lost.avi", coded_frames(video), 30)
    assert numbers(path, 3, 5, start=10) == [10, 15, 20]


@pytest.mark.parametrize("start", ["random", "center", 50])
def test_an_undecodable_frame_near_the_beginning_is_an_error(video, tmp_path, start):
    path = write_without(tmp_path / "lost.avi", coded_frames(video), 6)
    message = f"^{path} is damaged: only 6 of its 60 frames can be decoded; .*again"
    with pytest.raises(VideoReadError, match=message):
        frames_from_video_file(path, 10, (SIDE, SIDE), 5, start=start)


@pytest.fixture(scope="module")
def images():
    """60 images of moving blocks of colour."""
    blocks = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return [
        np.roll(blocks.repeat(8, axis=0).repeat(8, axis=1), frame, axis=1) for frame in range(60)
    ]


def choices(n_starts):
    """Return keyword arguments that choose frames, with a number of random starts."""
    random = [{"start": "random", "seed": seed} for seed in range(n_starts)]
    return [{"start": start} for start in ("center", 0, 50)] + random


def test_a_lost_first_frame_is_an_error(images, tmp_path):
    path = write_coded(tmp_path / "changes.avi", images)
    write_avi(path, coded_frames(path)[1:], (96, 128), b"XVID")
    for choice in choices(5):
        with pytest.raises(VideoReadError, match=f"^{path} lacks its first frames, .*again"):
            frames_from_video_file(path, 5, frame_step=2, **choice)


def test_a_damaged_first_frame_is_an_error(images, tmp_path):
    path = write_coded(tmp_path / "changes.avi", images)
    first, *others = coded_frames(path)
    head = first[: first.index(b"\0\0\1\xb6") + 16]
    write_avi(path, [head + bytes(len(first) - len(head)), *others], (96, 128), b"XVID")
    assert decode_all(path)[0].std(axis=(0, 1)).max() < 1
    # It is an error for all choices of frames, even if they come after the next key frame.
    for choice in choices(5):
        message = f"^{path} is damaged: a key frame is lost, .*again"
        with pytest.raises(VideoReadError, match=message):
            frames_from_video_file(path, 5, frame_step=2, **choice)


@pytest.mark.parametrize("code", ["XVID", "MJPG", "FFV1", "HFYU", "VP80"])
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (130, 130, 130), (20, 90, 200)])
def test_clips_that_begin_and_end_in_one_colour_are_read(images, tmp_path, code, colour):
    plain = [np.full_like(images[0], colour)] * 20
    path = write_coded(tmp_path / "cuts.avi", [*plain, *images[:20], *plain], code)
    truth = decode_all(path)
    for choice in choices(3):
        frames = frames_from_video_file(path, 5, (96, 128), 3, **choice)
        np.testing.assert_array_equal(frames, truth[frame_indices(60, 5, 3, **choice)])
    path = write_coded(tmp_path / "plain.avi", plain[:1], code)
    frames = frames_from_video_file(path, 5, (96, 128))
    np.testing.assert_array_equal(frames, decode_all(path)[[0] * 5])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(None, id="missing"),
        pytest.param(lambda content: b"", id="empty"),
        pytest.param(lambda content: b"This is no video.\n" * 100, id="text"),
        pytest.param(lambda content: bytes(len(content)), id="zeros"),
        pytest.param(lambda content: content[:100], id="part of the header"),
        pytest.param(lambda content: content[: content.index(b"movi") + 4], id="header only"),
        pytest.param(lambda content: content[: content.index(b"movi") + 40], id="part of a frame"),
    ],
)
@pytest.mark.parametrize("start", ["random", "center", 0])
def test_the_error_for_an_unreadable_file_names_it(video, tmp_path, change, start):
    path = tmp_path / "v_A_g01_c01.avi"
    if change:
        path.write_bytes(change(video.read_bytes()))
    with pytest.raises(VideoReadError, match=f"^{path} .*again") as caught:
        frames_from_video_file(str(path), 10, start=start)
    assert isinstance(caught.value, OSError)


def test_a_folder_is_no_video(tmp_path):
    with pytest.raises(VideoReadError, match=f"^{tmp_path} is a folder; give the path of a video"):
        frames_from_video_file(tmp_path, 10)


# Size, padding and colours.


@pytest.mark.parametrize(
    "image, output, content",
    [
        ((180, 240), (64, 64), (48, 64)),
        ((240, 180), (64, 64), (64, 48)),
        ((64, 64), (64, 64), (64, 64)),
        ((10, 20), (40, 40), (20, 40)),
        ((240, 320), (224, 224), (168, 224)),
        ((100, 100), (50, 80), (50, 50)),
        ((100, 100), (80, 50), (50, 50)),
        ((1, 1000), (64, 64), (1, 64)),
        ((1000, 1), (64, 64), (64, 1)),
        ((33, 57), (64, 64), (37, 64)),
    ],
)
def test_letterbox_keeps_proportions_and_pads_with_black(image, output, content):
    result = letterbox(np.full((*image, 3), 255, np.uint8), output)
    assert result.shape == (*output, 3) and result.dtype == np.uint8
    top, left = ((outer - inner) // 2 for outer, inner in zip(output, content))
    expected = np.zeros((*output, 3), np.uint8)
    expected[top : top + content[0], left : left + content[1]] = 255
    np.testing.assert_array_equal(result, expected)


def test_an_image_of_the_right_size_is_unchanged():
    image = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    np.testing.assert_array_equal(letterbox(image, (64, 48)), image)


@pytest.mark.parametrize(
    "aspect, output, content",
    [
        (16 / 11, (90, 90), (50, 90)),
        (4 / 3, (40, 200), (40, 67)),
        (8 / 9, (90, 90), (81, 90)),
        (1 / 4, (64, 64), (64, 20)),
        (8, (64, 64), (6, 64)),
    ],
)
def test_pixels_that_are_not_square_become_square(aspect, output, content):
    image = np.full((576, 720, 3), 200, np.uint8)
    assert resize_to_fit(image, output, aspect).shape == (*content, 3)


@pytest.mark.parametrize(
    "ratio, orientation, aspect",
    [
        ((0, 1), 0, 1),
        ((1, 0), 0, 1),
        ((16, 11), 0, 16 / 11),
        ((16, 11), 180, 16 / 11),
        ((16, 11), 270, 11 / 16),
        ((500, 1), 0, 1),
        ((4096, 4083), 0, 1),
        ((12, 11), 0, 12 / 11),
    ],
)
def test_the_aspect_of_pixels_turns_with_the_frame_and_has_bounds(ratio, orientation, aspect):
    properties = {
        cv2.CAP_PROP_SAR_NUM: ratio[0],
        cv2.CAP_PROP_SAR_DEN: ratio[1],
        cv2.CAP_PROP_ORIENTATION_META: orientation,
    }
    assert pixel_aspect(types.SimpleNamespace(get=properties.get)) == pytest.approx(aspect)


def test_shrinking_averages_pixels():
    stripes = np.zeros((96, 96, 3), np.uint8)
    stripes[:, ::2] = 240
    assert (letterbox(stripes, (24, 24)) == 120).all()


def test_enlarging_interpolates_linearly():
    edge = np.zeros((8, 8, 3), np.uint8)
    edge[:, 4:] = 240
    row = letterbox(edge, (10, 10))[5, :, 0].astype(int)
    assert (np.diff(row) >= 0).all() and row[0] == 0 and row[-1] == 240
    assert 0 < row[4] < 120 < row[5] < 240


def test_frames_of_a_file_are_letterboxed(tmp_path):
    path = write_images(tmp_path / "wide.avi", [np.full((48, 96, 3), 255, np.uint8)] * 3)
    frames = frames_from_video_file(path, 2, (40, 64))
    assert frames.shape == (2, 40, 64, 3)
    assert not frames[:, :4].any() and not frames[:, 36:].any() and frames[:, 4:36].min() > 250


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_frames_are_rgb(tmp_path, channel):
    image = np.zeros((64, 64, 3), np.uint8)
    image[..., channel] = 255
    path = write_images(tmp_path / "pure.avi", [image] * 5)
    means = frames_from_video_file(path, 2).mean(axis=(0, 1, 2))
    assert means[channel] > 240 and sorted(means)[1] < 15


# The tutorial's generator.


def ids(generator):
    """Return `(clip number, frame numbers, label)` of each clip in one pass."""
    return [
        (clip_number(frames), tuple(frame_numbers(frames)), label) for frames, label in generator
    ]


def make_generator(folder, **kwargs):
    return FrameGenerator(folder, 3, output_size=(SIDE, SIDE), frame_step=5, **kwargs)


def test_generator_yields_each_clip_once_with_the_label_of_its_folder(six_clips):
    generator = make_generator(six_clips)
    assert len(generator) == 6
    assert generator.class_ids_for_name == {"Add": 0, "Zip": 1}
    middle = (9, 14, 19)
    assert ids(generator) == [
        (3, middle, 0),
        (4, middle, 0),
        (5, middle, 0),
        (0, middle, 1),
        (1, middle, 1),
        (2, middle, 1),
    ]
    assert ids(generator) == ids(generator)


def test_generator_has_the_tutorials_defaults(six_clips):
    frames, label = next(iter(FrameGenerator(six_clips, 10)))
    assert frames.shape == (10, 224, 224, 3) and frames.dtype == np.uint8 and label == 0


def test_generator_defaults_are_as_documented(six_clips):
    for training in (False, True):
        pairs = zip(
            FrameGenerator(six_clips, 2, training),
            FrameGenerator(six_clips, 2, training, output_size=(224, 224), frame_step=15, seed=0),
            strict=True,
        )
        for (frames, label), (expected, expected_label) in pairs:
            np.testing.assert_array_equal(frames, expected)
            assert label == expected_label


def test_training_draws_order_and_starts_in_each_pass_reproducibly(six_clips):
    one, same, other = (make_generator(six_clips, training=True, seed=seed) for seed in (1, 1, 2))
    passes = [ids(one) for _ in range(3)]
    assert passes == [ids(same) for _ in range(3)]
    assert passes[0] != ids(other)
    orders = {tuple(clip for clip, _, _ in each) for each in passes}
    starts = {tuple(frames for _, frames, _ in sorted(each)) for each in passes}
    assert len(orders) == len(starts) == 3
    assert all(
        sorted((clip, label) for clip, _, label in each) == [(i, int(i < 3)) for i in range(6)]
        for each in passes
    )
    assert all(np.diff(frames).tolist() == [5, 5] for each in passes for _, frames, _ in each)


def test_generator_works_with_tf_data(six_clips):
    signature = tf.TensorSpec((None, None, None, 3), tf.uint8), tf.TensorSpec((), tf.int16)
    dataset = tf.data.Dataset.from_generator(make_generator(six_clips), output_signature=signature)
    for _ in range(2):
        assert ids(dataset.as_numpy_iterator()) == ids(make_generator(six_clips))


def test_generator_without_clips_is_refused(tmp_path):
    (tmp_path / "Empty").mkdir()
    for path, message in ((tmp_path, "holds no clips"), (tmp_path / "missing", "does not exist")):
        with pytest.raises(ValueError, match=f"^{path} {message}"):
            FrameGenerator(path, 10)


def test_generator_names_an_unreadable_clip(tmp_path):
    write_video(tmp_path / "A" / "v_A_g01_c01.avi", 20)
    broken = tmp_path / "A" / "v_A_g02_c01.avi"
    broken.write_text("no video")
    passing = iter(FrameGenerator(tmp_path, 3))
    next(passing)
    with pytest.raises(VideoReadError, match=str(broken)):
        next(passing)


@pytest.mark.parametrize("aspect", [2, 1, 0.5])
def test_far_smaller_frames_are_means_of_all_pixels(aspect):
    """Linear interpolation would leave out two of three rows, however wide the pixels are."""
    rows = np.zeros((90, 90, 3), np.uint8)
    rows[1::3] = 240
    small = resize_to_fit(rows, (30, 90), aspect)
    assert small.shape[0] == 30 and abs(small.astype(int) - 80).max() <= 1


def test_frames_of_several_sizes_are_refused():
    frames = [np.zeros((2, 2, 3), np.uint8), np.zeros((3, 2, 3), np.uint8)]
    with pytest.raises(VideoReadError, match="clip.avi changes its aspect ratio partway; split it"):
        video_module._stack(pathlib.Path("clip.avi"), frames)
