"""Two executions of real runs whose data differ by known files: exactly those are named, from the command line."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.noise import noise
from tests.studies.shapes import Bench, draw_shapes
from tlbatch.cli import main
from tlbatch.commands.comparison import SIGNS, as_text
from tlbatch.execution.launch import Outcome
from tlbatch.output import width_of
from tlbatch.store import open_store

ADDED = {f"{label}/{number}.png" for label in ("disc", "square") for number in (900, 901, 902)}


@pytest.fixture(scope="module")
def changed(first_run: tuple[Bench, Outcome], tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, str, str]:
    """A copy of the first run, its images changed, run again with another learning rate: (bench, first id, second id)."""
    bench = Bench(tmp_path_factory.mktemp("changed") / "copy")
    shutil.copytree(first_run[0].folder, bench.folder)
    draw_shapes(bench.images, 3, first=900)
    (bench.images / "disc/001.png").unlink()
    (bench.images / "disc/002.png").rename(bench.images / "square/was-a-disc.png")
    (bench.images / "square/003.png").rename(bench.images / "square/renamed.png")
    (bench.images / "square/004.png").write_bytes(b"no picture")
    noise("not a square", (40, 40), 90).convert("RGB").save(bench.images / "square/005.png")
    outcome = bench.run("runs[cnn].train.lr=1e-3")
    assert outcome.state == "succeeded"
    return bench, first_run[1].execution.id, outcome.execution.id


def tlbatch(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return int(end.value.code or 0)


@pytest.fixture(scope="module")
def document(changed: tuple[Bench, str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    bench, first, second = changed
    file = tmp_path_factory.mktemp("compared") / "both.json"
    assert tlbatch("report", "compare", first, second, "--store", str(bench.store), "-o", "json", "-f", str(file)) == 0
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_exactly_the_images_that_changed_are_named(document: dict[str, Any]) -> None:
    images = document["changes"][0]["images"]
    assert {image["path"] for image in images["added"]} == ADDED
    assert {image["path"] for image in images["removed"]} == {"disc/001.png", "square/004.png"}
    assert [(i["before"]["path"], i["before"]["label"], i["path"], i["after"]["label"]) for i in images["relabelled"]] == [
        ("disc/002.png", "disc", "square/was-a-disc.png", "square")
    ]
    assert [(i["before"]["path"], i["path"]) for i in images["moved"]] == [("square/003.png", "square/renamed.png")]
    assert [image["path"] for image in images["replaced"]] == ["square/005.png"]
    assert next(i for i in images["removed"] if i["path"] == "square/004.png")["why"].startswith("not an image")


def test_exactly_the_field_that_changed_is_named(document: dict[str, Any]) -> None:
    fields = [field for field in document["changes"][0]["study"] if not field["neutral"]]
    assert [(field["path"], field["before"], field["after"]) for field in fields] == [("runs[cnn].train.lr", "0.003", "0.001")]


def test_metrics_are_those_of_the_reports(changed: tuple[Bench, str, str], document: dict[str, Any]) -> None:
    bench, *ids = changed
    for side, execution in zip(document["executions"], ids, strict=True):
        report = json.loads((bench.store / "executions" / execution / "report" / "report.json").read_text())
        assert {run["name"]: run["metrics"] for run in side["runs"]} == {run["name"]: run["metrics"] for run in report["runs"]}


def test_paired_tests_are_over_the_images_in_both(document: dict[str, Any]) -> None:
    assert {pair["a"] for pair in document["pairs"]} == {"cnn (B)", "features (B)", "dense-head (B)"}
    for pair in document["pairs"]:
        assert pair["accuracy"]["images"] == pair["common_images"] < 32
        assert not pair["same_test_images"]
        assert pair["accuracy"]["value"] == pytest.approx(pair["right_a"] - pair["right_b"])
    assert any("not the same" in sentence for sentence in document["sentences"])


def test_every_format_names_them(changed: tuple[Bench, str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    bench, first, second = changed
    command = ("report", "compare", first, second, "--store", str(bench.store))
    for output in ("text", "md"):
        assert tlbatch(*command, "-o", output) == 0
        text = capsys.readouterr().out
        for name in (*ADDED, "disc/001.png", "square/was-a-disc.png", "square/renamed.png", "runs[cnn].train.lr"):
            assert name in text, (output, name)
    assert tlbatch(*command, "-o", "csv", "--table", "images") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["path_after"] for row in rows if row["change"] == "added"} == ADDED
    assert tlbatch(*command, "-o", "html", "-f", str(tmp_path / "both.html")) == 0
    page = (tmp_path / "both.html").read_text()
    assert all(name.partition("/")[2] in page for name in ADDED)


@pytest.mark.parametrize("columns", [60, 80, 132])
def test_no_table_is_wider_than_the_terminal(document: dict[str, Any], columns: int) -> None:
    """Failed before: the tables of three runs took 113 columns."""
    images = tuple(f"{sign} " for sign in SIGNS.values())
    sentences = [*document["sentences"], *(pair["sentence"] for pair in document["pairs"])]
    shown = as_text(document, columns).splitlines()
    lines = [line for line in shown if line not in sentences and not line.startswith(images)]
    assert max(map(width_of, lines)) <= columns
    whole = "".join("".join(lines).split())
    assert all("".join(run["name"].split()) in whole for side in document["executions"] for run in side["runs"])


def test_executions_of_different_stores_by_their_places(
    changed: tuple[Bench, str, str], first_run: tuple[Bench, Outcome], capsys: pytest.CaptureFixture[str]
) -> None:
    bench, _, second = changed
    there = f"{first_run[0].store}/executions/{first_run[1].execution.id}"
    assert tlbatch("report", "compare", there, second, "--store", str(bench.store), "-o", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [side["store"] for side in document["executions"]] == [str(first_run[0].store), str(bench.store)]
    assert {image["path"] for image in document["changes"][0]["images"]["added"]} == ADDED


def test_an_execution_against_itself_differs_in_nothing(
    first_run: tuple[Bench, Outcome], capsys: pytest.CaptureFixture[str]
) -> None:
    identity = first_run[1].execution.id
    assert tlbatch("report", "compare", identity, identity, "--store", str(first_run[0].store), "-o", "json") == 0
    document = json.loads(capsys.readouterr().out)
    change = document["changes"][0]
    assert (change["study"], change["same_data"], change["parts"], change["versions"]) == ([], True, [], {})
    assert not any(change["images"].values())
    assert all(pair["same_evaluation"] and pair["verdict"] is None for pair in document["pairs"])


@pytest.mark.s3
def test_a_store_in_s3_against_one_in_a_folder(
    first_run: tuple[Bench, Outcome], s3_bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bench, outcome = first_run
    remote = open_store(f"s3://{s3_bucket}/copied")
    for path in bench.store.rglob("*"):
        name = path.relative_to(bench.store).as_posix()
        if path.is_file() and not name.startswith((".tlbatch/", "work/")):
            remote.upload(path, name)
    there = f"{remote.url}/executions/{outcome.execution.id}"
    assert tlbatch("report", "compare", outcome.execution.id, there, "--store", str(bench.store), "-o", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [side["store"] for side in document["executions"]] == [str(bench.store), remote.url]
    assert document["changes"][0]["same_data"]
    assert [run["metrics"] for run in document["executions"][0]["runs"]] == [
        run["metrics"] for run in document["executions"][1]["runs"]
    ]


def test_one_execution_is_not_enough(first_run: tuple[Bench, Outcome], capsys: pytest.CaptureFixture[str]) -> None:
    assert tlbatch("report", "compare", "shapes", "--store", str(first_run[0].store)) == 2
    assert "two executions or more" in capsys.readouterr().err
