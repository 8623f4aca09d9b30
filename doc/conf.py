"""Sphinx settings."""

import os

import ltresample

project = "ltresample"
author = "The ltresample developers"
copyright = "2026, The ltresample developers"  # noqa: A001
release = version = ltresample.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "auto_examples/**/*.ipynb"]
html_theme = "alabaster"
html_theme_options = {"description": "Samplers for long-tailed data", "fixed_sidebar": True}
autosummary_generate = True
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
templates_path = ["_templates"]
suppress_warnings = ["config.cache"]

# the text example needs files: it is shown, but only run where they are
WITH_TEXT = bool(os.environ.get("REUTERS52"))

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_" if WITH_TEXT else r"/plot_(?!02_text)",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_signature": False,
    "reset_modules": ("matplotlib",),
}
