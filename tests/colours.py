"""Videos of one colour, and a network that predicts the dominant colour, so its answer is known."""

import struct

import cv2
import keras
import numpy as np
from PIL import Image

from helpers.predict import Classifier

COLOURS = ["red", "green", "blue"]
RGB = dict(zip(COLOURS, np.eye(3)))


def colour_model(n_frames=10, height=8, width=8):
    """Return a network whose logits are the means of red, green and blue, times 8."""
    inputs = keras.Input((n_frames, height, width, 3), dtype="uint8")
    x = keras.layers.Rescaling(8 / 255)(inputs)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling3D()(x))


def colour_classifier():
    """Return a classifier of ten frames, a fifth of a second apart: its window lasts 1.8 s."""
    return Classifier(colour_model(), COLOURS, 0.2)


def plain(colour, n_frames, height=48, width=64):
    """Return frames of one colour."""
    return [np.full((height, width, 3), 200 * RGB[colour] + 20, np.uint8)] * n_frames


def write(path, images, code, fps=25):
    """Write images with OpenCV's FFmpeg in the container of the file extension; return the path."""
    height, width = images[0].shape[:2]
    fourcc = cv2.VideoWriter_fourcc(*code)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, fps, (width, height))
    assert writer.isOpened()
    for image in images:
        writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def write_gif(path, images, milliseconds):
    """Write images as a GIF, each with a duration of its own; return the path."""
    first, *others = map(Image.fromarray, images)
    first.save(path, save_all=True, append_images=others, duration=milliseconds, loop=0)
    return path


def rotate(path):
    """Write a rotation by 90 degrees into an MP4 file, as phones held upright do."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 44
    content[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path
