"""
Your own network
================

Three ways to use a network of yours: train it with rebalancing and synthesis in its late batches; let
it guide the synthesis of rows for another classifier; or keep your own training loop and make the rows
before it. The data are long-tailed digits of 8 x 8 pixels, 120 training images of the digit 0 and six
of the digit 9.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import recall_score
from sklearn.model_selection import train_test_split
from torch import nn

from ltresample import DeferredRebalancingClassifier, M2mSampler, make_long_tailed

torch.set_num_threads(1)

images, digits = load_digits(return_X_y=True)
images = (images / 16).astype("float32").reshape(-1, 1, 8, 8)  # channels first, values in [0, 1]
X, X_test, y, y_test = train_test_split(
    images, digits, test_size=0.3, stratify=digits, random_state=0
)
X, y = make_long_tailed(X, y, imbalance_factor=20, n_max=120, random_state=0)


# %%
# The network. All that is asked of it: it takes a batch and returns logits, one for each class, without
# a softmax. Normalisation, if there is any, is its first layer, so that images can stay in [0, 1].


class Network(nn.Module):
    """Two convolutions and a linear layer."""

    def __init__(self, width=16):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
        )
        self.head = nn.Linear(8 * width, 10)

    def forward(self, x):
        return self.head(self.features(x))


# %%
# **One: in training.** Pass the class, so that its weights are drawn from ``random_state``; its
# parameters are set as ``module__width``. Up to epoch 24 of 30 the data are learnt as they are. Then
# batches become class-balanced, and M2m replaces repeated images of rare digits by synthetic ones. Their
# guide is a network that was trained before, **from other weights**: with the same ``random_state`` it
# would be the network itself, a few epochs later, and its images would be nothing new.

settings = {"module__width": 16, "max_epochs": 30, "lr": 0.1, "batch_size": 32}
plain = DeferredRebalancingClassifier(Network, random_state=1, **settings).fit(X, y)
late = DeferredRebalancingClassifier(
    Network, resampler=M2mSampler(g=plain), start=24, random_state=0, **settings
).fit(X, y)
print(f"synthetic images in the last epoch: {late.history[-1]['share_synthesized']:.1%}")

# %%
# **Two: as a guide.** The network that was trained on the imbalanced data judges synthetic images, and
# a random forest is fitted to what comes out. The guide is returned as it came, bit for bit.

before = [value.clone() for value in plain.module_.state_dict().values()]
sampler = M2mSampler(g=plain, random_state=0)
X_new, y_new = sampler.fit_resample(X, y)
after = plain.module_.state_dict().values()
print("guide unchanged:", all(map(torch.equal, before, after)))
print("synthetic images:", int(sampler.is_synthetic_.sum()), "of", len(X_new))


def flat(rows):
    """Return images as rows for a forest."""
    return rows.reshape(len(rows), -1)


forest = RandomForestClassifier(random_state=0)
forests = {
    "forest": forest.fit(flat(X), y).predict(flat(X_test)),
    "forest, M2m by the network": forest.fit(flat(X_new), y_new).predict(flat(X_test)),
}

# %%
# **Three: your own loop.** Rows are arrays, and a loop does with them what it does with any others.

torch.manual_seed(0)
network = Network()
optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
rows, labels = torch.from_numpy(X_new), torch.from_numpy(y_new)
for _ in range(15):
    for batch in torch.randperm(len(rows)).split(32):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(rows[batch]), labels[batch]).backward()
        optimizer.step()
with torch.no_grad():
    own = network(torch.from_numpy(X_test)).argmax(dim=1).numpy()

# %%
# Recall of frequent digits (0 to 2) and rare ones (7 to 9) on 540 balanced test images. This is one
# seed: look at the direction, not at single points. :doc:`plot_04_training_curves` has three seeds.

predictions = {
    "network": plain.predict(X_test),
    "network, M2m in late batches": late.predict(X_test),
    "own loop on resampled images": own,
    **forests,
}
recalls = {
    name: 100 * recall_score(y_test, predicted, average=None)
    for name, predicted in predictions.items()
}
print(f"{'':30}{'all':>8}{'0 to 2':>8}{'7 to 9':>8}")
for name, recall in recalls.items():
    print(f"{name:30}{recall.mean():8.1f}{recall[:3].mean():8.1f}{recall[7:].mean():8.1f}")

figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
place = np.arange(len(recalls))[::-1]
for digits_of, label, colour, marker in (
    (slice(7, None), "digits 7 to 9 (6 to 11 images)", "#D55E00", "o"),
    (slice(3), "digits 0 to 2 (61 to 120 images)", "#444444", "^"),
):
    values = [recall[digits_of].mean() for recall in recalls.values()]
    ax.plot(values, place, marker, ms=9, color=colour, label=label)
ax.set_yticks(place, list(recalls), fontsize=11)
ax.set_xlabel("recall on 540 test images, %", fontsize=11)
ax.grid(axis="x", alpha=0.3)
ax.spines[["top", "right"]].set_visible(False)
figure.legend(loc="outside lower center", ncols=2, frameon=False)
figure.savefig("own_network.png", dpi=110)
print("The picture is in own_network.png")
