"""Items that augmentation can show in a few ways only: then what a network makes of all of them can be computed beforehand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jobs.kinds import feed_of
from tlbatch.spec.added import added_name


def _always_the_first(n: int, chance: torch.Generator) -> Tensor:
    return torch.zeros(n, dtype=torch.int64)


def _as_they_are(items: Tensor, look: int) -> Tensor:
    return items


@dataclass(frozen=True)
class Looks:
    """The few ways in which an augmentation can show an item, where it has no more: as it stands, the item itself alone.

    ``drawn``: int64 [n], which of ``count`` each item of a batch gets, by the same chance as ``vary``; ``show``: items in one.
    So ``vary(items, …)[i]`` is, to the bit, ``show(items, drawn(n, chance)[i])[i]``.
    """

    count: int = 1
    drawn: Callable[[int, torch.Generator], Tensor] = _always_the_first
    show: Callable[[Tensor, int], Tensor] = _as_they_are


def looks_of(input: Mapping[str, Any], augmentation: Mapping[str, Any] | None) -> Looks | None:
    """In which ways items are shown. None where they are many, or where it is not known: kinds need not have ``looks``."""
    if not augmentation:
        return Looks()
    own = None if added_name(augmentation) is not None else getattr(feed_of(input), "looks", None)
    found: Looks | None = own(augmentation) if own else None
    return found
