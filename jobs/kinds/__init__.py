"""Kinds of data, the half that reads and computes: a folder each. ``tlbatch.kinds`` has the half that plans.

That half, which needs pydantic, is imported where it is used: processes that share a search (jobs.workers) do without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from jobs.data.items import ItemKind
    from jobs.kinds.feed import Feed


def items_of(kind: str | None) -> ItemKind:
    """How items of a kind (None: pictures) are read and shown. Needs no torch."""
    found: ItemKind = _half(kind, "items_program")
    return found


def feed_of(input: Mapping[str, Any]) -> Feed:
    """How items come into a network, by a run's resolved input, which names its kind where that is no picture."""
    found: Feed = _half(input.get("kind"), "feed_program")
    return found


@cache
def _half(kind: str | None, field: str) -> Any:
    """Found once a process: it is asked for with every item."""
    from tlbatch.kinds import kind_of
    from tlbatch.plugins import Guarded, imported

    entry = kind_of(kind)
    target: str = getattr(entry, field)
    return Guarded(entry.name, imported(entry.name, target)) if ":" in entry.name else resolve_name(target)


def vary(input: Mapping[str, Any], items: Tensor, augmentation: Mapping[str, Any], chance: torch.Generator) -> Tensor:
    """Random changes of a batch (jobs.kinds.feed.Feed.vary): the kind's own, or a plug-in's ``{plugin:name: {…}}``."""
    from tlbatch.spec.added import added_name, name_and_settings

    if (name := added_name(augmentation or None)) is None:
        return feed_of(input).vary(items, augmentation, chance)
    changed: Tensor = _augmentation(name)(items, name_and_settings(augmentation)[1], chance)
    return changed


def vary_rows(
    input: Mapping[str, Any],
    load: Callable[[slice], Tensor],
    augmentation: Mapping[str, Any],
    chance: torch.Generator,
    n: int,
    rows: slice,
) -> Tensor:
    """``vary(…)[rows]`` of a batch of ``n``, which ``load`` gives rows of. Kinds without ``vary_rows`` vary all of it."""
    from tlbatch.spec.added import added_name

    own = None if added_name(augmentation or None) is not None else getattr(feed_of(input), "vary_rows", None)
    if own is None:
        return vary(input, load(slice(0, n)), augmentation, chance)[rows]
    changed: Tensor = own(load(rows), augmentation, chance, n, rows)
    return changed


@cache
def _augmentation(name: str) -> Callable[..., Tensor]:
    from tlbatch.plugins import program

    return program("augmentations", name)
