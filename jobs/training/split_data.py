"""The images a task trains on and those it is judged on: never a test image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from jobs.context import Context
from jobs.curves.draws import draw_of
from jobs.data.index import IndexEntry, load_index
from jobs.data.overlaps import OVERLAP_FILE, held_back_of
from jobs.data.pins import Pins, pins_of
from jobs.data.source_split import HELD_BACK, split_source
from jobs.data.split import split_index
from jobs.data.split_groups import unit_names
from jobs.training.batches import TARGET
from jobs.training.hidden_labels import HIDDEN, hide_labels
from jobs.training.settings import Settings
from tlbatch import nouns
from tlbatch.contracts.data import LearntTask, SourceParams
from tlbatch.contracts.models import Drawn
from tlbatch.errors import DataError
from tlbatch.roles import DATASET, overlap_input, source_input

Entries = tuple[IndexEntry, ...]


@dataclass(frozen=True)
class Parts:
    """Training and validation images, each sorted by content, and the classes in the order of the network's outputs.

    ``sources``: the same of the sources that the strategy reads, by role (``source:films``). ``classes`` of theirs are the
    target's, unless the strategy takes them with their own. ``tasks``: several that are learnt together: ``classes`` are those
    of one after the other then.
    """

    train: Entries
    validation: Entries
    classes: Sequence[str]
    sources: Mapping[str, Parts] = field(default_factory=dict)
    tasks: tuple[LearntTask, ...] = ()

    def of(self, role: str) -> Parts:
        """Of the target, or of a source."""
        return self if role == TARGET else self.sources[role]

    @property
    def roles(self) -> list[str]:
        """All that are read, the target first."""
        return [TARGET, *self.sources]

    def labels(self, entries: Entries) -> Tensor:
        """int64 [n], of several tasks [n, tasks]; -1 where the strategy may not read it, and where it is not known."""
        if self.tasks:
            return torch.stack([labels_of(entries, task) for task in self.tasks], dim=1)
        places = {HIDDEN: -1} | {name: place for place, name in enumerate(self.classes)}
        return torch.tensor([places[entry.label] for entry in entries], dtype=torch.int64)

    def of_task(self, task: LearntTask) -> Parts:
        """What has a label of one of the tasks, by that label."""
        train, validation = (
            tuple(replace(entry, label=entry.tasks[task.name]) for entry in entries if task.name in entry.tasks)
            for entries in (self.train, self.validation)
        )
        return Parts(train, validation, task.classes)

    def groups(self) -> list[str]:
        """For each training image a name that its copies, and the images of its group, share."""
        return unit_names(self.train)


def labels_of(entries: Entries, task: LearntTask) -> Tensor:
    """int64 [n]; -1 where it is not known. Raises KeyError for a label that is no class of the task."""
    places = {name: place for place, name in enumerate(task.classes)}
    found = [places[entry.tasks[task.name]] if task.name in entry.tasks else -1 for entry in entries]
    return torch.tensor(found, dtype=torch.int64)


def load_parts(context: Context, settings: Settings) -> Parts:
    """The split of the prepared target, or one of its folds, and those of the sources; without labels that may not be read.

    Raises DataError where one leaves a class without training images.
    """
    params, index = settings.params, load_index(context.input(DATASET))
    target = target_parts(index, settings, pins_of(context))
    held_back = {entry.id for entry in index} - {entry.id for entry in target.train}
    if (shown := settings.labels_read) is not None:
        train = hide_labels(target.train, shown, settings.seed)
        target = replace(target, train=train, validation=hide_labels(target.validation, 0, settings.seed))
    sources = {
        source_input(name): _source_parts(context, settings, name, asked, held_back) for name, asked in params.sources.items()
    }
    if settings.labels_read is not None and settings.chooses and not any(each.validation for each in sources.values()):
        raise DataError(
            f"the sources hold out no {nouns.items()} to choose by: give one split: {{validation: 0.15}}, "
            "or say train.select: last"
        )
    return replace(target, sources=sources)


def _source_parts(context: Context, settings: Settings, name: str, asked: SourceParams, held_back: Collection[str]) -> Parts:
    entries = load_index(context.input(source_input(name)))
    if (overlap := overlap_input(name)) in context.task.inputs:
        held_back = {*held_back, *held_back_of(context.input(overlap).read_json(OVERLAP_FILE), held_back)}
    split = split_source(name, entries, asked.split, asked.classes, held_back)
    shown = sum(why == HELD_BACK for _, why in split.left_out)
    if shown:
        print(
            f"{name}: {shown} {nouns.items()} train nothing, being (copies of) {nouns.items()} that the target holds back",
            flush=True,
        )
    classes = settings.classes if settings.strategy_entry.shared_classes else list(asked.classes)
    return Parts(split.train, split.validation, classes)


def target_parts(index: Sequence[IndexEntry], settings: Settings, pins: Pins | None = None) -> Parts:
    params = settings.params
    split = split_index(index, params.division, seed_redraw=params.redraw, pins=pins)
    fold = params.fold
    train, validation = (split.train, split.validation) if fold is None else split.fold(fold)
    if params.drawn is not None:
        train = _drawn(train, settings, params.drawn)
    if settings.tasks:
        return _together(Parts(train, validation, [], tasks=settings.tasks), settings)
    missing = sorted(set(settings.classes) - {entry.label for entry in train})
    if missing:
        where = f"the training {nouns.items()}" if fold is None else f"the training {nouns.items()} of fold {fold + 1}"
        raise DataError(
            f"{where} show nothing of {', '.join(missing[:5])}: add {nouns.items()}, name fewer "
            f"dataset.split.folds, or leave the class "
            "out (dataset.classes)"
        )
    if not validation and settings.labels_read is None and settings.chooses:
        raise DataError(
            f"there are no validation {nouns.items()} to choose by: raise dataset.split.validation, or say train.select: last"
        )
    return Parts(train, validation, settings.classes)


def _drawn(train: Entries, settings: Settings, drawn: Drawn) -> Entries:
    """The labels of one draw of a label curve: the very ones that heads are fitted to there. Raises DataError."""
    counts = Counter(entry.label for entry in train)
    smallest = min(settings.classes, key=lambda name: (counts[name], name))
    if counts[smallest] < drawn.labels:
        raise DataError(
            f"curve.scratch: {smallest} trains with {nouns.count(counts[smallest])}, and {drawn.labels} labels a class are "
            "asked for: ask for fewer (curve.scratch.labels), or give dataset.split.train more"
        )
    places = draw_of(train, settings.classes, drawn.draw, settings.params.split.seed).labelled(drawn.labels)
    return tuple(train[place] for place in places)


def _together(parts: Parts, settings: Settings) -> Parts:
    """With the classes of all tasks. Raises DataError where one has none to train on, or none to choose by."""
    for task in parts.tasks:
        own = parts.of_task(task)
        missing = sorted(set(task.classes) - {entry.label for entry in own.train})
        if missing:
            raise DataError(
                f"the training {nouns.items()} that have a label of {task.name} show nothing of {', '.join(missing[:5])}: "
                "fill in labels, or leave the class out of its column"
            )
        if not own.validation and settings.chooses:
            raise DataError(
                f"no validation {nouns.item()} has a label of {task.name} to choose by: fill in labels, raise "
                "dataset.split.validation, or say train.select: last"
            )
    return replace(parts, classes=[f"{task.name}: {name}" for task in parts.tasks for name in task.classes])
