"""A batch's forward pass by several processes: each computes its rows, and gets all rows' logits.

What is computed is what one process would: chance by the row's place in the whole batch, batch statistics over all of it. So
any objective sees the whole batch's logits, whatever it makes of them, and the gradients' mean over the processes is that of
one process, but for the order in which 32-bit sums are taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from jobs.training.batch_statistics import batch_norm
from jobs.training.batches import At, Feed
from jobs.training.group import Alone, Group
from jobs.training.objective import Forward
from jobs.training.validation import shared_validation_logits, validation_logits
from tlbatch.errors import StudyError
from tlbatch.spec.train import Train

UNSHARED = "which several processes cannot share: set resources.nodes, and gpu, to 1 for this run"


@dataclass(frozen=True)
class Share:
    """The rows of a batch of ``n`` that a process computes: ``start`` up to ``stop``.

    Where there are fewer rows than processes some have none: these compute one that counts for nothing, since all take part in
    whatever is sent.
    """

    n: int
    start: int
    stop: int
    most: int  #: rows of the largest share

    @staticmethod
    def of(n: int, rank: int, size: int) -> Share:
        return Share(n, n * rank // size, n * (rank + 1) // size, -(-n // size))

    @property
    def count(self) -> int:
        return self.stop - self.start

    @property
    def fed(self) -> slice:
        """The rows that go through the network."""
        return slice(self.start, max(self.stop, self.start + 1))


class Sharable(Protocol):
    """Of a training's recipe (jobs.training.trainer.Recipe), what matters here."""

    @property
    def train(self) -> Train: ...

    @property
    def bf16(self) -> bool: ...


@runtime_checkable
class FeedsRows(Protocol):
    """A feed that need not make a whole batch to give some of its rows."""

    def batch_rows(self, indices: Tensor, rows: slice, epoch: int, step: int) -> Tensor:
        """``batch(indices, epoch, step)[rows]``, to the bit."""


class SharedForward(Forward):
    """Gives the logits [n, …] of the whole batch, float32. It is handed the whole batch, or the rows of its ``share``."""

    def __init__(self, network: nn.Module, device: torch.device, bf16: bool, group: Group, mixes: bool) -> None:
        super().__init__(network, device, bf16)
        self._group, self._mixes = group, mixes
        self.share = Share.of(1, group.rank, group.size)

    def fed(self, feed: Feed, indices: Tensor, at: At) -> Tensor:
        """Its rows; of batches that are mixed, where any row may need any other, all of them."""
        self.share = Share.of(len(indices), self._group.rank, self._group.size)
        if isinstance(feed, FeedsRows) and not self._mixes:
            return feed.batch_rows(indices, self.share.fed, at.epoch, at.step)
        return feed.batch(indices, at.epoch, at.step)

    def __call__(self, x: Tensor) -> Tensor:
        share = self.share
        own = x[share.fed] if len(x) == share.n else x
        with ByPlace(share, self._group):
            logits = super().__call__(own)
        gathered: Tensor = _Gather.apply(logits.float(), share, self._group)
        return gathered


def forward_of(network: nn.Module, device: torch.device, recipe: Sharable, group: Alone) -> Forward:
    """What an objective calls: the network itself, or its processes' together."""
    if not isinstance(group, Group):
        return Forward(network, device, recipe.bf16)
    mixes = recipe.train.mixup > 0 or recipe.train.cutmix > 0
    return SharedForward(network, device, recipe.bf16, group, mixes)


def logits_of(network: nn.Module, feed: Feed, bf16: bool, group: Alone, tick: Callable[[], None]) -> Tensor:
    """Of the validation images, as jobs.training.validation has them."""
    if not isinstance(group, Group):
        return validation_logits(network, feed, bf16, tick)
    return shared_validation_logits(network, feed, bf16, group, tick)


class _Gather(torch.autograd.Function):
    """Every process's rows. Backward: its own rows' gradients, times the processes: their mean is taken in the end."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, share: Share, group: Group) -> Tensor:
        ctx.share, ctx.group, ctx.shape = share, group, own.shape
        padded = own.new_zeros((share.most, *own.shape[1:]))
        padded[: share.count] = own[: share.count]
        shares = [Share.of(share.n, rank, group.size) for rank in range(group.size)]
        rows = zip(group.gathered(padded), shares, strict=True)
        return torch.cat([values[: each.count] for values, each in rows])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        own = gradient.new_zeros(ctx.shape)
        own[: ctx.share.count] = gradient[ctx.share.start : ctx.share.stop] * ctx.group.size
        return own, None, None


class ByPlace(TorchFunctionMode):
    """While a network computes rows of a batch: dropout, drop path and batch statistics as the whole batch has them.

    Masks are drawn for the whole batch, of the same generator as ever, and this process's rows of them are taken. What draws
    in another way is refused: its processes would not compute one and the same network.
    """

    def __init__(self, share: Share, group: Group) -> None:
        super().__init__()
        self.share, self.group = share, group

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in DRAWS:
            raise StudyError(f"this network draws random numbers by {func.__name__}, {UNSHARED}")
        rule = RULES.get(func)
        return func(*args, **kwargs) if rule is None else rule(self, *args, **kwargs)

    def whole(self, shape: torch.Size) -> tuple[int, ...]:
        """Of the whole batch, from that of what is fed: whose first axis is the rows, or parts of each row in turn."""
        return (self._parts(shape) * self.share.n, *shape[1:])

    def rows(self, values: Tensor, shape: torch.Size) -> Tensor:
        parts = self._parts(shape)
        return values[self.share.fed.start * parts : self.share.fed.stop * parts]

    def _parts(self, shape: torch.Size) -> int:
        fed: int = self.share.fed.stop - self.share.fed.start
        rows: int = shape[0] if shape else 0
        parts, rest = rows // fed, rows % fed
        if rest or not parts:
            raise StudyError(f"this network drops parts of a batch by other than its rows, {UNSHARED}")
        return parts


def _dropout(kind: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def rule(mode: ByPlace, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if not training or p == 0:
            return kind(input, p, training, inplace)
        like = torch.empty(mode.whole(input.shape), dtype=input.dtype, device=input.device)
        last = input.dim() == 4 and input.is_contiguous(memory_format=torch.channels_last)
        like = like.contiguous(memory_format=torch.channels_last) if last else like  # masks are drawn in the memory's order
        mask = mode.rows(kind(torch.ones_like(like), p, True), input.shape)
        return input.mul_(mask) if inplace else input * mask

    return rule


def _bernoulli(mode: ByPlace, input: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    """Drop path: a draw for each row, or one for all of them."""
    if isinstance(p, Tensor) or generator is not None:
        raise StudyError(f"this network draws random numbers in a way of its own, {UNSHARED}")
    if input.shape[:1] == (1,) and mode.share.fed.stop - mode.share.fed.start > 1:
        return input.bernoulli_(p)
    drawn = torch.empty(mode.whole(input.shape), dtype=input.dtype, device=input.device).bernoulli_(p)
    return input.copy_(mode.rows(drawn, input.shape))


def _batch_norm(
    mode: ByPlace,
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if not training:
        return functional.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    counts = mode.share.count > 0
    return batch_norm(input, running_mean, running_var, weight, bias, momentum, eps, mode.group, counts)


def _attention(mode: ByPlace, *args: Any, **settings: Any) -> Tensor:
    if settings.get("dropout_p", args[4] if len(args) > 4 else 0.0):
        raise StudyError(f"this network has dropout inside attention, {UNSHARED}")
    found: Tensor = functional.scaled_dot_product_attention(*args, **settings)
    return found


RULES: dict[Any, Callable[..., Any]] = {
    functional.dropout: _dropout(functional.dropout),
    functional.dropout1d: _dropout(functional.dropout1d),
    functional.dropout2d: _dropout(functional.dropout2d),
    functional.dropout3d: _dropout(functional.dropout3d),
    Tensor.bernoulli_: _bernoulli,
    functional.batch_norm: _batch_norm,
    functional.scaled_dot_product_attention: _attention,
}
DRAWS = {
    functional.alpha_dropout,
    functional.feature_alpha_dropout,
    functional.gumbel_softmax,
    torch.rand,
    torch.rand_like,
    torch.randn,
    torch.randn_like,
    torch.randint,
    torch.randperm,
    torch.bernoulli,
    torch.multinomial,
    torch.normal,
    Tensor.normal_,
    Tensor.uniform_,
}
"""What draws with no rule of its own."""
