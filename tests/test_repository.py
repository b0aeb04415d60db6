"""Rules of the project that a program can check: layers, versions, licences, format, types."""

import ast
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.version import Version

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import set_address

SUPPORTS = ("atomic", "hashing")
HOUSE = {
    "data": "settings ucf101 clips splits puppets archive damage video playback cache "
    "augmentation batches pipeline inspection",
    "networks": "layers counting models state_dict efficientnet movinet pretrained probabilities",
    "experiment": "recipes records checkpoints memory evaluation own_clips transfer training",
    "application": "annotation predict camera export saliency",
    "pictures": "plots diagrams timeline",
}
ORDER = [*SUPPORTS, *(module for layer in HOUSE.values() for module in layer.split())]
MODULES = sorted((ROOT / "helpers").glob("*.py"))


def tracked():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).is_file()]


def text_files():
    return [file for file in tracked() if file.suffix not in (".png", ".gif")]


def _is_for_hints(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imports(module, nested=True):
    """Yield the names that a module imports, except those that only type hints need."""
    tree = ast.parse(module.read_text())
    tree.body = [node for node in tree.body if not _is_for_hints(node)]
    for node in ast.walk(tree) if nested else tree.body:
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_modules_import_only_from_those_before_them(module):
    own = {name.split(".")[1] for name in imports(module) if name.startswith("helpers.")} & set(
        ORDER
    )
    assert module.stem == "__init__" or all(
        ORDER.index(name) < ORDER.index(module.stem) for name in own
    )


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_only_the_pipeline_needs_tensorflow(module):
    """Other modules import it inside functions, where it is known to be installed."""
    uses = any(name.split(".")[0] == "tensorflow" for name in imports(module, nested=False))
    assert uses == (module.stem == "pipeline")


def test_prediction_does_not_import_the_training():
    """Neither its modules nor, through them, requests, remotezip and scikit-learn."""
    needed, waiting = set(), ["predict"]
    while waiting:
        names = list(imports(ROOT / "helpers" / f"{waiting.pop()}.py"))
        needed |= {name.split(".")[0] for name in names}
        for module in {
            part for name in names if name.startswith("helpers.") for part in name.split(".")[1:2]
        }:
            if module in ORDER and module not in needed:
                needed.add(module)
                waiting.append(module)
    assert {"checkpoints", "playback", "annotation"} <= needed
    assert not needed & {"training", "archive", "evaluation", "requests", "remotezip", "sklearn"}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_only_the_settings_read_the_environment(module):
    reads = re.search(r"environ\.get|environ\[|getenv", module.read_text())
    assert bool(reads) == (module.stem == "settings")


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_public_functions_have_a_docstring(module):
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name


def test_every_module_is_in_a_layer():
    assert sorted(ORDER) == [module.stem for module in MODULES if module.stem != "__init__"]


def test_the_package_and_its_page_show_the_same_layers():
    shown = " ".join((ROOT / "helpers/__init__.py").read_text().split())
    headings = re.findall(r"^##(#?) (\w+)", (ROOT / "book/api.md").read_text(), re.M)
    expected = []
    for layer, modules in HOUSE.items():
        assert f"{layer}: {', '.join(modules.split())}" in shown
        expected += [("", layer.capitalize()), *(("#", module) for module in modules.split())]
    assert headings == [*expected, ("", "Supports"), *(("#", module) for module in SUPPORTS)]


def test_every_page_is_in_the_table_of_contents():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    listed = {toc["root"]} | {entry["file"] for part in toc["parts"] for entry in part["chapters"]}
    pages = {f"book/{file.stem}" for file in (ROOT / "book").glob("*.md")}
    assert listed == pages | {
        f"notebooks/{file.stem}" for file in (ROOT / "notebooks").glob("*.py")
    }


def test_all_copies_of_the_address_agree():
    address = set_address.address()
    path = address.removeprefix("https://github.com/")
    found = 0
    for file in text_files():
        for match in re.findall(
            r"(?:https://github\.com/|google\.com/github/)([\w.-]+/[\w.-]+?)(?=\.git\b|[/\"'\s)\]>\\@]|$)",
            file.read_text(),
            re.M,
        ):
            if match != "OWNER/NAME" and file.name not in ("test_repository.py", "set_address.py"):
                assert match == path, file
                found += 1
    assert found >= 9, "README, _config.yml, pyproject.toml and the chapters hold copies"


def test_one_command_sets_the_address_everywhere(tmp_path):
    for name in ("book", "notebooks"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("pyproject.toml", "README.md", "_config.yml", "CITATION.cff"):
        shutil.copy(ROOT / name, tmp_path)
    old = set_address.address().removeprefix("https://github.com/")
    set_address.set_address("https://github.com/somebody/something", tmp_path)
    assert set_address.address(tmp_path) == "https://github.com/somebody/something"
    for file in tmp_path.rglob("*"):
        if file.is_file() and file.suffix not in (".png", ".gif"):
            assert old not in file.read_text(), file
    with pytest.raises(ValueError, match="OWNER/NAME"):
        set_address.set_address("nowhere", tmp_path)


def test_no_file_contains_paths_of_a_machine():
    for file in text_files():
        if file.parts[-2:] != (".ci", "run") and file.name != "test_repository.py":
            found = re.search(r"(?<![\w.])/(?:work|root|home|tmp|Users)/\w+", file.read_text())
            assert not found, f"{file}: {found.group()}"


def listed(file):
    """Return the requirements in a file by name: `{"numpy": "numpy>=2.0.0", ...}`."""
    lines = (ROOT / file).read_text().splitlines()
    found = {re.match(r"[A-Za-z][\w.-]*", line): line for line in lines}
    return {match.group().lower().replace("_", "-"): line for match, line in found.items() if match}


def test_every_requirement_has_its_version():
    assert set(listed("requirements.txt")) <= set(listed("constraints.txt"))


def test_requirements_and_pyproject_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    section = (ROOT / "requirements.txt").read_text()
    section = section.split("# What the helpers need.")[1].split("\n\n")[0]
    needed = [line for line in section.splitlines() if re.match(r"[a-z][\w-]*>=", line)]
    opencv = [line for line in needed if line.startswith("opencv-python-headless>=")]
    assert len(opencv) == 1
    assert sorted(needed) == sorted([*project["dependencies"], *opencv])


def test_requirements_name_what_the_book_is_made_of():
    book = "jupyter-book nbval jupytext tensorflow keras einops opencv-python-headless"
    assert {*book.split(), "remotezip", "seaborn", "matplotlib"} <= set(listed("requirements.txt"))


def test_the_version_is_the_same_everywhere():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == version
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("command", ["ruff check .", "ruff format --check .", "mypy"])
def test_format_lint_and_types(command):
    done = subprocess.run(
        [sys.executable, "-m", *command.split()], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]


# Keras calls these by name; what they take and return is Keras's.
KERAS = {"build", "call", "compute_output_shape", "get_config"}


def public_functions(tree):
    """Yield the public functions of a module and the public methods of its public classes."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node)
        is_function = isinstance(node, ast.FunctionDef)
        if is_function and not node.name.startswith(("_", "on_")) and node.name not in KERAS:
            yield node


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_public_signatures_have_type_hints(module):
    for function in public_functions(ast.parse(module.read_text())):
        spec = function.args
        named = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, spec.vararg, spec.kwarg]
        missing = [
            each.arg
            for each in named
            if each and each.annotation is None and each.arg not in ("self", "cls")
        ]
        assert not missing and function.returns is not None, f"{function.name}: {missing}"


def pinned(file):
    """Return the versions that a list of requirements names exactly."""
    return dict(re.findall(r"^([\w.-]+)==(.+)$", file.read_text(), re.M))


def lower_bounds():
    """Return the oldest version of each package that the helpers need."""
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    needed += re.findall("^opencv.*$", (ROOT / "requirements.txt").read_text(), re.M)
    return dict(line.split(">=") for line in needed)


def test_the_oldest_versions_are_those_that_are_tested():
    oldest = pinned(ROOT / "tests/oldest/python-3.11.txt")
    assert (
        len(lower_bounds()) == 20
        and {name: oldest.get(name) for name in lower_bounds()} == lower_bounds()
    )


@pytest.mark.parametrize(
    "versions",
    sorted((ROOT / "tests/colab").glob("*.txt")) + [ROOT / "constraints.txt"],
    ids=lambda file: file.stem,
)
def test_colab_and_the_book_have_versions_that_are_new_enough(versions):
    """Otherwise the setup cell would replace packages of Colab."""
    for name, version in pinned(versions).items():
        assert Version(version) >= Version(lower_bounds().get(name, "0")), name


def test_no_large_file_is_tracked():
    for file in tracked():
        assert file.stat().st_size < 1_500_000, file
