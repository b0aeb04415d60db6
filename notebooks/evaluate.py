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
# # Evaluate: confusion matrix, precision and recall, confidence intervals, calibration
#
# **What you'll do:** test a trained network on clips that it has never seen, and find out which actions it confuses, and why.
#
# **What you'll learn**
#
# - how to put an error bar beside an accuracy, and make it long enough;
# - how to match labels and predictions without falling into a trap that the tutorial falls into;
# - how to classify a clip from several excerpts;
# - how to read a confusion matrix, of ten classes and of a hundred;
# - how to measure, with precision and recall, whether a network predicts an action too often or misses it;
# - how to find out whether its probabilities are calibrated;
# - how to look at the clips themselves, where the reasons are.
#
# **What you'll need:** a trained network. If you have run the chapter [Train](train.ipynb), this chapter uses your network. If not, it trains one first: on two CPU cores, a short run takes a minute or two; on a GPU, a full run takes an hour or more.

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
from helpers.recipes import RECIPES

# %% [markdown]
# ## Get a trained network
#
# `training.train` loads the network of an earlier run with the same settings, or trains it. `predict_probabilities` applies it once to each test clip.

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
# This matrix is the goal of the chapter: each row is an action, and shows which classes its clips were predicted as. Let us get there step by step.
#
# ## Measure the test accuracy
#
# In training, each clip starts at a random frame. For the evaluation, frames come from the middle of the clip and are neither flipped nor cropped. So the same network gets the same score each time.

# %% tags=["nbval-check-output"]
once, again = (
    model.evaluate(test_ds, verbose=0, return_dict=True) for _ in range(2)
)
same = np.isclose(once["accuracy"], again["accuracy"])
print("same score in both evaluations:", same)

# %%
print(f"test loss {once['loss']:.2f}, test accuracy {once['accuracy']:.2f}")

# %% [markdown]
# How much is that number worth? The test set is a sample. Other clips would give another accuracy, and the [standard error](../book/glossary.md#standard-error) estimates how different it would be. For an accuracy $p$ on $n$ clips it is
#
# $$\sqrt{\frac{p\,(1 - p)}{n}}$$

# %% tags=["nbval-check-output"]
n_clips = len(actual)
for accuracy in (0.5, 0.75, 0.9):
    error = np.sqrt(accuracy * (1 - accuracy) / n_clips)
    print(f"{accuracy} on {n_clips} clips: ± {error:.2f}")

# %% [markdown]
# The true accuracy lies within one standard error about two times in three, and within two standard errors about 19 times in 20. Close to 0 and to 1 the formula breaks down. With no mistake on $n$ clips it gives an error of 0, but a network that errs on $3/n$ of all clips
# passes such a test without a mistake one time in twenty. (The bootstrap in the next section is overconfident there as well: from clips that are nearly all correct, it draws hardly any others.)
#
# ## Compute a bootstrap confidence interval over groups
#
# The formula assumes that clips are independent. They aren't: the clips of a [group](../book/glossary.md#group) show one person in one room, so the network gets most of them right together, or wrong together. Here is the worst case. Copy each test clip nine times, and evaluate the same network on all
# copies. **Predict:** what happens to the accuracy, and to its error bar?
#
# The *bootstrap* needs no formula. It draws a new test set from the clips at hand, with replacement, so that some clips appear twice and others not at all, and computes the accuracy. It repeats this ten thousand times, and reports the interval that contains 95 in 100 of these accuracies. Suppose a network is right on all clips of 30 groups, and wrong on all clips of 20 others:

# %% tags=["nbval-check-output"]
for copies in (1, 9):
    correct = np.repeat([True] * 30 + [False] * 20, copies)
    groups = np.repeat(range(50), copies)
    for unit, numbers in (("clips", range(len(correct))), ("groups", groups)):
        low, high = evaluation.bootstrap_accuracy(correct, numbers)
        interval = f"{np.mean(correct)}, {low:.2f} to {high:.2f}"
        print(f"{copies} per group, drawing {unit:6}: {interval}")

# %% [markdown]
# Nine copies add no information, yet drawing clips makes the interval three times as narrow. Drawing complete groups is not deceived. Real clips of one group are similar, but not copies. When you draw groups, you need not know how similar they are: the less similar, the closer the interval comes to that of drawing clips. So trust the groups. (On the puppets, the two actions of a pair share their figures and rooms, so *SitDown* 7 and *StandUp* 7 are one group.)

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
# A network is a sample, too: it depends on a seed, which sets its initial weights and the order of the clips.

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
# ## Classify a video from several excerpts
#
# A network sees ten frames. In a long video, that is a glance at the middle. Therefore [the paper](https://arxiv.org/abs/1711.11248) takes ten excerpts from each video, evenly spaced from its beginning to its end, and averages their probabilities. (It calls the excerpts clips, and what we call a clip a video.) This takes ten times the computation. **Predict:** what does
# it gain on clips that are hardly longer than ten frames at our frame step?

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
# More excerpts help only if they show something new. On the puppets, one of the three networks gains a few points. On the real clips, even ten excerpts gain no more than the difference between seeds: more than half of these clips are shorter than ten frames at a frame step of 15 require, and all ten excerpts of such a clip are identical. Videos that last
# minutes are different; the chapter [Try your own video](own_video.ipynb) has some.
#
# ## Match labels and predictions
#
# For everything that follows we need two lists: the true class of each clip, and its predicted class. It seems natural to collect the labels first and then let `model.predict` iterate over the data set. On a
# test set that works. But the training set is *shuffled again in each pass*, so label 17 then belongs to a different clip than prediction 17.
#
# **Predict:** suppose we evaluate a perfect model, which is always right, in this way. Which accuracy does it get?


# %% tags=["nbval-check-output"]
def pass_over_labels(dataset):
    return np.concatenate([labels for _, labels in dataset])


train_ds = data["train"]
passes = [pass_over_labels(train_ds) for _ in range(10)]
# A perfect model's predictions in one pass are that pass's labels.
accuracies = [
    np.mean(labels == predicted)
    for labels, predicted in itertools.pairwise(passes)
]
print(f"perfect model, evaluated in two passes: {np.mean(accuracies):.2f}")

# %% [markdown]
# Chance. The tutorial makes its confusion matrix of the training set in this way: it shows noise, whatever the model. `get_actual_predicted_labels` takes labels and
# predictions from the same batch, in one pass, so it doesn't matter whether a data set is shuffled.
#
# ## Read the confusion matrix
#
# You have seen the matrix of the test clips above. Correct predictions lie on the diagonal. Elsewhere, row and column name the mistake. Look for:
#
# - **a mirrored pair** of mistakes: two actions that the network can't tell apart. On the puppets, watch the reversed pairs: a mistake there means that the network ignores the order of frames;
# - **a full column**: an action that it predicts too often;
# - **an empty column**: an action that it never predicts.
#
# On the puppets, a (2+1)D network makes hardly any mistakes. So here is a network that must make them. It was trained on the same clips for as long, but with 2D convolutions, so it processes every frame on
# its own and averages over them. **Predict:** what does its matrix look like? (In the code, `drawn`, and below it `best` and `real`, are lists of recorded runs, loaded in hidden cells.)

# %% mystnb={"image": {"alt": "Confusion matrix of a network with 2D convolutions on the puppets. The row of an action equals the row of its reverse."}} tags=["nbval-check-output"]
run_2d = records.select_runs(drawn, conv="2d")[0]
parts = (run_2d[name] for name in ("actual", "predicted", "class_names"))
axis = plots.plot_confusion_matrix(*parts, "Test clips, 2D convolutions")
print(f"accuracy {run_2d['test']['accuracy']:.2f}")

# %% [markdown]
# Compare the rows in pairs: the row of an action equals that of its reverse. The network can tell sitting from leaning, but not sitting down from standing up. The chapter [Load video](load_video.ipynb) proved that it can't: a clip and its reverse contain the same
# frames, and a network that ignores order gives both the same answer, so at least one of the two is wrong. The accuracy alone would have shown you *that* half of the predictions are wrong. The matrix shows you *which* half, and therefore why.
#
# Real mistakes are less tidy. Here are the recorded networks on the test clips of UCF101, summed over all seeds:

# %% mystnb={"image": {"alt": "Confusion matrix of ten classes of UCF101 with thirty predictions per row. Most lie on the diagonal; others gather in a few cells off it."}} tags=["nbval-check-output"]
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
# Three columns are too full: lunges, rope jumping and trampoline jumping. Some of the mistakes make sense: squats, up and down on the spot, are confused with rope jumping. Others don't, from the matrix alone: why should walking on one's hands look like a lunge? The matrix shows where to look; only the clips can show why. (Below we look at those of the puppets.)
#
# Here is the training set of the (2+1)D network, in one pass:

# %% mystnb={"image": {"alt": "Confusion matrix of the training clips, actual actions in rows and predicted ones in columns."}}
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
# UCF101 has 101 classes. Their matrix has ten thousand numbers, which nobody reads. It needs shades instead. Because a single spot off the diagonal is easily missed, put a list of the most frequent mistakes beside it. Here the predictions are invented: the network is right
# three times in four, but half of the time it confuses each fifth class with the class twenty positions further on.

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
# Accuracy mixes all classes. For each class, ask two questions:
#
# - [Precision](../book/glossary.md#precision): when the network predicts *jump*, how often is it right?
# - [Recall](../book/glossary.md#recall): of all *jump* clips, how many does it find?
#
# Compute them by hand on a small matrix: precision goes down a column, recall along a row. F1 is the harmonic mean of the two. It lies closer to the smaller one, and the more so the further they are apart: perfect recall can't make up for poor precision.

# %% tags=["nbval-check-output"]
# Rows: actual; columns: predicted.
small = np.array([[6, 2, 0], [1, 5, 2], [0, 1, 3]])
hits = np.diag(small)
small_precision = hits / small.sum(axis=0)  # 6 / 7, 5 / 8, 3 / 5
small_recall = hits / small.sum(axis=1)  # 6 / 8, 5 / 8, 3 / 4
f1 = 2 * small_precision * small_recall / (small_precision + small_recall)
print(np.stack([small_precision, small_recall, f1]).round(2))

# %% [markdown]
# From here on, scikit-learn does the counting. It gets the clips of that matrix, one by one, and finds the same values:

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
# Here they are with F1 and the number of clips (*support*), as scikit-learn reports them:

# %%
print(
    metrics.classification_report(
        actual, predicted, target_names=labels, zero_division=np.nan
    )
)

# %% [markdown]
# What is the precision of an action that is never predicted? No correct predictions out of no predictions: $0/0$. The tutorial's division gives `nan`, *not a number*, and a warning about division. In this book it is `nan` as well, and the warning names the class.

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
# ## Compute the top-k accuracy
#
# With many classes, some of which even people confuse, it is also useful to ask whether the true class is among the $k$ most likely ones: the *top-k accuracy*. **Predict:** on the puppets, what is the top-2 accuracy of the network that can't tell an action from its reverse?


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
# `metrics.top_k_accuracy_score(actual, probabilities, k=2)` in scikit-learn computes it. The 2D network's second guess is the reverse of its first, so with two guesses it is nearly always right. Compare with chance: with $n$ classes, the top-$k$ accuracy of guessing is $k/n$.
#
# ## Check whether the probabilities are calibrated
#
# The network gives more than a class: a probability. If it gives 0.8 for each of a hundred clips, about eighty of them should be right; then its probabilities are *calibrated*. To check this, sort the predictions into ten bins by the probability of the predicted class, the *confidence*, and count how many are right in each bin
# ([Guo et al. 2017](https://arxiv.org/abs/1706.04599)).


# %% mystnb={"image": {"alt": "Reliability diagram of recorded networks on real clips: the share of correct predictions against the confidence, with a dot and the number of clips for each bin. The dotted diagonal marks perfect calibration."}}
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
# Below the diagonal a network is overconfident; above it, underconfident. On the puppets it is right more often than its confidence says: six epochs seem to be enough for the answers, but not for the certainty. On the real clips most dots lie below the diagonal. But don't read too much into few clips: even the predictions of a
# perfectly calibrated network deviate from the diagonal, as the sentence below the table shows.
#
# ## Look at the mistakes
#
# A matrix shows *what* goes wrong. The clips show *why*. So look at the mistakes, the most confident ones first. On the puppets, a fully trained network makes too few mistakes to learn from. If there are fewer than twelve, we look at a network that was trained for two epochs only.

# %%
examined = model
if np.sum(predicted != actual) < 12:
    examined, _ = training.train(
        run, epochs=2, test=False, log=lambda line: None
    )
_, probabilities = evaluation.predict_probabilities(examined, test_ds)
confidence, guessed = probabilities.max(axis=1), probabilities.argmax(axis=1)
wrong = np.flatnonzero(guessed != actual)
worst = wrong[np.argsort(-confidence[wrong])][:12]

# %% mystnb={"image": {"alt": "Twelve film strips of misclassified test clips, the most confident mistake first, each with its true action, the predicted action and the confidence."}}
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
# Ask of each clip: would *you* have recognised the action from these frames? If not, the frames are the problem: too few, too far apart, or too small (the network saw them even smaller). If you would, the problem is the network. On the puppets you would: most of these clips show the reverse of the predicted action, so this network has not quite learned the order of frames yet. Do several clips come from one group? Then
# the room or the figure may mislead the network, and that is why we computed an interval over groups.
#
# ## Check yourself
#
# 1. Two networks score 0.78 and 0.81 on 100 test clips. Which is better?
# 2. Your network never predicts *PutDown*. What are its recall and its precision for that class?
# 3. Why doesn't the tutorial's mistake show on the test set?
# 4. You test on 1,000 clips, cut from ten recordings. Which of the two bootstraps do you trust, and what would make its interval narrower?
# 5. A network gives each of its predictions a confidence of 0.9, and 9 in 10 are right. Is it a good network?
#
# <details><summary>Answers</summary>
#
# 1. Nobody knows. They differ by three clips; even if they disagreed on these three only, three coin tosses come out alike one time in four.
# 2. Recall 0, precision undefined.
# 3. The test set is not shuffled: both passes come in the same order.
# 4. The one over groups. More recordings would; more clips of the same ten recordings hardly help.
# 5. It is calibrated. But a network that gives each of ten balanced classes a probability of 0.1 is calibrated, too, and useless.
#
# </details>
#
# ## On your own
#
# - Plot the confusion matrix of the network that was trained for two epochs. Does it, too, confuse actions only with their reverse?
# - Divide all logits by 2 before the softmax. What happens to the accuracy, and to the reliability diagram? Which divisor gives the smallest calibration error on the *validation* clips? (This is *temperature scaling*.)
#
# Next: [Don't trust a leaky split](leaky_split.ipynb) asks whether a test was fair. The two chapters after it ask what a network's predictions are based on. The page [Results](../book/results.md) lists what recorded runs have reached.
