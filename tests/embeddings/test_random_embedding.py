"""Random networks as embeddings."""

import copy
import functools

import numpy as np
import pytest
import torch
from torch import nn

from ltresample.embeddings import FixedRandomEmbedding, RandomEmbedding
from ltresample.models import MLP, ResNetCifar, SmallCNN, feature_extractor, initialize


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def rows(*shape, seed=1):
    return torch.rand(*shape, generator=seeded(seed))


def test_rows_pass_one_random_layer():
    x = rows(6, 5)
    psi = RandomEmbedding(width=7).member(seeded(3), calibration=x)
    weight = torch.empty(7, 5).normal_(0, np.sqrt(2 / 5), generator=seeded(3)).numpy()
    np.testing.assert_allclose(psi(x).numpy(), np.maximum(x.numpy() @ weight.T, 0), rtol=1e-5)


def test_grey_images_are_images_of_one_channel():
    x = rows(6, 8, 9)
    grey = RandomEmbedding().member(seeded(), calibration=x)(x)
    channel = RandomEmbedding().member(seeded(), calibration=x[:, None])(x[:, None])
    assert torch.equal(grey, channel)


def test_weights_of_a_template_have_no_influence():
    x = rows(6, 3, 8, 8)
    outs = [
        RandomEmbedding(architecture).member(seeded(), calibration=x)(x)
        for architecture in (
            SmallCNN(3, 2, width=4, generator=seeded(1)),
            SmallCNN(3, 2, width=4, generator=seeded(2)).double(),
            nn.DataParallel(SmallCNN(3, 2, width=4, generator=seeded(2)).eval()),
            functools.partial(SmallCNN, 3, 2, width=4),
        )
    ]
    for out in outs[1:]:
        assert torch.equal(out, outs[0])


def literal_statistics(x):
    """Set the running statistics of a network by one pass in training mode with momentum 1."""
    network = initialize(SmallCNN(3, 2, width=4), seeded())
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 1.0
    network.train()
    with torch.no_grad():
        network(x)
    return network.eval()


def test_calibration_is_one_pass_in_training_mode():
    x = rows(20, 3, 8, 8)
    embedding = RandomEmbedding(SmallCNN(3, 2, width=4, generator=seeded(1)))
    psi = embedding.member(seeded(), calibration=x)
    with torch.no_grad():
        torch.testing.assert_close(psi(x), literal_statistics(x).features(x))
        assert not torch.allclose(psi(x), literal_statistics(x[:10]).features(x))


def test_without_calibration_statistics_are_those_of_a_new_network():
    x = rows(20, 3, 8, 8)
    psi = RandomEmbedding(SmallCNN(3, 2, width=4), bn="init").member(seeded(), calibration=x)
    network = initialize(SmallCNN(3, 2, width=4), seeded()).eval()
    with torch.no_grad():
        assert torch.equal(psi(x), network.features(x))


def test_members_do_not_normalise_away_a_shift_between_sets():
    x = rows(20, 3, 8, 8)
    psi = RandomEmbedding().member(seeded(), calibration=x)
    assert (psi(x + 1).mean(0) - psi(x).mean(0)).abs().max() > 0.1
    torch.testing.assert_close(psi(x[:3]), psi(x)[:3], rtol=1e-4, atol=1e-5)


def test_dropout_of_a_template_stays_off():
    x = rows(20, 6)
    template = nn.Sequential(
        nn.Linear(6, 5), nn.Dropout(0.5), nn.BatchNorm1d(5), MLP(5, 2, hidden=4, dropout=0.5)
    )
    before = torch.get_rng_state()
    psi = RandomEmbedding(template).member(seeded(), calibration=x)
    assert torch.equal(psi(x), psi(x))
    assert torch.equal(torch.get_rng_state(), before)
    assert template.training


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_rows_leave_the_statistics_of_a_new_network(n):
    x = rows(20, 3, 8, 8)
    few, none = (
        RandomEmbedding(bn=bn).member(seeded(), calibration=x[:n])(x)
        for bn in ("calibrate", "init")
    )
    assert torch.equal(few, none)


def test_synchronised_normalisation_becomes_local(monkeypatch):
    def wait(*args):
        raise AssertionError("waits for other processes")

    monkeypatch.setattr(nn.SyncBatchNorm, "forward", wait)
    template = nn.SyncBatchNorm.convert_sync_batchnorm(SmallCNN(3, 2, width=4))
    x = rows(20, 3, 8, 8)
    psi = RandomEmbedding(template).member(seeded(), calibration=x)
    with torch.no_grad():
        torch.testing.assert_close(psi(x), literal_statistics(x).features(x))
    assert isinstance(template.body[1], nn.SyncBatchNorm)


def test_a_member_is_frozen():
    x = rows(6, 3, 8, 8)
    template = SmallCNN(3, 2, width=4).train()
    psi = RandomEmbedding(template).member(seeded(), calibration=x)
    before = copy.deepcopy(psi(x))
    psi(5 * x)
    assert torch.equal(psi(x), before)
    assert not psi(x).requires_grad
    assert template.training


def test_one_seed_one_map():
    x = rows(6, 5)
    a = FixedRandomEmbedding(seed=0).member(seeded(0), calibration=x)(x)
    b = FixedRandomEmbedding(seed=0).member(seeded(1), calibration=x)(x)
    c = FixedRandomEmbedding(seed=1).member(seeded(0), calibration=x)(x)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_fixed_weights_follow_the_calibration_rows_only_if_asked():
    x = rows(20, 3, 8, 8)
    for bn, same in (("calibrate", False), ("init", True)):
        embedding = FixedRandomEmbedding(ResNetCifar(8, 2, width=4), bn=bn)
        one, other = (
            embedding.member(seeded(), calibration=rows)(x) for rows in (x[:10], 3 * x[10:])
        )
        assert torch.equal(one, other) is same


@pytest.mark.parametrize("cls", [RandomEmbedding, FixedRandomEmbedding])
def test_unknown_bn(cls):
    with pytest.raises(ValueError, match="bn must be 'calibrate' or 'init'. Got bn='train'."):
        cls(bn="train")


def test_unknown_layer():
    embedding = RandomEmbedding(SmallCNN(3, 2, width=4), layer="tail")
    with pytest.raises(ValueError, match="SmallCNN has no layer 'tail'"):
        embedding.member(seeded(), calibration=rows(6, 3, 8, 8))


def test_the_default_network_is_the_body_of_the_small_one():
    x = rows(12, 3, 8, 8)
    psi = RandomEmbedding(bn="init").member(seeded(), calibration=x)
    network = SmallCNN(3, 1, generator=seeded()).eval()
    with torch.no_grad():
        assert torch.equal(psi(x), feature_extractor(network)(x))
