"""Units of training rows, against NumPy."""

import numpy as np
import pytest
import torch
from scipy import sparse

from ltresample.rows import ArrayRows, _space, pool_of, space_of

rng = np.random.default_rng(0)


@pytest.mark.parametrize("chunk", [1, 32 << 20])
def test_tables_have_the_units_of_their_columns(chunk, monkeypatch):
    monkeypatch.setattr(_space, "CHUNK", chunk)
    x = rng.normal(3, [1, 20, 0.1], size=(50, 3))
    x[:, 2] = 7.3
    space = space_of(ArrayRows(x, dtype=torch.float64))
    np.testing.assert_allclose(space.center, x.mean(0))
    np.testing.assert_allclose(space.scale, [*x[:, :2].std(0), 0])
    np.testing.assert_array_equal(space.lower, x.min(0))
    np.testing.assert_array_equal(space.upper, x.max(0))
    assert space.integer is None
    assert not space.keep_zeros


def test_weights_stand_for_repeated_rows():
    x, n = rng.normal(size=(20, 4)), rng.integers(1, 4, size=20)
    repeated = space_of(ArrayRows(np.repeat(x, n, axis=0), dtype=torch.float64))
    weighted = space_of(ArrayRows(x, dtype=torch.float64), weight=torch.from_numpy(n / n.mean()))
    for a, b in zip(repeated[:4], weighted[:4], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("of", [np.asarray, sparse.csr_matrix])
def test_mostly_empty_tables_keep_zero_at_zero(of):
    x = rng.random((40, 6)) * (rng.random((40, 6)) < 0.2)
    space = space_of(ArrayRows(of(x), dtype=torch.float64))
    np.testing.assert_array_equal(space.center, np.zeros(6))
    want = [np.sqrt(np.mean(column[column != 0] ** 2)) for column in x.T]
    np.testing.assert_allclose(space.scale, want)


def test_binary_text_is_measured_as_it_is():
    x = (rng.random((60, 5)) < 0.2).astype(float)
    space = space_of(ArrayRows(x, dtype=torch.float64))
    np.testing.assert_allclose(space.scale, np.ones(5))
    assert float(space.lower.max()) == 0
    assert float(space.upper.min()) == 1


def test_images_in_the_unit_interval_are_pixels():
    x = rng.random((10, 3, 4, 4)) * 0.8 + 0.1
    space = space_of(ArrayRows(x))
    assert (float(space.center), float(space.scale)) == (0, 1)
    assert (float(space.lower), float(space.upper)) == (0, 1)


def test_other_images_have_their_own_range():
    x = rng.normal(size=(10, 3, 4, 4)).astype(np.float32)
    space = space_of(ArrayRows(x))
    assert float(space.lower) == float(space.center) == x.min()
    assert float(space.upper) == x.max()
    assert float(space.scale) == pytest.approx(float(x.max() - x.min()))


def test_pool_holds_the_training_split():
    rows, y = ArrayRows(rng.random((6, 2))), torch.tensor([0, 0, 0, 1, 1, 2])
    pool = pool_of(rows, y, np.array([3, 2, 1]))
    assert pool.x is rows
    assert pool.class_counts.tolist() == [3, 2, 1]
    assert not pool.in_batch
    assert pool.reference is None
