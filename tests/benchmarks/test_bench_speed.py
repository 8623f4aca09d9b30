"""Operations are counted right, and the table divides by what it says."""

import json

import pytest
import torch

from benchmarks import speed
from ltresample.models import FoldedModule, ResNet32


def test_operations_of_products_and_convolutions_are_counted():
    a, b = torch.rand(3, 4), torch.rand(4, 5)
    layer = torch.nn.Conv2d(2, 3, 3, padding=1, bias=False)
    x = torch.rand(7, 2, 6, 6).requires_grad_()
    with speed.Counter() as counter:
        a @ b
        product = counter.total
        layer(x).sum().backward()
    assert product == 2 * 3 * 4 * 5
    forward = 2 * 7 * 36 * 9 * 2 * 3
    assert counter.total - product == 3 * forward  # gradients of rows and of weights


def test_operations_are_counted_inside_the_engine_too():
    """`torch.utils.flop_counter.FlopCounterMode` cannot: gradients of rows only."""
    f, x = FoldedModule(ResNet32(10).eval()), torch.rand(1, 3, 32, 32).requires_grad_()
    with speed.Counter() as counter:
        torch.autograd.grad(f(x).sum(), x)
    assert 0.1e9 < counter.total < 0.4e9


def test_noise_has_the_tail_of_cifar():
    X, y = speed.images(256)
    assert X.shape == (256, 3, 32, 32)
    counts = torch.bincount(torch.from_numpy(y))
    assert counts.sum() == 256
    assert counts[0] > 20 * counts[-1]
    assert counts.min() == 2


def test_the_table_divides_by_the_plain_loop_and_by_the_limit():
    rows = {
        "plain loop, ERM": {"seconds": 0.5, "epoch": 48.5},
        "plain loop, M2m": {"seconds": 4.0, "epoch": 388.0},
        "M2m": {"seconds": 2.0, "epoch": 194.0, "operations": 4e9},
    }
    *_, line = speed.table(rows, {"product": 4e9, "convolution": 1e10})
    assert line.split() == ["M2m", "2000.0", "194.0", "0.50", "4.0", "50%", "20%"]


@pytest.mark.slow
def test_the_quick_setting_runs(tmp_path, capsys):
    speed.main(["--quick", "--record", str(tmp_path / "speed.jsonl")])
    told = capsys.readouterr().out
    record = json.loads((tmp_path / "speed.jsonl").read_text())
    assert {"ERM", "DRS", "M2m", "DM", "OTMix", "OpenSampler", "SAFA"} <= record["rows"].keys()
    for name, row in record["rows"].items():
        assert name in told
        assert row["seconds"] > 0
    made = {name: row["operations"] for name, row in record["rows"].items() if "operations" in row}
    assert made["ERM"] == made["DRS"] == min(made.values())
    assert made["DM"] > made["M2m"] > made["ERM"]
