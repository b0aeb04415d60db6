"""What happens to a training run that is stopped, starved or fed nonsense."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from helpers import layers, recipes  # noqa: F401, they register what saved models are made of

EPOCHS = 24

PROGRAM = """
import sys
import keras
from helpers import layers, recipes, settings, training

def build(num_classes, n_frames, height, width, conv, subtract_mean):
    inputs = keras.Input((n_frames, height, width, 3), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.ReLU()(layers.BatchNorm()(layers.Conv2Plus1D(8, (3, 3, 3), "same")(x)))
    x = keras.layers.GlobalAveragePooling3D()(x)
    return keras.Model(inputs, keras.layers.Dense(num_classes)(x))

recipes.NETWORKS["small_resnet"] = build
options = dict(weight_decay=0.05, label_smoothing=0.1, augment=True)
recipes.RECIPES["plain"] = recipes.Recipe(learning_rate=0.003, **options)
splits = {"train": 4, "val": 2, "test": 2}
options = dict(zip=ZIP, num_classes=2, splits=splits, n_frames=4, batch_size=3)
run = settings.Settings("ucf101", "short", 5, 24, EPOCHS, **options)
training.current = lambda: run
sys.exit(training.main(sys.argv[1:]))
"""


@pytest.fixture
def start(tmp_path, puppet_zip):
    """Returns a function that starts a training in a folder of `tmp_path`."""
    program = tmp_path / "program.py"
    program.write_text(f"EPOCHS, ZIP = {EPOCHS}, {str(puppet_zip)!r}\n" + PROGRAM)

    def start(folder, *options):
        (tmp_path / folder).mkdir(exist_ok=True)
        command = [
            sys.executable,
            str(program),
            "--deterministic",
            "--record",
            "record.json",
            *options,
        ]
        return subprocess.Popen(
            command,
            cwd=tmp_path / folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ,
        )

    return start


def outcome(folder):
    """Return weights and optimiser of the latest model, the best weights, and the record."""
    [last], [best] = folder.glob("runs/*/*/last.keras"), folder.glob("runs/*/*/best.keras")
    models = [keras.models.load_model(file) for file in (last, best)]
    values = [
        np.array(variable)
        for model in models
        for variable in (*model.weights, *model.optimizer.variables)
    ]
    [record] = json.loads((folder / "record.json").read_text())
    return values, {name: record[name] for name in ("history", "test", "actual", "predicted")}


def test_killed_training_goes_on_to_the_same_end(start, tmp_path, fault, daily_or_long):
    number = daily_or_long(3, 10)
    assert start("whole").wait() == 0
    kills, begun, rng = 0, 0, random.Random(0)
    while kills < number:
        process = start("killed", "--resume")
        for line in process.stdout:
            if line.startswith("epoch"):
                break
        begun += 1
        assert begun < 3 * number, "the run ends before it can be killed"
        time.sleep(rng.uniform(0, 0.6))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        if process.returncode == 0:
            # At its end already: another one, from the beginning.
            for file in tmp_path.glob("killed/runs/*/*/*"):
                file.unlink()
    assert start("killed", "--resume").wait() == 0
    (whole_values, whole_record), (values, record) = (
        outcome(tmp_path / "whole"),
        outcome(tmp_path / "killed"),
    )
    assert record == whole_record and len(record["history"]["loss"]) == EPOCHS
    for one, other in zip(values, whole_values, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not list(tmp_path.glob("killed/runs/*/*/.temp*"))
    fault(
        "training",
        "killed at a random moment (SIGKILL), then --resume",
        "the same weights and history, bit by bit",
        number,
    )
