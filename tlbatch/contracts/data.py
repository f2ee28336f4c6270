"""Parameters of the tasks that read, divide and pin a dataset: ``prepare`` and ``pin``; and how the others divide it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tlbatch.contracts.base import Parameters
from tlbatch.spec.dataset import Dataset, SourceSplit, Split

ALL_PAIRS = 50_000
"""Pictures of which all pairs are looked at for near copies; of more those that share a list of an inverted file."""
SHARED_FROM = 2_000
"""Pictures from which on a process for each core shares the search: to start them takes half a second."""
INVERTED_FILE = "inverted file"
STORED_SIZE = int(Dataset.model_fields["stored_size"].default)


class Stored(Parameters):
    """What is asked of a prepare task by those who read its document long after.

    ``settings``: what is set of a plug-in's ``kind`` of data.
    """

    stored_size: int = STORED_SIZE
    kind: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)

    @property
    def stored(self) -> dict[str, Any]:
        """By what a file's item is stored (jobs.data.items.ItemKind.read)."""
        return {"stored_size": self.stored_size, **self.settings}

    @property
    def kind_of_data(self) -> dict[str, Any]:
        """Of a plug-in's kind, as parameters have it; nothing of pictures."""
        return {"kind": self.kind, "settings": self.settings} if self.kind else {}


def searched(files: int, kind: str | None) -> dict[str, Any]:
    """What ``near_copies`` is, for so many listed files of a kind (None: pictures); nothing where all pairs are looked at."""
    return {"near_copies": INVERTED_FILE} if kind is None and files > ALL_PAIRS else {}


class PrepareParams(Stored):
    """``dataset``: the digest of the listing that it is to read; the rest as in a study's dataset.

    ``near_copies``: how they are looked for, where there may be more than ``ALL_PAIRS`` pictures: the key of such datasets
    says so. ``plugins``: what it was planned with.
    """

    dataset: str | None = None
    max_bad: float
    near_duplicates: bool
    near_copies: str | None = None
    plugins: dict[str, dict[str, str]] = Field(default_factory=dict)


class OverlapParams(Stored):
    """How items of both datasets are stored. ``near_copies``: as for ``prepare``, of both together. ``plugins``: likewise."""

    stored_size: int
    near_copies: str | None = None
    plugins: dict[str, dict[str, str]] = Field(default_factory=dict)


class Divided(Parameters):
    """How the images are divided, and the classes in the order of a network's outputs; of which ``task``, of several."""

    split: Split
    classes: tuple[str, ...]
    task: str | None = None

    @property
    def division(self) -> dict[str, Any]:
        """What ``jobs.data.split.split_index`` takes."""
        return {**self.split.model_dump(mode="json"), "classes": list(self.classes), "task": self.task}


class LearntTask(Parameters):
    """One of several tasks that are learnt together: its classes, in the order of its outputs."""

    name: str
    classes: tuple[str, ...]


class SourceParams(Parameters):
    """How a source's images are divided, and which classes of it count, in the order of what they stand for."""

    split: SourceSplit
    classes: tuple[str, ...]


class PinParams(Divided):
    """``fresh``: the share of new images that judges before it trains. ``renew``: a person asked for other test images.

    ``tasks``: of several, the classes of each, the main one first.
    """

    fresh: float | None = None
    renew: bool = False
    tasks: tuple[LearntTask, ...] = ()
