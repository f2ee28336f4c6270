"""finetune: train one model one way, with one seed: a scratch CNN, a head on cached features, or a backbone end to end.

Or several tasks together (``tasks``): then the files below are in a folder of each task's name, as if it had been learnt alone,
beside ``history.json`` of all of them, whose epochs have ``tasks: {name: {train_loss, …}}``. With the input ``together``, such
a training, it takes its ``task``'s files out of it: they are not written again.

Parameters are ``tlbatch.contracts.models.FinetuneParams``; inputs ``dataset``, ``source:<name>`` of what else the strategy
learns from, and ``features`` (``features:<name>``) where a head is trained on what ``extract`` left. Only training and
validation images are read. Stopped anywhere, a later start goes on bit for bit.

Files
-----
``model.safetensors``  the selected weights: of the whole network (``backbone.…``, ``head.…``), or of the head on features alone
``card.json``          what was trained how: {model, input, strategy, augmentation, train, classes, seed, fold, redraw,
                       precision, views, weights, trained_on, images: {train, validation},
                       sources: {role: training images} where there are any,
                       stages: [{name, parameters, trainable}], layers: [{name, shape, parameters, trainable, stage}],
                       parameters, trainable_parameters,
                       selected_epoch (from 1; 0 without epochs), lr, logistic: {c, cv: [{c, log_loss, accuracy}]} or null
                       (cv empty: nothing to choose by), and of such heads prototypes: {scale}, knn: {k, cv: [{k, accuracy}]},
                       task, task_weights: {task: factor on its loss, learnt ones as they end}, of several tasks,
                       plugins: {name: {package, version, sha256}} of those that the network is built with, if any}
``history.json``       {epochs: [{epoch, train_loss, train_accuracy, validation_loss, validation_accuracy, lr}], selected_epoch,
                       lr: {chosen, tried: [{lr, validation_accuracy, validation_loss, epochs}]}, stopped_early}
``validation.json``    {ids, labels, logits [m][classes]} of the validation images (with folds: of the fold held out)
                       ``of``: roles of the sources whose held-out images these are, where target labels may not be read
``adaptation.json``    {method, distance: {before, after}, places: {before: {role: [[x, y]]}, after: {..}}}; of ``adapt``, and
                       without what was before of ``adapt_network``, whose control says it.
                       Of TrAdaBoost ``instances``: {beta, left: mean weight of source items in the last round (1 at first),
                       rounds: [{error, vote, source_share}], items: {role: {ids, missed}}}; an item's weight is beta ** missed
``augmented.jpg``      training images as they are varied, a grid; only with an augmentation
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.runtime import Context, step_main
from tlbatch import nouns
from tlbatch.errors import StudyError
from tlbatch.roles import TOGETHER

if TYPE_CHECKING:
    from jobs.training.settings import Settings

AUGMENTED = "augmented.jpg"
KEPT = ("device", "epoch_seconds", "images_per_s", "input_share", "mfu")
"""Facts of the one training that hold for each of its tasks."""


def run(context: Context) -> None:
    train = take_task if TOGETHER in context.task.inputs else train_model
    train(context)


def say(context: Context, words: str) -> None:
    """Once, however many processes train together."""
    if context.leads:
        print(words, flush=True)


def take_task(context: Context) -> None:
    """What a training of several tasks left for one of them."""
    from tlbatch.contracts.models import FinetuneParams

    together, folder = context.input(TOGETHER), f"{context.read_params(FinetuneParams).task}/"
    for name in together.names(folder):
        context.reuse(name.removeprefix(folder), together.manifest.files[name])
    if AUGMENTED in together:
        context.reuse(AUGMENTED, together.manifest.files[AUGMENTED])
    context.made |= {name: made for name in KEPT if (made := together.manifest.made.get(name)) is not None}


def train_model(context: Context) -> None:
    from pkgutil import resolve_name

    from jobs.training.computing import choose_device
    from jobs.training.outputs import write_outputs
    from jobs.training.settings import Settings
    from jobs.training.split_data import load_parts
    from tlbatch.contracts.models import FinetuneParams

    settings = Settings.of(context.read_params(FinetuneParams))
    device = choose_device(context.threads, context.member.local_rank if context.member else 0)
    if context.member is not None:
        meet(context, settings)
    parts = load_parts(context, settings)
    counts = f"{len(parts.train)} training and {len(parts.validation)} validation {nouns.items()}"
    say(context, f"{counts}, {len(parts.classes)} classes")
    for role, source in parts.sources.items():
        say(context, f"{role}: {len(source.train)} training {nouns.items()}")
    train = resolve_name(settings.strategy_entry.program)
    outcome = train(context, settings, parts, device)
    if context.leads:
        write_outputs(context, settings, parts, outcome)


def meet(context: Context, settings: Settings) -> None:
    """The other processes that train this network."""
    from jobs.training.group import joined
    from tlbatch.strategies import sharing

    if not settings.strategy_entry.shares:
        raise StudyError(f"{settings.strategy_entry.name} is trained by one process: {', '.join(sharing())} by several")
    context.group = joined(context)
    context.made["processes"] = context.group.size
    say(context, f"{context.group.size} processes train together")


if __name__ == "__main__":
    step_main("finetune", run)
