"""What ``tlbatch predict`` asks for, before anything is computed: the task, its parts, and whether OUT may take them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tlbatch import nouns
from tlbatch.contracts.prediction import PredictParams
from tlbatch.datasets.listing import ListedFile
from tlbatch.errors import StudyError
from tlbatch.prediction.model import Chosen, model_words
from tlbatch.prediction.parts import (
    BAD,
    PREDICTIONS,
    RECORDS,
    REQUEST,
    SUMMARY,
    Part,
    PartRecord,
    clear,
    finished_parts,
    listing_digest,
    listing_to_json,
    load_summary,
    plan_parts,
    read_request,
)
from tlbatch.store import ConflictError, Store
from tlbatch.store.layout import check_format
from tlbatch.tasks import Task, task_name

STEP = "predict"
ASKED = ("source", "model", "format", "chunk", "batch", "raw")
WORDS = {
    "format": "--format {0}",
    "chunk": "--chunk {0}",
    "batch": "--batch-size {0}",
    "raw": "--raw {0}",
}


@dataclass(frozen=True)
class Prediction:
    """A model, pictures, a place for what is said of them, and how: all of it resolved."""

    model: Chosen
    source: str
    out: Store
    files: tuple[ListedFile, ...]
    format: str = "jsonl"
    chunk: int = 1000
    batch: int | None = None
    raw: bool = False

    @cached_property
    def params(self) -> PredictParams:
        return PredictParams(
            source=self.source,
            out=self.out.url,
            files=listing_digest(self.files),
            identity=self.model.identity,
            format=self.format,
            chunk=self.chunk,
            batch=self.batch,
            raw=self.raw,
            stored_size=self.model.prepared.stored_size,
            **self.model.prepared.kind_of_data,
        )

    @cached_property
    def task(self) -> Task:
        """The task document: the key also names the place, so that two predictions never share one."""
        locations = {"weights": self.model.weights} if self.model.weights else {}
        return Task(STEP, self.params.as_json(), self.model.inputs, locations, name=STEP)

    @cached_property
    def parts(self) -> list[Part]:
        return plan_parts(self.params, self.model.digests, self.task.version, self.files)

    def asked(self) -> dict[str, Any]:
        """``request.json``: what must be alike where a prediction goes on."""
        own = {"source": self.source, "model": self.model.digests, "format": self.format, "chunk": self.chunk}
        return {**own, "batch": self.batch, "raw": self.raw, "identity": self.model.identity}


def listing_name(task: Task) -> str:
    """Where the step finds the listing of the pictures, in the model's store."""
    return f"work/{task.key}/listing.json"


def begin(prediction: Prediction, overwrite: bool = False) -> Task:
    """Claim OUT and write the task's documents. Raises StudyError where OUT has predictions of another kind."""
    check_format(prediction.model.store)
    out = prediction.out
    if overwrite:
        clear(out)
    _claim(prediction, out, overwrite=overwrite)
    task = prediction.task
    store = prediction.model.store
    store.put(listing_name(task), listing_to_json(prediction.files))
    store.put(task_name(task.key), task.to_json())
    return task


def _claim(prediction: Prediction, out: Store, *, overwrite: bool) -> None:
    data = (json.dumps(prediction.asked(), indent=1, sort_keys=True) + "\n").encode()
    present = read_request(out)
    if present is None:
        there = (name for prefix in (PREDICTIONS, RECORDS) for name in (stat.name for stat in out.list(prefix)))
        other = next((name for name in (REQUEST, SUMMARY, BAD) if out.stat(name)), None) or next(there, None)
        if other is not None and not overwrite:
            raise StudyError(
                f"{out.url} holds something else ({other}): name another place, or --overwrite, which replaces {SUMMARY}, "
                f"{BAD} and the parts of predictions, and leaves all else"
            )
        try:
            out.put(REQUEST, data, if_absent=True)
            return
        except ConflictError:
            present = read_request(out) or {}
    differs = [name for name in ASKED if present.get(name) != prediction.asked()[name]]
    if differs:
        raise StudyError(_refusal(out.url, present, prediction, differs))
    out.put(REQUEST, data)  # the same model may term again under another number


def _refusal(url: str, present: Mapping[str, Any], prediction: Prediction, differs: list[str]) -> str:
    if "model" in differs:
        said = f"of another model ({model_words(present.get('identity') or {})}, not {prediction.model.name})"
    elif "source" in differs:
        said = f"of other {nouns.contents()} ({present.get('source')})"
    else:
        said = f"made with {WORDS[differs[0]].format(json.dumps(present.get(differs[0])))}"
    return f"{url} has predictions {said}: name another place for these, or replace those with --overwrite"


def complete(prediction: Prediction, done: Mapping[int, PartRecord]) -> dict[str, Any] | None:
    """The summary, where all parts are there and it is of them and of this model; else None."""
    summary = load_summary(prediction.out)
    if summary is None or len(done) < len(prediction.parts) or summary.get("model") != prediction.model.identity:
        return None
    hashes = [done[part.number].sha256 for part in prediction.parts]
    return summary if [part.get("sha256") for part in summary.get("parts", ())] == hashes else None


def done_parts(prediction: Prediction) -> dict[int, PartRecord]:
    return finished_parts(prediction.out, prediction.parts)
