"""A copy of a video with the predicted classes drawn in. Taught in the chapter *Try your own video*."""

import functools
import unicodedata

import numpy as np
from matplotlib import font_manager, ft2font
from PIL import Image, ImageDraw, ImageFont

from helpers import video
from helpers.playback import Playback, check_target, constant_frame_rate, write_video

# How many pixels the longer side of an annotated copy has at most.
_LARGEST = 1280


def annotate(prediction, source, target, top=3):
    """Write a copy of a video with the likeliest classes of each moment drawn in. Sound is not copied.

    Args:
        prediction: What `predict_video` returned for the video.
        source: The video.
        target: Where the copy goes, `.mp4` or `.avi`; its frames have the source's size, up to 1280 pixels at the longer side, and
            come at an even rate, the source's mean one. Where the source's frames change in size, they are fitted into that of the first.
        top: How many classes are shown.

    Raises:
        VideoReadError: The source can't be read.
        ValueError: The target is the source, or its name ends otherwise; or no font has the letters of a class's name.
        OSError: The target can't be written.
    """
    check_annotation(target, source, prediction.class_names)
    fps = prediction.n_frames / prediction.length
    write_video(target, constant_frame_rate(_annotated(prediction, source, top), fps), fps)


def check_annotation(target, source, class_names):
    """Raise a ValueError where an annotated copy can't be called so, or a class's name can't be drawn."""
    check_target(target, source)
    for name in class_names:
        find_font(name)


def _annotated(prediction, source, top):
    """Yield when each frame of a video is shown, and the frame with a panel on it."""
    frames, shown, panel, size = Playback(source), None, None, None
    for second in frames:
        picture = frames.picture()
        if max(picture.shape) > _LARGEST:
            picture = video.resize_to_fit(picture, (_LARGEST, _LARGEST))
        size = size or picture.shape[:2]
        if picture.shape[:2] != size:  # some cameras turn on the way
            picture = video.letterbox(picture, size)
        window = int(
            np.clip(
                np.searchsorted(prediction.borders, second, side="right") - 1,
                0,
                len(prediction.seconds) - 1,
            )
        )
        if window != shown:
            shown, panel = window, _draw_panel(prediction.top(top, window), picture.shape)
        height, width = panel.shape[:2]
        corner = picture[-height:, :width]
        # Dark, so that white writing reads on any video, and clear enough to see what is behind it.
        corner[...] = np.where(panel > 0, panel, corner // 4)
        yield second, picture


def _draw_panel(classes, shape):
    """Return a picture of names, bars and probabilities; where it is black the video is to show through."""
    row = max(12, round(min(shape[:2]) / 14))
    width, height = min(shape[1], 15 * row), min(shape[0], row * len(classes) + row // 2)
    image = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(image)
    for i, (name, probability) in enumerate(classes):
        top = row // 4 + i * row
        draw.rectangle(
            (row // 2, top + row // 8, row // 2 + 3 * row, top + row * 3 // 4), outline="#8a8f98"
        )
        draw.rectangle(
            (row // 2, top + row // 8, row // 2 + 3 * row * probability, top + row * 3 // 4),
            fill="#ffffff",
        )
        # A font of another script may lack figures.
        for left, text in (
            (4, f"{probability:.2f}"),
            (6.2, unicodedata.normalize("NFC", " ".join(name.split()))),
        ):
            draw.text(
                (left * row, top),
                text,
                fill="#ffffff",
                font=ImageFont.truetype(find_font(text), 0.8 * row),
            )
    return np.array(image)


@functools.lru_cache(maxsize=1024)
def find_font(text):
    """Return the file of a font that has all letters of a text: Matplotlib's own, or one of this machine's.

    Raises:
        ValueError: There is none.
    """
    letters = {
        ord(letter)
        for letter in unicodedata.normalize("NFC", text)
        if unicodedata.category(letter) not in ("Zs", "Cc", "Cf")
    }
    own = font_manager.findfont("DejaVu Sans")
    for file in (own, *sorted(font_manager.findSystemFonts())):
        if letters <= _letters(file):
            return file
    lacking = letters - _letters(own)
    raise ValueError(
        f"{text!r} can't be drawn, because no font of this machine has {chr(min(lacking))!r}; install one that has it, such as Noto "
        "(on Debian and Ubuntu: apt install fonts-noto fonts-noto-cjk), or give the classes other names with --classes."
    )


@functools.cache
def _letters(file):
    """Return the numbers of the letters that a font draws; none of one that can't be used."""
    try:
        ImageFont.truetype(file, 16)
        return ft2font.FT2Font(file).get_charmap().keys()
    except (OSError, RuntimeError):
        return set()
