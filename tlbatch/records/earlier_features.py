"""Earlier artifacts that may save a task work: features of the same extractor. They never change an output.

``work/<extractor>/older/<key>.json`` names an extraction's artifact; ``<extractor>`` is a hash over all that decides an
image's features, but for which images there are.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, replace

from tlbatch.errors import OtherVersionError, TlbatchError
from tlbatch.steps import STEPS
from tlbatch.store import Store
from tlbatch.store.artifacts import load_manifest
from tlbatch.store.documents import read_disposable, sealed, shaped
from tlbatch.tasks import InputRef, Task, task_key

MOST = 4  # extractions looked at: the newest ones have nearly all images
EXTRACTOR = ("backbone", "layer", "layers", "pool", "input", "precision")
"""Of those a step's parameters have."""


def extractor_of(task: Task) -> str:
    """A key over what decides the features of one image."""
    params = {name: task.params[name] for name in EXTRACTOR if name in task.params}
    views = task.params.get("views") or {}
    params |= {name: task.params[name] for name in ("plugins",) if name in task.params}
    params["views"] = {"count": views.get("count", 0), "augmentation": views.get("augmentation")}
    source = {role: ref.digest for role, ref in task.inputs.items() if role == "source"}
    return task_key(task.step, params, source)


def remember_extractor(store: Store, task: Task, ref: InputRef) -> None:
    """Note a finished extraction for later ones. A failure costs only their time."""
    if STEPS[task.step].reuses:
        with suppress(TlbatchError):
            store.put(f"work/{extractor_of(task)}/older/{ref.key}.json", sealed(asdict(ref)))


def older_artifacts(store: Store, task: Task) -> Task:
    """The task with ``older`` filled in, newest first; other steps as they are."""
    if not STEPS[task.step].reuses:
        return task
    stats = sorted(store.list(f"work/{extractor_of(task)}/older/"), key=lambda stat: -stat.modified)
    refs = [read_disposable(store, stat.name, shaped(InputRef)) for stat in stats[:MOST]]
    present = [ref for ref in refs if ref is not None and ref.key != task.key and _is_there(store, ref)]
    return replace(task, older=present)


def _is_there(store: Store, ref: InputRef) -> bool:
    """And is understood: what another version wrote saves no work, and is in no way."""
    try:
        return load_manifest(store, ref.step, ref.key) is not None
    except OtherVersionError:
        return False
