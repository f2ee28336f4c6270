"""Rows without labels: what a pretrained network's own head says of the study's classes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tlbatch.backbones.catalogue import described
from tlbatch.planning.resolved import ZeroLabel
from tlbatch.planning.runs import ResolvedRun
from tlbatch.planning.weights import has_imagenet_head
from tlbatch.spec.added import added_name


def zero_labels(runs: list[ResolvedRun], mapping: dict[str, list[int]]) -> list[ZeroLabel]:
    """A row for each pretrained network that brings a head over ImageNet's classes, fed as its weights were trained."""
    rows: dict[str, ZeroLabel] = {}
    for run in runs:
        if not run.pretrained or run.weights is None or not has_imagenet_head(run.weights):
            continue
        backbone = run.model["backbone"]
        if not _has_classifier(backbone["name"]):
            continue
        name = name_apart(backbone, rows)
        rows.setdefault(name, ZeroLabel(name, backbone, run.own_input, mapping, run.precision, run.weights.location))
    return list(rows.values())


def name_apart(backbone: Mapping[str, Any], rows: Mapping[str, ZeroLabel], ending: str = "no-labels") -> str:
    """By the network; where another row has it with other weights, by these too."""
    name, weights = row_name(backbone["name"], ending), backbone["weights"]
    if name in rows and rows[name].backbone != backbone:
        return row_name(backbone["name"], f"{weights.get('name') or weights['sha256'][:8]}-{ending}")
    return name


def row_name(backbone: str, ending: str) -> str:
    return re.sub("[_:/.]", "-", f"{backbone}-{ending}").lower()


def _has_classifier(backbone: str) -> bool:
    """Whether a plug-in's network says where its classifier is; published ones have one."""
    if added_name(backbone) is None:
        return True
    info = described(backbone)
    return info is not None and bool(info.head)
