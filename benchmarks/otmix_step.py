"""What mixing costs: CMO and OTMix steps over a plain step, measured in turn, threads pinned.

    python -m benchmarks.otmix_step                  # ResNet-32, batches of 128, 30 rounds
    python -m benchmarks.otmix_step --rounds 10 --threads 2

In each round one step of every kind is taken, in an order that changes; the ratio of a kind is the
median over rounds of its time to the plain step of the same round. A step is what training does:
rewriting the batch, forward and backward pass, and the optimizer. Images are noise of CIFAR's size
with the class counts of CIFAR-10-LT at an imbalance factor of 100; every step mixes, along a plan.
Times are those of the processor, summed over threads.
"pairing" is the part of an OTMix step between features and pairs: reading the features of the bank,
cost, plan and argmax.
"""

from __future__ import annotations

import argparse
import platform
import time
from types import SimpleNamespace

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import nn

from ltresample import OTMixSampler
from ltresample._random import Seed
from ltresample.class_counts import long_tailed_counts
from ltresample.guides import Classifier, feature_rows
from ltresample.models import FoldedModule, ResNet32
from ltresample.pairing import RandomPairing, Side, TransportPairing
from ltresample.rows import ArrayRows, Pool, Space
from ltresample.synthesis import Batch, LossTerm

N_CLASSES = 10


def training_pool() -> Pool:
    """Return noise with the counts of CIFAR-10-LT, on a tenth of its images."""
    counts = long_tailed_counts(500, N_CLASSES, imbalance_factor=100)
    y = torch.from_numpy(np.repeat(np.arange(N_CLASSES), counts))
    x = torch.rand(len(y), 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return Pool(ArrayRows(x), y, torch.from_numpy(counts), Space.pixels())


class Kind:
    """One kind of step, with a network of its own."""

    def __init__(self, pool: Pool, sampler: OTMixSampler | None):
        self.pool = pool
        self.net = ResNet32(N_CLASSES, generator=torch.Generator().manual_seed(0)).train()
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.01, momentum=0.9)
        self.loss = nn.CrossEntropyLoss()
        self.folded = self.online = None
        if sampler is not None:
            self.folded = FoldedModule(self.net)
            classes = np.arange(N_CLASSES)
            self.online = sampler.online(pool, classes=classes, f=self.folded, seed=Seed(0))
            self.online.join(SimpleNamespace(augment=None, module_=self.net))
            self.online.begin_epoch(1, max_epochs=2)

    def rewritten(self, x: torch.Tensor, index: torch.Tensor, seed: Seed) -> Batch:
        """Mix the batch."""
        y = self.pool.y[index]
        if self.online is None:
            return Batch(x, [LossTerm(slice(None), y)], 0, 0)
        self.folded.refresh()
        return self.online.rewrite(x, y, seed=seed, index=index)

    def step(self, index: torch.Tensor, seed: Seed) -> float:
        """Take a step and give its seconds."""
        x = self.pool.x.take(index)
        start = time.process_time()
        batch = self.rewritten(x, index, seed)
        logits = self.net(batch.x)
        loss = sum(term.coef * self.loss(logits[term.rows], term.y) for term in batch.terms)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return time.process_time() - start


def pairing_seconds(bank: Kind, affinity: torch.Tensor, index: torch.Tensor, seed: Seed) -> float:
    """Time what stands between the bank's features and the pairs."""
    pool, store = bank.pool, bank.online.bank
    other = torch.multinomial(1 / pool.class_counts[pool.y].double(), len(index), replacement=True)
    u = torch.rand(len(index), generator=seed.torch(), dtype=torch.float64)
    start = time.process_time()
    sides = [Side(pool.y[rows], store.z[rows]) for rows in (other, index)]
    TransportPairing().pair(*sides, u, class_affinity=affinity)
    return time.process_time() - start


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=128)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with threadpool_limits(options.threads):
        measure(options.rounds, options.threads, options.batch_size)


def measure(rounds: int, threads: int, batch_size: int) -> None:
    """Take the rounds, the first two without counting them."""
    pool = training_pool()
    rng = np.random.default_rng(0)
    affinity = torch.from_numpy(rng.dirichlet(np.full(N_CLASSES, 0.3), N_CLASSES))
    always = {"mix_prob": 1.0, "start": 0, "stop": None, "schedule_power": 0.0}
    otmix = {**always, "class_affinity": affinity}
    kinds = {
        "plain": Kind(pool, None),
        "CMO": Kind(pool, OTMixSampler(pairing=RandomPairing(), **always)),
        "OTMix, fresh features": Kind(pool, OTMixSampler(**otmix)),
        "OTMix, feature bank": Kind(pool, OTMixSampler(feature_bank=True, **otmix)),
    }
    reused = kinds["OTMix, feature bank"]
    everyone = torch.arange(len(pool.y))
    features = feature_rows(Classifier([reused.folded]), pool)
    reused.online.bank.put(everyone, features.take(everyone))
    times: dict[str, list[float]] = {name: [] for name in [*kinds, "pairing"]}
    for number in range(rounds + 2):
        seed = Seed(1).child(number)
        index = torch.from_numpy(rng.choice(len(pool.y), batch_size, replace=False))
        for name in rng.permutation(list(kinds)).tolist():
            times[name].append(kinds[name].step(index, seed))
        times["pairing"].append(pairing_seconds(reused, affinity, index, seed))
    report({name: np.array(values[2:]) for name, values in times.items()}, threads)


def report(times: dict[str, np.ndarray], threads: int) -> None:
    """Print medians and paired ratios."""
    n = len(times["plain"])
    print(
        f"torch {torch.__version__}, Python {platform.python_version()}, {platform.machine()}, "
        f"{threads} thread(s), {n} rounds"
    )
    print(f"{'':24}{'ms':>9}{'x plain':>10}{'quartiles':>16}")
    for name, values in times.items():
        low, middle, high = np.quantile(values / times["plain"], (0.25, 0.5, 0.75))
        print(f"{name:24}{1e3 * np.median(values):9.1f}{middle:10.3f}{low:9.3f}-{high:.3f}")


if __name__ == "__main__":
    main()
