"""The classifier: data in, deferral on time, one seed, skorch's features."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from skorch.callbacks import Callback, Checkpoint, EarlyStopping, EpochScoring
from skorch.dataset import ValidSplit
from skorch.helper import predefined_split
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import TensorDataset

from ltresample import DistributionMatchingOversampler, M2mSampler
from ltresample.class_counts import class_weights
from ltresample.losses import InfluenceBalancedLoss, LDAMLoss
from ltresample.models import MLP, CosineHead, SmallCNN
from ltresample.training import ClassIndexSampler, DeferredRebalancingClassifier

COUNTS = np.array([80, 30, 12])
M2M = {
    "preset": "paper",
    "g": LogisticRegression(),
    "step_size": 0.5,
    "min_confidence": 0.5,
    "count_decay": 0.9,
}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), COUNTS)
    X = rng.normal(size=(len(y), 4)) + 2 * np.eye(3, 4)[y]
    order = rng.permutation(len(y))
    return X[order].astype(np.float32), y[order]


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), [20, 8, 4])
    return rng.integers(0, 256, size=(len(y), 1, 8, 8), dtype=np.uint8), y


def net_of(**params):
    settings = {"max_epochs": 4, "batch_size": 32, "random_state": 0, **params}
    return DeferredRebalancingClassifier(**settings)


class Watch(Callback):
    """Notes what training sees, epoch by epoch."""

    def on_train_begin(self, net, **kwargs):
        self.labels_, self.sizes_, self.weights_ = [], [], []

    def on_epoch_begin(self, net, **kwargs):
        self.labels_.append([])
        self.sizes_.append([])

    def on_batch_end(self, net, batch, training, y_pred, **kwargs):
        if training:
            self.labels_[-1] += batch[1].tolist()
            self.sizes_[-1].append(len(y_pred))

    def on_epoch_end(self, net, **kwargs):
        weight = getattr(net.criterion_, "weight", None)
        self.weights_.append(None if weight is None else weight.clone())


def watch(net):
    return dict(net.callbacks_)["Watch"]


def same(one, other):
    a, b = one.module_.state_dict(), other.module_.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


# ---------------------------------------------------------------- training itself


def test_training_is_a_bare_loop_over_the_index_stream(data):
    """Same start, same batches, same steps: bit for bit what twelve lines of PyTorch give."""
    X, y = data
    net = net_of(module=MLP, module__hidden=(8,), lr=0.1, optimizer__weight_decay=1e-3).fit(X, y)
    module = clone(net).set_params(max_epochs=0).fit(X, y).module_
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    stream = ClassIndexSampler(y, random_state=net.seed_.child("index").integer())
    rows, target = torch.from_numpy(X), torch.from_numpy(y)
    for epoch in range(4):
        stream.set_epoch(epoch)
        for index in stream.positions().split(32):
            optimizer.zero_grad()
            cross_entropy(module(rows[index]), target[index], weight=torch.ones(3)).backward()
            optimizer.step()
    for name, value in module.state_dict().items():
        assert torch.equal(value, net.module_.state_dict()[name]), name


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"module": MLP, "module__dropout": 0.5},
        {"resampler": M2mSampler(**M2M), "start": 2},
        {"resampler": DistributionMatchingOversampler(**M2M), "start": 2},
    ],
    ids=["plain", "dropout", "M2m", "DM"],
)
def test_one_seed_one_result_and_no_global_generator(data, params):
    params = {"train_split": 0.25, **params}
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    one = net_of(**params).fit(*data)
    torch.manual_seed(1)
    other = net_of(**params).fit(*data)
    third = net_of(**{**params, "random_state": 1}).fit(*data)
    assert same(one, other)
    np.testing.assert_equal(one.history[:, "train_loss"], other.history[:, "train_loss"])
    assert not same(one, third)
    torch.set_rng_state(before[0])
    net_of(**params).fit(*data)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_fit_starts_anew_and_warm_start_goes_on(data):
    net = net_of().fit(*data)
    assert same(net, clone(net).fit(*data))
    first = pickle.loads(pickle.dumps(net))
    assert same(net.fit(*data), first)
    net.set_params(warm_start=True).fit(*data)
    assert len(net.history) == 8
    assert not same(net, first)


# ---------------------------------------------------------------- deferral


def test_drs_draws_classes_alike_from_its_start_on(data):
    net = net_of(rebalance="resample", rebalance_start=2, max_epochs=6, callbacks=[Watch()])
    counts = [np.bincount(part, minlength=3) for part in watch(net.fit(*data)).labels_]
    for natural in counts[:2]:
        np.testing.assert_array_equal(natural, COUNTS)
    n = 4 * COUNTS.sum()
    assert np.abs(sum(counts[2:]) - n / 3).max() < 5 * np.sqrt(n * 2 / 9)


def test_effective_numbers_as_weights_of_the_stream(data):
    net = net_of(rebalance="resample", weighting="effective", beta=0.0, callbacks=[Watch()])
    drawn = sum(np.bincount(part, minlength=3) for part in watch(net.fit(*data)).labels_)
    expected = COUNTS * 4  # beta 0: rows alike
    assert np.abs(drawn - expected).max() < 5 * np.sqrt(expected.max())


@pytest.mark.parametrize("criterion", [nn.CrossEntropyLoss, LDAMLoss])
def test_drw_keeps_the_optimizer_and_its_momentum(data, criterion):
    class Momentum(Callback):
        def on_epoch_begin(self, net, **kwargs):
            states = list(net.optimizer_.state.values())
            self.seen_ = [*getattr(self, "seen_", []), (net.optimizer_, len(states))]

    net = net_of(
        criterion=criterion,
        rebalance="reweight",
        weighting="effective",
        rebalance_start=0.5,
        callbacks=[Watch(), Momentum()],
    ).fit(*data)
    want = class_weights(COUNTS, "effective", beta=0.9999)
    for weight in watch(net).weights_[:2]:
        assert weight is None or (weight == 1).all()
    for weight in watch(net).weights_[2:]:
        np.testing.assert_allclose(weight, want, rtol=1e-6)
    optimizers, sizes = zip(*dict(net.callbacks_)["Momentum"].seen_, strict=True)
    assert set(optimizers) == {net.optimizer_}
    assert sizes[1:] == (sizes[1],) * 3
    assert sizes[1] > 0


def test_resampler_starts_on_time_and_writes_history(data):
    net = net_of(
        resampler=M2mSampler(**M2M),
        start=0.5,
        batch_size_after_start=16,
        train_split=0.25,
        callbacks=[Watch()],
    ).fit(*data)
    share, rate, seconds = np.array(
        net.history[:, ("share_synthesized", "acceptance_rate", "dur")]
    ).T
    assert share[:2].tolist() == [0, 0]
    assert np.isnan(rate[:2]).all()
    assert (share[2:] > 0).all()
    assert ((rate[2:] > 0) & (rate[2:] <= 1)).all()
    assert (seconds > 0).all()
    assert [sizes[0] for sizes in watch(net).sizes_] == [32, 32, 16, 16]
    batches = net.history[-1, "batches", :, ("n_requested", "n_accepted", "train_batch_size")]
    assert share[-1] == sum(b[1] for b in batches) / sum(b[2] for b in batches)
    assert rate[-1] == sum(b[1] for b in batches) / sum(b[0] for b in batches)
    assert isinstance(net.g_, LogisticRegression)
    assert net.g_ is not M2M["g"]


def test_validation_sees_real_rows_only(data):
    X, y = data
    seen = []

    class Rows(Callback):
        def on_batch_end(self, net, batch, training, **kwargs):
            if not training:
                seen.append(batch[0])

    net = net_of(resampler=M2mSampler(**M2M), start=0, train_split=0.25, callbacks=[Rows()])
    net.fit(X, y)
    real = {row.tobytes() for row in X}
    assert {row.numpy().tobytes() for row in torch.cat(seen)} <= real
    np.testing.assert_array_equal(net.class_counts_, [60, 22, 9])
    proba = net.predict_proba(X)
    assert proba.shape == (len(X), 3)


def test_validation_score_is_mean_recall_of_held_out_rows(data):
    X, y = data
    names = np.array(["one", "three", "two"])
    net = net_of(train_split=ValidSplit(4, stratified=True)).fit(X, names[y])
    valid = net.train_split(np.zeros(len(y)), y)[1].indices
    recalls = recall_score(names[y][valid], net.predict(X[valid]), average=None)
    assert net.history[-1, "valid_bacc"] == pytest.approx(recalls.mean())


# ---------------------------------------------------------------- data


@pytest.mark.parametrize(
    "of",
    [
        pd.DataFrame,
        sparse.csr_matrix,
        sparse.csc_array,
        torch.from_numpy,
        np.asfortranarray,
        lambda X: X.astype(np.float64),
        lambda X: X.tolist(),
    ],
)
def test_containers_give_the_same_network(data, of):
    X, y = data
    sampler = M2mSampler(**{**M2M, "g": LogisticRegression().fit(X, y)})
    settings = {"module": MLP, "module__hidden": (8,), "resampler": sampler, "start": 2}
    reference = net_of(**settings).fit(X, y)
    held = of(X)
    if hasattr(held, "columns"):
        held.columns = [f"c{i}" for i in range(4)]
    net = net_of(**settings).fit(held, y)
    assert same(net, reference)
    np.testing.assert_array_equal(net.predict(held), reference.predict(X))


def test_data_sets_of_torch(data):
    X, y = data
    dataset = TensorDataset(torch.from_numpy(X), torch.from_numpy(y))
    settings = {"module": MLP, "module__hidden": (8,)}
    net = net_of(**settings).fit(dataset, y)
    assert same(net, net_of(**settings).fit(X, y))
    np.testing.assert_array_equal(net.predict(dataset), net.predict(X))
    dataset.targets = y
    assert same(net_of(**settings).fit(dataset), net)


def test_workers_load_the_same_batches(data):
    net = net_of(module=MLP, iterator_train__num_workers=1).fit(*data)
    assert same(net, net_of(module=MLP).fit(*data))


@pytest.mark.parametrize("labels", [["b", "c", "a"], [10, -3, 7], [2.0, 1.0, 3.0], [True, False]])
def test_labels_of_any_kind(data, labels):
    X, y = data
    labels = np.array(labels)
    y = labels[y % len(labels)]
    net = net_of(lr=0.1, max_epochs=8).fit(X, y)
    np.testing.assert_array_equal(net.classes_, np.unique(labels))
    assert net.predict(X).dtype == labels.dtype
    assert net.score(X, y) > 0.6


def test_8_bit_images_and_the_same_in_the_unit_interval(images):
    X, y = images
    net = net_of(max_epochs=2).fit(X, y)
    assert isinstance(net.module_, SmallCNN)
    other = net_of(max_epochs=2).fit((X / 255).astype(np.float32), y)
    for a, b in zip(net.module_.parameters(), other.module_.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    flat = net_of(max_epochs=2).fit(X[:, 0], y)
    np.testing.assert_allclose(flat.predict_proba(X[:, 0]), net.predict_proba(X), rtol=1e-4)


def test_a_default_network_fits_the_criterion(data):
    net = net_of(criterion=LDAMLoss).fit(*data)
    head = list(net.module_.modules())[-1]
    assert isinstance(head, CosineHead)
    logits = net.forward(data[0])
    want = (30 * logits).softmax(1).numpy()
    np.testing.assert_allclose(net.predict_proba(data[0]), want, rtol=1e-5)


def test_default_network_keeps_double_precision_on_request_of_the_data(data):
    X, y = data
    for dtype in (torch.float32, torch.float64):
        net = net_of().fit(X.astype(str(dtype).removeprefix("torch.")), y)
        assert next(net.module_.parameters()).dtype == dtype
    net = net_of(dtype=torch.float32).fit(X.astype(np.float64), y)
    assert net.predict_proba(X).dtype == np.float32


def test_augmentation_is_for_training_rows_and_seeded(data):
    X, y = data
    seen = []

    def jitter(x, generator):
        seen.append(x.shape)
        return x + 0.1 * torch.randn(x.shape, generator=generator)

    net = net_of(augment=jitter, train_split=0.25).fit(X, y)
    assert len(seen) == net.max_epochs * -(-91 // 32)
    assert same(net, net_of(augment=jitter, train_split=0.25).fit(X, y))
    assert not same(net, net_of(train_split=0.25).fit(X, y))
    net.predict(X)
    assert len(seen) == 2 * net.max_epochs * -(-91 // 32)


def test_weights_of_rows_are_weights_in_the_loss(data):
    X, y = data
    settings = {"batch_size": -1, "dtype": torch.float64, "lr": 0.5, "max_epochs": 30}
    weight = np.where(y == 2, 20.0, 1.0)
    plain, weighted = net_of(**settings).fit(X, y), net_of(**settings)
    weighted.fit(X, y, sample_weight=weight)
    assert (weighted.predict(X) == 2).sum() > (plain.predict(X) == 2).sum()
    half = weight.copy()
    half[::2] = 0
    kept = net_of(**settings).fit(X[1::2], y[1::2], sample_weight=weight[1::2])
    dropped = net_of(**settings).fit(X, y, sample_weight=half)
    np.testing.assert_allclose(
        dropped.predict_proba(X), kept.predict_proba(X), rtol=1e-6, atol=1e-12
    )


def test_class_weight_is_that_of_the_loss(data):
    X, y = data
    names = np.array(["c", "a", "b"])[y]
    net = net_of(class_weight={"c": 3.0, "b": 0.5}).fit(X, names)
    np.testing.assert_array_equal(net.criterion_.weight, [1.0, 0.5, 3.0])
    balanced = net_of(class_weight="balanced").fit(X, y)
    np.testing.assert_allclose(balanced.criterion_.weight, class_weights(COUNTS), rtol=1e-6)


# ---------------------------------------------------------------- criteria


def test_criterion_that_needs_features_is_switched_on_late(data):
    class Active(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.history.record("active", net.criterion_.active)

    net = net_of(
        criterion=InfluenceBalancedLoss,
        criterion__alpha=10.0,
        rebalance_start=2,
        train_split=0.25,
        callbacks=[Active()],
    ).fit(*data)
    assert net.history[:, "active"] == [False, False, True, True]
    assert not any(part._forward_pre_hooks for part in net.module_.modules())


def test_probabilities_of_a_module_with_softmax(data):
    class Softmax(nn.Module):
        def __init__(self, n_features, n_classes):
            super().__init__()
            self.linear = nn.Linear(n_features, n_classes)

        def forward(self, x):
            return self.linear(x).softmax(1)

    net = net_of(module=Softmax, criterion=nn.NLLLoss, lr=0.1, max_epochs=20).fit(*data)
    np.testing.assert_allclose(net.predict_proba(data[0]).sum(1), 1, rtol=1e-5)
    assert net.score(*data) > 0.8


def test_given_instances_are_copied(data):
    module, criterion = MLP(4, 3, hidden=(8,)), LDAMLoss()
    before = [p.clone() for p in module.parameters()]
    net = net_of(module=module, criterion=nn.CrossEntropyLoss()).fit(*data)
    assert net.module_ is not module
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))
    net_of(criterion=criterion).fit(*data)
    assert criterion.class_counts is None


# ---------------------------------------------------------------- scikit-learn and skorch


def test_parameters_of_the_resampler_can_be_searched(data):
    search = GridSearchCV(
        net_of(resampler=M2mSampler(**M2M), start=2),
        {"resampler__step_size": [0.1, 0.5], "lr": [0.01, 0.1], "module__hidden": [(4,)]},
        cv=2,
        scoring="balanced_accuracy",
    )
    search.fit(*data)
    best = search.best_estimator_
    assert best.resampler.step_size == search.best_params_["resampler__step_size"]
    assert best.get_params()["resampler__step_size"] == best.resampler.step_size
    assert len(set(search.cv_results_["params"][0])) == 3
    assert len(cross_val_score(net_of(), *data, cv=2)) == 2


def test_pickle_and_save_params(data, tmp_path):
    X, y = data
    net = net_of(resampler=M2mSampler(**M2M), start=2, train_split=0.25).fit(X, y)
    other = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(other.predict_proba(X), net.predict_proba(X))
    files = {name: tmp_path / name for name in ("f_params", "f_optimizer", "f_criterion")}
    net.save_params(**files, f_history=str(tmp_path / "history.json"))
    third = net_of(module=MLP, module__n_features=4, module__n_classes=3).initialize()
    with pytest.raises(RuntimeError, match="Missing key"):
        third.load_params(f_params=files["f_params"])  # another network
    fourth = clone(net).set_params(max_epochs=0, resampler=None).fit(X, y)
    fourth.load_params(**files, f_history=str(tmp_path / "history.json"))
    np.testing.assert_array_equal(fourth.predict_proba(X), net.predict_proba(X))
    assert len(fourth.history) == 4
    momentum = [s["momentum_buffer"] for s in net.optimizer_.state.values()]
    loaded = [s["momentum_buffer"] for s in fourth.optimizer_.state.values()]
    assert all(torch.equal(a, b) for a, b in zip(momentum, loaded, strict=True))


def test_partial_fit_goes_on(data):
    X, y = data
    net = net_of(module=MLP, resampler=M2mSampler(**M2M), start=6)
    net.partial_fit(X, y)
    net.partial_fit(X, y)
    assert len(net.history) == 8
    share = net.history[:, "share_synthesized"]
    assert share[:6] == [0] * 6
    assert min(share[6:]) > 0
    assert same(net, clone(net).set_params(max_epochs=8).fit(X, y))


def test_early_stopping_and_checkpoint(data, tmp_path):
    X, y = data
    net = net_of(
        max_epochs=60,
        lr=0.2,
        train_split=0.25,
        callbacks=[
            EpochScoring("f1_macro", name="f1", on_train=True, lower_is_better=False),
            EarlyStopping(patience=2, sink=lambda text: None),
            Checkpoint(dirname=tmp_path, monitor="valid_bacc_best", load_best=True),
        ],
    )
    net.fit(X, y)
    assert len(net.history) < 60
    best = int(np.argmax(net.history[:, "valid_bacc"]))
    fresh = clone(net).set_params(callbacks=None, max_epochs=best + 1).fit(X, y)
    assert same(net, fresh)
    assert 0 < net.history[-1, "f1"] <= 1


def test_validation_set_of_its_own(data):
    X, y = data
    names = np.array(["c", "a", "b"])[y]
    from skorch.dataset import Dataset

    net = net_of(train_split=predefined_split(Dataset(X[:40], names[:40]))).fit(X[40:], names[40:])
    recalls = recall_score(
        names[:40], net.predict(X[:40]), average=None, labels=np.unique(names[:40])
    )
    assert net.history[-1, "valid_bacc"] == pytest.approx(recalls.mean())


def test_verbosity(data, capsys):
    net_of(max_epochs=2).fit(*data)
    out = capsys.readouterr()
    assert out.out == out.err == ""
    net_of(max_epochs=2, verbose=1).fit(*data)
    out = capsys.readouterr()
    assert "2/2" in out.err
    assert out.out == ""
    net_of(max_epochs=2, verbose=2).fit(*data)
    assert len(capsys.readouterr().out.splitlines()) == 4
