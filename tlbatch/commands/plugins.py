"""``tlbatch plugins``: what other packages add."""

from __future__ import annotations

from typing import Any

import click

from tlbatch.commands.options import output_option, print_json
from tlbatch.output import terminal_width

KINDS = ("strategies",)


@click.command()
@output_option
def plugins(output: str) -> None:
    """List what other packages add to tlbatch: ways to learn, each named as a study names it.

    \b
    tlbatch plugins
    tlbatch plugins -o json
    """
    from tlbatch.display.text import text_table
    from tlbatch.errors import TlbatchError
    from tlbatch.plugins import installed

    found: list[dict[str, Any]] = []
    for each in installed().values():
        line: dict[str, Any] = {
            "plugin": each.name,
            "package": each.package,
            "version": each.version,
            "adds": [],
            "problem": "",
        }
        try:
            plugin = each.load()
            line["adds"] = [f"{each.name}:{entry.name}" for kind in KINDS for entry in getattr(plugin, kind)]
        except TlbatchError as error:
            line["problem"] = str(error)
        found.append(line)
    if output == "json":
        print_json(found)
        return
    if not found:
        click.echo("no package here adds anything: one does by an entry point of the group tlbatch.plugins", err=True)
        return
    rows = [[one["plugin"], f"{one['package']} {one['version']}", ", ".join(one["adds"]), one["problem"]] for one in found]
    click.echo("\n".join(text_table(["plug-in", "package", "adds", ""], rows, left=(0, 1, 2, 3), width=terminal_width())))
