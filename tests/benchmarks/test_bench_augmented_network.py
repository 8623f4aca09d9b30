"""The network that crops its images itself."""

import torch

from benchmarks.augmented_network import AugmentedResNet


def network(seed):
    torch.manual_seed(seed)
    return AugmentedResNet(8, 3, n_channels=1, generator=torch.Generator().manual_seed(0))


def test_images_are_cropped_in_training_and_in_no_other_mode():
    x = torch.rand(6, 1, 10, 10, generator=torch.Generator().manual_seed(1))
    seen = []
    own = network(0)
    own.network.register_forward_pre_hook(lambda layer, args: seen.append(args[0]))
    own.eval()(x)
    assert torch.equal(seen[0], x), "synthesis sees images as they are"
    own.train()(x)
    assert seen[1].shape == x.shape
    padded = torch.nn.functional.pad(x, [2] * 4)
    for image, whole in zip(seen[1], padded, strict=True):
        crops = whole.unfold(1, 10, 1).unfold(2, 10, 1).reshape(-1, 10, 10)
        assert (crops == image).flatten(1).all(1).any()
    assert not torch.equal(seen[1], x)
    again = network(0)
    again.network.register_forward_pre_hook(lambda layer, args: seen.append(args[0]))
    again.train()(x)
    assert torch.equal(seen[2], seen[1]), "drawn as dropout is"
