"""Playback yields each frame at its time, and a written video plays back as it was drawn."""

import cv2
import numpy as np
import pytest
from colours import plain, rotate, write
from conftest import write_video

from helpers import playback, puppets, video
from helpers.playback import Playback, constant_frame_rate, find_frames, find_part


class FakeCapture:
    """Stands in for a capture: frames with given time stamps in milliseconds."""

    def __init__(self, stamps, fps):
        self.stamps, self.fps, self.position = stamps, fps, -1

    def grab(self):
        self.position += 1
        return self.position < len(self.stamps)

    def get(self, option):
        return {
            cv2.CAP_PROP_POS_MSEC: self.stamps[min(self.position, len(self.stamps) - 1)],
            cv2.CAP_PROP_FPS: self.fps,
        }.get(option, 0)

    def release(self):
        pass


@pytest.fixture
def play(tmp_path, monkeypatch):
    """Return a function that makes a `Playback` of frames with given time stamps."""

    def play(stamps, fps):
        path, open_video = write_video(tmp_path / "any.avi", 3), video.open_video

        # Only `Playback` itself calls it without parameters.
        def fake_open(*arguments):
            return open_video(*arguments) if len(arguments) > 1 else FakeCapture(stamps, fps)

        monkeypatch.setattr(video, "open_video", fake_open)
        return Playback(path)

    return play


@pytest.mark.parametrize(
    "stamps, fps, expected, noted",
    [
        ([500, 540, 580], 25, [0, 0.04, 0.08], False),
        ([0, 0, 0, 0], 50, [0, 0.02, 0.04, 0.06], True),
        ([0, 0, 0, 0], 0, [0, 0.04, 0.08, 0.12], True),
        ([0, 0, 0, 0], float("nan"), [0, 0.04, 0.08, 0.12], True),
        ([0, 40, 20, 60], 25, [0, 0.04, 0.08, 0.12], True),
        ([0, 40, 9e7, 9e7 + 40], 25, [0, 0.04, 0.08, 0.12], True),
        ([*range(0, 4000, 40), 0], 25, [*np.arange(0, 4.01, 0.04)], False),
    ],
)
def test_implausible_time_stamps_are_replaced(play, stamps, fps, expected, noted):
    frames = play(stamps, fps)
    assert list(frames) == pytest.approx(expected)
    assert bool(frames.notes) == noted


@pytest.mark.parametrize("jump", [700, 90_000])
def test_a_pause_that_is_ignored_is_reported(play, jump):
    frames = play(np.cumsum([0] + [40] * 29 + [1000 * jump] + [40] * 29).tolist(), 25)
    assert list(frames) == pytest.approx(np.arange(60) * 0.04)
    assert frames.notes == [
        f"After 1.2 s the time stamps jump ahead by {jump} s. This is ignored, "
        "because a pause of more than 600 s is probably an error in the file."
    ]


def test_the_long_steps_of_a_time_lapse_are_plausible_if_its_header_declares_them(play):
    frames = play([0, 7e5, 14e5], 1 / 700)
    assert list(frames) == pytest.approx([0, 700, 1400]) and frames.notes == []


def test_a_rotated_video_is_turned_upright(tmp_path):
    top, bottom = np.array(plain("red", 60, 90, 320)), np.array(plain("blue", 60, 90, 320))
    path = write(tmp_path / "phone.mp4", list(np.concatenate([top, bottom], axis=1)), "mp4v")
    playing = Playback(rotate(path))
    next(iter(playing))
    frame = playing.frame()
    assert frame.shape == (320, 180, 3) and playing.size == (320, 180)
    # Rotated clockwise, the top becomes the right side.
    assert frame[:, 120:, 0].min() > 150 and frame[:, :60, 2].min() > 150


@pytest.mark.parametrize("address", ["https://example.org/a.mp4", "S3://bucket/a.mp4"])
def test_a_web_address_is_refused_as_a_target(address):
    with pytest.raises(
        ValueError, match=f"^{address} is a web address; name a file on this machine"
    ):
        playback.check_target(address)


def test_frames_are_repeated_and_dropped_for_a_constant_rate():
    timed = [(0, "a"), (0.1, "b"), (0.2, "c"), (0.5, "d")]
    assert list(constant_frame_rate(timed, 10)) == ["a", "b", "c", "c", "c", "d"]
    assert list(constant_frame_rate(timed, 5)) == ["a", "c", "c", "d"]
    assert list(constant_frame_rate([(0, "a")], 25)) == ["a"]


@pytest.mark.parametrize(
    "frames, message",
    [
        ([], "copy.mp4 can't be written, because there are no frames."),
        (
            [np.zeros((48, 64, 3), np.uint8), np.zeros((64, 48, 3), np.uint8)],
            "frame 1 has 48 x 64 pixels, not 64 x 48; resize the frames to one size",
        ),
    ],
)
def test_no_frames_or_frames_of_two_sizes_are_refused(tmp_path, frames, message):
    with pytest.raises(ValueError, match=message):
        playback.write_video(tmp_path / "copy.mp4", frames)
    assert {file.name for file in tmp_path.iterdir()} <= {".lock"}


def test_puppets_play_back_from_a_written_video_as_they_were_drawn(tmp_path):
    drawn = puppets.draw_clip("PickUp", 99, 1)
    path = tmp_path / "own.mp4"
    playback.write_video(path, drawn)
    playing = Playback(path)
    frames = np.array([playing.frame() for _ in playing])
    assert frames.shape == drawn.shape and playing.length == pytest.approx(len(drawn) / 25)
    assert np.abs(frames.astype(int) - drawn).mean() < 4


def test_parts_in_seconds_are_found_by_the_frames_own_times(tmp_path):
    path = write_video(tmp_path / "a.avi", 50)
    nan = float("nan")
    parts = [(nan, nan), (0.2, 1), (0.19, 0.21), (1, nan), (1.9, 2.5)]
    assert find_frames(path, parts) == [(0, 50), (5, 25), (5, 6), (25, 50), (48, 50)]


def test_parts_of_a_video_with_a_pause_skip_it():
    # Frames at 0, 0.04 and from 5 s on.
    times = np.array([0, 0.04, 5, 5.04])
    bounds = [find_part("a.mp4", times, 5.08, *part) for part in ((0, 1), (1, 5.04))]
    assert bounds == [(0, 2), (2, 3)]
    with pytest.raises(ValueError, match="^a.mp4 has no frame from 1 to 2 s; choose a longer"):
        find_part("a.mp4", times, 5.08, 1, 2)


@pytest.mark.parametrize("part", [(2.0, 3.0), (0.0, 3.1)])
def test_a_part_after_the_videos_end_is_refused(part):
    times = [i / 25 for i in range(50)]
    with pytest.raises(ValueError, match=r"^a.mp4 lasts 2.0 s, but a clip of it is from"):
        find_part("a.mp4", np.array(times), 2.0, *part)
