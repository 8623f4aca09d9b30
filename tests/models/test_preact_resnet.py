"""The pre-activation network against its description."""

import pytest
import torch

from ltresample.models import Normalize, PreActResNet18


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_number_of_weights():
    network = PreActResNet18(10, generator=seeded())
    expected, n_in = 9 * 3 * 64, 64
    for n_out in (64, 128, 256, 512):
        expected += 9 * n_in * n_out + 3 * 9 * n_out * n_out + 2 * n_in + 3 * 2 * n_out
        expected += n_in * n_out if n_in != n_out else 0
        n_in = n_out
    expected += 2 * 512 + 512 * 10 + 10
    assert sum(p.numel() for p in network.parameters()) == expected
    large = [p for p in network.parameters() if p.dim() == 2 or p.shape[2:] == (3, 3)]
    assert len(large) == 18


def test_stages_halve_the_image():
    network, x, shapes = (
        PreActResNet18(3, width=4, generator=seeded()),
        torch.rand(1, 3, 32, 32),
        [],
    )
    x = network.conv(x)
    for stage in (network.stage1, network.stage2, network.stage3, network.stage4):
        x = stage(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(4, 32, 32), (8, 16, 16), (16, 8, 8), (32, 4, 4)]


def test_a_block_without_its_last_convolution_passes_its_input_on():
    block = PreActResNet18(3, width=4, generator=seeded()).stage2[1]
    torch.nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 8, 6, 6, generator=seeded(1))
    assert torch.equal(block(x), x)


def test_a_shortcut_sees_the_activated_input():
    block = PreActResNet18(3, width=4, generator=seeded()).eval().stage2[0]
    torch.nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 4, 6, 6, generator=seeded(1))
    assert torch.equal(block(x), block.shortcut(block.bn1(x).relu()))
    assert not block(-x.abs()).any()


def test_normalisation_is_the_first_layer():
    normalize = Normalize([0.5] * 3, [0.25] * 3)
    plain = PreActResNet18(3, width=4, generator=seeded()).eval()
    network = PreActResNet18(3, width=4, normalize=normalize, generator=seeded()).eval()
    x = torch.rand(2, 3, 8, 8, generator=seeded(1))
    assert torch.equal(network(x), plain(normalize(x)))


def test_unknown_head():
    with pytest.raises(ValueError, match="head must be 'linear' or 'cosine'. Got head='round'."):
        PreActResNet18(3, head="round")
