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
# # Try your own video: sliding-window inference on files and camera recordings, and export to LiteRT or ONNX
#
# **What you'll do:** run a trained network on a video of your own, from a file or a camera, follow the predicted class over time, and export the network for programs that know nothing about this book.
#
# **What you'll learn**
#
# - how to turn a video of any length and frame rate into clips like those that the network was trained on;
# - how to follow the network's predictions over time, in a plot and in an annotated copy of the video;
# - what its probabilities can't tell you;
# - how to export the network, and how to check that it gives the same results elsewhere.
#
# **What you'll need:** a trained network. If you have run the chapter [Train](train.ipynb), this chapter uses your network. If not, it trains one first: on two CPU cores, a short run takes a minute or two; on a GPU, a full run takes an hour or more. Outside Colab, the network is trained on drawn puppets by default, and knows nothing else. To try it on people, set `BOOK_DATASET=ucf101` before you start: a short run learns three actions, and learns them badly; a full run learns ten.

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
# ## Load a trained model and make a test video
#
# `training.train` loads the network of an earlier run with the same settings, or trains it. A model file contains neither the class names nor the time between sampled frames. The record of the run contains both, and `predict.load` takes both from there.

# %%
run = settings.current()
training.train(run)
run_folder = records.run_folder(run, Recipe())
classifier = predict.load(run_folder)

# %% mystnb={"image": {"alt": "A film strip of a video in which several actions follow one another. The figure and the room change on the way."}}
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
# This is our video, until you replace it with one of yours. It consists of clips that the network wasn't trained on, one after the other. (The network has never seen puppets of group 99, because the data set has groups 1 to 25.) We write the video to a temporary folder, as an MP4 file like those from a phone.

# %%
temporary = tempfile.TemporaryDirectory()
folder = pathlib.Path(temporary.name)
path = folder / "drawn.mp4"
write_video(path, frames, fps=25)

# %% [markdown]
# ## Predict over time with a sliding window
#
# The network takes a fixed number of frames at a fixed interval. They form a [window](../book/glossary.md#window) onto the video. `predict_video` slides it along: each window begins half a window after the previous one, so neighbouring windows overlap by half. The last window ends where the video ends.

# %% tags=["nbval-check-output"]
n_frames, interval = classifier.n_frames, classifier.frame_interval
print(f"{n_frames} frames, one every {interval} s")
print(f"length of a window: {(n_frames - 1) * interval:.1f} s")

# %% [markdown]
# **Predict:** where one action ends and the next begins, a window sees a bit of both. Which class will the network predict there?

# %% mystnb={"image": {"alt": "A heatmap of probability over time, with a row for each class; darker is more likely. Outlines mark the actions that are really shown."}}
prediction = predict.predict_video(classifier, path)
ends = np.cumsum([len(clip) / 25 for clip in clips])
actions = list(zip([0, *ends], ends, names))
axis = plots.plot_over_time(prediction, actions)

# %% [markdown]
# Dark means likely; the outlines show what really happens. If a window lies within one action, the network may be confident, or it may waver: on the puppets, mostly between an action and its reverse. If it lies across a boundary, the network sees something that no training clip has shown. It may predict one of the two, waver, or predict actions that don't occur at all. So the plot is no finer than about half
# a window: its values for one second are based on the seconds around it.
#
# As text, this is a list of time spans in which one class stays the most likely, with its mean probability. Each window stands for the time around its middle, so a boundary lies halfway between the middles of two windows:

# %%
for begin, end, name, probability in prediction.spans():
    print(f"{begin:5.1f} to {end:5.1f} s  {probability:.2f}  {name}")

# %% [markdown]
# The mean over all windows describes the *complete* video. That makes sense if the video shows one action. For ours it makes little:

# %%
for name, probability in prediction.top(3):
    print(f"{probability:.2f}  {name}")

# %% [markdown]
# A softmax gives each window probabilities that add up to 1. That is true for any weights, as are the number of windows and their times, so we can check all three:

# %% tags=["nbval-check-output"]
print(len(prediction.seconds), "windows; the first and the last:")
print(prediction.seconds[[0, -1]].round(2).tolist())
sums = prediction.probabilities.sum(axis=1)
print("add up to 1:", np.allclose(sums, 1, atol=1e-5))

# %% [markdown]
# ## Handle videos of any frame rate (fps)
#
# The puppets have 25 frames per second, and so have most clips of UCF101. Phones record 30, 60 or 120, and some lower the frame rate in poor light (*variable frame rate*). If we fed the network every fifth *frame* (the puppets' frame step) regardless of the frame rate, a video with 60 frames per second would look like slow motion to it.
#
# **Predict:** we write the same video with every frame repeated once, at 50 frames per second. Which frames must a window take so that the network sees the same?

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
# It must take every tenth frame instead of every fifth (on the puppets). So `helpers.playback` goes by the time stamps in the file: for each sampling time, it takes the nearest frame. For the time when a motion-triggered camera pauses, it repeats the frame before the pause. If the time stamps are implausible, it falls back on the frame rate in the file's header, and says so. A video shorter than a window is sampled more densely, from its first
# frame to its last, as in the chapter [Load video](load_video.ipynb), and this is reported as well.
#
# A video is decoded once, and frames are released as soon as the window has passed them, so a two-hour film takes hardly more memory than a two-minute one.
#
# ## Classify your own video, from a file or a webcam
#
# Now use a file of your own. Any container format that OpenCV reads works (MP4, MOV, AVI, MKV, WebM, GIF, ...), portrait or landscape, with or without sound, trimmed or not; the network sees what a video player would show. If your version of OpenCV can't decode a video (AV1, for example), the error message contains a command that converts it. Film somebody performing one of the actions, with the whole body in the frame and the camera still. Choose a network to match: one trained on the puppets knows drawn figures and nothing else, so for people use one trained on UCF101 (`BOOK_DATASET=ucf101`, the default in Colab). The classes of this network are:

# %%
from helpers import camera  # for Colab, see below

print(", ".join(classifier.class_names))
VIDEO = None  # a path such as "my_video.mp4"; None: the video above

# %% [markdown]
# In Colab, the notebook runs on a remote computer without access to your files or your camera. There, `VIDEO = camera.upload()` asks for a file, and `VIDEO = camera.record_from_camera()` makes your browser count down from three, record for five seconds, and upload the video. The video stays on the disk of your Colab session, and is deleted with it.

# %% mystnb={"image": {"alt": "A heatmap of probability over time for your video, or for the one above, with a row for each class; darker is more likely."}}
own = predict.predict_video(classifier, VIDEO or path)
print("\n".join(predict.describe(own, VIDEO or path.name)))
axis = plots.plot_over_time(own)

# %% [markdown]
# You can also draw the predictions into a copy of the video. At each time, the copy shows the three most likely classes of the nearest window. (It has no sound, because OpenCV writes none, and it is deleted with the temporary folder; to keep it, choose another path.)

# %%
predict.annotate(own, VIDEO or path, folder / "annotated.mp4")
shown, _ = video.read_frames(
    folder / "annotated.mp4", lambda n: np.arange(0, min(n, 320), 5), (180, 240)
)
description = "The video with its most likely classes and their probabilities."
plots.show_animation(shown, description, fps=5, width=480)

# %% [markdown]
# ## Test the network on out-of-distribution inputs
#
# The network knows its classes and nothing else. Softmax spreads a probability of 1 over them, and there is no class *none of these*. **Predict:** what is its confidence if we show it the last clip upside down; the first half of that clip, forwards and then backwards; the empty room (the median of the clip's frames); black frames; and noise?

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
# So a high probability means: *if* it is one of these classes, it is probably this one. It doesn't mean that it is one of them. A common remedy is a threshold: reject every prediction below it. That rejects some of the unknown inputs and some of the known ones, and guarantees nothing. To set it, you need videos of other things, and the next video may show something else again ([Hendrycks and Gimpel 2017](https://arxiv.org/abs/1610.02136) measure how well this works). Another remedy is an extra class, often called *background* or *other*, with clips that show something else. It helps only with inputs that resemble these clips.
#
# Nor does the network know your living room. A network trained on puppets has seen drawn figures in front of pale walls. One trained on UCF101 has seen people doing a few sports and chores, mostly in clips from the web. Its prediction for any other video is a guess, however high the probability.
#
# ## Predict from the command line
#
# You can do the same without a notebook:
#
# ```shell
# python -m helpers.predict runs/NAME/RUN my_video.mp4 --annotate copy.mp4
# ```
#
# `--help` lists the options. The output ends with a reminder that probabilities only compare the classes. From a notebook, call `predict.main`:

# %%
with contextlib.chdir(folder):
    status = predict.main([str(run_folder), "drawn.mp4", "--top", "2"])
print("exit status", status)

# %% [markdown]
# A missing file, a folder, or a file that is not a video gets a one-sentence error message; on the command line, the exit status is 1:

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
# - **LiteRT**, formerly TensorFlow Lite, a single small file for phones and embedded devices.
# - **ONNX**, a file that many other programs read; it needs the packages `onnx` and `tf2onnx`, and `format="onnx"`.
#
# Not every network runs everywhere: the tutorial's network resizes frames with an operation that isn't built into LiteRT, so it needs the larger build of LiteRT that includes TensorFlow's operations (*Select TF ops*).
#
# A network trained in mixed precision (`--mixed`) computes in 16 bits (`bfloat16`), which LiteRT and most ONNX runtimes don't support. But its weights are stored in 32 bits, so `export.as_float32` makes a copy that computes in 32 bits and exports anywhere. A network that already does so is returned unchanged.

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
# An export that runs need not be correct. So we run the network and both exports on the same clips, cut from our video, and compare the [logits](../book/glossary.md#logit). Apart from reading the clips, the next cell uses none of this book's code: TensorFlow alone runs the exported networks.

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
# 1. Your phone films at 60 frames per second, and the network was trained on every 15th frame at 25 frames per second. Which frames of your video does it need?
# 2. You film your cat with a network for ten sports. It predicts *Basketball*, 0.97. What do you know?
# 3. A window lies half in *SitDown* and half in *StandUp*. Why can its prediction be neither?
# 4. On some videos, an exported network predicts different classes from the original, although their logits agreed on the test clips. Where do you look first?
#
# <details><summary>Answers</summary>
#
# 1. Frames $15 / 25 = 0.6$ seconds apart; at 60 frames per second, that is every 36th frame.
# 2. You know that, of its ten sports, the network finds basketball the most likely. You know nothing about whether it is basketball.
# 3. It shows something that no training clip has shown. Training never determined what the network predicts for it.
# 4. At the preprocessing: which frames are sampled, how they are resized, and the order of red, green and blue.
#
# </details>
#
# ## On your own
#
# - Film yourself doing one of the actions, and then again with the camera on its side, in the dark, and from behind. Which change harms the predictions most?
# - Apply a threshold to the probabilities in *Test the network on out-of-distribution inputs*. Is there one that accepts the original clip and rejects all others? Does it still work for the windows of the complete video?
# - `predict.predict_video(classifier, path, hop=1)` moves the window by one frame at a time instead of by half a window. Does the plot over time become better, or only smoother?
