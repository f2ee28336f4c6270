"""``tlbatch curve``: how many labels it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from tlbatch.commands.options import print_json, set_option, store_option

if TYPE_CHECKING:
    from tlbatch.execution.launch import Outcome

CURVE = "curve"


@click.command()
@click.argument("study", type=click.Path())
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
@click.option("--cores", type=click.IntRange(1), default=None, help="CPU cores to use.  [default: all]")
@click.option("-q", "--quiet", is_flag=True, help="Only the result.")
def curve(
    study: str,
    store: str,
    overrides: tuple[str, ...],
    labels: str | None,
    draws: int | None,
    output: str,
    cores: int | None,
    quiet: bool,
) -> int:
    """Say how accurate STUDY's heads on features are with 1, 2, 5, 10, … labels a class, and what twice the labels would bring.

    Labels are drawn from the training images, each number several times; every head is held against the same head on the
    network with random weights. Runs what this needs of the study, here; what the store has is not computed again. With
    `curve:` in the study, `tlbatch run` and `tlbatch submit` do it, too, and the report shows it.

    \b
    tlbatch curve study.yaml
    tlbatch curve study.yaml --labels 1,2,5,10,20,50 --draws 10
    tlbatch curve study.yaml -o csv > curve.csv
    """
    from tlbatch.commands.here import run_here
    from tlbatch.display.progress import show_outcome
    from tlbatch.spec import load_study
    from tlbatch.store import open_store

    loaded = load_study(study, (*overrides, *_asked(labels, draws)))
    if loaded.study.curve is None:
        loaded = load_study(study, (*overrides, "curve={}"))
    outcome = run_here(loaded, open_store(store), cores, quiet=quiet or output != "table", announced=False, only=CURVE)
    if outcome.state != "succeeded":
        show_outcome(outcome)
        return outcome.exit_code
    _print(outcome, output)
    return 0


def _asked(labels: str | None, draws: int | None) -> Iterator[str]:
    """Options as fields of the study, so that mistakes are said as they are there."""
    if labels is not None:
        yield f"curve.labels=[{labels}]"
    if draws is not None:
        yield f"curve.draws={draws}"


def _print(outcome: Outcome, output: str) -> None:
    from tlbatch.display.tables import print_table

    document = _document(outcome)
    if output == "json":
        print_json(document)
        return
    columns = ("run", "labels a class", "accuracy", "95 % interval", "control", "gain", "95 % interval ", "transfer")
    if output == "csv":
        click.echo(_file(outcome, "curve.csv").decode(), nl=False)
        return
    print_table(list(columns), [*_rows(document)], "text", left=(0, 7))
    click.echo()
    for run in document["runs"]:
        for sentence in run["sentences"]:
            click.echo(sentence)


def _document(outcome: Outcome) -> dict[str, Any]:
    from tlbatch.store.documents import parse

    found: dict[str, Any] = parse(_file(outcome, "curve.json"))
    return found


def _file(outcome: Outcome, name: str) -> bytes:
    """Of the curve's artifact, checked."""
    import tempfile
    from pathlib import Path

    from tlbatch.errors import CorruptArtifactError
    from tlbatch.store.artifacts import open_artifact

    ref = next(work.ref for work in outcome.works if work.node.step == CURVE and work.ref is not None)
    with tempfile.TemporaryDirectory() as folder:
        artifact = open_artifact(outcome.execution.store, ref.step, ref.key, Path(folder))
        if artifact is None:
            raise CorruptArtifactError(f"{ref.step} {ref.key[:12]} is no longer in the store: run the same command again")
        return artifact.read_bytes(name)


def _rows(document: Mapping[str, Any]) -> Iterator[list[str]]:
    for run in document["runs"]:
        for point in run["points"]:
            accuracy, control, gain = point["accuracy"], point["control"], point["gain"]
            row = [run["name"], str(point["labels"]), _percent(accuracy), _interval(accuracy)]
            row += [_percent(control) if control else "–", f"{100 * gain['value']:+.1f}" if gain else "–"]
            yield [
                *row,
                _interval(gain, sign="+") if gain else "–",
                {"open": "no difference shown"}.get(point["verdict"], point["verdict"] or "–"),
            ]
        for found in sorted(filter(None, (run["twice"], run["all"])), key=lambda each: each["labels"]):
            accuracy, gain = found["accuracy"], found["gain"]
            value = f"{100 * gain['value']:+.1f}"
            yield [
                run["name"],
                f"{found['labels']} (predicted)",
                _percent(accuracy),
                _interval(accuracy),
                "–",
                "–",
                "–",
                f"{value} over {found['over']}",
            ]


def _percent(found: Mapping[str, float]) -> str:
    return f"{100 * found['value']:.1f} %"


def _interval(found: Mapping[str, float], sign: str = "") -> str:
    return f"{100 * found['low']:{sign}.1f} – {100 * found['high']:{sign}.1f}"
