"""A cache of decoded frames for later epochs. Taught in the chapter *Feed the GPU*.

Of each clip, the cache stores exactly the frames that some start can need, at the requested size
and without padding. Everything random comes after the cache: starts, crops, flips and colours are
drawn again in each epoch, as if nothing were stored.
"""

import dataclasses
import errno
import hashlib
import json
import os
import pathlib
import threading
import zlib
from typing import Any, NamedTuple, Self

import cv2
import numpy as np

from helpers import video
from helpers.atomic import atomic_write, locked
from helpers.hashing import hash_code
from helpers.video import Seed


class FrameCache:
    """Reads clips like `frames_from_video_file`, but decodes each clip only once.

    On disk, each clip has a file of its own. Its folder is named after the settings, OpenCV's
    version and this code, and the file after the content of the clip. So frames are never used for
    anything they were not made from, and damaged, incomplete or outdated files are written again.
    Several processes may share a folder. It can be deleted at any time.

    Args:
        location: `"memory"`, or a folder on disk.
        n_frames: Number of frames per clip.
        output_size: `(height, width)` in pixels.
        frame_step: Distance between two frames of a clip, in frames of the video.
        start: The first frame, `"random"` or `"center"`.
        start_step: Distance between two possible random starts, in frames. A divisor of
            `frame_step` reduces the size of the cache.
    """

    def __init__(
        self,
        location: str | os.PathLike[str],
        n_frames: int,
        output_size: tuple[int, int] = (224, 224),
        frame_step: int = 15,
        *,
        start: str = "random",
        start_step: int = 1,
    ) -> None:
        height, width = output_size
        self.output_size = height, width
        self._sampling: dict[str, Any] = {
            "n_frames": n_frames,
            "frame_step": frame_step,
            "start": start,
            "start_step": start_step,
        }
        self._made_from = self._sampling | {
            "output_size": [height, width],
            "opencv": cv2.__version__,
            "code": hash_code(pathlib.Path(video.__file__), pathlib.Path(__file__)),
        }
        self.folder = None
        if location != "memory":
            name = hashlib.sha256(json.dumps(self._made_from).encode()).hexdigest()[:16]
            self.folder = pathlib.Path(location) / name
        self._entries: dict[_Clip, tuple[_Entry, _State]] = {}
        self._digests: dict[pathlib.Path, tuple[str, _State]] = {}
        self._write_lock = threading.Lock()

    def read(
        self,
        path: str | os.PathLike[str],
        seed: Seed = None,
        out: np.ndarray | None = None,
        *,
        frame_step: int | None = None,
        bounds: video.Bounds = None,
    ) -> np.ndarray:
        """Return the frames that `frames_from_video_file` returns for this clip and seed.

        Args:
            path: The video file.
            seed: Seed for `numpy.random.default_rng`.
            out: Array for the frames; None creates one.
            frame_step: Distance between two frames in this clip; None takes the cache's.
            bounds: The part of the video that is the clip, as for `frames_from_video_file`.

        Returns:
            uint8 RGB frames `(n_frames, height, width, 3)`.

        Raises:
            VideoReadError: The file can't be opened or decoded.
            OSError: The cache can't be written, for example because the disk is full.
        """
        clip = _Clip(pathlib.Path(path), frame_step or self._sampling["frame_step"], bounds)
        entry = self._get_entry(clip)
        try:
            return self._copy_frames(clip, entry, seed, out)
        except (OSError, ValueError):
            # The file was valid when it was opened, and has been damaged or deleted since.
            return self._copy_frames(clip, self._get_entry(clip, replace=True), seed, out)

    def _copy_frames(
        self, clip: "_Clip", entry: "_Entry", seed: Seed, out: np.ndarray | None
    ) -> np.ndarray:
        sampling = self._sampling | {"frame_step": clip.frame_step}
        indices = video.frame_indices(entry.length, seed=seed, **sampling)
        frames = np.empty((len(indices), *self.output_size, 3), np.uint8) if out is None else out
        frames[...] = 0
        target = video.crop_padding(frames, *entry.shape[:2])
        entry.copy(np.searchsorted(entry.indices, indices), target)
        return frames

    def _get_entry(self, clip: "_Clip", replace: bool = False) -> "_Entry":
        """Return a clip's entry; if there is none, or it must be replaced, decode the clip."""
        try:
            stat = clip.path.stat()
        except OSError as error:
            raise video.VideoReadError(
                f"{clip.path} does not exist; check the path, or download the file again."
            ) from error
        state = (stat.st_mtime_ns, stat.st_size)
        entry, known_state = self._entries.get(clip, (None, None))
        if entry is None or replace or state != known_state:
            if self.folder is None:
                entry = _MemoryEntry(*self._decode(clip))
            else:
                entry = self._get_disk_entry(self.folder, clip, state, replace)
            self._entries[clip] = entry, state
        return entry

    def _get_disk_entry(
        self, folder: pathlib.Path, clip: "_Clip", state: "_State", replace: bool
    ) -> "_DiskEntry":
        digest = self._get_digest(clip.path, state)
        made_from = self._made_from | {"clip": digest, **clip.part}
        name = "-".join(map(str, (digest[:16], *clip.part.values())))
        # Shortened, because a file system allows no more than 255 bytes.
        file = folder / f"{clip.path.stem[:40]}-{name}.frames"
        try:
            if not replace:
                return _DiskEntry.open(file, made_from)
        except (OSError, ValueError):
            pass  # missing, damaged, or made from something else
        decoded = self._decode(clip)
        try:
            with self._write_lock, locked(folder), atomic_write(file) as temp_path:
                _DiskEntry.write(temp_path, made_from, *decoded)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise OSError(
                error.errno,
                f"No space is left for the cache in {folder}; "
                "free some space, choose another folder, or raise start_step.",
            ) from error
        return _DiskEntry.open(file, made_from)

    def _get_digest(self, path: pathlib.Path, state: "_State") -> str:
        """Return the hash of a file's content; a file of many clips is read only once."""
        digest, known_state = self._digests.get(path, ("", None))
        if state != known_state:
            with open(path, "rb") as source:
                digest = hashlib.file_digest(source, "sha256").hexdigest()
            self._digests[path] = digest, state
        return digest

    def _decode(self, clip: "_Clip") -> tuple[int, np.ndarray, np.ndarray]:
        """Return the clip's length, the indices of the frames to store, and these frames."""
        sampling = self._sampling | {"frame_step": clip.frame_step}

        def choose(length: int) -> np.ndarray:
            first, length = video.clip_in_video(clip.path, length, clip.bounds)
            return first + cached_indices(length, **sampling)

        frames, length = video.read_frames(
            clip.path, choose, self.output_size, to_end=clip.bounds is None
        )
        first, n_frames = video.clip_in_video(clip.path, length, clip.bounds)
        return n_frames, choose(length) - first, frames


class _Clip(NamedTuple):
    """A clip in the cache: its file, the distance between its frames, and its part of the file."""

    path: pathlib.Path
    frame_step: int
    bounds: video.Bounds

    @property
    def part(self) -> dict[str, int]:
        """What distinguishes the clip from others of the same file, for the names of files."""
        first, stop = self.bounds or (0, 0)
        return {"frame_step": self.frame_step, "first": first, "stop": stop}


# A file's time of modification in nanoseconds, and its size in bytes.
_State = tuple[int, int]


def cached_indices(
    length: int, n_frames: int, frame_step: int, start: str = "random", start_step: int = 1
) -> np.ndarray:
    """Return the indices of the frames of a clip that some start can need.

    Args:
        length: Number of frames in the clip.
        n_frames: Number of frames to read.
        frame_step: Distance between two frames to read.
        start: The first frame, `"random"` or `"center"`.
        start_step: Distance between two possible random starts.

    Returns:
        The indices in ascending order, each once.
    """
    first = video.frame_indices(length, n_frames, frame_step, 0 if start == "random" else start)
    last_start = length - 1 - (n_frames - 1) * frame_step
    if start != "random" or last_start < 1:
        return np.unique(first)
    return np.unique(first + np.arange(0, last_start + 1, start_step)[:, None])


@dataclasses.dataclass
class _MemoryEntry:
    """The stored frames of a clip in memory.

    Attributes:
        length: Number of frames in the clip.
        indices: Indices of the stored frames, ascending.
        frames: uint8 RGB frames `(len(indices), inner_height, inner_width, 3)`.
    """

    length: int
    indices: np.ndarray
    frames: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.frames.shape[1:]

    def copy(self, rows: np.ndarray, target: np.ndarray) -> None:
        """Copy the stored frames with the given row numbers to an array."""
        for frame, row in zip(target, rows):
            frame[...] = self.frames[row]


@dataclasses.dataclass
class _DiskEntry:
    """The stored frames of a clip in a file.

    The file consists of a line of JSON, preceded by a line with its CRC-32 in hexadecimal, and the
    raw bytes of the frames. The JSON contains the CRC-32 of each frame. A ZIP with uncompressed
    members could hold the same, but `zipfile` parses its table of contents first, and is slower.

    Attributes:
        file: The file.
        length: Number of frames in the clip.
        indices: Indices of the stored frames, ascending.
        checksums: CRC-32 of each stored frame.
        offset: Position of the first frame in the file, in bytes.
        shape: Shape of each stored frame.
    """

    file: pathlib.Path
    length: int
    indices: np.ndarray
    checksums: np.ndarray
    offset: int
    shape: tuple[int, ...]

    @staticmethod
    def write(
        file: pathlib.Path,
        made_from: dict[str, Any],
        length: int,
        indices: np.ndarray,
        frames: np.ndarray,
    ) -> None:
        header = {
            "made_from": made_from,
            "length": length,
            "indices": indices.tolist(),
            "shape": frames.shape[1:],
            "checksums": [zlib.crc32(frame) for frame in frames],
        }
        line = json.dumps(header).encode()
        with open(file, "wb") as target:
            target.write(b"%08x\n%s\n" % (zlib.crc32(line), line))
            target.write(frames.data)

    @classmethod
    def open(cls, file: pathlib.Path, made_from: dict[str, Any]) -> Self:
        """Read the header of a file; the frames are checked when they are read.

        Raises:
            OSError: The file can't be read.
            ValueError: The file is damaged or was made from something else.
        """
        with open(file, "rb") as source:
            checksum, line = source.readline().strip(), source.readline().strip()
            offset, size = source.tell(), source.seek(0, os.SEEK_END)
        if int(checksum, 16) != zlib.crc32(line):
            raise ValueError(f"{file} is damaged.")
        header = json.loads(line)
        indices, shape = np.array(header["indices"]), tuple(header["shape"])
        if header["made_from"] != made_from or size != offset + len(indices) * np.prod(shape):
            raise ValueError(f"{file} was made from something else, or is incomplete.")
        checksums = np.array(header["checksums"])
        return cls(file, header["length"], indices, checksums, offset, shape)

    def copy(self, rows: np.ndarray, target: np.ndarray) -> None:
        """Copy the stored frames with the given row numbers to an array.

        Raises:
            OSError: The file can't be read.
            ValueError: The file is damaged.
        """
        stored = np.empty(self.shape, np.uint8)
        with open(self.file, "rb", buffering=0) as source:
            for frame, row in zip(target, rows):
                source.seek(self.offset + int(row) * stored.nbytes)
                n_read = source.readinto(stored.data)
                if n_read < stored.nbytes or zlib.crc32(stored.data) != self.checksums[row]:
                    raise ValueError(f"{self.file} is damaged.")
                frame[...] = stored


_Entry = _MemoryEntry | _DiskEntry
