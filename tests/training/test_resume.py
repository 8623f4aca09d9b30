"""Interrupted runs go on from their last checkpoint, with the result of an unbroken run."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from skorch.exceptions import SkorchException

from ltresample import M2mSampler
from ltresample.losses import LDAMLoss
from ltresample.models import MLP
from ltresample.training import DeferredRebalancingClassifier, _parameters

rng = np.random.default_rng(0)
Y = np.repeat(np.arange(3), [60, 20, 8])
X = (rng.normal(size=(len(Y), 4)) + 2 * np.eye(3, 4)[Y]).astype(np.float32)


class Breakdown(SkorchException):
    """What stops a run in these tests."""


class Breaks(Callback):
    """Stops a run at a batch of an epoch, the first time."""

    armed = True

    def __init__(self, epoch=0, batch=0):
        self.epoch = epoch
        self.batch = batch

    def on_batch_end(self, net, training, **kwargs):
        here = len(net.history) - 1, len(net.history[-1]["batches"]) - 1
        if type(self).armed and training and here == (self.epoch, self.batch):
            type(self).armed = False
            raise Breakdown


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
def test_a_broken_run_ends_as_an_unbroken_one(kind, epoch, tmp_path, monkeypatch):
    Breaks.armed = True
    net = net_of(tmp_path, callbacks=[Breaks(epoch, 1)], **PARAMS[kind])
    with pytest.raises(Breakdown):
        net.fit(X, Y)
    assert len(list(tmp_path.iterdir())) == (epoch > 0)
    resumed = net_of(tmp_path, callbacks=[Breaks(epoch, 1)], **PARAMS[kind])
    resumed.fit(X, Y)
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


def test_callbacks_take_up_what_they_had_learned(tmp_path):
    def callbacks():
        return [
            EarlyStopping(monitor="train_loss", patience=3, threshold=10.0, sink=lambda text: None),
            ("rate", LRScheduler(policy="StepLR", step_size=2, gamma=0.5)),
            Breaks(2, 0),
        ]

    params = {"warmup": 0, "lr_decay": None}
    Breaks.armed = False
    unbroken = net_of(callbacks=callbacks(), **params).fit(X, Y)
    assert 2 < len(unbroken.history) < 6, "early stopping did not stop"
    Breaks.armed = True
    with pytest.raises(Breakdown):
        net_of(tmp_path, callbacks=callbacks(), **params).fit(X, Y)
    resumed = net_of(tmp_path, callbacks=callbacks(), **params).fit(X, Y)
    assert len(resumed.history) == len(unbroken.history)
    assert resumed.history[:, "event_lr"] == unbroken.history[:, "event_lr"]
    assert same(resumed, unbroken)


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
