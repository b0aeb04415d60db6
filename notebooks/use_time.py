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
# # Test whether a network uses time: shuffled and reversed frames, 2D vs. (2+1)D and 3D convolutions
#
# **What you'll do:** compare one architecture with 2D and (2+1)D convolutions, reverse, shuffle and freeze the frames of the test clips, and find out what each network's predictions are based on.
#
# **What you'll learn**
#
# - how to test *what* a network uses; an accuracy alone can't show that;
# - how to distinguish three things that are all called "time": the direction of a clip, the order of its frames, and the fact that there is more than one;
# - how to find out whether a data set requires time at all. In some data sets, time is everything; in others, it is hardly needed.
#
# **What you'll need:** the chapters [Count parameters](count_parameters.ipynb) and [Evaluate](evaluate.ipynb). The chapter uses the network from [Train](train.ipynb) and trains one more, in about a minute on two CPU cores.

# %% tags=["hide-input"]
# Install the book's helpers and their dependencies if they are missing, as they are in Colab.
try:
    import helpers.archive
except ModuleNotFoundError:
    # %pip install --quiet git+https://github.com/video-classification-book/video-classification-book
    import helpers.archive

# %%
import dataclasses

import numpy as np
from IPython.display import Markdown

from helpers import archive, evaluation, plots, puppets, records, settings
from helpers import training, video
from helpers.recipes import RECIPES, Recipe

# %%
run = settings.current()
folders = archive.fetch_clips(run)
data = training.load_splits(folders, run)
test_ds, labels = data["test"], data["test"].class_names

# %% [markdown]
# ## Reverse and shuffle the frames of a clip
#
# People say that a video network sees *motion*. To test that, remove the motion and measure how much of the accuracy is left. `evaluation.reorder_frames` arranges the frames of a clip in four ways:

# %% mystnb={"image": {"alt": "One clip as four film strips: forwards, backwards, with its frames shuffled, and with its middle frame repeated."}}
file = test_ds.files[0]
larger = run.sampling | {"output_size": (90, 120)}
clip = video.frames_from_video_file(file, **larger, start="center")
strips = [
    evaluation.reorder_frames(clip[None], order)[0]
    for order in evaluation.ORDERS
]
figure = plots.plot_film_strip(strips, evaluation.ORDERS)

# %% [markdown]
# Here are the same four orders as frame numbers:

# %% tags=["nbval-check-output"]
numbers = np.arange(run.n_frames).reshape(1, -1, 1, 1, 1)
for order in evaluation.ORDERS:
    print(f"{order:10}", evaluation.reorder_frames(numbers, order).ravel())

# %% [markdown]
# - *backwards* keeps all pairs of neighbouring frames, and reverses the direction;
# - *shuffled* keeps all frames, and puts them into a random order, a different one for each clip;
# - *one frame* repeats the middle frame.
#
# ## Compare 2D and (2+1)D on the puppets
#
# Both networks are the book's small residual network. They differ only in their convolutions, which are 2D or (2+1)D, and therefore in the number of weights ([Build the model](build_model.ipynb)). With 2D convolutions, the network processes each frame on its own and averages over all frames at the end. It sees ten frames, but it can't know which came first. The (2+1)D network is the one that you trained in [Train](train.ipynb).
#
# **Predict**, before you run anything, for the puppets, whose ten actions are five actions and their reverses:
#
# 1. What test accuracy does each of the two networks reach? (The split is by group.)
# 2. What happens to each accuracy if the clips are shown backwards?
# 3. What happens if their frames are shuffled?

# %%
models = {}
for conv in ("2d", "2plus1d"):
    recipe = Recipe(conv=conv)
    models[conv], _ = training.train(
        run, recipe, test=False, log=lambda line: None
    )

# %%
rows, answers = [], {}
for conv, model in models.items():
    rows.append([conv])
    for order in evaluation.ORDERS:
        batches = evaluation.reorder_dataset(test_ds, order)
        actual, probabilities = evaluation.predict_probabilities(model, batches)
        answers[conv, order] = actual, probabilities
        accuracy = np.mean(probabilities.argmax(axis=1) == actual)
        rows[-1].append(f"{accuracy:.2f}")
header = ("test accuracy, one seed", *evaluation.ORDERS)
Markdown(records.markdown_table(header, rows))

# %% [markdown]
# One seed is an anecdote, so here are recorded runs on the puppets, with three seeds for each network and with 3D convolutions as well:

# %% mystnb={"image": {"alt": "Test accuracies on the puppets, with a dot for each of three seeds and a mark at the mean. The 2D network scores one half in every order that contains all frames; the (2+1)D and 3D networks score nearly one forwards, nearly zero backwards, and a little less than one half when shuffled."}}
KINDS = {"2d": "2D", "2plus1d": "(2+1)D", "3d": "3D"}


def by_order(runs, recipe, kinds=KINDS):
    """Return the accuracies of all seeds by network and order."""
    result = {}
    for conv, name in kinds.items():
        variant = dataclasses.replace(recipe, conv=conv)
        seeds = records.runs_of_recipe(runs, variant)
        for order in evaluation.ORDERS:
            result[name, order] = [run["orders"][order] for run in seeds]
    return result


drawn = by_order(records.load_results("puppets-short"), Recipe())
rows = {f"{name}, {order}": scores for (name, order), scores in drawn.items()}
axis = plots.plot_scores(rows, "test accuracy, puppets")
limits = axis.set_xlim(-0.02, 1.02)


# %% tags=["remove-input", "nbval-check-output"]
def table(scores):
    rows = []
    for name in dict.fromkeys(name for name, _ in scores):
        cells = (scores[name, order] for order in evaluation.ORDERS)
        rows.append((name, *map(records.mean_and_range, cells)))
    return (
        "Test accuracy as mean (worst to best) of three seeds:\n\n"
        + records.markdown_table(("network", *evaluation.ORDERS), rows)
    )


Markdown(table(drawn))

# %% [markdown]
# **Forwards.** Without time, the network finds the right pair, but can't tell which of its two actions it sees: one half. It can't do better. The reason isn't that it is too small, or was trained too briefly. The reason is that it gives the same answer to a clip and its reverse ([Load video](load_video.ipynb)), and this answer must be wrong for at least one of them. The networks with time get nearly all clips right, with (2+1)D and with 3D convolutions alike. (They have more than twice as many weights, but by the argument above, no size would have helped the 2D network.)
#
# **Backwards.** The accuracy of the networks with time falls to almost nothing. Not to chance: to almost *nothing*. **Predict:** what does the (2+1)D network take the clips for instead?

# %%
reverse = {a: b for pair in puppets.PAIRS for a, b in (pair, pair[::-1])}
for conv in models:
    actual, probabilities = answers[conv, "backwards"]
    predicted = [labels[number] for number in probabilities.argmax(axis=1)]
    pairs = zip(actual, predicted)
    share = np.mean([reverse.get(labels[a]) == b for a, b in pairs])
    confidence = probabilities.max(axis=1).mean()
    print(f"{conv:8} predicted as the reverse: {share:.2f}, ", end="")
    print(f"mean confidence {confidence:.2f}")

# %% [markdown]
# On the puppets, the network with time predicts the other action of the pair for nearly every clip, and it does so confidently. It isn't confused: it sees what you would see in a film played backwards.
#
# The 2D network gives every single clip the same answer as forwards. It has to, because an average doesn't depend on the order of its terms.

# %% tags=["nbval-check-output"]
frames, _ = test_ds[0]
for order in ("backwards", "shuffled"):
    logits = [
        models["2d"].predict_on_batch(evaluation.reorder_frames(frames, o))
        for o in ("forwards", order)
    ]
    print(f"2D, logits equal if {order}: {np.allclose(*logits, atol=1e-4)}")

# %% [markdown]
# **Shuffled.** In random order, the frames no longer show the motion. The networks with time lose all of their advantage over the 2D network, and a little more. They rely on motion, and now they meet motion that they have never seen: arms that jump up and down.
#
# **One frame.** Nothing moves at all. Even the 2D network loses some accuracy, because ten frames show more poses than one. The networks with time lose more: they have never seen a clip in which nothing moves.
#
# ## Repeat the test on real clips (UCF101)
#
# On the puppets, the test was rigged: we drew actions that can't be told apart without time. Do our ten classes of UCF101 contain such actions? Recorded runs of the book's recipe on ten classes of exercises give the answer. They include a fourth network, *mixed* (the paper's MC3), whose first convolutions are 3D and the rest 2D. **Predict** again: how do 2D and 3D compare, forwards and backwards?

# %% mystnb={"image": {"alt": "Test accuracies on real clips, with a dot for each of three seeds and a mark at the mean. Forwards and backwards, the accuracies of all networks are close together; shuffled, those of the networks with time drop, and that of the 2D network stays the same."}}
recorded = records.load_results("ucf101-64")
real = by_order(recorded, RECIPES["book"], KINDS | {"mc3": "mixed"})
rows = {
    f"{name}, {order}": scores
    for (name, order), scores in real.items()
    if order != "one frame"
}
axis = plots.plot_scores(rows, "test accuracy, ten classes of UCF101")
limits = axis.set_xlim(-0.02, 1.02)

# %% tags=["remove-input", "nbval-check-output"]
example = records.runs_of_recipe(recorded, RECIPES["book"])[0]
epochs, size = (example["settings"][name] for name in ("epochs", "size"))
Markdown(
    f"{table(real)}\n\n({epochs} epochs, 10 frames of {size} pixels, split by "
    f"group; {example['hardware']}. Commands: [Results](../book/results.md). "
    "*One frame* is chance here: the recipe subtracts the mean of a clip's "
    "frames, and nothing is left of a single frame.)"
)

# %% [markdown]
# There are three findings, and each is easily overstated:
#
# - **Time helps little here, if at all.** In these runs, the (2+1)D and 3D networks are no better than the 2D network. The mixed network scored a few points higher. But these points are a handful of clips, and the seeds of the (2+1)D network differ by more. For these ten actions, poses and the positions where something has moved (see below) are nearly enough.
# - **The direction hardly matters.** A push-up played backwards is still a push-up, and the same holds for a squat or a jump. So no network should depend much on the direction, and the accuracies hardly change.
# - **Yet the networks with time do use the order.** On shuffled frames, the (2+1)D and 3D networks lose a good part of their accuracy, the mixed network loses less, and the 2D network loses nothing. So the networks with time rely on the order of frames, although the 2D network does as well without it. *Using* is not *needing*.
#
# Does the 2D network use no time at all? The book's recipe subtracts the mean of all frames from each frame, so each frame also carries information from the others: it shows where something has moved to. It doesn't show in which order, so shuffling changes nothing. These runs don't tell you what single frames would achieve without subtracting the mean.
#
# So an accuracy on such clips is weak evidence that a network understands movement. Sevilla-Lara et al. went further: they showed people shuffled videos, and used the answers to separate classes that need time from classes that don't ([Sevilla-Lara et al. 2021](https://arxiv.org/abs/1907.08340)). To test whether a network uses time, test it on clips that can't be classified without time, or take the time out of the clips.
#
# ## Check yourself
#
# 1. A network scores the same forwards and backwards. Does it ignore time?
# 2. A network scores the same forwards and shuffled. Does it ignore time?
# 3. On the puppets, could a network without time reach more than one half if it were larger, or trained on more clips?
# 4. Why do we shuffle only the test clips, and not the training clips as well?
#
# <details><summary>Answers</summary>
#
# 1. Not necessarily. It may use motion that looks the same in both directions, as in push-ups.
# 2. It probably ignores the order. But it may now be wrong on different clips, and equally many, so compare the predictions clip by clip. It may still use the fact that there are several frames.
# 3. No. It gives a clip and its reverse the same answer. (The puppets of the chapter [Don't trust a leaky split](leaky_split.ipynb) were different: each action had its own rooms, which gave it away.)
# 4. They answer different questions, and both are worth asking. Shuffling the test clips shows what *this* network uses; training on shuffled clips shows what *any* network could achieve without the order.
#
# </details>
#
# ## On your own
#
# - Train the (2+1)D network on shuffled clips: call its `fit` for one epoch at a time, each on `evaluation.reorder_dataset(data["train"], "shuffled", seed=epoch)`. What accuracy does it reach on the puppets, and why can't it reach more?
# - Flip the test clips horizontally instead. *WalkLeft* becomes *WalkRight*. Which other classes are swapped?
# - Remove every second frame, or double the frame step. Which networks lose accuracy, and what does that mean for the frame rate of the videos that you give to a trained network?
#
# Next: [Start from a trained network](pretrained.ipynb).
