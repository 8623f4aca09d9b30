"""Pictures of suites: files are written, rows without curves or seeds are passed over."""

import json

import numpy as np
import pytest

from benchmarks.pictures import main
from benchmarks.run import main as run

SUITE = """
[protocol]
data = { name = "digits", images = true, imbalance_factor = 20 }
validation = 0.1
[protocol.classifier]
make = "DeferredRebalancingClassifier"
module = { use = "SmallCNN" }
module__width = 4
max_epochs = 2
start = 1
[protocol.guides.erm]
[[rows]]
name = "ERM"
[[rows]]
name = "M2m"
classifier.resampler = { make = "M2mSampler", g = { guide = "erm" }, min_confidence = 0.0 }
"""


@pytest.fixture
def suite(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SUITE)
    return str(path)


def places(tmp_path):
    return ["--records", str(tmp_path / "r"), "--pictures", str(tmp_path / "p")]


def test_curves_and_samples(suite, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert main([suite, *places(tmp_path)]) == 0
    assert capsys.readouterr().out == ""  # nothing is recorded: no curves
    tables = ["--records", str(tmp_path / "r"), "--tables", str(tmp_path / "t")]
    assert run([suite, "--only", "ERM", "--jobs", "1", *tables]) == 0
    (record,) = map(json.loads, (tmp_path / "r" / "small.jsonl").read_text().splitlines())
    assert len(record["curve"]["validation_bacc"]) == 2
    capsys.readouterr()
    assert main([suite, "--samples", *places(tmp_path)]) == 0
    said = capsys.readouterr().out
    names = ["small-curves.png", "small-default-M2m.png"]
    assert said == "".join(f"wrote {tmp_path / 'p' / name}\n" for name in names)
    from matplotlib.image import imread

    for name in names:
        picture = imread(tmp_path / "p" / name)
        assert np.ptp(picture) > 0.5


def test_unknown_suite(capsys):
    assert main(["smoek"]) == 2
    assert "There is no suite 'smoek'. Did you mean 'smoke'?" in capsys.readouterr().err
