"""The figure of the chapter *Count parameters* that a reader operates, in a browser. Needs Chromium."""

import itertools
import json
import math
import os
import shutil
import subprocess

import pytest

from helpers import counting, diagrams

BROWSER = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no browser: chromium is not installed")

# What the tests ask of the page. `read` returns what a reader sees of the first figure.
ASK = """
const number = text => Number(text.replaceAll(",", ""));
const figure = () => document.querySelector(".explorer");
const control = name => figure().querySelector(`[name="${name}"]`);
function set(name, value) {
  control(name).value = value;
  control(name).dispatchEvent(new Event("input", { bubbles: true }));
}
function read() {
  const shown = {};
  for (const chart of figure().querySelectorAll("[data-chart]"))
    shown[chart.dataset.chart] = Object.fromEntries([...chart.querySelectorAll("li")].map(row => [row.dataset.kind, {
      number: number(row.querySelector(".number").innerText),
      ratio: number(row.querySelector(".ratio")?.innerText ?? "1"),
      width: row.querySelector(".bar").lastElementChild.getBoundingClientRect().right - row.getBoundingClientRect().left,
    }]));
  const value = name => number(control(name).nextElementSibling.innerText);
  const setting = { from: value("in"), to: value("out"), m: value("m"), t: number(control("t").value), d: number(control("d").value) };
  return { ...setting, size: control("size").value.split(" × ").map(Number), most: number(control("m").max), charts: Object.values(shown) };
}
function light(text) {
  const [r, g, b] = text.match(/[\\d.]+/g).map(c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function paper(element) {
  const shown = getComputedStyle(element).backgroundColor;
  return shown === "rgba(0, 0, 0, 0)" ? paper(element.parentElement) : shown;
}
function contrast(element, property = "color") {
  const [a, b] = [light(getComputedStyle(element)[property]), light(paper(property === "color" ? element : element.parentElement))];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}
"""


class Browser:
    """A browser that is told what to do over a pipe, in the Chrome DevTools Protocol."""

    def __init__(self, profile, *own):
        inbox, self.speak = os.pipe()
        self.listen, outbox = os.pipe()
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-sync",
            *own,
        ]
        # The browser listens at 3 and answers at 4.
        shell = f'exec "$@" 3<&{inbox} 4>&{outbox}'
        command = [
            "bash",
            "-c",
            shell,
            "-",
            BROWSER,
            *options,
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
            "about:blank",
        ]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, pass_fds=(inbox, outbox), **quiet)
        os.close(inbox)
        os.close(outbox)
        self.answers = os.fdopen(self.listen, "rb")
        self.number, self.session = 0, None
        target = next(
            target
            for target in self.call("Target.getTargets")["targetInfos"]
            if target["type"] == "page"
        )
        self.session = self.call(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )["sessionId"]
        self.call("Page.enable")

    def call(self, method, **params):
        """Return the answer to a command."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        self._send(message | ({"sessionId": self.session} if self.session else {}))
        answer = self._wait(lambda message: message.get("id") == self.number)
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, page):
        """Open a file, and wait until it has loaded."""
        self.call("Page.navigate", url=page.as_uri())
        self._wait(lambda message: message.get("method") == "Page.loadEventFired")

    def ask(self, script):
        """Return the value of a script's last expression."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key, code=0, text="", shift=False):
        event = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": 8 * shift}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **event)
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def close(self):
        self._send({"id": 0, "method": "Browser.close"})
        self.process.wait(30)
        self.answers.close()
        os.close(self.speak)

    def _send(self, message):
        os.write(self.speak, json.dumps(message).encode() + b"\0")

    def _wait(self, wanted):
        while True:
            message = bytearray()
            while (byte := self.answers.read(1)) != b"\0":
                assert byte, "the browser has gone"
                message += byte
            if wanted(message := json.loads(message)):
                return message


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def browser(running, tmp_path):
    """A browser that shows the figure twice on a page of a phone's width."""
    running.call(
        "Emulation.setDeviceMetricsOverride",
        width=390,
        height=800,
        deviceScaleFactor=1,
        mobile=True,
    )
    running.call("Emulation.setEmulatedMedia", features=[])
    running.call("Emulation.setScriptExecutionDisabled", value=False)
    page = tmp_path / "page.html"
    head = '<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width"><style>body { margin: 16px }</style>'
    page.write_text(head + 2 * diagrams.explore_convolutions().data, encoding="utf-8")
    running.open(page)
    running.ask(ASK)
    running.page = page
    return running


CHANNELS = [3, 4, 8, 16, 32, 45, 64, 128, 256, 512]
KERNELS = list(itertools.product((1, 3, 5), (1, 3, 5, 7)))
SIZES = ["10 × 224 × 224", "16 × 56 × 56", "8 × 28 × 28", "4 × 14 × 14", "2 × 7 × 7"]


def check(shown):
    """Compare all that the figure shows with `helpers.counting`."""
    from_, to, t, d, m, size = (shown[name] for name in ("from", "to", "t", "d", "m", "size"))
    flat, box = (1, d, d), (t, d, d)
    parameters = {
        "2D": counting.conv3d_parameters(from_, to, flat, bias=False),
        "3D": counting.conv3d_parameters(from_, to, box, bias=False),
        "(2+1)D": counting.conv2plus1d_parameters(from_, to, box, m, bias=False),
    }
    multiply_adds = {
        "2D": counting.conv3d_multiply_adds(from_, to, flat, size),
        "3D": counting.conv3d_multiply_adds(from_, to, box, size),
        "(2+1)D": counting.conv2plus1d_multiply_adds(from_, to, box, size, m),
    }
    for chart, expected in zip(shown["charts"], (parameters, multiply_adds), strict=True):
        assert {kind: row["number"] for kind, row in chart.items()} == expected, shown
        longest = max(row["width"] for row in chart.values())
        for kind, row in chart.items():
            assert math.isclose(row["ratio"], expected[kind] / expected["3D"], rel_tol=0.006), shown
            # The thinnest bars are a few pixels wide, to be seen at all.
            assert abs(row["width"] / longest - expected[kind] / max(expected.values())) < 0.015, (
                shown
            )


def test_first_shows_the_layer_of_the_paper(browser):
    shown = browser.ask("read()")
    assert [shown[name] for name in ("from", "to", "t", "d", "size")] == [
        64,
        64,
        3,
        3,
        [16, 56, 56],
    ]
    assert shown["m"] == counting.mid_channels(64, 64, (3, 3, 3))
    check(shown)


def test_every_number_is_the_helpers(browser):
    compared = 0
    ends = [(0, 0), (0, 9), (9, 0), (9, 9)]
    for i, (t, d) in enumerate(KERNELS):
        for j, (from_, to) in enumerate([*ends, (i % 10, 7 * i % 10)]):
            browser.ask(
                f'set("t", {t}); set("d", {d}); set("in", {from_}); set("out", {to}); set("size", "{SIZES[(i + j) % 5]}")'
            )
            for middle in ("tutorial", "paper", 1, 10**6, 37):
                act = (
                    f'control("{middle}").click()'
                    if isinstance(middle, str)
                    else f'set("m", {middle})'
                )
                shown = browser.ask(f"{act}; read()")
                assert (shown["from"], shown["to"], shown["t"], shown["d"]) == (
                    CHANNELS[from_],
                    CHANNELS[to],
                    t,
                    d,
                )
                paper = counting.mid_channels(shown["from"], shown["to"], (t, d, d))
                presets = {
                    "tutorial": shown["to"],
                    "paper": paper,
                    10**6: shown["most"],
                    37: min(37, shown["most"]),
                }
                assert shown["m"] == presets.get(middle, middle) and shown["most"] >= 2 * max(
                    paper, shown["to"]
                )
                check(shown)
                compared += 1
    print(compared, "settings compared")


def test_a_button_keeps_setting_m_until_the_slider_is_moved(browser):
    pressed = '["tutorial", "paper"].filter(name => control(name).ariaPressed === "true")'
    assert browser.ask(pressed) == ["paper"]
    assert browser.ask('set("out", 3); read().m') == counting.mid_channels(64, 16, (3, 3, 3))
    assert browser.ask('control("tutorial").click(); set("out", 4); read().m') == 32
    assert browser.ask(pressed) == ["tutorial"]
    assert browser.ask('set("m", 50); set("out", 7); read().m') == 50
    assert browser.ask(pressed) == []


def test_second_figure_is_left_alone(browser):
    still = 'document.querySelectorAll(".explorer")[1].innerText'
    before = browser.ask(still)
    browser.ask('set("t", 5); set("in", 0); control("tutorial").click()')
    assert browser.ask(still) == before and "110,592" in before
    assert browser.ask(
        "new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size === document.querySelectorAll('[id]').length"
    )


@pytest.mark.parametrize("t, d", KERNELS)
def test_drawing_fills_what_an_output_sees(browser, t, d):
    browser.ask(f'set("t", {t}); set("d", {d})')
    drawn = """[...figure().querySelectorAll("svg")].map(svg => ["first", "second"].map(step => [...svg.querySelectorAll("rect")]
      .filter(square => square.getAttribute("style").startsWith(`fill: var(--${step})`)).map(square => Number(square.getAttribute("width")))))"""
    flat, box, factorised = browser.ask(drawn)
    assert flat == [[d], []] and box == [[d] * t, []]
    assert factorised[0] == [d] * t and len(factorised[1]) == t and max(factorised[1]) < 1.5
    words = browser.ask('[...figure().querySelectorAll("svg")].map(svg => svg.ariaLabel)')
    assert (
        f"{d * d} pixel" in words[0]
        and f"{t * d * d} pixel" in words[1]
        and f"{t * d * d} pixel" in words[2]
    )


def test_works_by_keyboard_alone(browser):
    browser.ask("document.activeElement.blur()")
    reached = []
    for name in ("t", "d", "in", "out", "size", "m", "tutorial", "paper"):
        browser.press("Tab", 9)
        reached.append(browser.ask("document.activeElement.name"))
        outline = browser.ask("getComputedStyle(document.activeElement).outline")
        assert "solid 3px" in outline, f"{name}: {outline}"
        if name in ("tutorial", "paper"):
            browser.press(" ", 32, text=" ")
            assert browser.ask(f'control("{name}").ariaPressed') == "true"
        else:
            before = browser.ask("JSON.stringify(read())")
            browser.press("ArrowRight", 39)
            browser.press("ArrowDown", 40)
            browser.press("ArrowDown", 40)
            assert browser.ask("JSON.stringify(read())") != before, name
    assert reached == ["t", "d", "in", "out", "size", "m", "tutorial", "paper"]
    check(browser.ask("read()"))
    browser.press("Tab", 9)
    assert browser.ask("figure().contains(document.activeElement)") is False, (
        "the focus is not trapped"
    )


def test_every_control_says_its_name_and_value(browser):
    assert browser.ask(
        '[...figure().querySelectorAll("input, select")].every(c => c.labels.length === 1 && c.labels[0].innerText.trim())'
    )
    assert browser.ask('[...figure().querySelectorAll("input")].map(c => c.ariaValueText)') == [
        "64",
        "64",
        "144",
    ]
    assert "144" in browser.ask('figure().querySelector("[role=status]").innerText')


@pytest.mark.parametrize(
    "settings",
    [
        "",
        'set("in", 9); set("out", 9); set("t", 5); set("d", 7); set("size", "10 × 224 × 224"); set("m", 10**6)',
    ],
)
def test_fits_a_phone(browser, settings):
    browser.ask(settings)
    assert browser.ask("document.scrollingElement.scrollWidth") == browser.ask("innerWidth") == 390
    beyond = '[...figure().querySelectorAll("*")].filter(e => e.getBoundingClientRect().right > figure().getBoundingClientRect().right).length'
    assert browser.ask(beyond) == 0
    heights = browser.ask(
        '[...figure().querySelectorAll("input, select, button")].map(c => c.getBoundingClientRect().height)'
    )
    assert min(heights) >= 40


# How a page says that it is dark: the book's theme, Colab, JupyterLab, and the system where no page
# does.
@pytest.mark.parametrize("system", ["light", "dark"])
@pytest.mark.parametrize(
    "says, theme",
    [
        ("document.documentElement.dataset.theme = 'light'", "light"),
        ("document.documentElement.dataset.theme = 'dark'", "dark"),
        ("document.documentElement.setAttribute('theme', 'dark')", "dark"),
        ("document.body.dataset.jpThemeLight = 'true'", "light"),
        ("document.body.dataset.jpThemeLight = 'false'", "dark"),
        ("", None),
    ],
)
def test_reads_in_light_and_dark(browser, system, says, theme):
    browser.call(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": system}]
    )
    browser.ask(says)
    assert (browser.ask("light(getComputedStyle(figure()).backgroundColor)") > 0.5) == (
        (theme or system) == "light"
    )
    texts = '[...figure().querySelectorAll("p, span:not(.key), b, i, h3, output, select, button, label")].filter(e => e.innerText?.trim())'
    assert browser.ask(f"{texts}.length") > 30
    assert browser.ask(f"Math.min(...{texts}.map(e => contrast(e)))") >= 4.5
    # WCAG 2.1 asks 3 of what is drawn.
    assert (
        browser.ask(
            'Math.min(...[...figure().querySelectorAll(".bar i:first-child")].map(e => contrast(e, "backgroundColor")))'
        )
        >= 3
    )


def test_prints_light_on_paper_what_is_chosen(browser):
    browser.ask("document.documentElement.dataset.theme = 'dark'")
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert browser.ask("light(getComputedStyle(figure()).backgroundColor)") > 0.5
    assert (
        browser.ask("getComputedStyle(figure().querySelector('.bar i')).printColorAdjust")
        == "exact"
    )
    browser.call("Emulation.setEmulatedMedia", media="")


def test_without_a_script_says_what_it_needs(browser):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(browser.page)
    assert browser.ask('document.querySelector(".explorer").innerText').count(".") == 1


def test_needs_nothing_from_elsewhere():
    text = diagrams.explore_convolutions().data
    assert (
        "http" not in text
        and "import" not in text.replace("!important", "")
        and "@font" not in text
    )
