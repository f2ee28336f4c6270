"""A run's network: that it exists, and that its stages and layers do."""

from __future__ import annotations

from collections.abc import Iterator

from tlbatch.backbones import names as known
from tlbatch.backbones.clip import other_activation
from tlbatch.schema.nearest import suggestion
from tlbatch.schema.yamltree import Mistake, Path
from tlbatch.spec.added import added_name
from tlbatch.spec.advise import Candidate
from tlbatch.spec.model import FromRun, Model
from tlbatch.spec.study import Run
from tlbatch.strategies import CheckedRun


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
    if run.strategy_settings is not None:
        yield from run.strategy_entry.check(_checked(run, (*path, "strategy", run.strategy_entry.name), at))


def check_candidate(candidate: Candidate, path: Path) -> Iterator[Mistake]:
    """Mistakes in a backbone that advice is asked of."""
    if isinstance(candidate.backbone, str):
        yield from _backbone(Model(backbone=candidate.backbone, weights=candidate.weights), candidate.backbone, path)


def _checked(run: Run, path: Path, model_path: Path) -> CheckedRun:
    backbone = run.model.backbone
    named = isinstance(backbone, str)
    return CheckedRun(
        settings=run.strategy_settings,
        backbone=str(backbone),
        layer=run.model.layer,
        stages=known.stage_names(backbone) if isinstance(backbone, str) else [],
        used=known.used_stages(str(backbone), run.model.layer) if named else [],
        epochs=run.train.epochs,
        path=path,
        model_path=model_path,
        scratch=run.model.scratch is not None,
    )


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
    if names and name not in names and added_name(name) is None:
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
        twin = other_activation(name, model.weights)
        found = suggestion(model.weights, ["default", "random", *weights]) if twin is None else f": they belong to {twin}"
        yield Mistake(
            (*path, "weights"),
            f"unknown weights {model.weights!r} of {name}{found}",
            None,
            rests_on,
        )
