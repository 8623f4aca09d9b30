"""Open-sampling: Proposition 1, expectations, exact counts, the loss of a step."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader

from ltresample._random import Seed
from ltresample.class_counts import class_prior, effective_number
from ltresample.rows import ArrayRows, Pool, RowStream, Space
from ltresample.synthesis import (
    LossTerm,
    OpenSampling,
    Slots,
    Step,
    balancing_size,
    exact_counts,
    label_distribution,
)

counts_of = st.lists(st.integers(1, 5000), min_size=2, max_size=30)


def cifar10_lt():
    return np.array([5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50])


# ---- Proposition 1 and the other label distributions ----------------------------


@given(counts_of, st.floats(0, 10))
def test_complementary_sums_to_one_and_is_the_papers_formula(counts, more):
    prior = class_prior(counts)
    alpha = prior.max() + more
    gamma = label_distribution(counts, alpha=alpha)
    assert gamma.sum() == pytest.approx(1)
    assert (gamma >= 0).all()
    denominator = len(prior) * alpha - 1
    if denominator > 1e-9:
        np.testing.assert_allclose(gamma, (alpha - prior) / denominator, atol=1e-9)


@given(counts_of)
def test_minimum_is_complementary_at_the_largest_prior(counts):
    alpha = float(class_prior(counts).max())
    minimum = label_distribution(counts, "minimum")
    np.testing.assert_array_equal(minimum, label_distribution(counts, alpha=alpha))
    if len(set(counts)) > 1:
        assert minimum[np.argmax(counts)] == 0
    # it needs the fewest rows: N_max for every class
    assert balancing_size(counts, alpha) == len(counts) * max(counts) - sum(counts)


@given(counts_of)
def test_uniform_is_the_limit(counts):
    uniform = label_distribution(counts, "uniform")
    np.testing.assert_array_equal(uniform, np.full(len(counts), 1 / len(counts)))
    np.testing.assert_allclose(label_distribution(counts, alpha=1e9), uniform, atol=1e-8)


@given(counts_of)
def test_the_rarer_the_class_the_likelier_the_label(counts):
    counts = np.sort(counts)[::-1]
    for kind in ("complementary", "minimum", "class_balanced"):
        assert (np.diff(label_distribution(counts, kind)) >= -1e-12).all()
    assert (np.diff(label_distribution(counts, "original")) <= 1e-12).all()


def test_values_of_the_papers_data_set():
    gamma = label_distribution(cifar10_lt())
    wanted = [0.0013, 0.0539, 0.0854, 0.1043, 0.1156, 0.1224, 0.1265, 0.1289, 0.1304, 0.1313]
    np.testing.assert_allclose(gamma, wanted, atol=5e-5)
    inverse = 1 / effective_number(cifar10_lt(), 0.9999)
    balanced = label_distribution(cifar10_lt(), "class_balanced")
    np.testing.assert_allclose(balanced, inverse / inverse.sum())
    assert balanced[-1] == pytest.approx(0.40, abs=0.005)
    prior = cifar10_lt() / cifar10_lt().sum()
    np.testing.assert_allclose(label_distribution(cifar10_lt(), "original"), prior)


@given(counts_of)
def test_balanced_classes_get_uniform_labels(counts):
    even = [counts[0]] * len(counts)
    for kind in ("complementary", "minimum", "uniform", "original", "class_balanced"):
        np.testing.assert_allclose(label_distribution(even, kind), 1 / len(even))


def test_bad_label_distributions():
    with pytest.raises(ValueError, match="one of 'complementary'.*Got label_distribution='even'"):
        label_distribution([2, 1], "even")
    with pytest.raises(
        ValueError, match="alpha belongs to label_dist.*='complementary'.*'uniform'"
    ):
        label_distribution([2, 1], "uniform", alpha=1.0)
    with pytest.raises(ValueError, match=r"largest class prior, 0.666667. Got alpha=0.5"):
        label_distribution([2, 1], alpha=0.5)


# ---- exact counts ----------------------------


@given(counts_of, st.floats(0, 3))
def test_class_totals_are_equal_to_within_one_row(counts, more):
    alpha = float(class_prior(counts).max() + more)
    gamma = label_distribution(counts, alpha=alpha)
    m = balancing_size(counts, alpha)
    added = exact_counts(m, gamma)
    total = np.array(counts) + added
    assert added.sum() == m
    assert total.max() - total.min() <= 1
    assert abs(total.mean() - alpha * sum(counts)) <= 1


@given(counts_of)
def test_default_alpha_fills_all_classes_to_the_largest_plus_the_smallest(counts):
    added = exact_counts(balancing_size(counts), label_distribution(counts))
    assert set(np.array(counts) + added) == {max(counts) + min(counts)}


@given(counts_of, st.integers(0, 1000))
def test_exact_counts_are_within_one_of_their_share(counts, n):
    gamma = label_distribution(counts)
    got = exact_counts(n, gamma)
    assert got.sum() == n
    assert (np.abs(got - n * gamma) < 1).all()


# ---- the loss term ----------------------------


def literal_loss(logits, y, omega):
    """1/m sum omega_y CE(f(x), y), row by row, as Eq. 5 has it."""
    total = 0.0
    for z, label in zip(logits, y, strict=True):
        total += omega[label] * (np.log(np.exp(z).sum()) - z[label])
    return total / len(y)


def evaluate(term: LossTerm, logits):
    """Compute a term as `LossTerm` says: mean over rows of coef * weight * criterion."""
    per_row = None if term.class_weight is None else term.class_weight.to(logits)[term.y]
    return float(term.coef * term.criterion(logits[term.rows], term.y, sample_weight=per_row))


@pytest.fixture
def logits():
    return torch.from_numpy(np.random.default_rng(0).normal(size=(40, 4)))


def method(**params):
    return OpenSampling(label_distribution([60, 25, 10, 5]), **params)


def test_term_is_the_papers_and_the_published_codes(logits):
    sampling = method(eta=1.5)
    y = torch.from_numpy(np.random.default_rng(1).integers(0, 4, 40))
    omega = sampling.class_weight
    want = 1.5 * literal_loss(logits.numpy(), y.numpy(), omega)
    assert evaluate(sampling.term(y, start=0), logits) == pytest.approx(want)
    code = nn.CrossEntropyLoss(weight=torch.from_numpy(omega))(logits, y)  # a weighted mean
    own = method(eta=1.5, normalize="weights").term(y, start=0)
    assert evaluate(own, logits) == pytest.approx(1.5 * float(code))


def test_weights_sum_to_the_number_of_classes():
    assert method().class_weight.sum() == pytest.approx(4)


def test_soft_form_is_the_exact_expectation(logits):
    """Sum over all labels of Gamma_j omega_j CE(f(x), j), row by row."""
    sampling = method(eta=2.0)
    gamma, omega = sampling.distribution, sampling.class_weight
    log_p = logits.log_softmax(1).numpy()
    want = 2.0 * np.mean(-(gamma * omega * log_p).sum(1))
    term = method(eta=2.0, soft=True).term(torch.zeros(40, dtype=torch.long), start=0)
    assert evaluate(term, logits) == pytest.approx(want)
    np.testing.assert_allclose(sampling.soft_target, gamma**2 / (gamma**2).sum())
    mean_weight = 4 * (gamma**2).sum()
    assert term.coef == pytest.approx(2.0 * mean_weight)
    code = method(eta=2.0, soft=True, normalize="weights").term(torch.zeros(40).long(), start=0)
    assert code.coef == 2.0, "divided by the mean weight, as a weighted mean is"


def test_random_labels_average_to_the_soft_form(logits):
    sampling, soft = method(), method(soft=True)
    pool = pool_of(np.zeros((40, 2)))
    want = evaluate(soft.term(torch.zeros(40, dtype=torch.long), start=0), logits)
    losses = [
        evaluate(sampling.term(drawn(sampling, pool, 40, Seed(0).child(i)).y, start=0), logits)
        for i in range(2000)
    ]
    error = np.std(losses) / np.sqrt(len(losses))
    assert abs(np.mean(losses) - want) < 4 * error
    assert error < 0.02 * want


def test_cosine_heads_are_scaled():
    cosines = torch.tensor([[0.9, -0.2, 0.1, 0.0]])
    y = torch.tensor([0])
    scaled = evaluate(method(logit_scale=30.0).term(y, start=0), cosines)
    by_hand = evaluate(method().term(y, start=0), 30 * cosines)
    assert scaled == pytest.approx(by_hand)
    assert scaled < 1e-6 < evaluate(method().term(y, start=0), cosines)


# ---- draws and batches ----------------------------


def pool_of(aux, n=6):
    x = np.random.default_rng(0).normal(size=(n, aux.shape[1]))
    return Pool(
        x=ArrayRows(x, dtype=torch.float64),
        y=torch.arange(n) % 4,
        class_counts=torch.tensor([60, 25, 10, 5]),
        space=Space.pixels(dtype=torch.float64),
        aux_x=ArrayRows(aux, dtype=torch.float64),
    )


def drawn(method, pool, m, seed):
    """Draw m open-set rows, as a step of training does."""
    return method.draw(method.begin(pool, seed), Slots(torch.arange(m)), seed, seed)


def rewritten(method, pool, seed):
    return Step(method, pool, Seed(9))(pool.x.take(torch.arange(6)), pool.y, seed=seed)


def test_labels_follow_the_distribution_and_never_have_probability_zero():
    counts = [60, 25, 10, 5]
    sampling = OpenSampling(label_distribution(counts, "minimum"))
    y = drawn(sampling, pool_of(np.zeros((3, 2))), 40_000, Seed(0)).y.numpy()
    share = np.bincount(y, minlength=4) / len(y)
    assert share[0] == 0
    np.testing.assert_allclose(share, sampling.distribution, atol=0.01)


def test_labels_are_drawn_anew_or_stay_with_their_sample():
    pool = pool_of(np.arange(20.0).reshape(10, 2))
    fixed = method(fixed=Seed(5))
    label = {}
    changed = False
    for step in range(30):
        anew = drawn(method(), pool, 10, Seed(1).child(step))
        stays = drawn(fixed, pool, 10, Seed(1).child(step))
        assert torch.equal(anew.index, stays.index)
        for i, y, free in zip(stays.index.tolist(), stays.y.tolist(), anew.y.tolist(), strict=True):
            assert label.setdefault(i, y) == y
            changed |= free != y
    assert changed
    assert len(set(label.values())) > 1
    many = pool_of(np.zeros((50_000, 1)))
    share = np.bincount(drawn(fixed, many, 20_000, Seed(0)).y.numpy(), minlength=4) / 20_000
    np.testing.assert_allclose(share, fixed.distribution, atol=0.015)


def test_a_batch_is_the_real_rows_then_open_set_rows_in_one():
    aux = 100 + np.arange(20.0).reshape(10, 2)
    pool = pool_of(aux)
    batch = rewritten(method(n_aux=5, eta=0.5), pool, Seed(3))
    real = pool.x.take(torch.arange(6))
    assert batch.x.shape == (11, 2)
    assert torch.equal(batch.x[:6], real)
    assert {tuple(row) for row in batch.x[6:].tolist()} <= {tuple(row) for row in aux.tolist()}
    own, extra = batch.terms
    assert own == LossTerm(slice(0, 6), pool.y)
    assert extra.rows == slice(6, 11)
    assert extra.coef == 0.5
    assert len(extra.y) == 5
    again = rewritten(method(n_aux=5, eta=0.5), pool, Seed(3))
    assert torch.equal(batch.x, again.x)
    assert torch.equal(extra.y, again.terms[1].y)
    other = rewritten(method(n_aux=5, eta=0.5), pool, Seed(4))
    assert not torch.equal(batch.x, other.x)
    assert len(rewritten(method(), pool, Seed(3)).x) == 12  # as many as real ones


def test_eta_zero_leaves_the_real_loss():
    batch = rewritten(method(eta=0.0), pool_of(np.zeros((3, 2))), Seed(0))
    assert evaluate(batch.terms[1], torch.randn(12, 4, generator=Seed(0).torch())) == 0


def test_streams_are_read_on_and_cannot_have_fixed_labels():
    loader = DataLoader(torch.arange(10.0, dtype=torch.float64).view(5, 2), batch_size=2)
    pool = pool_of(np.zeros((1, 2)))._replace(aux_x=RowStream(loader, dtype=torch.float64))
    first = rewritten(method(n_aux=3), pool, Seed(0)).x[6:, 0]
    second = rewritten(method(n_aux=3), pool, Seed(1)).x[6:, 0]
    assert first.tolist() == [0, 2, 4]
    assert second.tolist() == [6, 8, 0]  # started again
    with pytest.raises(ValueError, match="samples that can be told apart. Got a loader"):
        rewritten(method(fixed=Seed(0)), pool, Seed(0))


@settings(max_examples=25)
@given(counts_of, st.integers(1, 200))
def test_offline_weights_reproduce_the_loss(counts, m):
    """N * (mean over real + eta * mean over open-set of omega CE) = weighted sum."""
    sampling = OpenSampling(label_distribution(counts), eta=0.7)
    n = sum(counts)
    y = np.repeat(np.arange(len(counts)), exact_counts(m, sampling.distribution))
    weight = sampling.coefficient(y) * sampling.class_weight[y] * n / m
    losses = np.linspace(0, 1, m)
    want = n * 0.7 * np.mean(sampling.class_weight[y] * losses)
    assert (weight * losses).sum() == pytest.approx(want)
