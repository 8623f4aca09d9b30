"""A text: which part of SciPy does a docstring belong to?"""

import importlib

import numpy as np
from imblearn.pipeline import make_pipeline
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score

from ltresample import M2mSampler, PartialFill, PriorCorrectedClassifier

# Public functions of SciPy, labelled by sub-package; code examples are cut off.
parts = "special stats signal linalg ndimage optimize interpolate fft integrate spatial io"
texts, labels = [], []
for part in parts.split():
    module = importlib.import_module(f"scipy.{part}")
    docs = {getattr(module, name).__doc__ for name in module.__all__}
    docs = [doc.partition("Examples\n")[0] for doc in sorted(filter(None, docs))]
    docs = [doc for doc in docs if len(doc) > 300]
    texts, labels = texts + docs, labels + [part] * len(docs)
texts, labels = np.array(texts, dtype=object), np.array(labels)
print(len(texts), "texts; largest class", max(labels.tolist().count(part) for part in set(labels)))

# Sparse matrices go in and come out. A linear guide suits many thousand words.
words = TfidfVectorizer(stop_words="english", sublinear_tf=True, min_df=2)
linear = LogisticRegression(C=10, max_iter=300)
guide = LogisticRegression(C=10, max_iter=300, class_weight="balanced")
m2m = M2mSampler(g=guide, sampling_strategy=PartialFill(0.1), random_state=0)
models = {
    "linear": make_pipeline(words, linear),
    "linear, prior corrected": make_pipeline(words, PriorCorrectedClassifier(linear)),
    "linear, M2m, prior corrected": make_pipeline(words, m2m, PriorCorrectedClassifier(linear)),
}
folds = StratifiedKFold(n_splits=5, shuffle=True, random_state=0)
for name, model in models.items():
    scores = cross_val_score(model, texts, labels, cv=folds, scoring="balanced_accuracy")
    print(f"{name:33}{scores.mean():.2f}")
