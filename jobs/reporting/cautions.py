"""What a reader must know before trusting a number, each a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from jobs.reporting.datacard import DataCard
from jobs.reporting.formatting import listing, plural
from jobs.reporting.lineage import TaskRecord
from jobs.reporting.sources import RunSource, Sources
from tlbatch import nouns
from tlbatch.kinds import kind_of

FEW = 10  #: test images of a class below which only counts say anything
FEW_UNITS = 10  #: groups of test images below which draws of whole groups vary too little


def warnings_of(sources: Sources, records: Sequence[TaskRecord]) -> list[str]:
    """All of them, the gravest first."""
    return [
        *_mismatches(sources.runs),
        *_seen(sources),
        *_files(DataCard.of(sources)),
        *_few(sources),
        *few_units(sources.runs),
        *_set_aside(records),
    ]


def mismatch_of(run: RunSource) -> list[str]:
    """How the run feeds its network otherwise than it was trained; empty where alike or where there is no network to ask."""
    own = run.asked.input_own
    return kind_of(own.get("kind")).differences(run.asked.input, own) if own and run.asked.pretrained else []


def _mismatches(runs: Sequence[RunSource]) -> list[str]:
    return [
        f"{run.name} feeds its network otherwise than its weights were trained: {listing(found)}. That costs accuracy."
        for run in runs
        if run.role != "control" and (found := mismatch_of(run))
    ]


def _seen(sources: Sources) -> list[str]:
    seen = sources.params.seen
    if seen.get("level") not in ("same images", "same classes"):
        return []
    return [f"Scores of pretrained runs may be flattered: the network may have met these very {nouns.items()} in pretraining."]


def _files(data: DataCard) -> list[str]:
    said = []
    if data.conflicting:
        said.append(
            f"{plural(len(data.conflicting), nouns.content(), nouns.contents())} carry two labels: one of each must be wrong."
        )
    if data.bad:
        said.append(
            f"{plural(len(data.bad), 'file')} could not be used and {'is' if len(data.bad) == 1 else 'are'} listed below."
        )
    if data.empty:
        said.append(f"No usable {nouns.item()} of {listing(data.empty)}.")
    return said


def _few(sources: Sources) -> list[str]:
    if not sources.runs:
        return []
    counts = Counter(sources.runs[0].labels.tolist())
    few = [name for place, name in enumerate(sources.classes) if counts[place] < FEW]
    if not few:
        return []
    some = listing(few) if len(few) <= 5 else f"{', '.join(few[:5])} and {len(few) - 5} more"
    return [f"Fewer than {FEW} test {nouns.items()} of {some}: their rates are counts only."]


def few_units(runs: Sequence[RunSource]) -> list[str]:
    """Where test images come in so few groups that intervals of drawn ones are too narrow (docs/statistics.md)."""
    if not runs or runs[0].units == len(runs[0].labels) or runs[0].units >= FEW_UNITS:
        return []
    return [
        f"The test {nouns.items()} come in {plural(runs[0].units, 'group')} only: intervals of all metrics but accuracy are "
        "narrower than they should be, as they are of groups that are drawn again."
    ]


def _set_aside(records: Sequence[TaskRecord]) -> list[str]:
    return [
        f"{record.name}: {plural(len(record.set_aside), 'earlier result')} did not hold what the manifest promised (damaged in "
        "the store), so the manifest was set aside and the task ran again."
        for record in records
        if record.set_aside
    ]
