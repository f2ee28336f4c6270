"""What types cannot say: each check with the study that it refuses, and with what it must let pass."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from tlbatch.backbones import names as known
from tlbatch.errors import StudyError
from tlbatch.spec import parse_study
from tlbatch.spec.cron import cron_mistake

VGG = ("block1", "block2", "block3", "block4", "block5")


@pytest.fixture(autouse=True)
def catalogue(monkeypatch):
    """A catalogue of one backbone: these tests are about the checks, not about what there is."""
    stages = tuple(SimpleNamespace(name=name) for name in VGG)
    info = SimpleNamespace(
        stages=stages,
        weights={"IMAGENET1K_V1": {}},
        stages_to=lambda layer: stages[: VGG.index(layer) + 1] if layer in VGG else stages,
    )
    module = SimpleNamespace(
        backbones=lambda: {"vgg16": info},
        described={"vgg16": info}.get,
        layer_names=lambda name: ("block5_conv1",),
        known_names=lambda: ("convnext_tiny",),
        weights_of=lambda name: (),
        input_sizes=lambda name, layer: None,
    )
    monkeypatch.setitem(sys.modules, "tlbatch.backbones.catalogue", module)
    known._catalogue.cache_clear()
    yield
    known._catalogue.cache_clear()


def study(runs: str = "{name: a, model: {scratch: {}}}", dataset: str = "{url: s3://b/p}", more: str = "") -> list[str]:
    """What is said of a study with these parts; an empty list when nothing is."""
    text = f"apiVersion: tlbatch/v1\nkind: Study\nname: mine\ndataset: {dataset}\nruns: [{runs}]\n{more}\n"
    try:
        parse_study(text)
    except StudyError as error:
        return str(error).splitlines()
    return []


def run(fields: str) -> str:
    return f"{{name: a, {fields}}}"


def features(fields: str = "") -> str:
    return run(f"model: {{backbone: vgg16{fields}}}")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("model: {}", "runs[0].model: needs either scratch or backbone, and neither is here"),
        ("model: {scratch: {}, backbone: vgg16}", "runs[0].model: needs either scratch or backbone, and both are here"),
        ("model: {backbone: vgg61}", "runs[0].model.backbone: unknown backbone 'vgg61' (did you mean 'vgg16'?)"),
        (
            "model: {backbone: vgg16, layer: blok5}",
            "runs[0].model.layer: unknown layer 'blok5' of vgg16 (did you mean 'block5'?)",
        ),
        ("model: {backbone: vgg16, weights: IMAGENET_V1}", "runs[0].model.weights: unknown weights 'IMAGENET_V1' of vgg16"),
        ("model: {scratch: {}, layer: conv1}", "runs[0].model.layer: is for a backbone"),
        ("model: {scratch: {}, head: {dense: [3]}}", "runs[0].model.head: is for a backbone"),
        ("model: {backbone: {from: mine/other}}", "runs[0].model.backbone.from: names this study"),
        ("model: {backbone: {from: x/y}, weights: random}", "runs[0].model.weights: come from x/y"),
        ("model: {scratch: {}}, strategy: features", "runs[0].strategy: a scratch model is trained whole"),
        (
            "model: {scratch: {}}, strategy: {finetune: {lr_scale: {a: 1}}}",
            "runs[0].strategy: a scratch model is trained whole",
        ),
        ("model: {backbone: vgg16}, strategy: scratch", "runs[0].strategy: is for model.scratch"),
        (
            "model: {backbone: vgg16}, strategy: {finetune: {unfreeze: [block4, blok5]}}",
            "runs[0].strategy.finetune.unfreeze: unknown stage 'blok5' of vgg16 (did you mean 'block5'?)",
        ),
        (
            "model: {backbone: vgg16, layer: block3}, strategy: {finetune: {unfreeze: [block5]}}",
            "runs[0].strategy.finetune.unfreeze: block5 comes after layer block3",
        ),
        (
            "model: {backbone: vgg16}, strategy: {finetune: {lr_scale: {blck1: 0.1}}}",
            "runs[0].strategy.finetune.lr_scale: unknown",
        ),
        (
            "model: {backbone: vgg16}, strategy: {finetune: {unfreeze: none, gradual: 2}}",
            "runs[0].strategy.finetune.gradual: nothing",
        ),
        (
            "model: {backbone: vgg16}, strategy: {finetune: {warm_up: 20}}",
            "runs[0].strategy.finetune.warm_up: must be less than",
        ),
        (
            "model: {backbone: vgg16}, strategy: {finetune: {unfreeze: [block5, block4], gradual: 20}}",
            "runs[0].strategy.finetune.gradual: block4 would never learn: one of 2 stages every 20 epochs, of 20: "
            "train.epochs: 21 or more, or gradual: 19",
        ),
        (
            "model: {backbone: vgg16}, strategy: {finetune: {unfreeze: [block5], lr_scale: {block1: 5}}}",
            "runs[0].strategy.finetune.lr_scale.block1: block1 does not learn",
        ),
        ("model: {backbone: vgg16}, train: {cutmix: 1}", "runs[0].train.cutmix: needs images, and features trains on features"),
        ("model: {backbone: vgg16, head: {logistic: {c: []}}}", "runs[0].model.head.logistic.c"),
        (
            "model: {backbone: vgg16, head: {logistic: {}}}, strategy: {finetune: {}}",
            "runs[0].model.head.logistic: a logistic regression cannot be trained end to end",
        ),
        (
            "model: {backbone: vgg16, head: {logistic: {}, dropout: 0.5}}",
            "runs[0].model.head: logistic stands alone: remove dropout",
        ),
        ("model: {backbone: vgg16}, augmentation: {zoom: 0.1}", "runs[0].augmentation: has no effect on features"),
        ("model: {backbone: vgg16}, views: 3", "runs[0].views: need an augmentation"),
        ("model: {scratch: {}}, views: 3, augmentation: {zoom: 0.1}", "runs[0].views: extra views are for strategy: features"),
        (
            "model: {scratch: {}}, augmentation: stronk",
            "runs[0].augmentation: unknown augmentation 'stronk' (did you mean 'strong'?)",
        ),
        ("model: {scratch: {}}, control: full", "runs[0].control: controls are for pretrained runs"),
        ("model: {scratch: {}}, input: {size: 16}", "runs[0].input.size: 16 pixels are gone after convolution 3 of 3"),
        ("model: {backbone: vgg16}, input: {resize: squash, crop: 0.9}", "runs[0].input.crop: goes with resize: crop"),
        ("model: {scratch: {}}, train: {warmup_epochs: 20}", "runs[0].train.warmup_epochs: must be less than epochs (20)"),
        (
            "model: {scratch: {}}, train: {class_weights: {ca: 2}}",
            "runs[0].train.class_weights.ca: is not one of dataset.classes",
        ),
    ],
)
def test_runs_that_are_refused(fields, said):
    found = study(run(fields), "{url: s3://b/p, classes: [cat, dog]}", "augmentations: {strong: {zoom: 0.3}}")
    assert len(found) == 1, found
    assert found[0].startswith(f"study.yaml:5: {said}"), found


@pytest.mark.parametrize(
    "fields",
    [
        "model: {backbone: vgg16, layer: block5_conv1}",
        "model: {backbone: convnext_tiny, layer: stages.2}, strategy: {finetune: {unfreeze: [stages.3]}}",
        "model: {backbone: vgg16, weights: some/where.pth}",
        "model: {backbone: vgg16, head: {logistic: {}}}, augmentation: strong, views: 4",
        "model: {backbone: vgg16}, strategy: {finetune: {unfreeze: none}}, augmentation: strong",
        "model: {backbone: vgg16}, strategy: {finetune: {unfreeze: [block5], lr_scale: {head: 10, block5: 0.1}}}",
        "model: {backbone: {from: x/y}, layer: anything}",
        "model: {scratch: {padding: same}}, input: {size: 8}",
        "model: {scratch: {}}, strategy: scratch, control: none",
    ],
)
def test_runs_that_pass(fields):
    assert study(run(fields), more="augmentations: {strong: {zoom: 0.3}}") == []


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        ("{url: ''}", "dataset.url: is empty"),
        ("{url: 'https://x/y'}", "dataset.url: https:// cannot be listed"),
        ("{url: d, classes: [a, a, b]}", "dataset.classes: 'a' is there twice"),
        ("{url: d, classes: [a]}", "dataset.classes: a classifier needs at least two"),
        ("{url: d, split: {train: 1.5}}", "dataset.split.train: 1.5 is a fraction above 1"),
        ("{url: d, split: {train: 3e3}}", "dataset.split.train: 3000 is a fraction above 1; write 3000 for a count"),
        ("{url: d, split: {train: 0.8}}", "dataset.split: 0.8 + 0.15 + 0.15 = 1.1: more than the whole"),
        ("{url: d, split: {validation: 0.5, test: 0.5}}", "dataset.split: validation and test leave nothing"),
        ("{url: d, split: {train: 0}}", "dataset.split.train: nothing to train on"),
        ("{url: d, split: {test: 0}}", "dataset.split.test: nothing to test on"),
        ("{url: d, split: {folders: {train: a}}}", "dataset.split.folders: names no folder for test"),
        ("{url: d, split: {folders: {train: a, test: a}}}", "dataset.split.folders: the folder 'a' stands for two parts"),
        ("{url: d, split: {folders: {train: a, test: b}, folds: 5}}", "dataset.split.folds: folders says already"),
        ("{url: d, split: {folders: {train: a, test: b}, train: 5}}", "dataset.split.train: folders says already"),
        ("{url: d, split: {folders: {trian: a, test: b}}}", "dataset.split.folders.trian:"),
        ("{url: d, labels: {csv: l.csv}, split: {folders: {train: a, test: b}}}", "dataset.labels: the folders"),
        ("{url: d, labels: {csv: l.csv, split: part}, split: {folds: 5}}", "dataset.split.folds: labels.split says already"),
        ("{url: d, labels: {csv: l.csv, group: g}, split: {group: '(a)'}}", "dataset.split.group: labels.group names"),
        ("{url: d, split: {group: '(a'}}", "dataset.split.group: is not a regular expression"),
        ("{url: d, split: {group: 'a+'}}", "dataset.split.group: needs parentheses"),
    ],
)
def test_data_that_is_refused(dataset, said):
    found = study(dataset=dataset)
    assert len(found) == 1, found
    assert found[0].startswith(f"study.yaml:4: {said}"), found


@pytest.mark.parametrize(
    "dataset",
    [
        "{url: d, split: {train: 50, validation: 200, test: 1000}}",
        "{url: d, split: {train: 0.7, validation: 0.15, test: 0.15}}",
        "{url: d, split: {folds: 5, test: 0.2}}",
        "{url: d, split: {folders: {train: a, test: b}}}",
        "{url: d, split: {group: '^([^_]+)_'}}",
        "{url: d, labels: {csv: l.csv, split: part}}",
    ],
)
def test_data_that_passes(dataset):
    assert study(dataset=dataset) == []


@pytest.mark.parametrize(
    ("dataset", "more", "said"),
    [
        ("{url: d}", "repeat: {seeds: [1, 1]}", "repeat.seeds: 1 is there twice"),
        ("{url: d}", "repeat: {seeds: [-1]}", "repeat.seeds: a seed is 0 or more"),
        ("{url: d}", "repeat: {redraw: train}", "repeat.redraw: nothing to redraw from: say how many"),
        ("{url: d, split: {train: 0.7}}", "repeat: {redraw: train}", "repeat.redraw: nothing to redraw from: train"),
        ("{url: d, split: {folds: 3}}", "repeat: {redraw: train}", "repeat.redraw: folds draw other"),
        ("{url: d, split: {folders: {train: a, test: b}}}", "repeat: {redraw: train}", "repeat.redraw: the data says"),
        ("{url: d}", "schedule: {cron: 0 3 * *}", "schedule.cron: has 4 fields, not five"),
        (
            "{url: d}",
            "schedule: {cron: '0 3 * * *', timezone: Asia/Shangai}",
            "schedule.timezone: 'Asia/Shangai' is not a time zone",
        ),
        ("{url: d}", "schedule: {cron: '0 0 31 2 *'}", "schedule.cron: '0 0 31 2 *' never comes"),
        ("{url: d}", "schedule: {cron: '@daily', starting_deadline: 5s}", "schedule.starting_deadline: below 10s"),
        ("{url: d}", "schedule: {cron: '@daily', alpha: 0.6}", "schedule.alpha: "),
        ("{url: d}", "schedule: {cron: '@daily', promote: best}", "schedule.promote: "),
        ("{url: d}", "schedule: {cron: '@daily', class_bound: 2}", "schedule.class_bound: "),
        ("{url: d}", "schedule: {cron: '@daily', webhook: {secret: Hook}}", "schedule.webhook.secret: "),
        (
            "{url: d, classes: [cat, dog]}",
            "schedule: {cron: '@daily', class_bound: {cats: 0.1}}",
            "schedule.class_bound.cats: is not among dataset.classes",
        ),
    ],
)
def test_repeats_and_schedules_that_are_refused(dataset, more, said):
    found = study(dataset=dataset, more=more)
    assert len(found) == 1, found
    assert found[0].partition(": ")[2].startswith(said), found


@pytest.mark.parametrize("train", ["early_stopping: {}, select: last", "lr: auto, select: last", "select: best"])
def test_what_needs_validation_images(train):
    fields = run(f"model: {{scratch: {{}}}}, train: {{{train}}}")
    found = study(fields, "{url: d, split: {validation: 0}}")
    assert len(found) == 1
    assert "needs validation images" in found[0]
    assert study(fields, "{url: d, split: {validation: 0, folds: 5}}") == []


@pytest.mark.parametrize("cron", ["0 3 * * *", "*/5 0-6 1,15 jan-mar mon-fri", "@daily", "0 0 * * 0", "? * * * ?"])
def test_cron_expressions(cron):
    assert cron_mistake(cron) is None


@pytest.mark.parametrize(
    "cron", ["60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 7", "5-1 * * * *", "*/0 * * * *", "a b"]
)
def test_cron_expressions_that_are_wrong(cron):
    assert cron_mistake(cron) is not None


def test_two_runs_of_one_name():
    assert study("{name: a, model: {scratch: {}}}, {name: a, model: {scratch: {}}}") == [
        "study.yaml:5: runs[1].name: 'a' is the name of runs[0] too"
    ]


def test_wrong_keys_and_wrong_names_are_reported_together():
    found = study(
        run("model: {backbone: vgg61}, train: {epoch: 3, lr: x}"), "{url: d, split: {train: 1.5}}", "repeat: {sed: 1}"
    )
    assert sorted(line.split(": ")[1] for line in found) == [
        "dataset.split.train",
        "repeat.sed",
        "runs[0].model.backbone",
        "runs[0].train.epoch",
        "runs[0].train.lr",
    ]


def test_nothing_is_said_of_what_rests_on_a_mistake():
    found = study(run("model: {backbone: vgg16}, strategy: finetuned, augmentation: {zoom: 0.3}"))
    assert len(found) == 1
    assert "runs[0].strategy" in found[0]


def test_without_a_catalogue_names_are_left_to_the_steps(monkeypatch):
    monkeypatch.setitem(sys.modules, "tlbatch.backbones.catalogue", None)  # type: ignore[arg-type]
    known._catalogue.cache_clear()
    assert study(features(", layer: anything")) == []


@pytest.mark.parametrize(("field", "form"), [("memory", "a quantity"), ("driver_memory", "a quantity"), ("ttl", "a duration")])
def test_what_has_a_form_is_told_the_form_and_not_what_it_is_for(field: str, form: str) -> None:
    [said] = study(more=f"resources: {{{field}: lots}}")
    assert f"resources.{field}: must be {form}" in said
