"""The hash of code, which only code changes."""

import pytest

from helpers.hashing import hash_code

CODE = '''"""A module."""

import math


class Disc:
    """A disc."""

    def area(self, radius):
        """Return an area."""
        # A comment.
        return math.pi * radius ** 2

    def draw(self):
        """Draw nothing."""
'''


@pytest.fixture
def hash_of(tmp_path):
    """Return a function from source code to its hash."""

    def function(source):
        file = tmp_path / "module.py"
        file.write_text(source, encoding="utf-8")
        return hash_code(file)

    return function


@pytest.mark.parametrize(
    "before, after",
    [
        ("A module.", "A file of code.\n\nIt draws — in other words — a disc.\n"),
        ('"""A module."""\n\n', ""),
        ("A disc.", "A circle and its inside."),
        ('    """A disc."""\n\n', ""),
        ("Return an area.", "Return how large a disc is."),
        ('        """Return an area."""\n', ""),
        ('"""Draw nothing."""', "pass"),
        ("# A comment.", "# Because of Archimedes."),
        ("        # A comment.\n", ""),
        ("radius ** 2", "radius**2"),
        ("math.pi * radius ** 2", "(\n            math.pi * radius ** 2\n        )"),
        ("import math\n\n\n", "import math\n"),
    ],
)
def test_docstrings_comments_and_formatting_do_not_change_the_hash(hash_of, before, after):
    changed = CODE.replace(before, after)
    assert changed != CODE and hash_of(changed) == hash_of(CODE)


@pytest.mark.parametrize(
    "before, after",
    [
        ("** 2", "** 3"),
        ("radius", "diameter"),
        ("math.pi", "3.14"),
        ("import math\n", "import math\nimport os\n"),
        ("def draw(self):", "def draw(self, colour=None):"),
        ("def draw(self):", "def draw(self) -> None:"),
        ('"""Draw nothing."""', 'return "Draw nothing."'),
        # A string that is not a docstring may be a message or a key.
        ("        # A comment.\n", '        print("A comment.")\n'),
    ],
)
def test_code_changes_the_hash(hash_of, before, after):
    changed = CODE.replace(before, after)
    assert changed != CODE and hash_of(changed) != hash_of(CODE)


def test_hash_covers_all_files_in_their_order(tmp_path):
    one, other = tmp_path / "one.py", tmp_path / "other.py"
    one.write_text("x = 1")
    other.write_text("y = 2")
    hashes = {hash_code(one), hash_code(other), hash_code(one, other), hash_code(other, one)}
    assert len(hashes) == 4 and {len(digits) for digits in hashes} == {64}


def test_hash_does_not_depend_on_the_files_names(tmp_path):
    (tmp_path / "folder").mkdir()
    one, copy = tmp_path / "one.py", tmp_path / "folder" / "copy.py"
    for file in (one, copy):
        file.write_text(CODE)
    assert hash_code(one) == hash_code(copy)
