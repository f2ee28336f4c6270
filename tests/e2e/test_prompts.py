"""Pictures judged by prompts, with a CLIP network of full size: as Jobs what it is here."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clips import save_full
from tests.e2e.user import User, content, finished, no_orphans
from tlbatch.cluster import Cluster as Api
from tlbatch.records.executions import find_execution
from tlbatch.store import open_store

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.shared]
STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: prompts
dataset: {{url: "{url}", split: {{train: 20, validation: 10, test: 30}}, near_duplicates: false}}
control: none
precision: fp32
runs:
  - name: clip
    model: {{backbone: open_clip/ViT-B-32, weights: "store:weights/clip.safetensors", head: {{prototypes: {{}}}}}}
described: {{templates: ["a photo of a {{}}.", "a drawing of a {{}}."]}}
resources: {{cpu: 900m, memory: 4Gi, steps: {{prepare: {{cpu: 900m, memory: 2Gi}}, report: {{cpu: 900m, memory: 2Gi}}}}}}
"""


def test_prompts_say_on_the_cluster_what_they_say_here(
    user: User, api: Api, bucket: str, tmp_path: Path, shared_data: Callable[[str], Path]
) -> None:
    """Sixty photographs, seeded weights: the same features, and the same evaluation with and without labels."""
    for label in ("cat", "dog"):
        (tmp_path / "pets" / label).mkdir(parents=True)
        for picture in sorted((shared_data("data/dogs-vs-cats") / label).iterdir())[:30]:
            shutil.copy(picture, tmp_path / "pets" / label)
    url, local = f"s3://{bucket}/prompts", str(tmp_path / "local")
    user.run("data", "put", str(tmp_path / "pets"), url)
    weights = save_full("ViT-B-32", tmp_path / "clip.safetensors")
    for store in (user.store_url, local):
        user.run("weights", "mirror", str(weights), "--store", store)
    study = user.folder / "prompts.yaml"
    study.write_text(STUDY.format(url=url))
    execution = user.submit(study)
    user.run("run", "-q", "--cores", "1", str(study), "--set", f"dataset.url={tmp_path / 'pets'}", "--store", local)
    status = finished(execution, 1200.0)
    assert status["state"] == "succeeded", status
    no_orphans(api, execution)
    here, there = content(find_execution(open_store(local), "prompts")), content(execution)
    compared = {name for name in there if not name.startswith(("prepare", "report"))}
    assert any("no-labels" in name for name in compared), sorted(there)
    assert {name for name in compared if there[name] != here.get(name)} == set()
