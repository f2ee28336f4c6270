"""The report step as a whole: what it writes, and that it writes the same twice."""

from __future__ import annotations

import csv
import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import numpy as np
import pytest
from markdown_it import MarkdownIt

from jobs.report import run
from jobs.reporting.cautions import few_units
from jobs.reporting.sources import load_sources
from jobs.reporting.suspected import suspected_of
from jobs.reporting.views.mistakes import unjudged_training_labels
from tests.jobs.reporting.drawn import StudyOnDisk, Trained, draw_study
from tlbatch.store.artifacts import manifest_name, set_aside

RUNS = [
    Trained("cnn", 1.0, used={"input_share": 0.231, "mfu": 0.35}),
    Trained("features", 3.0, pretrained=True, strategy="features", mismatched=True),
    Trained(
        "finetuned",
        3.5,
        pretrained=True,
        strategy={"finetune": {"unfreeze": ["block5"]}},
        used={"input_share": 0.1, "mfu": 0.08},
    ),
    Trained("features-random", 0.8, control_for=("features", "finetuned"), strategy="features"),
    Trained("no-labels", 2.0, pretrained=True, zero_label=True),
]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyOnDisk:
    return draw_study(tmp_path_factory.mktemp("study"), ["cat", "dog <x>"], RUNS)


@pytest.fixture(scope="module")
def out(study: StudyOnDisk) -> Path:
    run(study.context())
    return study.root / "scratch" / "out"


@pytest.fixture(scope="module")
def report(out: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((out / "report.json").read_text())
    return document


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_document_is_of_its_schema(report: dict[str, Any]) -> None:
    schema = json.loads((Path(__file__).parents[2] / "jobs" / "reporting" / "report.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(report)
    undescribed = set(report) - set(schema["properties"])
    assert not undescribed


def test_trainings_that_wait_or_idle_are_marked(study: StudyOnDisk, out: Path, report: dict[str, Any]) -> None:
    """Fails when the bounds are on the wrong side, or a page of a study that says nothing of it has columns for it."""
    tasks = {task["name"]: (task["input_share"], task["mfu"]) for task in report["tasks"]}
    assert tasks["finetune:cnn:0"] == (0.231, 0.35)
    assert tasks["evaluate:cnn"] == (None, None)
    page = (out / "index.html").read_text()
    for shown in (
        "23.1 % ▲</td>",
        "35.0 %</td>",
        "10.0 %</td>",
        "8.0 % ▼</td>",
        ">MFU</th>",
        "more cores or a simpler augmentation",
    ):
        assert page.count(shown) == 1, shown
    assert ">inputs</th>" in page


def test_where_nobody_measured_there_are_no_columns(tmp_path: Path) -> None:
    study = draw_study(tmp_path, ["cat", "dog"], [Trained("cnn", 1.0)])
    run(study.context())
    page = (tmp_path / "scratch" / "out" / "index.html").read_text()
    assert ">inputs</th>" not in page
    assert "MFU" not in page


def test_the_same_study_gives_the_same_bytes(study: StudyOnDisk, out: Path) -> None:
    run(study.context("again"))
    again = files(study.root / "again" / "out")
    assert {name for name, content in files(out).items() if again.get(name) != content} == set()
    assert set(again) == set(files(out))


def test_the_table_can_be_printed_from_the_document_alone(report: dict[str, Any]) -> None:
    table = report["table"]
    assert table["columns"][:3] == ["run", "accuracy", "95 % interval"]
    assert [row[0] for row in table["rows"]] == [
        "cnn",
        "features",
        "finetuned",
        "features-random (control)",
        "no-labels (no labels)",
    ]
    assert {len(row) for row in table["rows"]} == {len(table["columns"])}
    value = table["values"][0]["metrics"]["accuracy"]
    assert table["rows"][0][1] == f"{100 * value['value']:.1f} %"
    assert table["rows"][0][2] == f"{100 * value['low']:.1f} – {100 * value['high']:.1f}"


def test_contrasts_agree_with_the_predictions(study: StudyOnDisk, report: dict[str, Any]) -> None:
    accuracy = {entry["name"]: entry["metrics"]["accuracy"]["value"] for entry in report["runs"]}
    assert report["contrasts"]
    for contrast in report["contrasts"]:
        assert contrast["accuracy"]["value"] == pytest.approx(accuracy[contrast["a"]] - accuracy[contrast["b"]], abs=1e-9)
        assert contrast["accuracy"]["low"] <= contrast["accuracy"]["value"] <= contrast["accuracy"]["high"]


class Page(HTMLParser):
    """Ids, links, pictures, tables and landmarks of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if found.get("id"):
            self.ids.append(str(found["id"]))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(out: Path) -> str:
    return (out / "index.html").read_text(encoding="utf-8")


def test_the_page_asks_nothing_of_anyone(page: str) -> None:
    parsed = Page(page)
    for tag, attrs in parsed.tags:
        for name in ("src", "href", "xlink:href", "srcset", "data", "action"):
            assert (attrs.get(name) or "#").startswith(("#", "data:")), (tag, attrs)
    assert not re.search(r"url\((?!#|data:)", page)
    assert "@import" not in page
    policy = next(str(attrs["content"]) for attrs in parsed.of("meta") if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "http" not in policy


def test_the_page_can_be_read_without_eyes(page: str) -> None:
    parsed = Page(page)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert all(attrs.get("alt") for attrs in parsed.of("img"))
    assert [attrs.get("lang") for attrs in parsed.of("html")] == ["en"]
    for landmark in ("header", "nav", "main", "footer"):
        assert len(parsed.of(landmark)) == 1, landmark
    labels = [attrs.get("aria-labelledby") for tag, attrs in parsed.tags if tag in ("section", "svg", "article", "aside")]
    assert labels
    assert set(labels) <= set(parsed.ids)
    assert all(attrs.get("scope") in ("row", "col") for attrs in parsed.of("th"))
    levels = [int(tag[1]) for tag, _ in parsed.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))


def test_names_are_escaped(page: str) -> None:
    assert "dog &lt;x&gt;" in page
    assert "<x>" not in page
    assert "a/9 &lt;b&gt;.jpg" in page


def test_the_page_shows_what_was_asked_for(page: str, report: dict[str, Any]) -> None:
    assert report["first_sentence"].split(": ", 1)[1][1:60] in page
    for words in (
        "Overfits from epoch 7",
        "No overfitting seen",
        "size 150 instead of 224",
        "Most confident mistakes",
        "Labels that may be wrong",
        "Predictions on test images drawn at random",
        "Training images",
        "Test images",
        "truncated: 12 bytes",
        "mirrored",
        "What was trainable, layer by layer",
        "Bottleneck features",
    ):
        assert words in page, words


def test_figures_and_tables_are_files_too(out: Path) -> None:
    names = set(files(out))
    figures = {name.removeprefix("figures/") for name in names if name.startswith("figures/")}
    assert {name[:-4] for name in figures if name.endswith(".svg")} == {name[:-4] for name in figures if name.endswith(".png")}
    for figure in ("accuracy", "differences", "roc", "roc-worst-best", "coverage", "confusion-cnn", "curves-cnn-loss"):
        assert f"{figure}.svg" in figures
    assert {"cards/cnn.md", "cards/features.md", "cards/features-random.md"} <= names
    assert "cards/no-labels.md" not in names
    with (out / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["run"] for row in rows} == {trained.name for trained in RUNS}
    assert all(0 <= float(row["value"]) <= 1 for row in rows if row["metric"] == "accuracy")
    with (out / "suspects.csv").open(newline="") as file:
        suspects = list(csv.DictReader(file))
    assert suspects
    assert all(row["label"] == row["labelled"] for row in suspects)
    assert len({row["path"] for row in suspects}) == len(suspects)
    assert [row["run"] for row in suspects] == ["finetuned"] * 3 + ["features"] * 3, "the best first, what it knows not again"


def test_labels_that_features_judge_are_shown_once(tmp_path: Path) -> None:
    """Of the best run, by whichever name it has there. Fails when the report looks into its evaluation alone."""
    runs = [
        Trained("small", 2.0, pretrained=True, strategy="features"),
        Trained("wide", 3.0, pretrained=True, strategy="features"),
    ]
    study = draw_study(tmp_path, ["cat", "dog"], runs, 100)
    run(study.context())
    (best,) = {row["run"] for row in csv.DictReader((tmp_path / "scratch" / "out" / "suspects.csv").open(newline=""))}
    assert best == json.loads((tmp_path / "scratch" / "out" / "report.json").read_text())["best_run"] == "wide"
    page = (tmp_path / "scratch" / "out" / "index.html").read_text()
    assert "4 images whose label a model that had not seen them would not give" in page
    assert "By features." in page
    assert "unjudged" not in page


def test_evaluations_that_judged_by_features_themselves_are_still_read(tmp_path: Path) -> None:
    """As those of versions before evaluate 7. Fails when the report knows the artifact of suspects alone."""
    study = draw_study(tmp_path, ["cat", "dog"], [Trained("wide", 3.0, pretrained=True, strategy="features")], 100)
    old, judged = study.context("peek").input("evaluate:wide"), study.context("peek").input("suspects")
    files = {name: old.read_bytes(name) for name in old.names()} | {"suspects.json": judged.read_bytes("suspects.json")}
    metrics = old.read_json("metrics.json") | {"suspects": judged.read_json("judged.json") | {"method": "as it was"}}
    study.inputs = {role: ref for role, ref in study.inputs.items() if role not in ("suspects", "evaluate:wide")}
    study.put("evaluate", "old", files | {"metrics.json": json.dumps(metrics).encode()})
    study.inputs["evaluate:wide"] = study.inputs.pop("old")
    run(study.context())
    page = (tmp_path / "scratch" / "out" / "index.html").read_text()
    assert "4 images whose label a model that had not seen them would not give" in page
    assert "As it was." in page


def test_of_several_tasks_each_has_its_own(study: StudyOnDisk) -> None:
    sources = load_sources(study.context("sources"))
    own = {"suspects:breed": sources.artifacts["suspects"]}
    of_task = replace(sources, params=sources.params.model_copy(update={"task": "breed"}), runs=(), artifacts=own)
    assert [each.runs for each in suspected_of(of_task)] == [("features",)]
    assert suspected_of(replace(of_task, params=sources.params)) == []


def test_runs_that_leave_training_labels_unjudged_are_named(out: Path, study: StudyOnDisk) -> None:
    """Beside the labels that may be wrong: who judged which, by what the evaluations say."""
    said = "cnn and finetuned leave the labels of the training images unjudged, having learnt from them; features judges them."
    assert said in (out / "index.html").read_text()
    sources = load_sources(study.context("sources"))
    judged = suspected_of(sources)
    without = [each for each in judged if each.runs != ("features",)]
    assert unjudged_training_labels(without).endswith("; a run on cached features, or dataset.split.folds, would judge them.")
    assert unjudged_training_labels([each for each in judged if each.runs == ("features",)]) == ""


def test_a_card_says_what_the_model_is_worth_and_made_of(out: Path, study: StudyOnDisk) -> None:
    card = (out / "cards" / "features.md").read_text()
    for words in (
        "# features",
        "mobilenet_v2",
        "size 150 instead of 224",
        "| accuracy |",
        "features better than cnn",
        "Lineage",
    ):
        assert words in card, words
    assert study.inputs["finetune:features:0"].digest in card


def test_a_card_shows_classes_as_they_are_called(tmp_path: Path) -> None:
    """Fails where names are written into Markdown as they are: ``*cat*`` is in italics then, ``<b>`` is not there."""
    classes = ["*cat*", "<b>dog", "[x](y)"]
    study = draw_study(tmp_path, classes, [Trained("cnn", 1.0), Trained("cnn2", 2.0)], 100)
    run(study.context())
    card = (tmp_path / "scratch" / "out" / "cards" / "cnn.md").read_text()
    page = MarkdownIt("commonmark").enable("table").render(card)
    for name in classes:
        assert html.escape(name, quote=False) in page, name
    assert ">accuracy</td>" in page


def test_damaged_results_are_told_of(tmp_path: Path) -> None:
    study = draw_study(tmp_path, ["cat", "dog"], [Trained("cnn", 1.0), Trained("cnn2", 2.0)], 100)
    ref = study.inputs["evaluate:cnn"]
    name = manifest_name(ref.step, ref.key)
    good = study.store.get(name)
    set_aside(study.store, ref.step, ref.key, good)
    study.store.put(name, good)
    run(study.context())
    report = json.loads((tmp_path / "scratch" / "out" / "report.json").read_text())
    assert any("evaluate:cnn" in warning and "set aside" in warning for warning in report["warnings"])


def test_few_groups_of_test_images_are_warned_of() -> None:
    """Intervals of what is drawn again are too narrow there; where every image is a unit there is nothing to warn of."""
    for units, warned in ((4, True), (9, True), (10, False), (32, False)):
        runs: Any = [SimpleNamespace(units=units, labels=np.zeros(32))]
        assert bool(few_units(runs)) == warned
    one: Any = [SimpleNamespace(units=5, labels=np.zeros(5))]
    assert few_units(one) == []
    assert few_units([]) == []


def test_a_report_of_one_run_with_little_to_say(tmp_path: Path) -> None:
    """Seven test images, no contrasts, a metrics file of an older version: sections are left out, nothing breaks."""
    study = draw_study(tmp_path, ["cat", "dog"], [Trained("cnn", 1.0, epochs=1)], 7)
    ref = study.inputs["evaluate:cnn"]
    artifact = study.context("peek").input("evaluate:cnn")
    kept = ("predictions.json", "predictions.csv")
    bare = {name: artifact.read_bytes(name) for name in kept} | {"metrics.json": b'{"n": 7, "seeds": {}}'}
    study.inputs.pop("evaluate:cnn")
    study.put("evaluate", "evaluate:cnn:bare", bare)
    study.inputs["evaluate:cnn"] = study.inputs.pop("evaluate:cnn:bare")
    assert study.inputs["evaluate:cnn"] != ref
    run(study.context())
    report = json.loads((tmp_path / "scratch" / "out" / "report.json").read_text())
    assert report["verdict"] == "not tested"
    assert report["contrasts"] == []
    assert any("Fewer than 10 test images of cat and dog" in warning for warning in report["warnings"])


@pytest.mark.slow
def test_a_hundred_and_twenty_classes_stay_below_five_megabytes(tmp_path: Path) -> None:
    names = [f"breed number {i}" for i in range(120)]
    runs = [Trained("features", 4.5, pretrained=True, strategy="features"), Trained("cnn", 2.0)]
    study = draw_study(tmp_path, names, runs, 1200)
    run(study.context())
    assert (tmp_path / "scratch" / "out" / "index.html").stat().st_size < 5e6
