"""Fits every head to every draw, and has them say what the test images are; goes on from the fits that are done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.context import Context
from jobs.curves.labelled import Labelled
from jobs.data.features import load_features, load_views
from jobs.finite import finite
from jobs.heads.fitting import fit_head
from tlbatch.contracts.curve import CurveParams, CurveRun
from tlbatch.errors import DeadlineError, Stopped
from tlbatch.store.documents import parse

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
SAVED = "fits.json"
SAVE_EVERY_S = 30.0


@dataclass(frozen=True)
class Series:
    """One curve: of a run, or of its ``control``. ``key``: equal where the same head is fitted to the same features."""

    run: CurveRun
    control: bool
    key: str

    @property
    def name(self) -> str:
        return str(self.run.control) if self.control else self.run.name

    @property
    def role(self) -> str:
        """The input that its features are."""
        return f"{'control' if self.control else 'features'}:{self.run.name}"

    @property
    def views(self) -> int:
        """A control is not fitted to views."""
        return 0 if self.control else self.run.views


@dataclass
class Predicted:
    """``fits``: series key, labels and draw to {predicted: [n] classes of the test images, chosen}."""

    fits: dict[str, dict[str, Any]] = field(default_factory=dict)

    def of(self, series: Series, labels: int) -> list[dict[str, Any]]:
        """By draw."""
        found, number = [], 0
        while (name := _name(series, labels, number)) in self.fits:
            found.append(self.fits[name])
            number += 1
        return found

    def classes(self, series: Series, labels: int) -> Ints:
        """[draws, n] predicted."""
        return np.array([each["predicted"] for each in self.of(series, labels)], dtype=np.int64)


def series_of(params: CurveParams, digests: Mapping[str, str]) -> list[Series]:
    """All curves, a run's control after it. ``digests``: of the inputs."""
    found = []
    for run in params.runs:
        for control in (False, True) if run.control is not None else (False,):
            series = Series(run, control, "")
            asked = json.dumps([digests[series.role], run.head, run.seed, series.views], sort_keys=True)
            found.append(Series(run, control, hashlib.sha256(asked.encode()).hexdigest()[:16]))
    return found


def fit_all(context: Context, params: CurveParams, labelled: Labelled) -> dict[str, tuple[Series, Predicted]]:
    """By the name of the run or control. Raises Stopped and DeadlineError after the fits that are done were saved."""
    everything = series_of(params, {role: ref.digest for role, ref in context.task.inputs.items()})
    predicted = Predicted(_saved(context))
    total = len({each.key for each in everything}) * len(labelled.labels) * len(labelled.draws)
    saved_at = context.spent_s()
    try:
        for series in everything:
            for name, fit in _fits(context, series, labelled, predicted):
                predicted.fits[name] = fit
                context.progress(len(predicted.fits), total, "fits", f"{series.name}, {name.rsplit('/', 2)[1]} labels a class")
                context.check_stop()
                if context.spent_s() - saved_at > SAVE_EVERY_S:
                    _save(context, predicted)
                    saved_at = context.spent_s()
    except (Stopped, DeadlineError):
        _save(context, predicted)
        raise
    context.made["fits"] = len(predicted.fits)
    return {series.name if not series.control else f"{series.run.name}/control": (series, predicted) for series in everything}


def _fits(context: Context, series: Series, labelled: Labelled, done: Predicted) -> Iterator[tuple[str, dict[str, Any]]]:
    """Those that are not done yet."""
    names = [(labels, number) for labels in labelled.labels for number in range(len(labelled.draws))]
    left = [each for each in names if _name(series, *each) not in done.fits]
    if not left:
        return
    features = _Features(context, series, labelled)
    for labels, number in left:
        places = labelled.draws[number].labelled(labels)
        views = features.train.shape[0]
        fitted = fit_head(
            series.run.head,
            features.train[:, places].reshape(views * len(places), -1),
            np.tile(labelled.numbers(labelled.train)[places], views),
            len(labelled.classes),
            seed=series.run.seed,
            groups=[labelled.train_units[place] for place in places] * views,
            tick=lambda done, total: context.check_stop(),
        )
        chosen = {name: value for name, value in fitted.chosen.items() if name != "cv"}
        yield (
            _name(series, labels, number),
            {"predicted": fitted.logits(features.test).argmax(axis=1).tolist(), "chosen": chosen},
        )


class _Features:
    """``train`` [views + 1, n, d] and ``test`` [m, d]."""

    def __init__(self, context: Context, series: Series, labelled: Labelled) -> None:
        self._artifact, self._views, self._labelled = context.input(series.role), series.views, labelled

    @cached_property
    def train(self) -> Floats:
        ids = [entry.id for entry in self._labelled.train]
        plain = load_features(self._artifact, ids)[None]
        found = np.concatenate([plain, load_views(self._artifact, ids)]) if self._views else plain
        return np.asarray(finite(found, "features"), dtype=np.float32)

    @cached_property
    def test(self) -> Floats:
        return np.asarray(finite(load_features(self._artifact, [entry.id for entry in self._labelled.test]), "features"))


def _name(series: Series, labels: int, draw: int) -> str:
    return f"{series.key}/{labels}/{draw}"


def _saved(context: Context) -> dict[str, dict[str, Any]]:
    """Fits of an earlier start."""
    files = context.latest_checkpoint()
    if not files:
        return {}
    found: dict[str, dict[str, Any]] = parse(files[SAVED].read_bytes())
    print(f"going on after {len(found)} fits", flush=True)
    return found


def _save(context: Context, predicted: Predicted) -> None:
    place = context.scratch / SAVED
    place.write_text(json.dumps(predicted.fits), encoding="utf-8")
    context.save_checkpoint(len(predicted.fits), {SAVED: place})
