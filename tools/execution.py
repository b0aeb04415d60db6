"""Execute the book's pages where something that they depend on has changed, and cache the outputs.

A cached output is used while the page's code and all that it depends on stay the same: the helpers
that it imports, directly or indirectly, the recorded results that it names, the settings, the
installed versions, and for pages that use the network of the chapter Train, that chapter's code.
"""

import ast
import concurrent.futures
import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import os
import pathlib
import re
import sys

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import single_nb_execution
from myst_nb.core.read import is_myst_markdown_notebook, myst_nb_reader_plugin
from write_notebooks import ROOT, listed_pages

# Below the book's folder.
CACHE = "_build/.jupyter_cache"
# The chapter that trains the network which others use, and how they ask for it (not for one of
# clips of their own).
TRAINS, USES_TRAINED = "notebooks/train", re.compile(r"\btraining\.train\((?![^)]*\bclips=)")
# Pages that measure times run alone, and others two at a time, which fill two cores.
MEASURES, WORKERS = re.compile(r"\bperf_counter\(|\bTimeline\("), 2
# Environment variables that decide what a page prints.
VARIABLES = re.compile(r"BOOK_|UCF101_|KERAS_|TF_|XLA_|CUDA_|OPENCV_|PYTHONHASHSEED")


@dataclasses.dataclass
class Page:
    """A page with code: its name in the table of contents, its file and its notebook."""

    name: str
    file: pathlib.Path
    notebook: nbformat.NotebookNode

    @property
    def code(self):
        cells = self.notebook.cells
        return "\n".join(cell.source for cell in cells if cell.cell_type == "code")


def read_pages(root=ROOT):
    """Return the pages with code, by their names in the order of the table of contents."""
    pages = {}
    for name in listed_pages(root):
        file = root / f"{name}.ipynb"
        if file.exists():
            pages[name] = Page(name, file, nbformat.read(file, as_version=4))
        elif is_myst_markdown_notebook((root / f"{name}.md").read_text()):
            file = root / f"{name}.md"
            pages[name] = Page(name, file, myst_nb_reader_plugin(str(file)))
    return pages


def imported_helpers(code, root=ROOT):
    """Return the files of the helpers that a page's code names, and of those that these import."""
    modules = {file.stem: file for file in (root / "helpers").glob("*.py")}
    # Lines that only notebooks know, such as %pip, are no Python.
    python = re.sub(r"^(\s*)[%!].*$", r"\1pass", code, flags=re.MULTILINE)
    # A page may also name a helper in a command, such as python -m helpers.predict.
    named = _imported(python) | set(re.findall(r"\bhelpers\.(\w+)", code)) | {"__init__"}
    found, new = set(), named & set(modules)
    while new:
        found |= new
        imported = (_imported(modules[name].read_text()) for name in new)
        new = set().union(*imported) & set(modules) - found
    return {modules[name] for name in found}


@functools.cache
def _imported(python):
    """Return the names of the helpers that Python code imports, at its top or in a function."""
    names = set()
    for node in ast.walk(ast.parse(python)):
        if isinstance(node, ast.ImportFrom) and node.module == "helpers":
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("helpers."):
            names.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            dotted = (alias.name.split(".") for alias in node.names)
            names |= {parts[1] for parts in dotted if parts[0] == "helpers" and parts[1:]}
    return names


def dependencies(page, pages, root=ROOT):
    """Return the files that a page's outputs depend on, besides its own code."""
    codes = [page.code]
    if USES_TRAINED.search(page.code):
        codes.append(pages[TRAINS].code)
    helpers = imported_helpers("\n".join(codes), root)
    strings = set(re.findall(r"[\"']([\w-]+)[\"']", "\n".join(codes)))
    results = {file for file in (root / "book/results").iterdir() if file.stem in strings}
    return helpers | results | set((root / "helpers/assets").iterdir())


def fingerprints(pages, root=ROOT):
    """Return by page a text that changes with everything that its outputs depend on."""
    installed = sorted(
        f"{each.name}=={each.version}" for each in importlib.metadata.distributions()
    )
    settings = sorted(item for item in os.environ.items() if VARIABLES.match(item[0]))
    common = json.dumps([sys.version, installed, settings])
    found = {}
    for name, page in pages.items():
        parts = [common, pages[TRAINS].code if USES_TRAINED.search(page.code) else ""]
        for file in sorted(dependencies(page, pages, root)):
            parts += [str(file.relative_to(root)), hashlib.sha256(file.read_bytes()).hexdigest()]
        found[name] = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return found


def find_cached(cache, page, key):
    """Return whether the cache has a page's outputs, and remove them if they are out of date."""
    try:
        record = cache.match_cache_notebook(page.notebook)
    except KeyError:
        return False
    if record.data.get("fingerprint") == key:
        return True
    cache.remove_cache(record.pk)
    return False


def plan(pages):
    """Return the order of execution: pages that may run two at a time, and pages that run alone."""
    alone = [page for page in pages if MEASURES.search(page.code)]
    together = [page for page in pages if page not in alone]
    # Those that use the trained network come last, when it is ready or soon will be.
    together.sort(
        key=lambda page: (page.name != TRAINS, USES_TRAINED.search(page.code) is not None)
    )
    return together, alone


def update(root=ROOT, log=print):
    """Execute each page whose outputs are missing or out of date.

    Returns:
        The names of the executed pages.

    Raises:
        RuntimeError: A page failed. The outputs of those that succeeded are in the cache.
    """
    cache, pages = get_cache(root / CACHE), read_pages(root)
    keys = fingerprints(pages, root)
    outdated = [page for page in pages.values() if not find_cached(cache, page, keys[page.name])]
    failures, running = [], {}

    def execute(page):
        if USES_TRAINED.search(page.code) and TRAINS in running:
            concurrent.futures.wait([running[TRAINS]])
        log(f"{page.name}: executing ...")
        folder = str(page.file.parent)
        return page, single_nb_execution(page.notebook, folder, None, allow_errors=False)

    for stage, workers in zip(plan(outdated), (WORKERS, 1)):
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            for page in stage:
                running[page.name] = pool.submit(execute, page)
            started = [running[page.name] for page in stage]
            for future in concurrent.futures.as_completed(started):
                page, result = future.result()
                if result.err is not None:
                    failures.append(f"{page.name} fails:\n{result.exc_string}")
                    continue
                data = {"execution_seconds": result.time, "fingerprint": keys[page.name]}
                bundle = CacheBundleIn(result.nb, str(page.file), data=data)
                cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
                log(f"{page.name}: executed in {result.time:.0f} s")
    if failures:
        raise RuntimeError("\n".join(failures))
    return [page.name for page in outdated]
