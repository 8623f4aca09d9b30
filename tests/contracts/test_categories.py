"""Categories by type, by name and as one-hot columns stay valid in every sampler's rows."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from ltresample import LongTailWarning
from ltresample.mixing import ColumnSwap
from ltresample.over_sampling import (
    DistributionMatchingOversampler,
    M2mSampler,
    OpenSampler,
    OTMixSampler,
    ResampledClassifier,
    SAFASampler,
)
from ltresample.rows import one_hot_groups
from ltresample.training import DeferredRebalancingClassifier

G = LogisticRegression(max_iter=50, tol=0.1)
EASY = {"min_confidence": 0.05, "random_state": 0}
QUICK = {"g": G, "class_test": False, "distance": "none", "embedding": "identity", "n_steps": 2}
SAMPLERS = {
    "M2m": lambda **own: M2mSampler(g=G, count_decay=0.1, **EASY, **own),
    "M2m far": lambda **own: M2mSampler(preset="paper", g=G, count_test=False, **EASY, **own),
    "DM": lambda **own: DistributionMatchingOversampler(**QUICK, **EASY, **own),
    "DM open": lambda **own: DistributionMatchingOversampler(**QUICK, **EASY, **own),
    "Mixup": lambda **own: OTMixSampler(preset="cmo", random_state=0, **own),
    "ColumnSwap": lambda **own: OTMixSampler(preset="cmo", mix=ColumnSwap(), random_state=0, **own),
    "SAFA": lambda **own: SAFASampler(n_steps=3, random_state=0, synthetic_share=1.0, **own),
    "Open": lambda **own: OpenSampler(random_state=0, **own),
}


def resampled(name, X, y, **own):
    sampler = SAMPLERS[name](**own)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LongTailWarning)
        params = {"X_aux": X} if name == "DM open" else {}
        X_res, y_res = sampler.fit_resample(X, y, **params)
    return sampler, X_res, y_res


def mixed_table(seed, sizes, n=60):
    """Return numbers, labels, and the level of each row in each group of one-hot columns."""
    rng = np.random.default_rng(seed)
    y = np.repeat([0, 1, 2], [n - 24, 16, 8])
    numbers = rng.normal(size=(n, 3)) + y[:, None]
    levels = [rng.integers(0, size, n) for size in sizes]
    for level, size in zip(levels, sizes, strict=True):
        level[rng.permutation(n)[:size]] = np.arange(size)  # each is there
    return numbers, y, levels


@pytest.mark.parametrize("name", SAMPLERS)
@given(
    seed=st.integers(0, 10**6),
    sizes=st.lists(st.integers(2, 6), min_size=1, max_size=3),
    values=st.sampled_from([(0.0, 1.0), (-1.0, 1.0), (0.0, 2.5)]),
    shuffled=st.booleans(),
)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_no_row_is_invalid(name, seed, sizes, values, shuffled):
    """One-hot groups are found wherever they stand, and hold one 1 in every row."""
    numbers, y, levels = mixed_table(seed, sizes)
    blocks = [np.eye(size)[level] for level, size in zip(levels, sizes, strict=True)]
    ends = np.cumsum([0, *sizes]) + 3
    X = np.hstack([numbers, *blocks])
    X[:, 3:] = values[0] + X[:, 3:] * (values[1] - values[0])
    order = (
        np.random.default_rng(seed).permutation(X.shape[1]) if shuffled else np.arange(X.shape[1])
    )
    sampler, X_res, _ = resampled(name, X[:, order], y)
    back = X_res[:, np.argsort(order)]
    for start, stop in zip(ends[:-1], ends[1:], strict=True):
        part = back[:, start:stop]
        assert np.isin(part, values).all()
        assert ((part == values[1]).sum(axis=1) == 1).all()
    groups = [set(group) for group in sampler.columns_["one_hot"]]
    assert sorted(map(len, groups)) == sorted(sizes)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("kind", [pd, pl])
def test_frames_of_every_kind_of_category(name, kind):
    numbers, y, (a, b, c) = mixed_table(0, [3, 4, 2])
    colours = np.array(["red", "green", "blue"])[a]
    X = kind.DataFrame({"x": numbers[:, 0], "colour": colours, "z": numbers[:, 1], "on": c == 1})
    if kind is pd:
        X["size"] = pd.Categorical.from_codes(b, [10, 20, 30, 40])
        X["word"] = pd.Series(colours).astype(object)
    else:
        X = X.with_columns(
            pl.Series(
                "size", np.array(list("uvwx"))[b], dtype=pl.Enum(["u", "v", "w", "x", "never"])
            ),
            pl.Series("word", colours, dtype=pl.Categorical),
        )
    sampler, X_res, y_res = resampled(name, X, y)
    assert type(X_res) is type(X)
    assert list(X_res.dtypes) == list(X.dtypes)
    assert sampler.columns_["categories"] == [n for n in X.columns if n not in "xz"]
    assert sampler.columns_["numbers"] == ["x", "z"]
    for column in ("colour", "on", "size", "word"):
        assert set(X_res[column].to_list()) <= set(X[column].to_list())
    assert (X_res[: len(y)] == X).to_numpy().all()
    if name not in ("Open", "DM open"):
        combinations = {tuple(map(str, row)) for row in zip(a, b, c == 1, strict=True)}
        columns = [X_res[n].to_list() for n in ("colour", "size", "on")]
        place = {v: str(i) for i, v in enumerate(["red", "green", "blue"])}
        sizes = {v: str(i) for i, v in enumerate([10, 20, 30, 40] if kind is pd else "uvwx")}
        got = {(place[u], sizes[v], str(w)) for u, v, w in zip(*columns, strict=True)}
        assert got <= combinations, "categories of a row come from one real row"


@pytest.mark.parametrize("name", ["M2m", "DM", "SAFA"])
def test_categories_are_those_of_the_class_where_it_has_some(name):
    numbers, y, _ = mixed_table(1, [2])
    X = pd.DataFrame({"x": numbers[:, 0], "z": numbers[:, 1], "k": np.array(list("abc"))[y]})
    sampler, X_res, y_res = resampled(name, X, y)
    assert (X_res["k"].to_numpy() == np.array(list("abc"))[y_res]).all()


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("columns", [["k"], [2], [False, False, True], [["k"]]])
def test_a_category_column_may_be_named(name, columns):
    numbers, y, (a,) = mixed_table(2, [3])
    X = pd.DataFrame({"x": numbers[:, 0], "z": numbers[:, 1], "k": pd.Categorical(a)})
    sampler, X_res, _ = resampled(name, X, y, categorical_features=columns)
    assert X_res["k"].dtype == X["k"].dtype
    assert sampler.columns_["categories"] == ["k"]


@pytest.mark.parametrize("name", SAMPLERS)
def test_named_groups_may_be_empty_in_some_rows(name):
    """OneHotEncoder(drop="first") leaves the first level without a column."""
    numbers, y, (a, b) = mixed_table(3, [4, 3])
    X = np.hstack([numbers, np.eye(4)[a][:, 1:], np.eye(3)[b][:, 1:]])
    assert one_hot_groups(X) == []
    for features in ([[3, 4, 5], [6, 7]], [3, 4, 5, 6, 7]):
        _, X_res, _ = resampled(name, X, y, categorical_features=features)
        for part in (X_res[:, 3:6], X_res[:, 6:]):
            assert np.isin(part, (0, 1)).all()
            assert (part.sum(axis=1) <= 1).all()


@pytest.mark.parametrize("name", SAMPLERS)
def test_an_empty_list_switches_the_search_off(name):
    numbers, y, (a,) = mixed_table(4, [3])
    X = np.hstack([numbers, np.eye(3)[a]])
    sampler, X_res, _ = resampled(name, X, y, categorical_features=[])
    assert sampler.columns_["one_hot"] == []
    if name in ("M2m", "Mixup"):
        assert not np.isin(X_res[:, 3:], (0, 1)).all()


@pytest.mark.parametrize("name", SAMPLERS)
def test_sparse_one_hot_columns(name):
    numbers, y, levels = mixed_table(5, [5, 6, 7])
    frame = pd.DataFrame({f"k{i}": level for i, level in enumerate(levels)})
    encoded = OneHotEncoder().fit_transform(frame)
    X = sparse.hstack([sparse.csr_matrix(numbers), encoded], format="csr")
    sampler, X_res, _ = resampled(name, X, y)
    assert [len(group) for group in sampler.columns_["one_hot"]] == [5, 6, 7]
    dense = X_res.toarray()
    for start, stop in ((3, 8), (8, 14), (14, 21)):
        assert (dense[:, start:stop].sum(axis=1) == 1).all()
        assert np.isin(dense[:, start:stop], (0, 1)).all()


def test_groups_are_not_imagined():
    rng = np.random.default_rng(0)
    assert one_hot_groups(rng.normal(size=(50, 5))) == []
    assert one_hot_groups((rng.random((300, 40)) < 0.1).astype(float)) == []
    text = sparse.random_array((200, 3000), density=0.01, rng=rng, format="csr")
    text.data[:] = 1
    assert one_hot_groups(text) == []
    assert one_hot_groups(np.ones((9, 3))) == []


def test_what_recommends_an_encoder_is_true():
    numbers, y, (a,) = mixed_table(6, [3])
    frame = pd.DataFrame({"x": numbers[:, 0], "k": np.array(list("abc"))[a]})
    encoder = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["k"]), remainder="passthrough"
    )
    _, X_res, _ = resampled("M2m", encoder.fit_transform(frame), y)
    assert (X_res[:, :3].sum(axis=1) == 1).all()


def test_a_pipeline_gets_frames_with_categories():
    numbers, y, (a,) = mixed_table(7, [3])
    X = pd.DataFrame({"x": numbers[:, 0], "z": numbers[:, 1], "k": np.array(list("abc"))[a]})
    encoder = make_column_transformer((OneHotEncoder(), ["k"]), remainder=StandardScaler())
    model = ResampledClassifier(make_pipeline(encoder, LogisticRegression()), SAMPLERS["M2m"]())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LongTailWarning)
        assert model.fit(X, y).predict(X).shape == y.shape
    assert list(model.feature_names_in_) == ["x", "z", "k"]


def test_training_on_frames_with_categories():
    numbers, y, (a,) = mixed_table(8, [3])
    X = pd.DataFrame({"x": numbers[:, 0], "k": np.array(list("abc"))[a], "z": numbers[:, 1]})
    net = DeferredRebalancingClassifier(
        resampler=SAMPLERS["M2m"](), start=0, max_epochs=2, lr=0.01, random_state=0
    ).fit(X, y)
    assert net.n_features_in_ == 3
    proba = net.predict_proba(X)
    np.testing.assert_array_equal(net.predict_proba(X[["x", "k", "z"]].iloc[:5]), proba[:5])
    with pytest.raises(
        ValueError, match=r"Column 'k' of X holds categories that are not known: \['q'"
    ):
        net.predict(X.assign(k="q"))
    encoded = np.column_stack([X["x"], np.eye(3)[a], X["z"]])
    plain = DeferredRebalancingClassifier(
        resampler=SAMPLERS["M2m"](), start=0, max_epochs=2, lr=0.01, random_state=0
    ).fit(encoded, y)
    np.testing.assert_allclose(plain.predict_proba(encoded), proba, atol=1e-6)


@pytest.mark.parametrize("name", ["M2m", "Open"])
@pytest.mark.parametrize(
    ("column", "text"),
    [
        (pd.date_range("2020", periods=60), "dates or times.*days since"),
        (pd.timedelta_range("1D", periods=60), "dates or times.*days since"),
        (pd.period_range("2020", periods=60, freq="D"), "dates, times or intervals"),
        ([f"id{i}" for i in range(59)] + [3], "text such as 'id0' beside 3"),
        ([[1, 2]] * 60, "no number; an argument must be"),
        (np.full(60, 1 + 2j), "Complex data not supported: Column 'k'"),
        ([None, *["a"] * 59], r"Input X contains NaN. Got it in 1 column\(s\): 'k'"),
        (pd.array([None, *[1] * 59], dtype="Int64"), r"NaN. Got it in 1 column\(s\): 'k'"),
        (pd.array([None, *[True] * 59], dtype="boolean"), r"NaN. Got it in 1 column\(s\): 'k'"),
    ],
)
def test_columns_are_refused_by_name(name, column, text):
    numbers, y, _ = mixed_table(9, [2])
    X = pd.DataFrame({"x": numbers[:, 0], "k": column})
    with pytest.raises((ValueError, TypeError), match=f"(?s){text}"):
        SAMPLERS[name]().fit_resample(X, y)
    with pytest.raises((ValueError, TypeError), match=f"(?s){text}"):
        DeferredRebalancingClassifier().fit(X, y)


def test_names_are_no_categories():
    y = np.repeat([0, 1], [900, 200])
    X = pd.DataFrame({"x": np.arange(1100.0), "id": [f"n{i}" for i in range(1100)]})
    with pytest.raises(
        ValueError, match="'id' of X has 1100 different categories, and at most 1000"
    ):
        M2mSampler().fit_resample(X, y)


@pytest.mark.filterwarnings("ignore::ltresample.LongTailWarning")
def test_open_set_rows_have_the_categories_of_x():
    numbers, y, (a,) = mixed_table(10, [3])
    X = pd.DataFrame({"x": numbers[:, 0], "k": np.array(list("abc"))[a]})
    aux = pd.DataFrame({"k": ["a", "b"] * 20, "x": np.linspace(0, 1, 40)})
    X_res, _ = OpenSampler(X_aux=aux, random_state=0).fit_resample(X, y)
    assert set(X_res["k"][60:]) == {"a", "b"}
    with pytest.raises(
        ValueError, match=r"Column 'k' of X_aux holds categories that are not known: \['z'"
    ):
        OpenSampler(X_aux=aux.assign(k="z")).fit_resample(X, y)
