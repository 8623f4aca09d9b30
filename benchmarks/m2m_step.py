"""What synthesis costs inside a training step, as ratios measured in one run.

    python -m benchmarks.m2m_step [--repeats 5] [--threads 1] [--batch 128] [--steps 10]

A class-balanced batch of 32 x 32 images with ten classes, whose counts fall by 100 from class to
class as in CIFAR-10-LT, so that about three quarters of the slots are wanted. g and f are two
ResNet-32. Timed, in turns:

* straightforward: M2m as a first version would be written; g and f are applied to every slot of the
  batch, parameters require gradients, batch normalisation is evaluated as such;
* M2m as the package does it, in float32 and with synthesis in bfloat16;
* distribution matching with the same number of steps, and M2m without the Bernoulli test, which
  like distribution matching works on every wanted slot.

Printed are the median seconds and the median of the paired ratios.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ltresample import DistributionMatchingOversampler, M2mSampler
from ltresample._random import Seed
from ltresample.class_counts import long_tailed_counts
from ltresample.models import ResNet32
from ltresample.rows import ArrayRows, Pool, Space
from ltresample.training._synthesis import StepSynthesis

N_CLASSES = 10
COUNTS = torch.from_numpy(long_tailed_counts(5000, N_CLASSES, imbalance_factor=100))


def straightforward(g: nn.Module, f: nn.Module, x: Tensor, y: Tensor, n_steps: int) -> Tensor:
    """Take M2m's steps on all slots of the batch, and replace those that are wanted."""
    g.eval()
    f.eval()
    generator = torch.Generator().manual_seed(0)
    counts = COUNTS[y.cpu()]
    wanted = (torch.rand(len(y), generator=generator) >= counts / COUNTS.max()).to(y.device)
    larger = (counts[None] > counts[:, None]).float() + 1e-9
    seeds = torch.multinomial(larger, 1, generator=generator)[:, 0].to(y.device)
    made, source = x[seeds].clone(), y[seeds]
    for _ in range(n_steps):
        made.requires_grad_()
        loss = cross_entropy(g(made), y) + 0.5 * f(made).gather(1, source[:, None]).mean()
        (gradient,) = torch.autograd.grad(loss, made)
        length = gradient.flatten(1).norm(dim=1)[:, None, None, None] + 1e-10
        made = (made.detach() - 0.1 * gradient / length).clamp(0, 1)
    with torch.no_grad():
        sure = g(made).softmax(1).gather(1, y[:, None])[:, 0]
    chosen = wanted & (sure >= 0.9)
    return torch.where(chosen[:, None, None, None], made, x)


def synthesis(sampler, g: nn.Module, f: nn.Module, pool: Pool, precision: str) -> StepSynthesis:
    """Bind a sampler to the two networks, as training does."""
    return StepSynthesis(
        sampler.set_params(g=g),
        pool,
        classes=np.arange(N_CLASSES),
        module=f,
        seed=Seed(0),
        precision=precision,
    )


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=10)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    g, f = ResNet32(N_CLASSES), ResNet32(N_CLASSES)
    real = torch.rand(640, 3, 32, 32)
    labels = torch.arange(640) % N_CLASSES
    for network in (g, f):  # batch statistics, so that both have something to fold
        network.train()
        network(real[:128])
    pool = Pool(ArrayRows(real), labels, COUNTS, Space.pixels())
    x, y = real[: arguments.batch], labels[: arguments.batch]

    def sampler(kind, **settings):
        return kind(preset="paper", n_steps=arguments.steps, **settings)

    ways = {"straightforward": lambda: straightforward(g, f, x, y, arguments.steps)}
    bound = {
        "M2m float32": (sampler(M2mSampler), "float32"),
        "M2m bfloat16": (sampler(M2mSampler), "bfloat16"),
        "M2m, no Bernoulli test": (sampler(M2mSampler, count_test=False), "float32"),
        "DM": (sampler(DistributionMatchingOversampler), "float32"),
    }
    for name, (own, precision) in bound.items():
        step = synthesis(own, g, f, pool, precision)
        ways[name] = lambda step=step: step(x, y, seed=Seed(1))
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(arguments.repeats + 1):
        for name, way in ways.items():
            began = time.process_time()
            way()
            if repeat:  # the first round warms up
                seconds[name].append(time.process_time() - began)
    print(
        f"ResNet-32, batch {arguments.batch}, {arguments.steps} steps, "
        f"{arguments.threads} thread(s), torch {torch.__version__}"
    )
    base = np.array(seconds["straightforward"])
    for name, values in seconds.items():
        faster = np.median(base / np.array(values))
        print(f"{name:24}{np.median(values):8.2f} s{faster:8.2f} x as fast")
    for name in ("M2m float32", "M2m, no Bernoulli test"):
        ratio = np.median(np.array(seconds["DM"]) / np.array(seconds[name]))
        print(f"DM costs {ratio:.2f} x {name}")


if __name__ == "__main__":
    main()
