"""All kinds of data by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tlbatch import nouns
from tlbatch.kinds.entry import Kind
from tlbatch.kinds.image import IMAGE
from tlbatch.plugins import entry_of

KINDS: Mapping[str, Kind] = MappingProxyType({each.name: each for each in (IMAGE,)})
DEFAULT_KIND = IMAGE.name
"""What documents mean that name no kind."""


def kind_of(name: str | None) -> Kind:
    """The entry of a name: of ``plugin:name`` a plug-in's. None: pictures. Raises StudyError."""
    entry: Kind = entry_of("kinds", name or DEFAULT_KIND, KINDS, "kind of data")
    return entry


def speak_of(name: str | None) -> None:
    """Have this process call its items what their kind calls them (tlbatch.nouns). Raises StudyError."""
    kind = kind_of(name)
    nouns.set_nouns(nouns.Nouns(kind.item, kind.items, kind.content, kind.contents))


def fed_shape(input: Mapping[str, Any]) -> tuple[int, ...]:
    """Of one item as a network is fed: (channels, height, width) of a picture."""
    return kind_of(input.get("kind")).shape(input)


def kind_field(name: str | None) -> dict[str, Any]:
    """As it stands in documents: left out where it is the default."""
    return {} if name in (None, DEFAULT_KIND) else {"kind": name}
