"""The example of the page on decisions prints the numbers that stand beside it."""

import re
from pathlib import Path

import numpy as np

PAGE = Path(__file__).parents[2] / "doc" / "user_guide" / "decisions.rst"
PRINTED = re.compile(r"print\(.*\)  # ([\d., ]+)$", flags=re.M)


def test_the_example_prints_what_the_page_says(capsys):
    block = re.search(r"\.\. code-block:: python\n((?:\n| +[^\n]*\n)+)", PAGE.read_text())[1]
    code = re.sub(r"^    ", "", block, flags=re.M)
    exec(compile(code, str(PAGE), "exec"), {})
    shown = [float(number) for line in PRINTED.findall(code) for number in line.split(",")]
    printed = [float(line) for line in capsys.readouterr().out.split()]
    assert len(printed) == 5
    np.testing.assert_allclose(printed, shown, rtol=0.05)
