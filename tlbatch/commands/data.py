"""``tlbatch data``: pictures into S3, and whether they can be a dataset."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tlbatch.commands.options import context_option, output_option, print_json


@click.group()
def data() -> None:
    """Put pictures where pods see them, and check them.

    \b
    tlbatch data put photos/ s3://pets/photos
    tlbatch data check s3://pets/photos
    """


@data.command("put")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("url", metavar="s3://BUCKET/PREFIX")
@context_option
@output_option
def put(folder: Path, url: str, context: str | None, output: str) -> None:
    """Copy the files of FOLDER to URL. Broken off, the same command goes on: what is there is not sent again.

    \b
    tlbatch data put photos/ s3://pets/photos
    """
    from tlbatch.copying import put as copy
    from tlbatch.errors import StudyError
    from tlbatch.store import open_store

    if not url.startswith("s3://"):
        raise StudyError(f"{url}: expected s3://BUCKET/PREFIX")
    _reach(context)

    def say(done: int, total: int) -> None:
        if sys.stderr.isatty() and (done % 50 == 0 or done == total):
            click.echo(f"\r{done}/{total} files", nl=done == total, err=True)

    copied = copy(folder, open_store(url), say)
    if output == "json":
        print_json({"url": url, **copied.__dict__})
        return
    click.echo(f"{url}: {copied.files} files, {copied.sent} sent ({copied.sent_bytes / 1e6:.1f} MB)")


@data.command("check")
@click.argument("url")
@click.option("--csv", default=None, help="A CSV of labels beside the images (columns id, label).")
@context_option
@output_option
def check(url: str, csv: str | None, context: str | None, output: str) -> None:
    """Say what a dataset at URL (or in a folder) consists of: classes, counts, files that have no label. Reads no image.

    \b
    tlbatch data check s3://pets/photos
    """
    from collections import Counter

    from tlbatch.listing import list_dataset
    from tlbatch.spec.dataset import CsvLabels, Dataset

    _reach(context)
    place = url if "://" in url else str(Path(url).absolute())
    listing = list_dataset(Dataset(url=place, labels=CsvLabels(csv=csv) if csv else None))
    counts = Counter(file.label for file in listing.files)
    empty = sum(1 for file in listing.files if file.size == 0)
    facts = {
        "url": place,
        "files": len(listing.files),
        "bytes": sum(file.size for file in listing.files),
        "classes": {label: counts[label] for label in listing.classes},
        "empty_classes": list(listing.empty_classes),
        "unlabelled": listing.unlabelled,
        "empty_files": empty,
    }
    if output == "json":
        print_json(facts)
        return
    click.echo(f"{place}: {len(listing.files)} files in {len(listing.classes)} classes, {facts['bytes'] / 1e6:.1f} MB")  # type: ignore[operator]
    for label in listing.classes:
        click.echo(f"  {label:<30} {counts[label]}")
    for name in ("empty_classes", "unlabelled", "empty_files"):
        if facts[name]:
            click.echo(f"{name.replace('_', ' ')}: {facts[name]}")


def _reach(context: str | None) -> None:
    from tlbatch.profiles import load_profile

    load_profile(context).point_to_endpoint()
