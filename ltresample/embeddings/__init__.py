"""Maps from rows to the vectors between which distances are taken."""

from ltresample.embeddings._base import Embedding
from ltresample.embeddings._identity import IdentityEmbedding
from ltresample.embeddings._network import NetworkEmbedding
from ltresample.embeddings._pca import PCAEmbedding
from ltresample.embeddings._random import FixedRandomEmbedding, RandomEmbedding

__all__ = [
    "Embedding",
    "FixedRandomEmbedding",
    "IdentityEmbedding",
    "NetworkEmbedding",
    "PCAEmbedding",
    "RandomEmbedding",
]
