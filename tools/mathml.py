"""A Sphinx extension that writes formulas as MathML, which browsers show without a script."""

from docutils import nodes
from latex2mathml import exceptions
from latex2mathml.converter import convert
from sphinx.util import logging

logger = logging.getLogger(__name__)
MISTAKES = tuple(each for each in vars(exceptions).values() if isinstance(each, type))


def _visit(display):
    def visit(writer, node):
        try:
            writer.body.append(convert(node.astext(), display=display))
        except MISTAKES as error:
            message = "%r can't be converted to MathML: %s"
            logger.warning(message, node.astext(), type(error).__name__, location=node)
        raise nodes.SkipNode

    return visit


def setup(app):
    """Register the renderer; `html_math_renderer: mathml` in _config.yml selects it."""
    app.add_html_math_renderer(
        "mathml", inline_renderers=(_visit("inline"), None), block_renderers=(_visit("block"), None)
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
