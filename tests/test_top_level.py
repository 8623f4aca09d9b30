"""Names at the top: where they come from, what a wrong one says, and what importing costs."""

import importlib
import re
import subprocess
import sys

import pytest

import ltresample


@pytest.mark.parametrize("name", ltresample.__all__)
def test_every_name_can_be_imported(name):
    assert getattr(ltresample, name) is not None


@pytest.mark.parametrize("name", ltresample._MODULES)
def test_modules_are_attributes_and_say_what_they_hold(name):
    assert getattr(ltresample, name).__all__


def test_names_that_readme_uses_are_there():
    readme = (importlib.resources.files("ltresample").parent / "README.md").read_text("utf-8")
    for line in re.findall(r"^from (ltresample[\w.]*) import (.+)$", readme, re.MULTILINE):
        module = importlib.import_module(line[0])
        assert all(hasattr(module, name.strip()) for name in line[1].split(","))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("M2mSamplr", "has no attribute 'M2mSamplr'. Did you mean M2mSampler (in ltresample)"),
        ("otmixsampler", "Did you mean OTMixSampler (in ltresample)"),
        ("LDAMLos", "Did you mean LDAMLoss (in ltresample.losses)"),
        ("LDAMLoss", "It stands in ltresample.losses: from ltresample.losses import LDAMLoss"),
        ("weight_keyword", "from ltresample.prior_correction import weight_keyword"),
        ("Zzzzzz", "It has DeferredRebalancingClassifier, DistributionMatchingOversampler"),
    ],
)
def test_a_wrong_name_is_told_where_to_look(name, said):
    with pytest.raises(AttributeError, match=re.escape(said)):
        getattr(ltresample, name)
    assert not hasattr(ltresample, name)
    with pytest.raises(ImportError, match=re.escape(said)):
        exec(f"from ltresample import {name}")


def test_private_names_and_files_are_python_s_business():
    with pytest.raises(AttributeError, match="has no attribute '_nothing'$"):
        ltresample._nothing  # noqa: B018
    from ltresample import _random

    assert _random.__name__ == "ltresample._random"


def test_importing_is_light():
    code = "import sys, ltresample; dir(ltresample); print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_versions(capsys):
    ltresample.show_versions()
    said = capsys.readouterr().out
    assert re.search(r"python: 3\.", said)
    for package in ("numpy", "scikit-learn", "imbalanced-learn", "torch", "POT"):
        assert re.search(rf"{package}: \d", said), package
    assert "accelerator: " in said
