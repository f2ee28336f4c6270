"""The report's task: last, of all that the others made, with what was asked of each run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tlbatch.contracts.data import LearntTask
from tlbatch.contracts.models import Backbone, Model
from tlbatch.contracts.reports import AskedRun, Contrast, ReportParams
from tlbatch.planning.plan import Node, PlanBuilder
from tlbatch.planning.resolved import ResolvedStudy, ZeroLabel
from tlbatch.planning.runs import ResolvedRun, contrasts, plain


def add_report(builder: PlanBuilder, resolved: ResolvedStudy, needs: Mapping[str, str]) -> dict[str, str]:
    """Adds it to the plan (tlbatch.steps)."""
    builder.add(Node("report", "report", _report_params(resolved).as_json(), dict(needs), weight="light", shape="report"))
    return {}


def _report_params(resolved: ResolvedStudy) -> ReportParams:
    study = resolved.study
    runs = [_describe(run, resolved) for run in [*resolved.runs, *resolved.controls]]
    runs += [_describe_zero(zero) for zero in resolved.zero_label]
    planned = contrasts(list(resolved.runs), list(resolved.controls))
    rare: dict[str, Any] = {"uses": resolved.defended.uses} if resolved.defended else {}
    rare |= {"corrections": resolved.corrections} if resolved.corrections else {}
    tasks = tuple(LearntTask(name=name, classes=classes) for name, classes in resolved.data.tasks.items())
    rare |= {"tasks": tasks} if tasks else {}
    return ReportParams(
        study=study.name,
        description=study.description,
        document=resolved.document,
        runs=tuple(runs),
        contrasts=tuple(Contrast.of(each) for each in planned),
        seen=resolved.seen,
        **resolved.division,
        **rare,
    )


def _describe(run: ResolvedRun, resolved: ResolvedStudy) -> AskedRun:
    of_tasks: dict[str, Any] = {"task": run.task} if run.task else {}
    of_tasks |= {"tasks": run.tasks} if run.tasks else {}
    return AskedRun(
        name=run.name,
        role="control" if run.control_for else "run",
        control_for=run.control_for,
        pretrained=run.pretrained,
        scratch=run.scratch,
        strategy=run.strategy,
        model=Model.of(run.model),
        input=run.input,
        input_own=run.own_input,
        augmentation=run.augmentation,
        train=plain(run.train),
        trained_on=run.weights.trained_on if run.weights else "",
        seeds=resolved.study.repeat.seeds,
        folds=resolved.study.dataset.split.folds,
        **of_tasks,
    )


def _describe_zero(zero: ZeroLabel) -> AskedRun:
    prompted: dict[str, Any] = {"prompts": zero.prompted.prompts} if zero.prompted else {}
    return AskedRun(
        name=zero.name,
        role="zero_label",
        control_for=(),
        pretrained=True,
        scratch=False,
        strategy=None,
        model=Model(backbone=Backbone.of(zero.backbone)),
        input=zero.input,
        input_own=zero.input,
        augmentation=None,
        train=None,
        trained_on=zero.trained_on,
        seeds=(),
        folds=None,
        unseen=zero.described.unseen if zero.described else (),
        **prompted,
    )
