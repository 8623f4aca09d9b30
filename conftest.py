"""Settings for all tests: one thread a process, since several processes share the machine; one seed.

Global generators start alike in each module and each test, so that no run has luck of its own.
"""

import os
import random

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from hypothesis import settings  # noqa: E402

torch.set_num_threads(1)
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")

# scripts that tests start in processes of their own
collect_ignore_glob = ["tests/training/*_distributed.py"]


def _seed() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - what other packages draw from
    torch.manual_seed(0)


def pytest_collectstart(collector):
    """Seed before a module is imported: networks in lists of parameters are made then."""
    if isinstance(collector, pytest.Module):
        _seed()


@pytest.fixture(autouse=True)
def _seeded():
    _seed()
