"""Execute every chapter and render the book. `make book` calls this."""

import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def main():
    begin = time.monotonic()
    # -n -W: a link that leads nowhere, like any other warning, fails the build; --keep-going lists them all.
    command = [str(pathlib.Path(sys.executable).with_name("jupyter-book")), "build", str(ROOT), "--all", "-n", "-W", "--keep-going"]
    code = subprocess.call(command)
    if code == 0:
        print(f"The book is at {ROOT / '_build/html/index.html'}, built in {time.monotonic() - begin:.0f} s.")
    sys.exit(code)


if __name__ == "__main__":
    main()
