"""The normalisation layer."""

import pytest
import torch
from torch import nn

from ltresample.models import FoldedModule, Normalize


def test_standardises_each_channel():
    x = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.25, 2.0]
    out = Normalize(mean, std)(x)
    for c in range(3):
        torch.testing.assert_close(out[:, c], (x[:, c] - mean[c]) / std[c])


def test_gradient_passes_inside_and_on_the_border_only():
    x = torch.tensor([-0.5, 0.0, 0.5, 1.0, 1.5]).view(1, 1, 1, 5).requires_grad_()
    out = Normalize([0.0], [0.25])(x)
    assert out.flatten().tolist() == [0, 0, 2, 4, 4]
    (grad,) = torch.autograd.grad(out.sum(), x)
    assert grad.flatten().tolist() == [0, 4, 4, 4, 0]


def test_moves_with_its_network():
    layer = torch.nn.Sequential(Normalize([0.5], [0.5])).double()
    assert layer(torch.zeros(1, 1, 1, 1, dtype=torch.float64)).dtype == torch.float64
    assert not list(layer.parameters())


@pytest.mark.parametrize(("mean", "std"), [([0.5], [0.5, 0.5]), ([0.5], [0.0]), ([0.5], [-1.0])])
def test_rejects_what_is_no_normalisation(mean, std):
    with pytest.raises(
        ValueError, match="one entry per channel, and std must be positive. Got mean="
    ):
        Normalize(mean, std)


def test_bytes_are_refused_and_tracing_passes_over_the_check():
    layer = Normalize([0.5], [0.5])
    with pytest.raises(
        TypeError, match=r"floats in \[0, 1\]. Got torch.uint8. Divide bytes by 255"
    ):
        layer(torch.full((1, 1, 2, 2), 77, dtype=torch.uint8))
    network = nn.Sequential(layer, nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    assert FoldedModule(network).folded == [("1", "2")]
