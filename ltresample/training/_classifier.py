"""DeferredRebalancingClassifier."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from sklearn.utils._param_validation import HasMethods, Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import EpochScoring, EpochTimer, PassthroughScoring
from torch.utils.data import DataLoader

from ltresample.exceptions import LongTailWarning
from ltresample.losses import CrossEntropy
from ltresample.training._data import RowDataset
from ltresample.training._hooks import EpochBar, EpochTable, SynthesisRecord, mean_recall
from ltresample.training._net import TrainingNet
from ltresample.training._opening import labels_of, open_training
from ltresample.training._run import check_starts

__all__ = ["DeferredRebalancingClassifier"]

_EPOCH = [Interval(Integral, 0, None, closed="left"), Interval(Real, 0, 1, closed="both")]
_COUNT = [Interval(Integral, 1, None, closed="left")]


class DeferredRebalancingClassifier(TrainingNet):
    """Train a network on long-tailed data: rebalance late, and synthesize inside the batches.

    Training on the data as they are learns good features; a late phase on rebalanced data then
    moves the decision boundary [1]_. From epoch `start` on, batches are class-balanced and a
    `resampler` replaces some rows of each batch by synthetic ones, made against the network as it is
    at that moment [2]_. Re-sampling (RS, DRS) and re-weighting (RW, CB-RW, DRW) are settings of
    `rebalance`, other long-tail losses go in as `criterion`.

    The classifier is a skorch net: its callbacks, ``module__x`` parameters, ``save_params`` and
    ``partial_fit`` work, and what cannot work is refused by name before any work is done. The
    validation split is taken first and holds real rows only.

    Parameters
    ----------
    module : nn.Module class or instance, or None, default=None
        The network, which gives logits (n, n_classes), or a tuple that begins with them. A class is
        told ``n_classes``, ``n_features`` and ``n_channels`` where its constructor has them; an
        instance is copied, and training starts from its weights. None builds one: for tables
        standardisation and an `MLP`, for images `SmallCNN`, or `ResNet32` from 24 pixels on;
        ``module__row_shape=(20,)`` or ``(3, 32, 32)`` lets it be initialized before data are seen.
    criterion : nn.Module class or instance, default=CrossEntropy
        A loss of `ltresample.losses` or of PyTorch, of logits and class indices; it is converted to
        the floating-point type of the network. ``torch.nn.NLLLoss`` takes networks that end in a
        softmax or log-softmax. A few rows are tried before training: outputs that the criterion
        cannot use, or would use wrongly, are an error.
    resampler : sampler or None, default=None
        For example ``M2mSampler()``; the same object serves before training and here. Its parameters
        can be searched as ``resampler__x``. Its `f` is the network in training.
    start : int or float, default=0.8
        First epoch of the resampler: an integer is an epoch counted from 0, a float a share of
        `max_epochs`.
    rebalance : {"resample", "reweight"} or None, default=None
        Draw rows, or weigh the loss, by class from `rebalance_start` on.
    rebalance_start : int or float, default=0
        First epoch of `rebalance`: an integer is an epoch, a float a share of `max_epochs`. 0
        is RS or RW; later is DRS or DRW. A criterion with a switch `active`, such as the
        influence-balanced loss, is switched on then, too.
    class_weight : "balanced", dict or None, default=None
        Class weights of the loss in all epochs, in scikit-learn's sense. None: those that the
        criterion was built with. Weights hold as long as their setting, also with `warm_start`.
    optimizer : Optimizer class, default=torch.optim.SGD
        SGD has momentum 0.9 unless ``optimizer__momentum`` says otherwise.
    lr : float, default=0.05
        Learning rate.
    max_epochs : int, default=40
        Number of epochs.
    batch_size : int, default=128
        Rows in a batch; -1: all.
    train_split : float, callable or None, default=None
        Validation part: a share of each class (each keeps at least one training row), or a callable
        such as skorch's ``ValidSplit``. None: no validation.
    augment : callable or None, default=None
        ``augment(x, generator) -> x`` for each training batch of rows (B, ...), with a
        torch.Generator; synthesis starts from augmented rows.
    checkpoint_dir : path or None, default=None
        Write the state after each epoch into this folder, one file for each combination of data,
        parameters and code. ``fit`` goes on from there, with the result of an unbroken run: on the
        CPU bit by bit. See *Interrupted runs* below.
    callbacks : list of callbacks, "disable" or None, default=None
        skorch's, in addition to those that are always there; "disable": none at all.
    device : str, torch.device or None, default="cpu"
        Where to train. None leaves everything where it is.
    random_state : int, RandomState or None, default=None
        Root of starting weights, splits, shuffles, dropout and synthesis. No global generator is
        changed.
    verbose : int, default=0
        1: a bar of epochs; 2: a line for each epoch; with both a bar while what `resampler` needs is
        fitted. 0: nothing. At any value the logger "ltresample" is told what was fitted and how long
        it took (INFO), and the numbers of each epoch (DEBUG).

    Other Parameters
    ----------------
    weighting : {"balanced", "effective"}, default="balanced"
        Class weights of `rebalance`: proportional to 1 / N_k, or 1 / E_k with the effective number
        E_k = (1 - beta^N_k) / (1 - beta) [3]_ (CB-RW).
    beta : float, default=0.9999
        Of the effective number, in [0, 1].
    warmup : int, default=0
        Epochs of linear warm-up: rate ``lr * (epoch + 1) / warmup``.
    lr_decay : dict or None, default=None
        Epoch (or share of `max_epochs`) to the factor that multiplies the rate from there on; the
        papers have ``{160: 0.01, 180: 0.01}`` for 200 epochs.
    batch_size_after_start : int or None, default=None
        Another batch size from `start` on.
    precision : {"float32", "bfloat16", "float16"}, default="float32"
        Of the network in training steps: the others run matrix products and convolutions in that
        type (autocast). Weights, gradients, losses and the optimizer stay in single precision, and so
        do validation and prediction. "float16" scales losses, and leaves out a step whose gradients
        overflow.
    synthesis_precision : {"float32", "bfloat16"}, default="float32"
        "bfloat16" makes synthesis faster on processors that have it, at a loss of precision there;
        training steps are not affected.
    classes : array-like of shape (n_classes,) or None, default=None
        All labels, each once, in any order. None: those in `y`. Needed to predict with parameters
        that were loaded into a net that has seen no data.
    predict_nonlinearity : "auto", callable or None, default="auto"
        What turns the network's output into probabilities. "auto" follows from criterion and
        network; None leaves the output as it is.
    iterator_train, iterator_valid : callable, default=torch.utils.data.DataLoader
        Loader of batches, called with the data set, ``batch_sampler``, ``collate_fn`` and what is
        set as ``iterator_train__x``, such as ``num_workers``. The net itself chooses rows and order.
    use_caching : bool or "auto", default="auto"
        Whether scoring callbacks take the outputs of the validation step; "auto" leaves it to them.
    torch_load_kwargs : dict or None, default=None
        Passed to ``torch.load`` by ``load_params``.
    warm_start : bool, default=False
        ``fit`` goes on with the network it has; rows must have the same shape, and labels be known.
    dtype : torch.dtype or None, default=None
        Floating-point type of network and rows. None: the type of the module's weights; for
        ``module=None`` double precision for tables of that type on the CPU, else single.
    rows_on_device : "auto" or bool, default="auto"
        Keep all training rows on the device and take batches there, 8-bit images as bytes that are
        scaled when they are taken. The result is that of rows kept elsewhere. "auto": on an
        accelerator where a dense X takes less than a quarter of its free memory and no loader is
        asked for (``iterator_train__x``).
    cuda_graphs : bool, default=False
        Record the passes of the network, of its copy in synthesis and of g once as CUDA graphs, and
        replay them. Small networks on a fast card are then several times faster, as launching their
        kernels one by one takes longer than running them; large ones gain little. Costs the memory of
        a recorded pass for each size of batch. Networks that draw random numbers in training, and
        those with hooks (`SAFA`, OTMix with a feature bank), are trained as without. What ``forward``
        reads from Python is read when a pass is recorded. Experimental: a pass that cannot be
        recorded ends the run with an error.
    compile : bool, default=False
        Compile the network with `torch.compile`; ``compile__x`` are its parameters, such as
        ``compile__mode="reduce-overhead"`` for CUDA graphs.
    **kwargs : dict
        Parameters of components: ``module__x``, ``criterion__x``, ``optimizer__x``,
        ``iterator_train__x``, ``iterator_valid__x``, ``callbacks__name__x``.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted.
    class_counts_ : ndarray of shape (n_classes,)
        Rows of each class in the training split; after several calls of ``partial_fit``, in all
        splits that differ.
    module_, criterion_, optimizer_ : objects
        What was trained.
    g_ : estimator, nn.Module, list or None
        The guide of the resampler, where it has one.
    history : History
        For each epoch: `train_loss`, `valid_loss`, `valid_acc` and `valid_bacc` (mean recall of the
        classes in the validation part, the score to stop by on long tails), `share_synthesized`
        (accepted rows / all rows), `acceptance_rate` (accepted / requested), `dur` (seconds).
        `valid_loss` is that of the criterion without the weights of `rebalance`, and of
        cross-entropy for criteria that need features: it means the same in all epochs.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray
        Names of the columns, where X is a frame.

    See Also
    --------
    DeferredResampling, DeferredReweighting, DeferredSynthesis : For other skorch nets.

    Notes
    -----
    ``predict_proba`` gives the softmax of the logits, times the scale s for LDAM.

    *Interrupted runs.* A run is identified by all bytes of rows, labels, weights, open-set samples and
    validation sets, by the parameters, by the code of functions and classes that are passed (with
    what they refer to in their files), and by the versions of this package, NumPy and PyTorch: one
    change makes a new run. That a run is taken up is said at level INFO to the logger
    ``ltresample.training``, and printed where `verbose` is not 0. With ``random_state=None`` a run
    that broke down is taken up, too; one that has ended is not, since its file is removed then.
    Callbacks are written down by their attributes with a trailing underscore.

    *Acceptance.* If fewer than a tenth of the requested rows are accepted, one `LongTailWarning` in a
    run says so.

    *Parts of the data.* ``partial_fit`` takes class counts for losses and their weights from all
    different splits that it was given so far, class-balanced streams from the present one, and the
    units of the default network from the first.

    With `sample_weight`, row losses are multiplied by weights that are scaled to mean 1; a
    synthetic row has the weight of the row whose place it takes.

    Images of bytes are divided by 255. That they were bytes in ``fit`` is kept, and holds for
    validation, prediction and open-set samples in whatever container and number type they come.
    Columns of text and categories stand for one column of 0 and 1 each category; those that are not
    known from ``fit`` are refused. Sparse rows are made dense, batch by batch if all of
    them would be large.

    References
    ----------
    .. [1] Cao, Wei, Gaidon, Arechiga, Ma, "Learning Imbalanced Datasets with
       Label-Distribution-Aware Margin Loss", NeurIPS 2019, arXiv:1906.07413.
    .. [2] Kim, Jeong, Shin, "M2m: Imbalanced Classification via Major-to-minor Translation",
       CVPR 2020, arXiv:2004.00431.
    .. [3] Cui, Jia, Lin, Song, Belongie, "Class-Balanced Loss Based on Effective Number of Samples",
       CVPR 2019, arXiv:1901.05555.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from ltresample.over_sampling import M2mSampler
    >>> X, y = make_classification(n_samples=300, weights=[0.9], random_state=0)
    >>> net = DeferredRebalancingClassifier(
    ...     resampler=M2mSampler(), start=0.7, max_epochs=10, train_split=0.2, random_state=0
    ... )
    >>> net.fit(X, y).predict(X[:3]).shape
    (3,)
    >>> net.history[0]["share_synthesized"], net.history[-1]["share_synthesized"] > 0
    (0.0, True)
    """

    _parameter_constraints: ClassVar[dict] = {
        "module": [None, callable],
        "criterion": [callable],
        "resampler": [None, HasMethods(["bind"])],
        "start": _EPOCH,
        "rebalance": [None, StrOptions({"resample", "reweight"})],
        "rebalance_start": _EPOCH,
        "weighting": [StrOptions({"balanced", "effective"})],
        "beta": [Interval(Real, 0, 1, closed="both")],
        "class_weight": [None, StrOptions({"balanced"}), dict],
        "optimizer": [callable],
        "lr": [Interval(Real, 0, None, closed="left")],
        "max_epochs": [Interval(Integral, 0, None, closed="left")],
        "warmup": [Interval(Integral, 0, None, closed="left")],
        "lr_decay": [None, dict],
        "batch_size": [Options(int, {-1}), *_COUNT],
        "batch_size_after_start": [None, *_COUNT],
        "train_split": [None, Interval(Real, 0, 1, closed="neither"), callable],
        "augment": [None, callable],
        "classes": [None, "array-like"],
        "predict_nonlinearity": [None, StrOptions({"auto"}), callable],
        "iterator_train": [callable],
        "iterator_valid": [callable],
        "torch_load_kwargs": [None, dict],
        "precision": [StrOptions({"float32", "bfloat16", "float16"})],
        "rows_on_device": [StrOptions({"auto"}), "boolean"],
        "cuda_graphs": ["boolean"],
        "synthesis_precision": [StrOptions({"float32", "bfloat16"})],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        module: Any = None,
        criterion: Any = CrossEntropy,
        *,
        resampler: Any = None,
        start: float = 0.8,
        rebalance: Literal["resample", "reweight"] | None = None,
        rebalance_start: float = 0,
        weighting: Literal["balanced", "effective"] = "balanced",
        beta: float = 0.9999,
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        optimizer: Any = torch.optim.SGD,
        lr: float = 0.05,
        max_epochs: int = 40,
        warmup: int = 0,
        lr_decay: dict[Any, float] | None = None,
        batch_size: int = 128,
        batch_size_after_start: int | None = None,
        train_split: Any = None,
        augment: Callable[..., Any] | None = None,
        precision: Literal["float32", "bfloat16", "float16"] = "float32",
        synthesis_precision: str = "float32",
        checkpoint_dir: str | PathLike[str] | None = None,
        callbacks: Any = None,
        classes: Any = None,
        predict_nonlinearity: Any = "auto",
        iterator_train: Any = DataLoader,
        iterator_valid: Any = DataLoader,
        use_caching: Any = "auto",
        torch_load_kwargs: dict[str, Any] | None = None,
        warm_start: bool = False,
        dtype: Any = None,
        device: str | torch.device | None = "cpu",
        rows_on_device: bool | Literal["auto"] = "auto",
        cuda_graphs: bool = False,
        compile: bool = False,
        random_state: int | np.random.RandomState | None = None,
        verbose: int | bool = 0,
        **kwargs,
    ) -> None:
        self.module = module
        self.criterion = criterion
        self.resampler = resampler
        self.start = start
        self.rebalance = rebalance
        self.rebalance_start = rebalance_start
        self.weighting = weighting
        self.beta = beta
        self.class_weight = class_weight
        self.optimizer = optimizer
        self.lr = lr
        self.max_epochs = max_epochs
        self.warmup = warmup
        self.lr_decay = lr_decay
        self.batch_size = batch_size
        self.batch_size_after_start = batch_size_after_start
        self.train_split = train_split
        self.augment = augment
        self.precision = precision
        self.synthesis_precision = synthesis_precision
        self.checkpoint_dir = checkpoint_dir
        self.callbacks = callbacks
        self.classes = classes
        self.predict_nonlinearity = predict_nonlinearity
        self.iterator_train = iterator_train
        self.iterator_valid = iterator_valid
        self.use_caching = use_caching
        self.torch_load_kwargs = torch_load_kwargs
        self.warm_start = warm_start
        self.dtype = dtype
        self.device = device
        self.rows_on_device = rows_on_device
        self.cuda_graphs = cuda_graphs
        self.compile = compile
        self.random_state = random_state
        self.verbose = verbose
        vars(self).update(kwargs)

    # why: a bar, class-balanced scores, and what was synthesized
    def get_default_callbacks(self):
        """Return the callbacks that are always there, with their names."""
        return [
            ("epoch_timer", EpochTimer()),
            ("train_loss", PassthroughScoring(name="train_loss", on_train=True)),
            ("valid_loss", PassthroughScoring(name="valid_loss")),
            ("valid_acc", EpochScoring("accuracy", name="valid_acc", lower_is_better=False)),
            ("valid_bacc", EpochScoring(mean_recall, name="valid_bacc", lower_is_better=False)),
            ("synthesis", SynthesisRecord()),
            ("epoch_bar", EpochBar()),
            ("print_log", EpochTable()),
        ]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.three_d_array = True
        return tags

    def fit(self, X, y=None, *, sample_weight=None, X_aux=None, **fit_params):
        """Build the network and train it.

        Parameters
        ----------
        X : array-like, data frame, sparse matrix or tensor of shape (n_samples, n_features, ...)
            Rows of a table, or images (C, H, W) or (H, W); or a map-style torch Dataset of
            (row, label) pairs.
        y : array-like of shape (n_samples,)
            Labels of any kind. For a Dataset that has `targets` it may be left out.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows in the loss, at least 0; rows of weight 0 are left out.
        X_aux : array-like of shape (n_aux, n_features, ...) or None, default=None
            Open-set samples for resamplers that use them; takes the place of their parameter of
            that name.
        **fit_params : dict
            Passed to the module's ``forward``.

        Returns
        -------
        self
            The fitted net.

        Raises
        ------
        ValueError
            If data, parameters or the network's outputs cannot be used, before training; or if the
            loss is no longer finite, with epoch and step.
        """
        self._check_parameters()
        check_starts(self)
        goes_on = bool(self.warm_start and self.initialized_ and self._row_shape is not None)
        opened = open_training(self, X, y, sample_weight, reset=not goes_on)
        if goes_on:
            self._check_same(opened.x, opened.labels)
        else:
            self._learn_shape(opened.x, opened.labels, opened.columns)
        self._seen = None
        if not (self.warm_start and self.initialized_):
            self.initialize()
        dataset = self._dataset_of(opened)
        with self._interruptible(dataset, X_aux, fit_params):
            return super().partial_fit(dataset, None, X_aux=X_aux, **fit_params)

    def partial_fit(self, X, y=None, classes=None, *, sample_weight=None, X_aux=None, **fit_params):
        """Train for `max_epochs` epochs more.

        Parameters
        ----------
        X : array-like, data frame, sparse matrix or tensor of shape (n_samples, n_features, ...)
            Rows of a table, or images; or a map-style torch Dataset of (row, label) pairs.
        y : array-like of shape (n_samples,)
            Labels. For a Dataset that has `targets` it may be left out.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows in the loss, at least 0; rows of weight 0 are left out.
        X_aux : array-like of shape (n_aux, n_features, ...) or None, default=None
            Open-set samples for resamplers that use them.
        **fit_params : dict
            Passed to the module's ``forward``.
        classes : array-like of shape (n_classes,) or None, default=None
            All labels, for the first call. None: those in `y`.

        Returns
        -------
        self
            The net.

        Raises
        ------
        ValueError
            If the data cannot be used, or `y` holds labels that were not there at first.
        """
        self._check_parameters()
        first = self._row_shape is None
        opened = open_training(self, X, y, sample_weight, reset=first)
        if first:
            known = opened.labels if classes is None else labels_of(classes)
            self._learn_shape(opened.x, known, opened.columns)
        else:
            self._check_same(opened.x, opened.labels)
        if classes is not None and set(classes) != set(self.classes_.tolist()):
            raise ValueError(
                "classes must be those of the first call. Got "
                f"{sorted(set(classes))[:20]}; known are {self.classes_.tolist()[:20]}."
            )
        if not self.initialized_:
            self.initialize()
        dataset = self._dataset_of(opened)
        with self._interruptible(dataset, X_aux, fit_params):
            return super().partial_fit(dataset, None, X_aux=X_aux, **fit_params)

    def predict_proba(self, X):
        """Return the probability of each class.

        Parameters
        ----------
        X : as in ``fit``
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        check_is_fitted(self)
        return self._probabilities(X)

    def predict(self, X):
        """Return the most probable class.

        Parameters
        ----------
        X : as in ``fit``
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels. For a data set that training itself made, and for the rows of a batch in
            ``on_batch_end``, as scoring callbacks pass them on: class indices, as batches hold them.
        """
        index = self.predict_proba(X).argmax(axis=1)
        return index if self._holds_indices(X) else self.classes_[index]

    def _holds_indices(self, X: Any) -> bool:
        """Return whether rows came out of training, where labels are class indices."""
        return isinstance(X, RowDataset) or self._is_batch(X)

    def score(self, X, y, sample_weight=None):
        """Return the accuracy; see `ltresample.metrics` for what suits long tails.

        Parameters
        ----------
        X : as in ``fit``
            Rows.
        y : array-like of shape (n_samples,)
            Their labels.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows.

        Returns
        -------
        float
            In [0, 1].
        """
        check_is_fitted(self)
        known = np.arange(len(self.classes_)) if self._holds_indices(X) else self.classes_
        unseen = np.setdiff1d(np.asarray(y), known)
        if len(unseen):
            warnings.warn(
                f"y holds labels that were not in training: {unseen.tolist()[:5]}. No prediction of "
                "theirs can be right.",
                LongTailWarning,
                stacklevel=2,
            )
        return super().score(X, y, sample_weight)
