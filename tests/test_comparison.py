"""compare: the same numbers as by hand, a table, a picture, and what is refused."""

import joblib
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import make_pipeline as make_sampling_pipeline
from scipy import sparse
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, balanced_accuracy_score, log_loss
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import LinearSVC

from ltresample import compare
from ltresample._random import root_seed
from ltresample.class_counts import PartialFill
from ltresample.decisions import PriorCorrectedClassifier, correct_prior
from ltresample.over_sampling import M2mSampler, ResampledClassifier
from ltresample.over_sampling._trials import paired_interval
from ltresample.plotting import ComparisonDisplay

mpl.use("Agg")
NAMES = [
    *("plain", "corrected", "corrected, with g", "class weights", "duplicates", "SMOTE"),
    *("M2m 5 %, corrected", "M2m 5 %, with g"),
]


@pytest.fixture(scope="module")
def data():
    X, y = make_classification(n_samples=200, n_informative=4, weights=[0.85], random_state=0)
    return X, np.array(["usual", "rare"])[y]


@pytest.fixture(scope="module")
def result(data):
    return compare(*data, GaussianNB(), n_splits=3, n_repeats=2, random_state=5)


def test_scores_are_those_of_models_fitted_by_hand(data, result):
    X, y = data
    assert result.names == NAMES
    assert result.scores.shape == (8, 6, 3)
    seed = root_seed(5)
    folds = RepeatedStratifiedKFold(
        n_splits=3, n_repeats=2, random_state=seed.child("folds").integer() % 2**31
    )
    for number, (train, test) in enumerate(folds.split(X, y)):
        plain = GaussianNB().fit(X[train], y[train])
        corrected = PriorCorrectedClassifier(GaussianNB()).fit(X[train], y[train])
        p = np.clip(plain.predict_proba(X[test]), 1e-7, 1)
        for i, model in enumerate((plain, corrected)):
            expected = [
                balanced_accuracy_score(y[test], model.predict(X[test])),
                average_precision_score(y[test] == "rare", model.predict_proba(X[test])[:, 0]),
                log_loss(y[test], p / p.sum(axis=1, keepdims=True)),
            ]
            np.testing.assert_allclose(result.scores[i, number], expected, rtol=1e-4)


@pytest.mark.filterwarnings("ignore::ltresample.LongTailWarning")
def test_votes_are_those_of_resampled_classifiers(data, result):
    """At equal class shares for decisions, at those of the training data for the log loss."""
    X, y = data
    seed = root_seed(5)
    folds = RepeatedStratifiedKFold(
        n_splits=3, n_repeats=2, random_state=seed.child("folds").integer() % 2**31
    )
    sampler_seed = seed.child("samplers").integer() % 2**31
    shared = {"random_state": sampler_seed, "synthetic_share": 1.0, "soft_labels": True}
    for number, (train, test) in enumerate(folds.split(X, y)):
        shares = np.unique(y[train], return_counts=True)[1] / len(train)
        for name, share in (("corrected, with g", {}), ("M2m 5 %, with g", PartialFill(0.05))):
            model = ResampledClassifier(
                GaussianNB(),
                M2mSampler(sampling_strategy=share, **shared),
                prior_correction=True,
                guide_weight=0.5,
            ).fit(X[train], y[train])
            proba = model.predict_proba(X[test])
            at_shares = np.maximum(correct_prior(proba, [0.5, 0.5], shares), 1e-7)
            expected = [
                balanced_accuracy_score(y[test], model.predict(X[test])),
                average_precision_score(y[test] == "rare", proba[:, 0]),
                log_loss(y[test], at_shares / at_shares.sum(axis=1, keepdims=True)),
            ]
            found = result.scores[result.names.index(name), number]
            np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_a_vote_that_is_refused_is_told_of(data):
    X, y = data
    words = pd.DataFrame({"word": np.where(X[:, 0] > 0, "up", "down"), "more": X[:, 1].round(1)})
    words["word"] = words["word"].mask(words.index % 7 == 0)
    inner = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    result = compare(words, y, inner, n_splits=2, n_repeats=1)
    expected = {"corrected, with g", "SMOTE", "M2m 5 %, corrected", "M2m 5 %, with g"}
    assert set(result.failures) == expected
    assert np.isnan(result.means[result.names.index("corrected, with g")]).all()
    assert np.isfinite(result.means[result.names.index("corrected")]).all()


def test_the_table_says_it_all(result):
    text = str(result)
    assert repr(result) == text
    lines = text.splitlines()
    for name, line in zip(NAMES, lines[1:], strict=False):
        assert line.startswith(name)
    assert "2 x 3-fold cross-validation of 200 samples in 2 classes of 1" in text
    assert f"{result.means[0, 0]:.3f}" in lines[1]
    mean, half = result.differences()
    assert f"{mean[5, 0]:+.3f} [{mean[5, 0] - half[5, 0]:+.3f}" in lines[6]
    assert ("*" in lines[1]) == bool((np.abs(mean[0]) > half[0]).any())
    assert (mean[1] == 0).all()


def test_the_picture(result):
    display = result.plot()
    assert isinstance(display, ComparisonDisplay)
    assert [label.get_text() for label in display.axes_[0].get_yticklabels()] == NAMES
    mean, _ = result.differences()
    for column, ax in enumerate(display.axes_):
        points = [c.lines[0].get_xdata()[0] for c in ax.containers]
        np.testing.assert_allclose(points, mean[:, column])
        assert "minus corrected" in ax.get_xlabel()
    mpl.pyplot.close(display.figure_)


def test_intervals_are_those_of_the_corrected_t_test():
    """Nadeau and Bengio 2003: (1 / J + n_test / n_train) in place of 1 / J."""
    d = np.array([0.01, 0.03, -0.01, 0.02])
    mean, error, half = paired_interval(d, 0.25)
    assert mean == pytest.approx(0.0125)
    assert error == pytest.approx(np.sqrt((1 / 4 + 0.25) * d.var(ddof=1)))
    assert half == pytest.approx(3.18244630528 * error)  # t, 3 degrees of freedom, 0.975
    assert np.isnan(paired_interval(d[:1], 0.25)[2])


def test_one_repeatable_result_whatever_the_container_and_the_jobs(data, result):
    X, y = data
    options = {"n_splits": 3, "n_repeats": 2, "random_state": 5}
    frame = pd.DataFrame(X).add_prefix("c")
    with joblib.parallel_config(backend="threading"):
        other = compare(frame, pd.Series(y), GaussianNB(), n_jobs=2, **options)
    np.testing.assert_allclose(other.scores, result.scores, rtol=1e-6)
    thin = compare(sparse.csr_array(np.where(X > 1, X, 0)), y, n_splits=2, n_repeats=1)
    assert np.isfinite(thin.scores).all()


def test_classifiers_without_probabilities_or_weights(data):
    machine = compare(*data, LinearSVC(), n_splits=2, n_repeats=1)
    assert machine.metrics == ["balanced accuracy", "average precision"]
    assert machine.reference == "plain"
    assert machine.names == ["plain", "class weights", "duplicates", "SMOTE", "M2m"]
    assert np.isfinite(machine.scores).all()
    neighbors = compare(*data, KNeighborsClassifier(), n_splits=2, n_repeats=1)
    assert "class weights" not in neighbors.names
    assert neighbors.reference == "corrected"


def test_many_classes_weights_and_own_methods(data):
    X, y = make_classification(
        n_samples=240, n_informative=4, n_classes=3, weights=[0.6, 0.3], random_state=0
    )
    own = make_sampling_pipeline(SMOTE(k_neighbors=2, random_state=0), LogisticRegression())
    weight = np.random.default_rng(0).uniform(1, 2, len(y))
    result = compare(
        X,
        y,
        LogisticRegression(),
        others={"own": own},
        n_splits=2,
        n_repeats=1,
        sample_weight=None,
    )
    assert result.names[-1] == "own"
    assert np.isfinite(result.scores).all()
    weighted = compare(X, y, LogisticRegression(), n_splits=2, n_repeats=1, sample_weight=weight)
    assert (weighted.scores[0] != result.scores[0]).any()


def test_what_fails_is_told(data):
    X, y = data
    few = np.r_[np.flatnonzero(y == "usual"), np.flatnonzero(y == "rare")[:2]]
    result = compare(X[few], y[few], GaussianNB(), n_splits=2, n_repeats=1)
    assert list(result.failures) == ["SMOTE"]
    assert "SMOTE: ValueError: " in str(result)
    smote = result.names.index("SMOTE")
    assert np.isnan(result.scores[smote]).all()
    assert np.isfinite(np.delete(result.scores, smote, axis=0)).all()


def test_bad_input(data):
    X, y = data
    with pytest.raises(ValueError, match=r"each of the n_splits=50 folds.*\['rare'\]"):
        compare(X, y, n_splits=50)
    with pytest.raises(ValueError, match="at least two classes"):
        compare(X, ["a"] * len(y))
    with pytest.raises(ValueError, match="n_splits must be at least 2"):
        compare(X, y, n_splits=1)
    with pytest.raises(ValueError, match="takes no sample_weight"):
        compare(X, y, KNeighborsClassifier(), sample_weight=np.ones(len(y)))
    with pytest.raises(TypeError, match="classifier must be a classifier"):
        compare(X, y, SMOTE())
    with pytest.raises(ValueError, match=r"names of their own. Got \['corrected'\]"):
        compare(X, y, others={"corrected": KNeighborsClassifier()})
    with pytest.raises(ValueError, match="inconsistent"):
        compare(X, y[1:])
    with pytest.raises(ValueError, match=r"must have shape \(1, 1\)"):
        ComparisonDisplay(["a"], ["b"], [[0, 1]], [[0, 1]], reference="a")
