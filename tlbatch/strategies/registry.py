"""All strategies by name, and what a study or a task document says of one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tlbatch.plugins import entry_of
from tlbatch.strategies.adapt import ADAPT
from tlbatch.strategies.adapt_network import ADAPT_NETWORK
from tlbatch.strategies.entry import Strategy
from tlbatch.strategies.features import FEATURES
from tlbatch.strategies.finetune import FINETUNE
from tlbatch.strategies.scratch import SCRATCH

STRATEGIES: Mapping[str, Strategy] = MappingProxyType(
    {each.name: each for each in (FEATURES, SCRATCH, FINETUNE, ADAPT, ADAPT_NETWORK)}
)


def default_strategy(model: str) -> Strategy:
    """What a run of ``scratch`` or a ``backbone`` does where its study names no strategy."""
    return next(each for each in STRATEGIES.values() if each.model == model and each.default)


def strategy_of(asked: str | Mapping[str, Any]) -> Strategy:
    """The entry that a study or a task names: ``features``, ``{finetune: {…}}``, or ``plugin:name``. Raises StudyError."""
    entry: Strategy = entry_of("strategies", name_of(asked), STRATEGIES, "strategy")
    return entry


def sharing() -> tuple[str, ...]:
    """Names of those that several processes may train together."""
    return tuple(each.name for each in STRATEGIES.values() if each.shares)


def in_pieces() -> tuple[str, ...]:
    """Names of those whose batches may go through the network piece by piece."""
    return tuple(each.name for each in STRATEGIES.values() if each.in_pieces)


def name_of(asked: str | Mapping[str, Any]) -> str:
    return asked if isinstance(asked, str) else next(iter(asked))


def settings_of(asked: str | Mapping[str, Any]) -> Mapping[str, Any]:
    """What is set of it; empty where nothing may be."""
    return {} if isinstance(asked, str) else next(iter(asked.values()))
