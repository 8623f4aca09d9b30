import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.comparison import Bootstrap, correct_samples, packed_samples

N_TEST = [40, 5, 0, 15]


def correct(seed, n_seeds=3):
    return np.random.default_rng(seed).random((n_seeds, sum(N_TEST))) < 0.7


def balanced_accuracy(row):
    """Literally: mean over classes of the share of recognised samples."""
    recalls, start = [], 0
    for n in N_TEST:
        if n:
            recalls.append(row[start : start + n].mean())
        start += n
    return np.mean(recalls)


@settings(deadline=None)
@given(arrays(bool, 30), arrays(np.int8, 30, elements=st.integers(0, 4)))
def test_packing_sorts_by_class_and_loses_nothing(hits, y):
    n_test = np.bincount(y, minlength=5)
    unpacked = correct_samples(packed_samples(hits, y), n_test.tolist())
    assert np.array_equal(unpacked, np.concatenate([hits[y == k] for k in range(5)]))


def test_the_mean_is_balanced_accuracy():
    row, other = correct(0), correct(1)
    bootstrap = Bootstrap(N_TEST, 3)
    wanted = np.mean([balanced_accuracy(r) for r in row])
    assert bootstrap.balanced_accuracy(row).mean == pytest.approx(wanted)
    gain = wanted - np.mean([balanced_accuracy(r) for r in other])
    assert bootstrap.difference(row, other).mean == pytest.approx(gain)


def test_every_resample_is_a_balanced_accuracy_of_drawn_samples():
    bootstrap = Bootstrap(N_TEST, 3, n_resamples=50)
    row = correct(0)
    # weights of each class sum to 1 / number of classes, in multiples of 1 / (n * classes)
    starts = np.cumsum([0, *N_TEST])
    for n, start in zip(N_TEST, starts[:-1], strict=True):
        if n:
            weights = bootstrap.of_sample[:, start : start + n]
            np.testing.assert_allclose(weights.sum(1), 1 / 3)
            np.testing.assert_allclose(weights * n * 3, np.round(weights * n * 3), atol=1e-9)
    found = bootstrap.balanced_accuracy(row)
    drawn = [
        sum(w * balanced_accuracy_of(row[s], weights) for s, w in enumerate(bootstrap.of_seed[b]))
        for b, weights in enumerate(bootstrap.of_sample)
    ]
    assert found[1:] == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])))


def balanced_accuracy_of(row, weights):
    return sum(w for w, hit in zip(weights, row, strict=True) if hit)


def test_samples_alone_give_the_binomial_error():
    rng = np.random.default_rng(0)
    row = (rng.random(sum(N_TEST)) < 0.7)[None]
    starts = np.cumsum([0, *N_TEST])
    recalls = [row[0, s : s + n].mean() for n, s in zip(N_TEST, starts[:-1], strict=True) if n]
    variance = sum(p * (1 - p) / n for p, n in zip(recalls, [40, 5, 15], strict=True)) / 9
    found = Bootstrap(N_TEST, 1, n_resamples=20_000).balanced_accuracy(row)
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.05)


def test_limits():
    row = correct(0)
    still = Bootstrap(N_TEST, 3, samples=False, seeds=False).balanced_accuracy(row)
    assert still.low == still.high == pytest.approx(still.mean)
    assert Bootstrap(N_TEST, 3).difference(row, row) == (0, 0, 0)
    # seeds that agree leave nothing to resample over seeds
    same = row[:1].repeat(3, axis=0)
    over_seeds = Bootstrap(N_TEST, 3, samples=False).balanced_accuracy(same)
    assert over_seeds.low == pytest.approx(over_seeds.high)


def test_pairing_narrows_the_interval():
    row = correct(0)
    other = row.copy()
    other[:, 0] = ~other[:, 0]
    bootstrap = Bootstrap(N_TEST, 3)
    paired = bootstrap.difference(row, other)
    alone = bootstrap.balanced_accuracy(row)
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)
