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
# # Train on your own clips: from a folder of videos to a tested network
#
# **What you'll do:** take a folder of videos of all kinds, look at what is in it, split it by person, train a network on it, and find out how much its accuracy is worth.
#
# **What you'll learn**
#
# - how to arrange your videos, and how to choose the groups that keep the test honest;
# - what to look at before you train, because most failures show there;
# - how to sample frames by time from videos of different frame rates;
# - how to read an accuracy on a few clips and on classes of unequal size;
# - how many clips you need, and how to film them.
#
# **What you'll need:** the chapters [Evaluate](evaluate.ipynb) and [Don't trust a leaky split](leaky_split.ipynb). The chapter makes its own folder of videos, and trains for about a minute on two CPU cores. At the end, you do the same with your own.

# %% tags=["hide-input"]
# Install the book's helpers and their dependencies if they are missing, as they are in Colab.
try:
    import helpers.archive
except ModuleNotFoundError:
    # %pip install --quiet git+https://github.com/video-classification-book/video-classification-book
    import helpers.archive

# %%
import pathlib
import shutil

import cv2
import numpy as np
from IPython.display import Markdown

from helpers import clips, evaluation, inspection, own_clips, plots, predict
from helpers import puppets, records, settings, splits, training, video
from helpers.batches import ClipBatches
from helpers.recipes import Recipe

# %% [markdown]
# ## Arrange the videos: one folder per class, one per group
#
# Cameras differ. They write `.mp4`, `.mov` or `.webm`, record at 25, 30 or 60 frames per second, and film upright or sideways. To get such a folder without a phone, we draw ten people doing three actions, each of them filmed with a camera of their own:


# %%
def film(path, frames, fps, code):
    """Write frames as a video, as a camera would."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = frames.shape[1:3]
    codec = cv2.VideoWriter_fourcc(*code)
    # (For .webm, OpenCV reports that it replaces the tag of the codec.)
    writer = cv2.VideoWriter(
        str(path), cv2.CAP_FFMPEG, codec, fps, (width, height)
    )
    for frame in frames:
        writer.write(frame[..., ::-1])  # OpenCV expects BGR
    writer.release()


CAMERAS = (".mp4", 25, "mp4v"), (".mov", 30, "mp4v"), (".webm", 30, "VP80")
PEOPLE = "anna ben chloe dan eve finn gina hugo ines jan".split()
ACTIONS = {"sit down": "SitDown", "stand up": "StandUp"}
ACTIONS["raise arms"] = "RaiseArms"
COUNTS = {"sit down": 3, "stand up": 2, "raise arms": 1}

# %%
folder = settings.project_root() / "data" / "drawn_videos"
shutil.rmtree(folder, ignore_errors=True)
for number, person in enumerate(PEOPLE):
    suffix, fps, code = CAMERAS[number % len(CAMERAS)]
    for action, count in COUNTS.items():
        for clip in range(1, count + 1):
            frames = puppets.draw_clip(ACTIONS[action], number + 1, clip)
            if number % 2:
                frames = frames[:, :, 50:190]  # fewer columns: filmed upright
            path = folder / action / person / f"IMG_{clip}{suffix}"
            film(path, frames, fps, code)

# %% mystnb={"image": {"alt": "Three film strips, one for each class: a drawn person sits down, another stands up, a third raises both arms. The second one was filmed upright and stands between black bars."}}
# With more than the clip's frames between two of them, they are spread evenly.
spread = {"n_frames": 8, "output_size": (90, 120), "frame_step": 99}
strips, titles = [], []
for action, person in zip(ACTIONS, PEOPLE):
    (file, *_) = sorted((folder / action / person).iterdir())
    strips.append(video.frames_from_video_file(file, start=0, **spread))
    titles.append(f"{person}: {action}")
figure = plots.plot_film_strip(strips, titles)

# %% [markdown]
# A class is a folder, and all videos below it belong to the class. If there is a folder in between, it names the [*group*](../book/glossary.md#group): the clips that must stay together in a split, here those of one person, whose folder has the same name in all classes. (A drawn person changes clothes and rooms to raise their arms. People in your clips had better not: then the room gives the class away.) `clips.read_folder` lists what it finds as a table, with a row for each clip. Here is every ninth row:

# %% tags=["nbval-check-output"]
table = clips.read_folder(folder)
names = [file.relative_to(folder).as_posix() for file in table["file"]]
print(table[["class_name", "group"]].assign(name=names).iloc[::9].to_string())

# %% [markdown]
# ## Look at the clips before you train
#
# When a network learns nothing, the clips are often to blame: a file that can't be read, a class with three clips, the same clip twice, an hour-long recording of an action that takes two seconds. An hour of training shows none of this; a look at the clips shows most of it.
#
# **Predict:** which differences between these cameras could a network take for the difference between two actions?

# %% tags=["nbval-check-output"]
table = inspection.inspect_clips(table.assign(name=names))
for line in inspection.summarize(table):
    print(line)

# %% [markdown]
# `inspect_clips` decodes every video once, so it finds the files that can't be read. It also computes a hash of the decoded frames. Two clips with the same hash are copies, even under other names and in another container (but not if one was encoded again, as messengers do). `inspection.join_duplicates` refuses copies in two classes, because they contradict each other, and puts copies within a class into one group.
#
# Each person did all three actions with one camera. That answers the question: if all clips of one action came from one camera, its frame rate or its black bars would give the class away.
#
# ## Split by group
#
# In [Don't trust a leaky split](leaky_split.ipynb), you saw what happens if clips of one person are in both the training and the test set. Here, the folders name the people, so `split_by_group` can keep each of them in one split, with all classes in every split:

# %% tags=["nbval-check-output"]
table = splits.split_by_group(table)
for split, rows in table.groupby("split"):
    print(f"{split:5} {', '.join(rows['group'].unique())}")
counts = table.groupby("split")["class_name"].value_counts().unstack()
print(counts.to_string())

# %% [markdown]
# What is a group in your videos? Ask what will be *new* when the network is used. New people: then a group is a person. The same people in other rooms or on other days: then a group is a room, or a day. If your clips are cut from longer videos, a group is at least a video. If you don't know the groups, every clip counts as a group of its own. The split then can't prevent leaks: expect the test accuracy to be too high, and its interval too narrow.
#
# ## Sample by time, not by frame number
#
# The chapters so far have sampled every fifth frame of videos that all have 25 frames per second. Here, five frames are a fifth of a second from one camera and less from another, so the same action would look slower. The remedy is to give the distance in seconds, and to convert it to frames for each clip.
#
# How far apart should the sampled frames be? `choose_frame_step` spaces them so that together they span four fifths of a clip of median length, but no further apart than in the TensorFlow tutorial. In a clip that is longer, training sees a random part, and the test the middle.

# %% tags=["nbval-check-output"]
run = settings.current("own")
step = own_clips.choose_frame_step(table, run.n_frames)
table = own_clips.set_frame_steps(table, step)
print(f"{run.n_frames} frames, {step / 25:.2f} s apart")
print(table.groupby("rate")["frame_step"].first().to_string())

# %% [markdown]
# The table now holds all that reading needs, and `ClipBatches` takes it in place of a folder:

# %% tags=["nbval-check-output"]
rows = table[table["split"] == "train"]
batches = ClipBatches(rows, training=True, **run.sampling)
frames, labels = batches[0]
print(frames.shape, *(batches.class_names[label] for label in labels[:3]))

# %% [markdown]
# ## Do all of this in one call, and train
#
# `own_clips.prepare_clips` takes all these steps, prints what it finds, and writes a page with a film strip of each class. Then you train as in [Train](train.ipynb). With `balance`, the loss weights each training clip by the inverse of its class's share, so all classes count the same.
#
# **Predict:** sitting down and standing up are the same movement in opposite directions, and raising the arms looks different but has few clips. Where will the network err?

# %%
table, run = own_clips.prepare_clips(folder, run)

# %%
recipe = Recipe(balance=True)
model, record = training.train(run, recipe, clips=table, log=lambda line: None)
print(f"{run.epochs} epochs in {record['seconds']:.0f} s, {record['hardware']}")

# %% mystnb={"image": {"alt": "Two plots over the epochs: on the training clips, the loss falls and the accuracy rises. On the validation clips, both swing widely at first and then settle."}}
figure = plots.plot_history(record["history"])

# %% [markdown]
# The curves of the validation clips swing widely at first: they show only two people. Don't read anything into a single epoch.
#
# ## Judge the result on a few clips
#
# The network hasn't seen the people in the test clips. How good is it?

# %% mystnb={"image": {"alt": "Confusion matrix of the test clips with a row and a column for each of the three actions."}}
actual, predicted = record["actual"], record["predicted"]
axis = plots.plot_confusion_matrix(
    actual, predicted, record["class_names"], "Test clips"
)

# %%
print(evaluation.describe_score(record).replace(", ", ",\n"))

# %% [markdown]
# In our run, the opposite directions are not what it errs on. Now read the output from the bottom up:
#
# - *Always the most frequent class* is what you would get without looking at the video. With classes of unequal size, this is the number for the accuracy to beat, rather than one divided by the number of classes.
# - *Balanced accuracy* is the mean of the classes' recalls, so the frequent class doesn't outweigh the others. Always predicting one class would give one divided by the number of classes.
# - *The interval* shows how far chance alone may have moved the accuracy away from the accuracy on new people. The clips of one person resemble each other, so they say less than as many clips of different people. `exact_interval` assumes the worst, that each person's clips are either all correct or all wrong (Clopper and Pearson's interval with an effective sample size, Korn and Graubard 1998). With two people in the test set, it is so wide that it contains *always the most frequent class*: we haven't shown that the network is better than that, however good its accuracy looks.
#
# The interval knows nothing of other sources of doubt: another seed, another choice of people for the test, or people who differ from your friends.
#
# What can be said if all test clips are classified correctly?

# %% tags=["nbval-check-output"]
rows = []
for n_groups in (1, 2, 4, 8, 20, 50):
    low, _ = evaluation.exact_interval([1] * n_groups, range(n_groups))
    rows.append((5 * n_groups, n_groups, f"{low:.2f} to 1.00"))
header = ("people filmed", "people tested", "95 % interval, if all is correct")
Markdown(records.markdown_table(header, rows))

# %% [markdown]
# A fifth of the people are for the test. So film more people rather than more clips of each. If you can't, test on each person in turn, with a table whose column `split` changes, and put the predictions together. Each class needs at least three groups: one for training, one for validation, one for the test. With fewer, the book refuses to split, because some split would lack a class.
#
# ## Find out how many clips you need
#
# There is no answer that holds for every task, but the accuracy [by number of clips](../book/results.md#learning-curve-clips-per-class) in a similar one helps. We trained the book's recipe on ten classes of UCF101, with few and with many clips of each class, from as many groups as possible. The validation and test clips stayed the same (UCF101's first official split), and so did the number of training steps.
#
# **Predict:** how much does the accuracy gain from ten times as many clips?

# %% mystnb={"image": {"alt": "Test accuracy against the number of training clips of each class, with a dot for each seed. The accuracy rises with the number of clips."}}
recorded = records.load_results("learning-curve")
numbers = sorted({each["settings"]["splits"]["train"] for each in recorded})
curve = {
    number: [
        each
        for each in recorded
        if each["settings"]["splits"]["train"] == number
    ]
    for number in numbers
}
scores = {n: records.accuracies(runs, "test") for n, runs in curve.items()}
axis = plots.plot_against(
    {"book's recipe": scores}, "training clips of each class", "test accuracy"
)
line = axis.axhline(0.1, color=plots.GREY, linewidth=1, zorder=0)

# %% tags=["remove-input", "nbval-check-output"]
rows = []
for number, runs in curve.items():
    correct = np.mean(
        [np.equal(each["actual"], each["predicted"]) for each in runs], axis=0
    )
    low, high = evaluation.bootstrap_accuracy(correct, runs[0]["groups"])
    mean = records.mean_and_range(scores[number])
    rows.append((number, mean, f"{low:.2f} to {high:.2f}"))
header = ("training clips per class", "test accuracy", "95 % interval")
size, hardware = (runs[0]["settings"]["size"], runs[0]["hardware"])
Markdown(
    f"{records.markdown_table(header, rows)}\n\nMean (worst to best) of "
    f"{min(map(len, curve.values()))} seeds, and the interval of the mean that "
    "resampling the test groups gives; split by group, frames of "
    f"{size} × {size} pixels, {hardware}. The line in the plot is chance."
)

# %% [markdown]
# Three clips of each class already beat chance, but most predictions are wrong. Ten times as many clips raise the accuracy by about half. At the end, they add clips but no people: there are at most 15 groups of each class in the training set. (The puppets above are easier: they differ in nothing but person, room and action.) Therefore:
#
# - With a handful of clips, use the result to test your program, not to make decisions.
# - Each doubling of the clips gains a little. To see what the next one would gain, draw this curve for your own task: train on a quarter of your training clips, on half of them, and on all.
# - So far, the book has trained from random weights. With few clips, start from a *pretrained* network, which has learned from many other videos ([Start from a trained network](pretrained.ipynb)).
#
# How to film:
#
# - Let each person do all actions, in the same place, with the same camera and in the same mode, so that none of these tells the action.
# - Vary what will vary in use: people, rooms, light, distance, clothes.
# - Let a clip show the action from its beginning to its end and not much else.
# - If the network has to notice that nothing happens, film a class for that, with the same people in the same rooms: waiting, walking by, almost doing it. It needs as many clips as the largest class, because *nothing* looks different each time. ([Try your own video](own_video.ipynb) shows what happens without it.)
#
# ## Cut clips out of long videos with a table
#
# Often several actions happen in one long recording. You needn't cut it into files: a table with the columns `begin` and `end`, in seconds, is enough. Any spreadsheet program can write it. An empty cell stands for the video's beginning or end.

# %%
long = settings.project_root() / "data" / "drawn_long"
names = ["SitDown", "StandUp", "SitDown"]
frames = [puppets.draw_clip(name, group=9, clip=1) for name in names]
film(long / "long.mp4", np.concatenate(frames), 25, "mp4v")
(long / "clips.csv").write_text("""file,class,begin,end
long.mp4,sit down,,2.3
long.mp4,stand up,2.3,4.6
long.mp4,sit down,4.6,
""")
print(f"{len(np.concatenate(frames)) / 25:.1f} s in all")

# %% mystnb={"image": {"alt": "Three film strips from one recording: a person sits down in the first, stands up in the second, and sits down again in the third."}}
cut = ClipBatches(
    clips.read_table(long / "clips.csv"),
    n_frames=8,
    output_size=(90, 120),
    frame_step=6,
)
titles = [cut.class_names[label] for label in cut.labels]
figure = plots.plot_film_strip(list(cut[0][0]), titles)

# %% [markdown]
# You can add the columns `group` and `split`. Without `group`, the parts of a video form one, because parts of one recording must not end up in two splits.
#
# ## Classify a new clip
#
# The record of the run holds the class names and the distance between frames, so the network is ready for [Try your own video](own_video.ipynb):

# %%
classifier = predict.load(records.run_folder(run, recipe))
new = long / "new.mp4"
film(new, puppets.draw_clip("SitDown", 20, 1), 25, "mp4v")
prediction = predict.predict_video(classifier, new)
for name, probability in prediction.top():
    print(f"{probability:.2f} {name}")

# %% [markdown]
# ## Check yourself
#
# 1. Two classes, filmed by two people: one did all clips of the first class, the other all clips of the second. The test accuracy is 1. What has the network learned?
# 2. A test set has 90 clips of one class and 10 of another. A network reaches an accuracy of 0.90 and a balanced accuracy of 0.50. What does it do?
# 3. You have 200 clips of five people. Which number limits what you can say about the accuracy on new people?
# 4. You read every fifth frame of all videos. Half of them, all of one class, have 60 frames per second. What can go wrong?
#
# <details><summary>Answers</summary>
#
# 1. To tell the two people or their rooms apart, for all you know. Split by person, and each split would lack a class; the book refuses such a split. Film both classes with at least three people.
# 2. It predicts the frequent class for every clip.
# 3. The number of people in the test set: with a fifth of the groups, that is one person.
# 4. The actions of that class appear slower, and the network can learn the frame rate instead of the action.
#
# </details>
#
# ## On your own
#
# - Film two actions, with five people and three clips of each, into the folders `my_videos/ACTION/PERSON/`. Then run in a new cell:
#   ```python
#   mine, run = own_clips.prepare_clips("my_videos", settings.current("own"))
#   model, record = training.train(run, Recipe(balance=True), clips=mine)
#   print(evaluation.describe_score(record))
#   ```
#   A shell does the same with `python -m helpers.training --clips my_videos --balance`. (In Colab, upload a ZIP of the folder and run `!unzip -q my_videos.zip`, or mount your drive. Copy the folder `runs` before you leave, because Colab deletes it.)
# - If the training accuracy is high and the test accuracy low, film more people, or try `RECIPES["book"]` from `helpers.recipes`, which augments the clips. If both are low, train longer or on larger frames (in a shell `--epochs` and `--size`).
# - Copy the clips into `ACTION/` without folders for the people, under names such as `anna_01.mov`, and let a pattern find the groups: `group=r"([^/_]+)_\d+\."`.
# - Train without `balance`. What changes, the accuracy or the balanced accuracy?
#
# Next: [Ask whether it uses time](use_time.ipynb).
