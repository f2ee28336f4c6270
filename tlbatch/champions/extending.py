"""A champion with a class more: what the record says of it, and the crown. No test of the class was made, and that is said."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from tlbatch.champions.champion import Champion, crown
from tlbatch.champions.promoting import METRICS, MetricsShape, next_term
from tlbatch.errors import StudyError
from tlbatch.store import Store
from tlbatch.store.artifacts import load_manifest, read_file
from tlbatch.store.documents import Decode, checked
from tlbatch.tasks import InputRef


@dataclass
class ExtensionShape:
    """What is read of ``extension.json`` (jobs.evaluate)."""

    images: int
    units: int
    sentence: str
    cost: dict[str, Any]
    recall: dict[str, Any] | None = None


def crown_extended(
    store: Store,
    seen: tuple[Champion, str],
    label: str,
    models: Mapping[str, InputRef],
    evaluation: InputRef,
    added: InputRef,
    pinned: tuple[InputRef, int] | None,
    user: str,
    clock: Callable[[], float] = time.time,
) -> Champion:
    """``seen``: the champion that was extended, as ``find_champion`` said. ``pinned``: the pins it was judged by, with version.

    ``extended`` of the term gets {class, images, units, from: the serial that was extended, recall, cost, added: the prepared
    items}. Raises BeatenError where another process moved the champion meanwhile.
    """
    before, etag = seen
    told, metrics = (
        _read(store, evaluation, "extension.json", checked(ExtensionShape)),
        _read(store, evaluation, "metrics.json", checked(MetricsShape)),
    )
    kept = {name: told.get(name) for name in ("images", "units", "recall", "cost")}
    own = {"class": label, **kept, "from": before.serial, "added": asdict(added)}
    sentence = f"By hand: {before.run} (seed {before.seed}), number {before.serial}, got a class more. {told['sentence']}"
    extended = replace(
        before,
        models=dict(models),
        evaluation=evaluation,
        pins=pinned[0] if pinned else before.pins,
        test_version=pinned[1] if pinned else before.test_version,
        classes=(*before.classes, label),
        metrics={name: value for name, value in metrics["seeds"][str(before.seed)].items() if name in METRICS},
        decided=None,
        restores=None,
        fresh=None,
        corrected=None,
        extended=(*before.extended, own),
    )
    return crown(store, next_term(extended, before, sentence, f"extended by {user}", clock()), etag)


def _read(store: Store, ref: InputRef, name: str, decode: Decode[dict[str, Any]]) -> dict[str, Any]:
    manifest = load_manifest(store, ref.step, ref.key)
    if manifest is None:
        raise StudyError(f"{store.url}/artifacts/{ref.step}/{ref.key} is not there any more: the same command makes it again")
    found: dict[str, Any] = read_file(store, manifest, name, decode)
    return found
