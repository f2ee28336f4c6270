"""Advice on drawn shapes, end to end: one forward pass an image and candidate, no test image, nothing twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from jobs.models.library import find
from tests.noise import noise
from tests.studies.kept import KeptBackend
from tests.studies.shapes import draw_shapes, head
from tlbatch.advice.outcomes import advices_of, check_advice
from tlbatch.advice.reading import load_advice
from tlbatch.advice.studies import advice_study, advised_study, candidates_of
from tlbatch.execution.driver import Silent
from tlbatch.execution.launch import Outcome, run_study
from tlbatch.forecast import memory_facts
from tlbatch.fsck.surveying import survey
from tlbatch.planning.resolve import plan_study
from tlbatch.reports.listing import load_report
from tlbatch.spec import LoadedStudy, load_study
from tlbatch.spec.load import parse_study
from tlbatch.store import Store, open_store
from tlbatch.store.artifacts import Manifest, load_manifest

TRAIN, VALIDATION, TEST = 12, 6, 8  # of each class
STUDY = (
    head("shapes", "folders: {train: train, validation: validation, test: test}")
    + "  - name: features\n    model: {backbone: squeezenet1_1, weights: weights.safetensors, head: {logistic: {}}}\n"
)


def draw(folder: Path) -> None:
    draw_shapes(folder / "images/train", TRAIN)
    draw_shapes(folder / "images/validation", VALIDATION, first=100)
    draw_shapes(folder / "images/test", TEST, first=200)
    save_file(find("squeezenet1_1").create_seeded(7).state_dict(), folder / "weights.safetensors")
    (folder / "study.yaml").write_text(STUDY)


def asked(folder: Path, images: int | None = None) -> LoadedStudy:
    loaded, store = load_study(folder / "study.yaml"), open_store(str(folder / "store"))
    return advice_study(loaded, candidates_of(loaded, store, folder=False), {"images": images} if images else {}, "last")


def advise(folder: Path, images: int | None = None) -> Outcome:
    store = open_store(str(folder / "store"))
    outcome = run_study(asked(folder, images), store, KeptBackend(store, 2), Silent(), lambda execution: None)
    assert outcome.state == "succeeded", [work.sentence for work in outcome.works if work.state == "failed"]
    return outcome


def manifests(outcome: Outcome) -> dict[str, Manifest]:
    found = {}
    for work in outcome.works:
        assert work.ref is not None
        manifest = load_manifest(outcome.execution.store, work.ref.step, work.ref.key)
        assert manifest is not None
        found[work.name] = manifest
    return found


def passes(outcome: Outcome) -> list[int]:
    return [each.made["forward_passes"] for name, each in manifests(outcome).items() if name.startswith("probe:")]


def read(store: Store, manifest: Manifest, name: str) -> Any:
    return json.loads(store.get(manifest.files[name].path))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    folder = tmp_path_factory.mktemp("advice")
    draw(folder)
    return folder, advise(folder)


def test_one_forward_pass_an_image_of_training_and_validation(first: tuple[Path, Outcome]) -> None:
    _, outcome = first
    assert passes(outcome) == [2 * (TRAIN + VALIDATION)] * 2  # the candidate and the floor
    probe = manifests(outcome)["probe:squeezenet1-1"]
    items = read(outcome.execution.store, probe, "items.json")
    assert len(items["items"]) == 2 * (TRAIN + VALIDATION)
    assert items["whole"] == 2 * (TRAIN + VALIDATION + TEST)
    assert {each["part"] for each in items["items"]} == {"train", "validation"}


def test_again_nothing_is_computed(first: tuple[Path, Outcome]) -> None:
    again = advise(first[0])
    assert {work.state for work in again.works} == {"cached"}
    assert load_advice(again.execution) == load_advice(first[1].execution)


def test_other_labels_of_test_images_change_nothing(first: tuple[Path, Outcome]) -> None:
    """The advice's task does not even run: what it reads has the same digests. Mutation tried: the index handed to it."""
    folder, outcome = first
    before = manifests(outcome)
    test = folder / "images/test"
    moved = [(test / "disc/200.png", test / "square/x200.png"), (test / "square/203.png", test / "disc/x203.png")]
    for old, new in moved:
        old.rename(new)
    try:
        again = advise(folder)
        after = manifests(again)
        states = {work.name: work.state for work in again.works}
    finally:
        for old, new in moved:
            new.rename(old)
    assert after["prepare"].digest != before["prepare"].digest  # the test labels did change
    assert {name: each.digest for name, each in after.items() if name != "prepare"} == {
        name: each.digest for name, each in before.items() if name != "prepare"
    }
    assert states["advise"] == "cached"
    assert after["advise"].key == before["advise"].key
    assert passes(again) == [0, 0]  # rows are looked up by content


def test_other_test_images_change_nothing(first: tuple[Path, Outcome]) -> None:
    """Their pixels are not read either. Mutation tried: test images are among a probe's items."""
    folder, outcome = first
    before, path = manifests(outcome), folder / "images/test/disc/200.png"
    old = path.read_bytes()
    noise("another picture", (40, 40), 60).convert("RGB").save(path)
    try:
        again = advise(folder)
    finally:
        path.write_bytes(old)
    after = manifests(again)
    assert after["prepare"].digest != before["prepare"].digest
    kept = {name: each.digest for name, each in before.items() if name != "prepare"}
    assert {name: each.digest for name, each in after.items() if name != "prepare"} == kept
    assert passes(again) == [0, 0]


def test_a_budget_takes_the_same_share_of_each_class(first: tuple[Path, Outcome]) -> None:
    outcome = advise(first[0], images=20)
    assert passes(outcome) == [0, 0]  # all known from the whole
    items = read(outcome.execution.store, manifests(outcome)["probe:squeezenet1-1"], "items.json")["items"]
    assert sorted(each["label"] for each in items) == ["disc"] * 10 + ["square"] * 10


def test_what_it_says_is_a_report_like_others(first: tuple[Path, Outcome]) -> None:
    _, outcome = first
    report = load_report(outcome.execution)
    assert report is not None
    assert report["table"]["rows"][0][0] == "squeezenet1_1 *"
    assert report["table"]["rows"][1][0] == "squeezenet1_1, random weights"
    store = outcome.execution.store
    page = store.get(outcome.execution.name("report/index.html")).decode()
    assert report["first_sentence"].partition(":")[0] in page
    assert 'src="http' not in page
    assert survey(store).findings == ()


def test_the_study_that_does_it_loads_and_plans(first: tuple[Path, Outcome]) -> None:
    folder, outcome = first
    text = advised_study(asked(folder), "shapes-advised", load_advice(outcome.execution)["runs"])
    loaded = parse_study(text, folder=folder)
    assert loaded.study.runs[-1].model.weights == str(folder / "weights.safetensors")
    resolved, plan = plan_study(loaded, open_store(str(folder / "store")))
    assert {"prepare", "report"} <= plan.nodes.keys()
    assert all(fact.needed_mib for fact in memory_facts(resolved, plan))


@pytest.mark.slow
def test_the_command(first: tuple[Path, Outcome]) -> None:
    folder, _ = first
    command = [
        sys.executable,
        "-m",
        "tlbatch",
        "advise",
        "study.yaml",
        "--store",
        "store",
        "--write",
        "advised.yaml",
        "-o",
        "json",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["state"], document["cost"]["forward_passes"]) == ("succeeded", 2 * (TRAIN + VALIDATION + TEST))
    check = [sys.executable, "-m", "tlbatch", "check", "advised.yaml", "--store", "store"]
    done = subprocess.run(check, cwd=folder, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr


def test_advice_is_held_against_what_came_out(first: tuple[Path, Outcome]) -> None:
    """Before the study has run there is nothing to say; after it the regret of the one candidate is 0."""
    folder, outcome = first
    store = open_store(str(folder / "store"))
    before = check_advice(advices_of(store, "shapes")[-1])
    assert (before.execution, before.outcomes, before.regret) == (outcome.execution.id, {}, None)
    done = run_study(load_study(folder / "study.yaml"), store, KeptBackend(store, 2), Silent(), lambda execution: None)
    assert done.state == "succeeded"
    after = check_advice(outcome.execution)
    assert done.report is not None
    [run] = [run for run in done.report["runs"] if run["name"] == "features"]
    assert after.outcomes["squeezenet1-1"].accuracy == run["metrics"]["accuracy"]["value"]
    assert after.regret == 0.0
    assert after.to_json()["regret"] == 0.0
