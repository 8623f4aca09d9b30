"""Formulas on class counts: the papers' tables, limits and invariants."""

import pickle
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from imblearn.over_sampling import RandomOverSampler
from sklearn.utils.class_weight import compute_class_weight

from ltresample.class_counts import (
    PartialFill,
    acceptance_probability,
    class_prior,
    class_weights,
    complementary_distribution,
    effective_number,
    grid_count_decay,
    imbalance_factor,
    long_tailed_counts,
    scaled_count_decay,
    shot_groups,
)

counts_st = arrays(np.int64, st.integers(1, 30), elements=st.integers(1, 100_000))

# Class counts of CIFAR-10-LT and totals of CIFAR-10-LT and CIFAR-100-LT with the last count of the
# latter: Cao et al., NeurIPS 2019, for each imbalance factor.
CIFAR_LT = {
    10: ([5000, 3871, 2997, 2320, 1796, 1391, 1077, 834, 645, 500], 20431, 19573, 50),
    20: ([5000, 3584, 2569, 1842, 1320, 946, 678, 486, 348, 250], 17023, 15907, 25),
    50: ([5000, 3237, 2096, 1357, 878, 568, 368, 238, 154, 100], 13996, 12608, 10),
    100: ([5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50], 12406, 10847, 5),
    200: ([5000, 2775, 1540, 854, 474, 263, 146, 81, 45, 25], 11203, 9502, 2),
}


@pytest.mark.parametrize("factor", CIFAR_LT)
def test_long_tailed_counts_are_those_of_cifar_lt(factor):
    cifar10, total10, total100, last100 = CIFAR_LT[factor]
    got = long_tailed_counts(5000, 10, imbalance_factor=factor)
    assert got.tolist() == cifar10
    assert got.sum() == total10
    got = long_tailed_counts(500, 100, imbalance_factor=factor)
    assert (got.sum(), got[-1]) == (total100, last100)


def test_shot_groups_of_cifar100_lt():
    groups = shot_groups(long_tailed_counts(500, 100, imbalance_factor=100))
    assert {name: mask.sum() for name, mask in groups.items()} == {
        "many": 35,
        "medium": 35,
        "few": 30,
    }


def test_step_gives_the_first_half_the_large_count():
    assert (
        long_tailed_counts(100, 5, imbalance_factor=7, kind="step").tolist() == [100] * 2 + [14] * 3
    )


@given(st.integers(1, 5000), st.integers(2, 200), st.data(), st.sampled_from(["exp", "step"]))
def test_long_tailed_counts_fall_to_their_factor(n_max, n_classes, data, kind):
    factor = data.draw(st.integers(1, n_max))
    counts = long_tailed_counts(n_max, n_classes, imbalance_factor=factor, kind=kind)
    assert counts[0] == n_max
    assert counts[-1] == n_max // factor
    assert (np.diff(counts) <= 0).all()


@given(st.integers(1, 5000), st.integers(2, 60), st.data())
def test_long_tailed_counts_are_the_floor_of_the_exact_share(n_max, n_classes, data):
    """``m <= n_max IF^(-c/(K-1)) < m + 1``, in integers: no processor's rounding decides."""
    n_min = data.draw(st.integers(1, n_max))
    counts = long_tailed_counts(n_max, n_classes, imbalance_factor=n_max / n_min)
    last = n_classes - 1
    for c, m in enumerate(counts.tolist()):
        share = n_max ** (last - c) * n_min**c  # to the power of K - 1
        assert m**last <= share < (m + 1) ** last


def test_last_class_is_not_lost_to_rounding():
    assert int(49 * (1 / 49)) == 0  # what the bare formula gives
    assert long_tailed_counts(49, 3, imbalance_factor=49).tolist() == [49, 7, 1]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (
            {"imbalance_factor": 0.01},
            "imbalance_factor is N_max / N_min, in [1, n_max=500] so that no class is empty. Got "
            "imbalance_factor=0.01. For a factor given as N_min / N_max, pass its inverse.",
        ),
        ({"imbalance_factor": 501}, "Got imbalance_factor=501."),
        ({"imbalance_factor": 10, "kind": "pareto"}, "kind must be one of 'exp', 'step'. Got kind"),
    ],
)
def test_long_tailed_counts_says_what_is_wrong(kwargs, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        long_tailed_counts(500, 10, **kwargs)


@pytest.mark.parametrize(("n_max", "n_classes"), [(500, 1), (0, 10)])
def test_long_tailed_counts_needs_classes_and_samples(n_max, n_classes):
    with pytest.raises(ValueError, match=r"must be at least \d\. Got n_"):
        long_tailed_counts(n_max, n_classes, imbalance_factor=1)


@given(counts_st)
def test_imbalance_factor_does_not_depend_on_order_or_scale(counts):
    factor = imbalance_factor(counts)
    assert factor == max(counts) / min(counts)
    assert imbalance_factor(np.sort(counts)) == factor
    assert imbalance_factor(7 * counts) == pytest.approx(factor)


@given(counts_st, st.sampled_from([0.9, 0.99, 0.999, 0.9999]))
def test_effective_number_is_the_sum_of_the_geometric_series(counts, beta):
    n = min(int(counts[0]), 3000)
    assert effective_number([n], beta)[0] == pytest.approx(sum(beta**i for i in range(n)))


@given(counts_st)
def test_effective_number_between_its_limits(counts):
    np.testing.assert_array_equal(effective_number(counts, 0), np.ones(len(counts)))
    np.testing.assert_array_equal(effective_number(counts, 1), counts)
    middle = effective_number(counts, 0.99)
    assert (middle >= 1 - 1e-9).all()
    assert (middle <= counts + 1e-9).all()


@given(counts_st)
def test_class_weights_sum_to_the_number_of_classes(counts):
    for kind in ("balanced", "inverse", "effective"):
        weights = class_weights(counts, kind)
        assert weights.sum() == pytest.approx(len(counts))
        assert (weights > 0).all()
        assert (np.diff(weights[np.argsort(counts)]) <= 1e-9).all()


@given(counts_st)
def test_class_weights_meet_scikit_learns_and_their_limits(counts):
    y = np.repeat(np.arange(len(counts)), np.minimum(counts, 50))
    theirs = compute_class_weight("balanced", classes=np.arange(len(counts)), y=y)
    ours = class_weights(np.minimum(counts, 50))
    np.testing.assert_allclose(ours, theirs * len(theirs) / theirs.sum())
    np.testing.assert_allclose(class_weights(counts, "effective", beta=0), 1)
    np.testing.assert_allclose(
        class_weights(counts, "effective", beta=1), class_weights(counts, "inverse")
    )


def test_complementary_distribution_of_cifar10_lt():
    # Imbalance factor 100, Wei et al.'s formula to four places.
    counts = CIFAR_LT[100][0]
    prior = class_prior(counts)
    assert prior.max() + prior.min() == pytest.approx(0.4071, abs=5e-5)
    expected = [0.0013, 0.0539, 0.0854, 0.1043, 0.1156, 0.1224, 0.1265, 0.1289, 0.1304, 0.1313]
    np.testing.assert_allclose(complementary_distribution(counts), expected, atol=5e-5)


@given(counts_st, st.floats(0, 5))
def test_complementary_distribution_is_the_papers_formula(counts, above):
    prior = class_prior(counts)
    alpha = prior.max() + above
    gamma = complementary_distribution(counts, alpha)
    assert gamma.sum() == pytest.approx(1)
    assert (gamma >= 0).all()
    if len(counts) * alpha - 1 > 1e-6:
        oracle = [(alpha - p) / (len(counts) * alpha - 1) for p in prior]
        np.testing.assert_allclose(gamma, oracle, atol=1e-7)


@given(st.integers(1, 20), st.integers(1, 1000))
def test_complementary_distribution_of_balanced_classes_is_uniform(n_classes, count):
    for alpha in (None, class_prior([count] * n_classes).max(), np.inf):
        gamma = complementary_distribution([count] * n_classes, alpha)
        np.testing.assert_allclose(gamma, 1 / n_classes)


def test_complementary_distribution_limits():
    counts = [60, 30, 10]
    assert complementary_distribution(counts, 0.6)[0] == 0
    np.testing.assert_allclose(complementary_distribution(counts, np.inf), 1 / 3)
    # Rows N (K alpha - 1) drawn from Gamma bring every class to N alpha.
    alpha, n = 0.75, 100
    drawn = n * (3 * alpha - 1) * complementary_distribution(counts, alpha)
    np.testing.assert_allclose(counts + drawn, n * alpha)


@pytest.mark.parametrize("alpha", [0.59, float("nan")])
def test_complementary_distribution_refuses_a_small_alpha(alpha):
    message = (
        f"alpha must be at least the largest class prior, 0.6. Got alpha={alpha!r}. "
        "Pass alpha=None for the largest plus the smallest prior."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        complementary_distribution([60, 30, 10], alpha)


def test_acceptance_probability_broadcasts_and_matches_the_formula():
    counts = np.array([50, 40, 40, 5])
    table = acceptance_probability(counts[:, None], counts, 0.9)
    assert table.shape == (4, 4)
    for k0 in range(4):
        for k in range(4):
            assert table[k0, k] == pytest.approx(1 - 0.9 ** max(counts[k0] - counts[k], 0))
    np.testing.assert_array_equal(acceptance_probability([2, 1], 1, 0), [1, 0])
    np.testing.assert_array_equal(acceptance_probability([2, 1], 1, 1), [0, 0])


def test_acceptance_probability_of_unsigned_counts_does_not_wrap():
    assert acceptance_probability(np.uint8(1), np.uint8(2), 0.5) == 0


@given(counts_st)
def test_scaled_count_decay_lets_every_smaller_class_pass(counts):
    decay = scaled_count_decay(counts)
    assert 0 < decay <= 0.999
    smaller = counts[counts < counts.max()]
    passing = acceptance_probability(counts.max(), smaller, decay)
    if decay < 0.999:
        assert passing.min() == pytest.approx(0.95)
    else:
        assert (passing >= 0.95 - 1e-9).all()


def test_grid_count_decay_examples():
    assert grid_count_decay(CIFAR_LT[100][0]) == 0.999
    assert grid_count_decay(long_tailed_counts(500, 100, imbalance_factor=100)) == 0.99
    assert grid_count_decay([12, 10]) == 0.9  # none lets 0.95 pass
    assert grid_count_decay([12, 2], grid=[0.5, 0.9]) == 0.5


def test_grid_count_decay_refuses_an_empty_grid():
    with pytest.raises(ValueError, match="at least one count decay"):
        grid_count_decay([12, 2], grid=[])


@given(counts_st, st.integers(0, 200), st.integers(0, 200))
def test_each_class_is_in_one_shot_group(counts, a, b):
    many, few = max(a, b), min(a, b)
    groups = shot_groups(counts, many=many, few=few)
    assert list(groups) == ["many", "medium", "few"]
    assert (sum(mask.astype(int) for mask in groups.values()) == 1).all()


def test_shot_groups_on_their_borders():
    groups = shot_groups([101, 100, 20, 19])
    assert [mask.tolist() for mask in groups.values()] == [
        [True, False, False, False],
        [False, True, True, False],
        [False, False, False, True],
    ]
    with pytest.raises(ValueError, match=r"few must not be above many\. Got few=30 and many=20\."):
        shot_groups([1], many=20, few=30)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: imbalance_factor([3, 0]), "at least 1. Got 0 at index 1. Leave out classes that"),
        (lambda: imbalance_factor([3, np.nan]), "counts must be finite and at least 1. Got nan at"),
        (lambda: class_prior([[1, 2]]), "Got list of shape (1, 2) and dtype int64."),
        (lambda: class_prior({"a": 1}), "one per class. Got dict of shape () and dtype object."),
        (lambda: class_prior([]), "Got list of shape (0,)"),
        (lambda: class_prior([0, 0]), "Got counts that are all 0, 2 classes."),
        (lambda: shot_groups([-1]), "at least 0. Got -1 at index 0."),
        (lambda: effective_number([1], 1.5), "beta must be in [0, 1]. Got beta=1.5."),
        (
            lambda: acceptance_probability(2, 1, -1),
            "count_decay must be in [0, 1]. Got count_decay=-1.",
        ),
        (
            lambda: class_weights([1, 2], "equal"),
            "kind must be one of 'balanced', 'inverse', 'effective'. Got kind='equal'.",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


@given(counts=st.lists(st.integers(1, 200), min_size=1, max_size=6), share=st.floats(0, 1))
@settings(deadline=None)
def test_partial_fill_adds_a_share_of_what_is_missing(counts, share):
    y = np.repeat(np.arange(len(counts)), counts)
    target = PartialFill(share)(y)
    for k, n in enumerate(counts):
        after = target.get(k, n)
        assert abs(after - (n + share * (max(counts) - n))) <= 0.5
        assert n <= after <= max(counts)


def test_partial_fill_is_a_sampling_strategy():
    X, y = np.arange(60.0)[:, None], np.repeat(["a", "b", "c"], [30, 20, 10])
    for share, expected in [(0, [30, 20, 10]), (0.5, [30, 25, 20]), (1, [30, 30, 30])]:
        strategy = pickle.loads(pickle.dumps(PartialFill(share)))
        assert strategy == PartialFill(share)
        sampler = RandomOverSampler(sampling_strategy=strategy, random_state=0)
        assert np.unique(sampler.fit_resample(X, y)[1], return_counts=True)[1].tolist() == expected
    with pytest.raises(ValueError, match=r"share must be in \[0, 1\]. Got share=2"):
        PartialFill(2)
