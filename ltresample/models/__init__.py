"""Small networks, and what is done to any network: features, folding, starting values."""

from ltresample.models._features import feature_extractor
from ltresample.models._folding import FoldedModule, fold_batch_norm
from ltresample.models._heads import CosineHead, LinearHead
from ltresample.models._initialize import initialize, uninitialized
from ltresample.models._mlp import MLP
from ltresample.models._mlp_ensemble import MLPEnsemble
from ltresample.models._normalize import Normalize
from ltresample.models._resnet_cifar import (
    ResNet20,
    ResNet32,
    ResNet44,
    ResNet56,
    ResNet110,
    ResNetCifar,
)
from ltresample.models._small_cnn import SmallCNN

__all__ = [
    "MLP",
    "CosineHead",
    "FoldedModule",
    "LinearHead",
    "MLPEnsemble",
    "Normalize",
    "ResNet20",
    "ResNet32",
    "ResNet44",
    "ResNet56",
    "ResNet110",
    "ResNetCifar",
    "SmallCNN",
    "feature_extractor",
    "fold_batch_norm",
    "initialize",
    "uninitialized",
]
