"""``--model``: one grammar for the models that predict, and what identifies one.

``champion:NAME[/TASK]``                 the champion of a schedule, in the store of ``--store``; of several tasks that
                                         of one
``STORE/artifacts/finetune/KEY``         one trained model (or ``extend/KEY``: one that got a class more)
``STORE#EXECUTION/RUN[:SEED]``           a run's model of an execution (an id, the start of one, or a study's name); the lowest
                                         seed unless one is named; folds are averaged
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tlbatch.contracts.data import Stored
from tlbatch.errors import StudyError
from tlbatch.prediction.parts import model_digests
from tlbatch.records.executions import Execution, find_execution
from tlbatch.schema.nearest import suggestion
from tlbatch.steps import MODELS
from tlbatch.store import Store, open_store
from tlbatch.store.artifacts import load_manifest
from tlbatch.store.documents import DamagedError
from tlbatch.tasks import InputRef, Task, load_task

CHAMPION = "champion:"
GRAMMAR = "champion:NAME[/TASK], STORE/artifacts/finetune/KEY or STORE#EXECUTION/RUN[:SEED]"
_ARTIFACT = re.compile(r"(?P<store>.+)/artifacts/(?P<step>[a-z]+)/(?P<key>[0-9a-f]{40})/?")


@dataclass(frozen=True)
class Chosen:
    """A model to predict with: the networks of one seed, several where it was trained in folds.

    ``identity`` says in words which it is, for the summary. ``inputs``: ``model:<seed>[:<fold>]``, and ``source`` where its
    backbone is an earlier study's. ``prepared``: how prepare stored what it learned from.
    """

    store: Store
    identity: dict[str, Any]
    inputs: dict[str, InputRef]
    weights: str | None = None
    prepared: Stored = field(default_factory=Stored)

    @property
    def digests(self) -> list[str]:
        """Of its networks, folds in order: what the predictions follow from."""
        return model_digests(self.inputs)

    @property
    def name(self) -> str:
        """In a few words."""
        return model_words(self.identity)


def model_words(identity: Mapping[str, Any]) -> str:
    """A model's identity in a few words."""
    if identity.get("champion"):
        of_task = f" ({identity['task']})" if identity.get("task") else ""
        return f"champion {identity['champion']}{of_task} number {identity.get('serial')}"
    if identity.get("run"):
        return f"run {identity['run']} of {identity.get('execution')}"
    models = identity.get("models") or [{}]
    return f"model {str(models[0].get('key', '?'))[:12]}"


def choose_model(text: str, default_store: str) -> Chosen:
    """The model that ``--model`` names. Raises StudyError where the text is not of the grammar or the model is not there."""
    if text.startswith(CHAMPION):
        return _champion(open_store(default_store), text.removeprefix(CHAMPION))
    if "#" in text:
        url, _, run = text.rpartition("#")
        return _run(_opened(url, text), run, text)
    found = _ARTIFACT.fullmatch(text)
    if found is None:
        near = " (a run of an execution is named after a #)" if "/" in text else ""
        raise StudyError(f"--model {text}: expected {GRAMMAR}{near}")
    if found["step"] not in MODELS:
        raise StudyError(f"--model {text}: an artifact of {found['step']} is no model; name one of {' or '.join(MODELS)}")
    store = _opened(found["store"], text)
    ref = _ref(store, found["step"], found["key"], text)
    return _chosen(store, {}, {"model:0": ref})


def _opened(url: str, text: str) -> Store:
    if not url:
        raise StudyError(f"--model {text}: name the store before the #, as in .tlbatch/store#pets/cnn or s3://BUCKET/PREFIX#…")
    return open_store(url)


def _champion(store: Store, name: str) -> Chosen:
    from tlbatch.champions.champion import find_champion, model_of_task

    name, _, task = name.partition("/")
    champion = model_of_task(find_champion(store, name)[0], task or None, f"champion:{name}/{{task}}")
    for ref in champion.models.values():
        _ref(store, ref.step, ref.key, f"champion:{name}", ref.digest)
    identity = {"champion": name, "serial": champion.serial, "study": champion.study, "run": champion.run}
    return _chosen(store, {**identity, **({"task": task} if task else {}), "seed": champion.seed}, champion.models)


def _run(store: Store, text: str, whole: str) -> Chosen:
    match = re.fullmatch(r"(?P<execution>[^/:]+)/(?P<run>[^/:]+)(?::(?P<seed>\d+))?", text)
    if match is None:
        raise StudyError(f"--model {whole}: after the # comes EXECUTION/RUN or EXECUTION/RUN:SEED")
    execution = find_execution(store, match["execution"], lambda each: has_trained(each, match["run"]))
    tasks: Mapping[str, Any] = (execution.load_plan() or {}).get("tasks", {})
    parts = [name.split(":") for name in tasks if name.startswith("finetune:")]
    runs = list(dict.fromkeys(part[1] for part in parts))
    if match["run"] not in runs:
        there = f"; it has {', '.join(runs)}" if runs else "; it has trained none"
        raise StudyError(
            f"--model {whole}: {execution.id} has no run {match['run']}{suggestion(match['run'], runs, most=0)}{there}"
        )
    seeds = sorted({int(part[2]) for part in parts if part[1] == match["run"]})
    seed = int(match["seed"]) if match["seed"] is not None else seeds[0]
    if seed not in seeds:
        raise StudyError(f"--model {whole}: run {match['run']} has no seed {seed}; it has {', '.join(map(str, seeds))}")
    folds = sorted((part for part in parts if part[1] == match["run"] and int(part[2]) == seed), key=_fold)
    models = {f"model:{':'.join(part[2:])}": _ref(store, "finetune", _key(tasks, part, whole), whole) for part in folds}
    identity = {"execution": execution.id, "study": (execution.load_plan() or {}).get("study", ""), "run": match["run"]}
    return _chosen(store, {**identity, "seed": seed}, models)


def _fold(part: list[str]) -> int:
    return int(part[3]) if len(part) > 3 else 0


def has_trained(execution: Execution, run: str) -> bool:
    """Whether the execution's models of the run are all there; one whose plan cannot be read has none."""
    try:
        tasks = (execution.load_plan() or {}).get("tasks", {})
    except DamagedError:
        return False
    keys = [task.get("key") for name, task in tasks.items() if name.startswith(f"finetune:{run}:")]
    return bool(keys) and all(key and load_manifest(execution.store, "finetune", key) is not None for key in keys)


def _key(tasks: Mapping[str, Any], part: list[str], whole: str) -> str:
    name = ":".join(part)
    key = tasks[name].get("key")
    if not key:
        raise StudyError(f"--model {whole}: {name} is not trained yet; `tlbatch status` shows where its execution stands")
    return str(key)


def _ref(store: Store, step: str, key: str, whole: str, digest: str | None = None) -> InputRef:
    manifest = load_manifest(store, step, key)
    if manifest is None or digest not in (None, manifest.digest):
        raise StudyError(f"--model {whole}: {store.url}/artifacts/{step}/{key} is not there (any more); run its study again")
    if "card.json" not in manifest.files and any(name.endswith("/card.json") for name in manifest.files):
        raise StudyError(
            f"--model {whole}: several tasks were learnt together here: name the model of one (STORE#EXECUTION/RUN-TASK)"
        )
    return InputRef(step, key, manifest.digest)


def _chosen(store: Store, identity: dict[str, Any], models: Mapping[str, InputRef]) -> Chosen:
    ordered = dict(sorted(models.items(), key=lambda item: [int(part) for part in item[0].split(":")[1:]]))
    first = next(iter(ordered.values()))
    trained = _task(store, first.key)
    source = {"source": trained.inputs["source"]} if trained and "source" in trained.inputs else {}
    prepared = _task(store, trained.inputs["dataset"].key) if trained and "dataset" in trained.inputs else None
    return Chosen(
        store=store,
        identity={**identity, "models": [asdict(ref) for ref in ordered.values()]},
        inputs={**ordered, **source},
        weights=trained.locations.get("weights") if trained else None,
        prepared=Stored.of_another_time(prepared.params) if prepared else Stored(),
    )


def _task(store: Store, key: str) -> Task | None:
    """The task document that an artifact was made by, or None where it is gone.

    Raises DamagedError: its settings decide what is predicted.
    """
    return load_task(store, key)
