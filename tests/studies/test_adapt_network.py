"""A network that adapts from drawn to handwritten digits, run as a user would: whatever is true is what the report says.

And a source whose labels are shuffled: of no use where it is all there is, and called harm where the target has labels.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.studies.test_adapt import _right, run, states_are_what_scipy_says
from tests.studies.test_adapt import data as data  # the fixture

pytestmark = pytest.mark.slow

RUN = """
  - name: {name}
    model: {{scratch: {{channels: [8, 16], padding: same, batch_norm: {norm}}}}}
    strategy: {{adapt_network: {{{settings}}}}}
    input: {{size: 8, resize: squash, normalize: unit, grayscale: true}}
    train: {{epochs: 4, steps_per_epoch: 60, batch_size: 32, lr: 3e-3}}
"""
LABELLED = "target_labels: few, few: 10"


def test_what_is_true_is_said(data: Path, tmp_path: Path) -> None:
    """State and contrast are those of the predictions, counted here; nothing is called help that scipy does not."""
    runs = [
        RUN.format(name="deep-coral", norm="true", settings="method: deep_coral, weight: 10.0"),
        RUN.format(name="dann", norm="true", settings="method: dann, domain_layers: [32]"),
    ]
    report, folder = run(data, tmp_path, "drawn", "[0]", *runs)
    right = states_are_what_scipy_says(report, folder, tmp_path)
    assert right["source-only"].mean() > 0.2, "it learnt something"
    assert any("rest on labels of drawn" in sentence for sentence in report["sentences"])
    assert any("labels the same network gets" in sentence for sentence in report["sentences"])
    page, card = (folder / "index.html").read_text(), (folder / "cards/dann.md").read_text()
    assert "before (those of source-only) and after" in page
    assert "Accuracy on images that drawn holds out" in card
    assert "Adaptation: dann, no target labels; its settings chosen by what drawn holds out" in card
    cards = [json.loads(path.read_text()) for path in (tmp_path / "store").glob("artifacts/finetune/*/*/card.json")]
    (adapted,) = (card for card in cards if card.get("adaptation", {}).get("method") == "dann")
    assert [row["name"] for row in adapted["stages"]] == ["conv1", "conv2", "dense1", "head"], "the network alone is published"
    assert (folder / "figures/adaptation.svg").stat().st_size < 120_000


def test_a_source_with_shuffled_labels_is_called_harm(data: Path, tmp_path: Path) -> None:
    """Held against the target's own labels, of which it has ten a class; without any it is not above chance."""
    pooled = RUN.format(name="pooled", norm="false", settings=f"method: dann, domain_layers: [32], {LABELLED}")
    blind = RUN.format(name="blind", norm="false", settings="method: deep_coral")
    report, folder = run(data, tmp_path, "shuffled", "[0]", pooled, blind)
    states = {row["run"]: row["state"] for row in report["adaptation"]}
    assert states == {"pooled": "harmed", "blind": "not above chance"}
    told = " ".join([report["first_sentence"], *report["sentences"]])
    assert "adaptation harmed" in told.lower()
    only = np.mean(_right(folder, "target-only", tmp_path))
    assert only - np.mean(_right(folder, "pooled", tmp_path)) > 0.05
