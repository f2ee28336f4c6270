"""What a dataset consists of, by its listing alone: files, labels, parts, groups; and its classes. No image is read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from tlbatch import nouns
from tlbatch.datasets.labelling import Labelled, label_files
from tlbatch.datasets.layout import inner_parts, layout_of, refused_parts, written_parts
from tlbatch.datasets.listing import ListedFile, Listing
from tlbatch.datasets.lookalikes import alike, refused_alike
from tlbatch.datasets.partnames import kind_of_part
from tlbatch.datasets.walk import SHOWN, LeftOut, examples
from tlbatch.errors import DataError, StudyError
from tlbatch.packed import Packed, in_order, packed, those
from tlbatch.schema.nearest import suggestion
from tlbatch.spec.dataset import Dataset, Images, Source

_OF_THE_TARGET = re.compile(rf"\bdataset\.({'|'.join([*Images.model_fields, 'split'])})\b")


def list_dataset(dataset: Dataset | Source, corrections: Mapping[str, str] | None = None) -> Listing:
    """List the dataset and give every file its label, part and group.

    ``corrections`` (path to label, "" leaves the file out) take the place of the dataset's own labels; ``dataset.aliases``
    merge labels after that.

    Raises StudyError where the study names what is not there (folder, bucket, class, column) or does not say what a folder
    called like a part is, DataError where what is there is no labelled dataset or has classes that look alike,
    TransientError where the store cannot be reached.
    """
    if corrections and dataset.tasks:
        raise StudyError(
            f"{refused_corrections(dataset)} (`tlbatch data relabel STUDY --undo` takes those back that there are)"
        )
    labelled = label_files(dataset)
    before = labelled.files
    changed = _corrected(before, corrections or {}, dataset.aliases)
    kept = those(changed, lambda label, tasks: bool(label or tasks), "label", "tasks")
    if before and not kept:
        raise DataError(
            f"{labelled.walk.url}: the corrections leave every {nouns.item()} out; `tlbatch data relabel STUDY "
            f"--undo` takes them back"
        )
    if dataset.labels is None and dataset.classes is None:
        _check_parts(labelled, kept)
    _check_alike(labelled.walk.url, filter(None, kept.column("label")), dataset.classes)
    for task in dataset.tasks[1:]:
        _check_alike(labelled.walk.url, (said[task] for said in kept.column("tasks") if task in said), None, task)
    listing = _with_tasks(_chosen(labelled, kept, dataset.classes), dataset.tasks)
    corrected = sum(now not in (own, "") for own, now in zip(before.column("label"), changed.column("label"), strict=True))
    return replace(listing, corrected=corrected, left_out=len(changed) - len(kept))


def refused_corrections(dataset: Dataset | Source) -> str:
    """Why there are none of several tasks: a correction says one label of a file, and not which task's."""
    where = dataset.labels.csv if dataset.labels else "the table"
    return f"dataset.labels.tasks: labels of several tasks are corrected in {where} itself, not by `tlbatch data relabel`"


def own_labels(dataset: Dataset) -> tuple[dict[str, str], list[str]]:
    """Path to label of every labelled file, and every label: what corrections are held against. Raises as ``list_dataset``."""
    if dataset.classes is None:
        listing = list_dataset(dataset)
        return dict(listing.files.columns("path", "label")), sorted({*listing.classes, *listing.empty_classes})
    labelled = label_files(dataset)
    own: dict[str, str] = dict(labelled.files.columns("path", "label"))
    return own, sorted({*own.values(), *labelled.named})


def _corrected(files: Packed[ListedFile], corrections: Mapping[str, str], aliases: Mapping[str, str]) -> Packed[ListedFile]:
    """The files in their order with corrected labels; "" for those to leave out."""
    if not corrections:
        return files

    def label(file: ListedFile) -> str:
        given = corrections.get(file.path, file.label)
        return aliases.get(given, given)

    return packed(ListedFile, (replace(file, label=label(file)) if file.path in corrections else file for file in files))


def _check_parts(labelled: Labelled, files: Packed[ListedFile]) -> None:
    """Folders called like parts of a split are no classes unless ``dataset.classes`` says so. Raises StudyError."""
    classes = sorted(set(files.column("label")))
    names = [name for name in classes if kind_of_part(name)]
    if names:
        raise StudyError(f"{labelled.walk.url}: {refused_parts(names, files.column('path'), classes)}")


def _with_tasks(listing: Listing, tasks: Sequence[str]) -> Listing:
    """With the classes of each of several tasks, the main one first. Raises DataError for one that has not two."""
    found = {}
    for task in tasks:
        counts = Counter(said[task] for said in listing.files.column("tasks") if task in said)
        found[task] = listing.classes if task == tasks[0] else tuple(sorted(counts))
        if len(found[task]) < 2:
            only = f"and there is only {found[task][0]!r}" if found[task] else "and none is known"
            raise DataError(f"{listing.url}: task {task} needs at least two classes, {only}: fill its column, or leave it out")
    return replace(listing, tasks=found)


def _check_alike(url: str, labels: Iterable[str], classes: Sequence[str] | None, task: str = "") -> None:
    """Names equal to the eye are one class written twice, or must be told apart by ``dataset.classes``. Raises DataError."""
    counts = Counter(labels)
    groups = alike({name: counts[name] for name in classes or counts}, apart=classes or ())
    if groups:
        raise DataError(f"{url}: {refused_alike(groups, counts, task)}")


def _chosen(labelled: Labelled, files: Packed[ListedFile], classes: tuple[str, ...] | None) -> Listing:
    """The listing of the classes the study wants: those it names, else all that have files."""
    url = labelled.walk.url
    counts = Counter(filter(None, files.column("label")))
    empty = sorted(set(labelled.named) - set(counts))
    if classes is None:
        chosen = tuple(sorted(counts))
    else:
        for name in classes:
            if name not in counts:
                what = "has no files" if name in empty else "is no class here"
                raise StudyError(f"dataset.classes: {name!r} {what} ({url}){suggestion(name, sorted(counts))}")
        chosen, empty = classes, []
    if len(chosen) < 2:
        raise DataError(
            f"{url}: a classifier needs at least two classes with {nouns.items()}, and there is only "
            f"{chosen[0]!r}{_within(files)}"
        )
    wanted = {*chosen, ""}  # "": of several tasks the main one's label is not known
    kept = in_order("path", those(files, lambda label: label in wanted, "label"))
    _check_opened(labelled, kept, counts)
    listing = Listing(url, chosen, tuple(empty), kept, labelled.unlabelled)
    return replace(listing, passed_over=_passed_over(labelled, counts, chosen), inner_parts=_inner_parts(labelled, kept))


def _check_opened(labelled: Labelled, files: Iterable[ListedFile], counts: Mapping[str, int]) -> None:
    """A class of which nothing is seen but a folder that cannot be opened is lost, not one bad file. Raises DataError."""
    shut = {path for path, folder in labelled.walk.files.columns("path", "folder") if folder}
    for file in files if shut else ():
        if file.path in shut and counts[file.label] == 1:
            raise DataError(
                f"{labelled.walk.url}/{file.path}: {file.problem}, so that class {file.label!r} has no {nouns.item()}: fix its "
                "permissions, or leave the class out by naming the others in dataset.classes"
            )


def _within(files: Packed[ListedFile]) -> str:
    """Where the classes are, when all of them are in one folder."""
    found = layout_of(files.column("path"))
    if not found.below:
        return ""
    parts = f", with dataset.split: {{folders: {written_parts(replace(found, below=''))}}}" if found.parts else ""
    inside = examples(list(found.classes)[:SHOWN], len(found.classes))
    return f", which holds folders ({inside}): add /{found.below} to dataset.url{parts}"


def _passed_over(labelled: Labelled, counts: Mapping[str, int], chosen: Sequence[str]) -> tuple[LeftOut, ...]:
    """What of the place is not in the listing, by why."""
    others = {name: count for name, count in counts.items() if name not in chosen}
    more = list(labelled.walk.left_out)
    if labelled.loose:
        more.append(LeftOut.of("without a label", labelled.loose))
    if others:
        more.append(LeftOut("of classes not chosen", sum(others.values()), tuple(sorted(others))))
    return tuple(more)


def _inner_parts(labelled: Labelled, files: Packed[ListedFile]) -> tuple[str, ...]:
    """Folders such as ``cat/train``, where nothing else says how the images are divided."""
    by_folder = all(part is None for part in labelled.files.column("part")) and bool(labelled.named)
    return inner_parts(files.column("path")) if by_folder else ()


def list_source(name: str, source: Source) -> Listing:
    """One of a study's sources, listed as its dataset is; what is wrong is said by its own name. Raises as ``list_dataset``."""
    try:
        return list_dataset(source)
    except (StudyError, DataError) as error:
        said = _OF_THE_TARGET.sub(rf"sources.{name}.\1", str(error))
        raise type(error)(said if said != str(error) else f"sources.{name}: {said}") from error
