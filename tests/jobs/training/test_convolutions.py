"""Convolutions that bfloat16 is slower for on a CPU: what they compute, and that all others are left alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v2

from jobs.training.convolutions import spare_bfloat16


def seen_by_convolutions(network: nn.Module, x: Tensor) -> dict[str, torch.dtype]:
    """Types of what they put out inside, before it is cast back: those of their weights' gradients' path."""
    seen: dict[str, torch.dtype] = {}
    handles = [
        module.register_forward_hook(lambda _m, _a, out, name=name: seen.__setitem__(name, out.dtype))
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d)
    ]
    with torch.autocast("cpu", torch.bfloat16):
        network(x)
    for handle in handles:
        handle.remove()
    return seen


@pytest.mark.parametrize(
    ("given", "spared"),
    [
        ({"groups": 8, "stride": 2}, True),
        ({"groups": 8, "stride": (1, 2)}, True),
        ({"groups": 8, "kernel_size": 5}, True),
        ({"groups": 8}, False),
        ({"groups": 4, "stride": 2}, False),
        ({"stride": 2}, False),
        ({"kernel_size": 5}, False),
    ],
)
def test_depthwise_ones_with_strides_or_kernels_of_five_compute_in_float32(given: dict[str, object], spared: bool) -> None:
    network = nn.Sequential(nn.Conv2d(8, 8, **{"kernel_size": 3, **given}))  # type: ignore[arg-type]
    spare_bfloat16(network)
    assert seen_by_convolutions(network, torch.rand(2, 8, 16, 16))["0"] == (torch.float32 if spared else torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert network(torch.rand(2, 8, 16, 16).bfloat16()).dtype == torch.bfloat16  # whoever comes next is fed as before


def test_one_input_channel_is_no_depthwise_convolution() -> None:
    network = nn.Sequential(nn.Conv2d(1, 8, 3, stride=2))
    spare_bfloat16(network)
    assert type(network[0]) is nn.Conv2d


@pytest.mark.parametrize("make", [mobilenet_v2, lambda: timm.create_model("tf_efficientnet_b0"), lambda: nn.Conv2d(3, 4, 3)])
def test_in_float32_nothing_changes(make: object) -> None:
    """Same bits, names and state; timm's convolutions pad by themselves before they convolve. Twice is as once."""
    torch.manual_seed(0)
    network = make().eval()  # type: ignore[operator]
    x = torch.rand(1, 3, 65, 65)
    with torch.no_grad():
        before, state = network(x), copy.deepcopy(network.state_dict())
        spare_bfloat16(network)
        kinds = [type(module) for module in network.modules()]
        spare_bfloat16(network)
        assert [type(module) for module in network.modules()] == kinds
        assert torch.equal(network(x), before)
        assert torch.equal(copy.deepcopy(network)(x), before)
    assert state.keys() == network.state_dict().keys()
    assert all(type(m).__module__ != "jobs.training.convolutions" for m in network.modules())  # the package it comes from


def test_gradients_are_nearer_to_those_of_float32() -> None:
    """A depthwise block in training: by each parameter and by the input, against float32."""
    torch.manual_seed(0)
    depthwise = nn.Conv2d(64, 64, 3, 2, 1, groups=64)
    block = nn.Sequential(nn.Conv2d(16, 64, 1), nn.BatchNorm2d(64), nn.ReLU6(), depthwise, nn.ReLU())
    x = torch.randn(8, 16, 14, 14)

    def gradients(network: nn.Module, bf16: bool) -> Tensor:
        fed = x.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = network(fed).float().square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        assert fed.grad is not None
        return torch.cat([fed.grad.flatten(), *(p.grad.flatten() for p in network.parameters() if p.grad is not None)])

    exact, plain, spared = copy.deepcopy(block), copy.deepcopy(block), copy.deepcopy(block)
    spare_bfloat16(spared)
    wanted = gradients(exact, bf16=False)

    def off(network: nn.Module) -> float:
        return float((gradients(network, bf16=True) - wanted).norm() / wanted.norm())

    assert off(spared) < min(0.02, 1.05 * off(plain))


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_trainings_in_bfloat16_spare_it(bench: Any, monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    """Of every network that is trained on a CPU: one built for a rate that is tried, too."""
    spared: list[nn.Module] = []
    monkeypatch.setattr("jobs.strategies.network.spare_bfloat16", spared.append)
    train = {"epochs": 1, "lr": "auto", "lr_candidates": (1e-3, 1e-2)}
    model = {**bench.model("squeezenet1_1"), "layer": "fire5"}
    bench.finished(bench.context(bench.params(model=model, finetune={}, precision=precision, train=train), "a"))
    assert len(spared) == (3 if precision == "bf16" else 0)
