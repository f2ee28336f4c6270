"""What a check found, and what `--repair` may do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from tlbatch.errors import TlbatchError
from tlbatch.store import NotFoundError, Store
from tlbatch.store.documents import DamagedError

T = TypeVar("T")
R = TypeVar("R")
AT_ONCE = 8
SET_ASIDE = "set aside"  #: the manifest, or a record that others go on without, is moved out of the way; its bytes stay
RESTORE = "restore"  #: written anew from what is intact beside it
DELETE = "delete"  #: work/ and leases: deletable by contract
LEAVE = "leave"  #: cannot be restored from what is here: not touched


@dataclass(frozen=True)
class Finding:
    """One damaged object. ``key``: of the artifact or task it belongs to, else "". ``advice``: of what may vanish or rot.

    ``source``: the object that is intact and copied (RESTORE of a report's copy); ``content``: what is written instead.
    ``depends``: what needs it, in words. ``names``: the objects of it that a DELETE removes, where there are several.
    """

    name: str
    wrong: str
    action: str
    way_out: str
    key: str = ""
    advice: bool = False
    source: str = ""
    content: bytes | None = None
    depends: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    repaired: str = ""


@dataclass(frozen=True)
class Survey:
    """All of a store: the findings by name; counts of what was looked at; what is no damage and worth a line."""

    findings: tuple[Finding, ...]
    objects: int = 0
    artifacts: int = 0
    checked_bytes: int = 0
    quick: bool = False
    orphans: tuple[str, ...] = ()
    orphan_bytes: int = 0
    set_aside: tuple[str, ...] = ()
    unchecked: dict[str, int] = field(default_factory=dict)

    @property
    def damaged(self) -> list[Finding]:
        """What is wrong and stays so."""
        return [each for each in self.findings if not each.advice and not each.repaired]


def why_damaged(check: Callable[[], object]) -> tuple[str, str] | None:
    """(what is wrong, way out) where ``check`` does not take the object; None where it does.

    What a newer tlbatch wrote, and what cannot be read now, is found, too.
    """
    try:
        check()
    except DamagedError as error:
        return error.why, error.repaired_by
    except NotFoundError:
        return "it is gone", ""
    except TlbatchError as error:
        if error.exit_code == 75:  # the store is away: that is no damage
            raise
        return str(error), str(error)
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}", ""
    return None


def each_at_once(work: Callable[[T], R], items: Iterable[T], done: Callable[[], None] = lambda: None) -> list[R]:
    """``work`` on all items, AT_ONCE at a time, results in order."""

    def one(item: T) -> R:
        result = work(item)
        done()
        return result

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, items))


def document(store: Store, name: str, decode: Callable[[dict[str, object]], object]) -> tuple[str, str] | None:
    """As ``why_damaged``, of one JSON document that is listed."""
    from tlbatch.store.documents import decoded

    return why_damaged(lambda: decoded(store.url, name, store.get(name), decode))
