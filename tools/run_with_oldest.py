"""Run the unit tests with the oldest versions that pyproject.toml and requirements.txt allow.

`make test-oldest` calls this.

tests/oldest lists these versions, and those of their dependencies, for the oldest Python. The tests
of the book and of its build are left out: they need Jupyter Book, which needs no old versions.
"""

import os
import re
import subprocess
import sys

from environments import find_python, make_environment
from set_address import ROOT

# Tests of pages, notebooks and the repository, and of recorded results, which hold for the versions
# that the book is built with.
OF_THE_BOOK = {
    "accessibility",
    "execution",
    "explorer",
    "links",
    "mathml",
    "notebooks",
    "pages",
    "pdf",
    "real_clips",
    "recorded_results",
    "repository",
}


def unit_tests():
    """Return the test files of the helpers."""
    files = sorted((ROOT / "tests").glob("test_*.py"))
    return [
        file
        for file in files
        if file.stem.removeprefix("test_") not in OF_THE_BOOK
        and not file.stem.startswith("test_faults_")
    ]


def run(python):
    """Run the unit tests, show what pytest prints, and return its last line."""
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *unit_tests()]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    line = ""
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as tests:
        for line in tests.stdout:
            print(line, end="", flush=True)
    return line


def count(line, *outcomes):
    """Return the number of tests with these outcomes, from pytest's last line."""
    return sum(
        int(number) for number, outcome in re.findall(r"(\d+) (\w+)", line) if outcome in outcomes
    )


def main():
    (requirements,) = (ROOT / "tests" / "oldest").glob("python-*.txt")
    version = requirements.stem.removeprefix("python-")
    interpreter = find_python(version)
    if interpreter is None:
        print(
            f"SKIPPED: there is no python{version} here\n"
            f"0 passed, 0 failed, {len(unit_tests())} skipped"
        )
        return
    line = run(make_environment("oldest", interpreter, requirements.read_text()))
    passed, failed = count(line, "passed"), count(line, "failed", "error", "errors")
    print(f"{passed} passed, {failed} failed, {count(line, 'skipped')} skipped")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
