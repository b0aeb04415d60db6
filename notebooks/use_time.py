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
# # Ask whether it uses time
#
# **What you'll do:** train one network with and without time, play the test clips backwards, shuffle and freeze them, and find out what each network goes by.
#
# **What you'll learn**
#
# - to test a claim about *what* a network uses, which an accuracy alone can't;
# - to tell three things apart that are all called "time": the direction, the order, and seeing more than one frame;
# - to see what a data set asks for: on some, time is everything, on others it is hardly needed.
#
# **What you'll need:** the chapters [Count parameters](count_parameters.ipynb) and [Evaluate](evaluate.ipynb). Two networks are trained here, besides the one of the chapter [Train](train.ipynb): about two minutes on two CPU cores.

# %% tags=["hide-input"]
# Where the book's helpers are missing, as in Colab, fetch them and what they need.
try:
    import helpers.archive
except ModuleNotFoundError:
    # %pip install --quiet git+https://github.com/video-classification-book/video-classification-book
    import helpers.archive

# %%
import dataclasses

import numpy as np
from IPython.display import Markdown

from helpers import (
    archive,
    evaluation,
    plots,
    puppets,
    records,
    settings,
    training,
    video,
)
from helpers.recipes import RECIPES, Recipe

# %%
run = settings.current()
folders = archive.fetch_clips(run)
data = training.load_splits(folders, run)
test_ds, labels = data["test"], data["test"].class_names

# %% [markdown]
# ## Four ways to show a clip
#
# A video network is said to see *movement*. To find out whether it does, take movement away and see what is left of the accuracy. `evaluation.reorder_frames` shows a clip to a network in four ways:

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
# As numbers of frames:

# %% tags=["nbval-check-output"]
numbers = np.arange(run.n_frames).reshape(1, -1, 1, 1, 1)
for order in evaluation.ORDERS:
    print(f"{order:10}", evaluation.reorder_frames(numbers, order).ravel())

# %% [markdown]
# - *backwards* keeps every step from one frame to the next, and turns the direction round;
# - *shuffled* keeps every frame and breaks the steps, in each clip in another way;
# - *one frame* keeps a single picture.
#
# ## The same network, with and without time
#
# The three networks are one: the book's small residual network, of which only the convolutions differ (2D, (2+1)D or 3D), and with them the number of weights ([Build the model](build_model.ipynb)). With 2D convolutions it sees each frame by itself and averages over all of them at the end. It still sees ten frames; it just can't know which came first.
#
# **Predict**, before you run anything. On the puppets, whose ten actions are five and their reverses:
#
# 1. What accuracy does each of the three reach on the test clips, split by group?
# 2. What becomes of each when the clips are shown backwards?
# 3. And shuffled?

# %%
models = {}
for conv in ("2d", "2plus1d", "3d"):
    recipe = Recipe(conv=conv)
    models[conv], _ = training.train(
        run, recipe, test=False, log=lambda line: None
    )

# %%
rows = []
for conv, model in models.items():
    rows.append([conv])
    for order in evaluation.ORDERS:
        batches = evaluation.reorder_dataset(test_ds, order)
        actual, predicted = evaluation.get_actual_predicted_labels(
            model, batches
        )
        rows[-1].append(f"{np.mean(actual == predicted):.2f}")
Markdown(
    records.markdown_table(
        ("accuracy on the test clips, one seed", *evaluation.ORDERS), rows
    )
)

# %% [markdown]
# Here are three seeds of each, recorded, on the puppets:

# %% mystnb={"image": {"alt": "Test accuracies on the puppets, a dot for each of three seeds: 2D at one half whatever the order of frames; (2+1)D and 3D near one forwards and near nought backwards, in between when shuffled."}}
KINDS = {"2d": "2D", "2plus1d": "(2+1)D", "3d": "3D"}


def by_order(runs, recipe, kinds=KINDS):
    """Return the accuracies of all seeds by network and order."""
    made = {
        conv: records.runs_of_recipe(
            runs, dataclasses.replace(recipe, conv=conv)
        )
        for conv in kinds
    }
    return {
        (told, order): [run["orders"][order] for run in made[conv]]
        for conv, told in kinds.items()
        for order in evaluation.ORDERS
    }


drawn = by_order(records.load_results("puppets-short"), Recipe())
rows = {f"{told}, {order}": scores for (told, order), scores in drawn.items()}
axis = plots.plot_scores(rows, "test accuracy, puppets")
limits = axis.set_xlim(-0.02, 1.02)


# %% tags=["remove-input", "nbval-check-output"]
def table(scores):
    rows = [
        (
            told,
            *(
                records.mean_and_range(scores[told, order])
                for order in evaluation.ORDERS
            ),
        )
        for told in dict.fromkeys(told for told, _ in scores)
    ]
    return (
        "Three seeds each; mean, worst and best:\n\n"
        + records.markdown_table(("network", *evaluation.ORDERS), rows)
    )


Markdown(table(drawn))

# %% [markdown]
# **Forwards.** Without time the network finds the right pair, but can't tell which of its two actions it is: one half. It can't do better, and not because it is too small or trained too briefly: it gives a clip and its reverse the same answer ([Load video](load_video.ipynb)), and at least one of the two is wrong. With time, nearly all are named rightly. (Those networks have
# more than twice as many weights, but by that argument no size would have helped the 2D one.)
#
# **Backwards.** The networks with time fall to nothing. Not to chance: to *nothing*. What do they say instead?

# %%
reverse = {a: b for pair in puppets.PAIRS for a, b in (pair, pair[::-1])}
for conv, model in models.items():
    batches = evaluation.reorder_dataset(test_ds, "backwards")
    actual, probabilities = evaluation.predict_probabilities(model, batches)
    said = [labels[number] for number in probabilities.argmax(axis=1)]
    other = np.mean([reverse.get(labels[a]) == b for a, b in zip(actual, said)])
    sure = probabilities.max(axis=1).mean()
    print(
        f"{conv:8} named as the reverse: {other:.2f}, mean confidence {sure:.2f}"
    )

# %% [markdown]
# On the puppets the networks with time name nearly every clip as the other action of its pair, and are sure of it. They aren't confused: they see what you would see.
#
# For the 2D network the answer is the same to the last clip, and must be: an average doesn't depend on the order of what is averaged.

# %% tags=["nbval-check-output"]
frames, _ = test_ds[0]
for order in ("backwards", "shuffled"):
    logits = [
        models["2d"].predict_on_batch(evaluation.reorder_frames(frames, o))
        for o in ("forwards", order)
    ]
    print(f"2D, logits equal when {order}: {np.allclose(*logits, atol=1e-4)}")

# %% [markdown]
# **Shuffled.** With the steps broken, the networks with time lose all that they had above the one without, and a little more. They have come to rely on movement, and meet movements now that they have never seen: arms that jump up and down.
#
# **One frame.** Nothing moves at all. Even the 2D network loses something, as ten frames show more poses than one. The networks with time lose more: a clip that stands still is something that they have never met.
#
# ## Ask the same of real clips
#
# On the puppets the question was rigged: we drew actions that only time can tell apart. Are there any among our ten classes of UCF101? The recorded networks, trained by the book's recipe on ten classes of people exercising, tell. A fourth is among them, *mixed*: 3D convolutions first, then 2D. **Predict** again: 2D against 3D, forwards and backwards.

# %% mystnb={"image": {"alt": "Test accuracies on real clips, a dot for each of three seeds: forwards and backwards all networks lie close together; shuffled, those with time fall and the 2D one stays."}}
recorded = records.load_results("ucf101-64")
real = by_order(recorded, RECIPES["book"], KINDS | {"mc3": "mixed"})
rows = {
    f"{told}, {order}": scores
    for (told, order), scores in real.items()
    if order != "one frame"
}
axis = plots.plot_scores(rows, "test accuracy, ten classes of UCF101")
limits = axis.set_xlim(-0.02, 1.02)

# %% tags=["remove-input", "nbval-check-output"]
about = records.runs_of_recipe(recorded, RECIPES["book"])[0]
Markdown(
    table(real)
    + f"\n\n({about['settings']['epochs']} epochs, 10 frames of {about['settings']['size']} pixels, split by group; {about['hardware']}. "
    "Commands: [Results](../book/results.md). *One frame* is chance here: the recipe subtracts a clip's mean picture, and of one frame nothing is left.)"
)

# %% [markdown]
# Three things, and each is easily overstated:
#
# - **Time buys little here, if anything.** Between the networks of (2+1)D and of 3D convolutions and the one without time these runs show no difference. The mixed one did some points better; that is a handful of clips, and the seeds of one network lie further apart. For these ten actions, a look at poses and at what has moved does nearly as well.
# - **The direction hardly matters.** A push-up played backwards is a push-up; so is a squat, or a jump. No network should care much, and the accuracies hardly change.
# - **Yet the networks with time use it.** Shuffled, they lose a good part of their accuracy, the mixed one less of it, and the 2D network nothing. They have come to rely on the order of frames, though the 2D network does without. *Uses* is not *needs*.
#
# Does the 2D network use no time at all? The book's recipe subtracts from each frame the mean of all frames, and that is a look at other times: a frame shows where something has moved to. It doesn't show the order, which is why shuffling changes nothing. What single pictures would do with the rooms left in,
# these runs don't say.
#
# So an accuracy on such clips is weak evidence that a network understands movement. Others went further and had people look at shuffled videos, to sort the classes that need time from those that don't ([Sevilla-Lara et al. 2021](https://arxiv.org/abs/1907.08340)). To test for time, take clips that need it, or take time away.
#
# ## Check yourself
#
# 1. A network scores the same forwards and backwards. Does it ignore time?
# 2. A network scores the same forwards and shuffled. Does it ignore time?
# 3. On the puppets, could a network without time reach more than one half if it were larger, or trained on more clips?
# 4. Why shuffle in the test only, and not train on shuffled clips as well?
#
# <details><summary>Answers</summary>
#
# 1. Not necessarily. It may see steps whose direction doesn't matter, as on the push-ups.
# 2. Probably the order, though two answers may have changed places; compare them clip by clip. It may still use that there are several frames.
# 3. No. It gives a clip and its reverse the same answer. (The puppets of the chapter before were of another kind: each action had rooms of its own, and those told.)
# 4. Both are worth knowing, and they are different questions. Shuffling in the test asks what this network uses; training on shuffled clips asks what can be done without order.
#
# </details>
#
# ## On your own
#
# - Train the 3D network on shuffled clips: call its `fit` for one epoch at a time, each on `evaluation.reorder_dataset(data["train"], "shuffled", seed=epoch)`. Where does it end on the puppets, and why must it?
# - Mirror the test clips instead. *WalkLeft* becomes *WalkRight*; which other classes change their names?
# - Leave out every second frame, or double the distance between frames. Who notices, and what does that say about the speed at which you may show clips to a trained network?
#
# Next: [See what it sees](see_what_it_sees.ipynb).
