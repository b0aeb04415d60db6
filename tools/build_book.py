"""Execute the pages that need it, and render the book. `make book` calls this."""

import sys
import time

import execution
from sphinx_build import ROOT, build

# All outputs come from the cache, which is up to date.
CACHED = {"nb_execution_mode": "cache", "nb_execution_cache_path": str(ROOT / execution.CACHE)}
# A link that leads nowhere, like any other warning, fails the build, which lists them all.
STRICT = {"warningiserror": True, "keep_going": True}


def main():
    begin = time.monotonic()
    try:
        execution.update(log=lambda line: print(line, flush=True))
    except RuntimeError as error:
        sys.exit(str(error))
    # Every page is rendered: Sphinx doesn't notice that a page's outputs have changed.
    fresh = {"freshenv": True, "force_all": True}
    if not build(ROOT / "_build/html", "html", CACHED | {"nitpicky": True}, **STRICT | fresh):
        sys.exit("The book has errors or warnings, listed above.")
    print(f"The book is at _build/html/index.html, built in {time.monotonic() - begin:.0f} s.")


if __name__ == "__main__":
    main()
