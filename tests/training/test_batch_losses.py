"""Losses of batches: read one batch late where an accelerator works, and the same as read at once."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from emulated_device import DEVICE, emulated_device
from skorch.callbacks import Callback, GradientNormClipping
from torch import nn

from ltresample.models import SmallCNN
from ltresample.training import DeferredRebalancingClassifier, RandomCropFlip, _batch_losses

N_STEPS = 6
X = np.random.default_rng(0).random((16 * N_STEPS, 5), dtype=np.float32)
Y = np.repeat([0, 1, 2], [48, 30, 18])


class Listener(Callback):
    """Looks at the history in a step."""

    def on_batch_end(self, net, training, **kwargs):
        """Read what was written last."""
        if training:
            self.seen = net.history[-1, "batches", -1, "train_loss"]


class StepByStep(DeferredRebalancingClassifier):
    """A net whose user looks at each batch."""

    def on_batch_end(self, net, **kwargs):
        """Look."""
        assert "train_batch_size" in net.history[-1]["batches"][-1]


def trained(net=DeferredRebalancingClassifier, **settings):
    given = {"max_epochs": 2, "batch_size": 16, "resampler": None, "random_state": 0, "verbose": 0}
    return net(**given | settings).fit(X, Y)


@pytest.fixture
def late(monkeypatch):
    monkeypatch.setattr(_batch_losses, "may_come_late", lambda net: True)


def losses(net):
    return net.history[:, "batches", :, "train_loss"], net.history[:, "train_loss"]


def test_late_losses_are_those_that_are_read_at_once(monkeypatch):
    at_once = losses(trained())
    monkeypatch.setattr(_batch_losses, "may_come_late", lambda net: True)
    assert losses(trained()) == at_once
    assert [len(epoch) for epoch in at_once[0]] == [N_STEPS, N_STEPS]


def test_a_loss_is_read_when_the_next_step_is_on_its_way(monkeypatch, late):
    told = []

    class Told:
        def __init__(self, x):
            told.append("step")
            self.x = x

        def read(self):
            told.append("read")
            return self.x.item()

    monkeypatch.setattr(_batch_losses, "LateNumber", Told)
    trained(max_epochs=1, train_split=None)
    assert told == ["step", *["step", "read"] * (N_STEPS - 1), "read"]


def test_a_loss_that_is_no_number_ends_training_and_is_named(late):
    class Breaks(nn.Module):
        """Gives no number from the fourth step on."""

        def __init__(self):
            super().__init__()
            self.layer, self.n = nn.Linear(5, 3), 0

        def forward(self, x):
            self.n += self.training
            return self.layer(x) * (torch.nan if self.n > 3 else 1.0)

    said = r"^The loss is not finite\. Got nan in epoch 0, step 3 "
    with pytest.raises(ValueError, match=said):
        trained(module=Breaks(), train_split=None)


def on_device(net=DeferredRebalancingClassifier, **settings):
    """Train on the emulated device."""
    images = np.random.default_rng(0).integers(0, 256, (len(Y), 3, 8, 8)).astype(np.uint8)
    with emulated_device() as log:
        fitted = net(
            SmallCNN(3, 3, generator=torch.Generator().manual_seed(0)),
            device=DEVICE,
            rows_on_device=True,
            batch_size=16,
            lr=0.01,
            augment=RandomCropFlip(padding=1),
            random_state=0,
            verbose=0,
            **{"resampler": None, "max_epochs": 1} | settings,
        ).fit(images, Y)
    return fitted, log


def test_a_step_without_synthesis_waits_for_nothing_but_the_loss_before():
    """What a longer training waits for, above a shorter one, are its losses."""
    short, long = (on_device(max_epochs=n)[1] for n in (1, 3))
    more = long.waits - short.waits
    assert sum(more.values()) == 2 * N_STEPS, long.report()
    assert all("_batch_losses" in line for _, line in more)


def test_losses_come_late_on_a_device_unless_someone_listens(monkeypatch):
    late = []
    asked = _batch_losses.may_come_late
    monkeypatch.setattr(
        _batch_losses, "may_come_late", lambda net: late.append(asked(net)) or late[-1]
    )
    on_device()
    assert late == [True]
    listener = Listener()
    net, _ = on_device(callbacks=[("listener", listener)])
    assert late[1:] == [False]
    assert dict(net.callbacks_)["listener"].seen == net.history[-1, "batches", -1, "train_loss"]
    on_device(callbacks=[GradientNormClipping(1.0)])
    on_device(StepByStep)
    trained(max_epochs=1, train_split=None)  # on the CPU
    assert late[2:] == [False, False, False]


def test_in_half_precision_the_loss_decides_at_once(monkeypatch):
    monkeypatch.setattr(_batch_losses, "place_of", lambda net: DEVICE)
    listens_to_nothing = {"listeners": lambda callbacks, event: []}
    late = []
    for scaler in (None, object()):
        net = DeferredRebalancingClassifier()
        vars(net).update(_run=SimpleNamespace(scaler=scaler, **listens_to_nothing), callbacks_=[])
        late.append(_batch_losses.may_come_late(net))
    assert late == [True, False]
