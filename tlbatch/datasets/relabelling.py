"""Corrected labels: a CSV of paths and labels, kept in the store beside the dataset's own, which stay as they are.

``labels/<study>/corrections.csv`` is replaced by compare-and-swap; what it held before is beside it as
``corrections-<number>.csv``. An empty label (or ``-``) leaves the image out. ``tlbatch.planning.resolve`` applies them.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tlbatch import nouns
from tlbatch.datasets.inventory import list_dataset, own_labels, refused_corrections
from tlbatch.datasets.labels import check_one_of_each, place_of_column, read_table
from tlbatch.datasets.listing import Listing
from tlbatch.errors import DataError, StudyError, TransientError
from tlbatch.schema.nearest import suggestion
from tlbatch.spec import Study
from tlbatch.spreadsheet import csv_text, restored
from tlbatch.store import ConflictError, NotFoundError, Store
from tlbatch.store.housekeeping import HARMLESS, tidy

OUT = "-"
LABELLED = "labelled"
"""A column of the report's suspects: the label at that time. Lines that still have it were not edited and say nothing."""
SHOWN = 20
NEAR = 3  # unknown paths for which a near one is looked up: that is slow among many


@dataclass(frozen=True)
class Corrections:
    """Path to label ("" leaves the file out), and the etag to replace them with (None: there are none yet)."""

    labels: dict[str, str] = field(default_factory=dict)
    etag: str | None = None


@dataclass(frozen=True)
class Change:
    """What a relabelling does to one file; labels as they count before and after it."""

    path: str
    before: str
    after: str  #: "" leaves it out


@dataclass(frozen=True)
class Relabelling:
    """A CSV held against dataset and earlier corrections: all ``corrections`` after it, and what it changes.

    ``lines`` of the CSV say something, ``same`` of them what counts already. ``emptied`` classes lose their last image.
    """

    corrections: dict[str, str]
    changes: tuple[Change, ...]
    lines: int
    same: int
    emptied: tuple[str, ...] = ()


def corrections_name(study: str) -> str:
    return f"labels/{study}/corrections.csv"


def load_corrections(store: Store, study: str) -> Corrections:
    """The corrections that count for a study now."""
    try:
        data, etag = store.get_with_etag(corrections_name(study))
    except NotFoundError:
        return Corrections()
    return Corrections(dict(_rows(data, f"{store.url}/{corrections_name(study)}")), etag)


def list_corrected(study: Study, store: Store) -> Listing:
    """The study's dataset with its corrections applied. Raises as ``list_dataset``."""
    return list_dataset(study.dataset, load_corrections(store, study.name).labels)


# -- a CSV of corrections -----------------------------------------------------------------------------------------------


def plan_relabelling(study: Study, store: Store, data: bytes, name: str) -> tuple[Relabelling, Corrections]:
    """What the CSV ``data`` would do. Raises StudyError, with all lines at once, for unknown paths and classes."""
    if study.dataset.tasks:
        raise StudyError(refused_corrections(study.dataset))
    present = load_corrections(store, study.name)
    own, known = own_labels(study.dataset)
    aliases = study.dataset.aliases
    lines = [
        replace(line, path=_meant(line.path, own), label=aliases.get(line.label, line.label)) for line in _lines(data, name)
    ]
    wanted = _checked(lines, own, known, name)
    before = {path: aliases.get(label, label) for path, label in present.labels.items()}
    now = {path: before.get(path, label) for path, label in own.items()}
    changes = [Change(path, now[path], label) for path, label in sorted(wanted.items()) if now[path] != label]
    merged = {**before, **wanted}
    kept = {path: label for path, label in sorted(merged.items()) if own.get(path) != label}
    after = Counter({**now, **wanted}.values())
    emptied = tuple(label for label in sorted(set(now.values())) if label and not after[label])
    return Relabelling(kept, tuple(changes), len(wanted), len(wanted) - len(changes), emptied), present


def _meant(path: str, own: Mapping[str, str]) -> str:
    """The path without the apostrophe that our tables put before ``=1+1.jpg``; with it where only that is a file's name."""
    plain = restored(path)
    return path if path in own and plain not in own else plain


@dataclass(frozen=True)
class _Line:
    number: int
    path: str
    label: str


def _lines(data: bytes, name: str) -> Iterator[_Line]:
    """Lines that say something: those of the report's suspects only where they were edited."""
    for number, row in _table(data, name):
        path, label = row.get("path", ""), row.get("label", "")
        if path and label != row.get(LABELLED, None):  # as it stands: a class may be called "-"
            yield _Line(number, path, "" if label == OUT else restored(label))


def _rows(data: bytes, name: str) -> Iterator[tuple[str, str]]:
    return ((restored(line.path), line.label) for line in _lines(data, name))


def _table(data: bytes, name: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column. Raises DataError for what is no table with the columns path and label."""
    table = read_table(data, name, skip_blanks=False)
    for column in ("path", "label"):
        if place_of_column(column, table.columns) is None:
            near = suggestion(column, table.columns)
            raise DataError(f"{name}: it has no column {column!r}{near}; its first line names columns")
    check_one_of_each(("path", "label", LABELLED), table.columns, name)
    needed = max(place_of_column(column, table.columns) or 0 for column in ("path", "label"))
    for number, row in table:
        if len(row) <= needed and any(cell.strip() for cell in row):
            raise DataError(
                f"{name}, line {number}: has {len(row)} of {len(table.columns)} cells, so its label is not there; "
                f"to leave the {nouns.item()} out write {OUT} for its label"
            )
        cells = table.cells(row, {column: column for column in ("path", "label", LABELLED)})
        yield number, {key: value if key == "path" else value.strip() for key, value in cells.items()}


def _checked(lines: Sequence[_Line], own: Mapping[str, str], known: Sequence[str], name: str) -> dict[str, str]:
    """Path to label. Raises StudyError with a sentence for each line that cannot be."""
    problems: list[str] = []
    wanted: dict[str, _Line] = {}
    looked_up = 0
    for line in lines:
        place = f"{name}:{line.number}:"
        earlier = wanted.setdefault(line.path, line)
        if line.path not in own:
            near = suggestion(line.path, own, most=0) if looked_up < NEAR else ""
            looked_up += 1
            problems.append(f"{place} {line.path!r} is no labelled file of the dataset{near}")
        elif line.label and line.label not in known:
            problems.append(f"{place} {line.label!r} is no class of the dataset{suggestion(line.label, known)}")
        elif earlier.label != line.label:
            problems.append(
                f"{place} {line.path!r} is {line.label or OUT!r} here and {earlier.label or OUT!r} in line {earlier.number}"
            )
    if problems:
        more = [f"… and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        raise StudyError(
            "\n".join([*problems[:SHOWN], *more, "nothing was changed: fix these lines and hand the file in again"])
        )
    return {path: line.label for path, line in wanted.items()}


# -- keeping them -------------------------------------------------------------------------------------------------------


def save_corrections(store: Store, study: str, labels: Mapping[str, str], before: Corrections) -> None:
    """Put ``labels`` in the place of ``before``, which stays beside them. Raises TransientError where another was faster."""
    numbers = _numbers(store, study)
    held = _earlier_name(study, max(numbers, default=0) + 1)
    try:
        store.put(held, _csv(before.labels), if_absent=True)
    except ConflictError as error:
        raise _beaten(study) from error
    try:
        store.put(corrections_name(study), _csv(labels), if_absent=before.etag is None, if_match=before.etag)
    except ConflictError as error:
        tidy(store, lambda: [held], HARMLESS)
        raise _beaten(study) from error


def undo(store: Store, study: str) -> tuple[dict[str, str], dict[str, str]]:
    """Take the last relabelling back; returns the corrections before and after. What is taken back stays beside them."""
    present = load_corrections(store, study)
    for number in sorted(_numbers(store, study), reverse=True):
        held = _earlier_name(study, number)
        earlier = dict(_rows(store.get(held), f"{store.url}/{held}"))
        if earlier != present.labels:
            break
        tidy(store, lambda held=held: [held], HARMLESS)  # type: ignore[misc]  # of a relabelling that did not happen
    else:
        raise StudyError(f"{study}: there is no relabelling to take back in {store.url}")
    store.put(f"labels/{study}/undone-{number:04d}-{secrets.token_hex(2)}.csv", _csv(present.labels))
    try:
        store.put(corrections_name(study), _csv(earlier), if_match=present.etag)
    except ConflictError as error:
        raise _beaten(study) from error
    tidy(store, lambda: [held], HARMLESS)
    return present.labels, earlier


def _beaten(study: str) -> TransientError:
    return TransientError(f"the corrections of {study} changed meanwhile: look at them and hand the file in again")


def _earlier_name(study: str, number: int) -> str:
    return f"labels/{study}/corrections-{number:04d}.csv"


def _numbers(store: Store, study: str) -> list[int]:
    prefix = f"labels/{study}/corrections-"
    names = (stat.name.removeprefix(prefix).removesuffix(".csv") for stat in store.list(prefix))
    return [int(name) for name in names if name.isdigit()]


def _csv(labels: Mapping[str, str]) -> bytes:
    return csv_text(("path", "label"), sorted((path, label or OUT) for path, label in labels.items())).encode()
