"""The chapters on a few real clips, served over HTTP. UCF101_ZIP must be the path of a ZIP."""

import itertools
import os
import pathlib
import zipfile

import cv2
import jupyter_client
import nbclient
import nbformat
import numpy as np
import pytest
from byte_range_server import serve
from conftest import ROOT, decode_all
from test_faults_decoding import DAMAGE, expect_frames_or_error, write_damaged
from test_video import expect_frames_of_a_full_decode

from helpers import archive, ucf101, video

# Chapters that use clips; the one that trains the network which others use comes first.
CHAPTERS = sorted(
    (
        file
        for file in (ROOT / "notebooks").glob("*.ipynb")
        if "settings.current()" in file.with_suffix(".py").read_text()
    ),
    key=lambda file: (file.stem != "train", file),
)
ZIP = pathlib.Path(os.environ.get("UCF101_ZIP") or "")

pytestmark = pytest.mark.skipif(
    not ZIP.is_file(), reason="no real clips: set UCF101_ZIP to the path of UCF101's ZIP"
)


@pytest.fixture(scope="module")
def server():
    """The server that the chapters download from."""
    with serve(ZIP) as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder that the chapters run in, empty at first."""
    return tmp_path_factory.mktemp("real")


@pytest.fixture(scope="module")
def kernel(folder, server):
    """The kernel that the chapters share, which imports TensorFlow only once."""
    manager = jupyter_client.KernelManager()
    settings = {"BOOK_DATASET": "ucf101", "BOOK_RUN": "short", "UCF101_ZIP": server.url}
    manager.start_kernel(cwd=folder, env=os.environ | settings)
    yield manager
    manager.shutdown_kernel(now=True)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_chapter_runs_on_real_clips(chapter, folder, kernel, server):
    notebook = nbformat.read(chapter, as_version=4)
    # Cells that use the puppets in any case do the same here as in the test of the notebook.
    notebook.cells = [
        cell for cell in notebook.cells if "puppets-only" not in cell.metadata.get("tags", [])
    ]
    # Nothing remains of the chapter before.
    notebook.cells.insert(0, nbformat.v4.new_code_cell("%reset -f"))
    nbclient.NotebookClient(notebook, km=kernel, timeout=600).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") for output in outputs)
    assert "puppets-short" not in text and not (folder / "data" / "puppets-short").exists()
    clips = list((folder / "data" / "ucf101-short").glob("*/*/*.avi"))
    assert clips and server.bytes_sent < ZIP.stat().st_size / 2


def test_all_clips_split_by_group():
    splits = {"train": 30, "val": 10, "test": 10}
    plan = ucf101.split_by_group(archive.list_files(ZIP), splits)
    classes = {ucf101.get_class(file) for file in plan["train"]}
    groups = {
        name: {(ucf101.get_class(file), ucf101.get_group(file)) for file in files}
        for name, files in plan.items()
    }
    sizes = {name: len(files) for name, files in plan.items()}
    assert sizes == {name: n * len(classes) for name, n in splits.items()}
    for one, other in itertools.combinations(groups.values(), 2):
        assert not one & other


def test_real_clips_are_read_completely(tmp_path):
    folders = archive.download_ucf101_subset(ZIP, 10, {"train": 2, "val": 1, "test": 1}, tmp_path)
    files = [file for folder in folders.values() for file in folder.glob("*/*.avi")]
    assert len(files) == 40
    for file in files:
        frames = video.frames_from_video_file(file, 10, (60, 80), start="center")
        assert frames.shape == (10, 60, 80, 3)
        # A made-up frame would be black; none of these clips has a black frame.
        assert np.all(frames.reshape(10, -1).max(axis=1) > 32), file


def test_frames_are_those_of_a_full_decode(tmp_path, daily_or_long):
    number = daily_or_long(2, 8)
    splits = {"train": number, "val": 1, "test": 1}
    folders = archive.download_ucf101_subset(ZIP, 10, splits, tmp_path)
    files = sorted(file for folder in folders.values() for file in folder.glob("*/*.avi"))
    assert len(files) == 10 * (number + 2)
    expect_frames_of_a_full_decode(files, (240, 320), 15, tmp_path / "frames")


@pytest.mark.parametrize(
    "name, declared, decoded",
    [
        ("JumpingJack_g20_c01", 120, 116),
        ("JumpRope_g05_c01", 622, 621),
        ("PullUps_g16_c03", 142, 141),
    ],
)
def test_the_length_of_a_clip_is_the_number_of_frames_that_decode(
    tmp_path, name, declared, decoded
):
    with zipfile.ZipFile(ZIP) as source:
        member = next(member for member in source.namelist() if name in member)
        file = source.extract(member, tmp_path)
    assert cv2.VideoCapture(str(file)).get(cv2.CAP_PROP_FRAME_COUNT) == declared
    truth = decode_all(file)
    assert len(truth) == decoded
    sizes = {"n_frames": 10, "output_size": (240, 320)}
    for step, start in ((15, "center"), (15, 0), (2, "center"), (1, decoded - 10)):
        frames = video.frames_from_video_file(file, **sizes, frame_step=step, start=start)
        expected = truth[video.frame_indices(decoded, 10, step, start)]
        np.testing.assert_array_equal(frames, expected)
    with pytest.raises(ValueError, match=f"from 0 to {decoded - 1}, not {decoded}"):
        video.frames_from_video_file(file, **sizes, start=decoded)


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_clips_give_frames_or_an_error(kind, tmp_path):
    with zipfile.ZipFile(ZIP) as source:
        clips = [source.read(name) for name in sorted(source.namelist())[1::50]]
    assert len(clips) == 10
    expect_frames_or_error(write_damaged(clips, tmp_path, 30, DAMAGE[kind]), (240, 320))
