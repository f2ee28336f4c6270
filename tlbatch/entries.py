"""What plug-ins add, the half without torch: scratch networks, heads, augmentations and metrics.

Strategies have theirs in ``tlbatch.strategies``, kinds of data in ``tlbatch.kinds``, backbones in ``tlbatch.backbones.added``.
Each ``program`` is the other half: ``package.module:function``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tlbatch.schema.base import Part

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Measures:
    """What ``tlbatch check`` says of a network. ``parameters``, and ``features``: values it gives for an item.

    Bytes an item in float32, for the forecast of memory: ``kept`` for the backward pass, ``working``: in and out of its largest
    layer.
    """

    parameters: int
    features: int
    kept: int
    working: int


def not_measured(shape: tuple[int, ...], settings: Settings) -> Measures | None:
    return None


def not_counted(features: int, classes: int, settings: Settings) -> int | None:
    return None


@dataclass(frozen=True)
class AddedNetwork:
    """A network for ``model: {scratch: {plugin:name: {…}}}``, trained from random weights.

    ``program(shape, settings)`` gives an ``nn.Module`` from items [n, *shape] to features [n, …], without a classifier: tlbatch
    puts one on top. ``shape`` is that of one item as it is fed: (channels, height, width) of pictures. ``settings``: what may
    be set of it; None where nothing may. ``measures(shape, settings)``: for ``tlbatch check``; None where that is not known.
    """

    name: str
    title: str
    program: str
    settings: type[Part] | None = None
    measures: Callable[[tuple[int, ...], Settings], Measures | None] = not_measured


@dataclass(frozen=True)
class AddedHead:
    """A head for ``model: {head: {plugin:name: {…}}}``, on the features of a backbone.

    ``program(features, classes, settings)`` gives an ``nn.Module`` from features [n, features] to logits [n, classes].
    ``settings``: what may be set of it; None where nothing may. ``parameters(features, classes, settings)``: how many it has,
    for ``tlbatch check``; None where that is not known.
    """

    name: str
    title: str
    program: str
    settings: type[Part] | None = None
    parameters: Callable[[int, int, Settings], int | None] = not_counted


@dataclass(frozen=True)
class AddedAugmentation:
    """Random changes of training items for ``augmentation: {plugin:name: {…}}``.

    ``program(items, settings, chance)`` takes a batch (float, as its kind of data loads it) and a torch generator on the CPU,
    by whose state alone it changes the items; the batch it returns has the same shape, type and device. ``kind``: of data, by
    its full name. ``settings``: what may be set of it; None where nothing may.
    """

    name: str
    title: str
    program: str
    kind: str = "image"
    settings: type[Part] | None = None


@dataclass(frozen=True)
class AddedMetric:
    """A metric for ``metrics: [plugin:name]`` of a study, computed beside tlbatch's own with the same intervals.

    ``program(weighted)`` gives an array [b]: the metric in each of b resamples of the test images, in which they count as
    ``weighted.weights`` [n, b] says (``jobs.statistics.predictions.Weighted``); NaN where it is not defined. ``title``: the
    head of its column. It lies between ``lowest`` and ``highest``.
    """

    name: str
    title: str
    program: str
    higher_is_better: bool = True
    lowest: float = 0.0
    highest: float = 1.0
