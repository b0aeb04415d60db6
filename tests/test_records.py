import ast
import dataclasses
import shutil

import pytest

from helpers import records
from helpers.recipes import Recipe
from helpers.settings import Settings

SETTINGS = Settings("puppets", "short", frame_step=5, size=16, epochs=1)


@pytest.fixture
def fingerprint_of(monkeypatch, tmp_path):
    """Return a function that changes a copy of a helper, and returns a run's fingerprint then."""
    for name in records.MODULES:
        shutil.copy(records.HERE / f"{name}.py", tmp_path)

    def fingerprint(name, old, new):
        file = tmp_path / f"{name}.py"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))
        monkeypatch.setattr(records, "CODE", records.code_hash(tmp_path))
        file.write_text(text)
        return records.fingerprint(SETTINGS, Recipe())

    return fingerprint


def test_docstrings_and_comments_do_not_change_the_fingerprint(fingerprint_of):
    fingerprint = records.fingerprint(SETTINGS, Recipe())
    assert fingerprint_of("layers", "Resize every frame", "Scale every frame") == fingerprint
    assert fingerprint_of("layers", "# With Keras's default", "# By default") == fingerprint
    assert fingerprint_of("training", '"""', '"""In other words: ') == fingerprint


@pytest.mark.parametrize(
    "name, old, new",
    [
        ("layers", "BATCH_NORM_MOMENTUM = 0.9", "BATCH_NORM_MOMENTUM = 0.99"),
        ("recipes", "steps // 10", "steps // 20"),
    ],
)
def test_code_changes_the_fingerprint(fingerprint_of, name, old, new):
    fingerprint = records.fingerprint(SETTINGS, Recipe())
    assert fingerprint_of(name, old, new) != fingerprint


def test_all_inputs_of_a_run_change_the_fingerprint(monkeypatch):
    fingerprints = [
        records.fingerprint(SETTINGS, Recipe()),
        records.fingerprint(dataclasses.replace(SETTINGS, n_frames=8), Recipe()),
        records.fingerprint(SETTINGS, Recipe(seed=1)),
    ]
    monkeypatch.setattr(records.keras.backend, "backend", lambda: "another")
    fingerprints.append(records.fingerprint(SETTINGS, Recipe()))
    assert len(set(fingerprints)) == 4


def imports(name):
    """Return the helpers that a module imports."""
    tree = ast.parse((records.HERE / f"{name}.py").read_text())
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules = {node.module.removeprefix("helpers.") for node in nodes}
    modules |= {alias.name for node in nodes if node.module == "helpers" for alias in node.names}
    return {module for module in modules if (records.HERE / f"{module}.py").exists()}


def test_fingerprint_depends_on_all_modules_that_training_needs():
    """Except those that don't affect the numbers; the values of the settings are in it."""
    needed, new = set(), {"training"}
    while new:
        needed |= new
        new = set().union(*map(imports, new)) - needed
    assert needed - {"atomic", "hashing", "memory", "records", "settings"} <= set(records.MODULES)


def test_folder_of_a_run_does_not_depend_on_the_source_of_its_clips():
    elsewhere = dataclasses.replace(SETTINGS, zip="http://127.0.0.1/other.zip")
    assert records.run_folder(SETTINGS, Recipe()) == records.run_folder(elsewhere, Recipe())


def test_runs_are_selected_by_recipe_and_settings():
    runs = [
        {"recipe": {"conv": conv, "seed": seed}, "settings": {"size": 64, "seed": 0}}
        for conv in ("2d", "3d")
        for seed in (0, 1)
    ]
    assert records.select_runs(runs, conv="3d", size=64) == runs[2:]
    assert records.select_runs(runs, seed=1) == [runs[1], runs[3]]
    assert records.select_runs(runs, size=112) == []


def test_runs_of_a_recipe_are_those_with_any_seed():
    recipes = [Recipe(conv=conv, seed=seed) for conv in ("2d", "3d") for seed in (1, 2)]
    runs = [{"recipe": dataclasses.asdict(recipe)} for recipe in recipes]
    assert records.runs_of_recipe(runs, Recipe(conv="3d")) == runs[2:]
    assert records.runs_of_recipe(runs, Recipe(conv="mc3")) == []


def test_new_record_replaces_only_that_of_the_same_run(tmp_path):
    def record(backend, seed=0, **others):
        identity = {"recipe": {"seed": seed}, "settings": {"size": 64}}
        return identity | {"versions": {"backend": backend}} | others

    file = tmp_path / "runs.json"
    records.add_record(file, record("tensorflow 2.21.0"))
    records.add_record(file, record("jax 0.10.2"))
    records.add_record(file, record("jax 0.10.2", seed=1))
    records.add_record(file, record("jax 0.11.0", hardware="another"))
    assert records.read_records(file) == [
        record("tensorflow 2.21.0"),
        record("jax 0.10.2", seed=1),
        record("jax 0.11.0", hardware="another"),
    ]


def test_error_names_a_file_that_records_cannot_be_read_from_or_written_to(tmp_path):
    with pytest.raises(ValueError, match=r"can't be read \(Is a directory\); name another file"):
        records.read_records(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"can't be written \(.*\); name another file"):
        records.add_record(tmp_path / "file" / "runs.json", {"recipe": {}, "settings": {}})


def test_accuracies_are_those_after_the_last_epoch():
    history = {"accuracy": [0.2, 0.9], "val_accuracy": [0.1, 0.7]}
    runs = [{"history": history, "test": {"accuracy": 0.6}}] * 2
    scores = [records.accuracies(runs, split) for split in ("train", "val", "test")]
    assert scores == [[0.9, 0.9], [0.7, 0.7], [0.6, 0.6]]


def test_mean_and_range_name_mean_worst_and_best():
    assert records.mean_and_range([0.5, 0.75, 0.7]) == "0.65 (0.50 to 0.75)"


def test_table_needs_a_title_for_every_column():
    table = records.markdown_table(("network", "accuracy"), [("2D", 0.5)])
    assert table == "| network | accuracy |\n| --- | --- |\n| 2D | 0.5 |"
    with pytest.raises(ValueError, match=r"needs a title; add .* \('', 'accuracy'\)"):
        records.markdown_table(("", "accuracy"), [("2D", 0.5)])


def test_error_names_a_recording_that_does_not_exist():
    with pytest.raises(FileNotFoundError, match="no nothing-of-the-kind.json"):
        records.load_results("nothing-of-the-kind")
