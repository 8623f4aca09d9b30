"""Scripts of *Getting started* print what stands beside them."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = sorted((Path(__file__).parents[2] / "examples" / "getting_started").glob("*.py"))
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def words(text: str) -> list[str]:
    """Return a text without its numbers."""
    return NUMBER.sub("#", text).split()


def numbers(text: str) -> np.ndarray:
    """Return the numbers of a text."""
    return np.array([float(number) for number in NUMBER.findall(text)])


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_output_is_what_the_page_shows(script, capsys):
    shown = script.with_suffix(".txt").read_text()
    runpy.run_path(str(script), run_name="__main__")
    printed = capsys.readouterr().out
    assert words(printed) == words(shown)
    # scores differ in the last digits between processors, and counts of texts between versions
    np.testing.assert_allclose(numbers(printed), numbers(shown), rtol=0.1, atol=0.04)


def test_every_script_has_its_output():
    assert len(SCRIPTS) == 4
    assert all(script.with_suffix(".txt").exists() for script in SCRIPTS)
