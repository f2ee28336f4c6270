"""Very many records of one dataclass, packed: a million listed files take a third of the memory of as many objects, or less."""

from __future__ import annotations

import marshal
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from itertools import compress, pairwise
from operator import attrgetter
from typing import Any, Generic, TypeVar, overload

Record = TypeVar("Record")
ROWS = 4096
"""Records of a page: what is unpacked at once."""
Page = tuple[bytes, ...]
"""A column a field, as marshal writes it; in memory only, so that its format may be another in another Python."""


class Packed(Sequence[Record]):
    """Records in their order, unchangeable. Each is made anew when it is asked for; going through all of them is fast.

    Fields may hold strings, numbers, None, and dictionaries of these. A string that is one object in several records
    (``sys.intern``) is kept once a page.
    """

    def __init__(self, kind: type[Record], pages: Sequence[Page], first: int, last: int) -> None:
        """The records from place ``first`` up to ``last`` of full pages (the last one may be short). See ``packed``."""
        self.kind, self._pages, self._first, self._last = kind, pages, first, last
        self._names = names_of(kind)
        self._open: tuple[int, list[Record]] = (-1, [])  # the page that was asked for last

    def __len__(self) -> int:
        return self._last - self._first

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> Packed[Record]: ...
    def __getitem__(self, place: int | slice) -> Record | Packed[Record]:
        if isinstance(place, slice):
            first, last, step = place.indices(len(self))
            if step != 1:
                raise ValueError("packed records are cut without gaps")
            return Packed(self.kind, self._pages, self._first + first, self._first + max(first, last))
        at = range(self._first, self._last)[place]
        number, row = divmod(at, ROWS)
        if self._open[0] != number:
            self._open = (number, list(self._records(number)))
        return self._open[1][row]

    def __iter__(self) -> Iterator[Record]:
        for number, some in self._parts():
            yield from [*self._records(number)][some]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(self) != len(other):
            return False
        return all(one == another for one, another in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def column(self, name: str) -> Iterator[Any]:
        """One field of all records: nothing else is unpacked."""
        place = self._names.index(name)
        for number, some in self._parts():
            yield from marshal.loads(self._pages[number][place])[some]

    def columns(self, *names: str) -> Iterator[tuple[Any, ...]]:
        """Some fields of all records."""
        return zip(*(self.column(name) for name in names), strict=True)

    def _records(self, number: int) -> Iterator[Record]:
        """All of a page."""
        return map(self.kind, *(marshal.loads(column) for column in self._pages[number]))

    def _parts(self) -> Iterator[tuple[int, slice]]:
        """Pages by number, and which of their records are of this sequence."""
        for number in range(self._first // ROWS, -(-self._last // ROWS)):
            start = number * ROWS
            yield number, slice(max(0, self._first - start), min(ROWS, self._last - start))


class Packing(Generic[Record]):
    """Records on their way to be packed, in the order in which they come."""

    def __init__(self, kind: type[Record]) -> None:
        self._kind, self._pages, self._rows = kind, list[Page](), list[tuple[Any, ...]]()
        self._fields = attrgetter(*names_of(kind))

    def __len__(self) -> int:
        """Records so far."""
        return len(self._pages) * ROWS + len(self._rows)

    def append(self, record: Record) -> None:
        self.add(self._fields(record))

    def add(self, row: tuple[Any, ...]) -> None:
        """A record by its fields."""
        self._rows.append(row)
        if len(self._rows) == ROWS:
            self._turn()

    def packed(self) -> Packed[Record]:
        """All of them; nothing is added after that."""
        count = len(self)
        if self._rows:
            self._turn()
        return Packed(self._kind, self._pages, 0, count)

    def _turn(self) -> None:
        self._pages.append(tuple(marshal.dumps(column) for column in zip(*self._rows, strict=True)))
        self._rows = []


class Sorting(Generic[Record]):
    """Records on their way to be packed in the order of a field of text; of equal ones the first comes first."""

    def __init__(self, kind: type[Record], name: str) -> None:
        self._kind, self._place = kind, names_of(kind).index(name)
        self._fields = attrgetter(*names_of(kind))
        self._rows: list[bytes] = []

    def append(self, record: Record) -> None:
        """As bytes that sort as the text does, of which UTF-8 has the order: one object a record, not one a field."""
        row = list(self._fields(record))
        text = row.pop(self._place).encode("utf-8", "surrogatepass").replace(b"\0", _NUL) + _END
        order = len(self._rows).to_bytes(6, "big")
        self._rows.append(b"".join((text, order, marshal.dumps(tuple(row)), len(text).to_bytes(4, "big"))))

    def packed(self) -> Packed[Record]:
        """All of them; nothing is added after that."""
        self._rows.sort(reverse=True)
        packing = Packing(self._kind)
        while self._rows:
            said = self._rows.pop()
            end = int.from_bytes(said[-4:], "big")
            row = list(marshal.loads(said[end + 6 : -4]))
            row.insert(self._place, said[: end - len(_END)].replace(_NUL, b"\0").decode("utf-8", "surrogatepass"))
            packing.add(tuple(row))
        return packing.packed()


_END, _NUL = b"\0\0", b"\0\xff"  # what ends a text, before any that goes on; and a NUL in it


def packed(kind: type[Record], records: Iterable[Record]) -> Packed[Record]:
    """In their order."""
    if isinstance(records, Packed):
        return records
    packing = Packing(kind)
    for record in records:
        packing.append(record)
    return packing.packed()


def those(records: Packed[Record], wanted: Callable[..., bool], *names: str) -> Packed[Record]:
    """The records whose fields ``names`` are ``wanted``; no copy where all are."""
    if all(wanted(*row) for row in records.columns(*names)):
        return records
    chosen = compress(records, (wanted(*row) for row in records.columns(*names)))
    return packed(records.kind, chosen)


def in_order(name: str, records: Packed[Record]) -> Packed[Record]:
    """Sorted by a field of text; of equal ones the first comes first. Those that are sorted already are left as they are."""
    if all(one <= other for one, other in pairwise(records.column(name))):
        return records
    sorting = Sorting(records.kind, name)
    for record in records:
        sorting.append(record)
    return sorting.packed()


def names_of(kind: type[Any]) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind))
