"""A batch's forward pass by some of its rows at a time: by pieces (train.micro_batch_size), by several processes, or both.

Processes compute their rows of the batch, or of a piece of it, and get the logits of all its rows. What is computed is what one
process would: chance by the row's place in the whole batch, batch statistics over all that goes through the network at once. So
any objective sees the whole batch's logits, whatever it makes of them, and the gradients' mean over the processes is that of
one process, but for the order in which 32-bit sums are taken. Pieces are the same ones however many processes there are.
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
from jobs.training.objective import Forward, mixes
from jobs.training.validation import shared_validation_logits, validation_logits
from tlbatch.errors import StudyError
from tlbatch.spec.train import Train

UNSHARED = "which several processes cannot share: set resources.nodes, and gpu, to 1 for this run"
UNDIVIDED = "so its batches cannot go through it in pieces: leave train.micro_batch_size out"


@dataclass(frozen=True)
class Share:
    """The rows of a batch of ``n`` that a process computes at once: ``start`` up to ``stop``, of a ``piece`` of the batch that
    all processes compute together.

    Where there are fewer rows than processes some have none: these compute one that counts for nothing, since all take part in
    whatever is sent.
    """

    n: int
    start: int
    stop: int
    most: int  #: rows of the largest share
    piece: slice

    @staticmethod
    def of(n: int, rank: int, size: int, piece: slice | None = None) -> Share:
        """Of the whole batch, or of a piece of it."""
        piece = piece or slice(0, n)
        first, rows = piece.start, piece.stop - piece.start
        return Share(n, first + rows * rank // size, first + rows * (rank + 1) // size, -(-rows // size), piece)

    @property
    def count(self) -> int:
        return self.stop - self.start

    @property
    def fed(self) -> slice:
        """The rows that go through the network."""
        return slice(self.start, max(self.stop, self.start + 1))

    def within(self, rows: slice) -> slice:
        """Rows of the batch, counted from where the piece begins."""
        return slice(rows.start - self.piece.start, rows.stop - self.piece.start)


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


class ForwardByRows(Forward):
    """Gives the logits of a whole batch [n, …], or of a piece of it. It is handed all rows of that, or those of its ``share``.

    Those of several processes are float32.
    """

    def __init__(self, network: nn.Module, device: torch.device, bf16: bool, group: Alone, mixes: bool) -> None:
        super().__init__(network, device, bf16)
        self._group, self._mixes = group, mixes
        self.share = Share.of(1, group.rank, group.size)
        self._whole: Tensor | None = None

    def fed(self, feed: Feed, indices: Tensor, at: At, piece: slice | None = None) -> Tensor:
        """Its rows; of batches that are mixed, where any row may need any other, all of them, made for the first piece."""
        share = self.share = Share.of(len(indices), self._group.rank, self._group.size, piece)
        if self._mixes:
            if share.piece.start == 0 or self._whole is None:
                self._whole = None  # before the next one is made
                self._whole = feed.batch(indices, at.epoch, at.step)
            return self._whole
        if isinstance(feed, FeedsRows):
            return feed.batch_rows(indices, share.fed, at.epoch, at.step)
        return feed.batch(indices, at.epoch, at.step)[share.fed]

    def __call__(self, x: Tensor) -> Tensor:
        share = self.share
        own = x[share.within(share.fed)] if len(x) == share.piece.stop - share.piece.start else x
        with ByPlace(share, self._group):
            logits = super().__call__(own)
        if not isinstance(self._group, Group):
            return logits
        gathered: Tensor = _Gather.apply(logits.float(), share, self._group)
        return gathered


def forward_of(network: nn.Module, device: torch.device, recipe: Sharable, group: Alone) -> Forward:
    """What an objective calls: the network itself, on whole batches, or by rows."""
    train = recipe.train
    if not isinstance(group, Group) and train.micro_batch_size is None:
        return Forward(network, device, recipe.bf16)
    return ForwardByRows(network, device, recipe.bf16, group, mixes(train))


def logits_of(network: nn.Module, feed: Feed, recipe: Sharable, group: Alone, tick: Callable[[], None]) -> Tensor:
    """Of the validation images, as jobs.training.validation has them.

    No more of them at once than of a step: so training, and not judging, decides what the task holds (tlbatch.memory).
    """
    most = recipe.train.at_once
    if not isinstance(group, Group):
        return validation_logits(network, feed, recipe.bf16, tick, most)
    return shared_validation_logits(network, feed, recipe.bf16, group, tick, most)


class _Gather(torch.autograd.Function):
    """Every process's rows. Backward: its own rows' gradients, times the processes: their mean is taken in the end."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, share: Share, group: Group) -> Tensor:
        ctx.share, ctx.group, ctx.shape = share, group, own.shape
        padded = own.new_zeros((share.most, *own.shape[1:]))
        padded[: share.count] = own[: share.count]
        shares = [Share.of(share.n, rank, group.size, share.piece) for rank in range(group.size)]
        rows = zip(group.gathered(padded), shares, strict=True)
        return torch.cat([values[: each.count] for values, each in rows])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        own = gradient.new_zeros(ctx.shape)
        share = ctx.share
        own[: share.count] = gradient[share.within(slice(share.start, share.stop))] * ctx.group.size
        return own, None, None


class ByPlace(TorchFunctionMode):
    """While a network computes rows of a batch: dropout, drop path and batch statistics as the whole batch has them.

    Masks are drawn for the whole batch, of the same generator as ever, and the rows of them that are computed are taken. What
    draws in another way is refused: its processes would not compute one and the same network, and its pieces would draw alike.
    """

    def __init__(self, share: Share, group: Alone) -> None:
        super().__init__()
        self.share, self.group = share, group
        self.refused = UNSHARED if isinstance(group, Group) else UNDIVIDED

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in DRAWS:
            raise StudyError(f"this network draws random numbers by {func.__name__}, {self.refused}")
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
            raise StudyError(f"this network drops parts of a batch by other than its rows, {self.refused}")
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
        raise StudyError(f"this network draws random numbers in a way of its own, {mode.refused}")
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
    if not training or not isinstance(mode.group, Group):
        return functional.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    counts = mode.share.count > 0
    return batch_norm(input, running_mean, running_var, weight, bias, momentum, eps, mode.group, counts)


def _attention(mode: ByPlace, *args: Any, **settings: Any) -> Tensor:
    if settings.get("dropout_p", args[4] if len(args) > 4 else 0.0):
        raise StudyError(f"this network has dropout inside attention, {mode.refused}")
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
