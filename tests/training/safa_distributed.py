"""Run by `test_safa_training.py` in two processes: all of them have to end with the same networks."""

from types import SimpleNamespace

import numpy as np
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from ltresample._random import Seed
from ltresample.losses import CrossEntropy
from ltresample.models import SmallCNN
from ltresample.rows import ArrayRows, Pool, Space
from ltresample.synthesis import Step
from ltresample.training import SAFA
from ltresample.training._step import StepTarget, step_loss


def main() -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    rank = distributed.get_rank()
    y = torch.repeat_interleave(torch.arange(3), torch.tensor([20, 8, 4]))
    x = torch.rand(32, 1, 8, 8, generator=Seed(0).torch())
    module = SmallCNN(1, 3, width=4, generator=Seed(1).torch())
    pool = Pool(ArrayRows(x), y, torch.bincount(y), Space.pixels())
    bound = SAFA().bind(pool, classes=np.arange(3), f=module, seed=Seed(2))
    online = Step(bound.method, bound.pool, Seed(2))
    parallel = DistributedDataParallel(module)
    optimizer = torch.optim.SGD(parallel.parameters(), lr=0.01, momentum=0.9)
    online.join(SimpleNamespace(optimizer_=optimizer))
    batches = [torch.arange(rank, 32, 2), torch.arange(20) if rank else torch.arange(12, 32)]
    for step, rows in enumerate(3 * batches):  # every other batch of the last process has no tail
        batch = online(x[rows], y[rows], seed=Seed(3).child(step, rank))
        assert (batch.n_accepted > 0) == (step % 2 == 0 or rank == 0)
        optimizer.zero_grad()
        step_loss(CrossEntropy(), parallel.train()(batch.x), StepTarget(batch.terms)).backward()
        optimizer.step()
    online.leave()
    for p in [*module.parameters(), *bound.g_.parameters()]:
        both = [torch.empty_like(p) for _ in range(distributed.get_world_size())]
        distributed.all_gather(both, p.detach().contiguous())
        torch.testing.assert_close(both[0], both[1])
    print("same networks")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
