"""What real tables are like: categories, constant columns, tiny classes, many rows, stored zeros."""

import resource
import sys

import numpy as np
import pandas as pd
import pytest
from imblearn.pipeline import make_pipeline
from scipy import sparse
from sklearn.datasets import make_classification
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score

from ltresample import LongTailWarning
from ltresample.over_sampling import (
    DistributionMatchingOversampler,
    M2mSampler,
    OTMixSampler,
    ResampledClassifier,
    SAFASampler,
)

SAMPLERS = [M2mSampler, DistributionMatchingOversampler, OTMixSampler, SAFASampler]
TRANSLATING = SAMPLERS[:2]
WITH_CATEGORIES = SAMPLERS[:3]


@pytest.fixture(scope="module")
def data():
    X, y = make_classification(
        n_samples=240, n_features=5, n_informative=4, n_redundant=0, weights=[0.8], random_state=0
    )
    return X, y


@pytest.fixture(scope="module")
def with_categories(data):
    """Columns 1 and 3 are codes; category 9 of column 3 stands in the larger class only."""
    X, y = data[0].copy(), data[1]
    X[:, 1] = np.random.default_rng(0).choice([2.0, 5.0, 11.0], size=len(y))
    X[:, 3] = np.where(
        (y == 0) & (X[:, 3] > 0), 9.0, np.random.default_rng(1).choice([1, 4], len(y))
    )
    return X, y


@pytest.mark.parametrize("Sampler", WITH_CATEGORIES)
@pytest.mark.parametrize("columns", [[1, 3], [False, True, False, True, False], ["b", "d"]])
def test_categories_stay_valid(Sampler, with_categories, columns):
    X, y = with_categories
    names = list("abcde")
    frame = pd.DataFrame(X, columns=names) if isinstance(columns[0], str) else X
    sampler = Sampler(random_state=0, categorical_features=columns)
    X_res, y_res = sampler.fit_resample(frame, y)
    X_res = np.asarray(X_res)
    made = sampler.is_synthetic_
    assert made.sum() > 20
    pairs = {tuple(row) for row in X[:, [1, 3]]}
    assert {tuple(row) for row in X_res[made][:, [1, 3]]} <= pairs
    assert not np.isin(X_res[made][:, 0], X[:, 0]).all(), "other columns move"


@pytest.mark.parametrize("Sampler", TRANSLATING)
def test_categories_that_a_class_does_not_have_are_not_given_to_it(Sampler, with_categories):
    X, y = with_categories
    assert 9 not in X[y == 1, 3]
    sampler = Sampler(random_state=0, categorical_features=[1, 3])
    X_res, y_res = sampler.fit_resample(X, y)
    assert sampler.is_synthetic_.sum() > 20
    assert 9 not in X_res[y_res == 1, 3]
    far = Sampler(random_state=0, categorical_features=[1, 3], preset="paper", min_confidence=0)
    X_res, _ = far.fit_resample(X, y)
    made, seeds = far.is_synthetic_, far.provenance_["seed_index"]
    np.testing.assert_array_equal(X_res[made][:, [1, 3]], X[seeds[made]][:, [1, 3]])


@pytest.mark.parametrize("Sampler", TRANSLATING)
def test_no_categories_are_as_none(Sampler, data):
    X, y = data
    none = Sampler(random_state=0).fit_resample(X, y)[0]
    empty = Sampler(random_state=0, categorical_features=np.zeros(5, bool)).fit_resample(X, y)[0]
    np.testing.assert_array_equal(none, empty)


@pytest.mark.parametrize("Sampler", WITH_CATEGORIES)
def test_bad_categories_are_named(Sampler, data):
    with pytest.raises(ValueError, match=r"positions, names or a mask.*Got \[7\].*5 columns"):
        Sampler(categorical_features=[7]).fit_resample(*data)


@pytest.mark.parametrize("Sampler", SAMPLERS)
def test_constant_columns_stay_constant(Sampler, data):
    X, y = data[0].copy(), data[1]
    X[:, 0], X[:, 4] = 0.1, -3e8
    sampler = Sampler(random_state=0)
    X_res, _ = sampler.fit_resample(X, y)
    assert sampler.is_synthetic_.sum() > 20
    assert (X_res[:, [0, 4]] == X[0, [0, 4]]).all()


@pytest.mark.parametrize("Sampler", SAMPLERS)
def test_a_column_that_is_constant_in_a_class_does_no_harm(Sampler, data):
    X, y = data[0].copy(), data[1]
    X[y == 1, 2] = 0.5
    X_res, _ = Sampler(random_state=0).fit_resample(X, y)
    assert np.isfinite(X_res).all()
    assert X_res.min() >= X.min()
    assert X_res.max() <= X.max()


@pytest.mark.parametrize("Sampler", SAMPLERS)
def test_all_columns_constant(Sampler, data):
    y = data[1]
    X = np.full((len(y), 3), 2.5)
    with pytest.warns(LongTailWarning):
        X_res, y_res = Sampler(random_state=0).fit_resample(X, y)
    assert (X_res == 2.5).all()
    assert np.bincount(y_res).min() == np.bincount(y).max()


@pytest.mark.filterwarnings("ignore:The least populated class:UserWarning")
@pytest.mark.filterwarnings("ignore:The guide is no better:ltresample.LongTailWarning")
@pytest.mark.parametrize("Sampler", SAMPLERS)
def test_a_class_smaller_than_the_number_of_folds(Sampler, data):
    """In some folds the class has two samples for training, in others three."""
    X, y = data
    keep = np.r_[np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:3]]
    model = ResampledClassifier(LogisticRegression(max_iter=500), Sampler(random_state=0))
    folds = StratifiedKFold(5)
    scores = cross_val_score(model, X[keep], y[keep], cv=folds, error_score="raise")
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("Sampler", SAMPLERS)
def test_missing_values_are_refused_and_the_remedy_works(Sampler, data):
    X, y = data[0].copy(), data[1]
    X[3, 2] = np.nan
    with pytest.raises(ValueError, match="contains NaN.*SimpleImputer in front of the sampler"):
        Sampler(random_state=0).fit_resample(X, y)
    model = make_pipeline(SimpleImputer(), Sampler(random_state=0), LogisticRegression())
    assert model.fit(X, y).predict(X).shape == y.shape


@pytest.mark.parametrize("Sampler", SAMPLERS)
def test_stored_zeros_change_nothing(Sampler):
    rng = np.random.default_rng(0)
    dense = np.where(rng.random((120, 12)) < 0.3, rng.integers(1, 5, (120, 12)), 0.0)
    y = np.repeat([0, 1], [90, 30])
    dense[y == 1, :2] += 2
    plain = sparse.csr_array(dense)
    row, column = np.nonzero(np.ones_like(dense))
    stored = sparse.csr_array((dense.ravel(), (row, column)), shape=dense.shape)
    assert stored.nnz == dense.size > plain.nnz
    results = [Sampler(random_state=0).fit_resample(X, y)[0] for X in (plain, stored)]
    np.testing.assert_array_equal(results[0].toarray(), results[1].toarray())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux only")
@pytest.mark.parametrize("Sampler", TRANSLATING)
def test_many_rows_in_bounded_memory(Sampler):
    """1e5 x 300: beside input and output, 1 GB at most."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100_000, 300)).astype(np.float32)
    y = (rng.random(len(X)) < 0.2).astype(int)
    X[y == 1] += 0.3
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    X_res, y_res = Sampler(random_state=0).fit_resample(X, y)
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert np.bincount(y_res).min() == np.bincount(y).max()
    assert more < X_res.nbytes + 1e9
