"""The book's plots and images. Used in every chapter.

They are opaque, so that they read on a dark page, and use colours that remain distinct in grey and
for colour-blind readers (Okabe and Ito).
"""

import base64
import html
import io
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from IPython.display import HTML
from PIL import Image
from sklearn.metrics import confusion_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from helpers.predict import Prediction
    from helpers.timeline import Timeline

BLUE, ORANGE, GREEN, GREY, PAPER, INK = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#8a8f98",
    "#fbfaf7",
    "#23272f",
)

STYLE = {
    "figure.dpi": 110,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.prop_cycle": plt.cycler(color=[BLUE, ORANGE, GREEN, GREY])
    + plt.cycler(linestyle=["-", "--", "-.", ":"]),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "font.size": 10,
    "legend.frameon": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def use_style() -> None:
    """Use the book's style for all following plots."""
    plt.rcParams.update(STYLE)


def plot_film_strip(
    clips: Sequence[np.ndarray], titles: Sequence[str] | None = None, columns: int | None = None
) -> "Figure":
    """Plot clips as film strips, one per row.

    Args:
        clips: A list of clips, uint8 frames `(n_frames, height, width, 3)`.
        titles: A title for each strip.
        columns: Number of evenly chosen frames; all of them by default.

    Returns:
        The figure.
    """
    use_style()
    columns = columns or max(map(len, clips))
    height, width = clips[0].shape[1:3]
    figure, axes = plt.subplots(
        len(clips),
        columns,
        figsize=(9, 9 / columns * height / width * len(clips) + 0.3 * len(clips)),
        squeeze=False,
    )
    for row, (clip, strip) in enumerate(zip(clips, axes)):
        chosen = np.linspace(0, len(clip) - 1, min(columns, len(clip))).round().astype(int)
        for axis, index in itertools.zip_longest(strip, chosen):
            axis.axis("off")
            if index is not None:
                axis.imshow(clip[index])
        if titles:
            strip[0].set_title(titles[row], fontsize=9)
    figure.subplots_adjust(
        left=0.01,
        right=0.99,
        top=1 - 0.25 / figure.get_figheight(),
        bottom=0.01,
        wspace=0.03,
        hspace=0.25,
    )
    return figure


def show_animation(
    frames: np.ndarray, description: str, fps: float = 10, width: int | None = None
) -> HTML:
    """Show frames as an animation that plays three times.

    Args:
        frames: uint8 `(n_frames, height, width, 3)`.
        description: Alternative text for readers who can't see it.
        fps: Frames per second.
        width: Width on the page in pixels; by default that of the frames.

    Returns:
        An `IPython.display.HTML` that contains the animation.
    """
    data = base64.b64encode(encode_gif(frames, fps)).decode()
    width = width or frames.shape[2]
    return HTML(
        f'<img alt="{html.escape(description)}" width="{width}" src="data:image/gif;base64,{data}">'
    )


def encode_gif(frames: np.ndarray, fps: float = 10, loops: int = 2) -> bytes:
    """Encode frames as a GIF.

    Args:
        frames: uint8 `(n_frames, height, width, 3)`.
        fps: Frames per second.
        loops: Number of repetitions; 0 repeats forever.

    Returns:
        The bytes of the file.
    """
    palette = Image.fromarray(np.concatenate(frames[:: max(1, len(frames) // 4)])).quantize(128)
    images = [
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in frames
    ]
    file = io.BytesIO()
    images[0].save(
        file, "gif", save_all=True, append_images=images[1:], duration=round(1000 / fps), loop=loops
    )
    return file.getvalue()


def plot_timelines(timelines: Mapping[str, "Timeline"]) -> "Figure":
    """Plot timelines below each other on one time scale.

    Each kind of work in each thread has a row, and each span a bar from its beginning to its end.

    Args:
        timelines: Timelines by title.

    Returns:
        The figure.
    """
    use_style()
    colours = dict(
        zip(
            dict.fromkeys(span[0] for line in timelines.values() for span in line.spans),
            (BLUE, ORANGE, GREEN),
        )
    )
    rows = [
        list(dict.fromkeys(sorted(span[:2] for span in line.spans))) for line in timelines.values()
    ]
    figure, axes = plt.subplots(
        len(rows),
        1,
        figsize=(9, 0.6 * len(rows) + 0.35 * sum(map(len, rows))),
        sharex=True,
        squeeze=False,
        height_ratios=[len(own) + 0.5 for own in rows],
    )
    # Keep bars apart, and the shortest ones visible.
    sliver = 0.002 * max(line.length for line in timelines.values())
    for axis, (title, line), own in zip(axes.flat, timelines.items(), rows):
        zero = min(begin for _, _, begin, _ in line.spans)
        for kind, thread, begin, end in line.spans:
            width = max(end - begin - sliver, sliver)
            axis.barh(
                own.index((kind, thread)), width, left=begin - zero, height=0.8, color=colours[kind]
            )
        _name_rows(axis, [kind for kind, _ in own])
        axis.set_title(title)
    axes[-1, 0].set_xlabel("seconds")
    figure.tight_layout()
    return figure


def plot_frame_choices(choices: Mapping[str, Sequence[int]], length: int) -> "Axes":
    """Plot which frames of a clip are chosen, with a row of marks for each choice.

    Args:
        choices: Frame numbers by label.
        length: Frames in the clip.

    Returns:
        The axes.
    """
    use_style()
    _, axis = plt.subplots(figsize=(9, 0.7 + 0.35 * len(choices)))
    for row, numbers in enumerate(choices.values()):
        axis.plot(
            np.array(numbers),
            np.full(len(numbers), row),
            "|",
            color=(BLUE, ORANGE, GREEN)[row % 3],
            markersize=11,
            markeredgewidth=1.2,
        )
    _name_rows(axis, choices)
    axis.set(xlabel="frame", xlim=(-2, length + 1))
    axis.figure.tight_layout()
    return axis


def _name_rows(axis, names):
    """Label the rows 0, 1, 2, ... of a plot, the first at the top."""
    axis.set(yticks=range(len(names)), yticklabels=list(names), ylim=(len(names) - 0.4, -0.6))
    axis.tick_params(axis="y", length=0)


def plot_history(history: Any) -> "Figure":
    """Plot loss and accuracy of the training and validation sets against the epoch.

    Args:
        history: The history from `keras.Model.fit`, or lists by metric.

    Returns:
        The figure.
    """
    use_style()
    history = getattr(history, "history", history)
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2))
    for axis, metric in zip(axes, ("loss", "accuracy")):
        _plot_by_epoch(axis, history[metric], "training", "o")
        _plot_by_epoch(axis, history[f"val_{metric}"], "validation", "s")
        axis.set(title=metric.capitalize(), ylim=(0, None))
    axes[1].set_ylim(0, 1.02)
    axes[0].legend()
    figure.tight_layout()
    return figure


def plot_seeds(
    runs: Mapping[str, Sequence[dict]], metric: str = "accuracy", axis: "Axes | None" = None
) -> "Axes":
    """Plot a metric against the epoch for groups of runs.

    A line shows the mean, and a band extends from the lowest to the highest seed.

    Args:
        runs: Lists of records (from `helpers.records`) by label.
        metric: A metric in the records' history.
        axis: Axes to plot into; a new figure by default.

    Returns:
        The axes.
    """
    use_style()
    axis = axis or plt.subplots(figsize=(9, 3.2))[1]
    for label, records in runs.items():
        values = np.array([record["history"][metric] for record in records])
        line = _plot_by_epoch(axis, values.mean(axis=0), label, "o")
        axis.fill_between(
            line.get_xdata(),
            values.min(axis=0),
            values.max(axis=0),
            color=line.get_color(),
            alpha=0.18,
            linewidth=0,
        )
    axis.set(ylabel=metric.replace("val_", "validation "), ylim=(0, 1.02))
    axis.legend(loc="upper left", bbox_to_anchor=(1, 0.7))
    axis.figure.tight_layout()
    return axis


def _plot_by_epoch(axis, values, label, marker):
    """Plot one value per epoch, from 1 on; return the line."""
    marker = marker if len(values) <= 20 else None  # more markers would overlap
    (line,) = axis.plot(
        np.arange(len(values)) + 1, values, marker=marker, markersize=3, label=label
    )
    axis.set_xlabel("Epoch")
    axis.xaxis.get_major_locator().set_params(integer=True)
    return line


def plot_scores(scores: Mapping[str, Sequence[float]], label: str) -> "Axes":
    """Plot groups of scores, such as those of several seeds, as rows of dots with their mean.

    Args:
        scores: Lists of numbers by label, in the order of the rows.
        label: The label of the numbers' axis.

    Returns:
        The axes.
    """
    use_style()
    _, axis = plt.subplots(figsize=(9, 0.8 + 0.36 * len(scores)))
    for row, values in enumerate(scores.values()):
        axis.plot(values, np.full(len(values), row), "o", color=BLUE, alpha=0.6, markeredgewidth=0)
        axis.plot(np.mean(values), row, "|", color=ORANGE, markersize=18, markeredgewidth=2.5)
    _name_rows(axis, scores)
    axis.set_xlabel(label)
    axis.grid(axis="y", color="#e4e2dc")
    axis.set_axisbelow(True)
    axis.figure.tight_layout()
    return axis


def plot_confusion_matrix(
    actual: Sequence[int], predicted: Sequence[int], labels: Sequence[str], title: str
) -> "Axes":
    """Plot how many clips of each class (rows) were predicted as each class (columns).

    Args:
        actual: True class indices `(n_clips,)`.
        predicted: Predicted class indices `(n_clips,)`.
        labels: Names of the classes by index.
        title: Title of the plot.

    Returns:
        The axes.
    """
    use_style()
    counts = confusion_matrix(actual, predicted, labels=range(len(labels)))
    # With many classes numbers would be illegible: shades only, and small names.
    many = len(labels) > 30
    size = 10 if many else 2.2 + 0.45 * len(labels)
    _, axis = plt.subplots(figsize=(size + 0.6, size))
    shown = None if many else np.where(counts == 0, "", counts.astype(str))
    sns.heatmap(
        counts,
        annot=shown,
        fmt="",
        cmap="Blues",
        vmin=0,
        square=True,
        cbar=False,
        linewidths=0 if many else 1,
        linecolor="#e4e2dc",
        xticklabels=labels,
        yticklabels=labels,
        ax=axis,
    )
    axis.set(title=title, xlabel="Predicted action", ylabel="Actual action")
    axis.tick_params(labelsize=6 if many else None)
    axis.tick_params(axis="x", rotation=90 if many else 45, length=0)
    if not many:
        plt.setp(axis.get_xticklabels(), ha="right", rotation_mode="anchor")
    axis.tick_params(axis="y", rotation=0, length=0)
    axis.figure.tight_layout()
    return axis


def plot_precision_recall(precision: Mapping[str, float], recall: Mapping[str, float]) -> "Axes":
    """Plot precision and recall by class; an undefined value (nan) has no marker.

    Args:
        precision: Floats by class.
        recall: Floats by class, for the same classes.

    Returns:
        The axes.
    """
    use_style()
    names = list(precision)
    rows = np.arange(len(names))
    _, axis = plt.subplots(figsize=(7, 1 + 0.32 * len(names)))
    _name_rows(axis, names)
    axis.hlines(rows, list(precision.values()), list(recall.values()), color=GREY, linewidth=1)
    axis.plot(list(precision.values()), rows, "o", color=BLUE, label="precision")
    axis.plot(
        list(recall.values()),
        rows,
        "D",
        color=ORANGE,
        markerfacecolor="none",
        markersize=9,
        label="recall",
    )
    axis.set_xlim(-0.02, 1.05)
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    axis.figure.tight_layout()
    return axis


def plot_reliability(
    confidence: Sequence[float], accuracy: Sequence[float], n_clips: Sequence[int]
) -> "Axes":
    """Plot a reliability diagram: accuracy against confidence, with the diagonal of calibration.

    Args:
        confidence: Mean confidence by bin.
        accuracy: Fraction of correct predictions by bin.
        n_clips: Clips by bin; a marker's area grows with their number, which is printed beside it.

    Returns:
        The axes.
    """
    use_style()
    _, axis = plt.subplots(figsize=(4.6, 4.4))
    axis.plot([0, 1], [0, 1], ":", color=GREY)
    axis.vlines(confidence, confidence, accuracy, color=ORANGE, linewidth=1.5)
    axis.scatter(confidence, accuracy, s=30 + 4 * np.asarray(n_clips), color=BLUE, zorder=2)
    for x, y, number in zip(confidence, accuracy, n_clips):
        axis.annotate(str(number), (x, y), (9, -11), textcoords="offset points", fontsize=8)
    axis.set(
        xlim=(0, 1.04),
        ylim=(-0.04, 1.06),
        xlabel="confidence",
        ylabel="fraction correct",
        aspect="equal",
    )
    axis.figure.tight_layout()
    return axis


def plot_against(
    scores: Mapping[str, Mapping[float, Sequence[float]]], xlabel: str, ylabel: str
) -> "Axes":
    """Plot scores of several seeds against a variable: a dot for each, a line through the means.

    Args:
        scores: By label, lists of scores by the value of the variable.
        xlabel: Label of the variable.
        ylabel: Label of the scores.

    Returns:
        The axes.
    """
    use_style()
    _, axis = plt.subplots(figsize=(9, 3.6))
    for (label, values), marker in zip(scores.items(), itertools.cycle("os^D")):
        (line,) = axis.plot(values.keys(), [np.mean(made) for made in values.values()], label=label)
        for x, made in values.items():
            axis.plot(
                [x] * len(made), made, marker, color=line.get_color(), alpha=0.6, markeredgewidth=0
            )
    axis.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, 1.03))
    axis.legend(loc="upper left", bbox_to_anchor=(1, 0.7))
    axis.figure.tight_layout()
    return axis


def plot_over_time(
    prediction: "Prediction", actions: Iterable[tuple[float, float, str]] = ()
) -> "Axes":
    """Plot the probability of each class over time, with a row per class; darker is more likely.

    Args:
        prediction: A prediction from `helpers.predict.predict_video`.
        actions: The true actions, outlined: `(begin, end, class name)` with times in seconds.

    Returns:
        The axes.
    """
    use_style()
    names = prediction.class_names
    figure, axis = plt.subplots(figsize=(9, 1.2 + 0.28 * len(names)))
    rows = np.arange(len(names) + 1) - 0.5
    shades = axis.pcolormesh(
        prediction.boundaries,
        rows,
        prediction.probabilities.T,
        cmap="Blues",
        vmin=0,
        vmax=1,
        edgecolors=PAPER,
        linewidth=1,
    )
    _name_rows(axis, names)
    axis.set_ylim(len(names) - 0.5, -0.5)  # no margin above and below
    for begin, end, name in actions:
        corner = (begin, names.index(name) - 0.5)
        style = {"fill": False, "edgecolor": ORANGE, "linewidth": 2, "clip_on": False, "zorder": 3}
        axis.add_patch(plt.Rectangle(corner, end - begin, 1, **style))
    axis.set(xlabel="seconds", xlim=(0, prediction.length))
    figure.colorbar(shades, ax=axis, label="probability", pad=0.02).outline.set_visible(False)
    figure.tight_layout()
    return axis


def overlay_map(frames: np.ndarray, maps: np.ndarray, top: float | None = None) -> np.ndarray:
    """Overlay a map in orange on frames in pale grey, with a dark contour at half of its maximum.

    Args:
        frames: uint8 `(..., height, width, 3)`.
        maps: float `(..., height, width)`, 0 or more.
        top: The value of full colour; by default the value that one pixel in a hundred exceeds.

    Returns:
        uint8 frames in the shape of `frames`.
    """
    # Discrete steps make smaller files than a continuous scale.
    strength = (
        np.round(12 * np.clip(maps / (top or np.quantile(maps, 0.99) or 1), 0, 1))[..., None] / 12
    )
    grey = frames @ np.array([0.299, 0.587, 0.114])
    pale = np.repeat(255 - 0.75 * (255 - grey[..., None]), 3, axis=-1)
    colour = np.array([int(ORANGE[i : i + 2], 16) for i in (1, 3, 5)])
    shown = pale + 0.75 * strength * (colour - pale)
    high = np.pad(strength[..., 0] >= 0.5, [(0, 0)] * (maps.ndim - 2) + [(1, 1), (1, 1)], "edge")
    inside = high[..., 1:-1, 1:-1]
    edge = inside & ~(
        high[..., 2:, 1:-1] & high[..., :-2, 1:-1] & high[..., 1:-1, 2:] & high[..., 1:-1, :-2]
    )
    return np.where(edge[..., None], 40, shown).round().astype(np.uint8)


def plot_filters(rows: Mapping[str, np.ndarray]) -> "Figure":
    """Plot spatial filters as images, each with its own scale.

    A weight of zero is grey; a positive weight brightens its colour.

    Args:
        rows: Kernels `(height, width, 3, n_filters)` by label.

    Returns:
        The figure.
    """
    use_style()
    columns = max(kernel.shape[-1] for kernel in rows.values())
    figure, axes = plt.subplots(
        len(rows), columns, figsize=(9, (9 / columns + 0.3) * len(rows)), squeeze=False
    )
    for (label, kernel), strip in zip(rows.items(), axes):
        for axis, weights in zip(strip, np.moveaxis(kernel, -1, 0)):
            axis.imshow(0.5 + 0.5 * weights / np.abs(weights).max())
        strip[0].set_title(label, fontsize=9)
    for axis in axes.flat:
        axis.axis("off")
    figure.subplots_adjust(
        left=0.01, right=0.99, top=1 - 0.25 / figure.get_figheight(), bottom=0.01, wspace=0.1
    )
    return figure


def plot_temporal_filters(rows: Mapping[str, np.ndarray]) -> "Figure":
    """Plot temporal filters as curves over the frames.

    Each output channel has a panel and each input channel a curve. In each panel, the curve that is
    strongest in the first row is bold.

    Args:
        rows: Kernels `(time, n_inputs, n_outputs)` by label.

    Returns:
        The figure.
    """
    use_style()
    columns = max(kernel.shape[-1] for kernel in rows.values())
    bold = np.abs(next(iter(rows.values()))).max(axis=0).argmax(axis=0)
    figure, axes = plt.subplots(
        len(rows), columns, figsize=(9, 1.15 * len(rows)), sharex=True, sharey=True, squeeze=False
    )
    for (label, kernel), strip in zip(rows.items(), axes):
        offsets = np.arange(len(kernel)) - len(kernel) // 2
        for axis, curves, chosen in zip(strip, np.moveaxis(kernel, -1, 0), bold):
            axis.axhline(0, color="#c9c6bd", linewidth=0.8)
            axis.plot(offsets, curves, color=GREY, linestyle="-", linewidth=0.5, alpha=0.6)
            axis.plot(offsets, curves[:, chosen], color=BLUE, linestyle="-", linewidth=1.8)
            axis.axis("off")
        strip[0].set_title(label, fontsize=9)
    figure.subplots_adjust(
        left=0.01,
        right=0.99,
        top=1 - 0.25 / figure.get_figheight(),
        bottom=0.02,
        wspace=0.15,
        hspace=0.5,
    )
    return figure
