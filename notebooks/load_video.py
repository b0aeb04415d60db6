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
# # Load video: sample frames, split the data, make batches
#
# **What you'll do:** turn a ZIP file of video clips, perhaps on a remote server, into batches that a network can train on.
#
# **What you'll learn**
#
# - how to list the contents of a ZIP file on the web and download only the files you want;
# - how to read a data set's file names, and to split it into training, validation and test sets so that the test is fair;
# - how to sample a few frames that cover the action in a clip;
# - how to feed clips to Keras in batches that are shuffled, decoded in parallel, and reproducible.
#
# **What you'll need:** Python, and a basic idea of what an array and a neural network are. You need no knowledge of video.

# %% tags=["hide-input"]
# Install the book's helpers and their dependencies if they are missing, as they are in Colab.
try:
    import helpers.archive
except ModuleNotFoundError:
    # %pip install --quiet git+https://github.com/video-classification-book/video-classification-book
    import helpers.archive

# %%
import collections
import pathlib

import numpy as np
import tensorflow as tf

from helpers import archive, pipeline, plots, puppets, settings, ucf101, video
from helpers.clips import list_clips

# %% [markdown]
# ## Meet a clip
#
# A video is a stack of images, its [frames](../book/glossary.md#frame). Play them fast enough and something moves.

# %%
frames = puppets.draw_clip("PickUp", group=4, clip=1)
plots.show_animation(
    frames[::2],
    "A drawn person bends down to a parcel and picks it up.",
    fps=12,
)

# %% [markdown]
# To Python, the same clip is an array. **Predict:** how many axes does it have, and in what order?

# %% tags=["nbval-check-output"]
print(frames.shape, frames.dtype)

# %% [markdown]
# The axes are time, height, width and colour. The last holds red, green and blue values, each an integer from 0 to 255 (`uint8`). This
# book keeps frames in that form until the network's first layer. As 32-bit floats, they would take four times the memory and hold no more information.
#
# A [clip](../book/glossary.md#clip) is a short video that shows one action, and its [class](../book/glossary.md#class) is that action's name. The
# network's task is to name the action of a clip that it has never seen.
#
# ## See why the order of frames matters
#
# The figure above is one of this book's **puppets**. They are drawn on your machine, so there is nothing to download. Each action is paired with its reverse, so time matters. Here are two clips. Which is *PickUp*, and which *PutDown*?

# %% mystnb={"image": {"alt": "Two film strips of the same figure. The upper one begins with a parcel on the floor and ends with the parcel in the figure's hand; the lower one shows the same frames in reverse order."}}
put_down = puppets.draw_clip("PutDown", group=4, clip=1)
figure = plots.plot_film_strip(
    [frames, put_down], ["Clip A", "Clip B"], columns=8
)

# %% [markdown]
# A is *PickUp*. Now imagine cutting each strip into single frames and shuffling them. Could you still tell which is which? Nobody could, because both clips consist of exactly the same frames.

# %% tags=["nbval-check-output"]
np.array_equal(frames, put_down[::-1])

# %% [markdown]
# A network that ignores the order of the frames therefore gives both clips the same answer, and at least one of the two answers is wrong. Half right is the best it can do. (It will see ten frames per clip. In a test these come from the middle, where a clip and its reverse share the same ten.)
# This is a proof, not a measurement. It is why the next chapters care so much about *how* a network looks at time.
#
# ## List a remote ZIP without downloading it
#
# This book's clips are stored in a ZIP file. By default it holds puppets. In Colab, or with the environment variable `BOOK_DATASET=ucf101`, it holds UCF101 [(Soomro et al. 2012)](https://arxiv.org/abs/1212.0402): people filmed while they do sports, play music or brush their teeth. The same code handles both. (If the puppets' ZIP doesn't exist yet, the book draws the clips first.)

# %%
run = settings.current()
source = archive.zip_source(run)
print(f"{run.dataset}, {run.run} run")

# %% [markdown]
# A ZIP file keeps its table of contents at the end, and a web server that supports
# [byte ranges](../book/glossary.md#byte-range) can send any part of a file on its own. Put together: download the end of the file, and you know its contents.
# `remotezip` does this, and `helpers.archive` retries patiently when the connection is bad. A path on your own disk works just as well.

# %% tags=["nbval-check-output"]
names = archive.list_files(source)
print(len(names), "clips; the first three:")
print(*names[:3], sep="\n")

# %% [markdown]
# ## Read class and group from the file names
#
# The file names follow the pattern `v_<Class>_g<group>_c<clip>.avi`. The class is what the network learns to predict. And the [group](../book/glossary.md#group)? All clips of
# one group were cut from one longer video: the same person, the same room, the same light. Group numbers start again in each class. (One exception: a puppet's action and its reverse share their groups. The split below treats them alike, so no test clip has its reverse in training.)

# %% tags=["nbval-check-output"]
first = names[0]
print(ucf101.get_class(first), ucf101.get_group(first))

# %% tags=["nbval-check-output"]
by_class = ucf101.files_by_class(names)
for class_name, files in list(by_class.items())[:10]:
    groups = {ucf101.get_group(file) for file in files}
    print(f"{class_name:20} {len(files):4} clips in {len(groups)} groups")

# %% [markdown]
# Here are three groups of one puppet class, with two clips each. Which would a network learn faster from these frames: the action or the room?

# %% mystnb={"image": {"alt": "Six film strips of figures raising their arms. Strips one and two show the same figure, clothes and room. The same holds for strips three and four, and for strips five and six."}}
clips = [
    puppets.draw_clip("RaiseArms", group, clip)
    for group in (1, 2, 3)
    for clip in (1, 2)
]
titles = [
    f"v_RaiseArms_g{group:02d}_c{clip:02d}.avi"
    for group in (1, 2, 3)
    for clip in (1, 2)
]
figure = plots.plot_film_strip(clips, titles, columns=7)

# %% [markdown]
# ## Split into training, validation and test sets by group
#
# A run uses the first few classes and a fixed number of clips from each:

# %% tags=["nbval-check-output"]
print(run.num_classes, "classes; clips per class:", run.splits)

# %% [markdown]
# We need three sets of clips: a [training set](../book/glossary.md#training-set) to learn from, a [validation set](../book/glossary.md#validation-set) to monitor progress, and a [test set](../book/glossary.md#test-set) for one honest measurement at the end. The obvious method is to shuffle the clips and deal them out.
# The [TensorFlow tutorial](https://www.tensorflow.org/tutorials/video/video_classification) this book is based on does exactly that.
#
# **Predict:** suppose we split the clips of each class at random. How many test clips then have a *sister*, another clip from the same group, in the training set?

# %%
chosen = [
    file
    for class_name in list(by_class)[: run.num_classes]
    for file in by_class[class_name]
]
by_clip = ucf101.split_by_clip(chosen, run.splits, seed=run.seed)
by_group = ucf101.split_by_group(chosen, run.splits, seed=run.seed)


# %% tags=["nbval-check-output"]
def share_with_sister(split):
    def groups(files):
        return [
            (ucf101.get_class(file), ucf101.get_group(file)) for file in files
        ]

    seen = set(groups(split["train"]))
    return np.mean([group in seen for group in groups(split["test"])])


print("share of test clips with a sister in the training set")
print(f"split by clip:  {share_with_sister(by_clip):.0%}")
print(f"split by group: {share_with_sister(by_group):.0%}")

# %% [markdown]
# Each puppet clip has one sister. Of the 49 other clips in its class, 30 are in the training set, so three sisters in five are there. (UCF101's groups are larger, so a clip has more sisters and more often finds one in the training set.) A network that memorises rooms would do well on the first split. You would find out the day somebody showed it a new room. `split_by_group` assigns complete groups, so no two sets share a group of a class.
# It is this book's default. Here is where it put the groups of one class:

# %% tags=["nbval-check-output"]
for split, files in by_group.items():
    in_class = [
        file
        for file in files
        if ucf101.get_class(file) == ucf101.get_class(first)
    ]
    groups = {ucf101.get_group(file) for file in in_class}
    print(f"{split:5} groups {sorted(groups)}")

# %% [markdown]
# ## Download only the clips you need
#
# Now download the chosen clips and nothing else. They go into one folder per split and class: `SPLIT/CLASS/*.avi`. A file gets its final name only when it is complete and its checksum is correct.
# If you run the cell again, nothing is downloaded twice.

# %%
folder = settings.project_root() / "data" / run.name
folders = archive.download_ucf101_subset(
    source, run.num_classes, run.splits, folder, seed=run.seed
)

# %% tags=["nbval-check-output"]
for split, path in folders.items():
    print(f"{split:5} {len(list(path.glob('*/*.avi'))):4} files")

# %% [markdown]
# ## Sample frames from a clip
#
# Neighbouring frames look almost alike, so it is wasteful to feed them all to a network. `frames_from_video_file` reads a few evenly spaced frames, [`frame_step`](../book/glossary.md#frame-step) frames apart, and fits each into a square without distorting it. `run.sampling` sets their number, spacing and size:

# %% tags=["nbval-check-output"]
file = sorted(folders["train"].glob("*/*.avi"))[0]
frames = video.frames_from_video_file(file, **run.sampling, start="center")
print(run.sampling)
print(frames.shape, frames.dtype)

# %% mystnb={"image": {"alt": "A film strip of ten frames sampled from one clip. Each is square, with black bars above and below."}}
figure = plots.plot_film_strip([frames], [file.name])

# %% [markdown]
# The black bars above and below are [letterboxing](../book/glossary.md#letterboxing): the frame is wider than it is high, and keeps its proportions.
#
# Which frame should come first? In training, a random one, so that the network sees a different part of a long clip each time.
# In validation and testing, the frames are always centred in the clip: a test that picks frames at random would give a different score tomorrow. `frame_indices` chooses frame numbers without opening a file. Take the tutorial's settings, ten frames at a step of 15, and imagine
# a clip of 200 frames:

# %% tags=["nbval-check-output"]
print(
    "center:",
    video.frame_indices(200, n_frames=10, frame_step=15, start="center"),
)
for seed in (1, 2):
    print(
        f"random, seed {seed}:",
        video.frame_indices(200, n_frames=10, frame_step=15, seed=seed),
    )

# %% [markdown]
# **Predict:** these ten frames span $1 + 9 \times 15 = 136$ frames. Many UCF101 clips are shorter. What should happen to a clip of 60 frames?
#
# The tutorial pads short clips with black frames. A network can learn from that: *black means a short clip, short clips are mostly of this class*. It would be right for the wrong reason.
# In this book, the step shrinks instead until the first and last frames just fit. The order and extent of the action are preserved, and every frame is real.

# %% tags=["nbval-check-output"]
print("60 frames:", video.frame_indices(60, n_frames=10, frame_step=15))
print(" 6 frames:", video.frame_indices(6, n_frames=10, frame_step=15))

# %% [markdown]
# If a clip has too few frames even for that, some are repeated; none is invented.

# %% mystnb={"image": {"alt": "A film strip of a clip that is too short for the requested step. It shows the complete action and no black frames."}}
step = 40  # too long for any clip in this chapter
short = video.frames_from_video_file(
    file, 10, (96, 128), frame_step=step, start="center"
)
figure = plots.plot_film_strip(
    [short], ["the same clip, too short for the requested step"]
)

# %% [markdown]
# If a file can't be read, the error names it, so that you can do something about it:

# %% tags=["nbval-check-output"]
try:
    video.frames_from_video_file(pathlib.Path("v_Nothing_g01_c01.avi"), 10)
except video.VideoReadError as error:
    print(error)

# %% [markdown]
# ## Iterate over the clips with a generator
#
# `FrameGenerator`, named as in the tutorial, iterates over the clips in a folder and yields the frames and label of one clip at a time. It finds every video file under each class's folder, whatever its container format (AVI, MP4 and so on).
# A warning lists the files that it skips.

# %% tags=["nbval-check-output"]
generator = video.FrameGenerator(folders["val"], **run.sampling)
frames, label = next(iter(generator))
print(len(generator), "clips; the first is", frames.shape)
print("label", label, "stands for", generator.class_names[label])

# %% [markdown]
# That is all a network needs, if you are patient. A Python loop reads one clip after another on one core, and the network waits.
#
# ## Make batches with a tf.data input pipeline
#
# [tf.data](../book/glossary.md#tfdata) turns the loop into a pipeline. It decodes several clips at once, gathers them into a [batch](../book/glossary.md#batch), and prepares the next batch while the network works on the current one. In outline:

# %% tags=["nbval-check-output"]
files, labels, class_names = list_clips(folders["val"])


def read(file):
    return video.frames_from_video_file(
        file.decode(), **run.sampling, start="center"
    )


outline = tf.data.Dataset.from_tensor_slices([str(file) for file in files])
outline = outline.map(
    lambda file: tf.numpy_function(read, [file], tf.uint8), tf.data.AUTOTUNE
)
outline = outline.batch(run.batch_size).prefetch(tf.data.AUTOTUNE)
print(next(iter(outline)).shape)

# %% [markdown]
# `map` decodes as many clips at once as the machine can handle; `batch` stacks them; `prefetch` prepares the next batches in advance. `make_dataset` adds what a real pipeline needs: labels, shuffling, and a random start frame for each clip in each [epoch](../book/glossary.md#epoch).
# All random choices come from a seed, so a run can be repeated.

# %%
train_ds = pipeline.make_dataset(
    folders["train"],
    batch_size=run.batch_size,
    training=True,
    seed=run.seed,
    **run.sampling,
)
val_ds = pipeline.make_dataset(
    folders["val"], batch_size=run.batch_size, **run.sampling
)

# %% tags=["nbval-check-output"]
frames, labels = next(iter(train_ds))
print("frames", frames.shape, frames.dtype.name)
print("labels", labels.shape, labels.dtype.name)
print(len(train_ds), "batches for training,", len(val_ds), "for validation")
print("classes:", ", ".join(train_ds.class_names))

# %% [markdown]
# Five axes: clip, time, height, width, colour. The labels are plain integers, one per clip.
#
# **Predict:** does every clip appear once per epoch, and in a different order each time? Count the clips per class, and compare the order of the labels in two epochs:

# %% tags=["nbval-check-output"]
epochs = [
    np.concatenate([labels.numpy() for _, labels in train_ds]) for _ in range(2)
]
print(
    "clips per class:",
    list(collections.Counter(sorted(epochs[0].tolist())).values()),
)
print("same order in both epochs:", np.array_equal(*epochs))

# %% [markdown]
# Shuffling matters more than it seems. The files are sorted by class. A network that sees all clips of one class, then all of the next, forgets each class as it goes.
# A validation set must contain all classes, too; the split has taken care of that.
#
# ## Check yourself
#
# 1. A friend splits 500 clips at random and reaches 95% on the test set. What do you ask?
# 2. Why do frames stay `uint8` until the network's first layer?
# 3. What goes wrong if a test clip starts at a random frame?
#
# <details><summary>Answers</summary>
#
# 1. Whether the clips come in groups, and whether the split kept each group in one set.
# 2. They take a quarter of the memory, in the pipeline and on the way to the GPU, and lose no information.
# 3. The score changes from run to run, although the network hasn't changed.
#
# </details>
#
# ## On your own
#
# - Download the clips with `split_by="clip"` into another folder. Then pick a test clip and list its sisters in the training set.
# - Draw your own action: in `helpers/puppets.py`, add a pair of names to `PAIRS` and a pose to `_pose`. The reverse action comes for free.
# - Run this chapter on real clips: set the environment variable `BOOK_DATASET=ucf101` before you start Jupyter (Colab has it already). If you have the ZIP on disk, set `UCF101_ZIP` to its path.
#
# Next: [Feed the GPU](feed_the_gpu.ipynb).
