"""Diagrams of convolutions and networks. Used in *Count parameters* and *Build the model*."""

import itertools
import pathlib
from typing import TYPE_CHECKING, Any

import keras
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML
from matplotlib.patches import FancyArrowPatch, Polygon

from helpers.plots import BLUE, GREY, INK, ORANGE, use_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_convolutions() -> "Figure":
    """Draw the receptive field of one output of a 2D, a 3D and a (2+1)D convolution.

    Returns:
        The figure.
    """
    use_style()
    square = list(itertools.product((1, 2, 3), (1, 2, 3)))
    panels = {
        "2D: 9 pixels of one frame": {2: (square, ORANGE)},
        "3D: 27 pixels, of three frames": dict.fromkeys((1, 2, 3), (square, ORANGE)),
        "(2+1)D, step 1: 9 pixels of one frame": {2: (square, ORANGE)},
        "(2+1)D, step 2: 3 of these results, one per frame": {
            t: ([(2, 2)], BLUE) for t in (1, 2, 3)
        },
    }
    figure, axes = plt.subplots(2, 2, figsize=(9, 4.2))
    for axis, (title, seen) in zip(axes.flat, panels.items()):
        for time in range(5):
            _draw_frame(axis, time, *seen.get(time, ([], None)))
        axis.annotate("", (15, -0.5), (0, -0.5), arrowprops={"arrowstyle": "->", "color": GREY})
        axis.text(7.5, -1.1, "time", color=GREY, ha="center", va="center")
        axis.set(title=title, xlim=(-0.3, 15.4), ylim=(-1.6, 4.4), aspect="equal")
        axis.axis("off")
    figure.tight_layout()
    return figure


def _draw_frame(axis, time, seen, colour):
    """Draw a frame of 5 x 5 pixels in an oblique view, with the pixels of the field filled."""
    for row, column in itertools.product(range(5), range(5)):
        fill = colour if (row, column) in seen else "white"
        corners = np.array([(0, 0), (0.44, 0.14), (0.44, 0.74), (0, 0.6)]) + (
            3.1 * time + 0.44 * column,
            0.6 * row + 0.14 * column,
        )
        axis.add_patch(Polygon(corners, facecolor=fill, edgecolor=INK, linewidth=0.7))


def explore_convolutions() -> HTML:
    """Show an interactive figure of the cost and the receptive field of a convolution.

    The reader chooses kernel size and channels. The figure's script repeats the formulas of
    `helpers.counting`, so it works on a page without a kernel.

    Returns:
        An `IPython.display.HTML` that contains the figure.
    """
    return HTML(
        (pathlib.Path(__file__).parent / "assets" / "explorer.html").read_text(encoding="utf-8")
    )


def draw_network(model: keras.Model) -> "Figure":
    """Draw a network as a column of volumes, with its shortcuts on the left.

    A row contains the layers up to the beginning of the next residual block, or to the last volume.

    Args:
        model: A functional network for videos.

    Returns:
        The figure.
    """
    use_style()
    rows = _rows(model)
    first = model.layers[0].output.shape
    figure, axis = plt.subplots(figsize=(8.6, 0.9 * len(rows) + 0.3))
    for i, (layers, shortcut) in enumerate(rows):
        y = -1.6 * i
        shape = layers[-1].output.shape
        _draw_volume(axis, y, shape, first)
        axis.text(
            2.1,
            y - 0.66,
            " × ".join(map(str, shape[1:])),
            ha="center",
            va="center",
            fontsize=8,
            color="#5c626b",
        )
        axis.text(4.2, y + 0.05, _wrap(layers), va="center", fontsize=8.5)
        if shortcut is not None:
            style: dict[str, Any] = {
                "arrowstyle": "-|>",
                "mutation_scale": 9,
                "color": BLUE,
                "connectionstyle": "arc3,rad=0.5",
            }
            axis.add_patch(FancyArrowPatch((0.5, y + 1.55), (0.5, y + 0.1), **style))
            text = "\n".join(map(_label, shortcut)) or "unchanged"
            axis.text(-0.1, y + 0.85, text, ha="right", va="center", fontsize=8, color=BLUE)
    axis.set(xlim=(-3.1, 15.2), ylim=(-1.6 * len(rows) + 0.6, 0.9))
    axis.axis("off")
    figure.tight_layout()
    return figure


def _rows(model):
    """Return `(layers, shortcut)` of each row: its layers on the main branch, and those around it.

    The shortcut is None where there is none.
    """
    maker = {id(layer.output): layer for layer in model.layers}
    sources = {
        layer: [maker[id(x)] for x in keras.tree.flatten(layer.input)] for layer in model.layers[1:]
    }
    used = [source for layer in sources for source in sources[layer]]

    def path_from_fork(layer):
        return [] if used.count(layer) > 1 else [*path_from_fork(sources[layer][0]), layer]

    shortcuts = {
        layer: path_from_fork(sources[layer][0])
        for layer in sources
        if isinstance(layer, keras.layers.Add)
    }
    on_shortcuts = {layer for path in shortcuts.values() for layer in path}
    rows: list[list] = [[]]
    for layer in model.layers:
        if layer in on_shortcuts:
            continue
        if rows[-1] and (
            used.count(rows[-1][-1]) > 1 or isinstance(layer, keras.layers.GlobalAveragePooling3D)
        ):
            rows.append([])
        rows[-1].append(layer)
    return [
        (row, next((shortcuts[layer] for layer in row if layer in shortcuts), None)) for row in rows
    ]


def _draw_volume(axis, y, shape, largest):
    """Draw an output as a stack of frames, or logits as a bar.

    Args:
        axis: Axes to draw into.
        y: Vertical position.
        shape: `(batch, time, height, width, channels)`, or the shape of logits.
        largest: The shape of the network's input.
    """
    if len(shape) != 5:
        axis.add_patch(
            Polygon(
                [(1.6, y - 0.1), (2.6, y - 0.1), (2.6, y + 0.1), (1.6, y + 0.1)],
                facecolor=ORANGE,
                edgecolor=INK,
            )
        )
        return
    side = 1.0 * (shape[2] / largest[2]) ** 0.5
    for time in reversed(range(shape[1])):
        left = 2.1 - side / 2 + (time - shape[1] / 2) * 0.13
        corners = np.array([(0, -0.5), (1, -0.38), (1, 0.5), (0, 0.38)]) * side + (left, y)
        axis.add_patch(
            Polygon(
                corners,
                facecolor=plt.cm.Blues(0.15 + 0.5 * np.log2(shape[-1]) / 8),
                edgecolor=INK,
                linewidth=0.6,
            )
        )


def _label(layer):
    """Return the name of a layer in a diagram."""
    config = layer.get_config()
    kind = {"2plus1d": "(2+1)D", "3d": "3D", "2d": "2D"}.get(config.get("conv"))
    kernel = "×".join(map(str, config.get("kernel_size", ())))
    strides = config.get("strides", (1, 1, 1))
    stride = f", stride {'×'.join(map(str, strides))}" if max(strides) > 1 else ""
    return {
        "InputLayer": "frames",
        "Rescaling": "rescale to 0…1",
        "Conv2Plus1D": f"(2+1)D convolution {kernel}{stride}",
        "Conv3D": f"convolution {kernel}{stride}",
        "BatchNormalization": "batch norm",
        "ResidualMain": f"2 × [{kind} convolution {kernel}, layer norm] with a ReLU between",
        "ResizeVideo": "resize",
        "Project": "project",
        "Add": "add",
        "GlobalAveragePooling3D": "average",
        "Dense": "dense",
    }.get(type(layer).__name__, type(layer).__name__)


def _wrap(layers, width=70):
    """Return a chain of layers as text, broken before an arrow where it gets too long."""
    lines = [_label(layers[0])]
    for label in map(_label, layers[1:]):
        if len(lines[-1]) + len(label) > width:
            lines.append("")
        lines[-1] += f" → {label}"
    return "\n".join(lines)
