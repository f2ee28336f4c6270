"""First values of new layers: a function of the seed and the layer's name, whatever torch's own generator is up to."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from jobs.randomness import generator


@torch.no_grad()
def initialise(network: nn.Module, *, seed: int, init: str, prefix: str = "") -> None:
    """Set convolutions and dense layers of ``network`` in place; normalisation layers keep ones and zeros.

    ``glorot``: weights U(±sqrt(6 / (fan_in + fan_out))), zero biases (Glorot and Bengio 2010, Keras' default);
    ``torch``: weights and biases U(±1 / sqrt(fan_in)), torch's default (a Kaiming bound with a = sqrt 5).
    """
    for name, module in network.named_modules():
        if not isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear):
            continue
        source = generator(seed, "init", prefix + name)
        fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(module.weight)
        bound = math.sqrt(6 / (fan_in + fan_out)) if init == "glorot" else 1 / math.sqrt(fan_in)
        module.weight.uniform_(-bound, bound, generator=source)
        if module.bias is not None:
            if init == "glorot":
                module.bias.zero_()
            else:
                module.bias.uniform_(-bound, bound, generator=source)


NOISE_IMAGES, NOISE_SIDE = 4, 28


@torch.no_grad()
def estimate_statistics(network: nn.Module, *, seed: int, size: int) -> None:
    """Give the BatchNorm layers of an untrained network the statistics of smooth noise, in place.

    With the statistics they are made with (0 and 1), a frozen random network's features shrink to 1e-9: no control to hold
    anything against. On one thread, so that the same CPU gives the same bits however many cores a task may use.
    """
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average of what is seen
        norm.train()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        network(_noise(seed, size))
    finally:
        torch.set_num_threads(threads)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()


def _noise(seed: int, size: int) -> Tensor:
    """[4, 3, size, size] standardised images without edges."""
    coarse = torch.randn((NOISE_IMAGES, 3, NOISE_SIDE, NOISE_SIDE), generator=generator(seed, "statistics"))
    return functional.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False)
