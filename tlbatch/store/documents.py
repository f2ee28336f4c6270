"""JSON documents in a store: absent, readable, or damaged with their name and the way out. All stored JSON is read here.

Unreadable is never absent: half a pointer must not read as "no champion yet". A document is readable when it is a JSON
object that has the shape its kind needs; unknown fields are ignored, since a newer tlbatch may have written them.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar, cast

from tlbatch.errors import DataError, OtherVersionError
from tlbatch.store.protocol import NotFoundError, Store

T = TypeVar("T")
Document = dict[str, Any]
Decode = Callable[[Document], T]
READS_AT_ONCE = 16
SEAL = "seal"
"""A field of stored documents: sha256 of the rest. Documents without it (older ones) are read, too."""
WRONG = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)
"""What decoding raises for content of another shape (pydantic's ValidationError is a ValueError)."""


class DamagedError(DataError):
    """An object of the store is not what was written there. ``name``: the object's; ``why``: what is wrong with it.

    ``repaired_by``: the way out where it is another than ``fsck --repair``; the text of the error has it.
    """

    def __init__(self, url: str, name: str, why: str, way_out: str = "") -> None:
        self.name, self.why, self.repaired_by = name, why, way_out
        repair = f"`tlbatch fsck {url} --repair` restores what can be restored, and says what depends on the rest"
        super().__init__(f"{url}/{name} is damaged ({why}): {way_out or repair}")


UNREADABLE = (DamagedError, OtherVersionError)
"""One object that is there and cannot be read: who lists many tells of it and goes on with the others."""


def shaped(kind: type[T]) -> Decode[T]:
    """Decodes into a dataclass (nested ones too) whose annotations are checked; unknown fields are ignored."""

    adapter = _adapter(cast(Any, kind))

    def decode(document: Document) -> T:
        result: T = adapter.validate_python(document)
        return result

    return decode


@cache
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def checked(kind: type[Any]) -> Decode[Document]:
    """The document itself, its fields as in ``kind`` (a class of annotations, or a dataclass) where it has them."""

    adapter = _adapter(cast(Any, kind))

    def decode(document: Document) -> Document:
        adapter.validate_python(document)
        return document

    return decode


def as_is(document: Document) -> Document:
    return document


def parse(data: bytes | str, made: Callable[[Document], Any] | None = None) -> Any:
    """JSON of any kind. ``made``: what becomes of each object in it. Raises ValueError for what is none, whatever is wrong."""
    try:
        return json.loads(data, object_hook=made)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def sealed(document: Mapping[str, Any]) -> bytes:
    """The document as it is stored, with a hash of itself: one flipped bit in a number is seen when it is read."""
    content = {name: value for name, value in document.items() if name != SEAL}
    return json.dumps({**content, SEAL: _seal(content)}, indent=1, sort_keys=True).encode()


def unsealed(document: Document) -> Document:
    """Without its seal. Raises ValueError where that is not the document's: one flipped bit, or an edit."""
    content = {name: value for name, value in document.items() if name != SEAL}
    if SEAL in document and document[SEAL] != _seal(content):
        raise ValueError(f"it is not what was written; if it was edited by hand, take out its {SEAL!r}")
    return content


def _seal(document: Mapping[str, Any]) -> str:
    canonical = json.dumps(parse(json.dumps(document)), sort_keys=True, separators=(",", ":"))  # as reading gives it back
    return hashlib.sha256(canonical.encode()).hexdigest()


def decoded(url: str, name: str, data: bytes | str, decode: Decode[T], way_out: str = "") -> T:
    """The content of object ``name``. Raises DamagedError; errors with sentences of their own (a newer format) pass."""
    try:
        document = parse(data)
    except ValueError as error:
        raise DamagedError(url, name, "it is empty" if not data.strip() else "it is not JSON", way_out) from error
    if not isinstance(document, dict):
        raise DamagedError(url, name, "it is not a JSON object", way_out)
    try:
        return decode(unsealed(document))
    except WRONG as error:
        raise DamagedError(url, name, what(error), way_out) from error


def read(store: Store, name: str, decode: Decode[T], way_out: str = "") -> T | None:
    """None where there is no such object. Raises DamagedError."""
    return read_with_etag(store, name, decode, way_out)[0]


def read_with_etag(store: Store, name: str, decode: Decode[T], way_out: str = "") -> tuple[T | None, str | None]:
    """With the etag to give to ``put(if_match=…)``; (None, None) where there is no such object. Raises DamagedError."""
    try:
        data, etag = store.get_with_etag(name)
    except NotFoundError:
        return None, None
    return decoded(store.url, name, data, decode, way_out), etag


def read_each(store: Store, names: Iterable[str], decode: Decode[T]) -> list[T]:
    """Those that are readable, in order: one that is damaged is told in a line, and the others go on."""
    found = each_readable(names, lambda name: (read(store, name, decode),))
    return [each for (each,) in found if each is not None]


def each_readable(names: Iterable[str], load: Callable[[str], T]) -> list[T]:
    """What ``load`` gives for each name, in order; of one that cannot be read a line is told, and the others go on."""

    def one(name: str) -> T | None:
        try:
            return load(name)
        except UNREADABLE as error:
            tell(error)
            return None

    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        return [each for each in pool.map(one, names) if each is not None]


def read_disposable(store: Store, name: str, decode: Decode[T]) -> T | None:
    """Of what may vanish or rot (``work/``, a status that is written anew): a damaged one is told and counts as absent."""
    try:
        return read(store, name, decode)
    except DamagedError as error:
        tell(f"{store.url}/{name} is damaged ({error.why}): going on without it")
        return None


_told: set[str] = set()


def tell(line: object) -> None:
    """One line on stderr, once per process."""
    if str(line) not in _told:
        _told.add(str(line))
        print(f"warning: {line}", file=sys.stderr, flush=True)


def what(error: Exception) -> str:
    """What is wrong with a shape, in short."""
    errors = getattr(error, "errors", None)
    if errors is not None:
        first = errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"
    return f"no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
