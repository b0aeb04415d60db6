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
# # Try your own video
#
# **What you'll do:** hand a trained network a video of your own, from a file or a camera, see what it takes it for from second to second, and carry the network off to a program that knows nothing of this book.
#
# **What you'll learn**
#
# - to give a network videos of any length and frame rate in the form that it was trained on;
# - to follow its guesses over time, in a picture and in a copy of the video;
# - to know what its probabilities can't tell you;
# - to export it, and to make sure that what comes out elsewhere is the same.
#
# **What you'll need:** a trained network. If you have run the chapter [Train](train.ipynb), this one takes yours; if not, it trains one first: on two CPU cores a short run takes a minute or two, a full run on a GPU an hour or more. Outside Colab the default network knows drawn puppets only. To try it on people, set `BOOK_DATASET=ucf101` before you start: a short run knows three actions, and those badly; a full one knows ten.

# %% tags=["hide-input"]
# Where the book's helpers are missing, as in Colab, fetch them and what they need.
try:
    import helpers.archive
except ModuleNotFoundError:
    # %pip install --quiet git+https://github.com/video-classification-book/video-classification-book
    import helpers.archive

# %%
import contextlib
import pathlib
import tempfile
import warnings

import numpy as np
import tensorflow as tf
from IPython.display import Markdown

from helpers import (
    archive,
    plots,
    predict,
    puppets,
    records,
    settings,
    training,
    video,
)
from helpers.playback import write_video
from helpers.recipes import Recipe

tf.get_logger().setLevel(
    "ERROR"
)  # no notes on what it compiles, and where it writes

# %% [markdown]
# ## Get a network and a video
#
# `training.train` loads the network of an earlier run with the same settings, or else trains it. A model file knows neither what its classes are called nor how far apart its frames have to be. The record of its run does, and `predict.load` takes
# both from there.

# %%
run = settings.current()
training.train(run)
run_folder = records.run_folder(run, Recipe())
classifier = predict.load(run_folder)

# %% mystnb={"image": {"alt": "A film strip of a video that was put together: one action after the other, some of them by other figures in other rooms."}}
if run.dataset == "puppets":
    names = [
        "SitDown",
        "StandUp",
        "RaiseArms",
        "LowerArms",
        "WalkLeft",
        "WalkRight",
    ]
    clips = [puppets.draw_clip(name, group=99, clip=1) for name in names]
else:  # a test clip of each class
    test = sorted(archive.fetch_clips(run)["test"].iterdir())
    names = [folder.name for folder in test if folder.is_dir()]
    files = [
        next(folder.glob("[!.]*.avi")) for folder in test if folder.is_dir()
    ]
    clips = [
        video.read_frames(file, np.arange, (240, 320))[0] for file in files
    ]
frames = np.concatenate(clips)
figure = plots.plot_film_strip([frames], columns=12)

# %% [markdown]
# That is our video, until you put in one of yours: clips that the network wasn't trained on, one after the other. (Puppets of group 99 have never been seen: training has groups up to 25.) We write it as an MP4 file, like one that a phone makes, into a folder that is removed at the end.

# %%
temporary = tempfile.TemporaryDirectory()
folder = pathlib.Path(temporary.name)
path = folder / "drawn.mp4"
write_video(path, frames, fps=25)

# %% [markdown]
# ## Follow it over time
#
# The network takes a fixed number of frames, at a fixed distance. That is a [window](../book/glossary.md#window) onto the video. `predict_video` slides it along: each window begins half of its frames after the one before, and the last one ends with the video.

# %% tags=["nbval-check-output"]
span = (classifier.n_frames - 1) * classifier.apart
print(
    f"{classifier.n_frames} frames, one every {classifier.apart} s: windows of {span:.1f} s"
)

# %% [markdown]
# **Predict:** where one action ends and the next begins, a window sees a bit of both. What will the network say there?

# %% mystnb={"image": {"alt": "A row for each class over the seconds of the video, darker where the class is likelier. Outlines mark which action is really shown when."}}
prediction = predict.predict_video(classifier, path)
ends = np.cumsum([len(clip) / 25 for clip in clips])
actions = list(zip([0, *ends], ends, names))
axis = plots.plot_over_time(prediction, actions)

# %% [markdown]
# Dark is likely; the outlines show what really happens. Where a window lies within one action, the network may be sure of it, or waver, on the puppets mostly between an action and its reverse. Where it lies across a border, it sees something that no training clip has shown: it may name one of the two, waver, or name actions that are not there at all. So the picture is no finer than about half
# a window: what it says of one second was seen in the seconds around it.
#
# In words, the same is a list of spans over which one class stays the likeliest, with its mean probability. Each window counts for the time around its middle, so the borders are those between windows:

# %%
for begin, end, name, probability in prediction.spans():
    print(f"{begin:5.1f} to {end:5.1f} s  {probability:.2f}  {name}")

# %% [markdown]
# The mean over all windows says what the *whole* video shows. That makes sense for a video of one action, and little for ours:

# %%
for name, probability in prediction.top(3):
    print(f"{probability:.2f}  {name}")

# %% [markdown]
# A softmax gives each window probabilities that add up to 1. The windows' number and times don't depend on the network's weights, so they can be checked:

# %% tags=["nbval-check-output"]
print(len(prediction.seconds), "windows; the first and the last:")
print(prediction.seconds[[0, -1]].round(2).tolist())
print(
    "add up to 1:",
    np.allclose(prediction.probabilities.sum(axis=1), 1, atol=1e-5),
)

# %% [markdown]
# ## Keep time, not frames
#
# The puppets have 25 frames a second, and so have most clips of UCF101. Phones take 30, 60 or 120, and some vary the rate with the light. Were the network given every fifth *frame* whatever the rate, a video of 60 frames a second would be slow motion to it.
#
# **Predict:** the same video is written with every frame twice, and 50 frames a second. Which frames must a window take, so that the network sees the same?

# %% tags=["nbval-check-output"]
write_video(folder / "double.mp4", frames.repeat(2, axis=0), fps=50)
double = predict.predict_video(classifier, folder / "double.mp4")
print("frames in the file:", prediction.n_frames, "and", double.n_frames)
same = np.allclose(prediction.seconds, double.seconds, atol=0.05)
print("windows at the same seconds:", same)

# %%
once, twice = (
    each.probabilities.argmax(axis=1) for each in (prediction, double)
)
print(f"windows that are named alike: {np.sum(once == twice)} of {len(once)}")

# %% [markdown]
# Every tenth instead of every fifth, on the puppets. So `helpers.playback` goes by the time stamps in the file, and takes the frame nearest to each moment. While a camera pauses, as those that record motion only do, the frame before the pause is shown. Where the stamps can't be right, it goes by the usual distance of the frames and tells you. A video shorter than a window is sampled more densely, from its first
# frame to its last, as in the chapter [Load video](load_video.ipynb), and that is said as well.
#
# A video is decoded once, and frames are let go as soon as the window has passed them, so a film of two hours takes hardly more memory than one of two minutes.
#
# ## Take yours
#
# Now name a file of your own. Any container that OpenCV reads will do (MP4, MOV, AVI, MKV, WebM, GIF, ...), portrait or landscape, with or without sound, trimmed or not; the network gets what a player shows. A video that this OpenCV can't decode, such as one in AV1, is refused with the command that converts it. Film one of the classes, with the whole body in the picture and the camera at rest. Choose the network to match: one trained on the puppets knows drawn figures and nothing else, so for people take one trained on UCF101 (`BOOK_DATASET=ucf101`, the default in Colab). The classes of this one are:

# %%
from helpers import camera  # for Colab, see below

print(", ".join(classifier.class_names))
VIDEO = None  # a path, such as "my_video.mp4"; None stands for the one above

# %% [markdown]
# In Colab the notebook runs on a computer far away, without your files and your camera. There, `VIDEO = camera.upload()` asks for a file, and `VIDEO = camera.record_from_camera()` lets your browser count to three, record for five seconds, and send the video over. It stays on the disk that Colab lent you, and is gone with it.

# %% mystnb={"image": {"alt": "A row for each class over the seconds of your video, or of the one that was put together above; darker where the class is likelier."}}
own = predict.predict_video(classifier, VIDEO or path)
print("\n".join(predict.describe(own, VIDEO or path.name)))
axis = plots.plot_over_time(own)

# %% [markdown]
# What it says goes into a copy of the video, too. (OpenCV writes no sound. The copy shows the three likeliest classes of the window around each moment. It lies in the folder that is removed at the end; to keep yours, name another path.)

# %%
predict.annotate(own, VIDEO or path, folder / "annotated.mp4")
shown, _ = video.read_frames(
    folder / "annotated.mp4", lambda n: np.arange(0, min(n, 320), 5), (180, 240)
)
plots.show_animation(
    shown,
    "The video, with the likeliest classes, bars and probabilities at its foot.",
    fps=5,
    width=480,
)

# %% [markdown]
# ## Know what it can't know
#
# The network knows its classes and nothing else. Softmax spreads a probability of 1 over them, and there is no class for *none of these*. **Predict:** how likely is its first choice if we show it the last clip upside down, half of it there and back, its room with nobody in it (the median of all frames), plain black, and noise?

# %%
clip = clips[-1]
cases = {
    "as it is": clip,
    "upside down": clip[:, ::-1],
    "there and back": np.concatenate(
        [clip[: len(clip) // 2], clip[: len(clip) // 2][::-1]]
    ),
    "nobody there": np.median(clip, axis=0, keepdims=True).astype(np.uint8),
    "black": np.zeros_like(clip),
    "noise": np.random.default_rng(0).integers(0, 256, clip.shape, np.uint8),
}


# %% mystnb={"image": {"alt": "Film strips: a clip as it is; upside down; played there and back; an almost empty room; black; coloured noise."}}
def look(frames):
    sizes = len(frames), classifier.n_frames, run.frame_step
    chosen = video.frame_indices(*sizes, start="center")
    return [
        video.letterbox(frame, classifier.output_size)
        for frame in frames[chosen]
    ]


looks = np.array([look(frames) for frames in cases.values()])
figure = plots.plot_film_strip(looks, list(cases))

# %%
answers = classifier.probabilities(looks)
for case, answer in zip(cases, answers):
    print(
        f"{case:15} {answer.max():.2f}  {classifier.class_names[answer.argmax()]}"
    )

# %% tags=["remove-input"]
chance = 1 / len(classifier.class_names)
named = [classifier.class_names[answer.argmax()] for answer in answers]
strange = answers[1:].max(axis=1)
surest = list(cases)[1 + strange.argmax()]
Markdown(
    f"Guessing would give each class {chance:.2f}. Of the five that show none of its classes as it learnt them, the network is surest about *{surest}*: {strange.max():.2f}. "
    f"An empty room, black and noise are {', '.join(named[3:])}. Upside down may still be a fair guess; for black, there is nothing to guess from."
)

# %% [markdown]
# So a high probability means: *if* it is one of these classes, then rather this one. It doesn't mean that it is one of them. People put a threshold in front, and take no answer below it. That keeps out some of what is strange and some of what is right, and it guarantees nothing: only strange
# videos can tell where it should lie, and the next one may be strange in another way ([Hendrycks and Gimpel 2017](https://arxiv.org/abs/1610.02136) measure how far it gets). Or one adds a class of clips that show something else, which helps with what is like them.
#
# Nor does it know your living room. A network trained on puppets has seen drawn figures before pale walls. One trained on UCF101 has seen people doing a few sports and chores, mostly in clips from the web. What it says about a video unlike those is a guess, however likely it calls it.
#
# ## Ask in a shell
#
# The same works without a notebook:
#
# ```shell
# python -m helpers.predict runs/NAME/RUN my_video.mp4 --annotate copy.mp4
# ```
#
# `--help` lists the options. What it prints ends with a reminder of the section above. From a notebook the same is called so:

# %%
with contextlib.chdir(folder):
    print(
        "exit status",
        predict.main([str(run_folder), "drawn.mp4", "--top", "2"]),
    )

# %% [markdown]
# What is no video is refused in one sentence, in a shell with exit status 1:

# %% tags=["nbval-check-output"]
(folder / "letter.mp4").write_text("Dear reader, this is no video.")
with contextlib.chdir(folder):
    for name in ("missing.mp4", "letter.mp4", "."):
        try:
            predict.predict_video(classifier, name)
        except video.VideoReadError as error:
            print(error)

# %% [markdown]
# ## Carry it elsewhere
#
# A `.keras` file needs Keras and this book's layers. To run the network in a server or a phone, [export](../book/glossary.md#export) it: the computation alone, without the code that built it. Keras writes several formats. Two of them need nothing that isn't installed already:
#
# - **SavedModel**, a folder that TensorFlow loads, in Python, in C++ or in TensorFlow Serving;
# - **LiteRT**, once called TensorFlow Lite, one small file for phones and small computers.
#
# (`format="onnx"` writes a third, for many other programs; it asks for the packages `onnx` and `tf2onnx`. And not every network gets everywhere: the tutorial's makes frames smaller by an operation that plain LiteRT lacks, so it needs LiteRT's larger build, with TensorFlow's own operations.)
#
# A network trained with `--mixed` computes in 16 bits (`bfloat16`), which LiteRT and most readers of ONNX don't know. Its weights have 32 bits all along, so `export.as_float32` makes a copy that computes with 32, and exports anywhere. A network that does so already comes back as it is.

# %%
from helpers import export

network = export.as_float32(classifier.model)
exported = {
    "SavedModel": folder / "network",
    "LiteRT": folder / "network.tflite",
}
network.export(str(exported["SavedModel"]), verbose=False)
network.export(str(exported["LiteRT"]), format="litert", verbose=False)

# %%
for name, place in exported.items():
    files = (
        [place]
        if place.is_file()
        else [file for file in place.rglob("*") if file.is_file()]
    )
    print(
        f"{name:10} {sum(file.stat().st_size for file in files) / 1e6:.1f} MB"
    )

# %% [markdown]
# An export that runs need not be one that is right. So give the network and both exports the same clips, windows of our video, and compare the [logits](../book/glossary.md#logit). Nothing in the next cell but TensorFlow knows what a network is.

# %%
batch = video.clips_from_video_file(path, 8, **run.sampling)
saved = tf.saved_model.load(str(exported["SavedModel"]))
with warnings.catch_warnings():
    warnings.simplefilter(
        "ignore"
    )  # LiteRT is moving into a package of its own
    lite = tf.lite.Interpreter(str(exported["LiteRT"])).get_signature_runner()
logits = {
    "SavedModel": saved.serve(batch).numpy(),
    "LiteRT": np.concatenate(
        [lite(frames=clip[None])["output_0"] for clip in batch]
    ),
}

# %% tags=["nbval-check-output"]
ours = network.predict_on_batch(batch)
for name, theirs in logits.items():
    alike = np.allclose(theirs, ours, atol=1e-3)
    same = np.array_equal(theirs.argmax(axis=1), ours.argmax(axis=1))
    print(f"{name:10} logits equal up to 0.001: {alike}, same classes: {same}")

# %% tags=["remove-input"]
gaps = {name: np.abs(theirs - ours).max() for name, theirs in logits.items()}
Markdown(
    f"On {len(batch)} clips the greatest difference of a logit is "
    + " and ".join(f"{gap:.1g} ({name})" for name, gap in gaps.items())
    + f"; they lie between {ours.min():.1f} and {ours.max():.1f}. LiteRT adds in another order, and rounds differently."
)

# %% [markdown]
# Frames go in as they come, as `uint8`: rescaling is the network's first layer and was exported with it. What is *not* in the export is what the helpers did around the network: choosing frames by time, fitting them into a square with bars, softmax, and the names. Whoever runs it elsewhere has to do the same, in the same way.

# %%
temporary.cleanup()

# %% [markdown]
# ## Check yourself
#
# 1. Your phone films 60 frames a second, the network was trained with every 15th frame at 25 a second. Which frames of yours does it need?
# 2. You film your cat with a network for ten sports. It says *Basketball*, 0.97. What do you know?
# 3. A window lies half in *SitDown* and half in *StandUp*. Why can its answer be neither?
# 4. An exported network gives other classes than the original on some videos, though its logits agreed on the test clips. Where do you look first?
#
# <details><summary>Answers</summary>
#
# 1. Those 0.6 seconds apart: every 36th.
# 2. That of ten sports basketball fits best, in the network's view. Nothing about whether it is one.
# 3. It shows something that no training clip has shown. What the network makes of it was never asked for in training.
# 4. At what is done before it: which frames were chosen, how they were resized, in which order red, green and blue come.
#
# </details>
#
# ## On your own
#
# - Film yourself in one of the classes, and then with the camera on its side, in the dark, and from behind. Which change does the network bear worst?
# - Put a threshold before the answers of *Know what it can't know*. Is there one that keeps the right clip and refuses all others? Does it still, for the windows of the whole video?
# - `predict.predict_video(classifier, path, hop=1)` slides windows by one of their frames instead of by half of them. Does the picture over time become better, or only smoother?
