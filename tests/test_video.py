"""From a file to frames. The videos' frames tell their numbers, so a test can see which ones it was given."""

import importlib
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
    """60 frames that tell their numbers."""
    return write_video(tmp_path_factory.mktemp("video") / "v_A_g01_c01.avi", 60)


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    """Two classes of three clips, 30 frames each."""
    folder = tmp_path_factory.mktemp("split")
    for clip in range(6):
        class_name = "Zip" if clip < 3 else "Add"
        write_video(folder / class_name / f"v_{class_name}_g{clip:02d}_c01.avi", 30, clip)
    return folder


def test_an_opencv_that_is_too_old_is_refused(monkeypatch):
    monkeypatch.setattr(cv2, "__version__", "4.12.0")
    with pytest.raises(ImportError, match="OpenCV 4.12.0 is too old .*; update it"):
        importlib.reload(sys.modules["helpers.video"])


def numbers(path, n_frames, frame_step=15, **kwargs):
    """Return the numbers of the frames read."""
    frames = frames_from_video_file(path, n_frames, (SIDE, SIDE), frame_step, **kwargs)
    assert frames.dtype == np.uint8 and frames.shape == (n_frames, SIDE, SIDE, 3)
    # Every frame has a white bar on top: black ones were not in the file.
    assert frames[:, 4:12].min() > 200
    return frame_numbers(frames)


def patch_header(path, frames):
    """Make an AVI file's header declare so many frames; return the path."""
    content = bytearray(path.read_bytes())
    for chunk, offset in ((b"avih", 16), (b"strh", 32)):
        at = content.index(chunk) + 8 + offset
        content[at : at + 4] = frames.to_bytes(4, "little")
    path.write_bytes(content)
    return path


# Which frames.


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
def test_frames_are_those_at_even_distances_from_the_start(
    video, n_frames, frame_step, start, expected
):
    assert numbers(video, n_frames, frame_step, start=start) == expected


def test_random_starts_reach_all_of_the_clip_and_nothing_beyond():
    starts = set()
    for seed in range(200):
        indices = frame_indices(60, 4, 18, "random", seed)
        assert list(np.diff(indices)) == [18] * 3
        starts.add(indices[0])
    assert starts == set(range(6))  # the last one ends at frame 59


@pytest.mark.parametrize("seed", range(8))
def test_random_starts_read_what_they_say(video, seed):
    assert numbers(video, 4, 19, seed=seed) == list(frame_indices(60, 4, 19, "random", seed))


def test_the_same_seed_gives_the_same_start_and_none_gives_any(video):
    assert (
        numbers(video, 2, 1, seed=4) == numbers(video, 2, 1, seed=4) != numbers(video, 2, 1, seed=5)
    )
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
def test_fewer_frames_than_wanted_are_shown_in_order_more_than_once(tmp_path, length):
    chosen = numbers(write_video(tmp_path / "short.avi", length), 10)
    assert chosen == sorted(chosen) and set(chosen) == set(range(length))


@pytest.mark.parametrize(
    "n_clips, length, expected",
    [
        (1, 60, [19]),
        (2, 60, [0, 39]),
        (4, 60, [0, 13, 26, 39]),
        (3, 22, [0, 0, 1]),  # the clips overlap, or are one and the same
    ],
)
def test_several_clips_begin_at_even_distances_and_the_last_ends_with_the_video(
    tmp_path, n_clips, length, expected
):
    clips = clips_from_video_file(write_video(tmp_path / "a.avi", length), n_clips, 3, (64, 64), 10)
    assert clips.shape == (n_clips, 3, 64, 64, 3) and clips.dtype == np.uint8
    assert [frame_numbers(clip) for clip in clips] == [
        [start, start + 10, start + 20] for start in expected
    ]


def test_one_of_several_clips_is_the_middle_that_is_judged_elsewhere(video):
    one = clips_from_video_file(video, 1, 5, (40, 64), 7)
    np.testing.assert_array_equal(
        one[0], frames_from_video_file(video, 5, (40, 64), 7, start="center")
    )


def test_several_clips_of_a_short_video_are_all_of_it(tmp_path):
    clips = clips_from_video_file(write_video(tmp_path / "short.avi", 12), 3, 10, (64, 64), 15)
    chosen = [frame_numbers(clip) for clip in clips]
    assert chosen[0] == chosen[1] == chosen[2] and (chosen[0][0], chosen[0][-1]) == (0, 11)


def test_no_clips_are_refused(video):
    with pytest.raises(ValueError, match="n_clips is at least 1, not 0"):
        clips_from_video_file(video, 0, 5)


def test_a_start_too_late_for_the_step_is_sampled_evenly_to_the_end(video):
    assert numbers(video, 4, 15, start=50) == [50, 53, 56, 59]


@pytest.mark.parametrize("start", [-1, 60, "centre", "0"])
def test_a_start_outside_the_clip_is_refused(video, start):
    with pytest.raises(ValueError, match="from 0 to 59, not"):
        frames_from_video_file(video, 4, start=start)


@pytest.mark.parametrize("n_frames, frame_step", [(0, 1), (1, 0), (-1, 15)])
def test_no_frames_and_no_step_are_refused(video, n_frames, frame_step):
    with pytest.raises(ValueError, match=f"at least 1, not {n_frames}, {frame_step} and 1"):
        frames_from_video_file(video, n_frames, frame_step=frame_step)


def test_defaults_are_those_that_are_written(video, tmp_path):
    frames = frames_from_video_file(video, 2, seed=3)
    np.testing.assert_array_equal(
        frames,
        frames_from_video_file(video, 2, (224, 224), 15, start="random", seed=3, start_step=1),
    )
    clips = clips_from_video_file(video, 2, 3)
    np.testing.assert_array_equal(clips, clips_from_video_file(video, 2, 3, (224, 224), 15))
    assert (
        frame_indices(10_000, 2, 1, seed=5).tolist()
        == frame_indices(10_000, 2, 1, "random", 5, 1).tolist()
    )
    assert len({frame_indices(10_000, 2, 1, seed=seed)[0] % 2 for seed in range(20)}) == 2, (
        "a start may be any frame"
    )


@pytest.mark.parametrize("start_step", [1, 4, 100])
def test_random_starts_are_so_many_frames_apart(start_step):
    starts = {int(frame_indices(60, 4, 10, "random", seed, start_step)[0]) for seed in range(300)}
    assert starts == set(range(0, 30, start_step)), (
        "up to the last one from which the clip has room"
    )


@pytest.mark.parametrize(
    "length, n_frames, first",
    [(30, 4, 0), (31, 4, 0), (32, 4, 0), (33, 4, 1), (36, 4, 2), (37, 4, 3)],
)
def test_as_much_is_left_before_as_after(length, n_frames, first):
    indices = frame_indices(length, n_frames, 10, "center")
    assert indices[0] == first and indices[-1] == min(first + 30, length - 1)


def expect_frames_of_a_full_decode(files, size, frame_step, folder):
    """Assert that frames read from any start are those of a sequential decode by OpenCV alone; frames are kept in a folder."""
    sizes = {"n_frames": 10, "output_size": size, "frame_step": frame_step}
    keeper = FrameCache(folder, **sizes, start_step=5)
    rng = np.random.default_rng(0)
    for file in files:
        truth = decode_all(file)
        assert truth.shape[1:3] == size
        last_possible = max(0, len(truth) - 1 - 9 * frame_step)
        starts = {
            0,
            last_possible,
            len(truth) - 1,
            *rng.integers(len(truth), size=1).tolist(),
            "center",
            "random",
        }
        for start in starts:
            indices = frame_indices(len(truth), 10, frame_step, start, seed=1)
            frames = frames_from_video_file(file, **sizes, start=start, seed=1)
            np.testing.assert_array_equal(frames, truth[indices], err_msg=f"{file}, {start}")
        for seed in range(3):
            indices = frame_indices(len(truth), 10, frame_step, seed=seed, start_step=5)
            np.testing.assert_array_equal(
                keeper.read(file, seed), truth[indices], err_msg=f"{file}, {seed}"
            )


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
        write_coded(tmp_path / f"v_A_g{clip:02d}_c01.avi", clip_images)
        for clip, clip_images in enumerate(images)
    ]
    expect_frames_of_a_full_decode(files, (SIDE, SIDE), 6, tmp_path / "frames")


# Headers that are wrong, files that are damaged.


@pytest.mark.parametrize("declared", [50, 100, 10_000, 2**31 - 1])
def test_a_header_that_declares_too_many_frames_is_not_believed(tmp_path, declared):
    path = patch_header(write_video(tmp_path / "long.avi", 40), declared)
    assert numbers(path, 10, 4, start="center") == list(range(1, 40, 4))
    assert numbers(path, 10, 15, start="random", seed=1) == list(np.linspace(0, 39, 10).round())
    with pytest.raises(ValueError, match="from 0 to 39, not 40"):
        numbers(path, 2, 1, start=40)


@pytest.mark.parametrize("declared", [1, 10, 30, 39])
def test_a_header_that_declares_too_few_frames_is_not_believed(tmp_path, declared):
    path = patch_header(write_video(tmp_path / "few.avi", 40), declared)
    assert numbers(path, 10, 4, start="center") == list(range(1, 40, 4))
    assert numbers(path, 10, 4, start=0) == list(range(0, 40, 4))
    assert numbers(path, 3, 10, start=15) == [15, 25, 35]
    assert numbers(path, 2, 1, start=38) == [38, 39]
    assert numbers(path, 10, 15, start="random", seed=1) == list(np.linspace(0, 39, 10).round())
    with pytest.raises(ValueError, match="from 0 to 39, not 40"):
        numbers(path, 2, 1, start=40)


def test_a_header_that_declares_no_frames_is_not_believed(tmp_path):
    path = patch_header(write_video(tmp_path / "none.avi", 40), 0)
    assert numbers(path, 10, 4, start="center") == list(range(1, 40, 4))


def test_a_file_that_breaks_off_is_read_as_far_as_it_goes(tmp_path):
    path = write_video(tmp_path / "half.avi", 60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    chosen = numbers(path, 5, 15, start="center")
    assert chosen[0] == 0 and 20 <= chosen[-1] < 31 and np.ptp(np.diff(chosen)) <= 1


def write_without(path, coded, lost):
    """Write frames that are coded already, one of them unreadable; return the path."""
    return write_avi(
        path, [*coded[:lost], bytes(len(coded[lost])), *coded[lost + 1 :]], (SIDE, SIDE)
    )


@pytest.mark.parametrize("start", ["random", "center", 0])
def test_a_clip_ends_before_a_frame_near_its_end_that_cannot_be_decoded(video, tmp_path, start):
    path = write_without(tmp_path / "lost.avi", coded_frames(video), 57)
    assert numbers(path, 10, 6, start=start, seed=1) == list(
        frame_indices(57, 10, 6, start, seed=1)
    )


def test_what_comes_long_after_the_frames_of_a_given_start_is_not_decoded(video, tmp_path):
    path = write_without(tmp_path / "lost.avi", coded_frames(video), 30)
    assert numbers(path, 3, 5, start=10) == [10, 15, 20]


@pytest.mark.parametrize("start", ["random", "center", 50])
def test_a_clip_most_of_which_lies_behind_a_frame_that_cannot_be_decoded_is_an_error(
    video, tmp_path, start
):
    path = write_without(tmp_path / "lost.avi", coded_frames(video), 6)
    with pytest.raises(
        VideoReadError, match=f"^{path} is damaged: of its 60 frames 6 can be decoded; .*anew"
    ):
        frames_from_video_file(path, 10, (SIDE, SIDE), 5, start=start)


@pytest.fixture(scope="module")
def pictures():
    """60 frames of colourful blocks that move."""
    blocks = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return [
        np.roll(blocks.repeat(8, axis=0).repeat(8, axis=1), frame, axis=1) for frame in range(60)
    ]


def choices(n_starts):
    """Return ways to choose frames, as keyword arguments."""
    return [{"start": start} for start in ("center", 0, 50)] + [
        {"start": "random", "seed": seed} for seed in range(n_starts)
    ]


def test_a_clip_coded_as_changes_to_a_first_frame_that_is_lost_is_an_error(pictures, tmp_path):
    path = write_coded(tmp_path / "changes.avi", pictures)
    write_avi(path, coded_frames(path)[1:], (96, 128), b"XVID")
    for choice in choices(5):
        with pytest.raises(VideoReadError, match=f"^{path} has lost its first frames, .*anew"):
            frames_from_video_file(path, 5, frame_step=2, **choice)


def test_a_clip_coded_as_changes_to_a_first_frame_that_is_damaged_is_an_error(pictures, tmp_path):
    path = write_coded(tmp_path / "changes.avi", pictures)
    first, *others = coded_frames(path)
    head = first[: first.index(b"\0\0\1\xb6") + 16]
    write_avi(path, [head + bytes(len(first) - len(head)), *others], (96, 128), b"XVID")
    assert decode_all(path)[0].std(axis=(0, 1)).max() < 1
    # Wherever the frames are taken from, also from behind the next key frame.
    for choice in choices(5):
        with pytest.raises(
            VideoReadError,
            match=f"^{path} is damaged: a frame that others build on is lost; .*anew",
        ):
            frames_from_video_file(path, 5, frame_step=2, **choice)


@pytest.mark.parametrize("code", ["XVID", "MJPG", "FFV1", "HFYU", "VP80"])
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (130, 130, 130), (20, 90, 200)])
def test_clips_that_begin_and_end_in_one_colour_are_read(pictures, tmp_path, code, colour):
    plain = [np.full_like(pictures[0], colour)] * 20
    path = write_coded(tmp_path / "cuts.avi", [*plain, *pictures[:20], *plain], code)
    truth = decode_all(path)
    for choice in choices(3):
        frames = frames_from_video_file(path, 5, (96, 128), 3, **choice)
        np.testing.assert_array_equal(frames, truth[frame_indices(60, 5, 3, **choice)])
    path = write_coded(tmp_path / "plain.avi", plain[:1], code)
    np.testing.assert_array_equal(
        frames_from_video_file(path, 5, (96, 128)), decode_all(path)[[0] * 5]
    )


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="missing"),
        pytest.param(lambda whole: b"", id="empty"),
        pytest.param(lambda whole: b"This is no video.\n" * 100, id="text"),
        pytest.param(lambda whole: bytes(len(whole)), id="zeros"),
        pytest.param(lambda whole: whole[:100], id="part of the header"),
        pytest.param(lambda whole: whole[: whole.index(b"movi") + 4], id="header only"),
        pytest.param(lambda whole: whole[: whole.index(b"movi") + 40], id="part of a frame"),
    ],
)
@pytest.mark.parametrize("start", ["random", "center", 0])
def test_a_file_that_cannot_be_read_is_an_error_that_names_it(video, tmp_path, content, start):
    path = tmp_path / "v_A_g01_c01.avi"
    if content:
        path.write_bytes(content(video.read_bytes()))
    with pytest.raises(VideoReadError, match=f"^{path} .*anew") as caught:
        frames_from_video_file(str(path), 10, start=start)
    assert isinstance(caught.value, OSError)


def test_a_folder_is_no_video(tmp_path):
    with pytest.raises(VideoReadError, match=f"^{tmp_path} "):
        frames_from_video_file(tmp_path, 10)


# What frames look like.


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
def test_letterbox_keeps_proportions_and_is_black_outside_only(image, output, content):
    result = letterbox(np.full((*image, 3), 255, np.uint8), output)
    assert result.shape == (*output, 3) and result.dtype == np.uint8
    top, left = ((whole - inner) // 2 for whole, inner in zip(output, content))
    expected = np.zeros((*output, 3), np.uint8)
    expected[top : top + content[0], left : left + content[1]] = 255
    np.testing.assert_array_equal(result, expected)


def test_an_image_of_the_right_size_is_left_as_it_is():
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
def test_pixels_that_are_not_square_are_shown_as_wide_as_they_are(aspect, output, content):
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
def test_the_shape_of_pixels_turns_with_the_frame_and_has_bounds(ratio, orientation, aspect):
    told = {
        cv2.CAP_PROP_SAR_NUM: ratio[0],
        cv2.CAP_PROP_SAR_DEN: ratio[1],
        cv2.CAP_PROP_ORIENTATION_META: orientation,
    }
    assert pixel_aspect(types.SimpleNamespace(get=told.get)) == pytest.approx(aspect)


def test_a_smaller_image_is_the_mean_of_what_it_covers():
    stripes = np.zeros((96, 96, 3), np.uint8)
    stripes[:, ::2] = 240
    assert (
        np.ptp(letterbox(stripes, (24, 24))) == 0 and letterbox(stripes, (24, 24))[0, 0, 0] == 120
    )


def test_a_larger_image_changes_gradually():
    edge = np.zeros((8, 8, 3), np.uint8)
    edge[:, 4:] = 240
    row = letterbox(edge, (10, 10))[5, :, 0].astype(int)
    assert (np.diff(row) >= 0).all() and row[0] == 0 and row[-1] == 240
    assert 0 < row[4] < 120 < row[5] < 240


def test_frames_of_a_file_are_letterboxed(tmp_path):
    path = write_images(tmp_path / "wide.avi", [np.full((48, 96, 3), 255, np.uint8)] * 3)
    frames = frames_from_video_file(path, 2, (40, 64))
    assert frames.shape == (2, 40, 64, 3)
    assert (
        (frames[:, :4] == 0).all() and (frames[:, 36:] == 0).all() and frames[:, 4:36].min() > 250
    )


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_frames_are_rgb(tmp_path, channel):
    image = np.zeros((64, 64, 3), np.uint8)
    image[..., channel] = 255
    means = frames_from_video_file(write_images(tmp_path / "pure.avi", [image] * 5), 2).mean(
        axis=(0, 1, 2)
    )
    assert means[channel] > 240 and sorted(means)[1] < 15


# A split's clips.


def ids(generator):
    """Return `(clip, frames, label)` of each clip in one pass, the first two as their numbers."""
    return [
        (clip_number(frames), tuple(frame_numbers(frames)), label) for frames, label in generator
    ]


def make_generator(split, **kwargs):
    return FrameGenerator(split, 3, output_size=(SIDE, SIDE), frame_step=5, **kwargs)


def test_generator_gives_each_clip_once_with_the_label_of_its_folder(split):
    generator = make_generator(split)
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


def test_generator_has_the_tutorials_defaults(split):
    frames, label = next(iter(FrameGenerator(split, 10)))
    assert frames.shape == (10, 224, 224, 3) and frames.dtype == np.uint8 and label == 0


def test_generator_reads_every_fifteenth_frame_and_is_seeded_unless_told(split):
    for training in (False, True):
        pairs = zip(
            FrameGenerator(split, 2, training),
            FrameGenerator(split, 2, training, output_size=(224, 224), frame_step=15, seed=0),
            strict=True,
        )
        for (frames, label), (expected, expected_label) in pairs:
            np.testing.assert_array_equal(frames, expected)
            assert label == expected_label


def test_training_shuffles_and_starts_anew_in_each_pass_and_alike_for_a_seed(split):
    one, same, other = (make_generator(split, training=True, seed=seed) for seed in (1, 1, 2))
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


def test_generator_can_be_given_to_tf_data(split):
    signature = tf.TensorSpec((None, None, None, 3), tf.uint8), tf.TensorSpec((), tf.int16)
    dataset = tf.data.Dataset.from_generator(make_generator(split), output_signature=signature)
    for _ in range(2):
        assert ids(dataset.as_numpy_iterator()) == ids(make_generator(split))


def test_generator_without_clips_is_refused(tmp_path):
    (tmp_path / "Empty").mkdir()
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ValueError, match=f"^{path} holds no clips"):
            FrameGenerator(path, 10)


def test_generator_names_the_clip_that_cannot_be_read(tmp_path):
    write_video(tmp_path / "A" / "v_A_g01_c01.avi", 20)
    broken = tmp_path / "A" / "v_A_g02_c01.avi"
    broken.write_text("no video")
    passing = iter(FrameGenerator(tmp_path, 3))
    next(passing)
    with pytest.raises(VideoReadError, match=str(broken)):
        next(passing)
