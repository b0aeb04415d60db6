"""Execute the chapters notebooks/*.py and write notebooks/*.ipynb. `make notebooks` calls this.

It does not use `jupytext --sync`, which compares time stamps: a newer, stale .ipynb would overwrite
an edited .py.
"""

import pathlib
import sys
import time

import jupytext
import nbclient
import nbformat
import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent


def listed_pages(root=ROOT):
    """Return the names of all pages in the book's order, such as "notebooks/train"."""
    parts = yaml.safe_load((root / "_toc.yml").read_text())["parts"]
    return [entry["file"] for part in parts for entry in part["chapters"]]


def chapters(root=ROOT):
    """Return the chapters' notebooks in the book's order."""
    return [root / f"{name}.ipynb" for name in listed_pages(root) if name.startswith("notebooks/")]


def write(source):
    """Execute one chapter in a fresh kernel and write the notebook beside it."""
    notebook = jupytext.read(source)
    place = {"metadata": {"path": source.parent}}
    nbclient.NotebookClient(
        notebook, timeout=None, coalesce_streams=True, resources=place
    ).execute()
    for number, cell in enumerate(notebook.cells):
        # No times or random ids: a notebook changes in git only where its content changes.
        cell.id = f"cell-{number}"
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata.pop("language_info", None)
    nbformat.write(notebook, source.with_suffix(".ipynb"))


def main():
    names = sys.argv[1:]
    for notebook in chapters():
        source = notebook.with_suffix(".py")
        if names and source.stem not in names:
            continue
        begin = time.monotonic()
        write(source)
        print(
            f"{source.stem}: executed and written in {time.monotonic() - begin:.0f} s", flush=True
        )


if __name__ == "__main__":
    main()
