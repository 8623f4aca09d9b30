"""DistributionMatchingOversampler."""

from __future__ import annotations

import copy
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from torch import Tensor, nn

from ltresample.class_counts import scaled_count_decay
from ltresample.distances import (
    EnergyDistance,
    ExactTransport,
    MaximumMeanDiscrepancy,
    SinkhornTransport,
)
from ltresample.embeddings import (
    FixedRandomEmbedding,
    IdentityEmbedding,
    NetworkEmbedding,
    PCAEmbedding,
    RandomEmbedding,
)
from ltresample.guides import Standardize, balanced_rows, network_of, soft_confusion
from ltresample.models import FoldedModule, has_features
from ltresample.over_sampling._base import Guides
from ltresample.over_sampling._renamed import renamed
from ltresample.over_sampling._translation import PAPER, TranslationSampler
from ltresample.rows import Pool
from ltresample.synthesis import (
    ConfusingClass,
    DistributionMatching,
    Method,
    SourceAndConfusingClass,
    most_confusing,
)

__all__ = ["DistributionMatchingOversampler"]


class MatchingSettings(NamedTuple):
    """What each "auto" stands for; the values are those of ``preset="scaled"``."""

    step_size: Any = "reach"
    n_steps: int = 10
    min_confidence: float = 0.6
    source_penalty: float = 0.5
    count_decay: Any = scaled_count_decay
    noise_radius: Any = "reach"
    seeds: str = "near"
    rest: bool = True
    synthetic_share: float = 0.5
    g_recipe: str = "random_units"
    distance: Any = "transport"
    embedding: Any = "random"
    matching_weight: float = 0.5


class DistributionMatchingOversampler(TranslationSampler):
    """Over-sample so that new samples are distributed like the real ones of their class (DM).

    To M2m's objective a distance between the synthetic set {x_m} and a real set R_k of the class is
    added, taken in the embedding psi of a randomly drawn network (Eq. 7 of [1]_):

    ``sum_m [CE(g(x_m), k) + lambda_1 f(x_m)_q] + lambda_2 M_k E_psi[Dist_psi(R_k, {x_m})]``

    A sample is accepted if g is confident, L(p), and if in the embedding it lies no farther from R_k
    than R_k from itself on average, L(d); else a duplicate of a random real one takes its place.

    Seeds are samples of larger classes, or open-set samples if `X_aux` is given.

    Parameters
    ----------
    sampling_strategy : float, str, dict or callable, default="auto"
        How many samples each class is to have, in imbalanced-learn's sense; "auto" fills all classes
        to the largest.
    preset : {"auto", "scaled", "paper"}, default="auto"
        What each ``"auto"`` below stands for; `settings_` holds the result. See the Notes. "auto":
        "paper" for images in training, else "scaled".
    g : None, estimator, nn.Module, list of these, or "f", default=None
        The guide: a classifier that judges whether a row belongs to its new class. None fits one
        inside, see `g_recipe`; an estimator that is not fitted is cloned and fitted; a module gives
        logits in the order of the sorted labels; of a list the probabilities are averaged. In
        training it has to be another network than the one that is trained, begun from other weights
        (another ``random_state``): what looks like its class to that network already teaches it
        little. "f", in training only: the network that is trained guides itself.
    X_aux : array-like of shape (n_aux, n_features, ...), Dataset or None, default=None
        Open-set samples, of none of the classes, to start from: an array, memory map, sparse
        matrix, frame, tensor or map-style torch Dataset. For images in [0, 1] unsigned bytes are
        divided by 255.
    distance : {"transport", "exact", "mmd", "energy", "none", "auto"} or callable, default="auto"
        Between the sets: entropic or exact optimal transport on cosine cost, squared distance of
        means, energy distance, none; or ``distance(real, synthetic, real_mask=, synthetic_mask=)``.
    min_confidence : float or "auto", default="auto"
        gamma, in [0, 1]: a row is accepted if g's probability of its new class is at least this.
        Higher: fewer and safer rows, more duplicates in their place. Lower it if few are accepted;
        0 accepts all. "scaled": 0.6.
    synthetic_share : float or "auto", default="auto"
        Share of the new rows for which a synthetic one is tried, in [0, 1]; the others are
        duplicates of real rows. 0: plain duplication. "scaled": 0.5.
    max_rounds : int, default=1
        How often a rejected row is drawn anew before a duplicate takes its place. More rounds cost
        time in proportion and make more of the wanted rows synthetic.
    block_size : int, default=128
        M_k: synthetic samples that are matched as one set. A parameter of the method, unlike
        `batch_size`.
    categorical_features : array-like of int, bool or str, or None, default=None
        Columns that hold categories, by position, mask or name; columns that are one category
        together, such as those of a one-hot encoding, may stand in lists of their own. Categories
        never move: a synthetic row has those of a real row of its class that is near
        its seed, with ``seeds="near"``, else those of its seed. None: they
        are found by type and as groups of one-hot columns; `columns_` says which. An empty list
        switches that off. Columns of text, 'category' or Enum always are categories, and come back
        as they came; inside, each is as many columns of 0 and 1 as it has categories.
    soft_labels : bool, default=False
        True: in `soft_targets_` a synthetic row is of its class with g's probability p of it, and
        of the class that it started from with 1 - p; rows that start from open-set samples have hard
        labels. `ResampledClassifier` uses the soft ones.
    batch_size : int or "auto", default="auto"
        Rows made in one pass. Memory grows with it; the rows do not depend on it.
    device : str, torch.device or None, default=None
        Where to compute. None: where g lives, or X if it is a tensor, else the CPU. "auto": an
        accelerator if there is one.
    n_jobs : int or None, default=None
        Passes made at once by joblib.
    random_state : int, RandomState or None, default=None
        Seed of all random numbers; no global generator is touched.
    verbose : int or bool, default=0
        1: show a progress bar, first of what is fitted, then of the rows that are made. 0: nothing.
        At any value the logger "ltresample" is told what was fitted and how long it took (INFO),
        and settings and acceptance (DEBUG).

    Other Parameters
    ----------------
    f : None, estimator, nn.Module or list of these, default=None
        A second classifier; None leaves its term out.
    embedding : {"random", "fixed", "g", "f", "pca", "identity", "auto"} or object, default="auto"
        psi: a family of random encoders with a new member for every block, one random encoder, the
        features of g or f, a linear projection, the rows themselves; or an object with ``member``,
        for example `NetworkEmbedding` of any frozen network. Random encoders have, for images, the
        architecture of the network in training, or offline that of g, up to its features; for
        tables one hidden layer of 64 units.
    matching_weight : float or "auto", default="auto"
        lambda_2, at least 0: weight of the distance between synthetic and real set. 0 leaves M2m;
        higher values pull the set towards the real one at the cost of g's confidence.
    reg : float, default=0.1
        Entropic strength, for ``distance="transport"``.
    step_size : float, "reach" or "auto", default="auto"
        eta, length of a step in units of the columns' standard deviation (images: pixel units,
        values in [0, 1]). "reach": the distance from the seed to its nearest sample of the target
        class, divided by `n_steps`.
    n_steps : int or "auto", default="auto"
        T, number of gradient steps, each of `step_size`. More steps carry a row farther and cost
        time in proportion; 0 gives the noisy seed. "scaled": 10.
    source_penalty : float or "auto", default="auto"
        lambda, at least 0: weight of f's logit of the class that a row comes from. Higher values push
        rows away from that class. Without `f` it does nothing.
    count_decay : float or "auto", default="auto"
        beta, in [0, 1), in the seed distribution only: the higher, the fewer seeds come from classes
        that are only a little larger than the target class.
    seeds : {"near", "distribution", "random", "auto"}, default="auto"
        Where to start: a near sample of a larger class; a class drawn in proportion to
        ``1 - count_decay^(N_k0 - N_k)``; any sample of another class. Without effect where `X_aux`
        is given.
    noise_radius : float, "reach" or "auto", default="auto"
        Bound on the norm of the noise at the start, in the units of `step_size`; of Gaussian noise
        the root of its mean square, which about half of the rows exceed. "reach": a tenth of the
        distance to the nearest sample of the target class.
    rest : bool or "auto", default="auto"
        Stop moving a row once g reaches `min_confidence`; else all rows take all steps.
    g_recipe : {"random_units", "bagged", "erm", "drs", "auto"}, default="auto"
        How g is fitted when it is None. "bagged": eight small networks on class-balanced bootstraps.
        "random_units": the same, but hidden units are drawn and only the output layers fitted,
        which takes milliseconds; images get random convolutions, rows of more than 256 columns a
        linear classifier if they are few or mostly zeros, else they are treated as by "bagged".
        "erm": one network on the data as they are. "drs": one that is trained on class-balanced batches
        in the last fifth of training.
    confusing : {"none", "only", "add"}, default="none"
        Which logit of f is pushed down: the seed's class; the class that k is most often misclassified
        as by g ("only", and always with open-set seeds); both. How g confuses a class is a mean of
        probabilities, out of fold where g is None, else over 50 real samples of each class.
    target_loss : bool, default=True
        Keep CE(g(x), k) in the objective; False leaves it out (an ablation of [1]_).
    class_test : bool, default=True
        Apply L(d), to within rounding.
    intra : {"literal", "unbiased"}, default="literal"
        "unbiased" leaves self-pairs out of the mean distance within R_k.
    matching_scale : {"row", "literal"}, default="row"
        "literal": Eq. 7 as written, without the factor M_k, so that a row's share of the distance
        shrinks with the size of the set.
    n_real : int, default=64
        Most real samples in R_k.
    confidence_test : {"probability", "loss"}, default="probability"
        "loss": accept where g's cross-entropy is at most `min_confidence`.
    scaled_penalty : bool, default=False
        Take f's logit of the source class times 30 where f has a cosine head without a scale of its
        own. Published code takes it as it is, in [-1, 1], where `source_penalty` is weak.
    noise : {"uniform", "gaussian", "reference"}, default="uniform"
        Kind of noise; "reference" bounds it per channel over the rows of a whole block that have a
        seed, as the published code.
    n_seeds_per_class : int or None, default=None
        Only this many samples of a class, drawn at random once, may be seeds; with
        ``seeds="distribution"``.

    Attributes
    ----------
    guide_score_ : float
        Balanced accuracy of the guide out of fold, as in `M2mSampler`.
    sampling_strategy_, settings_, g_, is_synthetic_, provenance_, acceptance_rate_, shortfall_
        What was wanted, used and made; `M2mSampler` describes each. With `X_aux`, `seed_index` of
        synthetic rows is a row of it.
    soft_targets_ : ndarray of shape (n_samples_new, n_classes)
        Shares of the classes in the label of each row; with ``soft_labels=True`` only.
    columns_ : dict
        Names, or positions, of the columns that were treated as "numbers", "whole_numbers",
        "categories" and "one_hot" (a list for each group). Empty for images.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray
        Names of the columns, where X is a frame.

    See Also
    --------
    M2mSampler : The objective without the distance.

    Notes
    -----
    ``preset="paper"``: step_size 0.1, n_steps 5, min_confidence 0.9, source_penalty 0.5,
    count_decay 0.999, seeds "distribution", noise_radius 0.5, rest False, synthetic_share 1, g_recipe
    "drs", distance "transport", embedding "random", matching_weight 0.5.

    *Many rows.* The guide that is fitted inside learns from a class-balanced draw of 8,192 rows, or 64 a
    class (images: 2,048, or 8 a class; wide sparse rows: 1,024, or 8), `guide_score_` is of 2,048, or
    8 a class, and near seeds are sought among 10,000 samples of larger classes, evenly spaced over X.

    *Fidelity.* The paper states tau as a bound of the loss in one place and of a confidence in
    another; here it is the probability. Its "standard Gaussian" start noise would be far longer than
    the whole descent; here the noise is M2m's. Its squared "energy distance" equals twice its MMD;
    here norms are not squared. The condition of L(d) is the displayed inequality: farther is
    rejected.

    References
    ----------
    .. [1] "Synthesizing Minority Samples for Long-tailed Classification via Distribution Matching".

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from ltresample.over_sampling import DistributionMatchingOversampler
    >>> X, y = make_classification(n_samples=200, weights=[0.9], random_state=0)
    >>> sampler = DistributionMatchingOversampler(random_state=0)
    >>> X_res, y_res = sampler.fit_resample(X, y)
    >>> bool((y_res == 0).sum() == (y_res == 1).sum())
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        **TranslationSampler._parameter_constraints,
        "X_aux": "no_validation",
        "distance": [
            StrOptions({"auto", "transport", "exact", "mmd", "energy", "none"}),
            callable,
        ],
        "embedding": [
            StrOptions({"auto", "random", "fixed", "g", "f", "pca", "identity"}),
            HasMethods("member"),
        ],
        "matching_weight": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "reg": [Interval(Real, 0, None, closed="neither")],
        "confusing": [StrOptions({"none", "only", "add"})],
        "target_loss": ["boolean"],
        "class_test": ["boolean"],
        "intra": [StrOptions({"literal", "unbiased"})],
        "matching_scale": [StrOptions({"row", "literal"})],
        "n_real": [Interval(Integral, 1, None, closed="left")],
        "block_size": [Interval(Integral, 1, None, closed="left")],
    }
    _presets: ClassVar[dict] = {
        "scaled": MatchingSettings(),
        "paper": MatchingSettings(**PAPER._asdict())._replace(
            n_steps=5, count_decay=0.999, g_recipe="drs"
        ),
    }

    @renamed(labels=("soft_labels", {"hard": False, "soft": True}))
    def __init__(
        self,
        *,
        sampling_strategy: float | str | dict[Any, int] | Callable[..., Any] = "auto",
        preset: str = "auto",
        g: Any = None,
        f: Any = None,
        X_aux: Any = None,
        distance: Any = "auto",
        embedding: Any = "auto",
        matching_weight: float | Literal["auto"] = "auto",
        reg: float = 0.1,
        step_size: float | Literal["auto", "reach"] = "auto",
        n_steps: int | Literal["auto"] = "auto",
        min_confidence: float | Literal["auto"] = "auto",
        source_penalty: float | Literal["auto"] = "auto",
        count_decay: float | Literal["auto"] = "auto",
        seeds: Literal["near", "distribution", "random", "auto"] = "auto",
        noise_radius: float | Literal["auto", "reach"] = "auto",
        synthetic_share: float | Literal["auto"] = "auto",
        rest: bool | Literal["auto"] = "auto",
        max_rounds: int = 1,
        g_recipe: Literal["random_units", "bagged", "erm", "drs", "auto"] = "auto",
        confusing: Literal["none", "only", "add"] = "none",
        target_loss: bool = True,
        class_test: bool = True,
        intra: Literal["literal", "unbiased"] = "literal",
        matching_scale: Literal["row", "literal"] = "row",
        n_real: int = 64,
        block_size: int = 128,
        confidence_test: Literal["probability", "loss"] = "probability",
        scaled_penalty: bool = False,
        noise: Literal["uniform", "gaussian", "reference"] = "uniform",
        n_seeds_per_class: int | None = None,
        categorical_features: ArrayLike | None = None,
        soft_labels: bool = False,
        batch_size: int | Literal["auto"] = "auto",
        device: str | torch.device | None = None,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int | bool = 0,
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.preset = preset
        self.g = g
        self.f = f
        self.X_aux = X_aux
        self.distance = distance
        self.embedding = embedding
        self.matching_weight = matching_weight
        self.reg = reg
        self.step_size = step_size
        self.n_steps = n_steps
        self.min_confidence = min_confidence
        self.source_penalty = source_penalty
        self.count_decay = count_decay
        self.seeds = seeds
        self.noise_radius = noise_radius
        self.synthetic_share = synthetic_share
        self.rest = rest
        self.max_rounds = max_rounds
        self.g_recipe = g_recipe
        self.confusing = confusing
        self.target_loss = target_loss
        self.class_test = class_test
        self.intra = intra
        self.matching_scale = matching_scale
        self.n_real = n_real
        self.block_size = block_size
        self.confidence_test = confidence_test
        self.scaled_penalty = scaled_penalty
        self.noise = noise
        self.n_seeds_per_class = n_seeds_per_class
        self.categorical_features = categorical_features
        self.soft_labels = soft_labels
        self.batch_size = batch_size
        self.device = device
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def _aux(self, X_aux: Any) -> Any:
        return self.X_aux if X_aux is None else X_aux

    def _sees_columns(self, settings: Any) -> bool:
        return super()._sees_columns(settings) or not isinstance(settings.embedding, str)

    def method(self, settings: Any, pool: Pool, guides: Guides) -> Method:
        """Build the method; see `BaseSynthesisSampler.method`.

        Parameters
        ----------
        settings : NamedTuple
            Each parameter that can be "auto", resolved.
        pool : Pool
            Real samples.
        guides : Guides
            The classifiers.

        Returns
        -------
        DistributionMatching
            What the engine drives.
        """
        from_aux = pool.aux_x is not None
        if from_aux and self.n_seeds_per_class is not None:
            raise ValueError(
                "n_seeds_per_class limits which real samples may be seeds, and with X_aux none is. "
                f"Got n_seeds_per_class={self.n_seeds_per_class!r}. Pass a part of X_aux "
                "instead."
            )
        g = guides.g
        return DistributionMatching(
            self._translation(settings, g, from_aux=from_aux, count_decay=None),
            distance=self._distance(settings.distance),
            embedding=self._embedding(settings.embedding, pool, guides),
            matching_weight=settings.matching_weight,
            target_loss=self.target_loss,
            class_test=self.class_test,
            unbiased=self.intra == "unbiased",
            literal_scale=self.matching_scale == "literal",
            penalty=self._penalty(pool, guides, from_aux=from_aux),
            n_real=self.n_real,
            block_size=self.block_size,
        )

    def _distance(self, distance: Any) -> Any:
        named = {
            "transport": lambda: SinkhornTransport(reg=self.reg),
            "exact": ExactTransport,
            "mmd": MaximumMeanDiscrepancy,
            "energy": EnergyDistance,
            "none": lambda: None,
        }
        return distance if callable(distance) else named[distance]()

    def _embedding(self, embedding: Any, pool: Pool, guides: Guides) -> Any:
        if not isinstance(embedding, str):
            return embedding
        named = {
            "random": lambda: RandomEmbedding(_encoder(pool, guides), width=64),
            "fixed": lambda: FixedRandomEmbedding(_encoder(pool, guides), width=64),
            "identity": IdentityEmbedding,
            "pca": lambda: PCAEmbedding().fit(
                pool.space.standardized(pool.x.take(torch.arange(len(pool.labels))))
            ),
            "g": lambda: NetworkEmbedding(guides.g.members[0]),
            "f": lambda: self._network_of_f(guides),
        }
        return named[embedding]()

    def _network_of_f(self, guides: Guides) -> NetworkEmbedding:
        module = self.f if guides.live is None else guides.live.members[0]
        if not isinstance(module, nn.Module):
            raise ValueError(
                f"embedding='f' needs a network. Got f={module!r}. Pass an nn.Module, or another "
                "embedding."
            )
        return NetworkEmbedding(module)

    def _penalty(self, pool: Pool, guides: Guides, *, from_aux: bool) -> Any:
        without_f = self.f is None and guides.live is None
        if without_f or (self.confusing == "none" and not from_aux):
            return None
        if isinstance(self.g, str):
            raise ValueError(
                "The class that is confused with each class comes from a trained guide, and is looked "
                f"for before training begins. Got g={self.g!r}, the network in training, with "
                f"{'open-set seeds' if from_aux else f'confusing={self.confusing!r}'}. Pass a trained "
                "network, or leave g out."
            )
        confusing = most_confusing(self._affinity(pool, guides), pool.class_counts)
        both = self.confusing == "add" and not from_aux
        return SourceAndConfusingClass(confusing) if both else ConfusingClass(confusing)

    def _affinity(self, pool: Pool, guides: Guides) -> Tensor:
        """Return what each class is misclassified as; out of fold where g was fitted inside."""
        seed = guides.seed.child("confusion")
        if self.g is None:
            return guides.out_of_fold(seed, soft=True)
        return soft_confusion(guides.g, pool, balanced_rows(pool, seed))


def _encoder(pool: Pool, guides: Guides) -> nn.Module | None:
    """Return the network whose architecture psi has: of images, f's in training, else g's.

    None, the usual one, for tables, and where the network has no features that could be found.
    """
    if len(pool.x.row_shape) < 2:
        return None
    if guides.live is not None:
        (network,) = guides.live.members
        network = network.live if isinstance(network, FoldedModule) else network
    else:
        fitted = guides.fitted[0] if isinstance(guides.fitted, list | tuple) else guides.fitted
        network = network_of(fitted)
    # psi sees rows in standard units
    if isinstance(network, nn.Sequential) and isinstance(network[0], Standardize):
        network = network[1] if len(network) == 2 else network[1:]
    known = network is not None and has_features(network)
    return copy.deepcopy(network) if known else None
