"""What tasks hold in memory, forecast; and the warning where a pod would get less."""

from __future__ import annotations

import re

import pytest

from tests.tlbatch.planning.test_make import IMAGES, weights_for
from tlbatch.contracts.data import SHARED_FROM
from tlbatch.forecast import Memory, driver_memory, mebibytes, memory_facts
from tlbatch.memory import INDEX_BYTES, MIXED_COPIES, SEARCHER_MIB
from tlbatch.planning.controls import resolve_controls
from tlbatch.planning.make import make_plan
from tlbatch.planning.resolved import ListedData, ResolvedStudy
from tlbatch.planning.runs import resolve_runs
from tlbatch.spec import parse_study
from tlbatch.spec.resources import StudyResources

TEXT = """
apiVersion: tlbatch/v1
kind: Study
name: pets
dataset: {url: pets, split: {train: 30, validation: 10, test: 10}}
runs:
  - name: whole
    model: {backbone: efficientnet_lite0}
    strategy: {finetune: {unfreeze: all}}
    input: {size: 224}
    train: {batch_size: 32}
"""


def resolved_of(*overrides: str, files: int = 0) -> ResolvedStudy:
    study = parse_study(TEXT, overrides=overrides).study
    runs = resolve_runs(study, weights_for, "fp32")
    data = ListedData("pets", ("cat", "dog"), "d", files=files)
    return ResolvedStudy(study, data, runs, resolve_controls(runs, IMAGES))


def held(*overrides: str, files: int = 0) -> dict[str, Memory]:
    resolved = resolved_of(*overrides, files=files)
    return {fact.task: fact for fact in memory_facts(resolved, make_plan(resolved))}


def training(*overrides: str) -> int:
    needed = held(*overrides)["finetune:whole:0"].needed_mib
    assert needed is not None
    return needed


def test_three_gibibytes_are_too_little_for_a_whole_network_at_224_pixels() -> None:
    warning = held("resources.memory=3Gi")["finetune:whole:0"].warning
    assert warning is not None
    assert "raise resources.memory" in warning
    assert held("resources.memory=6Gi")["finetune:whole:0"].warning is None
    assert held("resources.memory=3Gi", "resources.gpu=1")["finetune:whole:0"].warning is None  # it lies in the GPU's


def test_pieces_take_what_batches_of_their_size_take_and_mixed_ones_a_batchs_inputs_more() -> None:
    """Validation images, too, go through the network in pieces, and no more of them at once than of a batch."""
    pieces, small = training("runs[0].train.micro_batch_size=16"), training("runs[0].train.batch_size=16")
    assert pieces == small
    assert training("runs[0].train.micro_batch_size=2") == training("runs[0].train.batch_size=2")
    mixed = training("runs[0].train={batch_size: 256, micro_batch_size: 16, mixup: 0.2}") - pieces
    assert mixed == pytest.approx(MIXED_COPIES * 256 * 3 * 224**2 * 4 / 2**20, abs=1)


LAST = "runs[0].strategy={finetune: {unfreeze: [stage6, last]}}"


@pytest.mark.parametrize(
    ("backbone", "size", "precision", "train", "strategy", "measured"),
    [
        ("mobilenet_v2", 224, "fp32", "{batch_size: 8}", "", 1589),
        ("mobilenet_v2", 224, "bf16", "{batch_size: 8}", "", 1215),
        ("mobilenet_v2", 224, "fp32", "{batch_size: 32, micro_batch_size: 8}", "", 1615),
        ("mobilenet_v2", 224, "fp32", "{epochs: 1, batch_size: 32}", LAST, 1344),
        ("mobilenet_v2", 224, "bf16", "{epochs: 4, batch_size: 32}", LAST, 1050),
        ("mobilenet_v2", 96, "fp32", "{batch_size: 32}", "", 1294),
        ("squeezenet1_1", 96, "fp32", "{batch_size: 8}", "", 813),
        ("squeezenet1_1", 224, "fp32", "{batch_size: 8}", "", 1030),
        ("resnet50", 96, "fp32", "{batch_size: 8}", "", 1296),
        ("vgg16", 96, "fp32", "{batch_size: 8}", "", 1323),
    ],
)
def test_a_training_is_forecast_as_it_was_measured(
    backbone: str, size: int, precision: str, train: str, strategy: str, measured: int
) -> None:
    """Rows of docs/memory.md. Tighter than what is promised: tests/studies/test_memory.py measures anew."""
    study = (f"runs[0].model.backbone={backbone}", f"runs[0].input.size={size}", f"runs[0].precision={precision}")
    asked = (*study, f"runs[0].train={train}", *([strategy] if strategy else []))
    forecast = held(*asked, files=280)["finetune:whole:0"].needed_mib
    assert forecast is not None
    assert 0.85 <= forecast / measured <= 1.2, forecast


def test_what_does_not_fit_is_told_the_pieces_that_would() -> None:
    """Fails when it names a size whose forecast is more than the pod gets, or one that the run has already."""
    for given in ("2Gi", "3Gi"):
        warning = held(f"resources.memory={given}")["finetune:whole:0"].warning
        assert warning is not None
        found = re.search(r"set train\.micro_batch_size: (\d+), which computes the same batches in pieces", warning)
        assert found is not None, warning
        size = int(found[1])
        assert 1 < size < 32
        assert held(f"resources.memory={given}", f"runs[0].train.micro_batch_size={size}")["finetune:whole:0"].warning is None
        assert held(f"resources.memory={given}", f"runs[0].train.micro_batch_size={2 * size}")["finetune:whole:0"].warning
    hopeless = held("resources.memory=512Mi")["finetune:whole:0"].warning
    assert hopeless is not None
    assert "micro_batch_size" not in hopeless
    assert hopeless.endswith("raise resources.memory, or lower train.batch_size or input.size")


def test_a_control_is_told_no_smaller_pieces_than_it_takes() -> None:
    facts = held("control=full", "resources.memory=2Gi", "runs[0].train.micro_batch_size=4")
    control = next(fact for name, fact in facts.items() if name.startswith("finetune:whole-random"))
    assert control.warning is not None
    assert "micro_batch_size" not in control.warning


@pytest.mark.parametrize(("backbone", "measured"), [("mobilenet_v2", 1134), ("resnet50", 1332)])
def test_an_extraction_holds_what_runs_it(backbone: str, measured: int) -> None:
    """Within a tenth of the most that two threads held at 224 pixels (docs/memory.md)."""
    needed = held(f"runs[0].model.backbone={backbone}", "runs[0].strategy=features")["extract:whole"].needed_mib
    assert needed is not None
    assert 0.9 < needed / measured < 1.1


@pytest.mark.parametrize(
    "less",
    [
        "runs[0].train.batch_size=8",
        "runs[0].train.micro_batch_size=8",
        "runs[0].input.size=96",
        "runs[0].strategy={finetune: {unfreeze: [stage7, last]}}",
        "runs[0].strategy={finetune: {unfreeze: none}}",
        "runs[0].train.optimizer=sgd",
        "runs[0].strategy=features",
        "runs[0].model.backbone=squeezenet1_1",
    ],
)
def test_what_holds_less_is_forecast_less(less: str) -> None:
    assert training(less) < training()


def test_the_search_for_wrong_labels_holds_features_and_what_is_said_of_every_class() -> None:
    def needed(files: int, classes: int) -> int:
        study = parse_study(TEXT, overrides=("runs[0].strategy=features", "runs[0].model.backbone=mobilenet_v2")).study
        data = ListedData("pets", tuple(f"class-{number}" for number in range(classes)), "d", files=files)
        runs = resolve_runs(study, weights_for, "fp32")
        resolved = ResolvedStudy(study, data, runs, resolve_controls(runs, IMAGES))
        facts = {fact.task: fact.needed_mib for fact in memory_facts(resolved, make_plan(resolved))}
        return facts["suspects"] or 0

    few, many, of_more = needed(1000, 2), needed(100_000, 2), needed(100_000, 1000)
    assert few < 400
    assert many - few == pytest.approx((6 * 4 * 1280 + INDEX_BYTES) * 99_000 / 2**20, rel=0.01)
    assert of_more > many + 100


def test_a_report_of_many_classes_holds_more() -> None:
    def needed(classes: int) -> int:
        data = ListedData("pets", tuple(map(str, range(classes))), "d", files=1000)
        study = parse_study(TEXT).study
        resolved = ResolvedStudy(study, data, resolve_runs(study, weights_for, "fp32"), ())
        return {fact.task: fact.needed_mib for fact in memory_facts(resolved, make_plan(resolved))}["report"] or 0

    assert needed(1000) > needed(2) + 300


def test_networks_that_nobody_measured_are_unknown() -> None:
    facts = held("runs[0].model.backbone=resnet10t")
    assert facts["finetune:whole:0"].needed_mib is None
    assert facts["finetune:whole:0"].warning is None
    assert all(facts[name].needed_mib for name in ("prepare", "report", "extract:colour-and-hog"))


@pytest.mark.parametrize(("quantity", "mib"), [("3Gi", 3072), ("512Mi", 512), ("2G", 1907), ("1048576", 1), ("1.5Gi", 1536)])
def test_quantities_are_kubernetes_own(quantity: str, mib: int) -> None:
    assert mebibytes(quantity) == mib


def test_two_domains_on_features_take_more_than_one() -> None:
    """Measured with 512 features of 3,000 and 1,000 images: 60 MiB (reweight) to 187 MiB (optimal transport) beside the
    libraries, where one domain's features would take 47; here they are 1,280."""
    from tests.tlbatch.planning.test_adapt_controls import resolved as adapting
    from tests.tlbatch.planning.test_adapt_controls import run as adapts
    from tlbatch.memory import LIBRARIES_MIB, _finetune

    study = adapting(adapts("coral"))
    alone = next(control for control in study.controls if control.name == "target-supervised")
    both, one = (_finetune(each, 4000, 2) for each in (study.runs[0], alone))
    assert both is not None
    assert one is not None
    assert both - LIBRARIES_MIB > 187 > one - LIBRARIES_MIB


def test_many_files_take_memory_of_their_own() -> None:
    """Of a million: some hundred bytes each in every task that reads their index, more where they are prepared."""
    few, many = held("runs[0].strategy=features"), held("runs[0].strategy=features", files=1_000_000)
    more = {name: (many[name].needed_mib or 0) - (fact.needed_mib or 0) for name, fact in few.items()}
    assert 1000 < more["prepare"] < 1500
    assert 500 < more["extract:whole"] < 1000
    assert many["prepare"].warning is None, "what a pod of prepare gets by default is enough"
    said = held(files=5_000_000)["prepare"].warning
    assert said is not None
    assert said.endswith("raise resources.steps.prepare.memory")


def test_processes_that_share_the_search_for_near_copies_hold_memory_of_their_own() -> None:
    """One a core, beside the one that decides; a core alone, few pictures, or no search: none."""

    def prepare(*overrides: str, files: int = SHARED_FROM) -> int:
        return held(*overrides, files=files)["prepare"].needed_mib or 0

    one, eight = "resources.steps.prepare.cpu=1", "resources.steps.prepare.cpu=7500m"
    assert prepare(eight) - prepare(one) == 8 * SEARCHER_MIB
    assert prepare(one) == prepare(one, "dataset.near_duplicates=false")
    assert prepare(eight, "dataset.near_duplicates=false") == prepare(one)
    assert prepare(eight, files=SHARED_FROM - 1) == prepare(one, files=SHARED_FROM - 1)
    said = held("resources.steps.prepare.cpu=64", files=SHARED_FROM)["prepare"].warning
    assert said is not None
    assert "raise resources.steps.prepare.memory" in said


def test_a_driver_that_lists_too_many_files_is_told_of() -> None:
    """A million files of a bucket go into its 512 MiB, with a line each in a CSV file they do not (docs/large.md)."""
    assert driver_memory(resolved_of(files=1_000_000)).warning is None
    labels = "dataset.labels={csv: labels.csv, id: id, label: breed}"
    said = driver_memory(resolved_of(labels, files=1_000_000)).warning
    assert said is not None
    assert said.startswith("the driver: needs about 0.6 GiB of memory and a pod of it gets 0.5 GiB")
    assert said.endswith("raise resources.driver_memory")
    for asked in (resolved_of(labels, "resources.driver_memory=1Gi", files=1_000_000), resolved_of(labels, files=100_000)):
        assert driver_memory(asked).warning is None
    assert driver_memory(resolved_of(labels, files=1_000_000), StudyResources(driver_memory="1Gi")).warning is None
