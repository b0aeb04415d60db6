"""Build the book by one of Sphinx's builders."""

import pathlib

from jupyter_book.sphinx import build_sphinx

ROOT = pathlib.Path(__file__).resolve().parent.parent
# The committed outputs of the chapters. Pages such as Results, whose outputs are not committed, are
# executed, which takes seconds.
COMMITTED = {"nb_execution_excludepatterns": ["notebooks/*"]}


def build(folder, builder, overrides, **options):
    """Build the book; return whether it succeeded.

    Args:
        folder: The folder for the result.
        builder: A name that Sphinx knows, such as `"html"` or `"linkcheck"`.
        overrides: Values of Sphinx's configuration, such as `COMMITTED`.
        options: Other arguments of `build_sphinx`.
    """
    toc = {"external_toc_path": str(ROOT / "_toc.yml"), "latex_individualpages": False}
    status = build_sphinx(
        str(ROOT),
        str(folder),
        path_config=str(ROOT / "_config.yml"),
        noconfig=True,
        confoverrides=toc | overrides,
        builder=builder,
        quiet=True,
        **options,
    )
    return status == 0
