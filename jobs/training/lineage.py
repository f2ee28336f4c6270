"""What the weights that a training starts from have seen before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobs.context import Context
from tlbatch.backbones.catalogue import weights_of


def trained_on(context: Context, backbone: Mapping[str, Any] | None) -> str:
    """In words, oldest first; "" where nothing is known, or nothing was seen (random weights, scratch models)."""
    if backbone is None:
        return ""
    weights = backbone["weights"]
    if weights["kind"] == "run":
        before = context.input("source").read_json("card.json").get("trained_on")
        return f"{before}, then {weights['from']}" if before else str(weights["from"])
    if weights["kind"] in ("random", "none"):
        return ""
    return next((published.trained_on for published in weights_of(backbone["name"]) if _is(published, weights)), "")


def _is(published: Any, weights: Mapping[str, Any]) -> bool:
    if weights["kind"] == "named":
        return bool(published.name == weights["name"])
    return bool(published.hash) and weights["sha256"].startswith(published.hash)
