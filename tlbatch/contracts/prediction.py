"""Parameters of the ``predict`` task."""

from __future__ import annotations

from typing import Any

from tlbatch.contracts.data import Stored


class PredictParams(Stored):
    """``files``: the digest of the pictures' listing. ``identity``: which model, in words. ``stored_size``: how large prepare
    stored what the model learned from. ``batch`` None: what suits the device. ``raw``: probabilities are not scaled.
    """

    source: str
    out: str
    files: str
    identity: dict[str, Any]
    format: str
    chunk: int
    batch: int | None
    raw: bool
