"""All kinds of data by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tlbatch.errors import StudyError
from tlbatch.kinds.entry import Kind
from tlbatch.kinds.image import IMAGE
from tlbatch.plugins import find

KINDS: Mapping[str, Kind] = MappingProxyType({each.name: each for each in (IMAGE,)})
DEFAULT_KIND = IMAGE.name
"""What documents mean that name no kind."""


def kind_of(name: str | None) -> Kind:
    """The entry of a name: of ``plugin:name`` a plug-in's. None: pictures. Raises StudyError."""
    name = name or DEFAULT_KIND
    if name in KINDS:
        return KINDS[name]
    if ":" not in name:
        raise StudyError(f"kind of data {name!r} is not known here: made by a newer tlbatch?")
    found: Kind = find("kinds", name)
    return found


def fed_shape(input: Mapping[str, Any]) -> tuple[int, ...]:
    """Of one item as a network is fed: (channels, height, width) of a picture."""
    return kind_of(input.get("kind")).shape(input)


def kept_kind(name: str | None) -> dict[str, Any]:
    """As it stands in documents: left out where it is the default."""
    return {} if name in (None, DEFAULT_KIND) else {"kind": name}
