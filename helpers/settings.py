"""What a run of the book works on, and how long it takes. The only place that reads the environment.

`BOOK_DATASET` is `puppets`, drawn on the spot, or `ucf101`. `BOOK_RUN` is `short`, minutes on two CPU cores, or `full`,
the tutorial's sizes. `UCF101_ZIP` names UCF101's ZIP, a URL or a path (`~` is one's home). In Colab the defaults are
`ucf101`, and `full` where there is a GPU; elsewhere `puppets` and `short`.
"""

import copy
import dataclasses
import importlib.util
import os
import pathlib
import shutil
import subprocess

TUTORIAL_ZIP = "https://storage.googleapis.com/thumos14_files/UCF101_videos.zip"

_CHOICES = {
    ("puppets", "short"): dict(size=64, epochs=6),
    ("puppets", "full"): dict(size=224, epochs=50, start_step=5),
    ("ucf101", "short"): dict(
        size=64, epochs=4, num_classes=3, splits={"train": 16, "val": 6, "test": 6}
    ),
    ("ucf101", "full"): dict(size=224, epochs=50, start_step=5),
}
# Puppets act within two seconds, clips of UCF101 within seven.
_FRAME_STEPS = {"puppets": 5, "ucf101": 15}


@dataclasses.dataclass(frozen=True)
class Settings:
    """The sizes of a run: which clips, how they are read, how long the network trains."""

    dataset: str
    run: str
    frame_step: int
    size: int
    epochs: int
    zip: str = TUTORIAL_ZIP
    num_classes: int = 10
    splits: dict = dataclasses.field(default_factory=lambda: {"train": 30, "val": 10, "test": 10})
    split_by: str = "group"
    n_frames: int = 10
    batch_size: int = 8
    start_step: int = 1
    seed: int = 0

    @property
    def name(self):
        """What the run's folders are called, such as `"puppets-short"`."""
        return f"{self.dataset}-{self.run}"

    @property
    def clips_name(self):
        """What the folder of its clips is called, which is the run's name unless other classes, numbers or splits are chosen."""
        usual = Settings(
            self.dataset, self.run, self.frame_step, **_CHOICES[self.dataset, self.run]
        )
        counts = "-".join(map(str, self.splits.values()))
        chosen = (self.num_classes, self.splits) != (usual.num_classes, usual.splits)
        parts = [self.name] + [f"{self.num_classes}x{counts}"] * chosen
        return "-".join(parts + [pathlib.Path(self.split_by).stem] * (self.split_by != "group"))

    @property
    def sampling(self):
        """How `make_dataset` and `FrameGenerator` read a clip, as keyword arguments."""
        return {
            "n_frames": self.n_frames,
            "output_size": (self.size, self.size),
            "frame_step": self.frame_step,
        }

    @property
    def input_size(self):
        """What the networks take, as keyword arguments for `helpers.models`."""
        sizes = {"n_frames": self.n_frames, "height": self.size, "width": self.size}
        return {"num_classes": self.num_classes} | sizes


def current():
    """Return the settings that the environment asks for.

    Raises:
        ValueError: A variable has a value that means nothing.
    """
    colab = (
        importlib.util.find_spec("google") is not None
        and importlib.util.find_spec("google.colab") is not None
    )
    dataset = _choose("BOOK_DATASET", ("puppets", "ucf101"), "ucf101" if colab else "puppets")
    run = _choose("BOOK_RUN", ("short", "full"), "full" if colab and _has_gpu() else "short")
    source = os.path.expanduser(os.environ.get("UCF101_ZIP") or TUTORIAL_ZIP)
    return Settings(
        dataset, run, _FRAME_STEPS[dataset], zip=source, **copy.deepcopy(_CHOICES[dataset, run])
    )


def project_root():
    """Return the folder that `data/` and `runs/` stand in: the repository's, or the current one outside it."""
    here = pathlib.Path.cwd()
    return next(
        (folder for folder in (here, *here.parents) if (folder / "_toc.yml").exists()), here
    )


def _has_gpu():
    # The program may be there where the GPU is not.
    program = shutil.which("nvidia-smi")
    return (
        program is not None
        and subprocess.run([program, "-L"], capture_output=True, check=False).returncode == 0
    )


def _choose(variable, choices, default):
    value = os.environ.get(variable) or default
    if value not in choices:
        raise ValueError(
            f"{variable} is {' or '.join(choices)}, not {value!r}; set it so, or unset it for {default}."
        )
    return value
