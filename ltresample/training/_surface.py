"""skorch's settings that mean something else here, or nothing: refused by name, with what to do."""

from __future__ import annotations

import inspect
from typing import Any

from skorch.callbacks import LRScheduler, PassthroughScoring
from skorch.callbacks.scoring import ScoringBase

from ltresample.training._schedules import WarmupStepDecay

__all__ = ["check_callbacks", "check_surface", "loader_settings"]

REFUSED = {
    "dataset": "The net makes the data set itself, of rows that it can rebalance. Leave dataset out, "
    "and pass a torch Dataset as X where rows come from elsewhere",
}
_STREAM = "The net draws the rows of each epoch itself, shuffled or class-balanced"
REFUSED_OF_LOADERS = {
    "sampler": f"{_STREAM}. Set rebalance and rebalance_start, or use skorch's NeuralNetClassifier "
    "with the callback DeferredResampling",
    "batch_sampler": f"{_STREAM}. Set batch_size, or use skorch's NeuralNetClassifier with the "
    "callback DeferredResampling",
    "collate_fn": "Rows come as whole batches. Pass augment= for what is to happen to them, or a torch "
    "Dataset as X that gives them as they should be",
    "generator": "All randomness comes from random_state. Leave it out",
}
# settings of a loader that are fine at one value only
ONLY = {
    ("iterator_train", "shuffle"): (True, f"{_STREAM}. Leave it out"),
    ("iterator_valid", "shuffle"): (False, "Predictions come in the order of X. Leave it out"),
    ("iterator_valid", "drop_last"): (False, "Each row has a prediction. Leave it out"),
}


def check_surface(net: Any) -> None:
    """Refuse parameters of skorch's net that this one cannot keep; before any work.

    Raises
    ------
    ValueError
        With the name of the parameter and what to do.
    """
    for name, what in REFUSED.items():
        if name in vars(net):
            raise ValueError(f"{name} is not used here. Got {name}={vars(net)[name]!r}. {what}.")
    for training in (True, False):
        loader_settings(net, training)


def loader_settings(net: Any, training: bool) -> dict[str, Any]:
    """Return the settings of a loader without those that say what happens anyway.

    Raises
    ------
    ValueError
        If one of them cannot be kept, or the loader does not know it.
    """
    prefix = "iterator_train" if training else "iterator_valid"
    settings = net.get_params_for(prefix)
    for name in list(settings):
        value, only = settings[name], ONLY.get((prefix, name))
        what = REFUSED_OF_LOADERS.get(name)
        if only is not None:
            if bool(value) == only[0]:
                settings.pop(name)
                continue
            what = only[1]
        if what is not None and value is not None:
            raise ValueError(f"{prefix}__{name} cannot be kept. Got {value!r}. {what}.")
    loader = net.iterator_train if training else net.iterator_valid
    _check_known(prefix, loader, {*settings, "batch_sampler", "collate_fn"})
    return settings


def _check_known(prefix: str, loader: Any, names: set[str]) -> None:
    name = getattr(loader, "__name__", repr(loader))
    try:
        parameters = inspect.signature(loader).parameters
    except ValueError:
        raise ValueError(
            f"{prefix}={name} cannot be asked what it takes. Pass a "
            "class or function with the parameters batch_sampler and collate_fn, as DataLoader has them."
        ) from None
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    unknown = sorted(names - {*parameters, "batch_size", "drop_last"})
    if unknown:
        raise ValueError(
            f"{prefix}={name} takes no {', '.join(unknown)}. It is "
            "called with the data set, batch_sampler, collate_fn and what is set as "
            f"{prefix}__x. Known are {', '.join(parameters)}."
        )


def check_callbacks(net: Any, has_valid: bool) -> None:
    """Refuse callbacks that could not do what they are for; before training.

    Raises
    ------
    ValueError
        If one watches a validation score where there is no validation part, or sets learning rates
        that `warmup` and `lr_decay` set, too.
    """
    scores = {"valid_loss", "valid_acc", "valid_bacc"}
    for _, callback in net.callbacks_:
        if isinstance(callback, ScoringBase | PassthroughScoring) and not callback.on_train:
            scores.add(
                callback.name if isinstance(callback, PassthroughScoring) else callback.name_
            )
    for name, callback in net.callbacks_:
        monitor = vars(callback).get("monitor")
        watched = isinstance(monitor, str) and monitor.removesuffix("_best") in scores
        if watched and not has_valid:
            raise ValueError(
                f"The callback {name!r} watches {monitor!r}, and there are no rows to validate on. Got "
                f"train_split={net.train_split!r}. Pass train_split=0.2, or "
                f"{type(callback).__name__}(monitor='train_loss')."
            )
        if isinstance(callback, LRScheduler | WarmupStepDecay) and (net.warmup or net.lr_decay):
            raise ValueError(
                f"The callback {name!r} and warmup or lr_decay both set the learning rate. Got "
                f"{type(callback).__name__} beside warmup={net.warmup!r}, lr_decay={net.lr_decay!r}. "
                "Leave one of them out."
            )
