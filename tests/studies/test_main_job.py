"""The main job as a whole: nothing twice, only what changed, what was stopped goes on, what is damaged is made anew."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from jobs.data.row_store import open_rows
from tests.studies.shapes import Bench, draw_shapes, states
from tlbatch.cli import main
from tlbatch.execution.launch import Outcome
from tlbatch.records.states import CACHED, DONE
from tlbatch.store import open_store
from tlbatch.store.artifacts import Manifest, file_sha256, load_manifest, open_artifact
from tlbatch.store.directory import DirectoryStore


def page(outcome: Outcome) -> bytes:
    assert outcome.place is not None
    return Path(outcome.place).read_bytes()


def made(bench: Bench, outcome: Outcome, name: str) -> dict[str, object]:
    """``made`` of a task's manifest."""
    ref = next(work.ref for work in outcome.works if work.name == name)
    assert ref is not None
    manifest = load_manifest(open_store(str(bench.store)), ref.step, ref.key)
    assert manifest is not None
    return manifest.made


def test_the_first_run_computes_everything_and_reports(first_run: tuple[Bench, Outcome]) -> None:
    _, outcome = first_run
    assert states(outcome, DONE) == {work.name for work in outcome.works}
    assert outcome.report is not None
    assert outcome.report["first_sentence"]
    assert b"<html" in page(outcome)[:500]


def test_again_nothing_runs_and_the_report_is_the_same(bench: Bench, first_run: tuple[Bench, Outcome]) -> None:
    bench.study.write_text(bench.study.read_text().replace("url: images", f"url: {first_run[0].images}"))
    outcome = bench.run()
    assert states(outcome, CACHED) == {work.name for work in outcome.works}
    assert page(outcome) == page(first_run[1])


def test_one_learning_rate_changes_one_run(bench: Bench, first_run: tuple[Bench, Outcome]) -> None:
    overrides = [f"dataset.url={first_run[0].images}", "runs[cnn].train.lr=1e-3"]
    outcome = bench.run(*overrides)
    assert states(outcome, DONE) == {"finetune:cnn:0", "evaluate:cnn", "report"}


def test_touched_files_cost_only_prepare(bench: Bench) -> None:
    for path in bench.images.rglob("*.png"):
        os.utime(path)
    outcome = bench.run()
    assert states(outcome, DONE) == {"prepare"}


def test_ten_new_images_cost_ten_forward_passes(bench: Bench) -> None:
    draw_shapes(bench.images, 5, first=900)
    outcome = bench.run("dataset.split.train=42")
    assert made(bench, outcome, "extract:features")["forward_passes"] == 10


def test_of_ten_new_images_those_that_a_part_takes_cost_forward_passes(bench: Bench) -> None:
    """The split asks for as many as before: new ones take the places of others, and none is computed that has no place."""
    before = used_ids(bench, bench.run())
    draw_shapes(bench.images, 5, first=900)
    outcome = bench.run()
    after = used_ids(bench, outcome)
    assert len(after) == len(before) == 80
    assert made(bench, outcome, "extract:features")["forward_passes"] == len(after - before) < 10


def used_ids(bench: Bench, outcome: Outcome) -> set[str]:
    """Ids of the images that have features."""
    ref = next(work.ref for work in outcome.works if work.name == "extract:features")
    assert ref is not None
    artifact = open_artifact(open_store(str(bench.store)), ref.step, ref.key, bench.folder / "used")
    assert artifact is not None
    return {each for name in artifact.names("features/") for each in open_rows(artifact.path(name)).ids}


@pytest.mark.s3
def test_the_same_pictures_in_s3_and_a_store_in_s3(bench: Bench, s3_bucket: str) -> None:
    """Dataset in S3, store in a directory: all but prepare is cached. Store in S3: the same keys and metrics."""
    source = open_store(f"s3://{s3_bucket}/shapes")
    for path in sorted(bench.images.rglob("*.png")):
        source.upload(path, path.relative_to(bench.images).as_posix())
    outcome = bench.run(f"dataset.url={source.url}")
    assert states(outcome, DONE) == {"prepare"}
    remote = bench.run(f"dataset.url={source.url}", store=f"s3://{s3_bucket}/store")
    assert remote.state == "succeeded"
    local = {work.name: work.ref for work in outcome.works if work.name != "report"}  # the report tells how long it all took
    assert {work.name: work.ref for work in remote.works if work.name != "report"} == local  # keys, digests: every file


def test_two_runs_at_once_compute_each_task_once(fresh: Bench) -> None:
    command = [sys.executable, "-m", "tlbatch", "run", str(fresh.study), "--store", str(fresh.store), "-o", "json"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(2)]
    documents = [json.loads(process.communicate(timeout=300)[0]) for process in both]
    assert [document["state"] for document in documents] == ["succeeded", "succeeded"]
    for name in documents[0]["tasks"]:
        assert sorted(document["tasks"][name]["state"] for document in documents) in (["cached", "done"], ["cached", "cached"])
    store = open_store(str(fresh.store))
    attempts = {stat.name.split("/")[2:4][0] for stat in store.list("artifacts/") if stat.name.endswith("manifest.json")}
    assert len(attempts) == len(documents[0]["tasks"])


def test_ctrl_c_stops_and_the_second_run_goes_on(fresh: Bench, first_run: tuple[Bench, Outcome]) -> None:
    command = [sys.executable, "-m", "tlbatch", "run", str(fresh.study), "--store", str(fresh.store)]
    overrides = ["--set", "runs[cnn].train.epochs=2000"]
    process = subprocess.Popen([*command, *overrides], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    store = open_store(str(fresh.store))
    while time.monotonic() < deadline and not list(store.list("artifacts/prepare/")):
        time.sleep(0.1)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=90)
    assert process.returncode == 143, errors
    assert b"Traceback" not in errors
    leases = [json.loads(store.get(stat.name)) for stat in store.list("work/") if stat.name.endswith("lease.json")]
    assert all(lease["expires"] == 0.0 for lease in leases)  # given up: nobody has to wait for them
    outcome = fresh.run()
    assert outcome.state == "succeeded"
    assert "prepare" in states(outcome, CACHED)


def test_a_damaged_artifact_is_made_once_more_and_the_report_says_so(bench: Bench, first_run: tuple[Bench, Outcome]) -> None:
    outcome = first_run[1]
    ref = next(work.ref for work in outcome.works if work.name == "extract:features")
    assert ref is not None
    store = open_store(str(bench.store))
    victim = next(stat.name for stat in store.list(f"artifacts/extract/{ref.key}/") if stat.name.endswith(".safetensors"))
    data = bytearray(store.get(victim))
    data[-1] ^= 1
    store.put(victim, bytes(data))
    again = bench.run(f"dataset.url={first_run[0].images}", "runs[dense-head].train.lr=2e-3")
    assert again.state == "succeeded"
    assert {"extract:features", "finetune:dense-head:0"} <= states(again, DONE)
    assert again.report is not None
    assert "set aside" in json.dumps(again.report)


def manifest_of(outcome: Outcome, store: Path, name: str) -> Manifest:
    ref = next(work.ref for work in outcome.works if work.name == name)
    assert ref is not None
    manifest = load_manifest(open_store(str(store)), ref.step, ref.key)
    assert manifest is not None
    return manifest


def flip_a_bit(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(bytes(data))


@pytest.mark.promise(9)
def test_one_bit_of_a_stored_jpeg_is_noticed_and_remade(fresh: Bench) -> None:
    """Shards are read by ranges. Failed before: exit 0, trained on another picture, one key with two digests. Fails when ranges
    are read from a file that was not compared.
    """
    for path in sorted(fresh.images.rglob("*.png")):
        with Image.open(path) as image:
            image.convert("RGB").save(path.with_suffix(".jpg"), quality=95)
        path.unlink()
    fresh.study.write_text(fresh.study.read_text().split("  - name: features")[0])
    first = fresh.run()
    assert first.state == "succeeded"
    prepare = manifest_of(first, fresh.store, "prepare")
    store = DirectoryStore(fresh.store)
    index = [json.loads(line) for line in store.get(prepare.files["index.jsonl"].path).splitlines()]
    training = next(entry for entry in index if entry["format"] == "jpg")
    shard = fresh.store / prepare.files[training["shard"]].path
    flip_a_bit(shard, training["offset"] + training["size"] * 3 // 4)  # it still decodes, to other pixels
    trained = manifest_of(first, fresh.store, "finetune:cnn:0")
    store.delete([stat.name for stat in store.list(f"artifacts/finetune/{trained.key}/")])
    again = fresh.run()
    assert again.state == "succeeded"
    assert {"prepare", "finetune:cnn:0"} <= states(again, DONE)
    assert manifest_of(again, fresh.store, "prepare").digest == prepare.digest
    assert manifest_of(again, fresh.store, "finetune:cnn:0").digest == trained.digest


DAMAGES = [(file, damage) for file in ("index.html", "report.json") for damage in ("flipped", "empty", "gone")]
FAST = {("index.html", "flipped"), ("report.json", "gone")}


@pytest.mark.parametrize(
    ("file", "damage"), [each if each in FAST else pytest.param(*each, marks=pytest.mark.slow) for each in DAMAGES]
)
def test_a_damaged_report_artifact_is_made_again_once(
    bench: Bench, first_run: tuple[Bench, Outcome], file: str, damage: str
) -> None:
    """Failed before: the damaged page was published again and again, or exit 1."""
    overrides = f"dataset.url={first_run[0].images}"
    whole = bench.run(overrides)
    report = manifest_of(whole, bench.store, "report")
    path = bench.store / report.files[file].path
    if damage == "flipped":
        flip_a_bit(path, path.stat().st_size // 2)
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()
    again = bench.run(overrides)
    assert again.state == "succeeded"
    assert states(again, DONE) == {"report"}
    made = manifest_of(again, bench.store, "report")
    assert again.place is not None
    for name, entry in made.files.items():
        published = Path(again.place).parent / name
        assert file_sha256(published) == entry.sha256, name
    assert states(bench.run(overrides), DONE) == set()


def test_what_pull_advises_of_a_damaged_report_helps(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """Its own commands, typed (for a firing, too, which the same study again does not repeat). Failed before: still damaged."""
    (execution,) = (path.name for path in (bench.store / "executions").iterdir())
    for page in bench.store.rglob("index.html"):
        flip_a_bit(page, page.stat().st_size // 2)

    def tlbatch(*arguments: str) -> int:
        with pytest.raises(SystemExit) as end:
            main(list(arguments))
        return int(end.value.code or 0)

    pull = ("report", "pull", execution, str(bench.folder / "pulled"), "--store", str(bench.store))
    assert tlbatch(*pull) == 65
    commands = [shlex.split(text)[1:] for text in re.findall(r"`(tlbatch [^`]+)`", capsys.readouterr().err)]
    assert [command[0] for command in commands] == ["fsck", "run"]
    for command in commands:
        tlbatch(*command)
    capsys.readouterr()
    assert tlbatch(*pull) == 0
    assert tlbatch("report", "open", execution, "--print", "--store", str(bench.store)) == 0


def test_a_failed_task_is_a_sentence_and_its_exit_code_that_of_the_run(fresh: Bench) -> None:
    for path in (fresh.images / "disc").iterdir():
        path.write_bytes(b"no picture")
    command = [sys.executable, "-m", "tlbatch", "run", str(fresh.study), "--store", str(fresh.store)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 65
    assert "Traceback" not in result.stdout + result.stderr
    assert "prepare" in result.stdout


def test_a_task_over_its_deadline_ends_with_124(bench: Bench) -> None:
    outcome = bench.run("runs[cnn].train.epochs=100000", "runs[cnn].resources.deadline=3s")
    assert (outcome.state, outcome.exit_code) == ("failed", 124)
    failed = next(work for work in outcome.works if work.state == "failed")
    assert "resources.deadline" in failed.sentence


def test_a_study_without_validation_images_says_so(bench: Bench) -> None:
    text = bench.study.read_text().replace("validation: 16", "validation: 0")
    bench.study.write_text(text.replace("batch_size: 8", "batch_size: 8, select: last"))
    outcome = bench.run()
    assert outcome.state == "succeeded"
    assert outcome.report is not None
    assert "none was validated" in outcome.report["first_sentence"]
