"""Few-shot episodes in a plan: which classes are held out of everything else, and whose features they are made of."""

from __future__ import annotations

import pytest

from tests.tlbatch.planning.test_make import IMAGES, TEXT, weights_for
from tlbatch.errors import StudyError
from tlbatch.planning.controls import resolve_controls
from tlbatch.planning.make import make_plan
from tlbatch.planning.plan import Plan
from tlbatch.planning.resolved import ListedData, ResolvedStudy
from tlbatch.planning.runs import resolve_runs
from tlbatch.spec import parse_study
from tlbatch.spec.episodes import held_out_classes

NAMES = tuple("abcdefgh")
ASKED = "evaluate={episodes: {ways: 2, classes: 4}}"


def plan_of(*overrides: str) -> Plan:
    study = parse_study(TEXT, overrides=overrides).study
    runs = resolve_runs(study, weights_for, "fp32")
    held_out = held_out_classes(study, NAMES)
    data = ListedData("pets", tuple(name for name in NAMES if name not in held_out), "d")
    return make_plan(ResolvedStudy(study, data, runs, resolve_controls(runs, IMAGES), held_out=held_out))


def test_its_features_are_those_of_the_runs_and_of_networks_that_they_trained() -> None:
    plan = plan_of(ASKED)
    needs = plan.nodes["episodes"].needs
    assert needs["features:linear"] == needs["features:dense"] == "extract:linear"
    assert needs["control:linear"] == needs["control:tuned"] == "extract:linear-random"
    for run in ("cnn", "tuned"):
        node = plan.nodes[needs[f"features:{run}"]]
        assert node.needs == {"dataset": "prepare", "source": f"finetune:{run}:0"}
        assert node.params["backbone"] == {"name": None, "weights": {"kind": "run", "from": f"pets/{run}"}}
    told = {run["name"]: (run["trained"], run["control"]) for run in plan.nodes["episodes"].params["runs"]}
    assert told["cnn"] == (True, None)
    assert told["linear"] == (False, "linear-random")
    assert plan.nodes["report"].needs["episodes"] == "episodes"


def test_classes_that_are_held_out_are_in_no_other_task() -> None:
    """Fails when any task but this one is told of them."""
    plan = plan_of(ASKED)
    params = plan.nodes["episodes"].params
    assert len(params["classes"]) == 4
    assert sorted([*params["classes"], *params["learnt"]]) == list(NAMES)
    for node in plan:
        if "classes" in node.params and node.step != "episodes":
            assert sorted(node.params["classes"]) == sorted(params["learnt"]), node.name


def test_how_many_are_drawn_by_seed_and_name_alone() -> None:
    def drawn(names: tuple[str, ...], *overrides: str) -> set[str]:
        return set(held_out_classes(parse_study(TEXT, overrides=(ASKED, *overrides)).study, names))

    assert drawn(NAMES) == drawn(NAMES[::-1])
    assert drawn(NAMES) != drawn(NAMES, "dataset.split.seed=7")
    assert drawn((*NAMES, "zebra")) - {"zebra"} <= drawn(NAMES)
    named = parse_study(TEXT, overrides=["evaluate={episodes: {ways: 2, classes: [h, a, b, c]}}"]).study
    assert held_out_classes(named, NAMES) == ("a", "b", "c", "h")
    assert held_out_classes(parse_study(TEXT).study, NAMES) == ()


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("{ways: 5, classes: 9}", "episodes of 5 classes need 10 that are held out, not 9"),
        ("{ways: 2, classes: [a, b, a, c]}", "names 'a' twice"),
        ("{ways: 2, classes: 4, shots: [5, 1]}", r"must rise: write \[1, 5\]"),
        ("{ways: 2, classes: 4, heads: [knn, knn]}", "names one twice"),
        ("{ways: 2, classes: 4, count: 20}", "count"),
        ("{ways: 2}", "classes"),
    ],
)
def test_mistakes_are_sentences(asked: str, sentence: str) -> None:
    with pytest.raises(StudyError, match=sentence):
        parse_study(TEXT, overrides=[f"evaluate={{episodes: {asked}}}"])


def test_names_are_checked_against_the_datasets() -> None:
    with pytest.raises(StudyError, match=r"'cot' is not among dataset.classes \(did you mean 'cat'\?\)"):
        parse_study(
            TEXT,
            overrides=["dataset.classes=[cat, dog, a, b, c, d]", "evaluate={episodes: {ways: 2, classes: [cot, a, b, c]}}"],
        )
    study = parse_study(TEXT, overrides=["evaluate={episodes: {ways: 2, classes: [z, a, b, c]}}"]).study
    with pytest.raises(StudyError, match="there is no class 'z'"):
        held_out_classes(study, NAMES)
    with pytest.raises(StudyError, match="4 of 5 classes are to be held out, and 2 at least are to be learnt"):
        held_out_classes(parse_study(TEXT, overrides=[ASKED]).study, NAMES[:5])


def test_a_champion_learns_all_classes() -> None:
    with pytest.raises(StudyError, match="is for a study without a schedule"):
        parse_study(TEXT + "schedule: {cron: '0 3 * * *'}\n", overrides=[ASKED])
