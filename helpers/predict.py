"""A trained network at work on any video. Taught in the chapter *Try your own video*; from a shell, `python -m helpers.predict --help`.

The network gets frames as far apart in time as those it was trained on, whatever the video's frame rate, in windows that
overlap by half. Frames are decoded once, one after the other, and let go: a long video takes time, but no more memory.
"""

import argparse
import collections
import dataclasses
import itertools
import json
import os
import pathlib
import sys
import zipfile

import cv2
import keras
import numpy as np

from helpers import video
from helpers.annotation import annotate, check_annotation
from helpers.checkpoints import LAST, RECORD
from helpers.clips import as_url
from helpers.playback import FPS, Playback
from helpers.probabilities import get_probabilities, last_activation

# Where so many seconds lie between two frames, the camera paused.
_PAUSE = 1
CAVEAT = (
    "The network always names one of its {} classes, whatever a video shows, and knows only videos like those it was trained on; "
    "a probability says how the classes compare, not whether one of them is there."
)


class ModelError(ValueError):
    """A file that can't be used as a network for videos. The message names it and says what to do."""


@dataclasses.dataclass
class Classifier:
    """A network of logits, or of their softmax, with what it doesn't know itself.

    Args:
        model: Takes uint8 RGB clips `(batch, n_frames, height, width, 3)` and returns logits
            `(batch, n_classes)`, or their softmax.
        class_names: The classes' names, by number; "class 0", "class 1", ... where it is None.
        apart: Seconds from one frame of a clip to the next in training.

    Raises:
        ModelError: The network takes or returns something else, or has another number of classes;
            or its frames aren't apart.
    """

    model: keras.Model
    class_names: list
    apart: float

    def __post_init__(self):
        gives = _check_clips_to_logits(self.model)
        self.class_names = list(self.class_names or (f"class {i}" for i in range(gives[-1])))
        if gives[-1] != len(self.class_names):
            raise ModelError(
                f"A model of {gives[-1]} classes needs as many names, not {len(self.class_names)}; name them in its order."
            )
        if not self.apart > 0:
            raise ModelError(
                f"Frames can't be {self.apart} s apart; take a frame step of 1 or more."
            )

    @property
    def n_frames(self):
        """Frames that the network takes at once."""
        return self.model.input_shape[1]

    @property
    def output_size(self):
        """`(height, width)` in pixels of the frames that it takes."""
        return self.model.input_shape[2:4]

    def probabilities(self, clips):
        """Return the probabilities of the classes of uint8 clips `(batch, n_frames, height, width, 3)`: float32 `(batch, n_classes)`.

        Raises:
            ModelError: What the network says is not finite.
        """
        probabilities = get_probabilities(self.model, np.asarray(clips))
        if not np.isfinite(probabilities).all():
            raise ModelError(
                "The network's logits are not finite, for its weights were lost in training; take another model."
            )
        return probabilities


def _shape(model, end):
    """Return the shape of a network's `"input"` or `"output"`, or the shapes as they are held, in a list or under names; None where it has none."""
    held = getattr(model, end, None)  # a sequential network knows its shapes only
    return (
        getattr(model, f"{end}_shape", None)
        if held is None
        else keras.tree.map_structure(lambda tensor: tensor.shape, held)
    )


def _check_clips_to_logits(model):
    """Return the shape of a network's outputs; raise a ModelError unless it takes clips as they are and gives logits or their softmax."""
    takes, gives = _shape(model, "input"), _shape(model, "output")
    clips = (
        isinstance(takes, tuple) and len(takes) == 5 and takes[-1] == 3 and None not in takes[1:]
    )
    if not clips or not isinstance(gives, tuple) or len(gives) != 2:
        raise ModelError(
            f"A model from {takes} to {gives} is no network from clips of one size to logits; take one of this book's."
        )
    if (dtype := model.inputs[0].dtype) != "uint8":
        raise ModelError(
            f'A model that takes {dtype} may want pixels from 0 to 1 or to 255; put keras.Input({takes[1:]}, dtype="uint8") before it, '
            "and a keras.layers.Rescaling to the range that it was trained on, and save the two as one model."
        )
    if gives[-1] == 1:
        raise ModelError(
            "A model of one output has no logit for each class, and softmax would always be 1; take one of two outputs or more."
        )
    end = last_activation(model)
    if "sigmoid" in end:
        raise ModelError(
            f"A model that ends in a {end} judges each class by itself, and this takes one class of several; take one of logits."
        )
    if any(
        word in end for word in ("tanh", "exponential", "sparsemax", "unitnormalization", " or ")
    ):
        raise ModelError(
            f"A model that ends in {end} gives neither logits nor their softmax; take one of logits."
        )
    return gives


@dataclasses.dataclass
class Prediction:
    """What a network makes of a video.

    Args:
        class_names: The classes' names, by number.
        seconds: When each window's first and last frame are shown, `(n_windows, 2)`.
        probabilities: Softmax of each window, `(n_windows, n_classes)`.
        n_frames: Frames that the video has.
        length: How many seconds they last.
        size: `(height, width)` of a frame in pixels, upright.
        notes: Sentences on what is odd about the video.
    """

    class_names: list
    seconds: np.ndarray
    probabilities: np.ndarray
    n_frames: int
    length: float
    size: tuple
    notes: list

    @property
    def borders(self):
        """The seconds at which a window's word begins to count and the last one's ends, `(n_windows + 1,)`: halfway between windows' middles."""
        middles = self.seconds.mean(axis=1)
        return np.concatenate([[0], (middles[1:] + middles[:-1]) / 2, [self.length]])

    def top(self, k=3, window=None):
        """Return the `k` likeliest classes as pairs of name and probability: in the mean over the video, or in one window."""
        shares = self.probabilities.mean(axis=0) if window is None else self.probabilities[window]
        # Of equal ones the first comes first, on every machine.
        return [
            (self.class_names[i], float(shares[i])) for i in np.argsort(-shares, kind="stable")[:k]
        ]

    def spans(self):
        """Return `(begin, end, name, probability)` of each span over which one class stays the likeliest, with its mean probability there."""
        spans, first = [], 0
        for best, windows in itertools.groupby(self.probabilities.argmax(axis=1)):
            after = first + len(list(windows))
            share = float(self.probabilities[first:after, best].mean())
            spans.append(
                (
                    float(self.borders[first]),
                    float(self.borders[after]),
                    self.class_names[best],
                    share,
                )
            )
            first = after
        return spans


def load(path, class_names=None, frame_step=None):
    """Load a saved network; the names of its classes and the distance of its frames come from the record beside it.

    Args:
        path: A `.keras` file, or the folder of a run, whose last model is taken.
        class_names: The classes' names, where not the record's; numbered ones where there are neither.
        frame_step: Frames from one frame that the network takes to the next, at 25 a second, where not the record's.

    Returns:
        A `Classifier`.

    Raises:
        ModelError: It can't be loaded, is no network for videos, has another number of classes, or nothing says how far
            apart its frames are.
    """
    path = pathlib.Path(path)
    file = path / LAST if path.is_dir() else path
    model, record = _load_model(file), _read_record(file.with_name(RECORD))
    if frame_step is None:
        frame_step = record["settings"].get("frame_step")
    if frame_step is None:
        raise ModelError(
            f"{file} has no {RECORD} beside it that says how far apart its frames are; say it with --frame-step, and --classes."
        )
    try:
        return Classifier(model, class_names or record["class_names"], frame_step / FPS)
    except ModelError as error:
        raise ModelError(f"{file} can't be used: {error}") from None


def _load_model(file):
    if not file.exists() and (url := as_url(file)):
        raise ModelError(
            f"{url} is a web address; download the model, and its {RECORD}, and name the file."
        )
    if not file.is_file():
        raise ModelError(
            f"{file} is not there; name a .keras file, or the folder of a run that has a {LAST}."
        )
    try:
        return keras.models.load_model(file, compile=False)
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        NotImplementedError,
        zipfile.BadZipFile,
    ) as error:
        raise ModelError(
            f"{file} can't be loaded: it is damaged, no .keras file, or of another version of Keras; train and save it anew."
        ) from error


def _read_record(file):
    """Return the record's settings and class names, as far as there are any."""
    try:
        record = json.loads(file.read_text()) if file.exists() else {}
        settings, names = dict(record.get("settings", {})), record.get("class_names", [])
        if (
            not isinstance(names, list)
            or not all(isinstance(name, str) for name in names)
            or not settings.get("frame_step", 1) >= 1
        ):
            raise ValueError("it says what makes no sense")
    except (AttributeError, OSError, TypeError, ValueError) as error:
        raise ModelError(
            f"{file} is damaged; delete it, and say what it should have said with --frame-step and --classes."
        ) from error
    return {"settings": settings, "class_names": names}


def predict_video(classifier, path, batch_size=8, *, hop=None):
    """Say which class a video shows, window by window.

    A window is as many frames as the network takes, as far apart as in training. Unless told
    otherwise the next one begins half a window later; the last one ends with the video. A video
    shorter than a window is one window, sampled evenly from its first frame to its last.

    Args:
        classifier: What `load` returns.
        path: A video of any kind that OpenCV reads. Sound is ignored; rotation as phones note it is
            heeded.
        batch_size: Windows that the network works on at once.
        hop: By how many of its frames, 1 or more, a window begins after the one before; half of
            them where not given.

    Returns:
        A `Prediction`.

    Raises:
        VideoReadError: The file can't be opened or decoded, or is damaged.
        ModelError: What the network says is not finite.
        ValueError: The hop is less than 1.
    """
    if hop is None:
        hop = max(1, classifier.n_frames // 2)
    if hop < 1:
        raise ValueError(
            f"A window can't begin {hop} frames after the one before; take a hop of 1 or more."
        )
    frames = Playback(path)
    windows = _windows(frames, classifier, hop)
    seconds, probabilities = [], []
    while batch := list(itertools.islice(windows, batch_size)):
        seconds += [span for span, _ in batch]
        probabilities.append(classifier.probabilities([clip for _, clip in batch]))
    about = {
        "n_frames": frames.count,
        "length": frames.length,
        "size": frames.size,
        "notes": frames.notes,
    }
    return Prediction(
        classifier.class_names, np.array(seconds), np.concatenate(probabilities), **about
    )


def _windows(frames, classifier, hop):
    """Yield `((begin, end), clip)` of each window of a video."""
    n_frames, size, apart = classifier.n_frames, classifier.output_size, classifier.apart
    taken, recent, before, newest, latest, pauses = (
        0,
        collections.deque(maxlen=n_frames),
        0.0,
        None,
        None,
        False,
    )
    for second in frames:
        # Each moment gets the frame nearest to it; where frames are rarer than moments, one serves
        # several.
        due = int((second + frames.step / 2 * (frames.count > 1)) / apart) + 1 - taken
        picture = video.letterbox(frames.picture(), size) if due > 0 or pauses else None
        # While the camera pauses, the frame before the pause is shown.
        paused = second - before > _PAUSE
        until = second if paused else (before + second) / 2
        if (
            paused and not pauses
        ):  # a camera that pauses once may do so again: from now on each frame is kept until the next one
            latest, pauses = video.letterbox(frames.previous_frame(), size), True
        at_hand = paused or newest == frames.count - 1
        for _ in range(due):
            moment = taken * apart
            if recent and at_hand and moment < until:
                recent.append((moment, latest if paused else recent[-1][1]))
            else:
                recent.append((second, picture))
                newest = frames.count
            taken += 1
            if taken >= n_frames and (taken - n_frames) % hop == 0:
                yield _window(recent)
        before, latest = second, picture
    if taken < n_frames:
        if frames.count > 1:
            span = (n_frames - 1) * apart
            frames.notes.append(
                f"It is shorter than the {span:.1f} s that the network takes; so its frames lie closer together than in training."
            )
        yield (0, frames.last), frames.read(n_frames, size)
    elif (taken - n_frames) % hop:
        yield _window(recent)


def _window(recent):
    return (recent[0][0], recent[-1][0]), np.stack([picture for _, picture in recent])


def _parse(arguments):
    parser = argparse.ArgumentParser(
        prog="python -m helpers.predict",
        usage="%(prog)s MODEL VIDEO [VIDEO ...] [options]",
        description="Say which class each video shows, and when. Any container that OpenCV reads will do; sound is ignored.",
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="a .keras file, or the folder of a run below runs/")
    add("videos", nargs="+", metavar="VIDEO", help="one or more videos")
    add(
        "--top",
        type=int,
        default=3,
        metavar="K",
        help="how many classes to name (default: %(default)s)",
    )
    add(
        "--annotate",
        metavar="FILE",
        help="write a copy of the video with the classes drawn in, .mp4 or .avi, without sound; for one VIDEO",
    )
    add(
        "--classes",
        nargs="+",
        metavar="NAME",
        help=f"the classes' names in the model's order (default: those of the {RECORD} beside the model)",
    )
    add(
        "--frame-step",
        type=int,
        metavar="N",
        help="frames between those that the model takes, at 25 a second (default: the record's)",
    )
    options = parser.parse_intermixed_args(arguments)
    if options.annotate is not None and len(options.videos) > 1:
        parser.error("--annotate goes with one VIDEO")
    if options.top < 1 or options.frame_step is not None and options.frame_step < 1:
        parser.error("--top and --frame-step are at least 1")
    return options


def main(arguments=None):
    """Predict from a shell; return the exit status, 1 if a model, a video or a copy failed."""
    options, said, failed = _parse(arguments), False, False
    try:
        classifier = load(options.model, options.classes, options.frame_step)
    except ModelError as error:
        print(error, file=sys.stderr)
        return 1
    for path in options.videos:
        try:
            if options.annotate is not None:
                check_annotation(
                    options.annotate, path, classifier.class_names
                )  # better now than after the whole video
            prediction = predict_video(classifier, path)
            print("\n".join(describe(prediction, path, options.top)), end="\n\n", flush=True)
            said = True
            if options.annotate is not None:
                annotate(prediction, path, options.annotate, options.top)
        except BrokenPipeError:
            raise
        except (OSError, ValueError) as error:
            print(error, file=sys.stderr, flush=True)
            failed = True
    if said:
        print(CAVEAT.format(len(classifier.class_names)))
    return int(failed)


def describe(prediction, path, top=3):
    """Return what is to be said about a video, as lines of text.

    Args:
        prediction: What `predict_video` returned.
        path: What the video is called.
        top: How many classes are named for the whole video.
    """
    height, width = prediction.size
    fps, windows = prediction.n_frames / prediction.length, len(prediction.seconds)
    lines = [
        f"{path}: {prediction.length:.1f} s, {width} x {height} pixels, {fps:.4g} frames/s, {windows} window{'s' * (windows > 1)}"
    ]
    lines += [f"  {note}" for note in prediction.notes]
    lines += [f"  {probability:.2f}  {name}" for name, probability in prediction.top(top)]
    if len(spans := prediction.spans()) > 1:
        lines += ["  over time"] + [
            f"  {begin:6.1f} to {end:6.1f} s  {share:.2f}  {name}"
            for begin, end, name, share in spans
        ]
    return lines


if __name__ == "__main__":
    # What OpenCV and FFmpeg say of a damaged file would stand around the one sentence that tells
    # it.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(
            errors="backslashreplace"
        )  # a file's name may hold what can't be printed
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read has had enough, and Python would write once more as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
