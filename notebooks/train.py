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
# # Train
#
# **What you'll do:** train a network to tell actions apart (on the puppets ten, five of which are others played backwards), and watch it learn.
#
# **What you'll learn**
#
# - to say what a loss means before the first epoch, and so to notice a broken model at once;
# - to read learning curves;
# - to see what the paper's block is worth;
# - to start a full-length run, on your machine or on a GPU, and to go on where it was interrupted.
#
# **What you'll need:** the chapters [Load video](load_video.ipynb) and [Build the model](build_model.ipynb). On two CPU cores the short run below takes a minute or two.

# %% tags=["hide-input"]
# Where the book's helpers are missing, as in Colab, fetch them and what they need.
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
# ## See where we are going
#
# Two networks, the same puppets, the same widths, the same optimiser. One is that of [TensorFlow's tutorial](https://www.tensorflow.org/tutorials/video/video_classification), the other is made of the paper's block. Each line is the mean of several runs that differ only in their
# [seed](../book/glossary.md#seed); the band reaches from the worst to the best of them.

# %% mystnb={"image": {"alt": "Training accuracy over epochs on the puppets. The network of the paper's block rises to nearly one within a few epochs; the lines of the tutorial's network, trained either way, rise late and slowly."}}
recorded = records.select_runs(
    records.load_results("puppets-short"), conv="2plus1d"
)
theirs = records.select_runs(recorded, network="tutorial")
runs = {
    "paper's block": records.select_runs(recorded, network="small_resnet"),
    "tutorial's block, trained alike": records.select_runs(
        theirs, learning_rate=1e-3
    ),
    "tutorial's block, the tutorial's way": records.select_runs(
        theirs, learning_rate=1e-4
    ),
}
axis = plots.plot_seeds(runs)
title = axis.set_title("Accuracy on the training set (puppets)")


# %% tags=["remove-input", "nbval-check-output"]
def describe(made):
    scores = records.mean_and_range(records.accuracies(made, "test"))
    return f"{scores} after {made[0]['settings']['epochs']} epochs, {len(made)} seeds"


lines = [f"- {label}: {describe(made)}" for label, made in runs.items()]
Markdown(
    "\n".join(
        [
            "Accuracy on the test clips, split by group; chance is 0.10:",
            "",
            *lines,
        ]
    )
    + f"\n\nRecorded on a machine with {recorded[0]['hardware']}; [Results](../book/results.md) has times and commands."
)

# %% [markdown]
# Both networks got the same clips; the tutorial's got twice the epochs, and is still far behind, whichever way it is trained. The
# parts look alike; see [Build the model](build_model.ipynb) for the table of differences. Normalisation and a ReLU between space and time, *M* filters, a ReLU after the addition, strides: together
# they decide how fast a network learns. Which of them does most, these runs don't say. That a few lines of a paper make such a difference is the best argument for reading it closely.
#
# Now do it yourself.
#
# ## Get clips and a network

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
print(
    model.input_shape,
    "→",
    model.output_shape,
    f"  {model.count_params():,} parameters",
)

# %% [markdown]
# ## Choose a loss and an optimiser
#
# The network gives one [logit](../book/glossary.md#logit) per class. [Softmax](../book/glossary.md#softmax) turns logits into probabilities, and the [cross-entropy](../book/glossary.md#cross-entropy) is the negative logarithm of
# the probability that the true class was given. *Sparse* means that labels are integers; `from_logits` that the loss applies the softmax itself, which is more exact.
#
# [Adam](../book/glossary.md#adam) then changes each weight a little, against the gradient, in steps that adapt themselves to each weight. How long they are altogether is the [learning rate](../book/glossary.md#learning-rate). Here it rises over the first tenth of the training
# to 1e-3 and falls to nothing towards the end, so that the last steps don't undo what was learnt; the next chapter shows its curve. `helpers.recipes.compile_model` is this cell:

# %%
steps = run.epochs * len(train_ds)
model.compile(
    optimizer=keras.optimizers.Adam(
        recipes.learning_rate_schedule(recipes.Recipe(), steps)
    ),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)

# %% [markdown]
# **Predict:** what is the loss of this network, which has learnt nothing yet? It spreads its bets over all classes alike, so the true one gets a probability of one in *classes*.

# %%
untrained = model.evaluate(val_ds, verbose=0, return_dict=True)
print(
    f"expected {np.log(run.num_classes):.2f}, measured {untrained['loss']:.2f}"
)
print(
    f"accuracy: expected {1 / run.num_classes:.2f}, measured {untrained['accuracy']:.2f}"
)

# %% [markdown]
# Close enough? Then data, network and loss fit together. A first loss far from it would mean a mistake, and you would have found it before the first epoch.
#
# ## Fit
#
# One [epoch](../book/glossary.md#epoch) goes through all training clips once, batch by batch, then scores the validation clips. (`shuffle=False`, because the batches come shuffled already.)

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
    f"{run.epochs} epochs took {seconds:.0f} s on this machine ({records.hardware()})."
)

# %% [markdown]
# ## Read the learning curves

# %% mystnb={"image": {"alt": "Two plots over the epochs, loss at the left and accuracy at the right, each with a line for the training set and one for the validation set."}}
figure = plots.plot_history(history)

# %% [markdown]
# Three things to look for:
#
# - **Training loss falls.** If not, the network can't learn: too small a rate, too large a one, or a mistake.
# - **Validation follows.** It may stay behind in the first epochs: batch normalisation uses running averages when it predicts, and those must first catch up with weights that change fast.
# - **The gap at the end.** Where training goes on improving and validation doesn't, the network learns its clips by heart: [overfitting](../book/glossary.md#overfitting).
#
# ## Keep the result
#
# `save_run` makes sure that the model is the one that the recipe builds, evaluates it on the test clips, and saves it together with how it was made. The chapter [Evaluate](evaluate.ipynb) picks it up from there.

# %%
record = training.save_run(
    model, history.history, run, test=test_ds, seconds=seconds
)
print(
    f"test accuracy {record['test']['accuracy']:.2f}, loss {record['test']['loss']:.2f}"
)

# %% tags=["nbval-check-output"]
folder = records.run_folder(run, recipes.Recipe())
print(
    [name for name in ("last.keras", "record.json") if (folder / name).exists()]
)
print("nine clips in ten, or better:", record["test"]["accuracy"] >= 0.9)

# %% [markdown]
# ## Start a full run
#
# All that this chapter did stands in `helpers.training`, for a shell. A full run has the tutorial's sizes: 30, 10 and 10 clips of each of ten classes, 10 frames of 224 × 224 pixels, 50 epochs.
#
# ```shell
# BOOK_DATASET=ucf101 BOOK_RUN=full python -m helpers.training
# BOOK_DATASET=ucf101 BOOK_RUN=full python -m helpers.training --recipe tutorial
# ```
#
# After each epoch it saves the model, and beside it the one that did best on the validation clips so far. If it is interrupted, even killed, run the same command again: it goes on after the last whole epoch. (`--restart` begins anew.) On one machine, with TensorFlow on its CPU and `--deterministic`, it ends with the same weights, to the last bit, as if nothing had happened. On a GPU, under
# another backend or on another machine sums are added up in another order, and the weights are only about the same. (In Colab the disk goes with the session; mount a drive, and work there.) With `--seed 0 1 2` it trains three times, and with `--record FILE` it
# adds what came out to a file; the page [Results](../book/results.md) is made from such files. `--conv`, `--size` and `--frames` choose other networks and sizes, `--batch-size` smaller batches where memory runs out; `--tensorboard logs` writes the curves for [TensorBoard](https://www.tensorflow.org/tensorboard); `--help` lists all.
#
# ### What comes out
#
# Such runs have been recorded: ten classes of exercises, at half the height and width so that they end the same day on two CPU cores. (The page [Results](../book/results.md) has the commands.) Here is the first seed of the tutorial's [recipe](../book/glossary.md#recipe), its network and its way of training.
#
# **Predict:** where will the curves of training and validation part?

# %% mystnb={"image": {"alt": "Loss and accuracy over fifty epochs on real clips. The training loss falls towards zero, the validation loss turns and rises; training accuracy nears one, validation accuracy stays far below."}}
full = records.select_runs(
    records.load_results("ucf101-112"), network="tutorial"
)
figure = plots.plot_history(full[0]["history"])

# %% tags=["remove-input", "nbval-check-output"]
last = {
    split: records.mean_and_range(records.accuracies(full, split))
    for split in ("train", "val")
}
seconds = np.mean([record["seconds"] for record in full])
Markdown(
    f"After {len(full[0]['history']['loss'])} epochs the accuracy on the training clips is {last['train']}, on the validation clips {last['val']}; mean, worst and best of {len(full)} seeds. "
    f"A run took {seconds / 60:.0f} minutes on one core of a machine with {full[0]['hardware']}."
)

# %% [markdown]
# The gap between the two is overfitting as it looks in life: much of what the network has learnt holds for these 300 clips only. What to do about it is the subject of the next chapter.
#
# ### What a GPU changes
#
# Nothing in the code changes: Keras uses a GPU where it finds one. In Colab choose *Runtime → Change runtime type → GPU* before you start; this book then takes the full run by itself.
#
# A GPU does the arithmetic of a training step many times faster than a CPU. This book decodes video on the CPU all the same, and a fast GPU waits for it in the first epochs, until the frames are kept. `--mixed` computes in 16 bits where that is safe, which recent GPUs do several times faster. Where training on a GPU stays slow, see [Feed the GPU](feed_the_gpu.ipynb).
#
# ## Check yourself
#
# 1. Ten classes, and the first loss is 9.2. What is likely?
# 2. Training accuracy 1.0, validation accuracy 0.6. What would you try, and what not?
# 3. Why is the test set used once, at the end, although the validation set is looked at after each epoch?
#
# <details><summary>Answers</summary>
#
# 1. A mistake: an untrained network should be near ln 10. Perhaps pixels were not rescaled, or the loss expects probabilities and gets logits.
# 2. More clips, clips altered a little each time (flipped, cropped), what the next chapter shows. Not: more epochs.
# 3. Whatever you choose by looking at a score fits that score a little. The test set stays honest because nothing was chosen by it.
#
# </details>
#
# ## On your own
#
# - Train the tutorial's network: `python -m helpers.training --recipe tutorial --epochs 20`. Does it catch up in the end?
# - Train `--conv 2d`. It sees every frame by itself. What accuracy can't it exceed on the puppets?
# - Train with three seeds. How far apart are the test accuracies, and what does that say about a difference of two points between two papers?
#
# Next: [Improve the recipe](improve_recipe.ipynb).
