"""
Quickstart: eight ways to treat long-tailed digits
==================================================

Handwritten digits (shipped with scikit-learn) are cut to a long tail: some digits keep 120 training
images, others six. A random forest is then fitted on the data as they are, with class weights, and
after four samplers. Every sampler stands inside a :class:`imblearn.pipeline.Pipeline`, so that only
training data are resampled. The last two ways also change the decision: the forest's probabilities are
divided by the class shares of the data that it was fitted on, once without a sampler, once after a few
synthetic rows (the recipe of :class:`~ltresample.over_sampling.ResampledClassifier`).

Trees profit from new rows. A linear model does not: exchange the forest for a logistic regression and
``class_weight="balanced"`` is as good as any sampler (see :doc:`/user_guide/choosing`).
"""

import numpy as np
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import make_pipeline
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

from ltresample import DistributionMatchingOversampler, LongTailReport, M2mSampler, make_long_tailed
from ltresample.over_sampling import ResampledClassifier
from ltresample.plotting import RecallDisplay
from ltresample.prior_correction import PriorCorrectedClassifier

# %%
# The data: a split first, then a long tail in the training part only. The test part stays balanced.

images, digits = load_digits(return_X_y=True)
images = images / 16.0  # pixels in [0, 1]


def long_tailed_split(seed):
    """Give training data with an imbalance factor of 20, and balanced test data."""
    X, X_test, y, y_test = train_test_split(
        images, digits, test_size=0.3, stratify=digits, random_state=seed
    )
    X, y = make_long_tailed(X, y, imbalance_factor=20, n_max=120, random_state=seed)
    return X, y, X_test, y_test


# %%
# Eight ways. The two samplers of this package need no settings: a guide is fitted inside.


def pipelines(seed):
    """Give a name and a pipeline for each way."""
    plain = RandomForestClassifier(random_state=seed)
    return {
        "no sampling": plain,
        "class_weight": RandomForestClassifier(class_weight="balanced", random_state=seed),
        "RandomOverSampler": make_pipeline(RandomOverSampler(random_state=seed), plain),
        "SMOTE": make_pipeline(SMOTE(random_state=seed), plain),
        "M2m": make_pipeline(M2mSampler(random_state=seed), plain),
        "DM": make_pipeline(DistributionMatchingOversampler(random_state=seed), plain),
        "corrected prior": PriorCorrectedClassifier(plain),
        "M2m, corrected": ResampledClassifier(plain, random_state=seed),
    }


# %%
# Five seeds: another split, another tail, other random numbers.

reports = {}
for seed in range(5):
    X, y, X_test, y_test = long_tailed_split(seed)
    for name, pipeline in pipelines(seed).items():
        report = LongTailReport.from_estimator(pipeline.fit(X, y), X_test, y_test, y_train=y)
        reports.setdefault(name, []).append(report)

# %%
# The table. Many: digits with more than 100 training images; medium: 20 to 100; few: under 20.

columns = {
    "bACC": "balanced_accuracy",
    "GM": "geometric_mean",
    "many": "many",
    "medium": "medium",
    "few": "few",
}
print(f"{'':18}" + "".join(f"{column:>14}" for column in columns))
for name, runs in reports.items():
    cells = []
    for column in columns.values():
        values = 100 * np.array([run.to_dict()[column] for run in runs])
        cells.append(f"{values.mean():8.1f} ± {values.std(ddof=1):3.1f}")
    print(f"{name:18}" + "".join(f"{cell:>14}" for cell in cells))

# %%
# Recall of each digit, by the number of its training images (last seed).

display = RecallDisplay.from_reports({name: runs[-1] for name, runs in reports.items()}).plot()
display.figure_.savefig("quickstart.png", dpi=120, bbox_inches="tight")
print("The picture is in quickstart.png")
