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
# # Count parameters and multiply-adds of 2D, 3D and (2+1)D convolutions
#
# **What you'll do:** work out with pencil and paper how many parameters and operations a 2D, a 3D and a (2+1)D convolution need, see Keras agree to the last parameter, and play with an interactive figure until nothing in it surprises you.
#
# **What you'll learn**
#
# - how to see the *receptive field* of a convolution: the pixels that one output depends on, in space and in time;
# - how to tell at a glance which of two networks is larger and which needs more computation (not always the same one);
# - whether (2+1)D convolutions *save parameters*: [TensorFlow's tutorial](https://www.tensorflow.org/tutorials/video/video_classification) says yes, [the paper that it follows](https://arxiv.org/abs/1711.11248) says no, and both are right.
#
# **What you'll need:** an idea of what a convolution over an image does. This chapter needs no data.

# %% tags=["hide-input"]
# Install the book's helpers and their dependencies if they are missing, as they are in Colab.
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
# ## See the receptive field of 2D, 3D and (2+1)D convolutions
#
# A filter can slide over a video in three directions: down, across, and through time. Three kinds of [convolution](../book/glossary.md#convolution) use them differently. Here are five frames. The filled pixels are those from which *one* number of the output is computed:

# %% mystnb={"image": {"alt": "Five frames of five by five pixels, drawn four times. A 2D convolution sees a square of three by three pixels in one frame; a 3D convolution sees that square in three frames in a row; a (2+1)D convolution first sees the square in one frame, then one position in three frames."}}
figure = diagrams.draw_convolutions()

# %% [markdown]
# - A **2D** convolution sees a square of one frame. It processes each frame independently.
# - A **3D** convolution sees a box: the same square in the previous frame, this frame and the next. It can see motion.
# - A **(2+1)D** convolution processes the box in two steps: first the square in each frame, then, at one position, the results from three consecutive frames.
#   After both steps, an output depends on the same 27 pixels as in 3D. The box has been *factorised*, just as $27 = 9 \times 3$.
#
# ## Count the weights
#
# Each pixel that a filter sees holds $C$ numbers, its [channels](../book/glossary.md#channel). A filter has one [weight](../book/glossary.md#parameter) for each of these numbers, and each channel of the output has a filter of its own. The box that a filter sees, such as $3 \times 3 \times 3$, is the [kernel size](../book/glossary.md#filter), time first. With $C$ input channels and $C$ output channels:
#
# | convolution | weights |
# | --- | --- |
# | 2D, $3 \times 3$ | $9C \cdot C = 9C^2$ |
# | 3D, $3 \times 3 \times 3$ | $27C \cdot C = 27C^2$ |
# | (2+1)D, $1 \times 3 \times 3$ then $3 \times 1 \times 1$ | $9C^2 + 3C^2 = 12C^2$ |
#
# The addition in the last line is the whole trick: two small steps cost a *sum* where the one large step costs a *product*.
#
# **Predict:** how many weights does each of the three have, with 64 channels?

# %% tags=["nbval-check-output"]
channels = 64
for name, kernel in {"2D": (1, 3, 3), "3D": (3, 3, 3)}.items():
    sizes = (channels, channels, kernel)
    print(f"{name:7}", counting.conv3d_parameters(*sizes, bias=False))
print("(2+1)D ", counting.conv2plus1d_parameters(*sizes, bias=False))

# %% [markdown]
# ## Check the counts against Keras
#
# A formula is worth what it has been checked against. So we build each layer for an input shape and let Keras count. Each filter also adds a
# [bias](../book/glossary.md#bias), one number per output channel; a (2+1)D convolution has biases in both steps.


# %% tags=["nbval-check-output"]
def count_with_keras(layer, channels):
    layer.build((None, 10, 32, 32, channels))
    return layer.count_params()


kernel = (3, 3, 3)
conv3d = count_with_keras(keras.layers.Conv3D(64, kernel), 64)
print("3D:    ", conv3d, "=", counting.conv3d_parameters(64, 64, kernel))
layer = layers.Conv2Plus1D(64, kernel, "same")
factorised = count_with_keras(layer, 64)
print(
    "(2+1)D:", factorised, "=", counting.conv2plus1d_parameters(64, 64, kernel)
)

# %% [markdown]
# One match may be luck. So we try all combinations of a few channel counts and kernels, with the 3D formula (with and without biases) and the (2+1)D formula.

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
# ## Count multiply-adds (MACs)
#
# The number of parameters determines how large a network's file is. The other cost is its arithmetic. Each weight is multiplied by a number from the input, and the product is added to a sum: one [multiply-add](../book/glossary.md#multiply-add), also called MAC. The number of multiply-adds is a first estimate of the time that a network takes, and no more than that, because moving numbers around takes time as well. A convolution uses each weight once for each position of its output. Therefore:
#
# $$\text{multiply-adds} = \text{weights} \times \text{frames} \times \text{height} \times \text{width}$$
#
# where frames, height and width are those of the output.
#
# Many networks are built in *stages*. From one to the next they halve the frames, the height and the width, and double the channels. **Predict:** which stage has the most parameters, and which needs the most multiply-adds?

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
# Twice as many input and output channels mean four times as many weights. But only an eighth of the positions remain, so the work halves. A network's *early* layers have few parameters and do most of the work; its late layers do less work and hold most of the parameters. If you want a small file, look at the end of a network; if you want a fast network, look at its beginning.
#
# ## Compare the tutorial's (2+1)D convolution with the paper's
#
# The tutorial says that the factorised convolution *saves parameters*. With the same number of channels throughout, it does:

# %% tags=["nbval-check-output", "remove-input"]
three_d, factorised = (
    counting.conv3d_parameters(64, 64, (3, 3, 3)),
    counting.conv2plus1d_parameters(64, 64, (3, 3, 3)),
)
Markdown(
    f"With 64 channels it has {factorised:,} parameters instead of "
    f"{three_d:,}: **{1 - factorised / three_d:.0%} fewer**."
)

# %% [markdown]
# But the paper that the tutorial is based on ([Tran et al. 2018](https://arxiv.org/abs/1711.11248), section 3.5) says something else. Its authors did not want a smaller network; they wanted a fair comparison. They therefore gave the first step more output channels than the second, just enough for both convolutions to cost the same.
# They call this number $M$. To find it, set the two counts equal for a kernel of $t \times d \times d$, with $N_\text{in}$ input and $N_\text{out}$ output channels:
#
# $$t d^2 N_\text{in} N_\text{out} = d^2 N_\text{in} M + t M N_\text{out}$$
#
# $$M = \left\lfloor \frac{t d^2 N_\text{in} N_\text{out}}{d^2 N_\text{in} + t N_\text{out}} \right\rfloor$$
#
# The brackets mean “round down”, because a layer can't have half a channel.
#
# **Predict:** with 64 input and 64 output channels, is $M$ larger or smaller than 64?

# %% tags=["nbval-check-output"]
sizes = (64, 64, (3, 3, 3))
M = counting.mid_channels(*sizes)
paper = counting.conv2plus1d_parameters(*sizes, mid_channels=M, bias=False)
print("M =", M)
print("(2+1)D with M:", paper)
print("3D:           ", counting.conv3d_parameters(*sizes, bias=False))

# %% [markdown]
# It is larger, and the counts match. So both statements are true, but about different layers:
#
# - **The tutorial's** layer has as many channels in the middle as at the end. It has less than half the parameters of the 3D convolution.
# - **The paper's** layer has $M$ channels in the middle. It has as many parameters as the 3D convolution, but uses them better: a [ReLU](../book/glossary.md#relu) stands between its two steps. It applies a nonlinearity twice (it *bends the signal* twice), where a 3D convolution applies it once.
#
# The tutorial's layer has nothing between its two steps. Two linear steps in a row amount to one linear step with fewer free weights.
# The chapter [Train](train.ipynb) shows what the paper's complete block is worth.
#
# ## Explore the costs in an interactive figure
#
# This figure works on this page without a running kernel: use a mouse, a finger, or the Tab and arrow keys. The bars show the formulas of this chapter. Orange marks weights applied to input pixels; blue stripes mark the second step of (2+1)D.

# %%
diagrams.explore_convolutions()

# %% [markdown]
# **Predict** each of these, then try it:
#
# 1. Choose *Same as output*. With equal input and output channels, does (2+1)D save more with few channels or with many?
# 2. Set the kernel size in time to 1. Which two of the three become the same? Does *Same as output* still save parameters?
# 3. With *The paper's M*, double only the input channels. Does $M$ double?
# 4. Make the output smaller. What happens to the parameters, the multiply-adds and the ratios?
#
# <details><summary>What happens, and why</summary>
#
# 1. The saving is the same: both counts grow with the square of the number of channels.
# 2. 2D and 3D become the same, because a box one frame deep is a square. (2+1)D now costs *more* than 3D: its second step has weights although it looks at no other frame.
# 3. It grows, but it doesn't double. The budget, which is the 3D count, doubles. But a channel in the middle costs $d^2 N_\text{in}$ weights before it and $t N_\text{out}$ after it, and the first, larger part doubles as well.
# 4. The parameters stay the same, the multiply-adds shrink with the number of positions, and the ratios stay the same. In a single layer that computes every position, both costs agree on which convolution is cheaper.
#
# </details>
#
# ## Plot the parameter ratio over channels and kernel sizes
#
# As you saw, the number of channels doesn't change the tutorial's saving. What about the kernel? Plot the (2+1)D-to-3D ratio against both.


# %%
def ratio(channels, k, paper=False):
    sizes = (channels, channels, (k, k, k))
    mid = counting.mid_channels(*sizes) if paper else None
    factorised = counting.conv2plus1d_parameters(*sizes, mid, bias=False)
    return factorised / counting.conv3d_parameters(*sizes, bias=False)


# %% mystnb={"image": {"alt": "Two line plots of the ratio of (2+1)D to 3D parameters. On the left, against the number of channels, the tutorial's ratio is constant below one half and the paper's is one. On the right, against the kernel size, the tutorial's ratio falls and the paper's stays close to one."}}
plots.use_style()
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
numbers, kernels = [2**i for i in range(2, 10)], [1, 3, 5, 7, 9]
for paper, style in ((False, "o-"), (True, "s--")):
    left.plot(numbers, [ratio(c, 3, paper) for c in numbers], style)
    right.plot(kernels, [ratio(64, k, paper) for k in kernels], style)
left.lines[0].set_label("output channels in the middle (tutorial)")
left.lines[1].set_label("M channels in the middle (paper)")
left.set(xscale="log", xticks=numbers, xticklabels=numbers)
left.set(title="Parameters of (2+1)D relative to 3D")
left.set_xlabel("Channels (kernel 3 × 3 × 3)")
right.set(xticks=kernels, ylim=(0, None))
right.set_xlabel("Kernel size k × k × k (64 channels)")
legend = left.legend(loc="lower center", bbox_to_anchor=(1, -0.5), ncols=2)

# %% [markdown]
# At kernel size 1 there is nothing to factorise, and two steps cost more than one. The larger the kernel, the more the sum saves compared with the product.
#
# The paper's ratio is one, or a hair below where $M$ had to be rounded down.
#
# So (2+1)D *saves* parameters if you keep the number of channels and the kernel covers both space and time. It *matches* 3D if you choose $M$.
# In the first case you gain a smaller network; in the second, one more nonlinearity per convolution.
#
# ## Count the parameters of complete networks
#
# Layers add up to networks. `layer_table` counts each layer of a network with this chapter's formulas, from shapes alone. Does it agree with Keras? Take the tutorial's
# network, with ten classes, and use each kind of convolution in turn. `mc3`, from the same paper, stands for *mixed convolutions*: 3D in the first layers, 2D in the later ones.

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
# Not a parameter is missing. The tutorial's (2+1)D network delivers what it promises: less than half of the 3D network's parameters, and less than half of its multiply-adds. But it has no more nonlinearities than the other three.
#
# Now take the paper's 18-layer residual networks (ResNet-18) with 400 classes. They differ only in their convolutions. (The counts include the running averages of batch normalisation, which are measured, not trained.)
#
# **Predict:** which two does the paper compare as networks of the same size? Does `mc3` need fewer multiply-adds than `3d`?

# %% tags=["nbval-check-output"]
papers = {conv: models.build_resnet18(conv) for conv in kinds}
print(f"{'':8} {'parameters':>11} {'multiply-adds':>15} {'ReLUs':>6}")
for conv, model in papers.items():
    parameters, work, relus = count(model)
    print(f"{conv:8} {parameters:11,} {work:15,} {relus:6}")

# %% [markdown]
# - The pair is `2plus1d` and `3d`: they have nearly the same number of parameters and multiply-adds, but `2plus1d` has twice the ReLUs. (It has a few per cent fewer parameters because the second convolution of each block reuses the $M$ of the first.)
# - `mc3` has about a third of the parameters of `3d`, and does *more* work. Its 2D convolutions have small kernels but don't reduce the number of frames: all 16 reach the last layer, whereas `3d`
#   has only two left. (In the tutorial's network no layer reduces the number of frames, and there `mc3` needs less work.)
#
# So when someone calls a network small, ask which cost they mean. Two more quantities can't be worked out on paper, only measured: time and accuracy. The page [Results](../book/results.md#what-factorising-buys) reports both for all four kinds of convolution.
#
# ## See which layers cost the most
#
# Group the layers by the height of their output, from first to last, and see each group's share of the parameters and of the multiply-adds.


# %%
def shares(model, cost):
    spent = {}
    for row in counting.layer_table(model):
        if row.parameters and len(row.output) == 4:
            _, height, _, _ = row.output
            spent[height] = spent.get(height, 0) + getattr(row, cost)
    return {
        str(height): part / sum(spent.values())
        for height, part in spent.items()
    }


# %% mystnb={"image": {"alt": "Two bar charts of the share of parameters and of multiply-adds by the height of the output. In the tutorial's network, the layers with the largest frames account for more than a third of the multiply-adds and hardly any parameters. In the paper's network, the share of multiply-adds falls from left to right while the share of parameters rises."}}
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
networks = {
    "The tutorial's": tutorials["2plus1d"],
    "The paper's": papers["2plus1d"],
}
hatches = {"parameters": "", "multiply_adds": "//"}
for axis, (title, model) in zip(axes, networks.items()):
    for i, (cost, hatch) in enumerate(hatches.items()):
        spent = shares(model, cost)
        positions = [x + 0.4 * i for x in range(len(spent))]
        bars = axis.bar(
            positions, spent.values(), 0.38, edgecolor="white", hatch=hatch
        )
        bars.set_label(cost.replace("_", "-"))
    axis.set_xticks([i + 0.2 for i in range(len(spent))], spent)
    axis.set(
        title=f"{title} (2+1)D network", xlabel="Height of the output, pixels"
    )
axes[0].set_ylabel("Share of the network's total")
legend = axes[1].legend(loc="upper center")

# %% [markdown]
# The tutorial's first layer works on full-size frames. It has almost no parameters, but needs more multiply-adds than all layers at any other size.
# After it, halving the height and width offsets doubling the channels, so the work stays level. The paper's network already shrinks the frames in its first layer, and later reduces their number, too; its work falls while its parameters rise.
#
# ## Count the effect of strides
#
# The interactive figure leaves one thing out: [strides](../book/glossary.md#stride). A layer with stride 2 computes only every other position. The (2+1)D layer applies the spatial stride in its first step and the temporal stride in its second.
#
# **Predict:** $M$ makes the parameters match. Do the multiply-adds match, too, in the layer that shrinks the video for the second stage?

# %% tags=["nbval-check-output"]
print(f"{'':8} {'output':18} parameters  multiply-adds")
for conv in ("3d", "2plus1d"):
    for row in counting.layer_table(papers[conv]):
        if (
            row.name.startswith("stage2_block1_conv1")
            and row.kind == "VideoConv"
        ):
            cost = f"{row.parameters:10,} {row.multiply_adds:14,}"
            print(f"{conv:8} {str(row.output):18}", cost)

# %% [markdown]
# The parameters of the two steps add up to those of the 3D layer, except for rounding. But the two steps need far more multiply-adds. The first step must process all 16 frames because the second step needs them, whereas the 3D
# layer never computes the frames that its stride skips. Equal in parameters is not equal in work.
#
# ## Check yourself
#
# 1. How many weights does a (2+1)D convolution with kernel size $5 \times 3 \times 3$ and $C$ channels throughout have?
# 2. You need to make a network of 3D convolutions smaller without removing channels. Which of the two (2+1)D layers helps?
# 3. Why can't a 2D network see motion, no matter how many layers it has?
# 4. You double the height and the width of all frames. What happens to the network's parameters and to its multiply-adds?
#
# <details><summary>Answers</summary>
#
# 1. $9C^2 + 5C^2 = 14C^2$.
# 2. The tutorial's. The paper's is as large as the 3D convolution that it replaces.
# 3. Every number inside it is computed from a single frame. No layer ever compares two frames.
# 4. The parameters stay the same, because a filter doesn't know how far it slides. The multiply-adds quadruple.
#
# </details>
#
# ## On your own
#
# - Memory is another cost. Training keeps every layer's output (its *activations*) until the gradients are computed. Add up the outputs with `layer_table`. Which layers fill the memory? Does (2+1)D need more memory than 3D?
# - Apply the temporal convolution first and the spatial one second. Which $M$ makes the counts equal? Derive it, and check it against Keras.
#
# Next: [Build the model](build_model.ipynb).
