"""``tlbatch plugins``: what other packages add."""

from __future__ import annotations

from typing import Any

import click

from tlbatch.commands.options import output_option, print_json
from tlbatch.output import terminal_width


@click.command()
@output_option
def plugins(output: str) -> None:
    """List what other packages add to tlbatch: ways to learn, networks and more, each named as a study names it.

    \b
    tlbatch plugins
    tlbatch plugins -o json
    """
    from tlbatch.display.text import text_table
    from tlbatch.errors import TlbatchError
    from tlbatch.plugins import KINDS, installed

    found: list[dict[str, Any]] = []
    for each in installed().values():
        line: dict[str, Any] = {
            "plugin": each.name,
            "package": each.package,
            "version": each.version,
            "adds": {},
            "problem": "",
        }
        try:
            plugin = each.load()
            line["adds"] = {kind: [f"{each.name}:{entry.name}" for entry in getattr(plugin, kind)] for kind in KINDS}
        except TlbatchError as error:
            line["problem"] = str(error)
        found.append(line)
    if output == "json":
        print_json(found)
        return
    if not found:
        click.echo("no package here adds anything: one does by an entry point of the group tlbatch.plugins", err=True)
        return
    rows = [row for one in found for row in _rows(one)]
    click.echo("\n".join(text_table(["plug-in", "package", "adds", ""], rows, left=(0, 1, 2, 3), width=terminal_width())))


def _rows(one: dict[str, Any]) -> list[list[str]]:
    """A row for each kind of what it adds; one with what is wrong where it cannot be imported."""
    package = f"{one['package']} {one['version']}"
    adds = [(kind, ", ".join(names)) for kind, names in one["adds"].items() if names]
    if not adds:
        return [[one["plugin"], package, "", one["problem"]]]
    whose = [(one["plugin"], package), *[("", "")] * (len(adds) - 1)]
    return [[*own, kind, names] for own, (kind, names) in zip(whose, adds, strict=True)]
