"""``tlbatch submit`` and ``render``: a study on a cluster."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from tlbatch.commands.options import (
    Command,
    GivenPath,
    cluster_store_option,
    context_option,
    namespace_option,
    output_option,
    print_json,
    print_object,
    set_option,
)

if TYPE_CHECKING:
    from tlbatch.cluster.submission import Request
    from tlbatch.profiles import Profile


def _study_options(command: Command) -> Command:
    """STUDY and the options that submit and render share: what is rendered is what would be sent."""
    study = click.argument("study", type=GivenPath())
    for option in (output_option, set_option, cluster_store_option, namespace_option, context_option, study):
        command = option(command)
    return command


@click.command()
@_study_options
@click.option("--follow", "-f", is_flag=True, help="Stay and show what happens; Ctrl-C only stops watching.")
@click.option(
    "--dry-run", type=click.Choice(["client", "server"]), default=None, help="Send nothing; or let the server check it."
)
def submit(
    study: str,
    context: str | None,
    namespace: str | None,
    store: str | None,
    overrides: tuple[str, ...],
    output: str,
    follow: bool,
    dry_run: str | None,
) -> int:
    """Run STUDY on a Kubernetes cluster, its data and results in S3: puts the study into the store and creates one Job.

    \b
    tlbatch submit study.yaml --follow
    tlbatch submit study.yaml --set resources.gpu=1 --store s3://bucket/prefix
    tlbatch submit study.yaml --dry-run=server
    """
    from tlbatch.cluster import open_cluster
    from tlbatch.cluster.client import JOBS
    from tlbatch.cluster.submission import submit as send
    from tlbatch.store import open_store

    profile, request = _request(study, context, namespace, store, overrides)
    if dry_run == "client":
        print_object(request.job, output)
        return 0
    cluster = open_cluster(profile.namespace, profile.kube_context)
    if dry_run == "server":
        cluster.create(JOBS, request.job, dry_run=True)
        click.echo(f"{request.execution}: the cluster would take it (nothing was sent to the store)")
        return 0
    profile.point_to_endpoint()
    execution = send(request, open_store(profile.checked_store()), cluster)
    if request.scheduled:
        from tlbatch.display.progress import not_scheduled

        click.echo(not_scheduled(study), err=True)
    if output == "json":
        print_json({"id": execution.id, "store": execution.store.url, "namespace": profile.namespace})
    else:
        click.echo(execution.id)
    if not follow:
        if output != "json" and sys.stderr.isatty():
            click.echo(f"tlbatch status -w {execution.id}     shows how it goes", err=True)
        return 0
    from tlbatch.display.follow import follow as tell

    return tell(execution, cluster)


@click.command()
@_study_options
def render(
    study: str, context: str | None, namespace: str | None, store: str | None, overrides: tuple[str, ...], output: str
) -> None:
    """Print exactly what `tlbatch submit` would send to the cluster: the driver's Job, which makes the tasks' Jobs.

    \b
    tlbatch render study.yaml | kubectl apply --dry-run=server -f -
    """
    _, request = _request(study, context, namespace, store, overrides)
    print_object(request.job, output)


def _request(
    study: str, context: str | None, namespace: str | None, store: str | None, overrides: tuple[str, ...]
) -> tuple[Profile, Request]:
    from tlbatch.cluster.submission import build_request, user_name
    from tlbatch.profiles import load_profile
    from tlbatch.spec import load_study

    profile = load_profile(context, {"namespace": namespace, "store": store})
    loaded = load_study(study, overrides)
    return profile, build_request(loaded, profile.site(), user=user_name())
