"""Batches are the same in any order, thread and process."""

import functools
import hashlib
import importlib
import os
import pathlib
import subprocess
import sys
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from conftest import ROOT, SIDE, clip_number, frame_numbers, write_video

from helpers.augmentation import Augmentation
from helpers.batches import ClipBatches, available_cores
from helpers.clips import list_clips, read_folder
from helpers.pipeline import make_dataset
from helpers.video import VideoReadError, frames_from_video_file

N_CLIPS = 7
SIZES = {"n_frames": 3, "batch_size": 3, "output_size": (SIDE, SIDE), "frame_step": 5}


def write_split(folder, lengths=(40,) * N_CLIPS):
    """Write clips, the first four in one class and the others in another; return the folder."""
    for clip, length in enumerate(lengths):
        class_name = "Add" if clip < 4 else "WalkLeft"
        write_video(folder / class_name / f"v_{class_name}_g{clip:02d}_c01.avi", length, clip)
    return folder


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    """Seven clips, one of them short. Don't write there."""
    return write_split(tmp_path_factory.mktemp("split"), (40, 40, 5, 40, 30, 40, 40))


@pytest.fixture(params=["none", "memory", "disk"])
def cache(request, tmp_path):
    return {"none": None, "memory": "memory", "disk": tmp_path / "cache"}[request.param]


def break_clips(split, *clips):
    """Truncate some clips to their headers; return their paths."""
    files = list_clips(split)[0]
    for clip in clips:
        files[clip].write_bytes(files[clip].read_bytes()[:300])
    return [files[clip] for clip in clips]


def epochs_of(batches, n=3):
    """Return the batches of `n` epochs as NumPy arrays."""
    return [[tuple(map(np.asarray, batch)) for batch in batches] for _ in range(n)]


def expect_same(epochs, expected):
    for epoch, expected_epoch in zip(epochs, expected, strict=True):
        for batch, expected_batch in zip(epoch, expected_epoch, strict=True):
            for array, expected_array in zip(batch, expected_batch, strict=True):
                assert array.dtype == expected_array.dtype
                np.testing.assert_array_equal(array, expected_array)


def digest(epochs):
    arrays = [array for epoch in epochs for batch in epoch for array in batch]
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def clips_in(epoch):
    return [clip_number(clip) for frames, _ in epoch for clip in frames]


# The same batches.


@pytest.mark.parametrize("augment", [None, Augmentation()], ids=["plain", "augmented"])
@pytest.mark.parametrize("training", [False, True])
def test_keras_and_tf_data_get_the_same_batches(split, training, cache, augment):
    choice = SIZES | {"training": training, "seed": 5, "start_step": 5}
    expected = epochs_of(ClipBatches(split, augment=augment, **choice))
    expect_same(epochs_of(ClipBatches(split, cache=cache, augment=augment, **choice)), expected)
    expect_same(epochs_of(make_dataset(split, cache=cache, augment=augment, **choice)), expected)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_number_of_threads_makes_no_difference(split, workers, cache):
    choice = SIZES | {"training": True, "augment": Augmentation(), "batch_size": 1}
    batches = ClipBatches(split, workers=workers, cache=cache, **choice)
    expected = [[batches.batch(epoch, i) for i in range(N_CLIPS)] for epoch in range(3)]
    expect_same(epochs_of(batches), expected)
    expect_same(epochs_of(ClipBatches(split, workers=1, **choice)), expected)


@pytest.mark.parametrize("augment", [None, Augmentation()], ids=["plain", "augmented"])
def test_batches_may_be_requested_in_any_order_and_more_than_once(split, cache, augment):
    choice = SIZES | {"training": True, "augment": augment}
    expected = epochs_of(ClipBatches(split, **choice))
    batches = ClipBatches(split, cache=cache, **choice)
    indices = [(epoch, i) for epoch in range(3) for i in range(3)] * 2
    for k in np.random.default_rng(0).permutation(len(indices)):
        epoch, i = indices[k]
        expect_same([[batches.batch(epoch, i)]], [[expected[epoch][i]]])
    assert batches.epoch == 0


def test_frames_and_labels_are_those_of_the_files(split):
    files, labels, class_names = list_clips(split)
    batches = ClipBatches(split, **SIZES)
    assert batches.files == files
    assert (batches.labels.tolist(), batches.class_names) == (labels, class_names)
    assert batches.labels.dtype == np.int32 and batches.left_out == []
    (epoch,) = epochs_of(batches, 1)
    frames, epoch_labels = (np.concatenate(parts) for parts in zip(*epoch))
    sizes = {key: SIZES[key] for key in ("n_frames", "output_size", "frame_step")}
    expected = [frames_from_video_file(file, start="center", **sizes) for file in files]
    np.testing.assert_array_equal(frames, expected)
    assert frames.dtype == np.uint8 and epoch_labels.dtype == np.int32
    assert epoch_labels.tolist() == labels


@pytest.mark.parametrize(
    "choice", [{"training": True}, {"training": True, "n_frames": 3, "frame_step": 5}, {}]
)
def test_defaults_are_as_documented(split, choice):
    documented = {
        "n_frames": 10,
        "batch_size": 8,
        "training": False,
        "output_size": (224, 224),
        "frame_step": 15,
        "seed": 0,
        "start_step": 1,
    }
    expected = epochs_of(ClipBatches(split, **documented | choice), 2)
    expect_same(epochs_of(ClipBatches(split, **choice), 2), expected)
    assert ClipBatches(split).batch_size == 8


@pytest.mark.parametrize("batch_size, lengths", [(1, [1] * 7), (3, [3, 3, 1]), (7, [7]), (8, [7])])
def test_the_last_batch_may_be_smaller(split, batch_size, lengths):
    batches = ClipBatches(split, training=True, **SIZES | {"batch_size": batch_size})
    assert len(batches) == len(lengths)
    assert [len(labels) for _, labels in batches] == lengths


def test_epochs_differ_in_order_starts_and_augmentation(tmp_path):
    write_split(tmp_path)
    plain = epochs_of(ClipBatches(tmp_path, training=True, **SIZES))
    augmented = epochs_of(ClipBatches(tmp_path, training=True, augment=Augmentation(), **SIZES))
    assert len({tuple(clips_in(epoch)) for epoch in plain}) == 3
    assert all(sorted(clips_in(epoch)) == list(range(N_CLIPS)) for epoch in plain)
    starts = [
        {clip_number(clip): frame_numbers(clip)[0] for frames, _ in epoch for clip in frames}
        for epoch in plain
    ]
    assert starts[0] != starts[1] != starts[2] != starts[0]

    def note_seed(frames, class_name, seed, out):
        seeds.append(seed)
        out[...] = frames

    seeds = []
    batches = ClipBatches(tmp_path, training=True, augment=note_seed, workers=1, **SIZES)
    expect_same(epochs_of(batches), plain)
    assert len(set(seeds)) == len(seeds) == 3 * N_CLIPS
    assert digest(plain) != digest(augmented)


def test_starts_and_augmentation_have_different_seeds(tmp_path, monkeypatch):
    starts, changes = set(), set()
    on_reading(monkeypatch, write_split(tmp_path), lambda file, seed, **kwargs: starts.add(seed))

    def note_seed(frames, class_name, seed, out):
        changes.add(seed)

    epochs_of(ClipBatches(tmp_path, training=True, augment=note_seed, **SIZES), 2)
    assert len(starts) == len(changes) == 2 * N_CLIPS and not starts & changes


def test_a_clip_that_starts_at_the_same_frame_is_augmented_differently_in_each_epoch(tmp_path):
    folder = write_split(tmp_path, (11,) * 4)
    choice = SIZES | {"training": True, "augment": Augmentation(), "batch_size": 1}
    batches = ClipBatches(folder, **choice)
    epochs = epochs_of(batches)
    first_clips = [epochs[epoch][list(batches.order(epoch)).index(0)][0] for epoch in range(3)]
    assert len({clip.tobytes() for clip in first_clips}) == 3


def test_each_seed_gives_epochs_of_its_own(split):
    choice = SIZES | {"training": True, "augment": Augmentation()}
    seeded = [ClipBatches(split, seed=seed, **choice) for seed in (3, 3, 4)]
    one, same, other = (digest(epochs_of(batches)) for batches in seeded)
    assert one == same != other


def test_global_seeds_are_neither_used_nor_changed(split):
    choice = SIZES | {"training": True, "augment": Augmentation(), "seed": 5}
    digests = set()
    for seed in (1, 2):
        tf.random.set_seed(seed)
        np.random.seed(seed)
        before = np.random.get_state()[1].tolist()
        dataset = make_dataset(split, **choice)
        tf.random.set_seed(10 + seed)
        digests |= {digest(epochs_of(dataset)), digest(epochs_of(ClipBatches(split, **choice)))}
        assert np.random.get_state()[1].tolist() == before
    assert len(digests) == 1


@pytest.mark.parametrize("augment", [None, "refused"])
def test_without_training_clips_are_read_from_the_middle_and_never_augmented(
    tmp_path, cache, augment
):
    def refuse(frames, class_name, seed):
        raise AssertionError("augmented")

    choice = SIZES | {"cache": cache, "augment": augment and refuse, "start_step": 7}
    for make in (ClipBatches, make_dataset):
        for epoch in epochs_of(make(write_split(tmp_path / "split"), seed=3, **choice), 2):
            assert clips_in(epoch) == list(range(N_CLIPS))
            # The clips span 11 of the 40 frames, so 14 are left before them and 15 after.
            clips = [clip for frames, _ in epoch for clip in frames]
            assert all(frame_numbers(clip) == [14, 19, 24] for clip in clips)


@pytest.mark.parametrize("start_step", [1, 5, 7])
def test_random_starts_are_multiples_of_start_step(tmp_path, cache, start_step):
    choice = SIZES | {"training": True, "start_step": start_step, "cache": cache}
    epochs = epochs_of(ClipBatches(write_split(tmp_path), **choice), 15)
    clips = [clip for epoch in epochs for frames, _ in epoch for clip in frames]
    starts, possible = {frame_numbers(clip)[0] for clip in clips}, range(0, 30, start_step)
    assert starts <= set(possible) and len(starts) >= 0.8 * len(possible)


def test_the_augmentation_receives_class_names(split):
    seen = []

    def note(frames, class_name, seed, out):
        seen.append((clip_number(frames), class_name))

    epochs_of(ClipBatches(split, training=True, augment=note, **SIZES), 1)
    assert sorted(seen) == [(clip, "Add" if clip < 4 else "WalkLeft") for clip in range(N_CLIPS)]


# Loops, indices and Keras.


def test_loops_count_epochs_and_indexing_does_not(split):
    batches = ClipBatches(split, training=True, **SIZES)
    expected = [[batches.batch(epoch, i) for i in range(3)] for epoch in range(2)]
    expect_same([[batches[i] for i in range(3)], list(batches)], [expected[0], expected[0]])
    assert batches.epoch == 1
    expect_same([[batches[i] for i in range(3)], list(batches)], [expected[1], expected[1]])
    batches.on_epoch_begin()
    batches.on_epoch_end()
    assert batches.epoch == 3


def test_keras_counts_an_epoch_once_and_only_if_it_has_begun(split):
    batches = ClipBatches(split, **SIZES)
    batches.on_epoch_end()
    assert batches.epoch == 0, "Keras ends an epoch before the first one"
    batches.on_epoch_begin()
    batches.on_epoch_end()
    batches.on_epoch_end()
    assert batches.epoch == 1


def test_after_an_interrupted_loop_the_next_one_starts_at_its_beginning(split):
    batches = ClipBatches(split, training=True, **SIZES)
    for _ in batches:
        break
    expect_same([list(batches)], [[batches.batch(1, i) for i in range(3)]])


def test_simultaneous_loops_are_independent(split):
    batches = ClipBatches(split, training=True, **SIZES)
    pairs = list(zip(batches, batches, strict=True))
    expected = epochs_of(ClipBatches(split, training=True, **SIZES), 2)
    expect_same([[one for one, _ in pairs], [other for _, other in pairs]], expected)


class LoggedBatches(ClipBatches):
    """Logs the epoch and index of each batch that is requested."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.log = []

    def _take(self, epoch, i):
        self.log.append((epoch, i))
        return super()._take(epoch, i)


def tiny_model():
    layers = [
        keras.layers.Rescaling(1 / 255),
        keras.layers.GlobalAveragePooling3D(),
        keras.layers.Dense(2),
    ]
    model = keras.Sequential([keras.Input((3, SIDE, SIDE, 3)), *layers])
    model.compile(
        "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False
    )
    return model


@pytest.mark.parametrize("workers", [1, 3])
def test_keras_receives_complete_epochs_in_order(split, workers):
    batches = LoggedBatches(split, training=True, workers=workers, **SIZES)
    log_begin = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: batches.log.append("begin")
    )
    tiny_model().fit(batches, epochs=3, shuffle=False, verbose=0, callbacks=[log_begin])
    # Before the first epoch, Keras requests some batches to find their shape.
    begins = [i for i, each in enumerate(batches.log) if each == "begin"] + [len(batches.log)]
    epochs = [batches.log[begin + 1 : end] for begin, end in zip(begins, begins[1:])]
    first = epochs[0][0][0]
    assert epochs == [[(epoch, i) for i in range(3)] for epoch in range(first, first + 3)]


@pytest.mark.parametrize("workers", [1, 3])
def test_keras_trains_alike_on_batches_and_on_a_dataset(split, workers):
    histories, choice = [], SIZES | {"training": True, "augment": Augmentation()}
    batches = ClipBatches(split, workers=workers, **choice)
    datasets = make_dataset(split, **choice), make_dataset(split, **SIZES)
    for train, val in ((batches, ClipBatches(split, **SIZES)), datasets):
        keras.utils.set_random_seed(0)
        model = tiny_model()
        fitted = model.fit(train, epochs=2, shuffle=False, verbose=0, validation_data=val)
        histories.append(fitted.history)
        assert model.predict(val, verbose=0).shape == (N_CLIPS, 2)
    assert histories[0].keys() == histories[1].keys() == {"loss", "val_loss"}
    for name, values in histories[0].items():
        np.testing.assert_allclose(values, histories[1][name], rtol=1e-5)
    assert batches.epoch == 2


def test_a_keras_that_would_repeat_the_first_epoch_is_refused(monkeypatch):
    monkeypatch.delattr(keras.utils.PyDataset, "on_epoch_begin")
    with pytest.raises(ImportError, match=f"Keras {keras.__version__} is too old .*; update it"):
        importlib.reload(sys.modules["helpers.batches"])


SCRIPT = """
import hashlib, os

if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}})
from helpers.augmentation import Augmentation
from helpers.batches import ClipBatches, available_cores

choice = {sizes!r} | {{"training": True, "augment": Augmentation(), "seed": 5}}
batches = ClipBatches({split!r}, cache={cache!r}, **choice)
arrays = [array for _ in range(3) for batch in batches for array in batch]
print(hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest())
print(available_cores() if hasattr(os, "sched_setaffinity") else 1)
"""


def test_another_process_on_one_core_reads_the_same_batches(split, tmp_path):
    choice = SIZES | {"training": True, "augment": Augmentation(), "seed": 5}
    expected = digest(epochs_of(ClipBatches(split, cache=tmp_path, **choice)))
    script = SCRIPT.format(split=str(split), cache=str(tmp_path), sizes=SIZES)
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [expected, "1"]


WITHOUT_TENSORFLOW = """
import importlib.abc, importlib.machinery, sys, unittest.mock

class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "torch"):
            raise ModuleNotFoundError(name)
        # Keras's NumPy backend imports a few functions from JAX; none is called here.
        if name.split(".")[0] == "jax":
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return unittest.mock.MagicMock(__path__=[])

    def exec_module(self, module):
        pass

sys.meta_path.insert(0, Finder())
"""


def test_batches_need_no_tensorflow(split, tmp_path):
    choice = SIZES | {"training": True, "augment": Augmentation(), "seed": 5}
    expected = digest(epochs_of(ClipBatches(split, **choice)))
    script = WITHOUT_TENSORFLOW + SCRIPT.format(split=str(split), cache=str(tmp_path), sizes=SIZES)
    script += 'import keras\nprint(keras.backend.backend(), "tensorflow" in sys.modules)'
    environment = os.environ | {"KERAS_BACKEND": "numpy"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [expected, "1", "numpy", "False"]


def test_default_number_of_threads_is_that_of_cores(split):
    assert ClipBatches(split).threads == available_cores() >= 1
    assert ClipBatches(split, workers=3).threads == 3


@pytest.mark.parametrize("make", [ClipBatches, make_dataset])
def test_a_split_without_some_classes_uses_the_training_sets_labels(split, make):
    names = ["Absent", *make(split, **SIZES).class_names]
    batches = make(split, class_names=names, **SIZES)
    assert batches.class_names == names
    labels, shifted = (
        np.concatenate([np.asarray(labels) for _, labels in each])
        for each in (make(split, **SIZES), batches)
    )
    np.testing.assert_array_equal(shifted, labels + 1)


def test_batches_are_counted_like_a_list(split):
    batches = ClipBatches(split, training=True, **SIZES)
    for i in (-1, -3):
        expect_same([[batches[i]]], [[batches[3 + i]]])
        expect_same([[batches.batch(1, i)]], [[batches.batch(1, 3 + i)]])
    for i in (3, -4):
        message = f"^There is no batch {i}: an epoch has 3, from 0 to 2.$"
        for get in (batches.__getitem__, functools.partial(batches.batch, 0)):
            with pytest.raises(IndexError, match=message):
                get(i)


def test_order_starts_and_augmentation_have_independent_seeds(split, monkeypatch):
    seeds, default_rng = [], np.random.default_rng

    def note(seed):
        seeds.append(tuple(np.random.SeedSequence(seed).generate_state(4)))
        return default_rng(seed)

    monkeypatch.setattr(np.random, "default_rng", note)
    batches = ClipBatches(
        split, training=True, augment=Augmentation(), **SIZES | {"batch_size": N_CLIPS}
    )
    for epoch in range(3):
        batches.batch(epoch, 0)
    # Each epoch has one order, and each clip a start and an augmentation, except the short clip,
    # which has only one start.
    assert len(set(seeds)) == len(seeds) >= 3 * (1 + 2 * (N_CLIPS - 1))


# Reading in advance.


def on_reading(monkeypatch, folder, act):
    """Call a function before each clip of a folder is read.

    Threads of other tests may still be reading clips from other folders.
    """

    def read(file, *args, **kwargs):
        if file.is_relative_to(folder):
            act(file, **kwargs)
        return frames_from_video_file(file, *args, **kwargs)

    monkeypatch.setattr("helpers.batches.frames_from_video_file", read)


@pytest.fixture
def reading(tmp_path, monkeypatch):
    """A folder of clips, the files read from it so far, and a function that waits for a number."""
    read, grown = [], threading.Condition()

    def note(file, **kwargs):
        with grown:
            read.append(file)
            grown.notify()

    def wait_for(count):
        with grown:
            return grown.wait_for(lambda: len(read) >= count, timeout=10)

    on_reading(monkeypatch, write_split(tmp_path), note)
    return types.SimpleNamespace(folder=tmp_path, read=read, wait_for=wait_for)


@pytest.mark.parametrize(
    "get_first",
    [lambda batches: next(iter(batches)), lambda batches: batches[0]],
    ids=["loop", "index"],
)
@pytest.mark.parametrize("workers", [1, 2])
def test_each_thread_prepares_two_batches_in_advance(reading, get_first, workers):
    batches = ClipBatches(reading.folder, workers=workers, **SIZES | {"batch_size": 1})
    get_first(batches)
    assert reading.wait_for(1 + 2 * workers), "the next batches are not read in advance"
    time.sleep(0.2)
    assert sorted(reading.read) == batches.files[: 1 + 2 * workers], "too many are read in advance"


def test_batches_read_in_advance_are_not_read_again(reading):
    batches = ClipBatches(reading.folder, training=True, **SIZES | {"batch_size": 1})
    list(batches)
    assert sorted(reading.read) == batches.files


def test_threads_read_clips_in_parallel(tmp_path, monkeypatch):
    barrier = threading.Barrier(2)

    def wait(file, **kwargs):
        if "_g00_" in file.name or "_g01_" in file.name:
            barrier.wait(timeout=10)

    on_reading(monkeypatch, write_split(tmp_path), wait)
    assert len(ClipBatches(tmp_path, workers=2, **SIZES | {"batch_size": 1})[0][1]) == 1


# Clips that can't be read.


@pytest.mark.parametrize("in_advance", [False, True])
def test_a_repaired_clip_is_read_again(tmp_path, cache, in_advance):
    write_split(tmp_path / "split")
    file = list_clips(tmp_path / "split")[0][5]  # in the second batch
    intact = file.read_bytes()
    file.write_bytes(intact[:300])
    batches = ClipBatches(tmp_path / "split", cache=cache, **SIZES)
    if in_advance:
        batches[0]
        batches._executor.shutdown()
        batches._executor = ThreadPoolExecutor(1)
    else:
        with pytest.raises(VideoReadError):
            batches[1]
    file.write_bytes(intact)
    assert [clip_number(clip) for clip in batches[1][0]] == [3, 4, 5]


def test_after_an_error_the_cache_is_written_as_soon_as_possible(split, tmp_path):
    (tmp_path / "cache").write_text("not a folder")
    batches = ClipBatches(split, cache=tmp_path / "cache", **SIZES)
    with pytest.raises(OSError):
        batches[0]
    (tmp_path / "cache").unlink()
    assert len(batches[0][1]) == 3


@pytest.mark.parametrize("training", [False, True])
def test_an_unreadable_clip_stops_the_loop_and_is_named(tmp_path, cache, training):
    (broken,) = break_clips(write_split(tmp_path / "split"), 5)
    for policy in ({}, {"unreadable": "stop"}):
        choice = SIZES | {"training": training, "cache": cache} | policy
        with pytest.raises(VideoReadError, match=f"^{broken} .*again"):
            list(ClipBatches(tmp_path / "split", **choice))
        with pytest.raises(tf.errors.OpError, match=f"{broken} .*again"):
            list(make_dataset(tmp_path / "split", **choice))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("make", [ClipBatches, make_dataset])
def test_unreadable_clips_are_left_out_with_a_warning(tmp_path, cache, make, training):
    broken = break_clips(write_split(tmp_path / "split"), 0, 5)
    choice = SIZES | {"training": training, "cache": cache, "unreadable": "leave out"}
    with pytest.warns(UserWarning) as warned:
        batches = make(tmp_path / "split", **choice)
    (message,) = [str(each.message) for each in warned if each.category is UserWarning]
    assert message.startswith("2 of 7 clips are left out:\n") and message.count("\n") == 2
    assert [file for file, _ in batches.left_out] == broken
    for file, reason in batches.left_out:
        assert reason.startswith(f"{file} ") and "again" in reason and reason in message
    assert batches.class_names == ["Add", "WalkLeft"] and len(batches) == 2
    for epoch in epochs_of(batches, 2):
        labels = [int(label) for _, labels in epoch for label in labels]
        expected = [(1, 0), (2, 0), (3, 0), (4, 1), (6, 1)]
        assert sorted(zip(clips_in(epoch), labels, strict=True)) == expected


def test_the_warning_points_to_the_caller(tmp_path):
    break_clips(write_split(tmp_path), 0)
    with pytest.warns(UserWarning, match="1 of 7 clips") as warned:
        ClipBatches(tmp_path, unreadable="leave out", **SIZES)
    assert pathlib.Path(warned[0].filename).name == pathlib.Path(__file__).name


def test_a_class_without_readable_clips_keeps_its_label(tmp_path, cache):
    break_clips(write_split(tmp_path / "split"), 0, 1, 2, 3)
    with pytest.warns(UserWarning, match="4 of 7 clips"):
        batches = ClipBatches(tmp_path / "split", cache=cache, unreadable="leave out", **SIZES)
    assert batches.class_names == ["Add", "WalkLeft"] and batches.labels.tolist() == [1, 1, 1]
    assert clips_in(list(batches)) == [4, 5, 6]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("make", [ClipBatches, make_dataset])
def test_without_unreadable_clips_there_is_no_warning(split, cache, make):
    choice = SIZES | {"training": True, "seed": 2}
    batches = make(split, cache=cache, unreadable="leave out", **choice)
    assert batches.left_out == []
    expect_same(epochs_of(batches), epochs_of(ClipBatches(split, **choice)))


@pytest.mark.parametrize("make", [ClipBatches, make_dataset])
def test_a_split_without_readable_clips_is_refused(tmp_path, cache, make):
    broken = break_clips(write_split(tmp_path / "split"), *range(N_CLIPS))
    message = f"^None of the 7 clips can be read; the first: {broken[0]} "
    with pytest.raises(ValueError, match=message):
        make(tmp_path / "split", cache=cache, unreadable="leave out", **SIZES)


@pytest.mark.parametrize("make", [ClipBatches, make_dataset])
@pytest.mark.parametrize("policy", ["skip", "leave_out", None, True])
def test_other_policies_are_refused(split, make, policy):
    message = f'^unreadable must be "stop" or "leave out", not {policy!r}\\.$'
    with pytest.raises(ValueError, match=message):
        make(split, unreadable=policy, **SIZES)


@pytest.mark.parametrize("make", [ClipBatches, make_dataset])
def test_no_clips_are_refused(tmp_path, make):
    with pytest.raises(ValueError, match=f"^{tmp_path} holds no clips"):
        make(tmp_path, unreadable="leave out")


def test_clips_are_not_left_out_because_the_cache_cannot_be_written(split, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError) as raised:
        ClipBatches(split, cache=tmp_path / "file", unreadable="leave out", **SIZES)
    assert not isinstance(raised.value, VideoReadError)


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_leaving_clips_out_fills_the_cache(split, tmp_path, kind, monkeypatch):
    choice = SIZES | {"training": True, "seed": 2}
    expected = epochs_of(ClipBatches(split, **choice))
    location = "memory" if kind == "memory" else tmp_path
    batches = ClipBatches(split, cache=location, unreadable="leave out", **choice)

    def read(path, *args, **kwargs):
        raise AssertionError(f"{path} is decoded")

    monkeypatch.setattr("helpers.video.read_frames", read)
    expect_same(epochs_of(batches), expected)


def test_a_table_gives_the_batches_of_its_folder(split, cache):
    table = read_folder(split)
    options = SIZES | {"training": True, "seed": 3, "cache": cache}
    expected = epochs_of(ClipBatches(split, **options), 2)
    np.testing.assert_equal(epochs_of(ClipBatches(table, **options), 2), expected)
    # The index of the rows does not matter, and names are the files' unless the table has others.
    table.index = table.index[::-1] + 100
    batches = ClipBatches(table.assign(name=list("abcdefg")), **options)
    np.testing.assert_equal(epochs_of(batches, 2), expected)
    assert batches.names == list("abcdefg") and batches.groups == ClipBatches(split).groups
    dataset = make_dataset(table, **(SIZES | {"training": True, "seed": 3}))
    np.testing.assert_equal(epochs_of(dataset, 2), expected)


def test_clips_have_bounds_and_frame_steps_of_their_own(tmp_path, cache):
    file = write_video(tmp_path / "a.avi", 100)
    table = pd.DataFrame(
        {
            "file": [file] * 3,
            "class_name": list("aba"),
            "group": None,
            "begin": [float("nan"), 1, 2],
            "end": [1, 2, float("nan")],
            "frame_step": [1, 5, 10],
        }
    )
    frames, labels = ClipBatches(table, cache=cache, **SIZES)[0]
    assert labels.tolist() == [0, 1, 0]
    assert [frame_numbers(clip) for clip in frames] == [[11, 12, 13], [32, 37, 42], [64, 74, 84]]


def test_a_table_without_clips_is_refused(split):
    with pytest.raises(ValueError, match="^The table lists no clips; choose other rows."):
        ClipBatches(read_folder(split).iloc[:0])
    with pytest.raises(ValueError, match="^The table has clips of Add, but the classes are b"):
        ClipBatches(read_folder(split), class_names=["b", "WalkLeft"])
