"""The ready-made quickstart studies: submitted, their data in S3, they give what a local run of them gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.user import User, content, finished, no_orphans
from tlbatch.cluster import Cluster as Api
from tlbatch.records.executions import Execution, find_execution
from tlbatch.store import open_store

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
LONG_S = 1500.0
SMALL = "resources={cpu: 300m, memory: 1Gi, steps: {prepare: {cpu: 300m}, report: {cpu: 300m}}}"


def specs(name: str) -> Path:
    return ROOT / "jobs" / "specs" / f"{name}.yaml"


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    for kind, folder in (("source", "source-digits"), ("digits", "digits")):
        subprocess.run([sys.executable, "-m", "jobs.samples", kind, str(tmp_path / "samples" / folder)], check=True)
    return tmp_path / "samples"


def test_the_quickstart_studies_here_and_there(user: User, api: Api, bucket: str, samples: Path, tmp_path: Path) -> None:
    here = tmp_path / "here"
    for study, folder in (("quickstart-source", "source-digits"), ("quickstart", "digits")):
        url = f"s3://{bucket}/{folder}"
        user.run("data", "put", str(samples / folder), url)
        execution = user.submit(specs(study), "--set", f"dataset.url={url}", "--set", SMALL)
        status = finished(execution, LONG_S)
        assert status["state"] == "succeeded", status
        no_orphans(api, execution)
        local = ["--store", str(here), "--cores", "1", "-q", "--set", f"dataset.url={samples / folder}"]
        user.run("run", str(specs(study)), *local)
        assert content(there(here, study)) == content(execution)
        assert "accuracy" in user.run("report", execution.id)
        assert execution.store.stat(execution.name("report/index.html")) is not None


def there(store: Path, study: str) -> Execution:
    return find_execution(open_store(str(store)), study)
