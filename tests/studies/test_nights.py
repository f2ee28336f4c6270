"""A schedule's firings as a whole, on drawn pictures: what is pinned, who is champion, what a changed test set costs."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import ImageDraw

from tests.noise import noise
from tests.studies.kept import KeptBackend
from tests.studies.nights import Night, Nights
from tests.studies.shapes import draw_shapes
from tlbatch.advice.studies import advice_study
from tlbatch.champions.champion import load_champion
from tlbatch.commands.advise import pinned_by
from tlbatch.execution.driver import Silent
from tlbatch.execution.launch import run_study
from tlbatch.planning.champion_tasks import CHAMPION, DECIDE, PIN
from tlbatch.records.executions import Execution, list_executions
from tlbatch.records.states import DONE
from tlbatch.spec import load_study

STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: shapes
dataset:
  url: images
  split: {train: 32, validation: 16, test: 32}
control: none
precision: fp32
runs:
  - name: cnn
    model: {scratch: {channels: [4, 8], padding: same, dense: [8]}}
    input: {size: 16}
    train: {epochs: 3, batch_size: 8, lr: 3e-3}
  - name: features
    model: {backbone: mobilenet_v2, weights: random, head: {logistic: {c: [1.0]}}}
    strategy: features
    input: {size: 32}
schedule: {cron: "0 3 * * *"}
"""


@pytest.fixture(scope="session")
def first_firing(tmp_path_factory: pytest.TempPathFactory) -> tuple[Nights, Night]:
    """The study fired once on an empty store."""
    nights = Nights(tmp_path_factory.mktemp("nights"))
    draw_shapes(nights.images, 48)
    nights.study.write_text(STUDY)
    return nights, nights.fire()


def copy_of(first_firing: tuple[Nights, Night], folder: Path) -> Nights:
    """Everything after the first firing, to go on from."""
    shutil.copytree(first_firing[0].folder, folder)
    return Nights(folder)


@pytest.fixture
def nights(first_firing: tuple[Nights, Night], tmp_path: Path) -> Nights:
    return copy_of(first_firing, tmp_path / "copy")


@pytest.mark.slow
def test_advice_reads_no_image_that_the_schedule_tests_on(nights: Nights) -> None:
    """With half as many images again the split that the study draws is another one, and would advise on pinned test images."""
    draw_shapes(nights.images, 24, first=300)
    loaded, store = load_study(nights.study), nights.opened
    asked = advice_study(
        loaded, [{"backbone": "squeezenet1_1", "weights": "random"}], {}, "last", pinned=pinned_by(loaded, store)
    )
    outcome = run_study(asked, store, KeptBackend(store, 1), Silent(), lambda _: None)
    assert outcome.state == "succeeded", [work.sentence for work in outcome.works if work.state == "failed"]
    night = Night(outcome.execution)
    items = night.document("probe:squeezenet1-1", "items.json")["items"]
    pins = Night(last_execution(nights)).pins
    assert {each["id"] for each in items if each["part"] == "validation"} == {pin["id"] for pin in pins["validation"]}
    assert not {each["id"] for each in items} & {pin["id"] for pin in pins["test"]}
    assert len(items) == 2 * (48 + 24) - len(pins["test"])


def last_execution(nights: Nights) -> Execution:
    """Of the last firing: executions of advice are called otherwise."""
    [found] = [each.id for each in list_executions(nights.opened) if each.study == "shapes"]
    return Execution(nights.opened, found)


@dataclass(frozen=True)
class Story:
    """Four firings: the first; after new images, and copies of pinned ones; after changes of the test set; a night later."""

    first: Night
    added: Night
    changed: Night
    later: Night
    uses: dict[int, int]
    copies: dict[str, set[str]]  #: part -> the two paths of one pinned image of it
    gone: dict[str, Any]  #: the pin of a removed test image
    wrong: dict[str, Any]  #: the pin of a disc that is called square from the third firing on


@pytest.fixture(scope="session")
def story(first_firing: tuple[Nights, Night], tmp_path_factory: pytest.TempPathFactory) -> Story:
    nights, first = copy_of(first_firing, tmp_path_factory.mktemp("story") / "copy"), first_firing[1]
    images, test, validation = nights.images, first.pins["test"], first.pins["validation"]
    draw_shapes(images, 5, first=900)
    copies = {}
    for part, pin in (("test", test[0]), ("validation", validation[0])):
        copies[part] = {pin["path"], f"{pin['label']}/again-{part}.png"}
        shutil.copy(images / pin["path"], images / max(copies[part] - {pin["path"]}))
    added = nights.fire()
    gone, wrong = test[1], next(pin for pin in test[2:] if pin["label"] == "disc")
    (images / gone["path"]).unlink()
    (images / wrong["path"]).rename(images / "square" / f"corrected-{Path(wrong['path']).name}")
    changed = nights.fire()
    draw_shapes(images, 1, first=950)
    later = nights.fire()
    return Story(first, added, changed, later, nights.uses("shapes"), copies, gone, wrong)


def made(night: Night, task: str) -> dict[str, Any]:
    return night.manifest(task).made


def test_the_first_firing_pins_and_crowns(first_firing: tuple[Nights, Night]) -> None:
    nights, night = first_firing
    decision, pins = night.decision, night.pins
    assert (decision["outcome"], decision["why"]) == ("first", None)
    assert decision["sentence"].startswith(
        f"The first champion is {decision['challenger']['run']} (seed 0), the best of 2 models"
    )
    assert (decision["test"]["version"], decision["test"]["images"], decision["test"]["count"]) == (1, 32, 0)
    assert sorted(night.predictions("evaluate:cnn")["ids"]) == [pin["id"] for pin in pins["test"]]
    champion, _ = load_champion(nights.opened, "shapes")
    assert champion is not None
    assert (champion.serial, champion.run, champion.classes) == (1, decision["challenger"]["run"], ("disc", "square"))
    assert champion.models == {"model:0": night.ref(f"finetune:{champion.run}:0")}
    best = max(decision["candidates"], key=lambda one: (one["validation"]["accuracy"], -one["validation"]["log_loss"]))
    assert best["run"] == champion.run


def test_new_images_train_and_cost_only_themselves(story: Story) -> None:
    night, before = story.added, story.first
    pins, fresh = night.pins, night.pins["fresh"]
    assert {part: pins[part] for part in ("version", "validation", "test")} == {
        part: before.pins[part] for part in ("version", "validation", "test")
    }
    assert made(night, "extract:features")["forward_passes"] == 10
    assert made(night, CHAMPION)["forward_passes"] == len(fresh), "only what came, and judges before it trains"
    earlier = before.predictions(f"evaluate:{before.decision['challenger']['run']}")
    assert night.predictions(CHAMPION) == earlier
    trained = night.document("finetune:cnn:0", "card.json")["images"]
    assert trained == {"train": 58 - len(fresh), "validation": 16}  # 48 neither validation nor test, and ten


def test_fresh_images_judge_both_and_train_nobody(story: Story) -> None:
    """Of ten new images some wait. What breaks it: fresh units left among those that train, in jobs.data.split."""
    fresh = {pin["id"] for pin in story.added.pins["fresh"]}
    assert fresh, "a share of a fifth of ten"
    assert not fresh & {pin["id"] for part in ("test", "validation") for pin in story.added.pins[part]}
    decision = story.added.decision
    for task, who in ((CHAMPION, "champion"), (f"evaluate:{decision['challenger']['run']}", "challenger")):
        said = story.added.document(task, "fresh.json")
        assert set(said["ids"]) == fresh
        assert decision[who]["fresh"]["images"] == len(fresh)
        right = [int(np.argmax(p)) == y for p, y in zip(said["probabilities"]["0"], said["labels"], strict=True)]
        assert decision[who]["fresh"]["metrics"]["accuracy"]["value"] == pytest.approx(np.mean(right))
    assert fresh <= {pin["id"] for pin in story.later.pins["fresh"]}, "they wait until newer ones take their place"


def test_a_decision_has_its_numbers(story: Story) -> None:
    decision = story.added.decision
    assert decision["outcome"] in ("promoted", "refused")
    assert decision["test"]["count"] == decision["test"]["k"] == 1
    assert decision["test"]["level"] == 0.05
    estimate, right = decision["estimate"], {}
    for who, task in (("challenger", f"evaluate:{decision['challenger']['run']}"), ("champion", CHAMPION)):
        said = story.added.predictions(task)
        right[who] = [int(np.argmax(p)) == y for p, y in zip(said["probabilities"]["0"], said["labels"], strict=True)]
        assert estimate[who] == pytest.approx(np.mean(right[who]))
        assert estimate[who] == pytest.approx(decision[who]["metrics"]["accuracy"]["value"])
    pairs = list(zip(right["challenger"], right["champion"], strict=True))
    assert (estimate["gained"], estimate["lost"]) == (pairs.count((True, False)), pairs.count((False, True)))
    assert [row["class"] for row in decision["classes"]] == ["disc", "square"]
    assert sum(row["n"] for row in decision["classes"]) == 32


def test_copies_of_pinned_images_are_left_out_and_the_report_lists_them(story: Story) -> None:
    left_out = {one["reason"]: one["path"] for one in story.added.report["pinned"]["left_out"]}
    assert len(left_out) == 2
    page = story.added.text("report", "index.html")
    assert "Left out, being too like a pinned image" in page
    for part, paths in story.copies.items():
        path = left_out[f"a copy of a pinned {part} image, or of one group with it"]
        assert path in paths
        assert f"<code>{path}</code>" in page


def test_reports_of_firings_are_of_their_schema(story: Story) -> None:
    schema = json.loads(files("jobs.reporting").joinpath("report.schema.json").read_text())
    described = set(schema["properties"])
    schema["required"] += ["pinned", "decision"]
    for night in (story.first, story.added, story.changed, story.later):
        jsonschema.Draft202012Validator(schema).validate(night.report)
        assert set(night.report) <= described
    assert not jsonschema.Draft202012Validator(schema).is_valid({**story.first.report, "decision": {"outcome": "maybe"}})


def test_the_report_tells_of_the_decision_and_of_how_worn_the_test_set_is(story: Story) -> None:
    document, page = story.added.report, story.added.text("report", "index.html")
    assert document["decision"] == story.added.decision
    assert document["pinned"]["served"] == 1
    assert "It was asked once" in document["pinned"]["sentence"]
    assert '<section id="champion"' in page
    assert story.added.decision["sentence"].partition(":")[0] in page
    assert "The test images were met once" not in page


def test_a_corrected_and_a_removed_test_image_start_a_version_for_both(story: Story) -> None:
    night, pins, wrong = story.changed, story.changed.pins, story.wrong
    assert (pins["version"], len(pins["test"])) == (2, 31)
    assert pins["changed"]["removed"] == [story.gone["path"]]
    assert pins["changed"]["relabelled"] == [{"path": wrong["path"], "before": "disc", "after": "square"}]
    for task in (CHAMPION, f"evaluate:{night.decision['challenger']['run']}"):
        said = night.predictions(task)
        assert sorted(said["ids"]) == [pin["id"] for pin in pins["test"]]
        assert said["classes"][said["labels"][said["ids"].index(wrong["id"])]] == "square"
    assert 31 <= made(night, CHAMPION)["forward_passes"] <= 31 + len(pins["fresh"])
    test = night.decision["test"]
    assert (test["version"], test["count"]) == (2, 1)
    assert test["k"] == 2  # nearly all of its images have served a test before
    assert "(version 2)" in night.decision["sentence"]


def test_a_version_lasts_until_the_next_change(story: Story) -> None:
    assert story.later.pins["test"] == story.changed.pins["test"]
    assert story.later.pins["version"] == 2
    crowned = story.changed.decision["outcome"] == "promoted"
    new = {pin["id"] for pin in story.later.pins["fresh"]} - {pin["id"] for pin in story.changed.pins["fresh"]}
    assert made(story.later, CHAMPION)["forward_passes"] <= len(new) + crowned * 31, "what was computed is looked at"
    assert story.later.decision["champion"]["serial"] == story.changed.decision["champion"]["serial"] + crowned
    assert story.uses == {1: 1, 2: 2}


def test_the_champions_own_model_is_no_challenger(nights: Nights) -> None:
    night = nights.fire("description=The same in other words")
    assert night.states(DONE) == {PIN, CHAMPION, DECIDE, "report"}  # the same data: nothing is trained
    decision = night.decision
    assert (decision["outcome"], decision["test"]["count"], decision["estimate"]) == ("same", 0, None)
    assert decision["challenger"]["models"] == decision["champion"]["models"]
    assert "is the champion itself" in decision["sentence"]
    champion, _ = load_champion(nights.opened, "shapes")
    assert champion is not None
    assert champion.serial == 1


def alike(one: dict[str, Any], other: dict[str, Any], seed: str = "0") -> float:
    """The largest difference of probabilities of the images that both are of, in the classes of ``other``."""
    columns = [one["classes"].index(name) for name in other["classes"]]
    rows = dict(zip(other["ids"], other["probabilities"][seed], strict=True))
    pairs = [(row, rows[id_]) for id_, row in zip(one["ids"], one["probabilities"][seed], strict=True) if id_ in rows]
    assert len(pairs) > 20
    return float(np.abs(np.array([a for a, _ in pairs])[:, columns] - np.array([b for _, b in pairs])).max())


def draw_crosses(folder: Path, count: int) -> None:
    (folder / "cross").mkdir(parents=True)
    for number in range(count):
        chance = random.Random(f"cross{number}")
        image = noise(f"cross{number}", (40, 40), 40).convert("RGB").point(lambda value: value // 3)
        image.putpixel((0, 0), (number, 1, 9))
        draw, at = ImageDraw.Draw(image), chance.randrange(12, 28)
        draw.line((0, at, 40, at), fill="white", width=6)
        draw.line((at, 0, at, 40), fill="white", width=6)
        image.save(folder / "cross" / f"{number}.png")


@pytest.mark.slow
def test_a_new_class_that_the_champion_does_not_know(nights: Nights, first_firing: tuple[Nights, Night]) -> None:
    draw_crosses(nights.images, 24)
    night, first = nights.fire(), first_firing[1]
    pins = night.pins
    assert (pins["version"], pins["classes"]) == (2, ["cross", "disc", "square"])
    assert pins["changed"]["new_classes"] == ["cross"]
    crosses = [pin["id"] for pin in pins["test"] if pin["label"] == "cross"]
    assert crosses
    assert {pin["id"] for pin in first.pins["test"]} == {pin["id"] for pin in pins["test"]} - set(crosses)
    said = night.predictions(CHAMPION)
    assert said["classes"] == ["cross", "disc", "square"]
    assert {row[0] for row in said["probabilities"]["0"]} == {0.0}
    assert alike(said, first.predictions(f"evaluate:{first.decision['challenger']['run']}")) < 1e-3
    row = next(row for row in night.decision["classes"] if row["class"] == "cross")
    assert (row["n"], row["champion"], row["lost"]) == (len(crosses), 0.0, 0)


FEATURES = "{name: features, model: {backbone: mobilenet_v2, weights: random, head: {logistic: {c: [1.0]}}}, input: {size: 32}}"
CNN = "{name: cnn, model: {scratch: {channels: [4]}}, input: {size: 16}, train: {epochs: 1, select: last}}"


@pytest.mark.slow
def test_a_champion_of_several_folds_whose_run_the_study_dropped(nights: Nights) -> None:
    """Its heads were trained on cached features: on a new test set their backbone has to be found again."""
    fresh = Nights(nights.folder)
    fresh.study.write_text(STUDY.replace("name: shapes", "name: folded"))
    folded = ["dataset.split.folds=2", "repeat.seeds=[0, 1]"]
    first = fresh.fire(*folded, f"runs=[{FEATURES}]")
    seed = first.decision["challenger"]["seed"]
    champion, _ = load_champion(fresh.opened, "folded")
    assert champion is not None
    assert set(champion.models) == {f"model:{seed}:0", f"model:{seed}:1"}
    assert (len(first.pins["validation"]), len(first.pins["test"])) == (0, 32)
    assert {one["validation"]["n"] for one in first.decision["candidates"]} == {64}
    (fresh.images / first.pins["test"][0]["path"]).unlink()
    night = fresh.fire(*folded, f"runs=[{CNN}]")
    assert made(night, CHAMPION)["forward_passes"] == 31  # of the backbone, which both folds' heads share
    said = night.predictions(CHAMPION)
    assert list(said["probabilities"]) == [str(seed)]
    assert alike(said, first.predictions("evaluate:features"), str(seed)) < 1e-3
    assert (night.decision["champion"]["run"], night.decision["challenger"]["run"]) == ("features", "cnn")
