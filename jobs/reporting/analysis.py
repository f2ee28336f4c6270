"""All that a report knows before anything is written: sources, comparisons, words, table, curves."""

from __future__ import annotations

from dataclasses import dataclass

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


def analyse(sources: Sources) -> Analysis:
    """Compare the runs and put it into words."""
    contrasts = planned_contrasts(sources)
    adapted = tuple(adaptations(sources, contrasts))
    records = task_records(sources.artifacts)
    curves = {run.name: found for run in sources.runs if (found := curves_of(list(run.histories.values())))}
    return Analysis(
        sources=sources,
        contrasts=tuple(contrasts),
        findings=find_words(sources, contrasts),
        table=build_table(sources.runs, {each.run.name: each.state for each in adapted}),
        curves=curves,
        data=DataCard.of(sources),
        records=tuple(records),
        adaptations=adapted,
        believed=tuple(said for each in adapted if (said := believed_of(each.run, sources)) is not None),
        warnings=tuple(warnings_of(sources, records)),
    )
