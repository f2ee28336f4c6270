"""``scratch``: the study's own network, all of it trained from random weights."""

from __future__ import annotations

from tlbatch.strategies.entry import Strategy

SCRATCH = Strategy(
    name="scratch",
    title="the study's own network, trained from random weights",
    program="jobs.strategies.network:train",
    model="scratch",
    default=True,
    whole=True,
    several_tasks=True,
    shares=True,
    in_pieces=True,
    phrase=lambda settings, layer: "trained from scratch",
)
