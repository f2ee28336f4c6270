"""Extraction and training beside what a user would pick instead, in turns in one run: Keras on TensorFlow, timm, a plain loop.

The peers that tlbatch does not stand on have an environment of their own: `make bench` makes it (TLBATCH_PEERS: its Python).
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.bench.records import Measured, record
from tests.bench.test_extract import CORES, HAS_BF16, Prepared, prepare
from tests.requirements import missing
from tests.studies.kept import KeptBackend
from tlbatch.backbones.preprocessing import NORMALIZATIONS, SCRATCH_INPUT
from tlbatch.execution.driver import Silent
from tlbatch.execution.launch import run_study
from tlbatch.spec import parse_study
from tlbatch.store import open_store
from tlbatch.store.artifacts import load_manifest

pytestmark = [pytest.mark.bench, pytest.mark.shared]
TURNS = 3
SQUARE = {**SCRATCH_INPUT, "size": 150, "resize": "squash", **NORMALIZATIONS["imagenet"]}
KERAS_GOAL = 1.6 if HAS_BF16 else 1.1


@pytest.fixture(autouse=True)
def _two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    if len(os.sched_getaffinity(0)) < CORES:
        missing("cores", f"extraction is compared on {CORES} cores, and fewer are usable: grant more (taskset, cgroup)")
    monkeypatch.setenv("TLBATCH_THREADS", str(CORES))


def extract_s(prepared: Prepared, turn: int, backbone: str, fed: dict[str, Any], pool: str) -> float:
    """Seconds of the step, by random weights, reading and writing included."""
    random = {"name": backbone, "weights": {"kind": "random", "seed": 0}}
    precision = "bf16" if HAS_BF16 else "fp32"
    artifact, seconds = prepared.extract(None, precision, f"a{turn}", backbone=random, input=fed, pool=pool)
    prepared.forget(artifact)
    return seconds


def in_turns(ours: Callable[[int], float], peer: Callable[[], float]) -> tuple[list[float], list[float]]:
    """What else runs falls on both alike. One turn of ours before it, unmeasured: files are in memory then."""
    ours(0)
    both = [(ours(turn), peer()) for turn in range(1, TURNS + 1)]
    return [mine for mine, _ in both], [theirs for _, theirs in both]


def test_vgg16_as_the_guide_has_it_beside_keras(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    """VGG-16 at 150 pixels, the last convolution's map. Keras compiles and reads the files once before it is measured."""
    python = os.environ.get("TLBATCH_PEERS", "")
    if not Path(python).exists():
        missing("peers", "Keras is not there to be measured beside: make bench installs it (build/peers)")
    prepared = prepare(tmp_path, shared_data("data/dogs-vs-cats"), 100)
    script = Path(__file__).with_name("peers") / "keras_vgg16.py"
    versions: dict[str, str] = {}

    def keras() -> float:
        command = [python, str(script), str(prepared.images), "150", str(CORES)]
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "KERAS_BACKEND": "tensorflow"}, check=True
        )
        found = json.loads(done.stdout.splitlines()[-1])
        assert found["images"] == 200
        versions.update({name: found[name] for name in ("keras", "tensorflow")})
        return float(found["seconds"])

    ours, theirs = in_turns(lambda turn: extract_s(prepared, turn, "vgg16", SQUARE, "flatten"), keras)
    found = Measured("extract VGG-16, 150 px", "Keras on TensorFlow", 200, ours, theirs, KERAS_GOAL, versions)
    record(found)
    assert found.ratio >= KERAS_GOAL


def test_mobilenet_beside_timms_inference(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    """As timm's inference.py has it: create_dataset, create_loader with two workers, batches of 32, float32."""
    import timm
    from timm.data import create_dataset, create_loader, resolve_data_config

    prepared = prepare(tmp_path, shared_data("data/dogs-vs-cats"), 150)
    network = timm.create_model("mobilenetv2_100", pretrained=False, num_classes=0).eval()
    config = resolve_data_config({}, model=network)

    def theirs() -> float:
        torch.set_num_threads(CORES)
        started, count = time.perf_counter(), 0
        dataset = create_dataset("", root=str(prepared.images))
        loader = create_loader(
            dataset,
            config["input_size"],
            32,
            use_prefetcher=False,
            num_workers=CORES,
            device=torch.device("cpu"),
            interpolation=config["interpolation"],
            mean=config["mean"],
            std=config["std"],
            crop_pct=config["crop_pct"],
        )
        with torch.inference_mode():
            for batch, _ in loader:
                count += len(network(batch))
        assert count == 300
        return time.perf_counter() - started

    fed = {**SCRATCH_INPUT, "size": 224, "resize": "crop", "crop": 0.875, **NORMALIZATIONS["imagenet"]}
    theirs()
    ours, peer = in_turns(lambda turn: extract_s(prepared, turn, "mobilenet_v2", fed, "avg"), theirs)
    found = Measured("extract MobileNetV2, 224 px", "timm's inference", 300, ours, peer, 1.0, {"timm": timm.__version__})
    record(found)
    assert found.ratio >= 1.0


TUNED = """
apiVersion: tlbatch/v1
kind: Study
name: tuned
dataset: {{url: "{url}", follow_links: true, split: {{train: {train}, validation: 8, test: 8}}, near_duplicates: false}}
control: none
augmentations: {{gentle: {{zoom: 0.2, rotate: 20, shift: 0.1, flip: horizontal}}}}
runs:
  - name: tuned
    model: {{backbone: mobilenet_v2, weights: random, head: {{}}}}
    strategy: {{finetune: {{unfreeze: all}}}}
    input: {{size: 160}}
    augmentation: gentle
    train: {{epochs: {epochs}, batch_size: 32, optimizer: adamw, lr: 1e-4, select: last}}
"""
TRAINED, EPOCHS = 96, 2


def test_fine_tuning_beside_a_plain_loop(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    """MobileNetV2 at 160 pixels, all of it, the guide's kind of augmentation: seconds of whole epochs, validation included.

    The plain loop is what one would write first: ImageFolder, torchvision's transforms, a DataLoader with two workers, float32.
    """
    prepared = prepare(tmp_path, shared_data("data/dogs-vs-cats"), (TRAINED + 16) // 2)
    ours, theirs = in_turns(
        lambda turn: tuned_s(tmp_path / f"turn{turn}", prepared.images), lambda: plain_epochs_s(prepared.images)
    )
    found = Measured("fine-tune MobileNetV2, 160 px", "a plain torch loop", TRAINED * EPOCHS, ours, theirs, 1.5)
    record(found)
    assert found.ratio >= 1.5


def tuned_s(folder: Path, images: Path) -> float:
    """Seconds of the epochs of a study's one training."""
    folder.mkdir()
    store = open_store(str(folder / "store"))
    loaded = parse_study(TUNED.format(url=images, train=TRAINED, epochs=EPOCHS), folder=folder)
    outcome = run_study(loaded, store, KeptBackend(store, CORES), Silent(), lambda execution: None)
    assert outcome.state == "succeeded", [work.sentence for work in outcome.works if work.state == "failed"]
    ref = next(work.ref for work in outcome.works if work.name == "finetune:tuned:0")
    assert ref is not None
    manifest = load_manifest(store, ref.step, ref.key)
    assert manifest is not None
    return float(sum(manifest.made["epoch_seconds"]))


def plain_epochs_s(images: Path) -> float:
    from torch import nn
    from torch.utils.data import DataLoader, Subset
    from torchvision.datasets import ImageFolder
    from torchvision.models import mobilenet_v2
    from torchvision.transforms import v2

    torch.set_num_threads(CORES)
    augment = v2.Compose(
        [
            v2.Resize(160),
            v2.CenterCrop(160),
            v2.RandomHorizontalFlip(),
            v2.RandomAffine(20, translate=(0.1, 0.1), scale=(0.8, 1.2), interpolation=v2.InterpolationMode.BILINEAR),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    dataset = ImageFolder(str(images), augment)
    some = Subset(dataset, torch.randperm(len(dataset))[:TRAINED].tolist())
    network = mobilenet_v2(num_classes=2).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    started = time.perf_counter()
    for _ in range(EPOCHS):
        for x, y in DataLoader(some, batch_size=32, num_workers=CORES, shuffle=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x), y).backward()
            optimizer.step()
    return time.perf_counter() - started
