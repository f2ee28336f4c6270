"""``tlbatch schedule``: a study that runs again every night, and the champion it defends."""

from __future__ import annotations

import click

from tlbatch.commands.options import kept_store_option, output_option, print_json
from tlbatch.commands.scheduling import apply, delete, name_argument, resume, suspend
from tlbatch.commands.triggering import trigger
from tlbatch.output import terminal_width


@click.group()
def schedule() -> None:
    """Run a study again every night: what is new is computed, and the best model so far is defended.

    \b
    tlbatch schedule apply study.yaml        make or change the CronJob of a study with `schedule:`
    tlbatch schedule show pets               when it fires, who is champion, what was missed
    tlbatch schedule trigger pets            fire once now
    tlbatch schedule trigger study.yaml --here      fire on this machine: for any cron daemon
    """


@schedule.command("list")
@kept_store_option
@output_option
def list_(store: str, output: str) -> None:
    """List the schedules in a store.

    \b
    tlbatch schedule list
    """
    from tlbatch.display.text import text_table
    from tlbatch.schedules.schedule import schedule_names
    from tlbatch.schedules.view import view, when
    from tlbatch.store.documents import each_readable
    from tlbatch.store.opening import open_kept

    opened = open_kept(store)
    views = each_readable(schedule_names(opened), lambda name: view(opened, name))
    if output == "json":
        print_json([each.to_json() for each in views])
        return
    rows = []
    for each in views:
        zone, last = each.schedule.timezone, next((record for record in each.firings if record.execution), None)
        upcoming = when(each.next, zone) if each.next else "suspended"
        champion = f"{each.champion.serial}: {each.champion.run}" if each.champion else ""
        said = f"{when(last.started, zone)}, {last.outcome or last.state}" if last else ""
        rows.append([each.stored.name, each.schedule.cron, each.stored.where, upcoming, said, champion, str(each.missed or "")])
    columns = ["schedule", "cron", "where", "next firing", "last firing", "champion", "missed"]
    click.echo("\n".join(text_table(columns, rows, left=tuple(range(6)), width=terminal_width())))


@schedule.command()
@name_argument
@kept_store_option
@output_option
def show(name: str, store: str, output: str) -> None:
    """Say of schedule NAME when it fires, who is champion, how worn the test set is, and what was missed.

    \b
    tlbatch schedule show pets
    """
    from tlbatch.schedules.view import lines, view
    from tlbatch.store.opening import open_kept

    seen = view(open_kept(store), name)
    if output == "json":
        print_json(seen.to_json())
        return
    click.echo("\n".join(lines(seen)))


@schedule.command()
@name_argument
@kept_store_option
@output_option
@click.option("--limit", type=click.IntRange(1), default=30, show_default=True, help="So many, the newest first.")
def history(name: str, store: str, output: str, limit: int) -> None:
    """List the firings of schedule NAME, the missed ones too, the newest first.

    \b
    tlbatch schedule history pets
    tlbatch schedule history pets --limit 1000 -o json
    """
    from dataclasses import asdict

    from tlbatch.display.text import text_table
    from tlbatch.schedules.view import cells, columns, view
    from tlbatch.store.opening import open_kept

    seen = view(open_kept(store), name)
    shown = seen.firings[:limit]
    if output == "json":
        print_json([asdict(record) for record in shown])
        return
    rows = [cells(record, seen.schedule.timezone, seen.metric) for record in shown]
    click.echo("\n".join(text_table(columns(seen.tasks), rows, left=(0, 1, 2, 6, 7), width=terminal_width())))
    if len(seen.firings) > limit:
        click.echo(f"{len(seen.firings) - limit} earlier ones: --limit {len(seen.firings)}", err=True)


@schedule.command()
@name_argument
@kept_store_option
def renew(name: str, store: str) -> None:
    """Give schedule NAME other test images at its next firing: those that judge and have not trained yet.

    \b
    tlbatch schedule renew pets
    """
    from tlbatch.schedules.renewing import renew as ask
    from tlbatch.store import open_store

    click.echo(ask(open_store(store), name))


for command in (apply, trigger, suspend, resume, delete):
    schedule.add_command(command)
