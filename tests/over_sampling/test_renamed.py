"""Parameters that had another name before the first release."""

import inspect
import re

import pytest

from ltresample.over_sampling import (
    DistributionMatchingOversampler,
    M2mSampler,
    OpenSampler,
    OTMixSampler,
)


@pytest.mark.parametrize(
    ("Sampler", "old", "now"),
    [
        (M2mSampler, {"labels": "soft"}, "soft_labels=True"),
        (DistributionMatchingOversampler, {"labels": "hard"}, "soft_labels=False"),
        (OTMixSampler, {"label": "pair"}, "mixed_labels='pair'"),
        (OpenSampler, {"labels": "uniform"}, "label_distribution='uniform'"),
        (OpenSampler, {"soft": True}, "expected_labels=True"),
    ],
)
def test_the_old_name_says_where_it_is_now(Sampler, old, now):
    (name, value), (new, _) = *old.items(), now.split("=")
    said = f"{Sampler.__name__} has no parameter {name}: it is called {new} now. Got "
    with pytest.raises(TypeError, match=re.escape(f"{said}{name}={value!r}. Pass {now}.")):
        Sampler(**old)
    parameters = inspect.signature(Sampler).parameters
    assert new in parameters
    assert name not in parameters
    assert new in Sampler().get_params()


def test_another_unknown_name_is_pythons_own_error():
    with pytest.raises(TypeError, match="unexpected keyword argument 'sofft'"):
        M2mSampler(sofft=True)
