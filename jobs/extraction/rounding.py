"""Weights to bfloat16 (8 bits of precision) so that their errors cancel.

Rounding each weight for itself shifts a filter's mean response: its inputs, mostly activations of one sign, are alike, so the
errors of its taps add up. Here each tap's error is carried to the next one, which keeps the sum of every filter's taps as
exact as its smallest tap. It is error diffusion (Floyd and Steinberg, 1976), to the end of bias correction (Nagel et al.,
Data-Free Quantization Through Weight Equalization and Bias Correction, 2019), and needs no data either.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional


def to_bfloat16(network: nn.Module) -> nn.Module:
    """In place. Convolutions' weights are rounded as above; on a CPU their biases stay float32; all else goes to the nearest.

    A bias folded from a BatchNorm is a difference of large numbers, and rounding it shifts a whole channel.
    """
    exact = [
        (conv, conv.bias.detach().clone())
        for conv in convolutions(network)
        if conv.bias is not None and _takes_exact_bias(conv)
    ]
    round_convolutions(network)
    network.to(torch.bfloat16)
    for conv, bias in exact:
        conv.__class__ = ExactBiasConv2d
        conv.bias = nn.Parameter(bias, requires_grad=False)
    return network


def round_convolutions(network: nn.Module) -> None:
    """In place: weights of convolutions become values that bfloat16 represents, and stay float32."""
    with torch.no_grad():
        for conv in convolutions(network):
            conv.weight.copy_(diffused(conv.weight))


def convolutions(network: nn.Module) -> list[nn.Conv2d]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


class ExactBiasConv2d(nn.Conv2d):
    """A convolution in bfloat16 with a float32 bias, which oneDNN takes and torch's own signature refuses. For CPUs.

    On CPUs that oneDNN has no bfloat16 for (those with AVX2 at most) it is computed in float32 and rounded once, slower.
    """

    def forward(self, x: Tensor) -> Tensor:
        assert not isinstance(self.padding, str)
        if not _onednn_has_bfloat16():
            exact = functional.conv2d(
                x.float(), self.weight.float(), self.bias, self.stride, self.padding, self.dilation, self.groups
            )
            return exact.to(x.dtype)
        return torch.mkldnn_convolution(x, self.weight, self.bias, self.padding, self.stride, self.dilation, self.groups)


@cache
def _onednn_has_bfloat16() -> bool:
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _takes_exact_bias(conv: nn.Conv2d) -> bool:
    plain = type(conv) is nn.Conv2d and conv.padding_mode == "zeros" and not isinstance(conv.padding, str)
    here = conv.weight.device.type == "cpu" and bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
    return plain and here


def diffused(weight: Tensor) -> Tensor:
    """Values that bfloat16 represents, near ``weight`` [out, in, height, width] (float32); sums of taps are kept. Pure."""
    taps = weight.flatten(2)
    if taps.shape[2] == 1:  # nothing to carry an error to
        return weight.bfloat16().float()
    order = taps.abs().argsort(dim=2, descending=True, stable=True)  # the smallest last: its own rounding error is what remains
    taps = taps.gather(2, order)
    carried = torch.zeros_like(taps[:, :, 0])
    for number in range(taps.shape[2]):
        exact = taps[:, :, number] + carried
        rounded = exact.bfloat16().float()
        carried = exact - rounded
        taps[:, :, number] = rounded
    return torch.empty_like(taps).scatter_(2, order, taps).view_as(weight)
