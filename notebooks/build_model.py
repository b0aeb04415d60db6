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
# # Build the model: (2+1)D convolutions, residual blocks and video ResNets in Keras
#
# **What you'll do:** build two video networks layer by layer, from the first convolution to a score for each action, and learn the shape of every tensor in between.
#
# **What you'll learn**
#
# - how to split a 3D convolution into space and time, in two lines of Keras;
# - how residual connections (skip connections) let gradients pass through a deep network;
# - how to downsample a video inside a network, by resizing or by strides;
# - how to write a custom layer that can be saved and loaded;
# - how the network of [TensorFlow's tutorial](https://www.tensorflow.org/tutorials/video/video_classification) differs from that of [the paper](https://arxiv.org/abs/1711.11248) it follows, and why this book builds a third.
#
# **What you'll need:** the chapter [Count parameters](count_parameters.ipynb). This chapter draws the few puppet clips that it needs, or downloads real ones.

# %% tags=["hide-input"]
# Install the book's helpers and their dependencies if they are missing, as they are in Colab.
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

from helpers import archive, counting, diagrams, layers, models, plots, records
from helpers import settings, training

# %% [markdown]
# ## See the architecture of a video ResNet
#
# This is the book's network, from top to bottom. Each row shows a *volume*: the output of a layer, drawn as a stack of frames. (The term *feature map* means the same; see [activation](../book/glossary.md#activation).) From stage to stage, the volumes have fewer pixels and fewer frames, and twice as many channels. (The first stage keeps the shape of the stem.) The first row is the *stem*, the next four are the *stages*, the last is the *classifier*, and the arrows on the left are the *shortcuts*. By the end of the chapter, you will understand every word in this diagram.

# %% mystnb={"image": {"alt": "Diagram of the book's network: a stem and four residual stages, each stage with a shortcut arrow on its left; from the second stage on, the volumes shrink; at the end, an average and a dense layer."}}
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
# ## Split a 3D convolution into space and time
#
# A 3D convolution slides a box through the video. Instead, we can first slide a square over each frame and then a short line through time. In Keras, both are `Conv3D` layers. Along the axes that a layer leaves alone, its kernel has size 1 (time comes first).

# %% tags=["nbval-check-output"]
video = keras.ops.cast(frames, "float32") / 255
spatial = keras.layers.Conv3D(16, kernel_size=(1, 7, 7), padding="same")
temporal = keras.layers.Conv3D(16, kernel_size=(3, 1, 1), padding="same")
print(temporal(spatial(video)).shape)

# %% [markdown]
# `Conv2Plus1D` in `helpers.layers` wraps these two lines as a [layer](../book/glossary.md#layer). With `padding="same"`, neither step changes the frames, the height or the width; only the number of channels changes.

# %% tags=["nbval-check-output"]
convolution = layers.Conv2Plus1D(16, kernel_size=(3, 7, 7), padding="same")
x = convolution(video)
parts = spatial.count_params(), temporal.count_params()
print(x.shape, convolution.count_params(), "=", parts[0], "+", parts[1])

# %% [markdown]
# Does an output frame depend on later input frames? We change the last frame of each clip and see which frames of the output change.
#
# **Predict:** with a temporal kernel of 3, how many output frames change?

# %% tags=["nbval-check-output"]
altered = np.array(video)
altered[:, -1] = 0.5
difference = np.abs(np.array(convolution(altered)) - np.array(x))
difference = difference.max(axis=(0, 2, 3, 4))
print("output frames that changed:", np.flatnonzero(difference > 1e-5))

# %% [markdown]
# Two frames change, the last and the one before it. So yes: a kernel of 3 reaches one frame back and one frame forward. Each further layer reaches one more frame in each direction. Depth widens the [receptive field](../book/glossary.md#receptive-field) in time.
#
# ## Add residual blocks (skip connections) to let gradients pass
#
# Training asks how the loss changes with each weight. The answer is the [gradient](../book/glossary.md#gradient). It is computed from the loss back to the first layer (*backpropagation*), and each layer in between weakens or distorts it. A
# [residual block](../book/glossary.md#residual-block) [(He et al. 2016)](https://arxiv.org/abs/1512.03385) has two paths. The *main branch* contains the layers, the *shortcut* carries the input around them, and the two results are added. The block
# learns only what to *add* to its input, and the gradient passes through the shortcut almost unchanged. Therefore it reaches the first layers: it is no *vanishing gradient*.
#
# The main branch of the tutorial's block consists of a convolution, [layer normalisation](../book/glossary.md#layer-normalisation) [(Ba et al. 2016)](https://arxiv.org/abs/1607.06450), a ReLU, and another convolution with normalisation:

# %% tags=["nbval-check-output"]
x = layers.ResizeVideo(run.size // 2, run.size // 2)(x)
main = layers.ResidualMain(filters=16, kernel_size=(3, 3, 3))
print("in ", x.shape)
print("out", main(x).shape)

# %% [markdown]
# The shapes are equal, so the two can be added. If a block changes the number of channels, the shapes differ. The layer `Project` then changes the shortcut to match: a dense layer mixes the channels at each position, and layer normalisation follows.

# %% tags=["nbval-check-output"]
wider = layers.ResidualMain(filters=32, kernel_size=(3, 3, 3))
shortcut = layers.Project(32)
print("main branch", wider(x).shape, " shortcut", shortcut(x).shape)

# %% [markdown]
# `add_residual_block` adds the main branch and the shortcut, and uses `Project` only if the number of channels changes:

# %% tags=["nbval-check-output"]
for filters in (16, 32):
    inputs = keras.Input(x.shape[1:])
    outputs = layers.add_residual_block(inputs, filters, (3, 3, 3))
    block = keras.Model(inputs, outputs)
    names = [type(layer).__name__ for layer in block.layers]
    print(filters, "filters:", ", ".join(names))

# %% [markdown]
# ## Downsample the feature maps by resizing
#
# For recognising an action, the exact position of each pixel matters less than the movement as a whole. Networks therefore shrink the video from stage to stage. Later layers see more of the frame at once, unimportant details
# are dropped, and each time height and width are halved, only a quarter of the positions remain to be computed. A network shrinks its feature maps, the outputs of its filters, and not the frames. To make the effect visible, we shrink the frames themselves:

# %% mystnb={"image": {"alt": "Five frames of a clip in four rows. Each row has half the resolution of the one above; the last is a coarse mosaic."}}
clip = np.array(frames[0])
sizes = [run.size // 2**i for i in range(4)]
batch = clip[None].astype("float32")
smaller = [layers.ResizeVideo(size, size)(batch)[0] for size in sizes]
smaller = [np.array(video).astype("uint8") for video in smaller]
titles = [f"{size} × {size}" for size in sizes]
figure = plots.plot_film_strip(smaller, titles, columns=5)

# %% [markdown]
# Keras can resize images, but not videos: its `Resizing` layer expects four axes, and we have five. [einops](../book/glossary.md#einops) lets us write the solution almost in words: fold the time axis into the batch axis, resize all frames as if they were unrelated images, and unfold the time axis again.

# %% tags=["nbval-check-output"]
images = einops.rearrange(clip[None], "b t h w c -> (b t) h w c")
resize = keras.layers.Resizing(run.size // 2, run.size // 2)
half = resize(images.astype("float32"))
unfolded = einops.rearrange(half, "(b t) h w c -> b t h w c", b=1)
print(images.shape, "→", half.shape, "→", unfolded.shape)

# %% [markdown]
# ## Compute (2+1)D convolutions as 2D convolutions
#
# The same folding works for convolutions. A kernel of $1 \times 7 \times 7$ looks at one frame at a time. It amounts to a 2D convolution of images, with time folded into the batch. A kernel of $3 \times 1 \times 1$ looks at one pixel at a time. That is a
# 1D convolution along time. Fold height and width into one axis, and the result is an image again, with one frame per row and one pixel per column. The kernel becomes $3 \times 1$.
#
# **Predict:** `spatial` and `temporal` above are Keras `Conv3D` layers. If we apply their weights in 2D convolutions, will the outputs be the same?

# %% tags=["nbval-check-output"]
n_frames, height = video.shape[1:3]
images = einops.rearrange(video, "b t h w c -> (b t) h w c")
images = keras.ops.conv(images, spatial.kernel[0], padding="same")
images += spatial.bias
once = einops.rearrange(images, "(b t) h w c -> b t h w c", t=n_frames)

rows = einops.rearrange(once, "b t h w c -> b t (h w) c")
rows = keras.ops.conv(rows, temporal.kernel[:, 0], padding="same")
rows += temporal.bias
twice = einops.rearrange(rows, "b t (h w) c -> b t h w c", h=height)

expected = np.array(temporal(spatial(video)))
difference = np.abs(np.array(twice) - expected).max() / np.abs(expected).max()
print("equal up to rounding:", difference < 1e-4)

# %% [markdown]
# The weights and the results are the same. Only the operation that the library performs is different. Programmers have optimised 2D convolutions for a decade. Some libraries, however, compute a 3D convolution with a general method, even if its kernel has size 1 along some axes. So factorising has one more advantage: its parts are simple, and simple parts can be computed efficiently. `layers.VideoConv` chooses the operation, and all networks in this book use it:

# %% tags=["nbval-check-output"]
print(inspect.getsource(layers.VideoConv.call))

# %% [markdown]
# Whether this saves time depends on the library and the processor. Measure it on your machine, at the size of your clips:


# %%
def seconds(layer, repeats=5):
    layer(video)
    begin = time.perf_counter()
    for _ in range(repeats):
        np.array(layer(video))
    return (time.perf_counter() - begin) / repeats


for conv in (keras.layers.Conv3D, layers.VideoConv):
    spatial = conv(16, (1, 7, 7), padding="same")
    temporal = conv(16, (3, 1, 1), padding="same")
    milliseconds = 1000 * seconds(keras.Sequential([spatial, temporal]))
    print(f"{conv.__name__:9} {milliseconds:6.1f} ms")

# %% tags=["remove-input", "nbval-check-output"]
benches = [
    records.load_results(name) for name in ("steps", "steps-without-onednn")
]
(theirs, ours), (theirs_plain, ours_plain) = (
    [row["seconds"] for row in bench["rows"] if row["size"] == 112][:2]
    for bench in benches
)
hardware = benches[0]["about"].partition("; ")[2].rstrip(".")
Markdown(
    "How long does a complete training step take? For the tutorial's network "
    "and 8 clips of 112 × 112 pixels, we recorded "
    f"{theirs:.2f} s with Keras's own layers and {ours:.2f} s with this "
    f"book's ({hardware}). oneDNN is the library that TensorFlow uses on "
    "Intel processors; "
    f"without it, the step took {theirs_plain:.2f} s and {ours_plain:.2f} s. "
    "(This book's normalisation and resizing are faster, too, so not all of "
    "the gain comes from the convolutions.) The page "
    "[Results](../book/results.md) has the complete table."
)

# %% [markdown]
# ## Assemble the tutorial's network
#
# Now we have all the parts. Keras's *functional API* puts them together: call a layer on the output of another, and finally make a `Model` from the first input and the last output. The tutorial's network begins with a stem: a convolution with a large kernel, [batch normalisation](../book/glossary.md#batch-normalisation) and a ReLU. Four pairs follow, each of
# a resizing layer and a residual block, with 16, 32, 64 and 128 channels. At the end, *global average pooling* takes the mean over time and space, which leaves one number per channel, and a dense layer turns these numbers into a score for each action, its [logit](../book/glossary.md#logit).

# %% tags=["nbval-check-output"]
print(inspect.getsource(models.build_tutorial_model).partition('"""\n')[2])

# %% [markdown]
# Here is its diagram. It shows each resizing layer at the end of the row before its block:

# %% mystnb={"image": {"alt": "Diagram of the tutorial's network: a convolution, then four residual blocks; height and width are halved before each block, while the number of frames stays the same to the end."}}
tutorial = models.build_tutorial_model()
figure = diagrams.draw_network(tutorial)

# %% tags=["nbval-check-output"]
sizes = [np.prod(weight.shape) for weight in tutorial.trainable_weights]
print(f"{tutorial.count_params():,} parameters, {sum(sizes):,} trainable")

# %% [markdown]
# The few parameters that are not trainable belong to the network's only [batch normalisation](../book/glossary.md#batch-normalisation). They are running averages, which are measured, not learned. Keras lists every layer:

# %%
tutorial.summary(line_length=80)

# %% [markdown]
# ## Build the paper's block instead
#
# The tutorial calls this a (2+1)D ResNet18. But compare it with [the paper](https://arxiv.org/abs/1711.11248), and you find differences that matter:
#
# | part | the tutorial's network | the paper's network |
# | --- | --- | --- |
# | between the spatial and the temporal step | nothing: two linear steps in a row | batch normalisation and ReLU |
# | channels between the two steps | as many as in the output | $M$, so that there are as many parameters as in 3D |
# | after the addition | nothing | ReLU |
# | normalisation | layer normalisation | batch normalisation |
# | downsampling | resizing, in space only | [strides](../book/glossary.md#stride), in space and time |
# | first layer (stem) | a convolution at full size, then resizing | a strided convolution |
# | shortcut where the channels change | dense layer and layer normalisation | strided convolution and batch normalisation |
# | depth | four blocks | eight blocks |
#
# This book's own network, `build_small_resnet`, keeps the tutorial's channels (16, 32, 64 and 128) and its four blocks, and takes everything else from the paper. It is the network in the diagram at the top of this chapter. The convolution itself is the same layer, `Conv2Plus1D`, with a few more arguments:

# %% tags=["nbval-check-output"]
M = counting.mid_channels(16, 32, (3, 3, 3))
options = {"mid_channels": M, "strides": (2, 2, 2), "normalized": True}
ours = layers.Conv2Plus1D(32, (3, 3, 3), "same", **options)
print(x.shape, "→", ours(x).shape)
parts = [type(layer).__name__ for layer in ours.seq.layers]
print("inside:", " → ".join(parts))

# %% [markdown]
# (The book's network rounds $M$ down to a multiple of 16, here from 57 to 48. Processors compute 8 or 16 channels at once, so 57 channels would take about as long as 64.)
#
# Here is the code of the complete block:

# %% tags=["nbval-check-output"]
print(inspect.getsource(models.add_paper_block).partition('"""\n')[2])

# %% [markdown]
# With more filters between the two steps, the book's network has more parameters than the tutorial's. (It applies them at fewer positions, because of its strides.)

# %% tags=["nbval-check-output"]
for build in (models.build_tutorial_model, models.build_small_resnet):
    parameters = build(**run.input_size).count_params()
    print(f"{build.__name__:21} {parameters:9,} parameters")

# %% [markdown]
# ## Compare 2D, MC3, 3D and (2+1)D with one argument
#
# What would the network achieve with unfactorised 3D convolutions, or with convolutions that never look across frames? The argument `conv` selects the kind of convolution, by default `"2plus1d"`, and changes nothing else. Here is the function that uses it:

# %% tags=["nbval-check-output"]
print(inspect.getsource(models.paper_conv).partition('"""\n')[2])

# %% [markdown]
# A 2D convolution is a 3D convolution whose kernel is one frame deep. It has no temporal stride, because such a stride would skip every second frame altogether. The fourth kind, `"mc3"`, mixes two of the others: 3D in the stem and the first stage, 2D in all later stages. (`_stage_conv` chooses between them before this function is called.) The idea is that motion is easiest to detect in the first layers, where there are still many frames with fine detail.
#
# **Predict:** which of the four has the most parameters, and which needs the most multiply-adds?

# %% tags=["nbval-check-output"]
for conv in ("2d", "mc3", "3d", "2plus1d"):
    model = models.build_small_resnet(conv=conv, **run.input_size)
    macs = sum(row.multiply_adds for row in counting.layer_table(model)) / 1e6
    parameters = f"{model.count_params():8,} parameters"
    print(f"{conv:8} {parameters}, {macs:4.0f}M multiply-adds")

# %% [markdown]
# MC3 has about as few parameters as 2D, but needs as many multiply-adds as 3D. Most of the work is done in the early stages, which `mc3` and `3d` share. In the later stages, the kernels of `mc3` are a third as large, but they process all ten frames, whereas in `3d` the strides reduce them to five, three and two. (2+1)D lies below 3D for three reasons: both convolutions of a block use the $M$ of the first, as in the paper; the stem has fewer channels in the middle; and $M$ is rounded down. How long does a training step of each take, and what accuracy does it reach? We measured both: see [What factorising buys](../book/results.md#what-factorising-buys).
#
# ### Set the momentum of batch normalisation
#
# During training, batch normalisation updates running averages, which it uses for validation and prediction. `momentum` determines how slowly: with Keras's default, it takes hundreds of batches to forget the initial values. A short run has few batches, and its validation accuracy would lag behind by several epochs. The constant `BATCH_NORM_MOMENTUM` in `helpers.layers` is therefore smaller.
#
# Is all of this worth it? The chapter [Train](train.ipynb) tests it.
#
# ## Save and load custom layers
#
# A model that can't be saved dies with the notebook. The tutorial's layers can't be loaded once they are saved, because Keras doesn't know how to create them again. A small change fixes this. Here is one of the layers: `get_config` returns the arguments that it was created
# with, and the decorator registers the class under its name. (The base class `_Chain` calls the parts of a layer one after the other.)

# %% tags=["nbval-check-output"]
print(inspect.getsource(layers.Project))

# %% [markdown]
# Does this work for complete networks? We save both, load them, and compare their outputs for the same clips:

# %% tags=["nbval-check-output"]
with tempfile.TemporaryDirectory() as folder:
    for model in (models.build_tutorial_model(**run.input_size), small):
        file = pathlib.Path(folder) / f"{model.name}.keras"
        model.save(file)
        loaded = keras.models.load_model(file)
        logits = [m.predict(frames, verbose=0) for m in (model, loaded)]
        print(
            f"{model.name}: same logits after loading:", np.array_equal(*logits)
        )

# %% [markdown]
# The networks accept `uint8` frames and rescale them in their first layer. If you load one of them, you don't need to know how the pixels were prepared for training.
#
# ## Check yourself
#
# 1. Why do three of the tutorial's four blocks need `Project`?
# 2. The book's network takes 10 frames. How many are left at the final average?
# 3. Which of the two networks reduces the number of frames, and how?
#
# <details><summary>Answers</summary>
#
# 1. Three blocks change the number of channels, and an addition needs equal shapes.
# 2. Two: 10, 5, 3, 2. With `padding="same"`, half of an odd number is rounded up.
# 3. The book's network, by strides of 2 in three of its stages. The tutorial's network keeps all frames to the end.
#
# </details>
#
# ## On your own
#
# - Build `models.build_small_resnet(conv="2d")`, which processes each frame on its own, and compare its shapes with those of the (2+1)D network. How many frames does its final average cover?
# - Draw `models.build_resnet18()` with `diagrams.draw_network`.
#
# Next: [Train](train.ipynb).
