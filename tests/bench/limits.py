"""What two cores could do: images a second if they only decoded, resized and ran the network, each measured alone on one core.

The limit of forward passes is cores / (seconds of a core to decode and resize an image, and to run the network on it by the
fastest engine: OpenVINO or ONNX Runtime, each in the batches that suit it best). CPU seconds, medians of several turns; which
is the fastest is said by the medians, too: the least of many measurements is the luckiest. Hundreds of files are decoded, as
few of them again and again take a fifth less time: a core has learnt them by heart.
"""

from __future__ import annotations

import copy
import io
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from jobs.extraction import engine
from jobs.extraction.extractor import one_thread_each
from jobs.kinds import feed_of
from jobs.telemetry import load_onnxruntime
from jobs.training.computing import keep_memory

TURNS = 4
AT_ONCE = (1, 2, 4, 8)
PASSED = 64
AGREE = 1e-3  #: of the largest value: as far as ONNX Runtime may be from torch


@dataclass(frozen=True)
class CoreSeconds:
    """Of one core, for an item: ``load_s`` to decode and resize it, ``passes`` to run the network on it, by engine and size."""

    load_s: float
    passes: Mapping[str, float]

    @property
    def engine(self) -> str:
        """The fastest."""
        return min(self.passes, key=lambda name: self.passes[name])

    @property
    def pass_s(self) -> float:
        return self.passes[self.engine]

    def limit(self, cores: int) -> float:
        """Items a second."""
        return cores / (self.load_s + self.pass_s)

    @staticmethod
    def of(turns: Sequence[CoreSeconds]) -> CoreSeconds:
        """Medians of what was measured several times."""
        passes = {name: median(turn.passes[name] for turn in turns) for name in turns[0].passes}
        return CoreSeconds(median(turn.load_s for turn in turns), passes)


def core_seconds(
    network: nn.Module, settings: Mapping[str, Any], stored: Sequence[bytes], precision: str, passed: int = PASSED
) -> CoreSeconds:
    """Of ``stored`` items (files), and of ``passed`` of them through ``network``, which is folded, by each engine."""
    feed = feed_of(settings)
    keep_memory()  # as steps do
    with one_thread_each():
        items = torch.stack([feed.load(one, settings) for one in stored[:passed]])
        load_s = _median_s(lambda: [feed.load(one, settings) for one in stored])
        fed = feed.normaliser(settings)(items)
        sizes = [size for size in AT_ONCE if len(fed) % size == 0]
        engines = {
            **{f"OpenVINO, {size} a pass": openvino_s(network, fed, size, precision) for size in sizes},
            **{f"ONNX Runtime, {size} a pass": onnx_runtime_s(network, fed, size) for size in sizes},
        }
    return CoreSeconds(load_s / len(stored), {name: seconds / len(items) for name, seconds in engines.items()})


def openvino_s(network: nn.Module, fed: Tensor, at_once: int, precision: str) -> float:
    with patch.object(engine, "_at_once", lambda *_: at_once):
        compute = engine.compiled(copy.deepcopy(network), (at_once, *fed.shape[1:]), precision, 1)
    if compute is None or compute.size != at_once:
        return math.inf
    batches = fed.split(at_once)
    return _median_s(lambda: [compute(batch) for batch in batches])


def onnx_runtime_s(network: nn.Module, fed: Tensor, at_once: int) -> float:
    """All optimisations on, one thread. In float32 whatever is asked for: on x86 it has no convolutions in bfloat16."""
    onnxruntime = load_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(_as_onnx(network, fed[:at_once]), options, providers=["CPUExecutionProvider"])
    batches = [batch.numpy() for batch in fed.split(at_once)]
    with torch.inference_mode():
        expected = network(fed[:at_once]).numpy()
    [found] = session.run(None, {"fed": batches[0]})
    assert abs(found - expected).max() <= AGREE * abs(expected).max(), "ONNX Runtime computes another network than torch"
    return _median_s(lambda: [session.run(None, {"fed": batch}) for batch in batches])


def _as_onnx(network: nn.Module, example: Tensor) -> bytes:
    written = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is a newer exporter, which takes as long as all the measuring
        torch.onnx.export(network, (example,), written, dynamo=False, input_names=["fed"])
    return written.getvalue()


def _median_s(work: Callable[[], object]) -> float:
    """CPU seconds; the first turn warms up and does not count."""
    taken = []
    for _ in range(TURNS):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return median(taken[1:])
