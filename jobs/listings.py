"""The listing that lies beside a task, as the driver put it there: read with the sentence for each way it can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tlbatch.errors import TransientError
from tlbatch.store import NotFoundError, Store
from tlbatch.store.documents import WRONG

Listed = TypeVar("Listed")


def read_listing(
    store: Store, name: str, decode: Callable[[bytes], Listed], holds: Callable[[Listed], bool], again: str
) -> Listed:
    """``holds``: whether it is what the task was made for. Raises TransientError that says ``again``, the way out."""
    place = f"{store.url}/{name}"
    try:
        listing = decode(store.get(name))
        if holds(listing):
            return listing
    except NotFoundError as error:
        raise TransientError(f"{place} is gone: {again}") from error
    except WRONG as error:
        raise TransientError(f"{place} is damaged ({error}): {again}") from error
    raise TransientError(f"{place} is not what was listed: {again}")
