"""``tlbatch advise``: which backbone and which layer, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tlbatch.commands.options import (
    CORES,
    GivenPath,
    context_option,
    namespace_option,
    output_option,
    print_json,
    set_option,
    store_option,
)

if TYPE_CHECKING:
    from tlbatch.execution.launch import Outcome
    from tlbatch.spec import LoadedStudy
    from tlbatch.store import Store


@click.command()
@click.argument("study", type=GivenPath(), metavar="STUDY|FOLDER")
@click.option("--candidates", default=None, metavar="NAME[=WEIGHTS],…", help="Backbones to judge.  [default: the study's]")
@click.option("--budget", default=None, metavar="IMAGES|TIME", help="At most so many images (500), or about so long (10m).")
@click.option("--layers", is_flag=True, help="Judge every stage of each candidate, and draw accuracy by depth.")
@store_option
@set_option
@output_option
@click.option(
    "--write", "target", type=GivenPath(path_type=Path), default=None, metavar="FILE", help="Write a study that does it."
)
@click.option("--check", "afterwards", is_flag=True, help="Hold earlier advice on STUDY against what came out.")
@click.option("--cores", type=CORES, default=None, help="CPU cores to use.  [default: all]")
@click.option("-q", "--quiet", is_flag=True, help="Only the result.")
@click.option("--cluster", is_flag=True, help="On the cluster: as `tlbatch submit` sends a study.")
@context_option
@namespace_option
def advise(
    study: str,
    candidates: str | None,
    budget: str | None,
    layers: bool,
    store: str,
    overrides: tuple[str, ...],
    output: str,
    target: Path | None,
    afterwards: bool,
    cores: int | None,
    quiet: bool,
    cluster: bool,
    context: str | None,
    namespace: str | None,
) -> int:
    """Say which pretrained network to take for STUDY, or for a FOLDER of images, how, and how sure that is.

    One forward pass an image and candidate gives all layers; only training and validation images are read, no test image.
    Run again, it computes nothing. In FOLDER there is a folder of images per class, as for `tlbatch init`.

    \b
    tlbatch advise photos/ --write study.yaml
    tlbatch advise study.yaml --candidates mobilenet_v2,efficientnet_lite0 --budget 500
    tlbatch advise study.yaml --layers -o json
    tlbatch advise study.yaml --cluster     (its data and weights in S3)
    tlbatch advise study.yaml --check     (once the study has run: how good was the advice?)
    """
    if afterwards:
        return _check(study, store, output)
    from tlbatch.advice.studies import advice_study, candidates_of, load_subject, parsed_budget, parsed_candidates
    from tlbatch.commands.here import run_here
    from tlbatch.store import open_store

    subject, folder = load_subject(study, overrides)
    limit = parsed_budget(budget) if budget else {}
    if target is not None:
        _refuse_existing(target)
    if cluster:
        return _send(subject, folder, candidates, limit, layers, context, namespace, output)
    opened = open_store(store)
    asked = parsed_candidates(candidates) if candidates else candidates_of(subject, opened, folder=folder)
    loaded = advice_study(subject, asked, limit, "stages" if layers else "last", pinned=pinned_by(subject, opened))
    outcome = run_here(loaded, opened, cores, quiet=quiet or output == "json")
    if outcome.report is not None:
        _show(outcome, loaded, subject, target, output)
    elif output == "json":
        print_json({"id": outcome.execution.id, "state": outcome.state})
    else:
        from tlbatch.display.progress import show_outcome

        show_outcome(outcome)
    return outcome.exit_code


def _show(outcome: Outcome, loaded: LoadedStudy, subject: LoadedStudy, target: Path | None, output: str) -> None:
    """What was advised, what it costs here, and the study that does it."""
    from tlbatch.advice.costs import costs
    from tlbatch.advice.reading import load_advice
    from tlbatch.advice.studies import advised_study

    advice = load_advice(outcome.execution)
    text = advised_study(loaded, f"{subject.study.name[:32].rstrip('-')}-advised", advice["runs"])
    estimate = costs(outcome.execution.store, outcome.works, advice, text, loaded.folder)
    if target is not None:
        target.write_text(text, encoding="utf-8")
    if output == "json":
        document: dict[str, Any] = {"id": outcome.execution.id, "state": outcome.state, "report": outcome.place}
        print_json({**document, "advice": advice, "cost": estimate.to_json(), "study": text})
        return
    from tlbatch.display.progress import show_outcome

    show_outcome(outcome)
    for line in estimate.lines():
        click.echo(f"\n{line}")
    if target is not None:
        click.echo(f"\n{target}: written; next: tlbatch check {target}", err=True)


def pinned_by(subject: LoadedStudy, store: Store) -> str | None:
    """Key of the ``pin`` artifact of the study's schedule in this store; None without one, and before its first decision."""
    from tlbatch.schedules.pins import load_pins

    pins = load_pins(store, subject.study.name) if subject.study.schedule is not None else None
    return pins.ref.key if pins else None


def _refuse_existing(target: Path) -> None:
    from tlbatch.errors import StudyError

    if target.exists():
        raise StudyError(f"{target}: is there already; name another file, or remove it")


def _send(
    subject: LoadedStudy,
    folder: bool,
    candidates: str | None,
    budget: dict[str, int],
    layers: bool,
    context: str | None,
    namespace: str | None,
    output: str,
) -> int:
    """The driver's Job: it plans and walks the very same study. Raises StudyError for what pods could not see."""
    from tlbatch.advice.studies import advice_study, candidates_of, parsed_candidates
    from tlbatch.cluster import open_cluster
    from tlbatch.cluster.submission import build_request, submit, user_name
    from tlbatch.profiles import load_profile
    from tlbatch.store import open_store

    profile = load_profile(context, {"namespace": namespace})
    profile.point_to_endpoint()
    store = open_store(profile.checked_store())
    asked = parsed_candidates(candidates) if candidates else candidates_of(subject, store, folder=folder)
    loaded = advice_study(subject, asked, budget, "stages" if layers else "last", pinned=pinned_by(subject, store))
    request = build_request(loaded, profile.site(), user=user_name())
    execution = submit(request, store, open_cluster(profile.namespace, profile.kube_context))
    if output == "json":
        print_json({"id": execution.id, "store": store.url, "namespace": profile.namespace})
    else:
        click.echo(execution.id)
        click.echo(f"tlbatch status -w {execution.id}, then tlbatch report {execution.id}", err=True)
    return 0


def _check(text: str, store: str, output: str) -> int:
    """Regret, every score's, and the store's history. Raises StudyError where there is no advice."""
    from tlbatch.advice.display import show_check
    from tlbatch.advice.outcomes import advices_of, check_advice
    from tlbatch.spec import load_study
    from tlbatch.store import open_store

    opened = open_store(store)
    name = load_study(text).study.name if Path(text).is_file() else text.rstrip("/").rpartition("/")[2]
    checked = [check_advice(execution) for execution in advices_of(opened, name)]
    if output == "json":
        print_json([each.to_json() for each in checked])
    else:
        show_check(checked, name)
    return 0
