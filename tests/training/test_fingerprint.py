"""One changed byte of data, settings or code is another run."""

import copy
import functools
import os
import subprocess
import sys
import types

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from skorch.callbacks import Callback, EpochScoring
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import nn
from torch.utils.data import TensorDataset

from ltresample import M2mSampler, OpenSampler
from ltresample.models import MLP
from ltresample.training import DeferredRebalancingClassifier
from ltresample.training._fingerprint import hash_of

rng = np.random.default_rng(0)
Y = np.repeat(np.arange(3), [30, 12, 6])
X = (rng.normal(size=(len(Y), 4)) + 2 * np.eye(3, 4)[Y]).astype(np.float32)
VALID = X[:9] + 1
LABELS = Y[:9].copy()
AUX = rng.normal(size=(20, 4)).astype(np.float32)


def made(source, **names):
    """What a module with this source defines last; as if its file had been edited."""
    module = types.ModuleType("users_module")
    vars(module).update(names)
    exec(source, vars(module))
    return list(vars(module).values())[-1]


NET = """
import torch
WIDTH = 8
def wide(n): return n * 2
class Net(torch.nn.Module):
    slope = 0.1
    def __init__(self, n_features, n_classes):
        super().__init__()
        self.first = torch.nn.Linear(n_features, wide(WIDTH))
        self.last = torch.nn.Linear(wide(WIDTH), n_classes)
    def forward(self, x):
        return self.last(torch.nn.functional.leaky_relu(self.first(x), self.slope))
"""
AUGMENT = """
SHARE = 0.1
def moved(x, share):
    return x + share
def augment(x, generator):
    return moved(x, SHARE)
"""
LAST = ".last(torch.nn.functional.leaky_relu"


def edited(source, before, after):
    assert before in source
    return made(source.replace(before, after))


def changed(array, at=(-1,)):
    """Flip the last bit of one number."""
    array = array.copy()
    array.view(np.uint8).reshape(-1)[at[0]] ^= 1
    return array


class Told(Callback):
    def __init__(self, number):
        self.number = number


def score(net, X, y):
    return 0.0


def other_score(net, X, y):
    return 1.0


def settings(**params):
    base = {
        "module": made(NET),
        "augment": made(AUGMENT),
        "max_epochs": 1,
        "batch_size": 16,
        "random_state": 0,
        "train_split": predefined_split(Dataset(VALID, LABELS)),
        "resampler": OpenSampler(),
        "start": 0,
        "callbacks": [Told(1), EpochScoring(score, name="s", use_caching=False)],
        "criterion__weight": torch.tensor([1.0, 2.0, 3.0]),
        "class_weight": None,
    }
    return {**base, **params}


def runs(path):
    return {p.name for p in path.glob("*.pt")}


def fit(path, params=None, data=(X, Y), **kwargs):
    net = DeferredRebalancingClassifier(**settings(**(params or {})), checkpoint_dir=path)
    return net.fit(*data, **{"X_aux": AUX, **kwargs})


WEIGHT = np.linspace(1, 2, len(Y))
CHANGES = {
    "a bit of X, anywhere": {"data": (changed(X, (len(X) * 8,)), Y)},
    "its last bit": {"data": (changed(X), Y)},
    "a label": {"data": (X, np.r_[Y[:-1], 1])},
    "a bit of X_aux": {"X_aux": changed(AUX)},
    "sample weights": {"sample_weight": WEIGHT},
    "a bit of the validation rows": {
        "params": {"train_split": predefined_split(Dataset(changed(VALID), LABELS))}
    },
    "a validation label": {
        "params": {"train_split": predefined_split(Dataset(VALID, np.r_[LABELS[:-1], 1]))}
    },
    "the rate": {"params": {"lr": 0.0500001}},
    "the seed": {"params": {"random_state": 1}},
    "a seed of another kind": {"params": {"random_state": np.random.RandomState(0)}},  # noqa: NPY002
    "a setting of the resampler": {"params": {"resampler": OpenSampler(random_state=7)}},
    "another resampler": {"params": {"resampler": None}, "X_aux": None},
    "a class weight": {"params": {"criterion__weight": torch.tensor([1.0, 2.0, 3.0000002])}},
    "a number of a callback": {
        "params": {"callbacks": [Told(2), EpochScoring(score, name="s", use_caching=False)]}
    },
    "the code of a score": {
        "params": {"callbacks": [Told(1), EpochScoring(other_score, name="s", use_caching=False)]}
    },
    "forward": {
        "params": {
            "module": edited(NET, "leaky_relu(self.first(x)", "leaky_relu(2 * self.first(x)")
        }
    },
    "a helper of the module": {"params": {"module": edited(NET, "n * 2", "2 * n")}},
    "a constant of its file": {"params": {"module": edited(NET, "WIDTH = 8", "WIDTH = 9")}},
    "a constant of its class": {"params": {"module": edited(NET, "slope = 0.1", "slope = 0.2")}},
    "the layer that forward calls": {"params": {"module": edited(NET, "leaky_relu", "rrelu")}},
    "a constant of augment": {"params": {"augment": edited(AUGMENT, "0.1", "0.2")}},
    "a helper of augment": {"params": {"augment": edited(AUGMENT, "x + share", "x - share")}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs")
    fit(path)
    return path


def test_nothing_changed_is_the_same_run(folder):
    before = runs(folder)
    net = fit(folder)
    assert runs(folder) == before
    for params in ({"verbose": 0}, {"device": "cpu"}, {"rows_on_device": False}):
        assert fit(folder, params).history[:, "dur"] == net.history[:, "dur"]
    assert runs(folder) == before


@pytest.mark.parametrize("what", CHANGES)
def test_one_change_is_a_new_run(what, folder):
    before = runs(folder)
    fit(folder, **CHANGES[what])
    assert len(runs(folder) - before) == 1


def test_rows_in_any_container(tmp_path):
    frame = pd.DataFrame(X, columns=list("abcd"))
    for n, rows in enumerate(
        [
            X,
            frame,
            sparse.csr_array(X * (X > 0)),
            TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)),
        ]
    ):
        for times in range(2):
            fit(tmp_path, {"module": MLP, "train_split": None}, data=(rows, Y))
            assert len(runs(tmp_path)) == {0: 1, 1: 1, 2: 2, 3: 3}[n], (n, times)
    again = torch.from_numpy(changed(X))
    again = TensorDataset(again, torch.from_numpy(Y))
    fit(tmp_path, {"module": MLP, "train_split": None}, data=(again, Y))
    assert len(runs(tmp_path)) == 4


def test_files_behind_a_data_set_count(tmp_path):
    class Files(torch.utils.data.Dataset):
        def __len__(self):
            return len(Y)

        def __getitem__(self, i):
            return torch.from_numpy(np.load(tmp_path / "rows.npy")[i]), Y[i]

    for rows, n in [(X, 1), (X, 1), (changed(X), 2)]:
        np.save(tmp_path / "rows.npy", rows)
        fit(tmp_path / "runs", {"module": MLP}, data=(Files(), Y))
        assert len(runs(tmp_path / "runs")) == n


def test_a_random_state_is_its_state(tmp_path):
    def fresh():
        return np.random.RandomState(3)  # noqa: NPY002

    one = fit(tmp_path, {"random_state": fresh()})
    assert fit(tmp_path, {"random_state": fresh()}).history[:, "dur"] == one.history[:, "dur"]
    moved = fresh()
    moved.rand()
    fit(tmp_path, {"random_state": moved})
    assert len(runs(tmp_path)) == 2


def test_a_guide_is_its_weights(tmp_path):
    for n, C in enumerate([1.0, 1.0, 0.5]):
        guide = LogisticRegression(C=C).fit(X, Y)
        sampler = M2mSampler(g=guide, min_confidence=0.1)
        fit(tmp_path, {"resampler": sampler}, X_aux=None)
        assert len(runs(tmp_path)) == {0: 1, 1: 1, 2: 2}[n]
    module = MLP(4, 3)
    other = copy.deepcopy(module)
    with torch.no_grad():
        other.head.weight[0, 0] += 1e-6
    assert hash_of(module) == hash_of(copy.deepcopy(module)) != hash_of(other)


class Holder:
    """Any object of a user's."""

    def __init__(self, value):
        self.value = value
        self.me = self


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


def closed_over(value):
    return lambda x: x + value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (1, True),
        ("1", 1),
        ([1, 2], (1, 2)),
        ({"a": 1, "b": 2}, {"a": 2, "b": 1}),
        ({1, 2}, {1, 3}),
        (Holder(1), Holder(2)),
        (Slotted(1), Slotted(2)),
        (closed_over(1), closed_over(2)),
        (lambda x, y=1: x, lambda x, y=2: x),
        (functools.partial(score, 1), functools.partial(score, 2)),
        (Holder(1).__eq__, Holder(2).__eq__),
        (np.zeros(3), np.zeros(3, dtype=np.float32)),
        (np.zeros(3), np.zeros((3, 1))),
        (np.array(["a", None], dtype=object), np.array(["b", None], dtype=object)),
        (torch.zeros(2, dtype=torch.bfloat16), torch.zeros(2, dtype=torch.float16)),
        (pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [1, 3]})),
        (pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"b": [1, 2]})),
        (np.random.default_rng(0), np.random.default_rng(1)),
        (nn.ReLU, nn.ELU),
        (nn.Linear(1, 1).train(), nn.Linear(1, 1).eval()),
        (slice(0, 1), slice(0, 2)),
        (float("inf"), float("nan")),
    ],
)
def test_what_differs_has_another_hash(one, other):
    assert hash_of(one) != hash_of(other)
    for value in (one, other):
        assert hash_of(value) == hash_of(value)


IN_ANOTHER_PROCESS = """
import numpy as np, torch
from ltresample.models import MLP
from ltresample.over_sampling import M2mSampler
from ltresample.training._fingerprint import hash_of
def f(x):
    return x in {"a", "b", "c", "d"} or [y for y in x if y]
class Net(torch.nn.Module):
    def forward(self, x):
        return super().forward(f(x))
value = {"b": {1, "c", None}, "a": [f, Net, M2mSampler(step_size=0.1), MLP, np.arange(3)], 3: {"x", "y"}}
print(hash_of(value), end="")
"""


@pytest.mark.slow
def test_hashes_are_the_same_in_all_processes(capsys):
    exec(IN_ANOTHER_PROCESS, {"__name__": "__main__"})
    here = capsys.readouterr().out
    there = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert here == there
    assert len(here) == 24
