"""The dataset's kind of data, and what of the runs has to go with it: input, augmentation, network."""

from __future__ import annotations

from collections.abc import Iterator

from tlbatch.entries import AddedAugmentation
from tlbatch.errors import StudyError
from tlbatch.kinds import DEFAULT_KIND, Kind, kind_of
from tlbatch.plugins import find
from tlbatch.schema.yamltree import Mistake, Path
from tlbatch.spec.added import added_name, check_added, check_settings, name_and_settings
from tlbatch.spec.model import Scratch
from tlbatch.spec.study import Run, Study

KIND: Path = ("dataset", "kind")


def check_kind(study: Study) -> Iterator[Mistake]:
    """Nothing more is said of runs where the kind itself is wrong."""
    asked = study.dataset.kind
    try:
        kind = kind_of(study.dataset.kind_name)
    except StudyError as error:
        yield Mistake(KIND, str(error))
        return
    if asked is not None and study.dataset.kind_name is not None:
        yield from check_settings(kind.name, kind.settings, name_and_settings(asked)[1], KIND)
    for name, source in study.sources.items():
        if source.kind_name != study.dataset.kind_name:
            text = f"must be {kind.name}, as dataset.kind: the datasets of a study are of one kind"
            yield Mistake(("sources", name, "kind"), text, None, (KIND,))
    for number, run in enumerate(study.runs):
        yield from _input(run, ("runs", number, "input"), kind)
        yield from _augmentation(run, ("runs", number, "augmentation"), kind)
        yield from _network(run, ("runs", number, "model"), kind)


def _input(run: Run, path: Path, kind: Kind) -> Iterator[Mistake]:
    if isinstance(run.input, dict):
        name, given = name_and_settings(run.input)
        if name == kind.name:
            yield from check_settings(name, kind.input, given, path)
        else:
            yield Mistake(path, f"is how {name} is fed, and dataset.kind is {kind.name}", None, (KIND,))
    elif kind.name != DEFAULT_KIND and run.input.model_fields_set:
        text = f"is how images are fed, and dataset.kind is {kind.name}: write {{{kind.name}: {{…}}}}"
        yield Mistake(path, text, None, (KIND,))


def _augmentation(run: Run, path: Path, kind: Kind) -> Iterator[Mistake]:
    asked = run.augmentation
    name = added_name(asked)
    if name is None:
        if asked is not None and kind.name != DEFAULT_KIND:
            yield Mistake(path, f"changes images, and dataset.kind is {kind.name}: name a plug-in's", None, (KIND,))
        return
    wrong = list(check_added("augmentations", asked, path))
    yield from wrong
    entry: AddedAugmentation | None = None if wrong else find("augmentations", name)
    if entry is not None and entry.kind != kind.name:
        yield Mistake(path, f"{name} changes {entry.kind}, and dataset.kind is {kind.name}", None, (KIND,))


def _network(run: Run, path: Path, kind: Kind) -> Iterator[Mistake]:
    """tlbatch's own networks take images."""
    if kind.name == DEFAULT_KIND:
        return
    rest = f"takes images, and dataset.kind is {kind.name}: name a plug-in's"
    backbone, scratch = run.model.backbone, run.model.scratch
    if isinstance(backbone, str) and added_name(backbone) is None:
        yield Mistake((*path, "backbone"), f"{backbone} {rest}", None, (KIND,))
    if isinstance(scratch, Scratch):
        yield Mistake((*path, "scratch"), f"tlbatch's own CNN {rest}", None, (KIND,))
