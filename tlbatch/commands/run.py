"""``tlbatch run``: a study on this machine."""

from __future__ import annotations

from typing import Any

import click

from tlbatch.commands.options import CORES, GivenPath, output_option, print_json, set_option, store_option


@click.command()
@click.argument("study", type=GivenPath(), required=False)
@store_option
@set_option
@output_option
@click.option("--cores", type=CORES, default=None, help="CPU cores to use.  [default: all]")
@click.option("-q", "--quiet", is_flag=True, help="Only the result.")
@click.option("--task", default=None, metavar="KEY", help="Instead of a study: replay one task of the store here.")
def run(
    study: str | None, store: str, overrides: tuple[str, ...], output: str, cores: int | None, quiet: bool, task: str | None
) -> int:
    """Run STUDY on this machine: what the store has is not computed again; Ctrl-C stops, the same command goes on.

    \b
    tlbatch run study.yaml
    tlbatch run study.yaml --set runs[finetuned].train.lr=3e-4
    tlbatch run study.yaml --store s3://bucket/prefix     (AWS_ENDPOINT_URL_S3 for other S3 servers)
    tlbatch run --task 0e6bbfaa --store s3://bucket/prefix     (a task that failed on a cluster, with its traceback)
    """
    if task is not None:
        from tlbatch.execution.replay import replay

        return replay(task, store)
    if study is None:
        raise click.UsageError("name a STUDY, or a task of the store by --task KEY")
    from tlbatch.commands.here import run_here
    from tlbatch.display.progress import not_scheduled, show_outcome
    from tlbatch.spec import load_study
    from tlbatch.store import open_store

    loaded = load_study(study, overrides)
    note = not_scheduled(study, " --here") if loaded.study.schedule is not None else ""
    outcome = run_here(loaded, open_store(store), cores, quiet=quiet or output == "json", note=note)
    if output == "json":
        print_json(as_json(outcome))
    else:
        show_outcome(outcome)
    return outcome.exit_code


def as_json(outcome: Any) -> dict[str, Any]:
    """What ``-o json`` prints."""
    return {
        "id": outcome.execution.id,
        "state": outcome.state,
        "tasks": {work.name: work.to_json() for work in outcome.works},
        "report": outcome.place,
        "results": outcome.report,
    }
