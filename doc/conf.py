"""Sphinx settings."""

import inspect
import re
import sys
from pathlib import Path

from numpydoc.docscrape import ClassDoc

import ltresample

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "ltresample"
author = "The ltresample developers"
copyright = "2026, The ltresample developers"  # noqa: A001
release = version = ltresample.__version__

extensions = [
    "mathml",
    "myst_parser",
    "names",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosectionlabel",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_ext", "auto_examples/**/*.ipynb", "sg_execution_times.rst"]
suppress_warnings = ["config.cache", "autosectionlabel.*"]
autosectionlabel_prefix_document = True

# -- references: a name in single backticks is a link where it names something of ours
default_role = "py:name"
nitpicky = True
nitpick_ignore_regex = [
    # objects of other packages: their inventories are on the network, and a build needs none
    (r"py:.*", r"(numpy|np|scipy|sklearn|imblearn|skorch|torch|torchvision|pandas|joblib)\..*"),
    (r"py:.*", r"(accelerate|matplotlib|collections|typing|numbers|pathlib)\..*"),
    # parameters and attributes in single backticks have no page of their own
    (r"py:obj", r"[a-z_0-9][^A-Z]*|[A-Z](_\w+)?"),
    # the category of the warnings; it has no members to be documented
    (r"py:obj", r"LongTailWarning"),
    # what classes of skorch say in docstrings that ours inherit
    (r"py:(class|mod)", r"Checkpoint|pickle"),
]

# -- API
autosummary_generate = True
autodoc_typehints = "none"  # types stand in the docstrings, in short
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
maximum_signature_line_length = 88

# what inherited estimators bring along, and nobody looks for on a page
UNSHOWN = re.compile(r"set_\w+_request|get_metadata_routing|get_feature_names_out|set_callbacks")


def skip_member(app, what, name, obj, skip, options):
    """Leave out members that say nothing about the class."""
    return True if UNSHOWN.fullmatch(name) else None


def shorten_signature(app, what, name, obj, options, signature, return_annotation):
    """Leave the papers' ablations, numpydoc's *Other Parameters*, out of a long signature."""
    if what != "class" or signature is None or "Other Parameters" not in (obj.__doc__ or ""):
        return None
    shown = {word for entry in ClassDoc(obj)["Parameters"] for word in entry.name.split(", ")}
    full = inspect.signature(obj)
    kept = [
        parameter.replace(annotation=full.empty)
        for name, parameter in full.parameters.items()
        if name in shown
    ]
    short = str(full.replace(parameters=kept, return_annotation=full.empty))
    return f"{short[:-1]}, ...)", return_annotation


def setup(app):
    """Connect what is above."""
    app.connect("autodoc-skip-member", skip_member)
    app.connect("autodoc-process-signature", shorten_signature)


# -- mathematics without a script and without a network
html_math_renderer = "mathml"

# -- looks
html_theme = "pydata_sphinx_theme"
html_title = f"ltresample {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/mark.svg"
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {"index": [], "getting_started": [], "faq": [], "glossary": [], "changelog": []}
html_theme_options = {
    "logo": {
        "text": "ltresample",
        "image_light": "_static/mark.svg",
        "image_dark": "_static/mark.svg",
    },
    "header_links_before_dropdown": 6,
    "navigation_with_keys": False,
    "show_nav_level": 1,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}

# -- gallery
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_signature": False,
    "reset_modules": ("matplotlib",),
    "backreferences_dir": "api/backreferences",
    "doc_module": ("ltresample",),
    "reference_url": {"ltresample": None},
    "show_memory": False,
    "write_computation_times": False,
    "min_reported_time": 1e6,
}
