"""
What was made, and whether to believe it
========================================

A synthetic row should be inspected before a model is trusted with it. Every sampler says of each row
that it returns where it comes from, and how many candidates its guide, the classifier that judges them,
rejected. This example goes through four questions: is the guide any good, were candidates accepted, do
the rows look right, and do they help?

The data: digits of 8 x 8 pixels, 120 training images of the digit 0 down to four of the digit 9.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split

from ltresample import (
    DistributionMatchingOversampler,
    LongTailWarning,
    M2mSampler,
    make_long_tailed,
)
from ltresample.plotting import EmbeddingDisplay, SynthesisDisplay

images, digits = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(
    images / 16, digits, test_size=0.3, stratify=digits, random_state=0
)
X, y = make_long_tailed(X, y, imbalance_factor=25, n_max=120, random_state=0)
sampler = DistributionMatchingOversampler(random_state=0)
X_new, y_new = sampler.fit_resample(X, y)

# %%
# **Is the guide any good?** ``guide_score_`` is its balanced accuracy on rows that it has not seen.
# Chance is 0.1 for ten digits; near it, whatever the guide accepts means nothing, and a warning says
# so.

print(f"guide_score_: {sampler.guide_score_:.2f}")

# %%
# **Were candidates accepted?** By default half of the new rows are tried as synthetic ones. What the
# guide rejects is replaced by a duplicate, so that the counts are exact. A rate near zero means that
# you have duplicates and no synthesis; a warning says so.

print("digit  real  synthetic  duplicates  accepted")
origin = sampler.provenance_["origin"]
for digit in np.unique(y):
    of_digit = y_new == digit
    n = [
        int((of_digit & (origin == kind)).sum()) for kind in ("original", "synthetic", "duplicate")
    ]
    rate = sampler.acceptance_rate_.get(digit)
    print(f"{digit:5}{n[0]:6}{n[1]:11}{n[2]:12}" + ("" if rate is None else f"{rate:10.2f}"))

# %%
# The provenance of one row: from which real row it started (``seed_index``), of which class that was
# (``source``), and the guide's probability of its new label (``confidence``).

row = int(np.flatnonzero(sampler.is_synthetic_)[0])
for field, value in zip(sampler.provenance_.dtype.names, sampler.provenance_[row], strict=True):
    print(f"{field:14} {value}")

# %%
# **Do the rows look right?** Seeds, synthetic images, and what changed, for the rarest digit.

display = SynthesisDisplay.from_sampler(
    sampler, X, X_new, y_new, n_samples=6, target=9, image_shape=(8, 8)
).plot()

# %%
# Where the synthetic rows lie among the real ones, in two principal components.

display = EmbeddingDisplay.from_sampler(
    sampler, X_new, y_new, classes=[0, 8, 9], random_state=0
).plot()

# %%
# **Do they help?** The rival is plain duplication by the same code: ``synthetic_share=0``. Balanced
# accuracy of a random forest on 540 balanced test images, mean ± standard deviation over five seeds of
# sampler and forest.


def score(sampler, seed):
    """Return the balanced accuracy of a forest after a sampler."""
    with warnings.catch_warnings():  # one of the samplers accepts nothing, which is the point
        warnings.simplefilter("ignore", LongTailWarning)
        rows, labels = sampler.set_params(random_state=seed).fit_resample(X, y)
    forest = RandomForestClassifier(random_state=seed).fit(rows, labels)
    return 100 * balanced_accuracy_score(y_test, forest.predict(X_test))


samplers = {
    "duplicates": M2mSampler(synthetic_share=0),
    "M2m": M2mSampler(),
    "DM": DistributionMatchingOversampler(),
    "M2m, paper's settings": M2mSampler(preset="paper", count_test=False),
}
scores = {name: [score(sampler, seed) for seed in range(5)] for name, sampler in samplers.items()}
for name, values in scores.items():
    rates = samplers[name].acceptance_rate_.values()
    accepted = f"{np.mean(list(rates)):.2f}" if rates else "-"
    print(f"{name:24}{np.mean(values):6.1f} ± {np.std(values, ddof=1):.1f}   accepted {accepted}")

# %%
# **A high acceptance rate is no proof of quality.** Here is pure noise, 300 rows of ten columns with
# two classes drawn at random: there is nothing to learn. Most candidates are accepted all the same,
# since a guide believes what it has learnt by heart. Its score on rows that it has not seen tells the
# truth.

rng = np.random.default_rng(0)
noise, labels = rng.normal(size=(300, 10)), np.where(rng.random(300) < 0.2, "rare", "frequent")
nonsense = M2mSampler(random_state=0)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    nonsense.fit_resample(noise, labels)
print(f"accepted {nonsense.acceptance_rate_['rare']:.2f}, guide_score_ {nonsense.guide_score_:.2f}")
print(caught[0].message if caught else "no warning")
plt.show()
