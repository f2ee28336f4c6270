"""A head on cached features: dense layers, or one that is fitted at once. ``features``."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from jobs.context import Context
from jobs.heads.fitting import FittedHead, fit_head
from jobs.heads.logistic import Fitted
from jobs.heads.neighbours import Neighbours
from jobs.heads.prototypes import ClassMeans
from jobs.heads.voted import Voted
from jobs.models.building import build_head
from jobs.models.fitted_heads import make_room
from jobs.training.fit import train as fit
from jobs.training.loading import every_view, feature_feed, load_run_features
from jobs.training.outcome import Outcome, fitted_outcome, outcome_of
from jobs.training.protocol import HeadOnly
from jobs.training.settings import Settings
from jobs.training.split_data import Parts
from jobs.training.validation import validation_logits

VOTES: dict[str, dict[str, object]] = {"votes": {}}
"""The head of a vote, as its card has it."""


def train(context: Context, settings: Settings, parts: Parts, device: torch.device) -> Outcome:
    """The head that the study asks for."""
    train_one = train_head if settings.fitted is None else fit_at_once
    return train_one(context, settings, parts, device)


def train_head(context: Context, settings: Settings, parts: Parts, device: torch.device) -> Outcome:
    """Dense layers on features that were extracted before."""
    features = load_run_features(context, settings, parts)
    head, n_classes = settings.model["head"], len(parts.classes)

    def build() -> nn.Module:
        return HeadOnly(build_head(features.dim, n_classes, head, seed=settings.seed, init=settings.train.init)).to(device)

    feed = feature_feed(features, parts, settings.seed, device)
    return outcome_of(context, fit(context, settings, build, feed), (features.dim,))


def fit_at_once(context: Context, settings: Settings, parts: Parts, device: torch.device) -> Outcome:
    """A head without epochs, on the training images and all their views; what it chooses, it chooses there.

    Copies of a picture and images of a group stay in one fold.
    """
    features = load_run_features(context, settings, parts)
    x, labels, groups = every_view(features, parts)

    def tick(done: int, total: int) -> None:
        context.check_stop()
        context.progress(done, total, "fits", f"{settings.fitted}, fit {done} of {total}")

    head = settings.model["head"]
    fitted = fit_head(
        head,
        x,
        labels,
        len(parts.classes),
        seed=settings.seed,
        groups=groups,
        tick=tick,
    )
    print(f"{settings.fitted}: {fitted.sentence}", flush=True)
    network = HeadOnly(as_layer(fitted, build_head(features.dim, len(parts.classes), head, seed=0, init="glorot")))
    logits = validation_logits(network, feature_feed(features, parts, settings.seed, torch.device("cpu")), False)
    return fitted_outcome(context, network, (features.dim,), logits.double().numpy(), fitted)


def logistic_head(fitted: Fitted, n_classes: int) -> HeadOnly:
    """A logistic regression as a network."""
    return HeadOnly(as_layer(fitted, build_head(fitted.weight.shape[1], n_classes, {"logistic": {}}, seed=0, init="glorot")))


def voting_head(voted: Voted) -> HeadOnly:
    """A vote of logistic regressions as a network."""
    _, n_classes, dim = voted.weight.shape
    return HeadOnly(as_layer(voted, build_head(dim, n_classes, VOTES, seed=0, init="glorot")))


def as_layer(fitted: FittedHead, head: nn.Module) -> nn.Module:
    """The head with what was fitted in it, in float32."""
    if isinstance(fitted, Fitted):
        state = {"classifier.weight": fitted.weight, "classifier.bias": fitted.bias}
    elif isinstance(fitted, ClassMeans):
        state = {"means": fitted.means}
    elif isinstance(fitted, Voted):
        state = {"weight": fitted.weight, "bias": fitted.bias, "votes": fitted.votes}
    else:
        assert isinstance(fitted, Neighbours)
        state = {"items": fitted.items, "classes": np.eye(fitted.n_classes)[fitted.labels], "votes": np.ones(fitted.k)}
    tensors = {name: torch.from_numpy(values).float() for name, values in state.items()}
    make_room(head, tensors)
    head.load_state_dict(tensors)
    return head
