"""No number type, container or kind of labels fails deep inside or gives something else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from input_matrix import (
    CONTAINERS,
    ESTIMATORS,
    FAST_CONTAINERS,
    KINDS,
    LABELS,
    TORCH_ONLY,
    Y,
    all_cells,
    cell,
)

PAIRS = list(all_cells())
QUICK = [
    pair
    for pair in PAIRS
    if pair[0] == "float64" or pair[1] in FAST_CONTAINERS or pair[0] in TORCH_ONLY
]


def check(kind, container, names=ESTIMATORS, y=Y):
    found = {name: cell(kind, container, name, y) for name in names}
    bad = {name: got for name, got in found.items() if got[0] not in ("ok", "no", "-")}
    assert not bad, f"{kind} in {container}: {bad}"
    if kind in KINDS and KINDS[kind].kind != "x":  # refusing numbers is no way out
        refused = {name: got for name, got in found.items() if got[0] == "no"}
        assert not refused or container == "__dataframe__", f"{kind} in {container}: {refused}"


@pytest.mark.parametrize("kind", [*KINDS, *TORCH_ONLY])
def test_number_types(kind):
    for own, container in QUICK:
        if own == kind:
            check(own, container, ("M2m", "Open", "Deferred"))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators(name):
    for kind in ("float32", ">f8", "int64", "bool", "object floats"):
        for container in FAST_CONTAINERS:
            check(kind, container, (name,))


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("kind", LABELS)
def test_labels(name, kind):
    if kind == "column" and name in ("Resampled", "Deferred"):
        return  # warned of, as scikit-learn does
    check("float64", "array", (name,), LABELS[kind](Y))


@given(
    pair=st.sampled_from(PAIRS),
    name=st.sampled_from(list(ESTIMATORS)),
    labels=st.sampled_from(sorted(set(LABELS) - {"column"})),
)
@settings(max_examples=60, deadline=None)
def test_any_cell(pair, name, labels):
    check(*pair, (name,), LABELS[labels](Y))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*KINDS, *TORCH_ONLY])
def test_every_cell(kind):
    for own, container in PAIRS:
        if own == kind:
            check(own, container)


def test_the_matrix_is_not_empty():
    assert len(PAIRS) > 600
    made = [cell(kind, "array", "Open")[0] for kind in KINDS]
    assert made.count("ok") > 15
    assert set(CONTAINERS) >= set(FAST_CONTAINERS)
    assert np.unique(Y).size == 3
