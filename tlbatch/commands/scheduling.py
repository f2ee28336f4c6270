"""Schedules changed: ``schedule apply``, ``suspend``, ``resume``, ``delete``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from tlbatch import nouns
from tlbatch.commands.options import (
    DEFAULT_STORE,
    Command,
    GivenPath,
    context_option,
    kept_store_option,
    namespace_option,
    output_option,
    print_json,
    print_object,
    set_option,
)

if TYPE_CHECKING:
    from tlbatch.cluster import Cluster
    from tlbatch.schedules.schedule import StoredSchedule
    from tlbatch.spec import LoadedStudy
    from tlbatch.store import Store

store_option = click.option(
    "--store", default=None, metavar="DIR|s3://BUCKET/PREFIX", help=f"[default: the context's, else {DEFAULT_STORE}]"
)
name_argument = click.argument("name")


def _of_a_schedule(command: Command) -> Command:
    """NAME, and where its store and its cluster are."""
    for option in (kept_store_option, namespace_option, context_option, name_argument):
        command = option(command)
    return command


@click.command()
@click.argument("study", type=GivenPath())
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
    from tlbatch.cluster.submission import user_name
    from tlbatch.profiles import load_profile
    from tlbatch.schedules.applying import apply as apply_there
    from tlbatch.schedules.applying import apply_here, build_request
    from tlbatch.spec import load_study
    from tlbatch.store import open_store

    loaded = load_study(study, overrides)
    profile = load_profile(context, {"namespace": namespace, "store": store})
    if here or (profile.images is None and context is None):
        if dry_run is not None:
            raise click.UsageError("--dry-run is for CronJobs: name a --context that has images, and leave out --here")
        opened = open_store(profile.store or DEFAULT_STORE)
        _say_applied(apply_here(loaded, opened), output, asked=here)
        _warn_of_bounds(loaded, opened)
        return
    site = profile.site()
    if dry_run == "client":
        print_object(build_request(loaded, site, user_name()), output)
        return
    from tlbatch.cluster import open_cluster
    from tlbatch.cluster.client import CRONJOBS

    cluster = open_cluster(profile.namespace, profile.kube_context)
    if dry_run == "server":
        cluster.apply(CRONJOBS, build_request(loaded, site, user_name()), dry_run=True)
        click.echo(f"{loaded.study.name}: the cluster would take it (nothing was sent to the store)")
        return
    profile.point_to_endpoint()
    opened = open_store(profile.checked_store())
    _say_applied(apply_there(loaded, opened, site, cluster), output, asked=True)
    _warn_of_bounds(loaded, opened)


@click.command()
@_of_a_schedule
def suspend(name: str, context: str | None, namespace: str | None, store: str) -> None:
    """Let schedule NAME rest: a firing that runs goes on, no other starts until `resume`.

    \b
    tlbatch schedule suspend pets
    """
    _suspend(name, context, namespace, store, suspended=True)


@click.command()
@_of_a_schedule
def resume(name: str, context: str | None, namespace: str | None, store: str) -> None:
    """Let schedule NAME fire again.

    \b
    tlbatch schedule resume pets
    """
    _suspend(name, context, namespace, store, suspended=False)


@click.command()
@_of_a_schedule
@click.option("--purge", is_flag=True, help="Forget its firings and pinned images, too. Champions stay.")
def delete(name: str, context: str | None, namespace: str | None, store: str, purge: bool) -> None:
    """End schedule NAME. Its firings, pinned images and champion stay in the store: applied again, it goes on with them.

    \b
    tlbatch schedule delete pets
    """
    from tlbatch.schedules.applying import delete as end
    from tlbatch.schedules.schedule import CLUSTER, load_schedule
    from tlbatch.store.opening import open_kept

    opened = open_kept(store)
    stored = load_schedule(opened, name)
    cluster = open_schedules_cluster(stored, context, namespace) if stored.where == CLUSTER else None
    was_there = end(opened, name, cluster, purge=purge)
    gone = "" if cluster is None or was_there else " (its CronJob was gone already)"
    kept = "its firings and pins are forgotten; champions stay" if purge else "firings, pins and champion stay in the store"
    click.echo(f"{name}: deleted{gone}; {kept}")


# -- inside -------------------------------------------------------------------------------------------------------------


def _suspend(name: str, context: str | None, namespace: str | None, store: str, *, suspended: bool) -> None:
    from tlbatch.schedules.applying import suspend as change
    from tlbatch.schedules.schedule import CLUSTER, load_schedule, next_time
    from tlbatch.schedules.view import when
    from tlbatch.store.opening import open_kept

    opened = open_kept(store)
    stored = load_schedule(opened, name)
    cluster = open_schedules_cluster(stored, context, namespace) if stored.where == CLUSTER else None
    after = change(opened, name, cluster, suspended=suspended)
    upcoming = next_time(after, time.time())
    zone = after.periods[-1].timezone
    click.echo(f"{name}: " + ("suspended" if upcoming is None else f"fires next {when(upcoming, zone)}"))


def open_schedules_cluster(stored: StoredSchedule, context: str | None, namespace: str | None) -> Cluster:
    """The one it was applied to: its namespace unless another is named."""
    from tlbatch.cluster import open_cluster
    from tlbatch.profiles import load_profile

    profile = load_profile(context, {"namespace": namespace})
    return open_cluster(namespace or stored.site.get("namespace") or profile.namespace, profile.kube_context)


def _warn_of_bounds(loaded: LoadedStudy, store: Store) -> None:
    """On stderr, once it is applied: what its class_bound cannot do. Nothing where the data cannot be seen from here."""
    from tlbatch.datasets.relabelling import list_corrected
    from tlbatch.errors import Stopped, TlbatchError
    from tlbatch.planning.bounds import coarse_bounds

    if loaded.study.schedule is None or loaded.study.schedule.class_bound is None:
        return
    try:
        for sentence in coarse_bounds(loaded.study, list_corrected(loaded.study, store)):
            click.echo(f"warning: {sentence}", err=True)
    except Stopped:
        raise
    except TlbatchError as error:
        click.echo(f"whether its class_bound is too fine for its test {nouns.items()} is not known: {error}", err=True)


def _say_applied(stored: StoredSchedule, output: str, *, asked: bool) -> None:
    from tlbatch.schedules.schedule import HERE, next_time
    from tlbatch.schedules.view import when

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
