"""Build the book by one of Sphinx's builders, with the committed outputs of the chapters."""

import pathlib

from jupyter_book.sphinx import build_sphinx

ROOT = pathlib.Path(__file__).resolve().parent.parent


def build(folder, builder):
    """Build the book without executing its chapters; return whether it succeeded.

    Pages such as Results, whose outputs are not committed, are executed, which takes seconds.

    Args:
        folder: The folder for the result.
        builder: A name that Sphinx knows, such as `"singlehtml"` or `"linkcheck"`.
    """
    overrides = {
        "external_toc_path": str(ROOT / "_toc.yml"),
        "latex_individualpages": False,
        "nb_execution_excludepatterns": ["notebooks/*"],
    }
    status = build_sphinx(
        str(ROOT),
        str(folder),
        path_config=str(ROOT / "_config.yml"),
        noconfig=True,
        confoverrides=overrides,
        builder=builder,
        quiet=True,
    )
    return status == 0
