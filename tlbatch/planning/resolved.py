"""A study with everything resolved that decides its plan: datasets as listed, runs, controls, rows without labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tlbatch.contracts.evaluation import DescribedParams, PromptedParams
from tlbatch.datasets.listing import Listing
from tlbatch.planning.champion_tasks import PINNED, ResolvedChampion
from tlbatch.planning.controls import Images
from tlbatch.planning.runs import ResolvedRun
from tlbatch.spec import Study
from tlbatch.tasks import InputRef

NONE = Images(0, 0)


@dataclass(frozen=True)
class ListedData:
    """What the plan knows of a dataset before anything is read: where, which classes, and the digest of its listing."""

    url: str
    classes: tuple[str, ...]
    digest: str
    listing: Listing | None = None  #: None where only these facts of it are asked for
    facts: Mapping[str, Any] = field(default_factory=dict)
    tasks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  #: classes of each of several, the main one first
    files: int = 0  #: how many are listed
    notes: tuple[str, ...] = ()  #: what people should know of it: files that cannot be used, what was left out


@dataclass(frozen=True)
class ZeroLabel:
    """A backbone's own head on the target's classes, with no labels: ``mapping`` is class -> indices of its outputs.

    ``described``: where some classes are known by their texts alone; ``vectors``: where word vectors are. ``prompted``: of a
    CLIP network, the texts that name the classes. ``trained_on``: what its weights learned from.
    """

    name: str
    backbone: dict[str, Any]
    input: dict[str, Any]
    mapping: dict[str, list[int]]
    precision: str
    location: str | None = None
    described: DescribedParams | None = None
    vectors: str | None = None
    prompted: PromptedParams | None = None
    trained_on: str = "ImageNet"


@dataclass(frozen=True)
class ResolvedStudy:
    """All that decides a plan."""

    study: Study
    data: ListedData
    runs: Sequence[ResolvedRun]
    controls: Sequence[ResolvedRun] = ()
    zero_label: Sequence[ZeroLabel] = ()
    seen: dict[str, str] = field(default_factory=dict)
    document: dict[str, Any] = field(default_factory=dict)
    defended: ResolvedChampion | None = None
    corrections: dict[str, int] = field(default_factory=dict)
    held_out: tuple[str, ...] = ()  #: classes of the dataset that nothing trains on, and that ``data`` does not name
    sources: Mapping[str, ListedData] = field(default_factory=dict)  #: by name, as ``data`` is of the target
    images: Images = NONE  #: of ``data``, that train and that choose, as far as the listing tells
    pins: InputRef | None = None  #: of a schedule whose study asks for advice: what divides the images; a firing makes its own
    cautions: tuple[str, ...] = ()  #: what the study asks for and will not get, as far as the listing tells

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know of the datasets."""
        held_out = (f"held out of all training: {', '.join(self.held_out)}",) if self.held_out else ()
        return (*held_out, *(note for data in (self.data, *self.sources.values()) for note in data.notes))

    @property
    def division(self) -> dict[str, Any]:
        """How a task divides the images, as its parameters have it."""
        return {"split": self.study.dataset.split, "classes": self.data.classes}

    def division_of(self, task: str | None) -> dict[str, Any]:
        """The same for one of several tasks, with its own classes."""
        return self.division if task is None else {**self.division, "classes": self.data.tasks[task], "task": task}

    @property
    def pinned(self) -> dict[str, str]:
        """What tasks need that divide the images: a schedule's pins."""
        return PINNED if self.defended else {}
