"""Every method on a real accelerator: the rows and losses of the CPU, but for rounding."""

import os

import numpy as np
import pytest
import torch
from device_steps import METHODS, ONLY_IMAGES, SAMPLERS, network, problem, step_at
from sklearn.base import clone
from skorch.callbacks import Callback
from skorch.exceptions import SkorchException

from ltresample.models import SmallCNN
from ltresample.training import DeferredRebalancingClassifier, RandomCropFlip

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore::ltresample.exceptions.LongTailWarning"),  # noise as images
]
DEVICE = "cuda"
COUNTS = (40, 20, 10, 6)
IMAGES = np.random.default_rng(0).integers(0, 256, (sum(COUNTS), 3, 8, 8), dtype=np.uint8)
LABELS = np.repeat(np.arange(len(COUNTS)), COUNTS)


@pytest.fixture(autouse=True)
def _single_precision(monkeypatch):
    """Convolutions round to TF32 unless told otherwise."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def _assert_close(got, expected):
    assert got.n_accepted == expected.n_accepted
    torch.testing.assert_close(got.x.cpu(), expected.x, atol=1e-3, rtol=0)
    assert got.loss == pytest.approx(expected.loss, abs=1e-3)


@pytest.mark.parametrize("n_classes", [4, 30])
@pytest.mark.parametrize("name", METHODS)
def test_a_step_gives_what_the_cpu_gives(name, n_classes):
    got = step_at(name, DEVICE, n_classes=n_classes)
    _assert_close(got, step_at(name, "cpu", n_classes=n_classes))


@pytest.mark.parametrize("name", sorted(set(METHODS) - ONLY_IMAGES))
def test_a_step_on_a_table_gives_what_the_cpu_gives_also_where_kernels_are_deterministic(name):
    torch.use_deterministic_algorithms(True)
    try:
        got = step_at(name, DEVICE, images=False)
    finally:
        torch.use_deterministic_algorithms(False)
    _assert_close(got, step_at(name, "cpu", images=False))


@pytest.mark.parametrize("name", SAMPLERS)
def test_fit_resample_gives_the_labels_of_the_cpu_and_nearly_its_rows(name):
    given = problem(images=False, n_classes=4)
    X, y = given.x.numpy(), given.y.numpy()
    (X_there, y_there), (X_here, y_here) = (
        SAMPLERS[name](random_state=0, device=device).fit_resample(X, y)
        for device in (DEVICE, None)
    )
    np.testing.assert_array_equal(np.bincount(y_there), np.bincount(y_here))
    np.testing.assert_array_equal(X_there[: len(X)], X_here[: len(X)])
    same = np.isclose(X_there, X_here, atol=1e-2).all(axis=1)
    assert same.mean() > 0.9  # a row that was accepted by a hair may be another one


def _classifier(name, **settings):
    g = network(True, len(COUNTS)).to(settings.get("device", "cpu"))
    resampler = METHODS[name](g, np.random.default_rng(1).random((50, 3, 8, 8), dtype=np.float32))
    return DeferredRebalancingClassifier(
        SmallCNN(3, len(COUNTS), generator=torch.Generator().manual_seed(0)),
        lr=0.01,
        max_epochs=3,
        start=1,
        batch_size=16,
        augment=RandomCropFlip(padding=1),
        resampler=resampler,
        random_state=0,
        **settings,
    )


@pytest.mark.parametrize("name", METHODS)
def test_training_has_the_losses_of_the_cpu(name):
    here, there = (_classifier(name, device=device) for device in ("cpu", DEVICE))
    for net in (here, there):
        net.fit(IMAGES, LABELS)
    losses = [net.history[:, "train_loss"] for net in (here, there)]
    np.testing.assert_allclose(losses[0][:2], losses[1][:2], rtol=2e-2)
    assert next(there.module_.parameters()).device.type == DEVICE
    np.testing.assert_allclose(there.predict_proba(IMAGES).sum(axis=1), 1, rtol=1e-5)


KINDS = {
    "bfloat16": {"precision": "bfloat16", "synthesis_precision": "bfloat16"},
    "float16": {"precision": "float16"},
    "compiled": {"compile": True, "compile__backend": "aot_eager"},
}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name, kind)
        for name in ("M2m", "DM", "OTMix", "Open-sampling", "SAFA")
        for kind in KINDS
        if (name, kind) != ("SAFA", "float16")  # refused, wherever it trains
    ],
)
def test_training_runs_in_half_precision_and_compiled(name, kind):
    settings = KINDS[kind]
    net = _classifier(name, device=DEVICE, **settings).fit(IMAGES, LABELS)
    assert np.isfinite(net.history[:, "train_loss"]).all()
    assert net.predict(IMAGES).shape == LABELS.shape


class _Breakdown(SkorchException):
    """What stops a run."""


class _Breaks(Callback):
    """Stops a run in its last epoch; a state outside of code and settings."""

    def on_batch_end(self, net, training, **kwargs):
        if "BREAKS" in os.environ and training and len(net.history) == net.max_epochs:
            raise _Breakdown


@pytest.mark.parametrize("name", ["M2m", "DM", "OTMix", "SAFA"])
def test_a_broken_run_ends_as_an_unbroken_one(name, tmp_path, monkeypatch):
    torch.use_deterministic_algorithms(True)
    net = _classifier(name, device=DEVICE, callbacks=[_Breaks()])
    try:
        whole = clone(net).fit(IMAGES, LABELS)
        net.set_params(checkpoint_dir=tmp_path)
        with monkeypatch.context() as patch, pytest.raises(_Breakdown):
            patch.setenv("BREAKS", "1")
            clone(net).fit(IMAGES, LABELS)
        rest = clone(net).fit(IMAGES, LABELS)
    finally:
        torch.use_deterministic_algorithms(False)
    for one, other in zip(whole.module_.parameters(), rest.module_.parameters(), strict=True):
        assert torch.equal(one, other)
