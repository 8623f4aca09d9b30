"""Noise in the shape of CIFAR-10-LT, ResNet-32, and training steps of plain PyTorch."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ltresample.class_counts import long_tailed_counts
from ltresample.models import ResNet32
from ltresample.training import RandomCropFlip

__all__ = ["COUNTS", "EPOCH", "N_CLASSES", "bare_steps", "images", "network", "straightforward"]

N_CLASSES = 10
COUNTS = torch.from_numpy(long_tailed_counts(5000, N_CLASSES, imbalance_factor=100))
EPOCH = int(COUNTS.sum())

Rewrite = Callable[[nn.Module, Tensor, Tensor], Tensor]


def images(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return noise as bytes, with class counts in the proportions of CIFAR-10-LT, two at least."""
    n = max(n, 32)
    rng = np.random.default_rng(0)
    counts = np.maximum((COUNTS.numpy() * n / EPOCH).astype(int), 2)
    counts[0] += n - counts.sum()
    X = rng.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8)
    return X, np.repeat(np.arange(N_CLASSES), counts)


def network(seed: int = 0) -> ResNet32:
    """Return a ResNet-32."""
    return ResNet32(N_CLASSES, generator=torch.Generator().manual_seed(seed))


def straightforward(g: nn.Module, n_steps: int) -> Rewrite:
    """Return M2m as a first version would be written: its steps on all slots, nothing folded."""
    generator = torch.Generator().manual_seed(0)

    def rewrite(f: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        g.eval()
        f.eval()
        counts = COUNTS[y.cpu()]
        keep = torch.rand(len(y), generator=generator) < counts / COUNTS.max()
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
        chosen = ~keep.to(y.device) & (sure >= 0.9)
        return torch.where(chosen[:, None, None, None], made, x)

    return rewrite


def as_it_is(f: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Return the batch: plain training."""
    return x


def bare_steps(
    n_steps: int,
    batch: int,
    *,
    rewrite: Rewrite = as_it_is,
    balanced: bool = False,
    device: str = "cpu",
    precision: str = "float32",
    clock: Callable[[], float] = time.process_time,
) -> list[float]:
    """Train with nothing but PyTorch; return the seconds of each step but the first.

    Parameters
    ----------
    n_steps : int
        Steps that count.
    batch : int
        Images of a step.
    rewrite : callable, default=as_it_is
        Takes f, images and labels, and returns the images to train on.
    balanced : bool, default=False
        Whether classes are drawn alike, as M2m draws them.
    device, precision : str
        Where, and in which type networks are passed.
    clock : callable, default=time.process_time
        What is read before and after a step.
    """
    X, y = (torch.from_numpy(part).to(device) for part in images(batch * 4))
    weight = 1 / torch.bincount(y)[y].double() if balanced else torch.ones(len(y))
    f = network().to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(f.parameters(), lr=1e-3, momentum=0.9)
    criterion, augment = nn.CrossEntropyLoss(), RandomCropFlip()
    generator, half = torch.Generator().manual_seed(0), getattr(torch, precision)
    taken = []
    for _ in range(n_steps + 1):
        began = clock()
        index = torch.multinomial(weight.cpu(), batch, replacement=True, generator=generator)
        index = index.to(device)
        x, target = augment(X[index] / 255.0, generator), y[index]
        with torch.autocast(X.device.type, dtype=half, enabled=half != torch.float32):
            logits = f.train()(_rewritten(rewrite, f, x, target))
        loss: Any = criterion(logits.float(), target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        loss.item()  # waits for a device
        taken.append(clock() - began)
    return taken[1:]


def _rewritten(rewrite: Rewrite, f: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    made = rewrite(f, x, y)
    f.train()
    return made
