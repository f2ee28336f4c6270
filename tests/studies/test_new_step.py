"""A step is its entry in the table of steps, its program and what plans it: no other file knows of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.imports import ROOT
from tests.studies.shapes import SPLIT, draw_shapes, head

pytestmark = pytest.mark.slow

ENTRY = '    Step("audit", 7, "data", memory_mib=123, planned="tlbatch.planning.audit:add_audit"),\n'
PLANNED = '''
from tlbatch.planning.plan import Node


def add_audit(builder, resolved, needs):
    """Before the report, which reads it."""
    evaluated = {role: name for role, name in needs.items() if role.startswith("evaluate:")}
    node = Node("audit", "audit", {"asked": len(evaluated)}, {"dataset": "prepare", **evaluated}, weight="light", shape="audit")
    return {"audit": builder.add(node)}
'''
PROGRAM = """
from jobs.runtime import Context, step_main


def run(context: Context) -> None:
    context.write_json("audit.json", {"read": sorted(context.roles())})


if __name__ == "__main__":
    step_main("audit", run)
"""
JOB = """
import json
from tlbatch.manifests import DriverIdentity, Site, build_task_job, task_needs
from tlbatch.planning import Node
from tlbatch.spec import load_study
from tlbatch.tasks import Task

study = load_study("study.yaml").study
needs = task_needs(study, Node("audit", "audit", {}, weight="light"))
site = Site("s3://b", "images")
job = build_task_job(Task("audit", {}, name="audit"), site, needs, "shapes-1", "shapes", DriverIdentity("driver", "u"))
container = job["spec"]["template"]["spec"]["containers"][0]
print(json.dumps([container["image"], container["command"], container["resources"]["requests"]["memory"]]))
"""
RUN = "  - {name: cnn, model: {scratch: {channels: [4], dense: [4]}}, input: {size: 16}, train: {epochs: 1, batch_size: 8}}\n"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source with one step more, and a study beside it."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("tlbatch", "jobs", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    table = folder / "tlbatch/steps.py"
    text = table.read_text()
    assert '    Step("report", ' in text
    table.write_text(text.replace('    Step("report", ', f'{ENTRY}    Step("report", '))
    (folder / "tlbatch/planning/audit.py").write_text(PLANNED)
    (folder / "jobs/audit.py").write_text(PROGRAM)
    draw_shapes(folder / "images", 40)
    (folder / "study.yaml").write_text(head("shapes", SPLIT) + RUN)
    return folder


def call(copy: Path, *words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(copy), "COLUMNS": "160"}
    result = subprocess.run([sys.executable, *words], cwd=copy, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def tlbatch(copy: Path, *words: str) -> str:
    return call(copy, "-m", "tlbatch", *words)


def test_it_is_planned_run_shown_and_reported(copy: Path) -> None:
    forecast = json.loads(tlbatch(copy, "check", "study.yaml", "--store", "store", "-o", "json"))
    assert "audit" in json.dumps(forecast)
    tlbatch(copy, "run", "study.yaml", "--store", "store")
    execution = json.loads(tlbatch(copy, "list", "--store", "store", "-o", "json"))[0]["id"]
    status = tlbatch(copy, "status", execution, "--store", "store")
    names = [line.split()[0] for line in status.splitlines() if " done" in line or " cached" in line]
    assert names.index("evaluate:cnn") < names.index("audit") < names.index("report")
    report = json.loads(next((copy / "store/executions").glob("*/report/report.json")).read_text())
    steps = [task["step"] for task in report["tasks"]]
    assert steps.index("evaluate") < steps.index("audit")


def test_its_pods_are_made(copy: Path) -> None:
    image, command, memory = json.loads(call(copy, "-c", JOB))
    assert image.startswith("images/tlbatch-data:")
    assert command == ["python", "-m", "jobs.audit"]
    assert memory == "2Gi"


def test_its_resources_can_be_set(copy: Path) -> None:
    tlbatch(copy, "check", "study.yaml", "--store", "store", "--set", "resources.steps.audit.memory=3Gi")


def test_the_walls_see_it(copy: Path) -> None:
    walls = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_walls.py")
    call(copy, *walls, "-k", "without_networks")
    program = copy / "jobs/audit.py"
    text = program.read_text()
    program.write_text(text.replace("    context.write_json", "    import torch.nn\n\n    context.write_json"))
    try:
        with pytest.raises(AssertionError, match=r"jobs\.audit.*torch"):
            call(copy, *walls, "-k", "without_networks and audit")
    finally:
        program.write_text(text)
