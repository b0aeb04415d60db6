"""Apply a trained network to any video. Taught in *Try your own video*.

From a shell, see `python -m helpers.predict --help`. The network gets frames at the time interval
that it was trained with, whatever the video's frame rate, in windows that overlap by half. Frames
are decoded once, in order, and released afterwards: a long video takes time, but no more memory.
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
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import keras
import numpy as np

from helpers import video
from helpers.annotation import annotate, check_annotation
from helpers.checkpoints import LAST, RECORD
from helpers.clips import as_url
from helpers.movinet import build_movinet_a0
from helpers.playback import FPS, Playback
from helpers.pretrained import PRETRAINED, kinetics600_labels, load_published
from helpers.probabilities import get_probabilities, last_activation

# A published network that can be named in place of a file.
MOVINET = "movinet_a0"
# A gap of more seconds between two frames means that the camera paused.
_PAUSE = 1
CAVEAT = (
    "The network always predicts one of its {} classes, whatever the video shows, and knows only "
    "videos like those it was trained on. A probability compares the classes with each other; it "
    "doesn't show whether any of them is there."
)


class ModelError(ValueError):
    """A file that can't be used as a network for videos. The message names it and a remedy."""


@dataclasses.dataclass
class Classifier:
    """A network with the facts that its file doesn't contain.

    Args:
        model: A network from uint8 RGB clips `(batch, n_frames, height, width, 3)` to logits
            `(batch, n_classes)` or their softmax.
        class_names: Names of the classes by index; None stands for "class 0", "class 1", ...
        frame_interval: Seconds between two frames of a clip in training.

    Raises:
        ModelError: The network has other inputs or outputs, or another number of classes, or the
            interval isn't positive.
    """

    model: keras.Model
    class_names: list[str]
    frame_interval: float

    def __post_init__(self):
        n_classes = _check_clips_to_logits(self.model)[-1]
        self.class_names = list(self.class_names or (f"class {i}" for i in range(n_classes)))
        if n_classes != len(self.class_names):
            raise ModelError(
                f"A model of {n_classes} classes needs as many names, not {len(self.class_names)}; "
                "list them in its order."
            )
        if not self.frame_interval > 0:
            raise ModelError(
                f"Frames can't be {self.frame_interval} s apart; use a frame step of 1 or more."
            )

    @property
    def n_frames(self) -> int:
        """The number of frames in a clip."""
        return self.model.input_shape[1]

    @property
    def output_size(self) -> tuple[int, int]:
        """The size of a frame in pixels, `(height, width)`."""
        return self.model.input_shape[2:4]

    def probabilities(self, clips: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        """Return the probabilities of the classes.

        Args:
            clips: uint8 RGB `(batch, n_frames, height, width, 3)`.

        Returns:
            float32 `(batch, n_classes)`.

        Raises:
            ModelError: The network's outputs are not finite.
        """
        probabilities = get_probabilities(self.model, np.asarray(clips))
        if not np.isfinite(probabilities).all():
            raise ModelError(
                "The network's logits are not finite, because training diverged; use another model."
            )
        return probabilities


def _shape(model, end):
    """Return the shape of a network's `"input"` or `"output"`, or None if it has none.

    A network with several inputs or outputs has a list or a dictionary of shapes.
    """
    tensors = getattr(model, end, None)
    if tensors is None:  # A sequential network knows its shapes only.
        return getattr(model, f"{end}_shape", None)
    return keras.tree.map_structure(lambda tensor: tensor.shape, tensors)


def _check_clips_to_logits(model):
    """Return the shape of a network's output if it maps uint8 clips to logits or their softmax.

    Raises:
        ModelError: It doesn't.
    """
    takes, gives = _shape(model, "input"), _shape(model, "output")
    is_clip = isinstance(takes, tuple) and len(takes) == 5 and takes[-1] == 3
    if not is_clip or None in takes[1:] or not isinstance(gives, tuple) or len(gives) != 2:
        raise ModelError(
            f"A model from {takes} to {gives} is not a network from clips of one size to logits; "
            "use one of this book's."
        )
    if (dtype := model.inputs[0].dtype) != "uint8":
        raise ModelError(
            f"A model that takes {dtype} may expect pixels from 0 to 1 or from 0 to 255; put "
            f'keras.Input({takes[1:]}, dtype="uint8") before it, and a keras.layers.Rescaling to '
            "the range that it was trained on, and save the two as one model."
        )
    if gives[-1] == 1:
        raise ModelError(
            "A model with one output has no logit for each class, and its softmax would always be "
            "1; use a model with two outputs or more."
        )
    end = last_activation(model)
    if "sigmoid" in end:
        raise ModelError(
            f"A model that ends in a {end} rates each class independently, but this function "
            "predicts one class of several; use a model that returns logits."
        )
    if any(word in end for word in ("tanh", "exponential", "sparsemax", "unitnormal", " or ")):
        raise ModelError(
            f"A model that ends in {end} returns neither logits nor their softmax; use a model "
            "that returns logits."
        )
    return gives


@dataclasses.dataclass
class Prediction:
    """A network's prediction for a video.

    Args:
        class_names: Names of the classes by index.
        seconds: Times of each window's first and last frame, `(n_windows, 2)`.
        probabilities: Softmax of each window, `(n_windows, n_classes)`.
        n_frames: Frames in the video.
        length: Duration of the video in seconds.
        size: `(height, width)` of a frame in pixels, upright.
        notes: Sentences about irregularities of the video.
    """

    class_names: list[str]
    seconds: np.ndarray
    probabilities: np.ndarray
    n_frames: int
    length: float
    size: tuple[int, int]
    notes: list[str]

    @property
    def boundaries(self) -> np.ndarray:
        """The times between which each window counts, `(n_windows + 1,)`, in seconds.

        They lie halfway between the middles of neighbouring windows.
        """
        middles = self.seconds.mean(axis=1)
        return np.concatenate([[0], (middles[1:] + middles[:-1]) / 2, [self.length]])

    def top(self, k: int = 3, window: int | None = None) -> list[tuple[str, float]]:
        """Return the `k` most likely classes as pairs of name and probability.

        Args:
            k: Number of classes.
            window: Index of a window; None takes the mean over the complete video.
        """
        values = self.probabilities
        values = values.mean(axis=0) if window is None else values[window]
        # Ties go to the class that comes first, on every machine.
        order = np.argsort(-values, kind="stable")[:k]
        return [(self.class_names[i], float(values[i])) for i in order]

    def spans(self) -> list[tuple[float, float, str, float]]:
        """Return the spans of time over which one class stays the most likely.

        Returns:
            `(begin, end, name, probability)` of each span: seconds, and the mean probability of the
            class over the span.
        """
        spans, first = [], 0
        for best, windows in itertools.groupby(self.probabilities.argmax(axis=1)):
            after = first + len(list(windows))
            mean = float(self.probabilities[first:after, best].mean())
            begin, end = float(self.boundaries[first]), float(self.boundaries[after])
            spans.append((begin, end, self.class_names[best], mean))
            first = after
        return spans


def load(
    path: str | os.PathLike[str],
    class_names: Sequence[str] | None = None,
    frame_step: float | None = None,
) -> Classifier:
    """Load a saved network, with class names and frame step from the record beside it.

    Args:
        path: A `.keras` file, or the folder of a run, from which the latest model is loaded; or
            `"movinet_a0"`, the published network that knows Kinetics' 600 actions.
        class_names: Names of the classes; by default those of the record, or numbers.
        frame_step: Frames from one sampled frame to the next at 25 frames per second; by default
            that of the record.

    Raises:
        ModelError: The file can't be loaded, is not a network for videos, or has another number of
            classes, or the frame step is unknown.
    """
    path = pathlib.Path(path)
    if str(path) == MOVINET and not path.exists():
        return _load_movinet(class_names, frame_step)
    file = path / LAST if path.is_dir() else path
    model, record = _load_model(file), _read_record(file.with_name(RECORD))
    if frame_step is None:
        frame_step = record["settings"].get("frame_step")
    if frame_step is None:
        raise ModelError(
            f"{file} has no {RECORD} beside it that contains the frame step; give it with "
            "--frame-step, and the class names with --classes."
        )
    try:
        return Classifier(model, list(class_names or record["class_names"]), frame_step / FPS)
    except ModelError as error:
        raise ModelError(f"{file} can't be used: {error}") from None


def _load_movinet(class_names, frame_step):
    """Return the published MoViNet-A0, with the names of Kinetics' classes."""
    expected = PRETRAINED[MOVINET]
    try:
        names = class_names or kinetics600_labels()
        model = load_published(build_movinet_a0(n_frames=expected["n_frames"]), include_top=True)
    except ValueError as error:
        raise ModelError(str(error)) from error
    return Classifier(model, list(names), (frame_step or expected["frame_step"]) / FPS)


def _load_model(file):
    if not file.exists() and (url := as_url(file)):
        raise ModelError(
            f"{url} is a web address; download the model and its {RECORD}, and name the file."
        )
    if not file.is_file():
        raise ModelError(
            f"{file} does not exist; name a .keras file, or the folder of a run with a {LAST}."
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
            f"{file} can't be loaded: it is damaged, not a .keras file, or from another version of "
            "Keras; train and save the model again."
        ) from error


def _read_record(file):
    """Return the settings and the class names in a record; empty ones if there is no file."""
    try:
        record = json.loads(file.read_text()) if file.exists() else {}
        settings, names = dict(record.get("settings", {})), record.get("class_names", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("the class names are not a list of strings")
        if not settings.get("frame_step", 1) >= 1:
            raise ValueError("the frame step is less than 1")
    except (AttributeError, OSError, TypeError, ValueError) as error:
        raise ModelError(
            f"{file} is damaged; delete it, and give its contents with --frame-step and --classes."
        ) from error
    return {"settings": settings, "class_names": names}


def predict_video(
    classifier: Classifier,
    path: str | os.PathLike[str],
    batch_size: int = 8,
    *,
    hop: int | None = None,
) -> Prediction:
    """Predict the class of a video, window by window.

    A window has as many frames as the network takes, at the same time interval as in training. The
    last window ends with the video. A video shorter than a window is one window, sampled evenly
    from its first frame to its last.

    Args:
        classifier: A network, from `load`.
        path: A video in any container format that OpenCV reads. Sound is ignored; rotation noted by
            phones is applied.
        batch_size: Windows that the network processes together.
        hop: Frames of a window, 1 or more, from the beginning of one window to that of the next;
            half of a window's frames by default.

    Raises:
        VideoReadError: The file can't be opened or decoded, or is damaged.
        ModelError: The network's outputs are not finite.
        ValueError: The hop is less than 1.
    """
    if hop is None:
        hop = max(1, classifier.n_frames // 2)
    if hop < 1:
        raise ValueError(f"A hop of {hop} frames is too small; use 1 or more.")
    frames = Playback(path)
    windows = iter(_SlidingWindow(frames, classifier, hop))
    seconds, probabilities = [], []
    while batch := list(itertools.islice(windows, batch_size)):
        seconds += [span for span, _ in batch]
        probabilities.append(classifier.probabilities([clip for _, clip in batch]))
    facts: dict[str, Any] = {
        "n_frames": frames.n_frames,
        "length": frames.length,
        "size": frames.size,
        "notes": frames.notes,
    }
    arrays = np.array(seconds), np.concatenate(probabilities)
    return Prediction(classifier.class_names, *arrays, **facts)


class _SlidingWindow:
    """Samples a video at the network's frame interval, and iterates over overlapping windows.

    A moment gets the frame nearest to it. If the video has fewer frames than moments, one frame
    serves several moments. While the camera pauses, the frame before the pause is used.
    """

    def __init__(self, playback, classifier, hop):
        self.playback, self.hop, self.interval = playback, hop, classifier.frame_interval
        self.n_frames, self.size = classifier.n_frames, classifier.output_size
        self.recent: collections.deque = collections.deque(maxlen=self.n_frames)
        self.n_sampled, self.newest, self.has_paused = 0, None, False
        self.previous_time, self.previous_frame = 0.0, None

    def __iter__(self) -> Iterator[tuple[tuple[float, float], np.ndarray]]:
        """Yield `((begin, end), clip)` of each window."""
        for second in self.playback:
            for sample in self._sample(second):
                self.recent.append(sample)
                self.n_sampled += 1
                if self.n_sampled >= self.n_frames and not self._beyond_window():
                    yield self._window()
        if self.n_sampled < self.n_frames:
            yield self._complete_video()
        elif self._beyond_window():
            yield self._window()

    def _sample(self, second):
        """Yield `(time, frame)` of each moment that is due when a frame is shown."""
        count = self.playback.n_frames
        tolerance = self.playback.step / 2 * (count > 1)
        due = int((second + tolerance) / self.interval) + 1 - self.n_sampled
        frame = self._resize(self.playback.frame()) if due > 0 or self.has_paused else None
        pauses = second - self.previous_time > _PAUSE
        if pauses and not self.has_paused:
            # A camera that pauses once may do so again: from now on each frame is kept.
            self.previous_frame = self._resize(self.playback.previous_frame())
            self.has_paused = True
        until = second if pauses else (self.previous_time + second) / 2
        is_at_hand = pauses or self.newest == count - 1
        for _ in range(due):
            moment = self.n_sampled * self.interval
            if self.recent and is_at_hand and moment < until:
                yield moment, self.previous_frame if pauses else self.recent[-1][1]
            else:
                self.newest = count
                yield second, frame
        self.previous_time, self.previous_frame = second, frame

    def _resize(self, frame):
        return video.letterbox(frame, self.size)

    def _beyond_window(self):
        """Return how many moments have been sampled since the latest window."""
        return (self.n_sampled - self.n_frames) % self.hop

    def _window(self):
        span = self.recent[0][0], self.recent[-1][0]
        return span, np.stack([frame for _, frame in self.recent])

    def _complete_video(self):
        """Return a video that is shorter than a window as one window."""
        if self.playback.n_frames > 1:
            span = (self.n_frames - 1) * self.interval
            self.playback.notes.append(
                f"The video is shorter than the {span:.1f} s that the network takes, so its frames "
                "are closer together than in training."
            )
        return (0, self.playback.time), self.playback.read_all(self.n_frames, self.size)


def _parse(arguments):
    parser = argparse.ArgumentParser(
        prog="python -m helpers.predict",
        usage="%(prog)s MODEL VIDEO [VIDEO ...] [options]",
        description="Print the predicted class over time for each video, in any container format "
        "that OpenCV reads. Sound is ignored.",
    )
    add = parser.add_argument
    add(
        "model",
        metavar="MODEL",
        help="a .keras file, the folder of a run in runs/, or movinet_a0, a published network that "
        "knows 600 actions",
    )
    add("videos", nargs="+", metavar="VIDEO", help="one or more videos")
    add("--top", type=int, default=3, metavar="K", help="classes to print (default: %(default)s)")
    add(
        "--annotate",
        metavar="FILE",
        help="write a copy of the video, .mp4 or .avi, with the classes drawn in and without "
        "sound; for one VIDEO",
    )
    add(
        "--classes",
        nargs="+",
        metavar="NAME",
        help=f"class names in the model's order (default: those in the {RECORD} beside the model)",
    )
    add(
        "--frame-step",
        type=int,
        metavar="N",
        help="frames from one sampled frame to the next at 25 frames per second (default: the "
        "record's)",
    )
    options = parser.parse_intermixed_args(arguments)
    if options.annotate is not None and len(options.videos) > 1:
        parser.error("--annotate goes with one VIDEO")
    if options.top < 1 or options.frame_step is not None and options.frame_step < 1:
        parser.error("--top and --frame-step are at least 1")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Predict from a shell; return the exit status, 1 if a model, a video or a copy failed."""
    options, predicted, failed = _parse(arguments), False, False
    try:
        classifier = load(options.model, options.classes, options.frame_step)
    except ModelError as error:
        print(error, file=sys.stderr)
        return 1
    for path in options.videos:
        try:
            if options.annotate is not None:
                # Better now than after the complete video.
                check_annotation(options.annotate, path, classifier.class_names)
            prediction = predict_video(classifier, path)
            print("\n".join(describe(prediction, path, options.top)), end="\n\n", flush=True)
            predicted = True
            if options.annotate is not None:
                annotate(prediction, path, options.annotate, options.top)
        except BrokenPipeError:
            raise
        except (OSError, ValueError) as error:
            print(error, file=sys.stderr, flush=True)
            failed = True
    if predicted:
        print(CAVEAT.format(len(classifier.class_names)))
    return int(failed)


def describe(prediction: Prediction, path: str | os.PathLike[str], top: int = 3) -> list[str]:
    """Return a summary of a prediction as lines of text.

    Args:
        prediction: A prediction, from `predict_video`.
        path: The video's name in the summary.
        top: Number of classes listed for the complete video.
    """
    height, width = prediction.size
    fps, n_windows = prediction.n_frames / prediction.length, len(prediction.seconds)
    windows = f"{n_windows} window{'s' * (n_windows > 1)}"
    size = f"{width} x {height} pixels, {fps:.4g} frames/s"
    lines = [f"{path}: {prediction.length:.1f} s, {size}, {windows}"]
    lines += [f"  {note}" for note in prediction.notes]
    lines += [f"  {probability:.2f}  {name}" for name, probability in prediction.top(top)]
    if len(spans := prediction.spans()) > 1:
        lines.append("  over time")
        for begin, end, name, mean in spans:
            lines.append(f"  {begin:6.1f} to {end:6.1f} s  {mean:.2f}  {name}")
    return lines


def _run():
    """Run `main` without the noise of libraries; return the exit status."""
    # The messages of OpenCV and FFmpeg about a damaged file would surround our own sentence.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    for stream in (sys.stdout, sys.stderr):
        # A file's name may contain characters that can't be printed.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        return main()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader has closed the pipe, and Python would write to it once more as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(_run())
