"""Extraction against a plain script, half precision against full, and memory against the number of images.

All on real photographs. The plain script is what one would write first: torchvision's ImageFolder with the weights' own
transforms, a DataLoader with two workers, the network in float32.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
import torch

from jobs.context import Context
from jobs.data.features import load_features
from jobs.data.index import IndexEntry, load_index, read_stored
from jobs.kinds import feed_of
from tests.bench.beside import CORES
from tests.bench.limits import PASSED, CoreSeconds, core_seconds
from tests.bench.records import Measured, record
from tlbatch.backbones.preprocessing import NORMALIZATIONS, SCRATCH_INPUT
from tlbatch.datasets.inventory import list_dataset
from tlbatch.spec.dataset import Dataset
from tlbatch.store.artifacts import Artifact, Manifest, file_sha256, open_artifact
from tlbatch.store.directory import DirectoryStore
from tlbatch.tasks import InputRef, Task, task_name

WEIGHTS = "weights/mobilenet_v2_torchvision_norm.safetensors"
INPUT = {**SCRATCH_INPUT, "size": 224, "resize": "crop", "crop": 0.875, **NORMALIZATIONS["imagenet"]}
HAS_BF16 = any(flag in Path("/proc/cpuinfo").read_text(encoding="utf-8") for flag in ("avx512_bf16", "amx_bf16"))
FASTER = {"fp32": 3.5, "bf16": 5.0}
NEAR = 0.9  # of the limit
AT_START = 100  # photographs
TURNS = 5
MANY, FEW = 2500, 200  # photographs of each class
MEASURE = """
import sys
from jobs.extract import run
from jobs.runtime import step_main
from tlbatch.peak_memory import peak_memory_mib
try:
    step_main("extract", run, ["--task", sys.argv[1]])
except SystemExit as end:
    print(end.code, peak_memory_mib())
"""


@dataclass
class Prepared:
    """A folder of photographs, and the same as a prepared dataset in a store."""

    root: Path
    images: Path
    store: DirectoryStore
    dataset: InputRef

    def task(self, weights: Path | None, **given: Any) -> Task:
        kind = {"kind": "file", "sha256": file_sha256(weights)} if weights else {"kind": "random", "seed": 0}
        backbone = {"name": "mobilenet_v2", "weights": kind}
        params = {
            "backbone": backbone,
            "layer": None,
            "pool": "avg",
            "input": INPUT,
            "precision": "fp32",
            "views": None,
            **given,
        }
        locations = {"weights": str(weights)} if weights else {}
        return Task("extract", params, {"dataset": self.dataset}, locations=locations)

    def extract(self, weights: Path | None, precision: str, attempt: str = "a1", **given: Any) -> tuple[Artifact, float]:
        """The artifact and the seconds that the step took, writing included."""
        from jobs.extract import run

        task = self.task(weights, precision=precision, **given)
        context = Context(self.store, task, attempt, self.root / f"{precision}-{attempt}")
        started = time.perf_counter()
        run(context)
        manifest = context.finish()
        seconds = time.perf_counter() - started
        assert manifest is not None
        return self.artifact(manifest), seconds

    def artifact(self, manifest: Manifest) -> Artifact:
        found = open_artifact(self.store, manifest.step, manifest.key, self.root / "cache")
        assert found is not None
        return found

    def forget(self, artifact: Artifact) -> None:
        prefix = f"artifacts/extract/{artifact.manifest.key}/"
        self.store.delete([stat.name for stat in self.store.list(prefix)])


def prepare(root: Path, photographs: Path, each: int) -> Prepared:
    """``each`` photographs of every class, prepared by the step itself."""
    from jobs.prepare import run

    images = root / "images"
    for folder in sorted(path for path in photographs.iterdir() if path.is_dir()):
        (images / folder.name).mkdir(parents=True)
        for path in sorted(folder.iterdir())[:each]:
            (images / folder.name / path.name).symlink_to(path)
    store, listing = DirectoryStore(root / "store"), list_dataset(Dataset(url=str(images), follow_links=True))
    params = {"dataset": listing.digest, "stored_size": 512, "max_bad": 0.05, "near_duplicates": False}
    store.put("work/bench/listing.json", listing.to_json())
    task = Task("prepare", params, locations={"dataset": str(images), "listing": "work/bench/listing.json"})
    context = Context(store, task, "a1", root / "prepare")
    run(context)
    manifest = context.finish()
    assert manifest is not None
    return Prepared(root, images, store, InputRef("prepare", task.key, manifest.digest))


def plain_script(images: Path, weights: Path) -> tuple[list[str], np.ndarray, float]:
    """Names, features and seconds of the straightforward way."""
    from safetensors.torch import load_file
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.models import MobileNet_V2_Weights, mobilenet_v2

    torch.set_num_threads(CORES)
    started = time.perf_counter()
    model = mobilenet_v2()
    model.load_state_dict(load_file(weights))
    model.eval()
    dataset = ImageFolder(str(images), MobileNet_V2_Weights.IMAGENET1K_V1.transforms())
    features = []
    with torch.no_grad():
        for batch, _ in DataLoader(dataset, batch_size=32, num_workers=CORES):
            features.append(model.features(batch).mean(dim=(2, 3)))
    seconds = time.perf_counter() - started
    names = [str(Path(path).relative_to(images)) for path, _ in dataset.samples]
    return names, torch.cat(features).numpy(), seconds


@pytest.mark.bench
@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.usefixtures("two_threads")
def test_faster_than_a_plain_script_and_near_the_limit(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    """Ours includes all that the step does: compiling the network, and writing and committing the artifact.

    Asked are 3.5 and 5 times the plain script, of CPUs on which that is possible: else what 90 % of the limit are after the
    start, which is in the comparison with the script, but not in the share of the limit, a rate. The start may take as long as
    the script takes for ``AT_START`` photographs.
    """
    weights = shared_data(WEIGHTS)
    many, few = (prepare(tmp_path / str(each), shared_data("data/dogs-vs-cats"), each) for each in (MANY, FEW))
    precisions = [precision for precision in FASTER if precision == "fp32" or HAS_BF16]
    limits = {precision: list[CoreSeconds]() for precision in precisions}
    plain_script(few.images, weights)  # once unmeasured: files in memory, kernels chosen
    plain_s = list[float]()
    taken = {(precision, each): list[float]() for precision in precisions for each in (MANY, FEW)}
    ids = {entry.path: entry.id for entry in load_index(many.artifact(manifest_of(many)))}
    for attempt in range(TURNS):  # in turns, so that what else the machine does falls on all alike
        names, plain, seconds = plain_script(many.images, weights)
        plain_s.append(seconds)
        for (precision, each), own in taken.items():
            prepared = many if each == MANY else few
            if each == MANY:
                limits[precision].append(limit_of(many, weights, precision))
            artifact, seconds = prepared.extract(weights, precision, f"a{attempt}")
            own.append(seconds)
            assert artifact.manifest.made["engine"].startswith("openvino")
            if each == MANY:
                assert cosine(load_features(artifact, [ids[name] for name in names]), plain).min() > 0.98
            prepared.forget(artifact)
    images, fewer = len(load_index(many.artifact(manifest_of(many)))), len(load_index(few.artifact(manifest_of(few))))
    missed = []
    for precision, turns in limits.items():
        each = CoreSeconds.of(turns)
        limit, ours_s, theirs_s = each.limit(CORES), median(taken[precision, MANY]), median(plain_s)
        a_second, start_s = started(images, ours_s, fewer, median(taken[precision, FEW]))
        possible = theirs_s / (start_s + images / (NEAR * limit))
        goal = min(FASTER[precision], possible)
        found = Measured(
            f"extract MobileNetV2, 224 px, {precision}",
            "torchvision and a DataLoader",
            images,
            taken[precision, MANY],
            plain_s,
            goal,
            limit=limit,
            limit_by=each.engine,
        )
        record(found)
        print(
            f"{precision}: decode {1e3 * each.load_s:.2f} ms, network {1e3 * each.pass_s:.2f} ms of a core; "
            f"start {start_s:.2f} s, after it {a_second:.0f} images/s, {a_second / limit:.0%} of the limit"
        )
        if found.ratio < goal or a_second < NEAR * limit or start_s > AT_START * theirs_s / images:
            missed.append(
                f"{precision}: {found.ratio:.2f} times ({goal:.2f} asked), {a_second / limit:.0%} of the limit after a start "
                f"of {start_s:.2f} s"
            )
    assert not missed


@pytest.mark.bench
@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.usefixtures("two_threads")
def test_vgg16_is_near_the_limit(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    """As the guide has it, 150 pixels and the map of the last convolution, by random weights; after the start."""
    few, many = (prepare(tmp_path / str(each), shared_data("data/dogs-vs-cats"), each) for each in (50, 300))
    backbone = {"name": "vgg16", "weights": {"kind": "random", "seed": 0}}
    given = {"backbone": backbone, "pool": "flatten", "input": {**INPUT, "size": 150, "resize": "squash"}}
    precision = "bf16" if HAS_BF16 else "fp32"
    taken = {few.root: list[float](), many.root: list[float]()}
    limit = limit_of(few, None, precision, passed=8, **given).limit(CORES)
    for attempt in range(3):
        for prepared in (few, many):
            artifact, seconds = prepared.extract(None, precision, f"a{attempt}", **given)
            taken[prepared.root].append(seconds)
            prepared.forget(artifact)
    a_second, start_s = started(600, median(taken[many.root]), 100, median(taken[few.root]))
    print(f"\n{precision}: start {start_s:.2f} s, after it {a_second:.1f} images/s, {a_second / limit:.0%} of {limit:.1f}")
    assert a_second >= NEAR * limit


def limit_of(prepared: Prepared, weights: Path | None, precision: str, passed: int = PASSED, **given: Any) -> CoreSeconds:
    from jobs.extraction.extractor import open_backbone

    dataset = prepared.artifact(manifest_of(prepared))
    entries = load_index(dataset)
    stored = [read_stored(dataset, entry) for entry in entries[:: max(1, len(entries) // 640)]][:640]
    task = prepared.task(weights, precision=precision, **given)
    context = Context(prepared.store, task, "limit", prepared.root / f"limit-{precision}")
    return core_seconds(open_backbone(context), task.params["input"], stored, precision, passed)


def started(many: int, many_s: float, few: int, few_s: float) -> tuple[float, float]:
    """Images a second once the step goes, and seconds until then, of two sizes: a line through both."""
    a_second = (many - few) / (many_s - few_s)
    return a_second, few_s - few / a_second


def manifest_of(prepared: Prepared) -> Manifest:
    from tlbatch.store.artifacts import load_manifest

    found = load_manifest(prepared.store, prepared.dataset.step, prepared.dataset.key)
    assert found is not None
    return found


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    similarity: np.ndarray = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return similarity


def probe(features: np.ndarray, labels: np.ndarray, train: np.ndarray) -> float:
    """Accuracy of logistic regression on the images that do not train, in percent."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    model.fit(features[train], labels[train])
    return 100 * float((model.predict(features[~train]) == labels[~train]).mean())


@pytest.mark.bench
@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.usefixtures("two_threads")
def test_half_precision_loses_nothing(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    """Less than torch's own autocast makes of these photographs, and nothing that a head on the features would tell."""
    prepared = prepare(tmp_path, shared_data("data/dogs-vs-cats"), 1500)
    entries = list({entry.id: entry for entry in load_index(prepared.artifact(manifest_of(prepared)))}.values())
    ids, labels = [entry.id for entry in entries], np.array([entry.label == "dog" for entry in entries])
    found = {}
    for precision in ("fp32", "bf16"):
        artifact, seconds = prepared.extract(shared_data(WEIGHTS), precision)
        found[precision] = load_features(artifact, ids)
        print(f"\n{precision}: {len(ids) / seconds:.0f} images/s")
    train = np.random.default_rng(0).permutation(len(ids)) < 2000
    likeness = cosine(found["fp32"], found["bf16"])
    torchs = cosine(found["fp32"], by_autocast(prepared, shared_data(WEIGHTS), entries))
    accuracy = {precision: probe(features, labels, train) for precision, features in found.items()}
    print(f"cosine from {likeness.min():.4f}, torch's autocast from {torchs.min():.4f}")
    print(f"right about {(~train).sum()}: {accuracy['fp32']:.2f} and {accuracy['bf16']:.2f} %")
    assert likeness.min() >= torchs.min()
    assert np.quantile(likeness, 0.01) >= np.quantile(torchs, 0.01)
    assert abs(accuracy["fp32"] - accuracy["bf16"]) <= 0.3


def by_autocast(prepared: Prepared, weights: Path, entries: Sequence[IndexEntry]) -> np.ndarray:
    """[n, d] features by torchvision's network as torch computes it in bfloat16 where it is asked to."""
    from safetensors.torch import load_file
    from torchvision.models import mobilenet_v2

    model = mobilenet_v2()
    model.load_state_dict(load_file(weights))
    model.eval()
    dataset, feed = prepared.artifact(manifest_of(prepared)), feed_of(INPUT)
    found = []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for start in range(0, len(entries), 50):
            items = torch.stack([feed.load(read_stored(dataset, one), INPUT) for one in entries[start : start + 50]])
            found.append(model.features(feed.normaliser(INPUT)(items)).float().mean(dim=(2, 3)))
    return torch.cat(found).numpy()


@pytest.mark.bench
@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.usefixtures("two_threads")
def test_memory_does_not_grow_with_the_number_of_images(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    """Features of 8,192 values an image: kept in memory, those of 1,350 more images would take 44 MB."""
    peaks = {}
    for each in (75, 750):
        prepared = prepare(tmp_path / str(each), shared_data("data/dogs-vs-cats"), each)
        task = prepared.task(None, input={**INPUT, "size": 128}, layer="features.5", pool="flatten")
        prepared.store.put(task_name(task.key), task.to_json())
        command = [sys.executable, "-c", MEASURE, f"{prepared.store.url}/{task_name(task.key)}"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=1500, check=True)
        code, peak = result.stdout.split()[-2:]
        assert code == "0", result.stderr
        peaks[each] = int(peak)
    print("\npeak memory in MiB by photographs a class:", peaks)
    assert peaks[750] < 1.1 * peaks[75]
