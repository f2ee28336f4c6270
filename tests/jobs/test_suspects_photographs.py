"""Wrong labels among real photographs, found by a study from the folder to ``suspects.json``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.requirements import chaos_only
from tests.studies.kept import KeptBackend
from tlbatch.execution.driver import Silent
from tlbatch.execution.launch import run_study
from tlbatch.spec import load_study
from tlbatch.store import open_store
from tlbatch.store.artifacts import open_artifact

STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: wrong-labels
dataset:
  url: images
  split: {train: 1400, validation: 200, test: 400}
control: none
runs:
  - name: features
    model: {backbone: mobilenet_v2, weights: WEIGHTS, head: {logistic: {}}}
    strategy: features
"""
WRONG, LOOKED_AT = 50, 75


def _flipped_copy(source: Path, target: Path, per_class: int, seed: int) -> set[str]:
    """Photographs, ``per_class`` a class, in class folders; paths of the WRONG ones that lie in another class's folder."""
    chance = np.random.default_rng(seed)
    classes = sorted(path.name for path in source.iterdir() if path.is_dir())
    chosen = [(name, path) for name in classes for path in _some(source / name, per_class, chance)]
    wrong = set(chance.choice(len(chosen), WRONG, replace=False).tolist())
    flipped = set()
    for number, (label, path) in enumerate(chosen):
        others = [name for name in classes if name != label]
        folder = str(chance.choice(others)) if number in wrong else label
        place = target / folder / f"{label}-{path.name}"  # the step knows no names, only pixels
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
        if number in wrong:
            flipped.add(place.relative_to(target).as_posix())
    return flipped


def _some(folder: Path, count: int, chance: np.random.Generator) -> list[Path]:
    files = sorted(folder.iterdir())
    return [files[i] for i in np.sort(chance.permutation(len(files))[:count])]


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize(
    ("data", "per_class"), [pytest.param("data/dogs-vs-cats", 1000, marks=chaos_only), ("data/dog-breeds", 200)]
)
def test_fifty_of_two_thousand(data: str, per_class: int, shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    """At least 45 of 50 wrong labels among the first 75 suspects, for two classes and for ten breeds alike."""
    flipped = _flipped_copy(shared_data(data), tmp_path / "images", per_class, seed=7)
    weights = shared_data("weights/mobilenet_v2_torchvision_norm.safetensors")
    (tmp_path / "study.yaml").write_text(STUDY.replace("WEIGHTS", str(weights)))
    store = open_store(str(tmp_path / "store"))
    backend = KeptBackend(store, len(os.sched_getaffinity(0)))
    outcome = run_study(load_study(tmp_path / "study.yaml", ()), store, backend, Silent(), lambda execution: None)
    assert outcome.state == "succeeded", [work.sentence for work in outcome.works if work.state == "failed"]
    ref = next(work.ref for work in outcome.works if work.name == "suspects")
    assert ref is not None
    artifact = open_artifact(store, "suspects", ref.key, tmp_path / "cache")
    assert artifact is not None
    suspects = artifact.read_json("suspects.json")
    found = {suspect["path"] for suspect in suspects[:LOOKED_AT]} & flipped
    print(f"{data}: {len(found)} of {WRONG} wrong labels in the first {LOOKED_AT} suspects")
    assert len(found) >= 45
