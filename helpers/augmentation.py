"""Chance changes that leave the action what it is. Taught in the chapter *Feed the GPU*."""

import dataclasses
import re

import cv2
import numpy as np


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Changes a clip at random, all its frames alike: a change from frame to frame would look like motion.

    Args:
        flip: Whether to mirror every other clip, except those of classes that left and right tell apart.
        crop: The smallest share of height and width that is shown, from 0 to 1; 1 shows all. What is cut out is enlarged to
            the full size.
        colour: By how much of itself the brightness may change, from 0 to 1; besides, red, green and blue each by half as much.
            Black stays black.
        sided: Classes that are never mirrored, besides those whose names say left or right.
    """

    flip: bool = True
    crop: float = 0.8
    colour: float = 0.2
    sided: tuple = ()

    def __post_init__(self):
        if not 0 < self.crop <= 1 or not 0 <= self.colour <= 1:
            raise ValueError(
                f"crop is above 0 and at most 1, colour from 0 to 1, not {self.crop} and {self.colour}."
            )

    def __call__(self, frames, class_name, seed=None, out=None):
        """Return a changed copy of a clip.

        Args:
            frames: uint8 RGB `(n_frames, height, width, 3)`.
            class_name: The clip's class.
            seed: What `numpy.random.default_rng` takes; the same seed gives the same change.
            out: Where the copy goes, uint8 of the same shape; a new array where none is given.

        Returns:
            uint8 RGB of the same shape.

        Raises:
            ValueError: `out` can't hold the copy.
        """
        rng = np.random.default_rng(seed)
        share, down, right = rng.uniform(self.crop, 1), rng.random(), rng.random()
        mirror = rng.random() < 0.5
        brightness, *tint = 1 + self.colour * rng.uniform(-1, 1, size=4) * (1, 0.5, 0.5, 0.5)
        changed = crop_and_resize(
            frames, share, down, right, out if _is_plain(out, frames) else None
        )
        # OpenCV takes one picture: the frames stand on top of each other. What it gives goes where
        # they were.
        pile = changed.reshape(-1, *frames.shape[2:])
        if self.flip and mirror and not (is_directional(class_name) or class_name in self.sided):
            cv2.flip(pile, 1, dst=pile)
        if self.colour:
            cv2.transform(pile, np.diag(brightness * np.array(tint)), dst=pile)
        return _put(changed, out)


def is_directional(class_name):
    """Return whether a class's name says left or right, as in `"WalkLeft"` or `"turn_right"`: its mirror image is another action."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", class_name)
    return any(word.lower() in ("left", "right") for word in words)


def crop_and_resize(frames, share, down, right, out=None):
    """Cut the same window out of all frames and enlarge it to their size.

    Args:
        frames: uint8 `(n_frames, height, width, 3)`.
        share: Height and width of the window as a share of the frames', above 0 and at most 1.
        down: Where it lies between top, 0, and bottom, 1.
        right: Where it lies between left, 0, and right, 1.
        out: Where the result goes, uint8 of the same shape; a new array where none is given.

    Returns:
        uint8 of the same shape.

    Raises:
        ValueError: `out` can't hold the result.
    """
    height, width = frames.shape[1:3]
    inner_height, inner_width = max(1, round(height * share)), max(1, round(width * share))
    top, left = round((height - inner_height) * down), round((width - inner_width) * right)
    windows = frames[:, top : top + inner_height, left : left + inner_width]
    result = out if _is_plain(out, frames) else np.empty(frames.shape, np.uint8)
    for window, enlarged in zip(windows, result):
        cv2.resize(window, (width, height), dst=enlarged, interpolation=cv2.INTER_LINEAR)
    return _put(result, out)


def _is_plain(out, frames):
    """Return whether OpenCV can write a clip's frames right into an array; where it can't, it may write elsewhere without a word."""
    fits = isinstance(out, np.ndarray) and out.dtype == np.uint8 and out.shape == frames.shape
    fits = fits and out.flags.c_contiguous and out.flags.writeable
    return fits and not np.may_share_memory(out, frames)


def _put(result, out):
    """Return a result in the place that was asked for."""
    if out is None or out is result:
        return result
    if (
        not isinstance(out, np.ndarray)
        or out.dtype != np.uint8
        or out.shape != result.shape
        or not out.flags.writeable
    ):
        is_given = (
            f"{out.dtype} {out.shape}{'' if out.flags.writeable else ', read-only'}"
            if isinstance(out, np.ndarray)
            else type(out).__name__
        )
        raise ValueError(
            f"out is uint8 {result.shape}, like the frames, and can be written to, not {is_given}."
        )
    out[...] = result
    return out
