"""A control is trained as well as it can be, whatever the run that it serves was given."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tlbatch.planning.test_make import TEXT, weights_for
from tlbatch.datasets.listing import ListedFile, Listing
from tlbatch.planning.controls import HEAD_RATES, RATES, Images, resolve_controls
from tlbatch.planning.resolve import listed_images
from tlbatch.planning.runs import ResolvedRun, resolve_runs
from tlbatch.spec import parse_study
from tlbatch.spec.train import EarlyStopping, Train

PLENTY = Images(train=30000, validation=1000)
HANDICAPS = (
    "{lr: 1e-5, optimizer: rmsprop}",
    "{lr: 1e-6, optimizer: sgd, momentum: 0, schedule: step, epochs: 2}",
    "{lr: 3, optimizer: sgd, weight_decay: 0.9, clip_norm: 1e-6, ema: 0.9999}",
    "{lr: 1e-5, epochs: 20, warmup_epochs: 19, schedule: linear, steps_per_epoch: 1, select: last}",
    "{lr: auto, lr_candidates: [1e-6, 1e-5], early_stopping: {patience: 1}}",
    "{batch_size: 1, label_smoothing: 0.9, mixup: 5, cutmix: 5, rho: 0.1, eps: 1}",
    "{batch_size: 4096}",
)
FINETUNES = (
    "{unfreeze: none}",
    "{unfreeze: [last], warm_up: 1, gradual: 50, lr_decay: 0.01, batch_norm: eval}",
    "{unfreeze: all, lr_scale: {head: 1e-9}}",
)


def controls_of(*overrides: str, images: Images = PLENTY) -> dict[str, ResolvedRun]:
    """The controls of a study of one scratch run and three pretrained ones, by name."""
    runs = resolve_runs(parse_study(TEXT, overrides=overrides).study, weights_for, "fp32")
    return {control.name: control for control in resolve_controls(runs, images)}


def twin(run: str, *overrides: str, images: Images = PLENTY) -> ResolvedRun:
    """The random twin that serves a run: one with the same content serves several."""
    return next(c for c in controls_of(*overrides, images=images).values() if run in c.control_for)


def fitting(train: Train, rates: tuple[float, ...]) -> None:
    """Nothing of a recipe for fine-tuning is left; the rate is chosen over the stated grid until validation stops improving."""
    patient = EarlyStopping(patience=10, metric="accuracy", min_delta=0.0)
    asked = {"lr": "auto", "lr_candidates": rates, "optimizer": "adamw", "select": "best", "epochs": 100}
    assert train.model_copy(update={"batch_size": 32}) == Train().model_copy(update={**asked, "early_stopping": patient})
    assert 16 <= train.batch_size <= 64


@pytest.mark.parametrize("train", HANDICAPS)
@pytest.mark.parametrize("finetune", FINETUNES)
def test_a_full_control_inherits_no_handicap(train: str, finetune: str) -> None:
    changes = (f"runs[3].train={train}", f"runs[3].strategy={{finetune: {finetune}}}", "runs[3].model.head.dropout=0.95")
    control: Any = twin("tuned", "control=full", *changes)
    fitting(control.train, RATES)
    assert control.model["backbone"]["weights"]["kind"] == "random"
    assert control.model["head"]["dropout"] == 0.5
    finetune_ = control.strategy["finetune"]
    assert (finetune_["unfreeze"], finetune_["warm_up"], finetune_["gradual"]) == ("all", 0, None)
    assert (finetune_["lr_scale"], finetune_["lr_decay"], finetune_["batch_norm"]) == ({}, 1.0, "train")


@pytest.mark.parametrize("train", HANDICAPS)
@pytest.mark.parametrize("place", [2, 3])
def test_a_cheap_controls_dense_head_chooses_too(train: str, place: int) -> None:
    fitting(twin({2: "dense", 3: "tuned"}[place], f"runs[{place}].train={train}").train, HEAD_RATES)


VARIED = ("runs[3].augmentation={zoom: 0.3}", "runs[3].precision=bf16", "runs[2].strategy={finetune: {unfreeze: all}}")


@pytest.mark.parametrize("control", ["cheap", "full"])
def test_runs_that_are_fed_or_computed_otherwise_have_controls_of_their_own(control: str) -> None:
    """Else what varied images or bfloat16 brought would count as transfer, and which way round by the order of the runs."""
    for run in ("dense", "tuned"):
        alone = twin(run, f"control={control}", "runs[2].model.head={dense: []}", *VARIED)
        assert {"dense", "tuned"} & {*alone.control_for} == {run}
        assert alone.precision == {"dense": "fp32", "tuned": "bf16"}[run]
    together = twin("tuned", f"control={control}", "runs[2].model.head={dense: []}", VARIED[2])
    assert {"dense", "tuned"} <= {*together.control_for}


def test_a_logistic_head_chooses_by_cross_validation_and_needs_no_rate() -> None:
    control = controls_of("runs[1].model.head={logistic: {c: [0.1, 1]}}")["linear-random"]
    assert control.model["head"]["logistic"]["c"] == [0.1, 1.0]


@pytest.mark.parametrize(
    ("train", "size"),
    [
        ("{batch_size: 64, micro_batch_size: 32}", 32),
        ("{batch_size: 256, micro_batch_size: 32}", 32),
        ("{batch_size: 64, micro_batch_size: 4}", 16),  # statistics of four images would be a handicap
        ("{batch_size: 32, micro_batch_size: 32}", None),
        ("{batch_size: 8, micro_batch_size: 4}", None),  # the control's batch is of 16
        ("{batch_size: 64}", None),
    ],
)
def test_a_full_control_goes_in_pieces_where_its_run_does(train: str, size: int | None) -> None:
    """Its run may have no memory for whole batches. A head on features needs none."""
    assert twin("tuned", "control=full", f"runs[3].train={train}").train.micro_batch_size == size
    assert twin("tuned", f"runs[3].train={train}").train.micro_batch_size is None


def test_which_errors_count_is_the_runs_own() -> None:
    train = twin("tuned", "control=full", "runs[3].train.class_weights=balanced").train
    assert train.class_weights == "balanced"


@pytest.mark.parametrize("control", ["full", "cheap"])
def test_without_validation_images_the_rate_is_a_fixed_one(control: str) -> None:
    train = twin("tuned", f"control={control}", "runs[3].train={lr: 1e-6, epochs: 2}", images=Images(30, 0)).train
    assert (train.lr, train.schedule, train.select, train.epochs) == (1e-3, "cosine", "last", 100)
    assert train.early_stopping is None


def test_ten_epochs_of_few_images_are_still_some_batches() -> None:
    few, many = (twin("tuned", "control=full", images=Images(n, 20)).train for n in (60, 30000))
    assert few.steps_per_epoch == 50
    assert many.steps_per_epoch is None


def test_hand_crafted_features_are_a_control_once_a_study() -> None:
    control = controls_of()["colour-and-hog"]
    assert control.control_for == ("linear", "dense", "tuned")
    assert (control.pretrained, control.scratch, control.on_features) == (False, False, True)
    assert control.model["head"]["logistic"]
    assert "colour-and-hog" not in controls_of("control=none")
    partly = controls_of("control=none", "runs[2].control=cheap")["colour-and-hog"]
    assert partly.control_for == ("dense",)


def test_controls_are_named_apart_from_runs() -> None:
    names = controls_of("runs[0].name=linear-random", "runs[2].name=colour-and-hog")
    assert {"linear-random-control", "colour-and-hog-control"} <= set(names)
    assert not {"linear-random", "colour-and-hog"} & set(names)


@pytest.mark.parametrize(
    ("split", "ready", "expected"),
    [
        ("{train: 30, validation: 10, test: 10}", {}, Images(30, 10, 10, unused=50)),
        ("{train: 80, validation: 10, test: 10}", {}, Images(80, 10, 10)),
        ("{train: 0.7, validation: 0.15, test: 0.15}", {}, Images(70, 15, 15)),
        ("{train: 0.333, validation: 0.333, test: 0.334}", {}, Images(34, 33, 33)),
        ("{train: 0.1, validation: 0.15, test: 0.15}", {}, Images(10, 15, 15, unused=60)),
        ("{validation: 0.2, test: 0.3}", {}, Images(50, 20, 30)),
        ("{validation: 0, test: 20}", {}, Images(80, 0, 20)),
        ("{validation: 0.001, test: 20}", {}, Images(80, 0, 20)),
        ("{validation: 0, test: 20, folds: 4}", {}, Images(80, 20, 20)),
        ("{train: 30, validation: 10, test: 20, folds: 4}", {}, Images(30, 10, 20, unused=40)),
        ("{validation: 0.2, test: 0.2}", {"train": 50, "test": 50}, Images(40, 10, 50)),
        ("{validation: 0, test: 1}", {"train": 50, "test": 50}, Images(50, 0, 50)),
        ("{validation: 0, test: 1}", {"train": 50, "validation": 30, "test": 20}, Images(50, 30, 20)),
    ],
)
def test_how_many_images_each_part_has_is_read_off_the_listing(split: str, ready: dict[str, int], expected: Images) -> None:
    parts = [part for part, count in ready.items() for _ in range(count)] or [None] * 100
    files = tuple(ListedFile(f"{i}.png", 1, "e", "cat" if i % 2 else "dog", part) for i, part in enumerate(parts))
    last = [f"runs[{place}].train.select=last" for place in range(4)]
    study = parse_study(TEXT, overrides=[f"dataset.split={split}", *last]).study
    assert listed_images(study, Listing("pets", ("cat", "dog"), (), files)) == expected
