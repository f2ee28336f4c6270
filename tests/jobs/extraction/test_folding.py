"""Folded networks compute what they did; what cannot be folded is noticed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from jobs.extraction.folding import fold_batch_norms
from jobs.models.building import build_backbone
from jobs.models.network import Backbone
from jobs.models.pretrained import Pretrained
from jobs.models.stages import divide

NAMES = ["mobilenet_v2", "resnet50", "efficientnet_lite0", "xception", "inception_v3"]


def backbone(name: str, layer: str | None = None, size: int = 75) -> Backbone:
    """With BatchNorm statistics as of a trained network: not zero and one."""
    model = {"backbone": {"name": name}, "layer": layer, "pool": "avg"}
    built = build_backbone(model, {"size": size, "grayscale": False}, Pretrained("random weights", seed=1))
    chance = torch.Generator().manual_seed(2)
    for module in built.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features, generator=chance) * 0.1
            module.running_var = torch.rand(module.num_features, generator=chance) + 0.5
            module.weight.data = torch.rand(module.num_features, generator=chance) + 0.5
            module.bias.data = torch.randn(module.num_features, generator=chance) * 0.1
    return built


def noise(size: int = 75, n: int = 1) -> Tensor:
    return torch.randn((n, 3, size, size), generator=torch.Generator().manual_seed(n))


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("name", NAMES)
def test_nothing_changes_but_the_norms_are_gone(name: str) -> None:
    network = backbone(name)
    with torch.inference_mode():
        before = network(noise(n=2))
    had = norms(network)
    assert fold_batch_norms(network, noise())
    with torch.inference_mode():
        after = network(noise(n=2))
    assert had > 10
    assert norms(network) <= had / 10
    assert torch.allclose(before, after, rtol=1e-3, atol=1e-4 * float(before.abs().max()))


@pytest.mark.parametrize("layer", ["before", "normed", "end"])
def test_a_layer_between_convolution_and_norm_is_what_it_was(layer: str) -> None:
    parts = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()]
    parts[1].running_mean = torch.tensor([1.0, 2.0, 3.0, 4.0])
    division = divide({"stem": ("0", "1", "2")}, {"before": "0", "normed": "1", "end": "2"}, "end")
    found = division.layer(layer)
    assert found is not None
    network = Backbone(nn.Sequential(*parts), division, found, "flatten", fed=(3, 16, 16))
    with torch.inference_mode():
        before = network(noise(16))
        assert fold_batch_norms(network, noise(16, n=2))
        assert torch.allclose(before, network(noise(16)), rtol=1e-4, atol=1e-5)
    assert norms(network) == 0  # cut off, or folded


class Twice(nn.Module):
    """Uses what lies between convolution and norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        between = self.conv(x)
        return self.norm(between) + between


def test_what_cannot_be_folded_is_noticed() -> None:
    network = Twice().eval()
    network.norm.running_mean = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert not fold_batch_norms(network, noise(16))


class Shared(nn.Module):
    """One convolution before two norms."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.first, self.second = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.conv(self.first(self.conv(x))))


def test_a_convolution_used_twice_is_left_alone() -> None:
    network = Shared().eval()
    assert fold_batch_norms(network, noise(16))
    assert norms(network) == 2
