"""How far it is from a call of the user's to the step of the paper: frames of ours, while it runs."""

import traceback
from pathlib import Path

import numpy as np
import pytest
import torch

import ltresample
from ltresample.models import SmallCNN
from ltresample.over_sampling import DistributionMatchingOversampler, M2mSampler, OTMixSampler
from ltresample.pairing import TransportPairing
from ltresample.training import DeferredRebalancingClassifier

ROOT = str(Path(ltresample.__file__).parent)
pytestmark = pytest.mark.filterwarnings("ignore::ltresample.LongTailWarning")


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [60, 20, 8])
    return rng.random((len(y), 1, 8, 8), dtype=np.float32), y


@pytest.fixture
def path(monkeypatch):
    """Note, while something runs, the longest way of ours to a function: (file, function) each."""
    longest = []

    def watch(owner, name):
        original = getattr(owner, name)

        def watched(*args, **kwargs):
            frames = [f for f in traceback.extract_stack() if f.filename.startswith(ROOT)]
            if len(frames) > len(longest):
                longest[:] = [(f.filename, f.name) for f in frames]
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, watched)
        return longest

    return watch


def test_a_step_of_m2m_in_training(images, path):
    frames = path(torch.autograd, "grad")
    sampler = M2mSampler(g=SmallCNN(1, 3, width=4), count_test=False)
    settings = {"start": 0, "max_epochs": 1, "random_state": 0}
    DeferredRebalancingClassifier(SmallCNN, resampler=sampler, **settings).fit(*images)
    assert frames[-1][1] == "descend"
    assert len(frames) <= 9, frames
    assert len({file for file, _ in frames}) <= 5, frames


@pytest.mark.parametrize(
    ("Sampler", "most", "files"),
    # transport on an accelerator is looked at a fixed number of times, through a file of its own
    [(M2mSampler, 7, 4), (DistributionMatchingOversampler, 10, 5)],
)
def test_a_step_offline(images, path, Sampler, most, files):
    frames = path(torch.autograd, "grad")
    Sampler(g=SmallCNN(1, 3, width=4), random_state=0).fit_resample(*images)
    assert frames[-1][1] == "descend"
    assert len(frames) <= most, frames
    assert len({file for file, _ in frames}) <= files, frames


def test_a_plan_of_otmix_offline(images, path):
    frames = path(TransportPairing, "pair")
    OTMixSampler(class_affinity=np.eye(3), random_state=0).fit_resample(*images)
    assert 1 < len(frames) <= 8, frames
