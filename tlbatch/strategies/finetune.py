"""``finetune``: a backbone with its head, end to end; which stages learn, when and how fast is set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from tlbatch.schema.base import Part, Positive
from tlbatch.schema.nearest import suggestion
from tlbatch.schema.yamltree import Mistake, Path
from tlbatch.strategies.entry import CheckedRun, Strategy

HEAD = "head"


class L2SP(Part):
    """Weights are held to where they start instead of to zero (Li, Grandvalet and Davoine 2018, "L2-SP")."""

    alpha: Annotated[float, Field(ge=0)] = Field(default=0.1, description="on how far the backbone is from where it started")
    beta: Annotated[float, Field(ge=0)] = Field(default=0.01, description="on the weights of the head, which is new")


class Finetune(Part):
    """Train a backbone with its head, end to end. Stages before the first unfrozen one may be frozen or named."""

    unfreeze: Literal["all", "none"] | tuple[str, ...] = Field(default="all", description="stages that learn; the head does")
    warm_up: Annotated[int, Field(ge=0)] = Field(default=0, description="epochs of the head alone before stages unfreeze")
    gradual: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="unfreeze one more stage, from the last back, every so many epochs"
    )
    lr_scale: dict[str, Positive] = Field(default_factory=dict, description="stage -> factor on the learning rate")
    lr_decay: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0, description="factor for every stage further from the head"
    )
    batch_norm: Literal["auto", "eval", "train"] = Field(
        default="auto", description="of trained stages; auto: eval below 32 images a batch"
    )
    transfer: str | None = Field(
        default=None,
        exclude_if=lambda stage: stage is None,
        description="last stage that takes pretrained weights, later ones start anew (Yosinski et al. 2014); default: all do",
    )
    l2_sp: L2SP | None = Field(
        default=None,
        exclude_if=lambda held: held is None,  # so that keys of studies without it are the same as ever
        description="add alpha/2 · |backbone − its start|² + beta/2 · |head|² to the loss, of all that learns",
    )


def check(run: CheckedRun) -> Iterator[Mistake]:
    """Stages that the network does not have or does not use, and settings that come to nothing."""
    how: Finetune = run.settings
    path, rests_on = run.path, (run.model_path,)
    named = () if isinstance(how.unfreeze, str) else how.unfreeze
    if run.stages:
        backbone = run.backbone
        unfrozen = (stage for stage in named if stage != HEAD)
        yield from _unknown((*path, "unfreeze"), unfrozen, run.stages, backbone, rests_on)
        yield from _unknown((*path, "lr_scale"), how.lr_scale, [*run.stages, HEAD], backbone, rests_on)
        yield from _cut_off(run, named, (*path, "unfreeze"), rests_on)
        yield from _anew(run, how, (*path, "transfer"), rests_on)
    if how.unfreeze == "none" or (not isinstance(how.unfreeze, str) and not named):
        if how.gradual is not None:
            yield Mistake((*path, "gradual"), "nothing to unfreeze: unfreeze is none", None, ((*path, "unfreeze"),))
        if how.warm_up:
            yield Mistake((*path, "warm_up"), "without stages to unfreeze, all of it is warm-up", None, ((*path, "unfreeze"),))
    if how.l2_sp is not None and (how.unfreeze == "none" or not (isinstance(how.unfreeze, str) or {*named} - {HEAD})):
        text = "nothing of the backbone learns, so nothing strays from its start: unfreeze stages, or remove l2_sp"
        yield Mistake((*path, "l2_sp"), text, None, ((*path, "unfreeze"),))
    if how.warm_up >= run.epochs and how.warm_up:
        text = f"must be less than train.epochs ({run.epochs}), else nothing is ever unfrozen"
        yield Mistake((*path, "warm_up"), text)
        return
    learn = learning(how.model_dump(), list(run.used or run.stages))
    yield from _idle(run, how, learn)


def _idle(run: CheckedRun, how: Finetune, learn: Sequence[str]) -> Iterator[Mistake]:
    """Stages that the epochs do not reach, and rates of stages that do not learn. Nothing of a network that is not known."""
    if not (run.used or run.stages):
        return
    needed = how.warm_up + (how.gradual or 0) * (len(learn) - 1) + 1
    if how.gradual and len(learn) > 1 and needed > run.epochs:
        fits = (run.epochs - how.warm_up - 1) // (len(learn) - 1)
        ways = f"train.epochs: {needed} or more" + (f", or gradual: {fits}" if fits else ", or fewer stages in unfreeze")
        text = f"{learn[0]} would never learn: one of {len(learn)} stages every {how.gradual} epochs, of {run.epochs}: {ways}"
        yield Mistake((*run.path, "gradual"), text, None, ((*run.path, "unfreeze"),))
    for name in how.lr_scale:
        if name in run.stages and name not in learn:
            text = f"{name} does not learn, so it has no rate: name it in unfreeze, or leave its rate out"
            yield Mistake((*run.path, "lr_scale", name), text, None, ((*run.path, "unfreeze"),))


def _unknown(
    path: Path, names: Iterable[str], stages: Sequence[str], backbone: object, rests_on: tuple[Path, ...]
) -> Iterator[Mistake]:
    for name in names:
        if name not in stages:
            yield Mistake(path, f"unknown stage {name!r} of {backbone}{suggestion(name, stages, most=20)}", None, rests_on)


def _cut_off(run: CheckedRun, named: Iterable[str], path: Path, rests_on: tuple[Path, ...]) -> Iterator[Mistake]:
    """Stages behind the layer that is used are not part of the model."""
    for name in named:
        if name in run.stages and run.used and name not in run.used:
            default = f"{run.used[-1]}, whose output is used unless layer says otherwise"
            where = f"layer {run.layer}" if run.layer else default
            yield Mistake(path, f"{name} comes after {where}, so it is not part of this model", None, rests_on)


def _anew(run: CheckedRun, how: Finetune, path: Path, rests_on: tuple[Path, ...]) -> Iterator[Mistake]:
    """What starts anew has to learn; and something has to."""
    if how.transfer is None:
        return
    yield from _unknown(path, [how.transfer], run.stages, run.backbone, rests_on)
    used = list(run.used or run.stages)
    if how.transfer not in used:
        if how.transfer in run.stages:
            yield Mistake(path, f"{how.transfer} is not part of this model, which ends with {used[-1]}", None, rests_on)
        return
    anew = starting_anew(how.transfer, used)
    if not anew:
        yield Mistake(path, f"{how.transfer} is the last stage before the head, so that nothing starts anew: leave it out")
    idle = [stage for stage in anew if stage not in learning(how.model_dump(), used)]
    if idle:
        text = f"{idle[0]} starts anew and does not learn: name it in unfreeze, with all stages after {how.transfer}"
        yield Mistake(path, text, None, ((*run.path, "unfreeze"),))


def starting_anew(transfer: str | None, stages: Sequence[str]) -> tuple[str, ...]:
    """The stages (input to head) after the last one that takes pretrained weights."""
    return () if transfer is None else tuple(stages[list(stages).index(transfer) + 1 :])


def learning(settings: Mapping[str, Any], stages: Sequence[str]) -> tuple[str, ...]:
    unfreeze = settings["unfreeze"]
    if unfreeze == "all":
        return tuple(stages)
    return () if unfreeze == "none" else tuple(stage for stage in stages if stage in unfreeze)


def phrase(settings: Mapping[str, Any], layer: str) -> str:
    held = ", held to where it started (L2-SP)" if settings.get("l2_sp") else ""
    anew = f"; all stages after {settings['transfer']} start anew" if settings.get("transfer") else ""
    return f"{_trained(settings.get('unfreeze'))}{held}{anew}"


def _trained(unfreeze: Any) -> str:
    if unfreeze == "all" or unfreeze is None:
        return "fine-tuned, all layers"
    if unfreeze == "none" or not unfreeze:
        return "head trained end to end, backbone frozen"
    names = [unfreeze] if isinstance(unfreeze, str) else [str(name) for name in unfreeze]
    return f"fine-tuned: {names[0] if len(names) == 1 else ', '.join(names[:-1]) + ' and ' + names[-1]}"


def detail(settings: Mapping[str, Any]) -> str:
    unfreeze, held = settings["unfreeze"], settings.get("l2_sp")
    named = unfreeze if isinstance(unfreeze, str) else ", ".join(unfreeze)
    anew = f", anew after {settings['transfer']}" if settings.get("transfer") else ""
    return (f"{named}, L2-SP {held['alpha']:g}/{held['beta']:g}" if held else named) + anew


FINETUNE = Strategy(
    name="finetune",
    title="a backbone with its head, end to end",
    program="jobs.strategies.finetune:train",
    model="backbone",
    settings=Finetune,
    heads=frozenset({"dense", "added"}),
    several_tasks=True,
    shares=True,
    in_pieces=True,
    frozen_once=True,
    whole=True,
    check=check,
    learning=learning,
    phrase=phrase,
    detail=detail,
)
