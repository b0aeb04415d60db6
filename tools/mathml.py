"""A Sphinx extension that writes formulas as MathML, which browsers show without a script."""

import re

from docutils import nodes
from latex2mathml import exceptions
from latex2mathml.converter import convert
from sphinx.util import logging

logger = logging.getLogger(__name__)
MISTAKES = tuple(each for each in vars(exceptions).values() if isinstance(each, type))
# The converter copies what it doesn't know: \unknown becomes <mi>\unknown</mi>.
COPIED = re.compile(r"<m(?:i|text)>([\\{}][^<]*)")


def to_mathml(formula, display):
    """Convert a formula in LaTeX to MathML.

    Args:
        formula: The formula, without dollar signs.
        display: `"inline"` or `"block"`.

    Raises:
        ValueError: The formula can't be converted; the message says why.
    """
    try:
        converted = convert(formula, display=display)
    except MISTAKES as error:
        raise ValueError(type(error).__name__) from error
    if copied := COPIED.search(converted):
        raise ValueError(f"{copied[1]} is unknown")
    bare = re.sub(r"\\[{}]", "", formula)
    if bare.count("{") != bare.count("}"):
        raise ValueError("a brace is missing")
    return converted


def _visit(display, form="{}"):
    def visit(writer, node):
        try:
            writer.body.append(form.format(to_mathml(node.astext(), display)))
        except ValueError as error:
            message = "%r can't be converted to MathML: %s"
            logger.warning(message, node.astext(), error, location=node)
        raise nodes.SkipNode

    return visit


def setup(app):
    """Register the renderer; `html_math_renderer: mathml` in _config.yml selects it."""
    # A wide formula scrolls on a phone; with tabindex, it scrolls by keyboard too.
    block_form = '<div class="formula" tabindex="0">{}</div>\n'
    inline, block = _visit("inline"), _visit("block", block_form)
    app.add_html_math_renderer(
        "mathml", inline_renderers=(inline, None), block_renderers=(block, None)
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
