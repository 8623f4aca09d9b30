"""Training steps of the classifier with each method, on ResNet-32 and noise of CIFAR's size.

Measured is what a user waits for: a whole step of `DeferredRebalancingClassifier`, its synthesis with
it, in processor seconds; of the epochs of a round the last one counts, and of its steps the median.
"""

from __future__ import annotations

import argparse
import time
from statistics import median
from typing import Any

import numpy as np
from skorch.callbacks import Callback

from benchmarks.speed.images import N_CLASSES, bare_steps, images, network, straightforward
from benchmarks.speed.turns import Case, Way, cpu_seconds
from ltresample.over_sampling import (
    DistributionMatchingOversampler,
    M2mSampler,
    OpenSampler,
    OTMixSampler,
)
from ltresample.training import SAFA, DeferredRebalancingClassifier, RandomCropFlip

__all__ = ["CASES", "StepTimes", "add_options", "trained"]


class StepTimes(Callback):
    """Processor seconds of each training step of the last epoch."""

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Forget the epoch before."""
        self.seconds: list[float] = []

    def on_batch_begin(self, net: Any, batch: Any = None, training: bool = False, **kwargs: Any):
        """Start the clock."""
        self.began = time.process_time()

    def on_batch_end(self, net: Any, batch: Any = None, training: bool = False, **kwargs: Any):
        """Stop it."""
        if training:
            self.seconds.append(time.process_time() - self.began)


def trained(n_images: int, n_steps: int, **settings: Any) -> tuple[Any, float]:
    """Train for `n_steps` of `n_images`; return the net and the median seconds of a step."""
    times = StepTimes()
    given = {"resampler": None, "start": 0, "max_epochs": 1, **settings}
    net = DeferredRebalancingClassifier(
        network(),
        lr=1e-3,
        batch_size=n_images,
        augment=RandomCropFlip(),
        callbacks=[times],
        random_state=0,
        **given,
    )
    net.fit(*images(n_images * (n_steps + 1)))
    return net, median(times.seconds[1:])


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what all cases of steps share."""
    parser.add_argument("--batch", type=int, default=128, help="images of a step (default: 128)")
    parser.add_argument("--steps", type=int, default=3, help="steps of a round (default: 3)")
    parser.add_argument("--synthesis-steps", type=int, default=10, help="of M2m and DM")


def _way(options: argparse.Namespace, **settings: Any) -> Way:
    return lambda: trained(options.batch, options.steps, **settings)[1]


def m2m(options: argparse.Namespace) -> dict[str, Way]:
    """Return M2m as a first version would be written, as the package does it, and DM."""
    g, n_steps = network(1).eval(), options.synthesis_steps
    own = {"preset": "paper", "g": g, "n_steps": n_steps}
    no_test = M2mSampler(**own, count_test=False)
    return {
        "plain loop, M2m": lambda: median(
            bare_steps(
                options.steps, options.batch, rewrite=straightforward(g, n_steps), balanced=True
            )
        ),
        "M2m": _way(options, resampler=M2mSampler(**own)),
        "M2m, bfloat16": _way(options, resampler=M2mSampler(**own), synthesis_precision="bfloat16"),
        "M2m, no Bernoulli test": _way(options, resampler=no_test),
        "DM": _way(options, resampler=DistributionMatchingOversampler(**own)),
        # psi is a network that is there: what is left when none is drawn anew in each step
        "DM, psi of g": _way(
            options, resampler=DistributionMatchingOversampler(**own, embedding="g")
        ),
    }


def otmix(options: argparse.Namespace) -> dict[str, Way]:
    """Return a plain step and steps that mix, along a plan but for CMO."""
    affinity = np.random.default_rng(0).dirichlet(np.full(N_CLASSES, 0.3), N_CLASSES)
    always = {"mix_prob": 1.0, "start": 0, "stop": None, "schedule_power": 0.0}
    planned = {**always, "class_affinity": affinity}
    bank = {"resampler": OTMixSampler(feature_bank=True, **planned), "max_epochs": 2}
    return {
        "plain": _way(options),
        "CMO": _way(options, resampler=OTMixSampler(preset="cmo", **always)),
        "OTMix, fresh features": _way(options, resampler=OTMixSampler(**planned)),
        "OTMix, feature bank": _way(options, **bank),  # the first epoch fills the bank
    }


def safa(options: argparse.Namespace) -> dict[str, Way]:
    """Return steps without SAFA and with it behind the second stage."""
    return {
        "without": _way(options),
        "SAFA": _way(options, resampler=SAFA("stage2")),
        "SAFA, Q 256 wide": _way(options, resampler=SAFA("stage2", contrast_width=256)),
    }


def safa_prediction(options: argparse.Namespace) -> dict[str, Way]:
    """Return predictions of a net that was trained without SAFA and of one with it."""
    X, _ = images(options.batch * options.steps)
    resamplers = {"without": None, "SAFA": SAFA("stage2")}
    nets = {name: trained(32, 2, resampler=own)[0] for name, own in resamplers.items()}
    return {name: lambda net=net: cpu_seconds(lambda: net.predict(X)) for name, net in nets.items()}


def open_set(options: argparse.Namespace) -> dict[str, Way]:
    """Return a plain step on as many images as a step with open-set images has in all."""
    n, m = options.batch, options.open_set
    aux = np.random.default_rng(0).integers(0, 256, (20_000, 3, 32, 32), dtype=np.uint8)
    sampler = OpenSampler(X_aux=aux, aux_batch_size=m)
    return {
        f"plain, {n + m} images": lambda: trained(n + m, options.steps)[1],
        f"OpenSampler, {n} + {m} images": _way(options, resampler=sampler),
    }


def _add_open_set(parser: argparse.ArgumentParser) -> None:
    add_options(parser)
    parser.add_argument("--open-set", type=int, default=128, help="open-set images in a step")


CASES = {
    "m2m": Case("steps of M2m and DM", m2m, add_options),
    "otmix": Case("steps that mix", otmix, add_options, rounds=10),
    "safa": Case("steps with SAFA", safa, add_options),
    "safa-prediction": Case("prediction after SAFA", safa_prediction, add_options),
    "open-set": Case("steps with open-set images", open_set, _add_open_set),
}
