"""Set the repository's address everywhere.

`make address URL=https://github.com/OWNER/NAME` calls this.

The address stands in pyproject.toml; README, book and chapters hold copies, which a test compares.
"""

import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
FORM = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+")
COPIES = (
    "pyproject.toml",
    "README.md",
    "_config.yml",
    "CITATION.cff",
    "book/*.md",
    "notebooks/*.py",
    "notebooks/*.ipynb",
)


def address(root=ROOT):
    """Return the repository's address, from pyproject.toml."""
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]["urls"]["Repository"]


def set_address(url, root=ROOT):
    """Replace the address in all files that hold it; return those that changed.

    Raises:
        ValueError: The address is not of the form https://github.com/OWNER/NAME.
    """
    if not FORM.fullmatch(url):
        raise ValueError(
            f"{url!r} does not have the form https://github.com/OWNER/NAME; give such an address."
        )
    old, new = (
        part.removeprefix("https://github.com/")
        for part in (address(root), url.removesuffix(".git"))
    )
    changed = []
    for file in sorted({file for pattern in COPIES for file in root.glob(pattern)}):
        before = file.read_text()
        # Colab's addresses name a repository as colab.research.google.com/github/OWNER/NAME.
        after = before.replace(f"github.com/{old}", f"github.com/{new}").replace(
            f".com/github/{old}", f".com/github/{new}"
        )
        if after != before:
            file.write_text(after)
            changed.append(file)
    return changed


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: make address URL=https://github.com/OWNER/NAME")
    try:
        changed = set_address(sys.argv[1])
    except ValueError as error:
        sys.exit(str(error))
    print(*(file.relative_to(ROOT) for file in changed), sep="\n")


if __name__ == "__main__":
    main()
