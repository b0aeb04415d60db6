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
# # Feed the GPU
#
# **What you'll do:** make the clips come so fast that the network never waits for them, without giving up chance, order or truth.
#
# **What you'll learn**
#
# - to see where an epoch's time goes, and who waits for whom;
# - to keep decoded frames, in memory or on disk, and still start each clip somewhere else each time;
# - to vary clips in ways that leave the action what it is;
# - to get the same batches again, on any number of cores, and under any of Keras's backends;
# - to decide what becomes of a clip that can't be read.
#
# **What you'll need:** the chapter [Load video](load_video.ipynb).

# %% tags=["hide-input"]
# Where the book's helpers are missing, as in Colab, fetch them and what they need.
try:
    import helpers.archive
except ModuleNotFoundError:
    # %pip install --quiet git+https://github.com/video-classification-book/video-classification-book
    import helpers.archive

# %%
import hashlib
import shutil
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf
from IPython.display import Markdown

from helpers import archive, cache, pipeline, plots, puppets, settings, training, video
from helpers.augmentation import Augmentation, is_sided
from helpers.batches import ClipBatches
from helpers.timeline import Timeline

# %%
run = settings.current()
folders = archive.fetch_clips(run)
files, labels, class_names = video.clips_and_labels(folders["train"])
print(len(files), "clips to train on;", training.hardware())

# %% [markdown]
# ## See who waits
#
# The tutorial that this book grew out of reports about a minute an epoch, on a GPU that could do it in a few seconds. What is it doing all that time? To find out, here is a way of reading a clip
# that works like the tutorial's: every frame is read, and those that are wanted are turned to floats and resized by TensorFlow.


# %%
def read_plainly(file):
    capture, frames = cv2.VideoCapture(str(file)), []
    for i in range(1 + (run.n_frames - 1) * run.frame_step):
        there, frame = capture.read()
        if i % run.frame_step == 0:
            # A clip that ends too early goes on in black.
            frame = frame if there else np.zeros((1, 1, 3), np.uint8)
            frame = tf.image.convert_image_dtype(frame, tf.float32)
            frames.append(tf.image.resize_with_pad(frame, run.size, run.size))
    return np.stack(frames)[..., ::-1]


# %% [markdown]
# In place of a GPU we take a stand-in that is always as fast: it rests for a twentieth of a second and calls that a training step. Only the waiting matters here, and so you see the same with or without a GPU.
# `Timeline` notes who is at work from when to when.


# %%
def train_on(batches, clock):
    for _ in batches:
        with clock.span("network"):
            time.sleep(0.05)
    return clock


def plain_batches(files, clock):
    for i in range(0, len(files), run.batch_size):
        with clock.span("reading"):
            batch = np.stack([read_plainly(file) for file in files[i : i + run.batch_size]])
        yield batch


# %% [markdown]
# **Predict:** eight clips are read, the network takes a step, the next eight clips are read. What part of the time is the network at work?

# %% mystnb={"image": {"alt": "A timeline of two rows. Long bars of reading and short bars of the network take turns; while one is at work the other waits."}}
some = files[:: max(1, len(files) // 48)][:48]
read_plainly(some[0])  # TensorFlow's first call takes longer
clock = Timeline()
plain = train_on(plain_batches(some, clock), clock)
figure = plots.plot_timelines({"One after the other": plain})


# %%
def busy(clock):
    share = clock.seconds("network") / clock.length
    return f"{clock.length:.2f} s, the network at work {share:.0%} of it"


print(busy(plain))

# %% [markdown]
# Where a bar is missing, somebody waits. Most of the time it is the network; the faster your GPU, the more of it.
#
# ## Find out what takes the time
#
# Reading a clip is several kinds of work. The same `Timeline` serves as a stopwatch:

# %%
clock = Timeline()
for file in some:
    with clock.span("decode all frames"):
        capture, frames = cv2.VideoCapture(str(file)), []
        while capture.grab():
            if len(frames) < run.n_frames:
                frames.append(capture.retrieve()[1])
    with clock.span("resize by TensorFlow, as floats"):
        for frame in frames:
            frame = tf.image.convert_image_dtype(frame, tf.float32)
            tf.image.resize_with_pad(frame, run.size, run.size)
    with clock.span("resize by OpenCV, as uint8"):
        for frame in frames:
            video.letterbox(frame, (run.size, run.size))
for kind in dict.fromkeys(name for name, *_ in clock.spans):
    print(f"{kind:32} {1000 * clock.seconds(kind) / len(some):6.1f} ms a clip")

# %% [markdown]
# Two things to learn from this. First, OpenCV resizes bytes in a fraction of the time that floats take; so frames stay `uint8` until they reach the network. Second, when that is mended,
# nearly all that is left is decoding. A frame of a compressed video is a list of changes to the frame before it, so to see frame 136 a decoder has to work through all frames before it.
# Nothing can be skipped, but three things can be done:
#
# 1. **All cores at once.** Each core decodes a clip of its own.
# 2. **Ahead of time.** While the network takes its step, the next batches are read.
# 3. **Only once.** What was decoded is kept for the next epoch.
#
# `make_dataset` does the first two, and with `cache=` the third. Its inner part is `ClipBatches`, which makes batch number *i* of an epoch when it is asked to, in plain NumPy. That lets us watch it work:


# %%
def watch(epochs=1, **options):
    clips = ClipBatches(folders["train"], training=True, **run.reading, **options)
    clips.files, clips.labels = some, clips.labels[: len(some)]
    for _ in range(epochs):
        clock = Timeline()
        clips.batch = clock.watch("reading", ClipBatches.batch.__get__(clips))
        train_on(clips, clock)
    return clock


# %% mystnb={"image": {"alt": "Three timelines on one scale. One after the other is the longest, with wide gaps in the network's row. Ahead and on all cores is shorter. Kept from the first epoch is the shortest: the reading bars are slivers, and the network works without gaps."}}
ahead, kept = watch(), watch(epochs=2, cache="memory")
lines = {
    "One after the other": plain,
    "Ahead, on all cores": ahead,
    "Kept: the second epoch": kept,
}
figure = plots.plot_timelines(lines)

# %%
for title, line in lines.items():
    print(f"{title:24} {busy(line)}")

# %% [markdown]
# In the last one the network works without a gap: it is fed. From here on a faster pipeline would gain nothing, and a faster GPU would.
#
# ## Keep frames, not chance
#
# "Keep what was decoded" has a trap. tf.data has a `cache()` of its own, and many pipelines end in it. **Predict:** what happens to the random starts and the shuffling of a data set if one calls it?


# %% tags=["nbval-check-output"]
def first_frames(dataset):
    return np.concatenate([frames[:, 0] for frames, _ in dataset.as_numpy_iterator()])


sizes = run.reading | {"batch_size": run.batch_size, "training": True}
frozen = pipeline.make_dataset(folders["train"], **sizes).cache()
alive = pipeline.make_dataset(folders["train"], cache="memory", **sizes)
for title, dataset in {"frozen": frozen, "alive": alive}.items():
    same = np.array_equal(first_frames(dataset), first_frames(dataset))
    print(f"{title}: the second epoch is the first one again: {same}")

# %% [markdown]
# The outcome of chance was kept, and each epoch is the first one over again: no new starts, no new order. So the question is what to keep. Not batches; and not all frames either, which would take many times the memory. Of each clip
# exactly those frames that *some* start may ask for: `kept_indices`. Then start, order and whatever else is random are drawn afterwards, as if nothing had been kept.
#
# Think of the tutorial's sizes, ten frames at a step of 15, and of a clip of 200 frames. There are 65 possible starts, and together they ask for every single frame. But
# neighbouring frames look almost alike. If starts lie five frames apart (`start_step=5`), the ten frames of all of them lie on a grid of five, and a fifth of the frames is enough:

# %% mystnb={"image": {"alt": "Rows of marks along the frames of a clip. With a start step of one all frames are marked, with five every fifth, with fifteen every fifteenth; for validation ten frames in the middle."}}
choices = {
    f"start_step={step}": cache.kept_indices(200, 10, 15, start_step=step)
    for step in (1, 5, 15)
}
choices["validation"] = cache.kept_indices(200, 10, 15, start="center")
axis = plots.plot_chosen_frames(choices, 200)

# %% tags=["nbval-check-output"]
for label, numbers in choices.items():
    megabytes = len(numbers) * 168 * 224 * 3 / 1e6
    print(f"{label:14} {len(numbers):4} frames, {megabytes:5.1f} MB at 224 pixels")

# %% [markdown]
# A clip too short for its ten frames has one choice of them only, and more than half of UCF101's clips are so short. (The bars of letterboxing are not kept, either: they are added when a clip is read.)
#
# The promise of `FrameCache`, which does this, is simple: *a cache changes nothing but the time*. For any clip and seed it gives the very frames that `frames_from_video_file` gives.

# %% tags=["nbval-check-output"]
keeper = cache.FrameCache("memory", **run.reading)
same = [
    np.array_equal(
        keeper.read(file, seed),
        video.frames_from_video_file(file, **run.reading, seed=seed),
    )
    for file in some[:10]
    for seed in range(3)
]
print(all(same), "for", len(same), "readings")

# %% [markdown]
# ### Memory or disk
#
# `cache="memory"` keeps frames in the process. With a folder, such as `cache="cache"`, they are written to disk: that takes no memory, serves the next process too, and holds data sets that no memory would. Each clip has a file there whose name and content say what it was made from: the
# clip's bytes, the sizes, OpenCV's version, this book's code. If any of them changes, or a file is damaged, the clip is decoded again. You can delete the folder at any time.

# %%
with tempfile.TemporaryDirectory() as folder:
    for attempt in ("fills the folder", "finds it filled"):
        begin = time.perf_counter()
        clips = ClipBatches(folders["val"], cache=folder, **run.reading)
        n_clips = sum(len(labels) for _, labels in clips)
        seconds = time.perf_counter() - begin
        print(f"{attempt:17} {n_clips} clips in {seconds:.2f} s")

# %% [markdown]
# Which one is for you? Here is what was measured on real clips, by `make bench`: clips a second in the first epoch and in later ones, each with the ratio to the tutorial's way in the same run, the memory that the process took besides, and what lay on disk.

# %% tags=["remove-input", "nbval-check-output"]
bench = training.recorded("pipeline")
lines = ["| | first epoch | | later epochs | | memory | disk |", "|" + " --- |" * 7]
for row in bench["rows"]:
    disk = f"{row['disk'] / 1e9:.2f} GB" if row["disk"] else ""
    lines.append(
        f"| {row['name']} | {row['first']:.0f}/s | ×{row['first_ratio']:.1f} | {row['later']:.0f}/s | "
        f"×{row['later_ratio']:.0f} | {row['memory'][-1] / 1e9:.2f} GB | {disk} |"
    )
Markdown("\n".join([*lines, "", bench["about"]]))

# %% [markdown]
# Read it from the top. The decoder alone, on all cores, is the ceiling of any first epoch: it decodes and throws away. Keeping every frame for every start costs a slow first epoch and much room, and wins nothing over starts five frames apart. And validation, whose frames are always the same, keeps least and is fastest.
#
# All of UCF101 has thirteen thousand clips, and would not fit into memory. On disk it does:

# %% tags=["remove-input", "nbval-check-output"]
long = bench["long"]
epochs = "; ".join(
    f"epoch {number}: {seconds:.0f} s, {memory / 1e9:.2f} GB of memory"
    for number, (seconds, memory) in enumerate(zip(long["seconds"], long["memory"]), 1)
)
Markdown(
    f"A list of {long['clips']:,} clips of {long['classes']} classes, which repeats the same clips under other names, read at {long['size']} pixels with `start_step=5` from a folder on disk: "
    f"{long['disk'] / 1e9:.1f} GB on disk; {epochs}. At 224 pixels a frame has four times the bytes, so about {4 * (224 / (2 * long['size'])) ** 2 * long['disk'] / 1e9:.0f} GB."
)

# %% [markdown]
# ## Change what doesn't matter
#
# Three hundred clips are few. A network of millions of weights can learn them by heart, down to the colour of a wall. [Augmentation](../book/glossary.md#augmentation) shows it each clip a little different in every epoch, in ways that leave the action what it is.
# A video adds one rule: **all frames of a clip are changed alike**, for a change from frame to frame would look like motion.

# %% mystnb={"image": {"alt": "Five film strips of one clip: as it is; mirrored; cut out and enlarged; in other colours; and all three together. Within a strip all frames are changed in the same way."}}
clip = puppets.draw_clip("PickUp", group=4, clip=1)[::5]
ways = {
    "as it is": Augmentation(flip=False, crop=1, colour=0),
    "flip": Augmentation(flip=True, crop=1, colour=0),
    "crop": Augmentation(flip=False, crop=0.75, colour=0),
    "colour": Augmentation(flip=False, crop=1, colour=0.3),
    "all three, as in training": Augmentation(),
}
changed = [augment(clip, "PickUp", seed=4) for augment in ways.values()]
figure = plots.plot_film_strip(changed, list(ways), columns=8)

# %% [markdown]
# **Predict:** which of the three would you not use on the class *WalkLeft*?

# %% mystnb={"image": {"alt": "Two film strips. In the upper one a figure walks to the left. The lower one is its mirror image, and the figure walks to the right."}}
walk = puppets.draw_clip("WalkLeft", group=4, clip=1)
figure = plots.plot_film_strip(
    [walk, walk[:, :, ::-1]], ["WalkLeft", "WalkLeft in the mirror"], columns=8
)

# %% [markdown]
# In the mirror it is the action of another class, under the first one's label. Such classes are never flipped: those whose names say left or right, and whichever else you name in `Augmentation(sided=...)`. None of UCF101's is among them.

# %% tags=["nbval-check-output"]
print("never flipped:", [name for name in puppets.CLASSES if is_sided(name)])

# %% [markdown]
# `make_dataset(..., training=True, augment=Augmentation())` draws all this anew for each clip of each epoch, after the cache.
#
# ## Get the same again
#
# Chance that can't be repeated makes a bug that can't be found. Here it comes from three numbers only: seed, epoch and clip. No thread draws before or after another, so neither the number of cores nor a cache can change what comes out:


# %% tags=["nbval-check-output"]
def digest(clips, epochs=2):
    digest = hashlib.sha256()
    for _ in range(epochs):
        for frames, labels in clips:
            digest.update(frames.tobytes() + labels.tobytes())
    return digest.hexdigest()


options = run.reading | {"training": True, "augment": Augmentation()}
digests = {
    digest(ClipBatches(folders["val"], workers=workers, cache=place, **options))
    for workers in (1, 3)
    for place in (None, "memory")
}
print("one and the same:", len(digests) == 1)

# %% [markdown]
# ## Do without TensorFlow
#
# Keras also runs on JAX and PyTorch, and there tf.data may be missing. `ClipBatches` needs NumPy and OpenCV only. A `for` loop over it gives an epoch, made ahead by threads; and since it is a `keras.utils.PyDataset`, `model.fit(clips, shuffle=False)` takes it under any backend
# (`KERAS_BACKEND=jax` before Python starts). Both ways give the same batches:

# %% tags=["nbval-check-output"]
clips = ClipBatches(folders["val"], **run.reading)
dataset = pipeline.make_dataset(folders["val"], **run.reading)
same = [
    np.array_equal(a, b.numpy())
    for pair in zip(clips, dataset, strict=True)
    for a, b in zip(*pair)
]
print(len(clips), "batches, all the same:", all(same))

# %% [markdown]
# ## Decide about clips that can't be read
#
# One file of thousands is damaged. By default reading stops there and names the file, because a data set that shrinks unsaid is a lie:

# %% tags=["nbval-check-output"]
place = Path(tempfile.mkdtemp())
shutil.copytree(folders["val"], place, dirs_exist_ok=True)
victim = sorted(place.glob("*/*.avi"))[3]
victim.write_bytes(victim.read_bytes()[:1000])


def tell(error):
    return str(error).replace(f"{place}/", "")


try:
    for _ in ClipBatches(place, **run.reading):
        pass
except video.VideoReadError as error:
    print(tell(error))

# %% [markdown]
# Perhaps you would rather train on the rest. With `unreadable="leave out"` all clips are read once beforehand, into the cache if there is one, and those that fail are left out and listed:

# %% tags=["nbval-check-output"]
import warnings

with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    clips = ClipBatches(place, unreadable="leave out", cache="memory", **run.reading)
print(tell(said[0].message))
print(len(clips.files), "clips are left,", len(clips.left_out), "is listed")
shutil.rmtree(place)

# %% [markdown]
# Hundreds of other things can go wrong, on the way from a server or in a file. What this book's code does about each is on a page of its own: [What can go wrong](../book/faults.md).
#
# ## Look back
#
# The same clips, the same machine, one run: how long did an epoch take, and how long does it take now?

# %%
speeds = {}
begin = time.perf_counter()
for file in some:
    read_plainly(file)
speeds["plainly"] = len(some) / (time.perf_counter() - begin)
dataset = pipeline.make_dataset(
    folders["train"], training=True, cache="memory", augment=Augmentation(), **run.reading
)
for epoch in ("first epoch", "second epoch", "third epoch"):
    begin = time.perf_counter()
    n_clips = sum(len(labels) for _, labels in dataset)
    speeds[epoch] = n_clips / (time.perf_counter() - begin)
for way, speed in speeds.items():
    print(f"{way:13} {speed:7.0f} clips/s, {speed / speeds['plainly']:5.1f} times as fast")

# %% [markdown]
# ## Check yourself
#
# 1. A colleague's GPU is at work a fifth of the time. Would a faster GPU help? What would?
# 2. Why does `dataset.map(augment).cache()` harm, and `dataset.cache().map(augment)` not?
# 3. In which of these would you switch flipping off: applying lipstick, turning a car left, reading a page aloud from left to right?
# 4. Why does the start of a clip depend on seed, epoch and clip, and not on a random generator that all threads share?
#
# <details><summary>Answers</summary>
#
# 1. Hardly: four fifths of the time it waits. Reading ahead, on all cores, and only once.
# 2. The first keeps the outcome of chance; the second draws anew after the cache.
# 3. In the second, and in the third if the direction of reading is what tells it apart. A face in the mirror still gets lipstick.
# 4. Which thread comes first differs from run to run; with a shared generator, so would the starts.
#
# </details>
#
# ## On your own
#
# - Time your own network instead of the stand-in: replace `time.sleep` by `model.train_on_batch`.
# - Run `make bench`, and compare the table with the one above. Which row changes most on your machine?
# - Add an augmentation of your own, such as playing the clip a little faster. For which classes must it not be used?
#
# Next: [Count parameters](count_parameters.ipynb).
