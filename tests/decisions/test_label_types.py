"""Labels of every type come back as they are meant, and a classifier fitted earlier has no say."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from ltresample.decisions import (
    MinimumCostClassifier,
    PriorCorrectedClassifier,
    TunedOffsetsClassifierCV,
    mean_cost,
)

NUMBERS, WORDS, TRUTH = [3, 1, 7], ["b", "a", "c"], [False, True, True]
KINDS = {
    "Int64": (NUMBERS, lambda y: pd.Series(y, dtype="Int64")),
    "objects that are numbers": (NUMBERS, lambda y: pd.Series(y).astype(object)),
    "string": (WORDS, lambda y: pd.Series(y, dtype="string")),
    "category": (WORDS, lambda y: pd.Series(y, dtype="category")),
    "boolean": (TRUTH, lambda y: pd.Series(y, dtype="boolean")),
    "objects that are truth values": (TRUTH, lambda y: np.array(y, dtype=object)),
}
CLASSIFIERS = [PriorCorrectedClassifier, MinimumCostClassifier, TunedOffsetsClassifierCV]


@pytest.fixture(scope="module")
def data():
    return make_classification(
        120, n_informative=4, n_classes=3, weights=[0.6, 0.25], random_state=0
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", CLASSIFIERS)
def test_labels_come_back_as_plain_ones(make, kind, data):
    (X, index), (names, convert) = data, KINDS[kind]
    plain = np.array(names)[index]
    settings = {"cv": 2} if make is TunedOffsetsClassifierCV else {}
    expected = make(**settings).fit(X, plain)
    model = make(**settings).fit(X, convert(plain))
    assert list(map(type, model.classes_.tolist())) == list(map(type, expected.classes_.tolist()))
    assert model.predict(X).tolist() == expected.predict(X).tolist()
    assert mean_cost(convert(plain), convert(plain), cost_matrix=1 - np.eye(len(set(names)))) == 0


@pytest.mark.parametrize("make", CLASSIFIERS)
def test_labels_that_are_missing_are_refused(make, data):
    y = pd.Series(data[1], dtype="Int64")
    y[3] = pd.NA
    with pytest.raises(ValueError, match="y contains NaN"):
        make().fit(data[0], y)


@pytest.mark.parametrize("make", CLASSIFIERS)
def test_what_a_classifier_was_fitted_on_before_does_not_matter(make, data):
    X, y = data
    inner = LogisticRegression().fit(X, y)  # cloned, and fitted anew
    words = np.array(["a", "b"])[(y > 0).astype(int)]
    settings = {"cost_matrix": [[0, 1], [5, 0]]} if make is MinimumCostClassifier else {}
    model = make(inner, **settings).fit(X, words)
    assert model.predict(X).tolist() == make(**settings).fit(X, words).predict(X).tolist()


@pytest.mark.parametrize("way", ["prefit", "frozen"])
def test_offsets_are_not_tuned_on_labels_that_a_fitted_classifier_does_not_know(way, data):
    X, y = data
    words, known = np.array(["a", "b", "c"])[y], y != 1
    fitted = LogisticRegression().fit(X[known], words[known])
    model = (
        TunedOffsetsClassifierCV(fitted, cv="prefit")
        if way == "prefit"
        else TunedOffsetsClassifierCV(FrozenEstimator(fitted))
    )
    with pytest.raises(
        ValueError, match="classes that the fitted classifier knows. Got the labels 'b'"
    ):
        model.fit(X, words)
