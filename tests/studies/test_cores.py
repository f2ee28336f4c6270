"""What a study says of its models is the same to the last byte, however many cores judged them."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.studies.shapes import Bench
from tlbatch.execution.launch import Outcome


def digests(outcome: Outcome) -> dict[str, str]:
    return {work.name: work.ref.digest for work in outcome.works if work.ref is not None and work.name.startswith("evaluate:")}


def test_evaluations_have_the_same_digests_on_one_core_and_on_two(first_run: tuple[Bench, Outcome], tmp_path: Path) -> None:
    """Trainings keep theirs: with the same number of threads alone they are the same to the bit."""
    bench = Bench(tmp_path / "copy")
    shutil.copytree(first_run[0].folder, bench.folder)
    found = []
    for cores in (1, 2):
        shutil.rmtree(bench.store / "artifacts" / "evaluate")
        outcome = bench.run(cores=cores)
        states = {work.name: work.state for work in outcome.works if work.name.startswith(("finetune:", "evaluate:"))}
        assert {state for name, state in states.items() if name.startswith("finetune:")} == {"cached"}
        assert {state for name, state in states.items() if name.startswith("evaluate:")} == {"done"}
        found.append(digests(outcome))
    assert found[0] == found[1]
    assert len(found[0]) >= 3
