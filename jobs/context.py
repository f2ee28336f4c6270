"""What a step's ``run`` gets: its parameters, inputs, scratch space, output, progress, checkpoints and stop requests."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jobs.ranks import LostProcessError, Member
from jobs.threads import granted_threads
from jobs.worklog import write_progress
from tlbatch.errors import CorruptArtifactError, DeadlineError, OtherVersionError, Stopped, TransientError
from tlbatch.peak_memory import peak_memory_mib
from tlbatch.records.task_records import read_progress
from tlbatch.store import NotFoundError, Store
from tlbatch.store.artifacts import (
    Artifact,
    FileEntry,
    Manifest,
    artifact_files,
    commit,
    file_sha256,
    load_manifest,
    open_artifact,
)
from tlbatch.store.cache import Cache, PrivateFolder, open_cache
from tlbatch.store.documents import DamagedError, read, read_disposable, sealed, shaped, what
from tlbatch.store.housekeeping import tidy
from tlbatch.tasks import InputRef, Task, task_name

if TYPE_CHECKING:
    from jobs.training.group import Alone
    from tlbatch.contracts.base import Parameters  # pydantic: not before the signal handlers stand

PROGRESS_EVERY_S = 5.0
DONE = "/done.json"
P = TypeVar("P", bound="Parameters")
RECORDED_VERSIONS = ("tlbatch", "torch", "torchvision", "timm", "numpy", "scikit-learn", "pillow")


class Context:
    """One attempt at one task. Raises StudyError where TLBATCH_CACHE_SIZE is no size."""

    def __init__(
        self,
        store: Store,
        task: Task,
        attempt: str,
        scratch: Path,
        *,
        stop: Callable[[], bool] = lambda: False,
        shard: tuple[int, int] | None = None,
        member: Member | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store, self.task, self.attempt, self.scratch, self.shard = store, task, attempt, scratch, shard
        self.member = member  #: this process's place among several that do the task together
        self.group: Alone | None = None  #: these, once they have met
        self.cache = _cache(scratch / "cache", stop)  #: for fetched files
        self.made: dict[str, Any] = {}  #: facts for the manifest: images_per_s, forward_passes, device, …
        self._stop, self._clock, self._started = stop, clock, clock()
        self._spent_before_s = self._read_spent()
        self._out = scratch / "out"
        self._out.mkdir(parents=True, exist_ok=True)
        self._reused: dict[str, FileEntry] = {}
        self._progress_at = float("-inf")
        self._deferred = False
        self._read: dict[type[Parameters], Any] = {}

    # -- inputs -----------------------------------------------------------------------------------------------------

    @property
    def params(self) -> dict[str, Any]:
        """As the task document has them; ``read_params`` is what steps read."""
        return self.task.params

    def read_params(self, kind: type[P]) -> P:
        """The parameters as a step's own model. Raises OtherVersionError where they are not such."""
        if kind not in self._read:
            try:
                self._read[kind] = kind.of(self.task.params)
            except ValueError as error:  # pydantic's ValidationError is one
                raise OtherVersionError(
                    f"{self.store.url}/{task_name(self.task.key)}: another version of tlbatch wrote this task ({what(error)}, "
                    "among its parameters): run the study again with this one, which plans it anew"
                ) from error
        read: P = self._read[kind]
        return read

    def input(self, role: str) -> Artifact:
        """The input artifact of a role. Raises CorruptArtifactError where it is no longer there."""
        return self._open(self.task.inputs[role])

    @property
    def kind(self) -> str | None:
        """Of the data that the task is about, as its parameters or its dataset's card name it. None: pictures."""
        if "dataset" in self.task.inputs and "input" not in self.params:
            found = self.input("dataset").read_json("card.json").get("kind")
        else:
            found = self.params.get("kind") or (self.params.get("input") or {}).get("kind")
        return None if found is None else str(found)

    def roles(self, prefix: str = "") -> list[str]:
        """The roles of this task's inputs, sorted."""
        return sorted(role for role in self.task.inputs if role.startswith(prefix))

    def older(self) -> list[Artifact]:
        """Earlier artifacts that may save work; those that are gone, or that another version wrote, are left out."""
        return [artifact for artifact in map(self._older, self.task.older) if artifact is not None]

    def _older(self, ref: InputRef) -> Artifact | None:
        try:
            return open_artifact(self.store, ref.step, ref.key, self.cache)
        except OtherVersionError as error:
            print(f"earlier rows are not looked up: {error}", flush=True)
            return None

    def close(self) -> None:
        """Nothing that was fetched for this attempt is used any more."""
        self.cache.close()

    def _open(self, ref: InputRef) -> Artifact:
        artifact = open_artifact(self.store, ref.step, ref.key, self.cache)
        if artifact is None or artifact.digest != ref.digest:
            raise CorruptArtifactError(
                f"input artifacts/{ref.step}/{ref.key} is no longer what this task was made for; run the study again"
            )
        return artifact

    # -- output -----------------------------------------------------------------------------------------------------

    def out(self, name: str) -> Path:
        """Local path for an output file; all such files are uploaded and committed when ``run`` returns."""
        path = self._out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write_json(self, name: str, document: Any) -> None:
        """An output file of canonical JSON (sorted keys, so equal content has equal bytes)."""
        self.out(name).write_text(json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")

    def reuse(self, name: str, entry: FileEntry) -> None:
        """Point the manifest at a file of an older artifact instead of writing it again."""
        self._reused[name] = entry

    def defer_commit(self) -> None:
        """This attempt did only a part (a shard of several); whoever finds all parts done commits."""
        self._deferred = True

    def finish(self) -> Manifest | None:
        """Upload the output files, commit the manifest, drop the checkpoints. Called by the runtime."""
        if self._deferred:
            return None
        if self.member is not None and not self.member.leads:
            return self._await_commit()
        local = {str(path.relative_to(self._out)): path for path in sorted(self._out.rglob("*")) if path.is_file()}
        entries = artifact_files(local, self.task.step, self.task.key, self.attempt)
        for name, path in local.items():
            self.store.upload(path, entries[name].path)
        manifest = Manifest(self.task.step, self.task.key, {**self._reused, **entries}, self._made())
        manifest = commit(self.store, manifest, self.attempt)
        tidy(self.store, lambda: [stat.name for stat in self.store.list(f"work/{self.task.key}/checkpoints/")])
        if self.group is not None:
            self.group.committed()
        return manifest

    def _await_commit(self) -> Manifest:
        """Of several processes rank 0 commits. Raises LostProcessError where it went without."""
        told = self.group is not None and self.group.wait_for_commit(self.stop_requested)
        manifest = load_manifest(self.store, self.task.step, self.task.key)
        if manifest is None:
            when = "did not commit what all had computed" if told else "went before the artifact was there"
            raise LostProcessError(f"rank 0 {when}: all start again and go on from the last checkpoint")
        return manifest

    def _made(self) -> dict[str, Any]:
        versions = {"python": platform.python_version()}
        for name in RECORDED_VERSIONS:
            try:
                versions[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
        return {
            "seconds": round(self.spent_s(), 3),
            "versions": versions,
            "cpu": _cpu_name(),
            "threads": self.threads,
            "peak_memory_mib": peak_memory_mib(),
            "fetched": asdict(self.cache.fetched),
            "time": time.time(),
            **self.made,
        }

    # -- while it runs ----------------------------------------------------------------------------------------------

    @property
    def threads(self) -> int:
        """Compute threads this task may use: what the backend granted (TLBATCH_THREADS), else the usable CPUs."""
        return granted_threads()

    def progress(self, done: float, total: float, unit: str, note: str = "", *, force: bool = False) -> None:
        """Say how far the task is: written to the store at most every 5 s, and checks for a stop request or deadline."""
        if not self.leads:
            return
        now = self._clock()
        if force or now - self._progress_at >= PROGRESS_EVERY_S or (done >= total and self._progress_at > float("-inf")):
            self._progress_at = now
            document = {"done": done, "total": total, "unit": unit, "note": note, "seconds": round(self.spent_s(), 1)}
            write_progress(self.store, self.task.key, document)
        self.check_deadline()

    @property
    def leads(self) -> bool:
        """Whether this process speaks for the task: it does it alone, or is rank 0 of several."""
        return self.member is None or self.member.leads

    def stop_requested(self) -> bool:
        return self._stop()

    def check_stop(self) -> None:
        """Raise Stopped if asked to stop. Steps that checkpoint do so first, then call this."""
        if self._stop():
            raise Stopped("asked to stop; a later start goes on from here")

    def check_deadline(self) -> None:
        limit = self.task.limits.get("deadline_s")
        if limit is not None and self.leads and self.spent_s() > limit:
            raise DeadlineError(f"over its deadline of {limit:g} s run time (resources.deadline); raise it to go on")

    def spent_s(self) -> float:
        """Run time in seconds, summed over resumed attempts."""
        return self._spent_before_s + self._clock() - self._started

    # -- checkpoints ------------------------------------------------------------------------------------------------

    def save_checkpoint(self, number: int, files: dict[str, Path]) -> None:
        """Store ``work/<key>/checkpoints/<number>/…``; complete once its ``done.json`` is there, with the files' hashes.

        The one before stays, for when this one is damaged; all others go, newer ones too (they could not be read).
        """
        prefix = f"work/{self.task.key}/checkpoints/"
        hashes = {name: file_sha256(path) for name, path in files.items()}
        for name, path in files.items():
            self.store.upload(path, f"{prefix}{number:08d}/{name}")
        self.store.put(f"{prefix}{number:08d}/done.json", sealed({"files": hashes, "seconds": self.spent_s()}))
        tidy(self.store, lambda: self._superseded(prefix, number))

    def _superseded(self, prefix: str, number: int) -> list[str]:
        """Names of what belongs to neither checkpoint ``number`` nor the complete one before it."""
        names = [stat.name for stat in self.store.list(prefix)]
        before = [n for name in names if (n := _number(name, prefix)) is not None and n < number and name.endswith(DONE)]
        kept = {number, max(before, default=number)}
        return [name for name in names if (n := _number(name, prefix)) is not None and n not in kept]

    def latest_checkpoint(self) -> dict[str, Path] | None:
        """Files of the newest complete checkpoint that is what was written, fetched, or None.

        A damaged one is told in a line; the one before it, or the start, leads to the very same result.
        """
        for done in reversed(self._checkpoints()):
            number = done.rpartition("/")[0].rpartition("/")[2]
            try:
                if (files := self._files_of(done)) is not None:
                    return files
            except (DamagedError, NotFoundError) as error:
                why = error.why if isinstance(error, DamagedError) else str(error)
                print(f"checkpoint {number} is damaged ({why}): going on from the one before it, or from the start", flush=True)
        return None

    def checkpoint(self, number: int) -> dict[str, Path]:
        """Files of the one that another process has read already. Raises TransientError where it cannot be read here."""
        try:
            files = self._files_of(f"work/{self.task.key}/checkpoints/{number:08d}/done.json")
        except (DamagedError, NotFoundError) as error:
            raise TransientError(f"checkpoint {number}, which rank 0 goes on from, cannot be read: {error}") from error
        if files is None:
            raise TransientError(f"checkpoint {number}, which rank 0 goes on from, is gone")
        return files

    def _files_of(self, done: str) -> dict[str, Path] | None:
        checkpoint = read(self.store, done, shaped(Checkpoint))
        if checkpoint is None:
            return None
        return {name: self._fetch(done.removesuffix("done.json") + name, h) for name, h in checkpoint.files.items()}

    def _checkpoints(self) -> list[str]:
        """Names of ``done.json`` of all complete checkpoints, oldest first."""
        prefix = f"work/{self.task.key}/checkpoints/"
        names = (stat.name for stat in self.store.list(prefix))
        return [name for name in names if name.endswith(DONE) and _number(name, prefix) is not None]

    def _fetch(self, name: str, sha256: str) -> Path:
        target = self.scratch / "checkpoint" / Path(name).name
        target.parent.mkdir(parents=True, exist_ok=True)
        self.store.download(name, target)
        if file_sha256(target) != sha256:
            raise DamagedError(self.store.url, name, f"{Path(name).name} is not what was written")
        return target

    def _read_spent(self) -> float:
        """Seconds of earlier attempts, from their last words: progress and checkpoints both carry the sum."""
        said = (read_progress(self.store, self.task.key) or {}).get("seconds")
        if said is None:
            with suppress(TransientError):  # an estimate: no reason to end a task that may not even have checkpoints
                found = (read_disposable(self.store, done, shaped(Checkpoint)) for done in reversed(self._checkpoints()))
                said = next((each.seconds for each in found if each is not None), 0.0)
        said = said or 0.0
        return float(said) if 0 <= float(said) < float("inf") else 0.0


@dataclass(frozen=True)
class Checkpoint:
    """``done.json``: the files' sha256 by name, and the run time in s up to then."""

    files: dict[str, str]
    seconds: float = 0.0


def _cache(alone: Path, stop: Callable[[], bool]) -> Cache:
    """Shared by the tasks of a node where TLBATCH_CACHE names a folder for it, else this attempt's own."""
    return open_cache(alone, stop) if os.environ.get("TLBATCH_CACHE") else PrivateFolder(alone)


def _number(name: str, prefix: str) -> int | None:
    """The checkpoint that an object belongs to; None for what is none (``rows/``)."""
    folder = name.removeprefix(prefix).partition("/")[0]
    return int(folder) if folder.isdigit() else None


def _cpu_name() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
