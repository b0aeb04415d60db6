"""Small videos as programs other than OpenCV write them, by FFmpeg through PyAV.

The frames show their numbers (see `conftest.draw_numbers`), stretched over the shown frame. A white
bar is at its
top, and another one, the number of clip 255, at its bottom, so that one sees where it ends.
"""

import pathlib
import typing
from fractions import Fraction

import av
import conftest
import cv2
import numpy as np

CLIP = 255
FPS = 25


class Shown(typing.NamedTuple):
    """What a player shows of a video.

    Attributes:
        path: The video.
        numbers: What each shown frame tells.
        seconds: When each is shown.
        size: `(height, width)` in pixels of the picture, upright, its pixels made square.
    """

    path: pathlib.Path
    numbers: list[int]
    seconds: list[float]
    size: tuple[int, int]


def draw(number, size):
    """Return an RGB image `(*size, 3)` that tells a number."""
    return cv2.resize(
        conftest.draw_numbers(number, CLIP), size[::-1], interpolation=cv2.INTER_NEAREST
    )


def even_seconds(n_frames):
    return [i / FPS for i in range(n_frames)]


def write(
    path,
    codec,
    images,
    seconds=None,
    *,
    pixels="yuv420p",
    aspect=1,
    turn=0,
    options=None,
    **container,
):
    """Write RGB images, or RGBA ones, as a video; return its path.

    Args:
        path: Its suffix says which container it is.
        codec: FFmpeg's name of the encoder.
        images: uint8 images of one size.
        seconds: When each is shown, in whole milliseconds; 25 a second if None.
        pixels: FFmpeg's name of the pixel format.
        aspect: Width of a pixel, divided by its height.
        turn: Degrees by which a player turns the picture, counter-clockwise.
        options: The encoder's options, as FFmpeg names them.
        container: The container's options.
    """
    with av.open(
        str(path), "w", options={name: str(value) for name, value in container.items()}
    ) as file:
        stream = file.add_stream(codec, FPS, options=options or {})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.sample_aspect_ratio = pixels, Fraction(aspect)
        stream.set_display_rotation(turn)
        base = Fraction(1, 1000 if seconds else FPS)
        stream.codec_context.time_base = base
        for i, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, "rgba" if image.shape[2] == 4 else "rgb24")
            frame.pts, frame.time_base = round(seconds[i] / base) if seconds else i, base
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def plain(path, codec, n_frames=50, size=(64, 64), **settings):
    """Write a video without oddities, for what is odd is its codec or its container."""
    write(path, codec, [draw(i, size) for i in range(n_frames)], **settings)
    return Shown(path, list(range(n_frames)), even_seconds(n_frames), size)


def trimmed(path, codec="libx264", first=41, n_frames=50):
    """Cut the beginning off without coding anew, as `ffmpeg -ss ... -c copy` and phones do.

    The packets from the key frame before the cut stay, at times below 0, and an edit list hides
    them.
    """
    uncut = path.with_stem("uncut")
    plain(uncut, codec, first + n_frames)
    with av.open(str(uncut)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.pts is not None:
                shift = round(first / FPS / packet.time_base)
                packet.pts, packet.dts, packet.stream = (
                    packet.pts - shift,
                    packet.dts - shift,
                    stream,
                )
                target.mux(packet)
    return Shown(path, list(range(first, first + n_frames)), even_seconds(n_frames), (64, 64))


def dark(path, codec="mpeg2video", level=0, n_dark=25, size=(240, 320)):
    """Begin with sensor noise in the dark (level 0) or of a white card (255), at one bit rate."""
    rng = np.random.default_rng(0)
    noise = [level ^ rng.integers(0, 2, (*size, 3), dtype=np.uint8) for _ in range(n_dark)]
    rate = {"b": "3M", "minrate": "3M", "maxrate": "3M", "bufsize": "3M"}
    if codec == "libx264":
        rate["x264-params"] = "nal-hrd=cbr"
    write(path, codec, noise + [draw(i, size) for i in range(n_dark, 50)], options=rate)
    return Shown(
        path, [CLIP * (level > 0)] * n_dark + list(range(n_dark, 50)), even_seconds(50), size
    )


def anamorphic(
    path, codec="libx264", stored=(144, 176), aspect=Fraction(16, 11), n_frames=25, **settings
):
    """Write pixels that are not square, as camcorders, DVDs and some phones do."""
    write(path, codec, [draw(i, stored) for i in range(n_frames)], aspect=aspect, **settings)
    return Shown(
        path, list(range(n_frames)), even_seconds(n_frames), (stored[0], round(stored[1] * aspect))
    )


def rotated(path, degrees=90, codec="libx264", shown=(160, 96), aspect=Fraction(1), n_frames=25):
    """Store the rotation instead of rotating the frames; `aspect` makes the pixels not square."""
    images = [np.rot90(draw(i, shown), -degrees // 90) for i in range(n_frames)]
    write(
        path, codec, [np.ascontiguousarray(image) for image in images], turn=degrees, aspect=aspect
    )
    height, width = shown
    size = (
        (height, round(width * aspect)) if degrees % 180 == 0 else (round(height * aspect), width)
    )
    return Shown(path, list(range(n_frames)), even_seconds(n_frames), size)


def at_times(path, seconds, codec="libx264", **settings):
    """Show frames at given seconds, of which the first is 0."""
    write(path, codec, [draw(i, (64, 64)) for i in range(len(seconds))], seconds, **settings)
    return Shown(path, list(range(len(seconds))), seconds, (64, 64))


def variable_rate(path, codec="libx264", **settings):
    """Write 30 frames a second, then 10 when it gets dark, then 60, as phones do."""
    steps = [0.033] * 20 + [0.1] * 10 + [0.017] * 20
    return at_times(
        path, [round(second, 3) for second in np.cumsum([0, *steps]).tolist()], codec, **settings
    )


def pausing(path, codec="libx264", pause=12, **settings):
    """Write no frame for some seconds, as a camera does that waits for something to move."""
    return at_times(
        path, [round(i / FPS + pause * (i >= 30), 3) for i in range(60)], codec, **settings
    )


def transparent(path, codec="libvpx-vp9", pixels="yuva420p", n_frames=25, size=(64, 64)):
    """Leave out what is black, by an alpha channel."""
    images = (draw(i, size) for i in range(n_frames))
    write(path, codec, [np.dstack([image, image[..., 0]]) for image in images], pixels=pixels)
    return Shown(path, list(range(n_frames)), even_seconds(n_frames), size)
