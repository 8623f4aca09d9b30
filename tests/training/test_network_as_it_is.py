"""The network is used as it stands: its modes, units, last layer, attributes and probabilities."""

import copy
import logging
import os
import pickle
import warnings

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, Checkpoint
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import nn
from torch.testing import assert_close
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from ltresample import LongTailWarning, M2mSampler, OTMixSampler
from ltresample._random import Seed
from ltresample.guides import as_classifier
from ltresample.losses import InfluenceBalancedLoss, LDAMLoss
from ltresample.models import MLP, FoldedModule, feature_extractor
from ltresample.rows import TakenRows, pool_of
from ltresample.training import DeferredRebalancingClassifier
from ltresample.training._criterion import logit_scale
from ltresample.training._synthesis import StepSynthesis

rng = np.random.default_rng(0)
Y = np.repeat([0, 1, 2], [36, 18, 6])
X = (rng.normal(size=(60, 4)) + Y[:, None]).astype(np.float32)


def net_of(module=None, **params):
    return DeferredRebalancingClassifier(module, **{"max_epochs": 3, "random_state": 0, **params})


def with_norm():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


# ---------------------------------------------------------------------- modes


class Modes(Callback):
    def __init__(self):
        self.seen = []

    def on_batch_end(self, net, batch=None, training=False, **kwargs):
        self.seen.append((training, [part.training for part in net.module_]))


@pytest.mark.parametrize("train_split", [None, 0.2])
@pytest.mark.parametrize("held", [(), (1,), (1, 2)])
def test_layers_in_evaluation_mode_stay_in_it(train_split, held):
    module, modes = with_norm(), Modes()
    for i in held:
        module[i].eval()
    net = net_of(module, train_split=train_split, callbacks=[("modes", modes)]).fit(X, Y)
    net.predict(X)
    net.partial_fit(X, Y)
    for training, seen in modes.seen:
        assert seen == [training and i not in held for i in range(4)]
    unmoved = torch.equal(net.module_[1].running_mean, torch.zeros(8))
    assert unmoved == (1 in held)


def test_a_layer_that_was_let_go_of_trains_again():
    module = with_norm()
    module[1].eval()
    net = net_of(module).fit(X, Y)
    net.predict(X)
    net.module_[1].train()
    net.partial_fit(X, Y)
    assert net.module_[1].training
    assert not torch.equal(net.module_[1].running_mean, torch.zeros(8))


def test_a_new_part_is_in_evaluation_mode_in_predictions():
    net = net_of(with_norm()).fit(X, Y)
    net.predict(X)
    net.module_[3] = nn.Sequential(nn.Dropout(0.5), net.module_[3])
    assert_close(net.predict_proba(X), net.predict_proba(X), rtol=0, atol=0)


class Kill(Callback):
    """Ends a run in its second epoch, where it is armed: by what belongs to no setting."""

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 2 and "KILL" in os.environ:
            raise InterruptedError


def test_a_frozen_normalisation_in_a_run_that_is_taken_up(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="ltresample.training")

    def fit():
        module = with_norm()
        module[1].eval()
        net = net_of(module, train_split=0.2, checkpoint_dir=tmp_path, callbacks=[("kill", Kill())])
        return net.fit(X, Y)

    with monkeypatch.context() as patch:
        patch.setenv("KILL", "1")
        with pytest.raises(InterruptedError):
            fit()
    resumed = fit()
    assert "at epoch 1 of 3" in caplog.text
    for path in tmp_path.iterdir():
        path.unlink()
    assert_close(resumed.predict_proba(X), fit().predict_proba(X), rtol=0, atol=0)


# ---------------------------------------------------------------------- units


def test_units_that_were_loaded_stay(tmp_path):
    net = net_of(max_epochs=10).fit(X, Y)
    net.save_params(f_params=tmp_path / "weights.pt")
    other = net_of(module__row_shape=(4,), classes=[0, 1, 2], max_epochs=0).initialize()
    other.load_params(f_params=tmp_path / "weights.pt")
    other.partial_fit(X * 3 + 5, Y)
    assert_close(other.predict_proba(X), net.predict_proba(X))


def test_a_network_that_is_built_anew_learns_its_units():
    net = net_of(max_epochs=2).fit(X * 1000, Y)
    net.set_params(module__hidden=(7,))
    net.partial_fit(X * 1000, Y)
    assert_close(net.module_[0].center, torch.from_numpy(X * 1000).mean(0), rtol=1e-4, atol=1e-3)


def test_images_of_bytes_after_weights_were_loaded(tmp_path):
    images = rng.integers(0, 256, size=(60, 1, 8, 8), dtype=np.uint8)
    net = net_of(max_epochs=1).fit(images, Y)
    net.save_params(f_params=tmp_path / "weights.pt")
    other = net_of(module__row_shape=(1, 8, 8), classes=[0, 1, 2]).initialize()
    other.load_params(f_params=tmp_path / "weights.pt")
    assert_close(other.predict_proba(images), net.predict_proba(images))
    with pytest.warns(
        LongTailWarning, match="X holds images with values from 0 to 255 in the type"
    ):
        other.predict_proba(images.astype(np.float32))


# ---------------------------------------------------------------------- validation sets


class Pairs(torch.utils.data.Dataset):
    def __init__(self, x, y):
        self.x, self.y_of_item = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return torch.from_numpy(self.x[i]), int(self.y_of_item[i])


CONTAINERS = {
    "skorch": Dataset,
    "tensors": lambda x, y: TensorDataset(torch.from_numpy(x), torch.from_numpy(y)),
    "a part": lambda x, y: Subset(CONTAINERS["tensors"](x, y), range(len(x))),
    "two": lambda x, y: ConcatDataset([CONTAINERS["tensors"](x, y)]),
    "pairs": Pairs,
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_validation_sets_of_every_kind_are_opened_as_training_rows_are(kind):
    images = rng.integers(0, 256, size=(60, 1, 8, 8), dtype=np.uint8)
    y = np.array([2, 5, 9])[Y]
    held = (images[::2], y[::2])

    def losses(valid):
        net = net_of(train_split=predefined_split(valid), max_epochs=2).fit(images, y)
        return net.history[:, ("valid_loss", "train_loss")]

    assert losses(CONTAINERS[kind](*held)) == losses(Dataset(held[0].astype(np.float32), held[1]))


def test_a_validation_set_without_labels():
    alone = TensorDataset(torch.from_numpy(X))
    with pytest.raises(ValueError, match="A validation set must hold labels. Got a TensorDataset"):
        net_of(train_split=predefined_split(alone)).fit(X, Y)


# ---------------------------------------------------------------------- last layer


class HeadFirst(nn.Module):
    """Assigns its last layer first."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 3)
        self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU())

    def forward(self, x):
        return self.head(self.body(x))


class WithAuxiliary(HeadFirst):
    """Gives auxiliary logits as well, which are computed last."""

    def __init__(self):
        super().__init__()
        self.auxiliary = nn.Linear(8, 3)

    def forward(self, x):
        h = self.body(x)
        return self.head(h), self.auxiliary(2 * h)


@pytest.mark.parametrize("build", [HeadFirst, WithAuxiliary])
def test_features_are_what_enters_the_layer_that_gives_the_outputs(build):
    module, x = build(), torch.from_numpy(X)
    assert_close(feature_extractor(module)(x), module.body(x))
    widths = []

    class Loss(InfluenceBalancedLoss):
        def forward(self, logits, y, features=None, **kwargs):
            widths.append(features.shape[1])
            return super().forward(logits, y, features, **kwargs)

    net_of(module, criterion=Loss, max_epochs=1).fit(X, Y)
    assert set(widths) == {8}


# ---------------------------------------------------------------------- synthesis


def test_a_folded_copy_follows_attributes_and_new_parts():
    class Tempered(nn.Sequential):
        temperature = 1.0

        def forward(self, x):
            return super().forward(x) * self.temperature

    live, x = Tempered(*with_norm()).eval(), torch.from_numpy(X)
    frozen = FoldedModule(live)
    live.temperature = 4.0
    assert_close(frozen.refresh()(x), live(x))
    live[3] = nn.Sequential(nn.Linear(8, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)).eval()
    assert_close(frozen.refresh()(x), live(x))
    with torch.no_grad():
        live[3][0].weight.mul_(2)
    assert_close(frozen.refresh()(x), live(x))


class Cosines(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 4))

    def forward(self, x):
        return nn.functional.linear(*map(nn.functional.normalize, (x, self.weight)))


@pytest.mark.parametrize(
    "settings",
    [
        {"module": MLP},
        {"module": MLP, "module__head": "cosine", "criterion": LDAMLoss},
        {"module": MLP, "module__head": "cosine", "criterion": LDAMLoss, "criterion__scale": 8.0},
        {"module": Cosines, "criterion": LDAMLoss, "criterion__scale": 8.0},
    ],
)
def test_synthesis_asks_for_the_probabilities_that_the_net_predicts(settings):
    net, x = net_of(**settings).fit(X, Y), torch.from_numpy(X)
    g = as_classifier(net, x, np.arange(3), "g")
    assert_close(g.log_proba(x).exp().detach().numpy(), net.predict_proba(X))
    step = StepSynthesis(
        M2mSampler(g="f"),
        pool_of(TakenRows(X, dtype=torch.float32), torch.from_numpy(Y), np.bincount(Y)),
        classes=np.arange(3),
        module=net.module_.eval(),
        seed=Seed(0),
        logit_scale=logit_scale(net.criterion_),
    )
    assert_close(step.f.log_proba(x).exp().detach().numpy(), net.predict_proba(X))


def test_weights_that_a_hook_computes():
    def build():
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", FutureWarning
            )  # there is a newer way; this one is about
            first = nn.utils.weight_norm(nn.Linear(4, 8))
        return nn.Sequential(first, nn.ReLU(), nn.Linear(8, 3))

    net = net_of(build, resampler=M2mSampler(g="f", min_confidence=0.2), start=1).fit(X, Y)
    assert net.history[-1]["share_synthesized"] > 0


def test_a_schedule_that_leaves_out_all_epochs_is_said():
    text = r"OTMixSampler rewrites no batch: its own schedule \(start, stop\) leaves out all epochs"
    with pytest.warns(LongTailWarning, match=text):
        net = net_of(resampler=OTMixSampler(), start=0, max_epochs=7).fit(X, Y)
    assert not any(net.history[:, "share_synthesized"])


# ---------------------------------------------------------------------- state


def test_a_rate_that_was_not_set_is_the_one_to_begin_with():
    net = net_of(MLP, lr=0.1, lr_decay={2: 0.1}, warm_start=True).fit(X, Y)
    net.set_params(optimizer__momentum=0.5)
    assert net.optimizer_.param_groups[0]["initial_lr"] == 0.1
    net.set_params(optimizer__lr=0.3)
    assert net.optimizer_.param_groups[0]["initial_lr"] == 0.3


def test_a_pickle_from_the_middle_of_a_run_holds_no_rows(tmp_path):
    path = tmp_path / "net.pkl"
    keep = Checkpoint(
        f_pickle=path, f_params=None, f_optimizer=None, f_criterion=None, f_history=None
    )
    keep.set_params(monitor=None)
    net = net_of(MLP, callbacks=[("keep", keep)]).fit(X, Y)
    kept = pickle.loads(path.read_bytes())
    assert kept._run is None
    assert_close(kept.predict_proba(X), net.predict_proba(X))


def test_partial_fit_counts_classes_in_all_splits():
    net = net_of(MLP, criterion=LDAMLoss, module__head="cosine", rebalance="reweight")
    net.partial_fit(X, Y)
    net.partial_fit(X[:50], Y[:50])  # without a row of class 2
    assert net.class_counts_.tolist() == [72, 32, 6]
    with pytest.raises(ValueError, match="Class 2 has no row in the training split of 50 rows"):
        net.set_params(rebalance="resample").partial_fit(X[:50], Y[:50])


def test_global_generators_are_left_alone_by_a_network_that_is_always_random():
    class Random(MLP):
        def forward(self, x):
            return super().forward(nn.functional.dropout(x, 0.5, training=True))

    before = torch.get_rng_state()
    net_of(Random).fit(X, Y)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_estimator_as_guide_sees_the_rows_of_a_dataset():
    from sklearn.linear_model import LogisticRegression

    data = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    kwargs = {"resampler": M2mSampler(g=LogisticRegression()), "start": 1, "train_split": 0.2}
    one = net_of(MLP, **copy.deepcopy(kwargs)).fit(data)
    two = net_of(MLP, **copy.deepcopy(kwargs)).fit(X, Y)
    assert_close(one.g_.coef_, two.g_.coef_)
    assert_close(one.predict_proba(X), two.predict_proba(X))
