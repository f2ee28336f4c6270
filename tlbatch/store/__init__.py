"""Where everything lives: one small protocol, a directory or an S3 bucket behind it."""

from tlbatch.store.opening import open_store
from tlbatch.store.protocol import ConflictError, NotFoundError, Stat, Store

__all__ = ["ConflictError", "NotFoundError", "Stat", "Store", "open_store"]
