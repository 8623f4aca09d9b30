"""Guides whose hidden units are drawn: the output layers solve the problem that is written down."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from ltresample._random import Seed
from ltresample.guides import (
    Classifier,
    GuideRecipe,
    _fit,
    fit_guide,
    fit_output_layers,
    random_ensemble,
    random_hidden_units,
    soft_confusion,
)
from ltresample.models import MLPEnsemble
from ltresample.rows import ArrayRows, Pool, Space

RANDOM = GuideRecipe(random_units=True)


def disc(n, seed):
    z = 4 * torch.rand(n, 2, generator=Seed(seed).torch()) - 2
    return z, (z.norm(dim=1) < 1).long()


def pool_of(z, y):
    counts = torch.bincount(y)
    space = Space(z.mean(0), z.std(0), z.min(0).values, z.max(0).values)
    return Pool(ArrayRows(z), y, counts, space)


def objective(ensemble, z, y, weight, ridge):
    """Sum of the members' objectives, the ridge on weights of standardised units."""
    logits = ensemble(z)
    loss = sum(
        (w / w.sum() * cross_entropy(own, y, reduction="none")).sum()
        for w, own in zip(weight, logits, strict=True)
    )
    units = ensemble.features(z).detach().unflatten(1, (ensemble.n_members, -1))
    spread = units.std(0, correction=0)  # (M, h)
    spread = torch.where(spread > 1e-6, spread, 1.0)
    bias = ensemble.bias + units.mean(0)[:, None] @ ensemble.weight  # of standardised units
    size = ridge * (ensemble.weight * spread[..., None]).square().sum() + 1e-4 * bias.square().sum()
    return loss + size / 2


def fitted(n_iterations, ridge=0.1, n_classes=3):
    generator = Seed(1).torch()
    z = torch.randn(60, 4, generator=generator, dtype=torch.float64)
    y = torch.randint(n_classes, (60,), generator=generator)
    weight = torch.rand(2, 60, generator=generator, dtype=torch.float64)
    ensemble = MLPEnsemble(2, 4, n_classes, hidden=6).double()
    random_hidden_units(ensemble, z, weight.sum(0), Seed(2))
    fit_output_layers(ensemble, z, y, weight, ridge=ridge, n_iterations=n_iterations)
    return ensemble, z, y, weight


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_many_steps_end_where_the_gradient_is_zero(n_classes):
    ensemble, z, y, weight = fitted(4000, n_classes=n_classes)
    loss = objective(ensemble, z, y, weight, 0.1)
    own = torch.autograd.grad(loss, [ensemble.weight, ensemble.bias])
    assert max(part.abs().max() for part in own) < 1e-6


def test_fifteen_steps_are_nearly_enough():
    values = [float(objective(*fitted(n), 0.1).detach()) for n in (0, 15, 4000)]
    assert values[2] <= values[1] + 1e-9
    assert values[1] - values[2] < 0.02 * (values[0] - values[2])


def test_the_scale_of_weights_has_no_meaning():
    ensemble, z, y, weight = fitted(15)
    other = MLPEnsemble(2, 4, 3, hidden=6).double()
    random_hidden_units(other, z, weight.sum(0), Seed(2))
    fit_output_layers(other, z, y, 100 * weight)
    torch.testing.assert_close(other(z), ensemble(z))


def test_every_unit_bends_at_a_row():
    ensemble, z, _, _ = fitted(1)
    values = ensemble.first(z)  # before the rectifier
    assert values.abs().min(0).values.max() < 1e-12


def test_units_that_never_move_are_left_out():
    z = torch.ones(20, 3)
    y = torch.arange(20) % 2
    ensemble = random_ensemble(z, y, torch.ones(2, 20), 2, Seed(0), hidden=4)
    assert torch.isfinite(ensemble(z)).all()
    torch.testing.assert_close(ensemble(z).softmax(2), torch.full((2, 20, 2), 0.5))


def test_a_disc_is_found_and_classes_count_alike():
    z, y = disc(800, 0)
    rare = (y == 0) | (torch.arange(800) % 8 == 0)
    g = fit_guide(pool_of(z[rare], y[rare]), Seed(0), RANDOM)
    test, truth = disc(800, 1)
    with torch.no_grad():
        guess = g(test).softmax(2).mean(0).argmax(1)
    recall = [float((guess[truth == k] == k).float().mean()) for k in (0, 1)]
    assert min(recall) > 0.85


def test_of_many_rows_some_are_drawn(monkeypatch):
    z, y = disc(800, 0)
    pool = pool_of(z, y)
    seen = []

    def watched(z, y, *rest, **options):
        seen.append(torch.bincount(y).tolist())
        return random_ensemble(z, y, *rest, **options)

    monkeypatch.setattr(_fit, "random_ensemble", watched)
    monkeypatch.setattr(_fit, "MOST_ROWS", 300)
    g, again = (fit_guide(pool, Seed(0), RANDOM) for _ in range(2))
    assert seen == [[150, 150]] * 2
    torch.testing.assert_close(g(z), again(z), rtol=0, atol=0)
    accuracy = (g(z).softmax(2).mean(0).argmax(1) == y).float().mean()
    assert accuracy > 0.85


def test_many_wide_rows_are_trained_as_ever(monkeypatch):
    monkeypatch.setattr(_fit, "FEW_ROWS", 39)
    x = torch.rand(40, _fit.WIDE + 1, generator=Seed(0).torch())
    pool = Pool(ArrayRows(x), torch.arange(40) % 2, torch.tensor([20, 20]), Space.pixels())
    quick = {"min_steps": 2, "max_steps": 2}
    g = fit_guide(pool, Seed(0), RANDOM._replace(**quick))
    other = fit_guide(pool, Seed(0), GuideRecipe(**quick))
    torch.testing.assert_close(g(x), other(x))


def test_classes_are_drawn_alike_from_their_time_on():
    """Natural frequencies for the first 160 of 200 epochs, then classes alike (DM, appendix C.4)."""
    y = torch.arange(3).repeat_interleave(torch.tensor([900, 90, 10]))
    pool = pool_of(torch.rand(1000, 2, generator=Seed(0).torch()), y)
    rows = _fit._row_numbers(pool, Seed(0).torch(), GuideRecipe.deferred(), (10, 4000))
    for part, expected in ((rows[:8], [0.9, 0.09, 0.01]), (rows[8:], [1 / 3] * 3)):
        share = torch.bincount(y[part.flatten()], minlength=3) / part.numel()
        torch.testing.assert_close(share, torch.tensor(expected), rtol=0, atol=0.02)


def test_every_bootstrap_has_as_many_rows_of_a_class_as_there_are():
    y = torch.arange(3).repeat_interleave(torch.tensor([50, 20, 1]))
    pool = pool_of(torch.rand(71, 2, generator=Seed(0).torch()), y)
    weights = _fit._bootstrap(pool, Seed(0), GuideRecipe(n_members=5))
    for k, n in enumerate((50, 20, 1)):
        assert (weights[:, y == k].sum(1) == n).all()
    assert len(weights.unique(dim=0)) == 5
    assert weights.max() > 1
    assert (weights.sum(0)[y == 0] > 0).float().mean() > 0.9, "drawn from all rows of the class"


def test_soft_confusions_are_mean_probabilities_of_the_rows_of_a_class():
    y = torch.tensor([0, 0, 0, 1, 1, 2])
    pool = pool_of(torch.rand(6, 2, generator=Seed(0).torch()), y)
    g, rows = Classifier([MLPEnsemble(1, 2, 3, hidden=4)]), torch.tensor([0, 2, 3, 5])
    proba = g.log_proba(pool.x.take(rows)).exp().double()
    expected = torch.stack([proba[:2].mean(0), proba[2], proba[3]])
    torch.testing.assert_close(soft_confusion(g, pool, rows), expected.detach())
