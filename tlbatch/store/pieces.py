"""Objects that are written piece by piece: memory holds a few of the pieces, however large the object."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Protocol

from tlbatch.store.protocol import Store

AT_ONCE = 8 * 2**20  # bytes that are put as they are; more go by way of a file


class InPieces(Protocol):
    """What can say its bytes one after the other, as often as it is asked."""

    def pieces(self) -> Iterator[bytes]:
        """All of them, in order."""


def put_pieces(store: Store, name: str, content: InPieces) -> None:
    """Write an object, as ``Store.put`` and ``Store.upload`` do."""
    pieces, held, size = content.pieces(), list[bytes](), 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size > AT_ONCE:
            break
    else:
        store.put(name, b"".join(held))
        return
    with tempfile.TemporaryDirectory(prefix="tlbatch-put-") as folder:
        path = Path(folder) / "object"
        with path.open("wb") as file:
            file.writelines(chain(held, pieces))
        store.upload(path, name)
