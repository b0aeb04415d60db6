"""An annotated copy of a video shows the predicted classes of each moment."""

import itertools

import numpy as np
import pytest
from colours import colour_classifier, plain, write, write_gif
from conftest import write_coded

from helpers import annotation, playback, video
from helpers.annotation import annotate
from helpers.playback import Playback
from helpers.predict import predict_video


@pytest.fixture(scope="module")
def classifier():
    return colour_classifier()


def panel_of(frame):
    """Return the part of a frame of 240 x 320 pixels that the panel covers."""
    return frame[-60:, :250].astype(int)


@pytest.mark.parametrize("name", ["copy.mp4", "copy.avi"])
def test_a_copy_shows_the_classes_of_each_moment(classifier, tmp_path, name):
    images = plain("red", 120, 240, 320) + plain("blue", 120, 240, 320)
    path = write(tmp_path / "colours.mp4", images, "mp4v", 30)
    prediction = predict_video(classifier, path)
    copy = tmp_path / "out" / name
    annotate(prediction, path, copy)
    playing = Playback(copy)
    frames = [playing.frame() for _ in playing]
    assert len(frames) == 240 and playing.size == (240, 320)
    assert playing.length == pytest.approx(8, abs=0.01)
    # The panel changes at the boundary of two windows.
    first_blue = np.flatnonzero(np.diff(prediction.probabilities.argmax(axis=1)))[0] + 1
    change = round(30 * prediction.boundaries[first_blue])
    earlier, before, after = (panel_of(frames[change + step]) for step in (-8, -2, 2))
    assert np.abs(before - earlier).max() < 40 < np.abs(before - after).max()
    for index, channel in ((5, 0), (235, 2)):
        upper, panel = frames[index][:150], panel_of(frames[index])
        assert upper[..., channel].min() > 180, "the upper part is unchanged"
        assert (panel.min(axis=2) > 200).any(), "white text"
        assert np.median(panel.max(axis=2)) < 90, "on a dark panel"
    assert np.abs(panel_of(frames[5]) - panel_of(frames[235])).max() > 50
    assert {file.name for file in copy.parent.iterdir()} == {".lock", name}


def test_a_copy_of_a_video_with_a_varying_rate_shows_each_frame_at_its_time(classifier, tmp_path):
    images = np.array(plain("red", 50) + plain("blue", 50))
    # A line that moves, because a GIF stores equal frames only once.
    images[np.arange(100), 20 + np.arange(100) % 10] = 255
    path = write_gif(tmp_path / "a.gif", images, [40] * 50 + [400] * 50)
    annotate(predict_video(classifier, path), path, tmp_path / "copy.mp4")
    playing = Playback(tmp_path / "copy.mp4")
    is_red = {second: bool(playing.frame()[0, 0, 0] > 128) for second in playing}
    assert max(second for second, red in is_red.items() if red) == pytest.approx(2, abs=0.3)
    assert playing.length == pytest.approx(22, rel=0.05)


@pytest.mark.parametrize(
    "size, expected",
    [
        ((48, 64), (48, 64)),
        ((77, 131), (76, 130)),
        ((2160, 3840), (720, 1280)),
        ((1920, 1080), (1280, 720)),
    ],
)
def test_a_copy_has_the_size_of_the_video_up_to_a_limit(classifier, tmp_path, size, expected):
    path = write(tmp_path / "any.mkv", plain("green", 4, *size), "MJPG")
    annotate(predict_video(classifier, path), path, tmp_path / "copy.mp4")
    playing = Playback(tmp_path / "copy.mp4")
    next(iter(playing))
    # The encoder may round an odd size down.
    assert playing.frame().shape[:2] in (expected, size if max(size) < 1280 else expected)


def test_a_copy_that_cannot_be_written_leaves_no_file(classifier, tmp_path, monkeypatch):
    path = write_coded(tmp_path / "in" / "colours.avi", plain("red", 60))
    prediction = predict_video(classifier, path)
    with pytest.raises(ValueError, match="is the source video; choose another name for the copy"):
        annotate(prediction, path, path)
    with pytest.raises(ValueError, match="can't be written; name a file that ends in .mp4 or .avi"):
        annotate(prediction, path, tmp_path / "copy.xyz")
    monkeypatch.setattr(playback, "_CODECS", {".mp4": "????"})
    with pytest.raises(
        OSError,
        match="copy.mp4 can't be written: either frames of 64 x 48 pixels at 25 per second can't ",
    ):
        annotate(prediction, path, tmp_path / "copy.mp4")
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == [".lock"]
    assert path.stat().st_size > 0


def test_a_copy_of_a_video_that_changes_its_orientation_keeps_the_first_size(
    classifier, tmp_path, monkeypatch
):
    path = write(tmp_path / "red.avi", plain("red", 60), "MJPG")
    prediction = predict_video(classifier, path)
    frame = Playback.frame

    # No encoder here writes such a file; some cameras do.
    def rotating_frame(self):
        return frame(self) if self.n_frames < 30 else frame(self).transpose(1, 0, 2)

    monkeypatch.setattr(Playback, "frame", rotating_frame)
    annotate(prediction, path, tmp_path / "copy.avi")
    frames, _ = video.read_frames(tmp_path / "copy.avi", np.arange, (48, 64))
    assert len(frames) == 60
    assert frames[10, 5, 60, 0] > 200 and frames[50, 5, 60, 0] < 50, "bars beside the upright part"
    assert frames[50, 5, 32, 0] > 200


def test_characters_of_any_script_are_drawn():
    names = ["u", "ü", "é", "ł", "ж", "Ω", "تمرين", "e\u0301tirement"]
    panels = [annotation._draw_panel([(name, 0.5)], (240, 320, 3)) for name in names]
    assert all((one != other).any() for one, other in itertools.combinations(panels, 2))
    composed, decomposed = (
        annotation._draw_panel([(name, 0.5)], (240, 320, 3)) for name in ("é", "e\u0301")
    )
    np.testing.assert_array_equal(composed, decomposed)


def test_a_character_without_a_font_is_refused(monkeypatch):
    monkeypatch.setattr(annotation.font_manager, "findSystemFonts", list)
    annotation.find_font.cache_clear()
    with pytest.raises(ValueError, match="no font of this machine has"):
        annotation._draw_panel([("ä\uffff", 0.5)], (240, 320, 3))


def test_fonts_of_the_machine_are_searched(tmp_path, monkeypatch):
    own = annotation.font_manager.findfont("DejaVu Sans")
    broken = tmp_path / "broken.ttf"
    broken.write_text("no font")
    characters = annotation._characters

    def fake_characters(file):
        return {ord("俯")} if file == "machine's.ttf" else characters(file)

    files = [str(broken), "machine's.ttf"]
    monkeypatch.setattr(annotation.font_manager, "findSystemFonts", lambda: files)
    monkeypatch.setattr(annotation, "_characters", fake_characters)
    annotation.find_font.cache_clear()
    assert annotation.find_font("俯") == "machine's.ttf"
    assert annotation.find_font("Liegestütze") == own
    annotation.find_font.cache_clear()
