"""Weights in half precision whose errors cancel."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jobs.extraction.rounding import ExactBiasConv2d, diffused, to_bfloat16


def weights(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_every_value_is_one_that_bfloat16_has_and_near_its_weight() -> None:
    weight = weights(16, 8, 3, 3)
    found = diffused(weight)
    assert torch.equal(found.bfloat16().float(), found)
    assert bool(((found - weight).abs() <= 2**-7 * weight.abs() + 2**-9 * weight.abs().amax((2, 3), keepdim=True)).all())


def test_the_sum_of_a_filters_taps_is_kept() -> None:
    weight = weights(64, 1, 3, 3)
    plain = (weight.bfloat16().float() - weight).sum((2, 3)).abs().mean()
    found = (diffused(weight) - weight).sum((2, 3)).abs().mean()
    assert found < plain / 10


def test_a_single_tap_is_rounded_to_the_nearest() -> None:
    weight = weights(5, 7, 1, 1)
    assert torch.equal(diffused(weight), weight.bfloat16().float())


def test_filters_on_smooth_pictures_err_less_than_by_plain_rounding() -> None:
    torch.manual_seed(0)
    filters = nn.Conv2d(64, 64, 3, groups=64, bias=False)
    x = 1 + 0.1 * torch.rand(2, 64, 12, 12)
    exact = filters.weight.detach().clone()

    def error(weight: Tensor) -> float:
        filters.weight.data = weight
        with torch.inference_mode():
            return float((filters(x) - target).norm())

    with torch.inference_mode():
        target = filters(x)
    plain = error(exact.bfloat16().float())
    assert error(diffused(exact)) < plain / 4


def test_the_whole_network_becomes_bfloat16_but_for_biases() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))
    exact = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    to_bfloat16(network)
    found = network.state_dict()
    assert torch.equal(found["0.weight"], diffused(exact["0.weight"]).bfloat16())
    assert torch.equal(found["0.bias"], exact["0.bias"])
    rest = {name: tensor.dtype for name, tensor in found.items() if name not in ("0.bias", "1.num_batches_tracked")}
    assert set(rest.values()) == {torch.bfloat16}


def test_a_convolution_with_an_exact_bias_computes_what_a_convolution_does() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 12, 3, stride=2, padding=1, groups=4)
    x = torch.randn(2, 8, 15, 15).bfloat16().contiguous(memory_format=torch.channels_last)
    network = to_bfloat16(nn.Sequential(conv))
    assert type(network[0]) is ExactBiasConv2d
    expected = nn.functional.conv2d(x.float(), conv.weight.float(), conv.bias, stride=2, padding=1, groups=4)
    with torch.inference_mode():
        found = network(x)
    assert found.dtype == torch.bfloat16
    assert torch.allclose(found.float(), expected, rtol=2**-8, atol=1e-3)
