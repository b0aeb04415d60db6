"""The settings that the environment asks for."""

import dataclasses
import importlib.util
import os

import pytest

from helpers import settings


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Return a function that makes this machine look like Colab or not, with or without a GPU."""
    find_spec = importlib.util.find_spec

    def pretend(colab, gpu=False):
        modules = dict.fromkeys(("google", "google.colab"), True if colab else None)
        # The program may be installed on a machine without a GPU; it then fails.
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\nexit {0 if gpu else 9}\n")
        program.chmod(0o755)
        monkeypatch.setattr(
            importlib.util,
            "find_spec",
            lambda name: modules[name] if name in modules else find_spec(name),
        )
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    return pretend


@pytest.mark.parametrize("gpu", [False, True])
def test_outside_colab_the_default_is_puppets_in_a_short_run(machine, gpu):
    machine(colab=False, gpu=gpu)
    assert (settings.current().dataset, settings.current().run) == ("puppets", "short")


@pytest.mark.parametrize("gpu, run", [(False, "short"), (True, "full")])
def test_in_colab_the_default_is_ucf101_in_full_with_a_gpu(machine, gpu, run):
    machine(colab=True, gpu=gpu)
    assert (settings.current().dataset, settings.current().run) == ("ucf101", run)


def test_another_package_called_google_is_not_colab(machine, monkeypatch):
    machine(colab=False)
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: object() if name == "google" else find_spec(name)
    )
    assert settings.current().dataset == "puppets"


@pytest.mark.parametrize("dataset", ["puppets", "ucf101"])
@pytest.mark.parametrize("run", ["short", "full"])
@pytest.mark.parametrize("colab", [False, True])
def test_both_variables_override_the_defaults(machine, monkeypatch, dataset, run, colab):
    machine(colab, gpu=colab)
    monkeypatch.setenv("BOOK_DATASET", dataset)
    monkeypatch.setenv("BOOK_RUN", run)
    current = settings.current()
    assert (current.dataset, current.run, current.name) == (dataset, run, f"{dataset}-{run}")


def test_full_runs_have_the_tutorials_sizes(monkeypatch):
    monkeypatch.setenv("BOOK_RUN", "full")
    monkeypatch.setenv("BOOK_DATASET", "ucf101")
    full = settings.current()
    assert full.splits == {"train": 30, "val": 10, "test": 10}
    assert full.sampling == {"n_frames": 10, "output_size": (224, 224), "frame_step": 15}
    assert full.input_size == {"num_classes": 10, "n_frames": 10, "height": 224, "width": 224}
    assert (full.epochs, full.batch_size) == (50, 8)


@pytest.mark.parametrize("dataset", ["puppets", "ucf101"])
def test_short_runs_are_smaller_than_full_ones(monkeypatch, dataset):
    monkeypatch.setenv("BOOK_DATASET", dataset)
    short = settings.current()
    monkeypatch.setenv("BOOK_RUN", "full")
    full = settings.current()
    assert (short.size, short.epochs) < (full.size, full.epochs)
    assert short.epochs < full.epochs and short.num_classes <= full.num_classes


@pytest.mark.parametrize(
    "variable, choices", [("BOOK_DATASET", "puppets or ucf101"), ("BOOK_RUN", "short or full")]
)
@pytest.mark.parametrize("value", ["quick", "SHORT", " "])
def test_an_invalid_value_is_an_error_that_names_the_choices(monkeypatch, variable, choices, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValueError, match=f"^{variable} must be {choices}, not '{value}'; set it"):
        settings.current()


def test_an_empty_variable_counts_as_unset(monkeypatch):
    default = settings.current()
    for variable in ("BOOK_DATASET", "BOOK_RUN", "UCF101_ZIP"):
        monkeypatch.setenv(variable, "")
    assert settings.current() == default


def test_ucf101_zip_names_the_zip(monkeypatch):
    assert settings.current().zip == settings.TUTORIAL_ZIP
    monkeypatch.setenv("UCF101_ZIP", "/data/UCF101.zip")
    assert settings.current().zip == "/data/UCF101.zip"


@pytest.mark.parametrize("dataset", ["puppets", "ucf101"])
def test_two_calls_share_no_splits(monkeypatch, dataset):
    monkeypatch.setenv("BOOK_DATASET", dataset)
    before = dict(settings.current().splits)
    settings.current().splits.clear()
    assert settings.current().splits == before


@pytest.mark.parametrize("dataset", ["puppets", "ucf101"])
def test_folder_of_clips_has_the_runs_name_and_what_is_unusual(monkeypatch, dataset):
    monkeypatch.setenv("BOOK_DATASET", dataset)
    run = settings.current()
    assert run.clips_name == run.name == f"{dataset}-short"
    fewer = dataclasses.replace(run, num_classes=2, splits={"train": 3, "val": 1, "test": 1})
    assert fewer.clips_name == f"{dataset}-short-2x3-1-1"
    assert dataclasses.replace(fewer, split_by="a/b.csv").clips_name == f"{fewer.clips_name}-b"
    assert dataclasses.replace(run, split_by="clip").clips_name == f"{dataset}-short-clip"


def test_project_root_contains_the_books_contents_or_is_the_current_folder(monkeypatch, tmp_path):
    (tmp_path / "notebooks" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "notebooks" / "deep")
    assert settings.project_root() == tmp_path / "notebooks" / "deep"
    (tmp_path / "_toc.yml").touch()
    assert settings.project_root() == tmp_path


def test_a_tilde_in_ucf101_zip_is_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("UCF101_ZIP", "~/u.zip")
    assert settings.current().zip == f"{tmp_path}/u.zip"
