import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from imblearn.pipeline import make_pipeline
from joblib import parallel_config
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from ltresample import LongTailWarning
from ltresample.over_sampling import SAFASampler
from ltresample.training import DeferredRebalancingClassifier


@pytest.fixture(scope="module")
def data():
    return make_classification(
        n_samples=300,
        n_features=6,
        n_informative=4,
        n_classes=3,
        weights=[0.7, 0.2, 0.1],
        random_state=0,
    )


def quick(**params):
    return SAFASampler(**{"random_state": 0, "n_steps": 10, "synthetic_share": 1.0, **params})


@pytest.fixture(scope="module")
def resampled(data):
    sampler = quick()
    return sampler, *sampler.fit_resample(*data)


def test_counts_are_exact_and_real_rows_come_first(data, resampled):
    (X, y), (sampler, X_res, y_res) = data, resampled
    assert (np.bincount(y_res) == np.bincount(y).max()).all()
    np.testing.assert_array_equal(X_res[: len(X)], X)
    np.testing.assert_array_equal(y_res[: len(y)], y)
    assert sampler.is_synthetic_[len(X) :].all()
    assert sampler.head_classes_.tolist() == [0]
    assert sampler.acceptance_rate_ == {1: 1.0, 2: 1.0}
    assert sampler.shortfall_ == {1: 0, 2: 0}


def test_provenance_tells_the_truth(data, resampled):
    (X, y), (sampler, X_res, y_res) = data, resampled
    made = sampler.provenance_[sampler.is_synthetic_]
    labels = y_res[sampler.is_synthetic_]
    np.testing.assert_array_equal(y[made["seed_index"]], labels)
    np.testing.assert_array_equal(made["source"], labels)
    assert (np.abs(X_res[sampler.is_synthetic_] - X[made["seed_index"]]).sum(1) > 0).all()
    assert ((made["confidence"] > 0) & (made["confidence"] <= 1)).all()
    assert (X_res.max(0) <= X.max(0) + 1e-6).all()
    assert (X_res.min(0) >= X.min(0) - 1e-6).all()


def test_synthetic_share(data):
    X, y = data
    sampler = quick(synthetic_share=0.25)
    X_res, y_res = sampler.fit_resample(X, y)
    for label, n in sampler.sampling_strategy_.items():
        assert sampler.is_synthetic_[y_res == label].sum() == round(0.25 * n)
    copies = sampler.provenance_["origin"] == "duplicate"
    np.testing.assert_array_equal(X_res[copies], X[sampler.provenance_["seed_index"][copies]])


@pytest.mark.parametrize("params", [{"batch_size": 1}, {"n_jobs": 2, "batch_size": 64}])
def test_same_rows_for_any_batch_size_and_jobs(data, resampled, params):
    with parallel_config("threading"):
        X_res, _ = quick(**params).fit_resample(*data)
    np.testing.assert_allclose(X_res, resampled[1], atol=1e-4)


def test_no_global_generator_is_touched(data):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    sampler = quick(random_state=np.random.RandomState(3))  # noqa: NPY002
    first, second = sampler.fit_resample(*data)[0], sampler.fit_resample(*data)[0]
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002
    assert not np.array_equal(first, second)


def test_containers_and_types(data):
    X, y = data
    frame = pd.DataFrame(X.astype(np.float32), columns=list("abcdef"))
    frame["b"] = np.rint(3 * X[:, 1]).astype("int16")
    frame["c"] = X[:, 2] > 0
    X_res, y_res = quick().fit_resample(frame, pd.Series(y, name="kind"))
    pd.testing.assert_series_equal(X_res.dtypes, frame.dtypes)
    pd.testing.assert_frame_equal(X_res.iloc[: len(X)], frame)
    assert y_res.name == "kind"
    tensor, labels = torch.from_numpy(X).float().requires_grad_(), torch.from_numpy(y)
    X_res, _ = quick().fit_resample(tensor, labels)
    assert isinstance(X_res, torch.Tensor)
    assert not X_res.requires_grad
    X_res, y_res = quick().fit_resample(X.tolist(), y.tolist())
    assert isinstance(X_res[0], list)
    assert len(X_res) == len(y_res)


def test_sparse_rows_stay_sparse():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [120, 40, 20])
    X = np.log1p(rng.poisson(0.05 + 0.25 * (np.arange(30) % 3 == y[:, None])))
    sampler = quick()
    X_res, _ = sampler.fit_resample(sparse.csr_array(X), y)
    assert type(X_res) is sparse.csr_array
    made = X_res.toarray()[sampler.is_synthetic_]
    assert (made != 0).mean() < 0.35
    assert made.min() >= 0


def test_images_go_through_convolutions(data):
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [40, 10])
    images = rng.uniform(size=(50, 1, 8, 8)).astype(np.float32)
    sampler = quick()
    X_res, _ = sampler.fit_resample(images, y)
    assert X_res.shape == (80, 1, 8, 8)
    assert X_res.min() >= 0
    assert X_res.max() <= 1
    assert isinstance(sampler.networks_.encoder[0], torch.nn.Conv2d)
    flat = rng.uniform(size=(50, 8, 8)).astype(np.float32)
    assert quick().fit_resample(flat, y)[0].shape == (80, 8, 8)


def test_clone_pickle_and_grid_search(data, resampled):
    X, y = data
    sampler = quick()
    for other in (pickle.loads(pickle.dumps(sampler)), clone(sampler)):
        np.testing.assert_array_equal(other.fit_resample(X, y)[0], resampled[1])
    grid = {"safasampler__generator": ["plain", "residual"]}
    search = GridSearchCV(
        make_pipeline(quick(), LogisticRegression()), grid, cv=2, scoring="balanced_accuracy"
    )
    assert search.fit(X, y).best_score_ > 0.4


def test_presets(data):
    X, y = data
    settings = {}
    for preset in ("scaled", "paper"):
        sampler = quick(preset=preset, contrast_weight=0.2)
        sampler.fit_resample(X, y)
        settings[preset] = sampler.settings_
    assert settings["paper"]["reconstruction_weight"] == 100
    assert settings["paper"]["generator"] == "plain"
    assert settings["scaled"]["generator"] == "residual"
    assert all(one["contrast_weight"] == 0.2 for one in settings.values())


@pytest.mark.parametrize(
    "params",
    [
        {"head_spread": "printed"},
        {"reconstruction": "norm"},
        {"delta_sign": "paper"},
        {"generator": "plain"},
        {"contrast_weight": 0.0},
        {"width": 8},
        {"learning_rate": 0.003},
        {"head_ratio": 0.6},
    ],
    ids=str,
)
def test_each_parameter_has_an_effect(data, resampled, params):
    X_res, _ = quick(**params).fit_resample(*data)
    assert np.abs(X_res - resampled[1]).max() > 1e-5


def test_every_class_can_be_asked_for(data):
    X, y = data
    counts = np.bincount(y)
    wanted = {0: int(counts[0]) + 5, 2: 50}
    _, y_res = quick(sampling_strategy=wanted).fit_resample(X, y)
    assert np.bincount(y_res).tolist() == [counts[0] + 5, counts[1], 50]


def test_head_may_have_other_classes_that_are_short():
    X, y = make_classification(
        n_samples=600, n_features=8, n_informative=6, n_classes=6, n_clusters_per_class=1,
        weights=[0.4, 0.3, 0.1, 0.1, 0.05], random_state=0,
    )  # fmt: skip
    sampler = quick(head_ratio=0.4)
    _, y_res = sampler.fit_resample(X, y)
    assert sampler.head_classes_.tolist() == [0, 1]
    assert (np.bincount(y_res) == np.bincount(y).max()).all()


def test_a_class_with_one_sample_works_and_says_so(data):
    X, y = data
    keep = np.r_[np.flatnonzero(y != 2), np.flatnonzero(y == 2)[:1]]
    with pytest.warns(LongTailWarning, match="Class 2 has a single sample"):
        X_res, y_res = quick().fit_resample(X[keep], y[keep])
    assert (np.bincount(y_res) == np.bincount(y).max()).all()
    assert len(np.unique(X_res[y_res == 2], axis=0)) > 100, "one sample, moved in many ways"


def test_rows_that_cannot_move_are_reported():
    y = np.repeat([0, 1], [80, 20])
    X = np.repeat(y[:, None], 3, axis=1)  # whole numbers, rounded to where they came from
    still = quick(n_steps=100, reconstruction_weight=1000.0, delta_sign="paper")
    with pytest.warns(LongTailWarning, match="(?s)Few synthetic rows.*rows short.*floating-point"):
        still.fit_resample(X, y)


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"head_ratio": 0.0}, "'head_ratio' parameter"),
        ({"head_ratio": 1}, "'head_ratio' parameter"),
        ({"contrast_weight": -1}, "'contrast_weight' parameter"),
        ({"head_spread": "both"}, "'head_spread' parameter"),
        ({"delta_sign": "minus"}, "'delta_sign' parameter"),
        ({"generator": "big"}, "'generator' parameter"),
        ({"n_steps": -1}, "'n_steps' parameter"),
        ({"width": 0}, "'width' parameter"),
        ({"preset": "best"}, "'preset' parameter"),
        ({"synthetic_share": 1.5}, "'synthetic_share' parameter"),
        ({"device": "abacus"}, "device='abacus' cannot be used"),
    ],
)
def test_bad_parameters(data, params, text):
    with pytest.raises(ValueError, match=text):
        quick(**params).fit_resample(*data)


def test_bad_data(data):
    X, y = data
    with pytest.raises(ValueError, match="does not use open-set samples"):
        quick().fit_resample(X, y, X_aux=X)
    with pytest.raises(ValueError, match=r"no class has two samples. Got class_counts=\[1, 1, 1\]"):
        quick(sampling_strategy={0: 3}).fit_resample(X[:3], [0, 1, 2])
    X = X.copy()
    X[5, 2] = np.nan
    with pytest.raises(ValueError, match=r"contains NaN. Got it in 1 column\(s\): 2"):
        quick().fit_resample(X, y)


def test_it_is_not_for_training(data):
    X, y = data
    net = DeferredRebalancingClassifier(resampler=quick(), start=0, max_epochs=1)
    with pytest.raises(TypeError, match=r"Got it as a resampler. Pass ltresample.training.SAFA"):
        net.fit(X, y)
