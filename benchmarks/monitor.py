"""What is noted after every epoch of a run."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback

__all__ = ["Monitor"]


class Monitor(Callback):
    """Score the validation part after every epoch; keep the test predictions of the best epoch.

    The best epoch is the one with the highest bACC on the validation part, of equals the last. The
    test part has no say.

    Parameters
    ----------
    parts : Parts
        The data.

    Attributes
    ----------
    curve : list of float
        bACC on the validation part after each epoch.
    best_epoch : int
        The best of them.
    best_predictions : ndarray
        Labels given to the test part after that epoch.
    seconds : float
        Time taken by all this.
    """

    def __init__(self, parts: Any):
        self.parts = parts
        self.curve: list[float] = []
        self.best_epoch = -1
        self.best_predictions: np.ndarray | None = None
        self.seconds = 0.0
        self._is_placed = False

    def state(self) -> dict[str, Any]:
        """Return what was noted, as plain values."""
        predictions = None if self.best_predictions is None else self.best_predictions.tolist()
        noted = {"curve": list(self.curve), "best_epoch": self.best_epoch}
        return {**noted, "best_predictions": predictions, "seconds": self.seconds}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what was noted in another process."""
        self.curve, self.best_epoch = list(state["curve"]), state["best_epoch"]
        self.seconds, predictions = state["seconds"], state["best_predictions"]
        self.best_predictions = None if predictions is None else np.array(predictions)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Score one epoch."""
        start = time.perf_counter()
        if not self._is_placed:
            self._is_placed = True
            self.parts = _placed(self.parts, torch.device(getattr(net, "device", None) or "cpu"))
        score = self.parts.validation_score(net)
        if not self.curve or score >= max(self.curve):
            self.best_epoch = len(self.curve)
            self.best_predictions = net.predict(self.parts.X_test)
        self.curve.append(score)
        self.seconds += time.perf_counter() - start


def _placed(parts: Any, device: torch.device) -> Any:
    """Copy the rows that are scored to an accelerator, once for all epochs."""
    if device.type == "cpu":
        return parts
    rows = {name: getattr(parts, name) for name in ("X_validation", "X_test")}
    rows = {name: torch.as_tensor(X).to(device) for name, X in rows.items() if len(X)}
    return parts._replace(**rows)
