"""What suites on open-set data need: the schedule from open-set to real seeds, and other digits."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from skorch.callbacks import Callback

from ltresample.losses import CrossEntropy
from ltresample.training import DeferredRebalancingClassifier

__all__ = ["OpenThenClosed", "other_digits"]


class BestWeights(Callback):
    """Keep the weights of the epoch that a monitor before it holds for the best.

    Parameters
    ----------
    monitor : Monitor
        Scores the validation part after every epoch.
    """

    def __init__(self, monitor: Any):
        self.monitor = monitor
        self.state: dict[str, Any] | None = None

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Keep the weights if this epoch is the best so far."""
        if self.monitor.best_epoch == len(self.monitor.curve) - 1:
            self.state = copy.deepcopy(net.module_.state_dict())


class OpenThenClosed(DeferredRebalancingClassifier):
    """Train with open-set seeds, take the best epoch, go on with real seeds (OOD -> ID).

    The schedule of "Synthesizing Minority Samples for Long-tailed Classification via Distribution
    Matching": the checkpoint that is best on validation data is trained for 20 epochs more, with
    seeds from the data themselves. The paper does not state the learning rate of these epochs.

    Parameters
    ----------
    module, criterion
        As in `DeferredRebalancingClassifier`.
    second_resampler : sampler
        Of the second part of training.
    second_epochs : int, default=20
        Its length.
    second_lr : float, default=0.001
        Its learning rate.
    **kwargs : dict
        As in `DeferredRebalancingClassifier`; `resampler` is that of the first part.
    """

    def __init__(
        self,
        module=None,
        criterion=CrossEntropy,
        *,
        second_resampler=None,
        second_epochs=20,
        second_lr=1e-3,
        **kwargs,
    ):
        super().__init__(module, criterion, **kwargs)
        self.second_resampler = second_resampler
        self.second_epochs = second_epochs
        self.second_lr = second_lr

    def fit(self, X, y=None, **fit_params):
        """Train both parts.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows.
        y : array-like of shape (n_samples,)
            Labels.
        **fit_params : dict
            As in `DeferredRebalancingClassifier`.

        Returns
        -------
        self
            The fitted net.
        """
        given = dict(vars(self))
        best = BestWeights(dict(self.callbacks)["benchmark"])
        second = {
            "resampler": self.second_resampler,
            "max_epochs": self.second_epochs,
            "lr": self.second_lr,
            "start": 0,
            "warmup": 0,
            "lr_decay": None,
        }
        self.callbacks = [*self.callbacks, ("best", best)]
        try:
            super().fit(X, y, **fit_params)
            self.module_.load_state_dict(best.state)
            vars(self).update(second)
            self.initialize_optimizer()
            self.partial_fit(X, y, **fit_params)
        finally:
            vars(self).update({name: given[name] for name in ("callbacks", *second)})
        return self


def other_digits(X: Any, *, first: int = 7, random_state: int | None = None) -> np.ndarray:
    """Return the images of the digits from `first` on, in the shape and type of training rows `X`."""
    from sklearn.datasets import load_digits

    images, y = load_digits(return_X_y=True)
    return (images[y >= first] / 16).astype(X.dtype).reshape(-1, *X.shape[1:])
