"""
Open-set data: images of none of the classes
============================================

A network is to tell the digits 0 to 6 apart; of the last ones it sees very few images. The digits 7 to
9 belong to no class, but there are plenty of them. Open-sampling puts such images into every training
step, with labels drawn anew from a distribution that makes the class prior flat: rare classes are drawn
more often. Natural images are compared with two sets that need no collecting. After a short training
open-set images do not help yet.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split
from skorch.callbacks import EpochScoring

from ltresample import OpenSampler, make_long_tailed
from ltresample.datasets import make_gaussian_noise, permute_features
from ltresample.models import MLP, feature_extractor
from ltresample.plotting import OpenSetDisplay
from ltresample.training import DeferredRebalancingClassifier

# %%
# The data: 80 training images of the digit 0, four of the digit 6; a balanced test part.

images, digits = load_digits(return_X_y=True)
images = (images / 16).astype(np.float32)
known = digits < 7


def long_tailed_split(seed):
    """Return training data with an imbalance factor of 20, and test data."""
    X, X_test, y, y_test = train_test_split(
        images[known], digits[known], test_size=0.5, stratify=digits[known], random_state=seed
    )
    X, y = make_long_tailed(X, y, imbalance_factor=20, n_max=80, random_state=seed)
    return X, y, X_test, y_test


# %%
# Open-set images: the other digits, training images whose pixels were permuted one by one, noise.


def open_sets(X, seed):
    """Return open-set images, or None, by name."""
    return {
        "none": None,
        "the digits 7 to 9": images[~known],
        "permuted pixels": permute_features(X, 2000, random_state=seed),
        "Gaussian noise": make_gaussian_noise(X, 2000, random_state=seed),
    }


# %%
# Training: 100 epochs. The test score of every epoch is only recorded for the picture.


def trained(X, y, X_test, y_test, *, X_aux, seed):
    """Train a network, with open-set images or without."""

    def score(net, X=None, y=None):
        return balanced_accuracy_score(y_test, net.predict(X_test))

    watch = EpochScoring(
        score, name="test", lower_is_better=False, use_caching=False, on_train=True
    )
    return DeferredRebalancingClassifier(
        MLP,
        module__hidden=[128],
        resampler=None if X_aux is None else OpenSampler(X_aux=X_aux),
        start=0,
        max_epochs=100,
        batch_size=64,
        lr=0.1,
        warmup=5,
        lr_decay={0.8: 0.1, 0.9: 0.1},
        optimizer__weight_decay=5e-4,
        callbacks=[watch],
        random_state=seed,
    ).fit(X, y)


curves, nets = {}, {}
for seed in range(3):
    split = long_tailed_split(seed)
    for name, X_aux in open_sets(split[0], seed).items():
        nets[name] = trained(*split, X_aux=X_aux, seed=seed)
        curves.setdefault(name, []).append(nets[name].history[:, "test"])

# %%
# The table: balanced accuracy (bACC) on test images after 40 epochs and at the end, mean ± standard
# deviation over three seeds. After 40 epochs the networks with open-set images are behind, at the end
# they are ahead, both by no more than seeds differ. Natural images, the other digits, are no better than
# noise.

print(f"{'open-set images':20}{'40 epochs':>14}{'100 epochs':>14}")
for name, runs in curves.items():
    runs = 100 * np.array(runs)
    cells = [f"{runs[:, e].mean():8.1f} ± {runs[:, e].std(ddof=1):3.1f}" for e in (39, 99)]
    print(f"{name:20}" + "".join(f"{cell:>14}" for cell in cells))

# %%
# The picture: balanced accuracy in training, mean over three seeds, shaded by one standard deviation;
# and where the plain network of the last seed places the other digits: among the classes, in its 128
# hidden units.

figure, axes = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained")
colours = ["0.2", "#D55E00", "#0072B2", "#E69F00"]
for (name, runs), colour in zip(curves.items(), colours, strict=True):
    mean, spread = 100 * np.mean(runs, axis=0), 100 * np.std(runs, axis=0, ddof=1)
    axes[0].plot(mean, label=name, color=colour, lw=1.8)
    axes[0].fill_between(range(100), mean - spread, mean + spread, color=colour, alpha=0.1, lw=0)
axes[0].set(xlabel="epoch", ylabel="bACC on test images, %", ylim=(60, 100))
axes[0].legend(title="open-set images", loc="lower right", frameon=False)
axes[0].spines[["top", "right"]].set_visible(False)
X, y, _, _ = split
hidden = feature_extractor(nets["none"].module_)


@torch.no_grad()
def features(rows):
    """Return the hidden units for some rows."""
    return hidden(torch.from_numpy(rows)).numpy()


OpenSetDisplay.from_rows(X, y, images[~known], features=features, random_state=0).plot(axes[1])
figure.savefig("open_set.png", dpi=110)
print("The picture is in open_set.png")
