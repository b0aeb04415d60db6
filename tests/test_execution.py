"""Which pages `make book` executes again after which edit, and that it shows no old output."""

import json
import shutil
import sys

import jupytext
import nbformat
import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))

import execution

# What uses the network of the chapter Train.
TRAINED = {
    f"notebooks/{name}" for name in ("evaluate", "own_video", "see_what_it_sees", "use_time")
}
CHAPTERS = {name for name in execution.read_pages() if name.startswith("notebooks/")}
PAGES = CHAPTERS | {"book/results", "book/faults"}


@pytest.fixture
def book(tmp_path):
    """A copy of everything that decides which pages are executed."""
    for name in ("helpers", "notebooks", "book"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "_toc.yml", tmp_path)
    return tmp_path


def fingerprints(root):
    pages = execution.read_pages(root)
    # jupyter-cache compares the code; the fingerprint is for everything else.
    keys = execution.fingerprints(pages, root)
    return {name: (page.code, keys[name]) for name, page in pages.items()}


def replace(old, new):
    def edit(file):
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))

    return edit


def edit_notebook(kind, old, new):
    """Edit a chapter's first cell of a kind that contains a text, as `make notebooks` would."""

    def edit(file):
        notebook = nbformat.read(file, as_version=4)
        cell = next(
            cell for cell in notebook.cells if cell.cell_type == kind and old in cell.source
        )
        cell.source = cell.source.replace(old, new, 1)
        nbformat.write(notebook, file)

    return edit


EDITS = {
    "a word in a chapter": (
        "notebooks/train.ipynb",
        edit_notebook("markdown", "epoch", "pass"),
        set(),
    ),
    "code in a chapter": (
        "notebooks/leaky_split.ipynb",
        edit_notebook("code", "batch_size=16", "batch_size=15"),
        {"notebooks/leaky_split"},
    ),
    "code in the chapter that trains for others": (
        "notebooks/train.ipynb",
        edit_notebook("code", "shuffle=False", "shuffle=True"),
        {"notebooks/train"} | TRAINED,
    ),
    "a number in a helper of one chapter": (
        "helpers/saliency.py",
        replace("\n", "\nNUMBER = 1\n"),
        {"notebooks/see_what_it_sees"},
    ),
    "a comment in a helper, which a chapter may print": (
        "helpers/diagrams.py",
        replace("\n", "\n# A comment.\n"),
        {"notebooks/build_model", "notebooks/count_parameters"},
    ),
    "a helper that helpers of every chapter import": (
        "helpers/atomic.py",
        replace("\n", "\nNUMBER = 1\n"),
        PAGES,
    ),
    "a file that a helper reads": ("helpers/assets/explorer.html", replace("\n", "\n\n"), PAGES),
    "a recorded run": (
        "book/results/ucf101-64-splits.json",
        replace("\n", "\n "),
        {"notebooks/leaky_split", "book/results"},
    ),
    "a recorded fault": ("book/results/faults.json", replace("\n", "\n "), {"book/faults"}),
    "a page of prose": ("book/glossary.md", replace("Glossary", "Terms"), set()),
    "code on a page": (
        "book/results.md",
        replace("records.load_results", "records . load_results"),
        {"book/results"},
    ),
}


@pytest.mark.parametrize("file, edit, expected", EDITS.values(), ids=EDITS)
def test_pages_that_depend_on_an_edit_are_executed(file, edit, expected, book):
    before = fingerprints(book)
    assert set(before) == PAGES
    edit(book / file)
    after = fingerprints(book)
    assert {name for name in PAGES if after[name] != before[name]} == expected


@pytest.mark.parametrize("variable", ["BOOK_RUN", "KERAS_BACKEND", "UCF101_ZIP"])
def test_a_setting_executes_every_page(variable, monkeypatch):
    before = fingerprints(ROOT)
    monkeypatch.setenv(variable, "another")
    after = fingerprints(ROOT)
    assert all(after[name] != before[name] for name in PAGES)


def test_a_version_executes_every_page(monkeypatch):
    class Distribution:
        name, version = "numpy", "1"

    before = fingerprints(ROOT)
    monkeypatch.setattr(execution.importlib.metadata, "distributions", lambda: [Distribution])
    numpy_1 = fingerprints(ROOT)
    monkeypatch.setattr(Distribution, "version", "2")
    numpy_2 = fingerprints(ROOT)
    for name in PAGES:
        assert len({before[name], numpy_1[name], numpy_2[name]}) == 3


def test_every_recorded_result_that_a_page_loads_is_found_by_its_name():
    """Otherwise a page would keep its numbers after a new recording."""
    pages = execution.read_pages()
    loaded = 0
    for page in pages.values():
        results = [
            file for file in execution.dependencies(page, pages) if file.parent.name == "results"
        ]
        assert bool(results) >= ("load_results(" in page.code), page.name
        loaded += len(results)
    assert loaded > 10


def test_chapters_that_measure_times_run_alone_and_train_runs_first():
    together, alone = execution.plan(list(execution.read_pages().values()))
    assert together[0].name == "notebooks/train"
    assert {page.name for page in together[-len(TRAINED) :]} == TRAINED
    names = {page.name for page in alone}
    assert names == {"notebooks/build_model", "notebooks/feed_the_gpu"}
    assert len(together) + len(alone) == len(PAGES)


@pytest.fixture
def small_book(tmp_path):
    """A book of two chapters, one of which prints a recorded number and a helper's."""
    chapters = {
        "notebooks/train": "print('trained')",
        "notebooks/print": (
            "import json, pathlib, sys\nsys.path.insert(0, '..')\nfrom helpers import number\n"
            "print(json.loads(pathlib.Path('../book/results', 'recorded' + '.json').read_text()))\n"
            "name = 'recorded'\nprint(number.NUMBER)"
        ),
    }
    for folder in ("notebooks", "book/results", "helpers/assets"):
        (tmp_path / folder).mkdir(parents=True)
    for name, code in chapters.items():
        text = f"# %% [markdown]\n# # A chapter\n\n# %%\n{code}\n"
        jupytext.write(jupytext.reads(text, fmt="py:percent"), tmp_path / f"{name}.ipynb")
    entries = ", ".join(f"{{file: {name}}}" for name in chapters)
    (tmp_path / "_toc.yml").write_text(f"root: index\nparts: [{{chapters: [{entries}]}}]\n")
    (tmp_path / "book/results/recorded.json").write_text("1")
    (tmp_path / "helpers/__init__.py").touch()
    (tmp_path / "helpers/number.py").write_text("NUMBER = 1")
    return tmp_path


def printed(root):
    """Return what the second chapter prints, from the cache."""
    page = execution.read_pages(root)["notebooks/print"]
    cache = execution.get_cache(root / execution.CACHE)
    _, notebook = cache.merge_match_into_notebook(page.notebook)
    return notebook.cells[1].outputs[0]["text"]


def test_outputs_follow_every_edit_and_nothing_else_is_executed(small_book):
    update = lambda: execution.update(small_book, log=lambda line: None)  # noqa: E731
    assert set(update()) == {"notebooks/train", "notebooks/print"}
    assert update() == [] and printed(small_book) == "1\n1\n"
    (small_book / "helpers/number.py").write_text("NUMBER = 22")
    assert update() == ["notebooks/print"] and printed(small_book) == "1\n22\n"
    (small_book / "book/results/recorded.json").write_text(json.dumps(3))
    assert update() == ["notebooks/print"] and printed(small_book) == "3\n22\n"
    edit_notebook("markdown", "chapter", "page")(small_book / "notebooks/print.ipynb")
    assert update() == []
    edit_notebook("code", "number.NUMBER", "-number.NUMBER")(small_book / "notebooks/print.ipynb")
    assert update() == ["notebooks/print"] and printed(small_book) == "3\n-22\n"


def test_a_page_that_fails_is_named_and_executed_again(small_book):
    (small_book / "helpers/number.py").write_text("NUMBER = 1 / 0")
    with pytest.raises(RuntimeError, match="notebooks/print fails:(.|\n)*ZeroDivisionError"):
        execution.update(small_book, log=lambda line: None)
    (small_book / "helpers/number.py").write_text("NUMBER = 5")
    assert execution.update(small_book, log=lambda line: None) == ["notebooks/print"]
    assert printed(small_book) == "1\n5\n"
