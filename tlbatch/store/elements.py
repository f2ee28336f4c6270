"""A stored JSON object with one very long list, read without holding its text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TextIO

from tlbatch.store.documents import parse

AT_ONCE, LONGEST = 2**20, 2**20  # characters read at a time, and of an element


class Elements:
    """The elements of the list ``name`` in the object that a file holds, one after the other; then its ``other`` fields.

    No other object in it has such a field. Raises ValueError for what is none, and for a second round.
    """

    def __init__(self, file: TextIO, name: str) -> None:
        self._file, self._name = file, name
        self._mark = re.compile(rf'"{name}"\s*:\s*\[')  # quotes within strings are escaped
        self._text, self._place = "", 0
        self.other: dict[str, Any] = {}

    def __iter__(self) -> Iterator[Any]:
        while (begins := self._mark.search(self._text)) is None:
            self._read()
        head, self._place = self._text[: begins.start()], begins.end()
        while not self._at("]"):
            yield self._element()
            if not self._at("]") and not self._at(","):
                raise ValueError(f"its {self._name} are no list")
            self._place += self._at(",")
        tail = self._text[self._place + 1 :] + self._file.read()
        self.other = parse(f'{head}"{self._name}":null{tail}')

    def _at(self, char: str) -> bool:
        """Whether this comes next."""
        while (place := _BLANKS.match(self._text, self._place).end()) == len(self._text):  # type: ignore[union-attr]
            self._read()
        self._place = place
        return self._text.startswith(char, self._place)

    def _element(self) -> Any:
        while True:
            try:
                value, self._place = _DECODER.raw_decode(self._text, self._place)
            except ValueError:  # it may go on in what has not been read
                if len(self._text) - self._place > LONGEST:
                    raise
                self._read()
            except RecursionError as error:
                raise ValueError("nested too deep") from error
            else:
                return value

    def _read(self) -> None:
        more = self._file.read(AT_ONCE)
        if not more:
            raise ValueError("it ends too early")
        self._text, self._place = self._text[self._place :] + more, 0


_DECODER, _BLANKS = json.JSONDecoder(), re.compile(r"\s*")
