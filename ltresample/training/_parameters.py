"""A skorch net in scikit-learn's manner: parameters and nothing else until it is fitted."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator
from skorch import NeuralNetClassifier
from torch import Tensor, nn

from ltresample._estimators import offers
from ltresample._random import Seed, global_streams, root_seed
from ltresample.training._criterion import class_weight_of

__all__ = ["ParameterNet"]


class ParameterNet(NeuralNetClassifier):
    """Base: a net whose constructor stores its parameters only, with all randomness from one root.

    skorch's own constructor also sets up training state; here that state has defaults on the class
    until ``initialize`` makes it. Everything else is skorch's: callbacks, parameters of components
    such as ``module__hidden``, ``save_params``, ``partial_fit``.
    """

    # training state, until `initialize`
    history_ = None
    initialized_ = False
    virtual_params_: ClassVar[Mapping] = MappingProxyType({})
    seed_: Seed | None = None
    g_: Any = None
    _held: Mapping[str, tuple[str, ...]] = MappingProxyType({})  # layers held in evaluation mode
    accelerator: Any = None  # skorch's mixin for Accelerate sets one

    _criterion_weight: Tensor | None = None  # class weights that the criterion was built with

    # skorch collects these while it initializes; the standard ones are known
    prefixes_: ClassVar[list[str]] = [
        *("iterator_train", "iterator_valid", "callbacks", "compile"),
        *("module", "criterion", "optimizer"),
    ]
    cuda_dependent_attributes_: ClassVar[list[str]] = ["module_", "criterion_", "optimizer_", "g_"]
    _modules: ClassVar[list[str]] = ["module"]
    _criteria: ClassVar[list[str]] = ["criterion"]
    _optimizers: ClassVar[list[str]] = ["optimizer"]

    def _store(self, parameters: dict[str, Any], component_parameters: dict[str, Any]) -> None:
        """Store what the constructor was given, without looking at it."""
        vars(self).update(parameters)
        vars(self).update(component_parameters)

    @classmethod
    def _declared(cls) -> set[str]:
        """Name the parameters of the constructor."""
        names: set[str] = set()
        for step in cls.__mro__:
            if step is ParameterNet:
                break
            if "__init__" in vars(step):
                for p in inspect.signature(step.__init__).parameters.values():
                    if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL):
                        names.add(p.name)
        return names - {"self"}

    # why: skorch's constructor collects these, and this one only stores
    @property
    def _params_to_validate(self) -> set[str]:
        """Name what went into ``**kwargs``; skorch checks its spelling when it initializes."""
        return set(self._get_param_names()) - self._declared()

    # why: what training keeps on the net is no parameter of it
    def _get_param_names(self) -> list[str]:
        return [k for k in vars(self) if not (k.endswith("_") or k.startswith("_"))]

    # why: callbacks exist from `initialize` on only, and parameters do not depend on that
    def get_params(self, deep: bool = True, **kwargs: Any) -> dict[str, Any]:
        """Return the parameters.

        Parameters
        ----------
        deep : bool, default=True
            Also those of estimators among them, such as ``resampler__step_size``.
        **kwargs : dict
            Ignored.

        Returns
        -------
        dict
            Name to value.
        """
        return BaseEstimator.get_params(self, deep=deep)

    # why: the resampler's parameters, and a net that has not been initialized
    def set_params(self, **params: Any) -> ParameterNet:
        """Set parameters, also of components and of the resampler.

        ``module__x`` and ``criterion__x`` build the component anew if the net is initialized, which
        drops the optimizer's momentum; ``resampler__x`` sets a parameter of the resampler.

        Parameters
        ----------
        **params : dict
            Name to value.

        Returns
        -------
        self
            The net.

        Raises
        ------
        ValueError
            If there is no such parameter.
        """
        nested = {k: v for k, v in params.items() if k.startswith("resampler__")}
        own = {k: v for k, v in params.items() if k not in nested}
        if self.initialized_:
            super().set_params(**own)
            if any(_is_rate(name) for name in own):
                for group in self.optimizer_.param_groups:
                    group["initial_lr"] = group["lr"]  # what a schedule multiplies
        else:
            self._set_uninitialized(own)
        if nested:
            self._set_of_resampler({k.removeprefix("resampler__"): v for k, v in nested.items()})
        return self

    def _set_uninitialized(self, params: dict[str, Any]) -> None:
        declared = self._declared()
        for name in params:
            component, _, part = name.partition("__")
            if name not in {*declared, "kwargs"} and not (part and component in self.prefixes_):
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {self}. Valid parameters are: "
                    f"{sorted(declared)!r}, and parameters of components such as module__x, "
                    "optimizer__x, criterion__x, iterator_train__x and resampler__x."
                )
        vars(self).update(params)

    def _set_of_resampler(self, params: dict[str, Any]) -> None:
        if not offers(self.resampler, "set_params"):
            names = ", ".join(f"resampler__{name}" for name in params)
            raise ValueError(
                f"{names} needs a resampler with parameters. Got resampler={self.resampler!r}. "
                "Pass a sampler, for example M2mSampler()."
            )
        self.resampler.set_params(**params)

    @property
    def _works_inside(self) -> bool:
        """Return whether the resampler works inside the network, and never asks it."""
        return self.resampler is not None and self.resampler.inside_f

    # why: in scikit-learn's manner, the parameters that were changed
    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        return BaseEstimator.__repr__(self, N_CHAR_MAX)

    # why: the first step of ``initialize``, also where Accelerate's mixin replaces that method
    def initialize_virtual_params(self) -> None:
        """Forget short names for parameters and the history, and draw the root seed."""
        super().initialize_virtual_params()
        self.seed_ = root_seed(self.random_state)
        self.history_ = None  # copies of this net do not share the new one
        self._held: dict[str, tuple[str, ...]] = {}  # nor this

    # why: a criterion is copied, built from this net's seed, and follows the network's type
    def initialize_criterion(self) -> ParameterNet:
        """Build the criterion, or copy the one that was given, in the network's type."""
        settings = self.get_params_for("criterion")
        if isinstance(settings.get("weight"), np.ndarray | list | tuple):
            settings["weight"] = torch.as_tensor(np.asarray(settings["weight"], dtype=np.float64))
        with global_streams(self.seed_.child("criterion"), self.device):
            criterion = self.initialized_instance(self.criterion, settings)
        self.criterion_ = copy.deepcopy(criterion) if criterion is self.criterion else criterion
        if isinstance(self.criterion_, nn.Module):
            floats = (p for p in self.module_.parameters() if p.is_floating_point())
            like = next(floats, torch.empty(0))
            self.criterion_ = self.criterion_.to(like.dtype)
        self._criterion_weight = class_weight_of(self.criterion_)
        return self

    # why: the momentum of the papers
    def initialize_optimizer(self, triggered_directly: bool | None = None) -> ParameterNet:
        """Build the optimizer; SGD has momentum 0.9 unless ``optimizer__momentum`` says otherwise."""
        args, kwargs = self.get_params_for_optimizer("optimizer", self.get_all_learnable_params())
        if self.optimizer is torch.optim.SGD:
            kwargs.setdefault("momentum", 0.9)
        self.optimizer_ = self.optimizer(*args, **kwargs)
        return self


def _is_rate(name: str) -> bool:
    """Return whether a parameter of the net sets a learning rate of the optimizer."""
    return name == "lr" or (name.startswith("optimizer__") and name.rpartition("__")[2] == "lr")
