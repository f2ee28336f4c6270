"""All keys of a place, by several sweeps of LIST requests at once: one for each of its folders.

One sweep alone waits for each page of 1,000 keys before it may ask for the next. Folders are asked for by their prefix: the
order in which a server lists does not matter. A folder that holds nothing but keys is swept by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

from tlbatch.store.protocol import Stat

AT_ONCE = 16
MOST_UNITS = 64  # sweeps that a folder's folders are divided into: more, and folders with few keys would cost a request each


@dataclass(frozen=True)
class Page:
    """Some keys. ``folders``: those met instead of their keys, with their '/'; ``token``: of the next page; None: no more."""

    stats: Sequence[Stat]
    token: str | None
    folders: Sequence[str] = ()


@dataclass(frozen=True)
class Request:
    """A page of the keys that begin with ``prefix``. ``by_folder``: of folders directly in it only their names.

    ``whole``: the prefix is a folder (or the root), which may be divided; ``level``: keys directly in that folder are another
    request's; ``folders``: those of the pages before.
    """

    prefix: str
    whole: bool
    by_folder: bool = False
    token: str | None = None
    level: str | None = None
    folders: tuple[str, ...] = field(default=(), repr=False)


def swept(load: Callable[[Request], Page]) -> Iterator[Stat]:
    """All keys, each once, in no order. A place of one page takes one request."""
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="list") as pool:
        first = Request("", whole=True)
        under_way: dict[Future[Page], Request] = {pool.submit(load, first): first}
        while under_way:
            done, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                request = under_way.pop(future)
                stats, more = taken(request, future.result())
                under_way |= {pool.submit(load, each): each for each in more}
                yield from stats


def taken(request: Request, page: Page) -> tuple[Sequence[Stat], list[Request]]:
    """What of a page counts, and what is to be asked for next. Pure."""
    if request.by_folder:
        folders = (*request.folders, *page.folders)
        if page.token is not None:
            return page.stats, [replace(request, token=page.token, folders=folders)]
        return page.stats, [_unit(request.prefix, *each) for each in divided(request.prefix, folders)]
    if page.token is None:
        return _own(request, page), []
    if request.whole:
        return [], [Request(request.prefix, whole=False, by_folder=True)]
    return _own(request, page), [replace(request, token=page.token)]


def divided(level: str, folders: Sequence[str]) -> list[tuple[str, int]]:
    """Prefixes that cover the folders of a level, each with the number of folders that begin so. Pure."""
    for size in range(len(level) + 1, max(map(len, folders), default=0) + 1) if len(folders) > MOST_UNITS else ():
        groups: dict[str, int] = defaultdict(int)
        for name in folders:
            groups[name[:size]] += 1
        if len(groups) > 1:
            return list(groups.items())
    return [(name, 1) for name in folders]


def _unit(level: str, prefix: str, folders: int) -> Request:
    return Request(prefix, whole=folders == 1 and prefix.endswith("/"), level=level if not prefix.endswith("/") else None)


def _own(request: Request, page: Page) -> Sequence[Stat]:
    if request.level is None:
        return page.stats
    return [stat for stat in page.stats if "/" in stat.name[len(request.level) :]]
