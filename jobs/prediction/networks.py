"""A model of one seed, its folds together: items in, logits out, in batches of one fixed, padded shape.

As in extract, every thread of a CPU computes on its own with a network of its own, so that an item's logits depend neither
on its neighbours nor on how many threads there are. Heads that were trained on cached features get theirs from the very
extractor that made those; they share one backbone, however many folds there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jobs.context import Context
from jobs.evaluation.outputs import validation_of
from jobs.extraction.extractor import BATCH, Extractor, fold
from jobs.finite import finite
from jobs.kinds import feed_of
from jobs.kinds.feed import laid_out
from jobs.metrics.calibration import Temperature, fit_temperature, softmax
from jobs.models.copies import ThreadCopies
from jobs.models.network import Network
from jobs.models.trained import load_trained
from jobs.statistics.predictions import Floats
from tlbatch.store.artifacts import Artifact
from tlbatch.strategies import strategy_of

Logits = Callable[[Tensor], list[Floats]]


@dataclass(frozen=True)
class Model:
    """What predicts. ``logits``: a batch of items, as their kind loads them, to one [batch, classes] a fold.

    It is called from several threads.

    ``passes``: forward passes through a backbone that an image takes. ``temperature`` is the one evaluate fits.
    """

    logits: Logits
    batch: int
    passes: int
    classes: list[str]
    settings: Mapping[str, Any]
    precision: str
    folds: int
    temperature: Temperature
    device: torch.device

    def probabilities(self, logits: list[Floats], *, raw: bool) -> Floats:
        """[n, classes]: the mean over the folds, each scaled by the temperature unless ``raw`` or there is none."""
        scale = 1.0 if raw or self.temperature.value is None else self.temperature.value
        return np.asarray(np.mean([softmax(one, scale) for one in logits], axis=0))


def load_model(context: Context, artifacts: list[Artifact], device: torch.device, batch: int | None) -> Model:
    """The model of a seed from its finetune artifacts, folds in order."""
    card = artifacts[0].read_json("card.json")
    settings, precision, classes = card["input"], str(card["precision"]), list(card["classes"])
    _, labels, logits = validation_of(artifacts, classes)
    on_features = strategy_of(card["strategy"]).on_features
    make = _of_features if on_features else _of_networks
    size = batch or BATCH[device.type]
    return Model(
        logits=make(context, artifacts, settings, precision, device),
        batch=size,
        passes=1 if on_features else len(artifacts),
        classes=classes,
        settings=settings,
        precision=precision,
        folds=len(artifacts),
        temperature=fit_temperature(logits, labels),
        device=device,
    )


def _of_features(
    context: Context, artifacts: list[Artifact], settings: Mapping[str, Any], precision: str, device: torch.device
) -> Logits:
    """Heads on what extract computes; the backbone is the same for all."""
    heads = [load_trained(context, artifact).head.to(device) for artifact in artifacts]
    backbone = fold(lambda: load_trained(context, artifacts[0]).backbone)
    extractor = Extractor(backbone, settings, precision, device, context.threads)

    @torch.inference_mode()
    def logits(items: Tensor) -> list[Floats]:
        features = torch.from_numpy(extractor(items)).to(device)
        context.made["engine"] = extractor.engine
        return [_checked(head(features)) for head in heads]

    return logits


def _of_networks(
    context: Context, artifacts: list[Artifact], settings: Mapping[str, Any], precision: str, device: torch.device
) -> Logits:
    """Whole networks, as evaluate runs them."""
    networks = [_ready(load_trained(context, artifact), device) for artifact in artifacts]
    copies = [ThreadCopies(network) for network in networks]
    normalise = feed_of(settings).normaliser(settings)

    @torch.inference_mode()
    def logits(items: Tensor) -> list[Floats]:
        fed = laid_out(normalise(items.to(device, non_blocking=True)))
        own = networks if device.type == "cuda" else [copy.get() for copy in copies]
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            return [_checked(network(fed)) for network in own]

    return logits


def _ready(network: Network, device: torch.device) -> Network:
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    ready: nn.Module = network.to(device).to(memory_format=torch.channels_last)
    return cast(Network, ready)


def _checked(logits: Tensor) -> Floats:
    values: NDArray[np.float64] = finite(logits.float().cpu().double().numpy(), "outputs of the model")
    return values
