"""Execute every chapter and render the book. `make book` calls this."""

import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Messages of TensorFlow and the kernel on every start, at any log level.
NOISE = re.compile(
    r"^(I0000|E0000 .*cuda|WARNING: All log messages before absl|"
    r"\[IPKernelApp\] WARNING \| Kernel is running over TCP)"
)
STEP = re.compile(
    r"^(?:\x1b\[\S*?m)*(?P<file>\S+): (?:\x1b\[\S*?m)*"
    r"(?P<what>Executing notebook|Executed notebook in (?P<seconds>[\d.]+) seconds)"
)


def tell(line):
    """Print a line of the build: a chapter's steps in short form, and no noise."""
    step = STEP.match(line)
    if step:
        page = pathlib.Path(step["file"]).relative_to(ROOT).with_suffix("")
        print(
            f"{page}: executed in {float(step['seconds']):.0f} s"
            if step["seconds"]
            else f"{page}: executing ...",
            flush=True,
        )
    elif not NOISE.match(line):
        print(line, end="", flush=True)


def main():
    begin = time.monotonic()
    # -n -W: a link that leads nowhere, like any other warning, fails the build; --keep-going lists
    # them all.
    program = pathlib.Path(sys.executable).with_name("jupyter-book")
    command = [program, "build", ROOT, "--all", "-n", "-W", "--keep-going"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as build:
        for line in build.stdout:
            tell(line)
    if build.returncode == 0:
        print(f"The book is at _build/html/index.html, built in {time.monotonic() - begin:.0f} s.")
    sys.exit(build.returncode)


if __name__ == "__main__":
    main()
