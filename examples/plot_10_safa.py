"""
SAFA: features of the tail, moved along what the head has learnt
================================================================

Long-tailed digits again, this time with augmentation *inside* the network. From epoch 20 on, two images
of a frequent digit show how images of a digit differ; four small networks carry such differences over
to features of rare digits, in the middle of a convolutional network. The layers above train on real and
augmented features; when training ends, nothing of this is left in the network.
"""

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from ltresample import LongTailReport, make_long_tailed
from ltresample.plotting import FeatureAugmentationDisplay
from ltresample.training import SAFA, DeferredRebalancingClassifier

torch.set_num_threads(1)

# %%
# The data: an imbalance factor of 20 in the training part, the test part stays balanced.

images, digits = load_digits(return_X_y=True)
images = (images / 16).astype(np.float32).reshape(-1, 1, 8, 8)
X, X_test, y, y_test = train_test_split(
    images, digits, test_size=0.3, stratify=digits, random_state=0
)
X, y = make_long_tailed(X, y, imbalance_factor=20, n_max=120, random_state=0)
print("Training images of each digit:", np.bincount(y).tolist())

# %%
# Three runs that differ in the augmentation only. The paper gives the weights of the losses and says
# that the generator G is two convolutions; so it has to learn to reproduce a feature before it can move
# it. With ``generator="residual"`` it adds to the feature.

resamplers = {
    "no augmentation": None,
    "SAFA, as in the paper": SAFA(),
    "SAFA, residual": SAFA(
        generator="residual", delta_sign="consistent", reconstruction_weight=10.0
    ),
}
nets = {}
for name, resampler in resamplers.items():
    nets[name] = DeferredRebalancingClassifier(
        resampler=resampler,
        start=20,
        max_epochs=40,
        lr=0.05,
        lr_decay={20: 0.1},
        batch_size=64,
        random_state=0,
    ).fit(X, y)

# %%
# After training the three networks have the same parameters, and predicting costs the same. Scores are
# balanced accuracy (bACC) and mean recalls of digits with more than 100, 20 to 100 and fewer than 20
# training images, on 540 test images. One seed: half a point is chance.

states = [list(net.module_.state_dict()) for net in nets.values()]
print("Same parameters:", states[0] == states[1] == states[2])

print(f"{'':24}{'bACC':>8}{'many':>8}{'medium':>8}{'few':>8}")
for name, net in nets.items():
    report = LongTailReport.from_estimator(net, X_test, y_test, y_train=y).to_dict()
    columns = ("balanced_accuracy", "many", "medium", "few")
    print(f"{name:24}" + "".join(f"{100 * report[column]:8.1f}" for column in columns))

# %%
# What was made? Features of the layer that was augmented, averaged over places, and the networks of the
# run, which stay with the classifier as ``g_``. For comparison a plain shift: a tail feature plus what
# separates a head feature from the mean of its class. An augmented feature whose nearest real one is of
# another class teaches the layers above something wrong.

displays = {}
for name in list(nets)[1:]:
    net = nets[name]
    with torch.no_grad():
        features = net.module_.eval().body[:6](torch.from_numpy(X))
    display = FeatureAugmentationDisplay.from_networks(net.g_, features, y, random_state=0)
    displays[name] = display
    share, of_shift = display.at_home
    print(f"{name}: {share:.0%} next to their own class; plain shift: {of_shift:.0%}")

display = displays["SAFA, residual"].plot()
display.figure_.savefig("safa.png", dpi=120, bbox_inches="tight")
print("The picture is in safa.png")
