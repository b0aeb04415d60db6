"""Random changes to clips."""

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
def test_all_frames_change_alike_and_the_clip_stays_unchanged(clip, augmentation):
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


def test_clips_may_be_views_or_read_only(clip):
    expected = Augmentation()(clip[::2, :, ::-1].copy(), "Jump", 1)
    np.testing.assert_array_equal(Augmentation()(clip[::2, :, ::-1], "Jump", 1), expected)
    clip.setflags(write=False)
    np.testing.assert_array_equal(Augmentation()(clip[::2, :, ::-1], "Jump", 1), expected)


ARRAYS = {
    "plain": np.zeros((3, 40, 51, 3), np.uint8),
    "upside down": np.zeros((3, 40, 51, 3), np.uint8)[:, ::-1],
    "channels reversed": np.zeros((3, 40, 51, 3), np.uint8)[..., ::-1],
    "every other frame": np.zeros((6, 40, 51, 3), np.uint8)[::2],
    "part of a frame": np.zeros((3, 40, 57, 3), np.uint8)[:, :, 3:-3],
}


@pytest.mark.parametrize("out", ARRAYS.values(), ids=ARRAYS)
def test_the_copy_may_go_into_any_array_of_the_clips_size(clip, out):
    for seed in range(4):
        assert Augmentation()(clip, "Jump", seed, out) is out
        np.testing.assert_array_equal(out, Augmentation()(clip, "Jump", seed))


def test_a_clip_may_be_changed_in_place(clip):
    for seed in range(4):
        expected, copy = Augmentation()(clip, "Jump", seed), clip.copy()
        np.testing.assert_array_equal(Augmentation()(copy, "Jump", seed, copy), expected)


def test_an_array_that_cannot_hold_the_copy_is_refused(clip):
    for out in (np.zeros(clip.shape, np.float32), np.zeros(clip[1:].shape, np.uint8)):
        with pytest.raises(ValueError, match="^out must be a writable uint8 array"):
            Augmentation()(clip, "Jump", 0, out)


def test_each_seed_gives_a_change_of_its_own(clip):
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


def test_without_changes_a_copy_is_returned(clip):
    for seed in range(10):
        changed = Augmentation(**NOTHING)(clip, "Jump", seed)
        np.testing.assert_array_equal(changed, clip)
        assert not np.shares_memory(changed, clip)


# Left and right.


def count_flips(clip, class_name, **kwargs):
    """Return the number of 400 seeds that flip a clip; the others must leave it unchanged."""
    count = 0
    for seed in range(400):
        changed = Augmentation(**NOTHING | {"flip": True}, **kwargs)(clip, class_name, seed)
        is_flipped = np.array_equal(changed, clip[:, :, ::-1])
        assert is_flipped or np.array_equal(changed, clip)
        count += is_flipped
    return count


def test_half_of_the_clips_are_flipped(clip):
    assert 160 < count_flips(clip, "Jump") < 240


def test_directional_classes_are_not_flipped(clip):
    assert count_flips(clip, "WalkLeft") == count_flips(clip, "turn_right") == 0
    assert count_flips(clip, "Clockwise", directional=("Clockwise",)) == 0
    assert count_flips(clip, "Jump", directional=("Clockwise",)) > 0


def test_directional_classes_are_cropped_and_coloured_like_others(clip):
    without = Augmentation(flip=False)
    for seed in range(10):
        changed = Augmentation()(clip, "WalkLeft", seed)
        np.testing.assert_array_equal(changed, without(clip, "Jump", seed))


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
def test_names_with_the_word_left_or_right_are_directional(class_name):
    assert is_directional(class_name)


@pytest.mark.parametrize(
    "class_name",
    ["Bright", "Cleft", "Leftover", "Copyright", "upright_row", "PlayingGuitar", "", "7"],
)
def test_names_that_only_contain_those_letters_are_not_directional(class_name):
    assert not is_directional(class_name)


# Crops.


@pytest.mark.parametrize("top, y", [(0, 0), (0.5, 10), (1, 20)])
@pytest.mark.parametrize("left, x", [(0, 0), (0.5, 15), (1, 30)])
def test_a_window_is_cropped_and_resized(top, y, left, x):
    frames = np.random.default_rng(0).integers(0, 256, (2, 40, 60, 3), np.uint8)
    resized = crop_and_resize(frames, scale=0.5, top=top, left=left)
    for frame, result in zip(frames, resized, strict=True):
        expected = cv2.resize(frame[y : y + 20, x : x + 30], (60, 40))
        np.testing.assert_array_equal(result, expected)


def test_the_smallest_window_is_a_pixel(clip):
    resized = crop_and_resize(clip, 1e-9, 1, 1)
    np.testing.assert_array_equal(resized, np.broadcast_to(clip[:, -1:, -1:], clip.shape))


def test_windows_reach_all_edges_and_their_smallest_size():
    columns = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, None, :, None], (1, 100, 200, 3))
    rows = np.broadcast_to(np.arange(100, dtype=np.uint8)[None, :, None, None], (1, 100, 200, 3))
    for ramp, size in ((columns, 200), (rows, 100)):
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
def test_colours_stay_within_bounds_and_reach_them(colour):
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
    # Channels differ only by their tints, because they share the brightness.
    ratios = factors.max(axis=1) / factors.min(axis=1)
    assert ratios.max() <= (1 + colour / 2) / (1 - colour / 2) * (1 + 3 * rounding)
    means = factors.mean(axis=1)
    assert means.min() < 1 - 0.7 * colour and means.max() > 1 + 0.7 * colour
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
def test_arguments_out_of_range_are_refused(wrong):
    crop, colour = ({"crop": 0.8, "colour": 0.2} | wrong).values()
    message = "crop must be above 0 and at most 1, and colour from 0 to 1"
    with pytest.raises(ValueError, match=f"^{message}, not {crop} and {colour}\\.$"):
        Augmentation(**wrong)
