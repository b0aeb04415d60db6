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
# # Don't trust a leaky split: data leakage between training and test set
#
# **What you'll do:** get a pleasing accuracy, doubt it, find the cause in the file names, and measure how much of the accuracy was *data leakage*.
#
# **What you'll learn**
#
# - what a test clip gives away if a sister clip, one from the same group, is in the training set;
# - how to turn such a leak up and down, and watch the accuracy follow;
# - how to split by group, and how to check a split that someone else has made;
# - how to put a published accuracy into context, fairly.
#
# **What you'll need:** the chapters [Load video](load_video.ipynb) and [Evaluate](evaluate.ipynb). The networks trained here are small: two CPU cores need two minutes.

# %% tags=["hide-input"]
# Install the book's helpers and their dependencies if they are missing, as they are in Colab.
try:
    import helpers.archive
except ModuleNotFoundError:
    # %pip install --quiet git+https://github.com/video-classification-book/video-classification-book
    import helpers.archive

# %%
import dataclasses
import pathlib

import numpy as np
from IPython.display import Markdown
from sklearn.neighbors import KNeighborsClassifier

from helpers import archive, evaluation, plots, puppets, records, recipes
from helpers import settings, ucf101
from helpers.batches import ClipBatches

# %% [markdown]
# ## Reduce each clip to one frame
#
# So far, each pair of puppet actions has shared its figures and rooms: the person who sits down in a room also stands up in it, so a room doesn't reveal which of the two it is. UCF101 is different. Each class has uploads of its own, so a room that you have seen in training reveals the action. For this chapter the book draws
# puppets of that kind: ten actions with 25 groups of two clips each, and every group has a figure and a room of its own.

# %%
run = settings.current()
source = run.zip
rooms = settings.project_root() / "data" / "rooms.zip"
if run.dataset == "puppets":
    source = puppets.write_zip(rooms, clips=2, casts="class")
print(f"{len(archive.list_files(source))} clips in the ZIP")

# %% [markdown]
# We split the clips at random, clip by clip. The tutorial does so, and most people would without a second thought. We reduce each clip to a single small image: the mean of its two middle frames, so that an action and its reverse give the same image.


# %%
def middle_images(folder):
    """Return names, labels and middle images of the clips in a folder."""
    clips = ClipBatches(folder, n_frames=2, frame_step=1, output_size=(48, 48))
    means = [frames.mean(axis=1, keepdims=True) for frames, _ in clips]
    names = [file.name for file in clips.files]
    return names, clips.labels, np.concatenate(means).astype("uint8")


def read(source, num_classes, splits, split_by):
    """Return names, labels and middle images of the clips by split."""
    # Each source and split has a folder of its own.
    name = f"{pathlib.Path(source).stem}-{num_classes}-{split_by}"
    folder = settings.project_root() / "data" / name
    folders = archive.download_ucf101_subset(
        source, num_classes, splits, folder, split_by=split_by
    )
    return {split: middle_images(path) for split, path in folders.items()}


# %% mystnb={"image": {"alt": "A strip of small middle images, one of each action."}}
leaky = read(source, run.num_classes, run.splits, "clip")
names, labels, frames = leaky["train"]
firsts = np.unique(labels, return_index=True)[1]
figure = plots.plot_film_strip([frames[firsts, 0]])

# %% [markdown]
# ## Get a pleasing accuracy from a nearest-neighbour look-up
#
# Now take the simplest classifier there is, one that *looks up* (nearest neighbour). For each test image it finds the most similar training image, pixel by pixel, and predicts that image's action. It has no layers and learns nothing about people, let alone about movement.
#
# **Predict:** how often is it right? With ten actions, chance is one time in ten.


# %% tags=["nbval-check-output"]
def look_up(train, test):
    """Return the index of the most similar training image of each test image."""
    train, test = (
        images.reshape(len(images), -1) / 255 for images in (train, test)
    )
    nearest = KNeighborsClassifier(1).fit(train, np.zeros(len(train)))
    return nearest.kneighbors(test, return_distance=False)[:, 0]


test_names, test_labels, test_frames = leaky["test"]
found = look_up(frames, test_frames)
correct = labels[found] == test_labels
print(f"accuracy {correct.mean():.2f}, chance {1 / run.num_classes:.2f}")

# %% [markdown]
# Not bad for so little. On the puppets it is *too good*. Standing up is sitting down played backwards, so an image from the middle can't distinguish the two: a classifier that sees nothing else deserves to be right half of the time at most. Something else must have given the answer away.
#
# ## Look at the nearest neighbours
#
# The upper row shows some test images, and the lower row what the look-up found for them in the training set:

# %% mystnb={"image": {"alt": "Eight test images in the upper row, and below each its nearest training image. In some pairs, both show the same figure in the same room."}}
# Eight indices, spread evenly over all classes.
sample = np.linspace(0, len(found) - 1, 8).astype(int)
strips = [test_frames[sample, 0], frames[found[sample], 0]]
titles = ["Test clips", "Their nearest training clips"]
figure = plots.plot_film_strip(strips, titles)

# %% tags=["nbval-check-output"]
for i in sample:
    print(f"{test_names[i]:30} -> {names[found[i]]}")

# %% [markdown]
# Some pairs show the same figure in the same room, and their names reveal why: the same class *and the same group*, only another clip of it. A group is cut from one upload ([Soomro et al. 2012](https://arxiv.org/abs/1212.0402)). Its clips show one person in one room and follow one another, often within seconds. A [*sister*](../book/glossary.md#sister) in the training set gives the answer away.
#
# **Predict:** how accurate is the look-up on test clips with a sister in the training set, and how accurate on those without?

# %% tags=["nbval-check-output"]
test_groups = evaluation.group_names(test_names)
has_sister = np.isin(test_groups, evaluation.group_names(names))
print(f"{has_sister.mean():.0%} of the test clips have a sister in training")
print(f"accuracy with a sister:    {correct[has_sister].mean():.2f}")
print(f"accuracy without a sister: {correct[~has_sister].mean():.2f}")

# %% [markdown]
# ## Split by group
#
# A split *by group* assigns complete groups, so no test clip has a sister in the training set. Here is the same look-up on that split:

# %% tags=["nbval-check-output"]
fair = read(source, run.num_classes, run.splits, "group")
names, labels, frames = fair["train"]
test_names, test_labels, test_frames = fair["test"]
fair_correct = labels[look_up(frames, test_frames)] == test_labels
groups = [set(evaluation.group_names(each)) for each in (names, test_names)]
print(f"groups in both training and test: {len(groups[0] & groups[1])}")
print(f"accuracy by group {fair_correct.mean():.2f}")
print(f"accuracy by clip  {correct.mean():.2f}")

# %% [markdown]
# That is what the look-up is worth in rooms that it has never seen, and it is nothing to boast of. What remains on the puppets comes from poses and objects: a stool, a parcel.
#
# The classifier is the same, and so is the number of clips. The question has changed, from *have I seen this room before?* to *what is happening here?* (One thing more has changed: the same number of training clips now comes from fewer rooms. The next section keeps both numbers fixed.)
#
# ## Turn the leak up and down
#
# Are the sisters really the cause? Then the accuracy must follow their number while everything else stays the same. On the puppets we can arrange that. For each action, ten groups contribute one clip each to the test set, and we choose how many of these ten also contribute their other clip to the training set. The other groups fill the training set, with one clip each, up
# to 15 clips from 15 rooms, whatever the leak. (This section uses the drawn clips, even if you chose real clips above.)


# %%
def assign(share, seed):
    """Split the drawn clips so that a share of the test clips has a sister."""
    rng, train, test = np.random.default_rng(seed), [], []
    for action in puppets.CLASSES:
        groups = rng.permutation(25) + 1
        tested, others, leaking = groups[:10], groups[10:], round(10 * share)
        test += [f"v_{action}_g{group:02d}_c01.avi" for group in tested]
        trained = [*tested[:leaking], *others[: 15 - leaking]]
        train += [f"v_{action}_g{group:02d}_c02.avi" for group in trained]
    return train, test


splits = {"train": 30, "val": 10, "test": 10}
puppet_zip = puppets.write_zip(rooms, clips=2, casts="class")
drawn = read(puppet_zip, 10, splits, "clip")
image_of = {
    name: frame
    for names, _, frames in drawn.values()
    for name, frame in zip(names, frames)
}

# %% [markdown]
# You may object to such a simple classifier: surely a network learns something better? So we test a network in the same way. It is the book's own network with 2D convolutions, and it sees the same single image, so it, too, deserves one half at most.


# %%
def learn(train, test, labels, test_labels, seed):
    """Train on single images for 10 epochs of 10 batches; return the accuracy."""
    recipe = recipes.Recipe(conv="2d", learning_rate=2e-3, seed=seed)
    small = dataclasses.replace(run, num_classes=10, n_frames=1, size=48)
    model = recipes.build_model(recipe, small)
    recipes.compile_model(model, recipe, steps=10 * 10)
    model.fit(train, labels, batch_size=16, epochs=10, verbose=0)
    return model.evaluate(test, test_labels, batch_size=50, verbose=0)[1]


# %%
def images_and_labels(names):
    classes = [puppets.CLASSES.index(ucf101.get_class(name)) for name in names]
    return np.stack([image_of[name] for name in names]), np.array(classes)


scores = {"look-up": {}, "2D network": {}}
for share in (0, 0.2, 0.5, 0.8, 1):
    for seed in range(3):
        (train, train_labels), (test, test_labels) = map(
            images_and_labels, assign(share, seed)
        )
        accuracy = np.mean(train_labels[look_up(train, test)] == test_labels)
        scores["look-up"].setdefault(share, []).append(accuracy)
        if share in (0, 0.5, 1):
            score = learn(train, test, train_labels, test_labels, seed)
            scores["2D network"].setdefault(share, []).append(score)

# %% mystnb={"image": {"alt": "Test accuracy against the share of test clips with a sister in training. Both the look-up and the network rise steadily from left to right, far beyond one half."}}
axis = plots.plot_against(
    scores, "share of test clips with a sister in training", "test accuracy"
)
line = axis.axhline(0.5, color=plots.GREY, linewidth=1, zorder=0)

# %% tags=["remove-input"]
rows = []
for share in scores["look-up"]:
    cells = (
        records.mean_and_range(each[share]) if share in each else ""
        for each in scores.values()
    )
    rows.append((f"{share:.0%}", *cells))
Markdown(
    "Test accuracy as mean (worst to best) of three seeds, which change the "
    "assignment of the groups and the initial weights:\n\n"
    + records.markdown_table(("leak", *scores), rows)
)

# %% [markdown]
# Only the rooms of the training set have changed: the number of clips, the number of rooms and the test set are the same. Yet from left to right, both accuracies roughly double. Nobody asked the network to look at rooms. A room is the easiest thing to learn, and in training it is always right.
#
# The line at one half marks what the middle of a clip deserves here. Without a leak both lie below it. On the far right both lie above it, and the excess comes from the room, not from the action.
#
# ## Measure the leak on real clips
#
# How large is the leak for real clips, in real training? The book has recorded three recipes on ten classes of UCF101, each with both splits and with 300 training clips in both cases: the tutorial's recipe, the book's recipe with the rooms left in (without subtracting the mean), and the book's complete recipe.
#
# **Predict:** which of the three loses most when the sisters are gone?

# %% tags=["remove-input"]
runs = records.load_results("ucf101-64") + records.load_results(
    "ucf101-64-splits"
)
book = recipes.RECIPES["book"]
compared = {
    "tutorial's recipe": recipes.RECIPES["tutorial"],
    "book's recipe, rooms left in": dataclasses.replace(
        book, subtract_mean=False
    ),
    "book's recipe": book,
}
real = {
    f"{label}, {method}": [
        run
        for run in records.runs_of_recipe(runs, recipe)
        if "test" in run and (run["settings"]["split_by"] == "clip") == by_clip
    ]
    for label, recipe in compared.items()
    for method, by_clip in (("by clip", True), ("by group", False))
}

# %% mystnb={"image": {"alt": "Test accuracies of three recipes on real clips, split by clip and by group, with a dot for each seed. All three lie high by clip and much lower by group; the tutorial's recipe loses most."}}
tested = {
    label: records.accuracies(seeds, "test") for label, seeds in real.items()
}
axis = plots.plot_scores(tested, "test accuracy")
limits = axis.set_xlim(0, 1)

# %% tags=["remove-input", "nbval-check-output"]
rows = []
for label in compared:
    pair = [tested[f"{label}, {method}"] for method in ("by clip", "by group")]
    drop = np.mean(pair[0]) - np.mean(pair[1])
    rows.append((label, *map(records.mean_and_range, pair), f"{drop:.2f}"))
seeds, example = min(map(len, real.values())), next(iter(real.values()))[0]
epochs, size = (example["settings"][name] for name in ("epochs", "size"))
header = ("recipe", "by clip", "by group", "drop of the mean")
Markdown(
    "Test accuracy as mean (worst to best):\n\n"
    f"{records.markdown_table(header, rows)}\n\n({seeds} seeds each, {epochs} "
    f"epochs, 10 frames of {size} pixels; {example['hardware']}. Commands: "
    "[Results](../book/results.md#split-by-clip-and-by-group).)"
)

# %% [markdown]
# The tutorial's recipe loses most; three seeds are too few to separate the other two. By clip, all three lie close together, and each looks good. By group, they are far apart. That is the second harm that a leak does: it doesn't only flatter, it *hides differences*. Methods that help in a new room, such as subtracting the mean ([Improve the recipe](improve_recipe.ipynb)), seem to help less.
#
# The two splits test on different clips, and each is only one of many possible splits. Also, in the split by clip the 300 training clips come from more groups, so the leak need not explain all of the drop. Without the leak, a drop of this size would be hard to explain; but these runs don't show how much of each drop is due to the leak.
#
# ## Put a published accuracy into context
#
# [The tutorial's page](https://www.tensorflow.org/tutorials/video/video_classification) ends with a test accuracy. What does it mean?

# %% tags=["nbval-check-output"]
# The page, under "Evaluate the model": 13 batches of 8 clips, the last of 4.
published, n_clips = 0.73, 100
error = np.sqrt(published * (1 - published) / n_clips)
print(f"published: {published}, one seed, split by clip")
print(f"standard error for the clips: at least {error:.2f}")

# %% tags=["remove-input", "nbval-check-output"]
by_clip, by_group = (
    records.mean_and_range(tested[f"tutorial's recipe, {method}"])
    for method in ("by clip", "by group")
)
Markdown(
    "Our recorded runs of the same recipe, with other classes and smaller "
    f"frames: {by_clip} by clip, {by_group} by group."
)

# %% [markdown]
# What to make of it?
#
# - There is no reason to doubt the number. Our runs, split in the same way, with other classes and smaller frames, lie somewhat below it.
# - It answers a different question from the one that most readers have in mind: how well the network classifies clips many of which have a sister in the training set. In a split by clip most of them do, as on the puppets above.
# - Nobody can say from here what the same network would reach on *its* ten classes by group, because the classes, frames and epochs differ. Ours show people exercising; many of UCF101's classes are easier to recognise by their location and objects. We expect less than the published number, but haven't measured it.
# - The tutorial sets out to show how such a network is built, on a subset that trains quickly, and it does. It claims no record.
#
# UCF101's authors saw all this coming. They number the groups in the file names, publish three splits that keep groups apart, and ask for results on these.
#
# ## Check any split
#
# If the file names identify the groups, you can check a split that someone else has made:

# %% tags=["nbval-check-output"]
for method, splits in (("by clip", leaky), ("by group", fair)):
    train_groups, test_groups = (
        set(evaluation.group_names(splits[split][0]))
        for split in ("train", "test")
    )
    shared = f"{len(train_groups & test_groups)} of {len(test_groups)}"
    print(f"{method}: {shared} test groups are also in the training set")

# %% [markdown]
# With your own data, always ask: *what will be new when the network is used?* New people? Then no person may be in both sets. New cameras, days, matches, hospitals? Then none of these may be. What will be new in use must be new in the test. Scikit-learn's `GroupKFold` and `GroupShuffleSplit` split by any column that you have.
#
# ## Check yourself
#
# 1. A colleague films 40 people doing all ten actions, 20 clips each, and splits the clips at random. What will the test accuracy measure?
# 2. The look-up scores nearly as well as your network. What do you suspect?
# 3. Does a leak between the training set and the *validation* set matter if the test set is clean?
# 4. Would more training clips from the same rooms have closed the gap between the two splits?
#
# <details><summary>Answers</summary>
#
# 1. How well the network recognises the actions of people that it has seen. To learn about strangers, split by person.
# 2. A leak, or a task that single images give away; look at the nearest neighbours.
# 3. Yes. You choose epochs and recipes by the validation set, and would choose those that memorise. The test set then reports honestly on a poor choice.
# 4. Hardly. Other rooms are missing.
#
# </details>
#
# ## On your own
#
# - Shrink the images from 48 to 8 pixels, or keep only their left and right edges, where no figure appears. How accurate is the look-up by clip then?
# - Split by frames: put the first frame of a clip into the training set, and its middle frame into the test set. (`read` must then return both.) This happens more often than you would think.
#
# Next: [Ask whether it uses time](use_time.ipynb).
