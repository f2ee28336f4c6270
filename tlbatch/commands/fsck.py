"""``tlbatch fsck``: is everything in a store still what was written there?"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from tlbatch.commands.options import context_store, output_option, print_json

if TYPE_CHECKING:
    from tlbatch.fsck.finding import Finding, Survey

SHOWN = 4  # dependants named in a line
NAMED = 5  # manifests set aside


@click.command()
@click.argument("store", envvar="TLBATCH_STORE", default=context_store, metavar="[STORE]")
@click.option(
    "--repair", "repairs", is_flag=True, help="Restore what can be, set damaged artifacts aside: they are made again."
)
@click.option("--quick", is_flag=True, help="Of artifacts' files: whether they are there and their sizes; no file is read.")
@output_option
def fsck(store: str, repairs: bool, quick: bool, output: str) -> None:
    """Check every manifest, file, pointer and record of STORE (a folder or s3://BUCKET/PREFIX; else the context's).

    Says of each damaged one what depends on it and what to do. Without --repair nothing is changed; with it nothing that is
    intact. Ends with 0 where all is well, 65 where something is damaged (with --repair: and stays so).

    \b
    tlbatch fsck .tlbatch/store
    tlbatch fsck s3://bucket/prefix --quick       sizes only: a second or two
    tlbatch fsck s3://bucket/prefix --repair      then run the study again
    """
    from tlbatch.fsck.repairing import repair
    from tlbatch.fsck.surveying import survey
    from tlbatch.store.opening import open_kept

    opened = open_kept(store)
    found = survey(opened, quick=quick, begin=_progress)
    if repairs:
        found = repair(opened, found)
    if output == "json":
        print_json(_document(opened.url, found))
    else:
        _print(opened.url, found, repairs)
    if found.damaged:
        click.get_current_context().exit(65)


def _progress(total: int) -> Callable[[], None]:
    """A line on stderr where that is a terminal."""
    if not sys.stderr.isatty():
        return lambda: None
    count = [0]

    def step() -> None:
        count[0] += 1
        if count[0] % 200 == 0:
            click.echo(f"{count[0]} of {total} files checked", err=True)

    return step


def _print(url: str, found: Survey, repairs: bool) -> None:
    from tlbatch.output import one_line

    for each in found.findings:
        state = f"{'repaired' if each.repaired else 'deletable' if each.advice else 'damaged'}: "
        click.echo(f"{state}{one_line(each.name)}: {one_line(each.wrong)}")
        if each.depends:
            more = f" and {len(each.depends) - SHOWN} more" if len(each.depends) > SHOWN else ""
            click.echo(f"  needed by {one_line(', '.join(each.depends[:SHOWN]))}{more}")
        click.echo(f"  {one_line(each.repaired or each.way_out)}")
    if found.set_aside:
        more = f" and {len(found.set_aside) - NAMED} more" if len(found.set_aside) > NAMED else ""
        click.echo(f"set aside earlier: {one_line(', '.join(found.set_aside[:NAMED]))}{more}")
    if found.orphans:
        size = f"{found.orphan_bytes / 1e6:.1f} MB"
        click.echo(f"{len(found.orphans)} files ({size}) of no artifact: attempts that did not end; `tlbatch gc` removes them")
    for folder, count in found.unchecked.items():
        click.echo(f"not checked, since nothing says what they must hold: {count} objects in {one_line(folder)}")
    looked = "files by size" if found.quick else f"{found.checked_bytes / 1e6:.1f} MB of files read"
    click.echo(f"{one_line(url)}: {found.objects} objects, {found.artifacts} artifacts, {looked}: {_verdict(found, repairs)}")


def _verdict(found: Survey, repairs: bool) -> str:
    done = sum(bool(each.repaired) for each in found.findings)
    parts = [f"{done} repaired"] if repairs and done else []
    parts += [f"{len(found.damaged)} damaged"] if found.damaged else []
    return ", ".join(parts) or "all is well"


def _document(url: str, found: Survey) -> dict[str, Any]:
    return {
        "store": url,
        "objects": found.objects,
        "artifacts": found.artifacts,
        "bytes": found.checked_bytes,
        "quick": found.quick,
        "damaged": len(found.damaged),
        "findings": [_finding(each) for each in found.findings],
        "orphans": {"objects": len(found.orphans), "bytes": found.orphan_bytes},
        "set_aside": list(found.set_aside),
        "unchecked": found.unchecked,
    }


def _finding(each: Finding) -> dict[str, Any]:
    state = "repaired" if each.repaired else "deletable" if each.advice else "damaged"
    words = {"name": each.name, "state": state, "wrong": each.wrong, "action": each.action, "way_out": each.way_out}
    return {**words, "repaired": each.repaired or None, "needed_by": list(each.depends)}
