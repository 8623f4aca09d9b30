"""What a resampler does in training, where the papers are definite about it."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ltresample._random import Seed
from ltresample.distances import SinkhornTransport
from ltresample.embeddings import IdentityEmbedding, RandomEmbedding
from ltresample.guides import classifier_of
from ltresample.mixing import Mixup, Remix
from ltresample.models import MLP, SmallCNN
from ltresample.over_sampling import DistributionMatchingOversampler, M2mSampler, OTMixSampler
from ltresample.pairing import TransportPairing
from ltresample.rows import ArrayRows, Pool, Space, pool_of
from ltresample.synthesis import (
    DistributionSeeds,
    MixSchedule,
    Moment,
    Steps,
    gaussian_noise,
    reference_noise,
)
from ltresample.training._augmentation import RandomCropFlip
from ltresample.training._synthesis import StepSynthesis

COUNTS = np.array([200, 60, 15])
untrained = pytest.mark.filterwarnings("ignore:g gives the true class:ltresample.LongTailWarning")


@pytest.fixture(autouse=True)
def networks_start_alike():
    torch.manual_seed(0)


def image_pool(counts=COUNTS, size=8, seed=0, **parts):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(counts)), counts)
    means = rng.random((len(counts), 1, size, size))
    x = np.clip(means[y] + 0.1 * rng.normal(size=(len(y), 1, size, size)), 0, 1)
    pool = Pool(
        ArrayRows(x.astype(np.float32)),
        torch.from_numpy(y),
        torch.from_numpy(np.asarray(counts)),
        Space.pixels(),
    )
    return pool._replace(**parts)


def table_pool(seed=0):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(3), COUNTS)
    X = (rng.normal(size=(len(y), 4)) + 4 * np.eye(3, 4)[y]).astype(np.float32)
    return pool_of(ArrayRows(X), torch.from_numpy(y), COUNTS)


def trained(module, pool, scale=1.0, steps=200):
    x = pool.x.take(torch.arange(len(pool.labels)))
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    weight = 1 / pool.class_counts.float()
    for _ in range(steps):
        loss = nn.functional.cross_entropy(scale * module(x), pool.y, weight=weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return module


def bound(sampler, pool, f, n_classes=3):
    return StepSynthesis(sampler, pool, classes=np.arange(n_classes), module=f, seed=Seed(0))


def batch_of(pool, n_per_class, seed=0):
    generator = Seed(seed).torch()
    at = torch.cat([m[torch.randint(len(m), (n_per_class,), generator=generator)]
                    for m in pool.classes.split()])  # fmt: skip
    return pool.x.take(at), pool.y[at], at


# ---- probabilities of a network in training ------------------------------------------------------


def test_a_network_with_a_cosine_head_guides_itself_as_it_guides_others():
    """Its logits lie in [-1, 1]: without their scale no probability reaches .9."""
    pool = table_pool()
    f = trained(MLP(4, 3, hidden=(16,), head="cosine"), pool, scale=30.0)
    settings = {"preset": "paper", "step_size": 0.4, "count_test": False, "source_penalty": 0.0}
    x, y, index = batch_of(pool, 40)
    itself, other = (
        bound(M2mSampler(g=g, **settings), pool, f)(x, y, seed=Seed(1), index=index)
        for g in ("f", f)
    )
    assert itself.n_accepted == other.n_accepted > 10
    torch.testing.assert_close(itself.x, other.x)


def test_soft_affinities_of_a_cosine_head_are_those_of_its_probabilities():
    pool = table_pool()
    f = trained(MLP(4, 3, hidden=(16,), head="cosine"), pool, scale=30.0)
    sampler = OTMixSampler(class_affinity="soft", start=0, stop=None, schedule_power=0.0)
    step = bound(sampler, pool, f)
    everyone = torch.arange(len(pool.labels))
    step.state = step.method.begin_epoch(step.state, Moment(1, 2, (pool.x, pool.y), step.f))
    diagonal = step.state.affinity.diagonal()
    with torch.no_grad():
        right = (f(pool.x.take(everyone)).argmax(1) == pool.y).float().mean()
    assert right > 0.95
    assert (diagonal > 0.9).all(), "a mean of softmax(30 cos), not of softmax(cos)"


# ---- psi of distribution matching ----------------------------------------------------------------


@untrained
def test_random_encoders_have_the_architecture_of_the_network_in_training():
    pool = image_pool()
    f = SmallCNN(1, 3, width=6)
    for preset in ("auto", "paper"):
        sampler = DistributionMatchingOversampler(preset=preset, g=SmallCNN(1, 3, width=3))
        step = bound(sampler, pool, f)
        family = step.method.embedding
        assert type(family.architecture) is type(f)
        member = family.member(Seed(0).torch(), calibration=pool.x.take(torch.arange(32)))
        rows = pool.x.take(torch.arange(5))
        assert member(rows).shape == f.features(rows).shape
        other = family.member(Seed(1).torch(), calibration=pool.x.take(torch.arange(32)))
        assert not torch.allclose(member(rows), other(rows)), "drawn anew"
        weights = dict(f.named_parameters())
        copied = dict(family.architecture.named_parameters())
        assert weights.keys() == copied.keys()
        assert all(weights[name] is not copied[name] for name in weights)


@untrained
def test_offline_random_encoders_have_the_architecture_of_g():
    pool = image_pool()
    X, y = pool.x.x, pool.y.numpy()
    seen = []

    class Watching(DistributionMatchingOversampler):
        def method(self, settings, pool, guides):
            seen.append(super().method(settings, pool, guides))
            return seen[-1]

    Watching(g=SmallCNN(1, 3, width=5), random_state=0, min_confidence=0.0).fit_resample(X, y)
    embedding = seen[0].embedding
    assert isinstance(embedding.architecture, SmallCNN)
    assert embedding.architecture.head.in_features == 10
    table = table_pool()
    bound_method = bound(DistributionMatchingOversampler(g=MLP(4, 3)), table, MLP(4, 3)).method
    assert bound_method.embedding.architecture is None, "one hidden layer, as ever"


def test_width_is_the_number_of_features():
    for width, shape in ((16, (4, 1, 8, 8)), (10, (4, 8, 8)), (12, (4, 7))):
        x = torch.rand(shape, generator=Seed(0).torch())
        psi = RandomEmbedding(width=width).member(Seed(1).torch(), calibration=x)
        assert psi(x).shape == (4, width)


# ---- real sets are seen as batches are -----------------------------------------------------------


@untrained
def test_real_sets_and_calibration_rows_are_augmented_as_batches_are():
    seen = {"real": [], "calibration": []}

    class Pixels:
        standardized = True

        def member(self, generator, *, calibration):
            seen["calibration"].append(calibration)
            return lambda x: x.flatten(1)

    def distance(real, synthetic, *, real_mask, synthetic_mask):
        seen["real"].append(real[real_mask])
        return synthetic.square().sum((1, 2))

    sampler = DistributionMatchingOversampler(
        g=SmallCNN(1, 3), embedding=Pixels(), distance=distance, n_steps=1
    )
    pool = image_pool()
    rows = {tuple(row) for row in pool.x.take(torch.arange(275)).flatten(1).tolist()}

    def share_of_real_rows(augment):
        step = bound(sampler, pool._replace(augment=augment), SmallCNN(1, 3))
        x, y, index = batch_of(pool, 10)
        step(x, y, seed=Seed(3), index=index)
        return [
            np.mean([tuple(row) in rows for row in part[-1].flatten(1).tolist()])
            for part in seen.values()
        ]

    assert share_of_real_rows(None) == [1, 1]
    assert max(share_of_real_rows(lambda x, generator: x.flip(3))) == 0
    assert max(share_of_real_rows(RandomCropFlip(padding=2))) < 0.2
    first, second = (seen["real"][-1] for _ in range(2) if share_of_real_rows(RandomCropFlip()))
    assert torch.equal(first, second), "from the step's own stream"


# ---- nothing grows with the number of classes ----------------------------------------------------


class Counting(TorchDispatchMode):
    n = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.n += 1
        return func(*args, **(kwargs or {}))


@untrained
@pytest.mark.parametrize("kind", [M2mSampler, DistributionMatchingOversampler])
def test_a_step_takes_as_many_operations_with_300_classes_as_with_six(kind):
    """The same batch of six classes; the others are merely there."""
    numbers = []
    for n_classes in (6, 300):
        counts = np.r_[[60, 30, 20, 10, 8, 6], np.full(n_classes - 6, 4)]
        pool = image_pool(counts)
        g, f = (SmallCNN(1, n_classes, width=4, generator=Seed(i).torch()) for i in range(2))
        sampler = kind(g=g, preset="paper", n_steps=2, min_confidence=0.0, count_decay=0.0)
        step = bound(sampler, pool, f, n_classes)
        at = torch.arange(134).repeat_interleave(1)[::2]
        x, y = pool.x.take(at), pool.y[at]
        step(x, y, seed=Seed(1), index=at)
        with Counting() as counting:
            made = step(x, y, seed=Seed(1), index=at)
        assert made.n_requested > 10
        numbers.append(counting.n)
    assert numbers[0] == pytest.approx(numbers[1], rel=0.02)


# ---- presets -------------------------------------------------------------------------------------


@untrained
def test_a_preset_that_is_named_is_kept_in_training_on_images():
    pool, f = image_pool(), SmallCNN(1, 3)
    steps = {
        preset: bound(M2mSampler(preset=preset, g=SmallCNN(1, 3)), pool, f).settings_
        for preset in ("auto", "paper", "scaled")
    }
    assert steps["auto"] == steps["paper"]
    assert steps["scaled"]["seeds"] == "near"
    assert steps["scaled"]["step_size"] == "reach"
    made = bound(M2mSampler(preset="scaled", g=SmallCNN(1, 3)), pool, f)
    x, y, index = batch_of(pool, 10)
    assert made(x, y, seed=Seed(0), index=index).n_requested > 0


@untrained
def test_presets_are_what_they_are_called():
    pool = image_pool()
    dm = bound(
        DistributionMatchingOversampler(preset="paper", g=SmallCNN(1, 3)), pool, SmallCNN(1, 3)
    )
    assert dm.settings_["count_decay"] == 0.999, "METHODS of the paper: beta = .999 everywhere"
    text = bound(OTMixSampler(preset="otmix_paper"), pool, SmallCNN(1, 3)).settings_
    assert text["foreground_power"] == 2.0, "class probability in proportion to 1 / N_k"
    assert (text["mix_prob"], text["start"], text["stop"]) == (1.0, 0, None)


# ---- named options -------------------------------------------------------------------------------


def test_part_of_a_batch_is_mixed():
    pool = image_pool()
    sampler = OTMixSampler(preset="otmix_paper", class_affinity=np.eye(3), synthetic_share=0.25)
    step = bound(sampler, pool, SmallCNN(1, 3, generator=Seed(0).torch()))
    step.begin_epoch(1, 2)
    x, y, index = batch_of(pool, 16)
    made = step(x, y, seed=Seed(2), index=index)
    assert made.n_requested == made.n_accepted == 12
    assert torch.equal(made.x[12:], x[12:])
    assert not torch.equal(made.x[:12], x[:12])
    back, front = made.terms
    assert torch.equal(back.y[12:], y[12:])
    assert (back.coef[12:] == 1).all()
    assert (front.coef[12:] == 0).all()
    torch.testing.assert_close(back.coef + front.coef, torch.ones(48))


def test_the_scaled_logit_of_a_cosine_head_pushes_thirty_times_as_hard():
    pool = table_pool()
    f = MLP(4, 3, hidden=(16,), head="cosine")
    x, y = pool.x.take(torch.arange(20)), pool.y[:20]
    plain, scaled = (
        bound(M2mSampler(scaled_penalty=option, source_penalty=0.2), pool, f).method.penalize(
            classifier_of(f), x, y, y
        )
        for option in (False, True)
    )
    torch.testing.assert_close(plain, 0.2 * f(x).gather(1, y[:, None])[:, 0])
    torch.testing.assert_close(scaled, 30 * plain)


def test_without_the_loss_of_the_target_class_g_moves_nothing():
    pool = table_pool()
    f, g = MLP(4, 3), trained(MLP(4, 3), pool)
    settings = {
        "preset": "paper",
        "matching_weight": 0.0,
        "source_penalty": 0.0,
        "min_confidence": 0.0,
        "class_test": False,
        "noise_radius": 0.0,
    }
    x, y, index = batch_of(pool, 20)
    moved, still = (
        bound(
            DistributionMatchingOversampler(g=g, target_loss=target, **settings), pool, f
        )(x, y, seed=Seed(1), index=index)
        for target in (True, False)
    )  # fmt: skip
    rows = {tuple(row) for row in x.tolist()}
    assert all(tuple(row) in rows for row in still.x.tolist()), "seeds stay where they are"
    assert not all(tuple(row) in rows for row in moved.x.tolist())


@untrained
def test_named_options_of_m2m_reach_the_engine():
    sampler = M2mSampler(
        preset="paper",
        g=MLP(4, 3),
        step_size=0.3,
        n_steps=7,
        min_confidence=0.6,
        source_penalty=0.2,
        count_decay=0.9,
        noise_radius=0.1,
        noise="gaussian",
        rest=True,
        confidence_test="loss",
        insert="seed",
        n_seeds_per_class=5,
        synthetic_share=0.7,
    )
    step = bound(sampler, table_pool(), MLP(4, 3))
    method, steps = step.method, Steps(n_steps=7, step_size=0.3, noise_radius=0.1, rest=True)
    assert method.steps == steps._replace(draw_noise=gaussian_noise)
    assert method.seeding == DistributionSeeds(0.9, n_per_class=5)
    assert (method.min_confidence, method.source_penalty, method.count_decay) == (0.6, 0.2, 0.9)
    assert method.loss_test
    assert method.insert_seed
    assert not method.random_labels
    assert step.synthetic_share == 0.7


@untrained
def test_named_options_of_distribution_matching_reach_the_engine():
    sampler = DistributionMatchingOversampler(
        preset="paper",
        g=MLP(4, 3),
        distance="transport",
        reg=0.3,
        embedding="identity",
        matching_weight=0.2,
        target_loss=False,
        class_test=False,
        intra="unbiased",
        matching_scale="literal",
        n_real=9,
        block_size=11,
        noise="reference",
        count_decay=0.9,
    )
    method = bound(sampler, table_pool(), MLP(4, 3)).method
    assert method.distance == SinkhornTransport(reg=0.3)
    assert isinstance(method.embedding, IdentityEmbedding)
    assert (method.matching_weight, method.n_real, method.block_size) == (0.2, 9, 11)
    assert (method.target_loss, method.class_test) == (False, False)
    assert (method.unbiased, method.literal_scale) == (True, True)
    assert method.translation.steps.draw_noise is reference_noise
    assert method.translation.seeding == DistributionSeeds(0.9)
    assert method.translation.count_decay is None, "L(d) takes the place of M2m's Bernoulli test"


@untrained
def test_named_options_of_otmix_reach_the_engine():
    pairing, affinity = TransportPairing(feature_weight=0.3), np.full((3, 3), 1 / 3)
    sampler = OTMixSampler(
        pairing=pairing,
        mix=Mixup(3.0),
        label_rule=Remix(kappa=2.0),
        class_affinity=affinity,
        min_foreground=0.2,
        foreground="batch",
        foreground_power=0.4,
        mix_prob=0.6,
        schedule_power=2.0,
        start=3,
        stop=-2,
        refresh_affinity=False,
        feature_bank=True,
        block_size=40,
        synthetic_share=0.5,
    )
    method = bound(sampler, table_pool(), MLP(4, 3)).method
    assert (method.mix, method.pairing, method.label_rule) == (
        Mixup(3.0),
        pairing,
        Remix(kappa=2.0),
    )
    np.testing.assert_array_equal(method.class_affinity, affinity)
    assert (method.min_foreground, method.block_size, method.feature_bank) == (0.2, 40, True)
    assert method.schedule == MixSchedule(
        foreground="batch",
        foreground_power=0.4,
        mix_prob=0.6,
        schedule_power=2.0,
        start=3,
        stop=-2,
        refresh=False,
        share=0.5,
    )


@untrained
def test_random_labels_are_for_training_with_three_classes():
    pool = table_pool()
    X, y = pool.x.x, pool.y.numpy()
    with pytest.raises(ValueError, match="Got them in fit_resample. Leave insert"):
        M2mSampler(insert="random_label", random_state=0).fit_resample(X, y)
    two = pool._replace(x=ArrayRows(X[y < 2]), y=pool.y[y < 2], class_counts=pool.class_counts[:2])
    with pytest.raises(ValueError, match="Got them with two classes"):
        bound(M2mSampler(insert="random_label", g=MLP(4, 2)), two, MLP(4, 2), 2)


def test_confusions_follow_random_state():
    """Folds of the guides that say which class is confusing are children of the root."""
    from ltresample.over_sampling import _guiding

    pool, seeds = table_pool(), []
    original = _guiding.fit_fold_guides
    X, y = pool.x.x, pool.y.numpy()
    try:
        _guiding.fit_fold_guides = lambda p, seed, *rest, **more: (
            seeds.append(seed) or original(p, seed, *rest, **more)
        )
        for state in (0, 1, 0):
            DistributionMatchingOversampler(
                f=MLP(4, 3), confusing="only", random_state=state, source_penalty=0.1
            ).fit_resample(X, y)
    finally:
        _guiding.fit_fold_guides = original
    assert seeds[0] == seeds[2] != seeds[1]


def test_the_g_of_m2m_self_is_documented():
    for sampler in (M2mSampler, DistributionMatchingOversampler):
        assert '"f"' in sampler.__doc__.split("f : None")[0]
