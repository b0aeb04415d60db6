"""The printed book: contents with page numbers, working links, numbers at the foot."""

import pathlib
import re
import shutil
import sys

import pypdf
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import make_pdf

PAGE = """<html><head><title>x</title></head><body><article>
<span id="document-notebooks/one"></span><section class="a" id="one">
<h2>1. One<a class="headerlink" href="#one">#</a></h2>
<p>See <a href="#document-notebooks/two">Two</a> and <a href="book/index.html#clip">clip</a>.</p>
<p><a download="" href="_downloads/0/table.csv">table.csv</a></p>
<section id="check-yourself">
<h3>Check yourself<a class="headerlink" href="#check-yourself">#</a></h3></section></section>
<span id="document-notebooks/two"></span><section class="a" id="two">
<h2>2. Two<a class="headerlink" href="#two">#</a></h2>
<section id="check-yourself">
<h3>Check yourself<a class="headerlink" href="#check-yourself">#</a></h3></section></section>
<span id="document-book/glossary"></span><section class="a" id="glossary">
<h2>Glossary<a class="headerlink" href="#glossary">#</a></h2>
<section id="clip">
<h3>Clip<a class="headerlink" href="#clip">#</a></h3></section></section>
<span id="document-book/api"></span><section class="a" id="api">
<h2>The helpers<a class="headerlink" href="#api">#</a></h2></section>
<span id="document-book/execution"></span><p>not printed</p>
</article></body></html>"""


def test_headings_of_one_name_have_ids_of_their_own():
    body, headings = make_pdf.number_headings(PAGE)
    titles = [title for _, _, title in headings]
    assert titles == [
        "1. One",
        "Check yourself",
        "2. Two",
        "Check yourself",
        "Glossary",
        "The helpers",
    ]
    assert len({anchor for anchor, _, _ in headings}) == len(headings)
    assert all(f'id="{anchor}"' in body for anchor, _, _ in headings)


@pytest.mark.skipif(not any(map(shutil.which, make_pdf.BROWSERS)), reason="no browser")
def test_the_contents_have_page_numbers_and_links(tmp_path):
    folder = tmp_path / "html" / "book"
    folder.mkdir(parents=True)
    (folder / "index.html").write_text(PAGE)
    target = tmp_path / "book.pdf"
    make_pdf.make_pdf(folder / "index.html", target, make_pdf.find_browser())
    reader = pypdf.PdfReader(target)
    texts = [page.extract_text() for page in reader.pages]
    contents = next(text for text in texts if "Contents" in text)
    numbers = set()
    for chapter in ("1. One", "2. Two", "The helpers"):
        number = int(re.search(rf"{re.escape(chapter)}\s*(\d+)", contents)[1])
        numbers.add(number)
        assert chapter in texts[number - 1]
        assert re.search(rf"\b{number}\b", texts[number - 1].replace(chapter, ""))
    assert len(numbers) == 3, "each chapter starts on a page of its own"
    links = [note for page in reader.pages for note in page.get("/Annots", [])]
    assert len(links) == 8, "each entry of the contents, and the links to Two and to the glossary"
    assert all("/Dest" in link.get_object() for link in links), "none leads to a file"
    assert "not printed" not in "".join(texts)
    assert {entry.title for entry in reader.outline if hasattr(entry, "title")}


def test_without_a_browser_one_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match="apt install chromium"):
        make_pdf.find_browser()
