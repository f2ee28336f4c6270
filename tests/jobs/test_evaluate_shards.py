"""Shards of an evaluation, and attempts that were stopped: every item goes through every network once, and no byte changes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from jobs import evaluate
from jobs.context import Context
from jobs.evaluation.outputs import Outputs
from jobs.extraction import rows
from jobs.extraction.classifiers import Classifiers
from tests.jobs.test_evaluate import Bench, context_of
from tests.jobs.test_evaluate_engine import of_features, of_network, of_scratch, without_labels
from tlbatch.errors import Stopped
from tlbatch.store.artifacts import Manifest, open_artifact
from tlbatch.tasks import Task

TEST_ITEMS = 12
KINDS: dict[str, Callable[[Bench], Task]] = {
    "network": of_network,
    "two seeds": lambda bench: of_scratch(bench, 0, 1),
    "no labels": without_labels,
}


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLBATCH_THREADS", "1")  # of trainings on pictures of 16 pixels more would only wait for each other


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the items of every batch that goes through a network."""
    items: list[int] = []
    call = Classifiers.__call__

    def counting(self: Classifiers, batch: Any) -> Any:
        items.append(len(batch))
        return call(self, batch)

    monkeypatch.setattr(Classifiers, "__call__", counting)
    return items


def shard_of(bench: Bench, task: Task, index: int, count: int, stop: Callable[[], bool] = lambda: False) -> Context:
    name = f"s{index}"
    return Context(bench.store, task, name, bench.root / f"scratch-{name}-{count}", stop=stop, shard=(index, count))


def ended(context: Context) -> Manifest | None:
    evaluate.run(context)
    return context.finish()


def files(bench: Bench, task: Task) -> dict[str, bytes]:
    artifact = open_artifact(bench.store, "evaluate", task.key, bench.root / "looked")
    assert artifact is not None
    return {name: artifact.read_bytes(name) for name in artifact.names()}


def forget(bench: Bench, task: Task) -> None:
    bench.store.delete([stat.name for stat in bench.store.list(f"artifacts/evaluate/{task.key}/")])


@pytest.mark.parametrize("kind", KINDS)
def test_three_shards_leave_what_one_process_leaves(bench: Bench, kind: str, computed: list[int]) -> None:
    task = KINDS[kind](bench)
    whole = ended(context_of(bench, task))
    assert whole is not None
    expected, passes = files(bench, task), sum(computed)
    forget(bench, task)
    computed.clear()
    assert ended(shard_of(bench, task, 2, 3)) is None
    assert ended(shard_of(bench, task, 0, 3)) is None
    before_the_last = sum(computed)
    assert 0 < before_the_last < passes
    found = ended(shard_of(bench, task, 1, 3))
    assert found is not None
    assert files(bench, task) == expected
    assert sum(computed) == passes == found.made["forward_passes"] == TEST_ITEMS * (2 if kind == "two seeds" else 1)
    assert not list(bench.store.list(f"work/{task.key}/checkpoints/"))


def test_a_shard_does_its_share_for_every_network_before_it_leaves(bench: Bench, computed: list[int]) -> None:
    task = of_scratch(bench, 0, 1)
    context = shard_of(bench, task, 0, 2)
    evaluate.run(context)
    half = sum(computed)
    assert half % 2 == 0
    assert 0 < half < 2 * TEST_ITEMS
    computed.clear()
    evaluate.run(shard_of(bench, task, 0, 2))
    assert not computed  # started again


def test_shards_that_end_each_others_networks_leave_what_one_process_leaves(
    bench: Bench, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is last at the first network, the other at the second. Failed before: both left it to the other."""
    task = of_scratch(bench, 0, 1)
    assert ended(context_of(bench, task)) is not None
    expected, passes = files(bench, task), sum(computed)
    forget(bench, task)
    computed.clear()
    done = {(shard, network): threading.Event() for shard in range(2) for network in range(2)}
    after = {(1, 0): (0, 0), (1, 1): (1, 0), (0, 1): (1, 1)}
    plain, found = Outputs._computed, dict[int, Manifest | None]()

    def in_turn(self: Outputs, *given: Any) -> Any:
        assert self.context.shard is not None
        place = self.context.shard[0], len(self._networks)
        assert place not in after or done[after[place]].wait(60)
        made = plain(self, *given)
        done[place].set()
        return made

    def shard(index: int) -> None:
        found[index] = ended(shard_of(bench, task, index, 2))

    monkeypatch.setattr(Outputs, "_computed", in_turn)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(shard, range(2)))
    assert [index for index, manifest in found.items() if manifest is not None] == [0]
    assert files(bench, task) == expected
    assert sum(computed) == passes


def test_a_stopped_evaluation_goes_on_where_it_was(bench: Bench, computed: list[int]) -> None:
    task = of_network(bench)
    assert ended(context_of(bench, task)) is not None
    expected = files(bench, task)
    forget(bench, task)
    computed.clear()
    with pytest.raises(Stopped):
        evaluate.run(context_of(bench, task, "stopped", stop=lambda: bool(computed)))
    stopped = sum(computed)
    assert stopped > 0
    assert ended(context_of(bench, task, "again")) is not None
    assert files(bench, task) == expected
    assert sum(computed) < stopped + TEST_ITEMS


def test_what_is_computed_is_stored_now_and_then(bench: Bench, computed: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a pod that is killed, which nobody asks to stop, costs half a minute."""
    monkeypatch.setattr(rows, "SAVE_EVERY_S", 0.0)
    task = of_network(bench)

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as during:
        during.setattr("jobs.evaluation.trained.write_predictions", die)
        with pytest.raises(KeyboardInterrupt):
            evaluate.run(context_of(bench, task, "killed"))
    computed.clear()
    context = context_of(bench, task, "again")
    assert ended(context) is not None
    assert not computed
    assert "images_per_s" not in context.made  # nothing was measured


def test_heads_on_features_are_no_work_to_share(bench: Bench, computed: list[int]) -> None:
    """Nothing is left to others, whoever is asked."""
    task = of_features(bench)
    assert ended(shard_of(bench, task, 1, 2)) is not None
    assert not computed
