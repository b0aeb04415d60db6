"""Draw the images for the README and the landing page. `make pictures` calls this."""

import pathlib

import cv2
import numpy as np

from helpers import plots, puppets

STATIC = pathlib.Path(__file__).resolve().parent.parent / "book" / "_static"


def tile(class_name, group, n_frames=24, size=(120, 160)):
    """Return a clip of one puppet, resized, with its class below."""
    frames = puppets.draw_clip(class_name, group, 1)
    frames = frames[np.linspace(0, len(frames) - 1, n_frames).round().astype(int)]
    pictures = np.stack(
        [cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA) for frame in frames]
    )
    label = np.full((22, size[1], 3), 251, dtype=np.uint8)
    (width, _), _ = cv2.getTextSize(class_name, cv2.FONT_HERSHEY_DUPLEX, 0.45, 1)
    cv2.putText(
        label,
        class_name,
        ((size[1] - width) // 2, 15),
        cv2.FONT_HERSHEY_DUPLEX,
        0.45,
        (35, 39, 47),
        1,
        cv2.LINE_AA,
    )
    labels = np.broadcast_to(label, (n_frames, *label.shape))
    clip = np.concatenate([pictures, labels], axis=1)
    return np.pad(clip, ((0, 0), (4, 0), (4, 4), (0, 0)), constant_values=251)


def main():
    """Write puppets.gif, a pair of actions a column, and logo.png."""
    rows = [
        np.concatenate([tile(pair[i], group=3) for pair in puppets.PAIRS], axis=2) for i in (0, 1)
    ]
    (STATIC / "puppets.gif").write_bytes(
        plots.encode_gif(np.concatenate(rows, axis=1), fps=10, loops=0)
    )
    logo = puppets.draw_clip("LeanLeft", 6, 1)[8][10:170, 40:200]
    cv2.imwrite(str(STATIC / "logo.png"), cv2.cvtColor(logo, cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
