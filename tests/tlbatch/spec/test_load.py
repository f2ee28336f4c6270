"""Studies load as written; every mistake of a file is reported at once, with its place and the nearest valid name."""

from __future__ import annotations

import textwrap
from pathlib import Path

import jsonschema
import pytest
import yaml

from tlbatch.errors import StudyError
from tlbatch.profiles import Profile
from tlbatch.spec import json_schema, load_study, parse_study
from tlbatch.spec.decode import OF_A_CONTEXT
from tlbatch.spec.model import FromRun

GOOD = """\
apiVersion: tlbatch/v1
kind: Study
name: pets
dataset:
  url: s3://pets/all
runs:
  - name: basic-cnn
    model: {scratch: {channels: [16, 64]}}
    train: {lr: 1e-3}
  - name: again
    model: {scratch: {}}
"""


def mistakes(text: str, *overrides: str) -> list[str]:
    with pytest.raises(StudyError) as caught:
        parse_study(textwrap.dedent(text), "study.yaml", overrides)
    return str(caught.value).splitlines()


def test_a_good_study_loads_and_is_frozen():
    study = parse_study(GOOD).study
    assert study.runs[0].train.lr == 0.001
    assert study.runs[0].model.scratch is not None
    assert study.runs[0].model.scratch.channels == (16, 64)
    with pytest.raises(ValueError, match="frozen"):
        study.name = "other"  # type: ignore[misc]


def test_yaml_1_2_scalars():
    text = GOOD + "description: no\ncontrol: none\nrepeat: {seeds: [0x10, 7]}\n"
    text += 'augmentations: {"on": {zoom: 3e-1}}\n'
    study = parse_study(text).study
    assert study.description == "no"
    assert study.augmentations["on"].zoom == 0.3
    assert study.repeat.seeds == (16, 7)


@pytest.mark.parametrize("number", ["1e-3", "1E-3", "0.001", "1.0e-3", ".001", "+1e-03"])
def test_numbers_however_written(number):
    assert parse_study(GOOD.replace("1e-3", number)).study.runs[0].train.lr == 0.001


def test_all_mistakes_at_once_each_with_line_and_hint():
    found = mistakes(
        """\
        apiVersion: tlbatch/v1
        kind: Study
        name: Pets
        dataset:
          url: ./pets
          splitt: {train: 3}
        runs:
          - name: a
            model: {scratch: {chanels: [16]}}
            train:
              epochs: ten
              optimizer: adamm
              batch_size: 0
            strategy: finetuned
          - name: b
            model: {scratch: {}}
            strategy: features
            nam: 3
          - name: c
        """
    )
    expected = [
        "study.yaml:3: name: must be lower-case letters",
        "study.yaml:6: dataset.splitt: unknown key (did you mean 'split'?)",
        "study.yaml:9: runs[0].model.scratch.chanels: unknown key (did you mean 'channels'?)",
        "study.yaml:11: runs[0].train.epochs: must be a whole number, not 'ten'",
        "study.yaml:12: runs[0].train.optimizer: must be one of rmsprop, sgd, adam, adamw, not 'adamm' (did you mean 'adam'?)",
        "study.yaml:13: runs[0].train.batch_size: must be at least 1, not 0",
        "study.yaml:14: runs[0].strategy: must be one of features, scratch or a mapping",
        "study.yaml:17: runs[1].strategy: a scratch model is trained whole",
        "study.yaml:18: runs[1].nam: unknown key (did you mean 'name'?)",
        "study.yaml:19: runs[2].model: is missing",
    ]
    assert len(found) == len(expected), found
    for line, start in zip(found, expected, strict=True):
        assert line.startswith(start), line


def test_a_misspelt_key_is_not_reported_missing_too():
    found = mistakes(GOOD.replace("url:", "ulr:"))
    assert found == ["study.yaml:5: dataset.ulr: unknown key (did you mean 'url'?)"]


@pytest.mark.parametrize("key", OF_A_CONTEXT)
def test_what_belongs_to_a_context_is_said_so(key):
    assert key in Profile.model_fields
    found = mistakes(GOOD + f"resources: {{{key}: x}}\n")
    assert found == [
        f"study.yaml:12: resources.{key}: unknown key: it is where a study goes, not the study (`tlbatch context set {key}=…`)"
    ]


def test_duplicate_keys_are_mistakes():
    found = mistakes(GOOD + "name: other\n")
    assert found == ["study.yaml:12: name: given twice (first in line 3)"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1, 2", "study.yaml:1: this is not YAML"),
        ("a: b: c", "study.yaml:1: this is not YAML"),
        ("a: \x00", "study.yaml:1: this is not YAML"),
        ("a: *nobody", "study.yaml:1: this is not YAML"),
        ("", "study.yaml: a study is a mapping"),
        ("- 1", "study.yaml:1: a study is a mapping"),
        ("a: 1\n---\nb: 2", "study.yaml:2: this is not YAML"),
    ],
)
def test_what_is_no_study(text, said):
    found = mistakes(text)
    assert len(found) == 1
    assert found[0].startswith(said)


def test_aliases_that_explode_or_bite_their_tail():
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 8)]
    assert "more than 100000 values" in mistakes("\n".join(lines))[0]
    assert any("an alias (*name) inside what it stands for" in line for line in mistakes(GOOD + "augmentations: &x {a: *x}\n"))


def test_anchors_and_merge_keys():
    text = GOOD.replace("train: {lr: 1e-3}", "train: &train {lr: 1e-3, epochs: 3}") + "    train: {<<: *train, epochs: 5}\n"
    second = parse_study(text).study.runs[1].train
    assert (second.lr, second.epochs) == (0.001, 5)


def test_environment(monkeypatch):
    monkeypatch.setenv("PETS", "s3://elsewhere")
    monkeypatch.setenv("EPOCHS", "7")
    monkeypatch.delenv("NOWHERE", raising=False)
    text = GOOD.replace("s3://pets/all", "${PETS:-s3://pets}/all").replace("lr: 1e-3", 'epochs: "${NOWHERE:-3}", lr: 1')
    assert parse_study(GOOD.replace("s3://pets/all", "${PETS}/all")).study.dataset.url == "s3://elsewhere/all"
    assert parse_study(GOOD.replace("s3://pets/all", "s3://${NOWHERE:-pets}/all")).study.dataset.url == "s3://pets/all"
    assert parse_study(GOOD + "description: a $${PETS} b\n").study.description == "a ${PETS} b"
    block = GOOD.replace("    train: {lr: 1e-3}", "    train:\n      epochs: ${EPOCHS:-3}")
    assert parse_study(block).study.runs[0].train.epochs == 7
    assert "not '3'" in mistakes(text)[0]  # what is quoted stays text
    assert mistakes(GOOD.replace("s3://pets/all", "${NOWHERE}/all"))[0].startswith(
        "study.yaml:5: dataset.url: the environment variable NOWHERE is not set"
    )


def test_overrides():
    study = parse_study(
        GOOD,
        overrides=[
            "runs[basic-cnn].train.lr=1e-4",
            "runs.1.train.epochs=3",
            "dataset.split={train: 30}",
            "repeat.seeds=[1, 2]",
        ],
    ).study
    assert study.runs[0].train.lr == 1e-4
    assert study.runs[1].train.epochs == 3
    assert study.dataset.split.train == 30
    assert study.repeat.seeds == (1, 2)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "runs[basic-cn].train.lr=1",
            "--set runs[basic-cn].train.lr=1: runs: no entry is named 'basic-cn' (did you mean 'basic-cnn'?)",
        ),
        ("runs.7.train.lr=1", "--set runs.7.train.lr=1: runs: there is no entry 7"),
        ("runs[0].train.lr=fast", "--set runs[0].train.lr=fast: runs[0].train.lr: must be a number or auto, not 'fast'"),
        ("runs[0].trian.lr=1", "--set runs[0].trian.lr=1: runs[0].trian: unknown key (did you mean 'train'?)"),
        ("name.x=1", "--set name.x=1: name: is 'pets', which has nothing inside"),
        ("name", "--set name: write it as path=value"),
        ("name=[", "--set name=[: this is not YAML"),
        ("runs[=1", "--set runs[=1: write it as path=value"),
    ],
)
def test_wrong_overrides_name_themselves(override, said):
    found = mistakes(GOOD, override)
    assert len(found) == 1, found
    assert found[0].startswith(said)


def test_relative_paths(tmp_path, monkeypatch):
    (tmp_path / "studies").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    run = "  - name: c\n    model: {backbone: vgg16, weights: w/v.safetensors}\n"
    run += "  - name: d\n    model: {backbone: vgg16, weights: https://x/y.pth}\n"
    run += "  - name: e\n    model: {backbone: vgg16, weights: v.pth}\n"
    file = tmp_path / "studies" / "s.yaml"
    file.write_text(GOOD.replace("s3://pets/all", "../pets") + run)
    loaded = load_study(file)
    assert loaded.study.dataset.url == str(tmp_path / "pets")
    weights = [run.model.weights for run in loaded.study.runs]
    assert weights[2:] == [str(tmp_path / "studies/w/v.safetensors"), "https://x/y.pth", str(tmp_path / "studies/v.pth")]
    assert weights[0] == "default"
    assert (loaded.path, loaded.folder) == (file, tmp_path / "studies")
    typed = load_study(file, ["dataset.url=mine", "runs[c].model.weights=./v.pt"])
    assert typed.study.dataset.url == str(tmp_path / "here/mine")
    assert typed.study.runs[2].model.weights == str(tmp_path / "here/v.pt")


def test_an_address_of_a_folder_is_the_folder(tmp_path: Path) -> None:
    """``tlbatch data check file:///photos`` took it, and a study of the same folder did not."""
    loaded = parse_study(GOOD.replace("s3://pets/all", f"file://{tmp_path}/pets%20here"))
    assert loaded.study.dataset.url == f"{tmp_path}/pets here"
    for written, url in {"/a/cats#1": "/a/cats#1", "/a/b?c": "/a/b?c", "/a/../b": "/b", "localhost/a": "/a"}.items():
        assert parse_study(GOOD.replace("s3://pets/all", f'"file://{written}"')).study.dataset.url == url
    for wrong in ("file://[photos", "file://℀/x", "file:///a%ffb", "file:///x%00y"):
        assert "cannot be listed" in mistakes(GOOD.replace("s3://pets/all", f'"{wrong}"'))[0]
    assert mistakes(GOOD.replace("s3://pets/all", "file://host/pets")) == [
        "study.yaml:5: dataset.url: file:// cannot be listed; use a folder or s3://bucket/prefix"
    ]


RESOURCES = {
    "queue: A_b": "resources.queue: must be a name as Kubernetes takes it",
    "priority_class: a b": "resources.priority_class: must be a name",
    "service_account: q/": "resources.service_account: must be a name",
    "image_pull_secrets: [a, B]": "resources.image_pull_secrets[1]: must be a name",
    "labels: {a b: c}": "resources.labels.a b: must be a key as Kubernetes takes it",
    "labels: {team: x y}": "resources.labels.team: must be a label",
    "labels: {team: 5}": 'resources.labels.team: must be text, not 5 (put it in quotes: "5")',
    "node_selector: {gpu/: x}": "resources.node_selector.gpu/: must be a key",
    "annotations: {a/b/c: x}": "resources.annotations.a/b/c: must be a key",
    "queue: a..b": "resources.queue: must be a name",
    "node_selector: {a..b/x: y}": "resources.node_selector.a..b/x: must be a key",
    "gpu_resource: nvidia gpu": "resources.gpu_resource: must be a key",
    "gpu_resource: gpu": "resources.gpu_resource: must be a name as clusters call devices by",
}


@pytest.mark.parametrize("given", RESOURCES)
def test_what_the_cluster_would_refuse_is_said_before_it_is_sent(given: str) -> None:
    [said] = mistakes(GOOD + f"resources: {{{given}}}\n")
    assert said.startswith("study.yaml:12: " + RESOURCES[given]), said


def test_what_the_cluster_takes_is_taken() -> None:
    """Names and labels of the API's own documentation."""
    resources = (
        "{queue: team-a, labels: {app.kubernetes.io/name: a_B.c, x: ''}, node_selector: {kubernetes.io/arch: amd64},"
        " annotations: {Example.com/Note: 'any text'}, gpu_resource: nvidia.com/mig-1g.5gb, image_pull_secrets: [r.x-1]}"
    )
    assert parse_study(GOOD + f"resources: {resources}\n").study.resources.queue == "team-a"


def test_the_document_gives_the_same_study_from_anywhere(tmp_path):
    file = tmp_path / "s.yaml"
    file.write_text(GOOD.replace("s3://pets/all", "pets"))
    loaded = load_study(file, ["runs[again].train.lr=2e-5"])
    assert parse_study(yaml.safe_dump(loaded.document), folder=Path("/elsewhere")).study == loaded.study


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(StudyError, match="there is no such file"):
        load_study(tmp_path / "none.yaml")
    with pytest.raises(StudyError, match="is a folder"):
        load_study(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9\n")
    with pytest.raises(StudyError, match="UTF-8"):
        load_study(tmp_path / "latin.yaml")


def test_backbone_from_a_run():
    text = GOOD + "  - name: c\n    model: {backbone: {from: earlier/run-1}}\n"
    assert parse_study(text).study.runs[2].model.backbone == FromRun(**{"from": "earlier/run-1"})


def test_schema_agrees_with_an_independent_validator():
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    document = parse_study(GOOD).document
    assert not list(validator.iter_errors(document))
    assert list(validator.iter_errors({**document, "nmae": 1}))
    run = {**document["runs"][0], "model": {"scratch": {"pets:mlp": {"units": [8]}}}}
    assert not list(validator.iter_errors({**document, "runs": [run]}))
    tuned = {"name": "tuned", "model": {"backbone": "vgg16"}, "strategy": {"finetune": {"unfreeze": "all"}}}
    assert not list(validator.iter_errors({**document, "runs": [tuned]}))


def test_a_strategy_that_needs_its_settings_is_shown_with_them() -> None:
    run = "  - {name: tuned, model: {backbone: vgg16}, strategy: finetune}\n"
    with pytest.raises(StudyError) as error:
        parse_study(GOOD.partition("runs:")[0] + "runs:\n" + run)
    assert "runs[0].strategy: must be one of features, scratch" in str(error.value)
    assert "not 'finetune' (did you mean {finetune: {}}?)" in str(error.value)
