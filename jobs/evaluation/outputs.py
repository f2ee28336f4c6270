"""What the models say about the test images, before any metric: logits of trained models, probabilities with no labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from jobs.context import Context
from jobs.data.features import load_features
from jobs.data.index import read_stored
from jobs.evaluation.images import Dataset
from jobs.finite import finite
from jobs.kinds import feed_of
from jobs.kinds.feed import Normalise, laid_out
from jobs.models.building import build_head
from jobs.models.fitted_heads import make_room
from jobs.statistics.predictions import Floats, Ints
from jobs.training.items import load_items
from tlbatch import nouns
from tlbatch.contracts.evaluation import EvaluateParams
from tlbatch.store.artifacts import Artifact

BATCH = 64
Models = dict[int, list[Artifact]]


@dataclass(frozen=True)
class Fed:
    """Test items as one run feeds them: ``items`` [n, …] as their kind loads them, and ``normalise`` on ``device``."""

    items: Tensor
    normalise: Normalise
    device: torch.device

    def batches(self) -> Iterator[Tensor]:
        for start in range(0, len(self.items), BATCH):
            yield laid_out(self.normalise(self.items[start : start + BATCH].to(self.device)))


def models_of(context: Context) -> Models:
    """The finetune artifacts by seed, its folds in order."""
    found: dict[int, dict[int, Artifact]] = {}
    for role in context.roles("model:"):
        seed, _, fold = role.removeprefix("model:").partition(":")
        found.setdefault(int(seed), {})[int(fold or 0)] = context.input(role)
    return {seed: [folds[fold] for fold in sorted(folds)] for seed, folds in found.items()}


def load_fed(context: Context, dataset: Dataset, settings: Mapping[str, Any], device: torch.device) -> Fed:
    """All test items, loaded in parallel."""
    entries, kind = dataset.test, feed_of(settings)

    def load(i: int) -> Tensor:
        return kind.load(read_stored(dataset.artifact, entries[i]), settings)

    def tick(done: int) -> None:
        context.check_stop()
        context.progress(done, len(entries), nouns.items(), "decoding")

    items = load_items(len(entries), load, context.scratch, context.threads, tick)
    return Fed(items, kind.normaliser(settings), device)


@torch.no_grad()
def forward(context: Context, network: nn.Module, fed: Fed, note: str) -> Floats:
    """float64 [n, outputs] logits, the network in eval mode, at the precision the task asks for."""
    bf16 = context.read_params(EvaluateParams).precision == "bf16"
    network.to(fed.device).eval()
    pieces, done = [], 0
    for x in fed.batches():
        context.check_stop()
        with torch.autocast(fed.device.type, torch.bfloat16, enabled=bf16):
            pieces.append(network(x).float().cpu())
        done += len(x)
        context.progress(done, len(fed.items), nouns.items(), note)
    return cast(Floats, finite(torch.cat(pieces).double().numpy(), "outputs of the model"))


@torch.no_grad()
def head_logits(artifact: Artifact, features: NDArray[np.float32], device: torch.device) -> Floats:
    """float64 [n, c] of a head that was trained on cached features: no backbone, no image."""
    card = artifact.read_json("card.json")
    state = {name.removeprefix("head."): t for name, t in load_file(artifact.path("model.safetensors")).items()}
    head = build_head(features.shape[1], len(card["classes"]), card["model"]["head"], seed=0, init="torch")
    make_room(head, state)
    head.load_state_dict(state)
    head.to(device).eval()
    return cast(Floats, finite(head(torch.from_numpy(features).to(device)).double().cpu().numpy(), "outputs of the head"))


def test_features(context: Context, dataset: Dataset) -> NDArray[np.float32]:
    """[n, d] cached features of the test images."""
    return finite(load_features(context.input("features"), [entry.id for entry in dataset.test]), "features")


def grouped_probabilities(logits: Floats, mapping: Mapping[str, Sequence[int]], classes: Sequence[str]) -> Floats:
    """[n, c]: for each class the mean softmax probability of its outputs, then normalised over the classes.

    The mean and not the sum: the network was trained on as many images of every output, so a class of 118 outputs (dogs) was 24
    times as likely a priori as one of 5 (cats), which says nothing of this dataset. Dividing by the prior that was trained with
    and taking all classes as equally likely is Saerens et al. (2002, Adjusting the Outputs of a Classifier to New a Priori
    Probabilities), formula 2.4. In log space, so that images of which the network says something else do not become 0 / 0.
    """
    sums = [np.logaddexp.reduce(logits[:, list(mapping[name])], axis=1) for name in classes]
    scores = np.stack([each - np.log(len(mapping[name])) for each, name in zip(sums, classes, strict=True)], axis=1)
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def validation_of(models: Sequence[Artifact], classes: Sequence[str]) -> tuple[list[str], Ints, Floats]:
    """Ids, labels and logits of the validation images of a seed's models, held-out folds one after the other."""
    ids: list[str] = []
    labels, logits = [np.zeros(0, dtype=np.int64)], [np.zeros((0, len(classes)))]
    for model in models:
        document = model.read_json("validation.json")
        ids += document["ids"]
        labels.append(np.array(document["labels"], dtype=np.int64))
        logits.append(np.array(document["logits"], dtype=np.float64).reshape(-1, len(classes)))
    return ids, np.concatenate(labels), finite(np.concatenate(logits), f"outputs for validation {nouns.items()}")
