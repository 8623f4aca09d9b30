"""Several processes train what one would; what cannot be divided is refused."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from skorch.hf import AccelerateMixin

from ltresample._random import Seed
from ltresample.losses import CrossEntropy
from ltresample.training import (
    SAFA,
    DeferredRebalancingClassifier,
    DistributedRebalancingClassifier,
)

METHODS = ["DRS", "DRW", "LADE", "IB", "M2m", "DM", "own", "CutMix", "OTMix"]


@pytest.mark.distributed
def test_two_processes_train_what_one_would():
    pytest.importorskip("accelerate")
    script = Path(__file__).with_name("rebalancing_distributed.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", str(script)]
    done = subprocess.run([*command, *METHODS], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    for method in METHODS:
        assert f"{method} equal" in done.stdout
    assert "same networks" in done.stdout


class Alone:
    """An accelerator that knows `n` processes and is process `rank`."""

    device = torch.device("cpu")
    device_placement = True

    def __init__(self, n=1, rank=0):
        self.num_processes, self.process_index = n, rank
        self.is_main_process = rank == 0


@pytest.mark.parametrize("n", [0, 1, 2, 7, 8])
def test_slices_cover_a_batch(n):
    net = DistributedRebalancingClassifier(accelerator=Alone(3))
    rows = list(range(n))
    parts = [rows[part] for part in net._slices(n)]
    assert sum(parts, []) == rows
    sizes = [len(part) for part in parts]
    assert len(sizes) == 3
    assert max(sizes) - min(sizes) <= 1


def test_gradients_are_those_of_the_whole_batch(monkeypatch):
    """What each process adds to the mean over processes sums up to the gradient of one."""
    x = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))
    y, weight = torch.tensor([0, 1, 2, 0, 0, 1, 2]), torch.randn(4, 3).requires_grad_()
    whole = torch.autograd.grad(CrossEntropy()(x @ weight, y), weight)[0]
    total = torch.zeros_like(whole)
    for rank in range(3):
        net = DistributedRebalancingClassifier(accelerator=Alone(3, rank))
        slices = net._slices(7)

        def gather(parts, own, slices=slices):
            for part, rows in zip(parts, slices, strict=True):
                part[: rows.stop - rows.start] = (x[rows] @ weight).detach()

        monkeypatch.setattr(torch.distributed, "all_gather", gather)
        net.criterion_, net._in_step = CrossEntropy(), True
        logits = net._gather(x[slices[rank]] @ weight, slices)
        loss = net.get_loss(logits, y, training=True)
        torch.testing.assert_close(loss, CrossEntropy()(x @ weight, y))
        total += torch.autograd.grad(loss, weight)[0] / 3
    torch.testing.assert_close(total, whole)


def test_random_layers_draw_their_own_in_each_process():
    seeds = []
    for rank in range(3):
        net = DistributedRebalancingClassifier(accelerator=Alone(3, rank))
        net.seed_, net._run = Seed(0), SimpleNamespace(epoch=2)
        seeds.append(net._forward_seed("train"))
    assert len(set(seeds)) == 3
    assert seeds[0] == Seed(0).child("forward", "train", 2)


@pytest.mark.parametrize("verbose", [0, 2])
def test_the_table_of_epochs_is_printed_where_it_is_asked_for(verbose, capsys):
    accelerate = pytest.importorskip("accelerate")
    settings = {"max_epochs": 1, "verbose": verbose, "random_state": 0}
    net = DistributedRebalancingClassifier(accelerator=accelerate.Accelerator(cpu=True), **settings)
    net.fit(np.eye(4, dtype="float32"), [0, 1, 0, 1])
    assert ("train_loss" in capsys.readouterr().out) == (verbose == 2)


def test_one_process_is_the_classifier():
    accelerate = pytest.importorskip("accelerate")
    rng = np.random.default_rng(0)
    X, y = rng.random((30, 4), dtype="float32"), np.repeat([0, 1], [20, 10])
    settings = {"max_epochs": 2, "random_state": 0, "train_split": 0.2}
    one = DeferredRebalancingClassifier(**settings).fit(X, y)
    accelerator = accelerate.Accelerator(cpu=True)
    net = DistributedRebalancingClassifier(**settings, accelerator=accelerator).fit(X, y)
    np.testing.assert_array_equal(net.predict_proba(X), one.predict_proba(X))
    assert net.history[:, "valid_loss"] == one.history[:, "valid_loss"]
    assert {"accelerator", "unwrap_after_train", "lr"} <= net.get_params().keys()


def test_the_mixin_alone_gives_loaders_to_accelerate():
    accelerate = pytest.importorskip("accelerate")

    class Net(AccelerateMixin, DeferredRebalancingClassifier):
        pass

    rng = np.random.default_rng(0)
    X, y = rng.random((30, 4), dtype="float32"), np.repeat([0, 1], [20, 10])
    settings = {"max_epochs": 2, "random_state": 0, "rebalance": "resample"}
    one = DeferredRebalancingClassifier(**settings).fit(X, y)
    net = Net(**settings, accelerator=accelerate.Accelerator(cpu=True)).fit(X, y)
    np.testing.assert_allclose(net.predict_proba(X), one.predict_proba(X), rtol=1e-5)


def test_augmentation_inside_the_network_is_refused():
    net = DistributedRebalancingClassifier(resampler=SAFA(), accelerator=Alone(2))
    message = "Got resampler=SAFA(). Use skorch.hf.AccelerateMixin with DeferredRebalancingC"
    with pytest.raises(ValueError, match=re.escape(message)):
        net.fit(np.zeros((4, 1, 8, 8), "float32"), [0, 0, 1, 1])
