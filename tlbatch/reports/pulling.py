"""A report out of a store: every file checked against the manifest, what is there and right not fetched again."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tlbatch.errors import StudyError
from tlbatch.records.executions import Execution
from tlbatch.reports.listing import report_manifest
from tlbatch.store import NotFoundError, Store
from tlbatch.store.artifacts import FileEntry, file_sha256
from tlbatch.store.cache import cache_folder
from tlbatch.store.cache_space import REPORTS

FETCHES_AT_ONCE = 8


@dataclass(frozen=True)
class Damaged:
    """A file of the store that is not what was written: ``object`` names it, ``why`` says how.

    ``mended`` where another copy was right.
    """

    execution: str
    file: str
    object: str
    why: str
    mended: bool


@dataclass(frozen=True)
class Pulled:
    """One report in ``folder``: files that are there and right, those of them that were fetched now, and what was damaged."""

    execution: str
    folder: str
    files: int
    fetched: int
    fetched_bytes: int
    damaged: tuple[Damaged, ...] = ()

    @property
    def whole(self) -> bool:
        return all(damaged.mended for damaged in self.damaged)


def pull_report(execution: Execution, folder: Path) -> Pulled:
    """Fetch the files of a report into ``folder``. Raises StudyError where it has none.

    Each file is taken from the report's copy under ``executions/<id>/report/``; where that is not what the manifest says,
    from the artifact. What neither has right is not kept and named in ``damaged``.
    """
    manifest = report_manifest(execution)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudyError(f"{folder} could not be made ({error.strerror}): name another folder") from error

    def fetch(item: tuple[str, FileEntry]) -> tuple[bool, bool, list[Damaged]]:
        name, entry = item
        target = folder.joinpath(*name.split("/"))
        if _is(target, entry):
            return True, False, []
        wrong: list[tuple[str, str]] = []
        for place in (execution.name(f"report/{name}"), entry.path):
            why = _fetch(execution.store, place, target, entry)
            if not why:
                return True, True, [Damaged(execution.id, name, object, said, True) for object, said in wrong]
            wrong.append((place, why))
        return False, False, [Damaged(execution.id, name, object, said, False) for object, said in wrong]

    with ThreadPoolExecutor(FETCHES_AT_ONCE) as pool:
        done = list(pool.map(fetch, sorted(manifest.files.items())))
    entries = [entry for _, entry in sorted(manifest.files.items())]
    return Pulled(
        execution=execution.id,
        folder=str(folder),
        files=sum(right for right, _, _ in done),
        fetched=sum(fetched for _, fetched, _ in done),
        fetched_bytes=sum(entry.size for entry, (_, fetched, _) in zip(entries, done, strict=True) if fetched),
        damaged=tuple(damaged for _, _, found in done for damaged in found),
    )


def made_again(executions: Iterable[Execution]) -> str:
    """What makes damaged reports again, whoever asked for them: their own tasks, once what is damaged is set aside."""
    by_store: dict[str, list[str]] = {}
    for execution in executions:
        by_store.setdefault(execution.store.url, []).append(report_manifest(execution).key[:12])
    return "; ".join(
        f"`tlbatch fsck {url} --repair` sets what is damaged aside, then "
        + ", ".join(f"`tlbatch run --task {key} --store {url}`" for key in keys)
        + (" makes it again" if len(keys) == 1 else " make them again")
        for url, keys in by_store.items()
    )


def _is(path: Path, entry: FileEntry) -> bool:
    return path.is_file() and path.stat().st_size == entry.size and file_sha256(path) == entry.sha256


def _fetch(store: Store, place: str, target: Path, entry: FileEntry) -> str:
    """Put an object at ``target``, whole and checked or not at all; returns what is wrong with it, or ''."""
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        store.download(place, partial)
        size, sha256 = partial.stat().st_size, file_sha256(partial)
        if (size, sha256) == (entry.size, entry.sha256):
            partial.replace(target)
            return ""
    except NotFoundError:
        return "is gone"
    except OSError as error:
        raise StudyError(f"{target} could not be written ({error.strerror}): name another folder") from error
    finally:
        partial.unlink(missing_ok=True)
    if size != entry.size:
        return f"has {size:,} bytes instead of {entry.size:,}"
    return f"has the sha256 {sha256[:12]}… instead of {entry.sha256[:12]}…"


def local_page(execution: Execution) -> tuple[Path | None, tuple[Damaged, ...]]:
    """``index.html`` on this machine: the store's own where it is a directory, else fetched into the cache.

    None where the store has no copy that is right. Raises StudyError where there is no report.
    """
    own = execution.store.local_path(execution.name("report/index.html"))
    if own is not None and own.exists():
        return own, ()
    pulled = pull_report(execution, cache_folder() / REPORTS / execution.id)
    page = Path(pulled.folder) / "index.html"
    missing = any(damaged.file == "index.html" and not damaged.mended for damaged in pulled.damaged)
    return (None if missing or not page.exists() else page.resolve()), pulled.damaged
