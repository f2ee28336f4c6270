"""The weights that a run's backbone starts from: found, checked, read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.context import Context
from jobs.models.reading import State, read_state
from tlbatch.backbones.catalogue import weights_of
from tlbatch.backbones.weightfiles import fetch, find_weight
from tlbatch.errors import StudyError
from tlbatch.kinds import fed_shape
from tlbatch.plugins import check_used
from tlbatch.store.artifacts import Artifact, file_sha256, open_artifact
from tlbatch.tasks import load_task

BODY = "backbone.body."
SOURCE = "source"


@dataclass(frozen=True)
class Pretrained:
    """Weights in memory. ``state`` None: random ones of ``seed``. ``label`` names them in sentences.

    ``architecture`` says which network they belong to where the run does not: {"backbone": name} or {"scratch": …,
    "fed": shape of an item}; ``layer`` is then the layer that the source used.
    """

    label: str
    state: State | None = field(default=None, repr=False)
    seed: int = 0
    architecture: dict[str, Any] | None = None
    layer: str | None = None


def load_pretrained(context: Context, backbone: Mapping[str, Any]) -> Pretrained:
    """The weights of ``backbone`` ({name, weights}), as a task's params name them.

    Raises StudyError for files that are no weights or not those the task was made for, TransientError where they cannot be
    fetched now.
    """
    weights, name = backbone["weights"], backbone["name"]
    kind = weights["kind"]
    if kind == "none":
        return Pretrained("no weights", architecture={"backbone": name})
    if kind == "random":
        return Pretrained("random weights", seed=int(weights["seed"]))
    if kind == "run":
        return load_source(context, context.input(SOURCE))
    if kind == "named":
        return Pretrained(f"weights {weights['name']}", read_state(_named(context, name, weights)))
    path = located(context, "weights", weights["sha256"])
    return Pretrained(f"weights {context.task.locations['weights']}", read_state(path))


def _named(context: Context, name: str, weights: Mapping[str, Any]) -> Path:
    for weight in weights_of(name):
        if weight.name == weights["name"]:
            return find_weight(context.store, weight, context.cache)
    raise StudyError(f"{name} has no weights {weights['name']!r} in this version of tlbatch: run the study again")


def located(context: Context, role: str, sha256: str) -> Path:
    """The file that the task's location of this ``role`` names, if it is still the one. Raises StudyError else."""
    location = context.task.locations.get(role)
    if location is None:
        raise StudyError(f"this task does not say where its {role} are: run the study again")
    path = fetch(location, context.store, context.cache)
    if file_sha256(path) != sha256:
        raise StudyError(f"{role} {location} are no longer those this task was made for: run the study again")
    return path


# -- models of earlier studies ------------------------------------------------------------------------------------------


def load_source(context: Context, artifact: Artifact) -> Pretrained:
    """The backbone of a finetune artifact as weights: what it trained, or what it kept frozen beneath its head."""
    card = artifact.read_json("card.json")
    check_used(card.get("plugins") or {})
    model, state = card["model"], read_state(artifact.path("model.safetensors"))
    body = {name.removeprefix(BODY): tensor for name, tensor in state.items() if name.startswith(BODY)}
    label = f"the model artifacts/finetune/{artifact.manifest.key[:12]}"
    if model.get("scratch") is not None:
        architecture = {"scratch": model["scratch"], "fed": list(fed_shape(card["input"]))}
        return Pretrained(label, body, architecture=architecture)
    if model["backbone"]["weights"]["kind"] == "run":
        base = load_source(context, source_of(context, artifact))
    elif body:
        base = Pretrained(label, architecture={"backbone": model["backbone"]["name"]})
    else:
        base = load_pretrained(context, model["backbone"])
    layer = model.get("layer") or base.layer
    return Pretrained(label, body or base.state, base.seed, base.architecture or {"backbone": model["backbone"]["name"]}, layer)


def source_of(context: Context, artifact: Artifact) -> Artifact:
    """The earlier model that an artifact started from: this task's ``source`` where it has the same, else by its task document.

    Raises StudyError where it is gone.
    """
    task = load_task(context.store, artifact.manifest.key)
    ref = task.inputs.get(SOURCE) if task else None
    if ref is None:
        if SOURCE in context.task.inputs and context.task.inputs[SOURCE].key != artifact.manifest.key:
            return context.input(SOURCE)
        raise StudyError(f"what {artifact.manifest.key[:12]} started from is not in the store any more")
    found = open_artifact(context.store, ref.step, ref.key, context.cache)
    if found is None:
        raise StudyError(f"artifacts/{ref.step}/{ref.key} is gone: run its study again")
    return found
