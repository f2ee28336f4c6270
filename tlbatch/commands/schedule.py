"""``tlbatch schedule``: a study that runs again every night, and the champion it defends."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import click

from tlbatch.commands.options import (
    DEFAULT_STORE,
    context_option,
    kept_store_option,
    namespace_option,
    output_option,
    print_json,
    set_option,
)

if TYPE_CHECKING:
    from tlbatch.cluster import Cluster
    from tlbatch.schedules import StoredSchedule
    from tlbatch.store import Store

store_option = click.option(
    "--store", default=None, metavar="DIR|s3://BUCKET/PREFIX", help=f"[default: the context's, else {DEFAULT_STORE}]"
)
name_argument = click.argument("name")


@click.group()
def schedule() -> None:
    """Run a study again every night: what is new is computed, and the best model so far is defended.

    \b
    tlbatch schedule apply study.yaml        make or change the CronJob of a study with `schedule:`
    tlbatch schedule show pets               when it fires, who is champion, what was missed
    tlbatch schedule trigger pets            fire once now
    tlbatch schedule trigger study.yaml --here      fire on this machine: for any cron daemon
    """


@schedule.command()
@click.argument("study", type=click.Path())
@context_option
@namespace_option
@store_option
@set_option
@output_option
@click.option("--here", is_flag=True, help="No cluster: something here calls `tlbatch schedule trigger --here`.")
@click.option(
    "--dry-run", type=click.Choice(["client", "server"]), default=None, help="Print the CronJob; or let the server check it."
)
def apply(
    study: str,
    context: str | None,
    namespace: str | None,
    store: str | None,
    overrides: tuple[str, ...],
    output: str,
    here: bool,
    dry_run: str | None,
) -> None:
    """Apply the schedule of STUDY: puts the study into the store and applies one CronJob. Again: changes both.

    \b
    tlbatch schedule apply study.yaml
    tlbatch schedule apply study.yaml --set schedule.cron="30 2 * * *"
    tlbatch schedule apply study.yaml --dry-run=server
    tlbatch schedule apply study.yaml --here --store results/
    """
    from tlbatch.profiles import load_profile
    from tlbatch.scheduling import apply as apply_there
    from tlbatch.scheduling import apply_here, build_request
    from tlbatch.spec import load_study
    from tlbatch.store import open_store
    from tlbatch.submission import user_name

    loaded = load_study(study, overrides)
    profile = load_profile(context, {"namespace": namespace, "store": store})
    if here or (profile.images is None and context is None):
        _say_applied(apply_here(loaded, open_store(profile.store or DEFAULT_STORE)), output, asked=here)
        return
    site = profile.site()
    if dry_run == "client":
        _print(build_request(loaded, site, user_name()), output)
        return
    from tlbatch.cluster import open_cluster
    from tlbatch.cluster.client import CRONJOBS

    cluster = open_cluster(profile.namespace, profile.kube_context)
    if dry_run == "server":
        cluster.apply(CRONJOBS, build_request(loaded, site, user_name()), dry_run=True)
        click.echo(f"{loaded.study.name}: the cluster would take it (nothing was sent to the store)")
        return
    profile.point_to_endpoint()
    _say_applied(apply_there(loaded, open_store(profile.checked_store()), site, cluster), output, asked=True)


@schedule.command("list")
@kept_store_option
@output_option
def list_(store: str, output: str) -> None:
    """List the schedules in a store.

    \b
    tlbatch schedule list
    """
    from tlbatch.commands.display import text_table
    from tlbatch.schedules import schedule_names
    from tlbatch.scheduleview import view, when
    from tlbatch.store import open_store

    opened = open_store(store)
    views = [view(opened, name) for name in schedule_names(opened)]
    if output == "json":
        print_json([each.to_json() for each in views])
        return
    rows = []
    for each in views:
        zone, last = each.schedule.timezone, next((record for record in each.firings if record.execution), None)
        upcoming = when(each.next, zone) if each.next else "suspended"
        champion = f"{each.champion.serial}: {each.champion.run}" if each.champion else ""
        said = f"{when(last.started, zone)}, {last.outcome or last.state}" if last else ""
        rows.append([each.stored.name, each.schedule.cron, each.stored.where, upcoming, said, champion, str(each.missed or "")])
    columns = ["schedule", "cron", "where", "next firing", "last firing", "champion", "missed"]
    click.echo("\n".join(text_table(columns, rows, left=tuple(range(6)))))


@schedule.command()
@name_argument
@kept_store_option
@output_option
def show(name: str, store: str, output: str) -> None:
    """Say of schedule NAME when it fires, who is champion, how worn the test set is, and what was missed.

    \b
    tlbatch schedule show pets
    """
    from tlbatch.scheduleview import lines, view
    from tlbatch.store import open_store

    seen = view(open_store(store), name)
    if output == "json":
        print_json(seen.to_json())
        return
    click.echo("\n".join(lines(seen)))


@schedule.command()
@name_argument
@kept_store_option
@output_option
@click.option("-n", "--limit", type=click.IntRange(1), default=30, show_default=True, help="So many, the newest first.")
def history(name: str, store: str, output: str, limit: int) -> None:
    """List the firings of schedule NAME, the missed ones too, the newest first.

    \b
    tlbatch schedule history pets
    tlbatch schedule history pets -n 1000 -o json
    """
    from dataclasses import asdict

    from tlbatch.commands.display import text_table
    from tlbatch.scheduleview import COLUMNS, cells, view
    from tlbatch.store import open_store

    seen = view(open_store(store), name)
    shown = seen.firings[:limit]
    if output == "json":
        print_json([asdict(record) for record in shown])
        return
    rows = [cells(record, seen.schedule.timezone, seen.schedule.promote_on) for record in shown]
    click.echo("\n".join(text_table(COLUMNS, rows, left=(0, 1, 2, 6, 7))))
    if len(seen.firings) > limit:
        click.echo(f"{len(seen.firings) - limit} earlier ones: -n {len(seen.firings)}", err=True)


@schedule.command()
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
    from tlbatch.errors import StudyError
    from tlbatch.schedules import HERE, load_schedule
    from tlbatch.scheduling import trigger as fire
    from tlbatch.submission import user_name

    opened = open_store(store)
    stored = load_schedule(opened, what)
    if stored.where == HERE:
        raise StudyError(f"{what} is not on a cluster: `tlbatch schedule trigger {what} --here` fires it on this machine")
    cluster = _cluster(stored, context, namespace)
    execution = fire(what, cluster, user_name())
    if output == "json":
        print_json({"id": execution, "store": opened.url, "namespace": cluster.namespace})
    else:
        click.echo(execution)
    if not follow:
        return 0
    from tlbatch.followfiring import follow_firing

    return follow_firing(opened, what, execution, cluster)


@schedule.command()
@name_argument
@context_option
@namespace_option
@kept_store_option
def suspend(name: str, context: str | None, namespace: str | None, store: str) -> None:
    """Let schedule NAME rest: a firing that runs goes on, no other starts until `resume`.

    \b
    tlbatch schedule suspend pets
    """
    _suspend(name, context, namespace, store, suspended=True)


@schedule.command()
@name_argument
@context_option
@namespace_option
@kept_store_option
def resume(name: str, context: str | None, namespace: str | None, store: str) -> None:
    """Let schedule NAME fire again.

    \b
    tlbatch schedule resume pets
    """
    _suspend(name, context, namespace, store, suspended=False)


@schedule.command()
@name_argument
@context_option
@namespace_option
@kept_store_option
@click.option("--purge", is_flag=True, help="Forget its firings and pinned images, too. Champions stay.")
def delete(name: str, context: str | None, namespace: str | None, store: str, purge: bool) -> None:
    """End schedule NAME. Its firings, pinned images and champion stay in the store: applied again, it goes on with them.

    \b
    tlbatch schedule delete pets
    """
    from tlbatch.schedules import CLUSTER, load_schedule
    from tlbatch.scheduling import delete as end
    from tlbatch.store import open_store

    opened = open_store(store)
    stored = load_schedule(opened, name)
    cluster = _cluster(stored, context, namespace) if stored.where == CLUSTER else None
    was_there = end(opened, name, cluster, purge=purge)
    gone = "" if cluster is None or was_there else " (its CronJob was gone already)"
    kept = "its firings and pins are forgotten; champions stay" if purge else "firings, pins and champion stay in the store"
    click.echo(f"{name}: deleted{gone}; {kept}")


# -- inside -------------------------------------------------------------------------------------------------------------


def _fire_here(what: str, store: Store, cores: int | None, output: str, quiet: bool) -> int:
    from dataclasses import asdict

    from tlbatch.backends.local import LocalBackend
    from tlbatch.commands.display import Display
    from tlbatch.firings import FAILED, SKIPPED
    from tlbatch.firingwalks import fire_here
    from tlbatch.schedules import is_suspended

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
    return {FAILED: 1, SKIPPED: 75}.get(record.state, 0)


def _found(what: str, store: Store) -> StoredSchedule:
    """A schedule by its name, or that of a study's file, which is applied here where it has changed."""
    from pathlib import Path

    from tlbatch.errors import StudyError
    from tlbatch.schedules import CLUSTER, load_schedule, schedule_names, study_text
    from tlbatch.scheduling import apply_here
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


def _suspend(name: str, context: str | None, namespace: str | None, store: str, *, suspended: bool) -> None:
    from tlbatch.schedules import CLUSTER, load_schedule, next_time
    from tlbatch.scheduleview import when
    from tlbatch.scheduling import suspend as change
    from tlbatch.store import open_store

    opened = open_store(store)
    stored = load_schedule(opened, name)
    cluster = _cluster(stored, context, namespace) if stored.where == CLUSTER else None
    after = change(opened, name, cluster, suspended=suspended)
    upcoming = next_time(after, time.time())
    zone = after.periods[-1].timezone
    click.echo(f"{name}: " + ("suspended" if upcoming is None else f"fires next {when(upcoming, zone)}"))


def _cluster(stored: StoredSchedule, context: str | None, namespace: str | None) -> Cluster:
    """The one it was applied to: its namespace unless another is named."""
    from tlbatch.cluster import open_cluster
    from tlbatch.profiles import load_profile

    profile = load_profile(context, {"namespace": namespace})
    return open_cluster(namespace or stored.site.get("namespace") or profile.namespace, profile.kube_context)


def _say_applied(stored: StoredSchedule, output: str, *, asked: bool) -> None:
    from tlbatch.schedules import HERE, next_time
    from tlbatch.scheduleview import when

    upcoming = next_time(stored, time.time())
    if output == "json":
        print_json({"name": stored.name, "where": stored.where, "next": upcoming, "site": stored.site})
        return
    fires = f"fires next {when(upcoming, stored.periods[-1].timezone)}" if upcoming else "is suspended"
    if stored.where == HERE:
        why = "" if asked else " (no context names a cluster: `tlbatch context set images=… store=s3://…`)"
        click.echo(f"{stored.name}: kept here{why}; nothing fires it by itself: let cron call")
        click.echo(f"  tlbatch schedule trigger {stored.name} --here")
        return
    click.echo(f"{stored.name}: {fires}, in namespace {stored.site.get('namespace')}")


def _print(request: dict[str, Any], output: str) -> None:
    if output == "json":
        print_json(request)
        return
    import yaml

    click.echo(yaml.safe_dump(request, sort_keys=False, allow_unicode=True), nl=False)
