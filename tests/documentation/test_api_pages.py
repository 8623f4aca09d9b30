"""Every public name has a place in the API."""

import importlib
import re
from pathlib import Path

import pytest

import ltresample

API = Path(__file__).parents[2] / "doc" / "api"
LISTED = {
    name
    for page in API.glob("*.rst")
    for name in re.findall(r"^   (\w+)$", page.read_text(), flags=re.M)
}
WITH_FUNCTIONS = {"class_counts", "datasets", "decisions", "losses", "metrics", "plotting"}
ELSEWHERE = {"LongTailWarning", "balanced_accuracy_score"}  # the FAQ; scikit-learn


def needs_a_place(thing: object, part: str) -> bool:
    """Tell whether a public name is for users: classes but records, functions where users call them."""
    if isinstance(thing, type):
        return not issubclass(thing, tuple)
    return callable(thing) and part in WITH_FUNCTIONS


@pytest.mark.parametrize("part", ltresample._MODULES)
def test_public_names_are_listed(part):
    module = importlib.import_module(f"ltresample.{part}")
    public = {name for name in module.__all__ if needs_a_place(getattr(module, name), part)}
    missing = public - LISTED - ELSEWHERE
    assert missing == set(), f"list them in doc/api/*.rst: {sorted(missing)}"
