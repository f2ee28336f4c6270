"""What the weights that a training starts from have seen before."""

from __future__ import annotations

from jobs.context import Context
from tlbatch.backbones.catalogue import WeightInfo, weights_of
from tlbatch.contracts.models import Backbone, Weights


def trained_on(context: Context, backbone: Backbone | None) -> str:
    """In words, oldest first; "" where nothing is known, or nothing was seen (random weights, scratch models)."""
    if backbone is None:
        return ""
    weights = backbone.weights
    if weights.kind == "run":
        before = context.input("source").read_json("card.json").get("trained_on")
        return f"{before}, then {weights.from_}" if before else str(weights.from_)
    if weights.kind in ("random", "none"):
        return ""
    return next((published.trained_on for published in weights_of(backbone.name or "") if _is(published, weights)), "")


def _is(published: WeightInfo, weights: Weights) -> bool:
    if weights.kind == "named":
        return published.name == weights.name
    return bool(published.hash) and (weights.sha256 or "").startswith(published.hash)
