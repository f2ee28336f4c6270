"""A run's network: that it exists, and that its stages and layers do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tlbatch.backbones import names as known
from tlbatch.schema.nearest import suggestion
from tlbatch.schema.yamltree import Mistake, Path
from tlbatch.spec.model import Finetune, FinetuneStrategy, FromRun, Model
from tlbatch.spec.study import Run

HEAD = "head"


def check_model(run: Run, path: Path, study_name: str) -> Iterator[Mistake]:
    """Mistakes in ``model`` and in the stages that ``strategy`` names."""
    model, at = run.model, (*path, "model")
    if (model.scratch is None) == (model.backbone is None):
        what = "both are here" if model.scratch is not None else "neither is here"
        yield Mistake(at, f"needs either scratch or backbone, and {what}")
        return
    if model.scratch is not None:
        yield from _scratch(model, at)
    elif isinstance(model.backbone, FromRun):
        yield from _from_run(model, model.backbone, at, study_name)
    elif isinstance(model.backbone, str):
        yield from _backbone(model, model.backbone, at)
    if isinstance(run.strategy, FinetuneStrategy):
        yield from _finetune(run, run.strategy.finetune, (*path, "strategy", "finetune"), at)


def _scratch(model: Model, path: Path) -> Iterator[Mistake]:
    for name in ("weights", "layer", "pool", "head"):
        if name in model.model_fields_set:
            where = "its layers are in scratch: dense, dropout" if name == "head" else "it has no pretrained network"
            yield Mistake((*path, name), f"is for a backbone; a scratch model takes none ({where})")


def _from_run(model: Model, source: FromRun, path: Path, study_name: str) -> Iterator[Mistake]:
    if source.from_.partition("/")[0] == study_name:
        yield Mistake((*path, "backbone", "from"), "names this study; a backbone comes from an earlier one")
    if "weights" in model.model_fields_set:
        yield Mistake((*path, "weights"), f"come from {source.from_}: remove weights")


def _backbone(model: Model, name: str, path: Path) -> Iterator[Mistake]:
    names = known.backbone_names()
    if names and name not in names:
        hint = known.backbone_hint(name)
        yield Mistake((*path, "backbone"), f"unknown backbone {name!r}{hint}; `tlbatch backbones` lists them")
        return
    rests_on: tuple[Path, ...] = ((*path, "backbone"),)
    layers = known.layer_names(name)
    if model.layer is not None and layers and model.layer not in layers:
        hint = suggestion(model.layer, known.stage_names(name)) or suggestion(model.layer, layers)
        yield Mistake((*path, "layer"), f"unknown layer {model.layer!r} of {name}{hint}", None, rests_on)
    weights = known.weight_names(name)
    if model.weights in {"default", "random"} or "/" in model.weights or "." in model.weights:
        return
    if weights and model.weights not in weights:
        choices = ["default", "random", *weights]
        yield Mistake(
            (*path, "weights"),
            f"unknown weights {model.weights!r} of {name}{suggestion(model.weights, choices)}",
            None,
            rests_on,
        )


def _finetune(run: Run, how: Finetune, path: Path, model_path: Path) -> Iterator[Mistake]:
    backbone = run.model.backbone
    stages = known.stage_names(backbone) if isinstance(backbone, str) else []
    rests_on: tuple[Path, ...] = (model_path,)
    named = () if isinstance(how.unfreeze, str) else how.unfreeze
    if stages:
        yield from _unknown((*path, "unfreeze"), (stage for stage in named if stage != HEAD), stages, backbone, rests_on)
        yield from _unknown((*path, "lr_scale"), how.lr_scale, [*stages, HEAD], backbone, rests_on)
        yield from _cut_off(run, named, stages, (*path, "unfreeze"), rests_on)
    if how.unfreeze == "none" or (not isinstance(how.unfreeze, str) and not named):
        if how.gradual is not None:
            yield Mistake((*path, "gradual"), "nothing to unfreeze: unfreeze is none", None, ((*path, "unfreeze"),))
        if how.warm_up:
            yield Mistake((*path, "warm_up"), "without stages to unfreeze, all of it is warm-up", None, ((*path, "unfreeze"),))
    if how.warm_up >= run.train.epochs and how.warm_up:
        text = f"must be less than train.epochs ({run.train.epochs}), else nothing is ever unfrozen"
        yield Mistake((*path, "warm_up"), text)


def _unknown(
    path: Path, names: Iterable[str], stages: list[str], backbone: object, rests_on: tuple[Path, ...]
) -> Iterator[Mistake]:
    for name in names:
        if name not in stages:
            yield Mistake(path, f"unknown stage {name!r} of {backbone}{suggestion(name, stages, most=20)}", None, rests_on)


def _cut_off(run: Run, named: Iterable[str], stages: list[str], path: Path, rests_on: tuple[Path, ...]) -> Iterator[Mistake]:
    """Stages behind the layer that is used are not part of the model."""
    layer = run.model.layer
    used = known.used_stages(str(run.model.backbone), layer)
    for name in named:
        if name in stages and used and name not in used:
            where = f"layer {layer}" if layer else f"{used[-1]}, whose output is used unless layer says otherwise"
            yield Mistake(path, f"{name} comes after {where}, so it is not part of this model", None, rests_on)
