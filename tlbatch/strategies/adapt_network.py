"""``adapt_network``: a network that learns from labelled sources while its features of these and of the target become alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Literal

from pydantic import Field

from tlbatch.roles import SOURCE, TARGET
from tlbatch.schema.base import Count, Positive
from tlbatch.schema.yamltree import Mistake
from tlbatch.strategies import finetune
from tlbatch.strategies.adapt import SOURCE_ONLY, TARGET_ONLY, Adapt, labels_read, read_in_words
from tlbatch.strategies.entry import CheckedRun, OwnControl, Strategy
from tlbatch.strategies.finetune import HEAD, Finetune

DEEP_CORAL, DANN = "deep_coral", "dann"
ALIGNING = (DEEP_CORAL, DANN)

METHODS = {
    SOURCE_ONLY: "no adaptation, learnt from the sources alone",
    TARGET_ONLY: "no source, learnt from the target's labels alone",
    DEEP_CORAL: "Deep CORAL",
    DANN: "DANN",
}


class AdaptNetwork(Finetune):
    """A scratch network, or a backbone as ``finetune`` has it, whose features of all domains are made alike while it learns."""

    method: Literal["source_only", "target_only", "deep_coral", "dann"] = Field(
        default="deep_coral", description="how the domains are brought together; source_only and target_only: not at all"
    )
    target_labels: Literal["none", "few", "all"] = Field(
        default="none", description="labels of the target that are learnt from, beside the sources'; its images always are"
    )
    few: Count = Field(default=5, description="with target_labels: few: so many a class")
    weight: Positive = Field(
        default=1.0,
        description="deep_coral: of the CORAL loss beside the cross-entropy; dann: of the reversed gradient at the end",
    )
    domain_layers: tuple[Count, ...] = Field(
        default=(1024, 1024), description="dann: widths of the hidden layers of the classifier that tells the domains apart"
    )


DEFAULT = AdaptNetwork()


def check(run: CheckedRun) -> Iterator[Mistake]:
    how: AdaptNetwork = run.settings
    if how.method == TARGET_ONLY and how.target_labels == "none":
        yield Mistake((*run.path, "method"), "target_only learns from the target's labels: say target_labels: few or all")
    if how.weight != DEFAULT.weight and how.method not in ALIGNING:
        yield Mistake((*run.path, "weight"), f"is for method: {' or '.join(ALIGNING)}", None, ((*run.path, "method"),))
    if how.domain_layers != DEFAULT.domain_layers and how.method != DANN:
        yield Mistake((*run.path, "domain_layers"), f"is for method: {DANN}", None, ((*run.path, "method"),))
    if run.scratch:
        for name in Finetune.model_fields:
            if getattr(how, name) != getattr(DEFAULT, name):
                yield Mistake((*run.path, name), "is for a backbone: a scratch model is trained whole", None, (run.model_path,))
        return
    if how.method in ALIGNING and (how.unfreeze == "none" or not (isinstance(how.unfreeze, str) or {*how.unfreeze} - {HEAD})):
        text = f"nothing of the backbone learns, so {how.method} cannot make its features alike: name stages, or adapt: {{…}}"
        yield Mistake((*run.path, "unfreeze"), text, None, ((*run.path, "method"),))
    yield from finetune.check(run)


def own_controls(settings: Mapping[str, Any], model: str) -> Iterator[OwnControl]:
    """The same network learning from the sources alone, from the target's labels alone, and from all of these."""
    plain = {**settings, "weight": DEFAULT.weight, "domain_layers": list(DEFAULT.domain_layers)}
    alone = {**plain, "method": SOURCE_ONLY, "target_labels": "none", "few": Adapt().few}
    if settings["method"] not in (SOURCE_ONLY, TARGET_ONLY):
        yield OwnControl("source-only", {"adapt_network": alone}, tested=True)
    if settings["target_labels"] == "few" and settings["method"] != TARGET_ONLY:
        yield OwnControl("target-only", {"adapt_network": {**plain, "method": TARGET_ONLY}}, tested=True)
    tuned = Finetune.of({name: settings[name] for name in Finetune.model_fields if name in settings})
    supervised: str | dict[str, Any] = "scratch" if model == "scratch" else {"finetune": tuned.model_dump(mode="json")}
    yield OwnControl("target-supervised", supervised, tested=settings["target_labels"] == "all")


def beside(settings: Mapping[str, Any], features: int) -> int:
    """Of DANN's classifier of domains."""
    widths = [features, *settings["domain_layers"], 1]
    return sum((a + 1) * b for a, b in pairwise(widths)) if settings["method"] == DANN else 0


def phrase(settings: Mapping[str, Any], layer: str) -> str:
    whole = settings["unfreeze"] == "all" and not settings.get("l2_sp")
    how = "the whole network trained" if whole else finetune.phrase(settings, layer)
    return f"{METHODS[settings['method']]}, {how}; {read_in_words(settings)}"


def detail(settings: Mapping[str, Any]) -> str:
    weight = "" if settings["weight"] == DEFAULT.weight else f" × {settings['weight']:g}"
    return f"{settings['method']}{weight}, {read_in_words(settings)}"


ADAPT_NETWORK = Strategy(
    name="adapt_network",
    title="a network, from labelled sources to a target with few labels or none, its features of both made alike",
    program="jobs.strategies.adapt_network:train",
    model="either",
    roles=frozenset({TARGET, SOURCE}),
    settings=AdaptNetwork,
    heads=frozenset({"dense", "added"}),
    whole=True,
    check=check,
    learning=finetune.learning,
    labels_read=labels_read,
    own_controls=own_controls,
    beside=beside,
    phrase=phrase,
    detail=detail,
)
