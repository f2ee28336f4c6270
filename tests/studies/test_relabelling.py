"""Wrong labels found, corrected by people and learned from: a whole study twice."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.studies.shapes import STUDY, Bench, draw_shapes, states
from tlbatch.cli import main
from tlbatch.execution.launch import Outcome
from tlbatch.store import open_store
from tlbatch.store.artifacts import Manifest, load_manifest

FLIPPED = ("disc/001.png", "disc/005.png", "square/004.png", "square/007.png")


@pytest.fixture(scope="module")
def flipped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, Outcome]:
    """A study some of whose pictures lie in the other class's folder."""
    bench = Bench(tmp_path_factory.mktemp("flipped"))
    draw_shapes(bench.images, 48)
    for path in FLIPPED:
        label, _, name = path.partition("/")
        other = {"disc": "square", "square": "disc"}[label]
        (bench.images / path).rename(bench.images / other / f"from-{label}-{name}")
    bench.study.write_text(STUDY)
    return bench, bench.run()


def index_labels(bench: Bench, outcome: Outcome) -> dict[str, str]:
    """Path to label in the prepared dataset."""
    lines = open_store(str(bench.store)).get(manifest_of(bench, outcome, "prepare").files["index.jsonl"].path).decode()
    return {entry["path"]: entry["label"] for entry in map(json.loads, lines.splitlines())}


def manifest_of(bench: Bench, outcome: Outcome, name: str) -> Manifest:
    work = next(work for work in outcome.works if work.name == name)
    assert work.ref is not None
    manifest = load_manifest(open_store(str(bench.store)), work.ref.step, work.ref.key)
    assert manifest is not None
    return manifest


def relabel(bench: Bench, path: Path) -> None:
    with pytest.raises(SystemExit) as end:
        main(["data", "relabel", str(bench.study), str(path), "--store", str(bench.store)])
    assert not end.value.code


def test_suspects_are_edited_handed_back_and_learned_from(
    flipped: tuple[Bench, Outcome], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench, first = flipped
    assert first.state == "succeeded"
    moved = {f"{'square' if path.startswith('disc') else 'disc'}/from-{path.replace('/', '-')}" for path in FLIPPED}
    report = bench.store / "executions" / first.execution.id / "report"
    with (report / "suspects.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = [row for row in rows if row["path"] in moved]
    assert found  # random weights see some of them
    for row in found:
        row["label"] = row["predicted"]
    edited = tmp_path / "suspects.csv"
    with edited.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    relabel(bench, edited)
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["check", str(bench.study), "--store", str(bench.store)])
    assert f"by hand (tlbatch data relabel): labels corrected: {len(found)}, images left out: 0" in capsys.readouterr().out
    second = bench.run()
    before, after = index_labels(bench, first), index_labels(bench, second)
    assert {path for path in before if after.get(path) != before[path]} == {row["path"] for row in found}
    assert {path: after[path] for path in after} == {**before, **{row["path"]: row["predicted"] for row in found}}
    assert {"prepare", "finetune:cnn:0", "evaluate:cnn", "report"} <= states(second, "done")
    assert manifest_of(bench, second, "extract:features").made["forward_passes"] == 0  # the pictures are the same
    assert second.report is not None
    assert second.report["data"]["corrections"] == {"corrected": len(found), "left_out": 0}
    page = (bench.store / "executions" / second.execution.id / "report" / "index.html").read_text()
    assert f"By hand (tlbatch data relabel): {len(found)} label" in page
