"""
Quickstart: eight ways to treat long-tailed digits
==================================================

Handwritten digits (they come with scikit-learn) are cut to a long tail: the digit 0 keeps 120 training
images, the digit 9 only six. A random forest is fitted in eight ways: on the data as they are, with
class weights, after each of four samplers, and twice with *corrected* probabilities, that is, divided
by the class shares of the data that the forest was fitted on, so that it predicts as if all digits were
equally frequent. The last way adds a few synthetic images before the correction; it is what
:class:`~ltresample.over_sampling.ResampledClassifier` does when it is given only a classifier.

Forests gain from new rows. A linear model does not: exchange the forest for a logistic regression, and
``class_weight="balanced"`` is as good as any sampler (see :doc:`/user_guide/choosing`).
"""

import matplotlib.pyplot as plt
import numpy as np
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import make_pipeline
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

from ltresample import (
    DistributionMatchingOversampler,
    LongTailReport,
    M2mSampler,
    PriorCorrectedClassifier,
    ResampledClassifier,
    make_long_tailed,
)

# %%
# The data: split first, then cut the training part to a long tail. The test part stays balanced.

images, digits = load_digits(return_X_y=True)
images = images / 16.0  # pixels in [0, 1]


def long_tailed_split(seed):
    """Return training data with an imbalance factor of 20, and balanced test data."""
    X, X_test, y, y_test = train_test_split(
        images, digits, test_size=0.3, stratify=digits, random_state=seed
    )
    X, y = make_long_tailed(X, y, imbalance_factor=20, n_max=120, random_state=seed)
    return X, y, X_test, y_test


# %%
# Eight ways. Each sampler stands inside a pipeline, so that only training data are resampled; the two
# samplers of this package (M2m and DM, Distribution Matching) need no settings.


def make_models(seed):
    """Return a model for each way, by name."""
    forest = RandomForestClassifier(random_state=seed)
    return {
        "no sampling": forest,
        "class_weight": RandomForestClassifier(class_weight="balanced", random_state=seed),
        "RandomOverSampler": make_pipeline(RandomOverSampler(random_state=seed), forest),
        "SMOTE": make_pipeline(SMOTE(random_state=seed), forest),
        "M2m": make_pipeline(M2mSampler(random_state=seed), forest),
        "DM": make_pipeline(DistributionMatchingOversampler(random_state=seed), forest),
        "corrected prior": PriorCorrectedClassifier(forest),
        "M2m, corrected": ResampledClassifier(forest, random_state=seed),
    }


# %%
# Five seeds: another split, another tail, other random numbers.

reports = {}
for seed in range(5):
    X, y, X_test, y_test = long_tailed_split(seed)
    for name, model in make_models(seed).items():
        report = LongTailReport.from_estimator(model.fit(X, y), X_test, y_test, y_train=y)
        reports.setdefault(name, []).append(report.to_dict())

# %%
# The table: mean and standard deviation over the seeds, in per cent. bACC is balanced accuracy, the
# mean recall of the ten digits, and GM the geometric mean of their recalls. The other columns are the
# mean recall of digits with more than 100 training images (many), 20 to 100 (medium) and fewer than 20
# (few).

columns = {
    "bACC": "balanced_accuracy",
    "GM": "geometric_mean",
    "many": "many",
    "medium": "medium",
    "few": "few",
}
scores = {
    name: {short: 100 * np.array([run[key] for run in runs]) for short, key in columns.items()}
    for name, runs in reports.items()
}
print(f"{'':18}" + "".join(f"{column:>14}" for column in columns))
for name, row in scores.items():
    cells = [f"{values.mean():8.1f} ± {values.std(ddof=1):3.1f}" for values in row.values()]
    print(f"{name:18}" + "".join(f"{cell:>14}" for cell in cells))

# %%
# The picture: frequent digits are recognised whatever one does; the ways differ in the rare ones. Bars
# are standard deviations over the seeds.

figure, ax = plt.subplots(figsize=(7.2, 4.4), layout="constrained")
place = np.arange(len(scores))[::-1]
styles = {"few": ("#D55E00", "o"), "medium": ("#0072B2", "s"), "many": ("#444444", "^")}
titles = {"few": "fewer than 20 images", "medium": "20 to 100", "many": "more than 100"}
for shift, (group, (colour, marker)) in zip((0.15, 0, -0.15), styles.items(), strict=True):
    values = np.array([row[group] for row in scores.values()])
    mean, spread = values.mean(axis=1), values.std(axis=1, ddof=1)
    ax.errorbar(
        mean, place + shift, xerr=spread, fmt=marker, ms=8, color=colour, label=titles[group]
    )
ax.set_yticks(place, list(scores), fontsize=12)
ax.set_xlabel("recall on balanced test images, %", fontsize=12)
ax.set_title("Random forest on long-tailed digits", fontsize=13)
ax.grid(axis="x", alpha=0.3)
ax.spines[["top", "right"]].set_visible(False)
figure.legend(title="digits with", loc="outside lower center", ncols=3, frameon=False)
figure.savefig("quickstart.png", dpi=120)
print("The picture is in quickstart.png")
