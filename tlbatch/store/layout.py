"""The layout's version: the object ``FORMAT`` at the store's root."""

from __future__ import annotations

from tlbatch.errors import StudyError
from tlbatch.store.protocol import ConflictError, NotFoundError, Store

LAYOUT_FORMAT = 1
FORMAT_NAME = "FORMAT"


def check_format(store: Store, *, write: bool = True) -> int:
    """The store's layout version; a new store gets this one's (unless ``write`` is false: ``check`` touches nothing).

    Raises StudyError where the store is of a newer layout or ``FORMAT`` is not a version.
    """
    try:
        text = store.get(FORMAT_NAME)
    except NotFoundError:
        if not write:
            return LAYOUT_FORMAT
        try:
            store.put(FORMAT_NAME, f"{LAYOUT_FORMAT}\n".encode(), if_absent=True)
        except ConflictError:  # another process came first: what it wrote counts
            return _readable(store, store.get(FORMAT_NAME))
        return LAYOUT_FORMAT
    return _readable(store, text)


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
