"""Inside training: synthetic images in the place of repeated ones, in every late batch."""

from sklearn.datasets import load_digits
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split
from torch import nn

from ltresample import DeferredRebalancingClassifier, M2mSampler, make_long_tailed
from ltresample.losses import BalancedSoftmaxLoss

images, digits = load_digits(return_X_y=True)
images = (images / 16).astype("float32")
X, X_test, y, y_test = train_test_split(
    images, digits, test_size=0.3, stratify=digits, random_state=0
)
X, y = make_long_tailed(X, y, imbalance_factor=20, n_max=120, random_state=0)


class Network(nn.Module):
    """Any network that returns logits, one for each class."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))

    def forward(self, x):
        return self.layers(x)


# A resampler works in the last fifth of training, on class-balanced batches: there it replaces
# repeated images of rare digits by synthetic ones, as far as its guide is sure of them.
ways = {
    "plain": {},
    "class-balanced batches, late": {"rebalance": "resample", "rebalance_start": 0.8},
    "M2m, late": {"resampler": M2mSampler(g_recipe="bagged"), "start": 0.8},
    "Balanced Softmax": {"criterion": BalancedSoftmaxLoss},
}
for name, settings in ways.items():
    net = DeferredRebalancingClassifier(
        Network, max_epochs=40, lr=0.1, batch_size=32, random_state=0, **settings
    ).fit(X, y)
    share = net.history[-1].get("share_synthesized", 0)
    score = balanced_accuracy_score(y_test, net.predict(X_test))
    print(f"{name:30}{score:.2f}, {share:4.0%} of the last epoch synthetic")
