"""Rows of classes that are known by their descriptions alone (``described`` in a study)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tlbatch.backbones.clip import text_tower
from tlbatch.backbones.imagenet import known_outputs
from tlbatch.backbones.weightfiles import fetch
from tlbatch.contracts.evaluation import DescribedParams
from tlbatch.errors import StudyError
from tlbatch.planning.resolved import ZeroLabel
from tlbatch.planning.runs import ResolvedRun
from tlbatch.planning.zero_label import name_apart, zero_labels
from tlbatch.schema.nearest import suggestion
from tlbatch.spec import Study
from tlbatch.store import Store
from tlbatch.store.artifacts import file_sha256


def described_rows(study: Study, classes: Sequence[str], runs: list[ResolvedRun], store: Store) -> list[ZeroLabel]:
    """One for each pretrained network that brings a head over ImageNet's classes. Reads the file of vectors to hash it.

    Raises StudyError where a class is none, has no text, or nothing is unseen.
    """
    asked = study.described
    if asked is None or not _asked(study, runs):
        return []
    for name in (*(asked.unseen or ()), *asked.texts):
        if name not in classes:
            raise StudyError(f"described: {name!r} is no class of the dataset{suggestion(name, classes)}")
    mapping = known_outputs(classes)
    unseen = tuple(name for name in classes if (name in asked.unseen if asked.unseen is not None else name not in mapping))
    silent = sorted(name for name in classes if name not in mapping and name not in asked.texts)
    if silent:
        raise StudyError(
            f"described: no output of a network of ImageNet means {', '.join(silent[:5])}: say in described.texts what "
            f"{'it looks' if len(silent) == 1 else 'they look'} like"
        )
    if not unseen:
        raise StudyError(
            "described: outputs of a network of ImageNet mean every class: name some in described.unseen, or leave it out"
        )
    with_head = zero_labels(runs, {name: found for name, found in mapping.items() if name not in unseen})
    if not with_head:
        raise StudyError("described: no run has a backbone with published weights and a head over ImageNet's classes")
    sha256 = None if asked.vectors is None else file_sha256(fetch(asked.vectors, store))
    params = DescribedParams(unseen=unseen, texts=asked.texts, vectors=sha256, top=asked.top)
    rows: dict[str, ZeroLabel] = {}
    for row in with_head:
        name = name_apart(row.backbone, rows, "described")
        rows[name] = replace(row, name=name, mapping=mapping, described=params, vectors=asked.vectors)
    return list(rows.values())


def _asked(study: Study, runs: list[ResolvedRun]) -> bool:
    """Whether networks of ImageNet are: not where prompts are given alone, nor where every pretrained network is a CLIP's."""
    assert study.described is not None
    known = [
        text_tower(run.model["backbone"]["name"]) is not None for run in runs if run.pretrained and "backbone" in run.model
    ]
    by_clip = bool(known) and all(known) and not study.described.texts and study.described.vectors is None
    return study.described.by_texts and not by_clip
