"""What an epoch of the classifier costs beside a bare PyTorch loop, as ratios measured in one run.

    python -m benchmarks.training_overhead [--repeats 9] [--epochs 3] [--threads 1]

An MLP 1000-256-36 is trained on 5,800 dense rows in batches of 64 by a bare loop over shuffled index
batches, by DeferredRebalancingClassifier without a resampler, and by skorch's NeuralNetClassifier
with its default loader. The three take turns; printed are the median seconds of an epoch and the
median of the paired ratios to the bare loop.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from skorch import NeuralNetClassifier
from torch import nn

from ltresample.models import MLP
from ltresample.training import DeferredRebalancingClassifier

N_ROWS, N_FEATURES, N_CLASSES, BATCH = 5_800, 1_000, 36, 64


def bare_loop(X: np.ndarray, y: np.ndarray, n_epochs: int) -> float:
    """Train with nothing but PyTorch; give the seconds."""
    module, criterion = MLP(N_FEATURES, N_CLASSES, hidden=(256,)), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    rows, target = torch.from_numpy(X), torch.from_numpy(y)
    began = time.process_time()
    module.train()
    for _ in range(n_epochs):
        total = 0.0
        for index in torch.randperm(len(rows)).split(BATCH):
            optimizer.zero_grad()
            loss = criterion(module(rows[index]), target[index])
            loss.backward()
            optimizer.step()
            total += loss.item()
    return time.process_time() - began


def classifier(X: np.ndarray, y: np.ndarray, n_epochs: int) -> float:
    """Train with the classifier, settings as in the bare loop."""
    net = DeferredRebalancingClassifier(
        MLP, module__hidden=(256,), lr=0.1, batch_size=BATCH, max_epochs=n_epochs
    )
    return _epochs_of(net, X, y)


def plain_skorch(X: np.ndarray, y: np.ndarray, n_epochs: int) -> float:
    """Train with skorch's classifier and its loader."""
    net = NeuralNetClassifier(
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
    return _epochs_of(net, X, y)


def _epochs_of(net, X: np.ndarray, y: np.ndarray) -> float:
    """Return the seconds of all epochs as the net itself records them."""
    net.fit(X, y)
    return sum(net.history[:, "dur"])


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rng = np.random.default_rng(0)
    X = (rng.random((N_ROWS, N_FEATURES)) < 0.04).astype(np.float32)
    y = rng.integers(N_CLASSES, size=N_ROWS)
    ways = {"bare loop": bare_loop, "classifier": classifier, "skorch": plain_skorch}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.repeats):
        for name, way in ways.items():
            seconds[name].append(way(X, y, arguments.epochs) / arguments.epochs)
    base = np.array(seconds["bare loop"])
    print(
        f"MLP {N_FEATURES}-256-{N_CLASSES}, {N_ROWS} rows, batch {BATCH}, "
        f"{arguments.threads} thread(s), torch {torch.__version__}"
    )
    for name, values in seconds.items():
        ratio = np.median(np.array(values) / base)
        print(f"{name:12}{1e3 * np.median(values):8.1f} ms an epoch{ratio:8.2f} x bare loop")


if __name__ == "__main__":
    main()
