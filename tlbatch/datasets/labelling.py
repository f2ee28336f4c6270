"""The three ways a dataset says its labels: a folder per class, ready-made parts, a CSV. No image is read."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tlbatch import nouns
from tlbatch.datasets.foldertree import FoundFile, litter_of
from tlbatch.datasets.labels import Line, Match, match_lines, read_labels
from tlbatch.datasets.listing import ListedFile
from tlbatch.datasets.walk import Walk, walk
from tlbatch.errors import DataError, StudyError
from tlbatch.kinds import kind_of
from tlbatch.packed import Packed, Packing, packed
from tlbatch.schema.nearest import suggestion
from tlbatch.spec.dataset import CsvLabels, Dataset, Source
from tlbatch.store import NotFoundError, open_store

MOST_CSV_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Labelled:
    """All files that have a label, the labels that folders name, and the files that nothing labels."""

    walk: Walk
    files: Packed[ListedFile]
    named: list[str]
    unlabelled: int
    loose: tuple[str, ...]


def label_files(dataset: Dataset | Source) -> Labelled:
    """Every file that has a label, with aliases merged and groups; corrections are not applied. Raises as ``list_dataset``."""
    found = walk(dataset.url, follow_links=dataset.follow_links)
    if not found.files and dataset.url.startswith("s3://"):
        raise DataError(f"dataset.url: there is nothing under {found.url}; fix the prefix, or upload the {nouns.items()}")
    if dataset.labels is not None:
        labelled = _by_csv(found, dataset.labels, kind_of(dataset.kind_name).suffixes)
    elif dataset.split.folders is not None:
        labelled = _by_parts(found, dataset.split.folders)
    else:
        labelled = _by_class(found)
    files = _grouped(labelled.files, dataset.split.group)
    if dataset.aliases:
        files = packed(ListedFile, (_merged(file, dataset.aliases) for file in files))
    return replace(labelled, files=files, named=[dataset.aliases.get(name, name) for name in labelled.named])


def _merged(file: ListedFile, aliases: Mapping[str, str]) -> ListedFile:
    """Of several tasks the labels of each."""
    tasks = {task: aliases.get(label, label) for task, label in file.tasks.items()}
    return replace(file, label=aliases.get(file.label, file.label), tasks=tasks)


def _listed(file: FoundFile, label: str, part: str | None = None, group: str | None = None) -> ListedFile:
    return ListedFile(file.path, file.size, file.etag, sys.intern(label), part, group, file.problem)


def _by_class(found: Walk) -> Labelled:
    """A folder per class, nested as deep as you like."""
    inside = (file for file in found.files if _in_folder(file, ""))
    files = packed(ListedFile, (_listed(file, file.path.partition("/")[0]) for file in inside))
    if not files:
        raise DataError(
            f"{found.url} holds no folder with {nouns.items()}: put them in a folder for each class, or name a CSV "
            f"file (dataset.labels)"
        )
    loose = tuple(file.path for file in found.files if not _in_folder(file, ""))
    return Labelled(found, files, found.inner_folders(), len(loose), loose)


def _by_parts(found: Walk, folders: Mapping[Any, str]) -> Labelled:
    """Ready-made parts, each a folder with a folder per class."""
    files = Packing(ListedFile)
    named: list[str] = []
    prefixes = {part: folder.strip("/") + "/" for part, folder in folders.items()}
    for part, prefix in prefixes.items():
        before = len(files)
        for file in found.files:
            if _inside(file, prefix):
                files.append(_listed(file, file.path.removeprefix(prefix).partition("/")[0], part))
        if len(files) == before:
            near = suggestion(folders[part], sorted(path for path in found.folders if found.inner_folders(path)))
            raise StudyError(
                f"dataset.split.folders.{part}: no class folder with {nouns.items()} in {found.url}/{prefix}{near}"
            )
        named += found.inner_folders(prefix.rstrip("/"))
    loose = tuple(file.path for file in found.files if not any(_inside(file, prefix) for prefix in prefixes.values()))
    labelled = files.packed()
    return Labelled(found, labelled, named, len(found.files) - len(labelled), loose)


def _inside(file: FoundFile, prefix: str) -> bool:
    return file.path.startswith(prefix) and _in_folder(file, prefix)


def _in_folder(file: FoundFile, prefix: str) -> bool:
    """Whether a file is in a folder below ``prefix``; a key such as ``/1.jpg`` is in none that has a name."""
    return file.folder or file.path.removeprefix(prefix).find("/") > 0


def _by_csv(found: Walk, labels: CsvLabels, suffixes: frozenset[str]) -> Labelled:
    """Labels of a CSV beside the images."""
    lines, without_label = read_labels(_csv_of(found, labels), labels)
    paths = (path for path in found.files.column("path") if path != labels.csv)
    said: dict[str, Line] = {}
    spoilt: dict[str, list[Match]] = defaultdict(list)
    for match in match_lines(lines, paths, labels.csv, suffixes):
        if match.problem:
            spoilt[match.path].append(match)
        else:
            said[match.path] = match.line
    files, loose = Packing(ListedFile), list[str]()
    for file in found.files:
        if file.path in said:
            files.append(_of_line(file, said[file.path]))
        elif file.path in spoilt:
            files.append(_of_match(spoilt.pop(file.path)[0]))
        elif file.path != labels.csv:
            loose.append(file.path)
    if not len(files):
        raise DataError(
            f"{labels.csv}: none of its {len(lines)} names in column {labels.id!r} is a file in {found.url} "
            f"(the first: {lines[0].id!r})"
        )
    for matches in spoilt.values():
        for match in matches:
            files.append(_of_match(match))
    return Labelled(found, files.packed(), [], max(len(loose), without_label), tuple(loose))


def _of_line(file: FoundFile, line: Line) -> ListedFile:
    return replace(_listed(file, line.label, line.part, line.group), tasks=line.tasks)


def _of_match(match: Match) -> ListedFile:
    return _of_line(FoundFile(match.path, problem=match.problem), match.line)


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


def _grouped(files: Packed[ListedFile], pattern: str | None) -> Packed[ListedFile]:
    """Groups from the paths: what the pattern's first parentheses match."""
    if pattern is None:
        return files
    sought = re.compile(pattern)
    if not any(map(sought.search, files.column("path"))):
        raise StudyError(f"dataset.split.group: {pattern!r} matches no path (the first: {files[0].path!r})")

    def group(path: str) -> str | None:
        match = sought.search(path)
        return match.group(1) if match else None

    return packed(ListedFile, (replace(file, group=group(file.path)) for file in files))
