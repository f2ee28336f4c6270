"""Extraction beside what a user would pick instead, in turns in one run: Keras on TensorFlow, and timm.

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

from tests.bench.beside import CORES, SCRIPTS, in_turns, peer
from tests.bench.records import Measured, record
from tests.bench.test_extract import HAS_BF16, Prepared, prepare
from tlbatch.backbones.preprocessing import NORMALIZATIONS, SCRATCH_INPUT

pytestmark = [pytest.mark.bench, pytest.mark.shared, pytest.mark.usefixtures("two_threads")]
SQUARE = {**SCRATCH_INPUT, "size": 150, "resize": "squash", **NORMALIZATIONS["imagenet"]}
KERAS_GOAL = 1.6 if HAS_BF16 else 1.1


def extract_s(prepared: Prepared, turn: int, backbone: str, fed: dict[str, Any], pool: str) -> float:
    """Seconds of the step, by random weights, reading and writing included."""
    random = {"name": backbone, "weights": {"kind": "random", "seed": 0}}
    precision = "bf16" if HAS_BF16 else "fp32"
    artifact, seconds = prepared.extract(None, precision, f"a{turn}", backbone=random, input=fed, pool=pool)
    prepared.forget(artifact)
    return seconds


def test_vgg16_as_the_guide_has_it_beside_keras(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    """VGG-16 at 150 pixels, the last convolution's map, of 600 photographs (the guide has 3,000). Keras builds, compiles and
    reads the files once before it is measured; ours has its start in it. Keras takes 57 or 102 ms each, by process.
    """
    python = peer("python")
    prepared = prepare(tmp_path, shared_data("data/dogs-vs-cats"), 300)
    versions: dict[str, str] = {}

    def keras() -> float:
        command = [*python, str(SCRIPTS / "keras_vgg16.py"), str(prepared.images), "150", str(CORES)]
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "KERAS_BACKEND": "tensorflow"}, check=True
        )
        found = json.loads(done.stdout.splitlines()[-1])
        assert found["images"] == 600
        versions.update({name: found[name] for name in ("keras", "tensorflow")})
        return float(found["seconds"])

    ours, theirs = in_turns(lambda turn: extract_s(prepared, turn, "vgg16", SQUARE, "flatten"), keras)
    found = Measured("extract VGG-16, 150 px", "Keras on TensorFlow", 600, ours, theirs, KERAS_GOAL, versions)
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
    ours, timms = in_turns(lambda turn: extract_s(prepared, turn, "mobilenet_v2", fed, "avg"), theirs, warm=theirs)
    found = Measured("extract MobileNetV2, 224 px", "timm's inference", 300, ours, timms, 1.0, {"timm": timm.__version__})
    record(found)
    assert found.ratio >= 1.0
