"""Print the book to one PDF by headless Chromium. `make pdf` calls this.

Sphinx joins the pages to one HTML file, with the committed outputs of the chapters. Chromium prints
it twice: after the first time the pages of the headings are known, and go into the contents.
"""

import html
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import pypdf
import yaml
from sphinx_build import COMMITTED, build

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = ROOT / "_build" / "video-classification-book.pdf"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
TITLE = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["title"]
# A chapter follows a mark with its document's name, and its heading has the second level.
CHAPTER = re.compile(r'(<span id="document-[^"]+"></span>)\s*<section class="([^>]*>)')
HEADING = re.compile(
    r'(<section[^>]* id="[^"]+">)((?:\s*<span[^>]*></span>)*\s*<h([23])>(.*?)<a class="h)', re.S
)
DEPTH = {"2": "chapter", "3": "section"}


def find_browser():
    """Return the path of Chromium, or exit with a sentence on how to get it."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        sys.exit(
            "The PDF is printed by Chromium, which is not installed; install it (on Debian and "
            "Ubuntu: apt install chromium) and run make pdf again."
        )
    return found


def build_html(folder):
    """Build the book as one HTML file without executing its chapters; return the file."""
    if not build(folder, "singlehtml", COMMITTED):
        sys.exit("The book can't be built; the warnings above show why.")
    return pathlib.Path(folder, "book", "index.html")


def print_page(browser, page, target):
    """Print an HTML file to a PDF."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]
    options += ["--generate-pdf-document-outline", "--virtual-time-budget=20000"]
    command = [browser, *options, f"--print-to-pdf={target}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True)


def contents(headings, pages):
    """Return the title page and the contents as HTML."""
    rows = (
        f'<li class="{depth}"><a href="#{anchor}"><span>{title}</span>'
        f"<span>{pages.get(anchor, '')}</span></a></li>"
        for anchor, depth, title in headings
    )
    licence = "Text and figures: CC BY 4.0. Code: Apache-2.0."
    return (
        f'<div class="title-page"><h1>{html.escape(TITLE)}</h1><p>The authors of the book</p>'
        f"<p>{licence}</p></div>"
        f'<nav class="print-contents"><h1>Contents</h1><ol>{"".join(rows)}</ol></nav>'
    )


def start_chapters(body):
    """Mark the sections that start on a new page; a link to a chapter leads into that page."""
    return CHAPTER.sub(r'<section class="chapter \2\1', body)


def shorten_links(body):
    """Let links within the book lead to the same file, and remove those to downloads."""
    body = body.replace('href="book/index.html#', 'href="#')
    return re.sub(r' href="_downloads/[^"]*"', "", body)


def number_headings(body):
    """Give each heading an id of its own; return the body and `(id, depth, title)` of each.

    The pages have headings in common, such as "Check yourself". The glossary's entries are left
    out of the list.
    """
    headings = []
    glossary = range(
        body.index('<span id="document-book/glossary">'),
        body.index('<span id="document-book/api">'),
    )

    def replace(match):
        section, heading, level, title = match.groups()
        depth = DEPTH[level]
        if depth == "section" and match.start() in glossary:
            return match[0]
        own = f"heading-{len(headings)}"
        headings.append((own, depth, re.sub(r"<[^>]+>", "", title).strip()))
        return f'{section}<span id="{own}"></span>{heading}'

    return HEADING.sub(replace, body), headings


def find_pages(file):
    """Return the page number of each link target in a PDF, from 1."""
    reader = pypdf.PdfReader(file)
    targets = reader.named_destinations.items()
    return {
        name.removeprefix("/"): reader.get_destination_page_number(target) + 1
        for name, target in targets
    }


def make_pdf(page, target, browser):
    """Print a single-page book with a title page, contents and page numbers."""
    text = page.read_text(encoding="utf-8")
    style = (ROOT / "book" / "_static" / "print.css").read_text(encoding="utf-8")
    body = re.search(r"<article[^>]*>(.*)</article>", text, re.S)[1]
    head = re.search(r"<head>(.*?)</head>", text, re.S)[1]
    head = re.sub(r"<script.*?</script>", "", head, flags=re.S)
    body = re.sub(r'<span id="document-book/execution">.*', "", body, flags=re.S)
    body, headings = number_headings(start_chapters(shorten_links(body)))
    body = re.sub(r"<details([ >])", r"<details open\1", body)
    # Sphinx writes links to styles and images as if the page lay above its folder.
    printed, pages = page.parents[1] / "print.html", {}
    for _ in range(2):
        printed.write_text(
            f'<!doctype html><html lang="en" data-theme="light"><head>{head}<style>{style}</style>'
            f"<title>{html.escape(TITLE)}</title></head><body>{contents(headings, pages)}"
            f"<article class='bd-article'>{body}</article></body></html>",
            encoding="utf-8",
        )
        print_page(browser, printed, target)
        pages = find_pages(target)


def main():
    """Make the PDF of the book."""
    browser = find_browser()
    TARGET.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        make_pdf(build_html(folder), TARGET, browser)
    print(f"The PDF is at {TARGET.relative_to(ROOT)}, {len(pypdf.PdfReader(TARGET).pages)} pages.")


if __name__ == "__main__":
    main()
