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
# # Feed the GPU: a fast input pipeline with caching and data augmentation
#
# **What you'll do:** load clips so fast that the network never waits, and still start each clip at a random frame, keep runs reproducible, and lose no clip silently.
#
# **What you'll learn**
#
# - how to see where the time of an epoch goes, and which part is the bottleneck;
# - how to cache decoded frames, in memory or on disk, and still pick new start frames;
# - how to augment clips without changing the action;
# - how to make batches reproducible, on any number of cores and with any Keras backend;
# - how to handle clips that can't be read.
#
# **What you'll need:** the chapter [Load video](load_video.ipynb). In a hurry? Read as far as *Cache frames, not random choices*, and come back when your GPU is waiting.

# %% tags=["hide-input"]
# Install the book's helpers and their dependencies if they are missing, as they are in Colab.
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

from helpers import archive, cache, pipeline, plots, puppets, records, settings
from helpers import video
from helpers.augmentation import Augmentation, is_directional
from helpers.batches import ClipBatches
from helpers.clips import list_clips
from helpers.timeline import Timeline

# %% [markdown]
# ## Find out whether the GPU waits for data
#
# In the [TensorFlow tutorial](https://www.tensorflow.org/tutorials/video/video_classification) this book is based on, the GPU is idle for most of each [epoch](../book/glossary.md#epoch). Why? Here is a function that reads a clip as the tutorial does, except that it always starts at the first frame.
# It reads every frame; TensorFlow then converts the requested frames to floats and resizes them.


# %%
run = settings.current()
folders = archive.fetch_clips(run)
files, _, _ = list_clips(folders["train"])
print(len(files), "clips to train on;", records.hardware())


def read_like_tutorial(file):
    capture, frames = cv2.VideoCapture(str(file)), []
    for i in range(1 + (run.n_frames - 1) * run.frame_step):
        ok, frame = capture.read()
        if i % run.frame_step == 0:
            # Pad short clips with black frames.
            frame = frame if ok else np.zeros((1, 1, 3), np.uint8)
            frame = tf.image.convert_image_dtype(frame, tf.float32)
            frames.append(tf.image.resize_with_pad(frame, run.size, run.size))
    return np.stack(frames)[..., ::-1]  # OpenCV returns BGR


# %% [markdown]
# Instead of a GPU we use a stand-in that always takes the same time. A training step of it is a sleep of a twentieth of a second. Like a GPU, it leaves the CPU cores free for reading.
# (A network that trains on the CPU would not leave them free.) `Timeline` records when each part is working.
#
# **Predict:** a batch of clips is read, the network takes a step, the next batch is read, and so on. For what share of the time is the network working?


# %%
def fake_step(batch):
    time.sleep(0.05)


def train_on(batches, clock, step=fake_step):
    for batch in batches:
        with clock.span("network"):
            step(batch)
    return clock


def read_sequentially(read, files, clock):
    for i in range(0, len(files), run.batch_size):
        with clock.span("reading"):
            frames = np.stack(
                [read(file) for file in files[i : i + run.batch_size]]
            )
        yield frames


# %% mystnb={"image": {"alt": "A timeline with two rows. Long bars for reading alternate with short bars for the network; while one works, the other waits."}}
# Every n-th clip, so that all classes are included.
subset = slice(None, None, max(1, len(files) // 48))
sample = files[subset]
read_like_tutorial(sample[0])  # TensorFlow's first call takes longer
clock = Timeline()
baseline = train_on(read_sequentially(read_like_tutorial, sample, clock), clock)
figure = plots.plot_timelines({"Tutorial: one clip after another": baseline})


# %%
def busy(clock):
    share = clock.seconds("network") / clock.length
    return f"{clock.length:5.2f} s, network busy {share:4.0%} of the time"


print(busy(baseline))

# %% [markdown]
# A gap in a row means waiting. Mostly the network waits, and the faster your GPU, the larger the share of time it spends waiting.
#
# To see this with a network of your own, time one epoch of iterating over the data set alone, then one epoch of training. If both take about the same time, the network is waiting for data. `nvidia-smi` also reports how busy a GPU is.
#
# ## Profile decoding and resizing
#
# Reading a clip takes several steps. The same `Timeline` serves as a stopwatch:

# %%
clock = Timeline()
for file in sample:
    with clock.span("decode all frames"):
        capture, frames = cv2.VideoCapture(str(file)), []
        while capture.grab():  # decodes the next frame
            if len(frames) < run.n_frames:
                frames.append(capture.retrieve()[1])
    with clock.span("resize floats with TensorFlow"):
        for frame in frames:
            frame = tf.image.convert_image_dtype(frame, tf.float32)
            tf.image.resize_with_pad(frame, run.size, run.size)
    with clock.span("resize bytes with OpenCV"):
        for frame in frames:
            video.letterbox(frame, (run.size, run.size))
for kind in clock.kinds:
    print(
        f"{kind:32} {1000 * clock.seconds(kind) / len(sample):6.1f} ms per clip"
    )

# %% [markdown]
# OpenCV on bytes takes a fraction of the time that TensorFlow takes on floats. With OpenCV, nearly all the remaining time goes into [decoding](../book/glossary.md#decoding). Most video formats store a complete frame only now and then, as a [key frame](../book/glossary.md#key-frame). Between key frames they store only the changes.
# To reach a frame, a decoder starts at a key frame and works forward. Jumping to a key frame (*seeking*) is not exact in every file. This book therefore decodes
# from the beginning, which is slower but always yields the right frame.
#
# So we can't skip this work, but we can do three things about it:
#
# 1. **In parallel.** Each core prepares a batch of its own.
# 2. **Ahead of time (prefetching).** While the network takes a step, the next batches are prepared.
# 3. **Only once (caching).** Decoded frames are kept for the next epoch in a [cache](../book/glossary.md#cache).
#
# `make_dataset` does the first two and, with `cache=`, the third. It is built on `ClipBatches`, which makes batch number $i$ of an epoch on demand, in plain NumPy. We can watch it work in as many
# [threads](../book/glossary.md#thread) as there are cores. (Python threads can share this work because OpenCV releases Python's global interpreter lock, the GIL, which otherwise lets only one thread run at a time.)

# %%
# start_step is explained under "Cache frames".
options = run.sampling | {"training": True, "start_step": run.start_step}


def watch(epochs=1, step=fake_step, **more):
    """Return one timeline per epoch."""
    clips = ClipBatches(folders["train"], **options, **more)
    clips.files, clips.labels = clips.files[subset], clips.labels[subset]
    clocks, make_batch = [Timeline() for _ in range(epochs)], clips.batch
    for clock in clocks:
        clips.batch = clock.watch("reading", make_batch)  # record each call
        train_on(clips, clock, step)
    return clocks


# %% [markdown]
# **Predict:** each timeline below changes one more thing. (From the third on, clips are also shuffled and start at a random frame.) Which change saves the most time?

# %% mystnb={"image": {"alt": "Five timelines on one time scale. Each is shorter than the one above, except the fourth. In order: the tutorial's reader; resizing with OpenCV; reading ahead on all cores, with a row for each; caching, first epoch; caching, second epoch, in which the reading bars are slivers and the network works without gaps."}}
clock = Timeline()
resized = train_on(
    read_sequentially(
        lambda file: video.frames_from_video_file(file, **run.sampling),
        sample,
        clock,
    ),
    clock,
)
(ahead,) = watch()
first, second = watch(epochs=2, cache="memory")
lines = {
    "Tutorial: one clip after another": baseline,
    "Resize with OpenCV": resized,
    "Prefetch on all cores": ahead,
    "Cache: first epoch": first,
    "Cache: second epoch": second,
}
figure = plots.plot_timelines(lines)

# %%
for title, line in lines.items():
    print(f"{title:32} {busy(line)}")

# %% [markdown]
# Each reading row is one thread. Here, resizing with OpenCV saves the most time. Reading on all cores comes second, and saves more with every core. The first epoch with a cache takes longer than one without, because it stores more frames than it uses itself. From the second epoch on, reading takes hardly any time, and the network works without gaps. It is fed. From here on, a faster pipeline would gain nothing; a faster GPU would.
#
# ## Cache frames, not random choices
#
# Caching decoded frames has a trap. tf.data has its own `cache()`, and another TensorFlow tutorial, [Load video data](https://www.tensorflow.org/tutorials/load_data/video), applies it after a reader that picks random start frames.
# **Predict:** what happens to the random starts and the shuffling if we call it on our data set?


# %% tags=["nbval-check-output"]
def first_frames(dataset):
    return np.concatenate(
        [frames[:, 0] for frames, _ in dataset.as_numpy_iterator()]
    )


datasets = {
    "tf.data's cache()": pipeline.make_dataset(
        folders["train"], **options
    ).cache(),
    "this book's cache": pipeline.make_dataset(
        folders["train"], cache="memory", **options
    ),
}
for title, dataset in datasets.items():
    same = np.array_equal(first_frames(dataset), first_frames(dataset))
    print(f"{title}: second epoch identical to the first: {same}")
del datasets

# %% [markdown]
# `cache()` stored the results of the random choices, so each epoch repeats the first: the same starts in the same order. The question is *what* to cache. Not batches, and not all frames either.
# From each clip we cache exactly the frames that *some* possible start needs; `cached_indices` lists them. The start, the order and every other random choice are then drawn after the cache, as if nothing had been stored.
#
# Take the tutorial's settings again, ten frames at a step of 15, and a clip of 200 frames. Taken together, its possible starts need every single frame.
# But neighbouring frames look almost alike. Place the starts five frames apart (`start_step=5`). Because 15 is a multiple of five, the frames for all these starts lie on one grid, and a fifth of the frames is enough. The price is fewer starts to choose from.

# %% mystnb={"image": {"alt": "Rows of marks along the frames of a clip. With a start step of one, every frame is marked; with five, every fifth frame; with fifteen, every fifteenth. For validation, ten frames in the middle are marked."}}
choices = {
    f"start_step={step}": cache.cached_indices(200, 10, 15, start_step=step)
    for step in (1, 5, 15)
}
choices["validation"] = cache.cached_indices(200, 10, 15, start="center")
axis = plots.plot_frame_choices(choices, 200)

# %% tags=["nbval-check-output"]
height, width = 168, 224  # a 4:3 frame, 224 pixels wide
starts = [len(range(0, 200 - 135, step)) for step in (1, 5, 15)] + [1]
print(f"{'':14} starts frames     MB")
for (label, kept), n_starts in zip(choices.items(), starts):
    megabytes = len(kept) * height * width * 3 / 1e6
    print(f"{label:14} {n_starts:6} {len(kept):6} {megabytes:6.1f}")

# %% [markdown]
# The letterbox bars are not cached; they are added when a clip is read. A clip too short for ten frames at this step has only one possible choice of frames, and takes no more room than a validation clip.
#
# `FrameCache` does this, and makes a simple promise: *a cache changes only the speed*. For any clip and seed, it returns exactly the frames that `frames_from_video_file` returns.

# %% tags=["nbval-check-output"]
sampling = run.sampling | {"start_step": run.start_step}
frame_cache = cache.FrameCache("memory", **sampling)
same = [
    np.array_equal(
        frame_cache.read(file, seed),
        video.frames_from_video_file(file, **sampling, seed=seed),
    )
    for file in sample[:10]
    for seed in range(3)
]
print(f"same frames in {sum(same)} of {len(same)} reads")

# %% [markdown]
# ### Choose where to cache: memory or disk
#
# `cache="memory"` keeps frames in the process's memory. With a folder, such as `cache="frames"`, they are written to disk. That takes no memory, is available to the next process, and has room for data sets that don't fit into memory. Each clip gets one file there, whose name and content record what it was made from:
# the clip's bytes, the settings, OpenCV's version, and this book's code. If any of these changes, or a file is damaged, the clip is decoded again. Outdated files stay until you delete the folder, which you can do at any time.

# %%
with tempfile.TemporaryDirectory() as folder:
    for attempt in ("empty cache", "full cache"):
        begin = time.perf_counter()
        clips = ClipBatches(folders["val"], cache=folder, **run.sampling)
        n_clips = sum(len(labels) for _, labels in clips)
        seconds = time.perf_counter() - begin
        print(f"{attempt:11} {n_clips} clips in {seconds:.2f} s")

# %% [markdown]
# (The files just written are still in the operating system's page cache. Reading them from a slow disk takes longer.)
#
# Which should you choose? If the frames fit into memory, use memory. If they don't, or if several runs share the clips, use a folder. Too large for both? Raise `start_step`, or use smaller frames. Here is what `make bench` measured: clips per second, compared with the tutorial's method in the same
# run, and how much the process's memory grew over five epochs. (In the training rows, clips are also augmented with random crops, flips and colour changes, explained below.)

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
header = ["pipeline", "first epoch", "first / tutorial's", "later epochs"]
header += ["later / tutorial's", "memory growth", "disk"]
Markdown(f"{records.markdown_table(header, rows)}\n\n{bench['about']}")

# %% [markdown]
# (*NumPy* is `ClipBatches` on its own, without the copy into TensorFlow.) *Decoder alone* decodes on all cores and discards the frames: no first epoch can be faster. Caching every start costs a slow first epoch and a lot of disk space. Validation always uses the same frames, so it caches the least.
#
# What about a data set as large as all of UCF101? We simulated its size with the clips that we had:

# %% tags=["remove-input", "nbval-check-output"]
long = bench["long"]
epochs = "; ".join(
    f"epoch {number}: {seconds:.0f} s, {memory / 1e9:.2f} GB of memory"
    for number, (seconds, memory) in enumerate(
        zip(long["seconds"], long["memory"]), 1
    )
)
full_size = (224 / long["size"]) ** 2 * long["disk"] / 1e9
Markdown(
    "We repeated a few hundred clips under other names until there were "
    f"{long['clips']:,} in {long['classes']} classes. Read at {long['size']} "
    f"pixels with `start_step=5`, they took {long['disk'] / 1e9:.1f} GB in a "
    f"folder; {epochs}. At 224 pixels they would take {full_size:.0f} GB."
)

# %% [markdown]
# <details><summary>Other approaches</summary>
#
# - Shrink the files once and re-encode them with a key frame every few frames. They stay small on disk, but each encoding loses a little quality.
# - Store frames as JPEGs in TFRecord or WebDataset files. They take far less space than raw frames, but each frame must be decoded in each epoch.
# - Decode with another library (PyAV, TorchCodec, decord), or on the GPU itself (NVIDIA's DALI).
#
# Uncompressed frames, as cached here, are the fastest to read, take the most space, and are exactly what was decoded.
#
# </details>
#
# ## Augment the data without changing the action
#
# A network has far more weights than we have clips. It can memorise the clips, down to the colour of a wall, which is called [overfitting](../book/glossary.md#overfitting). [Augmentation](../book/glossary.md#augmentation) alters each clip slightly in every epoch without changing the action.
# Video adds one rule: **change all frames of a clip in the same way**, because a change from frame to frame would look like motion.

# %% mystnb={"image": {"alt": "Five film strips of one clip: unchanged; flipped horizontally; cropped and enlarged; with altered colours; and with all three changes. Within a strip, all frames are changed in the same way."}}
clip = puppets.draw_clip("PickUp", group=4, clip=1)[::5]
default = Augmentation()
augmentations = {
    "original": Augmentation(flip=False, crop=1, colour=0),
    "flip": Augmentation(crop=1, colour=0),
    "crop": Augmentation(flip=False, colour=0),
    "colour": Augmentation(flip=False, crop=1),
    "all three": default,
}
changed = [
    augment(clip, "PickUp", seed=4) for augment in augmentations.values()
]
figure = plots.plot_film_strip(changed, list(augmentations), columns=8)

# %% tags=["remove-input", "nbval-check-output"]
Markdown(
    "By default, `Augmentation` flips half of the clips, at random. It crops "
    f"each clip to at least {default.crop:.0%} of its height and width and "
    "enlarges the crop to full size. It changes the brightness by up to "
    f"{default.colour:.0%}, and each of red, green and blue by up to half as "
    "much again."
)

# %% [markdown]
# If we crop too much, the parcel falls outside the frame, and the action is a different one. The only way to know how much is too much is to look.
#
# **Predict:** which of the three changes (flip, crop, colour) should you not use on the class *WalkLeft*?

# %% mystnb={"image": {"alt": "Two film strips. In the upper one a figure walks to the left. The lower one is its mirror image, and the figure walks to the right."}}
walk = puppets.draw_clip("WalkLeft", group=4, clip=1)
figure = plots.plot_film_strip(
    [walk, walk[:, :, ::-1]], ["WalkLeft", "WalkLeft, flipped"], columns=8
)

# %% [markdown]
# The mirror image shows the action of another class, but keeps the first one's label. `Augmentation` therefore never flips classes whose names contain left or right, or those that you list in `Augmentation(sided=...)`. UCF101 has no such class.

# %% tags=["nbval-check-output"]
print(
    "never flipped:", [name for name in puppets.CLASSES if is_directional(name)]
)

# %% [markdown]
# `make_dataset(..., training=True, augment=Augmentation())` draws new random changes for each clip in each epoch, after the cache.
#
# ## Make batches reproducible
#
# Randomness that can't be repeated makes for bugs that can't be found. Here every random choice depends on three numbers only: the seed, the epoch and the clip. Threads share no random generator, so neither their order nor their number matters.
# To check this, we hash all pixels and labels of two epochs into one short number, which changes if any of them changes:


# %%
def fingerprint(clips, epochs=2):
    digest = hashlib.sha256()
    for _ in range(epochs):
        for frames, labels in clips:
            digest.update(frames.tobytes() + labels.tobytes())
    return digest.hexdigest()


# %% tags=["nbval-check-output"]
fingerprints = {
    fingerprint(
        ClipBatches(
            folders["val"],
            workers=threads,
            cache=where,
            augment=default,
            **options,
        )
    )
    for threads in (1, 3)
    for where in (None, "memory")
}
print("all four fingerprints equal:", len(fingerprints) == 1)

# %% [markdown]
# A new process on a different number of cores gives the same batches. So will a different machine with the same library versions. (Another version of OpenCV may decode a pixel differently.)
#
# ## Use the pipeline with JAX or PyTorch
#
# Keras also runs on two other [backends](../book/glossary.md#backend), JAX and PyTorch, where tf.data may not be installed. `ClipBatches` needs no TensorFlow: Keras, NumPy and OpenCV are enough. A `for` loop over it yields the batches of one epoch, prepared in advance by threads. Set `KERAS_BACKEND=jax` before you import Keras;
# `model.fit(clips, shuffle=False)` then accepts it directly (the clips are already shuffled). The batches equal those of `make_dataset`:

# %% tags=["nbval-check-output"]
clips = ClipBatches(folders["val"], augment=default, **options)
dataset = pipeline.make_dataset(folders["val"], augment=default, **options)
same = [
    np.array_equal(a, b.numpy())
    for pair in zip(clips, dataset, strict=True)
    for a, b in zip(*pair)
]
print(len(clips), "batches, equal to those of make_dataset:", all(same))

# %% [markdown]
# ## Handle damaged clips
#
# Suppose one file in thousands is damaged. By default, reading stops with an error that names the file, because a data set that shrinks silently misleads you:

# %% tags=["nbval-check-output"]
copy = folders["val"].with_name("damaged")
shutil.copytree(folders["val"], copy, dirs_exist_ok=True)
victim = sorted(copy.glob("*/*.avi"))[3]
victim.write_bytes(victim.read_bytes()[:1000])


def shorten(error):
    return str(error).replace(f"{copy}/", "")


try:
    for _ in ClipBatches(copy, **run.sampling):
        pass
except video.VideoReadError as error:
    print(shorten(error))

# %% [markdown]
# Perhaps you would rather train on the rest. With `unreadable="leave out"`, `ClipBatches` first reads all clips once, into the cache if there is one. It leaves out those that fail, and lists them:

# %% tags=["nbval-check-output"]
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    clips = ClipBatches(
        copy, unreadable="leave out", cache="memory", **run.sampling
    )
print(shorten(caught[0].message))
print(f"{len(clips.files)} clips remain; {len(clips.left_out)} in left_out")
shutil.rmtree(copy)

# %% [markdown]
# Much else can go wrong, in a download or in a file. The page [What can go wrong](../book/faults.md) lists it, and says how this book's code responds.
#
# ## Compare before and after
#
# Here is where we began and where we are now, with the same clips and the same stand-in for a GPU. *Now* is a second epoch with a full cache, and with new starts, flips, crops and colours.

# %% mystnb={"image": {"alt": "Two timelines on one time scale. Then: long, with wide gaps between the network's bars. Now: a fraction as long and without gaps, although starts, flips, crops and colours are new."}}
*_, fed = watch(epochs=2, cache="memory", augment=default)
lines = {"Then": baseline, "Now": fed}
figure = plots.plot_timelines(lines)

# %%
for title, line in lines.items():
    print(f"{title:5} {busy(line)}")

# %% [markdown]
# ## Check yourself
#
# 1. A colleague's GPU is busy a fifth of the time. Would a faster GPU help? What would?
# 2. Why is `dataset.map(augment).cache()` worse than `dataset.cache().map(augment)`? And what does the second still freeze?
# 3. For which of these actions would you switch off flipping: applying lipstick, turning a car left, or writing a line from left to right?
# 4. Why does a clip's start depend on the seed, the epoch and the clip, rather than on a random generator shared by all threads?
#
# <details><summary>Answers</summary>
#
# 1. Hardly: it waits four fifths of the time. What would help is reading ahead, on all cores, and decoding only once.
# 2. The first stores one result of the augmentation; the second augments again in every epoch. In both, the starts and the order are drawn before the cache and stay frozen.
# 3. For the second and the third. A face in the mirror still gets lipstick.
# 4. The order of the threads differs from run to run. With a shared generator, the starts would differ, too.
#
# </details>
#
# ## On your own
#
# - After the chapter [Build the model](build_model.ipynb): replace the stand-in with a network: `watch(step=...)`. Run one step before you time it, because the first call is slower.
# - Run `make bench`, and compare the table with the one above. Which row changes most on your machine?
# - Write your own augmentation: a function of `frames`, `class_name`, `seed` and `out` that writes the changed frames into `out`. For example, play some clips backwards. For which classes must you not use it?
#
# Next: [Count parameters](count_parameters.ipynb).
