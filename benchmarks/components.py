"""From names in a suite file to classes and objects.

In a suite file ``{ use = "LDAMLoss" }`` stands for the class itself,
``{ make = "M2mSampler", n_steps = 10 }`` for an object of it, and
``{ from_train = "shuffle_patches", n_samples = 500 }`` for what a function makes of the training
rows, ``{ from_folder = "cifar100_images", size = 16 }`` for what one reads from the folder of the
data files. Other classes are named ``"package.module:Name"``.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = ["COMPONENTS", "NUMBER", "build", "check_names", "find", "unknown"]

NUMBER = re.compile(r"\d+(\.\d+)?")

_HOMES = {
    "ltresample.training": ("SAFA", "DeferredRebalancingClassifier", "RandomCropFlip"),
    "ltresample.over_sampling": (
        "DistributionMatchingOversampler",
        "M2mSampler",
        "OTMixSampler",
        "OpenSampler",
        "SAFASampler",
    ),
    "ltresample.datasets": (
        "make_blob_noise",
        "make_gaussian_noise",
        "make_rademacher_noise",
        "permute_features",
        "shuffle_patches",
        "shuffle_words",
    ),
    "benchmarks.data_sets": ("cifar10_images", "cifar100_images", "grey_photographs"),
    "benchmarks.open_set": ("OpenThenClosed", "other_digits"),
    "ltresample.mixing": ("ColumnSwap", "CutMix", "Mixup", "SaliencyMix"),
    "ltresample.pairing": ("ConfusionPairing", "RandomPairing", "TransportPairing"),
    "ltresample.losses": (
        "BalancedSoftmaxLoss",
        "ClassBalancedLoss",
        "CrossEntropy",
        "FocalLoss",
        "InfluenceBalancedLoss",
        "LADELoss",
        "LDAMLoss",
        "RIDELoss",
    ),
    "ltresample.models": (
        "MLP",
        "PreActResNet18",
        "RIDEResNet",
        "ResNet152",
        "ResNet32",
        "ResNet50",
        "ResNetCifar",
        "SmallCNN",
    ),
    "ltresample.prior_correction": ("PriorCorrectedClassifier",),
    "imblearn.over_sampling": ("ADASYN", "BorderlineSMOTE", "RandomOverSampler", "SMOTE"),
    "sklearn.linear_model": ("LogisticRegression",),
    "sklearn.svm": ("LinearSVC",),
    "torch.optim": ("SGD", "Adam", "AdamW"),
}
COMPONENTS = {name: f"{home}:{name}" for home, names in _HOMES.items() for name in names}


def unknown(kind: str, name: Any, known: Iterable[str]) -> ValueError:
    """Return the error for a name that does not exist, with those that do.

    Parameters
    ----------
    kind : str
        What it names, for example ``"suite"``.
    name : object
        What came.
    known : iterable of str
        The names that exist.

    Examples
    --------
    >>> print(unknown("suite", "smok", ["reuters", "smoke"]))
    There is no suite 'smok'. Did you mean 'smoke'? There are: reuters, smoke.
    """
    known = sorted(known)
    close = get_close_matches(str(name), known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return ValueError(f"There is no {kind} {name!r}.{hint} There are: {', '.join(known)}.")


def find(name: str, *, kind: str = "component", known: dict[str, str] | None = None) -> Any:
    """Return the object that a name stands for.

    Parameters
    ----------
    name : str
        One of `known`, or ``"package.module:Name"``.
    kind : str, default="component"
        For the message.
    known : dict or None, default=None
        Name to ``"package.module:Name"``; None stands for `COMPONENTS`.

    Raises
    ------
    ValueError
        If there is no such name.

    Examples
    --------
    >>> find("SMOTE").__name__
    'SMOTE'
    >>> find("collections:Counter")
    <class 'collections.Counter'>
    """
    known = COMPONENTS if known is None else known
    place = known.get(name, name)
    home, colon, attribute = place.partition(":")
    if not colon:
        raise unknown(kind, name, [*known, "package.module:Name"])
    return getattr(import_module(home), attribute)


def check_names(spec: Any) -> None:
    """Check every name in a value of a suite file, without loading anything.

    Parameters
    ----------
    spec : object
        A table, a list or a plain value.

    Raises
    ------
    ValueError
        If a name does not exist.
    """
    if isinstance(spec, dict):
        for name in (
            spec.get("make"),
            spec.get("use"),
            *map(spec.get, ("from_train", "from_folder")),
        ):
            if name is not None and name not in COMPONENTS and ":" not in name:
                raise unknown("component", name, [*COMPONENTS, "package.module:Name"])
    parts = spec.values() if isinstance(spec, dict) else spec if isinstance(spec, list) else ()
    for part in parts:
        check_names(part)


def build(
    spec: Any,
    *,
    guide: Callable[[str], Any],
    seed: Callable[[str], int],
    train: Any = None,
    folder: Path | None = None,
) -> Any:
    """Turn a value of a suite file into what it stands for, inner tables first.

    Parameters
    ----------
    spec : object
        A plain value, a list, or a table with ``use``, ``make``, ``guide``, ``from_train`` or
        ``from_folder``; other tables are given as dictionaries, with keys that are numbers turned
        into numbers.
    guide : callable
        Gives the fitted guide of a name.
    seed : callable
        Gives the `random_state` for the object that stands under a key.
    train : object
        Training rows, for ``from_train``.
    folder : Path or None
        Where the data files are, for ``from_folder``.

    Returns
    -------
    object
        What the value stands for.
    """

    def built(value: Any, path: str) -> Any:
        if isinstance(value, list):
            return [built(part, f"{path}[{i}]") for i, part in enumerate(value)]
        if not isinstance(value, dict):
            return value
        if "use" in value:
            return find(value["use"])
        if "guide" in value:
            return guide(value["guide"], path)
        if "from_train" in value:
            options = {name: part for name, part in value.items() if name != "from_train"}
            return find(value["from_train"])(train, random_state=seed(path), **options)
        if "from_folder" in value:
            options = {name: part for name, part in value.items() if name != "from_folder"}
            return find(value["from_folder"])(folder, **options)
        parts = {name: built(part, f"{path}.{name}") for name, part in value.items()}
        return _made(parts, seed(path)) if "make" in value else _with_numbers(parts)

    return built(spec, "")


def _with_numbers(table: dict[str, Any]) -> dict[Any, Any]:
    """Turn keys such as "160" and "0.8" into numbers: keys of TOML are always text."""
    return {(ast.literal_eval(k) if NUMBER.fullmatch(k) else k): v for k, v in table.items()}


def _made(parts: dict[str, Any], seed: int) -> Any:
    maker = find(parts.pop("make"))
    takes_seed = "random_state" in inspect.signature(maker).parameters
    defaults = {"random_state": seed} if takes_seed else {}
    return maker(**{**defaults, **parts})
