"""At which class shares a classifier's probabilities hold, whatever it is wrapped in."""

import numpy as np
import pandas as pd
import pytest
from imblearn.ensemble import BalancedRandomForestClassifier
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline as make_imblearn_pipeline
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from ltresample import LongTailWarning, ResampledClassifier
from ltresample.decisions import (
    MinimumCostClassifier,
    PriorCorrectedClassifier,
    TunedOffsetsClassifierCV,
)
from ltresample.metrics import shot_accuracy

X, Y = make_classification(400, n_informative=4, weights=[0.9], flip_y=0.02, random_state=0)
BALANCED = LogisticRegression(class_weight="balanced")


def frozen(classifier):
    return FrozenEstimator(classifier.fit(X, Y))


@pytest.mark.parametrize(
    "classifier",
    [
        make_pipeline(StandardScaler(), BALANCED),
        frozen(BALANCED),
        frozen(make_pipeline(StandardScaler(), BALANCED)),
        frozen(GridSearchCV(BALANCED, {"C": [1.0]}, cv=2)),
        make_pipeline(StandardScaler(), frozen(make_pipeline("passthrough", BALANCED))),
        BaggingClassifier(BALANCED, n_estimators=3),
        VotingClassifier([("one", BALANCED), ("two", BALANCED)], voting="soft"),
        StackingClassifier([("one", LogisticRegression())], BALANCED, cv=2),
    ],
    ids=lambda classifier: str(classifier)[:40],
)
def test_class_weights_are_found_inside(classifier):
    corrected = PriorCorrectedClassifier(classifier).fit(X, Y)
    assert corrected.training_prior_ == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize(
    ("classifier", "reason"),
    [
        (
            make_imblearn_pipeline(RandomOverSampler(), LogisticRegression()),
            "RandomOverSampler inside",
        ),
        (BalancedRandomForestClassifier(5), "BalancedRandomForestClassifier corrects them itself"),
        (PriorCorrectedClassifier(LogisticRegression()), "PriorCorrectedClassifier corrects them"),
        (
            ResampledClassifier(LogisticRegression(), random_state=0),
            "ResampledClassifier corrects them",
        ),
        (OneVsRestClassifier(BALANCED), "members have class weights"),
        (
            VotingClassifier([("one", BALANCED), ("two", LogisticRegression())], voting="soft"),
            "members have class weights",
        ),
    ],
    ids=lambda part: str(part)[:40],
)
def test_shares_that_cannot_be_counted_are_said(classifier, reason):
    with pytest.warns(LongTailWarning, match=f"are not: {reason}"):
        PriorCorrectedClassifier(classifier).fit(X, Y)
    PriorCorrectedClassifier(classifier, training_prior="balanced").fit(X, Y)  # says nothing


@pytest.mark.parametrize("class_weight", ["balanced", {0: 1.0, 1: 3.0}])
@pytest.mark.parametrize(
    "classifier",
    [
        LogisticRegression(),
        RandomForestClassifier(300),
        ExtraTreesClassifier(20),
        DecisionTreeClassifier(),
        HistGradientBoostingClassifier(max_iter=2),
    ],
    ids=lambda classifier: type(classifier).__name__,
)
def test_weights_of_rows_and_classes_give_the_prior_of_the_classifier_itself(
    classifier, class_weight
):
    """With nothing to learn from, a classifier answers with its prior."""
    rng = np.random.default_rng(0)
    nothing, weight = np.zeros((len(Y), 1)), rng.uniform(0.5, 1.5, len(Y)) * (1 + 4 * Y)
    classifier = classifier.set_params(class_weight=class_weight, random_state=0)
    corrected = PriorCorrectedClassifier(classifier).fit(nothing, Y, sample_weight=weight)
    own = corrected.estimator_.predict_proba(nothing[:1])[0]
    assert own == pytest.approx(corrected.training_prior_, abs=0.02)


def test_a_class_that_a_frozen_classifier_knows_and_y_lacks():
    known = FrozenEstimator(LogisticRegression().fit(X, np.arange(len(X)) % 3))
    with pytest.raises(
        ValueError, match="a row of each class that the classifier knows.*none of 2"
    ):
        PriorCorrectedClassifier(known).fit(X[:2], [0, 1])
    PriorCorrectedClassifier(known, training_prior="balanced").fit(X[:2], [0, 1])


def test_a_series_is_read_by_its_labels():
    y = np.where(Y == 1, "a", "b")
    shares = pd.Series(y).value_counts(normalize=True)
    assert list(shares.index) == ["b", "a"]
    for prior in (shares, shares.to_dict()):
        corrected = PriorCorrectedClassifier(LogisticRegression(), target_prior=prior).fit(X, y)
        assert corrected.target_prior_ == pytest.approx([shares["a"], shares["b"]])
    counts = {"b": 500, "a": 5}
    both = [
        shot_accuracy(["a", "b"], ["a", "a"], class_counts=kind(counts))
        for kind in (pd.Series, dict)
    ]
    assert both[0] == pytest.approx(both[1], nan_ok=True)


def test_costs_with_labels_that_are_truth_values():
    names = [False, True]
    costs = pd.DataFrame([[0, 1], [20, 0]], index=names, columns=names)
    for order in (costs, costs.iloc[::-1, ::-1]):
        model = MinimumCostClassifier(LogisticRegression(), cost_matrix=order).fit(X, Y > 0)
        array = MinimumCostClassifier(LogisticRegression(), cost_matrix=costs.to_numpy()).fit(
            X, Y > 0
        )
        assert (model.predict(X) == array.predict(X)).all()


@pytest.mark.parametrize("n_classes", [3, 4])
def test_decision_values_of_pairs_of_classes(n_classes):
    rows, y = make_classification(300, n_informative=5, n_classes=n_classes, random_state=0)
    for classifier in (SVC(decision_function_shape="ovo"),) * 2:
        for wrapped in (classifier, make_pipeline(StandardScaler(), classifier)):
            with pytest.raises(ValueError, match="one value for each class. Got those of pairs"):
                TunedOffsetsClassifierCV(wrapped).fit(rows, y)
    TunedOffsetsClassifierCV(SVC()).fit(rows, y)
