"""``tlbatch init``, ``check`` and ``schema``: studies before they run."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tlbatch import nouns
from tlbatch.commands.options import GivenPath, output_option, print_json, set_option, store_option
from tlbatch.output import terminal_width

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlbatch.forecast import RunFacts


@click.command()
@click.argument("folder", type=GivenPath(path_type=Path), required=False)
@click.option("-f", "--file", "file", type=GivenPath(path_type=Path), default=None, help="Write here instead of to stdout.")
def init(folder: Path | None, file: Path | None) -> None:
    """Write a commented study that runs. With FOLDER (a folder of images per class) it is fitted to what is in there.

    \b
    tlbatch init photos/ > study.yaml
    tlbatch init photos/ -f study.yaml     (an existing file is not overwritten)
    """
    from tlbatch.errors import StudyError
    from tlbatch.init import starter_study

    text = starter_study(folder, Path() if file is None else file.parent)
    if file is None:
        click.echo(text, nl=False)
        return
    try:
        with file.open("x", encoding="utf-8") as target:
            target.write(text)
    except FileExistsError as error:
        raise StudyError(f"{file}: is there already; name another file, or remove it") from error
    except OSError as error:
        raise StudyError(f"{file}: cannot be written ({error.strerror}); name another file") from error
    click.echo(f"{file}: written; next: tlbatch check {file}", err=True)


@click.command()
def schema() -> None:
    """Print the JSON Schema of a study.

    \b
    tlbatch schema > study.schema.json
    """
    from tlbatch.spec import json_schema

    print_json(json_schema())


@click.command()
@click.argument("study", type=GivenPath())
@store_option
@set_option
@output_option
def check(study: str, store: str, overrides: tuple[str, ...], output: str) -> None:
    """Validate STUDY and print its plan; nothing is computed or written.

    \b
    tlbatch check study.yaml
    tlbatch check study.yaml --store s3://bucket/prefix -o json
    """
    from tlbatch.execution.side_by_side import mark_alike
    from tlbatch.forecast import costs_of, driver_memory, forecast, gibibytes, memory_facts, run_facts, total_s
    from tlbatch.planning.resolve import plan_study
    from tlbatch.profiles import load_profile
    from tlbatch.spec import load_study
    from tlbatch.store import open_store
    from tlbatch.store.layout import check_format

    loaded = load_study(study, overrides)
    opened = open_store(store)
    check_format(opened, write=False)
    resolved, plan = plan_study(loaded, opened)
    plan = mark_alike(plan, resolved)
    lines, facts, memory = forecast(opened, plan), run_facts(resolved), memory_facts(resolved, plan)
    seconds, unknown = total_s(lines, plan.nodes, len(os.sched_getaffinity(0)))
    profile = load_profile()
    prices = profile.prices
    costs = [] if prices is None else costs_of(lines, plan, loaded.study, prices, profile.resources)
    paid = sum(cost or 0.0 for cost in costs)
    holders = (driver_memory(resolved, profile.resources), *memory)
    warnings = [*resolved.cautions, *(need.warning for need in holders if need.warning)]
    if output == "json":
        estimate: dict[str, Any] = {"seconds": round(seconds, 1), "tasks_without_estimate": unknown}
        if prices is not None:
            estimate["cost"] = {"value": round(paid, 4), "currency": prices.currency}
        runs = [asdict(fact) for fact in facts]
        held = [{"memory_mib": need.needed_mib, "memory_given_mib": need.given_mib} for need in memory]
        tasks = [{**asdict(line), **need} for line, need in zip(lines, held, strict=True)]
        tasks = [{**task, "cost": cost} for task, cost in zip(tasks, costs, strict=True)] if prices is not None else tasks
        changed = {"corrections": resolved.corrections} if resolved.corrections else {}
        plain = {"study": loaded.study.name, "store": opened.url, "data": {"url": resolved.data.url, **resolved.data.facts}}
        if resolved.sources:
            plain["sources"] = {name: {"url": data.url, **data.facts} for name, data in resolved.sources.items()}
        print_json({**plain, "runs": runs, "tasks": tasks, "estimate": estimate, "warnings": warnings, **changed})
        return
    from tlbatch.display.text import duration, text_table

    images = resolved.data.facts["files"]
    click.echo(f"{loaded.study.name}: {len(resolved.data.classes)} classes, {images} files in {resolved.data.url}")
    for name, data in resolved.sources.items():
        click.echo(f"source {name}: {len(data.classes)} classes, {data.facts['files']} files in {data.url}")
    for note in resolved.notes:
        click.echo(note)
    if resolved.corrections:
        corrected, out = resolved.corrections["corrected"], resolved.corrections["left_out"]
        click.echo(f"by hand (tlbatch data relabel): labels corrected: {corrected}, {nouns.items()} left out: {out}")
    click.echo()
    rows = [_row(fact) for fact in facts]
    columns = ["run", "network", "strategy", "input", "", "frozen", "trained", "parameters", "features"]
    click.echo("\n".join(text_table(columns, rows, left=(0, 1, 2, 3, 4, 5, 6), width=terminal_width())))
    click.echo()
    times = ["" if line.seconds is None else duration(line.seconds) for line in lines]
    held_most = ["?" if need.needed_mib is None else gibibytes(need.needed_mib) for need in memory]
    shown = [
        [line.name, f"{line.state} {line.after}".strip(), took, most]
        for line, took, most in zip(lines, times, held_most, strict=True)
    ]
    head = ["task", "state", "estimate", "memory"]
    if prices is not None:
        head.append("cost")
        shown = [[*row, "" if cost is None else prices.text(cost)] for row, cost in zip(shown, costs, strict=True)]
    click.echo("\n".join(text_table(head, shown, left=(0, 1), width=terminal_width())))
    click.echo(f"\n{_estimate(seconds, unknown, duration)}")
    if prices is not None and (seconds or not unknown):
        whose = "the pods of tasks that have an estimate" if unknown else "its pods"
        click.echo(f"{whose} cost about {prices.text(paid)}, by the context's prices and the times that this store measured")
    for warning in warnings:
        click.echo(f"warning: {warning}")


def _estimate(seconds: float, unknown: int, duration: Callable[[float], str]) -> str:
    tasks = f"{unknown} tasks of kinds that this store has not measured yet"
    if unknown and not seconds:
        return f"no estimate of time: {tasks}"
    return f"about {duration(seconds)} here" + (f" and {tasks}" if unknown else "")


def _row(fact: RunFacts) -> list[str]:
    stages = [_span(fact.frozen), _span(fact.trainable)]
    return [
        fact.name,
        fact.network,
        fact.strategy,
        fact.input,
        fact.precision,
        *stages,
        _count(fact.parameters),
        _count(fact.features),
    ]


def _span(stages: tuple[str, ...]) -> str:
    """``stem … stage4``: stages are in the order of the data."""
    return ", ".join(stages) or "-" if len(stages) < 4 else f"{stages[0]} … {', '.join(stages[-2:])}"


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"
