"""``schedule trigger``: one firing now, on the cluster or on this machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from tlbatch.commands.options import context_option, kept_store_option, namespace_option, output_option, print_json

if TYPE_CHECKING:
    from tlbatch.schedules.schedule import StoredSchedule
    from tlbatch.store import Store


@click.command()
@click.argument("what", metavar="NAME|STUDY")
@context_option
@namespace_option
@kept_store_option
@output_option
@click.option("--here", is_flag=True, help="On this machine, with its processes.")
@click.option("--cores", type=click.IntRange(1), default=None, help="With --here: CPU cores to use.  [default: all]")
@click.option("-q", "--quiet", is_flag=True, help="With --here: only the result.")
@click.option("--follow", "-f", is_flag=True, help="On the cluster: stay and tell what happens.")
def trigger(
    what: str,
    context: str | None,
    namespace: str | None,
    store: str,
    output: str,
    here: bool,
    cores: int | None,
    quiet: bool,
    follow: bool,
) -> int:
    """Fire once now: schedule NAME by a Job of its CronJob, or with --here NAME or STUDY on this machine.

    A firing that runs already is not doubled: the second says so. TLBATCH_WEBHOOK is the webhook's URL with --here.

    \b
    tlbatch schedule trigger pets
    tlbatch schedule trigger study.yaml --here
    0 3 * * * cd /srv/pets && tlbatch schedule trigger study.yaml --here -q >> firings.log 2>&1      (in a crontab)
    """
    from tlbatch.store import open_store

    if here:
        return _fire_here(what, open_store(store), cores, output, quiet)
    from tlbatch.cluster.submission import user_name
    from tlbatch.commands.scheduling import open_schedules_cluster
    from tlbatch.errors import StudyError
    from tlbatch.schedules.applying import trigger as fire
    from tlbatch.schedules.schedule import HERE, load_schedule
    from tlbatch.store.opening import open_kept

    opened = open_kept(store)
    stored = load_schedule(opened, what)
    if stored.where == HERE:
        raise StudyError(f"{what} is not on a cluster: `tlbatch schedule trigger {what} --here` fires it on this machine")
    cluster = open_schedules_cluster(stored, context, namespace)
    execution = fire(what, cluster, user_name())
    if output == "json":
        print_json({"id": execution, "store": opened.url, "namespace": cluster.namespace})
    else:
        click.echo(execution)
    if not follow:
        return 0
    from tlbatch.schedules.follow import follow_firing

    return follow_firing(opened, what, execution, cluster)


def _fire_here(what: str, store: Store, cores: int | None, output: str, quiet: bool) -> int:
    from dataclasses import asdict

    from tlbatch.backends.local import LocalBackend
    from tlbatch.display.progress import Display
    from tlbatch.schedules.firing_backend import failed_code, fire_here
    from tlbatch.schedules.firings import FAILED, SKIPPED
    from tlbatch.schedules.schedule import is_suspended

    stored = _found(what, store)
    if is_suspended(stored):
        click.echo(f"{stored.name} is suspended: nothing fires until `tlbatch schedule resume {stored.name}`", err=True)
        return 0
    display = Display(store, quiet=quiet or output == "json")
    backend = LocalBackend(store, cores or len(os.sched_getaffinity(0)))
    record = fire_here(stored.name, store, backend, display, lambda text: click.echo(text, err=output == "json"))
    display.close()
    if output == "json":
        print_json(asdict(record))
    return failed_code(store, record) if record.state == FAILED else 75 if record.state == SKIPPED else 0


def _found(what: str, store: Store) -> StoredSchedule:
    """A schedule by its name, or that of a study's file, which is applied here where it has changed."""
    from pathlib import Path

    from tlbatch.errors import StudyError
    from tlbatch.schedules.applying import apply_here
    from tlbatch.schedules.schedule import CLUSTER, load_schedule, schedule_names, study_text
    from tlbatch.spec import load_study

    if not Path(what).suffix and not Path(what).exists():
        return load_schedule(store, what)
    loaded = load_study(what)
    if loaded.study.name in schedule_names(store):
        stored = load_schedule(store, loaded.study.name)
        if stored.where == CLUSTER:
            if stored.study != study_text(loaded):
                raise StudyError(f"{what} is not what is applied as {stored.name}: `tlbatch schedule apply {what}` first")
            return stored
    return apply_here(loaded, store)
