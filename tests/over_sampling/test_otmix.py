"""OTMixSampler before training: labels, pairs, ablations, columns, messages."""

import pickle
import re
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from imblearn.pipeline import make_pipeline
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.datasets import load_digits, make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from ltresample import LongTailWarning, make_long_tailed
from ltresample.mixing import ColumnSwap, CutMix, Mixup
from ltresample.over_sampling import OTMixSampler, ResampledClassifier
from ltresample.pairing import ConfusionPairing, RandomPairing, TransportPairing
from ltresample.plotting import PairCountsDisplay

QUICK = {"pairing": RandomPairing(), "random_state": 0}


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


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return make_long_tailed(X / 16, y, imbalance_factor=20, n_max=60, random_state=0)


def fitted(X, y, **params):
    sampler = OTMixSampler(**{"random_state": 0, **params})
    return sampler, *sampler.fit_resample(X, y)


def parents(sampler, X):
    """Mixed rows' positions, foregrounds and backgrounds."""
    record = sampler.provenance_
    at = np.flatnonzero(sampler.is_synthetic_)
    return at, X[record["seed_index"][at]], X[record["partner_index"][at]]


# ---- rows and labels -----------------------------------------------------------------------------

VARIANTS = [
    {},
    {"mix": ColumnSwap(4.0)},
    {"pairing": RandomPairing()},
    {"pairing": ConfusionPairing()},
    {"pairing": TransportPairing(feature_weight=1.0)},
    {"preset": "remix"},
    {"preset": "mamix"},
    {"preset": "unimix"},
    {"preset": "mixup"},
    {"preset": "cmo"},
    {"preset": "otmix_paper"},
    {"synthetic_share": 0.5},
    {"min_foreground": 0.5},
]


@pytest.mark.parametrize("params", VARIANTS, ids=str)
def test_labels_say_what_rows_are_made_of(data, params):
    X, y = data
    sampler, X_res, y_res = fitted(X, y, **params)
    assert (np.bincount(y_res) == 207).all()
    at, fg, bg = parents(sampler, X)
    record, targets = sampler.provenance_, sampler.soft_targets_
    np.testing.assert_array_equal(y[record["seed_index"]], y_res)
    np.testing.assert_array_equal(record["source"], y_res)
    assert (record["partner_index"][~sampler.is_synthetic_] == -1).all()
    np.testing.assert_allclose(targets.sum(1), 1)
    np.testing.assert_array_equal(targets[: len(X)], np.eye(3)[y])
    lam = 1 - sampler.sample_weight_
    assert (lam[~sampler.is_synthetic_] == 0).all()
    y_bg = y[record["partner_index"]]
    expected = (1 - lam)[:, None] * np.eye(3)[y_res] + lam[:, None] * np.eye(3)[y_bg]
    np.testing.assert_allclose(targets, expected)
    if "mix" in params:
        assert ((X_res[at] == fg) | (X_res[at] == bg)).all()
    elif params.get("preset") not in ("remix", "mamix"):
        np.testing.assert_allclose(
            X_res[at], lam[at, None] * bg + (1 - lam[at, None]) * fg, atol=1e-6
        )
    if "min_foreground" in params:
        assert (1 - lam[at]).min() >= 0.5
    share = params.get("synthetic_share", 1.0)
    assert len(at) == sum(round(share * (207 - n)) for n in np.bincount(y))
    assert set(sampler.acceptance_rate_.values()) == {1.0}
    assert set(sampler.shortfall_.values()) == {0}


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_pairs_are_the_same_rows_with_both_labels(data, share):
    X, y = data
    one, X_one, y_one = fitted(X, y, synthetic_share=share, min_foreground=0)
    two, X_two, y_two = fitted(X, y, synthetic_share=share, mixed_labels="pair")
    n = len(X_one)
    np.testing.assert_array_equal(X_two[:n], X_one)
    np.testing.assert_array_equal(y_two[:n], y_one)
    at = np.flatnonzero(one.is_synthetic_)
    assert len(X_two) == n + len(at)
    np.testing.assert_array_equal(X_two[n:], X_one[at])
    np.testing.assert_array_equal(y_two[n:], y[one.provenance_["partner_index"][at]])
    np.testing.assert_allclose(two.sample_weight_[n:], 1 - one.sample_weight_[at])
    np.testing.assert_array_equal(y[two.provenance_["seed_index"]], y_two)
    assert not hasattr(two, "soft_targets_"), "one or the other"
    weight = np.bincount(y_two, two.sample_weight_)
    np.testing.assert_allclose(weight, one.soft_targets_.sum(0))


def test_a_weighted_linear_model_on_pairs_equals_training_on_soft_targets(data):
    """Cross-entropy is linear in the target; minima of both losses by Newton's method."""
    X, y = data
    soft, X_soft, _ = fitted(X, y, min_foreground=0)
    pair, X_pair, y_pair = fitted(X, y, mixed_labels="pair")
    C = 0.5
    settings = {"C": C, "solver": "newton-cg", "tol": 1e-12, "max_iter": 1000}
    weighted = LogisticRegression(**settings).fit(X_pair, y_pair, sample_weight=pair.sample_weight_)
    x = torch.from_numpy(np.c_[X_soft, np.ones(len(X_soft))])
    target = torch.from_numpy(soft.soft_targets_)
    w = torch.zeros(3, 7, dtype=torch.float64, requires_grad=True)

    def loss(w):
        penalty = 0.5 * w[:, :6].square().sum()
        return penalty - C * (target * (x @ w.T).log_softmax(1)).sum()

    for _ in range(30):
        gradient = torch.autograd.grad(loss(w), w)[0]
        hessian = torch.autograd.functional.hessian(loss, w).reshape(21, 21)
        step = torch.linalg.pinv(hessian) @ gradient.flatten()  # one direction moves nothing
        w = (w - step.view(3, 7)).detach().requires_grad_()
    assert float(gradient.abs().max()) < 1e-8
    expected = (x @ w.T).softmax(1).detach()
    np.testing.assert_allclose(weighted.predict_proba(X_soft), expected, atol=1e-6)


def test_images_are_pasted(digits):
    X, y = digits
    sampler, X_res, _ = fitted(X, y, image_shape=(8, 8), min_foreground=0, **QUICK)
    assert isinstance(sampler.settings_["mix"], CutMix)
    at, fg, bg = parents(sampler, X)
    lam = (1 - sampler.sample_weight_)[at]
    boxes = 0
    for x, f, b, kept in zip(X_res[at], fg, bg, lam, strict=True):
        own = (x == f).reshape(8, 8) & (f != b).reshape(8, 8)
        assert ((x == f) | (x == b)).all()
        if own.any():
            rows, columns = np.flatnonzero(own.any(1)), np.flatnonzero(own.any(0))
            height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
            assert height * width <= round(64 * (1 - kept)), "foreground pixels lie in one box"
            boxes += 1
    assert boxes > 100
    assert len(np.unique(lam)) > 3, "each pair has a box of its own"
    flat = fitted(X, y, image_shape=(1, 8, 8), min_foreground=0, **QUICK)[1]
    deep = fitted(X.reshape(-1, 1, 8, 8), y, min_foreground=0, **QUICK)[1]
    np.testing.assert_array_equal(deep.reshape(len(deep), -1), flat)
    np.testing.assert_array_equal(X_res, flat)


def test_values_are_copied_exactly(data):
    """Float64 values and large codes survive."""
    X, y = data
    X = np.c_[X, np.arange(300) + 2**40, np.arange(300) / 3]
    sampler, X_res, _ = fitted(X, y, mix=ColumnSwap(), **QUICK)
    assert np.isin(X_res[:, 6], X[:, 6]).all()
    assert np.isin(X_res[:, 7], X[:, 7]).all()


@pytest.mark.parametrize("columns", [["kind", "a", "b"], [1, 2, -1], [False, True, True, True]])
def test_categories_whole_numbers_and_groups_stay_valid(columns):
    rng = np.random.default_rng(0)
    y = np.repeat(["x", "y"], [80, 20])
    which = rng.integers(2, size=100)
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=100),
            "kind": rng.choice([0, 2, 7], 100),
            "a": which == 0,
            "b": (which == 1).astype("int8"),
        }
    )
    sampler, X_res, y_res = fitted(frame, y, categorical_features=columns, **QUICK)
    pd.testing.assert_series_equal(X_res.dtypes, frame.dtypes)
    assert set(X_res["kind"]) == {0, 2, 7}
    assert (X_res["a"].astype(int) + X_res["b"] == 1).all()
    assert sampler.is_synthetic_.sum() == 60


def test_categories_come_from_the_foreground_as_often_as_its_share_says():
    y = np.repeat(["x", "y"], [2000, 40])
    size = np.random.default_rng(0).normal(size=len(y))
    frame = pd.DataFrame({"size": size, "kind": pd.Categorical(y)})
    sampler, X_res, y_res = fitted(frame, y, **{**QUICK, "pairing": RandomPairing()})
    at = np.flatnonzero(sampler.is_synthetic_)
    at = at[y[sampler.provenance_["partner_index"][at]] != y_res[at]]
    own, share = (X_res["kind"].astype(str).to_numpy() == y_res)[at], sampler.sample_weight_[at]
    assert len(at) > 1000
    assert own.mean() == pytest.approx(share.mean(), abs=0.04)
    assert share[own].mean() > share[~own].mean() + 0.02


def test_any_class_may_get_more(data):
    X, y = data
    _, _, y_res = fitted(X, y, sampling_strategy={0: 300, 2: 50}, **QUICK)
    assert np.bincount(y_res).tolist() == [300, 62, 50]


# ---- pairs ---------------------------------------------------------------------------------------


def test_pairs_agree_with_confusions_by_three_tenths_more_than_at_random():
    """Cross-class pairs, as in the paper's Fig. 9; the mean over three tails of digits."""
    gains = []
    for seed in range(3):
        X, y = load_digits(return_X_y=True)
        X, y = make_long_tailed(X / 16, y, imbalance_factor=20, n_max=120, random_state=seed)
        more = {"sampling_strategy": dict.fromkeys(range(10), 200), "image_shape": (8, 8)}
        samplers = {
            name: fitted(X, y, preset=name, **more, random_state=seed)[0]
            for name in ("otmix", "cmo")
        }
        display = PairCountsDisplay.from_samplers(samplers, y)
        rho = display.rank_correlation
        off = ~np.eye(10, dtype=bool)
        affinity = samplers["otmix"].class_affinity_
        assert rho["otmix"] == spearmanr(display.counts["otmix"][off], affinity[off]).statistic
        gains.append(rho["otmix"] - rho["cmo"])
    assert np.mean(gains) >= 0.3


def test_the_class_affinity_is_out_of_fold_or_the_users(data):
    X, y = data
    rng = np.random.default_rng(0)
    shuffled = rng.permutation(y)
    with pytest.warns(LongTailWarning, match="no better than a guess"):
        sampler, *_ = fitted(X, shuffled)
    assert sampler.class_affinity_[2, 2] < 0.5, "labels without meaning are not known"
    for g in (None, LogisticRegression()):
        hard, *_ = fitted(X, y, g=g, class_affinity="hard")
        soft, *_ = fitted(X, y, g=g, class_affinity="soft")
        counts = hard.class_affinity_ * np.bincount(y)[:, None]
        np.testing.assert_allclose(counts, counts.round(), atol=1e-9)
        np.testing.assert_allclose(soft.class_affinity_.sum(1), 1)
        np.testing.assert_allclose(soft.class_affinity_, hard.class_affinity_, atol=0.25)
    given = rng.dirichlet(np.ones(3), 3)
    own, *_ = fitted(X, y, class_affinity=given)
    np.testing.assert_array_equal(own.class_affinity_, given)


def test_nothing_is_fitted_that_is_not_needed(data, monkeypatch):
    from ltresample.over_sampling import _guiding

    def refuse(*args, **kwargs):
        raise AssertionError("fitted")

    monkeypatch.setattr(_guiding, "fit_fold_guides", refuse)
    X, y = data
    sampler, *_ = fitted(X, y, class_affinity=np.eye(3))
    assert sampler.g_ is not None, "features need it"
    monkeypatch.setattr(_guiding, "fit_guide", refuse)
    sampler, *_ = fitted(X, y, **QUICK)
    assert sampler.g_ is None
    assert sampler.class_affinity_ is None
    fitted(X, y, pairing=TransportPairing(feature_weight=0.0), class_affinity=np.eye(3))


def test_a_network_of_the_user(data):
    X, y = data
    g = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).train()
    state = {k: v.clone() for k, v in g.state_dict().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LongTailWarning)  # it is not trained
        sampler, *_ = fitted(X, y, g=g)
    assert sampler.g_ is g
    assert g.training
    assert all(torch.equal(state[k], v) for k, v in g.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in g.parameters())


def test_a_guide_that_is_sure_of_its_rows_is_reported(data):
    X, y = data
    X = X + 50 * np.eye(3)[y] @ np.eye(3, 6)
    g = LogisticRegression(C=1e4, max_iter=5000).fit(X, y)
    with pytest.warns(
        LongTailWarning, match="(?s)sure of the rows of X.*features alone.*class_aff"
    ):
        fitted(X, y, g=g)


def test_clone_pickle_and_grid_search(data):
    X, y = data
    sampler = OTMixSampler(mix=Mixup(2.0), **QUICK)
    reference, _ = sampler.fit_resample(X, y)
    again, _ = pickle.loads(pickle.dumps(sampler)).fit_resample(X, y)
    np.testing.assert_array_equal(again, reference)
    np.testing.assert_array_equal(clone(sampler).fit_resample(X, y)[0], reference)
    pipeline = make_pipeline(OTMixSampler(min_foreground=0.5, **QUICK), LogisticRegression())
    grid = {"otmixsampler__mix": [Mixup(1.0), ColumnSwap()]}
    search = GridSearchCV(pipeline, grid, cv=2, scoring="balanced_accuracy")
    assert search.fit(X, y).best_score_ > 0.4


def test_settings_say_what_auto_stood_for(data, digits):
    X, y = data
    sampler, *_ = fitted(X, y, preset="cmo")
    assert sampler.settings_["mix"] == Mixup(1.0, shared=False)
    assert sampler.settings_["pairing"] == RandomPairing()
    sampler, *_ = fitted(*digits, image_shape=(8, 8), preset="cmo")
    assert sampler.settings_["mix"] == CutMix(1.0, shared=False)
    sampler, *_ = fitted(*digits, image_shape=(8, 8), preset="cmo", mix=CutMix(2.0))
    assert sampler.settings_["mix"] == CutMix(2.0, shared=True), "as it was given"


# ---- messages ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"mix": CutMix()}, r"CutMix cuts boxes.*rows of shape \(6,\) and image_shape=None"),
        ({"preset": "saliency_mix"}, "SaliencyMix cuts boxes out of images"),
        ({"image_shape": (2, 4)}, r"as many pixels as.*image_shape=\(2, 4\) and rows of shape \(6"),
        ({"image_shape": (6,)}, r"\(C, H, W\) or \(H, W\)"),
        ({"class_affinity": np.eye(2)}, r"must have shape \(3, 3\).*Got shape \(2, 2\)"),
        ({"class_affinity": np.full((3, 3), np.nan)}, "class_affinity must be finite. Got nan"),
        ({"class_affinity": 9 * np.eye(3)}, "shares in .*Got entries from 0 to 9"),
        ({"categorical_features": [9]}, "categorical_features must hold positions.*9.*6 columns"),
        ({"categorical_features": ["a"]}, "'a'.*6 columns without names"),
        ({"preset": "unimix", "min_foreground": 0.5}, "UniMix's ratio follows from the counts"),
        ({"preset": "best"}, "'preset' parameter"),
        ({"mixed_labels": "soft"}, "'mixed_labels' parameter"),
        ({"min_foreground": 1.0}, "'min_foreground' parameter"),
        ({"block_size": 1}, "'block_size' parameter"),
        ({"mix_prob": 1.5}, "'mix_prob' parameter"),
        ({"pairing": "random"}, "'pairing' parameter"),
        ({"sampling_strategy": {7: 500}}, "7"),
    ],
)
def test_bad_parameters(data, params, text):
    with pytest.raises(ValueError, match=f"(?s){text}"):
        OTMixSampler(**params).fit_resample(*data)


def test_categories_are_columns_of_tables(digits):
    X, y = digits
    with pytest.raises(
        ValueError, match=re.escape("names columns of a table. Got rows of shape (8, 8)")
    ):
        OTMixSampler(categorical_features=[0]).fit_resample(X.reshape(-1, 8, 8), y)


def test_images_of_unequal_size_are_refused(digits):
    X, y = digits
    ragged = [row.reshape(8, 8) for row in X[:-1]] + [np.zeros((8, 9))]
    with pytest.raises(ValueError, match="inhomogeneous|same shape|sequence"):
        OTMixSampler().fit_resample(ragged, y)


def test_a_plan_that_does_not_converge_is_reported(data):
    pairing = TransportPairing(max_iter=1, feature_weight=1.0)
    with pytest.warns(LongTailWarning, match="marginals are off by"):
        OTMixSampler(pairing=pairing, random_state=0).fit_resample(*data)


# ---- where labels are lost -------------------------------------------------------------------------


def test_hard_labels_are_those_of_the_larger_part(data):
    """Unless pairs, a consumer of shares, or the user says otherwise."""
    X, y = data
    for preset in ("otmix", "otmix_paper", "cmo", "mixup"):
        sampler, *_ = fitted(X, y, preset=preset, pairing=RandomPairing())
        assert sampler.settings_["min_foreground"] == 0.5
        assert (sampler.sample_weight_ >= 0.5 - 1e-9).all()
    assert fitted(X, y, mixed_labels="pair", **QUICK)[0].settings_["min_foreground"] == 0
    assert fitted(X, y, preset="unimix")[0].settings_["min_foreground"] == 0
    given, *_ = fitted(X, y, min_foreground=0.2, **QUICK)
    assert 0.2 <= given.sample_weight_.min() < 0.5


def test_a_classifier_that_takes_weights_gets_the_paper_s_mixtures(data):
    X, y = data
    sampler = OTMixSampler(**QUICK)
    carried = ResampledClassifier(LogisticRegression(), sampler).fit(X, y).sampler_
    assert carried.settings_["min_foreground"] == 0
    assert sampler.min_foreground == "auto"
    with pytest.warns(LongTailWarning, match="neither soft targets nor sample_weight"):
        model = ResampledClassifier(KNeighborsClassifier(), sampler).fit(X, y)
    assert model.sampler_.settings_["min_foreground"] == 0.5
    own = OTMixSampler(min_foreground=0.3, **QUICK)
    assert ResampledClassifier(None, own).fit(X, y).sampler_.min_foreground == 0.3


@pytest.mark.parametrize(
    "classifier",
    [
        LogisticRegression(max_iter=500),
        RandomForestClassifier(50, random_state=0),
        KNeighborsClassifier(),
    ],
    ids=lambda classifier: type(classifier).__name__,
)
def test_a_plain_pipeline_is_not_worse_than_no_sampling(classifier):
    """Balanced accuracy on long-tailed digits, mean over 5 splits."""
    X, y = load_digits(return_X_y=True)
    gain = []
    for seed in range(5):
        train, test, y_train, y_test = train_test_split(
            X / 16, y, test_size=0.4, stratify=y, random_state=seed
        )
        train, y_train = make_long_tailed(
            train, y_train, imbalance_factor=20, n_max=100, random_state=seed
        )
        model = make_pipeline(OTMixSampler(random_state=seed), classifier).fit(train, y_train)
        plain = clone(classifier).fit(train, y_train)
        scores = [balanced_accuracy_score(y_test, m.predict(test)) for m in (model, plain)]
        gain.append(scores[0] - scores[1])
    assert np.mean(gain) > 0
