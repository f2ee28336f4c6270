"""A logistic regression on cached features of labelled sources, brought together with those of the target first. ``adapt``.

What is chosen, is chosen by what may be read: C by cross-validation over the labelled images that train (weighted, where they
are), the head's calibration by what the sources hold out; the target's validation images only with ``target_labels: all``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from jobs.adaptation.instances import fit_instances
from jobs.adaptation.methods import METHODS, Aligned, Floats
from jobs.adaptation.seen import places, proxy_distance
from jobs.adaptation.tradaboost import Boosted, as_json
from jobs.context import Context
from jobs.heads.logistic import Fitted
from jobs.heads.logistic import fit as fit_logistic
from jobs.heads.voted import Voted
from jobs.strategies.features import VOTES, logistic_head, voting_head
from jobs.training.batches import TARGET
from jobs.training.loading import Features, every_view, load_run_features
from jobs.training.outcome import Outcome, fitted_outcome
from jobs.training.settings import Settings
from jobs.training.split_data import Parts
from tlbatch import nouns
from tlbatch.spec.model import Logistic
from tlbatch.strategies.adapt import ROUNDS, SOURCE_ONLY, TARGET_ONLY, TRADABOOST, Adapt, read_in_words


@dataclass(frozen=True)
class Domain:
    """Features of a role's training images, all their views one after the other, and what there is to know of them.

    ``labels`` int64 [n], -1 where not to be read; ``groups`` [n]: copies of a picture share a name.
    """

    x: Floats
    labels: NDArray[np.int64]
    groups: list[str]

    @staticmethod
    def of(features: Features, parts: Parts, role: str) -> Domain:
        x, labels, groups = every_view(features, parts)
        return Domain(x.astype(np.float64), labels, [f"{role} {group}" for group in groups])


def train(context: Context, settings: Settings, parts: Parts, device: torch.device) -> Outcome:
    """The head is one of raw target features: what was done to them is folded into its weights. TrAdaBoost's is a vote."""
    how, logistic = settings.own, Logistic.of(settings.model["head"]["logistic"])
    assert isinstance(how, Adapt)
    features = {role: load_run_features(context, settings, parts, role) for role in parts.roles}
    domains = {role: Domain.of(features[role], parts.of(role), role) for role in parts.roles}
    sources = np.concatenate([domain.x for role, domain in domains.items() if role != TARGET])
    context.progress(0, 1, "fits", f"{how.method}: {len(sources)} source and {len(domains[TARGET].x)} target {nouns.items()}")
    aligned = METHODS[how.method](sources, domains[TARGET].x, dimensions=how.dimensions, seed=settings.seed)

    def tick(done: int, total: int) -> None:
        context.check_stop()
        context.progress(done, total, "fits", f"logistic regression, fit {done} of {total}")

    learnt = _learnt_from(how, domains, aligned)
    fitted, boosted = _fit(how, learnt, len(parts.classes), logistic, settings.seed, tick)
    judged_on = (
        (TARGET,) if settings.labels_read is None else tuple(role for role in parts.sources if parts.of(role).validation)
    )
    logits = [_judged(role, features[role].validation.astype(np.float64), aligned, fitted) for role in judged_on]
    on_raw = fitted if isinstance(fitted, Voted) else _of_raw_features(fitted, aligned)
    return fitted_outcome(
        context,
        voting_head(on_raw) if isinstance(on_raw, Voted) else logistic_head(on_raw, len(parts.classes)),
        (sources.shape[1],),
        np.concatenate(logits) if logits else np.zeros((0, len(parts.classes))),
        on_raw,
        judged_on=judged_on,
        facts={"adaptation": _facts(how, domains, aligned, learnt, judged_on) | _told(boosted)},
        documents={"adaptation.json": _seen(how, domains, aligned) | _believed(boosted, parts)},
        head=VOTES if isinstance(fitted, Voted) else None,
    )


def _fit(
    how: Adapt, learnt: Learnt, n_classes: int, head: Logistic, seed: int, tick: Callable[[int, int], None]
) -> tuple[Fitted | Voted, Boosted[Fitted] | None]:
    """One regression, or with TrAdaBoost the vote of several, and what became of the sources' weights."""
    if how.method == TRADABOOST:
        rounds = how.rounds or ROUNDS
        return fit_instances(
            learnt.x,
            learnt.labels,
            learnt.n_source,
            n_classes,
            groups=learnt.groups,
            head=head,
            seed=seed,
            rounds=rounds,
            tick=tick,
        )
    fitted = fit_logistic(
        learnt.x.astype(np.float32),
        learnt.labels,
        n_classes,
        cs=head.c,
        folds=head.folds,
        seed=seed,
        groups=learnt.groups,
        weights=learnt.weights,
        tick=tick,
    )
    return fitted, None


@dataclass(frozen=True)
class Learnt:
    """Features where the classifier learns, labels, groups and weights: the sources', ``n_source``, then the target's that have
    labels."""

    x: Floats
    labels: NDArray[np.int64]
    groups: list[str]
    weights: Floats | None
    n_source: int


def _learnt_from(how: Adapt, domains: Mapping[str, Domain], aligned: Aligned) -> Learnt:
    sources = {} if how.method == TARGET_ONLY else {role: each for role, each in domains.items() if role != TARGET}
    target = domains[TARGET]
    shown = np.flatnonzero(target.labels >= 0) if how.method != SOURCE_ONLY else np.zeros(0, dtype=np.int64)
    x = [*(aligned.carry(each.x) for each in sources.values()), aligned.project(target.x[shown])]
    labels = np.concatenate([*(each.labels for each in sources.values()), target.labels[shown]])
    groups = [group for each in sources.values() for group in each.groups] + [target.groups[i] for i in shown]
    weights = None if aligned.weights is None else np.concatenate([aligned.weights, np.ones(len(shown))])
    return Learnt(np.concatenate(x), labels, groups, weights, len(labels) - len(shown))


def _judged(role: str, x: Floats, aligned: Aligned, fitted: Fitted | Voted) -> Floats:
    if not len(x):
        return np.zeros((0, fitted.bias.shape[-1]))
    z = aligned.project(x) if role == TARGET else aligned.carry(x)
    return fitted.logits(z) if isinstance(fitted, Voted) else np.asarray(z @ fitted.weight.T + fitted.bias)


def _of_raw_features(fitted: Fitted, aligned: Aligned) -> Fitted:
    """The same logits of target features x as they come: of (x - shift) @ basis."""
    weight = fitted.weight if aligned.basis is None else fitted.weight @ aligned.basis.T
    return Fitted(weight, fitted.bias - weight @ aligned.shift, fitted.c, fitted.cv)


def _facts(
    how: Adapt, domains: Mapping[str, Domain], aligned: Aligned, learnt: Learnt, judged_on: tuple[str, ...]
) -> dict[str, Any]:
    """What the card says: by what it was chosen, and which labels were read."""
    read = 0 if how.method == SOURCE_ONLY else int((domains[TARGET].labels >= 0).sum())
    return {
        "method": how.method,
        "target_labels": read_in_words(how.model_dump(mode="json")),
        "target_labels_read": read,
        "learnt_from": len(learnt.labels),
        "chosen_by": "cross-validation on what trains with labels"
        + (", weighted as they are" if aligned.weights is not None else ""),
        "calibrated_on": list(judged_on),
        **aligned.facts,
    }


def _told(boosted: Boosted[Fitted] | None) -> dict[str, Any]:
    """What the card says of boosting."""
    if boosted is None:
        return {}
    last = boosted.rounds[-1]
    return {
        "rounds": len(boosted.rounds),
        "source_weight_left": round(float(boosted.source_weights.mean()), 4),
        "source_share": round(last.source_share, 4),
    }


def _believed(boosted: Boosted[Fitted] | None, parts: Parts) -> dict[str, Any]:
    """``instances``: the rounds, and of each source item how many of them it was missed by."""
    if boosted is None:
        return {}
    items, start = {}, 0
    for role, source in parts.sources.items():
        missed = boosted.missed[start : start + len(source.train)]
        items[role] = {"ids": [entry.id for entry in source.train], "missed": missed.tolist()}
        start += len(source.train)
    return {"instances": {**as_json(boosted), "items": items}}


def _seen(how: Adapt, domains: Mapping[str, Domain], aligned: Aligned) -> dict[str, Any]:
    before = {role: each.x for role, each in domains.items()}
    after = {role: aligned.project(x) if role == TARGET else aligned.carry(x) for role, x in before.items()}
    found = {"before": before, "after": after}

    def distance(at: Mapping[str, Floats]) -> float | None:
        return proxy_distance(np.concatenate([x for role, x in at.items() if role != TARGET]), at[TARGET])

    return {
        "method": how.method,
        "distance": {name: distance(at) for name, at in found.items()},
        "places": {name: places(at) for name, at in found.items()},
        **aligned.facts,
    }
