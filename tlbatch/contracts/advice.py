"""Parameters of the tasks that give advice: ``probe`` of each candidate, and ``advise``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tlbatch.contracts.base import Parameters
from tlbatch.contracts.data import Divided
from tlbatch.contracts.models import Backbone


class ProbeParams(Divided):
    """Training and validation images through all layers of one backbone.

    ``input``: how it is fed. ``layers``: always ``all`` that have a name; advice picks among them. ``images``: at most so many.
    ``plugins``: what it was planned with.
    """

    backbone: Backbone
    layers: Literal["all"] = "all"
    input: dict[str, Any]
    precision: str
    images: int | None
    plugins: dict[str, dict[str, str]] = Field(default_factory=dict)


class AskedCandidate(Parameters):
    """A candidate as it is shown. ``floor``: random weights, which nobody is advised to take features from.

    ``asked``: its number in the study's ``advise.candidates``, None of the floor. ``parameters`` of the whole network and
    ``top1`` on ImageNet as published, None where not known; ``top1_of``: the weights that were published with it, where the
    candidate's own are others. ``work``: what a forward pass costs: values that layers put out for an image, in millions.
    """

    name: str
    title: str
    floor: bool
    asked: int | None
    backbone: str | None
    parameters: int | None
    top1: float | None
    top1_of: str
    work: float | None
    input: dict[str, Any]


class AdviseParams(Parameters):
    """``study``: whose advice it is. ``layers``: which layers are judged (tlbatch.spec.advise)."""

    study: str
    classes: tuple[str, ...]
    layers: Literal["last", "stages", "all"]
    candidates: tuple[AskedCandidate, ...]
