"""The emulated accelerator refuses, rounds and counts as a real one does."""

import copy

import pytest
import torch
from emulated_device import DEVICE, emulated_device, on_cpu
from torch import nn


def test_numbers_are_those_of_the_cpu():
    x = torch.arange(12.0).reshape(3, 4)
    with emulated_device() as log:
        there = log.put(x)
        view = there[1]
        view += 10
        there[:, 0] = 7
        made = torch.cat([there.T @ there, torch.ones(1, 4, device=there.device)])
        assert made.device == there.device == DEVICE
        moved = x.to(there.device)
        assert log.n_waits == 0
    x[1] += 10
    x[:, 0] = 7
    assert torch.equal(on_cpu(there), x)
    assert torch.equal(on_cpu(made), torch.cat([x.T @ x, torch.ones(1, 4)]))
    assert moved.device == DEVICE


def test_gradients_and_steps_of_an_optimizer_are_those_of_the_cpu():
    x, y = torch.randn(8, 3), torch.arange(8) % 2
    here = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2))
    there = copy.deepcopy(here)
    with emulated_device() as log:
        log.put_module(there)
        for network, put in ((here, lambda t: t), (there, log.put)):
            optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
            for _ in range(3):
                optimizer.zero_grad()
                nn.functional.cross_entropy(network(put(x)), put(y)).backward()
                optimizer.step()
        assert log.n_waits == 0
        moved = copy.deepcopy(here).to(DEVICE)
    for one, *others in zip(here.parameters(), there.parameters(), moved.parameters(), strict=True):
        for other in others:
            assert other.device == DEVICE
            assert torch.equal(on_cpu(other), one.detach())


@pytest.mark.parametrize(
    ("act", "n_waits"),
    [
        (lambda x: x + 1, 0),
        (lambda x: x.sum().item(), 1),
        (lambda x: float(x[0]), 1),
        (lambda x: bool(x.any()), 1),
        (lambda x: x.tolist(), 1),
        (lambda x: x.cpu(), 1),
        (lambda x: x.to("cpu", torch.float64), 1),
        (lambda x: torch.empty(4).copy_(x), 1),
        (lambda x: x.nonzero(), 1),
        (lambda x: x[x > 1], 1),
        (lambda x: x.masked_select(x > 1), 1),
        (lambda x: x.unique(), 1),
        (lambda x: x.long().bincount(), 1),
        (lambda x: x.repeat_interleave(x.long()), 1),
        (lambda x: torch.equal(x, x.clone()), 1),
        (lambda x: x.masked_fill(x > 1, 0), 0),
        (lambda x: x.index_put_((x > 1,), torch.tensor(0.0)), 0),
        (lambda x: x.index_put_((x > 1,), x[:2].clone()), 1),
        (lambda x: torch.where(x > 1, x, 0), 0),
        (lambda x: x[x.argsort()], 0),
        (lambda x: x[torch.tensor([0, 1])], 0),
        (lambda x: x + torch.tensor(2.0), 0),
    ],
)
def test_waits_are_counted(act, n_waits):
    with emulated_device() as log:
        x = log.put(torch.arange(4.0))
        act(x)
        assert log.n_waits == n_waits, log.report()


@pytest.mark.parametrize(
    "act",
    [
        lambda x: x + torch.ones(4),
        lambda x: torch.cat([x, torch.ones(4)]),
        lambda x: torch.ones(4)[x.long()],
        lambda x: x.index_put_((torch.tensor([0, 1]),), torch.ones(2)),
        lambda x: torch.where(torch.ones(4) > 0, x, x),
        lambda x: torch.rand(4, generator=torch.Generator().manual_seed(0), device=x.device),
        lambda x: x.normal_(generator=torch.Generator().manual_seed(0)),
    ],
)
def test_what_lives_elsewhere_is_refused(act):
    with emulated_device() as log:
        x = log.put(torch.arange(4.0))
        with pytest.raises(RuntimeError):
            act(x)
        with pytest.raises(TypeError, match="numpy"):
            x.numpy()


def test_waits_are_told_by_the_line_of_the_package():
    from ltresample.pairing import checked_affinity

    with emulated_device() as log:
        checked_affinity(log.put(torch.eye(2)), 2)
        assert log.n_waits == 1
        assert "pairing/_base.py:" in log.report()


@pytest.mark.parametrize("precision", ["highest", "high"])
def test_products_are_rounded_where_pytorch_is_set_so(precision):
    x = torch.tensor([[1 + 2**-12]])
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        with emulated_device() as log:
            there = log.put(x)
            product = float(on_cpu(there @ there))
            assert float(on_cpu(there.double() @ there.double())) == (1 + 2**-12) ** 2
    finally:
        torch.set_float32_matmul_precision(before)
    assert product == (1.0 if precision == "high" else float(x @ x))


def test_what_has_no_deterministic_kernel_is_refused():
    torch.use_deterministic_algorithms(True)
    try:
        with emulated_device() as log:
            x = log.put(torch.arange(4.0))
            x.long().cumsum(0)
            with pytest.raises(RuntimeError, match="cumsum does not have a deterministic"):
                x.cumsum(0)
    finally:
        torch.use_deterministic_algorithms(False)
