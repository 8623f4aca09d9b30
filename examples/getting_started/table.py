"""A table: breast tumours, of which few are malignant."""

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score

from ltresample import M2mSampler, PriorCorrectedClassifier, ResampledClassifier, make_long_tailed

# A table with 30 columns, cut so that benign samples are 15 times as many as malignant ones. A
# pandas or polars frame works the same way, and comes back as a frame.
X, y = load_breast_cancer(return_X_y=True)
y = np.array(["malignant", "benign"])[y]
X, y = make_long_tailed(X, y, imbalance_factor=15, random_state=0)
print({str(label): int(n) for label, n in zip(*np.unique(y, return_counts=True), strict=True)})

# Three ways to treat them. Resampling happens inside `fit`, so test folds stay as they are.
forest = RandomForestClassifier(random_state=0)
models = {
    "forest": forest,
    "forest, prior corrected": PriorCorrectedClassifier(forest),
    "forest, resampled and corrected": ResampledClassifier(forest, random_state=0),
}
folds = RepeatedStratifiedKFold(n_splits=5, n_repeats=2, random_state=0)
for name, model in models.items():
    scores = cross_val_score(model, X, y, cv=folds, scoring="balanced_accuracy")
    print(f"{name:33}{scores.mean():.2f}")

# The samplers alone: a table goes in, a longer table comes out.
sampler = M2mSampler(random_state=0)
X_new, y_new = sampler.fit_resample(X, y)
print(X.shape, "->", X_new.shape)
print("synthetic rows:", int(sampler.is_synthetic_.sum()))
