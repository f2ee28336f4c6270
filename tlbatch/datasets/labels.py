"""Labels from a CSV file: which line means which file, and what it says of it. Pure."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from tlbatch.errors import DataError, StudyError
from tlbatch.init import IMAGE_SUFFIXES, PARTS
from tlbatch.spec.dataset import CsvLabels
from tlbatch.spec.decode import suggestion

DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class Line:
    """One line of the CSV. ``number`` counts from 1, the header included."""

    number: int
    id: str
    label: str
    part: str | None
    group: str | None


def read_labels(data: bytes, labels: CsvLabels) -> tuple[list[Line], int]:
    """The labelled lines, and how many lines have no label.

    The delimiter (comma, semicolon, tab or bar) is that of the header. Raises DataError for what is no such table and
    StudyError, with the nearest name, for a column that is not there.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{labels.csv}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    header = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(DELIMITERS, key=header.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        _check_columns(labels, [name.strip() for name in reader.fieldnames or ()])
        reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
        lines = [_line(reader.line_num, row, labels) for row in reader]
    except csv.Error as error:
        raise DataError(f"{labels.csv}, line {reader.line_num}: not a table of labels ({error})") from error
    labelled = [line for line in lines if line.id and line.label]
    if not labelled:
        raise DataError(f"{labels.csv}: no line has a value in both column {labels.id!r} and column {labels.label!r}")
    return labelled, len(lines) - len(labelled)


def _check_columns(labels: CsvLabels, columns: Sequence[str]) -> None:
    for key in ("id", "label", "split", "group"):
        column = getattr(labels, key)
        if column is not None and column not in columns:
            raise StudyError(f"dataset.labels.{key}: {labels.csv} has no column {column!r}{suggestion(column, columns)}")


def _line(number: int, row: dict[str, str | None], labels: CsvLabels) -> Line:
    def value(column: str | None) -> str:
        return (row.get(column) or "").strip() if column else ""

    name = value(labels.id).replace("\\", "/").removeprefix("./")
    part = _part(value(labels.split), number, labels)
    return Line(number, name, value(labels.label), part, value(labels.group) or None)


def _part(text: str, number: int, labels: CsvLabels) -> str | None:
    if not text:
        return None
    known = {alias: part for part, aliases in PARTS.items() for alias in aliases}
    if text.lower() not in known:
        raise StudyError(
            f"{labels.csv}, line {number}: {text!r} in column {labels.split!r} is no part{suggestion(text, known)}; "
            "write train, validation or test"
        )
    return known[text.lower()]


@dataclass(frozen=True)
class Match:
    """What a file, or a line without one, comes to."""

    path: str
    line: Line
    problem: str = ""


def match_lines(lines: Sequence[Line], paths: Iterable[str], name: str) -> Iterator[Match]:
    """For each file that lines name, its line; for each line without just one file, why (``name``: the CSV file's).

    A line's id is a file's name, with or without folders and extension. Lines that contradict each other spoil their file.
    """
    lookup = _Lookup(paths)
    by_path: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        found = lookup.find(line.id)
        if len(found) == 1:
            by_path[found[0]].append(line)
        elif found:
            some = ", ".join(found[:3])
            yield Match(
                line.id, line, f"{name}, line {line.number}: {len(found)} files have this name ({some}); add the folder"
            )
        else:
            yield Match(line.id, line, f"{name}, line {line.number}, names it, but there is no such file")
    for path, said in by_path.items():
        others = [
            line for line in said[1:] if (line.label, line.part, line.group) != (said[0].label, said[0].part, said[0].group)
        ]
        yield Match(path, said[0], _contradiction(said[0], others[0], name) if others else "")


def _contradiction(one: Line, other: Line, name: str) -> str:
    what = "labels" if one.label != other.label else "parts" if one.part != other.part else "groups"
    pair = {"labels": (one.label, other.label), "parts": (one.part, other.part), "groups": (one.group, other.group)}[what]
    return f"{name} gives it two {what}: {pair[0]} in line {one.number}, {pair[1]} in line {other.number}"


class _Lookup:
    """Files by the last part of their names."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for path in paths:
            pure = PurePosixPath(path)
            self._by_name[pure.name].append(path)
            self._by_stem[pure.stem].append(path)

    def find(self, name: str) -> list[str]:
        last = name.rpartition("/")[2]
        found = _fitting(self._by_name.get(last, ()), name) or [
            path for path in self._by_stem.get(last, ()) if _fits(str(PurePosixPath(path).with_suffix("")), name)
        ]
        images = [path for path in found if PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES]
        return images if len(found) > 1 and images else found


def _fitting(paths: Iterable[str], name: str) -> list[str]:
    found = [path for path in paths if _fits(path, name)]
    return [name] if name in found else found


def _fits(path: str, name: str) -> bool:
    return path == name or path.endswith(f"/{name}")
