"""Weights with everything resolved: which (part of the key), and where they are (not part of it)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tlbatch.tasks import InputRef


@dataclass(frozen=True)
class ResolvedWeights:
    """Which weights (part of the key) and where their bytes are (not part of it). ``source`` is an earlier study's model."""

    params: dict[str, Any]
    location: str | None = None
    own_input: dict[str, Any] = field(default_factory=dict)
    source: InputRef | None = None
    trained_on: str = ""
