"""Rows of CLIP networks without labels: texts name the classes (``described.prompts`` and ``templates`` in a study)."""

from __future__ import annotations

from collections.abc import Sequence

from tlbatch.backbones.clip import TextTower, text_tower
from tlbatch.backbones.prompts import prompts_of
from tlbatch.contracts.evaluation import PromptedParams
from tlbatch.errors import StudyError
from tlbatch.planning.resolved import ZeroLabel
from tlbatch.planning.runs import ResolvedRun
from tlbatch.planning.zero_label import name_apart
from tlbatch.schema.nearest import suggestion
from tlbatch.spec import Study
from tlbatch.spec.described import Described, no_prompt

MARKS = 2
"""Tokens that begin and end a text."""


def prompted_rows(study: Study, classes: Sequence[str], runs: Sequence[ResolvedRun]) -> list[ZeroLabel]:
    """One for each CLIP network with weights of both its towers, as its weights were trained; with default templates unasked.

    Raises StudyError for prompts of classes that are none, classes without prompts, texts that are too long for sure, and
    where prompts are asked for that no run's network can read.
    """
    asked = study.described or Described()
    prompts = _prompts(asked, classes)
    rows: dict[str, ZeroLabel] = {}
    refused: list[str] = []
    for run in runs:
        backbone = run.model.get("backbone") or {}
        tower = text_tower(backbone.get("name"))
        if tower is None or not run.pretrained:
            continue
        assert run.weights is not None
        if why := _unreadable(tower, run):
            refused.append(f"{run.name}: {why}")
            continue
        check_lengths(prompts, tower)
        params = PromptedParams(prompts=prompts, unseen=asked.unseen or ())
        row = ZeroLabel(
            name=name_apart(run.model["backbone"], rows),
            backbone=backbone,
            input=run.own_input,
            mapping={},
            precision=run.precision,
            location=run.weights.location,
            prompted=params,
            trained_on=run.weights.trained_on,
        )
        rows.setdefault(row.name, row)
    if asked.prompted and not rows:
        why = "; ".join(refused) or "no run has a CLIP network (backbone: open_clip/…) with published weights or a file"
        raise StudyError(f"described: prompts are read by CLIP networks alone: {why}")
    return list(rows.values())


def _prompts(asked: Described, classes: Sequence[str]) -> dict[str, tuple[str, ...]]:
    for name in (*asked.prompts, *(asked.unseen or ())):
        if name not in classes:
            raise StudyError(f"described: {name!r} is no class of the dataset{suggestion(name, classes)}")
    missing = [name for name in classes if asked.prompts and not asked.templates and name not in asked.prompts]
    if missing:
        raise StudyError(f"described.prompts: {no_prompt(missing)}")
    return prompts_of(classes, asked.prompts, asked.templates)


def _unreadable(tower: TextTower, run: ResolvedRun) -> str:
    """Why no text can be read with the run's network; "" where it can."""
    if tower.tokenizer:
        name = run.model["backbone"]["name"]
        return f"{name} needs the tokenizer {tower.tokenizer}, which is no part of tlbatch; its features can be used"
    assert run.weights is not None
    return "" if run.weights.texts else "its weights' file has no text tower"


def check_lengths(prompts: dict[str, tuple[str, ...]], tower: TextTower) -> None:
    """Refuses what is too long for sure: a word is a token at least. Where it is close the step counts, and says so."""
    for name, texts in prompts.items():
        for text in texts:
            if len(text.split()) + MARKS > tower.context:
                raise StudyError(
                    f"described: the prompt {text[:40]!r}… of {name} has {len(text.split())} words, and the text tower reads "
                    f"{tower.context - MARKS} tokens: shorten it"
                )
