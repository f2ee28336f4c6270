"""A network's own head on photographs that it was not trained on, by class names alone: right as often as was measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.requirements import chaos_only
from tests.studies.shapes import Bench

pytestmark = pytest.mark.shared
STUDY = """\
apiVersion: tlbatch/v1
kind: Study
name: own-head
dataset: {{url: "{url}", split: {{train: 40, validation: 20, test: {test}, seed: 42}}, near_duplicates: false}}
precision: fp32
runs:
  - {{name: few, model: {{backbone: efficientnet_lite0, head: {{prototypes: {{}}}}}}, strategy: features}}
"""


@chaos_only
@pytest.mark.parametrize(("data", "test", "least"), [("data/dogs-vs-cats", 1000, 0.97), ("data/dog-breeds", 1000, 0.95)])
def test_the_own_head_reads_no_label_and_is_right(
    shared_data: Callable[[str], Path], tmp_path: Path, data: str, test: int, least: float
) -> None:
    """EfficientNet-Lite0; the same was measured with other code. Fails where a class of many outputs is likelier for it."""
    bench = Bench(tmp_path)
    bench.study.write_text(STUDY.format(url=shared_data(data), test=test))
    outcome = bench.run(cores=2)
    assert outcome.state == "succeeded", [work.sentence for work in outcome.works if work.state == "failed"]
    assert outcome.report is not None
    [own] = [run for run in outcome.report["runs"] if run["name"] == "efficientnet-lite0-no-labels"]
    assert own["metrics"]["accuracy"]["value"] >= least
    print(data, own["metrics"]["accuracy"])
