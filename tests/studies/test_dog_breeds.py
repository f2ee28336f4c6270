"""The second published study, whole, on stand-ins: a CSV of 120 breeds, photographs of all sizes, Inception V3 with its second
classifier at 299 pixels, augmentation, a report of 120 classes. Its pictures are noise, so what it measures is chance."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import torch
import torchvision
from safetensors.torch import save_file

from tests.noise import noise
from tests.requirements import chaos_only
from tests.studies.kept import KeptBackend
from tests.studies.test_digits import SPECS
from tlbatch.execution.driver import Silent
from tlbatch.execution.launch import run_study
from tlbatch.spec import load_study
from tlbatch.store import open_store

BREEDS, EACH = 120, 5
RUNS = ("inception-published", "inception-own-input", "inception-features")


def draw_breeds(folder: Path) -> None:
    """``labels.csv`` (id, breed) beside <id>.jpg, as the competition's archive has them."""
    chance = random.Random(0)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(("id", "breed"))
        for number in range(BREEDS * EACH):
            id_ = f"{chance.getrandbits(128):032x}"
            lines.writerow((id_, f"breed_{number % BREEDS:03}"))
            size = (chance.randrange(100, 700), chance.randrange(100, 700))
            noise(id_, (size[0] // 8, size[1] // 8), 60).resize(size).convert("RGB").save(folder / f"{id_}.jpg", quality=80)


@chaos_only
def test_every_step_of_it(tmp_path: Path) -> None:
    """Breaks when the second classifier of published weights is in the way, or any step or the report with 120 classes."""
    (tmp_path / "breeds").mkdir()
    draw_breeds(tmp_path / "breeds")
    torch.manual_seed(0)
    published = torchvision.models.inception_v3(init_weights=False, aux_logits=True)
    save_file(published.state_dict(), tmp_path / "inception.safetensors")
    overrides = [f"dataset.url={tmp_path / 'breeds'}", "dataset.near_duplicates=false", "precision=fp32", "control=none"]
    overrides += [f"runs[{run}].model.weights={tmp_path / 'inception.safetensors'}" for run in RUNS]
    overrides += [f"runs[{run}].train.epochs=1" for run in RUNS[:2]]
    loaded, store = load_study(SPECS / "dog-breeds.yaml", overrides), open_store(str(tmp_path / "store"))
    outcome = run_study(loaded, store, KeptBackend(store, 2), Silent(), lambda execution: None)
    assert outcome.state == "succeeded", [work.sentence for work in outcome.works if work.state == "failed"]
    document = outcome.report
    assert document is not None
    assert [run["name"] for run in document["runs"]] == list(RUNS)
    assert len(document["data"]["classes"]) == BREEDS
    for run in document["runs"]:
        accuracy = run["metrics"]["accuracy"]
        assert accuracy["low"] <= 1 / BREEDS, run["name"]
    [page] = [path.read_text() for path in (tmp_path / "store/executions").glob("*/report/index.html")]
    assert page.count("breed_") > BREEDS
