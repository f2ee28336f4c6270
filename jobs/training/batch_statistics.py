"""BatchNorm over a batch that several processes hold the rows of: the statistics of all of it (as torch's SyncBatchNorm, which
needs GPUs; Ioffe and Szegedy 2015, algorithm 1)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jobs.training.group import Group


def batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    momentum: float,
    eps: float,
    group: Group,
    counts: bool,
) -> Tensor:
    """``functional.batch_norm`` in training, of this process's rows [n, c, …] by the mean and variance of all processes' rows.

    ``counts`` False: its rows take no part in them, and no gradient comes of them. Running statistics are updated in place, as
    one process with the whole batch would.
    """
    n, mean, var = _statistics(x, group, counts)
    if running_mean is not None and running_var is not None:
        running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        running_var.lerp_((var * (n / max(1.0, n - 1))).to(running_var.dtype), momentum)
    y: Tensor = _Normalise.apply(x, mean.float(), torch.rsqrt(var + eps).float(), n, group, counts)
    shape = (1, -1, *(1,) * (x.dim() - 2))
    y = y if weight is None else y * weight.view(shape)
    y = y if bias is None else y + bias.view(shape)
    return y.to(x.dtype)


@torch.no_grad()
def _statistics(x: Tensor, group: Group, counts: bool) -> tuple[float, Tensor, Tensor]:
    """Values a channel, and float64 mean and biased variance [c], of all processes' rows (Chan, Golub and LeVeque 1979)."""
    axes = _axes(x)
    var, mean = torch.var_mean(x.float(), axes, correction=0)
    own = torch.full((1,), float(x.numel() // x.shape[1] if counts else 0), dtype=torch.float64, device=x.device)
    told = torch.stack(group.gathered(torch.cat([own, mean.double(), var.double()])))
    held, means, variances = told[:, :1], *told[:, 1:].chunk(2, dim=1)
    n = held.sum()
    middle = (held * means).sum(0) / n
    return float(n), middle, (held * (variances + (means - middle).square())).sum(0) / n


class _Normalise(torch.autograd.Function):
    """(x - mean) / deviation, where both depend on all processes' rows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mean: Tensor, scale: Tensor, n: float, group: Group, counts: bool) -> Tensor:
        shape = (1, -1, *(1,) * (x.dim() - 2))
        y = (x.float() - mean.view(shape)) * scale.view(shape)
        ctx.save_for_backward(y, scale)
        ctx.n, ctx.group, ctx.counts, ctx.dtype = n, group, counts, x.dtype
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        y, scale = ctx.saved_tensors
        axes, shape = _axes(y), (1, -1, *(1,) * (y.dim() - 2))
        sums = torch.cat([gradient.sum(axes), (gradient * y).sum(axes)])
        ctx.group.add_up(sums)
        of_gradient, of_product = (sums / ctx.n).chunk(2)
        x = (gradient - of_gradient.view(shape) - y * of_product.view(shape)) * scale.view(shape)
        return (x if ctx.counts else torch.zeros_like(x)).to(ctx.dtype), None, None, None, None, None


def _axes(x: Tensor) -> list[int]:
    return [axis for axis in range(x.dim()) if axis != 1]
