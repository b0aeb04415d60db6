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
# # Load video
#
# **What you'll do:** turn a ZIP of video clips, perhaps on a distant server, into batches that a network can train on.
#
# **What you'll learn**
#
# - to look into a ZIP on the web, and fetch just the files you want, without downloading it;
# - to read a data set's names, and to split it so that the test is a fair one;
# - to pick a few frames of a clip that tell its story;
# - to hand the clips to Keras in batches, shuffled, decoded in parallel, and the same on every run.
#
# **What you'll need:** Python, and what an array and a neural network are. No video knowledge.

# %% tags=["hide-input"]
# Where the book's helpers are missing, as in Colab, fetch them and what they need.
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

# %% [markdown]
# ## Meet a clip
#
# A video is a stack of pictures. Play them fast enough and something moves.

# %%
frames = puppets.draw_clip("PickUp", group=4, clip=1)
plots.show_animation(
    frames[::2],
    "A drawn figure bends down to a parcel and lifts it up.",
    fps=12,
)

# %% [markdown]
# To Python the same clip is an array. Before you run the next cell, guess: how many axes does it have, and in what order?

# %% tags=["nbval-check-output"]
print(frames.shape, frames.dtype)

# %% [markdown]
# Time comes first, then height, width, and the three colours red, green and blue, each a whole number from 0 to 255 (`uint8`). This
# book keeps frames in that form until the network's first layer. Kept as 32-bit floats, they would take four times the memory and say no more.
#
# A [clip](../book/glossary.md#clip) is a short video that shows one action, and its [class](../book/glossary.md#class) is that action's name. The
# network's task is to name the action of a clip that it has never seen.
#
# ## Tell an action from its reverse
#
# The figure above is one of this book's **puppets**. They are drawn on the spot, so there is nothing to download, and they come in pairs that make time matter. Here
# are two clips. Which is *PickUp*, and which *PutDown*?

# %% mystnb={"image": {"alt": "Two film strips of the same figure. The upper one begins with a parcel on the floor and ends with it in the figure's hand; the lower one shows the same frames in the opposite order."}}
put_down = puppets.draw_clip("PutDown", group=4, clip=1)
figure = plots.plot_film_strip(
    [frames, put_down], ["Clip A", "Clip B"], columns=8
)

# %% [markdown]
# A is *PickUp*. Now imagine each strip cut into single pictures, and shuffled: could you still tell? Nobody could, for the two clips are made of the
# very same frames.

# %% tags=["nbval-check-output"]
np.array_equal(frames, put_down[::-1])

# %% [markdown]
# So a network that takes the frames in no particular order gives both clips the same answer (it will see ten frames of each, in a test those about the middle, which are the same ten of a clip and its reverse), and at least one of the two answers is wrong: half right, at best. That is a
# proof, not a measurement, and it is why the next chapters care so much about *how* a network looks at time.
#
# ## Look into a ZIP without downloading it
#
# The clips of this book lie in a ZIP. It holds puppets, or, with `BOOK_DATASET=ucf101` and by default in Colab, UCF101 [(Soomro et al. 2012)](https://arxiv.org/abs/1212.0402): people filmed while they do sports, play music or
# brush their teeth. Both go through the same code. (The puppets' ZIP is drawn first, if it isn't there yet.)

# %%
run = settings.current()
source = archive.zip_source(run)
print(f"{run.dataset}, {run.run} run")

# %% [markdown]
# A ZIP's table of contents stands at its end, and a web server that supports
# [byte ranges](../book/glossary.md#byte-range) sends any part of a file by itself. Together that means: ask for the end of the file, and you know what is in it. The package
# `remotezip` does this, and `helpers.archive` adds patience with a bad connection. For a path on your own disk it works just the same.

# %% tags=["nbval-check-output"]
names = archive.list_files(source)
print(len(names), "clips, such as")
print(*names[:3], sep="\n")

# %% [markdown]
# ## Read the names
#
# The names follow a pattern, `v_<Class>_g<group>_c<clip>.avi`. The class is what the network is to learn. And the [group](../book/glossary.md#group)? All clips of
# one group were cut from one longer video: the same person, the same room, the same light. Groups are numbered anew in each class. (Only a puppet's action and its reverse share theirs, and the split below deals out both alike, so that no test clip has its reverse in training.)

# %% tags=["nbval-check-output"]
first = names[0]
print(ucf101.get_class(first), ucf101.get_group(first))

# %% tags=["nbval-check-output"]
by_class = ucf101.files_by_class(names)
for class_name, files in list(by_class.items())[:10]:
    groups = {ucf101.get_group(file) for file in files}
    print(f"{class_name:20} {len(files):4} clips in {len(groups)} groups")

# %% [markdown]
# Here are three groups of one puppet class, two clips of each. What would a network learn fastest from these pictures: the action, or the room?

# %% mystnb={"image": {"alt": "Six film strips of figures that raise their arms. Strips one and two share figure, clothes and room; so do three and four, and five and six."}}
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
# ## Split fairly
#
# A run works on the first few classes, and on a fixed number of clips of each:

# %% tags=["nbval-check-output"]
print(run.num_classes, "classes; clips per class:", run.splits)

# %% [markdown]
# So we need three sets of clips: [training](../book/glossary.md#training-set), to learn from; [validation](../book/glossary.md#validation-set), to watch the progress; and
# [test](../book/glossary.md#test-set), for one honest question at the end. The obvious way is to shuffle the clips and deal them out. That is what
# the TensorFlow tutorial does that this book grew out of.
#
# **Predict:** some of a class's clips go into training, at random. Of the test clips, how many then have a sister there, a clip of the same group?

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
    def rooms(files):
        return [
            (ucf101.get_class(file), ucf101.get_group(file)) for file in files
        ]

    seen = set(rooms(split["train"]))
    return np.mean([room in seen for room in rooms(split["test"])])


print("test clips with a sister in training")
print(f"split by clip:  {share_with_sister(by_clip):.0%}")
print(f"split by group: {share_with_sister(by_group):.0%}")

# %% [markdown]
# Each puppet has one sister, and 30 of the 49 other clips of its class are in training: three in five. (UCF101's groups are larger, so a clip has more sisters to meet.) A network that remembers rooms would look good on the first split, and you would find out on the day somebody shows it a new room. `split_by_group` deals out whole
# groups, so no two splits share a group of a class. It is this book's default. Here is how it has dealt out the groups of one class:

# %% tags=["nbval-check-output"]
for split, files in by_group.items():
    own = [
        file
        for file in files
        if ucf101.get_class(file) == ucf101.get_class(first)
    ]
    print(
        f"{split:5} groups {sorted({ucf101.get_group(file) for file in own})}"
    )

# %% [markdown]
# ## Fetch the clips
#
# Now fetch the clips that were chosen, and nothing else. They are sorted into folders, `SPLIT/CLASS/*.avi`. A file gets its name only once all of it is there and its checksum is
# right; run the cell again and nothing is fetched twice.

# %%
folder = settings.project_root() / "data" / run.name
folders = archive.download_ucf101_subset(
    source, run.num_classes, run.splits, folder, seed=run.seed
)

# %% tags=["nbval-check-output"]
for split, path in folders.items():
    print(f"{split:5} {len(list(path.glob('*/*.avi'))):4} files")

# %% [markdown]
# ## Choose frames that tell the story
#
# Neighbouring frames look almost alike, so it is wasteful to feed them all to a network. `frames_from_video_file` reads a few of them at even distances,
# [`frame_step`](../book/glossary.md#frame-step) apart, and fits each into a square without distorting it. `run.sampling` says how many, how far apart, and how large:

# %% tags=["nbval-check-output"]
file = sorted(folders["train"].glob("*/*.avi"))[0]
frames = video.frames_from_video_file(file, **run.sampling, start="center")
print(run.sampling)
print(frames.shape, frames.dtype)

# %% mystnb={"image": {"alt": "A film strip of the frames that were read from one clip, in square pictures with black bars above and below."}}
figure = plots.plot_film_strip([frames], [file.name])

# %% [markdown]
# The black bars above and below are [letterboxing](../book/glossary.md#letterboxing): the frame is wider than high and keeps its proportions.
#
# Where should the frames start? In training at a random place, so that the network sees another part of a long clip each time. In validation and
# test in the middle, always: a test that draws lots gives another score tomorrow. `frame_indices` makes the choice and touches no file. Take the tutorial's sizes, ten frames at a step of 15, and imagine
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
# **Predict:** these ten frames span 1 + 9 · 15 = 136. Many clips of UCF101 are shorter. What should happen with a clip of 60 frames?
#
# The tutorial fills up with black frames. A network can learn from that: *black means a short clip, short clips are mostly of this class*. It would be right, for the wrong reason.
# Here the step shrinks instead, until the first and the last frame just fit. Order and extent of the action stay, and every frame is a real one.

# %% tags=["nbval-check-output"]
print("60 frames:", video.frame_indices(60, n_frames=10, frame_step=15))
print(" 6 frames:", video.frame_indices(6, n_frames=10, frame_step=15))

# %% [markdown]
# Where even the frames run out, some are shown twice; none is invented.

# %% mystnb={"image": {"alt": "A film strip of a clip that is shorter than ten frames at a step of fifteen; it shows the whole action and no black frame."}}
step = 40  # longer steps than any clip of this chapter allows
short = video.frames_from_video_file(
    file, 10, (96, 128), frame_step=step, start="center"
)
figure = plots.plot_film_strip(
    [short], ["the same clip, too short for the step asked for"]
)

# %% [markdown]
# A file that can't be read is named, so that you can do something about it:

# %% tags=["nbval-check-output"]
try:
    video.frames_from_video_file(pathlib.Path("v_Nothing_g01_c01.avi"), 10)
except video.VideoReadError as error:
    print(error)

# %% [markdown]
# ## Go through all clips
#
# `FrameGenerator` goes through the clips of a folder and yields frames and label, one clip at a time. It keeps the tutorial's name. Below each class's folder every video counts, whatever its container; what is passed over
# is named in a warning.

# %% tags=["nbval-check-output"]
generator = video.FrameGenerator(folders["val"], **run.sampling)
frames, label = next(iter(generator))
print(len(generator), "clips; the first is", frames.shape)
print("label", label, "stands for", generator.class_names[label])

# %% [markdown]
# That is all a network needs, if you are patient: a Python loop reads one clip after the other, on one core, while the network waits.
#
# ## Make batches
#
# [tf.data](../book/glossary.md#tfdata) turns the loop into a pipeline: several clips are decoded at once, gathered into a [batch](../book/glossary.md#batch), and the next batch is made while
# the network works on this one. In outline:

# %% tags=["nbval-check-output"]
files, labels, class_names = video.list_clips(folders["val"])


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
# `map` decodes, as many clips at once as the machine has room for; `batch` gathers; `prefetch` works ahead. `make_dataset` adds what such a pipeline needs in earnest: labels, shuffling, and a random start for
# each clip of each epoch, drawn from a seed, so that a run can be repeated.

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
# Does every clip come once an [epoch](../book/glossary.md#epoch), and in another order each time? Count the classes, and compare the beginnings of two epochs:

# %% tags=["nbval-check-output"]
epochs = [
    np.concatenate([labels.numpy() for _, labels in train_ds]) for _ in range(2)
]
print(
    "clips per class:",
    list(collections.Counter(sorted(epochs[0].tolist())).values()),
)
print("same order twice:", np.array_equal(*epochs))

# %% [markdown]
# Shuffling matters more than it seems. The files lie in folders by class; a network that sees all clips of one class, then all of the next, unlearns each
# as it goes. And a validation set must hold all classes, which the split has taken care of.
#
# ## Check yourself
#
# 1. A friend splits 500 clips at random and reaches 95% on the test set. What do you ask?
# 2. Why do frames stay `uint8` until the network's first layer?
# 3. What goes wrong if a test clip starts at a random frame?
#
# <details><summary>Answers</summary>
#
# 1. Whether the clips come in groups, and whether the split kept them apart.
# 2. It takes a quarter of the memory, in the pipeline and on the way to the GPU, and nothing is lost.
# 3. The score changes from run to run, although the network has not.
#
# </details>
#
# ## On your own
#
# - Fetch the clips with `split_by="clip"` into another folder, and list, for one test clip, its sisters in the training set.
# - Draw your own action: `helpers/puppets.py` needs a name in `PAIRS` and a pose in `_pose`; its reverse comes for free.
# - Run this chapter on real clips: set `BOOK_DATASET=ucf101` before you start Jupyter (in Colab it is set already), and `UCF101_ZIP` if you have the ZIP on disk.
#
# Next: [Feed the GPU](feed_the_gpu.ipynb).
