"""The residual network against its description."""

import math

import numpy as np
import pytest
import torch

from ltresample.models import (
    Normalize,
    ResNet20,
    ResNet32,
    ResNet44,
    ResNet56,
    ResNet110,
    ResNetCifar,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def expected_size(depth, n_classes, *, n_channels=3, width=16):
    """Count weights by hand: 3x3 convolutions without bias, two numbers a channel, linear head."""
    m = (depth - 2) // 6
    total, n_in = 9 * n_channels * width + 2 * width, width
    for n_out in (width, 2 * width, 4 * width):
        for _ in range(m):
            total += 9 * n_in * n_out + 9 * n_out * n_out + 4 * n_out
            n_in = n_out
    return total + 4 * width * n_classes + n_classes


# millions of parameters in Table 6 of He et al., CVPR 2016
@pytest.mark.parametrize(
    ("cls", "depth", "millions"),
    [
        (ResNet20, 20, 0.27),
        (ResNet32, 32, 0.46),
        (ResNet44, 44, 0.66),
        (ResNet56, 56, 0.85),
        (ResNet110, 110, 1.7),
    ],
)
def test_number_of_parameters(cls, depth, millions):
    network = cls(10, generator=seeded())
    size = sum(p.numel() for p in network.parameters())
    assert size == expected_size(depth, 10)
    assert size / 1e6 == pytest.approx(millions, rel=0.03)
    convolutions = [p for p in network.parameters() if p.dim() == 4]
    assert len(convolutions) == depth - 1


def test_features_of_cifar_images():
    network = ResNet32(100, generator=seeded()).eval()
    x = torch.rand(2, 3, 32, 32, generator=seeded(1))
    assert network.features(x).shape == (2, 64)
    assert torch.equal(network(x), network.head(network.features(x)))


@pytest.mark.parametrize(("n_in", "n_out", "height"), [(4, 8, 6), (3, 8, 5), (2, 3, 7)])
def test_shortcut_against_a_literal_rendering(n_in, n_out, height):
    from ltresample.models._resnet_cifar import _Block

    x = np.random.default_rng(0).normal(size=(2, n_in, height, height)).astype(np.float32)
    size = math.ceil(height / 2)
    literal = np.zeros((2, n_out, size, size), dtype=np.float32)
    before = (n_out - n_in) // 2
    for c in range(n_in):
        for i in range(size):
            for j in range(size):
                literal[:, before + c, i, j] = x[:, c, 2 * i, 2 * j]
    block = _Block(n_in, n_out, 2)
    np.testing.assert_array_equal(block.shortcut(torch.from_numpy(x)).numpy(), literal)
    assert block.bn2(block.conv2(block.conv1(torch.from_numpy(x)))).shape == literal.shape


def test_stages_halve_the_image_and_double_the_channels():
    network = ResNetCifar(14, 3, generator=seeded()).eval()
    x, shapes = torch.rand(1, 3, 32, 32, generator=seeded(1)), []
    x = network.conv(x)
    for stage in (network.stage1, network.stage2, network.stage3):
        x = stage(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(16, 32, 32), (32, 16, 16), (64, 8, 8)]


def test_a_block_whose_second_norm_is_zero_is_its_shortcut():
    network = ResNetCifar(8, 3, generator=seeded()).eval()
    block = network.stage2[0]
    torch.nn.init.zeros_(block.bn2.weight)
    x = torch.rand(2, 16, 8, 8, generator=seeded(1))  # nothing for the last ReLU to cut off
    assert torch.equal(block(x), block.shortcut(x))


def test_weights_follow_kaiming():
    network = ResNet32(10, generator=seeded())
    conv = network.stage3[3].conv1.weight  # 36864 numbers
    assert conv.std().item() == pytest.approx(math.sqrt(2 / (9 * 64)), rel=0.02)
    assert network.stage3[0].conv1.weight.std().item() == pytest.approx(
        math.sqrt(2 / (9 * 64)), rel=0.03
    )  # fan out: 64 channels leave, 32 enter
    assert not network.head.bias.any()


def test_normalisation_is_the_first_layer():
    normalize = Normalize([0.5] * 3, [0.25] * 3)
    plain = ResNetCifar(8, 3, generator=seeded()).eval()
    network = ResNetCifar(8, 3, normalize=normalize, generator=seeded()).eval()
    x = torch.rand(2, 3, 8, 8, generator=seeded(1))
    assert torch.equal(network(x), plain(normalize(x)))


@pytest.mark.parametrize("depth", [2, 18, 0, 33])
def test_unknown_depth(depth):
    with pytest.raises(ValueError, match=rf"depth must be 6 m \+ 2 .* Got depth={depth}\."):
        ResNetCifar(depth, 10)
