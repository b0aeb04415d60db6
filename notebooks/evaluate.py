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
# # Evaluate
#
# **What you'll do:** judge a trained network on clips that it has never seen, and find out which actions it mistakes for which.
#
# **What you'll learn**
#
# - to put an error bar beside an accuracy;
# - to match labels and predictions without falling into a trap that the tutorial falls into;
# - to read a confusion matrix;
# - to tell a network that cries wolf from one that sleeps: precision and recall;
# - to look at the clips themselves, where the reasons are.
#
# **What you'll need:** a trained network. If you have run the chapter [Train](train.ipynb), this one takes yours; if not, it trains one first: on two CPU cores a short run takes a minute or two, a full run on a GPU an hour or more.

# %% tags=["hide-input"]
# Where the book's helpers are missing, as in Colab, fetch them and what they need.
try:
    import helpers.archive
except ModuleNotFoundError:
    # %pip install --quiet git+https://github.com/video-classification-book/video-classification-book
    import helpers.archive

# %%
import itertools
import warnings

import numpy as np
from IPython.display import Markdown

from helpers import archive, evaluation, plots, records, settings, training, video

# %% [markdown]
# ## Get a trained network
#
# `training.train` loads the network of an earlier run with the same settings, or else trains it.

# %%
run = settings.current()
model, record = training.train(run)

# %% mystnb={"image": {"alt": "Confusion matrix of the test clips: actual actions in rows, predicted ones in columns, most clips on the diagonal."}}
folders = archive.fetch_clips(run)
data = training.make_datasets(folders, run)
test_ds, labels = data["test"], data["test"].class_names
actual, predicted = evaluation.get_actual_predicted_labels(model, test_ds)
axis = plots.plot_confusion_matrix(actual, predicted, labels, "Test clips")

# %% [markdown]
# This picture is the chapter's goal: every row is an action, and tells what the network took its clips for. Let us get there properly.
#
# ## Ask for one number

# %%
score = model.evaluate(test_ds, verbose=0, return_dict=True)
print(f"test loss {score['loss']:.2f}, test accuracy {score['accuracy']:.2f}")

# %% [markdown]
# How much is that number worth? The test set is a sample. Other clips would give another accuracy, and the [standard error](../book/glossary.md#standard-error) says how different: for an accuracy
# *p* on *n* clips it is √(*p* · (1 − *p*) / *n*).

# %% tags=["nbval-check-output"]
n_clips = len(actual)
for accuracy in (0.5, 0.75, 0.9):
    print(
        f"{accuracy} on {n_clips} clips: ± {np.sqrt(accuracy * (1 - accuracy) / n_clips):.2f}"
    )

# %% [markdown]
# The truth lies within one standard error about two times in three, within two of them about 19 times in 20. And that is the least: clips of one group resemble each other, so they count for less than as many strangers. Two networks a few points apart on so few clips are not known to differ.
#
# Close to 0 and to 1 the formula breaks down. At no mistake in *n* clips it gives an error of 0; but a network that errs on 3/*n* of all clips gets through such a test without a mistake one time in twenty.
#
# And a network is a sample, too: another seed, other first weights, another order of clips.

# %% tags=["remove-input", "nbval-check-output"]
puppets = records.pick(records.recorded("puppets-short"), network="small_resnet")
real = records.pick(records.recorded("ucf101-112"), network="small_resnet")
lines = [
    f"- {label}: {records.spread(records.accuracies(runs, 'test'))}, {len(runs)} seeds"
    for label, runs in {
        "the puppets, as in the chapter Train": records.pick(puppets, conv="2plus1d"),
        "real clips, by the recipe of the chapter before": real,
    }.items()
]
Markdown(
    "\n".join(
        ["Recorded accuracies on test clips, mean, worst and best:", "", *lines, ""]
        + [f"(Machine: {real[0]['hardware']}; the page [Results](../book/results.md) has sizes and commands.)", ""]
        + ["An accuracy without its spread is an anecdote."]
    )
)

# %% [markdown]
# ## Match labels and predictions
#
# For all that follows we need two lists: what each clip is, and what the network says it is. It seems natural to collect the labels first and let `model.predict` go over the data set then. On a
# test set that is fine. The training set, though, is *shuffled anew in each pass*, and label 17 then belongs to another clip than prediction 17.
#
# **Predict:** a perfect model, which always names the right action, is judged that way. What accuracy does it get?


# %% tags=["nbval-check-output"]
def pass_over_labels(dataset):
    return np.concatenate([labels for _, labels in dataset])


train_ds = data["train"]
passes = [pass_over_labels(train_ds) for _ in range(10)]
# A perfect model's predictions in one pass are that pass's labels.
accuracies = [
    np.mean(labels == predicted) for labels, predicted in itertools.pairwise(passes)
]
print(f"accuracy of a perfect model, judged in two passes: {np.mean(accuracies):.2f}")

# %% [markdown]
# Chance. The confusion matrix of the training set in the tutorial is made this way: it is noise, whatever the model. `get_actual_predicted_labels` takes labels and
# predictions from the same batch, in one pass, so a data set may shuffle as it likes.
#
# ## Read the confusion matrix
#
# You have seen the one of the test clips above. Right answers lie on the diagonal. Off it, row and column name the mistake. Look for:
#
# - **a mirrored pair** of mistakes: two actions that the network can't tell apart. On the puppets, watch the reversed pairs: an error there means that it misses the order of frames;
# - **a full column**: an action that it says too often;
# - **an empty column**: one that it never says.
#
# On the puppets, a (2+1)D network makes hardly a mistake. So here is one that must: it was trained on the same clips for as long, but with 2D convolutions, so it sees every frame by
# itself and averages over them. **Predict:** what does its matrix look like?

# %% mystnb={"image": {"alt": "Confusion matrix of a network with 2D convolutions on the puppets. The rows of an action and of its reverse are equal: what one is taken for, so is the other."}} tags=["nbval-check-output"]
blind = records.pick(puppets, conv="2d")[0]
axis = plots.plot_confusion_matrix(
    blind["actual"], blind["predicted"], blind["class_names"], "Test clips, 2D convolutions"
)
print(f"accuracy {blind['test']['accuracy']:.2f}")

# %% [markdown]
# Compare the rows two by two: an action's row equals that of its reverse. The network knows sitting from leaning, but not sitting down from standing up. The chapter [Load video](load_video.ipynb) proved that it can't: a clip and its reverse hold the same
# frames, and a network without order gives both the same answer, so at least one of the two is wrong. An accuracy alone would have told you *that* half is wrong; the matrix tells you *which* half, and so why.
#
# Real mistakes are less tidy. Here are the recorded networks on the test clips of UCF101, all seeds added up:

# %% mystnb={"image": {"alt": "Confusion matrix of ten classes of UCF101, thirty predictions a row. Most lie on the diagonal; others gather in a few places off it."}} tags=["nbval-check-output"]
truth = np.concatenate([run["actual"] for run in real])
named = np.concatenate([run["predicted"] for run in real])
classes = real[0]["class_names"]
axis = plots.plot_confusion_matrix(truth, named, classes, f"Test clips, {len(real)} seeds")
pairs = [(a, b) for a, b in zip(truth, named) if a != b]
for a, b in sorted(set(pairs), key=pairs.count, reverse=True)[:5]:
    print(f"{pairs.count((a, b)):2} × {classes[a]} taken for {classes[b]}")

# %% [markdown]
# Two columns are too full. Squats and jumping jacks, up and down in one place, are often taken for rope jumping; push-ups, close to the floor, for lunges. This network doesn't see the rooms ([Improve the recipe](improve_recipe.ipynb)
# takes them away), and its mistakes are of that kind: it mixes up actions that *move* alike.
#
# Now the training set of the (2+1)D network, in one pass:

# %% mystnb={"image": {"alt": "Confusion matrix of the training clips, actual actions in rows and predicted ones in columns."}}
actual_train, predicted_train = evaluation.get_actual_predicted_labels(model, train_ds)
axis = plots.plot_confusion_matrix(actual_train, predicted_train, labels, "Training clips")

# %% tags=["remove-input"]
Markdown(
    f"It gets {np.mean(actual_train == predicted_train):.0%} of the training clips right, "
    f"and {np.mean(actual == predicted):.0%} of the test clips. "
    "Were the first number much the larger, it would have learnt its clips by heart."
)

# %% [markdown]
# ## Ask for precision and recall
#
# Accuracy mixes all classes. For each one, two questions:
#
# - [Precision](../book/glossary.md#precision): when the network says *StandUp*, how often is it right?
# - [Recall](../book/glossary.md#recall): of all clips that are *StandUp*, how many does it find?

# %% mystnb={"image": {"alt": "Dot plot with one row for each action: a filled circle for precision, an open diamond for recall."}}
precision, recall = evaluation.calculate_classification_metrics(actual, predicted, labels)
axis = plots.plot_precision_recall(precision, recall)

# %% [markdown]
# What is the precision of an action that is never predicted? No right answers out of no answers: 0/0. The tutorial divides all the same. Here it is `nan`, *not a number*, and you are told.

# %% tags=["nbval-check-output"]
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    example = evaluation.calculate_classification_metrics(
        [0, 0, 1, 2], [0, 0, 1, 1], ["jump", "run", "swim"]
    )
print("precision", example[0])
print("recall   ", example[1])
print(caught[0].message)

# %% [markdown]
# ## Look at the clips
#
# A matrix tells *what* goes wrong. The clips tell *why*. So show those that the network finds hardest: the ones to whose true action it gives the least probability.

# %%
probabilities = []
for frames, true in test_ds:  # never shuffled, so that passes match
    logits = model.predict_on_batch(np.asarray(frames)).astype("float64")
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    softmax = weights / weights.sum(axis=1, keepdims=True)
    probabilities.extend(softmax[np.arange(len(true)), true])
hardest = np.argsort(probabilities)[:4]  # the true class got the least

# %% mystnb={"image": {"alt": "Film strips of the four test clips that the network finds hardest, each with its true action, the predicted one, and the probability given to the true one."}}
larger = {"output_size": (120, 160), "frame_step": run.frame_step}
clips = [
    frames for frames, _ in video.FrameGenerator(folders["test"], run.n_frames, **larger)
]
titles = [
    f"{labels[actual[i]]}, named {labels[predicted[i]]}; probability of the truth {probabilities[i]:.2f}"
    for i in hardest
]
figure = plots.plot_film_strip([clips[i] for i in hardest], titles)

# %% tags=["remove-input"]
wrong = int(np.sum(actual != predicted))
Markdown(
    f"Of {len(actual)} test clips, **{wrong}** are taken for something else."
    + ("" if wrong else " So the strips above show right answers, the least certain ones.")
)

# %% [markdown]
# Ask of each: would *you* have known, from these frames? If not, the frames are at fault: too few, too far apart. (The network saw them smaller, too.) If so, the network is.
#
# ## Check yourself
#
# 1. Two networks score 0.78 and 0.81 on 100 test clips. Which is better?
# 2. Your network never predicts *PutDown*. What are its recall and its precision for that class?
# 3. Why does the tutorial's mistake not show on the test set?
#
# <details><summary>Answers</summary>
#
# 1. Nobody knows. They differ by three clips; even if they disagreed on these three only, three tosses of a coin fall alike one time in four.
# 2. Recall 0, precision undefined.
# 3. The test set is not shuffled: both passes come in the same order.
#
# </details>
#
# ## On your own
#
# - `training.train(run, epochs=2)` trains a network for two epochs only. Which mistakes does it make: within reversed pairs, or between them?
# - On real clips, at full length, train once on clips that `download_ucf101_subset` has split by clip, and once on clips split by group, and compare the test accuracies. How much of the first is the leak?
#
# That is the way from a ZIP to a tested network. What recorded runs have reached stands on the page [Results](../book/results.md). Scores on real clips rise with more training data, with longer training, and with networks that were trained on larger data sets before; TensorFlow's
# tutorials on [MoViNet](https://www.tensorflow.org/hub/tutorials/movinet_tutorial) and on [transfer learning](https://www.tensorflow.org/tutorials/video/transfer_learning_with_movinet) go on from there.
