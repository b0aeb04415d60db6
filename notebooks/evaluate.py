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
# **What you'll do:** judge a trained network on clips that it has never seen, and find out which actions it mistakes for which, and why.
#
# **What you'll learn**
#
# - to put an error bar beside an accuracy, and to make it long enough;
# - to match labels and predictions without falling into a trap that the tutorial falls into;
# - to judge a clip by several excerpts;
# - to read a confusion matrix, of ten classes and of a hundred;
# - to tell a network that names an action too often from one that misses it: precision and recall;
# - to find out whether its probabilities mean what they say;
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
from sklearn import metrics

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
from helpers.recipes import RECIPES

# %% [markdown]
# ## Get a trained network
#
# `training.train` loads the network of an earlier run with the same settings, or else trains it. `predict_probabilities` asks it about each test clip once.

# %%
run = settings.current()
model, _ = training.train(run)
folders = archive.fetch_clips(run)
data = training.load_splits(folders, run)
test_ds, labels = data["test"], data["test"].class_names
actual, probabilities = evaluation.predict_probabilities(model, test_ds)
predicted = probabilities.argmax(axis=1)

# %% mystnb={"image": {"alt": "Confusion matrix of the test clips: actual actions in rows, predicted ones in columns, most clips on the diagonal."}}
axis = plots.plot_confusion_matrix(actual, predicted, labels, "Test clips")

# %% [markdown]
# This picture is the chapter's goal: every row is an action, and tells what the network took its clips for. Let us get there properly.
#
# ## Ask for one number
#
# In training each clip starts at a random frame. To judge, it is read from the middle, and its frames are neither mirrored nor cropped: the same network gets the same score each time.

# %% tags=["nbval-check-output"]
once, again = (
    model.evaluate(test_ds, verbose=0, return_dict=True) for _ in range(2)
)
print("the same score twice:", np.isclose(once["accuracy"], again["accuracy"]))

# %%
print(f"test loss {once['loss']:.2f}, test accuracy {once['accuracy']:.2f}")

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
# The truth lies within one standard error about two times in three, within two of them about 19 times in 20. Close to 0 and to 1 the formula breaks down: at no mistake in *n* clips it gives an error of 0, but a network that errs on 3/*n* of all clips
# gets through such a test without a mistake one time in twenty. (The bootstrap of the next section is too sure there as well: of clips that are nearly all right it draws hardly any others.)
#
# ## Draw groups, not clips
#
# The formula takes the clips for strangers to each other. They aren't: those of a [group](../book/glossary.md#group) show one person in one room, so the network gets most of them right together, or wrong together. Here is the worst case. Copy each test clip nine times, and judge the same network on all
# copies. **Predict:** what becomes of the accuracy, and what of its error bar?
#
# The *bootstrap* needs no formula. It draws a new test set from the clips at hand, with replacement, so that some come twice and others not at all; takes the accuracy; does so ten thousand times; and tells between which bounds 95 in 100 of these accuracies lie. Let a network be right on all clips of 30 groups, and wrong on those of 20 others:

# %% tags=["nbval-check-output"]
for copies in (1, 9):
    right, groups = (
        np.repeat([True] * 30 + [False] * 20, copies),
        np.repeat(range(50), copies),
    )
    for unit, numbers in (("clips", range(len(right))), ("groups", groups)):
        low, high = evaluation.bootstrap_accuracy(right, numbers)
        print(
            f"{copies} a group, drawing {unit:6}: {np.mean(right)}, {low:.2f} to {high:.2f}"
        )

# %% [markdown]
# Nine copies teach nothing new, yet drawing clips makes the bounds three times as narrow. Drawing whole groups is not deceived. Clips of one group are alike, but no copies. Drawing groups needn't be told how alike: the less they are, the nearer its bounds come to those of drawing clips. So believe the groups. (On the puppets, a pair of actions shares its figures and rooms, so that *SitDown* 7 and *StandUp* 7 are one group.)

# %%
groups = evaluation.group_names(test_ds.files, sharing=puppets.PAIRS)
right = predicted == actual
for unit, numbers in (("clips", range(n_clips)), ("groups", groups)):
    low, high = evaluation.bootstrap_accuracy(right, numbers)
    print(
        f"drawing {unit:6}: accuracy {right.mean():.2f}, {low:.2f} to {high:.2f}"
    )

# %% tags=["remove-input", "nbval-check-output"]
drawn = records.select_runs(
    records.load_results("puppets-short"), network="small_resnet"
)
real = records.runs_of_recipe(
    records.load_results("ucf101-64"), RECIPES["book"]
)


def bounds(run, numbers):
    right = np.equal(run["actual"], run["predicted"])
    low, high = evaluation.bootstrap_accuracy(right, numbers)
    return f"{low:.2f} to {high:.2f}"


rows = []
for one in real:
    by_clip, by_group = (
        range(len(one["clips"])),
        evaluation.group_names(one["clips"]),
    )
    score = f"{one['test']['accuracy']:.2f}"
    rows.append(
        (
            one["recipe"]["seed"],
            score,
            bounds(one, by_clip),
            bounds(one, by_group),
        )
    )
Markdown(
    "The same for three recorded networks on real clips, ten classes of UCF101; a test group has one to four clips:\n\n"
    + records.markdown_table(
        ("seed", "test accuracy", "drawing clips", "drawing groups"), rows
    )
    + "\n\nDrawing groups makes the bounds wider by about a third. And they tell only how far *these test clips* can be trusted. That the three networks differ is another matter."
)

# %% [markdown]
# A network is a sample, too: another seed, other first weights, another order of clips.

# %% tags=["remove-input", "nbval-check-output"]
best = records.select_runs(
    records.load_results("ucf101-112"), network="small_resnet"
)
rows = [
    (label, records.mean_and_range(records.accuracies(runs, "test")), len(runs))
    for label, runs in {
        "the puppets, as in the chapter Train": records.select_runs(
            drawn, conv="2plus1d"
        ),
        "real clips, by the recipe of the chapter before, 112 pixels": best,
        "the same with 64 pixels and fewer epochs": real,
    }.items()
]
Markdown(
    records.markdown_table(
        ("recorded", "test accuracy: mean, worst and best", "seeds"), rows
    )
    + f"\n\n(Machine: {real[0]['hardware']}; the page [Results](../book/results.md) has sizes and commands.)\n\n"
    "An accuracy without its spread is an anecdote."
)

# %% [markdown]
# ## Look at a video more than once
#
# A network sees ten frames. Of a long video that is a glance at its middle. So [the paper](https://arxiv.org/abs/1711.11248) takes ten excerpts of each, at even distances from its beginning to its end, and averages their probabilities. (It calls them clips, and what we call a clip, a video.) It costs ten times the work. **Predict:** what does
# it buy on clips that are hardly longer than ten frames at our frame step?

# %%
excerpts = evaluation.predict_clips(model, test_ds.files, 3, run.sampling)
print("clips, excerpts, classes:", excerpts.shape)
averaged = excerpts.mean(axis=1).argmax(axis=1)
print(f"the middle: accuracy {right.mean():.2f}")
print(f"three excerpts, averaged: accuracy {np.mean(averaged == actual):.2f}")

# %% tags=["remove-input", "nbval-check-output"]
kinds = {
    "puppets": records.select_runs(drawn, conv="2plus1d"),
    "real clips": real,
}
rows = [
    (
        n,
        *(
            records.mean_and_range(
                [run["several_clips"][str(n)] for run in runs]
            )
            for runs in kinds.values()
        ),
    )
    for n in evaluation.CLIPS_PER_VIDEO
]
Markdown(
    "Recorded, three seeds each; mean, worst and best:\n\n"
    + records.markdown_table(("excerpts of a clip", *kinds), rows)
)

# %% [markdown]
# More excerpts help only where they show something new. On the puppets one network of the three gains a few points. On the real clips even ten gain no more than the seeds differ by: more than half of these clips are shorter than ten frames at a distance of 15 need, and of those all ten excerpts are one and the same. On videos of
# minutes it is another story; the chapter [Try your own video](own_video.ipynb) has some.
#
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
    np.mean(labels == predicted)
    for labels, predicted in itertools.pairwise(passes)
]
print(
    f"accuracy of a perfect model, judged in two passes: {np.mean(accuracies):.2f}"
)

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
# itself and averages over them. **Predict:** what does its matrix look like? (In the code, `drawn`, and below it `best` and `real`, are lists of recorded runs, loaded in hidden cells.)

# %% mystnb={"image": {"alt": "Confusion matrix of a network with 2D convolutions on the puppets. The rows of an action and of its reverse are equal: what one is taken for, so is the other."}} tags=["nbval-check-output"]
blind = records.select_runs(drawn, conv="2d")[0]
axis = plots.plot_confusion_matrix(
    blind["actual"],
    blind["predicted"],
    blind["class_names"],
    "Test clips, 2D convolutions",
)
print(f"accuracy {blind['test']['accuracy']:.2f}")

# %% [markdown]
# Compare the rows two by two: an action's row equals that of its reverse. The network knows sitting from leaning, but not sitting down from standing up. The chapter [Load video](load_video.ipynb) proved that it can't: a clip and its reverse hold the same
# frames, and a network without order gives both the same answer, so at least one of the two is wrong. An accuracy alone would have told you *that* half is wrong; the matrix tells you *which* half, and so why.
#
# Real mistakes are less tidy. Here are the recorded networks on the test clips of UCF101, all seeds added up:

# %% mystnb={"image": {"alt": "Confusion matrix of ten classes of UCF101, thirty predictions a row. Most lie on the diagonal; others gather in a few places off it."}} tags=["nbval-check-output"]
truth = np.concatenate([run["actual"] for run in best])
named = np.concatenate([run["predicted"] for run in best])
classes = best[0]["class_names"]
axis = plots.plot_confusion_matrix(
    truth, named, classes, f"Test clips, {len(best)} seeds"
)
pairs = [(a, b) for a, b in zip(truth, named) if a != b]
for a, b in sorted(set(pairs), key=pairs.count, reverse=True)[:5]:
    print(f"{pairs.count((a, b)):2} × {classes[a]} taken for {classes[b]}")

# %% [markdown]
# Three columns are too full: lunges, rope jumping and trampoline jumping. Some of the mistakes can be understood: squats, up and down in one place, are taken for rope jumping. Others can't, from the matrix alone: why should walking on one's hands be a lunge? The matrix tells where to look; why, only clips can tell. (Below we look at those of the puppets.)
#
# Now the training set of the (2+1)D network, in one pass:

# %% mystnb={"image": {"alt": "Confusion matrix of the training clips, actual actions in rows and predicted ones in columns."}}
actual_train, predicted_train = evaluation.get_actual_predicted_labels(
    model, train_ds
)
axis = plots.plot_confusion_matrix(
    actual_train, predicted_train, labels, "Training clips"
)

# %% tags=["remove-input"]
Markdown(
    f"It gets {np.mean(actual_train == predicted_train):.0%} of the training clips right, each from a random start, "
    f"and {np.mean(actual == predicted):.0%} of the test clips, from the middle. "
    "Were the first number much the larger, it would have learnt its clips by heart."
)

# %% [markdown]
# ## Read a hundred classes
#
# UCF101 has 101 classes. Their matrix has ten thousand numbers, and nobody reads these. Shades must do; and as a single spot off the diagonal is easily missed, a list of the most frequent mistakes belongs beside them. Here the predictions are invented: a network that is right
# three times in four, but takes each fifth class, half of the time, for the one twenty places on.

# %% mystnb={"image": {"alt": "Confusion matrix of 101 invented classes in shades of blue without numbers: a dark diagonal, a pale dust of mistakes, and in every fifth row a second spot, which together make a dotted line beside the diagonal."}} tags=["nbval-check-output"]
draw = np.random.default_rng(0)
truth = np.repeat(np.arange(101), 25)
named = np.where(
    draw.random(truth.size) < 0.75, truth, draw.integers(101, size=truth.size)
)
swapped = (truth % 5 == 0) & (draw.random(truth.size) < 0.5)
named[swapped] = (truth[swapped] + 20) % 101
many = [f"class {i}" for i in range(101)]
axis = plots.plot_confusion_matrix(
    truth, named, many, "Invented: 101 classes, 25 clips each"
)
counts = np.zeros((101, 101), int)
np.add.at(counts, (truth, named), 1)
np.fill_diagonal(counts, 0)
for i in np.argsort(-counts, axis=None, kind="stable")[:5]:
    print(
        f"{counts.flat[i]:2} of 25 × {many[i // 101]} taken for {many[i % 101]}"
    )

# %% [markdown]
# ## Ask for precision and recall
#
# Accuracy mixes all classes. For each one, two questions:
#
# - [Precision](../book/glossary.md#precision): when the network says *jump*, how often is it right?
# - [Recall](../book/glossary.md#recall): of all clips that are *jump*, how many does it find?
#
# By hand, on a small matrix: precision goes down a column, recall along a row. F1 is the harmonic mean of the two, which lies nearer to the smaller one, the more so the further they are apart: a network can't make up for a poor precision by a perfect recall.

# %% tags=["nbval-check-output"]
small = np.array(
    [[6, 2, 0], [1, 5, 2], [0, 1, 3]]
)  # rows: actual; columns: predicted
hits = np.diag(small)
small_precision = hits / small.sum(axis=0)  # 6 / 7, 5 / 8, 3 / 5
small_recall = hits / small.sum(axis=1)  # 6 / 8, 5 / 8, 3 / 4
f1 = 2 * small_precision * small_recall / (small_precision + small_recall)
print(np.stack([small_precision, small_recall, f1]).round(2))

# %% [markdown]
# From here on scikit-learn counts. It gets the clips of that matrix, one by one, and finds the same:

# %% tags=["nbval-check-output"]
rows, columns = np.indices(small.shape)
clips = [
    np.repeat(numbers.ravel(), small.ravel()) for numbers in (rows, columns)
]
found = metrics.precision_recall_fscore_support(*clips)[:3]
print(
    "scikit-learn agrees:",
    np.allclose(found, [small_precision, small_recall, f1]),
)

# %% mystnb={"image": {"alt": "Dot plot with one row for each action: a filled circle for precision, an open diamond for recall."}}
precision, recall = evaluation.calculate_classification_metrics(
    actual, predicted, labels
)
axis = plots.plot_precision_recall(precision, recall)

# %% [markdown]
# With F1 and the number of clips, as scikit-learn reports it:

# %%
print(
    metrics.classification_report(
        actual, predicted, target_names=labels, zero_division=np.nan
    )
)

# %% [markdown]
# What is the precision of an action that is never predicted? No right answers out of no answers: 0/0. The tutorial's division gives `nan`, *not a number*, and a warning about dividing. Here it is `nan` as well, and the warning names the class.

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
# ## Hear its second guess
#
# With many classes, some of which even people mix up, one also asks whether the truth is among the *k* likeliest: *top-k accuracy*. **Predict:** on the puppets, what is the top-2 accuracy of the network that can't tell an action from its reverse?


# %% tags=["remove-input", "nbval-check-output"]
def top(run, k):
    names = range(len(run["class_names"]))
    return metrics.top_k_accuracy_score(
        run["actual"], run["probabilities"], k=k, labels=names
    )


kinds = {
    "puppets, 2D": records.select_runs(drawn, conv="2d"),
    "puppets, (2+1)D": records.select_runs(drawn, conv="2plus1d"),
    "real clips, (2+1)D": real,
}
rows = [
    (
        label,
        *(
            records.mean_and_range([top(run, k) for run in runs])
            for k in (1, 2, 3, 5)
        ),
    )
    for label, runs in kinds.items()
]
Markdown(
    "Recorded, three seeds each; mean, worst and best:\n\n"
    + records.markdown_table(
        ("recorded", "top 1", "top 2", "top 3", "top 5"), rows
    )
)

# %% [markdown]
# `metrics.top_k_accuracy_score(actual, probabilities, k=2)` from scikit-learn counts it. The 2D network's second guess is the reverse of its first: with two guesses it is nearly always right. Mind what you compare with: by chance, top-*k* among *n* classes is right *k* times in *n*.
#
# ## Ask whether it means what it says
#
# The network says more than a name: a probability. If it says 0.8 of a hundred clips, about eighty should be right; then its probabilities are *calibrated*. To see whether they are, sort the predictions into ten bins by the probability of the class named, the *confidence*, and count in each how many are right
# ([Guo et al. 2017](https://arxiv.org/abs/1706.04599)).


# %% mystnb={"image": {"alt": "Reliability diagram of recorded networks on real clips: confidence from left to right, share of right predictions upwards, a dot for each bin with its number of clips, the dotted diagonal for perfect calibration."}}
def gather(runs):
    """Return of all runs' predictions whether they are right, and how sure they were."""
    right = np.concatenate(
        [np.equal(run["actual"], run["predicted"]) for run in runs]
    )
    return right, np.concatenate(
        [np.max(run["probabilities"], axis=1) for run in runs]
    )


axis = plots.plot_reliability(*evaluation.reliability_bins(*gather(real)))


# %% tags=["remove-input"]
def calibration(runs):
    right, confidence = gather(runs)
    scores = (
        np.mean(confidence),
        np.mean(right),
        calibration_error(right, confidence),
    )
    return [f"{score:.2f}" for score in scores]


def calibration_error(right, confidence):
    said, true, number = evaluation.reliability_bins(right, confidence)
    return np.sum(number * np.abs(said - true)) / np.sum(number)


_, sure = gather(real)
rng = np.random.default_rng(0)
by_chance = [
    calibration_error(rng.random(len(sure)) < sure, sure) for _ in range(1000)
]

# %% tags=["remove-input", "nbval-check-output"]
header = (
    "recorded, three seeds each",
    "mean confidence",
    "accuracy",
    "expected calibration error",
)
kinds = {
    "puppets": records.select_runs(drawn, conv="2plus1d"),
    "real clips": real,
}
Markdown(
    records.markdown_table(
        header, [(label, *calibration(runs)) for label, runs in kinds.items()]
    )
    + "\n\nThe expected calibration error is the mean distance from the diagonal, each bin weighted by its clips. "
    f"Were the three networks on real clips calibrated perfectly, {len(sure)} predictions of this confidence would still show {np.mean(by_chance):.2f}, by chance."
)

# %% [markdown]
# Below the diagonal a network is surer than it should be, above it less sure. On the puppets it is right more often than it says: six epochs were enough for the answers, it seems, but not for the certainty. On the real clips most dots lie below. Don't read much into few clips, though: even the predictions of a
# perfectly calibrated network stray from the diagonal, as the sentence below the table says.
#
# ## Look at the clips
#
# A matrix tells *what* goes wrong. The clips tell *why*. So look at the mistakes, the surest first. On the puppets a finished network makes too few of them to learn from; where there are fewer than twelve, we look at one that was trained for two epochs only.

# %%
examined = model
if np.sum(predicted != actual) < 12:
    examined, _ = training.train(
        run, epochs=2, test=False, log=lambda line: None
    )
_, guesses = evaluation.predict_probabilities(examined, test_ds)
sure, named = guesses.max(axis=1), guesses.argmax(axis=1)
wrong = np.flatnonzero(named != actual)
worst = wrong[np.argsort(-sure[wrong])][:12]

# %% mystnb={"image": {"alt": "Twelve film strips of test clips that the network gets wrong, the surest mistake first, each with its true action, the one named, and how sure the network was."}}
larger = {
    "output_size": (90, 120),
    "frame_step": run.frame_step,
    "start": "center",
}
clips = [
    video.frames_from_video_file(test_ds.files[i], run.n_frames, **larger)
    for i in worst
]
titles = [
    f"{labels[actual[i]]}, named {labels[named[i]]} ({sure[i]:.2f})"
    for i in worst
]
figure = plots.plot_film_strip(clips, titles)

# %% tags=["remove-input"]
pairs = [{labels[actual[i]], labels[named[i]]} for i in worst]
reversed_pairs = sum(pair in map(set, puppets.PAIRS) for pair in pairs)
rooms = set(
    evaluation.group_names(
        [test_ds.files[i] for i in worst], sharing=puppets.PAIRS
    )
)
Markdown(
    f"Of {n_clips} test clips this network takes **{len(wrong)}** for something else; the strips show {len(worst)} of them, from {len(rooms)} groups."
    + (
        f" {reversed_pairs} times an action is named as its reverse."
        if reversed_pairs
        else ""
    )
)

# %% [markdown]
# Ask of each: would *you* have known, from these frames? If not, the frames are at fault: too few, too far apart, or too small (the network saw them smaller). If you would, the network is at fault. On the puppets you would: most are the reverse of what was named, so this network has not quite learnt the order of frames yet. Do several come from one group? Then it may be
# the room or the figure that misleads it, and that is what the interval over groups is about.
#
# ## Check yourself
#
# 1. Two networks score 0.78 and 0.81 on 100 test clips. Which is better?
# 2. Your network never predicts *PutDown*. What are its recall and its precision for that class?
# 3. Why does the tutorial's mistake not show on the test set?
# 4. You test on 1,000 clips, cut from ten recordings. Which of the two bootstraps do you believe, and what would make its interval narrower?
# 5. A network says 0.9 of each of its predictions, and is right on 9 in 10. Is it a good one?
#
# <details><summary>Answers</summary>
#
# 1. Nobody knows. They differ by three clips; even if they disagreed on these three only, three tosses of a coin fall alike one time in four.
# 2. Recall 0, precision undefined.
# 3. The test set is not shuffled: both passes come in the same order.
# 4. That over groups. More recordings; more clips of the same ten hardly help.
# 5. It is calibrated. A network that says 0.1 of everything among ten balanced classes is calibrated too, and useless.
#
# </details>
#
# ## On your own
#
# - Draw the confusion matrix of the network of two epochs. Does it, too, mistake actions for their reverse only?
# - Divide all logits by 2 before the softmax. What happens to the accuracy, and what to the reliability diagram? Which number on the *validation* clips gives the least calibration error? (That is *temperature scaling*.)
#
# Next: [Don't trust a leaky split](leaky_split.ipynb), on whether a test was fair. Two chapters after it ask what a network goes by. What recorded runs have reached stands on the page [Results](../book/results.md).
