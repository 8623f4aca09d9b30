"""
Looking at what a sampler made
==============================

A synthetic sample should be inspected before it is trusted. Every sampler says of each row that it
returns where it comes from: ``is_synthetic_``, ``provenance_``, ``acceptance_rate_``, ``shortfall_``.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from ltresample import DistributionMatchingOversampler, make_long_tailed
from ltresample.plotting import EmbeddingDisplay, SynthesisDisplay

X, y = load_digits(return_X_y=True)
X, y = make_long_tailed(X / 16.0, y, imbalance_factor=30, n_max=150, random_state=0)
sampler = DistributionMatchingOversampler(random_state=0)
X_new, y_new = sampler.fit_resample(X, y)

# %%
# Half of the new rows are tried as synthetic ones by default; what g or the class test rejects is
# replaced by a duplicate, so that the counts are exact.

print("digit  real  synthetic  duplicates  accepted")
origin = sampler.provenance_["origin"]
for digit in np.unique(y):
    own = y_new == digit
    n = {kind: int((own & (origin == kind)).sum()) for kind in np.unique(origin)}
    rate = sampler.acceptance_rate_.get(digit, float("nan"))
    print(
        f"{digit:5}{n['original']:6}{n.get('synthetic', 0):11}{n.get('duplicate', 0):12}{rate:10.2f}"
    )

# %%
# The provenance of one row: from which real row it started, of which class that was, and how sure the
# guide is of its new label.

row = int(np.flatnonzero(sampler.is_synthetic_)[0])
for field, value in zip(sampler.provenance_.dtype.names, sampler.provenance_[row], strict=True):
    print(f"{field:14} {value}")

# %%
# Seeds, synthetic images and what changed, for the rarest digit.

display = SynthesisDisplay.from_sampler(
    sampler, X, X_new, y_new, n_samples=6, target=9, image_shape=(8, 8)
).plot()

# %%
# Where the synthetic rows lie among the real ones, in two principal components.

EmbeddingDisplay.from_sampler(sampler, X_new, y_new, classes=[0, 8, 9], random_state=0).plot()
plt.show()
