"""Classifiers that need no training time and a data set: what the runner's tests run."""

import time

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from benchmarks.data_sets import TrainTest


def blobs(folder, *, spread=1.0):
    """Three overlapping classes with 60, 30 and 10 samples for training, 20 each for the test."""
    rng = np.random.default_rng(0)
    y_train, y_test = np.repeat(["a", "b", "c"], [60, 30, 10]), np.repeat(["a", "b", "c"], 20)
    centers = {"a": (0, 0), "b": (2, 0), "c": (0, 2)}
    rows = [
        np.array([centers[k] for k in y]) + spread * rng.standard_normal((len(y), 2))
        for y in (y_train, y_test)
    ]
    return TrainTest(rows[0], y_train, rows[1], y_test)


class NoisyMeans(ClassifierMixin, BaseEstimator):
    """Nearest class mean, with noise on the means."""

    def __init__(self, *, noise=1.0, pause=0.0, random_state=None):
        self.noise = noise
        self.pause = pause
        self.random_state = random_state

    def fit(self, X, y):
        time.sleep(self.pause)
        self.classes_ = np.unique(y)
        self.means_ = np.array([X[y == k].mean(0) for k in self.classes_])
        self.drawn_ = np.random.default_rng(self.random_state).standard_normal(self.means_.shape)
        self.means_ = self.means_ + self.noise * self.drawn_
        return self

    def predict(self, X):
        distance = ((X[:, None] - self.means_[None]) ** 2).sum(-1)
        return self.classes_[distance.argmin(1)]


class EpochMeans(NoisyMeans):
    """The same, in epochs with less and less noise, except that the last one has much again."""

    def __init__(self, *, max_epochs=4, noise=1.0, pause=0.0, callbacks=None, random_state=None):
        super().__init__(noise=noise, pause=pause, random_state=random_state)
        self.max_epochs = max_epochs
        self.callbacks = callbacks

    def fit(self, X, y):
        super().fit(X, y)
        clean = self.means_ - self.noise * self.drawn_
        self.history = []
        for epoch in range(self.max_epochs):
            noise = 5.0 if epoch == self.max_epochs - 1 else 1 / (1 + epoch)
            self.means_ = clean + noise * self.drawn_
            self.history.append({"train_loss": 1 / (1 + epoch)})
            for _, callback in self.callbacks or []:
                callback.on_epoch_end(self)
        return self


class Failing(NoisyMeans):
    """Fails."""

    def fit(self, X, y):
        raise ArithmeticError("this one always fails")


def said(source, **options):
    """Return what came."""
    return source, options
