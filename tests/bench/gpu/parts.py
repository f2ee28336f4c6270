"""One part of `make bench-gpu`, in a process of its own: ``python -m tests.bench.gpu.parts PART DEVICE small|whole FOLDER``.

Prints JSON: rows {what, beside, ours, theirs, unit, ratio, goal}; ``theirs``, ``ratio`` and ``goal`` where there are such.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.bench.gpu.sizes import SMALL, WHOLE, Sizes

Row = dict[str, Any]
SPEC = Path(__file__).parents[3] / "jobs" / "specs" / "dogs-vs-cats.yaml"
WARM = 5  # steps before the clock starts
STUDY_GOAL_S, STEP_GOAL, MFU_GOAL, SHARE_GOAL = 60.0, 1.3, 0.5, 0.9
REFERENCE_S = 12_080  # of the six runs in 2018, on a GPU of its time


def row(what: str, ours: float, unit: str, beside: str = "", theirs: float | None = None, goal: float | None = None) -> Row:
    """Of rates; ``ratio`` is ours over theirs."""
    found: Row = {"what": what, "beside": beside, "ours": ours, "unit": unit}
    return (
        found
        | ({} if theirs is None else {"theirs": theirs, "ratio": ours / theirs})
        | ({} if goal is None else {"goal": goal})
    )


# -- pictures -------------------------------------------------------------------------------------------------------------


def pictures(device: str, sizes: Sizes, folder: Path) -> list[Row]:
    """JPEGs of smooth noise in two classes, as large as photographs: none are at hand where this runs."""
    import numpy as np
    from PIL import Image

    def draw(number: int) -> None:
        levels = np.random.default_rng(number).integers(0, 255, (24, 32, 3), dtype=np.uint8)
        picture = Image.fromarray(levels).resize(sizes.sides, Image.Resampling.BICUBIC)
        picture.save(folder / "images" / ("cat", "dog")[number % 2] / f"{number}.jpg", quality=90)

    for label in ("cat", "dog"):
        (folder / "images" / label).mkdir(parents=True)
    started = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(draw, range(2 * sizes.pictures)))
    return [row("pictures drawn", 2 * sizes.pictures / (time.perf_counter() - started), "images/s")]


# -- the six runs of study 1 ------------------------------------------------------------------------------------------------


def study_text(sizes: Sizes, images: Path) -> str:
    """The ready-made study, on these pictures, from random weights: what is computed is the same. Controls are left out."""
    import yaml

    document = yaml.safe_load(SPEC.read_text(encoding="utf-8"))
    train, validation, test = sizes.split
    split = {"train": train, "validation": validation, "test": test, "seed": 42}
    document["dataset"] = {"url": str(images), "split": split, "near_duplicates": False}
    document["control"] = "none"
    document.pop("resources")
    for run in document["runs"]:
        for part, changes in sizes.study.items():
            run[part] = {**run.get(part, {}), **changes}
        if "backbone" in run["model"]:
            run["model"]["weights"] = "random"
    return str(yaml.safe_dump(document, sort_keys=False))


def study(device: str, sizes: Sizes, folder: Path) -> list[Row]:
    """Seconds that the steps took, all of them: what a machine is paid for. One step after another, as they want the GPU."""
    from tlbatch.backends.local import LocalBackend
    from tlbatch.execution.driver import Silent
    from tlbatch.execution.launch import run_study
    from tlbatch.spec import parse_study
    from tlbatch.store import open_store
    from tlbatch.store.artifacts import load_manifest

    store = open_store(str(folder / "store"))
    loaded = parse_study(study_text(sizes, folder / "images"), folder=folder)
    started = time.perf_counter()
    outcome = run_study(loaded, store, LocalBackend(store), Silent(), lambda execution: None)
    clock = time.perf_counter() - started
    if outcome.state != "succeeded":
        raise SystemExit("; ".join(f"{work.name}: {work.sentence}" for work in outcome.works if work.state == "failed"))
    spent: dict[str, float] = {}
    for work in outcome.works:
        manifest = load_manifest(store, work.ref.step, work.ref.key) if work.ref else None
        spent[work.node.step] = spent.get(work.node.step, 0.0) + (manifest.made["seconds"] if manifest else 0.0)
    total = sum(spent.values())
    reached = {"what": "six runs of study 1", "beside": "reference of 2018", "ours": total, "theirs": REFERENCE_S, "unit": "s"}
    rows = [reached | {"ratio": REFERENCE_S / total, "goal": REFERENCE_S / STUDY_GOAL_S}]
    rows += [row(f"of these, {step}", seconds, "s") for step, seconds in spent.items()]
    return [*rows, row("the same by the clock", clock, "s")]


# -- a training step --------------------------------------------------------------------------------------------------------


def fed(sizes: Sizes) -> dict[str, Any]:
    from tlbatch.backbones.preprocessing import NORMALIZATIONS, SCRATCH_INPUT

    return {**SCRATCH_INPUT, "size": sizes.size, "resize": "crop", "crop": 0.875, **NORMALIZATIONS["imagenet"]}


def settled(device: str) -> float:
    """The clock, once the GPU has done what it was told."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def our_network(sizes: Sizes) -> Any:
    from jobs.models.building import build_network
    from jobs.models.pretrained import Pretrained

    backbone = {"name": sizes.backbone, "weights": {"kind": "random", "seed": 0}}
    model = {"backbone": backbone, "layer": None, "pool": "avg", "head": {"dense": [], "dropout": 0.0, "batch_norm": False}}
    return build_network(model, fed(sizes), 2, Pretrained("random", seed=0), seed=0, init="torch")


def plain_network(sizes: Sizes, classes: int | None) -> Any:
    """The same layers out of torchvision, for timm's loops: what is compared is how they are driven. None: without a head."""
    import torchvision
    from torch import nn

    features = getattr(torchvision.models, sizes.backbone)(weights=None).features
    head = [] if classes is None else [nn.Linear(512, classes)]
    return nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), *head)


def our_steps(device: str, sizes: Sizes) -> tuple[float, float]:
    """Seconds of a step of the product's own training loop, all of the network learning, in bf16; and its operations."""
    import torch

    from jobs.training.computing import choose_device
    from jobs.training.items import ItemFeed
    from jobs.training.trainer import Recipe, Trainer
    from jobs.training.utilisation import flops_of_an_item
    from tlbatch.spec.train import Train

    place = choose_device(os.cpu_count() or 1) if device == "cuda" else torch.device("cpu")
    n = sizes.batch * sizes.steps
    network = our_network(sizes).to(place, memory_format=torch.channels_last)
    chance = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (n, 3, sizes.size, sizes.size), dtype=torch.uint8, generator=chance)
    feed = ItemFeed(
        pixels,
        torch.arange(n) % 2,
        pixels[:0],
        torch.arange(0),
        settings=fed(sizes),
        augmentation={"flip": "horizontal"},
        seed=0,
        device=place,
    )
    marks: list[float] = []

    def tick(trainer: Trainer, epoch_end: bool) -> None:
        step = trainer.place.step
        if not epoch_end and step in (min(WARM, sizes.steps - 1), sizes.steps):
            marks.append(settled(device))

    train = Train(epochs=1, batch_size=sizes.batch, optimizer="adamw", lr=1e-4, select="last")
    Trainer(network, feed, Recipe(train, ["a", "b"], 0, 1e-4, bf16=True), tick).run()
    step_s = (marks[1] - marks[0]) / (sizes.steps - min(WARM, sizes.steps - 1))
    flops = flops_of_an_item(network, feed.shape, sizes.batch)
    assert flops is not None
    return step_s, flops * sizes.batch


def timms_steps(device: str, sizes: Sizes, images: Path) -> tuple[float, float]:
    """Seconds of a step as timm's train.py has it: its loader, AMP in bfloat16, channels_last; and of one without loading."""
    import torch
    from timm.data import create_dataset, create_loader
    from timm.optim import create_optimizer_v2

    network = plain_network(sizes, 2).to(device, memory_format=torch.channels_last).train()
    optimizer = create_optimizer_v2(network, opt="adamw", lr=1e-4)
    loader = create_loader(
        create_dataset("", root=str(images)),
        (3, sizes.size, sizes.size),
        sizes.batch,
        is_training=True,
        use_prefetcher=device == "cuda",
        num_workers=min(16, os.cpu_count() or 1) if sizes is WHOLE else 0,
        hflip=0.5,
        color_jitter=0.0,
        device=torch.device(device),
        persistent_workers=False,
    )

    def step(x: Any, y: Any) -> None:
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16):
            loss = torch.nn.functional.cross_entropy(network(x.contiguous(memory_format=torch.channels_last)), y)
        loss.backward()
        optimizer.step()

    def endless() -> Iterator[tuple[Any, Any]]:
        while True:
            yield from loader

    batches = endless()
    x, y = next(batches)
    for _ in range(min(WARM, sizes.loader_steps)):
        step(*next(batches))
    started = settled(device)
    for _ in range(sizes.loader_steps):
        step(*next(batches))
    loaded = (settled(device) - started) / sizes.loader_steps
    started = settled(device)
    for _ in range(sizes.loader_steps):
        step(x, y)
    return loaded, (settled(device) - started) / sizes.loader_steps


def step(device: str, sizes: Sizes, folder: Path) -> list[Row]:
    from jobs.training.utilisation import peak_of

    step_s, flops = our_steps(device, sizes)
    rows = [row(f"{sizes.backbone}, all of it, bf16: images trained on", sizes.batch / step_s, "images/s")]
    rows += memory_of(device, "a training step")
    loaded, alone = timms_steps(device, sizes, folder / "images")
    ours = sizes.batch / step_s
    rows += [
        row("fine-tune step", ours, "images/s", "timm's loop and loader", sizes.batch / loaded, STEP_GOAL),
        row("fine-tune step", ours, "images/s", "timm's loop, one batch that is there", sizes.batch / alone),
    ]
    peak = peak_of(device_name(device))
    if peak is None:
        return [*rows, row("operations of a step", flops / 1e12, "TFLOP")]
    return [*rows, row("MFU, bf16", flops / step_s / peak, "of the peak", "its data sheet", 1.0, MFU_GOAL)]


# -- extraction -----------------------------------------------------------------------------------------------------------


def extraction(device: str, sizes: Sizes, folder: Path) -> list[Row]:
    """The whole step, reading, decoding and writing included; beside timm's compiled inference, and the network alone."""
    from tests.bench.test_extract import prepare

    prepared = prepare(folder / "extraction", folder / "images", sizes.extracted // 2)
    count = 2 * (sizes.extracted // 2)
    extract_s(prepared, sizes, "warm")
    seconds = extract_s(prepared, sizes, "measured")
    ours = count / seconds
    rows = memory_of(device, "extraction")
    alone = alone_rate(device, sizes)
    rows.append(row("features", ours, "images/s", "the network alone", alone, SHARE_GOAL))
    theirs = timms_inference(device, sizes, prepared.images, count)
    return [*rows, row("features", ours, "images/s", "timm's inference, compiled", theirs, 1.0)]


def extract_s(prepared: Any, sizes: Sizes, attempt: str) -> float:
    backbone = {"name": sizes.backbone, "weights": {"kind": "random", "seed": 0}}
    artifact, seconds = prepared.extract(None, "bf16", attempt, backbone=backbone, input=fed(sizes))
    prepared.forget(artifact)
    return float(seconds)


def alone_rate(device: str, sizes: Sizes) -> float:
    """Images a second of the product's own extractor on a batch of pixels that is there."""
    import torch

    from jobs.extraction.extractor import Extractor, fold
    from jobs.models.building import build_backbone
    from jobs.models.pretrained import Pretrained

    model = {"backbone": {"name": sizes.backbone, "weights": {"kind": "random", "seed": 0}}, "layer": None, "pool": "avg"}
    backbone = fold(lambda: build_backbone(model, fed(sizes), Pretrained("random", seed=0)))
    extractor = Extractor(lambda: backbone, fed(sizes), "bf16", torch.device(device))
    pixels = torch.randint(0, 256, (extractor.batch, 3, sizes.size, sizes.size), dtype=torch.uint8).to(device)
    for _ in range(min(WARM, sizes.steps)):
        extractor(pixels)
    started = settled(device)
    for _ in range(sizes.steps):
        extractor(pixels)
    return sizes.steps * extractor.batch / (settled(device) - started)


def timms_inference(device: str, sizes: Sizes, images: Path, count: int) -> float:
    """As timm's inference.py --torchcompile --amp has it; compiling is not counted. On CPUs it is not compiled: minutes."""
    import torch
    from timm.data import create_dataset, create_loader

    network = plain_network(sizes, None).to(device, memory_format=torch.channels_last).eval()
    called = torch.compile(network) if device == "cuda" else network
    workers = min(16, os.cpu_count() or 1) if sizes is WHOLE else 0
    loader = create_loader(
        create_dataset("", root=str(images)),
        (3, sizes.size, sizes.size),
        sizes.batch,
        use_prefetcher=device == "cuda",
        num_workers=workers,
        device=torch.device(device),
        crop_pct=0.875,
    )

    def all_of_it() -> int:
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16):
            return sum(len(called(x.contiguous(memory_format=torch.channels_last)).float().cpu()) for x, _ in loader)

    all_of_it()  # compiled for both shapes of batch
    started = settled(device)
    found = all_of_it()
    assert found == count
    return count / (settled(device) - started)


# -- of all ---------------------------------------------------------------------------------------------------------------


def memory_of(device: str, what: str) -> list[Row]:
    """The most that tensors took on the GPU so far; nothing on a CPU."""
    import torch

    return [row(f"most GPU memory of {what}", torch.cuda.max_memory_allocated() / 2**30, "GiB")] if device == "cuda" else []


def device_name(device: str) -> str:
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else "cpu"


PARTS: dict[str, Callable[[str, Sizes, Path], list[Row]]] = {
    "pictures": pictures,
    "study": study,
    "step": step,
    "extraction": extraction,
}


if __name__ == "__main__":
    part, device, size, folder = sys.argv[1:]
    rows = PARTS[part](device, SMALL if size == "small" else WHOLE, Path(folder))
    print(json.dumps(rows))
