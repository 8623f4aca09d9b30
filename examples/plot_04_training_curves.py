"""
Images: rebalancing late in training
====================================

Trained on a long tail as it is, a network learns frequent digits in a few epochs and never learns a
quarter of the rare ones. Deferred methods train so at first, because it gives good features, and
rebalance in the last fifth of training, when the learning rate has fallen: by class-balanced batches
(DRS, deferred re-sampling), by class weights in the loss (LDAM-DRW: a loss with larger margins for rare
classes, and deferred re-weighting), or by class-balanced batches in which repeated images are replaced
by synthetic ones (M2m, and DM, Distribution Matching). ERM, empirical risk minimisation, is training
without any of this.

The curves show what that does to frequent and rare digits. At the end: why synthetic rows belong inside
training, behind the split that holds out data for validation.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split
from skorch.callbacks import Callback

from ltresample import (
    DistributionMatchingOversampler,
    LongTailReport,
    LongTailWarning,
    M2mSampler,
    make_long_tailed,
)
from ltresample.losses import LDAMLoss
from ltresample.models import MLP
from ltresample.training import DeferredRebalancingClassifier

torch.set_num_threads(1)
warnings.simplefilter("ignore", LongTailWarning)  # few accepted images: they are counted below

# %%
# The data: 120 images of the digit 0 down to three of the digit 9; the test part stays balanced.

images, digits = load_digits(return_X_y=True)
images = (images / 16).astype(np.float32)


def long_tailed_split(seed, imbalance_factor=40):
    """Return long-tailed training data, and balanced test data."""
    X, X_test, y, y_test = train_test_split(
        images, digits, test_size=0.3, stratify=digits, random_state=seed
    )
    X, y = make_long_tailed(X, y, imbalance_factor=imbalance_factor, n_max=120, random_state=seed)
    return X, y, X_test, y_test


# %%
# What all methods share: one network, one schedule. They differ from epoch 32 of 40 on. A callback
# records the recalls of every epoch, for the picture only.

START, EPOCHS = 32, 40
base = DeferredRebalancingClassifier(
    MLP,
    module__hidden=[128],
    start=START,
    max_epochs=EPOCHS,
    batch_size=32,
    lr=0.1,
    lr_decay={START: 0.1},
    optimizer__weight_decay=5e-4,
)


class ShotRecalls(Callback):
    """Recall of many-, medium- and few-shot classes in test data, after each epoch."""

    def __init__(self, X, y, y_train):
        self.X, self.y, self.y_train = X, y, y_train

    def on_epoch_end(self, net, **kwargs):
        """Record the three means."""
        report = LongTailReport.from_predictions(
            self.y, net.predict(self.X), y_train=self.y_train
        ).to_dict()
        for group in ("many", "medium", "few"):
            net.history.record(group, 100 * report[group])


# %%
# The methods. M2m and DM ask a second network, the guide, whether a synthetic image belongs to its
# class; as in their papers it is one that was trained without rebalancing.

drs = {"rebalance": "resample", "rebalance_start": START}
drw = {"rebalance": "reweight", "rebalance_start": START, "weighting": "effective"}
ldam = {"criterion": LDAMLoss, "module__head": "cosine"}


def methods(guide):
    """Return the settings of each method, by name."""
    return {
        "ERM": {},
        "DRS": drs,
        "LDAM-DRW": {**ldam, **drw},
        "M2m": {**drs, "resampler": M2mSampler(g=guide)},
        "LDAM + M2m": {**ldam, **drs, "resampler": M2mSampler(g=guide)},
        "DM": {**drs, "resampler": DistributionMatchingOversampler(g=guide)},
    }


runs = {}
for seed in range(3):
    X, y, X_test, y_test = long_tailed_split(seed)
    guide = clone(base).set_params(random_state=100 + seed).fit(X, y)
    for name, settings in methods(guide).items():
        watch = ShotRecalls(X_test, y_test, y)
        net = clone(base).set_params(callbacks=[watch], random_state=seed, **settings)
        runs.setdefault(name, []).append((net.fit(X, y), X_test, y_test))

# %%
# The table: balanced accuracy (bACC) and mean recalls in per cent on 540 test images after the last
# epoch, mean ± standard deviation over three seeds; and the share of training images that were
# synthetic in the last epoch. DM's tests let few images pass here, so that it is little more than DRS;
# no method with synthetic images is ahead of DRS.

print(f"{'':12}{'bACC':>12}{'many':>8}{'medium':>8}{'few':>8}{'synthetic':>12}")
for name, nets in runs.items():
    scores = [
        100 * balanced_accuracy_score(labels, net.predict(rows)) for net, rows, labels in nets
    ]
    history = [net.history[-1] for net, *_ in nets]
    groups = "".join(f"{np.mean([h[g] for h in history]):8.1f}" for g in ("many", "medium", "few"))
    share = np.mean([h.get("share_synthesized", 0) for h in history])
    print(f"{name:12}{np.mean(scores):6.1f} ± {np.std(scores, ddof=1):3.1f}{groups}{share:12.0%}")

# %%
# The picture: means over three seeds, shaded by one standard deviation. Up to the dotted line all
# methods with cross-entropy are one curve. Then the rare digits rise, and the frequent ones pay little
# for it.

figure, axes = plt.subplots(1, 3, figsize=(12, 4.2), layout="constrained", sharey=True)
groups = {"many": "more than 100 images", "medium": "20 to 100", "few": "fewer than 20"}
colours = ["0.2", "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"]
for ax, (group, title) in zip(axes, groups.items(), strict=True):
    for (name, nets), colour in zip(runs.items(), colours, strict=True):
        curves = np.array([net.history[:, group] for net, *_ in nets])
        curve, spread, epochs = (
            curves.mean(axis=0),
            curves.std(axis=0, ddof=1),
            range(1, EPOCHS + 1),
        )
        ax.plot(epochs, curve, label=name, color=colour, lw=1.8)
        ax.fill_between(epochs, curve - spread, curve + spread, color=colour, alpha=0.08, lw=0)
    ax.axvline(START + 0.5, color="0.6", lw=1, ls=":")
    ax.set(title=f"{group}: digits with {title}", xlabel="epoch")
    ax.set_xlim(1, EPOCHS)
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set(ylabel="recall on test images, %", ylim=(50, 101))
axes[0].legend(loc="lower left", frameon=False)
figure.savefig("training_curves.png", dpi=110)
print("The picture is in training_curves.png")

# %%
# What to believe. The classifier splits first and synthesizes afterwards, so that its validation part
# holds only real images, and its score is that of the test up to the chance of small numbers. (With a
# guide of its own M2m accepts few images in this training; the order is what counts.) If you resample
# first and split afterwards, you validate on near copies of the training rows.

inside, before = [], []
for seed in range(3):
    X, y, X_test, y_test = long_tailed_split(seed, imbalance_factor=10)
    net = clone(base).set_params(train_split=0.3, random_state=seed, **drs)
    net.set_params(resampler=M2mSampler()).fit(X, y)
    truth = balanced_accuracy_score(y_test, net.predict(X_test))
    inside.append((net.history[-1]["valid_bacc"], truth))

    rows, labels = M2mSampler(random_state=seed).fit_resample(X, y)
    net = clone(base).set_params(train_split=0.3, random_state=seed).fit(rows, labels)
    truth = balanced_accuracy_score(y_test, net.predict(X_test))
    before.append((net.history[-1]["valid_bacc"], truth))
print(f"{'':28}{'validation':>12}{'test':>8}")
for name, pairs in {"split, then synthesize": inside, "synthesize, then split": before}.items():
    validation, test = 100 * np.mean(pairs, axis=0)
    print(f"{name:28}{validation:12.1f}{test:8.1f}")
