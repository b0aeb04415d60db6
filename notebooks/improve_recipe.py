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
# # Improve the recipe
#
# **What you'll do:** turn the recipe of [TensorFlow's tutorial](https://www.tensorflow.org/tutorials/video/video_classification) into a better one that takes no longer, and see on real clips what it is worth.
#
# **What you'll learn**
#
# - to see which choices a recipe consists of;
# - to take from a clip what doesn't move;
# - to let a learning rate rise and fall, weights shrink, and certainty cost something;
# - to find out which ingredient did what;
# - to choose a recipe without looking at the test clips.
#
# **What you'll need:** the chapters [Build the model](build_model.ipynb) and [Train](train.ipynb). Nothing is trained here: full runs on real clips have been recorded, and this chapter reads the records. It takes seconds.

# %% tags=["hide-input"]
# Where the book's helpers are missing, as in Colab, fetch them and what they need.
try:
    import helpers.archive
except ModuleNotFoundError:
    # %pip install --quiet git+https://github.com/video-classification-book/video-classification-book
    import helpers.archive

# %%
import dataclasses

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown

from helpers import (
    archive,
    layers,
    plots,
    recipes,
    records,
    settings,
    training,
    video,
)

# %% [markdown]
# ## See where we are going
#
# The puppets have taught us what they can: the book's network gets nearly all of them right. Real clips are another matter. These are ten classes of UCF101 in which people exercise, from body weight squats to wall pushups, 30 clips of each for training, 10 for validation and 10 for test, split by
# group. Two recipes, the same clips, the same number of epochs. A line is the mean of the seeds, a band reaches from the worst to the best of them.

# %% mystnb={"image": {"alt": "Validation accuracy over fifty epochs on real clips, a line with a band for each of two recipes. The book's recipe ends well above the tutorial's."}}
recorded = records.load_results("ucf101-112")
runs = {
    "the book's recipe": records.runs_of_recipe(
        recorded, recipes.RECIPES["book"]
    ),
    "the tutorial's recipe": records.runs_of_recipe(
        recorded, recipes.RECIPES["tutorial"]
    ),
}
axis = plots.plot_seeds(runs, "val_accuracy")
title = axis.set_title("Accuracy on the validation clips (UCF101, ten classes)")

# %% tags=["remove-input", "nbval-check-output"]
rows = []
for label, made in runs.items():
    validation, test = (
        records.mean_and_range(records.accuracies(made, split))
        for split in ("val", "test")
    )
    epoch = np.median([run["epoch_seconds"] for run in made])
    rows.append((label, validation, f"**{test}**", f"{epoch:.0f} s"))
size, hardware = made[0]["settings"]["size"], made[0]["hardware"]
Markdown(
    records.markdown_table(
        ("accuracy", "validation", "test", "an epoch takes"), rows
    )
    + f"\n\nAt the end, mean, worst and best of {len(made)} seeds each; frames of {size} × {size} pixels; chance is 0.10. "
    f"Each run had one core of a machine with {hardware}, shared with others: take the times as rough."
)

# %% [markdown]
# ## Read a recipe
#
# A [recipe](../book/glossary.md#recipe) is the network and everything that decides how it is trained. `helpers.recipes` holds three: `tutorial`, `book`, and `plain`, which is what you fitted in the chapter Train. This is where the first two differ:

# %% tags=["nbval-check-output"]
theirs, ours = recipes.RECIPES["tutorial"], recipes.RECIPES["book"]
for field in dataclasses.fields(recipes.Recipe):
    pair = [getattr(recipe, field.name) for recipe in (theirs, ours)]
    if pair[0] != pair[1]:
        print(f"{field.name:16} {pair[0]!s:12} → {pair[1]}")

# %% [markdown]
# The first line you know from [Build the model](build_model.ipynb): the paper's block, strided. It has more weights than the tutorial's and less to compute, for its strides leave fewer places to do it at. (More weights needn't mean more learning by heart; their number alone decides little.) Everything else must be cheap, so that no recipe wins by taking longer.
#
# The last line is taught in [Feed the GPU](feed_the_gpu.ipynb): training clips are mirrored, cut and coloured at random, so that a network can't learn them by heart. That leaves five lines, and four ideas: the first two belong together.
#
# ## Subtract what stands still
#
# Whoever does squats does them in front of something. A network may learn the wall instead of the squat: on the training clips that pays, on others it doesn't. So take it away. `layers.SubtractMean` computes the mean of a clip's frames and subtracts it from each of them.
#
# **Predict:** what is left of a clip?

# %% mystnb={"image": {"alt": "Two film strips of one clip. In the upper one a drawn figure acts in a room. In the lower one the room is an even grey, and only what moves stands out, lighter or darker than grey."}}
run = settings.current()
folders = archive.fetch_clips(run)
file = sorted(folders["train"].glob("*/*.avi"))[0]
reading = {
    "output_size": (120, 160),
    "frame_step": run.frame_step,
    "start": "center",
}
clip = video.frames_from_video_file(file, run.n_frames, **reading)
moving = np.array(layers.SubtractMean()(clip[None].astype("float32")))[0]
strips = [clip, (128 + moving / 2).astype("uint8")]
figure = plots.plot_film_strip(
    strips, ["as it is", "its mean subtracted; grey is zero"]
)

# %% [markdown]
# What stands still is the same in all frames, so it equals its mean and vanishes. What moves stays: bright where a frame is brighter than usual, dark where it is darker. It costs one subtraction, and no weight has to be learnt for it.
#
# It has its limits. A camera that moves brings the wall back, edge by edge. The mover, too, leaves something in the mean: a faint ghost in all frames. And a class that is told by a thing that stands still, as a pianist is by the piano, would lose what tells it.
#
# ## Let the learning rate rise and fall
#
# The tutorial keeps one learning rate from the first batch to the last. But training has phases. At first nothing fits, the gradients are wild, and large steps on them do damage: so begin small. Then large steps get far. At the end they only jump to and fro about the minimum: so let
# them shrink to nothing. A *warm-up* and a [cosine](../book/glossary.md#cosine-schedule) do that, as they did in the chapter Train.

# %% mystnb={"image": {"alt": "The learning rate over the steps of a training. The tutorial's is a low flat line. The book's rises fast to twenty times that in the first tenth, then falls along half a wave of a cosine to zero."}}
steps = 50 * 38  # epochs, batches an epoch
schedule = recipes.learning_rate_schedule(ours, steps)
rates = np.array([float(schedule(step)) for step in range(steps)])
plots.use_style()
figure, axis = plt.subplots(figsize=(9, 2.6))
axis.plot(rates, label="the book's recipe")
axis.axhline(
    theirs.learning_rate, color=plots.ORANGE, ls="--", label="the tutorial's"
)
axis.set(xlabel="step", ylabel="learning rate", ylim=(0, None))
legend = axis.legend()

# %% [markdown]
# There is a second reason to let it fall. The last model is the one that is tested, and with steps of full size it is a matter of luck where the last of them ended. (To take the epoch that did best on the validation clips instead, `best.keras`, is to choose by luck as well, as you will see below.) And where the book's curve drops for an epoch, early on, batch normalisation is probably to blame: its running averages lag behind weights that change fast. That ends as the rate falls.
#
# ## Let weights shrink
#
# [Weight decay](../book/glossary.md#weight-decay) takes a little off every kernel in every step: a weight is multiplied by one minus *rate* × *decay*. What the clips need is put back by the gradient; what only chance has made large fades. (Biases and
# the scales of normalisation are spared. Before a normalisation a smaller kernel computes the same, for what comes out is scaled up again; but a step of the same length changes a small kernel more, so there the decay works like a larger rate.)
#
# **Predict:** by how much does a weight shrink over the whole training, if no gradient ever touches it? The rates are those of the plot.

# %% tags=["nbval-check-output"]
left = np.prod(1 - rates * ours.weight_decay)
print(f"a weight of 1 ends at {left:.2f}")

# %% [markdown]
# Not much, over so few steps! What is a strong medicine in a paper, where a training takes a hundred times as many steps, is a weak one here. It is worth working that out before believing in it.
#
# ## Make certainty cost something
#
# Cross-entropy compares the probabilities that a network gives with wanted ones, 1 for the true class and 0 for the others: the loss is −Σ *wanted* · log *given*. It is never content. A clip that is named rightly with a probability of 99 in 100 still pulls at the weights, to make it 999 in 1000. On clips seen fifty times that is how a network learns to be sure of itself. [Label smoothing](../book/glossary.md#label-smoothing) takes a tenth of
# the wanted 1 and spreads it over all classes alike. With ten classes it wants a little over nine tenths for the true one, and a hundredth for each of the others. Here is the loss of a clip, by the probability that the network gives its class (the others sharing the rest):

# %% mystnb={"image": {"alt": "Loss over the probability given to the true class, from a half to one. The plain loss falls all the way to zero. The smoothed loss has its minimum a little above nine tenths and rises steeply towards one."}}
given = np.linspace(0.5, 0.9999, 500)
others = np.repeat((1 - given)[:, None] / 9, 9, axis=1)
logits = np.log(np.column_stack([given, others])).astype("float32")
figure, axis = plt.subplots(figsize=(9, 2.6))
for amount in (0.0, ours.label_smoothing):
    loss = recipes.SmoothedCrossentropy(amount)
    losses = np.array(loss.call(np.zeros(len(given), int), logits))
    axis.plot(given, losses, label=f"label smoothing {amount}")
axis.set(xlabel="probability given to the true class", ylabel="loss")
legend = axis.legend()

# %% tags=["nbval-check-output"]
print(f"the smoothed loss is least at {given[losses.argmin()]:.2f}")

# %% [markdown]
# Above that, being surer costs. The right answers stay the right ones; only the boast is gone. (So don't compare the losses of two recipes: the smoothed one can't fall to zero. Accuracies can be compared.)
#
# ## Take out one ingredient at a time
#
# Which of them did it? An [ablation](../book/glossary.md#ablation) asks: train again without one of them, all else alike, and see what is lost. That takes many runs, so these are shorter, of smaller frames, and judged on the validation clips.
#
# **Predict:** the cosine, weight decay, label smoothing, the subtracted mean, augmentation: put them in order, the most important first.

# %% mystnb={"image": {"alt": "A row of dots for each recipe, one dot a seed, and a line at their mean: the whole recipe, and the recipe without each of its five ingredients. The rows without the subtracted mean and without augmentation lie far to the left; the others lie together."}}
small = records.load_results("ucf101-64")
variants = {"the whole recipe": ours}
for name, off in training.INGREDIENTS.items():
    variants[f"without {name}"] = dataclasses.replace(ours, **{name: off})
runs = {
    label: records.runs_of_recipe(small, recipe)
    for label, recipe in variants.items()
}
scores = {
    label: records.accuracies(made, "val") for label, made in runs.items()
}
axis = plots.plot_scores(scores, "accuracy on the validation clips at the end")

# %% tags=["remove-input", "nbval-check-output"]
rows = []
for label, made in runs.items():
    train, validation = (
        records.mean_and_range(records.accuracies(made, split))
        for split in ("train", "val")
    )
    jumps = np.abs(
        np.diff([run["history"]["val_accuracy"][-11:] for run in made])
    ).mean()
    rows.append((label, train, validation, f"{jumps:.3f}"))
size, epochs = (made[0]["settings"][name] for name in ("size", "epochs"))
Markdown(
    records.markdown_table(
        ("accuracy", "training", "validation", "its jumps"), rows
    )
    + f"\n\nAt the end of {epochs} epochs, mean, worst and best of {len(made)} seeds; frames of {size} × {size} pixels. "
    "There are 100 validation clips, so one of them is a hundredth. The jumps are the mean change of the validation accuracy from one epoch to the next, over the last ten."
)

# %% [markdown]
# Two of them carry the recipe. Without augmentation the network gets every training clip right and few of the others. Without subtracting the mean it falls behind as well; by learning walls, probably, though nobody has looked.
#
# And the other three? Their rows lie beside that of the whole recipe, some of them even a few clips further right. Whoever reads from so few dots that one of them helps, or harms, reads too much. The cosine shows in the last column: without it the score jumps up and down to the end, and what you get depends on the epoch in which you
# stop. Weight decay was to be weak, and no gain from it is to be seen. So by this table a shorter recipe would do. It stays as it is for another reason: the runs at the top were made with it, and their test clips have been looked at. Whoever changes the recipe now does it with the
# answers in sight.
#
# Two differences between the recipes are left, the network and the size of the rate. On real clips they haven't been tried one by one; on the puppets they were, in the chapter [Train](train.ipynb), and there it was the network that counted. And an ablation has its blind spot: where two ingredients do the same job, taking out one of them costs nothing, since the other still does it.
#
# ## Choose on the validation clips, look at the test clips once
#
# How was this recipe found? By trying: each ingredient on and off, in more and less, several dozen trainings in all. Each was judged on the validation clips, and the test clips were left alone until the recipe stood. Why such a fuss?
#
# **Predict:** forty students guess. Each names the classes of 100 clips by throwing dice, ten classes, so each can expect to get ten right. What does the best of them score?

# %% tags=["nbval-check-output"]
rng = np.random.default_rng(0)
scores = rng.binomial(100, 0.1, size=(1000, 40)) / 100
print(f"the best of forty, on average: {scores.max(axis=1).mean():.2f}")
again = rng.binomial(100, 0.1, size=1000) / 100
print(f"the same student on new clips: {again.mean():.2f}")

# %% [markdown]
# The best of many is good, and also lucky, and luck doesn't come along to new clips. That may be one reason why the book's recipe, chosen on the validation clips, does better on them than on the test clips in the table at the top. (The test clips may also be harder.) Only the test clips tell what it is worth.
#
# In a shell, `--no-test` keeps your hands off them while you choose. When you have chosen, the same command without it tests the network, and doesn't train it again.
#
# ```shell
# BOOK_DATASET=ucf101 BOOK_RUN=full python -m helpers.training --recipe book --size 112 --without label_smoothing --no-test \
#     --split book/results/ucf101_10classes.csv
# ```
#
# `--without` leaves out one ingredient or several. The page [Results](../book/results.md) says which commands made the records.
#
# ## Check yourself
#
# 1. A change lowers the accuracy on the training clips and raises it on the validation clips. Do you keep it?
# 2. Without an ingredient, three seeds score one point less on average, and they lie six points apart. What do you know?
# 3. The mean is subtracted from validation clips, too. Why is augmentation kept to the training clips?
#
# <details><summary>Answers</summary>
#
# 1. Yes. It has less by heart and knows more.
# 2. Nothing yet. Train more seeds, or leave the ingredient out because a simpler recipe is the better one.
# 3. Subtracting the mean is a part of the network, and always gives the same. Augmentation is chance, made to vary what is learnt from; a score should not hang on it.
#
# </details>
#
# ## On your own
#
# - Subtract the mean in the tutorial's network: `dataclasses.replace(recipes.RECIPES["tutorial"], subtract_mean=True)` is a recipe, and `training.train(run, recipe, test=False)`, of `helpers.training`, trains it. On which clips would you expect it to help?
# - The mean is one picture of what stands still. Think of another (the first frame? the median?), write it as a layer, and see what it leaves of a clip.
#
# Next: [Evaluate](evaluate.ipynb).
