"""Pairings: marginals, limits, known answers, the ablations of the paper, and messages."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltresample import LongTailWarning
from ltresample.pairing import (
    ConfusionPairing,
    RandomPairing,
    Side,
    TransportPairing,
    checked_affinity,
)

K = 5


def problem(n=32, m=32, seed=0):
    g = torch.Generator().manual_seed(seed)
    y_f = torch.randint(K, (n,), generator=g)
    y_b = torch.randint(K, (m,), generator=g)
    affinity = torch.rand(K, K, generator=g, dtype=torch.float64)
    affinity = affinity / affinity.sum(1, keepdim=True)
    foreground = Side(y_f, torch.randn(n, 8, generator=g))
    background = Side(y_b, torch.randn(m, 8, generator=g))
    return foreground, background, affinity, torch.rand(n, generator=g)


PAIRINGS = [
    RandomPairing(),
    ConfusionPairing(),
    TransportPairing(),
    TransportPairing(feature_weight=1.0),
    TransportPairing(feature_weight=0.0),
    TransportPairing(cost="euclidean"),
    TransportPairing(select="sample"),
    TransportPairing(select="softmax"),
    TransportPairing(keep_same_class=True),
]


@pytest.mark.parametrize("pairing", PAIRINGS, ids=repr)
@pytest.mark.parametrize("m", [32, 20])
def test_contract(pairing, m):
    foreground, background, affinity, u = problem(m=m)
    chosen = pairing.pair(foreground, background, u, class_affinity=affinity)
    assert chosen.shape == (32,)
    assert chosen.dtype == torch.int64
    assert ((chosen >= 0) & (chosen < m)).all()
    again = pairing.pair(foreground, background, u, class_affinity=affinity)
    assert torch.equal(chosen, again), "a function of the draw"
    if not pairing.needs_affinity:
        assert torch.equal(chosen, pairing.pair(foreground, background, u))
    if not pairing.needs_features:
        bare = [Side(side.y) for side in (foreground, background)]
        assert torch.equal(chosen, pairing.pair(*bare, u, class_affinity=affinity))


def literal_cost(foreground, background, affinity, omega):
    """Eq. 7, entry by entry, rows are foregrounds."""
    hat = affinity.numpy().copy()
    np.fill_diagonal(hat, 0)  # after normalisation; rows are not normalised anew
    cost = np.zeros((len(foreground.y), len(background.y)))
    for i, j in np.ndindex(cost.shape):
        z_i, z_j = foreground.features[i].numpy(), background.features[j].numpy()
        cosine = z_i @ z_j / np.linalg.norm(z_i) / np.linalg.norm(z_j)
        sample = 1 - cosine
        classes = 1 - hat[foreground.y[i], background.y[j]]
        cost[i, j] = omega * sample + (1 - omega) * classes
    return cost


@pytest.mark.parametrize("omega", [0.0, 0.05, 1.0])
def test_cost_plan_and_choice_follow_the_paper(omega):
    foreground, background, affinity, u = problem(12, 12)
    pairing = TransportPairing(feature_weight=omega)
    cost = literal_cost(foreground, background, affinity, omega)
    given_cost = pairing.cost_matrix(foreground, background, class_affinity=affinity)
    np.testing.assert_allclose(given_cost, cost, atol=1e-6)
    kernel, v = np.exp(-(cost - cost.min()) / 0.01), np.ones(12)
    for _ in range(20_000):
        w = 1 / 12 / (kernel @ v)
        v = 1 / 12 / (kernel.T @ w)
    plan = w[:, None] * kernel * v
    found = pairing.plan(foreground, background, class_affinity=affinity)
    np.testing.assert_allclose(found.plan, plan, atol=2e-5)
    np.testing.assert_allclose(found.plan.sum(0), 1 / 12, atol=1e-6)
    np.testing.assert_allclose(found.plan.sum(1), 1 / 12, atol=1e-6)
    chosen = pairing.pair(foreground, background, u, class_affinity=affinity).numpy()
    largest = plan[np.arange(12), chosen]
    np.testing.assert_allclose(largest, plan.max(1), rtol=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(7)))
def test_a_permutation_is_found(order):
    """Features of backgrounds are those of the foregrounds, shuffled."""
    z = torch.eye(7)
    background = Side(torch.zeros(7, dtype=torch.long), z[list(order)])
    foreground = Side(torch.zeros(7, dtype=torch.long), z)
    pairing = TransportPairing(feature_weight=1.0)
    chosen = pairing.pair(foreground, background, torch.zeros(7))
    assert [order[j] for j in chosen.tolist()] == list(range(7))


@pytest.mark.parametrize("seed", range(5))
def test_classes_only_never_pairs_a_class_with_itself_where_another_is_nearer(seed):
    """Two confused classes, in equal numbers on both sides: each goes to the other."""
    y = torch.tensor([0, 1] * 8)
    affinity = torch.tensor([[0.9, 0.1], [0.1, 0.9]], dtype=torch.float64)
    u = torch.rand(16, generator=torch.Generator().manual_seed(seed))
    classes_only = TransportPairing(feature_weight=0.0)
    chosen = classes_only.pair(Side(y), Side(y), u, class_affinity=affinity)
    assert (y[chosen] != y).all()
    kept = TransportPairing(feature_weight=0.0, keep_same_class=True)
    chosen = kept.pair(Side(y), Side(y), u, class_affinity=affinity)
    assert (y[chosen] == y).all()


def test_a_constant_cost_gives_any_pairing():
    """All entries of the plan are equal: ties are broken at random, and evenly."""
    side = Side(torch.zeros(64, dtype=torch.long), torch.ones(64, 3))
    pairing = TransportPairing(feature_weight=1.0)
    u = torch.linspace(0, 0.999, 64)
    assert torch.equal(pairing.pair(side, side, u), torch.arange(64))


def test_softmax_of_a_plan_is_nearly_uniform_and_sampling_is_not():
    foreground, background, affinity, _ = problem(64, 64)
    plan = TransportPairing().plan(foreground, background, class_affinity=affinity).plan
    best = plan.argmax(1)
    hits = {}
    for select in ("argmax", "sample", "softmax"):
        pairing = TransportPairing(select=select)
        draws = [
            pairing.pair(
                foreground, background, torch.full((64,), float(u)), class_affinity=affinity
            )
            for u in torch.linspace(0.005, 0.995, 20)
        ]
        hits[select] = float((torch.stack(draws) == best).double().mean())
    assert hits["argmax"] == 1
    assert hits["softmax"] < 0.05 < 0.2 < hits["sample"]


def test_confusion_pairing_takes_the_most_confused_class():
    foreground, background, affinity, u = problem(200, 60)
    chosen = ConfusionPairing().pair(foreground, background, u, class_affinity=affinity)
    hat = affinity.numpy().copy()
    np.fill_diagonal(hat, -1)
    np.testing.assert_array_equal(background.y[chosen], hat.argmax(1)[foreground.y])
    assert len(chosen[foreground.y == 0].unique()) > 3, "any sample of that class"
    none = Side(torch.full((9,), 4))
    lonely = torch.tensor(np.eye(K) * 0.5 + np.eye(K)[[1, 2, 3, 0, 0]] * 0.5)
    chosen = ConfusionPairing().pair(
        Side(torch.zeros(3, dtype=torch.long)), none, u[:3], class_affinity=lonely
    )
    assert ((chosen >= 0) & (chosen < 9)).all(), "absent: any background"


def test_where_the_class_is_absent_any_background_is_as_likely():
    affinity = torch.tensor([[0.2, 0.1, 0.7], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5]])
    background = Side(torch.tensor([1, 1, 0, 1]))  # class 0 is taken for 2, which is not there
    u = (torch.arange(4) + 0.5) / 4
    front = Side(torch.zeros(4, dtype=torch.long))
    chosen = ConfusionPairing().pair(front, background, u, class_affinity=affinity)
    assert chosen.tolist() == [0, 1, 2, 3]


def test_a_class_that_is_never_misclassified_meets_another_one():
    y = torch.arange(3).repeat(4)
    u = torch.rand(12, generator=torch.Generator().manual_seed(0))
    chosen = ConfusionPairing().pair(Side(y), Side(y), u, class_affinity=torch.eye(3))
    assert (y[chosen] != y).all()


def test_euclidean_costs_are_those_of_unit_vectors():
    """|u - v|^2 = 2 (1 - cos): both costs have one range, whatever the size of the features."""
    foreground, background, *_ = problem(6, 5)
    background = background._replace(features=100 * background.features)
    euclidean, cosine = (
        TransportPairing(feature_weight=1.0, cost=cost).cost_matrix(foreground, background)
        for cost in ("euclidean", "cosine")
    )
    torch.testing.assert_close(euclidean.square(), 2 * cosine, rtol=1e-4, atol=1e-5)


def test_strength_and_tolerance_reach_the_plan():
    foreground, background, affinity, _ = problem(6, 5)
    sides = {"foreground": foreground, "background": background, "class_affinity": affinity}
    even = TransportPairing(reg=1e4).plan(**sides)
    torch.testing.assert_close(even.plan, torch.full((6, 5), 1 / 30), rtol=1e-3, atol=0)
    usual, loose = TransportPairing().plan(**sides), TransportPairing(tol=0.5).plan(**sides)
    assert usual.marginal_error <= 1e-6 < loose.marginal_error <= 0.5


def test_networks_and_features_get_no_gradient():
    foreground, background, affinity, u = problem()
    z = foreground.features.requires_grad_()
    found = TransportPairing().plan(Side(foreground.y, z), background, class_affinity=affinity)
    assert not found.plan.requires_grad


# ---- messages ------------------------------------------------------------------------------------


def test_a_plan_that_has_not_converged_is_reported():
    foreground, background, affinity, u = problem()
    pairing = TransportPairing(max_iter=1)
    text = "(?s)not converged: its marginals are off by .* after 1 iterations.*max_iter"
    with pytest.warns(LongTailWarning, match=text):
        pairing.pair(foreground, background, u, class_affinity=affinity)


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"feature_weight": 1.5}, r"feature_weight \(omega\) must be in \[0, 1\].*1.5"),
        ({"reg": 0.0}, "reg must be positive. Got reg=0.0"),
        ({"cost": "l1"}, "cost must be one of 'cosine', 'euclidean'. Got cost='l1'"),
        ({"select": "best"}, "select must be one of 'argmax', 'sample', 'softmax'"),
    ],
)
def test_parameters_are_checked(parameters, text):
    with pytest.raises(ValueError, match=text):
        TransportPairing(**parameters)


def test_what_is_missing_is_named():
    foreground, background, affinity, u = problem()
    with pytest.raises(ValueError, match="needs a class affinity.*feature_weight=1.0"):
        TransportPairing().pair(foreground, background, u)
    with pytest.raises(ValueError, match=r"needs features.*None and \(32, 8\)"):
        TransportPairing().pair(Side(foreground.y), background, u, class_affinity=affinity)
    with pytest.raises(ValueError, match="needs a class affinity.*RandomPairing"):
        ConfusionPairing().pair(foreground, background, u)


@pytest.mark.parametrize(
    ("affinity", "text"),
    [
        (np.eye(3), r"must have shape \(2, 2\).*Got shape \(3, 3\)"),
        ([[1.0, np.nan], [0.0, 1.0]], "must be finite. Got nan at row 0, column 1"),
        ([[30.0, 7.0], [0.0, 4.0]], "shares in .*Got entries from 0 to 30.*normalize='true'"),
        ([[1.0, -0.1], [0.0, 1.0]], "Got entries from -0.1 to 1"),
    ],
)
def test_bad_affinities_are_refused(affinity, text):
    with pytest.raises(ValueError, match=text):
        checked_affinity(affinity, 2)
