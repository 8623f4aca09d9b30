"""No setting outside reaches what a pairing computes."""

import numpy as np
import pytest
import torch

from ltresample.pairing import ConfusionPairing, RandomPairing, Side, TransportPairing
from ltresample.pairing._base import drawn_column

PAIRINGS = [
    RandomPairing(),
    ConfusionPairing(),
    *(
        TransportPairing(feature_weight=weight, cost=cost, select=select)
        for weight in (0.0, 0.05, 1.0)
        for cost in ("cosine", "euclidean")
        for select in ("argmax", "sample", "softmax")
    ),
]


def sides(n=64):
    g = torch.Generator().manual_seed(0)
    affinity = torch.rand(5, 5, generator=g, dtype=torch.float64) / 5
    two = [Side(torch.randint(5, (n,), generator=g), torch.randn(n, 32, generator=g))]
    two.append(Side(torch.randint(5, (n,), generator=g), torch.randn(n, 32, generator=g)))
    return *two, torch.rand(n, generator=g, dtype=torch.float64), affinity


@pytest.mark.parametrize("pairing", PAIRINGS, ids=repr)
def test_autocast_changes_no_pair(pairing):
    foreground, background, u, affinity = sides()
    expected = pairing.pair(foreground, background, u, class_affinity=affinity)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = pairing.pair(foreground, background, u, class_affinity=affinity)
    assert torch.equal(got, expected)


@pytest.mark.parametrize("cost", ["cosine", "euclidean"])
@pytest.mark.parametrize("feature_weight", [0.0, 0.05, 1.0])
def test_autocast_changes_neither_cost_nor_plan(feature_weight, cost):
    pairing = TransportPairing(feature_weight=feature_weight, cost=cost)
    foreground, background, _, affinity = sides()
    for part in (pairing.cost_matrix, lambda *a, **k: pairing.plan(*a, **k).plan):
        expected = part(foreground, background, class_affinity=affinity)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            got = part(foreground, background, class_affinity=affinity)
        assert got.dtype == torch.float32
        assert torch.equal(got, expected)


@pytest.mark.parametrize("kind", ["flags", "shares"])
def test_a_column_is_drawn_in_proportion_to_its_weight(kind):
    """The k-th of n evenly spaced numbers hits the column whose share of the sum holds it."""
    rng = np.random.default_rng(0)
    weights = rng.random((1, 7)) * (rng.random((1, 7)) < 0.7)
    if kind == "flags":
        weights = weights > 0
    u = (np.arange(10_000) + 0.5) / 10_000
    drawn = drawn_column(torch.from_numpy(weights).expand(len(u), -1), torch.from_numpy(u))
    shares = np.bincount(drawn.numpy(), minlength=7) / len(u)
    np.testing.assert_allclose(shares, weights[0] / weights.sum(), atol=2e-4)
    assert (np.diff(drawn.numpy()) >= 0).all()


def test_flags_are_drawn_as_the_same_numbers_are():
    g = torch.Generator().manual_seed(0)
    flags = torch.rand(500, 300, generator=g) < 0.3
    u = torch.rand(500, generator=g, dtype=torch.float64)
    assert torch.equal(drawn_column(flags, u), drawn_column(flags.double(), u))


@pytest.mark.parametrize("pairing", [ConfusionPairing(), TransportPairing()], ids=repr)
@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda A: A.fill_diagonal_(torch.nan), "must be finite. Got nan at row 0, column 0"),
        (lambda A: -A, "must hold shares in .0, 1.. Got entries from -"),
        (lambda A: 40 * A, "must hold shares in .0, 1.. Got entries from 0"),
        (lambda A: A / 0, "must be finite. Got inf at row 0, column 0"),
        (lambda A: A[:, :3], r"must have shape \(5, 5\).*Got shape \(5, 3\)"),
    ],
)
def test_pairings_refuse_an_affinity_that_is_none(pairing, change, text):
    foreground, background, u, affinity = sides()
    affinity[1, 2] = 0.0
    affinity[0, 0] = 0.1
    affinity = affinity.clamp_min(0)
    with pytest.raises(ValueError, match=text):
        pairing.pair(foreground, background, u, class_affinity=change(affinity))


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_features_that_are_no_numbers_are_refused(side, value):
    *both, u, affinity = sides()
    both[side].features[3, 4] = value
    with pytest.raises(ValueError, match="cost must be finite"):
        TransportPairing().pair(*both, u, class_affinity=affinity)
