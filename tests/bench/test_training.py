"""Fine-tuning beside the loops that a user would pick instead, in turns in one run: torch by itself, timm's, Hugging Face's.

MobileNetV2 at 160 pixels, all of it, the guide's kind of augmentation, the same photographs: seconds of whole epochs, ours with
validation. The others compute in float32, as they do where nothing is said; tlbatch once as it does so itself (bfloat16 where
the CPU has it) beside each of them, and once in float32 beside the plain loop.
"""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.bench.beside import CORES, ROOT, SCRIPTS, in_turns, peer
from tests.bench.loops import BATCH, SIZE, plain_epochs_s, plain_network, timms_epochs_s, timms_network
from tests.bench.records import Measured, record
from tests.bench.test_extract import Prepared, prepare
from tests.studies.kept import KeptBackend
from tlbatch.execution.driver import Silent
from tlbatch.execution.launch import run_study
from tlbatch.spec import parse_study
from tlbatch.store import open_store
from tlbatch.store.artifacts import load_manifest

TUNED = """
apiVersion: tlbatch/v1
kind: Study
name: tuned
dataset: {{url: "{url}", follow_links: true, split: {{train: {train}, validation: 8, test: 8}}, near_duplicates: false}}
control: none
precision: {precision}
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
COUNTS = (TRAINED, EPOCHS, CORES)
WHAT = "fine-tune MobileNetV2, 160 px"


@pytest.fixture
def prepared(shared_data: Callable[[str], Path], tmp_path: Path) -> Prepared:
    return prepare(tmp_path, shared_data("data/dogs-vs-cats"), (TRAINED + 16) // 2)


@pytest.mark.bench
@pytest.mark.shared
@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("precision", "goal"), [("auto", 1.5), ("fp32", 1.2)])
def test_beside_a_plain_loop(prepared: Prepared, precision: str, goal: float) -> None:
    """What one would write first: ImageFolder, torchvision's transforms, a DataLoader with two workers."""
    what = WHAT if precision == "auto" else f"{WHAT}, {precision}"
    compare(prepared, what, "a plain torch loop", lambda: plain_epochs_s(prepared.images, *COUNTS), goal, precision)


@pytest.mark.bench
@pytest.mark.shared
@pytest.mark.usefixtures("two_threads")
def test_beside_timms_loop(prepared: Prepared) -> None:
    versions = {"timm": version("timm")}
    compare(prepared, WHAT, "timm's loop", lambda: timms_epochs_s(prepared.images, *COUNTS), 1.3, versions=versions)


@pytest.mark.bench
@pytest.mark.shared
@pytest.mark.usefixtures("two_threads")
def test_beside_hugging_faces_trainer(prepared: Prepared) -> None:
    """In a process of its own, whose start and imports do not count."""
    command = [*peer("python"), str(SCRIPTS / "hf_trainer.py"), str(prepared.images), *map(str, COUNTS)]
    own = {"PYTHONPATH": os.pathsep.join((str(ROOT), sysconfig.get_path("purelib"))), "HF_HUB_OFFLINE": "1"}
    versions: dict[str, str] = {}

    def trainer() -> float:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **own}, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        assert found["steps"] == TRAINED * EPOCHS // BATCH
        assert 0 < found["loss"] < 2
        versions.update({name: found[name] for name in ("transformers", "accelerate")})
        return float(found["seconds"])

    compare(prepared, WHAT, "Hugging Face Trainer", trainer, 1.5, versions=versions)


def compare(
    prepared: Prepared,
    what: str,
    name: str,
    loop: Callable[[], float],
    goal: float,
    precision: str = "auto",
    versions: dict[str, str] | None = None,
) -> None:
    ours, theirs = in_turns(lambda turn: tuned_s(prepared.root / f"turn{turn}", prepared.images, precision), loop)
    found = Measured(what, name, TRAINED * EPOCHS, ours, theirs, goal, versions or {})
    record(found)
    assert found.ratio >= goal


def tuned_s(folder: Path, images: Path, precision: str) -> float:
    """Seconds of the epochs of a study's one training."""
    folder.mkdir()
    store = open_store(str(folder / "store"))
    text = TUNED.format(url=images, train=TRAINED, epochs=EPOCHS, precision=precision)
    outcome = run_study(parse_study(text, folder=folder), store, KeptBackend(store, CORES), Silent(), lambda execution: None)
    assert outcome.state == "succeeded", [work.sentence for work in outcome.works if work.state == "failed"]
    ref = next(work.ref for work in outcome.works if work.name == "finetune:tuned:0")
    assert ref is not None
    manifest = load_manifest(store, ref.step, ref.key)
    assert manifest is not None
    return float(sum(manifest.made["epoch_seconds"]))


def test_all_train_the_same_layers() -> None:
    """Fails when a peer's network is another one than ours: parameters, and operations of a picture."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from jobs.models.building import build_network
    from jobs.models.pretrained import Pretrained
    from tlbatch.backbones.preprocessing import SCRATCH_INPUT

    backbone = {"name": "mobilenet_v2", "weights": {"kind": "random", "seed": 0}}
    head = {"dense": [], "dropout": 0.0, "batch_norm": False}
    model = {"backbone": backbone, "layer": None, "pool": "avg", "head": head}
    ours = build_network(model, {**SCRATCH_INPUT, "size": SIZE}, 2, Pretrained("random", seed=0), seed=0, init="torch")
    counted = []
    for network in (ours, plain_network(), timms_network()):
        with FlopCounterMode(display=False) as counter:
            network(torch.randn(2, 3, SIZE, SIZE))
        counted.append((sum(each.numel() for each in network.parameters()), counter.get_total_flops()))
    assert counted[0] == counted[1] == counted[2]
