"""The data set that the book draws for itself: jointed figures before backdrops. Taught in the chapter *Load video*.

Ten actions come in five pairs, each the other played backwards, frame for frame: no single frame, and no bag of frames,
tells a pair apart. There are up to 25 groups; a group is one figure before one backdrop, as a group of UCF101 is one
upload. Everything is drawn from a seed into real video files, named like UCF101's, in a real ZIP.
"""

import pathlib
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor

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


def write_zip(path, *, groups=25, clips=3, seed=0, casts="pair"):
    """Draw the puppets into a ZIP of AVI files named like UCF101's.

    A ZIP that this version has already drawn with the same arguments is left as it is. Of two
    processes that draw into one folder, the second waits for the first.

    Args:
        path: Where the ZIP goes.
        groups: Groups a class, at most 25.
        clips: Clips a group.
        seed: Seed of everything drawn.
        casts: Who has figures and rooms of its own: each `"pair"`, so that nothing but time tells
            its two actions apart; or each `"class"`, as in UCF101, where a room tells the action to
            whoever has seen it before.

    Returns:
        The path, with members `puppets/v_<Class>_g<group>_c<clip>.avi`.

    Raises:
        ValueError: `groups` is not from 1 to 25, `clips` not from 1 to 99, or `casts` neither of
            the two.
        OSError: The ZIP, or a clip on its way there, can't be written.
    """
    if not (1 <= groups <= 25 and 1 <= clips <= 99):
        raise ValueError(
            f"Puppets have 1 to 25 groups and 1 to 99 clips a group, not {groups} and {clips}."
        )
    _check_casts(casts)
    path = pathlib.Path(path)
    stamp = _stamp(groups, clips, seed, casts)
    jobs = [
        (pair, group, clip, seed, casts)
        for pair in PAIRS
        for group in range(1, groups + 1)
        for clip in range(1, clips + 1)
    ]
    with locked(path.parent):
        if not _is_drawn(path, stamp):
            with (
                tempfile.TemporaryDirectory() as folder,
                ThreadPoolExecutor() as pool,
                atomic_write(path) as temp_path,
            ):
                drawn = [
                    fname
                    for names in pool.map(lambda job: _write_pair(folder, *job), jobs)
                    for fname in names
                ]
                _pack(temp_path, sorted(drawn), stamp)
    return path


def draw_clip(class_name, group, clip, seed=0, casts="pair"):
    """Draw one clip.

    Args:
        class_name: One of `CLASSES`.
        group: Which figure and backdrop, from 1.
        clip: Which take of it, from 1.
        seed: Seed of everything drawn.
        casts: Who has figures and rooms of its own, as in `write_zip`.

    Returns:
        uint8 RGB frames `(n_frames, 180, 240, 3)`, 25 a second.
    """
    _check_casts(casts)
    pair = next(pair for pair in PAIRS if class_name in pair)
    number = PAIRS.index(pair)
    # The second action of a pair has the casts of a pair that there isn't.
    own = len(PAIRS) * (casts == "class" and class_name == pair[1])
    cast = _Cast(np.random.default_rng([seed, group]), number + own)
    take = np.random.default_rng([seed, group, clip, number + own])
    # An even number of frames: the middle of a clip, reversed, is the middle of the reversed clip.
    n_frames = 2 * int(take.integers(25, 31))
    begin, end = take.uniform(0, 0.12), take.uniform(0.88, 1)
    shift = take.uniform(-0.04, 0.04)
    progress = np.clip((np.linspace(0, 1, n_frames) - begin) / (end - begin), 0, 1)
    progress = progress * progress * (3 - 2 * progress)
    frames = np.stack([cast.draw(pair[0], u, shift) for u in progress])
    return frames if class_name == pair[0] else frames[::-1]


def _check_casts(casts):
    if casts not in ("pair", "class"):
        raise ValueError(f'casts is "pair" or "class", not {casts!r}.')


def _stamp(groups, clips, seed, casts):
    """Return what a ZIP's comment says of how it was drawn: the arguments, this file, OpenCV."""
    source = hash_code(pathlib.Path(__file__))[:16]
    return f"puppets groups={groups} clips={clips} seed={seed} casts={casts} source={source} opencv={cv2.__version__}".encode()


def _is_drawn(path, stamp):
    try:
        with zipfile.ZipFile(path) as existing:
            return existing.comment == stamp
    except (FileNotFoundError, zipfile.BadZipFile):
        return False


def _pack(path, files, stamp):
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = stamp
        for file in files:
            # A fixed date: the same seed gives the same bytes.
            member = zipfile.ZipInfo(f"puppets/{file.name}", date_time=(2012, 11, 1, 0, 0, 0))
            archive.writestr(member, file.read_bytes())


def _write_pair(folder, pair, group, clip, seed, casts):
    """Draw a clip of each of a pair's actions and write it; where they share a cast, the second is the first backwards. Return the paths."""
    frames = draw_clip(pair[0], group, clip, seed, casts)
    others = frames[::-1] if casts == "pair" else draw_clip(pair[1], group, clip, seed, casts)
    names = [
        pathlib.Path(folder) / f"v_{class_name}_g{group:02d}_c{clip:02d}.avi" for class_name in pair
    ]
    for fname, ordered in zip(names, (frames, others)):
        # Motion JPEG codes every frame by itself, so a frame decodes alike whichever way the clip
        # runs.
        writer = cv2.VideoWriter(
            str(fname), cv2.CAP_OPENCV_MJPEG, cv2.VideoWriter_fourcc(*"MJPG"), FPS, (WIDTH, HEIGHT)
        )
        writer.set(cv2.VIDEOWRITER_PROP_QUALITY, JPEG_QUALITY)
        for frame in ordered:
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        writer.release()
        _check_whole(fname)
    return names


def _check_whole(fname):
    """OpenCV says nothing when a disk is full. An AVI file begins with "RIFF" and how much follows."""
    with open(fname, "rb") as file:
        follows = int.from_bytes(file.read(8)[4:], "little")
    if fname.stat().st_size != 8 + follows:
        raise OSError(
            f"{fname.name} can't be drawn whole in {fname.parent.parent}; free space there, then run this again."
        )


def _rgb(colour, shade=1.0):
    """Return `"#rrggbb"` as a tuple, darker where shade is below 1 and towards white above."""
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], dtype=float)
    channels = channels * shade if shade <= 1 else 255 - (255 - channels) * (2 - shade)
    return tuple(int(c) for c in channels.round())


class _Cast:
    """A group's backdrop, figure and camera, ready to be drawn in any pose.

    Lengths are in units of the figure's height; x runs to the right and y up, from the floor below
    the figure.
    """

    def __init__(self, rng, pair_index):
        # Groups are numbered anew in each class, so pairs of actions have casts of their own; a
        # pair shares its casts.
        rng = np.random.default_rng([int(rng.integers(2**31)), pair_index])
        self.shirt, self.trousers = _rgb(rng.choice(SHIRTS)), _rgb(rng.choice(TROUSERS))
        self.skin, self.hair = _rgb(rng.choice(SKINS)), _rgb(rng.choice(TROUSERS), 0.8)
        self.scale = rng.uniform(108, 128)
        self.centre = WIDTH / 2 + rng.uniform(-10, 10)
        self.floor = HEIGHT - rng.uniform(20, 28)
        self.torso, self.thigh = rng.uniform(0.29, 0.32), rng.uniform(0.24, 0.26)
        self.stool = _rgb(rng.choice(FLOORS), 0.6)
        self.parcel = _rgb(rng.choice(SHIRTS), 1.3)
        self.backdrop = self._paint_backdrop(rng)

    def draw(self, action, u, shift):
        """Return a uint8 RGB frame of an action at progress u, from 0 to 1."""
        pose = _pose(action, u)
        self.image, self.shift = self.backdrop.copy(), shift + pose["x"]
        if action == "SitDown":
            self._block((-0.15, 0), (0.15, 0.25), self.stool)
        hip = np.array([0, pose["hip"]])
        up = np.array([np.sin(pose["lean"]), np.cos(pose["lean"])])
        neck = hip + pose["stoop"] * self.torso * up
        self._shadow()
        for side in (-1, 1):
            self._leg(
                hip + (0.055 * side, 0),
                np.array([side * 0.1 + side * pose["stride"] * 0.09, max(0, side * pose["step"])]),
                side,
            )
        self._limb(hip, neck, 0.17, self.shirt)
        hands = [self._arm(neck, side, pose) for side in (-1, 1)]
        self._limb(neck, neck + 0.07 * up, 0.055, self.skin)
        self._disc(neck + 0.125 * up, 0.082, self.skin)
        self._disc(neck + 0.15 * up, 0.075, self.hair, half=np.degrees(pose["lean"]))
        if action == "PickUp":
            held = hands[1] if pose["held"] else np.array([0.34, 0.07])
            self._block(held - (0.065, 0.065), held + (0.065, 0.065), self.parcel)
        return self.image

    def _leg(self, hip, foot, side):
        reach = foot - hip
        length = min(np.linalg.norm(reach), 2 * self.thigh - 1e-6)
        bend = np.sqrt(self.thigh**2 - (length / 2) ** 2)
        direction = reach / np.linalg.norm(reach)
        knee = hip + direction * length / 2 + side * bend * np.array([-direction[1], direction[0]])
        self._limb(hip, knee, 0.085, self.trousers)
        self._limb(knee, hip + direction * length, 0.07, self.trousers)
        self._limb(
            hip + direction * length, hip + direction * length + (0.05 * side, 0), 0.05, self.hair
        )

    def _arm(self, neck, side, pose):
        """Draw an arm, its shoulder turned up from hanging by an angle; return the hand."""
        shoulder = neck + (0.075 * side, -0.025)
        angle, elbow = pose["arms"] if side > 0 else pose.get("other_arm", pose["arms"])
        elbow_at = shoulder + 0.17 * np.array([side * np.sin(angle), -np.cos(angle)])
        hand = elbow_at + 0.17 * np.array([side * np.sin(angle + elbow), -np.cos(angle + elbow)])
        self._limb(shoulder, elbow_at, 0.065, self.shirt)
        self._limb(elbow_at, hand, 0.05, self.skin)
        return hand

    def _to_pixels(self, point):
        """Return a point of the scene in 1/16 pixels, the unit that OpenCV draws smooth edges in."""
        x = self.centre + (point[0] + self.shift) * self.scale
        y = self.floor - point[1] * self.scale
        return round(x * 16), round(y * 16)

    def _limb(self, start, end, width, colour):
        thickness = max(1, round(width * self.scale))
        cv2.line(
            self.image,
            self._to_pixels(start),
            self._to_pixels(end),
            colour,
            thickness,
            cv2.LINE_AA,
            shift=4,
        )

    def _disc(self, centre, radius, colour, half=None):
        """Draw a disc, or its upper half, turned by so many degrees."""
        axes = (round(radius * self.scale * 16),) * 2
        angles = (0, 0, 360) if half is None else (half, 180, 360)
        cv2.ellipse(
            self.image,
            self._to_pixels(centre),
            axes,
            *angles,
            colour,
            cv2.FILLED,
            cv2.LINE_AA,
            shift=4,
        )

    def _block(self, low, high, colour):
        cv2.rectangle(
            self.image,
            self._to_pixels(low),
            self._to_pixels(high),
            colour,
            cv2.FILLED,
            cv2.LINE_AA,
            shift=4,
        )

    def _shadow(self):
        axes = (round(0.26 * self.scale * 16), round(0.035 * self.scale * 16))
        colour = tuple(int(c * 0.75) for c in self.backdrop[-3, WIDTH // 2])
        cv2.ellipse(
            self.image,
            self._to_pixels((0, -0.01)),
            axes,
            0,
            0,
            360,
            colour,
            cv2.FILLED,
            cv2.LINE_AA,
            shift=4,
        )

    def _paint_backdrop(self, rng):
        """Paint a wall, a floor and one thing on either side, pale enough to leave the figure the darkest part."""
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
    cv2.rectangle(
        image, (x - 18, top), (x + 18, top + 28), _rgb(rng.choice(WALLS), 1.2), cv2.FILLED
    )
    cv2.circle(image, (x - 6, top + 12), 5, _rgb(rng.choice(SHIRTS), 1.5), cv2.FILLED, cv2.LINE_AA)
    cv2.rectangle(image, (x - 18, top), (x + 18, top + 28), frame, 2)


def _paint_plant(image, x, horizon, frame, rng):
    leaf = _rgb("#7fae7a", rng.uniform(1.0, 1.35))
    for angle in (-150, -120, -90, -60, -30):
        tip = (
            x + int(26 * np.cos(np.radians(angle))),
            horizon - 20 + int(34 * np.sin(np.radians(angle))),
        )
        cv2.line(image, (x, horizon - 18), tip, leaf, 6, cv2.LINE_AA)
    cv2.rectangle(
        image, (x - 11, horizon - 20), (x + 11, horizon + 6), _rgb("#c58a66", 1.15), cv2.FILLED
    )


def _paint_lamp(image, x, horizon, frame, rng):
    cv2.line(image, (x, horizon + 4), (x, horizon - 78), frame, 3, cv2.LINE_AA)
    cv2.ellipse(image, (x, horizon + 5), (12, 4), 0, 0, 360, frame, cv2.FILLED, cv2.LINE_AA)
    shade = np.array(
        [
            (x - 9, horizon - 100),
            (x + 9, horizon - 100),
            (x + 18, horizon - 74),
            (x - 18, horizon - 74),
        ]
    )
    cv2.fillPoly(image, [shade], _rgb("#fbeec2"), cv2.LINE_AA)


def _paint_clock(image, x, horizon, frame, rng):
    y = int(rng.integers(34, 54))
    cv2.circle(image, (x, y), 17, _rgb("#fbfaf5"), cv2.FILLED, cv2.LINE_AA)
    cv2.circle(image, (x, y), 17, frame, 3, cv2.LINE_AA)
    for angle, length in zip(rng.uniform(0, 2 * np.pi, 2), (12, 8)):
        cv2.line(
            image,
            (x, y),
            (x + int(length * np.sin(angle)), y - int(length * np.cos(angle))),
            frame,
            2,
            cv2.LINE_AA,
        )


_PAINTERS = {
    "window": _paint_window,
    "picture": _paint_picture,
    "plant": _paint_plant,
    "lamp": _paint_lamp,
    "clock": _paint_clock,
}


def _pose(action, u):
    """Return a pose at progress u: where the hip, the feet and the hands are.

    `stoop` is how much of the torso's length shows when it bends towards the viewer; an arm is the
    angle of its shoulder from hanging and that of its elbow.
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
        stoop = 1 - 0.2 * np.sin(np.pi * u)
        return pose | {
            "hip": 0.49 - 0.21 * u,
            "stride": 0.5 * u,
            "stoop": stoop,
            "arms": (0.15 + 0.35 * u, 0.1 - 0.7 * u),
        }
    if action == "RaiseArms":
        return pose | {"arms": (0.15 + 2.75 * u, 0.1)}
    if action == "PickUp":
        # Down to the parcel in the first half, up with it in the second.
        down = 1 - abs(2 * u - 1)
        lift = max(0, 2 * u - 1)
        bend = {
            "hip": 0.49 - 0.13 * down,
            "lean": 0.85 * down,
            "arms": (0.15 + 0.35 * down + 0.9 * lift, 0.1 + 0.5 * lift),
        }
        return pose | bend | {"held": u >= 0.5, "other_arm": (0.15, 0.1), "stride": 0.6 * down}
    if action == "WalkLeft":
        swing = np.sin(6 * np.pi * u)
        return pose | {
            "x": 0.5 - u,
            "stride": 0.5 * np.cos(6 * np.pi * u),
            "step": 0.07 * swing,
            "arms": (0.25 + 0.15 * swing, 0.1),
        }
    if action == "LeanLeft":
        lean = 0.5 - u
        return pose | {"lean": 1.2 * lean, "arms": (1.2, 0.2), "x": -0.1 * lean}
    raise ValueError(f"{action} is not drawn; its pair is.")
