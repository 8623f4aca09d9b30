"""Images: handwritten digits, from 120 of the digit 0 down to six of the digit 9."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split

from ltresample import DeferredRebalancingClassifier, make_long_tailed
from ltresample.losses import BalancedSoftmaxLoss, CrossEntropy

# Images are arrays of shape (n, channels, height, width): 8-bit integers, or floats in [0, 1].
images, digits = load_digits(return_X_y=True)
images = (images / 16).astype("float32").reshape(-1, 1, 8, 8)
X, X_test, y, y_test = train_test_split(
    images, digits, test_size=0.3, stratify=digits, random_state=0
)
X, y = make_long_tailed(X, y, imbalance_factor=20, n_max=120, random_state=0)
print("training images of each digit:", np.bincount(y).tolist())

# A small convolutional network is chosen for images of this size. Balanced Softmax is a loss that
# takes the class counts into account: the cheapest remedy, to be tried first.
for name, loss in {"cross-entropy": CrossEntropy, "Balanced Softmax": BalancedSoftmaxLoss}.items():
    net = DeferredRebalancingClassifier(criterion=loss, max_epochs=20, lr=0.05, random_state=0)
    score = balanced_accuracy_score(y_test, net.fit(X, y).predict(X_test))
    print(f"{name:20}{score:.2f}")
