"""A package of its own adds a way to learn: installed beside, named in a study, run to a report, keyed by its source."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.imports import ROOT
from tests.studies.installation import KILLED, Installation
from tests.studies.shapes import SPLIT, draw_shapes, head
from tlbatch.plugins import KINDS

pytestmark = pytest.mark.slow

RUN = """
  - name: means
    model: {backbone: mobilenet_v2, weights: random}
    strategy: {"example:nearest-mean": {shrink: 0.1}}
    input: {size: 32}
  - name: mlp
    model: {scratch: {"example:mlp": {units: [16]}}}
    input: {size: 16}
    train: {epochs: 8, batch_size: 8, lr: 3e-3}
  - name: cosine
    model: {backbone: mobilenet_v2, weights: random, head: {"example:cosine": {scale: 5}}}
    strategy: features
    input: {size: 32}
    train: {epochs: 3, batch_size: 8, lr: 3e-3}
  - name: tiny
    model: {backbone: "example:tiny", head: {logistic: {c: [1.0], folds: 3}}}
    control: cheap
  - name: tuned
    model: {backbone: "example:tiny", weights: random}
    strategy: {finetune: {unfreeze: [corners]}}
    train: {epochs: 3, batch_size: 8, lr: 3e-3}
  - name: logistic
    model: {backbone: mobilenet_v2, weights: random, head: {logistic: {c: [1.0], folds: 3}}}
    input: {size: 32}
"""


class Place(Installation):
    """A folder with pictures, a study and the package, installed; commands run there."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        draw_shapes(folder / "images", 40)
        (folder / "study.yaml").write_text(head("shapes", SPLIT).replace("runs:", 'metrics: ["example:mcc"]\nruns:') + RUN)

    def keys(self, site: Path | None = None, store: str = "store") -> dict[str, str]:
        document: Any = json.loads(self.call("check", "study.yaml", "--store", store, "-o", "json", site=site))
        return {task["name"]: task.get("key") for task in document["tasks"]}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("plugins"))
    place.call("run", "study.yaml", "--store", "store")
    return place


def test_it_is_listed(place: Place) -> None:
    found = json.loads(place.call("plugins", "-o", "json"))
    assert [(one["plugin"], one["package"], one["version"], one["problem"]) for one in found] == [
        ("example", "tlbatch-example", "1.0", "")
    ]
    names = [name for kind in KINDS for name in found[0]["adds"][kind]]
    assert {"example:nearest-mean", "example:pooled", "example:tiny", "example:mlp", "example:cosine", "example:mcc"} <= set(
        names
    )
    listed = place.call("plugins")
    assert all(name in listed for name in names)
    assert "plug-in example" in next(line for line in place.call("backbones").splitlines() if line.startswith("example:tiny"))


def test_it_ran_to_a_report(place: Place) -> None:
    report = next((place.folder / "store/executions").glob("*/report"))
    assert "nearest class mean of the features" in (report / "index.html").read_text()
    document = json.loads((report / "report.json").read_text())
    assert {run["name"] for run in document["runs"]} >= {"means", "logistic", "mlp", "cosine", "tiny", "tuned", "tiny-random"}
    html = (report / "index.html").read_text()
    assert "head on the features of the last layer, cosine head" in html
    assert "example:mlp, dense layers on all values" in html


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # a class of one point has no variance
def test_what_it_computes_is_what_sklearn_computes(place: Place) -> None:
    """The example is right: its predictions are those of sklearn's NearestCentroid on the same features."""
    import numpy as np
    from safetensors.numpy import load_file
    from sklearn.neighbors import NearestCentroid

    store = place.folder / "store"
    tasks = {task["name"]: task for task in map(json.loads, (path.read_text() for path in store.glob("tasks/*.json")))}
    assert tasks["finetune:means:0"]["params"]["plugins"]["example"]["version"] == "1.0"
    weights = load_file(next((store / "artifacts/finetune" / tasks["finetune:means:0"]["key"]).rglob("model.safetensors")))
    weight, bias = weights["head.classifier.weight"].astype(np.float64), weights["head.classifier.bias"].astype(np.float64)
    centres = weight / 2
    assert np.allclose(bias, -(centres**2).sum(axis=1), rtol=1e-4)
    reference = NearestCentroid().fit(centres, [0, 1])
    spread = np.abs(centres[0] - centres[1]) + 1e-3
    points = np.random.default_rng(0).normal(centres.mean(axis=0), spread, (200, centres.shape[1]))
    assert ((points @ weight.T + bias).argmax(axis=1) == reference.predict(points)).mean() > 0.99


@pytest.mark.s3
def test_in_a_bucket_it_leaves_the_same(place: Place, s3_server: str) -> None:
    import boto3

    boto3.client("s3").create_bucket(Bucket="plugins")
    place.call("run", "study.yaml", "--store", "s3://plugins/store")
    here, there = place.keys(), place.keys(store="s3://plugins/store")
    assert len(here) > 20
    assert {name: key for name, key in there.items() if name != "report"} == {
        name: key for name, key in here.items() if name != "report"
    }


def test_again_nothing_runs_and_another_source_is_another_task(place: Place, tmp_path: Path) -> None:
    before = place.keys()
    assert place.keys() == before
    shutil.copytree(place.site, tmp_path / "site")
    path = tmp_path / "site/tlbatch_example/nearest_mean.py"
    path.write_text(path.read_text() + "# changed\n")
    after = place.keys(tmp_path / "site")
    changed = {name for name in before if after[name] != before[name]}
    assert changed >= {f"finetune:{run}:0" for run in ("means", "mlp", "cosine", "tiny", "tuned", "tiny-random")}
    assert changed >= {"extract:tiny", "extract:tiny-random"}
    assert not changed & {"prepare", "finetune:logistic:0", "extract:cosine"}


def evaluation(place: Place, run: str) -> tuple[dict[str, Any], dict[str, Any]]:
    store = place.folder / "store"
    tasks = (json.loads(path.read_text()) for path in store.glob("tasks/*.json"))
    key = next(task["key"] for task in tasks if task["name"] == f"evaluate:{run}")
    files = store / "artifacts/evaluate" / key
    return tuple(json.loads(next(files.rglob(name)).read_text()) for name in ("metrics.json", "predictions.json"))  # type: ignore[return-value]


@pytest.mark.parametrize("run", ["means", "mlp", "cosine", "tiny", "tuned", "logistic"])
def test_a_metric_is_what_sklearn_says_with_an_interval(place: Place, run: str) -> None:
    """Its value is that of sklearn's matthews_corrcoef, its interval the percentiles of sklearn's on resamples drawn anew."""
    import numpy as np
    from sklearn.metrics import matthews_corrcoef

    metrics, predictions = evaluation(place, run)
    labels, predicted = np.array(predictions["labels"]), np.array(predictions["probabilities"]["0"]).argmax(axis=1)
    found = metrics["seeds"]["0"]["example:mcc"]
    assert found["value"] == pytest.approx(matthews_corrcoef(labels, predicted), abs=1e-9)
    assert metrics["metrics"]["example:mcc"]["title"] == "MCC"
    chance = np.random.default_rng(7)
    strata = [np.flatnonzero(labels == label) for label in (0, 1)]
    drawn = [np.concatenate([chance.choice(rows, len(rows)) for rows in strata]) for _ in range(1000)]
    low, high = np.quantile([matthews_corrcoef(labels[rows], predicted[rows]) for rows in drawn], [0.025, 0.975])
    if low == high:  # one class predicted, or no mistake: every resample is alike, which is no interval
        assert (found["low"], found["high"]) == (None, None)
    else:
        assert (found["low"], found["high"]) == (pytest.approx(low, abs=0.08), pytest.approx(high, abs=0.08))


def test_a_metric_is_where_ours_are(place: Place) -> None:
    report = next((place.folder / "store/executions").glob("*/report"))
    document = json.loads((report / "report.json").read_text())
    value = evaluation(place, "mlp")[0]["seeds"]["0"]["example:mcc"]["value"]
    assert next(run for run in document["runs"] if run["name"] == "mlp")["metrics"]["example:mcc"]["value"] == value
    assert "MCC" in document["table"]["columns"]
    assert ">MCC<" in re.sub(r"\s+", "", (report / "index.html").read_text())
    assert "example:mcc" in (report / "metrics.csv").read_text()
    execution = report.parent.name
    assert "MCC" in place.call("report", "show", execution, "--store", "store")
    place.call("run", "study.yaml", "--store", "store", "--set", "runs[mlp].train.epochs=1")
    other = next(path.name for path in (place.folder / "store/executions").iterdir() if path.name != execution)
    compared = json.loads(place.call("report", "compare", execution, other, "--store", "store", "-o", "json"))
    runs = [run for side in compared["executions"] for run in side["runs"] if run["name"] == "tiny" or "/tiny" in run["name"]]
    assert runs
    assert all("example:mcc" in run["metrics"] for run in runs)
    assert "MCC" in place.call("report", "compare", execution, other, "--store", "store")


@pytest.mark.parametrize("run", ["mlp", "tuned"])
def test_killed_it_goes_on_to_the_same_bits(place: Place, run: str) -> None:
    task = next(
        task
        for task in (json.loads(path.read_text()) for path in (place.folder / "store/tasks").glob("*.json"))
        if task["name"] == f"finetune:{run}:0" and task["params"]["train"]["epochs"] > 1
    )
    manifest = place.folder / f"store/artifacts/finetune/{task['key']}/manifest.json"
    before = json.loads(manifest.read_text())["digest"]
    manifest.unlink()
    url = f"{place.folder}/store/tasks/{task['key']}.json"
    command, given = [sys.executable, "-c", KILLED, url], {"cwd": place.folder, "env": place.environment()}
    killed = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **given)  # type: ignore[call-overload]
    assert killed.returncode == -9, killed.stdout + killed.stderr
    command = [sys.executable, "-m", "jobs.finetune", "--task", url]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True, **given)  # type: ignore[call-overload]
    assert "going on from a checkpoint" in ended.stdout + ended.stderr
    assert json.loads(manifest.read_text())["digest"] == before


def test_it_predicts(place: Place) -> None:
    execution = json.loads(place.call("list", "--store", "store", "-o", "json"))[0]["id"]
    for run in ("means", "mlp", "tuned"):
        place.call("predict", "images/disc", f"predicted-{run}", "--model", f"store#{execution}/{run}")
        lines = [json.loads(line) for path in (place.folder / f"predicted-{run}").rglob("*.jsonl") for line in path.open()]
        assert len([line for line in lines if "predicted" in line]) == 40


def test_a_champion_is_exported(place: Place) -> None:
    execution = json.loads(place.call("list", "--store", "store", "-o", "json"))[-1]["id"]
    place.call("champion", "promote", "shapes", execution, "--run", "tuned", "--store", "store")
    place.call("champion", "pull", "shapes", "model", "--format", "onnx", "--store", "store")
    card = json.loads((place.folder / "model/model.json").read_text())
    assert card["network"]["backbone"]["name"] == "example:tiny"
    assert card["check"]["onnx"]["same_class"] == card["check"]["onnx"]["images"]
    assert "example:tiny up to `corners`" in (place.folder / "model/README.md").read_text()


def test_a_model_whose_plugin_changed_predicts_nothing(place: Place, tmp_path: Path) -> None:
    """Other code under the same weights may say something else: that is said, with the way out."""
    execution = json.loads(place.call("list", "--store", "store", "-o", "json"))[0]["id"]
    shutil.copytree(place.site, tmp_path / "site")
    path = tmp_path / "site/tlbatch_example/networks.py"
    path.write_text(path.read_text() + "# changed\n")
    words = ("predict", "images/disc", "changed", "--model", f"store#{execution}/mlp")
    assert "or another source of it: install that" in place.call(*words, code=2, site=tmp_path / "site")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("", "no plug-in called 'example' is installed"),
        ("import tlbatch_missing\n", "cannot be imported (ModuleNotFoundError: No module named 'tlbatch_missing')"),
        ("PLUGIN = 3\n", "is no tlbatch.plugins.Plugin"),
    ],
)
def test_one_that_is_missing_or_broken_is_a_sentence(place: Place, tmp_path: Path, change: str, sentence: str) -> None:
    site = tmp_path / "site"
    site.mkdir()
    if change:
        shutil.copytree(place.site, site, dirs_exist_ok=True)
        (site / "tlbatch_example/plugin.py").write_text(change)
    assert sentence in place.call("check", "study.yaml", "--store", "store", code=2, site=site)


def test_wrong_names_and_settings_are_sentences(place: Place) -> None:
    for given, sentence in (
        ("example:nearest-maen", "(did you mean 'nearest-mean'?)"),
        ("exampel:nearest-mean", "(did you mean 'example'?)"),
        ('{"example:nearest-mean": {shrink: 2}}', "shrink"),
        ('{"example:nearest-mean": {shirnk: 0.5}}', "unknown key (did you mean 'shrink'?)"),
    ):
        words = ("check", "study.yaml", "--store", "store", "--set", f"runs[means].strategy={given}")
        said = place.call(*words, code=2)
        assert sentence in said, said
        assert "runs[0].strategy" in said


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("runs[mlp].model.scratch=example:mpl", "runs[1].model.scratch: example:mpl: plug-in example has no such name"),
        ('runs[mlp].model.scratch={"example:mlp": {units: [0]}}', "runs[1].model.scratch.example:mlp.units[0]:"),
        ('runs[cosine].model.head={"example:cosine": {scael: 1}}', "unknown key (did you mean 'scale'?)"),
        ("runs[cosine].model.head=example:mlp", "has no such name among its heads (known here: cosine)"),
        ("metrics=[example:mc]", "metrics[0]: example:mc: plug-in example has no such name among its metrics"),
        ("metrics=[accuracy]", "tlbatch's own are computed for every study"),
        ("runs[tuned].model.backbone=example:tyni", "runs[4].model.backbone: example:tyni: plug-in example has no such name"),
        ("runs[tiny].model.weights=edgse", "unknown weights 'edgse' of example:tiny (did you mean 'edges'?)"),
        ("runs[tiny].model.layer=edgse", "unknown layer 'edgse' of example:tiny (did you mean 'edges'?)"),
        ("runs[tuned].strategy.finetune.unfreeze=[stem]", "unknown stage 'stem' of example:tiny"),
        ('runs[means].model.head={"example:cosine": {}}', "strategy example:nearest-mean trains no head of a plug-in"),
    ],
)
def test_wrong_parts_of_models_are_sentences(place: Place, change: str, sentence: str) -> None:
    said = place.call("check", "study.yaml", "--store", "store", "--set", change, code=2)
    assert sentence in said, said


def test_the_manuals_studies_are_right(place: Place) -> None:
    blocks = re.findall(r"```yaml\n(runs:\n.*?)```", (ROOT / "docs/plugins.md").read_text(), flags=re.DOTALL)
    added = [block.removeprefix("runs:\n") for block in blocks if "example:" in block]
    assert len(added) >= 3
    runs = "".join(added).replace("backbone: mobilenet_v2", "weights: random, backbone: mobilenet_v2")
    (place.folder / "manual.yaml").write_text(head("manual", SPLIT) + runs)
    place.call("check", "manual.yaml", "--store", "store")


def test_nothing_here_names_it() -> None:
    found = subprocess.run(
        ["grep", "-rnE", r"nearest.?mean\b|tlbatch.example", "tlbatch", "jobs"], cwd=ROOT, capture_output=True
    )
    assert found.returncode == 1, found.stdout.decode()
