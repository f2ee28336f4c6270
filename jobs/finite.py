"""The one check that numbers are numbers. Every path that makes or reads features, logits, probabilities, weights asks here."""

from __future__ import annotations

from typing import Any, TypeVar

from tlbatch import nouns
from tlbatch.errors import DataError, TlbatchError

Values = TypeVar("Values")


def unsuited() -> str:
    return f"the weights do not suit these {nouns.items()} or this precision (try fp32)"


def finite(values: Values, what: str, why: str | None = None, error: type[TlbatchError] = DataError) -> Values:
    """``values`` (a numpy array or a tensor of floats) as they are. Raises ``error`` where any is NaN or infinite."""
    wrong = _count(values)
    if wrong:
        size = values.numel() if hasattr(values, "numel") else values.size  # type: ignore[attr-defined]
        raise error(f"{wrong:,} of {size:,} {what} are no finite numbers: {unsuited() if why is None else why}")
    return values


def _count(values: Any) -> int:
    if hasattr(values, "isfinite"):
        found = values.isfinite()
    else:
        import numpy as np

        found = np.isfinite(values)
    return 0 if bool(found.all()) else int((~found).sum())
