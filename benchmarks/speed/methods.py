"""Seconds of a training step and of an epoch for each method, and what the device could do at most.

    python -m benchmarks.speed methods --quick                # a small setting, to see that it works
    python -m benchmarks.speed methods --device cuda --steps 50 --precision bfloat16 --cuda-graphs

ResNet-32 on 8-bit noise of CIFAR's size with the class counts of CIFAR-10-LT at an imbalance factor of
100, cropped and flipped, in batches of 128, trained by the classifier as a user would. M2m and
distribution matching take ten steps against a second ResNet-32; every step of OTMix mixes. Beside the
methods stand two loops of plain PyTorch: ERM, and M2m as a first version would be written (gradients of
all slots, without folding; see `benchmarks.speed.images`).

With ``--cuda-graphs`` each method is measured once more with its passes recorded ("captured"). On CUDA
the most memory that its tensors took is told.

Seconds are medians over epochs, the first left out. An epoch is one of CIFAR-10-LT, 12,406 images.
Operations are counted in the first epoch (multiply and add are two); the share of the limit is their
rate over the rate of the device at a large matrix product, and at ResNet-32's own convolutions, forward
and backward, measured in the same run in the same precision.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks.provenance import commit, machine, source_hash, versions
from benchmarks.speed.images import (
    EPOCH,
    N_CLASSES,
    bare_steps,
    images,
    network,
    straightforward,
)
from ltresample.exceptions import LongTailWarning
from ltresample.guides import Classifier
from ltresample.over_sampling import (
    DistributionMatchingOversampler,
    M2mSampler,
    OpenSampler,
    OTMixSampler,
)
from ltresample.training import SAFA, DeferredRebalancingClassifier, RandomCropFlip

NOT_CAPTURED = {"SAFA"}  # its layers have hooks
STAGES = ((16, 32), (32, 16), (64, 8))  # channels and pixels of ResNet-32's convolutions


class Counter(TorchDispatchMode):
    """Counts multiplications and additions of matrix products and convolutions, wherever they run."""

    total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Count one operation."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.total += formula(*args, **kwargs, out_val=out)
        return out


class Operations(Callback):
    """Counts floating-point operations in the first epoch."""

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Start to count."""
        self.counter = Counter() if len(net.history) == 1 else None
        if self.counter is not None:
            self.counter.__enter__()

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Keep the number."""
        if self.counter is not None:
            self.counter.__exit__(None, None, None)
            self.total = self.counter.total


def methods(device: str, n_steps: int) -> dict[str, dict[str, Any]]:
    """Return the classifier's settings for each method."""
    g = network(1).to(device).eval()
    guided = {"preset": "paper", "g": g, "n_steps": n_steps}
    rng = np.random.default_rng(0)
    mixed = {"mix_prob": 1.0, "stop": None, "schedule_power": 0.0}
    mixed["class_affinity"] = rng.dirichlet(np.full(N_CLASSES, 0.3), N_CLASSES)
    open_set = rng.integers(0, 256, (2048, 3, 32, 32), dtype=np.uint8)
    resamplers = {
        "M2m": M2mSampler(**guided),
        "DM": DistributionMatchingOversampler(**guided),
        "OTMix": OTMixSampler(start=0, **mixed),
        "OpenSampler": OpenSampler(X_aux=open_set),
        "SAFA": SAFA(),
    }
    return {
        "ERM": {},
        "DRS": {"rebalance": "resample"},
        **{name: {"resampler": sampler, "start": 0} for name, sampler in resamplers.items()},
    }


def trained(
    settings: dict[str, Any], options: argparse.Namespace, *, cuda_graphs: bool = False
) -> dict[str, float]:
    """Train with the classifier; give the seconds and operations of a step, and the memory."""
    operations = None if cuda_graphs else Operations()  # what is replayed is not seen
    on_cuda = options.device.startswith("cuda")
    if on_cuda:
        torch.cuda.reset_peak_memory_stats(options.device)
    net = DeferredRebalancingClassifier(
        network(),
        lr=1e-3,
        batch_size=options.batch,
        max_epochs=options.epochs + 1,
        augment=RandomCropFlip(),
        device=options.device,
        precision=options.precision,
        synthesis_precision="float32" if options.precision == "float32" else "bfloat16",
        callbacks=None if operations is None else [operations],
        cuda_graphs=cuda_graphs,
        random_state=0,
        **settings,
    )
    net.fit(*images(options.batch * options.steps))
    seconds = np.median(net.history[1:, "dur"]) / options.steps
    row = {"seconds": float(seconds)}
    if operations is not None:
        row["operations"] = operations.total / options.steps
    if on_cuda:
        row["memory"] = torch.cuda.max_memory_allocated(options.device)
    return row


def bare_loop(options: argparse.Namespace, **settings: Any) -> dict[str, float]:
    """Train with nothing but PyTorch; return the seconds of a step."""
    place = {"device": options.device, "precision": options.precision}
    clock = {"clock": time.perf_counter}
    taken = bare_steps(options.steps, options.batch, **place, **clock, **settings)
    return {"seconds": float(np.median(taken))}


def input_gradient(options: argparse.Namespace, *, cuda_graphs: bool = False) -> dict[str, float]:
    """Take the gradient of a guide with respect to a batch, as a descent does in each step."""
    classifier = Classifier([network(1).to(options.device).eval().requires_grad_(False)])
    if cuda_graphs:
        classifier.capture()
    x = torch.rand(options.batch, 3, 32, 32, device=options.device)
    x = x.to(memory_format=torch.channels_last).requires_grad_()
    half = getattr(torch, options.precision)
    kind = torch.device(options.device).type

    def work() -> None:
        with torch.autocast(kind, dtype=half, enabled=half != torch.float32):
            torch.autograd.grad(classifier.log_proba(x).sum(), x)

    return {"seconds": _fastest(work, options.device)}


def limits(options: argparse.Namespace) -> dict[str, float]:
    """Measure operations a second of a matrix product and of ResNet-32's convolutions."""
    kind = {"device": options.device, "dtype": getattr(torch, options.precision)}
    side = 1024 if options.device == "cpu" else 8192
    a, b = torch.rand(side, side, **kind), torch.rand(side, side, **kind)
    best = {"product": 2 * side**3 / _fastest(lambda: a @ b, options.device)}
    n_operations = seconds = 0.0
    for channels, pixels in STAGES:
        layer = nn.Conv2d(channels, channels, 3, padding=1, bias=False, **kind)
        layer = layer.to(memory_format=torch.channels_last)
        x = torch.rand(options.batch, channels, pixels, pixels, **kind)
        x = x.to(memory_format=torch.channels_last).requires_grad_()
        gradient = torch.ones_like(x)
        leaves = [x, *layer.parameters()]
        seconds += _fastest(
            lambda layer=layer, x=x, leaves=leaves, gradient=gradient: torch.autograd.grad(
                layer(x), leaves, gradient
            ),
            options.device,
        )
        n_operations += 3 * 2 * options.batch * 9 * channels**2 * pixels**2
    return {**best, "convolution": n_operations / seconds}


def _fastest(work: Callable[[], Any], device: str, repeats: int = 8) -> float:
    """Return the least seconds of a few calls; a device is waited for."""
    module = None if device == "cpu" else torch.get_device_module(torch.device(device))
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        if module is not None:
            module.synchronize()
        taken.append(time.perf_counter() - began)
    return min(taken)


def measured(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Measure all rows."""
    g = network(1).to(options.device)
    written_out = straightforward(g, options.synthesis_steps)
    rows = {
        "plain loop, ERM": bare_loop(options),
        "plain loop, M2m": bare_loop(options, rewrite=written_out, balanced=True),
    }
    rows["gradient of g"] = input_gradient(options)
    if options.cuda_graphs:
        rows["gradient of g, captured"] = input_gradient(options, cuda_graphs=True)
    for name, settings in methods(options.device, options.synthesis_steps).items():
        if options.only and name not in options.only:
            continue
        rows[name] = trained(settings, options)
        if options.cuda_graphs and name not in NOT_CAPTURED:
            rows[f"{name}, captured"] = trained(settings, options, cuda_graphs=True)
    return rows


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed methods", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=20, help="steps of an epoch (default: 20)")
    parser.add_argument("--epochs", type=int, default=3, help="epochs that count (default: 3)")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--synthesis-steps", type=int, default=10, help="of M2m and DM")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", default=[], metavar="METHOD", help="these only")
    parser.add_argument("--cuda-graphs", action="store_true", help="also with recorded passes")
    parser.add_argument("--quick", action="store_true", help="2 steps of 16 images, one epoch")
    parser.add_argument("--record", type=Path, metavar="FILE", help="append a line of JSON")
    options = parser.parse_args(argv)
    if options.quick:
        options.steps, options.epochs, options.batch, options.synthesis_steps = 2, 1, 16, 3
    return options


def table(rows: dict[str, dict[str, float]], rates: dict[str, float]) -> list[str]:
    """Return the lines of the table."""
    head = f"{'':24}{'ms/step':>10}{'s/epoch':>10}{'x plain':>9}{'MiB':>7}{'GFLOP':>9}"
    lines = [f"{head}{'of product':>12}{'of convolution':>16}"]
    for name, row in rows.items():
        plain = "plain loop, M2m" if "M2m" in name else "plain loop, ERM"
        ratio = row["seconds"] / rows[plain]["seconds"]
        epoch = row["epoch"]
        memory = f"{row['memory'] / 2**20:7.0f}" if "memory" in row else 7 * " "
        line = f"{name:24}{1e3 * row['seconds']:10.1f}{epoch:10.1f}{ratio:9.2f}{memory}"
        if "operations" in row:
            rate = row["operations"] / row["seconds"]
            shares = (rate / rates["product"], rate / rates["convolution"])
            line += f"{row['operations'] / 1e9:9.1f}{shares[0]:12.0%}{shares[1]:16.0%}"
        lines.append(line)
    return lines


def main(argv: list[str] | None = None) -> None:
    """Measure, and print the table."""
    options = arguments(argv)
    torch.set_num_threads(options.threads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LongTailWarning)  # g has learned nothing
        rates, rows = limits(options), measured(options)
    for row in rows.values():
        row["epoch"] = row["seconds"] * -(-EPOCH // options.batch)
    place = machine(options.threads, options.device)
    print(
        f"ResNet-32, batch {options.batch}, {options.precision}, "
        f"{place.get('card', place['cpu'])}, {options.threads} thread(s), torch {torch.__version__}"
    )
    print(
        f"at most: {rates['product'] / 1e12:.2f} TFLOP/s in a matrix product, "
        f"{rates['convolution'] / 1e12:.2f} in convolutions"
    )
    print("\n".join(table(rows, rates)))
    if options.record:
        settings = {name: value for name, value in vars(options).items() if name != "record"}
        record = {"settings": settings, "limits": rates, "rows": rows, "machine": place}
        record |= {"versions": versions(), "source_sha256": source_hash(), **commit()}
        with options.record.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
