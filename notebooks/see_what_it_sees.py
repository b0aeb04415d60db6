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
# # See what it sees
#
# **What you'll do:** colour a clip where a network found its evidence for an action, and find out whether to believe the colours.
#
# **What you'll learn**
#
# - to share out a logit among the places and moments of a clip;
# - to choose a map by a test, not by its looks: cover what it points at;
# - to catch a map that has nothing to do with the network: give the network random weights;
# - to look at the filters of the first layer, and not to see more in them than there is;
# - to say what such a map can't tell.
#
# **What you'll need:** the chapters [Build the model](build_model.ipynb) and [Evaluate](evaluate.ipynb), and a trained network. If you have run the chapter [Train](train.ipynb), this one takes yours; if not, it trains one first: on two CPU cores a short run takes a minute or two, a full run on a GPU an hour or more.

# %% tags=["hide-input"]
# Where the book's helpers are missing, as in Colab, fetch them and what they need.
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

from helpers import (
    archive,
    export,
    plots,
    puppets,
    recipes,
    records,
    saliency,
    settings,
    training,
    video,
)

# %% [markdown]
# ## See where we are going

# %%
run = settings.current()
model, _ = training.train(run)
# A network trained with --mixed computes in 16 bits, too coarse for sums that are to agree.
model = export.as_float32(model)
folders = archive.fetch_clips(run)
files, labels, class_names = video.list_clips(folders["test"])
file = files[len(files) // 3]


# %%
def read(file, side, frame_step=run.frame_step):
    count = run.n_frames * run.frame_step // frame_step
    return video.frames_from_video_file(
        file, count, (side, side), frame_step, start="center"
    )


def colour(frames, evidence):
    maps = saliency.upsample_maps(
        np.maximum(evidence, 0)[None], frames.shape[:3]
    )
    return video.crop_padding(plots.overlay_map(frames, maps[0]), 144, 192)


# %%
whole = read(file, run.size, frame_step=1)
readings = einops.rearrange(whole, "(t s) h w c -> s t h w c", s=run.frame_step)
named = model.predict(readings, verbose=0).mean(axis=0).argmax()
evidence = saliency.attribution_maps(
    model,
    readings,
    [named] * len(readings),
    "stage2_block1_relu2",
    pooled=False,
)
moving = colour(read(file, 192, frame_step=1), evidence.mean(axis=0))
plots.show_animation(
    moving[:: run.frame_step // 2 + 1],
    "A clip in grey; orange spots come and go.",
    fps=8,
    width=384,
)

# %% [markdown]
# The clip in grey, and in orange the places and moments that spoke for the action that the network named. (The network takes every so many frames. To colour all of them, it reads the clip again and again, each time beginning one frame later, and the picture shows the mean of the maps for one action.) It looks convincing: some of
# the spots lie on what moves. But others don't, and a picture that looks right is not yet an explanation. This chapter makes such a map, and then tests it.
#
# ## Share out a logit
#
# All of the book's networks end alike: the last volume is averaged over its places and moments, and a dense layer turns the averages of its channels into logits. Both steps are sums, and sums can be taken in any order. So apply the dense layer first,
# at each place by itself, and divide by the number of places: that is what each place has put into the logit. This is the [class activation map](../book/glossary.md#class-activation-map) [(Zhou et al. 2016)](https://arxiv.org/abs/1512.04150).
#
# **Predict:** add up this evidence over all places, and add the bias of the dense layer. What does it come to?

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
named = logits.argmax(axis=1)
evidence = saliency.attribution_maps(model, clips)
kernel, bias = model.get_layer("logits").get_weights()
together = evidence.sum(axis=(1, 2, 3)) + bias[named]
print("moments, rows and columns of the last volume:", evidence.shape[1:])
print(
    "logit = sum + bias:", np.allclose(together, logits.max(axis=1), atol=1e-3)
)

# %% [markdown]
# The logit, exactly. That is the firmest thing that can be said of any map in this chapter: at the last volume nothing is lost and nothing is invented. Here it is over the frames:

# %% mystnb={"image": {"alt": "A film strip of one clip in grey under a broad, blurred orange cloud that covers half of each frame and hardly changes from frame to frame."}}
layers = [f"stage{stage}_block1_relu2" for stage in (4, 3, 2)]
shown = read(file, run.size)[None]
last = saliency.attribution_maps(model, shown, layer=layers[0])
answer = model.predict(shown, verbose=0)[0]
first, second = answer.argsort()[:-3:-1]
print(f"named {class_names[first]}, logit {answer[first]:.1f}")
print(f"second {class_names[second]}, logit {answer[second]:.1f}")
figure = plots.plot_film_strip([colour(read(file, 192), last[0])], columns=8)

# %% [markdown]
# Only what speaks *for* the action is drawn; a dark line marks where the map reaches half of its full colour. And it says almost nothing. Two moments and a few places are coarse; what is worse, each place has looked at nearly the whole clip on its way through the layers, so a place of this volume is not a place of the frames any more.
#
# ## Look into finer layers
#
# In earlier layers volumes are finer, but what follows is no longer a sum. [Grad-CAM](../book/glossary.md#grad-cam) [(Selvaraju et al. 2017)](https://arxiv.org/abs/1610.02391) asks the [gradient](../book/glossary.md#gradient) instead: how much does the logit rise with each number of the volume? It takes the mean of
# that over all places as a channel's weight, and adds up the weighted channels at each place. Two lines of NumPy, for a volume `a` and the gradient `g`:
#
# ```python
# weights = g.mean(axis=(time, rows, columns))
# evidence = (weights * a).sum(axis=channels)
# ```
#
# The mean was devised for a network's last volume. Nothing forces us to take it: with `pooled=False` each place keeps its own gradient [(Draelos and Carin 2020)](https://arxiv.org/abs/2011.08891). At the last volume both are the class activation map:

# %% tags=["nbval-check-output"]
own = saliency.attribution_maps(model, clips, pooled=False)
print("the same at the last volume:", np.allclose(own, evidence, atol=1e-4))

# %% [markdown]
# In earlier layers they differ. **Predict:** which of these do you trust most, and why?

# %% mystnb={"image": {"alt": "Four film strips of the same clip in grey, with orange where a map is high. The maps of finer layers are patchier; those without the mean have fewer, smaller spots, some of them on the figure and some in a regular grid."}}
ways = {"Grad-CAM": True, "place by place": False}
tries = {
    f"{layer[:6]}, {way}": dict(layer=layer, pooled=pooled)
    for layer in layers[1:]
    for way, pooled in ways.items()
}
maps = [
    saliency.attribution_maps(model, shown, **choice)[0]
    for choice in tries.values()
]
strips = [colour(read(file, 192), one) for one in maps]
figure = plots.plot_film_strip(strips, list(tries))

# %% [markdown]
# Four pictures of one decision, and they don't agree. (Spots in a regular grid are made by the later layers: a filter that moves two places at a time passes some more gradient than others.) Looks won't settle it.
#
# ## Cover what it points at
#
# A map makes a claim: *here is what the network went by*. So take it away. Paint grey the eighth of the pixels that a map ranks highest, and ask the network again: the logit of the action should fall, and by more than for other pixels. For comparison, cover places at random (not on the black bars, where there is nothing to lose), and the middle of the frames, where most of what people film is anyway.
#
# We are going to choose a map by this, so we do it on validation clips, and keep the test clips for what we say about the choice.

# %%
val, _ = take("val", most=50)
before = model.predict(val, verbose=0)
size = val.shape[1:4]


def predict_without(clips, evidence):
    maps = saliency.upsample_maps(evidence, size)
    return model.predict(saliency.occlude(clips, maps, share=1 / 8), verbose=0)


def fall(clips, before, evidence):
    after = predict_without(clips, evidence)
    best = before.argmax(axis=1)[:, None]
    return np.take_along_axis(before - after, best, axis=1)[:, 0]


# %%
x = np.linspace(-1, 1, 32)
middle = np.exp(-3.5 * (x**2 + x[:, None] ** 2))[None, None]
rng = np.random.default_rng(0)


def at_random(n_clips):
    places = rng.random((n_clips, 3, 8, 8))
    places[:, :, [0, -1]] = 0  # the bars
    return places


# %% mystnb={"image": {"alt": "Dot plot: by how much the logit falls, a dot for each validation clip and a line at the mean, for places at random, the middle of the frames, and the maps of three stages. Maps without the mean make it fall most."}}
maps = {"places at random": at_random(len(val))}
maps["the middle"] = np.repeat(middle, len(val), axis=0)
maps["stage4, both"] = saliency.attribution_maps(model, val)
for name, choice in tries.items():
    maps[name] = saliency.attribution_maps(model, val, **choice)
maps = {
    name: np.maximum(each, 0) for name, each in maps.items()
}  # as they are drawn
falls = {name: fall(val, before, each) for name, each in maps.items()}
axis = plots.plot_scores(falls, "the logit falls by")

# %%
best = max(tries, key=lambda name: falls[name].mean())
choice = tries[best]
print("We take:", best)

# %% [markdown]
# On the puppets the maps of stages 2 and 3 that keep each place's own gradient do best. The others, plain Grad-CAM and the last volume, do no better than a cloud in the middle that knows nothing of the network.
#
# Now the test clips, once, with the map that was chosen.

# %% tags=["nbval-check-output"]
evidence = saliency.attribution_maps(model, clips, **choice)
positive = np.maximum(evidence, 0)
in_places = at_random(len(clips))
in_middle = np.repeat(middle, len(clips), axis=0)
highest, anywhere, central = (
    fall(clips, logits, each) for each in (positive, in_places, in_middle)
)
print("falls more where the map is high:", highest.mean() > anywhere.mean())


# %% tags=["remove-input"]
def correct(evidence):
    return np.mean(predict_without(clips, evidence).argmax(axis=1) == actual)


scores = {
    "nothing": np.mean(named == actual),
    "places at random": correct(in_places),
    "the middle": correct(in_middle),
    "where the map is highest": correct(positive),
}
rows = [(covered, f"{score:.2f}") for covered, score in scores.items()]
error = np.sqrt(0.25 / len(clips))
Markdown(
    f"Accuracy on {len(clips)} test clips when an eighth of the pixels is covered "
    f"(standard error: at most {error:.2f}):\n\n"
    + records.markdown_table(("covered", "accuracy"), rows)
    + f"\n\nThe logit falls by {highest.mean():.1f} where the map is highest, by {central.mean():.1f} in the middle; "
    f"it falls more for the map on {np.mean(highest > central):.0%} of the clips."
)

# %% [markdown]
# On the puppets the network bears the loss of places at random, but not of those that the map points at. (A network near chance, as after a short run on real clips, has little to lose. Go by the logits then.) Note the row of the middle, though. A cloud that knows nothing of the network, only where people stand, does a good deal of the damage. A map has to beat that, not just chance; the last line says how often it does.
#
# ## Figure or backdrop?
#
# Does the network look at what moves? Count a pixel as moving where it differs clearly from its median over the clip. Take the share of the map that lies on pixels that move at any time, and divide it by the share of the picture that they fill: 1 is no better than everywhere. (The black bars above and below are left out.)
#
# **Predict:** for the map we chose, for the cloud in the middle, and for the map of the last volume.


# %% mystnb={"image": {"alt": "Dot plot of how strongly maps lie on what moves, a dot for each test clip and a line at the mean: the chosen map, the cloud in the middle, and the last volume. The cloud reaches the highest mean."}}
def inside(maps):
    return video.crop_padding(maps[..., None], 3 * run.size // 4, run.size)[
        ..., 0
    ]


motion = inside(saliency.moving_pixels(clips).any(axis=1, keepdims=True))


def times_chance(maps):
    maps = inside(saliency.upsample_maps(np.maximum(maps, 0), size))
    on_motion = (maps * motion).sum(axis=(1, 2, 3)) / maps.sum(axis=(1, 2, 3))
    return on_motion / motion.mean(axis=(1, 2, 3))


scores = {best: times_chance(evidence)}
scores["the middle"] = times_chance(in_middle)
scores["stage4, both"] = times_chance(saliency.attribution_maps(model, clips))
axis = plots.plot_scores(scores, "share on what moves, in multiples of chance")

# %% [markdown]
# On the puppets the chosen map prefers what moves, and the last volume less so. But the cloud in the middle, which has never seen a clip, does best of all. *The map lies on the figure* sounds like proof that the network looks at the figure, and is none: figures stand in the middle, and so does whatever is centred. Had we chosen our
# map by how well it lies on the figure, we would have chosen the cloud.
#
# ## Give it random weights
#
# If a map shows what the network has learnt, it has to change when the network forgets. [Adebayo et al. (2018)](https://arxiv.org/abs/1810.03292) made a test of that: give layers fresh random weights, from the last one to the first, and compare the map before and after. Some well-known methods didn't notice; they had drawn the edges of the picture all along.
#
# We compare the ranks of all places by [Spearman's correlation](../book/glossary.md#rank-correlation): 1 is the same order, 0 no relation. How low is low enough? Let us fix that first: the map passes if, with random weights, it resembles the true one less than **the map of another clip of the same action** does. A map that fails it, on purpose, is the difference of neighbouring frames: it points at what moves, and needs no network at all.
#
# Batch normalisations start anew with their layers, because statistics of weights that are gone mean nothing. And we use other seeds than the training did, for a trained network may still resemble its first weights.

# %%
few = clips[:: max(1, len(clips) // 10)]
target = model.predict(few, verbose=0).argmax(axis=1)
parts = ["logits", "stage4", "stage3", "stage2", "stage1", "stem"]
true = np.maximum(saliency.attribution_maps(model, few, target, **choice), 0)


def after_forgetting(parts, seeds=(1, 2, 3)):
    similarity = []
    for seed in seeds:
        other = saliency.randomize_weights(model, parts, seed)
        forgot = saliency.attribution_maps(other, few, target, **choice)
        similarity.extend(saliency.compare_maps(true, np.maximum(forgot, 0)))
    return np.nan_to_num(similarity)  # a map of nothing resembles nothing


def frame_difference(clips):
    return np.abs(np.diff(clips.astype(int), axis=1)).mean(
        axis=-1
    )  # asks no network


# %% [markdown]
# First by eye, one clip, all weights random. **Predict:** which of the three strips will look the most sensible?

# %% mystnb={"image": {"alt": "Three film strips of one clip: the map of the trained network, that of a network with random weights, whose spots lie elsewhere, and the difference of frames, which lies neatly on what moves."}}
forgetful = saliency.randomize_weights(model, parts, seed=1)
three = {
    "trained": saliency.attribution_maps(model, shown, [first], **choice),
    "random weights": saliency.attribution_maps(
        forgetful, shown, [first], **choice
    ),
    "frame difference": frame_difference(shown),
}
strips = [colour(read(file, 192), each[0]) for each in three.values()]
figure = plots.plot_film_strip(strips, list(three))

# %% [markdown]
# Then by number, a dot for each clip and seed:

# %% mystnb={"image": {"alt": "Dot plot of rank correlations. The map of another clip of the same action resembles the true map somewhat; maps after forgetting lie around nothing; the difference of frames stays at one."}}
one = np.flatnonzero(
    actual[:-1] == actual[1:]
)  # clips come in order of their actions
pairs = saliency.compare_maps(positive[one], positive[one + 1])
similarity = {"another clip, same action": pairs}
similarity["random logits"] = after_forgetting(parts[:1])
for upto in (2, 6):
    label = (
        "all random"
        if upto == len(parts)
        else f"random from {parts[upto - 1]} on"
    )
    similarity[label] = after_forgetting(parts[:upto])
drawn = frame_difference(few)  # the same before and after
similarity["frame difference, all random"] = saliency.compare_maps(drawn, drawn)
axis = plots.plot_scores(similarity, "rank correlation with the true map")

# %% tags=["nbval-check-output"]
print("the map passes:", similarity["all random"].mean() < pairs.mean())
moved = frame_difference(clips)
others = saliency.compare_maps(moved[one], moved[one + 1])
unmoved = similarity["frame difference, all random"]
print("so does the frame difference:", unmoved.mean() < others.mean())


# %% tags=["remove-input"]
told = {
    name: records.mean_and_range(values) for name, values in similarity.items()
}
Markdown(
    f"Rank correlation, mean, least and greatest: with another clip of the same action {told['another clip, same action']}; "
    f"after the logits forgot {told['random logits']}; after all forgot {told['all random']}; "
    f"{len(few)} clips, three seeds."
)

# %% [markdown]
# The prettiest strip is the one that fails: the frame difference doesn't care who looks. Our map does. On average it is gone as soon as the last layer forgets which channels speak for which action.
#
# To pass is not much: it means that the map depends on the weights, not that it explains them. A test can clear a map of one charge only.
#
# ## Ask about another action
#
# A map belongs to a class. Does that of another class look different? Take the class that came second, and the one that came last. On the puppets the second is often the reverse of the first: the same frames in another order. This time we compare all of the evidence, what speaks against an action as well.
#
# **Predict:** will the evidence for *StandUp* lie on the same places as that for *SitDown*? And that for *PutDown* on those for *PickUp*?

# %% mystnb={"image": {"alt": "Dot plot of rank correlations between the evidence for the action named and that for another: for the reverse, a row for each pair of actions, some near one and some near nothing; for the action that came last mostly below nothing."}}
order = logits.argsort(axis=1)
second, last = (
    saliency.compare_maps(
        evidence,
        saliency.attribution_maps(model, clips, order[:, place], **choice),
    )
    for place in (-2, 0)
)
alike = {}
for first, rival, value in zip(named, order[:, -2], second):
    both = {class_names[first], class_names[rival]}
    pair = next((pair for pair in puppets.PAIRS if both == set(pair)), None)
    alike.setdefault(
        " and ".join(pair) if pair else "second, no reverse", []
    ).append(value)
alike = dict(sorted(alike.items())) | {"first and last": last}
axis = plots.plot_scores(alike, "rank correlation of the evidence for the two")

# %% [markdown]
# It depends on the pair. In our run, what speaks for *PickUp* and for *PutDown* lies on nearly the same places: where something happens, something is decided. For *SitDown* and *StandUp* the two have little to do with each other. (A pair without a row never came first and second.) For the action that came last the order leans the other way: what speaks for the first often speaks against it.
#
# ## Ask for the moment
#
# The map has a time axis. May we read it? Make clips whose moment is known: play the action twice as fast in the first half and hold its last frame, or hold its first frame and play it in the second half.
#
# **Predict:** how much of the evidence will lie in the second half?

# %%
half = run.n_frames // 2
quick = np.linspace(0, run.n_frames - 1, half).round().astype(int)
hold = np.zeros(run.n_frames - half, int)
played = {"first": [*quick, *(hold + quick[-1])], "second": [*hold, *quick]}


def in_second_half(maps):
    return maps[:, half:].sum(axis=(1, 2, 3)) / maps.sum(axis=(1, 2, 3))


rows = []
for half_played, frames in played.items():
    halves = clips[:, frames]
    # The first frame twice, so that it, too, has a difference.
    from_start = halves[:, [0, *range(run.n_frames)]]
    found = saliency.grad_cam(model, halves, named, **choice)
    shares = (
        in_second_half(each).mean()
        for each in (frame_difference(from_start), found)
    )
    rows.append((f"{half_played} half", *(f"{share:.2f}" for share in shares)))

# %% tags=["remove-input"]
Markdown(
    "Share that lies in the second half:\n\n"
    + records.markdown_table(("played in the", "what moves", "evidence"), rows)
)

# %% [markdown]
# What moves goes from one half to the other; the evidence hardly follows, if at all. A held pose may be evidence, too, and after a few layers each place has looked at several frames around its own. So don't read moments off these maps. The pictures above invite you to, and that is a reason to test.
#
# ## Look at the first layer
#
# Maps ask what a whole network makes of a clip. The first layer can be looked at directly, because its weights have the axes of a frame: each spatial filter of the (2+1)D stem is a small picture in red, green and blue, and each temporal one a curve over three frames. (There is a curve for each pair of channels, so we show the first six of the outputs, with the strongest curve in bold.)
#
# **Predict:** edges, blobs of colour, differences in time? You have perhaps seen such pictures of large networks. What will training have made of ours?

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
# If you find edges, look at the upper row: they were there before the first clip was seen. A curve of three weights is made of three parts: their mean, which smooths; the last less the first, which tells a change; and the middle against its neighbours, which tells a flicker. How much of each is there, before and after?

# %% tags=["remove-input"]
parts_of = np.array([[1, 1, 1], [-1, 0, 1], [1, -2, 1]]) / np.sqrt(
    [[3], [2], [6]]
)
shares = {
    name: ((parts_of @ curves.reshape(3, -1)) ** 2).sum(axis=1)
    / (curves**2).sum()
    for name, curves in temporal.items()
}
kept = [
    np.corrcoef(*(np.ravel(each) for each in filters.values()))[0, 1]
    for filters in (spatial, temporal)
]
rows = [
    (when, *(f"{share:.2f}" for share in of_each))
    for when, of_each in shares.items()
]
Markdown(
    records.markdown_table(
        ("temporal filters", "mean", "change", "flicker"), rows
    )
    + "\n\n(Shares of the squared weights; random ones have about a third of each.)"
    + f"\n\nCorrelation of the weights before and after training: {kept[0]:.3f} of the spatial ones, {kept[1]:.3f} of the temporal ones."
)

# %% [markdown]
# In a short run the first layer has learnt next to nothing. The network does well all the same: random filters already tell things apart, colours here, changes there, and the layers above learn what to make of them. Below is one clip, and what two of the stem's channels make of it: the one that changes most in time, and the one that changes least. (At both ends a filter over three frames meets nothing where a frame should be, so the first and the last picture look different; so do the borders.)

# %% mystnb={"image": {"alt": "Three film strips: a clip; a channel in grey that shows little but what moves; a channel in grey that shows the room as well."}}
stem = keras.Model(model.input, model.get_layer("stem_relu").output)
response = keras.ops.convert_to_numpy(stem(shown))[0]
side = run.size // 2  # the stem halves it
response = video.crop_padding(response, 3 * side // 4, side)
inner = response[1:-1]  # before the first frame and after the last lies nothing
restless = inner.std(axis=0).mean(axis=(0, 1)) / inner.mean(axis=(0, 1, 2))
channels = {
    "changes most": restless.argmax(),
    "changes least": restless.argmin(),
}
strips = [video.crop_padding(shown[0], 3 * run.size // 4, run.size)]
for channel in channels.values():
    grey = response[..., channel] / np.quantile(inner[..., channel], 0.99)
    grey = (255 * np.clip(grey, 0, 1)).astype(np.uint8)
    strips.append(einops.repeat(grey, "t h w -> t (h 2) (w 2) c", c=3))
figure = plots.plot_film_strip(strips, ["the clip", *channels])

# %% [markdown]
# So be careful with pictures of filters, in papers too: ask for those of the untrained network beside them.
#
# ## What a map can't tell
#
# - **Why.** It says where evidence came from, not what it was. A figure's arm and the wall beside it may carry the same information.
# - **When**, as you have seen.
# - **How sharply.** A place of an earlier layer, too, has looked at its surroundings, and a spot is drawn no finer than the places lie.
# - **What would happen without it.** For that, cover and ask again.
#
# ## Check yourself
#
# 1. Why do the places of the last volume add up to the logit, and those of the second stage needn't?
# 2. A colleague shows a map that lies neatly on the athlete in every clip. Which two pictures do you ask for?
# 3. You cover what a map points at, and the accuracy falls from 0.9 to 0.4. Is the map good?
# 4. Why are the random weights not drawn from the seed that the network was trained from?
#
# <details><summary>Answers</summary>
#
# 1. After the last volume come only a mean and a dense layer, both sums. After the second stage come ReLUs, which are not.
# 2. The map of the same network with random weights, and the map of something that knows no network, such as a cloud in the middle or the difference of frames.
# 3. That depends on what covering other places does: places at random, the middle, where the map is lowest.
# 4. A short training moves weights little. The first weights resemble the trained ones, and so may their maps.
#
# </details>
#
# ## On your own
#
# - Paint what is covered not grey but with the clip's median picture, as if nothing had moved there. Which map does best now? (What covers is a choice, and the verdict depends on it.)
# - Choose the map by how well it lies on what moves. Which one wins, and how does it do when you cover what it points at?
# - Look at the first layer of a network that was trained for longer, with `training.train(run, epochs=40)`. Do its filters leave their beginnings?
#
# Next: [Try your own video](own_video.ipynb).
