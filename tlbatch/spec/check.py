"""What a study's types cannot say of its runs: names that must exist, settings that must fit each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tlbatch import nouns
from tlbatch.backbones import names as known
from tlbatch.errors import StudyError
from tlbatch.roles import SOURCE
from tlbatch.schema.nearest import suggestion
from tlbatch.schema.yamltree import Mistake, Path
from tlbatch.spec.added import added_name, check_added
from tlbatch.spec.check_data import check_data
from tlbatch.spec.check_kind import KIND, check_kind
from tlbatch.spec.check_model import check_candidate, check_model
from tlbatch.spec.check_nodes import check_nodes, check_shards
from tlbatch.spec.check_tasks import check_tasks
from tlbatch.spec.curve import check_curve
from tlbatch.spec.described import check_described
from tlbatch.spec.episodes import check_episodes
from tlbatch.spec.model import FITTED, Scratch
from tlbatch.spec.study import Run, Study
from tlbatch.strategies import in_pieces

TITLES = {
    "logistic": "a logistic regression",
    "prototypes": "a head of class means",
    "knn": "a head of nearest neighbours",
}
MOST_RESIZED = 8192
"""Pixels of the shorter side that an image is scaled to at most, before its centre is cut out."""


@dataclass(frozen=True)
class Place:
    """A run, the study around it, and its number."""

    study: Study
    run: Run
    number: int

    @property
    def path(self) -> Path:
        return ("runs", self.number)


Check = Callable[[Place], Iterator[Mistake]]


def check_study(study: Study) -> list[Mistake]:
    """Every mistake of a well-typed study."""
    mistakes = [*check_data(study), *_names(study), *_shared_augmentations(study), *_unread_sources(study)]
    mistakes += [*check_kind(study), *_metrics(study), *_advise(study)]
    if any(mistake.path[:2] == KIND for mistake in mistakes):
        return mistakes
    for number, run in enumerate(study.runs):
        if unknown := list(_added(run, ("runs", number))):
            mistakes += unknown
            continue
        mistakes += check_model(run, ("runs", number), study.name)
        for check in RUN_CHECKS:
            mistakes += check(Place(study, run, number))
    if mistakes:
        return mistakes
    return [
        *check_curve(study),
        *check_described(study),
        *check_episodes(study),
        *check_tasks(study),
        *check_nodes(study),
        *check_shards(study),
    ]


def _names(study: Study) -> Iterator[Mistake]:
    seen: dict[str, int] = {}
    for i, run in enumerate(study.runs):
        if run.name in seen:
            yield Mistake(("runs", i, "name"), f"{run.name!r} is the name of runs[{seen[run.name]}] too")
        seen.setdefault(run.name, i)


def _unread_sources(study: Study) -> Iterator[Mistake]:
    if study.sources and not any(_reads_sources(run) for run in study.runs):
        text = "no run reads them: no strategy here learns from sources; name one that does (`tlbatch plugins`), or remove them"
        yield Mistake(("sources",), text, None, (("runs",),))


def _reads_sources(run: Run) -> bool:
    """Whether it may: a strategy that cannot be found has its own mistake."""
    try:
        return SOURCE in run.strategy_entry.roles
    except StudyError:
        return True


def _shared_augmentations(study: Study) -> Iterator[Mistake]:
    for name in study.augmentations:
        if not name.strip():
            yield Mistake(("augmentations", name), "an augmentation needs a name")


def _metrics(study: Study) -> Iterator[Mistake]:
    for number, name in enumerate(study.metrics):
        yield from check_added("metrics", name, ("metrics", number))
        if name in study.metrics[:number]:
            yield Mistake(("metrics", number), f"{name} is there already")


def _advise(study: Study) -> Iterator[Mistake]:
    asked = study.advise
    if asked is None:
        return
    if study.schedule is not None:
        yield Mistake(("advise",), "is not for a study with a schedule, which trains: ask once, by `tlbatch advise`")
    for number, candidate in enumerate(asked.candidates):
        path: Path = ("advise", "candidates", number)
        yield from check_added("backbones", candidate.backbone, (*path, "backbone"))
        yield from check_candidate(candidate, path)
        if candidate in asked.candidates[:number]:
            yield Mistake(path, f"is candidate {asked.candidates.index(candidate)} already")


def _added(run: Run, path: Path) -> Iterator[Mistake]:
    """What plug-ins should add and do not, or settings of it that they do not take."""
    yield from check_added("strategies", run.strategy, (*path, "strategy"))
    yield from check_added("backbones", run.model.backbone, (*path, "model", "backbone"))
    yield from check_added("networks", run.model.scratch, (*path, "model", "scratch"))
    yield from check_added("heads", run.model.head, (*path, "model", "head"))


def _strategy(place: Place) -> Iterator[Mistake]:
    run, path = place.run, (*place.path, "strategy")
    rests_on: tuple[Path, ...] = ((*place.path, "model"),)
    for_model = run.strategy_entry.model
    if SOURCE in run.strategy_entry.roles and not place.study.sources:
        text = f"{run.strategy_entry.name} learns from sources, and the study names none: add sources: {{NAME: {{url: …}}}}"
        yield Mistake(path, text, None, (("sources",),))
    if run.model.scratch is not None and run.strategy is not None and for_model == "backbone":
        text = "a scratch model is trained whole: leave strategy out, or name a backbone"
        yield Mistake(path, text, None, rests_on)
    if run.model.backbone is not None and for_model == "scratch":
        text = (
            "is for model.scratch; for a backbone from random weights: weights: random, strategy: {finetune: {unfreeze: all}}"
        )
        yield Mistake(path, text, None, rests_on)


def _reads_validation(run: Run) -> bool:
    """Whether it may read labels of the target's validation images."""
    settings = run.strategy_settings
    return settings is None or run.strategy_entry.labels_read(settings.model_dump(mode="json")) is None


def _held_out(place: Place) -> Iterator[Mistake]:
    """Without the target's validation labels, what a source holds out is all that there is to choose and calibrate by."""
    if _reads_validation(place.run) or not place.study.sources:
        return
    for source in place.study.sources.values():
        if source.split.validation or source.split.folders or (source.labels and source.labels.split):
            return
    text = (
        f"{place.run.name} reads no validation label of the target, so it is chosen and calibrated by what a source holds out, "
        "and none holds out any: give one split: {validation: 0.15}"
    )
    yield Mistake(("sources",), text, None, ((*place.path, "strategy"),))


def _augmentation(place: Place) -> Iterator[Mistake]:
    run, path = place.run, (*place.path, "augmentation")
    rests_on: tuple[Path, ...] = ((*place.path, "model"), (*place.path, "strategy"), ("augmentations",))
    known = place.study.augmentations
    if isinstance(run.augmentation, str) and added_name(run.augmentation) is None and run.augmentation not in known:
        hint = suggestion(run.augmentation, known) or "; the study's augmentations name none"
        yield Mistake(path, f"unknown augmentation {run.augmentation!r}{hint}", None, (("augmentations",),))
    if not run.strategy_entry.on_features:
        if run.views:
            text = "extra views are for strategy: features; other runs see new ones every epoch"
            yield Mistake((*place.path, "views"), text, None, rests_on)
    elif run.augmentation is not None and not run.views:
        text = (
            f"has no effect on features, which are extracted once: say views: 4 for four augmented views of each "
            f"{nouns.item()}, "
            "or strategy: {finetune: {unfreeze: none}}"
        )
        yield Mistake(path, text, None, (*rests_on, (*place.path, "views")))
    elif run.views and run.augmentation is None:
        yield Mistake(
            (*place.path, "views"), "need an augmentation: without one every view is the same", None, (path, *rests_on)
        )


def _head(place: Place) -> Iterator[Mistake]:
    run, path = place.run, (*place.path, "model", "head")
    head = run.model.own_head
    rests_on: tuple[Path, ...] = ((*place.path, "strategy"),)
    if head is None and "added" not in run.strategy_entry.heads and run.model.scratch is None:
        yield Mistake(path, f"strategy {run.strategy_entry.name} trains no head of a plug-in", None, rests_on)
    if head is not None and head.logistic is None and "dense" not in run.strategy_entry.heads:
        yield Mistake(
            path, f"{run.strategy_entry.name} trains a logistic regression: write head: {{logistic: {{}}}}", None, rests_on
        )
        return
    if head is None or head.fitted is None:
        return
    fitted = head.fitted
    if fitted not in run.strategy_entry.heads and run.model.scratch is None:
        text = f"{TITLES[fitted]} cannot be trained end to end: use strategy: features, or head: {{dense: []}}"
        yield Mistake((*path, fitted), text, None, rests_on)
    others = [name for name in ("dense", "dropout", "batch_norm", *FITTED) if name != fitted and getattr(head, name)]
    if others:
        yield Mistake(path, f"{fitted} stands alone: remove {' and '.join(others)}, or {fitted}")


def _training(place: Place) -> Iterator[Mistake]:
    run, train, path = place.run, place.run.train, (*place.path, "train")
    split = place.study.dataset.split
    without = split.validation == 0 and split.folds is None and _reads_validation(run)
    rests_on: tuple[Path, ...] = (("dataset", "split"),)
    fitted = run.model.own_head.fitted if run.model.own_head else None
    needs = {
        "early_stopping": train.early_stopping is not None,
        "lr": train.lr == "auto",
        "select": train.select == "best" and fitted is None,
        "schedule": train.schedule == "plateau" and fitted is None,
    }
    for name, needed in needs.items():
        if without and needed:
            way = "say select: last" if name == "select" else f"give dataset.split.validation some {nouns.items()}"
            yield Mistake((*path, name), f"needs validation {nouns.items()}, and there are none: {way}", None, rests_on)
    if train.cutmix and not train.mixup and run.strategy_entry.on_features:
        text = f"needs {nouns.items()}, and {run.strategy_entry.name} trains on features: use mixup, or leave it out"
        yield Mistake((*path, "cutmix"), text, None, ((*place.path, "strategy"),))
    if train.warmup_epochs >= train.epochs and train.warmup_epochs > 0:
        yield Mistake((*path, "warmup_epochs"), f"must be less than epochs ({train.epochs})")
    classes = None if place.study.dataset.tasks else place.study.dataset.classes  # weights may name classes of any task
    if isinstance(train.class_weights, dict) and classes is not None:
        for name in train.class_weights:
            if name not in classes:
                hint = suggestion(name, classes)
                yield Mistake(
                    (*path, "class_weights", name), f"is not one of dataset.classes{hint}", None, (("dataset", "classes"),)
                )


def _input(place: Place) -> Iterator[Mistake]:
    run, path = place.run, (*place.path, "input")
    given = run.input
    if isinstance(given, dict):
        return
    if given.crop is not None and given.resize in {"squash", "pad"}:
        yield Mistake((*path, "crop"), f"goes with resize: crop, not {given.resize}")
    scratch = run.model.scratch
    if isinstance(scratch, Scratch) and given.grayscale and given.normalize not in (None, "unit", "symmetric"):
        text = f"has a mean for each of three channels, and a grey {nouns.item()} has one: use unit or symmetric"
        yield Mistake((*path, "normalize"), text, None, ((*path, "grayscale"),))
    if not isinstance(scratch, Scratch) or given.size is None:
        return
    side = given.size
    for number, _ in enumerate(scratch.channels, 1):
        side = (side if scratch.padding == "same" else side - scratch.kernel + 1) // 2
        if side < 1:
            text = (
                f"{given.size} pixels are gone after convolution {number} of {len(scratch.channels)}: larger, or fewer channels"
            )
            yield Mistake((*path, "size"), text, None, ((*place.path, "model"),))
            return


def _input_size(place: Place) -> Iterator[Mistake]:
    """What torch would refuse: images too small for a network, or of another size than one that takes a single size."""
    model, given = place.run.model, place.run.input
    if not isinstance(model.backbone, str) or isinstance(given, dict):
        return
    allowed, own = known.sizes(model.backbone, model.layer), known.own_size(model.backbone, model.weights)
    size = given.size or own
    if allowed is None or size is None or (allowed[0] <= size and (not allowed[1] or size <= allowed[1])):
        return
    path: Path = (*place.path, "input", "size") if given.size else (*place.path, "model", "weights")
    up_to = f" up to layer {model.layer}" if model.layer else ""
    takes = (
        f"{nouns.items()} of {allowed[0]} pixels only"
        if allowed[0] == allowed[1]
        else f"{nouns.items()} of {allowed[0]} pixels or more"
    )
    if given.size:
        text = f"{model.backbone}{up_to} takes {takes}, not {size}: write {allowed[0]}"
    else:
        text = f"were trained with {size} pixels, and {model.backbone}{up_to} takes {takes}: name others (`tlbatch backbones`)"
    yield Mistake(path, text, None, ((*place.path, "model"),))


def _resized(place: Place) -> Iterator[Mistake]:
    """The shorter side is scaled to size / crop before the centre is cut out."""
    given = place.run.input
    if not isinstance(given, dict) and given.crop is not None and (given.size or 224) / given.crop > MOST_RESIZED:
        size = given.size or 224
        scaled = f"{size} / {given.crop:g} = {size / given.crop:,.0f} pixels a side"
        text = f"{scaled} are more than the {MOST_RESIZED:,} that {nouns.items()} are scaled to"
        yield Mistake((*place.path, "input", "crop"), f"{text}: write {math.ceil(100 * size / MOST_RESIZED) / 100:g} or more")


def _batch_statistics(place: Place) -> Iterator[Mistake]:
    head, train = place.run.model.own_head, place.run.train
    if head is None or not (head.batch_norm and head.dense):
        return
    for name in ("batch_size", "micro_batch_size"):
        if getattr(train, name) == 1:
            text = f"the head's batch_norm has no statistics of one {nouns.item()}: write 2 or more, or remove head.batch_norm"
            yield Mistake((*place.path, "train", name), text, None, ((*place.path, "model"),))


def _pieces(place: Place) -> Iterator[Mistake]:
    """Of a batch: train.micro_batch_size."""
    run, train, path = place.run, place.run.train, (*place.path, "train", "micro_batch_size")
    if train.micro_batch_size is None:
        return
    if not run.strategy_entry.in_pieces:
        able = ", ".join(in_pieces())
        text = f"{run.strategy_entry.name} computes whole batches, {able} in pieces, too: leave it out, or lower batch_size"
        yield Mistake(path, text, None, ((*place.path, "strategy"),))
    elif train.micro_batch_size > train.batch_size:
        text = f"must be at most batch_size ({train.batch_size}), of which it is a piece: lower it, or leave it out"
        yield Mistake(path, text, None, ((*place.path, "train", "batch_size"),))


def _control(place: Place) -> Iterator[Mistake]:
    if place.run.model.scratch is not None and place.run.control in {"full", "cheap"}:
        text = "controls are for pretrained runs: this one starts from random weights itself"
        yield Mistake((*place.path, "control"), text, None, ((*place.path, "model"),))


RUN_CHECKS: tuple[Check, ...] = (
    _strategy,
    _held_out,
    _augmentation,
    _head,
    _training,
    _input,
    _input_size,
    _resized,
    _batch_statistics,
    _pieces,
    _control,
)
