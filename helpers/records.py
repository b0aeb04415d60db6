"""Records of runs: folders, fingerprints, hardware and results. Taught in the chapter *Train*."""

import dataclasses
import hashlib
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras

from helpers.atomic import atomic_write, locked
from helpers.clips import is_table, read_split
from helpers.hashing import hash_code
from helpers.recipes import Recipe
from helpers.settings import Settings, project_root

HERE = pathlib.Path(__file__).parent
# The modules that determine, together with settings and recipe, the numbers of a run.
MODULES = (
    "ucf101 clips splits puppets archive damage video playback cache augmentation batches "
    "inspection counting layers models state_dict efficientnet movinet pretrained probabilities "
    "recipes checkpoints evaluation own_clips transfer training"
).split()


def code_hash(folder: pathlib.Path = HERE) -> str:
    """Return a hash of the modules' code, which comments and docstrings do not change.

    Args:
        folder: Folder of the modules.
    """
    return hash_code(*(folder / f"{name}.py" for name in MODULES))


# Computed at import, because the files may change while a network trains.
CODE = code_hash()


def run_folder(settings: Settings, recipe: Recipe) -> pathlib.Path:
    """Return the folder of a run, which is unique for its settings, recipe and code."""
    name = f"{recipe.name}-{settings.epochs}epochs-{fingerprint(settings, recipe)}"
    return project_root() / "runs" / settings.name / name


def fingerprint(settings: Settings, recipe: Recipe) -> str:
    """Return a hash of all that a run depends on.

    These are its settings, its recipe, the table of its split, the backend and the helpers' code.

    Returns:
        8 hexadecimal digits.
    """
    table = read_split(settings.split_by) if is_table(settings.split_by) else None
    inputs = [public_settings(settings), dataclasses.asdict(recipe), table]
    return short_hash(json.dumps([*inputs, keras.backend.backend(), CODE]))


def short_hash(text: str) -> str:
    """Return a hash of a text, as 8 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def public_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings as a dictionary, without paths on this machine."""
    fields = {name: value for name, value in dataclasses.asdict(settings).items() if name != "zip"}
    return fields | {"split_by": pathlib.Path(settings.split_by).name}


def _with_defaults(fields: dict[str, Any], kind: type) -> dict[str, Any]:
    """Return a record's recipe or settings with the fields that did not exist when it was made."""
    defaults = {
        field.name: field.default
        for field in dataclasses.fields(kind)
        if field.default is not dataclasses.MISSING and field.name != "zip"
    }
    return defaults | fields


def clips_source(settings: Settings) -> str:
    """Return what identifies the source of a run's clips, without paths on this machine."""
    if settings.dataset == "ucf101":
        return short_hash(str(settings.zip))
    return settings.clips_hash or settings.dataset


def make_record(
    model: keras.Model,
    history: Mapping[str, Sequence[float]],
    settings: Settings,
    recipe: Recipe,
    left_out: Mapping[str, Sequence[tuple[pathlib.Path, str]]],
) -> dict[str, Any]:
    """Return the record of a training, without results on the test clips.

    Args:
        model: The trained network.
        history: Metrics by name, and `seconds`: one value per epoch.
        settings: The settings of the run.
        recipe: The recipe of the run.
        left_out: By split, `(file, reason)` of each clip that could not be read.
    """
    seconds = history["seconds"]
    metrics = {name: values for name, values in history.items() if name != "seconds"}
    backend = keras.backend.backend()
    return {
        "recipe": dataclasses.asdict(recipe),
        "settings": public_settings(settings),
        "parameters": model.count_params(),
        "history": {name: [float(value) for value in values] for name, values in metrics.items()},
        "epoch_seconds": [round(value, 2) for value in seconds],
        "seconds": round(sum(seconds), 1),
        "hardware": hardware(),
        "versions": {
            "python": platform.python_version(),
            "keras": keras.__version__,
            "backend": f"{backend} {sys.modules[backend].__version__}",
        },
        "fingerprint": fingerprint(settings, recipe),
        "left_out": {split: [file.name for file, _ in pairs] for split, pairs in left_out.items()},
    }


def hardware() -> str:
    """Return the name of Keras's GPU, or of the CPU and the number of cores that it may use."""
    return _gpu() or _cpu()


def _gpu():
    """Return the name of the GPU that Keras computes on, or None."""
    if not shutil.which("nvidia-smi"):
        return None
    device = str(keras.ops.zeros(1).device).lower()
    if "gpu" not in device and "cuda" not in device:
        return None
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()[0].strip() if done.returncode == 0 else None


def _cpu():
    """Return the name of the CPU and how many of its cores this process may use."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores = os.cpu_count()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    count = f"{cores}" if usable == cores else f"{usable} of {cores}"
    return f"{names[0] if names else platform.machine()}, {count} cores"


def load_results(name: str) -> Any:
    """Return the content of a file in `book/results/`; for training runs, a list of records.

    Args:
        name: The file's name without `.json`.

    Raises:
        FileNotFoundError: There is no such file.
    """
    # An installed package has the files beside its modules, a checkout has them in the book.
    for folder in (HERE / "results", HERE.parent / "book" / "results"):
        if (folder / f"{name}.json").exists():
            return json.loads((folder / f"{name}.json").read_text())
    raise FileNotFoundError(
        f"book/results has no {name}.json; the page Results lists the commands that record results."
    )


def select_runs(runs: Iterable[dict], **values: Any) -> list[dict]:
    """Return the records with these values in recipe or settings, as in `conv="3d", size=64`."""
    return [run for run in runs if values.items() <= (run["settings"] | run["recipe"]).items()]


def runs_of_recipe(runs: Iterable[dict], recipe: Recipe) -> list[dict]:
    """Return the records of a recipe, with any seed."""
    expected = dataclasses.asdict(recipe)
    return [
        run
        for run in runs
        if _with_defaults(run["recipe"], Recipe) | {"seed": recipe.seed} == expected
    ]


def accuracies(runs: Iterable[dict], split: str) -> list[float]:
    """Return each run's accuracy after its last epoch.

    Args:
        runs: Records.
        split: `"train"`, `"val"` or `"test"`.
    """
    if split == "test":
        return [run["test"]["accuracy"] for run in runs]
    name = "accuracy" if split == "train" else f"{split}_accuracy"
    return [run["history"][name][-1] for run in runs]


def mean_and_range(scores: Sequence[float]) -> str:
    """Return mean, worst and best of several seeds' scores as text: `"0.71 (0.68 to 0.74)"`.

    A single score stands alone: `"0.71"`.
    """
    if len(scores) == 1:
        return f"{scores[0]:.2f}"
    return f"{sum(scores) / len(scores):.2f} ({min(scores):.2f} to {max(scores):.2f})"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table in Markdown.

    Args:
        header: Titles of the columns.
        rows: Their cells, which `str` formats.

    Raises:
        ValueError: A column has no title; a screen reader reads titles with the cells.
    """
    if not all(header):
        raise ValueError(f"Every column needs a title; add the missing ones to {tuple(header)}.")
    lines = (header, ["---"] * len(header), *rows)
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def read_records(path: pathlib.Path) -> list[dict]:
    """Return the records in a JSON file, or an empty list if there is no such file.

    Raises:
        ValueError: The file can't be read, or holds something else.
    """
    try:
        records = json.loads(path.read_text()) if path.exists() else []
    except OSError as error:
        raise ValueError(
            f"{path} can't be read ({error.strerror or error}); name another file for the records."
        ) from error
    except ValueError:
        records = None
    if isinstance(records, list) and all(map(_is_record, records)):
        return records
    raise ValueError(f"{path} is not a JSON list of runs; name another file for the records.")


def _is_record(entry):
    """Return whether an entry of a file has the parts that `_identity` needs."""
    if not isinstance(entry, dict):
        return False
    if not all(isinstance(entry.get(part), dict) for part in ("recipe", "settings")):
        return False
    versions = entry.get("versions", {})
    return isinstance(versions, dict) and isinstance(versions.get("backend", ""), str)


def add_record(path: pathlib.Path, record: dict) -> None:
    """Add a record to a JSON file, or replace that of the same recipe, settings and backend.

    Versions and hardware don't count: if a run is repeated, its new record replaces the old one.

    Raises:
        ValueError: The file can't be read or written, or holds something else.
    """
    try:
        with locked(path.parent):
            others = [old for old in read_records(path) if _identity(old) != _identity(record)]
            write_json(path, [*others, record])
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(
            f"{path} can't be written ({reason}); name another file for the records."
        ) from error


def _identity(record):
    """Return what identifies a run: recipe, settings, and the backend without its version."""
    backend = record.get("versions", {}).get("backend", "")
    recipe = _with_defaults(record["recipe"], Recipe)
    return recipe, _with_defaults(record["settings"], Settings), backend.partition(" ")[0]


def write_json(path: pathlib.Path, content: Any) -> None:
    """Write a JSON file atomically; its folder has to be `locked`."""
    with atomic_write(path) as temp_path:
        temp_path.write_text(json.dumps(content, indent=1) + "\n")
