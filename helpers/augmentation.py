"""Random changes to clips that keep their action. Taught in the chapter *Feed the GPU*."""

import dataclasses
import re
from collections.abc import Sequence
from typing import TypeGuard

import cv2
import numpy as np


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Flips, crops and recolours clips at random.

    All frames of a clip change alike, because a change from frame to frame would look like motion.

    Args:
        flip: Whether to flip half of the clips from left to right, except those of directional
            classes.
        crop: The smallest crop, as a fraction of the frames' height and width, above 0 and at most
            1. The crop is resized to the full size; 1 leaves clips uncropped.
        colour: The largest relative change of the brightness, from 0 to 1. In addition, red, green
            and blue change by up to half as much each. Black stays black.
        directional: Classes that are never flipped, in addition to those whose names contain the
            word left or right.

    Raises:
        ValueError: `crop` or `colour` is out of range.
    """

    flip: bool = True
    crop: float = 0.8
    colour: float = 0.2
    directional: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.crop <= 1 or not 0 <= self.colour <= 1:
            raise ValueError(
                "crop must be above 0 and at most 1, and colour from 0 to 1, "
                f"not {self.crop} and {self.colour}."
            )

    def __call__(
        self,
        frames: np.ndarray,
        class_name: str,
        seed: int | Sequence[int] | None = None,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return a randomly changed copy of a clip.

        Args:
            frames: uint8 RGB frames `(n_frames, height, width, 3)`.
            class_name: The clip's class.
            seed: Seed for `numpy.random.default_rng`; the same seed gives the same change.
            out: Array for the copy, uint8 of the same shape; None creates one.

        Returns:
            uint8 RGB frames of the same shape.

        Raises:
            ValueError: `out` can't hold the copy.
        """
        rng = np.random.default_rng(seed)
        scale, top, left = rng.uniform(self.crop, 1), rng.random(), rng.random()
        is_flipped = rng.random() < 0.5
        brightness, *tint = 1 + self.colour * rng.uniform(-1, 1, size=4) * (1, 0.5, 0.5, 0.5)
        target = out if _can_hold(out, frames) else None
        changed = crop_and_resize(frames, scale, top, left, target)
        # OpenCV takes a single image, so the frames are stacked vertically; it works in place.
        stacked = changed.reshape(-1, *frames.shape[2:])
        if self.flip and is_flipped and not self._is_directional(class_name):
            cv2.flip(stacked, 1, dst=stacked)
        if self.colour:
            cv2.transform(stacked, np.diag(brightness * np.array(tint)), dst=stacked)
        return _copy_to(out, changed)

    def _is_directional(self, class_name: str) -> bool:
        return is_directional(class_name) or class_name in self.directional


def is_directional(class_name: str) -> bool:
    """Return whether a class name contains left or right, as in `"WalkLeft"` or `"turn_right"`.

    The mirror image of such a class shows another action.
    """
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", class_name)
    return any(word.lower() in ("left", "right") for word in words)


def crop_and_resize(
    frames: np.ndarray, scale: float, top: float, left: float, out: np.ndarray | None = None
) -> np.ndarray:
    """Cut the same window out of all frames and resize it to their size.

    Args:
        frames: uint8 frames `(n_frames, height, width, 3)`.
        scale: Height and width of the window as a fraction of the frames', above 0 and at most 1.
        top: Vertical position of the window, from 0 (at the top) to 1 (at the bottom).
        left: Horizontal position of the window, from 0 (on the left) to 1 (on the right).
        out: Array for the result, uint8 of the same shape; None creates one.

    Returns:
        uint8 frames of the same shape.

    Raises:
        ValueError: `out` can't hold the result.
    """
    height, width = frames.shape[1:3]
    crop_height, crop_width = max(1, round(height * scale)), max(1, round(width * scale))
    y, x = round((height - crop_height) * top), round((width - crop_width) * left)
    windows = frames[:, y : y + crop_height, x : x + crop_width]
    result = out if _can_hold(out, frames) else np.empty(frames.shape, np.uint8)
    for window, resized in zip(windows, result):
        cv2.resize(window, (width, height), dst=resized, interpolation=cv2.INTER_LINEAR)
    return _copy_to(out, result)


def _can_hold(out: np.ndarray | None, frames: np.ndarray) -> TypeGuard[np.ndarray]:
    """Return whether OpenCV can write a clip's frames directly into an array.

    If it can't, it may write elsewhere without an error.
    """
    if not isinstance(out, np.ndarray) or out.dtype != np.uint8 or out.shape != frames.shape:
        return False
    is_plain = out.flags.c_contiguous and out.flags.writeable
    return is_plain and not np.may_share_memory(out, frames)


def _copy_to(out: np.ndarray | None, result: np.ndarray) -> np.ndarray:
    """Return a result in the requested array, or as it is if none was requested."""
    if out is None or out is result:
        return result
    if not isinstance(out, np.ndarray):
        found = type(out).__name__
    elif out.dtype == np.uint8 and out.shape == result.shape and out.flags.writeable:
        out[...] = result
        return out
    else:
        found = f"{out.dtype} {out.shape}{'' if out.flags.writeable else ', read-only'}"
    raise ValueError(f"out must be a writable uint8 array {result.shape}, not {found}.")
