"""One training step, and one `fit_resample`, of every method on the emulated device or another.

For the tests that hold the number of waits, for those on a real accelerator, and for `print_waits.py`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from emulated_device import DEVICE, DeviceLog, emulated_device, on_cpu
from torch import Tensor, nn

import ltresample.over_sampling as over_sampling
from ltresample._random import Seed
from ltresample.losses import CrossEntropy
from ltresample.models import MLP, SmallCNN
from ltresample.rows import ArrayRows, Pool, Space
from ltresample.training import SAFA
from ltresample.training._step import StepTarget, step_loss
from ltresample.training._synthesis import StepSynthesis


class Outcome(NamedTuple):
    """What a step came to, and what it waited for."""

    x: Tensor  # the batch that the network is trained on
    loss: float
    n_accepted: int
    log: DeviceLog | None  # None: on the CPU


def network(images: bool, n_classes: int) -> nn.Module:
    """A small network with weights that are not degenerate."""
    made = SmallCNN(3, n_classes) if images else MLP(6, n_classes, hidden=(16,))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in made.parameters():
            p.normal_(std=0.3, generator=generator)
    return made.eval()


def _m2m(**settings: Any) -> Callable[[nn.Module, np.ndarray], Any]:
    common = {"preset": "paper", "min_confidence": 0.1, "count_decay": 0.9}
    return lambda g, aux: over_sampling.M2mSampler(**{"g": g} | common | settings)


def _dm(**settings: Any) -> Callable[[nn.Module, np.ndarray], Any]:
    common = {"preset": "paper", "min_confidence": 0.0, "count_decay": 0.9}
    return lambda g, aux: over_sampling.DistributionMatchingOversampler(
        **{"g": g} | common | settings
    )


def _otmix(**settings: Any) -> Callable[[nn.Module, np.ndarray], Any]:
    return lambda g, aux: over_sampling.OTMixSampler(**settings)


def _along_a_plan(**settings: Any) -> Callable[[nn.Module, np.ndarray], Any]:
    """With a given class affinity: networks for it would be fitted before the first step."""
    settings |= {"preset": "otmix_paper", "schedule_power": 0}
    return lambda g, aux: over_sampling.OTMixSampler(
        class_affinity=_affinity(len(list(g.parameters())[-1])), **settings
    )


def _affinity(n_classes: int) -> np.ndarray:
    shares = np.random.default_rng(0).random((n_classes, n_classes))
    return shares / shares.sum(1, keepdims=True)


def _open(**settings: Any) -> Callable[[nn.Module, np.ndarray], Any]:
    return lambda g, aux: over_sampling.OpenSampler(X_aux=aux, **settings)


# name -> (g, open-set rows) -> resampler
METHODS: dict[str, Callable[[nn.Module, np.ndarray], Any]] = {
    "M2m": _m2m(),
    "M2m, guided by f": _m2m(g="f"),
    "M2m, five seeds a class": _m2m(n_seeds_per_class=5),
    "DM": _dm(),
    "DM, energy distance": _dm(distance="energy"),
    "DM, from open-set samples": lambda g, aux: over_sampling.DistributionMatchingOversampler(
        g=g, preset="paper", min_confidence=0.0, X_aux=aux
    ),
    "OTMix": _along_a_plan(),
    "OTMix, feature bank": _along_a_plan(feature_bank=True),
    "CMO": _otmix(preset="cmo", mix_prob=1.0, start=0, stop=None),
    "UniMix": _otmix(preset="unimix"),
    "Remix": _otmix(preset="remix"),
    "SaliencyMix": _otmix(preset="saliency_mix", mix_prob=1.0),
    "Open-sampling": _open(),
    "Open-sampling, expected labels": _open(expected_labels=True),
    "Open-sampling, fixed labels": _open(relabel=False),
    "SAFA": lambda g, aux: SAFA(),
}
ONLY_IMAGES = {"SaliencyMix"}


class _Problem(NamedTuple):
    x: Tensor
    y: Tensor
    aux: np.ndarray
    batch: Tensor  # (B,) rows, classes alike


def problem(images: bool, n_classes: int) -> _Problem:
    """A long-tailed pool without anything to be learnt."""
    generator = torch.Generator().manual_seed(0)
    counts = np.geomspace(80, 6, n_classes).astype(int)
    y = torch.repeat_interleave(torch.arange(n_classes), torch.from_numpy(counts))
    shape = (3, 8, 8) if images else (6,)
    x = torch.rand(len(y), *shape, generator=generator)
    weight = 1 / torch.from_numpy(counts)[y].double()
    batch = torch.multinomial(weight, 64, replacement=True, generator=generator)
    aux = torch.rand(50, *shape, generator=generator).numpy()
    return _Problem(x, y, aux, batch)


def _pool(given: _Problem, put: Callable[[Tensor], Tensor]) -> Pool:
    x, y = given.x, given.y
    one = torch.ones(()) if x.dim() > 2 else torch.ones(x.shape[1])
    units = {"center": 0 * one, "scale": one, "lower": 0 * one, "upper": one}
    return Pool(
        x=ArrayRows(put(x)),
        y=put(y),
        class_counts=put(y.bincount()),
        space=Space(**{name: put(value.clone()) for name, value in units.items()}),
    )


def step(name: str, *, images: bool = True, n_classes: int = 4, device: bool = True) -> Outcome:
    """Rewrite one mini-batch on the emulated device, and take the gradient of the loss."""
    if not device:
        return step_at(name, "cpu", images=images, n_classes=n_classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with emulated_device() as log:
            return _step(name, images, n_classes, log.put, log.put_module, log)


def step_at(name: str, place: str, *, images: bool = True, n_classes: int = 4) -> Outcome:
    """Rewrite one mini-batch on a device that is there, and take the gradient of the loss."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _step(
            name, images, n_classes, lambda x: x.clone().to(place), lambda net: net.to(place), None
        )


def _step(
    name: str,
    images: bool,
    n_classes: int,
    put: Callable[[Tensor], Tensor],
    put_module: Callable[[nn.Module], Any],
    log: DeviceLog | None,
) -> Outcome:
    given = problem(images, n_classes)
    f, g = (network(images, n_classes) for _ in range(2))
    put_module(f), put_module(g)
    synthesis = StepSynthesis(
        METHODS[name](g, given.aux),
        _pool(given, put),
        classes=np.arange(n_classes),
        module=f,
        seed=Seed(0),
    )
    synthesis.begin_epoch(5, max_epochs=10)
    # a loader gives positions and labels on the CPU
    index, y_here = given.batch, given.y[given.batch]
    x, y = put(given.x[given.batch]), put(y_here)
    if log is not None:
        assert synthesis.pool.counts is not None  # read once in a training, not in each step
        log.clear()
    batch = synthesis(x, y, seed=Seed(1), index=index, y_here=y_here)
    loss = step_loss(CrossEntropy(), f.train()(batch.x), StepTarget(batch.terms))
    loss.backward()
    if log is None:
        return Outcome(batch.x, float(loss), int(batch.n_accepted), None)
    assert batch.x.device == DEVICE
    n_accepted = batch.n_accepted  # a number, or a tensor that the step need not wait for
    n_accepted = on_cpu(n_accepted) if isinstance(n_accepted, Tensor) else n_accepted
    return Outcome(on_cpu(batch.x), float(on_cpu(loss)), int(n_accepted), log)


# name -> (device) -> sampler
SAMPLERS: dict[str, Callable[..., Any]] = {
    "M2mSampler": over_sampling.M2mSampler,
    "DistributionMatchingOversampler": over_sampling.DistributionMatchingOversampler,
    "OTMixSampler": partial(over_sampling.OTMixSampler, class_affinity=_affinity(4)),
    "SAFASampler": partial(over_sampling.SAFASampler, n_steps=3),
}


def resample(name: str, *, device: bool = True) -> tuple[np.ndarray, DeviceLog | None]:
    """Fill up the classes of a table; give the rows and what was waited for."""
    given = problem(images=False, n_classes=4)
    sampler = SAMPLERS[name](random_state=0, device=DEVICE.type if device else None)
    X, y = given.x.numpy(), given.y.numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not device:
            return sampler.fit_resample(X, y)[0], None
        with emulated_device() as log:
            return sampler.fit_resample(X, y)[0], log
