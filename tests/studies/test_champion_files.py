"""Champions pulled: whole networks in files that need no tlbatch, and that say what was evaluated."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import jobs.export
from jobs.kinds.image.usage import onnx_snippet
from jobs.telemetry import load_onnxruntime
from tests.studies.shapes import Bench
from tlbatch.champions.champion import find_champion
from tlbatch.champions.exporting import build_request, pull_champion
from tlbatch.champions.promoting import promote_run
from tlbatch.cli import main
from tlbatch.errors import StudyError, TransientError
from tlbatch.execution.launch import Outcome
from tlbatch.records.executions import find_execution
from tlbatch.store import Store, open_store
from tlbatch.store.artifacts import file_sha256, load_manifest

FOLDS = """
apiVersion: tlbatch/v1
kind: Study
name: folded
dataset:
  url: images
  split: {test: 24, folds: 2}
  near_duplicates: false
control: none
precision: fp32
runs:
  - name: cnn
    model: {scratch: {channels: [4], padding: same, dense: [8]}}
    input: {size: 16, grayscale: true, resize: pad}
    train: {epochs: 2, batch_size: 8, lr: 3e-3}
"""


@pytest.fixture(scope="module")
def store(first_run: tuple[Bench, Outcome]) -> Store:
    """The store after the first run, each run a champion of its own name."""
    opened = open_store(str(first_run[0].store))
    for run in ("cnn", "features", "dense-head"):
        promote_run(opened, run, find_execution(opened, "shapes"), run, None, "ada")
    return opened


def tlbatch(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return int(end.value.code or 0)


def predictions(store: Store, name: str) -> dict[str, Any]:
    evaluation = find_champion(store, name)[0].evaluation
    manifest = load_manifest(store, evaluation.step, evaluation.key)
    assert manifest is not None
    found: dict[str, Any] = json.loads(store.get(manifest.files["predictions.json"].path))
    return found


def read_back(folder: Path, name: str, dense: list[str]) -> Any:
    """A cut MobileNetV2 and its head, put together by hand from the files alone: what people without tlbatch do."""
    from torchvision.models import mobilenet_v2

    state = load_file(folder / name)
    network = mobilenet_v2()
    body = {key.removeprefix("backbone.body."): value for key, value in state.items() if key.startswith("backbone.body.")}
    missing, unexpected = network.load_state_dict(body, strict=False)
    assert not unexpected
    assert all(key.startswith("classifier") for key in missing)
    network.eval()

    def probabilities(x: torch.Tensor) -> torch.Tensor:
        features = network.features(x).mean((2, 3))
        for layer in dense:
            features = torch.relu(features @ state[f"head.{layer}.weight"].T + state[f"head.{layer}.bias"])
        logits = features @ state["head.classifier.weight"].T + state["head.classifier.bias"]
        return torch.softmax(logits, 1)

    return probabilities


@pytest.mark.parametrize(("run", "dense"), [("features", []), pytest.param("dense-head", ["dense1"], marks=pytest.mark.slow)])
def test_a_head_on_features_comes_with_its_backbone(store: Store, tmp_path: Path, run: str, dense: list[str]) -> None:
    from PIL import Image

    code = tlbatch("champion", "pull", run, str(tmp_path / "model"), "--store", store.url)
    assert code == 0
    card = json.loads((tmp_path / "model" / "model.json").read_text())
    assert {path.name for path in (tmp_path / "model").iterdir()} == {*card["files"], "model.json"}
    assert {name: entry["sha256"] for name, entry in card["files"].items()} == {
        name: file_sha256(tmp_path / "model" / name) for name in card["files"]
    }
    with safe_open(tmp_path / "model" / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}
    said = predictions(store, run)
    images = Path(store.url).parent / "images"
    mean, std = (torch.tensor(card["input"][name]).view(3, 1, 1) for name in ("mean", "std"))
    fed = []
    for path in said["paths"]:
        image = Image.open(images / path).convert("RGB")
        short, size = card["input"]["shorter_side"], card["input"]["size"]
        pixels = torch.tensor(list(image.resize((short, short), Image.Resampling.BILINEAR).tobytes()), dtype=torch.float32)
        pixels = pixels.view(short, short, 3).permute(2, 0, 1)
        cut = round((short - size) / 2)
        fed.append((pixels[:, cut : cut + size, cut : cut + size] / 255 - mean) / std)
    with torch.no_grad():
        found = read_back(tmp_path / "model", "model.safetensors", dense)(torch.stack(fed))
    assert float((found - torch.tensor(said["probabilities"]["0"])).abs().max()) < 0.02  # PIL resizes within a level
    assert card["check"]["safetensors"]["difference"] < 1e-4
    assert card["check"]["safetensors"]["images"] == card["test"]["images"] == 32
    assert card["classes"] == ["disc", "square"]


@pytest.mark.slow
def test_pulled_twice_is_the_same_and_other_folders_are_left_alone(store: Store, tmp_path: Path) -> None:
    request = build_request(store, "cnn", None, ("safetensors",), 5, None)
    first = pull_champion(request, tmp_path / "a")
    assert first.card["check"]["safetensors"]["images"] <= 5
    card = tmp_path / "a/model.json"
    earlier = json.loads(card.read_text())  # of another champion, with an ONNX file
    card.write_text(json.dumps({**earlier, "files": {**earlier["files"], "model.onnx": {}, "../../mine": {}}}))
    (tmp_path / "a/model.onnx").write_bytes(b"of another model")
    (tmp_path / "a/own.txt").write_text("mine")
    assert pull_champion(request, tmp_path / "a").card == first.card
    assert not (tmp_path / "a/model.onnx").exists()
    assert (tmp_path / "a/own.txt").read_text() == "mine"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(StudyError, match="has other things in it"):
        pull_champion(request, tmp_path / "mine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "mine"]


def test_past_the_tolerance_nothing_is_written(store: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = tlbatch("champion", "pull", "features", str(tmp_path / "model"), "--store", store.url, "--tolerance", "0")
    assert code == 65
    assert "more than the tolerance of 0 (evaluated in fp32): nothing was written" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "error", "said"),
    [
        (errno.ENOSPC, TransientError, "no space left there: make room"),
        (errno.EROFS, StudyError, "cannot be written (Read-only"),
    ],
)
def test_a_folder_that_takes_nothing_is_a_sentence(
    number: int, error: type[Exception], said: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("tlbatch.champions.exporting.tempfile.TemporaryDirectory", refuse)
    with pytest.raises(error) as raised:
        pull_champion(build_request(store, "cnn", None, ("safetensors",), 5, None), tmp_path / "a")
    assert said in str(raised.value)


@pytest.mark.parametrize("tolerance", ["nan", "inf", "-1", "2"])
def test_a_tolerance_is_a_difference_of_probabilities(tolerance: str, store: Store, tmp_path: Path) -> None:
    code = tlbatch("champion", "pull", "features", str(tmp_path / "m"), "--store", store.url, f"--tolerance={tolerance}")
    assert (code, list(tmp_path.iterdir())) == (2, [])


def test_an_export_without_room_comes_back_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By safetensors' own words, which has no number; how it ended lies beside the request, not where there is no room."""

    def full(*_: Any) -> None:
        raise RuntimeError("SafetensorError: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("jobs.exporting.champion.export", full)
    monkeypatch.setattr("tlbatch.champions.exporting.Request.from_json", lambda _: None)
    request = tmp_path / "request.json"
    request.write_text("{}")
    assert jobs.export.main(["--request", str(request), "--out", str(tmp_path / "out")]) == 75
    assert "no space left for the export" in json.loads((tmp_path / "outcome.json").read_text())["sentence"]


@pytest.mark.slow
def test_damaged_weights_and_a_lost_dataset_are_sentences(bench: Bench, tmp_path: Path) -> None:
    store = open_store(str(bench.store))
    promoted = promote_run(store, "shapes", find_execution(store, "shapes"), "cnn", None, "ada")
    with pytest.raises(StudyError, match="has no champion number 7: there are 1"):
        build_request(store, "shapes", 7, ("safetensors",), 5, None)
    request = build_request(store, "shapes", 1, ("safetensors",), 5, None)
    assert request.dataset is not None
    manifest = load_manifest(store, "prepare", request.dataset.key)
    (bench.store / "artifacts" / "prepare" / request.dataset.key / "manifest.json").unlink()
    with pytest.raises(StudyError, match="the champion's prepared dataset is gone"):
        pull_champion(request, tmp_path / "model")
    assert manifest is not None
    (ref,) = promoted.models.values()
    model = load_manifest(store, ref.step, ref.key)
    assert model is not None
    weights = bench.store / model.files["model.safetensors"].path
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    assert tlbatch("champion", "pull", "shapes", str(tmp_path / "model"), "--store", store.url) == 75
    assert list(tmp_path.iterdir()) == [tmp_path / "copy"]


@pytest.mark.slow
def test_onnx_says_what_was_evaluated_and_its_readme_runs(store: Store, tmp_path: Path) -> None:
    import onnx

    onnxruntime = load_onnxruntime()

    assert tlbatch("champion", "pull", "features", str(tmp_path / "model"), "--store", store.url, "--format", "onnx") == 0
    card = json.loads((tmp_path / "model" / "model.json").read_text())
    assert card["check"]["onnx"]["difference"] < 1e-4
    text = (tmp_path / "model" / "model.onnx").read_bytes()
    for private in (b"/home", b"/work", b"site-packages", b".py"):
        assert private not in text, private
    model = onnx.load_from_string(text)
    described = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(described["classes"]) == ["disc", "square"]
    assert json.loads(described["input"]) == card["input"]
    assert (described["name"], described["serial"]) == ("features", "1")
    session = onnxruntime.InferenceSession(text, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["images", 3, 32, 32]
    said = predictions(store, "features")
    images = Path(store.url).parent / "images"
    row = 0
    code = (tmp_path / "model" / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    assert code == onnx_snippet(card["input"])
    program = code.replace("photo.jpg", str(images / said["paths"][row]))
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path / "model", capture_output=True, text=True, check=True, timeout=120
    )
    predicted, probability = run.stdout.split()
    assert predicted == card["classes"][max((0, 1), key=lambda i: said["probabilities"]["0"][row][i])]
    assert float(probability) == pytest.approx(max(said["probabilities"]["0"][row]), abs=0.02)


@pytest.mark.slow
def test_folds_are_files_of_their_own_and_one_onnx(first_run: tuple[Bench, Outcome], tmp_path: Path) -> None:
    bench = Bench(tmp_path / "folded")
    bench.folder.mkdir()
    (bench.folder / "images").symlink_to(first_run[0].images)
    bench.study.write_text(FOLDS)
    outcome = bench.run()
    assert outcome.state == "succeeded"
    store = open_store(str(bench.store))
    promote_run(store, "folded", outcome.execution, "cnn", None, "ada")
    pulled = pull_champion(build_request(store, "folded", None, ("safetensors", "onnx"), 200, None), tmp_path / "model")
    assert pulled.files == ("README.md", "model-fold0.safetensors", "model-fold1.safetensors", "model.onnx")
    for kind in ("safetensors", "onnx"):
        assert pulled.card["check"][kind]["difference"] < 1e-5
        assert pulled.card["check"][kind]["images"] == 24
    assert (
        load_file(tmp_path / "model" / "model-fold0.safetensors").keys()
        == load_file(tmp_path / "model" / "model-fold1.safetensors").keys()
    )
