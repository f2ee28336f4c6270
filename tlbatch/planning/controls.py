"""What pretrained runs are held against: their own network from random weights, and features that no network learned.

A control is as well trained as it can be for what it is, whatever the run's own recipe: it takes over the architecture, how
images are fed and varied, the batches and the weights of the classes, and chooses its own learning rate on validation. A rate,
an optimiser, a schedule, frozen stages or a decay that suit the fine-tuning of good weights would leave random ones untrained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tlbatch.backbones.handcrafted import HAND_CRAFTED, HAND_CRAFTED_INPUT
from tlbatch.kinds import DEFAULT_KIND
from tlbatch.planning.runs import ResolvedRun, plain
from tlbatch.planning.weights import ResolvedWeights
from tlbatch.spec.added import added_name
from tlbatch.spec.model import FITTED, Head, Logistic, fitted_head
from tlbatch.spec.train import EarlyStopping, Train

RATES = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
"""Tried by a full control, with AdamW: from what suits VGG to what suits small networks with BatchNorm."""
HEAD_RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
"""Tried by a cheap control's dense head."""
FIXED_RATE = 1e-3
"""Where there are no validation images to choose by."""
EPOCHS, PATIENCE, LEAST_BATCHES = 100, 10, 50
LEAST_BATCH, MOST_BATCH = 16, 64
MOST_DROPOUT = 0.5
KEPT = ("class_weights", "init")
"""Of the run's own training: what says which errors count, not how they are lowered."""


@dataclass(frozen=True)
class Images:
    """How many images train, choose and test, and how many no part asks for, as far as the listing tells."""

    train: int
    validation: int
    test: int = 0
    unused: int = 0


def resolve_controls(runs: Sequence[ResolvedRun], images: Images) -> list[ResolvedRun]:
    """The controls that pretrained runs ask for, equal ones once; last the one on hand-crafted features, once a study.

    ``cheap``: the same head on the features of the same architecture with random weights, frozen. ``full``: the same
    architecture, all of it trained from random weights until validation no longer improves. A model of an earlier study
    has no twin of its own here: it is held against the study's scratch runs and the hand-crafted features.
    """
    controls: dict[str, ResolvedRun] = {}
    held = [run for run in runs if run.pretrained and run.control != "none" and not run.brings_controls]
    for run in held:
        if run.model["backbone"]["name"] is None:
            continue
        control = full_twin(run, images) if run.control == "full" else _cheap(run, images)
        present = controls.get(control.content, control)
        controls[control.content] = replace(present, control_for=(*present.control_for, run.name))
    pictures = [run.name for run in held if run.kind.name == DEFAULT_KIND]
    hand_crafted = [_hand_crafted(pictures)] if pictures else []
    return _named_apart([run.name for run in runs], [*controls.values(), *hand_crafted, *_own(runs, images)])


def _own(runs: Sequence[ResolvedRun], images: Images) -> list[ResolvedRun]:
    """Controls that strategies bring, equal ones once, without those that are runs of the study itself.

    They are planned whatever ``control`` says: without them nobody knows whether an adaptation helps. One that learns from the
    target alone, which has no validation images, chooses nothing; the run may, by what a source holds out.
    """
    asked, found = {run.content for run in runs}, dict[str, ResolvedRun]()
    for run in runs:
        for control, _ in run.own_controls:
            if control.content not in asked:
                if not (images.validation or control.strategy_entry.reads_sources):
                    control = replace(control, train=unchosen(control.train))
                present = found.get(control.content, control)
                found[control.content] = replace(present, control_for=(*present.control_for, run.name))
    names = Counter(control.name for control in found.values())
    return [c if names[c.name] == 1 else replace(c, name=f"{c.control_for[0]}-{c.name}") for c in found.values()]


def random_twin(run: ResolvedRun) -> ResolvedRun:
    """The run with random weights of its network; what is done with them is still the run's."""
    weights = ResolvedWeights({"kind": "random", "seed": 0}, own_input=run.own_input)
    model = {**run.model, "backbone": {**run.model["backbone"], "weights": weights.params}}
    return replace(run, name=f"{run.name}-random", model=model, weights=weights, control="none", views=0)


def full_twin(run: ResolvedRun, images: Images) -> ResolvedRun:
    """The run's network with random weights, all of it trained by a recipe of its own."""
    everything = {"unfreeze": "all", "warm_up": 0, "gradual": None, "lr_scale": {}, "lr_decay": 1.0}
    everything["batch_norm"] = "train"  # random weights bring no statistics worth keeping
    base, head = random_twin(run), run.model["head"]
    if added_name(head) is None:
        dense = {name: value for name, value in head.items() if name not in FITTED}
        head = {**dense, "logistic": None, "dropout": min(head["dropout"], MOST_DROPOUT)}
    train = _in_pieces(_recipe(run.train, RATES, images), run.train.micro_batch_size)
    return replace(base, model={**base.model, "head": head}, strategy={"finetune": everything}, train=train)


def _cheap(run: ResolvedRun, images: Images) -> ResolvedRun:
    base, fitted = random_twin(run), run.on_features and fitted_head(run.model["head"]) is not None
    train = run.train if fitted else _recipe(run.train, HEAD_RATES, images)  # a fitted head chooses what it has to itself
    return replace(base, strategy="features", augmentation=None, train=train)


def _recipe(own: Train, rates: Iterable[float], images: Images) -> Train:
    """AdamW at the rate that is best on validation, until validation has not improved for ten epochs; the best one is kept.

    An epoch has fifty batches at least, so that ten of them mean something where labels are few (a network from random
    weights may need some hundred batches before validation moves at all). Without validation images
    nothing can be chosen: then a fixed rate and a cosine down to zero.
    """
    batch = min(MOST_BATCH, max(LEAST_BATCH, own.batch_size))
    asked: dict[str, Any] = {"epochs": max(EPOCHS, own.epochs), "batch_size": batch, "optimizer": "adamw"}
    if images.train and images.train < LEAST_BATCHES * batch:
        asked["steps_per_epoch"] = LEAST_BATCHES
    if images.validation:
        patient = EarlyStopping(patience=PATIENCE, metric="accuracy", min_delta=0.0)
        asked |= {"lr": "auto", "lr_candidates": tuple(rates), "early_stopping": patient, "select": "best"}
    else:
        asked |= {"lr": FIXED_RATE, "schedule": "cosine", "select": "last"}
    return Train(**{name: getattr(own, name) for name in KEPT}, **asked)


def unchosen(train: Train) -> Train:
    """The recipe where nothing can be chosen: a rate, a schedule and the last epoch that follow from no validation image."""
    fixed: dict[str, Any] = {"early_stopping": None, "select": "last"}
    fixed |= {"lr": FIXED_RATE} if train.lr == "auto" else {}
    fixed |= {"schedule": "cosine"} if train.schedule == "plateau" else {}
    return train.model_copy(update=fixed)


def _in_pieces(train: Train, size: int | None) -> Train:
    """Of the run's size, since it has the run's memory; of as many images as a control's batch has at least, which the
    statistics of its BatchNorm are of."""
    most = None if size is None else max(LEAST_BATCH, size)
    return train if most is None or most >= train.batch_size else train.model_copy(update={"micro_batch_size": most})


def _hand_crafted(held: Sequence[str]) -> ResolvedRun:
    """Logistic regression on colour histograms and HOG: what the labels give without any network."""
    backbone = {"name": HAND_CRAFTED, "weights": {"kind": "none"}}
    head = plain(Head(logistic=Logistic()))
    return ResolvedRun(
        name=HAND_CRAFTED,
        model={"backbone": backbone, "layer": None, "pool": "avg", "head": head},
        strategy="features",
        input=dict(HAND_CRAFTED_INPUT),
        own_input=dict(HAND_CRAFTED_INPUT),
        train=Train(),
        precision="fp32",
        control_for=tuple(held),
    )


def _named_apart(taken: Sequence[str], controls: Sequence[ResolvedRun]) -> list[ResolvedRun]:
    """Controls whose names no run of the study has."""
    names, apart = set(taken), []
    for control in controls:
        name = control.name
        while name in names:
            name = f"{name}-control"
        names.add(name)
        apart.append(replace(control, name=name))
    return apart
