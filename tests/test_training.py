import contextlib
import dataclasses
import errno
import json
import os
import pathlib
import resource
import subprocess
import sys
import zipfile

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers import (
    archive,
    checkpoints,
    layers,
    memory,
    models,
    own_clips,
    predict,
    puppets,
    recipes,
    records,
    training,
)
from helpers import settings as book_settings
from helpers.batches import ClipBatches
from helpers.checkpoints import TrainingError
from helpers.evaluation import describe_score
from helpers.playback import write_video
from helpers.recipes import RECIPES, Recipe, build_model, compile_model
from helpers.ucf101 import get_class
from helpers.video import VideoReadError

FAST = Recipe(learning_rate=1e-2)


def quiet(line):
    pass


def build_tiny(num_classes, n_frames, height, width, conv, subtract_mean):
    """Build the least network that has weights of every sort."""
    inputs = keras.Input((n_frames, height, width, 3), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.ReLU()(layers.BatchNorm()(layers.Conv2Plus1D(4, (3, 3, 3), "same")(x)))
    return keras.Model(
        inputs, keras.layers.Dense(num_classes)(keras.layers.GlobalAveragePooling3D()(x))
    )


@pytest.fixture
def eagerly(daily_or_long):
    """Let TensorFlow compute without graphs, which take seconds to build; not with `--long`."""
    tf.config.run_functions_eagerly(daily_or_long(True, False))
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def small(monkeypatch, tmp_path, puppet_zip, eagerly):
    """Settings of a run that takes seconds, at home in an empty folder."""
    monkeypatch.setitem(recipes.NETWORKS, "small_resnet", build_tiny)
    monkeypatch.chdir(tmp_path)
    splits = {"train": 2, "val": 2, "test": 2}
    run = book_settings.Settings(
        "ucf101", "short", frame_step=5, size=16, epochs=2, num_classes=2, splits=splits
    )
    return dataclasses.replace(run, zip=str(puppet_zip), n_frames=4, batch_size=2)


def weights(folder, name="last.keras"):
    return keras.models.load_model(folder / name).get_weights()


def test_run_is_saved_with_its_record(small):
    lines = []
    model, record = training.train(small, log=lines.append, thorough=True)
    folder = records.run_folder(small, Recipe())
    assert json.loads((folder / "record.json").read_text()) == record
    assert set(record["history"]) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert [len(values) for values in record["history"].values()] == [2] * 4
    assert len(record["epoch_seconds"]) == 2
    assert record["seconds"] == pytest.approx(sum(record["epoch_seconds"]), abs=0.1)
    assert record["test"]["accuracy"] == pytest.approx(
        np.mean(np.equal(record["actual"], record["predicted"]))
    )
    assert len(record["actual"]) == 4 and record["class_names"] == ["LeanLeft", "LeanRight"]
    assert (
        np.sum(record["confusion_matrix"]) == 4
        and np.trace(record["confusion_matrix"]) / 4 == record["test"]["accuracy"]
    )
    assert record["clips"] == sorted(record["clips"]) and [
        get_class(name) for name in record["clips"]
    ] == [record["class_names"][label] for label in record["actual"]]
    np.testing.assert_allclose(np.sum(record["probabilities"], axis=1), 1, atol=1e-3)
    assert np.argmax(record["probabilities"], axis=1).tolist() == record["predicted"]
    assert set(record["orders"]) == {"forwards", "backwards", "shuffled", "one frame"}
    assert record["orders"]["forwards"] == record["test"]["accuracy"]
    assert list(record["several_clips"]) == ["1", "2", "3", "5", "10"]
    assert record["several_clips"]["1"] == pytest.approx(record["test"]["accuracy"]), (
        "one clip is the middle"
    )
    assert record["parameters"] == model.count_params()
    assert record["recipe"]["learning_rate"] == 1e-3 and record["settings"]["split_by"] == "group"
    assert record["versions"]["backend"].startswith("tensorflow 2.")
    frames = np.zeros((1, 4, 16, 16, 3), np.uint8)
    loaded = keras.models.load_model(folder / "last.keras")
    np.testing.assert_array_equal(
        loaded.predict(frames, verbose=0), model.predict(frames, verbose=0)
    )
    assert [line[:11] for line in lines] == ["epoch   1/2", "epoch   2/2"]
    assert {file.name for file in folder.iterdir()} == {
        ".lock",
        "best.keras",
        "last.keras",
        "history.json",
        "record.json",
    }


def test_finished_run_is_looked_at_more_closely_when_that_is_asked_for(small, monkeypatch):
    _, record = training.train(small, log=quiet)
    assert not {"orders", "several_clips"} & set(record)
    monkeypatch.setattr(keras.Model, "fit", lambda self, *a, **k: pytest.fail("trained again"))
    _, closer = training.train(small, log=quiet, thorough=True)
    assert record.items() <= closer.items() and set(closer) - set(record) == {
        "orders",
        "several_clips",
    }
    assert training.train(small, log=quiet)[1] == closer, "what was found out is kept"


def test_best_model_is_the_one_of_the_first_highest_validation_accuracy(small):
    _, record = training.train(small, FAST, epochs=5, log=quiet)
    history = record["history"]["val_accuracy"]
    best = records.run_folder(dataclasses.replace(small, epochs=5), FAST) / "best.keras"
    model = keras.models.load_model(best)
    assert int(model.optimizer.iterations) == (1 + int(np.argmax(history))) * 2
    val = training.load_splits(archive.fetch_clips(small), small)["val"]
    assert model.evaluate(val, verbose=0, return_dict=True)["accuracy"] == pytest.approx(
        max(history)
    )


def test_record_tells_no_path_of_the_machine(small, tmp_path):
    files = archive.list_files(small.zip)
    rows = [f"{file},{('train', 'val', 'test')[i % 3]}" for i, file in enumerate(files)]
    (tmp_path / "by_hand.csv").write_text("\n".join(["file,split", *rows]))
    run = dataclasses.replace(small, split_by=str(tmp_path / "by_hand.csv"))
    _, record = training.train(run, log=quiet)
    assert str(tmp_path) not in json.dumps(record) and small.zip not in json.dumps(record)
    assert record["settings"]["split_by"] == "by_hand.csv"
    (tmp_path / "by_hand.csv").write_text(
        "\n".join(["file,split", *rows[1:], rows[0].replace("train", "test")])
    )
    assert training.load_run(run) is None, "another table under the same name is another run"


def test_finished_run_is_loaded_and_other_settings_train_anew(small, monkeypatch):
    training.train(small, log=quiet)
    monkeypatch.setattr(keras.Model, "fit", lambda self, *a, **k: pytest.fail("trained again"))
    training.train(small, log=quiet)
    assert training.load_run(dataclasses.replace(small, frame_step=6)) is None
    assert training.load_run(small, Recipe(seed=1)) is None
    assert training.load_run(dataclasses.replace(small, epochs=3)) is None
    monkeypatch.setattr(records, "fingerprint", lambda *a: "other helpers")
    assert training.load_run(small) is None


def test_run_is_the_same_wherever_its_clips_come_from(small):
    other = dataclasses.replace(small, zip="http://127.0.0.1/other.zip")
    assert records.run_folder(small, Recipe()) == records.run_folder(other, Recipe())


def interrupt(monkeypatch, at):
    """Have the next training stop when an epoch begins."""

    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == at:
                raise KeyboardInterrupt

    real_fit = keras.Model.fit

    def interrupted_fit(self, *args, callbacks, **kwargs):
        return real_fit(self, *args, callbacks=[*callbacks, Interrupt()], **kwargs)

    monkeypatch.setattr(keras.Model, "fit", interrupted_fit)


def test_interrupted_run_goes_on_after_the_last_whole_epoch(small, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, at=2)
        training.train(small, epochs=4, log=quiet)
    lines = []
    _, record = training.train(small, epochs=4, log=lines.append)
    assert [line[:13] for line in lines] == ["resuming afte", "epoch   3/4  ", "epoch   4/4  "]
    assert len(record["history"]["loss"]) == len(record["epoch_seconds"]) == 4


def test_interrupted_run_begins_anew_where_that_is_asked_for(small, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, at=1)
        training.train(small, log=quiet)
    lines = []
    training.train(small, resume=False, log=lines.append)
    assert [line[:11] for line in lines] == ["epoch   1/2", "epoch   2/2"]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("finished", [False, True])
def test_run_begun_anew_leaves_the_one_before_until_its_first_epoch_is_saved(
    small, monkeypatch, finished
):
    with (
        monkeypatch.context() as patch,
        contextlib.nullcontext() if finished else pytest.raises(KeyboardInterrupt),
    ):
        interrupt(patch, at=9 if finished else 1)
        training.train(small, log=quiet)
    folder = records.run_folder(small, Recipe())
    before = contents(folder)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, at=0)
        training.train(small, resume=False, log=quiet)
    assert contents(folder) == before
    with monkeypatch.context() as patch, pytest.raises(TrainingError, match="can't be written"):
        patch.setattr(
            keras.Model, "save", lambda self, path: pathlib.Path("/dev/full").write_text("model")
        )
        training.train(small, resume=False, log=quiet)
    assert contents(folder) == before
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, at=1)
        training.train(small, resume=False, log=quiet)
    assert set(contents(folder)) == {".lock", "best.keras", "last.keras", "history.json"}
    assert contents(folder)["history.json"] != before["history.json"], "the seconds are others"


def test_run_begun_anew_takes_nothing_from_the_one_before(small, monkeypatch):
    """If the second run is killed as well, just before it saves the model of its history."""
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, at=2)
        training.train(small, epochs=3, log=quiet)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        save = checkpoints.save_model
        patch.setattr(
            checkpoints,
            "save_model",
            lambda model, path: stop() if path.name == "last.keras" else save(model, path),
        )
        training.train(small, epochs=3, resume=False, log=quiet)
    lines = []
    training.train(small, epochs=3, log=lines.append)
    assert [line.split("   loss")[0] for line in lines] == [
        "resuming after epoch 1",
        "epoch   2/3",
        "epoch   3/3",
    ]


def stop(*args):
    raise KeyboardInterrupt


def test_model_saved_without_its_record_is_trained_anew(small, monkeypatch):
    model, record = training.train(small, log=quiet)
    test = training.load_splits(archive.fetch_clips(small), small)["test"]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "save_record", stop)
        training.save_run(model, record["history"], small, test=test, seconds=1)
    lines = []
    training.train(small, log=lines.append)
    assert [line[:11] for line in lines] == ["epoch   1/2", "epoch   2/2"]


def test_run_goes_on_with_the_same_clips_only(small, monkeypatch, tmp_path, capsys):
    """The batches of an epoch tell how many of them are done."""
    monkeypatch.setattr(training, "current", lambda: small)
    with monkeypatch.context() as patch:
        interrupt(patch, at=1)
        assert training.main([]) == 130
    folder = records.run_folder(small, Recipe())
    before = weights(folder)
    with monkeypatch.context() as patch:
        patch.setattr(
            training, "load_splits", lambda *args, make=training.load_splits: drop(make(*args))
        )
        assert training.main([]) == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert (
        told.startswith(f"{folder} holds a run on other clips (2 batches per epoch, now 2)")
        and "--restart" in told
    )
    for one, other in zip(before, weights(folder), strict=True):
        np.testing.assert_array_equal(one, other)
    assert training.main(["--resume"]) == 0
    assert "resuming after epoch 1" in capsys.readouterr().out
    monkeypatch.setattr(
        training, "load_splits", lambda *args, make=training.load_splits: drop(make(*args))
    )
    monkeypatch.setattr(training, "current", lambda: dataclasses.replace(small, zip="other.zip"))
    monkeypatch.setattr(training, "fetch_clips", lambda settings: archive.fetch_clips(small))
    assert training.main([]) == 1, "nor is a finished run taken for one on the clips of another ZIP"
    assert "holds a run on other clips" in capsys.readouterr().err
    assert training.main(["--restart"]) == 0


def drop(data):
    """Leave out the first training clip."""
    data["train"].files, data["train"].labels = data["train"].files[1:], data["train"].labels[1:]
    return data


def expect_damage_told(small, damages):
    """Assert that each damage `(name, content, reason)` is reported and that nothing is written."""
    folder = records.run_folder(small, Recipe())
    for name, content, reason in damages:
        whole = (folder / name).read_bytes()
        (folder / name).unlink() if content is None else (folder / name).write_bytes(content)
        before = sorted(folder.iterdir())
        with pytest.raises(
            TrainingError,
            match=rf"^{folder} holds a run that can't be resumed \({name}: {reason}.*--restart",
        ):
            training.train(small, log=quiet)
        assert sorted(folder.iterdir()) == before
        assert content is None or (folder / name).read_bytes() == content
        (folder / name).write_bytes(whole)


def saved(model, path):
    model.save(path)
    return path.read_bytes()


def test_a_history_that_cannot_be_read_is_told(small, monkeypatch, tmp_path):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, at=1)
        training.train(small, log=quiet)
    folder = records.run_folder(small, Recipe())
    model, [row] = (
        keras.models.load_model(folder / "last.keras"),
        json.loads((folder / "history.json").read_text()),
    )
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    other.compile(loss="mse")
    uncompiled = keras.Model(model.input, model.output)
    sgd = keras.models.clone_model(model)
    sgd.compile("sgd", loss="mse")
    rows = [
        [{"clips": "x"}],
        [row | {"clips": "x"}],
        [row, 1],
        [row | {"seconds": None}],
        [row, {"loss": 1.0}],
        {},
        [],
    ]
    expect_damage_told(
        small, [("history.json", json.dumps(content).encode(), "") for content in rows]
    )
    expect_damage_told(
        small,
        [
            ("history.json", b"{", ""),
            ("last.keras", b"no model", ""),
            ("last.keras", saved(uncompiled, tmp_path / "a.keras"), "it is not compiled"),
            ("last.keras", saved(other, tmp_path / "b.keras"), "it is another network"),
            ("last.keras", saved(sgd, tmp_path / "c.keras"), "it has another optimiser"),
        ],
    )
    model.optimizer.iterations.assign(4)
    (folder / "last.keras").write_bytes(saved(model, tmp_path / "d.keras"))
    with pytest.raises(
        TrainingError, match=r"history.json: it has 1 epochs, but last.keras has 2\); start again"
    ):
        training.train(small, log=quiet)


def test_a_record_that_cannot_be_read_is_told(small):
    one = dataclasses.replace(small, epochs=1)
    training.train(one, log=quiet)
    expect_damage_told(
        one,
        [
            ("record.json", b"{}", "it lacks hardware, history, left_out, seconds"),
            ("record.json", b"{", ""),
            ("record.json", b"1", ""),
            ("last.keras", None, "File not found"),
        ],
    )


def test_row_without_its_model_is_forgotten(small, monkeypatch):
    """Where a run is killed between its history and its model."""
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, at=1)
        training.train(small, log=quiet)
    history = records.run_folder(small, Recipe()) / "history.json"
    rows = json.loads(history.read_text())
    history.write_text(json.dumps([*rows, rows[0] | {"loss": 99.0}]))
    _, record = training.train(small, log=quiet)
    assert len(record["history"]["loss"]) == 2 and 99 not in record["history"]["loss"]


@pytest.mark.parametrize(
    "build, other",
    [
        ({"conv": "2d"}, {}),
        ({"subtract_mean": True}, {}),
        ({}, {"size": 32}),
        ({}, {"n_frames": 3}),
        ({}, {"num_classes": 3}),
    ],
)
def test_network_of_another_recipe_or_size_is_not_saved(small, monkeypatch, build, other):
    monkeypatch.setitem(recipes.NETWORKS, "small_resnet", models.build_small_resnet)
    model = models.build_small_resnet(**small.input_size, **build)
    run = dataclasses.replace(small, **other)
    with pytest.raises(
        TrainingError,
        match=r"^The network is not the one that the recipe small_.* \(.* parameters, float32\)",
    ):
        training.save_run(model, {"loss": [1.0, 1.0]}, run, test=None, seconds=1)
    assert not records.run_folder(run, Recipe()).exists()


def test_network_of_the_recipe_is_saved_and_a_history_of_other_epochs_is_not(small, monkeypatch):
    monkeypatch.setitem(recipes.NETWORKS, "small_resnet", models.build_small_resnet)
    test = training.load_splits(archive.fetch_clips(small), small)["test"]
    model = compile_model(models.build_small_resnet(**small.input_size), Recipe(), steps=4)
    history = {name: [1.0, 1.0] for name in ("loss", "accuracy")}
    for damaged in (
        {"accuracy": [1.0, 1.0]},
        [1.0, 1.0],
        {"loss": 1.0},
        history | {"accuracy": [1.0]},
        {"loss": []},
    ):
        with pytest.raises(TrainingError, match="^The history.* (pass|of) .*one value per epoch"):
            training.save_run(model, damaged, small, test=test, seconds=1)
    with pytest.raises(TrainingError, match="^The network is not compiled, .*; compile it"):
        training.save_run(
            models.build_small_resnet(**small.input_size), history, small, test=test, seconds=1
        )
    with pytest.raises(TrainingError, match="history has 2 epochs, but the settings have 5"):
        training.save_run(
            model, history, dataclasses.replace(small, epochs=5), test=test, seconds=1
        )
    fitted = keras.callbacks.History()
    fitted.history = history
    training.save_run(model, fitted, small, test=test, seconds=1)
    loaded, record = training.load_run(small)
    assert training.save_run(loaded, history, small, test=test, seconds=1) == record


def test_clips_that_cannot_be_read_stop_training_or_are_left_out_and_listed(
    small, tmp_path, capsys, monkeypatch
):
    tf.config.run_functions_eagerly(False)  # TensorFlow's graphs replace errors by their own
    victim = min(archive.fetch_clips(small)["train"].glob("*/*.avi")).name
    with (
        zipfile.ZipFile(small.zip) as whole,
        zipfile.ZipFile(tmp_path / "damaged.zip", "w") as damaged,
    ):
        for info in whole.infolist():
            damaged.writestr(
                info.filename, b"no video" if info.filename.endswith(victim) else whole.read(info)
            )
    small = dataclasses.replace(small, zip=str(tmp_path / "damaged.zip"))
    with pytest.raises(Exception, match=f"{victim} can't be opened"):
        training.train(small, log=quiet)
    monkeypatch.setattr(training, "current", lambda: small)
    with pytest.warns(UserWarning, match=f"1 of 4 clips are left out:\n.*{victim}"):
        training.main(["--leave-out"])
    assert f"left out of train because they can't be read: {victim}" in capsys.readouterr().out
    assert training.load_run(small)[1]["left_out"] == {"train": [victim], "val": [], "test": []}


def test_shell_names_a_clip_that_breaks_in_the_midst_of_an_epoch(small, capsys, monkeypatch):
    """TensorFlow reads all but the first two batches in a thread with errors of its own."""
    small = dataclasses.replace(small, batch_size=1)
    folder = archive.fetch_clips(small)["train"]
    batches = ClipBatches(folder, training=True, n_frames=4)
    victim = batches.files[batches.order(0)[-1]]
    monkeypatch.setattr(training, "current", lambda: small)
    monkeypatch.setattr(
        training,
        "fetch_clips",
        lambda settings: {name: folder.parent / name for name in settings.splits},
    )
    victim.write_bytes(b"no video")
    assert training.main([]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"{victim} can't be opened")


def test_same_seed_gives_the_same_history(small, monkeypatch, tmp_path):
    histories = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        histories.append(training.train(small, log=quiet)[1]["history"])
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-3)


def test_keras_gets_the_epochs_in_turn(small, monkeypatch):
    """Whatever Keras reads beforehand, it trains on the batches of epochs 0 and 1."""
    seen = []

    class Noting(ClipBatches):
        def _take(self, epoch, i):
            if self.training:
                seen.append((epoch, i))
            return super()._take(epoch, i)

    monkeypatch.setattr(training, "ClipBatches", Noting)
    training.train(small, log=quiet)
    assert seen[-4:] == [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.mark.parametrize(
    "moment, place",
    [("on_epoch_begin", "batch 1 of epoch 2"), ("on_test_begin", "the validation of epoch 2")],
)
def test_loss_that_is_not_finite_stops_and_keeps_the_last_model(
    moment, place, small, monkeypatch, fault
):
    """Spoiled in the last step of the last epoch, the weights show in the validation only."""
    folder, moments = records.run_folder(small, Recipe()), []
    spoiler = keras.callbacks.Callback()

    def spoil(*args, **kwargs):
        moments.append(moment)
        if len(moments) == 2:
            spoiler.model.set_weights(
                [np.full_like(value, np.nan) for value in spoiler.model.get_weights()]
            )

    setattr(spoiler, moment, spoil)
    real_fit = keras.Model.fit
    with monkeypatch.context() as patch:
        patch.setattr(
            keras.Model,
            "fit",
            lambda self, *a, callbacks, **k: real_fit(
                self, *a, callbacks=[*callbacks, spoiler], **k
            ),
        )
        with pytest.raises(
            TrainingError,
            match=f"The loss became nan in {place} .*last.keras.* smaller learning rate",
        ):
            training.train(small, log=quiet)
    assert all(np.isfinite(value).all() for value in weights(folder))
    assert len(training.train(small, log=quiet)[1]["history"]["loss"]) == 2
    if place.startswith("batch"):
        fault(
            "training",
            "a loss that is not finite",
            "stops and names batch and epoch; the model of the epoch before is kept, and can go on",
        )


def test_tensorboard_gets_a_folder_of_each_run(small, tmp_path):
    for seed in (0, 1):
        training.train(small, Recipe(seed=seed), epochs=1, log=quiet, tensorboard=tmp_path)
    assert {path.parent.parent.name for path in tmp_path.glob("*/*/events.*")} == {
        records.run_folder(dataclasses.replace(small, epochs=1), Recipe(seed=seed)).name
        for seed in (0, 1)
    }


def test_missing_tensorboard_is_named(small, monkeypatch):
    monkeypatch.setattr(
        training.importlib.util,
        "find_spec",
        lambda name: None if name == "tensorboard" else object(),
    )
    with pytest.raises(TrainingError, match="logs need tensorboard; run pip install tensorboard"):
        training.train(small, tensorboard="logs", log=quiet)


def test_split_without_a_class_is_named(small, fault):
    folders = archive.fetch_clips(small)
    for file in (folders["val"] / "LeanRight").iterdir():
        file.unlink()
    with pytest.raises(TrainingError, match=r"val has no clip of LeanRight; fetch"):
        training.load_splits(folders, small)
    fault(
        "training",
        "a class missing from a split",
        "refused before training; names the folder and the class",
    )


@pytest.mark.parametrize("other", [{"size": 32}, {"n_frames": 5}, {"num_classes": 3}])
def test_network_that_does_not_fit_the_clips_is_refused(small, other, fault):
    batches = training.load_splits(archive.fetch_clips(small), small)["val"]
    training.check_clips_fit(build_model(Recipe(), small), batches)
    with pytest.raises(
        TrainingError,
        match=r"has \d classes and takes clips of .*, but these clips have 2 classes and are 4 x",
    ):
        training.check_clips_fit(
            build_model(Recipe(), dataclasses.replace(small, **other)), batches
        )
    fault(
        "training",
        f"a network built for another {next(iter(other))}",
        "refused before training; names both sizes",
    )


def test_full_disk_keeps_the_last_good_model(small, monkeypatch, fault):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, at=1)
        training.train(small, log=quiet)
    folder = records.run_folder(small, Recipe())
    before = weights(folder)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(
            TrainingError, match=r"keras can't be written \(the disk is full; .*has free space"
        ):
            training.train(small, log=quiet)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    for old, new in zip(before, weights(folder)):
        np.testing.assert_array_equal(old, new)
    assert not list(folder.glob(".temp*"))
    with monkeypatch.context() as patch:
        patch.setattr(
            checkpoints,
            "write_json",
            lambda path, content: pathlib.Path("/dev/full").write_text("{}"),
        )
        with pytest.raises(
            TrainingError,
            match=r"history.json can't be written \(the disk is full; .*last.keras still holds",
        ):
            training.train(small, log=quiet)
    assert len(training.train(small, log=quiet)[1]["history"]["loss"]) == 2
    fault(
        "training",
        "a full disk while a model is saved",
        "stops and names the file; the last good model is kept, and can go on",
    )


def drive(small, tmp_path, *options):
    """Run the shell command on these settings."""
    (tmp_path / "drive.py").write_text(
        "import sys\nfrom helpers import settings, training\n"
        f"training.current = lambda: settings.Settings(**{dataclasses.asdict(small)!r})\n"
        "sys.exit(training.main(sys.argv[1:]))\n"
    )
    return subprocess.run(
        [sys.executable, "drive.py", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ,
    )


def test_shell_command_trains_and_records(small, tmp_path):
    options = [
        "--conv",
        "3d",
        "--epochs",
        "1",
        "--size",
        "24",
        "--frames",
        "3",
        "--seed",
        "0",
        "1",
        "--record",
        "out/runs.json",
    ]
    done = drive(small, tmp_path, *options)
    assert done.returncode == 0, done.stderr
    made = json.loads((tmp_path / "out" / "runs.json").read_text())
    assert [record["recipe"]["seed"] for record in made] == [0, 1]
    assert all(
        record["recipe"]["conv"] == "3d" and len(record["history"]["loss"]) == 1 for record in made
    )
    assert all(
        (record["settings"]["size"], record["settings"]["n_frames"]) == (24, 3) for record in made
    )
    assert all({"orders", "several_clips"} <= set(record) for record in made), (
        "what is recorded is looked at closely"
    )
    assert done.stdout.count("test accuracy") == 2 and done.stdout.count("epoch   1/1") == 2


def test_ingredients_can_be_left_out_and_the_test_clips_left_alone(
    small, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(training, "current", lambda: small)
    options = [
        "--recipe",
        "book",
        "--without",
        "augment",
        "cosine",
        "--no-test",
        "--record",
        str(tmp_path / "runs.json"),
    ]
    assert training.main([*options, "--seed", "3"]) == 0
    [record] = json.loads((tmp_path / "runs.json").read_text())
    assert record["recipe"] == dataclasses.asdict(
        dataclasses.replace(RECIPES["book"], augment=False, cosine=False, seed=3)
    )
    assert (
        not {"test", "actual", "confusion_matrix"} & set(record)
        and "test accuracy" not in capsys.readouterr().out
    )
    options.remove("--no-test")
    assert training.main([*options, "--seed", "3"]) == 0, (
        "a chosen run is tested without being trained again"
    )
    [tested] = json.loads((tmp_path / "runs.json").read_text())
    assert tested["history"] == record["history"] and 0 <= tested["test"]["accuracy"] <= 1
    assert "already trained" in capsys.readouterr().out


def test_an_official_split_takes_all_clips_unless_told_otherwise(small, monkeypatch, capsys):
    monkeypatch.setattr(training, "current", lambda: small)
    # The puppets have groups 1 to 4, and the first official split tests on 1 to 7.
    for options, number in (([], "any"), (["--per-class", "5", "1", "2"], "5")):
        assert training.main(["--split", "official1", *options]) == 1
        message = f"LeanLeft has 0 clips in the groups of official1 for train, not {number}; "
        assert capsys.readouterr().err.startswith(message)


def test_shell_command_says_in_a_sentence_what_is_wrong(small, tmp_path):
    done = drive(dataclasses.replace(small, zip="nowhere.zip"), tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "nowhere.zip is not there; set UCF101_ZIP" in done.stderr


@pytest.mark.parametrize(
    "option, value", [("--size", "15"), ("--frames", "0"), ("--epochs", "ten"), ("--conv", "4d")]
)
def test_shell_command_refuses_what_makes_no_sense(option, value, capsys):
    with pytest.raises(SystemExit):
        training.main([option, value])
    assert f"{option}: " in capsys.readouterr().err


ALMOST_RECORDS = [
    [{"recipe": {}, "settings": {}} | other]
    for other in (
        {"versions": None},
        {"versions": {"backend": 1}},
        {"settings": None},
        {"recipe": []},
    )
]


@pytest.mark.parametrize(
    "content", ["[", '{"rows": []}', "[1]", "{}", "null", *map(json.dumps, ALMOST_RECORDS)]
)
def test_file_that_holds_no_records_is_refused_before_training(
    content, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(training, "train", lambda *args, **kwargs: pytest.fail("trained"))
    (tmp_path / "other.json").write_text(content)
    assert training.main(["--record", str(tmp_path / "other.json")]) == 1
    assert "other.json is not a JSON list of runs; name another file" in capsys.readouterr().err
    assert (tmp_path / "other.json").read_text() == content


@pytest.mark.parametrize("option", ["--record", "--tensorboard"])
def test_urls_are_refused_where_files_are_written(option, capsys):
    with pytest.raises(SystemExit):
        training.main([option, "https://example.org/runs.json"])
    assert (
        "https://example.org/runs.json is a URL; name a path on this machine"
        in capsys.readouterr().err
    )


def test_sizes_of_batches_and_splits_can_be_chosen(small, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "current", lambda: small)
    seen = []
    monkeypatch.setattr(
        training, "train", lambda settings, recipe, **kwargs: seen.append(settings) or stop()
    )
    assert (
        training.main(["--batch-size", "1", "--classes", "3", "--per-class", "3", "1", "2"]) == 130
    )
    assert (seen[0].batch_size, seen[0].num_classes, seen[0].splits) == (
        1,
        3,
        {"train": 3, "val": 1, "test": 2},
    )


# As TensorFlow, PyTorch, JAX and NumPy have it.
class OutOfMemoryError(RuntimeError):
    pass


OUT_OF_MEMORY = [
    tf.errors.ResourceExhaustedError(
        None, None, "OOM when allocating tensor with shape[8,10,112,112,64]"
    ),
    OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
    RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 21474836480 bytes."),
    MemoryError("Unable to allocate 20.0 GiB for an array"),
]


@pytest.mark.parametrize(
    "error",
    [
        tf.errors.InternalError(None, None, "failed to create cublas handle: cublas error"),
        tf.errors.InternalError(None, None, "Dst tensor is not initialized."),
        tf.errors.NotFoundError(None, None, "No algorithm worked!  Error messages: ..."),
        RuntimeError(
            "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"
        ),
        cv2.error(
            "OpenCV(4.11.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 9 "
            "bytes in function 'OutOfMemoryError'"
        ),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_memory_runs_out_in_many_words(small, error):
    with (
        pytest.raises(TrainingError, match="^Memory ran out"),
        memory.explain_out_of_memory(small, Recipe(), pathlib.Path(), "training"),
    ):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("no need to allocate seats"),
        OSError(errno.EIO, "out of memory.avi"),
        cv2.error("shapes differ"),
    ],
)
def test_other_errors_are_not_told_as_ones_of_memory(small, error):
    with (
        pytest.raises(type(error)) as caught,
        memory.explain_out_of_memory(small, Recipe(), pathlib.Path(), "training"),
    ):
        raise error
    assert caught.value is error


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "method, doing, kept",
    [
        ("fit", "training", "no epoch has been saved"),
        ("predict_on_batch", "evaluation", "last.keras still holds"),
    ],
)
def test_memory_that_runs_out_is_told_with_what_takes_less(
    small, monkeypatch, capsys, error, method, doing, kept
):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(training, "current", lambda: dataclasses.replace(small, epochs=1))
    monkeypatch.setattr(keras.Model, method, fail)
    assert training.main([]) == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith(
        f"Memory ran out during {doing} with batches of 2 clips of 4 x 16 x 16 x 3 ("
    )
    assert (
        kept in told
        and "with --batch-size 1, a smaller --size, fewer --frames or --mixed (" in told
    )


def test_other_errors_of_the_backend_come_through(small, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(keras.Model, "fit", fail)
    with pytest.raises(RuntimeError, match="^shapes differ"):
        training.train(small, log=quiet)


def test_a_mistake_in_the_program_is_not_told_as_one_of_a_clip(small, monkeypatch):
    def fail(self, x, **kwargs):
        x.error = VideoReadError("clip.avi can't be opened")
        raise TypeError("a mistake")

    monkeypatch.setattr(keras.Model, "fit", fail)
    with pytest.raises(TypeError, match="^a mistake"):
        training.train(small, log=quiet)


def test_shell_says_why_there_is_nothing_to_go_on_from(small, monkeypatch, capsys):
    monkeypatch.setattr(training, "current", lambda: small)

    def said(*options):
        assert training.main([*options, "--no-test"]) == 0
        return [
            line for line in capsys.readouterr().out.splitlines() if "nothing to resume" in line
        ]

    folder = records.run_folder(small, Recipe()).parent
    assert said("--epochs", "1", "--resume") == [
        f"nothing to resume: {folder} has no run of {Recipe().name}; starting a new run"
    ]
    assert said("--epochs", "1", "--resume") == [], "trained already"
    assert said("--epochs", "2", "--resume") == [
        "nothing to resume: a run with --epochs 1 can't be extended, because its learning rate "
        "depends on the number of epochs; starting a new run"
    ]
    [line] = said("--epochs", "2", "--batch-size", "1", "--resume")
    assert "differs in settings, recipe, backend or the helpers' code; starting a new run" in line


def test_interrupted_shell_command_says_how_to_go_on(capsys, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", interrupted)
    assert training.main([]) == 130
    assert "the same command resumes" in capsys.readouterr().err
    assert training.main(["--restart"]) == 130
    assert "the same command without --restart resumes" in capsys.readouterr().err


@pytest.mark.parametrize(
    "network", ["small_resnet", "tutorial", pytest.param("resnet18", marks=pytest.mark.long)]
)
def test_networks_train_in_sixteen_bits(network):
    run = book_settings.Settings(
        "puppets", "short", frame_step=5, size=16, epochs=1, num_classes=3, n_frames=4
    )
    recipe = Recipe(network, mixed=True, subtract_mean=True)
    model = compile_model(build_model(recipe, run), recipe, steps=20)
    assert {
        layer.compute_dtype
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    } == {"bfloat16"}
    assert {weight.dtype for weight in model.weights} == {
        "float32"
    } and model.output.dtype == "float32"
    frames = np.random.default_rng(0).integers(0, 256, (3, 4, 16, 16, 3), dtype=np.uint8)
    losses = model.fit(frames, np.arange(3), epochs=6, shuffle=False, verbose=0).history["loss"]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    assert keras.config.dtype_policy().name == "float32"


def test_shell_command_explains_itself():
    done = subprocess.run(
        [sys.executable, "-m", "helpers.training", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0
    for option in (
        "network",
        "conv",
        "learning-rate",
        "epochs",
        "seed",
        "size",
        "frames",
        "record",
        "restart",
        "batch-size",
        "tensorboard",
    ):
        assert f"--{option}" in done.stdout


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_survives_saving_and_goes_on_with_the_same_optimiser(name, small, tmp_path):
    model = compile_model(build_model(RECIPES[name], small), RECIPES[name], steps=20)
    frames = np.random.default_rng(0).integers(0, 256, (2, 4, 16, 16, 3), dtype=np.uint8)
    model.train_on_batch(frames, np.array([0, 1]))
    model.reset_metrics()  # Keras 3.13 returns the mean of all batches since
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    losses = [one.train_on_batch(frames, np.array([0, 1])) for one in (model, loaded)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    for one, other in zip(model.get_weights(), loaded.get_weights()):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_records_are_picked_by_recipe_and_settings():
    runs = [
        {"recipe": {"conv": conv, "seed": seed}, "settings": {"size": 64, "seed": 0}}
        for conv in ("2d", "3d")
        for seed in (0, 1)
    ]
    assert records.select_runs(runs, conv="3d", size=64) == runs[2:] and records.select_runs(
        runs, seed=1
    ) == [runs[1], runs[3]]
    assert records.select_runs(runs, size=112) == []


def test_record_takes_the_place_of_the_same_run_only(tmp_path):
    def record(backend, seed=0, **others):
        return {
            "recipe": {"seed": seed},
            "settings": {"size": 64},
            "versions": {"backend": backend},
        } | others

    for one in (
        record("tensorflow 2.21.0"),
        record("jax 0.10.2"),
        record("jax 0.10.2", seed=1),
        record("jax 0.11.0", hardware="another"),
    ):
        records.add_record(tmp_path / "runs.json", one)
    made = records.read_records(tmp_path / "runs.json")
    assert made == [
        record("tensorflow 2.21.0"),
        record("jax 0.10.2", seed=1),
        record("jax 0.11.0", hardware="another"),
    ]


def test_place_that_takes_no_records_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"can't be read \(Is a directory\); name another file"):
        records.read_records(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"can't be written \(.*\); name another file"):
        records.add_record(tmp_path / "file" / "runs.json", {"recipe": {}, "settings": {}})


def test_records_of_a_recipe_are_those_of_all_its_seeds():
    runs = [
        {"recipe": dataclasses.asdict(Recipe(conv=conv, seed=seed))}
        for conv in ("2d", "3d")
        for seed in (1, 2)
    ]
    assert (
        records.runs_of_recipe(runs, Recipe(conv="3d")) == runs[2:]
        and records.runs_of_recipe(runs, Recipe(conv="mc3")) == []
    )


def test_accuracies_are_those_at_the_end():
    runs = [
        {"history": {"accuracy": [0.2, 0.9], "val_accuracy": [0.1, 0.7]}, "test": {"accuracy": 0.6}}
    ] * 2
    assert [records.accuracies(runs, split) for split in ("train", "val", "test")] == [
        [0.9, 0.9],
        [0.7, 0.7],
        [0.6, 0.6],
    ]


def test_spread_names_mean_worst_and_best():
    assert records.mean_and_range([0.5, 0.75, 0.7]) == "0.65 (0.50 to 0.75)"
    assert records.mean_and_range([0.5]) == "0.50"


def test_unknown_recording_is_named():
    with pytest.raises(FileNotFoundError, match="nothing-of-the-kind"):
        records.load_results("nothing-of-the-kind")


QUICK = ["--size", "16", "--frames", "4", "--epochs", "2", "--batch-size", "4"]


@pytest.fixture
def own_folder(small, tmp_path):
    """Two classes of puppets under other names, by four people, one class with more clips."""
    for class_name, clips in (("SitDown", 2), ("StandUp", 1)):
        for group in range(1, 5):
            folder = tmp_path / "my videos" / f"{class_name} «é»" / f"person {group}"
            folder.mkdir(parents=True)
            for clip in range(1, clips + 1):
                write_video(folder / f"IMG {clip}.mp4", puppets.draw_clip(class_name, group, clip))
    return tmp_path / "my videos"


def test_ones_own_clips_are_trained_on_judged_and_predicted(own_folder, tmp_path, capsys):
    options = ["--clips", str(own_folder), "--balance", "--record", "runs.json", *QUICK]
    assert training.main(options) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("SitDown «é»  8 clips in 4 groups, 18 s (")
    assert printed[2] == "runs/my videos/clips.html shows a film strip of each class"
    assert "train  6 clips: 4 SitDown «é», 2 StandUp «é»" in printed
    assert "cache for 0 MB of decoded frames: memory" in printed
    [record] = json.loads((tmp_path / "runs.json").read_text())
    assert set(record["test"]) == {"loss", "accuracy", "balanced_accuracy", "majority"}
    assert record["test"]["majority"] == pytest.approx(2 / 3)
    assert record["recipe"]["balance"] and record["settings"]["clips"] == "my videos"
    assert len(set(record["groups"])) == 1 and record["several_clips"].keys() >= {"1", "10"}
    assert all(name.startswith(("SitDown «é»/person", "StandUp")) for name in record["clips"])
    assert str(tmp_path) not in json.dumps(record)
    *_, score, command = printed
    assert score == describe_score(record)
    [model] = tmp_path.glob("runs/my videos-short/*/last.keras")
    assert command.startswith("to classify a video: python -m helpers.predict 'runs/my videos-")
    video = next(own_folder.glob("Sit*/*/*"))
    assert predict.main([str(model), str(video)]) == 0
    assert "StandUp «é»" in capsys.readouterr().out
    assert training.main(options) == 0
    assert "already trained" in capsys.readouterr().out


def test_ones_own_clips_that_are_left_out_are_listed_and_recorded(own_folder, tmp_path, capsys):
    broken = next(own_folder.glob("Sit*/*/IMG 2.mp4"))
    broken.write_bytes(b"no video")
    options = ["--clips", str(own_folder), "--leave-out", *QUICK]
    for _ in range(2):  # also if the run is finished
        assert training.main(options) == 0
        name = broken.relative_to(own_folder).as_posix()
        line = f"left out of clips because they can't be read: {name}"
        assert line in capsys.readouterr().out.splitlines()
    [file] = tmp_path.glob("runs/my videos-short/*/record.json")
    assert json.loads(file.read_text())["left_out"]["clips"] == [name]


def test_other_clips_in_the_same_folder_are_another_run(own_folder, capsys):
    assert training.main(["--clips", str(own_folder), *QUICK]) == 0
    next(own_folder.glob("Sit*/*/IMG 2.mp4")).unlink()
    assert training.main(["--clips", str(own_folder), *QUICK]) == 0
    assert capsys.readouterr().out.count("epoch   2/2") == 2


@pytest.mark.parametrize("cache", ["disk", "none"])
def test_the_cache_can_be_chosen_and_changes_no_number(own_folder, cache, capsys, tmp_path):
    records_of = []
    for kind in ("memory", cache):
        options = ["--clips", str(own_folder), "--cache", kind, "--restart", *QUICK]
        assert training.main([*options, "--record", f"{kind}.json"]) == 0
        assert f"of decoded frames: {kind}" in capsys.readouterr().out
        [record] = json.loads((tmp_path / f"{kind}.json").read_text())
        records_of.append({name: record[name] for name in ("history", "test", "probabilities")})
    assert records_of[0] == records_of[1]
    assert (tmp_path / "data" / "frames").exists() == (cache == "disk")


@pytest.mark.parametrize(
    "options, message",
    [
        (["--clips", "nowhere"], "nowhere does not exist; check the path"),
        (["--clips", "nowhere.csv"], "nowhere.csv can't be read (No such file or directory); give"),
        (["--clips", "my videos", "--group", "("], "'(' is not a regular expression ("),
        (["--clips", "my videos", "--group", "x"], "'x' finds no group in 12 of the 12 clips in"),
        (["--clips", "my videos", "--classes", "2"], "--classes selects clips of UCF101 or the"),
        (["--clips", "my videos", "--per-class", "1", "1", "1"], "--per-class selects clips of"),
        (["--clips", "my videos", "--split", "official1"], "--split selects clips of UCF101 or"),
        (["--group", "x"], "--group belongs to your own clips; name them with --clips FOLDER"),
    ],
)
def test_options_for_ones_own_clips_that_make_no_sense_are_refused(
    own_folder, options, message, capsys
):
    assert training.main(options) == 1
    assert capsys.readouterr().err.startswith(message)


def test_clips_and_settings_that_do_not_belong_together_are_refused(own_folder):
    clips, run = own_clips.prepare_clips(own_folder, book_settings.current("own"), log=quiet)
    other = clips.assign(frame_step=1)
    for settings, table in ((run, None), (run, other), (book_settings.current(), clips)):
        with pytest.raises(
            TrainingError, match="^The settings and the clips don't belong together; pass both"
        ):
            training.train(settings, clips=table)


def test_weights_let_all_classes_count_the_same():
    weights = training.class_weights(np.array([0, 0, 0, 1]))
    assert weights == pytest.approx({0: 4 / 6, 1: 4 / 2})


def test_a_balanced_training_weights_the_loss(small, monkeypatch):
    seen = []
    fit = keras.Model.fit
    monkeypatch.setattr(
        keras.Model,
        "fit",
        lambda *args, **kwargs: seen.append(kwargs["class_weight"]) or fit(*args, **kwargs),
    )
    training.train(small, dataclasses.replace(FAST, balance=True), log=quiet)
    training.train(small, FAST, log=quiet)
    assert seen == [{0: 1.0, 1: 1.0}, None]
