"""Puppets, a data set that the book draws itself. Taught in the chapter *Load video*.

A puppet is a jointed figure in a room. The ten actions form five pairs. Each action of a pair is
the other one played backwards, frame for frame, so neither a single frame nor a set of frames
without their order distinguishes the two. There are up to 25 groups; a group is one figure in one
room, as a group of UCF101 is one upload. Everything is drawn from a seed into video files that are
named like UCF101's, in a ZIP.
"""

import os
import pathlib
import tempfile
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np

from helpers.atomic import atomic_write, locked
from helpers.hashing import hash_code

PAIRS = (
    ("SitDown", "StandUp"),
    ("RaiseArms", "LowerArms"),
    ("PickUp", "PutDown"),
    ("WalkLeft", "WalkRight"),
    ("LeanLeft", "LeanRight"),
)
CLASSES = tuple(sorted(name for pair in PAIRS for name in pair))
HEIGHT, WIDTH, FPS = 180, 240, 25
JPEG_QUALITY = 60

WALLS = ("#f6d6ad", "#bcd9ea", "#f3c1c6", "#cfe3c0", "#d9cdea", "#f7e6a1", "#c9ded9", "#eacdb5")
FLOORS = ("#a67f5d", "#7d95a6", "#8c9a6b", "#a3887f", "#8f86a3", "#b39a62")
SHIRTS = ("#b3202a", "#1f4e9c", "#1d6b45", "#6a2a86", "#b34a12", "#0d5f73", "#8a1550", "#3c3c46")
TROUSERS = ("#20232e", "#3a2a22", "#1c3350", "#2f3b2b")
SKINS = ("#6b4028", "#8d5a36", "#b98058", "#d8a57c", "#4a2c1d")
PROPS = ("window", "picture", "plant", "lamp", "clock")

# OpenCV reads positions as integers with this many binary places, which are 1/16 pixel.
_SHIFT = 4
_SMOOTH = {"lineType": cv2.LINE_AA, "shift": _SHIFT}

_Colour = tuple[int, ...]


def write_zip(
    path: str | os.PathLike[str],
    *,
    groups: int = 25,
    clips: int = 3,
    seed: int = 0,
    casts: str = "pair",
) -> pathlib.Path:
    """Draw the puppets into a ZIP of AVI files that are named like UCF101's.

    A ZIP that was drawn by the same code with the same arguments is left as it is. If two processes
    draw into one folder, the second waits for the first.

    Args:
        path: The ZIP's path.
        groups: Groups per class, at most 25.
        clips: Clips per group, at most 99.
        seed: Seed of everything that is drawn.
        casts: What has figures and rooms of its own. With `"pair"`, the two actions of a pair share
            theirs, and only time distinguishes them. With `"class"`, each action has its own, as in
            UCF101, and a model can recognise the action by the room.

    Returns:
        The path. The ZIP's members are named `puppets/v_<Class>_g<group>_c<clip>.avi`.

    Raises:
        ValueError: `groups`, `clips` or `casts` has a value that is not allowed.
        OSError: The ZIP, or a temporary clip, can't be written.
    """
    if not (1 <= groups <= 25 and 1 <= clips <= 99):
        raise ValueError(
            f"groups must be from 1 to 25 and clips from 1 to 99, not {groups} and {clips}."
        )
    _check_casts(casts)
    path = pathlib.Path(path)
    stamp = _stamp(groups, clips, seed, casts)
    with locked(path.parent):
        if not _has_stamp(path, stamp):
            jobs = [
                (pair, group, clip, seed, casts)
                for pair in PAIRS
                for group in range(1, groups + 1)
                for clip in range(1, clips + 1)
            ]
            _draw_all(path, jobs, stamp)
    return path


def draw_clip(
    class_name: str, group: int, clip: int, seed: int = 0, casts: str = "pair"
) -> np.ndarray:
    """Draw one clip.

    Args:
        class_name: One of `CLASSES`.
        group: Number of the figure and its room, from 1.
        clip: Number of the clip within the group, from 1.
        seed: Seed of everything that is drawn.
        casts: What has figures and rooms of its own, as in `write_zip`.

    Returns:
        uint8 RGB frames `(n_frames, 180, 240, 3)`, 25 a second.

    Raises:
        ValueError: `casts` has a value that is not allowed.
    """
    _check_casts(casts)
    pair = next(pair for pair in PAIRS if class_name in pair)
    number = PAIRS.index(pair)
    if casts == "class" and class_name == pair[1]:
        # Numbers from len(PAIRS) on stand for the casts of the second actions.
        number += len(PAIRS)
    cast = _Cast(np.random.default_rng([seed, group]), number)
    rng = np.random.default_rng([seed, group, clip, number])
    # With an even number of frames, the middle ones are the same when the clip is reversed.
    n_frames = 2 * int(rng.integers(25, 31))
    begin, end = rng.uniform(0, 0.12), rng.uniform(0.88, 1)
    shift = rng.uniform(-0.04, 0.04)
    progress = np.clip((np.linspace(0, 1, n_frames) - begin) / (end - begin), 0, 1)
    # The action starts and stops gently.
    progress = progress * progress * (3 - 2 * progress)
    frames = np.stack([cast.draw(pair[0], each, shift) for each in progress])
    return frames if class_name == pair[0] else frames[::-1]


def _check_casts(casts: str) -> None:
    if casts not in ("pair", "class"):
        raise ValueError(f'casts must be "pair" or "class", not {casts!r}.')


def _stamp(groups: int, clips: int, seed: int, casts: str) -> bytes:
    """Return a ZIP's comment, which identifies its arguments, this code and OpenCV's version."""
    source = hash_code(pathlib.Path(__file__))[:16]
    arguments = f"groups={groups} clips={clips} seed={seed} casts={casts}"
    return f"puppets {arguments} source={source} opencv={cv2.__version__}".encode()


def _has_stamp(path: pathlib.Path, stamp: bytes) -> bool:
    try:
        with zipfile.ZipFile(path) as existing:
            return existing.comment == stamp
    except (FileNotFoundError, zipfile.BadZipFile):
        return False


def _draw_all(path: pathlib.Path, jobs: Sequence[tuple[Any, ...]], stamp: bytes) -> None:
    """Draw the clips in threads into a temporary folder, then write them into a ZIP."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ThreadPoolExecutor() as pool,
        atomic_write(path) as temp_path,
    ):
        pairs = pool.map(lambda job: _write_pair(pathlib.Path(folder), *job), jobs)
        _pack(temp_path, sorted(file for pair in pairs for file in pair), stamp)


def _pack(path: pathlib.Path, files: Sequence[pathlib.Path], stamp: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = stamp
        for file in files:
            # The date is fixed, so that the same seed produces the same bytes.
            member = zipfile.ZipInfo(f"puppets/{file.name}", date_time=(2012, 11, 1, 0, 0, 0))
            archive.writestr(member, file.read_bytes())


def _write_pair(
    folder: pathlib.Path, pair: tuple[str, str], group: int, clip: int, seed: int, casts: str
) -> list[pathlib.Path]:
    """Draw and write a clip of each action of a pair; return the paths."""
    first = draw_clip(pair[0], group, clip, seed, casts)
    # Reversing is faster than drawing again.
    second = first[::-1] if casts == "pair" else draw_clip(pair[1], group, clip, seed, casts)
    files = [folder / f"v_{class_name}_g{group:02d}_c{clip:02d}.avi" for class_name in pair]
    for file, frames in zip(files, (first, second)):
        _write_avi(file, frames)
    return files


def _write_avi(file: pathlib.Path, frames: np.ndarray) -> None:
    """Write RGB frames as Motion JPEG.

    Motion JPEG codes every frame by itself, so a frame decodes to the same pixels in a clip and in
    its reverse.
    """
    code = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(file), cv2.CAP_OPENCV_MJPEG, code, FPS, (WIDTH, HEIGHT))
    writer.set(cv2.VIDEOWRITER_PROP_QUALITY, JPEG_QUALITY)
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
    _check_complete(file)


def _check_complete(file: pathlib.Path) -> None:
    """Raise an OSError if an AVI file is shorter than its header states.

    OpenCV reports no error when a disk is full. An AVI file begins with "RIFF" and the number of
    bytes that follow.
    """
    with open(file, "rb") as opened:
        remaining = int.from_bytes(opened.read(8)[4:], "little")
    if file.stat().st_size != 8 + remaining:
        raise OSError(
            f"{file.name} can't be written completely in {file.parent.parent}; "
            "free space there, then run this again."
        )


def _rgb(colour: str, shade: float = 1.0) -> _Colour:
    """Return `"#rrggbb"` as a tuple, darkened by a shade below 1 and lightened by one above 1."""
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], dtype=float)
    channels = channels * shade if shade <= 1 else 255 - (255 - channels) * (2 - shade)
    return tuple(int(c) for c in channels.round())


class _Cast:
    """A group's room, figure and camera, which draw the figure in any pose.

    Lengths are in units of the figure's height. x points to the right and y up, from the floor
    below the figure.

    Args:
        rng: The group's random numbers.
        number: Number of the pair of actions, or of the action if each has a cast of its own.
    """

    def __init__(self, rng: np.random.Generator, number: int):
        # Each class numbers its groups from 1, so group 1 of one pair is not group 1 of another.
        rng = np.random.default_rng([int(rng.integers(2**31)), number])
        self.shirt, self.trousers = _rgb(rng.choice(SHIRTS)), _rgb(rng.choice(TROUSERS))
        self.skin, self.hair = _rgb(rng.choice(SKINS)), _rgb(rng.choice(TROUSERS), 0.8)
        self.scale = rng.uniform(108, 128)
        self.centre = WIDTH / 2 + rng.uniform(-10, 10)
        self.floor = HEIGHT - rng.uniform(20, 28)
        self.torso, self.thigh = rng.uniform(0.29, 0.32), rng.uniform(0.24, 0.26)
        self.stool = _rgb(rng.choice(FLOORS), 0.6)
        self.parcel = _rgb(rng.choice(SHIRTS), 1.3)
        self.backdrop = self._paint_backdrop(rng)

    def draw(self, action: str, progress: float, shift: float) -> np.ndarray:
        """Draw a frame of an action.

        Args:
            action: The first action of a pair.
            progress: How much of the action is done, from 0 to 1.
            shift: How far the figure stands to the right.

        Returns:
            A uint8 RGB frame `(180, 240, 3)`.
        """
        pose = _pose(action, progress)
        self.image, self.shift = self.backdrop.copy(), shift + pose["x"]
        if action == "SitDown":
            self._block((-0.15, 0), (0.15, 0.25), self.stool)
        hip = np.array([0, pose["hip"]])
        up = np.array([np.sin(pose["lean"]), np.cos(pose["lean"])])
        neck = hip + pose["stoop"] * self.torso * up
        self._shadow()
        for side in (-1, 1):
            foot_x = side * 0.1 + side * pose["stride"] * 0.09
            foot_y = max(0, side * pose["step"])
            self._leg(hip + (0.055 * side, 0), np.array([foot_x, foot_y]), side)
        self._limb(hip, neck, 0.17, self.shirt)
        hands = [self._arm(neck, side, pose) for side in (-1, 1)]
        self._limb(neck, neck + 0.07 * up, 0.055, self.skin)
        self._disc(neck + 0.125 * up, 0.082, self.skin)
        self._half_disc(neck + 0.15 * up, 0.075, self.hair, np.degrees(pose["lean"]))
        if action == "PickUp":
            held = hands[1] if pose["held"] else np.array([0.34, 0.07])
            self._block(held - (0.065, 0.065), held + (0.065, 0.065), self.parcel)
        return self.image

    def _leg(self, hip, foot, side):
        """Draw a leg whose knee bends outwards if the foot is near the hip."""
        reach = foot - hip
        length = min(float(np.linalg.norm(reach)), 2 * self.thigh - 1e-6)
        bend = np.sqrt(self.thigh**2 - (length / 2) ** 2)
        direction = reach / np.linalg.norm(reach)
        outwards = side * bend * np.array([-direction[1], direction[0]])
        knee = hip + direction * length / 2 + outwards
        ankle = hip + direction * length
        self._limb(hip, knee, 0.085, self.trousers)
        self._limb(knee, ankle, 0.07, self.trousers)
        self._limb(ankle, ankle + (0.05 * side, 0), 0.05, self.hair)

    def _arm(self, neck, side, pose):
        """Draw an arm; return its hand."""
        shoulder = neck + (0.075 * side, -0.025)
        angle, bend = pose["arms"] if side > 0 else pose.get("other_arm", pose["arms"])
        elbow = shoulder + 0.17 * np.array([side * np.sin(angle), -np.cos(angle)])
        hand = elbow + 0.17 * np.array([side * np.sin(angle + bend), -np.cos(angle + bend)])
        self._limb(shoulder, elbow, 0.065, self.shirt)
        self._limb(elbow, hand, 0.05, self.skin)
        return hand

    def _limb(self, start, end, width, colour):
        thickness = max(1, round(width * self.scale))
        cv2.line(
            self.image, self._to_pixels(start), self._to_pixels(end), colour, thickness, **_SMOOTH
        )

    def _disc(self, centre, radius, colour):
        self._ellipse(centre, (radius, radius), (0, 0, 360), colour)

    def _half_disc(self, centre, radius, colour, rotation):
        """Draw the upper half of a disc, rotated clockwise by an angle in degrees."""
        self._ellipse(centre, (radius, radius), (rotation, 180, 360), colour)

    def _shadow(self):
        colour = tuple(int(c * 0.75) for c in self.backdrop[-3, WIDTH // 2])
        self._ellipse((0, -0.01), (0.26, 0.035), (0, 0, 360), colour)

    def _ellipse(self, centre, radii, angles, colour):
        """Fill a sector of an ellipse; `angles` are its rotation, begin and end in degrees."""
        axes = tuple(round(radius * self.scale * 2**_SHIFT) for radius in radii)
        rotation, begin, end = angles
        centre = self._to_pixels(centre)
        cv2.ellipse(self.image, centre, axes, rotation, begin, end, colour, cv2.FILLED, **_SMOOTH)

    def _block(self, low, high, colour):
        corners = self._to_pixels(low), self._to_pixels(high)
        cv2.rectangle(self.image, *corners, colour, cv2.FILLED, **_SMOOTH)

    def _to_pixels(self, point):
        """Return a point of the scene in units of 1/16 pixel, as integers."""
        x = self.centre + (point[0] + self.shift) * self.scale
        y = self.floor - point[1] * self.scale
        return round(x * 2**_SHIFT), round(y * 2**_SHIFT)

    def _paint_backdrop(self, rng):
        """Paint a wall, a floor and a prop on either side, all paler than the figure."""
        image = np.empty((HEIGHT, WIDTH, 3), dtype=np.uint8)
        wall, floor = rng.choice(WALLS), rng.choice(FLOORS)
        horizon = int(self.floor - rng.uniform(12, 26))
        image[:] = _rgb(wall, rng.uniform(0.94, 1.2))
        image[horizon:] = _rgb(floor, rng.uniform(1.2, 1.5))
        image[horizon - 3 : horizon] = _rgb(wall, 0.85)
        left, right = rng.choice(PROPS, size=2, replace=False)
        for prop, x in ((left, rng.uniform(18, 42)), (right, rng.uniform(WIDTH - 42, WIDTH - 18))):
            _PAINTERS[prop](image, int(x), horizon, _rgb(wall, 0.72), rng)
        return image


def _paint_window(image, x, horizon, frame, rng):
    top = int(rng.integers(14, 34))
    cv2.rectangle(image, (x - 22, top), (x + 22, top + 58), _rgb("#dff1fb"), cv2.FILLED)
    cv2.rectangle(image, (x - 22, top), (x + 22, top + 58), frame, 3)
    cv2.line(image, (x, top), (x, top + 58), frame, 2)
    cv2.line(image, (x - 22, top + 29), (x + 22, top + 29), frame, 2)


def _paint_picture(image, x, horizon, frame, rng):
    top = int(rng.integers(22, 48))
    canvas = _rgb(rng.choice(WALLS), 1.2)
    cv2.rectangle(image, (x - 18, top), (x + 18, top + 28), canvas, cv2.FILLED)
    cv2.circle(image, (x - 6, top + 12), 5, _rgb(rng.choice(SHIRTS), 1.5), cv2.FILLED, cv2.LINE_AA)
    cv2.rectangle(image, (x - 18, top), (x + 18, top + 28), frame, 2)


def _paint_plant(image, x, horizon, frame, rng):
    leaf = _rgb("#7fae7a", rng.uniform(1.0, 1.35))
    for angle in (-150, -120, -90, -60, -30):
        dx = int(26 * np.cos(np.radians(angle)))
        dy = int(34 * np.sin(np.radians(angle)))
        cv2.line(image, (x, horizon - 18), (x + dx, horizon - 20 + dy), leaf, 6, cv2.LINE_AA)
    pot = _rgb("#c58a66", 1.15)
    cv2.rectangle(image, (x - 11, horizon - 20), (x + 11, horizon + 6), pot, cv2.FILLED)


def _paint_lamp(image, x, horizon, frame, rng):
    cv2.line(image, (x, horizon + 4), (x, horizon - 78), frame, 3, cv2.LINE_AA)
    cv2.ellipse(image, (x, horizon + 5), (12, 4), 0, 0, 360, frame, cv2.FILLED, cv2.LINE_AA)
    top, bottom = horizon - 100, horizon - 74
    shade = np.array([(x - 9, top), (x + 9, top), (x + 18, bottom), (x - 18, bottom)])
    cv2.fillPoly(image, [shade], _rgb("#fbeec2"), cv2.LINE_AA)


def _paint_clock(image, x, horizon, frame, rng):
    y = int(rng.integers(34, 54))
    cv2.circle(image, (x, y), 17, _rgb("#fbfaf5"), cv2.FILLED, cv2.LINE_AA)
    cv2.circle(image, (x, y), 17, frame, 3, cv2.LINE_AA)
    for angle, length in zip(rng.uniform(0, 2 * np.pi, 2), (12, 8)):
        tip = x + int(length * np.sin(angle)), y - int(length * np.cos(angle))
        cv2.line(image, (x, y), tip, frame, 2, cv2.LINE_AA)


_PAINTERS = {
    "window": _paint_window,
    "picture": _paint_picture,
    "plant": _paint_plant,
    "lamp": _paint_lamp,
    "clock": _paint_clock,
}


def _pose(action: str, progress: float) -> dict[str, Any]:
    """Return the pose of an action at a progress from 0 to 1.

    Args:
        action: The first action of a pair.
        progress: How much of the action is done.

    Returns:
        Numbers by name. `x` is the figure's position, and `hip` the hip's height. `lean` is the
        angle of the torso in radians, and `stoop` the share of its length that remains visible when
        it bends towards the viewer. `stride` spreads the feet, and `step` lifts one of them. `arms`
        are the angles of the shoulders, from hanging, and of the elbows; `other_arm` replaces them
        for the left arm of the image. `held` is whether the hand holds the parcel.
    """
    pose = {
        "x": 0.0,
        "hip": 0.49,
        "lean": 0.0,
        "stoop": 1.0,
        "stride": 0.0,
        "step": 0.0,
        "arms": (0.15, 0.1),
    }
    if action == "SitDown":
        return pose | {
            "hip": 0.49 - 0.21 * progress,
            "stride": 0.5 * progress,
            "stoop": 1 - 0.2 * np.sin(np.pi * progress),
            "arms": (0.15 + 0.35 * progress, 0.1 - 0.7 * progress),
        }
    if action == "RaiseArms":
        return pose | {"arms": (0.15 + 2.75 * progress, 0.1)}
    if action == "PickUp":
        # The figure bends down to the parcel in the first half, and lifts it in the second.
        down = 1 - abs(2 * progress - 1)
        lift = max(0, 2 * progress - 1)
        return pose | {
            "hip": 0.49 - 0.13 * down,
            "lean": 0.85 * down,
            "stride": 0.6 * down,
            "arms": (0.15 + 0.35 * down + 0.9 * lift, 0.1 + 0.5 * lift),
            "other_arm": (0.15, 0.1),
            "held": progress >= 0.5,
        }
    if action == "WalkLeft":
        swing = np.sin(6 * np.pi * progress)
        return pose | {
            "x": 0.5 - progress,
            "stride": 0.5 * np.cos(6 * np.pi * progress),
            "step": 0.07 * swing,
            "arms": (0.25 + 0.15 * swing, 0.1),
        }
    if action == "LeanLeft":
        lean = 0.5 - progress
        return pose | {"lean": 1.2 * lean, "arms": (1.2, 0.2), "x": -0.1 * lean}
    raise ValueError(f"{action} has no pose; draw the first action of its pair and reverse it.")
