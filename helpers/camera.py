"""Videos from the reader's camera or disk in Colab. Taught in the chapter *Try your own video*.

A notebook in Colab runs on a remote machine, so the browser must record or upload the video.
"""

import base64
import importlib
import os
import pathlib
import types

from helpers.atomic import atomic_write, locked

# A JavaScript function of the length in seconds that returns a data URL or an error message.
RECORD = (pathlib.Path(__file__).parent / "assets" / "camera.js").read_text()


class CameraError(Exception):
    """Nothing was recorded or uploaded. The message gives the reason and the remedy."""


def record_from_camera(
    path: str | os.PathLike[str] = "camera.webm", seconds: float = 5
) -> pathlib.Path:
    """Record a silent video with the camera of the device that shows this notebook in Colab.

    Args:
        path: The file to write. The browser chooses the format; the suffix does not matter, because
            OpenCV recognises the content.
        seconds: Length of the recording, which starts after a countdown from three.

    Returns:
        The path.

    Raises:
        CameraError: This is not Colab, there is no camera, or the page may not use it.
    """
    answer = _import_from_colab("output").eval_js(f"({RECORD})({seconds})")
    kind, _, data = answer.partition(";base64,")
    if not (kind.startswith("data:") and data):
        raise CameraError(
            f"The camera recorded nothing ({answer[:200]}); "
            "allow the page to use the camera, or upload a file."
        )
    path = pathlib.Path(path)
    with locked(path.parent), atomic_write(path) as temp_path:
        temp_path.write_bytes(base64.b64decode(data))
    return path


def upload() -> pathlib.Path:
    """Ask for a file from the device that shows this notebook in Colab, and save it here.

    Returns:
        The path of the copy in the current folder.

    Raises:
        CameraError: This is not Colab, or no file was chosen.
    """
    files = _import_from_colab("files").upload()
    if not files:
        raise CameraError("No file was chosen; run the cell again to choose one.")
    return pathlib.Path(next(iter(files)))


def _import_from_colab(module: str) -> types.ModuleType:
    try:
        return importlib.import_module(f"google.colab.{module}")
    except ImportError as error:
        raise CameraError(
            "Recording and uploading work in Colab only; elsewhere, record with the camera's own "
            "program and give the path of the file."
        ) from error
