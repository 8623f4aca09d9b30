"""scikit-learn's and imbalanced-learn's own checks, over every sampler, with no expected failure."""

import pytest
from imblearn.utils import estimator_checks as imblearn_checks
from sklearn.utils import estimator_checks as sklearn_checks

from ltresample.over_sampling import (
    DistributionMatchingOversampler,
    M2mSampler,
    OpenSampler,
    SAFASampler,
)

SAMPLERS = [
    M2mSampler(random_state=0),
    DistributionMatchingOversampler(random_state=0),
    OpenSampler(random_state=0),
    SAFASampler(random_state=0),
]

# the checks themselves use data on which little can be accepted, single samples of a class, and
# containers that warn; what they check is the contract
pytestmark = pytest.mark.filterwarnings("ignore")


@sklearn_checks.parametrize_with_checks(SAMPLERS)
def test_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    ("estimator", "check"),
    [pair for sampler in SAMPLERS for pair in imblearn_checks.estimator_checks_generator(sampler)],
    ids=lambda part: getattr(getattr(part, "func", part), "__name__", type(part).__name__),
)
def test_imbalanced_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: type(sampler).__name__)
def test_parameters_are_validated(sampler):
    imblearn_checks.check_param_validation(type(sampler).__name__, sampler)
