import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.utils.estimator_checks import parametrize_with_checks

from ltresample.prior_correction import PriorCorrectedClassifier


@parametrize_with_checks(
    [PriorCorrectedClassifier(LogisticRegression()), PriorCorrectedClassifier()]
)
def test_scikit_learn(estimator, check):
    check(estimator)


def normals(counts, seed):
    rng = np.random.default_rng(seed)
    means = np.array([[0.0, 0.0], [1.5, 0.0], [0.0, 1.5]])[: len(counts)]
    y = np.repeat(np.arange(len(counts)), counts)
    return rng.normal(size=(len(y), 2)) + means[y], y


@given(tail=st.integers(20, 60), seed=st.integers(0, 20))
@settings(max_examples=10, deadline=None)
def test_naive_bayes_with_another_prior_is_the_same(tail, seed):
    """GaussianNB takes priors: correcting afterwards must equal giving them at the start."""
    X, y = normals([300, 100, tail], seed)
    target = np.array([0.2, 0.3, 0.5])
    corrected = PriorCorrectedClassifier(GaussianNB(), target_prior=target).fit(X, y)
    direct = GaussianNB(priors=target).fit(X, y)
    np.testing.assert_allclose(corrected.predict_proba(X), direct.predict_proba(X), atol=1e-9)


def test_target_train_changes_nothing():
    X, y = normals([300, 40], 0)
    plain = LogisticRegression().fit(X, y)
    corrected = PriorCorrectedClassifier(LogisticRegression(), target_prior="train").fit(X, y)
    np.testing.assert_allclose(corrected.predict_proba(X), plain.predict_proba(X), atol=1e-12)


def test_behind_a_sampler_the_resampled_prior_counts():
    X, y = normals([300, 40], 0)
    model = make_pipeline(RandomOverSampler(random_state=0), PriorCorrectedClassifier()).fit(X, y)
    np.testing.assert_allclose(model[-1].train_prior_, [0.5, 0.5])


def test_weights_count_in_the_prior():
    X, y = normals([30, 10], 0)
    model = PriorCorrectedClassifier().fit(X, y, sample_weight=np.where(y == 1, 3.0, 1.0))
    np.testing.assert_allclose(model.train_prior_, [0.5, 0.5])


def test_bad_prior_is_named():
    X, y = make_classification(random_state=0)
    with pytest.raises(ValueError, match="one positive number per class.*2 classes"):
        PriorCorrectedClassifier(target_prior=[1.0, 1.0, 1.0]).fit(X, y)
