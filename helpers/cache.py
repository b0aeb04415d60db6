"""Decoded frames, kept for the next epoch. Taught in the chapter *Feed the GPU*.

Of each clip all those frames are kept that some start may ask for, as small as they are needed and
without bars. Chance comes in afterwards: starts, crops, flips and colours are drawn anew in each
epoch, as if nothing were kept.
"""

import dataclasses
import errno
import hashlib
import json
import pathlib
import threading
import zlib

import cv2
import numpy as np

from helpers import video
from helpers.atomic import atomic_write, locked
from helpers.hashing import hash_code


class FrameCache:
    """Reads clips as `frames_from_video_file` does, the second time without decoding them.

    On disk each clip has a file of its own, in a folder whose name stands for the sizes, OpenCV's
    version and this code, and under a name that stands for the clip's bytes. So nothing is used for
    what it was not made from; what is damaged, half-written or of another version is made anew.
    Several processes may share a folder. It can be deleted at any time.

    Args:
        place: `"memory"`, or a folder on disk.
        n_frames: As in `frames_from_video_file`, like all that follow.
        output_size: `(height, width)` in pixels.
        frame_step: Frames from one returned frame to the next.
        start: `"random"` or `"center"`.
        start_step: Frames from one possible random start to the next. If it divides `frame_step`,
            less has to be kept.
    """

    def __init__(
        self,
        place,
        n_frames,
        output_size=(224, 224),
        frame_step=15,
        *,
        start="random",
        start_step=1,
    ):
        self.output_size = tuple(output_size)
        self._choice = {
            "n_frames": n_frames,
            "frame_step": frame_step,
            "start": start,
            "start_step": start_step,
        }
        self._made_by = self._choice | {
            "output_size": list(output_size),
            "opencv": cv2.__version__,
            "code": hash_code(pathlib.Path(video.__file__), pathlib.Path(__file__)),
        }
        self.folder = None
        if place != "memory":
            name = hashlib.sha256(json.dumps(self._made_by).encode()).hexdigest()[:16]
            self.folder = pathlib.Path(place) / name
        self._entries = {}
        self._writing = threading.Lock()

    def read(self, path, seed=None, out=None):
        """Return the frames that `frames_from_video_file` returns for this clip and seed.

        Args:
            path: The video file.
            seed: What `numpy.random.default_rng` takes.
            out: Where the frames go; a new array where none is given.

        Returns:
            uint8 RGB frames `(n_frames, height, width, 3)`.

        Raises:
            VideoReadError: The file can't be opened or decoded.
            OSError: The cache can't be written, for example because the disk is full.
        """
        entry = self._entry(pathlib.Path(path))
        try:
            return self._frames(entry, seed, out)
        except (OSError, ValueError):
            # What was whole when it was opened has been damaged or deleted since.
            return self._frames(self._entry(pathlib.Path(path), anew=True), seed, out)

    def _frames(self, entry, seed, out):
        rows = np.searchsorted(
            entry.kept, video.frame_indices(entry.length, seed=seed, **self._choice)
        )
        frames = np.empty((len(rows), *self.output_size, 3), np.uint8) if out is None else out
        frames[...] = 0
        entry.copy(rows, video.crop_padding(frames, *entry.shape[:2]))
        return frames

    def _entry(self, path, anew=False):
        """Return what is kept of a clip; decode and keep it, if nothing is."""
        try:
            stat = path.stat()
        except OSError as error:
            raise video.VideoReadError(
                f"{path} is not there; check its name, or fetch it anew."
            ) from error
        state = (stat.st_mtime_ns, stat.st_size)
        entry, known_state = self._entries.get(path, (None, None))
        if anew or state != known_state:
            entry = (
                self._keep_in_memory(path)
                if self.folder is None
                else self._keep_on_disk(path, anew)
            )
            self._entries[path] = entry, state
        return entry

    def _keep_in_memory(self, path):
        return _InMemory(*self._decode(path))

    def _keep_on_disk(self, path, anew):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        made_from = self._made_by | {"clip": digest}
        file = self.folder / f"{path.stem}-{digest[:16]}.frames"
        try:
            if not anew:
                return _OnDisk.open(file, made_from)
        except (OSError, ValueError):
            pass  # not there, damaged, or made from something else
        length, kept, pictures = self._decode(path)
        try:
            with self._writing, locked(self.folder), atomic_write(file) as temp_path:
                _OnDisk.write(temp_path, made_from, length, kept, pictures)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            way_out = "free some space, choose another folder, or raise start_step"
            raise OSError(
                error.errno, f"No space is left for the cache in {self.folder}: {way_out}."
            ) from error
        return _OnDisk.open(file, made_from)

    def _decode(self, path):
        """Return the clip's length, the numbers of the frames to keep, and those frames without bars."""

        def choose(length):
            return cached_indices(length, **self._choice)

        pictures, length = video.read_frames(path, choose, self.output_size)
        return length, choose(length), pictures


def cached_indices(length, n_frames, frame_step, start="random", start_step=1):
    """Return the frames of a clip that some start may ask for.

    Args:
        length: Frames that the clip has; the others as in `frames_from_video_file`.

    Returns:
        Their numbers, ascending, each once.
    """
    first = video.frame_indices(length, n_frames, frame_step, 0 if start == "random" else start)
    spare = length - 1 - (n_frames - 1) * frame_step
    if start != "random" or spare < 1:
        return np.unique(first)
    return np.unique(first + np.arange(0, spare + 1, start_step)[:, None])


@dataclasses.dataclass
class _InMemory:
    length: int
    kept: np.ndarray
    pictures: np.ndarray

    @property
    def shape(self):
        return self.pictures.shape[1:]

    def copy(self, rows, target):
        for picture, row in zip(target, rows):
            picture[...] = self.pictures[row]


@dataclasses.dataclass
class _OnDisk:
    """A file of two lines of text, a checksum and what it is a checksum of, and the pictures' bytes."""

    file: pathlib.Path
    length: int
    kept: np.ndarray
    checksums: np.ndarray
    begin: int
    shape: tuple

    @classmethod
    def write(cls, file, made_from, length, kept, pictures):
        checksums = [zlib.crc32(picture) for picture in pictures]
        about = {
            "made_from": made_from,
            "length": length,
            "kept": kept.tolist(),
            "shape": pictures.shape[1:],
            "checksums": checksums,
        }
        line = json.dumps(about).encode()
        with open(file, "wb") as temp_path:
            temp_path.write(b"%08x\n%s\n" % (zlib.crc32(line), line))
            temp_path.write(pictures.data)

    @classmethod
    def open(cls, file, made_from):
        """Raises ValueError if the file is damaged or made from something else; its pictures are checked when read."""
        with open(file, "rb") as kept:
            checksum, line = kept.readline().strip(), kept.readline().strip()
            begin, end = kept.tell(), kept.seek(0, 2)
        if int(checksum, 16) != zlib.crc32(line):
            raise ValueError(f"{file} is damaged.")
        about = json.loads(line)
        shape = tuple(about["shape"])
        if about["made_from"] != made_from or end != begin + len(about["kept"]) * np.prod(shape):
            raise ValueError(f"{file} is made from something else, or not whole.")
        return cls(
            file,
            about["length"],
            np.array(about["kept"]),
            np.array(about["checksums"]),
            begin,
            shape,
        )

    def copy(self, rows, target):
        kept = np.empty(self.shape, np.uint8)
        with open(self.file, "rb", buffering=0) as file:
            for picture, row in zip(target, rows):
                file.seek(self.begin + int(row) * kept.nbytes)
                if (
                    file.readinto(kept.data) < kept.nbytes
                    or zlib.crc32(kept) != self.checksums[row]
                ):
                    raise ValueError(f"{self.file} is damaged.")
                picture[...] = kept
