"""Videos from FFmpeg, as phones, cameras and editors write them, are read as players show them."""

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
    "pause-live.webm": partial(
        pausing, codec="libvpx-vp9", live=1
    ),  # no duration in its header, as a browser records
    "hevc.mp4": partial(plain, codec="libx265"),
    "prores.mov": partial(plain, codec="prores_ks", pixels="yuv422p10le"),
    "alpha-vp9.webm": transparent,
    "alpha-prores.mov": partial(transparent, codec="prores_ks", pixels="yuva444p10le"),
    "alpha-png.mov": partial(transparent, codec="png", pixels="rgba"),
}


@pytest.fixture(scope="module", params=VIDEOS)
def shown(request, tmp_path_factory):
    return VIDEOS[request.param](tmp_path_factory.mktemp("video") / request.param)


def numbers(pictures):
    """Return what pictures of any size tell."""
    return frame_numbers(
        [cv2.resize(picture, (64, 64), interpolation=cv2.INTER_AREA) for picture in pictures]
    )


def test_every_frame_is_read(shown):
    height, width = shown.size
    size = (64, round(64 * width / height))
    frames = video.frames_from_video_file(
        shown.path, len(shown.numbers), size, frame_step=1, start=0
    )
    assert numbers(frames) == shown.numbers


def test_the_picture_is_not_squeezed(shown):
    frames = video.frames_from_video_file(shown.path, 10, (90, 90), frame_step=1, start="center")
    rows, columns = (np.flatnonzero((frames.max(0) > 127).any((axis, -1))) for axis in (1, 0))
    inner = np.array([rows[-1] - rows[0], columns[-1] - columns[0]]) + 1
    np.testing.assert_allclose(inner, 90 * np.array(shown.size) / max(shown.size), atol=1)
    assert abs(rows[0] + rows[-1] - 89) <= 1 and abs(columns[0] + columns[-1] - 89) <= 1


def test_a_frame_is_shown_at_its_second(shown):
    playback, told = Playback(shown.path), []
    seconds = [second for second in playback if told.append(playback.frame()) is None]
    assert numbers(told) == shown.numbers
    np.testing.assert_allclose(seconds, shown.seconds, atol=0.002)
    assert playback.length == pytest.approx(shown.seconds[-1] + 1 / other_programs.FPS, abs=0.1)
    height, width = told[0].shape[:2]
    assert width / height == pytest.approx(shown.size[1] / shown.size[0], rel=0.01)


def test_a_whole_video_is_read_as_one_clip(shown):
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
def test_messages_about_frames_that_are_hidden_are_harmless(
    tmp_path, monkeypatch, message, harmless
):
    path = trimmed(tmp_path / "trimmed.mp4").path
    said = f"[OPENCV:FFMPEG:16] {message}\n".encode()
    monkeypatch.setattr(
        damage.subprocess,
        "run",
        lambda *args, **kwargs: subprocess.CompletedProcess(args, 0, said, b""),
    )
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
    """OpenCV from 4.13 on fails to convert them silently, and returns leftover memory."""
    shown = plain(tmp_path / name, codec, n_frames=10, size=(576, 720), options=options)
    try:
        frames = video.frames_from_video_file(shown.path, 10, (64, 80), frame_step=1, start=0)
    except VideoReadError as error:
        assert "interlaced" in str(error)
    else:
        assert numbers(frames) == shown.numbers


def test_a_prediction_and_its_copy_are_not_squeezed(tmp_path):
    shown = anamorphic(tmp_path / "dvd.mp4")
    inputs = keras.Input((4, 32, 32, 3), dtype="uint8")
    model = keras.Model(
        inputs, keras.layers.GlobalAveragePooling3D()(keras.layers.Rescaling(1 / 255)(inputs))
    )
    prediction = predict.predict_video(
        predict.Classifier(model, ["red", "green", "blue"], 0.2), shown.path
    )
    assert prediction.size == shown.size
    predict.annotate(prediction, shown.path, tmp_path / "copy.mp4")
    frames = Playback(tmp_path / "copy.mp4")
    next(iter(frames))
    assert abs(np.array(frames.frame().shape[:2]) - shown.size).max() <= 1
