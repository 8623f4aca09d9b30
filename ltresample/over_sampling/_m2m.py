"""M2mSampler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils._param_validation import StrOptions

from ltresample.over_sampling._base import Guides
from ltresample.over_sampling._renamed import renamed
from ltresample.over_sampling._translation import PAPER, TranslationSampler, TranslationSettings
from ltresample.rows import Pool
from ltresample.synthesis import Method

__all__ = ["M2mSampler"]


class M2mSampler(TranslationSampler):
    """Over-sample by translating samples of larger classes into smaller ones (M2m).

    A new sample of class k starts at a real sample of a larger class k_0 and descends

    ``CE(g(x), k) + lambda * f(x)_{k_0}``

    by normalised gradient steps, where g is a fixed classifier and f, if given, a second one
    (Eq. 2 of [1]_). It is accepted if g's probability of k reaches `min_confidence`, and with
    probability ``1 - count_decay^(N_k0 - N_k)`` (Eq. 3); where a sample is rejected a duplicate of a
    random real one takes its place, so that counts are exact.

    The papers' settings are made for 32 x 32 images and thousands of samples a class
    (``preset="paper"``). By default, but for images in training, lengths follow the data
    (``preset="scaled"``): a sample starts from a neighbour of the target class and may travel as far
    as its nearest target sample, it stops moving once g reaches `min_confidence`, and half of the
    new rows are duplicates.

    Parameters
    ----------
    sampling_strategy : float, str, dict or callable, default="auto"
        How many samples each class is to have, in imbalanced-learn's sense; "auto" fills all classes
        to the largest.
    preset : {"auto", "scaled", "paper"}, default="auto"
        What each ``"auto"`` below stands for; `settings_` holds the result. See the Notes. "auto":
        "paper" for images in training, for which the papers' settings are made, else "scaled".
    g : None, estimator, nn.Module, list of these, or "f", default=None
        The guide: a classifier that judges whether a row belongs to its new class. None fits one
        inside, see `g_recipe`; an estimator that is not fitted is cloned and fitted; a module gives
        logits in the order of the sorted labels; of a list the probabilities are averaged. In
        training it has to be another network than the one that is trained, begun from other weights
        (another ``random_state``): what looks like its class to that network already teaches it
        little. "f", in training only: the network that is trained guides itself ("M2m-Self" of [1]_).
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
        of the class that it started from with 1 - p. This hands on what g knows (distillation),
        beside where the rows lie. The labels that `fit_resample` returns stay hard;
        `ResampledClassifier` uses the soft ones. In training labels are hard.
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
        A second classifier, whose logit of the source class is pushed down. None leaves the term
        out (the ablation "lambda = 0" of [1]_); g never takes its place.
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
        beta, in [0, 1), in the seed distribution and in the Bernoulli test. "auto" scales with the
        class counts, see `ltresample.class_counts`.
    seeds : {"near", "distribution", "random", "auto"}, default="auto"
        Where to start: a near sample of a larger class; a class drawn in proportion to
        ``1 - count_decay^(N_k0 - N_k)`` as in [1]_; any sample of another class.
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
    count_test : bool, default=True
        False leaves the Bernoulli test out ("No-Reject" of [1]_).
    confidence_test : {"probability", "loss"}, default="probability"
        "loss": accept where the cross-entropy is at most `min_confidence`, as the text of [1]_ has
        it; the published code tests the probability.
    scaled_penalty : bool, default=False
        Take f's logit of the source class times 30 where f has a cosine head without a scale of its
        own. Published code takes it as it is, in [-1, 1], where `source_penalty` is weak.
    insert : {"synthetic", "seed", "random_label"}, default="synthetic"
        "seed" gives the unmoved seeds of accepted rows ("M2m-Clean" of [1]_). "random_label", in
        training only: accepted rows are labelled with any class but the target's and the seed's
        ("M2m-RS-Rand").
    noise : {"uniform", "gaussian", "reference"}, default="uniform"
        Kind of noise; "reference" bounds it per channel over the rows of a whole block that have a
        seed, as the published code.
    n_seeds_per_class : int or None, default=None
        Only this many samples of a class, drawn at random once, may be seeds; with
        ``seeds="distribution"``.

    Attributes
    ----------
    sampling_strategy_ : dict
        Class label to number of rows added.
    settings_ : dict
        What each parameter that can be "auto" stood for.
    g_ : estimator, nn.Module or list
        The fitted guide.
    guide_score_ : float
        Balanced accuracy of the guide on rows that it has not seen (out of fold, a mean over
        several dealings where the guide is fitted inside), in [0, 1]; chance is 1 / number of
        classes with two samples or more. At chance the sampler warns: what such a guide accepts
        means nothing. It does not change the rows. An estimator that is not fitted is fitted four
        times more for it. For a `g` that comes fitted only rows of X are there to judge by; if it
        was trained on them this is an upper bound, and where that is so cannot be known here.
    is_synthetic_ : ndarray of bool, shape (n_samples_new,)
        True for synthetic rows; False for real ones and their duplicates.
    provenance_ : structured ndarray, shape (n_samples_new,)
        For each row: `origin` ("original", "synthetic", "duplicate"), `seed_index` (the row of X
        that it started from or copies), `from_aux`, `source` (class index of that row), `round`,
        `confidence` (g's probability of the label).
    acceptance_rate_ : dict
        Class label to accepted / tried synthetic rows.
    shortfall_ : dict
        Class label to synthetic rows that duplicates replaced.
    soft_targets_ : ndarray of shape (n_samples_new, n_classes)
        Labels as shares of classes; with ``soft_labels=True`` only.
    columns_ : dict
        Names, or positions, of the columns that were treated as "numbers", "whole_numbers",
        "categories" and "one_hot" (a list for each group). Empty for images.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray
        Names of the columns, where X is a frame.

    See Also
    --------
    DistributionMatchingOversampler : Adds a distance between real and synthetic sets.

    Notes
    -----
    ``preset="paper"``: step_size 0.1, n_steps 10, min_confidence 0.9, source_penalty 0.5, count_decay
    from {0.9, 0.99, 0.999}, seeds "distribution", noise_radius 0.5, rest False, synthetic_share 1,
    g_recipe "erm".

    *Many rows.* The guide that is fitted inside learns from a class-balanced draw of 8,192 rows, or 64 a
    class (images: 2,048, or 8 a class; wide sparse rows: 1,024, or 8), `guide_score_` is of 2,048, or
    8 a class, and near seeds are sought among 10,000 samples of larger classes, evenly spaced over X.

    *Fidelity.* Paper: the threshold is on the loss, the noise is "small". Published code: on the
    probability; noise is bounded per channel over the batch. Here: probability, and noise of norm
    at most `noise_radius` per sample; the other readings are options.

    References
    ----------
    .. [1] J. Kim, J. Jeong, J. Shin, "M2m: Imbalanced Classification via Major-to-minor
       Translation", CVPR 2020, arXiv:2004.00431.

    Examples
    --------
    >>> from collections import Counter
    >>> from sklearn.datasets import make_classification
    >>> from ltresample.over_sampling import M2mSampler
    >>> X, y = make_classification(n_samples=200, weights=[0.9], random_state=0)
    >>> X_res, y_res = M2mSampler(random_state=0).fit_resample(X, y)
    >>> Counter(y_res.tolist())[0] == Counter(y_res.tolist())[1]
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        **TranslationSampler._parameter_constraints,
        "count_test": ["boolean"],
        "insert": [StrOptions({"synthetic", "seed", "random_label"})],
    }
    _presets: ClassVar[dict] = {"scaled": TranslationSettings(), "paper": PAPER}

    @renamed(labels=("soft_labels", {"hard": False, "soft": True}))
    def __init__(
        self,
        *,
        sampling_strategy: float | str | dict[Any, int] | Callable[..., Any] = "auto",
        preset: str = "auto",
        g: Any = None,
        f: Any = None,
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
        count_test: bool = True,
        confidence_test: Literal["probability", "loss"] = "probability",
        scaled_penalty: bool = False,
        insert: Literal["synthetic", "seed", "random_label"] = "synthetic",
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
        self.count_test = count_test
        self.confidence_test = confidence_test
        self.scaled_penalty = scaled_penalty
        self.insert = insert
        self.noise = noise
        self.n_seeds_per_class = n_seeds_per_class
        self.categorical_features = categorical_features
        self.soft_labels = soft_labels
        self.batch_size = batch_size
        self.device = device
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

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
        M2m
            What the engine drives.
        """
        return self._translation(
            settings,
            guides.g,
            from_aux=False,
            count_decay=settings.count_decay if self.count_test else None,
            insert_seed=self.insert == "seed",
            random_labels=self.insert == "random_label",
        )
