"""What the training loop asks of a network, and a head on its own that answers it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

HEAD = "head"


class StageLike(Protocol):
    """A named group of layers."""

    @property
    def name(self) -> str: ...


class Trainable(Protocol):
    """A network made of ordered stages, input to head. jobs.models' Network and ScratchCNN, and HeadOnly below."""

    @property
    def stages(self) -> Sequence[StageLike]: ...

    def __call__(self, x: Tensor) -> Tensor: ...

    def parameters_of(self, stage: str) -> Iterable[nn.Parameter]: ...

    def modules_of(self, stage: str) -> Iterable[nn.Module]: ...

    def freeze(self, unfrozen: Iterable[str]) -> None: ...

    def train_mode(self, batch_norm: str, batch_size: int) -> Any: ...


class HeadStage:
    """The one stage of a head on its own."""

    name = HEAD
    layers: tuple[str, ...] = (HEAD,)


class HeadOnly(nn.Module):
    """A head trained on cached features [n, d]; its state has the names that it has inside a whole network (``head.…``)."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    @property
    def stages(self) -> tuple[HeadStage, ...]:
        return (HeadStage(),)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [n, classes]."""
        logits: Tensor = self.head(x)
        return logits

    def parameters_of(self, stage: str) -> Iterable[nn.Parameter]:
        return self.head.parameters() if stage == HEAD else ()

    def modules_of(self, stage: str) -> list[nn.Module]:
        return [self.head] if stage == HEAD else []

    def freeze(self, unfrozen: Iterable[str]) -> None:
        """The head always learns."""

    def train_mode(self, batch_norm: str = "auto", batch_size: int = 32) -> None:
        self.train()
