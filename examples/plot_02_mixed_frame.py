"""
A frame with categories: pandas in, pandas out
==============================================

Real tables mix numbers, whole numbers, categories and gaps. This example follows such a frame through a
pipeline with imputation, synthesis, one-hot encoding and a classifier, and compares four pipelines in
cross-validation.

The data are simulated, so that the example runs offline: 3,000 contracts of an energy company, of which
about 4 % are cancelled. Which ones depends on tariff, region, age of the contract and number of
complaints.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from imblearn.over_sampling import SMOTENC
from imblearn.pipeline import make_pipeline
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.model_selection import RepeatedStratifiedKFold, cross_validate
from sklearn.preprocessing import OneHotEncoder

from ltresample import M2mSampler, PartialFill, PriorCorrectedClassifier

rng = np.random.default_rng(0)
n = 3000
X = pd.DataFrame(
    {
        "tariff": rng.choice(["basic", "green", "night", "plus"], n, p=[0.5, 0.3, 0.15, 0.05]),
        "region": rng.choice(["north", "east", "south", "west"], n),
        "months": rng.integers(1, 120, n),
        "complaints": rng.poisson(0.7, n),
        "kwh": rng.lognormal(8, 0.5, n).round(1),
    }
)
risk = -4.8 + 0.9 * X.complaints - 0.02 * X.months + 1.1 * (X.tariff == "basic")
risk += 0.9 * (X.region == "east") + 0.0002 * X.kwh
y = np.where(rng.random(n) < 1 / (1 + np.exp(-risk)), "cancelled", "kept")
X.loc[rng.random(n) < 0.1, "kwh"] = np.nan
print(X.head(3).to_string())
print(
    {str(label): int(count) for label, count in zip(*np.unique(y, return_counts=True), strict=True)}
)

# %%
# The sampler takes the frame as it is, but for the gaps: nothing is imputed in silence. Columns of text
# are categories: they are never averaged, and a new row takes all of its categories from one real row
# of its own class. ``columns_`` says which columns were treated as what.

impute = make_column_transformer(
    (SimpleImputer(strategy="median"), ["kwh"]),
    remainder="passthrough",
    verbose_feature_names_out=False,
).set_output(transform="pandas")
m2m = M2mSampler(random_state=0)
filled = impute.fit_transform(X)
X_new, y_new = m2m.fit_resample(filled, y)
print(X_new[m2m.is_synthetic_].head(3).to_string())
print("types kept:", (X_new.dtypes == filled.dtypes).all(), "and columns:", m2m.columns_)
categories = ["tariff", "region"]
real = set(map(tuple, filled.loc[y == "cancelled", categories].to_numpy()))
made = set(map(tuple, X_new.loc[m2m.is_synthetic_, categories].to_numpy()))
print("pairs of categories that no cancelled contract has:", len(made - real))

# %%
# After the sampler the categories become one-hot columns, as they would without it. Only the training
# folds are resampled: imbalanced-learn's pipeline passes samplers over when it predicts. Beside M2m at
# full strength: the corrected forest alone, the corrected forest after 5 % of what is missing, and
# SMOTE-NC.

one_hot = make_column_transformer(
    (OneHotEncoder(handle_unknown="ignore"), categories), remainder="passthrough"
)
forest = RandomForestClassifier(min_samples_leaf=3, random_state=0)
few = M2mSampler(sampling_strategy=PartialFill(0.05), random_state=0)
pipelines = {
    "no sampler": make_pipeline(impute, one_hot, forest),
    "SMOTE-NC": make_pipeline(impute, SMOTENC(categories, random_state=0), one_hot, forest),
    "M2m": make_pipeline(impute, m2m, one_hot, forest),
    "corrected": make_pipeline(impute, one_hot, PriorCorrectedClassifier(forest)),
    "M2m 5 %, corrected": make_pipeline(impute, few, one_hot, PriorCorrectedClassifier(forest)),
}
folds = RepeatedStratifiedKFold(n_splits=5, n_repeats=2, random_state=0)
results = {
    name: cross_validate(
        pipeline, X, y == "cancelled", cv=folds, scoring=["balanced_accuracy", "average_precision"]
    )
    for name, pipeline in pipelines.items()
}

# %%
# The table: balanced accuracy and average precision, mean ± standard error over ten folds. These data
# are simulated; which pipeline wins on them says little about yours.

scores = {
    name: {key: 100 * result[f"test_{key}"] for key in ("balanced_accuracy", "average_precision")}
    for name, result in results.items()
}
print(f"{'':20}{'balanced accuracy':>20}{'average precision':>20}")
for name, row in scores.items():
    cells = [f"{v.mean():.1f} ± {v.std(ddof=1) / len(v) ** 0.5:.1f}" for v in row.values()]
    print(f"{name:20}" + "".join(f"{cell:>20}" for cell in cells))

# %%
# The same as a picture; bars are standard errors.

figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.4), layout="constrained", sharey=True)
place = np.arange(len(scores))[::-1]
for ax, key, title in zip(
    axes, scores["M2m"], ["balanced accuracy", "average precision"], strict=True
):
    values = np.array([row[key] for row in scores.values()])
    error = values.std(axis=1, ddof=1) / values.shape[1] ** 0.5
    ax.errorbar(values.mean(axis=1), place, xerr=error, fmt="o", ms=8, color="#0072B2")
    ax.set_yticks(place, list(scores), fontsize=11)
    ax.set_xlabel(f"{title}, %", fontsize=11)
    ax.grid(axis="x", alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
figure.suptitle("Cancelled contracts: 5 folds, 2 repeats", fontsize=12)
figure.savefig("mixed_frame.png", dpi=110)
print("The picture is in mixed_frame.png")
