"""Batches: the same whoever makes them, in whatever order."""

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
import pytest
import tensorflow as tf
from conftest import ROOT, SIDE, clip_number, frame_numbers, write_video

from helpers.augmentation import Augmentation
from helpers.batches import ClipBatches, available_cores
from helpers.pipeline import make_dataset
from helpers.video import VideoReadError, frames_from_video_file, list_clips

N_CLIPS = 7
SIZES = {"n_frames": 3, "batch_size": 3, "output_size": (SIDE, SIDE), "frame_step": 5}


def write_split(folder, lengths=(40,) * N_CLIPS):
    """Write clips, four of one class and the others of another; return the folder."""
    for clip, length in enumerate(lengths):
        class_name = "Add" if clip < 4 else "WalkLeft"
        write_video(folder / class_name / f"v_{class_name}_g{clip:02d}_c01.avi", length, clip)
    return folder


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    """Seven clips, one of them short; for reading only."""
    return write_split(tmp_path_factory.mktemp("split"), (40, 40, 5, 40, 30, 40, 40))


@pytest.fixture(params=["none", "memory", "disk"])
def cache(request, tmp_path):
    return {"none": None, "memory": "memory", "disk": tmp_path / "cache"}[request.param]


def break_clips(split, *clips):
    """Cut off all but the headers of some clips; return their paths."""
    files = list_clips(split)[0]
    for clip in clips:
        files[clip].write_bytes(files[clip].read_bytes()[:300])
    return [files[clip] for clip in clips]


def epochs_of(batches, n=3):
    """Return the batches of some epochs as NumPy arrays."""
    return [
        [(np.asarray(frames), np.asarray(labels)) for frames, labels in batches] for _ in range(n)
    ]


def expect_same(epochs, expected):
    for epoch, expected_epoch in zip(epochs, expected, strict=True):
        for batch, expected_batch in zip(epoch, expected_epoch, strict=True):
            for got, array in zip(batch, expected_batch, strict=True):
                assert got.dtype == array.dtype
                np.testing.assert_array_equal(got, array)


def digest(epochs):
    return hashlib.sha256(
        b"".join(array.tobytes() for epoch in epochs for batch in epoch for array in batch)
    ).hexdigest()


def clips_in(epoch):
    return [clip_number(clip) for frames, _ in epoch for clip in frames]


# The same batches.


@pytest.mark.parametrize("augment", [None, Augmentation()], ids=["as it is", "augmented"])
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


@pytest.mark.parametrize("augment", [None, Augmentation()], ids=["as it is", "augmented"])
def test_batches_may_be_asked_for_in_any_order_and_more_than_once(split, cache, augment):
    choice = SIZES | {"training": True, "augment": augment}
    expected = epochs_of(ClipBatches(split, **choice))
    batches = ClipBatches(split, cache=cache, **choice)
    numbers = [(epoch, i) for epoch in range(3) for i in range(3)] * 2
    for k in np.random.default_rng(0).permutation(len(numbers)):
        epoch, i = numbers[k]
        expect_same([[batches.batch(epoch, i)]], [[expected[epoch][i]]])
    assert batches.epoch == 0


def test_frames_and_labels_are_those_of_the_files(split):
    files, labels, class_names = list_clips(split)
    batches = ClipBatches(split, **SIZES)
    assert (batches.files, batches.labels.tolist(), batches.class_names) == (
        files,
        labels,
        class_names,
    )
    assert batches.labels.dtype == np.int32 and batches.left_out == []
    (epoch,) = epochs_of(batches, 1)
    frames, got_labels = (np.concatenate(parts) for parts in zip(*epoch))
    sizes = {key: SIZES[key] for key in ("n_frames", "output_size", "frame_step")}
    np.testing.assert_array_equal(
        frames, [frames_from_video_file(file, start="center", **sizes) for file in files]
    )
    assert (
        frames.dtype == np.uint8 and got_labels.dtype == np.int32 and got_labels.tolist() == labels
    )


@pytest.mark.parametrize(
    "choice", [{"training": True}, {"training": True, "n_frames": 3, "frame_step": 5}, {}]
)
def test_defaults_are_those_that_are_written(split, choice):
    written = {
        "n_frames": 10,
        "batch_size": 8,
        "training": False,
        "output_size": (224, 224),
        "frame_step": 15,
        "seed": 0,
        "start_step": 1,
    }
    expect_same(
        epochs_of(ClipBatches(split, **choice), 2),
        epochs_of(ClipBatches(split, **written | choice), 2),
    )
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

    def changes(frames, class_name, seed, out):
        seeds.append(seed)
        out[...] = frames

    seeds = []
    expect_same(
        epochs_of(ClipBatches(tmp_path, training=True, augment=changes, workers=1, **SIZES)), plain
    )
    assert len(set(seeds)) == len(seeds) == 3 * N_CLIPS
    assert digest(plain) != digest(augmented)


def test_starts_and_augmentation_are_drawn_from_other_seeds(tmp_path, monkeypatch):
    starts, changes = set(), set()
    on_reading(monkeypatch, write_split(tmp_path), lambda file, seed, **kwargs: starts.add(seed))
    epochs_of(
        ClipBatches(
            tmp_path,
            training=True,
            augment=lambda frames, class_name, seed, out: changes.add(seed),
            **SIZES,
        ),
        2,
    )
    assert len(starts) == len(changes) == 2 * N_CLIPS and not starts & changes


def test_the_same_clip_from_the_same_frame_is_augmented_anew_in_each_epoch(tmp_path):
    folder = write_split(tmp_path, (11,) * 4)
    epochs = epochs_of(
        ClipBatches(folder, training=True, augment=Augmentation(), **SIZES | {"batch_size": 1})
    )
    order = ClipBatches(folder, training=True, **SIZES).order
    first_clips = {epochs[epoch][list(order(epoch)).index(0)][0].tobytes() for epoch in range(3)}
    assert len(first_clips) == 3


def test_another_seed_gives_other_epochs_and_the_same_the_same(split):
    choice = SIZES | {"training": True, "augment": Augmentation()}
    one, same, other = (
        digest(epochs_of(ClipBatches(split, seed=seed, **choice))) for seed in (3, 3, 4)
    )
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
        for epoch in epochs_of(make(write_split(tmp_path), seed=3, **choice), 2):
            assert clips_in(epoch) == list(range(N_CLIPS))
            # 40 frames, 11 of them spanned: 14 before, 15 after.
            assert all(
                frame_numbers(clip) == [14, 19, 24] for frames, _ in epoch for clip in frames
            )


@pytest.mark.parametrize("start_step", [1, 5, 7])
def test_random_starts_keep_to_their_step(tmp_path, cache, start_step):
    batches = ClipBatches(
        write_split(tmp_path), training=True, start_step=start_step, cache=cache, **SIZES
    )
    starts = {
        frame_numbers(clip)[0]
        for epoch in epochs_of(batches, 15)
        for frames, _ in epoch
        for clip in frames
    }
    assert starts <= set(range(0, 30, start_step)) and len(starts) >= 0.8 * len(
        range(0, 30, start_step)
    )


def test_the_augmentation_gets_class_names(split):
    seen = []

    def note(frames, class_name, seed, out):
        seen.append((clip_number(frames), class_name))

    epochs_of(ClipBatches(split, training=True, augment=note, **SIZES), 1)
    assert sorted(seen) == [(clip, "Add" if clip < 4 else "WalkLeft") for clip in range(N_CLIPS)]


# Who asks.


def test_a_loop_counts_the_epochs_and_square_brackets_do_not(split):
    batches = ClipBatches(split, training=True, **SIZES)
    expected = [[batches.batch(epoch, i) for i in range(3)] for epoch in range(2)]
    expect_same([[batches[i] for i in range(3)], list(batches)], [expected[0], expected[0]])
    assert batches.epoch == 1
    expect_same([[batches[i] for i in range(3)], list(batches)], [expected[1], expected[1]])
    batches.on_epoch_begin()
    batches.on_epoch_end()
    assert batches.epoch == 3


def test_an_epoch_counts_once_and_only_if_it_began(split):
    batches = ClipBatches(split, **SIZES)
    batches.on_epoch_end()
    assert batches.epoch == 0, "Keras also ends one before the first"
    batches.on_epoch_begin()
    batches.on_epoch_end()
    batches.on_epoch_end()
    assert batches.epoch == 1


def test_a_loop_that_is_left_early_lets_the_next_one_begin_anew(split):
    batches = ClipBatches(split, training=True, **SIZES)
    for _ in batches:
        break
    expect_same([list(batches)], [[batches.batch(1, i) for i in range(3)]])


def test_loops_at_the_same_time_do_not_disturb_each_other(split):
    batches = ClipBatches(split, training=True, **SIZES)
    pairs = list(zip(batches, batches, strict=True))
    expected = epochs_of(ClipBatches(split, training=True, **SIZES), 2)
    expect_same([[one for one, _ in pairs], [other for _, other in pairs]], expected)


class Noting(ClipBatches):
    """Notes the batches that are given out."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.given = []

    def _take(self, epoch, i):
        self.given.append((epoch, i))
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
def test_keras_gets_whole_epochs_one_after_the_other(split, workers):
    batches = Noting(split, training=True, workers=workers, **SIZES)
    note_begin = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: batches.given.append("begin")
    )
    tiny_model().fit(batches, epochs=3, shuffle=False, verbose=0, callbacks=[note_begin])
    # Before it begins, Keras looks at some batches, to see their shapes.
    begins = [i for i, each in enumerate(batches.given) if each == "begin"] + [len(batches.given)]
    epochs = [batches.given[begin + 1 : end] for begin, end in zip(begins, begins[1:])]
    first = epochs[0][0][0]
    assert epochs == [[(epoch, i) for i in range(3)] for epoch in range(first, first + 3)]


@pytest.mark.parametrize("workers", [1, 3])
def test_keras_trains_on_the_epochs_that_tf_data_gives(split, workers):
    histories, choice = [], SIZES | {"training": True, "augment": Augmentation()}
    batches = ClipBatches(split, workers=workers, **choice)
    for train, val in (
        (batches, ClipBatches(split, **SIZES)),
        (make_dataset(split, **choice), make_dataset(split, **SIZES)),
    ):
        keras.utils.set_random_seed(0)
        model = tiny_model()
        histories.append(
            model.fit(train, epochs=2, shuffle=False, verbose=0, validation_data=val).history
        )
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

options = dict(training=True, augment=Augmentation(), seed=5, cache={cache!r})
batches = ClipBatches({split!r}, **options, **{sizes!r})
epochs = [list(batches) for _ in range(3)]
arrays = [array.tobytes() for epoch in epochs for batch in epoch for array in batch]
print(hashlib.sha256(b"".join(arrays)).hexdigest())
print(available_cores() if hasattr(os, "sched_setaffinity") else 1)
"""


def test_another_process_on_one_core_gives_the_same_batches(split, tmp_path):
    choice = SIZES | {"training": True, "augment": Augmentation(), "seed": 5}
    expected = digest(epochs_of(ClipBatches(split, cache=tmp_path, **choice)))
    command = [
        sys.executable,
        "-c",
        SCRIPT.format(split=str(split), cache=str(tmp_path), sizes=SIZES),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [expected, "1"]


WITHOUT_TENSORFLOW = """
import importlib.abc, importlib.machinery, sys, unittest.mock

class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "torch"):
            raise ModuleNotFoundError(name)
        # Keras's NumPy backend asks JAX for a few functions; none is called here.
        if name.split(".")[0] == "jax":
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return unittest.mock.MagicMock(__path__=[])

    def exec_module(self, module):
        pass

sys.meta_path.insert(0, Finder())
"""


def test_batches_need_no_tensorflow(split, tmp_path):
    expected = digest(
        epochs_of(ClipBatches(split, training=True, augment=Augmentation(), seed=5, **SIZES))
    )
    script = WITHOUT_TENSORFLOW + SCRIPT.format(split=str(split), cache=str(tmp_path), sizes=SIZES)
    script += 'import keras\nprint(keras.backend.backend(), "tensorflow" in sys.modules)'
    environment = os.environ | {"KERAS_BACKEND": "numpy"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [expected, "1", "numpy", "False"]


def test_as_many_threads_as_cores_unless_told(split):
    assert ClipBatches(split).threads == available_cores() >= 1
    assert ClipBatches(split, workers=3).threads == 3


@pytest.mark.parametrize("make", [ClipBatches, make_dataset])
def test_a_split_that_lacks_a_class_takes_the_training_sets_labels(split, make):
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
        for one, other in (
            (batches[i], batches[3 + i]),
            (batches.batch(1, i), batches.batch(1, 3 + i)),
        ):
            expect_same([[one]], [[other]])
    for i in (3, -4):
        for ask in (lambda i=i: batches[i], lambda i=i: batches.batch(0, i)):
            with pytest.raises(
                IndexError, match=f"^There is no batch {i}: an epoch has 3, from 0 to 2.$"
            ):
                ask()


def test_order_and_starts_and_augmentation_are_drawn_apart(split, monkeypatch):
    seeds, draw = [], np.random.default_rng

    def note(seed):
        seeds.append(tuple(np.random.SeedSequence(seed).generate_state(4)))
        return draw(seed)

    monkeypatch.setattr(np.random, "default_rng", note)
    batches = ClipBatches(
        split, training=True, augment=Augmentation(), **SIZES | {"batch_size": N_CLIPS}
    )
    for epoch in range(3):
        batches.batch(epoch, 0)
    # One order, and a start and an augmentation of each clip, but for the short one, which has no
    # choice of starts.
    assert len(set(seeds)) == len(seeds) >= 3 * (1 + 2 * (N_CLIPS - 1))


# Ahead of time.


def on_reading(monkeypatch, folder, act):
    """Call `act` before a clip of a folder is read; other tests' threads may still read others."""

    def read(file, *args, **kwargs):
        if file.is_relative_to(folder):
            act(file, **kwargs)
        return frames_from_video_file(file, *args, **kwargs)

    monkeypatch.setattr("helpers.batches.frames_from_video_file", read)


@pytest.fixture
def reading(tmp_path, monkeypatch):
    """A folder of clips, and a list of those that were read; `wait_for` waits for a number."""
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
    "ask",
    [lambda batches: next(iter(batches)), lambda batches: batches[0]],
    ids=["loop", "brackets"],
)
@pytest.mark.parametrize("workers", [1, 2])
def test_two_batches_a_thread_are_made_while_one_is_trained_on(reading, ask, workers):
    batches = ClipBatches(reading.folder, workers=workers, **SIZES | {"batch_size": 1})
    ask(batches)
    assert reading.wait_for(1 + 2 * workers), "what comes next is read without being asked for"
    time.sleep(0.2)
    assert sorted(reading.read) == batches.files[: 1 + 2 * workers], (
        "the others wait, for memory is not endless"
    )


def test_what_was_made_ahead_is_not_made_again(reading):
    batches = ClipBatches(reading.folder, training=True, **SIZES | {"batch_size": 1})
    list(batches)
    assert sorted(reading.read) == batches.files


def test_threads_read_at_the_same_time(tmp_path, monkeypatch):
    both = threading.Barrier(2)

    def meet(file, **kwargs):
        if "_g00_" in file.name or "_g01_" in file.name:
            both.wait(timeout=10)

    on_reading(monkeypatch, write_split(tmp_path), meet)
    assert len(ClipBatches(tmp_path, workers=2, **SIZES | {"batch_size": 1})[0][1]) == 1


# Clips that can't be read.


@pytest.mark.parametrize("ahead", [False, True])
def test_a_clip_that_was_mended_is_read_again(tmp_path, cache, ahead):
    write_split(tmp_path / "split")
    file = list_clips(tmp_path / "split")[0][5]  # in the second batch
    healthy = file.read_bytes()
    file.write_bytes(healthy[:300])
    batches = ClipBatches(tmp_path / "split", cache=cache, **SIZES)
    if ahead:
        batches[0]
        batches._executor.shutdown()
        batches._executor = ThreadPoolExecutor(1)
    else:
        with pytest.raises(VideoReadError):
            batches[1]
    file.write_bytes(healthy)
    assert [clip_number(clip) for clip in batches[1][0]] == [3, 4, 5]


def test_a_cache_that_can_be_written_again_is_written(split, tmp_path):
    (tmp_path / "cache").write_text("not a folder")
    batches = ClipBatches(split, cache=tmp_path / "cache", **SIZES)
    with pytest.raises(OSError):
        batches[0]
    (tmp_path / "cache").unlink()
    assert len(batches[0][1]) == 3


@pytest.mark.parametrize("training", [False, True])
def test_a_clip_that_cannot_be_read_stops_the_loop_and_is_named(tmp_path, cache, training):
    (broken,) = break_clips(write_split(tmp_path / "split"), 5)
    for choice in ({}, {"unreadable": "stop"}):
        batches = ClipBatches(tmp_path / "split", training=training, cache=cache, **choice, **SIZES)
        with pytest.raises(VideoReadError, match=f"^{broken} .*again"):
            list(batches)
        dataset = make_dataset(
            tmp_path / "split", training=training, cache=cache, **choice, **SIZES
        )
        with pytest.raises(tf.errors.OpError, match=f"{broken} .*again"):
            list(dataset)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("make", [ClipBatches, make_dataset])
def test_clips_that_cannot_be_read_are_left_out_with_a_warning(tmp_path, cache, make, training):
    broken = break_clips(write_split(tmp_path / "split"), 0, 5)
    with pytest.warns(UserWarning) as warned:
        batches = make(
            tmp_path / "split", training=training, cache=cache, unreadable="leave out", **SIZES
        )
    (message,) = [str(each.message) for each in warned if each.category is UserWarning]
    assert message.startswith("2 of 7 clips are left out:\n") and message.count("\n") == 2
    assert [file for file, _ in batches.left_out] == broken
    for file, reason in batches.left_out:
        assert reason.startswith(f"{file} ") and "again" in reason and reason in message
    assert batches.class_names == ["Add", "WalkLeft"] and len(batches) == 2
    for epoch in epochs_of(batches, 2):
        labels = [int(label) for _, labels in epoch for label in labels]
        assert sorted(zip(clips_in(epoch), labels, strict=True)) == [
            (1, 0),
            (2, 0),
            (3, 0),
            (4, 1),
            (6, 1),
        ]


def test_the_warning_points_to_who_asked(tmp_path):
    break_clips(write_split(tmp_path), 0)
    with pytest.warns(UserWarning, match="1 of 7 clips") as warned:
        ClipBatches(tmp_path, unreadable="leave out", **SIZES)
    assert pathlib.Path(warned[0].filename).name == pathlib.Path(__file__).name


def test_a_class_all_of_whose_clips_are_left_out_keeps_its_label(tmp_path, cache):
    break_clips(write_split(tmp_path / "split"), 0, 1, 2, 3)
    with pytest.warns(UserWarning, match="4 of 7 clips"):
        batches = ClipBatches(tmp_path / "split", cache=cache, unreadable="leave out", **SIZES)
    assert batches.class_names == ["Add", "WalkLeft"] and batches.labels.tolist() == [1, 1, 1]
    assert clips_in(list(batches)) == [4, 5, 6]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("make", [ClipBatches, make_dataset])
def test_where_all_clips_can_be_read_none_is_left_out_and_nothing_is_said(split, cache, make):
    choice = SIZES | {"training": True, "seed": 2}
    batches = make(split, cache=cache, unreadable="leave out", **choice)
    assert batches.left_out == []
    expect_same(epochs_of(batches), epochs_of(ClipBatches(split, **choice)))


@pytest.mark.parametrize("make", [ClipBatches, make_dataset])
def test_a_split_of_which_nothing_is_left_is_refused(tmp_path, cache, make):
    broken = break_clips(write_split(tmp_path / "split"), *range(N_CLIPS))
    with pytest.raises(
        ValueError, match=f"^None of the 7 clips can be read; the first: {broken[0]} "
    ):
        make(tmp_path / "split", cache=cache, unreadable="leave out", **SIZES)


@pytest.mark.parametrize("make", [ClipBatches, make_dataset])
@pytest.mark.parametrize("policy", ["skip", "leave_out", None, True])
def test_other_policies_are_refused(split, make, policy):
    with pytest.raises(
        ValueError, match=f'^unreadable must be "stop" or "leave out", not {policy!r}\\.$'
    ):
        make(split, unreadable=policy, **SIZES)


@pytest.mark.parametrize("make", [ClipBatches, make_dataset])
def test_no_clips_are_refused(tmp_path, make):
    with pytest.raises(ValueError, match=f"^{tmp_path} holds no clips"):
        make(tmp_path, unreadable="leave out")


def test_a_cache_that_cannot_be_written_is_no_reason_to_leave_clips_out(split, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError) as raised:
        ClipBatches(split, cache=tmp_path / "file", unreadable="leave out", **SIZES)
    assert not isinstance(raised.value, VideoReadError)


@pytest.mark.parametrize("other", ["memory", "disk"])
def test_to_leave_clips_out_they_are_read_into_the_cache(split, tmp_path, other, monkeypatch):
    choice = SIZES | {"training": True, "seed": 2}
    expected = epochs_of(ClipBatches(split, **choice))
    batches = ClipBatches(
        split, cache="memory" if other == "memory" else tmp_path, unreadable="leave out", **choice
    )

    def read(path, *args, **kwargs):
        raise AssertionError(f"{path} is decoded")

    monkeypatch.setattr("helpers.video.read_frames", read)
    expect_same(epochs_of(batches), expected)
