"""scikit-learn's checks of the classifier with its defaults: all of them, none expected to fail."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from ltresample.training import DeferredRebalancingClassifier

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning"),
    # some checks pass data on which a class stands alone
    pytest.mark.filterwarnings("ignore::ltresample.LongTailWarning"),
]


@parametrize_with_checks([DeferredRebalancingClassifier()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)
