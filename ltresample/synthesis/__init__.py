"""The engine: how a sample is made. PyTorch only; the faces say what is needed and when."""

from ltresample.synthesis._base import (
    ArrayRows,
    Batch,
    Candidates,
    LossTerm,
    Pool,
    Rows,
    Space,
    Synthesizer,
)
from ltresample.synthesis._classifier import Classifier
from ltresample.synthesis._descent import (
    Descent,
    descend,
    gaussian_noise,
    reference_noise,
    uniform_noise,
)
from ltresample.synthesis._distribution_matching import DistributionMatching
from ltresample.synthesis._drive import Filled, fill, rewrite_batch
from ltresample.synthesis._feature_rows import FeatureRows, feature_rows
from ltresample.synthesis._fill_pairs import FilledPairs, fill_pairs
from ltresample.synthesis._guide import (
    GuideRecipe,
    balanced_rows,
    fit_guide,
    soft_confusion,
)
from ltresample.synthesis._m2m import M2m, Steps
from ltresample.synthesis._open_sampling import (
    LABEL_DISTRIBUTIONS,
    OpenSampling,
    PlainCrossEntropy,
    balancing_size,
    exact_counts,
    label_distribution,
)
from ltresample.synthesis._open_set_rows import (
    DatasetRows,
    RowStream,
    check_random_access,
    open_set_rows,
)
from ltresample.synthesis._out_of_fold import (
    FoldGuides,
    confusion_of,
    deal_folds,
    fit_fold_guides,
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
    "LABEL_DISTRIBUTIONS",
    "ArrayRows",
    "Augmented",
    "Batch",
    "Candidates",
    "Classifier",
    "ConfusingClass",
    "DatasetRows",
    "Descent",
    "DistributionMatching",
    "DistributionSeeds",
    "FeatureRows",
    "Filled",
    "FilledPairs",
    "FittedSafa",
    "FoldGuides",
    "GuideRecipe",
    "LossTerm",
    "M2m",
    "MixDraw",
    "MixedRows",
    "NearSeeds",
    "OpenSampling",
    "OpenSetSeeds",
    "PairMixing",
    "PlainCrossEntropy",
    "Pool",
    "RandomSeeds",
    "RowStream",
    "Rows",
    "Safa",
    "SafaDraw",
    "SafaNetworks",
    "SafaRecipe",
    "SafaSettings",
    "SeedDraw",
    "Seeding",
    "SourceAndConfusingClass",
    "Space",
    "Steps",
    "Synthesizer",
    "augment_tail",
    "balanced_rows",
    "balancing_size",
    "check_random_access",
    "confusion_of",
    "deal_folds",
    "descend",
    "draw_same_class_pairs",
    "exact_counts",
    "feature_rows",
    "fill",
    "fill_pairs",
    "fit_fold_guides",
    "fit_guide",
    "fit_safa",
    "gaussian_noise",
    "head_classes",
    "label_distribution",
    "most_confusing",
    "open_set_rows",
    "reference_noise",
    "rewrite_batch",
    "soft_confusion",
    "uniform_noise",
]
