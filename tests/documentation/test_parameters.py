"""What is said of parameters stands where they are."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import ltresample
from ltresample import over_sampling, training

ROOT = Path(ltresample.__file__).parent
FACES = [
    over_sampling.M2mSampler,
    over_sampling.DistributionMatchingOversampler,
    over_sampling.OTMixSampler,
    over_sampling.OpenSampler,
    over_sampling.SAFASampler,
    over_sampling.ResampledClassifier,
    over_sampling.AutoResampledClassifier,
    training.DeferredRebalancingClassifier,
]


def test_no_parameter_is_described_somewhere_else_only():
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef | ast.FunctionDef)
        for name in re.findall(r"(.*)\n +As in [`\"]", ast.get_docstring(node) or "")
    ]
    assert found == []


@pytest.mark.parametrize("Face", FACES, ids=lambda face: face.__name__)
def test_what_most_users_set_comes_first_and_everything_is_there(Face):
    docscrape = pytest.importorskip("numpydoc.docscrape")
    doc = docscrape.FunctionDoc(Face)
    first, other = ([p.name for p in doc[part]] for part in ("Parameters", "Other Parameters"))
    described = {name for text in [*first, *other] for name in text.split(", ")}
    given = inspect.signature(Face).parameters.values()
    stars = {inspect.Parameter.VAR_KEYWORD: "**"}
    assert described == {stars.get(p.kind, "") + p.name for p in given}
    assert len(first) <= 18
