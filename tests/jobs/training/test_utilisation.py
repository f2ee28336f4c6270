"""What a training uses of the hardware: FLOPs against torchvision's published ones, shares by clocks set by hand."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torchvision.models
from torch import Tensor, nn

import jobs.training.trainer
from jobs.training.trainer import Trainer
from jobs.training.utilisation import PEAKS, flops_of_an_item, peak_of
from tests.jobs.training.test_trainer import TinyFeed, TinyNetwork, _recipe
from tlbatch.errors import Stopped

TORCHVISION = ["VGG16", "ResNet50", "MobileNet_V2", "SqueezeNet1_1", "EfficientNet_B0", "ViT_B_16"]


def of_torchvision(name: str) -> tuple[nn.Module, float]:
    """Random weights, and the published multiplications and additions of a forward pass."""
    weights = torchvision.models.get_weight(f"{name}_Weights.IMAGENET1K_V1")
    with torch.device("meta"):
        network = torchvision.models.get_model(name.lower(), weights=None)
    return network, weights.meta["_ops"] * 1e9


@pytest.mark.parametrize("name", TORCHVISION)
def test_forward_flops_are_the_published_ones(name: str) -> None:
    network, multiplications = of_torchvision(name)
    found = flops_of_an_item(network.requires_grad_(False), (3, 224, 224), 2)
    assert found == pytest.approx(2 * multiplications, rel=0.01)


@pytest.mark.parametrize("name", ["VGG16", "MobileNet_V2"])
def test_where_all_learns_backward_is_twice_forward(name: str) -> None:
    """But for the gradients of the images themselves. Grouped convolutions count as what they are."""
    network, _ = of_torchvision(name)
    every = flops_of_an_item(network, (3, 224, 224), 2)
    forward = flops_of_an_item(network.requires_grad_(False), (3, 224, 224), 2)
    assert every is not None
    assert forward is not None
    assert 2.9 * forward < every < 3 * forward


def test_what_is_frozen_costs_forward_alone() -> None:
    """By hand: two linear layers, then the same with the first one frozen."""
    network = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 5))
    first, second = 2 * 10 * 20, 2 * 20 * 5
    assert flops_of_an_item(network, (10,), 4) == 2 * first + 3 * second
    network[0].requires_grad_(False)
    assert flops_of_an_item(network, (10,), 4) == first + 2 * second


def test_counting_changes_nothing() -> None:
    """Neither chance nor batch statistics nor what hangs on the layers."""
    network = TinyNetwork().train()
    before, chance = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    assert flops_of_an_item(network, (1, 6, 6), 8) is not None
    assert torch.equal(chance, torch.get_rng_state())
    assert all(torch.equal(before[name], each) for name, each in network.state_dict().items())
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in network.modules())


def test_a_network_that_looks_at_values_has_no_count() -> None:
    class Looks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x) if float(x.sum()) > 0 else x

    network = Looks()
    assert flops_of_an_item(network, (2,), 2) is None
    assert not network.layer._forward_hooks


def test_peaks_go_by_the_most_particular_name() -> None:
    assert peak_of("NVIDIA H100 PCIe") == 756e12
    assert peak_of("NVIDIA H100 80GB HBM3") == 989.4e12
    assert peak_of("NVIDIA A10G") == 70e12
    assert peak_of("NVIDIA GeForce GTX 1080") is None
    for name in PEAKS:
        assert peak_of(f"NVIDIA {name}") == PEAKS[name] * 1e12


class Clock:
    """Seconds that pass only where something says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


class SlowFeed(TinyFeed):
    """A second a batch, and as good as none for validation."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def batch(self, indices: Tensor, epoch: int, step: int) -> Tensor:
        self.clock.now += 1
        return super().batch(indices, epoch, step)


class SlowNetwork(TinyNetwork):
    """Three seconds a training batch."""

    clock: Clock

    def forward(self, x: Tensor) -> Tensor:
        self.clock.now += 3 if self.training or torch.is_grad_enabled() else 50
        return super().forward(x)


def slow_trainer(monkeypatch: pytest.MonkeyPatch, tick: Any = lambda trainer, epoch_end: None) -> Trainer:
    clock = Clock()
    monkeypatch.setattr(jobs.training.trainer, "time", clock)
    network = SlowNetwork()
    network.clock = clock
    return Trainer(network, SlowFeed(clock), _recipe(), tick)


def test_the_share_of_inputs_is_of_the_batches_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """One second of four; validation, which takes much longer here, does not count."""
    trainer = slow_trainer(monkeypatch)
    assert trainer.input_share is None
    trainer.run()
    assert trainer.input_share == 0.25
    assert trainer.place.learning_s == 4 * 5 * 4  # epochs, batches, seconds
    assert trainer.mfu((1, 6, 6)) is None  # on a CPU


def test_a_training_that_was_stopped_counts_what_came_before(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []

    def stop(trainer: Trainer, epoch_end: bool) -> None:
        steps.append(epoch_end)
        if len(steps) == 9:
            raise Stopped("now")

    stopped = slow_trainer(monkeypatch, stop)
    with pytest.raises(Stopped):
        stopped.run()
    resumed = slow_trainer(monkeypatch)
    resumed.restore(stopped.snapshot())
    resumed.run()
    assert resumed.input_share == 0.25
    assert resumed.place.learning_s == 4 * 5 * 4


def test_mfu_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a GPU that is said to be there: FLOPs of all images over the seconds and the peak."""
    trainer = slow_trainer(monkeypatch)
    trainer.run()
    trainer.device = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA L4")
    assert trainer.mfu((1, 6, 6)) is None  # in float32
    trainer.recipe = type(trainer.recipe)(**{**trainer.recipe.__dict__, "bf16": True})
    trainer.place.learning_s = 1e-9
    flops = flops_of_an_item(trainer.network, (1, 6, 6), 8)
    assert flops is not None
    assert trainer.mfu((1, 6, 6)) == pytest.approx(flops * 4 * 37 / 1e-9 / 121e12, rel=1e-3)
