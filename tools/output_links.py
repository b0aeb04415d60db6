"""A Sphinx extension that resolves links to pages in the outputs of cells.

MyST resolves `[Results](../book/results.md)` in the text of a page; in Markdown that a cell
displays, the link would still name the source file.
"""

import posixpath
import re

from docutils import nodes

SOURCE = re.compile(r"(?P<path>[^:#]+)\.(?:md|ipynb)(?P<anchor>#.*)?")


def resolve_links(app, doctree, docname):
    """Let links to source files lead to their pages."""
    folder = posixpath.dirname(docname)
    for node in doctree.findall(nodes.reference):
        link = SOURCE.fullmatch(node.get("refuri", ""))
        if link is None:
            continue
        target = posixpath.normpath(posixpath.join(folder, link["path"]))
        if target in app.env.all_docs:
            page = app.builder.get_relative_uri(docname, target)
            node["refuri"] = page + (link["anchor"] or "")


def setup(app):
    """Resolve the links before a page is written."""
    app.connect("doctree-resolved", resolve_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
