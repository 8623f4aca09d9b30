"""Run by `test_safa_training.py` in two processes: all of them have to end with the same networks."""

import numpy as np
import torch
from accelerate import Accelerator
from skorch.hf import AccelerateMixin
from torch import distributed

from ltresample._torch import unwrapped
from ltresample.models import SmallCNN
from ltresample.training import SAFA, DeferredRebalancingClassifier


class Net(AccelerateMixin, DeferredRebalancingClassifier):
    """The classifier under Accelerate."""

    def __init__(self, *args, accelerator, unwrap_after_train=True, **kwargs):
        super().__init__(*args, accelerator=accelerator, **kwargs)
        self.unwrap_after_train = unwrap_after_train


def main() -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [60, 20, 8])
    X = (rng.random((88, 1, 8, 8)) + y[:, None, None, None] / 3).astype(np.float32)
    net = Net(
        SmallCNN,
        module__width=4,
        resampler=SAFA(),
        start=1,
        max_epochs=3,
        lr=0.01,
        batch_size=16,
        random_state=0,
        accelerator=Accelerator(cpu=True),
        device=None,
    ).fit(X, y)
    assert net.history[-1]["share_synthesized"] > 0
    for module in (unwrapped(net.module_), net.g_):
        assert not any(part._forward_hooks for part in module.modules())
        for p in module.parameters():
            both = [torch.empty_like(p) for _ in range(distributed.get_world_size())]
            distributed.all_gather(both, p.detach().contiguous())
            torch.testing.assert_close(both[0], both[1])
    print("same networks")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
