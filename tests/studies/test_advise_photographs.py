"""Real photographs and real weights: accuracy by depth as it was measured elsewhere, and what following the advice costs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests.requirements import chaos_only
from tests.studies.kept import KeptBackend
from tlbatch.advice.outcomes import Checked, advices_of, check_advice
from tlbatch.advice.reading import load_advice
from tlbatch.advice.studies import advice_study
from tlbatch.execution.driver import Silent
from tlbatch.execution.launch import Outcome, run_study
from tlbatch.spec import LoadedStudy
from tlbatch.spec.load import parse_study
from tlbatch.store import open_store
from tlbatch.store.artifacts import Manifest, load_manifest

pytestmark = [pytest.mark.slow, pytest.mark.shared]
SharedData = Callable[[str], Path]
WEIGHTS = {
    "squeezenet1_1": "weights/squeezenet1_1_features_torchvision_norm.safetensors",
    "mobilenet_v2": "weights/mobilenet_v2_torchvision_norm.safetensors",
}
LITES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
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
        f"  - {{name: {name_of(each)}, model: {{backbone: {each['backbone']}, "
        f"weights: {each.get('weights', 'default')}, head: {{logistic: {{}}}}}}}}"
        for each in candidates
    ]
    return parse_study(STUDY.format(images="images", split=split, runs="\n".join(lines)), folder=folder)


def name_of(candidate: dict[str, Any]) -> str:
    return candidate["backbone"].replace("_", "-") + ("-random" if candidate.get("weights") == "random" else "")


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


def parted(data: Path, target: Path, counts: dict[str, int]) -> None:
    """``counts``: photographs of each class in each part."""
    for folder in sorted(path for path in data.iterdir() if path.is_dir()):
        paths = iter(sorted(folder.iterdir()))
        for part, count in counts.items():
            (target / part / folder.name).mkdir(parents=True)
            for path in islice(paths, count):
                shutil.copy(path, target / part / folder.name)


def relabelled(test: Path) -> None:
    """Every test photograph gets the label of the next class."""
    names = sorted(path.name for path in test.iterdir())
    for name in names:
        (test / name).rename(test / f"_{name}")
    for name, following in zip(names, [*names[1:], names[0]], strict=True):
        (test / f"_{name}").rename(test / following)


def made(outcome: Outcome, prefix: str) -> dict[str, Manifest]:
    found = {}
    for work in outcome.works:
        if work.name.startswith(prefix) and work.ref is not None:
            manifest = load_manifest(outcome.execution.store, work.ref.step, work.ref.key)
            assert manifest is not None
            found[work.name] = manifest
    return found


def passes(outcome: Outcome) -> set[int]:
    return {each.made["forward_passes"] for each in made(outcome, "probe:").values()}


def followed(folder: Path, candidates: list[dict[str, Any]], read: int) -> Checked:
    """Advice, once more with other test labels, then the study with every candidate; and what `advise --check` says of it.

    ``read``: training and validation photographs, each of which every network sees once.
    """
    loaded = study(folder, "folders: {train: train, validation: validation, test: test}", candidates)
    asked = advice_study(loaded, candidates, {}, "last")
    advice = run(asked, folder)
    assert passes(advice) == {read}
    relabelled(folder / "images/test")
    again = run(asked, folder)
    assert passes(again) == {0}
    assert made(again, "advise")["advise"] == made(advice, "advise")["advise"]
    for _ in range(len(list((folder / "images/test").iterdir())) - 1):  # once around, they have their own again
        relabelled(folder / "images/test")
    run(loaded, folder)
    history = {each.execution: each for each in map(check_advice, advices_of(advice.execution.store, "pets"))}
    checked, other = history[advice.execution.id], history[again.execution.id]
    assert (other.advised, other.regret) == (checked.advised, None)  # with other labels of test images nothing has run
    assert len(checked.outcomes) == len(candidates)
    return checked


def candidates_with(shared_data: SharedData, *packaged: str) -> list[dict[str, Any]]:
    files = [{"backbone": name, "weights": str(shared_data(place))} for name, place in WEIGHTS.items()]
    return [*files, *({"backbone": name} for name in packaged), {"backbone": "mobilenet_v2", "weights": "random"}]


def test_advice_on_few_photographs(shared_data: SharedData, tmp_path: Path) -> None:
    """16 photographs a class: what is advised is at most 3 of 48 test photographs below the best, and no random network."""
    parted(shared_data("data/dogs-vs-cats"), tmp_path / "images", {"train": 12, "validation": 4, "test": 24})
    checked = followed(tmp_path, candidates_with(shared_data, "efficientnet_lite0"), read=32)
    assert checked.advised in {"squeezenet1-1", "mobilenet-v2-1", "efficientnet-lite0"}
    assert checked.regret is not None
    assert checked.regret <= 3 / 48


@chaos_only
@pytest.mark.parametrize(
    ("data", "counts"),
    [
        ("data/dogs-vs-cats", {"train": 160, "validation": 40, "test": 300}),
        ("data/dog-breeds", {"train": 32, "validation": 8, "test": 60}),
    ],
)
def test_following_the_advice_costs_a_point_at_most(
    shared_data: SharedData, tmp_path: Path, data: str, counts: dict[str, int]
) -> None:
    """Every candidate is then trained the same way; the best of them on test is at most a point better. Many minutes."""
    parted(shared_data(data), tmp_path / "images", counts)
    classes = len(list((tmp_path / "images/test").iterdir()))
    checked = followed(tmp_path, candidates_with(shared_data, *LITES), read=classes * (counts["train"] + counts["validation"]))
    assert checked.regret is not None
    assert checked.regret <= 0.01
