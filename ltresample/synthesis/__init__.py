"""The engine: how a sample is made. PyTorch only; the faces say what is needed and when."""

from ltresample.synthesis._descent import (
    Descent,
    descend,
    gaussian_noise,
    reference_noise,
    uniform_noise,
)
from ltresample.synthesis._distribution_matching import DistributionMatching
from ltresample.synthesis._m2m import M2m, Steps
from ltresample.synthesis._method import (
    Batch,
    LossTerm,
    Made,
    Method,
    Moment,
    RealBatch,
    Slots,
    State,
)
from ltresample.synthesis._mix_state import MixDraw, MixSchedule
from ltresample.synthesis._offline import Filled, fill
from ltresample.synthesis._online import Bound, Divide, Step
from ltresample.synthesis._open_labels import (
    LABEL_DISTRIBUTIONS,
    balancing_size,
    exact_counts,
    label_distribution,
)
from ltresample.synthesis._open_sampling import OpenSampling, PlainCrossEntropy
from ltresample.synthesis._pair_mixing import PairMixing
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
    "Bound",
    "ConfusingClass",
    "Descent",
    "DistributionMatching",
    "DistributionSeeds",
    "Divide",
    "Filled",
    "FittedSafa",
    "LABEL_DISTRIBUTIONS",
    "LossTerm",
    "M2m",
    "Made",
    "Method",
    "MixDraw",
    "MixSchedule",
    "Moment",
    "NearSeeds",
    "OpenSampling",
    "OpenSetSeeds",
    "PairMixing",
    "PlainCrossEntropy",
    "RandomSeeds",
    "RealBatch",
    "Safa",
    "SafaDraw",
    "SafaNetworks",
    "SafaRecipe",
    "SafaSettings",
    "SeedDraw",
    "Seeding",
    "Slots",
    "SourceAndConfusingClass",
    "State",
    "Step",
    "Steps",
    "augment_tail",
    "balancing_size",
    "descend",
    "draw_same_class_pairs",
    "exact_counts",
    "fill",
    "fit_safa",
    "gaussian_noise",
    "head_classes",
    "label_distribution",
    "most_confusing",
    "reference_noise",
    "uniform_noise",
]
