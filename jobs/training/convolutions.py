"""Convolutions whose gradients bfloat16 makes slower on a CPU, not faster: they compute in float32 while others do not.

oneDNN has no kernel for the gradient by the input of a strided depthwise convolution in bfloat16 and takes its reference
instead: of 576 channels of 14 x 14, three by three, 32 items, 59 ms instead of 0.6 in float32; 43 % of a step that trains the
last stages of MobileNetV2, more of the whole. Of kernels of five the gradient by the weights takes two to four times as long.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

SLOW_KERNEL = 5


def spare_bfloat16(network: nn.Module) -> None:
    """In place: such convolutions are called outside of autocast from here on, and put out the type that they are fed."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and not isinstance(module, _InFloat32) and _slow(module):
            module.__class__ = _in_float32(type(module))


def _slow(conv: nn.Conv2d) -> bool:
    depthwise = conv.groups > 1 and conv.groups == conv.in_channels
    return depthwise and (max(conv.stride) > 1 or max(conv.kernel_size) == SLOW_KERNEL)


class _InFloat32:
    """Beside a kind of convolution, whose own forward may do more than convolve."""

    def __call__(self, x: Tensor) -> Any:
        with torch.autocast(x.device.type, enabled=False):
            return super().__call__(x.float()).to(x.dtype)  # type: ignore[misc]


def _in_float32(kind: Any) -> Any:
    return type(kind.__name__, (_InFloat32, kind), {"__module__": kind.__module__})
