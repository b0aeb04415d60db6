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
# **What you'll do:** predict the size and the work of a 2D, a 3D and a (2+1)D convolution with pencil and paper, see Keras agree to the last parameter, and turn the knobs of a figure until nothing
# in it surprises you.
#
# **What you'll learn**
#
# - to see what one output of a convolution looks at, in space and in time;
# - to know at a glance which of two networks is larger, and which has more to compute: not always the same one;
# - to answer whether (2+1)D convolutions *save parameters*: [TensorFlow's tutorial](https://www.tensorflow.org/tutorials/video/video_classification) says yes, [the paper](https://arxiv.org/abs/1711.11248) says no, and both are right.
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
# Each pixel that a filter sees has *C* numbers, its [channels](../book/glossary.md#channel). A filter has one [weight](../book/glossary.md#parameter) for each of these numbers, and each channel of the output has a filter of its own. The box that a filter sees, such as 3 × 3 × 3, is the
# [kernel size](../book/glossary.md#filter), time first. With *C* channels in and *C* channels out:
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
    print(
        f"{name:7}",
        counting.conv3d_parameters(channels, channels, kernel, bias=False),
    )
print(
    "(2+1)D ",
    counting.conv2plus1d_parameters(channels, channels, (3, 3, 3), bias=False),
)

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
print(
    "3D:    ",
    count_with_keras(box, 64),
    "=",
    counting.conv3d_parameters(64, 64, kernel),
)
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
# ## Count the work
#
# Parameters are what a network fills a file with. Its arithmetic is another currency: each weight is multiplied by a number of the input, and the product is added to a
# sum. The two together are a [multiply-add](../book/glossary.md#multiply-add). They are a first guess at the time that a network takes; no more, for moving numbers about takes time as well. A convolution uses each of its weights once for each place of its output, and so:
#
# ```text
# multiply-adds  =  weights · frames · height · width      (of the output)
# ```
#
# From one stage to the next, many networks halve the frames, the height and the width, and double the channels.
#
# **Predict:** which stage has the most parameters, and which does the most work?

# %% tags=["nbval-check-output"]
print(
    f"{'channels':>8}   {'output':12} {'parameters':>11} {'multiply-adds':>15}"
)
for stage in range(4):
    channels, side = 64 * 2**stage, 56 // 2**stage
    sizes, output = (
        (channels, channels, (3, 3, 3)),
        (16 // 2**stage, side, side),
    )
    parameters = counting.conv3d_parameters(*sizes, bias=False)
    work = counting.conv3d_multiply_adds(*sizes, output)
    print(f"{channels:8}   {str(output):12} {parameters:11,} {work:15,}")

# %% [markdown]
# Twice the channels, in and out, make four times the weights. But an eighth of the places is left to use them at, so the work halves. A network's *early* layers have few parameters and do most of the
# work; its *late* layers have most of the parameters and do little. Whoever wants a small file looks at the end of a network, and whoever wants a fast one at its beginning.
#
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
paper = counting.conv2plus1d_parameters(
    64, 64, (3, 3, 3), mid_channels=middle, bias=False
)
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
# ## Turn the knobs
#
# This figure works on the page as it is, with a mouse, a finger or the Tab and arrow keys. Its bars are the formulas of this chapter; orange stands for weights of the input's pixels, striped blue for the second step of (2+1)D.

# %%
diagrams.explore_convolutions()

# %% [markdown]
# **Predict** each of these, then try it:
#
# 1. Choose *as many as out*. With equal channels in and out, where does (2+1)D save more, at few channels or at many?
# 2. Set the kernel in time to 1. Which two of the three become the same? Does *as many as out* still save?
# 3. With *the paper's M*, double the channels in, and only those. Does *M* double?
# 4. Make the output smaller. What becomes of the parameters, of the multiply-adds, of the ratios?
#
# <details><summary>What happens, and why</summary>
#
# 1. At both the same: both counts grow with the square of the channels.
# 2. 2D and 3D: a box one frame deep is a square. (2+1)D now costs *more* than 3D, because its second step looks at no other frame and yet has weights.
# 3. It grows, but less than twofold. The budget, 3D's count, doubles. But so does the larger part of what a channel in the middle costs: `d²·N_in` weights before it, `t·N_out` after it.
# 4. Parameters stay, multiply-adds shrink with the places, and the ratios stay. In a single layer that computes every place, both currencies agree on who is cheaper.
#
# </details>
#
# ## Look at the whole range
#
# The channels play no part in the tutorial's saving, as you saw. And the kernel? Plot the ratio to 3D over both.


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
    widths,
    [ratio(c, 3) for c in widths],
    "o-",
    label="as many in the middle (tutorial)",
)
left.plot(
    widths,
    [ratio(c, 3, paper=True) for c in widths],
    "s--",
    label="M in the middle (paper)",
)
left.set(
    xscale="log",
    xticks=widths,
    xticklabels=widths,
    title="Parameters, (2+1)D to 3D",
)
left.set_xlabel("Channels, at kernel 3 × 3 × 3")
right.plot(sizes, [ratio(64, k) for k in sizes], "o-")
right.plot(sizes, [ratio(64, k, paper=True) for k in sizes], "s--")
right.set(
    xticks=sizes, xlabel="Kernel size k × k × k, at 64 channels", ylim=(0, None)
)
legend = left.legend(loc="lower center", bbox_to_anchor=(1, -0.5), ncols=2)

# %% [markdown]
# At size 1 there is nothing to take apart, and two steps cost more than one. The larger the kernel, the more the sum saves against the product.
#
# The paper's ratio is one, or a hair below it where *M* had to be rounded down.
#
# So (2+1)D *saves* when you leave the channels as they are and the kernel reaches over both space and time; it *matches* when you choose *M*. What you gain is a small network in the
# one case, and one nonlinearity more for each convolution in the other.
#
# ## Count whole networks
#
# Layers add up to networks. `layer_table` goes through a network and counts each layer, as this chapter does, from its sizes alone. Does it find what Keras finds? Take the tutorial's
# network, at ten classes, with each kind of convolution. `mc3`, from the same paper, stands for *mixed convolutions*: 3D in the first layers, 2D in the later ones.

# %% tags=["nbval-check-output"]
kinds = ("2d", "mc3", "2plus1d", "3d")
tutorials = {conv: models.build_tutorial_model(conv=conv) for conv in kinds}


def count(model):
    rows = counting.layer_table(model)
    parameters = sum(row.parameters for row in rows)
    work = sum(row.multiply_adds for row in rows)
    return parameters, work, sum(row.kind == "ReLU" for row in rows)


print(f"{'':8} {'parameters':>11} {'multiply-adds':>15} {'ReLUs':>6}")
for conv, model in tutorials.items():
    parameters, work, relus = count(model)
    assert parameters == model.count_params()
    print(f"{conv:8} {parameters:11,} {work:15,} {relus:6}")

# %% [markdown]
# Not a parameter is missing. The tutorial's (2+1)D network is what it promises: less than half of the 3D one, in both currencies. It bends the signal no more often than the other three.
#
# Now the paper's networks of 18 layers, at 400 classes. Only the convolutions differ. (Parameters include the running averages of the normalisations, which are measured, not trained.)
#
# **Predict:** which pair does the paper mean when it compares at the same size? Does `mc3` do less work than `3d`?

# %% tags=["nbval-check-output"]
papers = {conv: models.build_resnet18(conv) for conv in kinds}
print(f"{'':8} {'parameters':>11} {'multiply-adds':>15} {'ReLUs':>6}")
for conv, model in papers.items():
    parameters, work, relus = count(model)
    print(f"{conv:8} {parameters:11,} {work:15,} {relus:6}")

# %% [markdown]
# - `2plus1d` and `3d` are the pair: nearly the same parameters, nearly the same work, and twice the ReLUs. (A few percent of the parameters are missing because a block's second convolution takes the *M* of its first.)
# - `mc3` has about a third of the parameters of `3d`, and does *more* work. Its 2D convolutions have small kernels, but they skip no frame: all 16 reach the last layer, where `3d`
#   has two left. (In the tutorial's network nothing skips frames, and there `mc3` does less.)
#
# So ask which currency is meant when someone calls a network small. Two more currencies can't be worked out on paper, only measured: seconds and accuracy. The page Results has them for [all four members](../book/results.md#what-factorising-buys).
#
# ## See where it is spent
#
# Sort the layers by the height of their output, from the first to the last, and see which share of each currency falls to them.


# %%
def shares(model, currency):
    spent = {}
    for row in counting.layer_table(model):
        if row.parameters and len(row.output) == 4:
            _, height, _, _ = row.output
            spent[height] = spent.get(height, 0) + getattr(row, currency)
    return {
        str(height): part / sum(spent.values())
        for height, part in spent.items()
    }


# %% mystnb={"image": {"alt": "Two bar charts of the share of parameters and of multiply-adds by the height of the output. In the tutorial's network the largest frames take more than a third of the multiply-adds and hardly a parameter; in the paper's, the share of multiply-adds falls from left to right while that of parameters rises."}}
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
networks = {
    "The tutorial's": tutorials["2plus1d"],
    "The paper's": papers["2plus1d"],
}
hatches = {"parameters": "", "multiply_adds": "//"}
for axis, (title, model) in zip(axes, networks.items()):
    for place, (currency, hatch) in enumerate(hatches.items()):
        spent = shares(model, currency)
        positions = [i + 0.4 * place for i in range(len(spent))]
        bars = axis.bar(
            positions, spent.values(), 0.38, edgecolor="white", hatch=hatch
        )
        bars.set_label(currency.replace("_", "-"))
    axis.set_xticks([i + 0.2 for i in range(len(spent))], spent)
    axis.set(
        title=f"{title} (2+1)D network", xlabel="Height of the output, pixels"
    )
axes[0].set_ylabel("Share of the network")
legend = axes[1].legend(loc="upper center")

# %% [markdown]
# The tutorial's first layer works on frames that nothing has shrunk: it has next to no parameters, and no other size takes as much work. After it, halving the height and the width takes away what
# doubling the channels adds, so the work stays level. The paper shrinks them in its first layer already, and later over time as well; there the work falls while the parameters rise.
#
# ## Let it stride
#
# One thing is left that the figure with the knobs doesn't show: [strides](../book/glossary.md#stride). A layer of stride 2 computes every other place only. The (2+1)D layer strides over space in its first step and over time in its second.
#
# **Predict:** *M* makes the parameters match. Do the multiply-adds match, too, in the layer that shrinks the video to the second stage?

# %% tags=["nbval-check-output"]
for conv in ("3d", "2plus1d"):
    for row in counting.layer_table(papers[conv]):
        if (
            row.name.startswith("stage2_block1_conv1")
            and row.kind == "VideoConv"
        ):
            cost = f"{row.parameters:8,} {row.multiply_adds:14,}"
            print(f"{conv:8} {str(row.output):18}", cost)

# %% [markdown]
# The parameters of the two steps add up to those of the 3D layer, but for the rounding. Their work is well above it: the first step has to visit all 16 frames, because the second step needs them, while the 3D
# layer never computes the frames that its stride skips. Equal in parameters is not equal in work.
#
# ## Check yourself
#
# 1. A (2+1)D convolution with kernel 5 × 3 × 3 and *C* channels throughout: how many weights?
# 2. Your network has 3D convolutions and must become smaller without losing channels. Which of the two (2+1)D layers helps?
# 3. Why does a 2D network not see motion, however many layers it has?
# 4. You double the height and the width of all frames. What becomes of the network's parameters, and what of its multiply-adds?
#
# <details><summary>Answers</summary>
#
# 1. 9*C*² + 5*C*² = 14*C*².
# 2. The tutorial's. The paper's is as large as what it replaces.
# 3. Every number inside it is computed from a single frame. Nothing ever compares two.
# 4. The parameters stay what they are: a filter doesn't know how far it slides. The multiply-adds become four times as many.
#
# </details>
#
# ## On your own
#
# - There is a third currency. Training remembers every layer's output until its gradient is computed. Add the outputs up with `layer_table`: which layers fill the memory, and does (2+1)D need more of it than 3D?
# - Take time first and space second. What is *M* then, for equal counts? Derive it, and check it against Keras.
#
# Next: [Build the model](build_model.ipynb).
