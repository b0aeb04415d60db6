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
# # See what it sees: saliency maps for video (class activation maps, Grad-CAM), and how to test them
#
# **What you'll do:** compute a map of the parts of a clip on which a network seems to base its prediction, and find out whether to believe it.
#
# **What you'll learn**
#
# - how to attribute a logit to places and times in a clip, with class activation maps and Grad-CAM;
# - how to choose a map by a test and not by its looks: hide what it points at (*occlusion*), and see whether the prediction suffers;
# - how to expose a map that has nothing to do with the network, by giving the network random weights;
# - how to visualise the filters of the first layer without reading too much into them;
# - what such a map can't show.
#
# **What you'll need:** the chapters [Build the model](build_model.ipynb) and [Evaluate](evaluate.ipynb), and a trained network. If you have run the chapter [Train](train.ipynb), this chapter uses your network. If not, it trains one first: on two CPU cores, a short run takes a minute or two; on a GPU, a full run takes an hour or more.

# %% tags=["hide-input"]
# Install the book's helpers and their dependencies if they are missing, as they are in Colab.
try:
    import helpers.archive
except ModuleNotFoundError:
    # %pip install --quiet git+https://github.com/video-classification-book/video-classification-book
    import helpers.archive

# %%
import einops
import keras
import numpy as np
from IPython.display import Markdown

from helpers import archive, export, plots, puppets, recipes, records, saliency
from helpers import settings, training, video
from helpers.clips import list_clips

# %% [markdown]
# ## See a saliency map of a clip (attribution map, heatmap)

# %%
run = settings.current()
model, _ = training.train(run)
# A network trained with --mixed computes in 16 bits: too imprecise for the checks below.
model = export.as_float32(model)
folders = archive.fetch_clips(run)
files, labels, class_names = list_clips(folders["test"])
file = files[len(files) // 3]


# %%
def read(file, side, frame_step=run.frame_step):
    count = run.n_frames * run.frame_step // frame_step
    return video.frames_from_video_file(
        file, count, (side, side), frame_step, start="center"
    )


def colour(frames, attribution):
    positive = np.maximum(attribution, 0)[None]
    (upsampled,) = saliency.upsample_maps(positive, frames.shape[:3])
    return video.crop_padding(plots.overlay_map(frames, upsampled), 144, 192)


# %%
frames = read(file, run.size, frame_step=1)
samples = einops.rearrange(frames, "(t s) h w c -> s t h w c", s=run.frame_step)
predicted = model.predict(samples, verbose=0).mean(axis=0).argmax()
classes = [predicted] * len(samples)
attribution = saliency.attribution_maps(
    model, samples, classes, "stage2_block1_relu2", pooled=False
)
coloured = colour(read(file, 192, frame_step=1), attribution.mean(axis=0))
coloured = coloured[:: run.frame_step // 2 + 1]
description = "A clip in grey; orange spots come and go."
plots.show_animation(coloured, description, fps=8, width=384)

# %% [markdown]
# The clip is shown in grey, and orange marks where and when the map finds support for the predicted action. (The network sees only every few frames of a clip. To colour all of them, we sample the clip repeatedly, each time one frame later, and show the mean of the maps for the predicted action.) It looks convincing: some of
# the spots lie on what moves. But others don't, and an image that looks right is not yet an explanation. This chapter makes such a map, and then tests it.
#
# ## Compute a class activation map
#
# All of the book's networks end in the same way: global average pooling reduces each channel of the last volume to its mean over space and time, and a dense layer turns these means into logits. Both steps are linear, so their order doesn't matter. We can apply the dense layer first,
# at each position separately, and then divide by the number of positions $N$. The result is the contribution of each position to the logit:
#
# $$y = b + \sum_{t,r,c} A_{t,r,c} \qquad A_{t,r,c} = \frac{1}{N} \sum_k v_k \, a_{t,r,c,k}$$
#
# with the activation $a$, the weights $v$ and the bias $b$ of the dense layer, and time step $t$, row $r$, column $c$ and channel $k$. This is the [class activation map](../book/glossary.md#class-activation-map) [(Zhou et al. 2016)](https://arxiv.org/abs/1512.04150).
#
# **Predict:** add up these contributions over all positions, and add the bias of the dense layer. What is the sum?

# %%
data = training.load_splits(folders, run)


def take(split, most):
    batches = [[np.asarray(part) for part in batch] for batch in data[split]]
    frames, labels = (np.concatenate(parts) for parts in zip(*batches))
    every = max(1, len(frames) // most)
    return frames[::every], labels[::every]


clips, actual = take("test", most=50)

# %% tags=["nbval-check-output"]
logits = model.predict(clips, verbose=0)
predicted = logits.argmax(axis=1)
cam = saliency.attribution_maps(model, clips)
kernel, bias = model.get_layer("logits").get_weights()
total = cam.sum(axis=(1, 2, 3)) + bias[predicted]
same = np.allclose(total, logits.max(axis=1), atol=1e-3)
print("moments, rows and columns of the last volume:", cam.shape[1:])
print("logit = sum + bias:", same)

# %% [markdown]
# The sum is the logit, up to rounding. We can't say that of any other map in this chapter: at the last volume, nothing is lost and nothing is invented. Here is the map over the frames:

# %% mystnb={"image": {"alt": "A film strip of one clip in grey under a broad, blurred orange cloud that covers half of each frame and hardly changes from frame to frame."}}
layers = [f"stage{stage}_block1_relu2" for stage in (4, 3, 2)]
shown = read(file, run.size)[None]
last = saliency.attribution_maps(model, shown, layer=layers[0])
scores = model.predict(shown, verbose=0)[0]
first, second = scores.argsort()[:-3:-1]
print(f"first  {class_names[first]}, logit {scores[first]:.1f}")
print(f"second {class_names[second]}, logit {scores[second]:.1f}")
figure = plots.plot_film_strip([colour(read(file, 192), last[0])], columns=8)

# %% [markdown]
# We draw only positive contributions, those that speak *for* the action; a dark contour marks half of the maximum colour. The map shows almost nothing. With two time steps and a few rows and columns, it is coarse. Worse, the [receptive field](../book/glossary.md#receptive-field) of each position covers nearly the whole clip, so a position in this volume no longer corresponds to a position in the frames.
#
# ## Compute Grad-CAM in earlier layers (HiResCAM)
#
# Earlier layers have a higher resolution, but the layers after them are no longer linear. [Grad-CAM](../book/glossary.md#grad-cam) [(Selvaraju et al. 2017)](https://arxiv.org/abs/1610.02391) uses the [gradient](../book/glossary.md#gradient) instead: how much does the logit $y$ change if an activation $a$ in the volume rises a little? A channel's weight is the mean of its gradient over all $N$ positions, and the attribution of a position is the weighted sum of its channels:
#
# $$w_k = \frac{1}{N} \sum_{t,r,c} \frac{\partial y}{\partial a_{t,r,c,k}} \qquad A_{t,r,c} = \sum_k w_k \, a_{t,r,c,k}$$
#
# In NumPy, the two formulas are two lines, for a volume `a`, its gradient `g`, and axes given by name:
#
# ```python
# weights = g.mean(axis=(time, rows, columns))
# attribution = (weights * a).sum(axis=channels)
# ```
#
# The mean was designed for a network's last volume. We don't have to use it: with `pooled=False`, each position keeps its own gradient, a variant called *HiResCAM* [(Draelos and Carin 2020)](https://arxiv.org/abs/2011.08891); the plots below label it *own gradients*. At the last volume, both variants equal the class activation map:

# %% tags=["nbval-check-output"]
unpooled = saliency.attribution_maps(model, clips, pooled=False)
same = np.allclose(unpooled, cam, atol=1e-4)
print("equal at the last volume:", same)

# %% [markdown]
# In earlier layers they differ. **Predict:** which of the four maps below will you trust most, and why?

# %% mystnb={"image": {"alt": "Four film strips of the same clip in grey, with orange where a map is high. The maps of the earlier stage are patchier. The HiResCAM maps have fewer and smaller spots, some on the figure and some in a regular grid."}}
methods = {"Grad-CAM": True, "own gradients": False}
candidates = {
    f"{layer[:6]}, {method}": {"layer": layer, "pooled": pooled}
    for layer in layers[1:]
    for method, pooled in methods.items()
}
strips = []
for choice in candidates.values():
    (attribution,) = saliency.attribution_maps(model, shown, **choice)
    strips.append(colour(read(file, 192), attribution))
figure = plots.plot_film_strip(strips, list(candidates))

# %% [markdown]
# Four images of one decision, and they disagree. (Spots in a regular grid are *checkerboard artefacts* of later layers: a filter with a stride of 2 passes more gradient to some positions than to others.) You can't tell by looking which one is right.
#
# ## Test a map by occlusion
#
# A map makes a claim: *the prediction is based on these pixels*. So hide them. Paint the highest-ranked eighth of the pixels grey, and predict again: the logit of the action should fall, and fall further than when other pixels are hidden. For comparison, occlude random positions (not on the black bars, where there is nothing to lose), and the middle of the frames, because that is where people point their cameras.
#
# We will choose a map by this test, so we run it on validation clips, and save the test clips for the result that we report.

# %%
val, _ = take("val", most=50)
before = model.predict(val, verbose=0)
size = val.shape[1:4]


def predict_without(clips, maps):
    maps = saliency.upsample_maps(maps, size)
    return model.predict(saliency.occlude(clips, maps, 1 / 8), verbose=0)


def logit_drop(clips, before, maps):
    after = predict_without(clips, maps)
    best = before.argmax(axis=1)[:, None]
    return np.take_along_axis(before - after, best, axis=1)[:, 0]


# %%
x = np.linspace(-1, 1, 32)
middle = np.exp(-3.5 * (x**2 + x[:, None] ** 2))[None, None]
rng = np.random.default_rng(0)


def random_maps(n_clips):
    maps = rng.random((n_clips, 3, 8, 8))
    maps[:, :, [0, -1]] = 0  # the black bars
    return maps


# %% mystnb={"image": {"alt": "Dot plot of the drop in the logit, with a dot for each validation clip and a line at the mean, for random positions, the middle of the frames, and the maps of three stages. The logit drops most with the HiResCAM maps."}}
maps = {"random positions": random_maps(len(val))}
maps["middle"] = np.repeat(middle, len(val), axis=0)
maps["stage4, both"] = saliency.attribution_maps(model, val)
for name, choice in candidates.items():
    maps[name] = saliency.attribution_maps(model, val, **choice)
# We test what we draw: the positive part.
drops = {
    name: logit_drop(val, before, np.maximum(each, 0))
    for name, each in maps.items()
}
axis = plots.plot_scores(drops, "drop of the logit")

# %%
best = max(candidates, key=lambda name: drops[name].mean())
choice = candidates[best]
print("We choose:", best)

# %% [markdown]
# On the puppets, HiResCAM at stages 2 and 3 does best. The others, Grad-CAM and the map of the last volume, do no better than a blob in the middle, which knows nothing about the network.
#
# Now test the chosen map once, on the test clips.

# %% tags=["nbval-check-output"]
attribution = saliency.attribution_maps(model, clips, **choice)
positive = np.maximum(attribution, 0)
at_random = random_maps(len(clips))
in_middle = np.repeat(middle, len(clips), axis=0)
highest, anywhere, central = (
    logit_drop(clips, logits, each) for each in (positive, at_random, in_middle)
)
larger = highest.mean() > anywhere.mean()
print("drops more where the map is high than at random:", larger)


# %% tags=["remove-input"]
def accuracy_without(maps):
    return np.mean(predict_without(clips, maps).argmax(axis=1) == actual)


scores = {
    "nothing": np.mean(predicted == actual),
    "random positions": accuracy_without(at_random),
    "middle": accuracy_without(in_middle),
    "where the map is highest": accuracy_without(positive),
}
rows = [(occluded, f"{score:.2f}") for occluded, score in scores.items()]
error = np.sqrt(0.25 / len(clips))
Markdown(
    f"Accuracy on {len(clips)} test clips with an eighth of the pixels "
    f"occluded (standard error: at most {error:.2f}):\n\n"
    f"{records.markdown_table(('occluded', 'accuracy'), rows)}\n\nThe logit "
    f"drops by {highest.mean():.1f} where the map is highest, and by "
    f"{central.mean():.1f} in the middle; the map's drop is larger on "
    f"{np.mean(highest > central):.0%} of the clips."
)

# %% [markdown]
# On the puppets, the network copes with the loss of random positions, but not with the loss of those that the map points at. (A network near chance, for example after a short run on real clips, has little to lose. Compare the logits then.) But look at the row *middle*. A blob that knows nothing about the network, and merely covers the place where people stand, does about as much damage. A map has to beat that baseline, not only random positions. The sentence below the table says on how many clips it does.
#
# ## Measure whether the map lies on moving pixels
#
# Does the network look at what moves? We count a pixel as moving if it differs clearly from its median over the clip. Now compute
#
# $$\frac{\text{fraction of the map on moving pixels}}{\text{fraction of the frame that these pixels cover}}$$
#
# where a pixel counts as moving if it moves at any time in the clip. A uniform map scores 1. (The black bars above and below are excluded.)
#
# **Predict** this ratio for the chosen map, for the blob in the middle, and for the map of the last volume.


# %% mystnb={"image": {"alt": "Dot plot of how strongly maps lie on moving pixels, with a dot for each test clip and a line at the mean: the chosen map, the blob in the middle, and the last volume. The blob reaches the highest mean."}}
def inside(maps):
    height, width = 3 * run.size // 4, run.size
    return video.crop_padding(maps[..., None], height, width)[..., 0]


motion = inside(saliency.moving_pixels(clips).any(axis=1, keepdims=True))


def times_chance(maps):
    maps = inside(saliency.upsample_maps(np.maximum(maps, 0), size))
    on_motion = (maps * motion).sum(axis=(1, 2, 3)) / maps.sum(axis=(1, 2, 3))
    return on_motion / motion.mean(axis=(1, 2, 3))


scores = {best: times_chance(attribution)}
scores["middle"] = times_chance(in_middle)
scores["stage4, both"] = times_chance(cam)
axis = plots.plot_scores(
    scores, "fraction on moving pixels, relative to chance"
)

# %% [markdown]
# On the puppets, the chosen map favours moving pixels, and the map of the last volume does so less strongly. But the blob in the middle, which has never seen a clip, does best of all. *The map lies on the figure* sounds like proof that the network looks at the figure. It isn't: figures stand in the middle, so any centred map lies on them. If we had chosen our
# map by how well it lies on the figure, we would have chosen the blob.
#
# ## Sanity check: randomise the weights (model randomisation test)
#
# If a map shows what the network has learned, it must change when the network forgets. [Adebayo et al. (2018)](https://arxiv.org/abs/1810.03292) turned this into a test: give the layers new random weights, one after the other from the last to the first, and compare the maps before and after. The maps of some well-known methods hardly changed; these methods had merely detected edges all along.
#
# We compare the ranks of all positions with [Spearman's correlation](../book/glossary.md#rank-correlation): 1 means the same order, 0 no relation. How low is low enough? Let us decide before we look. The map passes if random weights make it less similar to the original than **the map of another clip of the same action** is. As a negative control, a map that must fail, we use the frame difference, the change from each frame to the next: it points at what moves, and needs no network at all.
#
# Each batch normalisation is reset along with the convolution before it, because running averages from weights that no longer exist are meaningless. We also use different seeds from the training seed, because the trained weights may still resemble the initial ones.

# %%
sample = clips[:: max(1, len(clips) // 10)]
classes = model.predict(sample, verbose=0).argmax(axis=1)
parts = ["logits", "stage4", "stage3", "stage2", "stage1", "stem"]


def positive_maps(network):
    maps = saliency.attribution_maps(network, sample, classes, **choice)
    return np.maximum(maps, 0)


# %%
original = positive_maps(model)


def similarity_with_random(parts, seeds=(1, 2, 3)):
    values = []
    for seed in seeds:
        network = saliency.randomize_weights(model, parts, seed)
        values.extend(saliency.compare_maps(original, positive_maps(network)))
    return np.nan_to_num(values)  # a map of zeros resembles nothing


def frame_difference(clips):
    return np.abs(np.diff(clips.astype(int), axis=1)).mean(axis=-1)


# %% [markdown]
# First, compare one clip by eye, with all weights random. **Predict:** which of the three strips will look the most plausible?

# %% mystnb={"image": {"alt": "Three film strips of one clip: the map of the trained network; that of a network with random weights, whose spots lie elsewhere; and the frame difference, which lies neatly on what moves."}}
networks = {
    "trained": model,
    "random weights": saliency.randomize_weights(model, parts, seed=1),
}
maps = {
    name: saliency.attribution_maps(network, shown, [first], **choice)
    for name, network in networks.items()
}
maps["frame difference"] = frame_difference(shown)
strips = [colour(read(file, 192), each[0]) for each in maps.values()]
figure = plots.plot_film_strip(strips, list(maps))

# %% [markdown]
# Then compare the numbers, with a dot for each clip and seed:

# %% mystnb={"image": {"alt": "Dot plot of rank correlations with the original map: moderate for another clip of the same action, around zero with random weights, and exactly one for the frame difference."}}
# The clips are sorted by action, so neighbours often share theirs.
one = np.flatnonzero(actual[:-1] == actual[1:])
pairs = saliency.compare_maps(positive[one], positive[one + 1])
similarity = {
    "another clip, same action": pairs,
    "random logits": similarity_with_random(parts[:1]),
    "random from stage4 on": similarity_with_random(parts[:2]),
    "all random": similarity_with_random(parts),
}
difference = frame_difference(sample)  # the same before and after
unmoved = saliency.compare_maps(difference, difference)
similarity["frame difference, all random"] = unmoved
axis = plots.plot_scores(similarity, "rank correlation with the original map")

# %% tags=["nbval-check-output"]
print("the map passes:", similarity["all random"].mean() < pairs.mean())
difference = frame_difference(clips)
others = saliency.compare_maps(difference[one], difference[one + 1])
print("the frame difference passes:", unmoved.mean() < others.mean())


# %% tags=["remove-input"]
text = {
    name: records.mean_and_range(values) for name, values in similarity.items()
}
Markdown(
    "Rank correlation as mean (least to greatest): "
    f"{text['another clip, same action']} with another clip of the same "
    f"action; {text['random logits']} with random logits; {text['all random']} "
    f"with all weights random; {len(sample)} clips, three seeds."
)

# %% [markdown]
# The prettiest strip is the one that fails: the frame difference doesn't depend on the network. Our map does. On average, the similarity is gone as soon as the last layer forgets which channels belong to which action.
#
# Passing doesn't mean much: it shows that the map depends on the weights, not that it explains them. A test can only clear a map of one charge.
#
# ## Compare the maps of two classes
#
# A map belongs to a class. Does the map of another class look different? Take the second most likely class, and the least likely one. On the puppets, the runner-up is often the reverse of the predicted action: the same frames in the opposite order. This time we compare the complete attribution, including its negative part, which speaks against the action.
#
# **Predict:** will the attributions for *StandUp* and *SitDown* lie on the same positions? And those for *PutDown* and *PickUp*?

# %% mystnb={"image": {"alt": "Dot plot of rank correlations between the attributions for the predicted action and for another class. Each pair of an action and its reverse has a row: one is highly correlated, another lies around zero. For the least likely class, most values are negative."}}
order = logits.argsort(axis=1)


def correlation_with(classes):
    maps = saliency.attribution_maps(model, clips, classes, **choice)
    return saliency.compare_maps(attribution, maps)


rows = {}
second = correlation_with(order[:, -2])
for first, rival, value in zip(predicted, order[:, -2], second):
    both = {class_names[first], class_names[rival]}
    pair = next((pair for pair in puppets.PAIRS if both == set(pair)), None)
    name = " and ".join(pair) if pair else "second, not the reverse"
    rows.setdefault(name, []).append(value)
rows = dict(sorted(rows.items()))
rows["most and least likely"] = correlation_with(order[:, 0])
axis = plots.plot_scores(rows, "rank correlation of the two attributions")

# %% [markdown]
# It depends on the pair. In our run, the attributions for *PickUp* and *PutDown* lie on nearly the same positions: the same part of the clip decides between them. Those for *SitDown* and *StandUp* have little to do with each other. (A pair has a row only if its two actions took the first two places on some clip.) For the least likely action, the correlation is mostly negative: what speaks for the most likely action often speaks against it.
#
# ## Test whether the map shows when the action happens (temporal localisation)
#
# The map has a time axis. May we interpret it? Make clips in which we know when the action happens: play it at double speed and then hold the last frame, or hold the first frame and then play the action at double speed.
#
# **Predict:** how much of the attribution will lie in the second half?

# %%
half = run.n_frames // 2
fast = np.linspace(0, run.n_frames - 1, half).round().astype(int)
hold = np.zeros(run.n_frames - half, int)
played = {"first": [*fast, *(hold + fast[-1])], "second": [*hold, *fast]}


def in_second_half(maps):
    return maps[:, half:].sum(axis=(1, 2, 3)) / maps.sum(axis=(1, 2, 3))


rows = []
for half_played, frames in played.items():
    halves = clips[:, frames]
    # The first frame twice, so that it, too, has a difference.
    from_start = halves[:, [0, *range(run.n_frames)]]
    maps = saliency.grad_cam(model, halves, predicted, **choice)
    pair = (frame_difference(from_start), maps)
    fractions = [f"{in_second_half(each).mean():.2f}" for each in pair]
    rows.append((f"{half_played} half", *fractions))

# %% tags=["remove-input"]
header = ("action played in the", "movement", "attribution")
Markdown(
    "Fraction that lies in the second half:\n\n"
    + records.markdown_table(header, rows)
)

# %% [markdown]
# The movement shifts from one half to the other; the attribution hardly follows, if at all. A held pose may matter to the network, too, and after a few layers the receptive field of each position covers several frames before and after. So don't use these maps to say when something happens. The film strips above tempt you to, which is why we tested it.
#
# ## Visualise the filters of the first layer
#
# Maps explain what a complete network makes of a clip. The first layer can be inspected directly, because its weights have the same axes as a frame: height, width and colour. Each spatial filter of the (2+1)D stem is a small image in red, green and blue, and each temporal filter is a curve over three frames. (There is a curve for each pair of channels, so we show the first six output channels, with the strongest curve in bold.)
#
# Images of this kind from large networks show edges, blobs of colour, or changes over time. **Predict:** what will ours look like after training?

# %% mystnb={"image": {"alt": "Two rows of sixteen small pictures of coloured noise, before and after training. Each picture below looks almost like the one above it."}}
untrained = recipes.build_model(recipes.Recipe(), run)
stems = {
    name: network.get_layer("stem").get_weights()
    for name, network in {"before training": untrained, "after": model}.items()
}
spatial = {name: weights[0][0] for name, weights in stems.items()}
temporal = {name: weights[-1][:, 0, 0] for name, weights in stems.items()}
figure = plots.plot_filters(spatial)

# %% mystnb={"image": {"alt": "Two rows of six panels, each with sixteen curves over three frames, the strongest in bold: rising, falling, peaked. Before and after training they look much alike."}}
six = {name: curves[..., :6] for name, curves in temporal.items()}
figure = plots.plot_temporal_filters(six)

# %% [markdown]
# If you find edges, look at the upper row: they were there before the network saw its first clip. A curve of three weights is a weighted sum of three components: $(1, 1, 1)$, which smooths; $(-1, 0, 1)$, which responds to change; and $(1, -2, 1)$, which responds to flicker. How much of each component is there, before and after training?

# %% tags=["remove-input"]
basis = np.array([[1, 1, 1], [-1, 0, 1], [1, -2, 1]])
basis = basis / np.linalg.norm(basis, axis=1, keepdims=True)
rows = []
for name, curves in temporal.items():
    energy = ((basis @ curves.reshape(3, -1)) ** 2).sum(axis=1)
    rows.append((name, *(f"{e:.2f}" for e in energy / (curves**2).sum())))
correlation = [
    np.corrcoef(*(np.ravel(each) for each in filters.values()))[0, 1]
    for filters in (spatial, temporal)
]
header = ("temporal filters", "mean", "change", "flicker")
Markdown(
    f"{records.markdown_table(header, rows)}\n\n(Fractions of the squared "
    "weights; random weights have about a third of each.)\n\nCorrelation of "
    f"the weights before and after training: {correlation[0]:.3f} for the "
    f"spatial filters, {correlation[1]:.3f} for the temporal ones."
)

# %% [markdown]
# In a short run, the first layer has learned next to nothing. The network performs well all the same: random filters already separate some features, such as colours and changes over time, and the later layers learn to use them. Below is one clip with two of the stem's channels: the one that changes most over time, and the one that changes least. (The first and last frames look different because there the filter extends beyond the clip, into the padding; the same happens at the borders of each frame.)

# %% mystnb={"image": {"alt": "Three film strips: a clip; a channel in grey that shows little except what moves; a channel in grey that also shows the room."}}
stem = keras.Model(model.input, model.get_layer("stem_relu").output)
response = keras.ops.convert_to_numpy(stem(shown))[0]
side = run.size // 2  # the stem halves it
response = video.crop_padding(response, 3 * side // 4, side)
inner = response[1:-1]  # the first and last frames see padding
change = inner.std(axis=0).mean(axis=(0, 1)) / inner.mean(axis=(0, 1, 2))
channels = {"changes most": change.argmax(), "changes least": change.argmin()}
strips = [video.crop_padding(shown[0], 3 * run.size // 4, run.size)]
for channel in channels.values():
    grey = response[..., channel] / np.quantile(inner[..., channel], 0.99)
    grey = (255 * np.clip(grey, 0, 1)).astype(np.uint8)
    strips.append(einops.repeat(grey, "t h w -> t (h 2) (w 2) c", c=3))
figure = plots.plot_film_strip(strips, ["clip", *channels])

# %% [markdown]
# So be careful with images of filters, even in papers: ask to see the filters of the untrained network beside them.
#
# ## Know the limits of saliency maps
#
# - **Why.** It shows where the network found information, not what that information is. A figure's arm and the wall beside it may carry the same information.
# - **When**, as you have seen.
# - **How precisely.** Even in an earlier layer, each position has a receptive field, and a spot can't be finer than the grid of positions.
# - **What would happen without it.** For that, occlude and predict again.
#
# ## Check yourself
#
# 1. Why do the contributions of the last volume's positions add up to the logit (minus its bias), while those of the second stage need not?
# 2. A colleague shows a map that lies neatly on the athlete in every clip. Which two images do you ask for?
# 3. You occlude what a map points at, and the accuracy falls from 0.9 to 0.4. Is the map good?
# 4. Why don't we draw the random weights with the seed that the network was trained with?
#
# <details><summary>Answers</summary>
#
# 1. The last volume is followed only by a mean and a dense layer, and both are linear. The second stage is followed by ReLUs, which are not linear.
# 2. The map of the same network with random weights, and a map that is independent of the network, such as a blob in the middle or the difference of frames.
# 3. That depends on what happens when you occlude other positions: random ones, the middle, and those where the map is lowest.
# 4. A short training run changes the weights only a little. The initial weights resemble the trained ones, and so may their maps.
#
# </details>
#
# ## On your own
#
# - Instead of grey, use the clip's median frame for the occluded pixels, as if nothing had moved there. Which map does best now? (How you occlude is a choice, and the verdict depends on it.)
# - Choose the map with the largest fraction on moving pixels. Which one wins, and how well does it do in the occlusion test?
# - Look at the first layer of a network that was trained for longer, with `training.train(run, epochs=40)`. Do its filters move away from their initial values?
#
# Next: [Try your own video](own_video.ipynb).
