"""What the environment asks for."""

import dataclasses
import importlib.util
import os

import pytest

from helpers import settings


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Return a function that makes this machine look like Colab, or not, with a GPU or without."""
    find_spec = importlib.util.find_spec

    def pretend(colab, gpu=False):
        modules = dict.fromkeys(("google", "google.colab"), True if colab else None)
        # Where there is no GPU, its program may still be there, and fails.
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
def test_puppets_in_a_short_run_are_the_default_at_home(machine, gpu):
    machine(colab=False, gpu=gpu)
    assert (settings.current().dataset, settings.current().run) == ("puppets", "short")


@pytest.mark.parametrize("gpu, run", [(False, "short"), (True, "full")])
def test_ucf101_is_the_default_in_colab_in_full_with_a_gpu(machine, gpu, run):
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
def test_both_variables_win_over_the_machine(machine, monkeypatch, dataset, run, colab):
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
def test_a_value_that_means_nothing_is_an_error_that_names_the_choices(
    monkeypatch, variable, choices, value
):
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValueError, match=f"^{variable} is {choices}, not '{value}'"):
        settings.current()


def test_an_empty_variable_is_an_unset_one(monkeypatch):
    default = settings.current()
    for variable in ("BOOK_DATASET", "BOOK_RUN", "UCF101_ZIP"):
        monkeypatch.setenv(variable, "")
    assert settings.current() == default


def test_ucf101_zip_names_the_zip(monkeypatch):
    assert settings.current().zip == settings.TUTORIAL_ZIP
    monkeypatch.setenv("UCF101_ZIP", "/data/UCF101.zip")
    assert settings.current().zip == "/data/UCF101.zip"


@pytest.mark.parametrize("dataset", ["puppets", "ucf101"])
def test_settings_of_two_calls_share_no_splits(monkeypatch, dataset):
    monkeypatch.setenv("BOOK_DATASET", dataset)
    before = dict(settings.current().splits)
    settings.current().splits.clear()
    assert settings.current().splits == before


@pytest.mark.parametrize("dataset", ["puppets", "ucf101"])
def test_clips_of_a_usual_run_have_its_name(monkeypatch, dataset):
    monkeypatch.setenv("BOOK_DATASET", dataset)
    run = settings.current()
    assert run.clips_name == run.name == f"{dataset}-short"
    assert dataclasses.replace(run, num_classes=2, split_by="a/b.csv").clips_name.startswith(
        f"{dataset}-short-2x"
    )


def test_home_is_the_folder_with_the_books_contents_or_the_current_one(monkeypatch, tmp_path):
    (tmp_path / "notebooks" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "notebooks" / "deep")
    assert settings.project_root() == tmp_path / "notebooks" / "deep"
    (tmp_path / "_toc.yml").touch()
    assert settings.project_root() == tmp_path


def test_zip_may_lie_at_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("UCF101_ZIP", "~/u.zip")
    assert settings.current().zip == f"{tmp_path}/u.zip"
