"""What holds for every sampler: containers, determinism, provenance, errors."""

import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from imblearn.pipeline import make_pipeline
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits, make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler
from torch import nn

from ltresample import LongTailWarning
from ltresample.over_sampling import DistributionMatchingOversampler, M2mSampler, OTMixSampler

SAMPLERS = [M2mSampler, DistributionMatchingOversampler, OTMixSampler]
# these lead samples of larger classes into smaller ones, by gradient steps that g has to accept
TRANSLATING = [M2mSampler, DistributionMatchingOversampler]
ABOUT_TRANSLATION = {
    "test_provenance_tells_the_truth",
    "test_clone_pickle_and_grid_search",
    "test_networks_are_given_back_as_they_came",
    "test_bad_parameters",
    "test_low_acceptance_is_reported_with_the_remedy",
    "test_open_set_samples",
}


def pytest_generate_tests(metafunc):
    about_translation = metafunc.function.__name__ in ABOUT_TRANSLATION
    metafunc.parametrize("Sampler", TRANSLATING if about_translation else SAMPLERS)


@pytest.fixture(scope="module")
def data():
    X, y = make_classification(
        n_samples=300,
        n_features=6,
        n_informative=4,
        n_classes=3,
        weights=[0.7, 0.2, 0.1],
        random_state=0,
    )
    return X, y


def resampled(Sampler, X, y, **params):
    sampler = Sampler(random_state=0, **params)
    return sampler, *sampler.fit_resample(X, y)


def test_counts_are_exact_and_real_rows_come_first(Sampler, data):
    X, y = data
    before = X.copy(), y.copy()
    sampler, X_res, y_res = resampled(Sampler, X, y)
    assert (np.bincount(y_res) == np.bincount(y).max()).all()
    np.testing.assert_array_equal(X_res[: len(X)], X)
    np.testing.assert_array_equal(y_res[: len(y)], y)
    np.testing.assert_array_equal(before[0], X)
    np.testing.assert_array_equal(before[1], y)
    assert sampler.sampling_strategy_[2] == (y_res == 2).sum() - (y == 2).sum()


def test_provenance_tells_the_truth(Sampler, data):
    X, y = data
    sampler, X_res, y_res = resampled(Sampler, X, y)
    record, synthetic = sampler.provenance_, sampler.is_synthetic_
    assert len(record) == len(X_res) == len(synthetic)
    np.testing.assert_array_equal(record["origin"] == "synthetic", synthetic)
    copies = record["origin"] != "synthetic"
    np.testing.assert_array_equal(X_res[copies], X[record["seed_index"][copies]])
    np.testing.assert_array_equal(y_res[copies], y[record["seed_index"][copies]])
    assert synthetic.sum() > 20
    made = record[synthetic]
    np.testing.assert_array_equal(made["source"], y[made["seed_index"]])
    counts = np.bincount(y)
    assert (counts[made["source"]] > counts[y_res[synthetic]]).all()
    assert (made["confidence"] >= sampler.settings_["min_confidence"]).all()
    distance = np.abs(X_res[synthetic][:, None] - X[None]).sum(2).min(1)
    assert (distance > 0).all(), "a synthetic row equals a real one"
    for label in (1, 2):
        tried = round(sampler.settings_["synthetic_share"] * sampler.sampling_strategy_[label])
        accepted = synthetic[y_res == label].sum()
        assert sampler.shortfall_[label] == tried - accepted
        assert sampler.acceptance_rate_[label] == accepted / tried


def test_same_rows_for_any_batch_size_and_jobs(Sampler, data):
    X, y = data
    _, reference, _ = resampled(Sampler, X, y)
    for params in ({"batch_size": 1}, {"batch_size": 4096}, {"n_jobs": 2, "batch_size": 64}):
        _, X_res, _ = resampled(Sampler, X, y, **params)
        np.testing.assert_allclose(X_res, reference, atol=1e-4)


def test_no_global_generator_is_touched(Sampler, data):
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    sampler = Sampler(random_state=np.random.RandomState(3))  # noqa: NPY002
    first, _ = sampler.fit_resample(*data)
    second, _ = sampler.fit_resample(*data)
    assert torch.equal(torch_state, torch.get_rng_state())
    assert (numpy_state == np.random.get_state()[1]).all()  # noqa: NPY002
    assert not np.array_equal(first, second), "a RandomState moves on"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floating_types_are_kept(Sampler, data, dtype):
    X, y = data
    _, X_res, y_res = resampled(Sampler, X.astype(dtype), y.astype(np.int16))
    assert X_res.dtype == dtype
    assert y_res.dtype == np.int16


def test_integers_and_truth_values_come_back_as_such(Sampler, data):
    X, y = data
    frame = pd.DataFrame(X, columns=list("abcdef"))
    frame["b"] = np.rint(3 * X[:, 1]).astype("int16")
    frame["c"] = X[:, 2] > 0
    frame = frame.set_index(pd.Index([f"row{i}" for i in range(len(X))], name="id"))
    sampler, X_res, _ = resampled(Sampler, frame, pd.Series(y, index=frame.index, name="kind"))
    assert sampler.is_synthetic_.sum() > 10
    pd.testing.assert_series_equal(X_res.dtypes, frame.dtypes)
    pd.testing.assert_frame_equal(X_res.iloc[: len(X)], frame)
    assert X_res["b"].between(frame["b"].min(), frame["b"].max()).all()
    assert X_res.index.is_unique
    assert X_res.index.name == "id"


def test_pandas_labels_follow(Sampler, data):
    X, y = data
    names = pd.Series(np.array(["x", "y", "z"])[y], dtype="category", name="kind")
    _, X_res, y_res = resampled(Sampler, pd.DataFrame(X, index=names.index), names)
    assert y_res.dtype == names.dtype
    assert y_res.name == "kind"
    assert X_res.index.equals(y_res.index)
    assert y_res.value_counts().nunique() == 1


def test_polars(Sampler, data):
    X, y = data
    frame = pl.DataFrame(
        {
            "a": X[:, 0],
            "b": np.rint(X[:, 1] * 5).astype(np.int32),
            "c": X[:, 2] > 0,
            **{f"x{i}": X[:, i] for i in range(6)},
        }
    )
    sampler, X_res, y_res = resampled(Sampler, frame, pl.Series("kind", y))
    assert isinstance(X_res, pl.DataFrame)
    assert isinstance(y_res, pl.Series)
    assert X_res.schema == frame.schema
    assert X_res[: len(X)].equals(frame)
    assert list(sampler.feature_names_in_) == frame.columns


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_array])
def test_sparse(Sampler, kind):
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [120, 40, 20])
    words = 0.05 + 0.25 * (np.arange(30) % 3 == y[:, None])
    X = np.log1p(rng.poisson(words)).astype(np.float64)
    assert (X != 0).mean() < 0.2
    sampler, X_res, _ = resampled(Sampler, kind(X), y)
    assert type(X_res) is kind
    _, dense, _ = resampled(Sampler, X, y)
    np.testing.assert_allclose(X_res.toarray(), dense, atol=1e-6)
    synthetic = dense[sampler.is_synthetic_]
    assert len(synthetic) > 10
    assert (synthetic != 0).mean() < 0.35, "rows that are mostly zeros stay so"
    assert synthetic.min() >= 0, "counts stay within the range that was seen"


def test_tensors_stay_on_their_device_and_graph_free(Sampler, data):
    X, y = (torch.from_numpy(part) for part in data)
    X = X.float().requires_grad_()
    _, X_res, y_res = resampled(Sampler, X, y)
    assert isinstance(X_res, torch.Tensor)
    assert X_res.dtype == torch.float32
    assert X_res.device == X.device
    assert not X_res.requires_grad
    assert y_res.dtype == torch.int64
    assert X.grad is None


def test_lists(Sampler, data):
    X, y = data
    _, X_res, y_res = resampled(Sampler, X.tolist(), y.tolist())
    assert isinstance(X_res, list)
    assert isinstance(y_res, list)
    assert isinstance(X_res[-1][0], float)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_images(Sampler, dtype):
    X, y = load_digits(return_X_y=True)
    keep = np.flatnonzero((y < 3) & ((y < 1) | (np.arange(len(y)) % 6 == 0)))
    scale = 255 / 16 if dtype == np.uint8 else 1 / 16
    images = (X[keep] * scale).astype(dtype).reshape(-1, 1, 8, 8)
    sampler, X_res, y_res = resampled(Sampler, images, y[keep])
    assert X_res.dtype == dtype
    assert X_res.shape[1:] == (1, 8, 8)
    assert (np.bincount(y_res) == np.bincount(y_res)[0]).all()
    assert sampler.is_synthetic_.any()
    assert X_res.max() <= (255 if dtype == np.uint8 else 1)


def test_read_only_input(Sampler, data, tmp_path):
    X, y = data
    np.save(tmp_path / "X.npy", X)
    _, reference, _ = resampled(Sampler, X, y)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    _, X_res, _ = resampled(Sampler, mapped, y)
    np.testing.assert_array_equal(np.asarray(X_res), reference)


def test_clone_pickle_and_grid_search(Sampler, data):
    X, y = data
    sampler = Sampler(random_state=0, n_steps=3)
    reference, _ = sampler.fit_resample(X, y)
    again, _ = pickle.loads(pickle.dumps(sampler)).fit_resample(X, y)
    np.testing.assert_array_equal(again, reference)
    np.testing.assert_array_equal(clone(sampler).fit_resample(X, y)[0], reference)
    pipeline = make_pipeline(Sampler(random_state=0), LogisticRegression())
    step = pipeline.steps[0][0]
    search = GridSearchCV(pipeline, {f"{step}__n_steps": [1, 5]}, cv=2, scoring="balanced_accuracy")
    assert search.fit(X, y).best_score_ > 0.4


@pytest.mark.parametrize(
    "make",
    [
        lambda: LogisticRegression(),
        lambda: [LogisticRegression(), make_pipeline(StandardScaler(), LogisticRegression())],
    ],
)
def test_guides_of_the_user_are_fitted_or_used_as_they_are(Sampler, data, make):
    X, y = data
    g = make()
    sampler, _, _ = resampled(Sampler, X, y, g=g)
    assert not hasattr(g[0] if isinstance(g, list) else g, "coef_"), "the user's object was fitted"
    assert sampler.is_synthetic_.any()
    again, _, _ = resampled(Sampler, X, y, g=sampler.g_)
    assert again.g_ is sampler.g_ or again.g_ == sampler.g_
    np.testing.assert_array_equal(again.is_synthetic_, sampler.is_synthetic_)


def test_networks_are_given_back_as_they_came(Sampler, data):
    X, y = data
    g = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).train()
    f = nn.Linear(6, 3)
    state = {k: v.clone() for k, v in [*g.state_dict().items(), *f.state_dict().items()]}
    with warnings.catch_warnings():
        # an untrained guide may be no better than chance
        warnings.simplefilter("ignore", LongTailWarning)
        resampled(Sampler, X, y, g=g, f=f, min_confidence=0.2)
    now = dict([*g.state_dict().items(), *f.state_dict().items()])
    assert all(torch.equal(state[k], now[k]) for k in state)
    assert g.training
    assert all(p.requires_grad and p.grad is None for p in [*g.parameters(), *f.parameters()])


def test_progress(Sampler, data, capsys):
    resampled(Sampler, *data, verbose=1)
    assert Sampler.__name__ in capsys.readouterr().err
    resampled(Sampler, *data)
    assert capsys.readouterr().err == ""


def test_callbacks_are_called_and_can_stop(Sampler, data):
    pytest.importorskip("sklearn.callback")

    class Stop:
        n_passes = 0

        def setup(self, estimator, context): ...

        def teardown(self, estimator, context): ...

        def on_fit_task_begin(self, estimator, context): ...

        def on_fit_task_end(self, estimator, context):
            self.n_passes += context.task_name == "pass"
            return True

    stop = Stop()
    sampler = Sampler(random_state=0, batch_size=1).set_callbacks(stop)
    _, y_res = sampler.fit_resample(*data)
    assert stop.n_passes == 1
    assert (np.bincount(y_res) == np.bincount(data[1]).max()).all(), (
        "duplicates fill what is missing"
    )


# ---- bad input -----------------------------------------------------------------------------------


def spoilt(data, value):
    X = data[0].copy()
    X[5, 2] = X[7, 4] = value
    return X


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda X, y: (X, np.zeros(len(y))), "more than 1 class"),
        (lambda X, y: (X, np.linspace(0, 1, len(y))), "Unknown label type"),
        (lambda X, y: (X, np.stack([y == 1, y >= 1], 1)), "Multilabel and multioutput"),
        (lambda X, y: (X[:0], y[:0]), "0 sample"),
        (lambda X, y: (X[:, 0], y), "1D array"),
        (lambda X, y: (X[:-1], y), "inconsistent numbers of samples"),
        (
            lambda X, y: (pd.DataFrame({"a": X[:, 0], "t": pd.Timestamp("2020-01-01")}), y),
            "Column 't' of X must hold numbers. Got dates or times.*days since",
        ),
    ],
)
def test_bad_data(Sampler, data, change, text):
    with pytest.raises(ValueError, match=text):
        Sampler().fit_resample(*change(*data))


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_missing_values_are_named(Sampler, data, value, word):
    X = spoilt(data, value)
    with pytest.raises(ValueError, match=rf"contains {word}. Got it in 2 column\(s\): 2, 4"):
        Sampler().fit_resample(X, data[1])
    with pytest.raises(ValueError, match="'c', 'e'"):
        Sampler().fit_resample(pd.DataFrame(X, columns=list("abcdef")), data[1])


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"sampling_strategy": {7: 500}}, "7"),
        ({"sampling_strategy": {0: 500}}, "larger class, and there is none.*class 0"),
        ({"n_steps": -1}, "'n_steps' parameter"),
        ({"count_decay": 1.0}, "'count_decay' parameter"),
        ({"preset": "best"}, "'preset' parameter"),
        ({"synthetic_share": 1.5}, "'synthetic_share' parameter"),
        ({"seeds": "random"}, "only seeds='near' knows"),
        ({"n_seeds_per_class": 5}, "seeds='distribution' only"),
        ({"device": "abacus"}, "device='abacus' cannot be used"),
        ({"g": nn.Linear(6, 4)}, "one output per class.*4.*3 classes"),
        ({"g": nn.Linear(5, 3)}, r"cannot be applied to the rows of X. Got rows of shape \(6,\)"),
    ],
)
def test_bad_parameters(Sampler, data, params, text):
    with pytest.raises(ValueError, match=f"(?s){text}"):
        Sampler(**params).fit_resample(*data)


def test_guides_that_cannot_be_used(Sampler, data):
    X, y = data
    with pytest.raises(TypeError, match="without gradients.*LogisticRegression"):
        Sampler(g=RandomForestClassifier(n_estimators=2)).fit_resample(X, y)
    with pytest.raises(TypeError, match="not a classifier"):
        Sampler(g="mlp").fit_resample(X, y)
    broken = nn.Linear(6, 3)
    with torch.no_grad():
        broken.weight.fill_(torch.nan)
    with pytest.raises(ValueError, match="NaN or infinite"):
        Sampler(g=broken).fit_resample(X, y)
    with pytest.raises(ValueError, match="fitting it failed.*n_components"):
        from sklearn.decomposition import PCA

        Sampler(g=make_pipeline(PCA(n_components=99), LogisticRegression())).fit_resample(X, y)
    other = LogisticRegression().fit(X, y + 1)
    with pytest.raises(ValueError, match="other classes"):
        Sampler(g=other).fit_resample(X, y)


def test_a_guide_below_chance_is_reported(Sampler, data):
    X, y = data
    wrong = LogisticRegression().fit(X, y)
    wrong.coef_, wrong.intercept_ = -5 * wrong.coef_, -5 * wrong.intercept_
    with pytest.warns(LongTailWarning, match="no better than chance"):
        Sampler(g=wrong, random_state=0).fit_resample(X, y)


def test_low_acceptance_is_reported_with_the_remedy(Sampler, data):
    with pytest.warns(LongTailWarning, match="(?s)Few synthetic rows.*rows short.*min_confidence"):
        Sampler(min_confidence=0.9999999, random_state=0).fit_resample(*data)


def test_a_class_with_one_sample_works_and_says_so(Sampler, data):
    X, y = data
    keep = np.r_[np.flatnonzero(y != 2), np.flatnonzero(y == 2)[:1]]
    with pytest.warns(LongTailWarning, match="Class 2 has a single sample"):
        _, y_res = Sampler(random_state=0).fit_resample(X[keep], y[keep])
    assert (np.bincount(y_res) == np.bincount(y).max()).all()


def test_open_set_samples(Sampler, data):
    X, y = data
    if Sampler is M2mSampler:
        with pytest.raises(ValueError, match="does not use open-set samples"):
            Sampler().fit_resample(X, y, X_aux=X)
        return
    aux = np.random.default_rng(0).normal(size=(50, 6))
    sampler = Sampler(random_state=0, X_aux=aux, step_size=0.3, n_steps=20)
    X_res, _ = sampler.fit_resample(X, y)
    record = sampler.provenance_[sampler.is_synthetic_]
    assert record["from_aux"].all()
    assert (record["source"] == -1).all()
    other, _ = Sampler(random_state=0, step_size=0.3, n_steps=20).fit_resample(X, y, X_aux=aux)
    np.testing.assert_array_equal(X_res, other)
    with pytest.raises(ValueError, match=r"rows like those of X, of shape \(6,\).*\(50, 5\)"):
        Sampler(X_aux=aux[:, :5]).fit_resample(X, y)
    aux[3, 1] = np.nan
    with pytest.raises(ValueError, match="Input X_aux contains NaN"):
        Sampler(X_aux=aux).fit_resample(X, y)
