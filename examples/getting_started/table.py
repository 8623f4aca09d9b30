"""A table: breast tumours, of which few are malignant."""

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score

from ltresample import M2mSampler, PriorCorrectedClassifier, ResampledClassifier, make_long_tailed

# A data frame with 30 columns. Only every 15th sample is left malignant.
X, y = load_breast_cancer(return_X_y=True, as_frame=True)
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

# The samplers alone: a frame goes in, a longer frame comes out.
sampler = M2mSampler(random_state=0)
X_new, y_new = sampler.fit_resample(X, y)
print(type(X_new).__name__, X.shape, "->", X_new.shape)
print("synthetic rows:", int(sampler.is_synthetic_.sum()))
