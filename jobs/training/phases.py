"""Which stages learn in which epoch, and how fast. Pure: names in, names out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tlbatch.errors import StudyError


@dataclass(frozen=True)
class Phases:
    """Which stages of a network (input to head) learn when, and how fast; as it stands: all of them, always, equally.

    ``unfrozen``: those that learn at some time, beside the last one, the head, which always does; None: all. ``warm_up``:
    epochs of the head alone before. ``gradual``: one stage more, from the last back, every so many epochs; None: all at once.
    ``lr_scale``: stage -> factor on the learning rate, times ``lr_decay`` for every stage between it and the head.
    ``batch_norm``: of stages that learn (jobs.training.protocol.Trainable.train_mode).
    """

    unfrozen: tuple[str, ...] | None = None
    warm_up: int = 0
    gradual: int | None = None
    lr_scale: Mapping[str, float] = field(default_factory=dict)
    lr_decay: float = 1.0
    batch_norm: Literal["auto", "eval", "train"] = "train"

    def ever(self, stages: Sequence[str]) -> tuple[str, ...]:
        """The stages that learn at some time. Raises StudyError for a stage that the network does not have."""
        named = self.unfrozen or ()
        unknown = [name for name in (*named, *self.lr_scale) if name not in stages]
        if unknown:
            raise StudyError(f"no stage {', '.join(map(repr, unknown))} in this network: it has {', '.join(stages)}")
        if self.unfrozen is None:
            return tuple(stages)
        return tuple(name for name in stages if name in named or name == stages[-1])

    def at(self, stages: Sequence[str], epoch: int) -> tuple[str, ...]:
        """The stages that learn in ``epoch`` (from 0): the head in warm-up, then all, or one more every ``gradual`` epochs."""
        ever = self.ever(stages)
        *backbone, head = ever
        if epoch < self.warm_up:
            return (head,)
        if self.gradual is None:
            return ever
        open_stages = 1 + (epoch - self.warm_up) // self.gradual
        return (*backbone[max(0, len(backbone) - open_stages) :], head)

    def scales(self, stages: Sequence[str]) -> dict[str, float]:
        """Stage -> factor on the learning rate."""
        far = len(stages) - 1
        return {name: self.lr_scale.get(name, 1.0) * self.lr_decay ** (far - i) for i, name in enumerate(stages)}


EVERYTHING = Phases()
