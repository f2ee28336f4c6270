"""Ways to learn, as far as no torch is needed for it: what each reads, may be set and is called. One entry a file.

A strategy's other half, which trains, is where its entry's ``program`` says (``jobs.strategies``).
"""

from tlbatch.strategies.entry import CheckedRun, OwnControl, Strategy
from tlbatch.strategies.registry import STRATEGIES, default_strategy, in_pieces, settings_of, sharing, strategy_of

__all__ = [
    "STRATEGIES",
    "CheckedRun",
    "OwnControl",
    "Strategy",
    "default_strategy",
    "in_pieces",
    "settings_of",
    "sharing",
    "strategy_of",
]
