"""Check the web links of the book and of the README, which needs the internet.

`make links` calls this. Sphinx checks the pages and chapters; the files in Markdown that are not
pages are read here.
"""

import json
import pathlib
import re
import sys
import tempfile

import requests
from sphinx_build import COMMITTED, ROOT, build

FILES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE-text.md", "CITATION.cff")
LINK = re.compile(r"https?://[^\s)\]<>\"'`]+")


def find_links(file):
    """Yield `(line number, address)` of each web link in a text file."""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        # OWNER/NAME is a placeholder.
        yield from ((number, link) for link in LINK.findall(line) if "OWNER/NAME" not in link)


def why_broken(address):
    """Return why an address can't be opened, or None if it can."""
    try:
        with requests.get(address, stream=True, timeout=30) as response:
            response.raise_for_status()
    except requests.RequestException as error:
        return str(error)
    return None


def check_files(files):
    """Return the number of links in text files, and a line for each broken one."""
    found = [(file, number, link) for file in files for number, link in find_links(file)]
    reasons = {link: why_broken(link) for link in sorted({link for _, _, link in found})}
    broken = [
        f"{file.name}:{number}: {link}: {reasons[link]}"
        for file, number, link in found
        if reasons[link]
    ]
    return len(found), broken


def check_book():
    """Return the number of links in pages and chapters, and a line for each broken one."""
    with tempfile.TemporaryDirectory() as folder:
        build(folder, "linkcheck", COMMITTED)
        lines = pathlib.Path(folder, "output.json").read_text(encoding="utf-8").splitlines()
    links = [json.loads(line) for line in lines]
    broken = [
        f"{link['filename']}:{link['lineno']}: {link['uri']}: {link['info']}"
        for link in links
        if link["status"] in ("broken", "timeout")
    ]
    return len(links), broken


def main():
    """Print each broken link with its file, and exit with status 1 if there is one."""
    results = check_book(), check_files([ROOT / name for name in FILES])
    count = sum(number for number, _ in results)
    broken = [line for _, lines in results for line in lines]
    print(*broken, f"{count} links, {len(broken)} broken", sep="\n")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
