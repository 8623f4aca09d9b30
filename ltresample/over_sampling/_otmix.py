"""OTMixSampler."""

from __future__ import annotations

import copy
import dataclasses
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from torch import Tensor, nn

from ltresample._random import Seed
from ltresample.guides import (
    Classifier,
    as_classifier,
    confusion_of,
    confusion_of_estimator,
    confusion_on_training_rows,
    feature_rows,
    fit_fold_guides,
    is_fitted,
)
from ltresample.mixing import CutMix, MAMix, Mixup, Remix, SaliencyMix, UniMix
from ltresample.over_sampling._base import RECIPES, BaseSynthesisSampler, provenance_records
from ltresample.over_sampling._data import Data
from ltresample.over_sampling._mixed_labels import first_rows, paired, soft_targets, twins
from ltresample.over_sampling._mixed_rows import categorical_mask, exact_type, flat_image_shape
from ltresample.over_sampling._online import in_type, ready
from ltresample.over_sampling._otmix_online import OnlineMixing, Plan
from ltresample.pairing import RandomPairing, TransportPairing, checked_affinity
from ltresample.rows import ArrayRows, Pool, Rows
from ltresample.synthesis import Filled, PairMixing, fill_pairs

__all__ = ["OTMixSampler"]

_BASE = BaseSynthesisSampler._parameter_constraints
_SHARED = ("sampling_strategy", "random_state", "g", "g_recipe", "synthetic_share")
_SHARED += ("batch_size", "device", "n_jobs", "verbose")

# epochs without mixing at the start and at the end, and mixing in every second batch, are those of
# the published code of OTMix and CMO
_ALL: dict[str, Any] = {
    "pairing": RandomPairing(),
    "label_rule": None,
    "class_affinity": "hard",
    "foreground": "data",
    "foreground_power": 1.0,
    "mix_prob": 0.5,
    "schedule_power": 1.0,
    "start": 4,
    "stop": -3,
    "synthetic_share": 1.0,
    "g_recipe": "erm",
}
_IN_BATCH = {**_ALL, "foreground": "batch", "foreground_power": 0.0, "start": 0, "stop": None}
_ALWAYS = {**_IN_BATCH, "mix_prob": 1.0}
_OTMIX = {**_ALL, "pairing": TransportPairing()}

PRESETS: dict[str, dict[str, Any]] = {
    "otmix": {**_OTMIX, "mix": CutMix(4.0)},
    "otmix_paper": {
        **_OTMIX,
        "mix": CutMix(4.0),
        "mix_prob": 1.0,
        "start": 0,
        "stop": None,
    },
    "cmo": {**_ALL, "mix": CutMix(1.0)},
    "cutmix": {**_IN_BATCH, "mix": CutMix(1.0)},
    "saliency_mix": {**_IN_BATCH, "mix": SaliencyMix(1.0)},
    "mixup": {**_ALWAYS, "mix": Mixup(1.0)},
    "remix": {**_ALWAYS, "mix": Mixup(1.0), "label_rule": Remix()},
    "mamix": {**_ALWAYS, "mix": Mixup(1.0), "label_rule": MAMix()},
    "unimix": {**_ALWAYS, "mix": UniMix(), "foreground_power": 0.5},
}
_FOR_TABLES = {"otmix": Mixup(4.0), "otmix_paper": Mixup(4.0), "cmo": Mixup(1.0)}


class _Method(NamedTuple):
    """The engine's method and the features that its pairing looks at."""

    mixing: PairMixing
    features: Rows | None


class OTMixSampler(BaseSynthesisSampler):
    """Over-sample by mixing samples of small classes into samples that are like them (OTMix).

    A new sample is made of a *foreground* of the class that is short and a *background* drawn from
    all samples. Which background goes with which foreground is read off an optimal transport plan
    whose cost is small for samples with like features and for classes that are taken for each other
    [1]_. By CutMix, a box of the foreground is pasted onto the background; tables are averaged
    column by column (Mixup). Both parts can be exchanged:
    ``OTMixSampler(pairing=RandomPairing())`` pairs at random, which is CMO [2]_.

    A mixed sample is only partly of its class. Its label is ``lam`` of the background's class and
    ``1 - lam`` of the foreground's, where lam is the background's share of the sample: on average
    .69 for CutMix with alpha = 4 on 32 x 32 images, .75 on 8 x 8, .50 for Mixup. **The hard labels
    that `fit_resample` returns are that wrong.** Use them together with one of

    * `soft_targets_`, for classifiers that take them;
    * ``label="pair"``, which gives each mixed sample twice, with the weights lam and 1 - lam in
      `sample_weight_`: exact for all losses that are linear in the target;
    * `ResampledClassifier`, which does this by itself;
    * ``min_foreground=0.5``, which makes the foreground's class the larger part.

    Parameters
    ----------
    sampling_strategy : float, str, dict or callable, default="auto"
        How many samples each class is to have, in imbalanced-learn's sense, counted by the class of
        the foreground; "auto" fills all classes to the largest.
    preset : str, default="otmix"
        What each ``"auto"`` below stands for; `settings_` holds the result. "otmix": as its
        published code; "otmix_paper": as its text; "cmo", "cutmix", "saliency_mix", "mixup",
        "remix", "mamix", "unimix": what these do. See the Notes.
    g : classifier, nn.Module, list of these, or None, default=None
        Whose features and confusions the pairing uses. None: small networks are fitted out of fold,
        MLPs to rows, CNNs to images. An unfitted estimator is cloned and fitted, out of fold for
        confusions. What is fitted is used as it is; if it has seen the rows of X it confuses few of
        them, so pass `class_affinity` too.
    pairing : pairing or "auto", default="auto"
        `TransportPairing`, `RandomPairing`, `ConfusionPairing` of `ltresample.pairing`, or another
        object with their method ``pair``.
    mix : mix or "auto", default="auto"
        `CutMix`, `SaliencyMix`, `Mixup`, `ColumnSwap`, `UniMix` of `ltresample.mixing`, or another
        object with their methods ``draw`` and ``mix``. By itself each pair has a ratio of its own
        in `fit_resample`, and all pairs of a batch the same in training.
    label_rule : label rule, None or "auto", default="auto"
        `Remix` or `MAMix`, with which the background's share of the label is another than its share
        of the sample. None: it is the same.
    class_affinity : array-like of shape (n_classes, n_classes), {"soft", "hard", "auto"}, \
            default="auto"
        Confusion matrix with rows of sum 1, in the order of the sorted labels: how often row i is
        taken for column j, on held-out data. "soft" and "hard" compute it from training data by g,
        out of fold: as mean probabilities, or as shares of predicted labels.
    label : {"foreground", "pair"}, default="foreground"
        "foreground": one row for each mixed sample, of the foreground's class, so that counts are
        exact. "pair": two rows, of either class, with weights in `sample_weight_`; counts are those
        of "foreground" plus the backgrounds.
    min_foreground : float, default=0.0
        Least share of the foreground in a mixed sample, in [0, 1). The papers have none.
    image_shape : tuple of int or None, default=None
        (C, H, W) or (H, W) of rows of X that are flat images.
    categorical_features : array-like of int, bool or str, or None, default=None
        Positions, mask or names of columns that hold codes of categories. Their values are never
        averaged: a mixed row has all of them from the foreground or all from the background.
        Columns of whole numbers and truth values are known by their type and rounded.
    foreground : {"data", "batch"} or "auto", default="auto"
        In training, where foregrounds are drawn: from all training data, or from the mini-batch.
    foreground_power : float or "auto", default="auto"
        r, at least 0: in training, foregrounds are drawn with sample weights ``N_y^-r``. 1: classes
        alike; 0: samples alike; 2: what the paper calls r = 1.
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
    synthetic_share : float or "auto", default="auto"
        Share of the new rows that is mixed, in [0, 1]; the others are duplicates.
    g_recipe : {"auto", "random_units", "bagged", "erm", "drs"}, default="auto"
        How g is trained if it is None: classes alike ("random_units" and "bagged", as in
        `M2mSampler`), on the data as they are, or with classes drawn alike in the last fifth of
        training.
    batch_size : int or "auto", default="auto"
        Rows made in one pass. Memory grows with it; the rows do not depend on it.
    device : str, torch.device or None, default=None
        Where to compute. None: where g lives, else the CPU. "auto": an accelerator if there is one.
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
    g_ : estimator, nn.Module, list or None
        The fitted guide; None where the pairing needs none.
    guide_score_ : float or None
        As in `M2mSampler`; None where the pairing needs no guide.
    class_affinity_ : ndarray of shape (n_classes, n_classes) or None
        The confusion matrix that the pairing used, with its diagonal.
    soft_targets_ : ndarray of shape (n_samples_new, n_classes)
        With ``label="foreground"``: the label of each row as shares of the sorted classes. Not to
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
        As in `M2mSampler`; all mixed rows are accepted.
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

    Presets, in training: "otmix", "cmo": mix_prob .5, start 4, stop -3; "cutmix", "saliency_mix":
    mix_prob .5; others: every batch. "otmix": `TransportPairing` and CutMix(alpha=4), on tables
    Mixup(alpha=4); "cmo": `RandomPairing` and CutMix(alpha=1), on tables Mixup(alpha=1). Both draw
    foregrounds from the data, classes alike. "cutmix", "saliency_mix", "mixup", "remix" (Mixup with
    the labels of `Remix`), "mamix" (of `MAMix`) and "unimix" draw partners from the mini-batch:
    samples alike, "unimix" with sample weights ``N_y^-0.5``.

    *Fidelity.* Paper: every batch is mixed (Table 7), foregrounds of class k have probability in
    proportion to ``1 / N_k``, and the confusion matrix is of an unbiased validation set. Published
    code: every second batch is mixed, but for the first four and the last three epochs; sample
    weights are ``1 / N_k``, so that classes are alike; confusions are those on the test set;
    features are taken in training mode, from a layer before the last activation. Here: as published
    code in the first two points (``preset="otmix_paper"`` mixes always; foreground_power=2 is the
    paper's draw); confusions on held-out training data; pooled features in evaluation mode.

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
    >>> sampler = OTMixSampler(label="pair", random_state=0)
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
        "label": [StrOptions({"foreground", "pair"})],
        "min_foreground": [Interval(Real, 0, 1, closed="left")],
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

    f = None  # there is no classifier in training offline

    def __init__(
        self,
        *,
        sampling_strategy="auto",
        preset="otmix",
        g=None,
        pairing="auto",
        mix="auto",
        label_rule="auto",
        class_affinity="auto",
        label="foreground",
        min_foreground=0.0,
        image_shape=None,
        categorical_features=None,
        foreground="auto",
        foreground_power="auto",
        mix_prob="auto",
        schedule_power="auto",
        start="auto",
        stop="auto",
        refresh_affinity=True,
        feature_bank=False,
        block_size=128,
        synthetic_share="auto",
        g_recipe="auto",
        batch_size="auto",
        device=None,
        n_jobs=None,
        random_state=None,
        verbose=0,
    ):
        super().__init__(sampling_strategy=sampling_strategy)
        self.preset = preset
        self.g = g
        self.pairing = pairing
        self.mix = mix
        self.label_rule = label_rule
        self.class_affinity = class_affinity
        self.label = label
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

    def _settings_for(self, data: Data) -> dict[str, Any]:
        """Resolve settings, and refuse ways to mix that do not fit the rows."""
        row_shape = data.values.shape[1:]
        n_classes = len(data.classes)
        settings = self._resolved(row_shape, data.class_counts, n_classes, shared=False)
        names = getattr(self, "feature_names_in_", None)
        settings["categorical_features"] = categorical_mask(
            self.categorical_features, row_shape, names
        )
        return settings

    def _resolved(self, row_shape, class_counts, n_classes: int, *, shared: bool) -> dict[str, Any]:
        """Replace each "auto"; `shared`: pairs of a batch have one ratio where the mix is ours."""
        settings = self._settings(class_counts)
        settings["image_shape"] = flat_image_shape(self.image_shape, row_shape)
        images = len(row_shape) > 1 or settings["image_shape"] is not None
        if isinstance(self.mix, str):
            mix = settings["mix"] if images else _FOR_TABLES.get(self.preset, settings["mix"])
            has_choice = any(field.name == "shared" for field in dataclasses.fields(mix))
            settings["mix"] = dataclasses.replace(mix, shared=shared) if has_choice else mix
        if settings["mix"].needs_images and not images:
            raise ValueError(
                f"{type(settings['mix']).__name__} cuts boxes out of images. Got X with rows of "
                f"shape {tuple(row_shape)} and image_shape=None. Pass image_shape=(C, H, W) or "
                "(H, W) if the rows are flat images, else mix=Mixup() or mix=ColumnSwap()."
            )
        if not isinstance(settings["class_affinity"], str):
            settings["class_affinity"] = checked_affinity(settings["class_affinity"], n_classes)
        return settings

    def _n_new(self, wanted: dict[int, int], settings: dict[str, Any]) -> int:
        n_mixed = sum(round(settings["synthetic_share"] * n) for n in wanted.values())
        return sum(wanted.values()) + (n_mixed if self.label == "pair" else 0)

    def _check_targets(self, data: Data, wanted: dict[int, int], *, from_aux: bool) -> None:
        """Name classes with a single sample; any class may have more foregrounds."""
        super()._check_targets(data, wanted, from_aux=True)

    def _guides(self, data: Data, pool: Pool, settings: dict[str, Any], seed: Seed):
        """Fit or convert g, and ask it which classes it takes for each other."""
        pairing, affinity = settings["pairing"], settings["class_affinity"]
        asked = pairing.needs_affinity and isinstance(affinity, str)
        self.g_ = self.class_affinity_ = g = None
        if pairing.needs_affinity and not asked:
            self.class_affinity_ = affinity.numpy()
        if asked and self.g is None:
            g = self._out_of_fold(data, pool, settings, seed)
        elif asked or pairing.needs_features:
            g, _ = super()._guides(data, pool, settings, seed)
        if asked and self.g is not None:
            self.class_affinity_ = self._confusion(g, data, pool, settings, seed).numpy()
        return g, None

    def _sees_columns(self, settings: dict[str, Any]) -> bool:
        own = ("image_shape", "categorical_features")
        return self.g is not None or any(settings[name] is not None for name in own)

    def _judge(self, g: Classifier | None, data: Data, pool: Pool, settings, seed: Seed) -> None:
        self.guide_score_ = None
        if g is not None:
            super()._judge(g, data, pool, settings, seed)

    def _out_of_fold(self, data: Data, pool: Pool, settings, seed: Seed) -> Classifier:
        """Fit networks that each leave out a fold, for features and confusions."""
        n_folds = 4 if len(pool.x.row_shape) == 1 else 2
        recipe = RECIPES[settings["g_recipe"]]
        guides = fit_fold_guides(pool, seed.child("guide"), recipe, n_folds=n_folds)
        self.g_ = guides.members if len(guides.members) > 1 else guides.members[0]
        proba = guides.out_of_fold_proba(pool)
        soft = settings["class_affinity"] == "soft"
        self.class_affinity_ = confusion_of(proba, pool.y, soft=soft).cpu().numpy()
        example = pool.x.take(torch.arange(min(2, len(pool.y)), device=pool.y.device))
        return as_classifier(self.g_, example, data.classes, "g", device=pool.y.device)

    def _confusion(self, g: Classifier, data: Data, pool: Pool, settings, seed: Seed) -> Tensor:
        """Ask the user's g: out of fold if it can be fitted anew, else on the rows of X."""
        own = self.g
        if hasattr(own, "fit") and not isinstance(own, nn.Module) and not is_fitted(own):
            soft, seed = settings["class_affinity"] == "soft", seed.child("folds")
            return confusion_of_estimator(
                own, data.values, data.labels, data.classes, seed, soft=soft
            )
        return confusion_on_training_rows(g, pool, seed.child("confusion")).cpu()

    def _synthesizer(self, settings: dict[str, Any], pool: Pool, g: Classifier | None) -> _Method:
        mixing = self._mixing(settings, self.class_affinity_, pool.y.device)
        features = feature_rows(g, pool) if mixing.pairing.needs_features else None
        return _Method(mixing, features)

    def _mixing(self, settings: dict[str, Any], affinity: Any, device: torch.device) -> PairMixing:
        columns = settings["categorical_features"]
        return PairMixing(
            mix=settings["mix"],
            pairing=settings["pairing"],
            label_rule=settings["label_rule"],
            class_affinity=None if affinity is None else torch.as_tensor(affinity, device=device),
            min_foreground=self.min_foreground,
            image_shape=settings["image_shape"],
            categorical=None if columns is None else torch.from_numpy(columns).to(device),
            block_size=self.block_size,
        )

    def online(self, pool, *, classes, f, seed, raw=None):
        """Begin a training run; `ltresample.training` calls it.

        Parameters
        ----------
        pool : Pool
            The whole training split, as the network in training takes it.
        classes : ndarray of shape (n_classes,)
            Labels, sorted.
        f : nn.Module
            The network in training, whose features and confusions the pairing uses.
        seed : Seed
            Root of what is random in the preparation; `random_state` has no meaning here.
        raw : callable or None, default=None
            Gives the training rows as they came in, for a guide that is to be fitted.

        Returns
        -------
        OnlineMixing
            Rewrites mini-batches; the sampler itself is not changed.
        """
        own, shape = copy.copy(self), pool.x.row_shape
        settings = own._resolved(shape, pool.class_counts.cpu().numpy(), len(classes), shared=True)
        settings["categorical_features"] = categorical_mask(self.categorical_features, shape, None)
        own.g = in_type(self.g, pool.space.scale.dtype)

        def out_of_fold() -> Tensor:
            to_fit = raw is not None and own.g is not None and not ready(own.g)
            X = raw() if to_fit else None
            labels = classes[pool.y.cpu().numpy()]
            own._guides(Data(None, X, labels, classes, None, None), pool, settings, seed)
            return torch.from_numpy(own.class_affinity_)

        given = settings["class_affinity"]
        asked = settings["pairing"].needs_affinity and isinstance(given, str)
        mixing = own._mixing(settings, None if isinstance(given, str) else given, pool.y.device)
        return OnlineMixing(
            mixing,
            pool,
            f,
            plan=Plan(
                **{name: settings[name] for name in Plan._fields[:6]},
                refresh=self.refresh_affinity,
                soft=given == "soft" if asked else False,
            ),
            seed=seed.child("schedule"),
            affinity=out_of_fold if asked else None,
            bank=self.feature_bank,
            settings=settings,
        )

    def _drive(self, synthesizer: _Method, pool: Pool, wanted, seed: Seed, f, **options) -> Filled:
        exact = ArrayRows(pool.x.x, dtype=exact_type(pool.x.x), device=pool.y.device)
        share, write = options["synthetic_share"], options.pop("write")
        twin = twins(wanted, share)

        def write_rows(positions: Tensor, rows: Tensor) -> None:
            write(positions, rows)
            if self.label == "pair":
                write(twin[positions], rows)

        filled, lam = fill_pairs(
            synthesizer.mixing,
            pool._replace(x=exact),
            wanted,
            seed,
            write=write_rows,
            features=synthesizer.features,
            **options,
        )
        y = pool.y.cpu()
        if self.label == "pair":
            filled, weight = paired(filled, lam, twin, y)
        else:
            weight = 1 - lam
            self.soft_targets_ = soft_targets(filled, lam, y, len(pool.class_counts))
        self.sample_weight_ = torch.cat([torch.ones(len(y), dtype=torch.float64), weight]).numpy()
        return filled

    def _report(self, data: Data, filled: Filled, wanted, settings, *, from_aux: bool) -> None:
        """Write the fitted attributes; rates are those of foregrounds."""
        super()._report(
            data, first_rows(filled, sum(wanted.values())), wanted, settings, from_aux=False
        )
        if self.label == "pair":
            n = len(data.y)
            self.is_synthetic_ = np.concatenate([np.zeros(n, bool), filled.synthetic.numpy()])
            self.provenance_ = provenance_records(data, filled, from_aux=False)
            vars(self).pop("soft_targets_", None)
