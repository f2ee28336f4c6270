"""``predictions.json`` and ``predictions.csv``: every test image, what it is and what each seed's models said."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from typing import Any

from jobs.context import Context
from jobs.data.index import IndexEntry
from jobs.evaluation.scores import Said


def write_predictions(
    context: Context, entries: Sequence[IndexEntry], classes: Sequence[str], said: Mapping[str, Said]
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
        table = csv.writer(file, lineterminator="\n")
        head = ["seed", "id", "path", "group", "label", "predicted", "right", "confidence"]
        table.writerow([*head, *(f"p:{name}" for name in classes)])
        for seed, one in said.items():
            table.writerows(_rows(seed, entries, groups, classes, one))


def _rows(
    seed: str, entries: Sequence[IndexEntry], groups: Sequence[str], classes: Sequence[str], said: Said
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
