"""Configuration of the documentation: API reference from docstrings, tutorials from their scripts.

Built with ``sphinx-build -W tutorials/docs tutorials/docs/_build``.
"""

import os
import sys
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

import neuroml

os.environ.setdefault("OMP_NUM_THREADS", "1")

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "neuroml"
author = "the neuroml developers"
version = release = neuroml.__version__
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "mathml",
    "reference",
]
html_math_renderer = "mathml"
exclude_patterns = ["_build"]
html_theme = "pydata_sphinx_theme"
templates_path = ["templates"]
html_static_path = ["static"]
html_css_files = ["neuroml.css"]
html_title = "neuroml"
html_theme_options = {"show_prev_next": False, "secondary_sidebar_items": ["page-toc"]}

autosummary_generate = True
numpydoc_show_class_members = False
# "fit()" in the list of what is on a page, which is too narrow for "SwitchingGLM.fit()"
toc_object_entries_show_parents = "hide"
autodoc_typehints = "none"
autodoc_default_options = {"members": True}


def skip_routing(app, what, name, member, skip, options):  # noqa: ARG001
    """Leave out the methods that scikit-learn adds for metadata routing."""
    return skip or (name.startswith("set_") and name.endswith("_request"))


def setup(app):
    """Connect what Sphinx calls back."""
    app.connect("autodoc-skip-member", skip_routing)


def scrape_figures(_block, block_vars, gallery_conf):
    """Show every figure, or that of axes, that a block of a tutorial bound to a name."""
    paths = []
    for value in block_vars["example_globals"].values():
        figure = value.figure if isinstance(value, Axes) else value
        if isinstance(figure, Figure) and not getattr(figure, "in_gallery", False):
            figure.in_gallery = True
            path = next(block_vars["image_path_iterator"])
            figure.savefig(path, dpi=110)
            paths.append(path)
    return figure_rst(paths, gallery_conf["src_dir"])


sphinx_gallery_conf = {
    "image_scrapers": (scrape_figures,),
    "examples_dirs": "..",
    "gallery_dirs": "auto_tutorials",
    # each page of the reference ends with the tutorials that use what it documents
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("neuroml",),
    "filename_pattern": r"/\d\d_",
    "ignore_pattern": r"conf\.py",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "remove_config_comments": True,
    "nested_sections": False,
}
suppress_warnings = ["config.cache"]
