"""``predictions.json`` and ``predictions.csv``: every test image, what it is and what each seed's models said."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from jobs.context import Context
from jobs.data.index import IndexEntry
from jobs.evaluation.scores import ScoredOutputs
from tlbatch.spreadsheet import csv_text


def write_predictions(
    context: Context, entries: Sequence[IndexEntry], classes: Sequence[str], said: Mapping[str, ScoredOutputs]
) -> None:
    first = next(iter(said.values())).predictions
    firsts: dict[int, str] = {}  # a unit is named by its first image's id
    groups = [firsts.setdefault(int(group), entry.id) for group, entry in zip(first.groups, entries, strict=True)]
    document = {
        "ids": [entry.id for entry in entries],
        "paths": [entry.path for entry in entries],
        "labels": first.labels.tolist(),
        "groups": groups,
        "classes": list(classes),
        "probabilities": {seed: one.predictions.probabilities.tolist() for seed, one in said.items()},
        "temperature": {seed: one.temperature.value for seed, one in said.items()},
    }
    text = json.dumps(document, sort_keys=True, allow_nan=False, separators=(",", ":"))
    context.out("predictions.json").write_text(text + "\n", encoding="utf-8")
    with context.out("predictions.csv").open("w", encoding="utf-8", newline="") as file:
        head = ["seed", "id", "path", "group", "label", "predicted", "right", "confidence"]
        rows = (row for seed, one in said.items() for row in _rows(seed, entries, groups, classes, one))
        file.write(csv_text([*head, *(f"p:{name}" for name in classes)], rows))


def _rows(
    seed: str, entries: Sequence[IndexEntry], groups: Sequence[str], classes: Sequence[str], said: ScoredOutputs
) -> list[list[Any]]:
    p = said.predictions
    return [
        [
            seed,
            entry.id,
            entry.path,
            groups[i],
            entry.label,
            classes[p.predicted[i]],
            int(p.right[i]),
            float(p.confidence[i]),
            *p.probabilities[i].tolist(),
        ]
        for i, entry in enumerate(entries)
    ]
