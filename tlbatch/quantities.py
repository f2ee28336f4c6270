"""Quantities as Kubernetes writes them: ``500m`` cores, ``2Gi`` of memory."""

from __future__ import annotations

import re

UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def amount(quantity: str) -> float:
    """``500m`` is 0.5, ``2Gi`` is 2147483648."""
    found = re.fullmatch(r"([0-9.]+)(m|k|Ki|M|Mi|G|Gi|T|Ti)?", quantity)
    assert found is not None, quantity
    return float(found[1]) * UNITS[found[2] or ""]


def mebibytes(quantity: str) -> int:
    """In MiB, rounded."""
    return round(amount(quantity) / 2**20)
