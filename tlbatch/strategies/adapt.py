"""``adapt``: from labelled sources to a target whose labels are few or none, on features that are extracted once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from tlbatch.roles import SOURCE, TARGET
from tlbatch.schema.base import Count, Part
from tlbatch.schema.yamltree import Mistake
from tlbatch.strategies.entry import CheckedRun, OwnControl, Strategy

SOURCE_ONLY, TARGET_ONLY, POOLED, TRADABOOST = "source_only", "target_only", "pooled", "tradaboost"
NEED_LABELS = (TARGET_ONLY, POOLED, TRADABOOST)
ROUNDS = 20

METHODS = {
    SOURCE_ONLY: "no adaptation, learnt from the sources alone",
    TARGET_ONLY: "no source, learnt from the target's labels alone",
    "coral": "CORAL",
    "subspace": "subspace alignment",
    "optimal_transport": "optimal transport",
    "reweight": "reweighted sources",
    POOLED: "no adaptation, learnt from the sources and the target's labels alike",
    TRADABOOST: "TrAdaBoost",
}


def _left_out(value: object) -> bool:
    """It came later and is not in parameters that do not ask for it: keys stay what they were."""
    return value is None


class Adapt(Part):
    """A logistic regression that learns from the sources' labels, after the domains have been brought together."""

    method: Literal[
        "source_only", "target_only", "pooled", "coral", "subspace", "optimal_transport", "reweight", "tradaboost"
    ] = Field(
        default="coral",
        description="how the domains are brought together; source_only, target_only and pooled (both): not at all; tradaboost: "
        "by target labels that contradict source labels",
    )
    target_labels: Literal["none", "few", "all"] = Field(
        default="none", description="labels of the target that are learnt from, beside the sources'; its images always are"
    )
    few: Count = Field(default=5, description="with target_labels: few: so many a class")
    dimensions: Count | None = Field(
        default=None, description="of subspace; default: principal components that hold 95 % of the variance of each domain"
    )
    rounds: Annotated[int, Field(ge=2, le=1000)] | None = Field(
        default=None, description=f"of tradaboost; default: {ROUNDS}", exclude_if=_left_out
    )


def check(run: CheckedRun) -> Iterator[Mistake]:
    how: Adapt = run.settings
    if how.method in NEED_LABELS and how.target_labels == "none":
        yield Mistake((*run.path, "method"), f"{how.method} learns from the target's labels: say target_labels: few or all")
    if how.rounds is not None and how.method != TRADABOOST:
        yield Mistake((*run.path, "rounds"), "is for method: tradaboost", None, ((*run.path, "method"),))
    if how.dimensions is not None and how.method != "subspace":
        yield Mistake((*run.path, "dimensions"), "is for method: subspace", None, ((*run.path, "method"),))


def labels_read(settings: Mapping[str, Any]) -> int | None:
    """Labels of the target that are read, a class; None: all of them."""
    read: dict[str, int | None] = {"none": 0, "few": int(settings["few"]), "all": None}
    return read[settings["target_labels"]]


def own_controls(settings: Mapping[str, Any], model: str) -> Iterator[OwnControl]:
    """The sources alone, as they are; both domains' labels alike; what the target's own give; and what all of them would."""
    plain = {name: value for name, value in settings.items() if name != "rounds"} | {"dimensions": None}
    alone = {**plain, "method": SOURCE_ONLY, "target_labels": "none", "few": Adapt().few}
    if settings["method"] not in (SOURCE_ONLY, TARGET_ONLY):
        yield OwnControl("source-only", {"adapt": alone}, tested=True)
    if settings["method"] == TRADABOOST:
        yield OwnControl("pooled", {"adapt": {**plain, "method": POOLED}}, tested=True)
    if settings["target_labels"] == "few" and settings["method"] != TARGET_ONLY:
        yield OwnControl("target-only", {"adapt": {**plain, "method": TARGET_ONLY}}, tested=True)
    yield OwnControl("target-supervised", "features", tested=settings["target_labels"] == "all")


def phrase(settings: Mapping[str, Any], layer: str) -> str:
    return f"{METHODS[settings['method']]}, on the features of {layer}; {read_in_words(settings)}"


def read_in_words(settings: Mapping[str, Any]) -> str:
    """'no target labels', '5 target labels a class', 'all target labels'."""
    if settings["method"] == SOURCE_ONLY:
        return "no target labels"
    read = {"none": "no target labels", "few": f"{settings['few']} target labels a class", "all": "all target labels"}
    return read[settings["target_labels"]]


def detail(settings: Mapping[str, Any]) -> str:
    return f"{settings['method']}, {read_in_words(settings)}"


ADAPT = Strategy(
    name="adapt",
    title="from labelled sources to a target with few labels or none, on features that are extracted once",
    program="jobs.strategies.adapt:train",
    model="backbone",
    consumes="features",
    roles=frozenset({TARGET, SOURCE}),
    settings=Adapt,
    heads=frozenset({"logistic"}),
    check=check,
    labels_read=labels_read,
    own_controls=own_controls,
    phrase=phrase,
    detail=detail,
)
