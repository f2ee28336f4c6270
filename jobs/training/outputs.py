"""The files of a finetune artifact: ``model.safetensors``, ``card.json``, ``history.json``, ``validation.json``.

Equal trainings give equal bytes: no times, no hosts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from safetensors.torch import save_file
from torch import Tensor

from jobs.context import Context
from jobs.finite import finite
from jobs.training.batches import TARGET
from jobs.training.layers import layer_table, learning_stages, stage_table
from jobs.training.outcome import Outcome
from jobs.training.settings import Settings
from jobs.training.split_data import Parts
from jobs.training.task_models import models_of
from tlbatch import nouns
from tlbatch.backbones.catalogue import WeightInfo, weights_of
from tlbatch.contracts.models import Backbone, Weights
from tlbatch.errors import StudyError
from tlbatch.plugins import used
from tlbatch.spec.added import added_to_model

DECIMALS = 6
DIVERGED = "training diverged in its last epoch; lower train.lr"


def write_outputs(context: Context, settings: Settings, parts: Parts, outcome: Outcome) -> None:
    """Of several tasks that were learnt together, a model each in a folder of its name, and the history of all."""
    if not settings.tasks:
        _write(context, settings, parts, outcome, "")
        return
    context.write_json("history.json", outcome.history)
    for own, labelled, of_task in models_of(settings, parts, outcome):
        _write(context, own, labelled, of_task, f"{own.params.task}/")


def _write(context: Context, settings: Settings, parts: Parts, outcome: Outcome, folder: str) -> None:
    finite(outcome.logits, f"outputs for validation {nouns.items()}", DIVERGED, StudyError)
    seen = trained_on(context, settings.params.model.backbone)
    context.write_json(f"{folder}card.json", {**_card(settings, parts, outcome), "trained_on": seen})
    context.write_json(f"{folder}history.json", outcome.history)
    context.write_json(f"{folder}validation.json", _validation(parts, outcome))
    for name, document in outcome.documents.items():
        context.write_json(f"{folder}{name}", document)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in outcome.network.state_dict().items()}
    for name, tensor in state.items():
        finite(tensor, f"weights of {name}", DIVERGED, StudyError)
    save_file(unshared(state), context.out(f"{folder}model.safetensors"))


def unshared(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tied weights (one memory under two names) are written under both."""
    seen: set[int] = set()
    for name, tensor in state.items():
        if tensor.numel() and tensor.data_ptr() in seen:
            state[name] = tensor.clone()
        seen.add(state[name].data_ptr())
    return state


def _validation(parts: Parts, outcome: Outcome) -> dict[str, Any]:
    judged = [parts.of(role) for role in outcome.judged_on]
    elsewhere = outcome.judged_on != (TARGET,)
    return {
        "ids": [entry.id for each in judged for entry in each.validation],
        "labels": [label for each in judged for label in each.labels(each.validation).tolist()],
        "logits": np.round(outcome.logits.astype(np.float64), DECIMALS).tolist(),
        **({"of": list(outcome.judged_on)} if elsewhere else {}),
    }


def _card(settings: Settings, parts: Parts, outcome: Outcome) -> dict[str, Any]:
    params, network = settings.params.as_json(), outcome.network
    learning = learning_stages(network, outcome.phases)
    rows = stage_table(network, learning)
    asked = ("model", "input", "strategy", "augmentation", "train", "classes", "seed", "fold", "redraw", "precision")
    chosen = {} if outcome.fitted is None else {str(settings.fitted): outcome.fitted.chosen}
    return {
        **{name: params[name] for name in asked},
        **({} if outcome.head is None else {"model": {**params["model"], "head": outcome.head}}),
        "views": settings.params.views,
        "weights": None if settings.weights is None else settings.weights.as_json(),
        "images": {"train": len(parts.train), "validation": len(parts.validation)},
        **({"sources": sources} if (sources := {role: len(each.train) for role, each in parts.sources.items()}) else {}),
        "layers": layer_table(network, outcome.shape, learning),
        "stages": rows,
        "parameters": sum(row["parameters"] for row in rows),
        "trainable_parameters": sum(row["parameters"] for row in rows if row["trainable"]),
        "selected_epoch": outcome.history["selected_epoch"],
        "lr": outcome.history["lr"]["chosen"],
        "logistic": None,
        **chosen,
        **outcome.facts,
        **({"plugins": plugins} if (plugins := used(added_to_model(params["model"]))) else {}),
    }


def trained_on(context: Context, backbone: Backbone | None) -> str:
    """What the weights that it started from had seen, in words, oldest first.

    "" where nothing is known, or nothing was seen (random weights, scratch models).
    """
    if backbone is None:
        return ""
    weights = backbone.weights
    if weights.kind == "run":
        before = context.input("source").read_json("card.json").get("trained_on")
        return f"{before}, then {weights.from_}" if before else str(weights.from_)
    if weights.kind in ("random", "none"):
        return ""
    return next((published.trained_on for published in weights_of(backbone.name or "") if _is(published, weights)), "")


def _is(published: WeightInfo, weights: Weights) -> bool:
    if weights.kind == "named":
        return published.name == weights.name
    return bool(published.hash) and (weights.sha256 or "").startswith(published.hash)
