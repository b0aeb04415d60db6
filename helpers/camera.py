"""A video from the reader's camera or disk into Colab, which runs elsewhere. Taught in the chapter *Try your own video*."""

import base64
import importlib
import pathlib

from helpers.atomic import atomic_write, locked

# A function in JavaScript from seconds to a data URL, or to what went wrong.
RECORD = (pathlib.Path(__file__).parent / "assets" / "camera.js").read_text()


class CameraError(Exception):
    """Nothing was recorded or uploaded; the message says why, and what to do."""


def record_from_camera(path="camera.webm", seconds=5):
    """Record a video with the camera of the computer or phone that shows this notebook in Colab, without sound.

    Args:
        path: Where it goes. The browser decides on the format, and OpenCV goes by content, so any name will do.
        seconds: How long, after a count of three.

    Returns:
        The path.

    Raises:
        CameraError: This is not Colab, or there is no camera, or it may not be used.
    """
    answer = _colab("output").eval_js(f"({RECORD})({seconds})")
    kind, _, data = answer.partition(";base64,")
    if not (kind.startswith("data:") and data):
        raise CameraError(
            f"The camera recorded nothing ({answer[:200]}); allow the page to use it, or upload a file."
        )
    path = pathlib.Path(path)
    with locked(path.parent), atomic_write(path) as temp_path:
        temp_path.write_bytes(base64.b64decode(data))
    return path


def upload():
    """Ask for a file of the computer or phone that shows this notebook in Colab, and copy it into the current folder.

    Returns:
        Its path.

    Raises:
        CameraError: This is not Colab, or no file was chosen.
    """
    files = _colab("files").upload()
    if not files:
        raise CameraError("No file was chosen; run the cell again to choose one.")
    return pathlib.Path(next(iter(files)))


def _colab(module):
    try:
        return importlib.import_module(f"google.colab.{module}")
    except ImportError as error:
        raise CameraError(
            "Camera and upload work in Colab only; elsewhere, record with the camera's own program and name the file."
        ) from error
