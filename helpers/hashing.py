"""A hash of source code that ignores comments, docstrings and formatting.

Caches, records and the drawn ZIP are named or stamped with it: rewording a docstring leaves them
valid, and changing the code does not. The chapter *Feed the GPU* relies on it.
"""

import ast
import hashlib
import pathlib


def hash_code(*files: pathlib.Path) -> str:
    """Return a hash of Python files that comments, docstrings and formatting do not change.

    Args:
        files: The source files, in a fixed order.

    Returns:
        64 hexadecimal digits.

    Raises:
        SyntaxError: A file is not valid Python.
    """
    return hashlib.sha256("\n".join(map(_normalised_code, files)).encode()).hexdigest()


def _normalised_code(file: pathlib.Path) -> str:
    """Return a file's code as `ast.unparse` formats it, without docstrings."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if (
            isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
            and ast.get_docstring(node, clean=False) is not None
        ):
            # A body that consists of a docstring alone must not become empty.
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
