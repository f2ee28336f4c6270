"""What a study says of its models is the same to the last byte, however many cores judged them."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.studies.shapes import Bench
from tlbatch.execution.launch import Outcome
from tlbatch.store import open_store
from tlbatch.store.artifacts import load_manifest


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


SEEDS = ("runs.0.input.size=80", "repeat.seeds=[0,1,2]")


def trained(outcome: Outcome, bench: Bench) -> dict[str, tuple[str, int]]:
    """Of each training: its artifact's digest, and how many threads made it."""
    found = {}
    for work in outcome.works:
        if work.name.startswith("finetune:cnn:") and work.ref is not None:
            manifest = load_manifest(open_store(str(bench.store)), work.ref.step, work.ref.key)
            assert manifest is not None
            found[work.name] = (work.ref.digest, int(manifest.made["threads"]))
    return found


def test_seeds_have_their_part_of_the_cores_and_the_same_bits_when_they_train_alone(fresh: Bench) -> None:
    """Fails when a training's threads follow from what else there is to do, and not from the plan."""
    whole = trained(fresh.run(*SEEDS, cores=2), fresh)
    assert [threads for _, threads in whole.values()] == [1, 1, 2]
    key = next(work.ref.key for work in fresh.run(*SEEDS, cores=2).works if work.name == "finetune:cnn:1" and work.ref)
    shutil.rmtree(fresh.store / "artifacts" / "finetune" / key)
    again = fresh.run(*SEEDS, cores=2)
    assert {work.name for work in again.works if work.state == "done"} == {"finetune:cnn:1"}
    assert trained(again, fresh) == whole
