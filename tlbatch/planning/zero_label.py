"""Rows without labels: what a pretrained network's own head says of the study's classes."""

from __future__ import annotations

import re

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
        name = row_name(backbone["name"], "no-labels")
        row = ZeroLabel(name, backbone, run.own_input, mapping, run.precision, run.weights.location)
        rows.setdefault(name, row)
    return list(rows.values())


def row_name(backbone: str, ending: str) -> str:
    return re.sub("[_:/.]", "-", f"{backbone}-{ending}").lower()


def _has_classifier(backbone: str) -> bool:
    """Whether a plug-in's network says where its classifier is; published ones have one."""
    if added_name(backbone) is None:
        return True
    info = described(backbone)
    return info is not None and bool(info.head)
