"""One point of a curve, in a process of its own: ``python -m tests.bench.growth.points CURVE X FOLDER`` prints JSON.

``cpu_s``: of this process and those that it waited for, from where everything is imported; ``peak_mib``: the most it held;
``requests``, ``bytes``: what was asked of the store. Where a curve has more to tell, by other names.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from tests.bench.growth.counted import CountedStore
from tlbatch.peak_memory import peak_memory_mib
from tlbatch.store import Store
from tlbatch.store.directory import DirectoryStore

Told = dict[str, float]
CURVES: dict[str, Callable[[int, Path], Told]] = {}
HEAD = """apiVersion: tlbatch/v1
kind: Study
name: {name}
dataset: {{url: "{url}", split: {{train: 0.6, validation: 0.2, test: 0.2}}}}
runs:
"""
KEYS_OF_CLASSES = 20_000


def curve(function: Callable[[int, Path], Told]) -> Callable[[int, Path], Told]:
    CURVES[function.__name__] = function
    return function


def cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@contextmanager
def measured(told: Told) -> Iterator[None]:
    started = cpu_s()
    yield
    told["cpu_s"] = round(cpu_s() - started, 3)


def runs(count: int, first: int = 0) -> str:
    """Networks from scratch, heads on features of one backbone, fine-tuned ones: a third each."""
    kinds = (
        "model: {{scratch: {{channels: [4], dense: [4]}}}}, input: {{size: 16}}, train: {{lr: {lr}}}",
        "model: {{backbone: mobilenet_v2, weights: random, head: {{dense: [{wide}]}}}}, strategy: features",
        "model: {{backbone: mobilenet_v2, weights: random, head: {{}}}}, strategy: {{finetune: {{unfreeze: all}}}}, "
        "train: {{lr: {lr}}}",
    )
    numbers = range(first, first + count)
    made = (kinds[n % 3].format(lr=1e-5 * (1 + n), wide=8 + n) for n in numbers)
    return "".join(f"  - {{name: run{n}, {each}}}\n" for n, each in zip(numbers, made, strict=True))


def folder_of(path: Path, count: int, classes: int) -> Path:
    """Empty files of ``classes``: they are listed, and never opened."""
    for label in range(classes):
        (path / f"class{label:04}").mkdir(parents=True)
        for number in range(label, count, classes):
            (path / f"class{label:04}" / f"{number}.jpg").touch()
    return path


def study(folder: Path, url: str, text: str, name: str = "grown") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(HEAD.format(name=name, url=url) + text, encoding="utf-8")
    return path


def checked(path: Path, store: str, told: Told) -> None:
    """``tlbatch check``, and what it says."""
    import tlbatch.cli
    import tlbatch.commands.studies
    import tlbatch.forecast
    import tlbatch.planning.resolve
    import tlbatch.spec
    import tlbatch.store.s3

    said = io.StringIO()
    with measured(told), contextlib.redirect_stdout(said):
        tlbatch.cli.cli.main(["check", str(path), "--store", store, "-o", "json"], standalone_mode=False)
    assert json.loads(said.getvalue())["tasks"]


@contextmanager
def bucket(keys: int, classes: int) -> Iterator[list[int]]:
    """The invented bucket in a process of its own; yields what grows by one with every request."""
    import botocore.endpoint

    server = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.growth.bucket", str(keys), str(classes)], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    asked: list[int] = []
    send = botocore.endpoint.Endpoint._send
    botocore.endpoint.Endpoint._send = lambda *given: asked.append(1) or send(*given)
    try:
        access = {"AWS_ACCESS_KEY_ID": "invented", "AWS_SECRET_ACCESS_KEY": "invented", "AWS_DEFAULT_REGION": "us-east-1"}
        os.environ.update(access | {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{server.stdout.readline().strip()}"})
        yield asked
    finally:
        botocore.endpoint.Endpoint._send = send
        server.terminate()
        server.wait(10)


# -- before anything runs -------------------------------------------------------------------------------------------------


@curve
def check_files_of_a_folder(x: int, folder: Path) -> Told:
    told: Told = {}
    checked(study(folder, str(folder_of(folder / "images", x, 100)), runs(3)), str(folder / "store"), told)
    return told


@curve
def check_keys_of_a_bucket(x: int, folder: Path) -> Told:
    told: Told = {}
    with bucket(x, 100) as asked:
        checked(study(folder, "s3://invented", runs(3)), str(folder / "store"), told)
    return {**told, "requests": len(asked)}


@curve
def check_classes(x: int, folder: Path) -> Told:
    """Of 20,000 keys of a bucket."""
    told: Told = {}
    with bucket(KEYS_OF_CLASSES, x) as asked:
        checked(study(folder, "s3://invented", runs(3)), str(folder / "store"), told)
    return {**told, "requests": len(asked)}


@curve
def check_runs(x: int, folder: Path) -> Told:
    told: Told = {}
    checked(study(folder, str(folder_of(folder / "images", 1000, 100)), runs(x)), str(folder / "store"), told)
    return told


# -- drivers --------------------------------------------------------------------------------------------------------------


def driven(paths: list[Path], store: Store, folder: Path) -> None:
    """Drivers at once over tasks that compute nothing: what is left is what driving costs."""
    from tests.tlbatch.execution.test_driver import ScriptedBackend
    from tlbatch.execution.driver import Driver
    from tlbatch.planning.resolve import plan_study
    from tlbatch.records.executions import Execution
    from tlbatch.spec import load_study

    ends: list[str] = []

    def drive(path: Path) -> None:
        _, plan = plan_study(load_study(path), store)
        execution = Execution(store, f"{path.stem}-20260101-0000-aaaa")
        execution.save_study(path.read_text(encoding="utf-8"))
        (folder / path.stem).mkdir()
        backend = ScriptedBackend(store, folder / path.stem, room=8)
        ends.append(Driver(plan, store, backend, execution, poll_s=0.02).run())

    threads = [threading.Thread(target=drive, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends == ["succeeded"] * len(paths), ends


def counted(folder: Path) -> CountedStore:
    return CountedStore(DirectoryStore(folder))


@curve
def drive_runs(x: int, folder: Path) -> Told:
    """100 classes; then how many requests `tlbatch status` takes."""
    from tlbatch.display.status_table import rows
    from tlbatch.records.executions import find_execution

    told: Told = {}
    store = counted(folder / "store")
    path = study(folder, str(folder_of(folder / "images", 1000, 100)), runs(x))
    with measured(told):
        driven([path], cast(Store, store), folder)
    told |= {"requests": store.requests, "bytes": store.bytes}
    store.requests = 0
    execution = find_execution(cast(Store, store), "grown-20260101-0000-aaaa")
    assert rows(execution, execution.load_status() or {})
    return {**told, "requests of status": store.requests}


@curve
def drive_studies_at_once(x: int, folder: Path) -> Told:
    """Of three runs each, of one dataset, which is prepared once, in one store."""
    told: Told = {}
    store = counted(folder / "store")
    images = str(folder_of(folder / "images", 1000, 100))
    paths = [study(folder, images, runs(3, 3 * number), f"grown{number}") for number in range(x)]
    with measured(told):
        driven(paths, cast(Store, store), folder)
    return {**told, "requests": store.requests, "bytes": store.bytes}


@curve
def list_executions_of_a_store(x: int, folder: Path) -> Told:
    from tlbatch.records.executions import Execution, list_executions

    told: Told = {}
    store = counted(folder / "store")
    for number in range(x):
        execution = Execution(cast(Store, store), f"grown-20260101-{number:04}-aaaa")
        execution.save_study("name: grown")
        execution.save_status({"state": "succeeded", "study": "grown", "tasks": {}})
    store.requests = 0
    with measured(told):
        assert len(list_executions(cast(Store, store))) == x
    return {**told, "requests": store.requests}


# -- steps ----------------------------------------------------------------------------------------------------------------


@curve
def extract_shards(x: int, folder: Path) -> Told:
    """256 pictures of 16 pixels, one shard after the other, in one process."""
    from jobs.context import Context
    from jobs.extract import run
    from tests.jobs.conftest import UNIT, Bench
    from tlbatch.tasks import Task

    told: Told = {}
    made = Bench(folder, 256)
    store = CountedStore(made.store)
    backbone = {"name": "squeezenet1_1", "weights": {"kind": "random", "seed": 3}}
    params = {"backbone": backbone, "layer": None, "pool": "avg", "input": {**UNIT, "size": 32}, "precision": "fp32"}
    task = Task("extract", {**params, "views": None}, {"dataset": made.inputs["dataset"]})
    with measured(told), contextlib.redirect_stdout(io.StringIO()):
        for index in range(x):
            context = Context(cast(Store, store), task, f"a{index}", folder / f"s{index}", shard=(index, x))
            run(context)
            manifest = context.finish()
    assert manifest is not None
    return {**told, "requests": store.requests, "bytes": store.bytes}


@curve
def prepare_images(x: int, folder: Path) -> Told:
    """JPEGs of 64 pixels of noise, near copies looked for among all pairs."""
    from PIL import Image

    from tests.bench.test_prepare import prepare
    from tests.noise import noise

    for label in "ab":
        (folder / "images" / label).mkdir(parents=True)
    for number in range(x):
        picture = noise(str(number), (8, 8), 60).convert("RGB").resize((64, 64), Image.Resampling.BICUBIC)
        picture.save(folder / "images" / "ab"[number % 2] / f"{number}.jpg", quality=90)
    before = cpu_s()
    made = prepare(folder / "images", folder / "store", threads=1).made
    peak = float(made["peak_memory_mib"])
    return {"cpu_s": round(cpu_s() - before, 3), "peak_mib": peak, "seconds of near copies": made["duplicates_s"]}


@curve
def head_classes(x: int, folder: Path) -> Told:
    """A logistic head, its C chosen of six by folds, of 20 images a class and 128 features."""
    from jobs.heads.logistic import fit
    from tests.bench.test_many_classes import drawn
    from tlbatch.spec.model import Logistic

    told: Told = {}
    features, labels = drawn(20 * x, 128, x, noise=4)
    with measured(told):
        fit(features, labels, x, cs=Logistic().c, folds=5, seed=0)
    return told


@curve
def metrics_classes(x: int, folder: Path) -> Told:
    """All metrics with their intervals, of 2,000 test images: what `evaluate` computes of a run."""
    import numpy as np

    from jobs.metrics.per_class import class_report
    from jobs.metrics.ranking import curves
    from jobs.metrics.summary import summarise
    from jobs.statistics.predictions import Predictions

    told: Told = {}
    chance = np.random.default_rng(0)
    labels = np.arange(2000) % x
    logits = chance.normal(size=(2000, x))
    logits[np.arange(2000), labels] += 3
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    predictions = Predictions(labels, probabilities, np.arange(2000))
    names = [str(number) for number in range(x)]
    with measured(told):
        summarise({"0": predictions})
        curves(predictions, names)
        class_report(predictions, names)
    return told


def reported(folder: Path, classes: int, trained: list[Any], n_test: int) -> Told:
    """The report's CPU seconds and memory, of artifacts that another process draws; then its page in Chromium."""
    drawing = subprocess.run(
        [sys.executable, "-m", "tests.bench.growth.drawing", str(folder), str(classes), str(n_test), json.dumps(trained)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    from jobs.context import Context
    from jobs.report import run
    from tlbatch.tasks import load_task

    told: Told = {}
    store = counted(folder / "store")
    task = load_task(cast(Store, store), drawing.stdout.split()[-1])
    assert task is not None
    context = Context(cast(Store, store), task, "a1", folder / "scratch")
    with measured(told), contextlib.redirect_stdout(io.StringIO()):
        run(context)
        context.finish()
    page = folder / "scratch" / "out" / "index.html"
    told |= {"peak_mib": peak_memory_mib(), "requests": store.requests, "page_mb": round(page.stat().st_size / 1e6, 3)}
    return told | opened(page)


def opened(page: Path) -> Told:
    """Elements, and seconds of the clock until it is loaded and laid out; nothing where there is no Chromium."""
    import shutil
    import time

    from tests.browser.conftest import FLAGS

    chromium = os.environ.get("TLBATCH_CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), "")
    if not chromium:
        return {}
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        try:
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            tab.set_default_timeout(120_000)
            started = time.perf_counter()
            tab.goto(page.as_uri())
            elements = tab.evaluate("document.body.scrollHeight && document.querySelectorAll('*').length")
            return {"opened_s": round(time.perf_counter() - started, 2), "elements": elements}
        finally:
            browser.close()


@curve
def report_runs(x: int, folder: Path) -> Told:
    """Of five classes; every other run is pretrained and has a control. x counts runs and controls."""
    trained: list[Any] = []
    for number in range(0, x, 3):
        some = [[f"cnn{number}", 1.0, {}], [f"tuned{number}", 2.0, {"pretrained": True, "strategy": "features"}]]
        some.append([f"tuned{number}-random", 0.5, {"control_for": [f"tuned{number}"], "strategy": "features"}])
        trained += some[: x - number]
    return reported(folder, 5, trained, 400)


@curve
def report_classes(x: int, folder: Path) -> Told:
    """Of two runs and two test images a class (400 at least)."""
    trained = [["cnn", 2.0, {}], ["tuned", 4.0, {"pretrained": True, "strategy": "features"}]]
    return reported(folder, x, trained, max(400, 2 * x))


if __name__ == "__main__":
    name, x, folder = sys.argv[1:]
    found = CURVES[name](int(x), Path(folder))
    found.setdefault("peak_mib", peak_memory_mib())
    print(json.dumps(found))
