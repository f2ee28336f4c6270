"""The forecast of memory beside what real trainings held."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.requirements import chaos_only
from tests.studies.shapes import Bench, draw_shapes
from tlbatch.backends.local import LocalBackend
from tlbatch.execution.driver import Silent
from tlbatch.execution.launch import run_study
from tlbatch.memory import forecast_mib
from tlbatch.planning.resolve import plan_study
from tlbatch.spec import load_study
from tlbatch.store import open_store
from tlbatch.store.artifacts import load_manifest

STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: held
dataset: {{url: images, split: {{train: 96, validation: 64, test: 16}}, near_duplicates: false}}
control: none
precision: {precision}
runs:
  - name: whole
    model: {{backbone: {backbone}, weights: random}}
    strategy: {{finetune: {{unfreeze: {unfreeze}, batch_norm: train}}}}
    input: {{size: {size}}}
    train: {{steps_per_epoch: 2, {train}}}
"""


@pytest.mark.slow
@chaos_only
@pytest.mark.parametrize(
    ("backbone", "size", "precision", "unfreeze", "train"),
    [
        ("mobilenet_v2", 224, "fp32", "all", "epochs: 1, batch_size: 8"),
        ("mobilenet_v2", 224, "bf16", "all", "epochs: 1, batch_size: 8"),
        ("mobilenet_v2", 96, "fp32", "all", "epochs: 1, batch_size: 32"),
        ("mobilenet_v2", 224, "fp32", "all", "epochs: 1, batch_size: 32, micro_batch_size: 8"),
        ("mobilenet_v2", 224, "fp32", "[stage6, last]", "epochs: 1, batch_size: 32"),
        ("mobilenet_v2", 224, "fp32", "[stage6, last]", "epochs: 5, batch_size: 32"),
        ("squeezenet1_1", 96, "fp32", "all", "epochs: 1, batch_size: 32"),
        ("squeezenet1_1", 224, "fp32", "all", "epochs: 1, batch_size: 64"),
        ("resnet50", 96, "fp32", "all", "epochs: 1, batch_size: 8"),
        ("vgg16", 96, "fp32", "all", "epochs: 1, batch_size: 8"),
    ],
)
def test_a_training_holds_what_was_forecast(
    backbone: str, size: int, precision: str, unfreeze: str, train: str, tmp_path: Path
) -> None:
    """In a process of its own, as a pod has it: one that was forked shares what its libraries take (docs/memory.md)."""
    draw_shapes(tmp_path / "images", 100)
    bench, store = Bench(tmp_path), open_store(str(tmp_path / "store"))
    bench.study.write_text(
        STUDY.format(backbone=backbone, size=size, precision=precision, unfreeze=unfreeze, train=train), encoding="utf-8"
    )
    backend = LocalBackend(store, len(os.sched_getaffinity(0)), warm=False)
    outcome = run_study(load_study(bench.study), store, backend, Silent(), lambda execution: None)
    assert outcome.state == "succeeded"
    resolved, plan = plan_study(load_study(bench.study), store)
    work = next(work for work in outcome.works if work.name == "finetune:whole:0")
    assert work.task is not None
    manifest = load_manifest(store, "finetune", work.task.key)
    assert manifest is not None
    held, forecast = manifest.made["peak_memory_mib"], forecast_mib(plan.nodes["finetune:whole:0"], resolved)
    assert forecast is not None
    assert 0.75 <= forecast / held <= 1.25, (forecast, held)
