"""Synthesis before training on joblib's back-ends gives the rows of a single process."""

import joblib
import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

from ltresample.over_sampling import DistributionMatchingOversampler, M2mSampler

SAMPLERS = [
    M2mSampler(g=LogisticRegression(), batch_size=64, n_jobs=2, random_state=0),
    DistributionMatchingOversampler(
        g=LogisticRegression(), batch_size=64, n_jobs=2, random_state=0
    ),
]


@pytest.fixture(scope="module")
def blobs():
    return make_classification(
        n_samples=360,
        n_features=8,
        n_informative=6,
        n_classes=3,
        weights=[0.7, 0.2, 0.1],
        random_state=0,
    )


@pytest.fixture
def loky():
    with joblib.parallel_backend("loky"):
        yield


@pytest.fixture
def dask():
    distributed = pytest.importorskip("dask.distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as all_,
        distributed.Client(all_),
        joblib.parallel_backend("dask"),
    ):
        yield


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["loky", "dask"])
@pytest.mark.parametrize("sampler", SAMPLERS, ids=["M2m", "DM"])
def test_backends_give_the_rows_of_one_process(sampler, backend, blobs, request):
    one = type(sampler)(**{**sampler.get_params(deep=False), "n_jobs": None})
    X, y = one.fit_resample(*blobs)
    assert one.is_synthetic_.any()
    request.getfixturevalue(backend)
    X_again, y_again = sampler.fit_resample(*blobs)
    np.testing.assert_array_equal(X_again, X)
    np.testing.assert_array_equal(y_again, y)
    np.testing.assert_array_equal(sampler.is_synthetic_, one.is_synthetic_)
