import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

from ltresample.metrics import calibration_error
from ltresample.over_sampling import M2mSampler, ResampledClassifier
from ltresample.plotting import ReliabilityDisplay


@pytest.fixture(scope="module")
def models():
    X, y = make_classification(n_samples=600, weights=[0.9], flip_y=0.05, random_state=0)
    plain = LogisticRegression().fit(X[:300], y[:300])
    sampler = M2mSampler(random_state=0, n_steps=2)
    balanced = ResampledClassifier(LogisticRegression(), sampler).fit(X[:300], y[:300])
    return {"before": plain, "after": balanced}, X[300:], y[300:]


def test_curves_are_those_of_the_predictions(models):
    estimators, X, y = models
    display = ReliabilityDisplay.from_estimators(estimators, X, y)
    for name, model in estimators.items():
        assert display.curves[name].count.sum() == len(y)
        error = calibration_error(y, model.predict_proba(X))
        assert display.curves[name].error == error
    assert display.curves["before"].error < display.curves["after"].error


@pytest.mark.parametrize("label", [None, 1])
def test_picture(models, label):
    display = ReliabilityDisplay.from_estimators(*models, label=label).plot()
    names = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert [name.split(" (")[0] for name in names] == ["before", "after"]
    diagonal, *curves = display.ax_.get_lines()[:3]
    np.testing.assert_array_equal(diagonal.get_xydata(), [[0, 0], [1, 1]])
    for line, curve in zip(curves, display.curves.values(), strict=True):
        filled = curve.count > 0
        np.testing.assert_array_equal(line.get_ydata(), curve.frequency[filled])
    assert ("class 1" if label else "predicted class") in display.ax_.get_xlabel()


def test_bad_input(models):
    estimators, X, y = models
    with pytest.raises(ValueError, match="1 to 8 classifiers. Got 0"):
        ReliabilityDisplay({})
    other = LogisticRegression().fit(X, np.where(y == 1, "a", "b"))
    with pytest.raises(ValueError, match="the same classes. Got"):
        ReliabilityDisplay.from_estimators({**estimators, "other": other}, X, y)
