"""What cannot work is said before training, by name and number."""

import copy
import re

import numpy as np
import pytest
import torch
from skorch.dataset import ValidSplit
from torch import nn
from torch.utils.data import ConcatDataset, TensorDataset

from ltresample import DistributionMatchingOversampler, LongTailWarning, M2mSampler, OpenSampler
from ltresample.losses import CrossEntropy, LDAMLoss
from ltresample.models import MLP
from ltresample.training import DeferredRebalancingClassifier

rng = np.random.default_rng(0)
X = rng.normal(size=(30, 4)).astype(np.float32)
Y = np.repeat([0, 1, 2], [18, 9, 3])


def net_of(**params):
    return DeferredRebalancingClassifier(**{"max_epochs": 2, "random_state": 0, **params})


def raises(error, message, call):
    with pytest.raises(error, match="^" + re.escape(message)):
        call()


def warns(message, call):
    with pytest.warns(LongTailWarning, match="^" + re.escape(message)):
        call()


def test_criterion_that_does_not_fit_the_head():
    raises(
        ValueError,
        "LDAMLoss takes cosines in [-1, 1] and scales them itself. Got a MLP whose logits are no "
        "cosines. Build the module with module__head='cosine' or end it in "
        "ltresample.models.CosineHead.",
        lambda: net_of(module=MLP, criterion=LDAMLoss).fit(X, Y),
    )
    warns(
        "CrossEntropy on a CosineHead of scale 1: its probabilities are nearly flat and train "
        "slowly. Give the head a scale (30 is usual), take head='linear', or use LDAMLoss.",
        lambda: net_of(module=MLP, module__head="cosine").fit(X, Y),
    )


def test_criterion_without_class_weights():
    raises(
        TypeError,
        "Re-weighting sets the class weights of the criterion. Got PlainLoss, which has no buffer "
        "`weight` and no method `set_weight`. Use a loss of ltresample.losses or "
        "torch.nn.CrossEntropyLoss.",
        lambda: net_of(criterion=PlainLoss, rebalance="reweight").fit(X, Y),
    )


class PlainLoss(nn.Module):
    def forward(self, logits, y):
        return nn.functional.cross_entropy(logits, y)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"resampler": M2mSampler(), "start": 2},
            "start=2 is not before the end of training, max_epochs=2; the resampler will have no "
            "effect. Epochs are counted from 0. Pass an earlier epoch, or a float as a share of "
            "max_epochs.",
        ),
        (
            {"rebalance": "resample", "rebalance_start": 160},
            "rebalance_start=160 is not before the end of training, max_epochs=2; "
            "rebalance='resample' will have no effect.",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:The guide is no better:ltresample.LongTailWarning")
def test_start_beyond_the_end(params, message):
    warns(message, lambda: net_of(**params).fit(X, Y))


def test_start_without_anything_to_start_is_no_matter():
    net_of(start=160, rebalance_start=170).fit(X, Y)


def without_the_last_class(data, y):
    train, valid = np.flatnonzero(y < 2), np.flatnonzero(y == 2)
    return torch.utils.data.Subset(data, train), torch.utils.data.Subset(data, valid)


@pytest.mark.parametrize(
    "params",
    [
        {"rebalance": "resample"},
        {"rebalance": "reweight"},
        {"resampler": M2mSampler(), "start": 0},
        {"class_weight": "balanced"},
        {"criterion": LDAMLoss},
    ],
    ids=lambda params: next(iter(params)),
)
def test_class_absent_from_the_training_split(params):
    raises(
        ValueError,
        "Class 2 has no row in the training split of 27 rows. Rebalancing needs at least one of "
        "each. Pass a train_split that leaves one (a float does), or leave the class out of y.",
        lambda: net_of(train_split=without_the_last_class, **params).fit(X, Y),
    )


def test_absent_class_without_rebalancing_is_a_warning():
    warns(
        "Class 2 has no row in the training split of 27 rows. The network cannot learn it.",
        lambda: net_of(train_split=without_the_last_class).fit(X, Y),
    )


def test_labels_that_were_not_in_training():
    net = net_of().fit(X, Y)
    warns(
        "y holds labels that were not in training: [5, 7]. No prediction of theirs can be right.",
        lambda: net.score(X[:3], [5, 7, 0]),
    )
    raises(
        ValueError,
        "y holds labels that were not there at first. Got [3]; known are [0, 1, 2]. Name all "
        "labels, in the type in which y has them, in classes=.",
        lambda: net.partial_fit(X, Y + 1),
    )


def test_one_class():
    raises(
        ValueError,
        "y must hold at least two classes. Got one class, [7], in 30 rows. There is nothing to learn "
        "from one class.",
        lambda: net_of().fit(X, np.full(30, 7)),
    )


@pytest.mark.filterwarnings("ignore:The guide is no better:ltresample.LongTailWarning")
def test_open_set_samples():
    aux = rng.normal(size=(5, 4)).astype(np.float32)
    raises(
        ValueError,
        "OpenSampler needs open-set samples in training. Got X_aux=None.",
        lambda: net_of(resampler=OpenSampler(), start=0).fit(X, Y),
    )
    raises(
        ValueError,
        "M2mSampler does not use open-set samples. Got X_aux",
        lambda: net_of(resampler=M2mSampler(), start=0).fit(X, Y, X_aux=aux),
    )
    net = net_of(resampler=DistributionMatchingOversampler(), start=0).fit(X, Y, X_aux=aux)
    assert len(net.history) == 2


def test_weights_of_classes_that_are_not_there():
    raises(
        ValueError,
        "class_weight names classes that are not in y. Got ['a']; y has [0, 1, 2].",
        lambda: net_of(class_weight={"a": 1.0}).fit(X, Y),
    )
    raises(
        ValueError,
        "class_weight and rebalance='reweight' both set the class weights of the loss. Got "
        "class_weight='balanced'. Leave one of them out.",
        lambda: net_of(class_weight="balanced", rebalance="reweight").fit(X, Y),
    )


def test_weights_of_rows():
    raises(
        ValueError,
        "Sample weights",
        lambda: net_of().fit(X, Y, sample_weight=np.zeros(30)),
    )


def test_module_before_the_shape_is_known():
    raises(
        ValueError,
        "module=None is built from the shape of the data, which is not known yet. Call fit, or pass "
        "a module.",
        lambda: net_of().initialize(),
    )


def test_data_sets_without_labels():
    data = ConcatDataset([TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))])
    raises(
        ValueError,
        "Labels must be known before training: they decide which rows are drawn. Got a ConcatDataset "
        "without `targets`, and y=None. Pass y, one label for each item.",
        lambda: net_of(module=MLP).fit(data),
    )
    raises(
        ValueError,
        "y must hold one label for each item. Got 3 for 30 items.",
        lambda: net_of(module=MLP).fit(data, [0, 1, 2]),
    )


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"start": 1.5}, "The 'start' parameter of DeferredRebalancingClassifier must be"),
        ({"start": -1}, "The 'start' parameter of DeferredRebalancingClassifier must be"),
        ({"rebalance": "weigh"}, "The 'rebalance' parameter of DeferredRebalancingClassifier"),
        ({"resampler": 3}, "The 'resampler' parameter of DeferredRebalancingClassifier"),
        ({"train_split": 1.0}, "The 'train_split' parameter of DeferredRebalancingClassifier"),
        ({"batch_size": 0}, "The 'batch_size' parameter of DeferredRebalancingClassifier"),
        ({"modul": MLP}, "__init__() got unexpected argument(s) modul."),
        (
            {"optimizer_momentum": 0.5},
            "Got an unexpected argument optimizer_momentum, did you mean",
        ),
    ],
)
def test_parameters_out_of_range(params, message):
    raises(ValueError, message, lambda: net_of(**params).fit(X, Y))


def test_parameters_that_do_not_exist():
    raises(
        ValueError,
        "Invalid parameter 'stat' for estimator DeferredRebalancingClassifier(",
        lambda: net_of().set_params(stat=3),
    )
    raises(
        ValueError,
        "resampler__step_size needs a resampler with parameters. Got resampler=None. Pass a sampler, "
        "for example M2mSampler().",
        lambda: net_of().set_params(resampler__step_size=3),
    )


def test_folds_that_are_too_many():
    with pytest.warns(UserWarning, match="The least populated class in y has only 3 members"):
        net = net_of(train_split=ValidSplit(5, stratified=True)).fit(X, Y)
    assert net.class_counts_.min() >= 1
    assert isinstance(net.criterion_, CrossEntropy)


def test_a_class_in_the_place_of_a_resampler_is_named():
    raises(
        TypeError,
        "resampler must be an instance, not a class. Got the class M2mSampler. Pass "
        "resampler=M2mSampler(), with parentheses.",
        lambda: net_of(module=MLP, resampler=M2mSampler).fit(X, Y),
    )


def test_a_single_row_is_left_to_batch_normalisation():
    flat = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    for name, settings in (
        ("batch_size", {"batch_size": 29, "start": 1}),
        ("batch_size", {"batch_size": 1}),
        ("batch_size_after_start", {"batch_size_after_start": 29, "start": 1}),
    ):
        raises(
            ValueError,
            "The last batch of an epoch would be a single row, and the batch normalisation of the "
            f"network needs two. Got {name}={settings[name]} for 30 training rows. Pass another one, or "
            "iterator_train__drop_last=True.",
            lambda settings=settings: net_of(module=flat, max_epochs=2, **settings).fit(X, Y),
        )
    before = copy.deepcopy(flat.state_dict())
    net = net_of(module=flat, batch_size=29, iterator_train__drop_last=True).fit(X, Y)
    assert net.predict_proba(X).shape == (30, 3)
    assert all(torch.equal(before[name], value) for name, value in flat.state_dict().items())
    frozen = copy.deepcopy(flat)
    frozen[1].eval()
    net_of(module=frozen, batch_size=29).fit(X, Y)


def test_arguments_of_forward_with_a_resampler_that_asks_the_network():
    class Scaled(MLP):
        def forward(self, x, scale=1.0):
            return scale * super().forward(x)

    net_of(module=Scaled).fit(X, Y, scale=2.0)
    raises(
        ValueError,
        "M2mSampler asks the network for logits and passes rows alone. Got scale in fit, which would "
        "reach the training passes only. Set them on the module, for example by module__name=value.",
        lambda: net_of(module=Scaled, resampler=M2mSampler(g="f"), start=0).fit(X, Y, scale=2.0),
    )


def test_a_loss_of_ours_that_gives_a_number_for_each_row():
    raises(
        ValueError,
        "The criterion must give one number. Got CrossEntropy with reduction='none', which gives one "
        "for each row. Leave criterion__reduction out.",
        lambda: net_of(criterion__reduction="none").fit(X, Y),
    )


def test_the_confused_class_of_a_network_that_knows_nothing_yet():
    raises(
        ValueError,
        "The class that is confused with each class comes from a trained guide, and is looked for "
        "before training begins. Got g='f', the network in training, with confusing='only'. Pass a "
        "trained network, or leave g out.",
        lambda: net_of(
            module=MLP,
            resampler=DistributionMatchingOversampler(g="f", confusing="only"),
            start=0,
        ).fit(X, Y),
    )
