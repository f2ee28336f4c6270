"""Transfer on real handwritten digits: the quickstart's question, and a case where transfer harms and must be said to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs.samples import make_samples
from tests.studies.kept import KeptBackend
from tlbatch.execution.driver import Silent
from tlbatch.execution.launch import Outcome, run_study
from tlbatch.spec import load_study
from tlbatch.store import open_store

SPECS = Path(__file__).resolve().parents[2] / "jobs" / "specs"

LOW = """
apiVersion: tlbatch/v1
kind: Study
name: low-digits
dataset:
  url: digits
  classes: ["0", "1", "2", "3", "4"]
  split: {validation: 0.1, test: 0.1}
  near_duplicates: false
control: none
precision: fp32
runs:
  - name: zero-to-four
    model: {scratch: {channels: [32, 64], padding: same, dense: [64]}}
    input: &small {size: 8, resize: squash, normalize: unit, grayscale: true}
    train: {epochs: 20, batch_size: 32, lr: 1e-3, select: last}
"""
HIGH = """
apiVersion: tlbatch/v1
kind: Study
name: high-digits
dataset:
  url: digits
  classes: ["5", "6", "7", "8", "9"]
  split: {train: 100, validation: 100, test: 500}
  near_duplicates: false
repeat: {seeds: [0, 1, 2], redraw: train}
control: none
precision: fp32
runs:
  - name: from-scratch
    model: {scratch: {channels: [32, 64], padding: same, dense: [64]}}
    input: &small {size: 8, resize: squash, normalize: unit, grayscale: true}
    train: {epochs: 60, batch_size: 10, lr: 1e-3, select: last}
  - name: penultimate-features
    model: {backbone: {from: low-digits/zero-to-four}, layer: dense1, pool: flatten}
    strategy: features
    input: *small
    train: {epochs: 200, batch_size: 10, lr: 1e-3, select: last}
"""


def run(study: Path, store: Path) -> Outcome:
    opened = open_store(str(store))
    backend = KeptBackend(opened, len(os.sched_getaffinity(0)))
    outcome = run_study(load_study(study), opened, backend, Silent(), lambda execution: None)
    assert outcome.state == "succeeded", [(work.name, work.sentence) for work in outcome.works if work.state == "failed"]
    return outcome


def accuracy(outcome: Outcome) -> dict[str, float]:
    assert outcome.report is not None
    return {entry["name"]: entry["metrics"]["accuracy"]["value"] for entry in outcome.report["runs"]}


@pytest.mark.slow
def test_harm_is_called_harm(tmp_path: Path) -> None:
    make_samples("digits", tmp_path / "digits")
    for name, text in (("low", LOW), ("high", HIGH)):
        (tmp_path / f"{name}.yaml").write_text(text)
    run(tmp_path / "low.yaml", tmp_path / "store")
    outcome = run(tmp_path / "high.yaml", tmp_path / "store")
    found = accuracy(outcome)
    assert found["from-scratch"] > found["penultimate-features"] + 0.1
    assert outcome.report is not None
    assert "harmed" in outcome.report["first_sentence"]


@pytest.mark.slow
def test_the_quickstart_says_that_what_to_transfer_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLBATCH_SAMPLES", str(tmp_path))
    make_samples("source", tmp_path / "source-digits")
    make_samples("digits", tmp_path / "digits")
    run(SPECS / "quickstart-source.yaml", tmp_path / "store")
    outcome = run(SPECS / "quickstart.yaml", tmp_path / "store")
    found = accuracy(outcome)
    assert 0.78 < found["from-scratch"] < 0.93
    assert max(found, key=lambda name: found[name]) == "convolution-features"
    assert outcome.report is not None
    said = " ".join([outcome.report["first_sentence"], *map(str, outcome.report["sentences"])])
    assert "what is transferred" in said.lower() or "what to transfer" in said.lower()
