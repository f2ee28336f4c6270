"""What a schedule adds to a plan: images are pinned, the champion is judged beside the challenger, a decision is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tlbatch.champions.champion import Champion
from tlbatch.contracts.data import PinParams
from tlbatch.contracts.evaluation import (
    ArtifactParams,
    ChampionParams,
    DecideParams,
    EvaluateChampionParams,
    RuleParams,
    StreamParams,
)
from tlbatch.contracts.models import Trained
from tlbatch.errors import StudyError
from tlbatch.planning.plan import Node
from tlbatch.schema.nearest import suggestion
from tlbatch.spec import Study
from tlbatch.store import Store
from tlbatch.tasks import InputRef, Task, load_task

PIN, DECIDE, CHAMPION = "pin", "decide", "evaluate:champion"
PINNED = {"pinned": PIN}
RULE = ("promote_on", "promote", "min_gain", "alpha", "class_bound")


@dataclass(frozen=True)
class ChampionState:
    """What a firing starts from; all of it stays as it is until the firing has ended, also for a driver that goes on with it.

    ``pins``: the last firing's ``pin`` artifact. ``uses``: for each version of the test set how many tests of a challenger it
    has served so far (``test.count`` of the last decision made on it). ``evaluated``: the last firing's ``evaluate:champion``,
    if it was of this champion; without it the champion's own evaluation is looked at first. ``stream``: what challengers
    before scored on the test images (``stream`` of the last decision); None where a person moved the champion since.
    ``renew``: a person asked for other test images.
    """

    pins: InputRef | None = None
    champion: Champion | None = None
    uses: Mapping[int, int] = field(default_factory=dict)
    evaluated: InputRef | None = None
    stream: Mapping[str, Any] | None = None
    renew: bool = False


@dataclass(frozen=True)
class ResolvedChampion:
    """A ``ChampionState`` resolved: ``task`` trained the champion's first model, where the store still has its document."""

    defence: ChampionState
    task: Task | None = None

    @property
    def trained(self) -> Trained | None:
        """What that task was asked."""
        return Trained.of_another_time(self.task.params) if self.task else None

    @property
    def uses(self) -> dict[str, int]:
        """Tests that each version of the test set has served, as JSON has it."""
        return {str(version): count for version, count in sorted(self.defence.uses.items()) if count}


def resolve_champion(defence: ChampionState, study: Study, store: Store, classes: Sequence[str]) -> ResolvedChampion:
    """Reads how the champion was trained.

    Raises StudyError for a study without a schedule, a run called champion, and bounds of classes that the data has not.
    """
    if study.schedule is None:
        raise StudyError(f"{study.name} has no schedule, so there is no champion to defend: add `schedule: {{cron: …}}`")
    if any(run.name == "champion" for run in study.runs):
        raise StudyError("runs: `champion` is the name of the model that a schedule stands by: call the run something else")
    bounds = study.schedule.class_bound
    unknown = [name for name in bounds if name not in classes] if isinstance(bounds, dict) else []
    if unknown:
        raise StudyError(f"schedule.class_bound: the dataset has no class {unknown[0]!r}{suggestion(unknown[0], classes)}")
    champion, task = defence.champion, None
    if champion is not None:
        task = load_task(store, champion.models[min(champion.models)].key)
    return ResolvedChampion(defence, task)


def pin_node(defended: ResolvedChampion, classes: tuple[str, ...], study: Study) -> Node:
    assert study.schedule is not None
    before, champion = defended.defence.pins, defended.defence.champion
    given = {"before": before} if before else {}
    for number, each in enumerate(champion.extended if champion else ()):
        given[f"added:{number}"] = InputRef(**each["added"])
    renew: dict[str, Any] = {"renew": True} if defended.defence.renew else {}
    params = PinParams(split=study.dataset.split, classes=classes, fresh=study.schedule.fresh, **renew)
    return Node(PIN, "pin", params.as_json(), {"dataset": "prepare"}, given, weight="light", shape=PIN)


def champion_node(defended: ResolvedChampion, split: dict[str, Any], locations: Mapping[str, str]) -> Node | None:
    """The champion on this firing's test set. ``locations``: sha256 of weights files -> where this study has them."""
    champion, task = defended.defence.champion, defended.task
    if champion is None:
        return None
    precision, own = (
        defended.trained.precision if defended.trained else "fp32",
        champion.pins is not None and champion.study == champion.name,
    )
    params = EvaluateChampionParams(run_kind="champion", **split, precision=precision, fresh=own)
    given = {**champion.models, "earlier": defended.defence.evaluated or champion.evaluation}
    if task is not None and "source" in task.inputs:
        given["source"] = task.inputs["source"]
    location = _location(defended, locations)
    return Node(
        name=CHAMPION,
        step="evaluate",
        params=params.as_json(),
        needs={"dataset": "prepare", **PINNED},
        given=given,
        locations={"weights": location} if location else {},
        shape=CHAMPION,
    )


def _location(defended: ResolvedChampion, locations: Mapping[str, str]) -> str | None:
    if defended.task is None or defended.trained is None:
        return None
    backbone = defended.trained.model.backbone
    found = locations.get(backbone.weights.sha256 or "") if backbone else None
    return found or defended.task.locations.get("weights")


def decide_node(defended: ResolvedChampion, study: Study, runs: Sequence[str], needs: Mapping[str, str]) -> Node:
    """``needs``: all that the report reads, by role; a decision reads evaluations and models of the study's own ``runs``."""
    assert study.schedule is not None
    champion = defended.defence.champion
    own = {
        role: name
        for role, name in needs.items()
        if role.split(":")[0] in ("evaluate", "finetune") and role.split(":")[1] in runs
    }
    stream = defended.defence.stream
    params = DecideParams(
        rule=RuleParams.of({name: value for name, value in study.schedule.model_dump(mode="json").items() if name in RULE}),
        uses=defended.uses,
        stream=None if stream is None else StreamParams.of(stream),
        runs=tuple(runs),
        champion=None if champion is None else _described(champion),
    )
    needed = {**PINNED, **own} | ({"champion": CHAMPION} if champion else {})
    return Node(DECIDE, "decide", params.as_json(), needed, weight="light", shape=DECIDE)


def _described(champion: Champion) -> ChampionParams:
    models = {role: ArtifactParams.of(asdict(ref)) for role, ref in sorted(champion.models.items())}
    added: dict[str, Any] = {"added": champion.added} if champion.added else {}
    return ChampionParams(serial=champion.serial, run=champion.run, seed=champion.seed, models=models, **added)
