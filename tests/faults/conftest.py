"""A schedule of two nights on drawn shapes, every kind of step in it; and processes that die where they are told to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.noise import noise
from tests.studies.kept import KeptBackend
from tests.studies.nights import Night, Nights
from tests.studies.shapes import SPLIT, Bench, draw_shapes, head
from tests.studies.test_nights import draw_crosses
from tlbatch.execution.driver import Silent
from tlbatch.execution.launch import run_study
from tlbatch.extending import extend_champion
from tlbatch.prediction.pictures import list_pictures
from tlbatch.spec import LoadedStudy, parse_study
from tlbatch.store import Store, open_store
from tlbatch.store.artifacts import Manifest, load_manifest
from tlbatch.tasks import InputRef, task_name

STUDY = (
    head("shapes", SPLIT)
    + """\
  - name: cnn
    model: {scratch: {channels: [4, 8], padding: same, dense: [8]}}
    input: {size: 16}
    augmentation: {flip: horizontal, shift: 0.1}
    train: {epochs: 2, batch_size: 16, lr: 3e-3}
  - name: features
    model: {backbone: squeezenet1_1, weights: random, head: {logistic: {c: [0.01, 1.0], folds: 3}}}
    strategy: features
    input: {size: 32}
  - name: dense-head
    model: {backbone: squeezenet1_1, weights: random, head: {dense: [8], dropout: 0.2}}
    strategy: features
    input: {size: 32}
    train: {epochs: 2, batch_size: 16}
schedule: {cron: "0 3 * * *", timezone: Asia/Shanghai}
"""
)
ADAPTATION = """\
apiVersion: tlbatch/v1
kind: Study
name: shapes-adaptation
dataset: {url: images, split: {train: 32, validation: 16, test: 32}}
sources: {films: {url: films, split: {validation: 0.25}}}
control: none
precision: fp32
runs:
  - name: adversarial
    model: {scratch: {channels: [4, 8], padding: same, batch_norm: true, dense: [8]}}
    strategy: {adapt_network: {method: dann, domain_layers: [8]}}
    input: {size: 16}
    train: {epochs: 2, batch_size: 16, lr: 3e-3}
  - name: aligned
    model: {backbone: squeezenet1_1, weights: random, head: {logistic: {c: [1.0]}}}
    strategy: {adapt: {method: subspace}}
    input: {size: 32}
  - name: few
    model: {backbone: squeezenet1_1, weights: random, head: {prototypes: {}}}
    input: {size: 32}
curve: {labels: [1, 2]}
"""
FEW_SHOT = """\
apiVersion: tlbatch/v1
kind: Study
name: shades
dataset: {url: shades, split: {train: 6, validation: 2, test: 4}, near_duplicates: false}
control: none
precision: fp32
runs:
  - name: cnn
    model: {scratch: {channels: [4], padding: same, dense: [8]}}
    input: {size: 16}
    train: {epochs: 1, batch_size: 4}
evaluate: {episodes: {ways: 2, shots: [1], queries: 3, count: 100, classes: [c, d, e, f], heads: [prototypes]}}
"""
TOGETHER = """\
apiVersion: tlbatch/v1
kind: Study
name: shapes-tasks
dataset:
  url: pairs
  labels: {csv: labels.csv, id: file, tasks: {shape: shape, size: size}}
  split: {train: 20, validation: 12, test: 16}
  near_duplicates: false
precision: fp32
runs:
  - name: on-features
    model: {backbone: squeezenet1_1, weights: random, head: {dense: [8], dropout: 0.2}}
    strategy: features
    input: {size: 32}
    train: {epochs: 3, batch_size: 8, lr: 3e-2, task_weights: uncertainty}
  - name: unfrozen
    model: {backbone: squeezenet1_1, weights: random, layer: fire3, head: {dense: [6], dropout: 0.1}}
    strategy: {finetune: {unfreeze: [stage1]}}
    input: {size: 32}
    augmentation: {flip: horizontal}
    train: {epochs: 2, batch_size: 8, lr: 1e-2, task_weights: uncertainty, ema: 0.9}
"""
DESCRIBED = """\
apiVersion: tlbatch/v1
kind: Study
name: shapes-described
dataset: {url: images, split: {train: 8, validation: 4, test: 8}, near_duplicates: false}
control: none
precision: fp32
runs:
  - name: few
    model: {backbone: mobilenet_v2, weights: imagenet.safetensors, head: {prototypes: {}}}
    input: {size: 32}
described: {texts: {disc: a round plate, square: a box with a lid}}
"""
ADVICE = "advise: {candidates: [{backbone: squeezenet1_1, weights: random}], images: 20}\n"


@dataclass(frozen=True)
class Season:
    """Two firings of one schedule and their store."""

    nights: Nights
    first: Night
    second: Night
    advice: Night
    adaptation: Night
    few_shot: Night
    together: Night
    described: Night
    extension: dict[str, InputRef]

    def tasks(self) -> dict[str, InputRef]:
        """Each task by name: of the second night and its champion, advice, adaptation, episodes, several tasks learnt together,
        descriptions, an extension: every step."""
        nights = (self.described, self.together, self.few_shot, self.adaptation, self.advice, self.second)
        plans = [(night.execution.load_plan() or {})["tasks"] for night in nights]
        planned = {name: InputRef(t["step"], t["key"], t["digest"]) for plan in plans for name, t in plan.items()}
        return {**planned, **self.extension}


@pytest.fixture(scope="session")
def season(tmp_path_factory: pytest.TempPathFactory) -> Season:
    nights = Nights(tmp_path_factory.mktemp("season"))
    draw_shapes(nights.images, 48)
    nights.study.write_text(STUDY)
    first = nights.fire()
    draw_shapes(nights.images, 4, first=700)
    second = nights.fire()
    beside = (_advice(nights), _adaptation(nights), _few_shot(nights), _together(nights), _described(nights))
    return Season(nights, first, second, *beside, _extension(nights))


def _advice(nights: Nights) -> Night:
    """On the same pictures, asked in the same store."""
    text = nights.study.read_text()
    asked = parse_study(
        text[: text.index("schedule:")].replace("name: shapes", "name: shapes-advice", 1) + ADVICE, folder=nights.folder
    )
    return _run_beside(nights, asked)


def _adaptation(nights: Nights) -> Night:
    """From other pictures to these, in the same store."""
    draw_shapes(nights.folder / "films", 16, first=800)
    return _run_beside(nights, parse_study(ADAPTATION, folder=nights.folder))


def _few_shot(nights: Nights) -> Night:
    """Six shades of noise, four of them held out."""
    for number, name in enumerate("abcdef"):
        (nights.folder / "shades" / name).mkdir(parents=True)
        for picture in range(6):
            drawn = noise(f"{name}{picture}", (24, 24), 20).point(lambda value, lighter=20 * number: value // 2 + lighter)
            drawn.convert("RGB").save(nights.folder / "shades" / name / f"{picture}.png")
    return _run_beside(nights, parse_study(FEW_SHOT, folder=nights.folder))


def _together(nights: Nights) -> Night:
    """Two labels a picture, a third of each missing."""
    folder = nights.folder / "pairs"
    draw_shapes(folder, 24, first=400)
    lines = []
    for number, path in enumerate(sorted(folder.rglob("*.png"))):
        row = [str(path.relative_to(folder)), path.parent.name, ("small", "large")[number % 2]]
        row[1 + number % 3 : 2 + number % 3] = [""] if number % 3 < 2 else []
        lines.append(",".join(row))
    (folder / "labels.csv").write_text("\n".join(["file,shape,size", *lines]) + "\n")
    return _run_beside(nights, parse_study(TOGETHER, folder=nights.folder))


def _described(nights: Nights) -> Night:
    """The same pictures, by a network with ImageNet's 1,000 outputs (of random weights) and texts."""
    import torch
    from safetensors.torch import save_file
    from torchvision.models import mobilenet_v2

    torch.manual_seed(0)
    weights = nights.folder / "imagenet.safetensors"
    save_file(mobilenet_v2().state_dict(), weights)
    text = DESCRIBED.replace("imagenet.safetensors", str(weights))
    return _run_beside(nights, parse_study(text, folder=nights.folder))


def _extension(nights: Nights) -> dict[str, InputRef]:
    """A class added to the champion of the second night."""
    draw_crosses(nights.folder / "more", 3)
    store, place = nights.opened, str(nights.folder / "more")
    backend = lambda extension: KeptBackend(store, 1)  # noqa: E731
    made = extend_champion(store, "shapes", "cross", place, list_pictures(place), backend, Silent(), "ada")
    models = {f"extend:{role}": ref for role, ref in made.models.items()}
    return {**models, "evaluate:extended": made.evaluation}


def _run_beside(nights: Nights, asked: LoadedStudy) -> Night:
    store = open_store(str(nights.store))
    outcome = run_study(asked, store, KeptBackend(store, 1), Silent(), lambda execution: None)
    assert outcome.state == "succeeded", [work.sentence for work in outcome.works if work.state == "failed"]
    return Night(outcome.execution)


def digests(store: Store) -> dict[str, str]:
    """{step/key: digest} of all that is complete in a store, but for reports, which say how long their tasks took."""
    names = [stat.name for stat in store.list("artifacts/") if stat.name.endswith("/manifest.json")]
    manifests = [Manifest.from_json(store.get(name)) for name in names]
    return {f"{each.step}/{each.key}": each.digest for each in manifests if each.step != "report"}


def _without_schedule(season: Season, folder: Path) -> Bench:
    bench = Bench(folder)
    shutil.copytree(season.nights.images, bench.images)
    text = season.nights.study.read_text()
    bench.study.write_text(text[: text.index("schedule:")])
    return bench


@pytest.fixture(scope="session")
def whole(season: Season, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The season's study without its schedule, run once and undisturbed."""
    bench = _without_schedule(season, tmp_path_factory.mktemp("whole"))
    outcome = bench.run(cores=1)
    assert outcome.state == "succeeded", [work.sentence for work in outcome.works if work.state == "failed"]
    return bench


@pytest.fixture
def fresh(season: Season, tmp_path: Path) -> Bench:
    """The same study and pictures, nothing computed yet."""
    return _without_schedule(season, tmp_path)


@pytest.fixture
def undisturbed(whole: Bench) -> dict[str, str]:
    return digests(open_store(str(whole.store)))


@dataclass(frozen=True)
class Ward:
    """A copy of the season's store in which one task after the other is forgotten, killed and done again."""

    store: Store
    folder: Path
    process: subprocess.Popen[str]

    def forget(self, ref: InputRef) -> None:
        """As if the task had been written and never started: what the driver puts there for ``prepare`` stays."""
        names = [s.name for prefix in (f"artifacts/{ref.step}/{ref.key}/", f"work/{ref.key}/") for s in self.store.list(prefix)]
        self.store.delete([name for name in names if not name.endswith("/listing.json")])

    def attempt(self, ref: InputRef, at: int = 0, when: str = "before", arguments: tuple[str, ...] = ()) -> int:
        """Run the task in a process of its own that is killed at its ``at``-th write (0: not); its exit code."""
        given = ["--task", f"{self.store.url}/{task_name(ref.key)}", *arguments]
        request = {"step": ref.step, "arguments": given, "at": at, "when": when, "output": str(self.folder / "output")}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return int(json.loads(self.process.stdout.readline())["code"])

    def manifest(self, ref: InputRef) -> Manifest:
        found = load_manifest(self.store, ref.step, ref.key)
        assert found is not None, (self.folder / "output").read_text()[-2000:]
        return found

    def said(self) -> str:
        return (self.folder / "output").read_text()[-3000:]


@contextmanager
def open_ward(store: Store, folder: Path) -> Iterator[Ward]:
    """Over a store, with a folder for its process' own files."""
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "TLBATCH_THREADS": "1", "OMP_NUM_THREADS": "1", "TLBATCH_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "tests.faults.dying"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"ready": True}
        yield Ward(store, folder, process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="session")
def ward(season: Season, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder = tmp_path_factory.mktemp("ward")
    shutil.copytree(season.nights.store, folder / "store")
    with open_ward(open_store(str(folder / "store")), folder) as opened:
        yield opened
