"""Ways to mix: contracts over all of them, limits, and literal renderings of the papers' formulas."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ltresample.mixing import (
    BoxDraw,
    ColumnSwap,
    CutMix,
    MAMix,
    Mixup,
    Remix,
    SaliencyMix,
    UniMix,
    draw_ratio,
    mixup,
    paste_boxes,
    saliency,
    swap_columns,
    unimix_ratio,
)

IMAGES = [CutMix(4.0), CutMix(4.0, shared=False), SaliencyMix(4.0), SaliencyMix(4.0, shared=True)]
ANY = [Mixup(4.0), Mixup(4.0, shared=False), ColumnSwap(4.0), ColumnSwap(shared=True), UniMix()]
COUNTS = {"n_foreground": torch.full((6,), 5), "n_background": torch.full((6,), 20)}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def pairs(shape=(6, 2, 8, 9), seed=0):
    return torch.rand(2, *shape, generator=generator(seed), dtype=torch.float64)


def drawn(mix, shape=(2, 8, 9), m=6, seed=0, **options):
    return mix.draw(m, shape, generator(seed), **options)


@pytest.mark.parametrize("mix", [*IMAGES, *ANY], ids=repr)
def test_contract(mix):
    fg, bg = pairs()
    before = fg.clone(), bg.clone()
    params = drawn(mix)
    x, lam = mix.mix(fg, bg, params, **COUNTS)
    assert x.shape == fg.shape
    assert x.dtype == fg.dtype
    assert lam.shape == (6,)
    assert lam.dtype == torch.float64
    assert ((lam >= 0) & (lam <= 1)).all()
    assert torch.equal(fg, before[0])
    assert torch.equal(bg, before[1])
    between = (x >= torch.minimum(fg, bg) - 1e-12) & (x <= torch.maximum(fg, bg) + 1e-12)
    assert between.all()
    again = mix.mix(fg, bg, pickle.loads(pickle.dumps(params)), **COUNTS)
    assert torch.equal(again.x, x), "a function of the draw"
    assert not torch.equal(mix.mix(fg, bg, drawn(mix, seed=1), **COUNTS).x, x)


@pytest.mark.parametrize("mix", [*IMAGES, ANY[2], ANY[3]], ids=repr)
def test_copied_values_are_counted_exactly(mix):
    shape = (6, 2, 8, 8)
    fg, bg = torch.zeros(shape), torch.ones(shape)
    fg[:, :, 3, 3] = 1e-9  # something to catch the eye
    x, lam = mix.mix(fg, bg, drawn(mix, shape[1:]), **COUNTS)
    np.testing.assert_allclose(x.round().double().mean((1, 2, 3)), lam)
    assert not mix.blends


@pytest.mark.parametrize("mix", [CutMix(0.5, shared=False), Mixup(0.5, shared=False)], ids=repr)
def test_limits(mix):
    fg, bg = pairs()
    for lam, expected in ((0.0, fg), (1.0, bg)):
        ratio = torch.full((6,), lam, dtype=torch.float64)
        center = torch.full((6, 2), 0.5, dtype=torch.float64)
        params = BoxDraw(ratio, center, inside=True) if mix.needs_images else ratio
        mixed = mix.mix(fg, bg, params)
        assert torch.equal(mixed.x, expected), "a full box is the foreground, an empty one nothing"
        assert (mixed.lam == lam).all()


def rand_bbox(height, width, lam, cy, cx):
    """The box of CutMix's Section 3: centre given, sides rounded down, clipped."""
    ratio = np.sqrt(1 - lam)
    h, w = int(height * ratio), int(width * ratio)
    top, bottom = np.clip([cy - h // 2, cy + h // 2], 0, height)
    left, right = np.clip([cx - w // 2, cx + w // 2], 0, width)
    return top, bottom, left, right


@settings(max_examples=50, deadline=None)
@given(
    lam=st.floats(0, 1),
    center=st.tuples(st.floats(0, 0.999), st.floats(0, 0.999)),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
def test_cutmix_follows_its_formula(lam, center, size):
    fg, bg = torch.ones(1, 1, *size), torch.zeros(1, 1, *size)
    lam_and_center = (torch.tensor([part], dtype=torch.float64) for part in (lam, center))
    draw = BoxDraw(*lam_and_center, inside=False)
    x, kept = CutMix().mix(fg, bg, draw)
    cy, cx = (int(c * n) for c, n in zip(center, size, strict=True))
    top, bottom, left, right = rand_bbox(*size, lam, cy, cx)
    expected = np.zeros(size)
    expected[top:bottom, left:right] = 1
    np.testing.assert_array_equal(x[0, 0], expected)
    assert float(kept) == pytest.approx(1 - expected.mean())


@pytest.mark.parametrize("least", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("mix", [*IMAGES, *ANY[:4]], ids=repr)
def test_a_least_share_of_the_foreground_is_kept(mix, least):
    fg, bg = pairs((200, 1, 7, 9))
    params = mix.draw(200, (1, 7, 9), generator(), max_lam=1 - least)
    lam = mix.mix(fg, bg, params).lam
    if isinstance(mix, ColumnSwap):  # of 63 columns, rounded to the nearest
        least -= 0.5 / 63
    assert (1 - lam >= least - 1e-12).all()


def test_unimix_has_no_least_share():
    with pytest.raises(ValueError, match="follows from the counts.*max_lam=0.5.*min_foreground=0"):
        drawn(UniMix(), max_lam=0.5)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("kind", [CutMix, SaliencyMix, Mixup, ColumnSwap])
def test_shared_draws(kind, shared):
    mix = kind(alpha=2.0, shared=shared)
    draw = drawn(mix)
    parts = [draw] if kind is Mixup else [part for part in draw if isinstance(part, torch.Tensor)]
    for part in parts:  # ratios, and places of boxes or columns
        assert (len(part.unique(dim=0)) == 1) == shared


def test_defaults_are_those_of_the_papers():
    """Beta(1, 1), of UniMix Beta(0.8, 0.8); Remix's kappa and tau; the power of MAMix."""
    for kind in (CutMix, Mixup, SaliencyMix, ColumnSwap):
        assert kind().alpha == 1
    assert UniMix().alpha == 0.8
    assert Remix() == Remix(kappa=3.0, tau=0.5)
    assert MAMix() == MAMix(power=-0.25)


def test_boxes_with_a_least_share_are_anywhere_in_the_image():
    """Of 8 x 6 pixels a box of half the sides has 5 x 4 places: all of them, and equally often."""
    even = (torch.arange(500, dtype=torch.float64) + 0.5) / 500
    draw = BoxDraw(torch.full_like(even, 0.75), torch.stack([even, even], 1), inside=True)
    fg = torch.ones(500, 1, 8, 6)
    box = CutMix().mix(fg, torch.zeros_like(fg), draw).x[:, 0]
    assert (box.sum((1, 2)) == 4 * 3).all()
    for side, n_places in ((2, 5), (1, 4)):
        first = box.amax(side).argmax(1)
        assert torch.bincount(first).tolist() == [500 // n_places] * n_places


def test_ratios_are_beta_distributed():
    lam = draw_ratio(4000, 4.0, generator())
    assert stats.kstest(lam.numpy(), stats.beta(4, 4).cdf).pvalue > 0.01
    cut = draw_ratio(4000, 4.0, generator(), max_lam=0.4)
    law = stats.beta(4, 4)
    assert stats.kstest(cut.numpy(), lambda t: law.cdf(t) / law.cdf(0.4)).pvalue > 0.01


def test_mean_share_of_small_images():
    """Half a side is a whole number, so that boxes are smaller than drawn."""
    for size, share in ((32, 0.31), (8, 0.25)):
        mix = CutMix(4.0, shared=False)
        fg = torch.zeros(5000, 1, size, size)
        lam = mix.mix(fg, fg, mix.draw(5000, (1, size, size), generator())).lam
        assert float(1 - lam.mean()) == pytest.approx(share, abs=0.01)


# ---- saliency ------------------------------------------------------------------------------------


def test_saliency_is_the_difference_to_the_surround():
    x = torch.rand(2, 3, 9, 7, generator=generator())
    value = x.mean(1).numpy()
    expected = np.zeros_like(value)
    for reach in (1, 2, 4):
        for i, j in np.ndindex(9, 7):
            near = value[:, max(0, i - reach) : i + reach + 1, max(0, j - reach) : j + reach + 1]
            expected[:, i, j] += np.abs(value[:, i, j] - near.mean((1, 2)))
    np.testing.assert_allclose(saliency(x), expected, atol=1e-5)
    assert saliency(torch.full((1, 5, 5), 0.3)).abs().max() < 1e-6


def test_saliency_mix_pastes_the_peak():
    fg = torch.zeros(6, 1, 16, 16)
    place = torch.randint(16, (6, 2), generator=generator())
    fg[torch.arange(6), 0, place[:, 0], place[:, 1]] = 1
    mix = SaliencyMix(4.0)
    x = mix.mix(fg, torch.zeros_like(fg), mix.draw(6, (1, 16, 16), generator())).x
    assert torch.equal(x.sum((1, 2, 3)), torch.ones(6))


def moved_box(height, width, lam, cy, cx):
    """A box around a centre, as large as drawn, moved inwards where it would stick out."""
    h, w = (int(min(n, np.ceil(n * np.sqrt(1 - lam)))) for n in (height, width))
    top, left = max(0, min(cy - h // 2, height - h)), max(0, min(cx - w // 2, width - w))
    return top, top + h, left, left + w


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("max_lam", "box_of"), [(1.0, rand_bbox), (0.6, moved_box)])
def test_saliency_boxes_are_around_the_peak(shared, max_lam, box_of):
    """Of each image, or one box a batch, from the first image, as in published code."""
    size = (9, 16)
    place = torch.stack([torch.randint(n, (40,), generator=generator(n)) for n in size], 1)
    fg = torch.ones(40, 1, *size)
    fg[torch.arange(40), 0, place[:, 0], place[:, 1]] = 2
    mix = SaliencyMix(4.0, shared=shared)
    draw = mix.draw(40, (1, *size), generator(), max_lam=max_lam)
    boxes = mix.mix(fg, torch.zeros_like(fg), draw).x[:, 0] > 0
    for i, box in enumerate(boxes):
        top, bottom, left, right = box_of(*size, float(draw.lam[i]), *place[0 if shared else i])
        expected = np.zeros(size, bool)
        expected[top:bottom, left:right] = True
        np.testing.assert_array_equal(box, expected)


# ---- label rules ---------------------------------------------------------------------------------

shares = st.floats(0, 1)
counts = st.integers(1, 5000)


@settings(deadline=None)
@given(shares, counts, counts, st.floats(1, 10), shares)
def test_remix_follows_its_formula(lam, n_f, n_b, kappa, tau):
    expected = lam
    if n_b / n_f >= kappa and lam < tau:
        expected = 0.0
    if n_b / n_f <= 1 / kappa and 1 - lam < tau:
        expected = 1.0
    args = torch.tensor([lam], dtype=torch.float64), torch.tensor([n_f]), torch.tensor([n_b])
    ratio = n_b / n_f
    if abs(ratio - kappa) > 1e-5 * kappa and abs(ratio - 1 / kappa) > 1e-5 / kappa:
        assert float(Remix(kappa, tau).share(*args)) == expected


def test_remix_at_its_borders():
    """Its condition is n_i / n_j >= kappa and lam < tau: the first border belongs, not the second."""
    for lam, n_f, n_b, share in [
        (0.25, 5, 20, 0),
        (0.5, 5, 20, 0.5),
        (0.75, 20, 5, 1),
        (0.5, 20, 5, 0.5),
    ]:
        args = torch.tensor([lam], dtype=torch.float64), torch.tensor([n_f]), torch.tensor([n_b])
        assert float(Remix(kappa=4.0, tau=0.5).share(*args)) == share


def margin_aware(lam, n_i, n_j, power):
    """Label weight of i in (1 - lam) x_i + lam x_j: 1, 1/2 at n_i^w / (n_i^w + n_j^w), 0."""
    half = n_i**power / (n_i**power + n_j**power)
    return float(np.interp(lam, [0, half, 1], [1, 0.5, 0]))


@settings(deadline=None)
@given(shares, counts, counts)
def test_mamix_follows_its_formula(lam, n_f, n_b):
    args = torch.tensor([lam], dtype=torch.float64), torch.tensor([n_f]), torch.tensor([n_b])
    share = float(MAMix().share(*args))
    assert share == pytest.approx(1 - margin_aware(lam, n_f, n_b, -0.25), abs=1e-6)
    other_way_round = float(MAMix().share(1 - args[0], args[2], args[1]))
    assert share == pytest.approx(1 - other_way_round, abs=1e-6)


@pytest.mark.parametrize("rule", [Remix(kappa=1e9), Remix(tau=0.0), MAMix(power=0.0)], ids=repr)
def test_rules_that_change_nothing(rule):
    lam = torch.linspace(0, 1, 11, dtype=torch.float64)
    n = torch.arange(1, 12)
    torch.testing.assert_close(rule.share(lam, n, n.flip(0)), lam)


def test_unimix_ratio():
    beta, n_f, n_b = torch.tensor([0.2, 0.9]), torch.tensor([5, 5]), torch.tensor([15, 15])
    torch.testing.assert_close(unimix_ratio(beta, n_f, n_b), torch.tensor([0.45, 0.15]))
    mix = UniMix()
    draw = drawn(mix)
    fg, bg = pairs()
    mixed = mix.mix(fg, bg, draw, **COUNTS)
    torch.testing.assert_close(mixed.lam, (draw + 0.2) % 1)
    torch.testing.assert_close(mixed.x, mixup(fg, bg, mixed.lam))


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [mixup, paste_boxes, swap_columns])
def test_images_of_unequal_size_are_refused(call):
    with pytest.raises(ValueError, match=r"same shape.*\(2, 1, 8, 8\).*\(2, 1, 8, 9\).*one size"):
        call(torch.zeros(2, 1, 8, 8), torch.zeros(2, 1, 8, 9), torch.zeros(2))


def test_boxes_need_images():
    mix = CutMix()
    with pytest.raises(ValueError, match=r"cut out of images.*rows of shape \(5,\).*ColumnSwap"):
        mix.mix(torch.zeros(3, 5), torch.zeros(3, 5), mix.draw(3, (5,), generator()))


@pytest.mark.parametrize("kind", [CutMix, SaliencyMix, Mixup, ColumnSwap, UniMix])
def test_alpha_is_checked(kind):
    with pytest.raises(ValueError, match="alpha.*positive and finite. Got alpha=0"):
        kind(alpha=0)


def test_rules_check_their_parameters():
    with pytest.raises(ValueError, match="kappa must be at least 1. Got kappa=0.5"):
        Remix(kappa=0.5)
    with pytest.raises(ValueError, match=r"tau must be in \[0, 1\]. Got tau=2"):
        Remix(tau=2)
