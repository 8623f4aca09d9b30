"""What is held does not grow faster than the data: no wide copies, no loops over classes."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.naive_bayes import GaussianNB
from torch.overrides import TorchFunctionMode

from ltresample._random import Seed
from ltresample.guides import GuideRecipe, _fit, _score, fit_guide
from ltresample.over_sampling import (
    DistributionMatchingOversampler,
    M2mSampler,
    OTMixSampler,
    ResampledClassifier,
    to_weighted_pairs,
)
from ltresample.over_sampling._shares import AllShares, TwoShares
from ltresample.rows import _categories, _containers, one_hot_groups, open_values, pool_of, units_of
from ltresample.rows._sources import ArrayRows
from ltresample.synthesis import NearSeeds
from tests.own_sampler import JitterSampler


def peak_of(call):
    """Return the largest number of bytes that a call held at once, and its result."""
    tracemalloc.start()
    try:
        result = call()
        return tracemalloc.get_traced_memory()[1], result
    finally:
        tracemalloc.stop()


def text_frame(n=2000, n_columns=8, n_levels=100):
    codes = np.random.default_rng(0).integers(n_levels, size=(n_columns, n))
    return pd.DataFrame({f"c{i}": pd.Categorical(code) for i, code in enumerate(codes)})


# ---- tables of categories ------------------------------------------------------------------------


def test_one_hot_blocks_are_written_in_their_place():
    frame = text_frame()
    peak, opened = peak_of(lambda: open_values(GaussianNB(), frame, reset=True))
    assert opened.values.shape == (2000, 800)
    np.testing.assert_array_equal(opened.values.reshape(2000, 8, 100).argmax(2), frame)
    assert peak < 1.5 * opened.values.nbytes, "blocks of all columns stood beside the table"


def test_two_valued_columns_are_looked_at_a_few_at_a_time(monkeypatch):
    codes = np.random.default_rng(0).integers(20, size=(3000, 15))
    values = np.eye(20)[codes].reshape(3000, 300)
    whole = one_hot_groups(values)
    assert [group.tolist() for group in whole] == np.arange(300).reshape(15, 20).tolist()
    monkeypatch.setattr(_categories, "CHUNK", values.nbytes // 20, raising=False)
    peak, parts = peak_of(lambda: one_hot_groups(values))
    assert peak < values.nbytes / 2
    for ours, theirs in zip(parts, whole, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "convert", [np.asarray, sparse.csr_array, lambda x: sparse.csr_array(x / 4)]
)
@pytest.mark.parametrize("n", [31, 32, 33])
def test_groups_in_any_order_of_columns(n, convert):
    codes = np.random.default_rng(n).integers(4, size=n)
    values = np.column_stack([np.eye(4)[codes], np.arange(n) % 2])[:, [3, 4, 0, 2, 1]]
    assert [group.tolist() for group in one_hot_groups(convert(values))] == [[0, 2, 3, 4]]


def arrays_in(item):
    return [item] if isinstance(item, np.ndarray) else [a for part in item for a in arrays_in(part)]


def test_frames_keep_columns_and_not_one_hot_blocks():
    frame = text_frame(n=60)
    opened = open_values(GaussianNB(), frame, reset=True)
    container = _containers.container_of(frame, opened.columns)
    container.open(opened.values, 40)
    container.write(torch.arange(20), torch.from_numpy(opened.values[:20]))
    container.write(torch.arange(20, 40), torch.from_numpy(opened.values[20:40]))
    held = arrays_in(container.parts)
    assert sum(array.nbytes for array in held) <= 40 * frame.shape[1] * 8
    assert all(array.base is None for array in held), "a view holds all of what it is a part of"
    made = container.close(np.ones(40, bool), np.zeros(40, int))
    pd.testing.assert_frame_equal(made.iloc[60:].reset_index(drop=True), frame.iloc[:40])


def test_kinds_of_objects_are_found_once(monkeypatch):
    seen, found = [], _containers.object_kind
    monkeypatch.setattr(
        _containers, "object_kind", lambda real: seen.append(len(real)) or found(real)
    )
    rng = np.random.default_rng(0)
    X = np.empty((300, 2), dtype=object)
    X[:, 0], X[:, 1] = rng.choice(["a", "b", "c"], 300), rng.normal(size=300).tolist()
    X_res, _ = JitterSampler(random_state=0).fit_resample(X, np.arange(300) // 250)
    assert seen == [300, 300], "once a column, however many passes there are"
    assert {type(v) for v in X_res[:, 1]} == {float}


# ---- images --------------------------------------------------------------------------------------


def test_bytes_are_not_read_to_learn_their_range(monkeypatch):
    images = np.zeros((50, 1, 4, 4), dtype=np.uint8)
    monkeypatch.setattr(ArrayRows, "take", lambda self, index: pytest.fail("rows were read"))
    assert float(units_of(ArrayRows(images)).upper) == 255


# ---- many classes --------------------------------------------------------------------------------


class Comparisons(TorchFunctionMode):
    """Counts comparisons of tensors as long as the new rows."""

    def __init__(self, n):
        super().__init__()
        self.n, self.seen = n, 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", "") in ("eq", "__eq__") and args[0].numel() == self.n:
            self.seen += 1
        return func(*args, **(kwargs or {}))


def many_classes(n_classes=60):
    y = np.repeat(np.arange(n_classes), np.arange(n_classes) % 4 + 2)
    return np.random.default_rng(0).normal(size=(len(y), 3)) + y[:, None], y


def test_new_rows_are_not_searched_class_by_class():
    X, y = many_classes()
    n_new = 60 * 5 - len(y)
    with Comparisons(n_new) as seen:
        _, y_res = JitterSampler(random_state=0).fit_resample(X, y)
    assert np.bincount(y_res).tolist() == [5] * 60
    assert seen.seen == 0


@pytest.mark.filterwarnings("ignore::ltresample.exceptions.LongTailWarning")
@pytest.mark.parametrize("Sampler", [M2mSampler, OTMixSampler])
def test_shares_take_no_room_of_all_classes(Sampler, monkeypatch):
    X, y = many_classes()
    sampler = Sampler(random_state=0, **({"soft_labels": True} if Sampler is M2mSampler else {}))
    X_res, _ = sampler.fit_resample(X, y)
    fitted = vars(sampler).values()
    values = [v for kept in fitted for v in (kept if type(kept) is TwoShares else [kept])]
    table = len(X_res) * 60
    assert not any(isinstance(v, np.ndarray) and v.size >= table for v in values)
    assert sampler.soft_targets_.shape == (len(X_res), 60)
    monkeypatch.setattr(TwoShares, "dense", lambda self: pytest.fail("a table of all classes"))
    model = ResampledClassifier(GaussianNB(), sampler).fit(X, y)
    assert model.predict(X).shape == y.shape


def two_shares(draw):
    n, n_classes = draw(st.integers(1, 12)), draw(st.integers(1, 5))
    classes = st.lists(st.integers(0, n_classes - 1), min_size=n, max_size=n)
    own, other = np.array(draw(classes)), np.array(draw(classes))
    share = np.array(draw(st.lists(st.sampled_from([0, 0.25, 0.6, 1]), min_size=n, max_size=n)))
    return TwoShares(own, share, other, 1 - share, n_classes)


@given(st.composite(two_shares)())
def test_two_shares_are_a_table_of_all(shares):
    """The short form says what the table (n, K) says: pairs, own share, whether rows are mixed."""
    table = shares.dense()
    expected = np.zeros_like(table)
    rows = np.arange(len(table))
    np.add.at(expected, (rows, shares.own), shares.share)
    np.add.at(expected, (rows, shares.other), shares.rest)
    np.testing.assert_array_equal(table, expected)
    whole = AllShares(shares.own, table)
    for ours, theirs in zip(shares.weighted(), whole.weighted(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(shares.of_own_class, whole.of_own_class)
    assert shares.are_mixed == whole.are_mixed
    X, y, weight = to_weighted_pairs(rows[:, None], table, np.arange(shares.n_classes))
    for ours, theirs in zip(shares.weighted(), (X[:, 0], y, weight), strict=True):
        np.testing.assert_array_equal(ours, theirs)


# ---- what is bounded in silence is documented ------------------------------------------------------


@pytest.mark.parametrize("Sampler", [M2mSampler, DistributionMatchingOversampler, OTMixSampler])
def test_docstrings_name_the_bounds(Sampler):
    said = " ".join(Sampler.__doc__.split())
    assert f"a class-balanced draw of {_fit.MOST_ROWS:,} rows" in said
    assert f"images: {_fit.MOST_IMAGES:,}," in said
    assert f"sparse rows: {_fit.FEW_ROWS:,}," in said
    assert f"`guide_score_` is of {_score.MOST_ROWS:,}," in said
    if Sampler is not OTMixSampler:
        assert f"sought among {NearSeeds().max_sources:,} samples" in said


@pytest.mark.parametrize("n_classes", [2, 200])
def test_a_guide_learns_from_at_most_so_many_rows(n_classes, monkeypatch):
    n, taken = 20_000, []
    pool = pool_of(
        ArrayRows(np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)),
        torch.arange(n) % n_classes,
        np.full(n_classes, n // n_classes),
    )
    take = ArrayRows.take
    monkeypatch.setattr(
        ArrayRows, "take", lambda self, index: taken.append(len(index)) or take(self, index)
    )
    fit_guide(pool, Seed(0), GuideRecipe(n_members=1, hidden=4, random_units=True))
    assert sum(taken) == max(_fit.MOST_ROWS, 64 * n_classes)
