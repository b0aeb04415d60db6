"""Formulas become MathML when the book is built, and a wrong one is a warning."""

import pathlib
import re
import sys
import xml.etree.ElementTree

import pytest
from sphinx.application import Sphinx

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import mathml


@pytest.mark.parametrize("display", ["inline", "block"])
@pytest.mark.parametrize(
    "formula",
    [
        r"\frac{t d^2 N_\text{in}}{d^2}",
        r"\sum_{t,r,c} a_{t,r,c,k}",
        r"\left\lfloor \sqrt{p} \right\rfloor",
        r"\{1, 2\}",
        r"3 \times 3",
        r"\text{multiply-adds}",
    ],
)
def test_formulas_become_mathml(formula, display):
    root = xml.etree.ElementTree.fromstring(mathml.to_mathml(formula, display))
    assert root.tag.endswith("math") and root.get("display") == display
    assert "\\" not in "".join(root.itertext())


@pytest.mark.parametrize(
    "formula", [r"\unknown{x}", r"\frac{", "a}", "{a", r"\left(a", "a^b^c", "x_", r"\text{a"]
)
def test_wrong_formulas_are_errors(formula):
    with pytest.raises(ValueError):
        mathml.to_mathml(formula, "inline")


def test_a_wrong_formula_is_a_warning_with_its_line(tmp_path):
    (tmp_path / "conf.py").write_text("extensions = ['mathml']\nhtml_math_renderer = 'mathml'\n")
    (tmp_path / "index.rst").write_text("Test\n====\n\n:math:`x^2`\n\n:math:`\\unknown`\n")
    warnings = (tmp_path / "warnings").open("w+")
    folders = [tmp_path, tmp_path, tmp_path / "html", tmp_path / "trees"]
    Sphinx(*folders, "html", status=None, warning=warnings, freshenv=True).build()
    warnings.seek(0)
    message = warnings.read()
    assert re.search(r"index\.rst:6: .*unknown.* can't be converted to MathML", message)
    page = (tmp_path / "html" / "index.html").read_text()
    assert "<msup>" in page and "mathjax" not in page.lower()
