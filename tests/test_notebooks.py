"""The committed notebooks: pairs that agree, cells that ran, outputs that nbval compares."""

import pathlib
import re

import jupytext
import nbformat
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
CHAPTERS = sorted((ROOT / "notebooks").glob("*.py"))
CITED = re.compile(r"\((https://arxiv\.org/abs/[\d.]+)\)")

every_chapter = pytest.mark.parametrize("source", CHAPTERS, ids=lambda path: path.stem)


def notebook_of(source):
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def compared(cell):
    return "nbval-check-output" in cell.metadata.get("tags", [])


def test_notebooks_and_sources_are_paired():
    assert CHAPTERS
    assert {path.stem for path in CHAPTERS} == {
        path.stem for path in (ROOT / "notebooks").glob("*.ipynb")
    }


@every_chapter
def test_notebook_and_source_have_the_same_cells(source):
    text, notebook = jupytext.read(source), notebook_of(source)

    def content(cells):
        return [
            (
                cell.cell_type,
                cell.source,
                cell.metadata.get("tags", []),
                cell.metadata.get("mystnb"),
            )
            for cell in cells
        ]

    assert content(notebook.cells) == content(text.cells), "run `make notebooks`"


@every_chapter
def test_every_cell_was_executed_in_order(source):
    cells = code_cells(notebook_of(source))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), (
        "run `make notebooks`"
    )


@every_chapter
def test_no_cell_shows_an_error_or_a_warning(source):
    for cell in code_cells(notebook_of(source)):
        for output in cell.outputs:
            assert output.output_type != "error" and output.get("name") != "stderr", cell.source
            assert "Warning:" not in output.get("text", ""), cell.source


@every_chapter
def test_no_cell_shows_a_bare_object(source):
    # Such as <matplotlib.legend.Legend at 0x7f22c1d19bd0>: useless, and different in each run.
    for cell in code_cells(notebook_of(source)):
        for output in cell.outputs:
            if set(output.get("data", {})) == {"text/plain"}:
                text = output["data"]["text/plain"]
                assert " at 0x" not in text and not text.startswith("Text("), cell.source


@every_chapter
def test_outputs_are_compared(source):
    cells = [cell for cell in code_cells(notebook_of(source)) if compared(cell)]
    assert len(cells) >= 4
    for cell in cells:
        # nbval compares no pictures.
        texts = [
            output.get("text", "") or output.get("data", {}).get("text/plain", "")
            for output in cell.outputs
        ]
        assert any(texts), f"nothing to compare: {cell.source}"


@every_chapter
def test_chapter_was_written_on_the_short_run_of_the_puppets(source):
    # No clip of UCF101 goes into the repository.
    text = source.with_suffix(".ipynb").read_text()
    assert "UCF101/v_" not in text
    if source.stem == "load_video":
        assert "puppets, short run" in text


@every_chapter
def test_chapter_has_the_parts_that_every_chapter_has(source):
    prose = [cell.source for cell in notebook_of(source).cells if cell.cell_type == "markdown"]
    assert prose[0].startswith("# ")
    for part in ("**What you'll do:**", "**What you'll learn**", "**What you'll need:**"):
        assert part in prose[0]
    for part in ("## Check yourself", "## On your own"):
        assert any(part in text for text in prose)


@every_chapter
def test_cells_are_short(source):
    for cell in code_cells(notebook_of(source)):
        assert len(cell.source.splitlines()) <= 20, cell.source


@every_chapter
def test_every_image_has_alt_text(source):
    for cell in code_cells(notebook_of(source)):
        for output in cell.outputs:
            data = output.get("data", {})
            if "image/png" in data:
                assert cell.metadata.get("mystnb", {}).get("image", {}).get("alt"), cell.source
            if "<img" in "".join(data.get("text/html", "")):
                assert 'alt="' in "".join(data["text/html"]), cell.source


@every_chapter
def test_an_image_is_near_the_top(source):
    cells = notebook_of(source).cells
    pictures = [
        i
        for i, cell in enumerate(cells)
        for output in cell.get("outputs", [])
        if {"image/png", "text/html"} & set(output.get("data", {}))
    ]
    assert pictures[0] < 8


def test_all_chapters_have_the_same_setup_cell():
    assert len({code_cells(notebook_of(source))[0].source for source in CHAPTERS}) == 1
    assert "import helpers.archive" in code_cells(notebook_of(CHAPTERS[0]))[0].source


@every_chapter
def test_citations_are_in_the_references(source):
    known = (ROOT / "book" / "references.bib").read_text()
    for url in CITED.findall(source.read_text()):
        assert url in known


@every_chapter
def test_prose_contains_no_typed_result(source):
    # Prose contains sizes and formulas; results stand in outputs. Questions may invent some.
    for cell in notebook_of(source).cells:
        if cell.cell_type == "markdown" and "## Check yourself" not in cell.source:
            assert not re.search(
                r"\d+ ?%|(?<!\d)0\.\d{2,}(?!\d)", re.sub(r"momentum` of 0\.99", "", cell.source)
            ), cell.source
