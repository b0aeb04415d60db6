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
# # Improve the recipe: learning rate schedule, weight decay, label smoothing and an ablation
#
# **What you'll do:** turn the recipe of [TensorFlow's tutorial](https://www.tensorflow.org/tutorials/video/video_classification) into a better one that takes no longer, and see on real clips what it is worth.
#
# **What you'll learn**
#
# - what belongs to a training recipe;
# - how to remove the static background from a clip;
# - how a learning rate schedule, weight decay and label smoothing work;
# - how to use an ablation study to find out which ingredients help;
# - how to choose a recipe (its *hyperparameters*) on the validation clips, without looking at the test clips.
#
# **What you'll need:** the chapters [Build the model](build_model.ipynb) and [Train](train.ipynb). Nothing is trained here: this chapter reads the records of full runs on real clips, which takes seconds.

# %% tags=["hide-input"]
# Install the book's helpers and their dependencies if they are missing, as they are in Colab.
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

from helpers import archive, layers, plots, recipes, records, settings, training
from helpers import video

# %% [markdown]
# ## Compare two recipes on real clips
#
# The puppets have taught us what they can: the book's network classifies nearly all of them correctly. Real clips are harder. Here we use ten classes of UCF101 that show physical exercise, from body weight squats to wall push-ups. Each class has 30 training clips, 10 validation clips and 10 test clips, split by
# group. We compare two recipes on the same clips for the same number of epochs. As in *Train*, each line is the mean over the seeds, and the band extends from the worst seed to the best.

# %% mystnb={"image": {"alt": "Validation accuracy over fifty epochs on real clips, a line with a band for each of two recipes. The book's recipe ends well above the tutorial's."}}
recorded = records.load_results("ucf101-112")
runs = {
    f"the {name}'s recipe": records.runs_of_recipe(
        recorded, recipes.RECIPES[name]
    )
    for name in ("book", "tutorial")
}
axis = plots.plot_seeds(runs, "val_accuracy")
title = axis.set_title("Accuracy on the validation clips (UCF101, ten classes)")

# %% tags=["remove-input", "nbval-check-output"]
rows = []
for label, seeds in runs.items():
    validation, test = (
        records.mean_and_range(records.accuracies(seeds, split))
        for split in ("val", "test")
    )
    epoch = np.median([run["epoch_seconds"] for run in seeds])
    rows.append((label, validation, f"**{test}**", f"{epoch:.0f} s"))
size, hardware = seeds[0]["settings"]["size"], seeds[0]["hardware"]
header = ("recipe", "validation", "test", "time per epoch")
Markdown(
    f"{records.markdown_table(header, rows)}\n\nAccuracy after the last epoch, as mean "
    f"(worst to best) of {len(seeds)} seeds each; frames of {size} × {size} "
    "pixels; chance is 0.10. Each run had one core of a machine with "
    f"{hardware}, which it shared with others: the times are rough."
)

# %% [markdown]
# ## List the hyperparameters of a training recipe
#
# A [recipe](../book/glossary.md#recipe) is the network and everything that decides how it is trained. `helpers.recipes` holds three: `tutorial`, `book`, and `plain`, which you used in [Train](train.ipynb). These are the fields in which the first two differ (tutorial → book):

# %% tags=["nbval-check-output"]
theirs, ours = recipes.RECIPES["tutorial"], recipes.RECIPES["book"]
for field in dataclasses.fields(recipes.Recipe):
    pair = [getattr(recipe, field.name) for recipe in (theirs, ours)]
    if pair[0] != pair[1]:
        print(f"{field.name:16} {pair[0]!s:12} → {pair[1]}")

# %% [markdown]
# You know the first line from [Build the model](build_model.ipynb): the network now consists of the paper's blocks, with strides. Such a block has more parameters than the tutorial's block and needs less computation, because its strides leave fewer positions to compute. (More parameters don't necessarily mean more overfitting; their number alone says little about it.) We chose only ingredients that cost almost no time, so that no recipe wins by training longer.
#
# You know the last line, `augment`, from [Feed the GPU](feed_the_gpu.ipynb): data augmentation flips and crops the training clips and changes their colours at random, so that a network can't memorise them. Five lines remain. The learning rate and the cosine belong together, so there are four ideas to explain.
#
# ## Subtract the mean frame (background subtraction)
#
# People who do squats do them in front of something. A network may learn the wall instead of the squat. Knowing the wall pays off on the training clips, but not on others. So we remove it. `layers.SubtractMean` averages the frames of a clip, pixel by pixel, and subtracts this *mean frame* from each frame. It is the first layer of the network after rescaling, so it applies to every clip, in training and in testing.
#
# **Predict:** what is left of a clip?

# %% mystnb={"image": {"alt": "Two film strips of one clip. In the upper one a drawn person acts in a room. In the lower one the room is a uniform grey, and only what moves stands out, lighter or darker than grey."}}
run = settings.current()
folders = archive.fetch_clips(run)
file = sorted(folders["train"].glob("*/*.avi"))[0]
options = {"frame_step": run.frame_step, "start": "center"}
clip = video.frames_from_video_file(file, run.n_frames, (120, 160), **options)
moving = np.array(layers.SubtractMean()(clip[None].astype("float32")))[0]
strips = [clip, (128 + moving / 2).astype("uint8")]
titles = ["original", "mean subtracted (grey is zero)"]
figure = plots.plot_film_strip(strips, titles)

# %% [markdown]
# Pixels that don't change equal their mean, and vanish. Pixels that change stay visible: bright where a frame is brighter than the mean, dark where it is darker. All this costs is a mean and a subtraction; it adds no parameters.
#
# It has limits. If the camera moves, the wall comes back, edge by edge. The moving person also contributes to the mean, which leaves a faint ghost in all frames. And if a class is recognised by a static object (piano playing by the piano, for instance), that object disappears as well.
#
# ## Use a learning rate schedule: warm-up and cosine decay
#
# The tutorial keeps one learning rate from the first batch to the last. But training has phases. At first, the weights are random, the gradients are erratic, and large steps do damage. So we begin with small steps. Later, large steps make fast progress. Towards the end, large steps only make the weights jump back and forth around a minimum, so we let
# them shrink to zero. A [cosine schedule](../book/glossary.md#cosine-schedule) with *warm-up* does this. You have already used one in [Train](train.ipynb).

# %% mystnb={"image": {"alt": "The learning rate against the training step. The tutorial's is a low constant line. The book's rises to twenty times that in the first tenth, then falls to zero along half a cosine wave."}}
steps = 50 * 38  # epochs × batches per epoch
schedule = recipes.learning_rate_schedule(ours, steps)
rates = np.array([float(schedule(step)) for step in range(steps)])
plots.use_style()
figure, axis = plt.subplots(figsize=(9, 2.6))
axis.plot(rates, label="the book's recipe")
constant = np.full(steps, theirs.learning_rate)
axis.plot(constant, label="the tutorial's recipe")
axis.set(xlabel="step", ylabel="learning rate", ylim=(0, None))
legend = axis.legend()

# %% [markdown]
# There is a second reason to let the rate fall. The model that we test is the last one. With large steps, where the last step lands is a matter of luck. (You could instead take the epoch with the best validation accuracy, which the book saves as `best.keras`. But that choice also involves luck, as you will see below.) In the first figure, the curve of the book's recipe sometimes drops for an epoch early on. The probable cause is batch normalisation: its running averages lag behind weights that change fast. The drops stop as the learning rate falls.
#
# ## Shrink the weights with weight decay
#
# [Weight decay](../book/glossary.md#weight-decay) shrinks the weights of every filter a little in every step: it multiplies each of them by $1 - \eta\lambda$, where $\eta$ is the learning rate and $\lambda$ the weight decay. Adam with weight decay is called *AdamW*. The gradient restores the weights that the clips need; weights that are large only by chance fade. (Biases and
# the scales of normalisation layers are excluded. If a normalisation follows a convolution, shrinking the weights doesn't change the output, because the normalisation scales it up again. But a step of the same length changes small weights more, relative to their size. In such layers, weight decay therefore acts like a larger learning rate.)
#
# **Predict:** by how much does a weight shrink over the complete training if no gradient ever changes it? Use the learning rates in the plot above.

# %% tags=["nbval-check-output"]
left = np.prod(1 - rates * ours.weight_decay)
print(f"a weight of 1 ends at {left:.2f}")

# %% [markdown]
# Not much, over so few steps! A paper may train for a hundred times as many steps, and then this amount of decay is strong. Here it is weak. Do this calculation before you believe in weight decay.
#
# ## Penalise overconfidence with label smoothing
#
# Cross-entropy compares the predicted probabilities $p_k$ with target probabilities $q_k$, which are 1 for the true class and 0 for the others: the loss is $-\sum_k q_k \ln p_k$. This loss is never satisfied. A clip that is classified correctly with a probability of 99 in 100 still pulls at the weights to raise the probability to 999 in 1000. A network that sees the same clips fifty times becomes overconfident in this way. [Label smoothing](../book/glossary.md#label-smoothing) takes a tenth of
# the target 1 and spreads it evenly over all classes. With ten classes, the target is a little over nine tenths for the true class and a hundredth for each of the others. The plot shows the loss of a clip over the predicted probability of its true class; the other classes share the rest equally:

# %% mystnb={"image": {"alt": "Loss against the predicted probability of the true class, from a half to one. The plain loss falls all the way to zero. The smoothed loss has its minimum a little above nine tenths and rises steeply towards one."}}
predicted = np.linspace(0.5, 0.9999, 500)
others = np.repeat((1 - predicted)[:, None] / 9, 9, axis=1)
logits = np.log(np.column_stack([predicted, others])).astype("float32")
figure, axis = plt.subplots(figsize=(9, 2.6))
for amount in (0.0, ours.label_smoothing):
    loss = recipes.SmoothedCrossentropy(amount)
    losses = np.array(loss.call(np.zeros(len(predicted), int), logits))
    axis.plot(predicted, losses, label=f"label smoothing {amount}")
axis.set(xlabel="predicted probability of the true class", ylabel="loss")
legend = axis.legend()

# %% tags=["nbval-check-output"]
print(f"minimum of the smoothed loss at {predicted[losses.argmin()]:.2f}")

# %% [markdown]
# Beyond that probability, the loss rises again. Correct predictions stay correct; only the overconfidence is gone. (The smoothed loss can't fall to zero. So compare the accuracies of two recipes, not their losses.)
#
# ## Run an ablation: remove one ingredient at a time
#
# Which ingredient helped? An [ablation](../book/glossary.md#ablation) answers this: train again without one ingredient, keep everything else, and measure how much accuracy is lost. This takes many runs, so the runs below are shorter and use smaller frames. They are evaluated on the validation clips, because we may still want to choose.
#
# **Predict:** rank these ingredients by importance: the cosine schedule, weight decay, label smoothing, subtracting the mean, and augmentation.

# %% mystnb={"image": {"alt": "A row of dots for each recipe, one dot per seed, and a vertical bar at their mean: the complete recipe, and the recipe without each of its five ingredients. The rows without the subtracted mean and without augmentation lie far to the left; the others lie together."}}
small = records.load_results("ucf101-64")
variants = {"complete recipe": ours}
for name, off in training.INGREDIENTS.items():
    variants[f"without {name}"] = dataclasses.replace(ours, **{name: off})
runs = {
    label: records.runs_of_recipe(small, recipe)
    for label, recipe in variants.items()
}
scores = {
    label: records.accuracies(seeds, "val") for label, seeds in runs.items()
}
axis = plots.plot_scores(scores, "validation accuracy after the last epoch")

# %% tags=["remove-input", "nbval-check-output"]
rows = []
for label, seeds in runs.items():
    train, validation = (
        records.mean_and_range(records.accuracies(seeds, split))
        for split in ("train", "val")
    )
    last = [run["history"]["val_accuracy"][-11:] for run in seeds]
    jumps = np.abs(np.diff(last)).mean()
    rows.append((label, train, validation, f"{jumps:.3f}"))
size, epochs = (seeds[0]["settings"][name] for name in ("size", "epochs"))
header = ("recipe", "training", "validation", "jumps")
Markdown(
    f"{records.markdown_table(header, rows)}\n\nAccuracy after {epochs} epochs, as "
    f"mean (worst to best) of {len(seeds)} seeds; frames of {size} × {size} pixels. "
    "There are 100 validation clips, so one clip counts 0.01. *Jumps* is the "
    "mean absolute change of the validation accuracy from one epoch to the next, over "
    "the last ten epochs."
)

# %% [markdown]
# Two ingredients carry the recipe. Without augmentation, the network classifies every training clip correctly, but far fewer validation clips. Without mean subtraction, the accuracy drops as well, probably because the network learns walls. We haven't checked that.
#
# And the other three? Without them, the accuracy is about the same, in two cases even a few clips higher. Three seeds are too few to say whether any of them helps. The effect of the cosine schedule shows in the *jumps* column of the table: without it, the accuracy jumps up and down until the end, and the result depends on the epoch at which you happen to stop. We expected weight decay to be weak, and no gain is visible. Judging by this table, a shorter recipe would do as well. We keep the complete recipe for another reason: the runs at the top of this chapter were made with it, and we have looked at their test clips. If we changed the recipe now, we would do so with the
# answers in sight.
#
# Two differences between the recipes remain: the network and the size of the learning rate. We haven't tested them separately on real clips. On the puppets we have, in [Train](train.ipynb), and the network made the difference. An ablation also has a blind spot: if two ingredients do the same job, removing one costs nothing, because the other still does it.
#
# ## Tune hyperparameters on the validation set, use the test set once
#
# How did we find this recipe? We tried each ingredient on and off, stronger and weaker, in several dozen runs. Each was evaluated on the validation clips; we didn't look at the test clips until the recipe was fixed. Why such a fuss?
#
# **Predict:** forty students guess. Each student labels 100 clips by rolling a ten-sided die. There are ten classes, so each can expect ten correct answers. What does the best student score?

# %% tags=["nbval-check-output"]
rng = np.random.default_rng(0)
scores = rng.binomial(100, 0.1, size=(1000, 40)) / 100
print(f"best of forty, on average: {scores.max(axis=1).mean():.2f}")
again = rng.binomial(100, 0.1, size=1000) / 100
print(f"the same student, on new clips: {again.mean():.2f}")

# %% [markdown]
# The best of many is partly good and partly lucky, and the luck doesn't carry over to new clips. The book's recipe was chosen on the validation clips, and this may be one reason why its validation accuracy in the first table is higher than its test accuracy. (The test clips may also be harder.) Only the test clips show how good the recipe is.
#
# On the command line, `--no-test` keeps the command from evaluating the test clips while you are still choosing. When you have chosen, run the same command without `--no-test`: it evaluates the trained network on the test clips and doesn't train again.
#
# ```shell
# export BOOK_DATASET=ucf101 BOOK_RUN=full
# python -m helpers.training --recipe book --size 112 \
#     --without label_smoothing --no-test \
#     --split book/results/ucf101_10classes.csv
# ```
#
# `--without` removes one or more ingredients. The page [Results](../book/results.md) lists the commands that produced the recorded runs.
#
# ## Check yourself
#
# 1. A change lowers the accuracy on the training clips and raises it on the validation clips. Do you keep it?
# 2. Without some ingredient, the mean accuracy of three seeds falls by one percentage point, while the seeds themselves differ by six. What can you conclude?
# 3. The mean is subtracted from validation clips, too. Why do we augment only the training clips?
#
# <details><summary>Answers</summary>
#
# 1. Yes. The network memorises less and generalises better.
# 2. Nothing yet. Train with more seeds, or drop the ingredient: as long as nothing speaks for it, the simpler recipe is better.
# 3. Subtracting the mean is part of the network and always gives the same result. Augmentation is random, and its purpose is to vary the training clips; a score should not depend on chance.
#
# </details>
#
# ## On your own
#
# - Subtract the mean in the tutorial's network: `dataclasses.replace(recipes.RECIPES["tutorial"], subtract_mean=True)` creates the recipe, and `training.train(run, recipe, test=False)` (`helpers.training`) trains the network with it. On which clips would you expect it to help?
# - The mean is one estimate of the static background. Think of another (the first frame? the median?), write it as a layer, and see what it leaves of a clip.
#
# Next: [Evaluate](evaluate.ipynb).
