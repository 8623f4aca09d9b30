"""One look at the network before training: right, or a clear error before any step."""

import copy
import re

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score
from torch import nn

from ltresample import M2mSampler
from ltresample.losses import CrossEntropy, FocalLoss, InfluenceBalancedLoss, LDAMLoss
from ltresample.models import MLP, CosineHead
from ltresample.training import DeferredRebalancingClassifier

rng = np.random.default_rng(0)
Y = np.repeat(np.arange(3), [60, 20, 8])
X = (rng.normal(size=(len(Y), 4)) + 2 * np.eye(3, 4)[Y]).astype(np.float32)

ENDS = {
    "logits": lambda z, x: z,
    "probabilities": lambda z, x: z.softmax(1),
    "log-probabilities": lambda z, x: z.log_softmax(1),
    "a tuple": lambda z, x: (z, x),
    "a dictionary": lambda z, x: {"logits": z},
    "a list": lambda z, x: [z],
    "NaN": lambda z, x: z * float("nan"),
    "labels": lambda z, x: z.argmax(1),
    "one output": lambda z, x: z[:, 0],
    "a column": lambda z, x: z[:, :1],
    "a map": lambda z, x: z[:, :, None],
}


class Net(nn.Module):
    """A network that ends in one of many ways, and counts how often it is passed in training."""

    passed = 0

    def __init__(self, n_features, n_classes, end="logits", head="linear"):
        super().__init__()
        self.first = nn.Linear(n_features, 16)
        last = CosineHead if head == "cosine" else nn.Linear
        self.last = last(16, n_classes)
        self.end = end

    def forward(self, x):
        type(self).passed += self.training
        return ENDS[self.end](self.last(self.first(x).relu()), x)


def net_of(**params):
    settings = {"module": Net, "max_epochs": 15, "batch_size": 16, "lr": 0.1, "random_state": 0}
    return DeferredRebalancingClassifier(**{**settings, **params})


GOOD = [
    ("logits", CrossEntropy),
    ("logits", nn.CrossEntropyLoss),
    ("logits", FocalLoss),
    ("logits", nn.MultiMarginLoss),
    ("log-probabilities", CrossEntropy),
    ("log-probabilities", nn.CrossEntropyLoss),
    ("log-probabilities", nn.NLLLoss),
    ("probabilities", nn.NLLLoss),
    ("a tuple", CrossEntropy),
    ("a tuple", LDAMLoss),
]


@pytest.mark.parametrize(("end", "criterion"), GOOD)
def test_what_works_learns_and_gives_probabilities(end, criterion):
    head = {"module__head": "cosine"} if criterion is LDAMLoss else {}
    net = net_of(module__end=end, criterion=criterion, class_weight="balanced", **head).fit(X, Y)
    proba = net.predict_proba(X)
    np.testing.assert_allclose(proba.sum(1), 1, rtol=1e-5)
    assert proba.min() >= 0
    assert balanced_accuracy_score(Y, net.predict(X)) > 0.8


def test_logarithms_of_probabilities_are_not_taken_twice():
    one = net_of(module__end="log-probabilities", criterion=nn.NLLLoss).fit(X, Y)
    other = net_of(module__end="logits", criterion=nn.CrossEntropyLoss).fit(X, Y)
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(
        one.history[:, "train_loss"], other.history[:, "train_loss"], rtol=1e-3
    )


WRONG_OUTPUT = (
    "The network must give a floating-point tensor of logits, or a tuple that begins with one."
)
BAD = [
    ("probabilities", {}, "CrossEntropy takes logits and applies softmax itself. Got a Net whose"),
    (
        "probabilities",
        {"criterion": nn.CrossEntropyLoss},
        "CrossEntropyLoss takes logits and applies",
    ),
    ("probabilities", {"criterion": LDAMLoss}, "LDAMLoss takes logits and applies softmax itself."),
    (
        "logits",
        {"criterion": nn.NLLLoss},
        "NLLLoss takes probabilities or their logarithms. Got a Net",
    ),
    ("a dictionary", {}, f"{WRONG_OUTPUT} Got a dict from Net. Wrap it in a module"),
    ("a dictionary", {"resampler": M2mSampler()}, f"{WRONG_OUTPUT} Got a dict from Net."),
    ("a dictionary", {"criterion": LDAMLoss}, f"{WRONG_OUTPUT} Got a dict from Net."),
    ("a list", {}, f"{WRONG_OUTPUT} Got a list from Net."),
    ("labels", {}, f"{WRONG_OUTPUT} Got torch.int64 from Net."),
    (
        "one output",
        {},
        "The network must give a row of 3 logits for each row, one for each class. Got",
    ),
    ("a map", {}, "The network must give a row of 3 logits for each row, one for each class. Got"),
    (
        "a column",
        {},
        "The network has too few outputs. Got 1 from Net for 3 classes. Give its last",
    ),
    ("logits", {"module__n_classes": 2}, "The network has too few outputs. Got 2 from Net for 3"),
    ("logits", {"module__n_classes": 4}, "The network has too many outputs. Got 4 from Net for 3"),
    (
        "NaN",
        {},
        "The network's outputs must be finite. Got NaN or infinity in 16 of 16 rows from Net",
    ),
    ("NaN", {"criterion": nn.MultiMarginLoss}, "The network's outputs must be finite."),
    (
        "a tuple",
        {"resampler": M2mSampler()},
        "A resampler asks the network for logits and needs them alone. Got a tuple of 2 from Net.",
    ),
    (
        "probabilities",
        {"resampler": M2mSampler(), "criterion": nn.NLLLoss},
        "A resampler asks the network for logits. Got a Net whose outputs are probabilities.",
    ),
]


@pytest.mark.parametrize(("end", "params", "message"), BAD)
def test_what_does_not_is_said_before_the_first_step(end, params, message):
    Net.passed = 0
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        net_of(module__end=end, **params).fit(X, Y)
    assert Net.passed == 0


CANNOT = {
    "BCEWithLogitsLoss": {},
    "BCELoss": {},
    "MSELoss": {},
    "L1Loss": {},
    "SmoothL1Loss": {},
    "HuberLoss": {},
    "KLDivLoss": {},
    "PoissonNLLLoss": {},
    "GaussianNLLLoss": {},
    "MultiLabelMarginLoss": {},
    "MultiLabelSoftMarginLoss": {},
    "SoftMarginLoss": {},
    "HingeEmbeddingLoss": {},
    "CosineEmbeddingLoss": {},
    "MarginRankingLoss": {},
    "TripletMarginLoss": {},
    "TripletMarginWithDistanceLoss": {},
    "CTCLoss": {},
    "NLLLoss2d": {},
    "CrossEntropyLoss": {"criterion__reduction": "none"},
    "AdaptiveLogSoftmaxWithLoss": {
        "criterion__in_features": 16,
        "criterion__n_classes": 20,
        "criterion__cutoffs": [5],
    },
}
if hasattr(nn, "LinearCrossEntropyLoss"):
    CANNOT["LinearCrossEntropyLoss"] = {"criterion__in_features": 3, "criterion__num_classes": 3}
CAN = {"CrossEntropyLoss", "NLLLoss", "MultiMarginLoss"}


def test_every_loss_of_pytorch_is_tried():
    losses = {name for name in vars(nn) if "Loss" in name and isinstance(getattr(nn, name), type)}
    assert losses <= CAN | set(CANNOT)


@pytest.mark.filterwarnings("ignore:.*NLLLoss2d:FutureWarning")
@pytest.mark.parametrize("n_classes", [2, 3, 16])
@pytest.mark.parametrize("name", CANNOT)
def test_losses_that_do_not_take_class_indices(name, n_classes):
    rows, labels = np.tile(X, (2, 1)), np.arange(2 * len(X)) % n_classes
    Net.passed = 0
    with pytest.raises(
        ValueError, match="NLLLoss2d takes|The criterion must give|holds the last layer"
    ):
        net_of(criterion=getattr(nn, name), **CANNOT[name]).fit(rows, labels)
    assert Net.passed == 0


class Counting(nn.Module):
    """A criterion of a user's, with a state."""

    def __init__(self):
        super().__init__()
        self.n = 0

    def forward(self, logits, y):
        self.n += 1
        return nn.functional.cross_entropy(logits, y)


def test_the_look_leaves_no_trace():
    module = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
    net = net_of(module=module, criterion=Counting, max_epochs=0).fit(X, Y)
    assert net.criterion_.n == 0
    for name, value in module.state_dict().items():
        assert torch.equal(value, net.module_.state_dict()[name]), name
    assert all(p.requires_grad for p in net.module_.parameters())


def test_what_forward_takes_beside_rows_is_passed():
    class Asks(MLP):
        def forward(self, x, factor):
            return factor * super().forward(x)

    net = net_of(module=Asks, max_epochs=1)
    net.fit(X, Y, factor=2.0)
    assert len(net.history) == 1


# ---------------------------------------------------------------- losses that are no numbers


@pytest.mark.parametrize(
    ("criterion", "lr"),
    [
        (CrossEntropy, 1e30),
        (nn.CrossEntropyLoss, 1e30),
        (nn.MultiMarginLoss, 1e38),
        (InfluenceBalancedLoss, 1e30),
        (Counting, 1e30),
    ],
)
def test_a_loss_that_is_no_number_ends_training(criterion, lr):
    net = net_of(criterion=criterion, lr=lr)
    message = (
        r"The loss is not finite\. Got (nan|inf) in epoch \d+, step \d+ \(both from 0\), at a learning "
        r"rate of 1e\+3[08]\. Lower lr or pass warmup=5"
    )
    with pytest.raises(ValueError, match=message):
        net.fit(X, Y)
    assert len(net.history) < 15


class Breaks(nn.Module):
    def __init__(self):
        super().__init__()
        self.n = 0

    def forward(self, logits, y):
        self.n += 1
        return nn.functional.cross_entropy(logits, y) * (float("inf") if self.n == 8 else 1)


def test_epoch_and_step_are_named():
    with pytest.raises(ValueError, match=r"Got inf in epoch 1, step 1 \(both from 0\)"):
        net_of(criterion=Breaks).fit(X, Y)


# ---------------------------------------------------------------- types


TYPES = [
    {"criterion": nn.CrossEntropyLoss, "rebalance": "reweight"},
    {"criterion": nn.CrossEntropyLoss, "class_weight": "balanced"},
    {"criterion": nn.CrossEntropyLoss, "criterion__weight": torch.tensor([1.0, 2.0, 3.0])},
    {"criterion": nn.CrossEntropyLoss, "criterion__weight": np.array([1.0, 2.0, 3.0])},
    {"criterion": nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0]).double())},
    {"criterion": nn.MultiMarginLoss, "class_weight": "balanced"},
    {"criterion": CrossEntropy, "class_weight": {0: 1 / 3}},
    {"criterion": CrossEntropy, "criterion__weight": [1 / 3, 2 / 3, 1]},
    {"criterion": LDAMLoss, "module__head": "cosine", "rebalance": "reweight"},
    {"criterion": InfluenceBalancedLoss, "criterion__alpha": 10.0},
]


@pytest.mark.parametrize("params", TYPES, ids=lambda p: str(p)[:70])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, None])
def test_the_criterion_follows_the_networks_type(params, dtype):
    params = copy.deepcopy(params)
    net = net_of(dtype=dtype, max_epochs=3, **params).fit(X.astype(np.float64), Y)
    want = dtype or torch.float32
    assert net.criterion_.weight.dtype == want
    assert net.predict_proba(X).dtype == str(want).removeprefix("torch.")
    default = net_of(
        module=None, max_epochs=3, **{k: v for k, v in params.items() if k[:6] != "module"}
    )
    default.fit(X.astype(np.float64), Y)  # the default network is in double precision
    assert default.criterion_.weight.dtype == torch.float64


def test_weights_are_not_rounded():
    weight = [1 / 3, 2 / 3, 1.0]
    net = net_of(dtype=torch.float64, max_epochs=1, criterion__weight=weight).fit(X, Y)
    assert net.criterion_.weight.tolist() == weight
    net = net_of(dtype=torch.float64, max_epochs=1, class_weight=dict(enumerate(weight))).fit(X, Y)
    assert net.criterion_.weight.tolist() == weight
