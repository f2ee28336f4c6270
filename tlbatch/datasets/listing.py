"""What a dataset consists of, by its listing alone: files, labels, parts, groups. No image is read.

The listing is prepare's input: its digest covers all of it but the place, so that it is taken anew every night at the cost of a
walk over a folder or one sweep of LIST requests.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from tlbatch.datasets.foldertree import FoundFile, litter_of
from tlbatch.datasets.labels import match_lines, read_labels
from tlbatch.datasets.layout import inner_parts, layout_of, refused_parts, written_parts
from tlbatch.datasets.lookalikes import alike, refused_alike
from tlbatch.datasets.partnames import kind_of_part
from tlbatch.datasets.walk import SHOWN, LeftOut, Walk, examples, walk
from tlbatch.errors import DataError, OtherVersionError, StudyError
from tlbatch.schema.nearest import suggestion
from tlbatch.spec.dataset import CsvLabels, Dataset
from tlbatch.store import NotFoundError, open_store
from tlbatch.store.documents import parse

LISTING_FORMAT = 1
MOST_CSV_BYTES = 512 * 2**20


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file and what the dataset says of it. ``problem`` tells why it cannot be an image, where that is known already."""

    path: str  #: relative to the dataset's URL
    size: int  #: bytes
    etag: str  #: an S3 ETag, or time and size of a local file
    label: str
    part: str | None = None  #: train, validation or test
    group: str | None = None
    problem: str = ""


@dataclass(frozen=True)
class Listing:
    """A dataset's labelled files, sorted by path. ``unlabelled`` counts the files that nothing gives a label.

    ``corrected`` and ``left_out`` count what corrections (``tlbatch data relabel``) changed, ``passed_over`` is what else of
    the place is not in it, ``inner_parts`` are folders that look like parts and are not used so: no part of the digest.
    """

    url: str
    classes: tuple[str, ...]
    empty_classes: tuple[str, ...]
    files: tuple[ListedFile, ...]
    unlabelled: int = 0
    corrected: int = 0
    left_out: int = 0
    passed_over: tuple[LeftOut, ...] = ()
    inner_parts: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """sha256 (hex) over everything but the URL."""
        return hashlib.sha256(_canonical(self._content())).hexdigest()

    def to_json(self) -> bytes:
        return _canonical({"format": LISTING_FORMAT, "url": self.url, **self._content()})

    @staticmethod
    def from_json(data: bytes) -> Listing:
        """Decode, leniently towards unknown fields. Raises StudyError for a newer format."""
        document = parse(data)
        if document["format"] > LISTING_FORMAT:
            raise OtherVersionError(
                f"listing of format {document['format']}: this tlbatch reads up to {LISTING_FORMAT}; upgrade it"
            )
        fields = ListedFile.__dataclass_fields__
        files = tuple(ListedFile(**{k: v for k, v in file.items() if k in fields}) for file in document["files"])
        classes, empty = tuple(document["classes"]), tuple(document["empty_classes"])
        return Listing(document["url"], classes, empty, files, document.get("unlabelled", 0))

    def _content(self) -> dict[str, Any]:
        return {
            "classes": self.classes,
            "empty_classes": self.empty_classes,
            "unlabelled": self.unlabelled,
            "files": [asdict(file) for file in self.files],
        }


def _canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def list_dataset(dataset: Dataset, corrections: Mapping[str, str] | None = None) -> Listing:
    """List the dataset and give every file its label, part and group.

    ``corrections`` (path to label, "" leaves the file out) take the place of the dataset's own labels; ``dataset.aliases``
    merge labels after that.

    Raises StudyError where the study names what is not there (folder, bucket, class, column) or does not say what a folder
    called like a part is, DataError where what is there is no labelled dataset or has classes that look alike,
    TransientError where the store cannot be reached.
    """
    labelled = _labelled(dataset)
    before = labelled.files
    changed = _corrected(before, corrections or {}, dataset.aliases)
    kept = [file for file in changed if file.label]
    if before and not kept:
        raise DataError(
            f"{labelled.walk.url}: the corrections leave every image out; `tlbatch data relabel STUDY --undo` takes them back"
        )
    if dataset.labels is None and dataset.classes is None:
        _check_parts(labelled, kept)
    _check_alike(labelled.walk.url, kept, dataset.classes)
    listing = _chosen(labelled, kept, dataset.classes)
    corrected = sum(file.label not in (own.label, "") for own, file in zip(before, changed, strict=True))
    return replace(listing, corrected=corrected, left_out=len(changed) - len(kept))


def own_labels(dataset: Dataset) -> tuple[dict[str, str], list[str]]:
    """Path to label of every labelled file, and every label: what corrections are held against. Raises as ``list_dataset``."""
    if dataset.classes is None:
        listing = list_dataset(dataset)
        return {file.path: file.label for file in listing.files}, sorted({*listing.classes, *listing.empty_classes})
    labelled = _labelled(dataset)
    own = {file.path: file.label for file in labelled.files}
    return own, sorted({*own.values(), *labelled.named})


@dataclass(frozen=True)
class _Labelled:
    """All files that have a label, the labels that folders name, and the files that nothing labels."""

    walk: Walk
    files: list[ListedFile]
    named: list[str]
    unlabelled: int
    loose: tuple[str, ...]


def _labelled(dataset: Dataset) -> _Labelled:
    found = walk(dataset.url, follow_links=dataset.follow_links)
    if not found.files and dataset.url.startswith("s3://"):
        raise DataError(f"dataset.url: there is nothing under {found.url}; fix the prefix, or upload the images")
    if dataset.labels is not None:
        labelled = _by_csv(found, dataset.labels)
    elif dataset.split.folders is not None:
        labelled = _by_parts(found, dataset.split.folders)
    else:
        labelled = _by_class(found)
    files = _grouped(labelled.files, dataset.split.group)
    merged = [replace(file, label=dataset.aliases.get(file.label, file.label)) for file in files] if dataset.aliases else files
    return replace(labelled, files=merged, named=[dataset.aliases.get(name, name) for name in labelled.named])


def _listed(file: FoundFile, label: str, part: str | None = None, group: str | None = None) -> ListedFile:
    return ListedFile(file.path, file.size, file.etag, label, part, group, file.problem)


# ---- the three ways a dataset says its labels ----


def _by_class(found: Walk) -> _Labelled:
    """A folder per class, nested as deep as you like."""
    inside = [file for file in found.files if _in_folder(file, "")]
    files = [_listed(file, file.path.partition("/")[0]) for file in inside]
    if not files:
        raise DataError(
            f"{found.url} holds no folder with images: put them in a folder for each class, or name a CSV file (dataset.labels)"
        )
    loose = tuple(file.path for file in found.files if not _in_folder(file, ""))
    return _Labelled(found, files, found.inner_folders(), len(loose), loose)


def _by_parts(found: Walk, folders: Mapping[Any, str]) -> _Labelled:
    """Ready-made parts, each a folder with a folder per class."""
    files: list[ListedFile] = []
    named: list[str] = []
    for part, folder in folders.items():
        prefix = folder.strip("/") + "/"
        inside = [file for file in found.files if file.path.startswith(prefix) and _in_folder(file, prefix)]
        if not inside:
            near = suggestion(folder, sorted(path for path in found.folders if found.inner_folders(path)))
            raise StudyError(f"dataset.split.folders.{part}: no class folder with images in {found.url}/{prefix}{near}")
        files += [_listed(file, file.path.removeprefix(prefix).partition("/")[0], part) for file in inside]
        named += found.inner_folders(folder.strip("/"))
    used = {file.path for file in files}
    loose = tuple(file.path for file in found.files if file.path not in used)
    return _Labelled(found, files, named, len(found.files) - len(files), loose)


def _in_folder(file: FoundFile, prefix: str) -> bool:
    """Whether a file is in a folder below ``prefix``; a key such as ``/1.jpg`` is in none that has a name."""
    return file.folder or file.path.removeprefix(prefix).find("/") > 0


def _by_csv(found: Walk, labels: CsvLabels) -> _Labelled:
    """Labels of a CSV beside the images."""
    lines, without_label = read_labels(_csv_of(found, labels), labels)
    by_path = {file.path: file for file in found.files if file.path != labels.csv}
    matches = list(match_lines(lines, by_path, labels.csv))
    if not any(match.path in by_path for match in matches):
        raise DataError(
            f"{labels.csv}: none of its {len(lines)} names in column {labels.id!r} is a file in {found.url} "
            f"(the first: {lines[0].id!r})"
        )
    files = []
    for match in matches:
        file = by_path.get(match.path) if not match.problem else FoundFile(match.path, problem=match.problem)
        if file is not None:
            files.append(_listed(file, match.line.label, match.line.part, match.line.group))
    used = {match.path for match in matches if match.path in by_path}
    loose = tuple(path for path in by_path if path not in used)
    return _Labelled(found, files, [], max(len(by_path) - len(used), without_label), loose)


def _csv_of(found: Walk, labels: CsvLabels) -> bytes:
    """The CSV's bytes. It is found by the walk too, so that no pipe, link or system file is read for it."""
    file = next((file for file in found.files if file.path == labels.csv), None)
    if file is None:
        near = suggestion(
            labels.csv, [file.path for file in found.files if file.path.lower().endswith((".csv", ".tsv", ".txt"))]
        )
        hidden = f"; hidden files are not looked at, and {litter_of(labels.csv)} is one" if litter_of(labels.csv) else ""
        raise DataError(f"dataset.labels.csv: there is no {labels.csv} in {found.url}{hidden or near}")
    if file.problem:
        raise DataError(f"dataset.labels.csv: {labels.csv} in {found.url}: {file.problem}")
    if file.size > MOST_CSV_BYTES:
        raise DataError(
            f"dataset.labels.csv: {labels.csv} in {found.url} is {file.size / 2**20:,.0f} MiB; a table of labels may have "
            f"{MOST_CSV_BYTES // 2**20}: is it one?"
        )
    try:
        return open_store(found.url).get(labels.csv)
    except NotFoundError as error:
        raise DataError(f"dataset.labels.csv: {labels.csv} in {found.url} is gone meanwhile: once more lists anew") from error


# ---- corrections, groups, classes ----


def _corrected(files: Sequence[ListedFile], corrections: Mapping[str, str], aliases: Mapping[str, str]) -> list[ListedFile]:
    """The files in their order with corrected labels; "" for those to leave out."""

    def label(file: ListedFile) -> str:
        given = corrections.get(file.path, file.label)
        return aliases.get(given, given)

    return [replace(file, label=label(file)) if file.path in corrections else file for file in files]


def _grouped(files: list[ListedFile], pattern: str | None) -> list[ListedFile]:
    """Groups from the paths: what the pattern's first parentheses match."""
    if pattern is None:
        return files
    matches = [re.search(pattern, file.path) for file in files]
    if not any(matches):
        raise StudyError(f"dataset.split.group: {pattern!r} matches no path (the first: {files[0].path!r})")
    return [replace(file, group=match.group(1) if match else None) for file, match in zip(files, matches, strict=True)]


def _check_parts(labelled: _Labelled, files: Sequence[ListedFile]) -> None:
    """Folders called like parts of a split are no classes unless ``dataset.classes`` says so. Raises StudyError."""
    classes = sorted({file.label for file in files})
    names = [name for name in classes if kind_of_part(name)]
    if names:
        raise StudyError(f"{labelled.walk.url}: {refused_parts(names, (file.path for file in files), classes)}")


def _check_alike(url: str, files: Iterable[ListedFile], classes: Sequence[str] | None) -> None:
    """Names equal to the eye are one class written twice, or must be told apart by ``dataset.classes``. Raises DataError."""
    counts = Counter(file.label for file in files)
    groups = alike({name: counts[name] for name in classes or counts}, apart=classes or ())
    if groups:
        raise DataError(f"{url}: {refused_alike(groups, counts)}")


def _chosen(labelled: _Labelled, files: Sequence[ListedFile], classes: tuple[str, ...] | None) -> Listing:
    """The listing of the classes the study wants: those it names, else all that have files."""
    url = labelled.walk.url
    counts = Counter(file.label for file in files)
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
            f"{url}: a classifier needs at least two classes with images, and there is only {chosen[0]!r}{_within(files)}"
        )
    kept = tuple(sorted((file for file in files if file.label in set(chosen)), key=lambda file: file.path))
    _check_opened(labelled, kept, counts)
    listing = Listing(url, chosen, tuple(empty), kept, labelled.unlabelled)
    return replace(listing, passed_over=_passed_over(labelled, counts, chosen), inner_parts=_inner_parts(labelled, kept))


def _check_opened(labelled: _Labelled, files: Iterable[ListedFile], counts: Mapping[str, int]) -> None:
    """A class of which nothing is seen but a folder that cannot be opened is lost, not one bad file. Raises DataError."""
    shut = {file.path for file in labelled.walk.files if file.folder}
    for file in files if shut else ():
        if file.path in shut and counts[file.label] == 1:
            raise DataError(
                f"{labelled.walk.url}/{file.path}: {file.problem}, so that class {file.label!r} has no image: fix its "
                "permissions, or leave the class out by naming the others in dataset.classes"
            )


def _within(files: Iterable[ListedFile]) -> str:
    """Where the classes are, when all of them are in one folder."""
    found = layout_of(file.path for file in files)
    if not found.below:
        return ""
    parts = f", with dataset.split: {{folders: {written_parts(replace(found, below=''))}}}" if found.parts else ""
    inside = examples(list(found.classes)[:SHOWN], len(found.classes))
    return f", which holds folders ({inside}): add /{found.below} to dataset.url{parts}"


def _passed_over(labelled: _Labelled, counts: Mapping[str, int], chosen: Sequence[str]) -> tuple[LeftOut, ...]:
    """What of the place is not in the listing, by why."""
    others = {name: count for name, count in counts.items() if name not in chosen}
    more = list(labelled.walk.left_out)
    if labelled.loose:
        more.append(LeftOut.of("without a label", labelled.loose))
    if others:
        more.append(LeftOut("of classes not chosen", sum(others.values()), tuple(sorted(others))))
    return tuple(more)


def _inner_parts(labelled: _Labelled, files: Iterable[ListedFile]) -> tuple[str, ...]:
    """Folders such as ``cat/train``, where nothing else says how the images are divided."""
    by_folder = all(file.part is None for file in labelled.files) and bool(labelled.named)
    return inner_parts(file.path for file in files) if by_folder else ()
