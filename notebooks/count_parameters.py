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
# # Count parameters
#
# **What you'll do:** predict the size of a 2D, a 3D and a (2+1)D convolution with pencil and paper, and see Keras agree to the last parameter.
#
# **What you'll learn**
#
# - to see what one output of a convolution looks at, in space and in time;
# - to know at a glance which of two networks is larger, and by how much;
# - to answer whether (2+1)D convolutions *save parameters*: the tutorial says yes, the paper says no, and both are right.
#
# **What you'll need:** what a convolution over an image is. This chapter needs no data.

# %% tags=["hide-input"]
# Where the book's helpers are missing, as in Colab, fetch them and what they need.
try:
    import helpers.archive
except ModuleNotFoundError:
    # %pip install --quiet git+https://github.com/video-classification-book/video-classification-book
    import helpers.archive

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown

from helpers import counting, diagrams, layers, models, plots

# %% [markdown]
# ## See what an output sees
#
# A video has three directions to slide a filter in: down, across, and through time. Three kinds of
# [convolution](../book/glossary.md#convolution) use them differently. Here are five frames, and filled in what *one* number of the output is made from:

# %% mystnb={"image": {"alt": "Five frames of five by five pixels, drawn four times. A 2D convolution sees a square of three by three pixels in one frame; a 3D convolution sees that square in three frames in a row; a (2+1)D convolution first sees the square in one frame, then one place in three frames."}}
figure = diagrams.draw_convolutions()

# %% [markdown]
# - A **2D** convolution sees a square of one frame. Whatever it computes, it computes for each frame by itself.
# - A **3D** convolution sees a box: the square, in the frame before, in this one and in the next. It can see that something moves.
# - A **(2+1)D** convolution takes the box in two steps: first the square of each frame, then, at one place, the results of three frames in a row. After both steps an
#   output has been reached by the same 27 pixels as in 3D. The box has been *factorised*, as 27 into 9 and 3.
#
# ## Count the weights
#
# Each pixel that a filter sees has *C* numbers, its [channels](../book/glossary.md#channel). A filter is the set of numbers that a convolution multiplies them with: it has one [weight](../book/glossary.md#parameter) for each of them, and each channel of
# the output has its own filter. With *C* channels in and *C* channels out:
#
# | convolution | weights |
# | --- | --- |
# | 2D, 3 × 3 | 9*C* · *C* = 9*C*² |
# | 3D, 3 × 3 × 3 | 27*C* · *C* = 27*C*² |
# | (2+1)D, 1 × 3 × 3 then 3 × 1 × 1 | 9*C*² + 3*C*² = 12*C*² |
#
# The addition in the last line is the whole trick: two small steps cost a *sum* where the one large step costs a *product*.
#
# **Predict:** how many weights does each of the three have, with 64 channels?

# %% tags=["nbval-check-output"]
channels = 64
for name, kernel in {"2D": (1, 3, 3), "3D": (3, 3, 3)}.items():
    print(f"{name:7}", counting.conv3d_parameters(channels, channels, kernel, bias=False))
print("(2+1)D ", counting.conv2plus1d_parameters(channels, channels, (3, 3, 3), bias=False))

# %% [markdown]
# ## Ask Keras
#
# A formula is worth what it has been checked against. So build each layer, give it an input, and let Keras count. Each filter also adds a
# [bias](../book/glossary.md#bias), one number per output channel; the (2+1)D convolution has biases in both of its steps.


# %% tags=["nbval-check-output"]
def count_with_keras(layer, channels):
    layer.build((None, 10, 32, 32, channels))
    return layer.count_params()


kernel = (3, 3, 3)
box = keras.layers.Conv3D(64, kernel)
print("3D:    ", count_with_keras(box, 64), "=", counting.conv3d_parameters(64, 64, kernel))
two = layers.Conv2Plus1D(64, kernel, "same")
print(
    "(2+1)D:",
    count_with_keras(two, 64),
    "=",
    counting.conv2plus1d_parameters(64, 64, kernel),
)

# %% [markdown]
# One agreement may be luck. So try every mix of a few channels and kernels, the 3D formula with and without biases, and the (2+1)D formula.

# %% tags=["nbval-check-output"]
agreements = []
for c_in, c_out in [(3, 16), (16, 16), (16, 32), (5, 7)]:
    for kernel in [(1, 3, 3), (3, 1, 1), (3, 3, 3), (3, 7, 7), (5, 3, 3)]:
        factorised = layers.Conv2Plus1D(c_out, kernel, "same")
        formula = counting.conv2plus1d_parameters(c_in, c_out, kernel)
        agreements.append(count_with_keras(factorised, c_in) == formula)
        for bias in (True, False):
            layer = keras.layers.Conv3D(c_out, kernel, use_bias=bias)
            formula = counting.conv3d_parameters(c_in, c_out, kernel, bias)
            agreements.append(count_with_keras(layer, c_in) == formula)
print(sum(agreements), "of", len(agreements), "counts agree")

# %% [markdown]
# ## Ask who saves what
#
# The tutorial says that the factorised convolution *saves parameters*. With the same number of channels throughout, it does:

# %% tags=["nbval-check-output", "remove-input"]
three_d, factorised = (
    counting.conv3d_parameters(64, 64, (3, 3, 3)),
    counting.conv2plus1d_parameters(64, 64, (3, 3, 3)),
)
Markdown(
    f"At 64 channels, {factorised:,} parameters instead of {three_d:,}: **{1 - factorised / three_d:.0%} fewer**."
)

# %% [markdown]
# But open [the paper](https://arxiv.org/abs/1711.11248) that it is based on (Tran et al. 2018, section 3.5), and you read something else. The authors did not want a smaller
# network; they wanted a fair comparison. So they let the first step make more channels than come out at the end, just so many that both
# convolutions cost the same. They call that number *M*. Set the two counts equal, for a kernel of *t* × *d* × *d*, `N_in` channels in and `N_out` out:
#
# ```text
# t·d²·N_in·N_out  =  d²·N_in·M  +  t·M·N_out
#
#            t·d²·N_in·N_out
# M  =  ⌊ ───────────────────── ⌋
#          d²·N_in + t·N_out
# ```
#
# The brackets round down: a layer has no half channel.
#
# **Predict:** with 64 channels in and out, is *M* larger or smaller than 64?

# %% tags=["nbval-check-output"]
middle = counting.mid_channels(64, 64, (3, 3, 3))
paper = counting.conv2plus1d_parameters(64, 64, (3, 3, 3), mid_channels=middle, bias=False)
print("M =", middle)
print(
    "(2+1)D with M:",
    paper,
    "  3D:",
    counting.conv3d_parameters(64, 64, (3, 3, 3), bias=False),
)

# %% [markdown]
# Larger, and the counts match. So both statements are true, of different layers:
#
# - **The tutorial's** layer has as many channels in the middle as at the end. It has less than half the parameters.
# - **The paper's** layer has *M* of them. It has the same number of parameters, and spends them better: between its two steps stands a
#   [ReLU](../book/glossary.md#relu), so it bends the signal twice where a 3D convolution bends it once.
#
# The tutorial's layer has nothing between its two steps. Two linear steps in a row are one linear step, with fewer weights to choose; what the paper's block as a whole is worth,
# the chapter [Train](train.ipynb) shows.
#
# ## Look at the whole range
#
# Does the saving depend on the number of channels? On the kernel? Plot the ratio to 3D.


# %%
def ratio(channels, k, paper=False):
    sizes = (channels, channels, (k, k, k))
    middle = counting.mid_channels(*sizes) if paper else None
    factorised = counting.conv2plus1d_parameters(*sizes, middle, bias=False)
    return factorised / counting.conv3d_parameters(*sizes, bias=False)


# %% mystnb={"image": {"alt": "Two line plots of the ratio of (2+1)D to 3D parameters. Left, over the number of channels, the tutorial's layer is flat below one half and the paper's at one. Right, over the kernel size, the tutorial's ratio falls and the paper's stays close to one."}}
plots.use_style()
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
widths, sizes = [2**i for i in range(2, 10)], [1, 3, 5, 7, 9]
left.plot(
    widths, [ratio(c, 3) for c in widths], "o-", label="as many in the middle (tutorial)"
)
left.plot(
    widths,
    [ratio(c, 3, paper=True) for c in widths],
    "s--",
    label="M in the middle (paper)",
)
left.set(xscale="log", xticks=widths, xticklabels=widths, title="Parameters, (2+1)D to 3D")
left.set_xlabel("Channels, at kernel 3 × 3 × 3")
right.plot(sizes, [ratio(64, k) for k in sizes], "o-")
right.plot(sizes, [ratio(64, k, paper=True) for k in sizes], "s--")
right.set(xticks=sizes, xlabel="Kernel size k × k × k, at 64 channels", ylim=(0, None))
legend = left.legend(loc="lower center", bbox_to_anchor=(1, -0.5), ncols=2)

# %% [markdown]
# The number of channels plays no part in the tutorial's saving: both counts grow with its square. The kernel does. At size 1 there is nothing to take apart, and two steps cost more
# than one. The larger the kernel, the more the sum saves against the product.
#
# The paper's ratio is one, or a hair below it where *M* had to be rounded down.
#
# ## Count whole networks
#
# Layers add up to networks. The tutorial's network with each kind of convolution, at ten classes:

# %% tags=["nbval-check-output"]
for conv in ("2d", "2plus1d", "3d"):
    model = models.build_tutorial_model(conv=conv)
    print(f"{conv:8} {model.count_params():9,}")

# %% [markdown]
# And the paper's networks of 18 layers, at 400 classes. Only the convolutions differ; look for the pair that the paper means when it compares (2+1)D with 3D *at the same
# size*. (Only parameters that are trained count here; running averages are left out.)

# %% tags=["nbval-check-output"]
for conv in ("2d", "mc3", "2plus1d", "3d"):
    model = models.build_resnet18(conv)
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    print(f"{conv:8} {trainable:11,}")

# %% [markdown]
# `mc3` mixes: 3D convolutions in the first layers, 2D in the later ones. `2plus1d` comes out a few percent below `3d`, because a block's second convolution takes the *M* of its first.
#
# ## Check yourself
#
# 1. A (2+1)D convolution with kernel 5 × 3 × 3 and *C* channels throughout: how many weights?
# 2. Your network has 3D convolutions and must become smaller without losing channels. Which of the two (2+1)D layers helps?
# 3. Why does a 2D network not see motion, however many layers it has?
#
# <details><summary>Answers</summary>
#
# 1. 9*C*² + 5*C*² = 14*C*².
# 2. The tutorial's. The paper's is as large as what it replaces.
# 3. Every number inside it is computed from a single frame. Nothing ever compares two.
#
# </details>
#
# ## On your own
#
# - Count multiplications instead of parameters: each weight is used once for each place of the output. Does the same layer win?
# - Take time first and space second. What is *M* then, for equal counts? Derive it, and check it against Keras.
#
# Next: [Build the model](build_model.ipynb).
