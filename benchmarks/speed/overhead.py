"""An epoch of the classifier beside a bare PyTorch loop and skorch, on a small MLP.

An MLP 1000-256-36 is trained on 5,800 dense rows in batches of 64 by a bare loop over shuffled index
batches, by `DeferredRebalancingClassifier` without a resampler, and by skorch's `NeuralNetClassifier`
with its default loader. Measured are processor seconds of an epoch.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from skorch import NeuralNetClassifier
from torch import nn

from benchmarks.speed.turns import Case, Way, cpu_seconds
from ltresample.models import MLP
from ltresample.training import DeferredRebalancingClassifier

N_ROWS, N_FEATURES, N_CLASSES, BATCH = 5_800, 1_000, 36, 64


def data(n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return sparse-looking dense rows and their labels."""
    rng = np.random.default_rng(0)
    X = (rng.random((n_rows, N_FEATURES)) < 0.04).astype(np.float32)
    return X, np.r_[np.arange(N_CLASSES), rng.integers(N_CLASSES, size=n_rows - N_CLASSES)]


def bare_loop(X: np.ndarray, y: np.ndarray, n_epochs: int) -> None:
    """Train with nothing but PyTorch."""
    module, criterion = MLP(N_FEATURES, N_CLASSES, hidden=(256,)), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    rows, target = torch.from_numpy(X), torch.from_numpy(y)
    module.train()
    for _ in range(n_epochs):
        for index in torch.randperm(len(rows)).split(BATCH):
            optimizer.zero_grad()
            loss = criterion(module(rows[index]), target[index])
            loss.backward()
            optimizer.step()
            loss.item()


def classifier(n_epochs: int) -> Any:
    """Return the classifier, settings as in the bare loop."""
    settings = {"lr": 0.1, "batch_size": BATCH, "max_epochs": n_epochs, "random_state": 0}
    return DeferredRebalancingClassifier(MLP, module__hidden=(256,), **settings)


def plain_skorch(n_epochs: int) -> Any:
    """Return skorch's classifier with its loader."""
    return NeuralNetClassifier(
        MLP(N_FEATURES, N_CLASSES, hidden=(256,)),
        criterion=nn.CrossEntropyLoss,
        optimizer__momentum=0.9,
        lr=0.1,
        batch_size=BATCH,
        max_epochs=n_epochs,
        train_split=None,
        iterator_train__shuffle=True,
        verbose=0,
    )


def ways(options: argparse.Namespace) -> dict[str, Way]:
    """Return the three; seconds are those of an epoch."""
    n = options.epochs
    X, y = data(options.rows)
    return {
        "bare loop": lambda: cpu_seconds(lambda: bare_loop(X, y, n)) / n,
        "classifier": lambda: cpu_seconds(lambda: classifier(n).fit(X, y)) / n,
        "skorch": lambda: cpu_seconds(lambda: plain_skorch(n).fit(X, y)) / n,
    }


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--epochs", type=int, default=5, help="epochs of a training (default: 5)")
    parser.add_argument("--rows", type=int, default=N_ROWS, help=argparse.SUPPRESS)


CASE = Case("an epoch of the classifier on a small MLP", ways, _add_options, rounds=9)
