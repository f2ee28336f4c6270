"""Parameters of the tasks that have a network: which one, from which weights; ``extract`` and ``finetune``."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tlbatch.contracts.base import Open, Parameters
from tlbatch.contracts.data import Divided, LearntTask, SourceParams
from tlbatch.spec.train import Train


class Weights(Open):
    """``kind`` says which of the others are there: ``named``, ``file``, ``random``, ``run`` (an earlier study's), ``none``."""

    kind: str
    name: str | None = None
    sha256: str | None = None
    from_: str | None = Field(default=None, alias="from")


class Backbone(Open):
    """``name`` None: that of the earlier study's model that the weights are."""

    name: str | None
    weights: Weights


class Model(Open):
    """A ``scratch`` network, or a ``backbone`` up to a ``layer``, pooled, with a ``head`` (tlbatch.spec.model)."""

    scratch: dict[str, Any] | None = None
    backbone: Backbone | None = None
    layer: str | None = None
    pool: str | None = None
    head: dict[str, Any] | None = None


class Redrawn(Divided):
    """A division whose training images each of ``redraws`` draws anew (None: the one division)."""

    redraws: tuple[int | None, ...]


class Views(Redrawn):
    """Extra augmented views of each image that trains in any of the redraws."""

    count: int
    augmentation: dict[str, Any] | None


class ExtractParams(Parameters):
    """``input``: the kind of data's own, how the network is fed. ``plugins``: what it was planned with.

    ``divided``: images that no part of it has need no features; None: all that are prepared do.
    """

    backbone: Backbone
    layer: str | None
    pool: str
    input: dict[str, Any]
    precision: str
    views: Views | None
    divided: Redrawn | None = None
    plugins: dict[str, dict[str, str]] = Field(default_factory=dict)


class Trained(Parameters):
    """What is asked of a finetune task by those who read its document long after."""

    model: Model
    precision: str


class Drawn(Parameters):
    """So many ``labels`` a class of the training images: those of a ``draw`` of a label curve (jobs.curves.draws)."""

    labels: int
    draw: int


class FinetuneParams(Trained, Divided):
    """One training with one seed. ``strategy``: its name, or its name over its settings.

    ``input`` and ``augmentation`` are the kind of data's own. ``redraw``: the seed that draws other training images.
    ``drawn``: it trains on a part of them alone. ``sources``: those that it reads, by name. ``tasks``: those that it learns
    together, the main one first; ``classes`` are the main one's then. ``plugins``: what it was planned with.
    """

    strategy: str | dict[str, dict[str, Any]]
    input: dict[str, Any]
    augmentation: dict[str, Any] | None
    train: Train
    seed: int
    redraw: int | None
    fold: int | None
    views: int = 0
    drawn: Drawn | None = None
    sources: dict[str, SourceParams] = Field(default_factory=dict)
    tasks: tuple[LearntTask, ...] = ()
    plugins: dict[str, dict[str, str]] = Field(default_factory=dict)


class ExtendParams(Trained, Divided):
    """A model that gets a class more. ``label``: the class; ``classes``: those that its dataset is divided by.

    ``model`` and ``precision`` are those of the model that it starts from.
    """

    label: str
