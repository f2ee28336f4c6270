"""A study that asks for advice, made of another one or of a folder; and the study that does what was advised."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tlbatch import nouns
from tlbatch.backbones.catalogue import backbones
from tlbatch.errors import StudyError
from tlbatch.init import starter_study
from tlbatch.manifests.needs import seconds
from tlbatch.planning.weights import places
from tlbatch.schema.writing import dump_yaml
from tlbatch.spec import LoadedStudy, load_study
from tlbatch.spec.load import is_file_like, parse_study
from tlbatch.store import Store

SUFFIX = "-advice"
LONGEST_NAME = 40
HERE = ("store", "package", "cache")  #: places of weights that need no network


def advice_name(study: str) -> str:
    """What an execution that advises on a study is called."""
    return study[: LONGEST_NAME - len(SUFFIX)].rstrip("-") + SUFFIX


def load_subject(place: str, overrides: Sequence[str] = ()) -> tuple[LoadedStudy, bool]:
    """What advice is asked on: a study's file, or a folder as ``tlbatch init`` reads it; and whether it was a folder.

    Raises StudyError.
    """
    if not Path(place).is_dir():
        return load_study(place, overrides), False
    return parse_study(starter_study(Path(place)), f"{place} (as `tlbatch init` has it)", overrides), True


def candidates_of(loaded: LoadedStudy, store: Store, *, folder: bool) -> list[dict[str, Any]]:
    """The study's pretrained backbones, each once; where it has none, and for a folder, all of the catalogue that can be had.

    Raises StudyError where there is none either.
    """
    found: list[dict[str, Any]] = []
    for run in () if folder else loaded.document.get("runs", ()):
        model = run["model"]
        if model.get("backbone") is not None and model.get("weights") != "random":
            each = {name: model[name] for name in ("backbone", "weights") if name in model}
            found += [each] if each not in found else []
    found = found or available(store)
    if not found:
        raise StudyError(
            f"no weights of the catalogue are in {store.url}, in an installed package or in torch's cache: `tlbatch weights "
            "mirror NAME` puts them into the store, or name candidates: --candidates NAME=FILE,…"
        )
    return found


def available(store: Store) -> list[dict[str, Any]]:
    """Backbones of the catalogue whose weights need no network: the first such weights of each."""
    found = []
    for name in backbones():
        there = next((weight for weight, place in places(name, store) if place.kind in HERE), None)
        if there is not None:
            found.append({"backbone": name, "weights": there.name})
    return found


def parsed_candidates(text: str) -> list[dict[str, Any]]:
    """``NAME,NAME=WEIGHTS,…`` (``--candidates``): WEIGHTS a name, a URL, or a file as seen from here."""
    found = []
    for each in filter(None, (part.strip() for part in text.split(","))):
        name, _, weights = each.partition("=")
        if weights and is_file_like(weights) and "://" not in weights and not weights.startswith("store:"):
            weights = os.path.abspath(weights)  # noqa: PTH100 - links stay as they are named
        found.append({"backbone": name} | ({"weights": weights} if weights else {}))
    if not found:
        raise StudyError(f"--candidates {text!r} names none: NAME,NAME=WEIGHTS,…")
    return found


def parsed_budget(text: str) -> dict[str, int]:
    """``500`` is images, ``10m`` (s, m, h) is time. Raises StudyError."""
    if text.isdigit() and int(text) > 0:
        return {"images": int(text)}
    try:
        return {"seconds": seconds(text)}
    except ValueError as error:
        raise StudyError(f"--budget {text}: expected a number of {nouns.items()} (500) or a time (90s, 10m, 1h)") from error


def advice_study(
    loaded: LoadedStudy,
    candidates: Sequence[Mapping[str, Any]],
    budget: Mapping[str, int],
    layers: str,
    *,
    pinned: str | None = None,
) -> LoadedStudy:
    """The study with ``advise:``, without its schedule, under a name of its own. Raises StudyError for wrong candidates.

    ``pinned``: key of the artifact that pins the schedule's validation and test images; None before its first firing.
    """
    document = copy.deepcopy(loaded.document)
    document.pop("schedule", None)
    document["name"] = advice_name(loaded.study.name)
    pins = {"pinned": pinned} if pinned else {}
    document["advise"] = {"candidates": [dict(each) for each in candidates], **budget, **pins, "layers": layers}
    try:
        return parse_study(dump_yaml(document, variables=True), "advice", folder=loaded.folder)
    except StudyError as error:  # lines of a file that nobody wrote
        raise StudyError(_PLACE.sub(_as_option, str(error))) from error


_PLACE = re.compile(r"^advice(?::\d+)?: (?:advise\.(\w+)(?:\[(\d+)\])?(?:\.\w+)*: )?", re.MULTILINE)


def _as_option(place: re.Match[str]) -> str:
    """A place in the study that is made, as the option that it came by."""
    field, number = place.groups()
    if field == "candidates":
        return f"--candidates, number {int(number) + 1}: " if number else "--candidates: "
    return "--budget: " if field else ""


def advised_study(asked: LoadedStudy, name: str, runs: Sequence[Mapping[str, Any]]) -> str:
    """The text of a study that does it. ``asked``: the one that asked for advice; ``runs``: of ``advice.json``.

    What the study says beside its runs stays; backbones come from ``advise.candidates``.
    """
    document = copy.deepcopy(asked.document)
    candidates = document.pop("advise")["candidates"]
    document["name"] = name
    document["description"] = "what tlbatch advise recommends, and what it is held against"
    document["runs"] = [_run(run, candidates) for run in runs]
    resources = document.pop("resources", None)
    document |= {"resources": resources} if resources else {}
    return dump_yaml(document, variables=True, width=120)


def _run(run: Mapping[str, Any], candidates: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found = copy.deepcopy(dict(run))
    number = found["model"].pop("candidate", None)
    if number is not None:
        found["model"] = {**candidates[number], **found["model"]}
    return found
