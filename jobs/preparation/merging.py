"""Which files of a listing a shard reads, and which of several shards puts the dataset together."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate

from jobs.context import Context
from tlbatch.datasets.listing import ListedFile
from tlbatch.store import ConflictError
from tlbatch.store.documents import DamagedError, read_with_etag, sealed, shaped

CLAIM = "merge.json"
FILE_BYTES = 64 * 1024
"""What a file costs besides its bytes."""


def own_files(files: Sequence[ListedFile], index: int, count: int) -> tuple[int, int]:
    """Where the files of shard ``index`` of ``count`` begin and end (exclusive): all shards' cost about the same. Pure."""
    costs = list(accumulate((file.size + FILE_BYTES for file in files), initial=0))
    first, last = (bisect_left(costs, costs[-1] * at / count) for at in (index, index + 1))
    return first, last


@dataclass(frozen=True)
class Claim:
    """Shard ``index`` of ``count`` puts the dataset together."""

    index: int
    count: int


def puts_together(context: Context) -> bool:
    """Whether this shard is the one that merges; asked once all files are read. The first that asks does.

    It does so again after it was killed, as the same index of the same number; a start with another number chooses anew.
    """
    assert context.shard is not None
    store, name, claim = context.store, f"work/{context.task.key}/checkpoints/{CLAIM}", Claim(*context.shard)
    own = sealed(asdict(claim))
    try:
        found, etag = read_with_etag(store, name, shaped(Claim))
        if found is not None and found.count == claim.count:
            return found == claim
        store.put(name, own, if_absent=etag is None, if_match=etag)
    except ConflictError:  # another was faster
        return False
    except DamagedError as error:
        print(f"{error.why}: {name} is written anew", flush=True)
        store.put(name, own)
    return True
