"""Controls as a user meets them: planned by themselves, trained as well as they can be, shown beside the runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import save_file

from jobs.models.library import find
from jobs.training.search import FINALISTS
from tests.studies.shapes import Bench, draw_shapes, states
from tlbatch.planning.controls import HEAD_RATES
from tlbatch.store import open_store
from tlbatch.store.artifacts import Artifact, open_artifact

STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: held-against
dataset: {url: images, split: {train: 32, validation: 16, test: 32}, near_duplicates: false}
precision: fp32
runs:
  - name: tuned
    model: {backbone: squeezenet1_1, weights: weights.safetensors}
    strategy: {finetune: {unfreeze: none}}
    input: {size: 32}
    train: {epochs: 1, batch_size: 8, optimizer: rmsprop, lr: 1e-6}
"""


@pytest.mark.slow
def test_controls_are_planned_trained_and_shown(tmp_path: Path) -> None:
    draw_shapes(tmp_path / "images", 40)
    (tmp_path / "study.yaml").write_text(STUDY)
    state = find("squeezenet1_1").create_seeded(1).state_dict()
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, tmp_path / "weights.safetensors")
    bench = Bench(tmp_path)
    outcome = bench.run()
    assert outcome.state == "succeeded", [(work.name, work.sentence) for work in outcome.works]
    store = open_store(str(bench.store))

    def artifact(name: str) -> Artifact:
        work = next(work for work in outcome.works if work.name == name)
        assert work.task is not None
        found = open_artifact(store, work.task.step, work.task.key, tmp_path / "cache")
        assert found is not None
        return found

    history = artifact("finetune:tuned-random:0").read_json("history.json")
    assert history["lr"]["chosen"] in HEAD_RATES  # not the run's own 1e-6
    assert len(history["lr"]["tried"]) == len(HEAD_RATES) + FINALISTS
    assert len(history["epochs"]) > 10  # on until validation stopped improving
    report = artifact("report").read_json("report.json")
    assert {run["name"] for run in report["runs"]} == {"tuned", "tuned-random", "colour-and-hog"}
    control = next(contrast for contrast in report["contrasts"] if "control" in contrast["kinds"])
    assert control["b"] in ("tuned-random", "colour-and-hog")
    assert len(report["contrasts"]) == 1  # however many controls there are, one comparison
    assert "colour-and-hog" in json.dumps(report["table"])
    assert states(bench.run(), "cached") == {work.name for work in outcome.works}
