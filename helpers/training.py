"""Train networks, and resume runs that were interrupted. Taught in the chapter *Train*.

The command line is described by `python -m helpers.training --help`.
"""

import argparse
import dataclasses
import functools
import importlib.util
import itertools
import json
import math
import os
import pathlib
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from helpers.archive import fetch_clips
from helpers.atomic import locked
from helpers.augmentation import Augmentation
from helpers.batches import ClipBatches
from helpers.checkpoints import (
    LAST,
    TrainingError,
    check_same_clips,
    describe_clips,
    last_saved,
    load_run,
    replace_run,
    resume_run,
    save_epoch,
    save_record,
    why_not_resumable,
)
from helpers.clips import as_url, read_splits
from helpers.evaluation import (
    describe_score,
    describe_validation,
    evaluate,
    get_actual_predicted_labels,
    group_names,
    score_by_class,
)
from helpers.memory import backend_errors, explain_out_of_memory
from helpers.pretrained import PRETRAINED, suit_settings
from helpers.puppets import PAIRS
from helpers.recipes import NETWORKS, RECIPES, Recipe, build_model, compile_model
from helpers.records import add_record, clips_source, make_record, read_records, run_folder
from helpers.settings import Settings, current, project_root
from helpers.transfer import fit_head
from helpers.ucf101 import OFFICIAL_SPLITS

if TYPE_CHECKING:
    import pandas as pd

# All weights get this learning rate, a tenth of the usual one, after the logits have been fitted.
FINE_TUNING_RATE = 1e-4
# The ingredients of a recipe that an ablation can remove, and the values that remove them.
INGREDIENTS: dict[str, Any] = {
    "cosine": False,
    "weight_decay": 0.0,
    "label_smoothing": 0.0,
    "subtract_mean": False,
    "augment": False,
}


def load_splits(
    clips: "Mapping[str, pathlib.Path] | pd.DataFrame",
    settings: Settings,
    seed: int = 0,
    augment: Augmentation | None = None,
    unreadable: str = "stop",
    cache: str | os.PathLike[str] | None = "memory",
    *,
    shuffled: bool = True,
) -> dict[str, ClipBatches]:
    """Return the batches of a run by split: the training set shuffled, the others in order.

    Args:
        clips: Folders by split, from `helpers.archive`, or a table of clips with the column
            `split`, from `helpers.own_clips`.
        settings: What `helpers.settings.current()` returns.
        seed: Seed of order, start frames and augmentation.
        augment: Augmentation of the training clips.
        unreadable: What to do about clips that can't be read: `"stop"` at the first one, or `"leave
            out"`.
        cache: Where to keep decoded frames for later epochs, as for `ClipBatches`.
        shuffled: Whether to shuffle the training set and to start its clips at random. If not, they
            are read like the others.

    Raises:
        TrainingError: A split has no clip of a class that another split has.
    """
    table = read_splits(clips) if isinstance(clips, Mapping) else clips
    if settings.dataset == "puppets":
        table = table.assign(group=group_names(table["file"], PAIRS))
    options: dict[str, Any] = settings.sampling | {"batch_size": settings.batch_size}
    options |= {"seed": seed, "augment": augment, "start_step": settings.start_step}
    options |= {"cache": cache, "unreadable": unreadable}
    data = {
        split: ClipBatches(rows, training=shuffled and split == "train", **options)
        for split, rows in table.groupby("split", sort=False)
    }
    names = set().union(*(batches.class_names for batches in data.values()))
    for split, batches in data.items():
        present = {batches.class_names[label] for label in batches.labels}
        if missing := sorted(names - present):
            raise TrainingError(
                f"{clips[split] if isinstance(clips, Mapping) else split} has no clip of "
                f"{', '.join(missing)}; fetch the clips again, or leave the class out."
            )
    return data


def train(
    settings: Settings,
    recipe: Recipe = Recipe(),
    *,
    clips: "pd.DataFrame | None" = None,
    cache: str | os.PathLike[str] | None = "memory",
    epochs: int | None = None,
    resume: bool = True,
    test: bool = True,
    thorough: bool = False,
    unreadable: str = "stop",
    log: Callable[[str], object] = print,
    tensorboard: str | os.PathLike[str] | None = None,
) -> tuple[keras.Model, dict[str, Any]]:
    """Train a network, and save it with its record.

    Each run has a folder of its own below `runs/`. After each epoch it holds the latest model,
    `last.keras`, and the one with the best validation accuracy so far, `best.keras`; at the end
    also `record.json`. Each file is written atomically. A finished run of the same settings, recipe
    and helpers is not trained again; it is evaluated if necessary.

    Args:
        settings: What `helpers.settings.current()` returns.
        recipe: The network and the training method.
        clips: The table of your own clips, from `helpers.own_clips.prepare_clips` with these
            settings; None fetches the clips that the settings select.
        cache: Where to keep decoded frames for later epochs, as for `ClipBatches`.
        epochs: Number of epochs; default: that of the settings.
        resume: Whether to resume an interrupted run after its last complete epoch. If not, training
            starts again even if the run is finished; the old files stay until the first new epoch
            is saved.
        test: Whether to evaluate the network on the test clips. Don't while you choose among
            recipes.
        thorough: Whether to evaluate it also with frames in other orders, and with several clips
            per video; that takes much longer.
        unreadable: What to do about clips that can't be read: `"stop"` at the first one, or `"leave
            out"`.
        log: Function that is called with a line of text after each epoch.
        tensorboard: Folder for TensorBoard's logs, in which the run gets a folder of its own;
            default: no logs.

    Returns:
        `(model, record)`. The record has the history by epoch, the seconds, the hardware, versions,
        and the clips that were left out, by split; after an evaluation also what
        `helpers.evaluation.evaluate` returns.

    Raises:
        TrainingError: The loss is not finite, a split lacks a class, the network doesn't fit the
            clips, memory ran out, the interrupted run had other clips, or a file can't be read or
            written. What was saved before is still there.
    """
    if _hash_of(clips) != settings.clips_hash:
        raise TrainingError(
            "The settings and the clips don't belong together; pass both as "
            "helpers.own_clips.prepare_clips returns them."
        )
    if recipe.is_frozen and epochs:
        raise TrainingError(
            "A linear classifier on a frozen network has no epochs; leave them out, or fine-tune "
            "the network (in a shell with --fine-tune)."
        )
    epochs = 1 if recipe.is_frozen else epochs or settings.epochs
    settings = dataclasses.replace(settings, epochs=epochs)
    folder = run_folder(settings, recipe)
    callbacks = [_tensorboard(pathlib.Path(tensorboard, folder.name))] if tensorboard else []
    with locked(folder):
        finished = load_run(settings, recipe) if resume else None
        evaluated = not test
        if finished is not None:
            model, record = finished
            log(f"already trained, in {record['seconds']:.0f} s")
            evaluated = evaluated or ("orders" if thorough else "test") in record
            if evaluated and record.get("source") == clips_source(settings):
                return finished
        source = fetch_clips(settings) if clips is None else clips
        load = functools.partial(load_splits, source, settings, recipe.seed, recipe.augmentation)
        load_in_order = functools.partial(load, unreadable, None, shuffled=False)
        data = load_in_order() if recipe.is_frozen else load(unreadable, cache)
        if finished is None:
            with explain_out_of_memory(settings, recipe, folder, "training"):
                if recipe.is_frozen:
                    model, record = _fit_frozen(data, settings, recipe, folder, log)
                else:
                    model, record = _fit(
                        data, load_in_order, settings, recipe, folder, resume, log, callbacks
                    )
            if clips is not None:
                record["left_out"]["clips"] = clips.attrs.get("left_out", [])
        else:
            check_clips_fit(model, data["train"])
            check_same_clips(record.get("clips_trained_on"), describe_clips(data), folder)
        with explain_out_of_memory(settings, recipe, folder, "evaluation"):
            labels = get_actual_predicted_labels(model, data["val"])
            record["validation"] = score_by_class(*labels)
            if not evaluated:
                record |= evaluate(model, data["test"], thorough)
        return model, save_record(record | {"source": clips_source(settings)}, folder)


def _hash_of(clips):
    """Return the hash of the reader's own clips, or "" without any."""
    if clips is None:
        return ""
    # This needs a second to import, and the book's own clips do without it.
    from helpers.own_clips import hash_clips

    return hash_clips(clips)


def _fit_frozen(data, settings, recipe, folder, log):
    """Fit a linear classifier to a pretrained network's features; return `(model, record)`."""
    train = data["train"]
    model = compile_model(build_model(recipe, settings), recipe, 1)
    check_clips_fit(model, train)
    facts, metrics = _fit_logits(model, data, recipe, log)
    replace_run(model, folder)
    left_out = {split: batches.left_out for split, batches in data.items()}
    record = make_record(model, metrics, settings, recipe, left_out)
    facts = {"head": facts, "class_names": train.class_names}
    return model, record | facts | {"clips_trained_on": describe_clips(data)}


def _fit_logits(model, data, recipe, log):
    """Fit the logits of a pretrained network; return facts and metrics."""
    folder = project_root() / "data" / "features"
    facts, metrics = fit_head(model, data, folder, recipe.balance)
    values = {name: value for name, (value,) in metrics.items()}
    log(
        f"linear classifier on {facts['features']} features, C = {facts['C']:g}: accuracy "
        f"{values['accuracy']:.3f}   validation: loss {values['val_loss']:.3f}  accuracy "
        f"{values['val_accuracy']:.3f}   {values['seconds']:.1f} s"
    )
    return facts, metrics


def _fit(data, load_in_order, settings, recipe, folder, resume, log, callbacks):
    """Train a network, or resume its training; return `(model, record)` without an evaluation.

    A pretrained network gets logits that suit its features first, from the clips in order.
    Otherwise the gradients of random logits would spoil the features.
    """
    train = data["train"]
    model = compile_model(build_model(recipe, settings), recipe, settings.epochs * len(train))
    clips = describe_clips(data)
    rows = resume_run(model, folder, clips) if resume else []
    check_clips_fit(model, train)
    if rows:
        log(f"resuming after epoch {len(rows)}")
    elif recipe.pretrained:
        _fit_logits(model, load_in_order(), recipe, log)
    callback = _EpochCallback(folder, settings.epochs, rows, train, clips, log)
    try:
        model.fit(
            train,
            validation_data=data["val"],
            initial_epoch=len(rows),
            epochs=settings.epochs,
            shuffle=False,  # the training set is already shuffled
            class_weight=class_weights(train.labels) if recipe.balance else None,
            callbacks=[callback, *callbacks],
            verbose=0,
        )
    except backend_errors():
        # TensorFlow replaces an error in reading a clip by one of its own.
        if error := next((batches.error for batches in data.values() if batches.error), None):
            raise error from None
        raise
    history = {name: [row[name] for row in rows] for name in rows[0] if name != "clips"}
    left_out = {split: batches.left_out for split, batches in data.items()}
    record = make_record(model, history, settings, recipe, left_out)
    return model, record | {"class_names": train.class_names, "clips_trained_on": clips}


def class_weights(labels: np.ndarray) -> dict[int, float]:
    """Return a weight for each class with which all classes count the same in the loss.

    Args:
        labels: The labels of the training clips, `(n_clips,)`.

    Returns:
        By label, the number of clips divided by the number of classes and by the clips of this
        class, so that the mean weight of a clip is 1.
    """
    counts = np.bincount(labels)
    return {label: len(labels) / (len(counts) * count) for label, count in enumerate(counts)}


class _EpochCallback(keras.callbacks.Callback):
    """Pass the number of the epoch to the batches, check the loss, and save the run.

    Args:
        folder: Folder of the run.
        n_epochs: Number of epochs.
        rows: The history so far, one row per epoch; gets a new row after each epoch.
        batches: The training set.
        clips: The clips of the training, from `helpers.checkpoints.describe_clips`.
        log: Function that is called with a line of text after each epoch.
    """

    def __init__(self, folder, n_epochs, rows, batches, clips, log):
        super().__init__()
        self.folder, self.n_epochs, self.rows = folder, n_epochs, rows
        self.batches, self.clips, self.log = batches, clips, log

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.epoch, self.begin = epoch, time.monotonic()

    def on_train_batch_end(self, batch, logs):
        self._check(logs["loss"], f"batch {batch + 1} of epoch {len(self.rows) + 1}")

    def _check(self, loss, position):
        if not math.isfinite(loss):
            raise TrainingError(
                f"The loss became {loss} in {position} ({last_saved(self.folder)}); train with a "
                "smaller learning rate."
            )

    def on_epoch_end(self, epoch, logs):
        # The effect of the last batch's step shows only in the validation.
        self._check(logs["val_loss"], f"the validation of epoch {len(self.rows) + 1}")
        row = {name: float(value) for name, value in logs.items()}
        row |= {"seconds": time.monotonic() - self.begin, "clips": self.clips}
        self.rows.append(row)
        save_epoch(self.model, self.rows, self.folder)
        self.log(
            f"epoch {epoch + 1:3}/{self.n_epochs}   loss {row['loss']:.3f}  "
            f"accuracy {row['accuracy']:.3f}   validation: loss {row['val_loss']:.3f}  "
            f"accuracy {row['val_accuracy']:.3f}   {row['seconds']:.1f} s"
        )


def _tensorboard(folder):
    """Return the callback that writes TensorBoard's logs, for which Keras needs TensorFlow."""
    packages = ("tensorboard", "tensorflow")
    if missing := [name for name in packages if importlib.util.find_spec(name) is None]:
        raise TrainingError(
            f"TensorBoard's logs need {' and '.join(missing)}; run pip install "
            f"{' '.join(missing)}, or train without these logs."
        )
    return keras.callbacks.TensorBoard(folder)


def save_run(
    model: keras.Model,
    history: keras.callbacks.History | Mapping[str, Sequence[float]],
    settings: Settings,
    recipe: Recipe = Recipe(),
    *,
    test: ClipBatches,
    seconds: float,
) -> dict[str, Any]:
    """Evaluate a trained network, and save it with its record, so that `load_run` finds it.

    Args:
        model: The trained network.
        history: What `fit` returns, or lists by metric, one value per epoch.
        settings: The settings that it was trained with.
        recipe: The recipe that it was trained with.
        test: The test set. It is up to you that the network was not trained on these clips.
        seconds: How long the training took.

    Returns:
        The record.

    Raises:
        TrainingError: The network is not the one that the recipe builds for these settings, it is
            not compiled, it doesn't fit the test clips, the history is incomplete or has another
            number of epochs, memory ran out, or a file can't be written. Nothing is saved then.
    """
    folder, history = run_folder(settings, recipe), getattr(history, "history", history)
    _check_recipe(model, recipe, settings)
    if not model.compiled:
        raise TrainingError(
            "The network is not compiled, so it can't be evaluated; compile it, for example with "
            "recipes.compile_model."
        )
    check_clips_fit(model, test)
    epochs = _count_epochs(history)
    if epochs != settings.epochs:
        raise TrainingError(
            f"The history has {epochs} epochs, but the settings have {settings.epochs}; set the "
            f"settings' epochs to {epochs}."
        )
    metrics = {**history, "seconds": [seconds / epochs] * epochs}
    record = make_record(model, metrics, settings, recipe, left_out={})
    record["source"] = clips_source(settings)
    with explain_out_of_memory(settings, recipe, folder, "evaluation"):
        record |= evaluate(model, test)
    with locked(folder):
        replace_run(model, folder)
        return save_record(record, folder)


def _count_epochs(history):
    """Return the number of epochs in a history.

    Raises:
        TrainingError: It has no loss, or not one value per epoch of each metric.
    """
    if not isinstance(history, dict) or "loss" not in history:
        raise TrainingError(
            "The history has no loss; pass what the network's fit returns, or a dictionary of "
            "lists, one value per epoch."
        )
    try:
        lengths = {name: len(values) for name, values in history.items()}
    except TypeError as error:
        raise TrainingError(
            f"The history has values that are not lists ({error}); pass lists, one value per epoch."
        ) from error
    if set(lengths.values()) != {lengths["loss"]} or not lengths["loss"]:
        raise TrainingError(
            f"The history's lists have the lengths {lengths}; pass lists of one value per epoch."
        )
    return lengths["loss"]


def check_clips_fit(model: keras.Model, batches: ClipBatches) -> None:
    """Check that a network accepts these clips and has their number of classes.

    Raises:
        TrainingError: It accepts clips of other sizes, or has another number of classes.
    """
    shape, n_classes = tuple(model.input_shape[1:]), model.output_shape[-1]
    if shape != batches.shape or n_classes != len(batches.class_names):
        raise TrainingError(
            f"The network has {n_classes} classes and takes clips of {_times(shape)}, but these "
            f"clips have {len(batches.class_names)} classes and are {_times(batches.shape)}; build "
            "it with their n_frames, height, width and num_classes."
        )


def _times(shape):
    return " x ".join(map(str, shape))


def _check_recipe(model, recipe, settings):
    """Raise a TrainingError if the recipe builds another network for these settings."""
    expected = build_model(recipe, settings)
    for one, other in itertools.zip_longest(model.layers, expected.layers):
        if type(one) is not type(other) or _structure(one) != _structure(other):
            raise TrainingError(
                f"The network is not the one that the recipe {recipe.name} builds for these "
                f"settings: it has {_summary(one)} where that has {_summary(other)}; pass the "
                'recipe and the settings that it was built with, such as recipes.Recipe(conv="2d").'
            )


def _structure(layer):
    """Return all that distinguishes two layers, except names and the values of weights."""
    config = layer.get_config()
    config = {key: value for key, value in config.items() if key not in ("name", "trainable")}
    # In JSON a tuple equals a list, which it becomes when a model is loaded.
    text = json.dumps(config, default=str, sort_keys=True)
    return [tuple(weight.shape) for weight in layer.weights], text


def _summary(layer):
    """Return a layer's name, number of parameters and precision as text."""
    if layer is None:
        return "nothing"
    return f"{layer.name} ({layer.count_params():,} parameters, {layer.dtype_policy.name})"


def make_deterministic() -> None:
    """Make TensorFlow or PyTorch deterministic, at some cost of time; JAX has no such switch."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    elif keras.backend.backend() == "torch":
        import torch

        torch.use_deterministic_algorithms(True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train from the command line; return the exit status."""
    options = _parse(arguments)
    try:
        if options.record:
            read_records(options.record)  # an unsuitable file should not show only after hours
        if options.deterministic:
            make_deterministic()
        recipes = [_recipe(options, seed) for seed in options.seed]
        settings, clips = _prepare(options)
        for recipe in recipes:
            _train_recipe(options, recipe, settings, clips)
    except (TrainingError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        command = "the same command without --restart" if options.restart else "the same command"
        print(f"Interrupted; {command} resumes after the last complete epoch.", file=sys.stderr)
        return 130
    return 0


def _prepare(options):
    """Return the settings and, if these are the reader's own, the clips and their cache."""
    settings, folder = _settings(options), project_root() / "data" / "frames"
    places = {"memory": "memory", "disk": folder, "none": None}
    is_frozen = options.pretrained and not options.fine_tune
    for name in ("epochs", "cache", "tensorboard"):
        if is_frozen and getattr(options, name) is not None:
            raise ValueError(
                f"--{name} is for trainings in epochs; a linear classifier on a frozen network has "
                "none. Leave it out, or fine-tune the network with --fine-tune."
            )
    if not options.clips:
        return settings, {"cache": places[options.cache or "memory"]}
    # This needs a second to import, and the book's own clips do without it.
    from helpers.own_clips import cache_size, choose_cache, prepare_clips

    clips, settings = prepare_clips(
        options.clips,
        settings,
        group=options.group,
        frame_step=options.frame_step or _expected_frame_step(options),
        leave_out=options.leave_out,
        log=lambda line: print(line, flush=True),
    )
    if is_frozen:
        return dataclasses.replace(settings, epochs=1), {"clips": clips}
    settings = dataclasses.replace(settings, epochs=options.epochs or settings.epochs)
    n_bytes = cache_size(clips, settings)
    cache = options.cache or choose_cache(n_bytes, folder)
    print(f"cache for {n_bytes / 1e6:,.0f} MB of decoded frames: {cache}", flush=True)
    return settings, {"clips": clips, "cache": places[cache]}


def _expected_frame_step(options):
    """Return the distance between frames that a pretrained network expects, or None."""
    is_pretrained = options.pretrained or options.fine_tune
    return PRETRAINED[options.network].get("frame_step") if is_pretrained else None


def _train_recipe(options, recipe, settings, clips):
    """Train with one seed; print the progress and the scores, and add the record to its file."""
    epochs = "" if recipe.is_frozen else f", {settings.epochs} epochs"
    print(f"{settings.name}, {recipe.name}{epochs}", flush=True)
    if options.resume and (reason := why_not_resumable(settings, recipe)):
        print(f"nothing to resume: {reason}; starting a new run", flush=True)
    _, record = train(
        settings,
        recipe,
        **clips,
        resume=not options.restart,
        test=not options.no_test,
        thorough=options.record is not None and not options.brief,
        unreadable="leave out" if options.leave_out and not options.clips else "stop",
        log=lambda line: print(line, flush=True),
        tensorboard=options.tensorboard,
    )
    print(f"{record['seconds']:.0f} s, {record['hardware']}")
    print(describe_validation(record))
    if not options.no_test:
        print(describe_score(record), flush=True)
    if options.clips:
        model = os.path.relpath(run_folder(settings, recipe) / LAST)
        print(f"to classify a video: python -m helpers.predict {shlex.quote(model)} VIDEO")
    for split, names in record["left_out"].items():
        if names:
            print(f"left out of {split} because they can't be read: {', '.join(names)}", flush=True)
    if options.record:
        add_record(options.record, record)


def _recipe(options, seed):
    """Return the recipe that the options select, with this seed."""
    changes = {
        "network": options.network,
        "conv": options.conv,
        "learning_rate": options.learning_rate,
        "mixed": options.mixed or None,
        "balance": options.balance or None,
    }
    if options.pretrained or options.fine_tune:
        changes |= {"pretrained": True, "fine_tune": options.fine_tune or ""}
    if options.fine_tune and options.learning_rate is None:
        changes["learning_rate"] = FINE_TUNING_RATE
    changes = _given(changes) | {name: INGREDIENTS[name] for name in options.without}
    return dataclasses.replace(RECIPES[options.recipe], seed=seed, **changes)


def _settings(options):
    """Return the settings of the environment, changed by the options."""
    changes = {
        "epochs": options.epochs,
        "size": options.size,
        "n_frames": options.frames,
        "frame_step": options.frame_step,
        "batch_size": options.batch_size,
        "num_classes": options.classes,
        "split_by": options.split,
    }
    if options.per_class:
        changes["splits"] = dict(zip(("train", "val", "test"), options.per_class))
    elif options.split in OFFICIAL_SPLITS:
        changes["splits"] = dict.fromkeys(("train", "val", "test"))
    _check_clip_options(options)
    settings = current("own") if options.clips else current()
    if options.pretrained or options.fine_tune:
        if options.network not in PRETRAINED:
            raise ValueError(
                f"{options.network or 'The default network'} has no published weights; choose "
                f"--network {' or '.join(PRETRAINED)}."
            )
        settings = suit_settings(settings, options.network, fine_tune=bool(options.fine_tune))
    return dataclasses.replace(settings, **_given(changes))


def _check_clip_options(options):
    """Refuse options for the book's clips with the reader's own, and the reverse."""
    others = ("classes", "per_class", "split") if options.clips else ("group",)
    for name in others:
        if getattr(options, name) is None:
            continue
        option = f"--{name.replace('_', '-')}"
        if options.clips:
            raise ValueError(
                f"{option} selects clips of UCF101 or the puppets; to choose among your own, write "
                "a table with the columns file, class, group and split."
            )
        raise ValueError(
            f"{option} belongs to your own clips; name them with --clips FOLDER_OR_CSV."
        )


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _parse(arguments):
    parser = argparse.ArgumentParser(
        prog="python -m helpers.training",
        description="Train a network on the clips that BOOK_DATASET, BOOK_RUN and UCF101_ZIP "
        "select, or on your own with --clips, evaluate it on the test clips, and save it with its "
        "record in runs/.",
    )
    _add_recipe_options(parser.add_argument_group("recipe"))
    _add_clip_options(parser.add_argument_group("clips"))
    _add_run_options(parser.add_argument_group("run"))
    return parser.parse_args(arguments)


def _add_recipe_options(group):
    group.add_argument(
        "--recipe",
        choices=RECIPES,
        default="plain",
        help="recipe that the other options of this group change (default: %(default)s)",
    )
    group.add_argument("--network", choices=NETWORKS, help="network to train")
    group.add_argument(
        "--conv", choices=("2plus1d", "3d", "mc3", "2d"), help="kind of its convolutions"
    )
    group.add_argument(
        "--pretrained",
        action="store_true",
        help=f"start from published weights, and train a linear classifier on them; for --network "
        f"{', '.join(PRETRAINED)}",
    )
    group.add_argument(
        "--fine-tune",
        nargs="?",
        const="all",
        type=_layer_name,
        metavar="FROM",
        help="like --pretrained, and then train all of the network, or the layers from the first "
        "one on whose name begins with FROM, such as block5",
    )
    group.add_argument(
        "--learning-rate",
        type=float,
        help="learning rate of Adam (default: the recipe's; with --fine-tune "
        f"{FINE_TUNING_RATE:g})",
    )
    group.add_argument(
        "--without",
        nargs="+",
        choices=INGREDIENTS,
        default=[],
        metavar="INGREDIENT",
        help=f"remove ingredients: {', '.join(INGREDIENTS)}",
    )
    group.add_argument(
        "--balance",
        action="store_true",
        help="weight the training clips so that all classes count the same",
    )
    group.add_argument("--mixed", action="store_true", help="compute in 16 bits where it is safe")
    group.add_argument(
        "--seed", type=int, nargs="+", default=[0], help="seeds, one run for each (default: 0)"
    )


def _add_clip_options(group):
    add, default = group.add_argument, "(default: set by BOOK_RUN)"
    add(
        "--clips",
        type=_local_path,
        metavar="FOLDER_OR_CSV",
        help="train on your own clips: a folder with a folder of videos per class, or with folders "
        "per class and in them per group, or a table (.csv) with the columns file and class, and "
        "optionally group, split, begin and end (in seconds)",
    )
    add(
        "--group",
        metavar="PATTERN",
        help="with --clips: regular expression that finds a clip's group (person, place or "
        "recording) in its path",
    )
    add(
        "--frame-step",
        type=_at_least(1),
        help="distance between sampled frames, in frames at 25 per second (default: that of the "
        "data set or the pretrained network; with --clips one that suits the lengths of the clips)",
    )
    add(
        "--cache",
        choices=("memory", "disk", "none"),
        help="where to keep decoded frames (default: memory; with --clips: where they fit)",
    )
    add("--size", type=_at_least(16), help=f"height and width of the frames in pixels {default}")
    add("--frames", type=_at_least(1), help=f"frames per clip {default}")
    add("--classes", type=_at_least(2), help=f"number of classes, the first by name {default}")
    add(
        "--per-class",
        type=_at_least(1),
        nargs=3,
        metavar=("TRAIN", "VAL", "TEST"),
        help=f"clips per class in each split {default}",
    )
    add(
        "--split",
        help="how to split the clips: group, clip, official1 to official3 (UCF101's own splits, "
        "with all clips unless --per-class is given), or a table (.csv) with the columns file and "
        "split (default: group)",
    )
    add(
        "--leave-out",
        action="store_true",
        help="leave out clips that can't be read, and list them at the end",
    )


def _add_run_options(group):
    add, default = group.add_argument, "(default: set by BOOK_RUN)"
    add("--epochs", type=_at_least(1), help=f"number of epochs {default}")
    add(
        "--batch-size",
        type=_at_least(1),
        help=f"clips per batch; smaller batches need less memory {default}",
    )
    start = group.add_mutually_exclusive_group()
    start.add_argument(
        "--resume",
        action="store_true",
        help="resume after the last complete epoch, as by default, and explain why if there is "
        "nothing to resume",
    )
    start.add_argument(
        "--restart",
        action="store_true",
        help="start again; the files of an earlier run stay until the first epoch is saved",
    )
    add(
        "--no-test",
        action="store_true",
        help="don't evaluate on the test clips, as is right while you choose among recipes",
    )
    add(
        "--record",
        type=_local_path,
        metavar="FILE",
        help="evaluate more thoroughly, and add the records to this JSON file, a list of runs",
    )
    add(
        "--brief",
        action="store_true",
        help="with --record: leave out the other orders of frames and several clips per video",
    )
    add("--tensorboard", type=_local_path, metavar="FOLDER", help="write logs for TensorBoard")
    add(
        "--deterministic",
        action="store_true",
        help="compute the same bits from the same seed, at some cost of time",
    )


def _at_least(minimum):
    """Return a parser of integers that are not smaller than a minimum."""

    def parse(text):
        if not text.isdecimal() or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"{text} is not an integer of {minimum} or more")
        return int(text)

    return parse


def _layer_name(text):
    """Return the beginning of a layer's name, which is not empty."""
    if not text:
        raise argparse.ArgumentTypeError("name the first layer to train, such as block5, or all")
    return text


def _local_path(text):
    """Return the path that a text names; URLs are refused."""
    if as_url(text):
        raise argparse.ArgumentTypeError(f"{text} is a URL; name a path on this machine")
    return pathlib.Path(text)


if __name__ == "__main__":
    # FFmpeg's messages about a damaged file would surround our own sentence.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    sys.exit(main())
