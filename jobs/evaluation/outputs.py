"""What the models say about the test images, before any metric: logits of trained models, probabilities with no labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from jobs.context import Context
from jobs.data.features import load_features
from jobs.data.row_store import Spool
from jobs.evaluation.images import Dataset
from jobs.extraction.cached_rows import Known, Parts
from jobs.extraction.classifiers import Classifiers, head_outputs, open_trained
from jobs.extraction.computing import Kept, StoredItems
from jobs.extraction.requested_rows import Wanted
from jobs.extraction.rows import compute_saved
from jobs.finite import finite
from jobs.models.building import build_head
from jobs.models.fitted_heads import make_room
from jobs.statistics.predictions import Floats, Ints
from jobs.training.computing import choose_device
from tlbatch import nouns
from tlbatch.contracts.evaluation import EvaluateParams
from tlbatch.store.artifacts import Artifact

KEPT_BYTES = 2 * 2**30
"""Of loaded test items, where several networks are fed with them; what is beyond it each loads for itself."""
Models = dict[int, list[Artifact]]
Result = TypeVar("Result")


def choose_place(context: Context) -> torch.device:
    """Where networks are run. What threads do not share out among them (heads on cached features, texts) is computed by one,
    so that it has the same bits however many there are.
    """
    device = choose_device(1)
    context.made["device"] = str(device)
    return device


def models_of(context: Context) -> Models:
    """The finetune artifacts by seed, its folds in order."""
    found: dict[int, dict[int, Artifact]] = {}
    for role in context.roles("model:"):
        seed, _, fold = role.removeprefix("model:").partition(":")
        found.setdefault(int(seed), {})[int(fold or 0)] = context.input(role)
    return {seed: [folds[fold] for fold in sorted(folds)] for seed, folds in found.items()}


def load_fed(dataset: Dataset, settings: Mapping[str, Any], networks: int) -> StoredItems:
    """Test items as a run feeds them, loaded as they are asked for. ``networks``: how many will be fed with all of them."""
    wanted = [Wanted(entry) for entry in dataset.test]
    return StoredItems(dataset.artifact, wanted, settings, kept=Kept(KEPT_BYTES if networks > 1 else 0))


@dataclass(frozen=True)
class _OfNetwork:
    """What is known of a network's outputs: of ``rows``, each item once."""

    parts: Parts
    known: Known
    rows: tuple[Wanted, ...]

    @property
    def missing(self) -> int:
        return sum(row.name not in self.known for row in self.rows)

    def look(self) -> None:
        """Add what other shards have stored, where it can be all that is missing."""
        self.parts.add_rest(self.known, None, self.missing)


class Outputs:
    """What networks say of items, each computed once, whatever attempts and shards of this task there are.

    Of one shard of several ``missing`` counts what others have not computed yet: then no output is of use, and this shard has
    done its share once ``of`` was called for every network. Networks are told apart by the order in which they come.
    ``computed``: outputs of items that this very attempt has computed.
    """

    def __init__(self, context: Context) -> None:
        self.context, self.missing, self.computed = context, 0, 0
        self._networks: list[_OfNetwork] = []
        self._place = 0

    def of(self, network: Classifiers, fed: StoredItems, note: str) -> Floats:
        """float64 [n, heads, outputs]; what ran it and the forward passes are made known."""
        if self._place == len(self._networks):
            self._networks.append(self._computed(network, fed, note))
        found = self._networks[self._place]
        self._place += 1
        if missing := found.missing:
            self.missing += missing
            return np.zeros((len(fed.wanted), network.count, 0))
        rows = b"".join(found.known.read(row.name for row in fed.wanted))
        return np.frombuffer(rows, "<f4").astype(np.float64).reshape(len(fed.wanted), network.count, -1)

    def others_are_done(self) -> bool:
        """Whether what was missing is there now; then the same networks may come once more, from the first."""
        for each in self._networks:
            each.look()
        self.missing, self._place = sum(each.missing for each in self._networks), 0
        return not self.missing

    def _computed(self, network: Classifiers, fed: StoredItems, note: str) -> _OfNetwork:
        """This shard's share, less what earlier attempts have of it; and the rest, where it is there."""
        context, name = self.context, f"outputs-{len(self._networks)}"
        rows = tuple({row.name: row for row in fed.wanted}.values())
        found = _OfNetwork(Parts(context, name), Known(), rows)
        index, count = context.shard or (0, 1)
        share = [row for row in rows if row.shard(count) == index]
        found.parts.add_own(found.known, None, [row.name for row in share])
        if own := [row for row in share if row.name not in found.known]:
            spool = Spool(context.scratch / f"{name}.float32")
            compute_saved(context, network, fed.only(own), spool, found.parts, note)
            found.known.add(spool)
            self.computed += len(own)
            _add_engine(context, network.engine)
        if count > 1:
            found.look()
        context.made["forward_passes"] = context.made.get("forward_passes", 0) + len(rows)
        return found


def whole_outputs(context: Context, compute: Callable[[Outputs], Result]) -> tuple[Result, int] | None:
    """What ``compute`` makes of the outputs of all its networks, and how many this attempt has computed.

    None where other shards have not computed all: whoever finishes last evaluates. That is looked at once more when this
    shard's share of every network is stored: looked at network by network alone, of two shards each could find the other
    unfinished, one at the first network and one at the last, and nobody would evaluate.
    """
    outputs = Outputs(context)
    found = compute(outputs)
    if outputs.missing and outputs.others_are_done():
        found = compute(outputs)
    if outputs.missing:
        print("other shards are not done yet: whoever finishes last evaluates", flush=True)
        context.defer_commit()
        return None
    return found, outputs.computed


def _add_engine(context: Context, engine: str) -> None:
    before = filter(None, str(context.made.get("engine", "")).split(", "))
    context.made["engine"] = ", ".join(dict.fromkeys([*before, engine]))


def trained_outputs(
    outputs: Outputs, models: Sequence[Artifact], fed: StoredItems, device: torch.device, note: str
) -> list[Floats]:
    """float64 [n, classes] logits of each of a seed's models, at the precision the task asks for."""
    context, logits = outputs.context, list[Floats]()
    for network in open_trained(context, models, context.read_params(EvaluateParams).precision, device):
        fold = f", fold {len(logits)}" if network.count < len(models) else ""
        logits.extend(outputs.of(network, fed, f"{note}{fold}").swapaxes(0, 1))
    return logits


def head_logits(artifact: Artifact, features: NDArray[np.float32], device: torch.device) -> Floats:
    """float64 [n, c] of a head that was trained on cached features: no backbone, no image."""
    card = artifact.read_json("card.json")
    state = {name.removeprefix("head."): t for name, t in load_file(artifact.path("model.safetensors")).items()}
    head = build_head(features.shape[1], len(card["classes"]), card["model"]["head"], seed=0, init="torch")
    make_room(head, state)
    head.load_state_dict(state)
    return head_outputs(head.to(device).eval(), features, device)


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
