"""Check the book's links to the web, which needs the internet. `make links` calls this.

Links within the book are checked by `make book`.
"""

import json
import pathlib
import sys
import tempfile

from sphinx_build import build


def main():
    """Print each broken link with its page, and exit with status 1 if there is one."""
    with tempfile.TemporaryDirectory() as folder:
        build(folder, "linkcheck")
        lines = pathlib.Path(folder, "output.json").read_text().splitlines()
    links = [link for link in map(json.loads, lines) if link["uri"].startswith("http")]
    broken = [link for link in links if link["status"] in ("broken", "timeout")]
    for link in broken:
        print(f"{link['filename']}:{link['lineno']}: {link['uri']}: {link['info']}")
    print(f"{len(links)} links, {len(broken)} broken")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
