"""Heads and ensembles against literal renderings."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltresample.models import MLP, CosineHead, LinearHead, MLPEnsemble


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@settings(deadline=None)
@given(
    seed=st.integers(0, 1000),
    scale=st.floats(0.1, 50),
    factor=st.floats(1e-3, 1e3),
    n_classes=st.integers(1, 6),
)
def test_cosine_head_is_bounded_and_ignores_lengths(seed, scale, factor, n_classes):
    generator = seeded(seed)
    head = CosineHead(4, n_classes, scale=scale, generator=generator)
    h = torch.randn(5, 4, generator=generator)
    logits = head(h)
    assert logits.abs().max() <= scale * (1 + 1e-5)
    torch.testing.assert_close(head(factor * h), logits)
    with torch.no_grad():
        head.weight.mul_(factor)
    torch.testing.assert_close(head(h), logits)


def test_cosine_head_against_numpy():
    head = CosineHead(3, 4, scale=30, generator=seeded())
    h, w = torch.randn(5, 3, generator=seeded(1)), head.weight.detach()
    literal = 30 * np.array(
        [[a @ b / np.sqrt(a @ a * (b @ b)) for b in w.numpy()] for a in h.numpy()]
    )
    np.testing.assert_allclose(head(h).detach().numpy(), literal, rtol=1e-5, atol=1e-5)


def test_cosine_head_knows_its_class_vectors_and_the_origin():
    head = CosineHead(3, 2, generator=seeded())
    assert head(5 * head.weight).diagonal().tolist() == pytest.approx([1, 1])
    assert head(torch.zeros(1, 3)).tolist() == [[0, 0]]
    assert head.scale == 1.0
    assert repr(head) == "CosineHead(n_features=3, n_classes=2, scale=1.0)"


@pytest.mark.parametrize("scale", [0, -1.0, float("nan")])
def test_cosine_head_needs_a_positive_scale(scale):
    with pytest.raises(ValueError, match="scale must be positive. Got scale="):
        CosineHead(3, 2, scale=scale)


def test_linear_head_is_affine():
    head = LinearHead(3, 2, generator=seeded())
    h = torch.randn(4, 3, generator=seeded(1))
    torch.testing.assert_close(head(h), h @ head.weight.T + head.bias)
    assert not head.bias.any()


@pytest.mark.parametrize("n_members", [1, 3])
def test_ensemble_is_a_loop_over_its_members(n_members):
    ensemble = MLPEnsemble(n_members, 5, 4, hidden=6, generator=seeded())
    with torch.no_grad():
        ensemble.first.bias.normal_(generator=seeded(1))
        ensemble.bias.normal_(generator=seeded(2))
    x = torch.randn(7, 5, generator=seeded(3))
    logits, features = ensemble(x), ensemble.features(x)
    assert logits.shape == (n_members, 7, 4)
    for j in range(n_members):
        units = slice(6 * j, 6 * (j + 1))
        member = MLP(5, 4, hidden=(6,))
        with torch.no_grad():
            member.body[0].weight.copy_(ensemble.first.weight[units])
            member.body[0].bias.copy_(ensemble.first.bias[units])
            member.head.weight.copy_(ensemble.weight[j].T)
            member.head.bias.copy_(ensemble.bias[j, 0])
        torch.testing.assert_close(logits[j], member(x))
        torch.testing.assert_close(features[:, units], member.features(x))


def test_members_of_an_ensemble_share_nothing():
    ensemble = MLPEnsemble(3, 5, 4, hidden=6, generator=seeded())
    x = torch.randn(7, 5, generator=seeded(1))
    grads = torch.autograd.grad(ensemble(x)[1].square().sum(), list(ensemble.parameters()))
    own = dict(zip(dict(ensemble.named_parameters()), grads, strict=True))
    touched = own["first.weight"].abs().sum(1).view(3, 6).gt(0)
    assert touched[1].any()
    assert not touched[[0, 2]].any()
    assert own["weight"][1].any()
    assert not own["weight"][[0, 2]].any()


def test_members_of_an_ensemble_start_apart_and_by_one_law():
    ensemble = MLPEnsemble(8, 20, 10, hidden=100, generator=seeded())
    assert not torch.equal(ensemble.weight[0], ensemble.weight[1])
    assert ensemble.weight.std().item() == pytest.approx((2 / 100) ** 0.5, rel=0.03)
    assert ensemble.first.weight.std().item() == pytest.approx((2 / 20) ** 0.5, rel=0.03)
    assert not ensemble.bias.any()
