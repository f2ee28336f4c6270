"""Clearing away what is not needed any more. It may fail as it likes: it never fails what it cleans up after."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

from tlbatch.errors import Stopped, TlbatchError
from tlbatch.store.protocol import Store


def tidy(store: Store, names: Callable[[], Iterable[str]]) -> bool:
    """Delete what ``names`` finds; whether that went well. Else one line on stderr: `tlbatch gc` clears it later."""
    try:
        store.delete(names())
    except Stopped:
        raise
    except TlbatchError as error:
        print(f"not cleared away, which does no harm (`tlbatch gc` does it later): {error}", file=sys.stderr, flush=True)
        return False
    return True
