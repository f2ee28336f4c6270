"""A measured value with its interval."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Estimate:
    """``value`` in [``low``, ``high``] (95 %) from ``n`` images by ``method``. None where it is not defined or not given.

    ``k`` is the count where the value is a share of images; ``extra`` goes into the document as it is.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    method: str
    k: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        document: dict[str, Any] = {"value": self.value, "low": self.low, "high": self.high, "n": self.n, "method": self.method}
        if self.k is not None:
            document["k"] = self.k
        return document | self.extra
