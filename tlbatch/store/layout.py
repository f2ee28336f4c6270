"""The layout's version: the object ``FORMAT`` at the store's root."""

from __future__ import annotations

from tlbatch.errors import StudyError
from tlbatch.store.conditional import check_conditional
from tlbatch.store.protocol import ConflictError, NotFoundError, Store

LAYOUT_FORMAT = 1
FORMAT_NAME = "FORMAT"


def check_format(store: Store, *, write: bool = True) -> int:
    """The store's layout version; a new store gets this one's (unless ``write`` is false: ``check`` touches nothing).

    Who writes also learns here, once in the store's life, whether the store keeps to conditional writes. Raises StudyError
    where it does not, where it is of a newer layout, or where ``FORMAT`` is not a version.
    """
    version = _version(store)
    if not write:
        return LAYOUT_FORMAT if version is None else version
    check_conditional(store)
    if version is not None:
        return version
    try:
        store.put(FORMAT_NAME, f"{LAYOUT_FORMAT}\n".encode(), if_absent=True)
    except ConflictError:  # another process came first: what it wrote counts
        return _readable(store, store.get(FORMAT_NAME))
    return LAYOUT_FORMAT


def _version(store: Store) -> int | None:
    try:
        return _readable(store, store.get(FORMAT_NAME))
    except NotFoundError:
        return None


def _readable(store: Store, text: bytes) -> int:
    try:
        version = int(text)
    except ValueError:
        raise StudyError(
            f"{store.url}/{FORMAT_NAME} is not a layout version: is this a tlbatch store? name another with --store"
        ) from None
    if version > LAYOUT_FORMAT:
        raise StudyError(
            f"store {store.url} has layout {version}, this tlbatch reads up to {LAYOUT_FORMAT}: upgrade tlbatch "
            "or name another store"
        )
    return version
