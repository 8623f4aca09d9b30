"""OpenSampler."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import ClassVar, NamedTuple

import numpy as np
from imblearn.over_sampling.base import BaseOverSampler
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor

from ltresample._compat import check_sampling_strategy, fit_context
from ltresample._random import Seed, root_seed
from ltresample.exceptions import LongTailWarning
from ltresample.guides import unscaled_cosine_factor
from ltresample.over_sampling._base import PROVENANCE
from ltresample.over_sampling._carried import CarriesLabels
from ltresample.over_sampling._data import Data, aligned_aux, open_data
from ltresample.over_sampling._open_set_rows import (
    append_rows,
    built_in_rows,
    open_for_training,
    read_rows,
)
from ltresample.rows import ArrayRows, Pool, take_labels
from ltresample.synthesis import (
    LABEL_DISTRIBUTIONS,
    Batch,
    OnlineSynthesis,
    OpenSampling,
    balancing_size,
    exact_counts,
    label_distribution,
    rewrite_batch,
)

__all__ = ["OpenSampler"]


class _Plan(NamedTuple):
    """What is to be added."""

    counts: np.ndarray  # (K,) open-set rows per label
    distribution: np.ndarray  # (K,) Gamma


@dataclass
class OnlineOpenSampling(OnlineSynthesis):
    """Open-sampling, bound to a training split."""

    method: OpenSampling
    pool: Pool  # the whole training split and the open-set samples
    n_largest: int = 0  # rows of the largest mini-batch so far
    balanced: bool = False  # batches are drawn from the data as they are

    def rewrite(self, x: Tensor, y: Tensor, *, seed: Seed, index: Tensor | None = None) -> Batch:
        """Put open-set rows behind a mini-batch, with a loss term of their own."""
        self.n_largest = max(self.n_largest, len(y))
        # the last mini-batch of an epoch may be small; few random labels would be mostly noise
        n_aux = self.n_largest if self.method.n_aux is None else self.method.n_aux
        rows = ArrayRows(x, dtype=x.dtype, device=x.device)
        pool = self.pool._replace(x=rows, y=y, in_batch=True)
        return rewrite_batch(replace(self.method, n_aux=n_aux), pool, seed)


class OpenSampler(CarriesLabels, BaseOverSampler):
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
       random. An imbalanced-learn Pipeline drops the weights.

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
    labels : {"complementary", "minimum", "uniform", "original", "class_balanced"}, \
            default="complementary"
        Gamma: as above; with the smallest alpha, so that the largest class gets none; all classes
        alike; the class prior; in proportion to the inverse effective number of samples.
    alpha : float or None, default=None
        For ``labels="complementary"``, from the largest class prior to infinity (uniform). None:
        largest plus smallest prior, as in [1]_.
    beta : float, default=0.9999
        For ``labels="class_balanced"``, in [0, 1].
    n_aux : int or None, default=None
        M, how many open-set rows to add. None: ``N (K alpha - 1)``, with which all classes end at
        ``N alpha`` samples to within one; for other kinds of `labels` and for infinite alpha, the
        number that the default alpha asks for.
    eta : float, default=1.0
        Weight of all open-set rows together, relative to the real ones; at least 0.
    soft : bool, default=False
        In training: use the expected label ``q_k = Gamma_k^2 / sum Gamma^2`` in place of drawn
        ones, which takes the noise of the draw out of the loss. Offline: offer it as
        `soft_targets_`, for the consumers that can use it; labels are drawn as before.
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
    batch_size : int or "auto", default="auto"
        Rows read at once. The result does not depend on it.
    random_state : int, RandomState or None, default=None
        Seed of all random numbers; no global generator is touched.

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
        With `soft`: one-hot for real rows; for open-set rows q times the weight that goes with it,
        ``eta * K sum Gamma^2 * N / M``. To be used in place of labels and `sample_weight_`, never
        with them.
    is_synthetic_ : ndarray of bool, shape (n_samples_new,)
        True for open-set rows.
    provenance_ : structured ndarray, shape (n_samples_new,)
        For each row: `origin` ("original" or "open-set"), `seed_index` (its row in X or X_aux),
        `from_aux`, `source` (class index; -1 for open-set rows), `round`, `confidence` (NaN).
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
    ablation with fixed labels, which nears the method as M grows; ``soft=True`` is its exact
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
    >>> sampler = OpenSampler(X_aux=X_aux, random_state=0)
    >>> X_res, y_res = sampler.fit_resample(X, y)
    >>> np.bincount(y), np.bincount(y_res)
    (array([180,  20]), array([200, 200]))
    >>> clf = LogisticRegression().fit(X_res, y_res, sample_weight=sampler.sample_weight_)
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseOverSampler._parameter_constraints,
        "X_aux": "no_validation",
        "labels": [StrOptions(set(LABEL_DISTRIBUTIONS))],
        "alpha": [None, Interval(Real, 0, None, closed="right")],
        "beta": [Interval(Real, 0, 1, closed="both")],
        "n_aux": [None, Interval(Integral, 1, None, closed="left")],
        "eta": [Interval(Real, 0, None, closed="left")],
        "soft": ["boolean"],
        "normalize": [StrOptions({"rows", "weights"})],
        "relabel": ["boolean"],
        "aux_batch_size": [None, Interval(Integral, 1, None, closed="left")],
        "logit_scale": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        *,
        sampling_strategy="auto",
        X_aux=None,
        labels="complementary",
        alpha=None,
        beta=0.9999,
        n_aux=None,
        eta=1.0,
        soft=False,
        normalize="rows",
        relabel=True,
        aux_batch_size=None,
        logit_scale="auto",
        batch_size="auto",
        random_state=None,
    ):
        super().__init__(sampling_strategy=sampling_strategy)
        self.X_aux = X_aux
        self.labels = labels
        self.alpha = alpha
        self.beta = beta
        self.n_aux = n_aux
        self.eta = eta
        self.soft = soft
        self.normalize = normalize
        self.relabel = relabel
        self.aux_batch_size = aux_batch_size
        self.logit_scale = logit_scale
        self.batch_size = batch_size
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, **params):
        """Check the input and compute `sampling_strategy_`; use `fit_resample` to resample.

        Parameters
        ----------
        X : array-like, data frame, sparse matrix or tensor of shape (n_samples, n_features, ...)
            Real samples.
        y : array-like of shape (n_samples,)
            Their labels.
        **params : dict
            Ignored.

        Returns
        -------
        self
            The sampler.
        """
        self._plan(open_data(self, X, y))
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def fit_resample(self, X, y, *, X_aux=None):
        """Put open-set samples with random labels behind the real ones.

        Parameters
        ----------
        X : array-like, data frame, sparse matrix or tensor of shape (n_samples, n_features, ...)
            Real samples: rows of a table, or images with values in [0, 1] or whole numbers in
            [0, 255]. Never modified.
        y : array-like of shape (n_samples,)
            Their labels.
        X_aux : array-like, Dataset, DataLoader or None, default=None
            Open-set samples. Takes the place of the parameter of the same name.

        Returns
        -------
        X_resampled : as X
            The real rows, untouched and in their order, then the open-set rows.
        y_resampled : as y
            Labels of these rows. To be used with `sample_weight_`.

        Raises
        ------
        ValueError
            If X, y or X_aux cannot be used, or parameters contradict each other.
        """
        data = open_data(self, X, y)
        plan = self._plan(data)
        seed = root_seed(self.random_state)
        y_new = np.repeat(np.arange(len(plan.counts)), plan.counts)
        y_new = seed.child("labels").numpy().permutation(y_new)
        aux = aligned_aux(
            self.X_aux if X_aux is None else X_aux, getattr(self, "feature_names_in_", None)
        )
        size = self._rows_at_once(data)
        if aux is None:
            _warn_of_built_in_rows()
            index, blocks = np.arange(len(y_new)), built_in_rows(data.values, len(y_new), seed)
        else:
            index, blocks = read_rows(aux, data.values, len(y_new), seed, size)
        X_new, n_known = append_rows(data, blocks, len(y_new))
        if n_known and aux is not None:
            _warn_of_known_rows(n_known, len(y_new))
        self._report(data, plan, y_new, index)
        first = np.unique(data.y, return_index=True)[1]  # a row with each label
        label_rows = np.concatenate([np.arange(len(data.y)), first[y_new]])
        return X_new, take_labels(y, label_rows, len(y_new))

    def _fit_resample(self, X, y, **params):
        """Do what `fit_resample` does; imbalanced-learn's base asks for this method."""
        return self.fit_resample(X, y, **params)

    def _plan(self, data: Data) -> _Plan:
        """Say how many rows each label gets, and write what follows from the counts."""
        check_sampling_strategy("auto", data.labels, self._sampling_type)  # two classes at least
        if isinstance(self.sampling_strategy, str) and self.sampling_strategy == "auto":
            distribution = self._distribution(data.class_counts)
            counts = exact_counts(self._size(data.class_counts), distribution)
        else:
            counts = self._explicit_counts(data)
            distribution = counts / max(1, counts.sum())
        labels = data.classes.tolist()
        self.sampling_strategy_ = {k: int(n) for k, n in zip(labels, counts, strict=True) if n}
        self.label_distribution_ = distribution
        self.class_weight_ = len(labels) * distribution
        return _Plan(counts, distribution)

    def _distribution(self, class_counts: np.ndarray) -> np.ndarray:
        return label_distribution(class_counts, self.labels, alpha=self.alpha, beta=self.beta)

    def _size(self, class_counts: np.ndarray) -> int:
        if self.n_aux is not None:
            return self.n_aux
        finite = self.alpha is not None and np.isfinite(self.alpha)
        if self.labels == "minimum":
            return balancing_size(class_counts, class_counts.max() / class_counts.sum())
        return balancing_size(class_counts, self.alpha if finite else None)

    def _explicit_counts(self, data: Data) -> np.ndarray:
        """Count what `sampling_strategy` asks for, in the order of the classes."""
        given = {"labels": "complementary", "alpha": None, "n_aux": None}
        clash = [f"{k}={getattr(self, k)!r}" for k, v in given.items() if getattr(self, k) != v]
        if clash:
            raise ValueError(
                "The number of open-set rows per class follows either from sampling_strategy or "
                f"from labels, alpha and n_aux. Got sampling_strategy={self.sampling_strategy!r} "
                f"and {', '.join(clash)}. Leave one side at its default."
            )
        wanted = check_sampling_strategy(self.sampling_strategy, data.labels, self._sampling_type)
        plain = {getattr(k, "item", lambda k=k: k)(): int(n) for k, n in wanted.items()}
        return np.array([plain.get(label, 0) for label in data.classes.tolist()])

    def _rows_at_once(self, data: Data) -> int:
        if self.batch_size != "auto":
            return self.batch_size
        return int(np.clip((32 << 20) // (8 * max(1, np.prod(data.values.shape[1:]))), 64, 4096))

    def online(self, pool, *, classes, f, seed, raw=None):
        """Begin a training run; `ltresample.training` calls it.

        Parameters
        ----------
        pool : Pool
            The whole training split, as the network in training takes it.
        classes : ndarray of shape (n_classes,)
            Labels, sorted.
        f : nn.Module
            The network in training.
        seed : Seed
            Root of what is random in the preparation.
        raw : callable or None, default=None
            Not used.

        Returns
        -------
        OnlineOpenSampling
            Puts open-set rows behind mini-batches; the sampler itself is not changed.

        Raises
        ------
        ValueError
            If there are no open-set samples or they cannot be used, `alpha` is below the largest
            class prior, or `sampling_strategy` is not "auto": it sets numbers of rows.
        """
        if not (isinstance(self.sampling_strategy, str) and self.sampling_strategy == "auto"):
            raise ValueError(
                "In training the labels follow from labels and alpha. Got OpenSampler("
                f"sampling_strategy={self.sampling_strategy!r}). Leave it at 'auto'."
            )
        aux = self.X_aux if pool.aux_x is None else pool.aux_x
        if aux is None:
            raise ValueError(
                "OpenSampler needs open-set samples in training. Got X_aux=None. Pass an array, a "
                "memory map, a Dataset or a DataLoader of samples that belong to none of the "
                "classes, or make some with the generators of ltresample.datasets."
            )
        scale = self.logit_scale
        method = OpenSampling(
            distribution=self._distribution(pool.class_counts.cpu().numpy()),
            eta=float(self.eta),
            n_aux=self.aux_batch_size,
            soft=self.soft,
            normalize=self.normalize,
            fixed=None if self.relabel else seed.child("fixed labels"),
            logit_scale=unscaled_cosine_factor(f) if scale == "auto" else float(scale),
        )
        return OnlineOpenSampling(method, pool._replace(aux_x=open_for_training(aux, pool)))

    def _report(self, data: Data, plan: _Plan, y_new: np.ndarray, index: np.ndarray) -> None:
        """Write the fitted attributes that follow the rows."""
        n, m = len(data.y), len(y_new)
        method = OpenSampling(plan.distribution, eta=self.eta, normalize=self.normalize)
        share = n / max(1, m)
        extra = share * method.coefficient(y_new) * method.class_weight[y_new]
        self.sample_weight_ = np.concatenate([np.ones(n), extra])
        self.soft_targets_ = None
        if self.soft:
            expected = replace(method, soft=True)
            row = share * expected.coefficient(y_new) * expected.soft_target if m else plan.counts
            self.soft_targets_ = np.concatenate([np.eye(len(row))[data.y], np.tile(row, (m, 1))])
        self.is_synthetic_ = np.arange(n + m) >= n
        record = np.zeros(n + m, dtype=PROVENANCE)
        record["origin"] = np.where(self.is_synthetic_, "open-set", "original")
        record["seed_index"] = np.concatenate([np.arange(n), index])
        record["partner_index"] = -1
        record["from_aux"] = self.is_synthetic_
        record["source"] = np.concatenate([data.y, np.full(m, -1)])
        record["round"] = -1
        record["confidence"] = np.nan
        self.provenance_ = record


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
