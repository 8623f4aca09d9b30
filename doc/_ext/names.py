"""The role of a name in single backticks: a link, where it names a class or function of ours.

A capitalised name is looked for in all modules, so that a docstring need not say where a class is;
one that is not found is reported. A lower-case name is mostly that of a parameter: it is a link
where it is the full name of a function, or one of the same module, and a plain name otherwise.
"""

from __future__ import annotations

from sphinx.domains.python import PyXRefRole


class NameRole(PyXRefRole):
    """Look for capitalised names everywhere."""

    def process_link(self, env, refnode, has_explicit_title, title, target):
        """Mark what may be found by its last part; "obj" is a reference to any kind of thing."""
        title, target = super().process_link(env, refnode, has_explicit_title, title, target)
        refnode["reftype"] = "obj"
        if target[:1].isupper() and len(target) > 2:
            refnode["refspecific"] = True
        return title, target


def setup(app):
    """Register the role "name"."""
    app.add_role_to_domain("py", "name", NameRole())
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
