"""Training steps in half precision: close to single precision, with a state that stays single."""

import re

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from skorch.callbacks import Callback, GradientNormClipping

from ltresample import make_long_tailed
from ltresample.losses import InfluenceBalancedLoss, LDAMLoss
from ltresample.over_sampling import M2mSampler, OTMixSampler
from ltresample.training import SAFA, DeferredRebalancingClassifier
from ltresample.training._step import autocast_of, in_single, scaler_of


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    images = X.reshape(-1, 1, 8, 8).astype("float32") / 16
    return make_long_tailed(images, y, imbalance_factor=10, n_max=40, random_state=0)


NET = DeferredRebalancingClassifier(
    module__width=8, lr=0.02, batch_size=32, max_epochs=3, random_state=0
)


def fitted(digits, **settings):
    return clone(NET).set_params(**settings).fit(*digits)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"criterion": LDAMLoss},
        {"criterion": InfluenceBalancedLoss, "criterion__alpha": 10.0},
        {"resampler": M2mSampler(g="f", min_confidence=0.2, count_decay=0.9), "start": 1},
        {"resampler": OTMixSampler(preset="cutmix"), "start": 0},
    ],
)
@pytest.mark.filterwarnings("ignore:Few synthetic rows were accepted")
def test_half_precision_is_close_and_the_state_stays_single(digits, precision, settings):
    if precision == "float16" and settings.get("criterion") is LDAMLoss:
        settings = {**settings, "criterion__scale": 5.0}  # at 30 the first steps overflow
    plain, net = fitted(digits, **settings), fitted(digits, precision=precision, **settings)
    np.testing.assert_allclose(
        net.history[:, "train_loss"], plain.history[:, "train_loss"], rtol=0.05
    )
    assert net.history[:, "train_loss"] != plain.history[:, "train_loss"]
    state = [*net.module_.state_dict().values()]
    state += [v for s in net.optimizer_.state.values() for v in s.values()]
    assert {v.dtype for v in state if isinstance(v, torch.Tensor)} <= {torch.float32, torch.int64}
    assert net.predict_proba(digits[0]).dtype == np.float32
    assert np.isfinite(net.predict_proba(digits[0])).all()


def test_features_inside_the_network_in_bfloat16(digits):
    settings = {"resampler": SAFA(), "start": 1, "lr": 0.005}
    net = fitted(digits, precision="bfloat16", **settings)
    plain = fitted(digits, **settings)
    np.testing.assert_allclose(
        net.history[:, "train_loss"], plain.history[:, "train_loss"], rtol=0.1
    )


class Seen(Callback):
    """Notes in which type the first layer gives its output, and how long gradients are."""

    def on_train_begin(self, net, **kwargs):
        self.types, self.norms = set(), []
        layer = next(m for m in net.module_.modules() if isinstance(m, torch.nn.Conv2d))
        layer.register_forward_hook(
            lambda *args: self.types.add((net.module_.training, args[2].dtype))
        )

    def on_grad_computed(self, net, named_parameters, **kwargs):
        self.norms.append(float(sum(p.grad.norm() ** 2 for _, p in named_parameters)) ** 0.5)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_networks_are_passed_in_half_precision_in_training_only(digits, precision):
    seen = Seen()
    net = clone(NET).set_params(precision=precision, callbacks=[seen], train_split=0.2)
    net.fit(*digits)
    assert seen.types == {(True, getattr(torch, precision)), (False, torch.float32)}


def test_gradients_are_unscaled_before_callbacks_see_them(digits):
    norms = {}
    for precision in ("float32", "float16"):
        seen = Seen()
        callbacks = [seen, ("clip", GradientNormClipping(0.5))]
        fitted(digits, precision=precision, callbacks=callbacks, max_epochs=1)
        norms[precision] = seen.norms[:3]
    np.testing.assert_allclose(norms["float16"], norms["float32"], rtol=0.05)


class Overflow(Callback):
    """Spoils the gradients of the second step."""

    def __init__(self):
        self.steps = 0
        self.weights = []

    def on_batch_begin(self, net, training=False, **kwargs):
        self.weights.append([p.detach().clone() for p in net.module_.parameters()])
        self.steps += 1

    def on_batch_end(self, net, **kwargs):
        self.weights.append([p.detach().clone() for p in net.module_.parameters()])


class Spoiled(torch.nn.CrossEntropyLoss):
    """Infinite at the second call."""

    calls = 0

    def forward(self, logits, y):
        self.calls += 1
        return super().forward(logits, y) * (torch.inf if self.calls == 2 else 1)


def test_steps_whose_gradients_overflow_are_left_out(digits):
    steps = Overflow()
    fitted(digits, precision="float16", callbacks=[steps], criterion=Spoiled, max_epochs=1)
    moved = [
        any(not torch.equal(a, b) for a, b in zip(*steps.weights[i : i + 2], strict=True))
        for i in (0, 2, 4)
    ]
    assert moved == [True, False, True]


def test_interrupted_runs_go_on_with_the_scale_of_losses(digits, tmp_path):
    whole = fitted(digits, precision="float16", max_epochs=3)
    net = clone(NET).set_params(precision="float16", checkpoint_dir=tmp_path)

    class Stop(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 3:
                raise RuntimeError

    with pytest.raises(RuntimeError):
        clone(net).set_params(callbacks=[Stop()]).fit(*digits)
    path = next(tmp_path.iterdir())
    assert torch.load(path)["scaler"]["scale"] == 65536
    # the callback is a parameter: the run of another net is found under its own name
    again = clone(net)
    again.fit(*digits)
    np.testing.assert_array_equal(again.predict_proba(digits[0]), whole.predict_proba(digits[0]))


def test_single_precision_costs_nothing():
    net = DeferredRebalancingClassifier()
    assert scaler_of(net) is None
    with autocast_of(net):
        assert not torch.is_autocast_enabled("cpu")


def test_outputs_in_single_precision():
    x = torch.ones(2)
    assert in_single(x) is x
    assert in_single(x.double()).dtype == torch.float64
    assert [part.dtype for part in in_single((x.half(), x.bfloat16()))] == 2 * [torch.float32]
    assert in_single(None) is None


def test_what_half_precision_does_not_go_with(digits):
    net = clone(NET).set_params(precision="float16", optimizer=torch.optim.LBFGS)
    message = "LBFGS computes them within. Got optimizer=LBFGS. Pass precision='bfloat16', or SGD"
    with pytest.raises(ValueError, match=re.escape(message)):
        net.fit(*digits)
    net = clone(NET).set_params(precision="float16", resampler=SAFA(), start=0)
    message = "Got precision='float16'. Pass 'bfloat16' or 'float32'."
    with pytest.raises(ValueError, match=re.escape(message)):
        net.fit(*digits)
    net = clone(NET).set_params(precision="bfloat16")
    net.accelerator = object()
    message = "Got precision='bfloat16' beside an accelerator. Leave precision out and pass "
    with pytest.raises(ValueError, match=re.escape(message)):
        net.fit(*digits)
