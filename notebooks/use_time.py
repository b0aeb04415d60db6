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
# # Ask whether it uses time: shuffled and reversed frames, 2D against (2+1)D and 3D
#
# **What you'll do:** train one network with and without time, play the test clips backwards, shuffle and freeze them, and find out what each network's predictions are based on.
#
# **What you'll learn**
#
# - how to test a claim about *what* a network uses, which an accuracy alone can't show;
# - how to distinguish three things that are all called "time": the direction, the order, and seeing more than one frame;
# - how to see what a data set requires: for some, time is everything; for others, it is hardly needed.
#
# **What you'll need:** the chapters [Count parameters](count_parameters.ipynb) and [Evaluate](evaluate.ipynb). Besides the network of the chapter [Train](train.ipynb), this chapter trains two more, which takes about two minutes on two CPU cores.

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
# ## Reorder the frames of a clip
#
# People say that a video network sees *movement*. To find out, remove the movement and see what is left of the accuracy. `evaluation.reorder_frames` shows a clip to a network in four ways:

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
# Here are the same four as frame numbers:

# %% tags=["nbval-check-output"]
numbers = np.arange(run.n_frames).reshape(1, -1, 1, 1, 1)
for order in evaluation.ORDERS:
    print(f"{order:10}", evaluation.reorder_frames(numbers, order).ravel())

# %% [markdown]
# - *backwards* keeps every step from one frame to the next and reverses the direction;
# - *shuffled* keeps every frame and breaks the steps, differently in each clip;
# - *one frame* keeps a single frame.
#
# ## Compare 2D, (2+1)D and 3D on the puppets
#
# The three networks are one: the book's small residual network. Only its convolutions differ (2D, (2+1)D or 3D), and with them the number of weights ([Build the model](build_model.ipynb)). With 2D convolutions it processes each frame on its own and averages over all of them at the end. It still sees ten frames, but it can't know which came first.
#
# **Predict**, before you run anything. On the puppets, whose ten actions are five actions and their reverses:
#
# 1. What accuracy does each of the three reach on the test clips, split by group?
# 2. What happens to each accuracy if the clips are shown backwards?
# 3. And if they are shuffled?

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
        pair = evaluation.get_actual_predicted_labels(model, batches)
        rows[-1].append(f"{np.mean(np.equal(*pair)):.2f}")
header = ("test accuracy, one seed", *evaluation.ORDERS)
Markdown(records.markdown_table(header, rows))

# %% [markdown]
# Here are recorded runs on the puppets, three seeds for each network:

# %% mystnb={"image": {"alt": "Test accuracies on the puppets, with a dot for each of three seeds. 2D lies at one half for every order that contains all frames; (2+1)D and 3D lie near one forwards, near zero backwards, and in between when shuffled."}}
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
# **Forwards.** Without time, the network finds the right pair, but can't tell which of its two actions it sees: one half. It can't do better, and not because it is too small or was trained too briefly. It gives a clip and its reverse the same answer ([Load video](load_video.ipynb)), and at least one of the two is wrong. With time, nearly all predictions are correct. (Those networks have
# more than twice as many weights, but by that argument no size would have helped the 2D network.)
#
# **Backwards.** The accuracy of the networks with time falls to nothing. Not to chance: to *nothing*. What do they predict instead?

# %%
reverse = {a: b for pair in puppets.PAIRS for a, b in (pair, pair[::-1])}
for conv, model in models.items():
    batches = evaluation.reorder_dataset(test_ds, "backwards")
    actual, probabilities = evaluation.predict_probabilities(model, batches)
    predicted = [labels[number] for number in probabilities.argmax(axis=1)]
    pairs = zip(actual, predicted)
    share = np.mean([reverse.get(labels[a]) == b for a, b in pairs])
    confidence = probabilities.max(axis=1).mean()
    print(f"{conv:8} predicted as the reverse: {share:.2f}, ", end="")
    print(f"mean confidence {confidence:.2f}")

# %% [markdown]
# On the puppets, the networks with time predict the other action of the pair for nearly every clip, and they are confident. They aren't confused: they see what you would see.
#
# For the 2D network, the answer is the same for every single clip, and must be: an average doesn't depend on the order of its terms.

# %% tags=["nbval-check-output"]
frames, _ = test_ds[0]
for order in ("backwards", "shuffled"):
    logits = [
        models["2d"].predict_on_batch(evaluation.reorder_frames(frames, o))
        for o in ("forwards", order)
    ]
    print(f"2D, logits equal if {order}: {np.allclose(*logits, atol=1e-4)}")

# %% [markdown]
# **Shuffled.** With the steps broken, the networks with time lose all of their advantage over the network without, and a little more. They rely on movement, and now they meet movements that they have never seen: arms that jump up and down.
#
# **One frame.** Nothing moves at all. Even the 2D network loses something, because ten frames show more poses than one. The networks with time lose more: they have never met a clip that doesn't move.
#
# ## Repeat the test on real clips
#
# On the puppets, the question was rigged: we drew actions that only time can tell apart. Do our ten classes of UCF101 contain such actions? The recorded networks, trained with the book's recipe on ten classes of people exercising, give the answer. There is a fourth among them, *mixed*: 3D convolutions first, then 2D. **Predict** again: 2D against 3D, forwards and backwards.

# %% mystnb={"image": {"alt": "Test accuracies on real clips, with a dot for each of three seeds. Forwards and backwards, all networks lie close together; shuffled, those with time fall and the 2D network stays."}}
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
# Three findings, each easily overstated:
#
# - **Time helps little here, if at all.** These runs show no difference between the (2+1)D and 3D networks and the one without time. The mixed network scored some points higher. That is a handful of clips, and the seeds of one network differ by more. For these ten actions, poses and the places where something has moved are nearly sufficient.
# - **The direction hardly matters.** A push-up played backwards is a push-up; so is a squat, or a jump. No network should depend on it much, and the accuracies hardly change.
# - **Yet the networks with time use it.** Shuffled, they lose a good part of their accuracy, the mixed network loses less, and the 2D network loses nothing. They rely on the order of frames, although the 2D network does without it. *Using* is not *needing*.
#
# Does the 2D network use no time at all? The book's recipe subtracts the mean of all frames from each frame, and that uses other times: a frame then shows where something has moved to. It doesn't show the order, which is why shuffling changes nothing. These runs don't show what single frames would achieve with the rooms left in.
#
# So an accuracy on such clips is weak evidence that a network understands movement. Others went further: they had people watch shuffled videos, and so sorted the classes that need time from those that don't ([Sevilla-Lara et al. 2021](https://arxiv.org/abs/1907.08340)). To test whether a network uses time, take clips that need it, or take time away.
#
# ## Check yourself
#
# 1. A network scores the same forwards and backwards. Does it ignore time?
# 2. A network scores the same forwards and shuffled. Does it ignore time?
# 3. On the puppets, could a network without time reach more than one half if it were larger, or trained on more clips?
# 4. Why do we shuffle only the test clips, and don't train on shuffled clips as well?
#
# <details><summary>Answers</summary>
#
# 1. Not necessarily. It may use steps whose direction doesn't matter, as in the push-ups.
# 2. It probably ignores the order, though mistakes may have moved from some clips to others; compare clip by clip. It may still use the fact that there are several frames.
# 3. No. It gives a clip and its reverse the same answer. (The puppets of the previous chapter were different: each action had rooms of its own, and those gave it away.)
# 4. Both are worth knowing, and they are different questions. Shuffling in the test asks what this network uses; training on shuffled clips asks what can be achieved without order.
#
# </details>
#
# ## On your own
#
# - Train the 3D network on shuffled clips: call its `fit` for one epoch at a time, each on `evaluation.reorder_dataset(data["train"], "shuffled", seed=epoch)`. Which accuracy does it end with on the puppets, and why must it?
# - Flip the test clips horizontally instead. *WalkLeft* becomes *WalkRight*; which other classes change their names?
# - Remove every second frame, or double the frame step. Which network's accuracy changes, and what does that mean for the speed at which you may show clips to a trained network?
#
# Next: [See what it sees](see_what_it_sees.ipynb).
