"""A type checker sees wrong arguments behind the lazy import, and nothing in right ones."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RIGHT = """
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from ltresample import (
    DeferredRebalancingClassifier,
    M2mSampler,
    OTMixSampler,
    PartialFill,
    ResampledClassifier,
    make_long_tailed,
)

X, y = np.zeros((9, 2)), np.zeros(9)
X, y = make_long_tailed(X, y, imbalance_factor=10, random_state=0)
sampler = M2mSampler(n_steps=5, min_confidence=0.7, sampling_strategy=PartialFill(0.1))
X_new, y_new = sampler.fit_resample(X, y)
M2mSampler(step_size="reach", n_steps="auto", device="cpu", random_state=np.random.RandomState(0))
OTMixSampler(image_shape=(8, 8), mixed_labels="pair")
ResampledClassifier(RandomForestClassifier(), sampler, random_state=0).fit(X, y)
DeferredRebalancingClassifier(resampler=sampler, start=0.8, max_epochs=5, lr_decay={0.8: 0.1})
"""
WRONG = """
from ltresample import DeferredRebalancingClassifier, M2mSampler, OTMixSampler, PartialFill
from ltresample import ResampledClassifier, make_long_tailed
M2mSampler(n_steps="many")
M2mSampler(min_confidence=[0.5])
OTMixSampler(image_shape="8 x 8")
PartialFill("half")
ResampledClassifier(random_state="zero")
DeferredRebalancingClassifier(max_epochs="ten")
make_long_tailed([[0.0]], [0], imbalance_factor="large")
M2mSampler(steps=5)
from ltresample import M2MSampler
"""


def faults(code: str, folder: Path) -> set[int]:
    """Return the lines of a script in which mypy finds a fault."""
    script = folder / "script.py"
    script.write_text(code)
    # of the package only what the script uses is followed; faults inside it are not the question
    command = [sys.executable, "-m", "mypy", "--ignore-missing-imports", "--follow-imports=silent"]
    command += [f"--cache-dir={folder / 'cache'}", str(script)]
    done = subprocess.run(
        command, cwd=folder, env={"MYPYPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return {int(line) for line in re.findall(r"^script\.py:(\d+): error", done.stdout, flags=re.M)}


@pytest.mark.slow
def test_wrong_arguments_are_found(tmp_path):
    pytest.importorskip("mypy")
    assert faults(RIGHT, tmp_path) == set()
    wrong = WRONG.splitlines()
    expected = {number for number, line in enumerate(wrong, 1) if number > 3 and line}
    assert faults(WRONG, tmp_path) == expected
