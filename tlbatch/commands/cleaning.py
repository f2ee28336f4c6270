"""``tlbatch gc`` and ``rm``: what a store need not keep."""

from __future__ import annotations

import click

from tlbatch.commands.options import kept_store_option, output_option, print_json


@click.command()
@kept_store_option
@output_option
@click.option("--keep", default="30d", show_default=True, help="Executions that ended longer ago are forgotten: 12h, 30d.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
def gc(store: str, output: str, keep: str, dry_run: bool) -> None:
    """Remove what no kept execution, champion, schedule or running task reaches and is older than 7 days.

    \b
    tlbatch gc --dry-run
    tlbatch gc --keep 90d
    """
    from tlbatch.errors import StudyError
    from tlbatch.manifests.needs import seconds
    from tlbatch.records.garbage import describe, find_garbage, remove
    from tlbatch.store.opening import open_kept

    try:
        keep_s = seconds(keep)
    except ValueError as error:
        raise StudyError(f"--keep: {error} (12h, 30d)") from error
    opened = open_kept(store)
    garbage = find_garbage(opened, keep_s)
    uploads = _unfinished(opened, dry_run)
    if not dry_run:
        remove(opened, garbage)
    if output == "json":
        print_json({**describe(garbage), "unfinished_uploads": uploads, "dry_run": dry_run})
        return
    said = "would go" if dry_run else "removed"
    click.echo(f"{len(garbage.objects)} objects ({garbage.size / 1e6:.1f} MB) and {uploads} unfinished uploads {said}")
    for execution in garbage.executions:
        click.echo(f"  {execution}")


def _unfinished(store: object, dry_run: bool) -> int:
    from tlbatch.records.garbage import YOUNG_S

    ending = getattr(store, "abort_uploads", None)
    return int(ending(YOUNG_S, dry_run)) if ending is not None else 0


@click.command()
@click.argument("execution")
@kept_store_option
@output_option
def rm(execution: str, store: str, output: str) -> None:
    """Forget EXECUTION: its records and report. What it computed goes with a later `tlbatch gc`, if nothing else needs it.

    \b
    tlbatch rm dogs-vs-cats-20261123-0412-x7k2
    """
    from tlbatch.errors import StudyError
    from tlbatch.records.executions import find_execution
    from tlbatch.records.garbage import remove_execution
    from tlbatch.store.opening import open_kept

    opened = open_kept(store)
    found = find_execution(opened, execution)
    if found.id != execution:
        raise StudyError(f"rm needs the whole id: did you mean {found.id}?")
    objects = remove_execution(opened, found)
    if output == "json":
        print_json({"id": found.id, "objects": objects})
        return
    click.echo(f"{found.id}: {objects} objects removed")
