"""Recording in Colab, replayed in a local browser whose camera is a test image. Needs Chromium."""

import sys
import types

import cv2
import pytest
from test_explorer import BROWSER, Browser

from helpers import camera
from helpers.playback import Playback


@pytest.fixture
def colab(monkeypatch):
    """A fake `google.colab`, for the tests to fill."""
    output, files = types.ModuleType("google.colab.output"), types.ModuleType("google.colab.files")
    for name, module in {
        "google.colab": types.ModuleType("google.colab"),
        "google.colab.output": output,
        "google.colab.files": files,
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    return types.SimpleNamespace(output=output, files=files)


def open_page(folder, *options):
    """Return a browser that shows a page which may use a camera."""
    browser = Browser(folder / "profile", *options)
    page = folder / "page.html"
    page.write_text("<!doctype html><body></body>")
    browser.open(page)
    return browser


def run_in(browser):
    """Return a substitute for Colab's `eval_js`, which waits for promises."""

    def eval_js(script):
        answer = browser.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"]["value"]

    return eval_js


@pytest.mark.skipif(BROWSER is None, reason="no browser: chromium is not installed")
def test_a_recording_can_be_read(colab, tmp_path):
    browser = open_page(
        tmp_path, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"
    )
    try:
        colab.output.eval_js = run_in(browser)
        path = camera.record_from_camera(tmp_path / "camera.webm", seconds=2)
        n_elements = browser.ask("document.body.children.length")
    finally:
        browser.close()
    playback = Playback(path)
    frames = [playback.frame() for _ in playback]
    print(
        f"{playback.n_frames} frames of {playback.size} in {playback.length:.2f} s, "
        f"{path.stat().st_size} bytes; notes: {playback.notes}"
    )
    assert n_elements == 0, "elements are left on the page"
    # On a busy machine, the browser sends the test image late and less often.
    assert 0.3 < playback.length < 4 and playback.n_frames > 2 and playback.notes == []
    # The test image is green, and shows a running clock.
    assert all(frame[..., 1].mean() > frame[..., 0].mean() for frame in frames)
    assert abs(frames[0].astype(int) - frames[-1]).max() > 50


@pytest.mark.skipif(BROWSER is None, reason="no browser: chromium is not installed")
@pytest.mark.parametrize(
    "supported, recorded", [("vp8|av01", b"VP80"), ("vp9|av01", b"VP90"), ("av01", None)]
)
def test_a_readable_format_is_requested_from_the_browser(colab, tmp_path, supported, recorded):
    browser = open_page(
        tmp_path, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"
    )
    try:
        browser.ask(f"(MediaRecorder.isTypeSupported = type => /{supported}/.test(type), 1)")
        colab.output.eval_js = run_in(browser)
        if recorded is None:
            message = "records neither VP9, VP8 nor H.264; use another browser"
            with pytest.raises(camera.CameraError, match=message):
                camera.record_from_camera(tmp_path / "camera.webm", seconds=1)
        else:
            playback = Playback(camera.record_from_camera(tmp_path / "camera.webm", seconds=1))
            assert int(playback.capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little") == recorded
    finally:
        browser.close()


@pytest.mark.skipif(BROWSER is None, reason="no browser: chromium is not installed")
def test_a_missing_camera_is_an_error(colab, tmp_path):
    browser = open_page(tmp_path)
    try:
        colab.output.eval_js = run_in(browser)
        remedy = "allow the page to use the camera, or upload a file"
        message = rf"recorded nothing \(\w+Error: .*\); {remedy}\.$"
        with pytest.raises(camera.CameraError, match=message):
            camera.record_from_camera(tmp_path / "camera.webm", seconds=1)
    finally:
        browser.close()
    assert not (tmp_path / "camera.webm").exists()


def test_an_upload_returns_its_path(colab):
    colab.files.upload = lambda: {"holiday.mp4": b"..."}
    assert camera.upload().name == "holiday.mp4"
    colab.files.upload = dict
    with pytest.raises(camera.CameraError, match="No file was chosen"):
        camera.upload()


@pytest.mark.parametrize("function", [camera.record_from_camera, camera.upload])
def test_outside_of_colab_the_error_has_a_remedy(function):
    remedy = "record with the camera's own program and give the path of the file"
    with pytest.raises(camera.CameraError, match=f"work in Colab only; elsewhere, {remedy}.$"):
        function()
