"""The arrows of the house, as data: a file imports from lower layers only, never sideways."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1] / "ltresample"

LAYER = {
    "__init__": 6,
    "class_counts": 0,
    "_random": 0,
    "_torch": 0,
    "_captured": 0,
    "_progress": 0,
    "exceptions": 0,
    "_compat": 0,
    "_estimators": 0,
    "_versions": 0,
    "models": 1,
    "distances": 1,
    "mixing": 1,
    "losses": 1,
    "metrics": 1,
    "datasets": 1,
    "embeddings": 2,
    "pairing": 2,
    "rows": 2,
    "guides": 3,
    "synthesis": 4,
    "over_sampling": 5,
    "training": 5,
    "plotting": 5,
    "decisions": 3,
    "prior_correction": 4,
    "comparison": 6,
}
# layer 0 has an order of its own: who may use whom
WITHIN_LAYER_0 = {
    "_compat": set(),
    "_estimators": {"exceptions"},
    "class_counts": {"exceptions"},
    "_torch": {"_random"},
}
FORBIDDEN_IN_SYNTHESIS = {"sklearn", "imblearn", "skorch", "pandas", "polars", "ot"}

FILES = sorted(ROOT.rglob("*.py"))
NAMES = [str(path.relative_to(ROOT)) for path in FILES]
BELOW = [path for path in FILES if path != ROOT / "__init__.py"]


def room(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", BELOW, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows_go_down(path):
    own = room(path)
    for name in imported(path):
        parts = name.split(".")
        if parts[0] != "ltresample" or len(parts) < 2 or parts[1] == own:
            continue
        other = parts[1]
        if other not in LAYER:  # a name that ltresample itself offers
            continue
        allowed = LAYER[other] < LAYER[own] or other in WITHIN_LAYER_0.get(own, set())
        assert allowed, f"{own} (layer {LAYER[own]}) imports {other} (layer {LAYER[other]})"


def test_the_package_itself_imports_nothing_of_its_own():
    """What it offers is loaded on first use; only type checkers see imports."""
    body = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8")).body
    imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [alias.name for node in imports for alias in node.names]
    names += [node.module for node in imports if isinstance(node, ast.ImportFrom)]
    assert not [name for name in names if name.startswith("ltresample")]


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_each_thing_has_one_home(path):
    own, text = room(path), path.read_text(encoding="utf-8")
    roots = {name.split(".")[0] for name in imported(path)}
    if own == "synthesis":
        assert not roots & FORBIDDEN_IN_SYNTHESIS
    if own != "distances":
        assert "ot" not in roots
    if own not in ("_torch", "_captured"):
        said = re.findall(r"""["']cuda["':]|\.cuda\b""", text)
        assert not said, f"only _torch.py and _captured.py say cuda: {said}"
    if own != "_random":
        made = re.findall(
            r"default_rng\(|torch\.Generator\(|RandomState\(|manual_seed\(", code(text)
        )
        assert not made, f"only _random.py makes generators: {made}"
    if path.name != "_fetch.py":
        assert not roots & {"urllib", "requests", "http", "pooch"}
    if own not in ("plotting", "datasets"):
        assert "matplotlib" not in roots


def code(text):
    """Drop strings: examples in docstrings may make generators."""
    return re.sub(r'(?s)""".*?"""', "", text)


def test_every_room_is_known():
    assert {room(path) for path in FILES} <= set(LAYER)
