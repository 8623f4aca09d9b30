import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.data_sets import data_hash, load, split


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=8),
    st.sampled_from([0.0, 0.1, 0.25, 0.5]),
    st.integers(0, 3),
)
def test_split_is_stratified_and_leaves_every_class_something(counts, share, seed):
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    train, held = split(y, share, seed)
    assert np.array_equal(np.sort(np.concatenate([train, held])), np.arange(len(y)))
    n_held = np.bincount(y[held], minlength=len(counts))
    assert (np.bincount(y[train], minlength=len(counts)) >= 1).all()
    exact = share * np.array(counts)
    assert (n_held >= np.minimum(np.floor(exact), np.array(counts) - 1)).all()
    assert (n_held <= np.ceil(exact)).all()
    # what one class cannot give is given by no other
    assert len(held) <= share * len(y) + 1e-9


def test_split_follows_the_seed():
    y = np.repeat([0, 1], [60, 20])
    assert np.array_equal(split(y, 0.1, 0)[1], split(y, 0.1, 0)[1])
    assert not np.array_equal(split(y, 0.1, 0)[1], split(y, 0.1, 1)[1])


def test_digits_have_a_long_tail():
    data = load({"name": "digits", "imbalance_factor": 20}, None)
    counts = np.bincount(data.y_train)
    assert counts.max() / counts.min() == pytest.approx(20, rel=0.15)
    assert data.X_train.dtype == np.float32
    assert data.X_train.max() == 1
    assert len(np.unique(data.y_test)) == 10


def test_the_hash_sees_every_value_and_type():
    data = load({"name": "digits", "imbalance_factor": 20}, None)
    changed = data.X_test.copy()
    changed[-1, -1] += 1
    others = [
        data._replace(X_test=changed),
        data._replace(X_train=data.X_train.astype(np.float64)),
        data._replace(y_train=data.y_train[::-1]),
    ]
    assert len({data_hash(d) for d in (data, *others)}) == 4
    assert data_hash(data) == data_hash(data._replace(X_test=data.X_test.copy()))


def test_unknown_data_sets_are_named_with_those_that_exist():
    said = r"^There is no data set 'digit'\. Did you mean 'digits'\? There are: .*digits, package"
    with pytest.raises(ValueError, match=said):
        load({"name": "digit"}, None)
