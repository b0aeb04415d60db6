"""Small videos as programs other than OpenCV write them, made with FFmpeg through PyAV.

The frames show their numbers (see `conftest.draw_numbers`), stretched over the complete frame. A
white bar at the top and another at the bottom, the number of clip 255, show where a frame ends.
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
        numbers: The number on each frame.
        seconds: The time at which each frame is shown.
        size: `(height, width)` in pixels of an upright frame with square pixels.
    """

    path: pathlib.Path
    numbers: list[int]
    seconds: list[float]
    size: tuple[int, int]


def draw(number, size):
    """Return an RGB image `(*size, 3)` that shows a number."""
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
    """Write RGB or RGBA images as a video; return its path.

    Args:
        path: The file; its suffix determines the container format.
        codec: FFmpeg's name of the encoder.
        images: uint8 images of one size.
        seconds: Time of each frame, a multiple of a millisecond; None means 25 frames per second.
        pixels: FFmpeg's name of the pixel format.
        aspect: Width of a pixel divided by its height.
        turn: Counter-clockwise rotation by the player, in degrees.
        options: FFmpeg's options for the encoder.
        container: FFmpeg's options for the container format.
    """
    container_options = {name: str(value) for name, value in container.items()}
    with av.open(str(path), "w", options=container_options) as file:
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
    """Write an ordinary video, of which only the codec or the container may be unusual."""
    write(path, codec, [draw(i, size) for i in range(n_frames)], **settings)
    return Shown(path, list(range(n_frames)), even_seconds(n_frames), size)


def trimmed(path, codec="libx264", first=41, n_frames=50):
    """Cut off the beginning without encoding again, as `ffmpeg -ss ... -c copy` and phones do.

    The frames from the last key frame before the cut remain, at negative times, and an edit list
    hides them.
    """
    uncut = path.with_stem("uncut")
    plain(uncut, codec, first + n_frames)
    with av.open(str(uncut)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.pts is not None:
                shift = round(first / FPS / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = stream
                target.mux(packet)
    return Shown(path, list(range(first, first + n_frames)), even_seconds(n_frames), (64, 64))


def dark(path, codec="mpeg2video", level=0, n_dark=25, size=(240, 320)):
    """Begin with sensor noise in the dark (level 0) or on a white card (255)."""
    rng = np.random.default_rng(0)
    noise = [level ^ rng.integers(0, 2, (*size, 3), dtype=np.uint8) for _ in range(n_dark)]
    # At a constant bit rate, the encoder pads these frames, which hardly need any bytes.
    rate = {"b": "3M", "minrate": "3M", "maxrate": "3M", "bufsize": "3M"}
    if codec == "libx264":
        rate["x264-params"] = "nal-hrd=cbr"
    write(path, codec, noise + [draw(i, size) for i in range(n_dark, 50)], options=rate)
    numbers = [CLIP * (level > 0)] * n_dark + list(range(n_dark, 50))
    return Shown(path, numbers, even_seconds(50), size)


def anamorphic(
    path, codec="libx264", stored=(144, 176), aspect=Fraction(16, 11), n_frames=25, **settings
):
    """Write pixels that are not square, as on DVDs and from camcorders and some phones."""
    write(path, codec, [draw(i, stored) for i in range(n_frames)], aspect=aspect, **settings)
    size = (stored[0], round(stored[1] * aspect))
    return Shown(path, list(range(n_frames)), even_seconds(n_frames), size)


def rotated(path, degrees=90, codec="libx264", shown=(160, 96), aspect=Fraction(1), n_frames=25):
    """Store the rotation instead of rotating the frames; `aspect` makes the pixels not square."""
    rotated = (np.rot90(draw(i, shown), -degrees // 90) for i in range(n_frames))
    images = [np.ascontiguousarray(image) for image in rotated]
    write(path, codec, images, turn=degrees, aspect=aspect)
    height, width = shown
    size = (round(height * aspect), width)
    if degrees % 180 == 0:
        size = (height, round(width * aspect))
    return Shown(path, list(range(n_frames)), even_seconds(n_frames), size)


def at_times(path, seconds, codec="libx264", **settings):
    """Show frames at given times in seconds, the first at 0."""
    write(path, codec, [draw(i, (64, 64)) for i in range(len(seconds))], seconds, **settings)
    return Shown(path, list(range(len(seconds))), seconds, (64, 64))


def variable_rate(path, codec="libx264", **settings):
    """Write 30 frames per second, then 10 when it gets dark, then 60, as phones do."""
    steps = [0.033] * 20 + [0.1] * 10 + [0.017] * 20
    seconds = [round(second, 3) for second in np.cumsum([0, *steps]).tolist()]
    return at_times(path, seconds, codec, **settings)


def pausing(path, codec="libx264", pause=12, **settings):
    """Pause for some seconds without a frame, as a camera with a motion detector does."""
    seconds = [round(i / FPS + pause * (i >= 30), 3) for i in range(60)]
    return at_times(path, seconds, codec, **settings)


def transparent(path, codec="libvpx-vp9", pixels="yuva420p", n_frames=25, size=(64, 64)):
    """Write black areas as transparent, with an alpha channel."""
    images = (draw(i, size) for i in range(n_frames))
    write(path, codec, [np.dstack([image, image[..., 0]]) for image in images], pixels=pixels)
    return Shown(path, list(range(n_frames)), even_seconds(n_frames), size)
