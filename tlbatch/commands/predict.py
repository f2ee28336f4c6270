"""``tlbatch predict``: what a trained model says of pictures, here or on the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tlbatch import nouns
from tlbatch.commands.options import (
    CORES,
    GivenPath,
    context_option,
    follow_links_option,
    namespace_option,
    output_option,
    print_json,
    print_object,
)
from tlbatch.output import terminal_width

if TYPE_CHECKING:
    from tlbatch.prediction.request import Prediction
    from tlbatch.profiles import Profile


@click.command()
@click.argument("source", type=GivenPath(), metavar="SRC")
@click.argument("out", type=GivenPath(), metavar="OUT")
@click.option(
    "--model", required=True, metavar="MODEL", help="champion:NAME[/TASK], STORE/artifacts/finetune/KEY or STORE#EXECUTION/RUN."
)
@click.option("--store", default=None, metavar="DIR|s3://…", help="Where champions are.  [default: the context's]")
@click.option("--format", "file_format", type=click.Choice(["jsonl", "parquet"]), default="jsonl", show_default=True)
@click.option("--chunk", type=click.IntRange(1), default=1000, show_default=True, help="Files a part.")
@click.option(
    "--batch-size", type=click.IntRange(1, 4096), default=None, help="Images a forward pass.  [default: 8, on GPUs 64]"
)
@click.option("--raw", is_flag=True, help="Probabilities without the model's temperature.")
@click.option("--overwrite", is_flag=True, help="Replace other predictions in OUT.")
@follow_links_option
@click.option("--cores", type=CORES, default=None, help="CPU cores to use here.  [default: all]")
@click.option(
    "--cluster", "on_cluster", is_flag=True, help="As a Job of the context's cluster; SRC, OUT and the store are in S3."
)
@click.option("--shards", type=click.IntRange(1, 1000), default=1, show_default=True, help="Pods at once, on the cluster.")
@click.option("--gpu", type=click.IntRange(0), default=None, help="GPUs a pod.  [default: the context's]")
@click.option("--follow", "-f", is_flag=True, help="Stay until the cluster is done; Ctrl-C only stops watching.")
@click.option("--dry-run", is_flag=True, help="Print the Job that --cluster would create; send nothing.")
@context_option
@namespace_option
@output_option
def predict(source: str, out: str, output: str, **options: Any) -> int:
    """Predict every picture in SRC (a folder or s3://…, nested as deep as you like); write parts and a summary to OUT.

    What is done is not computed again: stopped anywhere, the same command goes on. Probabilities are scaled by the model's
    temperature where it has one. MODEL is the champion of a schedule, one trained model of a store, or a run of an
    execution (an id, the start of one, or a study's name; lowest seed, or RUN:SEED; folds are averaged).

    \b
    tlbatch predict --model champion:pets photos/ predictions/
    tlbatch predict --model .tlbatch/store#pets/finetuned:0 photos/ predictions/ --format parquet
    tlbatch predict --model champion:pets s3://pets/new s3://pets/said --cluster --shards 8 --gpu 1 --follow
    """
    from tlbatch.profiles import load_profile

    given = {"namespace": options["namespace"], "store": options["store"]}
    profile = load_profile(options["context"], given)
    profile.point_to_endpoint()
    prediction = _prediction(source, out, profile, options)
    if options["on_cluster"] or options["dry_run"]:
        return _on_cluster(prediction, profile, output, options)
    return _here(prediction, output, options)


def _prediction(source: str, out: str, profile: Profile, options: dict[str, Any]) -> Prediction:
    from tlbatch.commands.options import DEFAULT_STORE
    from tlbatch.kinds import speak_of
    from tlbatch.prediction.model import choose_model
    from tlbatch.prediction.pictures import check_apart, list_pictures, place_of
    from tlbatch.prediction.request import Prediction
    from tlbatch.store import open_store

    pictures, target = place_of(source), place_of(out)
    check_apart(pictures, target)
    model = choose_model(options["model"], profile.store or DEFAULT_STORE)
    speak_of(model.prepared.kind)
    return Prediction(
        model=model,
        source=pictures,
        out=open_store(target),
        files=list_pictures(pictures, follow_links=options["follow_links"]),
        format=options["file_format"],
        chunk=options["chunk"],
        batch=options["batch_size"],
        raw=options["raw"],
    )


def _here(prediction: Prediction, output: str, options: dict[str, Any]) -> int:
    from tlbatch.display.progress import Display
    from tlbatch.prediction.local import computed_before, computed_since, predict_here
    from tlbatch.prediction.request import begin, complete, done_parts

    task, store = begin(prediction, options["overwrite"]), prediction.model.store
    display = Display(store, quiet=output == "json")
    done = done_parts(prediction)
    before = computed_before(store, task)
    if complete(prediction, done) is None:
        display.say(_beginning(prediction, len(done)))
        try:
            predict_here(store, task, options["cores"], lambda work: display.tick([work]))
        finally:
            display.close()
    return _show(prediction, output, computed_since(store, task, before))


def _on_cluster(prediction: Prediction, profile: Profile, output: str, options: dict[str, Any]) -> int:
    from tlbatch.cluster import open_cluster
    from tlbatch.cluster.claims import check_claim
    from tlbatch.cluster.submission import user_name
    from tlbatch.prediction.cluster import build_job, check_alone, check_visible, follow, start
    from tlbatch.prediction.local import computed_before, computed_since
    from tlbatch.prediction.request import begin, complete, done_parts

    check_visible(prediction)
    site = profile.model_copy(update={"store": prediction.model.store.url}).site()
    job = build_job(prediction, site, options["shards"], {"gpu": options["gpu"]}, user_name())
    if options["dry_run"]:
        print_object(job, output)
        return 0
    cluster = open_cluster(profile.namespace, profile.kube_context)
    check_alone(cluster, job, overwrite=options["overwrite"])
    check_claim(cluster, site.cache)
    task, store = begin(prediction, options["overwrite"]), prediction.model.store
    before = computed_before(store, task)
    if complete(prediction, done_parts(prediction)) is not None:
        return _show(prediction, output, computed_since(store, task, before))
    name = job["metadata"]["name"]
    fresh = start(cluster, job)
    if options["follow"]:
        click.echo(f"Job {name} {'started' if fresh else 'is at work already'}; Ctrl-C only stops watching", err=True)
        follow(prediction, cluster, name, lambda text: click.echo(text, err=True))
        return _show(prediction, output, computed_since(store, task, before))
    if output == "json":
        print_json({"job": name, "namespace": profile.namespace, "out": prediction.out.url, "parts": len(prediction.parts)})
    else:
        click.echo(name)
        click.echo("the same command with --follow tells how it goes, and shows the summary at the end", err=True)
    return 0


def _beginning(prediction: Prediction, done: int) -> str:
    parts = len(prediction.parts)
    said = f", {done} of them done already" if done else ""
    return f"{prediction.model.name}: {len(prediction.files)} files in {parts} part{'' if parts == 1 else 's'}{said}"


def _show(prediction: Prediction, output: str, computed: dict[str, int]) -> int:
    """Print the summary. Raises DataError where no file could be predicted."""
    from tlbatch.errors import DataError, TransientError
    from tlbatch.prediction.parts import load_summary

    summary = load_summary(prediction.out)
    if summary is None:
        raise TransientError(f"{prediction.out.url}: its summary is gone; the same command writes it again")
    if output == "json":
        print_json({"out": prediction.out.url, "computed": computed, **summary})
    else:
        click.echo("\n".join(_lines(prediction, summary, computed)))
    if not summary["images"]:
        raise DataError(
            f"{prediction.source}: none of its {summary['bad']} files is a usable {nouns.item()}; bad.jsonl says why"
        )
    return 0


def _lines(prediction: Prediction, summary: dict[str, Any], computed: dict[str, int]) -> list[str]:
    from tlbatch.display.text import text_table

    images, counts = summary["images"], summary["counts"]
    rows = [[name, f"{counts[name]:,}", f"{counts[name] / images:.1%}" if images else ""] for name in counts]
    parts = "1 part" if len(summary["parts"]) == 1 else f"{len(summary['parts'])} parts"
    files = "1 file" if summary["bad"] == 1 else f"{summary['bad']} files"
    bad = f"; {files} cannot be used ({prediction.out.url}/bad.jsonl)" if summary["bad"] else ""
    return [
        f"{images:,} {nouns.items()} predicted by {prediction.model.name}{bad}",
        f"probabilities: {summary['probabilities']}",
        "",
        *text_table(["class", nouns.items(), "share"], sorted(rows, key=lambda row: -counts[row[0]]), width=terminal_width()),
        "",
        f"{prediction.out.url}/predictions/: {parts}; {computed['forward_passes']:,} forward passes now",
    ]
