"""``tlbatch champion``: the model a schedule stands by, and who stood before it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tlbatch import nouns
from tlbatch.commands.options import (
    CORES,
    GivenPath,
    context_option,
    finite,
    follow_links_option,
    kept_store_option,
    namespace_option,
    output_option,
    print_json,
)

if TYPE_CHECKING:
    from tlbatch.champions.champion import Champion
    from tlbatch.planning.extension import Extension
    from tlbatch.store import Store


@click.group()
def champion() -> None:
    """The model a schedule stands by: show it, see its history, change it by hand, take it along.

    \b
    tlbatch champion show pets
    tlbatch champion rollback pets
    tlbatch champion pull pets model/ --format onnx
    """


@champion.command("show")
@click.argument("name", default="")
@kept_store_option
@output_option
def show(name: str, store: str, output: str) -> None:
    """Print who is the champion called NAME (a study's name), and why; without NAME, all of the store.

    \b
    tlbatch champion show pets
    tlbatch champion show pets -o json
    """
    from tlbatch.champions.champion import all_champions, champion_names, find_champion
    from tlbatch.store.opening import open_kept

    opened = open_kept(store)
    found = [find_champion(opened, name)[0]] if name else all_champions(opened)
    if output == "json":
        documents = [_document_now(each, _numbers_of_tasks(opened, each)) for each in found]
        print_json(documents[0] if name else documents)
        return
    if not found and not champion_names(opened):
        click.echo(f"no champion in {opened.url} yet: a schedule's first firing, or `tlbatch champion promote`, makes one")
    told = [_lines(each, _numbers_of_tasks(opened, each)) for each in found]
    click.echo("\n\n".join("\n".join(lines) for lines in told))


@champion.command("history")
@click.argument("name")
@kept_store_option
@output_option
def history(name: str, store: str, output: str) -> None:
    """List every change and every decision about the champion NAME, newest first.

    \b
    tlbatch champion history pets
    """
    from tlbatch.champions.champion import find_champion, terms
    from tlbatch.champions.decisions import decisions
    from tlbatch.store.opening import open_kept

    opened = open_kept(store)
    find_champion(opened, name)
    chain, decided = terms(opened, name), decisions(opened, name)
    if output == "json":
        print_json({"name": name, "terms": [_document(each) for each in chain], "decisions": decided})
        return
    click.echo("\n".join(_history_lines(chain, decided)))


@champion.command("promote")
@click.argument("name")
@click.argument("execution", default="")
@click.option("--run", default=None, help="A run of EXECUTION.  [default: its only one]")
@click.option("--seed", type=int, default=None, help="Its seed.  [default: the best on validation]")
@click.option("--serial", type=click.IntRange(1), default=None, help="Instead of an execution: an earlier champion's number.")
@kept_store_option
@output_option
def promote(name: str, execution: str, run: str | None, seed: int | None, serial: int | None, store: str, output: str) -> None:
    """Make a model the champion NAME by hand: a run of EXECUTION, or an earlier champion. No test is made.

    \b
    tlbatch champion promote pets pets-20261123-0412-x7k2 --run vgg16-features
    tlbatch champion promote pets --serial 3
    """
    from tlbatch.champions.promoting import bring_back, promote_run
    from tlbatch.cluster.submission import user_name
    from tlbatch.prediction.model import has_trained
    from tlbatch.records.executions import find_execution
    from tlbatch.schedules.pins import load_pins
    from tlbatch.store.opening import open_kept

    if bool(execution) == (serial is not None):
        raise click.UsageError("name an EXECUTION, or an earlier champion by --serial N")
    if serial is not None and (run is not None or seed is not None):
        raise click.UsageError("--run and --seed belong to an EXECUTION, not to --serial")
    opened = open_kept(store)
    if serial is not None:
        _say(bring_back(opened, name, serial, user_name(), verb="promoted"), output)
        return
    wanted = (lambda each: has_trained(each, run)) if run else None
    found, pins = find_execution(opened, execution, wanted), load_pins(opened, name)
    _say(promote_run(opened, name, found, run, seed, user_name(), pinned=pins.ref if pins else None), output)


@champion.command("rollback")
@click.argument("name")
@click.option("--to", type=click.IntRange(1), default=None, help="An earlier champion's number.  [default: the one before]")
@kept_store_option
@output_option
def rollback(name: str, to: int | None, store: str, output: str) -> None:
    """Bring the champion before this one back; once more goes back one more. History is kept.

    \b
    tlbatch champion rollback pets
    tlbatch champion rollback pets --to 2
    """
    from tlbatch.champions.promoting import bring_back
    from tlbatch.cluster.submission import user_name
    from tlbatch.store.opening import open_kept

    _say(bring_back(open_kept(store), name, to, user_name()), output)


@champion.command("extend")
@click.argument("name")
@click.argument("source", type=GivenPath(), metavar="SRC")
@click.option(
    "--class", "label", required=True, metavar="LABEL", help="What the images in SRC show: a class that NAME does not know."
)
@follow_links_option
@click.option("--cores", type=CORES, default=None, help="CPU cores to use here.  [default: all]")
@click.option("--cluster", "on_cluster", is_flag=True, help="As Jobs of the context's cluster; SRC and the store are in S3.")
@context_option
@namespace_option
@kept_store_option
@output_option
def extend(
    name: str,
    source: str,
    label: str,
    follow_links: bool,
    cores: int | None,
    on_cluster: bool,
    context: str | None,
    namespace: str | None,
    store: str,
    output: str,
) -> None:
    """Add a class to the champion NAME without training, from the few images in SRC (a folder or s3://…, one is enough).

    Class means and nearest neighbours take the class as if they had been fitted with it; a linear layer gets a row by weight
    imprinting. What it costs the other classes is measured on their test images; of the new class there are none, so its
    accuracy is not tested, and that is said. `tlbatch champion rollback NAME` takes the class away again. Stopped anywhere,
    the same command goes on; given twice, it computes nothing. On a cluster it stays until the end: Ctrl-C ends its Jobs.

    \b
    tlbatch champion extend pets photos/otter --class otter
    tlbatch champion extend pets s3://pets/new/otter --class otter -o json
    tlbatch champion extend pets s3://pets/new/otter --class otter --cluster
    """
    import os

    from tlbatch.backends.local import LocalBackend
    from tlbatch.cluster.submission import user_name
    from tlbatch.display.progress import Display
    from tlbatch.extending import OnCluster, extend_champion
    from tlbatch.prediction.pictures import list_pictures, place_of
    from tlbatch.profiles import load_profile
    from tlbatch.store.opening import open_kept

    profile = load_profile(context, {"namespace": namespace})
    profile.point_to_endpoint()
    by_default = click.get_current_context().get_parameter_source("store") is click.core.ParameterSource.DEFAULT
    opened = open_kept(profile.store if context and by_default and profile.store else store)
    place = place_of(source)
    files = list_pictures(place, follow_links=follow_links)
    display = Display(opened, quiet=output == "json")
    jobs = OnCluster(opened, place, profile, display, display.say) if on_cluster else None

    def here(_: Extension) -> LocalBackend:
        return LocalBackend(opened, cores or len(os.sched_getaffinity(0)))

    try:
        made = extend_champion(opened, name, label, place, files, jobs or here, jobs.waits if jobs else display, user_name())
    finally:
        display.close()
    _say(made, output)


@champion.command("pull")
@click.argument("name")
@click.argument("folder", metavar="DIR", type=GivenPath(path_type=Path))
@click.option(
    "--format",
    "format_",
    type=click.Choice(["safetensors", "onnx"]),
    default="safetensors",
    show_default=True,
    help="onnx: both.",
)
@click.option("--serial", type=click.IntRange(1), default=None, help="An earlier champion's number.  [default: the present]")
@click.option("--task", default=None, help="Of a champion of several tasks: the one whose model to bring.")
@click.option("--images", type=click.IntRange(1), default=200, show_default=True, help="Test images to compare on, at most.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    callback=finite,
    default=None,
    help="Largest difference of a probability.  [default: 0.001]",
)
@kept_store_option
@output_option
def pull(
    name: str,
    folder: Path,
    format_: str,
    serial: int | None,
    task: str | None,
    images: int,
    tolerance: float | None,
    store: str,
    output: str,
) -> None:
    """Bring the champion NAME to DIR as files that need no tlbatch: weights, a card, on demand ONNX.

    Backbone and head come as one safetensors file (a file for each fold). Before anything is kept, the probabilities of
    real test images are compared with those of the evaluation; past the tolerance (0.1 for runs in bf16) it is refused.

    \b
    tlbatch champion pull pets model/
    tlbatch champion pull pets model/ --format onnx
    tlbatch champion pull pets model/breed --task breed
    """
    from tlbatch.champions.exporting import FORMATS, build_request, pull_champion
    from tlbatch.store.opening import open_kept

    formats = FORMATS if format_ == "onnx" else FORMATS[:1]
    pulled = pull_champion(build_request(open_kept(store), name, serial, formats, images, tolerance, task), folder)
    if output == "json":
        print_json(asdict(pulled))
        return
    card = pulled.card
    click.echo(f"{folder}: {card['name']}, number {card['serial']} ({card['run']}, seed {card['seed']})")
    for file in (*pulled.files, "model.json"):
        click.echo(f"  {file}  {(folder / file).stat().st_size:,} bytes")
    for kind, check in card["check"].items():
        click.echo(
            f"{kind}: largest difference of a probability from the evaluated model on {check['images']} test {nouns.items()}: "
            f"{check['difference']:.2g} (allowed: {check['tolerance']:g}); same class for {check['same_class']}"
        )


def _say(made: Champion, output: str) -> None:
    if output == "json":
        print_json(_document(made))
        return
    click.echo(f"{made.name} is now number {made.serial}: {made.run}, seed {made.seed}\n{made.sentence}")


def _document(found: Champion) -> dict[str, Any]:
    return asdict(found)


def _document_now(found: Champion, tasks: list[tuple[Champion, Numbers]]) -> dict[str, Any]:
    """With ``fresh`` and ``corrected`` of now."""
    now = [dict(zip(("fresh", "corrected"), numbers, strict=True)) for _, numbers in tasks]
    document = _document(found) | now[0]
    return document | {"tasks": [task | own for task, own in zip(document["tasks"], now if found.tasks else (), strict=True)]}


Numbers = tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]


def _numbers_of_tasks(store: Store, found: Champion) -> list[tuple[Champion, Numbers]]:
    """Its model of each task (of one itself) with ``fresh`` and ``corrected``; pins that cannot be read cost these alone."""
    from tlbatch.schedules.pins import load_pins, numbers_now
    from tlbatch.store.documents import each_readable

    (pins,) = each_readable([found.name], lambda name: load_pins(store, name)) or [None]
    return [
        (found.of_task(task), numbers_now(pins.of_task(task) if pins else None, found.of_task(task)))
        for task in found.each_task
    ]


def _lines(found: Champion, tasks: list[tuple[Champion, Numbers]]) -> list[str]:
    """What ``show`` prints: its own number first; what it scores on images that it was chosen on stands below these.

    Of several tasks all of it for one after the other.
    """
    from tlbatch.champions.judged import asked_words, flatters

    note = ": it was chosen on them, which flatters its numbers there" if flatters(found) else ""
    classes = f"{len(found.classes)} classes"
    if found.tasks:
        classes = ", ".join(f"{task.name} ({len(task.classes)} classes)" for task in found.tasks)
    rows = [
        ("champion", f"{found.name}, number {found.serial}" + (f" (again number {found.restores})" if found.restores else "")),
        ("model", f"{found.run}, seed {found.seed}, {classes}"),
        *(("added", f"{each['class']}, from {nouns.count(each['images'])}: not tested") for each in found.extended),
        ("since", f"{_when(found.crowned)} UTC, {found.by}"),
        *(row for task, (model, now) in _named(found, tasks) for row in _own_rows(model, *now, task)),
        (f"test {nouns.items()}", f"{asked_words(found)}{note}"),
        *(
            (f" {name.replace('_', ' ')}{f' of {task}' if task else ''}", _estimate(value))
            for task, (model, _) in _named(found, tasks)
            for name, value in sorted(model.metrics.items())
        ),
        *((f"files{f' of {task}' if task else ''}", _files(model)) for task, (model, _) in _named(found, tasks)),
    ]
    width = max(18, *(len(title) for title, _ in rows))
    return [*(f"{title:<{width}} {text}" for title, text in rows), found.sentence]


def _named(found: Champion, tasks: list[tuple[Champion, Numbers]]) -> list[tuple[str, tuple[Champion, Numbers]]]:
    """By the task's name; "" where it has one."""
    return [(name or "", each) for name, each in zip(found.each_task, tasks, strict=True)]


def _own_rows(
    model: Champion, fresh: Mapping[str, Any] | None, corrected: Mapping[str, Any] | None, task: str
) -> list[tuple[str, str]]:
    """Its own number, and that on few fresh images."""
    from tlbatch.champions.judged import fresh_number, own_number

    metric = str((corrected or {}).get("metric") or "accuracy")
    own, few = own_number(metric, fresh, corrected, model.metrics.get(metric), model.asked), fresh_number(fresh, metric)
    title = f"{task}: {metric.replace('_', ' ')}" if task else metric.replace("_", " ")
    rows = [(title, own.words)] if own else []
    return rows + ([(f"{task}: fresh" if task else "fresh", few.words)] if few and few != own else [])


def _files(model: Champion) -> str:
    return ", ".join(f"artifacts/{ref.step}/{ref.key}" for ref in model.models.values())


def _estimate(value: Any) -> str:
    if not isinstance(value, dict) or value.get("value") is None:
        return "not defined"
    among = f" [{value['low']:.3f}, {value['high']:.3f}]" if value.get("low") is not None else ""
    return f"{value['value']:.3f}{among}"


def _history_lines(chain: list[Champion], decided: list[dict[str, Any]]) -> list[str]:
    """Terms and the decisions that made none, newest first: time, what came of it, the sentence."""
    entries = [
        (each.crowned, f"number {each.serial}", f"{each.run} (seed {each.seed}), {each.by}", each.sentence) for each in chain
    ]
    for document in decided:
        if not (document.get("settled") or {}).get("serial"):
            who = (document.get("challenger") or {}).get("run", "")
            said = str(document.get("sentence", ""))
            entries.append(
                (
                    float(document.get("time", 0.0)),
                    str(document.get("outcome")),
                    f"{who}, execution {document['execution']}",
                    said,
                )
            )
    lines = []
    for when, what, who, sentence in sorted(entries, key=lambda entry: -entry[0]):
        lines += [f"{_when(when)}  {what:<10} {who}", *([f"{'':<18}{sentence}"] if sentence else [])]
    return lines


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
