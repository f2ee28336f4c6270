"""Deleting what has done its work, or goes by itself soon. It may fail as it likes: it never fails what it cleans up after."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tlbatch.cluster.client import Cluster
from tlbatch.errors import Stopped, TlbatchError, TransientError

EXPIRES = "which does no harm (Kubernetes removes it some time after its end, or with what started it)"


@dataclass
class Clearing:
    """Deletes in one cluster. What is refused is told in one line, once: a driver with hundreds of Jobs says it no oftener."""

    cluster: Cluster
    told: bool = False

    def delete(
        self, kind: str, names: Callable[[], Iterable[str]], otherwise: str = EXPIRES, grace_s: int | None = None
    ) -> set[str]:
        """Delete what ``names`` finds; returns those that were there and go. Others stay: ``otherwise`` says what then.

        A server that is away is not asked for the rest: each would be waited for.
        """
        gone: set[str] = set()
        try:
            for name in names():
                self._delete_one(kind, name, otherwise, grace_s, gone)
        except Stopped:
            raise
        except TlbatchError as error:
            self._tell("what is over", otherwise, error)
        return gone

    def _delete_one(self, kind: str, name: str, otherwise: str, grace_s: int | None, gone: set[str]) -> None:
        """Raises Stopped and TransientError."""
        try:
            if self.cluster.delete(kind, name, grace_s=grace_s):
                gone.add(name)
        except (Stopped, TransientError):
            raise
        except TlbatchError as error:
            self._tell(name, otherwise, error)

    def _tell(self, what: str, otherwise: str, error: TlbatchError) -> None:
        if not self.told:
            self.told = True
            print(f"{what} is not deleted, {otherwise}: {error}", file=sys.stderr, flush=True)
