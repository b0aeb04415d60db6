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
# # Train: fit a video classifier and read its learning curves
#
# **What you'll do:** train a network to recognise actions (the puppets have ten, five of which are the others played backwards), and watch it learn.
#
# **What you'll learn**
#
# - how to predict the loss of an untrained network, and so notice a broken model at once;
# - how to read learning curves and recognise overfitting;
# - what the paper's block is worth;
# - how to start a full-length run on your machine or on a GPU, and how to resume it after an interruption.
#
# **What you'll need:** the chapters [Load video](load_video.ipynb) and [Build the model](build_model.ipynb). On two CPU cores, the short run below takes a minute or two.

# %% tags=["hide-input"]
# Install the book's helpers and their dependencies if they are missing, as they are in Colab.
try:
    import helpers.archive
except ModuleNotFoundError:
    # %pip install --quiet git+https://github.com/video-classification-book/video-classification-book
    import helpers.archive

# %%
import time

import keras
import numpy as np
from IPython.display import Markdown

from helpers import archive, models, plots, recipes, records, settings, training

# %% [markdown]
# ## See what the paper's block is worth
#
# We compare two networks with the same widths, on the same puppets, with the same optimiser. One is the network of [TensorFlow's tutorial](https://www.tensorflow.org/tutorials/video/video_classification); the other consists of the paper's blocks. Each line is the mean of several runs that differ only in their
# [seed](../book/glossary.md#seed); the band extends from the worst run to the best.

# %% mystnb={"image": {"alt": "Training accuracy over epochs on the puppets. The network made of the paper's blocks rises to nearly one within a few epochs. The tutorial's network rises late and slowly, with either learning rate."}}
recorded = records.select_runs(
    records.load_results("puppets-short"), conv="2plus1d"
)
theirs = records.select_runs(recorded, network="tutorial")
same_rate = records.select_runs(theirs, learning_rate=1e-3)
own_rate = records.select_runs(theirs, learning_rate=1e-4)
runs = {
    "paper's block": records.select_runs(recorded, network="small_resnet"),
    "tutorial's block, same learning rate": same_rate,
    "tutorial's block, tutorial's learning rate": own_rate,
}
axis = plots.plot_seeds(runs)
title = axis.set_title("Accuracy on the training set (puppets)")


# %% tags=["remove-input", "nbval-check-output"]
def describe(seeds):
    scores = records.mean_and_range(records.accuracies(seeds, "test"))
    epochs = seeds[0]["settings"]["epochs"]
    return f"{scores} after {epochs} epochs, {len(seeds)} seeds"


lines = [f"- {label}: {describe(seeds)}" for label, seeds in runs.items()]
Markdown(
    "Accuracy on the test clips, split by group, as mean (worst to best); "
    "chance is 0.10:\n\n" + "\n".join(lines) + "\n\nRecorded on a machine "
    f"with {recorded[0]['hardware']}; the page [Results](../book/results.md) "
    "has times and commands."
)

# %% [markdown]
# Both networks were trained on the same clips. The tutorial's network got twice as many epochs and is still far behind, with either training method. The
# parts look similar; see [Build the model](build_model.ipynb) for the table of differences. Normalisation and a ReLU between space and time, $M$ filters, a ReLU after the addition, and strides together
# decide how fast a network learns. These runs don't show which of them matters most. That a few lines in a paper make such a difference is the best argument for reading it closely.
#
# Now train a network yourself.
#
# ## Prepare the data and the network

# %%
run = settings.current()
folders = archive.fetch_clips(run)
data = training.load_splits(folders, run, seed=run.seed)
train_ds, val_ds, test_ds = data["train"], data["val"], data["test"]

# %% tags=["nbval-check-output"]
for split, dataset in data.items():
    print(f"{split:5} {len(dataset)} batches")
print(len(train_ds.class_names), "classes:", ", ".join(train_ds.class_names))

# %% tags=["nbval-check-output"]
keras.utils.set_random_seed(run.seed)
model = models.build_small_resnet(**run.input_size)
print(model.input_shape, "→", model.output_shape)
print(f"{model.count_params():,} parameters")

# %% [markdown]
# ## Choose a loss, an optimiser and a learning rate
#
# The network outputs one [logit](../book/glossary.md#logit) per class. [Softmax](../book/glossary.md#softmax) turns logits into probabilities, and the [cross-entropy](../book/glossary.md#cross-entropy) is the negative logarithm of
# the probability of the true class. *Sparse* means that the labels are integers. `from_logits` means that the loss applies the softmax itself, which is numerically more accurate.
#
# [Adam](../book/glossary.md#adam) then changes each weight a little, against the gradient, with a step size that adapts to each weight. The [learning rate](../book/glossary.md#learning-rate) scales every step. Here it rises to $10^{-3}$ over the first tenth of the training
# and falls to zero towards the end, so that the last steps don't undo what was learned; the next chapter plots it. `helpers.recipes.compile_model` does the same as this cell:

# %%
steps = run.epochs * len(train_ds)
schedule = recipes.learning_rate_schedule(recipes.Recipe(), steps)
model.compile(
    optimizer=keras.optimizers.Adam(schedule),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)

# %% [markdown]
# **Predict:** what is the loss of this network before any training? It treats all classes alike, so the true class gets a probability of one divided by the number of classes.

# %%
untrained = model.evaluate(val_ds, verbose=0, return_dict=True)
expected = {"loss": np.log(run.num_classes), "accuracy": 1 / run.num_classes}
for name, value in expected.items():
    print(f"{name}: expected {value:.2f}, measured {untrained[name]:.2f}")

# %% [markdown]
# Are the numbers close? Then data, network and loss fit together. A first loss far from the expected value would mean a mistake, and you would have found it before the first epoch.
#
# ## Fit the network
#
# In one [epoch](../book/glossary.md#epoch), the network sees each training clip once, batch by batch, and is then evaluated on the validation clips. (We set `shuffle=False` because the batches are already shuffled.)

# %%
begin = time.monotonic()
history = model.fit(
    train_ds,
    validation_data=val_ds,
    epochs=run.epochs,
    shuffle=False,
    verbose=2,
)
seconds = time.monotonic() - begin

# %% tags=["remove-input"]
Markdown(
    f"{run.epochs} epochs took {seconds:.0f} s on this machine "
    f"({records.hardware()})."
)

# %% [markdown]
# ## Read the learning curves

# %% mystnb={"image": {"alt": "Two plots against the epoch, loss on the left and accuracy on the right, each with a line for the training set and one for the validation set."}}
figure = plots.plot_history(history)

# %% [markdown]
# Look for three things:
#
# - **The training loss falls.** If it doesn't, the network can't learn: the learning rate is too small or too large, or there is a mistake.
# - **The validation loss follows.** It may lag in the first epochs. For prediction, batch normalisation uses running averages, and these must first catch up with weights that change fast.
# - **The gap at the end.** If training keeps improving and validation doesn't, the network is memorising its clips. This is [overfitting](../book/glossary.md#overfitting).
#
# ## Save the model and its record
#
# `save_run` checks that the model is the one that the recipe builds, evaluates it on the test clips, and saves it together with a record of how it was made. The chapter [Evaluate](evaluate.ipynb) continues from there.

# %%
record = training.save_run(
    model, history.history, run, test=test_ds, seconds=seconds
)
test = record["test"]
print(f"test accuracy {test['accuracy']:.2f}, loss {test['loss']:.2f}")

# %% tags=["nbval-check-output"]
folder = records.run_folder(run, recipes.Recipe())
names = ("last.keras", "record.json")
print([name for name in names if (folder / name).exists()])
print("test accuracy at least 0.9:", record["test"]["accuracy"] >= 0.9)

# %% [markdown]
# ## Start and resume a full-length run
#
# The command line of `helpers.training` does everything that this chapter did. A full run has the tutorial's sizes: 30, 10 and 10 clips of each of ten classes, 10 frames of $224 \times 224$ pixels, and 50 epochs.
#
# ```shell
# BOOK_DATASET=ucf101 BOOK_RUN=full python -m helpers.training
# BOOK_DATASET=ucf101 BOOK_RUN=full python -m helpers.training --recipe tutorial
# ```
#
# After each epoch it saves the latest model and, beside it, the model with the best validation accuracy so far. If the run is interrupted, or even killed, run the same command again: it resumes after the last complete epoch. (`--restart` starts from the beginning.) On one machine, with TensorFlow on the CPU and `--deterministic`, the resumed run ends with the same weights, to the last bit, as if nothing had happened. On a GPU, with
# another backend or on another machine, sums are added up in another order, and the weights are only approximately equal. (In Colab, the disk is deleted with the session; mount a drive and work there.) With `--seed 0 1 2` it trains three times, and with `--record FILE` it
# adds the results to a file; the page [Results](../book/results.md) is made from such files. `--conv`, `--size` and `--frames` choose other networks and sizes. `--batch-size` chooses smaller batches if memory runs out. `--tensorboard logs` writes the curves for [TensorBoard](https://www.tensorflow.org/tensorboard). `--help` lists all options.
#
# ### Learning curves on real clips
#
# We recorded such runs on ten classes of exercises, at half the height and width, so that they finish within a day on two CPU cores. (The page [Results](../book/results.md) has the commands.) Here is the first seed of the tutorial's [recipe](../book/glossary.md#recipe): its network and its training method.
#
# **Predict:** at which point will the curves of training and validation separate?

# %% mystnb={"image": {"alt": "Loss and accuracy over fifty epochs on real clips. The training loss falls towards zero, while the validation loss jumps up and down and stays high. The training accuracy approaches one; the validation accuracy stays far below."}}
full = records.select_runs(
    records.load_results("ucf101-112"), network="tutorial"
)
figure = plots.plot_history(full[0]["history"])

# %% tags=["remove-input", "nbval-check-output"]
last = {
    split: records.mean_and_range(records.accuracies(full, split))
    for split in ("train", "val")
}
epochs = len(full[0]["history"]["loss"])
seconds = np.mean([record["seconds"] for record in full])
Markdown(
    f"After {epochs} epochs the accuracy is {last['train']} on the training "
    f"clips and {last['val']} on the validation clips: mean (worst to best) of "
    f"{len(full)} seeds. A run took {seconds / 60:.0f} minutes on one core of "
    f"a machine with {full[0]['hardware']}."
)

# %% [markdown]
# The gap between the two is overfitting: much of what the network has learned holds only for these 300 clips. The next chapter shows what to do about it.
#
# ### Train on a GPU
#
# Nothing in the code changes: Keras uses a GPU if it finds one. In Colab, choose *Runtime → Change runtime type → GPU* before you start; this book then selects the full run by itself.
#
# A GPU does the arithmetic of a training step many times faster than a CPU. But this book decodes video on the CPU, so a fast GPU waits for data in the first epochs, until the frames are cached. `--mixed` (mixed precision) computes in 16 bits where that is safe, which recent GPUs do several times faster. If training on a GPU stays slow, see [Feed the GPU](feed_the_gpu.ipynb).
#
# ## Check yourself
#
# 1. There are ten classes, and the first loss is 9.2. What is likely?
# 2. The training accuracy is 1.0 and the validation accuracy 0.6. What would you try, and what not?
# 3. We look at the validation set after each epoch. Why do we use the test set only once, at the end?
#
# <details><summary>Answers</summary>
#
# 1. A mistake: the loss of an untrained network should be near $\ln 10$. Perhaps the pixels were not rescaled, or the loss expects probabilities and gets logits.
# 2. More clips, and data augmentation: clips that are altered a little each time (flipped, cropped), as the next chapter shows. Not more epochs.
# 3. If you choose a model by a score, the choice fits that score a little too well. The test set stays honest because you didn't choose anything by it.
#
# </details>
#
# ## On your own
#
# - Train the tutorial's network: `python -m helpers.training --recipe tutorial --epochs 20`. Does it catch up in the end?
# - Train with `--conv 2d`. This network sees each frame on its own. Which accuracy can't it exceed on the puppets?
# - Train with three seeds. How far apart are the test accuracies, and what does that say about a difference of two points between two papers?
#
# Next: [Improve the recipe](improve_recipe.ipynb).
