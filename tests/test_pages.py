"""The rendered pages, in a browser: as wide as a phone, light and dark. Needs Chromium and a built book."""

import functools
import html
import http.server
import json
import pathlib
import re
import shutil
import subprocess
import threading

import pytest

BOOK = pathlib.Path(__file__).resolve().parent.parent / "_build" / "html"
BROWSER = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)


def stale():
    """Return whether a page's source is newer than the pages."""
    root, page = BOOK.parents[1], BOOK / "book" / "index.html"
    sources = [
        file
        for pattern in ("book/**/*", "notebooks/*.ipynb", "helpers/**/*.*")
        for file in root.glob(pattern)
    ]
    return page.exists() and page.stat().st_mtime < max(file.stat().st_mtime for file in sources)


pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="no browser: chromium is not installed"),
    pytest.mark.skipif(
        not (BOOK / "index.html").exists(), reason="no pages: run `make book` first"
    ),
    pytest.mark.skipif(
        stale(), reason="the pages are older than their sources: run `make book` first"
    ),
]

# Opens page after page in a frame as wide as a phone, and writes its measurements into its title.
PROBE = """<!doctype html><iframe id="frame" style="width: 390px; height: 800px"></iframe><script>
const pages = PAGES, seen = {};
const pause = time => new Promise(resolve => setTimeout(resolve, time));
function colour(text) { return text.match(/[\\d.]+/g).map(Number); }
function light(text) {
  const [r, g, b] = colour(text).map(c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function paper(element, view) {
  for (; element; element = element.parentElement) {
    const shown = view.getComputedStyle(element).backgroundColor;
    if (colour(shown)[3] !== 0) return shown;
  }
  return "rgb(255, 255, 255)";
}
function worst(doc, view) {
  let least = [21, ""];
  for (const element of doc.querySelectorAll("article p, article li, article td, article h1, article h2, article pre")) {
    if (!element.innerText.trim()) continue;
    const [a, b] = [light(view.getComputedStyle(element).color), light(paper(element, view))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < least[0]) least = [contrast, element.innerText.slice(0, 60)];
  }
  return least;
}
(async () => {
  for (const page of pages) {
    const loaded = new Promise(resolve => frame.onload = resolve);
    frame.src = page;
    await loaded; await pause(700);
    const doc = frame.contentDocument, view = frame.contentWindow, images = [...doc.querySelectorAll("article img")];
    const result = { width: doc.scrollingElement.scrollWidth };
    result.broken = images.filter(image => image.complete && !image.naturalWidth).map(image => image.src.slice(0, 80));
    result.mute = images.filter(image => !image.alt || image.alt.startsWith("../")).map(image => image.src.slice(0, 80));
    for (const theme of ["light", "dark"]) {
      doc.documentElement.dataset.theme = theme; await pause(100);
      result[theme] = worst(doc, view);
      result[theme + "_paper"] = view.getComputedStyle(doc.body).backgroundColor;
    }
    seen[page] = result;
  }
  document.title = JSON.stringify(seen);
})();
</script>"""


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/probe":
            super().do_GET()
            return
        pages = [
            f"/{page.relative_to(BOOK)}"
            for folder in ("book", "notebooks")
            for page in sorted((BOOK / folder).glob("*.html"))
        ]
        body = PROBE.replace("PAGES", json.dumps(pages)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """The browser's measurements, by page."""
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=BOOK)
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    quiet = [
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    profile = f"--user-data-dir={tmp_path_factory.mktemp('profile')}"
    address = f"http://127.0.0.1:{server.server_port}/probe"
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        *quiet,
        profile,
        "--virtual-time-budget=120000",
        "--dump-dom",
        address,
    ]
    try:
        page = subprocess.run(command, capture_output=True, text=True, timeout=300).stdout
    finally:
        server.shutdown()
        server.server_close()
    return json.loads(html.unescape(re.search(r"<title>(.*?)</title>", page, re.S).group(1)))


def test_every_page_was_opened(seen):
    sources = [*BOOK.parents[1].glob("book/*.md"), *BOOK.parents[1].glob("notebooks/*.py")]
    assert {pathlib.PurePath(page).stem for page in seen} == {source.stem for source in sources}


def test_no_page_is_wider_than_a_phone(seen):
    assert {page: result["width"] for page, result in seen.items() if result["width"] > 390} == {}


def test_no_image_is_broken_or_lacks_alt_text(seen):
    assert {
        page: result["broken"] + result["mute"]
        for page, result in seen.items()
        if result["broken"] + result["mute"]
    } == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_has_enough_contrast(seen, theme):
    # WCAG 2.1, level AA.
    assert {page: result[theme] for page, result in seen.items() if result[theme][0] < 4.5} == {}


def test_results_are_in_a_table():
    page = (BOOK / "book" / "results.html").read_text()
    assert page.count("<tr") >= 5 and "| ---" not in page and "| network" not in page


def test_dark_pages_are_dark(seen):
    assert all(result["dark_paper"] != result["light_paper"] for result in seen.values())


def test_pages_load_nothing_from_another_server():
    """Neither scripts nor styles, images and frames: formulas, above all, are MathML."""
    formulas = 0
    for page in BOOK.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        formulas += text.count("<math ")
        for tag in re.findall(r"<(?:script|link|img|iframe|video|source)\b[^>]*>", text):
            if 'rel="canonical"' not in tag:
                assert not re.search(r'(?:src|href)="(?:https?:)?//', tag), f"{page.name}: {tag}"
        # Sphinx marks pages with this class, whichever renderer writes their formulas.
        scripts = text.replace("mathjax_ignore", "")
        assert not re.search(r"mathjax|\bcdn\.|jsdelivr|fonts\.googleapis", scripts, re.I), (
            page.name
        )
    assert formulas > 20


def test_links_within_the_book_lead_to_a_page_and_a_heading():
    """Also those in the outputs of cells, which Sphinx does not check."""
    texts = {page: page.read_text(encoding="utf-8") for page in BOOK.rglob("*.html")}
    names = {page: set(re.findall(r'\b(?:id|name)="([^"]+)"', texts[page])) for page in texts}
    broken = []
    for page, text in texts.items():
        for link in re.findall(r'<a\b[^>]*\bhref="([^":]+)"', text):
            path, _, anchor = html.unescape(link).partition("#")
            target = (page.parent / path).resolve() if path else page
            is_source = target.suffix in (".md", ".ipynb") and "_sources" not in target.parts
            found = target.exists() and not is_source
            if not found or (anchor and target in names and anchor not in names[target]):
                broken.append(f"{page.name}: {link}")
    assert broken == []
