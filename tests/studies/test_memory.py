"""The forecast of memory beside what real trainings held."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.requirements import chaos_only
from tests.studies.shapes import Bench, draw_shapes
from tlbatch.memory import forecast_mib
from tlbatch.planning.resolve import plan_study
from tlbatch.spec import load_study
from tlbatch.store import open_store
from tlbatch.store.artifacts import load_manifest

STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: held
dataset: {{url: images, split: {{train: 32, validation: 16, test: 16}}, near_duplicates: false}}
control: none
precision: fp32
runs:
  - name: whole
    model: {{backbone: {backbone}, weights: random}}
    strategy: {{finetune: {{unfreeze: all, batch_norm: train}}}}
    input: {{size: {size}}}
    train: {{epochs: 1, steps_per_epoch: 2, {train}}}
"""


@pytest.mark.slow
@chaos_only
@pytest.mark.parametrize(
    ("backbone", "size", "train"),
    [
        ("mobilenet_v2", 96, "batch_size: 32"),
        ("squeezenet1_1", 96, "batch_size: 32"),
        ("mobilenet_v2", 224, "batch_size: 32, micro_batch_size: 8"),
    ],
)
def test_a_training_holds_what_was_forecast(backbone: str, size: int, train: str, tmp_path: Path) -> None:
    draw_shapes(tmp_path / "images", 32)
    bench = Bench(tmp_path)
    bench.study.write_text(STUDY.format(backbone=backbone, size=size, train=train))
    outcome = bench.run()
    assert outcome.state == "succeeded"
    store = open_store(str(bench.store))
    resolved, plan = plan_study(load_study(bench.study), store)
    work = next(work for work in outcome.works if work.name == "finetune:whole:0")
    assert work.task is not None
    manifest = load_manifest(store, "finetune", work.task.key)
    assert manifest is not None
    held, forecast = manifest.made["peak_memory_mib"], forecast_mib(plan.nodes["finetune:whole:0"], resolved)
    assert forecast is not None
    assert 0.75 <= forecast / held <= 1.25, (forecast, held)
