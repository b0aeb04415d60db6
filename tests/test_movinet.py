"""MoViNet-A0. Set MOVINET_A0_WEIGHTS to the path of its file for the tests of its weights."""

import hashlib
import os
import pathlib
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from float_graph import FloatGraph

from helpers import movinet, video
from helpers.models import build_small_resnet
from helpers.movinet import build_movinet_a0

FILE, CLIPS = (
    pathlib.Path(os.environ.get(variable) or "")
    for variable in ("MOVINET_A0_WEIGHTS", "UCF101_ZIP")
)
with_weights = pytest.mark.skipif(
    not FILE.is_file(), reason="no weights: set MOVINET_A0_WEIGHTS to the path of their file"
)
with_clips = pytest.mark.skipif(
    not CLIPS.is_file(), reason="no real clips: set UCF101_ZIP to the path of UCF101's ZIP"
)
# The network fits any size, and a small one is faster.
SIZE = {"height": 48, "width": 48}
FRAMES = np.random.default_rng(0).integers(0, 256, (2, 8, 48, 48, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model():
    """A network for clips of any length. Don't change its weights."""
    keras.utils.set_random_seed(0)
    return build_movinet_a0(**SIZE)


def test_network_has_the_published_parameters(model):
    assert model.count_params() == 2_723_407
    gains = [layer for layer in model.layers if layer.name.endswith("_gain")]
    assert len(gains) == 15 and sum(layer.count_params() for layer in gains) == 15


def test_network_takes_uint8_frames_and_returns_logits():
    network = build_movinet_a0()
    assert network.input_shape == (None, None, 172, 172, 3) and network.input.dtype == "uint8"
    assert network.output_shape == (None, 600) and network.output.dtype == "float32"
    adds = [layer for layer in network.layers if isinstance(layer, keras.layers.Add)]
    sizes = [(43, 8), *[(22, 32)] * 3, *[(11, 56)] * 7, *[(6, 104)] * 4]
    assert [layer.output.shape for layer in adds] == [
        (None, None, size, size, filters) for size, filters in sizes
    ]
    features = {"features": (None, None, 6, 6, 480), "average": (None, 480), "hidden": (None, 2048)}
    assert {name: network.get_layer(name).output.shape for name in features} == features


@pytest.mark.parametrize("length, height, width", [(None, 48, 64), (1, 172, 172), (3, 33, 50)])
def test_network_takes_clips_of_any_length_and_size(length, height, width):
    network = build_movinet_a0(5, length, height, width)
    assert network.input_shape == (None, length, height, width, 3)
    for n_frames in (length,) if length else (1, 2, 6):
        frames = np.zeros((2, n_frames, height, width, 3), np.uint8)
        assert network(frames).shape == (2, 5)


def test_features_of_a_frame_do_not_depend_on_later_frames(model):
    by_frame = keras.Model(model.input, model.get_layer("features").output)
    altered = FRAMES.copy()
    altered[:, 5] = 255 - altered[:, 5]
    change = np.abs(np.array(by_frame(altered)) - np.array(by_frame(FRAMES)))
    assert np.flatnonzero(change.max(axis=(0, 2, 3, 4)) > 1e-6).tolist() == [5, 6, 7]
    first = np.array(by_frame(FRAMES[:, :3]))
    np.testing.assert_allclose(first, np.array(by_frame(FRAMES))[:, :3], atol=1e-5)


def test_network_saves_and_loads_with_the_same_logits(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.array(loaded(FRAMES)), np.array(model(FRAMES)))


def test_a_step_of_training_changes_all_weights():
    keras.utils.set_random_seed(0)
    network = build_movinet_a0(5, **SIZE)
    before = network.get_weights()
    with tf.GradientTape() as tape:
        logits = network(FRAMES, training=True)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits([1, 4], logits)
    weights = network.trainable_variables
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    for weight, gradient in zip(weights, gradients, strict=True):
        assert np.all(np.isfinite(gradient)) and np.any(gradient), weight.path
    keras.optimizers.SGD(1.0).apply(gradients, weights)
    assert all(not np.array_equal(a, b) for a, b in zip(before, network.get_weights(), strict=True))


@pytest.fixture
def weights_file(model, tmp_path, monkeypatch):
    """A file that stands for the official one, and contains the weights of `model`."""
    path = tmp_path / "weights.tflite"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    monkeypatch.setattr(movinet, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    weights = {layer.name: layer.get_weights() for layer in model.layers if layer.weights}
    monkeypatch.setattr(movinet, "_read_weights", lambda _: dict(weights))
    return path


def damage(path, how):
    """Change a file: flip a bit of the byte at an index, or keep the part before a slice's end."""
    content = bytearray(path.read_bytes())
    if isinstance(how, slice):
        content = content[how]
    else:
        content[how] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("how", [slice(0), slice(-1), slice(2500), 0, 2500, -1])
def test_a_damaged_file_is_refused(how, model, weights_file):
    movinet.load_weights(model, weights_file)
    damage(weights_file, how)
    words = f"^{weights_file} is cut short, damaged, or not the official .* download that again.$"
    with pytest.raises(ValueError, match=words):
        movinet.load_weights(model, weights_file)


def test_a_file_that_cannot_be_opened_is_refused(model, tmp_path):
    for path, reason in ((tmp_path / "none.tflite", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ValueError, match=rf"^{path} can't be read \({reason}.*_A0_WEIGHTS to"):
            movinet.load_weights(model, path)


def test_another_network_is_refused(weights_file):
    with pytest.raises(
        ValueError, match="^small_resnet is not MoViNet-A0; build it with build_mov"
    ):
        movinet.load_weights(build_small_resnet(600, 4, 32, 32), weights_file)


def test_another_number_of_classes_is_refused_and_changes_nothing(weights_file):
    network = build_movinet_a0(5, **SIZE)
    before = network.get_weights()
    words = f"5 classes, but the weights in {weights_file} have 600; pass include_top=False"
    with pytest.raises(ValueError, match=words):
        movinet.load_weights(network, weights_file)
    for one, other in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_the_top_the_logits_stay_as_they_are(model, weights_file):
    network = build_movinet_a0(5, **SIZE)
    before = network.get_layer("logits").get_weights()
    assert movinet.load_weights(network, weights_file, include_top=False) is network
    *others, kernel, bias = network.get_weights()
    for one, other in zip([*others, kernel, bias], [*model.get_weights()[:-2], *before]):
        np.testing.assert_array_equal(one, other)


@with_weights
@pytest.mark.parametrize("how", [slice(1_000_000), 2_000_000])
def test_the_official_file_is_refused_when_it_is_damaged(how, model, tmp_path):
    path = tmp_path / FILE.name
    path.write_bytes(FILE.read_bytes())
    damage(path, how)
    with pytest.raises(ValueError, match="cut short, damaged"):
        movinet.load_weights(model, path)


@pytest.fixture(scope="module")
def published():
    """The network with the published weights, from clips to features and logits."""
    model = movinet.load_weights(build_movinet_a0(), FILE)
    return keras.Model(model.input, [model.get_layer("average").output, model.output])


def real_clips(number, folder):
    """Yield 16 frames, 5 per second, of the clip in the middle of each of some equal parts."""
    with zipfile.ZipFile(CLIPS) as source:
        names = sorted(name for name in source.namelist() if name.endswith(".avi"))
        part = len(names) // number
        for name in names[part // 2 :: part][:number]:
            file = source.extract(name, folder)
            yield video.frames_from_video_file(file, 16, (172, 172), 5, start="center")


def expect_equal_to_float_graph(published, clips):
    graph = FloatGraph(FILE)
    for frames in clips:
        found = published.predict_on_batch(frames[np.newaxis])
        for one, other in zip(found, graph.run(frames), strict=True):
            np.testing.assert_allclose(one[0], other, atol=1e-4)


@with_weights
def test_network_computes_what_the_official_file_describes(published):
    clips = np.random.default_rng(1).integers(0, 256, (2, 16, 172, 172, 3), dtype=np.uint8)
    expect_equal_to_float_graph(published, clips)


@with_weights
@with_clips
def test_network_computes_what_the_official_file_describes_for_real_clips(published, tmp_path):
    expect_equal_to_float_graph(published, real_clips(10, tmp_path))


def int8_logits(run, frames):
    """Return the logits of the 8-bit network after the last frame."""
    details = run.get_input_details()
    states = {
        name: np.zeros(details[name]["shape"], details[name]["dtype"])
        for name in details
        if name != "image"
    }
    for frame in frames:
        outputs = run(image=frame[np.newaxis, np.newaxis] / np.float32(255), **states)
        states = {name: outputs[name] for name in states}
    return outputs["logits"][0]


@with_weights
@with_clips
def test_8_bit_network_agrees(published, tmp_path, daily_or_long):
    interpreter = tf.lite.Interpreter(str(FILE), num_threads=2)
    run = interpreter.get_signature_runner("serving_default")
    logits = np.array(
        [
            (published.predict_on_batch(frames[np.newaxis])[1][0], int8_logits(run, frames))
            for frames in real_clips(daily_or_long(20, 500), tmp_path)
        ]
    )
    ours, theirs = logits[:, 0], logits[:, 1]
    assert np.mean(ours.argmax(axis=1) == theirs.argmax(axis=1)) >= 0.85
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] >= 0.95
