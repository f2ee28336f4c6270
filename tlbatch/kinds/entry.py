"""What a kind of data is to the launcher: which files, what may be set, how items are fed and what that costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tlbatch.schema.base import Part

ResolvedInput = Mapping[str, Any]
"""A run's resolved input: how its items are fed. Of kinds other than pictures it has the kind's name as ``kind``."""


def as_set(said: Part, own: Mapping[str, Any]) -> dict[str, Any]:
    """``own`` with what the study sets on top."""
    return {**own, **{name: value for name, value in said.model_dump(mode="json").items() if value is not None}}


def no_differences(resolved: ResolvedInput, own: ResolvedInput) -> list[str]:
    return []


def as_words(input: ResolvedInput) -> str:
    return ", ".join(f"{name} {value}" for name, value in input.items() if name != "kind")


def nothing(input: ResolvedInput) -> str:
    return ""


@dataclass(frozen=True)
class Kind:
    """A kind of data, as an entry of ``KINDS`` or of a plug-in (tlbatch.plugins).

    ``item``, ``items``: what one and several are called, and, where that has another name, ``content``, ``contents`` what is in
    them, of which there may be copies (tlbatch.nouns). ``items_program``, ``feed_program``: ``module:object`` that reads and
    shows items (jobs.data.items.ItemKind) and that feeds networks (jobs.kinds.feed.Feed). ``suffixes``: which of several files
    of one name a line of a CSV means. ``settings``: what may be set of the dataset (``kind: {name: {…}}``); ``input``: of a
    run's input, over ``defaults``; each None where nothing may be.

    Of a resolved input: ``shape`` is that of one item as a network is fed; ``item_bytes`` what one takes in memory; ``measure``
    says in a word how large it is, for displays; ``small`` whether one core is enough to train on it; ``differences`` in words
    how it differs from what weights were trained with; ``describe`` and ``phrase`` say how items are fed, in a few words and in
    a report's; ``scaling`` what values they are fed as.
    """

    name: str
    title: str
    items_program: str
    feed_program: str
    shape: Callable[[ResolvedInput], tuple[int, ...]]
    item_bytes: Callable[[ResolvedInput], int]
    measure: Callable[[ResolvedInput], str]
    small: Callable[[ResolvedInput], bool]
    item: str = "item"
    items: str = "items"
    content: str = ""
    contents: str = ""
    suffixes: frozenset[str] = frozenset()
    settings: type[Part] | None = None
    input: type[Part] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    resolve: Callable[[Any, Mapping[str, Any]], dict[str, Any]] = as_set
    differences: Callable[[ResolvedInput, ResolvedInput], list[str]] = no_differences
    describe: Callable[[ResolvedInput], str] = as_words
    phrase: Callable[[ResolvedInput], str] = as_words
    scaling: Callable[[ResolvedInput], str] = nothing
