"""Interrupted runs go on from their last checkpoint, with the result of an unbroken run."""

import logging
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import skorch.callbacks
import torch
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    EpochTimer,
    Freezer,
    GradientNormClipping,
    Initializer,
    InputShapeSetter,
    LoadInitState,
    LRScheduler,
    ParamMapper,
    PassthroughScoring,
    PrintLog,
    ProgressBar,
    TrainEndCheckpoint,
    Unfreezer,
    WarmRestartLR,
)
from skorch.exceptions import SkorchException
from skorch.utils import freeze_parameter, noop
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, ReduceLROnPlateau

from ltresample import LongTailWarning, M2mSampler
from ltresample.losses import LDAMLoss
from ltresample.models import MLP
from ltresample.training import DeferredRebalancingClassifier, _parameters

rng = np.random.default_rng(0)
Y = np.repeat(np.arange(3), [60, 20, 8])
X = (rng.normal(size=(len(Y), 4)) + 2 * np.eye(3, 4)[Y]).astype(np.float32)


class Breakdown(SkorchException):
    """What stops a run in these tests."""


class Breaks(Callback):
    """Stops a run at a batch of an epoch, where it is armed; a state outside of code and settings."""

    def __init__(self, epoch=0, batch=0):
        self.epoch = epoch
        self.batch = batch

    def on_batch_end(self, net, training, **kwargs):
        here = len(net.history) - 1, len(net.history[-1]["batches"]) - 1
        if "BREAKS" in os.environ and training and here == (self.epoch, self.batch):
            raise Breakdown


@pytest.fixture
def broken(monkeypatch):
    """Let a net break down on its way."""

    def fit(net, X=X, y=Y, **kwargs):
        with monkeypatch.context() as patch:
            patch.setenv("BREAKS", "1")
            with pytest.raises(Breakdown):
                net.fit(X, y, **kwargs)

    return fit


def taken_up(caplog):
    """Epochs at which runs were taken up, as the log says."""
    texts = [r.getMessage() for r in caplog.records if r.name.startswith("ltresample.training")]
    caplog.clear()
    found = [re.search("^Taking up run .* at epoch ([0-9]+) of", text) for text in texts]
    return [int(match[1]) for match in found if match]


@pytest.fixture(autouse=True)
def _logged(caplog):
    caplog.set_level(logging.INFO, logger="ltresample.training")


def net_of(tmp_path=None, **params):
    settings = {
        "module": MLP,
        "module__dropout": 0.2,
        "max_epochs": 6,
        "batch_size": 16,
        "warmup": 2,
        "lr_decay": {0.8: 0.1},
        "train_split": 0.25,
        "random_state": 0,
        "checkpoint_dir": tmp_path,
    }
    return DeferredRebalancingClassifier(**{**settings, **params})


def same(one, other):
    states = [
        (part.module_.state_dict(), part.optimizer_.state_dict()["state"]) for part in (one, other)
    ]
    (a, momentum_a), (b, momentum_b) = states
    return all(torch.equal(a[key], b[key]) for key in a) and all(
        torch.equal(momentum_a[i]["momentum_buffer"], momentum_b[i]["momentum_buffer"])
        for i in momentum_a
    )


RECORDED = ("train_loss", "valid_loss", "valid_bacc")
PARAMS = {
    "plain": {},
    "DRW": {
        "criterion": LDAMLoss,
        "module__head": "cosine",
        "rebalance": "reweight",
        "rebalance_start": 3,
    },
    "DRS, workers": {
        "rebalance": "resample",
        "rebalance_start": 3,
        "iterator_train__num_workers": 1,
    },
    "M2m": {"resampler": M2mSampler(preset="paper", step_size=0.5, min_confidence=0.5), "start": 2},
    "no seed": {"random_state": None},
}


BREAKS = [("plain", 0), ("plain", 2), *((kind, 4) for kind in PARAMS)]


@pytest.mark.parametrize(("kind", "epoch"), BREAKS)
def test_a_broken_run_ends_as_an_unbroken_one(kind, epoch, tmp_path, monkeypatch, broken, caplog):
    broken(net_of(tmp_path, callbacks=[Breaks(epoch, 1)], **PARAMS[kind]))
    assert len(list(tmp_path.iterdir())) == (epoch > 0)
    resumed = net_of(tmp_path, callbacks=[Breaks(epoch, 1)], **PARAMS[kind])
    resumed.fit(X, Y)
    assert taken_up(caplog) == [epoch] * (epoch > 0)
    monkeypatch.setattr(_parameters, "root_seed", lambda random_state: resumed.seed_)
    unbroken = net_of(callbacks=[Breaks(epoch, 1)], **PARAMS[kind]).fit(X, Y)
    assert same(resumed, unbroken)
    assert resumed.history[:, RECORDED] == unbroken.history[:, RECORDED]
    assert resumed.predict_proba(X).tolist() == unbroken.predict_proba(X).tolist()


def test_a_finished_run_is_not_repeated(tmp_path):
    first = net_of(tmp_path).fit(X, Y)
    began = first.history[:, "dur"]
    second = net_of(tmp_path).fit(X, Y)
    assert second.history[:, "dur"] == began
    assert same(first, second)


def test_other_parameters_and_data_are_other_runs(tmp_path):
    net_of(tmp_path).fit(X, Y)
    for params, data in [
        ({"lr": 0.01}, (X, Y)),
        ({"max_epochs": 7}, (X, Y)),
        ({"random_state": 1}, (X, Y)),
        ({}, (X[::-1].copy(), Y)),
        ({}, (X, Y[::-1].copy())),
    ]:
        before = len(list(tmp_path.iterdir()))
        net_of(tmp_path, **params).fit(*data)
        assert len(list(tmp_path.iterdir())) == before + 1
    net_of(tmp_path, verbose=0, device="cpu").fit(X, Y)
    assert len(list(tmp_path.iterdir())) == 6


def test_callbacks_take_up_what_they_had_learned(tmp_path, broken):
    def callbacks():
        return [
            EarlyStopping(monitor="train_loss", patience=3, threshold=10.0, sink=lambda text: None),
            ("rate", LRScheduler(policy="StepLR", step_size=2, gamma=0.5)),
            Breaks(2, 0),
        ]

    params = {"warmup": 0, "lr_decay": None}
    unbroken = net_of(callbacks=callbacks(), **params).fit(X, Y)
    assert 2 < len(unbroken.history) < 6, "early stopping did not stop"
    broken(net_of(tmp_path, callbacks=callbacks(), **params))
    resumed = net_of(tmp_path, callbacks=callbacks(), **params).fit(X, Y)
    assert len(resumed.history) == len(unbroken.history)
    assert resumed.history[:, "event_lr"] == unbroken.history[:, "event_lr"]
    assert same(resumed, unbroken)


class Average(Callback):
    """The mean of the weights so far, in an object with a state; and numbers of all kinds."""

    def on_train_begin(self, net, **kwargs):
        self.mean_ = torch.optim.swa_utils.AveragedModel(net.module_)
        self.numbers_ = {"losses": [], "last": np.zeros(2, dtype=np.float32), 3: (1, None)}

    def on_epoch_end(self, net, **kwargs):
        self.mean_.update_parameters(net.module_)
        self.numbers_["losses"].append(np.float64(net.history[-1, "train_loss"]))
        self.numbers_["last"] = self.numbers_["last"] + 1


def quiet(text):
    """Sink of callbacks."""


def halving(epoch):
    return 0.5**epoch


def schedule(net):
    return freeze_parameter if len(net.history) == 2 else noop


CALLBACKS = {
    "EarlyStopping, best": lambda path: [
        EarlyStopping(monitor="train_loss", patience=9, threshold=0.2, load_best=True, sink=quiet)
    ],
    "Checkpoint, best": lambda path: [
        Checkpoint(dirname=str(path), monitor="valid_bacc_best", load_best=True)
    ],
    "TrainEndCheckpoint": lambda path: [TrainEndCheckpoint(dirname=str(path))],
    "LoadInitState": lambda path: [
        cp := Checkpoint(dirname=str(path), monitor=None),
        LoadInitState(cp),
    ],
    "LRScheduler, warm restarts": lambda path: [LRScheduler(WarmRestartLR, base_period=2)],
    "LRScheduler, lambda": lambda path: [LRScheduler(LambdaLR, lr_lambda=halving)],
    "LRScheduler, cosine": lambda path: [LRScheduler("CosineAnnealingLR", T_max=6)],
    "LRScheduler, cyclic": lambda path: [
        LRScheduler("CyclicLR", base_lr=0.01, max_lr=0.1, step_every="batch", step_size_up=4)
    ],
    "LRScheduler, one cycle": lambda path: [
        LRScheduler(OneCycleLR, max_lr=0.1, total_steps=40, step_every="batch")
    ],
    "LRScheduler, plateau": lambda path: [
        LRScheduler(ReduceLROnPlateau, monitor="train_loss", patience=0, threshold=0.3)
    ],
    "EpochScoring": lambda path: [
        EpochScoring("f1_macro", lower_is_better=False),
        ("train f1", EpochScoring("f1_macro", name="f", on_train=True, lower_is_better=False)),
    ],
    "BatchScoring": lambda path: [BatchScoring("accuracy", name="b", lower_is_better=False)],
    "PassthroughScoring": lambda path: [PassthroughScoring("valid_loss", lower_is_better=False)],
    "GradientNormClipping": lambda path: [GradientNormClipping(0.1)],
    "Freezer, Unfreezer": lambda path: [Freezer("body.0*", at=2), Unfreezer("body.0*", at=5)],
    "ParamMapper": lambda path: [ParamMapper("body*", schedule=schedule)],
    "Initializer": lambda path: [Initializer("*bias", fn=torch.nn.init.zeros_)],
    "InputShapeSetter": lambda path: [InputShapeSetter(param_name="n_features")],
    "ProgressBar, EpochTimer, PrintLog": lambda path: [ProgressBar(), EpochTimer(), PrintLog()],
    "of a user": lambda path: [Average()],
}
WITH_ACCOUNTS = {"MlflowLogger", "NeptuneLogger", "SacredLogger", "TensorBoard", "WandbLogger"}


def test_every_callback_of_skorch_is_tried():
    tried = {
        type(c[1] if isinstance(c, tuple) else c).__name__
        for of in CALLBACKS.values()
        for c in of("")
    }
    known = set(skorch.callbacks.__all__) - WITH_ACCOUNTS - {"Callback", "WarmRestartLR"}
    assert known <= tried


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.filterwarnings("ignore:To get the last learning rate")
@pytest.mark.parametrize("kind", CALLBACKS)
def test_a_resumed_fit_is_the_unbroken_one_with(kind, tmp_path, broken, caplog, capsys):
    params = {"warmup": 0, "lr_decay": None, "lr": 0.1}

    def callbacks(name):
        return [*CALLBACKS[kind](tmp_path / name), Breaks(4, 1)]

    unbroken = net_of(tmp_path / "a", callbacks=callbacks("files a"), **params).fit(X, Y)
    broken(net_of(tmp_path / "b", callbacks=callbacks("files b"), **params))
    resumed = net_of(tmp_path / "b", callbacks=callbacks("files b"), **params).fit(X, Y)
    assert taken_up(caplog) == [4]
    assert same(resumed, unbroken)
    columns = sorted(k for k in unbroken.history[-1] if k not in ("batches", "dur"))
    assert sorted(k for k in resumed.history[-1] if k not in ("batches", "dur")) == columns
    for column in columns:
        assert resumed.history[:, column] == unbroken.history[:, column], column
    for name, part in unbroken.module_.named_parameters():
        assert part.requires_grad == dict(resumed.module_.named_parameters())[name].requires_grad
    if kind == "of a user":
        one, other = (dict(net.callbacks_)["Average"] for net in (resumed, unbroken))
        assert all(
            torch.equal(a, b)
            for a, b in zip(one.mean_.parameters(), other.mean_.parameters(), strict=True)
        )
        assert one.numbers_["losses"] == other.numbers_["losses"]
        assert one.numbers_["last"].tolist() == other.numbers_["last"].tolist() == [6, 6]


def test_what_a_callback_learns_and_no_file_can_hold_is_said(tmp_path):
    class Odd(Callback):
        def on_epoch_end(self, net, **kwargs):
            self.thing_ = object()

    with pytest.warns(LongTailWarning, match="the callback 'Odd' has learned.* will lack thing_"):
        net_of(tmp_path, max_epochs=1, callbacks=[Odd()]).fit(X, Y)


def test_what_a_callback_makes_in_the_middle_is_said(tmp_path, broken):
    class Late(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 2:
                self.late_ = torch.nn.Linear(1, 1)

    broken(net_of(tmp_path, callbacks=[Late(), Breaks(4, 1)]))
    with pytest.raises(
        ValueError, match="the callback 'Late'.*late_ is not there yet.*on_train_begin"
    ):
        net_of(tmp_path, callbacks=[Late(), Breaks(4, 1)]).fit(X, Y)


def test_taking_up_is_said(tmp_path, broken, caplog, capsys):
    broken(net_of(tmp_path, callbacks=[Breaks(4, 1)]))
    capsys.readouterr()
    net_of(tmp_path, callbacks=[Breaks(4, 1)]).fit(X, Y)
    (path,) = tmp_path.iterdir()
    text = f"Taking up run {path.stem} at epoch 4 of 6, from {path}."
    assert text in [record.getMessage() for record in caplog.records]
    assert text not in capsys.readouterr().out
    net_of(tmp_path, callbacks=[Breaks(4, 1)], verbose=1).fit(X, Y)
    assert text.replace("epoch 4", "epoch 6") in capsys.readouterr().out


def test_without_a_seed_a_broken_run_is_taken_up_and_a_finished_one_is_not(
    tmp_path, broken, caplog
):
    params = {"random_state": None, "callbacks": [Breaks(4, 1)]}
    broken(net_of(tmp_path, **params))
    first = net_of(tmp_path, **params).fit(X, Y)
    assert taken_up(caplog) == [4]
    second = net_of(tmp_path, **params).fit(X, Y)
    assert taken_up(caplog) == []
    assert not same(first, second)
    assert list(tmp_path.iterdir()) == []
    stopped = [EarlyStopping("train_loss", patience=2, threshold=10.0, sink=quiet)]
    nets = [net_of(tmp_path, random_state=None, callbacks=stopped).fit(X, Y) for _ in range(2)]
    assert len(nets[0].history) < 6
    assert not same(*nets)


def test_going_on_is_a_run_of_its_own(tmp_path, caplog):
    net = net_of(tmp_path).fit(X, Y)
    net.partial_fit(X, Y)
    assert len(net.history) == 12
    assert len(list(tmp_path.iterdir())) == 2
    again = net_of(tmp_path).fit(X, Y)
    assert len(again.history) == 6
    again.partial_fit(X, Y)
    assert taken_up(caplog) == [6, 6]
    assert len(again.history) == 12
    assert same(net, again)


@pytest.mark.parametrize(
    "cut", [0, 1, 100, -1], ids=["empty", "a byte", "its head", "all but a byte"]
)
def test_a_checkpoint_that_was_cut_off(cut, tmp_path):
    net_of(tmp_path).fit(X, Y)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(
        ValueError, match="cut off or damaged.*Delete the file to start the run anew"
    ):
        net_of(tmp_path).fit(X, Y)
    path.unlink()
    net_of(tmp_path).fit(X, Y)


def test_files_are_on_the_disk_before_they_get_their_name_and_nothing_is_left(
    tmp_path, monkeypatch
):
    calls = []
    monkeypatch.setattr(os, "fsync", lambda handle: calls.append("fsync"))
    replace = pathlib.Path.replace
    monkeypatch.setattr(
        pathlib.Path, "replace", lambda a, b: (calls.append("replace"), replace(a, b))[1]
    )
    net_of(tmp_path, max_epochs=2).fit(X, Y)
    assert calls == ["fsync", "replace"] * 2
    (path,) = tmp_path.iterdir()
    left = path.with_suffix(".12345.part")  # of a process that was killed while it wrote
    left.write_bytes(b"half")
    os.utime(left, (1, 1))
    path.unlink()
    net_of(tmp_path, max_epochs=2).fit(X, Y)
    assert not left.exists()

    def full(state, file):
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", full)
    path.unlink()
    with pytest.raises(OSError, match="No space"):
        net_of(tmp_path, max_epochs=2).fit(X, Y)
    assert list(tmp_path.iterdir()) == []


KILLED = """
import sys, time
import numpy as np
from skorch.callbacks import Callback
from ltresample.models import MLP
from ltresample.training import DeferredRebalancingClassifier

class Slow(Callback):
    def on_batch_end(self, net, **kwargs):
        time.sleep(float(sys.argv[2]))

X, y = np.load(sys.argv[1] + "/X.npy"), np.load(sys.argv[1] + "/y.npy")
net = DeferredRebalancingClassifier(
    MLP, max_epochs=12, batch_size=16, train_split=0.25, random_state=0,
    checkpoint_dir=sys.argv[1] + "/run", callbacks=[Slow()],
)
net.fit(X, y)
np.save(sys.argv[1] + "/proba" + sys.argv[3] + ".npy", net.predict_proba(X))
"""


@pytest.mark.slow
def test_a_killed_process_goes_on(tmp_path):
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", Y)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def command(pause, name):
        return [sys.executable, "-c", KILLED, str(tmp_path), str(pause), name]

    killed = 0
    for _ in range(3):
        process = subprocess.Popen(command(0.02, "0"), env=environment)
        before = {p: p.stat().st_mtime_ns for p in tmp_path.glob("run/*.pt")}
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            now = {p: p.stat().st_mtime_ns for p in tmp_path.glob("run/*.pt")}
            if now != before:  # a new checkpoint is there
                time.sleep(rng.random() * 0.1)
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
    assert killed >= 2
    assert not (tmp_path / "proba0.npy").exists()
    subprocess.run(command(0, "1"), env=environment, check=True)
    unbroken = net_of(
        None, max_epochs=12, warmup=0, lr_decay=None, module__dropout=0.0, callbacks=[Breaks(99)]
    ).fit(X, Y)
    np.testing.assert_array_equal(np.load(tmp_path / "proba1.npy"), unbroken.predict_proba(X))
