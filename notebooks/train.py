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
# # Train a video classifier: loss, learning rate, learning curves and overfitting
#
# **What you'll do:** train a network to recognise actions (the puppets perform ten; five of them are the other five played backwards), and watch it learn.
#
# **What you'll learn**
#
# - how to predict the loss of an untrained network, and so find mistakes before the first epoch;
# - how to read learning curves and recognise overfitting;
# - how much the residual block of [the paper](https://arxiv.org/abs/1711.11248) improves on the tutorial's;
# - how to start a full run, on a CPU or a GPU, and how to resume it after an interruption.
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
# ## Compare the residual blocks of the tutorial and the paper
#
# We compare two networks with the same numbers of channels, on the same puppets, with the same optimiser. The tutorial's network appears twice: once with our learning rate, once with its own. One is the network of [TensorFlow's tutorial](https://www.tensorflow.org/tutorials/video/video_classification); the other is this book's network, which consists of the paper's blocks. Each line is the mean of several runs that differ only in their
# [seed](../book/glossary.md#seed); the band extends from the worst run to the best.

# %% mystnb={"image": {"alt": "Training accuracy over epochs on the puppets. With the paper's blocks, the accuracy rises to nearly one within a few epochs. With the tutorial's network, it rises late and slowly, at either learning rate."}}
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
# The tutorial's network was trained for twice as many epochs and is still far behind, at either learning rate. The
# parts look similar; see [Build the model](build_model.ipynb) for the table of differences. Together, these decide how fast a network learns: normalisation and a ReLU between space and time, $M$ channels between the two, a ReLU after the addition, and strides. These runs don't show which of them matters most. A few lines in a paper can make such a difference, and that is the best reason to read papers closely.
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
# the probability of the true class. *Sparse* (in the name `SparseCategoricalCrossentropy` below) means that the labels are integers. With `from_logits=True`, the loss applies the softmax itself, which is more accurate numerically.
#
# The [optimiser](../book/glossary.md#optimiser) [Adam](../book/glossary.md#adam) changes each weight a little, against its gradient, with a step size adapted to that weight. The [learning rate](../book/glossary.md#learning-rate) scales every step. Here it rises to $10^{-3}$ over the first tenth of the training and then falls to zero, so that the last steps don't undo what was learned. The next chapter plots this *learning rate schedule*. `helpers.recipes.compile_model` does the same as this cell:

# %%
steps = run.epochs * len(train_ds)
schedule = recipes.learning_rate_schedule(recipes.Recipe(), steps)
model.compile(
    optimizer=keras.optimizers.Adam(schedule),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)

# %% [markdown]
# **Predict:** what is the loss of this network before any training? The untrained network has no preference, so each of the $N$ classes gets a probability of about $1/N$.

# %%
untrained = model.evaluate(val_ds, verbose=0, return_dict=True)
expected = {"loss": np.log(run.num_classes), "accuracy": 1 / run.num_classes}
for name, value in expected.items():
    print(f"{name}: expected {value:.2f}, measured {untrained[name]:.2f}")

# %% [markdown]
# The expected loss is $-\ln(1/N) = \ln N$. If the numbers are close, the data, the network and the loss fit together. If the initial loss were far from $\ln N$, there would be a mistake somewhere, and you would have found it before the first epoch.
#
# ## Train the network with model.fit
#
# In one [epoch](../book/glossary.md#epoch), the network sees each training clip once, batch by batch. It is then evaluated on the validation clips. (We set `shuffle=False` because the batches are already shuffled.)

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
    f"({records.hardware()}), which may have run other chapters meanwhile."
)

# %% [markdown]
# ## Read the learning curves and recognise overfitting
#
# A [learning curve](../book/glossary.md#learning-curve) shows the loss, or the accuracy, after each epoch.

# %% mystnb={"image": {"alt": "Two line plots over the epochs, loss on the left and accuracy on the right, each with one line for the training set and one for the validation set."}}
figure = plots.plot_history(history)

# %% [markdown]
# Look for three things:
#
# - **The training loss falls.** If it doesn't, the network isn't learning: the learning rate is too small or too large, or there is a mistake in the code.
# - **The validation loss follows.** It may lag in the first epochs, because validation uses the running averages of batch normalisation, and these must first catch up with the fast-changing weights.
# - **The gap stays small.** If the training loss keeps falling and the validation loss doesn't, the network is memorising the training clips. This is [overfitting](../book/glossary.md#overfitting).
#
# ## Save the model and its record
#
# `save_run` checks that the model matches the [recipe](../book/glossary.md#recipe) (the network and all training settings), evaluates the model on the test clips, and saves it with a record of how it was trained. The chapter [Evaluate](evaluate.ipynb) starts from this saved model.

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
# ## Train from the command line and resume from a checkpoint
#
# Run as a command, `helpers.training` does everything that this chapter did. A full run has the tutorial's sizes: ten classes with 30 training, 10 validation and 10 test clips each, 10 frames of $224 \times 224$ pixels, and 50 epochs.
#
# ```shell
# BOOK_DATASET=ucf101 BOOK_RUN=full python -m helpers.training
# BOOK_DATASET=ucf101 BOOK_RUN=full python -m helpers.training --recipe tutorial
# ```
#
# After each epoch, the command saves two [checkpoints](../book/glossary.md#checkpoint): the latest model (`last.keras`) and the one with the best validation accuracy so far (`best.keras`). If the run is interrupted, or even killed, run the same command again: it resumes after the last complete epoch. (`--restart` starts from the beginning.) On one machine, with TensorFlow on the CPU and `--deterministic`, the resumed run ends with the same weights as an uninterrupted one, bit for bit. On a GPU, with a different backend or on a different machine, numbers are added in a different order, and the weights are only approximately equal. (In Colab, the disk is deleted with the session; mount Google Drive and work there.) These are the most useful options:
#
# - `--seed 0 1 2` trains three times.
# - `--record FILE` adds the results to a file; the page [Results](../book/results.md) is made from such files.
# - `--conv`, `--size` and `--frames` select other convolutions and sizes.
# - `--batch-size` makes the batches smaller if memory runs out.
# - `--tensorboard logs` writes the learning curves for [TensorBoard](https://www.tensorflow.org/tensorboard).
# - `--help` lists all options.
#
# ### Recognise overfitting in the learning curves of real clips
#
# We recorded such runs on ten classes of physical exercise, at half the height and width, so that all of them finish within a day on two CPU cores. (The page [Results](../book/results.md) has the commands.) Here are the learning curves of the run with seed 0, trained with the tutorial's [recipe](../book/glossary.md#recipe): its network and its training settings.
#
# **Predict:** after how many epochs will the training and validation curves separate?

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
# The gap between the two is a sign of overfitting: much of what the network has learned is true only of the 300 training clips. The next chapter shows what to do about it.
#
# ### Train on a GPU
#
# You don't need to change the code: Keras uses a GPU if it finds one. In Colab, choose *Runtime → Change runtime type → GPU* before you start; the book's code then selects the full run.
#
# A GPU does the arithmetic of a training step many times faster than a CPU. But this book decodes video on the CPU, so a fast GPU waits for data in the first epochs, until the frames are cached. `--mixed` (mixed precision) computes in 16 bits where that is safe, which recent GPUs do several times faster. If training on a GPU stays slow, see [Feed the GPU](feed_the_gpu.ipynb).
#
# ## Check yourself
#
# 1. There are ten classes, and the initial loss is 9.2. What is the probable cause?
# 2. The training accuracy is 1.0 and the validation accuracy 0.6. What would you try, and what would you avoid?
# 3. We look at the validation set after each epoch. Why do we use the test set only once, at the end?
#
# <details><summary>Answers</summary>
#
# 1. A mistake: the loss of an untrained network should be near $\ln 10$. Perhaps the pixels were not rescaled, or the loss expects probabilities and gets logits.
# 2. More clips, and data augmentation (see [Feed the GPU](feed_the_gpu.ipynb)). Not more epochs.
# 3. If you choose the model with the best score on a set, that score is a little too good. The test score stays honest because you never used it to choose.
#
# </details>
#
# ## On your own
#
# - Train the tutorial's network: `python -m helpers.training --recipe tutorial --epochs 20`. Does it catch up in the end?
# - Train with `--conv 2d`. This network sees each frame on its own. What is the highest accuracy that it can be expected to reach on the puppets?
# - Train with three seeds. How far apart are the test accuracies, and what does that say about a difference of two percentage points between two papers?
#
# Next: [Improve the recipe](improve_recipe.ipynb).
