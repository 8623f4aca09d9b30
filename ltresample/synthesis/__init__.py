"""The engine: how a sample is made. PyTorch only; the faces say what is needed and when."""

from ltresample.synthesis._base import Batch, Candidates, LossTerm, Synthesizer
from ltresample.synthesis._descent import (
    Descent,
    descend,
    gaussian_noise,
    reference_noise,
    uniform_noise,
)
from ltresample.synthesis._distribution_matching import DistributionMatching
from ltresample.synthesis._drive import Filled, fill, rewrite_batch
from ltresample.synthesis._fill_pairs import FilledPairs, fill_pairs
from ltresample.synthesis._m2m import M2m, Steps
from ltresample.synthesis._online import OnlineSynthesis
from ltresample.synthesis._open_sampling import (
    LABEL_DISTRIBUTIONS,
    OpenSampling,
    PlainCrossEntropy,
    balancing_size,
    exact_counts,
    label_distribution,
)
from ltresample.synthesis._pair_mixing import MixDraw, MixedRows, PairMixing
from ltresample.synthesis._penalties import (
    ConfusingClass,
    SourceAndConfusingClass,
    most_confusing,
)
from ltresample.synthesis._safa import (
    Augmented,
    SafaDraw,
    SafaSettings,
    augment_tail,
    draw_same_class_pairs,
    head_classes,
)
from ltresample.synthesis._safa_networks import SafaNetworks
from ltresample.synthesis._safa_rows import FittedSafa, Safa, SafaRecipe, fit_safa
from ltresample.synthesis._seeds import (
    DistributionSeeds,
    NearSeeds,
    OpenSetSeeds,
    RandomSeeds,
    SeedDraw,
    Seeding,
)

__all__ = [
    "Augmented",
    "Batch",
    "Candidates",
    "ConfusingClass",
    "Descent",
    "DistributionMatching",
    "DistributionSeeds",
    "Filled",
    "FilledPairs",
    "FittedSafa",
    "LABEL_DISTRIBUTIONS",
    "LossTerm",
    "M2m",
    "MixDraw",
    "MixedRows",
    "NearSeeds",
    "OnlineSynthesis",
    "OpenSampling",
    "OpenSetSeeds",
    "PairMixing",
    "PlainCrossEntropy",
    "RandomSeeds",
    "Safa",
    "SafaDraw",
    "SafaNetworks",
    "SafaRecipe",
    "SafaSettings",
    "SeedDraw",
    "Seeding",
    "SourceAndConfusingClass",
    "Steps",
    "Synthesizer",
    "augment_tail",
    "balancing_size",
    "descend",
    "draw_same_class_pairs",
    "exact_counts",
    "fill",
    "fill_pairs",
    "fit_safa",
    "gaussian_noise",
    "head_classes",
    "label_distribution",
    "most_confusing",
    "reference_noise",
    "rewrite_batch",
    "uniform_noise",
]
