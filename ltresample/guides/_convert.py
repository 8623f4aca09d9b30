"""From what users pass as `g` or `f` to networks that the engine can differentiate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ltresample._estimators import offers
from ltresample._torch import evaluating, pick_device, unwrapped
from ltresample.guides._classifier import Classifier
from ltresample.models import CosineHead, FoldedModule, fold_batch_norm

__all__ = [
    "as_classifier",
    "can_be_fitted",
    "classifier_of",
    "differentiable",
    "fitted",
    "is_fitted",
    "network_of",
    "unscaled_cosine_factor",
]

_ALLOWED = (
    "Pass None, an nn.Module that gives logits, a skorch classifier, a linear classifier with "
    "predict_proba (LogisticRegression, SGDClassifier(loss='log_loss'), "
    "LinearDiscriminantAnalysis), an MLPClassifier, a Pipeline of scalers or PCA that ends in one "
    "of these, or a list of them."
)


def fitted(g: Any, X: Any, y: np.ndarray, name: str) -> Any:
    """Return a fitted guide: modules and fitted estimators as they are, others cloned and fitted.

    Raises
    ------
    ValueError
        If fitting fails; the reason is in the message.
    TypeError
        If `g` is none of the kinds that can be used.
    """
    if isinstance(g, list | tuple):
        return [fitted(member, X, y, name) for member in g]
    if isinstance(g, nn.Module):
        return g
    if not offers(g, "fit"):
        raise TypeError(f"{name}={g!r} is not a classifier. {_ALLOWED}")
    if network_of(g) is not None or is_fitted(g):
        return g
    try:
        return clone(g).fit(X, y)
    except Exception as err:
        raise ValueError(
            f"{name} is not fitted, and fitting it failed. Got {name}={g!r} and "
            f"{type(err).__name__}: {err}. Fit it yourself, or pass another one. {_ALLOWED}"
        ) from err


def network_of(g: Any) -> nn.Module | None:
    """Return the network that a guide is, or that a skorch net holds; of other guides None."""
    network = getattr(g, "module_", g)
    return network if isinstance(network, nn.Module) else None


def is_fitted(estimator: Any) -> bool:
    """Return whether an estimator has been fitted."""
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    return True


def can_be_fitted(g: Any) -> bool:
    """Return whether `g` is an estimator that is not fitted, which can be judged out of fold."""
    known = isinstance(g, list | tuple) or network_of(g) is not None
    return not known and offers(g, "fit") and not is_fitted(g)


def as_classifier(
    g: Any, example: Tensor, classes: np.ndarray, name: str, *, device: Any = None
) -> Classifier:
    """Turn a fitted guide into a classifier, and try it on a few rows.

    Parameters
    ----------
    g : module, fitted estimator, or list of these
        What the user gave, or what was fitted.
    example : Tensor of shape (m, ...)
        Rows on which it is tried.
    classes : ndarray of shape (K,)
        Labels in sorted order, which the outputs must follow.
    name : str
        "g" or "f", for messages.
    device : device or None
        Where estimators that are turned into modules live.

    Raises
    ------
    ValueError
        If it was fitted on other classes or another number of features, gives the wrong number of
        outputs, or NaN.
    """
    parts = g if isinstance(g, list | tuple) else [g]
    members = [_member(part, classes, name, example.dtype, device) for part in parts]
    scales = [_scale_of(part, member) for part, member in zip(parts, members, strict=True)]
    _try(Classifier(members, scales=scales), example, classes, name)
    members = [_with_logits(*pair, example) for pair in zip(parts, members, strict=True)]
    return Classifier([_fast(member, example) for member in members], scales=scales)


def classifier_of(module: nn.Module) -> Classifier:
    """Return a network in training as a classifier, its logits scaled as the loss scales them."""
    return Classifier([module], scales=[_scale_of(module, module)])


def _scale_of(g: Any, module: nn.Module) -> float:
    """Return what logits are multiplied by: the factor of the loss, which a network alone lacks."""
    if isinstance(g, FoldedModule) and g.logit_scale is not None:
        return g.logit_scale
    criterion = getattr(g, "criterion_", None)  # of a skorch net
    if criterion is not None and not isinstance(g, nn.Module):
        return float(getattr(unwrapped(criterion), "logit_scale", 1.0))
    return unscaled_cosine_factor(module)


class _Logarithm(nn.Module):
    """Turn probabilities into logits; a softmax of these gives them back."""

    def forward(self, p: Tensor) -> Tensor:
        """Return log p, finite where p is 0."""
        return torch.log(p + torch.finfo(p.dtype).eps)


@torch.no_grad()
def _with_logits(g: Any, module: nn.Module, example: Tensor) -> nn.Module:
    """Return a network that gives logits: one that ends in a softmax is followed by a logarithm."""
    last = module
    while isinstance(last, nn.Sequential) and len(last):
        last = last[-1]
    is_proba = isinstance(last, nn.Softmax)
    if isinstance(unwrapped(getattr(g, "criterion_", None)), nn.NLLLoss):
        # a skorch net with this loss gives probabilities, or their logarithms
        with evaluating(module):
            is_proba = bool((module(example) >= 0).all())
    return nn.Sequential(module, _Logarithm()) if is_proba else module


def _fast(module: nn.Module, example: Tensor) -> nn.Module:
    """Fold batch normalisation into a copy; a network without it is used as it is."""
    if not any(isinstance(part, _BatchNorm) for part in module.modules()):
        return module
    folded = fold_batch_norm(module)
    return folded.to(memory_format=torch.channels_last) if example.dim() == 4 else folded


def _member(g: Any, classes: np.ndarray, name: str, dtype: torch.dtype, device: Any) -> nn.Module:
    if isinstance(g, nn.Module):
        return g
    known = getattr(g, "classes_", classes)
    if len(known) != len(classes) or not np.array_equal(np.asarray(known), classes):
        raise ValueError(
            f"{name} was fitted on other classes than those of y. Got {list(known)!r} for {name} "
            f"and {list(classes)!r} for y. Fit {name} on data with exactly the classes of y."
        )
    module = differentiable(g, name)
    return module.to(device=device, dtype=dtype) if network_of(g) is None else module


def unscaled_cosine_factor(module: nn.Module) -> float:
    """Return 30 for a network with a cosine head that has no scale of its own, else 1."""
    parts = module.modules()
    return 30.0 if any(isinstance(m, CosineHead) and m.scale == 1.0 for m in parts) else 1.0


def _try(classifier: Classifier, example: Tensor, classes: np.ndarray, name: str) -> None:
    if example.is_floating_point() and example.element_size() < 4:
        raise ValueError(
            f"{name} must hold its weights in single or double precision. Got {example.dtype}, in which "
            f"small steps are lost. Pass {name}.float()."
        )
    try:
        with torch.no_grad(), evaluating(*classifier.members):
            for member in classifier.members:
                _check_output(member(example), name)
            log_proba = classifier.log_proba(example)
    except (RuntimeError, ValueError, IndexError, TypeError) as err:
        raise ValueError(
            f"{name} cannot be applied to the rows of X. Got rows of shape "
            f"{tuple(example.shape[1:])} and type {example.dtype}; {name} answered: {err}. "
            f"Pass a {name} that was built for rows of this shape."
        ) from err
    if log_proba.dim() != 2 or log_proba.shape[1] != len(classes):
        raise ValueError(
            f"{name} must give one output per class of y. Got outputs of shape "
            f"{tuple(log_proba.shape)} for {len(example)} rows and {len(classes)} classes. "
            f"Pass a {name} with {len(classes)} outputs, in the order of the sorted labels."
        )
    if not torch.isfinite(log_proba).all():
        raise ValueError(
            f"{name} gives NaN or infinite outputs on rows of X. Look at the weights of {name} and "
            "at the scale of X; a network that was trained on standardised rows needs them here too."
        )


def _check_output(output: Any, name: str) -> None:
    if not isinstance(output, Tensor):
        raise TypeError(
            f"its output must be a tensor of logits, and is a {type(output).__name__}; wrap {name} in a "
            "module whose forward returns the logits alone"
        )


def differentiable(estimator: Any, name: str = "g") -> nn.Module:
    """Turn a fitted estimator into a module with logits, equal to its log-probabilities.

    Parameters
    ----------
    estimator : fitted classifier
        See the message of the error for what can be turned.
    name : str, default="g"
        For messages.

    Returns
    -------
    nn.Module
        ``softmax(module(x)) == estimator.predict_proba(x)``; in double precision.

    Raises
    ------
    TypeError
        If the estimator has no gradient or is not known.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> X, y = load_iris(return_X_y=True)
    >>> g = LogisticRegression(max_iter=500).fit(X, y)
    >>> p = differentiable(g)(torch.from_numpy(X[:1])).softmax(1)
    >>> bool(np.allclose(p.detach(), g.predict_proba(X[:1])))
    True
    """
    if isinstance(estimator, Pipeline):
        *first, last = [step for _, step in estimator.steps if step not in (None, "passthrough")]
        return nn.Sequential(*(_step(step, name) for step in first), differentiable(last, name))
    network = network_of(estimator)
    if network is not None:
        return network
    kinds = {cls.__name__ for cls in type(estimator).__mro__}
    for kind, convert in _CLASSIFIERS.items():
        if kind in kinds:
            return convert(estimator)
    kind = "a classifier without gradients" if is_classifier(estimator) else "not a classifier"
    raise TypeError(f"{name}={estimator!r} is {kind} that could be used here. {_ALLOWED}")


def _linear(weight: np.ndarray, bias: np.ndarray) -> nn.Linear:
    layer = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0], dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.array(weight, dtype=np.float64)))
        layer.bias.copy_(torch.from_numpy(np.broadcast_to(bias, len(weight)).astype(np.float64)))
    return layer


class _Binary(nn.Module):
    """Turn one logit s into the pair (0, s)."""

    def forward(self, s: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(s), s], dim=1)


def _softmax_of(layers: list[nn.Module], n_outputs: int) -> nn.Module:
    return nn.Sequential(*layers, *([_Binary()] if n_outputs == 1 else []))


def _logistic(estimator: Any) -> nn.Module:
    layer = _linear(estimator.coef_, estimator.intercept_)
    return _softmax_of([layer], len(estimator.coef_))


def _one_against_rest(estimator: Any) -> nn.Module:
    if estimator.loss != "log_loss":
        raise TypeError(
            f"An SGDClassifier with loss={estimator.loss!r} has no probabilities to follow. "
            "Fit it with loss='log_loss'."
        )
    layer = _linear(estimator.coef_, estimator.intercept_)
    if len(estimator.coef_) == 1:
        return _softmax_of([layer], 1)
    # probabilities are sigmoids divided by their sum: softmax of their logarithms
    return nn.Sequential(layer, nn.LogSigmoid())


def _perceptron(estimator: Any) -> nn.Module:
    activations = {
        "relu": nn.ReLU,
        "tanh": nn.Tanh,
        "logistic": nn.Sigmoid,
        "identity": nn.Identity,
    }
    layers: list[nn.Module] = []
    for weight, bias in zip(estimator.coefs_, estimator.intercepts_, strict=True):
        layers += [_linear(weight.T, bias), activations[estimator.activation]()]
    return _softmax_of(layers[:-1], estimator.coefs_[-1].shape[1])


_CLASSIFIERS: dict[str, Callable[[Any], nn.Module]] = {
    "LogisticRegression": _logistic,
    "LinearDiscriminantAnalysis": _logistic,
    "SGDClassifier": _one_against_rest,
    "MLPClassifier": _perceptron,
}


class _Affine(nn.Module):
    """Return x * factor + shift."""

    def __init__(self, factor: np.ndarray, shift: np.ndarray):
        super().__init__()
        self.register_buffer("factor", torch.from_numpy(np.array(factor, dtype=np.float64)))
        self.register_buffer("shift", torch.from_numpy(np.array(shift, dtype=np.float64)))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor + self.shift


def _standard_scaler(step: Any) -> nn.Module:
    scale = np.ones(step.n_features_in_) if step.scale_ is None else step.scale_
    mean = np.zeros(step.n_features_in_) if step.mean_ is None else step.mean_
    return _Affine(1 / scale, -(mean if step.with_mean else 0 * mean) / scale)


def _robust_scaler(step: Any) -> nn.Module:
    scale = np.ones(step.n_features_in_) if step.scale_ is None else step.scale_
    center = np.zeros(step.n_features_in_) if step.center_ is None else step.center_
    return _Affine(1 / scale, -center / scale)


def _pca(step: Any) -> nn.Module:
    weight = step.components_
    if step.whiten:
        weight = weight / np.sqrt(step.explained_variance_)[:, None]
    return _linear(weight, -weight @ step.mean_)


_STEPS: dict[str, Callable[[Any], nn.Module]] = {
    "StandardScaler": _standard_scaler,
    "MinMaxScaler": lambda step: _Affine(step.scale_, step.min_),
    "MaxAbsScaler": lambda step: _Affine(1 / step.scale_, 0 * step.scale_),
    "RobustScaler": _robust_scaler,
    "PCA": _pca,
    "TruncatedSVD": lambda step: _linear(step.components_, np.zeros(1)),
}


def _step(step: Any, name: str) -> nn.Module:
    kind = type(step).__name__
    if kind not in _STEPS:
        raise TypeError(
            f"{name} is a Pipeline with a step that cannot be differentiated. Got {step!r}; steps "
            f"before the classifier may be {', '.join(_STEPS)}. {_ALLOWED}"
        )
    return _STEPS[kind](step)


def default_device(g: Any, device: Any, X: Any = None) -> torch.device:
    """Return `device`; if none is named, where the first module in `g` lives, or the tensor X."""
    for part in g if isinstance(g, list | tuple) else [g]:
        network = network_of(part)
        if device is None and network is not None:
            for tensor in [*network.parameters(), *network.buffers()]:
                return tensor.device
    if device is None and isinstance(X, Tensor):
        return X.device
    return pick_device(device)
