"""Real photographs and real weights: files that were pulled say what was evaluated, to tlbatch's code and to the manual's."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from jobs.kinds.image.usage import onnx_snippet
from tests.studies.shapes import Bench
from tlbatch.champions.exporting import Pulled, build_request, pull_champion
from tlbatch.champions.promoting import promote_run
from tlbatch.store import open_store
from tlbatch.store.artifacts import load_manifest

pytestmark = [pytest.mark.slow, pytest.mark.shared]
MANUAL = Path(__file__).resolve().parents[2] / "docs/champions.md"
STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: pets
dataset:
  url: {images}
  split: {{train: 160, validation: 60, test: 200}}
  near_duplicates: false
control: none
precision: fp32
runs:
  - name: mobilenet-features
    model:
      backbone: mobilenet_v2
      weights: {weights}
      head: {{logistic: {{c: [0.1]}}}}
    strategy: features
"""
SharedData = Callable[[str], Path]


@pytest.fixture
def images(shared_data: SharedData, tmp_path: Path) -> Path:
    """210 cats and 210 dogs, copied."""
    folder = tmp_path / "images"
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for path in sorted(shared_data(f"data/dogs-vs-cats/{label}").iterdir())[:210]:
            shutil.copy(path, folder / label)
    return folder


@pytest.fixture
def pulled(shared_data: SharedData, images: Path, tmp_path: Path) -> tuple[Pulled, dict[str, Any]]:
    """The champion's files, and what its evaluation wrote: paths, classes, probabilities."""
    bench = Bench(tmp_path)
    weights = shared_data("weights/mobilenet_v2_torchvision_norm.safetensors")
    bench.study.write_text(STUDY.format(images=images, weights=weights))
    outcome = bench.run()
    assert outcome.state == "succeeded", [(work.name, work.sentence) for work in outcome.works]
    store = open_store(str(bench.store))
    champion = promote_run(store, "pets", outcome.execution, "mobilenet-features", None, "ada")
    manifest = load_manifest(store, champion.evaluation.step, champion.evaluation.key)
    assert manifest is not None
    said = json.loads(store.get(manifest.files["predictions.json"].path))
    return pull_champion(build_request(store, "pets", None, ("safetensors", "onnx"), 200, None), tmp_path / "model"), said


def manual_programs() -> list[str]:
    """The manual's Python that begins with reading model.json."""
    blocks = re.findall(r"```python\n(.*?)```", MANUAL.read_text(encoding="utf-8"), re.DOTALL)
    return [block for block in blocks if "model.json" in block]


def test_two_hundred_photographs(pulled: tuple[Pulled, dict[str, Any]], images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, said = pulled
    evaluated = np.array(said["probabilities"]["0"])
    for kind in ("safetensors", "onnx"):
        check = files.card["check"][kind]
        assert check["images"] == 200
        assert check["difference"] < 1e-3
        assert check["same_class"] == 200
    assert (evaluated.argmax(1) == np.array(said["labels"])).mean() > 0.9
    monkeypatch.chdir(files.folder)
    names: dict[str, Any] = {}
    exec(onnx_snippet(files.card["input"]).partition("\n\nbatch =")[0], names)  # the user's own reading, PIL's resizing
    batch = np.stack([names["pixels"](images / path) for path in said["paths"]])
    (found,) = names["session"].run(["probabilities"], {"pixels": batch})
    assert np.abs(found - evaluated).max() < 0.05
    assert (found.argmax(1) == evaluated.argmax(1)).sum() >= 198
    programs = manual_programs()
    assert programs[0] == onnx_snippet(files.card["input"])
    assert len(load_file("model.safetensors")) > 100
    assert len(programs) == 2
    for program in programs:  # onnxruntime's, torchvision's
        for row in (0, 99):
            code = program.replace("photo.jpg", str(images / said["paths"][row]))
            run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
            assert run.returncode == 0, run.stderr
            predicted, probability = run.stdout.split()
            assert predicted == said["classes"][int(evaluated[row].argmax())]
            assert float(probability) == pytest.approx(float(evaluated[row].max()), abs=0.05)
