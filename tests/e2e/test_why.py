"""`tlbatch why` on a real cluster: one sentence for everything that can keep a study from running."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.noise import noise

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
TIMEOUT_S = 180.0
STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: why
dataset: {url: "%s", split: {train: 4, validation: 2, test: 2}, near_duplicates: false}
control: none
precision: fp32
runs:
  - name: cnn
    model: {scratch: {channels: [4], dense: [8]}}
    input: {size: 8, normalize: unit, grayscale: true}
    train: {epochs: 1, batch_size: 4}
resources: {cpu: 500m, memory: 2Gi, steps: {prepare: {cpu: 500m}, report: {cpu: 500m}}}
"""


@pytest.fixture(scope="module")
def dataset(bucket: str) -> str:
    """Eight small pictures in S3, all different."""
    import io

    from tlbatch.store.s3 import open_client

    prefix = secrets.token_hex(4)
    for label in ("a", "b"):
        for number in range(4):
            data = io.BytesIO()
            noise(f"{number}", (16, 16), 60 + number).save(data, "png")
            open_client().put_object(Bucket=bucket, Key=f"{prefix}/{label}/{number}.png", Body=data.getvalue())
    return f"s3://{bucket}/{prefix}"


@pytest.fixture
def asked(tmp_path: Path, store_url: str, dataset: str, images: Any) -> Callable[..., str]:
    """Submits a study into a namespace and asks why, until ``words`` are said; then cancels."""

    def ask(words: str, namespace: str, *settings: str, **context: Any) -> str:
        fields = {"store": store_url, "images": images.prefix, "tag": images.tag, "namespace": namespace, **context}
        config = tmp_path / "config.yaml"
        config.write_text(json.dumps({"current-context": "e2e", "contexts": {"e2e": fields}}))
        study = tmp_path / "study.yaml"
        study.write_text(STUDY % dataset)
        options = [option for setting in settings for option in ("--set", setting)]

        def tlbatch(*arguments: str, codes: tuple[int, ...] = (0,)) -> str:
            environment = {**os.environ, "TLBATCH_CONFIG": str(config)}
            command = [sys.executable, "-m", "tlbatch", *arguments]
            done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
            assert done.returncode in codes, done.stderr
            return done.stdout

        execution = tlbatch("submit", str(study), *options).strip()
        deadline = time.monotonic() + TIMEOUT_S
        while words not in (said := tlbatch("why", execution)):
            assert time.monotonic() < deadline, f"{words!r} was not said, but: {said}"
            time.sleep(1)
        tlbatch("cancel", execution, codes=(0, 2))  # 2: it has failed meanwhile
        return said

    return ask


def test_a_wrong_image(asked: Callable[..., str], namespace: str) -> None:
    said = asked("cannot be pulled", namespace, tag="of-nobody")
    assert "tlbatch-launcher:of-nobody" in said


def test_a_missing_secret(asked: Callable[..., str], fresh_namespace: Callable[..., str]) -> None:
    assert "`tlbatch secret create`" in asked("Secret is missing", fresh_namespace(secret=False))


def test_a_quota_too_small(asked: Callable[..., str], fresh_namespace: Callable[..., str], cluster: Any) -> None:
    name = fresh_namespace()
    cluster.kubectl("-n", name, "patch", "resourcequota", "tlbatch", "-p", '{"spec": {"hard": {"requests.cpu": "50m"}}}')
    assert "requests.cpu" in asked("quota leaves no room", name)


def test_a_gpu_that_is_not_there(asked: Callable[..., str], namespace: str) -> None:
    assert "finetune:cnn:0" in asked("no node has a free GPU", namespace, "resources.gpu=7")


def test_too_little_memory(asked: Callable[..., str], namespace: str) -> None:
    said = asked("killed for memory at its limit of 40Mi", namespace, "resources.steps.finetune={memory: 40Mi}")
    assert "resources.memory" in said


def test_a_refused_pod(asked: Callable[..., str], namespace: str) -> None:
    patch = "{containers: [{name: step, securityContext: {privileged: true, allowPrivilegeEscalation: true}}]}"
    assert "privileged" in asked("Pod Security", namespace, f"resources.pod_patch={patch}")
