"""Fit a network so that nothing is lost. Taught in the chapter *Train*; from a shell, `python -m helpers.training --help`."""

import argparse
import dataclasses
import hashlib
import importlib.util
import itertools
import json
import math
import pathlib
import platform
import re
import sys
import time

import keras

from helpers.archive import fetch_clips
from helpers.atomic import locked
from helpers.batches import ClipBatches
from helpers.checkpoints import (
    BEST,
    HISTORY,
    LAST,
    RECORD,
    TrainingError,
    can_resume,
    check_same_clips,
    last_saved,
    load_run,
    replace_run,
    resume_run,
    save_json,
    save_model,
    save_record,
)
from helpers.clips import as_url
from helpers.evaluation import evaluate
from helpers.memory import backend_errors, explain_out_of_memory
from helpers.recipes import NETWORKS, RECIPES, Recipe, build_model, compile_model
from helpers.records import (
    add_record,
    fingerprint,
    hardware,
    public_settings,
    read_records,
    run_folder,
)
from helpers.settings import current

# What a recipe can do without, and how that is said.
INGREDIENTS = {
    "cosine": False,
    "weight_decay": 0.0,
    "label_smoothing": 0.0,
    "subtract_mean": False,
    "augment": False,
}


def load_splits(folders, settings, seed=0, augment=None, unreadable="stop"):
    """Return the batches of a run by split: the training set shuffled, the others in order.

    Decoded frames are kept in memory for the next epoch.

    Args:
        folders: The folders by split, from `helpers.archive`.
        settings: What `helpers.settings.current()` returns.
        seed: Seed of order, starts and augmentation.
        augment: What changes the training clips, such as a `helpers.augmentation.Augmentation`.
        unreadable: What to do about clips that can't be read: `"stop"` at the first one, or `"leave
            out"`.

    Raises:
        TrainingError: A split lacks a class that another has.
    """
    sizes = settings.sampling | {
        "batch_size": settings.batch_size,
        "seed": seed,
        "augment": augment,
    }
    sizes |= {"cache": "memory", "start_step": settings.start_step, "unreadable": unreadable}
    data = {
        split: ClipBatches(folder, training=split == "train", **sizes)
        for split, folder in folders.items()
    }
    names = set().union(*(batches.class_names for batches in data.values()))
    for split, batches in data.items():
        present = {batches.class_names[label] for label in batches.labels}
        if missing := sorted(names - present):
            raise TrainingError(
                f"{folders[split]} has no clip of {', '.join(missing)}; fetch the clips anew, or leave the class out."
            )
    return data


def train(
    settings,
    recipe=Recipe(),
    *,
    epochs=None,
    resume=True,
    test=True,
    thorough=False,
    unreadable="stop",
    log=print,
    tensorboard=None,
):
    """Train a network and save it with its record.

    A run is kept in a folder of its own below `runs/`: after each epoch the model as it is then,
    `last.keras`, and the one of the best validation accuracy so far, `best.keras`; at the end
    `record.json`. Each file is there whole or not at all. A finished run of the same settings,
    recipe and helpers is not trained again, only tested if that is still to be done.

    Args:
        settings: What `helpers.settings.current()` returns.
        recipe: Which network, and how.
        epochs: Epochs, where not the settings' own.
        test: Whether to evaluate the network on the test set. While you choose among recipes,
            don't.
        thorough: Whether to test it also with frames in other orders, and with several clips a
            video; that takes far longer.
        resume: Whether to go on after the last whole epoch of a run that was interrupted, or to
            begin anew, even where a run is finished. What the old run saved stays until the first
            epoch of the new one is saved.
        unreadable: What to do about clips that can't be read: `"stop"` at the first one, or `"leave
            out"`.
        log: Is called with a line of text after each epoch.
        tensorboard: Folder for TensorBoard's logs, if they are wanted; the run gets a folder of its
            own in it.

    Returns:
        `(model, record)`; `record` holds the history by epoch, seconds, hardware, versions, and the
        clips that were left out, by split; of a tested network also loss, accuracy and confusion
        matrix on the test set, and each clip's name, class and probabilities; of a thorough test
        `orders` and `several_clips`.

    Raises:
        TrainingError: The loss is not finite, a split lacks a class, the network doesn't fit the
            clips, memory doesn't suffice, the run that was interrupted had other clips, or a model
            can't be saved. What was saved before is still there.
    """
    settings = dataclasses.replace(settings, epochs=epochs or settings.epochs)
    folder = run_folder(settings, recipe)
    logs = [_tensorboard(pathlib.Path(tensorboard, folder.name))] if tensorboard else []
    with locked(folder):
        finished = load_run(settings, recipe) if resume else None
        judged = finished is not None and (
            ("orders" if thorough else "test") in finished[1] or not test
        )
        if finished is not None:
            log(f"trained already, in {finished[1]['seconds']:.0f} s")
            if judged and finished[1].get("source") == _source(settings):
                return finished
        data = load_splits(
            fetch_clips(settings), settings, recipe.seed, recipe.augmentation, unreadable
        )
        if finished is None:
            with explain_out_of_memory(settings, recipe, folder, "training"):
                model, record = _learn(data, settings, recipe, folder, resume, log, logs)
        else:
            model, record = finished
            check_clips_fit(model, data["train"])
            check_same_clips(record.get("clips_trained_on"), _describe(data), folder)
        if test and not judged:
            with explain_out_of_memory(settings, recipe, folder, "judging"):
                record |= evaluate(model, data["test"], thorough)
        return model, save_record(record | {"source": _source(settings)}, folder)


def _learn(data, settings, recipe, folder, resume, log, callbacks):
    """Train a network, from the beginning or from where an interrupted run was; return `(model, record)`, not judged yet."""
    train = data["train"]
    model = compile_model(build_model(recipe, settings), recipe, settings.epochs * len(train))
    clips = _describe(data)
    rows = resume_run(model, folder, clips) if resume else []
    check_clips_fit(model, train)
    if rows:
        log(f"going on after epoch {len(rows)}")
    callbacks = [_Epochs(folder, settings.epochs, rows, train, clips, log), *callbacks]
    sets = {
        "x": train,
        "validation_data": data["val"],
        "shuffle": False,
    }  # the training set is shuffled already
    try:
        model.fit(
            **sets, initial_epoch=len(rows), epochs=settings.epochs, callbacks=callbacks, verbose=0
        )
    except backend_errors():
        # TensorFlow wraps what the reading of a clip raises in an error of its own.
        if error := next((batches.error for batches in data.values() if batches.error), None):
            raise error from None
        raise
    history = {name: [row[name] for row in rows] for name in rows[0] if name != "clips"}
    left_out = {split: batches.left_out for split, batches in data.items()}
    record = _record(model, history, settings, recipe, left_out)
    return model, record | {"class_names": train.class_names, "clips_trained_on": clips}


def save_run(model, history, settings, recipe=Recipe(), *, test, seconds):
    """Save a trained network and its record where `train` and `load_run` look for them.

    Args:
        model: The trained network.
        history: What `fit` returns, or lists by metric, one value an epoch.
        settings: What it was trained on.
        recipe: How it was trained.
        test: The test set, on which it is evaluated. That it was not trained on these clips is up
            to you.
        seconds: How long the training took.

    Returns:
        The record.

    Raises:
        TrainingError: The network is not the one that the recipe builds for these settings, or not
            compiled, the history is no lists of a value an epoch, the loss among them, or of
            another number of epochs, the clips of the test set have another size or number of
            classes, or a file can't be written. Nothing is saved then.
    """
    folder, history = run_folder(settings, recipe), getattr(history, "history", history)
    _check_recipe(model, recipe, settings)
    if not model.compiled:
        raise TrainingError(
            "The network is not compiled, so it can't be evaluated; compile it, such as by recipes.compile_model."
        )
    check_clips_fit(model, test)
    epochs = _count_epochs(history)
    if epochs != settings.epochs:
        raise TrainingError(
            f"The history is of {epochs} epochs, and the settings say {settings.epochs}; set their epochs to {epochs}."
        )
    record = _record(
        model, history | {"seconds": [seconds / epochs] * epochs}, settings, recipe, {}
    ) | {"source": _source(settings)}
    with explain_out_of_memory(settings, recipe, folder, "judging"):
        record |= evaluate(model, test)
    with locked(folder):
        replace_run(model, folder)
        return save_record(record, folder)


def _count_epochs(history):
    """Return of how many epochs a history is; raise a TrainingError where it isn't of lists that are as long as the loss's."""
    if not isinstance(history, dict) or "loss" not in history:
        raise TrainingError(
            "The history has no loss; give what the network's fit returns, or a dictionary of lists, one value an epoch."
        )
    try:
        lengths = {name: len(values) for name, values in history.items()}
    except TypeError as error:
        raise TrainingError(
            f"The history holds what is no list ({error}); give lists, one value an epoch."
        ) from error
    if set(lengths.values()) != {lengths["loss"]} or not lengths["loss"]:
        raise TrainingError(
            f"The history's lists aren't of one value an epoch (their lengths: {lengths}); give lists that are."
        )
    return lengths["loss"]


def check_clips_fit(model, batches):
    """Make sure that a network takes these clips.

    Raises:
        TrainingError: It takes clips of other sizes, or has another number of classes.
    """
    takes, classes = tuple(model.input_shape[1:]), model.output_shape[-1]
    if takes != batches.shape or classes != len(batches.class_names):
        raise TrainingError(
            f"The network takes clips of {_times(takes)} and tells {classes} classes apart, but these clips have {_times(batches.shape)} "
            f"and {len(batches.class_names)} classes; build it with their n_frames, height, width and num_classes."
        )


def _check_recipe(model, recipe, settings):
    """Raise a TrainingError if a network is not the one that a recipe builds for these settings."""
    expected = build_model(recipe, settings)
    for one, other in itertools.zip_longest(model.layers, expected.layers):
        if type(one) is not type(other) or _structure(one) != _structure(other):
            has, needs = (
                f"{layer.name} ({layer.count_params():,} parameters, {layer.dtype_policy.name})"
                if layer
                else "nothing"
                for layer in (one, other)
            )
            raise TrainingError(
                f"The network is not the one that the recipe {recipe.name} builds for these settings: it has {has} where that has {needs}; "
                'give the recipe and the settings that it was made by, such as recipes.Recipe(conv="2d").'
            )


def _structure(layer):
    """Return what makes a layer another one, whatever its name and its weights' values."""
    config = {
        key: value for key, value in layer.get_config().items() if key not in ("name", "trainable")
    }
    # JSON makes a list of a tuple, as loading does.
    return [tuple(weight.shape) for weight in layer.weights], json.dumps(
        config, default=str, sort_keys=True
    )


class _Epochs(keras.callbacks.Callback):
    """Gives the data the epoch's number, and keeps after each epoch what is needed to go on."""

    def __init__(self, folder, epochs, rows, train, clips, log):
        super().__init__()
        self.folder, self.epochs, self.rows, self.data, self.clips, self.log = (
            folder,
            epochs,
            rows,
            train,
            clips,
            log,
        )

    def on_epoch_begin(self, epoch, logs=None):
        self.data.epoch, self.begin = epoch, time.monotonic()

    def on_train_batch_end(self, batch, logs):
        self._check(logs["loss"], f"batch {batch + 1} of epoch {len(self.rows) + 1}")

    def _check(self, loss, place):
        if not math.isfinite(loss):
            raise TrainingError(
                f"The loss became {loss} in {place}; {last_saved(self.folder)}. Train with a smaller learning rate."
            )

    def on_epoch_end(self, epoch, logs):
        # What the last batch's step has done shows here only.
        self._check(logs["val_loss"], f"the validation of epoch {len(self.rows) + 1}")
        row = {name: float(value) for name, value in logs.items()} | {
            "seconds": time.monotonic() - self.begin,
            "clips": self.clips,
        }
        if not self.rows:
            replace_run(self.model, self.folder)
        if all(row["val_accuracy"] > earlier["val_accuracy"] for earlier in self.rows):
            save_model(self.model, self.folder / BEST)
        self.rows.append(row)
        # The model comes last: it knows how many of the rows are its own.
        save_json(self.folder / HISTORY, self.rows)
        save_model(self.model, self.folder / LAST)
        self.log(
            f"epoch {epoch + 1:3}/{self.epochs}   loss {row['loss']:.3f}  accuracy {row['accuracy']:.3f}   "
            f"validation: loss {row['val_loss']:.3f}  accuracy {row['val_accuracy']:.3f}   {row['seconds']:.1f} s"
        )


def _tensorboard(folder):
    # Keras writes the logs by TensorFlow, whatever the backend.
    missing = [
        name for name in ("tensorboard", "tensorflow") if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise TrainingError(
            f"For TensorBoard's logs {' and '.join(missing)} must be installed; run pip install {' '.join(missing)}, or train without."
        )
    return keras.callbacks.TensorBoard(folder)


def _describe(data):
    """Return what a run that goes on relies on: the batches of an epoch, and a hash of the names of the clips it learns by."""
    names = [
        [f"{file.parent.name}/{file.name}" for file in data[split].files]
        for split in ("train", "val")
    ]
    return {
        "batches": len(data["train"]),
        "names": hashlib.sha256(json.dumps(names).encode()).hexdigest()[:8],
    }


def _source(settings):
    """Return a hash of where a run's clips come from, which tells no path."""
    return (
        hashlib.sha256(str(settings.zip).encode()).hexdigest()[:8]
        if settings.dataset == "ucf101"
        else settings.dataset
    )


def _record(model, history, settings, recipe, left_out):
    """Return what is known of a training at its end."""
    seconds = history["seconds"]
    return {
        "recipe": dataclasses.asdict(recipe),
        "settings": public_settings(settings),
        "parameters": model.count_params(),
        "history": {
            name: [float(value) for value in values]
            for name, values in history.items()
            if name != "seconds"
        },
        "epoch_seconds": [round(value, 2) for value in seconds],
        "seconds": round(sum(seconds), 1),
        "hardware": hardware(),
        "versions": {
            "python": platform.python_version(),
            "keras": keras.__version__,
            "backend": _backend(),
        },
        "fingerprint": fingerprint(settings, recipe),
        "left_out": {split: [file.name for file, _ in pairs] for split, pairs in left_out.items()},
    }


def _backend():
    name = keras.backend.backend()
    return f"{name} {sys.modules[name].__version__}"


def _times(shape):
    return " x ".join(map(str, shape))


def _at_least(least):
    def number(text):
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} is no whole number from {least} up")
        return int(text)

    return number


def _local(text):
    if as_url(text):
        raise argparse.ArgumentTypeError(f"{text} is a URL; name a place on this machine")
    return pathlib.Path(text)


def _parse(arguments):
    parser = argparse.ArgumentParser(
        prog="python -m helpers.training",
        description="Train a network on the clips that BOOK_DATASET, BOOK_RUN and UCF101_ZIP name, evaluate it on the test "
        "clips, and save it with its record in runs/.",
    )
    add = parser.add_argument
    add(
        "--recipe",
        choices=RECIPES,
        default="plain",
        help="what the options below start from (default: %(default)s)",
    )
    add("--network", choices=NETWORKS, help="which network")
    add("--conv", choices=("2plus1d", "3d", "mc3", "2d"), help="what its convolutions are")
    add("--learning-rate", type=float, help="Adam's rate")
    add(
        "--without",
        nargs="+",
        choices=INGREDIENTS,
        default=[],
        metavar="INGREDIENT",
        help=f"leave out {', '.join(INGREDIENTS)}",
    )
    add("--mixed", action="store_true", help="compute in 16 bits where that is safe")
    add("--seed", type=int, nargs="+", default=[0], help="one run for each (default: 0)")
    add("--epochs", type=_at_least(1), help="epochs (default: those of BOOK_RUN)")
    add(
        "--size",
        type=_at_least(16),
        help="height and width of the frames in pixels (default: those of BOOK_RUN)",
    )
    add("--frames", type=_at_least(1), help="frames a clip (default: those of BOOK_RUN)")
    add(
        "--batch-size",
        type=_at_least(1),
        help="clips a batch; fewer take less memory (default: those of BOOK_RUN)",
    )
    add(
        "--classes",
        type=_at_least(2),
        help="how many classes, the first ones by name (default: those of BOOK_RUN)",
    )
    add(
        "--per-class",
        type=_at_least(1),
        nargs=3,
        metavar=("TRAIN", "VAL", "TEST"),
        help="clips of each class a split (default: those of BOOK_RUN)",
    )
    add(
        "--split",
        help="group, clip, or a table (.csv) with the columns file and split (default: group)",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--resume",
        action="store_true",
        help="go on after the last whole epoch of a run, as by default; say why where that can't be",
    )
    how.add_argument(
        "--restart",
        action="store_true",
        help="begin anew; what an earlier run saved stays until the first epoch is saved",
    )
    add(
        "--leave-out",
        action="store_true",
        help="leave out clips that can't be read, and list them at the end",
    )
    add(
        "--no-test",
        action="store_true",
        help="leave the test clips alone, as one should while choosing",
    )
    add(
        "--record",
        type=_local,
        metavar="FILE",
        help="add the records to this JSON file, a list of runs",
    )
    add("--tensorboard", type=_local, metavar="FOLDER", help="write logs for TensorBoard")
    add(
        "--deterministic",
        action="store_true",
        help="get the same bits from the same seed, at some cost of time",
    )
    return parser.parse_args(arguments)


def main(arguments=None):
    """Train from a shell; return the exit status."""
    options = _parse(arguments)
    try:
        if options.record:
            read_records(options.record)  # better now than after hours
        if options.deterministic:
            make_deterministic()
        for seed in options.seed:
            _train_one(options, seed)
    except (TrainingError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        again = "the same command without --restart" if options.restart else "the same command"
        print(f"Interrupted; {again} goes on after the last whole epoch.", file=sys.stderr)
        return 130
    return 0


def _train_one(options, seed):
    own = {
        "network": options.network,
        "conv": options.conv,
        "learning_rate": options.learning_rate,
        "mixed": options.mixed or None,
    }
    recipe = dataclasses.replace(RECIPES[options.recipe], seed=seed, **_given(own))
    recipe = dataclasses.replace(recipe, **{name: INGREDIENTS[name] for name in options.without})
    settings = _settings(options)
    print(f"{settings.name}, {recipe.name}, {settings.epochs} epochs", flush=True)
    if options.resume and (reason := _why_anew(settings, recipe)):
        print(f"nothing to go on from: {reason}; it begins anew", flush=True)
    _, record = train(
        settings,
        recipe,
        resume=not options.restart,
        test=not options.no_test,
        thorough=options.record is not None,
        unreadable="leave out" if options.leave_out else "stop",
        log=lambda line: print(line, flush=True),
        tensorboard=options.tensorboard,
    )
    scores = {"validation": record["history"]["val_accuracy"][-1]} | (
        {} if options.no_test else {"test": record["test"]["accuracy"]}
    )
    told = "".join(f"{name} accuracy {score:.3f}, " for name, score in scores.items())
    print(f"{told}{record['seconds']:.0f} s, {record['hardware']}", flush=True)
    for split, names in record["left_out"].items():
        if names:
            print(f"left out of {split}, for they can't be read: {', '.join(names)}", flush=True)
    if options.record:
        add_record(options.record, record)


def _settings(options):
    own = {
        "epochs": options.epochs,
        "size": options.size,
        "n_frames": options.frames,
        "split_by": options.split,
    }
    own |= {"batch_size": options.batch_size, "num_classes": options.classes}
    if options.per_class:
        own["splits"] = dict(zip(("train", "val", "test"), options.per_class))
    return dataclasses.replace(current(), **_given(own))


def _why_anew(settings, recipe):
    """Return why there is no run to go on from, or None where there is one."""
    folder = run_folder(settings, recipe)
    if (folder / RECORD).exists() or can_resume(folder):
        return None
    if (folder / LAST).exists():
        return f"{folder / LAST} has no history beside it"
    named = re.compile(rf"{re.escape(recipe.name)}-(\d+)epochs-\w+")
    others = [
        path.parent
        for path in sorted(folder.parent.glob(f"*/{LAST}"))
        if named.fullmatch(path.parent.name)
    ]
    for path in others:
        epochs = int(named.fullmatch(path.name)[1])
        if path == run_folder(dataclasses.replace(settings, epochs=epochs), recipe):
            because = (
                "its learning rate falls over all of them"
                if recipe.cosine
                else "their number is part of what a run is"
            )
            return f"a run of {epochs} epochs is another one, because {because}"
    if others:
        return f"{', '.join(path.name for path in others)} differs in settings, recipe, backend or the helpers' source"
    return f"no run of {recipe.name} is in {folder.parent}"


def _given(options):
    return {name: value for name, value in options.items() if value is not None}


def make_deterministic():
    """Have TensorFlow or PyTorch compute the same bits from the same seed and data, at some cost of time; JAX has no such switch."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    elif keras.backend.backend() == "torch":
        import torch

        torch.use_deterministic_algorithms(True)


if __name__ == "__main__":
    sys.exit(main())
