"""Settings for all tests: one thread a process, since several processes share the machine."""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import torch  # noqa: E402
from hypothesis import settings  # noqa: E402

torch.set_num_threads(1)
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")

# scripts that tests start in processes of their own
collect_ignore_glob = ["tests/training/*_distributed.py"]
