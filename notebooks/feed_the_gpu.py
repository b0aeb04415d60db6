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
# **What you'll do:** make the clips come so fast that the network never waits for them, and still get random starts, runs that can be repeated, and no clip lost without a word.
#
# **What you'll learn**
#
# - to see where an epoch's time goes, and who waits for whom;
# - to keep decoded frames, in memory or on disk, and still draw new starts;
# - to vary clips in ways that leave the action what it is;
# - to get the same batches again, on any number of cores, and under any of Keras's backends;
# - to decide what becomes of a clip that can't be read.
#
# **What you'll need:** the chapter [Load video](load_video.ipynb). In a hurry? Read up to and including *Keep frames, not chance*, and come back when your GPU waits.

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
import warnings

import cv2
import numpy as np
import tensorflow as tf
from IPython.display import Markdown

from helpers import (
    archive,
    cache,
    pipeline,
    plots,
    puppets,
    records,
    settings,
    video,
)
from helpers.augmentation import Augmentation, is_directional
from helpers.batches import ClipBatches
from helpers.timeline import Timeline

run = settings.current()
folders = archive.fetch_clips(run)
files, labels, class_names = video.list_clips(folders["train"])
print(len(files), "clips to train on;", records.hardware())

# %% [markdown]
# ## See who waits
#
# In the tutorial that this book grew out of the GPU is idle for most of each [epoch](../book/glossary.md#epoch). Why? To find out, here is a way of reading a clip that
# works like the tutorial's, except that it always starts at the first frame: every frame is read, and TensorFlow turns those that are wanted to floats and resizes them.


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
    return np.stack(frames)[..., ::-1]  # OpenCV gives blue, green, red


# %% [markdown]
# In place of a GPU we take a stand-in that always takes the same time: it sleeps for a twentieth of a second, and calls that a training step. Like a GPU it leaves the processor's cores free
# for reading. (A network that trains on the cores themselves would not.) `Timeline` notes who is at work from when to when.
#
# **Predict:** a batch of clips is read, the network takes a step, the next batch is read, and so on. What part of the time is the network at work?


# %%
def rest(batch):
    time.sleep(0.05)


def train_on(batches, clock, step=rest):
    for batch in batches:
        with clock.span("network"):
            step(batch)
    return clock


def read_in_turn(read, files, clock):
    for i in range(0, len(files), run.batch_size):
        with clock.span("reading"):
            frames = np.stack(
                [read(file) for file in files[i : i + run.batch_size]]
            )
        yield frames


# %% mystnb={"image": {"alt": "A timeline of two rows. Long bars of reading and short bars of the network take turns; while one is at work the other waits."}}
chosen = slice(
    None, None, max(1, len(files) // 48)
)  # some clips of all classes
some = files[chosen]
read_plainly(some[0])  # TensorFlow's first call takes longer
clock = Timeline()
plainly = train_on(read_in_turn(read_plainly, some, clock), clock)
figure = plots.plot_timelines({"One after the other": plainly})


# %%
def busy(clock):
    share = clock.seconds("network") / clock.length
    return f"{clock.length:5.2f} s, the network at work {share:4.0%} of it"


print(busy(plainly))

# %% [markdown]
# Where a row has a gap, somebody waits. Mostly it is the network that waits, and the faster your GPU, the larger the share.
#
# To see this with a network of your own, time an epoch over the data set alone, then one with training. If they take about as long, the network waits. `nvidia-smi` tells how busy a GPU is, too.
#
# ## Find out what takes the time
#
# Reading a clip is several kinds of work. The same `Timeline` serves as a stopwatch:

# %%
clock = Timeline()
for file in some:
    with clock.span("decode all frames"):
        capture, frames = cv2.VideoCapture(str(file)), []
        while capture.grab():  # decodes the next frame
            if len(frames) < run.n_frames:
                frames.append(capture.retrieve()[1])  # hands it over
    with clock.span("resize by TensorFlow, as floats"):
        for frame in frames:
            frame = tf.image.convert_image_dtype(frame, tf.float32)
            tf.image.resize_with_pad(frame, run.size, run.size)
    with clock.span("resize by OpenCV, as bytes"):
        for frame in frames:
            video.letterbox(frame, (run.size, run.size))
for kind in clock.kinds:
    print(f"{kind:32} {1000 * clock.seconds(kind) / len(some):6.1f} ms a clip")

# %% [markdown]
# OpenCV on bytes takes a fraction of the time of TensorFlow on floats. When that is mended, nearly all that is left is [decoding](../book/glossary.md#decoding). Most video formats store a whole picture only now
# and then, a [key frame](../book/glossary.md#key-frame), and between key frames nothing but changes. To see a frame, a decoder starts at a key frame and works forward. One can jump to a key frame, but not exactly in every file, and so this book decodes
# from the beginning: slower, and always the right frame.
#
# The work can't be skipped, then, but three things can be done:
#
# 1. **All cores at once.** Each core makes a batch of its own.
# 2. **Ahead of time.** While the network takes its step, the next batches are made.
# 3. **Only once.** What was decoded is kept for the next epoch, in a [cache](../book/glossary.md#cache).
#
# `make_dataset` does the first two, and with `cache=` the third. Its inner part is `ClipBatches`, which makes batch number *i* of an epoch when it is asked to, in plain NumPy. So we can watch it work, in as many
# [threads](../book/glossary.md#thread) as there are cores. (Python's threads can share this work, because OpenCV lets go of the lock that otherwise lets only one of them run at a time.)

# %%
sizes = run.sampling | {
    "training": True,
    "start_step": run.start_step,
}  # see below


def watch(epochs=1, step=rest, **options):
    """Return the timelines of some epochs, one each."""
    clips = ClipBatches(folders["train"], **sizes, **options)
    clips.files, clips.labels = clips.files[chosen], clips.labels[chosen]
    clocks, make_batch = [Timeline() for _ in range(epochs)], clips.batch
    for clock in clocks:
        clips.batch = clock.watch("reading", make_batch)  # each call is noted
        train_on(clips, clock, step)
    return clocks


# %% [markdown]
# **Predict:** each timeline below changes one thing more. (From the third on, clips also come shuffled and start at random.) Which one wins most?

# %% mystnb={"image": {"alt": "Five timelines on one scale, each shorter than the one above but for the fourth: plainly; with OpenCV's resize; ahead and on all cores, where reading has two rows; keeping frames, first epoch; second epoch, where the reading bars are slivers and the network works without a gap."}}
clock = Timeline()
resized = train_on(
    read_in_turn(
        lambda file: video.frames_from_video_file(file, **run.sampling),
        some,
        clock,
    ),
    clock,
)
(ahead,) = watch()
first, second = watch(epochs=2, cache="memory")
lines = {
    "One after the other, plainly": plainly,
    "Resized by OpenCV": resized,
    "Ahead, on all cores": ahead,
    "Keeping frames: first epoch": first,
    "Keeping frames: second epoch": second,
}
figure = plots.plot_timelines(lines)

# %%
for title, line in lines.items():
    print(f"{title:29} {busy(line)}")

# %% [markdown]
# Each row of reading is one thread. Resizing with OpenCV wins most here; reading on all cores comes next, and wins more the more cores there are. The first epoch that keeps frames has more to do than one that doesn't, for it keeps more frames than it needs itself; from the second on, reading hardly takes time, and the network works without a gap. It is fed. From here on a faster pipeline would gain nothing, and a faster GPU would.
#
# ## Keep frames, not chance
#
# "Keep what was decoded" has a trap. tf.data has a `cache()` of its own, and TensorFlow's tutorial [Load video data](https://www.tensorflow.org/tutorials/load_data/video) puts it behind a reader that draws random starts. **Predict:** what
# happens to random starts and shuffling if one calls it on our data set?


# %% tags=["nbval-check-output"]
def first_frames(dataset):
    return np.concatenate(
        [frames[:, 0] for frames, _ in dataset.as_numpy_iterator()]
    )


frozen = pipeline.make_dataset(folders["train"], **sizes).cache()
alive = pipeline.make_dataset(folders["train"], cache="memory", **sizes)
for title, dataset in {"frozen": frozen, "alive": alive}.items():
    same = np.array_equal(first_frames(dataset), first_frames(dataset))
    print(f"{title}: the second epoch is the first one again: {same}")
del frozen, alive

# %% [markdown]
# `cache()` kept the outcome of chance, and each epoch is the first one over again: no new starts, no new order. So the question is *what* to keep. Not batches; and not all frames either. Of each clip
# exactly those frames that *some* start may ask for: `cached_indices`. Then start, order and whatever else is random are drawn afterwards, as if nothing had been kept.
#
# Think of the tutorial's sizes, ten frames at a step of 15, and of a clip of 200 frames. Together its possible starts ask for every single frame. But
# neighbouring frames look almost alike. Let starts lie five frames apart (`start_step=5`): since 15 is a multiple of five, the ten frames of all these starts share one grid, and a fifth of the frames is enough. The price is fewer starts to choose from.

# %% mystnb={"image": {"alt": "Rows of marks along the frames of a clip. With a start step of one all frames are marked, with five every fifth, with fifteen every fifteenth; for validation ten frames in the middle."}}
choices = {
    f"start_step={step}": cache.cached_indices(200, 10, 15, start_step=step)
    for step in (1, 5, 15)
}
choices["validation"] = cache.cached_indices(200, 10, 15, start="center")
axis = plots.plot_frame_choices(choices, 200)

# %% tags=["nbval-check-output"]
height, width = 168, 224  # a frame four by three, 224 pixels wide
starts = [len(range(0, 200 - 135, step)) for step in (1, 5, 15)] + [1]
for (label, kept), n_starts in zip(choices.items(), starts):
    megabytes = len(kept) * height * width * 3 / 1e6
    print(
        f"{label:14} {n_starts:3} starts, {len(kept):4} frames, {megabytes:5.1f} MB"
    )

# %% [markdown]
# The bars of letterboxing are not kept; they are added when a clip is read. A clip too short for its ten frames has one choice of them only, and takes no more than a clip for validation.
#
# `FrameCache`, which does this, makes a simple promise: *a cache changes nothing but the time*. For any clip and seed it gives the very frames that `frames_from_video_file` gives.

# %% tags=["nbval-check-output"]
reading = run.sampling | {"start_step": run.start_step}
keeper = cache.FrameCache("memory", **reading)
same = [
    np.array_equal(
        keeper.read(file, seed),
        video.frames_from_video_file(file, **reading, seed=seed),
    )
    for file in some[:10]
    for seed in range(3)
]
print(all(same), "for", len(same), "readings")

# %% [markdown]
# ### Memory or disk
#
# `cache="memory"` keeps frames in the process. With a folder, such as `cache="frames"`, they are written to disk: that takes no memory, serves the next process too, and holds data sets that no memory would. Each clip has a file there whose name and content say what it was made from: the
# clip's bytes, the sizes, OpenCV's version, this book's code. If any of them changes, or a file is damaged, the clip is decoded again. What is outdated stays until you delete the folder, which you can at any time.

# %%
with tempfile.TemporaryDirectory() as folder:
    for attempt in ("fills the folder", "finds it filled"):
        begin = time.perf_counter()
        clips = ClipBatches(folders["val"], cache=folder, **run.sampling)
        n_clips = sum(len(labels) for _, labels in clips)
        seconds = time.perf_counter() - begin
        print(f"{attempt:17} {n_clips} clips in {seconds:.2f} s")

# %% [markdown]
# (What was written a moment ago is still in the system's memory. From a slow disk it takes longer.)
#
# Which one is for you? If it fits into memory, take memory. If it doesn't, or if several runs share the clips, take a folder. Too large for both? Raise `start_step`, or read smaller frames. Here is what `make bench` measured: clips a second, beside the tutorial's way in the same
# run, and the memory that the process held after five epochs, over what it held at the start. (In the rows for training, clips are also cut, flipped and coloured, which comes below.)

# %% tags=["remove-input", "nbval-check-output"]
bench = records.load_results("pipeline")
rows = []
for row in bench["rows"]:
    first, later = (
        (f"{row[e]:.0f}/s", f"{row[f'{e}_ratio']:.1f}")
        for e in ("first", "later")
    )
    disk = f"{row['disk'] / 1e9:.2f} GB" if row["disk"] else ""
    rows.append(
        (row["name"], *first, *later, f"{row['memory'][-1] / 1e9:.2f} GB", disk)
    )
header = ["pipeline", "first epoch", "first, × tutorial", "later epochs"]
header += ["later, × tutorial", "memory", "disk"]
Markdown(f"{records.markdown_table(header, rows)}\n\n{bench['about']}")

# %% [markdown]
# (*NumPy* is `ClipBatches` by itself, without the copy into TensorFlow.) The decoder alone, on all cores, decodes and throws away: no first epoch can be faster. Keeping every start costs a slow first epoch and much room. And validation, whose frames are always the same, keeps least.
#
# And a data set as large as all of UCF101? We tried its size, with the clips that we had:

# %% tags=["remove-input", "nbval-check-output"]
long = bench["long"]
epochs = "; ".join(
    f"epoch {number}: {seconds:.0f} s, {memory / 1e9:.2f} GB of memory"
    for number, (seconds, memory) in enumerate(
        zip(long["seconds"], long["memory"]), 1
    )
)
Markdown(
    f"A few hundred clips, repeated under other names until there were {long['clips']:,} of {long['classes']} classes, read at {long['size']} pixels with `start_step=5`, took "
    f"{long['disk'] / 1e9:.1f} GB in a folder; {epochs}. At 224 pixels that would be {(224 / long['size']) ** 2 * long['disk'] / 1e9:.0f} GB."
)

# %% [markdown]
# <details><summary>Other ways that people take</summary>
#
# - Shrink the files once, and encode them anew with a key frame every few frames. Small on disk; each encoding loses a little.
# - Store frames as JPEG, in TFRecord or WebDataset files. Far less room than plain frames, and a JPEG to decode for each frame of each epoch.
# - Decode with another library (PyAV, TorchCodec, decord), or on the GPU itself (NVIDIA's DALI).
#
# Plain frames, as kept here, are read fastest, take most room, and are exactly what was decoded.
#
# </details>
#
# ## Change what doesn't matter
#
# A network has far more weights than we have clips, and can learn them by heart, down to the colour of a wall. [Augmentation](../book/glossary.md#augmentation) shows it each clip a little different in every epoch, in ways that leave the action what it is.
# A video adds one rule: **all frames of a clip are changed alike**, for a change from frame to frame would look like motion.

# %% mystnb={"image": {"alt": "Five film strips of one clip: as it is; mirrored; cut out and enlarged; in other colours; and all three together. Within a strip all frames are changed in the same way."}}
clip = puppets.draw_clip("PickUp", group=4, clip=1)[::5]
usual = Augmentation()
ways = {
    "as it is": Augmentation(flip=False, crop=1, colour=0),
    "flip": Augmentation(crop=1, colour=0),
    "crop": Augmentation(flip=False, colour=0),
    "colour": Augmentation(flip=False, crop=1),
    "all three": usual,
}
changed = [augment(clip, "PickUp", seed=4) for augment in ways.values()]
figure = plots.plot_film_strip(changed, list(ways), columns=8)

# %% tags=["remove-input", "nbval-check-output"]
Markdown(
    f"Unless told otherwise, `Augmentation` mirrors half of the clips, cuts each to between {usual.crop:.0%} and all of its height and width and enlarges that, makes it up to "
    f"{usual.colour:.0%} brighter or darker, and red, green and blue by up to half as much besides."
)

# %% [markdown]
# Cut too much, and the parcel would be outside the picture: then it is another action. How much is too much, only a look can tell.
#
# **Predict:** which of the three would you not use on the class *WalkLeft*?

# %% mystnb={"image": {"alt": "Two film strips. In the upper one a figure walks to the left. The lower one is its mirror image, and the figure walks to the right."}}
walk = puppets.draw_clip("WalkLeft", group=4, clip=1)
figure = plots.plot_film_strip(
    [walk, walk[:, :, ::-1]], ["WalkLeft", "WalkLeft in the mirror"], columns=8
)

# %% [markdown]
# In the mirror it is the action of another class, under the first one's label. Such classes are never flipped: those whose names say left or right, and whichever else you name in `Augmentation(sided=...)`. None of UCF101's is among them.

# %% tags=["nbval-check-output"]
print(
    "never flipped:", [name for name in puppets.CLASSES if is_directional(name)]
)

# %% [markdown]
# `make_dataset(..., training=True, augment=Augmentation())` draws all this anew for each clip of each epoch, after the cache.
#
# ## Get the same again
#
# Chance that can't be repeated makes a bug that can't be found. Here it comes from three numbers only: seed, epoch and clip. No two threads share a random generator, so it doesn't matter which of them is first, nor how many there are. To check it, we
# turn all pixels and labels of two epochs into one short number, which changes if any of them does:


# %% tags=["nbval-check-output"]
def fingerprint(clips, epochs=2):
    sums = hashlib.sha256()
    for _ in range(epochs):
        for frames, labels in clips:
            sums.update(frames.tobytes() + labels.tobytes())
    return sums.hexdigest()


fingerprints = {
    fingerprint(
        ClipBatches(
            folders["val"], workers=threads, cache=place, augment=usual, **sizes
        )
    )
    for threads in (1, 3)
    for place in (None, "memory")
}
print("one and the same:", len(fingerprints) == 1)

# %% [markdown]
# Another process on another number of cores gives the same, and so does another machine with the same versions. (Another version of OpenCV may decode a pixel differently.)
#
# ## Do without TensorFlow
#
# Keras also runs on JAX and PyTorch, two other [backends](../book/glossary.md#backend), and there tf.data may be missing. `ClipBatches` needs no TensorFlow: Keras, NumPy and OpenCV are enough. A `for` loop over it gives an epoch, made ahead by threads. Set `KERAS_BACKEND=jax` before Keras is imported, and
# `model.fit(clips, shuffle=False)` takes it as it is (the order is shuffled already). The batches are those of `make_dataset`:

# %% tags=["nbval-check-output"]
clips = ClipBatches(folders["val"], augment=usual, **sizes)
dataset = pipeline.make_dataset(folders["val"], augment=usual, **sizes)
same = [
    np.array_equal(a, b.numpy())
    for pair in zip(clips, dataset, strict=True)
    for a, b in zip(*pair)
]
print(len(clips), "batches, all the same:", all(same))

# %% [markdown]
# ## Decide about clips that can't be read
#
# Suppose one file in thousands is damaged. By default reading stops there and names the file, because a data set that shrinks without a word misleads you:

# %% tags=["nbval-check-output"]
place = folders["val"].with_name("damaged")
shutil.copytree(folders["val"], place, dirs_exist_ok=True)
victim = sorted(place.glob("*/*.avi"))[3]
victim.write_bytes(victim.read_bytes()[:1000])


def tell(error):
    return str(error).replace(f"{place}/", "")


try:
    for _ in ClipBatches(place, **run.sampling):
        pass
except video.VideoReadError as error:
    print(tell(error))

# %% [markdown]
# Perhaps you would rather train on the rest. With `unreadable="leave out"` all clips are read once beforehand, into the cache if there is one, and those that fail are left out and listed:

# %% tags=["nbval-check-output"]
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    clips = ClipBatches(
        place, unreadable="leave out", cache="memory", **run.sampling
    )
print(tell(said[0].message))
print(
    len(clips.files),
    "clips are left,",
    len(clips.left_out),
    "is listed in clips.left_out",
)
shutil.rmtree(place)

# %% [markdown]
# Much else can go wrong, on the way from a server or in a file. What this book's code does about it is on a page of its own: [What can go wrong](../book/faults.md).
#
# ## Look back
#
# Where we began, and where we are: the same clips and the same stand-in for a GPU. *Now* is a second epoch, when the frames are kept, with new starts, flips, crops and colours.

# %% mystnb={"image": {"alt": "Two timelines on one scale: plainly, long and with wide gaps between the network's bars; and kept, with new starts, flips, crops and colours, a fraction as long and without gaps."}}
*_, fed = watch(epochs=2, cache="memory", augment=usual)
lines = {"Then": plainly, "Now": fed}
figure = plots.plot_timelines(lines)

# %%
for title, line in lines.items():
    print(f"{title:5} {busy(line)}")

# %% [markdown]
# ## Check yourself
#
# 1. A colleague's GPU is at work a fifth of the time. Would a faster GPU help? What would?
# 2. Why is `dataset.map(augment).cache()` worse than `dataset.cache().map(augment)`? And what does the second still freeze?
# 3. In which of these would you switch flipping off: applying lipstick, turning a car left, writing a line from left to right?
# 4. Why does the start of a clip depend on seed, epoch and clip, and not on a random generator that all threads share?
#
# <details><summary>Answers</summary>
#
# 1. Hardly: four fifths of the time it waits. Reading ahead, on all cores, and only once.
# 2. The first keeps one outcome of the augmentation; the second draws it anew. Starts and order, drawn before the cache, stay frozen.
# 3. In the second, and in the third. A face in the mirror still gets lipstick.
# 4. Which thread comes first differs from run to run; with a shared generator, so would the starts.
#
# </details>
#
# ## On your own
#
# - After the chapter [Build the model](build_model.ipynb): put a network in place of the stand-in, `watch(step=lambda batch: model.train_on_batch(*batch))`. Call it once before you time it.
# - Run `make bench`, and compare the table with the one above. Which row changes most on your machine?
# - Write an augmentation of your own: a function of `frames`, `class_name`, `seed` and `out`, which puts the changed frames into `out`, such as one that plays some clips backwards. For which classes must it not be used?
#
# Next: [Count parameters](count_parameters.ipynb).
