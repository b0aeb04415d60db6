"""The script for Colab's browser, run in Chromium, whose camera is a test pattern."""

import sys
import types

import cv2
import pytest
from test_explorer import BROWSER, Browser

from helpers import camera
from helpers.playback import Playback


@pytest.fixture
def colab(monkeypatch):
    """Have a `google.colab` with what the tests put into it."""
    output, files = types.ModuleType("google.colab.output"), types.ModuleType("google.colab.files")
    for name, module in {
        "google.colab": types.ModuleType("google.colab"),
        "google.colab.output": output,
        "google.colab.files": files,
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    return types.SimpleNamespace(output=output, files=files)


def open_page(folder, *options):
    """Return a browser that shows a page which may ask for a camera."""
    browser = Browser(folder / "profile", *options)
    page = folder / "page.html"
    page.write_text("<!doctype html><body></body>")
    browser.open(page)
    return browser


def run_in(browser):
    """Return what stands for Colab's `eval_js`: it waits for promises."""

    def eval_js(script):
        answer = browser.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"]["value"]

    return eval_js


@pytest.mark.skipif(BROWSER is None, reason="no browser: chromium is not installed")
def test_what_the_camera_records_can_be_read(colab, tmp_path):
    browser = open_page(
        tmp_path, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"
    )
    try:
        colab.output.eval_js = run_in(browser)
        path = camera.record_from_camera(tmp_path / "camera.webm", seconds=2)
        left = browser.ask("document.body.children.length")
    finally:
        browser.close()
    frames = Playback(path)
    pictures = [frames.frame() for _ in frames]
    print(
        f"{frames.n_frames} frames of {frames.size} in {frames.length:.2f} s, "
        f"{path.stat().st_size} bytes; notes: {frames.notes}"
    )
    assert left == 0, "nothing is left on the page"
    # On a busy machine the test picture comes late, and less often.
    assert 0.3 < frames.length < 4 and frames.n_frames > 2 and frames.notes == []
    # The test picture: green, with a clock in it that goes.
    assert all(picture[..., 1].mean() > picture[..., 0].mean() for picture in pictures)
    assert abs(pictures[0].astype(int) - pictures[-1]).max() > 50


@pytest.mark.skipif(BROWSER is None, reason="no browser: chromium is not installed")
@pytest.mark.parametrize(
    "known, recorded", [("vp8|av01", b"VP80"), ("vp9|av01", b"VP90"), ("av01", None)]
)
def test_the_browser_is_asked_for_a_format_that_can_be_read(colab, tmp_path, known, recorded):
    browser = open_page(
        tmp_path, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"
    )
    try:
        browser.ask(f"(MediaRecorder.isTypeSupported = type => /{known}/.test(type), 1)")
        colab.output.eval_js = run_in(browser)
        if recorded is None:
            with pytest.raises(
                camera.CameraError, match="records neither VP9, VP8 nor H.264; use another browser"
            ):
                camera.record_from_camera(tmp_path / "camera.webm", seconds=1)
        else:
            frames = Playback(camera.record_from_camera(tmp_path / "camera.webm", seconds=1))
            assert int(frames.capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little") == recorded
    finally:
        browser.close()


@pytest.mark.skipif(BROWSER is None, reason="no browser: chromium is not installed")
def test_a_camera_that_is_not_there_is_said(colab, tmp_path):
    browser = open_page(tmp_path)
    try:
        colab.output.eval_js = run_in(browser)
        with pytest.raises(
            camera.CameraError,
            match=r"recorded nothing \(\w+Error: .*\); allow the page .* or upload a file.$",
        ):
            camera.record_from_camera(tmp_path / "camera.webm", seconds=1)
    finally:
        browser.close()
    assert not (tmp_path / "camera.webm").exists()


def test_an_upload_gives_its_path(colab):
    colab.files.upload = lambda: {"holiday.mp4": b"..."}
    assert camera.upload().name == "holiday.mp4"
    colab.files.upload = dict
    with pytest.raises(camera.CameraError, match="No file was chosen"):
        camera.upload()


@pytest.mark.parametrize("ask", [camera.record_from_camera, camera.upload])
def test_elsewhere_it_says_what_to_do(ask):
    with pytest.raises(
        camera.CameraError,
        match="work in Colab only; elsewhere, record with the camera's own program and give ",
    ):
        ask()
