"""Small networks, and what is done to any network: features, folding, starting values."""

from ltresample.models._features import feature_extractor, has_features, head_of
from ltresample.models._folding import FoldedModule, fold_batch_norm
from ltresample.models._heads import CosineHead, LinearHead
from ltresample.models._initialize import initialize, uninitialized
from ltresample.models._mlp import MLP
from ltresample.models._mlp_ensemble import MLPEnsemble
from ltresample.models._normalize import Normalize
from ltresample.models._preact_resnet import PreActResNet18
from ltresample.models._resnet_cifar import (
    ResNet20,
    ResNet32,
    ResNet44,
    ResNet56,
    ResNet110,
    ResNetCifar,
)
from ltresample.models._ride import ExpertMean, RIDEResNet
from ltresample.models._small_cnn import SmallCNN
from ltresample.models._torchvision import (
    ResNet50,
    ResNet152,
    ResNeXt50,
    TorchvisionClassifier,
)

__all__ = [
    "MLP",
    "CosineHead",
    "ExpertMean",
    "FoldedModule",
    "LinearHead",
    "MLPEnsemble",
    "Normalize",
    "PreActResNet18",
    "RIDEResNet",
    "ResNeXt50",
    "ResNet20",
    "ResNet32",
    "ResNet44",
    "ResNet50",
    "ResNet56",
    "ResNet110",
    "ResNet152",
    "ResNetCifar",
    "SmallCNN",
    "TorchvisionClassifier",
    "feature_extractor",
    "has_features",
    "head_of",
    "fold_batch_norm",
    "initialize",
    "uninitialized",
]
