"""The ways to train: any network on images, a head on cached features, a logistic regression on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from jobs.context import Context
from jobs.models.building import build_head, build_network
from jobs.models.pretrained import load_pretrained
from jobs.training.batches import Feed
from jobs.training.fit import Trained, train
from jobs.training.layers import learning_stages
from jobs.training.loading import feature_feed, image_feed, load_run_features
from jobs.training.logistic import Fitted, fit
from jobs.training.outputs import Outcome
from jobs.training.pictures import write_augmented
from jobs.training.protocol import HeadOnly
from jobs.training.settings import Settings
from jobs.training.split_data import Parts
from jobs.training.validation import validation_logits

Strategy = Callable[[Context, Settings, Parts, torch.device], Outcome]


def strategy_of(settings: Settings) -> Strategy:
    """How the task trains."""
    if settings.logistic is not None:
        return fit_logistic
    return train_head if settings.on_features else train_network


def train_network(context: Context, settings: Settings, parts: Parts, device: torch.device) -> Outcome:
    """A scratch CNN, or a backbone with its head, on images."""
    pretrained = None if settings.backbone is None else load_pretrained(context, settings.backbone)

    def build() -> nn.Module:
        network: nn.Module = build_network(
            settings.model, settings.input, len(parts.classes), pretrained, seed=settings.seed, init=settings.train.init
        )
        return network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    first = [build()]
    learning_stages(first[0], settings.finetune)  # what does not fit is said before a thousand images are decoded
    feed = image_feed(context, settings, parts, device)
    if settings.params["augmentation"]:
        write_augmented(feed, context.out("augmented.jpg"))
    trained = train(context, settings, lambda: first.pop() if first else build(), feed)
    return _outcome(context, settings, trained, feed, feed.shape)


def train_head(context: Context, settings: Settings, parts: Parts, device: torch.device) -> Outcome:
    """Dense layers on features that were extracted before."""
    features = load_run_features(context, settings, parts)
    head, n_classes = settings.model["head"], len(parts.classes)

    def build() -> nn.Module:
        return HeadOnly(build_head(features.dim, n_classes, head, seed=settings.seed, init=settings.train.init)).to(device)

    feed = feature_feed(features, parts, settings.seed, device)
    return _outcome(context, settings, train(context, settings, build, feed), feed, (features.dim,))


def fit_logistic(context: Context, settings: Settings, parts: Parts, device: torch.device) -> Outcome:
    """A logistic regression, its C by cross-validation on the training images (all their views; copies stay together)."""
    assert settings.logistic is not None
    features = load_run_features(context, settings, parts)
    views, n = features.train.shape[:2]

    def tick(done: int, total: int) -> None:
        context.check_stop()
        context.progress(done, total, "fits", f"logistic regression, fit {done} of {total}")

    fitted = fit(
        features.train.reshape(views * n, -1),
        np.tile(parts.labels(parts.train).numpy(), views),
        len(parts.classes),
        cs=settings.logistic.c,
        folds=settings.logistic.folds,
        seed=settings.seed,
        groups=parts.groups() * views,
        tick=tick,
    )
    network = _logistic_head(fitted, len(parts.classes))
    logits = validation_logits(network, feature_feed(features, parts, settings.seed, torch.device("cpu")), False)
    context.made |= {"device": "cpu", "epoch_seconds": []}
    history = {"epochs": [], "selected_epoch": 0, "lr": {"chosen": None, "tried": []}, "stopped_early": False}
    return Outcome(network, (features.dim,), logits.double().numpy(), history, fitted)


def _logistic_head(fitted: Fitted, n_classes: int) -> HeadOnly:
    head = build_head(fitted.weight.shape[1], n_classes, {"logistic": {}}, seed=0, init="glorot")
    with torch.no_grad():
        classifier: Any = head.classifier
        classifier.weight.copy_(torch.from_numpy(fitted.weight))
        classifier.bias.copy_(torch.from_numpy(fitted.bias))
    return HeadOnly(head)


def _outcome(context: Context, settings: Settings, trained: Trained, feed: Feed, shape: tuple[int, ...]) -> Outcome:
    trainer, place = trained.trainer, trained.trainer.place
    network = trainer.judged
    logits = validation_logits(network, feed, settings.bf16, context.check_deadline)
    history = {
        "epochs": place.epochs,
        "selected_epoch": trainer.selected_epoch + 1,
        "lr": {"chosen": trained.lr, "tried": [trial.to_json() for trial in trained.trials]},
        "stopped_early": place.stopped_early,
    }
    context.made |= {
        "device": _device_name(trainer.device),
        "epoch_seconds": place.seconds,
        "images_per_s": trainer.images_per_s,
    }
    return Outcome(network, shape, logits.double().numpy(), history)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
