"""``tlbatch list``: what executions left in a store."""

from __future__ import annotations

import time
from dataclasses import asdict

import click

from tlbatch.commands.options import kept_store_option, output_option, print_json
from tlbatch.output import terminal_width


@click.command("list")
@kept_store_option
@output_option
@click.option("--mine", is_flag=True, help="Only those that you submitted.")
def list_(store: str, output: str, mine: bool) -> None:
    """List the executions in a store, newest first.

    \b
    tlbatch list --mine
    """
    from tlbatch.display.text import text_table
    from tlbatch.records.executions import list_executions
    from tlbatch.store.opening import open_kept

    opened = open_kept(store)
    summaries = list_executions(opened)
    if mine:
        from tlbatch.cluster.submission import submitted_by_me

        summaries = [summary for summary in summaries if submitted_by_me(opened, summary.id)]
    if output == "json":
        print_json([asdict(summary) for summary in summaries])
        return
    rows = [[s.id, s.study, s.state, _when(s.started)] for s in summaries]
    click.echo("\n".join(text_table(["execution", "study", "state", "started (UTC)"], rows, width=terminal_width())))


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
