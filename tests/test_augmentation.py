"""Chance changes to clips."""

import cv2
import numpy as np
import pytest

from helpers.augmentation import Augmentation, crop_and_resize, is_directional

NOTHING = {"flip": False, "crop": 1, "colour": 0}


@pytest.fixture
def clip():
    """Three frames of noise, of odd width."""
    return np.random.default_rng(0).integers(0, 256, (3, 40, 51, 3), np.uint8)


@pytest.mark.parametrize(
    "augmentation",
    [
        Augmentation(),
        Augmentation(**NOTHING | {"flip": True}),
        Augmentation(**NOTHING | {"crop": 0.3}),
        Augmentation(**NOTHING | {"colour": 1}),
    ],
    ids=["all", "flip", "crop", "colour"],
)
def test_all_frames_of_a_clip_are_changed_alike_and_the_clip_is_left_as_it_was(clip, augmentation):
    clip[:] = clip[0]
    before, changes = clip.copy(), 0
    for seed in range(20):
        changed = augmentation(clip, "Jump", seed)
        assert changed.shape == clip.shape and changed.dtype == np.uint8
        np.testing.assert_array_equal(changed, np.broadcast_to(changed[0], changed.shape))
        assert not np.shares_memory(changed, clip)
        changes += not np.array_equal(changed, clip)
    np.testing.assert_array_equal(clip, before)
    assert changes >= 5


@pytest.mark.parametrize(
    "augmentation", [Augmentation(), Augmentation(crop=0.3, colour=1)], ids=["default", "strong"]
)
def test_a_frame_does_not_depend_on_its_neighbours(clip, augmentation):
    for seed in range(10):
        alone = [augmentation(clip[i : i + 1], "Jump", seed)[0] for i in range(3)]
        np.testing.assert_array_equal(augmentation(clip, "Jump", seed), alone)


def test_clips_that_are_views_or_read_only_are_taken(clip):
    expected = Augmentation()(clip[::2, :, ::-1].copy(), "Jump", 1)
    np.testing.assert_array_equal(Augmentation()(clip[::2, :, ::-1], "Jump", 1), expected)
    clip.setflags(write=False)
    np.testing.assert_array_equal(Augmentation()(clip[::2, :, ::-1], "Jump", 1), expected)


PLACES = {
    "whole": np.zeros((3, 40, 51, 3), np.uint8),
    "upside down": np.zeros((3, 40, 51, 3), np.uint8)[:, ::-1],
    "colours the other way round": np.zeros((3, 40, 51, 3), np.uint8)[..., ::-1],
    "every other frame": np.zeros((6, 40, 51, 3), np.uint8)[::2],
    "part of a picture": np.zeros((3, 40, 57, 3), np.uint8)[:, :, 3:-3],
}


@pytest.mark.parametrize("out", PLACES.values(), ids=PLACES)
def test_the_copy_goes_into_any_array_of_the_clips_size(clip, out):
    for seed in range(4):
        assert Augmentation()(clip, "Jump", seed, out) is out
        np.testing.assert_array_equal(out, Augmentation()(clip, "Jump", seed))


def test_a_clip_may_be_changed_in_its_place(clip):
    for seed in range(4):
        expected, place = Augmentation()(clip, "Jump", seed), clip.copy()
        np.testing.assert_array_equal(Augmentation()(place, "Jump", seed, place), expected)


def test_a_place_that_cannot_hold_the_copy_is_refused(clip):
    for out in (np.zeros(clip.shape, np.float32), np.zeros(clip[1:].shape, np.uint8)):
        with pytest.raises(ValueError, match="^out is uint8"):
            Augmentation()(clip, "Jump", 0, out)


def test_the_same_seed_gives_the_same_change_and_others_give_others(clip):
    augmentation = Augmentation()
    changed = [augmentation(clip, "Jump", seed) for seed in range(20)]
    for seed, before in enumerate(changed):
        np.testing.assert_array_equal(augmentation(clip, "Jump", seed), before)
    assert len({each.tobytes() for each in changed}) == 20
    assert len({augmentation(clip, "Jump").tobytes() for _ in range(5)}) == 5
    assert len({augmentation(clip, "Jump", (3, 0, i, 1)).tobytes() for i in range(5)}) == 5


def test_global_seeds_are_neither_used_nor_changed(clip):
    np.random.seed(0)
    before = np.random.get_state()[1].tolist()
    Augmentation()(clip, "Jump")
    assert np.random.get_state()[1].tolist() == before


def test_nothing_to_change_gives_a_copy(clip):
    for seed in range(10):
        changed = Augmentation(**NOTHING)(clip, "Jump", seed)
        np.testing.assert_array_equal(changed, clip)
        assert not np.shares_memory(changed, clip)


# Left and right.


def mirrored(clip, class_name, **kwargs):
    """Return in how many of 400 seeds a clip is mirrored; otherwise it is as it was."""
    times = 0
    for seed in range(400):
        changed = Augmentation(**NOTHING | {"flip": True}, **kwargs)(clip, class_name, seed)
        is_mirrored = np.array_equal(changed, clip[:, :, ::-1])
        assert is_mirrored or np.array_equal(changed, clip)
        times += is_mirrored
    return times


def test_every_other_clip_is_mirrored(clip):
    assert 160 < mirrored(clip, "Jump") < 240


def test_classes_that_left_and_right_tell_apart_are_not_mirrored(clip):
    assert mirrored(clip, "WalkLeft") == mirrored(clip, "turn_right") == 0
    assert mirrored(clip, "Clockwise", sided=("Clockwise",)) == 0
    assert mirrored(clip, "Jump", sided=("Clockwise",)) > 0


def test_what_is_not_mirrored_is_cropped_and_coloured_all_the_same(clip):
    without = Augmentation(flip=False)
    for seed in range(10):
        np.testing.assert_array_equal(
            Augmentation()(clip, "WalkLeft", seed), without(clip, "Jump", seed)
        )


@pytest.mark.parametrize(
    "class_name",
    [
        "WalkLeft",
        "turn_right",
        "LEFT",
        "left",
        "Right",
        "left-hand",
        "LeftHandWave",
        "rightTurn",
        "LEFTHand",
        "2left2",
    ],
)
def test_names_that_say_left_or_right_are_sided(class_name):
    assert is_directional(class_name)


@pytest.mark.parametrize(
    "class_name",
    ["Bright", "Cleft", "Leftover", "Copyright", "upright_row", "PlayingGuitar", "", "7"],
)
def test_names_that_only_hold_those_letters_are_not_sided(class_name):
    assert not is_directional(class_name)


# Windows.


@pytest.mark.parametrize("down, top", [(0, 0), (0.5, 10), (1, 20)])
@pytest.mark.parametrize("right, left", [(0, 0), (0.5, 15), (1, 30)])
def test_a_window_is_cut_out_and_enlarged(down, top, right, left):
    frames = np.random.default_rng(0).integers(0, 256, (2, 40, 60, 3), np.uint8)
    enlarged = crop_and_resize(frames, 0.5, down, right)
    for frame, result in zip(frames, enlarged, strict=True):
        np.testing.assert_array_equal(
            result, cv2.resize(frame[top : top + 20, left : left + 30], (60, 40))
        )


def test_the_smallest_window_is_a_pixel(clip):
    enlarged = crop_and_resize(clip, 1e-9, 1, 1)
    np.testing.assert_array_equal(enlarged, np.broadcast_to(clip[:, -1:, -1:], clip.shape))


def test_windows_reach_all_edges_and_their_smallest_share():
    columns = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, None, :, None], (1, 100, 200, 3))
    rows = np.broadcast_to(np.arange(100, dtype=np.uint8)[None, :, None, None], (1, 100, 200, 3))
    for ramp, size, axis in ((columns, 200, 2), (rows, 100, 1)):
        ends = []
        for seed in range(300):
            changed = Augmentation(flip=False, crop=0.5, colour=0)(ramp, "Jump", seed)
            ends.append((int(changed.min()), int(changed.max())))
        widths = [last - first + 1 for first, last in ends]
        assert size // 2 <= min(widths) < 0.53 * size and 0.97 * size < max(widths) <= size
        assert min(first for first, _ in ends) == 0 and max(last for _, last in ends) == size - 1
        assert max(first for first, _ in ends) > 0.35 * size


# Colours.


@pytest.mark.parametrize("colour", [0.1, 0.2, 0.5])
def test_colours_stay_within_bounds_and_use_them(colour):
    grey = np.full((2, 8, 8, 3), 100, np.uint8)
    factors = []
    for seed in range(400):
        changed = Augmentation(**NOTHING | {"colour": colour})(grey, "Jump", seed)
        np.testing.assert_array_equal(changed, np.broadcast_to(changed[0, 0, 0], changed.shape))
        factors.append(changed[0, 0, 0] / 100)
    factors = np.array(factors)
    rounding = 0.005
    assert factors.min() >= (1 - colour) * (1 - colour / 2) - rounding
    assert factors.max() <= (1 + colour) * (1 + colour / 2) + rounding
    # Any two channels differ by no more than their tints, whatever the brightness.
    ratios = factors.max(axis=1) / factors.min(axis=1)
    assert ratios.max() <= (1 + colour / 2) / (1 - colour / 2) * (1 + 3 * rounding)
    assert (
        factors.mean(axis=1).min() < 1 - 0.7 * colour
        and factors.mean(axis=1).max() > 1 + 0.7 * colour
    )
    assert ratios.max() > 1 + 0.5 * colour
    assert abs(factors.mean() - 1) < colour / 5


def test_pixels_are_multiplied_and_saturate(clip):
    for seed in range(20):
        grey = np.full((1, 1, 1, 3), 100, np.uint8)
        factors = Augmentation(**NOTHING | {"colour": 1})(grey, "Jump", seed)[0, 0, 0] / 100
        changed = Augmentation(**NOTHING | {"colour": 1})(clip, "Jump", seed)
        darker = factors < 2.5
        expected = np.minimum(clip * factors, 255)[..., darker]
        assert np.abs(changed[..., darker] - expected).max() <= 255 * 0.005 + 1


def test_black_stays_black():
    black = np.zeros((2, 8, 8, 3), np.uint8)
    assert not any(Augmentation(colour=1)(black, "Jump", seed).any() for seed in range(50))


@pytest.mark.parametrize(
    "wrong",
    [
        {"crop": 0},
        {"crop": -0.1},
        {"crop": 1.1},
        {"crop": np.nan},
        {"colour": -0.1},
        {"colour": 1.1},
    ],
    ids=str,
)
def test_shares_that_make_no_sense_are_refused(wrong):
    crop, colour = ({"crop": 0.8, "colour": 0.2} | wrong).values()
    with pytest.raises(
        ValueError,
        match=f"^crop is above 0 and at most 1, colour from 0 to 1, not {crop} and {colour}\\.$",
    ):
        Augmentation(**wrong)
