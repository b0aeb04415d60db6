"""The tool that makes small faults: which ones, and one at a time."""

import ast
import json
import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))

import mutants
import mutate

SOURCE = '''
"""A module."""
from math import prod


@cached
def area(sizes: tuple, scale=2) -> int:
    """Return an area."""
    if not sizes or scale < 0:
        raise ValueError(f"{len(sizes) + 1} sizes")
    log(sizes)
    return max(prod(sizes, start=scale), -1)
'''
CHANGES = {
    (
        "@cached def area(sizes: tuple, scale=2) -> int:",
        'def area(sizes: tuple, scale=2) -> int:     """Return an area."""',
    ),
    ("sizes: tuple, scale=2", "sizes: tuple, scale=3"),
    ("sizes: tuple, scale=2", "sizes: tuple, scale=1"),
    (
        "if not sizes or scale < 0:     raise ValueError(f'{len(sizes) + 1} sizes')",
        "if not (not sizes or scale < 0):     raise ValueError(f'{len(sizes) + 1} sizes')",
    ),
    ("not sizes or scale < 0", "not sizes and scale < 0"),
    ("not sizes or scale < 0", "sizes or scale < 0"),
    ("scale < 0", "scale <= 0"),
    ("scale < 0", "scale < 1"),
    ("scale < 0", "scale < -1"),
    ("raise ValueError(f'{len(sizes) + 1} sizes')", "pass"),
    ("log(sizes)", "pass"),
    ("return max(prod(sizes, start=scale), -1)", "return None"),
    ("prod(sizes, start=scale)", "prod(sizes)"),
    *(
        ("max(prod(sizes, start=scale), -1)", after)
        for after in ("min(prod(sizes, start=scale), -1)", "max(prod(sizes, start=scale), 1)")
    ),
    ("-1", "-2"),
    ("-1", "-0"),
}


def test_mutants_change_code_but_not_annotations_messages_and_imports():
    found = [mutant for mutant, _, _ in mutants.find_mutants("shapes", ast.parse(SOURCE))]
    assert sorted((mutant.before, mutant.after) for mutant in found) == sorted(CHANGES)
    assert {mutant.function for mutant in found} == {"area"} and {
        mutant.module for mutant in found
    } == {"shapes"}
    assert [mutant.number for mutant in found] == list(range(len(CHANGES)))
    assert {mutant.before: mutant.line for mutant in found}["scale < 0"] == 9


@pytest.mark.parametrize("number", range(len(CHANGES)))
def test_a_mutant_changes_one_expression_or_statement(number, tmp_path):
    path, tree = tmp_path / "shapes.py", ast.parse(SOURCE)
    path.write_text(SOURCE)
    mutant = [mutant for mutant, _, _ in mutants.find_mutants("shapes", tree)][number]
    mutants.write_mutant(mutant, path)
    before, after = ast.unparse(tree).splitlines(), path.read_text().splitlines()
    differing = [pair for pair in zip(before, after) if pair[0] != pair[1]]
    assert (
        len(differing) == 1
        or len(before) == len(after) + 1
        and set(before) - set(after) == {"@cached"}
    )


def test_each_equivalent_mutant_still_occurs():
    """A renamed function would otherwise leave its entries behind, and its mutants unexplained."""
    every = {
        mutate.name(mutant)
        for module in mutate.MODULES
        for mutant, _, _ in mutants.find_mutants(module, mutate.parse(module))
    }
    assert not set(json.loads(mutate.EQUIVALENT.read_text())) - every
