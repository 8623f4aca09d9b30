"""SAFASampler."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils._param_validation import Interval, StrOptions

from ltresample._torch import pick_device
from ltresample.over_sampling._base import BaseSynthesisSampler, Guides
from ltresample.over_sampling._data import Data, real_pool
from ltresample.rows import Pool
from ltresample.synthesis import (
    Method,
    Safa,
    SafaRecipe,
    SafaSettings,
    fit_safa,
    head_classes,
)

__all__ = ["SAFASampler"]

_WEIGHT = [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")]
_BASE = BaseSynthesisSampler._parameter_constraints
_SHARED = ("sampling_strategy", "random_state", "synthetic_share")
_SHARED += ("batch_size", "device", "n_jobs", "verbose")


class FeatureSettings(NamedTuple):
    """What each "auto" stands for; the values are those of ``preset="scaled"``."""

    reconstruction_weight: float = 10.0
    tail_spread_weight: float = 0.01
    head_spread_weight: float = 0.01
    contrast_weight: float = 0.1
    delta_sign: str = "consistent"
    generator: str = "residual"
    synthetic_share: float = 0.5


class SAFASampler(BaseSynthesisSampler):
    """Over-sample by moving tail samples along differences within the head (SAFA).

    For rows that are features: columns of a table, or the output of a frozen network. Two samples
    of a *head* class, one of the largest, differ in a way that has nothing to do with the class;
    four small networks learn to take such a difference to a sample t of a small class,

    ``Delta = E(h_i - h_j),  new row = G(D([Delta; t]) + t)``  (Eq. 2 and 3 of [1]_)

    so that the difference can be found again in the new row (cycle reconstruction, Eq. 4 and 5), a
    fourth network Q cannot tell the new row from its class (contrast, Eq. 6), and different
    differences give different rows (mode seeking, Eq. 7). They are fitted to the standardised data
    together with a throw-away linear classifier; then rows are made for each class that is short.
    Counts are exact, labels hard.

    Parameters
    ----------
    sampling_strategy : float, str, dict or callable, default="auto"
        How many samples each class is to have, in imbalanced-learn's sense; "auto" fills all classes
        to the largest.
    preset : {"scaled", "paper"}, default="scaled"
        What each ``"auto"`` below stands for; `settings_` holds the result. See the Notes.
    n_steps : int or None, default=None
        Gradient steps in which the networks are fitted, in batches of 64 head pairs and 64 tail
        pairs. None: 6 passes over the data, between 30 and 40 steps; on digits and three tables 100
        to 200 steps gave no better classifier, at five times the cost.
    categorical_features : array-like of int, bool or str, or None, default=None
        Columns that hold categories, by position, mask or name; columns that are one category
        together, such as those of a one-hot encoding, may stand in lists of their own. Categories
        never move: a synthetic row has those of the row of its class that is moved. None: they
        are found by type and as groups of one-hot columns; `columns_` says which. An empty list
        switches that off. Columns of text, 'category' or Enum always are categories, and come back
        as they came; inside, each is as many columns of 0 and 1 as it has categories.
    synthetic_share : float or "auto", default="auto"
        Share of the new rows that are synthetic, in [0, 1]; the others are duplicates.
    batch_size : int or "auto", default="auto"
        Rows made in one pass. The rows do not depend on it.
    device : str, torch.device or None, default=None
        Where to compute. None: the CPU. "auto": an accelerator if there is one.
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
    head_ratio : float, default=0.2
        gamma, in (0, 1): share of the classes, the largest ones, that are the head. At least one
        class is in the head and one in the tail.
    reconstruction_weight : float or "auto", default="auto"
        lambda_1, at least 0; 0 leaves the loss out, as in the next three.
    tail_spread_weight : float or "auto", default="auto"
        lambda_2, of the loss that keeps two moved samples of a class apart.
    head_spread_weight : float or "auto", default="auto"
        lambda_3, of the loss that keeps one sample moved in two ways apart.
    contrast_weight : float or "auto", default="auto"
        lambda_4.
    head_spread : {"deltas", "printed"}, default="deltas"
        L_ms^h: distance of two deltas over that of one tail sample moved by both, as the text of
        [1]_ describes it; or the ratio as Eq. 7 prints it.
    reconstruction : {"mean_square", "norm"}, default="mean_square"
        L_r: mean of squared errors, or mean of the Euclidean norms.
    delta_sign : {"paper", "consistent", "auto"}, default="auto"
        The delta that is found again is that of new row minus tail sample ("paper") or, in the order
        of Eq. 2, of tail sample minus new row ("consistent").
    generator : {"plain", "residual", "auto"}, default="auto"
        "residual" lets G add to its input, so that it need not learn to give it back.
    width : int or None, default=None
        Hidden units of E, D, G and Q. None: as many as columns, within 64 and 256.
    learning_rate : float, default=0.01
        Of AdamW, falling to 0 along a cosine.

    Attributes
    ----------
    sampling_strategy_ : dict
        Class label to number of rows added.
    settings_ : dict
        What each parameter that can be "auto" stood for.
    networks_ : nn.Module
        E (`encoder`), D (`adapter`), G (`generator`) and Q (`contrast`, `contrast_head`).
    classifier_ : nn.Module
        The linear classifier, of standardised rows.
    head_classes_ : ndarray
        Labels of the head.
    is_synthetic_ : ndarray of bool, shape (n_samples_new,)
        True for synthetic rows; False for real ones and their duplicates.
    provenance_ : structured ndarray, shape (n_samples_new,)
        For each row: `origin` ("original", "synthetic", "duplicate"), `seed_index` (the row of X
        that was moved or copied), `from_aux`, `source` (class index of that row), `round`,
        `confidence` (the linear classifier's probability of the label).
    acceptance_rate_ : dict
        Class label to accepted / tried synthetic rows; only a row that equals its seed is rejected.
    shortfall_ : dict
        Class label to synthetic rows that duplicates replaced.
    columns_ : dict
        Names, or positions, of the columns that were treated as "numbers", "whole_numbers",
        "categories" and "one_hot" (a list for each group). Empty for images.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray
        Names of the columns, where X is a frame.

    See Also
    --------
    ltresample.training.SAFA : The same between two layers of a network in training.

    Notes
    -----
    ``preset="paper"``: weights 100, 0.01, 0.01 and 0.1, delta_sign "paper", generator "plain",
    synthetic_share 1. ``preset="scaled"``: weights 10, 0.01, 0.01 and 0.1, delta_sign "consistent",
    generator "residual", synthetic_share 0.5.

    *Fidelity.* No code of the paper's authors is public. The paper: maps of a network that is
    trained along, lambda_3 = 100, which stands beside lambda_2 = 0.01 for a loss of the same form.
    Here: fixed vectors, convolutions become linear layers, lambda_3 = 0.01; a row is made with the
    batch statistics of 1,024 rows of its kind. On fixed vectors nothing but L_c and the classifier
    ties a moved row to its class, and a plain G forgets it: hence the residual one.

    References
    ----------
    .. [1] Y. Hong, J. Zhang, Z. Sun, K. Yan, "SAFA: Sample-Adaptive Feature Augmentation for
       Long-Tailed Image Classification", ECCV 2022.

    Examples
    --------
    >>> from collections import Counter
    >>> from sklearn.datasets import make_classification
    >>> from ltresample.over_sampling import SAFASampler
    >>> X, y = make_classification(n_samples=200, weights=[0.9], random_state=0)
    >>> X_res, y_res = SAFASampler(random_state=0).fit_resample(X, y)
    >>> Counter(y_res.tolist())[0] == Counter(y_res.tolist())[1]
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        **{name: _BASE[name] for name in _SHARED},
        "preset": [StrOptions({"scaled", "paper"})],
        "head_ratio": [Interval(Real, 0, 1, closed="neither")],
        "reconstruction_weight": _WEIGHT,
        "tail_spread_weight": _WEIGHT,
        "head_spread_weight": _WEIGHT,
        "contrast_weight": _WEIGHT,
        "head_spread": [StrOptions({"deltas", "printed"})],
        "reconstruction": [StrOptions({"mean_square", "norm"})],
        "delta_sign": [StrOptions({"paper", "consistent", "auto"})],
        "generator": [StrOptions({"plain", "residual", "auto"})],
        "width": [None, Interval(Integral, 1, None, closed="left")],
        "n_steps": [None, Interval(Integral, 0, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "categorical_features": [None, "array-like"],
    }
    _presets: ClassVar[dict] = {
        "scaled": FeatureSettings(),
        "paper": FeatureSettings(
            reconstruction_weight=100.0,
            delta_sign="paper",
            generator="plain",
            synthetic_share=1.0,
        ),
    }
    _preparation = "fitting the networks"
    _advice = (
        "Where all columns hold whole numbers, rows that hardly move are rounded to the row that they "
        "come from. Give X as floating-point numbers, or lower reconstruction_weight."
    )

    def __init__(
        self,
        *,
        sampling_strategy: float | str | dict[Any, int] | Callable[..., Any] = "auto",
        preset: str = "scaled",
        head_ratio: float = 0.2,
        reconstruction_weight: float | Literal["auto"] = "auto",
        tail_spread_weight: float | Literal["auto"] = "auto",
        head_spread_weight: float | Literal["auto"] = "auto",
        contrast_weight: float | Literal["auto"] = "auto",
        head_spread: str = "deltas",
        reconstruction: str = "mean_square",
        delta_sign: str = "auto",
        generator: str = "auto",
        width: int | None = None,
        n_steps: int | None = None,
        learning_rate: float = 0.01,
        categorical_features: ArrayLike | None = None,
        synthetic_share: float | Literal["auto"] = "auto",
        batch_size: int | Literal["auto"] = "auto",
        device: str | torch.device | None = None,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int | bool = 0,
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.preset = preset
        self.head_ratio = head_ratio
        self.reconstruction_weight = reconstruction_weight
        self.tail_spread_weight = tail_spread_weight
        self.head_spread_weight = head_spread_weight
        self.contrast_weight = contrast_weight
        self.head_spread = head_spread
        self.reconstruction = reconstruction
        self.delta_sign = delta_sign
        self.generator = generator
        self.width = width
        self.n_steps = n_steps
        self.learning_rate = learning_rate
        self.categorical_features = categorical_features
        self.synthetic_share = synthetic_share
        self.batch_size = batch_size
        self.device = device
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def bind(self, pool, **params):
        """Refuse: in training SAFA stands between two layers.

        Parameters
        ----------
        pool : Pool
            The training split.
        **params : dict
            What training would pass on; not used.

        Raises
        ------
        TypeError
            Always.
        """
        raise TypeError(
            "SAFASampler makes rows before training; in training features are augmented between two "
            "layers. Got it as a resampler. Pass ltresample.training.SAFA(layer=...)."
        )

    def _check_targets(self, data: Data, wanted: dict[int, int], *, from_aux: bool) -> None:
        """Refuse data without a head pair or a tail class; name classes with a single sample."""
        head_classes(torch.as_tensor(data.class_counts), self.head_ratio)
        self._name_single_samples(data, wanted)

    def _pool(self, data: Data, X: Any, aux: Any) -> Pool:
        return real_pool(data, X, device=pick_device(self.device))

    def _sees_columns(self, settings: Any) -> bool:
        return False

    def method(self, settings: FeatureSettings, pool: Pool, guides: Guides) -> Method:
        """Fit the networks, and build the method; see `BaseSynthesisSampler.method`.

        Parameters
        ----------
        settings : NamedTuple
            Each parameter that can be "auto", resolved.
        pool : Pool
            Real samples.
        guides : Guides
            Holds the seed; there are no classifiers g and f.

        Returns
        -------
        Safa
            What the engine drives.
        """
        fitted = fit_safa(
            pool,
            guides.seed.child("networks"),
            SafaSettings(
                reconstruction_weight=settings.reconstruction_weight,
                tail_spread_weight=settings.tail_spread_weight,
                head_spread_weight=settings.head_spread_weight,
                contrast_weight=settings.contrast_weight,
                mean_square=self.reconstruction == "mean_square",
                literal_spread=self.head_spread == "printed",
                consistent_sign=settings.delta_sign == "consistent",
            ),
            SafaRecipe(
                head_ratio=self.head_ratio,
                width=self.width,
                residual=settings.generator == "residual",
                n_steps=self.n_steps,
                lr=self.learning_rate,
            ),
        )
        return Safa(fitted)

    def _write_learned(self, method: Safa, guides: Guides, data: Data, score: Any) -> None:
        """Write the networks and the classes of the head."""
        fitted = method.fitted
        self.networks_, self.classifier_ = fitted.networks, fitted.classifier
        self.head_classes_ = data.classes[fitted.is_head.cpu().numpy()]
