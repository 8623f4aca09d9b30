"""Principal components."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from ltresample.embeddings import PCAEmbedding


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def project(embedding, x):
    return embedding.member(seeded(), calibration=x)(x)


def normal(n, d, seed=0):
    """Draw rows whose directions have variances apart from each other."""
    x = torch.randn(n, d, generator=seeded(seed), dtype=torch.float64)
    return x * torch.linspace(1, 3, d, dtype=torch.float64) + 5


@pytest.mark.parametrize(("n", "d"), [(50, 6), (6, 50), (7, 7)])
@pytest.mark.parametrize("most", [1, 4])
def test_against_scikit_learn(n, d, most):
    x = normal(n, d)
    reference = PCA(most, svd_solver="full").fit(x.numpy())
    signs = np.sign(
        np.take_along_axis(
            reference.components_, np.abs(reference.components_).argmax(1)[:, None], 1
        )
    )
    embedding = PCAEmbedding(most).fit(x)
    np.testing.assert_allclose(
        embedding.components.numpy(), signs * reference.components_, atol=1e-9
    )
    np.testing.assert_allclose(
        project(embedding, x).numpy(), reference.transform(x.numpy()) * signs.T, atol=1e-9
    )


@settings(deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(2, 12), d=st.integers(1, 8), rank=st.integers(1, 8))
def test_no_more_components_than_the_rank_and_distances_are_kept(seed, n, d, rank):
    generator = seeded(seed)
    left = torch.randn(n, rank, generator=generator, dtype=torch.float64)
    x = left @ torch.randn(rank, d, generator=generator, dtype=torch.float64) + 3
    embedding = PCAEmbedding().fit(x)
    assert len(embedding.components) == min(rank, d, n - 1)
    torch.testing.assert_close(torch.pdist(project(embedding, x)), torch.pdist(x))
    gram = embedding.components @ embedding.components.T
    torch.testing.assert_close(gram, torch.eye(len(gram), dtype=torch.float64))


def test_fit_gives_a_copy_and_turning_the_rows_turns_nothing():
    x = normal(30, 5)
    embedding = PCAEmbedding(2)
    one, other = embedding.fit(x), embedding.fit(x.flip(0))
    assert embedding.components is None
    torch.testing.assert_close(one.components, other.components)
    assert one.components.abs().argmax(1).tolist() == one.components.argmax(1).tolist()


def test_many_rows_are_read_in_parts():
    x = normal(5000, 3)
    x[4200:] *= 2
    covariance = np.cov(x.numpy(), rowvar=False)
    components = PCAEmbedding().fit(x).components.numpy()
    diagonal = components @ covariance @ components.T
    np.testing.assert_allclose(diagonal - np.diag(np.diag(diagonal)), 0, atol=1e-8)
    assert (np.diff(np.diag(diagonal)) < 0).all()


@pytest.mark.parametrize("n", [0, 1, 3, 100])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 + 0.1])
@pytest.mark.parametrize("d", [2, 7])
def test_rows_that_do_not_differ(n, value, d):
    with pytest.raises(
        ValueError, match=f"need rows that differ. Got {n} rows, all alike. Pass more"
    ):
        PCAEmbedding().fit(torch.full((n, d), value, dtype=torch.float64))


def test_not_fitted():
    with pytest.raises(
        ValueError, match=r"not fitted. Pass PCAEmbedding\(...\).fit\(x\), with the"
    ):
        PCAEmbedding(8).member(seeded(), calibration=torch.zeros(2, 3))


def test_no_components():
    with pytest.raises(ValueError, match="n_components must be at least 1. Got n_components=0."):
        PCAEmbedding(0)


def test_autocast_changes_neither_projection_nor_gradient():
    x = normal(20, 6).float()
    psi = PCAEmbedding(4).fit(x).member(seeded(), calibration=x)

    def value_and_gradient():
        z = x.clone().requires_grad_()
        return psi(z).detach(), *torch.autograd.grad(psi(z).square().sum(), z)

    expected = value_and_gradient()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = value_and_gradient()
    for part, other in zip(got, expected, strict=True):
        assert torch.equal(part, other)
