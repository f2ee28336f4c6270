"""The listing that lies beside a task, as the driver put it there: read with the sentence for each way it can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from jobs.context import Context
from tlbatch.errors import TransientError
from tlbatch.store import NotFoundError
from tlbatch.store.documents import WRONG

Listed = TypeVar("Listed")


def read_listing(
    context: Context, name: str, load: Callable[[Path], Listed], holds: Callable[[Listed], bool], again: str
) -> Listed:
    """``holds``: whether it is what the task was made for. Raises TransientError that says ``again``, the way out."""
    place, path = f"{context.store.url}/{name}", context.scratch / "listing"
    try:
        context.store.download(name, path)
        listing = load(path)
        if holds(listing):
            return listing
    except NotFoundError as error:
        raise TransientError(f"{place} is gone: {again}") from error
    except WRONG as error:
        raise TransientError(f"{place} is damaged ({error}): {again}") from error
    finally:
        path.unlink(missing_ok=True)
    raise TransientError(f"{place} is not what was listed: {again}")
