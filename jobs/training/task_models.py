"""What a training of several tasks leaves for each of them: a model as if that task had been learnt alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import nn

from jobs.training.outcome import Outcome
from jobs.training.settings import Settings
from jobs.training.split_data import Parts
from jobs.training.tasks_together import LOG_VARIANCES, columns_of, log_variances
from tlbatch.contracts.data import LearntTask

CLASSIFIER = "classifier"


def models_of(settings: Settings, parts: Parts, outcome: Outcome) -> Iterator[tuple[Settings, Parts, Outcome]]:
    """Of each task, what a training of it alone would come to: its settings, what has a label of it, and its network.

    The network is one and the same, with the outputs of one task after the other.
    """
    weights = weights_of(outcome.network, settings)
    labels = parts.labels(parts.validation).numpy()
    places = list(enumerate(zip(settings.tasks, columns_of(settings.tasks), strict=True)))
    for network, (place, (task, columns)) in zip(networks_of(outcome.network, settings.tasks), places, strict=True):
        asked = settings.params.model_copy(update={"classes": task.classes, "task": task.name, "tasks": ()})
        logits = outcome.logits[labels[:, place] >= 0][:, columns] if len(labels) else outcome.logits
        history = {**outcome.history, "epochs": [_of_task(epoch, task.name) for epoch in outcome.history["epochs"]]}
        facts = {"task": task.name, "task_weights": weights}
        of_task = replace(outcome, network=network, logits=logits, history=history, facts=facts)
        yield replace(settings, params=asked), parts.of_task(task), of_task


def _of_task(epoch: Mapping[str, Any], task: str) -> dict[str, Any]:
    return {**{name: value for name, value in epoch.items() if name != "tasks"}, **epoch["tasks"][task]}


def weights_of(network: nn.Module, settings: Settings) -> dict[str, float]:
    """What each task's loss was multiplied with; learnt ones as they are in the end."""
    names = [task.name for task in settings.tasks]
    if learnt := log_variances(network):
        return dict(zip(names, torch.exp(-learnt[0].detach()).tolist(), strict=True))
    given = settings.train.task_weights
    return {name: 1.0 if isinstance(given, str) else given.get(name, 1.0) for name in names}


def networks_of(network: nn.Module, tasks: Sequence[LearntTask]) -> Iterator[nn.Module]:
    """The network with each task's outputs alone, one after the other; what weighed the tasks is no part of it."""
    if log_variances(network):
        delattr(network, LOG_VARIANCES)
    head = cast(nn.Sequential, network.head)
    whole = cast(nn.Linear, head.get_submodule(CLASSIFIER))
    for columns in columns_of(tasks):
        own = nn.Linear(whole.in_features, columns.stop - columns.start, device=whole.weight.device)
        with torch.no_grad():
            own.weight.copy_(whole.weight[columns])
            own.bias.copy_(whole.bias[columns])
        head.set_submodule(CLASSIFIER, own)
        yield network
    head.set_submodule(CLASSIFIER, whole)
