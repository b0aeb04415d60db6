"""The drawn data set: a reproducible ZIP, whose pairs of actions only time distinguishes."""

import itertools
import zipfile
from collections import Counter

import numpy as np
import pytest
from conftest import decode_all

from helpers import puppets
from helpers.ucf101 import get_class, get_group
from helpers.video import frames_from_video_file

SIZE = (puppets.HEIGHT, puppets.WIDTH)


@pytest.fixture(scope="module")
def clips(puppet_zip, tmp_path_factory):
    """Return a function from class, group and clip to the path of the extracted file."""
    folder = tmp_path_factory.mktemp("clips")

    def extract(class_name, group, clip):
        with zipfile.ZipFile(puppet_zip) as file:
            return file.extract(f"puppets/v_{class_name}_g{group:02d}_c{clip:02d}.avi", folder)

    return extract


def test_zip_has_every_clip_of_every_group_of_every_class_once(puppet_zip):
    with zipfile.ZipFile(puppet_zip) as file:
        assert file.testzip() is None
        names = file.namelist()
    expected = [
        f"puppets/v_{class_name}_g{group:02d}_c{clip:02d}.avi"
        for class_name in puppets.CLASSES
        for group in (1, 2, 3, 4)
        for clip in (1, 2)
    ]
    assert names == expected
    assert len(set(map(get_class, names))) == 10 and set(map(get_group, names)) == {1, 2, 3, 4}


def test_ten_classes_come_in_five_pairs():
    assert len(puppets.PAIRS) == 5 and sorted(sum(puppets.PAIRS, ())) == list(puppets.CLASSES)
    assert set(Counter(puppets.CLASSES).values()) == {1}


def test_the_seed_decides_every_byte(tmp_path):
    one, same, other = (
        puppets.write_zip(tmp_path / name, groups=2, clips=1, seed=seed).read_bytes()
        for name, seed in (("one.zip", 5), ("deep/folder/same.zip", 5), ("other.zip", 6))
    )
    assert one == same
    members = []
    for name in ("one.zip", "other.zip"):
        with zipfile.ZipFile(tmp_path / name) as file:
            members.append({info.CRC for info in file.infolist()})
    assert other != one and not members[0] & members[1]
    with zipfile.ZipFile(tmp_path / "one.zip") as file:
        # No member has the date on which it was drawn.
        assert {info.date_time[0] for info in file.infolist()} == {2012}


def test_an_unchanged_zip_is_not_drawn_again_and_a_stale_one_is(tmp_path, monkeypatch):
    path = tmp_path / "puppets.zip"
    drawn = []
    draw_clip = puppets.draw_clip
    monkeypatch.setattr(puppets, "draw_clip", lambda *args: drawn.append(args) or draw_clip(*args))

    def pairs_drawn(**sizes):
        drawn.clear()
        assert puppets.write_zip(path, **sizes) == path
        return len(drawn)

    assert pairs_drawn(groups=1, clips=1) == 5
    assert pairs_drawn(groups=1, clips=1) == 0
    assert pairs_drawn(groups=1, clips=2) == 10
    assert pairs_drawn(groups=1, clips=2, seed=1) == 10
    path.write_bytes(path.read_bytes()[:-100])
    assert pairs_drawn(groups=1, clips=2, seed=1) == 10
    path.write_text("no ZIP")
    assert pairs_drawn(groups=1, clips=2, seed=1) == 10
    monkeypatch.setattr(puppets.cv2, "__version__", "another version")
    assert pairs_drawn(groups=1, clips=2, seed=1) == 10


@pytest.mark.parametrize("pair", puppets.PAIRS, ids="-".join)
@pytest.mark.parametrize("group, clip", [(1, 1), (3, 2)])
def test_decoded_clips_of_a_pair_are_each_others_reverse(clips, pair, group, clip):
    forwards, backwards = (decode_all(clips(class_name, group, clip)) for class_name in pair)
    assert len(forwards) % 2 == 0 and 50 <= len(forwards) <= 60 and forwards.shape[1:] == (*SIZE, 3)
    np.testing.assert_array_equal(forwards, backwards[::-1])
    assert np.abs(forwards.astype(int) - backwards).mean() > 1


@pytest.mark.parametrize("pair", puppets.PAIRS, ids="-".join)
def test_drawn_clips_of_a_pair_are_each_others_reverse(pair):
    one, other = (puppets.draw_clip(class_name, 1, 1) for class_name in pair)
    np.testing.assert_array_equal(one, other[::-1])


@pytest.mark.parametrize("pair", puppets.PAIRS, ids="-".join)
@pytest.mark.parametrize("n_frames, frame_step", [(10, 5), (10, 15), (4, 7), (2, 1)])
def test_sampled_frames_of_a_pair_are_the_same_in_reverse_order(clips, pair, n_frames, frame_step):
    """This holds if a sample spans an even number of frames, as with the book's settings."""
    for group in (1, 4):
        one, other = (
            frames_from_video_file(
                clips(class_name, group, 1), n_frames, SIZE, frame_step, start="center"
            )
            for class_name in pair
        )
        np.testing.assert_array_equal(one, other[::-1])
        assert (one != other).any()


@pytest.mark.parametrize("pair_index", range(5))
def test_all_groups_of_a_class_differ_in_their_backdrops(pair_index):
    backdrops = [
        puppets._Cast(np.random.default_rng([0, group]), pair_index).backdrop
        for group in range(1, 26)
    ]
    for one, other in itertools.combinations(backdrops, 2):
        assert (np.abs(one.astype(int) - other).max(axis=2) > 8).mean() > 0.01


def test_actions_of_a_pair_share_their_backdrops_and_pairs_do_not():
    corner = np.s_[0, :8, :8]
    first = {name: puppets.draw_clip(name, 1, 1)[corner].tobytes() for name in puppets.CLASSES}
    assert all(first[one] == first[other] for one, other in puppets.PAIRS)
    casts = [puppets._Cast(np.random.default_rng([0, 1]), i).backdrop for i in range(5)]
    assert all((one != other).any() for one, other in itertools.combinations(casts, 2))


def test_each_class_may_have_casts_of_its_own(tmp_path):
    corner = np.s_[0, :8, :8]
    for one, other in puppets.PAIRS:
        clips = [puppets.draw_clip(name, 1, 1, casts="class") for name in (one, other)]
        np.testing.assert_array_equal(clips[0], puppets.draw_clip(one, 1, 1))
        assert (clips[0][0] != clips[1][-1]).any()
        assert clips[0][corner].tobytes() != clips[1][corner].tobytes()
    path = puppets.write_zip(tmp_path / "puppets.zip", groups=2, clips=1, casts="class")
    with zipfile.ZipFile(path) as file:
        assert len(file.namelist()) == 20
        decoded = decode_all(file.extract("puppets/v_StandUp_g02_c01.avi", tmp_path))
    drawn = puppets.draw_clip("StandUp", 2, 1, casts="class")
    assert decoded.shape == drawn.shape and np.abs(decoded.astype(int) - drawn).mean() < 4


def test_a_zip_with_other_casts_is_drawn_again(tmp_path):
    contents = [
        puppets.write_zip(tmp_path / "puppets.zip", groups=1, clips=1, casts=casts).read_bytes()
        for casts in ("pair", "class", "pair")
    ]
    assert contents[0] == contents[2] != contents[1]


def test_an_invalid_value_of_casts_is_refused(tmp_path):
    with pytest.raises(ValueError, match='casts must be "pair" or "class", not \'room\''):
        puppets.write_zip(tmp_path / "puppets.zip", groups=1, clips=1, casts="room")
    assert not list(tmp_path.iterdir())


def test_clips_of_a_group_share_the_room_and_differ_in_motion():
    one, other = puppets.draw_clip("RaiseArms", 2, 1), puppets.draw_clip("RaiseArms", 2, 2)
    length = min(len(one), len(other))
    assert (one[0, :, :8] == other[0, :, :8]).all()
    assert (one[:length] != other[:length]).any()


@pytest.mark.parametrize(
    "sizes",
    [{"groups": 0}, {"groups": 26}, {"clips": 0}, {"clips": 100}, {"groups": -1, "clips": -1}],
)
def test_too_few_or_too_many_groups_or_clips_are_refused(tmp_path, sizes):
    message = "^groups must be from 1 to 25 and clips from 1 to 99, not"
    with pytest.raises(ValueError, match=message):
        puppets.write_zip(tmp_path / "puppets.zip", **sizes)
    assert not list(tmp_path.iterdir())
