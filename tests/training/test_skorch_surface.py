"""All of skorch's NeuralNetClassifier: each parameter and public member works or is refused by name."""

import copy
import inspect
import pickle
import re

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import balanced_accuracy_score
from skorch import NeuralNet, NeuralNetClassifier
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    LRScheduler,
)
from skorch.dataset import Dataset
from torch import nn
from torch.utils.data import DataLoader

from ltresample import M2mSampler, OpenSampler
from ltresample.losses import CrossEntropy, LDAMLoss
from ltresample.models import MLP
from ltresample.training import SAFA, DeferredRebalancingClassifier, WarmupStepDecay

rng = np.random.default_rng(0)
Y = np.repeat(np.arange(3), [60, 20, 8])
X = (rng.normal(size=(len(Y), 4)) + 2 * np.eye(3, 4)[Y]).astype(np.float32)
NAMES = np.array(["head", "middle", "tail"])


def net_of(**params):
    settings = {"module": MLP, "max_epochs": 3, "batch_size": 16, "random_state": 0, **params}
    return DeferredRebalancingClassifier(**settings)


@pytest.fixture(scope="module")
def fitted():
    return net_of(train_split=0.25).fit(X, Y)


def same(one, other):
    a, b = one.module_.state_dict(), other.module_.state_dict()
    return all(torch.equal(a[key], b[key]) for key in a)


# ---------------------------------------------------------------- parameters of the constructor


class Loader(DataLoader):
    """A user's own."""

    made = 0

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        type(self).made += 1


def log_odds(outputs):
    return outputs / 2


def params_work(fitted):
    """The parameters of skorch that work: what is set, and what shows that it does."""
    return {
        "module": (MLP, lambda net: isinstance(net.module_, MLP)),
        "criterion": (nn.CrossEntropyLoss, lambda net: type(net.criterion_) is nn.CrossEntropyLoss),
        "optimizer": (torch.optim.AdamW, lambda net: type(net.optimizer_) is torch.optim.AdamW),
        "lr": (0.01, lambda net: net.optimizer_.param_groups[0]["lr"] == 0.01),
        "max_epochs": (2, lambda net: len(net.history) == 2),
        "batch_size": (40, lambda net: net.history[0, "train_batch_count"] == 3),
        "iterator_train": (Loader, lambda net: Loader.made == 1),
        "iterator_valid": (Loader, lambda net: net.predict(X).shape == (88,) and Loader.made == 1),
        "train_split": (0.5, lambda net: sum(net.class_counts_) == 44),
        "callbacks": ("disable", lambda net: net.callbacks_ == []),
        "classes": (
            [2, 0, 1],
            lambda net: net.classes_.tolist() == [0, 1, 2] and same(net, net_of().fit(X, Y)),
        ),
        "predict_nonlinearity": (
            log_odds,
            lambda net: np.array_equal(net.predict_proba(X), net.forward(X).numpy() / 2),
        ),
        "warm_start": (True, lambda net: len(net.fit(X, Y).history) == 6),
        "verbose": (0, lambda net: True),
        "device": (None, lambda net: next(net.module_.parameters()).device.type == "cpu"),
        "compile": (False, lambda net: isinstance(net.module_, MLP)),
        "use_caching": (False, lambda net: len(net.history) == 3),
        "torch_load_kwargs": ({"weights_only": False}, loads_with_them),
    }


def loads_with_them(net):
    other = clone(net).set_params(classes=[0, 1, 2], module__n_features=4).initialize()
    import io

    file = io.BytesIO()
    net.save_params(f_params=file)
    file.seek(0)
    other.load_params(f_params=file)
    return same(net, other)


REFUSED = {"dataset": Dataset}


def skorchs_parameters():
    names = set()
    for kind in (NeuralNetClassifier, NeuralNet):
        names |= set(inspect.signature(kind.__init__).parameters)
    return names - {"self", "args", "kwargs"}


def test_every_parameter_of_skorch_is_known():
    assert skorchs_parameters() == set(params_work(None)) | set(REFUSED)


@pytest.mark.parametrize("name", sorted(params_work(None)))
def test_parameter_works(name, fitted):
    Loader.made = 0
    value, shows = params_work(fitted)[name]
    net = net_of(**{name: value})
    assert net.get_params()[name] is value
    assert clone(net).get_params(deep=False).keys() == net.get_params(deep=False).keys()
    assert shows(net.fit(X, Y))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"dataset": Dataset}, "dataset is not used here. Got dataset=<class"),
        ({"iterator_train__shuffle": False}, "iterator_train__shuffle cannot be kept. Got False."),
        ({"iterator_train__sampler": [1]}, "iterator_train__sampler cannot be kept. Got [1]."),
        ({"iterator_train__batch_sampler": [1]}, "iterator_train__batch_sampler cannot be kept."),
        ({"iterator_train__collate_fn": len}, "iterator_train__collate_fn cannot be kept."),
        ({"iterator_train__generator": 1}, "iterator_train__generator cannot be kept. Got 1."),
        ({"iterator_valid__shuffle": True}, "iterator_valid__shuffle cannot be kept. Got True."),
        (
            {"iterator_valid__drop_last": True},
            "iterator_valid__drop_last cannot be kept. Got True.",
        ),
        ({"iterator_train__worker": 1}, "iterator_train=DataLoader takes no worker."),
        ({"iterator_train": iter}, "iterator_train=iter cannot be asked"),
        ({"iterator_train": lambda data: data}, "iterator_train=<lambda> takes no batch_sampler"),
        ({"classes": [1]}, "classes must name at least two classes, each once. Got classes=[1]."),
        ({"classes": [0, 1, 1]}, "classes must name at least two classes, each once."),
        ({"classes": [0, 1]}, "y holds labels that were not there at first. Got [2]"),
        (
            {"batch_size": 128, "iterator_train__drop_last": True},
            "drop_last leaves out batches that are not full, and there would be no other. Got "
            "batch_size=128 for 88 training rows.",
        ),
        (
            {"batch_size_after_start": 89, "iterator_train__drop_last": True},
            "drop_last leaves out batches that are not full, and there would be no other. Got "
            "batch_size_after_start=89 for 88 training rows.",
        ),
        (
            {"callbacks": [EarlyStopping()]},
            "The callback 'EarlyStopping' watches 'valid_loss', and there are no rows to validate on. "
            "Got train_split=None. Pass train_split=0.2, or EarlyStopping(monitor='train_loss').",
        ),
        ({"callbacks": [Checkpoint()]}, "The callback 'Checkpoint' watches 'valid_loss_best'"),
        (
            {"callbacks": [EpochScoring("f1_macro", name="f"), EarlyStopping("f")]},
            "The callback 'EarlyStopping' watches 'f', and there are no rows to validate on.",
        ),
        (
            {"callbacks": [LRScheduler("StepLR", step_size=1)], "warmup": 2},
            "The callback 'LRScheduler' and warmup or lr_decay both set the learning rate. Got "
            "LRScheduler beside warmup=2, lr_decay=None. Leave one of them out.",
        ),
        (
            {"callbacks": [WarmupStepDecay()], "lr_decay": {1: 0.1}},
            "The callback 'WarmupStepDecay'",
        ),
    ],
    ids=lambda value: re.sub(" at 0x[0-9a-f]+", "", str(value))[:60],
)
def test_what_cannot_be_kept_is_refused_before_any_work(params, message):
    net = net_of(**params)
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        net.fit(X, Y)
    assert not net.initialized_ or not len(net.history)


def test_settings_of_loaders_that_say_what_happens_anyway():
    settings = {
        "iterator_train__shuffle": True,
        "iterator_valid__shuffle": False,
        "iterator_valid__drop_last": False,
        "iterator_train__drop_last": False,
        "iterator_valid__batch_size": 7,
    }
    assert same(net_of(**settings).fit(X, Y), net_of().fit(X, Y))


# ---------------------------------------------------------------- public members


def batch_of(net):
    return torch.from_numpy(X[:8]), torch.from_numpy(Y[:8])


def round_trip(net, tmp_path):
    names = ("f_params", "f_optimizer", "f_criterion", "f_history")
    files = {name: str(tmp_path / name) for name in names}
    net.save_params(**files)
    fresh = clone(net).set_params(classes=[0, 1, 2], module__n_features=4).initialize()
    fresh.load_params(**files)
    return np.array_equal(fresh.predict(X), net.predict(X)) and len(fresh.history) == 3


def trims(net):
    before = net.predict_proba(X)
    net.trim_for_prediction()
    with pytest.raises(Exception, match="trimmed for prediction"):
        net.fit(X, Y)
    return np.array_equal(pickle.loads(pickle.dumps(net)).predict_proba(X), before)


def finite(loss):
    return bool(torch.isfinite(loss))


MEMBERS = {
    "check_data": lambda net, path: net.check_data(X, Y) is None,
    "check_is_fitted": lambda net, path: net.check_is_fitted() is None,
    "check_training_readiness": lambda net, path: net.check_training_readiness() is None,
    "classes_": lambda net, path: net.classes_.tolist() == [0, 1, 2],
    "cuda_dependent_attributes_": lambda net, path: "module_" in net.cuda_dependent_attributes_,
    "evaluation_step": lambda net, path: net.evaluation_step(batch_of(net)).shape == (8, 3),
    "fit": lambda net, path: net.fit(X, Y) is net,
    "fit_loop": lambda net, path: len(net.fit_loop(X, Y, epochs=2).history) == 5,
    "forward": lambda net, path: net.forward(X).shape == (88, 3),
    "forward_iter": lambda net, path: sum(map(len, net.forward_iter(X))) == 88,
    "get_all_learnable_params": lambda net, path: (
        dict(net.get_all_learnable_params()).keys() == dict(net.module_.named_parameters()).keys()
    ),
    "get_dataset": lambda net, path: len(net.get_dataset(X)) == 88,
    "get_default_callbacks": lambda net, path: "valid_bacc" in dict(net.get_default_callbacks()),
    "get_iterator": lambda net, path: len(list(net.get_iterator(net.get_dataset(X)))) == 6,
    "get_loss": lambda net, path: finite(net.get_loss(net.forward(X), torch.from_numpy(Y))),
    "get_metadata_routing": lambda net, path: net.get_metadata_routing() is not None,
    "get_params": lambda net, path: net.get_params()["max_epochs"] == 3,
    "get_params_for": lambda net, path: net.get_params_for("module") == {},
    "get_params_for_optimizer": lambda net, path: (
        net.get_params_for_optimizer("optimizer", net.module_.named_parameters())[1]["lr"] == 0.05
    ),
    "get_split_datasets": lambda net, path: net.get_split_datasets(X, Y)[1] is not None,
    "get_train_step_accumulator": lambda net, path: net.get_train_step_accumulator() is not None,
    "history": lambda net, path: len(net.history) == 3,
    "infer": lambda net, path: net.infer(torch.from_numpy(X)).shape == (88, 3),
    "init_context_": lambda net, path: net.init_context_ is None,
    "initialize": lambda net, path: net.initialize() is net and len(net.history) == 0,
    "initialize_callbacks": lambda net, path: net.initialize_callbacks() is net,
    "initialize_criterion": lambda net, path: net.initialize_criterion() is net,
    "initialize_history": lambda net, path: len(net.initialize_history().history) == 0,
    "initialize_module": lambda net, path: net.initialize_module() is net,
    "initialize_optimizer": lambda net, path: net.initialize_optimizer() is net,
    "initialize_virtual_params": lambda net, path: net.initialize_virtual_params() is None,
    "initialized_instance": lambda net, path: isinstance(
        net.initialized_instance(nn.Linear, {"in_features": 1, "out_features": 1}), nn.Linear
    ),
    "load_params": round_trip,
    "notify": lambda net, path: net.notify("on_train_begin", X=net.get_dataset(X), y=None) is None,
    "on_batch_begin": lambda net, path: net.on_batch_begin(net) is None,
    "on_batch_end": lambda net, path: net.on_batch_end(net) is None,
    "on_epoch_begin": lambda net, path: net.on_epoch_begin(net) is None and len(net.history) == 4,
    "on_epoch_end": lambda net, path: net.on_epoch_end(net) is None,
    "on_grad_computed": lambda net, path: net.on_grad_computed(net, []) is None,
    "on_train_begin": lambda net, path: net.on_train_begin(net) is None,
    "on_train_end": lambda net, path: net.on_train_end(net) is None,
    "partial_fit": lambda net, path: len(net.partial_fit(X, Y).history) == 6,
    "predict": lambda net, path: set(net.predict(X)) <= {0, 1, 2},
    "predict_proba": lambda net, path: np.allclose(net.predict_proba(X).sum(1), 1),
    "prefixes_": lambda net, path: "module" in net.prefixes_,
    "run_single_epoch": lambda net, path: (
        net.history.new_epoch()
        is net.run_single_epoch(
            [batch_of(net)], training=True, prefix="train", step_fn=net.train_step
        )
    ),
    "save_params": round_trip,
    "score": lambda net, path: 0 <= net.score(X, Y) <= 1,
    "set_fit_request": lambda net, path: routed(lambda: net.set_fit_request(sample_weight=True)),
    "set_params": lambda net, path: net.set_params(lr=0.1).lr == 0.1,
    "set_partial_fit_request": lambda net, path: routed(
        lambda: net.set_partial_fit_request(sample_weight=True)
    ),
    "set_score_request": lambda net, path: routed(
        lambda: net.set_score_request(sample_weight=True)
    ),
    "torch_compile": lambda net, path: net.torch_compile(net.module_, "module") is net.module_,
    "train_step": lambda net, path: finite(net.train_step(batch_of(net))["loss"]),
    "train_step_single": lambda net, path: finite(net.train_step_single(batch_of(net))["loss"]),
    "trim_for_prediction": lambda net, path: trims(net),
    "validation_step": lambda net, path: finite(net.validation_step(batch_of(net))["loss"]),
}


def routed(call):
    import sklearn

    with sklearn.config_context(enable_metadata_routing=True):
        return call() is not None


def test_every_public_member_of_skorch_is_known():
    assert {name for name in dir(NeuralNetClassifier) if name[0] != "_"} == set(MEMBERS)


@pytest.mark.parametrize("name", MEMBERS)
def test_member_works(name, fitted, tmp_path):
    assert MEMBERS[name](copy.deepcopy(fitted), tmp_path)


# ---------------------------------------------------------------- predictions inside a run


class Notes(Callback):
    """Scores of batches and epochs as a user would write them."""

    def on_train_begin(self, net, **kwargs):
        self.seen_ = []

    def on_batch_end(self, net, batch, training, y_pred, **kwargs):
        if not training:
            x, y = batch
            self.seen_.append((net.predict(x) == y.numpy()).mean())
            assert set(net.predict(X[:5])) <= set(net.classes_)


@pytest.mark.parametrize("caching", [True, False])
@pytest.mark.parametrize("labels", [np.arange(3), NAMES, np.array([7, 3, 5])], ids=str)
def test_scores_of_batches_and_epochs_in_a_run(labels, caching):
    names = ("accuracy", "balanced_accuracy", None)
    scores = [BatchScoring(s, name=f"batch {s}", use_caching=caching) for s in names]
    scores += [EpochScoring(s, name=f"epoch {s}", use_caching=caching) for s in names]
    callbacks = [(score.name, score) for score in scores]
    net = net_of(train_split=0.25, callbacks=[*callbacks, Notes()], iterator_valid__batch_size=-1)
    train, valid = net.fit(X, labels[Y]).get_split_datasets(
        net.get_split_datasets.__self__._dataset_of(opened(labels[Y]))
    )
    predicted = net.predict(X[valid.index])
    accuracy = (predicted == labels[Y][valid.index]).mean()
    balanced = balanced_accuracy_score(labels[Y][valid.index], predicted)
    last = net.history[-1]
    for where in ("batch", "epoch"):
        assert last[f"{where} accuracy"] == pytest.approx(accuracy)
        assert last[f"{where} None"] == pytest.approx(accuracy)
        assert last[f"{where} balanced_accuracy"] == pytest.approx(balanced)
    assert dict(net.callbacks_)["Notes"].seen_[-1] == pytest.approx(accuracy)


def opened(labels):
    from ltresample.training._opening import Opened

    return Opened(X, labels, None, None)


@pytest.mark.parametrize(
    "resampler",
    [OpenSampler(X_aux=X + 9), SAFA(head_ratio=0.4), M2mSampler(min_confidence=0.1)],
    ids=lambda r: type(r).__name__,
)
def test_training_scores_are_of_the_real_rows_of_batches(resampler):
    scores = [
        BatchScoring("accuracy", name="batch", on_train=True),
        EpochScoring("accuracy", name="epoch", on_train=True),
    ]
    net = net_of(resampler=resampler, start=0, callbacks=scores, batch_size=44).fit(X, Y)
    assert net.history[-1, "batch"] == pytest.approx(net.history[-1, "epoch"])
    assert net.history[-1, "epoch"] > 0.5


def test_callbacks_whose_methods_are_their_own_attributes():
    class Set(Callback):
        def __init__(self):
            self.heard_ = []
            self.on_batch_end = lambda net, **kwargs: self.heard_.append("batch")

        def on_train_begin(self, net, **kwargs):
            self.on_epoch_end = lambda net, **kwargs: self.heard_.append("epoch")

        def initialize(self):
            return self

    class Duck:
        """No subclass of skorch's."""

        heard = 0

        def initialize(self):
            return self

        def get_params(self, deep=True):
            return {}

        def set_params(self, **params):
            return self

        def __getattr__(self, name):
            if name.startswith("on_"):
                type(self).heard += name == "on_grad_computed"
                return lambda *args, **kwargs: None
            raise AttributeError(name)

    one = Set()
    net_of(callbacks=[one, ("duck", Duck())], max_epochs=2).fit(X, Y)
    assert one.heard_.count("batch") == 12
    assert one.heard_.count("epoch") == 2
    assert Duck.heard == 12


# ---------------------------------------------------------------- saving and loading


@pytest.mark.parametrize("criterion", [CrossEntropy, nn.CrossEntropyLoss, LDAMLoss])
@pytest.mark.parametrize("module", [None, MLP])
def test_parameters_are_loaded_into_a_net_without_data(module, criterion, tmp_path):
    head = {"module__head": "cosine"} if criterion is LDAMLoss else {}
    net = net_of(module=module, criterion=criterion, **head).fit(X, NAMES[Y])
    net.save_params(f_params=tmp_path / "p.pt", f_criterion=tmp_path / "c.pt")
    known = {"module__row_shape": (4,)} if module is None else {"module__n_features": 4}
    other = clone(net).set_params(classes=NAMES.tolist(), **known).initialize()
    other.load_params(f_params=tmp_path / "p.pt", f_criterion=tmp_path / "c.pt")
    np.testing.assert_array_equal(other.predict_proba(X), net.predict_proba(X))
    np.testing.assert_array_equal(other.predict(X), net.predict(X))
    assert other.score(X, NAMES[Y]) == net.score(X, NAMES[Y])


def test_without_classes_the_advice_is_one_that_works():
    net = net_of(module__n_features=4, module__n_classes=3).initialize()
    with pytest.raises(AttributeError, match="provide the 'classes' argument"):
        net.predict(X)
    assert net.set_params(classes=[0, 1, 2]).initialize().predict(X).shape == (88,)
    with pytest.raises(ValueError, match="pass classes= and module__row_shape"):
        net_of(module=None).initialize()


def test_classes_that_y_lacks():
    with pytest.warns(UserWarning, match="Class 3 has no row"):
        net = net_of(classes=[0, 1, 2, 3]).fit(X, Y)
    assert net.predict_proba(X).shape == (88, 4)
    assert net.class_counts_.tolist() == [60, 20, 8, 0]
