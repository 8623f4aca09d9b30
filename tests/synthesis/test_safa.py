import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ltresample._random import Seed
from ltresample.rows import ArrayRows, Pool, Space
from ltresample.synthesis import (
    Safa,
    SafaNetworks,
    SafaRecipe,
    SafaSettings,
    Slots,
    Step,
    augment_tail,
    draw_same_class_pairs,
    fit_safa,
    head_classes,
)
from ltresample.synthesis._safa_rows import random_pairs

IS_HEAD = torch.tensor([True, False, False])
SHAPES = [(6,), (6, 5, 5)]


def networks_for(shape, **settings):
    generator = Seed(0).torch()
    return SafaNetworks(shape[0], n_dims=len(shape) - 1, generator=generator, **settings)


def batch(shape, counts=(9, 4, 1), *, requires_grad=False):
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    x = torch.randn(len(y), *shape, generator=Seed(1).torch())
    draw = draw_same_class_pairs(y, IS_HEAD, Seed(2))
    return x.requires_grad_(requires_grad), y, draw


# ---- head and tail -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "ratio", "head"),
    [
        ([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], 0.2, [0, 1]),
        ([1, 2, 3, 4, 5], 0.2, [4]),
        ([5, 9], 0.2, [1]),
        ([5, 9], 0.99, [1]),
        ([7, 7, 7], 0.4, [0]),
        ([9, 0, 5, 0], 0.2, [0]),
        (list(range(200, 100, -1)), 0.2, list(range(20))),
    ],
)
def test_head_is_the_largest_share_of_classes(counts, ratio, head):
    assert head_classes(torch.tensor(counts), ratio).nonzero()[:, 0].tolist() == head


@given(st.lists(st.integers(2, 1000), min_size=2, max_size=20), st.floats(0.01, 0.99))
@settings(max_examples=50, deadline=None)
def test_there_is_always_a_head_and_a_tail(counts, ratio):
    is_head = head_classes(torch.tensor(counts), ratio)
    assert is_head.any()
    assert not is_head.all()
    counts = torch.tensor(counts)
    assert counts[is_head].min() >= counts[~is_head].max()


def test_classes_that_do_not_suffice():
    with pytest.raises(ValueError, match="at least one head class and one tail class. Got 1 class"):
        head_classes(torch.tensor([5, 0, 0]))
    with pytest.raises(ValueError, match=r"no class has two samples. Got class_counts=\[1, 1\]"):
        head_classes(torch.tensor([1, 1]))


# ---- the draw ------------------------------------------------------------------------------------


@given(
    st.lists(st.integers(0, 4), max_size=40), st.integers(0, 10**6), st.sampled_from([0.5, 1, 3])
)
@settings(max_examples=150, deadline=None)
def test_pairs_are_what_they_are_said_to_be(labels, seed, per_pair):
    y = torch.tensor(labels, dtype=torch.int64)
    is_head = torch.tensor([True, True, False, False, False])
    draw = draw_same_class_pairs(y, is_head, Seed(seed), augmented_per_pair=per_pair)
    counts = torch.bincount(y, minlength=5)
    n_pairs, n_tail = int((counts[:2] // 2).sum()), int(counts[2:].sum())
    p = len(draw.head)
    if not n_pairs or not n_tail:
        assert p == 0
        assert len(draw.contrast) == 0
        return
    assert p == max(2, round(per_pair * n_pairs))
    assert len(draw.tail) == len(draw.other) == p
    for pairs, of_head in ((draw.head, True), (draw.tail, False)):
        assert (y[pairs[:, 0]] == y[pairs[:, 1]]).all()
        assert (is_head[y[pairs]] == of_head).all()
    assert (draw.head[:, 0] != draw.head[:, 1]).all()
    alone = counts[y[draw.tail[:, 0]]] == 1
    assert (draw.tail[alone, 0] == draw.tail[alone, 1]).all()
    if per_pair <= 1 and n_pairs > 1:  # no sample is in two pairs
        assert len(draw.head.unique()) == 2 * min(p, n_pairs)
    # two deltas meet the same tail pair
    paired = draw.other != torch.arange(p)
    assert (draw.tail[paired] == draw.tail[draw.other[paired]].flip(1)).all()
    assert (draw.other[draw.other] == torch.arange(p)).all()
    assert len(draw.contrast) == (len(y) + p) // 2
    assert len(draw.contrast.unique()) == 2 * len(draw.contrast)
    assert draw.contrast.max() < len(y) + p


def test_tail_samples_take_turns():
    y = torch.repeat_interleave(torch.arange(3), torch.tensor([40, 6, 2]))
    draw = draw_same_class_pairs(y, IS_HEAD, Seed(0))
    used = torch.bincount(draw.tail[:, 0], minlength=len(y))[40:]
    assert len(draw.head) == 20
    assert used.max() - used.min() <= 1


def test_pairs_are_random_and_reproducible():
    y = torch.zeros(200, dtype=torch.int64)
    y[:2] = 1
    first, again, other = (draw_same_class_pairs(y, IS_HEAD, Seed(s)) for s in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.head, other.head)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6).filter(any), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_random_pairs(sizes, seed):
    starts = np.cumsum([0, *sizes])
    classes = [torch.arange(a, b) for a, b in zip(starts[:-1], starts[1:], strict=True)]
    pairs = random_pairs(classes, 300, Seed(seed))
    of = np.repeat(np.arange(len(sizes)), sizes)
    assert (of[pairs[:, 0]] == of[pairs[:, 1]]).all()
    alone = np.array(sizes)[of[pairs[:, 0]]] == 1
    np.testing.assert_array_equal((pairs[:, 0] == pairs[:, 1]).numpy(), alone)
    assert set(pairs[:, 0].tolist()) <= set(range(sum(sizes)))


def test_random_pairs_are_uniform():
    pairs = random_pairs([torch.arange(2), torch.arange(2, 5)], 30_000, Seed(0))
    for side in (0, 1):
        share = np.bincount(pairs[:, side], minlength=5) / 30_000
        np.testing.assert_allclose(share, 0.2, atol=0.01)
    seen = np.unique(pairs.numpy(), axis=0)
    assert len(seen) == 2 + 6, "every ordered pair occurs"


# ---- the networks and what they make -------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_and_labels(shape):
    x, y, draw = batch(shape)
    made = augment_tail(networks_for(shape), x, y, draw)
    assert made.x.shape == (4, *shape)
    assert made.y.tolist() == y[draw.tail[:, 0]].tolist()
    assert set(made.y.tolist()) <= {1, 2}
    assert sorted(made.losses) == ["contrast", "head_spread", "reconstruction", "tail_spread"]
    weights = {"reconstruction": 100, "tail_spread": 0.01, "head_spread": 0.01, "contrast": 0.1}
    total = sum(weights[name] * loss for name, loss in made.losses.items())
    torch.testing.assert_close(made.loss, total)
    assert all(loss.dim() == 0 for loss in made.losses.values())


@pytest.mark.parametrize("removed", ["reconstruction", "tail_spread", "head_spread", "contrast"])
def test_each_loss_can_be_removed(removed):
    x, y, draw = batch((6,))
    full = augment_tail(networks_for((6,)), x, y, draw)
    part = augment_tail(networks_for((6,)), x, y, draw, SafaSettings(**{f"{removed}_weight": 0}))
    assert set(full.losses) - set(part.losses) == {removed}
    for name in part.losses:
        torch.testing.assert_close(part.losses[name], full.losses[name])


def test_without_losses_only_features_are_made():
    none = SafaSettings(0, 0, 0, 0)
    x, y, draw = batch((6,))
    made = augment_tail(networks_for((6,)), x, y, draw, none)
    assert made.losses == {}
    assert made.loss == 0
    assert made.x.requires_grad


def test_a_single_head_pair_is_enough_for_batch_statistics():
    x, y, _ = batch((6,), counts=(2, 1, 0))
    draw = draw_same_class_pairs(y, IS_HEAD, Seed(0))
    made = augment_tail(networks_for((6,)), x, y, draw)
    assert len(made.x) == 2
    assert torch.isfinite(made.loss)


class Affine(nn.Module):
    """In the place of E, D or G: scale times the first `n` channels, plus shift."""

    def __init__(self, scale, shift=0.0, n=None):
        super().__init__()
        self.scale, self.shift, self.n = scale, shift, n

    def forward(self, x):
        return self.scale * x[:, : self.n] + self.shift


def known_networks(**settings):
    """E(d) = 2 d, D([Delta; F]) = 0.5 Delta + 0.1, G(x) = 3 x - 1."""
    networks = networks_for((6,), **settings)
    networks.encoder = Affine(2.0)
    networks.adapter = Affine(0.5, 0.1, n=6)
    networks.generator = Affine(3.0, -1.0)
    return networks


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("sign", [False, True])
@pytest.mark.parametrize("literal", [False, True])
@pytest.mark.parametrize("mean_square", [False, True])
def test_equations_by_hand(residual, sign, literal, mean_square):
    x, y, draw = batch((6,), counts=(8, 3, 2))
    options = SafaSettings(consistent_sign=sign, literal_spread=literal, mean_square=mean_square)
    made = augment_tail(known_networks(residual=residual), x, y, draw, options)
    F = x.numpy().astype(float)

    def e(d):
        return 2 * d

    def move(delta, f):
        near = 0.5 * delta + 0.1 + f
        return near + 3 * near - 1 if residual else 3 * near - 1

    terms = {"delta": [], "feature": [], "tail": [], "head": []}
    rows = list(zip(draw.head.tolist(), draw.tail.tolist(), draw.other.tolist(), strict=True))
    deltas = [e(F[i] - F[j]) for (i, j), _, _ in rows]
    first = [move(deltas[a], F[t]) for a, (_, (t, _), _) in enumerate(rows)]
    second = [move(deltas[a], F[u]) for a, (_, (_, u), _) in enumerate(rows)]
    for a, ((i, j), (t, u), b) in enumerate(rows):
        found = e(F[t] - first[a]) if sign else e(first[a] - F[t])  # Eq. 4
        terms["delta"].append(found - deltas[a])
        terms["feature"].append(move(found, F[i]) - F[j])  # Eq. 5
        if t != u:  # Eq. 7: two tail features, the same delta
            apart = np.abs(first[a] - second[a]).sum() + 1e-5
            terms["tail"].append(np.abs(F[t] - F[u]).sum() / apart)
            if literal:
                terms["head"].append(np.abs(F[i] - F[j]).sum() / apart)
        if not literal and a != b:  # one tail feature, two deltas
            apart = np.abs(first[a] - move(deltas[b], F[t])).sum() + 1e-5
            terms["head"].append(np.abs(deltas[a] - deltas[b]).sum() / apart)
    np.testing.assert_allclose(made.x.detach(), first, rtol=1e-5, atol=1e-5)
    errors = [np.array(terms[name]) for name in ("delta", "feature")]
    if mean_square:
        reconstruction = sum((error**2).mean() for error in errors)
    else:
        reconstruction = sum(np.linalg.norm(error, axis=1).mean() for error in errors)
    wanted = {
        "reconstruction": reconstruction,
        "tail_spread": np.mean(terms["tail"]),
        "head_spread": np.mean(terms["head"]),
    }
    for name, value in wanted.items():
        np.testing.assert_allclose(made.losses[name].item(), value, rtol=1e-4)


def test_contrast_is_the_cross_entropy_of_same_class():
    x, y, draw = batch((6,))
    networks = networks_for((6,))
    made = augment_tail(networks, x, y, draw)
    everything, labels = torch.cat([x, made.x]), torch.cat([y, made.y])
    i, j = draw.contrast.T
    p = networks.same_class(torch.cat([everything[i], everything[j]], 1)).sigmoid()
    by_hand = -torch.where(labels[i] == labels[j], p, 1 - p).log().mean()
    torch.testing.assert_close(made.losses["contrast"], by_hand)


def test_twins_in_the_tail_do_not_blow_up_the_printed_ratio():
    x, y, _ = batch((6,), counts=(8, 4, 0))
    x[9] = x[10] = x[11] = x[8]
    draw = draw_same_class_pairs(y, IS_HEAD, Seed(0))
    made = augment_tail(networks_for((6,)), x, y, draw, SafaSettings(literal_spread=True))
    assert made.losses["tail_spread"] == 0
    assert made.losses["head_spread"] == 0


# ---- who learns from what ------------------------------------------------------------------------


def gradient_reaches(loss, parameters):
    grads = torch.autograd.grad(loss, list(parameters), retain_graph=True, allow_unused=True)
    return any(g is not None and g.abs().sum() > 0 for g in grads)


@pytest.mark.parametrize("shape", SHAPES)
def test_losses_train_the_networks_and_nothing_else(shape):
    x, y, draw = batch(shape, requires_grad=True)
    networks = networks_for(shape)
    made = augment_tail(networks, x, y, draw)
    parts = {
        "E": networks.encoder.parameters(),
        "D": networks.adapter.parameters(),
        "G": networks.generator.parameters(),
        "Q": networks.contrast.parameters(),
    }
    parts = {name: list(part) for name, part in parts.items()}
    for name, loss in {**made.losses, "classification": made.x.square().sum()}.items():
        assert not gradient_reaches(loss, [x]), f"{name} reaches real features"
        reached = {part for part, own in parts.items() if gradient_reaches(loss, own)}
        assert reached == ({"E", "D", "G", "Q"} if name == "contrast" else {"E", "D", "G"}), name


def test_end_to_end_reaches_real_features_but_never_through_numerators():
    networks = networks_for((6,))
    x, y, draw = batch((6,), requires_grad=True)
    made = augment_tail(networks, x, y, draw, SafaSettings(end_to_end=True))
    for name, loss in {**made.losses, "classification": made.x.square().sum()}.items():
        assert gradient_reaches(loss, [x]), name
    # with a constant G the denominators do not depend on x: what is left is the numerators
    for literal in (False, True):
        options = SafaSettings(end_to_end=True, literal_spread=literal)
        networks.generator = Affine(
            0.0, torch.randn(2 * len(draw.head), 6, generator=Seed(3).torch())
        )
        none = options._replace(reconstruction_weight=0, contrast_weight=0)
        made = augment_tail(networks, x, y, draw, none)
        for name, loss in made.losses.items():
            assert loss > 0
            assert not gradient_reaches(loss, [x, *networks.encoder.parameters()]), name


def test_augmented_features_come_in_the_type_of_the_features():
    x, y, draw = batch((6, 4, 4))
    networks = networks_for((6, 4, 4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = augment_tail(networks, x, y, draw)
    assert made.x.dtype == x.dtype
    assert made.loss.dtype == torch.float32


def test_networks_start_from_their_generator_only():
    before = torch.get_rng_state()
    first, second = networks_for((6, 4, 4)), networks_for((6, 4, 4))
    assert torch.equal(before, torch.get_rng_state())
    state = second.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in first.state_dict().items())
    assert networks_for((6,), width=3, contrast_width=9).contrast_head.in_features == 9


# ---- offline -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pool():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [60, 12, 5])
    x = rng.normal(size=(len(y), 4)) @ np.diag([1, 5, 0.1, 1]) + 3 * np.eye(4)[y]
    return pool_of(x, y)


def pool_of(x, y):
    tensor = torch.from_numpy(x.astype(np.float32))
    low, high = tensor.amin(0), tensor.amax(0)
    space = Space(center=tensor.mean(0), scale=tensor.std(0), lower=low, upper=high)
    counts = torch.bincount(torch.from_numpy(y))
    return Pool(x=ArrayRows(tensor), y=torch.from_numpy(y), class_counts=counts, space=space)


def test_fit_gives_networks_that_find_the_delta_again(pool):
    recipe = SafaRecipe(n_steps=150, residual=True)
    options = SafaSettings(reconstruction_weight=1.0, consistent_sign=True)
    fitted = fit_safa(pool, Seed(0), options, recipe)
    untrained = fit_safa(pool, Seed(0), options, recipe._replace(n_steps=0))
    assert not fitted.networks.training
    assert fitted.is_head.tolist() == [True, False, False]
    loss = {}
    for name, one in (("fitted", fitted), ("untrained", untrained)):
        x = pool.space.standardized(pool.x.take(torch.arange(77)))
        draw = draw_same_class_pairs(pool.y, one.is_head, Seed(9))
        with torch.no_grad():
            made = augment_tail(one.networks, x, pool.y, draw, options)
            loss[name] = made.losses["reconstruction"]
    assert loss["fitted"] < 0.5 * loss["untrained"]


def test_rows_are_a_function_of_the_draw(pool):
    fitted = fit_safa(pool, Seed(0), recipe=SafaRecipe(n_steps=20, residual=True))
    method = Safa(fitted)
    state = method.begin(pool, Seed(3), {1: 2, 2: 3})
    y_target = torch.tensor([2, 2, 1, 2, 1])
    slots = Slots(torch.arange(5), y_target)
    draws = [method.draw(state, slots, Seed(s), Seed(9)) for s in (1, 2)]
    together = method.make(state, draws)
    apart = [method.make(state, [draw]) for draw in draws]
    torch.testing.assert_close(together.x, torch.cat([part.x for part in apart]))
    for draw in draws:
        assert (pool.y[draw.seeds.index] == y_target).all()
        assert (pool.y[draw.head] == 0).all()
        assert (draw.head[:, 0] != draw.head[:, 1]).all()
    networks = fitted.networks
    one = pool.space.standardized(pool.x.take(draws[0].seeds.index[:1]))
    i, j = (pool.space.standardized(pool.x.take(rows[:1])) for rows in draws[0].head.T)
    with torch.no_grad():
        by_hand = networks.move(networks.delta(i - j), one)
    by_hand = pool.space.project(by_hand * pool.space.scale + pool.space.center)
    torch.testing.assert_close(together.x[:1], by_hand, rtol=1e-4, atol=1e-4)


def test_statistics_are_those_of_what_is_made(pool):
    fitted = fit_safa(pool, Seed(0), recipe=SafaRecipe(n_steps=5))
    norms = [part for part in fitted.networks.encoder if isinstance(part, nn.BatchNorm1d)]
    rows = random_pairs([(pool.y == 0).nonzero()[:, 0]], 4000, Seed(4))
    i, j = (pool.space.standardized(pool.x.take(index)) for index in rows.T)
    with torch.no_grad():
        hidden = fitted.networks.encoder[0](i - j)
    torch.testing.assert_close(norms[0].running_mean, hidden.mean(0), atol=0.3, rtol=0)
    torch.testing.assert_close(norms[0].running_var, hidden.var(0), rtol=0.3, atol=0.05)


def test_constant_columns_and_bounds(pool):
    x = pool.x.x.numpy().copy()
    x[:, 3] = 7.0
    constant = pool_of(x, pool.y.numpy())
    fitted = fit_safa(constant, Seed(0), recipe=SafaRecipe(n_steps=5))
    method = Safa(fitted)
    state = method.begin(constant, Seed(3), {1: 64})
    slots = Slots(torch.arange(64), torch.ones(64, dtype=torch.int64))
    draw = method.draw(state, slots, Seed(1), Seed(2))
    made = method.make(state, [draw])
    assert (made.x[:, 3] == 7.0).all()
    assert (made.x >= constant.space.lower).all()
    assert (made.x <= constant.space.upper).all()
    assert ((made.confidence >= 0) & (made.confidence <= 1)).all()


@pytest.mark.parametrize(("n_rows", "n_steps"), [(100, 30), (700, 32), (10_000, 40)])
def test_steps_are_six_passes_within_their_bounds(n_rows, n_steps):
    """A step takes 64 pairs of the head and as many of the tail: 128 rows."""
    assert SafaRecipe().steps_for(n_rows) == n_steps
    assert SafaRecipe(n_steps=7).steps_for(n_rows) == 7


def test_it_cannot_replace_rows_of_a_batch(pool):
    fitted = fit_safa(pool, Seed(0), recipe=SafaRecipe(n_steps=0))
    with pytest.raises(TypeError, match=r"augments the output of a layer.*SAFA\(layer="):
        Step(Safa(fitted), pool, Seed(0))(pool.x.x, pool.y, seed=Seed(0))
