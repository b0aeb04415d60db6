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
# # Evaluate a video classifier: confusion matrix, precision, recall, confidence interval, calibration
#
# **What you'll do:** test a trained network on clips that it has never seen, measure how far you can trust its accuracy, and find out which actions it confuses and why.
#
# **What you'll learn**
#
# - how to put an error bar (standard error or confidence interval) on an accuracy, and how not to make it too short;
# - how to match labels and predictions, and avoid the tutorial's mistake in doing so;
# - how to classify a clip from several excerpts (*multi-clip testing*);
# - how to read a confusion matrix for ten classes and for a hundred;
# - how to use precision and recall to see whether a network predicts an action too often or misses it;
# - how to find out whether a network's probabilities are calibrated, that is, whether they can be taken at face value;
# - how to find the reasons for mistakes by looking at the clips themselves.
#
# **What you'll need:** a trained network. If you have run the chapter [Train](train.ipynb), this chapter uses your network. If not, the chapter trains one first: a short run takes a minute or two on two CPU cores; a full run takes an hour or more on a GPU.

# %% tags=["hide-input"]
# Install the book's helpers and their dependencies if they are missing, as they are in Colab.
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
from sklearn import metrics

from helpers import archive, evaluation, plots, puppets, records, settings
from helpers import training, video
from helpers.recipes import RECIPES, Recipe

# %% [markdown]
# ## Get a trained network
#
# `training.train` loads the network from an earlier run with the same settings. If there is none, it trains one. `predict_probabilities` applies the network once to each test clip and returns the true classes and the predicted probabilities.

# %%
run = settings.current()
model, _ = training.train(run)
folders = archive.fetch_clips(run)
data = training.load_splits(folders, run)
test_ds, labels = data["test"], data["test"].class_names
actual, probabilities = evaluation.predict_probabilities(model, test_ds)
predicted = probabilities.argmax(axis=1)

# %% mystnb={"image": {"alt": "Confusion matrix of the test clips: actual actions in rows, predicted actions in columns; most clips lie on the diagonal."}}
axis = plots.plot_confusion_matrix(actual, predicted, labels, "Test clips")

# %% [markdown]
# This *confusion matrix* is the goal of the chapter. Each row is a true action, and its numbers show how many of that action's clips were predicted as each of the ten. Let's get there step by step.
#
# ## Measure the test accuracy and its standard error
#
# In training, each clip starts at a random frame, and may be flipped and cropped. In evaluation, the frames always come from the middle of the clip, unchanged. Therefore the same network gets the same accuracy each time.

# %% tags=["nbval-check-output"]
once, again = (
    model.evaluate(test_ds, verbose=0, return_dict=True) for _ in range(2)
)
same = np.isclose(once["accuracy"], again["accuracy"])
print("same score in both evaluations:", same)

# %%
print(f"test loss {once['loss']:.2f}, test accuracy {once['accuracy']:.2f}")

# %% [markdown]
# All classes have equally many test clips here. So always predicting the same class would score one divided by the number of classes, and the accuracy equals the [balanced accuracy](../book/glossary.md#balanced-accuracy). If your classes are of unequal size, read it beside the balanced accuracy and the share of the most frequent class, as in [Train on your own clips](own_clips.ipynb).
#
# How far can you trust that accuracy? The test set is a sample. On other clips the accuracy would be different, and the [standard error](../book/glossary.md#standard-error) estimates by how much, typically. For an accuracy $p$ on $n$ clips it is
#
# $$\sqrt{\frac{p\,(1 - p)}{n}}$$

# %% tags=["nbval-check-output"]
n_clips = len(actual)
for accuracy in (0.5, 0.75, 0.9):
    error = np.sqrt(accuracy * (1 - accuracy) / n_clips)
    print(f"{accuracy} on {n_clips} clips: ± {error:.2f}")

# %% [markdown]
# The true accuracy, which infinitely many clips would give, lies within one standard error of the measured one about two times in three, and within two standard errors about 19 times in 20. For accuracies close to 0 or 1, the formula breaks down. If a network makes no mistake on $n$ clips, the formula gives a standard error of 0. Yet even a network that misclassifies $3/n$ of all clips passes such a test without a mistake one time in twenty (the *rule of three*).
# (The bootstrap in the next section is overconfident there as well: from clips that are nearly all correct, it draws hardly any others.)
#
# ## Compute a bootstrap confidence interval by resampling groups
#
# The formula assumes that clips are independent. They aren't: the clips of a [group](../book/glossary.md#group) show one person in one room, so the network tends to get them all right or all wrong. Here is the worst case. Imagine nine copies of each test clip, and evaluate the same network on all of them.
# **Predict:** what happens to the accuracy, and to its error bar?
#
# The *bootstrap* estimates the error without a formula, and it can respect groups. It resamples the test clips: it draws as many clips as there are, with replacement, so that some appear twice and others not at all. Then it computes the accuracy on the new set. It repeats this ten thousand times. The interval that contains the middle 95 in 100 of these accuracies is a *confidence interval*. We can resample single clips or complete groups. Suppose a network is right on all clips of 30 groups, and wrong on all clips of 20 others:

# %% tags=["nbval-check-output"]
for copies in (1, 9):
    correct = np.repeat([True] * 30 + [False] * 20, copies)
    groups = np.repeat(range(50), copies)
    for unit, numbers in (("clips", range(len(correct))), ("groups", groups)):
        low, high = evaluation.bootstrap_accuracy(correct, numbers)
        interval = f"{np.mean(correct)}, {low:.2f} to {high:.2f}"
        print(f"{copies} per group, drawing {unit:6}: {interval}")

# %% [markdown]
# Nine copies add no information, yet when clips are resampled, the interval shrinks to a third of its width. Resampling complete groups gives the same interval as before. Real clips of one group are similar, but they aren't copies, so the truth lies in between. If you resample groups, you don't need to know how similar their clips are: the less similar they are, the closer the interval comes to the one for single clips. So trust the groups. (On the puppets, the two actions of a pair share their people and rooms, so group 7 of *SitDown* and group 7 of *StandUp* count as one group.)

# %%
groups = evaluation.group_names(test_ds.files, sharing=puppets.PAIRS)
correct = predicted == actual
print(f"accuracy {correct.mean():.2f}")
for unit, numbers in (("clips", range(n_clips)), ("groups", groups)):
    low, high = evaluation.bootstrap_accuracy(correct, numbers)
    print(f"drawing {unit:6}: {low:.2f} to {high:.2f}")

# %% tags=["remove-input"]
drawn = records.select_runs(
    records.load_results("puppets-short"), network="small_resnet"
)
real = records.runs_of_recipe(
    records.load_results("ucf101-64"), RECIPES["book"]
)


def bounds(run, numbers):
    correct = np.equal(run["actual"], run["predicted"])
    low, high = evaluation.bootstrap_accuracy(correct, numbers)
    return f"{low:.2f} to {high:.2f}"


# %% tags=["remove-input", "nbval-check-output"]
rows = []
for one in real:
    numbers = range(len(one["clips"])), evaluation.group_names(one["clips"])
    intervals = (bounds(one, each) for each in numbers)
    score = f"{one['test']['accuracy']:.2f}"
    rows.append((one["recipe"]["seed"], score, *intervals))
header = ("seed", "test accuracy", "drawing clips", "drawing groups")
Markdown(
    "Here are three recorded networks on real clips, ten classes of UCF101; a "
    "test group has one to four clips:\n\n"
    f"{records.markdown_table(header, rows)}\n\nDrawing groups makes the "
    "intervals about a third wider. They show only how far *these test clips* "
    "can be trusted; the difference between the three networks comes on top."
)

# %% [markdown]
# A trained network is a sample, too. Its initial weights and the order of its training clips depend on a random seed.

# %% tags=["remove-input", "nbval-check-output"]
best = records.select_runs(
    records.load_results("ucf101-112"), network="small_resnet"
)
puppet_runs = records.select_runs(drawn, conv="2plus1d")
recorded = {
    "puppets, as in the chapter Train": puppet_runs,
    "real clips, previous chapter's recipe, 112 pixels": best,
    "the same with 64 pixels and fewer epochs": real,
}
rows = [
    (label, records.mean_and_range(records.accuracies(runs, "test")), len(runs))
    for label, runs in recorded.items()
]
header = ("recorded runs", "test accuracy: mean (worst to best)", "seeds")
Markdown(
    f"{records.markdown_table(header, rows)}\n\n"
    f"(Machine: {real[0]['hardware']}; the page [Results](../book/results.md) "
    "has sizes and commands.)\n\nAn accuracy without its spread is an anecdote."
)

# %% [markdown]
# ## Classify a clip from several excerpts: multi-clip testing
#
# The network sees ten frames. In a long video, ten frames from the middle are just a glance. Therefore [Tran et al. 2018](https://arxiv.org/abs/1711.11248), the paper behind (2+1)D convolutions, takes ten excerpts from each video, evenly spaced from its beginning to its end, and averages their probabilities. (The paper, and therefore our function `predict_clips`, calls the excerpts *clips* and what we call a clip a *video*.) That costs ten times the computation. **Predict:** what does it gain if a clip is hardly longer than the ten sampled frames span?

# %%
excerpts = evaluation.predict_clips(model, test_ds.files, 3, run.sampling)
print("clips, excerpts, classes:", excerpts.shape)
averaged = excerpts.mean(axis=1).argmax(axis=1)
print(f"middle of the clip: accuracy {correct.mean():.2f}")
print(f"three excerpts, averaged: accuracy {np.mean(averaged == actual):.2f}")

# %% tags=["remove-input", "nbval-check-output"]
kinds = {"puppets": puppet_runs, "real clips": real}
rows = []
for n in evaluation.CLIPS_PER_VIDEO:
    scores = (
        [run["several_clips"][str(n)] for run in runs]
        for runs in kinds.values()
    )
    rows.append((n, *map(records.mean_and_range, scores)))
Markdown(
    "Recorded accuracy, as mean (worst to best) of three seeds:\n\n"
    + records.markdown_table(("excerpts per clip", *kinds), rows)
)

# %% [markdown]
# More excerpts help only if they show something new. On the puppets, one of the three networks gains a few points. On the real clips, even ten excerpts add less than the seeds differ. More than half of these clips are shorter than ten frames at a frame step of 15 span, and all ten excerpts of such a clip are identical. For videos that last minutes, several excerpts matter more; the chapter [Try your own video](own_video.ipynb) uses some.
#
# ## Match labels and predictions of a shuffled data set
#
# For everything that follows, we need two lists in the same order: the true class and the predicted class of each clip. It seems natural to make two passes over the data set: one to collect the labels, and another with `model.predict`. On a
# test set that works. But the training set is *shuffled again in each pass*, so label 17 and prediction 17 belong to different clips.
#
# **Predict:** suppose that we evaluate a perfect model in this way, one that is always right. What accuracy does it get?


# %% tags=["nbval-check-output"]
def pass_over_labels(dataset):
    return np.concatenate([labels for _, labels in dataset])


train_ds = data["train"]
passes = [pass_over_labels(train_ds) for _ in range(10)]
# A perfect model predicts exactly the labels of the pass that it sees.
accuracies = [
    np.mean(labels == predicted)
    for labels, predicted in itertools.pairwise(passes)
]
print(f"perfect model, evaluated in two passes: {np.mean(accuracies):.2f}")

# %% [markdown]
# It gets no more than chance. The tutorial computes the confusion matrix of its training set in this way, so the matrix shows noise, however good the model is. `get_actual_predicted_labels` takes labels and
# predictions from the same batch, in one pass, so it doesn't matter whether a data set is shuffled.
#
# ## Read the confusion matrix
#
# You have seen the matrix of the test clips above. Correct predictions lie on the diagonal. Everything off the diagonal is a mistake: the row names the true action, and the column the predicted one. Look for:
#
# - **a symmetric pair** of cells: two actions that the network can't tell apart. On the puppets, watch the reversed pairs: many mistakes there mean that the network ignores the order of frames;
# - **a full column**: an action that it predicts too often;
# - **an empty column**: an action that it never predicts.
#
# A (2+1)D network makes hardly any mistakes on the puppets, so here is one that can't avoid them. It was trained on the same clips for the same number of epochs. But it has 2D convolutions, so it processes each frame on its own and averages over the frames.
# **Predict:** what does its matrix look like? (In the code, `drawn`, and below it `best` and `real`, are lists of recorded runs, loaded in hidden cells.)

# %% mystnb={"image": {"alt": "Confusion matrix of a network with 2D convolutions on the puppets. Each action has the same row as its reverse, and all mistakes lie within the five pairs."}} tags=["nbval-check-output"]
run_2d = records.select_runs(drawn, conv="2d")[0]
parts = (run_2d[name] for name in ("actual", "predicted", "class_names"))
axis = plots.plot_confusion_matrix(*parts, "Test clips, 2D convolutions")
print(f"accuracy {run_2d['test']['accuracy']:.2f}")

# %% [markdown]
# Compare the rows of each pair, such as *SitDown* and *StandUp*: an action has the same row as its reverse. The network can tell sitting from leaning, but not sitting down from standing up. The chapter [Load video](load_video.ipynb) proved that no such network can. A clip and its reverse contain the same frames, so a network that ignores their order gives both the same answer, and at least one of the two is wrong.
# The accuracy alone would only have told you that half of the predictions were wrong. The matrix shows you *which* half, and that explains why.
#
# Real mistakes are less tidy. Here are the predictions of the recorded runs at 112 pixels on the test clips of UCF101, summed over all seeds:

# %% mystnb={"image": {"alt": "Confusion matrix of ten classes of UCF101 with thirty predictions per row. Most lie on the diagonal; many of the others are concentrated in a few cells."}} tags=["nbval-check-output"]
truth = np.concatenate([run["actual"] for run in best])
guessed = np.concatenate([run["predicted"] for run in best])
classes = best[0]["class_names"]
axis = plots.plot_confusion_matrix(
    truth, guessed, classes, f"Test clips, {len(best)} seeds"
)
pairs = [(a, b) for a, b in zip(truth, guessed) if a != b]
for a, b in sorted(set(pairs), key=pairs.count, reverse=True)[:5]:
    print(f"{pairs.count((a, b)):2} × {classes[a]} predicted as {classes[b]}")

# %% [markdown]
# Three columns are too full: *Lunges*, *JumpRope* and *TrampolineJumping*. Some of the mistakes make sense: squats and rope jumping both go up and down on the spot. Others are puzzling: why should walking on your hands look like a lunge? The matrix shows where to look; only the clips can show why. (Below, we look at the misclassified clips of the puppets.)
#
# For comparison, here is the confusion matrix of your network on its training set, from a single pass:

# %% mystnb={"image": {"alt": "Confusion matrix of the training clips: actual actions in rows, predicted actions in columns; most clips lie on the diagonal."}}
actual_train, predicted_train = evaluation.get_actual_predicted_labels(
    model, train_ds
)
axis = plots.plot_confusion_matrix(
    actual_train, predicted_train, labels, "Training clips"
)

# %% tags=["remove-input"]
Markdown(
    f"It classifies {np.mean(actual_train == predicted_train):.0%} of the "
    "training clips correctly, each from a random start frame, and "
    f"{np.mean(actual == predicted):.0%} of the test clips, from the middle. "
    "If the first number were much larger, it would have memorised its clips."
)

# %% [markdown]
# ## Read a confusion matrix of 101 classes
#
# UCF101 has 101 classes. Their matrix has ten thousand numbers, which nobody would read, so the plot shows shades instead. A single spot off the diagonal is easily missed, so print a list of the most frequent mistakes as well. Here the predictions are invented. They are right about three times in four; but in every fifth class, half of them are replaced by the class twenty positions later.

# %% mystnb={"image": {"alt": "Confusion matrix of 101 invented classes in shades of blue without numbers: a dark diagonal, scattered pale mistakes, and in every fifth row a second spot; together these spots form a dotted line beside the diagonal."}} tags=["nbval-check-output"]
draw = np.random.default_rng(0)
truth = np.repeat(np.arange(101), 25)
is_right = draw.random(truth.size) < 0.75
guessed = np.where(is_right, truth, draw.integers(101, size=truth.size))
swapped = (truth % 5 == 0) & (draw.random(truth.size) < 0.5)
guessed[swapped] = (truth[swapped] + 20) % 101
many = [f"class {i}" for i in range(101)]
axis = plots.plot_confusion_matrix(
    truth, guessed, many, "Invented: 101 classes, 25 clips each"
)
counts = np.zeros((101, 101), int)
np.add.at(counts, (truth, guessed), 1)
np.fill_diagonal(counts, 0)
for i in np.argsort(-counts, axis=None, kind="stable")[:5]:
    pair = f"{many[i // 101]} predicted as {many[i % 101]}"
    print(f"{counts.flat[i]:2} of 25 × {pair}")

# %% [markdown]
# ## Compute precision, recall and F1
#
# Accuracy lumps all classes together. Two questions tell you more about each class:
#
# - [Precision](../book/glossary.md#precision): when the network predicts *jump*, how often is it right?
# - [Recall](../book/glossary.md#recall): of all *jump* clips, how many does it find?
#
# Compute them by hand on a small matrix: precision goes down a column, recall along a row. $F_1$ is their harmonic mean, $F_1 = \frac{2 \cdot \text{precision} \cdot \text{recall}}{\text{precision} + \text{recall}}$. It lies closer to the smaller of the two, so perfect recall can't make up for poor precision.

# %% tags=["nbval-check-output"]
# Rows: actual; columns: predicted.
small = np.array([[6, 2, 0], [1, 5, 2], [0, 1, 3]])
hits = np.diag(small)
small_precision = hits / small.sum(axis=0)  # 6 / 7, 5 / 8, 3 / 5
small_recall = hits / small.sum(axis=1)  # 6 / 8, 5 / 8, 3 / 4
f1 = 2 * small_precision * small_recall / (small_precision + small_recall)
print(np.stack([small_precision, small_recall, f1]).round(2))

# %% [markdown]
# From here on, scikit-learn does the counting. Given the same clips as two lists of labels, it finds the same values:

# %% tags=["nbval-check-output"]
rows, columns = np.indices(small.shape)
clips = [np.repeat(each.ravel(), small.ravel()) for each in (rows, columns)]
found = metrics.precision_recall_fscore_support(*clips)[:3]
expected = [small_precision, small_recall, f1]
print("scikit-learn agrees:", np.allclose(found, expected))

# %% mystnb={"image": {"alt": "Dot plot with one row for each action: a filled circle for precision, an open diamond for recall."}}
precision, recall = evaluation.calculate_classification_metrics(
    actual, predicted, labels
)
axis = plots.plot_precision_recall(precision, recall)

# %% [markdown]
# Scikit-learn's classification report adds F1 and the number of clips per class (*support*):

# %%
print(
    metrics.classification_report(
        actual, predicted, target_names=labels, zero_division=np.nan
    )
)

# %% [markdown]
# What is the precision of an action that is never predicted? It is zero correct predictions out of zero, $0/0$, which is undefined. The tutorial divides anyway, and gets `nan` (*not a number*) and a warning about the division. Our function returns `nan` as well, but its warning names the class.

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
# ## Compute the top-k accuracy (top-2, top-5)
#
# If there are many classes, some of which even people confuse, a second measure is useful: the *top-$k$ accuracy*, the fraction of clips whose true class is among the $k$ most likely ones. **Predict:** on the puppets, what is the top-2 accuracy of the network that can't tell an action from its reverse?


# %% tags=["remove-input"]
def top(run, k):
    names = range(len(run["class_names"]))
    return metrics.top_k_accuracy_score(
        run["actual"], run["probabilities"], k=k, labels=names
    )


kinds = {
    "puppets, 2D": records.select_runs(drawn, conv="2d"),
    "puppets, (2+1)D": puppet_runs,
    "real clips, (2+1)D": real,
}

# %% tags=["remove-input", "nbval-check-output"]
rows = []
for label, runs in kinds.items():
    scores = ([top(run, k) for run in runs] for k in (1, 2, 3, 5))
    rows.append((label, *map(records.mean_and_range, scores)))
header = ("recorded runs", "top 1", "top 2", "top 3", "top 5")
Markdown(
    "Recorded accuracy, as mean (worst to best) of three seeds:\n\n"
    + records.markdown_table(header, rows)
)

# %% [markdown]
# Scikit-learn computes the top-2 accuracy with `metrics.top_k_accuracy_score(actual, probabilities, k=2)`. The 2D network's second guess is the reverse of its first, so with two guesses it is nearly always right. Compare that with chance: for $N$ classes, random guessing has a top-$k$ accuracy of $k/N$.
#
# ## Check the calibration of the probabilities: reliability diagram and expected calibration error
#
# Besides a class, the network gives a probability. If it gives its predictions for a hundred clips a probability of 0.8 each, about eighty of them should be right. If they are, its probabilities are *calibrated*. The probability of the predicted class is the *confidence*. Sort the predictions into ten bins by their confidence, and plot the fraction that is correct in each bin. The plot is called a *reliability diagram* ([Guo et al. 2017](https://arxiv.org/abs/1706.04599)).


# %% mystnb={"image": {"alt": "Reliability diagram of recorded runs on real clips: the fraction of correct predictions against the confidence. Each bin has a dot, its number of clips, and a line from the dot to the dotted diagonal, which marks perfect calibration."}}
def gather(runs):
    """Return whether each prediction of all runs is correct, and its confidence."""
    correct = [np.equal(run["actual"], run["predicted"]) for run in runs]
    confidence = [np.max(run["probabilities"], axis=1) for run in runs]
    return np.concatenate(correct), np.concatenate(confidence)


axis = plots.plot_reliability(*evaluation.reliability_bins(*gather(real)))


# %% tags=["remove-input"]
def calibration(runs):
    correct, confidence = gather(runs)
    error = calibration_error(correct, confidence)
    scores = (np.mean(confidence), np.mean(correct), error)
    return [f"{score:.2f}" for score in scores]


def calibration_error(correct, confidence):
    mean, accuracy, n_clips = evaluation.reliability_bins(correct, confidence)
    return np.sum(n_clips * np.abs(mean - accuracy)) / np.sum(n_clips)


_, confidence = gather(real)
rng = np.random.default_rng(0)
by_chance = [
    calibration_error(rng.random(len(confidence)) < confidence, confidence)
    for _ in range(1000)
]

# %% tags=["remove-input", "nbval-check-output"]
header = ("recorded runs, three seeds each", "mean confidence", "accuracy")
header += ("expected calibration error",)
kinds = {"puppets": puppet_runs, "real clips": real}
rows = [(label, *calibration(runs)) for label, runs in kinds.items()]
Markdown(
    f"{records.markdown_table(header, rows)}\n\nThe expected calibration error "
    "is the mean distance from the diagonal, with each bin weighted by its "
    "number of clips. If the three networks on real clips were perfectly "
    f"calibrated, {len(confidence)} predictions with these confidences would "
    f"still have an error of {np.mean(by_chance):.2f}, by chance."
)

# %% [markdown]
# Where its dots lie below the diagonal, a network is overconfident; where they lie above, it is underconfident. The networks on the puppets are right more often than their confidence suggests: six epochs seem to be enough to learn the answers, but not to be sure of them. On the real clips, most dots lie below the diagonal. But don't read too much into so few clips: as computed above, even a perfectly calibrated network deviates from the diagonal by chance.
#
# ## Look at the misclassified clips
#
# The matrix shows *what* goes wrong; the clips show *why*. Look at the most confident mistakes first. On the puppets, a fully trained network makes too few mistakes to learn from. If yours makes fewer than twelve, we look at the same network with 2D convolutions, which the chapter [Ask whether it uses time](use_time.ipynb) needs as well.

# %%
examined = model
if np.sum(predicted != actual) < 12:
    examined, _ = training.train(
        run, Recipe(conv="2d"), test=False, log=lambda line: None
    )
_, probabilities = evaluation.predict_probabilities(examined, test_ds)
confidence, guessed = probabilities.max(axis=1), probabilities.argmax(axis=1)
wrong = np.flatnonzero(guessed != actual)
worst = wrong[np.argsort(-confidence[wrong])][:12]

# %% mystnb={"image": {"alt": "Twelve film strips of misclassified test clips, with the most confident mistakes first. The title of each strip gives the true action, the predicted action and the confidence."}}
options = {"frame_step": run.frame_step, "start": "center"}
clips, titles = [], []
for i in worst:
    clips.append(
        video.frames_from_video_file(
            test_ds.files[i], run.n_frames, (90, 120), **options
        )
    )
    pair = f"{labels[actual[i]]}, predicted as {labels[guessed[i]]}"
    titles.append(f"{pair} ({confidence[i]:.2f})")
figure = plots.plot_film_strip(clips, titles)

# %% tags=["remove-input"]
pairs = [{labels[actual[i]], labels[guessed[i]]} for i in worst]
reversed_pairs = sum(pair in map(set, puppets.PAIRS) for pair in pairs)
groups_shown = {groups[i] for i in worst}
text = (
    f"This network misclassifies **{len(wrong)}** of {n_clips} test clips; the "
    f"strips show {len(worst)} of them, from {len(groups_shown)} groups."
)
if reversed_pairs:
    text += f" {reversed_pairs} times an action is predicted as its reverse."
Markdown(text)

# %% [markdown]
# For each clip, ask yourself: would *you* have recognised the action from these frames? If not, the frames are the problem: too few, too far apart, or too small (the network saw them even smaller). If you would, the network is the problem. On the puppets you would. Most of these clips are predicted as the reverse action, because a 2D network can't use the order of frames. If several clips come from one group, the room or the person may mislead the network. That is why we resampled groups for the confidence interval.
#
# ## Check yourself
#
# 1. Two networks score 0.78 and 0.81 on 100 test clips. Which is better?
# 2. Your network never predicts *PutDown*. What are its recall and its precision for that class?
# 3. The tutorial takes labels and predictions from different passes. Why does this do no harm on the test set?
# 4. You test on 1,000 clips cut from ten recordings. Which bootstrap do you trust, the one that resamples clips or the one that resamples groups? What would make its interval narrower?
# 5. A network is perfectly calibrated. Is it a good network?
#
# <details><summary>Answers</summary>
#
# 1. You can't tell. They differ by three clips. Even if they agreed on all other clips, one of two equally good networks would win all three one time in four, as three tosses of a coin come out alike.
# 2. Recall 0, precision undefined.
# 3. The test set is not shuffled: both passes come in the same order.
# 4. The one that resamples groups. More recordings would make it narrower; more clips from the same ten recordings would hardly help.
# 5. Not necessarily. A network that gives each of ten equally frequent classes a probability of 0.1 is calibrated, and useless.
#
# </details>
#
# ## On your own
#
# - Train a network for two epochs only (`training.train(run, epochs=2)`) and plot its confusion matrix. Does it confuse each action only with its reverse, as the 2D network does?
# - Divide all logits by 2 before the softmax. What happens to the accuracy, and to the reliability diagram? Which divisor gives the smallest calibration error on the *validation* clips? (This is *temperature scaling*.)
#
# Next: [Don't trust a leaky split](leaky_split.ipynb) shows how to tell whether a test was fair. The two chapters after that examine what a network bases its predictions on. The page [Results](../book/results.md) lists the accuracies of the recorded runs.
