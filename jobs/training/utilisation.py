"""How much of what the hardware can do a training uses: the share of its time that goes into inputs, and of a GPU's peak.

Model FLOPs utilisation (MFU) is the work that the network's multiplications ask for, per second, over the peak of the device
(Chowdhery et al., PaLM, 2022, appendix B): what is computed twice or besides counts for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor, nn

PEAKS = {
    "H200": 989.4,
    "H100 PCIe": 756.0,
    "H100 NVL": 835.5,
    "H100": 989.4,
    "A100": 312.0,
    "L40S": 362.05,
    "L4": 121.0,
    "A10G": 70.0,
    "A10": 125.0,
    "RTX A6000": 154.8,
}
"""TFLOP/s of dense bfloat16 products, by NVIDIA's data sheets; the first name that a device's name has counts."""


def peak_of(device: str) -> float | None:
    """FLOP/s of a device of that name in bfloat16; None where it is not known."""
    return next((peak * 1e12 for name, peak in PEAKS.items() if name in device), None)


def flops_of_an_item(network: nn.Module, item: Sequence[int], batch: int) -> float | None:
    """FLOPs (two a multiplication with its addition) of one item of ``item``'s shape forward, and backward as far as what
    learns now asks for: as much again for the gradients of a layer's weights, and for those of its input where a layer before
    it learns.

    Forward ones are counted by torch's own counter on tensors without values, so that no number of the training changes.
    (Its count of backward ones takes grouped convolutions for whole ones.) None where the network cannot be run so, which no
    training stops for.
    """
    try:
        total, layers = _forward_flops(network, (batch, *item))
    except (RuntimeError, NotImplementedError, TypeError, ValueError, AttributeError):
        return None
    found, learns = float(total), False
    for layer, flops in layers:
        found += learns * flops
        own = any(parameter.requires_grad for parameter in layer.parameters())
        found += own * flops
        learns |= own
    between = total - sum(flops for _, flops in layers)  # products of activations, as attention has them: two operands
    return (found + 2 * learns * between) / batch


def _forward_flops(network: nn.Module, shape: Sequence[int]) -> tuple[int, list[tuple[nn.Module, int]]]:
    """Of a whole batch, and of each layer with weights in the order in which they are run."""
    from torch.func import functional_call
    from torch.utils.flop_counter import FlopCounterMode

    tensors = chain(network.named_parameters(), network.named_buffers())
    state: dict[str, Tensor] = {name: torch.empty_like(each, device="meta") for name, each in tensors}
    layers: list[tuple[nn.Module, int]] = []
    counter = FlopCounterMode(display=False)
    before: dict[nn.Module, int] = {}

    def entered(layer: nn.Module, _: object) -> None:
        before[layer] = counter.get_total_flops()

    def left(layer: nn.Module, *_: object) -> None:
        layers.append((layer, counter.get_total_flops() - before[layer]))

    weighted = [each for each in network.modules() if not any(each.children()) and any(True for _ in each.parameters())]
    hooks = [layer.register_forward_pre_hook(entered) for layer in weighted]
    hooks += [layer.register_forward_hook(left) for layer in weighted]
    try:
        with torch.no_grad(), counter:
            functional_call(network, state, (torch.empty(tuple(shape), device="meta"),))
    finally:
        for hook in hooks:
            hook.remove()
    return counter.get_total_flops(), layers
