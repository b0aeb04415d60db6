"""The chapters once more, on a few real clips that come over HTTP. Needs UCF101_ZIP to be the path of UCF101's ZIP."""

import os
import pathlib
import shutil

import nbclient
import nbformat
import numpy as np
import pytest
from byte_range_server import serve

from helpers import archive, ucf101, video

CHAPTERS = sorted((pathlib.Path(__file__).resolve().parent.parent / "notebooks").glob("*.ipynb"))
ZIP = pathlib.Path(os.environ.get("UCF101_ZIP") or "")

pytestmark = pytest.mark.skipif(not ZIP.is_file(), reason="no real clips: UCF101_ZIP is not the path of UCF101's ZIP")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """An empty folder that the chapters share, as a reader's would be, and the server that they fetch from."""
    with serve(ZIP) as server:
        yield tmp_path_factory.mktemp("real"), server


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_chapter_runs_on_real_clips(chapter, place, monkeypatch):
    folder, server = place
    monkeypatch.setenv("BOOK_DATASET", "ucf101")
    monkeypatch.setenv("BOOK_RUN", "short")
    monkeypatch.setenv("UCF101_ZIP", server.url)
    notebook = nbformat.read(shutil.copy(chapter, folder), as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}}).execute()
    text = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    if chapter.stem != "count_parameters":
        assert "puppets-short" not in text and not (folder / "data" / "puppets-short").exists()
        clips = list((folder / "data" / "ucf101-short").glob("*/*/*.avi"))
        assert clips and server.bytes_sent < ZIP.stat().st_size / 2


def test_all_clips_split_by_group():
    splits = {"train": 30, "val": 10, "test": 10}
    plan = ucf101.split_by_group(archive.list_files(ZIP), splits)
    classes = {ucf101.get_class(file) for file in plan["train"]}
    rooms = {name: {(ucf101.get_class(file), ucf101.get_group(file)) for file in files} for name, files in plan.items()}
    assert {name: len(files) for name, files in plan.items()} == {name: n * len(classes) for name, n in splits.items()}
    assert not rooms["train"] & rooms["test"] and not rooms["train"] & rooms["val"] and not rooms["val"] & rooms["test"]


def test_real_clips_are_read_whole(tmp_path):
    folders = archive.download_ucf101_subset(ZIP, 10, {"train": 2, "val": 1, "test": 1}, tmp_path)
    files = [file for folder in folders.values() for file in folder.glob("*/*.avi")]
    assert len(files) == 40
    for file in files:
        frames = video.frames_from_video_file(file, 10, (60, 80), start="center")
        assert frames.shape == (10, 60, 80, 3)
        # A frame invented to fill up would be black; no real one of these is.
        assert np.all(frames.reshape(10, -1).max(axis=1) > 32), file
