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
MODES = ("light", "dark")
# Only the rules about colours depend on the mode.
COLOURS = ("color-contrast", "link-in-text-block")
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
# One element for each combination of all that decides the contrast of text: axe-core takes long for
# each element, and code has one for each word.
DISTINCT = """(() => {
  const style = element => getComputedStyle(element);
  const background = element => {
    const layers = [];
    for (let each = element; each; each = each.parentElement)
      layers.push(style(each).backgroundColor + style(each).backgroundImage + style(each).opacity);
    return layers.filter(layer => layer != "rgba(0, 0, 0, 0)none1");
  };
  const found = new Map();
  for (const element of document.body.querySelectorAll("*")) {
    const hasText = [...element.childNodes].some(node => node.nodeType == Node.TEXT_NODE && node.data.trim());
    if (!hasText || !element.checkVisibility({ visibilityProperty: true })) continue;
    const { color, fontSize, fontWeight, textDecorationLine, textShadow } = style(element);
    const besideLink = element.closest("a")?.parentElement;
    const kind = [color, fontSize, fontWeight, textDecorationLine, textShadow, background(element), besideLink && style(besideLink).color];
    if (!found.has(kind.join())) found.set(kind.join(), element);
  }
  return { include: [...found.values()] };
})()"""
JUDGE = """axe.run(CONTEXT, { resultTypes: ["violations"], ...OPTIONS }).then(({ violations }) => violations.flatMap(({ id, nodes }) =>
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


def judge(browser, page, width, coloured="document"):
    """Return what axe-core finds on a page, a list of violations by mode.

    Args:
        browser: The browser.
        page: The page's file.
        width: Width of the screen in pixels.
        coloured: Script of what the rules about colours are applied to.
    """

    def run(context, **options):
        script = JUDGE.replace("CONTEXT", context).replace("OPTIONS", json.dumps(options))
        return wait_for(browser, script)

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
    for mode in MODES:
        wait_for(browser, SHOW.replace("MODE", json.dumps(mode)))
        found[mode] = run(coloured, runOnly={"type": "rule", "values": COLOURS})
    # Other rules don't depend on the mode.
    found["light"] += run("document", rules={rule: {"enabled": False} for rule in COLOURS})
    return found


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_axe_finds_no_violation(browser, width, capsys, daily_or_long):
    coloured = daily_or_long(DISTINCT, "document")
    found = {page.relative_to(BOOK): judge(browser, page, width, coloured) for page in PAGES}
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


@pytest.mark.parametrize("coloured", [DISTINCT, "document"], ids=["distinct", "document"])
@pytest.mark.parametrize("rule", FAULTS)
def test_axe_finds_a_violation_that_was_put_in(browser, rule, coloured, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        f"<!doctype html><html lang='en'><title>page</title><main><h1>page</h1><p>text</p>{FAULTS[rule]}</main></html>"
    )
    found = judge(browser, page, WIDTHS["desk"], coloured)
    assert {mode: [each["rule"] for each in found[mode]] for mode in MODES} == {
        "light": [rule],
        "dark": [rule] if rule == "color-contrast" else [],
    }
