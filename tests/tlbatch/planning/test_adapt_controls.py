"""What an adaptation is held against: planned by its strategy, paid once, and never more than that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.tlbatch.planning.test_make import IMAGES, weights_for
from tlbatch.errors import StudyError
from tlbatch.planning.controls import resolve_controls
from tlbatch.planning.make import make_plan
from tlbatch.planning.resolved import ListedData, ResolvedStudy
from tlbatch.planning.runs import contrasts, resolve_runs
from tlbatch.spec import parse_study

HEAD = """
apiVersion: tlbatch/v1
kind: Study
name: pets
dataset: {url: pets, split: {train: 30, validation: 10, test: 10}}
sources: {films: {url: films, split: {validation: 0.2}}}
control: cheap
runs:
"""
NET = "model: {backbone: mobilenet_v2, head: {logistic: {}}}"


def run(name: str, **settings: object) -> str:
    inner = ", ".join(f"{key}: {value}" for key, value in settings.items())
    return f"  - {{name: {name}, {NET}, strategy: {{adapt: {{{inner}}}}}}}\n"


def resolved(*runs: str) -> ResolvedStudy:
    study = parse_study(HEAD + "".join(runs)).study
    found = resolve_runs(study, weights_for, "fp32")
    films, data = ListedData("films", ("cat", "dog"), "f"), ListedData("pets", ("cat", "dog"), "d")
    return ResolvedStudy(study, data, found, resolve_controls(found, IMAGES), sources={"films": films})


def planned(study: ResolvedStudy) -> list[tuple[str, str | None, str]]:
    return [(c["a"], c.get("b"), c["kind"]) for c in contrasts(list(study.runs), list(study.controls))]


def test_several_share_source_only_and_the_ceiling() -> None:
    study = resolved(run("coral"), run("turned", method="subspace", dimensions=3), run("moved", method="optimal_transport"))
    names = {control.name: set(control.control_for) for control in study.controls}
    assert names == {"source-only": {"coral", "turned", "moved"}, "target-supervised": {"coral", "turned", "moved"}}
    assert [each for each in planned(study) if each[2] == "adaptation"] == [
        (name, "source-only", "adaptation") for name in ("coral", "turned", "moved")
    ]
    nodes = make_plan(study).nodes
    extractions = [name for name, node in nodes.items() if node.step == "extract"]
    assert len(extractions) == 2, "one of each dataset, for all runs and controls"
    assert nodes["finetune:target-supervised:0"].params["strategy"] == "features"
    assert not any(role.startswith("source:") for role in nodes["finetune:target-supervised:0"].needs)


def test_a_run_of_the_study_is_its_own_control() -> None:
    study = resolved(run("plain", method="source_only"), run("coral"))
    assert [control.name for control in study.controls] == ["target-supervised"]
    assert ("coral", "plain", "adaptation") in planned(study)
    assert not any(a == "plain" and kind == "adaptation" for a, _, kind in planned(study))


def test_with_target_labels_what_these_give_alone_is_tested_too() -> None:
    """Negative transfer: less than without the source (Wang et al. 2019)."""
    study = resolved(run("coral", target_labels="few"))
    assert {control.name for control in study.controls} == {"source-only", "target-only", "target-supervised"}
    assert {b for a, b, kind in planned(study) if kind == "adaptation"} == {"source-only", "target-only"}
    every = resolved(run("coral", target_labels="all"))
    assert {control.name for control in every.controls} == {"source-only", "target-supervised"}
    assert {b for a, b, kind in planned(every) if kind == "adaptation"} == {"source-only", "target-supervised"}


def test_boosting_is_held_against_both_domains_pooled_too() -> None:
    """Rounds are no part of what it is held against; four numbers of labels share the sources alone and the ceiling."""
    study = resolved(*(run(f"boosted-{few}", method="tradaboost", target_labels="few", few=few, rounds=7) for few in (1, 5)))
    tested = {a: [b for x, b, kind in planned(study) if x == a and kind == "adaptation"] for a in ("boosted-1", "boosted-5")}
    assert tested == {
        f"boosted-{few}": ["source-only", f"boosted-{few}-pooled", f"boosted-{few}-target-only"] for few in (1, 5)
    }
    for control in study.controls:
        assert "rounds" not in str(control.strategy), control.name
    assert [c.name for c in study.controls if len(c.control_for) > 1] == ["source-only", "target-supervised"]
    every = resolved(run("boosted", method="tradaboost", target_labels="all"))
    assert {b for a, b, kind in planned(every) if kind == "adaptation"} == {"source-only", "pooled", "target-supervised"}


def test_two_networks_have_two_and_no_name_is_taken_twice() -> None:
    study = resolved(run("coral"), run("other").replace("mobilenet_v2,", "mobilenet_v2, layer: stage3,"), run("source-only"))
    names = [each.name for each in [*study.runs, *study.controls]]
    assert len(set(names)) == len(names)
    assert {"coral-target-supervised", "other-target-supervised"} < set(names)


def test_a_run_that_learns_from_sources_is_no_control_of_transfer() -> None:
    """Failed before: a scratch network that is trained on sources too stood for what the target's labels alone give."""
    scratch = parse_study(HEAD + "  - {name: own, model: {scratch: {}}}\n" + run("coral")).study
    own = resolve_runs(scratch, weights_for, "fp32")[0]
    assert own.scratch
    settings = {"adapt": {"method": "coral", "target_labels": "none", "few": 5, "dimensions": None}}
    assert not replace(own, strategy=settings).scratch


NO_SOURCES = HEAD.replace("sources: {films: {url: films, split: {validation: 0.2}}}", "")
NOTHING_HELD_OUT = HEAD.replace(", split: {validation: 0.2}", "")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            NOTHING_HELD_OUT + run("coral"),
            "sources: coral reads no validation label of the target",
        ),
        (HEAD + run("coral").replace("head: {logistic: {}}", "head: {dense: [8]}"), "adapt trains a logistic regression"),
        (HEAD + run("coral", method="coral", dimensions=3), "dimensions: is for method: subspace"),
        (HEAD + run("own", method="target_only"), "target_only learns from the target's labels"),
        (HEAD + run("own", method="tradaboost"), "tradaboost learns from the target's labels: say target_labels: few or all"),
        (HEAD + run("own", method="pooled"), "pooled learns from the target's labels"),
        (HEAD + run("own", method="coral", rounds=5), "rounds: is for method: tradaboost"),
        (HEAD + run("own", method="tradaboost", target_labels="few", rounds=1), "rounds"),
        (
            NO_SOURCES + run("coral"),
            "adapt learns from sources",
        ),
    ],
)
def test_mistakes_are_sentences(text: str, sentence: str) -> None:
    with pytest.raises(StudyError) as caught:
        parse_study(text)
    assert sentence in str(caught.value)


def test_sources_need_hold_nothing_out_where_all_labels_are_read() -> None:
    parse_study(NOTHING_HELD_OUT + run("coral", target_labels="all"))
