"""A study file, or its text, to a validated Study; every mistake at once."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from tlbatch.errors import StudyError
from tlbatch.home import expanded
from tlbatch.kinds import speak_of
from tlbatch.schema.files import read_bytes
from tlbatch.schema.yamltree import MOST_MISTAKES, Mistake, Path, Tree, lines_of, read_tree
from tlbatch.spec.check import check_study
from tlbatch.spec.decode import decode
from tlbatch.spec.overrides import apply_override
from tlbatch.spec.study import Study
from tlbatch.store.opening import local_folder

MOST_BYTES = 4 * 2**20
WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".tar", ".ckpt")


@dataclass(frozen=True)
class LoadedStudy:
    """A study and where it came from.

    ``document`` is the study as plain values after ``${NAME:-default}``, ``--set`` and the resolution of relative
    paths: written out as YAML and loaded again, from anywhere, it gives an equal study.
    """

    study: Study
    document: dict[str, Any]
    path: FilePath | None
    folder: FilePath


def load_study(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> LoadedStudy:
    """Read and validate a study file.

    Raises StudyError, whose text has one line for every mistake: ``file:line: runs[1].train.lr: what is wrong``.
    """
    file = FilePath(path)
    try:
        text = read_bytes(file, "a study", MOST_BYTES).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise StudyError(f"{file}: there is no such file (`tlbatch init` writes a study to start from)") from error
    except IsADirectoryError as error:
        raise StudyError(f"{file}: is a folder, not a study (`tlbatch init {file}` writes a study for it)") from error
    except UnicodeDecodeError as error:
        raise StudyError(f"{file}: cannot be read as UTF-8 text: {error}") from error
    return _load(text, str(file), overrides, file, file.absolute().parent)


def parse_study(
    text: str, name: str = "study.yaml", overrides: Sequence[str] = (), folder: FilePath | None = None
) -> LoadedStudy:
    """Validate a study's text. ``name`` stands for the file in mistakes; relative paths start at ``folder`` (default: here)."""
    return _load(text, name, overrides, None, (folder or FilePath()).absolute())


def _load(text: str, name: str, overrides: Sequence[str], path: FilePath | None, folder: FilePath) -> LoadedStudy:
    tree = read_tree(text, name)
    overridden = [] if any(not mistake.path for mistake in tree.mistakes) else _override(tree, overrides)
    unreadable = tree.value is None and bool(tree.mistakes)
    if not unreadable:
        _resolve_paths(tree, overridden, folder)
        study, mistakes = decode(tree.value, tree.written)
        with suppress(StudyError):  # a kind that is not there is a mistake that ``check_study`` tells
            speak_of(study.dataset.kind_name if study else None)
        told = {mistake.path for mistake in tree.mistakes if mistake.path}
        tree.mistakes += [mistake for mistake in mistakes if mistake.path not in told]
        tree.mistakes += check_study(study) if study else _check_what_is_right(tree.value, tree.mistakes)
        if study and not tree.mistakes:
            return LoadedStudy(study, tree.value, path, folder)
    raise StudyError("\n".join(lines_of(tree)))


def _override(tree: Tree, overrides: Sequence[str]) -> list[Path]:
    return [path for path in (apply_override(tree, text) for text in overrides) if path is not None]


# ---- paths of files ----


def _resolve_paths(tree: Tree, overridden: list[Path], folder: FilePath) -> None:
    """Relative folders and files start at the study file's folder; those given by --set, where the command was typed."""

    def start(path: Path) -> FilePath:
        return FilePath.cwd() if any(path[: len(over)] == over for over in overridden) else folder

    if not isinstance(tree.value, dict):
        return
    sources = tree.value.get("sources")
    places: dict[Path, Any] = {("dataset",): tree.value.get("dataset")}
    places |= {("sources", name): source for name, source in (sources if isinstance(sources, dict) else {}).items()}
    for path, dataset in places.items():
        if isinstance(dataset, dict) and isinstance(dataset.get("url"), str) and dataset["url"]:
            dataset["url"] = _absolute(dataset["url"], start((*path, "url")))
    for path, model in _models(tree.value):
        weights = model.get("weights")
        if isinstance(weights, str) and is_file_like(weights):
            model["weights"] = _absolute(weights, start((*path, "weights")))


def _models(study: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """What may name weights, with its place: runs' models, and the backbones that advice is asked of."""
    runs, advise = study.get("runs"), study.get("advise")
    asked = advise.get("candidates") if isinstance(advise, dict) else None
    for i, run in enumerate(runs if isinstance(runs, list) else ()):
        if isinstance(run, dict) and isinstance(run.get("model"), dict):
            yield ("runs", i, "model"), run["model"]
    for i, candidate in enumerate(asked if isinstance(asked, list) else ()):
        if isinstance(candidate, dict):
            yield ("advise", "candidates", i), candidate


def is_file_like(weights: str) -> bool:
    """Whether ``weights`` is a URL or a path rather than the name of a weight."""
    return "/" in weights or weights.endswith(WEIGHT_SUFFIXES) or os.sep in weights


def _absolute(text: str, start: FilePath) -> str:
    if text.startswith("file://"):
        with suppress(StudyError):  # of what is no folder's or file's address the check tells
            return os.path.normpath(local_folder(text))
    if "://" in text or text.startswith("store:"):
        return text
    return os.path.normpath(start / expanded(text))


# ---- the checks, as far as a document with mistakes allows ----

_STAND_INS: dict[str, Any] = {"apiVersion": "tlbatch/v1", "kind": "Study", "name": "unnamed", "dataset": {"url": "."}}


def _check_what_is_right(document: Any, found: list[Mistake]) -> list[Mistake]:
    """Check what remains when each wrong value is left out; silent where that leaves too little, or rests on what is wrong."""
    if not isinstance(document, dict) or len(found) > MOST_MISTAKES:
        return []
    study = None
    pruned = copy.deepcopy(document)
    for _ in range(4):
        study, mistakes = decode(pruned)
        if study:
            break
        for mistake in sorted(mistakes, key=lambda each: -len(each.path)):
            _leave_out(pruned, mistake.path)
    wrong = [mistake.path for mistake in found if mistake.path]
    later = check_study(study) if study else []
    return [mistake for mistake in later if not any(_touches(mistake, path) for path in wrong)]


def _touches(mistake: Mistake, wrong: Path) -> bool:
    def related(a: Path, b: Path) -> bool:
        short = min(len(a), len(b))
        return a[:short] == b[:short]

    return any(related(path, wrong) for path in (mistake.path, *mistake.rests_on))


def _leave_out(document: dict[str, Any], path: Path) -> None:
    """Take a wrong value out, or put something harmless in its place when it must be there."""
    if not path:
        return
    end = next((i for i, step in enumerate(path) if isinstance(step, int) and path[:i] != ("runs",)), len(path))
    path = path[:end]  # a list with a wrong entry goes as a whole: the others keep their numbers
    parent: Any = document
    for step in path[:-1]:
        inside = isinstance(parent, list) or step in parent
        parent = parent[step] if inside else None
        if not isinstance(parent, dict | list):
            return
    if isinstance(parent, dict) and path[-1] in parent:
        del parent[path[-1]]
    elif path[0] == "runs" and len(path) > 1:
        document["runs"][path[1]] = {"name": f"run-{path[1]}", "model": {"scratch": {}}}
    if path[0] in _STAND_INS and (len(path) == 1 or path == ("dataset", "url")):
        document[str(path[0])] = copy.deepcopy(_STAND_INS[str(path[0])])
    if path == ("runs",):
        document["runs"] = [{"name": "run-0", "model": {"scratch": {}}}]
