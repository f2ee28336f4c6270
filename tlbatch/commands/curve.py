"""``tlbatch curve``: how many labels it takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from tlbatch.commands.options import CORES, GivenPath, context_option, namespace_option, print_json, set_option, store_option

if TYPE_CHECKING:
    from tlbatch.records.executions import Execution
    from tlbatch.spec import LoadedStudy

CURVE = "curve"


@click.command()
@click.argument("study", type=GivenPath())
@store_option
@set_option
@click.option(
    "--labels",
    default=None,
    metavar="N,N,…",
    help="Labels a class.  [default: the study's curve.labels, else 1,2,5,10,… up to what train has]",
)
@click.option(
    "--draws", type=click.IntRange(1), default=None, help="Of labels, for each number.  [default: the study's, else 5]"
)
@click.option(
    "-o", "--output", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True, help="Output format."
)
@click.option("--cores", type=CORES, default=None, help="CPU cores to use here.  [default: all]")
@click.option("-q", "--quiet", is_flag=True, help="Only the result.")
@click.option("--cluster", is_flag=True, help="On the cluster, and stay until it is done; Ctrl-C only stops watching.")
@context_option
@namespace_option
def curve(
    study: str,
    store: str,
    overrides: tuple[str, ...],
    labels: str | None,
    draws: int | None,
    output: str,
    cores: int | None,
    quiet: bool,
    cluster: bool,
    context: str | None,
    namespace: str | None,
) -> int:
    """Say how accurate STUDY's heads on features are with 1, 2, 5, 10, … labels a class, and what twice the labels would bring.

    Labels are drawn from the training images, each number several times; every head is held against the same head on the
    network with random weights. Runs what this needs of the study, here or on the cluster; what the store has is not computed
    again. With `curve:` in the study, `tlbatch run` and `tlbatch submit` do it, too, and the report shows it.

    \b
    tlbatch curve study.yaml
    tlbatch curve study.yaml --labels 1,2,5,10,20,50 --draws 10
    tlbatch curve study.yaml -o csv > curve.csv
    tlbatch curve study.yaml --cluster     (its data and store in S3)
    """
    from tlbatch.commands.here import run_here
    from tlbatch.display.progress import show_outcome
    from tlbatch.spec import load_study
    from tlbatch.store import open_store

    loaded = load_study(study, (*overrides, *_asked(labels, draws)))
    if loaded.study.curve is None:
        loaded = load_study(study, (*overrides, "curve={}"))
    quiet = quiet or output != "table"
    if cluster:
        return _on_cluster(loaded, _given(store), context, namespace, output, quiet=quiet)
    outcome = run_here(loaded, open_store(store), cores, quiet=quiet, announced=False, only=CURVE)
    if outcome.state != "succeeded":
        show_outcome(outcome)
        return outcome.exit_code
    _print(outcome.execution, output)
    return 0


def _given(store: str) -> str | None:
    """``--store`` or TLBATCH_STORE; None where neither was given: then the context's holds."""
    source = click.get_current_context().get_parameter_source("store")
    return None if source is click.core.ParameterSource.DEFAULT else store


def _on_cluster(
    loaded: LoadedStudy, store: str | None, context: str | None, namespace: str | None, output: str, *, quiet: bool
) -> int:
    """As an execution of its own, whose driver walks what the curve needs. Raises StudyError for what pods could not see."""
    from tlbatch.cluster import open_cluster
    from tlbatch.cluster.submission import build_request, submit, user_name
    from tlbatch.display.follow import follow
    from tlbatch.profiles import load_profile
    from tlbatch.store import open_store

    profile = load_profile(context, {"namespace": namespace, "store": store})
    profile.point_to_endpoint()
    request = build_request(loaded, profile.site(), user=user_name(), only=CURVE)
    cluster = open_cluster(profile.namespace, profile.kube_context)
    execution = submit(request, open_store(profile.checked_store()), cluster)
    click.echo(f"{execution.id}: Ctrl-C only stops watching; the same command shows the curve once it is done", err=True)
    code = follow(execution, cluster, (lambda text: None) if quiet else None)
    if code == 0:
        _print(execution, output)
    return code


def _asked(labels: str | None, draws: int | None) -> Iterator[str]:
    """Options as fields of the study, so that mistakes are said as they are there."""
    if labels is not None:
        yield f"curve.labels=[{labels}]"
    if draws is not None:
        yield f"curve.draws={draws}"


def _print(execution: Execution, output: str) -> None:
    from tlbatch.display.label_curve import curve_lines

    if output == "csv":
        click.echo(_file(execution, "curve.csv").decode(), nl=False)
    elif output == "json":
        print_json(_document(execution))
    else:
        click.echo("\n".join(curve_lines(_document(execution))))


def _document(execution: Execution) -> dict[str, Any]:
    from tlbatch.store.documents import parse

    found: dict[str, Any] = parse(_file(execution, "curve.json"))
    return found


def _file(execution: Execution, name: str) -> bytes:
    """Of the curve's artifact, checked."""
    import tempfile
    from pathlib import Path

    from tlbatch.errors import CorruptArtifactError
    from tlbatch.store.artifacts import open_artifact

    key = str((execution.load_plan() or {}).get("tasks", {}).get(CURVE, {}).get("key") or "")
    with tempfile.TemporaryDirectory() as folder:
        artifact = open_artifact(execution.store, CURVE, key, Path(folder)) if key else None
        if artifact is None:
            raise CorruptArtifactError(f"{CURVE} {key[:12]} is no longer in the store: run the same command again")
        return artifact.read_bytes(name)
