"""Run by `test_distributed_training.py` in two processes: the result is that of one process."""

import sys
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from sklearn.datasets import load_digits

from ltresample import make_long_tailed
from ltresample.losses import InfluenceBalancedLoss, LADELoss
from ltresample.models import MLP
from ltresample.over_sampling import (
    DistributionMatchingOversampler,
    M2mSampler,
    OTMixSampler,
)
from ltresample.training import DeferredRebalancingClassifier, DistributedRebalancingClassifier

sys.path.append(str(Path(__file__).parents[2]))
from tests.own_sampler import JitterSampler  # noqa: E402

AFFINITY = np.full((10, 10), 1 / 9) - np.eye(10) / 9
METHODS = {
    "DRS": {"rebalance": "resample", "rebalance_start": 1},
    "DRW": {"rebalance": "reweight", "rebalance_start": 1, "weighting": "effective"},
    "LADE": {"criterion": LADELoss},
    "IB": {"criterion": InfluenceBalancedLoss, "criterion__alpha": 5.0, "rebalance_start": 1},
    "M2m": {"resampler": M2mSampler(min_confidence=0.5, count_decay=0.9), "start": 1},
    "DM": {
        "resampler": DistributionMatchingOversampler(min_confidence=0.1, class_test=False),
        "start": 1,
    },
    "own": {"resampler": JitterSampler(), "start": 1},
    "CutMix": {"resampler": OTMixSampler(preset="cutmix"), "start": 0},
    "OTMix": {
        "resampler": OTMixSampler(
            class_affinity=AFFINITY, start=0, stop=None, mix_prob=1.0, schedule_power=0.0
        ),
        "start": 0,
    },
}


def data():
    X, y = load_digits(return_X_y=True)
    images = X.reshape(-1, 1, 8, 8).astype("float32") / 16
    return make_long_tailed(images, y, imbalance_factor=10, n_max=40, random_state=0)


class Flat(torch.nn.Sequential):
    def __init__(self, n_classes):
        super().__init__(torch.nn.Flatten(), MLP(64, n_classes, hidden=(16,)))


def settings(method):
    return {
        "module": Flat,
        "lr": 0.05,
        "batch_size": 33,  # neither batches nor the last one divide by two
        "max_epochs": 3,
        "train_split": 0.2,
        "random_state": 0,
        **METHODS[method],
    }


def compare(one, two, X):
    np.testing.assert_allclose(
        two.history[:, "train_loss"], one.history[:, "train_loss"], rtol=1e-4
    )
    np.testing.assert_allclose(
        two.history[:, "valid_loss"], one.history[:, "valid_loss"], rtol=1e-4
    )
    assert two.history[:, "valid_bacc"] == one.history[:, "valid_bacc"]
    np.testing.assert_allclose(two.predict_proba(X), one.predict_proba(X), atol=1e-4)


def main() -> None:
    torch.set_num_threads(1)
    X, y = data()
    accelerator = Accelerator(cpu=True)
    assert accelerator.num_processes == 2
    g = DeferredRebalancingClassifier(
        **{**settings("DRS"), "rebalance_start": 0, "max_epochs": 15}
    ).fit(X, y)
    for method in ("M2m", "DM"):
        METHODS[method]["resampler"].set_params(g=g.module_)
    for method in sys.argv[1:]:
        one = DeferredRebalancingClassifier(**settings(method)).fit(X, y)
        two = DistributedRebalancingClassifier(**settings(method), accelerator=accelerator)
        compare(one, two.fit(X, y), X)
        made = "share_synthesized"
        if "resampler" in METHODS[method]:
            assert two.history[:, made] == one.history[:, made]
            assert two.history[-1][made] > 0, method
        accelerator.print(f"{method} equal")
    again = one.set_params(warm_start=True).fit(X, y), two.set_params(warm_start=True).fit(X, y)
    compare(*again, X)
    unseeded = DistributedRebalancingClassifier(max_epochs=1, accelerator=accelerator).fit(X, y)
    weights = torch.cat([p.detach().reshape(-1) for p in unseeded.module_.state_dict().values()])
    both = [torch.empty_like(weights) for _ in range(2)]
    torch.distributed.all_gather(both, weights)
    assert torch.equal(*both)
    accelerator.print("same networks")
    accelerator.end_training()


if __name__ == "__main__":
    main()
