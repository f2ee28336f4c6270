"""Which stages learn in which epoch, and how fast. Pure: names in, names out."""

from __future__ import annotations

from collections.abc import Sequence

from tlbatch.errors import StudyError
from tlbatch.strategies.finetune import Finetune


def unfrozen_ever(stages: Sequence[str], finetune: Finetune | None) -> tuple[str, ...]:
    """The stages (input to head, as in ``stages``) that learn at some time. None: a scratch model, which learns whole.

    Raises StudyError for a stage that the network does not have.
    """
    if finetune is None:
        return tuple(stages)
    named = () if isinstance(finetune.unfreeze, str) else finetune.unfreeze
    unknown = [name for name in (*named, *finetune.lr_scale) if name not in stages]
    if unknown:
        raise StudyError(f"no stage {', '.join(map(repr, unknown))} in this network: it has {', '.join(stages)}")
    if finetune.unfreeze == "all":
        return tuple(stages)
    return tuple(name for name in stages if name in named or name == stages[-1])


def unfrozen_at(stages: Sequence[str], finetune: Finetune | None, epoch: int) -> tuple[str, ...]:
    """The stages that learn in ``epoch`` (from 0): the head in warm-up, then all, or one more every ``gradual`` epochs."""
    ever = unfrozen_ever(stages, finetune)
    if finetune is None:
        return ever
    *backbone, head = ever
    if epoch < finetune.warm_up:
        return (head,)
    if finetune.gradual is None:
        return ever
    open_stages = 1 + (epoch - finetune.warm_up) // finetune.gradual
    return (*backbone[max(0, len(backbone) - open_stages) :], head)


def lr_scales(stages: Sequence[str], finetune: Finetune | None) -> dict[str, float]:
    """Stage -> factor on the learning rate: its own, times ``lr_decay`` for every stage between it and the head."""
    if finetune is None:
        return dict.fromkeys(stages, 1.0)
    far = len(stages) - 1
    return {name: finetune.lr_scale.get(name, 1.0) * finetune.lr_decay ** (far - i) for i, name in enumerate(stages)}
