"""Distances between two sets of embeddings, many pairs of sets at once."""

from ltresample.distances._ahead import RunAhead
from ltresample.distances._base import Distance, SetPairs
from ltresample.distances._costs import (
    cosine_cost,
    euclidean_cost,
    squared_euclidean_cost,
    unit_rows,
)
from ltresample.distances._energy import EnergyDistance
from ltresample.distances._mmd import MaximumMeanDiscrepancy
from ltresample.distances._sinkhorn import TransportPlan, sinkhorn_plan
from ltresample.distances._transport import ExactTransport, SinkhornTransport

__all__ = [
    "Distance",
    "EnergyDistance",
    "ExactTransport",
    "MaximumMeanDiscrepancy",
    "RunAhead",
    "SetPairs",
    "SinkhornTransport",
    "TransportPlan",
    "cosine_cost",
    "euclidean_cost",
    "sinkhorn_plan",
    "squared_euclidean_cost",
    "unit_rows",
]
