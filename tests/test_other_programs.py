"""Videos like those of phones, cameras and editors are read as a player shows them."""

import subprocess
from fractions import Fraction
from functools import partial

import cv2
import keras
import numpy as np
import other_programs
import pytest
from conftest import frame_numbers
from other_programs import (
    anamorphic,
    dark,
    pausing,
    plain,
    rotated,
    transparent,
    trimmed,
    variable_rate,
)

from helpers import damage, predict, video
from helpers.playback import Playback
from helpers.video import VideoReadError

VIDEOS = {
    "trimmed-h264.mp4": trimmed,
    "trimmed-mpeg4.mp4": partial(trimmed, codec="mpeg4"),
    "trimmed-hevc.mov": partial(trimmed, codec="libx265"),
    "dark-h264.mp4": partial(dark, codec="libx264"),
    "dark-mpeg2.mpg": dark,
    "white-mpeg4.avi": partial(dark, codec="mpeg4", level=255),
    "anamorphic-h264.mp4": anamorphic,
    "anamorphic-mpeg2.mpg": partial(
        anamorphic, codec="mpeg2video", stored=(576, 720), aspect=Fraction(64, 45)
    ),
    "anamorphic-mpeg4.avi": partial(anamorphic, codec="mpeg4", aspect=Fraction(4, 3)),
    "anamorphic-narrow.mkv": partial(anamorphic, aspect=Fraction(10, 11)),
    "rotated-90.mp4": rotated,
    "rotated-180.mp4": partial(rotated, degrees=180),
    "rotated-270-hevc.mov": partial(rotated, degrees=270, codec="libx265"),
    "rotated-anamorphic.mp4": partial(rotated, aspect=Fraction(4, 3)),
    "variable-rate.mp4": variable_rate,
    "variable-rate.mkv": variable_rate,
    "variable-rate.webm": partial(variable_rate, codec="libvpx-vp9"),
    "pause.mp4": pausing,
    "pause.mkv": pausing,
    # Like a browser's recordings, it has no duration in its header.
    "pause-live.webm": partial(pausing, codec="libvpx-vp9", live=1),
    "hevc.mp4": partial(plain, codec="libx265"),
    "prores.mov": partial(plain, codec="prores_ks", pixels="yuv422p10le"),
    "alpha-vp9.webm": transparent,
    "alpha-prores.mov": partial(transparent, codec="prores_ks", pixels="yuva444p10le"),
    "alpha-png.mov": partial(transparent, codec="png", pixels="rgba"),
}


@pytest.fixture(scope="module", params=VIDEOS)
def shown(request, tmp_path_factory):
    return VIDEOS[request.param](tmp_path_factory.mktemp("video") / request.param)


def numbers(frames):
    """Return the numbers that frames of any size show."""
    resized = [cv2.resize(frame, (64, 64), interpolation=cv2.INTER_AREA) for frame in frames]
    return frame_numbers(resized)


def test_every_frame_is_read(shown):
    height, width = shown.size
    size = (64, round(64 * width / height))
    n_frames = len(shown.numbers)
    frames = video.frames_from_video_file(shown.path, n_frames, size, frame_step=1, start=0)
    assert numbers(frames) == shown.numbers


def test_proportions_are_kept(shown):
    frames = video.frames_from_video_file(shown.path, 10, (90, 90), frame_step=1, start="center")
    rows, columns = (np.flatnonzero((frames.max(0) > 127).any((axis, -1))) for axis in (1, 0))
    inner = np.array([rows[-1] - rows[0], columns[-1] - columns[0]]) + 1
    np.testing.assert_allclose(inner, 90 * np.array(shown.size) / max(shown.size), atol=1)
    assert abs(rows[0] + rows[-1] - 89) <= 1 and abs(columns[0] + columns[-1] - 89) <= 1


def test_each_frame_is_shown_at_its_time(shown):
    playback, seconds, frames = Playback(shown.path), [], []
    for second in playback:
        seconds.append(second)
        frames.append(playback.frame())
    assert numbers(frames) == shown.numbers
    np.testing.assert_allclose(seconds, shown.seconds, atol=0.002)
    assert playback.length == pytest.approx(shown.seconds[-1] + 1 / other_programs.FPS, abs=0.1)
    height, width = frames[0].shape[:2]
    assert width / height == pytest.approx(shown.size[1] / shown.size[0], rel=0.01)


def test_a_complete_video_is_read_as_one_clip(shown):
    playback = Playback(shown.path)
    assert len(list(playback)) == len(shown.numbers)
    height, width = shown.size
    frames = playback.read_all(len(shown.numbers), (64, round(64 * width / height)))
    assert numbers(frames) == shown.numbers


@pytest.mark.parametrize(
    "message, harmless",
    [
        ("mmco: unref short failure", True),
        ("co located POCs unavailable", True),
        ("no frame!", False),
    ],
)
def test_messages_about_hidden_frames_are_harmless(tmp_path, monkeypatch, message, harmless):
    path = trimmed(tmp_path / "trimmed.mp4").path
    done = subprocess.CompletedProcess([], 0, f"[OPENCV:FFMPEG:16] {message}\n".encode(), b"")
    monkeypatch.setattr(damage.subprocess, "run", lambda *args, **kwargs: done)
    assert damage.decoding_errors(path) == (() if harmless else (message,))


@pytest.mark.parametrize("suffix", [".webm", ".mp4", ".mkv"])
@pytest.mark.parametrize(
    "read",
    [lambda path: video.frames_from_video_file(path, 4, (64, 64)), Playback],
    ids=["clip", "playback"],
)
def test_a_codec_without_a_decoder_is_named(tmp_path, suffix, read):
    path = plain(tmp_path / f"av1{suffix}", "libsvtav1").path
    with pytest.raises(VideoReadError, match=r"AV1.*convert") as caught:
        read(path)
    assert str(path) in str(caught.value) and "delete" not in str(caught.value)


@pytest.mark.parametrize(
    "name, codec, options",
    [
        ("h264.mp4", "libx264", {"x264-params": "tff=1"}),
        ("mpeg2.mpg", "mpeg2video", {"flags": "+ilme+ildct"}),
        ("dv.avi", "dvvideo", None),
    ],
)
def test_interlaced_frames_are_not_garbage(tmp_path, name, codec, options):
    # OpenCV 4.13 silently fails to convert them, and returns uninitialised memory.
    shown = plain(tmp_path / name, codec, n_frames=10, size=(576, 720), options=options)
    try:
        frames = video.frames_from_video_file(shown.path, 10, (64, 80), frame_step=1, start=0)
    except VideoReadError as error:
        assert "interlaced" in str(error)
    else:
        assert numbers(frames) == shown.numbers


def test_a_prediction_and_its_copy_keep_proportions(tmp_path):
    shown = anamorphic(tmp_path / "dvd.mp4")
    inputs = keras.Input((4, 32, 32, 3), dtype="uint8")
    outputs = keras.layers.GlobalAveragePooling3D()(keras.layers.Rescaling(1 / 255)(inputs))
    classifier = predict.Classifier(keras.Model(inputs, outputs), ["red", "green", "blue"], 0.2)
    prediction = predict.predict_video(classifier, shown.path)
    assert prediction.size == shown.size
    predict.annotate(prediction, shown.path, tmp_path / "copy.mp4")
    playback = Playback(tmp_path / "copy.mp4")
    next(iter(playback))
    assert abs(np.array(playback.frame().shape[:2]) - shown.size).max() <= 1
