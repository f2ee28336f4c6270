"""What OpenVINO runs is the network that torch has, whatever the number of threads, and nobody hears of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from jobs.extraction import engine, extractor
from jobs.extraction.engine import CompiledNetwork, compiled
from jobs.extraction.extractor import Extractor, fold, in_batches
from jobs.kinds.image.pixels import load_pixels
from jobs.models.building import build_backbone
from jobs.models.network import Backbone
from jobs.models.pretrained import Pretrained
from tlbatch.backbones.preprocessing import NORMALIZATIONS, SCRATCH_INPUT

CPU = torch.device("cpu")
PHOTOGRAPHS = {**SCRATCH_INPUT, "size": 224, "resize": "crop", "crop": 0.875, **NORMALIZATIONS["imagenet"]}

FAMILIES = [
    ("efficientnet_lite0", 64),
    ("xception", 75),
    ("inception_v3", 75),
    ("resnet50", 64),
    ("densenet121", 64),
    ("vgg11_bn", 64),
    ("mobilenet_v3_small", 64),
    ("convnext_tiny", 64),
    ("swin_t", 64),
    ("vit_b_16", 224),
    ("shufflenet_v2_x0_5", 64),
]


@pytest.fixture(autouse=True)
def _small_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "SMALL", 0)


def backbone(name: str, size: int, pool: str = "avg") -> Backbone:
    settings = {**SCRATCH_INPUT, "size": size}
    model = {"backbone": {"name": name}, "layer": None, "pool": pool}
    return fold(lambda: build_backbone(model, settings, Pretrained("random weights", seed=1)))


def noise(size: int, seed: int = 3) -> Tensor:
    return torch.randn((8, 3, size, size), generator=torch.Generator().manual_seed(seed))


def rows_of(network: CompiledNetwork, items: Tensor) -> np.ndarray:
    return in_batches(network, items, network.size)


def agrees(name: str, size: int) -> None:
    network, items = backbone(name, size), noise(size)
    with torch.inference_mode():
        expected = network(items).numpy()
    fast = compiled(network, tuple(items.shape), "fp32", 1)
    assert fast is not None
    assert np.abs(rows_of(fast, items) - expected).max() <= 1e-3 * np.abs(expected).max()


def test_float32_is_torchs() -> None:
    agrees("mobilenet_v2", 64)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), FAMILIES)
def test_float32_is_torchs_in_every_family(name: str, size: int) -> None:
    agrees(name, size)


@pytest.mark.slow
def test_bfloat16_is_near_and_is_no_float32() -> None:
    items = noise(64)
    exact, fast = (compiled(backbone("squeezenet1_1", 64), tuple(items.shape), precision, 1) for precision in ("fp32", "bf16"))
    assert exact is not None
    assert fast is not None
    a, b = rows_of(exact, items), rows_of(fast, items)
    assert ((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min() > 0.995
    assert not np.array_equal(a, b)


def test_the_number_of_threads_changes_no_bit() -> None:
    network, batches = backbone("squeezenet1_1", 64, "flatten"), [noise(64, seed) for seed in range(4)]
    found = []
    for threads in (1, 3):
        fast = compiled(network, tuple(batches[0].shape), "fp32", threads)
        assert fast is not None
        with ThreadPoolExecutor(threads) as pool:
            found.append(np.stack(list(pool.map(partial(rows_of, fast), batches))))
    assert np.array_equal(found[0], found[1])
    assert len(np.unique(found[0].reshape(len(batches) * 8, -1), axis=0)) == len(batches) * 8


class Convolving(nn.Module):
    """A network that this test package brings: whoever takes it for torch's own sees what becomes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)


class Branching(Convolving):
    """Another network for bright pictures than for dark ones."""

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x).mean(dim=(2, 3))
        return out if x.mean() > 0 else -out


class Foreign(Convolving):
    """Leaves torch on the way: in a trace what comes back is a constant."""

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(torch.from_numpy(x.numpy() * 2)).mean(dim=(2, 3))


class PartlyForeign(Convolving):
    """What it is fed is only a part of what it computes with."""

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x + torch.from_numpy(x.numpy() * 2)).mean(dim=(2, 3))


class Placed(Convolving):
    """What it makes of an item depends on the item's place in the batch."""

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x).mean(dim=(2, 3))
        return out * (1 + torch.cumsum(torch.ones_like(out), 0) // 2)


class Counted(Convolving):
    """Its trace is of as many items as it was followed on."""

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return out.reshape(int(x.shape[0]), 4, 2, -1).mean(dim=3).flatten(1)


@pytest.fixture
def _followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "FOLLOWED", engine.FOLLOWED | {"tests"})


def test_networks_that_may_branch_stay_with_torch(capsys: pytest.CaptureFixture[str]) -> None:
    assert compiled(nn.Sequential(Branching()), (8, 3, 16, 16), "fp32", 1) is None
    assert "modules of tests may branch on what they are fed" in capsys.readouterr().out


@pytest.mark.usefixtures("_followed")
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Foreign, "what it puts out does not follow from what it is fed when OpenVINO runs it"),
        (PartlyForeign, "it puts out something else when OpenVINO runs it"),
        (Placed, "what it makes of an item depends on its place in the batch"),
    ],
)
def test_what_compiles_to_something_else_stays_with_torch(
    kind: type[Convolving], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compiled(kind().eval(), (8, 3, 16, 16), "fp32", 1) is None
    assert reason in capsys.readouterr().out


@pytest.mark.usefixtures("_followed")
def test_a_trace_of_few_items_that_does_for_no_batch_is_made_again() -> None:
    network, items = Counted().eval(), noise(16)
    fast = compiled(network, tuple(items.shape), "fp32", 1)
    assert fast is not None
    with torch.inference_mode():
        assert np.abs(rows_of(fast, items) - network(items).numpy()).max() < 1e-5


def test_what_a_network_learns_stays_its_own() -> None:
    network = Convolving()
    network.forward = lambda x: network.conv(x).mean(dim=(2, 3))  # type: ignore[method-assign]
    network.conv.bias.requires_grad_(False)  # type: ignore[union-attr]
    engine._converted(network, noise(16))
    assert [weights.requires_grad for weights in network.parameters()] == [True, False]


@pytest.mark.parametrize(("name", "pool", "items"), [("squeezenet1_1", "avg", 2), ("vgg11_bn", "avg", 8)])
def test_items_of_a_pass_follow_from_where_the_weights_are(name: str, pool: str, items: int) -> None:
    """And what a pass takes changes no bit of a row."""
    network, batch = backbone(name, 64, pool), noise(64)
    found = [compiled(network, (most, 3, 64, 64), "fp32", 1) for most in (8, 1)]
    assert all(found)
    assert [fast.size for fast in found if fast] == [items, 1]
    assert np.array_equal(*(rows_of(fast, batch) for fast in found if fast))


def test_rows_stay_when_the_next_are_computed() -> None:
    fast = compiled(backbone("squeezenet1_1", 64), (8, 3, 64, 64), "fp32", 1)
    assert fast is not None
    rows = fast(noise(64, 1)[:2])
    kept = rows.copy()
    fast(noise(64, 2)[:2])
    assert np.array_equal(rows, kept)


def pictures(size: int, count: int = 8) -> Tensor:
    made = torch.Generator().manual_seed(5)
    return torch.randint(0, 256, (count, 3, size, size), generator=made, dtype=torch.uint8)


def make(size: int, precision: str = "fp32", threads: int = 1) -> Extractor:
    return Extractor(lambda: backbone("squeezenet1_1", size), {**SCRATCH_INPUT, "size": size}, precision, CPU, threads)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_without_openvino_torch_computes_the_same(
    precision: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    items, fast, plain = pictures(48), make(48, precision), make(48, precision)
    with extractor.one_thread_each():
        a = fast(items)
        monkeypatch.setitem(sys.modules, "openvino", None)
        b = plain(items)
    assert (fast.engine.split()[0], plain.engine.split()[0]) == ("openvino", "torch")
    assert "there is no openvino that runs here (pip install 'tlbatch[train]')" in capsys.readouterr().out
    assert np.abs(a - b).max() <= (1e-4 if precision == "fp32" else 0.05) * np.abs(b).max()


@pytest.mark.parametrize("error", [ImportError("no such file"), RuntimeError("needs AVX"), OSError("libtbb")])
def test_an_openvino_that_does_not_load_leaves_the_network_to_torch(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load() -> None:
        raise error

    monkeypatch.setattr(engine, "load_openvino", load)
    network = make(48)
    network(pictures(48))
    assert network.engine.startswith("torch")
    assert f"there is no openvino that runs here (pip install 'tlbatch[train]'): {error}" in capsys.readouterr().out


LET_GO = """
import os, signal, sys
from concurrent.futures import ThreadPoolExecutor
from torch import nn
from jobs.extraction import engine
engine.SMALL = 0
signal.signal(signal.SIGTERM, lambda *_: print("asked to stop"))
def networks():
    convolution = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    return [engine.compiled(convolution, (4, 3, 16, 16), precision, 1) for precision in ("fp32", "bf16", "fp32")]
with ThreadPoolExecutor(1) as other:
    held = networks() if sys.argv[1] == "here" else other.submit(networks).result()
    assert None not in held
    if sys.argv[2] == "here":
        del held[0], held[0], held[0]
    else:
        other.submit(held.clear).result()
    os.kill(os.getpid(), signal.SIGTERM)
    print("goes on")
"""


@pytest.mark.parametrize("released", ["here", "there"])
@pytest.mark.parametrize("opened", ["here", "there"])
def test_a_signal_after_a_network_is_let_go_of_ends_no_process(opened: str, released: str) -> None:
    """Fails where a thread that lives on loads OpenVINO's plug-in: its stack for signals is unmapped with the plug-in."""
    ended = subprocess.run([sys.executable, "-c", LET_GO, opened, released], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "asked to stop\ngoes on\n"), ended.stderr


def test_the_size_of_a_batch_changes_no_bit() -> None:
    fast, items = make(48), pictures(48, 21)
    together = fast(items)
    assert together.shape[0] == 21
    assert np.array_equal(together, np.concatenate([fast(items[:3]), fast(items[3:20]), fast(items[20:])]))


def test_small_pictures_stay_with_torch_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    assert compiled(network, (8, 3, 95, 96), "fp32", 1) is None
    assert compiled(network, (8, 3, 96, 96), "fp32", 1) is not None
    assert capsys.readouterr().out == ""


def test_what_is_compiled_is_what_the_network_is_fed() -> None:
    """One channel of a grey picture, three where it is scaled in three ways; Extractor reads it off the first batch."""
    grey = {**PHOTOGRAPHS, "size": 48, "grayscale": True}
    for settings in (grey, {**grey, "mean": [0.5] * 3, "std": [0.5] * 3}):
        compute = Extractor(lambda: backbone("squeezenet1_1", 48), settings, "fp32", CPU)
        assert len(np.unique(compute(pictures(48)[:, :1]), axis=0)) == 8
        assert compute.engine.split()[0] == "openvino"


class ByBrightness:
    """A plug-in's kind: it scales bright pictures in another way than dark ones, which no trace of one of them says."""

    def normaliser(self, settings: Mapping[str, Any]) -> Callable[[Tensor], Tensor]:
        return lambda items: items.float() / (255 if items.float().mean() > 128 else 64)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_a_plug_ins_items_are_prepared_by_itself(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extractor, "feed_of", lambda _settings: ByBrightness())
    items, compute, network = pictures(48), make(48), backbone("squeezenet1_1", 48)
    for given in ((items // 4).to(dtype), (items // 2 + 127).to(dtype)):
        with torch.inference_mode():
            expected = network(ByBrightness().normaliser({})(given)).numpy()
        assert np.abs(compute(given) - expected).max() <= 1e-3 * np.abs(expected).max()
    assert compute.engine.split()[0] == "openvino"


def test_what_a_plug_in_prepares_may_be_of_another_type_and_its_program_of_no_module(monkeypatch: pytest.MonkeyPatch) -> None:
    items, compute, network = pictures(48), make(48), backbone("squeezenet1_1", 48)
    monkeypatch.setattr(compute, "_normalise", torch.Tensor.double)
    with torch.inference_mode():
        expected = network(items.float()).numpy()
    assert np.abs(compute(items) - expected).max() <= 1e-3 * np.abs(expected).max()
    assert compute.engine.split()[0] == "openvino"


def test_pictures_go_into_the_compiled_network_as_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as float32, which is four times as much to move; their normalising is a part of the network."""
    fed, call = list[torch.dtype](), CompiledNetwork.__call__
    monkeypatch.setattr(CompiledNetwork, "__call__", lambda self, items: fed.append(items.dtype) or call(self, items))
    make(48)(pictures(48))
    assert set(fed) == {torch.uint8}


def test_rows_are_the_same_whatever_a_pass_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four items where the CPU computes in bfloat16 and is asked to, else two."""
    items, found, sizes = noise(64), [], []
    for here, precision in ((True, "bf16"), (False, "bf16"), (True, "fp32")):
        monkeypatch.setattr(engine, "_computes_bfloat16", lambda here=here: here)
        fast = compiled(backbone("squeezenet1_1", 64), tuple(items.shape), precision, 1)
        assert fast is not None
        sizes.append(fast.size)
        found.append(rows_of(fast, items))
    assert sizes == [4, 2, 2]
    assert np.array_equal(found[0], found[1])


def test_items_that_lie_otherwise_are_there_until_they_are_computed() -> None:
    """Those that a plug-in prepares may lie anyhow; a copy of them that is freed too early is read as what comes after it."""
    network, items = backbone("squeezenet1_1", 64), noise(64)
    fast = compiled(network, tuple(items.shape), "fp32", 1)
    assert fast is not None
    parts = items.split(fast.size)
    expected = [fast(part) for part in parts]
    for part, rows in zip(parts * 20, expected * 20, strict=True):
        assert np.array_equal(fast(part.contiguous(memory_format=torch.channels_last)), rows)


@pytest.mark.slow
@pytest.mark.shared
def test_float32_is_torchs_on_photographs(shared_data: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """MobileNetV2 with its ImageNet weights, 32 photographs of dogs and cats at 224 pixels: features to 2e-5 of the largest."""
    paths = sorted(shared_data("data/dogs-vs-cats").rglob("*.jpg"))[::90][:32]
    items = torch.stack([load_pixels(path.read_bytes(), PHOTOGRAPHS) for path in paths])
    weights = load_file(shared_data("weights/mobilenet_v2_torchvision_norm.safetensors"))
    model = {"backbone": {"name": "mobilenet_v2"}, "layer": None, "pool": "avg"}
    found = []

    def build() -> Backbone:
        return fold(lambda: build_backbone(model, PHOTOGRAPHS, Pretrained("these", weights)))

    for engine_of in ("openvino", "torch"):
        compute = Extractor(build, PHOTOGRAPHS, "fp32", CPU)
        found.append(np.concatenate([compute(part) for part in items.split(8)]))
        assert compute.engine.split()[0] == engine_of
        monkeypatch.setitem(sys.modules, "openvino", None)
    assert np.abs(found[0] - found[1]).max() <= 2e-5 * np.abs(found[1]).max()
