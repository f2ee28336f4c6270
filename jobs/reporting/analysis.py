"""All that a report knows before anything is written: sources, comparisons, words, table, curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jobs.reporting.adaptation import Adaptation, adaptations
from jobs.reporting.believed import Believed, believed_of
from jobs.reporting.cautions import warnings_of
from jobs.reporting.contrasts import Contrast, planned_contrasts
from jobs.reporting.curves import Curves, curves_of
from jobs.reporting.datacard import DataCard
from jobs.reporting.lineage import TaskRecord, task_records
from jobs.reporting.sentences import Findings, find_words
from jobs.reporting.sources import Sources
from jobs.reporting.tables import Table, build_table
from jobs.reporting.tasks import Gain, gains_of


@dataclass(frozen=True)
class Analysis:
    sources: Sources
    contrasts: tuple[Contrast, ...]
    findings: Findings
    table: Table
    curves: dict[str, Curves]  #: by run; runs without epochs have none
    data: DataCard
    records: tuple[TaskRecord, ...]
    warnings: tuple[str, ...]
    adaptations: tuple[Adaptation, ...] = ()
    believed: tuple[Believed, ...] = ()  #: of runs that weigh source items by their labels
    gains: tuple[Gain, ...] = ()  #: of every task, where there are several
    whole: tuple[Table, tuple[Contrast, ...]] | None = None  #: of all tasks: what is told beside the main one's


def analyse(sources: Sources) -> Analysis:
    """Compare the runs and put it into words; of several tasks the main one's."""
    return analyses(sources)[0]


def analyses(sources: Sources) -> list[Analysis]:
    """One; of several tasks one a task, the main one's first."""
    contrasts = planned_contrasts(sources)
    if not sources.tasks:
        return [_told(sources, contrasts)]
    gains = tuple(gains_of(contrasts, {task.name: list(task.classes) for task in sources.params.tasks}))
    found = []
    for task in sources.tasks:
        own = [contrast for contrast in contrasts if contrast.a.asked.task == task]
        found.append(_told(sources.of_task(task), own, gains))
    return [replace(found[0], whole=(build_table(sources.runs), tuple(contrasts))), *found[1:]]


def _told(sources: Sources, contrasts: Sequence[Contrast], gains: tuple[Gain, ...] = ()) -> Analysis:
    """Put the comparisons of the runs into words."""
    adapted = tuple(adaptations(sources, contrasts))
    records = task_records(sources.artifacts)
    curves = {run.name: found for run in sources.runs if (found := curves_of(list(run.histories.values())))}
    return Analysis(
        sources=sources,
        contrasts=tuple(contrasts),
        findings=find_words(sources, contrasts, gains),
        table=build_table(sources.runs, {each.run.name: each.state for each in adapted}),
        curves=curves,
        data=DataCard.of(sources),
        records=tuple(records),
        adaptations=adapted,
        believed=tuple(said for each in adapted if (said := believed_of(each.run, sources)) is not None),
        gains=gains,
        warnings=tuple(warnings_of(sources, records)),
    )
