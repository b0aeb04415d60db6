"""What is kept of a run: where, on what machine, and what came of it. Taught in the chapter *Train*."""

import dataclasses
import hashlib
import json
import os
import pathlib
import platform
import shutil
import subprocess

import keras

from helpers.atomic import atomic_write, locked
from helpers.clips import is_table, read_split
from helpers.hashing import hash_code
from helpers.settings import project_root

HERE = pathlib.Path(__file__).parent
# What decides, besides settings and recipe, which numbers come out.
MODULES = (
    "ucf101 clips puppets archive damage video cache augmentation batches counting layers models "
    "probabilities recipes checkpoints evaluation training"
).split()
# As it is when they are imported: it may change while they train.
CODE = hash_code(*(HERE / f"{name}.py" for name in MODULES))


def run_folder(settings, recipe):
    """Return the folder that a run is kept in; other settings, recipes or helpers have another."""
    return (
        project_root()
        / "runs"
        / settings.name
        / f"{recipe.name}-{settings.epochs}epochs-{fingerprint(settings, recipe)}"
    )


def fingerprint(settings, recipe):
    """Return a hash of what a run depends on: its settings, its recipe, the table of its split, the backend and the helpers' source."""
    table = read_split(settings.split_by) if is_table(settings.split_by) else None
    inputs = [public_settings(settings), dataclasses.asdict(recipe), table, keras.backend.backend()]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:8]


def public_settings(settings):
    """Return the settings as a dictionary without paths of this machine."""
    fields = {name: value for name, value in dataclasses.asdict(settings).items() if name != "zip"}
    return fields | {"split_by": pathlib.Path(settings.split_by).name}


def hardware():
    """Return the name of the GPU that Keras computes on, or of the CPU and how many of its cores this process may use."""
    if shutil.which("nvidia-smi") and any(
        name in str(keras.ops.zeros(1).device).lower() for name in ("gpu", "cuda")
    ):
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        found = subprocess.run(query, capture_output=True, text=True, check=False)
        if found.returncode == 0:
            return found.stdout.splitlines()[0].strip()
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    name = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )
    cores = os.cpu_count()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    return f"{name}, {cores if usable == cores else f'{usable} of {cores}'} cores"


def load_results(name):
    """Return what was recorded under a name in `book/results/`; of training runs, a list of records.

    Raises:
        FileNotFoundError: There is no such recording.
    """
    # In an installed package the recordings lie beside the modules, in a checkout in the book.
    for folder in (HERE / "results", HERE.parent / "book" / "results"):
        if (folder / f"{name}.json").exists():
            return json.loads((folder / f"{name}.json").read_text())
    raise FileNotFoundError(
        f"Nothing is recorded as {name}.json in book/results; the Results page says what makes such files."
    )


def select_runs(runs, **wanted):
    """Return the records of the runs whose recipes and settings have these values, such as `conv="3d", size=64`."""
    return [run for run in runs if wanted.items() <= (run["settings"] | run["recipe"]).items()]


def runs_of_recipe(runs, recipe):
    """Return the records of the runs of a recipe, whatever their seeds."""
    wanted = dataclasses.asdict(recipe)
    return [run for run in runs if run["recipe"] | {"seed": recipe.seed} == wanted]


def accuracies(runs, split):
    """Return what share of a split, `"train"`, `"val"` or `"test"`, each run had right at its end."""
    if split == "test":
        return [run["test"]["accuracy"] for run in runs]
    return [
        run["history"]["accuracy" if split == "train" else f"{split}_accuracy"][-1] for run in runs
    ]


def mean_and_range(scores):
    """Return scores of several seeds in words: their mean, and from the worst to the best, such as `"0.71 (0.68 to 0.74)"`."""
    return f"{sum(scores) / len(scores):.2f} ({min(scores):.2f} to {max(scores):.2f})"


def markdown_table(header, rows):
    """Return a table in Markdown, of a row of titles and rows of what `str` takes.

    Raises:
        ValueError: A column has no title, which leaves those who hear a page in the dark about its
            cells.
    """
    if not all(header):
        raise ValueError(
            f"Every column of a table needs a title; give one where it is empty in {tuple(header)}."
        )
    return "\n".join(
        f"| {' | '.join(map(str, row))} |" for row in (header, ["---"] * len(header), *rows)
    )


def read_records(path):
    """Return the records in a file of them; none if there is no file yet.

    Raises:
        ValueError: It is another sort of file.
    """
    try:
        records = json.loads(path.read_text()) if path.exists() else []
        if isinstance(records, list) and all(map(_is_record, records)):
            return records
    except OSError as error:
        raise ValueError(
            f"{path} can't be read ({error.strerror or error}); name another file for the records."
        ) from error
    except ValueError:
        pass
    raise ValueError(f"{path} is no JSON list of runs; name another file for the records.")


def _is_record(entry):
    """Return whether an entry of a file has what `_identity` takes."""
    if not isinstance(entry, dict) or not all(
        isinstance(entry.get(part), dict) for part in ("recipe", "settings")
    ):
        return False
    versions = entry.get("versions", {})
    return isinstance(versions, dict) and isinstance(versions.get("backend", ""), str)


def add_record(path, record):
    """Add a run's record to a file of them, in place of one of the same recipe, settings and backend.

    Versions and hardware don't count: the same run, made anew, takes the old one's place.

    Raises:
        ValueError: It is another sort of file, or can't be written.
    """
    try:
        with locked(path.parent):
            write_json(
                path,
                [
                    *(old for old in read_records(path) if _identity(old) != _identity(record)),
                    record,
                ],
            )
    except OSError as error:
        raise ValueError(
            f"{path} can't be written ({error.strerror or error}); name another file for the records."
        ) from error


def _identity(record):
    """Return what makes a run another one: its recipe, its settings, and the backend's name without its version."""
    backend = record.get("versions", {}).get("backend", "")
    return record["recipe"], record["settings"], backend.partition(" ")[0]


def write_json(path, content):
    """Write JSON to a file that is there whole or not at all; its folder has to be `locked`."""
    with atomic_write(path) as temp_path:
        temp_path.write_text(json.dumps(content, indent=1) + "\n")
