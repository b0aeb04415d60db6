"""A hash of code that changes with what the code does, and not with its words."""

import ast
import hashlib
import pathlib


def hash_code(*files: pathlib.Path) -> str:
    """Return a hash of Python files that comments, docstrings and formatting do not change.

    Args:
        files: The source files, in a fixed order.

    Returns:
        64 hexadecimal digits.
    """
    return hashlib.sha256("\n".join(map(_code, files)).encode()).hexdigest()


def _code(file):
    """Return a file's code in the form that `ast.unparse` gives it, without docstrings."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            if ast.get_docstring(node, clean=False) is not None:
                # An empty body is no syntax.
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
