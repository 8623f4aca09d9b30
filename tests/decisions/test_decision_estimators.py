"""scikit-learn's own checks and conventions, over all classifiers with a decision of their own."""

from sklearn.naive_bayes import GaussianNB
from sklearn.utils.estimator_checks import parametrize_with_checks

from ltresample.decisions import (
    MinimumCostClassifier,
    PriorCorrectedClassifier,
    TunedOffsetsClassifierCV,
)


@parametrize_with_checks(
    [
        PriorCorrectedClassifier(),
        MinimumCostClassifier(),
        TunedOffsetsClassifierCV(),
        TunedOffsetsClassifierCV(GaussianNB(), scoring="f1_macro", cv=2),
        TunedOffsetsClassifierCV(scoring="f1_weighted"),
    ]
)
def test_scikit_learn(estimator, check):
    check(estimator)
