"""Weights through meta-estimators; what is a classifier."""

import numpy as np
import pytest
from imblearn.over_sampling import RandomOverSampler
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import RFE, RFECV
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from ltresample import M2mSampler, PriorCorrectedClassifier, ResampledClassifier
from ltresample._estimators import check_classifier, offers, weight_keyword
from ltresample.decisions import MinimumCostClassifier, TunedOffsetsClassifierCV
from ltresample.over_sampling import AutoResampledClassifier

PLAIN, NEIGHBORS = LogisticRegression(), KNeighborsClassifier()
SCALED = make_pipeline(StandardScaler(), LogisticRegression())


def both(kind, second, **params):
    return kind([("a", PLAIN), ("b", second)], **params)


CASES = [
    (PLAIN, "sample_weight"),
    (NEIGHBORS, None),
    (SCALED, "logisticregression__sample_weight"),
    (GridSearchCV(PLAIN, {"C": [0.1, 1.0]}, cv=2), "sample_weight"),
    (RandomizedSearchCV(NEIGHBORS, {"n_neighbors": [1, 3]}, n_iter=2, cv=2), None),
    (
        GridSearchCV(SCALED, {"logisticregression__C": [1.0]}, cv=2),
        "logisticregression__sample_weight",
    ),
    (make_pipeline(GridSearchCV(PLAIN, {"C": [1.0]}, cv=2)), "gridsearchcv__sample_weight"),
    (both(VotingClassifier, DecisionTreeClassifier()), "sample_weight"),
    (both(VotingClassifier, NEIGHBORS), None),
    (both(VotingClassifier, SCALED), None),
    (both(StackingClassifier, DecisionTreeClassifier(), cv=2), "sample_weight"),
    (both(StackingClassifier, DecisionTreeClassifier(), final_estimator=NEIGHBORS), None),
    (both(StackingClassifier, NEIGHBORS, cv=2), None),
    (CalibratedClassifierCV(PLAIN, cv=2), "sample_weight"),
    (CalibratedClassifierCV(NEIGHBORS, cv=2), None),
    (BaggingClassifier(NEIGHBORS, n_estimators=2), "sample_weight"),
    (AdaBoostClassifier(n_estimators=2), "sample_weight"),
    (RFE(PLAIN), "sample_weight"),
    (RFECV(PLAIN, cv=2), None),
]
WRAPPED = [
    (PriorCorrectedClassifier(SCALED), "sample_weight"),
    (PriorCorrectedClassifier(NEIGHBORS), None),
    (TunedOffsetsClassifierCV(NEIGHBORS, cv=2), None),
    (MinimumCostClassifier(NEIGHBORS), None),
    (ResampledClassifier(SCALED, RandomOverSampler()), "sample_weight"),
    (ResampledClassifier(NEIGHBORS), None),
    (AutoResampledClassifier(NEIGHBORS, cv=2), None),
    (
        make_pipeline(StandardScaler(), ResampledClassifier(PLAIN, RandomOverSampler())),
        "resampledclassifier__sample_weight",
    ),
]


@pytest.mark.parametrize(
    ("classifier", "keyword"), CASES + WRAPPED, ids=lambda case: str(case)[:40]
)
def test_the_keyword_is_one_that_works(classifier, keyword):
    assert weight_keyword(classifier) == keyword
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 3)), np.repeat([0, 1], 30)
    if keyword is not None:
        classifier.fit(X, y, **{keyword: rng.uniform(0.5, 1.0, 60)})
        assert classifier.predict(X).shape == (60,)


@pytest.mark.parametrize("classifier", [case for case, keyword in CASES if keyword is not None])
def test_soft_labels_reach_what_takes_weights(classifier):
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [45, 15])
    X = rng.normal(size=(60, 3)) + 2 * y[:, None]
    model = ResampledClassifier(classifier, random_state=0).fit(X, y)
    if model.prior_correction == "auto" and offers(classifier, "predict_proba"):
        assert model.sampler_.soft_labels
        assert isinstance(model.classifier_, PriorCorrectedClassifier)
        assert model.predict_proba(X).shape == (60, 2)
    model.fit(X, y, sample_weight=rng.uniform(0.5, 1.0, 60))
    assert (model.predict(X) == y).mean() > 0.5


def test_what_will_be_offered_after_fit():
    stack = both(StackingClassifier, DecisionTreeClassifier())
    for method in ("predict", "predict_proba", "decision_function"):
        assert offers(stack, method)
        assert offers(make_pipeline(StandardScaler(), stack), method)
    assert not offers(LinearSVC(), "predict_proba")
    X, y = np.arange(20.0)[:, None], np.arange(20) // 10
    corrected = PriorCorrectedClassifier(stack)
    assert corrected.fit(X, y).predict_proba(X).shape == (20, 2)
    with pytest.raises(ValueError, match=r"estimator must have predict_proba. Got .*LinearSVC\(\)"):
        PriorCorrectedClassifier(LinearSVC()).fit(X, y)


class Bare:
    """Follows the conventions without a base class."""

    def fit(self, X, y):
        return self

    def predict(self, X):
        return X


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            LinearRegression(),
            r"must be a classifier. Got .*LinearRegression\(\), which is a regress",
        ),
        (KMeans(), "which is a clusterer"),
        (
            LogisticRegression,
            r"an instance, not a class.*class LogisticRegression. Pass classifier=",
        ),
        (StandardScaler(), "classifier with fit and predict. Got classifier=StandardScaler"),
    ],
)
def test_what_is_no_classifier_is_refused(given, said):
    with pytest.raises(TypeError, match=said):
        check_classifier(given, "classifier")
    with pytest.raises(TypeError, match=said):
        ResampledClassifier(given).fit(np.eye(4), [0, 0, 1, 1])


def test_a_plain_class_of_the_user_s_passes():
    check_classifier(Bare(), "classifier")


def test_a_sampler_in_first_place_is_told_what_moved():
    with pytest.raises(
        TypeError, match=r"classifier first, then the sampler. Got .*M2mSampler\(\)"
    ):
        ResampledClassifier(M2mSampler(), PLAIN).fit(np.eye(4), [0, 0, 1, 1])


def test_a_sampler_s_class_is_refused():
    with pytest.raises(TypeError, match=r"Got the class M2mSampler. Pass sampler=M2mSampler\(\)"):
        ResampledClassifier(PLAIN, M2mSampler).fit(np.eye(4), [0, 0, 1, 1])


def test_the_recipe_around_a_decision_without_weights_has_hard_labels():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [45, 15])
    X = rng.normal(size=(60, 3)) + 2 * y[:, None]
    model = ResampledClassifier(MinimumCostClassifier(NEIGHBORS), random_state=0).fit(X, y)
    assert not model.sampler_.soft_labels
    assert model.predict(X).shape == (60,)


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("prior_correction", [False, True])
def test_weights_pass_a_search_over_a_pipeline_with_resampling(routing, prior_correction):
    X, y = make_classification(80, weights=[0.8], random_state=0)
    weight = np.where(np.arange(80) % 4 == 0, 0.0, 1.0)
    inner = ResampledClassifier(
        LogisticRegression(), RandomOverSampler(random_state=0), prior_correction=prior_correction
    )
    grid = {"resampledclassifier__classifier__C": [1.0]}
    with config_context(enable_metadata_routing=routing):
        scaler, scorer = StandardScaler(), make_scorer(accuracy_score)
        if routing:
            inner.set_fit_request(sample_weight=True)
            scaler.set_fit_request(sample_weight=False)
            scorer.set_score_request(sample_weight=False)
        search = GridSearchCV(
            make_pipeline(scaler, inner), grid, cv=2, scoring=scorer, error_score="raise"
        )
        name = "sample_weight" if routing else weight_keyword(search)
        found = search.fit(X, y, **{name: weight}).best_estimator_
        expected = clone(inner).fit(found[0].transform(X), y, sample_weight=weight)
    np.testing.assert_allclose(
        found.predict_proba(X), expected.predict_proba(found[0].transform(X))
    )
    plain = clone(inner).fit(found[0].transform(X), y)
    assert not np.allclose(found.predict_proba(X), plain.predict_proba(found[0].transform(X)))
