"""OpenSampler: counts, weights, containers, training steps, messages."""

import pickle
import re
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ltresample import LongTailWarning, OpenSampler
from ltresample._random import Seed
from ltresample.models import CosineHead
from ltresample.over_sampling import ResampledClassifier, to_weighted_pairs
from ltresample.rows import ArrayRows, Pool, Space
from ltresample.training._synthesis import StepSynthesis

COUNTS = np.array([70, 20, 10])


@pytest.fixture(scope="module")
def data():
    X, y = make_classification(
        n_samples=400,
        n_features=6,
        n_informative=4,
        n_classes=3,
        random_state=0,
        n_clusters_per_class=1,
    )
    rows = np.concatenate([np.flatnonzero(y == k)[:n] for k, n in enumerate(COUNTS)])
    return X[rows], y[rows]


@pytest.fixture(scope="module")
def aux():
    return np.random.default_rng(0).normal(size=(300, 6))


def resampled(data, **params):
    sampler = OpenSampler(random_state=0, weights_used=True, **params)
    return sampler, *sampler.fit_resample(*data)


def test_defaults_fill_all_classes_to_the_largest_plus_the_smallest(data, aux):
    X, y = data
    before = X.copy()
    sampler, X_res, y_res = resampled(data, X_aux=aux)
    assert np.bincount(y_res).tolist() == [80, 80, 80]
    np.testing.assert_array_equal(X_res[:100], before)
    np.testing.assert_array_equal(y_res[:100], y)
    assert sampler.sampling_strategy_ == {0: 10, 1: 60, 2: 70}
    np.testing.assert_allclose(sampler.label_distribution_, np.array([10, 60, 70]) / 140)
    assert sampler.class_weight_.sum() == pytest.approx(3)


@pytest.mark.parametrize(
    ("params", "totals"),
    [
        ({"label_distribution": "minimum"}, [70, 70, 70]),
        ({"alpha": 0.9}, [90, 90, 90]),
        ({"alpha": np.inf}, [117, 67, 56]),  # 140 rows, a third each; the first get the odd ones
        ({"label_distribution": "uniform"}, [117, 67, 56]),
        ({"label_distribution": "original"}, [168, 48, 24]),
        ({"n_aux": 14}, [71, 26, 17]),
        ({"sampling_strategy": {2: 30}}, [70, 20, 30]),
        ({"sampling_strategy": "not majority"}, [70, 70, 70]),
    ],
)
def test_class_totals(data, aux, params, totals):
    sampler, _, y_res = resampled(data, X_aux=aux, **params)
    assert np.bincount(y_res).tolist() == totals
    assert sum(sampler.sampling_strategy_.values()) == sum(totals) - 100


def test_class_balanced_labels_are_shared_out_by_inverse_effective_number(data, aux):
    sampler, _, y_res = resampled(data, X_aux=aux, label_distribution="class_balanced", beta=0.9)
    inverse = (1 - 0.9) / (1 - 0.9**COUNTS)
    np.testing.assert_allclose(sampler.label_distribution_, inverse / inverse.sum())
    assert len(y_res) == 240


def test_explicit_counts_set_the_distribution(data, aux):
    sampler, _, _ = resampled(data, X_aux=aux, sampling_strategy={1: 30, 2: 40})
    np.testing.assert_allclose(sampler.label_distribution_, [0, 0.25, 0.75])


@pytest.mark.parametrize("params", [{}, {"eta": 2.5}, {"n_aux": 33}, {"normalize": "weights"}])
def test_weights_reproduce_the_papers_loss(data, aux, params):
    """weighted sum = N (mean over real + eta * mean over open-set rows of omega CE)."""
    sampler, X_res, y_res = resampled(data, X_aux=aux, **params)
    logits = X_res @ np.random.default_rng(0).normal(size=(6, 3))
    loss = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(y_res)), y_res]
    extra, y_new = loss[100:], y_res[100:]
    omega = 3 * sampler.label_distribution_[y_new]
    m = omega.sum() if params.get("normalize") == "weights" else len(extra)
    want = 100 * (loss[:100].mean() + params.get("eta", 1.0) * (omega * extra).sum() / m)
    assert (sampler.sample_weight_ * loss).sum() == pytest.approx(want)
    assert (sampler.sample_weight_[:100] == 1).all()
    assert sampler.soft_targets_ is None


def test_soft_labels_are_the_expectation_of_drawn_ones(data, aux):
    soft, X_res, y_res = resampled(data, X_aux=aux, expected_labels=True, eta=1.5)
    gamma = soft.label_distribution_
    log_p = -np.logaddexp.reduce(logits := X_res @ np.ones((6, 3)) * [1, 2, 3], 1)[:, None] + logits
    got = -(soft.soft_targets_ * log_p).sum()
    extra = -(gamma * 3 * gamma * log_p[100:]).sum(1).mean()  # sum_j Gamma_j omega_j CE
    real = -log_p[np.arange(100), y_res[:100]].mean()
    assert got == pytest.approx(100 * (real + 1.5 * extra))
    assert soft.soft_targets_.shape == (240, 3)
    np.testing.assert_array_equal(soft.soft_targets_[:100].argmax(1), y_res[:100])
    drawn, _, _ = resampled(data, X_aux=aux, eta=1.5)
    np.testing.assert_array_equal(soft.sample_weight_, drawn.sample_weight_)


def test_weights_and_soft_targets_reach_a_classifier(data, aux):
    """ResampledClassifier equals a weighted fit by hand, with drawn and with expected labels."""
    sampler, X_res, y_res = resampled(data, X_aux=aux)
    by_hand = LogisticRegression().fit(X_res, y_res, sample_weight=sampler.sample_weight_)
    model = ResampledClassifier(LogisticRegression(), OpenSampler(X_aux=aux, random_state=0))
    np.testing.assert_allclose(model.fit(*data).classifier_.coef_, by_hand.coef_, atol=1e-6)
    soft, X_res, _ = resampled(data, X_aux=aux, expected_labels=True)
    X_pairs, y_pairs, weight = to_weighted_pairs(X_res, soft.soft_targets_, [0, 1, 2])
    by_hand = LogisticRegression().fit(X_pairs, y_pairs, sample_weight=weight)
    model = ResampledClassifier(
        LogisticRegression(), OpenSampler(X_aux=aux, expected_labels=True, random_state=0)
    )
    np.testing.assert_allclose(model.fit(*data).classifier_.coef_, by_hand.coef_, atol=1e-6)


def test_provenance(data, aux):
    sampler, X_res, _ = resampled(data, X_aux=aux)
    record = sampler.provenance_
    assert (record["origin"][:100] == "original").all()
    assert (record["origin"][100:] == "open-set").all()
    np.testing.assert_array_equal(sampler.is_synthetic_, np.arange(240) >= 100)
    np.testing.assert_array_equal(X_res[100:], aux[record["seed_index"][100:]])
    np.testing.assert_array_equal(X_res[:100], data[0][record["seed_index"][:100]])
    assert (record["source"][100:] == -1).all()
    assert record["from_aux"][100:].all()


def test_open_set_rows_are_repeated_only_where_they_do_not_suffice(data, aux):
    sampler, _, _ = resampled(data, X_aux=aux)
    used = sampler.provenance_["seed_index"][100:]
    assert len(np.unique(used)) == 140
    few, _, _ = resampled(data, X_aux=aux[:50])
    times = np.bincount(few.provenance_["seed_index"][100:])
    assert set(times) == {2, 3}


def test_labels_say_nothing_about_rows(data, aux):
    """Which row gets which label is random: another seed deals them out anew."""
    first = OpenSampler(X_aux=aux, weights_used=True, random_state=0)
    second = OpenSampler(X_aux=aux, weights_used=True, random_state=1)
    _, y_first = first.fit_resample(*data)
    _, y_second = second.fit_resample(*data)
    assert not np.array_equal(y_first, y_second)
    assert np.bincount(y_first).tolist() == np.bincount(y_second).tolist()
    assert first.sample_weight_.sum() == pytest.approx(second.sample_weight_.sum())


@pytest.mark.parametrize("batch_size", [1, 7, 4096])
def test_same_rows_for_any_batch_size(data, aux, batch_size):
    _, want, y_want = resampled(data, X_aux=aux)
    _, got, y_got = resampled(data, X_aux=aux, batch_size=batch_size)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(y_got, y_want)


def test_clone_pickle_and_keyword(data, aux):
    sampler, want, _ = resampled(data, X_aux=aux)
    for other in (clone(sampler), pickle.loads(pickle.dumps(sampler))):
        np.testing.assert_array_equal(other.fit_resample(*data)[0], want)
    got, _ = OpenSampler(weights_used=True, random_state=0).fit_resample(*data, X_aux=aux)
    np.testing.assert_array_equal(got, want)


def test_no_global_generator_is_touched(data, aux):
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    resampled(data, X_aux=aux)
    assert torch.equal(torch_state, torch.get_rng_state())
    assert (numpy_state == np.random.get_state()[1]).all()  # noqa: NPY002


# ---- containers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floating_types_are_kept(data, aux, dtype):
    X, y = data
    _, X_res, y_res = resampled((X.astype(dtype), y.astype(np.int16)), X_aux=aux)
    assert X_res.dtype == dtype
    assert y_res.dtype == np.int16


def test_frames(data, aux):
    X, y = data
    frame = pd.DataFrame(X, columns=list("abcdef"))
    frame["b"] = np.rint(3 * X[:, 1]).astype("int16")
    names = pd.Series(np.array(["x", "y", "z"])[y], dtype="category", name="kind")
    others = pd.DataFrame(aux, columns=list("abcdef"))[list("fedcba")]
    sampler, X_res, y_res = resampled((frame, names), X_aux=others)
    pd.testing.assert_frame_equal(X_res.iloc[:100], frame)
    pd.testing.assert_series_equal(X_res.dtypes, frame.dtypes)
    assert X_res["b"].between(frame["b"].min(), frame["b"].max()).all()
    used = sampler.provenance_["seed_index"][100:]
    np.testing.assert_array_equal(X_res["a"].to_numpy()[100:], aux[used, 0])
    assert y_res.dtype == names.dtype
    assert X_res.index.equals(y_res.index)
    with pytest.raises(ValueError, match="columns of X. Got a frame without 'a', 'c'"):
        resampled((frame, y), X_aux=others[list("bdef")])


def test_polars(data, aux):
    X, y = data
    frame = pl.DataFrame({"a": X[:, 0], "b": X[:, 1] > 0})
    _, X_res, _ = resampled((frame, pl.Series("kind", y)), X_aux=aux[:, :2])
    assert X_res.schema == frame.schema
    assert X_res[:100].equals(frame)


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_array])
def test_sparse(kind):
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], COUNTS)
    X = rng.poisson(0.2 + 0.5 * (np.arange(30) % 3 == y[:, None])).astype(float)
    aux = rng.poisson(0.3, (200, 30)).astype(float)
    sampler, X_res, _ = resampled((kind(X), y), X_aux=kind(aux))
    assert type(X_res) is kind
    used = sampler.provenance_["seed_index"][100:]
    np.testing.assert_array_equal(X_res.toarray()[100:], aux[used])
    _, dense, _ = resampled((X, y), X_aux=aux)
    np.testing.assert_array_equal(X_res.toarray(), dense)


def test_tensors_and_data_sets(data, aux):
    X, y = torch.from_numpy(data[0]).float().requires_grad_(), torch.from_numpy(data[1])
    _, want, _ = resampled((X, y), X_aux=torch.from_numpy(aux).float())
    assert isinstance(want, torch.Tensor)
    assert want.dtype == torch.float32
    assert not want.requires_grad
    _, got, _ = resampled((X, y), X_aux=TensorDataset(torch.from_numpy(aux).float()))
    assert torch.equal(got, want)
    loader = DataLoader(torch.from_numpy(aux[:60]), batch_size=16)
    sampler, streamed, _ = resampled((X, y), X_aux=loader)
    want = np.concatenate([aux[:60]] * 3)[:140].astype(np.float32)
    np.testing.assert_array_equal(streamed[100:].numpy(), want)
    np.testing.assert_array_equal(sampler.provenance_["seed_index"][100:], np.arange(140))


def test_images_from_a_memory_map(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "aux.npy", rng.integers(0, 256, (200, 8, 8, 3), dtype=np.uint8))
    aux = np.moveaxis(np.load(tmp_path / "aux.npy", mmap_mode="r"), -1, 1)
    y = np.repeat([0, 1, 2], COUNTS)
    X = rng.random((100, 3, 8, 8), dtype=np.float32)
    sampler, X_res, _ = resampled((X, y), X_aux=aux)
    used = sampler.provenance_["seed_index"][100:]
    np.testing.assert_allclose(X_res[100:], np.asarray(aux)[used] / np.float32(255), atol=1e-7)
    whole, X_whole, _ = resampled(((255 * X).astype(np.uint8), y), X_aux=aux)
    assert X_whole.dtype == np.uint8
    np.testing.assert_array_equal(X_whole[100:], aux[whole.provenance_["seed_index"][100:]])


@pytest.mark.parametrize("shape", [(6,), (1, 8, 8), (8, 8)])
def test_without_open_set_samples_they_are_made_of_real_rows(shape):
    rng = np.random.default_rng(0)
    X, y = rng.random((100, *shape)), np.repeat([0, 1, 2], COUNTS)
    with pytest.warns(LongTailWarning, match=r"got no open-set samples \(X_aux=None\)"):
        sampler, X_res, y_res = resampled((X, y))
    assert X_res.shape == (240, *shape)
    assert np.bincount(y_res).tolist() == [80, 80, 80]
    assert set(X_res[100:].ravel()) <= set(X.ravel())
    assert (np.abs(X_res[100:, None] - X[None]).reshape(140, 100, -1).max(2).min(1) > 0).all()


# ---- training ------------------------------------------------------------------------------------


def pool_of(data, aux=None):
    x, y = data
    return Pool(
        x=ArrayRows(x, dtype=torch.float32),
        y=torch.from_numpy(y),
        class_counts=torch.from_numpy(np.bincount(y)),
        space=Space.pixels(),
        aux_x=aux,
    )


def begun(data, *, f=None, pool=None, **params):
    f = nn.Linear(6, 3) if f is None else f
    pool = pool_of(data) if pool is None else pool
    sampler = OpenSampler(weights_used=True, **params)
    return StepSynthesis(sampler, pool, classes=np.arange(3), module=f, seed=Seed(0))


def test_a_step_appends_rows_with_their_own_loss(data, aux):
    online = begun(data, X_aux=aux, aux_batch_size=7, eta=0.5)
    assert online.balanced is False
    x, y = torch.from_numpy(data[0][:4]).float(), torch.from_numpy(data[1][:4])
    batch = online(x, y, seed=Seed(1), index=torch.arange(4))
    assert torch.equal(batch.x[:4], x)
    known = {tuple(row) for row in aux.astype(np.float32).tolist()}
    assert {tuple(row) for row in batch.x[4:].tolist()} <= known
    own, extra = batch.terms
    assert own.criterion is None
    assert torch.equal(own.y, y)
    assert extra.coef == 0.5
    np.testing.assert_allclose(extra.class_weight, 3 * np.array([10, 60, 70]) / 140, rtol=1e-6)


def test_a_small_last_batch_gets_as_many_open_set_rows_as_the_others(data, aux):
    online = begun(data, X_aux=aux)
    x, y = torch.from_numpy(data[0]).float(), torch.from_numpy(data[1])
    sizes = [len(online(x[:n], y[:n], seed=Seed(n)).x) - n for n in (32, 32, 3)]
    assert sizes == [32, 32, 32]


def test_open_set_samples_may_come_with_the_pool(data, aux):
    rows = ArrayRows(aux, dtype=torch.float32)
    online = begun(data, pool=pool_of(data, rows))
    assert online.pool.aux_x is rows


def test_cosine_heads_without_a_scale_get_one_in_the_open_set_loss(data, aux):
    heads = {
        30.0: nn.Sequential(nn.Linear(6, 4), CosineHead(4, 3)),
        1.0: nn.Sequential(nn.Linear(6, 4), CosineHead(4, 3, scale=16.0)),
    }
    for want, f in heads.items():
        assert begun(data, f=f, X_aux=aux).method.logit_scale == want
    assert begun(data, f=heads[30.0], X_aux=aux, logit_scale=5).method.logit_scale == 5


def test_fixed_labels_stay_with_their_sample(data, aux):
    online = begun(data, X_aux=aux[:5], relabel=False, aux_batch_size=50)
    x, y = torch.from_numpy(data[0][:4]).float(), torch.from_numpy(data[1][:4])
    label = {}
    for step in range(3):
        batch = online(x, y, seed=Seed(step))
        for row, k in zip(batch.x[4:, 0].tolist(), batch.terms[1].y.tolist(), strict=True):
            assert label.setdefault(row, k) == k
    assert len(label) == 5


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"alpha": 0.5}, "alpha must be at least the largest class prior, 0.7. Got alpha=0.5"),
        ({"alpha": -1.0}, "'alpha' parameter of OpenSampler must be None or a float"),
        (
            {"eta": -0.1},
            r"'eta' parameter of OpenSampler must be a float in the range \[0.0, inf\)",
        ),
        ({"label_distribution": "even"}, "'label_distribution' parameter"),
        (
            {"label_distribution": "minimum", "alpha": 1.0},
            "alpha belongs to label_distribution='complementary'",
        ),
        ({"n_aux": 0}, "'n_aux' parameter"),
        (
            {"sampling_strategy": {2: 30}, "alpha": 1.0},
            r"either from sampling_strategy or .*alpha=1.0",
        ),
        ({"sampling_strategy": {2: 30}, "n_aux": 9}, "Leave one side at its default"),
        ({"sampling_strategy": {7: 30}}, "7"),
        ({"X_aux": np.zeros((5, 4))}, r"of shape \(6,\). Got X_aux of shape \(5, 4\)"),
        ({"X_aux": np.zeros((0, 6))}, r"at least one sample.*Got X_aux of shape \(0, 6\)"),
        ({"X_aux": np.full((5, 6), np.nan)}, "Input X_aux contains NaN"),
        ({"X_aux": np.full((5, 6), "a")}, "X_aux must hold numbers"),
    ],
)
def test_bad_parameters(data, params, text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LongTailWarning)
        with pytest.raises(ValueError, match=f"(?s){text}"):
            OpenSampler(**params).fit_resample(*data)


def test_images_of_another_range_or_type(data):
    y = data[1]
    X = np.random.default_rng(0).random((100, 1, 4, 4))
    with pytest.raises(ValueError, match=r"range of X, \[0, 1\]. Got values from"):
        resampled((X, y), X_aux=200 * X)
    with pytest.raises(ValueError, match="X holds unsigned bytes, and X_aux must do so too"):
        resampled(((255 * X).astype(np.uint8), y), X_aux=X)


def test_training_rows_among_open_set_samples_are_counted(data, aux):
    X, _ = data
    mixed = np.concatenate([X[:25], aux[:115]])
    with pytest.warns(LongTailWarning, match="25 of the 140 open-set rows that were used equal"):
        resampled(data, X_aux=mixed)


def test_training_needs_open_set_samples_and_no_counts(data, aux):
    with pytest.raises(ValueError, match="needs open-set samples in training. Got X_aux=None"):
        begun(data)
    with pytest.raises(ValueError, match=re.escape("Got OpenSampler(sampling_strategy={2: 9})")):
        begun(data, X_aux=aux, sampling_strategy={2: 9})
    with pytest.raises(ValueError, match=r"of shape \(6,\). Got X_aux of shape \(300, 5\)"):
        begun(data, X_aux=aux[:, :5])
    with pytest.raises(ValueError, match="largest class prior"):
        begun(data, X_aux=aux, alpha=0.2)


def test_a_weighted_fit_is_calmer_than_a_plain_one(data, aux):
    """With weights, a linear model barely loses accuracy on real rows; without, it does."""
    X, y = data
    sampler, X_res, y_res = resampled(data, X_aux=aux, n_aux=2000)
    weighted = LogisticRegression().fit(X_res, y_res, sample_weight=sampler.sample_weight_)
    plain = LogisticRegression().fit(X_res, y_res)
    assert weighted.score(X, y) > plain.score(X, y) + 0.03


def test_a_plain_pipeline_is_told_that_it_drops_the_weights(data, aux):
    with pytest.warns(LongTailWarning, match="(?s)140 open-set rows.*drops.*ResampledClassifier"):
        X_plain, y_plain = OpenSampler(X_aux=aux, random_state=0).fit_resample(*data)
    sampler = OpenSampler(X_aux=aux, random_state=0)
    model = ResampledClassifier(LogisticRegression(), sampler).fit(*data)  # without a warning
    assert model.sampler_.weights_used
    assert not sampler.weights_used
    _, X_used, y_used = resampled(data, X_aux=aux)
    np.testing.assert_array_equal(X_plain, X_used)
    np.testing.assert_array_equal(y_plain, y_used)
