"""Every method on an emulated accelerator: the same rows as on the CPU, and few waits."""

import pytest
import torch
from device_steps import METHODS, ONLY_IMAGES, SAMPLERS, resample, step

# The most waits of one training step, with 4 and with 30 classes. Lower them where a step gets
# better, and never raise them: `python tests/print_waits.py --lines` says which lines wait.
STEP_WAITS = {
    "M2m": (1, 1),
    "M2m, guided by f": (1, 1),
    "M2m, five seeds a class": (1, 1),
    "DM": (2, 2),
    "DM, energy distance": (1, 1),
    "DM, from open-set samples": (2, 2),
    "OTMix": (4, 3),
    "OTMix, feature bank": (6, 5),
    "CMO": (0, 0),
    "UniMix": (0, 0),
    "Remix": (0, 0),
    "SaliencyMix": (1, 1),
    "Open-sampling": (0, 0),
    "Open-sampling, expected labels": (0, 0),
    "Open-sampling, fixed labels": (0, 0),
    "SAFA": (1, 1),
}
# The most waits of one `fit_resample`, but for those of fitting and judging guides.
FIT_RESAMPLE_WAITS = {
    "M2mSampler": 78,
    "DistributionMatchingOversampler": 133,
    "OTMixSampler": 30,
    "SAFASampler": 63,
}


def test_every_method_has_a_ceiling():
    assert set(STEP_WAITS) == set(METHODS)
    assert set(FIT_RESAMPLE_WAITS) == set(SAMPLERS)


@pytest.mark.parametrize("n_classes", [4, 30])
@pytest.mark.parametrize("name", METHODS)
def test_a_step_gives_what_the_cpu_gives_and_rarely_waits(name, n_classes):
    got = step(name, n_classes=n_classes)
    ceiling = STEP_WAITS[name][n_classes > 4]
    assert got.log.n_waits <= ceiling, f"above {ceiling}:\n{got.log.report()}"
    _assert_equal(got, step(name, n_classes=n_classes, device=False))


@pytest.mark.parametrize("name", sorted(set(METHODS) - ONLY_IMAGES))
def test_a_step_on_a_table_gives_what_the_cpu_gives(name):
    _assert_equal(step(name, images=False), step(name, images=False, device=False))


def _assert_equal(got, expected):
    assert got.n_accepted == expected.n_accepted
    torch.testing.assert_close(got.x, expected.x, atol=1e-5, rtol=0)
    assert got.loss == pytest.approx(expected.loss, abs=1e-4)


@pytest.mark.parametrize("name", sorted(set(METHODS) - ONLY_IMAGES))
def test_a_step_runs_where_kernels_must_be_deterministic(name):
    torch.use_deterministic_algorithms(True)
    try:
        got = step(name, images=False)
    finally:
        torch.use_deterministic_algorithms(False)
    _assert_equal(got, step(name, images=False, device=False))


@pytest.mark.parametrize("name", SAMPLERS)
def test_fit_resample_gives_what_the_cpu_gives_and_rarely_waits(name):
    X, log = resample(name)
    assert log.n_waits_outside("guides") <= FIT_RESAMPLE_WAITS[name], log.report()
    torch.testing.assert_close(
        torch.from_numpy(X), torch.from_numpy(resample(name, device=False)[0]), atol=1e-4, rtol=0
    )
