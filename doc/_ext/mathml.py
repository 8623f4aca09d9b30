"""Mathematics as MathML, written when the site is built.

Browsers draw MathML themselves, so that a page needs neither a script nor a network.
"""

from __future__ import annotations

import re

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

# what latex2mathml does not know, and what stands for it
REPLACED = {
    r"\\tfrac\s*(\d)([a-zA-Z])": r"\\frac{\1}{\2}",
    r"\\arg": r"\\operatorname{arg}",
    r"\\mathrm{": r"\\operatorname{",
}


def to_mathml(latex: str, display: str) -> str:
    """Return the MathML of a formula; `display` is "inline" or "block"."""
    for pattern, replacement in REPLACED.items():
        latex = re.sub(pattern, replacement, latex)
    markup = convert(" ".join(latex.split()), display=display)
    if "\\" in markup:
        raise ValueError(f"A command of {latex!r} is not known: {markup}")
    return markup


def visit_inline(self, node):
    """Write a formula within a line."""
    self.body.append(f'<span class="math">{to_mathml(node.astext(), "inline")}</span>')
    raise SkipNode


def visit_block(self, node):
    """Write a formula on a line of its own."""
    self.body.append(f'<div class="math">{to_mathml(node.astext(), "block")}</div>')
    raise SkipNode


def setup(app):
    """Register the renderer under the name "mathml"."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
