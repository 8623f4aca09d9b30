"""Image classifiers of torchvision, with features and a head of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from ltresample.models._heads import make_head
from ltresample.models._normalize import Normalize

__all__ = ["ResNeXt50", "ResNet50", "ResNet152", "TorchvisionClassifier"]

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, pixels in [0, 1]


class TorchvisionClassifier(nn.Module):
    """An image classifier of torchvision [1]_ by its name, for images in [0, 1].

    The last linear layer is taken off; what entered it are the features, and a head of this package
    stands in its place.

    Parameters
    ----------
    name : str
        A classifier that ``torchvision.models.get_model`` knows, with a last linear layer, such as
        "resnet50", "resnext50_32x4d", "vit_b_16" or "convnext_tiny".
    n_classes : int
        Number of classes K.
    head : {"linear", "cosine"}, default="linear"
        Last layer.
    normalize : nn.Module or None, default=None
        First layer, without parameters. None stands for `Normalize` with the mean and standard
        deviation of ImageNet, `torch.nn.Identity()` for none.
    weights : str or None, default=None
        Trained weights by torchvision's name for them, such as "DEFAULT", which it downloads;
        None: starting weights are drawn as torchvision draws them. The head is always new.
    generator : torch.Generator or None, default=None
        Generator on the CPU for starting weights; None: PyTorch's global generator.
    **settings : dict
        Further parameters of torchvision's model, such as ``image_size=64`` of a ViT, or
        ``aux_logits=False``, which "googlenet" and "inception_v3" need.

    Attributes
    ----------
    normalize, body, head : nn.Module
        The three parts; `head` may be replaced.

    Raises
    ------
    ImportError
        If torchvision is not installed.
    ValueError
        If there is no such classifier or head, or it has no last linear layer.

    References
    ----------
    .. [1] TorchVision maintainers and contributors, "TorchVision: PyTorch's Computer Vision
       library", 2016, https://github.com/pytorch/vision.

    Examples
    --------
    >>> network = TorchvisionClassifier("resnet18", 5, head="cosine")  # doctest: +SKIP
    >>> network(torch.zeros(2, 3, 64, 64)).shape  # doctest: +SKIP
    torch.Size([2, 5])
    >>> network.features(torch.zeros(2, 3, 64, 64)).shape  # doctest: +SKIP
    torch.Size([2, 512])
    """

    def __init__(
        self,
        name: str,
        n_classes: int,
        *,
        head: str = "linear",
        normalize: nn.Module | None = None,
        weights: str | None = None,
        generator: torch.Generator | None = None,
        **settings: Any,
    ):
        super().__init__()
        self.name = name
        self.normalize = Normalize(_MEAN, _STD) if normalize is None else normalize
        with _drawing_from(generator):
            self.body = _classifier(name, weights, settings)
            self.head = make_head(head, _take_off_last_linear(self.body, name), n_classes)

    def features(self, x: Tensor) -> Tensor:
        """Return features (n, d) of images (n, 3, H, W)."""
        return self.body(self.normalize(x))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (n, K) of images (n, 3, H, W)."""
        return self.head(self.features(x))


class ResNet50(TorchvisionClassifier):
    """`TorchvisionClassifier` "resnet50", the network of most ImageNet-LT experiments.

    Parameters
    ----------
    n_classes : int
        Number of classes K.
    **settings : dict
        Further parameters of `TorchvisionClassifier`: `head`, `normalize`, `weights`, `generator` and
        those of torchvision's model.

    Examples
    --------
    >>> ResNet50(365, head="cosine")(torch.zeros(1, 3, 64, 64)).shape  # doctest: +SKIP
    torch.Size([1, 365])
    """

    def __init__(self, n_classes: int, **settings: Any):
        super().__init__("resnet50", n_classes, **settings)


class ResNet152(TorchvisionClassifier):
    """`TorchvisionClassifier` "resnet152", used for Places-LT with trained weights.

    Parameters
    ----------
    n_classes : int
        Number of classes K.
    **settings : dict
        Further parameters of `TorchvisionClassifier`: `head`, `normalize`, `weights`, `generator` and
        those of torchvision's model.

    Examples
    --------
    >>> ResNet152(365, head="cosine")(torch.zeros(1, 3, 64, 64)).shape  # doctest: +SKIP
    torch.Size([1, 365])
    """

    def __init__(self, n_classes: int, **settings: Any):
        super().__init__("resnet152", n_classes, **settings)


class ResNeXt50(TorchvisionClassifier):
    """`TorchvisionClassifier` "resnext50_32x4d".

    Parameters
    ----------
    n_classes : int
        Number of classes K.
    **settings : dict
        Further parameters of `TorchvisionClassifier`: `head`, `normalize`, `weights`, `generator` and
        those of torchvision's model.

    Examples
    --------
    >>> ResNeXt50(365, head="cosine")(torch.zeros(1, 3, 64, 64)).shape  # doctest: +SKIP
    torch.Size([1, 365])
    """

    def __init__(self, n_classes: int, **settings: Any):
        super().__init__("resnext50_32x4d", n_classes, **settings)


@contextmanager
def _drawing_from(generator: torch.Generator | None) -> Iterator[None]:
    """Let what draws from PyTorch's global generator draw from a given one."""
    if generator is None:
        yield
        return
    before = torch.get_rng_state()
    torch.set_rng_state(generator.get_state())
    try:
        yield
        generator.set_state(torch.get_rng_state())
    finally:
        torch.set_rng_state(before)


def _models() -> ModuleType:
    try:
        from torchvision import models
    except ImportError as err:
        raise ImportError(
            "Classifiers of torchvision need that package: install ltresample[image]. "
            "ResNetCifar, PreActResNet18 and SmallCNN work without it."
        ) from err
    return models


def _classifier(name: str, weights: str | None, settings: dict[str, Any]) -> nn.Module:
    models = _models()
    known = models.list_models(module=models)
    if name not in known:
        similar = ", ".join(repr(k) for k in get_close_matches(str(name), known, n=3))
        raise ValueError(
            f"name must be a classifier in torchvision.models.list_models(). Got name={name!r}. "
            f"{f'Similar: {similar}' if similar else 'For example resnet50, resnext50_32x4d'}."
        )
    body = models.get_model(name, weights=weights, **settings)
    if getattr(body, "aux_logits", False):
        raise ValueError(f"{name!r} gives several outputs in training. Pass aux_logits=False.")
    return body


def _take_off_last_linear(body: nn.Module, name: str) -> int:
    """Put an identity in its place and give the number of features."""
    linear = [path for path, part in body.named_modules() if isinstance(part, nn.Linear)]
    if not linear:
        raise ValueError(
            f"The classifier must end in a linear layer. Got {name!r}, which has none. "
            "Pass another name."
        )
    parent, _, own = linear[-1].rpartition(".")
    n_features = body.get_submodule(linear[-1]).in_features
    setattr(body.get_submodule(parent), own, nn.Identity())
    return n_features
