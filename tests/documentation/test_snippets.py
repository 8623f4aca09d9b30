"""Code in the documentation names what there is: imports resolve, and calls have known keywords."""

import ast
import importlib
import inspect
import re
import textwrap
from pathlib import Path

import pytest

import ltresample

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("doc/*.rst"), *ROOT.glob("doc/user_guide/*.rst"), ROOT / "README.md"])
OURS = {
    name: getattr(importlib.import_module(f"ltresample.{part}"), name)
    for part in ltresample._MODULES
    for name in getattr(importlib.import_module(f"ltresample.{part}"), "__all__", ())
} | {name: getattr(ltresample, name) for name in ltresample.__all__}


def snippets(page: Path) -> list[str]:
    """Return the blocks of Python code on a page."""
    text = page.read_text()
    if page.suffix == ".md":
        return re.findall(r"```python\n(.*?)```", text, flags=re.S)
    blocks = re.findall(r"^( *)\.\. code-block:: python\n((?:\n|\1 +[^\n]*\n)+)", text, flags=re.M)
    return [textwrap.dedent(block) for _, block in blocks]


def faults(code: str) -> list[str]:
    """Return imports that fail and keywords that are not taken."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("ltresample"):
            home = importlib.import_module(node.module)
            found += [f"{node.module}.{a.name}" for a in node.names if not hasattr(home, a.name)]
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", None))
            found += [f"{name}({word}=)" for word in unknown_keywords(name, node)]
    return found


def unknown_keywords(name: str, call: ast.Call) -> list[str]:
    """Return the keywords of a call that a class or function of ours does not take."""
    if name not in OURS or not callable(OURS[name]):
        return []
    parameters = inspect.signature(OURS[name]).parameters
    words = [keyword.arg for keyword in call.keywords if keyword.arg]
    # parts of a skorch net take theirs as ``optimizer__momentum``
    return [word for word in words if word not in parameters and "__" not in word]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_names_what_there_is(page):
    assert [fault for code in snippets(page) for fault in faults(code)] == []


def test_the_test_sees_faults():
    assert faults("from ltresample import M2mSampler\nM2mSampler(steps=3)") == [
        "M2mSampler(steps=)"
    ]
    assert faults("from ltresample.models import NoNet") == ["ltresample.models.NoNet"]


def test_pages_have_code():
    assert sum(len(snippets(page)) for page in PAGES) > 20
