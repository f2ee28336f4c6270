"""The champion on the pinned test set: what was said of it before where the set is the same, else its models once more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from jobs.context import Context
from jobs.data.pins import FRESH_FILE, Pins, pins_of
from jobs.statistics.predictions import Floats, Ints
from tlbatch.contracts.evaluation import EvaluateChampionParams
from tlbatch.store.artifacts import Artifact


def evaluate_champion(context: Context) -> None:
    """Inputs ``model:<seed>[:<fold>]``, ``earlier``, ``dataset``, ``pinned``; files: see jobs.evaluate."""
    pins, earlier = _pins(context), context.input("earlier")
    if pins is not None and same_test(earlier, pins) and _no_class_more(context, earlier):
        for name, entry in earlier.manifest.files.items():
            if name != FRESH_FILE:
                context.reuse(name, entry)
        context.made["forward_passes"] = 0
        _judge_fresh(context, pins, earlier)
        print(f"test set version {pins.version} is the one the champion was evaluated on", flush=True)
        return
    _evaluate(context)
    if pins is not None:
        _judge_fresh(context, pins, earlier)


def _pins(context: Context) -> Pins | None:
    """Of the task that it is judged in, where there are several."""
    pins, task = pins_of(context), context.read_params(EvaluateChampionParams).task
    return pins.of_task(task) if pins is not None else None


def same_test(earlier: Artifact, pins: Pins) -> bool:
    """Whether an evaluation is of these very pictures with these labels."""
    said = earlier.read_json("predictions.json")
    judged = sorted((id_, said["classes"][label]) for id_, label in zip(said["ids"], said["labels"], strict=True))
    return judged == sorted((pin.id, pin.label) for pin in pins.test)


def _no_class_more(context: Context, earlier: Artifact) -> bool:
    """A champion that got a class that the dataset has not is judged among the dataset's classes, as challengers are."""
    known = earlier.read_json("predictions.json")["classes"]
    return set(known) <= set(context.read_params(EvaluateChampionParams).classes)


def _judge_fresh(context: Context, pins: Pins, earlier: Artifact) -> None:
    """Only what came since ``earlier`` is looked at. A model that may have trained on these images does not judge by them."""
    if not pins.fresh or not context.read_params(EvaluateChampionParams).fresh:
        return
    from jobs.evaluation.fresh import fresh_of, mean_probabilities, said_before, write_fresh
    from jobs.evaluation.images import Dataset, load_dataset
    from jobs.evaluation.outputs import Outputs, choose_place, load_fed, models_of, trained_outputs

    whole = load_dataset(context)
    fresh = fresh_of(whole)
    assert fresh is not None
    ((seed, models),) = models_of(context).items()
    said = said_before(earlier, seed, fresh.classes, fresh.test)
    new = tuple(entry for entry in fresh.test if entry.id not in said)
    if new:
        card, device = models[0].read_json("card.json"), choose_place(context)
        fed = load_fed(Dataset(fresh.artifact, replace(fresh.split, test=new), fresh.classes), card["input"], len(models))
        outputs = trained_outputs(Outputs(context), models, fed, device, "the champion")
        logits = [in_classes(one, card["classes"], fresh.classes) for one in outputs]
        said |= dict(zip([entry.id for entry in new], mean_probabilities(logits).tolist(), strict=True))
    write_fresh(context, fresh, {str(seed): np.array([said[entry.id] for entry in fresh.test])})


def _evaluate(context: Context) -> None:
    from jobs.data.index import load_index
    from jobs.data.split import split_index
    from jobs.evaluation.files import write_predictions
    from jobs.evaluation.images import Dataset
    from jobs.evaluation.outputs import Outputs, choose_place, load_fed, models_of, trained_outputs
    from jobs.evaluation.scores import metrics_document, said_by_trained
    from jobs.evaluation.trained import sentence

    device, params, artifact = (
        choose_place(context),
        context.read_params(EvaluateChampionParams),
        context.input("dataset"),
    )
    ((seed, models),) = models_of(context).items()
    card = models[0].read_json("card.json")
    split = split_index(load_index(artifact), params.division, pins=pins_of(context))
    dataset = Dataset(artifact, split, list(params.classes))
    outputs = trained_outputs(Outputs(context), models, load_fed(dataset, card["input"], len(models)), device, "the champion")
    logits = [in_classes(one, card["classes"], dataset.classes) for one in outputs]
    validation = validation_in(models, dataset.classes)
    said = {str(seed): said_by_trained(logits, validation, dataset.labels, dataset.groups)}
    write_predictions(context, dataset.test, dataset.classes, said)
    document = metrics_document(said, dataset.classes)
    context.write_json("metrics.json", document)
    print(f"the champion: {sentence(document)}", flush=True)


def in_classes(logits: Floats, known: Sequence[str], classes: Sequence[str]) -> Floats:
    """[n, len(classes)] of logits [n, len(known)]: a class that was not known has probability 0 (a logit of -inf)."""
    place = {name: number for number, name in enumerate(known)}
    found = np.full((len(logits), len(classes)), -np.inf)
    for number, name in enumerate(classes):
        if name in place:
            found[:, number] = logits[:, place[name]]
    return found


def validation_in(models: Sequence[Artifact], classes: Sequence[str]) -> tuple[Ints, Floats]:
    """Labels and logits of the models' own validation images, in ``classes``; those of classes that are gone are left out."""
    labels, logits = [np.zeros(0, dtype=np.int64)], [np.zeros((0, len(classes)))]
    for model in models:
        known: Mapping[int, str] = dict(enumerate(model.read_json("card.json")["classes"]))
        said: dict[str, Any] = model.read_json("validation.json")
        rows = [row for row, label in enumerate(said["labels"]) if known[label] in classes]
        labels.append(np.array([list(classes).index(known[said["labels"][row]]) for row in rows], dtype=np.int64))
        own = np.array(said["logits"], dtype=np.float64).reshape(-1, len(known))
        logits.append(in_classes(own[rows], list(known.values()), classes))
    return np.concatenate(labels), np.concatenate(logits)
