"""What ``prepare`` found in the files: counts, bad files, copies."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from jobs.reporting.sources import Sources


@dataclass(frozen=True)
class DataCard:
    """The prepared dataset's card, leniently read."""

    counts: dict[str, int]
    empty: list[str]
    bad: list[dict[str, str]]
    exact: list[list[str]]
    near: list[dict[str, Any]]
    conflicting: list[list[str]]
    method: str

    @staticmethod
    def of(sources: Sources) -> DataCard:
        card, task = sources.card, sources.params.task
        duplicates = card.get("duplicates") or {}
        lines = sources.dataset.read_bytes("bad.jsonl").decode().split("\n") if "bad.jsonl" in sources.dataset else []
        return DataCard(
            counts=dict(card.get("counts") or {}) if task is None else dict(card["tasks"][task]),
            empty=list(card.get("empty_classes") or []) if task is None else [],
            bad=[json.loads(line) for line in lines if line],
            exact=list(duplicates.get("exact") or []),
            near=list(duplicates.get("near") or []),
            conflicting=list(duplicates.get("conflicting") or []),
            method=str(card.get("method") or ""),
        )
