"""OpenSampler."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
from imblearn.over_sampling.base import BaseOverSampler
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor

from ltresample._compat import check_sampling_strategy
from ltresample._torch import to_numpy
from ltresample.datasets import KnownRows
from ltresample.exceptions import LongTailWarning
from ltresample.over_sampling._base import PROVENANCE, About, BaseSynthesisSampler, Guides, Settings
from ltresample.over_sampling._data import Data
from ltresample.over_sampling._open_set_rows import (
    IteratedRows,
    built_in_rows,
    exact_rows,
    used_columns,
    whole_numbers,
)
from ltresample.over_sampling._renamed import renamed
from ltresample.over_sampling._shares import AllShares
from ltresample.rows import Pool, in_type
from ltresample.synthesis import (
    LABEL_DISTRIBUTIONS,
    Filled,
    Method,
    OpenSampling,
    balancing_size,
    exact_counts,
    label_distribution,
)

__all__ = ["OpenSampler"]


class OpenSampler(BaseSynthesisSampler):
    """Add open-set samples with labels that fill up the class prior (Open-sampling).

    Open-set samples belong to none of the classes: other images, documents on other subjects, rows
    of another population, or noise. They are given random labels, rare classes more often than
    frequent ones, from the complementary distribution (Proposition 1 of [1]_)

    ``Gamma_k = (alpha - N_k / N) / (K alpha - 1)``

    and their loss, weighted by class with ``omega = K Gamma`` and by `eta`, is added to that of the
    real ones. They say nothing about what a class looks like, but fill up the class prior, so that
    a classifier comes to expect rare classes more often.

    In training (``DeferredRebalancingClassifier(resampler=OpenSampler(...))``) labels are drawn anew
    in every step, as the paper does. Offline, here, the labels are drawn once, with exact counts,
    and the weights stand in `sample_weight_`.

    .. warning::
       Fit with ``sample_weight=sampler.sample_weight_``, or use `ResampledClassifier`, which does.
       Without weights most rows of the result count as evidence for labels that were drawn at
       random, and linear models get worse than without any sampling. An imbalanced-learn Pipeline
       drops the weights: `fit_resample` warns unless `weights_used` says that they arrive.

    Parameters
    ----------
    sampling_strategy : float, str, dict or callable, default="auto"
        "auto" adds `n_aux` labels, shared out by Gamma. With the defaults all classes, the largest
        too, end at N_max + N_min samples. Anything else, in imbalanced-learn's sense, sets the
        number of rows per class; Gamma is then in proportion to these numbers.
    X_aux : array-like, Dataset, DataLoader or None, default=None
        Open-set samples with rows like those of X: an array, memory map, sparse matrix, frame,
        tensor, torch Dataset, or a loader that can be started again. For images in [0, 1] unsigned
        bytes are divided by 255. None takes real rows apart and puts them together at random
        (columns of tables, patches of images, words of sparse rows), which is cheap, and warns.
    label_distribution : {"complementary", "minimum", "uniform", "original", "class_balanced"}, \
            default="complementary"
        Gamma: as above; with the smallest alpha, so that the largest class gets none; all classes
        alike; the class prior; in proportion to the inverse effective number of samples.
    n_aux : int or None, default=None
        M, how many open-set rows to add. None: ``N (K alpha - 1)``, with which all classes end at
        ``N alpha`` samples to within one; for other kinds of `label_distribution` and for infinite
        alpha, the number that the default alpha asks for.
    expected_labels : bool, default=False
        In training: use the expected label ``q_k = Gamma_k^2 / sum Gamma^2`` in place of drawn
        ones, which takes the noise of the draw out of the loss. Offline: offer it as
        `soft_targets_`, for the consumers that can use it; labels are drawn as before.
    categorical_features : array-like of int, bool or str, or None, default=None
        Columns that hold categories, by position, mask or name; columns that are one category
        together, such as those of a one-hot encoding, may stand in lists of their own. Categories
        never move: where rows of X are taken apart (``X_aux=None``), columns that are one
        category together come from one row; given rows are as they are. None: they
        are found by type and as groups of one-hot columns; `columns_` says which. An empty list
        switches that off. Columns of text, 'category' or Enum always are categories, and come back
        as they came; inside, each is as many columns of 0 and 1 as it has categories.
    weights_used : bool, default=False
        Say that `sample_weight_` or `soft_targets_` reach the classifier, as `ResampledClassifier`
        does. False: `fit_resample` warns that a plain pipeline drops them.
    batch_size : int or "auto", default="auto"
        Rows read at once. The result does not depend on it.
    random_state : int, RandomState or None, default=None
        Seed of all random numbers; no global generator is touched.
    verbose : int or bool, default=0
        1: show a progress bar. 0: nothing. At any value the logger "ltresample" is told what was
        made and how long it took (INFO), and settings (DEBUG).

    Other Parameters
    ----------------
    alpha : float or None, default=None
        For ``label_distribution="complementary"``, from the largest class prior to infinity (uniform).
        None: largest plus smallest prior, as in [1]_.
    beta : float, default=0.9999
        For ``label_distribution="class_balanced"``, in [0, 1].
    eta : float, default=1.0
        Weight of all open-set rows together, relative to the real ones; at least 0.
    normalize : {"rows", "weights"}, default="rows"
        What the open-set loss is divided by: the number of rows, Eq. 5 of [1]_, or the sum of
        their class weights, as the published code has it.
    relabel : bool, default=True
        In training: draw labels anew in every step. False: each sample keeps its label.
    aux_batch_size : int or None, default=None
        In training: open-set rows in each step. None: as many as a full mini-batch has. Few rows
        make the term noisy, as their labels are random; the published command has 512 beside 128.
    logit_scale : float or "auto", default="auto"
        In training: factor on the logits in the open-set loss. "auto": 30 for a cosine head without
        a scale of its own, whose logits the criterion scales, else 1.

    Attributes
    ----------
    sampling_strategy_ : dict
        Class label to number of rows added.
    label_distribution_ : ndarray of shape (n_classes,)
        Gamma, in the order of the sorted labels.
    class_weight_ : ndarray of shape (n_classes,)
        omega = K Gamma.
    sample_weight_ : ndarray of shape (n_samples_new,)
        1 for real rows; ``eta * omega_y * N / M`` for open-set rows, so that the weighted sum of
        losses is N times the loss of [1]_.
    soft_targets_ : ndarray of shape (n_samples_new, n_classes) or None
        With `expected_labels`: one-hot for real rows; for open-set rows q times the weight that goes
        with it, ``eta * K sum Gamma^2 * N / M``. To be used in place of labels and
        `sample_weight_`, never with them.
    is_synthetic_ : ndarray of bool, shape (n_samples_new,)
        True for open-set rows.
    provenance_ : structured ndarray, shape (n_samples_new,)
        For each row: `origin` ("original" or "open-set"), `seed_index` (its row in X or X_aux),
        `from_aux`, `source` (class index; -1 for open-set rows), `round`, `confidence` (NaN).
    columns_ : dict
        Names, or positions, of the columns that were treated as "numbers", "whole_numbers",
        "categories" and "one_hot" (a list for each group). Empty for images.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray
        Names of the columns, where X is a frame.

    See Also
    --------
    ResampledClassifier : Carries weights and soft targets to a classifier.
    DistributionMatchingOversampler : Turns open-set samples into samples of a class.
    ltresample.datasets.find_near_duplicates : Takes training samples out of auxiliary data.

    Notes
    -----
    *Fidelity.* Paper: labels are drawn anew; the open-set loss is a mean over rows. Published code:
    divided by the sum of the weights, ``normalize="weights"``. The offline form is the paper's
    ablation with fixed labels, which nears the method as M grows; ``expected_labels=True`` is its exact
    expectation for losses that are linear in the target.

    References
    ----------
    .. [1] H. Wei, L. Tao, R. Xie, L. Feng, B. An, "Open-Sampling: Exploring Out-of-Distribution
       Data for Re-balancing Long-tailed Datasets", ICML 2022, arXiv:2206.08802.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ltresample.over_sampling import OpenSampler
    >>> X, y = make_classification(n_samples=200, weights=[0.9], random_state=0)
    >>> X_aux = np.random.default_rng(0).normal(size=(500, X.shape[1]))
    >>> sampler = OpenSampler(X_aux=X_aux, weights_used=True, random_state=0)
    >>> X_res, y_res = sampler.fit_resample(X, y)
    >>> np.bincount(y), np.bincount(y_res)
    (array([180,  20]), array([200, 200]))
    >>> clf = LogisticRegression().fit(X_res, y_res, sample_weight=sampler.sample_weight_)
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseOverSampler._parameter_constraints,
        "X_aux": "no_validation",
        "label_distribution": [StrOptions(set(LABEL_DISTRIBUTIONS))],
        "alpha": [None, Interval(Real, 0, None, closed="right")],
        "beta": [Interval(Real, 0, 1, closed="both")],
        "n_aux": [None, Interval(Integral, 1, None, closed="left")],
        "eta": [Interval(Real, 0, None, closed="left")],
        "expected_labels": ["boolean"],
        "normalize": [StrOptions({"rows", "weights"})],
        "relabel": ["boolean"],
        "aux_batch_size": [None, Interval(Integral, 1, None, closed="left")],
        "logit_scale": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "categorical_features": [None, "array-like"],
        "weights_used": ["boolean"],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "verbose": ["verbose"],
    }
    _preparation = "reading open-set samples"

    @renamed(labels="label_distribution", soft="expected_labels")
    def __init__(
        self,
        *,
        sampling_strategy: float | str | dict[Any, int] | Callable[..., Any] = "auto",
        X_aux: Any = None,
        label_distribution: str = "complementary",
        alpha: float | None = None,
        beta: float = 0.9999,
        n_aux: int | None = None,
        eta: float = 1.0,
        expected_labels: bool = False,
        normalize: str = "rows",
        relabel: bool = True,
        aux_batch_size: int | None = None,
        logit_scale: float | Literal["auto"] = "auto",
        categorical_features: ArrayLike | None = None,
        weights_used: bool = False,
        batch_size: int | Literal["auto"] = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int | bool = 0,
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.X_aux = X_aux
        self.label_distribution = label_distribution
        self.alpha = alpha
        self.beta = beta
        self.n_aux = n_aux
        self.eta = eta
        self.expected_labels = expected_labels
        self.normalize = normalize
        self.relabel = relabel
        self.aux_batch_size = aux_batch_size
        self.logit_scale = logit_scale
        self.categorical_features = categorical_features
        self.weights_used = weights_used
        self.batch_size = batch_size
        self.random_state = random_state
        self.verbose = verbose

    def carrying(self) -> OpenSampler:
        """Return an unfitted copy for a consumer that uses `sample_weight_` or `soft_targets_`."""
        return clone(self).set_params(weights_used=True)

    def method(self, settings: Any, pool: Pool, guides: Guides) -> Method:
        """Build the method; see `BaseSynthesisSampler.method`.

        Parameters
        ----------
        settings : NamedTuple
            Nothing of this sampler can be "auto".
        pool : Pool
            Real samples, and open-set samples.
        guides : Guides
            Holds the seed and, in training, the network.

        Returns
        -------
        OpenSampling
            What the engine drives.
        """
        offline, scale = guides.live is None, self.logit_scale
        if scale == "auto":
            scale = 1.0 if offline else guides.live.scales[0]  # of the network in training
        if offline:
            distribution = self.label_distribution_
        else:
            distribution = self._distribution(pool.counts.numpy())
        return OpenSampling(
            distribution,
            eta=float(self.eta),
            n_aux=self.aux_batch_size,
            soft=self.expected_labels,
            normalize=self.normalize,
            fixed=None if self.relabel else guides.seed.child("fixed labels"),
            logit_scale=float(scale),
            root=guides.seed,
            block_size=self._batch_size(pool),
        )

    def _strategy(self, data: Data) -> dict:
        """Say how many rows each label gets, and write what follows from the counts."""
        check_sampling_strategy("auto", data.labels, self._sampling_type)  # two classes at least
        if isinstance(self.sampling_strategy, str) and self.sampling_strategy == "auto":
            distribution = self._distribution(data.class_counts)
            counts = exact_counts(self._size(data.class_counts), distribution)
        else:
            counts = self._explicit_counts(data)
            distribution = counts / max(1, counts.sum())
        labels = data.classes.tolist()
        self.label_distribution_ = distribution
        self.class_weight_ = len(labels) * distribution
        return {k: int(n) for k, n in zip(labels, counts, strict=True) if n}

    def _distribution(self, class_counts: np.ndarray) -> np.ndarray:
        kind = self.label_distribution
        return label_distribution(class_counts, kind, alpha=self.alpha, beta=self.beta)

    def _size(self, class_counts: np.ndarray) -> int:
        if self.n_aux is not None:
            return self.n_aux
        finite = self.alpha is not None and np.isfinite(self.alpha)
        if self.label_distribution == "minimum":
            return balancing_size(class_counts, class_counts.max() / class_counts.sum())
        return balancing_size(class_counts, self.alpha if finite else None)

    def _explicit_counts(self, data: Data) -> np.ndarray:
        """Count what `sampling_strategy` asks for, in the order of the classes."""
        given = {
            "label_distribution": (self.label_distribution, "complementary"),
            "alpha": (self.alpha, None),
            "n_aux": (self.n_aux, None),
        }
        clash = [f"{name}={own!r}" for name, (own, default) in given.items() if own != default]
        if clash:
            raise ValueError(
                "The number of open-set rows per class follows either from sampling_strategy or from "
                "label_distribution, alpha and n_aux. Got sampling_strategy="
                f"{self.sampling_strategy!r} and {', '.join(clash)}. Leave one side at its default."
            )
        wanted = check_sampling_strategy(self.sampling_strategy, data.labels, self._sampling_type)
        return np.array([int(wanted.get(label, 0)) for label in data.classes])

    def _batch_size(self, pool: Pool) -> int:
        if self.batch_size != "auto":
            return self.batch_size
        row = 8 * max(1, int(np.prod(pool.x.row_shape)))
        return int(np.clip((32 << 20) // row, 64, 4096))

    def _resolve(self, about: About) -> Settings:
        """Refuse what has no meaning in training."""
        named = isinstance(self.sampling_strategy, str) and self.sampling_strategy == "auto"
        if about.in_training and not named:
            raise ValueError(
                "In training the labels follow from label_distribution and alpha. Got OpenSampler("
                f"sampling_strategy={self.sampling_strategy!r}). Leave it at 'auto'."
            )
        if about.in_training and not about.from_aux:
            raise ValueError(
                "OpenSampler needs open-set samples in training. Got X_aux=None. Pass an array, a "
                "memory map, a Dataset or a DataLoader of samples that belong to none of the "
                "classes, or make some with the generators of ltresample.datasets."
            )
        return super()._resolve(about)

    def _aux(self, X_aux: Any) -> Any:
        return self.X_aux if X_aux is None else X_aux

    def _check_targets(self, data: Data, wanted: dict[int, int], *, from_aux: bool) -> None:
        """Take all classes as they are: no row is made of theirs."""

    def _pool(self, data: Data, X: Any, aux: Any) -> Pool:
        """Return real rows and open-set samples, the latter with all values as they are."""
        if aux is None:
            _warn_of_built_in_rows()
        else:
            aux = exact_rows(aux, data.values)
        return super()._pool(data, X, None)._replace(aux_x=aux)

    def _fill(self, data, method, pool, wanted, seed, settings, f, *, write) -> Filled:
        """Fill with open-set samples, and count those that are real rows."""
        if pool.aux_x is None:
            return self._fill_built_in(data, method, pool, wanted, seed, settings, f, write=write)
        known, n_known = KnownRows(data.values), 0

        def counted(at: Tensor, rows: Tensor) -> None:
            nonlocal n_known
            n_known += known.count(in_type(to_numpy(rows), data.values.dtype))
            write(at, rows)

        filled = super()._fill(data, method, pool, wanted, seed, settings, f, write=counted)
        if n_known:
            _warn_of_known_rows(n_known, len(filled.y))
        return filled

    def _fill_built_in(self, data, method, pool, wanted, seed, settings, f, *, write) -> Filled:
        """Fill with rows that are made of real ones; columns that hold nothing cost nothing."""
        columns, m = used_columns(data), sum(wanted.values())
        pool = pool._replace(aux_x=IteratedRows(built_in_rows(data, m, seed, columns)))
        if columns is not None:
            whole, width = whole_numbers(data, columns), data.values.shape[1]
            put = data.container.write_columns

            def write(at: Tensor, rows: Tensor) -> None:
                put(at, whole(rows), columns, width)

        return super()._fill(data, method, pool, wanted, seed, settings, f, write=write)

    def _sees_columns(self, settings: Settings) -> bool:
        return True  # open-set samples have them

    def _writer(self, write: Any, data: Data, wanted: dict[int, int], settings: Any) -> Any:
        """Return the function that takes rows; whole numbers stay such."""
        whole, put = whole_numbers(data), data.container.write
        return lambda at, rows: put(at, whole(rows))

    def _write_learned(self, method: Method, guides: Guides, data: Data, score: Any) -> None:
        """Nothing was fitted."""

    def _report(self, data: Data, filled: Filled, wanted, settings, *, from_aux: bool) -> None:
        """Write the fitted attributes that follow the rows."""
        n, m, y_new = len(data.y), len(filled.y), filled.y.numpy()
        method = OpenSampling(self.label_distribution_, eta=self.eta, normalize=self.normalize)
        share = n / max(1, m)
        extra = share * method.coefficient(y_new) * method.class_weight[y_new]
        self.sample_weight_ = np.concatenate([np.ones(n), extra])
        self.soft_targets_ = self._shares = None
        if self.expected_labels:
            expected, none = replace(method, soft=True), np.zeros(len(self.label_distribution_))
            row = share * expected.coefficient(y_new) * expected.soft_target if m else none
            self.soft_targets_ = np.concatenate([np.eye(len(row))[data.y], np.tile(row, (m, 1))])
            self._shares = AllShares(np.concatenate([data.y, y_new]), self.soft_targets_)
        self.is_synthetic_ = np.arange(n + m) >= n
        record = np.zeros(n + m, dtype=PROVENANCE)
        record["origin"] = np.where(self.is_synthetic_, "open-set", "original")
        record["seed_index"] = np.concatenate([np.arange(n), filled.index.numpy()])
        record["partner_index"] = -1
        record["from_aux"] = self.is_synthetic_
        record["source"] = np.concatenate([data.y, np.full(m, -1)])
        record["round"] = -1
        record["confidence"] = np.nan
        self.provenance_ = record
        if m and not self.weights_used:
            _warn_of_lost_weights(n, self.sample_weight_)


def _warn_of_lost_weights(n_real: int, weight: np.ndarray) -> None:
    extra = weight[n_real:]
    warnings.warn(
        f"{len(extra)} open-set rows have labels drawn at random and count only with the weights in "
        f"sample_weight_ (mean {extra.mean():.2g}, {extra.min():.2g} to {extra.max():.2g}), which a "
        "plain pipeline drops. Use ResampledClassifier(classifier, sampler), or fit with "
        "sample_weight=sampler.sample_weight_ and pass weights_used=True.",
        LongTailWarning,
        stacklevel=4,
    )


def _warn_of_built_in_rows() -> None:
    warnings.warn(
        "OpenSampler got no open-set samples (X_aux=None) and makes them of the rows of X, taken "
        "apart and put together at random. Pass X_aux, samples of none of the classes that look "
        "like those of X; natural ones help most.",
        LongTailWarning,
        stacklevel=3,
    )


def _warn_of_known_rows(n_known: int, m: int) -> None:
    warnings.warn(
        f"{n_known} of the {m} open-set rows that were used equal rows of X. Their random labels "
        "contradict the true ones. Take them out of X_aux with "
        "ltresample.datasets.find_near_duplicates.",
        LongTailWarning,
        stacklevel=3,
    )
