"""Does what was exported say what was evaluated? Real test images of the prepared dataset, fed as they were fed then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jobs.context import Context
from jobs.data.index import load_index, read_stored
from jobs.finite import finite
from jobs.kinds import feed_of
from jobs.training.items import load_items
from tlbatch import nouns
from tlbatch.champions.exporting import Request
from tlbatch.errors import StudyError
from tlbatch.store.artifacts import open_artifact
from tlbatch.tasks import InputRef

TOLERANCES = {"fp32": 1e-3, "bf16": 0.1}
"""Largest difference of a probability. Exports compute in float32; bfloat16 has 8 bits for what it rounds."""


@dataclass(frozen=True)
class Agreement:
    """``difference``: the largest of a probability; ``same_class``: images for which the likeliest class is the same."""

    images: int
    difference: float
    mean_difference: float
    same_class: int
    tolerance: float
    why: str


@dataclass(frozen=True)
class Evaluated:
    """Test items as their kind loads them (pictures: uint8 [n, c, size, size]), and what the evaluation wrote of them.

    ``probabilities``: [n, classes].
    """

    items: Tensor
    probabilities: Tensor
    classes: list[str]
    precision: str
    temperature: float | None
    test_images: int

    def compare(self, said: Tensor, tolerance: float | None) -> Agreement:
        why = "the export computes otherwise than the evaluated model"
        difference = (finite(said, "probabilities of the export", why).double() - self.probabilities).abs()
        return Agreement(
            images=len(said),
            difference=float(difference.max()),
            mean_difference=float(difference.mean()),
            same_class=int((said.argmax(1) == self.probabilities.argmax(1)).sum()),
            tolerance=TOLERANCES[self.precision] if tolerance is None else tolerance,
            why=f"evaluated in {self.precision}",
        )


def load_evaluated(context: Context, request: Request, card: Mapping[str, Any]) -> Evaluated:
    """Up to ``request.images`` test images, evenly over all of them. Raises StudyError where dataset or evaluation is gone."""
    evaluation = _opened(context, request.evaluation, "evaluation").read_json("predictions.json")
    artifact = _opened(context, request.dataset, "prepared dataset")
    entries = {entry.id: entry for entry in load_index(artifact)}
    known = [row for row, id_ in enumerate(evaluation["ids"]) if id_ in entries]
    if not known:
        raise StudyError(f"none of the evaluated test {nouns.items()} is in the prepared dataset: run the study again")
    step = max(1, -(-len(known) // request.images))
    rows = known[::step]
    columns = [evaluation["classes"].index(name) for name in card["classes"]]
    probabilities = torch.tensor(evaluation["probabilities"][str(request.seed)], dtype=torch.float64)
    chosen = [entries[evaluation["ids"][row]] for row in rows]
    settings, kind = card["input"], feed_of(card["input"])

    def load(i: int) -> Tensor:
        return kind.load(read_stored(artifact, chosen[i]), settings)

    temperatures = evaluation.get("temperature") or {}
    return Evaluated(
        items=load_items(len(chosen), load, context.scratch, context.threads, lambda done: None),
        probabilities=probabilities[rows][:, columns],
        classes=list(card["classes"]),
        precision=str(card["precision"]),
        temperature=temperatures.get(str(request.seed)),
        test_images=len(evaluation["ids"]),
    )


def _opened(context: Context, ref: InputRef | None, what: str) -> Any:
    artifact = open_artifact(context.store, ref.step, ref.key, context.cache) if ref else None
    if artifact is None:
        raise StudyError(
            f"the champion's {what} is gone from {context.store.url}: without it nothing can be compared; run its study again"
        )
    return artifact
