"""Features, linear classifiers, and the trainings that start from published weights."""

import dataclasses
import errno
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from helpers import layers, predict, pretrained, recipes, records, training, transfer
from helpers import settings as book_settings
from helpers.batches import ClipBatches
from helpers.checkpoints import TrainingError
from helpers.recipes import Recipe, build_model

FROZEN = Recipe("efficientnet_lite0", pretrained=True)
FINE_TUNED = dataclasses.replace(FROZEN, fine_tune="all", learning_rate=1e-3)


def build_tiny(num_classes, n_frames, height, width):
    """Build the least network that has a normalisation on its own and one inside of a layer."""
    inputs = keras.Input((n_frames, height, width, 3), dtype="uint8", name="frames")
    x = keras.layers.Rescaling(1 / 255, name="rescaling")(inputs)
    options = {"mid_channels": 3, "normalized": True}
    x = layers.Conv2Plus1D(8, (3, 3, 3), "same", name="stem", **options)(x)
    x = layers.batch_norm("stem_norm")(x)
    x = keras.layers.ReLU(name="stem_relu")(x)
    x = layers.VideoConv(6, 1, name="features")(x)
    x = keras.layers.GlobalAveragePooling3D(name="average")(x)
    outputs = keras.layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, outputs, name="tiny")


def load_tiny(model):
    """Give all layers but the logits the same weights in each call, as published ones are."""
    rng = np.random.default_rng(7)
    for variable in model.weights:
        if not variable.path.startswith("logits"):
            is_kernel = variable.path.endswith("kernel")
            draw = rng.normal if is_kernel else rng.uniform
            variable.assign(draw(0, 1, variable.shape))
    return model


@pytest.fixture
def run(monkeypatch, tmp_path, puppet_zip):
    """Settings of a run that takes seconds, in an empty folder, with a tiny network."""
    monkeypatch.setitem(recipes.NETWORKS, "efficientnet_lite0", build_tiny)
    monkeypatch.setattr(recipes, "load_published", load_tiny)
    monkeypatch.setitem(pretrained.PRETRAINED, "efficientnet_lite0", {"epochs": 2})
    monkeypatch.chdir(tmp_path)
    tf.config.run_functions_eagerly(True)
    splits = {"train": 4, "val": 2, "test": 2}
    yield book_settings.Settings(
        "ucf101",
        "short",
        frame_step=5,
        size=16,
        epochs=2,
        num_classes=2,
        splits=splits,
        zip=str(puppet_zip),
        n_frames=4,
        batch_size=3,
    )
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def clips(puppet_folders):
    return ClipBatches(puppet_folders["train"], 4, 3, output_size=(16, 16), frame_step=5)


@pytest.fixture
def extractor():
    return transfer.feature_extractor(load_tiny(build_tiny(3, 4, 16, 16)))


def body(model):
    """Return the values of all weights but those of the logits."""
    values = [np.array(w) for w in model.weights if not w.path.startswith("logits")]
    return dict(enumerate(values))


def quiet(line):
    pass


# Features.


def test_features_are_those_before_the_logits_or_of_a_layer(clips):
    model = load_tiny(build_tiny(3, 4, 16, 16))
    frames, _ = clips[0]
    kernel, bias = model.get_layer("logits").get_weights()
    features = transfer.feature_extractor(model)(frames)
    np.testing.assert_allclose(features @ kernel + bias, model(frames), rtol=1e-5, atol=1e-5)
    assert transfer.feature_extractor(model, "stem")(frames).shape == (3, 4, 16, 16, 8)


def test_features_are_in_the_order_of_the_clips_and_kept_for_the_next_time(
    clips, extractor, tmp_path, monkeypatch
):
    expected = np.concatenate([extractor(clips[i][0]) for i in range(len(clips))])
    found = transfer.compute_features(extractor, clips)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found.dtype == np.float32 and not list(tmp_path.iterdir())
    kept = transfer.compute_features(extractor, clips, tmp_path)
    monkeypatch.setattr(extractor, "predict_on_batch", None)
    np.testing.assert_array_equal(transfer.compute_features(extractor, clips, tmp_path), kept)
    np.testing.assert_array_equal(kept, found)


@pytest.mark.parametrize("damage", ["missing", "cut short", "empty", "another shape"])
def test_a_damaged_file_of_features_is_computed_again(clips, extractor, tmp_path, damage):
    expected = transfer.compute_features(extractor, clips, tmp_path)
    (victim, *_) = sorted(tmp_path.glob("*/*.npy"))
    if damage == "missing":
        victim.unlink()
    elif damage == "another shape":
        np.save(victim, np.zeros(5, np.float32))
    else:
        victim.write_bytes(victim.read_bytes()[: 100 if damage == "cut short" else 0])
    np.testing.assert_array_equal(transfer.compute_features(extractor, clips, tmp_path), expected)
    assert np.load(victim).shape == expected.shape[1:]


def test_an_interrupted_computation_goes_on_with_the_batches_that_are_missing(
    clips, extractor, tmp_path, monkeypatch
):
    compute, calls = extractor.predict_on_batch, []

    def stop_at_third(frames):
        calls.append(len(frames))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return compute(frames)

    monkeypatch.setattr(extractor, "predict_on_batch", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        transfer.compute_features(extractor, clips, tmp_path)
    found = transfer.compute_features(extractor, clips, tmp_path)
    assert len(calls) == 3 + len(clips) - 2
    np.testing.assert_allclose(found, transfer.compute_features(extractor, clips), rtol=1e-6)


def test_a_full_disk_is_named(clips, extractor, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", fail)
    with pytest.raises(ValueError, match=r"can't be read or written \(No space left on device\)"):
        transfer.compute_features(extractor, clips, tmp_path)
    assert not list(tmp_path.glob("*/*.npy"))


def test_features_of_other_weights_samplings_or_clips_are_other_files(
    clips, extractor, puppet_folders, tmp_path
):
    transfer.compute_features(extractor, clips, tmp_path)
    before = set(tmp_path.glob("*/*.npy"))
    options = {"output_size": (16, 16), "frame_step": 4}
    other = ClipBatches(puppet_folders["train"], 4, 3, **options)
    transfer.compute_features(extractor, other, tmp_path)
    extractor.get_layer("features").set_weights(
        [2 * value for value in extractor.get_layer("features").get_weights()]
    )
    transfer.compute_features(extractor, clips, tmp_path)
    assert len(set(tmp_path.glob("*/*.npy"))) == 3 * len(before)
    test = ClipBatches(puppet_folders["test"], 4, 3, output_size=(16, 16), frame_step=5)
    transfer.compute_features(extractor, test, tmp_path)
    assert len(set(tmp_path.glob("*/*.npy"))) == 3 * len(before) + len(test.files)


def test_the_same_network_built_again_finds_its_features(clips, extractor, tmp_path):
    transfer.compute_features(extractor, clips, tmp_path)
    again = transfer.feature_extractor(load_tiny(build_tiny(3, 4, 16, 16)))
    transfer.compute_features(again, clips, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_frames_can_be_changed_first_and_then_nothing_is_kept(clips, extractor, tmp_path):
    found = transfer.compute_features(extractor, clips, tmp_path, transform=np.zeros_like)
    assert np.ptp(found, axis=0).max() < 1e-6 and not list(tmp_path.iterdir())


def test_shuffled_clips_are_refused(puppet_folders, extractor):
    with pytest.raises(ValueError, match="pass batches with training=False"):
        transfer.compute_features(extractor, ClipBatches(puppet_folders["train"], training=True))


# Linear classifiers.


def blobs(n_classes, n_clips=60, seed=0):
    """Return features that a linear classifier can tell apart, one of them constant, and labels."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 5, (n_classes, 4))
    labels = {split: rng.integers(0, n_classes, n_clips) for split in ("train", "val")}
    features = {split: centres[y] + rng.normal(0, 1, (n_clips, 4)) for split, y in labels.items()}
    constant = np.full((n_clips, 1), 3.0)
    return {split: np.hstack([x, constant]) for split, x in features.items()}, labels


def test_the_regularisation_is_chosen_among_complete_fits():
    """With few clips and many features, an early stop would look like regularisation."""
    rng = np.random.default_rng(0)
    labels = {split: np.arange(12) % 2 for split in ("train", "val")}
    features = {split: rng.normal(y[:, None] * 0.3, 1, (12, 300)) for split, y in labels.items()}
    _, _, facts = transfer.fit_linear(features, labels)
    for strength, loss in facts["val_loss"].items():
        exact = LogisticRegression(C=float(strength), tol=1e-12, max_iter=100_000)
        pipeline = make_pipeline(StandardScaler(), exact).fit(features["train"], labels["train"])
        expected = log_loss(labels["val"], pipeline.predict_proba(features["val"]))
        assert loss == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_logits_of_a_linear_classifier_tell_the_classes_apart(n_classes):
    features, labels = blobs(n_classes)
    kernel, bias, facts = transfer.fit_linear(features, labels)
    assert kernel.shape == (5, n_classes) and bias.shape == (n_classes,)
    logits = features["val"] @ kernel + bias
    assert np.mean(logits.argmax(axis=1) == labels["val"]) > 0.9
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    found = float(loss(labels["val"], logits))
    assert found == pytest.approx(facts["val_loss"][f"{facts['C']:g}"], abs=2e-4)
    assert found == pytest.approx(min(facts["val_loss"].values()), abs=2e-4)


def test_a_balanced_classifier_does_not_prefer_the_frequent_class():
    rng = np.random.default_rng(0)
    labels = {split: np.repeat([0, 1], [190, 10]) for split in ("train", "val")}
    features = {split: rng.normal(0, 2, (200, 1)) + y[:, None] for split, y in labels.items()}
    shares = []
    for balance in (False, True):
        kernel, bias, _ = transfer.fit_linear(features, labels, balance)
        shares.append(np.mean((features["val"] @ kernel + bias).argmax(axis=1)))
    assert shares[0] < 0.02 and shares[1] > 0.25


def test_the_head_of_a_network_is_fitted_and_nothing_else(run, puppet_folders):
    model = recipes.compile_model(load_tiny(build_tiny(3, 4, 16, 16)), Recipe(), 1)
    options = {"output_size": (16, 16), "frame_step": 5}
    data = {
        split: ClipBatches(puppet_folders[split], 4, 3, **options) for split in ("train", "val")
    }
    before = body(model)
    facts, metrics = transfer.fit_head(model, data, None)
    np.testing.assert_equal(body(model), before)
    for split, prefix in (("train", ""), ("val", "val_")):
        scores = model.evaluate(data[split], verbose=0, return_dict=True)
        assert metrics[f"{prefix}loss"] == [pytest.approx(scores["loss"], abs=1e-3)]
        assert metrics[f"{prefix}accuracy"] == [pytest.approx(scores["accuracy"])]
    assert facts["features"] == 6 and metrics["seconds"][0] >= facts["seconds"]


# Which layers are trained.


def trained(model):
    return [weight.path for weight in model.trainable_weights]


def test_a_frozen_network_trains_its_logits_only(run):
    assert trained(build_model(FROZEN, run)) == ["logits/kernel", "logits/bias"]


def test_fine_tuning_trains_all_but_normalisations(run):
    names = trained(build_model(FINE_TUNED, run))
    assert {"features/kernel", "logits/kernel"} <= set(names) and len(names) == 6
    assert not any("norm" in name or "gamma" in name or "beta" in name for name in names)


def test_fine_tuning_can_begin_with_a_layer(run):
    names = trained(build_model(dataclasses.replace(FINE_TUNED, fine_tune="feat"), run))
    assert names == ["features/kernel", "features/bias", "logits/kernel", "logits/bias"]
    with pytest.raises(
        ValueError, match="tiny has no layer whose name begins with block9; its names begin"
    ):
        build_model(dataclasses.replace(FINE_TUNED, fine_tune="block9"), run)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"weight_decay": 0.1}, "A linear classifier on a frozen network has no weight_decay"),
        ({"augment": True}, "has no augment; leave out what sets"),
        ({"learning_rate": 1e-4}, "has no learning_rate; leave"),
        ({"conv": "3d"}, "efficientnet_lite0 has convolutions of its own"),
        (
            {"subtract_mean": True},
            "A pretrained network expects complete frames; leave out subtract_mean",
        ),
        ({"seed": 1}, "has no seed; leave out what sets this"),
        ({"fine_tune": "../x"}, "'../x' is no name of a layer; use one such as block5"),
        ({"pretrained": False, "fine_tune": "all"}, "Only a pretrained network can be fine-tuned"),
    ],
)
def test_recipes_that_contradict_themselves_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(FROZEN, **changes)


def test_networks_without_published_weights_are_refused():
    small = book_settings.Settings("puppets", "short", frame_step=5, size=16, epochs=1)
    with pytest.raises(
        ValueError, match="small_resnet has no published weights; choose movinet_a0"
    ):
        build_model(Recipe(pretrained=True), small)


# Trainings.


def test_a_frozen_network_is_fitted_saved_recorded_and_found_again(run, monkeypatch):
    lines = []
    model, record = training.train(run, FROZEN, log=lines.append)
    assert len(lines) == 1 and lines[0].startswith("linear classifier on 6 features, C = ")
    np.testing.assert_equal(body(model), body(build_model(FROZEN, run)))
    folder = records.run_folder(dataclasses.replace(run, epochs=1), FROZEN)
    assert json.loads((folder / "record.json").read_text()) == record
    assert {name: len(values) for name, values in record["history"].items()} == dict.fromkeys(
        ("loss", "accuracy", "val_loss", "val_accuracy"), 1
    )
    assert record["head"]["features"] == 6 and record["recipe"]["pretrained"]
    saved = keras.models.load_model(folder / "last.keras")
    np.testing.assert_equal(body(saved), body(model))
    assert predict.load(folder).class_names == record["class_names"]
    monkeypatch.setattr(training, "fit_head", None)
    _, again = training.train(run, FROZEN, log=lines.append)
    assert again == record and lines[1].startswith("already trained")


def test_fine_tuning_starts_from_a_fitted_head_and_keeps_the_averages(run):
    lines = []
    model, record = training.train(run, FINE_TUNED, log=lines.append)
    assert lines[0].startswith("linear classifier on 6 features") and len(lines) == 3
    before, after = body(build_model(FINE_TUNED, run)), body(model)
    changed = [not np.array_equal(value, before[i]) for i, value in after.items()]
    assert changed == [w.trainable for w in model.weights if not w.path.startswith("logits")]
    assert len(record["history"]["loss"]) == 2


def test_interrupted_fine_tuning_goes_on_where_it_was(run, monkeypatch):
    """Normalisations inside of other layers stay frozen, and the head isn't fitted again."""
    expected, _ = training.train(run, FINE_TUNED, log=quiet)
    folder = records.run_folder(run, FINE_TUNED)
    for file in folder.iterdir():
        file.unlink()

    def stop(line):
        if "epoch   1/2" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train(run, FINE_TUNED, log=stop)
    lines = []
    model, _ = training.train(run, FINE_TUNED, log=lines.append)
    assert lines[0] == "resuming after epoch 1" and len(lines) == 2
    for path, value in body(expected).items():
        np.testing.assert_allclose(body(model)[path], value, atol=1e-5, err_msg=path)


def test_a_frozen_network_has_no_epochs(run):
    with pytest.raises(TrainingError, match="has no epochs; leave them out, or fine-tune"):
        training.train(run, FROZEN, epochs=3)


# The shell.


@pytest.fixture
def shell(run, monkeypatch, capsys):
    """Return a function that runs the command with options and returns its status and output."""
    monkeypatch.setattr(training, "current", lambda *_: run)

    def call(*options):
        status = training.main(["--network", "efficientnet_lite0", *options])
        return status, "".join(capsys.readouterr())

    return call


def test_shell_fits_a_classifier_and_then_fine_tunes(shell):
    status, output = shell("--pretrained")
    assert status == 0 and "efficientnet_lite0-frozen-seed0\n" in output and "epoch" not in output
    status, output = shell("--fine-tune", "--seed", "0", "1")
    assert status == 0 and "efficientnet_lite0-fine_tuned_all-0.0001-seed1, 2 epochs" in output
    assert output.count("epoch   2/2") == 2
    status, output = shell("--fine-tune", "features", "--learning-rate", "0.01", "--epochs", "1")
    assert status == 0 and "efficientnet_lite0-fine_tuned_features-0.01-seed0, 1 epochs" in output


@pytest.mark.parametrize(
    "options, message",
    [
        (["--pretrained", "--epochs", "2"], "--epochs is for trainings in epochs; a linear"),
        (["--pretrained", "--cache", "none"], "--cache is for trainings in epochs; a linear"),
        (["--pretrained", "--tensorboard", "x"], "--tensorboard is for trainings in epochs"),
        (
            ["--pretrained", "--recipe", "book"],
            "has no learning_rate, weight_decay, label_smoothing, augment",
        ),
        (["--pretrained", "--network", "tutorial"], "tutorial has no published weights; choose"),
        (
            ["--fine-tune", "block77"],
            "tiny has no layer whose name begins with block77; its names begin",
        ),
    ],
)
def test_shell_refuses_what_makes_no_sense(shell, options, message):
    status, output = shell(*options)
    assert status == 1 and message in output.splitlines()[-1]
