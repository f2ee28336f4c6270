"""``tlbatch report``: read, fetch and compare the reports in a store."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tlbatch.commands.options import GivenPath, kept_store_option, output_option, print_json
from tlbatch.output import json_printable, terminal_width

if TYPE_CHECKING:
    from tlbatch.records.executions import Execution
    from tlbatch.reports.listing import ReportLine
    from tlbatch.reports.pulling import Pulled


TABLES = ("metrics", "tests", "study", "images")


class ReportGroup(click.Group):
    """``tlbatch report [ID]`` is ``tlbatch report show [ID]``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group(cls=ReportGroup, subcommand_metavar="[COMMAND] [ARGS]...")
def report() -> None:
    """Read, fetch and compare reports. Without a command: show the report of an execution (default: the newest).

    \b
    tlbatch report                        the newest one's table, and where its page is
    tlbatch report list --since 7d
    tlbatch report pull --all reports/
    tlbatch report compare pets-2026… pets-2026…

    An execution is meant by its id, the start of one, a study's name (its newest), or its place in any store:
    s3://bucket/prefix/executions/ID.
    """


def formats(*names: str) -> Callable[[Any], Any]:
    return click.option(
        "-o", "--output", type=click.Choice(["text", "json", *names]), default="text", show_default=True, help="Output format."
    )


@report.command("list")
@kept_store_option
@formats("csv", "md")
@click.option("--study", default="", help="Only reports of this study.")
@click.option("--since", default="", metavar="DATE|AGE", help="Only reports made since then: 2026-11-23 (UTC), 12h, 7d.")
def list_(store: str, output: str, study: str, since: str) -> None:
    """List the reports in a store, newest first.

    \b
    tlbatch report list --study pets --since 30d
    """
    from tlbatch.reports.listing import list_reports, since_when
    from tlbatch.store.opening import open_kept

    lines = list_reports(open_kept(store), study, since_when(since) if since else 0.0)
    if output == "json":
        print_json([asdict(line) for line in lines])
        return
    from tlbatch.display.tables import print_table

    columns = ["execution", "study", "made (UTC)", "best run", "accuracy", "95 % interval", "what it says"]
    print_table(columns, [_cells(line, whole=output != "text") for line in lines], output, left=(0, 1, 2, 3, 6))
    if not lines and output == "text":
        click.echo(f"no reports in {store}" + (" that were asked for" if study or since else ""), err=True)


@report.command("show")
@click.argument("execution", default="")
@kept_store_option
@formats("csv", "md")
def show(execution: str, store: str, output: str) -> None:
    """Print the report of EXECUTION: its first sentence, table, other sentences and warnings.

    \b
    tlbatch report show
    tlbatch report dogs-vs-cats -o json
    tlbatch report show s3://pets/tlbatch/executions/pets-20261123-0412-x7k2 -o md
    """
    from tlbatch.display.progress import show_report
    from tlbatch.display.tables import csv_of_report, markdown_of_report
    from tlbatch.reports.listing import report_place, reported

    found = _find(store, execution)
    document = reported(found)
    if output == "json":
        print_json(document)
    elif output == "csv":
        click.echo(csv_of_report(document), nl=False)
    elif output == "md":
        click.echo(markdown_of_report(document), nl=False)
    else:
        show_report(document)
        click.echo(f"\nReport: {report_place(found)}")


@report.command("pull")
@click.argument("executions", nargs=-1, metavar="[EXECUTION]... DIR")
@kept_store_option
@output_option
@click.option("--study", default="", help="All reports of this study.")
@click.option("--since", default="", metavar="DATE|AGE", help="All reports made since then: 2026-11-23 (UTC), 12h, 7d.")
@click.option("--all", "everything", is_flag=True, help="All reports of the store.")
def pull(executions: tuple[str, ...], store: str, output: str, study: str, since: str, everything: bool) -> None:
    """Fetch reports into DIR/<execution>/, every file checked against its sha256. What is there and right is not fetched again.

    \b
    tlbatch report pull pets reports/
    tlbatch report pull --since 2026-11-23 reports/
    """
    from tlbatch.errors import DataError, StudyError
    from tlbatch.records.executions import Execution
    from tlbatch.reports.listing import find_reports, list_reports, since_when
    from tlbatch.reports.pulling import made_again, pull_report
    from tlbatch.store.opening import open_kept

    *texts, folder = executions or ("",)
    several = bool(study or since or everything)
    if not folder or (several and texts) or not (several or texts):
        raise StudyError(
            "pull needs executions, or one of --all, --since and --study, and then the folder: … pull pets reports/"
        )
    opened = open_kept(store)
    if several:
        found = [Execution(opened, line.execution) for line in list_reports(opened, study, since_when(since) if since else 0.0)]
    else:
        found = find_reports(opened, texts)
    pulled = [pull_report(execution, Path(folder) / execution.id) for execution in found]
    if output == "json":
        print_json([{**asdict(one), "whole": one.whole} for one in pulled])
    else:
        for one in pulled:
            _say(one)
        if not pulled:
            click.echo(f"no reports in {store} that were asked for", err=True)
    broken = [one for one in pulled if not one.whole]
    if broken:
        files = sorted({(damaged.execution, damaged.file) for one in broken for damaged in one.damaged if not damaged.mended})
        again = made_again(execution for execution, one in zip(found, pulled, strict=True) if not one.whole)
        raise DataError(f"{len(files)} damaged: {', '.join('/'.join(file) for file in files)}; {again}")


@report.command("open")
@click.argument("execution", default="")
@kept_store_option
@click.option("--print", "only_say", is_flag=True, help="Only say where the page is.")
def open_(execution: str, store: str, only_say: bool) -> None:
    """Open the report of EXECUTION in a browser. From a remote store it is fetched first, and checked.

    \b
    tlbatch report open pets
    """
    from tlbatch.errors import DataError
    from tlbatch.reports.pulling import local_page, made_again

    found = _find(store, execution)
    page, damaged = local_page(found)
    if page is None:
        why = "; ".join(f"{one.object} {one.why}" for one in damaged)
        raise DataError(f"the report's page is damaged: {why}; {made_again([found])}")
    click.echo(page)
    if only_say:
        return
    import webbrowser

    if not webbrowser.open(page.as_uri()):
        click.echo("no browser was found here: open the page by hand", err=True)


@report.command("compare")
@click.argument("executions", nargs=-1, required=True, metavar="EXECUTION EXECUTION...")
@kept_store_option
@formats("csv", "md", "html")
@click.option("-f", "--file", type=GivenPath(path_type=Path), default=None, help="Write there instead of printing.")
@click.option("--table", type=click.Choice(TABLES), default="metrics", show_default=True, help="What -o csv writes.")
def compare(executions: tuple[str, ...], store: str, output: str, file: Path | None, table: str) -> None:
    """Put executions of any studies side by side; each is held against the first.

    Metrics with intervals, paired tests over the test images that both met, curves (html, json), what differs in the
    studies, and which images were added, removed, relabelled, replaced or moved.

    \b
    tlbatch report compare pets-20261123-0412-x7k2 pets-20261124-0300-b2m9
    tlbatch report compare pets s3://other/tlbatch/executions/pets-20261101-0300-aaaa -o html -f both.html
    """
    from tlbatch.reports.comparing import compare_documents, compare_page
    from tlbatch.reports.listing import find_reports
    from tlbatch.store.opening import open_kept

    found = find_reports(open_kept(store), executions)
    width = terminal_width() if file is None else None
    text = compare_page(found) if output == "html" else _compared(compare_documents(found), output, table, width)
    if file is None:
        click.echo(text, nl=False)
        return
    _write(file, text)
    click.echo(file)


def _compared(document: dict[str, Any], output: str, table: str, width: int | None) -> str:
    from tlbatch.commands.comparison import as_csv, as_markdown, as_text
    from tlbatch.kinds import speak_of

    speak_of(document.get("kind"))
    if output == "json":
        return json_printable(json.dumps(document, indent=1, ensure_ascii=False)) + "\n"
    if output in ("csv", "md"):
        return as_csv(document, table) if output == "csv" else as_markdown(document)
    return as_text(document, width)


def _write(file: Path, text: str) -> None:
    from tlbatch.errors import StudyError

    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StudyError(f"{file} could not be written ({error.strerror}): name another file with -f") from error


def _find(store: str, text: str) -> Execution:
    from tlbatch.reports.listing import find_reports
    from tlbatch.store.opening import open_kept

    return find_reports(open_kept(store), [text])[0]


def _cells(line: ReportLine, whole: bool) -> list[str]:
    """A report as cells; sentences are cut to the terminal unless ``whole``."""
    accuracy = line.accuracy or {}
    value, low, high = (accuracy.get(name) for name in ("value", "low", "high"))
    sentence = line.sentence if whole or len(line.sentence) <= 72 else f"{line.sentence[:71].rstrip()}…"
    return [
        line.execution,
        line.study,
        time.strftime("%Y-%m-%d %H:%M", time.gmtime(line.made)),
        line.best_run or "–",
        f"{100 * value:.1f} %" if value is not None else "–",
        f"{100 * low:.1f} – {100 * high:.1f}" if low is not None and high is not None else "–",
        sentence,
    ]


def _say(pulled: Pulled) -> None:
    there = pulled.files - pulled.fetched
    size = f" ({pulled.fetched_bytes / 1e6:.1f} MB)" if pulled.fetched else ""
    kept = f"; {there} were there and right" if there else ""
    click.echo(f"{pulled.folder}: {pulled.fetched} files fetched and checked{size}{kept}")
    for damaged in pulled.damaged:
        after = "; another copy was right" if damaged.mended else ""
        click.echo(f"  damaged in the store: {damaged.object} {damaged.why}{after}", err=True)
