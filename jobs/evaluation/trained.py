"""A run with trained models: its networks, or its heads on cached features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from jobs.context import Context
from jobs.evaluation.files import write_predictions
from jobs.evaluation.fresh import fresh_of, mean_probabilities, write_fresh
from jobs.evaluation.images import Dataset, load_dataset
from jobs.evaluation.label_errors import suspects_documents
from jobs.evaluation.outputs import (
    Models,
    Outputs,
    choose_place,
    head_logits,
    load_fed,
    models_of,
    test_features,
    trained_outputs,
    validation_of,
    whole_outputs,
)
from jobs.evaluation.own_judgement import judge_by_models
from jobs.evaluation.scores import ScoredOutputs, metrics_document, said_by_trained
from jobs.evaluation.stopwatch import Stopwatch
from jobs.explain.gallery import Shown, write_gallery
from jobs.extraction.computing import StoredItems
from jobs.models.network import Network
from jobs.models.trained import load_trained
from jobs.statistics.predictions import Floats
from tlbatch import nouns
from tlbatch.contracts.evaluation import EvaluateRunParams

Logits = dict[int, list[Floats]]


def evaluate_trained(context: Context) -> None:
    """Everything that jobs.evaluate lists, for ``run_kind: trained``."""
    device, watch, params = choose_place(context), Stopwatch(), context.read_params(EvaluateRunParams)
    models = models_of(context)
    first = min(models)
    dataset = load_dataset(context, redraw=first if params.redraw else None)
    print(f"{len(dataset.test)} test {nouns.items()}, {len(dataset.classes)} classes, {_count(models)}", flush=True)
    settings = models[first][0].read_json("card.json")["input"]
    count = sum(len(folds) for folds in models.values())
    fed, context.made["forward_passes"] = load_fed(dataset, settings, count), 0
    fresh = fresh_of(dataset)
    fresh_fed = None if fresh is None else load_fed(fresh, settings, count)

    def compute(outputs: Outputs) -> tuple[Logits, Logits]:
        logits = _logits(outputs, dataset, models, fed, device)
        return logits, _logits(outputs, fresh, models, fresh_fed, device) if fresh and fresh_fed else {}

    with watch("outputs"):
        found = whole_outputs(context, compute)
    if found is None:
        return
    (logits, fresh_logits), computed = found
    if "features" in context.task.inputs:
        computed = len(dataset.test) * count
    if computed:
        context.made["images_per_s"] = watch.rate("outputs", computed)
    said = _said(dataset, models, logits)
    write_predictions(context, dataset.test, dataset.classes, said)
    with watch("metrics"):
        context.progress(0, 1, "parts", "metrics and intervals", force=True)
        document = metrics_document(said, dataset.classes, params.metrics)
    if params.label_errors:
        with watch("suspects"):
            suspects, document["suspects"] = suspects_documents(dataset, judge_by_models(dataset, models, said))
        context.write_json("suspects.json", suspects)
    context.write_json("metrics.json", document)
    if fresh is not None:
        with watch("fresh"):
            write_fresh(context, fresh, {str(seed): mean_probabilities(one) for seed, one in fresh_logits.items()})
    with watch("gallery"):
        network = load_trained(context, models[first][0]).to(device)
        write_gallery(context, _shown(dataset, said[str(first)], settings, network, device, fed), str(first))
    context.made["seconds_by_part"] = watch.seconds
    print(sentence(document), flush=True)


def _count(models: Models) -> str:
    count = sum(len(folds) for folds in models.values())
    return "1 model" if count == 1 else f"{count} models"


def _logits(outputs: Outputs, dataset: Dataset, models: Models, fed: StoredItems, device: torch.device) -> Logits:
    if "features" in outputs.context.task.inputs:
        features = test_features(outputs.context, dataset)
        return {seed: [head_logits(model, features, device) for model in folds] for seed, folds in models.items()}
    return {seed: trained_outputs(outputs, folds, fed, device, f"seed {seed}") for seed, folds in models.items()}


def _said(dataset: Dataset, models: Models, logits: Mapping[int, Sequence[Floats]]) -> dict[str, ScoredOutputs]:
    said = {}
    for seed, folds in models.items():
        _, labels, validation = validation_of(folds, dataset.classes)
        said[str(seed)] = said_by_trained(logits[seed], (labels, validation), dataset.labels, dataset.groups)
    return said


def _shown(
    dataset: Dataset,
    said: ScoredOutputs,
    settings: Mapping[str, Any],
    network: Network | None,
    device: torch.device,
    fed: StoredItems,
) -> Shown:
    return Shown(
        predictions=said.predictions,
        ids=[entry.id for entry in dataset.test],
        paths=[entry.path for entry in dataset.test],
        classes=dataset.classes,
        item=lambda i: fed.load(fed.wanted[i]),
        settings=settings,
        network=network,
        device=device,
    )


def sentence(document: Mapping[str, Any]) -> str:
    mean = document["mean"]["accuracy"]
    among = f" [{mean['low']:.3f}, {mean['high']:.3f}]" if mean["low"] is not None else ""
    seeds = f", mean of {mean['seeds']} seeds" if mean["seeds"] > 1 else ""
    units = f" in {document['groups']} groups" if document["groups"] != document["n"] else ""
    return f"accuracy {mean['value']:.3f}{among} on {document['n']} test {nouns.items()}{units}{seeds}"
