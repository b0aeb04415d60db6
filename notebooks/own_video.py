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
# # Try your own video: predict over time, from a file or a camera, and export the network
#
# **What you'll do:** give a trained network a video of your own, from a file or a camera, see its predicted class over time, and export the network to a program that knows nothing about this book.
#
# **What you'll learn**
#
# - how to prepare videos of any length and frame rate in the form that the network was trained on;
# - how to follow its predictions over time, in a plot and in an annotated copy of the video;
# - what its probabilities can't tell you;
# - how to export the network, and how to check that it gives the same results elsewhere.
#
# **What you'll need:** a trained network. If you have run the chapter [Train](train.ipynb), this chapter uses your network. If not, it trains one first: on two CPU cores, a short run takes a minute or two; on a GPU, a full run takes an hour or more. Outside Colab, the default network knows only drawn puppets. To try it on people, set `BOOK_DATASET=ucf101` before you start: a short run learns three actions, and those badly; a full run learns ten.

# %% tags=["hide-input"]
# Install the book's helpers and their dependencies if they are missing, as they are in Colab.
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

from helpers import archive, plots, predict, puppets, records, settings
from helpers import training, video
from helpers.clips import list_clips
from helpers.playback import write_video
from helpers.recipes import Recipe

tf.get_logger().setLevel("ERROR")  # no messages about compilation

# %% [markdown]
# ## Load a network and make a video
#
# `training.train` loads the network of an earlier run with the same settings, or trains it. A model file contains neither the names of its classes nor the time between its frames. The record of its run does, and `predict.load` takes both from there.

# %%
run = settings.current()
training.train(run)
run_folder = records.run_folder(run, Recipe())
classifier = predict.load(run_folder)

# %% mystnb={"image": {"alt": "A film strip of a video that shows one action after the other, some of them by different figures in different rooms."}}
if run.dataset == "puppets":
    names = ["SitDown", "StandUp", "RaiseArms", "LowerArms"]
    names += ["WalkLeft", "WalkRight"]
    clips = [puppets.draw_clip(name, group=99, clip=1) for name in names]
else:  # a test clip of each class
    files, labels, names = list_clips(archive.fetch_clips(run)["test"])
    firsts = [files[labels.index(label)] for label in range(len(names))]
    size = (240, 320)
    clips = [video.read_frames(file, np.arange, size)[0] for file in firsts]
frames = np.concatenate(clips)
figure = plots.plot_film_strip([frames], columns=12)

# %% [markdown]
# This is our video, until you replace it with one of yours. It consists of clips that the network wasn't trained on, one after the other. (The network has never seen puppets of group 99: training uses groups up to 25.) We write it as an MP4 file, like those from a phone, into a temporary folder.

# %%
temporary = tempfile.TemporaryDirectory()
folder = pathlib.Path(temporary.name)
path = folder / "drawn.mp4"
write_video(path, frames, fps=25)

# %% [markdown]
# ## Predict over time with a sliding window
#
# The network takes a fixed number of frames at a fixed interval. They form a [window](../book/glossary.md#window) onto the video. `predict_video` slides it along: each window begins half of its frames after the previous one, and the last window ends with the video.

# %% tags=["nbval-check-output"]
n_frames, interval = classifier.n_frames, classifier.frame_interval
print(f"{n_frames} frames, one every {interval} s")
print(f"length of a window: {(n_frames - 1) * interval:.1f} s")

# %% [markdown]
# **Predict:** where one action ends and the next begins, a window sees a bit of both. Which class will the network predict there?

# %% mystnb={"image": {"alt": "A plot over the seconds of the video with a row for each class, darker where the class is more likely. Outlines mark which action is really shown when."}}
prediction = predict.predict_video(classifier, path)
ends = np.cumsum([len(clip) / 25 for clip in clips])
actions = list(zip([0, *ends], ends, names))
axis = plots.plot_over_time(prediction, actions)

# %% [markdown]
# Dark means likely; the outlines show what really happens. If a window lies within one action, the network may be confident, or it may waver, on the puppets mostly between an action and its reverse. If it lies across a boundary, the network sees something that no training clip has shown. It may predict one of the two, waver, or predict actions that don't occur at all. So the plot is no finer than about half
# a window: its values for one second are based on the seconds around it.
#
# In text form, this is a list of time spans over which one class stays the most likely, with its mean probability. Each window counts for the time around its middle, so the boundaries lie between windows:

# %%
for begin, end, name, probability in prediction.spans():
    print(f"{begin:5.1f} to {end:5.1f} s  {probability:.2f}  {name}")

# %% [markdown]
# The mean over all windows describes the *complete* video. That makes sense for a video of one action, and little sense for ours:

# %%
for name, probability in prediction.top(3):
    print(f"{probability:.2f}  {name}")

# %% [markdown]
# A softmax gives each window probabilities that add up to 1. The number of windows and their times don't depend on the network's weights, so we can check them:

# %% tags=["nbval-check-output"]
print(len(prediction.seconds), "windows; the first and the last:")
print(prediction.seconds[[0, -1]].round(2).tolist())
sums = prediction.probabilities.sum(axis=1)
print("add up to 1:", np.allclose(sums, 1, atol=1e-5))

# %% [markdown]
# ## Handle any frame rate
#
# The puppets have 25 frames per second, and so have most clips of UCF101. Phones record 30, 60 or 120, and some vary the frame rate with the light. If the network took every fifth *frame* whatever the rate, a video with 60 frames per second would look like slow motion to it.
#
# **Predict:** we write the same video with every frame doubled, at 50 frames per second. Which frames must a window take so that the network sees the same?

# %% tags=["nbval-check-output"]
write_video(folder / "double.mp4", frames.repeat(2, axis=0), fps=50)
double = predict.predict_video(classifier, folder / "double.mp4")
print("frames in the file:", prediction.n_frames, "and", double.n_frames)
same = np.allclose(prediction.seconds, double.seconds, atol=0.05)
print("windows at the same times:", same)

# %%
classes = [each.probabilities.argmax(axis=1) for each in (prediction, double)]
same = np.equal(*classes)
print(f"windows with the same prediction: {same.sum()} of {len(same)}")

# %% [markdown]
# On the puppets, every tenth frame instead of every fifth. Therefore `helpers.playback` uses the time stamps in the file and takes the frame nearest to each moment. If a camera pauses, as motion-triggered cameras do, it uses the frame before the pause. If the time stamps can't be right, it assumes the nominal frame rate and reports that. A video shorter than a window is sampled more densely, from its first
# frame to its last, as in the chapter [Load video](load_video.ipynb), and this is reported as well.
#
# A video is decoded once, and frames are released as soon as the window has passed them. So a film of two hours takes hardly more memory than one of two minutes.
#
# ## Predict your own video
#
# Now use a file of your own. Any container format that OpenCV reads works (MP4, MOV, AVI, MKV, WebM, GIF, ...), portrait or landscape, with or without sound, trimmed or not; the network gets what a player shows. If this OpenCV can't decode a video, for example one in AV1, the error message contains the command that converts it. Film one of the classes, with the complete body in the frame and the camera at rest. Choose a network to match: one trained on the puppets knows drawn figures and nothing else, so for people use one trained on UCF101 (`BOOK_DATASET=ucf101`, the default in Colab). The classes of this network are:

# %%
from helpers import camera  # for Colab, see below

print(", ".join(classifier.class_names))
VIDEO = None  # a path such as "my_video.mp4"; None: the video above

# %% [markdown]
# In Colab, the notebook runs on a remote computer without access to your files and your camera. There, `VIDEO = camera.upload()` asks for a file, and `VIDEO = camera.record_from_camera()` makes your browser count down from three, record for five seconds, and upload the video. The video stays on the disk of your Colab session, and is deleted with it.

# %% mystnb={"image": {"alt": "A plot over the seconds of your video, or of the one above, with a row for each class, darker where the class is more likely."}}
own = predict.predict_video(classifier, VIDEO or path)
print("\n".join(predict.describe(own, VIDEO or path.name)))
axis = plots.plot_over_time(own)

# %% [markdown]
# The predictions can also be drawn into a copy of the video. (OpenCV writes no sound. The copy shows the three most likely classes of the window around each moment. It lies in the temporary folder; to keep yours, choose another path.)

# %%
predict.annotate(own, VIDEO or path, folder / "annotated.mp4")
shown, _ = video.read_frames(
    folder / "annotated.mp4", lambda n: np.arange(0, min(n, 320), 5), (180, 240)
)
description = "The video with its most likely classes and their probabilities."
plots.show_animation(shown, description, fps=5, width=480)

# %% [markdown]
# ## Test it on unknown input (out of distribution)
#
# The network knows its classes and nothing else. Softmax spreads a probability of 1 over them, and there is no class *none of these*. **Predict:** how likely is its first choice if we show it the last clip upside down; its first half forwards and backwards; its room without anybody in it (the median of all frames); plain black; and noise?

# %%
clip = clips[-1]
half = clip[: len(clip) // 2]
cases = {
    "original": clip,
    "upside down": clip[:, ::-1],
    "forwards and back": np.concatenate([half, half[::-1]]),
    "empty room": np.median(clip, axis=0, keepdims=True).astype(np.uint8),
    "black": np.zeros_like(clip),
    "noise": np.random.default_rng(0).integers(0, 256, clip.shape, np.uint8),
}


# %% mystnb={"image": {"alt": "Film strips: the original clip; upside down; its first half forwards and backwards; an almost empty room; black; coloured noise."}}
def sample(frames):
    sizes = len(frames), classifier.n_frames, run.frame_step
    indices = video.frame_indices(*sizes, start="center")
    size = classifier.output_size
    return [video.letterbox(frame, size) for frame in frames[indices]]


samples = np.array([sample(frames) for frames in cases.values()])
figure = plots.plot_film_strip(samples, list(cases))

# %%
probabilities = classifier.probabilities(samples)
predicted = [classifier.class_names[i] for i in probabilities.argmax(axis=1)]
for case, row, name in zip(cases, probabilities, predicted):
    print(f"{case:17} {row.max():.2f}  {name}")

# %% tags=["remove-input"]
chance = 1 / len(classifier.class_names)
confidence = probabilities[1:].max(axis=1)
highest = list(cases)[1 + confidence.argmax()]
Markdown(
    f"Guessing would give each class {chance:.2f}. Five of the clips don't "
    "show any class in the form that the network has learned. Of these it is "
    f"most confident about *{highest}*: {confidence.max():.2f}. It classifies "
    f"the empty room, black and noise as {', '.join(predicted[3:])}. For "
    "*upside down* that may still be an informed guess; for black, there is "
    "nothing to base a guess on."
)

# %% [markdown]
# So a high probability means: *if* it is one of these classes, it is probably this one. It doesn't mean that it is one of them. A common remedy is a threshold: reject every prediction below it. That rejects some of the unknown input and some of the known, and guarantees nothing. Only unknown
# videos can show where to set it, and the next one may be unknown in another way ([Hendrycks and Gimpel 2017](https://arxiv.org/abs/1610.02136) measure how far this gets). Another remedy is an extra class of clips that show something else, which helps with input that resembles them.
#
# Nor does the network know your living room. A network trained on puppets has seen drawn figures in front of pale walls. One trained on UCF101 has seen people doing a few sports and chores, mostly in clips from the web. Its prediction for any other video is a guess, however high the probability.
#
# ## Predict from the command line
#
# The same works without a notebook:
#
# ```shell
# python -m helpers.predict runs/NAME/RUN my_video.mp4 --annotate copy.mp4
# ```
#
# `--help` lists the options. The output ends with a reminder of the section above. In a notebook, you can call it like this:

# %%
with contextlib.chdir(folder):
    status = predict.main([str(run_folder), "drawn.mp4", "--top", "2"])
print("exit status", status)

# %% [markdown]
# A file that is not a video is rejected in one sentence; on the command line, the exit status is 1:

# %% tags=["nbval-check-output"]
(folder / "letter.mp4").write_text("Dear reader, this is no video.")
with contextlib.chdir(folder):
    for name in ("missing.mp4", "letter.mp4", "."):
        try:
            predict.predict_video(classifier, name)
        except video.VideoReadError as error:
            print(error)

# %% [markdown]
# ## Export the network to SavedModel, LiteRT or ONNX
#
# A `.keras` file needs Keras and this book's layers. To run the network on a server or a phone, [export](../book/glossary.md#export) it: the computation alone, without the code that built it. Keras writes several formats. Two of them need nothing that isn't already installed:
#
# - **SavedModel**, a folder that TensorFlow loads, in Python, in C++ or in TensorFlow Serving;
# - **LiteRT**, formerly TensorFlow Lite, one small file for phones and small computers.
#
# (`format="onnx"` writes a third, for many other programs; it needs the packages `onnx` and `tf2onnx`. Not every network runs everywhere: the tutorial's network resizes frames with an operation that plain LiteRT lacks, so it needs LiteRT's larger build, with TensorFlow's own operations.)
#
# A network trained with `--mixed` computes in 16 bits (`bfloat16`), which LiteRT and most readers of ONNX don't support. Its weights have 32 bits all the same, so `export.as_float32` makes a copy that computes in 32 bits and exports anywhere. A network that already does so is returned unchanged.

# %%
from helpers import export

network = export.as_float32(classifier.model)
saved_model, litert = folder / "network", folder / "network.tflite"
network.export(str(saved_model), verbose=False)
network.export(str(litert), format="litert", verbose=False)

# %%
files = [file for file in saved_model.rglob("*") if file.is_file()]
for name, parts in {"SavedModel": files, "LiteRT": [litert]}.items():
    size = sum(file.stat().st_size for file in parts)
    print(f"{name:10} {size / 1e6:.1f} MB")

# %% [markdown]
# An export that runs need not be correct. So give the network and both exports the same clips, windows of our video, and compare the [logits](../book/glossary.md#logit). The next cell uses only TensorFlow, none of this book's code, to run the exported networks.

# %%
batch = video.clips_from_video_file(path, 8, **run.sampling)
saved = tf.saved_model.load(str(saved_model))
with warnings.catch_warnings():
    # LiteRT is moving into a package of its own.
    warnings.simplefilter("ignore")
    lite = tf.lite.Interpreter(str(litert)).get_signature_runner()
by_clip = [lite(frames=clip[None])["output_0"] for clip in batch]
logits = {
    "SavedModel": saved.serve(batch).numpy(),
    "LiteRT": np.concatenate(by_clip),
}

# %% tags=["nbval-check-output"]
ours = network.predict_on_batch(batch)
for name, theirs in logits.items():
    close = np.allclose(theirs, ours, atol=1e-3)
    same = np.array_equal(theirs.argmax(axis=1), ours.argmax(axis=1))
    print(f"{name:10} logits equal up to 0.001: {close}, same classes: {same}")

# %% tags=["remove-input"]
differences = " and ".join(
    f"{np.abs(theirs - ours).max():.1g} ({name})"
    for name, theirs in logits.items()
)
Markdown(
    f"On {len(batch)} clips, the largest difference of a logit is "
    f"{differences}; the logits lie between {ours.min():.1f} and "
    f"{ours.max():.1f}. LiteRT adds in another order and rounds differently."
)

# %% [markdown]
# The frames go in as `uint8`: rescaling is the network's first layer and was exported with it. What the helpers did around the network is *not* in the export: choosing frames by time, fitting them into a square with bars, softmax, and the class names. If you run the export elsewhere, you have to do the same there.

# %%
temporary.cleanup()

# %% [markdown]
# ## Check yourself
#
# 1. Your phone films 60 frames per second, and the network was trained with every 15th frame at 25 per second. Which frames of your video does it need?
# 2. You film your cat with a network for ten sports. It predicts *Basketball*, 0.97. What do you know?
# 3. A window lies half in *SitDown* and half in *StandUp*. Why can its prediction be neither?
# 4. An exported network predicts other classes than the original on some videos, although its logits agreed on the test clips. Where do you look first?
#
# <details><summary>Answers</summary>
#
# 1. Those 0.6 seconds apart: every 36th.
# 2. That of ten sports, basketball fits best in the network's view. Nothing about whether it is basketball.
# 3. It shows something that no training clip has shown. Training never determined what the network predicts for it.
# 4. At the steps before it: which frames are chosen, how they are resized, and the order of red, green and blue.
#
# </details>
#
# ## On your own
#
# - Film yourself in one of the classes, and then with the camera on its side, in the dark, and from behind. Which change harms the predictions most?
# - Apply a threshold to the probabilities in *Test it on unknown input*. Does one exist that keeps the right clip and rejects all others? Does it still work for the windows of the complete video?
# - `predict.predict_video(classifier, path, hop=1)` slides windows by one of their frames instead of by half of them. Does the plot over time become better, or only smoother?
