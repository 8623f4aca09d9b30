"""Run the tests as on a processor without wide vector instructions.

``python tests/older_processor.py -q -n 2``: the arguments are pytest's. PyTorch, NumPy and the C
library are each told to leave the wide instructions alone; what the tests expect must not change.
"""

import os
import subprocess
import sys


def wide_features() -> list[str]:
    """Return NumPy's names of the instruction sets that it would choose at run time here."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    return [name for name in __cpu_dispatch__ if __cpu_features__.get(name)]


def environment() -> dict[str, str]:
    """Return this process's environment with the wide instructions switched off."""
    off = "-AVX2,-AVX512F,-AVX2_Usable,-AVX512F_Usable,-FMA,-FMA_Usable"
    return {
        **os.environ,
        "ATEN_CPU_CAPABILITY": "default",
        "NPY_DISABLE_CPU_FEATURES": " ".join(wide_features()),
        "GLIBC_TUNABLES": f"glibc.cpu.hwcaps={off}",
    }


if __name__ == "__main__":
    command = [sys.executable, "-m", "pytest", *sys.argv[1:]]
    sys.exit(subprocess.run(command, env=environment(), check=False).returncode)
