"""In what two studies differ, field by field, defaults filled in. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tlbatch.errors import StudyError
from tlbatch.schema.writing import dump_yaml
from tlbatch.spec.load import parse_study

NEUTRAL = ("name", "description", "resources", "schedule", "dataset.url")
"""What changes no result by itself: names, places, machines and times."""
ABSENT = "–"


@dataclass(frozen=True)
class FieldChange:
    """``before`` and ``after`` as YAML in one line; an en dash where the field is not there."""

    path: str
    before: str
    after: str
    neutral: bool = False


def study_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[FieldChange]:
    """Fields of two study documents that differ, in the order of the study; runs are known by their names.

    A run that only one of them has is one change, as it was written.
    """
    names_before, names_after = _runs(before), _runs(after)
    both = names_before.keys() & names_after.keys()
    old, new = _fields(_whole(before), both), _fields(_whole(after), both)
    old |= {f"runs[{name}]": _line(run) for name, run in names_before.items() if name not in both}
    new |= {f"runs[{name}]": _line(run) for name, run in names_after.items() if name not in both}
    paths = [*old, *(path for path in new if path not in old)]
    changed = [path for path in paths if old.get(path, ABSENT) != new.get(path, ABSENT)]
    return [FieldChange(path, old.get(path, ABSENT), new.get(path, ABSENT), _is_neutral(path)) for path in changed]


def _runs(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Runs by name, without it."""
    runs = document.get("runs")
    named = [run for run in runs if isinstance(run, Mapping) and "name" in run] if isinstance(runs, list) else []
    return {str(run["name"]): {name: value for name, value in run.items() if name != "name"} for run in named}


def _is_neutral(path: str) -> bool:
    return any(path == name or path.startswith((f"{name}.", f"{name}[")) for name in NEUTRAL) or ".resources" in path


def _whole(document: Mapping[str, Any]) -> dict[str, Any]:
    """The study with every default; as it is where this tlbatch does not take it (any more)."""
    try:
        loaded = parse_study(dump_yaml(dict(document), variables=True), "study.yaml")
    except StudyError:
        return dict(document)
    return loaded.study.model_dump(mode="json", by_alias=True)


def _fields(document: Mapping[str, Any], runs: Collection[str]) -> dict[str, str]:
    """Path -> value of every field, in order; of the runs only those named here. Nulls are as good as absent."""
    fields = dict(_leaves({name: value for name, value in document.items() if name != "runs"}, ""))
    for name, run in _runs(document).items():
        fields |= dict(_leaves(run, f"runs[{name}]")) if name in runs else {}
    return fields


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}".removeprefix("."))
    elif value is not None:
        yield path, _line(value)


def _line(value: Any) -> str:
    if isinstance(value, str):
        return value
    return dump_yaml(value, one_line=True)
