"""Which layer and which backbone, by stated rules, with how sure that is. Pure.

Nothing is called better that is not shown to be (paired, over units, Holm-adjusted). A layer other than the usual one is taken
only where it is shown to be better, so that the candidates are not compared by their luckiest layers.

Of candidates that are not told apart by how often they are right, the one that gives the labels the highest probability is
taken. The log loss is a proper score (Gneiting and Raftery 2007) that uses how sure each answer was, so it varies less from one
draw of images to the next than counting does: with 100 photographs of ten breeds the network that was right most often was on
average 1.1 to 1.4 points below the best, more than a point in 44 to 50 of 100 draws; that of the lowest log loss 0.1 to 0.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jobs.advice.accuracy import FOLDS
from jobs.advice.judging import Images, Judged, JudgedLayer
from jobs.statistics.cross_validated import cross_validated_difference
from jobs.statistics.differences import LEVEL, Difference, as_family

ENOUGH = 0.97
"""Features are enough where the probe's accuracy is this at least: fine-tuning could win three points at most."""
LABELS_TO_TUNE = 30
"""Labels a class below which fine-tuning is not advised."""


@dataclass(frozen=True)
class Contender:
    """A candidate at the layer it is judged by. ``better_than_usual``: why it is not the default one."""

    judged: Judged
    layer: JudgedLayer
    better_than_usual: Difference | None = None

    @property
    def name(self) -> str:
        return self.judged.asked.name

    @property
    def title(self) -> str:
        return self.judged.asked.title

    @property
    def accuracy(self) -> float:
        return self.layer.probe.value

    @property
    def log_loss(self) -> float:
        return self.layer.log_loss

    @property
    def cost(self) -> tuple[float, float]:
        """By the work of a forward pass, then by parameters; what is not known counts as dearer than anything known."""
        asked = self.judged.asked
        return asked.work if asked.work is not None else float("inf"), float(asked.parameters or 1e12)


@dataclass(frozen=True)
class Rival:
    """Another contender held against the best: ``difference`` is best minus this one, within the family of all of them."""

    contender: Contender
    difference: Difference

    @property
    def tie(self) -> bool:
        """Not shown to be worse than the best."""
        return self.difference.p_adjusted >= LEVEL


@dataclass(frozen=True)
class Choice:
    """``best``: the highest probe accuracy; ``recommended``: of it and its ties the one with the lowest log loss.

    ``gain``: recommended minus the same by the floor, None without a floor. ``how``: features, finetune or scratch.
    """

    contenders: tuple[Contender, ...]
    best: Contender
    recommended: Contender
    rivals: tuple[Rival, ...]
    floor: Contender | None
    gain: Difference | None
    how: str
    labels_a_class: int

    @property
    def ties(self) -> tuple[Rival, ...]:
        return tuple(rival for rival in self.rivals if rival.tie)


def choose(judged: Sequence[Judged], images: Images) -> Choice:
    """Of candidates that are not the floor; the floor is held against what is recommended."""
    contenders = [contend(each, images) for each in judged if not each.asked.floor] or [contend(judged[0], images)]
    best = min(contenders, key=_rank)
    others = [each for each in contenders if each is not best]
    differences = as_family([_difference(best, other, images) for other in others]) if others else []
    rivals = tuple(Rival(other, difference) for other, difference in zip(others, differences, strict=True))
    tied = [rival.contender for rival in rivals if rival.tie]
    recommended = min([best, *tied], key=lambda each: (each.log_loss, each.cost, each.name))
    floor = next((contend(each, images) for each in judged if each.asked.floor), None)
    gain = _difference(recommended, floor, images) if floor is not None else None
    labels = int(np.bincount(images.labels, minlength=len(images.classes)).min())
    ranked = tuple(sorted(contenders, key=_rank))
    return Choice(ranked, best, recommended, rivals, floor, gain, how_to_transfer(recommended, gain, labels), labels)


def _rank(each: Contender) -> tuple[float, float, tuple[float, float], str]:
    return -each.accuracy, each.log_loss, each.cost, each.name


def contend(judged: Judged, images: Images) -> Contender:
    """At the default layer, or at the best of those shown to be better than it."""
    usual, others = judged.own, [layer for layer in judged.layers if layer.name != judged.default]
    if not others:
        return Contender(judged, usual)
    found = as_family([cross_validated_difference(other.right, usual.right, images.units, FOLDS) for other in others])
    better = [(each, layer) for each, layer in zip(found, others, strict=True) if each.value > 0 and each.p_adjusted < LEVEL]
    if not better:
        return Contender(judged, usual)
    difference, layer = max(better, key=lambda pair: pair[0].value)
    return Contender(judged, layer, difference)


def how_to_transfer(recommended: Contender, gain: Difference | None, labels_a_class: int) -> str:
    """The rule: scratch where pretrained features are not shown to beat random ones; features where they are right often
    enough, or labels are few; else fine-tune.

    A rule of thumb, not a measurement (Kornblith et al. 2019: fine-tuning gains most where features are poor): the study that
    is written runs what it says beside features, so that the difference is measured.
    """
    if gain is not None and not (gain.value > 0 and gain.p < LEVEL):
        return "scratch"
    if recommended.accuracy >= ENOUGH or labels_a_class < LABELS_TO_TUNE:
        return "features"
    return "finetune"


def _difference(a: Contender, b: Contender, images: Images) -> Difference:
    return cross_validated_difference(a.layer.right, b.layer.right, images.units, FOLDS)
