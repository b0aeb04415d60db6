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
# # Build the model
#
# **What you'll do:** build two video networks layer by layer, from the first convolution to a score for each action, and know the shape of everything on the way.
#
# **What you'll learn**
#
# - to take a convolution apart into space and time, in two lines of Keras;
# - to give gradients an easy way through a deep network;
# - to shrink a video inside a network, by resizing or by striding;
# - to write a layer that can be saved and loaded;
# - to tell the network of [TensorFlow's tutorial](https://www.tensorflow.org/tutorials/video/video_classification) from the paper's, and to say why this book has its own.
#
# **What you'll need:** the chapter [Count parameters](count_parameters.ipynb). The chapter draws or fetches a few clips for itself.

# %% tags=["hide-input"]
# Where the book's helpers are missing, as in Colab, fetch them and what they need.
try:
    import helpers.archive
except ModuleNotFoundError:
    # %pip install --quiet git+https://github.com/video-classification-book/video-classification-book
    import helpers.archive

# %%
import inspect
import pathlib
import tempfile
import time

import einops
import keras
import numpy as np
from IPython.display import Markdown

from helpers import (
    archive,
    counting,
    diagrams,
    layers,
    models,
    plots,
    records,
    settings,
    training,
)

# %% [markdown]
# ## See where we are going
#
# This is the book's network, read from top to bottom. Each row is a volume, drawn as a stack of frames: it grows smaller and shorter on its way, while its channels multiply. The first row is called the *stem*, the four after it are the *stages*; at the
# left run the *shortcuts*. By the end of the chapter every word of it will be clear.

# %% mystnb={"image": {"alt": "Diagram of the book's network: a stem, four residual stages whose volumes shrink from row to row, each with a shortcut arrow at its left, and an average with a dense layer at the end."}}
run = settings.current()
small = models.build_small_resnet(**run.input_size)
figure = diagrams.draw_network(small)

# %% [markdown]
# We need one batch of clips to try the layers on. The chapter [Load video](load_video.ipynb) showed how to make one.

# %%
folders = archive.fetch_clips(run)
data = training.load_splits(folders, run)

# %% tags=["nbval-check-output"]
frames, labels = next(iter(data["train"]))
print(frames.shape, frames.dtype.name)

# %% [markdown]
# ## Take a convolution apart
#
# A 3D convolution slides a box through the video. Instead, slide a square over each frame first, then a short line through time. In Keras both are `Conv3D`
# layers whose kernel is 1 in the directions that they leave alone.

# %% tags=["nbval-check-output"]
video = keras.ops.cast(frames, "float32") / 255
spatial = keras.layers.Conv3D(16, kernel_size=(1, 7, 7), padding="same")
temporal = keras.layers.Conv3D(16, kernel_size=(3, 1, 1), padding="same")
print(temporal(spatial(video)).shape)

# %% [markdown]
# `Conv2Plus1D` of `helpers.layers` is these two lines, wrapped as a [layer](../book/glossary.md#layer). With `padding="same"` neither step changes the size of the volume; only the channels change.

# %% tags=["nbval-check-output"]
convolution = layers.Conv2Plus1D(16, kernel_size=(3, 7, 7), padding="same")
x = convolution(video)
print(
    x.shape,
    convolution.count_params(),
    "=",
    spatial.count_params(),
    "+",
    temporal.count_params(),
)

# %% [markdown]
# Can an output see the future? Change the last frame of the clip, and look at which frames of the output notice.
#
# **Predict:** with a kernel of 3 in time, how many of the output's frames change?

# %% tags=["nbval-check-output"]
altered = np.array(video)
altered[:, -1] = 0.5
difference = np.abs(np.array(convolution(altered)) - np.array(x)).max(
    axis=(0, 2, 3, 4)
)
print("output frames that changed:", np.flatnonzero(difference > 1e-5))

# %% [markdown]
# The last frame and its neighbour: a kernel of 3 reaches one frame back and one forward. Each further layer reaches one more. Depth buys time.
#
# ## Give gradients an easy way
#
# Training asks how the loss changes with each weight: the [gradient](../book/glossary.md#gradient). It is computed from the loss back to the first layer, and each layer on the way weakens or bends it. A
# [residual block](../book/glossary.md#residual-block) [(He et al. 2016)](https://arxiv.org/abs/1512.03385) has a second way: the *main branch* computes, the *shortcut* carries the input around it, and both are added. The block
# learns only what to *add* to its input, and through the shortcut the gradient passes almost untouched. So it does not vanish on its long way down.
#
# (Before each block, the tutorial halves the height and the width of the frames; how, we will see below.) The block's main branch is convolution, [layer normalisation](../book/glossary.md#layer-normalisation) [(Ba et al. 2016)](https://arxiv.org/abs/1607.06450), ReLU, and once more convolution and normalisation:

# %% tags=["nbval-check-output"]
x = layers.ResizeVideo(run.size // 2, run.size // 2)(x)
main = layers.ResidualMain(filters=16, kernel_size=(3, 3, 3))
print("in ", x.shape)
print("out", main(x).shape)

# %% [markdown]
# Same shape, so they can be added. When a block is to have more channels, its input no longer fits. `Project` makes it fit: a dense layer that mixes the channels of each place, then
# a normalisation.

# %% tags=["nbval-check-output"]
wider = layers.ResidualMain(filters=32, kernel_size=(3, 3, 3))
shortcut = layers.Project(32)
print("main branch", wider(x).shape, " shortcut", shortcut(x).shape)

# %% [markdown]
# `add_residual_block` puts the two together, and projects only where it must:

# %% tags=["nbval-check-output"]
for filters in (16, 32):
    inputs = keras.Input(x.shape[1:])
    block = keras.Model(
        inputs, layers.add_residual_block(inputs, filters, (3, 3, 3))
    )
    print(
        filters,
        "filters:",
        ", ".join(type(layer).__name__ for layer in block.layers),
    )

# %% [markdown]
# ## Shrink the video
#
# To name an action, where exactly each pixel lies matters less than what the whole does. So networks shrink the video on the way: later layers see more of the picture at once, details
# that don't matter are dropped, and a quarter of the places is left to compute. The network shrinks what its filters have found; here, to make it visible, are the frames themselves:

# %% mystnb={"image": {"alt": "Five frames of a clip in four rows, each row at half the resolution of the one above; the last is a coarse mosaic."}}
clip = np.array(frames[0])
sizes = [run.size // 2**i for i in range(4)]
smaller = [
    layers.ResizeVideo(size, size)(clip[None].astype("float32"))[0]
    for size in sizes
]
smaller = [np.array(video).astype("uint8") for video in smaller]
figure = plots.plot_film_strip(
    smaller, [f"{size} × {size}" for size in sizes], columns=5
)

# %% [markdown]
# Keras can resize images, not videos: it expects four axes where we have five. [einops](../book/glossary.md#einops) says what to do about it almost in words. Fold time into the batch, resize all
# frames as if they were unrelated images, unfold:

# %% tags=["nbval-check-output"]
images = einops.rearrange(clip[None], "b t h w c -> (b t) h w c")
half = keras.layers.Resizing(run.size // 2, run.size // 2)(
    images.astype("float32")
)
print(
    images.shape,
    "→",
    half.shape,
    "→",
    einops.rearrange(half, "(b t) h w c -> b t h w c", b=1).shape,
)

# %% [markdown]
# ## Compute a flat kernel as what it is
#
# The same folding works for the convolutions. A kernel of 1 × 7 × 7 looks at one frame at a time: that is a 2D convolution of images, with time folded into the batch. A kernel of 3 × 1 × 1 looks at one pixel at a time: that is a
# 1D convolution along time. For it, fold height and width into one axis, and what you get is an image again, one frame a row and one pixel a column, under a kernel of 3 × 1.
#
# **Predict:** `spatial` and `temporal` from above are `Conv3D` layers of Keras. Take their weights, and convolve in 2D. Will the numbers be the same?

# %% tags=["nbval-check-output"]
n_frames, height = video.shape[1:3]
images = einops.rearrange(video, "b t h w c -> (b t) h w c")
images = (
    keras.ops.conv(images, spatial.kernel[0], padding="same") + spatial.bias
)
once = einops.rearrange(images, "(b t) h w c -> b t h w c", t=n_frames)

rows = einops.rearrange(once, "b t h w c -> b t (h w) c")
rows = (
    keras.ops.conv(rows, temporal.kernel[:, 0], padding="same") + temporal.bias
)
twice = einops.rearrange(rows, "b t (h w) c -> b t h w c", h=height)

expected = np.array(temporal(spatial(video)))
difference = np.abs(np.array(twice) - expected).max() / np.abs(expected).max()
print("the same but for rounding:", difference < 1e-4)

# %% [markdown]
# No weight changed, and no result. What changed is the question that the library is asked. Programmers have polished 2D convolutions for a decade, and some libraries compute a flat 3D kernel by a general
# method that wins nothing from its flatness. That is one more gain from factorising: it leaves parts that are simple, and simple parts can be computed well. `layers.VideoConv` makes the choice, and all networks of this book are built of it:

# %% tags=["nbval-check-output"]
print(inspect.getsource(layers.VideoConv.call))

# %% [markdown]
# Whether it saves time depends on the library and the processor. Time it on yours, at the size of your clips:


# %%
def seconds(layer, repeats=5):
    layer(video)
    begin = time.perf_counter()
    for _ in range(repeats):
        np.array(layer(video))
    return (time.perf_counter() - begin) / repeats


for name, kind in {
    "Conv3D": keras.layers.Conv3D,
    "VideoConv": layers.VideoConv,
}.items():
    pair = [
        kind(16, (1, 7, 7), padding="same"),
        kind(16, (3, 1, 1), padding="same"),
    ]
    print(f"{name:9} {1000 * seconds(keras.Sequential(pair)):6.1f} ms")

# %% tags=["remove-input", "nbval-check-output"]
benches = [
    records.load_results(name) for name in ("steps", "steps-without-onednn")
]
(theirs, ours), (theirs_plain, ours_plain) = (
    [row["seconds"] for row in bench["rows"] if row["size"] == 112][:2]
    for bench in benches
)
Markdown(
    f"And in a whole training step? For the tutorial's network and 8 clips of 112 × 112 pixels {theirs:.2f} s were recorded when it was built of Keras's own layers, and {ours:.2f} s when built of this book's. "
    f"With oneDNN switched off, the library by which TensorFlow computes on Intel's processors, it was {theirs_plain:.2f} s against {ours_plain:.2f} s. "
    "(This book's normalisations and resizing are quicker, too, so not all of the gain is the kernels'.) The page [Results](../book/results.md) has the whole table."
)

# %% [markdown]
# ## Put the tutorial's network together
#
# Now all parts are there. Keras's *functional API* puts them together: call a layer on the output of another, and at the end make a `Model` of the first input and the last output. The tutorial's network is a convolution with a large kernel, batch normalisation and a ReLU, then four times a
# resize and a residual block, of 16, 32, 64 and 128 channels. In the end the average over time and space leaves one number per channel, and a dense layer turns them into a score for each action, its [logit](../book/glossary.md#logit).

# %% tags=["nbval-check-output"]
print(inspect.getsource(models.build_tutorial_model).partition('"""\n')[2])

# %% [markdown]
# So it looks as a picture:

# %% mystnb={"image": {"alt": "Diagram of the tutorial's network: a convolution at full size, then four residual blocks with resizing between them; the number of frames stays the same to the end."}}
tutorial = models.build_tutorial_model(
    num_classes=10, n_frames=10, height=224, width=224
)
figure = diagrams.draw_network(tutorial)

# %% tags=["nbval-check-output"]
trainable = sum(
    int(np.prod(weight.shape)) for weight in tutorial.trainable_weights
)
print(
    f"{tutorial.count_params():,} parameters, {trainable:,} of them trainable"
)

# %% [markdown]
# The few that are not trainable belong to the one [batch normalisation](../book/glossary.md#batch-normalisation): running averages, which are measured and not learnt. Keras lists it all:

# %%
tutorial.summary(line_length=88)

# %% [markdown]
# ## Build the paper's block instead
#
# The tutorial calls this a (2+1)D ResNet18. Put it beside [the paper](https://arxiv.org/abs/1711.11248), though, and you find differences, and they matter:
#
# | what differs | the tutorial's block | the paper's block |
# | --- | --- | --- |
# | between space and time | nothing: two linear steps in a row | batch normalisation and ReLU |
# | channels in the middle | as many as at the end | *M*, at which the counts match 3D |
# | after the addition | nothing | ReLU |
# | normalisation | over the channels of one place | over the batch |
# | shrinking | resizing, in space only | [strides](../book/glossary.md#stride), in space and time |
# | the beginning | a convolution at full size, then resizing | a strided convolution |
# | the shortcut, where channels change | dense layer and layer normalisation | strided convolution and batch normalisation |
# | depth | four blocks | eight |
#
# This book's own network, `build_small_resnet`, keeps the tutorial's widths (16, 32, 64, 128 channels) and its four blocks, and takes all else from the paper. It is the diagram at the top of this chapter. Inside a convolution,
# the difference is a few arguments of the same layer:

# %% tags=["nbval-check-output"]
middle = counting.mid_channels(16, 32, (3, 3, 3))
ours = layers.Conv2Plus1D(
    32,
    (3, 3, 3),
    "same",
    mid_channels=middle,
    strides=(2, 2, 2),
    normalized=True,
)
print(x.shape, "→", ours(x).shape)
print("inside:", " → ".join(type(layer).__name__ for layer in ours.seq.layers))

# %% [markdown]
# (The book's network rounds *M* down to a multiple of 16, here from 57 to 48. Processors compute many channels at once, 8 or 16 of them, so that 57 would take about the time of 64.) And this is the whole block:

# %% tags=["nbval-check-output"]
print(inspect.getsource(models.add_paper_block).partition('"""\n')[2])

# %% [markdown]
# With more filters in the middle the network also has more parameters than the tutorial's, and fewer places to use them at:

# %% tags=["nbval-check-output"]
for build in (models.build_tutorial_model, models.build_small_resnet):
    print(
        f"{build.__name__:21} {build(**run.input_size).count_params():9,} parameters"
    )

# %% [markdown]
# ## Change one argument, and get four networks
#
# What would the network be without the factorisation, or without time? `conv` says what its convolutions are, `"2plus1d"` if you say nothing, and changes nothing else. This is where it decides:

# %% tags=["nbval-check-output"]
print(inspect.getsource(models.paper_conv).partition('"""\n')[2])

# %% [markdown]
# A 2D convolution is a 3D one whose kernel is one frame thick. A stride in time would drop frames that it hasn't seen, so it has none. The fourth member is mixed, `"mc3"` (it is told apart before this function is called): 3D in the stem and in the first stage, 2D in all others, on the guess that motion is best seen early, where there are many frames and fine pictures.
#
# **Predict:** which of the four has the most parameters, and which the most to compute?

# %% tags=["nbval-check-output"]
for conv in ("2d", "mc3", "3d", "2plus1d"):
    member = models.build_small_resnet(conv=conv, **run.input_size)
    work = sum(row.multiply_adds for row in counting.layer_table(member))
    print(
        f"{conv:8} {member.count_params():8,} parameters, {work / 1e6:4.0f}M multiply-adds"
    )

# %% [markdown]
# The mixed one is as small as 2D and computes as much as 3D. Most of the work lies in the early stages, which those two share; in the later ones its kernels are a third as large, but they go over all ten frames, where the strides of 3D leave five, three and two. (2+1)D lies below 3D, for both convolutions of a block take the *M* of the first, as in the paper, and the stem is thinner. What each of them takes in time and reaches in accuracy, has been measured: see [What factorising buys](../book/results.md#what-factorising-buys).
#
# One number in `helpers.layers` deserves a word. Batch normalisation keeps a running average for later use, and forgets the past slowly: Keras's `momentum` of 0.99 needs hundreds of batches. A
# short run has few, and its validation score would lag epochs behind. The book takes 0.9.
#
# Does all this pay? The proof is in the chapter [Train](train.ipynb).
#
# ## Save it, and load it again
#
# A model is worth little if it dies with the notebook. As the tutorial writes its layers, they can't be loaded again: Keras doesn't know how to make them anew. Written a little differently, they can. Here is one of them: `get_config` tells what it was made
# with, and the first line registers it under its name. (`_Chain` calls the parts one after the other, for this layer as for the others that are made of several.)

# %% tags=["nbval-check-output"]
print(inspect.getsource(layers.Project))

# %% [markdown]
# Does it hold for the whole networks? Save, load, and compare what they say about the same clips:

# %% tags=["nbval-check-output"]
with tempfile.TemporaryDirectory() as folder:
    for model in (models.build_tutorial_model(**run.input_size), small):
        file = pathlib.Path(folder) / f"{model.name}.keras"
        model.save(file)
        loaded = keras.models.load_model(file)
        same = np.array_equal(
            model.predict(frames, verbose=0), loaded.predict(frames, verbose=0)
        )
        print(model.name, "gives the same logits:", same)

# %% [markdown]
# The networks take `uint8` frames as they come and rescale them in their first layer. So nobody who loads one has to know how the pixels were prepared.
#
# ## Check yourself
#
# 1. Why is `Project` needed in three of the tutorial's four blocks?
# 2. The book's network gets 10 frames. How many reach the average at its end?
# 3. Which of the two networks shortens time, and by what?
#
# <details><summary>Answers</summary>
#
# 1. Three blocks change the number of channels; an addition needs equal shapes.
# 2. Two: 10, 5, 3, 2. Half of an odd number is rounded up.
# 3. The book's, by strides of 2 in three of its stages. The tutorial's keeps all frames to the end.
#
# </details>
#
# ## On your own
#
# - Build `models.build_small_resnet(conv="2d")`, which sees each frame by itself, and compare its shapes with those of the (2+1)D network. Which frames does its last average run over?
# - Draw `models.build_resnet18()` with `diagrams.draw_network`.
#
# Next: [Train](train.ipynb).
