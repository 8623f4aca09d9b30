"""Starting weights of any network."""

import math

import pytest
import torch
from torch import nn

from ltresample.models import initialize, uninitialized


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Scaled(nn.Module):
    """A kind of its own, with parameters of two, one and no dimensions."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(50, 40, 2))
        self.gain = nn.Parameter(torch.ones(3))
        self.temperature = nn.Parameter(torch.ones(()))
        self.register_buffer("mean", torch.full((2,), 7.0))


class OwnLaw(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3, 3))
        self.inner = nn.Linear(3, 3)

    def initialize_parameters(self, generator):
        self.weight.fill_(torch.rand((), generator=generator).item())


def zoo():
    return nn.ModuleList(
        [
            nn.Linear(3, 4),
            nn.Conv1d(3, 4, 3),
            nn.Conv2d(4, 4, 3, groups=2),
            nn.ConvTranspose2d(3, 4, 3),
            nn.BatchNorm2d(4),
            nn.GroupNorm(2, 4),
            nn.LayerNorm(4),
            nn.InstanceNorm2d(4, affine=True, track_running_stats=True),
            nn.PReLU(),
            nn.Embedding(5, 4),
            nn.LSTM(3, 4),
            nn.MultiheadAttention(4, 2),
            nn.TransformerEncoderLayer(4, 2, 8),
            nn.Bilinear(2, 3, 4),
            nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)),
            Scaled(),
            OwnLaw(),
        ]
    )


def spoilt(module):
    with torch.no_grad():
        for tensor in [*module.parameters(), *module.buffers()]:
            tensor.fill_(9)
    return module


def test_old_values_and_the_global_generator_have_no_influence():
    before = torch.get_rng_state()
    with torch.random.fork_rng(devices=[]):
        first, second = zoo(), spoilt(zoo())
    modes = [part.train(i % 2 == 0).training for i, part in enumerate(first)]
    assert initialize(first, seeded()) is first
    assert [part.training for part in first] == modes
    initialize(second, seeded())
    assert torch.equal(torch.get_rng_state(), before)
    for (name, a), (_, b) in zip(first.named_parameters(), second.named_parameters(), strict=True):
        assert torch.equal(a, b), name
        assert a.requires_grad
        assert torch.isfinite(a).all()


def test_another_generator_gives_other_weights():
    with uninitialized():
        first, second = zoo(), zoo()
    initialize(first, seeded(0))
    initialize(second, seeded(1))
    for (name, a), (_, b) in zip(first.named_parameters(), second.named_parameters(), strict=True):
        if a.dim() > 1:
            assert not torch.equal(a, b), name


@pytest.mark.parametrize(
    ("build", "std"),
    [
        (lambda: nn.Linear(50, 400), math.sqrt(2 / 50)),
        (lambda: nn.Conv2d(20, 60, 3), math.sqrt(2 / (60 * 9))),
        (lambda: nn.Conv1d(20, 100, 5), math.sqrt(2 / (100 * 5))),
        (lambda: nn.Embedding(500, 40), math.sqrt(1 / 40)),
        (Scaled, math.sqrt(1 / 80)),
    ],
)
def test_law_of_the_weights(build, std):
    part = initialize(build(), seeded())
    assert part.weight.std().item() == pytest.approx(std, rel=0.05)
    assert abs(part.weight.mean().item()) < 5 * std / math.sqrt(part.weight.numel())
    if getattr(part, "bias", None) is not None:
        assert not part.bias.any()


def test_law_of_convolutions_is_that_of_pytorch():
    with uninitialized():
        ours = initialize(nn.Conv2d(3, 8, 3, bias=False), seeded())
    theirs = torch.empty(8, 3, 3, 3)
    nn.init.kaiming_normal_(theirs, mode="fan_out", nonlinearity="relu", generator=seeded())
    torch.testing.assert_close(ours.weight.detach(), theirs)


def test_normalisation_layers_start_as_new():
    batch = spoilt(nn.BatchNorm2d(3))
    initialize(batch, seeded())
    fresh = nn.BatchNorm2d(3).state_dict()
    assert all(torch.equal(value, fresh[key]) for key, value in batch.state_dict().items())
    for norm in (nn.LayerNorm(3), nn.GroupNorm(1, 3)):
        initialize(spoilt(norm), seeded())
        assert norm.weight.tolist() == [1, 1, 1]
        assert norm.bias.tolist() == [0, 0, 0]


def test_unknown_kinds():
    part = initialize(Scaled(), seeded())
    assert not part.gain.any()
    assert part.temperature == 0
    assert part.mean.tolist() == [7, 7]  # buffers of unknown kinds stay
    own = initialize(OwnLaw(), seeded())
    assert own.weight.unique().tolist() == torch.rand((), generator=seeded()).view(1).tolist()
    assert not own.inner.bias.any()


def test_frozen_parameters_stay_frozen():
    part = initialize(nn.Linear(3, 2).requires_grad_(False), seeded())
    assert not part.weight.requires_grad
    assert not part.bias.any()


def test_lazy_networks_are_told_to_see_data_first():
    with pytest.raises(ValueError, match="Apply it to one batch first."):
        initialize(nn.Sequential(nn.LazyLinear(3)), seeded())


def test_uninitialized_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    with uninitialized():
        zoo()
        filled = torch.empty(1000).normal_(generator=seeded())
        ones = torch.ones(3)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(filled, torch.empty(1000).normal_(generator=seeded()))
    assert ones.tolist() == [1, 1, 1]
    with torch.random.fork_rng(devices=[]):
        torch.rand(3)
        assert not torch.equal(torch.get_rng_state(), before)  # and outside all is as ever
