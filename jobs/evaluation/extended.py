"""A champion that got a class more: on the test items of its other classes, and on the new class' own items, each held out.

There is no test item of the new class, so nothing here is its accuracy. What is told instead: how many of its own items a model
recognises that got the class from the others alone, and what the class costs the classes that were there before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jobs.context import Context
from jobs.data.pins import pins_of
from jobs.evaluation.champion import in_classes, validation_in
from jobs.evaluation.images import Dataset
from jobs.metrics.calibration import softmax
from jobs.reporting.formatting import interval_points, percent, signed_points
from jobs.statistics.differences import Difference, paired_difference
from jobs.statistics.estimate import Estimate
from jobs.statistics.predictions import Floats, Predictions
from jobs.statistics.shares import held_out_share
from tlbatch import nouns
from tlbatch.contracts.evaluation import EvaluateExtendedParams
from tlbatch.errors import DataError
from tlbatch.store.artifacts import Artifact

BEFORE = "before"
NAMED = 5


def evaluate_extended(context: Context) -> None:
    """Inputs ``model:<seed>[:<fold>]``, ``before``, ``dataset``, ``pinned``; files: see jobs.evaluate."""
    from jobs.data.index import load_index
    from jobs.data.split import split_index
    from jobs.evaluation.files import write_predictions
    from jobs.evaluation.outputs import Outputs, choose_place, load_fed, models_of, trained_outputs
    from jobs.evaluation.scores import metrics_document, said_by_trained

    params, device = context.read_params(EvaluateExtendedParams), choose_place(context)
    ((seed, models),) = models_of(context).items()
    card, artifact = models[0].read_json("card.json"), context.input("dataset")
    split = split_index(load_index(artifact), params.division, pins=pins_of(context))
    classes = [*params.classes, *(name for name in card["classes"] if name not in params.classes)]
    dataset = Dataset(artifact, split, classes)
    outputs = trained_outputs(Outputs(context), models, load_fed(dataset, card["input"], len(models)), device, params.label)
    logits = [in_classes(one, card["classes"], classes) for one in outputs]
    said = {str(seed): said_by_trained(logits, validation_in(models, classes), dataset.labels, dataset.groups)}
    write_predictions(context, dataset.test, classes, said)
    context.write_json("metrics.json", metrics_document(said, classes))
    after = said[str(seed)].predictions
    before = _before(context.input(BEFORE), params.seed, dataset)
    document = extension_document(params.label, models, before, after, classes.index(params.label))
    context.write_json("extension.json", document)
    print(document["sentence"], flush=True)


def extension_document(
    label: str, models: Sequence[Artifact], before: Predictions, after: Predictions, place: int
) -> dict[str, Any]:
    """``extension.json`` (its shape: jobs.evaluate). ``place``: of the class among those of both predictions."""
    added = [model.read_json("added.json") for model in models]
    recall, cost = held_out_recall(added), Cost.of(before, after, place)
    own = models[0].read_json("card.json")["extended"][-1]
    told = {"class": label, "images": len(added[0]["ids"]), "units": len(set(added[0]["units"])), "by": own["by"]}
    return {
        **told,
        "recall": None if recall is None else recall.to_json(),
        "cost": cost.to_json(),
        "sentence": _sentence(told, recall, cost) + _of_copies(added[0].get("copies", [])),
    }


def held_out_recall(added: Sequence[Mapping[str, Any]]) -> Estimate | None:
    """The share of the class' own items that are recognised by what got it from the other units. None with one unit.

    ``added``: ``added.json`` of each fold's model; probabilities are their mean. The interval takes the units for a sample of
    what the class will be met in.
    """
    if any(each["logits"] is None for each in added):
        return None
    mean = np.mean([softmax(np.array(each["logits"], dtype=np.float64)) for each in added], axis=0)
    right = mean.argmax(axis=1) == mean.shape[1] - 1
    names = sorted(set(added[0]["units"]))
    groups = np.array([names.index(unit) for unit in added[0]["units"]])
    return held_out_share(right, groups)


@dataclass(frozen=True)
class Cost:
    """``taken``: test items that were right before and are taken for the new class now; ``n`` test items."""

    n: int
    taken: int
    before: float
    after: float
    difference: Difference

    @staticmethod
    def of(before: Predictions, after: Predictions, place: int) -> Cost:
        taken = before.right & (after.predicted == place)
        found = paired_difference(after.right[None], before.right[None], after.groups)
        return Cost(after.n, int(taken.sum()), float(before.right.mean()), float(after.right.mean()), found)

    def to_json(self) -> dict[str, Any]:
        found = {name: getattr(self.difference, name) for name in ("value", "low", "high", "p", "groups")}
        return {"n": self.n, "taken": self.taken, "before": self.before, "after": self.after, "difference": found}


def _before(evaluation: Artifact, seed: int, dataset: Dataset) -> Predictions:
    """What the champion said of the same test items before, in their order and in the classes of now."""
    said = evaluation.read_json("predictions.json")
    rows = {id_: row for row, id_ in enumerate(said["ids"])}
    if any(entry.id not in rows for entry in dataset.test):
        raise DataError(
            f"artifacts/evaluate/{evaluation.manifest.key[:12]} is of other test {nouns.items()} than the dataset has: "
            "run the study again"
        )
    whole: Floats = np.asarray(said["probabilities"][str(seed)], dtype=np.float64)[[rows[e.id] for e in dataset.test]]
    columns = np.zeros((len(whole), len(dataset.classes)))
    for number, name in enumerate(dataset.classes):
        if name in said["classes"]:
            columns[:, number] = whole[:, said["classes"].index(name)]
    return Predictions(dataset.labels, columns, dataset.groups)


def _sentence(told: Mapping[str, Any], recall: Estimate | None, cost: Cost) -> str:
    """What is known of the class, and what is not."""
    units = "" if told["units"] == told["images"] else f" ({told['units']:,} independent ones)"
    known = f"{told['class']} is known from {nouns.count(told['images'])}{units}, as {told['by']}"
    untested = f"its accuracy is not tested: there is no test {nouns.item()} of it"
    if recall is None:
        own = "Of one alone nothing can be held out: how well it is recognised is not known"
    else:
        among = f"[{percent(recall.low or 0.0)}, {percent(recall.high or 0.0)}]"
        own = f"By the others alone {recall.k:,} of these {recall.n:,} are recognised ({percent(recall.value or 0.0)} {among})"
    found = cost.difference
    change = f"{signed_points(found.value)}, 95 % interval {interval_points(found.low, found.high)}"
    return (
        f"{known}; {untested}. {own}. Of {nouns.count(cost.n, 'test')} of the other classes {cost.taken:,} that "
        f"{'was' if cost.taken == 1 else 'were'} right before {'is' if cost.taken == 1 else 'are'} taken for it now: accuracy "
        f"{percent(cost.after)}, {percent(cost.before)} before ({change})."
    )


def _of_copies(copies: Sequence[Mapping[str, str]]) -> str:
    """Items that also trained another class: nothing is wrong with the sum, but with a label, or with the wish."""
    if not copies:
        return ""
    shown = "; ".join(f"{each['path']}: {each['class']}" for each in copies[:NAMED])
    more = f" and {len(copies) - NAMED} more" if len(copies) > NAMED else ""
    count = len({each["path"] for each in copies})
    what = f"is, or nearly is, a training {nouns.item()}" if count == 1 else f"are, or nearly are, training {nouns.items()}"
    return (
        f" Of its own {nouns.items()} {count:,} {what} of another class ({shown}{more}): such {nouns.items()} cannot "
        "tell the two apart: take them out, or correct their labels in the dataset (`tlbatch data relabel`)."
    )
