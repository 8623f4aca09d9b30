"""Features of rows, by the networks of a classifier."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ltresample._torch import evaluating
from ltresample.guides._classifier import Classifier
from ltresample.models import feature_extractor
from ltresample.rows import ArrayRows, Pool, Rows, RowSource

__all__ = ["FeatureRows", "feature_rows"]

IN_MEMORY = 256 << 20  # bytes up to which features are computed once


class FeatureRows(RowSource):
    """Features that are computed when they are taken, in evaluation mode and without gradient.

    Parameters
    ----------
    g : Classifier
        Its members' features stand beside each other.
    rows : Rows
        Rows that they are features of.
    layer : str or None, default=None
        Where the features are; see `ltresample.models.feature_extractor`.
    outputs : bool, default=False
        Take logits for features: of networks whose hidden layers were drawn, not trained, they alone
        say which rows are alike as members of classes.
    """

    def __init__(
        self, g: Classifier, rows: Rows, *, layer: str | None = None, outputs: bool = False
    ):
        self.members = g.members
        self.rows = rows
        self.layer = layer
        self.outputs = outputs

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return tuple(self.take(torch.zeros(1, dtype=torch.long)).shape[1:])

    def __len__(self) -> int:
        return len(self.rows)

    @torch.no_grad()
    def take(self, index: Tensor) -> Tensor:
        """Return the features (m, d) of the rows at `index` (m,), in single precision."""
        parts = []
        with evaluating(*self.members):
            for part in index.split(1024):
                x = self.rows.take(part)
                z = [self._of(member, x) for member in self.members]
                parts.append(torch.cat(z, dim=1).float())
        return torch.cat(parts)

    def _of(self, member: nn.Module, x: Tensor) -> Tensor:
        if not self.outputs:
            return feature_extractor(member, self.layer)(x)
        logits = member(x)  # (n, K), or (M, n, K) of M networks in one
        return logits if logits.dim() == 2 else logits.transpose(0, 1).flatten(1)


def feature_rows(
    g: Classifier, pool: Pool, *, layer: str | None = None, outputs: bool = False
) -> Rows:
    """Return the features of all rows of a pool: computed now if they fit in memory, else later.

    Parameters
    ----------
    g : Classifier
        Networks.
    pool : Pool
        Real samples.
    layer : str or None, default=None
        Where the features are; see `ltresample.models.feature_extractor`.
    outputs : bool, default=False
        Take logits for features, see `FeatureRows`.

    Returns
    -------
    Rows
        Of shape (d,) each.
    """
    rows = FeatureRows(g, pool.x, layer=layer, outputs=outputs)
    everything = torch.arange(len(pool.y), device=pool.y.device)
    if 4 * len(pool.y) * rows.row_shape[0] > IN_MEMORY:
        return rows
    return ArrayRows(rows.take(everything))
