import dataclasses
import json
import os
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

from helpers import archive
from helpers import settings as book_settings
from helpers import training
from helpers.training import Recipe


@pytest.fixture
def small(monkeypatch, tmp_path, puppet_zip):
    """Settings of a run that takes seconds, at home in an empty folder."""
    monkeypatch.chdir(tmp_path)
    splits = {"train": 2, "val": 2, "test": 2}
    run = book_settings.Settings("ucf101", "short", frame_step=5, size=16, epochs=2, num_classes=2, splits=splits)
    return dataclasses.replace(run, zip=str(puppet_zip), n_frames=4, batch_size=2)


def test_run_is_saved_with_its_record(small):
    model, record = training.train(small, verbose=0)
    folder = training.run_folder(small)
    assert json.loads((folder / "record.json").read_text()) == record
    assert [len(values) for values in record["history"].values()] == [2] * 4
    assert set(record["history"]) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert record["test"]["accuracy"] == pytest.approx(np.mean(np.equal(record["actual"], record["predicted"])))
    assert len(record["actual"]) == 4 and record["class_names"] == ["LeanLeft", "LeanRight"]
    assert record["parameters"] == model.count_params()
    assert record["recipe"]["learning_rate"] == 1e-3 and record["split_by"] == "group"
    loaded = keras.models.load_model(folder / "model.keras")
    frames = np.zeros((1, 4, 16, 16, 3), np.uint8)
    np.testing.assert_array_equal(loaded.predict(frames, verbose=0), model.predict(frames, verbose=0))
    assert not (folder / "backup").exists()


def test_record_tells_no_path_of_the_machine(small, tmp_path):
    _, record = training.train(small, verbose=0)
    assert str(tmp_path) not in json.dumps(record) and small.zip not in json.dumps(record)


def test_finished_run_is_loaded_and_other_settings_train_anew(small, monkeypatch):
    training.train(small, verbose=0)
    fits = []
    monkeypatch.setattr(keras.Model, "fit", lambda self, *a, **k: fits.append(1) or pytest.fail("trained again"))
    training.train(small, verbose=0)
    assert training.load_run(dataclasses.replace(small, frame_step=6)) is None
    assert training.load_run(small, Recipe(seed=1)) is None
    assert training.load_run(dataclasses.replace(small, epochs=3)) is None
    monkeypatch.setattr(training, "fingerprint", lambda *a: "other helpers")
    assert training.load_run(small) is None and not fits


def test_run_is_the_same_wherever_its_clips_come_from(small):
    assert training.run_folder(small) == training.run_folder(dataclasses.replace(small, zip="http://127.0.0.1/other.zip"))


def test_interrupted_run_goes_on_after_the_last_whole_epoch(small, monkeypatch):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    real_fit, begun = keras.Model.fit, []

    def interrupted_fit(self, *args, callbacks, **kwargs):
        return real_fit(self, *args, callbacks=[*callbacks, Interrupt()], **kwargs)

    def watched_fit(self, *args, callbacks, **kwargs):
        watch = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: begun.append(epoch))
        return real_fit(self, *args, callbacks=[*callbacks, watch], **kwargs)

    monkeypatch.setattr(keras.Model, "fit", interrupted_fit)
    with pytest.raises(KeyboardInterrupt):
        training.train(small, epochs=4, verbose=0)
    monkeypatch.setattr(keras.Model, "fit", watched_fit)
    _, record = training.train(small, epochs=4, verbose=0)
    assert begun == [2, 3]
    assert "seconds" not in record["history"] and record["seconds"] > 0
    assert len(record["history"]["loss"]) == 4


def test_clips_that_cannot_be_read_stop_training_or_are_left_out_and_listed(small, tmp_path, capsys, monkeypatch):
    victim = min(archive.fetch_clips(small)["train"].glob("*/*.avi")).name
    with zipfile.ZipFile(small.zip) as whole, zipfile.ZipFile(tmp_path / "damaged.zip", "w") as damaged:
        for info in whole.infolist():
            damaged.writestr(info.filename, b"no video" if info.filename.endswith(victim) else whole.read(info))
    small = dataclasses.replace(small, zip=str(tmp_path / "damaged.zip"))
    with pytest.raises(Exception, match=f"{victim} can't be opened"):
        training.train(small, verbose=0)
    monkeypatch.setattr(training, "current", lambda: small)
    with pytest.warns(UserWarning, match=f"1 of 4 clips are left out:\n.*{victim}"):
        training.main(["--leave-out"])
    assert f"left out of train, for they can't be read: {victim}" in capsys.readouterr().out
    assert training.load_run(small)[1]["left_out"] == {"train": [victim], "val": [], "test": []}


def test_same_seed_gives_the_same_history(small, monkeypatch, tmp_path):
    histories = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        histories.append(training.train(small, verbose=0)[1]["history"])
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-3)


def test_shell_command_trains_and_records(small, tmp_path):
    with open(tmp_path / "drive.py", "w") as file:
        file.write(
            "import dataclasses, sys\nfrom helpers import settings, training\n"
            f"training.current = lambda: settings.Settings(**{dataclasses.asdict(small)!r})\n"
            "training.main(sys.argv[1:])\n"
        )
    command = [sys.executable, "drive.py", "--epochs", "1", "--seeds", "0", "1", "--record", "out/runs.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    records = json.loads((tmp_path / "out" / "runs.json").read_text())
    assert [record["recipe"]["seed"] for record in records] == [0, 1]
    assert done.stdout.count("test accuracy") == 2


def test_shell_command_explains_itself():
    done = subprocess.run([sys.executable, "-m", "helpers.training", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    for option in ("--network", "--conv", "--learning-rate", "--epochs", "--seeds", "--record"):
        assert option in done.stdout


def test_recorded_runs_of_the_book_are_complete():
    records = records.recorded("puppets-short")
    ours = [record for record in records if record["recipe"]["network"] == "small_resnet"]
    assert len({record["recipe"]["seed"] for record in ours}) >= 3
    assert all(record["test"]["accuracy"] >= 0.9 for record in ours if record["recipe"]["conv"] == "2plus1d")
    frame_by_frame = [record["test"]["accuracy"] for record in records if record["recipe"]["conv"] == "2d"]
    assert frame_by_frame and max(frame_by_frame) <= 0.5, "no bag of frames tells an action from its reverse"
    for record in records:
        assert record["settings"]["splits"] == {"train": 30, "val": 10, "test": 10} and record["split_by"] == "group"
        assert len(record["history"]["loss"]) == record["settings"]["epochs"]
        assert record["seconds"] > 0 and record["hardware"]


def test_unknown_recording_is_named():
    with pytest.raises(FileNotFoundError, match="nothing-of-the-kind"):
        records.recorded("nothing-of-the-kind")
