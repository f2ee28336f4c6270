"""The ready-made studies load, and the reference study is what it was."""

from __future__ import annotations

from pathlib import Path

import pytest

import jobs
from tlbatch.spec import load_study
from tlbatch.spec.study import Run, Study
from tlbatch.strategies.finetune import Finetune

SPECS = Path(jobs.__file__).parent / "specs"


def study(name: str) -> Study:
    return load_study(SPECS / f"{name}.yaml").study


def runs(name: str) -> dict[str, Run]:
    return {run.name: run for run in study(name).runs}


@pytest.mark.parametrize("file", sorted(SPECS.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_study_loads_under_its_own_name(file):
    assert load_study(file).study.name == file.stem


def test_case_study_1_is_faithful():
    reference = study("dogs-vs-cats")
    split = reference.dataset.split
    assert (split.train, split.validation, split.test) == (3000, 1000, 1000)
    for run in reference.runs:
        given = run.input
        assert (given.size, given.resize, given.interpolation, given.normalize) == (150, "squash", "nearest", "unit")
        train = run.train
        assert (train.optimizer, train.rho, train.eps, train.momentum) == ("rmsprop", 0.9, 1e-7, 0.9)
        assert (train.batch_size, train.select, train.init, train.schedule) == (30, "last", "glorot", "constant")
        assert train.early_stopping is None
    facts = [(run.name, run.train.lr, run.train.epochs, run.train.steps_per_epoch, run.augmentation) for run in reference.runs]
    assert facts == [
        ("basic-cnn", 1e-3, 30, None, None),
        ("regularized-cnn", 1e-3, 30, None, None),
        ("augmented-cnn", 1e-4, 100, 100, "keras-2.0"),
        ("vgg16-features", 1e-4, 30, None, None),
        ("vgg16-features-augmented", 2e-5, 100, 100, "keras"),
        ("vgg16-finetuned", 1e-5, 100, 100, "keras"),
    ]


def test_case_study_1_networks():
    found = runs("dogs-vs-cats")
    basic, regularized = found["basic-cnn"].model.scratch, found["regularized-cnn"].model.scratch
    assert basic is not None
    assert (basic.channels, basic.dense, basic.dropout, basic.padding, basic.kernel) == ((16, 64, 128), (512,), 0.0, "valid", 3)
    assert regularized is not None
    assert (regularized.channels, regularized.dense, regularized.dropout) == ((16, 64, 128, 128), (512, 512), 0.3)
    assert found["augmented-cnn"].model.scratch == regularized
    for name in ("vgg16-features", "vgg16-features-augmented", "vgg16-finetuned"):
        model = found[name].model
        assert (model.backbone, model.weights, model.layer, model.pool) == ("vgg16", "default", "block5", "flatten")
        assert (model.head.dense, model.head.dropout) == ((512, 512), 0.3)
    assert found["vgg16-features"].strategy == "features"
    frozen, tuned = (found[name].strategy_settings for name in ("vgg16-features-augmented", "vgg16-finetuned"))
    assert isinstance(frozen, Finetune)
    assert frozen.unfreeze == "none"
    assert isinstance(tuned, Finetune)
    assert (tuned.unfreeze, tuned.warm_up) == (("block4", "block5"), 0)


def test_case_study_1_augmentation():
    found = study("dogs-vs-cats").augmentations
    keras = found["keras"]
    assert (keras.zoom, keras.rotate, keras.shift, keras.shear, keras.flip, keras.fill) == (
        0.3,
        50,
        0.2,
        0.2,
        "horizontal",
        "nearest",
    )
    assert keras.shear_unit == "degrees"
    assert found["keras-2.0"] == keras.model_copy(update={"shear_unit": "radians"})


def test_case_study_2_is_faithful():
    run = study("dog-breeds").runs[0]
    assert (run.model.backbone, run.model.pool, run.model.head.dense) == ("inception_v3", "avg", (512, 512))
    assert (run.input.size, run.input.normalize) == (299, "unit")
    assert (run.train.optimizer, run.train.lr, run.train.batch_size, run.train.epochs) == ("adam", 1e-4, 32, 15)
    split = study("dog-breeds").dataset.split
    assert (split.train, split.validation, split.test) == (pytest.approx(0.7 * 0.85), pytest.approx(0.7 * 0.15), 0.3)


def test_the_small_study_takes_data_and_weights_from_the_environment(monkeypatch):
    monkeypatch.setenv("TLBATCH_DATA", "/data")
    monkeypatch.setenv("TLBATCH_WEIGHTS_DIR", "/weights")
    found = runs("dogs-vs-cats-small")
    assert study("dogs-vs-cats-small").dataset.url == "/data/dogs-vs-cats"
    assert len(found) == 6
    mobilenets = [run.model.weights for run in found.values() if run.model.backbone == "mobilenet_v2"]
    assert mobilenets == ["/weights/mobilenet_v2_torchvision_norm.safetensors"] * 3


def test_the_quickstart_takes_from_its_source(monkeypatch):
    monkeypatch.setenv("TLBATCH_SAMPLES", "/samples")
    source, target = study("quickstart-source"), study("quickstart")
    assert (source.dataset.url, target.dataset.url) == ("/samples/source-digits", "/samples/digits")
    assert (target.repeat.seeds, target.repeat.redraw) == ((0, 1, 2, 3, 4), "train")
    origins = {
        run.model.backbone.from_ for run in target.runs if run.model.backbone and not isinstance(run.model.backbone, str)
    }
    assert origins == {f"quickstart-source/{source.runs[0].name}"}
    assert target.runs[0].model.scratch == source.runs[0].model.scratch  # the same architecture, from random weights
