"""Estimators turned into modules give the estimators' own probabilities."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from torch import nn
from torch.testing import assert_close

from ltresample.guides import as_classifier, differentiable, fitted
from ltresample.models import CosineHead

LINEAR = LogisticRegression(max_iter=1000)
GUIDES = [
    LINEAR,
    LinearDiscriminantAnalysis(),
    SGDClassifier(loss="log_loss", random_state=0),
    MLPClassifier((8, 5), activation="tanh", max_iter=2000, random_state=0),
    MLPClassifier((8,), activation="relu", max_iter=2000, random_state=0),
    make_pipeline(StandardScaler(), LINEAR),
    make_pipeline(StandardScaler(with_mean=False), "passthrough", LINEAR),
    make_pipeline(MinMaxScaler(), LINEAR),
    make_pipeline(MaxAbsScaler(), RobustScaler(), LINEAR),
    make_pipeline(StandardScaler(), PCA(3, whiten=True), LINEAR),
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("guide", GUIDES, ids=lambda g: str(g)[:60])
def test_probabilities_are_those_of_the_estimator(guide, binary):
    X, y = load_iris(return_X_y=True)
    X, y = (X[50:], y[50:]) if binary else (X, y)
    g = fitted(guide, X, y, "g")
    module = differentiable(g).double()
    with torch.no_grad():
        proba = module(torch.from_numpy(X)).softmax(1).numpy()
    np.testing.assert_allclose(proba, g.predict_proba(X), atol=1e-7)


def test_what_has_no_gradient_is_refused_by_name():
    X, y = load_iris(return_X_y=True)
    forest = RandomForestClassifier(n_estimators=2).fit(X, y)
    with pytest.raises(TypeError, match="without gradients that could be used"):
        differentiable(forest)
    step = make_pipeline(PolynomialFeatures(), clone(LINEAR)).fit(X, y)
    with pytest.raises(TypeError, match="step that cannot be differentiated.*PolynomialFeatures"):
        differentiable(step)
    hinge = SGDClassifier(loss="hinge").fit(X, y)
    with pytest.raises(TypeError, match="loss='hinge' has no probabilities"):
        differentiable(hinge)


def test_cosine_heads_get_their_scale():
    g = nn.Sequential(CosineHead(4, 10))
    rows = torch.eye(4)
    classifier = as_classifier(g, rows, np.arange(10), "g")
    assert classifier.scales == (30.0,)
    assert classifier.log_proba(g[0].weight.detach()[:1] * 5).exp().max() > 0.46
    scaled = nn.Sequential(CosineHead(4, 10, scale=16.0))
    assert as_classifier(scaled, rows, np.arange(10), "g").scales == (1.0,)


def test_members_of_an_ensemble_have_a_scale_each():
    rows = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    members = [
        nn.Sequential(CosineHead(4, 3)),
        nn.Linear(4, 3),
        nn.Sequential(CosineHead(4, 3, scale=5)),
    ]
    alone = [as_classifier(g, rows, np.arange(3), "g").log_proba(rows).exp() for g in members]
    together = as_classifier(members, rows, np.arange(3), "g")
    assert_close(together.log_proba(rows).exp(), torch.stack(alone).mean(0))
    scaled = [s * g(rows) for s, g in zip((30, 1, 1), members, strict=True)]
    assert_close(together.logits(rows, scaled=True), torch.stack(scaled).mean(0))


def test_a_network_that_ends_in_a_softmax():
    rows = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    network = nn.Sequential(nn.Linear(4, 3), nn.Softmax(-1))
    g = as_classifier(network, rows, np.arange(3), "g")
    assert_close(g.log_proba(rows).exp(), network(rows))


def test_an_ensemble_averages_probabilities():
    X, y = load_iris(return_X_y=True)
    guides = [LogisticRegression(C=c, max_iter=1000).fit(X, y) for c in (0.01, 10)]
    rows = torch.from_numpy(X)
    classifier = as_classifier(guides, rows, np.arange(3), "g")
    mean = np.mean([g.predict_proba(X) for g in guides], axis=0)
    np.testing.assert_allclose(classifier.log_proba(rows).exp().detach(), mean, atol=1e-7)
