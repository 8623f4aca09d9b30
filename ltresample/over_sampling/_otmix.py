"""OTMixSampler."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from torch import Tensor

from ltresample.guides import (
    can_be_fitted,
    confusion_of_estimator,
    confusion_on_training_rows,
    feature_rows,
)
from ltresample.mixing import CutMix, MAMix, Mixup, Remix, SaliencyMix, UniMix
from ltresample.over_sampling._base import (
    About,
    BaseSynthesisSampler,
    Guides,
    provenance_records,
)
from ltresample.over_sampling._data import Data
from ltresample.over_sampling._guiding import RECIPES
from ltresample.over_sampling._mixed_labels import append_twins, first_rows, soft_targets, twins
from ltresample.over_sampling._mixed_rows import flat_image_shape
from ltresample.over_sampling._renamed import renamed
from ltresample.over_sampling._shares import HasShares
from ltresample.pairing import RandomPairing, TransportPairing, checked_affinity
from ltresample.rows import Pool
from ltresample.synthesis import Filled, Method, MixSchedule, PairMixing

__all__ = ["OTMixSampler"]

_BASE = BaseSynthesisSampler._parameter_constraints
_SHARED = ("sampling_strategy", "random_state", "g", "g_recipe", "synthetic_share")
_SHARED += ("batch_size", "device", "n_jobs", "verbose")


class MixSettings(NamedTuple):
    """What each "auto" stands for; the values are those of ``preset="otmix"``.

    Epochs without mixing at the start and at the end, and mixing in every second batch, are those of
    the published code of OTMix and CMO.
    """

    pairing: Any = TransportPairing()
    mix: Any = CutMix(4.0)
    label_rule: Any = None
    class_affinity: Any = "hard"
    foreground: str = "data"
    foreground_power: float = 1.0
    mix_prob: float = 0.5
    schedule_power: float = 1.0
    start: int = 4
    stop: int | None = -3
    synthetic_share: float = 1.0
    g_recipe: str = "random_units"
    min_foreground: float = 0.0
    image_shape: tuple[int, ...] | None = None


_OTMIX = MixSettings()
_CMO = MixSettings(pairing=RandomPairing(), mix=CutMix(1.0))
_IN_BATCH = _CMO._replace(foreground="batch", foreground_power=0.0, start=0, stop=None)
_ALWAYS = _IN_BATCH._replace(mix=Mixup(1.0), mix_prob=1.0)

PRESETS: dict[str, MixSettings] = {
    "otmix": _OTMIX,
    "otmix_paper": _OTMIX._replace(foreground_power=2.0, mix_prob=1.0, start=0, stop=None),
    "cmo": _CMO,
    "cutmix": _IN_BATCH,
    "saliency_mix": _IN_BATCH._replace(mix=SaliencyMix(1.0)),
    "mixup": _ALWAYS,
    "remix": _ALWAYS._replace(label_rule=Remix()),
    "mamix": _ALWAYS._replace(label_rule=MAMix()),
    "unimix": _ALWAYS._replace(mix=UniMix(), foreground_power=0.5),
}
_FOR_TABLES = {"otmix": Mixup(4.0), "otmix_paper": Mixup(4.0), "cmo": Mixup(1.0)}


class OTMixSampler(HasShares, BaseSynthesisSampler):
    """Over-sample by mixing samples of small classes into samples that are similar to them (OTMix).

    A new sample is made of a *foreground* of the class that is short and a *background* drawn from
    all samples. Which background goes with which foreground is read off an optimal transport plan
    whose cost is small for samples with similar features and for classes that are confused with each
    other [1]_. By CutMix, a box of the foreground is pasted onto the background; tables are averaged
    column by column (Mixup). Both parts can be exchanged:
    ``OTMixSampler(pairing=RandomPairing())`` pairs at random, which is CMO [2]_.

    A mixed sample is only partly of its class. Its label is ``lam`` of the background's class and
    ``1 - lam`` of the foreground's, where lam is the background's share of the sample: on average
    0.69 for CutMix with alpha = 4 on 32 x 32 images, 0.75 on 8 x 8, 0.50 for Mixup. **The hard labels
    that `fit_resample` returns are that wrong.** Use them together with one of

    * `soft_targets_`, for classifiers that take them;
    * ``mixed_labels="pair"``, which gives each mixed sample twice, with the weights lam and 1 - lam in
      `sample_weight_`: exact for all losses that are linear in the target;
    * `ResampledClassifier`, which does this by itself.

    A plain pipeline hands on hard labels and nothing else. Therefore, by default, the foreground's
    class is the larger part of each mixed sample unless one of these is in use
    (``min_foreground="auto"``).

    Parameters
    ----------
    sampling_strategy : float, str, dict or callable, default="auto"
        How many samples each class is to have, in imbalanced-learn's sense, counted by the class of
        the foreground; "auto" fills all classes to the largest.
    preset : str, default="otmix"
        What each ``"auto"`` below stands for; `settings_` holds the result. "otmix": as its
        published code; "otmix_paper": draws and schedule as in its text; "cmo", "cutmix",
        "saliency_mix", "mixup", "remix", "mamix", "unimix": what these do. See the Notes.
    g : classifier, nn.Module, list of these, or None, default=None
        Whose features and confusions the pairing uses. None: small networks are fitted out of fold,
        see `g_recipe`. An unfitted estimator is cloned and fitted, out of fold for
        confusions. What is fitted is used as it is; if it has seen the rows of X it confuses few of
        them, so pass `class_affinity` too.
    pairing : pairing or "auto", default="auto"
        `TransportPairing`, `RandomPairing`, `ConfusionPairing` of `ltresample.pairing`, or another
        object with their method ``pair``.
    mix : mix or "auto", default="auto"
        `CutMix`, `SaliencyMix`, `Mixup`, `ColumnSwap`, `UniMix` of `ltresample.mixing`, or another
        object with their methods ``draw`` and ``mix``. By itself each pair has a ratio of its own
        in `fit_resample`, and all pairs of a batch the same in training.
    mixed_labels : {"foreground", "pair"}, default="foreground"
        "foreground": one row for each mixed sample, of the foreground's class, so that counts are
        exact. "pair": two rows, of either class, with weights in `sample_weight_`; counts are those
        of "foreground" plus the backgrounds.
    min_foreground : float or "auto", default="auto"
        Least share of the foreground in a mixed sample, in [0, 1). Raised, labels are less wrong and
        mixed samples more like their foreground. The papers have none. "auto": 0 where labels or
        weights of both parts are used (``mixed_labels="pair"``, `ResampledClassifier`, training), else
        0.5, so that no hard label is that of the smaller part; 0 with `UniMix`, whose ratio follows
        from the counts.
    image_shape : tuple of int or None, default=None
        (C, H, W) or (H, W) of rows of X that are flat images.
    categorical_features : array-like of int, bool or str, or None, default=None
        Columns that hold categories, by position, mask or name; columns that are one category
        together, such as those of a one-hot encoding, may stand in lists of their own. Categories
        never move: a mixed row has those of one of its two rows, of the
        foreground with probability 1 - lam. None: they
        are found by type and as groups of one-hot columns; `columns_` says which. An empty list
        switches that off. Columns of text, 'category' or Enum always are categories, and come back
        as they came; inside, each is as many columns of 0 and 1 as it has categories.
    synthetic_share : float or "auto", default="auto"
        Share of the new rows that is mixed, in [0, 1]; the others are duplicates. In training, share
        of the rows of a mini-batch that is mixed; the others are trained on as they are.
    batch_size : int or "auto", default="auto"
        Rows made in one pass. Memory grows with it; the rows do not depend on it.
    device : str, torch.device or None, default=None
        Where to compute. None: where g lives, else the CPU. "auto": an accelerator if there is one.
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
    label_rule : label rule, None or "auto", default="auto"
        `Remix` or `MAMix`, with which the background's share of the label is another than its share
        of the sample. None: it is the same.
    class_affinity : array-like of shape (n_classes, n_classes), {"soft", "hard", "auto"}, \
            default="auto"
        Confusion matrix with rows of sum 1, in the order of the sorted labels: how often class i
        is misclassified as class j, on held-out data. "soft" and "hard" compute it from training data
        by g, out of fold: as mean probabilities, or as shares of predicted labels.
    foreground : {"data", "batch"} or "auto", default="auto"
        In training, where foregrounds are drawn: from all training data, or from the mini-batch.
    foreground_power : float or "auto", default="auto"
        r, at least 0: in training, foregrounds are drawn with sample weights ``N_y^-r``. 1:
        class-balanced; 0: as the data are; 2: what the paper calls r = 1.
    mix_prob : float or "auto", default="auto"
        In training, probability with which a mini-batch is mixed.
    schedule_power : float or "auto", default="auto"
        mu, at least 0: in epoch t of T, counted from 0, pairs follow `pairing` with probability
        ``(t / T)^mu``, and are random otherwise. 0: always.
    start : int or "auto", default="auto"
        In training, first epoch with mixing, from 0.
    stop : int, None or "auto", default="auto"
        In training, first epoch after `start` without mixing; below 0 counted from the end. None:
        there is none.
    refresh_affinity : bool, default=True
        In training, compute the class affinity anew before every epoch from the network's
        predictions on the validation split; without such a split, or if False, it is computed once,
        out of fold.
    feature_bank : bool, default=False
        In training, take for a sample's features those that it had when it was last passed through
        the network as a sample of a batch, in place of two more forward passes in each step.
    block_size : int, default=128
        Foregrounds and backgrounds that are paired at once, in `fit_resample`.
    g_recipe : {"auto", "random_units", "bagged", "erm", "drs"}, default="auto"
        How g is trained if it is None: class-balanced ("random_units" and "bagged", see
        `M2mSampler`), on the data as they are ("erm"), or with class-balanced batches in the last
        fifth of training ("drs").

    Attributes
    ----------
    sampling_strategy_ : dict
        Class label to number of rows added.
    settings_ : dict
        What each parameter that can be "auto" stood for.
    g_ : estimator, nn.Module, list or None
        The fitted guide; None where the pairing needs none.
    guide_score_ : float or None
        Balanced accuracy of the guide on rows that it has not seen; None where the pairing needs no
        guide.
    class_affinity_ : ndarray of shape (n_classes, n_classes) or None
        The confusion matrix that the pairing used, with its diagonal.
    soft_targets_ : ndarray of shape (n_samples_new, n_classes)
        With ``mixed_labels="foreground"``: the label of each row as shares of the sorted classes. Not to
        be combined with `sample_weight_`.
    sample_weight_ : ndarray of shape (n_samples_new,)
        1 for real rows and duplicates. For mixed rows the share of the label that the row stands
        for: 1 - lam, and lam for the row of the background's class.
    is_synthetic_ : ndarray of bool, shape (n_samples_new,)
        True for mixed rows; False for real ones and their duplicates.
    provenance_ : structured ndarray, shape (n_samples_new,)
        For each row: `origin` ("original", "synthetic", "duplicate"), `seed_index` (the row of X
        whose label it has), `partner_index` (the row of X that it is mixed with, -1: none),
        `from_aux` (False), `source` (class index of `seed_index`), `round`, `confidence` (NaN).
    acceptance_rate_, shortfall_ : dict
        Class label to accepted / tried rows; all mixed rows are accepted.
    columns_ : dict
        Names, or positions, of the columns that were treated as "numbers", "whole_numbers",
        "categories" and "one_hot" (a list for each group). Empty for images.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray
        Names of the columns, where X is a frame.

    See Also
    --------
    ResampledClassifier : Uses soft targets or weighted pairs by itself.
    M2mSampler : New samples with hard labels.

    Notes
    -----
    Blocks of foregrounds and backgrounds are paired at once, with foregrounds of all classes: with
    those of one class the cost between classes would have no influence on the plan.

    Presets, in training: "otmix", "cmo": mix_prob 0.5, start 4, stop -3; "cutmix", "saliency_mix":
    mix_prob 0.5; others: every batch. "otmix": `TransportPairing` and CutMix(alpha=4), on tables
    Mixup(alpha=4); "cmo": `RandomPairing` and CutMix(alpha=1), on tables Mixup(alpha=1). Both draw
    class-balanced foregrounds from the data. "cutmix", "saliency_mix", "mixup", "remix" (Mixup with
    the labels of `Remix`), "mamix" (of `MAMix`) and "unimix" draw partners from the mini-batch:
    all samples equally often, "unimix" with sample weights ``N_y^-0.5``.

    *Many rows.* The guide that is fitted inside learns from a class-balanced draw of 8,192 rows, or 64 a
    class (images: 2,048, or 8 a class; wide sparse rows: 1,024, or 8); `guide_score_` is of 2,048, or
    8 a class.

    *Fidelity.* Paper: every batch is mixed (Table 7), foregrounds of class k have probability in
    proportion to ``1 / N_k``, and the confusion matrix is of an unbiased validation set. Published
    code: every second batch is mixed, but for the first four and the last three epochs; sample
    weights are ``1 / N_k``, which balances the classes; confusions are those on the test set;
    features are taken in training mode, from a layer before the last activation. Here: as published
    code in the first two points (``preset="otmix_paper"``: as the paper, with foreground_power 2);
    rows of the confusion matrix are foregrounds, as in published code, where the paper's Eq. 6 has
    backgrounds; confusions on held-out training data; pooled features in evaluation mode.

    References
    ----------
    .. [1] J. Gao, H. Zhao, Z. Li, D. Guo, "Enhancing Minority Classes by Mixing: An Adaptive
       Optimal Transport Approach for Long-tailed Classification", NeurIPS 2023.
    .. [2] S. Park, Y. Hong, B. Heo, S. Yun, J. Y. Choi, "The Majority Can Help The Minority:
       Context-rich Minority Oversampling for Long-tailed Classification", CVPR 2022,
       arXiv:2112.00412.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ltresample.over_sampling import OTMixSampler
    >>> X, y = make_classification(n_samples=200, weights=[0.9], random_state=0)
    >>> sampler = OTMixSampler(mixed_labels="pair", random_state=0)
    >>> X_res, y_res = sampler.fit_resample(X, y)
    >>> clf = LogisticRegression().fit(X_res, y_res, sample_weight=sampler.sample_weight_)
    """

    _parameter_constraints: ClassVar[dict] = {
        **{name: _BASE[name] for name in _SHARED},
        "preset": [StrOptions(set(PRESETS))],
        "pairing": [StrOptions({"auto"}), HasMethods("pair")],
        "mix": [StrOptions({"auto"}), HasMethods(["draw", "mix"])],
        "label_rule": [StrOptions({"auto"}), None, HasMethods("share")],
        "class_affinity": [StrOptions({"auto", "soft", "hard"}), "array-like", Tensor],
        "mixed_labels": [StrOptions({"foreground", "pair"})],
        "min_foreground": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="left")],
        "image_shape": [None, tuple, list],
        "categorical_features": [None, "array-like"],
        "foreground": [StrOptions({"auto", "data", "batch"})],
        "foreground_power": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "mix_prob": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="both")],
        "schedule_power": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "start": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left")],
        "stop": [StrOptions({"auto"}), None, Integral],
        "refresh_affinity": ["boolean"],
        "feature_bank": ["boolean"],
        "block_size": [Interval(Integral, 2, None, closed="left")],
    }
    _presets: ClassVar[dict] = PRESETS

    @renamed(label="mixed_labels")
    def __init__(
        self,
        *,
        sampling_strategy: float | str | dict[Any, int] | Callable[..., Any] = "auto",
        preset: str = "otmix",
        g: Any = None,
        pairing: Any = "auto",
        mix: Any = "auto",
        label_rule: Any = "auto",
        class_affinity: Any = "auto",
        mixed_labels: Literal["foreground", "pair"] = "foreground",
        min_foreground: float | Literal["auto"] = "auto",
        image_shape: tuple[int, ...] | None = None,
        categorical_features: ArrayLike | None = None,
        foreground: Literal["data", "batch", "auto"] = "auto",
        foreground_power: float | Literal["auto"] = "auto",
        mix_prob: float | Literal["auto"] = "auto",
        schedule_power: float | Literal["auto"] = "auto",
        start: int | Literal["auto"] = "auto",
        stop: int | None | Literal["auto"] = "auto",
        refresh_affinity: bool = True,
        feature_bank: bool = False,
        block_size: int = 128,
        synthetic_share: float | Literal["auto"] = "auto",
        g_recipe: Literal["random_units", "bagged", "erm", "drs", "auto"] = "auto",
        batch_size: int | Literal["auto"] = "auto",
        device: str | torch.device | None = None,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int | bool = 0,
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.preset = preset
        self.g = g
        self.pairing = pairing
        self.mix = mix
        self.label_rule = label_rule
        self.class_affinity = class_affinity
        self.mixed_labels = mixed_labels
        self.min_foreground = min_foreground
        self.image_shape = image_shape
        self.categorical_features = categorical_features
        self.foreground = foreground
        self.foreground_power = foreground_power
        self.mix_prob = mix_prob
        self.schedule_power = schedule_power
        self.start = start
        self.stop = stop
        self.refresh_affinity = refresh_affinity
        self.feature_bank = feature_bank
        self.block_size = block_size
        self.synthetic_share = synthetic_share
        self.g_recipe = g_recipe
        self.batch_size = batch_size
        self.device = device
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def carrying(self) -> OTMixSampler:
        """Return an unfitted copy that mixes as the paper does: both parts reach the classifier."""
        own = clone(self)
        return own.set_params(min_foreground=0.0) if self.min_foreground == "auto" else own

    def _resolve(self, about: About) -> MixSettings:
        """Resolve settings, and refuse ways to mix that do not fit the rows.

        In training pairs of a batch have one ratio, where the mix is ours.
        """
        row_shape, settings = about.row_shape, super()._resolve(about)
        settings = settings._replace(image_shape=flat_image_shape(self.image_shape, row_shape))
        images = len(row_shape) > 1 or settings.image_shape is not None
        if isinstance(self.mix, str):
            mix = settings.mix if images else _FOR_TABLES.get(self.preset, settings.mix)
            if any(field.name == "shared" for field in dataclasses.fields(mix)):
                mix = dataclasses.replace(mix, shared=about.in_training)
            settings = settings._replace(mix=mix)
        if self.min_foreground == "auto":
            hard = not about.in_training and self.mixed_labels == "foreground"
            least = 0.5 if hard and not isinstance(settings.mix, UniMix) else 0.0
            settings = settings._replace(min_foreground=least)
        if settings.mix.needs_images and not images:
            raise ValueError(
                f"{type(settings.mix).__name__} cuts boxes out of images. Got X with rows of "
                f"shape {tuple(row_shape)} and image_shape=None. Pass image_shape=(C, H, W) or "
                "(H, W) if the rows are flat images, else mix=Mixup() or mix=ColumnSwap()."
            )
        if isinstance(settings.class_affinity, str):
            return settings
        affinity = checked_affinity(settings.class_affinity, len(about.class_counts))
        return settings._replace(class_affinity=affinity)

    def _n_new(self, wanted: dict[int, int], settings: MixSettings) -> int:
        n_mixed = sum(round(settings.synthetic_share * n) for n in wanted.values())
        return sum(wanted.values()) + (n_mixed if self.mixed_labels == "pair" else 0)

    def _check_targets(self, data: Data, wanted: dict[int, int], *, from_aux: bool) -> None:
        """Name classes with a single sample; any class may have more foregrounds."""
        super()._check_targets(data, wanted, from_aux=True)

    def _sees_columns(self, settings: MixSettings) -> bool:
        return self.g is not None or settings.image_shape is not None

    def method(self, settings: MixSettings, pool: Pool, guides: Guides) -> Method:
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
        PairMixing
            What the engine drives.
        """
        device = pool.y.device
        affinity, features = self._affinity(settings, guides), None
        offline = guides.live is None
        if offline:
            affinity = affinity() if callable(affinity) else affinity
            if settings.pairing.needs_features:
                drawn = self.g is None and RECIPES[settings.g_recipe].random_units
                outputs = drawn and len(pool.x.row_shape) == 1
                features = feature_rows(guides.g, pool, outputs=outputs)
        return PairMixing(
            mix=settings.mix,
            pairing=settings.pairing,
            label_rule=settings.label_rule,
            class_affinity=affinity.to(device) if isinstance(affinity, Tensor) else affinity,
            features=features,
            min_foreground=settings.min_foreground,
            image_shape=settings.image_shape,
            block_size=self.block_size,
            schedule=MixSchedule(
                foreground=settings.foreground,
                foreground_power=settings.foreground_power,
                mix_prob=settings.mix_prob,
                schedule_power=settings.schedule_power,
                start=settings.start,
                stop=settings.stop,
                refresh=self.refresh_affinity,
                soft=isinstance(settings.class_affinity, str) and settings.class_affinity == "soft",
                share=settings.synthetic_share,
            ),
            feature_bank=self.feature_bank,
        )

    def _affinity(self, settings: MixSettings, guides: Guides) -> Any:
        """Return the class affinity (K, K), what computes it, or None where the pairing needs none."""
        given = settings.class_affinity
        if not settings.pairing.needs_affinity:
            return None
        if not isinstance(given, str):
            return given
        soft = given == "soft"
        if self.g is None:
            n_folds = 4 if len(guides.pool.x.row_shape) == 1 else 2
            seed = guides.seed.child("guide")
            return lambda: guides.out_of_fold(seed, soft=soft, n_folds=n_folds).cpu()
        return lambda: _confusion(guides, soft=soft)

    def _writer(self, write: Any, data: Data, wanted: dict[int, int], settings: Any) -> Any:
        """Return the function that takes rows; with pairs, in two places."""
        if self.mixed_labels != "pair":
            return write
        twin = twins(wanted, settings.synthetic_share)

        def write_twice(positions: Tensor, rows: Tensor) -> None:
            write(positions, rows)
            write(twin[positions], rows)

        return write_twice

    def _write_labels(
        self, filled: Filled, data: Data, wanted: dict[int, int], settings: MixSettings
    ) -> Filled:
        """Write weights, and soft labels or twins."""
        y = torch.as_tensor(data.y)
        self._shares = None
        if self.mixed_labels == "pair":
            filled, weight = append_twins(filled, twins(wanted, settings.synthetic_share), y)
        else:
            weight = 1 - filled.lam
            self._shares = soft_targets(filled, data.y, len(data.classes))
        self.sample_weight_ = torch.cat([torch.ones(len(y), dtype=torch.float64), weight]).numpy()
        return filled

    def _write_learned(self, method: PairMixing, guides: Guides, data: Data, score: Any) -> None:
        """Write the guide and the confusion matrix that the pairing used."""
        super()._write_learned(method, guides, data, score)
        affinity = method.class_affinity
        self.class_affinity_ = None if affinity is None else affinity.cpu().numpy()

    def _report(self, data: Data, filled: Filled, wanted, settings, *, from_aux: bool) -> None:
        """Write the fitted attributes; rates are those of foregrounds."""
        first = first_rows(filled, sum(wanted.values()))
        super()._report(data, first, wanted, settings, from_aux=False)
        n = len(data.y)
        self.is_synthetic_ = np.concatenate([np.zeros(n, bool), filled.synthetic.numpy()])
        self.provenance_ = provenance_records(data, filled, from_aux=False)


def _confusion(guides: Guides, *, soft: bool) -> Tensor:
    """Ask the user's g: out of fold if it can be fitted anew, else on the rows of X."""
    g, given = guides.g, guides.given
    if can_be_fitted(given):
        seed = guides.seed.child("folds")
        return confusion_of_estimator(
            given, guides.raw(given), guides.labels, guides.classes, seed, soft=soft
        )
    return confusion_on_training_rows(g, guides.pool, guides.seed.child("confusion")).cpu()
