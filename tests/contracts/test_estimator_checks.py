"""scikit-learn's and imbalanced-learn's own checks, over every sampler, with no expected failure."""

import pytest
from imblearn.utils import estimator_checks as imblearn_checks
from sklearn.linear_model import LogisticRegression
from sklearn.utils import estimator_checks as sklearn_checks

from ltresample.over_sampling import (
    DistributionMatchingOversampler,
    M2mSampler,
    OpenSampler,
    OTMixSampler,
    ResampledClassifier,
    SAFASampler,
)
from tests.own_sampler import JitterSampler

SAMPLERS = [
    M2mSampler(random_state=0),
    DistributionMatchingOversampler(random_state=0),
    OpenSampler(random_state=0),
    SAFASampler(random_state=0),
    OTMixSampler(random_state=0),
    JitterSampler(random_state=0),  # what users may add
]
# rows with weights, in a classifier that is as random as its sampler
RESAMPLED = ResampledClassifier(
    LogisticRegression(max_iter=1000), OTMixSampler(preset="cmo", random_state=0)
)
ESTIMATORS = [*SAMPLERS, RESAMPLED, ResampledClassifier(random_state=0)]

# the checks themselves use data on which little can be accepted, single samples of a class, and
# containers that warn; what they check is the contract
pytestmark = pytest.mark.filterwarnings("ignore")


@sklearn_checks.parametrize_with_checks(ESTIMATORS)
def test_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    ("estimator", "check"),
    [pair for member in ESTIMATORS for pair in imblearn_checks.estimator_checks_generator(member)],
    ids=lambda part: getattr(getattr(part, "func", part), "__name__", type(part).__name__),
)
def test_imbalanced_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: type(sampler).__name__)
def test_parameters_are_validated(sampler):
    imblearn_checks.check_param_validation(type(sampler).__name__, sampler)
