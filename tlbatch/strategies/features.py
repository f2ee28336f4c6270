"""``features``: a head, dense or fitted at once, on features that are extracted once."""

from __future__ import annotations

from tlbatch.strategies.entry import Strategy

FEATURES = Strategy(
    name="features",
    title="a head on features that are extracted once",
    program="jobs.strategies.features:train",
    model="backbone",
    consumes="features",
    heads=frozenset({"dense", "logistic", "prototypes", "knn", "added"}),
    several_tasks=True,
    in_pieces=True,
    default=True,
    phrase=lambda settings, layer: f"head on the features of {layer}",
)
