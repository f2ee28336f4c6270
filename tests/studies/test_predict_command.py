"""``tlbatch predict`` as a person runs it: a process that can be stopped and goes on, sentences, exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.studies.shapes import Bench, draw_shapes

pytestmark = pytest.mark.slow
TIMEOUT_S = 240.0


def tlbatch(bench: Bench, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tlbatch", "predict", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env=environment(bench))
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    return done


def environment(bench: Bench) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TLBATCH_")}
    return {**clean, "TLBATCH_CONFIG": str(bench.folder / "config.yaml"), "TLBATCH_STORE": str(bench.store)}


def contents(folder: Path) -> dict[str, bytes]:
    names = [path for path in folder.rglob("*") if path.is_file() and ".tlbatch" not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in names}


def test_stopped_by_ctrl_c_the_same_command_goes_on(bench: Bench) -> None:
    draw_shapes(bench.images, 400, first=100)
    whole, stopped = bench.folder / "whole", bench.folder / "stopped"
    command = ["--model", f"{bench.store}#shapes/features", str(bench.images), "OUT", "--chunk", "64", "-o", "json"]
    place = command.index("OUT")
    command[place] = str(stopped)
    process = subprocess.Popen(
        [sys.executable, "-m", "tlbatch", "predict", *command], env=environment(bench), stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + TIMEOUT_S
    while not (stopped / "parts" / "part-00001.json").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(TIMEOUT_S) == 143
    assert process.stderr is not None
    assert "the same command goes on" in process.stderr.read()
    assert not (stopped / "summary.json").exists()
    left = len(list((stopped / "parts").iterdir()))
    assert 2 <= left < 14
    went_on = json.loads(tlbatch(bench, *command).stdout)
    assert went_on["images"] == 896
    assert went_on["computed"]["forward_passes"] == 896 - 64 * left
    command[place] = str(whole)
    assert json.loads(tlbatch(bench, *command).stdout)["computed"]["forward_passes"] == 896
    assert {k: v for k, v in contents(whole).items() if k != "request.json"} == {
        k: v for k, v in contents(stopped).items() if k != "request.json"
    }
    assert json.loads(tlbatch(bench, *command).stdout)["computed"] == {"images": 0, "forward_passes": 0}


def test_sentences_and_exit_codes(bench: Bench) -> None:
    model = f"{bench.store}#shapes/cnn"
    out = str(bench.folder / "said")
    assert "expected champion:NAME" in tlbatch(bench, "--model", "cnn", str(bench.images), out, code=2).stderr
    assert "name another place" in tlbatch(bench, "--model", model, str(bench.images), str(bench.images / "x"), code=2).stderr
    bad = bench.folder / "bad"
    bad.mkdir()
    (bad / "a.png").write_bytes(b"no picture")
    assert "none of its 1 files is a usable image" in tlbatch(bench, "--model", model, str(bad), out, code=65).stderr
    said = tlbatch(bench, "--model", model, str(bench.images), out, code=2).stderr
    assert "of other pictures" in said
    (bad / "a.png").unlink()
    assert "nothing to predict" in tlbatch(bench, "--model", model, str(bad), out, code=65).stderr


def test_a_champions_summary_says_who_it_is(bench: Bench) -> None:
    from tlbatch.champions.champion import Champion, crown, load_champion
    from tlbatch.prediction.model import choose_model
    from tlbatch.store import open_store
    from tlbatch.tasks import InputRef

    store = open_store(str(bench.store))
    models = choose_model(f"{bench.store}#shapes/cnn", "").inputs

    def term(serial: int) -> None:
        evaluation = InputRef("evaluate", "e" * 40, "0" * 64)
        crown(
            store, Champion("shapes", serial, "shapes", "cnn", 0, dict(models), evaluation), load_champion(store, "shapes")[1]
        )

    def predict() -> dict[str, Any]:
        arguments = ["--model", "champion:shapes", str(bench.images), str(bench.folder / "said"), "-o", "json"]
        document: dict[str, Any] = json.loads(tlbatch(bench, *arguments).stdout)
        return document

    term(1)
    first = predict()
    assert {name: first["model"][name] for name in ("champion", "serial", "run")} == {
        "champion": "shapes",
        "serial": 1,
        "run": "cnn",
    }
    assert first["computed"]["forward_passes"] == 96
    term(2)  # the same model under another number: its parts stand, the summary says the number
    second = predict()
    assert second["model"]["serial"] == 2
    assert second["computed"]["forward_passes"] == 0
    assert second["parts"] == first["parts"]
