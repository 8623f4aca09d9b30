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
from ltresample.synthesis._guide import (
    GuideRecipe,
    balanced_rows,
    fit_guide,
    soft_confusion,
)
from ltresample.synthesis._m2m import M2m, Steps
from ltresample.synthesis._penalties import (
    ConfusingClass,
    SourceAndConfusingClass,
    most_confusing,
)
from ltresample.synthesis._seeds import (
    DistributionSeeds,
    NearSeeds,
    OpenSetSeeds,
    RandomSeeds,
    SeedDraw,
    Seeding,
)

__all__ = [
    "ArrayRows",
    "Batch",
    "Candidates",
    "Classifier",
    "ConfusingClass",
    "Descent",
    "DistributionMatching",
    "DistributionSeeds",
    "Filled",
    "GuideRecipe",
    "LossTerm",
    "M2m",
    "NearSeeds",
    "OpenSetSeeds",
    "Pool",
    "RandomSeeds",
    "Rows",
    "SeedDraw",
    "Seeding",
    "SourceAndConfusingClass",
    "Space",
    "Steps",
    "Synthesizer",
    "balanced_rows",
    "descend",
    "fill",
    "fit_guide",
    "gaussian_noise",
    "most_confusing",
    "reference_noise",
    "rewrite_batch",
    "soft_confusion",
    "uniform_noise",
]
