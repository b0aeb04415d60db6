"""Prediction on any video. The network predicts the dominant colour, so its answer is known."""

import itertools
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tracemalloc
import wave

import cv2
import keras
import numpy as np
import pytest
from conftest import (
    SIDE,
    coded_frames,
    draw_numbers,
    frame_numbers,
    write_avi,
    write_coded,
    write_video,
)
from PIL import Image

from helpers import annotation, models, playback, predict, puppets, video
from helpers.checkpoints import LAST, RECORD
from helpers.playback import Playback, constant_frame_rate
from helpers.predict import Classifier, ModelError, predict_video
from helpers.video import VideoReadError

COLOURS = ["red", "green", "blue"]
RGB = dict(zip(COLOURS, np.eye(3)))
CLIPS = np.random.default_rng(0).integers(0, 256, (4, 2, 8, 8, 3), np.uint8)


def colour_model(n_frames=10, height=8, width=8):
    """Return a network whose logits are the means of red, green and blue, times 8."""
    inputs = keras.Input((n_frames, height, width, 3), dtype="uint8")
    x = keras.layers.Rescaling(8 / 255)(inputs)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling3D()(x))


@pytest.fixture(scope="module")
def classifier():
    """Takes ten frames, a fifth of a second apart: from the first to the last 1.8 s."""
    return Classifier(colour_model(), COLOURS, 0.2)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """The folder of a run of the network of colours."""
    folder = tmp_path_factory.mktemp("runs") / "colours"
    folder.mkdir()
    colour_model().save(folder / LAST)
    (folder / RECORD).write_text(
        json.dumps({"class_names": COLOURS, "settings": {"frame_step": 5}})
    )
    return folder


class Listener(Classifier):
    """Keeps the clips that it is given, and says nothing about them."""

    def __init__(self, n_frames=10, apart=0.2):
        super().__init__(colour_model(n_frames, SIDE, SIDE), COLOURS, apart)
        self.heard = []

    def probabilities(self, clips):
        self.heard += [frame_numbers(clip) for clip in clips]
        return np.full((len(clips), 3), 1 / 3)


def plain(colour, n_frames, height=48, width=64):
    """Return frames of one colour."""
    return [np.full((height, width, 3), 200 * RGB[colour] + 20, np.uint8)] * n_frames


def write(path, images, code, fps=25):
    """Write images by OpenCV's FFmpeg in the container that the name asks for; return the path."""
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(
        str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*code), fps, (width, height)
    )
    assert writer.isOpened()
    for image in images:
        writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def write_gif(path, images, milliseconds):
    """Write images, each shown for a time of its own."""
    first, *others = map(Image.fromarray, images)
    first.save(path, save_all=True, append_images=others, duration=milliseconds, loop=0)
    return path


def write_with_sound(path, images):
    """Write an AVI file with a second stream: a tone of 8 bits, 8000 a second."""
    silent = write_coded(path.with_name("silent.avi"), images, "MJPG", cv2.CAP_OPENCV_MJPEG)
    height, width = images[0].shape[:2]
    tone = (128 + 60 * np.sin(np.arange(320) / 3)).astype(np.uint8).tobytes()

    def chunk(name, content):
        return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)

    def stream(kind, code, scale, rate, length, size, form):
        head = (
            kind + code + bytes(12) + struct.pack("<3Ii4I", scale, rate, 0, length, 0, 0, size, 0)
        )
        return chunk(b"LIST", b"strl" + chunk(b"strh", head) + chunk(b"strf", form))

    coded = coded_frames(silent)
    picture = struct.pack("<IiiHH4s5I", 40, width, height, 1, 24, b"MJPG", 0, 0, 0, 0, 0)
    sound = struct.pack("<HHIIHH", 1, 1, 8000, 8000, 1, 8)
    head = chunk(
        b"avih",
        struct.pack("<14I", 40_000, 0, 0, 0, len(coded), 0, 2, 0, width, height, 0, 0, 0, 0),
    )
    head += stream(b"vids", b"MJPG", 1, 25, len(coded), 0, picture) + stream(
        b"auds", bytes(4), 1, 8000, 320 * len(coded), 1, sound
    )
    movie = b"".join(chunk(b"00dc", frame) + chunk(b"01wb", tone) for frame in coded)
    path.write_bytes(
        chunk(b"RIFF", b"AVI " + chunk(b"LIST", b"hdrl" + head) + chunk(b"LIST", b"movi" + movie))
    )
    silent.unlink()
    return path


def turn(path):
    """Write a rotation by 90 degrees into an MP4 file, as phones held upright do."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 44
    content[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def patch_rate(path, scale, rate):
    """Make an AVI file's header declare so many frames a second."""
    content = bytearray(path.read_bytes())
    at = content.index(b"strh") + 8 + 20
    content[at : at + 8] = struct.pack("<2I", scale, rate)
    at = content.index(b"avih") + 8
    content[at : at + 4] = bytes(4)
    path.write_bytes(content)
    return path


# Which frames, and when.


def heard(path, **kwargs):
    """Return the numbers of the frames of each window, and what was said."""
    listener = Listener(**kwargs)
    prediction = predict_video(listener, path)
    assert len(listener.heard) == len(prediction.seconds)
    return listener.heard, prediction


def test_windows_overlap_by_half_and_the_last_one_ends_with_the_video(tmp_path):
    windows, prediction = heard(write_video(tmp_path / "numbers.avi", 120))
    assert windows == [list(range(first, first + 46, 5)) for first in (0, 25, 50, 70)]
    np.testing.assert_allclose(prediction.seconds, [[0, 1.8], [1, 2.8], [2, 3.8], [2.8, 4.6]])
    assert (prediction.n_frames, prediction.length, prediction.size) == (
        120,
        pytest.approx(4.8),
        (SIDE, SIDE),
    )
    np.testing.assert_allclose(prediction.boundaries, [0, 1.4, 2.4, 3.3, 4.8])
    assert prediction.notes == []


@pytest.mark.parametrize("hop", [1, 3, 10, 14])
def test_windows_are_a_hop_apart(tmp_path, hop):
    listener = Listener()
    predict_video(listener, write_video(tmp_path / "numbers.avi", 120), hop=hop)
    starts = [*range(0, 71, 5 * hop)]
    assert [window[0] for window in listener.heard] == starts + [70] * (starts[-1] != 70)


@pytest.mark.parametrize("hop", [0, -5])
def test_windows_that_never_come_to_an_end_are_refused(classifier, tmp_path, hop):
    with pytest.raises(ValueError, match="use 1 or more"):
        predict_video(classifier, write_video(tmp_path / "numbers.avi", 60), hop=hop)


def test_a_network_whose_weights_are_lost_is_refused(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((2, 8, 8, 3), dtype="uint8"),
            keras.layers.GlobalAveragePooling3D(),
            keras.layers.Dense(3),
        ]
    )
    model.set_weights([weight * np.nan for weight in model.get_weights()])
    with pytest.raises(ModelError, match="not finite"):
        predict_video(Classifier(model, COLOURS, 0.2), write_video(tmp_path / "numbers.avi", 60))


def network(*end, dtype="uint8", **last):
    """Return a network of two frames that ends in some layers, or in a dense layer."""
    frames = keras.Input((2, 8, 8, 3), dtype=dtype)
    x = keras.layers.GlobalAveragePooling3D()(keras.layers.Rescaling(1 / 255)(frames))
    for layer in end or [keras.layers.Dense(3, **last)]:
        x = layer(x)
    return keras.Model(frames, x)


def dense(**choice):
    return keras.layers.Dense(3, **choice)


SOFTMAX = {
    "dense": lambda: network(activation="softmax"),
    "activation": lambda: network(dense(), keras.layers.Activation("softmax", dtype="float32")),
    "layer": lambda: network(dense(), keras.layers.Softmax()),
    "operation": lambda: network(dense(), keras.ops.softmax),
    "before a cast": lambda: network(
        dense(activation="softmax"), keras.layers.Activation("linear", dtype="float32")
    ),
    "in a sequence": lambda: network(
        keras.Sequential([keras.Input((3,)), dense(activation="softmax")])
    ),
    "in a network in a network": lambda: network(network_of_two()),
    "mean of two": lambda: network(
        lambda x: keras.layers.average([dense(activation="softmax")(x) for _ in range(2)])
    ),
    "mean over time": lambda: network(
        keras.layers.RepeatVector(4),
        keras.layers.TimeDistributed(dense(activation="softmax")),
        keras.layers.GlobalAveragePooling1D(),
    ),
}


def network_of_two():
    inputs = keras.Input((3,))
    return keras.Model(
        inputs, keras.Sequential([keras.Input((3,)), dense(), keras.layers.Softmax()])(inputs)
    )


@pytest.mark.parametrize("make", SOFTMAX.values(), ids=SOFTMAX)
def test_softmax_is_taken_once(make, tmp_path):
    make().save(tmp_path / "model.keras")
    classifier = predict.load(tmp_path / "model.keras", COLOURS, 5)
    outputs = classifier.model.predict_on_batch(CLIPS)
    np.testing.assert_allclose(outputs.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(classifier.probabilities(CLIPS), outputs, atol=1e-6)


@pytest.mark.parametrize("activation", [None, "relu", "log_softmax"])
def test_softmax_is_taken_of_what_is_none(activation):
    model = network(activation=activation)
    outputs = np.exp(model.predict_on_batch(CLIPS))
    np.testing.assert_allclose(
        Classifier(model, COLOURS, 0.2).probabilities(CLIPS),
        outputs / outputs.sum(axis=1, keepdims=True),
        atol=1e-6,
    )


REFUSED = {
    "sigmoid": (
        lambda: network(activation="sigmoid"),
        "ends in a sigmoid rates each class independently",
    ),
    "sigmoid, by a layer": (
        lambda: network(dense(), keras.layers.Activation("sigmoid")),
        "ends in a sigmoid",
    ),
    "sigmoid, in a sequence": (
        lambda: network(keras.Sequential([keras.Input((3,)), dense(activation="hard_sigmoid")])),
        "hard_sigmoid",
    ),
    "one sigmoid": (
        lambda: network(keras.layers.Dense(1, activation="sigmoid")),
        "with one output .* use a model with two outputs or more",
    ),
    "one logit": (lambda: network(keras.layers.Dense(1)), "with one output"),
    "floats": (
        lambda: network(dtype="float32"),
        r'takes float32 .*keras.Input\(\(2, 8, 8, 3\), dtype="uint8"\) before it',
    ),
    "whole numbers": (
        lambda: network(dtype="int32"),
        "takes int32 may expect pixels from 0 to 1 or from 0 to 255",
    ),
    "floats, in a sequence": (
        lambda: keras.Sequential([keras.Input((2, 8, 8, 3)), keras.layers.Flatten(), dense()]),
        "takes float32 .* save the two as one model",
    ),
    "a name for the input": (
        lambda: keras.Model(
            {"video": (x := keras.Input((2, 8, 8, 3), dtype="uint8", name="video"))},
            dense()(keras.layers.Flatten()(x)),
        ),
        "video",
    ),
    "two outputs": (
        lambda: network(lambda x: [dense()(x), dense()(x)]),
        "not a network from clips of one size to logits",
    ),
}


@pytest.mark.parametrize("make, sentence", REFUSED.values(), ids=REFUSED)
def test_networks_of_another_meaning_are_refused(make, sentence, tmp_path):
    make().save(tmp_path / "model.keras")
    with pytest.raises(
        ModelError, match=f"^{tmp_path / 'model.keras'} can't be used: A model .*{sentence}"
    ):
        predict.load(tmp_path / "model.keras", None, 5)


def test_a_network_of_floats_can_be_used_as_the_refusal_says(tmp_path):
    inner = keras.Sequential(
        [
            keras.Input((2, 8, 8, 3)),
            keras.layers.GlobalAveragePooling3D(),
            dense(activation="softmax"),
        ]
    )
    frames = keras.Input((2, 8, 8, 3), dtype="uint8")
    keras.Model(frames, inner(keras.layers.Rescaling(1 / 255)(frames))).save(
        tmp_path / "model.keras"
    )
    probabilities = predict.load(tmp_path / "model.keras", COLOURS, 5).probabilities(CLIPS)
    np.testing.assert_allclose(probabilities, inner.predict_on_batch(CLIPS / 255), atol=1e-5)


@pytest.mark.parametrize("frame_step", [0, -5])
def test_frames_that_are_not_apart_are_refused(run_folder, frame_step):
    with pytest.raises(ModelError, match="colours.*use a frame step of 1 or more"):
        predict.load(run_folder, frame_step=frame_step)


def test_one_window_takes_the_frames_that_training_takes(tmp_path):
    path = write_video(tmp_path / "numbers.avi", 50)
    windows, _ = heard(path)
    assert windows == [
        frame_numbers(video.frames_from_video_file(path, 10, (SIDE, SIDE), 5, start=0))
    ]


@pytest.mark.parametrize(
    "fps, step",
    [
        (12.5, 2.5),
        (15, 3),
        (25, 5),
        (30, 6),
        (50, 10),
        (60, 12),
        (120, 24),
        (30000 / 1001, 5.994),
        (24, 4.8),
    ],
)
def test_frames_are_as_far_apart_in_time_as_in_training_whatever_the_rate(tmp_path, fps, step):
    images = [draw_numbers(frame) for frame in range(min(255, int(4 * fps)))]
    for code, name in (("FFV1", "numbers.avi"), ("FFV1", "numbers.mkv")):
        windows, prediction = heard(write(tmp_path / name, images, code, fps))
        exact = step * np.arange(10)
        assert np.abs(np.array(windows[0]) - exact).max() <= 0.51
        assert prediction.n_frames / prediction.length == pytest.approx(fps, rel=0.01)
        np.testing.assert_allclose(prediction.seconds[0], [0, 1.8], atol=0.51 / fps)


@pytest.mark.parametrize("fps", [1, 2, 4])
def test_where_frames_are_rarer_than_moments_one_serves_several(tmp_path, fps):
    path = write(tmp_path / "slow.avi", [draw_numbers(frame) for frame in range(10)], "FFV1", fps)
    windows, _ = heard(path)
    assert np.abs(np.array(windows[0]) - 0.2 * fps * np.arange(10)).max() <= 0.51


def test_a_rate_that_changes_on_the_way_is_followed(tmp_path):
    times = np.concatenate([np.full(40, 40), np.full(20, 120), np.full(40, 20)])
    path = write_gif(
        tmp_path / "numbers.gif", [draw_numbers(frame) for frame in range(100)], times.tolist()
    )
    windows, prediction = heard(path)
    shown = np.cumsum([0, *times]) / 1000
    for window, (begin, _) in zip(windows, prediction.seconds):
        moments = begin + np.arange(10) * 0.2
        assert np.abs(shown[window] - moments).max() <= 0.1
    assert prediction.seconds[-1][1] == pytest.approx(shown[99], abs=0.2)


@pytest.mark.parametrize("length", [1, 2, 7, 20, 45])
def test_a_video_shorter_than_a_window_is_spread_evenly(tmp_path, length):
    windows, prediction = heard(write_video(tmp_path / "short.avi", length))
    assert windows == [list(np.linspace(0, length - 1, 10).round())]
    assert prediction.length == pytest.approx(length / 25)
    (note,) = prediction.notes
    assert ("only one frame" if length == 1 else "shorter than the 1.8 s") in note


@pytest.mark.parametrize("n_frames", [1, 2, 3])
def test_networks_of_few_frames_see_all_of_the_video(tmp_path, n_frames):
    windows, _ = heard(write_video(tmp_path / "numbers.avi", 60), n_frames=n_frames)
    assert sorted(set(sum(windows, []))) == list(range(0, 60, 5))


@pytest.mark.parametrize("scale, rate", [(0, 0), (1, 0), (0, 1), (1, 2**31 - 1), (1, 100_000)])
def test_a_rate_that_makes_no_sense_is_not_believed(tmp_path, scale, rate):
    path = patch_rate(write_video(tmp_path / "numbers.avi", 120), scale, rate)
    windows, prediction = heard(path)
    assert windows[0] == list(range(0, 46, 5)) and prediction.length == pytest.approx(4.8, rel=0.05)
    if rate > 1:
        assert prediction.notes == [
            "The time stamps are implausible, so 25 frames per second are assumed."
        ]


class Stamps:
    """Stands for a capture: frames with the time stamps that it is given, in milliseconds."""

    def __init__(self, stamps, fps):
        self.stamps, self.fps, self.at = stamps, fps, -1

    def grab(self):
        self.at += 1
        return self.at < len(self.stamps)

    def get(self, wanted):
        return {
            cv2.CAP_PROP_POS_MSEC: self.stamps[min(self.at, len(self.stamps) - 1)],
            cv2.CAP_PROP_FPS: self.fps,
        }.get(wanted, 0)

    def release(self):
        pass


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
def test_time_stamps_that_make_no_sense_are_not_believed(
    tmp_path, monkeypatch, stamps, fps, expected, noted
):
    path = write_video(tmp_path / "any.avi", 3)
    open_video = video.open_video
    monkeypatch.setattr(
        video,
        "open_video",
        lambda *given: open_video(*given) if len(given) > 1 else Stamps(stamps, fps),
    )
    frames = Playback(path)
    assert list(frames) == pytest.approx(expected)
    assert bool(frames.notes) == noted


@pytest.mark.parametrize("jump", [700, 90_000])
def test_a_pause_that_is_left_out_is_said(tmp_path, monkeypatch, jump):
    path = write_video(tmp_path / "any.avi", 3)
    stamps = np.cumsum([0] + [40] * 29 + [1000 * jump] + [40] * 29).tolist()
    open_video = video.open_video
    monkeypatch.setattr(
        video,
        "open_video",
        lambda *given: open_video(*given) if len(given) > 1 else Stamps(stamps, 25),
    )
    frames = Playback(path)
    assert list(frames) == pytest.approx(np.arange(60) * 0.04)
    assert frames.notes == [
        f"After 1.2 s the time stamps jump ahead by {jump} s. This is ignored, "
        "because a pause of more than 600 s is probably an error in the file."
    ]


@pytest.mark.parametrize("pause", [3_000, 12_000, 60_000])
def test_while_a_camera_pauses_the_frame_before_the_pause_is_shown(tmp_path, pause):
    times = [40] * 29 + [pause] + [40] * 30
    path = write_gif(tmp_path / "pause.gif", [draw_numbers(frame) for frame in range(60)], times)
    windows, prediction = heard(path)
    shown = np.cumsum([0, *times]) / 1000
    assert prediction.length == pytest.approx(shown[-1]) and prediction.notes == []
    for window, (begin, _) in zip(windows[:-1], prediction.seconds):
        moments = begin + np.arange(10) * 0.2
        during = (moments > shown[29] + 0.2) & (moments < shown[30] - 0.2)
        assert set(np.array(window)[during]) <= {29}
    assert prediction.seconds[-1][1] == pytest.approx(shown[59], abs=0.2)


# What is said.


def test_the_timeline_follows_the_colours(classifier, tmp_path):
    images = plain("red", 125) + plain("blue", 100) + plain("green", 50)
    prediction = predict_video(classifier, write_coded(tmp_path / "colours.avi", images))
    spans = prediction.spans()
    assert [name for _, _, name, _ in spans] == ["red", "blue", "green"]
    # A span ends where the windows' middles pass the cut, give or take half a hop and half a frame.
    assert [end for _, end, _, _ in spans] == pytest.approx([5, 9, 11], abs=0.61)
    assert all(a[1] == b[0] for a, b in zip(spans, spans[1:])) and spans[0][0] == 0
    assert prediction.probabilities.shape == (10, 3) and np.allclose(
        prediction.probabilities.sum(axis=1), 1
    )
    # 220 and 20 of 255, in 48 of 64 rows, times 8.
    logits = np.array([220, 20, 20]) / 255 * 6
    assert prediction.probabilities[0] == pytest.approx(
        np.exp(logits) / np.exp(logits).sum(), abs=0.02
    )
    assert prediction.top(2, window=0)[0][0] == "red" and [
        name for name, _ in prediction.top()
    ] == ["red", "blue", "green"]
    assert prediction.top(9) == prediction.top(3)


def test_batches_change_nothing(classifier, tmp_path):
    path = write_coded(tmp_path / "colours.avi", plain("red", 100) + plain("blue", 100))
    one, many = (
        predict_video(classifier, path, batch_size).probabilities for batch_size in (1, 64)
    )
    np.testing.assert_allclose(one, many, rtol=1e-5)


def test_a_long_video_takes_no_more_memory(tmp_path):
    classifier = Classifier(colour_model(10, 32, 32), COLOURS, 0.2)
    frame = plain("green", 1, 96, 128)
    peaks, lengths = [], (1_000, 20_000)
    predict_video(
        classifier, write_coded(tmp_path / "first.avi", frame * 300)
    )  # what is loaded at the first time stays
    for length in lengths:
        path = write_coded(tmp_path / f"{length}.avi", frame * length)
        tracemalloc.start()
        prediction = predict_video(classifier, path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert prediction.n_frames == length and len(prediction.seconds) == length // 25 - 1 + (
            length % 25 > 0
        )
    print(
        f"peak of {peaks[0] / 1e6:.2f} MB at {lengths[0]} frames, "
        f"{peaks[1] / 1e6:.2f} MB at {lengths[1]}"
    )
    assert peaks[1] < peaks[0] + 1e6


# Ten videos, and ten that are none.


def make_ten(folder):
    """Write ten green videos that differ in format, size, length and rate; return the paths."""
    folder.mkdir(exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 60, (90, 120, 160, 3), np.uint8)
    grain = [frame + np.array([0, 120, 0], np.uint8) for frame in noise]
    return [
        write_coded(folder / "motion_jpeg.avi", plain("green", 60), "MJPG", cv2.CAP_OPENCV_MJPEG),
        write(folder / "xvid_grain.avi", grain, "XVID", 30),
        write(folder / "portrait_60fps.mp4", plain("green", 240, 320, 180), "mp4v", 60),
        turn(write(folder / "held_upright.mp4", plain("green", 75, 180, 320), "mp4v", 30)),
        write(folder / "odd_size.mkv", plain("green", 100, 77, 131), "FFV1", 24),
        write(folder / "web.webm", plain("green", 120, 240, 320), "VP90", 30000 / 1001),
        write(folder / "large_4k.mov", plain("green", 30, 2160, 3840), "mp4v", 30),
        write_gif(folder / "animated.gif", plain("green", 1) + grain[:40], [40, 90] * 20 + [40]),
        write_with_sound(folder / "with_sound.avi", plain("green", 80)),
        write(folder / "one_frame.wmv", grain[:1], "WMV2"),
    ]


def make_bad(folder):
    """Write what must be refused; return the paths by what must be said."""
    folder.mkdir(exist_ok=True)
    whole = write(folder / "whole.mp4", plain("green", 60), "mp4v").read_bytes()
    (folder / "cut_off.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "letter.mp4").write_text("Dear reader, this is no video.\n" * 50)
    with wave.open(str(folder / "song.wav"), "wb") as sound:
        sound.setparams((1, 1, 8000, 8000, "NONE", ""))
        sound.writeframes(bytes(range(256)) * 40)
    (folder / "holiday").mkdir(exist_ok=True)
    coded = coded_frames(write_video(folder / "numbers.avi", 60))
    write_avi(folder / "damaged.avi", [*coded[:6], bytes(len(coded[6])), *coded[7:]], (SIDE, SIDE))
    coded = coded_frames(write_video(folder / "numbers.avi", 120))
    write_avi(
        folder / "damaged_late.avi", [*coded[:80], bytes(len(coded[80])), *coded[81:]], (SIDE, SIDE)
    )
    write_avi(
        folder / "no_first_frame.avi",
        coded_frames(write_coded(folder / "changes.avi", plain("red", 9) + plain("blue", 9)))[1:],
        (48, 64),
        b"XVID",
    )
    way_out = f"; {video.REMEDY}."
    return {
        folder / "missing.mp4": "does not exist; check the path, or download the file again.",
        folder / "holiday": "is a folder; give the path of a video in it.",
        pathlib.Path("/dev/null"): "is not a regular file; give the path of a video.",
        folder / "empty.mp4": f"can't be opened as a video{way_out}",
        folder / "letter.mp4": f"can't be opened as a video{way_out}",
        folder / "song.wav": f"can't be opened as a video{way_out}",
        folder / "cut_off.mp4": f"can't be opened as a video{way_out}",
        folder / "damaged.avi": f"is damaged: only 6 of its 60 frames can be decoded{way_out}",
        folder
        / "damaged_late.avi": f"is damaged: only 80 of its 120 frames can be decoded{way_out}",
        folder / "no_first_frame.avi": "lacks its first frames, so those that follow are wrong"
        + way_out,
    }


def test_ten_videos_of_all_kinds_are_read(classifier, tmp_path):
    for path in make_ten(tmp_path):
        prediction = predict_video(classifier, path)
        assert prediction.top(1)[0][0] == "green", path.name
        assert [name for _, _, name, _ in prediction.spans()] == ["green"]
        assert not any("header" in note for note in prediction.notes), (
            "there is nothing odd about these headers"
        )


def test_what_is_no_video_is_refused_in_one_sentence(classifier, tmp_path):
    for path, said in make_bad(tmp_path).items():
        with pytest.raises(VideoReadError) as caught:
            predict_video(classifier, path)
        assert str(caught.value) == f"{path} {said}"


@pytest.mark.parametrize(
    "name", ["12:30.mp4", "concat:a.mp4", "%03d.mp4", "über ü.mp4", b"bad\xff.mp4"]
)
def test_any_name_will_do(classifier, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = os.fsdecode(name)
    try:
        write(tmp_path / "plain.mp4", plain("green", 60), "mp4v").rename(path)
    except OSError:
        pytest.skip("this file system doesn't have such names")
    prediction = predict_video(classifier, path)
    assert prediction.top(1)[0][0] == "green" and prediction.n_frames == 60
    predict.annotate(prediction, path, f"copy of {path}")
    assert len(list(Playback(f"copy of {path}"))) == 60


def test_a_video_held_upright_is_turned(classifier, tmp_path):
    top, bottom = np.array(plain("red", 60, 90, 320)), np.array(plain("blue", 60, 90, 320))
    path = write(tmp_path / "phone.mp4", list(np.concatenate([top, bottom], axis=1)), "mp4v")
    assert predict_video(classifier, path).size == (180, 320)
    frames = Playback(turn(path))
    next(iter(frames))
    picture = frames.frame()
    assert picture.shape == (320, 180, 3)
    # Turned clockwise, what was on top is on the right.
    assert picture[:, 120:, 0].min() > 150 and picture[:, :60, 2].min() > 150
    assert predict_video(classifier, path).size == (320, 180)


def test_a_file_that_breaks_off_is_judged_as_far_as_it_goes_and_that_is_said(classifier, tmp_path):
    path = write_coded(
        tmp_path / "half.avi", plain("red", 100) + plain("blue", 100), "MJPG", cv2.CAP_OPENCV_MJPEG
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 5])
    prediction = predict_video(classifier, path)
    assert 70 < prediction.n_frames < 90 and {name for _, _, name, _ in prediction.spans()} == {
        "red"
    }
    assert prediction.notes == [
        f"The header declares 8.0 s, but the frames last {prediction.n_frames / 25:.1f} s."
    ]


def test_an_empty_stream_is_refused(classifier, tmp_path):
    path = write_avi(tmp_path / "none.avi", [], (48, 64))
    with pytest.raises(VideoReadError, match="again"):
        predict_video(classifier, path)


def test_a_web_address_is_no_file(classifier):
    for address in ("https://example.org/a.mp4", "S3://bucket/a.mp4"):
        with pytest.raises(
            VideoReadError, match=f"^{address} is a web address; download the video"
        ):
            predict_video(classifier, address)
        with pytest.raises(ModelError, match=f"^{address} is a web address; download the model"):
            predict.load(address)
        with pytest.raises(
            ValueError, match=f"^{address} is a web address; name a file on this machine"
        ):
            playback.check_target(address)


def test_a_time_lapse_is_believed_where_its_header_knows(tmp_path, monkeypatch):
    path = write_video(tmp_path / "any.avi", 3)
    open_video = video.open_video
    monkeypatch.setattr(
        video,
        "open_video",
        lambda *given: open_video(*given) if len(given) > 1 else Stamps([0, 7e5, 14e5], 1 / 700),
    )
    frames = Playback(path)
    assert list(frames) == pytest.approx([0, 700, 1400]) and frames.notes == []


# Models.


def test_a_run_says_itself_what_its_classes_are_and_how_far_apart_its_frames(run_folder):
    for path in (run_folder, run_folder / LAST, str(run_folder)):
        loaded = predict.load(path)
        assert (loaded.class_names, loaded.frame_interval, loaded.n_frames, loaded.output_size) == (
            COLOURS,
            0.2,
            10,
            (8, 8),
        )
    assert predict.load(run_folder, ["a", "b", "c"], 10).frame_interval == 0.4


def test_a_model_that_was_moved_has_to_be_told(tmp_path):
    path = tmp_path / "moved.keras"
    colour_model().save(path)
    with pytest.raises(
        ModelError,
        match=f"^{path} has no record.json beside it .*--frame-step, and the class names with ",
    ):
        predict.load(path)
    assert predict.load(path, frame_step=5).class_names == ["class 0", "class 1", "class 2"]
    assert predict.load(path, COLOURS, 5).class_names == COLOURS
    with pytest.raises(
        ModelError,
        match=f"^{path} can't be used: A model of 3 classes needs as many names, not 2; list ",
    ):
        predict.load(path, ["a", "b"], 5)


def test_what_is_no_network_for_videos_is_refused(tmp_path):
    def save(name, model):
        model.save(tmp_path / name)
        return tmp_path / name

    image = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    inputs = keras.Input((10, 8, 8, 3))
    per_pixel = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    any_length = keras.Input((None, 8, 8, 3))
    free = keras.Model(any_length, keras.layers.GlobalAveragePooling3D()(any_length))
    two = keras.Model(inputs, [keras.layers.GlobalAveragePooling3D()(inputs), inputs])
    for name, model in {
        "image.keras": image,
        "per_pixel.keras": per_pixel,
        "free.keras": free,
        "two.keras": two,
    }.items():
        for class_names in (COLOURS, None):
            with pytest.raises(
                ModelError,
                match=f"{name} can't be used: .* not a network from clips of one size to logits",
            ):
                predict.load(save(name, model), class_names, 5)
    (tmp_path / "text.keras").write_text("no model")
    (tmp_path / "empty.keras").write_bytes(b"")
    whole = save("whole.keras", colour_model()).read_bytes()
    (tmp_path / "half.keras").write_bytes(whole[: len(whole) // 2])
    for name in ("text.keras", "empty.keras", "half.keras"):
        with pytest.raises(
            ModelError,
            match=f"^{tmp_path / name} can't be loaded: it is damaged, .* save the model again.$",
        ):
            predict.load(tmp_path / name, COLOURS, 5)
    for path in (tmp_path, tmp_path / "missing.keras"):
        with pytest.raises(
            ModelError, match="does not exist; name a .keras file, or the folder of a run"
        ):
            predict.load(path, COLOURS, 5)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[1]",
        "{}",
        '{"settings": null}',
        '{"settings": {"frame_step": "5"}}',
        '{"settings": {"frame_step": 0}}',
        '{"settings": {"frame_step": 5}, "class_names": 7}',
    ],
)
def test_a_damaged_record_is_named(tmp_path, content):
    colour_model().save(tmp_path / LAST)
    (tmp_path / RECORD).write_text(content)
    with pytest.raises(ModelError, match=f"{RECORD}.*--frame-step"):
        predict.load(tmp_path)


# The annotated copy.


def test_a_copy_shows_the_classes_of_each_moment(classifier, tmp_path):
    path = write(
        tmp_path / "colours.mp4",
        plain("red", 120, 240, 320) + plain("blue", 120, 240, 320),
        "mp4v",
        30,
    )
    prediction = predict_video(classifier, path)
    for name in ("copy.mp4", "copy.avi"):
        copy = tmp_path / "out" / name
        predict.annotate(prediction, path, copy)
        frames = Playback(copy)
        pictures = [frames.frame() for _ in frames]
        assert (
            len(pictures) == 240
            and frames.length == pytest.approx(8, abs=0.01)
            and frames.size == (240, 320)
        )
        # The panel changes where one window's word ends and the next one's begins.
        change = (
            30
            * prediction.boundaries[
                np.flatnonzero(np.diff(prediction.probabilities.argmax(axis=1)))[0] + 1
            ]
        )
        before, after = (pictures[round(change) + step][-60:, :250].astype(int) for step in (-2, 2))
        assert (
            np.abs(before - pictures[round(change) - 8][-60:, :250]).max()
            < 40
            < np.abs(before - after).max()
        )
        for index, channel in ((5, 0), (235, 2)):
            picture = pictures[index].astype(int)
            assert picture[:150, :, channel].min() > 180, "the upper part is left as it is"
            panel = picture[-60:, :250]
            assert (panel.min(axis=2) > 200).any() and np.median(panel.max(axis=2)) < 90, (
                "white writing on a dark panel"
            )
        assert np.abs(pictures[5][-60:, :250].astype(int) - pictures[235][-60:, :250]).max() > 50
    assert sorted(file.name for file in copy.parent.iterdir()) == [".lock", "copy.avi", "copy.mp4"]


def test_letters_of_any_script_are_drawn(tmp_path):
    names = ["u", "ü", "é", "ł", "ж", "Ω", "تمرين", "e\u0301tirement"]
    panels = [annotation._draw_panel([(name, 0.5)], (240, 320, 3)) for name in names]
    assert all((one != other).any() for one, other in itertools.combinations(panels, 2))
    # A letter that is composed is the same letter.
    np.testing.assert_array_equal(
        annotation._draw_panel([("e\u0301", 0.5)], (240, 320, 3)),
        annotation._draw_panel([("é", 0.5)], (240, 320, 3)),
    )


def test_letters_that_no_font_has_are_refused_before_the_work(
    run_folder, capsys, tmp_path, monkeypatch
):
    monkeypatch.setattr(annotation.font_manager, "findSystemFonts", list)
    annotation.find_font.cache_clear()
    path = write_coded(tmp_path / "colours.avi", plain("red", 60))
    status, said, complained = run(
        capsys,
        run_folder,
        path,
        "--annotate",
        tmp_path / "copy.mp4",
        "--classes",
        "red",
        "俯卧撑",
        "blue",
    )
    assert status == 1 and said == "" and not (tmp_path / "copy.mp4").exists()
    assert complained.startswith(
        "'俯卧撑' can't be drawn, because no font of this machine has '俯'; install one that has it"
    )
    with pytest.raises(ValueError, match="no font of this machine has"):
        annotation._draw_panel([("ä\uffff", 0.5)], (240, 320, 3))


def test_letters_are_looked_for_in_the_machines_fonts(tmp_path, monkeypatch):
    own = annotation.font_manager.findfont("DejaVu Sans")
    broken = tmp_path / "broken.ttf"
    broken.write_text("no font")
    letters = annotation._characters
    monkeypatch.setattr(
        annotation.font_manager, "findSystemFonts", lambda: [str(broken), "machine's.ttf"]
    )
    monkeypatch.setattr(
        annotation,
        "_characters",
        lambda file: {ord("俯")} if file == "machine's.ttf" else letters(file),
    )
    annotation.find_font.cache_clear()
    assert (
        annotation.find_font("俯") == "machine's.ttf" and annotation.find_font("Liegestütze") == own
    )
    annotation.find_font.cache_clear()


def test_a_copy_of_a_varying_rate_shows_each_frame_at_its_time(classifier, tmp_path):
    images = np.array(plain("red", 50) + plain("blue", 50))
    images[np.arange(100), 20 + np.arange(100) % 10] = (
        255  # of frames that are alike, a GIF keeps one
    )
    path = write_gif(tmp_path / "a.gif", images, [40] * 50 + [400] * 50)
    prediction = predict_video(classifier, path)
    predict.annotate(prediction, path, tmp_path / "copy.mp4")
    frames = Playback(tmp_path / "copy.mp4")
    red = {second: bool(frames.frame()[0, 0, 0] > 128) for second in frames}
    assert max(second for second, here in red.items() if here) == pytest.approx(
        2, abs=0.3
    ) and frames.length == pytest.approx(22, rel=0.05)


def test_frames_at_an_even_rate_are_repeated_and_left_out():
    timed = [(0, "a"), (0.1, "b"), (0.2, "c"), (0.5, "d")]
    assert list(constant_frame_rate(timed, 10)) == ["a", "b", "c", "c", "c", "d"]
    assert list(constant_frame_rate(timed, 5)) == ["a", "c", "c", "d"]
    assert list(constant_frame_rate([(0, "a")], 25)) == ["a"]


@pytest.mark.parametrize(
    "size, expected",
    [
        ((48, 64), (48, 64)),
        ((77, 131), (76, 130)),
        ((2160, 3840), (720, 1280)),
        ((1920, 1080), (1280, 720)),
    ],
)
def test_a_copy_has_the_videos_size_up_to_a_limit(classifier, tmp_path, size, expected):
    path = write(tmp_path / "any.mkv", plain("green", 4, *size), "MJPG")
    predict.annotate(predict_video(classifier, path), path, tmp_path / "copy.mp4")
    frames = Playback(tmp_path / "copy.mp4")
    next(iter(frames))
    assert frames.frame().shape[:2] in (expected, size if max(size) < 1280 else expected)


def test_a_copy_that_cannot_be_written_leaves_nothing(classifier, tmp_path, monkeypatch):
    path = write_coded(tmp_path / "in" / "colours.avi", plain("red", 60))
    prediction = predict_video(classifier, path)
    with pytest.raises(ValueError, match="is the source video; choose another name for the copy"):
        predict.annotate(prediction, path, path)
    with pytest.raises(ValueError, match="can't be written; name a file that ends in .mp4 or .avi"):
        predict.annotate(prediction, path, tmp_path / "copy.xyz")
    monkeypatch.setattr(playback, "_CODECS", {".mp4": "????"})
    with pytest.raises(
        OSError,
        match="copy.mp4 can't be written: either frames of 64 x 48 pixels at 25 per second can't ",
    ):
        predict.annotate(prediction, path, tmp_path / "copy.mp4")
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == [".lock"]
    assert path.stat().st_size > 0


def test_a_copy_of_a_video_that_turns_on_the_way_keeps_its_first_size(
    classifier, tmp_path, monkeypatch
):
    path = write(tmp_path / "red.avi", plain("red", 60), "MJPG")
    prediction = predict_video(classifier, path)
    picture = Playback.frame
    # No writer here makes such a file; some cameras do.
    monkeypatch.setattr(
        Playback,
        "frame",
        lambda self: picture(self) if self.n_frames < 30 else picture(self).transpose(1, 0, 2),
    )
    predict.annotate(prediction, path, tmp_path / "copy.avi")
    pictures, _ = video.read_frames(tmp_path / "copy.avi", np.arange, (48, 64))
    assert len(pictures) == 60
    assert pictures[10, 5, 60, 0] > 200 and pictures[50, 5, 60, 0] < 50, (
        "bars stand beside what is upright"
    )
    assert pictures[50, 5, 32, 0] > 200


@pytest.mark.parametrize(
    "frames, said",
    [
        ([], "copy.mp4 can't be written, because there are no frames."),
        (
            [np.zeros((48, 64, 3), np.uint8), np.zeros((64, 48, 3), np.uint8)],
            "frame 1 has 48 x 64 pixels, not 64 x 48; resize the frames to one size",
        ),
    ],
)
def test_frames_that_make_no_video_are_refused(tmp_path, frames, said):
    with pytest.raises(ValueError, match=said):
        playback.write_video(tmp_path / "copy.mp4", frames)
    assert {file.name for file in tmp_path.iterdir()} <= {".lock"}


# The shell.


def run(capsys, *arguments):
    """Return the exit status, and what was printed and complained of."""
    status = predict.main([str(argument) for argument in arguments])
    return status, *capsys.readouterr()


def test_shell_says_what_a_video_shows_and_what_that_is_worth(run_folder, capsys, tmp_path):
    path = write_coded(tmp_path / "colours.avi", plain("red", 100) + plain("blue", 75))
    status, said, complained = run(capsys, run_folder, path, "--top", 2)
    lines = said.splitlines()
    assert (status, complained) == (0, "")
    assert lines[0] == f"{path}: 7.0 s, 64 x 48 pixels, 25 frames/s, 6 windows"
    assert [line.split()[1] for line in lines[1:3]] == ["red", "blue"]
    assert [line.split()[-1] for line in lines[4:6]] == ["red", "blue"]
    assert lines[-1].startswith(
        "The network always predicts one of its 3 classes, whatever the video shows"
    )


def test_shell_goes_on_after_a_video_that_cannot_be_read(run_folder, capsys, tmp_path):
    path = write_coded(tmp_path / "colours.avi", plain("red", 60))
    status, said, complained = run(capsys, run_folder, tmp_path / "missing.mp4", path)
    assert status == 1 and f"{path}: 2.4 s" in said
    path = tmp_path / "missing.mp4"
    assert complained == f"{path} does not exist; check the path, or download the file again.\n"


def test_shell_takes_a_photograph_for_what_it_is(run_folder, capsys, tmp_path):
    Image.fromarray(plain("green", 1)[0]).save(tmp_path / "photo.png")
    status, said, _ = run(capsys, run_folder, tmp_path / "photo.png")
    assert (
        status == 0
        and said.splitlines()[1] == "  The video has only one frame, in which nothing can move."
    )


def test_shell_has_nothing_to_add_where_it_has_said_nothing(run_folder, capsys, tmp_path):
    assert run(capsys, run_folder, tmp_path / "missing.mp4")[:2] == (1, "")
    assert run(capsys, tmp_path / "missing.keras", "video.mp4")[:2] == (1, "")


def test_shell_writes_a_copy(run_folder, capsys, tmp_path):
    path = write_coded(tmp_path / "colours.avi", plain("red", 60))
    status, _, complained = run(capsys, run_folder, path, "--annotate", tmp_path / "copy.mp4")
    assert (status, complained) == (0, "") and len(list(Playback(tmp_path / "copy.mp4"))) == 60
    status, _, complained = run(capsys, run_folder, path, "--annotate", path)
    assert (
        status == 1
        and complained == f"{path} is the source video; choose another name for the copy.\n"
    )


def test_shell_refuses_a_copy_before_the_work(run_folder, capsys, tmp_path, monkeypatch):
    path = write_coded(tmp_path / "colours.avi", plain("red", 60))
    monkeypatch.setattr(predict, "predict_video", lambda *_: pytest.fail("so much for nothing"))
    for target, said in (
        ("copy.mkv", "can't be written; name a file that ends in .mp4 or .avi"),
        (path, "is the source video"),
        ("", "can't be written"),
    ):
        status, _, complained = run(capsys, run_folder, path, "--annotate", target)
        assert status == 1 and said in complained


def test_shell_takes_options_between_videos(run_folder, capsys, tmp_path):
    path = write_coded(tmp_path / "colours.avi", plain("red", 60))
    status, said, _ = run(capsys, run_folder, path, "--top", 1, path)
    assert status == 0 and said.count("60") == 0 and said.count(f"{path}: ") == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("--top", "0"),
        ("--frame-step", "0"),
        ("second.mp4", "--annotate", "copy.mp4"),
        ("--top", "many"),
    ],
)
def test_shell_refuses_options_that_make_no_sense(run_folder, capsys, arguments):
    with pytest.raises(SystemExit, match="2"):
        predict.main([str(run_folder), "video.mp4", *arguments])
    assert "usage:" in capsys.readouterr().err


def test_shell_has_no_traceback(run_folder, tmp_path):
    (tmp_path / "letter.mp4").write_text("no video" * 100)
    for model, path, said in (
        (run_folder, "letter.mp4", "letter.mp4 can't be opened as a video"),
        ("nothing.keras", "letter.mp4", "nothing.keras does not exist"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "helpers.predict", model, path],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert any(line.startswith(said) for line in done.stderr.splitlines()), done.stderr


# Elsewhere.

FOREIGN = """
import sys, warnings
import numpy as np, tensorflow as tf
clips = np.load("clips.npy")
network = tf.saved_model.load("saved")
np.save("saved.npy", network.serve(clips).numpy())
warnings.simplefilter("ignore")
lite = tf.lite.Interpreter("network.tflite").get_signature_runner()
assert "helpers" not in sys.modules
np.save("lite.npy", np.concatenate([lite(frames=clip[None])["output_0"] for clip in clips]))
"""


def run_elsewhere(model, folder):
    """Run an exported network with TensorFlow only; return our logits and the output."""
    model.export(str(folder / "saved"), verbose=False)
    model.export(str(folder / "network.tflite"), format="litert", verbose=False)
    clips = np.stack(
        [video.frames_from_video_file(path, 6, (48, 48), 5, start=0) for path in draw_five(folder)]
    )
    np.save(folder / "clips.npy", clips)
    done = subprocess.run(
        [sys.executable, "-c", FOREIGN], cwd=folder, capture_output=True, text=True
    )
    return model.predict_on_batch(clips), done.stderr


def expect_alike(ours, file):
    theirs = np.load(file)
    print(
        f"{file.stem}: logits from {ours.min():.3f} to {ours.max():.3f} differ by at most "
        f"{abs(theirs - ours).max():.1e}"
    )
    np.testing.assert_allclose(theirs, ours, atol=1e-5 * np.ptp(ours))
    assert (theirs.argmax(axis=1) == ours.argmax(axis=1)).all()


def test_an_exported_network_answers_alike_where_nobody_knows_this_books_code(tmp_path):
    ours, complaint = run_elsewhere(
        models.build_small_resnet(10, 6, 48, 48, subtract_mean=True), tmp_path
    )
    for name in ("saved.npy", "lite.npy"):
        assert (tmp_path / name).exists(), complaint
        expect_alike(ours, tmp_path / name)


def test_the_tutorials_network_takes_more_than_plain_litert(tmp_path):
    ours, complaint = run_elsewhere(models.build_tutorial_model(10, 6, 48, 48), tmp_path)
    expect_alike(ours, tmp_path / "saved.npy")
    # Up to a version of TensorFlow, its interpreter brings the larger build along.
    assert re.search("FlexAvgPool3D|TfLiteFlexDelegate", complaint), (
        "if this fails, the chapter's remark on it can go"
    )


def draw_five(folder):
    """Write a puppet of each pair of actions; yield the paths."""
    for first, _ in puppets.PAIRS:
        playback.write_video(folder / f"{first}.mp4", puppets.draw_clip(first, 99, 1))
        yield folder / f"{first}.mp4"


def test_puppets_are_read_from_a_written_video_as_they_were_drawn(tmp_path):
    frames = puppets.draw_clip("PickUp", 99, 1)
    path = tmp_path / "own.mp4"
    playback.write_video(path, frames)
    played = Playback(path)
    pictures = np.array([played.frame() for _ in played])
    assert pictures.shape == frames.shape and played.length == pytest.approx(len(frames) / 25)
    assert np.abs(pictures.astype(int) - frames).mean() < 4
