"""What is large: files listed, classes, runs, executions. Times and memory are recorded, bounds are generous."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.conftest import Season
from tests.faults.records import record
from tests.noise import noise
from tests.requirements import chaos_only
from tests.studies.shapes import head

pytestmark = [pytest.mark.slow, chaos_only]

FILES = 1_000_000
EXECUTIONS = 500
STUDY = head("large", "train: 0.6, validation: 0.2, test: 0.2")


def tlbatch(*arguments: str, timeout: float = 900) -> tuple[subprocess.CompletedProcess[str], float, float]:
    """The command; what it did, its seconds, and its peak memory in MiB."""
    code = "import sys; from tlbatch.cli import _code; from tlbatch.peak_memory import peak_memory_mib; "
    code += "c = _code(sys.argv[1:]); print(peak_memory_mib(), file=sys.stderr); sys.exit(c)"
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=timeout, check=False
    )
    return done, time.monotonic() - start, float(done.stderr.splitlines()[-1])


def cnn(number: int) -> str:
    return (
        f"  - name: cnn{number}\n    model: {{scratch: {{channels: [4], padding: same, dense: [4]}}}}\n"
        "    input: {size: 16}\n"
        f"    train: {{epochs: 1, batch_size: 16, lr: {1e-3 * (1 + number)}}}\n"
    )


def test_a_million_listed_files(tmp_path: Path) -> None:
    """Empty files under many classes: only the listing counts, no image is read."""
    for label in range(100):
        folder = tmp_path / "images" / f"class{label:03}"
        folder.mkdir(parents=True)
        first = folder / "0.jpg"
        first.write_bytes(b"x" * 64)
        for number in range(1, FILES // 100):
            (folder / f"{number}.jpg").symlink_to("0.jpg") if number % 2 else (folder / f"{number}.jpg").hardlink_to(first)
    (tmp_path / "study.yaml").write_text(STUDY + cnn(0))
    done, seconds, memory = tlbatch("check", str(tmp_path / "study.yaml"), "--store", str(tmp_path / "store"))
    assert done.returncode in (0, 65), done.stderr
    assert memory < 4096
    record("check", f"{FILES:,} listed files", f"{seconds:.0f} s, {memory:.0f} MiB")


def test_a_thousand_classes(tmp_path: Path) -> None:
    for label in range(1000):
        folder = tmp_path / "images" / f"c{label:04}"
        folder.mkdir(parents=True)
        for number in range(5):
            noise(f"{label} {number}", (16, 16), 80).convert("RGB").save(folder / f"{number}.png")
    (tmp_path / "study.yaml").write_text(STUDY + cnn(0))
    done, seconds, _ = tlbatch("run", str(tmp_path / "study.yaml"), "--store", str(tmp_path / "store"), "-q")
    assert done.returncode == 0, done.stderr
    size = max(path.stat().st_size for path in tmp_path.glob("store/executions/*/report/index.html"))
    record("run", "1,000 classes, 5,000 pictures", f"{seconds:.0f} s, report {size / 1e6:.1f} MB")


def test_sixty_runs(season: Season, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(
        STUDY.replace("images", str(season.nights.images)) + "".join(cnn(number) for number in range(60))
    )
    done, seconds, _ = tlbatch("run", str(tmp_path / "study.yaml"), "--store", str(tmp_path / "store"), "-q")
    assert done.returncode == 0, done.stderr
    record("run", "60 runs", f"{seconds:.0f} s")


def test_five_hundred_executions(season: Season, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY.replace("images", str(season.nights.images)) + cnn(0))
    from tlbatch.backends.local import LocalBackend
    from tlbatch.execution.driver import Silent
    from tlbatch.execution.launch import run_study
    from tlbatch.spec import load_study
    from tlbatch.store import open_store
    from tlbatch.store.documents import sealed

    store, loaded = open_store(str(tmp_path / "store")), load_study(tmp_path / "study.yaml")
    outcome = run_study(loaded, store, LocalBackend(store), Silent(), lambda execution: None)
    assert outcome.state == "succeeded"
    first = tmp_path / "store" / "executions" / outcome.execution.id
    for number in range(EXECUTIONS - 1):  # as the same study again leaves them: other ids, the same keys
        another = first.with_name(f"large-20261101-{number // 60:02}{number % 60:02}-aaaa")
        shutil.copytree(first, another)
        for name in ("plan.json", "status.json"):
            text = (first / name).read_text().replace(first.name, another.name)
            (another / name).write_bytes(sealed(json.loads(text)))
    for arguments in (("list",), ("report", "list"), ("gc", "--dry-run")):
        done, seconds, memory = tlbatch(*arguments, "--store", store.url)
        assert done.returncode == 0, done.stderr
        assert seconds < 120
        record(" ".join(arguments), f"{EXECUTIONS} executions", f"{seconds:.1f} s, {memory:.0f} MiB")
