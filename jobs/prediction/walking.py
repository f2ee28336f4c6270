"""The predict step: this shard's missing parts, one after the other, then the summary where all are done."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from jobs.context import Context
from jobs.data.fetching import Source
from jobs.evaluation.outputs import models_of
from jobs.listings import read_listing
from jobs.prediction.computing import PredictedPart, predict
from jobs.prediction.items import read_fed
from jobs.prediction.networks import Model, load_model
from jobs.prediction.summary import write_summary
from jobs.prediction.writing import WRITERS
from jobs.training.computing import choose_device
from tlbatch import nouns
from tlbatch.contracts.prediction import PredictParams
from tlbatch.datasets.listing import ListedFile
from tlbatch.prediction.parts import (
    Part,
    PartRecord,
    finished_parts,
    listing_digest,
    listing_from_json,
    model_digests,
    plan_parts,
)
from tlbatch.prediction.request import listing_name
from tlbatch.store import open_store


@dataclass
class Walk:
    """One attempt at one shard. ``forward_passes`` counts what was computed here."""

    context: Context
    forward_passes: int = 0
    images: int = 0
    done_before: int = 0
    total: int = 0

    @cached_property
    def model(self) -> Model:
        """Loaded when the first part is missing, or the summary."""
        context = self.context
        [artifacts] = models_of(context).values()
        device = choose_device(context.threads)
        context.made["device"] = str(device)
        return load_model(context, artifacts, device, params_of(context).batch)

    @cached_property
    def parts(self) -> list[Part]:
        context = self.context
        files = _listed(context)
        return plan_parts(params_of(context), model_digests(context.task.inputs), context.task.version, files)

    def tick(self, count: int) -> None:
        self.images += count
        self.forward_passes += count * self.model.passes
        self.context.progress(self.done_before + self.images, self.total, nouns.items())
        self.context.check_stop()


def params_of(context: Context) -> PredictParams:
    return context.read_params(PredictParams)


def _listed(context: Context) -> tuple[ListedFile, ...]:
    """The pictures, as `tlbatch predict` listed them. Raises TransientError where that is not what is there now."""
    return read_listing(
        context,
        listing_name(context.task),
        lambda path: listing_from_json(path.read_bytes()),
        lambda files: listing_digest(files) == params_of(context).files,
        "the same `tlbatch predict` once more writes it anew",
    )


def predict_parts(context: Context) -> None:
    """Compute what is missing of this shard; whoever finds every part done writes the summary."""
    walk, out = Walk(context), open_store(params_of(context).out)
    index, count = context.shard or (0, 1)
    own = [part for part in walk.parts if part.number % count == index]
    done = finished_parts(out, own)
    walk.total = sum(len(part.files) for part in own)
    walk.done_before = sum(len(part.files) for part in own if part.number in done)
    print(f"{len(own)} parts, {walk.total} files; {len(done)} parts are done already", flush=True)
    try:
        for part in own:
            if part.number not in done:
                _compute(walk, part)
    finally:
        _tell(walk)
    done = finished_parts(out, walk.parts)
    if len(done) == len(walk.parts):
        summary = write_summary(out, params_of(context), walk.model, walk.parts, done)
        print(
            f"{summary['images']} {nouns.items()} predicted, {summary['bad']} bad files; {summary['probabilities']}", flush=True
        )


def _compute(walk: Walk, part: Part) -> None:
    context, model, params = walk.context, walk.model, params_of(walk.context)
    items = read_fed(part.files, Source(params.source), model.settings, params.stored, context.threads)
    said = predict(model, items, context.threads, raw=params.raw, tick=walk.tick)
    walk.images += len(said.bad)  # looked at, too
    context.made["engine"] = model.engine
    data = WRITERS[part.format](said, model.classes)
    out = open_store(params.out)
    out.put(part.name, data)
    out.put(part.record, _record(part, data, said, model).to_json())


def _record(part: Part, data: bytes, said: PredictedPart, model: Model) -> PartRecord:
    counts = Counter(model.classes[place] for place in said.probabilities.argmax(axis=1))
    return PartRecord(
        key=part.key,
        file=part.name,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        images=len(said.paths),
        counts=dict(sorted(counts.items())),
        bad=[{"path": bad.file.path, "reason": bad.reason} for bad in said.bad],
    )


def _tell(walk: Walk) -> None:
    """What this attempt computed, for whoever asked for it: ``work/<key>/computed/<attempt>[-<shard>].json``."""
    context = walk.context
    context.made["forward_passes"] = walk.forward_passes
    shard = f"-{context.shard[0]}" if context.shard else ""
    document = {"images": walk.images, "forward_passes": walk.forward_passes, "device": context.made.get("device")}
    name = f"work/{context.task.key}/computed/{context.attempt}{shard}.json"
    context.store.put(name, json.dumps(document).encode())
