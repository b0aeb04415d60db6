"""Compare features of published networks on real clips: by layer, by order of frames, by cost.

    python benchmarks/transfer.py                   print three tables
    python benchmarks/transfer.py --record book/results/transfer.json

UCF101_ZIP has to name a ZIP with the clips of book/results/ucf101_10classes.csv. A linear
classifier is fitted to the training clips; the validation clips choose its regularisation, and the
frames and the layer that the features come from. The test clips serve for this choice and for the
orders only.
"""

import argparse
import dataclasses
import json
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import numpy as np

from helpers.archive import fetch_clips
from helpers.counting import layer_table
from helpers.evaluation import ORDERS, reorder_frames
from helpers.pretrained import suit_settings
from helpers.recipes import Recipe, build_model
from helpers.records import hardware
from helpers.settings import current, project_root
from helpers.training import load_splits
from helpers.transfer import compute_features, feature_extractor, fit_linear

TABLE = pathlib.Path(__file__).resolve().parent.parent / "book" / "results" / "ucf101_10classes.csv"
# The clips as each network gets them best, and with the frames that the book's own network gets.
EQUAL = {"n_frames": 10, "frame_step": 15}
INPUTS = {
    ("efficientnet_lite0", "16, every 10th"): {},
    ("efficientnet_lite0", "10, every 15th"): EQUAL,
    ("movinet_a0", "16, every 5th"): {},
    ("movinet_a0", "10, every 15th"): EQUAL,
}
# What the features are computed from, by name. The first half of the 2560 are means.
FEATURES = {
    "efficientnet_lite0": {
        "mean over time (1280)": lambda features: features[:, :1280],
        "mean and deviation (2560)": lambda features: features,
    },
    "movinet_a0": {"average (480)": "average", "hidden (2048)": None},
}
ROUNDS = 5
FOLDER = project_root() / "data" / "features"


def prepare(network, sampling):
    """Return a published network and the clips of each split, in order."""
    settings = suit_settings(current("ucf101"), network)
    settings = dataclasses.replace(settings, split_by=str(TABLE), **sampling)
    model = build_model(Recipe(network, pretrained=True), settings)
    return model, load_splits(fetch_clips(settings), settings, cache=None, shuffled=False)


def extract(model, batches, kind, **options):
    """Return the features of one of the kinds of `FEATURES`."""
    layer = kind if isinstance(kind, str) else None
    features = compute_features(feature_extractor(model, layer), batches, **options)
    return kind(features) if callable(kind) else features


def compare_layers():
    """Return for each network, input and layer how well the validation clips are classified."""
    rows = []
    for (network, frames), sampling in INPUTS.items():
        model, data = prepare(network, sampling)
        labels = {split: data[split].labels for split in ("train", "val")}
        for layer, kind in FEATURES[network].items():
            features = {split: extract(model, data[split], kind, folder=FOLDER) for split in labels}
            kernel, bias, facts = fit_linear(features, labels)
            accuracy = score(features["val"], labels["val"], kernel, bias)
            row = {"network": network, "frames": frames, "layer": layer, "C": facts["C"]}
            row |= {"val_loss": min(facts["val_loss"].values()), "val_accuracy": accuracy}
            rows.append(row)
            print(row, flush=True)
    return rows


def test_chosen(rows):
    """Add the test accuracy to each network's row with the lowest validation loss."""
    for network in FEATURES:
        own = [row for row in rows if row["network"] == network]
        best = min(own, key=lambda row: row["val_loss"])
        sampling, kind = INPUTS[network, best["frames"]], FEATURES[network][best["layer"]]
        model, data = prepare(network, sampling)
        labels = {split: batches.labels for split, batches in data.items()}
        features = {split: extract(model, data[split], kind, folder=FOLDER) for split in labels}
        best["test_accuracy"] = score(
            features["test"], labels["test"], *fit_linear(features, labels)[:2]
        )
        print(best, flush=True)
    return rows


def score(features, labels, kernel, bias):
    return float(np.mean((features @ kernel + bias).argmax(axis=1) == labels))


def compare_orders():
    """Return test accuracies by order of frames: of a classifier that knows it, and of one not."""
    rows = []
    for (network, frames), sampling in list(INPUTS.items())[::2]:
        model, data = prepare(network, sampling)
        labels, usual = {split: batches.labels for split, batches in data.items()}, None
        for order in ORDERS:
            rng = np.random.default_rng(0)
            transform = lambda x, order=order, rng=rng: reorder_frames(x, order, rng)  # noqa: E731
            features = {
                split: extract(model, batches, None, transform=transform)
                for split, batches in data.items()
            }
            weights = fit_linear(features, labels)[:2]
            usual = usual or weights
            row = {"network": network, "frames": frames, "order": order}
            row |= {
                "trained forwards": score(features["test"], labels["test"], *usual),
                "trained in this order": score(features["test"], labels["test"], *weights),
            }
            rows.append(row)
            print(row, flush=True)
    return rows


def compare_costs():
    """Return parameters, multiply-adds and seconds per clip; the networks take turns."""
    settings = dataclasses.replace(current("ucf101"), size=112, **EQUAL)
    models = {"small_resnet": build_model(Recipe(), settings)}
    models |= {" ".join(key): prepare(key[0], sampling)[0] for key, sampling in INPUTS.items()}
    seconds, rng = {name: [] for name in models}, np.random.default_rng(0)
    for _ in range(ROUNDS + 1):
        for name, model in models.items():
            clips = rng.integers(0, 256, (4, *model.input_shape[1:]), dtype=np.uint8)
            begin = time.perf_counter()
            model.predict_on_batch(clips)
            seconds[name].append((time.perf_counter() - begin) / len(clips))
    rows = []
    for name, model in models.items():
        row = {"network": name, "input": list(model.input_shape[1:4])}
        row["parameters"] = model.count_params()
        row["multiply_adds"] = sum(each.multiply_adds for each in layer_table(model))
        # The first time, the network is traced.
        row["seconds"] = round(statistics.median(seconds[name][1:]), 4)
        rows.append(row)
        print(row, flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--record", type=pathlib.Path, metavar="FILE", help="write the tables here")
    options = parser.parse_args()
    result = {"hardware": hardware(), "layers": test_chosen(compare_layers())}
    result |= {"orders": compare_orders(), "costs": compare_costs()}
    if options.record:
        options.record.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
