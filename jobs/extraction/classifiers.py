"""Networks that name classes, run forward: rows as they are extracted, then heads in float32, in the same batches.

evaluate and predict run every network by this: trained ones whole or by their backbone's features, and pretrained ones
without labels. So an item's outputs depend neither on its neighbours nor on how many threads there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jobs.context import Context
from jobs.extraction.extractor import Extractor, batch_of, fold, in_batches
from jobs.finite import finite
from jobs.models.network import Network
from jobs.models.trained import load_trained
from jobs.statistics.predictions import Floats
from tlbatch.store.artifacts import Artifact
from tlbatch.strategies import strategy_of

OUTPUTS = "outputs of the model"


class Classifiers:
    """Items to outputs, float64 [n, heads, classes], of several heads on the rows of one network.

    Safe to call from several threads. ``batch`` and ``engine``: see Extractor.
    """

    def __init__(self, rows: Extractor, heads: Sequence[nn.Module]) -> None:
        self._rows = rows
        self._heads = [head.to(rows.device).eval() for head in heads]

    @property
    def device(self) -> torch.device:
        return self._rows.device

    @property
    def batch(self) -> int:
        return self._rows.batch

    @property
    def engine(self) -> str:
        return self._rows.engine

    @property
    def count(self) -> int:
        """Heads."""
        return len(self._heads)

    def __call__(self, items: Tensor) -> Floats:
        features = self._rows(items)
        return np.stack([head_outputs(head, features, self.device, self.batch) for head in self._heads], axis=1)


def head_outputs(head: nn.Module, features: NDArray[np.float32], device: torch.device, batch: int | None = None) -> Floats:
    """float64 [n, classes] of a head in eval mode on ``device``, for features [n, d], in batches as networks run."""

    @torch.inference_mode()
    def compute(rows: Tensor) -> NDArray[np.float32]:
        outputs: Tensor = head(rows.to(device))
        return outputs.float().cpu().numpy()

    outputs = in_batches(compute, torch.from_numpy(features), batch_of(device, batch))
    return np.asarray(finite(outputs.astype(np.float64), OUTPUTS))


def open_trained(
    context: Context, artifacts: Sequence[Artifact], precision: str, device: torch.device, batch: int | None = None
) -> Iterator[Classifiers]:
    """The models of one seed, its folds in order, each opened when it is asked for. ``batch``: see Extractor.

    Heads that were trained on cached features get theirs from the very extractor that made those: one for all folds.
    """
    settings = artifacts[0].read_json("card.json")["input"]
    if strategy_of(artifacts[0].read_json("card.json")["strategy"]).on_features:
        heads = [load_trained(context, artifact).head for artifact in artifacts]
        rows = Extractor(
            lambda: fold(lambda: load_trained(context, artifacts[0]).backbone),
            settings,
            precision,
            device,
            context.threads,
            batch=batch,
        )
        yield Classifiers(rows, heads)
        return
    for artifact in artifacts:
        yield _whole(_folded(context, artifact), settings, precision, device, context.threads, batch)


def _whole(
    network: Network, settings: Mapping[str, Any], precision: str, device: torch.device, threads: int, batch: int | None
) -> Classifiers:
    rows = Extractor(lambda: network.backbone, settings, precision, device, threads, mixed=True, batch=batch)
    return Classifiers(rows, [network.head])


def _folded(context: Context, artifact: Artifact) -> Network:
    """Its backbone's BatchNorms folded where that changes nothing."""
    built: list[Network] = []

    def build() -> nn.Module:
        built.append(load_trained(context, artifact))
        return built[-1].backbone

    fold(build)
    return built[-1]


def open_pretrained(
    network: nn.Module, head: nn.Module, settings: Mapping[str, Any], precision: str, device: torch.device, threads: int
) -> Classifiers:
    """A network as it was pretrained, and what makes outputs of what it puts out; both are its own from here on."""
    return Classifiers(Extractor(lambda: network, settings, precision, device, threads, mixed=True, rows=OUTPUTS), [head])
