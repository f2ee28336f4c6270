"""A champion taken along: ``python -m jobs.export`` in a process of its own, its files checked and put in place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tlbatch.champions.champion import Champion, find_champion, model_of_task, terms
from tlbatch.errors import NO_ROOM, StudyError, TransientError, error_of
from tlbatch.store import Store
from tlbatch.store.artifacts import file_sha256
from tlbatch.tasks import InputRef, Task, load_task

CARD, OUTCOME = "model.json", "outcome.json"
IMAGES = 200
FORMATS = ("safetensors", "onnx")


@dataclass(frozen=True)
class Request:
    """All that ``jobs.export`` is told. ``inputs``: ``model:<seed>[:<fold>]`` and, where there is one, ``source``.

    ``weights``: where the bytes of pretrained weights are. ``images``: test images to compare on, at most. ``tolerance``:
    the largest difference of a probability; None: what its precision allows.
    """

    store: str
    champion: dict[str, Any]
    inputs: dict[str, InputRef]
    evaluation: InputRef
    dataset: InputRef | None
    weights: str | None = None
    formats: tuple[str, ...] = ("safetensors",)
    images: int = IMAGES
    tolerance: float | None = None

    @property
    def seed(self) -> int:
        return int(self.champion["seed"])

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode()

    @staticmethod
    def from_json(data: bytes) -> Request:
        document = json.loads(data)
        refs = {name: InputRef(**document[name]) if document[name] else None for name in ("evaluation", "dataset")}
        inputs = {role: InputRef(**ref) for role, ref in document["inputs"].items()}
        return Request(**{**document, **refs, "inputs": inputs, "formats": tuple(document["formats"])})


@dataclass(frozen=True)
class Pulled:
    """``files`` are names in ``folder``, the card apart; ``card`` is model.json."""

    folder: str
    files: tuple[str, ...]
    card: dict[str, Any]


def build_request(
    store: Store,
    name: str,
    serial: int | None,
    formats: tuple[str, ...],
    images: int,
    tolerance: float | None,
    task: str | None = None,
) -> Request:
    """Raises StudyError where there is no such champion, and where it has several tasks and none is named.

    Reads the task documents of model and evaluation.
    """
    champion = model_of_task(_champion(store, name, serial), task, "--task {task}, and a folder for each")
    trained = _task(store, next(iter(champion.models.values())).key)
    evaluated = _task(store, champion.evaluation.key)
    source = {"source": trained.inputs["source"]} if trained and "source" in trained.inputs else {}
    return Request(
        store=store.url,
        champion=json.loads(champion.to_json()),
        inputs={**champion.models, **source},
        evaluation=champion.evaluation,
        dataset=evaluated.inputs.get("dataset") if evaluated else None,
        weights=trained.locations.get("weights") if trained else None,
        formats=formats,
        images=images,
        tolerance=tolerance,
    )


def _champion(store: Store, name: str, serial: int | None) -> Champion:
    present, _ = find_champion(store, name)
    if serial in (None, present.serial):
        return present
    found = {term.serial: term for term in terms(store, name)}
    if serial not in found:
        there = ", ".join(map(str, sorted(found)))
        raise StudyError(f"{name} has no champion number {serial}: there are {there}; `tlbatch champion history {name}`")
    return found[serial]


def _task(store: Store, key: str) -> Task | None:
    return load_task(store, key)


def pull_champion(request: Request, folder: Path) -> Pulled:
    """Export into ``folder``: all files or none, their hashes checked. Raises what the export ended with, as a sentence."""
    _writable(folder)
    try:
        return _pull(request, folder)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise TransientError(f"{folder}: no space left there: make room, or name another folder") from error
        raise StudyError(f"{folder} cannot be written ({error.strerror}): name another folder") from error


def _pull(request: Request, folder: Path) -> Pulled:
    earlier = _listed(folder)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as made:
        out = Path(made)
        _run(request, out)
        card: dict[str, Any] = json.loads((out / CARD).read_bytes())
        _check(out, card["files"])
        folder.mkdir(exist_ok=True)
        for path in sorted(out.iterdir(), key=lambda path: path.name == CARD):  # the card last: it tells of the others
            path.chmod(0o666 & ~_umask())  # safetensors writes files that only their owner reads
            path.replace(folder / path.name)
        for name in earlier - {*card["files"], CARD}:  # of another model than the card's
            (folder / name).unlink(missing_ok=True)
    return Pulled(str(folder), tuple(sorted(card["files"])), card)


def _listed(folder: Path) -> set[str]:
    """Files that an earlier pull left, by its card; none where the card is damaged."""
    try:
        files = json.loads((folder / CARD).read_bytes())["files"]
    except (OSError, ValueError, TypeError, KeyError):
        return set()
    return {name for name in files if isinstance(name, str) and Path(name).name == name}


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _writable(folder: Path) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        taken = folder.exists() and not (folder.is_dir() and ((folder / CARD).exists() or not any(folder.iterdir())))
    except OSError as error:
        raise StudyError(f"{folder} cannot be made ({error.strerror}): name another folder") from error
    if taken:
        raise StudyError(f"{folder} has other things in it: name a new folder, or one with an earlier pull")


def _run(request: Request, out: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="tlbatch-pull-") as folder:
        document = Path(folder) / "request.json"
        document.write_bytes(request.to_json())
        command = [sys.executable, "-m", "jobs.export", "--request", str(document), "--out", str(out)]
        code = subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode
        outcome = document.with_name(OUTCOME)
        said: Mapping[str, Any] = json.loads(outcome.read_bytes()) if outcome.exists() else {}
    if code or not said:
        what = f"the export ended with {code} and without a word: is there memory enough for the network?"
        raise error_of(int(said.get("code", code)), str(said.get("sentence") or what))


def _check(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    wrong = [name for name, entry in files.items() if file_sha256(folder / name) != entry["sha256"]]
    if wrong:
        raise TransientError(f"{', '.join(wrong)}: not what was exported (is the disk full?); nothing was kept, try again")
