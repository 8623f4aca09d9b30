"""Weights that a recipe makes itself find their way where metadata routing is switched on."""

import numpy as np
import pytest
import sklearn
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.metadata_routing import get_routing_for_object

from ltresample import M2mSampler, OTMixSampler, ResampledClassifier

X, Y = make_classification(200, weights=[0.8], random_state=0)
CLASSIFIERS = [
    LogisticRegression(),
    make_pipeline(StandardScaler(), LogisticRegression()),
    make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), LogisticRegression())),
    VotingClassifier([("one", LogisticRegression()), ("two", HistGradientBoostingClassifier())]),
]


@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=lambda part: str(part)[:60])
@pytest.mark.parametrize(
    "sampler", [None, OTMixSampler(random_state=0), M2mSampler(soft_labels=True, random_state=0)]
)
def test_routing_changes_nothing(classifier, sampler):
    def predicted():
        corrects = sampler is None and hasattr(classifier, "predict_proba")
        model = ResampledClassifier(classifier, sampler, prior_correction=corrects, random_state=0)
        return model.fit(X, Y).predict(X)

    without = predicted()
    with sklearn.config_context(enable_metadata_routing=True):
        assert np.array_equal(predicted(), without)


def test_what_the_user_asked_for_stands():
    with sklearn.config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=True)
        model = ResampledClassifier(make_pipeline(scaler, LogisticRegression()), random_state=0)
        inside = model.fit(X, Y).classifier_.estimator_[0]
        assert get_routing_for_object(inside).fit.requests["sample_weight"] is True
