# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Start from a trained network: transfer learning with image and video features, frozen or fine-tuned
#
# **What you'll do:** take networks that others trained on more than a million photos and on hundreds of thousands of videos, put your own classifier on top, and find out what that gains and what it can't gain.
#
# **What you'll learn**
#
# - how to remove a network's last layer and use the features for other classes;
# - why averaged features of single frames can't tell an action from its reverse, and what can;
# - how much a pretrained network helps with few clips and with many;
# - what to freeze, when to fine-tune and at what learning rate, and what happens to normalisation;
# - what to doubt when the numbers look good.
#
# **What you'll need:** the chapters [Evaluate](evaluate.ipynb) and [Ask whether it uses time](use_time.ipynb). The chapter takes about a minute on two CPU cores. The weights of the first network come with a Python package; the second network's are a 3 MB download.

# %% tags=["hide-input"]
# Install the book's helpers and their dependencies if they are missing, as they are in Colab.
try:
    import helpers.archive
except ModuleNotFoundError:
    # %pip install --quiet git+https://github.com/video-classification-book/video-classification-book
    import helpers.archive

# %%
import dataclasses
import importlib.util
import textwrap

import keras
import numpy as np
from IPython.display import Markdown

from helpers import archive, counting, efficientnet, evaluation, models
from helpers import movinet, plots, predict, pretrained, records, settings
from helpers import training, transfer

# %% [markdown]
# ## Predict: what can be learned from five clips?
#
# Ten classes, five training clips of each, from UCF101. **Predict** the test accuracy of three networks:
#
# 1. The book's small network, trained from scratch on these fifty clips.
# 2. A network that has learned to name things in photos. It sees each frame on its own. Only a linear classifier is trained, on the averages of its *features*, the numbers before its logits.
# 3. A network that has learned to name actions in videos, again with a linear classifier.

# %%
curves = {"from scratch": records.load_results("learning-curve")}
recorded = records.load_results("pretrained-curve")
NAMES = {"efficientnet_lite0": "image features", "movinet_a0": "video features"}
for network, name in NAMES.items():
    curves[name] = records.select_runs(recorded, network=network, fine_tune="")


def by_clips(runs):
    """Return the test accuracies by the number of training clips of a class."""
    result = {}
    for made in sorted(
        runs, key=lambda run: run["settings"]["splits"]["train"]
    ):
        number = made["settings"]["splits"]["train"]
        result.setdefault(number, []).append(made["test"]["accuracy"])
    return result


# %% mystnb={"image": {"alt": "Test accuracies with five training clips of each class, with a dot for each run. From scratch is lowest, features of images are in the middle, and features of videos are far ahead."}}
rows = {name: by_clips(runs)[5] for name, runs in curves.items()}
axis = plots.plot_scores(rows, "test accuracy, 5 clips of each class")
limits = axis.set_xlim(0, 1.02)

# %% [markdown]
# This chapter shows how to get the two better results, and what they are worth. We start with drawn puppets, because there we know what a network can and can't tell apart. The real clips follow.
#
# ## Cut a network before its logits
#
# A network for classification computes features, layer after layer, and its last layer weighs them into logits. The logits are scores for its own classes, but the features are often useful for other classes. *Transfer learning* keeps the features and replaces the last layer.
#
# EfficientNet-Lite0, a simplified [EfficientNet](https://arxiv.org/abs/1905.11946) for phones, was trained on ImageNet: more than a million photos of 1000 kinds of things. `helpers.efficientnet` builds it in plain Keras. Its weights come from a PyTorch file, which is a [pickle](../book/glossary.md#state-dict): loading one can run any program. So `helpers.state_dict` reads the tensors without PyTorch, and refuses everything else.

# %% tags=["nbval-check-output"]
run = dataclasses.replace(settings.current(), size=112)
size = {"height": run.size, "width": run.size}
network = efficientnet.build_efficientnet_lite0(n_frames=run.n_frames, **size)
efficientnet.load_weights(network)
extractor = transfer.feature_extractor(network, "frame_average")
top = network.get_layer("logits")
print(f"all of the network: {network.count_params():10,} parameters")
print(f"without its logits: {extractor.count_params():10,} parameters")
print(f"features of a frame: {top.input.shape[-1]}")

# %% [markdown]
# (Photos of 224 × 224 pixels suit it best. To save time, we give it half the height and half the width.)
#
# Presumably none of the photos shows our puppets. The features work for puppets nevertheless, as you will see. We compute them once for each frame of each clip and keep them on disk. Fitting a classifier then takes seconds, because it no longer needs the frames.

# %%
folders = archive.fetch_clips(run)
data = training.load_splits(folders, run, cache=None, shuffled=False)
kept = settings.project_root() / "data" / "features"
features = {
    split: transfer.compute_features(extractor, batches, kept)[:, :, 0, 0]
    for split, batches in data.items()
}
labels = {split: batches.labels for split, batches in data.items()}

# %% tags=["nbval-check-output"]
for split, array in features.items():
    print(f"{split:5} {array.shape}: clips, frames, features")

# %% [markdown]
# ## Average over the frames, and lose the direction
#
# A linear classifier needs one list of numbers per clip. We average the features over the frames.
#
# **Predict** the accuracy on the puppets, whose ten actions are five actions and their reverses. Would a larger network, or one trained on a billion photos, do better?


# %%
def fit_and_test(by_clip):
    """Fit a linear classifier to features by split; return accuracies."""
    kernel, bias, _ = transfer.fit_linear(by_clip, labels)
    return {
        split: np.mean(
            (by_clip[split] @ kernel + bias).argmax(1) == labels[split]
        )
        for split in ("train", "test")
    }


means = {split: array.mean(axis=1) for split, array in features.items()}
deviations = {split: array.std(axis=1) for split, array in features.items()}
both = {
    split: np.concatenate([means[split], deviations[split]], axis=1)
    for split in means
}
for name, by_clip in {"mean": means, "mean and deviation": both}.items():
    scores = fit_and_test(by_clip)
    print(f"{name:18}  train {scores['train']:.2f}  test {scores['test']:.2f}")

# %% [markdown]
# On the puppets, about one half. It can't be more: a clip and its reverse consist of the same frames, so their averages are the same, and the classifier gives both the same answer. At least one of the two is wrong. As long as the features of single frames are averaged, no network gets beyond that, whatever it has learned. The standard deviation over time tells how much each feature changes. It doesn't tell in which order, so it can't get beyond one half either.
#
# Even so, one half is remarkable: the classifier finds the right pair of actions nearly always, from features that were learned on photos.
#
# ## Look along time, and get the direction back
#
# Now we give the same features, frame by frame, to a very small network: a dense layer makes 64 numbers of each frame, and a temporal convolution looks at five frames at a time. **Predict** its accuracy.


# %%
def build_temporal_head(n_classes, seed=0):
    """Build a classifier of frame features that sees their order."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    head = keras.Sequential(
        [
            keras.Input(features["train"].shape[1:]),
            layers.LayerNormalization(),
            layers.Dense(64),
            layers.Conv1D(64, 5, padding="same", activation="relu"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(n_classes),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    head.compile(keras.optimizers.AdamW(1e-3), loss, metrics=["accuracy"])
    return head


# %%
head = build_temporal_head(run.num_classes)
head.fit(
    features["train"], labels["train"], batch_size=16, epochs=30, verbose=0
)
by_order = {
    "in order": features["test"],
    "backwards": features["test"][:, ::-1],
}
for name, array in by_order.items():
    _, accuracy = head.evaluate(array, labels["test"], verbose=0)
    print(f"{name:9} {accuracy:.2f}")

# %% [markdown]
# The classifier gets nearly all of the puppets' clips right, although the features stayed frozen. Backwards it gets almost none right, because it then sees the other action of the pair ([Ask whether it uses time](use_time.ipynb)).
#
# So what was transferred is the *pose*: probably where the arms are and how the body bends. The *motion* had to be learned here, from our clips. Where the order of frames matters, image features need a classifier that looks along time.
#
# ## Freeze the normalisation, too
#
# While these features were computed, the network was *frozen*: nothing in it changed. With batch normalisation, it isn't enough to leave the weights alone. In training mode, its layers normalise with the statistics of the batch and update their running averages. The running averages that came with the weights are those of photos. **Predict:** what is left of the accuracy above if the network sees five batches of our clips in training mode, without a single step of an optimiser?

# %%
batches = training.load_splits(folders, run, cache=None)["train"]
for index in range(5):
    network(batches[index][0], training=True)  # changes averages, no weights
spoiled = transfer.compute_features(extractor, data["test"])[:, :, 0, 0]
_, accuracy = head.evaluate(spoiled, labels["test"], verbose=0)
print(f"accuracy after five batches in training mode: {accuracy:.2f}")

# %% [markdown]
# Five batches were enough to spoil many predictions. The running averages moved towards the statistics of a few dozen clips, so the classifier no longer gets the features that it was fitted to. (They move faster in this book's networks than with Keras's default momentum: [Build the model](build_model.ipynb).) So in a frozen network, batch normalisation has to stay in inference mode. In Keras, `layer.trainable = False` freezes the weights of a normalisation and keeps it in inference mode, too. `recipes.freeze` sets it for all normalisations, even if the other layers are trained.
#
# ## Take a network that has seen motion
#
# [MoViNet-A0](https://arxiv.org/abs/2103.11511) was trained on Kinetics-600, hundreds of thousands of videos of 600 actions. We use its variant for phones and live video, A0-Stream. It is a (2+1)D network like those in [Build the model](build_model.ipynb). Its spatial and temporal convolutions are *depthwise*: each channel is convolved on its own, and 1 × 1 × 1 convolutions between them mix the channels. They are also *causal*: they never look at later frames. Its batch normalisations have been folded into the convolutions, so nothing can go wrong with running averages. **Predict:** which of these networks needs the fewest multiply-adds for a clip?

# %% tags=["nbval-check-output"]
NETWORKS = {
    "book's network": models.build_small_resnet(height=112, width=112),
    "EfficientNet-Lite0": efficientnet.build_efficientnet_lite0(n_frames=16),
    "MoViNet-A0": movinet.build_movinet_a0(n_frames=16),
    "R(2+1)D-18, the paper's": models.build_resnet18(),
}
rows = []
for name, model in NETWORKS.items():
    frames, height, width, _ = model.input_shape[1:]
    work = sum(row.multiply_adds for row in counting.layer_table(model)) / 1e6
    clip = f"{frames} × {height} × {width}"
    rows.append(
        (name, clip, f"{model.count_params():,}", f"{work:,.0f} million")
    )
header = ("network", "clip", "parameters", "multiply-adds")
Markdown(records.markdown_table(header, rows))

# %% [markdown]
# MoViNet-A0 needs about as many multiply-adds as the book's small network, although its clips are longer and its frames larger. EfficientNet-Lite0 needs several times as many, because it processes each of its large frames completely. R(2+1)D-18 needs by far the most.
#
# The published file has its weights as 8-bit integers. `movinet.load_weights` turns them back into floats: each channel of a kernel has a scale, and the weight is the integer times the scale. `predict.load` accepts the name `movinet_a0` in place of a file. Which of its 600 actions does the network see in our test clips?

# %%
try:
    kinetics = predict.load("movinet_a0")
except predict.ModelError as error:
    kinetics = None
    print(textwrap.fill(str(error), 80, break_long_words=False))
    print("What follows shows recorded runs, which need no file.")

# %%
files = data["test"].files
for file in files[:: len(files) // run.num_classes] if kinetics else []:
    prediction = predict.predict_video(kinetics, file)
    (first, p), (second, q) = prediction.top(2)
    print(f"{file.parent.name:18} {p:.2f} {first}, {q:.2f} {second}")

# %% [markdown]
# Kinetics has no class for puppets, but the network has to name one of its 600 actions, and it does so with some confidence ([Try your own video](own_video.ipynb)). An action and its reverse often get the same name. For your own classes, cut it before its logits.
#
# ## Climb the ladder on real clips
#
# Now the result that this chapter is about: ten classes of UCF101, and 3 to 30 training clips of each. A linear classifier on frozen features is compared with training from scratch, and with *fine-tuning*, which goes on to train all weights.

# %% mystnb={"image": {"alt": "Test accuracy against the number of training clips of each class, with a dot for each run. Video features, frozen or fine-tuned, are high from the start and rise a little; image features lie below them; training from scratch is lowest throughout."}}
curves["video, fine-tuned"] = records.select_runs(recorded, fine_tune="all")
axis = plots.plot_against(
    {name: by_clips(runs) for name, runs in curves.items()},
    "training clips of each class",
    "test accuracy",
)
chance = axis.axhline(0.1, color=plots.GREY, linewidth=1, zorder=0)

# %% tags=["remove-input", "nbval-check-output"]
numbers = sorted(by_clips(curves["from scratch"]))
rows = []
for name, runs in curves.items():
    scores = by_clips(runs)
    cells = (
        records.mean_and_range(scores[n]) if n in scores else "not run"
        for n in numbers
    )
    rows.append((name, *cells))
header = ("test accuracy by clips per class", *map(str, numbers))
Markdown(
    f"{records.markdown_table(header, rows)}\n\nMean (worst to best) of the seeds "
    "where chance has a part, otherwise the only run. 100 test clips, the first "
    f"official split; {recorded[0]['hardware']}. Commands: "
    "[Results](../book/results.md#start-from-a-trained-network)."
)

# %% [markdown]
# With three clips of each class, video features are far better than training from scratch with thirty. Most of the task was learned elsewhere.
#
# How much of the gain comes from the network, and how much from its input? In the plot, each network gets frames of its own size, number and spacing. In the next table, all networks get the same ten frames, and the pretrained ones also the frames that suit them. The validation clips chose the regularisation, and the frames of the image network. The other frames are those that the published weights expect, and the features are the inputs of the logits. Every row was tested, so don't pick the best one by its test accuracy.

# %% tags=["remove-input"]
UNNAMED = ("HandStandPushups", "HandstandWalking", "WallPushups")
ladder = records.load_results("pretrained")
scratch = records.load_results("ucf101-112")
ladder += records.select_runs(scratch, network="small_resnet")


def unnamed(run):
    """Return the accuracy on clips of the classes that Kinetics doesn't name."""
    names = [run["class_names"][label] for label in run["actual"]]
    right = np.equal(run["actual"], run["predicted"])
    return np.mean([ok for ok, name in zip(right, names) if name in UNNAMED])


# %% tags=["remove-input"]
LABELS = {"small_resnet": "from scratch"} | NAMES


def describe(run):
    """Return the network, its training and its input."""
    recipe, sizes = run["recipe"], run["settings"]
    name = LABELS[recipe["network"]]
    name += ", fine-tuned" * bool(recipe.get("fine_tune"))
    frames, step, size = (sizes[k] for k in ("n_frames", "frame_step", "size"))
    return name, f"{frames} frames, every {step}th, {size} pixels"


made = {}
for each in ladder:
    made.setdefault(describe(each), []).append(each)

# %% tags=["remove-input", "nbval-check-output"]
rows = [
    (
        *key,
        records.mean_and_range(records.accuracies(runs, "val")),
        records.mean_and_range(records.accuracies(runs, "test")),
        records.mean_and_range([unnamed(each) for each in runs]),
    )
    for key, runs in sorted(
        made.items(),
        key=lambda item: np.mean(records.accuracies(item[1], "test")),
    )
]
header = ("start", "input", "validation", "test", "test, not named by Kinetics")
Markdown(
    f"{records.markdown_table(header, rows)}\n\nAccuracy; 30 training, 10 "
    "validation and 10 test clips of each class, split by group; mean (worst to "
    f"best) of the seeds where chance has a part; {ladder[0]['hardware']}."
)

# %% [markdown]
# The network matters more than the choice of frames: on the same ten frames, the order of the networks is the same. (Their sizes in pixels still differ.) The last column shows three classes whose names Kinetics lacks (more about them below).
#
# What does each network cost at prediction?

# %% tags=["remove-input", "nbval-check-output"]
measured = records.load_results("transfer")
rows = []
for cost in measured["costs"]:
    network, *_ = cost["network"].split()
    name = (LABELS | {"small_resnet": "the book's network"})[network]
    frames, height, width = cost["input"]
    clip = f"{frames} × {height} × {width}"
    rows.append((name, clip, f"{cost['seconds']:.2f} s"))
table = records.markdown_table(("network", "clip", "time per clip"), rows)
Markdown(f"{table}\n\nMeasured in turn on: {measured['hardware']}.")

# %% [markdown]
# The image network is the slowest, and it isn't the best. MoViNet-A0 takes longer than the book's network with fewer multiply-adds, because depthwise convolutions do little work for each number that they read.
#
# ## Decide what to freeze, and when to fine-tune
#
# There are three ways to use a pretrained network:
#
# - **Frozen, with a linear classifier.** The features are computed once, and the classifier is fitted in seconds. It often has more weights than there are clips, and fits the training clips perfectly. The regularisation, which the validation clips choose, limits the overfitting.
# - **Partly fine-tuned.** The last layers are trained, too: `--fine-tune block5` trains `block5` and all layers after it.
# - **Fine-tuned completely.** All weights are trained.
#
# Before you fine-tune, fit the last layer. As long as the last layer is random, its gradients pull the features in arbitrary directions, and the first steps damage them ([Kumar et al. 2022](https://arxiv.org/abs/2202.10054)). So `--fine-tune` fits the linear classifier first. Then all weights get a learning rate that is a tenth of the usual one, because they have little to learn and much to lose.
#
# Does it pay? **Predict** the answer for UCF101, which resembles Kinetics, and for the puppets, which don't.

# %% tags=["remove-input"]
drawn = records.load_results("pretrained-puppets")
clip_seconds = next(
    cost["seconds"]
    for cost in measured["costs"]
    if cost["network"].startswith("movinet_a0 16")
)
rows = []
for name, runs in {"UCF101": ladder, "puppets": drawn}.items():
    runs = records.select_runs(runs, network="movinet_a0", n_frames=16)
    for kind, fine_tune in {"frozen": "", "fine-tuned": "all"}.items():
        own = records.select_runs(runs, fine_tune=fine_tune)
        cells = [
            records.mean_and_range(records.accuracies(own, split))
            for split in ("val", "test")
        ]
        rows.append((name, kind, *cells))
sizes = own[0]["settings"]
n_clips = sizes["splits"]["train"] + sizes["splits"]["val"]
n_clips *= sizes["num_classes"]

# %% tags=["remove-input", "nbval-check-output"]
minutes = np.mean([each["seconds"] for each in own]) / 60
header = ("clips", "MoViNet-A0", "validation", "test")
Markdown(
    f"{records.markdown_table(header, rows)}\n\nOn two CPU cores, the features "
    f"of {n_clips} clips take about {n_clips * clip_seconds:.0f} s and the "
    f"classifier about one; the epochs of fine-tuning took {minutes:.0f} "
    "minutes, on a machine that was busy with other work."
)

# %% [markdown]
# On UCF101 with all its training clips, fine-tuning gained nothing that we could measure: the difference is a clip or two. (In the curve above, it did better than frozen features with few clips of each class. We didn't run it for all points.) It costs minutes instead of seconds, and its validation accuracy depends on the seed. On the puppets, it turns a fair network into a nearly perfect one. The frozen features already tell an action from its reverse better than averages of single frames can, but not reliably. Probably few classes of Kinetics need that distinction, and no video in it looks like a puppet. (The puppets don't need a pretrained network: the book's small network gets nearly all of them right from scratch.)
#
# So begin with frozen features. Fine-tune if your clips differ from what the network has seen, and if you have enough validation clips to notice a difference.
#
# ## Doubt the good numbers
#
# **Has it seen the test clips before?** Kinetics and UCF101 both come from YouTube, and nobody can rule out that they share videos. MoViNet may have been trained on a clip of our test set, with its label. Between our own splits, splitting by group prevents this ([Don't trust a leaky split](leaky_split.ipynb)); here, nothing does. Also, Kinetics has a class for seven of the ten actions. That is why the last column above shows the other three on their own. Kinetics doesn't have these either, but it has related ones, such as *push up* and *standing on hands*. On these clips the accuracies are lower, and video features are still ahead.
#
# **Does it use time?** The test of [Ask whether it uses time](use_time.ipynb) reorders the frames of the test clips. A classifier that was fitted to clips in their usual order has never seen such input, and may fail for that reason alone. So each network has a second row, for which the training clips were reordered in the same way as the test clips. **Predict:** in which row does the accuracy fall further?

# %% tags=["remove-input", "nbval-check-output"]
rows = {}
for entry in measured["orders"]:
    for kind in ("trained forwards", "trained in this order"):
        name = NAMES[entry["network"]]
        rows.setdefault((name, kind), {})[entry["order"]] = entry[kind]
table = records.markdown_table(
    ("features", "linear classifier", *evaluation.ORDERS),
    [
        (*key, *(f"{scores[order]:.2f}" for order in evaluation.ORDERS))
        for key, scores in rows.items()
    ],
)
Markdown(f"{table}\n\nTest accuracy, the frames that suit each network.")

# %% [markdown]
# Image features are the same in any order, as they have to be. For video features, exercises played backwards are as good as forwards ones, as they were for networks from scratch ([Ask whether it uses time](use_time.ipynb)). Shuffled frames and a single frame cost accuracy. But a classifier that was trained on such input gets a good part of it back. That part was lost because the input was unfamiliar, not because the features lacked the information.
#
# Read the last row from right to left. With one frame, video features are about as good as image features. Several frames, even in random order, bring most of the gain; the right order adds a few clips at most. So on these ten exercises the network gains mainly from seeing several frames, and these clips hardly show whether it needs their order.
#
# ## Use it on your own clips
#
# Add two options to the command from [Train on your own clips](own_clips.ipynb):
#
# ```shell
# python -m helpers.training --clips FOLDER --network movinet_a0 --pretrained
# python -m helpers.training --clips FOLDER --network movinet_a0 --fine-tune
# python -m helpers.predict runs/NAME-short/movinet_a0-.../last.keras VIDEO
# ```
#
# The first command fits a linear classifier, the second fine-tunes, and the third classifies a new video. The first is by far the fastest, so try it first. `--network efficientnet_lite0` needs no download. If the download of MoViNet's file fails, get it with a browser, and set `MOVINET_A0_WEIGHTS` to its path. The same works in Python:
#
# ```python
# run = pretrained.suit_settings(settings.current(), "movinet_a0")
# model, record = training.train(run, Recipe("movinet_a0", pretrained=True))
# ```
#
# ## Load torchvision's weights into R(2+1)D-18
#
# torchvision publishes the networks of the (2+1)D paper with weights that it trained on Kinetics-400. `models.build_resnet18` builds the same layers. Yet copying the weights isn't enough: PyTorch's network and Keras's defaults differ in three conventions. They are options of the builder:
#
# - **Padding at strides** (`symmetric`). At a stride of 2, an even number of pixels needs one row of padding fewer than an odd one. Keras then pads one row more at the end than at the beginning; PyTorch pads both sides equally. So everything is shifted by a pixel.
# - **The epsilon of batch normalisation** (`epsilon`), which is added to the variance: 1e-3 in Keras, 1e-5 in PyTorch. It matters where the variance is small.
# - **The scale of the input** (`mean`, `deviation`): torchvision subtracts the mean colour of Kinetics and divides by its standard deviation.
#
# Each of them alone changes the logits, without any error message. `pretrained.TORCHVISION` holds all three, and `load_torchvision` refuses a network that was built without them.

# %% tags=["nbval-check-output"]
paper = models.build_resnet18("2plus1d", **pretrained.TORCHVISION)
for name, option in pretrained.TORCHVISION.items():
    print(f"{name:9} {option}")
print(f"{paper.count_params():,} parameters")

# %%
if importlib.util.find_spec("torchvision"):
    from torchvision.models import video

    published = video.r2plus1d_18(weights="DEFAULT").state_dict()
    pretrained.load_torchvision(paper, published)
    print("The weights are loaded.")
else:
    print("torchvision isn't installed here; Colab has it.")

# %% [markdown]
# (Without torchvision, `--network resnet18 --pretrained` downloads the same file, and reads it without PyTorch. What we tested: with random weights and random running averages, R(2+1)D-18, R3D-18 and MC3-18 give the same logits and features as torchvision's, to within a ten-thousandth, under PyTorch and JAX. What we could not test: the download of the published weights, and their accuracy.)
#
# ## Check yourself
#
# 1. On the puppets, why can't a larger image network get beyond one half, if its features are averaged over time?
# 2. You have frozen a network with `layer.trainable = False` for its convolutions, but not for its batch normalisation, and train the last layer for an epoch. Which numbers of the network have changed?
# 3. Why does fine-tuning begin with logits that have been fitted already?
# 4. A pretrained network gets nearly all clips of your test set right. Name two reasons why it may do worse on the clips that you will film tomorrow.
#
# <details><summary>Answers</summary>
#
# 1. A clip and its reverse have the same frames, so the averages are equal, whatever the features are. The classifier gives both the same class.
# 2. The last layer's weights. In each normalisation also the scale and the offset, because they are trainable, and the running averages of mean and variance, because it was in training mode. So the features have changed.
# 3. While the last layer is random, the gradients that reach the features are arbitrary. They would change the features before the last layer can use them.
# 4. Your test clips may be among those that it was trained on, if both come from the web. And your test clips may resemble your training clips in camera, place and framing more than tomorrow's will.
#
# </details>
#
# ## On your own
#
# - Give the temporal classifier of frame features only every second frame, or only the first five. When does it lose the direction?
# - Fit the linear classifier to the features of an earlier layer of MoViNet-A0, such as `block4_layer4_add`, averaged over space and time. How far from the logits can you go before the accuracy falls?
# - Draw the curve above for your own clips, with tables that list fewer and fewer of them. Where would training from scratch catch up?
#
# Next: [See what it sees](see_what_it_sees.ipynb).
