import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from ltresample._torch import LateNumber, as_tensor, evaluating, pick_device, sent, unwrapped


def test_modes_and_gradients_come_back_even_after_an_error():
    net = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5), nn.BatchNorm1d(2)).train()
    net[1].eval()
    net[0].bias.requires_grad_(False)
    with pytest.raises(KeyError), evaluating(net, None):
        assert not any(part.training for part in net.modules())
        assert not any(p.requires_grad for p in net.parameters())
        x = torch.ones(3, 2, requires_grad=True)
        (gradient,) = torch.autograd.grad(net(x).sum(), x)
        assert gradient.shape == x.shape
        raise KeyError
    assert [part.training for part in net.modules()] == [True, True, False, True]
    assert [p.requires_grad for p in net.parameters()] == [True, False, True, True]
    assert all(p.grad is None for p in net.parameters())


def test_read_only_and_reversed_arrays_are_copied():
    x = np.arange(6.0).reshape(3, 2)
    x.flags.writeable = False
    tensor = as_tensor(x)
    tensor += 1
    assert x[0, 0] == 0
    assert as_tensor(np.arange(3.0)[::-1]).tolist() == [2, 1, 0]


def test_wrappers_come_off():
    net = nn.Linear(2, 2)
    assert unwrapped(nn.DataParallel(net)) is net
    assert unwrapped(torch.compile(net)) is net


def test_devices():
    assert pick_device(None) == torch.device("cpu")
    assert pick_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(ValueError, match="device='nowhere' cannot be used here"):
        pick_device("nowhere")


DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.mark.parametrize("device", DEVICES)
def test_a_late_number_is_that_of_its_own_moment(device):
    x = torch.ones((), device=device)
    told = []
    for _ in range(3):
        x.mul_(2)
        told.append(LateNumber(x))
    x.fill_(0)
    assert [number.read() for number in told] == [2.0, 4.0, 8.0]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("side", [2, 64])  # below and above what is copied without waiting
def test_what_is_sent_arrives_though_its_source_is_used_again(device, side, layout):
    there = []
    for i in range(4):
        x = torch.full((3, 4, side, side), float(i)).contiguous(memory_format=layout)
        there.append(sent(x, torch.device(device)))
        del x
    assert all(bool((part == i).all()) for i, part in enumerate(there))
    assert all(part.device.type == device for part in there)
    assert all(part.is_contiguous(memory_format=layout) for part in there)


def test_importing_the_package_is_fast_and_lazy():
    code = (
        "import sys, ltresample; assert 'torch' not in sys.modules and 'sklearn' not in sys.modules;"
        "from ltresample import *; dir(ltresample);"
        "[getattr(ltresample, name) for name in ltresample.__all__];"
        "assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        import ltresample

        ltresample.nothing  # noqa: B018
