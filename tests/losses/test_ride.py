"""RIDE: its loss against a literal rendering, its network, and both in training."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.metrics import balanced_accuracy_score

from ltresample.datasets import make_long_tailed
from ltresample.losses import LDAMLoss, RIDELoss, ldam_loss, ride_loss
from ltresample.models import ResNetCifar, RIDEResNet
from ltresample.over_sampling import DistributionMatchingOversampler, M2mSampler, OTMixSampler
from ltresample.training import DeferredRebalancingClassifier

COUNTS = np.array([500, 20, 100, 7])
K, E, M = 4, 3, 9


def batch(seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (M, E, K)), rng.integers(K, size=M)


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


def literal(experts, y, *, s, C, eta, f, weight):
    """METHODS and the published code, row by row: LDAM of each expert, minus its divergence."""
    margin = 1 / np.sqrt(np.sqrt(COUNTS))
    margin = margin * C / margin.max()
    share = COUNTS / COUNTS.sum()
    T = K * share * f + 1 - f
    T = T / T.max()
    total = own_weight = 0.0
    apart = 0.0
    for i in range(M):
        mean = softmax(s * experts[i].mean(0) / T)
        own_weight += weight[y[i]]
        for e in range(E):
            z = s * experts[i, e]
            moved = z.copy()
            moved[y[i]] -= s * margin[y[i]]
            total += weight[y[i]] * -np.log(softmax(moved)[y[i]])
            q = softmax(z / T)
            apart += T.mean() ** 2 * np.sum(mean * (np.log(mean) - np.log(q)))
    return total / own_weight - eta * apart / M


def tensors(experts, y):
    experts = torch.from_numpy(experts)
    return experts.mean(1), torch.from_numpy(y), experts


@pytest.mark.parametrize("f", [0.0, 0.05, 1.0])
@pytest.mark.parametrize("weight", [np.ones(K), np.array([0.2, 2.0, 0.5, 1.3])])
def test_loss_is_the_literal_one(f, weight):
    experts, y = batch()
    want = literal(experts, y, s=5.0, C=0.4, eta=0.45, f=f, weight=weight)
    settings = {"scale": 5.0, "max_margin": 0.4, "temperature_factor": f, "weight": weight}
    got = ride_loss(*tensors(experts, y), class_counts=COUNTS, **settings)
    np.testing.assert_allclose(got.item(), want, rtol=1e-10)


def test_temperatures_wait_for_their_time():
    experts, y = batch()
    loss = RIDELoss(scale=5.0, max_margin=0.4, class_counts=COUNTS)
    late = loss(*tensors(experts, y)).item()
    loss.active = False
    early = loss(*tensors(experts, y)).item()
    ones = np.ones(K)
    np.testing.assert_allclose(early, literal(experts, y, s=5, C=0.4, eta=0.45, f=0, weight=ones))
    assert late != early


def test_one_expert_without_diversity_is_ldam():
    experts, y = batch()
    logits, y, experts = tensors(experts[:, :1], y)
    want = ldam_loss(logits, y, class_counts=COUNTS)
    got = ride_loss(logits, y, experts, class_counts=COUNTS, diversity=0.0)
    torch.testing.assert_close(got, want)
    one = ride_loss(logits, y, experts, class_counts=COUNTS)
    torch.testing.assert_close(one, want)


def test_equal_experts_do_not_diverge():
    experts, y = batch()
    logits, y, experts = tensors(np.repeat(experts[:, :1], E, axis=1), y)
    got = ride_loss(logits, y, experts, class_counts=COUNTS, diversity=7.0)
    torch.testing.assert_close(got, E * ldam_loss(logits, y, class_counts=COUNTS))


def test_the_mean_is_a_constant():
    experts, y = batch()
    logits, y, experts = tensors(experts, y)
    logits.requires_grad_()
    experts.requires_grad_()
    loss = ride_loss(logits, y, experts, class_counts=COUNTS)
    own, mean = torch.autograd.grad(loss, [experts, logits], allow_unused=True)
    assert mean is None
    assert own.abs().sum() > 0


def test_shares_of_a_mixed_label_add_up():
    experts, y = batch()
    logits, y, experts = tensors(experts, y)
    loss = RIDELoss(class_counts=COUNTS)
    lam = torch.linspace(0, 1, M, dtype=torch.float64)
    parts = [loss(logits, y, experts, sample_weight=w) for w in (lam, 1 - lam)]
    torch.testing.assert_close(sum(parts), loss(logits, y, experts))
    rows = RIDELoss(class_counts=COUNTS, reduction="none")(logits, y, experts)
    torch.testing.assert_close(rows, loss.per_row(logits, y, experts))
    torch.testing.assert_close(rows.mean(), loss(logits, y, experts))


def test_gradients_are_those_of_finite_differences():
    experts, y = batch()
    _, y, experts = tensors(experts, y)
    mean = experts.mean(1)
    loss = RIDELoss(scale=3.0, class_counts=COUNTS).double()
    assert torch.autograd.gradcheck(lambda z: loss(mean, y, z), experts.requires_grad_())


@pytest.mark.parametrize("reduction", ["weighted_mean", "mean", "sum"])
def test_no_rows_are_no_loss(reduction):
    logits, y, experts = tensors(*batch())
    got = RIDELoss(class_counts=COUNTS, reduction=reduction)(logits[:0], y[:0], experts[:0])
    assert got == 0


def test_half_precision_is_computed_in_single():
    logits, y, experts = tensors(*batch())
    loss = RIDELoss(class_counts=COUNTS)
    got = loss(logits.bfloat16(), y, experts.bfloat16())
    want = loss(logits.bfloat16().float(), y, experts.bfloat16().float())
    torch.testing.assert_close(got, want)


def test_the_order_of_classes_does_not_matter():
    logits, y, experts = tensors(*batch())
    order = torch.tensor([2, 0, 3, 1])
    place = order.argsort()
    want = ride_loss(logits, y, experts, class_counts=COUNTS)
    got = ride_loss(logits[:, order], place[y], experts[:, :, order], class_counts=COUNTS[order])
    torch.testing.assert_close(got, want)


def test_wrong_inputs_are_named():
    experts, y = batch()
    logits, y, experts = tensors(experts, y)
    loss = RIDELoss(class_counts=COUNTS)
    with pytest.raises(TypeError, match=r"needs the logits of each expert\. Got experts=None"):
        loss(logits, y)
    with pytest.raises(ValueError, match=r"shape \(9, n_experts, 4\)\. Got shape \(9, 3, 3\)"):
        loss(logits, y, experts[:, :, :3])
    with pytest.raises(RuntimeError, match="needs the training samples per class"):
        RIDELoss()(logits, y, experts)
    for settings, said in (
        ({"scale": 0}, "scale must be finite and above 0"),
        ({"diversity": -1}, "diversity must be finite and at least 0"),
        ({"temperature_factor": 1.5}, r"temperature_factor must be in \[0, 1\]"),
    ):
        with pytest.raises(ValueError, match=said):
            RIDELoss(**settings)
    with pytest.raises(ValueError, match="n_experts must be at least 1"):
        RIDEResNet(8, 10, n_experts=0)
    with pytest.raises(ValueError, match="depth must be 6 m"):
        RIDEResNet(9, 10)


def test_the_network_shares_its_first_layers_and_no_others():
    network = RIDEResNet(32, 10, generator=torch.Generator().manual_seed(0)).eval()
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    experts = network.experts(x)
    assert experts.shape == (2, 3, 10)
    assert experts.abs().max() <= 1
    torch.testing.assert_close(network(x), experts.mean(1))
    assert not torch.allclose(experts[:, 0], experts[:, 1])
    assert network.features(x).shape == (2, 3 * 48)
    names = {name.split(".")[0] for name, _ in network.named_parameters()}
    assert names == {"conv", "bn", "stage1", "stage2", "stage3", "heads"}
    one = sum(p.numel() for p in ResNetCifar(32, 10).parameters())
    three = sum(p.numel() for p in network.parameters())
    assert 1.5 * one < three < 2 * one, "three narrow experts"


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    return make_long_tailed(X[y < 3], y[y < 3], imbalance_factor=5, n_max=80, random_state=0)


PARTNERS = {
    "DRW": {"rebalance": "reweight", "weighting": "effective", "rebalance_start": 2},
    "OTMix": {"resampler": OTMixSampler(preset="cmo", start=0, stop=None, mix_prob=1.0)},
    "M2m": {"resampler": M2mSampler(min_confidence=0.0, count_decay=0.0)},
    "DM": {"resampler": DistributionMatchingOversampler(min_confidence=0.0, class_test=False)},
}


@pytest.fixture(scope="module")
def guide(digits):
    """A guide that has learned something, the same in each run."""
    settings = {"module__depth": 8, "module__width": 4, "max_epochs": 6, "random_state": 0}
    net = DeferredRebalancingClassifier(
        ResNetCifar, module__n_channels=1, lr=0.05, batch_size=32, **settings
    ).fit(*digits)
    assert balanced_accuracy_score(digits[1], net.predict(digits[0])) > 0.6, "chance is a third"
    return net.module_


@pytest.mark.parametrize("partner", PARTNERS)
def test_training_with_partners(partner, digits, guide):
    settings = PARTNERS[partner]
    if partner in ("M2m", "DM"):
        settings = {"resampler": clone(settings["resampler"]).set_params(g=guide)}
    net = DeferredRebalancingClassifier(
        RIDEResNet,
        RIDELoss,
        module__depth=8,
        module__width=4,
        start=2 if partner in ("M2m", "DM") else 0,
        max_epochs=4,
        lr=0.05,
        batch_size=32,
        random_state=0,
        **settings,
    ).fit(*digits)
    losses = net.history[:, "train_loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < 1.5 * losses[0]
    proba = net.predict_proba(digits[0][:5])
    scaled = net.criterion_.scale * net.module_.eval()(torch.from_numpy(digits[0][:5]))
    np.testing.assert_allclose(proba, scaled.softmax(1).detach().numpy(), rtol=1e-4, atol=1e-6)


def test_what_enters_the_last_layer_reaches_the_loss(digits, monkeypatch):
    seen = []
    plain = RIDELoss.forward

    def forward(self, logits, y, experts=None, **kwargs):
        seen.append((logits.detach(), experts.detach()))
        return plain(self, logits, y, experts, **kwargs)

    monkeypatch.setattr(RIDELoss, "forward", forward)
    settings = {"module__depth": 8, "module__width": 4, "max_epochs": 1, "random_state": 0}
    DeferredRebalancingClassifier(RIDEResNet, RIDELoss, **settings).fit(*digits)
    for logits, experts in seen:
        assert experts.shape == (len(logits), 3, 3)
        torch.testing.assert_close(logits, experts.mean(1))


def test_a_network_without_experts_is_refused(digits):
    settings = {"module__depth": 8, "module__head": "cosine", "max_epochs": 1}
    with pytest.raises(ValueError, match=r"experts must hold the logits of each expert"):
        DeferredRebalancingClassifier(ResNetCifar, RIDELoss, **settings).fit(*digits)
    assert LDAMLoss.needs_cosine_head == RIDELoss.needs_cosine_head
