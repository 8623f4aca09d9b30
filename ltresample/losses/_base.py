"""The interface of every loss: class counts and class weights that training fills in place."""

from __future__ import annotations

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ltresample.losses._inputs import checked_counts, checked_inputs, checked_weight
from ltresample.losses._reduction import check_reduction, reduced_loss

__all__ = ["LongTailLoss"]


class LongTailLoss(nn.Module):
    """Base of the losses: row losses, class weights, coefficients per row and a reduction.

    ``forward`` multiplies the loss of row ``i`` by the weight ``w_{y_i}`` of its class and by its
    sample weight ``c_i``, then reduces::

        weighted_mean   sum_i c_i w_{y_i} loss_i / sum_i w_{y_i}
        mean            sum_i c_i w_{y_i} loss_i / m
        sum             sum_i c_i w_{y_i} loss_i
        none            c_i w_{y_i} loss_i, shape (m,)

    ``c`` never enters the denominator, so the shares of a mixed label, ``lam`` and ``1 - lam``, may
    be the sample weights of two losses that are added. A batch of no rows, or one whose class
    weights are all 0, has loss 0.

    A subclass states its row losses in ``_rows(logits, y)`` and the attributes below.

    Parameters
    ----------
    weight : array-like of shape (n_classes,) or None, default=None
        Class weights, finite and at least 0. None stands for ones.
    class_counts : array-like of shape (n_classes,) or None, default=None
        Training samples per class, each at least 1. None: to be set before training. Of a mapping or
        a pandas Series, such as ``y.value_counts()``, the order of the labels counts; so with weights.
    reduction : {"weighted_mean", "mean", "sum", "none"}, default="weighted_mean"
        ``"weighted_mean"`` is that of PyTorch's cross-entropy and of LDAM's published code,
        ``"mean"`` that of M2m's. They differ only where there are class weights.

    Attributes
    ----------
    weight : Tensor of shape (n_classes,) or None
        Buffer of class weights. None, which stands for ones, until weights or counts are set.
    class_counts : Tensor of shape (n_classes,), int64, or None
        Buffer of class counts.
    needs_class_counts : bool
        Whether the loss refuses to work before `set_class_counts`.
    needs_cosine_head : bool
        Whether the logits have to be cosines in [-1, 1].
    needs_features : bool
        Whether ``forward`` and ``per_row`` take the features as a third argument.
    logit_scale : float
        What the logits are multiplied by in the loss: probabilities are their softmax then.
    accepts_soft_targets : bool
        Whether `y` may be floats of shape (m, n_classes). The row loss is then
        ``sum_k q_k loss_k`` and the weight of the row ``sum_k q_k w_k``, so that a one-hot target
        and its class index have the same loss.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import torch
    >>> class SquaredError(LongTailLoss):
    ...     def _rows(self, logits, y):
    ...         return (1 - logits.softmax(1).gather(1, y[:, None]).squeeze(1)) ** 2
    >>> SquaredError(weight=[1.0, 3.0])(torch.zeros(2, 2), torch.tensor([0, 1]))
    tensor(0.2500)
    """

    needs_class_counts = False
    needs_cosine_head = False
    needs_features = False
    accepts_soft_targets = False
    logit_scale = 1.0  # what the logits are multiplied by in the loss
    active = True  # of a loss with a second stage: whether the epoch is in it

    weight: Tensor | None
    class_counts: Tensor | None
    _exact: Tensor | None = None  # weights as they were given, in double precision

    def __init__(
        self,
        *,
        weight: ArrayLike | Tensor | None = None,
        class_counts: ArrayLike | Tensor | None = None,
        reduction: str = "weighted_mean",
    ):
        super().__init__()
        check_reduction(reduction)
        self.reduction = reduction
        self.register_buffer("weight", None)
        self.register_buffer("class_counts", None)
        # Remembers where the module was moved while there is no other buffer yet.
        self.register_buffer("_place", torch.empty(0), persistent=False)
        if weight is not None:
            self.set_weight(weight)
        if class_counts is not None:
            self.set_class_counts(class_counts)

    def set_weight(self, weight: ArrayLike | Tensor | None) -> None:
        """Assign class weights, in place once there are some: deferred re-weighting.

        Parameters
        ----------
        weight : array-like of shape (n_classes,) or None
            Finite and at least 0. None stands for ones.

        Raises
        ------
        ValueError
            If a weight is out of its range, or the number of classes is another than before.
        """
        self._exact = None
        if weight is not None:
            weight = checked_weight(weight)
            self._fill("weight", weight.to(self._place.dtype))
            self._exact = weight if weight.dtype == torch.float64 else None
        elif self.weight is not None:
            self.weight.fill_(1)

    def _class_weight(self, logits: Tensor) -> Tensor | None:
        """Return the class weights; for logits in double precision those that were given."""
        weight, exact = self.weight, self._exact
        if weight is None or logits.dtype != torch.float64 or weight.dtype == torch.float64:
            return weight
        if exact is None or not torch.equal(exact.to(weight), weight):  # written by someone else
            exact = weight
        return exact.to(logits)

    def _apply(self, fn, recurse=True):
        """Move and convert; weights in double precision are those that were given."""
        rounded = None if self._exact is None else self._exact.to(self.weight)
        is_given = rounded is not None and torch.equal(rounded, self.weight)
        super()._apply(fn, recurse)
        if is_given:
            self.weight.copy_(self._exact)
        return self

    def set_class_counts(self, counts: ArrayLike | Tensor) -> None:
        """Set the training samples per class, in place once there are some.

        Class weights that were set before are kept; where there are none, they become ones.

        Parameters
        ----------
        counts : array-like of shape (n_classes,)
            Whole numbers, each at least 1.

        Raises
        ------
        ValueError
            If a count is out of its range, or the number of classes is another than before.
        """
        self._fill("class_counts", checked_counts(counts))
        if self.weight is None:
            self.set_weight(torch.ones(len(self.class_counts)))

    def per_row(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return the row losses without class weights.

        Parameters
        ----------
        logits : Tensor of shape (m, n_classes)
            Scores before the softmax.
        y : Tensor of shape (m,) or (m, n_classes)
            Class indices; or soft targets, floats, where `accepts_soft_targets`.

        Returns
        -------
        Tensor of shape (m,)
            In the logits' type, or float32 for half precision.

        Raises
        ------
        RuntimeError
            If class counts are needed and were not set.
        TypeError
            If `y` is of floats and the loss is not linear in the target.
        ValueError
            If shapes do not fit, or, on the CPU, `y` is out of range or a logit is NaN.
        """
        self._check_counts()
        return self._rows(*self._checked(logits, y))

    def forward(
        self, logits: Tensor, y: Tensor, *, sample_weight: ArrayLike | Tensor | None = None
    ) -> Tensor:
        """Return the loss of a batch.

        Parameters
        ----------
        logits : Tensor of shape (m, n_classes)
            Scores before the softmax.
        y : Tensor of shape (m,) or (m, n_classes)
            Class indices; or soft targets, floats, where `accepts_soft_targets`.
        sample_weight : array-like of shape (m,) or None, default=None
            Coefficients of the row losses. They do not enter the denominator.

        Returns
        -------
        Tensor
            A number, or row losses of shape (m,) if ``reduction="none"``. In the logits' type, or
            float32 for half precision.

        Raises
        ------
        RuntimeError, TypeError, ValueError
            As `per_row`.
        """
        self._check_counts()
        weight = self._class_weight(logits) if isinstance(logits, Tensor) else None
        return self._reduced(self._rows, logits, y, weight=weight, sample_weight=sample_weight)

    def _rows(self, logits: Tensor, y: Tensor) -> Tensor:
        raise NotImplementedError(
            f"{type(self).__name__} must define _rows(logits, y), its losses of shape (m,)."
        )

    def _reduced(self, rows_of, logits, y, *, weight, sample_weight) -> Tensor:
        return reduced_loss(
            type(self).__name__,
            rows_of,
            logits,
            y,
            soft_targets=self.accepts_soft_targets,
            weight=weight,
            sample_weight=sample_weight,
            reduction=self.reduction,
        )

    def _checked(self, logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        name = type(self).__name__
        return checked_inputs(name, logits, y, soft_targets=self.accepts_soft_targets)

    def _check_counts(self) -> None:
        if self.needs_class_counts and self.class_counts is None:
            raise RuntimeError(
                f"{type(self).__name__} needs the training samples per class before it is used. "
                "Got class_counts=None. Pass class_counts, or call set_class_counts(counts)."
            )

    def _fill(self, name: str, values: Tensor) -> None:
        n_classes = {len(b) for b in (self.weight, self.class_counts) if b is not None}
        if n_classes - {len(values)}:
            raise ValueError(
                f"{name} must hold {n_classes.pop()} classes, as many as this loss was made for. "
                f"Got {len(values)}. Build a new loss for another set of classes."
            )
        if getattr(self, name) is None:
            setattr(self, name, values.to(self._place.device, copy=True))
        else:
            getattr(self, name).copy_(values)

    def _load_from_state_dict(self, state_dict, prefix, *args) -> None:
        # A loss that was saved after its counts were set can be loaded into one that has none yet.
        for name in ("weight", "class_counts"):
            saved = state_dict.get(prefix + name)
            if saved is not None and getattr(self, name) is None:
                setattr(self, name, torch.empty_like(saved, device=self._place.device))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        """Return the settings."""
        settings = {k: v for k, v in vars(self).items() if k[0] != "_" and k != "training"}
        return ", ".join(f"{name}={value!r}" for name, value in settings.items())
