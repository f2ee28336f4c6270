"""``tlbatch cancel``, ``resume``, ``why``: an execution that goes on, or should not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tlbatch.commands.options import (
    context_option,
    execution_argument,
    kept_store_option,
    namespace_option,
    output_option,
    print_json,
)

if TYPE_CHECKING:
    from tlbatch.cluster import Cluster
    from tlbatch.profiles import Profile
    from tlbatch.records.executions import Execution


@click.command()
@click.argument("execution")
@kept_store_option
@context_option
@namespace_option
@output_option
@click.option("--reason", default="", help="Kept with the execution.")
def cancel(execution: str, store: str, context: str | None, namespace: str | None, output: str, reason: str) -> None:
    """End EXECUTION (an id, the start of one, or a study's name) for good; what is done stays in the store.

    So ends a prediction on the cluster, by the name of its Job, and a class that is added there, by the name it was given:
    the same command goes on from what is done.

    \b
    tlbatch cancel dogs-vs-cats-20261123-0412-x7k2
    tlbatch cancel predict-pets-1f0a9c3e
    tlbatch cancel extend-pets-77b0a2d1
    """
    from tlbatch.cluster.cancel import cancel as end
    from tlbatch.display.status_table import stale
    from tlbatch.errors import StudyError

    try:
        found, profile = _find(execution, store, context, namespace)
    except StudyError:
        if not _cancel_lone(execution, context, namespace, output):
            raise
        return
    status = found.last_status()
    if status.get("state") in ("succeeded", "failed"):
        raise StudyError(f"{found.id} has {status['state']} already: nothing runs")
    cluster = _cluster(profile) if _in_cluster(found, status) else None
    pods = end(found, cluster, reason)
    silent = "" if cluster else stale(status)
    if silent:  # nobody is there who would record it
        found.save_status({**status, "state": "cancelled"})
    if output == "json":
        print_json({"id": found.id, "state": "cancelled", "pods_ended": pods})
        return
    click.echo(f"{found.id}: cancelled" + (f", {pods} pods ended" if cluster else _driver(silent)))


def _driver(silent: str) -> str:
    """What becomes of a driver on one machine. ``silent``: that nothing was heard of it for long."""
    return f"; {silent.partition(':')[0]}, so it is gone" if silent else "; its driver ends within seconds"


def _cancel_lone(name: str, context: str | None, namespace: str | None, output: str) -> bool:
    """Whether there were Jobs of no execution by this name, which were ended: a prediction's, those that add a class."""
    from tlbatch.execution.lone_jobs import end_group
    from tlbatch.prediction.cluster import cancel_prediction
    from tlbatch.profiles import load_profile

    end = {"predict": cancel_prediction, "extend": end_group}.get(name.partition("-")[0])
    pods = end(_cluster(load_profile(context, {"namespace": namespace})), name) if end else None
    if pods is None:
        return False
    if output == "json":
        print_json({"id": name, "state": "cancelled", "pods_ended": pods})
    else:
        click.echo(f"{name}: cancelled, {pods} pods ended")
    return True


@click.command()
@click.argument("execution")
@kept_store_option
@context_option
@namespace_option
@click.option("--task", "only", default="", metavar="TASK", help="Only this task and what it needs.")
@click.option("--follow", "-f", is_flag=True, help="Stay and show what happens.")
def resume(execution: str, store: str, context: str | None, namespace: str | None, only: str, follow: bool) -> int:
    """Go on with EXECUTION on the cluster after a failure: what is done is kept, what failed is tried again.

    \b
    tlbatch resume dogs-vs-cats-20261123-0412-x7k2
    tlbatch resume dogs-vs-cats --task finetune:vgg16-finetuned:0
    """
    from tlbatch.cluster.submission import resume as again

    found, profile = _find(execution, store, context, namespace)
    profile = profile.model_copy(update={"store": found.store.url})
    cluster = _cluster(profile)
    again(found, profile, cluster, only)
    click.echo(found.id)
    if not follow:
        return 0
    from tlbatch.display.follow import follow as tell

    return tell(found, cluster)


@click.command()
@execution_argument
@click.argument("task", default="")
@kept_store_option
@context_option
@namespace_option
@output_option
def why(execution: str, task: str, store: str, context: str | None, namespace: str | None, output: str) -> None:
    """Say what EXECUTION (default: the newest) or one TASK of it waits for, or why it failed. The store is asked first.

    \b
    tlbatch why
    tlbatch why dogs-vs-cats finetune:vgg16-finetuned:0
    """
    from dataclasses import asdict

    from tlbatch.display.why import explain

    found, profile = _find(execution, store, context, namespace)
    reasons = explain(found, lambda: _cluster(profile, deadline_s=3.0), task)
    if output == "json":
        print_json([asdict(reason) for reason in reasons])
        return
    for reason in reasons:
        click.echo(f"{reason.what}: {reason.sentence}")


def _find(execution: str, store: str, context: str | None, namespace: str | None) -> tuple[Execution, Profile]:
    from tlbatch.profiles import load_profile
    from tlbatch.records.executions import find_execution
    from tlbatch.store.opening import open_kept

    profile = load_profile(context, {"namespace": namespace})
    profile.point_to_endpoint()
    return find_execution(open_kept(store), execution), profile


def _cluster(profile: Profile, deadline_s: float = 20.0) -> Cluster:
    from tlbatch.cluster import open_cluster

    return open_cluster(profile.namespace, profile.kube_context, deadline_s)


def _in_cluster(found: Execution, status: dict[str, object]) -> bool:
    """Whether an execution was submitted to a cluster."""
    from tlbatch.cluster.submission import SUBMITTED

    return status.get("backend") == "kubernetes" or found.store.stat(found.name(SUBMITTED)) is not None
