"""Virtual environments with other versions than those that the book is built with."""

import os
import pathlib
import shutil
import subprocess
import sys
import tomllib

from set_address import ROOT

BACKENDS = ("jax==0.10.2", "torch==2.13.0", "torchvision==0.28.0")


def find_python(version):
    """Return the interpreter of a version such as "3.12", or None."""
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv")) / "versions"
    installed = sorted(str(folder / "bin/python") for folder in pyenv.glob(f"{version}.*"))
    # A pyenv shim on the path may stand for a version that is not chosen, so try each.
    for python in [*installed, shutil.which(f"python{version}")]:
        if python and subprocess.run([python, "--version"], capture_output=True).returncode == 0:
            return python
    return None


def make_environment(name, python, requirements, constraints=""):
    """Return the Python of an environment, which is created again when its versions change.

    Args:
        name: The environment's folder is `.venv-` and this name.
        python: The interpreter to create it with.
        requirements: What to install, as the text of a requirements file.
        constraints: The text of a constraints file.
    """
    folder = ROOT / f".venv-{name}"
    stamp = folder / "installed"
    if not stamp.exists() or stamp.read_text() != requirements + constraints:
        subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
        (folder / "requirements.txt").write_text(requirements)
        (folder / "constraints.txt").write_text(constraints)
        install = [folder / "bin/python", "-m", "pip", "install", "--quiet"]
        files = ["-r", folder / "requirements.txt", "-c", folder / "constraints.txt"]
        subprocess.run([*install, "--disable-pip-version-check", *files], check=True)
        stamp.write_text(requirements + constraints)
    return folder / "bin/python"


def make_backends_environment(name="backends", more=()):
    """Return the Python of an environment with JAX, PyTorch and torchvision, without TensorFlow.

    Args:
        name: As in `make_environment`.
        more: Other requirements.
    """
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    pinned = (ROOT / "constraints.txt").read_text().splitlines()
    needed, constraints = (
        [line for line in lines if "tensorflow" not in line] for lines in (dependencies, pinned)
    )
    requirements = [*needed, "opencv-python-headless", *BACKENDS, *more]
    return make_environment(
        name, sys.executable, "\n".join(requirements) + "\n", "\n".join(constraints)
    )
