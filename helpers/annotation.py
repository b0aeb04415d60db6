"""Draw predictions into a copy of a video. Taught in *Try your own video*."""

import functools
import os
import unicodedata
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import font_manager, ft2font
from PIL import Image, ImageDraw, ImageFont

from helpers import video
from helpers.playback import Playback, check_target, constant_frame_rate, write_video

if TYPE_CHECKING:
    from helpers.predict import Prediction

# The largest side of an annotated copy in pixels.
_LARGEST = 1280


def annotate(
    prediction: "Prediction",
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    top: int = 3,
) -> None:
    """Write a copy of a video, without sound, that shows the most likely classes over time.

    Args:
        prediction: The prediction for the video, from `helpers.predict.predict_video`.
        source: The video.
        target: The copy, `.mp4` or `.avi`. Its frames have the source's size, up to 1280 pixels at
            the larger side, and the source's mean frame rate. If the source's frames change in
            size, they are letterboxed to the size of the first.
        top: Number of classes shown.

    Raises:
        VideoReadError: The source can't be read.
        ValueError: The target is the source or ends otherwise, or no font can draw a class name.
        OSError: The target can't be written.
    """
    check_annotation(target, source, prediction.class_names)
    fps = prediction.n_frames / prediction.length
    write_video(target, constant_frame_rate(_annotated(prediction, source, top), fps), fps)


def check_annotation(
    target: str | os.PathLike[str], source: str | os.PathLike[str], class_names: Iterable[str]
) -> None:
    """Raise a ValueError if an annotated copy can't have this name, or a class can't be drawn."""
    check_target(target, source)
    for name in class_names:
        find_font(name)


def _annotated(prediction, source, top) -> Iterator[tuple[float, np.ndarray]]:
    """Yield the time of each frame of a video, and the frame with a panel on it."""
    playback, size = Playback(source), None
    current, panel = None, np.empty((0, 0, 3), np.uint8)
    for second in playback:
        frame = playback.frame()
        if max(frame.shape) > _LARGEST:
            frame = video.resize_to_fit(frame, (_LARGEST, _LARGEST))
        size = size or frame.shape[:2]
        if frame.shape[:2] != size:  # Some cameras rotate during a recording.
            frame = video.letterbox(frame, size)
        window = _window_at(prediction, second)
        if window != current:
            current, panel = window, _draw_panel(prediction.top(top, window), frame.shape)
        height, width = panel.shape[:2]
        corner = frame[-height:, :width]
        # Dark enough for white text on any video, and clear enough to show what is behind it.
        corner[...] = np.where(panel > 0, panel, corner // 4)
        yield second, frame


def _window_at(prediction, second):
    """Return the index of the window that counts at a time."""
    index = np.searchsorted(prediction.boundaries, second, side="right") - 1
    return int(np.clip(index, 0, len(prediction.seconds) - 1))


def _draw_panel(classes, shape):
    """Return an image of names, bars and probabilities; black parts show the video."""
    row = max(12, round(min(shape[:2]) / 14))
    width, height = min(shape[1], 15 * row), min(shape[0], row * len(classes) + row // 2)
    image = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(image)
    for i, (name, probability) in enumerate(classes):
        top = row // 4 + i * row
        left, high, low = row // 2, top + row // 8, top + row * 3 // 4
        draw.rectangle((left, high, left + 3 * row, low), outline="#8a8f98")
        draw.rectangle((left, high, left + 3 * row * probability, low), fill="#ffffff")
        label = unicodedata.normalize("NFC", " ".join(name.split()))
        # The two texts may need two fonts: one of another script may lack digits.
        for column, text in ((4, f"{probability:.2f}"), (6.2, label)):
            font = ImageFont.truetype(find_font(text), 0.8 * row)
            draw.text((column * row, top), text, fill="#ffffff", font=font)
    return np.array(image)


@functools.lru_cache(maxsize=1024)
def find_font(text: str) -> str:
    """Return the file of a font that has all characters of a text.

    Matplotlib's own font comes first, then the fonts of this machine.

    Raises:
        ValueError: No font has them all.
    """
    characters = {
        ord(character)
        for character in unicodedata.normalize("NFC", text)
        if unicodedata.category(character) not in ("Zs", "Cc", "Cf")
    }
    own = font_manager.findfont("DejaVu Sans")
    for file in (own, *sorted(font_manager.findSystemFonts())):
        if characters <= _characters(file):
            return file
    missing = characters - _characters(own)
    raise ValueError(
        f"{text!r} can't be drawn, because no font of this machine has {chr(min(missing))!r}; "
        "install one that has it, such as Noto (on Debian and Ubuntu: apt install fonts-noto "
        "fonts-noto-cjk), or rename the classes with --classes."
    )


@functools.cache
def _characters(file):
    """Return the code points of the characters in a font; none if the font can't be used."""
    try:
        ImageFont.truetype(file, 16)
        return ft2font.FT2Font(file).get_charmap().keys()
    except (OSError, RuntimeError):
        return set()
