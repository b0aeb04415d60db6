"""The settings of a run of the book, read from the environment. Taught in the chapter *Load video*.

`BOOK_DATASET` is `puppets`, which the book draws itself, or `ucf101`. `BOOK_RUN` is `short`, which
takes minutes on two CPU cores, or `full`, with the tutorial's sizes. `UCF101_ZIP` is the URL or the
path of UCF101's ZIP, or the path of the unpacked folder; a leading `~` stands for your home folder.
`MOVINET_A0_WEIGHTS` and the other keys of `PUBLISHED` likewise replace URLs of published files. In
Colab the defaults are `ucf101` and, with a GPU, `full`; everywhere else they are `puppets` and
`short`.

No other module reads the environment.
"""

import copy
import dataclasses
import importlib.util
import os
import pathlib
import shutil
import subprocess
from typing import Any

TUTORIAL_ZIP = "https://storage.googleapis.com/thumos14_files/UCF101_videos.zip"

# URLs of published weights and class names.
_TORCHVISION = "https://download.pytorch.org/models"
PUBLISHED = {
    "MOVINET_A0_WEIGHTS": "https://tfhub.dev/tensorflow/lite-model/movinet/a0/stream/kinetics-600/"
    "classification/tflite/int8/1?lite-format=tflite",
    "KINETICS600_LABELS": "https://raw.githubusercontent.com/tensorflow/models/"
    "f8af2291cced43fc9f1d9b41ddbf772ae7b0d7d2/official/projects/movinet/files/"
    "kinetics_600_labels.txt",
    "RESNET18_2PLUS1D_WEIGHTS": f"{_TORCHVISION}/r2plus1d_18-91a641e6.pth",
    "RESNET18_3D_WEIGHTS": f"{_TORCHVISION}/r3d_18-b3b3357e.pth",
    "RESNET18_MC3_WEIGHTS": f"{_TORCHVISION}/mc3_18-a90a0ba3.pth",
}

_CHOICES: dict[tuple[str, str], dict[str, Any]] = {
    ("puppets", "short"): {"size": 64, "epochs": 6},
    ("puppets", "full"): {"size": 224, "epochs": 50, "start_step": 5},
    ("ucf101", "short"): {
        "size": 64,
        "epochs": 4,
        "num_classes": 3,
        "splits": {"train": 16, "val": 6, "test": 6},
    },
    ("ucf101", "full"): {"size": 224, "epochs": 50, "start_step": 5},
    ("own", "short"): {"size": 64, "epochs": 10},
    ("own", "full"): {"size": 224, "epochs": 50, "start_step": 5},
}
# A puppet's action takes about two seconds, and a clip of UCF101 about seven. For your own clips,
# `helpers.own_clips` chooses the step, and more epochs if there are few clips.
_FRAME_STEPS = {"puppets": 5, "ucf101": 15, "own": 15}


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of a run: its clips, how frames are sampled from them, and how long it trains.

    Attributes:
        dataset: `"puppets"`, `"ucf101"` or `"own"`.
        run: `"short"` or `"full"`.
        frame_step: Distance between sampled frames, in frames of the clip; for your own clips, in
            frames at 25 per second.
        size: Height and width of the network's input, in pixels.
        epochs: How many times training goes through the training clips.
        zip: URL or path of UCF101's ZIP, or path of the unpacked folder.
        num_classes: How many classes, the first ones in alphabetical order.
        splits: Clips per class of each split; None stands for all, in an official split. For your
            own clips, the clips of all classes.
        split_by: `"group"`, `"clip"`, an official split or the path of a table, as in
            `helpers.archive.download_ucf101_subset`.
        n_frames: How many frames are sampled from a clip.
        batch_size: Clips per batch.
        start_step: Distance between the frames at which a training sample may start.
        seed: Seed of the split and of training.
        clips: Name of your own clips: that of their folder or table.
        clips_hash: Hash of the table of your own clips.
    """

    dataset: str
    run: str
    frame_step: int
    size: int
    epochs: int
    zip: str = TUTORIAL_ZIP
    num_classes: int = 10
    splits: dict[str, int | None] = dataclasses.field(
        default_factory=lambda: {"train": 30, "val": 10, "test": 10}
    )
    split_by: str = "group"
    n_frames: int = 10
    batch_size: int = 8
    start_step: int = 1
    seed: int = 0
    clips: str = ""
    clips_hash: str = ""

    @property
    def name(self) -> str:
        """The name of the run's folders, such as `"puppets-short"`."""
        return f"{self.clips or self.dataset}-{self.run}"

    @property
    def clips_name(self) -> str:
        """The name of the folder of the run's clips.

        It is the run's name, followed by the number of classes, the sizes of the splits and the
        kind of split where they are not the usual ones.
        """
        usual = Settings(
            self.dataset, self.run, self.frame_step, **_CHOICES[self.dataset, self.run]
        )
        parts = [self.name]
        if (self.num_classes, self.splits) != (usual.num_classes, usual.splits):
            counts = "-".join(str(count or "all") for count in self.splits.values())
            parts.append(f"{self.num_classes}x{counts}")
        if self.split_by != "group":
            parts.append(pathlib.Path(self.split_by).stem)
        return "-".join(parts)

    @property
    def sampling(self) -> dict[str, Any]:
        """How frames are sampled from a clip, as keyword arguments.

        `make_dataset`, `ClipBatches`, `FrameGenerator` and `frames_from_video_file` accept them.
        """
        return {
            "n_frames": self.n_frames,
            "output_size": (self.size, self.size),
            "frame_step": self.frame_step,
        }

    @property
    def input_size(self) -> dict[str, int]:
        """The sizes of a network's input and output, as keyword arguments for `helpers.models`."""
        sizes = {"n_frames": self.n_frames, "height": self.size, "width": self.size}
        return {"num_classes": self.num_classes} | sizes


def current(dataset: str | None = None) -> Settings:
    """Return the settings that the environment asks for.

    Args:
        dataset: The data set, such as `"own"`; None takes that of `BOOK_DATASET`.

    Raises:
        ValueError: `BOOK_DATASET` or `BOOK_RUN` has a value that is not one of its choices.
    """
    colab = (
        importlib.util.find_spec("google") is not None
        and importlib.util.find_spec("google.colab") is not None
    )
    dataset = dataset or _choose(
        "BOOK_DATASET", ("puppets", "ucf101"), "ucf101" if colab else "puppets"
    )
    run = _choose("BOOK_RUN", ("short", "full"), "full" if colab and _has_gpu() else "short")
    source = _source("UCF101_ZIP", TUTORIAL_ZIP)
    return Settings(
        dataset, run, _FRAME_STEPS[dataset], zip=source, **copy.deepcopy(_CHOICES[dataset, run])
    )


def published_source(name: str) -> str:
    """Return the URL of a published file, or the URL or path that the environment has in its place.

    Args:
        name: A key of `PUBLISHED`, which is also the name of the environment variable.
    """
    return _source(name, PUBLISHED[name])


def _source(variable: str, default: str) -> str:
    """Return the URL or path in an environment variable."""
    # Not a pathlib.Path, which would drop one of a URL's slashes.
    return os.path.expanduser(os.environ.get(variable) or default)  # noqa: PTH111


def project_root() -> pathlib.Path:
    """Return the folder that contains `data/` and `runs/`.

    It is the repository's root, which contains `_toc.yml`, if the current folder is in a
    repository of the book; otherwise it is the current folder.
    """
    here = pathlib.Path.cwd()
    return next(
        (folder for folder in (here, *here.parents) if (folder / "_toc.yml").exists()), here
    )


def _has_gpu() -> bool:
    program = shutil.which("nvidia-smi")
    if program is None:
        return False
    # The program may be installed on a machine without a GPU; it then fails.
    return subprocess.run([program, "-L"], capture_output=True, check=False).returncode == 0


def _choose(variable: str, choices: tuple[str, ...], default: str) -> str:
    """Return the value of an environment variable, or the default where it is unset or empty."""
    value = os.environ.get(variable) or default
    if value not in choices:
        raise ValueError(
            f"{variable} must be {' or '.join(choices)}, not {value!r}; "
            f"set it to one of these, or unset it for {default}."
        )
    return value
