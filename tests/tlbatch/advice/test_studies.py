"""A study that asks for advice: what the command line means, what is refused with its line, what pods could not see."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlbatch.advice.studies import advice_name, advice_study, advised_study, parsed_budget, parsed_candidates
from tlbatch.cluster.submission import check_visible
from tlbatch.errors import StudyError
from tlbatch.planning.advice import images_asked, make_advice_plan, resolve_candidates, resolve_pins
from tlbatch.planning.resolved import ListedData, ResolvedStudy
from tlbatch.planning.weights import ResolvedWeights
from tlbatch.spec import Run
from tlbatch.spec.load import parse_study
from tlbatch.store import open_store
from tlbatch.tasks import InputRef

STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: pets
dataset: {url: s3://pets/images}
runs: [{name: features, model: {backbone: mobilenet_v2, head: {logistic: {}}}}]
"""


def test_candidates_of_the_command_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    found = parsed_candidates("vgg16, mobilenet_v2=IMAGENET1K_V1,squeezenet1_1=own.pth,resnet50=store:weights/r.pth")
    assert found == [
        {"backbone": "vgg16"},
        {"backbone": "mobilenet_v2", "weights": "IMAGENET1K_V1"},
        {"backbone": "squeezenet1_1", "weights": str(tmp_path / "own.pth")},
        {"backbone": "resnet50", "weights": "store:weights/r.pth"},
    ]
    with pytest.raises(StudyError, match="names none"):
        parsed_candidates(" ,")


def test_a_budget_is_images_or_time() -> None:
    assert parsed_budget("500") == {"images": 500}
    assert parsed_budget("10m") == {"seconds": 600}
    with pytest.raises(StudyError, match=r"--budget much: expected a number of images \(500\) or a time"):
        parsed_budget("much")


def test_mistakes_have_their_line() -> None:
    wrong = STUDY + "advise:\n  candidates:\n    - {backbone: vgg61}\n    - {backbone: vgg16, weights: IMAGENET9}\n"
    with pytest.raises(StudyError) as told:
        parse_study(wrong)
    assert "advise.candidates[0].backbone: unknown backbone 'vgg61' (did you mean 'vgg16'?)" in str(told.value)
    assert "study.yaml:10: advise.candidates[1].weights: unknown weights 'IMAGENET9'" in str(told.value)


def test_wrong_candidates_of_the_command_line_are_placed_there() -> None:
    """Fails when a sentence names a line of the study that is made of them, which nobody has written or can see."""
    with pytest.raises(StudyError) as told:
        advice_study(parse_study(STUDY), parsed_candidates("vgg61,vgg16=IMAGENET9"), {}, "last")
    assert [line[:45] for line in str(told.value).splitlines()] == [
        "--candidates, number 1: unknown backbone 'vgg",
        "--candidates, number 2: unknown weights 'IMAG",
    ]
    with pytest.raises(StudyError, match=r"^--budget: must be at least 20, not 1$"):
        advice_study(parse_study(STUDY), parsed_candidates("vgg16"), {"images": 1}, "last")


def test_a_schedule_does_not_ask() -> None:
    asked = "advise: {candidates: [{backbone: vgg16}]}\nschedule: {cron: '0 3 * * *'}\n"
    with pytest.raises(StudyError, match="advise: is not for a study with a schedule"):
        parse_study(STUDY + asked)


def test_names_stay_names_and_the_study_comes_back() -> None:
    loaded = parse_study(STUDY.replace("name: pets", f"name: {'a' * 40}"))
    asked = advice_study(loaded, [{"backbone": "mobilenet_v2"}], {"images": 100}, "stages")
    assert asked.study.name == advice_name("a" * 40) == "a" * 33 + "-advice"
    runs = [{"name": "features", "model": {"candidate": 0, "layer": "stage5", "head": {"logistic": {}}}}]
    text = advised_study(asked, "pets-advised", runs)
    study = parse_study(text).study
    assert (study.advise, study.runs[0].model.backbone, study.runs[0].model.layer) == (None, "mobilenet_v2", "stage5")


def test_time_becomes_the_same_number_of_images_everywhere() -> None:
    """A pure function of the study: were it a measurement, a second call would have another key and compute again."""

    def images(seconds: int) -> int | None:
        asked = advice_study(parse_study(STUDY), [{"backbone": "mobilenet_v2"}], {"seconds": seconds}, "last")
        runs = resolve_candidates(asked.study, lambda run: ResolvedWeights({"kind": "named"}, own_input={"size": 224}), "fp32")
        return images_asked(ResolvedStudy(asked.study, ListedData("pets", ("cat", "dog"), ""), runs))

    few, many = images(60), images(600)
    assert few is not None
    assert many is not None
    assert 9 <= many / few <= 11
    assert images(1) == 20


def resolved(candidates: list[dict[str, str]], pins: InputRef | None = None) -> ResolvedStudy:
    asked = advice_study(parse_study(STUDY), candidates, {}, "last", pinned=pins.key if pins else None)

    def weights(run: Run) -> ResolvedWeights:
        asked_for = {"kind": "random", "seed": 0} if run.model.weights == "random" else {"kind": "named", "name": "x"}
        return ResolvedWeights(asked_for, own_input={"size": 224})

    runs = resolve_candidates(asked.study, weights, "fp32")
    return ResolvedStudy(asked.study, ListedData("pets", ("cat", "dog"), ""), runs, pins=pins)


def test_beside_random_weights_the_pretrained_ones_need_no_file_in_their_name() -> None:
    plan = make_advice_plan(resolved([{"backbone": "vgg16"}, {"backbone": "vgg16", "weights": "random"}]))
    titles = [each["title"] for each in plan.nodes["advise"].params["candidates"]]
    assert titles == ["vgg16", "vgg16, random weights"]


def test_every_probe_divides_by_the_pins(tmp_path: Path) -> None:
    pins = InputRef("pin", "a" * 40, "b" * 64)
    plan = make_advice_plan(resolved([{"backbone": "vgg16"}], pins))
    assert [node.given for name, node in plan.nodes.items() if name.startswith("probe:")] == [{"pinned": pins}] * 2
    with pytest.raises(StudyError, match=r"advise\.pinned: .* has no artifact pin/aaa"):
        resolve_pins(resolved([{"backbone": "vgg16"}], pins).study, open_store(str(tmp_path)))


def test_weights_of_this_machine_are_not_sent_to_pods(tmp_path: Path) -> None:
    asked = advice_study(parse_study(STUDY), [{"backbone": "vgg16", "weights": str(tmp_path / "w.pth")}], {}, "last")
    with pytest.raises(StudyError, match=r"advise\.candidates\[0\]\.weights: .*w\.pth is a file of this machine"):
        check_visible(asked.study)
