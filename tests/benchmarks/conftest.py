import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]

SUITE = """
title = "Stand-in"
references = ["rough"]

[protocol]
data = { name = "standin_method:blobs" }
seeds = 3

[protocol.classifier]
make = "standin_method:NoisyMeans"
pause = 0.2

[[rows]]
name = "rough"
note = "starts with much noise"

[[rows]]
name = "smooth"
classifier.noise = 0.1
"""


@pytest.fixture(autouse=True)
def standin_importable(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))


@pytest.fixture
def suite_file(tmp_path):
    path = tmp_path / "standin.toml"
    path.write_text(SUITE)
    return path


@pytest.fixture
def command(tmp_path):
    """Return a function that makes the command line and environment of a run in tmp_path."""

    def made(*arguments):
        places = ["--records", str(tmp_path / "records"), "--tables", str(tmp_path / "tables")]
        line = [sys.executable, "-m", "benchmarks.run", *map(str, arguments), *places]
        path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
        return {"args": line, "cwd": ROOT, "env": {**os.environ, "PYTHONPATH": path}}

    return made


@pytest.fixture
def run(command):
    """Return a function that runs the command to its end."""

    def ran(*arguments):
        kinds = {"capture_output": True, "text": True, "timeout": 120, "check": False}
        return subprocess.run(**command(*arguments), **kinds)

    return ran
