"""Operations are counted right, ways take turns, and tables divide by what they say."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.speed import images, methods, paired, turns
from benchmarks.speed.__main__ import main
from benchmarks.speed.cases import CASES
from ltresample.models import FoldedModule, ResNet32


def test_operations_of_products_and_convolutions_are_counted():
    a, b = torch.rand(3, 4), torch.rand(4, 5)
    layer = torch.nn.Conv2d(2, 3, 3, padding=1, bias=False)
    x = torch.rand(7, 2, 6, 6).requires_grad_()
    with methods.Counter() as counter:
        a @ b
        product = counter.total
        layer(x).sum().backward()
    assert product == 2 * 3 * 4 * 5
    forward = 2 * 7 * 36 * 9 * 2 * 3
    assert counter.total - product == 3 * forward  # gradients of rows and of weights


def test_operations_are_counted_inside_the_engine_too():
    """`torch.utils.flop_counter.FlopCounterMode` cannot: gradients of rows only."""
    f, x = FoldedModule(ResNet32(10).eval()), torch.rand(1, 3, 32, 32).requires_grad_()
    with methods.Counter() as counter:
        torch.autograd.grad(f(x).sum(), x)
    assert 0.1e9 < counter.total < 0.4e9


def test_noise_has_the_tail_of_cifar():
    X, y = images.images(256)
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
    *_, line = methods.table(rows, {"product": 4e9, "convolution": 1e10})
    assert line.split() == ["M2m", "2000.0", "194.0", "0.50", "4.0", "50%", "20%"]


@pytest.mark.slow
def test_the_quick_setting_runs(tmp_path, capsys):
    main(["methods", "--quick", "--record", str(tmp_path / "speed.jsonl")])
    told = capsys.readouterr().out
    record = json.loads((tmp_path / "speed.jsonl").read_text())
    assert {"ERM", "DRS", "M2m", "DM", "OTMix", "OpenSampler", "SAFA"} <= record["rows"].keys()
    for name, row in record["rows"].items():
        assert name in told
        assert row["seconds"] > 0
    made = {name: row["operations"] for name, row in record["rows"].items() if "operations" in row}
    assert made["ERM"] == made["DRS"] == min(made.values())
    assert made["DM"] > made["M2m"] > made["ERM"]


def test_ways_take_turns_and_ratios_are_paired():
    order, clock = [], {"base": 1.0, "twice": 2.0}

    def way(name):
        def run():
            order.append(name)
            clock[name] += 1.0
            return clock[name]

        return run

    seconds = turns.take_turns({name: way(name) for name in clock}, rounds=3)
    assert sorted(order[:2]) == sorted(order[2:4]) == ["base", "twice"], "a warm-up, then rounds"
    np.testing.assert_array_equal(seconds["base"], [3, 4, 5])
    np.testing.assert_array_equal(seconds["twice"], [4, 5, 6])
    low, middle, high = turns.ratios(seconds)["twice"]
    assert middle == 5 / 4
    assert 6 / 5 < low < middle < high < 4 / 3
    assert [line.split()[0] for line in turns.table(seconds)[1:]] == ["base", "twice"]


def test_a_way_may_take_one_number_a_problem():
    seconds = {"a": np.array([[1.0, 2.0]] * 3), "b": np.array([[3.0, 6.0]] * 3)}
    assert turns.ratios(seconds)["b"] == (3.0, 3.0, 3.0)


@pytest.mark.parametrize(
    ("arguments", "ways"),
    [
        (["import"], {"ltresample", "ltresample.training"}),
        (["overhead", "--epochs", "1", "--rows", "100"], {"bare loop", "classifier", "skorch"}),
        (
            ["reading", "--images", "300", "--steps", "2", "--folder", "FOLDER"],
            {"plain memory map", "ours"},
        ),
    ],
)
def test_cases_print_and_record(arguments, ways, tmp_path, capsys):
    file = tmp_path / "speed.jsonl"
    arguments = [str(tmp_path) if word == "FOLDER" else word for word in arguments]
    assert main([*arguments, "--rounds", "1", "--record", str(file)]) == 0
    record = json.loads(file.read_text())
    assert ways <= record["seconds"].keys()
    assert all(np.min(values) >= 0 for values in record["seconds"].values())
    told = capsys.readouterr().out
    assert all(name in told for name in ways)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["m2m", "otmix", "safa", "safa-prediction", "open-set"])
def test_cases_of_steps_run(case, capsys):
    small = {"--batch": "8", "--steps": "1", "--rounds": "1"}
    small |= {"--open-set": "8"} if case == "open-set" else {}
    assert main([case, *(word for pair in small.items() for word in pair)]) == 0
    assert len(capsys.readouterr().out.splitlines()) >= 3


def test_unknown_cases_list_what_exists(capsys):
    assert main(["m2n"]) == 2
    told = capsys.readouterr().out
    assert all(name in told for name in (*CASES, "paired", "methods"))
    assert main(["paired", "--against", "HEAD", "--cases", "m2n"]) == 2
    assert "There is no case 'm2n'. There are: import, overhead," in capsys.readouterr().err
    assert main(["paired", "--against", "no-such-commit", "--cases", "import"]) == 2
    assert "git worktree add" in capsys.readouterr().err


def test_the_interval_of_a_median_holds_it_as_often_as_it_says():
    rng = np.random.default_rng(0)
    for n in (6, 9, 20):
        held = [
            low <= 0 <= high
            for low, high in (
                paired.interval_of_median(rng.standard_cauchy(n)) for _ in range(2000)
            )
        ]
        assert 0.945 <= np.mean(held) < 1


def test_too_few_rounds_decide_nothing():
    low, high = paired.interval_of_median(np.ones(5))
    assert paired.judged(low, high, 1.03) == "not decided"
    assert paired.judged(1.0, 1.02, 1.03) == "holds"
    assert paired.judged(1.04, 1.1, 1.03) == "slower"
    assert paired.judged(0.9, 1.1, 1.03) == "not decided"


def test_the_other_side_runs_the_other_package(tmp_path):
    """The package of the worktree is measured, by the benchmarks of this checkout."""
    package = tmp_path / "ltresample"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('the other package')")
    options = paired.arguments(["--against", "HEAD", "--cases", "import"])
    with pytest.raises(ValueError, match="the other package"):
        paired.measured({"there": tmp_path}, options)


@pytest.mark.slow
def test_two_commits_are_compared(capsys, tmp_path):
    file = tmp_path / "paired.jsonl"
    one = ["--cases", "import", "--ways", "ltresample", "--rounds", "1", "--record", str(file)]
    assert main(["paired", "--against", "HEAD", *one]) == 0
    printed = capsys.readouterr().out
    assert "import: ltresample" in printed
    assert "import: ltresample.training" not in printed
    seconds = json.loads(file.read_text())["seconds"]["import: ltresample"]
    assert {side: len(values) for side, values in seconds.items()} == {"here": 1, "there": 1}
    root = Path(paired.__file__).parents[2]
    trees = subprocess.run(["git", "-C", root, "worktree", "list"], capture_output=True, text=True)
    assert "/tree " not in trees.stdout, "the temporary worktree is gone"
