"""A head on cached features: dense layers, or a logistic regression. ``features``."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from jobs.context import Context
from jobs.models.building import build_head
from jobs.training.fit import train as fit
from jobs.training.loading import feature_feed, load_run_features
from jobs.training.logistic import Fitted
from jobs.training.logistic import fit as fit_logistic_regression
from jobs.training.outcome import Outcome, outcome_of
from jobs.training.protocol import HeadOnly
from jobs.training.settings import Settings
from jobs.training.split_data import Parts
from jobs.training.validation import validation_logits


def train(context: Context, settings: Settings, parts: Parts, device: torch.device) -> Outcome:
    """The head that the study asks for."""
    train_one = train_head if settings.logistic is None else fit_logistic
    return train_one(context, settings, parts, device)


def train_head(context: Context, settings: Settings, parts: Parts, device: torch.device) -> Outcome:
    """Dense layers on features that were extracted before."""
    features = load_run_features(context, settings, parts)
    head, n_classes = settings.model["head"], len(parts.classes)

    def build() -> nn.Module:
        return HeadOnly(build_head(features.dim, n_classes, head, seed=settings.seed, init=settings.train.init)).to(device)

    feed = feature_feed(features, parts, settings.seed, device)
    return outcome_of(context, settings, fit(context, settings, build, feed), feed, (features.dim,))


def fit_logistic(context: Context, settings: Settings, parts: Parts, device: torch.device) -> Outcome:
    """A logistic regression, its C by cross-validation on the training images (all their views; copies stay together)."""
    assert settings.logistic is not None
    features = load_run_features(context, settings, parts)
    views, n = features.train.shape[:2]

    def tick(done: int, total: int) -> None:
        context.check_stop()
        context.progress(done, total, "fits", f"logistic regression, fit {done} of {total}")

    fitted = fit_logistic_regression(
        features.train.reshape(views * n, -1),
        np.tile(parts.labels(parts.train).numpy(), views),
        len(parts.classes),
        cs=settings.logistic.c,
        folds=settings.logistic.folds,
        seed=settings.seed,
        groups=parts.groups() * views,
        tick=tick,
    )
    network = logistic_head(fitted, len(parts.classes))
    logits = validation_logits(network, feature_feed(features, parts, settings.seed, torch.device("cpu")), False)
    context.made |= {"device": "cpu", "epoch_seconds": []}
    history = {"epochs": [], "selected_epoch": 0, "lr": {"chosen": None, "tried": []}, "stopped_early": False}
    return Outcome(network, (features.dim,), logits.double().numpy(), history, fitted)


def logistic_head(fitted: Fitted, n_classes: int) -> HeadOnly:
    head = build_head(fitted.weight.shape[1], n_classes, {"logistic": {}}, seed=0, init="glorot")
    with torch.no_grad():
        classifier: Any = head.classifier
        classifier.weight.copy_(torch.from_numpy(fitted.weight))
        classifier.bias.copy_(torch.from_numpy(fitted.bias))
    return HeadOnly(head)
