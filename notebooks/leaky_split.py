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
# # Don't trust a leaky split: data leakage between training and test sets, and how to split by group
#
# **What you'll do:** get a pleasing accuracy, doubt it, find the cause in the file names, and measure how much of the accuracy was *data leakage*.
#
# **What you'll learn**
#
# - how a *sister* in the training set, another clip from the same group, gives a test clip's answer away;
# - how to turn such a leak up and down, and watch the accuracy follow;
# - how to split by group, and how to check a split that someone else has made;
# - how to put a published accuracy into context fairly.
#
# **What you'll need:** the chapters [Load video](load_video.ipynb) and [Evaluate](evaluate.ipynb). The networks trained here are small: all of them together take about two minutes on two CPU cores.

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
# ## Prepare the data: a random split, and one image per clip
#
# So far, the two actions of each pair have shared their people and rooms: the person who sits down in a room also stands up in it, so a room doesn't reveal which of the two it is. UCF101 is different. Each class was cut from its own videos, so a room seen in training reveals the action. For this chapter, the book draws puppets that resemble UCF101 in this way: ten actions with 25 groups of two clips each, where every group has its own person and room.

# %%
run = settings.current()
source = run.zip
rooms = settings.project_root() / "data" / "rooms.zip"
if run.dataset == "puppets":
    source = puppets.write_zip(rooms, clips=2, casts="class")
print(f"{len(archive.list_files(source))} clips in the ZIP")

# %% [markdown]
# We split the clips at random, clip by clip, as the tutorial does and as most people would without a second thought. We reduce each clip to a single small image, its *middle image*: the mean of the two middle frames. Because playing a clip backwards swaps these two frames, an action and its reverse give the same image.


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


# %% mystnb={"image": {"alt": "Ten small, blurred images in a row, one per action: a person in the middle of the action, each in a different room."}}
leaky = read(source, run.num_classes, run.splits, "clip")
names, labels, frames = leaky["train"]
firsts = np.unique(labels, return_index=True)[1]
figure = plots.plot_film_strip([frames[firsts, 0]])

# %% [markdown]
# ## Get a pleasing accuracy from a nearest-neighbour look-up
#
# Now take one of the simplest classifiers there are, the *nearest-neighbour classifier*. It only looks things up, so we call it the *look-up*. For each test image it finds the most similar training image, pixel by pixel, and predicts that image's action. It has no layers, and it learns nothing about people, let alone about motion.
#
# **Predict:** how often is it right? With ten actions, guessing would be right one time in ten.


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
# Not bad for so little. On the puppets, this accuracy is *too good*. Standing up is sitting down played backwards, so nobody can tell the two apart from an image in the middle. A classifier that sees nothing else deserves to be right at most half of the time. Something other than the action must have given the answer away.
#
# ## Look at the nearest neighbours
#
# The upper row shows some test images. Below each is its nearest neighbour in the training set:

# %% mystnb={"image": {"alt": "Eight test images in the upper row, and below each its nearest training image. In some pairs, both images show the same person in the same room."}}
# Eight indices, spread evenly over all classes.
sample = np.linspace(0, len(found) - 1, 8).astype(int)
strips = [test_frames[sample, 0], frames[found[sample], 0]]
titles = ["Test clips", "Their nearest training clips"]
figure = plots.plot_film_strip(strips, titles)

# %% tags=["nbval-check-output"]
for i in sample:
    print(f"{test_names[i]:30} -> {names[found[i]]}")

# %% [markdown]
# Some pairs show the same person in the same room, and the file names reveal why: they are two clips of the same class *and the same group*. In UCF101, the clips of a group are cut from one video ([Soomro et al. 2012](https://arxiv.org/abs/1212.0402)). They show one person in one room, often only seconds apart. A [*sister*](../book/glossary.md#sister), another clip from the same group, gives the answer away if it is in the training set. This is *data leakage*.
#
# **Predict:** how accurate is the look-up on test clips with a sister in the training set, and on test clips without one?

# %% tags=["nbval-check-output"]
test_groups = evaluation.group_names(test_names)
has_sister = np.isin(test_groups, evaluation.group_names(names))
print(f"{has_sister.mean():.0%} of the test clips have a sister in training")
print(f"accuracy with a sister:    {correct[has_sister].mean():.2f}")
print(f"accuracy without a sister: {correct[~has_sister].mean():.2f}")

# %% [markdown]
# ## Split training and test sets by group
#
# A split *by group* assigns each complete group to one set, so no test clip has a sister in the training set. Here is the same look-up on that split:

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
# In rooms that it has never seen, the look-up is worth this much, which is nothing to boast about. What remains of its accuracy on the puppets comes from poses and objects: a stool, a parcel.
#
# The classifier is the same, and so is the number of clips. The question has changed, from *have I seen this room before?* to *what is happening here?* (One more thing has changed: the same number of training clips now comes from fewer rooms. The next section keeps both numbers fixed.)
#
# ## Turn the data leak up and down
#
# If the sisters are really the cause, the accuracy must follow their number while everything else stays the same. On the puppets we can arrange that. For each action, ten groups contribute one clip each to the test set, and we choose how many of these ten also contribute their other clip to the training set. The other groups, with one clip each, fill it up. So the training set always has 15 clips from 15 rooms per action, however large the leak is.
# (This section uses the puppets even if you run the chapter on real clips.)


# %% tags=["puppets-only"]
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
# You may object that this classifier is too simple, and that a network would surely learn something better. So we test a network in the same way. It is the book's network with 2D convolutions. It sees the same single image, so it deserves an accuracy of at most one half, too.


# %% tags=["puppets-only"]
recipe = recipes.Recipe(conv="2d", learning_rate=2e-3)
small = dataclasses.replace(run, num_classes=10, n_frames=1, size=48)
model = recipes.build_model(recipe, small)
recipes.compile_model(model, recipe, steps=94)


def learn(train, test, labels, test_labels, seed):
    """Train on 150 images, ten times each, in 94 batches; return the accuracy."""
    # The same as a new network, without the time that compiling it takes.
    seeded = dataclasses.replace(recipe, seed=seed)
    recipes.reset_model(model, seeded, small)
    # Keras needs longer for ten epochs of ten batches.
    draw = np.random.default_rng(seed)
    order = np.concatenate([draw.permutation(150) for _ in range(10)])
    model.fit(
        train[order], labels[order], batch_size=16, shuffle=False, verbose=0
    )
    return model.evaluate(test, test_labels, batch_size=50, verbose=0)[1]


# %% tags=["puppets-only"]
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

# %% tags=["puppets-only"] mystnb={"image": {"alt": "Test accuracy against the share of test clips with a sister in the training set. The accuracies of the look-up and of the network both rise steadily from left to right, from below one half to far above it."}}
axis = plots.plot_against(
    scores, "share of test clips with a sister in training", "test accuracy"
)
line = axis.axhline(0.5, color=plots.GREY, linewidth=1, zorder=0)

# %% tags=["remove-input", "puppets-only"]
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
# Only the choice of rooms in the training set has changed. The number of clips, the number of rooms and the test set have stayed the same. Yet both accuracies roughly double from left to right. Nobody asked the network to look at rooms. But rooms are the easiest thing to learn, and on the training set they always give the right answer.
#
# The line at one half marks the best accuracy that the middle of a clip can justify. Without a leak, both accuracies lie below the line. On the far right, both lie above it, and the excess comes from the room, not from the action.
#
# ## Measure the leak on real clips
#
# How much does the leak matter on real clips, in real training? We have recorded runs of three recipes on ten classes of UCF101, each with a split by clip and with a split by group, and with 300 training clips in either case: the tutorial's recipe, the book's recipe without subtracting the mean, which leaves the rooms visible; and the book's complete recipe.
#
# **Predict:** which of the three loses the most accuracy when the sisters are gone?

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

# %% mystnb={"image": {"alt": "Test accuracies of three recipes on real clips, split by clip and by group, with a dot for each seed and a mark at the mean. With the split by clip, all three are high and close together; with the split by group, all are much lower, and the tutorial's recipe drops the most."}}
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
# The tutorial's recipe loses the most; three seeds are too few to say which of the other two loses more. With the split by clip, all three accuracies lie close together, and each looks good. With the split by group, they are far apart. That is the second way in which a leak does harm. It doesn't just inflate accuracies; it also *hides differences*. A method that helps in new rooms, such as subtracting the mean ([Improve the recipe](improve_recipe.ipynb)), seems to help less than it does.
#
# Some caution is needed. The two splits test on different clips, and each is only one of many possible splits. Moreover, the 300 training clips of the split by clip come from more groups, so the leak may not explain the whole drop. Without the leak, so large a drop would be hard to explain. But these runs don't show how much of it the leak accounts for.
#
# ## Put a published accuracy into context
#
# [The tutorial's page](https://www.tensorflow.org/tutorials/video/video_classification) ends with a test accuracy. What does it mean?

# %% tags=["nbval-check-output"]
# From the page's section "Evaluate the model": 13 batches of 8 clips, the last with 4.
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
# What should you make of it?
#
# - There is no reason to doubt the number. Our own runs with the same kind of split score somewhat lower.
# - It answers the question of how well the network classifies clips if most of them have a sister in the training set. Most readers have a different question in mind: how well does it classify new videos? (In a split by clip most test clips do have one, as you saw on the puppets.)
# - Our runs can't tell you what the same network would reach on the *tutorial's* ten classes with a split by group, because the classes, the size of the frames and the number of epochs differ. Our classes show people exercising, whereas many other classes of UCF101 are easier to recognise by their surroundings and objects. We expect less than the published number, but haven't measured it.
# - The tutorial wants to show how such a network is built, using a subset that trains quickly, and it succeeds. It doesn't claim a record.
#
# UCF101's authors saw all this coming. They numbered the groups in the file names, published three splits that never divide a group between training and test, and ask for results on these splits.
#
# ## Check any train/test split for data leakage
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
# With your own data, always ask: *what will be new when the network is used?* New people? Then no person may be in both sets. New cameras, days, matches or hospitals? Then the same holds for these. Whatever will be new in use must also be new in the test. Scikit-learn's `GroupKFold` and `GroupShuffleSplit` split by any list of groups that you give them.
#
# ## Check yourself
#
# 1. A colleague films 40 people doing all ten actions, 20 clips each, and splits the clips at random. What will the test accuracy measure?
# 2. A nearest-neighbour look-up scores nearly as well as your network. What do you suspect?
# 3. Does a leak between the training set and the *validation* set matter if the test set is clean?
# 4. Would more training clips from the same rooms close the gap between the accuracies of the two splits?
#
# <details><summary>Answers</summary>
#
# 1. How well the network recognises the actions of people that it has seen. To learn about strangers, split by person.
# 2. A leak, or a task that single images are enough to solve. Look at the nearest neighbours.
# 3. Yes. You use the validation set to choose the number of epochs and the recipe, and you would choose those that memorise best. The test set then reports honestly on a poor choice.
# 4. Hardly. What the training set lacks is other rooms.
#
# </details>
#
# ## On your own
#
# - Shrink the images from 48 to 8 pixels, or keep only their left and right edges, where no person appears. How accurate is the look-up on the split by clip then?
# - Split by frames: put the first frame of a clip into the training set, and its middle frame into the test set. (`read` must then return both.) Splits by frame are more common than you would think.
#
# Next: [Train on your own clips](own_clips.ipynb).
