"""Links in the files that are not pages: to files here, and to the web in `make links`."""

import functools
import http.server
import pathlib
import re
import sys
import threading

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import check_links


@pytest.fixture
def address(tmp_path):
    """Serve a folder that holds one file, page.html."""
    (tmp_path / "page.html").write_text("found")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_broken_web_links_are_reported_with_file_and_line(address, tmp_path):
    file = tmp_path / "README.md"
    file.write_text(f"[good]({address}/page.html)\n\n[bad]({address}/gone.html), <{address}/>\n")
    count, broken = check_links.check_files([file])
    assert count == 3
    assert len(broken) == 1
    assert re.match(r"README\.md:3: http://127.0.0.1:\d+/gone\.html: 404", broken[0])


def test_a_server_that_does_not_answer_is_reported():
    assert "refused" in check_links.why_broken("http://127.0.0.1:9/")


@pytest.mark.parametrize("name", [name for name in check_links.FILES if name.endswith(".md")])
def test_local_links_lead_to_files(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^):#]+)(?:#[^)]*)?\)", text):
        assert (ROOT / link).exists(), link
