"""Clearing away what is not needed any more. It may fail as it likes: it never fails what it cleans up after."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

from tlbatch.errors import Stopped, TlbatchError
from tlbatch.store.protocol import Store

LATER = "which does no harm (`tlbatch gc` does it later)"
HARMLESS = "which does no harm"


def tidy(store: Store, names: Callable[[], Iterable[str]], otherwise: str = LATER) -> bool:
    """Delete what ``names`` finds; whether that went well. Else one line on stderr: ``otherwise`` says what then."""
    try:
        store.delete(names())
    except Stopped:
        raise
    except TlbatchError as error:
        print(f"not cleared away, {otherwise}: {error}", file=sys.stderr, flush=True)
        return False
    return True
