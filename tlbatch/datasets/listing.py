"""What a dataset consists of, by its listing alone: files, labels, parts, groups. No image is read.

The listing is prepare's input: its digest covers all of it but the place, so that it is taken anew every night at the cost of a
walk over a folder or one sweep of LIST requests.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tlbatch.datasets.foldertree import FoundFile, is_litter, subfolders, walk_folder
from tlbatch.datasets.labels import match_lines, read_labels
from tlbatch.errors import DataError, StudyError
from tlbatch.spec.dataset import CsvLabels, Dataset
from tlbatch.spec.decode import suggestion
from tlbatch.store import NotFoundError, Store, open_store

LISTING_FORMAT = 1


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

    ``corrected`` and ``left_out`` count what corrections (``tlbatch data relabel``) changed; no part of the digest.
    """

    url: str
    classes: tuple[str, ...]
    empty_classes: tuple[str, ...]
    files: tuple[ListedFile, ...]
    unlabelled: int = 0
    corrected: int = 0
    left_out: int = 0

    @property
    def digest(self) -> str:
        """sha256 (hex) over everything but the URL."""
        return hashlib.sha256(_canonical(self._content())).hexdigest()

    def to_json(self) -> bytes:
        return _canonical({"format": LISTING_FORMAT, "url": self.url, **self._content()})

    @staticmethod
    def from_json(data: bytes) -> Listing:
        """Decode, leniently towards unknown fields. Raises StudyError for a newer format."""
        document = json.loads(data)
        if document["format"] > LISTING_FORMAT:
            raise StudyError(f"listing of format {document['format']}: this tlbatch reads up to {LISTING_FORMAT}; upgrade it")
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

    ``corrections`` (path to label, "" leaves the file out) take the place of the dataset's own labels.

    Raises StudyError where the study names what is not there (folder, bucket, class, column), DataError where what is there
    is no labelled dataset, TransientError where the store cannot be reached.
    """
    place = open_store(dataset.url)
    found = _found(place, dataset.url)
    if dataset.labels is not None:
        files, unlabelled = _by_csv(place, found, dataset.labels)
        named: list[str] = []
    elif dataset.split.folders is not None:
        files, unlabelled, named = _by_parts(place, found, dataset.split.folders)
    else:
        files, unlabelled, named = _by_class(place, found)
    files = _grouped(files, dataset.split.group)
    changed = _corrected(files, corrections or {})
    kept = [file for file in changed if file.label]
    if files and not kept:
        raise DataError(
            f"{place.url}: the corrections leave every image out; `tlbatch data relabel STUDY --undo` takes them back"
        )
    listing = _chosen(place.url, kept, unlabelled, named, dataset.classes)
    corrected = sum(file.label not in (before.label, "") for before, file in zip(files, changed, strict=True))
    return replace(listing, corrected=corrected, left_out=len(changed) - len(kept))


def _found(place: Store, url: str) -> list[FoundFile]:
    """All files in one sweep, sorted by path."""
    if url.startswith("s3://"):
        found = [FoundFile(stat.name, stat.size, stat.etag) for stat in place.list() if not is_litter(stat.name)]
        if not found:
            raise DataError(f"dataset.url: there is nothing under {place.url}; mend the prefix, or upload the images")
        return found
    root = Path(place.url)
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "there is no such folder"
        raise StudyError(f"dataset.url: {root}: {what}; name one that holds a folder of images for each class")
    try:
        return sorted(walk_folder(root), key=lambda file: file.path)
    except OSError as error:
        raise StudyError(f"dataset.url: {root} cannot be opened ({error.strerror}); mend its permissions") from error


def _local_folders(place: Store, *parts: str) -> list[str]:
    """Folders in a local dataset, empty ones too; an object store has none."""
    if place.url.startswith("s3://"):
        return []
    try:
        return subfolders(Path(place.url, *parts))
    except OSError:
        return []


def _listed(file: FoundFile, label: str, part: str | None = None, group: str | None = None) -> ListedFile:
    return ListedFile(file.path, file.size, file.etag, label, part, group, file.problem)


# ---- the three ways a dataset says its labels ----


def _by_class(place: Store, found: Sequence[FoundFile]) -> tuple[list[ListedFile], int, list[str]]:
    """A folder per class, nested as deep as you like."""
    inside = [file for file in found if "/" in file.path or file.folder]
    files = [_listed(file, file.path.partition("/")[0]) for file in inside]
    if not files:
        raise DataError(
            f"{place.url} holds no folder with images: put them in a folder for each class, or name a CSV file (dataset.labels)"
        )
    return files, len(found) - len(inside), _local_folders(place)


def _by_parts(place: Store, found: Sequence[FoundFile], folders: dict[Any, str]) -> tuple[list[ListedFile], int, list[str]]:
    """Ready-made parts, each a folder with a folder per class."""
    files: list[ListedFile] = []
    named: list[str] = []
    for part, folder in folders.items():
        prefix = folder.strip("/") + "/"
        inside = [file for file in found if file.path.startswith(prefix) and "/" in file.path.removeprefix(prefix)]
        if not inside:
            raise StudyError(
                f"dataset.split.folders.{part}: no class folder with images in {place.url}/{prefix}"
                f"{suggestion(folder, _first_parts(found))}"
            )
        files += [_listed(file, file.path.removeprefix(prefix).partition("/")[0], part) for file in inside]
        named += _local_folders(place, folder.strip("/"))
    return files, len(found) - len(files), named


def _first_parts(found: Iterable[FoundFile]) -> list[str]:
    return sorted({file.path.partition("/")[0] for file in found if "/" in file.path})


def _by_csv(place: Store, found: Sequence[FoundFile], labels: CsvLabels) -> tuple[list[ListedFile], int]:
    """Labels of a CSV beside the images."""
    try:
        data = place.get(labels.csv)
    except (NotFoundError, ValueError) as error:
        near = suggestion(labels.csv, [file.path for file in found if file.path.lower().endswith((".csv", ".tsv", ".txt"))])
        raise DataError(f"dataset.labels.csv: there is no {labels.csv} in {place.url}{near}") from error
    lines, without_label = read_labels(data, labels)
    by_path = {file.path: file for file in found if file.path != labels.csv}
    matches = list(match_lines(lines, by_path, labels.csv))
    if not any(match.path in by_path for match in matches):
        raise DataError(
            f"{labels.csv}: none of its {len(lines)} names in column {labels.id!r} is a file in {place.url} "
            f"(the first: {lines[0].id!r})"
        )
    files = []
    for match in matches:
        file = by_path.get(match.path) if not match.problem else FoundFile(match.path, problem=match.problem)
        if file is not None:
            files.append(_listed(file, match.line.label, match.line.part, match.line.group))
    used = sum(match.path in by_path for match in matches)
    return files, max(len(by_path) - used, without_label)


# ---- corrections, groups, classes ----


def _corrected(files: Sequence[ListedFile], corrections: Mapping[str, str]) -> list[ListedFile]:
    """The files in their order with corrected labels; "" for those to leave out."""
    return [replace(file, label=corrections[file.path]) if file.path in corrections else file for file in files]


def _grouped(files: list[ListedFile], pattern: str | None) -> list[ListedFile]:
    """Groups from the paths: what the pattern's first parentheses match."""
    if pattern is None:
        return files
    matches = [re.search(pattern, file.path) for file in files]
    if not any(matches):
        raise StudyError(f"dataset.split.group: {pattern!r} matches no path (the first: {files[0].path!r})")
    return [replace(file, group=match.group(1) if match else None) for file, match in zip(files, matches, strict=True)]


def _chosen(
    url: str, files: list[ListedFile], unlabelled: int, named: Sequence[str], classes: tuple[str, ...] | None
) -> Listing:
    """The listing of the classes the study wants: those it names, else all that have files."""
    present = {file.label for file in files}
    empty = sorted(set(named) - present)
    if classes is None:
        chosen = tuple(sorted(present))
    else:
        for name in classes:
            if name not in present:
                what = "has no files" if name in empty else "is no class here"
                raise StudyError(f"dataset.classes: {name!r} {what} ({url}){suggestion(name, sorted(present))}")
        chosen, empty = classes, []
    if len(chosen) < 2:
        raise DataError(f"{url}: a classifier needs at least two classes with images, and there is only {chosen[0]!r}")
    kept = tuple(sorted((file for file in files if file.label in set(chosen)), key=lambda file: file.path))
    return Listing(url, chosen, tuple(empty), kept, unlabelled)
