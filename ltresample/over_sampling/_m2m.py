"""M2mSampler."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar

from sklearn.utils._param_validation import Interval, StrOptions

from ltresample.class_counts import grid_count_decay, scaled_count_decay
from ltresample.guides import Classifier
from ltresample.over_sampling._base import BaseSynthesisSampler
from ltresample.rows import Pool
from ltresample.synthesis import (
    DistributionSeeds,
    M2m,
    NearSeeds,
    RandomSeeds,
    Seeding,
    Steps,
    Synthesizer,
    gaussian_noise,
    reference_noise,
    uniform_noise,
)

__all__ = ["M2mSampler"]

NOISES = {"uniform": uniform_noise, "gaussian": gaussian_noise, "reference": reference_noise}

TRANSLATION_CONSTRAINTS: dict[str, list] = {
    "step_size": [StrOptions({"auto", "reach"}), Interval(Real, 0, None, closed="left")],
    "n_steps": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left")],
    "min_confidence": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
    "source_penalty": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
    "count_decay": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="left")],
    "noise_radius": [StrOptions({"auto", "reach"}), Interval(Real, 0, None, closed="left")],
    "noise": [StrOptions(set(NOISES))],
    "rest": [StrOptions({"auto"}), "boolean"],
    "confidence_test": [StrOptions({"probability", "loss"})],
    "n_seeds_per_class": [None, Interval(Integral, 1, None, closed="left")],
    "categorical_features": [None, "array-like"],
    "labels": [StrOptions({"hard", "soft"})],
}

TRANSLATION_PRESETS: dict[str, dict[str, Any]] = {
    "scaled": {
        "step_size": "reach",
        "n_steps": 10,
        "min_confidence": 0.6,
        "source_penalty": 0.5,
        "count_decay": scaled_count_decay,
        "noise_radius": "reach",
        "seeds": "near",
        "rest": True,
        "synthetic_share": 0.5,
        "g_recipe": "random_units",
    },
    "paper": {
        "step_size": 0.1,
        "n_steps": 10,
        "min_confidence": 0.9,
        "source_penalty": 0.5,
        "count_decay": grid_count_decay,
        "noise_radius": 0.5,
        "seeds": "distribution",
        "rest": False,
        "synthetic_share": 1.0,
        "g_recipe": "erm",
    },
}


def translation_steps(sampler: Any, settings: dict[str, Any]) -> Steps:
    """Turn the parameters of the descent into the engine's terms."""
    step, radius = settings["step_size"], settings["noise_radius"]
    return Steps(
        n_steps=settings["n_steps"],
        step_size=None if step == "reach" else float(step),
        noise_radius=None if radius == "reach" else float(radius),
        draw_noise=NOISES[sampler.noise],
        rest=settings["rest"],
    )


def seeding_for(sampler: Any, settings: dict[str, Any]) -> Seeding:
    """Turn the name of a way to choose seeds into the engine's object."""
    decay, subset = settings["count_decay"], sampler.n_seeds_per_class
    named: dict[str, Callable[[], Seeding]] = {
        "distribution": lambda: DistributionSeeds(decay, n_per_class=subset),
        "near": NearSeeds,
        "random": RandomSeeds,
    }
    if subset is not None and settings["seeds"] != "distribution":
        raise ValueError(
            f"n_seeds_per_class={subset!r} goes with seeds='distribution' only. Got "
            f"seeds={settings['seeds']!r}. Pass seeds='distribution' or n_seeds_per_class=None."
        )
    if settings["seeds"] != "near" and "reach" in (settings["step_size"], settings["noise_radius"]):
        raise ValueError(
            "step_size='reach' and noise_radius='reach' are measured from a seed to its target "
            f"class, which only seeds='near' knows. Got seeds={settings['seeds']!r}. Pass numbers "
            "for step_size and noise_radius, or seeds='near'."
        )
    return named[settings["seeds"]]()


class M2mSampler(BaseSynthesisSampler):
    """Over-sample by translating samples of larger classes into smaller ones (M2m).

    A new sample of class k starts at a real sample of a larger class k_0 and descends

    ``CE(g(x), k) + lambda * f(x)_{k_0}``

    by normalised gradient steps, where g is a fixed classifier and f, if given, a second one
    (Eq. 3 of [1]_). It is accepted if g's probability of k reaches `min_confidence`, and with
    probability ``1 - count_decay^(N_k0 - N_k)``; where a sample is rejected a duplicate of a random
    real one takes its place, so that counts are exact.

    The papers' settings are made for 32 x 32 images and thousands of samples a class
    (``preset="paper"``). By default (``preset="scaled"``) lengths follow the data: a sample starts
    from a neighbour of the target class and may travel as far as its nearest target sample, it
    rests as soon as g takes it for the target class, and half of the new rows are duplicates.

    Parameters
    ----------
    sampling_strategy : float, str, dict or callable, default="auto"
        How many samples each class is to have, in imbalanced-learn's sense; "auto" fills all classes
        to the largest.
    preset : {"scaled", "paper"}, default="scaled"
        What each ``"auto"`` below stands for; `settings_` holds the result. See the Notes.
    g : None, estimator, nn.Module, or list of these, default=None
        The guide. None fits small networks inside; an estimator that is not fitted is cloned and
        fitted; a module gives logits in the order of the sorted labels; of a list the probabilities
        are averaged.
    f : None, estimator, nn.Module or list of these, default=None
        A second classifier, whose logit of the source class is pushed down. None leaves the term
        out (the ablation "lambda = 0" of [1]_); g never takes its place.
    step_size : float, "reach" or "auto", default="auto"
        eta, length of a step in units of the columns' standard deviation (images: pixel units,
        values in [0, 1]). "reach": the distance from the seed to its nearest sample of the target
        class, divided by `n_steps`.
    n_steps : int or "auto", default="auto"
        T, number of gradient steps. 0 gives the noisy seed.
    min_confidence : float or "auto", default="auto"
        gamma: least probability of the target class under g, in [0, 1]. 0 accepts all.
    source_penalty : float or "auto", default="auto"
        lambda, weight of the term of f.
    count_decay : float or "auto", default="auto"
        beta, in [0, 1), in the seed distribution and in the Bernoulli test. "auto" scales with the
        class counts, see `ltresample.class_counts`.
    seeds : {"near", "distribution", "random", "auto"}, default="auto"
        Where to start: a near sample of a larger class; a class drawn in proportion to
        ``1 - count_decay^(N_k0 - N_k)`` as in [1]_; any sample of another class.
    noise_radius : float, "reach" or "auto", default="auto"
        Bound on the norm of the noise at the start, in the units of `step_size`. "reach": a tenth
        of the distance to the nearest sample of the target class.
    synthetic_share : float or "auto", default="auto"
        Share of the new rows for which a synthetic one is tried, in [0, 1]; the others are
        duplicates.
    rest : bool or "auto", default="auto"
        A row stops as soon as it would be accepted.
    max_rounds : int, default=1
        How often a rejected row is drawn anew before a duplicate takes its place.
    g_recipe : {"random_units", "bagged", "erm", "drs", "auto"}, default="auto"
        How g is fitted when it is None. "bagged": eight small networks on class-balanced bootstraps.
        "random_units": the same, but hidden units are drawn and only the output layers fitted,
        which takes milliseconds; images get random convolutions, rows of more than 256 columns a
        linear classifier if they are few or mostly zeros, else they are treated as by "bagged".
        "erm": one network on the data as they are. "drs": one that sees classes alike in the last
        fifth of training.
    count_test : bool, default=True
        False leaves the Bernoulli test out ("No-Reject" of [1]_).
    confidence_test : {"probability", "loss"}, default="probability"
        "loss": accept where the cross-entropy is at most `min_confidence`, as the text of [1]_ has
        it; the published code tests the probability.
    insert : {"synthetic", "seed"}, default="synthetic"
        "seed" gives the unmoved seeds of accepted rows ("M2m-Clean" of [1]_).
    noise : {"uniform", "gaussian", "reference"}, default="uniform"
        Kind of noise; "reference" bounds it per channel over a whole block, as the published code.
    n_seeds_per_class : int or None, default=None
        Only this many fixed samples of a class may be seeds; with ``seeds="distribution"``.
    categorical_features : array-like of int, bool or str, or None, default=None
        Positions, mask or names of columns that hold codes of categories. They never move: with
        ``seeds="near"`` a synthetic row has the categories of the near sample of its own class,
        else those of its seed. Columns of whole numbers and truth values are known by their type
        and rounded.
    labels : {"hard", "soft"}, default="hard"
        "soft": in `soft_targets_` a synthetic row is of its class with g's probability p of it, and
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
        Show a progress bar.

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
        Labels as shares of classes; with ``labels="soft"`` only.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray
        Names of the columns, where X is a frame.

    See Also
    --------
    DistributionMatchingOversampler : Adds a distance between real and synthetic sets.

    Notes
    -----
    ``preset="paper"``: step_size .1, n_steps 10, min_confidence .9, source_penalty .5, count_decay
    from {.9, .99, .999}, seeds "distribution", noise_radius .5, rest False, synthetic_share 1,
    g_recipe "erm".

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
        **BaseSynthesisSampler._parameter_constraints,
        **TRANSLATION_CONSTRAINTS,
        "seeds": [StrOptions({"auto", "near", "distribution", "random"})],
        "count_test": ["boolean"],
        "insert": [StrOptions({"synthetic", "seed"})],
    }
    _presets: ClassVar[dict] = TRANSLATION_PRESETS

    def __init__(
        self,
        *,
        sampling_strategy="auto",
        preset="scaled",
        g=None,
        f=None,
        step_size="auto",
        n_steps="auto",
        min_confidence="auto",
        source_penalty="auto",
        count_decay="auto",
        seeds="auto",
        noise_radius="auto",
        synthetic_share="auto",
        rest="auto",
        max_rounds=1,
        g_recipe="auto",
        count_test=True,
        confidence_test="probability",
        insert="synthetic",
        noise="uniform",
        n_seeds_per_class=None,
        categorical_features=None,
        labels="hard",
        batch_size="auto",
        device=None,
        n_jobs=None,
        random_state=None,
        verbose=0,
    ):
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
        self.insert = insert
        self.noise = noise
        self.n_seeds_per_class = n_seeds_per_class
        self.categorical_features = categorical_features
        self.labels = labels
        self.batch_size = batch_size
        self.device = device
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def _synthesizer(self, settings: dict[str, Any], pool: Pool, g: Classifier) -> Synthesizer:
        return M2m(
            g=g,
            seeding=seeding_for(self, settings),
            steps=translation_steps(self, settings),
            min_confidence=settings["min_confidence"],
            source_penalty=settings["source_penalty"],
            count_decay=settings["count_decay"] if self.count_test else None,
            loss_test=self.confidence_test == "loss",
            insert_seed=self.insert == "seed",
        )
