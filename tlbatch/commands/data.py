"""``tlbatch data``: pictures into S3, whether they can be a dataset, and labels corrected."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlbatch import nouns
from tlbatch.commands.options import (
    GivenPath,
    context_option,
    follow_links_option,
    kept_store_option,
    output_option,
    print_json,
    set_option,
)
from tlbatch.output import steer

if TYPE_CHECKING:
    from tlbatch.datasets.relabelling import Relabelling

MOST_CHANGES = 20


@click.group()
def data() -> None:
    """Put pictures where pods see them, check them, correct their labels.

    \b
    tlbatch data put photos/ s3://pets/photos
    tlbatch data check s3://pets/photos
    tlbatch data relabel study.yaml suspects.csv
    """


@data.command("put")
@click.argument("folder", type=GivenPath(path_type=Path))
@click.argument("url", metavar="s3://BUCKET/PREFIX")
@follow_links_option
@context_option
@output_option
def put(folder: Path, url: str, follow_links: bool, context: str | None, output: str) -> int:
    """Copy the files of FOLDER to URL. Broken off, the same command goes on: what is there is not sent again.

    What a dataset of this folder would have is copied; what is left out is counted and named, and where a file cannot be
    read or named there the exit code is 65.

    \b
    tlbatch data put photos/ s3://pets/photos
    """
    from tlbatch.datasets.copying import put as copy
    from tlbatch.errors import DataError, StudyError
    from tlbatch.store import open_store

    if not url.startswith("s3://"):
        raise StudyError(f"{url}: expected s3://BUCKET/PREFIX")
    _reach(context)

    def say(done: int, total: int) -> None:
        if sys.stderr.isatty() and (done % 50 == 0 or done == total):
            steer(sys.stderr, "\r")
            click.echo(f"{done}/{total} files", nl=done == total, err=True)

    copied = copy(folder, open_store(url), say, follow_links=follow_links)
    if output == "json":
        print_json({"url": url, **asdict(copied)})
    else:
        click.echo(f"{url}: {copied.files} files, {copied.sent} sent ({copied.sent_bytes / 1e6:.1f} MB)")
        for left in copied.left_out:
            click.echo(f"left out: {left}")
        for path, why in copied.unsent[:MOST_CHANGES]:
            click.echo(f"not sent: {path}: {why}", err=True)
        if len(copied.unsent) > MOST_CHANGES:
            click.echo(f"not sent: {len(copied.unsent) - MOST_CHANGES} more (-o json lists all)", err=True)
    return DataError.exit_code if copied.unsent else 0


@data.command("check")
@click.argument("url", type=GivenPath())
@click.option("--csv", type=GivenPath(), default=None, help="A CSV of labels beside the images (columns id, label).")
@follow_links_option
@context_option
@output_option
def check(url: str, csv: str | None, follow_links: bool, context: str | None, output: str) -> None:
    """Say what a dataset at URL (or in a folder) consists of: classes, counts, what is left out. Reads no image.

    \b
    tlbatch data check s3://pets/photos
    """
    from tlbatch.datasets.describing import listing_facts, listing_lines
    from tlbatch.datasets.inventory import list_dataset
    from tlbatch.spec.dataset import CsvLabels, Dataset

    _reach(context)
    place = url if "://" in url else str(Path(url).absolute())
    labels = CsvLabels(csv=csv) if csv else None
    listing = list_dataset(Dataset(url=place, labels=labels, follow_links=follow_links))
    facts = listing_facts(listing)
    if output == "json":
        print_json({"url": place, **facts})
        return
    click.echo(f"{place}: {len(listing.files)} files in {len(listing.classes)} classes, {facts['bytes'] / 1e6:.1f} MB")
    for label, count in facts["classes"].items():
        click.echo(f"  {label:<30} {count}")
    for line in listing_lines(listing):
        click.echo(line)


@data.command("relabel")
@click.argument("study", type=GivenPath())
@click.argument("file", required=False, type=GivenPath(path_type=Path))
@kept_store_option
@set_option
@output_option
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--undo", is_flag=True, help="Instead of a FILE: take the last relabelling back.")
def relabel(
    study: str, file: Path | None, store: str, overrides: tuple[str, ...], output: str, dry_run: bool, undo: bool
) -> None:
    """Correct labels of STUDY's dataset by FILE, a CSV with columns path and label; an empty label leaves the image out.

    A report's suspects.csv, with its labels edited, is such a FILE. The dataset itself stays as it is: the corrections are
    kept in the store, and the next run or firing of the study learns from them.

    \b
    tlbatch data relabel study.yaml suspects.csv --dry-run
    tlbatch data relabel study.yaml suspects.csv
    tlbatch data relabel study.yaml --undo
    """
    from tlbatch.datasets.labelling import MOST_CSV_BYTES
    from tlbatch.datasets.relabelling import plan_relabelling, save_corrections
    from tlbatch.errors import StudyError
    from tlbatch.schema.files import read_bytes
    from tlbatch.spec import load_study
    from tlbatch.store import open_store
    from tlbatch.store.layout import check_format

    if undo == (file is not None):
        raise click.UsageError("name a FILE, or --undo")
    loaded, opened = load_study(study, overrides).study, open_store(store)
    if file is None:
        _undo(loaded.name, store, output, dry_run)
        return
    try:
        text = read_bytes(file, "a CSV file with columns path and label", MOST_CSV_BYTES)
    except OSError as error:
        what = "Is a directory" if isinstance(error, IsADirectoryError) else "No such file or directory"
        raise StudyError(f"{file} cannot be read ({what}): name a CSV file with columns path and label") from error
    planned, before = plan_relabelling(loaded, opened, text, str(file))
    if planned.changes and not dry_run:
        check_format(opened)
        save_corrections(opened, loaded.name, planned.corrections, before)
    if output == "json":
        print_json({"study": loaded.name, "store": opened.url, "dry_run": dry_run, **asdict(planned)})
        return
    click.echo("\n".join(_relabelled(loaded.name, planned, opened.url, dry_run)))


def _undo(study: str, store: str, output: str, dry_run: bool) -> None:
    from tlbatch.datasets.relabelling import undo
    from tlbatch.errors import StudyError
    from tlbatch.store.opening import open_kept

    if dry_run:
        raise StudyError("--undo takes no --dry-run: what is taken back stays in the store beside the corrections")
    before, after = undo(open_kept(store), study)
    if output == "json":
        print_json({"study": study, "before": before, "corrections": after})
        return
    changed = sum(before.get(path) != after.get(path) for path in {*before, *after})
    click.echo(f"{study}: {_count(changed, 'correction')} taken back, {len(after)} left")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _relabelled(study: str, planned: Relabelling, store: str, dry_run: bool) -> list[str]:
    """What ``relabel`` says: counts, the changes, warnings."""
    out = sum(not change.after for change in planned.changes)
    would = "would be " if dry_run else ""
    head = f"{study}: {_count(len(planned.changes) - out, 'label')} {would}changed, {nouns.count(out)} {would}left out"
    lines = [f"{head}; {planned.same} of {planned.lines} lines say what counts already"]
    for change in planned.changes[:MOST_CHANGES]:
        lines.append(f"  {change.path}: {change.before or 'left out'} → {change.after or 'left out'}")
    if len(planned.changes) > MOST_CHANGES:
        lines.append(f"  … and {len(planned.changes) - MOST_CHANGES} more (-o json lists all)")
    lines += [f"{name} has no {nouns.item()} any more: the class is gone from the study" for name in planned.emptied]
    if planned.changes and not dry_run:
        lines.append(f"kept in {store}/labels/{study}/corrections.csv; the next run learns from them, --undo takes them back")
    return lines


def _reach(context: str | None) -> None:
    from tlbatch.profiles import load_profile

    load_profile(context).point_to_endpoint()
