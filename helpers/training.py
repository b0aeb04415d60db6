"""Fit a network, and record what came of it. Taught in the chapter *Train*; from a shell, `python -m helpers.training --help`."""

import argparse
import csv
import dataclasses
import hashlib
import json
import os
import pathlib
import platform
import shutil
import subprocess
import time

import keras

from helpers import models
from helpers.archive import fetch_clips
from helpers.batches import ClipBatches
from helpers.evaluation import get_actual_predicted_labels
from helpers.files import locked, whole
from helpers.settings import current, home

# By network: how to build it, and Adam's rate. The tutorial's network gets the tutorial's rate.
NETWORKS = {"small_resnet": models.build_small_resnet, "tutorial": models.build_tutorial_model}
LEARNING_RATES = {"small_resnet": 1e-3, "tutorial": 1e-4}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Which network is trained, and how; the clips and their sizes are in `helpers.settings.Settings`."""

    network: str = "small_resnet"
    conv: str = "2plus1d"
    learning_rate: float = LEARNING_RATES["small_resnet"]
    seed: int = 0

    @property
    def name(self):
        """What the run's folder is called, such as `"small_resnet-2plus1d-0.001-seed0"`."""
        return f"{self.network}-{self.conv}-{self.learning_rate:g}-seed{self.seed}"


def make_datasets(folders, settings, seed=0, unreadable="stop"):
    """Return the data sets of a run by split: the training set shuffled, the others in order.

    Decoded frames are kept in memory for the next epoch. Under TensorFlow the data sets are from `make_dataset`, under Keras's other
    backends `ClipBatches`; both give the same batches. Sets the global seeds as well.

    Args:
        folders: The folders by split, from `helpers.archive`.
        settings: What `helpers.settings.current()` returns.
        seed: Seed of order, starts and what is made afterwards, such as a network's first weights.
        unreadable: What to do about clips that can't be read: `"stop"` at the first one, or `"leave out"`.
    """
    if keras.backend.backend() == "tensorflow":
        from helpers.pipeline import make_dataset  # imports TensorFlow, which the rest of this module does without
    else:
        make_dataset = ClipBatches
    keras.utils.set_random_seed(seed)
    sizes = settings.reading | {"batch_size": settings.batch_size, "seed": seed}
    sizes |= {"cache": "memory", "start_step": settings.start_step, "unreadable": unreadable}
    return {split: make_dataset(folder, training=split == "train", **sizes) for split, folder in folders.items()}


def compile_model(model, learning_rate=LEARNING_RATES["small_resnet"]):
    """Compile a network of logits with Adam, sparse categorical cross-entropy and accuracy; return it."""
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def train(settings, recipe=Recipe(), *, epochs=None, verbose=2, unreadable="stop"):
    """Train a network and save it with its record, or go on where an earlier call was interrupted.

    A run is kept in a folder of its own below `runs/`: `model.keras`, `record.json` and, until it is finished, a backup
    of the last whole epoch. A finished run of the same settings, recipe and helpers is not trained again.

    Args:
        settings: What `helpers.settings.current()` returns.
        recipe: Which network, and how.
        epochs: Epochs, where not the settings' own.
        verbose: As in `keras.Model.fit`.
        unreadable: What to do about clips that can't be read: `"stop"` at the first one, or `"leave out"`.

    Returns:
        `(model, record)`; `record` holds the history by epoch, loss and accuracy on the test set, seconds, hardware,
        versions, and the clips that were left out, by split.
    """
    settings = dataclasses.replace(settings, epochs=epochs or settings.epochs)
    finished = load_run(settings, recipe)
    if finished is not None:
        return finished
    folder = run_folder(settings, recipe)
    folder.mkdir(parents=True, exist_ok=True)
    data = make_datasets(fetch_clips(settings), settings, recipe.seed, unreadable)
    model = compile_model(NETWORKS[recipe.network](conv=recipe.conv, **settings.input_size), recipe.learning_rate)
    log = folder / "epochs.csv"
    callbacks = [
        _EpochSeconds(),
        keras.callbacks.CSVLogger(log, append=True),
        keras.callbacks.BackupAndRestore(str(folder / "backup"), delete_checkpoint=False),
    ]
    # The training set is shuffled already.
    model.fit(
        data["train"], validation_data=data["val"], epochs=settings.epochs, shuffle=False, callbacks=callbacks, verbose=verbose
    )
    history = _read_log(log)
    left_out = {split: [file.name for file, _ in dataset.left_out] for split, dataset in data.items()}
    seconds = sum(history.pop("seconds"))
    record = save_run(model, history, settings, recipe, test=data["test"], seconds=seconds, left_out=left_out)
    shutil.rmtree(folder / "backup", ignore_errors=True)
    return model, record


def save_run(model, history, settings, recipe=Recipe(), *, test, seconds, left_out=None):
    """Save a trained network and its record where `train` and `load_run` look for them.

    Args:
        model: The trained network.
        history: Lists by metric, one value an epoch, such as a Keras `History`'s attribute `history`.
        settings: What it was trained on.
        recipe: How it was trained.
        test: The test set from `make_dataset`, on which it is evaluated.
        seconds: How long the training took.
        left_out: Names of the clips that were left out, by split.

    Returns:
        The record.
    """
    folder = run_folder(settings, recipe)
    folder.mkdir(parents=True, exist_ok=True)
    actual, predicted = get_actual_predicted_labels(model, test)
    record = {
        "recipe": dataclasses.asdict(recipe),
        "settings": _public(settings),
        "split_by": "group",
        "parameters": model.count_params(),
        "history": {name: [float(value) for value in values] for name, values in history.items()},
        "test": {name: float(value) for name, value in model.evaluate(test, verbose=0, return_dict=True).items()},
        "class_names": test.class_names,
        "actual": actual.tolist(),
        "predicted": predicted.tolist(),
        "seconds": round(seconds, 1),
        "hardware": hardware(),
        "versions": {"python": platform.python_version(), "keras": keras.__version__, "backend": keras.backend.backend()},
        "fingerprint": fingerprint(settings, recipe),
        "left_out": left_out or {},
    }
    # A record is written last: where there is one, the model beside it is whole.
    with locked(folder), whole(folder / "model.keras") as draft:
        model.save(draft)
    write_json(folder / "record.json", record)
    return record


def load_run(settings, recipe=Recipe()):
    """Return `(model, record)` of a finished run of the same settings, recipe and helpers, or None."""
    folder = run_folder(settings, recipe)
    if not (folder / "record.json").exists():
        return None
    record = json.loads((folder / "record.json").read_text())
    return keras.models.load_model(folder / "model.keras"), record


def run_folder(settings, recipe=Recipe()):
    """Return the folder that a run is kept in; other settings, recipes or helpers have another."""
    return home() / "runs" / settings.name / f"{recipe.name}-{settings.epochs}epochs-{fingerprint(settings, recipe)}"


def fingerprint(settings, recipe):
    """Return a hash of all that a run depends on: its settings, its recipe and the helpers' source."""
    here = pathlib.Path(__file__).parent
    names = (
        "ucf101", "puppets", "archive", "video", "cache", "augmentation", "batches", "pipeline", "counting", "layers", "models",
        "evaluation", "training",
    )  # fmt: skip
    digest = hashlib.sha256(json.dumps([_public(settings), dataclasses.asdict(recipe)]).encode())
    for name in names:
        digest.update((here / f"{name}.py").read_bytes())
    return digest.hexdigest()[:8]


def hardware():
    """Return the name of the GPU, or of the CPU and how many cores of it there are."""
    if shutil.which("nvidia-smi"):
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        found = subprocess.run(query, capture_output=True, text=True, check=False)
        if found.returncode == 0:
            return found.stdout.splitlines()[0].strip()
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{name}, {os.cpu_count()} cores"


def recorded(name):
    """Return what was recorded under a name in `book/results/`; of training runs, a list of records.

    Raises:
        FileNotFoundError: There is no such recording.
    """
    here = pathlib.Path(__file__).parent
    # In an installed package the recordings lie beside the modules, in a checkout in the book.
    folders = (here / "results", here.parent / "book" / "results")
    for folder in folders:
        if (folder / f"{name}.json").exists():
            return json.loads((folder / f"{name}.json").read_text())
    raise FileNotFoundError(f"Nothing is recorded as {name}.json in book/results; the Results page says what makes such files.")


def write_json(path, content):
    """Write JSON to a file that is there whole or not at all."""
    with locked(path.parent), whole(path) as draft:
        draft.write_text(json.dumps(content, indent=1) + "\n")


def _public(settings):
    """Return the settings without the ZIP's address, which may be a path of this machine."""
    return {name: value for name, value in dataclasses.asdict(settings).items() if name != "zip"}


class _EpochSeconds(keras.callbacks.Callback):
    """Adds to each epoch's logs how long it took, so that an interrupted run knows the sum."""

    def on_epoch_begin(self, epoch, logs=None):
        self.begin = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        logs["seconds"] = time.monotonic() - self.begin


def _read_log(log):
    """Return the history that CSVLogger wrote; an epoch that was interrupted and repeated counts once, the last time."""
    rows = {int(row.pop("epoch")): row for row in csv.DictReader(log.open())}
    return {name: [float(rows[epoch][name]) for epoch in sorted(rows)] for name in rows[min(rows)]}


def _parse(arguments):
    parser = argparse.ArgumentParser(
        prog="python -m helpers.training",
        description="Train a network on the clips that BOOK_DATASET, BOOK_RUN and UCF101_ZIP name, evaluate it on the test "
        "clips, and save it with its record in runs/. Called again after an interruption it goes on where it stopped.",
    )
    parser.add_argument("--network", choices=NETWORKS, default="small_resnet", help="which network (default: %(default)s)")
    parser.add_argument("--conv", default="2plus1d", help="2plus1d, 3d, 2d or, in small_resnet, mc3 (default: %(default)s)")
    parser.add_argument("--learning-rate", type=float, help="Adam's rate (default: 1e-3; 1e-4 for the tutorial's network)")
    parser.add_argument("--epochs", type=int, help="epochs (default: those of BOOK_RUN)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="one run for each (default: 0)")
    parser.add_argument("--leave-out", action="store_true", help="leave out clips that can't be read, and list them at the end")
    parser.add_argument("--record", type=pathlib.Path, metavar="JSON", help="add the records to this file, a list of runs")
    return parser.parse_args(arguments)


def main(arguments=None):
    """Train from a shell."""
    options = _parse(arguments)
    rate = options.learning_rate or LEARNING_RATES[options.network]
    settings = current()
    for seed in options.seeds:
        recipe = Recipe(options.network, options.conv, rate, seed)
        print(f"{settings.name}, {recipe.name}", flush=True)
        unreadable = "leave out" if options.leave_out else "stop"
        _, record = train(settings, recipe, epochs=options.epochs, unreadable=unreadable)
        print(f"test accuracy {record['test']['accuracy']:.3f}, {record['seconds']:.0f} s, {record['hardware']}", flush=True)
        for split, names in record["left_out"].items():
            if names:
                print(f"left out of {split}, for they can't be read: {', '.join(names)}", flush=True)
        if options.record:
            _add_record(options.record, record)


def _add_record(path, record):
    """Add a record to a file of them, in place of one of the same recipe and settings."""
    records = json.loads(path.read_text()) if path.exists() else []
    others = [old for old in records if (old["recipe"], old["settings"]) != (record["recipe"], record["settings"])]
    write_json(path, [*others, record])


if __name__ == "__main__":
    main()
