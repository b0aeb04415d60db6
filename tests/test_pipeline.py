"""Batches for tf.data."""

import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT, SIDE, clip_number, frame_numbers, write_video

from helpers import batches
from helpers.clips import list_clips
from helpers.pipeline import make_dataset
from helpers.video import frames_from_video_file

N_CLIPS = 7
SIZES = {"n_frames": 3, "batch_size": 3, "output_size": (SIDE, SIDE), "frame_step": 10}


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    """Seven clips of 80 frames, four of one class and three of another."""
    folder = tmp_path_factory.mktemp("split")
    for clip in range(N_CLIPS):
        class_name = "Add" if clip < 4 else "Zip"
        write_video(folder / class_name / f"v_{class_name}_g{clip:02d}_c01.avi", 80, clip)
    return folder


def epoch(dataset):
    """Return `(clip, first frame, label)` of each clip, in the order of one pass."""
    seen = []
    for frames, labels in dataset.as_numpy_iterator():
        assert frames.dtype == np.uint8 and labels.dtype == np.int32
        for clip, label in zip(frames, labels, strict=True):
            first, second, third = frame_numbers(clip)
            assert second - first == third - second == 10
            seen.append((clip_number(clip), first, int(label)))
    return seen


def test_batches_have_static_shapes_and_a_known_length(split):
    dataset = make_dataset(split, **SIZES)
    frames, labels = dataset.element_spec
    assert frames == tf.TensorSpec((None, 3, SIDE, SIDE, 3), tf.uint8)
    assert labels == tf.TensorSpec((None,), tf.int32)
    assert len(dataset) == 3
    assert [frames.shape[0] for frames, _ in dataset] == [3, 3, 1]
    assert dataset.class_names == ["Add", "Zip"]


def test_training_data_has_a_known_length(split):
    assert len(make_dataset(split, training=True, **SIZES)) == 3


def test_defaults_are_the_tutorials(split):
    dataset = make_dataset(str(split))
    assert dataset.element_spec[0].shape.as_list() == [None, 10, 224, 224, 3]
    assert next(iter(dataset))[0].shape == (N_CLIPS, 10, 224, 224, 3)


def test_order_and_starts_are_fixed_when_not_training(split):
    dataset = make_dataset(split, **SIZES)
    # The clips span 21 of the 80 frames, so 29 are left before them and 30 after.
    expected = [(clip, 29, int(clip >= 4)) for clip in range(N_CLIPS)]
    assert epoch(dataset) == epoch(dataset) == expected
    assert epoch(make_dataset(split, seed=9, **SIZES)) == expected


def test_a_slow_clip_keeps_its_position(split, monkeypatch):
    def read(file, *args, **kwargs):
        time.sleep(0.2 if "_g00_" in file.name else 0)
        return frames_from_video_file(file, *args, **kwargs)

    monkeypatch.setattr(batches, "frames_from_video_file", read)
    assert [clip for clip, _, _ in epoch(make_dataset(split, **SIZES))] == list(range(N_CLIPS))


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_each_training_epoch_has_every_clip_once_in_a_new_order_from_new_starts(split, batch_size):
    dataset = make_dataset(split, training=True, **SIZES | {"batch_size": batch_size})
    epochs = [epoch(dataset) for _ in range(3)]
    for each in epochs:
        expected = [(clip, int(clip >= 4)) for clip in range(N_CLIPS)]
        assert sorted((clip, label) for clip, _, label in each) == expected
        assert all(0 <= first <= 59 for _, first, _ in each)
    assert len({tuple(clip for clip, _, _ in each) for each in epochs}) == 3
    # Starts differ between epochs, both by position and by clip.
    assert len({tuple(first for _, first, _ in each) for each in epochs}) == 3
    assert len({tuple(first for _, first, _ in sorted(each)) for each in epochs}) == 3
    assert all(len({first for _, first, _ in each}) > 1 for each in epochs)


def test_each_seed_gives_epochs_of_its_own(split):
    choice = SIZES | {"training": True}
    one, same, other = (make_dataset(split, seed=seed, **choice) for seed in (3, 3, 4))
    first, second = epoch(one), epoch(one)
    assert [epoch(same), epoch(same)] == [first, second] and first != second
    assert first not in (epoch(other), epoch(make_dataset(split, **choice)))


def test_random_starts_reach_both_ends(tmp_path):
    for clip in range(30):
        write_video(tmp_path / "A" / f"v_A_g{clip:02d}_c01.avi", 23, clip)
    dataset = make_dataset(tmp_path, training=True, **SIZES)
    assert {first for _ in range(2) for _, first, _ in epoch(dataset)} == {0, 1, 2}


def test_labels_and_frames_are_those_of_the_files(puppet_folders):
    sizes = {"n_frames": 4, "output_size": (32, 48), "frame_step": 5}
    dataset = make_dataset(puppet_folders["val"], batch_size=5, **sizes)
    files, _, class_names = list_clips(puppet_folders["val"])
    assert dataset.class_names == class_names and len(class_names) == 3
    frames, labels = (np.concatenate(parts) for parts in zip(*dataset.as_numpy_iterator()))
    assert [class_names[label] for label in labels] == [file.parent.name for file in files]
    expected = [frames_from_video_file(file, start="center", **sizes) for file in files]
    np.testing.assert_array_equal(frames, expected)


def test_a_batch_may_contain_short_clips(tmp_path):
    for clip, length in enumerate((1, 5, 40)):
        write_video(tmp_path / "A" / f"v_A_g{clip:02d}_c01.avi", length, clip)
    frames, _ = next(iter(make_dataset(tmp_path, training=True, **SIZES)))
    assert sorted(map(clip_number, frames.numpy())) == [0, 1, 2]
    assert frames.numpy()[:, :, 4:12].min() > 200


@pytest.mark.parametrize("training", [False, True])
def test_an_unreadable_clip_is_named(tmp_path, training):
    for group in range(4):
        write_video(tmp_path / "A" / f"v_A_g{group:02d}_c01.avi", 30)
    broken = tmp_path / "A" / "v_A_g02_c01.avi"
    broken.write_bytes(broken.read_bytes()[:300])
    with pytest.raises(tf.errors.OpError, match=f"{broken} .*again"):
        epoch(make_dataset(tmp_path, training=training, **SIZES))


ON_TWO_DEVICES = """
import sys, time
import keras, tensorflow as tf
from helpers import batches, pipeline

read = batches.frames_from_video_file
batches.frames_from_video_file = lambda *args, **kwargs: time.sleep(0.02) or read(*args, **kwargs)
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    inputs = keras.Input((3, 16, 16, 3), dtype="uint8")
    model = keras.Sequential([inputs, keras.layers.Flatten(), keras.layers.Dense(2)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
sizes = {"n_frames": 3, "batch_size": 2, "output_size": (16, 16), "frame_step": 5}
train = pipeline.make_dataset(sys.argv[1], training=True, **sizes)
val = pipeline.make_dataset(sys.argv[1], **sizes)
print(len(model.fit(train, validation_data=val, epochs=5, verbose=0).history["val_loss"]), "epochs")
"""


def test_several_devices_may_share_the_batches(split):
    # A separate process, because the error was a segmentation fault, and because devices can be
    # configured only once.
    command = [sys.executable, "-c", ON_TWO_DEVICES, split]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "5 epochs\n"), done.stderr[-2000:]


def test_no_clips_are_refused(tmp_path):
    with pytest.raises(ValueError, match=f"^{tmp_path} holds no clips"):
        make_dataset(tmp_path)
