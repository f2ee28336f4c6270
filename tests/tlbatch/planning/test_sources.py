"""Datasets by role in a plan: who is handed which, and whose key changes with what.

The strategies that read sources here are those of a plug-in.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.tlbatch.planning.test_champion_tasks import SCHEDULE
from tests.tlbatch.planning.test_make import TEXT, keys, weights_for
from tlbatch.cluster.submission import check_visible
from tlbatch.errors import DataError, StudyError
from tlbatch.planning.champion_tasks import ChampionState, resolve_champion
from tlbatch.planning.make import make_plan
from tlbatch.planning.plan import Plan
from tlbatch.planning.resolve import document_of
from tlbatch.planning.resolved import ListedData, ResolvedStudy
from tlbatch.planning.runs import resolve_runs
from tlbatch.schedules.firing import study_digest
from tlbatch.spec import parse_study
from tlbatch.store.directory import DirectoryStore
from tlbatch.strategies import STRATEGIES, Strategy

SOURCES = "sources: {films: {url: films, split: {validation: 0.1}}, shop: {url: s3://pets/shop}}\n"
FILMS = ListedData("films", ("bird", "dog"), "f")
SHOP = ListedData("s3://pets/shop", ("cat", "dog"), "s")


def reading(name: str, **given: Any) -> Strategy:
    return replace(STRATEGIES[name], name=f"p:{name}", roles=frozenset({"target", "source"}), **given)


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> dict[str, Strategy]:
    """Strategies of a plug-in ``p`` that read sources."""
    found = {f"p:{name}": reading(name) for name in ("scratch", "features")}
    monkeypatch.setattr("tlbatch.plugins.find", lambda kind, name: found[name])
    monkeypatch.setattr("tlbatch.spec.added.find", lambda kind, name: found[name])
    monkeypatch.setattr("tlbatch.planning.make.used", lambda names: {})
    return found


def plan_of(strategy: str, films: ListedData = FILMS) -> Plan:
    return make_plan(resolved(strategy, films))


def resolved(strategy: str, films: ListedData = FILMS) -> ResolvedStudy:
    model = "scratch: {}" if "scratch" in strategy else "backbone: mobilenet_v2"
    text = TEXT.partition("runs:")[0] + SOURCES + "runs:\n  - {name: cnn, model: {scratch: {}}}\n"
    extra = ", augmentation: {flip: horizontal}, views: 1" if "features" in strategy else ""
    text += f"  - {{name: both, model: {{{model}}}, strategy: '{strategy}'{extra}}}\n"
    study = parse_study(text).study
    runs = resolve_runs(study, weights_for, "fp32")
    data = ListedData("pets", ("cat", "dog"), "d")
    return ResolvedStudy(study, data, runs, sources={"films": films, "shop": SHOP})


def test_each_has_a_task_and_who_does_not_read_it_is_not_handed_it(added: dict[str, Strategy]) -> None:
    nodes = plan_of("p:scratch").nodes
    assert [name for name in nodes if name.startswith("prepare")] == ["prepare", "prepare:films", "prepare:shop"]
    assert nodes["prepare:shop"].locations["dataset"] == "s3://pets/shop"
    assert nodes["finetune:cnn:0"].needs == {"dataset": "prepare"}
    assert nodes["finetune:both:0"].needs == {
        "dataset": "prepare",
        "source:films": "prepare:films",
        "source:shop": "prepare:shop",
        "overlap:films": "overlap:films",
        "overlap:shop": "overlap:shop",
    }
    assert nodes["overlap:films"].needs == {"dataset": "prepare", "source:films": "prepare:films"}
    assert nodes["evaluate:both"].needs.keys() == {"dataset", "model:0", "model:1"}
    assert {role: name for role, name in nodes["report"].needs.items() if "prepare" in name} == {
        "dataset": "prepare",
        "source:films": "prepare:films",
        "source:shop": "prepare:shop",
    }


def test_its_classes_are_the_targets_or_its_own(added: dict[str, Strategy]) -> None:
    asked = plan_of("p:scratch").nodes["finetune:both:0"].params["sources"]
    assert {name: each["classes"] for name, each in asked.items()} == {"films": ["dog"], "shop": ["cat", "dog"]}
    assert asked["films"]["split"]["validation"] == 0.1
    added["p:scratch"] = reading("scratch", shared_classes=False)
    own = plan_of("p:scratch").nodes["finetune:both:0"].params["sources"]
    assert own["films"]["classes"] == ["bird", "dog"]


def test_one_that_shares_no_class_is_a_sentence(added: dict[str, Strategy]) -> None:
    with pytest.raises(DataError, match=r"sources\.films: films has no image of the target's classes \(cat, dog\)"):
        plan_of("p:scratch", replace(FILMS, classes=("bird", "cow")))


def test_features_are_extracted_of_each(added: dict[str, Strategy]) -> None:
    """The target's with views of its training images, a source's plain."""
    nodes = plan_of("p:features").nodes
    assert nodes["extract:both:films"].needs == {"dataset": "prepare:films"}
    assert nodes["extract:both"].params["views"]["count"] == 1
    assert nodes["extract:both:films"].params["views"] is None
    needs = nodes["finetune:both:0"].needs
    assert {role: needs[role] for role in ("features", "features:films")} == {
        "features": "extract:both",
        "features:films": "extract:both:films",
    }
    assert nodes["evaluate:both"].needs["features"] == "extract:both"
    assert "features:films" not in nodes["evaluate:both"].needs


def test_keys_follow_the_source_of_those_that_read_it(added: dict[str, Strategy]) -> None:
    before, after = keys(plan_of("p:scratch")), keys(plan_of("p:scratch", replace(FILMS, digest="other")))
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"prepare:films", "overlap:films", "finetune:both:0", "finetune:both:1", "evaluate:both", "report"}


def test_a_firing_sees_that_a_source_changed(added: dict[str, Strategy]) -> None:
    """Else a night on which only a source has new images would be told as one on which nothing changed."""
    before = study_digest(resolved("p:scratch"))
    assert study_digest(resolved("p:scratch")) == before
    assert study_digest(resolved("p:scratch", replace(FILMS, digest="other"))) != before


def test_a_schedule_pins_judges_and_decides_by_the_target_alone(added: dict[str, Strategy], tmp_path: Path) -> None:
    found = resolved("p:scratch")
    study = found.study.model_copy(update={"schedule": parse_study(TEXT + SCHEDULE).study.schedule})
    defended = resolve_champion(ChampionState(), study, DirectoryStore(tmp_path))
    nodes = make_plan(replace(found, study=study, defended=defended)).nodes
    read = {name: {role for role in nodes[name].needs if role.startswith("source")} for name in nodes}
    assert {name for name, roles in read.items() if roles} == {
        "overlap:films",
        "overlap:shop",
        "finetune:both:0",
        "finetune:both:1",
        "report",
    }
    assert nodes["pin"].needs == {"dataset": "prepare"}
    assert "pinned" in nodes["finetune:both:0"].needs


def test_equal_datasets_are_prepared_once(added: dict[str, Strategy]) -> None:
    nodes = plan_of("p:scratch", replace(FILMS, classes=("cat", "dog"), digest="d")).nodes
    assert nodes["finetune:both:0"].needs["source:films"] == "prepare"
    assert "prepare:films" not in nodes


def test_where_they_lie_is_resolved_shown_and_checked(added: dict[str, Strategy], tmp_path: Path) -> None:
    text = TEXT.replace("runs:", f"{SOURCES}runs:").replace("strategy: features", "strategy: 'p:features'")
    loaded = parse_study(text, folder=tmp_path)
    assert loaded.study.sources["films"].url == str(tmp_path / "films")
    assert loaded.study.sources["shop"].url == "s3://pets/shop"
    assert document_of(loaded)["sources"] == {"films": {"split": {"validation": 0.1}}, "shop": {}}
    with pytest.raises(StudyError, match=r"sources\.films\.url: .* is a folder of this machine") as caught:
        check_visible(loaded.study)
    assert "shop" not in str(caught.value)


@pytest.mark.parametrize(
    ("sources", "sentence"),
    [
        ("{films: {url: films}}", "sources: no run reads them"),
        ("{Films!: {url: films}}", "sources.Films!"),
        ("{films: {ulr: films}}", "sources.films.ulr: unknown key (did you mean 'url'?)"),
        ("{films: {url: 'ftp://x'}}", "sources.films.url: ftp:// cannot be listed"),
        ("{films: {url: x, classes: [a, a]}}", "sources.films.classes: 'a' is there twice"),
        ("{films: {url: x, split: {group: '['}}}", "sources.films.split.group: is not a regular expression"),
        ("{films: {url: x, split: {validation: 1.5}}}", "sources.films.split.validation: 1.5 leaves nothing to train on"),
        ("{films: {url: x, split: {folders: {validation: v}}}}", "sources.films.split.folders: names no folder for train"),
    ],
)
def test_mistakes_are_sentences(sources: str, sentence: str) -> None:
    with pytest.raises(StudyError) as caught:
        parse_study(TEXT.replace("runs:", f"sources: {sources}\nruns:"))
    assert sentence in str(caught.value)


def test_a_strategy_reads_the_target_and_knows_its_roles() -> None:
    for roles, sentence in (({"source"}, "does not read the target"), ({"target", "x"}, "'x', which is no role")):
        with pytest.raises(ValueError, match=sentence):
            replace(STRATEGIES["scratch"], roles=frozenset(roles))
