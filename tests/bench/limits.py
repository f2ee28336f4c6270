"""What two cores could do: images a second if they only decoded, resized and ran the network, each measured alone on one core.

The limit of forward passes is cores / (seconds of a core to decode and resize an image, and to run the network on it by the
fastest engine). CPU seconds of the least of several turns, so that what else the machine does counts little. Hundreds of
files are decoded, as few of them again and again take a fifth less time: a core has learnt them by heart.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from jobs.extraction import engine
from jobs.extraction.extractor import one_thread_each
from jobs.kinds import feed_of
from jobs.training.computing import keep_memory

TURNS = 4
AT_ONCE = (1, 2, 4, 8)
PASSED = 64


@dataclass(frozen=True)
class CoreSeconds:
    """Of one core, for an item: ``load_s`` to decode and resize it, ``pass_s`` to run the network on it."""

    load_s: float
    pass_s: float

    def limit(self, cores: int) -> float:
        """Items a second."""
        return cores / (self.load_s + self.pass_s)


def core_seconds(network: nn.Module, settings: Mapping[str, Any], stored: Sequence[bytes], precision: str) -> CoreSeconds:
    """Of ``stored`` items (files), and of ``PASSED`` of them through ``network``, which is folded, by OpenVINO in the batches
    that suit it best."""
    feed = feed_of(settings)
    keep_memory()  # as steps do
    with one_thread_each():
        items = torch.stack([feed.load(one, settings) for one in stored[:PASSED]])
        load_s = _least_s(lambda: [feed.load(one, settings) for one in stored])
        fed = feed.normaliser(settings)(items)
        passes = [_pass_s(network, fed, at_once, precision) for at_once in AT_ONCE if len(fed) % at_once == 0]
    return CoreSeconds(load_s / len(stored), min(passes) / len(items))


def _pass_s(network: nn.Module, fed: Tensor, at_once: int, precision: str) -> float:
    with patch.object(engine, "AT_ONCE", at_once), patch.object(engine, "AT_ONCE_DENSE", at_once):
        compute = engine.compiled(copy.deepcopy(network), (at_once, *fed.shape[1:]), precision, 1)
    if compute is None or compute.size != at_once:
        return math.inf
    batches = fed.split(at_once)
    return _least_s(lambda: [compute(batch) for batch in batches])


def _least_s(work: Callable[[], object]) -> float:
    """CPU seconds; the first turn warms up and does not count."""
    taken = []
    for _ in range(TURNS):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return min(taken[1:])
