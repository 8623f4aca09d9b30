"""
Comparing methods fairly
========================

Small classes make results noisy, and it is easy to be ahead by chance. This example asks five questions
of a small comparison: how many rows of the rare class are there in a test fold? Is the difference
larger than what folds differ by? Against what was it measured? By which score? And was anything chosen
on the data that the result is shown on?

The data: breast tumours (they come with scikit-learn), cut so that 23 of 380 are malignant.
"""

import matplotlib.pyplot as plt
import numpy as np
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import make_pipeline
from scipy.stats import t
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import RepeatedStratifiedKFold, cross_validate

from ltresample import M2mSampler, PriorCorrectedClassifier, ResampledClassifier, make_long_tailed

X, y = load_breast_cancer(return_X_y=True)
X, y = make_long_tailed(X, 1 - y, imbalance_factor=15, random_state=0)  # 1: malignant
print("rows of each class:", np.bincount(y).tolist())

# %%
# **How many rare rows are in a test fold?** Five folds leave four or five malignant rows in each: one
# of them more or less is ten points of balanced accuracy. Repeat the split, and pair the folds: all
# methods see the same ones.

folds = RepeatedStratifiedKFold(n_splits=5, n_repeats=4, random_state=0)
print(
    "malignant rows in a test fold:", sorted({int(y[test].sum()) for _, test in folds.split(X, y)})
)

# %%
# **Against what?** A comparison needs the cheap rivals, above all the two that make no synthetic row:
# duplicates, and the plain classifier with corrected probabilities. The sampler stands in a pipeline,
# so that test folds stay real.

forest = RandomForestClassifier(n_estimators=50, random_state=0)
models = {
    "plain": forest,
    "class_weight": RandomForestClassifier(50, class_weight="balanced", random_state=0),
    "RandomOverSampler": make_pipeline(RandomOverSampler(random_state=0), forest),
    "SMOTE": make_pipeline(SMOTE(random_state=0), forest),
    "M2m": make_pipeline(M2mSampler(random_state=0), forest),
    "plain, corrected": PriorCorrectedClassifier(forest),
    "ResampledClassifier": ResampledClassifier(forest, random_state=0),
}

# %%
# **By which score?** Balanced accuracy judges decisions, average precision the ranking, and the Brier
# score the probabilities. Balancing improves the first, and often spoils the last: say which one you
# need before you look.

measures = {
    "bACC": "balanced_accuracy",
    "AP": "average_precision",
    "Brier": "neg_brier_score",
}
results = {
    name: cross_validate(model, X, y, cv=folds, scoring=measures) for name, model in models.items()
}
scores = {
    name: {short: 100 * result[f"test_{short}"] for short in measures}
    for name, result in results.items()
}
print(f"{'':20}" + "".join(f"{short:>14}" for short in measures))
for name, row in scores.items():
    cells = [f"{values.mean():.1f} ± {values.std(ddof=1):.1f}" for values in row.values()]
    print(f"{name:20}" + "".join(f"{cell:>14}" for cell in cells))

# %%
# Means and standard deviations over 20 folds (5 folds, 4 repeats), in per cent; higher is better (the
# Brier score has its sign turned). The standard deviations are large. That does not mean that nothing
# can be told apart, because folds that are hard for one method are hard for all.
#
# **Is the difference larger than chance?** Take differences on the same folds. The folds share training
# rows, so that the usual standard error is too small; Nadeau and Bengio's correction (2003) makes the
# interval longer: it adds the ratio of test to training rows, here 1/4, to 1/20.


def difference(name, measure, rival):
    """Return the mean difference to a rival, and half of its 95 % interval."""
    paired = scores[name][measure] - scores[rival][measure]
    error = paired.std(ddof=1) * np.sqrt(1 / len(paired) + 1 / 4)
    return paired.mean(), t.ppf(0.975, len(paired) - 1) * error


rival = "plain, corrected"
print(f"difference to {rival!r}, points of bACC:")
for name in models:
    if name != rival:
        mean, half = difference(name, "bACC", rival)
        print(f"{name:20}{mean:+6.1f} ± {half:4.1f}")

# %%
# With 23 rare rows no difference to the corrected forest is larger than its interval, and that is all
# that can be said. More rows, or more tables, would be needed.
#
# **Was anything chosen here?** If you try ten settings and show the best, the score is that of the best
# of ten draws. Choose inside the training folds (``GridSearchCV`` as the model), or on other data. One
# table is one case, too: :doc:`/user_guide/choosing` has 56.

figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
shown = [name for name in models if name != rival]
place = np.arange(len(shown))[::-1]
for shift, colour, marker, measure in (
    (0.12, "#D55E00", "o", "bACC"),
    (-0.12, "#0072B2", "s", "AP"),
):
    values = np.array([difference(name, measure, rival) for name in shown])
    ax.errorbar(
        values[:, 0], place + shift, xerr=values[:, 1], fmt=marker, ms=8, color=colour,
        label={"bACC": "balanced accuracy", "AP": "average precision"}[measure],
    )  # fmt: skip
ax.axvline(0, color="0.3", lw=1)
ax.set_yticks(place, shown, fontsize=11)
ax.set_xlabel(f"difference to the {rival} forest, points (95 % interval)", fontsize=11)
ax.grid(axis="x", alpha=0.3)
ax.spines[["top", "right"]].set_visible(False)
figure.legend(loc="outside lower center", ncols=2, frameon=False)
figure.savefig("compare_fairly.png", dpi=110)
print("The picture is in compare_fairly.png")
