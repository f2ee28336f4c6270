"""What a network that adapts is held against: the same network, planned by its strategy and paid once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobs.adaptation.network import build_domain_classifier
from tests.tlbatch.planning.test_adapt_controls import HEAD, NOTHING_HELD_OUT, planned
from tests.tlbatch.planning.test_make import IMAGES, weights_for
from tlbatch.errors import StudyError
from tlbatch.memory import forecast_mib
from tlbatch.planning.controls import resolve_controls
from tlbatch.planning.make import make_plan
from tlbatch.planning.resolved import ListedData, ResolvedStudy
from tlbatch.planning.runs import resolve_runs
from tlbatch.spec import parse_study

OWN = "model: {scratch: {channels: [4, 8]}}, input: {size: 16}"
BACKBONE = "model: {backbone: mobilenet_v2}"


def run(name: str, net: str = OWN, **settings: object) -> str:
    inner = ", ".join(f"{key}: {value}" for key, value in settings.items())
    return f"  - {{name: {name}, {net}, strategy: {{adapt_network: {{{inner}}}}}}}\n"


def resolved(*runs: str, head: str = HEAD) -> ResolvedStudy:
    study = parse_study(head + "".join(runs)).study
    found = resolve_runs(study, weights_for, "fp32")
    films, data = ListedData("films", ("cat", "dog"), "f"), ListedData("pets", ("cat", "dog"), "d")
    return ResolvedStudy(study, data, found, resolve_controls(found, IMAGES), sources={"films": films})


def test_methods_of_one_network_share_source_only_and_the_ceiling() -> None:
    study = resolved(run("coral", weight=10.0), run("dann", method="dann", domain_layers="[100]"))
    assert {control.name: set(control.control_for) for control in study.controls} == {
        "source-only": {"coral", "dann"},
        "target-supervised": {"coral", "dann"},
    }
    assert [each for each in planned(study) if each[2] == "adaptation"] == [
        (name, "source-only", "adaptation") for name in ("coral", "dann")
    ]
    nodes = make_plan(study).nodes
    assert nodes["finetune:target-supervised:0"].params["strategy"] == "scratch"
    assert set(nodes["finetune:target-supervised:0"].needs) == {"dataset"}
    assert {"dataset", "source:films"} <= set(nodes["finetune:dann:0"].needs)
    assert not any(node.step == "extract" for node in nodes.values())


def test_without_validation_images_of_the_target_what_learns_from_it_alone_chooses_nothing() -> None:
    """The run is chosen by what a source holds out, which its ceiling never sees: it was planned so that it had to fail."""
    study = parse_study(HEAD + run("coral"), overrides=["runs[0].train={lr: auto, schedule: plateau}"]).study
    found = resolve_runs(study, weights_for, "fp32")
    controls = {each.name: each.train for each in resolve_controls(found, replace(IMAGES, validation=0))}
    assert (controls["source-only"].select, controls["source-only"].lr) == ("best", "auto")
    ceiling = controls["target-supervised"]
    assert (ceiling.select, ceiling.lr, ceiling.schedule, ceiling.early_stopping) == ("last", 1e-3, "cosine", None)
    plenty = {each.name: each.train for each in resolve_controls(found, IMAGES)}
    assert plenty["target-supervised"] == plenty["source-only"]


def test_a_backbones_controls_learn_the_same_stages_at_the_same_rates() -> None:
    settings = {"unfreeze": "[stage4, last]", "lr_decay": 0.5, "l2_sp": "{}"}
    tuned = (
        f"  - {{name: tuned, {BACKBONE}, strategy: {{finetune: {{{', '.join(f'{k}: {v}' for k, v in settings.items())}}}}}}}\n"
    )
    study = resolved(run("dann", BACKBONE, method="dann", target_labels="few", **settings), tuned)
    controls = {control.name: control.strategy for control in study.controls}
    assert {"source-only", "target-only"} < controls.keys()
    assert "target-supervised" not in controls, "it is a run of the study"
    for name in ("source-only", "target-only"):
        own = controls[name]
        assert isinstance(own, dict)
        held = own["adapt_network"]
        assert (held["unfreeze"], held["lr_decay"], held["l2_sp"]["alpha"]) == (["stage4", "last"], 0.5, 0.1)
    assert {b for a, b, kind in planned(study) if kind == "adaptation" and a == "dann"} == {"source-only", "target-only"}


def test_with_all_labels_the_ceiling_is_tested() -> None:
    study = resolved(run("dann", method="dann", target_labels="all"))
    assert {b for _, b, kind in planned(study) if kind == "adaptation"} == {"source-only", "target-supervised"}


def test_two_domains_are_forecast_to_hold_two_batches() -> None:
    """What is kept for the backward pass is kept of either; measured in docs/memory.md for one."""
    both, one = (
        resolved(run("dann", BACKBONE, method="dann")),
        resolved(f"  - {{name: dann, {BACKBONE}, strategy: {{finetune: {{}}}}}}\n", run("other")),
    )
    needed = [forecast_mib(make_plan(study).nodes["finetune:dann:0"], study) for study in (both, one)]
    assert needed[0] is not None
    assert needed[1] is not None
    assert needed[0] > 1.3 * needed[1]


def test_the_classifier_of_domains_is_counted() -> None:
    """By torch: its parameters, six times over with AdamW (weights, gradients, two moments, best epoch, checkpoint)."""
    for net, dim in ((OWN.replace("[4, 8]", "[4, 8], dense: [], padding: same"), 8 * 4 * 4), (BACKBONE, 1280)):
        needed = {}
        for method in ("deep_coral", "dann"):
            study = resolved(run("one", net, method=method))
            needed[method] = forecast_mib(make_plan(study).nodes["finetune:one:0"], study) or 0
        layers = build_domain_classifier(dim, [1024, 1024], seed=0, init="glorot")
        more = 6 * 4 * sum(parameter.numel() for parameter in layers.parameters()) / 2**20
        assert needed["dann"] - needed["deep_coral"] == pytest.approx(more, abs=2)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (NOTHING_HELD_OUT + run("coral"), "sources: coral reads no validation label of the target"),
        (HEAD + run("own", method="target_only"), "target_only learns from the target's labels"),
        (HEAD + run("own", method="source_only", weight=2.0), "weight: is for method: deep_coral or dann"),
        (HEAD + run("own", domain_layers="[3]"), "domain_layers: is for method: dann"),
        (HEAD + run("own", weight=0), "weight"),
        (HEAD + run("own", warm_up=1), "warm_up: is for a backbone: a scratch model is trained whole"),
        (HEAD + run("own", BACKBONE, unfreeze="none"), "nothing of the backbone learns, so deep_coral cannot"),
        (HEAD + run("own", BACKBONE, unfreeze="[head]"), "nothing of the backbone learns"),
        (HEAD + run("own", BACKBONE, unfreeze="[stage99]"), "unknown stage 'stage99' of mobilenet_v2"),
        (HEAD + run("own", "model: {backbone: mobilenet_v2, head: {logistic: {}}}"), "cannot be trained end to end"),
        (HEAD.replace("sources: {films: {url: films, split: {validation: 0.2}}}", "") + run("own"), "learns from sources"),
    ],
)
def test_mistakes_are_sentences(text: str, sentence: str) -> None:
    with pytest.raises(StudyError) as caught:
        parse_study(text)
    assert sentence in str(caught.value)


def test_without_target_labels_no_validation_image_of_the_target_is_asked_for() -> None:
    """Failed before: nothing reads them, and the study was refused for having none."""
    without = HEAD.replace("validation: 10", "validation: 0")
    parse_study(without + run("coral"))
    with pytest.raises(StudyError, match="needs validation images"):
        parse_study(without + run("coral", target_labels="all"))


def test_what_it_is_called() -> None:
    study = resolved(run("dann", method="dann", weight=0.5), run("coral", BACKBONE, unfreeze="[last]", target_labels="few"))
    names = {each.name: each for each in study.runs}
    dann, coral = (names[name].strategy_entry for name in ("dann", "coral"))
    settings = {name: each.strategy["adapt_network"] for name, each in names.items() if isinstance(each.strategy, dict)}
    assert dann.phrase(settings["dann"], "") == "DANN, the whole network trained; no target labels"
    assert coral.phrase(settings["coral"], "") == "Deep CORAL, fine-tuned: last; 5 target labels a class"
    assert dann.label(settings["dann"]) == "adapt_network dann × 0.5, no target labels"
