"""What an entry says of a way to learn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tlbatch.roles import SOURCE, TARGET
from tlbatch.schema.base import Part
from tlbatch.schema.yamltree import Mistake, Path


@dataclass(frozen=True)
class CheckedRun:
    """A run as a strategy's ``check`` sees it. ``stages`` of its backbone and ``used`` ones: empty where they are not known.
    ``scratch``: it has no backbone.

    ``path`` is where the strategy's own settings stand in the study, ``model_path`` where the model does.
    """

    settings: Any
    backbone: str
    layer: str | None
    stages: Sequence[str]
    used: Sequence[str]
    epochs: int
    path: Path
    model_path: Path
    scratch: bool = False


Check = Callable[[CheckedRun], Iterator[Mistake]]


def nothing_wrong(run: CheckedRun) -> Iterator[Mistake]:
    yield from ()


def no_detail(settings: Mapping[str, Any]) -> str:
    return ""


def nothing_learns(settings: Mapping[str, Any], stages: Sequence[str]) -> tuple[str, ...]:
    return ()


def nothing_beside(settings: Mapping[str, Any], features: int) -> int:
    return 0


def all_labels(settings: Mapping[str, Any]) -> int | None:
    return None


@dataclass(frozen=True)
class OwnControl:
    """A control that a strategy brings: the very run, learning by this ``strategy`` instead. ``tested``: whether the
    difference is a planned comparison; else it is only shown beside it."""

    name: str
    strategy: str | dict[str, Any]
    tested: bool


@dataclass(frozen=True)
class Strategy:
    """One way to learn.

    ``program``: ``module:function`` that trains (jobs.strategies). ``model``: which of a study's models it is for, or either.
    ``roles``: what it reads: the ``target``, and ``source`` where it learns from the study's sources; its tasks are handed
    nothing else. ``shared_classes``: a source's images count by the target's classes, and those of others are left out; else
    a source has classes of its own.
    ``consumes``: inputs, or features that an extract task leaves before. ``settings``: what may be set (``strategy: {name:
    {…}}``), None where nothing may. ``heads``: which heads it trains: dense, those fitted at once
    (tlbatch.spec.model.FITTED), added (plug-ins'). ``several_tasks``: whether it learns several tasks together, where a dataset
    has labels of such. ``shares``: whether several processes may
    train it together (resources.nodes): its objective asks for a batch's logits, and for nothing else of the network.
    ``in_pieces``: whether a batch may go through the network piece by piece (train.micro_batch_size): its objective is a sum
    over the batch's rows (jobs.training.objective.InPieces).
    ``frozen_once``: whether stages that never learn may be run before its first epoch (jobs.strategies.frozen).
    ``whole``: whether parts of the backbone may learn. ``check``: mistakes that its settings make with a run.
    ``learning(settings, stages)``: the
    stages of a backbone that learn. ``labels_read``: from its settings, how many labels of the target's training images it
    reads, a class; None: all of them, and those of validation. The others it is not handed, nor any of validation.
    ``own_controls``: from its settings, and whether its model is ``scratch`` or a ``backbone``; with them, none of those that
    pretrained runs have is planned. ``beside``: from its settings and how many features an item has, the weights that its
    training has beside the network's. ``phrase``: what a run is called in reports, from its settings and layer; ``detail``: of
    its settings, in tables.
    """

    name: str
    title: str
    program: str
    model: Literal["scratch", "backbone", "either"]
    phrase: Callable[[Mapping[str, Any], str], str]
    consumes: Literal["inputs", "features"] = "inputs"
    roles: frozenset[str] = frozenset({TARGET})
    shared_classes: bool = True
    settings: type[Part] | None = None
    heads: frozenset[str] = frozenset({"dense"})
    several_tasks: bool = False
    shares: bool = False
    in_pieces: bool = False
    frozen_once: bool = False
    whole: bool = False
    default: bool = False
    check: Check = nothing_wrong
    detail: Callable[[Mapping[str, Any]], str] = no_detail
    learning: Callable[[Mapping[str, Any], Sequence[str]], tuple[str, ...]] = nothing_learns
    labels_read: Callable[[Mapping[str, Any]], int | None] = all_labels
    own_controls: Callable[[Mapping[str, Any], str], Iterator[OwnControl]] | None = None
    beside: Callable[[Mapping[str, Any], int], int] = nothing_beside

    def __post_init__(self) -> None:
        unknown = sorted(self.roles - {TARGET, SOURCE})
        if unknown or TARGET not in self.roles:
            what = f"reads {unknown[0]!r}, which is no role" if unknown else "does not read the target"
            raise ValueError(f"strategy {self.name} {what}: roles are {TARGET} and, beside it, {SOURCE}")

    @property
    def reads_sources(self) -> bool:
        return SOURCE in self.roles

    @property
    def on_features(self) -> bool:
        return self.consumes == "features"

    def label(self, settings: Mapping[str, Any]) -> str:
        """Its name, and what tells its settings from others, for tables."""
        return f"{self.name} {self.detail(settings)}".strip()
