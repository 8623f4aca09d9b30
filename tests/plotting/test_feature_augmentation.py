import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError

from ltresample import SAFASampler
from ltresample._random import Seed
from ltresample.plotting import FeatureAugmentationDisplay
from ltresample.plotting._feature_augmentation import _at_home, _Made, _shifted
from ltresample.synthesis import SafaNetworks


@pytest.fixture(scope="module")
def resampled():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [60, 12, 5])
    X = rng.normal(size=(len(y), 5)) + 8 * np.eye(5)[y]
    sampler = SAFASampler(random_state=0, n_steps=20, synthetic_share=0.5)
    return sampler, *sampler.fit_resample(X, y)


def test_from_sampler(resampled):
    sampler, X_res, y_res = resampled
    display = FeatureAugmentationDisplay.from_sampler(sampler, X_res, y_res, random_state=0)
    assert display.classes == [1, 2]
    assert len(display.real) == 77
    assert len(display.augmented) == sampler.is_synthetic_.sum()
    np.testing.assert_array_equal(display.augmented_labels, y_res[sampler.is_synthetic_])
    np.testing.assert_array_equal(display.shifted_labels, display.augmented_labels)
    assert all(0 <= share <= 1 for share in display.at_home)
    again = FeatureAugmentationDisplay.from_sampler(sampler, X_res, y_res, random_state=0)
    np.testing.assert_array_equal(display.shifted, again.shifted)


@pytest.mark.parametrize("shape", [(6,), (6, 4, 4)])
def test_from_networks_leaves_them_alone(shape):
    networks = SafaNetworks(6, n_dims=len(shape) - 1, generator=Seed(0).torch()).eval()
    state = {name: value.clone() for name, value in networks.state_dict().items()}
    y = np.repeat(["b", "a", "c"], [20, 6, 1])
    features = torch.randn(27, *shape, generator=Seed(1).torch())
    display = FeatureAugmentationDisplay.from_networks(networks, features, y, random_state=0)
    assert display.classes == ["a", "c"]
    assert len(display.augmented) == 10
    assert set(display.augmented_labels) == {"a", "c"}
    assert not networks.training
    now = networks.state_dict()
    assert all(torch.equal(state[name], now[name]) for name in state)


def test_a_shift_adds_the_spread_of_the_head():
    rng = np.random.default_rng(0)
    rows = np.vstack([rng.normal([10, 0], [3, 0.001], (400, 2)), [[0, 5.0]]])
    real = _Made(rows, np.repeat([0, 1], [400, 1]))
    made = _shifted(real, np.array([0]), np.ones(2000, int), rng)
    np.testing.assert_allclose(made.mean(0), [0, 5], atol=0.3)
    np.testing.assert_allclose(made.std(0), [3, 0.001], rtol=0.1)


def test_share_at_home_by_hand():
    real = _Made(np.array([[0.0], [1.0]]), np.array(["a", "b"]))
    made = _Made(np.array([[0.1], [0.9], [0.8], [0.2]]), np.array(["a", "a", "b", "b"]))
    assert _at_home(real, made) == 0.5
    assert np.isnan(_at_home(real, _Made(np.empty((0, 1)), np.array([]))))


def test_plot(resampled):
    sampler, X_res, y_res = resampled
    display = FeatureAugmentationDisplay.from_sampler(sampler, X_res, y_res, random_state=0)
    assert display.plot() is display
    titles = [ax.get_title() for ax in display.axes_]
    share, of_shift = display.at_home
    assert titles[0] == f"SAFA\n{share:.0%} next to their own class"
    assert titles[1] == f"shift by class means\n{of_shift:.0%} next to their own class"
    assert [text.get_text() for text in display.axes_[1].get_legend().get_texts()] == [
        "other, real",
        "1",
        "2",
        "made",
    ]
    figure, ax = plt.subplots()
    assert display.plot(ax).figure_ is figure
    plt.close("all")


def test_bad_input(resampled):
    sampler, X_res, y_res = resampled
    with pytest.raises(NotFittedError, match="Call fit_resample first"):
        FeatureAugmentationDisplay.from_sampler(SAFASampler(), X_res, y_res)
    with pytest.raises(ValueError, match=r"must be tail classes.*of which \[0\] are not"):
        FeatureAugmentationDisplay.from_sampler(sampler, X_res, y_res, classes=[0, 1])
    five = {"classes": range(5), "at_home": (1, 1), "shifted": [], "shifted_labels": []}
    with pytest.raises(ValueError, match="up to 4 tail classes"):
        FeatureAugmentationDisplay([], [], augmented=[], augmented_labels=[], **five)
