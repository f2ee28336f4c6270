"""What a study's types cannot say: names that must exist, settings that must fit each other."""

from __future__ import annotations

from collections.abc import Iterator

from tlbatch.spec.study import Study
from tlbatch.spec.yamltree import Mistake


def check_study(study: Study) -> list[Mistake]:
    """Every mistake of a well-typed study."""
    return list(_names(study))


def _names(study: Study) -> Iterator[Mistake]:
    seen: dict[str, int] = {}
    for i, run in enumerate(study.runs):
        if run.name in seen:
            yield Mistake(("runs", i, "name"), f"{run.name!r} is the name of runs[{seen[run.name]}] too")
        seen.setdefault(run.name, i)
