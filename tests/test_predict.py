"""Prediction on any video. The network predicts the dominant colour, so its answer is known."""

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
from colours import COLOURS, colour_classifier, colour_model, plain, rotate, write, write_gif
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
from helpers.playback import Playback
from helpers.predict import Classifier, ModelError, predict_video
from helpers.video import VideoReadError

CLIPS = np.random.default_rng(0).integers(0, 256, (4, 2, 8, 8, 3), np.uint8)


@pytest.fixture(scope="module")
def classifier():
    return colour_classifier()


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """The folder of a run of the network that predicts colours."""
    folder = tmp_path_factory.mktemp("runs") / "colours"
    folder.mkdir()
    colour_model().save(folder / LAST)
    (folder / RECORD).write_text(
        json.dumps({"class_names": COLOURS, "settings": {"frame_step": 5}})
    )
    return folder


class Recorder(Classifier):
    """Records the frame numbers of the clips, and predicts equal probabilities."""

    def __init__(self, n_frames=10, frame_interval=0.2):
        super().__init__(colour_model(n_frames, SIDE, SIDE), COLOURS, frame_interval)
        self.windows = []

    def probabilities(self, clips):
        self.windows += [frame_numbers(clip) for clip in clips]
        return np.full((len(clips), 3), 1 / 3)


def write_with_sound(path, images):
    """Write an AVI file with a second stream: a tone of 8-bit samples at 8 kHz."""
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


def patch_rate(path, scale, rate):
    """Make the header of an AVI file declare `rate / scale` frames per second."""
    content = bytearray(path.read_bytes())
    at = content.index(b"strh") + 8 + 20
    content[at : at + 8] = struct.pack("<2I", scale, rate)
    at = content.index(b"avih") + 8
    content[at : at + 4] = bytes(4)
    path.write_bytes(content)
    return path


# Which frames the windows contain, and when they are shown.


def record(path, **kwargs):
    """Return the frame numbers of each window, and the prediction."""
    recorder = Recorder(**kwargs)
    prediction = predict_video(recorder, path)
    assert len(recorder.windows) == len(prediction.seconds)
    return recorder.windows, prediction


def test_windows_overlap_by_half_and_the_last_one_ends_with_the_video(tmp_path):
    windows, prediction = record(write_video(tmp_path / "numbers.avi", 120))
    assert windows == [list(range(first, first + 46, 5)) for first in (0, 25, 50, 70)]
    np.testing.assert_allclose(prediction.seconds, [[0, 1.8], [1, 2.8], [2, 3.8], [2.8, 4.6]])
    assert (prediction.n_frames, prediction.size) == (120, (SIDE, SIDE))
    assert prediction.length == pytest.approx(4.8)
    np.testing.assert_allclose(prediction.boundaries, [0, 1.4, 2.4, 3.3, 4.8])
    assert prediction.notes == []


@pytest.mark.parametrize("hop", [1, 3, 10, 14])
def test_windows_begin_a_hop_apart(tmp_path, hop):
    recorder = Recorder()
    predict_video(recorder, write_video(tmp_path / "numbers.avi", 120), hop=hop)
    starts = [*range(0, 71, 5 * hop)]
    assert [window[0] for window in recorder.windows] == starts + [70] * (starts[-1] != 70)


@pytest.mark.parametrize("hop", [0, -5])
def test_a_hop_that_would_never_reach_the_end_is_refused(classifier, tmp_path, hop):
    with pytest.raises(ValueError, match="use 1 or more"):
        predict_video(classifier, write_video(tmp_path / "numbers.avi", 60), hop=hop)


def test_a_network_with_outputs_that_are_not_finite_is_refused(tmp_path):
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
    "in a network in a network": lambda: network(nested_network()),
    "mean of two": lambda: network(
        lambda x: keras.layers.average([dense(activation="softmax")(x) for _ in range(2)])
    ),
    "mean over time": lambda: network(
        keras.layers.RepeatVector(4),
        keras.layers.TimeDistributed(dense(activation="softmax")),
        keras.layers.GlobalAveragePooling1D(),
    ),
}


def nested_network():
    inputs = keras.Input((3,))
    return keras.Model(
        inputs, keras.Sequential([keras.Input((3,)), dense(), keras.layers.Softmax()])(inputs)
    )


@pytest.mark.parametrize("make", SOFTMAX.values(), ids=SOFTMAX)
def test_softmax_is_not_applied_twice(make, tmp_path):
    make().save(tmp_path / "model.keras")
    classifier = predict.load(tmp_path / "model.keras", COLOURS, 5)
    outputs = classifier.model.predict_on_batch(CLIPS)
    np.testing.assert_allclose(outputs.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(classifier.probabilities(CLIPS), outputs, atol=1e-6)


@pytest.mark.parametrize("activation", [None, "relu", "log_softmax"])
def test_softmax_is_applied_to_other_outputs(activation):
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
def test_networks_with_other_inputs_or_outputs_are_refused(make, sentence, tmp_path):
    make().save(tmp_path / "model.keras")
    with pytest.raises(
        ModelError, match=f"^{tmp_path / 'model.keras'} can't be used: A model .*{sentence}"
    ):
        predict.load(tmp_path / "model.keras", None, 5)


def test_a_network_of_floats_works_after_the_remedy_in_the_error(tmp_path):
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
def test_a_frame_step_below_one_is_refused(run_folder, frame_step):
    with pytest.raises(ModelError, match="colours.*use a frame step of 1 or more"):
        predict.load(run_folder, frame_step=frame_step)


def test_a_window_has_the_same_frames_as_in_training(tmp_path):
    path = write_video(tmp_path / "numbers.avi", 50)
    windows, _ = record(path)
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
def test_the_frame_interval_is_that_of_training_at_any_frame_rate(tmp_path, fps, step):
    images = [draw_numbers(frame) for frame in range(min(255, int(4 * fps)))]
    for code, name in (("FFV1", "numbers.avi"), ("FFV1", "numbers.mkv")):
        windows, prediction = record(write(tmp_path / name, images, code, fps))
        exact = step * np.arange(10)
        assert np.abs(np.array(windows[0]) - exact).max() <= 0.51
        assert prediction.n_frames / prediction.length == pytest.approx(fps, rel=0.01)
        np.testing.assert_allclose(prediction.seconds[0], [0, 1.8], atol=0.51 / fps)


@pytest.mark.parametrize("fps", [1, 2, 4])
def test_a_frame_is_repeated_at_low_frame_rates(tmp_path, fps):
    path = write(tmp_path / "slow.avi", [draw_numbers(frame) for frame in range(10)], "FFV1", fps)
    windows, _ = record(path)
    assert np.abs(np.array(windows[0]) - 0.2 * fps * np.arange(10)).max() <= 0.51


def test_a_frame_rate_that_changes_within_a_video_is_followed(tmp_path):
    times = np.concatenate([np.full(40, 40), np.full(20, 120), np.full(40, 20)])
    path = write_gif(
        tmp_path / "numbers.gif", [draw_numbers(frame) for frame in range(100)], times.tolist()
    )
    windows, prediction = record(path)
    shown = np.cumsum([0, *times]) / 1000
    for window, (begin, _) in zip(windows, prediction.seconds):
        moments = begin + np.arange(10) * 0.2
        assert np.abs(shown[window] - moments).max() <= 0.1
    assert prediction.seconds[-1][1] == pytest.approx(shown[99], abs=0.2)


@pytest.mark.parametrize("length", [1, 2, 7, 20, 45])
def test_a_video_shorter_than_a_window_is_sampled_evenly(tmp_path, length):
    windows, prediction = record(write_video(tmp_path / "short.avi", length))
    assert windows == [list(np.linspace(0, length - 1, 10).round())]
    assert prediction.length == pytest.approx(length / 25)
    (note,) = prediction.notes
    assert ("only one frame" if length == 1 else "shorter than the 1.8 s") in note


@pytest.mark.parametrize("n_frames", [1, 2, 3])
def test_short_windows_cover_the_complete_video(tmp_path, n_frames):
    windows, _ = record(write_video(tmp_path / "numbers.avi", 60), n_frames=n_frames)
    assert sorted(set(sum(windows, []))) == list(range(0, 60, 5))


@pytest.mark.parametrize("scale, rate", [(0, 0), (1, 0), (0, 1), (1, 2**31 - 1), (1, 100_000)])
def test_an_implausible_frame_rate_is_ignored(tmp_path, scale, rate):
    path = patch_rate(write_video(tmp_path / "numbers.avi", 120), scale, rate)
    windows, prediction = record(path)
    assert windows[0] == list(range(0, 46, 5)) and prediction.length == pytest.approx(4.8, rel=0.05)
    if rate > 1:
        assert prediction.notes == [
            "The time stamps are implausible, so 25 frames per second are assumed."
        ]


@pytest.mark.parametrize("pause", [3_000, 12_000, 60_000])
def test_the_frame_before_a_pause_is_used_during_the_pause(tmp_path, pause):
    times = [40] * 29 + [pause] + [40] * 30
    path = write_gif(tmp_path / "pause.gif", [draw_numbers(frame) for frame in range(60)], times)
    windows, prediction = record(path)
    shown = np.cumsum([0, *times]) / 1000
    assert prediction.length == pytest.approx(shown[-1]) and prediction.notes == []
    for window, (begin, _) in zip(windows[:-1], prediction.seconds):
        moments = begin + np.arange(10) * 0.2
        during = (moments > shown[29] + 0.2) & (moments < shown[30] - 0.2)
        assert set(np.array(window)[during]) <= {29}
    assert prediction.seconds[-1][1] == pytest.approx(shown[59], abs=0.2)


# What is predicted.


def test_spans_follow_the_colours(classifier, tmp_path):
    images = plain("red", 125) + plain("blue", 100) + plain("green", 50)
    prediction = predict_video(classifier, write_coded(tmp_path / "colours.avi", images))
    spans = prediction.spans()
    assert [name for _, _, name, _ in spans] == ["red", "blue", "green"]
    # A span ends where the windows' middles pass the cut, give or take half a hop and half a frame.
    assert [end for _, end, _, _ in spans] == pytest.approx([5, 9, 11], abs=0.61)
    assert all(a[1] == b[0] for a, b in zip(spans, spans[1:])) and spans[0][0] == 0
    assert prediction.probabilities.shape == (10, 3)
    np.testing.assert_allclose(prediction.probabilities.sum(axis=1), 1, atol=1e-5)
    # 220 and 20 of 255, in 48 of 64 rows, times 8.
    logits = np.array([220, 20, 20]) / 255 * 6
    assert prediction.probabilities[0] == pytest.approx(
        np.exp(logits) / np.exp(logits).sum(), abs=0.02
    )
    assert prediction.top(2, window=0)[0][0] == "red"
    assert [name for name, _ in prediction.top()] == ["red", "blue", "green"]
    assert prediction.top(9) == prediction.top(3)


def test_the_batch_size_does_not_change_probabilities(classifier, tmp_path):
    path = write_coded(tmp_path / "colours.avi", plain("red", 100) + plain("blue", 100))
    one, many = (
        predict_video(classifier, path, batch_size).probabilities for batch_size in (1, 64)
    )
    np.testing.assert_allclose(one, many, rtol=1e-5)


def test_a_long_video_needs_no_more_memory(tmp_path):
    classifier = Classifier(colour_model(10, 32, 32), COLOURS, 0.2)
    frame = plain("green", 1, 96, 128)
    peaks, lengths = [], (1_000, 20_000)
    # The first prediction loads libraries, which stay in memory.
    predict_video(classifier, write_coded(tmp_path / "first.avi", frame * 300))
    for length in lengths:
        path = write_coded(tmp_path / f"{length}.avi", frame * length)
        tracemalloc.start()
        prediction = predict_video(classifier, path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert prediction.n_frames == length
        assert len(prediction.seconds) == length // 25 - 1 + (length % 25 > 0)
    print(
        f"peak of {peaks[0] / 1e6:.2f} MB at {lengths[0]} frames, "
        f"{peaks[1] / 1e6:.2f} MB at {lengths[1]}"
    )
    assert peaks[1] < peaks[0] + 1e6


# Ten videos, and ten files that are refused.


def write_ten_videos(folder):
    """Write ten green videos that differ in format, size, length and rate; return the paths."""
    folder.mkdir(exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 60, (90, 120, 160, 3), np.uint8)
    grain = [frame + np.array([0, 120, 0], np.uint8) for frame in noise]
    return [
        write_coded(folder / "motion_jpeg.avi", plain("green", 60), "MJPG", cv2.CAP_OPENCV_MJPEG),
        write(folder / "xvid_grain.avi", grain, "XVID", 30),
        write(folder / "portrait_60fps.mp4", plain("green", 240, 320, 180), "mp4v", 60),
        rotate(write(folder / "held_upright.mp4", plain("green", 75, 180, 320), "mp4v", 30)),
        write(folder / "odd_size.mkv", plain("green", 100, 77, 131), "FFV1", 24),
        write(folder / "web.webm", plain("green", 120, 240, 320), "VP90", 30000 / 1001),
        write(folder / "large_4k.mov", plain("green", 30, 2160, 3840), "mp4v", 30),
        write_gif(folder / "animated.gif", plain("green", 1) + grain[:40], [40, 90] * 20 + [40]),
        write_with_sound(folder / "with_sound.avi", plain("green", 80)),
        write(folder / "one_frame.wmv", grain[:1], "WMV2"),
    ]


def write_ten_unusable_files(folder):
    """Write ten files that must be refused; return the expected messages by path."""
    folder.mkdir(exist_ok=True)
    whole = write(folder / "whole.mp4", plain("green", 60), "mp4v").read_bytes()
    (folder / "cut_off.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "letter.mp4").write_text("Dear reader, this is not a video.\n" * 50)
    with wave.open(str(folder / "song.wav"), "wb") as sound:
        sound.setparams((1, 1, 8000, 8000, "NONE", ""))
        sound.writeframes(bytes(range(256)) * 40)
    (folder / "holiday").mkdir(exist_ok=True)
    coded = coded_frames(write_video(folder / "numbers.avi", 60))
    write_avi(folder / "damaged.avi", [*coded[:6], bytes(len(coded[6])), *coded[7:]], (SIDE, SIDE))
    coded, late = coded_frames(write_video(folder / "numbers.avi", 120)), folder / "late.avi"
    write_avi(late, [*coded[:80], bytes(len(coded[80])), *coded[81:]], (SIDE, SIDE))
    changes = write_coded(folder / "changes.avi", plain("red", 9) + plain("blue", 9))
    headless = folder / "no_first_frame.avi"
    write_avi(headless, coded_frames(changes)[1:], (48, 64), b"XVID")
    remedy = f"; {video.REMEDY}."
    return {
        folder / "missing.mp4": "does not exist; check the path, or download the file again.",
        folder / "holiday": "is a folder; give the path of a video in it.",
        pathlib.Path("/dev/null"): "is not a regular file; give the path of a video.",
        folder / "empty.mp4": f"can't be opened as a video{remedy}",
        folder / "letter.mp4": f"can't be opened as a video{remedy}",
        folder / "song.wav": f"can't be opened as a video{remedy}",
        folder / "cut_off.mp4": f"can't be opened as a video{remedy}",
        folder / "damaged.avi": f"is damaged: only 6 of its 60 frames can be decoded{remedy}",
        late: f"is damaged: only 80 of its 120 frames can be decoded{remedy}",
        headless: f"lacks its first frames, so those that follow are wrong{remedy}",
    }


def test_ten_videos_of_all_kinds_are_read(classifier, tmp_path):
    for path in write_ten_videos(tmp_path):
        prediction = predict_video(classifier, path)
        assert prediction.top(1)[0][0] == "green", path.name
        assert [name for _, _, name, _ in prediction.spans()] == ["green"]
        assert not any("header" in note for note in prediction.notes), "all headers are right"


def test_ten_unusable_files_are_refused_in_one_sentence(classifier, tmp_path):
    for path, message in write_ten_unusable_files(tmp_path).items():
        with pytest.raises(VideoReadError) as caught:
            predict_video(classifier, path)
        assert str(caught.value) == f"{path} {message}"


@pytest.mark.parametrize(
    "name", ["12:30.mp4", "concat:a.mp4", "%03d.mp4", "über ü.mp4", b"bad\xff.mp4"]
)
def test_any_file_name_works(classifier, tmp_path, monkeypatch, name):
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


def test_the_size_of_a_rotated_video_is_that_of_its_upright_frames(classifier, tmp_path):
    path = write(tmp_path / "phone.mp4", plain("red", 60, 180, 320), "mp4v")
    assert predict_video(classifier, path).size == (180, 320)
    assert predict_video(classifier, rotate(path)).size == (320, 180)


def test_a_truncated_file_is_used_as_far_as_it_goes_and_that_is_reported(classifier, tmp_path):
    path = write_coded(
        tmp_path / "half.avi", plain("red", 100) + plain("blue", 100), "MJPG", cv2.CAP_OPENCV_MJPEG
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 5])
    prediction = predict_video(classifier, path)
    assert 70 < prediction.n_frames < 90
    assert {name for _, _, name, _ in prediction.spans()} == {"red"}
    assert prediction.notes == [
        f"The header declares 8.0 s, but the frames last {prediction.n_frames / 25:.1f} s."
    ]


def test_an_empty_stream_is_refused(classifier, tmp_path):
    path = write_avi(tmp_path / "none.avi", [], (48, 64))
    with pytest.raises(VideoReadError, match="again"):
        predict_video(classifier, path)


def test_a_web_address_is_refused(classifier):
    for address in ("https://example.org/a.mp4", "S3://bucket/a.mp4"):
        with pytest.raises(
            VideoReadError, match=f"^{address} is a web address; download the video"
        ):
            predict_video(classifier, address)
        with pytest.raises(ModelError, match=f"^{address} is a web address; download the model"):
            predict.load(address)


# Models.


def test_class_names_and_frame_step_come_from_the_record(run_folder):
    for path in (run_folder, run_folder / LAST, str(run_folder)):
        loaded = predict.load(path)
        assert (loaded.class_names, loaded.frame_interval) == (COLOURS, 0.2)
        assert (loaded.n_frames, loaded.output_size) == (10, (8, 8))
    assert predict.load(run_folder, ["a", "b", "c"], 10).frame_interval == 0.4


def test_a_model_without_its_record_needs_the_frame_step(tmp_path):
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


def test_a_file_that_is_not_a_network_for_videos_is_refused(tmp_path):
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


# The command line.


def run(capsys, *arguments):
    """Return the exit status, the standard output and the standard error."""
    status = predict.main([str(argument) for argument in arguments])
    return status, *capsys.readouterr()


def test_shell_prints_a_prediction_and_a_caveat(run_folder, capsys, tmp_path):
    path = write_coded(tmp_path / "colours.avi", plain("red", 100) + plain("blue", 75))
    status, out, err = run(capsys, run_folder, path, "--top", 2)
    lines = out.splitlines()
    assert (status, err) == (0, "")
    assert lines[0] == f"{path}: 7.0 s, 64 x 48 pixels, 25 frames/s, 6 windows"
    assert [line.split()[1] for line in lines[1:3]] == ["red", "blue"]
    assert [line.split()[-1] for line in lines[4:6]] == ["red", "blue"]
    assert lines[-1].startswith(
        "The network always predicts one of its 3 classes, whatever the video shows"
    )


def test_shell_continues_after_a_video_that_cannot_be_read(run_folder, capsys, tmp_path):
    path = write_coded(tmp_path / "colours.avi", plain("red", 60))
    missing = tmp_path / "missing.mp4"
    status, out, err = run(capsys, run_folder, missing, path)
    assert status == 1 and f"{path}: 2.4 s" in out
    assert err == f"{missing} does not exist; check the path, or download the file again.\n"


def test_shell_notes_that_a_photograph_has_one_frame(run_folder, capsys, tmp_path):
    Image.fromarray(plain("green", 1)[0]).save(tmp_path / "photo.png")
    status, out, _ = run(capsys, run_folder, tmp_path / "photo.png")
    assert status == 0
    assert out.splitlines()[1] == "  The video has only one frame, in which nothing can move."


def test_shell_prints_no_caveat_without_a_prediction(run_folder, capsys, tmp_path):
    assert run(capsys, run_folder, tmp_path / "missing.mp4")[:2] == (1, "")
    assert run(capsys, tmp_path / "missing.keras", "video.mp4")[:2] == (1, "")


def test_shell_writes_a_copy(run_folder, capsys, tmp_path):
    path = write_coded(tmp_path / "colours.avi", plain("red", 60))
    status, _, err = run(capsys, run_folder, path, "--annotate", tmp_path / "copy.mp4")
    assert (status, err) == (0, "") and len(list(Playback(tmp_path / "copy.mp4"))) == 60
    status, _, err = run(capsys, run_folder, path, "--annotate", path)
    assert status == 1
    assert err == f"{path} is the source video; choose another name for the copy.\n"


def test_shell_refuses_a_copy_before_predicting(run_folder, capsys, tmp_path, monkeypatch):
    path = write_coded(tmp_path / "colours.avi", plain("red", 60))
    monkeypatch.setattr(predict, "predict_video", lambda *_: pytest.fail("has predicted"))
    for target, message in (
        ("copy.mkv", "can't be written; name a file that ends in .mp4 or .avi"),
        (path, "is the source video"),
        ("", "can't be written"),
    ):
        status, _, err = run(capsys, run_folder, path, "--annotate", target)
        assert status == 1 and message in err


def test_shell_refuses_characters_without_a_font_before_predicting(
    run_folder, capsys, tmp_path, monkeypatch
):
    monkeypatch.setattr(annotation.font_manager, "findSystemFonts", list)
    annotation.find_font.cache_clear()
    path, copy = write_coded(tmp_path / "colours.avi", plain("red", 60)), tmp_path / "copy.mp4"
    names = ("red", "俯卧撑", "blue")
    status, out, err = run(capsys, run_folder, path, "--annotate", copy, "--classes", *names)
    assert status == 1 and out == "" and not copy.exists()
    assert err.startswith(
        "'俯卧撑' can't be drawn, because no font of this machine has '俯'; install one that has it"
    )


def test_shell_accepts_options_between_videos(run_folder, capsys, tmp_path):
    path = write_coded(tmp_path / "colours.avi", plain("red", 60))
    status, out, _ = run(capsys, run_folder, path, "--top", 1, path)
    assert status == 0 and out.count(f"{path}: ") == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("--top", "0"),
        ("--frame-step", "0"),
        ("second.mp4", "--annotate", "copy.mp4"),
        ("--top", "many"),
    ],
)
def test_shell_refuses_invalid_options(run_folder, capsys, arguments):
    with pytest.raises(SystemExit, match="2"):
        predict.main([str(run_folder), "video.mp4", *arguments])
    assert "usage:" in capsys.readouterr().err


def test_shell_prints_no_traceback(run_folder, tmp_path):
    (tmp_path / "letter.mp4").write_text("no video" * 100)
    for model, path, message in (
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
        assert any(line.startswith(message) for line in done.stderr.splitlines()), done.stderr


# Export.

WITHOUT_HELPERS = """
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


def run_without_helpers(model, folder):
    """Run an exported network with TensorFlow alone; return our logits and its standard error."""
    model.export(str(folder / "saved"), verbose=False)
    model.export(str(folder / "network.tflite"), format="litert", verbose=False)
    clips = np.stack(
        [
            video.frames_from_video_file(path, 6, (48, 48), 5, start=0)
            for path in write_five_puppets(folder)
        ]
    )
    np.save(folder / "clips.npy", clips)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_HELPERS], cwd=folder, capture_output=True, text=True
    )
    return model.predict_on_batch(clips), done.stderr


def expect_same_logits(ours, file):
    theirs = np.load(file)
    print(
        f"{file.stem}: logits from {ours.min():.3f} to {ours.max():.3f} differ by at most "
        f"{abs(theirs - ours).max():.1e}"
    )
    np.testing.assert_allclose(theirs, ours, atol=1e-5 * np.ptp(ours))
    assert (theirs.argmax(axis=1) == ours.argmax(axis=1)).all()


def test_an_exported_network_gives_the_same_logits_without_the_helpers(tmp_path):
    ours, stderr = run_without_helpers(
        models.build_small_resnet(10, 6, 48, 48, subtract_mean=True), tmp_path
    )
    for name in ("saved.npy", "lite.npy"):
        assert (tmp_path / name).exists(), stderr
        expect_same_logits(ours, tmp_path / name)


@pytest.mark.long
def test_the_tutorials_network_needs_more_than_plain_litert(tmp_path):
    ours, stderr = run_without_helpers(models.build_tutorial_model(10, 6, 48, 48), tmp_path)
    expect_same_logits(ours, tmp_path / "saved.npy")
    # Older versions of TensorFlow include the larger build in their interpreter.
    assert re.search("FlexAvgPool3D|TfLiteFlexDelegate", stderr), (
        "if this fails, the chapter's remark on it can go"
    )


def write_five_puppets(folder):
    """Write a puppet of each pair of actions; yield the paths."""
    for first, _ in puppets.PAIRS:
        playback.write_video(folder / f"{first}.mp4", puppets.draw_clip(first, 99, 1))
        yield folder / f"{first}.mp4"
