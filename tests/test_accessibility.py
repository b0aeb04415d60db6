"""The rendered pages, judged by axe-core: light and dark, on a desk and on a phone.

Needs Chromium and a built book.
"""

import importlib.util
import json
import os
import pathlib

import pytest
from test_explorer import Browser
from test_pages import BOOK, pytestmark  # noqa: F401

WIDTHS = {"desk": 1280, "phone": 390}
# Only the rules about colours depend on the mode.
COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
MODES = {"light": {}, "dark": {"runOnly": COLOURS}}
# The first page leads on to the landing page.
PAGES = sorted(
    page
    for page in BOOK.rglob("*.html")
    if page.parent.name in ("html", "book", "notebooks") and page != BOOK / "index.html"
)

# Shows the complete page in a mode, without transitions between colours.
SHOW = """
document.head.insertAdjacentHTML("beforeend", "<style>* { transition: none !important; animation: none !important }</style>");
document.querySelectorAll("details").forEach(details => details.open = true);
Object.assign(document.documentElement.dataset, { mode: MODE, theme: MODE });
new Promise(done => requestAnimationFrame(() => setTimeout(done, 100)))
"""
JUDGE = """axe.run(document, { resultTypes: ["violations"], ...OPTIONS }).then(({ violations }) => violations.flatMap(({ id, nodes }) =>
  nodes.map(({ target, html, failureSummary }) => ({ rule: id, at: target.flat().join(" "), html: html.slice(0, 200), failureSummary }))))"""


def axe_core():
    """Return the script of axe-core that pip installed, or that the variable AXE_CORE names."""
    if "AXE_CORE" in os.environ:
        return pathlib.Path(os.environ["AXE_CORE"]).read_text()
    package = importlib.util.find_spec("axe_playwright_python")
    assert package, (
        "axe-core is not installed; run `make setup`, or let AXE_CORE be the path of npm's axe.min.js"
    )
    return (pathlib.Path(package.origin).parent / "axe.min.js").read_text()


def wait_for(browser, script):
    """Return the value of a script's promise."""
    answer = browser.call(
        "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
    )
    assert "exceptionDetails" not in answer, answer
    return answer["result"].get("value")


def judge(browser, page, width):
    """Return what axe-core finds on a page, a list of violations by mode."""
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=900,
        deviceScaleFactor=1,
        mobile=width < 600,
    )
    browser.open(page)
    browser.call("Runtime.evaluate", expression=axe_core())
    found = {}
    for mode, options in MODES.items():
        wait_for(browser, SHOW.replace("MODE", json.dumps(mode)))
        found[mode] = wait_for(browser, JUDGE.replace("OPTIONS", json.dumps(options)))
    return found


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_axe_finds_no_violation(browser, width, capsys):
    found = {page.relative_to(BOOK): judge(browser, page, width) for page in PAGES}
    with capsys.disabled():
        print(f"\n{f'violations at {width} pixels':34}" + "".join(f"{mode:>7}" for mode in MODES))
        for page, by_mode in found.items():
            print(f"{page!s:34}" + "".join(f"{len(by_mode[mode]):7}" for mode in MODES))
    listed = [
        f"{page}, {mode}: {json.dumps(each, indent=1)}"
        for page, by_mode in found.items()
        for mode in MODES
        for each in by_mode[mode]
    ]
    assert not listed, "\n".join(listed)


FAULTS = {
    "image-alt": "<img src='logo.png'>",
    "empty-table-header": "<table><tr><th></th><th>a</th></tr><tr><td>1</td><td>2</td></tr></table>",
    "color-contrast": "<details><summary>more</summary><p style='color: #bbb; background: white'>faint</p></details>",
}


@pytest.mark.parametrize("rule", FAULTS)
def test_axe_finds_a_violation_that_was_put_in(browser, rule, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        f"<!doctype html><html lang='en'><title>page</title><main><h1>page</h1>{FAULTS[rule]}</main></html>"
    )
    found = judge(browser, page, WIDTHS["desk"])
    assert {mode: [each["rule"] for each in found[mode]] for mode in MODES} == {
        "light": [rule],
        "dark": [rule] if rule == "color-contrast" else [],
    }
