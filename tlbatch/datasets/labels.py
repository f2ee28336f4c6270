"""Labels from a CSV file: which line means which file, and what it says of it. Pure."""

from __future__ import annotations

import csv
import io
import re
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from tlbatch.datasets.partnames import PARTS
from tlbatch.errors import DataError, StudyError
from tlbatch.schema.nearest import suggestion
from tlbatch.spec.dataset import CsvLabels

DELIMITERS = ",;\t|"
COLUMNS = ("id", "label", "split", "group")
ENCODING = "utf-8-sig"
NO_TASKS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the CSV. ``number`` counts from 1, the header included. ``tasks``: labels of several tasks, those known."""

    number: int
    id: str
    label: str
    part: str | None
    group: str | None
    tasks: Mapping[str, str] = field(default_factory=dict)


def read_labels(data: bytes, labels: CsvLabels) -> tuple[list[Line], int]:
    """The labelled lines, and how many lines have no label.

    Columns are found whatever their case. Raises DataError for what is no such table and StudyError, with the nearest name,
    for a column that is not there.
    """
    rows = read_table(data, labels.csv)
    columns = {key: name for key in COLUMNS if (name := getattr(labels, key)) is not None}
    if labels.tasks is not None:
        del columns["label"]
        columns |= {f"tasks.{task}": column for task, column in labels.tasks.items()}
    _check_columns(columns, labels.csv, rows.columns)
    lines = [_line(number, rows.cells(row, columns), labels) for number, row in rows]
    labelled = [line for line in lines if line.id and (line.label or line.tasks)]
    if not labelled and labels.tasks is not None:
        named = ", ".join(map(repr, labels.tasks.values()))
        raise DataError(f"{labels.csv}: no line has a value in column {labels.id!r} and in one of the columns {named}")
    if not labelled:
        raise DataError(f"{labels.csv}: no line has a value in both column {labels.id!r} and column {labels.label!r}")
    return labelled, len(lines) - len(labelled)


class Table:
    """A CSV's lines by their number (from 1, the header included). Raises DataError while it is read."""

    def __init__(self, name: str, columns: Sequence[str], reader: Any) -> None:
        self.name, self.columns, self._reader = name, columns, reader

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        try:
            for row in self._reader:
                if any(cell.strip() for cell in row[len(self.columns) :]):
                    raise DataError(
                        f"{self.name}, line {self._reader.line_num}: has {len(row)} cells, and the first line names "
                        f"{len(self.columns)} columns; put quotes around a value that holds the delimiter"
                    )
                if row:
                    yield self._reader.line_num, row
        except csv.Error as error:
            raise DataError(f"{self.name}, line {self._reader.line_num}: not a table of labels ({error})") from error

    def cells(self, row: Sequence[str], columns: Mapping[str, str]) -> dict[str, str]:
        """The row's values by key, for columns that are there; "" where the line is too short."""
        places = {key: place_of_column(name, self.columns) for key, name in columns.items()}
        return {key: row[place] if place < len(row) else "" for key, place in places.items() if place is not None}


def read_table(data: bytes, name: str, *, skip_blanks: bool = True) -> Table:
    """The table in a CSV's bytes, UTF-8 with or without its mark. The delimiter (comma, semicolon, tab, bar) is the header's.

    ``skip_blanks``: blanks after a delimiter are no part of a value.
    """
    delimiter = max(DELIMITERS, key=_header(data, name).count)
    text = io.TextIOWrapper(io.BytesIO(data), encoding=ENCODING, newline="")
    reader = csv.reader(text, delimiter=delimiter, skipinitialspace=skip_blanks)
    try:
        columns = [column.strip() for column in next((row for row in reader if row), [])]
    except csv.Error as error:
        raise DataError(f"{name}, line 1: not a table of labels ({error})") from error
    return Table(name, columns, reader)


def _header(data: bytes, name: str) -> str:
    """The first line. Raises DataError where any line is no text."""
    try:
        return re.split(r"[\r\n]", data.decode(ENCODING).lstrip("\r\n"), maxsplit=1)[0]
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{name}, line {line}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def place_of_column(name: str, columns: Sequence[str]) -> int | None:
    """Where a column is: under just this name, else under the only one that differs in case."""
    if name in columns:
        return columns.index(name)
    same = [place for place, column in enumerate(columns) if column.casefold() == name.strip().casefold()]
    return same[0] if len(same) == 1 else None


def _check_columns(wanted: Mapping[str, str], csv_name: str, columns: Sequence[str]) -> None:
    for key, column in wanted.items():
        if place_of_column(column, columns) is None:
            raise StudyError(f"dataset.labels.{key}: {csv_name} has no column {column!r}{suggestion(column, columns)}")
    check_one_of_each(wanted.values(), columns, csv_name)


def check_one_of_each(wanted: Iterable[str], columns: Sequence[str], csv_name: str) -> None:
    """Raises DataError where two columns have one of these names: which is meant cannot be told."""
    for column in wanted:
        if columns.count(column) > 1:
            raise DataError(f"{csv_name}: it has {columns.count(column)} columns {column!r}; rename all but one")


def _line(number: int, cells: Mapping[str, str], labels: CsvLabels) -> Line:
    values = {key: cells.get(key, "").strip() for key in (*COLUMNS, *cells)}
    part = _part(values["split"], number, labels)
    name = values["id"].replace("\\", "/").removeprefix("./")
    tasks = {task: label for task in labels.tasks or () if (label := values[f"tasks.{task}"])}
    label = tasks.get(next(iter(labels.tasks)), "") if labels.tasks else values["label"]
    group = sys.intern(values["group"]) if values["group"] else None
    return Line(number, name, sys.intern(label), part, group, tasks or NO_TASKS)


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


@dataclass(frozen=True, slots=True)
class Match:
    """What a file, or a line without one, comes to."""

    path: str
    line: Line
    problem: str = ""


def match_lines(
    lines: Sequence[Line], paths: Iterable[str], name: str, suffixes: frozenset[str] = frozenset()
) -> Iterator[Match]:
    """For each file that lines name, its line; for each line without just one file, why (``name``: the CSV file's).

    A line's id is a file's name, with or without folders and extension. Lines that contradict each other spoil their file.
    ``suffixes``: which of several files of one name are meant; no file is refused for its suffix.
    """
    lookup = _Lookup(paths, suffixes)
    first: dict[str, Line] = {}
    more: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        found = lookup.find(line.id)
        if len(found) == 1:
            if first.setdefault(found[0], line) is not line:
                more[found[0]].append(line)
        elif found:
            some = ", ".join(found[:3])
            yield Match(
                line.id, line, f"{name}, line {line.number}: {len(found)} files have this name ({some}); add the folder"
            )
        else:
            yield Match(line.id, line, f"{name}, line {line.number}, names it, but there is no such file")
    for path, said in first.items():
        others = [line for line in more.get(path, ()) if _said(line) != _said(said)]
        yield Match(path, said, _contradiction(said, others[0], name) if others else "")


def _said(line: Line) -> tuple[Any, ...]:
    return line.label, line.part, line.group, dict(line.tasks)


def _contradiction(one: Line, other: Line, name: str) -> str:
    for task in sorted({*one.tasks, *other.tasks}):
        if (said := one.tasks.get(task, "none")) != (also := other.tasks.get(task, "none")):
            return f"{name} gives it two labels of {task}: {said} in line {one.number}, {also} in line {other.number}"
    what = "labels" if one.label != other.label else "parts" if one.part != other.part else "groups"
    pair = {"labels": (one.label, other.label), "parts": (one.part, other.part), "groups": (one.group, other.group)}[what]
    return f"{name} gives it two {what}: {pair[0]} in line {one.number}, {pair[1]} in line {other.number}"


class _Lookup:
    """Files by the last part of their names."""

    def __init__(self, paths: Iterable[str], suffixes: frozenset[str]) -> None:
        self._suffixes = suffixes
        self._by_stem: dict[str, str | list[str]] = {}  # a list only where there are several: there may be a million
        self._composed: _Lookup | None = None
        self._paths = list(paths)
        for path in self._paths:
            stem = PurePosixPath(path).stem
            others = self._by_stem.setdefault(stem, path)
            if others is not path:
                self._by_stem[stem] = [*_several(others), path]

    def find(self, name: str) -> list[str]:
        """Files that a line's id names: as written, else with letters composed otherwise."""
        return self._find(name) or self._find_composed(name)

    def _find(self, name: str) -> list[str]:
        last = name.rpartition("/")[2]
        found = _fitting(_several(self._by_stem.get(PurePosixPath(last).stem, [])), name) or [
            path for path in _several(self._by_stem.get(last, [])) if _fits(str(PurePosixPath(path).with_suffix("")), name)
        ]
        meant = [path for path in found if PurePosixPath(path).suffix.lower() in self._suffixes]
        return meant if len(found) > 1 and meant else found

    def _find_composed(self, name: str) -> list[str]:
        """``ä`` is one character to some systems and two to others."""
        if name.isascii():
            return []
        composed = {path: unicodedata.normalize("NFC", path) for path in self._paths if not path.isascii()}
        if self._composed is None:
            self._composed = _Lookup(composed.values(), self._suffixes)
        found = set(self._composed._find(unicodedata.normalize("NFC", name)))
        return [path for path, same in composed.items() if same in found]


def _several(paths: str | list[str]) -> list[str]:
    return [paths] if isinstance(paths, str) else paths


def _fitting(paths: Iterable[str], name: str) -> list[str]:
    found = [path for path in paths if _fits(path, name)]
    return [name] if name in found else found


def _fits(path: str, name: str) -> bool:
    return path == name or path.endswith(f"/{name}")
