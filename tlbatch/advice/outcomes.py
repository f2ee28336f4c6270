"""Advice held against what came out: executions of the same images whose runs have the candidates' networks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tlbatch.advice.reading import load_advice
from tlbatch.advice.studies import SUFFIX, advice_name
from tlbatch.errors import StudyError, TlbatchError
from tlbatch.records.executions import Execution, find_execution, list_executions
from tlbatch.reports.listing import load_report
from tlbatch.store import Store
from tlbatch.store.documents import parse
from tlbatch.tasks import load_task

SUCCEEDED = "succeeded"


@dataclass(frozen=True)
class Outcome:
    """What a candidate came to: test accuracy of the run that was best on validation, and where."""

    candidate: str
    accuracy: float
    validation: float | None
    run: str
    execution: str


@dataclass(frozen=True)
class Checked:
    """One advice. ``regret``: best outcome minus that of what was advised, None where that did not run.

    ``scores``: each score by the outcomes (jobs.advice.baselines.Ranking as JSON); empty with fewer than two outcomes.
    """

    execution: str
    advised: str
    outcomes: Mapping[str, Outcome]
    candidates: int
    scores: list[dict[str, Any]] = field(default_factory=list)

    @property
    def regret(self) -> float | None:
        own = self.outcomes.get(self.advised)
        return None if own is None else max(each.accuracy for each in self.outcomes.values()) - own.accuracy

    def to_json(self) -> dict[str, Any]:
        outcomes = {name: dict(each.__dict__) for name, each in self.outcomes.items()}
        return {**self.__dict__, "outcomes": outcomes, "regret": self.regret}


def advices_of(store: Store, text: str) -> list[Execution]:
    """Executions that gave advice on a study (its name), newest first; or the one that ``text`` names. Raises StudyError."""
    found = [each for each in list_executions(store) if each.state == SUCCEEDED and each.study == advice_name(text)]
    if found:
        return [Execution(store, each.id) for each in found]
    execution = find_execution(store, text)
    if not any(name.startswith("probe:") for name in _tasks(execution)):
        raise StudyError(f"{store.url} has no advice on {text}: `tlbatch advise` gives it")
    return [execution]


def check_advice(execution: Execution, python: str = sys.executable) -> Checked:
    """Hold an execution's advice against all other executions of the same images in its store."""
    advice, networks = load_advice(execution), _networks(execution)
    found: dict[str, Outcome] = {}
    for outcome in _outcomes(execution, networks):
        present = found.get(outcome.candidate)
        if present is None or (outcome.validation or 0.0) > (present.validation or 0.0):
            found[outcome.candidate] = outcome
    candidates = [each for each in advice["candidates"] if not each["floor"]]
    scores = _ranked(candidates, found, python) if len(found) > 1 else []
    return Checked(execution.id, advice["recommended"]["name"], found, len(candidates), scores)


def _networks(execution: Execution) -> dict[str, str]:
    """Network (as a key) -> candidate."""
    tasks = _tasks(execution)
    found = {}
    for name, task in tasks.items():
        if name.startswith("probe:") and (document := load_task(execution.store, task["key"])) is not None:
            found[_network(document.params["backbone"])] = name.removeprefix("probe:")
    return found


def _network(backbone: Mapping[str, Any]) -> str:
    return json.dumps(backbone, sort_keys=True)


def _outcomes(advice: Execution, networks: Mapping[str, str]) -> Iterator[Outcome]:
    """Of every run with one of the networks in every execution of the same images, newest first."""
    store, images = advice.store, _tasks(advice).get("prepare", {}).get("digest")
    for summary in list_executions(store):
        if summary.id == advice.id or summary.state != SUCCEEDED or summary.study.endswith(SUFFIX):
            continue
        execution = Execution(store, summary.id)
        tasks = _tasks(execution)
        if tasks.get("prepare", {}).get("digest") != images or "report" not in tasks:
            continue
        document, report = load_task(store, tasks["report"]["key"]), load_report(execution)
        if document is not None and report is not None:
            yield from _of_report(execution.id, document.params["runs"], report, networks)


def _of_report(
    execution: str, asked: list[dict[str, Any]], report: Mapping[str, Any], networks: Mapping[str, str]
) -> Iterator[Outcome]:
    backbones = {run["name"]: (run.get("model") or {}).get("backbone") for run in asked if run.get("role") == "run"}
    for run in report.get("runs", ()):
        backbone = backbones.get(run["name"])
        candidate = networks.get(_network(backbone)) if backbone else None
        value = ((run.get("metrics") or {}).get("accuracy") or {}).get("value")
        if candidate is not None and value is not None:
            validation = (run.get("validation") or {}).get("accuracy")
            yield Outcome(candidate, float(value), validation, run["name"], execution)


def _tasks(execution: Execution) -> dict[str, Any]:
    tasks: dict[str, Any] = (execution.load_plan() or {}).get("tasks") or {}
    return tasks


def _ranked(candidates: list[dict[str, Any]], found: Mapping[str, Outcome], python: str) -> list[dict[str, Any]]:
    """By ``python -m jobs.rank_advice`` as a process, since it needs what the launcher does not import."""
    truth = {name: each.accuracy for name, each in found.items()}
    asked = json.dumps({"candidates": candidates, "truth": truth})
    command = [python, "-m", "jobs.rank_advice"]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        raise TlbatchError(f"ranking the scores ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
    ranked: list[dict[str, Any]] = parse(done.stdout)
    return ranked
